/* The default baseline: tokens of the same kind drawn in the place of each, several lines integrated together. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ask/baseline.h"
#include "ask/sampled_tokens.h"
#include "ask/word_kind.h"
#include "call/open.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const Block *block_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    return block;
}

static limn_status explain(Result **result, const char *folder, const char *more) {
    return call_method(result, "ig",
                       "{\"model\": \"%s\", \"prompt\": \"ab c de fg h i\", \"target\": \"d\", \"check\": \"none\"%s}",
                       folder, more);
}

/* Where nobody names a baseline it is the mean over the draws, which is what naming it gives. */
static void the_default_is_sampled(void **state) {
    const char *folder = *state;
    Result *silent, *named;
    must(explain(&silent, folder, ""));
    must(explain(&named, folder, ", \"baseline\": [\"sampled\"]"));
    const TokensBlock *a = block_of(silent, "attribution")->content, *b = block_of(named, "attribution")->content;
    for (int32_t t = 0; t < a->n; t++) {
        assert_memory_equal(&a->items[t].score, &b->items[t].score, sizeof(double));
        assert_memory_equal(&a->items[t].spread, &b->items[t].spread, sizeof(double));
    }
    assert_int_equal(((const TableBlock *)block_of(silent, "integration")->content)->n_rows, 8);
    result_free(silent);
    result_free(named);
}

static double figure(const TableBlock *table, int32_t row, int32_t column) {
    const Value *value = table_cell(table, row, column);
    return value->kind == VALUE_INTEGER ? (double)value->integer : value->number;
}

/* Scores add up to the mean of F(input) - F(baseline) over the draws; the gaps of all are within the tolerance of it.
 */
static void the_mean_is_complete(void **state) {
    Result *result;
    must(explain(&result, *state, ", \"tolerance\": 0.01"));
    const TableBlock *table = block_of(result, "integration")->content;
    const TokensBlock *strip = block_of(result, "attribution")->content;
    double change = 0, gaps = 0, sum = 0, nodes = 0;
    for (int32_t b = 0; b < table->n_rows; b++) {
        change += figure(table, b, 1) - figure(table, b, 2);
        nodes += figure(table, b, 3);
        gaps += figure(table, b, 4);
        assert_true(b == 0 || figure(table, b, 2) != figure(table, 0, 2)); /* other draws */
    }
    for (int32_t t = 0; t < strip->n; t++) {
        sum += isnan(strip->items[t].score) ? 0 : strip->items[t].score;
    }
    assert_true(fabs(sum - change / table->n_rows) <= 1e-4 * fmax(1, fabs(sum)));
    assert_true(result_passed(result));
    assert_true(gaps <= 0.01 * fmax(fabs(change), 0.1 * table->n_rows) + 1e-9);
    assert_true(nodes >= 8 * 9);
    result_free(result);
}

static void seeds_are_other_draws(void **state) {
    Result *one, *other;
    must(explain(&one, *state, ", \"steps\": 32"));
    must(explain(&other, *state, ", \"steps\": 32, \"seed\": 5"));
    const TokensBlock *a = block_of(one, "attribution")->content, *b = block_of(other, "attribution")->content;
    bool same = true;
    for (int32_t t = 0; t < a->n; t++) {
        same = same && (isnan(a->items[t].score) || a->items[t].score == b->items[t].score);
    }
    assert_false(same);
    assert_int_equal(figure(block_of(one, "integration")->content, 3, 3), 4); /* 32 shared by eight */
    result_free(one);
    result_free(other);
}

/* One draw among others that are named, each by itself. */
static void a_draw_may_stand_beside_others(void **state) {
    Result *result;
    must(explain(&result, *state, ", \"baseline\": [\"mean\", \"sampled\"], \"steps\": 8"));
    const TableBlock *table = block_of(result, "integration")->content;
    assert_int_equal(table->n_rows, 2);
    assert_int_equal(figure(table, 1, 3), 8);
    result_free(result);
}

/* ---- tokens ---- */

static void tokens_keep_their_kind(void **state) {
    Arena arena;
    ModelCache *models;
    Model *model;
    SampledTokens *sampled;
    arena_init(&arena);
    must(model_cache_new(&models));
    const Progress progress = {0};
    MethodCall call = {.arena = &arena, .models = models, .progress = &progress, .registry = &test_registry};
    must(method_model(&call, *state, &model));
    must(sampled_tokens_new(&sampled, &call, model));
    int32_t n = model->config.n_vocab;
    int32_t *ids = ARENA_ARRAY(&arena, int32_t, n), *drawn = ARENA_ARRAY(&arena, int32_t, n);
    int32_t *again = ARENA_ARRAY(&arena, int32_t, n);
    for (int32_t id = 0; id < n; id++) {
        ids[id] = id;
    }
    must(sampled_tokens_draw(drawn, sampled, ids, n, 3));
    must(sampled_tokens_draw(again, sampled, ids, n, 3));
    assert_memory_equal(drawn, again, (size_t)n * sizeof *ids);
    int32_t moved = 0;
    for (int32_t id = 0; id < n; id++) {
        size_t length, other_length;
        const char *bytes = tokenizer_token_bytes(model->tokenizer, id, &length);
        const char *other = tokenizer_token_bytes(model->tokenizer, drawn[id], &other_length);
        moved += drawn[id] != id;
        if (bytes == NULL || length == 0 || tokenizer_is_special(model->tokenizer, id)) {
            assert_int_equal(drawn[id], id);
            continue;
        }
        assert_int_equal(bytes[0] == ' ', other[0] == ' ');
        WordKind kind = word_kind((Text){bytes, length}), of_other = word_kind((Text){other, other_length});
        assert_int_equal(kind.class, of_other.class);
        assert_int_equal(kind.case_, of_other.case_);
    }
    assert_true(moved > 10);
    model_cache_free(models);
    arena_free(&arena);
}

/* The mean of all embeddings, as the model itself gives each of them; at every position the same. */
static void the_mean_is_of_all_embeddings(void **state) {
    enum { N = 3 };
    Arena arena;
    ModelCache *models;
    Engine *engine;
    arena_init(&arena);
    must(model_cache_new(&models));
    const Progress progress = {0};
    Team team = team_of(1, &progress);
    Method method = {.command = {.name = "asker"}};
    MethodCall call = {.method = &method,
                       .arena = &arena,
                       .models = models,
                       .progress = &progress,
                       .team = &team,
                       .registry = &test_registry};
    must(method_engine(&call, *state, &engine));
    const Model *model = engine_model(engine);
    int32_t width = model->config.d_model, n_vocab = model->config.n_vocab;
    float *mean = ARENA_ARRAY(&arena, float, N *width), *row = ARENA_ARRAY(&arena, float, width);
    double *sum = ARENA_ARRAY(&arena, double, width);
    const char *name;
    must(baseline_fill(mean, &name, &call, engine, "mean", N));
    for (int32_t id = 0; id < n_vocab; id++) {
        must(embed_ids(row, engine, &id, 1, &progress));
        for (int32_t e = 0; e < width; e++) {
            sum[e] += (double)row[e] / n_vocab;
        }
    }
    double largest = 0.0;
    for (int32_t t = 0; t < N; t++) {
        for (int32_t e = 0; e < width; e++) {
            assert_true(fabs((double)mean[t * width + e] - sum[e]) < 1e-6);
            largest = fmax(largest, fabs(sum[e]));
        }
    }
    assert_true(largest > 1e-3); /* it is not nothing */
    must(baseline_fill(mean, &name, &call, engine, "zero", N));
    for (int32_t i = 0; i < N * width; i++) {
        assert_true(mean[i] == 0.0f);
    }
    model_cache_free(models);
    arena_free(&arena);
}

static int set_up(void **state) {
    static char folder[64];
    make_letters_model(folder);
    *state = folder;
    return 0;
}

static int tear_down(void **state) {
    remove_letters_model(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_sampled), cmocka_unit_test(the_mean_is_complete),
        cmocka_unit_test(seeds_are_other_draws),  cmocka_unit_test(a_draw_may_stand_beside_others),
        cmocka_unit_test(tokens_keep_their_kind), cmocka_unit_test(the_mean_is_of_all_embeddings),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
