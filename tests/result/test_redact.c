/* Leaving texts out of results: what goes, what stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "result/redact.h"

#include <cmocka.h> /* last: it has a macro named fail */

static Arena arena;

/* Commits to nothing: the text's length, so that a test can tell texts apart. */
static limn_status commit(void *context, char hex[65], const char *bytes, size_t length) {
    (void)context;
    (void)bytes;
    snprintf(hex, 65, "%064x", (unsigned)length);
    memmove(hex, hex + 56, 8);
    return LIMN_OK;
}

static void test_sentences(void **state) {
    (void)state;
    static const Text texts[] = {{"Ann Lee owes rent", 17}, {"owes rent", 9}, {"r17", 3}, {"租金未付", 12}};
    static const struct {
        const char *said, *shown;
        bool quotes;
    } cases[] = {
        {"record r17 says so", "record [00000003] says so", false},
        {"record r177 and xr17 are others", "record r177 and xr17 are others", false},
        {"记录r17：", "记录[00000003]：", false},
        {"it reads: Ann Lee owes rent. owes rent!", "it reads: [00000011]. [00000009]!", false}, /* the longer first */
        {"租金未付，租金未付", "[0000000c]，[0000000c]", false},
        {"the answer's lead and the word's place", "the answer's lead and the word's place", true},
        {"with \"rent\" for 'Ann' it is \"none\"", "with \"[00000004]\" for '[00000003]' it is \"none\"", true},
        {"with \"rent\" it is", "with \"rent\" it is", false},
        {"don't say 'Lee', it's said", "don't say '[00000003]', it's said", true},
        {"an open \" mark", "an open \" mark", true},
        {"", "", true},
    };
    Redactor redactor = {.commit = commit, .arena = &arena, .texts = texts, .n_texts = 4};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *shown;
        assert_int_equal(redact_sentence(&redactor, &shown, cases[i].said, cases[i].quotes), LIMN_OK);
        assert_string_equal(shown, cases[i].shown);
    }
    text_buffer_free(&redactor.commitments);
}

/* A result about one prompt loses its words, also short ones; one about many keeps the words it is about. What was left
 * out once is not left out again. */
static void test_words(void **state) {
    (void)state;
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN}, {{"record", 6}, COLUMN_TEXT}};
    for (int words = 0; words < 2; words++) {
        Result *result;
        assert_int_equal(result_new(&result, "m", "M"), LIMN_OK);
        result_input(result, "Ann is in debt", 14);
        TableBlock *table = result_add_table(result, "t", "T", columns, 2);
        table_row(table, (const Value[]){value_text("is"), value_text("r1")});
        table_row(table, (const Value[]){value_text("debt"), value_text("r1")});
        table_row(table, (const Value[]){value_text("credit"), value_text("r1")});
        assert_int_equal(result_status(result), LIMN_OK);
        assert_true(redact_is_close(result));
        Redactor redactor = {.commit = commit, .arena = &arena};
        for (int again = 0; again < 2; again++) {
            assert_int_equal(redact_result(&redactor, result, words == 1), LIMN_OK);
            assert_string_equal(table_cell(table, 0, 0)->text.bytes, words == 1 ? "[00000002]" : "is");
            assert_string_equal(table_cell(table, 1, 0)->text.bytes, words == 1 ? "[00000004]" : "debt");
            assert_string_equal(table_cell(table, 2, 0)->text.bytes, "credit");
            assert_string_equal(table_cell(table, 2, 1)->text.bytes, "[00000002]");
            assert_string_equal(result->input_text.bytes, "[0000000e]");
        }
        text_buffer_free(&redactor.commitments);
        result_free(result);
    }
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences), cmocka_unit_test(test_words)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
