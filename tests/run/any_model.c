#include "run/any_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Branches, magnitudes, more than one adapter; serial and parallel blocks, norms behind, both directions, experts. */
static const struct {
    const char *name, *base;
    int n;
} adapters[] = {
    {"patterns", "llama3", 1},
    {"dora", "llama-bias", 1},
    {"dora-conv", "gpt2", 1},
    {"tables", "gpt2-scaled", 1},
    {"bert", "bert-mlm", 1},
    {"neox", "neox", 1},
    {"falcon", "falcon-40b", 1},
    {"opt", "opt-350m", 1},
    {"gemma2", "gemma2", 1},
    {"mixtral", "mixtral", 1},
    {"distilbert", "distilbert-mlm", 1},
    {"two", "llama-old", 2},
};

void any_model_good(const AnyModel *model, limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s, %s: %s", model->backend, model->golden.folder, error_message());
    }
}

int32_t any_below(AnyModel *model, int32_t n) {
    return (int32_t)random_below(&model->random, (uint64_t)n);
}

static bool is_keyed(const RowShape *shape) {
    return shape->n_dims == 2 && shape->dims[1] == DIM_KEYS;
}

/* A kind of edit that needs no other site; values over keys hold -inf, which no map takes. */
static EditKind any_kind(AnyModel *model, const RowShape *shape, int64_t n) {
    static const EditKind kinds[] = {EDIT_SET,   EDIT_ADD,  EDIT_MULTIPLY, EDIT_BLEND,
                                     EDIT_STEER, EDIT_STOP, EDIT_PROJECT,  EDIT_AFFINE};
    return kinds[any_below(model, is_keyed(shape) ? 3 : n * n > EDIT_VALUES / 2 ? 7 : 8)];
}

Edit any_edit(AnyModel *model, const NodeId *sites, int32_t n_sites, int32_t n, int32_t n_keys) {
    NodeId node = sites[any_below(model, n_sites)];
    const RowShape *shape = &model->golden.model->graph.nodes[node].op.out;
    int64_t width = row_shape_width(shape, n_keys);
    int32_t begin = any_below(model, n), end = begin + 1 + any_below(model, n - begin);
    int64_t from = any_below(model, (int32_t)width), to = from + 1 + any_below(model, (int32_t)(width - from));
    bool whole = any_below(model, 3) == 0 && !is_keyed(shape);
    if (is_keyed(shape)) { /* keys that each of the rows may see: no row reads a later one, so that rows before stay */
        int64_t head = any_below(model, (int32_t)shape->dims[0]);
        from = any_below(model, begin + 1);
        to = from + 1 + any_below(model, begin + 1 - (int32_t)from) + head * n_keys;
        from += head * n_keys;
    }
    return (Edit){.node = node,
                  .kind = any_kind(model, shape, whole ? width : to - from),
                  .row_begin = begin,
                  .row_end = any_below(model, 3) == 0 ? -1 : end,
                  .element_begin = whole ? 0 : from,
                  .element_end = whole ? -1 : to,
                  .values = model->values + any_below(model, EDIT_VALUES / 2),
                  .row_stride = any_below(model, 2) == 0 ? 0 : any_below(model, 40),
                  .scalar = any_below(model, 3) == 0,
                  .amount = 0.75f,
                  .map = model->factors,
                  .left = any_below(model, 2) == 0 ? NULL : model->factors + EDIT_VALUES / 4,
                  .right = model->factors,
                  .rank = 2};
}

double any_distance(const float *found, const float *expected, int64_t n) {
    double difference = 0, largest = 0;
    if (memcmp(found, expected, (size_t)n * sizeof(float)) == 0) {
        return 0;
    }
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)found[i] - (double)expected[i]);
        difference = d <= difference ? difference : (isnan(d) ? INFINITY : d);
        largest = fmax(largest, fabs((double)expected[i]));
    }
    return difference == 0 ? 0 : difference / largest;
}

static void check_one(AnyModel *model, const EngineOptions *options, uint64_t seed, void (*check)(AnyModel *model)) {
    EngineOptions chosen = options == NULL ? (EngineOptions){0} : *options;
    chosen.backend = model->backend;
    any_model_good(model, engine_new(&model->engine, model->golden.model, &chosen));
    model->n_sites = golden_case_sites(&model->golden, &model->sites);
    random_seed(&model->random, seed);
    for (int32_t i = 0; i < EDIT_VALUES; i++) {
        model->values[i] = (float)random_normal(&model->random);
        model->factors[i / 2] = 0.1f * model->values[i];
    }
    check(model);
    free(model->sites);
    engine_free(model->engine);
    golden_case_close(&model->golden);
}

static void each_adapter(AnyModel *model, const EngineOptions *options, uint64_t seed, void (*check)(AnyModel *model)) {
    for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++) {
        char folder[64], paths[2][600];
        AdapterUse uses[2];
        snprintf(folder, sizeof folder, "adapters/%s", adapters[i].name);
        for (int a = 0; a < adapters[i].n; a++) {
            snprintf(paths[a], sizeof paths[a], "%s/tests/golden/%s/%d", LIMN_TEST_SOURCE_DIR, folder, a + 1);
            uses[a] = (AdapterUse){paths[a], 0.5 + a};
        }
        golden_case_open_on(&model->golden, folder, adapters[i].base,
                            &(ModelOptions){.adapters = uses, .n_adapters = adapters[i].n});
        check_one(model, options, seed, check);
    }
}

void any_model_each(const EngineOptions *options, uint64_t seed, void (*check)(AnyModel *model)) {
    const char *more = getenv("LIMN_TEST_SEED");
    AnyModel *model = calloc(1, sizeof *model);
    seed += more == NULL ? 0 : (uint64_t)strtoull(more, NULL, 10);
    assert_non_null(model);
    for (const char *const *backend = golden_backends; *backend != NULL; backend++) {
        model->backend = *backend;
        for (const GoldenRow *row = golden_cases; row->name != NULL; row++) {
            golden_case_open(&model->golden, row->name, NULL);
            check_one(model, options, seed, check);
        }
        each_adapter(model, options, seed, check);
    }
    free(model);
}
