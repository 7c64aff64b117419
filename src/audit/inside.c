/* What carries a finding inside the model: for the strongest misleading words an edit is chosen and judged (the plan's
 * `inside`, a step with the option `focus`, as surgery has it), in focus the records that hold the word. The words come
 * from findings, so these steps are added once the others have run; their tests join the family of all. */
#include <math.h>
#include <string.h>

#include "audit/detect.h"

/* A regular expression that finds the word as it is, in either case; NULL: it cannot be written into a filter. */
static const char *pattern_of(Arena *arena, const char *word) {
    static const char special[] = ".^$*+?()[]{}|\\/-";
    TextBuffer out = TEXT_BUFFER_INIT;
    bool good = word[0] != '\0' && strpbrk(word, "'\"`\n\\") == NULL;
    for (const char *c = word; good && *c != '\0'; c++) {
        text_buffer_add(&out, strchr(special, *c) != NULL ? "[" : "");
        text_buffer_add_char(&out, *c);
        text_buffer_add(&out, strchr(special, *c) != NULL ? "]" : "");
    }
    const char *made = good && !out.failed ? arena_printf(arena, "(?i)%s", out.data) : NULL;
    text_buffer_free(&out);
    return made;
}

static const char *focus_of(const StepRunner *runner, const char *word) {
    const PlanStep *inside = &runner->plan->inside;
    const char *field = json_string_value(json_object_get(inside->params, "prompt-field"));
    while (*word == ' ') {
        word++;
    }
    const char *pattern = field != NULL ? pattern_of(runner->call->arena, word) : NULL;
    return pattern != NULL ? arena_printf(runner->call->arena, "`%s` ~ '%s'", field, pattern) : NULL;
}

static limn_status add_step(StepRunner *runner, int32_t number, const char *word, const char *focus) {
    const PlanStep *inside = &runner->plan->inside;
    PlanStep step = *inside;
    int32_t place;
    step.id = arena_printf(runner->call->arena, "inside-%d", (int)number);
    step.title = arena_printf(
        runner->call->arena,
        runner->plan->language == LANGUAGE_ZH ? "“%s”在模型内部的所在" : "What carries '%s' inside the model", word);
    step.params = json_deep_copy(inside->params);
    if (step.id == NULL || step.title == NULL || step.params == NULL ||
        json_object_set_new(step.params, "focus", json_string(focus)) != 0) {
        json_decref(step.params);
        return method_no_memory(runner->call);
    }
    return plan_add_step(runner->plan, &step, &place);
}

limn_status inside_run(Findings *findings, StepRunner *runner) {
    int32_t added = 0;
    TRY(findings_conclude(findings, &runner->plan->findings));
    for (int32_t i = 0; i < findings->n_found && added < runner->plan->inside_count; i++) {
        const Hypothesis *item = &findings->items[i];
        const char *focus = strcmp(item->kind, "word") == 0 && item->harmful ? focus_of(runner, item->what) : NULL;
        if (focus != NULL) {
            TRY(add_step(runner, ++added, item->what, focus));
        }
    }
    return steps_run(runner);
}

/* ---- what it found ---- */

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

static limn_status add_edit(Detection *detection, int32_t step, const Result *result, const TableBlock *table) {
    int32_t focus = row_of(table, "focus", "重点", "accuracy", "准确率");
    int32_t alarms = row_of(table, "focus", "重点", "false alarms", "误报率");
    int32_t others = row_of(table, "others", "其余", "accuracy", "准确率");
    double p = number(table, focus, "p");
    if (focus < 0 || isnan(p)) {
        return LIMN_OK;
    }
    const PlanStep *of = &detection->runner->plan->steps[step];
    const char *where = arena_printf(detection->arena, "%s%s%s", of->id, of->title != NULL ? ", " : "",
                                     of->title != NULL ? of->title : "");
    const char *evidence = arena_printf(
        detection->arena,
        TELL(detection, "with it false alarms there go from %.1f%% to %.1f%%, accuracy elsewhere from %.1f%% to %.1f%%",
             "施加后该处误报率由 %.1f%% 变为 %.1f%%，其余记录的准确率由 %.1f%% 变为 %.1f%%"),
        100 * number(table, alarms, "before"), 100 * number(table, alarms, "after"),
        100 * number(table, others, "before"), 100 * number(table, others, "after"));
    Hypothesis made = {
        .kind = "layer",
        .what = edit_of(detection, result),
        .where = where,
        .effect = {number(table, focus, "difference"), number(table, focus, "low"), number(table, focus, "high")},
        .points = number(table, focus, "difference"),
        .unit = "points",
        .p = controls_failed(result) || number(table, focus, "difference") <= 0 ? 1 : p,
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
