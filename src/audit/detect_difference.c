/* Decisions of the model beside those of another version on the same records, as `compare decisions` has them: the
 * table "difference". Accuracy over all records and in each group are tests that were fixed beforehand. */
#include <math.h>
#include <string.h>

#include "audit/detect.h"

static limn_status add_row(Detection *detection, int32_t step, const TableBlock *table, int32_t row) {
    double difference = table_number(table, row, "difference");
    Text records = table_text(table, row, "group");
    const PlanStep *of = &detection->runner->plan->steps[step];
    const char *group = records.length > 0 ? arena_strdup(detection->arena, records.bytes) : "all";
    const char *where = arena_printf(detection->arena, TELL(detection, "%s, records: %s", "%s，记录：%s"), of->id,
                                     group != NULL ? group : "");
    const char *evidence =
        arena_printf(detection->arena,
                     TELL(detection, "right on %.1f%% of the records, the other version on %.1f%% of the same ones",
                          "判对 %.1f%% 的记录，另一版本对同一批记录判对 %.1f%%"),
                     100 * table_number(table, row, "B"), 100 * table_number(table, row, "A"));
    if (group == NULL || where == NULL || evidence == NULL) {
        return method_no_memory(detection->runner->call);
    }
    Hypothesis made = {.kind = "difference",
                       .what = TELL(detection, "accuracy against the other version", "与另一版本相比的准确率"),
                       .where = where,
                       .effect = {difference, table_number(table, row, "low"), table_number(table, row, "high")},
                       .points = difference,
                       .unit = "points",
                       .p = table_number(table, row, "p"),
                       .n = (int64_t)table_number(table, row, "n"),
                       .evidence = evidence,
                       .null =
                           TELL(detection, "McNemar's exact test of equal accuracy", "准确率相等的 McNemar 精确检验"),
                       .step = step,
                       .harmful = difference < 0};
    return isnan(difference) ? LIMN_OK : findings_add(detection->findings, &made);
}

limn_status detect_difference(Detection *detection) {
    const StepRunner *runner = detection->runner;
    for (int32_t i = 0; i < runner->done; i++) {
        const Result *result = runner->runs[i].result;
        const TableBlock *table = result != NULL ? result_table(result, "difference") : NULL;
        int32_t measure = table_column(table, "measure");
        for (int32_t row = 0; measure >= 0 && row < table->n_rows; row++) {
            const Value *cell = table_cell(table, row, measure);
            if (cell->kind == VALUE_TEXT && text_is(cell->text, "accuracy")) {
                TRY(add_row(detection, i, table, row));
            }
        }
    }
    return LIMN_OK;
}
