/* Joined = prefix = full: whatever is changed where in whichever family, a counterfactual that joins a clean run late
 * and reads its keys and values gives the bits of a full pass. Random changes, seeded; every golden model, every
 * backend. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/any_model.h"
#include "run/sweep.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CHANGES = 12, MAX_EDITS = 3, MAX_BASE = 2 };

/* A random change of one sequence: edits, other tokens, or both, and the row that is asked for. */
typedef struct Change {
    Edit edits[MAX_EDITS];
    TokenChange tokens[2];
    OutputRow output;
    Counterfactual counterfactual;
} Change;

/* Several changes of a run that itself has edits in force. */
typedef struct Trial {
    AnyModel *model;
    Change changes[CHANGES];
    Edit base[MAX_BASE];
    int32_t n_base;
    NodeId editable[2 * (CHANGES * MAX_EDITS + MAX_BASE)]; /* the same chains run in pieces in every run */
    NodeId copied[CHANGES * MAX_EDITS + MAX_BASE][2];      /* a site and what copies of it are of */
    int32_t n_copied;
    int32_t n_editable;
    float *found; /* [CHANGES, width] */
    int64_t width;
    NodeId tapped; /* bare models: the last hidden state instead of logits */
} Trial;

static bool is_keyed(const RowShape *shape) {
    return shape->n_dims == 2 && shape->dims[1] == DIM_KEYS;
}

/* Now and then a copy of an earlier site that is as wide; a site has one source, whichever change copies it. */
static void maybe_copy(Trial *trial, Edit *edit) {
    AnyModel *m = trial->model;
    const Graph *graph = &m->golden.model->graph;
    const RowShape *shape = &graph->nodes[edit->node].op.out;
    NodeId source = NODE_NONE;
    for (int32_t i = 0; i < trial->n_copied; i++) {
        source = trial->copied[i][0] == edit->node ? trial->copied[i][1] : source;
    }
    for (int tries = 0; tries < 8 && source == NODE_NONE; tries++) {
        NodeId node = m->sites[any_below(m, m->n_sites)];
        const RowShape *other = &graph->nodes[node].op.out;
        bool fits = node < edit->node && row_shape_width(other, 1) == row_shape_width(shape, 1) && !is_keyed(other) &&
                    graph_on_outputs(graph, node) == graph_on_outputs(graph, edit->node);
        source = fits ? node : source;
    }
    if (source == NODE_NONE || is_keyed(shape) || any_below(m, 3) > 0) {
        return;
    }
    edit->kind = EDIT_COPY;
    edit->source = source;
    trial->copied[trial->n_copied][0] = edit->node;
    trial->copied[trial->n_copied++][1] = source;
    trial->editable[trial->n_editable++] = source; /* observed in every run, as what is copied is */
}

static void random_change(Trial *trial, int32_t n, Change *change) {
    AnyModel *m = trial->model;
    Counterfactual *out = &change->counterfactual;
    *out = (Counterfactual){.edits = change->edits, .tokens = change->tokens, .outputs = &change->output};
    out->n_edits = any_below(m, MAX_EDITS + 1);
    for (int32_t i = 0; i < out->n_edits; i++) {
        change->edits[i] = any_edit(m, m->sites, m->n_sites, n, n);
        maybe_copy(trial, &change->edits[i]);
        trial->editable[trial->n_editable++] = change->edits[i].node;
    }
    out->n_tokens = any_below(m, 4) == 0 ? 1 + any_below(m, 2) : 0;
    for (int32_t i = 0; i < out->n_tokens; i++) {
        change->tokens[i] = (TokenChange){any_below(m, n), any_below(m, m->golden.model->config.n_vocab)};
    }
    bool last = m->golden.bare || any_below(m, 3) > 0;
    change->output = (OutputRow){.row = last ? n - 1 : any_below(m, n), .target = -1};
    out->n_outputs = 1;
}

static const float *wanted_row(const Trial *trial, int32_t row) {
    if (!trial->model->golden.bare) {
        return engine_logits(trial->model->engine);
    }
    int32_t rows;
    int64_t width;
    return engine_tap(trial->model->engine, trial->tapped, &rows, &width) + row * trial->width;
}

/* The change from the row `begin` on, from its tokens: 0 is a full pass, else rows before are read as a prefix. */
static const float *run_plainly(Trial *trial, const Change *change, int32_t begin) {
    const Counterfactual *what = &change->counterfactual;
    SequenceInput sequence = clean_run_sequence(what->clean, (Join){0}, begin, what->clean->n);
    int32_t ids[256];
    assert_true(sequence.n <= 256);
    memcpy(ids, sequence.ids, (size_t)sequence.n * sizeof *ids);
    for (int32_t i = 0; i < what->n_tokens; i++) {
        ids[what->tokens[i].row - begin] = what->tokens[i].id;
    }
    sequence.ids = ids;
    Edit edits[MAX_BASE + MAX_EDITS];
    int32_t n = clean_run_edits(what->clean, (Join){0}, 0, begin, what->clean->n, edits);
    for (int32_t i = 0; i < what->n_edits; i++) {
        edits[n] = what->edits[i];
        n += clean_run_clip_edit(what->clean, &edits[n], 0, begin, what->clean->n) ? 1 : 0;
    }
    OutputRow output = change->output;
    output.row -= begin;
    bool bare = trial->model->golden.bare;
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .edits = edits,
                          .n_edits = n,
                          .editable = trial->editable,
                          .n_editable = trial->n_editable,
                          .logits = !bare,
                          .taps = &trial->tapped,
                          .n_taps = bare ? 1 : 0};
    any_model_good(trial->model, engine_run(trial->model->engine, &request, NULL));
    return wanted_row(trial, output.row);
}

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    Trial *trial = context;
    const float *row = answer->logits;
    if (trial->model->golden.bare) { /* the last row that ran is the one that was wanted */
        row = wanted_row(trial, answer->first_row + answer->row_end - answer->row_begin - 1);
    }
    memcpy(trial->found + answer->index * trial->width, row, (size_t)trial->width * sizeof(float));
    return LIMN_OK;
}

/* The first row that differs or is asked for: rows before may be read. With scores in force a row may see later ones.
 */
static int32_t first_row(const Trial *trial, const Change *change) {
    int32_t begin = change->output.row;
    for (int32_t i = 0; i < change->counterfactual.n_edits; i++) {
        begin = change->edits[i].row_begin < begin ? change->edits[i].row_begin : begin;
    }
    for (int32_t i = 0; i < change->counterfactual.n_tokens; i++) {
        begin = change->tokens[i].row < begin ? change->tokens[i].row : begin;
    }
    for (int32_t i = 0; i < trial->n_base; i++) {
        bool keyed = is_keyed(&trial->model->golden.model->graph.nodes[trial->base[i].node].op.out);
        begin = keyed && trial->base[i].row_begin < begin ? trial->base[i].row_begin : begin;
    }
    return begin;
}

static void same_bits(const Trial *trial, int32_t index, const float *expected, const char *how) {
    const Change *change = &trial->changes[index];
    const float *found = trial->found + index * trial->width;
    if (memcmp(found, expected, (size_t)trial->width * sizeof(float)) == 0) {
        return;
    }
    const Counterfactual *what = &change->counterfactual;
    const GoldenCase *golden = &trial->model->golden;
    const char *site = what->n_edits == 0 ? "no site" : golden->model->graph.nodes[change->edits[0].node].site;
    fail_msg("%s, %s: change %d (%d edits, first of %s, %d tokens, from row %d) %s is off by %g", trial->model->backend,
             golden->folder, index, what->n_edits, site, what->n_tokens, first_row(trial, change), how,
             any_distance(found, expected, trial->width));
}

static CleanRun *random_trial(Trial *trial, const SequenceInput *input, CleanRunOptions *options) {
    AnyModel *m = trial->model;
    trial->n_editable = 0;
    trial->n_copied = 0;
    for (int32_t i = 0; i < CHANGES; i++) {
        random_change(trial, input->n, &trial->changes[i]);
    }
    for (int32_t i = 0; i < trial->n_base; i++) {
        trial->base[i] = any_edit(m, m->sites, m->n_sites, input->n, input->n);
        maybe_copy(trial, &trial->base[i]);
        trial->editable[trial->n_editable++] = trial->base[i].node;
    }
    options->edits = trial->base;
    options->n_edits = trial->n_base;
    options->editable = trial->editable;
    options->n_editable = trial->n_editable;
    CleanRun *clean;
    any_model_good(m, clean_run_new(&clean, m->engine, input, options, NULL));
    for (int32_t i = 0; i < CHANGES; i++) {
        trial->changes[i].counterfactual.clean = clean;
    }
    return clean;
}

static void check_trial(Trial *trial, const SequenceInput *input, CleanRunOptions *options, int32_t run_rows) {
    AnyModel *m = trial->model;
    CleanRun *clean = random_trial(trial, input, options);
    Counterfactual list[CHANGES];
    for (int32_t i = 0; i < CHANGES; i++) {
        list[i] = trial->changes[i].counterfactual;
    }
    RunRequest ask = {.logits = !m->golden.bare, .taps = &trial->tapped, .n_taps = m->golden.bare ? 1 : 0};
    Sweep *sweep;
    any_model_good(m, sweep_new(&sweep, m->engine, &ask, &(SweepOptions){.run_rows = run_rows}));
    for (int64_t i = 0; i < CHANGES * trial->width; i++) {
        trial->found[i] = NAN;
    }
    any_model_good(m, sweep_run(sweep, list, CHANGES, take, trial, NULL));
    sweep_free(sweep);
    for (int32_t i = 0; i < CHANGES; i++) {
        same_bits(trial, i, run_plainly(trial, &trial->changes[i], 0), "against a full pass");
        if (m->golden.model->config.causal) {
            same_bits(trial, i, run_plainly(trial, &trial->changes[i], first_row(trial, &trial->changes[i])),
                      "against a prefix");
        }
    }
    clean_run_free(clean);
}

/* With all streams, with those between the sublayers, with half of them, with edits in force. */
static void check_model(AnyModel *model) {
    const Graph *graph = &model->golden.model->graph;
    Trial *trial = calloc(1, sizeof *trial);
    assert_non_null(trial);
    trial->model = model;
    trial->tapped = graph->final;
    trial->width = row_shape_width(&graph->nodes[model->golden.bare ? graph->final : graph->logits].op.out, 1);
    trial->found = malloc(CHANGES * (size_t)trial->width * sizeof(float));
    assert_non_null(trial->found);
    for (int32_t round = 0; round < 4; round++) {
        const SequenceInput *input = &model->golden.sequences[round % model->golden.n_sequences];
        CleanRunOptions options = {.middle = round % 2 == 1};
        if (round == 2) {
            size_t all = clean_run_bytes_needed(model->golden.model, input->n, false);
            size_t stream = (size_t)model->golden.model->config.d_model * (size_t)input->n * sizeof(float);
            options.memory_limit = all - stream * (size_t)(model->golden.model->config.n_layers / 2);
        }
        trial->n_base = round == 3 ? MAX_BASE : 0;
        check_trial(trial, input, &options, round == 0 ? 0 : 2 * input->n);
    }
    free(trial->found);
    free(trial);
}

static void test_joined_is_prefix_is_full(void **state) {
    any_model_each(&(EngineOptions){.chunk_rows = 5}, 14, check_model);
}

/* Products of numbers rounded to bf16 keep a row's bits too. */
static void test_joined_is_full_in_bf16(void **state) {
    any_model_each(&(EngineOptions){.compute = COMPUTE_BF16}, 41, check_model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_is_prefix_is_full),
        cmocka_unit_test(test_joined_is_full_in_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
