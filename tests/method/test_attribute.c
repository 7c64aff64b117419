/* `attribute`: harm is what `predict` says of the changed texts, records that nominate are never tested, a run that was
 * cut short comes to the same bytes, chance raises nothing, and what is refused. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "method/calls.h"
#include "statistics/statistics.h"

#include <cmocka.h> /* last: it has a macro named fail */

typedef struct Fixture {
    char letters[64];
    char data[64], effects[64], list[64], other[64], decisions[64];
} Fixture;

static Fixture files;

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    int id = (int)getpid();
    make_letters_model(files.letters);
    snprintf(files.data, sizeof files.data, "/tmp/limn-attribute-%d.jsonl", id);
    snprintf(files.effects, sizeof files.effects, "/tmp/limn-attribute-%d-effects.jsonl", id);
    snprintf(files.list, sizeof files.list, "/tmp/limn-attribute-%d.txt", id);
    snprintf(files.other, sizeof files.other, "/tmp/limn-attribute-%d-other.jsonl", id);
    snprintf(files.decisions, sizeof files.decisions, "/tmp/limn-attribute-%d-out.jsonl", id);
    return 0;
}

static int tear_down(void **state) {
    const char *const all[] = {files.data, files.effects, files.list, files.other, files.decisions};
    remove_letters_model(files.letters);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        unlink(all[i]);
    }
    return 0;
}

static void write_text(const char *path, const TextBuffer *text) {
    must(file_write_atomic(path, text->data, text->length));
}

static const char *const nouns[] = {"cat", "dog", "fig", "hen", "jug", "log"};

/* Records with words that recur; labels by chance. */
static void write_records(const char *path, int n, uint64_t seed) {
    TextBuffer text = TEXT_BUFFER_INIT;
    Random random;
    random_seed(&random, seed);
    for (int i = 0; i < n; i++) {
        const char *a = nouns[random_below(&random, 6)], *b = nouns[random_below(&random, 6)];
        const char *label = random_below(&random, 2) == 0 ? "d" : "f";
        text_buffer_printf(&text, "{\"id\": %d, \"text\": \"the %s met %s %d\", \"y\": \"%s\"}\n", i, a, b, i, label);
    }
    write_text(path, &text);
    text_buffer_free(&text);
}

static limn_status ask(Result **result, const char *more) {
    return call_method(result, "attribute",
                       "{\"model\": \"%s\", \"data\": \"%s\", \"template\": \"say {text} so\", \"choices\": \"d,f\", "
                       "\"flips\": 500%s}",
                       files.letters, files.data, more);
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    return block->content;
}

static const char labels[] = ", \"label-field\": \"y\"";

/* ---- against predict ---- */

/* log of the label's share, of each record of a file by its id, by `predict`. */
static void decide(const char *data, double *logs, int n) {
    Result *result;
    unlink(files.decisions);
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"template\": \"say {text} so\", \"choices\": \"d,f\", "
                     "\"label-field\": \"y\", \"id-field\": \"id\", \"decisions\": \"%s\"}",
                     files.letters, data, files.decisions));
    result_free(result);
    FILE *file = fopen(files.decisions, "r");
    char line[4096];
    int seen = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *one = json_loads(line, 0, NULL);
        const char *label = json_string_value(json_object_get(one, "label"));
        int id = atoi(json_string_value(json_object_get(one, "id")));
        assert_in_range(id, 0, n - 1);
        logs[id] = log(json_number_value(json_object_get(json_object_get(one, "probabilities"), label)));
        json_decref(one);
        seen++;
    }
    fclose(file);
    assert_int_equal(seen, n);
}

/* The word exchanged for "rag" in every record, and which records it stands in. */
static void write_changed(const char *word, bool *holds) {
    char *bytes;
    size_t length;
    must(file_read(&bytes, &length, files.data, 1 << 20));
    TextBuffer text = TEXT_BUFFER_INIT;
    int record = 0;
    for (const char *at = bytes, *end = bytes + length; at < end; record++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        holds[record] = false;
        while (at <= stop) {
            bool here = strncmp(at, word, strlen(word)) == 0 && at[-1] == ' ' && at[strlen(word)] == ' ';
            holds[record] = holds[record] || here;
            text_buffer_add_bytes(&text, here ? "rag" : at, here ? 3 : 1);
            at += here ? strlen(word) : 1;
        }
    }
    write_text(files.other, &text);
    text_buffer_free(&text);
    free(bytes);
}

/* Which records tested the word, and their labels, by the file of effects. */
static int tested(const char *word, bool *was_tested, const char **label, int n) {
    FILE *file = fopen(files.effects, "r"), *data = fopen(files.data, "r");
    char line[8192], key[32];
    snprintf(key, sizeof key, "0\t\t%s", word);
    memset(was_tested, 0, (size_t)n * sizeof *was_tested);
    int found = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *one = json_loads(line, 0, NULL);
        int record = (int)json_integer_value(json_object_get(one, "record"));
        was_tested[record] = json_object_get(json_object_get(one, "effects"), key) != NULL;
        found += was_tested[record];
        assert_true(!was_tested[record] || json_object_get(one, "scores") == NULL);
        json_decref(one);
    }
    for (int i = 0; fgets(line, sizeof line, data) != NULL; i++) {
        label[i] = strstr(line, "\"y\": \"d\"") != NULL ? "d" : "f";
    }
    fclose(file);
    fclose(data);
    return found;
}

/* How many words and places were tested, of which all intervals hold together. */
static int tested_together(const Result *result) {
    int n = 0;
    const char *said = strstr(result_find_block(result, "words")->note.bytes, "low to high: 95% for all ");
    assert_non_null(said);
    assert_int_equal(sscanf(said, "low to high: 95%% for all %d tested together", &n), 1);
    return n;
}

/* Welch's interval of the mean of both labels' means, at 95% for all rows together (Bonferroni). */
static void check_interval(const TableBlock *words, int32_t row, const double *after, const double *before,
                           const bool *was_tested, const char *const *label, int n) {
    double sum[2] = {0}, square[2] = {0}, count[2] = {0}, own[2], rest = 0;
    for (int i = 0; i < n; i++) {
        if (was_tested[i]) {
            double harm = after[i] - before[i];
            int of = label[i][0] == 'd';
            sum[of] += harm;
            square[of] += harm * harm;
            count[of] += 1;
        }
    }
    for (int of = 0; of < 2; of++) {
        own[of] = (square[of] - sum[of] * sum[of] / count[of]) / (count[of] - 1) / count[of];
        rest += own[of] * own[of] / (count[of] - 1);
    }
    double error = own[0] + own[1], freedom = error * error / rest;
    double reach = student_quantile(1 - 0.025 / words->n_rows, freedom) * sqrt(error) / 2;
    double harm = table_cell(words, row, 1)->number;
    assert_true(fabs(table_cell(words, row, 2)->number - (harm - reach)) <= 2e-4 + 1e-3 * reach);
    assert_true(fabs(table_cell(words, row, 3)->number - (harm + reach)) <= 2e-4 + 1e-3 * reach);
}

static void harm_is_what_predict_says(void **state) {
    enum { N = 160 };
    static double before[N], after[N];
    static bool holds[N], was_tested[N];
    static const char *label[N];
    write_records(files.data, N, 1);
    must(file_write_atomic(files.list, "rag\n", 4));
    unlink(files.effects);
    char more[256];
    snprintf(more, sizeof more, "%s, \"draws\": 1, \"replacements\": \"%s\", \"effects\": \"%s\", \"least\": 5", labels,
             files.list, files.effects);
    Result *result;
    must(ask(&result, more));
    static const char *const audited[] = {"words.word",
                                          "words.where",
                                          "words.harm",
                                          "words.low",
                                          "words.high",
                                          "words.p",
                                          "words.n",
                                          "decisions.word",
                                          "decisions.where",
                                          "decisions.wrong",
                                          "decisions.wrong without",
                                          NULL};
    assert_null(missing_column(result, audited));
    decide(files.data, before, N);
    const TableBlock *words = table_of(result, "words");
    assert_int_equal(tested_together(result), words->n_rows); /* all of them are listed */
    int compared = 0;
    double largest = 0, largest_gain = 0;
    for (int32_t r = 0; r < words->n_rows; r++) {
        const char *word = table_cell(words, r, 0)->text.bytes;
        if (strcmp(table_cell(words, r, 6)->text.bytes, "word") != 0 || strlen(word) != 3 || strcmp(word, "the") == 0) {
            continue;
        }
        write_changed(word, holds);
        decide(files.other, after, N);
        int n = tested(word, was_tested, label, N);
        double sums[2] = {0}, gains[2] = {0}, counts[2] = {0};
        for (int i = 0; i < N; i++) {
            if (was_tested[i]) {
                assert_true(holds[i]);
                sums[label[i][0] == 'd'] += after[i] - before[i];
                gains[label[i][0] == 'd'] += exp(after[i]) - exp(before[i]);
                counts[label[i][0] == 'd'] += 1;
            }
        }
        assert_int_equal(n, table_cell(words, r, 4)->integer);
        assert_true(counts[0] > 0 && counts[1] > 0);
        double harm = (sums[0] / counts[0] + sums[1] / counts[1]) / 2;
        if (!(fabs(table_cell(words, r, 1)->number - harm) <= 1e-4)) {
            fail_msg("%s: %g, expected %g", word, table_cell(words, r, 1)->number, harm);
        }
        double gain = (gains[0] / counts[0] + gains[1] / counts[1]) / 2;
        if (!(fabs(table_cell(words, r, 7)->number - gain) <= 1e-4)) {
            fail_msg("%s: gain %g, expected %g", word, table_cell(words, r, 7)->number, gain);
        }
        check_interval(words, r, after, before, was_tested, label, N);
        largest_gain = fmax(largest_gain, fabs(gain));
        largest = fmax(largest, fabs(harm));
        compared++;
    }
    assert_true(largest > 5e-3 && largest_gain > 1e-3); /* something to compare */
    assert_in_range(compared, 3, 7);
    result_free(result);
}

/* ---- going on ---- */

static char *blocks_of(const Result *result) {
    TextBuffer out = TEXT_BUFFER_INIT;
    for (int32_t b = 0; b < result->n_blocks; b++) {
        const TableBlock *table = result->blocks[b].content;
        for (int32_t i = 0; i < table->n_rows * table->n_columns; i++) {
            const Value *cell = &table->cells[i];
            text_buffer_printf(&out, "%d %lld %a %s\n", (int)cell->kind, (long long)cell->integer, cell->number,
                               cell->kind == VALUE_TEXT ? cell->text.bytes : "");
        }
    }
    for (int32_t c = 0; c < result->n_checks; c++) {
        text_buffer_printf(&out, "%s %a\n", result->checks[c].name.bytes, result->checks[c].value);
    }
    text_buffer_add(&out, result->headline.bytes);
    must(text_buffer_status(&out));
    return out.data;
}

static void a_run_goes_on(void **state) {
    write_records(files.data, 120, 2);
    unlink(files.effects);
    char more[256];
    snprintf(more, sizeof more, "%s, \"effects\": \"%s\", \"least\": 5", labels, files.effects);
    Result *whole, *part;
    must(ask(&whole, more));
    char *bytes, *again, *want = blocks_of(whole);
    size_t length, again_length;
    must(file_read(&bytes, &length, files.effects, 1 << 24));
    const size_t cuts[] = {0, length / 5, length / 2, length - 7, length};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        must(file_write_atomic(files.effects, bytes, cuts[i]));
        must(ask(&part, more));
        char *got = blocks_of(part);
        assert_string_equal(got, want);
        free(got);
        result_free(part);
        must(file_read(&again, &again_length, files.effects, 1 << 24));
        assert_int_equal(again_length, length);
        assert_memory_equal(again, bytes, length);
        free(again);
    }
    /* it is another question's */
    snprintf(more, sizeof more, "%s, \"effects\": \"%s\", \"least\": 6", labels, files.effects);
    assert_int_equal(ask(&part, more), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "other numbers asked for"));
    write_records(files.data, 121, 3);
    snprintf(more, sizeof more, "%s, \"effects\": \"%s\", \"least\": 5", labels, files.effects);
    assert_int_equal(ask(&part, more), LIMN_USAGE);
    free(bytes);
    free(want);
    result_free(whole);
}

/* ---- who is tested ---- */

static bool has_row(const TableBlock *table, const char *word, const char *where, int32_t column) {
    for (int32_t r = 0; r < table->n_rows; r++) {
        if (strcmp(table_cell(table, r, 0)->text.bytes, word) == 0 &&
            strcmp(table_cell(table, r, column)->text.bytes, where) == 0) {
            return true;
        }
    }
    return false;
}

/* Openings, endings and places are suspects too; of nested ones the longest; fields by their names. */
static void places_are_suspects(void **state) {
    TextBuffer text = TEXT_BUFFER_INIT;
    static const char *const ends[] = {"so says dad", "he did go",  "it is red",
                                       "we run far",  "do not ask", "an old hat"};
    for (int i = 0; i < 240; i++) {
        const char *end = ends[i / 2 % 6];
        text_buffer_printf(&text, "{\"text\": \"at %d the %s met %s\", \"who\": \"%s %d\", \"y\": \"%s\"}\n", i,
                           nouns[i % 6], end, nouns[i % 5], i, i % 2 == 0 ? "d" : "f");
    }
    write_text(files.data, &text);
    text_buffer_free(&text);
    Result *result;
    must(call_method(&result, "attribute",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"template\": \"by {who}: {text}.\", \"choices\": \"d,f\", "
                     "\"label-field\": \"y\", \"where\": \"pred != 'x'\", \"flips\": 200, \"least\": 5, "
                     "\"words\": 1000}",
                     files.letters, files.data));
    const TableBlock *tested_ones = table_of(result, "nominated");
    assert_true(has_row(tested_ones, "<first words: text>", "first words", 1));
    assert_true(has_row(tested_ones, "<last words: text>", "last words", 1));
    assert_true(has_row(tested_ones, "<field: who>", "field", 1));
    assert_true(has_row(tested_ones, "<field: text>", "field", 1));
    int endings = 0;
    for (int32_t r = 0; r < tested_ones->n_rows; r++) {
        const char *word = table_cell(tested_ones, r, 0)->text.bytes;
        bool ending = strcmp(table_cell(tested_ones, r, 1)->text.bytes, "ending") == 0;
        assert_false(ending && strncmp(word, "says", 4) == 0); /* "so says dad" is what recurs */
        endings += ending;
    }
    assert_true(endings > 0);
    result_free(result);
}

/* Without labels there is a ranking, and it says so. */
static void without_labels_nothing_is_tested(void **state) {
    write_records(files.data, 80, 5);
    Result *result;
    must(ask(&result, ", \"least\": 5"));
    const TableBlock *words = table_of(result, "words");
    assert_int_equal(words->n_columns, 8);
    for (int32_t r = 0; r < words->n_rows; r++) {
        assert_int_equal(table_cell(words, r, 5)->kind, VALUE_NULL);
    }
    assert_non_null(strstr(result->headline.bytes, "a ranking"));
    assert_int_equal(result->n_warnings, 1);
    result_free(result);
}

/* A field that holds the template all prompts share: that stays. */
static void what_all_share_stays(void **state) {
    TextBuffer text = TEXT_BUFFER_INIT;
    for (int i = 0; i < 80; i++) {
        text_buffer_printf(&text, "{\"p\": \"say the %s %d met %s now\", \"y\": \"%s\"}\n", nouns[i % 6], i,
                           nouns[i % 5], i % 2 == 0 ? "d" : "f");
    }
    write_text(files.data, &text);
    text_buffer_free(&text);
    Result *result;
    unlink(files.effects);
    must(call_method(&result, "attribute",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"p\", \"choices\": \"d,f\", "
                     "\"where\": \"pred != 'x'\", \"flips\": 200, \"least\": 5, \"effects\": \"%s\"}",
                     files.letters, files.data, files.effects));
    result_free(result);
    char *bytes;
    size_t length;
    must(file_read(&bytes, &length, files.effects, 1 << 24));
    assert_non_null(strstr(bytes, "\"0\\t\\tmet\""));
    assert_null(strstr(bytes, "\"0\\t\\tsay\""));
    assert_null(strstr(bytes, "\"0\\t\\tnow\""));
    free(bytes);
}

/* ---- chance ---- */

enum { RUNS = 20, MOST_ALARMS = 2 };

/* Whether a run names anything at .05. */
static bool alarms(const Result *result) {
    const TableBlock *words = table_of(result, "words");
    for (int32_t r = 0; r < words->n_rows; r++) {
        if (table_cell(words, r, 5)->number <= 0.05) {
            print_message("  named: %s, harm %g, p %g\n", table_cell(words, r, 0)->text.bytes,
                          table_cell(words, r, 1)->number, table_cell(words, r, 5)->number);
            return true;
        }
    }
    return false;
}

/* Labels that have nothing to do with the texts: of twenty runs one may raise an alarm, and two are not surprising. */
static void chance_raises_nothing(void **state) {
    int raised = 0;
    for (int run_ = 0; run_ < RUNS; run_++) {
        Result *result;
        char more[128];
        write_records(files.data, 120, 100 + (uint64_t)run_);
        snprintf(more, sizeof more, "%s, \"least\": 8, \"seed\": %d", labels, run_);
        must(ask(&result, more));
        raised += alarms(result);
        result_free(result);
    }
    assert_in_range(raised, 0, MOST_ALARMS);
}

/* ---- prompts that are too long ---- */

enum { READ = 64, LONG = 160 }; /* tokens of a prompt; letters of a record */

/* Records of so many letters of which some words recur, and the same with what is cut cut by hand. */
static void write_long(const char *way, bool by_hand) {
    TextBuffer out = TEXT_BUFFER_INIT;
    Random random;
    random_seed(&random, 11);
    for (int i = 0; i < 120; i++) {
        char junk[LONG - READ + 12], words[64], text[2 * LONG];
        const char *a = nouns[random_below(&random, 6)], *b = nouns[random_below(&random, 6)];
        for (size_t k = 0; k + 1 < sizeof junk; k++) {
            junk[k] = (char)('d' + random_below(&random, 20)); /* no c, which joins b */
        }
        junk[sizeof junk - 1] = '\0';
        snprintf(words, sizeof words, " the %s met %s for ", a, b);
        bool right = strcmp(way, "right") == 0, middle = strcmp(way, "middle") == 0;
        snprintf(text, sizeof text, "%s%s%s%s", right || middle ? words + 1 : junk, right || middle ? junk : words,
                 middle ? words : "", right || middle ? "" : "now");
        size_t n = strlen(text);
        assert_true(n > READ);
        if (by_hand && middle) {
            memmove(text + READ / 2, text + n - READ / 2, READ / 2 + 1);
        } else if (by_hand && right) {
            text[READ] = '\0';
        } else if (by_hand) {
            memmove(text, text + n - READ, READ + 1);
        }
        text_buffer_printf(&out, "{\"text\": \"%s\", \"y\": \"%s\"}\n", text, i % 2 == 0 ? "d" : "f");
    }
    write_text(files.data, &out);
    text_buffer_free(&out);
}

static limn_status ask_long(Result **result, const char *way) {
    return call_method(result, "attribute",
                       "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"d,f\", "
                       "\"label-field\": \"y\", \"flips\": 200, \"draws\": 1, \"replacements\": \"%s\", "
                       "\"where\": \"pred != 'x'\", \"least\": 5, \"truncate\": \"%s\"}",
                       files.letters, files.data, files.list, way);
}

/* What is found of long prompts is what is found of what the model reads of them. */
static void long_prompts_are_cut(void **state) {
    static const char *const ways[] = {"left", "right", "middle"};
    must(file_write_atomic(files.list, "rag\n", 4));
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        Result *cut, *by_hand;
        write_long(ways[w], false);
        assert_int_equal(ask_long(&cut, "no"), LIMN_RANGE);
        must(ask_long(&cut, ways[w]));
        write_long(ways[w], true);
        must(ask_long(&by_hand, "no"));
        const TableBlock *found = table_of(cut, "words"), *wanted = table_of(by_hand, "words");
        assert_int_equal(found->n_rows, wanted->n_rows);
        assert_true(found->n_rows >= 3);
        for (int32_t r = 0; r < found->n_rows; r++) {
            assert_string_equal(table_cell(found, r, 0)->text.bytes, table_cell(wanted, r, 0)->text.bytes);
            assert_int_equal(table_cell(found, r, 4)->integer, table_cell(wanted, r, 4)->integer);
            if (!(fabs(table_cell(found, r, 1)->number - table_cell(wanted, r, 1)->number) <= 1e-6)) {
                fail_msg("%s: %s: %g, by hand %g", ways[w], table_cell(found, r, 0)->text.bytes,
                         table_cell(found, r, 1)->number, table_cell(wanted, r, 1)->number);
            }
        }
        assert_int_equal(cut->n_warnings, 1);
        assert_non_null(strstr(cut->warnings[0].bytes, "120 of 120 prompts were longer"));
        assert_int_equal(by_hand->n_warnings, 0);
        result_free(cut);
        result_free(by_hand);
    }
}

/* ---- what is said ---- */

static bool is_chinese(Text text) {
    for (size_t i = 0; i + 1 < text.length; i++) {
        if ((unsigned char)text.bytes[i] >= 0xE4) {
            return true;
        }
    }
    return false;
}

/* In Chinese all of it: title, note, cells that are words, warnings. */
static void speaks_chinese(void **state) {
    write_records(files.data, 80, 5);
    for (int with_labels = 0; with_labels < 2; with_labels++) {
        Result *result;
        char more[128];
        snprintf(more, sizeof more, ", \"least\": 5, \"language\": \"zh\"%s", with_labels ? labels : "");
        must(ask(&result, more));
        assert_true(is_chinese(result->headline));
        for (int32_t b = 0; b < result->n_blocks; b++) {
            const Block *block = &result->blocks[b];
            if (!is_chinese(block->title) || !is_chinese(block->note)) {
                fail_msg("%s: %s / %s", block->id, block->title.bytes, block->note.bytes);
            }
        }
        for (int32_t i = 0; i < result->n_warnings; i++) {
            assert_true(is_chinese(result->warnings[i]));
        }
        assert_true(is_chinese(table_cell(table_of(result, "halves"), 0, 0)->text));
        result_free(result);
    }
}

/* Harm is drawn: a bar with its interval behind it. */
static void harm_is_a_picture(void **state) {
    write_records(files.data, 80, 5);
    Result *result;
    char more[128];
    snprintf(more, sizeof more, "%s, \"least\": 5", labels);
    must(ask(&result, more));
    const TableBlock *words = table_of(result, "words");
    assert_int_equal(words->columns[1].kind, COLUMN_BAR);
    assert_string_equal(words->columns[2].name.bytes, "low");
    assert_string_equal(words->columns[3].name.bytes, "high");
    result_free(result);
}

/* ---- what is refused ---- */

static void refused(limn_status status, const char *more, const char *says) {
    Result *result;
    limn_status found = ask(&result, more);
    if (found != status || strstr(error_message(), says) == NULL) {
        fail_msg("%s: %s, found %s, expected %s and '%s'", more, error_message(), status_name(found),
                 status_name(status), says);
    }
    assert_int_equal(status_exit_code(found), 2);
}

static void bad_questions_are_refused(void **state) {
    write_records(files.data, 60, 7);
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"where\": \"pred == 'none of these'\"",
            "--where holds for none of");
    refused(LIMN_NOT_FOUND, ", \"label-field\": \"y\", \"where\": \"pred != lable\", \"least\": 5", "'lable'");
    refused(LIMN_NOT_FOUND, ", \"label-field\": \"z\"", "'z'");
    refused(LIMN_NOT_FOUND, ", \"where\": \"pred != label\"", "'label'"); /* which no record has */
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"least\": 50", "no word occurs in 50 or more");
    refused(LIMN_USAGE, ", \"label-field\": \"id\"", "is none of d, f");
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"only\": \"id > 1000\"", "no records for which --only holds");
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"inputs\": 9", "expected at least the 10 of --least");
    must(file_write_atomic(files.list, "?!\n", 3));
    char more[192];
    snprintf(more, sizeof more, "%s, \"least\": 4, \"where\": \"pred != 'x'\", \"replacements\": \"%s\"", labels,
             files.list);
    refused(LIMN_USAGE, more, "has no word that fits");
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"method\": \"predict\"", "predict");
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"method\": \"grad,lrp\"", "found 2 methods, expected one");
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"method\": \"lrp:rule=relp\"", "rule");
    Result *result;
    must(ask(&result, ", \"least\": 5, \"method\": \"lrp:rules=relp\""));
    result_free(result);
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"labels\": \"a\"", "--labels");
    refused(LIMN_USAGE, ", \"label-field\": \"y\", \"where\": \"pred =! label\"", "where");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(harm_is_what_predict_says), cmocka_unit_test(a_run_goes_on),
        cmocka_unit_test(places_are_suspects),       cmocka_unit_test(without_labels_nothing_is_tested),
        cmocka_unit_test(what_all_share_stays),      cmocka_unit_test(chance_raises_nothing),
        cmocka_unit_test(long_prompts_are_cut),      cmocka_unit_test(speaks_chinese),
        cmocka_unit_test(harm_is_a_picture),         cmocka_unit_test(bad_questions_are_refused),
    };
    return cmocka_run_group_tests_name("attribute", tests, set_up, tear_down);
}
