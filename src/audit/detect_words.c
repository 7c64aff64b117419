/* Words and places that mislead: the tables "words" and "decisions" of `attribute`, whose test was made on records that
 * did not nominate them, against all suspects together. The effect is in log-probability; what the plan's floor is held
 * against is the share of wrong decisions with the word less the share with others in its place.
 *
 * How it fails: as `attribute` does; and of several words that always stand together each is named. */
#include <math.h>
#include <string.h>

#include "audit/detect.h"

typedef struct WordRow {
    const char *word, *place;
    Interval harm;
    double p, wrong, without;
    int64_t n;
} WordRow;

static const char *text_cell(const Detection *detection, const TableBlock *table, int32_t row, const char *name) {
    Text text = table_text(table, row, name);
    return arena_strndup(detection->arena, text.bytes, text.length);
}

static limn_status add_word(Detection *detection, int32_t step, const WordRow *row) {
    const char *id = detection->runner->plan->steps[step].id;
    bool is_word = row->place[0] == '\0' || strcmp(row->place, "word") == 0 || strcmp(row->place, "词") == 0;
    const char *where = arena_printf(detection->arena, "%s%s%s", id, row->place[0] != '\0' ? ", " : "", row->place);
    const char *evidence =
        isnan(row->wrong)
            ? TELL(detection, "the right answer is likelier with other words in its place",
                   "换成其他词后，正确答案的概率上升")
            : arena_printf(detection->arena,
                           TELL(detection,
                                "wrong on %.1f%% of the records that hold it, on %.1f%% with others in its place",
                                "含该词的记录判错 %.1f%%，换成其他词后判错 %.1f%%"),
                           100 * row->wrong, 100 * row->without);
    if (where == NULL || evidence == NULL) {
        return method_no_memory(detection->runner->call);
    }
    Hypothesis made = {.kind = is_word ? "word" : "place",
                       .what = row->word,
                       .where = where,
                       .effect = row->harm,
                       .points = row->wrong - row->without,
                       .unit = "nats",
                       .p = row->p,
                       .family = step + 1,
                       .n = row->n,
                       .evidence = evidence,
                       .null = TELL(detection, "sign flips of whole records, the largest of all suspects",
                                    "按整条记录翻转符号，与全部嫌疑中的最大者相比"),
                       .step = step,
                       .harmful = row->harm.value > 0};
    return findings_add(detection->findings, &made);
}

limn_status detect_words(Detection *detection) {
    static const char *const same_word[] = {"word", "where", NULL};
    const StepRunner *runner = detection->runner;
    for (int32_t i = 0; i < runner->done; i++) {
        const Result *result = runner->runs[i].result;
        const TableBlock *table = result != NULL ? result_table(result, "words") : NULL;
        const TableBlock *decisions = result != NULL ? result_table(result, "decisions") : NULL;
        bool judged = runner->plan->steps[i].model == runner->plan->subject;
        for (int32_t row = 0; table != NULL && judged && table_column(table, "harm") >= 0 && row < table->n_rows;
             row++) {
            int32_t decided = row_alike(decisions, table, row, same_word);
            WordRow word = {.word = text_cell(detection, table, row, "word"),
                            .place = text_cell(detection, table, row, "where"),
                            .harm = {table_number(table, row, "harm"), table_number(table, row, "low"),
                                     table_number(table, row, "high")},
                            .p = table_number(table, row, "p"),
                            .wrong = decided < 0 ? (double)NAN : table_number(decisions, decided, "wrong"),
                            .without = decided < 0 ? (double)NAN : table_number(decisions, decided, "wrong without"),
                            .n = (int64_t)table_number(table, row, "n")};
            if (word.word == NULL || word.place == NULL) {
                return method_no_memory(runner->call);
            }
            if (!isnan(word.p)) {
                TRY(add_word(detection, i, &word));
            }
        }
    }
    return LIMN_OK;
}
