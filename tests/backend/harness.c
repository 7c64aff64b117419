#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LAYER_USED = 1, N_LAYERS = 2, VOCABULARY = 50 };

static void *memory(size_t bytes) {
    void *pointer = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(pointer);
    return pointer;
}

float *floats_new(int64_t count) {
    float *values = memory(sizeof(float) * (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        values[i] = NAN;
    }
    return values;
}

float *floats_copy(const float *from, int64_t count) {
    float *values = memory(sizeof(float) * (size_t)count);
    memcpy(values, from, sizeof(float) * (size_t)count);
    return values;
}

float *floats_random(int64_t count, Random *random) {
    float *values = memory(sizeof(float) * (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)random_normal(random);
    }
    return values;
}

/* ---- row tables ---- */

static uint8_t *key_mask(int64_t count, int32_t every, Random *random) {
    uint8_t *mask = memory((size_t)count);
    for (int64_t i = 0; i < count; i++) {
        mask[i] = every == 0 || random_below(random, (uint64_t)every) != 0;
    }
    return mask;
}

static void cache_make(KvCache *cache, int32_t length, const Layout *layout, int64_t width, int layers,
                       Random *random) {
    *cache = (KvCache){.n_layers = layers, .width = width, .capacity = length + 3, .length = length + 1};
    cache->keys = memory(sizeof(float *) * (size_t)layers);
    cache->values = memory(sizeof(float *) * (size_t)layers);
    for (int layer = 0; layer < layers; layer++) {
        cache->keys[layer] = floats_random(cache->capacity * width, random);
        cache->values[layer] = floats_random(cache->capacity * width, random);
    }
    cache->is_key = key_mask(cache->capacity, layout->mask_every, random);
}

static void cache_free(KvCache *cache) {
    for (int layer = 0; layer < cache->n_layers; layer++) {
        free(cache->keys[layer]);
        free(cache->values[layer]);
    }
    free(cache->keys);
    free(cache->values);
    free(cache->is_key);
}

static int32_t *integers(int64_t count) {
    return memory(sizeof(int32_t) * (size_t)count);
}

typedef struct TableArrays {
    int32_t *sequence, *token, *position, *type, *order, *source, *target;
    uint8_t *is_key;
} TableArrays;

static TableArrays arrays_new(int64_t rows) {
    return (TableArrays){integers(rows), integers(rows), integers(rows), integers(rows),
                         integers(rows), integers(rows), integers(rows), memory((size_t)rows)};
}

static RowTable table_of(const TableArrays *arrays, int32_t rows, const Tables *tables, const Layout *layout,
                         int32_t max_keys) {
    return (RowTable){.n_rows = rows,
                      .n_sequences = layout->n_sequences,
                      .max_keys = max_keys,
                      .sequences = tables->sequences,
                      .sequence = arrays->sequence,
                      .token = arrays->token,
                      .position = arrays->position,
                      .type = arrays->type,
                      .order = arrays->order,
                      .is_key = arrays->is_key,
                      .source = arrays->source,
                      .target = arrays->target};
}

static void all_rows_make(Tables *tables, const Layout *layout, int32_t n_rows, int32_t max_keys, Random *random) {
    TableArrays arrays = arrays_new(n_rows);
    uint8_t *mask = key_mask(n_rows, layout->mask_every, random);
    for (int32_t s = 0; s < layout->n_sequences; s++) {
        for (int32_t i = 0; i < layout->sequences[s].rows; i++) {
            int32_t row = tables->sequences[s].row_begin + i;
            arrays.sequence[row] = s;
            arrays.token[row] = (int32_t)random_below(random, VOCABULARY);
            arrays.order[row] = layout->sequences[s].prefix + i;
            arrays.position[row] = layout->first_position + arrays.order[row];
            arrays.type[row] = (int32_t)random_below(random, 2);
            arrays.is_key[row] = i >= layout->mask_first && mask[row] != 0;
            arrays.source[row] = row;
            arrays.target[row] = row % 5 == 3 ? -1 : (int32_t)random_below(random, 2);
        }
    }
    free(mask);
    tables->all = table_of(&arrays, n_rows, tables, layout, max_keys);
}

/* Every third row from the end, then row 0 twice. */
static void output_rows_make(Tables *tables, const Layout *layout) {
    const RowTable *all = &tables->all;
    int32_t n = (all->n_rows + 2) / 3 + 2;
    TableArrays arrays = arrays_new(n);
    for (int32_t i = 0; i < n; i++) {
        int32_t from = i < n - 2 ? all->n_rows - 1 - 3 * i : 0;
        arrays.sequence[i] = all->sequence[from];
        arrays.token[i] = all->token[from];
        arrays.position[i] = all->position[from];
        arrays.type[i] = all->type[from];
        arrays.order[i] = all->order[from];
        arrays.is_key[i] = all->is_key[from];
        arrays.source[i] = from;
        arrays.target[i] = i == 1 ? -1 : (i * 71) % 301;
    }
    tables->outputs = table_of(&arrays, n, tables, layout, all->max_keys);
}

void tables_make(Tables *tables, const Layout *layout, int64_t key_width, int n_layers, Random *random) {
    int32_t n_rows = 0;
    int32_t max_keys = 0;
    tables->sequences = memory(sizeof(SequenceRows) * (size_t)layout->n_sequences);
    tables->caches = memory(sizeof(KvCache) * (size_t)layout->n_sequences);
    for (int32_t s = 0; s < layout->n_sequences; s++) {
        const LayoutSequence *sequence = &layout->sequences[s];
        cache_make(&tables->caches[s], sequence->prefix, layout, key_width, n_layers, random);
        tables->sequences[s] = (SequenceRows){.row_begin = n_rows,
                                              .n_rows = sequence->rows,
                                              .prefix = sequence->prefix > 0 ? &tables->caches[s] : NULL,
                                              .prefix_length = sequence->prefix};
        n_rows += sequence->rows;
        int32_t keys = sequence->prefix + sequence->rows;
        max_keys = keys > max_keys ? keys : max_keys;
    }
    all_rows_make(tables, layout, n_rows, max_keys, random);
    output_rows_make(tables, layout);
}

static void table_free(RowTable *table) {
    const void *arrays[] = {table->sequence, table->token,  table->position, table->type,
                            table->order,    table->is_key, table->source,   table->target};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        free((void *)(uintptr_t)arrays[i]);
    }
}

void tables_free(Tables *tables) {
    for (int32_t s = 0; s < tables->all.n_sequences; s++) {
        cache_free(&tables->caches[s]);
    }
    table_free(&tables->all);
    table_free(&tables->outputs);
    free(tables->sequences);
    free(tables->caches);
}

/* ---- weights and inputs ---- */

/* The view described by spec over fresh random memory; elements outside the view are NaN. */
static void weight_make(Weight *weight, void **owner, const WeightSpec *spec, Random *random) {
    bool slice = (spec->flags & WEIGHT_SLICE) != 0;
    bool turned = (spec->flags & WEIGHT_TRANSPOSED) != 0;
    size_t element = spec->flags & WEIGHT_BF16 ? 2 : 4;
    size_t shift = spec->flags & WEIGHT_MISALIGNED ? 1 : 0;
    int64_t rows = spec->rows + (slice ? 3 : 0);
    int64_t columns = spec->columns + (slice ? 5 : 0);
    int64_t count = rows * columns;
    char *bytes = memory((size_t)count * element + shift);
    memset(bytes, 0xff, (size_t)count * element + shift);
    *owner = bytes;
    int64_t row_stride = turned ? 1 : columns;
    int64_t column_stride = turned ? rows : 1;
    int64_t first = slice ? 2 * row_stride + 3 * column_stride : 0;
    *weight = (Weight){.name = "test.weight",
                       .dtype = spec->flags & WEIGHT_BF16 ? DTYPE_BF16 : DTYPE_F32,
                       .rows = spec->rows,
                       .columns = spec->columns,
                       .row_stride = row_stride,
                       .column_stride = column_stride,
                       .data = bytes + shift + (size_t)first * element};
    for (int64_t i = 0; i < spec->rows; i++) {
        for (int64_t j = 0; j < spec->columns; j++) {
            char *place = bytes + shift + (size_t)(first + i * row_stride + j * column_stride) * element;
            float value = (float)random_normal(random);
            uint16_t half = f32_to_bf16(value);
            memcpy(place, element == 2 ? (const void *)&half : (const void *)&value, element);
        }
    }
}

static bool is_rectifier(const Op *op) {
    return (op->kind == OP_ACTIVATION || op->kind == OP_GATED_ACTIVATION) &&
           (op->attributes.activation == ACTIVATION_RELU || op->attributes.activation == ACTIVATION_RELU2);
}

/* A cell of a pattern that holds 0: the tail, and some others. */
static bool is_off(const Instance *instance, int64_t row, int64_t key) {
    const SequenceRows *sequence = &instance->rows->sequences[instance->rows->sequence[row]];
    return key >= sequence->prefix_length + sequence->n_rows || (row + key) % 4 == 1;
}

/* The input of an expert op that holds a row's weight of each expert; -1: none. */
static int expert_weights_input(OpKind kind) {
    return kind == OP_EXPERT_LINEAR || kind == OP_EXPERTS ? 1 : kind == OP_EXPERT_MIX ? 0 : -1;
}

/* Experts that are off, rows without any, and weights that a difference quotient does not turn off. */
static float expert_weight(int64_t row, int64_t expert, float x) {
    bool off = row % 6 == 4 || (3 * row + expert) % 4 == 1;
    return off ? 0.0F : x + copysignf(0.2F, x);
}

/* Indices of ROUTE: some name no expert, some one twice. */
static float chosen_index(int64_t row, int64_t n, int64_t experts) {
    static const float strange[] = {-1.0F, 1e9F, 0.5F};
    if (row % 5 == 2 && n < 3) {
        return strange[n];
    }
    return (float)((row + (row % 4 == 3 && n == 1 ? 0 : 2 * n)) % experts);
}

/* Inputs that the op could meet: scales are positive, score rows have -inf cells and tails, patterns have zeros;
 * rectifiers stay off their corner, where a difference quotient means nothing. */
static void shape_values(const Instance *instance, int input) {
    float *x = instance->in[input];
    int64_t count = instance->in_rows[input] * instance->in_width[input];
    int64_t keys = instance->rows->max_keys;
    for (int64_t i = 0; i < count; i++) {
        int64_t key = i % keys;
        int64_t row = i / instance->in_width[input];
        switch (instance->op.kind) {
        case OP_NORMALIZE:
            x[i] = input == 1 ? 0.5F + fabsf(x[i]) : x[i];
            break;
        case OP_ATTENTION_PATTERN:
            x[i] = (row + key) % 5 == 1 || (row % 7 == 2 && instance->in_rows[0] > 1) ? -INFINITY : 2.0F * x[i];
            break;
        case OP_SOFTMAX:
            x[i] = (row + i) % 5 == 1 || row % 7 == 2 ? -INFINITY : x[i];
            break;
        case OP_ROUTE:
            x[i] = input == 0 ? 0.1F + fabsf(x[i])
                              : chosen_index(row, i % instance->in_width[1], instance->op.in[0].dims[0]);
            break;
        case OP_EXPERT_LINEAR:
        case OP_EXPERT_MIX:
        case OP_EXPERTS:
            if (input == expert_weights_input(instance->op.kind)) {
                x[i] = expert_weight(row, i % instance->in_width[input], x[i]);
            }
            break;
        case OP_ATTENTION_MIX:
            x[i] = input == 0 && is_off(instance, row, key) ? 0.0F : x[i] * (input == 0 ? 0.1F : 1.0F);
            break;
        default:
            x[i] = is_rectifier(&instance->op) && input == 0 ? x[i] + copysignf(0.2F, x[i]) : x[i];
        }
    }
}

static int64_t key_width(const Case *description) {
    int input = description->kind == OP_ATTENTION_MIX || description->kind == OP_ATTENTION_SCORES ||
                        description->kind == OP_ATTENTION
                    ? 1
                    : -1;
    return input < 0 ? 1 : row_shape_width(&description->in[input], 0);
}

/* The matrices of every expert, each in memory of its own. */
static void experts_make(Instance *instance, const Case *description, Random *random) {
    const WeightSpec *spec = &description->weights[0];
    WeightSpec specs[EXPERT_MATRICES] = {*spec, *spec, {spec->columns, spec->rows, spec->flags}};
    int64_t experts = description->in[1].dims[0];
    int matrices = description->kind == OP_EXPERTS ? EXPERT_MATRICES : description->kind == OP_EXPERT_LINEAR ? 1 : 0;
    for (int which = 0; which < matrices; which++) {
        instance->experts[which] = memory(sizeof(Weight) * (size_t)experts);
        instance->expert_memory[which] = memory(sizeof(void *) * (size_t)experts);
        for (int64_t e = 0; e < experts; e++) {
            weight_make(&instance->experts[which][e], &instance->expert_memory[which][e], &specs[which], random);
        }
        instance->op.attributes.experts[which] = instance->experts[which];
        instance->op.attributes.n_experts = (int32_t)experts;
    }
}

static void experts_free(Instance *instance) {
    for (int which = 0; which < EXPERT_MATRICES; which++) {
        for (int64_t e = 0; instance->experts[which] != NULL && e < instance->op.attributes.n_experts; e++) {
            free(instance->expert_memory[which][e]);
        }
        free(instance->expert_memory[which]);
        free(instance->experts[which]);
    }
}

void instance_make(Instance *instance, const Case *description, uint64_t seed) {
    Random random;
    random_seed(&random, seed);
    const OpInfo *info = op_info(description->kind);
    *instance = (Instance){.description = description};
    tables_make(&instance->tables, description->layout, key_width(description), N_LAYERS, &random);
    instance->key_rows = &instance->tables.all;
    instance->rows = description->layout->outputs ? &instance->tables.outputs : &instance->tables.all;

    Op *op = &instance->op;
    *op = (Op){.kind = description->kind, .layer = LAYER_USED, .attributes = description->attributes};
    memcpy(op->in, description->in, sizeof op->in);
    for (int i = 0; i < info->n_weights; i++) {
        if (description->weights[i].rows > 0) {
            weight_make(&op->weights[i], &instance->weight_memory[i], &description->weights[i], &random);
        }
    }
    experts_make(instance, description, &random);
    assert_int_equal(op_infer_shape(op, description->name), LIMN_OK);
    instance->out_rows = instance->rows->n_rows;
    instance->out_width = row_shape_width(&op->out, instance->rows->max_keys);
    instance->aux_width = op_aux_width(op);
    for (int i = 0; i < info->n_inputs; i++) {
        bool over_all = info->reach == REACH_SELECT || (info->reach == REACH_SEQUENCE && i > 0);
        instance->in_rows[i] = over_all ? instance->key_rows->n_rows : instance->rows->n_rows;
        instance->in_width[i] = row_shape_width(&op->in[i], instance->rows->max_keys);
        instance->in[i] = floats_random(instance->in_rows[i] * instance->in_width[i], &random);
        for (int64_t k = 0; k < instance->in_rows[i] * instance->in_width[i] && description->magnitude > 0.0F; k++) {
            instance->in[i][k] *= description->magnitude;
        }
        shape_values(instance, i);
    }
    instance->grad_out = floats_random(instance->out_rows * instance->out_width, &random);
    instance->seed = description->seed;
    if (op->kind == OP_SEED && seed_info(instance->seed.kind)->needs == SEED_NEEDS_VALUES) {
        instance->seed_values = floats_random(instance->out_rows * instance->in_width[0], &random);
        instance->seed.values = instance->seed_values;
        instance->seed.row_stride = instance->in_width[0];
    }
}

void instance_free(Instance *instance) {
    tables_free(&instance->tables);
    experts_free(instance);
    for (int i = 0; i < OP_MAX_WEIGHTS; i++) {
        free(instance->weight_memory[i]);
    }
    for (int i = 0; i < OP_MAX_INPUTS; i++) {
        free(instance->in[i]);
    }
    free(instance->grad_out);
    free(instance->seed_values);
}

void results_new(Results *results, const Instance *instance) {
    *results = (Results){.out = floats_new(instance->out_rows * instance->out_width)};
    if (instance->aux_width > 0) {
        results->aux = floats_new(instance->out_rows * instance->aux_width);
    }
    for (int i = 0; i < op_info(instance->op.kind)->n_inputs; i++) {
        results->grad_in[i] = floats_new(instance->in_rows[i] * instance->in_width[i]);
    }
}

void results_free(Results *results) {
    free(results->out);
    free(results->aux);
    for (int i = 0; i < OP_MAX_INPUTS; i++) {
        free(results->grad_in[i]);
    }
}

/* ---- running ---- */

static const float *at(const float *base, int64_t begin, int64_t width) {
    return base == NULL ? NULL : base + begin * width;
}

static float *at_mutable(float *base, int64_t begin, int64_t width) {
    return base == NULL ? NULL : base + begin * width;
}

Team harness_team = {.threads = 1};

typedef struct Call {
    const Instance *instance;
    const Kernel *kernel;
    BackendState *state;
    Compute compute;
    const Results *saved; /* NULL: forward */
    bool accumulate;
    Results *results;
} Call;

/* Pointers of one chunk. */
static KernelArgs chunk_args(const Call *call, int64_t begin, int64_t count) {
    const Instance *instance = call->instance;
    KernelArgs args = {.op = &instance->op,
                       .team = &harness_team,
                       .rows = instance->rows,
                       .key_rows = instance->key_rows,
                       .row_begin = (int32_t)begin,
                       .n_rows = (int32_t)count,
                       .compute = call->compute,
                       .rule = call->saved != NULL ? instance->description->rule : GRADIENT_TRUE,
                       .seed = instance->op.kind == OP_SEED ? &instance->seed : NULL,
                       .state = call->state};
    const OpInfo *info = op_info(instance->op.kind);
    bool backward = call->saved != NULL;
    unsigned saves = rule_saves(instance->description->rule, instance->op.kind);
    for (int i = 0; i < info->n_inputs; i++) {
        bool given = !backward || (saves & ((unsigned)SAVES_IN0 << i)) != 0;
        args.in[i] = given ? at(instance->in[i], begin, instance->in_width[i]) : NULL;
        bool wanted = backward && rule_passes(args.rule, instance->op.kind, i);
        args.grad_in[i] = wanted ? at_mutable(call->results->grad_in[i], begin, instance->in_width[i]) : NULL;
        args.accumulate[i] = call->accumulate;
    }
    if (backward) {
        args.out = saves & SAVES_OUT ? at_mutable(call->saved->out, begin, instance->out_width) : NULL;
        args.aux = saves & SAVES_AUX ? at_mutable(call->saved->aux, begin, instance->aux_width) : NULL;
        args.grad_out = at(instance->grad_out, begin, instance->out_width);
    } else {
        args.out = at_mutable(call->results->out, begin, instance->out_width);
        args.aux = at_mutable(call->results->aux, begin, instance->aux_width);
    }
    return args;
}

static KernelSizes sizes_of(const Call *call, int64_t rows, int32_t max_keys) {
    return (KernelSizes){.compute = call->compute,
                         .n_rows = (int32_t)rows,
                         .max_keys = max_keys,
                         .threads = harness_team.threads,
                         .backward = call->saved != NULL};
}

static limn_status run_chunk(const Call *call, int64_t begin, int64_t count) {
    KernelArgs args = chunk_args(call, begin, count);
    int32_t scratch_rows = (int32_t)count;
    if (op_info(args.op->kind)->reach == REACH_SEQUENCE) {
        scratch_rows = args.key_rows->n_rows > scratch_rows ? args.key_rows->n_rows : scratch_rows;
    }
    if (call->kernel->scratch_bytes != NULL) {
        KernelSizes sizes = sizes_of(call, scratch_rows, args.rows->max_keys);
        args.scratch_bytes = call->kernel->scratch_bytes(args.op, &sizes);
    }
    if (args.scratch_bytes > 0) {
        assert_int_equal(posix_memalign(&args.scratch, 64, args.scratch_bytes), 0);
        memset(args.scratch, 0xff, args.scratch_bytes);
    }
    limn_status status = call->saved != NULL ? call->kernel->backward(&args) : call->kernel->forward(&args);
    free(args.scratch);
    return status;
}

static limn_status run_call(const Call *call, int64_t chunk) {
    const Instance *instance = call->instance;
    int64_t rows = instance->out_rows;
    if (chunk <= 0 || op_info(instance->op.kind)->reach != REACH_ROW) {
        chunk = rows;
    }
    if (call->kernel->prepare != NULL) {
        KernelSizes sizes = sizes_of(call, rows, 0);
        TRY(call->kernel->prepare(call->state, &harness_team, &instance->op, &sizes));
    }
    for (int64_t begin = 0; begin < rows; begin += chunk) {
        TRY(run_chunk(call, begin, rows - begin < chunk ? rows - begin : chunk));
    }
    return LIMN_OK;
}

limn_status run_forward(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute,
                        int64_t chunk, Results *results) {
    Call call = {instance, kernel, state, compute, NULL, false, results};
    return run_call(&call, chunk);
}

limn_status run_backward(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute,
                         int64_t chunk, const Results *saved, bool accumulate, Results *results) {
    Call call = {instance, kernel, state, compute, saved, accumulate, results};
    return run_call(&call, chunk);
}

double difference(const float *got, const float *want, int64_t count) {
    double largest = 0.0;
    double gap = 0.0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(got[i]) || isnan(want[i]) || ((isinf(got[i]) || isinf(want[i])) && got[i] != want[i])) {
            return INFINITY;
        }
        if (!isinf(want[i])) {
            largest = fmax(largest, fabs((double)want[i]));
            gap = fmax(gap, fabs((double)got[i] - (double)want[i]));
        }
    }
    return largest > 0.0 ? gap / largest : gap;
}
