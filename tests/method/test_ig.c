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
#include "call/open.h"
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
    Engine *engine;
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
    must(engine_new(&line->engine, line->model, &(EngineOptions){0}));
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
    must(answer_new(&answer, &line->call, line->engine, &line->prompt, &line->target, &line->contrast, &options));
    must(ig_path_open(&line->path, &line->call, line->engine, answer, &line->prompt, fixed));
    for (int64_t i = 0; i < TOKENS * line->path.d_model; i++) {
        line->path.baseline[i] = 0.25f * line->path.input[i];
    }
}

static void line_close(Line *line) {
    ig_path_free(&line->path);
    engine_free(line->engine);
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

/* ---- how long it will take ---- */

typedef struct Heard {
    int ticks, unknown; /* of the integral; of these without a total */
    double last;        /* the last part done */
    char remark[512];
} Heard;

static bool hear_progress(void *context, const char *stage, int64_t done, int64_t total) {
    Heard *heard = context;
    if (strcmp(stage, "integrate") == 0) {
        heard->ticks++;
        heard->unknown += total <= 0;
        heard->last = total > 0 ? (double)done / (double)total : heard->last;
    }
    return true;
}

static void hear_remark(void *context, const char *line) {
    Heard *heard = context;
    snprintf(heard->remark, sizeof heard->remark, "%s", line);
}

/* As call_method, with somebody listening. */
static Result *call_heard(Heard *heard, const char *params) {
    *heard = (Heard){0};
    CallListeners listeners = {.progress = {hear_progress, heard}, .remark = hear_remark, .remark_context = heard};
    json_t *object = json_loads(params, 0, NULL);
    ModelCache *models;
    Result *result;
    assert_non_null(object);
    must(model_cache_new(&models));
    must(method_call(&result, &test_registry, models, "ig", object, &listeners));
    json_decref(object);
    model_cache_free(models);
    return result;
}

static double figure(const Result *result, const char *block, const char *name) {
    const TableBlock *table = result_find_block(result, block)->content;
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, name) == 0) {
            const Value *value = table_cell(table, row, 1);
            return value->kind == VALUE_INTEGER ? (double)value->integer : value->number;
        }
    }
    fail_msg("no figure '%s'", name);
    return 0;
}

/* Of all baselines. */
static double nodes_of(const Result *result) {
    const TableBlock *table = result_find_block(result, "integration")->content;
    if (table->n_columns == 2) {
        return figure(result, "integration", "nodes");
    }
    double sum = 0;
    for (int32_t row = 0; row < table->n_rows; row++) {
        sum += (double)table_cell(table, row, 3)->integer;
    }
    return sum;
}

/* What an explanation will take is known before it is done: the estimate of its nodes, and while it goes on the part of
 * it that is done. */
static void the_effort_is_known_before(void **state) {
    (void)state;
    static const struct {
        const char *name, *options;
    } cases[] = {{"llama-old", "\"tolerance\": 0.0003"},
                 {"qwen3", "\"tolerance\": 0.0003"},
                 {"qwen3", "\"tolerance\": 0.003, \"baseline\": [\"zero\", \"mean\"]"},
                 {"gpt2", "\"tolerance\": 0.03"},
                 {"bert-classifier", "\"steps\": 40"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char params[1400];
        const int n = snprintf(params, sizeof params,
                               "{\"model\": \"%s\", \"ids\": [3, 9, 27, 11, 33, 29, 17, 5, 7, 21, 40, 44], %s",
                               golden_folder(cases[i].name), cases[i].options);
        Heard heard;
        strcpy(params + n, "}");
        Result *result = call_heard(&heard, params);
        double nodes = nodes_of(result);
        assert_true(heard.ticks > 2 && heard.last > 0.15 && heard.last <= 1);
        assert_int_equal(heard.unknown, 0);
        result_free(result);
        strcpy(params + n, ", \"estimate\": true}");
        result = call_heard(&heard, params);
        bool fixed = strstr(cases[i].options, "steps") != NULL;
        double about = figure(result, "estimate", fixed ? "nodes" : "nodes, about");
        if (about < nodes / 2 || about > nodes * 2) {
            fail_msg("%s, %s: an estimate of %g nodes, it took %g", cases[i].name, cases[i].options, about, nodes);
        }
        assert_true(figure(result, "estimate", "time, about") > 0);
        assert_non_null(strstr(result->headline.bytes, "nodes"));
        result_free(result);
    }
}

/* Where the model would hardly say what it is asked about, that is told before the work, and stands in the result. */
static void an_unlikely_target_is_told_before(void **state) {
    (void)state;
    Result *result;
    Heard heard;
    char params[1400];
    must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": [3, 9, 27], \"top\": 64}", golden_folder("gemma2")));
    const TableBlock *top = result_find_block(result, "top")->content;
    int last = (int)table_cell(top, top->n_rows - 1, 1)->integer, first = (int)table_cell(top, 0, 1)->integer;
    double least = table_cell(top, top->n_rows - 1, 2)->number, most = table_cell(top, 0, 2)->number;
    assert_true(least < 0.01 && most > 10 * least);
    result_free(result);
    snprintf(params, sizeof params, "{\"model\": \"%s\", \"ids\": [3, 9, 27], \"steps\": 2, \"target-id\": %d}",
             golden_folder("gemma2"), last);
    result = call_heard(&heard, params);
    char expected[64];
    snprintf(expected, sizeof expected, "the model would hardly begin with '<%d>'", last);
    assert_non_null(strstr(heard.remark, expected));
    snprintf(expected, sizeof expected, "it would rather say '<%d>'", first);
    assert_non_null(strstr(heard.remark, expected));
    assert_string_equal(result->warnings[0].bytes, heard.remark);
    result_free(result);
    snprintf(params, sizeof params, "{\"model\": \"%s\", \"ids\": [3, 9, 27], \"steps\": 2, \"target-id\": %d}",
             golden_folder("gemma2"), first);
    result = call_heard(&heard, params);
    assert_string_equal(heard.remark, "");
    result_free(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_effort_is_known_before),    cmocka_unit_test(an_unlikely_target_is_told_before),
        cmocka_unit_test(values_are_those_of_the_nodes), cmocka_unit_test(slopes_are_those_of_the_line),
        cmocka_unit_test(memory_changes_no_bit),         cmocka_unit_test(the_least_that_is_named_is_enough)};
    return cmocka_run_group_tests_name("integrated gradients", tests, NULL, NULL);
}
