/* Layers and heads that carry a finding, by what removing them does: the table "before-after" of `surgery`, of the
 * records in focus and of what the edit was to better. The test is on records that the edit was not chosen on; where
 * other edits of its kind do as well, nothing says that it lives there.
 *
 * How it fails: as `surgery` does; what several parts carry together no single one shows. */
#include <math.h>
#include <string.h>

#include "audit/detect.h"

static const Value *cell(const TableBlock *table, int32_t row, const char *name) {
    int32_t column = table_column(table, name);
    return column >= 0 ? table_cell(table, row, column) : NULL;
}

static double number(const TableBlock *table, int32_t row, const char *name) {
    const Value *value = row >= 0 ? cell(table, row, name) : NULL;
    return value != NULL ? number_in_cell(value) : (double)NAN;
}

static bool reads(const TableBlock *table, int32_t row, const char *column, const char *english, const char *chinese) {
    const Value *value = cell(table, row, column);
    return value != NULL && value->kind == VALUE_TEXT &&
           (text_is(value->text, english) || text_is(value->text, chinese));
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

/* The edit that was judged, as the table of others of its kind has it. */
static const char *edit_of(const Detection *detection, const Result *result) {
    const TableBlock *table = result_table(result, "controls");
    for (int32_t row = 0; table != NULL && row < table->n_rows; row++) {
        const Value *judged = cell(table, row, "judged"), *edit = cell(table, row, "edit");
        if (judged != NULL && judged->kind == VALUE_BOOL && judged->boolean && edit != NULL &&
            edit->kind == VALUE_TEXT) {
            return arena_strndup(detection->arena, edit->text.bytes, edit->text.length);
        }
    }
    return TELL(detection, "the chosen edit", "所选修改");
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

static const char *say_edit(const Detection *detection, const TableBlock *table, int aim, int32_t focus) {
    int32_t others = row_of(table, "others", "其余", "accuracy", "准确率");
    double scale = strcmp(aims[aim].option, "loss") == 0 ? 1 : 100;
    return arena_printf(detection->arena,
                        TELL(detection,
                             "with it %s there go from %.1f%s to %.1f%s, accuracy elsewhere from %.1f%% to %.1f%%",
                             "施加后该处%s由 %.1f%s 变为 %.1f%s，其余记录的准确率由 %.1f%% 变为 %.1f%%"),
                        TELL(detection, aims[aim].english, aims[aim].chinese), scale * number(table, focus, "before"),
                        scale == 100 ? "%" : "", scale * number(table, focus, "after"), scale == 100 ? "%" : "",
                        100 * number(table, others, "before"), 100 * number(table, others, "after"));
}

static limn_status add_edit(Detection *detection, int32_t step, const Result *result, const TableBlock *table) {
    const PlanStep *of = &detection->runner->plan->steps[step];
    int aim = aim_place(of);
    int32_t focus = row_of(table, "focus", "重点", aims[aim].english, aims[aim].chinese);
    double p = number(table, focus, "p"), sign = aims[aim].lower ? -1 : 1;
    if (focus < 0 || isnan(p)) {
        return LIMN_OK;
    }
    const char *where = arena_printf(detection->arena, "%s%s%s", of->id, of->title != NULL ? ", " : "",
                                     of->title != NULL ? of->title : "");
    const char *evidence = say_edit(detection, table, aim, focus);
    double better = sign * number(table, focus, "difference");
    double low = sign * number(table, focus, "low"), high = sign * number(table, focus, "high");
    bool loss = strcmp(aims[aim].option, "loss") == 0;
    Hypothesis made = {
        .kind = "layer",
        .what = edit_of(detection, result),
        .where = where,
        .effect = {better, fmin(low, high), fmax(low, high)},
        .points = loss ? (double)NAN : better,
        .unit = loss ? "nats" : "points",
        .p = controls_failed(result) || better <= 0 ? 1 : p,
        .n = (int64_t)number(table, focus, "n"),
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
