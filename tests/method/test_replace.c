/* `replace`: effects as plain passes of transformers give them, whatever was shared and batched; draws that fit; the
 * same bytes for a seed; what stays, and what is refused. */
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
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

typedef struct Fixture {
    char letters[64];
    char list[64];
} Fixture;

static json_t *golden;

static void write_lines(const char *path, const json_t *lines) {
    TextBuffer text = TEXT_BUFFER_INIT;
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line) {
        text_buffer_printf(&text, "%s\n", json_string_value(line));
    }
    assert_int_equal(file_write_atomic(path, text.data, text.length), LIMN_OK);
    text_buffer_free(&text);
}

static int set_up(void **state) {
    static Fixture fixture;
    make_letters_model(fixture.letters);
    golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/replace/effects.json", 0, NULL);
    if (golden == NULL) {
        return -1;
    }
    snprintf(fixture.list, sizeof fixture.list, "/tmp/limn-replace-%d.txt", (int)getpid());
    write_lines(fixture.list, json_object_get(golden, "lines"));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const Fixture *fixture = *state;
    remove_letters_model(fixture->letters);
    unlink(fixture->list);
    json_decref(golden);
    return 0;
}

static void near(double found, double expected, double tolerance, const char *what) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    assert_int_equal(block->kind, BLOCK_TABLE);
    return block->content;
}

/* The row of `effects` whose word begins at this token; -1: none. */
static int32_t row_at(const TableBlock *table, int64_t position) {
    for (int32_t r = 0; r < table->n_rows; r++) {
        if (table_cell(table, r, 1)->integer == position) {
            return r;
        }
    }
    return -1;
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

static void equals_plain_passes(void **state) {
    const Fixture *fixture = *state;
    size_t i, w;
    json_t *one, *expected;
    json_array_foreach(json_object_get(golden, "cases"), i, one) {
        json_t *params = json_pack("{s:s, s:O, s:O, s:s, s:i, s:i}", "model", fixture->letters, "prompt",
                                   json_object_get(one, "prompt"), "target", json_object_get(one, "target"),
                                   "replacements", fixture->list, "screen", 14, "leading", 3);
        if (!json_is_null(json_object_get(one, "contrast"))) {
            json_object_set(params, "contrast", json_object_get(one, "contrast"));
        }
        char *text = json_dumps(params, 0);
        Result *result;
        if (call_method(&result, "replace", "%s", text) != LIMN_OK) {
            fail_msg("%s", error_message());
        }
        const TableBlock *table = table_of(result, "effects");
        const Block *strip = result_find_block(result, "attribution");
        const TokenGrouping *words = tokens_grouping(strip->content, "word");
        json_array_foreach(json_object_get(one, "effects"), w, expected) {
            const TokenGroup *group = &words->groups[2 * w]; /* the spaces between are groups of their own */
            int32_t r = row_at(table, group->begin);
            assert_true(r >= 0);
            double effect = json_number_value(json_object_get(expected, "effect"));
            near(table_cell(table, r, 2)->number, effect, 1e-4, "effect");
            near(group->score, effect, 1e-4, "score");
            assert_int_equal(table_cell(table, r, 5)->integer, json_integer_value(json_object_get(expected, "n")));
        }
        const ResultCheck *plain = check_of(result, "plain pass");
        assert_true(plain != NULL && plain->state == CHECK_PASS);
        result_free(result);
        free(text);
        json_decref(params);
    }
}

/* Words of the leading ones have intervals at the level of all that were tried. */
static void intervals_are_corrected(void **state) {
    const Fixture *fixture = *state;
    const json_t *one = json_array_get(json_object_get(golden, "cases"), 0);
    Result *result;
    assert_int_equal(
        call_method(&result, "replace",
                    "{\"model\": \"%s\", \"prompt\": \"a cab for a dad\", \"target\": \"e\", \"contrast\": "
                    "\"i\", \"replacements\": \"%s\", \"leading\": 5}",
                    fixture->letters, fixture->list),
        LIMN_OK);
    const TableBlock *table = table_of(result, "effects");
    const json_t *dad = json_array_get(json_object_get(one, "effects"), 4);
    int32_t with = 0, r = row_at(table, 12); /* "a cab for a dad" */
    for (int32_t k = 0; k < table->n_rows; k++) {
        with += table_cell(table, k, 3)->kind == VALUE_NUMBER ? 1 : 0;
    }
    assert_true(with >= 3 && table->n_rows == 5); /* at most two of the leading ones speak against */
    near(table_cell(table, r, 3)->number, json_number_value(json_object_get(dad, "low")), 1e-4, "low");
    near(table_cell(table, r, 4)->number, json_number_value(json_object_get(dad, "high")), 1e-4, "high");
    near(table_cell(table, r, 6)->number, json_number_value(json_object_get(dad, "p")), 1e-4, "p");
    result_free(result);
}

static Result *replaced(const Fixture *fixture, const char *more) {
    Result *result = NULL;
    if (call_method(&result, "replace",
                    "{\"model\": \"%s\", \"prompt\": \"the cat sat on a red mat\", \"target\": \"e\"%s}",
                    fixture->letters, more) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return result;
}

static char *document(const Result *result) {
    TextBuffer text = TEXT_BUFFER_INIT;
    assert_int_equal(result_write_json(&text, result, false), LIMN_OK);
    return text.data;
}

static void repeats_itself(void **state) {
    Result *first = replaced(*state, ""), *second = replaced(*state, ", \"threads\": 1"),
           *third = replaced(*state, ", \"seed\": 7");
    char *a = document(first), *b = document(second), *c = document(third);
    char *threads = strstr(a, "\"threads\": "); /* provenance says how many worked; nothing else may differ */
    char *other = strstr(b, "\"threads\": ");
    assert_non_null(threads);
    assert_non_null(other);
    threads[11] = other[11] = '#';
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    free(a);
    free(b);
    free(c);
    result_free(first);
    result_free(second);
    result_free(third);
}

/* Draws are other words of the kind, each once, none the word's own form or the answer. */
static void draws_fit(void **state) {
    Result *result = replaced(*state, ", \"leading\": 7");
    const TableBlock *table = table_of(result, "draws");
    assert_true(table->n_rows == 7);
    for (int32_t r = 0; r < table->n_rows; r++) {
        char *copy = strdup(table_cell(table, r, 3)->text.bytes), *rest = copy, *seen[64];
        const char *word = table_cell(table, r, 0)->text.bytes;
        int n = 0;
        for (char *draw = strtok_r(copy, ", ", &rest); draw != NULL; draw = strtok_r(NULL, ", ", &rest)) {
            assert_string_not_equal(draw, word);
            assert_string_not_equal(draw, "e");
            for (const char *c = draw; *c != '\0'; c++) {
                assert_in_range(*c, 'a', 'z');
            }
            for (int k = 0; k < n; k++) {
                assert_string_not_equal(draw, seen[k]);
            }
            seen[n++] = draw;
        }
        assert_in_range(n, 2, 32);
        free(copy);
    }
    result_free(result);
}

static void what_is_fixed_stays(void **state) {
    Result *result = replaced(*state, ", \"fixed\": [\"cat sat\", \"0:3\"], \"at\": \"-5\"");
    const TokensBlock *strip = result_find_block(result, "attribution")->content;
    const TokenGrouping *words = tokens_grouping(strip, "word");
    /* the, cat, sat stay as asked, red since the answer is read in it, mat since the answer cannot see it */
    static const bool fixed[] = {true, true, true, false, false, true, true};
    for (int32_t w = 0; w < words->n; w += 2) { /* the spaces between are groups of their own */
        assert_int_equal(isnan(words->groups[w].score) != 0, fixed[w / 2]);
        assert_int_equal(strip->items[words->groups[w].begin].state, fixed[w / 2] ? TOKEN_FIXED : TOKEN_SCORED);
    }
    result_free(result);
}

static void sentences_and_pairs(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    assert_int_equal(
        call_method(&result, "replace",
                    "{\"model\": \"%s\", \"prompt\": \"the cat sat\", \"target\": \"e\", \"by\": \"sentence\"}",
                    fixture->letters),
        LIMN_OK);
    const TableBlock *whole = table_of(result, "effects");
    assert_int_equal(whole->n_rows, 1);
    assert_string_equal(table_cell(whole, 0, 0)->text.bytes, "the cat sat");
    result_free(result);
    result = replaced(*state, ", \"pairs\": true");
    const TableBlock *pairs = table_of(result, "pairs");
    assert_int_equal(pairs->n_rows, 10);
    for (int32_t r = 0; r < pairs->n_rows; r++) {
        assert_true(table_cell(pairs, r, 8)->integer >= 8);
    }
    result_free(result);
}

/* Of a larger unit each word has its draw; what stays of it stands before, between and behind. */
static void what_is_fixed_stays_in_a_sentence(void **state) {
    static const struct {
        const char *fixed, *begins, *ends;
    } rows[] = {{"sat", "", " sat"}, {"the", "the ", ""}, {"cat", "", ""}};
    const Fixture *fixture = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Result *result;
        assert_int_equal(call_method(&result, "replace",
                                     "{\"model\": \"%s\", \"prompt\": \"the cat sat\", \"target\": \"e\", \"by\": "
                                     "\"sentence\", \"fixed\": [\"%s\"]}",
                                     fixture->letters, rows[i].fixed),
                         LIMN_OK);
        char *copy = strdup(table_cell(table_of(result, "draws"), 0, 3)->text.bytes), *rest = copy;
        int n = 0;
        for (char *draw = strtok_r(copy, ",", &rest); draw != NULL; draw = strtok_r(NULL, ",", &rest), n++) {
            const char *own = draw + (n > 0 ? 1 : 0); /* behind ", " */
            size_t length = strlen(own), begins = strlen(rows[i].begins), ends = strlen(rows[i].ends);
            assert_string_not_equal(own, "the cat sat");
            assert_memory_equal(own, rows[i].begins, begins);
            assert_string_equal(own + length - ends, rows[i].ends);
            assert_true(strcmp(rows[i].fixed, "cat") != 0 || strstr(own, " cat ") != NULL);
            const char *space = strchr(own, ' ');
            assert_true(space != NULL && strchr(space + 1, ' ') != NULL && own[length - 1] != ' ');
        }
        assert_true(n >= 2);
        free(copy);
        result_free(result);
    }
}

/* Fields are exchanged for what other records have in them, messages word by word; the template's own words stay. */
static void fields_draw_from_other_records(void **state) {
    static const char records[] = "{\"q\": \"the cat sat\", \"a\": \"red\"}\n"
                                  "{\"q\": \"my dog ran\", \"a\": \"blue\"}\n"
                                  "{\"q\": \"you hid it\", \"a\": \"red\"}\n"
                                  "{\"q\": \"go on\", \"a\": \"green\"}\n";
    static const char *const own[] = {"my dog ran", "blue"};
    static const char *const others[2][4] = {{"the cat sat", "you hid it", "go on", NULL}, {"red", "green", NULL}};
    const Fixture *fixture = *state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/limn-fields-%d.jsonl", (int)getpid());
    assert_int_equal(file_write_atomic(path, records, strlen(records)), LIMN_OK);
    Result *result;
    if (call_method(&result, "replace",
                    "{\"model\": \"%s\", \"data\": \"%s\", \"template\": \"so {q} or {a} no\", \"record\": 1, "
                    "\"target\": \"e\", \"by\": \"field\"}",
                    fixture->letters, path) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    const TableBlock *table = table_of(result, "draws");
    assert_int_equal(table_of(result, "effects")->n_rows, 2);
    assert_int_equal(table->n_rows, 2);
    for (int32_t r = 0; r < 2; r++) {
        int field = strcmp(table_cell(table, r, 0)->text.bytes, own[0]) == 0 ? 0 : 1;
        assert_string_equal(table_cell(table, r, 0)->text.bytes, own[field]);
        assert_string_equal(table_cell(table, r, 2)->text.bytes, "data");
        char *copy = strdup(table_cell(table, r, 3)->text.bytes), *rest = copy;
        int n = 0, expected = 0;
        for (char *draw = strtok_r(copy, ",", &rest); draw != NULL; draw = strtok_r(NULL, ",", &rest), n++) {
            bool found = false;
            for (int k = 0; others[field][k] != NULL; k++) {
                found = found || strcmp(draw + (n > 0 ? 1 : 0), others[field][k]) == 0;
            }
            assert_true(found);
        }
        while (others[field][expected] != NULL) {
            expected++;
        }
        assert_int_equal(n, expected); /* each text once */
        free(copy);
    }
    result_free(result);
    unlink(path);
}

/* Documents are what of them the chat's template wrote out, messages what it made of each. */
static void documents_and_messages_are_units(void **state) {
    static const struct {
        const char *by;
        const char *units[3]; /* in their order */
    } rows[] = {{"document", {"the cat sat", "go on", NULL}}, {"message", {"ask", "how", NULL}}};
    static const char documents[] =
        "[{\"title\": \"no\", \"text\": \"the cat sat\"}, {\"text\": \"go on\"}, {\"text\": \"absent\"}]";
    static const char source[] = "{{ documents[0].text }} so {{ documents[1].text }} or"
                                 "{% for m in messages %} {{ m.content }}{% endfor %}";
    const Fixture *fixture = *state;
    char list[64], template[64];
    snprintf(list, sizeof list, "/tmp/limn-documents-%d.json", (int)getpid());
    snprintf(template, sizeof template, "/tmp/limn-template-%d.jinja", (int)getpid());
    assert_int_equal(file_write_atomic(list, documents, strlen(documents)), LIMN_OK);
    assert_int_equal(file_write_atomic(template, source, strlen(source)), LIMN_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Result *result;
        if (call_method(
                &result, "replace",
                "{\"model\": \"%s\", \"messages\": \"[{\\\"role\\\": \\\"user\\\", \\\"content\\\": \\\"ask\\\"}, "
                "{\\\"role\\\": \\\"user\\\", \\\"content\\\": \\\"how\\\"}]\", \"documents\": \"%s\", "
                "\"chat-template\": \"%s\", \"target\": \"e\", \"by\": \"%s\"}",
                fixture->letters, list, template, rows[i].by) != LIMN_OK) {
            fail_msg("%s: %s", rows[i].by, error_message());
        }
        const TableBlock *table = table_of(result, "effects");
        int n = 0;
        for (; rows[i].units[n] != NULL; n++) {
            bool found = false;
            for (int32_t r = 0; r < table->n_rows; r++) {
                found = found || strcmp(table_cell(table, r, 0)->text.bytes, rows[i].units[n]) == 0;
            }
            assert_true(found);
        }
        assert_int_equal(table->n_rows, n);
        result_free(result);
    }
    unlink(list);
    unlink(template);
}

static void refused(limn_status expected, const char *part, const char *format, const char *model, const char *path) {
    Result *result = NULL;
    limn_status status = call_method(&result, "replace", format, model, path);
    if (status != expected || strstr(error_message(), part) == NULL) {
        fail_msg("status %d, \"%s\", expected a refusal with \"%s\"", (int)status, error_message(), part);
    }
    assert_null(result);
}

static void refusals(void **state) {
    const Fixture *fixture = *state;
    const char *model = fixture->letters;
    char numbers[80], empty[80];
    snprintf(numbers, sizeof numbers, "%s.numbers", fixture->list);
    snprintf(empty, sizeof empty, "%s.empty", fixture->list);
    assert_int_equal(file_write_atomic(numbers, "12\n345\n", 7), LIMN_OK);
    assert_int_equal(file_write_atomic(empty, "\n \n", 3), LIMN_OK);
    refused(LIMN_USAGE, "no word of the kind", "{\"model\": \"%s\", \"prompt\": \"a cab\", \"replacements\": \"%s\"}",
            model, numbers);
    refused(LIMN_USAGE, "has no lines", "{\"model\": \"%s\", \"prompt\": \"a cab\", \"replacements\": \"%s\"}", model,
            empty);
    refused(LIMN_USAGE, "no word of the prompt may be exchanged",
            "{\"model\": \"%s\", \"prompt\": \"a cab\", \"fixed\": [\"a cab\"]}", model, "");
    refused(LIMN_NOT_FOUND, "does not hold 'dog'", "{\"model\": \"%s\", \"prompt\": \"a cab\", \"fixed\": [\"dog\"]}",
            model, "");
    refused(LIMN_RANGE, "0:5", "{\"model\": \"%s\", \"prompt\": \"a cab\", \"fixed\": [\"3:9\"]}", model, "");
    refused(LIMN_USAGE, "given as ids", "{\"model\": \"%s\", \"ids\": [1, 0, 2]}", model, "");
    refused(LIMN_USAGE, "needs messages", "{\"model\": \"%s\", \"prompt\": \"a cab\", \"by\": \"message\"}", model, "");
    unlink(numbers);
    unlink(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_plain_passes),
        cmocka_unit_test(intervals_are_corrected),
        cmocka_unit_test(repeats_itself),
        cmocka_unit_test(draws_fit),
        cmocka_unit_test(what_is_fixed_stays),
        cmocka_unit_test(sentences_and_pairs),
        cmocka_unit_test(what_is_fixed_stays_in_a_sentence),
        cmocka_unit_test(fields_draw_from_other_records),
        cmocka_unit_test(documents_and_messages_are_units),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("replace", tests, set_up, tear_down);
}
