/* --estimate against what the command comes to hold on a real model, each in a process of its own. Skips, with a line,
 * when the model is not there (scripts/models smollm2). */
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

/* One question: its options, and how often it is asked, by which weights are as warm as the estimate takes them. */
typedef struct Asked {
    const char *method;
    json_t *(*options)(const char *data);
    int times;
} Asked;

static json_t *long_prompt(const char *data) {
    (void)data;
    char ids[8192];
    size_t used = (size_t)snprintf(ids, sizeof ids, "1");
    for (int i = 1; i < TOKENS; i++) {
        used += (size_t)snprintf(ids + used, sizeof ids - used, ",%d", 100 + i * 37 % 5000);
    }
    return json_pack("{s:s}", "ids", ids);
}

#define FRANCE "The capital of France is"
#define ITALY  "The capital of Italy is"

static json_t *patches(const char *data) {
    (void)data;
    return json_pack("{s:s, s:s, s:s}", "prompt", FRANCE, "corrupt", ITALY, "site", "z");
}

static json_t *restored(const char *data) {
    (void)data;
    return json_pack("{s:s, s:s, s:i}", "prompt", FRANCE, "subject", "France", "samples", 2);
}

static json_t *operation(const char *data) {
    return json_pack("{s:s, s:s, s:s, s:[ss], s:[s], s:i}", "data", data, "prompt-field", "p", "label-field", "y",
                     "choices", " yes", " no", "set", "blocks.27.attn.hook_z[head=3]=zero", "draws", 5);
}

static json_t *edits(const char *data) {
    (void)data;
    return json_pack("{s:s, s:[s]}", "prompt", FRANCE, "set", "blocks.0.hook_mlp_out[pos=1]=zero");
}

static const Asked questions[] = {
    {"run", long_prompt, 1},   {"patch", patches, 1}, {"mediate", restored, 1},
    {"surgery", operation, 1}, {"live", edits, 4},
};

static json_t *answer(limn_context *context, const Asked *asked, const char *data, bool estimate) {
    json_t *options = asked->options(data), *document = NULL;
    json_object_set_new(options, "model", json_string(model_path()));
    json_object_set_new(options, "threads", json_integer(2));
    if (estimate) {
        json_object_set_new(options, "estimate", json_true());
    }
    char *params = json_dumps(options, 0), *text;
    size_t length;
    limn_result *result = NULL;
    if (limn_call(context, asked->method, params, NULL, &result) != LIMN_OK) {
        fprintf(stderr, "%s: %s\n", asked->method, limn_error_message());
    } else if (limn_result_render(result, "json", NULL, &text, &length) == LIMN_OK) {
        document = json_loadb(text, length, 0, NULL);
        limn_free(text);
    }
    limn_result_free(result);
    free(params);
    json_decref(options);
    return document;
}

/* MiB: of the estimate what it says, else what the process came to hold. */
static double ask(const Asked *asked, const char *data, bool estimate) {
    limn_context *context;
    double amount = 0;
    if (limn_context_new(&context) != LIMN_OK) {
        return 0;
    }
    for (int i = 0; i < (estimate ? 1 : asked->times); i++) {
        json_t *document = answer(context, asked, data, estimate), *measured = json_object_get(document, "measured");
        double peak = json_number_value(json_object_get(measured, "peak_bytes")) / 1048576.0;
        amount = estimate ? cell(document, "memory at its peak, about") : peak;
        json_decref(document);
    }
    limn_context_free(context);
    return amount;
}

static double ask_apart(const Asked *asked, const char *data, bool estimate) {
    int ends[2], result;
    double amount = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        amount = ask(asked, data, estimate);
        _exit(write(ends[1], &amount, sizeof amount) == (ssize_t)sizeof amount ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &amount, sizeof amount), sizeof amount);
    close(ends[0]);
    assert_int_equal(waitpid(child, &result, 0), child);
    return amount;
}

static void write_records(const char *path) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 12; i++) {
        fprintf(file, "{\"p\": \"Is %d an even number, and would you say so? Answer:\", \"y\": \"%s\"}\n", i,
                i % 2 == 0 ? "yes" : "no");
    }
    assert_int_equal(fclose(file), 0);
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
    char data[64];
    snprintf(data, sizeof data, "/tmp/limn-estimate-%d.jsonl", (int)getpid());
    write_records(data);
    bool all = true;
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        double said = ask_apart(&questions[i], data, true), held = ask_apart(&questions[i], data, false);
        print_message("%s: said %.0f MiB, held %.0f MiB\n", questions[i].method, said, held);
        all = all && held > 500 && said > 0.9 * held && said < 1.1 * held;
    }
    unlink(data);
    assert_true(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_estimate_is_the_peak)};
    return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}
