/* Joined = prefix = full: whatever is edited where in whichever family, a counterfactual that joins a clean run late
 * and reads its keys and values gives the bits of a full pass. Random edits, seeded; every golden case, every backend.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "run/golden_case.h"
#include "run/sweep.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CHANGES = 12, MAX_EDITS = 3, MAX_VALUES = 1 << 15 };

static const char *backend; /* under test */

static void good(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s: %s", backend, error_message());
    }
}

static int32_t below(Random *random, int32_t n) {
    return (int32_t)random_below(random, (uint64_t)n);
}

/* A random change of one sequence: edits, other tokens, or both, and an output row. */
typedef struct Change {
    Edit edits[MAX_EDITS];
    TokenChange tokens[2];
    OutputRow output;
    Counterfactual counterfactual;
} Change;

typedef struct Case {
    GoldenCase golden;
    Session *session;
    NodeId *sites;
    int32_t n_sites;
    Random random;
    float values[MAX_VALUES];
    float *found; /* [CHANGES, width] */
    int64_t width;
    NodeId wanted;    /* bare models: the last hidden state, tapped */
    NodeId *editable; /* what the changes at hand edit: they unfuse the same chains in every run */
    int32_t n_editable;
} Case;

static Edit random_edit(Case *c, const CleanRun *clean) {
    Random *r = &c->random;
    NodeId node = c->sites[below(r, c->n_sites)];
    int64_t width = row_shape_width(&c->golden.model->graph.nodes[node].op.out, clean->first + clean->n);
    int32_t begin = below(r, clean->n), end = begin + 1 + below(r, clean->n - begin);
    int64_t from = below(r, (int32_t)width), to = from + 1 + below(r, (int32_t)(width - from));
    bool whole = below(r, 3) == 0;
    return (Edit){.node = node,
                  .kind = (EditKind)below(r, 3),
                  .row_begin = begin,
                  .row_end = below(r, 3) == 0 ? -1 : end,
                  .element_begin = whole ? 0 : from,
                  .element_end = whole ? -1 : to,
                  .values = c->values + below(r, MAX_VALUES / 2),
                  .row_stride = below(r, 2) == 0 ? 0 : below(r, 40),
                  .scalar = below(r, 3) == 0};
}

static void random_change(Case *c, const CleanRun *clean, Change *change) {
    Random *r = &c->random;
    Counterfactual *out = &change->counterfactual;
    *out =
        (Counterfactual){.clean = clean, .edits = change->edits, .tokens = change->tokens, .outputs = &change->output};
    out->n_edits = below(r, MAX_EDITS + 1);
    for (int32_t i = 0; i < out->n_edits; i++) {
        change->edits[i] = random_edit(c, clean);
    }
    out->n_tokens = below(r, 4) == 0 ? 1 + below(r, 2) : 0;
    for (int32_t i = 0; i < out->n_tokens; i++) {
        change->tokens[i] = (TokenChange){below(r, clean->n), below(r, c->golden.model->config.n_vocab)};
    }
    change->output = (OutputRow){.row = below(r, 3) == 0 ? below(r, clean->n) : clean->n - 1, .target = -1};
    out->n_outputs = 1;
}

static const float *wanted_row(const Case *c, int32_t row) {
    if (!c->golden.bare) {
        return session_logits(c->session);
    }
    int32_t rows;
    int64_t width;
    const float *tap = session_tap(c->session, c->wanted, &rows, &width);
    return tap + row * width;
}

/* The change from the row `begin` on, from its tokens: 0 is a full pass, else rows before are read as a prefix. */
static const float *run_plainly(Case *c, const Change *change, int32_t begin) {
    const Counterfactual *counterfactual = &change->counterfactual;
    const CleanRun *clean = counterfactual->clean;
    SequenceInput sequence = clean_run_sequence(clean, (Join){0}, begin, clean->n);
    int32_t ids[256];
    assert_true(sequence.n <= 256);
    memcpy(ids, sequence.ids, (size_t)sequence.n * sizeof *ids);
    for (int32_t i = 0; i < counterfactual->n_tokens; i++) {
        ids[counterfactual->tokens[i].row - begin] = counterfactual->tokens[i].id;
    }
    sequence.ids = ids;
    Edit edits[MAX_EDITS];
    for (int32_t i = 0; i < counterfactual->n_edits; i++) {
        edits[i] = counterfactual->edits[i];
        edits[i].row_begin -= begin;
        edits[i].row_end -= edits[i].row_end < 0 ? 0 : begin;
    }
    OutputRow output = change->output;
    output.row -= begin;
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .edits = edits,
                          .n_edits = counterfactual->n_edits,
                          .editable = c->editable,
                          .n_editable = c->n_editable,
                          .logits = !c->golden.bare,
                          .taps = &c->wanted,
                          .n_taps = c->golden.bare ? 1 : 0};
    good(session_run(c->session, &request, NULL));
    return wanted_row(c, output.row);
}

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    Case *c = context;
    const float *row = c->golden.bare ? NULL : answer->logits;
    if (c->golden.bare) { /* the last row that ran is the one that was wanted */
        row = wanted_row(c, answer->first_row + answer->row_end - answer->row_begin - 1);
    }
    memcpy(c->found + answer->index * c->width, row, (size_t)c->width * sizeof(float));
    return LIMN_OK;
}

static int32_t first_row(const Change *change) {
    int32_t begin = change->output.row;
    for (int32_t i = 0; i < change->counterfactual.n_edits; i++) {
        begin = change->edits[i].row_begin < begin ? change->edits[i].row_begin : begin;
    }
    for (int32_t i = 0; i < change->counterfactual.n_tokens; i++) {
        begin = change->tokens[i].row < begin ? change->tokens[i].row : begin;
    }
    return begin;
}

static void compare(const Case *c, const Change *change, int32_t index, const float *found, const float *expected,
                    const char *how) {
    if (memcmp(found, expected, (size_t)c->width * sizeof(float)) == 0) {
        return;
    }
    double difference = 0, largest = 0;
    for (int64_t i = 0; i < c->width; i++) {
        difference = fmax(difference, fabs((double)found[i] - (double)expected[i]));
        largest = fmax(largest, fabs((double)expected[i]));
    }
    const Counterfactual *what = &change->counterfactual;
    const char *site = what->n_edits == 0 ? "no site" : c->golden.model->graph.nodes[change->edits[0].node].site;
    fail_msg("%s, %s: change %d (%d edits, first of %s, %d tokens, from row %d) %s differs by %g of %g", backend,
             c->golden.folder, index, what->n_edits, site, what->n_tokens, first_row(change), how, difference, largest);
}

static void check_clean(Case *c, const SequenceInput *input, CleanRunOptions *options, int32_t run_rows) {
    Change changes[CHANGES];
    Counterfactual list[CHANGES];
    NodeId editable[CHANGES * MAX_EDITS];
    c->editable = editable;
    c->n_editable = 0;
    CleanRun shape = {.n = input->n}, *clean; /* changes are made for a run that is not made yet */
    for (int32_t i = 0; i < CHANGES; i++) {
        random_change(c, &shape, &changes[i]);
        changes[i].output.row = c->golden.bare ? input->n - 1 : changes[i].output.row;
        for (int32_t e = 0; e < changes[i].counterfactual.n_edits; e++) {
            editable[c->n_editable++] = changes[i].edits[e].node;
        }
    }
    options->editable = editable;
    options->n_editable = c->n_editable;
    good(clean_run_new(&clean, c->session, input, options, NULL));
    for (int32_t i = 0; i < CHANGES; i++) {
        changes[i].counterfactual.clean = clean;
        list[i] = changes[i].counterfactual;
    }
    RunRequest ask = {.logits = !c->golden.bare, .taps = &c->wanted, .n_taps = c->golden.bare ? 1 : 0};
    Sweep *sweep;
    good(sweep_new(&sweep, c->session, &ask, &(SweepOptions){.run_rows = run_rows}));
    for (int32_t i = 0; i < CHANGES * c->width; i++) {
        c->found[i] = NAN;
    }
    good(sweep_run(sweep, list, CHANGES, take, c, NULL));
    sweep_free(sweep);
    for (int32_t i = 0; i < CHANGES; i++) {
        compare(c, &changes[i], i, c->found + i * c->width, run_plainly(c, &changes[i], 0), "joined");
        if (c->golden.model->config.causal) {
            compare(c, &changes[i], i, c->found + i * c->width, run_plainly(c, &changes[i], first_row(&changes[i])),
                    "against a prefix");
        }
    }
    clean_run_free(clean);
}

static void check_golden(const char *name, const ModelOptions *options, const char *model) {
    Case *c = calloc(1, sizeof *c);
    assert_non_null(c);
    golden_case_open_on(&c->golden, name, model, options);
    SessionOptions session_options = {.backend = backend, .chunk_rows = 5};
    good(session_new(&c->session, c->golden.model, &session_options));
    c->n_sites = golden_case_sites(&c->golden, &c->sites);
    const Graph *graph = &c->golden.model->graph;
    c->wanted = graph->final;
    c->width = row_shape_width(&graph->nodes[c->golden.bare ? graph->final : graph->logits].op.out, 1);
    c->found = malloc(CHANGES * (size_t)c->width * sizeof(float));
    random_seed(&c->random, 14);
    for (int32_t i = 0; i < MAX_VALUES; i++) {
        c->values[i] = (float)random_normal(&c->random);
    }
    for (int32_t s = 0; s < c->golden.n_sequences; s++) {
        CleanRunOptions kept = {.middle = s % 2 == 0};
        if (s == 2) { /* half of the streams */
            size_t all = clean_run_bytes_needed(c->golden.model, c->golden.sequences[s].n, false);
            kept.memory_limit = all - (size_t)c->golden.model->config.d_model * (size_t)c->golden.sequences[s].n * 4;
        }
        check_clean(c, &c->golden.sequences[s], &kept, s == 0 ? 0 : 2 * c->golden.sequences[s].n);
    }
    free(c->found);
    free(c->sites);
    session_free(c->session);
    golden_case_close(&c->golden);
    free(c);
}

static void test_joined_is_prefix_is_full(void **state) {
    for (const GoldenRow *row = golden_cases; row->name != NULL; row++) {
        check_golden(row->name, NULL, row->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joined_is_prefix_is_full),
    };
    int failed = 0;
    for (const char *const *name = golden_backends; *name != NULL; name++) {
        backend = *name;
        failed += cmocka_run_group_tests_name(backend, tests, NULL, NULL);
    }
    return failed;
}
