/* A program compiled with the header of the version before: its structs are shorter, and it walks arrays by its own
 * sizes. api/previous/ keeps that header; when a release is made, replace it by the one released. */
#include "api/previous/limn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h> /* last: it has a macro named fail */

enum { PAGE = 4096 };

/* `bytes` that end where a page begins that nobody may read: a longer struct would be seen. */
static void *at_the_end(size_t bytes) {
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED && mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
    return pages + PAGE - bytes;
}

static void give_back(void *memory) {
    munmap((void *)((uintptr_t)memory / PAGE * PAGE), 2 * PAGE);
}

static bool count_ticks(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    ++*(int *)context;
    return true;
}

static void calls_and_renders(void **state) {
    (void)state;
    limn_context *context;
    limn_result *result;
    char params[1024], *text;
    size_t length;
    int ticks = 0;
    assert_int_equal(limn_context_new(&context), LIMN_OK);
    limn_callbacks *callbacks = at_the_end(sizeof *callbacks);
    *callbacks = (limn_callbacks)LIMN_CALLBACKS_INIT;
    callbacks->context = &ticks;
    callbacks->progress = count_ticks;
    snprintf(params, sizeof params, "{\"model\": \"%s/tests/golden/llama-old\", \"ids\": [1, 2, 3]}",
             LIMN_TEST_SOURCE_DIR);
    assert_int_equal(limn_call(context, "run", params, callbacks, &result), LIMN_OK);
    assert_true(ticks > 0);
    give_back(callbacks);
    limn_render_options *options = at_the_end(sizeof *options);
    *options = (limn_render_options)LIMN_RENDER_OPTIONS_INIT;
    options->width = 60;
    options->language = "en";
    assert_int_equal(limn_result_render(result, "terminal", options, &text, &length), LIMN_OK);
    assert_true(length > 40);
    limn_free(text);
    give_back(options);
    limn_result_free(result);
    limn_context_free(context);
}

/* The rows as the program sees them: names, kinds and helps where its own header has them. */
static void check_rows(const limn_param *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        assert_true(rows[i].name != NULL && strlen(rows[i].name) > 0);
        assert_true(rows[i].kind >= LIMN_PARAM_TEXT && rows[i].kind <= LIMN_PARAM_BYTES);
        assert_true(rows[i].help != NULL && strlen(rows[i].help) > 4);
        assert_true((rows[i].kind == LIMN_PARAM_CHOICE) == (rows[i].choices != NULL));
        assert_true(rows[i].minimum <= rows[i].maximum || rows[i].maximum == 0);
    }
}

static void rows_are_where_they_were(void **state) {
    (void)state;
    size_t count;
    const limn_command *const *commands = limn_commands(&count);
    assert_true(count >= 12);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(limn_command_find(commands[i]->name)->name, commands[i]->name);
        assert_true(strlen(commands[i]->summary) > 0 && strlen(commands[i]->examples) > 0);
        check_rows(commands[i]->params, commands[i]->n_params);
    }
    const limn_param *common = limn_common_params(&count);
    assert_true(count > 4);
    check_rows(common, count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_and_renders),
        cmocka_unit_test(rows_are_where_they_were),
    };
    return cmocka_run_group_tests_name("previous header", tests, NULL, NULL);
}
