/* Layers and heads that carry a finding, by what removing them does: the table "before-after" of `surgery`, of the
 * records in focus and of what the edit was to better. The test is on records that the edit was not chosen on; where
 * other edits of its kind do as well, nothing says that it lives there.
 *
 * How it fails: as `surgery` does; what several parts carry together no single one shows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/detect.h"

static const Value *cell(const TableBlock *table, int32_t row, const char *name) {
    int32_t column = table_column(table, name);
    return column >= 0 ? table_cell(table, row, column) : NULL;
}

static bool reads(const TableBlock *table, int32_t row, const char *column, const char *english, const char *chinese) {
    Text text = table_text(table, row, column);
    return text_is(text, english) || text_is(text, chinese);
}

static int32_t row_of(const TableBlock *table, const char *scope, const char *scope_zh, const char *measure,
                      const char *measure_zh) {
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (reads(table, row, "records", scope, scope_zh) && reads(table, row, "measure", measure, measure_zh)) {
            return row;
        }
    }
    return -1;
}

/* "blocks.3.hook_mlp_out=zero" as a person says it; what has no such name stays as it is written. */
static const char *part_called(const Detection *detection, const char *edit) {
    static const struct {
        const char *form, *english, *chinese;
    } forms[] = {{"blocks.%d.hook_mlp_out=zero%n", "the MLP of layer %d", "第 %d 层的 MLP"},
                 {"blocks.%d.hook_attn_out=zero%n", "the attention of layer %d", "第 %d 层的注意力"},
                 {"blocks.%d.hook_resid_post=copy:blocks.%*d.hook_resid_pre%n", "layer %d", "第 %d 层"},
                 {"blocks.%d.attn.hook_z[head=%d]=zero%n", "head %2$d of layer %1$d", "第 %d 层的第 %d 头"}};
    enum { HEAD = 3 };
    const char *made = edit;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    for (int i = 0; edit != NULL && made == edit && i <= HEAD; i++) {
        int layer = -1, head = -1, end = 0;
        const char *text = TELL(detection, forms[i].english, forms[i].chinese);
        bool fits = i == HEAD ? sscanf(edit, forms[i].form, &layer, &head, &end) == 2
                              : sscanf(edit, forms[i].form, &layer, &end) == 1;
        if (fits && end > 0 && edit[end] == '\0') {
            made = i == HEAD ? arena_printf(detection->arena, text, layer, head)
                             : arena_printf(detection->arena, text, layer);
        }
    }
#pragma GCC diagnostic pop
    return made;
}

/* The edit that was judged and how many of its kind score no less, as the table of others has it. */
typedef struct Controls {
    const char *edit;
    bool removes; /* something that has a name */
    int32_t as_good, others;
} Controls;

static Controls read_controls(const Detection *detection, const Result *result) {
    const TableBlock *table = result_table(result, "controls");
    Controls controls = {.edit = TELL(detection, "the chosen edit", "所选修改")};
    double own = (double)NAN;
    for (int32_t row = 0; table != NULL && row < table->n_rows; row++) {
        const Value *judged = cell(table, row, "judged"), *edit = cell(table, row, "edit");
        if (judged != NULL && judged->kind == VALUE_BOOL && judged->boolean && edit != NULL &&
            edit->kind == VALUE_TEXT) {
            own = table_number(table, row, "score");
            const char *written = arena_strndup(detection->arena, edit->text.bytes, edit->text.length);
            controls.edit = part_called(detection, written);
            controls.removes = controls.edit != written;
        } else {
            controls.others++;
            controls.as_good += table_number(table, row, "score") >= own; /* its own row stands first */
        }
    }
    return controls;
}

static bool controls_failed(const Result *result) {
    bool failed = false;
    for (int32_t i = 0; i < result->n_checks; i++) {
        failed = failed || (text_is(result->checks[i].name, "controls") && result->checks[i].state == CHECK_FAIL);
    }
    return failed;
}

/* What the edit was to better, as the table names it; a rate of errors or a loss is better when lower. */
static const struct {
    const char *option, *english, *chinese;
    bool lower;
} aims[] = {{"accuracy", "accuracy", "准确率", false},
            {"loss", "loss", "损失", true},
            {"false-alarms", "false alarms", "误报率", true},
            {"missed-alarms", "missed alarms", "漏报率", true}};
enum { AIMS = sizeof aims / sizeof aims[0] };

static int aim_place(const PlanStep *step) {
    const char *aim = json_string_value(json_object_get(step->params, "aim"));
    for (int i = 0; aim != NULL && i < AIMS; i++) {
        if (strcmp(aims[i].option, aim) == 0) {
            return i;
        }
    }
    return 0;
}

static const char *say_edit(const Detection *detection, const TableBlock *table, int aim, int32_t focus,
                            const Controls *controls) {
    int32_t others = row_of(table, "others", "其余", "accuracy", "准确率");
    double scale = strcmp(aims[aim].option, "loss") == 0 ? 1 : 100;
    return arena_printf(detection->arena,
                        TELL(detection,
                             "%s it %s there go from %.1f%s to %.1f%s, accuracy elsewhere from %.1f%% to %.1f%%; "
                             "%d of %d others of its kind do as well",
                             "%s后该处%s由 %.1f%s 变为 %.1f%s，其余记录的准确率由 %.1f%% 变为 %.1f%%；同类的 %d / %d "
                             "个不比它差"),
                        controls->removes ? TELL(detection, "without", "去除") : TELL(detection, "with", "施加"),
                        TELL(detection, aims[aim].english, aims[aim].chinese),
                        scale * table_number(table, focus, "before"), scale == 100 ? "%" : "",
                        scale * table_number(table, focus, "after"), scale == 100 ? "%" : "",
                        100 * table_number(table, others, "before"), 100 * table_number(table, others, "after"),
                        (int)controls->as_good, (int)controls->others);
}

static limn_status add_edit(Detection *detection, int32_t step, const Result *result, const TableBlock *table) {
    const PlanStep *of = &detection->runner->plan->steps[step];
    int aim = aim_place(of);
    int32_t focus = row_of(table, "focus", "重点", aims[aim].english, aims[aim].chinese);
    double p = table_number(table, focus, "p"), sign = aims[aim].lower ? -1 : 1;
    if (focus < 0 || isnan(p)) {
        return LIMN_OK;
    }
    const char *where = arena_printf(detection->arena, "%s%s%s", of->id, of->title != NULL ? ", " : "",
                                     of->title != NULL ? of->title : "");
    const Controls controls = read_controls(detection, result);
    const char *evidence = say_edit(detection, table, aim, focus, &controls);
    if (of->title != NULL && evidence != NULL) {
        evidence = arena_printf(detection->arena, TELL(detection, "%s: %s", "%s：%s"), of->title, evidence);
    }
    double better = sign * table_number(table, focus, "difference");
    double low = sign * table_number(table, focus, "low"), high = sign * table_number(table, focus, "high");
    bool loss = strcmp(aims[aim].option, "loss") == 0;
    Hypothesis made = {
        .kind = "layer",
        .what = controls.edit,
        .where = where,
        .effect = {better, fmin(low, high), fmax(low, high)},
        .points = loss ? (double)NAN : better,
        .unit = loss ? "nats" : "points",
        .p = controls_failed(result) || better <= 0 ? 1 : p,
        .n = (int64_t)table_number(table, focus, "n"),
        .evidence = evidence,
        .null =
            TELL(detection, "McNemar's exact test on records it was not chosen on, and every other edit of its kind",
                 "在未用于挑选的记录上做 McNemar 精确检验，并与其他同类修改相比"),
        .step = step};
    return where != NULL && evidence != NULL && made.what != NULL ? findings_add(detection->findings, &made)
                                                                  : method_no_memory(detection->runner->call);
}

limn_status detect_layers(Detection *detection) {
    const StepRunner *runner = detection->runner;
    for (int32_t i = 0; i < runner->done; i++) {
        const Result *result = runner->runs[i].result;
        const TableBlock *table = result != NULL ? result_table(result, "before-after") : NULL;
        if (table != NULL && runner->plan->steps[i].model == runner->plan->subject) {
            TRY(add_edit(detection, i, result, table));
        }
    }
    return LIMN_OK;
}
