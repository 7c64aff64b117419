/* Many callers: calls within the callbacks of calls, in one context, and contexts side by side, each with its own
 * number of threads. All answer as if they were alone. Working memory ends at a page that nobody may touch. */
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "limn.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* ---- working memory with a guard (the linker sends large_alloc and free here) ---- */

void *__real_large_alloc(size_t bytes);
void __real_free(void *memory);
void *__wrap_large_alloc(size_t bytes);
void __wrap_free(void *memory);

enum { PAGE = 4096, GUARDED = 256 };

static struct {
    void *memory;
    size_t bytes; /* with the guard */
} guarded[GUARDED];
static int n_guarded; /* made so far, all together */
static pthread_mutex_t guards = PTHREAD_MUTEX_INITIALIZER;

static int place_of(const void *memory) {
    for (int i = 0; i < GUARDED; i++) {
        if (guarded[i].memory == memory) {
            return i;
        }
    }
    return -1;
}

void *__wrap_large_alloc(size_t bytes) {
#ifdef LIMN_SANITIZED /* the sanitizers watch the ends themselves */
    return __real_large_alloc(bytes);
#endif
    size_t rounded = (bytes + PAGE - 1) / PAGE * PAGE;
    char *memory = mmap(NULL, rounded + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED && mprotect(memory + rounded, PAGE, PROT_NONE) == 0);
    pthread_mutex_lock(&guards);
    int place = place_of(NULL);
    assert_true(place >= 0);
    guarded[place].memory = memory;
    guarded[place].bytes = rounded + PAGE;
    n_guarded++;
    pthread_mutex_unlock(&guards);
    return memory;
}

void __wrap_free(void *memory) {
    if (memory != NULL && (uintptr_t)memory % PAGE == 0) {
        pthread_mutex_lock(&guards);
        int place = place_of(memory);
        if (place >= 0) {
            munmap(memory, guarded[place].bytes);
            guarded[place].memory = NULL;
            memory = NULL;
        }
        pthread_mutex_unlock(&guards);
    }
    __real_free(memory);
}

/* ---- questions and their answers ---- */

/* The answer as text, without what differs from run to run; the caller frees. NULL: the call failed. */
static char *answer(limn_context *context, const char *command, const char *params, const limn_callbacks *callbacks) {
    limn_result *result;
    char *text;
    size_t length;
    if (limn_call(context, command, params, callbacks, &result) != LIMN_OK) {
        print_message("%s\n", limn_error_message());
        return NULL;
    }
    limn_status status = limn_result_render(result, "json", NULL, &text, &length);
    limn_result_free(result);
    json_t *document = status == LIMN_OK ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
    limn_free(text);
    json_object_del(document, "measured");
    char *compared = json_dumps(document, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    json_decref(document);
    return compared;
}

static const char *question(char params[1024], const char *model, int threads, const char *more) {
    snprintf(params, 1024, "{\"model\": \"%s/tests/golden/%s\", \"threads\": %d, %s}", LIMN_TEST_SOURCE_DIR, model,
             threads, more);
    return params;
}

/* Enough rows for several threads to have work in products and attention. */
#define IDS  "1, 5, 9, 2, 30, 7, 7, 21, 3, 14, 8, 40, 6, 11, 25, 33, 2, 19, 4, 28, 16, 31, 10, 12"
#define LONG IDS ", " IDS

static const char *const kinds[][2] = {
    {"run", "\"ids\": [" LONG "], \"save\": [\"blocks.*.hook_resid_post\"]"},
    {"ig", "\"ids\": [" IDS "], \"target-id\": 7, \"max-nodes\": 64"},
    {"generate", "\"ids\": [" IDS "], \"max-tokens\": 8"},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- calls within calls ---- */

typedef struct Nest {
    limn_context *context; /* of the outer call */
    const char *model;
    int threads; /* of the inner call */
    int kind;
    const char *alone; /* the inner call's answer when it is alone */
    int every;         /* so many ticks to one inner call */
    int heard;
    int made;
    int depth;
} Nest;

static bool call_again(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    Nest *nest = context;
    if (nest->depth > 0 || nest->heard++ % nest->every != 0 || nest->made >= 6) {
        return true;
    }
    char params[1024];
    question(params, nest->model, nest->threads, kinds[nest->kind][1]);
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    callbacks.context = nest;
    callbacks.progress = call_again;
    nest->depth++;
    char *got = answer(nest->context, kinds[nest->kind][0], params, &callbacks);
    nest->depth--;
    assert_non_null(got);
    assert_string_equal(got, nest->alone);
    free(got);
    nest->made++;
    return true;
}

static char *answer_alone(const char *model, int kind, int threads) {
    limn_context *context;
    char params[1024];
    assert_int_equal(limn_context_new(&context), LIMN_OK);
    question(params, model, threads, kinds[kind][1]);
    char *text = answer(context, kinds[kind][0], params, NULL);
    limn_context_free(context);
    assert_non_null(text);
    return text;
}

/* fresh: the inner calls begin while the model is opened. */
static void check_nested(const char *model, int outer, int inner, int outer_threads, int inner_threads, bool fresh) {
    char *outer_alone = answer_alone(model, outer, outer_threads);
    char *inner_alone = answer_alone(model, inner, inner_threads);
    char params[1024];
    Nest nest = {.model = model, .threads = inner_threads, .kind = inner, .alone = inner_alone, .every = fresh ? 1 : 5};
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    callbacks.context = &nest;
    callbacks.progress = call_again;
    assert_int_equal(limn_context_new(&nest.context), LIMN_OK);
    question(params, model, outer_threads, kinds[outer][1]);
    if (!fresh) { /* engines are there already: the outer call holds the one that both would take */
        free(answer(nest.context, kinds[outer][0], params, NULL));
    }
    for (int round = 0; round < 2; round++) {
        nest.heard = nest.made = 0;
        char *got = answer(nest.context, kinds[outer][0], params, &callbacks);
        assert_non_null(got);
        assert_string_equal(got, outer_alone);
        assert_true(nest.made > 0);
        free(got);
    }
    limn_context_free(nest.context);
    free(outer_alone);
    free(inner_alone);
}

static void calls_within_calls(void **state) {
    (void)state;
    for (int outer = 0; outer < KINDS; outer++) {
        for (int inner = 0; inner < KINDS; inner++) {
            check_nested("llama-old", outer, inner, 1, 4, false);
            check_nested("llama-old", outer, inner, 3, 2, false);
        }
    }
    check_nested("llama-bias", 0, 0, 2, 5, true); /* whose weights are converted */
#ifndef LIMN_SANITIZED
    assert_true(n_guarded > 0); /* the guards were there */
#endif
}

/* ---- contexts side by side ---- */

typedef struct Beside {
    pthread_t thread;
    int threads;
    int first; /* kind it begins with */
    char *alone[KINDS];
    int wrong;
} Beside;

static void *ask_all(void *argument) {
    enum { ROUNDS = 4 };
    Beside *beside = argument;
    limn_context *context;
    beside->wrong = limn_context_new(&context) == LIMN_OK ? 0 : 1;
    for (int i = 0; i < ROUNDS * KINDS && beside->wrong == 0; i++) {
        int kind = (beside->first + i) % KINDS;
        char params[1024];
        question(params, "llama-old", beside->threads, kinds[kind][1]);
        char *got = answer(context, kinds[kind][0], params, NULL);
        beside->wrong += got == NULL || strcmp(got, beside->alone[kind]) != 0;
        free(got);
    }
    limn_context_free(context);
    return NULL;
}

static void contexts_side_by_side(void **state) {
    (void)state;
    static const int threads[] = {2, 5, 3};
    enum { CALLERS = sizeof threads / sizeof threads[0] };
    Beside callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Beside){.threads = threads[i], .first = i};
        for (int kind = 0; kind < KINDS; kind++) {
            callers[i].alone[kind] = answer_alone("llama-old", kind, threads[i]);
        }
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&callers[i].thread, NULL, ask_all, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].wrong, 0);
        for (int kind = 0; kind < KINDS; kind++) {
            free(callers[i].alone[kind]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_within_calls),
        cmocka_unit_test(contexts_side_by_side),
    };
    return cmocka_run_group_tests_name("callers", tests, NULL, NULL);
}
