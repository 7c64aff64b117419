/* What takes a word's place where no model proposes anything (a classifier's): listed words of its kind and category,
 * figures and codes of its form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask/word_lists.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char folder[64];
static Arena arena;
static WordLists lists;

static void copy(const char *name) {
    char path[1200], *bytes;
    size_t length;
    snprintf(path, sizeof path, "%s/%s", golden_folder("llama-classifier"), name);
    assert_int_equal(file_read(&bytes, &length, path, 1 << 24), LIMN_OK);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write_atomic(path, bytes, length), LIMN_OK);
    free(bytes);
}

/* A classifier that reads small letters, digits, and capitals up to W. */
static int set_up(void **state) {
    char path[128], *bytes, *rest;
    size_t length;
    TextBuffer text = TEXT_BUFFER_INIT;
    make_letters_model(folder);
    copy("config.json");
    copy("model.safetensors");
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_int_equal(file_read(&bytes, &length, path, 1 << 20), LIMN_OK);
    rest = strstr(bytes, "\"bc\":27");
    assert_non_null(rest);
    text_buffer_add_bytes(&text, bytes, (size_t)(rest - bytes));
    text_buffer_add(&text, "\"bc\":27");
    for (int i = 0; i < 33; i++) {
        text_buffer_printf(&text, ",\"%c\":%d", i < 10 ? '0' + i : 'A' + i - 10, 28 + i);
    }
    text_buffer_add(&text, rest + strlen("\"bc\":27"));
    assert_int_equal(file_write_atomic(path, text.data, text.length), LIMN_OK);
    text_buffer_free(&text);
    free(bytes);
    arena_init(&arena);
    return word_lists_open(&lists, &arena) == LIMN_OK ? 0 : -1;
}

static int tear_down(void **state) {
    word_lists_close(&lists);
    arena_free(&arena);
    remove_letters_model(folder);
    return 0;
}

static bool all_in(const char *text, const char *set) {
    return text[0] != '\0' && text[strspn(text, set)] == '\0';
}

static bool is_year(const char *text) {
    return strlen(text) == 4 && all_in(text, "0123456789") && atoi(text) >= 1900 && atoi(text) < 2030;
}

static bool is_two_digits(const char *text) {
    return strlen(text) == 2 && all_in(text, "0123456789") && text[0] != '0';
}

static bool is_one_digit(const char *text) {
    return strlen(text) == 1 && all_in(text, "0123456789");
}

/* "B2c" */
static bool is_code(const char *text) {
    char at[2][2] = {{text[0], '\0'}, {text[1], '\0'}};
    return strlen(text) == 3 && all_in(at[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && all_in(at[1], "0123456789") &&
           all_in(text + 2, "abcdefghijklmnopqrstuvwxyz");
}

static const char small[] = "abcdefghijklmnopqrstuvwxyz", large[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static bool shares(const char *text, const char *example) {
    Text one = {text, strlen(text)}, other = {example, strlen(example)};
    return (word_lists_categories(&lists, one) & word_lists_categories(&lists, other)) != 0;
}

static bool is_like_quickly(const char *text) {
    return all_in(text, small) && shares(text, "quickly");
}

static bool is_like_bringing(const char *text) {
    return all_in(text, small) && shares(text, "bringing");
}

static bool is_like_happened(const char *text) {
    return all_in(text, small) && shares(text, "happened");
}

static bool is_like_companies(const char *text) {
    return all_in(text, small) && shares(text, "companies");
}

static bool is_like_garden(const char *text) {
    return all_in(text, small) && shares(text, "garden");
}

static bool is_name(const char *text) {
    char first[2] = {text[0], '\0'};
    return all_in(first, large) && all_in(text + 1, small) &&
           (shares(text, "Emma") || shares(text, "Vienna") || shares(text, "Portugal") || shares(text, "Toyota"));
}

static bool is_large(const char *text) {
    return all_in(text, large) && shares(text, "NATO");
}

static void draws_are_of_the_kind(void **state) {
    static const struct {
        const char *word;
        bool (*fits)(const char *text);
    } cases[] = {{"1987", is_year},
                 {"45", is_two_digits},
                 {"7", is_one_digit},
                 {"B2c", is_code},
                 {"zorply", is_like_quickly},
                 {"zorping", is_like_bringing},
                 {"zorped", is_like_happened},
                 {"zorps", is_like_companies},
                 {"zorp", is_like_garden},
                 {"garden", is_like_garden},
                 {"Qorp", is_name},
                 {"QQRP", is_large}};
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result;
        if (call_method(&result, "replace",
                        "{\"model\": \"%s\", \"prompt\": \"a %s\", \"class\": \"ask\", \"fixed\": [\"0:1\"]}", folder,
                        cases[i].word) != LIMN_OK) {
            fail_msg("%s: %s", cases[i].word, error_message());
        }
        const TableBlock *table = result_find_block(result, "draws")->content;
        assert_int_equal(table->n_rows, 1);
        assert_string_equal(table_cell(table, 0, 0)->text.bytes, cases[i].word);
        assert_string_equal(table_cell(table, 0, 2)->text.bytes, "lists");
        char *copied = strdup(table_cell(table, 0, 3)->text.bytes), *rest = copied, *seen[64];
        int n = 0;
        for (char *draw = strtok_r(copied, ", ", &rest); draw != NULL && n < 64; draw = strtok_r(NULL, ", ", &rest)) {
            bool good = cases[i].fits(draw) && strcmp(draw, cases[i].word) != 0;
            for (int k = 0; k < n; k++) {
                good = good && strcmp(seen[k], draw) != 0;
            }
            if (!good) {
                print_error("'%s' does not stand for '%s'\n", draw, cases[i].word);
                wrong++;
            }
            seen[n++] = draw;
        }
        if (n < 8) {
            print_error("%s: only %d draws\n", cases[i].word, n);
            wrong++;
        }
        free(copied);
        result_free(result);
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(draws_are_of_the_kind)};
    return cmocka_run_group_tests_name("draws", tests, set_up, tear_down);
}
