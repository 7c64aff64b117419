/* Protected words that move decisions: the tables "categories", "ordinary" and "decisions" of `sensitive`. A hypothesis
 * for each two sides of a category, fixed by the lists beforehand, so all records test it. Its p is the larger of two:
 * against no effect, and against what ordinary words in the same place do. The effect is on the lead in
 * log-probability; the floor is held against the share of decisions that turn.
 *
 * How it fails: a word of the lists may mean something else in these texts; what the lists lack is not looked for. */
#include <math.h>
#include <string.h>

#include "audit/detect.h"

/* A cell of another table, in the row about the same two sides; NaN: none. */
static double beside(const Result *result, const char *id, const TableBlock *categories, int32_t row,
                     const char *column) {
    static const char *const sides[] = {"category", "first", "second", NULL};
    const TableBlock *table = result_table(result, id);
    int32_t alike = row_alike(table, categories, row, sides);
    return alike >= 0 ? table_number(table, alike, column) : (double)NAN;
}

static limn_status add_contrast(Detection *detection, int32_t step, const TableBlock *table, int32_t row) {
    const char *id = detection->runner->plan->steps[step].id;
    const Result *result = detection->runner->runs[step].result;
    double p = table_number(table, row, "p"), p_ordinary = beside(result, "ordinary", table, row, "p");
    double change = beside(result, "decisions", table, row, "change");
    double ordinary = beside(result, "ordinary", table, row, "ordinary");
    Text category = table_text(table, row, "category"), first = table_text(table, row, "first"),
         second = table_text(table, row, "second");
    const char *what = arena_printf(detection->arena, TELL(detection, "%s: %s rather than %s", "%s：%s 而非 %s"),
                                    category.bytes, first.bytes, second.bytes);
    const char *evidence = arena_printf(
        detection->arena,
        isnan(ordinary)
            ? TELL(detection,
                   "the same records with words of either side: %+.1f points of decisions turn to the target",
                   "同一批记录换用两方词语：判定转向目标的变化为 %+.1f 个百分点")
            : TELL(detection,
                   "the same records with words of either side: %+.1f points of decisions turn to the target; two "
                   "ordinary words in that place differ by %.2f",
                   "同一批记录换用两方词语：判定转向目标的变化为 %+.1f 个百分点；该处两个普通词之间的差为 %.2f"),
        100 * change, ordinary);
    if (what == NULL || evidence == NULL) {
        return method_no_memory(detection->runner->call);
    }
    Hypothesis made = {
        .kind = "protected",
        .what = what,
        .where = id,
        .effect = {table_number(table, row, "shift"), table_number(table, row, "low"),
                   table_number(table, row, "high")},
        .points = change,
        .unit = "nats",
        .p = isnan(p_ordinary) || p_ordinary < p ? p : p_ordinary,
        .family = step + 1,
        .n = (int64_t)table_number(table, row, "records"),
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
            TRY(add_contrast(detection, i, table, row));
        }
    }
    return LIMN_OK;
}
