/* `ig` on small models: nodes of its line, and that memory changes no bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "method/calls.h"
#include "method/gradient/ig_path.h"
#include "model/model.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* ---- nodes ---- */

enum { TOKENS = 12, FIXED = 1 };

typedef struct Line {
    Arena arena;
    Team team;
    Progress progress;
    Model *model;
    Session *session;
    Method method;
    MethodCall call;
    Prompt prompt;
    Target target, contrast;
    IgPath path;
    int32_t ids[TOKENS + 1];
    Token tokens[TOKENS];
    int32_t rows[2], contrast_ids[1];
} Line;

/* The prompt is TOKENS long with its first fixed; the target two tokens, the contrast one. */
static void line_open(Line *line, const char *name) {
    *line = (Line){0};
    arena_init(&line->arena);
    line->team = team_of(2, &line->progress);
    must(model_open(&line->model, golden_folder(name), NULL, NULL));
    must(session_new(&line->session, line->model, &(SessionOptions){0}));
    line->method.command.name = "line";
    line->call =
        (MethodCall){.arena = &line->arena, .method = &line->method, .team = &line->team, .progress = &line->progress};
    for (int32_t t = 0; t <= TOKENS; t++) {
        line->ids[t] = 3 + 2 * t;
    }
    const bool fixed[TOKENS] = {true};
    line->rows[0] = TOKENS - 1;
    line->rows[1] = TOKENS;
    line->contrast_ids[0] = 5;
    line->prompt = (Prompt){.ids = line->ids, .tokens = line->tokens, .n = TOKENS};
    line->target = (Target){.kind = TARGET_TOKENS,
                            .ids = line->ids + TOKENS - 1,
                            .n = 2,
                            .rows = line->rows,
                            .sequence = line->ids,
                            .n_sequence = TOKENS + 1};
    line->contrast = (Target){.kind = TARGET_TOKENS,
                              .ids = line->contrast_ids,
                              .n = 1,
                              .rows = line->rows,
                              .sequence = line->ids,
                              .n_sequence = TOKENS};
    const AnswerOptions options = {.metric = ANSWER_LOG_PROB};
    Answer *answer;
    must(answer_new(&answer, &line->call, line->session, &line->prompt, &line->target, &line->contrast, &options));
    must(ig_path_open(&line->path, &line->call, line->session, answer, &line->prompt, fixed));
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

static void values_are_those_of_the_nodes(void **state) {
    Line line;
    line_open(&line, "ig/tiny_llama");
    assert_int_equal(line.path.first, FIXED);
    assert_int_equal(line.path.n_parts, 2);
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

/* dF/dalpha is a difference quotient of F. */
static void slopes_are_those_of_the_line(void **state) {
    Line line;
    line_open(&line, "ig/tiny_llama");
    const double step = 1e-2;
    IgNode nodes[3] = {{.alpha = 0.5 - step}, {.alpha = 0.5}, {.alpha = 0.5 + step}};
    IgNode *order[3] = {&nodes[0], &nodes[1], &nodes[2]};
    must(ig_evaluate(&line.path, order, 3));
    double quotient = (nodes[2].f - nodes[0].f) / (2 * step), sum = 0.0;
    for (int32_t k = 0; k < 2 * TOKENS; k++) {
        sum += (double)nodes[1].d[k];
    }
    assert_true(fabs(quotient) > 1e-2);
    if (fabs(nodes[1].slope - quotient) > 1e-2 * fabs(quotient) || fabs(sum - quotient) > 1e-2 * fabs(quotient)) {
        fail_msg("slope %.9g, sum of tokens %.9g, quotient %.9g", nodes[1].slope, sum, quotient);
    }
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

/* With min nothing is shared and only the inputs of layers are kept: the same figures, bit by bit. */
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
        cmocka_unit_test(values_are_those_of_the_nodes), cmocka_unit_test(slopes_are_those_of_the_line),
        cmocka_unit_test(memory_changes_no_bit), cmocka_unit_test(the_least_that_is_named_is_enough)};
    return cmocka_run_group_tests_name("integrated gradients", tests, NULL, NULL);
}
