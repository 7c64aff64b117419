/* limn.h as a program sees it: the rows hold together, calls answer with a status and a line. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/registry.h"
#include "limn.h"

#include <cmocka.h> /* last: it has a macro named fail */

static bool has_choice(const char *choices, const char *value) {
    char all[256];
    char one[128];
    snprintf(all, sizeof all, "|%s|", choices);
    snprintf(one, sizeof one, "|%s|", value);
    return strstr(all, one) != NULL;
}

static void check_row(const char *command, const limn_param *row) {
    bool good =
        row->name != NULL && row->help != NULL && strspn(row->name, "abcdefghijklmnopqrstuvwxyz-") == strlen(row->name);
    good = good && (row->kind == LIMN_PARAM_FLAG || row->kind == LIMN_PARAM_CHOICE || row->metavar != NULL);
    good = good && (row->kind != LIMN_PARAM_CHOICE || row->choices != NULL);
    good = good && (!row->required || row->default_text == NULL);
    if (row->kind == LIMN_PARAM_CHOICE && row->default_text != NULL) {
        good = good && has_choice(row->choices, row->default_text);
    }
    if (!good) {
        fail_msg("%s: the row '%s' does not hold together", command, row->name);
    }
}

/* No two rows of a command share a name or a letter; a command's own row hides a common one of its name. */
static void check_rows(const limn_command *command) {
    size_t n_common;
    const limn_param *common = limn_common_params(&n_common);
    for (size_t i = 0; i < command->n_params; i++) {
        check_row(command->name, &command->params[i]);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(command->params[i].name, command->params[k].name);
            assert_true(command->params[i].letter == 0 || command->params[i].letter != command->params[k].letter);
        }
        for (size_t k = 0; k < n_common; k++) {
            bool hides = strcmp(command->params[i].name, common[k].name) == 0;
            if (!hides && command->params[i].letter != 0 && command->params[i].letter == common[k].letter) {
                fail_msg("%s: -%c is taken by --%s", command->name, common[k].letter, common[k].name);
            }
        }
    }
}

static void rows_hold_together(void **state) {
    (void)state;
    size_t count;
    const limn_command *const *commands = limn_commands(&count);
    assert_true(count >= 8);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(commands[i]->summary);
        assert_non_null(commands[i]->description);
        assert_non_null(commands[i]->examples);
        assert_ptr_equal(limn_command_find(commands[i]->name), commands[i]);
        check_rows(commands[i]);
    }
    assert_null(limn_command_find("nothing"));
    assert_null(limn_command_find(NULL));
}

/* Every default is a value its own row accepts. */
static void defaults_are_accepted(void **state) {
    (void)state;
    size_t count;
    const limn_command *const *commands = limn_commands(&count);
    for (size_t i = 0; i < count; i++) {
        const Method *method = registry_find(&registry_of_build, commands[i]->name);
        Arena arena;
        arena_init(&arena);
        void *params = arena_zalloc(&arena, method->params_bytes + 1);
        json_t *object = json_object();
        for (size_t k = 0; k < commands[i]->n_params; k++) {
            const limn_param *row = &commands[i]->params[k];
            if (row->required) {
                json_object_set_new(object, row->name, json_string("x"));
            }
            if (!row->face) {
                assert_true(row->field < method->params_bytes);
            }
        }
        if (params_fill(params, commands[i]->name, commands[i]->params, commands[i]->n_params, object, &arena) !=
            LIMN_OK) {
            fail_msg("%s", limn_error_message());
        }
        json_decref(object);
        arena_free(&arena);
    }
}

static void calls_answer_with_a_status(void **state) {
    (void)state;
    limn_context *context;
    limn_result *result = NULL;
    assert_int_equal(limn_context_new(&context), LIMN_OK);
    assert_int_equal(limn_call(context, "methdos", "{}", NULL, &result), LIMN_USAGE);
    assert_non_null(strstr(limn_error_message(), "there is no command 'methdos'; nearest: 'methods'"));
    assert_null(result);
    assert_int_equal(limn_call(context, "methods", "{", NULL, &result), LIMN_USAGE);
    assert_non_null(strstr(limn_error_message(), "not JSON"));
    assert_int_equal(limn_call(context, "methods", "[]", NULL, &result), LIMN_USAGE);
    assert_int_equal(limn_call(context, "methods", "{\"seed\": 1, \"seed\": 2}", NULL, &result), LIMN_USAGE);
    limn_callbacks small = LIMN_CALLBACKS_INIT;
    small.size = 4;
    assert_int_equal(limn_call(context, "methods", "{}", &small, &result), LIMN_USAGE);
    assert_int_equal(limn_call(NULL, "methods", "{}", NULL, &result), LIMN_USAGE);

    assert_int_equal(limn_call(context, "methods", NULL, NULL, &result), LIMN_OK);
    assert_true(limn_result_passed(result));
    char *text;
    size_t length;
    char formats[128];
    snprintf(formats, sizeof formats, "%s", limn_render_formats());
    for (char *format = strtok(formats, "|"); format != NULL; format = strtok(NULL, "|")) {
        assert_int_equal(limn_result_render(result, format, NULL, &text, &length), LIMN_OK);
        assert_true(length > 100 && (strcmp(format, "pdf") == 0 || strlen(text) == length));
        limn_free(text);
    }
    const char *found = NULL;
    assert_int_equal(limn_format_of_file("a.b/c.svg", &found), LIMN_OK);
    assert_string_equal(found, "svg");
    assert_int_equal(limn_format_of_file("a.txt", &found), LIMN_OK);
    assert_string_equal(found, "terminal");
    assert_int_equal(limn_format_of_file("a.html/b", &found), LIMN_USAGE);
    assert_int_equal(limn_format_of_file("a.html/b.docx", &found), LIMN_USAGE);
    assert_non_null(strstr(limn_error_message(), "no format has the ending .docx; expected one of .txt .json"));
    assert_int_not_equal(limn_result_render(result, "docx", NULL, &text, &length), LIMN_OK);
    assert_null(text);
    limn_result_free(result);
    limn_result_free(NULL);
    limn_context_free(context);
    limn_context_free(NULL);
}

static bool stop_at_once(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    (*(int *)context)++;
    return false;
}

typedef struct Page {
    json_t *blocks;     /* told so far */
    size_t before_rest; /* told when the last of the later part, the weights, was measured */
} Page;

static void on_block(void *context, const char *json, size_t length) {
    Page *page = context;
    json_error_t error;
    json_t *block = json_loadb(json, length, 0, &error);
    assert_non_null(block);
    assert_true(json[length] == '\0');
    json_array_append_new(page->blocks, block);
}

static bool note_weights(void *context, const char *stage, int64_t done, int64_t total) {
    (void)done;
    (void)total;
    Page *page = context;
    if (strcmp(stage, "weights") == 0) {
        page->before_rest = json_array_size(page->blocks);
    }
    return true;
}

/* What a page is told on the way is what the document says in the end; the part that is done early is told early. */
static void blocks_come_as_they_are_finished(void **state) {
    (void)state;
    limn_context *context;
    limn_result *result;
    char params[2048], *text;
    size_t length;
    Page page = {.blocks = json_array()};
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    callbacks.context = &page;
    callbacks.progress = note_weights;
    callbacks.block = on_block;
    assert_int_equal(limn_context_new(&context), LIMN_OK);
    snprintf(params, sizeof params,
             "{\"model\": \"%s/tests/golden/llama-old\", \"adapter\": [\"%s/tests/golden/adapters/layers/1\"], "
             "\"ids\": [1, 2, 3]}",
             LIMN_TEST_SOURCE_DIR, LIMN_TEST_SOURCE_DIR);
    assert_int_equal(limn_call(context, "diff", params, &callbacks, &result), LIMN_OK);
    assert_int_equal(limn_result_render(result, "json", NULL, &text, &length), LIMN_OK);
    json_t *document = json_loadb(text, length, 0, NULL);
    assert_true(json_array_size(page.blocks) > 2);
    assert_true(json_equal(json_object_get(document, "blocks"), page.blocks));
    assert_in_range(page.before_rest, 1, json_array_size(page.blocks) - 1);
    json_decref(document);
    json_decref(page.blocks);
    limn_free(text);
    limn_result_free(result);
    limn_context_free(context);
}

/* Rows are walked by the library's size of them, whatever the caller's is. */
static void rows_are_walked_by_number(void **state) {
    (void)state;
    size_t count;
    const limn_command *command = limn_command_find("ig");
    for (size_t i = 0; i < command->n_params; i++) {
        const char *by_size = (const char *)command->params + i * limn_param_size();
        assert_ptr_equal(limn_command_param(command, i), by_size);
    }
    assert_null(limn_command_param(command, command->n_params));
    const limn_param *common = limn_common_params(&count);
    assert_ptr_equal(limn_common_param(count - 1), (const char *)common + (count - 1) * limn_param_size());
    assert_null(limn_common_param(count));
}

/* A caller that was compiled with a later header: what this version does not know is left alone. */
static void a_longer_struct_is_taken(void **state) {
    (void)state;
    struct {
        limn_callbacks callbacks;
        void (*later)(void);
    } longer = {LIMN_CALLBACKS_INIT, NULL};
    longer.callbacks.size = sizeof longer;
    limn_context *context;
    limn_result *result;
    assert_int_equal(limn_context_new(&context), LIMN_OK);
    assert_int_equal(limn_call(context, "methods", NULL, &longer.callbacks, &result), LIMN_OK);
    limn_result_free(result);
    limn_context_free(context);
}

static void a_call_can_be_stopped(void **state) {
    (void)state;
    limn_context *context;
    limn_result *result = NULL;
    char params[1024];
    int asked = 0;
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    callbacks.context = &asked;
    callbacks.progress = stop_at_once;
    assert_int_equal(limn_context_new(&context), LIMN_OK);
    snprintf(params, sizeof params, "{\"model\": \"%s/tests/golden/llama-old\", \"ids\": [1, 2, 3]}",
             LIMN_TEST_SOURCE_DIR);
    assert_int_equal(limn_call(context, "run", params, &callbacks, &result), LIMN_CANCELLED);
    assert_null(result);
    assert_true(asked >= 1);
    /* the context is as good as before */
    assert_int_equal(limn_call(context, "run", params, NULL, &result), LIMN_OK);
    limn_result_free(result);
    limn_context_free(context);
}

/* What must be said where a result is not shown; and an output's ending says which of a command's files it is. */
static void alerts_and_old_outputs(void **state) {
    (void)state;
    limn_context *context;
    limn_result *result = NULL;
    char params[1024], path[64], *text;
    size_t length;
    assert_int_equal(limn_context_new(&context), LIMN_OK);
    snprintf(params, sizeof params, "{\"model\": \"%s/tests/golden/llama-old\", \"ids\": [1, 2, 3]}",
             LIMN_TEST_SOURCE_DIR);
    assert_int_equal(limn_call(context, "ig", params, NULL, &result), LIMN_OK);
    assert_int_equal(limn_result_alerts(result, false, &text, &length), LIMN_OK);
    assert_string_equal(text, "");
    assert_int_equal(length, 0);
    limn_free(text);
    assert_int_equal(limn_result_alerts(result, true, &text, &length), LIMN_OK);
    assert_int_equal(length, strlen(text));
    assert_ptr_equal(strstr(text, "warning: "), text);
    assert_int_equal(text[length - 1], '\n');
    limn_free(text);
    limn_result_free(result);

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/tmp/limn-api-%d.%s", (int)getpid(), i == 0 ? "safetensors" : "html");
        snprintf(params, sizeof params,
                 "{\"model\": \"%s/tests/golden/llama-old\", \"ids\": [1, 2, 3], \"output\": \"%s\"}",
                 LIMN_TEST_SOURCE_DIR, path);
        assert_int_equal(limn_call(context, "run", params, NULL, &result), LIMN_OK);
        limn_result_free(result);
        assert_int_equal(access(path, F_OK), i == 0 ? 0 : -1); /* a report is whoever calls who writes it */
        unlink(path);
    }
    limn_context_free(context);
}

static void statuses_have_names_and_codes(void **state) {
    (void)state;
    assert_string_equal(limn_status_name(LIMN_OK), "OK");
    assert_int_equal(limn_status_exit_code(LIMN_USAGE), 2);
    assert_int_equal(limn_status_exit_code(LIMN_IO), 3);
    assert_int_equal(limn_status_exit_code(LIMN_GATE_FAILED), 1);
    assert_true(strlen(limn_version()) > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_hold_together),
        cmocka_unit_test(defaults_are_accepted),
        cmocka_unit_test(calls_answer_with_a_status),
        cmocka_unit_test(a_call_can_be_stopped),
        cmocka_unit_test(alerts_and_old_outputs),
        cmocka_unit_test(statuses_have_names_and_codes),
        cmocka_unit_test(blocks_come_as_they_are_finished),
        cmocka_unit_test(rows_are_walked_by_number),
        cmocka_unit_test(a_longer_struct_is_taken),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
