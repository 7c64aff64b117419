/* docs/methods.md says what the rows of the methods say of themselves. LIMN_UPDATE_GOLDEN=1 writes it anew. */
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
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const char opening[] =
    "# Methods: what each answers, and when it lies\n"
    "\n"
    "<!-- made from MethodAbout in the methods' rows by tests/method/test_methods_page.c; LIMN_UPDATE_GOLDEN=1 writes "
    "it "
    "anew -->\n"
    "\n"
    "No method is right everywhere. Each carries the check that could refute it, and those that score tokens are held\n"
    "against what exchanging words does (`docs/explain.md`). `limn METHOD --help` has the options.\n"
    "\n"
    "Cost is counted in passes over the prompt; a backward pass costs about one and a half forward passes.\n"
    "`limn compare methods` asks several of them the same question and says which predicts replacement best.\n";

static const Method *method_at(size_t i) {
    return test_registry.methods->items[i].method;
}

static bool speaks(const Method *method) {
    return method->about.answers != NULL;
}

/* In a table's cell bars and line ends would end it. */
static void add_cell(TextBuffer *page, const char *text) {
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '|') {
            text_buffer_add_char(page, '\\');
        }
        text_buffer_add_char(page, *c == '\n' ? ' ' : *c);
    }
}

/* As GitHub makes it of a heading: "compare methods" -> "compare-methods". */
static void add_anchor(TextBuffer *page, const char *name) {
    for (const char *c = name; *c != '\0'; c++) {
        text_buffer_add_char(page, *c == ' ' ? '-' : *c);
    }
}

static void add_table(TextBuffer *page) {
    text_buffer_add(page, "\n| method | scores tokens | what it answers | cost |\n|---|---|---|---|\n");
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        const Method *method = method_at(i);
        if (speaks(method)) {
            text_buffer_printf(page, "| [%s](#", method->command.name);
            add_anchor(page, method->command.name);
            text_buffer_printf(page, ") | %s | ", method->score_tokens != NULL ? "yes" : "");
            add_cell(page, method->about.answers);
            text_buffer_add(page, " | ");
            add_cell(page, method->about.cost);
            text_buffer_add(page, " |\n");
        }
    }
}

static void add_lines(TextBuffer *page, const char *text) {
    text_buffer_add(page, "    ");
    for (const char *c = text; *c != '\0'; c++) {
        text_buffer_add_char(page, *c);
        text_buffer_add(page, *c == '\n' ? "    " : "");
    }
    text_buffer_add_char(page, '\n');
}

static void add_method(TextBuffer *page, const Method *method) {
    const MethodAbout *about = &method->about;
    text_buffer_printf(page, "\n## %s\n\n**%s.** %s\n\n", method->command.name, method->title, about->answers);
    add_lines(page, about->formula);
    text_buffer_printf(page, "\n- from: %s\n- cost: %s\n- when it lies: %s\n", about->paper, about->cost, about->lies);
    if (about->measured != NULL) {
        text_buffer_printf(page, "- measured: %s\n", about->measured);
    }
}

static void the_page_is_that_of_the_rows(void **state) {
    const char *path = LIMN_TEST_SOURCE_DIR "/docs/methods.md";
    TextBuffer page = TEXT_BUFFER_INIT;
    text_buffer_add(&page, opening);
    add_table(&page);
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        if (speaks(method_at(i))) {
            add_method(&page, method_at(i));
        }
    }
    assert_false(page.failed);
    if (getenv("LIMN_UPDATE_GOLDEN") != NULL) {
        assert_int_equal(file_write_atomic(path, page.data, page.length), LIMN_OK);
    }
    char *bytes;
    size_t length;
    if (file_read(&bytes, &length, path, (size_t)1 << 20) != LIMN_OK || length != page.length ||
        memcmp(bytes, page.data, length) != 0) {
        fail_msg("docs/methods.md is not what the methods' rows say: run this test with LIMN_UPDATE_GOLDEN=1");
    }
    free(bytes);
    text_buffer_free(&page);
}

/* Whatever explains an answer says when it lies, and says all of it. */
static void what_explains_says_when_it_lies(void **state) {
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        const Method *method = method_at(i);
        const MethodAbout *about = &method->about;
        bool must = method->explains &&
                    (method->score_tokens != NULL || test_registry.methods->items[i].group == GROUP_EXPLAIN);
        bool whole = about->formula != NULL && about->paper != NULL && about->cost != NULL && about->lies != NULL;
        if ((must && !speaks(method)) || (speaks(method) && !whole)) {
            fail_msg("%s: its row has no `about`, or not all of it (call/method.h)", method->command.name);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_explains_says_when_it_lies),
                                       cmocka_unit_test(the_page_is_that_of_the_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
