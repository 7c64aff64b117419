/* A filter over records and decisions: for which decision it would hold, before one is made. */
#include "ask/decided_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const char records[] = "{\"text\": \"a\", \"label\": \"yes\", \"length\": 3}\n"
                              "{\"text\": \"b\", \"label\": \"no\", \"length\": 30}\n"
                              "{\"text\": \"c\", \"pred\": \"no\", \"length\": null}\n";
static char path[64];
static Arena arena;
static MethodCall call;
static DataSource *source;

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static void open_source(void) {
    static const Method method = {.command = {.name = "test"}};
    static const Progress quiet = {0};
    static DataParams params;
    arena_init(&arena);
    call = (MethodCall){.method = &method, .arena = &arena, .progress = &quiet};
    params = (DataParams){.file = text_of(path), .prompt_field = text_of("text")};
    must(data_source_open(&source, &call, &params));
}

static void close_source(void) {
    data_source_close(source);
    arena_free(&arena);
}

static int set_up(void **state) {
    snprintf(path, sizeof path, "/tmp/limn-filter-%d.jsonl", (int)getpid());
    must(file_write_atomic(path, records, sizeof records - 1));
    return 0;
}

static int tear_down(void **state) {
    unlink(path);
    return 0;
}

/* Of each record, and each decision of two: does it hold? "10 01 00" */
static limn_status answer(char *said, const char *filter_text, bool labelled) {
    static const Text names[] = {{"yes", 3}, {"no", 2}};
    static const int32_t labels[] = {0, 1, -1};
    DecidedFilter *filter;
    *said = '\0';
    open_source();
    limn_status status = decided_filter_open(&filter, "where", text_of(filter_text), &arena);
    if (status != LIMN_OK) {
        close_source();
        return status;
    }
    for (int i = 0; i < 3 && status == LIMN_OK; i++) {
        DataItem item;
        bool there, holds[2];
        must(data_source_next(source, &item, &arena, &there));
        assert_true(there);
        status = decided_filter_test(filter, holds, source, names, 2, labelled ? labels[i] : -1);
        if (status == LIMN_OK) {
            sprintf(said + strlen(said), "%s%d%d", i == 0 ? "" : " ", holds[0], holds[1]);
        }
    }
    status = status == LIMN_OK ? decided_filter_check(filter, source) : status;
    decided_filter_close(filter);
    close_source();
    return status;
}

static void says_for_which_decision(void **state) {
    static const struct {
        const char *filter, *labelled, *unlabelled;
    } cases[] = {
        {"pred != label", "01 10 11", NULL},                /* no label is nothing, which is no name */
        {"pred == 'yes'", "10 10 10", "10 10 10"},          /* the decision, not the record's own `pred` */
        {"pred == label and length > 9", "00 01 00", NULL}, /* beside the fields of the record */
        {"label == 'no'", "00 11 00", "00 11 00"},          /* the label, or the field of that name */
        {"text == 'c' or pred == 'no'", "01 01 11", "01 01 11"},
        {"length > 100", "00 00 00", "00 00 00"},
    };
    char said[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        must(answer(said, cases[i].filter, true));
        if (strcmp(said, cases[i].labelled) != 0) {
            fail_msg("%s: %s, expected %s", cases[i].filter, said, cases[i].labelled);
        }
        if (cases[i].unlabelled != NULL) {
            must(answer(said, cases[i].filter, false));
            assert_string_equal(said, cases[i].unlabelled);
        }
    }
}

static void names_that_nobody_has_are_refused(void **state) {
    char said[64];
    assert_int_equal(answer(said, "pred != lable", true), LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), "'lable'"));
    assert_non_null(strstr(error_message(), "option 'where'"));
    assert_int_equal(answer(said, "pred =! label", true), LIMN_USAGE);
    assert_int_equal(answer(said, "", true), LIMN_USAGE);
    must(answer(said, "length > 9", true)); /* one record lacks it */
}

static void knows_what_it_asks_for(void **state) {
    DecidedFilter *filter;
    open_source();
    must(decided_filter_open(&filter, "where", text_of("pred != label and length(text) > 3"), &arena));
    assert_true(decided_filter_asks(filter, "label"));
    assert_true(decided_filter_asks(filter, "text"));
    assert_false(decided_filter_asks(filter, "length")); /* a function */
    assert_false(decided_filter_asks(filter, "lab"));
    must(decided_filter_check(filter, source)); /* nothing was tested, so nothing is missed */
    decided_filter_close(filter);
    decided_filter_close(NULL);
    close_source();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_for_which_decision),
        cmocka_unit_test(names_that_nobody_has_are_refused),
        cmocka_unit_test(knows_what_it_asks_for),
    };
    return cmocka_run_group_tests_name("decided filter", tests, set_up, tear_down);
}
