/* Queries and keys with the softmax taken exactly (AtP*, 2403.00745, section 3.1.1).
 *
 *     effect = sum over queries i, keys j of (pattern'_ij - pattern_ij) (dm/dz_i . v_j)
 *
 * pattern' with the source's queries (or keys) of a head in the place of the base's, at all positions. The gradient of
 * a saturated softmax vanishes; its difference does not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "method/causal/causal_grad.h"

/* A head of a layer. */
typedef struct HeadTask {
    const CausalNode *z, *q, *k, *v;
    int32_t head, key_head;
} HeadTask;

typedef struct Softmaxes {
    const CausalGrad *work;
    const HeadTask *tasks; /* [n] */
    double *query, *key;   /* [n] */
} Softmaxes;

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t e = 0; e < n; e++) {
        sum += (double)a[e] * (double)b[e];
    }
    return sum;
}

static bool sees(const CausalGrad *work, const OpAttributes *attributes, int32_t i, int32_t j) {
    const uint8_t *mask = work->base->sequence.mask;
    return !(attributes->causal && j > i) && !(attributes->window > 0 && j <= i - attributes->window) &&
           (mask == NULL || mask[j] != 0);
}

/* From the product of query and key: as the engine's own (backend/ref/attention.c). */
static double score_of(const OpAttributes *attributes, double product, int32_t head, int32_t i, int32_t j) {
    double score = (double)attributes->scale * product;
    if (attributes->softcap > 0.0F) {
        score = (double)attributes->softcap * tanh(score / (double)attributes->softcap);
    }
    if (attributes->alibi_slopes != NULL && attributes->alibi_bf16) {
        float place = bf16_to_f32(f32_to_bf16((float)j));
        score += (double)attributes->scale * (double)bf16_to_f32(f32_to_bf16(attributes->alibi_slopes[head] * place));
    } else if (attributes->alibi_slopes != NULL) {
        score += (double)attributes->alibi_slopes[head] * (double)(j - i);
    }
    return score;
}

/* scores [n], -inf where nothing is seen, to probabilities */
static void softmax(double *scores, int32_t n) {
    double most = -INFINITY, sum = 0.0;
    for (int32_t j = 0; j < n; j++) {
        most = scores[j] > most ? scores[j] : most;
    }
    for (int32_t j = 0; j < n; j++) {
        scores[j] = most == -INFINITY ? 0.0 : exp(scores[j] - most);
        sum += scores[j];
    }
    for (int32_t j = 0; j < n && sum > 0.0; j++) {
        scores[j] /= sum;
    }
}

/* Row i of the pattern as it is, with the other queries, with the other keys; rows: [3, n]. */
static void patterns_of(const Softmaxes *all, const HeadTask *task, int32_t i, double *rows) {
    const CausalGrad *work = all->work;
    const GraphNode *nodes = work->model->graph.nodes;
    const OpAttributes *attributes = &nodes[nodes[nodes[task->z->node].inputs[0]].inputs[0]].op.attributes;
    int64_t width = task->q->unit;
    const float *q = task->q->base + i * task->q->width + task->head * width;
    const float *dq = task->q->delta + i * task->q->width + task->head * width;
    for (int32_t j = 0; j < work->n_rows; j++) {
        const float *k = task->k->base + j * task->k->width + task->key_head * width;
        const float *dk = task->k->delta + j * task->k->width + task->key_head * width;
        bool seen = sees(work, attributes, i, j);
        double product = seen ? dot(q, k, width) : 0.0;
        double other_query = seen ? product + dot(dq, k, width) : 0.0,
               other_key = seen ? product + dot(q, dk, width) : 0.0;
        const double products[] = {product, other_query, other_key};
        for (int which = 0; which < 3; which++) {
            rows[which * work->n_rows + j] = seen ? score_of(attributes, products[which], task->head, i, j) : -INFINITY;
        }
    }
    for (int which = 0; which < 3; which++) {
        softmax(rows + which * work->n_rows, work->n_rows);
    }
}

static limn_status heads(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Softmaxes *all = context;
    int32_t n = all->work->n_rows;
    double *rows = malloc(3 * (size_t)n * sizeof *rows + 1);
    if (rows == NULL) {
        return fail(LIMN_NO_MEMORY, "causal-grad: patterns of %d positions", (int)n);
    }
    for (int64_t t = begin; t < end; t++) {
        const HeadTask *task = &all->tasks[t];
        all->query[t] = all->key[t] = 0.0;
        for (int32_t i = 0; i < n; i++) {
            const float *gradient = task->z->gradient + i * task->z->width + task->head * task->z->unit;
            patterns_of(all, task, i, rows);
            for (int32_t j = 0; j < n; j++) {
                double of_cell =
                    dot(gradient, task->v->base + j * task->v->width + task->key_head * task->v->unit, task->v->unit);
                all->query[t] += (rows[n + j] - rows[j]) * of_cell;
                all->key[t] += (rows[2 * n + j] - rows[j]) * of_cell;
            }
        }
    }
    free(rows);
    return LIMN_OK;
}

limn_status causal_grad_softmax(CausalGrad *work) {
    int32_t n_heads = work->columns[FAMILY_HEAD];
    int64_t most = (int64_t)work->n_layers * n_heads, n = 0;
    HeadTask *tasks = malloc(((size_t)most + 1) * sizeof *tasks);
    double *effects = malloc((2 * (size_t)most + 1) * sizeof *effects);
    for (int32_t layer = 0; layer < work->n_layers && tasks != NULL; layer++) {
        HeadTask task = {.z = causal_node_of(work, FAMILY_HEAD, layer, 0),
                         .q = causal_node_of(work, FAMILY_QUERY, layer, 0),
                         .k = causal_node_of(work, FAMILY_KEY, layer, 0),
                         .v = causal_node_of(work, FAMILY_VALUE, layer, 0)};
        int32_t own = task.z == NULL ? 0 : (int32_t)(task.z->width / task.z->unit);
        for (task.head = 0; task.head < own; task.head++) {
            task.key_head = (int32_t)(task.head * (task.k->width / task.k->unit) / own);
            tasks[n++] = task;
        }
    }
    limn_status status = tasks == NULL || effects == NULL ? method_no_memory(work->call) : LIMN_OK;
    Softmaxes all = {.work = work, .tasks = tasks, .query = effects, .key = effects + most};
    status = status == LIMN_OK ? parallel_for(work->call->team, n, 1, heads, &all) : status;
    memset(work->pass.of[FAMILY_QUERY], 0,
           (size_t)work->n_layers * (size_t)work->columns[FAMILY_QUERY] * sizeof(double));
    memset(work->pass.of[FAMILY_KEY], 0, (size_t)work->n_layers * (size_t)work->columns[FAMILY_KEY] * sizeof(double));
    for (int64_t t = 0; t < n && status == LIMN_OK; t++) {
        int32_t layer = tasks[t].z->layer;
        work->pass.of[FAMILY_QUERY][causal_cell(work, FAMILY_QUERY, layer, tasks[t].head)] = all.query[t];
        work->pass.of[FAMILY_KEY][causal_cell(work, FAMILY_KEY, layer, tasks[t].key_head)] += all.key[t];
    }
    free(tasks);
    free(effects);
    return status;
}
