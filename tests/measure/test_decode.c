/* Decoding: a token is drawn as a full sort would draw it, and a mask decides what may come. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call/method.h"
#include "measure/decode.h"
#include "measure/distribution.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { VOCABULARY = 500 };

static void check(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* ---- drawing ---- */

static const float *sorted_logits;

static int by_logit(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    float u = sorted_logits[x], v = sorted_logits[y];
    return u != v ? (u < v ? 1 : -1) : (x > y) - (x < y);
}

/* The same draw by the definition: sort all, cut, count down. */
static int32_t draw_by_sorting(const float *logits, const SampleOptions *options, double unit) {
    int32_t order[VOCABULARY];
    double weights[VOCABULARY], total = 0.0, kept = 0.0;
    for (int32_t i = 0; i < VOCABULARY; i++) {
        order[i] = i;
    }
    sorted_logits = logits;
    qsort(order, VOCABULARY, sizeof order[0], by_logit);
    for (int32_t i = 0; i < VOCABULARY; i++) {
        weights[i] = exp((double)(logits[order[i]] - logits[order[0]]) / options->temperature);
        total += weights[i];
    }
    int32_t n = 0;
    while (n < VOCABULARY && (n == 0 || kept < options->top_p * total)) {
        kept += weights[n++];
    }
    double left = unit * kept;
    int32_t at = 0;
    while (at < n - 1 && left >= weights[at]) {
        left -= weights[at++];
    }
    return order[at];
}

static void a_draw_is_what_sorting_would_draw(void **state) {
    (void)state;
    static const double temperatures[] = {0.3, 1.0, 4.0}, shares[] = {0.05, 0.5, 0.9, 1.0};
    float logits[VOCABULARY];
    Random noise, random, mirror;
    Arena arena;
    int32_t seen_other_than_first = 0;
    arena_init(&arena);
    random_seed(&noise, 3);
    random_seed(&random, 7);
    random_seed(&mirror, 7);
    for (int round = 0; round < 600; round++) {
        for (int32_t i = 0; i < VOCABULARY; i++) { /* with equals, and with tokens that may not come */
            logits[i] = round % 3 == 1                 ? (float)floor(3.0 * random_normal(&noise))
                        : round % 3 == 2 && i % 2 == 1 ? -INFINITY
                                                       : (float)(2.0 * random_normal(&noise));
        }
        SampleOptions options = {temperatures[round % 3], shares[round % 4]};
        int32_t id;
        arena_reset(&arena);
        check(sample_token(&id, logits, VOCABULARY, &options, &random, &arena));
        assert_int_equal(id, draw_by_sorting(logits, &options, random_unit(&mirror)));
        assert_true(isfinite(logits[id]));
        seen_other_than_first += id != logit_argmax(logits, VOCABULARY);
    }
    assert_true(seen_other_than_first > 100);
    SampleOptions greedy = {0.0, 1.0};
    int32_t id;
    check(sample_token(&id, logits, VOCABULARY, &greedy, &random, &arena));
    assert_int_equal(id, logit_argmax(logits, VOCABULARY));
    arena_free(&arena);
}

/* ---- masks ---- */

static const Method no_method = {.command = {.name = "test"}};

typedef struct Allowed {
    int32_t from, to; /* ids [from, to) may come */
    int32_t asked, n_vocab;
} Allowed;

static limn_status allow(void *context, const int32_t *ids, int32_t n, float *allowed) {
    Allowed *only = context;
    only->asked++;
    assert_int_equal(n, only->asked - 1);
    assert_true(n == 0 || (ids[n - 1] >= only->from && ids[n - 1] < only->to));
    for (int32_t i = 0; i < only->n_vocab; i++) {
        allowed[i] = i >= only->from && i < only->to ? allowed[i] : -INFINITY;
    }
    return LIMN_OK;
}

static void a_mask_decides_what_may_come(void **state) {
    (void)state;
    char folder[1024];
    Model *model;
    Engine *engine;
    Arena arena;
    Progress progress = {0};
    int32_t ids[] = {1, 2, 3};
    Token tokens[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    arena_init(&arena);
    snprintf(folder, sizeof folder, "%s/tests/golden/ig/tiny_llama", LIMN_TEST_SOURCE_DIR);
    check(model_open(&model, folder, NULL, NULL));
    check(engine_new(&engine, model, NULL));
    MethodCall call = {.method = &no_method, .progress = &progress, .arena = &arena};
    Prompt prompt = {.tokens = tokens, .ids = ids, .n = 3, .end_of_turn = -1};
    Decoded free_text, masked_text;
    DecodeOptions options = {.max_tokens = 5, .sample = {0.0, 1.0}};
    check(decode_text(&free_text, &call, engine, &prompt, &options));
    assert_true(free_text.n > 0 && free_text.ranks[0] == 1);
    Allowed only = {.from = free_text.ids[0] == 20 ? 21 : 20,
                    .to = free_text.ids[0] == 20 ? 23 : 22,
                    .n_vocab = model->config.n_vocab};
    options.mask = allow;
    options.mask_context = &only;
    check(decode_text(&masked_text, &call, engine, &prompt, &options));
    assert_int_equal(only.asked, masked_text.n);
    for (int32_t i = 0; i < masked_text.n; i++) {
        assert_in_range(masked_text.ids[i], only.from, only.to - 1);
    }
    /* what is said of a token is the model's, not the mask's */
    assert_true(masked_text.ranks[0] > 1 && masked_text.log_probabilities[0] < free_text.log_probabilities[0]);
    only = (Allowed){.from = 7, .to = 7, .n_vocab = model->config.n_vocab};
    assert_int_equal(decode_text(&masked_text, &call, engine, &prompt, &options), LIMN_RANGE);
    assert_non_null(strstr(error_message(), "no token may follow"));
    engine_free(engine);
    model_free(model);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draw_is_what_sorting_would_draw),
        cmocka_unit_test(a_mask_decides_what_may_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
