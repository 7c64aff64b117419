/* Norms and spectra of what differs between two sets of weights. Rows are read one by one: a difference is never held
 * whole but for its singular values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parallel.h"
#include "method/causal/diff.h"
#include "method/causal/spectrum.h"
#include "model/weights.h"

enum { NAME_MAX_BYTES = 96, SPECTRUM_SIDE_MAX = 8192, TABLE_ROWS = 20 };

/* A branch of one of the two models: the change has that of the second model and lacks that of the first. */
typedef struct DeltaBranch {
    const WeightChange *change;
    int side; /* 0 before, 1 after */
} DeltaBranch;

/* One weight before and after. */
typedef struct Delta {
    char component[NAME_MAX_BYTES]; /* "q", "mlp out", "ln1" */
    int layer;                      /* -1: outside the blocks */
    int32_t column;                 /* its component's place */
    bool table;                     /* rows are tokens or positions */
    bool expert;                    /* one of many of its component */
    Weight before;                  /* [rows, columns] without branches */
    Weight after;                   /* the same; name NULL: the same tensor */
    DeltaBranch *branches;          /* [n_branches], of each side in order */
    int32_t n_branches;
    int64_t head_rows;    /* rows of one head (q, k, v); 0 */
    int64_t head_columns; /* columns of one head (o); 0 */
    int32_t n_heads;
    double change, size; /* sums of squares */
    double *head_change; /* [n_heads] */
    double *head_size;   /* [n_heads] */
    double largest;      /* singular value; NaN: not computed */
    double effective, energy;
} Delta;

typedef struct Deltas {
    const Diff *diff;
    Delta *items;
    int32_t n, capacity;
    char (*components)[NAME_MAX_BYTES]; /* [n_components] of the layers, in the order of the graph */
    int32_t n_components;
} Deltas;

/* --- which weights there are --- */

/* A site in the terms of the field. */
static void name_component(char out[NAME_MAX_BYTES], const char *site, bool bias, bool gated, bool gain) {
    static const struct {
        const char *site, *name;
    } names[] = {{"attn.hook_q", "q"},       {"attn.hook_k", "k"},        {"attn.hook_v", "v"},
                 {"attn.hook_result", "o"},  {"hook_attn_out", "o"},      {"mlp.hook_pre_linear", "mlp in"},
                 {"mlp.hook_pre", "mlp in"}, {"hook_mlp_out", "mlp out"}, {"attn.hook_out", "o"},
                 {"mlp.hook_out", "mlp out"}},
      gains[] = {{"hook_attn_out", "ln1_post"},
                 {"hook_mlp_out", "ln2_post"},
                 {"attn.hook_q_normed", "attn.q_norm"},
                 {"attn.hook_k_normed", "attn.k_norm"}};
    const char *dot = strncmp(site, "blocks.", 7) == 0 ? strchr(site + 7, '.') : NULL;
    const char *inner = dot != NULL ? dot + 1 : site;
    size_t length = strlen(inner);
    length -= text_ends_with(inner, ".hook_normalized") ? strlen(".hook_normalized") : 0;
    snprintf(out, NAME_MAX_BYTES, "%.*s", (int)(length < 64 ? length : 64), inner);
    for (size_t i = 0; gain && i < sizeof gains / sizeof gains[0]; i++) {
        if (strcmp(inner, gains[i].site) == 0) {
            snprintf(out, NAME_MAX_BYTES, "%s", gains[i].name);
        }
    }
    for (size_t i = 0; !gain && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(inner, names[i].site) == 0) {
            bool gate = gated && strcmp(inner, "mlp.hook_pre") == 0;
            snprintf(out, NAME_MAX_BYTES, "%s", gate ? "mlp gate" : names[i].name);
            break;
        }
    }
    if (bias) {
        strncat(out, " bias", NAME_MAX_BYTES - strlen(out) - 1);
    }
}

/* The first name of a node's value, of what reads its whole (a sum with branches), or of what it reads. */
static const char *site_of(const Graph *graph, NodeId node) {
    const GraphNode *at = &graph->nodes[node];
    if (at->site != NULL) {
        return at->site;
    }
    for (NodeId reader = node + 1; reader < graph->n_nodes && reader < node + 64; reader++) {
        const GraphNode *sum = &graph->nodes[reader];
        bool reads = sum->inputs[0] == node && (sum->op.kind == OP_ADD || sum->op.kind == OP_GAIN);
        if (reads && sum->site != NULL && at->op.kind != OP_GAIN) {
            return sum->site;
        }
        node = reads && at->op.kind != OP_GAIN ? reader : node;
    }
    NodeId input = at->inputs[0];
    return input != NODE_NONE && at->op.kind == OP_GAIN ? graph->nodes[input].site : NULL;
}

static bool has_gate(const Graph *graph, int layer) {
    char name[64];
    snprintf(name, sizeof name, "blocks.%d.mlp.hook_pre_linear", layer);
    return graph_find_site(graph, name) != NODE_NONE;
}

static void set_heads(Delta *delta, const ModelConfig *config) {
    bool query = strcmp(delta->component, "q") == 0;
    bool key = strcmp(delta->component, "k") == 0 || strcmp(delta->component, "v") == 0;
    if (query || key) {
        delta->n_heads = query ? config->n_heads : config->n_kv_heads;
        delta->head_rows = delta->n_heads > 0 ? delta->before.rows / delta->n_heads : 0;
    } else if (strcmp(delta->component, "o") == 0) {
        delta->n_heads = config->n_heads;
        delta->head_columns = delta->n_heads > 0 ? delta->before.columns / delta->n_heads : 0;
    }
}

/* A new one; NULL when memory runs out. */
static Delta *add_delta(Deltas *deltas, const Graph *graph, NodeId node, int slot, const Weight *before) {
    if (deltas->n == deltas->capacity) {
        int32_t capacity = deltas->capacity == 0 ? 256 : 2 * deltas->capacity;
        Delta *grown = ARENA_ARRAY(deltas->diff->call->arena, Delta, capacity);
        if (grown == NULL) {
            return NULL;
        }
        if (deltas->n > 0) {
            memcpy(grown, deltas->items, (size_t)deltas->n * sizeof *grown);
        }
        deltas->items = grown;
        deltas->capacity = capacity;
    }
    Delta *delta = &deltas->items[deltas->n++];
    const Op *op = &graph->nodes[node].op;
    const char *site = site_of(graph, node);
    *delta = (Delta){.layer = op->layer, .before = *before, .table = op_is_table(op->kind), .largest = NAN};
    bool bias = slot == 1 || op->kind == OP_SUM_HEADS; /* a tensor's own name says it already */
    name_component(delta->component, site != NULL ? site : before->name, bias && site != NULL,
                   has_gate(graph, op->layer), op->kind == OP_GAIN);
    delta->effective = delta->energy = (double)NAN;
    set_heads(delta, &deltas->diff->before->config);
    return delta;
}

/* The changes of both models to this weight, whose nodes are where the two graphs stand. *replaced: one of them has
 * another tensor there. */
static limn_status collect(const Diff *diff, const NodeId nodes[2], int slot, DeltaBranch **branches, int32_t *n,
                           bool *replaced) {
    *branches = NULL;
    *n = 0;
    *replaced = false;
    for (int side = 0; side < 2; side++) {
        const Model *model = side == 0 ? diff->before : diff->after;
        for (int32_t i = 0; i < model->n_changes; i++) {
            const WeightChange *change = &model->changes[i];
            if (change->node != nodes[side] || change->slot != slot) {
                continue;
            }
            if (change->after.name != NULL) {
                *replaced = true;
                continue;
            }
            DeltaBranch *grown = ARENA_ARRAY(diff->call->arena, DeltaBranch, *n + 1);
            if (grown == NULL) {
                return method_no_memory(diff->call);
            }
            if (*n > 0) {
                memcpy(grown, *branches, (size_t)*n * sizeof *grown);
            }
            grown[(*n)++] = (DeltaBranch){change, side};
            *branches = grown;
        }
    }
    return LIMN_OK;
}

/* other false: both weights are one tensor, but for the branches. */
static limn_status add_pair(Deltas *deltas, NodeId node, int slot, const Weight *before, const Weight *after,
                            bool other, bool expert, Delta **delta) {
    *delta = NULL;
    if (before->name == NULL || after->name == NULL) {
        return LIMN_OK;
    }
    *delta = add_delta(deltas, &deltas->diff->before->graph, node, slot, before);
    if (*delta == NULL) {
        return method_no_memory(deltas->diff->call);
    }
    (*delta)->after = other ? *after : (Weight){0};
    (*delta)->expert = expert;
    return LIMN_OK;
}

/* Every weight of a node that may differ: of two models all, of one those that adapters change. */
static limn_status list_node(Deltas *deltas, const NodeId nodes[2]) {
    const Diff *diff = deltas->diff;
    const Graph *a = &diff->before->graph, *b = &diff->after->graph;
    const Op *one = &a->nodes[nodes[0]].op, *two = &b->nodes[nodes[1]].op;
    Delta *delta;
    for (int slot = 0; slot < OP_MAX_WEIGHTS; slot++) {
        DeltaBranch *branches;
        int32_t n;
        bool replaced;
        TRY(collect(diff, nodes, slot, &branches, &n, &replaced));
        bool other = replaced || !diff->one_base;
        if (!other && n == 0) {
            continue;
        }
        TRY(add_pair(deltas, nodes[0], slot, diff_weight_of(a, nodes[0], slot), diff_weight_of(b, nodes[1], slot),
                     other, false, &delta));
        if (delta != NULL) {
            delta->branches = branches;
            delta->n_branches = n;
        }
    }
    bool experts = one->attributes.experts[0] != NULL && !diff->one_base;
    for (int32_t e = 0; experts && e < one->attributes.n_experts; e++) {
        TRY(add_pair(deltas, nodes[0], 0, &one->attributes.experts[0][e], &two->attributes.experts[0][e], true, true,
                     &delta));
    }
    return LIMN_OK;
}

static limn_status list_pairs(Deltas *deltas) {
    const Graph *a = &deltas->diff->before->graph, *b = &deltas->diff->after->graph;
    NodeId nodes[2] = {diff_next_node(a, -1), diff_next_node(b, -1)};
    while (nodes[0] < a->n_nodes && nodes[1] < b->n_nodes) {
        TRY(list_node(deltas, nodes));
        nodes[0] = diff_next_node(a, nodes[0]);
        nodes[1] = diff_next_node(b, nodes[1]);
    }
    return LIMN_OK;
}

/* --- sums --- */

/* What a branch adds to row i, onto what came before it; row: the weight it is beside. */
static void add_branch(const Delta *delta, const WeightChange *branch, int64_t i, const float *row, float *change) {
    int64_t n = delta->before.columns, rank = delta->table ? branch->a.columns : branch->a.rows;
    const float *a = branch->a.data, *b = branch->b.data;
    for (int64_t r = 0; r < rank; r++) {
        if (delta->table) { /* a [V, r], b [D, r] */
            for (int64_t j = 0; j < n; j++) {
                change[j] += a[i * rank + r] * b[j * rank + r];
            }
            continue;
        }
        float factor = b[i * rank + r];
        for (int64_t j = 0; j < n; j++) {
            change[j] += factor * a[r * n + j];
        }
    }
    for (int64_t j = 0; branch->gain != NULL && j < n; j++) {
        change[j] = branch->gain[i] * change[j] + (branch->gain[i] - 1) * row[j];
    }
}

/* Row i before, and what is added to it. row, change, work: [columns]. Each side is reckoned from the first model's own
 * tensor, so that a small branch does not drown in it. */
static void read_row(const Delta *delta, int64_t i, float *row, float *change, float *work) {
    int64_t n = delta->before.columns;
    float *sides[] = {work, change};
    for (int64_t j = 0; j < n; j++) {
        row[j] = weight_value(&delta->before, i, j);
        work[j] = 0;
        change[j] = delta->after.name != NULL ? weight_value(&delta->after, i, j) - row[j] : 0;
    }
    for (int32_t k = 0; k < delta->n_branches; k++) {
        add_branch(delta, delta->branches[k].change, i, row, sides[delta->branches[k].side]);
    }
    for (int64_t j = 0; j < n; j++) {
        change[j] -= work[j];
        row[j] += work[j];
    }
}

typedef struct Sums {
    const Delta *delta;
    double *change; /* [rows, parts] */
    double *size;   /* [rows, parts] */
    int64_t parts;  /* heads side by side in a row, or 1 */
    float *rows;    /* [threads, 3 columns] */
    float *dense;   /* [rows, columns] or NULL */
} Sums;

static limn_status sum_rows(void *context, int64_t begin, int64_t end, int worker) {
    const Sums *sums = context;
    const Delta *delta = sums->delta;
    int64_t n = delta->before.columns, part = n / sums->parts;
    float *row = sums->rows + 3 * n * worker;
    for (int64_t i = begin; i < end; i++) {
        float *change = sums->dense != NULL ? sums->dense + i * n : row + n;
        read_row(delta, i, row, change, row + 2 * n);
        for (int64_t p = 0; p < sums->parts; p++) {
            double changed = 0, size = 0;
            for (int64_t j = p * part; j < (p + 1) * part; j++) {
                changed += (double)change[j] * (double)change[j];
                size += (double)row[j] * (double)row[j];
            }
            sums->change[i * sums->parts + p] = changed;
            sums->size[i * sums->parts + p] = size;
        }
    }
    return LIMN_OK;
}

static void add_up(Delta *delta, const Sums *sums) {
    for (int64_t i = 0; i < delta->before.rows; i++) {
        for (int64_t p = 0; p < sums->parts; p++) {
            double changed = sums->change[i * sums->parts + p], size = sums->size[i * sums->parts + p];
            delta->change += changed;
            delta->size += size;
            int64_t head = delta->head_rows > 0 ? i / delta->head_rows : p;
            if (delta->n_heads > 0 && head < delta->n_heads) {
                delta->head_change[head] += changed;
                delta->head_size[head] += size;
            }
        }
    }
}

/* --- spectra --- */

/* Nothing but low-rank branches: [b1 b2 ...] [a1; a2; ...], b of the first model's with the other sign. */
static bool is_product(const Delta *delta, int32_t *rank) {
    *rank = 0;
    for (int32_t k = 0; k < delta->n_branches; k++) {
        const WeightChange *branch = delta->branches[k].change;
        if (branch->gain != NULL) {
            return false;
        }
        *rank += (int32_t)(delta->table ? branch->a.columns : branch->a.rows);
    }
    return delta->after.name == NULL && *rank > 0;
}

/* Column r of one side of the product, element i. */
static double side_value(const Delta *delta, bool left, int32_t r, int64_t i) {
    for (int32_t k = 0; k < delta->n_branches; k++) {
        const Weight *a = &delta->branches[k].change->a, *b = &delta->branches[k].change->b;
        int32_t rank = (int32_t)b->columns;
        if (r >= rank) {
            r -= rank;
            continue;
        }
        if (left) {
            double sign = delta->branches[k].side == 0 ? -1 : 1;
            return sign * (double)(delta->table ? weight_value(a, i, r) : weight_value(b, i, r));
        }
        return (double)(delta->table ? weight_value(b, i, r) : weight_value(a, r, i));
    }
    return 0;
}

typedef struct Gram {
    const Delta *delta;
    bool left;
    int32_t rank;
    int64_t length;
    double *out; /* [rank, rank] */
} Gram;

static limn_status gram_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Gram *gram = context;
    for (int64_t a = begin; a < end; a++) {
        for (int32_t b = 0; b <= a; b++) {
            double sum = 0;
            for (int64_t i = 0; i < gram->length; i++) {
                sum += side_value(gram->delta, gram->left, (int32_t)a, i) * side_value(gram->delta, gram->left, b, i);
            }
            gram->out[a * gram->rank + b] = gram->out[b * gram->rank + a] = sum;
        }
    }
    return LIMN_OK;
}

static limn_status product_spectrum(Spectrum *spectrum, const Deltas *deltas, const Delta *delta, int32_t rank) {
    size_t square = (size_t)rank * (size_t)rank;
    double *work = malloc((2 * square + 1) * sizeof *work);
    if (work == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for a spectrum");
    }
    Gram left = {delta, true, rank, delta->before.rows, work};
    Gram right = {delta, false, rank, delta->before.columns, work + square};
    limn_status status = parallel_for(deltas->diff->call->team, rank, 1, gram_rows, &left);
    if (status == LIMN_OK) {
        status = parallel_for(deltas->diff->call->team, rank, 1, gram_rows, &right);
    }
    if (status == LIMN_OK) {
        status = spectrum_of_product(spectrum, left.out, right.out, rank, deltas->diff->call->team);
    }
    free(work);
    return status;
}

/* dense: [rows, columns], destroyed; NULL: a product. */
static limn_status measure_spectrum(const Deltas *deltas, Delta *delta, float *dense) {
    Spectrum spectrum;
    int32_t rank;
    if (is_product(delta, &rank)) {
        TRY(product_spectrum(&spectrum, deltas, delta, rank));
    } else if (dense != NULL) {
        TRY(spectrum_of_matrix(&spectrum, dense, delta->before.rows, delta->before.columns, deltas->diff->call->team));
    } else {
        return LIMN_OK;
    }
    delta->largest = spectrum.n > 0 ? spectrum.values[0] : 0;
    delta->effective = spectrum_effective_rank(&spectrum);
    int64_t k = deltas->diff->params->top_k;
    delta->energy = spectrum_energy(&spectrum, k < INT32_MAX ? (int32_t)k : INT32_MAX);
    spectrum_free(&spectrum);
    return LIMN_OK;
}

static bool wants_dense(const Deltas *deltas, const Delta *delta) {
    int32_t rank;
    int64_t rows = delta->before.rows, columns = delta->before.columns;
    return !deltas->diff->params->no_spectrum && !is_product(delta, &rank) && !delta->expert && columns > 1 &&
           (rows < columns ? rows : columns) <= SPECTRUM_SIDE_MAX;
}

static limn_status measure(const Deltas *deltas, Delta *delta) {
    MethodCall *call = deltas->diff->call;
    int64_t rows = delta->before.rows, columns = delta->before.columns;
    bool by_columns = delta->head_columns > 0;
    Sums sums = {.delta = delta, .parts = by_columns ? delta->n_heads : 1};
    delta->head_change = ARENA_ARRAY(call->arena, double, delta->n_heads + 1);
    delta->head_size = ARENA_ARRAY(call->arena, double, delta->n_heads + 1);
    sums.change = malloc((size_t)(rows * sums.parts + 1) * sizeof *sums.change);
    sums.size = malloc((size_t)(rows * sums.parts + 1) * sizeof *sums.size);
    sums.rows = malloc((size_t)(3 * columns * team_threads(call->team) + 1) * sizeof *sums.rows);
    bool dense = wants_dense(deltas, delta);
    sums.dense = dense ? malloc((size_t)(rows * columns + 1) * sizeof *sums.dense) : NULL;
    limn_status status = LIMN_OK;
    if (delta->head_change == NULL || delta->head_size == NULL || sums.change == NULL || sums.size == NULL ||
        sums.rows == NULL || (dense && sums.dense == NULL)) {
        status = method_no_memory(call);
    }
    if (status == LIMN_OK) {
        status = parallel_for(call->team, rows, 16, sum_rows, &sums);
    }
    if (status == LIMN_OK) {
        add_up(delta, &sums);
    }
    if (status == LIMN_OK && !deltas->diff->params->no_spectrum && delta->change > 0) {
        status = measure_spectrum(deltas, delta, sums.dense);
    }
    free(sums.change);
    free(sums.size);
    free(sums.rows);
    free(sums.dense);
    return status;
}

/* --- what is shown --- */

static limn_status list_components(Deltas *deltas) {
    deltas->components = arena_zalloc(deltas->diff->call->arena, (size_t)(deltas->n + 1) * NAME_MAX_BYTES);
    if (deltas->components == NULL) {
        return method_no_memory(deltas->diff->call);
    }
    for (int32_t i = 0; i < deltas->n; i++) {
        Delta *delta = &deltas->items[i];
        int32_t at = 0;
        while (at < deltas->n_components && strcmp(deltas->components[at], delta->component) != 0) {
            at++;
        }
        delta->column = at;
        if (delta->layer >= 0 && at == deltas->n_components) {
            memcpy(deltas->components[deltas->n_components++], delta->component, NAME_MAX_BYTES);
        }
    }
    return LIMN_OK;
}

/* Norms and shares have no sign. */
static void label_layers(MatrixBlock *matrix, int32_t n_layers) {
    if (matrix != NULL) {
        matrix->is_signed = false;
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        char label[24];
        int length = snprintf(label, sizeof label, "%d", (int)layer);
        matrix_label_row(matrix, layer, label, (size_t)length);
    }
}

typedef enum Measure { MEASURE_NORM, MEASURE_EFFECTIVE, MEASURE_ENERGY } Measure;

static void add_layers(const Deltas *deltas, const char *id, const char *title, Measure measure) {
    Result *result = deltas->diff->result;
    int32_t n_layers = deltas->diff->before->config.n_layers, n = deltas->n_components;
    MatrixBlock *matrix = result_add_matrix(result, id, title, n_layers, n);
    matrix_titles(matrix, "layer", "component");
    label_layers(matrix, n_layers);
    for (int32_t column = 0; column < n; column++) {
        matrix_label_column(matrix, column, deltas->components[column], strlen(deltas->components[column]));
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        for (int32_t column = 0; column < n; column++) {
            double change = 0, size = 0, shape = (double)NAN;
            for (int32_t i = 0; i < deltas->n; i++) {
                const Delta *delta = &deltas->items[i];
                if (delta->layer == layer && delta->column == column) {
                    change += delta->change;
                    size += delta->size;
                    shape = measure == MEASURE_ENERGY ? delta->energy : delta->effective;
                }
            }
            double norm = change == 0 ? 0 : size > 0 ? sqrt(change / size) : (double)NAN;
            matrix_set(matrix, layer, column, measure == MEASURE_NORM ? norm : shape);
        }
    }
    if (measure != MEASURE_NORM) {
        result_block_detail(result);
    }
}

/* Query head h: its rows of q, its columns of o, and the rows of k and v of the key head it reads. */
static void add_heads(const Deltas *deltas) {
    const ModelConfig *config = &deltas->diff->before->config;
    Result *result = deltas->diff->result;
    int32_t n_layers = config->n_layers, n_heads = config->n_heads;
    MatrixBlock *matrix = result_add_matrix(
        result, "heads", SAY(deltas->diff->call, "Relative change of each head's weights", "各注意力头权重的相对变化"),
        n_layers, n_heads);
    matrix_titles(matrix, "layer", "head");
    label_layers(matrix, n_layers);
    for (int32_t head = 0; head < n_heads; head++) {
        char label[24];
        int length = snprintf(label, sizeof label, "%d", (int)head);
        matrix_label_column(matrix, head, label, (size_t)length);
        for (int32_t layer = 0; layer < n_layers; layer++) {
            double change = 0, size = 0;
            for (int32_t i = 0; i < deltas->n; i++) {
                const Delta *delta = &deltas->items[i];
                bool changed = delta->change > 1e-12 * delta->size; /* by more than a merge rounds */
                if (delta->layer != layer || delta->n_heads == 0 || !changed) {
                    continue;
                }
                int32_t own = delta->n_heads < n_heads ? head / (n_heads / delta->n_heads) : head;
                change += delta->head_change[own];
                size += delta->head_size[own];
            }
            matrix_set(matrix, layer, head, size > 0 ? sqrt(change / size) : 0);
        }
    }
    result_block_note(result,
                      SAY(deltas->diff->call,
                          "|change| / |weights| over a head's rows of q, k and v and its columns of o, of those that "
                          "were changed; heads that share keys and values share them here",
                          "|变化| / |权重|，取该头的 q、k、v 行与 o 列中有变化者；共用键和值的头在此也共用"));
}

static double relative(const Delta *delta) {
    return delta->size > 0 ? sqrt(delta->change / delta->size) : delta->change > 0 ? (double)INFINITY : 0;
}

static int by_relative(const void *a, const void *b) {
    const Delta *const *one = a;
    const Delta *const *other = b;
    double x = relative(*one), y = relative(*other);
    return x > y ? -1 : x < y ? 1 : *one < *other ? -1 : *one > *other;
}

static const char *place_text(const Deltas *deltas, const Delta *delta) {
    Arena *arena = deltas->diff->call->arena;
    const char *text = delta->layer < 0 ? arena_strdup(arena, delta->component)
                                        : arena_printf(arena, SAY(deltas->diff->call, "layer %d %s", "第 %d 层 %s"),
                                                       delta->layer, delta->component);
    return text != NULL ? text : "";
}

static limn_status add_table(const Deltas *deltas, const char **most) {
    static const TableColumn columns[] = {
        {TEXT("weights"), COLUMN_TEXT},   {TEXT("|change| / |W|"), COLUMN_NUMBER}, {TEXT("|change|"), COLUMN_NUMBER},
        {TEXT("largest"), COLUMN_NUMBER}, {TEXT("effective rank"), COLUMN_NUMBER}, {TEXT("energy"), COLUMN_NUMBER}};
    MethodCall *call = deltas->diff->call;
    const Delta **sorted = ARENA_ARRAY(call->arena, const Delta *, deltas->n + 1);
    if (sorted == NULL) {
        return method_no_memory(call);
    }
    int32_t n = 0;
    for (int32_t i = 0; i < deltas->n; i++) {
        if (deltas->items[i].change > 0) {
            sorted[n++] = &deltas->items[i];
        }
    }
    qsort(sorted, (size_t)n, sizeof(const Delta *), by_relative);
    if (n == 0) {
        return LIMN_OK;
    }
    TableBlock *table = result_add_table(deltas->diff->result, "weights",
                                         SAY(call, "Weights that changed most", "变化最大的权重"), columns, 6);
    for (int32_t i = 0; i < n && i < TABLE_ROWS; i++) {
        const Delta *delta = sorted[i];
        Value cells[] = {value_text(place_text(deltas, delta)), value_number(relative(delta)),
                         value_number(sqrt(delta->change)),     value_number(delta->largest),
                         value_number(delta->effective),        value_number(delta->energy)};
        table_row(table, cells);
    }
    result_block_note(
        deltas->diff->result,
        SAY(call,
            "%d of %d changed weights; largest: singular value of the change; effective rank: exp of the "
            "entropy of its singular values; energy: share of the %lld largest",
            "列出 %d 个，共有 %d 个权重变化；最大：变化的最大奇异值；有效秩：奇异值熵的指数；能量占比：最大的 "
            "%lld 个奇异值"),
        n < TABLE_ROWS ? (int)n : TABLE_ROWS, (int)n, (long long)deltas->diff->params->top_k);
    *most = arena_printf(call->arena, "%s (%.3g%%)", place_text(deltas, sorted[0]), 100 * relative(sorted[0]));
    return *most != NULL ? LIMN_OK : method_no_memory(call);
}

limn_status diff_weights(const Diff *diff, const char **most) {
    *most = NULL;
    Deltas deltas = {.diff = diff};
    TRY(list_pairs(&deltas));
    TRY(list_components(&deltas));
    for (int32_t i = 0; i < deltas.n; i++) {
        TRY(team_tick(diff->call->team, "weights", i, deltas.n));
        TRY(measure(&deltas, &deltas.items[i]));
    }
    team_rest(diff->call->team);
    TRY(add_table(&deltas, most));
    if (*most == NULL || deltas.n_components == 0) {
        return LIMN_OK;
    }
    const MethodCall *call = diff->call;
    add_layers(&deltas, "norm",
               SAY(call, "Relative change of the weights, |change| / |W|", "权重的相对变化，|变化| / |W|"),
               MEASURE_NORM);
    add_heads(&deltas);
    if (!diff->params->no_spectrum) {
        add_layers(&deltas, "effective-rank", SAY(call, "Effective rank of the change", "变化的有效秩"),
                   MEASURE_EFFECTIVE);
        add_layers(&deltas, "energy",
                   SAY(call, "Share of the change's energy in its largest directions", "变化的能量在最大方向上的占比"),
                   MEASURE_ENERGY);
    }
    return LIMN_OK;
}
