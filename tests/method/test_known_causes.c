/* A real model (SmolLM2) on prompts whose cause everybody knows: `replace` and `why` name it first and call it clear.
 * Skipped where the model is not there (scripts/models smollm2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const struct {
    const char *prompt, *more, *cause, *other;
} cases[] = {
    {"The capital of France is", "", "France", "The"},
    {"The nurse said that", ", \"target\": \" she\", \"contrast\": \" he\"", "nurse", "said"},
};

static const char *model_path(void) {
    static char path[600];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    snprintf(path, sizeof path, "%s%s/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
             cache != NULL ? cache : (home != NULL ? home : ""), cache != NULL ? "" : "/.cache");
    return path;
}

static bool is_there(void) {
#ifdef LIMN_SANITIZED
    return false; /* minutes there */
#endif
    if (access(model_path(), R_OK) != 0) {
        print_message("skipped: %s is not there (scripts/models smollm2)\n", model_path());
        return false;
    }
    return true;
}

static Result *ask(const char *command, size_t i) {
    Result *result;
    if (call_method(&result, command, "{\"model\": \"%s\", \"prompt\": \"%s\", \"threads\": 1%s}", model_path(),
                    cases[i].prompt, cases[i].more) != LIMN_OK) {
        fail_msg("%s: %s", command, error_message());
    }
    return result;
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    return block->content;
}

static int32_t row_of(const TableBlock *table, const char *word) {
    for (int32_t r = 0; r < table->n_rows; r++) {
        if (strcmp(table_cell(table, r, 0)->text.bytes, word) == 0) {
            return r;
        }
    }
    fail_msg("no row of '%s'", word);
    return -1;
}

/* Its effect is the largest, above 0 at 95% for all words, and far above that of a word that is no cause. */
static void replace_names_it(void **state) {
    if (!is_there()) {
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Result *result = ask("replace", i);
        const TableBlock *effects = table_of(result, "effects");
        int32_t cause = row_of(effects, cases[i].cause);
        double largest = table_cell(effects, cause, 2)->number;
        for (int32_t r = 0; r < effects->n_rows; r++) {
            assert_true(table_cell(effects, r, 2)->number <= largest);
        }
        assert_true(table_cell(effects, cause, 3)->number > 0);
        assert_int_equal(table_cell(effects, cause, 5)->integer, 32);
        assert_true(table_cell(effects, row_of(effects, cases[i].other), 2)->number < largest / 2);
        assert_true(result_passed(result));
        result_free(result);
    }
}

static void why_says_it(void **state) {
    if (!is_there()) {
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Result *result = ask("why", i);
        char named[64];
        snprintf(named, sizeof named, "because of \"%s\"", cases[i].cause);
        assert_string_equal(table_cell(table_of(result, "causes"), 0, 0)->text.bytes, cases[i].cause);
        if (strstr(result->headline.bytes, named) == NULL) {
            fail_msg("%s, expected %s", result->headline.bytes, named);
        }
        assert_true(result_passed(result));
        result_free(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replace_names_it),
        cmocka_unit_test(why_says_it),
    };
    return cmocka_run_group_tests_name("known causes", tests, NULL, NULL);
}
