/* `ig` on small models: what is shared between passes changes no bit, and the deletion check removes what it says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "measure/score_path.h"
#include "method/calls.h"
#include "model/model.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* ---- points that begin as the input does ---- */

enum { TOKENS = 12, POINTS = 4 };

typedef struct Line {
    Arena arena;
    Model *model;
    Session *session;
    MethodCall call;
    IgPath path;
    IgComponent components[2];
    OutputRow outputs[2];
    int32_t ids[TOKENS + 1];
    bool fixed[TOKENS];
} Line;

/* The prompt is TOKENS long with its first `n_fixed` fixed; the target two tokens, the contrast one. */
static void line_open(Line *line, const char *name, const char *backend, int32_t n_fixed) {
    *line = (Line){0};
    arena_init(&line->arena);
    must(model_open(&line->model, golden_folder(name), NULL, NULL));
    must(session_new(&line->session, line->model, &(SessionOptions){.backend = backend}));
    line->call = (MethodCall){.arena = &line->arena};
    for (int32_t t = 0; t <= TOKENS; t++) {
        line->ids[t] = 3 + 2 * t;
    }
    for (int32_t t = 0; t < n_fixed; t++) {
        line->fixed[t] = true;
    }
    line->outputs[0] = (OutputRow){.row = TOKENS - 1, .target = line->ids[TOKENS], .weight = 1.0f};
    line->outputs[1] = (OutputRow){.row = TOKENS, .target = 5, .weight = 1.0f};
    line->components[0] =
        (IgComponent){{.ids = line->ids, .n = TOKENS + 1}, .outputs = line->outputs, .n_outputs = 2, .factor = 1.0};
    line->components[1] =
        (IgComponent){{.ids = line->ids, .n = TOKENS}, .outputs = line->outputs, .n_outputs = 1, .factor = -1.0};
    line->path = (IgPath){.call = &line->call,
                          .session = line->session,
                          .metric = IG_METRIC_LOG_PROB,
                          .objective = OBJECTIVE_LOG_PROB,
                          .n_tokens = TOKENS,
                          .d_model = line->model->config.d_embed,
                          .fixed = line->fixed,
                          .components = line->components,
                          .n_components = 2};
    must(ig_path_prepare(&line->path));
    for (int64_t i = 0; i < TOKENS * line->path.d_model; i++) {
        line->path.baseline[i] = 0.25f * line->path.input[i];
    }
}

static void line_close(Line *line) {
    ig_path_free(&line->path);
    session_free(line->session);
    model_free(line->model);
    arena_free(&line->arena);
}

/* windowed: what changes in the first row never reaches the last. */
static void check_shared_beginnings(const char *name, const char *backend, int32_t n_fixed, bool windowed) {
    Line line;
    line_open(&line, name, backend, n_fixed);
    const IgPath *path = &line.path;
    assert_int_equal(path->first, n_fixed);
    int64_t values = (TOKENS - path->first) * path->d_model;
    float *embeddings = arena_alloc(&line.arena, (size_t)(POINTS * values) * sizeof *embeddings);
    const int32_t from[POINTS] = {TOKENS - 1, n_fixed, 7, 9};
    for (int32_t p = 0; p < POINTS; p++) {
        float *point = embeddings + p * values;
        memcpy(point, path->input + path->first * path->d_model, (size_t)values * sizeof *point);
        memcpy(point + (from[p] - path->first) * path->d_model, path->baseline + from[p] * path->d_model,
               (size_t)path->d_model * sizeof *point);
    }
    double alone, input, whole[POINTS], shared[POINTS];
    KvCache *clean;
    must(ig_score_input(&line.path, false, &clean, &alone));
    assert_null(clean);
    must(ig_score(&line.path, NULL, embeddings, NULL, POINTS, whole));
    must(ig_score_input(&line.path, true, &clean, &input));
    if (clean == NULL) {
        fail_msg("%s on %s, %d rows fixed: nothing is shared", name, backend, n_fixed);
    }
    must(ig_score(&line.path, clean, embeddings, from, POINTS, shared));
    assert_memory_equal(&alone, &input, sizeof alone);
    for (int32_t p = 0; p < POINTS; p++) {
        bool seen = fabs(whole[p] - input) > 1e-6 || (windowed && from[p] == 0);
        if (!seen || memcmp(&whole[p], &shared[p], sizeof whole[p]) != 0) {
            fail_msg(
                "%s on %s, %d rows fixed, changed at %d: %.17g whole, %.17g with a shared beginning, %.17g unchanged",
                name, backend, n_fixed, from[p], whole[p], shared[p], input);
        }
    }
    kv_cache_free(clean);
    line_close(&line);
}

static void shared_beginnings_change_no_bit(void **state) {
    static const char *const backends[] = {"ref", "cpu"};
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        if (backend_find(backends[b]) != NULL) {
            check_shared_beginnings("ig/tiny_llama", backends[b], 0, false);
            check_shared_beginnings("ig/tiny_llama", backends[b], 2, false);
            check_shared_beginnings("mistral", backends[b], 0, true);
        }
    }
}

static void values_are_those_of_the_nodes(void **state) {
    Line line;
    line_open(&line, "ig/tiny_llama", NULL, 1);
    IgNode nodes[2] = {{.alpha = 0.3}, {.alpha = 1.0}};
    IgNode values[2] = {{.alpha = 0.3}, {.alpha = 1.0}};
    IgNode *both[2][2] = {{&nodes[0], &nodes[1]}, {&values[0], &values[1]}};
    must(ig_evaluate(&line.path, both[0], 2));
    must(ig_evaluate_values(&line.path, both[1], 2));
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(&nodes[i].f, &values[i].f, sizeof values[i].f);
        assert_memory_equal(nodes[i].f_of, values[i].f_of, 2 * sizeof(double));
    }
    assert_true(fabs(nodes[0].f - nodes[1].f) > 1e-6);
    line_close(&line);
}

/* ---- the check ---- */

static const SeriesBlock *deletion_of(const Result *result) {
    const Block *block = result_find_block(result, "deletion");
    assert_non_null(block);
    return block->content;
}

static void same_tokens(const Result *a, const Result *b) {
    const Block *blocks[] = {result_find_block(a, "attribution"), result_find_block(b, "attribution")};
    const TokensBlock *left = blocks[0]->content, *right = blocks[1]->content;
    assert_int_equal(left->n, right->n);
    for (int32_t t = 0; t < left->n; t++) {
        assert_memory_equal(&left->items[t].score, &right->items[t].score, sizeof left->items[t].score);
    }
}

/* With --memory nothing is shared, and with min only the inputs of layers are kept: the same figures, bit by bit. */
static void memory_changes_no_bit(void **state) {
    static const char *const questions[] = {
        "\"target\": \"d\", \"steps\": 40", "\"target\": \"dbc\", \"contrast\": \"e\", \"steps\": 12",
        "\"target\": \"d\", \"steps\": 4", "\"target-span\": \"10:13\", \"steps\": 12"};
    static const char format[] =
        "{\"model\": \"%s\", \"prompt\": \"ab c de fg h i jk lm\", \"baseline\": [\"mean\"], %s%s}";
    char folder[64];
    make_letters_model(folder);
    for (size_t q = 0; q < 2 * sizeof questions / sizeof questions[0]; q++) {
        Result *shared, *apart;
        const char *memory = q % 2 == 0 ? ", \"memory\": \"1G\"" : ", \"memory\": \"min\"";
        must(call_method(&shared, "ig", format, folder, questions[q / 2], ""));
        must(call_method(&apart, "ig", format, folder, questions[q / 2], memory));
        same_tokens(shared, apart);
        const SeriesBlock *a = deletion_of(shared), *b = deletion_of(apart);
        assert_int_equal(a->n, b->n);
        assert_int_equal(a->n_lines, 2);
        for (int32_t l = 0; l < a->n_lines; l++) {
            assert_memory_equal(a->lines[l].y, b->lines[l].y, (size_t)a->n * sizeof(double));
        }
        result_free(shared);
        result_free(apart);
    }
    remove_letters_model(folder);
}

/* Under the limit that refusals name, runs are cut to what fits; the figures are the same. */
static void the_least_that_is_named_is_enough(void **state) {
    static const char format[] = "{\"model\": \"%s\", \"prompt\": \"ab c de fg h i jk lm\", \"baseline\": [\"mean\"], "
                                 "\"target\": \"d\", \"steps\": 40%s}";
    char folder[64], memory[64] = ", \"memory\": \"1K\"", figure[32];
    make_letters_model(folder);
    Result *shared, *least = NULL;
    must(call_method(&shared, "ig", format, folder, ""));
    for (int asked = 0; asked < 2 && least == NULL; asked++) {
        if (call_method(&least, "ig", format, folder, memory) != LIMN_OK) {
            least = NULL;
            const char *needed = strstr(error_message(), " need ");
            assert_non_null(needed);
            assert_int_equal(sscanf(needed, " need %31s", figure), 1);
            snprintf(memory, sizeof memory, ", \"memory\": \"%s\"", figure);
        }
    }
    assert_non_null(least);
    same_tokens(shared, least);
    result_free(shared);
    result_free(least);
    remove_letters_model(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_beginnings_change_no_bit), cmocka_unit_test(values_are_those_of_the_nodes),
        cmocka_unit_test(memory_changes_no_bit), cmocka_unit_test(the_least_that_is_named_is_enough)};
    return cmocka_run_group_tests_name("integrated gradients", tests, NULL, NULL);
}
