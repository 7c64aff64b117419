/* What scripts that call limn rely on: every option with its letter, kind, default, bounds and choices, and the
 * examples that help gives, stand in tests/golden/options.txt, so that none of it changes unseen. LIMN_UPDATE_GOLDEN=1
 * writes it anew: whoever does reads the difference, which is one of the interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "call/params.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const char path[] = LIMN_TEST_SOURCE_DIR "/tests/golden/options.txt";

static void add_row(TextBuffer *text, const char *command, const limn_param *row) {
    static const char *const kinds[] = {
        [LIMN_PARAM_TEXT] = "text", [LIMN_PARAM_NUMBER] = "number", [LIMN_PARAM_INTEGER] = "integer",
        [LIMN_PARAM_FLAG] = "flag", [LIMN_PARAM_CHOICE] = "choice", [LIMN_PARAM_IDS] = "ids",
        [LIMN_PARAM_FILE] = "file", [LIMN_PARAM_OUTPUT] = "output", [LIMN_PARAM_BYTES] = "bytes"};
    text_buffer_printf(text, "%s: %s %s", command, row->name, kinds[row->kind]);
    if (row->letter != 0) {
        text_buffer_printf(text, " -%c", row->letter);
    }
    if (row->default_text != NULL) {
        text_buffer_printf(text, " default %s", row->default_text);
    }
    if (row->minimum != 0 || row->maximum != 0) {
        text_buffer_printf(text, " from %.17g to %.17g", row->minimum, row->maximum);
    }
    if (row->choices != NULL) {
        text_buffer_printf(text, " of %s", row->choices);
    }
    const struct {
        bool is;
        const char *name;
    } marks[] = {{row->repeated, "repeated"},
                 {row->positional, "positional"},
                 {row->required, "required"},
                 {row->face, "face"},
                 {row->effort, "effort"}};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        text_buffer_printf(text, "%s%s", marks[i].is ? " " : "", marks[i].is ? marks[i].name : "");
    }
    text_buffer_add_char(text, '\n');
}

/* Names the first line that differs. */
static void compare(const char *found, const char *expected) {
    while (*found != '\0' && *expected != '\0') {
        size_t a = strcspn(found, "\n"), b = strcspn(expected, "\n");
        if (a != b || memcmp(found, expected, a) != 0) {
            fail_msg("found '%.*s', expected '%.*s'; LIMN_UPDATE_GOLDEN=1 writes %s anew", (int)a, found, (int)b,
                     expected, path);
        }
        found += a + (found[a] == '\n');
        expected += b + (expected[b] == '\n');
    }
    if (*found != *expected) {
        fail_msg("%s has %s lines; LIMN_UPDATE_GOLDEN=1 writes it anew", path, *found == '\0' ? "more" : "fewer");
    }
}

static void options_are_those_that_were(void **state) {
    TextBuffer text = TEXT_BUFFER_INIT;
    for (size_t k = 0; k < common_params_count; k++) {
        add_row(&text, "(all)", &common_params[k]);
    }
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        const limn_command *command = &test_registry.methods->items[i].method->command;
        for (size_t k = 0; k < command->n_params; k++) {
            add_row(&text, command->name, &command->params[k]);
        }
        text_buffer_printf(&text, "%s%s", command->examples,
                           command->examples[strlen(command->examples) - 1] == '\n' ? "" : "\n");
    }
    if (getenv("LIMN_UPDATE_GOLDEN") != NULL) {
        assert_int_equal(file_write_atomic(path, text.data, text.length), LIMN_OK);
    }
    char *expected;
    size_t length;
    if (file_read(&expected, &length, path, (size_t)1 << 20) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    compare(text.data, expected);
    free(expected);
    text_buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(options_are_those_that_were)};
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
