/* Protected words that move decisions: the tables "categories" and "decisions" of `sensitive`. A hypothesis for each
 * two sides of a category, fixed by the lists beforehand, so all records test it. Its p is the larger of two: against
 * no effect, and against what ordinary words in the same place do. The effect is on the lead in log-probability; the
 * floor is held against the share of decisions that turn.
 *
 * How it fails: a word of the lists may mean something else in these texts; what the lists lack is not looked for. */
#include <math.h>
#include <string.h>

#include "audit/detect.h"

static double cell(const TableBlock *table, int32_t row, const char *name) {
    int32_t column = table_column(table, name);
    return column >= 0 ? number_in_cell(table_cell(table, row, column)) : (double)NAN;
}

static Text text_of_cell(const TableBlock *table, int32_t row, const char *name) {
    int32_t column = table_column(table, name);
    const Value *value = column >= 0 ? table_cell(table, row, column) : NULL;
    return value != NULL && value->kind == VALUE_TEXT ? value->text : text_of("");
}

static bool same(const TableBlock *a, int32_t i, const TableBlock *b, int32_t k, const char *name) {
    Text first = text_of_cell(a, i, name), second = text_of_cell(b, k, name);
    return first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0;
}

/* The row of `decisions` about the same two sides; -1: none. */
static int32_t decisions_of(const TableBlock *categories, int32_t row, const TableBlock *decisions) {
    for (int32_t k = 0; decisions != NULL && k < decisions->n_rows; k++) {
        if (same(categories, row, decisions, k, "category") && same(categories, row, decisions, k, "first") &&
            same(categories, row, decisions, k, "second")) {
            return k;
        }
    }
    return -1;
}

static limn_status add_contrast(Detection *detection, int32_t step, const TableBlock *table, int32_t row,
                                const TableBlock *decisions) {
    const char *id = detection->runner->plan->steps[step].id;
    int32_t turned = decisions_of(table, row, decisions);
    double p = cell(table, row, "p"), ordinary = cell(table, row, "p ordinary");
    double change = turned >= 0 ? cell(decisions, turned, "change") : (double)NAN;
    Text category = text_of_cell(table, row, "category"), first = text_of_cell(table, row, "first"),
         second = text_of_cell(table, row, "second");
    const char *what = arena_printf(detection->arena, TELL(detection, "%s: %s rather than %s", "%s：%s 而非 %s"),
                                    category.bytes, first.bytes, second.bytes);
    const char *evidence = arena_printf(
        detection->arena,
        TELL(detection,
             "the same records with words of either side: %+.1f points of decisions turn to the target; two "
             "ordinary words in that place differ by %.2f",
             "同一批记录换用两方词语：判定转向目标的变化为 %+.1f 个百分点；该处两个普通词之间的差为 %.2f"),
        100 * change, cell(table, row, "ordinary"));
    if (what == NULL || evidence == NULL) {
        return method_no_memory(detection->runner->call);
    }
    Hypothesis made = {
        .kind = "protected",
        .what = what,
        .where = id,
        .effect = {cell(table, row, "shift"), cell(table, row, "low"), cell(table, row, "high")},
        .points = change,
        .unit = "nats",
        .p = isnan(ordinary) || ordinary < p ? p : ordinary,
        .family = step + 1,
        .n = (int64_t)cell(table, row, "records"),
        .evidence = evidence,
        .null = TELL(detection, "no effect (sign flips), and ordinary words in the same place (Student): the larger p",
                     "无效应（符号翻转）以及同位置普通词（学生检验）：取较大的 p"),
        .step = step,
        .harmful = true};
    return isnan(made.p) ? LIMN_OK : findings_add(detection->findings, &made);
}

limn_status detect_protected(Detection *detection) {
    const StepRunner *runner = detection->runner;
    for (int32_t i = 0; i < runner->done; i++) {
        const Result *result = runner->runs[i].result;
        const TableBlock *table = result != NULL ? result_table(result, "categories") : NULL;
        bool judged = runner->plan->steps[i].model == runner->plan->subject && table_column(table, "shift") >= 0;
        for (int32_t row = 0; judged && row < table->n_rows; row++) {
            TRY(add_contrast(detection, i, table, row, result_table(result, "decisions")));
        }
    }
    return LIMN_OK;
}
