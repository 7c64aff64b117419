/* `report`: what it makes of results whose checks, sections and texts are known; which it refuses. */
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

#define GOLDEN LIMN_TEST_SOURCE_DIR "/tests/result/golden/"

static char path[64];

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    snprintf(path, sizeof path, "/tmp/limn-report-%d.json", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    unlink(path);
    return 0;
}

static void write_result(Result *result) {
    TextBuffer json = TEXT_BUFFER_INIT;
    must(result_write_json(&json, result, true));
    must(file_write_atomic(path, json.data, json.length));
    text_buffer_free(&json);
    result_free(result);
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    if (block == NULL || block->kind != BLOCK_TABLE) {
        fail_msg("no table %s", id);
    }
    return block->content;
}

static void assert_cell(const Result *result, const char *id, int32_t row, int32_t column, const char *expected) {
    const Value *value = table_cell(table_of(result, id), row, column);
    assert_int_equal(value->kind, VALUE_TEXT);
    assert_string_equal(value->text.bytes, expected);
}

static const char *cell_text(const TableBlock *table, int32_t row, int32_t column) {
    return table_cell(table, row, column)->text.bytes;
}

static int32_t level_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    if (block == NULL || block->kind != BLOCK_SECTION) {
        fail_msg("no section %s", id);
    }
    return ((const SectionBlock *)block->content)->level;
}

/* Checks of all, failed ones first, each under the number of its result; a section for each, one level down. */
static void test_order(void **state) {
    static const char *const names[] = {"1. deletion", "2. accuracy",     "3. deletion",    "1. cause",
                                        "3. cause",    "1. completeness", "3. completeness"};
    Result *result;
    must(call_method(&result, "report", "{\"result\": [\"%s\", \"%s\", \"%s\"]}", GOLDEN "sample.json",
                     GOLDEN "report.json", GOLDEN "sample.json"));
    assert_int_equal(result->n_checks, 7);
    for (int32_t i = 0; i < 7; i++) {
        assert_string_equal(result->checks[i].name.bytes, names[i]);
        assert_int_equal(result->checks[i].advisory, strstr(names[i], "cause") != NULL);
    }
    assert_int_equal(result_verdict(result), CHECK_FAIL);
    assert_string_equal(result->headline.bytes, "Report of 3 results: of 5 checks 3 failed, 0 are undecided");
    assert_int_equal(result->n_warnings, 2);
    assert_memory_equal(result->warnings[0].bytes, "1. ", 3);
    assert_cell(result, "results", 0, 4, "1 / 2");
    assert_int_equal(level_of(result, "r1"), 1);
    assert_int_equal(level_of(result, "r2"), 1);
    assert_int_equal(level_of(result, "r2-b1-in-short"), 2);
    int32_t before = 0;
    for (int32_t i = 0; i < result->n_blocks; i++) { /* in the order given */
        int number = 0;
        if (sscanf(result->blocks[i].id, "r%d", &number) == 1 && number > 0) {
            assert_true(number >= before);
            before = number;
        }
    }
    assert_int_equal(before, 3);
    const TextBlock *said = result_find_block(result, "r1-said")->content;
    assert_string_equal(said->text.bytes, "\" Mary\" is the likeliest next token.");
    assert_int_equal(table_of(result, "models")->n_rows, 1); /* the same model twice */
    assert_cell(result, "models", 0, 3, "1, 3");
    assert_null(result->measured.started.bytes);
    result_free(result);
}

/* Models and adapters, each by its own name and hash, with the results that are of it. */
static void test_models(void **state) {
    static const char *const hashes[] = {"aa", "bb", "cc", "dd"};
    const ResultAdapter adapters[] = {
        {TEXT("first"), TEXT("bb"), 1}, {TEXT("second"), TEXT("cc"), 0.5}, {TEXT("third"), TEXT("dd"), 1}};
    Result *made, *result;
    must(result_new(&made, "run", "Run"));
    result_model(made, &(ResultModel){TEXT("base"), TEXT("LlamaForCausalLM"), TEXT("F32"), TEXT("aa")});
    result_provenance(made, &(ResultProvenance){.adapters = adapters, .n_adapters = 3});
    write_result(made);
    must(call_method(&result, "report", "{\"result\": [\"%s\", \"%s\"]}", path, GOLDEN "sample.json"));
    static const char *const rows[][2] = {
        {"model", "base"}, {"adapter", "first"}, {"adapter", "second"}, {"adapter", "third"}};
    assert_int_equal(table_of(result, "models")->n_rows, 5);
    for (int32_t i = 0; i < 4; i++) {
        assert_cell(result, "models", i, 0, rows[i][0]);
        assert_cell(result, "models", i, 1, rows[i][1]);
        assert_cell(result, "models", i, 2, hashes[i]);
        assert_cell(result, "models", i, 3, "1");
    }
    assert_cell(result, "models", 4, 3, "2");
    result_free(result);
}

static void test_words(void **state) {
    Result *result;
    must(call_method(&result, "report", "{\"result\": [\"%s\"], \"title\": \"Spring\", \"language\": \"zh\"}",
                     GOLDEN "sample.json"));
    assert_string_equal(result->headline.bytes, "Spring：2 项检验中 1 项未通过，0 项无定论");
    assert_string_equal(result_find_block(result, "appendix")->title.bytes, "附录：如何重现");
    result_free(result);
}

/* A check that says of itself what its figures do not is refused. */
static void test_feigned_check(void **state) {
    Result *made, *result;
    must(result_new(&made, "m", "M"));
    result_check(made, "gap", 0.5, CHECK_AT_MOST, 0.1, "a gap");
    made->checks[0].state = CHECK_PASS;
    write_result(made);
    assert_int_equal(call_method(&result, "report", "{\"result\": [\"%s\"]}", path), LIMN_FORMAT);
    assert_non_null(strstr(error_message(), "its own numbers say otherwise"));
}

/* The command is what a shell takes back; what is the default already is left out. */
static void test_command(void **state) {
    Result *made, *result;
    must(result_new(&made, "run", "Run"));
    result_request(made, "run",
                   "{\"prompt\": \"it's\\na \\\\ cab\", \"model\": \"my model\", \"dtype\": \"f32\", \"seed\": 7, "
                   "\"save\": [\"a\", \"b c\"]}");
    write_result(made);
    must(call_method(&result, "report", "{\"result\": [\"%s\"]}", path));
    const Value *command = table_cell(table_of(result, "commands"), 0, 1);
    assert_string_equal(command->text.bytes,
                        "limn run 'my model' --prompt $'it\\'s\\na \\\\ cab' --save a --save 'b c' --seed 7");
    result_free(result);
}

/* Nothing of a prompt is left, wherever it stood; the same key gives the same bytes; what stands in place is listed. */
static void test_redacted(void **state) {
    static const char *const secret[] = {"Mary", "John", "gave", "When", "someone", "street 9"};
    char key[80];
    TextBuffer texts[3] = {TEXT_BUFFER_INIT, TEXT_BUFFER_INIT, TEXT_BUFFER_INIT};
    static const TableColumn columns[] = {{{"record", 6}, COLUMN_TEXT}, {{"note", 4}, COLUMN_TEXT}};
    Result *made;
    must(result_new(&made, "m", "M"));
    table_row(result_add_table(made, "rows", "Rows", columns, 2),
              (const Value[]){value_text("someone, street 9"), value_text("it says \"street 9\" and rests on it")});
    result_add_text(made, "said", "Said", "someone wrote this", 18, true);
    result_request(made, "run", "{\"prompt\": \"someone\", \"model\": \"my-model\"}");
    write_result(made);
    snprintf(key, sizeof key, "%s.key", path);
    for (int i = 0; i < 3; i++) {
        Result *result;
        if (i == 2) {
            unlink(key);
        }
        must(call_method(&result, "report", "{\"result\": [\"%s\", \"%s\"], \"redact\": \"%s\"}", GOLDEN "sample.json",
                         path, key));
        must(result_write_json(&texts[i], result, true));
        for (size_t k = 0; k < sizeof secret / sizeof secret[0]; k++) {
            if (strstr(texts[i].data, secret[k]) != NULL) {
                fail_msg("%s got through", secret[k]);
            }
        }
        const TableBlock *listed = table_of(result, "commitments");
        assert_true(listed->n_rows > 10);
        assert_memory_equal(cell_text(listed, 0, 0) + 1, cell_text(listed, 0, 1), 8);
        assert_non_null(strstr(texts[i].data, "and rests on it")); /* the sentence around a quote stays */
        assert_non_null(strstr(texts[i].data, "my-model"));
        result_free(result);
    }
    assert_string_equal(texts[0].data, texts[1].data);
    assert_string_not_equal(texts[0].data, texts[2].data);
    for (int i = 0; i < 3; i++) {
        text_buffer_free(&texts[i]);
    }
    unlink(key);
}

static void test_refused(void **state) {
    Result *result;
    assert_int_equal(call_method(&result, "report", "{\"result\": []}"), LIMN_USAGE);
    assert_int_equal(call_method(&result, "report", "{\"result\": [\"/nowhere.json\"]}"), LIMN_NOT_FOUND);
    must(file_write_atomic(path, "{}", 2));
    assert_int_equal(call_method(&result, "report", "{\"result\": [\"%s\", \"%s\"]}", GOLDEN "sample.json", path),
                     LIMN_FORMAT);
    assert_non_null(strstr(error_message(), path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),         cmocka_unit_test(test_models),  cmocka_unit_test(test_words),
        cmocka_unit_test(test_feigned_check), cmocka_unit_test(test_command), cmocka_unit_test(test_redacted),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
