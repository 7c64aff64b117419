/* A target's figures: the same however many of its tokens go at a time, which the memory decides. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "call/method.h"
#include "measure/target_score.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { TOKENS = 64 };

static const Method no_method = {.command = {.name = "test"}};

static void check(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

typedef struct Setting {
    Arena arena;
    Progress progress;
    Model *model;
    MethodCall call;
    Prompt prompt;
    Token tokens[TOKENS];
    int32_t ids[TOKENS];
} Setting;

static void open_setting(Setting *setting) {
    char folder[1024];
    memset(setting, 0, sizeof *setting);
    arena_init(&setting->arena);
    snprintf(folder, sizeof folder, "%s/tests/golden/ig/tiny_llama", LIMN_TEST_SOURCE_DIR);
    check(model_open(&setting->model, folder, NULL, NULL));
    setting->call = (MethodCall){.method = &no_method, .progress = &setting->progress, .arena = &setting->arena};
    for (int i = 0; i < TOKENS; i++) {
        setting->ids[i] = setting->tokens[i].id = (i * i + 7 * i) % setting->model->config.n_vocab;
    }
    setting->prompt = (Prompt){.tokens = setting->tokens, .ids = setting->ids, .n = TOKENS, .end_of_turn = -1};
}

static void close_setting(Setting *setting) {
    model_free(setting->model);
    arena_free(&setting->arena);
}

static limn_status resolve(Target *target, Setting *setting, const char *span, size_t memory) {
    Engine *engine;
    Target contrast;
    const TargetParams params = {.target_span = text_of(span), .target_id = PARAM_NO_INTEGER};
    check(engine_new(&engine, setting->model, &(EngineOptions){.memory_limit = memory}));
    limn_status status =
        target_resolve(target, &contrast, &setting->call, engine, &setting->prompt, &params, NULL, NULL);
    engine_free(engine);
    return status;
}

/* The least memory that will do, as refusals name it. */
static size_t least_of(Target *target, Setting *setting, const char *span) {
    size_t bytes = 1024;
    for (int asked = 0; asked < 10 && resolve(target, setting, span, bytes) != LIMN_OK; asked++) {
        char figure[32];
        const char *needed = strstr(error_message(), " need ");
        assert_non_null(needed);
        assert_int_equal(sscanf(needed, " need %31s", figure), 1);
        check(params_parse_bytes(&bytes, "memory", figure));
    }
    assert_true(bytes > 1024);
    return bytes;
}

/* Logits of 63 tokens would be V floats for each. */
static void long_targets_need_no_more_logits(void **state) {
    Setting setting;
    open_setting(&setting);
    Target whole, pieces, one;
    check(resolve(&whole, &setting, "1:64", 0));
    size_t of_all = least_of(&pieces, &setting, "1:64"), of_one = least_of(&one, &setting, "1:2");
    size_t logits = (TOKENS - 1) * (size_t)setting.model->config.n_vocab * sizeof(float);
    print_message("one token: %zu bytes, %d: %zu; their logits: %zu\n", of_one, TOKENS - 1, of_all, logits);
    assert_true(of_all < of_one + logits / 8);
    assert_int_equal(whole.n, TOKENS - 1);
    assert_memory_equal(whole.log_probabilities, pieces.log_probabilities, (TOKENS - 1) * sizeof(double));
    assert_memory_equal(&whole.log_probability, &pieces.log_probability, sizeof(double));
    assert_memory_equal(&whole.log_probabilities[0], &one.log_probability, sizeof(double));
    assert_int_equal(whole.rank, pieces.rank);
    assert_int_equal(whole.n_outputs, setting.model->config.n_vocab);
    assert_memory_equal(whole.first_logits, pieces.first_logits, (size_t)whole.n_outputs * sizeof(float));
    double sum = 0.0;
    for (int i = 0; i < TOKENS - 1; i++) {
        assert_true(whole.log_probabilities[i] < 0.0);
        sum += whole.log_probabilities[i];
    }
    assert_true(fabs(sum - whole.log_probability) < 1e-9);
    close_setting(&setting);
}

/* The same words with a space before them or without: what a warning asks about. */
static void the_other_spelling(void **state) {
    static const struct {
        const char *given, *other;
    } cases[] = {
        {" ab", "ab"},
        {"ab", " ab"},
        {"  a", " a"},
        {"a", " a"},
        {" ", ""},
        {"a text of more than a few bytes, as long ones are", " a text of more than a few bytes, as long ones are"}};
    Setting setting;
    open_setting(&setting);
    int32_t row = TOKENS - 1;
    const Target target = {.kind = TARGET_TOKENS, .n = 1, .rows = &row}, span = {.kind = TARGET_SPAN, .n = 1};
    TargetParams params = {.target_id = PARAM_NO_INTEGER};
    Target variant;
    Text text = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        params.target = text_of(cases[i].given);
        check(target_build_variant(&variant, &text, &target, &setting.call, setting.model, &setting.prompt, &params));
        memset(arena_alloc(&setting.arena, 64), '#', 64); /* what comes next in the arena stands behind it */
        assert_int_equal(text.length, strlen(cases[i].other));
        assert_memory_equal(text.bytes, cases[i].other, text.length + 1);
        assert_true(text.length > 0 || variant.kind == TARGET_NONE);
    }
    text = (Text){0};
    check(target_build_variant(&variant, &text, &span, &setting.call, setting.model, &setting.prompt, &params));
    assert_true(variant.kind == TARGET_NONE && text.bytes == NULL);
    params.target = (Text){0};
    check(target_build_variant(&variant, &text, &target, &setting.call, setting.model, &setting.prompt, &params));
    assert_true(variant.kind == TARGET_NONE && text.bytes == NULL);
    close_setting(&setting);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_targets_need_no_more_logits),
                                       cmocka_unit_test(the_other_spelling)};
    return cmocka_run_group_tests_name("target scores", tests, NULL, NULL);
}
