/* Two sets of decisions, as they are shown: figures, limits, what changed. */
#include <math.h>
#include <string.h>

#include "method/data/compare_decisions.h"

enum { MATRIX_CHOICES = 60, ROWS_MOST = 1000 };

/* ---- limits ---- */

static const struct {
    const char *name;
    CompareMeasure measure;
    bool of_choice, labelled;
} measures[] = {{"accuracy", COMPARE_ACCURACY, false, true},
                {"share", COMPARE_SHARE, true, false},
                {"log-loss", COMPARE_LOG_LOSS, false, true},
                {"brier", COMPARE_BRIER, false, true},
                {"changed", COMPARE_CHANGED, false, false}};
enum { MEASURES = sizeof measures / sizeof measures[0] };

limn_status compare_read_limits(Comparing *comparing) {
    TRY(limits_parse(&comparing->limits, comparing->call, &comparing->params->limits));
    for (int32_t i = 0; i < comparing->limits.n; i++) {
        Limit *limit = &comparing->limits.items[i];
        while (limit->row < MEASURES && strcmp(measures[limit->row].name, limit->measure.bytes) != 0) {
            limit->row++;
        }
        if (limit->row == MEASURES) {
            return limit_unknown(limit, "accuracy, share:CHOICE, log-loss, brier, changed");
        }
        if (measures[limit->row].of_choice != (limit->choice.bytes != NULL)) {
            return fail(LIMN_USAGE, "option '%s': found '%.60s', expected %s", limit_option(limit), limit->given,
                        measures[limit->row].of_choice ? "a choice, as in share:yes" : "no choice");
        }
    }
    return LIMN_OK;
}

static int32_t find_name(const NameList *list, Text name) {
    uint64_t place;
    return map_get(&list->places, name.bytes, name.length, &place) ? (int32_t)place : -1;
}

limn_status compare_check_limits(Comparing *comparing) {
    for (int32_t i = 0; i < comparing->limits.n; i++) {
        Limit *limit = &comparing->limits.items[i];
        if (measures[limit->row].labelled && comparing->labelled == 0) {
            return fail(LIMN_USAGE, "option '%s': %s needs labels, which neither file has", limit_option(limit),
                        limit->given);
        }
        limit->place = limit->choice.bytes != NULL ? find_name(&comparing->choices, limit->choice) : 0;
        if (limit->place < 0) {
            return fail(LIMN_USAGE, "option '%s': neither file has the choice '%.60s'", limit_option(limit),
                        limit->choice.bytes);
        }
    }
    return LIMN_OK;
}

static limn_status judge(const Comparing *comparing, const Limit *limit, int32_t group) {
    PairedMeasure measured;
    char about[64];
    const char *name = limit->given;
    if (limit->each) {
        name = arena_printf(comparing->call->arena, "%.*s@%.60s", (int)(strlen(limit->given) - 2), limit->given,
                            comparing->groups.names[group].bytes);
    }
    if (name == NULL) {
        return method_no_memory(comparing->call);
    }
    TRY(compare_measure(&measured, comparing, measures[limit->row].measure, limit->place, group));
    snprintf(about, sizeof about, SAY(comparing->call, "over %lld pairs", "%lld 对"), (long long)measured.n);
    limit_judge(comparing->result, comparing->call, limit, name, measured.difference, about);
    return LIMN_OK;
}

static limn_status judge_limits(const Comparing *comparing) {
    for (int32_t i = 0; i < comparing->limits.n; i++) {
        const Limit *limit = &comparing->limits.items[i];
        int32_t group = limit->group.bytes != NULL && !limit->each ? find_name(&comparing->groups, limit->group) : -1;
        if (limit->group.bytes == NULL || group >= 0) {
            TRY(judge(comparing, limit, group));
        } else if (!limit->each || comparing->groups.n == 0) {
            Interval none = {(double)NAN, (double)NAN, (double)NAN};
            limit_judge(comparing->result, comparing->call, limit, limit->given, none,
                        SAY(comparing->call, "(no record has this group)", "（没有这一组的记录）"));
        }
        for (int32_t g = 0; limit->each && g < comparing->groups.n; g++) {
            TRY(judge(comparing, limit, g));
        }
    }
    return LIMN_OK;
}

/* ---- tables ---- */

static Value name_cell(const NameList *list, int32_t place) {
    return place < 0 ? value_null() : value_bytes(list->names[place].bytes, list->names[place].length);
}

static Value measure_cell(const Comparing *comparing, size_t row, int32_t choice) {
    return measures[row].of_choice ? value_text(arena_printf(comparing->call->arena, "share of '%.60s'",
                                                             comparing->choices.names[choice].bytes))
                                   : value_text(measures[row].name);
}

/* Two tables that have a row for each measure, choice and group. */
typedef struct Tables {
    TableBlock *difference, *counts;
} Tables;

static limn_status add_row(const Comparing *comparing, const Tables *tables, size_t row, int32_t choice,
                           int32_t group) {
    PairedMeasure measured;
    TRY(compare_measure(&measured, comparing, measures[row].measure, choice, group));
    if (measured.n == 0) {
        return LIMN_OK;
    }
    Value name = measure_cell(comparing, row, choice);
    Value scope = group < 0 ? value_text("all") : name_cell(&comparing->groups, group);
    const Value cells[] = {name,
                           scope,
                           value_integer(measured.n),
                           value_number(measured.a),
                           value_number(measured.b),
                           value_number(measured.difference.value),
                           value_number(measured.difference.low),
                           value_number(measured.difference.high),
                           value_number(measured.p)};
    if (tables->difference != NULL) {
        table_row(tables->difference, cells);
    } else if (measured.only_a >= 0) {
        int64_t both = llrint(measured.a * (double)measured.n) - measured.only_a;
        const Value counts[] = {name,
                                scope,
                                value_integer(both),
                                value_integer(measured.only_a),
                                value_integer(measured.only_b),
                                value_integer(measured.n - both - measured.only_a - measured.only_b)};
        table_row(tables->counts, counts);
    }
    return LIMN_OK;
}

/* Of all records every measure, then of each group. */
static limn_status add_rows(const Comparing *comparing, const Tables *tables) {
    int32_t most = ROWS_MOST / (comparing->groups.n + 1);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t row = 0; row < MEASURES; row++) {
            int32_t n = measures[row].of_choice ? comparing->choices.n : 1;
            for (int32_t c = 0; c < n && c <= most && (comparing->labelled > 0 || !measures[row].labelled); c++) {
                for (int32_t g = pass == 0 ? -1 : 0; g < (pass == 0 ? 0 : comparing->groups.n); g++) {
                    TRY(add_row(comparing, tables, row, c, g));
                }
            }
        }
    }
    return LIMN_OK;
}

static limn_status report_difference(const Comparing *comparing) {
    static const TableColumn columns[] = {
        {TEXT("measure"), COLUMN_NAME}, {TEXT("group"), COLUMN_TEXT},  {TEXT("n"), COLUMN_INTEGER},
        {TEXT("A"), COLUMN_NUMBER},     {TEXT("B"), COLUMN_NUMBER},    {TEXT("difference"), COLUMN_SIGNED},
        {TEXT("low"), COLUMN_SIGNED},   {TEXT("high"), COLUMN_SIGNED}, {TEXT("p"), COLUMN_NUMBER}};
    TableBlock *table = result_add_table(comparing->result, "difference",
                                         SAY(comparing->call, "Differences, B less A", "差异（B 减 A）"), columns, 9);
    result_block_note(
        comparing->result,
        SAY(comparing->call,
            "A is %s, B is %s. 95%% intervals: of shares Tango's of a paired difference, with McNemar's exact "
            "test for p; of log-loss and Brier score BCa's, with Student's p; changed is the share of "
            "decisions that differ, with Wilson's. Each p is of one question by itself",
            "A 为 %s，B 为 %s。95%% 区间：比例用 Tango 配对差区间，p 为 McNemar 精确检验；log-loss 与 Brier 用 BCa "
            "区间，p 为学生检验；changed 为判定不同的比例，用 Wilson 区间。每个 p 只针对一个问题"),
        comparing->names[0], comparing->names[1]);
    return add_rows(comparing, &(Tables){.difference = table});
}

static limn_status report_counts(const Comparing *comparing) {
    static const TableColumn columns[] = {{TEXT("measure"), COLUMN_NAME},   {TEXT("group"), COLUMN_TEXT},
                                          {TEXT("both"), COLUMN_INTEGER},   {TEXT("A only"), COLUMN_INTEGER},
                                          {TEXT("B only"), COLUMN_INTEGER}, {TEXT("neither"), COLUMN_INTEGER}};
    TableBlock *table =
        result_add_table(comparing->result, "discordant",
                         SAY(comparing->call, "What McNemar's test is on", "McNemar 检验的依据"), columns, 6);
    result_block_note(comparing->result, "%s",
                      SAY(comparing->call,
                          "records that are right (of a share: decided so) by both, by one alone, by "
                          "neither",
                          "两者都判对（比例：都如此判定）、仅一者、两者都不的记录数"));
    result_block_detail(comparing->result);
    return add_rows(comparing, &(Tables){.counts = table});
}

static void report_changed(const Comparing *comparing) {
    static const TableColumn columns[] = {{TEXT("record"), COLUMN_TEXT},
                                          {TEXT("group"), COLUMN_TEXT},
                                          {TEXT("label"), COLUMN_TEXT},
                                          {TEXT("A"), COLUMN_TEXT},
                                          {TEXT("B"), COLUMN_TEXT},
                                          {TEXT("A probability"), COLUMN_PROBABILITY},
                                          {TEXT("B probability"), COLUMN_PROBABILITY},
                                          {TEXT("prompt"), COLUMN_TOKEN}};
    TableBlock *table = result_add_table(comparing->result, "changed",
                                         SAY(comparing->call, "Decisions that changed", "改变了的判定"), columns, 8);
    for (int32_t i = 0; i < comparing->n_kept; i++) {
        const Changed *changed = &comparing->changed[i];
        const Pair *pair = &comparing->pairs[changed->pair];
        const Value cells[] = {
            value_bytes(changed->id.bytes, changed->id.length),
            name_cell(&comparing->groups, pair->group),
            name_cell(&comparing->choices, pair->label),
            name_cell(&comparing->choices, pair->a),
            name_cell(&comparing->choices, pair->b),
            value_number(changed->confidence[0]),
            value_number(changed->confidence[1]),
            changed->prompt.bytes != NULL ? value_bytes(changed->prompt.bytes, changed->prompt.length) : value_null()};
        table_row(table, cells);
    }
    result_block_note(comparing->result,
                      SAY(comparing->call,
                          "%d of %lld; those that became wrong first, then those that became right, the "
                          "surest of each first",
                          "列出 %d 条，共 %lld 条；先列变错的，再列变对的，各以最有把握者居先"),
                      (int)comparing->n_kept, (long long)comparing->n_changed);
}

static limn_status report_matrix(const Comparing *comparing) {
    int32_t n = comparing->choices.n;
    if (n < 2 || n > MATRIX_CHOICES) {
        return LIMN_OK;
    }
    double *counts = arena_zalloc(comparing->call->arena, (size_t)n * (size_t)n * sizeof *counts);
    if (counts == NULL) {
        return method_no_memory(comparing->call);
    }
    for (int64_t i = 0; i < comparing->n; i++) {
        counts[comparing->pairs[i].a * n + comparing->pairs[i].b]++;
    }
    MatrixBlock *matrix = result_add_matrix(comparing->result, "decisions",
                                            SAY(comparing->call, "Decisions of A and of B", "A 与 B 的判定"), n, n);
    matrix_titles(matrix, "A", "B");
    if (matrix != NULL) {
        matrix->is_signed = false;
    }
    for (int32_t i = 0; i < n; i++) {
        Text name = comparing->choices.names[i];
        matrix_label_row(matrix, i, name.bytes, name.length);
        matrix_label_column(matrix, i, name.bytes, name.length);
        for (int32_t k = 0; k < n; k++) {
            matrix_set(matrix, i, k, counts[i * n + k]);
        }
    }
    return LIMN_OK;
}

/* ---- words ---- */

static void warn(const Comparing *comparing) {
    Result *result = comparing->result;
    for (int i = 0; i < 2; i++) {
        if (comparing->only[i] > 0) {
            result_warn(result,
                        SAY(comparing->call, "%lld records stand in %s alone and have no part in the comparison",
                            "%lld 条记录只在 %s 中，不参与比较"),
                        (long long)comparing->only[i], comparing->names[i]);
        }
        if (comparing->skipped[i] > 0) {
            result_warn(result,
                        SAY(comparing->call, "%lld records of %s have no decision and no part in the comparison",
                            "%lld 条记录（%s）没有判定，不参与比较"),
                        (long long)comparing->skipped[i], comparing->names[i]);
        }
    }
    if (comparing->other_data > 0) {
        result_warn(result,
                    SAY(comparing->call,
                        "%lld of %lld records with the same id are not the same bytes in the two data sets",
                        "编号相同的记录中，%lld 条（共 %lld 条）在两个数据集中的字节不同"),
                    (long long)comparing->other_data, (long long)comparing->n);
    }
    if (comparing->labelled > 0 && comparing->labelled < comparing->n) {
        result_warn(result,
                    SAY(comparing->call, "%lld of %lld records have no label and count for no measure that needs one",
                        "%lld 条记录（共 %lld 条）没有标签，不计入需要标签的度量"),
                    (long long)(comparing->n - comparing->labelled), (long long)comparing->n);
    }
}

static limn_status say_headline(const Comparing *comparing) {
    PairedMeasure accuracy, changed;
    Result *result = comparing->result;
    TRY(compare_measure(&changed, comparing, COMPARE_CHANGED, 0, -1));
    if (comparing->labelled == 0) {
        result_headline(result,
                        SAY(comparing->call, "%lld of %lld decisions changed (%.1f%%, 95%% interval %.1f%% to %.1f%%)",
                            "%lld 个判定（共 %lld 个）改变（%.1f%%，95%% 区间 %.1f%% 至 %.1f%%）"),
                        (long long)comparing->n_changed, (long long)comparing->n, 100 * changed.difference.value,
                        100 * changed.difference.low, 100 * changed.difference.high);
        return LIMN_OK;
    }
    TRY(compare_measure(&accuracy, comparing, COMPARE_ACCURACY, 0, -1));
    result_headline(
        result,
        SAY(comparing->call,
            "%s is right on %.1f%% of %lld records, %s on %.1f%%: %+.1f points (95%% interval %+.1f to %+.1f, "
            "McNemar p = %.2g); %lld decisions changed",
            "%s 判对 %.1f%%（共 %lld 条），%s 判对 %.1f%%：相差 %+.1f 个百分点（95%% 区间 %+.1f 至 %+.1f，McNemar p = "
            "%.2g）；%lld 个判定改变"),
        comparing->names[1], 100 * accuracy.b, (long long)accuracy.n, comparing->names[0], 100 * accuracy.a,
        100 * accuracy.difference.value, 100 * accuracy.difference.low, 100 * accuracy.difference.high, accuracy.p,
        (long long)comparing->n_changed);
    return LIMN_OK;
}

limn_status compare_report(const Comparing *comparing) {
    TRY(say_headline(comparing));
    TRY(judge_limits(comparing));
    warn(comparing);
    TRY(report_difference(comparing));
    TRY(report_matrix(comparing));
    report_changed(comparing);
    TRY(report_counts(comparing));
    return result_status(comparing->result);
}
