/* What surgery says: figures before and after, paired; the edit among others of its kind. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/causal/surgery.h"

static const double level = 0.95, small = 0.05;

/* How a figure reads, before and after. */
typedef struct Paired {
    int64_t n;
    Interval before, after, difference;
    double p;
} Paired;

/* ---- paired figures ---- */

typedef struct Pairs { /* of a rate: of n records `before` and `after` are so, gained and lost alone */
    int64_t n, before, after, gained, lost;
} Pairs;

static bool in_scope(const SurgeryRecord *record, SurgeryScope scope) {
    bool judged = record->half == HALF_JUDGE && !record->left_out && record->choice[0] >= 0 && record->choice[1] >= 0;
    return judged && (scope == SCOPE_ALL || record->focus == (scope == SCOPE_FOCUS));
}

/* Does a decision count in the rate? *counted false: the record has no part in it. */
static bool counts(bool *counted, const Surgery *surgery, const SurgeryRecord *record, int which, SurgeryAim aim) {
    bool alarm = record->choice[which] == surgery->alarm, is_alarm = record->label == surgery->alarm;
    *counted = aim == AIM_ACCURACY || (aim == AIM_FALSE_ALARMS) == !is_alarm;
    return aim == AIM_ACCURACY ? record->choice[which] == record->label : aim == AIM_FALSE_ALARMS ? alarm : !alarm;
}

static Paired paired_rate(const Surgery *surgery, SurgeryScope scope, SurgeryAim aim) {
    Pairs pairs = {0};
    for (int64_t i = 0; i < surgery->n_records; i++) {
        const SurgeryRecord *record = &surgery->records[i];
        bool counted, before = counts(&counted, surgery, record, 0, aim),
                      after = counts(&counted, surgery, record, 1, aim);
        if (counted && in_scope(record, scope)) {
            pairs.n++;
            pairs.before += before;
            pairs.after += after;
            pairs.gained += after && !before;
            pairs.lost += before && !after;
        }
    }
    return (Paired){.n = pairs.n,
                    .before = wilson_interval(pairs.before, pairs.n),
                    .after = wilson_interval(pairs.after, pairs.n),
                    .difference = paired_difference(pairs.gained, pairs.lost, pairs.n, level),
                    .p = pairs.n > 0 ? mcnemar_exact(pairs.gained, pairs.lost) : (double)NAN};
}

static limn_status paired_loss(Paired *paired, const Surgery *surgery, SurgeryScope scope) {
    double *values = malloc(3 * ((size_t)surgery->n_records + 1) * sizeof *values);
    int64_t n = 0, most = surgery->n_records;
    if (values == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int64_t i = 0; i < surgery->n_records; i++) {
        const SurgeryRecord *record = &surgery->records[i];
        if (in_scope(record, scope)) {
            values[n] = (double)record->loss[0];
            values[most + n] = (double)record->loss[1];
            values[2 * most + n] = values[most + n] - values[n];
            n++;
        }
    }
    *paired = (Paired){.n = n,
                       .before = mean_interval(values, n, level),
                       .after = mean_interval(values + most, n, level),
                       .difference = mean_interval(values + 2 * most, n, level),
                       .p = mean_p(values + 2 * most, n)};
    free(values);
    return LIMN_OK;
}

static limn_status paired_figure(Paired *paired, const Surgery *surgery, SurgeryScope scope, SurgeryAim aim) {
    if (!surgery_aim_is_rate(aim)) {
        return paired_loss(paired, surgery, scope);
    }
    *paired = paired_rate(surgery, scope, aim);
    return LIMN_OK;
}

/* ---- before and after ---- */

static const char *scope_name(const Surgery *surgery, SurgeryScope scope) {
    static const char *const names[SCOPE_COUNT][2] = {{"all", "全部"}, {"focus", "重点"}, {"others", "其余"}};
    return SAY(surgery->call, names[scope][0], names[scope][1]);
}

static const char *aim_name(const Surgery *surgery, SurgeryAim aim) {
    static const char *const names[AIM_COUNT][2] = {
        {"accuracy", "准确率"}, {"loss", "损失"}, {"false alarms", "误报率"}, {"missed alarms", "漏报率"}};
    return SAY(surgery->call, names[aim][0], names[aim][1]);
}

static Value number_or_null(double x) {
    return isfinite(x) ? value_number(x) : value_null();
}

/* Every figure of a scope, in the order they are shown. */
typedef struct Figures {
    Paired items[SCOPE_COUNT][AIM_COUNT];
    int n_scopes;
} Figures;

static limn_status reckon(Figures *figures, const Surgery *surgery) {
    figures->n_scopes = surgery->params->focus.bytes != NULL ? SCOPE_COUNT : 1;
    for (int scope = 0; scope < figures->n_scopes; scope++) {
        for (int aim = 0; aim < AIM_COUNT; aim++) {
            TRY(paired_figure(&figures->items[scope][aim], surgery, (SurgeryScope)scope, (SurgeryAim)aim));
        }
    }
    return LIMN_OK;
}

static void add_before_after(const Surgery *surgery, const Figures *figures) {
    static const TableColumn columns[] = {
        {TEXT("records"), COLUMN_TEXT},  {TEXT("measure"), COLUMN_TEXT}, {TEXT("n"), COLUMN_INTEGER},
        {TEXT("before"), COLUMN_NUMBER}, {TEXT("after"), COLUMN_NUMBER}, {TEXT("difference"), COLUMN_SIGNED},
        {TEXT("low"), COLUMN_SIGNED},    {TEXT("high"), COLUMN_SIGNED},  {TEXT("p"), COLUMN_NUMBER}};
    TableBlock *table = result_add_table(surgery->result, "before-after",
                                         SAY(surgery->call, "Before and after", "修改前后"), columns, 9);
    Text alarm = surgery->names.names[surgery->alarm];
    result_block_note(surgery->result,
                      SAY(surgery->call,
                          "paired: low and high are the 95%% interval of the difference, Tango's of rates with "
                          "McNemar's exact p, Student's of the loss (nats). An alarm is the answer '%.*s'. Each line "
                          "by itself: of many, some are far from 0 by chance",
                          "配对：下限与上限是差的 95%% 区间，比率用 Tango 并附 McNemar 精确 p 值，损失（奈特）用 "
                          "Student。“警报”指答案“%.*s”。各行单独看待：数目一多，总有几行碰巧远离 0"),
                      (int)alarm.length, alarm.bytes);
    for (int scope = 0; scope < figures->n_scopes; scope++) {
        for (int aim = 0; aim < AIM_COUNT; aim++) {
            const Paired *paired = &figures->items[scope][aim];
            const Value cells[] = {value_text(scope_name(surgery, (SurgeryScope)scope)),
                                   value_text(aim_name(surgery, (SurgeryAim)aim)),
                                   value_integer(paired->n),
                                   number_or_null(paired->before.value),
                                   number_or_null(paired->after.value),
                                   number_or_null(paired->difference.value),
                                   number_or_null(paired->difference.low),
                                   number_or_null(paired->difference.high),
                                   number_or_null(paired->p)};
            table_row(table, cells);
        }
    }
}

static void add_intervals(const Surgery *surgery, const Figures *figures) {
    static const TableColumn columns[] = {{TEXT("records"), COLUMN_TEXT},      {TEXT("measure"), COLUMN_TEXT},
                                          {TEXT("before-low"), COLUMN_NUMBER}, {TEXT("before-high"), COLUMN_NUMBER},
                                          {TEXT("after-low"), COLUMN_NUMBER},  {TEXT("after-high"), COLUMN_NUMBER}};
    TableBlock *table =
        result_add_table(surgery->result, "intervals",
                         SAY(surgery->call, "95% intervals of each by itself", "各自的 95% 区间"), columns, 6);
    result_block_note(surgery->result,
                      SAY(surgery->call, "of rates Wilson's, of the loss Student's", "比率用 Wilson，损失用 Student"));
    result_block_detail(surgery->result);
    for (int scope = 0; scope < figures->n_scopes; scope++) {
        for (int aim = 0; aim < AIM_COUNT; aim++) {
            const Paired *paired = &figures->items[scope][aim];
            const Value cells[] = {value_text(scope_name(surgery, (SurgeryScope)scope)),
                                   value_text(aim_name(surgery, (SurgeryAim)aim)),
                                   number_or_null(paired->before.low),
                                   number_or_null(paired->before.high),
                                   number_or_null(paired->after.low),
                                   number_or_null(paired->after.high)};
            table_row(table, cells);
        }
    }
}

/* ---- sets of edits ---- */

static int by_score(const void *a, const void *b) {
    const CutSet *x = a, *y = b;
    int order = (y->effect.score > x->effect.score) - (y->effect.score < x->effect.score);
    return order != 0 ? order : strcmp(x->text, y->text);
}

static void add_set_row(TableBlock *table, const Surgery *surgery, const char *text, const SurgeryEffect *effect,
                        const SurgeryTallies *tallies, bool judged) {
    const SurgeryTally *focus = &tallies->scopes[SCOPE_FOCUS], *all = &tallies->scopes[SCOPE_ALL];
    const Value cells[] = {value_text(text),
                           number_or_null(effect->gain),
                           number_or_null(effect->cost),
                           number_or_null(effect->score),
                           number_or_null(surgery_aim_of(focus, (SurgeryAim)surgery->params->aim)),
                           number_or_null(surgery_aim_of(all, AIM_ACCURACY)),
                           value_bool(judged)};
    table_row(table, cells);
}

static void add_sets(const Surgery *surgery, const CutSets *sets, const char *id, const char *title) {
    static const TableColumn columns[] = {{TEXT("edit"), COLUMN_TEXT},   {TEXT("gain"), COLUMN_SIGNED},
                                          {TEXT("cost"), COLUMN_SIGNED}, {TEXT("score"), COLUMN_SIGNED},
                                          {TEXT("aim"), COLUMN_NUMBER},  {TEXT("accuracy"), COLUMN_NUMBER},
                                          {TEXT("judged"), COLUMN_FLAG}};
    TableBlock *table = result_add_table(surgery->result, id, title, columns, 7);
    bool own = sets == &surgery->controls;
    result_block_note(surgery->result,
                      SAY(surgery->call,
                          "gain: %s, how much better%s; cost: accuracy lost on %s; score: gain less cost; judged: the "
                          "edit that is judged",
                          "增益：%s改善了多少%s；代价：%s上损失的准确率；得分：两者之差；所评判者：被评判的修改"),
                      aim_name(surgery, (SurgeryAim)surgery->params->aim),
                      surgery->params->focus.bytes == NULL ? "" : SAY(surgery->call, " in focus", "（重点记录）"),
                      surgery->params->focus.bytes == NULL ? SAY(surgery->call, "all records", "全部记录")
                                                           : SAY(surgery->call, "the other records", "其余记录"));
    if (own) {
        add_set_row(table, surgery, surgery_join(&surgery->edits, surgery->call->arena), &surgery->effect,
                    &surgery->after, true);
    }
    for (int32_t i = 0; i < sets->n; i++) {
        const CutSet *set = &sets->items[i];
        bool chosen = !own && i < surgery->edits.n;
        char text[512];
        if (set->draw >= 0) {
            snprintf(text, sizeof text, SAY(surgery->call, "random directions %d", "随机方向 %d"), (int)set->draw + 1);
        }
        add_set_row(table, surgery, set->draw >= 0 ? text : set->text, &set->effect, &set->tallies, chosen);
    }
}

/* ---- checks ---- */

static void check_controls(const Surgery *surgery, double *p) {
    const CutSets *controls = &surgery->controls;
    int32_t as_good = 0;
    for (int32_t i = 0; i < controls->n; i++) {
        as_good += !(controls->items[i].effect.score < surgery->effect.score);
    }
    *p = controls->n > 0 ? (1.0 + as_good) / (1.0 + controls->n) : (double)NAN;
    const char *text =
        SAY(surgery->call, "p = (1 + those that score no less) / (1 + all): %d of %d others of its kind do as well",
            "p =（1 + 得分不低于它的）/（1 + 全部）：同类的 %d / %d 个不比它差");
    if (controls->n == 0) {
        return;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (1.0 / (1.0 + controls->n) > small) { /* no edit could pass */
        result_check_inconclusive(surgery->result, "controls", *p, CHECK_AT_MOST, small, text, (int)as_good,
                                  (int)controls->n);
    } else {
        result_check(surgery->result, "controls", *p, CHECK_AT_MOST, small, text, (int)as_good, (int)controls->n);
    }
#pragma GCC diagnostic pop
    if (surgery->params->choose < 0) {
        result_check_advisory(surgery->result);
    }
}

static void check_aim(const Surgery *surgery, const Paired *paired) {
    SurgeryAim aim = (SurgeryAim)surgery->params->aim;
    double sign = aim == AIM_ACCURACY ? 1 : -1;
    double worst = sign > 0 ? paired->difference.low : -paired->difference.high;
    double best = sign > 0 ? paired->difference.high : -paired->difference.low;
    const char *text = SAY(surgery->call, "%s, how much better on records that had no part in choosing the edit",
                           "%s在未参与选择的记录上改善了多少");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (!(worst > 0 || best < 0)) {
        result_check_inconclusive(surgery->result, "aim", surgery->effect.gain, CHECK_ABOVE, 0, text,
                                  aim_name(surgery, aim));
    } else {
        result_check(surgery->result, "aim", surgery->effect.gain, CHECK_ABOVE, 0, text, aim_name(surgery, aim));
    }
#pragma GCC diagnostic pop
    if (surgery->params->choose < 0) {
        result_check_advisory(surgery->result);
    }
}

static void check_plain(const Surgery *surgery) {
    if (!isnan(surgery->plain_error)) {
        bool fast = surgery->call->common.dtype == (int32_t)COMPUTE_BF16;
        result_check(surgery->result, "plain pass", surgery->plain_error, CHECK_AT_MOST, fast ? 5e-2 : 1e-4,
                     SAY(surgery->call,
                         "largest difference of some decisions' log p, of others of its kind, from full passes",
                         "若干同类修改的决定之对数概率同完整计算的最大差"));
    }
}

static void check_edit(const Surgery *surgery) {
    const SurgeryTally *all = &surgery->after.scopes[SCOPE_ALL];
    result_check(surgery->result, "acts", surgery->most_changed, CHECK_ABOVE, 0,
                 SAY(surgery->call, "largest change of a record's loss: an edit that changes nothing is none",
                     "单条记录损失的最大变化：什么都不改变的修改不算修改"));
    result_check(surgery->result, "finite", (double)all->not_finite, CHECK_AT_MOST, 0,
                 SAY(surgery->call, "decisions that are no numbers with the edit in force", "修改后不是数的决定"));
    if (surgery->n_unscored > 0) {
        result_check(
            surgery->result, "unscored", (double)surgery->n_unscored, CHECK_AT_MOST, 0,
            SAY(surgery->call, "records behind which no choice could be scored", "无法为其后的选项评分的记录"));
    }
}

/* ---- the whole ---- */

static void say(const Surgery *surgery, const Paired *paired, double p) {
    SurgeryAim aim = (SurgeryAim)surgery->params->aim;
    double unit = surgery_aim_is_rate(aim) ? 100 : 1;
    const char *percent = surgery_aim_is_rate(aim) ? "%" : "";
    bool focus = surgery->params->focus.bytes != NULL;
    const SurgeryTally *before = &surgery->before[HALF_JUDGE].scopes[focus ? SCOPE_REST : SCOPE_ALL];
    const SurgeryTally *after = &surgery->after.scopes[focus ? SCOPE_REST : SCOPE_ALL];
    char controls[96] = "";
    if (isfinite(p)) {
        snprintf(controls, sizeof controls,
                 SAY(surgery->call, "; p = %.3g among %d others of its kind", "；p = %.3g，同类共 %d 个"), p,
                 (int)surgery->controls.n);
    }
    result_headline(
        surgery->result,
        SAY(surgery->call,
            "%s%s: %.4g%s before, %.4g%s after (%+.3g [%+.3g, %+.3g]); accuracy%s %.4g%% before, %.4g%% after%s",
            "%s%s：之前 %.4g%s，之后 %.4g%s（%+.3g [%+.3g, %+.3g]）；准确率%s 之前 %.4g%%，之后 %.4g%%%s"),
        aim_name(surgery, aim), focus ? SAY(surgery->call, " in focus", "（重点记录）") : "",
        unit * paired->before.value, percent, unit * paired->after.value, percent, unit * paired->difference.value,
        unit * paired->difference.low, unit * paired->difference.high,
        focus ? SAY(surgery->call, " on the others", "（其余记录）") : "", 100 * surgery_aim_of(before, AIM_ACCURACY),
        100 * surgery_aim_of(after, AIM_ACCURACY), controls);
}

const char *surgery_note(const Surgery *surgery) {
    SurgeryAim aim = (SurgeryAim)surgery->params->aim;
    if (surgery->params->note.bytes != NULL) {
        return surgery->params->note.bytes;
    }
    Paired paired;
    if (paired_figure(&paired, surgery, SCOPE_FOCUS, aim) != LIMN_OK) {
        return NULL;
    }
    static const char *const plain[AIM_COUNT] = {"accuracy", "loss", "false alarms", "missed alarms"};
    return arena_printf(surgery->call->arena, "limn surgery: %s %.4g before, %.4g after, on %lld records", plain[aim],
                        paired.before.value, paired.after.value, (long long)paired.n);
}

static void sort_sets(CutSets *sets) {
    if (sets->n > 0) {
        qsort(sets->items, (size_t)sets->n, sizeof *sets->items, by_score);
    }
}

limn_status surgery_report(Surgery *surgery) {
    const MethodCall *call = surgery->call;
    Figures figures;
    double p;
    TRY(reckon(&figures, surgery));
    const Paired *aim =
        &figures.items[surgery->params->focus.bytes != NULL ? SCOPE_FOCUS : SCOPE_ALL][surgery->params->aim];
    check_edit(surgery);
    check_plain(surgery);
    check_aim(surgery, aim);
    check_controls(surgery, &p);
    say(surgery, aim, p);
    edit_plan_describe(surgery->result, &surgery->plan, SAY(surgery->call, false, true));
    add_before_after(surgery, &figures);
    add_intervals(surgery, &figures);
    sort_sets(&surgery->controls);
    if (surgery->controls.n > 0) {
        add_sets(surgery, &surgery->controls, "controls",
                 SAY(call, "The edit among others of its kind", "与同类修改比较"));
        if (surgery->controls.n > 40) {
            result_block_detail(surgery->result);
        }
    } else if (!surgery->params->no_controls) {
        result_warn(surgery->result, SAY(call, "no other edits are of this kind: there is nothing to hold it against",
                                         "没有同类的其他修改：无从比较"));
    }
    if (surgery->candidates.n > 0) {
        add_sets(surgery, &surgery->candidates, "candidates",
                 SAY(call, "What was chosen among, on other records", "在另一些记录上的候选"));
        if (surgery->candidates.n > 40) {
            result_block_detail(surgery->result);
        }
    }
    return LIMN_OK;
}
