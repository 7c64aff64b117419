/* The hash of a model is started, waited for, computed anew and given up by many threads at once. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CALLERS = 6, ROUNDS = 12 };

typedef struct Caller {
    pthread_t thread;
    Model *model;
    pthread_barrier_t *together;
    int number;
    limn_status status;
    char hex[65];
} Caller;

static bool refuse(void *context, const char *stage, int64_t done, int64_t total) {
    (void)context;
    (void)stage;
    (void)done;
    (void)total;
    return false;
}

/* Callers 0 and 1 want it now, 2 waits with more threads, 3 gives up when it has to wait, the others only start. */
static void *ask(void *argument) {
    Caller *caller = argument;
    const Progress impatient = {refuse, NULL};
    Team team = team_of(caller->number == 2 ? 3 : 1, caller->number == 3 ? &impatient : NULL);
    pthread_barrier_wait(caller->together);
    if (caller->number != 1) {
        model_hash_start(caller->model);
    }
    caller->status = caller->number < 4 ? model_hash(caller->model, &team, caller->number == 0, caller->hex) : LIMN_OK;
    return NULL;
}

static Model *open_model(void) {
    Model *model;
    const ModelOptions options = {.frame = FRAME_HF};
    assert_int_equal(model_open(&model, LIMN_TEST_SOURCE_DIR "/tests/golden/llama-old", &options, NULL), LIMN_OK);
    return model;
}

static void test_all_get_the_same_hash(void **state) {
    char expected[65] = "";
    for (int round = 0; round < ROUNDS; round++) {
        Model *model = open_model();
        Caller callers[CALLERS];
        pthread_barrier_t together;
        assert_int_equal(pthread_barrier_init(&together, NULL, CALLERS), 0);
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (Caller){.model = model, .together = &together, .number = i};
            assert_int_equal(pthread_create(&callers[i].thread, NULL, ask, &callers[i]), 0);
        }
        for (int i = 0; i < CALLERS; i++) {
            pthread_join(callers[i].thread, NULL);
            assert_true(callers[i].status == LIMN_OK || (i == 3 && callers[i].status == LIMN_CANCELLED));
        }
        for (int i = 0; i < 3; i++) {
            if (expected[0] == '\0') {
                memcpy(expected, callers[i].hex, sizeof expected);
            }
            assert_int_equal(strlen(callers[i].hex), 64);
            assert_string_equal(callers[i].hex, expected);
        }
        pthread_barrier_destroy(&together);
        model_free(model);
    }
}

/* A model may be closed while its hash is computed, and after a caller has given up. */
static void test_closed_while_it_is_computed(void **state) {
    for (int round = 0; round < ROUNDS; round++) {
        Model *model = open_model();
        model_hash_start(model);
        if (round % 2 == 1) {
            const Progress impatient = {refuse, NULL};
            Team team = team_of(1, &impatient);
            char hex[65];
            limn_status status = model_hash(model, &team, true, hex);
            assert_true(status == LIMN_OK || status == LIMN_CANCELLED);
        }
        model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_get_the_same_hash),
        cmocka_unit_test(test_closed_while_it_is_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
