/* ATTENTION_SCORES, ATTENTION_PATTERN, ATTENTION_MIX and the fused ATTENTION.
 *
 * Key j of a sequence is row j of its cached prefix for j < prefix_length, then own row j - prefix_length. Query
 * row r stands at key index order[r]. It sees key j unless j > order (causal), j <= order - window (window > 0)
 * or is_key of j is 0. Query head h reads key head h / (H / G). Of a seen key:
 *   score = cap(scale * q . k) + slope_h * (j - order),  cap(s) = softcap * tanh(s / softcap) when softcap > 0
 * With alibi_bf16 the bias is scale * slope_h * j, where j and then the product are rounded to bf16.
 * Cells not seen, and the tail up to S = max_keys, hold -inf in scores and 0 in patterns. A query that sees no
 * key has a pattern of zeros and the output 0. MIX sums over every key of the sequence, seen or not, because an
 * edited pattern may be anything. Queries may be the output rows only; keys and values are over all rows.
 * Gradients reach q, and k and v of own rows; a cached prefix is constant. Attention is never rounded to bf16.
 *
 * Pointers are those of row 0 of the tables; a forward call does rows [row_begin, row_begin + n_rows), a backward
 * call must be given all of them. */
#include <math.h>

#include "backend/ref/ref.h"

enum { LANES = 4 };

/* One query head's view of the keys of its sequence. */
typedef struct Query {
    const KernelArgs *args;
    const SequenceRows *sequence;
    int64_t prefix; /* keys in the cache */
    int64_t total;  /* keys */
    int64_t order;  /* the query's own key index */
    int64_t head;   /* h */
    int64_t group;  /* key head of h */
    int64_t groups; /* G */
} Query;

static Query query_of(const KernelArgs *args, int64_t row, int64_t head, int64_t heads, int64_t groups) {
    const SequenceRows *sequence = &args->rows->sequences[args->rows->sequence[row]];
    int64_t prefix = sequence->prefix != NULL ? sequence->prefix_length : 0;
    return (Query){.args = args,
                   .sequence = sequence,
                   .prefix = prefix,
                   .total = prefix + sequence->n_rows,
                   .order = args->rows->order[row],
                   .head = head,
                   .group = head / (heads / groups),
                   .groups = groups};
}

static const float *key_vector(const Query *query, const float *own, int64_t width, int64_t j) {
    int64_t stride = query->groups * width;
    if (j < query->prefix) {
        return query->sequence->prefix->keys[query->args->op->layer] + j * stride + query->group * width;
    }
    return own + (query->sequence->row_begin + j - query->prefix) * stride + query->group * width;
}

static const float *value_vector(const Query *query, const float *own, int64_t width, int64_t j) {
    int64_t stride = query->groups * width;
    if (j < query->prefix) {
        return query->sequence->prefix->values[query->args->op->layer] + j * stride + query->group * width;
    }
    return own + (query->sequence->row_begin + j - query->prefix) * stride + query->group * width;
}

static bool sees(const Query *query, int64_t j) {
    const OpAttributes *attributes = &query->args->op->attributes;
    if ((attributes->causal && j > query->order) ||
        (attributes->window > 0 && j <= query->order - (int64_t)attributes->window)) {
        return false;
    }
    if (j < query->prefix) {
        const uint8_t *is_key = query->sequence->prefix->is_key;
        return is_key == NULL || is_key[j] != 0;
    }
    const uint8_t *is_key = query->args->key_rows->is_key;
    return is_key == NULL || is_key[query->sequence->row_begin + j - query->prefix] != 0;
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            sum[lane] += (double)a[i + lane] * (double)b[i + lane];
        }
    }
    for (; i < n; i++) {
        sum[0] += (double)a[i] * (double)b[i];
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* The score of a seen key; *slope is its derivative with respect to q . k, or what the rule takes for it. */
static double score_of(const Query *query, const float *q, const float *keys, int64_t width, int64_t j, double *slope) {
    const OpAttributes *attributes = &query->args->op->attributes;
    double score = (double)attributes->scale * dot(q, key_vector(query, keys, width, j), width);
    *slope = (double)attributes->scale;
    if (attributes->softcap > 0.0F) {
        double t = tanh(score / (double)attributes->softcap);
        double u = score / (double)attributes->softcap;
        bool ratio = query->args->rule == GRADIENT_HALF_RATIO;
        score = (double)attributes->softcap * t;
        *slope *= !ratio ? 1.0 - t * t : u == 0.0 ? 1.0 : t / u;
    }
    if (attributes->alibi_slopes != NULL && attributes->alibi_bf16) {
        float place = bf16_to_f32(f32_to_bf16((float)j));
        float bias = bf16_to_f32(f32_to_bf16(attributes->alibi_slopes[query->head] * place));
        score += (double)attributes->scale * (double)bias;
    } else if (attributes->alibi_slopes != NULL) {
        score += (double)attributes->alibi_slopes[query->head] * (double)(j - query->order);
    }
    return score;
}

/* log-sum-exp over seen keys, the scores into scores[0, total), -inf where not seen; -inf when none is. */
static double scores_of(const Query *query, const float *q, const float *keys, int64_t width, double *scores) {
    double max = -INFINITY;
    bool any = false;
    for (int64_t j = 0; j < query->total; j++) {
        double slope;
        scores[j] = sees(query, j) ? score_of(query, q, keys, width, j, &slope) : -INFINITY;
        any = any || scores[j] != -INFINITY; /* a NaN counts, so that it shows in the output */
        max = scores[j] > max ? scores[j] : max;
    }
    if (!any) {
        return -INFINITY;
    }
    double sum = 0.0;
    for (int64_t j = 0; j < query->total; j++) {
        sum += exp(scores[j] - max);
    }
    return max + log(sum);
}

/* Scratch: for each worker S doubles and a vector of K; backward: gradients of k and v, [R, G, K] each. */
static int64_t widest(const Op *op) {
    int64_t widest_head = 1;
    for (int i = 0; i < OP_MAX_INPUTS; i++) {
        if (op->in[i].n_dims == 2 && op->in[i].dims[1] > widest_head) {
            widest_head = op->in[i].dims[1];
        }
    }
    return widest_head;
}

static int64_t key_elements(const Op *op) {
    int64_t elements = 0;
    for (int i = 1; i < op_info(op->kind)->n_inputs; i++) {
        elements += op->in[i].dims[0] * op->in[i].dims[1];
    }
    return elements;
}

size_t ref_attention_scratch(const Op *op, const KernelSizes *sizes) {
    int64_t elements = sizes->threads * ((int64_t)sizes->max_keys + widest(op));
    if (sizes->backward) {
        elements += sizes->n_rows * key_elements(op);
    }
    return sizeof(double) * (size_t)elements;
}

static limn_status check_scratch(const KernelArgs *args, bool backward) {
    KernelSizes sizes = {.compute = args->compute,
                         .n_rows = args->key_rows->n_rows,
                         .max_keys = args->rows->max_keys,
                         .threads = team_threads(args->team),
                         .backward = backward};
    size_t need = ref_attention_scratch(args->op, &sizes);
    if (args->scratch == NULL || args->scratch_bytes < need) {
        return fail(LIMN_INTERNAL, "%s: scratch of %zu bytes, needed %zu", op_info(args->op->kind)->name,
                    args->scratch_bytes, need);
    }
    return LIMN_OK;
}

static double *worker_scratch(const KernelArgs *args, int worker) {
    return (double *)args->scratch + worker * ((int64_t)args->rows->max_keys + widest(args->op));
}

/* items are (query row, head) pairs of the rows asked for */
static limn_status over_heads(const KernelArgs *args, ParallelBody body) {
    return parallel_for(args->team, (int64_t)args->n_rows * args->op->in[0].dims[0], 4, body, (void *)(uintptr_t)args);
}

static limn_status scores_items(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t heads = args->op->in[0].dims[0];
    int64_t width = args->op->in[0].dims[1];
    int64_t keys = args->rows->max_keys;
    for (int64_t item = begin; item < end; item++) {
        TRY(team_check(args->team));
        int64_t row = args->row_begin + item / heads;
        Query query = query_of(args, row, item % heads, heads, args->op->in[1].dims[0]);
        int64_t place = row * heads + query.head;
        float *out = args->out + place * keys; /* [S] */
        for (int64_t j = 0; j < keys; j++) {
            double slope;
            out[j] = j < query.total && sees(&query, j)
                         ? (float)score_of(&query, args->in[0] + place * width, args->in[1], width, j, &slope)
                         : -INFINITY;
        }
    }
    return LIMN_OK;
}

limn_status ref_attention_scores(const KernelArgs *args) {
    return over_heads(args, scores_items);
}

static limn_status pattern_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t heads = args->op->in[0].dims[0];
    int64_t keys = args->rows->max_keys;
    for (int64_t i = begin * heads; i < end * heads; i++) {
        TRY(team_check(args->team));
        const float *scores = args->in[0] + i * keys; /* [S] */
        float *pattern = args->out + i * keys;        /* [S] */
        double max = -INFINITY;
        bool any = false;
        for (int64_t j = 0; j < keys; j++) {
            any = any || scores[j] != -INFINITY; /* a NaN counts, so that it shows in the pattern */
            max = (double)scores[j] > max ? (double)scores[j] : max;
        }
        double sum = 0.0;
        for (int64_t j = 0; j < keys && any; j++) {
            sum += exp((double)scores[j] - max);
        }
        for (int64_t j = 0; j < keys; j++) {
            pattern[j] = any ? (float)(exp((double)scores[j] - max) / sum) : 0.0F;
        }
    }
    return LIMN_OK;
}

/* d score = p (g - sum p g); a cell of weight 0 gets exactly 0 whatever its gradient. */
static limn_status pattern_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t heads = args->op->in[0].dims[0];
    int64_t keys = args->rows->max_keys;
    for (int64_t i = begin * heads; i < end * heads; i++) {
        TRY(team_check(args->team));
        const float *pattern = args->out + i * keys;   /* [S] */
        const float *grad = args->grad_out + i * keys; /* [S] */
        double sum = 0.0;
        for (int64_t j = 0; j < keys; j++) {
            sum += pattern[j] != 0.0F ? (double)pattern[j] * (double)grad[j] : 0.0;
        }
        for (int64_t j = 0; j < keys; j++) {
            double slope = pattern[j] != 0.0F ? (double)pattern[j] * ((double)grad[j] - sum) : 0.0;
            ref_put(&args->grad_in[0][i * keys + j], args->accumulate[0], slope);
        }
    }
    return LIMN_OK;
}

limn_status ref_attention_pattern(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->in[0]), pattern_rows);
}

limn_status ref_attention_pattern_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK
                                    : ref_over_rows(args, ref_width(args, &args->op->in[0]), pattern_backward_rows);
}

/* sum[0, width) += weight * vector */
static void add_times(double *sum, double weight, const float *vector, int64_t width) {
    for (int64_t i = 0; i < width; i++) {
        sum[i] += weight * (double)vector[i];
    }
}

static limn_status mix_items(void *context, int64_t begin, int64_t end, int worker) {
    const KernelArgs *args = context;
    int64_t heads = args->op->in[0].dims[0];
    int64_t width = args->op->in[1].dims[1];
    double *sum = worker_scratch(args, worker); /* [K] */
    for (int64_t item = begin; item < end; item++) {
        TRY(team_check(args->team));
        int64_t row = args->row_begin + item / heads;
        Query query = query_of(args, row, item % heads, heads, args->op->in[1].dims[0]);
        int64_t place = row * heads + query.head;
        const float *pattern = args->in[0] + place * args->rows->max_keys; /* [S] */
        memset(sum, 0, sizeof(double) * (size_t)width);
        for (int64_t j = 0; j < query.total; j++) {
            if (pattern[j] != 0.0F) {
                add_times(sum, (double)pattern[j], value_vector(&query, args->in[1], width, j), width);
            }
        }
        for (int64_t i = 0; i < width; i++) {
            args->out[place * width + i] = (float)sum[i];
        }
    }
    return LIMN_OK;
}

limn_status ref_attention_mix(const KernelArgs *args) {
    TRY(check_scratch(args, false));
    return over_heads(args, mix_items);
}

static limn_status attention_items(void *context, int64_t begin, int64_t end, int worker) {
    const KernelArgs *args = context;
    int64_t heads = args->op->in[0].dims[0];
    int64_t width = args->op->in[0].dims[1];
    int64_t value_width = args->op->in[2].dims[1];
    double *scores = worker_scratch(args, worker); /* [S] */
    double *sum = scores + args->rows->max_keys;   /* [K] */
    for (int64_t item = begin; item < end; item++) {
        TRY(team_check(args->team));
        int64_t row = args->row_begin + item / heads;
        Query query = query_of(args, row, item % heads, heads, args->op->in[1].dims[0]);
        int64_t place = row * heads + query.head;
        double lse = scores_of(&query, args->in[0] + place * width, args->in[1], width, scores);
        memset(sum, 0, sizeof(double) * (size_t)value_width);
        for (int64_t j = 0; j < query.total; j++) {
            if (scores[j] != -INFINITY) {
                add_times(sum, exp(scores[j] - lse), value_vector(&query, args->in[2], value_width, j), value_width);
            }
        }
        for (int64_t i = 0; i < value_width; i++) {
            args->out[place * value_width + i] = (float)sum[i];
        }
        if (args->aux != NULL) {
            args->aux[place] = (float)lse;
        }
    }
    return LIMN_OK;
}

limn_status ref_attention(const KernelArgs *args) {
    TRY(check_scratch(args, false));
    return over_heads(args, attention_items);
}

/* ---- backward: an item is one key head of one sequence, so that each sum has one owner and one order ---- */

typedef struct Backward {
    const KernelArgs *args;
    int64_t heads;
    int64_t groups;
    int64_t n_keys;  /* gradients kept in double: 1 of k or v, 2 of k and v */
    double *sums[2]; /* [R, G, K] each */
    int input[2];    /* which input each belongs to */
    void (*row)(struct Backward *backward, const Query *query, int64_t row, int worker);
} Backward;

/* Where the gradient of key j is summed; NULL for a cached key. */
static double *sum_place(const Backward *backward, const Query *query, int which, int64_t j) {
    int64_t width = backward->args->op->in[backward->input[which]].dims[1];
    if (backward->sums[which] == NULL || j < query->prefix) {
        return NULL;
    }
    int64_t row = query->sequence->row_begin + j - query->prefix;
    return backward->sums[which] + (row * backward->groups + query->group) * width;
}

static void clear_sums(const Backward *backward, const SequenceRows *sequence, int64_t group) {
    for (int which = 0; which < backward->n_keys; which++) {
        int64_t width = backward->args->op->in[backward->input[which]].dims[1];
        for (int64_t row = sequence->row_begin; row < sequence->row_begin + sequence->n_rows; row++) {
            memset(backward->sums[which] + (row * backward->groups + group) * width, 0, sizeof(double) * (size_t)width);
        }
    }
}

static void write_sums(const Backward *backward, const SequenceRows *sequence, int64_t group) {
    const KernelArgs *args = backward->args;
    for (int which = 0; which < backward->n_keys; which++) {
        int input = backward->input[which];
        int64_t width = args->op->in[input].dims[1];
        for (int64_t row = sequence->row_begin; row < sequence->row_begin + sequence->n_rows; row++) {
            int64_t place = (row * backward->groups + group) * width;
            for (int64_t i = 0; i < width && args->grad_in[input] != NULL; i++) {
                ref_put(&args->grad_in[input][place + i], args->accumulate[input], backward->sums[which][place + i]);
            }
        }
    }
}

static limn_status backward_items(void *context, int64_t begin, int64_t end, int worker) {
    Backward *backward = context;
    const RowTable *rows = backward->args->rows;
    int64_t share = backward->heads / backward->groups;
    for (int64_t item = begin; item < end; item++) {
        int64_t sequence = item / backward->groups;
        int64_t group = item % backward->groups;
        clear_sums(backward, &rows->sequences[sequence], group);
        for (int64_t row = 0; row < rows->n_rows; row++) {
            TRY(team_check(backward->args->team));
            for (int64_t h = group * share; h < (group + 1) * share && rows->sequence[row] == sequence; h++) {
                Query query = query_of(backward->args, row, h, backward->heads, backward->groups);
                backward->row(backward, &query, row, worker);
            }
        }
        write_sums(backward, &rows->sequences[sequence], group);
    }
    return LIMN_OK;
}

/* first, last: the inputs that are keys or values. */
static limn_status run_backward(const KernelArgs *args, int first, int last,
                                void (*row)(Backward *backward, const Query *query, int64_t row, int worker)) {
    TRY(check_scratch(args, true));
    Backward backward = {.args = args,
                         .heads = args->op->in[0].dims[0],
                         .groups = args->op->in[first].dims[0],
                         .n_keys = last - first + 1,
                         .row = row};
    double *place = worker_scratch(args, team_threads(args->team));
    for (int input = first; input <= last; input++) {
        backward.input[input - first] = input;
        backward.sums[input - first] = place;
        place += args->key_rows->n_rows * args->op->in[input].dims[0] * args->op->in[input].dims[1];
    }
    return parallel_for(args->team, args->rows->n_sequences * backward.groups, 1, backward_items, &backward);
}

static void write_query_gradient(const KernelArgs *args, int64_t place, const double *sum, int64_t width) {
    for (int64_t i = 0; i < width && args->grad_in[0] != NULL; i++) {
        ref_put(&args->grad_in[0][place * width + i], args->accumulate[0], sum[i]);
    }
}

/* One cell's share: d q += slope * k, d k += slope * q. */
static void add_cell(const Backward *backward, const Query *query, int64_t j, double slope, const float *q,
                     double *sum) {
    const KernelArgs *args = backward->args;
    int64_t width = args->op->in[0].dims[1];
    double *into = sum_place(backward, query, 0, j);
    add_times(sum, slope, key_vector(query, args->in[1], width, j), width);
    if (into != NULL) {
        add_times(into, slope, q, width);
    }
}

static void scores_backward_row(Backward *backward, const Query *query, int64_t row, int worker) {
    const KernelArgs *args = backward->args;
    int64_t width = args->op->in[0].dims[1];
    int64_t place = row * backward->heads + query->head;
    const float *q = args->in[0] + place * width;                      /* [K] */
    const float *grad = args->grad_out + place * args->rows->max_keys; /* [S] */
    double *sum = worker_scratch(args, worker) + args->rows->max_keys; /* [K] */
    double share = args->rule == GRADIENT_HALF_RATIO ? 0.5 : 1.0;
    memset(sum, 0, sizeof(double) * (size_t)width);
    for (int64_t j = 0; j < query->total; j++) {
        if (sees(query, j)) {
            double slope;
            (void)score_of(query, q, args->in[1], width, j, &slope);
            add_cell(backward, query, j, share * slope * (double)grad[j], q, sum);
        }
    }
    write_query_gradient(args, place, sum, width);
}

limn_status ref_attention_scores_backward(const KernelArgs *args) {
    return run_backward(args, 1, 1, scores_backward_row);
}

static void mix_backward_row(Backward *backward, const Query *query, int64_t row, int worker) {
    (void)worker;
    const KernelArgs *args = backward->args;
    int64_t width = args->op->in[1].dims[1];
    int64_t place = row * backward->heads + query->head;
    const float *pattern = args->in[0] + place * args->rows->max_keys; /* [S] */
    const float *grad = args->grad_out + place * width;                /* [K] */
    double share = args->rule == GRADIENT_HALF ? 0.5 : 1.0;
    for (int64_t j = 0; j < query->total; j++) {
        double *into = sum_place(backward, query, 0, j);
        if (into != NULL && pattern[j] != 0.0F) {
            add_times(into, share * (double)pattern[j], grad, width);
        }
    }
    for (int64_t j = 0; j < args->rows->max_keys && args->grad_in[0] != NULL; j++) {
        double slope = j < query->total ? dot(grad, value_vector(query, args->in[1], width, j), width) : 0.0;
        ref_put(&args->grad_in[0][place * args->rows->max_keys + j], args->accumulate[0], share * slope);
    }
}

limn_status ref_attention_mix_backward(const KernelArgs *args) {
    return run_backward(args, 1, 1, mix_backward_row);
}

/* p = exp(score - lse); d score = p (g . v - g . out); d v += p g. Where products are halved, values have gone through
 * one and queries and keys through two; a constant pattern hands nothing on to queries and keys. */
static void attention_backward_row(Backward *backward, const Query *query, int64_t row, int worker) {
    const KernelArgs *args = backward->args;
    int64_t width = args->op->in[0].dims[1];
    int64_t value_width = args->op->in[2].dims[1];
    int64_t place = row * backward->heads + query->head;
    const float *q = args->in[0] + place * width;             /* [K] */
    const float *grad = args->grad_out + place * value_width; /* [K] */
    double *scores = worker_scratch(args, worker);            /* [S] */
    double *sum = scores + args->rows->max_keys;              /* [K] */
    double lse = scores_of(query, q, args->in[1], width, scores);
    bool halves = args->rule == GRADIENT_HALF_RATIO;
    double mean = 0.0; /* sum over keys of p g . v, which is g . out */
    for (int64_t j = 0; j < query->total; j++) {
        if (scores[j] != -INFINITY) {
            const float *value = value_vector(query, args->in[2], value_width, j);
            mean += exp(scores[j] - lse) * dot(grad, value, value_width);
        }
    }
    memset(sum, 0, sizeof(double) * (size_t)width);
    for (int64_t j = 0; j < query->total; j++) {
        if (scores[j] == -INFINITY) {
            continue;
        }
        double weight = exp(scores[j] - lse);
        double *into = sum_place(backward, query, 1, j);
        if (into != NULL) {
            add_times(into, halves ? 0.5 * weight : weight, grad, value_width);
        }
        if (args->rule == GRADIENT_CONSTANT) {
            continue;
        }
        double slope;
        (void)score_of(query, q, args->in[1], width, j, &slope);
        slope *= halves ? 0.25 : 1.0;
        const float *value = value_vector(query, args->in[2], value_width, j);
        slope *= weight * (dot(grad, value, value_width) - mean);
        add_cell(backward, query, j, slope, q, sum);
    }
    write_query_gradient(args, place, sum, width);
}

limn_status ref_attention_backward(const KernelArgs *args) {
    return run_backward(args, 1, 2, attention_backward_row);
}
