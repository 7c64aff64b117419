/* Runs whose sequences join at different places, in any order: logits, objectives, taps and gradients come back in the
 * request's order, with the bits (gradients: the values) of full passes. Random requests on every golden model and
 * backend; then known answers on a small model: difference quotients, caches, refusals. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/any_model.h"
#include "run/clean_run.h"
#include "run/joins.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SEQUENCES = 7, OUTPUTS = 10, LOOKED = 3, MAX_KEPT = 8 };

/* One request of several sequences, and what else is needed to ask each of them alone. */
typedef struct Trial {
    AnyModel *model;
    CleanRun *clean[MAX_KEPT]; /* of the golden case's sequences */
    int32_t n_clean;
    SequenceInput sequences[SEQUENCES];
    int32_t begin[SEQUENCES]; /* first row of its clean run */
    Edit edits[SEQUENCES];    /* one for each */
    OutputRow outputs[OUTPUTS];
    int32_t n_outputs;
    NodeId looked[LOOKED]; /* tapped and differentiated */
    NodeId observed[SEQUENCES + LOOKED];
    int32_t n_keys;
} Trial;

static bool is_keyed(const Graph *graph, NodeId node) {
    const RowShape *shape = &graph->nodes[node].op.out;
    return shape->n_dims == 2 && shape->dims[1] == DIM_KEYS;
}

/* A site whose width does not depend on who else is in the run. */
static NodeId random_site(AnyModel *m) {
    for (;;) {
        NodeId node = m->sites[any_below(m, m->n_sites)];
        if (!is_keyed(&m->golden.model->graph, node)) {
            return node;
        }
    }
}

static void make_clean_runs(Trial *trial) {
    AnyModel *m = trial->model;
    trial->n_clean = m->golden.n_sequences < MAX_KEPT ? m->golden.n_sequences : MAX_KEPT;
    for (int32_t i = 0; i < trial->n_clean; i++) {
        CleanRunOptions options = {.middle = true, .editable = trial->observed, .n_editable = SEQUENCES + LOOKED};
        any_model_good(m, clean_run_new(&trial->clean[i], m->engine, &m->golden.sequences[i], &options, NULL));
    }
}

static void random_sequence(Trial *trial, int32_t s) {
    AnyModel *m = trial->model;
    const CleanRun *clean = trial->clean[any_below(m, trial->n_clean)];
    NodeId edited = trial->observed[LOOKED + s];
    int32_t place = any_below(m, joins_before(clean->nodes, join_places(m->golden.model), edited) + 2) - 1;
    while (place >= 0 && clean->streams[place] == NULL) {
        place--;
    }
    Join join = place < 0 ? (Join){0} : join_at(clean, place);
    trial->begin[s] = m->golden.model->config.causal ? any_below(m, clean->n) : 0;
    trial->sequences[s] = clean_run_sequence(clean, join, trial->begin[s], clean->n);
    trial->edits[s] = any_edit(m, &edited, 1, trial->sequences[s].n, 1);
    trial->edits[s].sequence = s;
}

/* The sites are drawn first: clean runs are made with the same ones observed. */
static void random_trial(Trial *trial) {
    AnyModel *m = trial->model;
    for (int32_t i = 0; i < LOOKED; i++) {
        trial->observed[i] = trial->looked[i] = random_site(m);
    }
    for (int32_t s = 0; s < SEQUENCES; s++) {
        trial->observed[LOOKED + s] = random_site(m);
    }
    make_clean_runs(trial);
    for (int32_t s = 0; s < SEQUENCES; s++) {
        random_sequence(trial, s);
    }
    trial->n_outputs = m->golden.bare ? 0 : OUTPUTS;
    int32_t n_targets = m->golden.classifier ? m->golden.model->config.n_classes : m->golden.model->config.n_vocab;
    for (int32_t i = 0; i < trial->n_outputs; i++) {
        int32_t s = any_below(m, SEQUENCES);
        trial->outputs[i] = (OutputRow){s, any_below(m, trial->sequences[s].n), any_below(m, n_targets),
                                        0.25f * (float)(1 + any_below(m, 8))};
    }
}

static RunRequest request_of(const Trial *trial) {
    bool bare = trial->model->golden.bare;
    return (RunRequest){.taps = trial->looked,
                        .n_taps = LOOKED,
                        .grads = trial->looked,
                        .n_grads = bare ? 0 : LOOKED,
                        .editable = trial->observed,
                        .n_editable = SEQUENCES + LOOKED,
                        .objective = bare ? OBJECTIVE_NONE : OBJECTIVE_LOG_PROB,
                        .logits = !bare};
}

typedef struct Answer {
    float *logits, *objective; /* [n_outputs, width], [n_outputs] */
    float *taps[LOOKED], *grads[LOOKED];
    int64_t widths[LOOKED], width;
    int32_t rows[LOOKED];
} Answer;

static float *copy_of(const float *values, int64_t n) {
    float *copy = malloc((size_t)(n + 1) * sizeof *copy);
    assert_non_null(copy);
    if (n > 0) {
        assert_non_null(values);
        memcpy(copy, values, (size_t)n * sizeof *copy);
    }
    return copy;
}

static void ask(const Trial *trial, const RunRequest *request, Answer *answer) {
    const AnyModel *m = trial->model;
    const Graph *graph = &m->golden.model->graph;
    any_model_good(m, engine_run(m->engine, request, NULL));
    answer->width = m->golden.bare ? 0 : row_shape_width(&graph->nodes[graph->logits].op.out, 1);
    answer->logits = copy_of(engine_logits(m->engine), request->n_outputs * answer->width);
    answer->objective = copy_of(engine_objective(m->engine), m->golden.bare ? 0 : request->n_outputs);
    for (int i = 0; i < LOOKED; i++) {
        const float *tap = engine_tap(m->engine, trial->looked[i], &answer->rows[i], &answer->widths[i]);
        answer->taps[i] = copy_of(tap, answer->rows[i] * answer->widths[i]);
        const float *grad = engine_grad(m->engine, trial->looked[i], &answer->rows[i], &answer->widths[i]);
        answer->grads[i] = copy_of(grad, m->golden.bare ? 0 : answer->rows[i] * answer->widths[i]);
    }
}

static void free_answer(Answer *answer) {
    free(answer->logits);
    free(answer->objective);
    for (int i = 0; i < LOOKED; i++) {
        free(answer->taps[i]);
        free(answer->grads[i]);
    }
}

static void check_bits(const Trial *trial, const float *found, const float *expected, int64_t n, const char *what,
                       int32_t s) {
    if (memcmp(found, expected, (size_t)n * sizeof(float)) != 0) {
        fail_msg("%s, %s: sequence %d (joins at %d): %s is off by %g", trial->model->backend,
                 trial->model->golden.folder, s, join_place(&trial->sequences[s].join), what,
                 any_distance(found, expected, n));
    }
}

static double largest(const float *values, int64_t n) {
    double found = 0;
    for (int64_t i = 0; i < n; i++) {
        found = fmax(found, fabs((double)values[i]));
    }
    return found;
}

/* Rows [row, row + n) of the run are rows [begin, begin + n) of the full pass. */
static void check_site(const Trial *trial, const Answer *joined, const Answer *full, int i, int32_t s, int32_t row,
                       int32_t begin, int32_t n) {
    const AnyModel *m = trial->model;
    const SequenceInput *sequence = &trial->sequences[s];
    NodeId node = trial->looked[i];
    bool there = sequence->join.clean == NULL || node >= sequence->join.clean->nodes[join_place(&sequence->join)];
    int64_t width = joined->widths[i];
    const float *tap = joined->taps[i] + row * width, *grad = joined->grads[i] + row * width;
    const char *name = m->golden.model->graph.nodes[node].site;
    if (!there) {
        for (int64_t e = 0; e < n * width; e++) {
            assert_true(isnan(tap[e]));
            assert_true(m->golden.bare || grad[e] == 0);
        }
        return;
    }
    check_bits(trial, tap, full->taps[i] + begin * width, n * width, name, s);
    if (m->golden.bare) {
        return;
    }
    double whole = largest(full->grads[i], full->rows[i] * width), worst = 0;
    for (int64_t e = 0; e < n * width; e++) {
        worst = fmax(worst, fabs((double)grad[e] - (double)full->grads[i][begin * width + e]));
    }
    if (!(worst <= 1e-4 * whole)) {
        fail_msg("%s, %s: sequence %d (joins at %d): gradient of %s is off by %g of %g", m->backend, m->golden.folder,
                 s, join_place(&sequence->join), name, worst, whole);
    }
}

/* One sequence alone, all its rows from their tokens. */
static void ask_alone(const Trial *trial, int32_t s, Answer *answer) {
    const CleanRun *clean = NULL;
    for (int32_t i = 0; i < trial->n_clean; i++) {
        clean = trial->clean[i]->ids + trial->begin[s] == trial->sequences[s].ids ? trial->clean[i] : clean;
    }
    assert_non_null(clean);
    SequenceInput whole = clean_run_sequence(clean, (Join){0}, 0, clean->n);
    Edit edit = trial->edits[s];
    edit.sequence = 0;
    edit.row_end = edit.row_end < 0 ? -1 : edit.row_end + trial->begin[s];
    edit.row_begin += trial->begin[s];
    OutputRow outputs[OUTPUTS];
    RunRequest request = request_of(trial);
    for (int32_t i = 0; i < trial->n_outputs; i++) {
        if (trial->outputs[i].sequence == s) {
            outputs[request.n_outputs] = trial->outputs[i];
            outputs[request.n_outputs].sequence = 0;
            outputs[request.n_outputs++].row += trial->begin[s];
        }
    }
    request.sequences = &whole;
    request.n_sequences = 1;
    request.outputs = outputs;
    request.edits = &edit;
    request.n_edits = 1;
    ask(trial, &request, answer);
}

static void check_sequence(const Trial *trial, const Answer *joined, int32_t s, int32_t first) {
    const Graph *graph = &trial->model->golden.model->graph;
    Answer full;
    ask_alone(trial, s, &full);
    int32_t output = 0;
    for (int32_t i = 0; i < trial->n_outputs; i++) {
        if (trial->outputs[i].sequence != s) {
            continue;
        }
        check_bits(trial, joined->logits + i * joined->width, full.logits + output * full.width, full.width, "logits",
                   s);
        check_bits(trial, joined->objective + i, full.objective + output, 1, "objective", s);
        for (int look = 0; look < LOOKED; look++) {
            if (graph_on_outputs(graph, trial->looked[look])) {
                check_site(trial, joined, &full, look, s, i, output, 1);
            }
        }
        output++;
    }
    for (int look = 0; look < LOOKED; look++) {
        if (!graph_on_outputs(graph, trial->looked[look])) {
            check_site(trial, joined, &full, look, s, first, trial->begin[s], trial->sequences[s].n);
        }
    }
    free_answer(&full);
}

static void check_model(AnyModel *model) {
    for (int round = 0; round < 2; round++) {
        Trial trial = {.model = model};
        random_trial(&trial);
        RunRequest request = request_of(&trial);
        request.sequences = trial.sequences;
        request.n_sequences = SEQUENCES;
        request.outputs = trial.outputs;
        request.n_outputs = trial.n_outputs;
        request.edits = trial.edits;
        request.n_edits = SEQUENCES;
        Answer joined;
        ask(&trial, &request, &joined);
        int32_t first = 0;
        for (int32_t s = 0; s < SEQUENCES; s++) {
            check_sequence(&trial, &joined, s, first);
            first += trial.sequences[s].n;
        }
        free_answer(&joined);
        for (int32_t i = 0; i < trial.n_clean; i++) {
            clean_run_free(trial.clean[i]);
        }
    }
}

static void test_joins_in_any_order(void **state) {
    any_model_each(&(EngineOptions){.chunk_rows = 6, .keep = KEEP_EVERYTHING}, 3, check_model);
}

static void test_joins_with_layers_computed_again(void **state) {
    any_model_each(&(EngineOptions){.chunk_rows = 3, .keep = KEEP_LAYER_INPUTS}, 4, check_model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joins_in_any_order),
        cmocka_unit_test(test_joins_with_layers_computed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
