/* `run --estimate` against what `run` takes on a real model, each in a process of its own. Skips, with a line, when the
 * model is not there (scripts/models smollm2). */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limn.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { TOKENS = 640 }; /* three chunks: weights are copied into a faster layout at the third use */

static const char *model_path(void) {
    static char path[600];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    snprintf(path, sizeof path, "%s%s/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
             cache != NULL ? cache : (home != NULL ? home : ""), cache != NULL ? "" : "/.cache");
    return path;
}

static double cell(const json_t *document, const char *name) {
    size_t b, r;
    const json_t *block, *row;
    json_array_foreach(json_object_get(document, "blocks"), b, block) {
        json_array_foreach(json_object_get(block, "rows"), r, row) {
            if (strcmp(json_string_value(json_array_get(row, 0)), name) == 0) {
                return json_number_value(json_array_get(row, 1));
            }
        }
    }
    return 0;
}

/* MiB: of the estimate what it says, of a run what the process came to hold. */
static double ask(bool estimate) {
    char params[8192];
    size_t used =
        (size_t)snprintf(params, sizeof params, "{\"model\": \"%s\", \"threads\": 2, \"estimate\": %s, \"ids\": [1",
                         model_path(), estimate ? "true" : "false");
    for (int i = 1; i < TOKENS; i++) {
        used += (size_t)snprintf(params + used, sizeof params - used, ",%d", 100 + i * 37 % 5000);
    }
    snprintf(params + used, sizeof params - used, "]}");
    limn_context *context;
    limn_result *result;
    char *text;
    size_t length;
    if (limn_context_new(&context) != LIMN_OK || limn_call(context, "run", params, NULL, &result) != LIMN_OK ||
        limn_result_render(result, "json", NULL, &text, &length) != LIMN_OK) {
        return 0;
    }
    json_t *document = json_loadb(text, length, 0, NULL);
    double peak = json_number_value(json_object_get(json_object_get(document, "measured"), "peak_bytes")) / 1048576.0;
    double amount = estimate ? cell(document, "memory at its peak, about") : peak;
    json_decref(document);
    limn_free(text);
    limn_result_free(result);
    limn_context_free(context);
    return amount;
}

static double ask_apart(bool estimate) {
    int ends[2], result;
    double amount = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        amount = ask(estimate);
        _exit(write(ends[1], &amount, sizeof amount) == (ssize_t)sizeof amount ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &amount, sizeof amount), sizeof amount);
    close(ends[0]);
    assert_int_equal(waitpid(child, &result, 0), child);
    return amount;
}

static void the_estimate_is_the_peak(void **state) {
    (void)state;
#ifdef LIMN_SANITIZED
    skip(); /* sanitizers hold memory of their own */
#endif
    if (access(model_path(), R_OK) != 0) {
        print_message("skipped: %s is not there (scripts/models smollm2)\n", model_path());
        skip();
    }
    double said = ask_apart(true), held = ask_apart(false);
    print_message("said %.0f MiB, held %.0f MiB\n", said, held);
    assert_true(held > 500);
    assert_true(said > 0.9 * held && said < 1.1 * held);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_estimate_is_the_peak)};
    return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}
