/* What a record costs is given back before the next one: the memory that a command over a data set comes to hold does
 * not grow with the records, for every command that takes one. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "call/open.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum {
    FEW = 200,
    MANY = 2000,
    BYTES_PER_RECORD = 48, /* a few numbers in lists are fine, a record's tokens and scores are not */
    OF_COMPARISONS = 384   /* a dozen figures for each of two methods and their pair */
};

static size_t heap_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

typedef struct Watch {
    size_t most;
    long ticks;
} Watch;

static bool tick(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    Watch *watch = context;
    size_t now = heap_in_use();
    watch->most = now > watch->most ? now : watch->most;
    watch->ticks++;
    return true;
}

/* How a command is asked about the records of a file; the model's folder and the file are filled in. */
static const struct {
    const char *command;
    const char *params;
} commands[] = {
    {"predict", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f,ghi\", "
                "\"label-field\": \"label\", \"group-field\": \"lang\"}"},
    {"attribute", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f\", "
                  "\"label-field\": \"label\", \"where\": \"pred != 'none'\", \"flips\": 200, "
                  "\"least\": 2, \"inputs\": 20, \"words\": 4}"},
    {"sensitive", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f\", "
                  "\"words\": \"/tmp/limn-records-words.txt\", \"ordinary\": 2}"},
    {"diff", "{\"model\": \"%s\", \"other\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"target\": \"d\", "
             "\"no-spectrum\": true, \"limit\": 1000000}"},
    {"surgery", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f\", "
                "\"label-field\": \"label\", \"focus\": \"lang == 'x'\", \"set\": [\"blocks.0.hook_mlp_out=zero\"]}"},
    {"ablate", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"target\": \"d\", "
               "\"limit\": 1000000}"},
    {"replace", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt\": \"a cab is\", \"target\": \"d\", "
                "\"prompt-field\": \"text\"}"},
    /* some three hundred passes for each record that is asked about */
    {"reasons", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f\", "
                "\"limit\": 20}"},
    {"compare methods", "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"target\": \"d\", "
                        "\"methods\": [\"grad\", \"lrp\"], \"draws\": 2, \"sets\": 0, \"versions\": 0}"},
    /* three numbers of each record: P0, P1 and one P2, of which intervals are made */
    {"mediate",
     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"subject-field\": \"key\", \"target\": "
     "\"d\", \"samples\": 1, \"site\": [\"mlp_out\"], \"layers\": \"0:1\"}"},
};

static const char *params_of(const char *command) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].command, command) == 0) {
            return commands[i].params;
        }
    }
    return NULL;
}

static void write_records(const char *path, int n) {
    TextBuffer text = TEXT_BUFFER_INIT;
    for (int i = 0; i < n; i++) {
        text_buffer_printf(&text, "{\"text\": \"a cab%s %d\", \"key\": \"cab\", \"label\": \"%s\", \"lang\": \"%s\"}\n",
                           i % 3 == 0   ? " is"
                           : i % 3 == 1 ? ""
                                        : " a bad",
                           i % 7, i % 2 == 0 ? "de" : "f", i % 5 == 0 ? "x" : "y");
    }
    assert_int_equal(file_write_atomic(path, text.data, text.length), LIMN_OK);
    text_buffer_free(&text);
}

/* The most that one call holds beyond what was held before it. */
static size_t most_held(const char *command, const char *model, const char *data) {
    char json[2048];
    const char *params = params_of(command);
    if (strcmp(command, "diff") == 0) {
        snprintf(json, sizeof json, params, model, model, data);
    } else {
        snprintf(json, sizeof json, params, model, data);
    }
    json_t *object = json_loads(json, 0, NULL);
    assert_non_null(object);
    ModelCache *models;
    Result *result;
    Watch watch = {0};
    const CallListeners listeners = {.progress = {tick, &watch}};
    size_t before = heap_in_use();
    assert_int_equal(model_cache_new(&models), LIMN_OK);
    limn_status status = method_call(&result, &test_registry, models, command, object, &listeners);
    if (status != LIMN_OK) {
        fail_msg("%s: %s", command, error_message());
    }
    json_decref(object);
    result_free(result);
    model_cache_free(models);
    assert_true(watch.ticks > 10);
    return watch.most > before ? watch.most - before : 0;
}

/* Not of a record: what runs again there is one of the others. */
static bool takes_data(const Method *method) {
    for (size_t i = 0; i < method->command.n_params && !method->command.from_record; i++) {
        if (strcmp(method->command.params[i].name, "data") == 0) {
            return true;
        }
    }
    return false;
}

static void records_leave_nothing_behind(void **state) {
    if (heap_in_use() == 0) {
        skip(); /* a sanitizer's own heap */
    }
    char folder[64], few[64], many[64];
    make_letters_model(folder);
    snprintf(few, sizeof few, "/tmp/limn-records-%d-few.jsonl", (int)getpid());
    snprintf(many, sizeof many, "/tmp/limn-records-%d-many.jsonl", (int)getpid());
    static const char words[] = "[ride: cab | bus]\ncab | bus\n";
    assert_int_equal(file_write_atomic("/tmp/limn-records-words.txt", words, sizeof words - 1), LIMN_OK);
    write_records(few, FEW);
    write_records(many, MANY);
    int found = 0;
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        const Method *method = test_registry.methods->items[i].method;
        const char *name = method->command.name;
        if (!takes_data(method)) {
            continue;
        }
        if (params_of(name) == NULL) {
            fail_msg("'%s' takes a data set: how is it asked here?", name);
        }
        most_held(name, folder, few); /* what is made once: tables, threads */
        size_t of_few = most_held(name, folder, few), of_many = most_held(name, folder, many);
        print_message("%s: %zu bytes for %d records, %zu for %d\n", name, of_few, FEW, of_many, MANY);
        size_t each = strcmp(name, "compare methods") == 0 ? OF_COMPARISONS : BYTES_PER_RECORD;
        if (of_many > of_few + (size_t)(MANY - FEW) * each) {
            fail_msg("'%s' holds %zu bytes with %d records and %zu with %d", name, of_few, FEW, of_many, MANY);
        }
        found++;
    }
    assert_true(found > 0);
    remove_letters_model(folder);
    unlink(few);
    unlink(many);
    unlink("/tmp/limn-records-words.txt");
}

static limn_status ask(Result **result, const char *command, const char *model, const char *data, bool skips) {
    char json[2048];
    const char *params = params_of(command);
    if (strcmp(command, "diff") == 0) {
        snprintf(json, sizeof json, params, model, model, data);
    } else {
        snprintf(json, sizeof json, params, model, data);
    }
    json_t *object = json_loads(json, 0, NULL);
    assert_non_null(object);
    if (skips) {
        json_object_set_new(object, "on-error", json_string("skip"));
    }
    ModelCache *models;
    assert_int_equal(model_cache_new(&models), LIMN_OK);
    limn_status status = method_call(result, &test_registry, models, command, object, &(CallListeners){0});
    json_decref(object);
    model_cache_free(models);
    return status;
}

/* A record that the model cannot read: its file and line are said; or it is left out, and a check says so. */
static void records_that_cannot_be_read(void **state) {
    enum { RECORDS = 60, LONG = 7 };
    char folder[64], data[64], place[96];
    TextBuffer text = TEXT_BUFFER_INIT;
    make_letters_model(folder);
    snprintf(data, sizeof data, "/tmp/limn-records-%d-long.jsonl", (int)getpid());
    static const char words[] = "[ride: cab | bus]\ncab | bus\n";
    assert_int_equal(file_write_atomic("/tmp/limn-records-words.txt", words, sizeof words - 1), LIMN_OK);
    for (int i = 0; i < RECORDS; i++) {
        text_buffer_printf(&text, "{\"text\": \"a cab%*s%s\", \"key\": \"cab\", \"label\": \"%s\", \"lang\": \"%s\"}\n",
                           i == LONG ? 80 : 1, "",
                           i % 3 == 0   ? "is"
                           : i % 3 == 1 ? ""
                                        : "a bad",
                           i % 2 == 0 ? "de" : "f", i % 5 == 0 ? "x" : "y");
    }
    assert_int_equal(file_write_atomic(data, text.data, text.length), LIMN_OK);
    text_buffer_free(&text);
    int wrong = 0, asked = 0;
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        const Method *method = test_registry.methods->items[i].method;
        const char *name = method->command.name;
        if (!takes_data(method) || strcmp(name, "replace") == 0) { /* which draws words from it alone */
            continue;
        }
        Result *result;
        limn_status status = ask(&result, name, folder, data, false);
        snprintf(place, sizeof place, "%s: ", data);
        const char *at = status == LIMN_OK ? NULL : strstr(error_message(), place);
        bool said =
            at != NULL && (strstr(at, "line 8") != NULL || strstr(at, "record 8") != NULL) && strstr(at, "64") != NULL;
        if (!said) {
            print_error("%s: %s\n", name, status == LIMN_OK ? "no failure" : error_message());
            wrong++;
        }
        if (status == LIMN_OK) {
            result_free(result);
        }
        status = ask(&result, name, folder, data, true);
        if (status != LIMN_OK) {
            print_error("%s, skipping: %s\n", name, error_message());
            wrong++;
            continue;
        }
        int counted = 0;
        for (int32_t c = 0; c < result->n_checks; c++) {
            bool of_it = strcmp(result->checks[c].name.bytes, "skipped") == 0 ||
                         strcmp(result->checks[c].name.bytes, "unscored") == 0;
            counted += of_it && result->checks[c].value == 1 && result->checks[c].state == CHECK_FAIL;
        }
        if (counted != 1) {
            print_error("%s, skipping: %d checks count one record\n", name, counted);
            wrong++;
        }
        result_free(result);
        asked++;
    }
    assert_true(asked > 6);
    assert_int_equal(wrong, 0);
    remove_letters_model(folder);
    unlink(data);
    unlink("/tmp/limn-records-words.txt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_leave_nothing_behind), /* of a heap that nothing else used */
        cmocka_unit_test(records_that_cannot_be_read)};
    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
