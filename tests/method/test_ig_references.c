/* Integrated gradients against references made outside: Captum's fixed rules on a small model that comes along, and
 * the adaptive rule on SmolLM2 against attributions converged in float64 (see tests/oracle/ig). */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call/call.h"
#include "call/open.h"
#include "method/calls.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GOLDEN LIMN_TEST_SOURCE_DIR "/tests/golden/ig/"

static ModelCache *models;

static int open_cache(void **state) {
    return model_cache_new(&models) == LIMN_OK ? 0 : 1;
}

static int free_cache(void **state) {
    model_cache_free(models);
    return 0;
}

/* {"model", "ids", "target-id", "baseline": ["pad"]} for one case of a golden; the caller's. */
static json_t *case_params(const char *model, const json_t *entry) {
    return json_pack("{s:s, s:O, s:O, s:[s]}", "model", model, "ids", json_object_get(entry, "ids"), "target-id",
                     json_object_get(entry, "target"), "baseline", "pad");
}

static Result *explain(json_t *params) {
    Result *result = NULL;
    CallListeners none = {0};
    limn_status status = method_call(&result, &test_registry, models, "ig", params, &none);
    json_decref(params);
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return result;
}

/* Largest |token - reference| over the largest |reference|. */
static double token_error(const Result *result, const json_t *reference) {
    const Block *block = result_find_block(result, "attribution");
    assert_non_null(block);
    const TokensBlock *tokens = block->content;
    assert_int_equal(tokens->n, (int)json_array_size(reference));
    double largest = 0.0, scale = 0.0;
    for (int32_t i = 0; i < tokens->n; i++) {
        double expected = json_number_value(json_array_get(reference, (size_t)i));
        double difference = fabs(tokens->items[i].score - expected);
        largest = isnan(difference) ? INFINITY : fmax(largest, difference);
        scale = fmax(scale, fabs(expected));
    }
    return largest / scale;
}

static json_t *read_golden(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, GOLDEN "%s", name);
    json_error_t error;
    json_t *golden = json_load_file(path, 0, &error);
    if (golden == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return golden;
}

static const char *rule_name(const char *captum) {
    static const char *const names[][2] = {{"gausslegendre", "gauss-legendre"},
                                           {"riemann_trapezoid", "trapezoid"},
                                           {"riemann_middle", "riemann"},
                                           {"riemann_left", "riemann-left"},
                                           {"riemann_right", "riemann-right"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i][0], captum) == 0) {
            return names[i][1];
        }
    }
    fail_msg("rule %s", captum);
    return NULL;
}

/* On a model without near-jumps rounding is far below 1e-4, so the rules themselves are compared. */
static void fixed_rules_are_captums(void **state) {
    json_t *golden = read_golden("captum_tiny.json");
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(golden, "cases"), index, entry) {
        json_t *params = case_params(GOLDEN "tiny_llama", entry);
        const char *rule = rule_name(json_string_value(json_object_get(entry, "rule")));
        json_object_set_new(params, "rule", json_string(rule));
        json_object_set(params, "steps", json_object_get(entry, "steps"));
        Result *result = explain(params);
        double error = token_error(result, json_object_get(entry, "float32"));
        if (!(error <= 1e-5)) {
            fail_msg("case %zu, rule %s: a token is %.2e of the largest from Captum's", index, rule, error);
        }
        result_free(result);
    }
    json_decref(golden);
}

/* The file of SmolLM2, or NULL after saying that the test is skipped. */
static const char *smollm2_path(char path[1024]) {
    static const char file[] = "limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
    const char *given = getenv("LIMN_TEST_SMOLLM2"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (given != NULL) {
        snprintf(path, 1024, "%s", given);
    } else if (cache != NULL && cache[0] != '\0') {
        snprintf(path, 1024, "%s/%s", cache, file);
    } else {
        snprintf(path, 1024, "%s/.cache/%s", home == NULL ? "" : home, file);
    }
    FILE *found = fopen(path, "rb");
    if (found == NULL) {
        print_message("%s is absent (scripts/models smollm2 fetches it): skipped\n", path);
        return NULL;
    }
    fclose(found);
    return path;
}

static void check_smollm2(const json_t *entry, const char *path, double tolerance, double limit) {
    json_t *params = case_params(path, entry);
    json_object_set_new(params, "tolerance", json_real(tolerance));
    Result *result = explain(params);
    double error = token_error(result, json_object_get(entry, "attributions"));
    print_message("tolerance %.2f: largest token error %.2f%%  %s\n", tolerance, 100.0 * error,
                  json_string_value(json_object_get(entry, "text")));
    if (!(error <= limit)) {
        fail_msg("tolerance %.2f: a token is %.2f%% of the largest from the converged reference", tolerance,
                 100.0 * error);
    }
    result_free(result);
}

/* A few short prompts at the default tolerance, fewer at 0.01; all of them at both with LIMN_TEST_LONG set, which
 * takes minutes. Under a sanitizer one at each: the code that runs is the same. */
#ifdef LIMN_SANITIZED
enum { LOOSE = 1, TIGHT = 1 };
#else
enum { LOOSE = 4, TIGHT = 2 };
#endif

static void adaptive_rule_converges(void **state) {
    char path[1024];
    if (smollm2_path(path) == NULL) {
        skip();
    }
    json_t *golden = read_golden("smollm2_reference.json");
    const json_t *prompts = json_object_get(golden, "prompts");
    bool everything = getenv("LIMN_TEST_LONG") != NULL;
    size_t index, loose = 0, tight = 0;
    json_t *entry;
    json_array_foreach(prompts, index, entry) {
        bool wanted = everything || (json_array_size(json_object_get(entry, "ids")) <= 7 && loose < LOOSE);
        if (!json_is_true(json_object_get(entry, "converged")) || !wanted) {
            continue;
        }
        loose++;
        check_smollm2(entry, path, 0.03, 0.03);
        if (everything || tight < TIGHT) {
            tight++;
            check_smollm2(entry, path, 0.01, 0.01);
        }
    }
    assert_true(tight > 0);
    print_message("%zu prompts at the default tolerance, %zu at 0.01\n", loose, tight);
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fixed_rules_are_captums),
                                       cmocka_unit_test(adaptive_rule_converges)};
    return cmocka_run_group_tests_name("integrated gradients against references", tests, open_cache, free_cache);
}
