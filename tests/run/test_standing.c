/* Standing edits are edits of every run: with them in force a run, and a change that joins a clean run late, give the
 * bits of a full pass that is told the same edits itself. Random edits, seeded; every golden model, every backend. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "run/any_model.h"
#include "run/sweep.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { STANDING = 3, CHANGES = 6, EDITS = STANDING + CHANGES };

typedef struct Trial {
    AnyModel *model;
    Edit edits[EDITS]; /* those that stand, then a change each */
    NodeId editable[2 * EDITS];
    int32_t n_editable;
    SequenceInput input;
    OutputRow output;
    NodeId tapped; /* bare models: the last hidden state instead of logits */
    int64_t width;
    float *expected, *found; /* [CHANGES, width] */
} Trial;

static bool is_keyed(const Graph *graph, NodeId node) {
    const RowShape *shape = &graph->nodes[node].op.out;
    return shape->n_dims == 2 && shape->dims[1] == DIM_KEYS;
}

/* A copy of an earlier site that is as wide, where one is found. */
static void maybe_copy(Trial *trial, Edit *edit) {
    AnyModel *m = trial->model;
    const Graph *graph = &m->golden.model->graph;
    for (int tries = 0; tries < 6; tries++) {
        NodeId node = m->sites[any_below(m, m->n_sites)];
        bool fits =
            node < edit->node && !is_keyed(graph, node) &&
            row_shape_width(&graph->nodes[node].op.out, 1) == row_shape_width(&graph->nodes[edit->node].op.out, 1) &&
            graph_on_outputs(graph, node) == graph_on_outputs(graph, edit->node);
        if (fits) {
            edit->kind = EDIT_COPY;
            edit->source = node;
            trial->editable[trial->n_editable++] = node; /* observed in every run, as what is copied is */
            return;
        }
    }
}

static Edit draw_edit(Trial *trial, bool stands) {
    AnyModel *m = trial->model;
    Edit edit;
    do {
        edit = any_edit(m, m->sites, m->n_sites, trial->input.n, trial->input.n);
    } while (is_keyed(&m->golden.model->graph, edit.node));
    edit.sequence = stands ? -1 : 0;
    if (stands) {
        edit.row_begin = 0;
        edit.row_end = -1;
        edit.row_stride = 0;
    }
    trial->editable[trial->n_editable++] = edit.node;
    return edit;
}

/* One site is a copy of one source, so no site is drawn twice. */
static void draw_edits(Trial *trial) {
    trial->n_editable = 0;
    for (int32_t i = 0; i < EDITS; i++) {
        bool again = true;
        while (again) {
            trial->edits[i] = draw_edit(trial, i < STANDING);
            again = false;
            for (int32_t j = 0; j < i; j++) {
                again = again || (trial->edits[j].node == trial->edits[i].node && i < STANDING);
            }
        }
        if (i < STANDING && i % 2 == 0) {
            maybe_copy(trial, &trial->edits[i]);
        }
    }
}

static void keep(Trial *trial, float *to) {
    int32_t rows;
    int64_t width;
    const Engine *engine = trial->model->engine;
    const float *row = trial->model->golden.bare
                           ? engine_tap(engine, trial->tapped, &rows, &width) + trial->output.row * trial->width
                           : engine_logits(engine);
    memcpy(to, row, (size_t)trial->width * sizeof *to);
}

static RunRequest request_of(const Trial *trial) {
    bool bare = trial->model->golden.bare;
    return (RunRequest){.outputs = &trial->output,
                        .n_outputs = 1,
                        .editable = trial->editable,
                        .n_editable = trial->n_editable,
                        .logits = !bare,
                        .taps = &trial->tapped,
                        .n_taps = bare ? 1 : 0};
}

/* A full pass with the change, and with the standing edits where it has to be told them. */
static void run_full(Trial *trial, int32_t change, bool told, float *to) {
    Edit edits[STANDING + 1];
    int32_t n = told ? STANDING : 0;
    memcpy(edits, trial->edits, sizeof edits);
    edits[n] = trial->edits[STANDING + change];
    RunRequest request = request_of(trial);
    request.sequences = &trial->input;
    request.n_sequences = 1;
    request.edits = edits;
    request.n_edits = n + 1;
    any_model_good(trial->model, engine_run(trial->model->engine, &request, NULL));
    keep(trial, to);
}

static void same(const Trial *trial, const char *how) {
    for (int32_t i = 0; i < CHANGES; i++) {
        const float *found = trial->found + i * trial->width, *expected = trial->expected + i * trial->width;
        if (memcmp(found, expected, (size_t)trial->width * sizeof *found) != 0) {
            const GoldenCase *golden = &trial->model->golden;
            fail_msg("%s, %s: change %d of %s, %s, is off by %g", trial->model->backend, golden->folder, (int)i,
                     golden->model->graph.nodes[trial->edits[STANDING + i].node].site, how,
                     any_distance(found, expected, trial->width));
        }
    }
}

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    Trial *trial = context;
    float *to = trial->found + answer->index * trial->width;
    if (trial->model->golden.bare) {
        int32_t rows;
        int64_t width;
        int32_t last = answer->first_row + answer->row_end - answer->row_begin - 1;
        memcpy(to, engine_tap(trial->model->engine, trial->tapped, &rows, &width) + last * trial->width,
               (size_t)trial->width * sizeof *to);
    } else {
        memcpy(to, answer->logits, (size_t)trial->width * sizeof *to);
    }
    return LIMN_OK;
}

/* The changes join a clean run that was made with the standing edits in force. */
static void run_joined(Trial *trial, bool middle) {
    AnyModel *m = trial->model;
    const CleanRunOptions options = {.middle = middle, .editable = trial->editable, .n_editable = trial->n_editable};
    CleanRun *clean;
    Sweep *sweep;
    Counterfactual list[CHANGES];
    any_model_good(m, clean_run_new(&clean, m->engine, &trial->input, &options, NULL));
    for (int32_t i = 0; i < CHANGES; i++) {
        list[i] = (Counterfactual){.clean = clean, .edits = &trial->edits[STANDING + i], .n_edits = 1};
    }
    RunRequest ask = request_of(trial);
    any_model_good(m, sweep_new(&sweep, m->engine, &ask, NULL));
    any_model_good(m, sweep_run(sweep, list, CHANGES, take, trial, NULL));
    sweep_free(sweep);
    clean_run_free(clean);
}

static void check_model(AnyModel *model) {
    const Graph *graph = &model->golden.model->graph;
    Trial *trial = calloc(1, sizeof *trial);
    assert_non_null(trial);
    trial->model = model;
    trial->tapped = graph->final;
    trial->width = row_shape_width(&graph->nodes[model->golden.bare ? graph->final : graph->logits].op.out, 1);
    trial->expected = calloc(2 * CHANGES * (size_t)trial->width, sizeof(float));
    trial->found = trial->expected + CHANGES * trial->width;
    for (int32_t round = 0; round < 3; round++) {
        trial->input = model->golden.sequences[round % model->golden.n_sequences];
        trial->output = (OutputRow){.row = trial->input.n - 1, .target = -1};
        draw_edits(trial);
        for (int32_t i = 0; i < CHANGES; i++) {
            run_full(trial, i, true, trial->expected + i * trial->width);
        }
        any_model_good(model, engine_set_edits(model->engine, trial->edits, STANDING));
        for (int32_t i = 0; i < CHANGES; i++) {
            run_full(trial, i, false, trial->found + i * trial->width);
        }
        same(trial, "in a full pass");
        run_joined(trial, round == 1);
        same(trial, "joined late");
        any_model_good(model, engine_set_edits(model->engine, NULL, 0));
        run_full(trial, 0, false, trial->found); /* and they are gone again */
        if (trial->edits[0].kind != EDIT_STOP && trial->edits[1].kind != EDIT_STOP) {
            assert_true(any_distance(trial->found, trial->expected, trial->width) > 0);
        }
    }
    free(trial->expected);
    free(trial);
}

static void a_standing_edit_is_an_edit_of_every_run(void **state) {
    any_model_each(&(EngineOptions){.chunk_rows = 5}, 16, check_model);
}

/* What cannot hold for every row of every prompt is refused. */
static void check_refusals(AnyModel *model) {
    const Graph *graph = &model->golden.model->graph;
    static const float zero = 0;
    Edit edit = {.node = graph_find_site(graph, "hook_embed"),
                 .sequence = -1,
                 .row_end = -1,
                 .element_end = -1,
                 .values = &zero,
                 .scalar = true};
    any_model_good(model, engine_set_edits(model->engine, &edit, 1));
    Edit odd[] = {edit, edit, edit, edit};
    odd[0].row_begin = 1;
    odd[1].sequence = 0;
    odd[2].row_end = 3;
    odd[3].node = graph->n_nodes;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_not_equal(engine_set_edits(model->engine, &odd[i], 1), LIMN_OK);
    }
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        edit.node = node;
        bool fine = graph->nodes[node].site != NULL && !is_keyed(graph, node);
        assert_int_equal(engine_set_edits(model->engine, &edit, 1) == LIMN_OK, fine);
    }
    any_model_good(model, engine_set_edits(model->engine, NULL, 0));
}

static void what_cannot_stand_is_refused(void **state) {
    any_model_each(NULL, 3, check_refusals);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_standing_edit_is_an_edit_of_every_run),
        cmocka_unit_test(what_cannot_stand_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
