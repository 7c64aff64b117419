/* With P = exp(score - lse), O = P V and D = dO . O:
 *   dV = P^T dO, dP = dO V^T, dS = P (dP - D) times the slope of the score, dQ = dS K, dK = dS^T Q.
 * One worker owns a sequence's key head, so every sum of dK and dV has one order. */
#include <math.h>
#include <string.h>

#include "backend/cpu/attention.h"
#include "base/integers.h"

typedef struct Backward {
    const KernelArgs *args;
    AttentionSizes sizes;
    const VectorKernels *vector;
    QueryTile *tiles;
    int64_t n_tiles;
    int64_t items; /* sequences x key heads */
    char *spaces;
    size_t space_bytes;
    atomic_llong next;
} Backward;

static void clear_grad(const Backward *b, int input, int32_t sequence, int64_t group, int64_t width) {
    if (b->args->grad_in[input] == NULL || b->args->accumulate[input]) {
        return;
    }
    const SequenceRows *rows = &b->args->rows->sequences[sequence];
    for (int64_t row = rows->row_begin; row < (int64_t)rows->row_begin + rows->n_rows; row++) {
        memset(b->args->grad_in[input] + (row * b->sizes.groups + group) * width, 0, sizeof(float) * (size_t)width);
    }
}

/* The lanes' queries and output gradients, as rows and turned; D and log-sum-exp. */
static void load_lanes(const Backward *b, AttentionSpace *space, QueryTile tile, int64_t group, int64_t n_lanes) {
    const KernelArgs *args = b->args;
    const AttentionSizes *s = &b->sizes;
    const float *queries[ATTENTION_LANES];
    const float *grads[ATTENTION_LANES];
    float value_share = args->rule == GRADIENT_HALF_RATIO ? 0.5F : 1.0F;
    for (int64_t lane = 0; lane < ATTENTION_LANES; lane++) {
        space->max[lane] = INFINITY;
        space->sum[lane] = 0.0F;
    }
    for (int64_t lane = 0; lane < n_lanes; lane++) {
        int64_t place = (tile.row + lane / s->share) * s->heads + group * s->share + lane % s->share;
        queries[lane] = args->in[0] + place * s->key_width;
        grads[lane] = args->grad_out + place * s->value_width;
        const float *out = args->out + place * s->value_width;
        double mean = 0.0;
        for (int64_t i = 0; i < s->value_width; i++) {
            mean += (double)grads[lane][i] * (double)out[i];
        }
        space->sum[lane] = (float)mean;
        float lse = args->aux[place];
        space->max[lane] = lse == -INFINITY ? INFINITY : lse; /* no key seen: every probability is 0 */
        memcpy(space->query_rows + lane * s->key_width, queries[lane], sizeof(float) * (size_t)s->key_width);
        for (int64_t i = 0; i < s->value_width; i++) {
            space->grad_rows[lane * s->value_width + i] = value_share * grads[lane][i];
        }
    }
    b->vector->turn_lanes(space->queries, queries, n_lanes, s->key_width);
    b->vector->turn_lanes(space->grads, grads, n_lanes, s->value_width);
}

static void write_query_grads(const Backward *b, const AttentionSpace *space, QueryTile tile, int64_t group) {
    const AttentionSizes *s = &b->sizes;
    for (int64_t lane = 0; lane < tile.rows * s->share; lane++) {
        int64_t place = (tile.row + lane / s->share) * s->heads + group * s->share + lane % s->share;
        float *out = b->args->grad_in[0] + place * s->key_width;
        const float *sums = space->out + lane * s->key_width;
        for (int64_t i = 0; i < s->key_width; i++) {
            out[i] = b->args->accumulate[0] ? out[i] + sums[i] : sums[i];
        }
    }
}

/* One tile of queries with one tile of keys, its probabilities and score gradients ready. */
static void add_products(const Backward *b, AttentionSpace *space, const KeyTile *keys, int64_t group,
                         int64_t n_lanes) {
    const AttentionSizes *s = &b->sizes;
    const KernelArgs *args = b->args;
    int64_t own = keys->count - keys->own_skip;
    const float *p = space->scores + keys->own_skip * ATTENTION_LANES;
    const float *ds = space->score_grads + keys->own_skip * ATTENTION_LANES;
    int64_t place = keys->own_row * s->groups + group;
    if (own > 0 && args->grad_in[2] != NULL) {
        b->vector->small_product(args->grad_in[2] + place * s->value_width, s->groups * s->value_width, p,
                                 ATTENTION_LANES, 1, space->grad_rows, s->value_width, own, s->value_width, n_lanes,
                                 true);
    }
    if (own > 0 && args->grad_in[1] != NULL) {
        b->vector->small_product(args->grad_in[1] + place * s->key_width, s->groups * s->key_width, ds, ATTENTION_LANES,
                                 1, space->query_rows, s->key_width, own, s->key_width, n_lanes, true);
    }
    if (args->grad_in[0] != NULL) {
        b->vector->small_product(space->out, s->key_width, space->score_grads, 1, ATTENTION_LANES, keys->keys,
                                 keys->key_stride, n_lanes, s->key_width, keys->count, true);
    }
}

static void run_tile(const Backward *b, AttentionSpace *space, QueryTile tile, int64_t group) {
    const KernelArgs *args = b->args;
    const AttentionSizes *s = &b->sizes;
    bool halves = args->rule == GRADIENT_HALF_RATIO;
    bool through_pattern = args->grad_in[0] != NULL || args->grad_in[1] != NULL; /* not where it is a constant */
    LaneRange range = attention_lanes(space, args, s, tile, group);
    load_lanes(b, space, tile, group, range.lanes);
    memset(space->out, 0, sizeof(float) * (size_t)(range.lanes * s->key_width));
    int64_t width = round_up(range.lanes, 16);
    for (int64_t key = range.begin / ATTENTION_KEYS * ATTENTION_KEYS; key < range.end; key += ATTENTION_KEYS) {
        KeyTile keys = attention_keys(space, args, s, args->rows->sequence[tile.row], group, key, range.end);
        AttentionTile scores = attention_tile(space, args->op, &range, &keys);
        scores.ratio = halves;
        scores.share = halves ? 0.25F : 1.0F; /* queries and keys lie behind two products, values behind one */
        scores.grad = through_pattern ? scores.grad : NULL;
        b->vector->small_product(space->scores, ATTENTION_LANES, keys.keys, keys.key_stride, 1, space->queries,
                                 ATTENTION_LANES, keys.count, width, s->key_width, false);
        if (through_pattern) {
            b->vector->small_product(space->score_grads, ATTENTION_LANES, keys.values, keys.value_stride, 1,
                                     space->grads, ATTENTION_LANES, keys.count, width, s->value_width, false);
        }
        b->vector->attention_gradients(&scores);
        add_products(b, space, &keys, group, range.lanes);
    }
    if (args->grad_in[0] != NULL) {
        write_query_grads(b, space, tile, group);
    }
}

static limn_status take_items(void *context, int64_t begin, int64_t end, int worker) {
    (void)begin;
    (void)end;
    Backward *b = context;
    AttentionSpace space =
        attention_space(b->spaces + (size_t)worker * b->space_bytes, &b->sizes, b->args->rows->max_keys, true);
    for (;;) {
        int64_t item = atomic_fetch_add(&b->next, 1);
        if (item >= b->items) {
            return LIMN_OK;
        }
        int32_t sequence = (int32_t)(item / b->sizes.groups);
        int64_t group = item % b->sizes.groups;
        attention_gather(&space, b->args, &b->sizes, sequence, group, true);
        clear_grad(b, 1, sequence, group, b->sizes.key_width);
        clear_grad(b, 2, sequence, group, b->sizes.value_width);
        for (int64_t i = 0; i < b->n_tiles; i++) {
            if (b->args->rows->sequence[b->tiles[i].row] == sequence) {
                TRY(team_check(b->args->team));
                run_tile(b, &space, b->tiles[i], group);
            }
        }
    }
}

limn_status cpu_attention_backward(const KernelArgs *args) {
    Backward b = {.args = args,
                  .sizes = attention_sizes(args->op, args->compute, true),
                  .vector = vector_kernels(),
                  .tiles = args->scratch};
    b.n_tiles = attention_cut(b.tiles, args, &b.sizes);
    b.items = args->rows->n_sequences * b.sizes.groups;
    b.spaces = (char *)args->scratch + attention_cut_bytes(args->n_rows);
    b.space_bytes = attention_space_bytes(&b.sizes, args->rows->max_keys, true);
    atomic_init(&b.next, 0);
    int64_t workers = team_threads(args->team);
    return parallel_for(args->team, workers < b.items ? workers : b.items, 1, take_items, &b);
}
