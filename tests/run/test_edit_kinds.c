/* Every kind of edit does to a value what its row of edits.def says, and its gradient is that of finite differences:
 * of what lies before the edited site, and, of a copy, of what it is a copy of. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "run/edit_kinds.h"
#include "run/engine.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WIDTH = 24, HEAD = 6, N_ROWS = 11, RANK = 2 };

static Model model;
static const char *backend;

static const int32_t ids_a[] = {3, 14, 15, 9, 26, 5, 35};
static const int32_t ids_b[] = {2, 7, 18, 28};
static const SequenceInput sequences[] = {{.ids = ids_a, .n = 7}, {.ids = ids_b, .n = 4}};
static const OutputRow outputs[] = {{0, 6, 11, 1.0F}, {1, 3, 12, 0.5F}};

static float values[N_ROWS * WIDTH], map[WIDTH * WIDTH], left[WIDTH * RANK], right[RANK * WIDTH];

/* What to change: a row of every kind at sites of one width, whole rows and a head's slice of them. */
typedef struct Change {
    const char *name;
    const char *site;
    EditKind kind;
    float amount;
    bool without_values, own_factor; /* no mean or offset; left is right transposed */
    bool per_row;                    /* a row of values for each row */
    int64_t element_begin, element_end;
    const char *source;
} Change;

static const Change changes[] = {
    {"set per row", "blocks.1.hook_attn_out", EDIT_SET, .per_row = true, .element_end = WIDTH},
    {"add", "blocks.1.hook_mlp_out", EDIT_ADD, .element_end = WIDTH},
    {"multiply", "blocks.1.hook_mlp_out", EDIT_MULTIPLY, .element_end = WIDTH},
    {"blend", "blocks.1.hook_resid_mid", EDIT_BLEND, 0.3F, .per_row = true, .element_end = WIDTH},
    {"blend wholly", "blocks.1.hook_resid_mid", EDIT_BLEND, 1.0F, .per_row = true, .element_end = WIDTH},
    {"steer", "blocks.0.hook_resid_post", EDIT_STEER, -0.7F, .element_end = WIDTH},
    {"affine", "blocks.1.hook_resid_pre", EDIT_AFFINE, .element_end = WIDTH},
    {"affine without an offset", "blocks.1.hook_resid_mid", EDIT_AFFINE, .without_values = true, .element_end = WIDTH},
    {"affine of a head", "blocks.1.attn.hook_z", EDIT_AFFINE, .element_begin = HEAD, .element_end = 2 * HEAD},
    {"project", "blocks.1.hook_resid_mid", EDIT_PROJECT, .element_end = WIDTH},
    {"project about 0", "blocks.1.hook_attn_out", EDIT_PROJECT, .without_values = true, .own_factor = true,
     .element_end = WIDTH},
    {"project a head", "blocks.1.attn.hook_z", EDIT_PROJECT, .element_begin = HEAD, .element_end = 2 * HEAD},
    {"project normalised", "blocks.1.ln1.hook_normalized", EDIT_PROJECT, .element_end = WIDTH},
    {"copy", "blocks.1.hook_mlp_out", EDIT_COPY, .element_end = WIDTH, .source = "blocks.1.hook_resid_mid"},
    {"copy of a layer below", "blocks.2.hook_attn_out", EDIT_COPY, .element_end = WIDTH,
     .source = "blocks.0.hook_mlp_out"},
    {"copy of a head", "blocks.1.attn.hook_z", EDIT_COPY, .element_begin = HEAD, .element_end = 2 * HEAD,
     .source = "blocks.0.attn.hook_z"},
    {"copy of a normalised value", "blocks.1.hook_mlp_out", EDIT_COPY, .element_end = WIDTH,
     .source = "blocks.1.ln2.hook_normalized"},
    {"stop", "blocks.1.hook_mlp_out", EDIT_STOP, .element_end = WIDTH},
    {"stop a part", "blocks.1.hook_attn_out", EDIT_STOP, 0.25F, .element_begin = 4, .element_end = 9},
};
enum { N_CHANGES = sizeof changes / sizeof changes[0] };

static NodeId site(const char *name) {
    NodeId node = graph_find_site(&model.graph, name);
    assert_int_not_equal(node, NODE_NONE);
    return node;
}

static Edit edit_of(const Change *change) {
    Edit edit = {.node = site(change->site),
                 .kind = change->kind,
                 .sequence = -1,
                 .row_begin = 1,
                 .row_end = -1,
                 .element_begin = change->element_begin,
                 .element_end = change->element_end,
                 .values = change->without_values ? NULL : values,
                 .row_stride = change->per_row ? WIDTH : 0,
                 .amount = change->amount};
    if (change->kind == EDIT_AFFINE) {
        edit.map = map;
    }
    if (change->kind == EDIT_PROJECT) {
        edit.left = change->own_factor ? NULL : left;
        edit.right = right;
        edit.rank = RANK;
    }
    if (change->source != NULL) {
        edit.source = site(change->source);
        edit.values = NULL;
    }
    return edit;
}

static RunRequest base_request(void) {
    return (RunRequest){
        .sequences = sequences, .n_sequences = 2, .outputs = outputs, .n_outputs = 2, .objective = OBJECTIVE_LOG_PROB};
}

static void run(Engine *engine, const RunRequest *request) {
    if (engine_run(engine, request, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static Engine *open_engine(const EngineOptions *options) {
    Engine *engine;
    EngineOptions chosen = options == NULL ? (EngineOptions){0} : *options;
    chosen.backend = backend;
    assert_int_equal(engine_new(&engine, &model, &chosen), LIMN_OK);
    return engine;
}

/* ---- values ---- */

/* What the row of edits.def says of element i of a part x of n elements. */
static double expected_value(const Edit *edit, const float *x, const float *source, const float *v, int64_t n,
                             int64_t i) {
    double sum = 0.0;
    double own = v == NULL ? 0.0 : (double)v[i];
    switch (edit->kind) {
    case EDIT_SET:
        return own;
    case EDIT_ADD:
        return (double)x[i] + own;
    case EDIT_MULTIPLY:
        return (double)x[i] * own;
    case EDIT_BLEND:
        return (1.0 - (double)edit->amount) * (double)x[i] + (double)edit->amount * own;
    case EDIT_STEER:
        return (double)x[i] + (double)edit->amount * own;
    case EDIT_AFFINE:
        for (int64_t j = 0; j < n; j++) {
            sum += (double)edit->map[i * n + j] * (double)x[j];
        }
        return sum + own;
    case EDIT_PROJECT:
        for (int k = 0; k < edit->rank; k++) {
            double inner = 0.0;
            for (int64_t j = 0; j < n; j++) {
                inner += (double)edit->right[k * n + j] * ((double)x[j] - (v == NULL ? 0.0 : (double)v[j]));
            }
            sum += inner * (double)(edit->left == NULL ? edit->right[k * n + i] : edit->left[i * edit->rank + k]);
        }
        return (double)x[i] - sum;
    case EDIT_COPY:
        return (double)source[i];
    default:
        return (double)x[i];
    }
}

static float *tap(Engine *engine, NodeId node) {
    int32_t rows;
    int64_t width;
    const float *found = engine_tap(engine, node, &rows, &width);
    assert_non_null(found);
    assert_int_equal(rows, N_ROWS);
    assert_int_equal(width, WIDTH);
    float *copy = malloc(sizeof *copy * N_ROWS * WIDTH);
    assert_non_null(copy);
    memcpy(copy, found, sizeof *copy * N_ROWS * WIDTH);
    return copy;
}

static int check_values(Engine *engine, const Change *change) {
    Edit edit = edit_of(change);
    NodeId taps[2] = {edit.node, change->source == NULL ? edit.node : edit.source};
    RunRequest request = base_request();
    request.taps = taps;
    request.n_taps = 2;
    run(engine, &request);
    float *before = tap(engine, taps[0]);
    request.edits = &edit;
    request.n_edits = 1;
    run(engine, &request);
    float *after = tap(engine, taps[0]), *source = tap(engine, taps[1]);
    int64_t n = edit.element_end - edit.element_begin;
    int failures = 0;
    for (int32_t row = 0; row < N_ROWS; row++) {
        int32_t own = row < 7 ? row : row - 7;
        for (int64_t e = 0; e < WIDTH; e++) {
            int64_t at = row * WIDTH + edit.element_begin, i = e - edit.element_begin;
            bool inside = own >= 1 && i >= 0 && i < n;
            const float *v = edit.values == NULL ? NULL : edit.values + (own - 1) * edit.row_stride;
            double expected =
                inside ? expected_value(&edit, before + at, source + at, v, n, i) : (double)before[row * WIDTH + e];
            double found = (double)after[row * WIDTH + e];
            if (!(fabs(found - expected) <= 1e-5 * (1.0 + fabs(expected)))) {
                print_error("%s, %s: row %d, element %d is %g, expected %g\n", backend, change->name, row, (int)e,
                            found, expected);
                failures++;
            }
        }
    }
    free(before);
    free(after);
    free(source);
    return failures;
}

static void values_are_what_the_table_says(void **state) {
    (void)state;
    Engine *engine = open_engine(NULL);
    int failures = 0;
    bool seen[EDIT_KIND_COUNT] = {false};
    for (int i = 0; i < N_CHANGES; i++) {
        failures += check_values(engine, &changes[i]);
        seen[changes[i].kind] = true;
    }
    for (int kind = 0; kind < EDIT_KIND_COUNT; kind++) {
        if (!seen[kind]) {
            fail_msg("'%s' has no row here", edit_info((EditKind)kind)->help);
        }
    }
    assert_int_equal(failures, 0);
    engine_free(engine);
}

/* ---- gradients ---- */

static double weighted_objective(Engine *engine) {
    double total = engine_total(engine);
    const float *objective = engine_objective(engine);
    assert_true(fabs(total - ((double)objective[0] + 0.5 * (double)objective[1])) < 1e-6);
    return total;
}

/* The derivative by one element of the embedding of row `row`, seen. */
static double seen_slope(Engine *engine, const Edit *edit, int32_t row, int64_t element) {
    const float step = 4e-3F;
    double sides[2];
    for (int side = 0; side < 2; side++) {
        float push = side == 0 ? step : -step;
        Edit edits[2] = {*edit,
                         {.node = model.graph.embed,
                          .kind = EDIT_ADD,
                          .sequence = row < 7 ? 0 : 1,
                          .row_begin = row < 7 ? row : row - 7,
                          .row_end = (row < 7 ? row : row - 7) + 1,
                          .element_begin = element,
                          .element_end = element + 1,
                          .values = &push}};
        RunRequest request = base_request();
        request.edits = edits;
        request.n_edits = 2;
        run(engine, &request);
        sides[side] = weighted_objective(engine);
    }
    return (sides[0] - sides[1]) / (2.0 * (double)step);
}

static int check_gradient(Engine *engine, const Change *change, const char *setting) {
    static const int32_t rows_of[] = {2, 6, 9, 10};
    static const int64_t elements_of[] = {0, 7, 13, 23};
    Edit edit = edit_of(change);
    RunRequest request = base_request();
    request.edits = &edit;
    request.n_edits = 1;
    request.grads = &model.graph.embed;
    request.n_grads = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *grad = engine_grad(engine, model.graph.embed, &rows, &width);
    assert_non_null(grad);
    double claimed[4];
    for (int i = 0; i < 4; i++) {
        claimed[i] = (double)grad[rows_of[i] * width + elements_of[i]];
    }
    int failures = 0;
    for (int i = 0; i < 4 && change->kind != EDIT_STOP; i++) {
        double seen = seen_slope(engine, &edit, rows_of[i], elements_of[i]);
        if (!(fabs(seen - claimed[i]) <= 1e-3 + 2e-2 * fabs(seen))) {
            print_error("%s, %s: gradient %g, finite difference %g\n", setting, change->name, claimed[i], seen);
            failures++;
        }
    }
    return failures;
}

static void gradients_are_finite_differences(void **state) {
    (void)state;
    int failures = 0;
    for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
        Engine *engine = open_engine(&(EngineOptions){.keep = (KeepPolicy)keep, .chunk_rows = 3});
        char setting[64];
        snprintf(setting, sizeof setting, "%s, policy %d", backend, keep);
        for (int i = 0; i < N_CHANGES; i++) {
            failures += check_gradient(engine, &changes[i], setting);
        }
        engine_free(engine);
    }
    assert_int_equal(failures, 0);
}

static float *gradient_of(Engine *engine, const Edit *edits, int32_t n_edits, NodeId node) {
    RunRequest request = base_request();
    request.edits = edits;
    request.n_edits = n_edits;
    request.grads = &node;
    request.n_grads = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *grad = engine_grad(engine, node, &rows, &width);
    assert_non_null(grad);
    float *copy = malloc(sizeof *copy * (size_t)(rows * width));
    assert_non_null(copy);
    memcpy(copy, grad, sizeof *copy * (size_t)(rows * width));
    return copy;
}

static double distance(const float *a, const float *b, int64_t n) {
    double gap = 0.0, largest = 0.0;
    for (int64_t i = 0; i < n; i++) {
        gap = fmax(gap, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return gap / largest;
}

/* The same values by another edit whose derivative is wrong: what was added to each row instead of how, or, of an
 * addition, what was set. No kind may be mistaken for its mutant. */
static void wrong_derivatives_are_seen(void **state) {
    (void)state;
    Engine *engine = open_engine(NULL);
    for (int i = 0; i < N_CHANGES; i++) {
        Edit edit = edit_of(&changes[i]);
        RunRequest request = base_request();
        request.taps = &edit.node;
        request.n_taps = 1;
        run(engine, &request);
        float *before = tap(engine, edit.node);
        request.edits = &edit;
        request.n_edits = 1;
        run(engine, &request);
        float *mutant_values = tap(engine, edit.node);
        bool adds = edit.kind == EDIT_ADD || edit.kind == EDIT_STEER;
        for (int64_t e = 0; e < N_ROWS * WIDTH && !adds; e++) {
            mutant_values[e] -= before[e];
        }
        Edit mutant = {.node = edit.node,
                       .kind = adds ? EDIT_SET : EDIT_ADD,
                       .sequence = -1,
                       .row_end = -1,
                       .element_end = -1,
                       .values = mutant_values,
                       .row_stride = WIDTH,
                       .sequence_stride = 7 * WIDTH};
        float *right_gradient = gradient_of(engine, &edit, 1, model.graph.embed);
        float *wrong_gradient = gradient_of(engine, &mutant, 1, model.graph.embed);
        double gap = distance(wrong_gradient, right_gradient, N_ROWS * WIDTH);
        if (!(gap > 0.02)) {
            fail_msg("%s, %s: a wrong derivative differs by %g only", backend, changes[i].name, gap);
        }
        free(before);
        free(mutant_values);
        free(right_gradient);
        free(wrong_gradient);
    }
    engine_free(engine);
}

/* A stopped path is a path whose value is a constant: the same gradient as when the value is set to what it is anyway.
 * All of a layer stopped leaves what flows past it. */
static void a_stopped_path_is_a_constant(void **state) {
    (void)state;
    static const char *const names[] = {"blocks.1.hook_attn_out", "blocks.1.hook_mlp_out"};
    Engine *engine = open_engine(NULL);
    RunRequest request = base_request();
    NodeId taps[2] = {site(names[0]), site(names[1])};
    request.taps = taps;
    request.n_taps = 2;
    run(engine, &request);
    float *kept[2] = {tap(engine, taps[0]), tap(engine, taps[1])};
    Edit stops[2], sets[2], leaks[2];
    for (int i = 0; i < 2; i++) {
        stops[i] = (Edit){.node = taps[i], .kind = EDIT_STOP, .sequence = -1, .row_end = -1, .element_end = -1};
        leaks[i] = stops[i];
        leaks[i].amount = 0.1F;
        sets[i] = (Edit){.node = taps[i],
                         .kind = EDIT_SET,
                         .sequence = -1,
                         .row_end = -1,
                         .element_end = -1,
                         .values = kept[i],
                         .row_stride = WIDTH,
                         .sequence_stride = 7 * WIDTH};
    }
    float *stopped = gradient_of(engine, stops, 2, model.graph.embed);
    float *frozen = gradient_of(engine, sets, 2, model.graph.embed);
    float *free_gradient = gradient_of(engine, NULL, 0, model.graph.embed);
    float *leaking = gradient_of(engine, leaks, 2, model.graph.embed);
    assert_true(distance(stopped, frozen, N_ROWS * WIDTH) < 1e-5);
    assert_true(distance(free_gradient, frozen, N_ROWS * WIDTH) > 1e-2); /* the mutants: nothing stopped, */
    assert_true(distance(leaking, frozen, N_ROWS * WIDTH) > 1e-4);       /* and not all of it */
    free(stopped);
    free(frozen);
    free(free_gradient);
    free(leaking);
    free(kept[0]);
    free(kept[1]);
    engine_free(engine);
}

/* ---- path patching: another run's value in one place, everything else on the way held at this run's ---- */

/* The direct effect of a change of layer 0's MLP output on the logits: layers 1 and 2 read what they read before. */
static void paths_are_patched_by_frozen_values(void **state) {
    (void)state;
    static const char *const others[] = {"blocks.1.hook_attn_out", "blocks.1.hook_mlp_out", "blocks.2.hook_attn_out",
                                         "blocks.2.hook_mlp_out"};
    Engine *engine = open_engine(NULL);
    NodeId taps[6] = {
        site("blocks.0.hook_mlp_out"),   site(others[0]), site(others[1]), site(others[2]), site(others[3]),
        site("blocks.2.hook_resid_post")};
    RunRequest request = base_request();
    request.taps = taps;
    request.n_taps = 6;
    run(engine, &request);
    float *clean[6];
    for (int i = 0; i < 6; i++) {
        clean[i] = tap(engine, taps[i]);
    }
    Edit edits[5] = {{.node = taps[0],
                      .kind = EDIT_ADD,
                      .sequence = -1,
                      .row_begin = 1,
                      .row_end = -1,
                      .element_end = -1,
                      .values = values}};
    for (int i = 1; i < 5; i++) {
        edits[i] = (Edit){.node = taps[i],
                          .kind = EDIT_SET,
                          .sequence = -1,
                          .row_end = -1,
                          .element_end = -1,
                          .values = clean[i],
                          .row_stride = WIDTH,
                          .sequence_stride = 7 * WIDTH};
    }
    request.edits = edits;
    request.n_edits = 5;
    run(engine, &request);
    float *patched = tap(engine, taps[5]);
    for (int32_t row = 0; row < N_ROWS; row++) {
        bool changed = (row < 7 ? row : row - 7) >= 1;
        for (int64_t e = 0; e < WIDTH; e++) {
            double expected = (double)clean[5][row * WIDTH + e] + (changed ? (double)values[e] : 0.0);
            assert_true(fabs((double)patched[row * WIDTH + e] - expected) < 1e-4);
        }
    }
    free(patched);
    request.n_edits = 1; /* the mutant: nothing frozen */
    run(engine, &request);
    patched = tap(engine, taps[5]);
    double gap = 0.0;
    for (int64_t e = 0; e < WIDTH; e++) {
        gap = fmax(gap, fabs((double)patched[6 * WIDTH + e] - (double)clean[5][6 * WIDTH + e] - (double)values[e]));
    }
    assert_true(gap > 0.05);
    free(patched);
    for (int i = 0; i < 6; i++) {
        free(clean[i]);
    }
    engine_free(engine);
}

/* ---- order, sharing, refusals ---- */

/* Edits of one site act as given; their derivatives from the last to the first. */
static void edits_of_one_site_follow_each_other(void **state) {
    (void)state;
    Engine *engine = open_engine(NULL);
    const Change both[2] = {{"", "blocks.1.hook_resid_mid", EDIT_AFFINE, .element_end = WIDTH},
                            {"", "blocks.1.hook_resid_mid", EDIT_STEER, 0.9F, .element_end = WIDTH}};
    float *grads[2];
    for (int order = 0; order < 2; order++) {
        Edit edits[2] = {edit_of(&both[order]), edit_of(&both[1 - order])};
        grads[order] = gradient_of(engine, edits, 2, model.graph.embed);
        double claimed = (double)grads[order][6 * WIDTH];
        const float step = 4e-3F;
        double sides[2];
        for (int side = 0; side < 2; side++) {
            float push = side == 0 ? step : -step;
            Edit pushed[3] = {edits[0],
                              edits[1],
                              {.node = model.graph.embed,
                               .kind = EDIT_ADD,
                               .row_begin = 6,
                               .row_end = 7,
                               .element_end = 1,
                               .values = &push}};
            RunRequest request = base_request();
            request.edits = pushed;
            request.n_edits = 3;
            run(engine, &request);
            sides[side] = weighted_objective(engine);
        }
        double seen = (sides[0] - sides[1]) / (2.0 * (double)step);
        assert_true(fabs(seen - claimed) <= 1e-3 + 2e-2 * fabs(seen));
    }
    assert_true(distance(grads[0], grads[1], N_ROWS * WIDTH) > 1e-3);
    free(grads[0]);
    free(grads[1]);
    engine_free(engine);
}

/* Chunks and what is kept change no bit. */
static void chunks_and_policies_agree_bit_for_bit(void **state) {
    (void)state;
    for (int i = 0; i < N_CHANGES; i++) {
        float *reference = NULL;
        for (int32_t chunk = 1; chunk <= 16; chunk *= 4) {
            for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
                Engine *engine = open_engine(&(EngineOptions){.keep = (KeepPolicy)keep, .chunk_rows = chunk});
                Edit edit = edit_of(&changes[i]);
                float *grad = gradient_of(engine, &edit, 1, model.graph.embed);
                if (reference == NULL) {
                    reference = grad;
                } else {
                    if (memcmp(reference, grad, sizeof *grad * N_ROWS * WIDTH) != 0) {
                        fail_msg("%s: chunk %d, policy %d differs", changes[i].name, chunk, keep);
                    }
                    free(grad);
                }
                engine_free(engine);
            }
        }
        free(reference);
    }
}

static void check_refused(Engine *engine, const Edit *edits, int32_t n, limn_status status, const char *message) {
    RunRequest request = base_request();
    request.edits = edits;
    request.n_edits = n;
    assert_int_equal(engine_run(engine, &request, NULL), status);
    if (strstr(error_message(), message) == NULL) {
        fail_msg("found \"%s\", expected \"%s\"", error_message(), message);
    }
}

static void what_is_not_whole_is_refused(void **state) {
    (void)state;
    Engine *engine = open_engine(NULL);
    Edit whole = {.node = site("blocks.1.hook_mlp_out"), .sequence = -1, .row_end = -1, .element_end = -1};
    Edit edit = whole;
    edit.kind = EDIT_BLEND;
    check_refused(engine, &edit, 1, LIMN_INTERNAL, "nothing is given for (1 - amount) x + amount v");
    edit.values = values;
    edit.amount = NAN;
    check_refused(engine, &edit, 1, LIMN_RANGE, "the amount nan is not finite");
    edit = whole;
    edit.kind = EDIT_AFFINE;
    check_refused(engine, &edit, 1, LIMN_INTERNAL, "nothing is given for map x + v");
    edit.kind = EDIT_PROJECT;
    edit.right = right;
    check_refused(engine, &edit, 1, LIMN_INTERNAL, "nothing is given for x - left right (x - v)");
    edit = whole;
    edit.kind = EDIT_COPY;
    edit.source = NODE_NONE;
    check_refused(engine, &edit, 1, LIMN_NOT_FOUND, "the site to copy is none of this model");
    edit.source = site("blocks.2.hook_resid_mid");
    check_refused(engine, &edit, 1, LIMN_USAGE,
                  "edit of blocks.1.hook_mlp_out: a copy of blocks.2.hook_resid_mid, which is not computed before it");
    edit.source = site("blocks.1.mlp.hook_pre");
    check_refused(engine, &edit, 1, LIMN_USAGE, "whose rows have 40 elements and not 24");
    Edit two[2] = {edit, edit};
    two[0].source = site("blocks.1.hook_resid_mid");
    two[1].source = site("blocks.0.hook_resid_mid");
    check_refused(engine, two, 2, LIMN_UNSUPPORTED, "expected copies of one site");
    two[1].source = two[0].source; /* and all is well again */
    RunRequest request = base_request();
    request.edits = two;
    request.n_edits = 2;
    run(engine, &request);
    engine_free(engine);
}

static int setup(void **state) {
    (void)state;
    Random random;
    random_seed(&random, 77);
    float *const arrays[] = {values, map, left, right};
    const int64_t counts[] = {N_ROWS * WIDTH, WIDTH * WIDTH, WIDTH * RANK, RANK * WIDTH};
    for (int a = 0; a < 4; a++) {
        for (int64_t i = 0; i < counts[a]; i++) {
            arrays[a][i] = (float)(random_normal(&random) * (a == 0 ? 0.5 : 0.25));
        }
    }
    ToyOptions options = TOY_DEFAULTS;
    return toy_build(&model, &options) == LIMN_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    toy_free(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_what_the_table_says),
        cmocka_unit_test(gradients_are_finite_differences),
        cmocka_unit_test(wrong_derivatives_are_seen),
        cmocka_unit_test(a_stopped_path_is_a_constant),
        cmocka_unit_test(paths_are_patched_by_frozen_values),
        cmocka_unit_test(edits_of_one_site_follow_each_other),
        cmocka_unit_test(chunks_and_policies_agree_bit_for_bit),
        cmocka_unit_test(what_is_not_whole_is_refused),
    };
    static const char *const backends[] = {"ref", "cpu"};
    int failed = 0;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        backend = backends[i];
        if (backend_find(backend) != NULL) {
            failed += cmocka_run_group_tests_name(backend, tests, setup, teardown);
        }
    }
    return failed;
}
