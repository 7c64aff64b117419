/* Attention forward in tiles of queries: scores, running softmax and values of one tile at a time, never a whole row.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/attention.h"
#include "backend/cpu/attention_tiles.h"
#include "base/integers.h"

typedef struct Forward {
    const KernelArgs *args;
    AttentionSizes sizes;
    const VectorKernels *vector;
    QueryTile *tiles;
    int64_t n_tiles;
    int64_t items; /* key heads x tiles */
    char *spaces;
    size_t space_bytes;
    atomic_llong next;
} Forward;

static void write_lanes(const Forward *f, const AttentionSpace *space, QueryTile tile, int64_t group) {
    const AttentionSizes *s = &f->sizes;
    for (int64_t lane = 0; lane < tile.rows * s->share; lane++) {
        int64_t place = (tile.row + lane / s->share) * s->heads + group * s->share + lane % s->share;
        float sum = space->sum[lane];
        float *out = f->args->out + place * s->value_width;
        const float *sums = space->out + lane * s->value_width;
        bool none = sum == 0.0F && space->max[lane] == -INFINITY;
        f->vector->attention_divide(out, sums, none ? 0.0F : sum, s->value_width);
        if (f->args->aux != NULL) {
            f->args->aux[place] = none ? -INFINITY : space->max[lane] + logf(sum);
        }
    }
}

/* Scores of the lanes and keys of a tile, their probabilities, and the sums with the keys' values. */
static void add_keys(const Forward *f, AttentionSpace *space, const KeyTile *keys, const AttentionTile *tile) {
    const AttentionSizes *s = &f->sizes;
    f->vector->small_product(space->scores, ATTENTION_LANES, keys->keys, keys->key_stride, 1, space->queries,
                             ATTENTION_LANES, keys->count, round_up(tile->lanes, 16), s->key_width, false);
    f->vector->attention_probabilities(tile);
    f->vector->attention_rescale(space->out, space->factor, tile->lanes, s->value_width);
    f->vector->small_product(space->out, s->value_width, space->scores, 1, ATTENTION_LANES, keys->values,
                             keys->value_stride, tile->lanes, s->value_width, keys->count, true);
}

/* What the lanes start with. */
static void start_lanes(const Forward *f, AttentionSpace *space, int64_t lanes) {
    for (int64_t lane = 0; lane < ATTENTION_LANES; lane++) {
        space->max[lane] = -INFINITY;
        space->sum[lane] = 0.0F;
    }
    if (f->sizes.tile_floats > 0) {
        attention_tiles_queries(space, &f->sizes, lanes);
    } else {
        memset(space->out, 0, sizeof(float) * (size_t)(lanes * f->sizes.value_width));
    }
}

static void run_item(const Forward *f, AttentionSpace *space, QueryTile tile, int64_t group) {
    const KernelArgs *args = f->args;
    const AttentionSizes *s = &f->sizes;
    LaneRange range = attention_lanes(space, args, s, tile, group);
    const float *lanes[ATTENTION_LANES];
    for (int64_t lane = 0; lane < range.lanes; lane++) {
        int64_t place = (tile.row + lane / s->share) * s->heads + group * s->share + lane % s->share;
        lanes[lane] = args->in[0] + place * s->key_width;
    }
    f->vector->turn_lanes(space->queries, lanes, range.lanes, s->key_width);
    start_lanes(f, space, range.lanes);
    int32_t sequence = args->rows->sequence[tile.row];
    bool all = args->rows->sequences[sequence].n_rows > 2 * s->tile_rows;
    bool anew = attention_gather(space, args, s, sequence, group, all);
    if (anew && all && s->tile_floats > 0) {
        attention_tiles_gather(space, s);
    }
    for (int64_t key = range.begin / ATTENTION_KEYS * ATTENTION_KEYS; key < range.end; key += ATTENTION_KEYS) {
        KeyTile keys = attention_keys(space, args, s, sequence, group, key, range.end);
        AttentionTile scores = attention_tile(space, args->op, &range, &keys);
        if (s->tile_floats > 0) {
            attention_tiles_keys(space, s, &keys, &scores);
        } else {
            add_keys(f, space, &keys, &scores);
        }
    }
    if (s->tile_floats > 0) {
        attention_tiles_finish(space, s, range.lanes);
    }
    write_lanes(f, space, tile, group);
}

/* The caller may run models of its own on this thread, which would leave the tile unit as they like. */
static limn_status pause_to_check(const Forward *f, bool tiles) {
    if (tiles) {
        attention_tiles_end();
    }
    limn_status status = team_check(f->args->team);
    if (tiles) {
        attention_tiles_begin();
    }
    return status;
}

/* Takes items until none is left, one key head after the other, so that what was gathered serves again. */
static limn_status take_items(void *context, int64_t begin, int64_t end, int worker) {
    (void)begin;
    (void)end;
    Forward *f = context;
    AttentionSpace space =
        attention_space(f->spaces + (size_t)worker * f->space_bytes, &f->sizes, f->args->rows->max_keys, false);
    bool tiles = f->sizes.tile_floats > 0;
    limn_status status = LIMN_OK;
    if (tiles) {
        attention_tiles_begin();
    }
    while (status == LIMN_OK) {
        int64_t item = f->items - 1 - atomic_fetch_add(&f->next, 1);
        if (item < 0) {
            break;
        }
        run_item(f, &space, f->tiles[item % f->n_tiles], item / f->n_tiles);
        if (team_check_is_due(f->args->team)) {
            status = pause_to_check(f, tiles);
        }
    }
    if (tiles) {
        attention_tiles_end();
    }
    return status;
}

limn_status cpu_attention(const KernelArgs *args) {
    Forward f = {.args = args,
                 .sizes = attention_sizes(args->op, args->compute, false),
                 .vector = vector_kernels(),
                 .tiles = args->scratch};
    f.n_tiles = attention_cut(f.tiles, args, &f.sizes);
    f.items = f.n_tiles * f.sizes.groups;
    f.spaces = (char *)args->scratch + attention_cut_bytes(args->n_rows);
    f.space_bytes = attention_space_bytes(&f.sizes, args->rows->max_keys, false);
    atomic_init(&f.next, 0);
    int64_t workers = team_threads(args->team);
    return parallel_for(args->team, workers < f.items ? workers : f.items, 1, take_items, &f);
}
