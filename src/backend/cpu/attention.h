/* Fused attention on the cpu: forward, backward and what they share. See attention.c. */
#ifndef LIMN_BACKEND_CPU_ATTENTION_H
#define LIMN_BACKEND_CPU_ATTENTION_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "backend/cpu/vector.h"

bool cpu_attention_can(const Op *op, Compute compute, const char **why);
limn_status cpu_attention(const KernelArgs *args);
limn_status cpu_attention_backward(const KernelArgs *args);
size_t cpu_attention_scratch(const Op *op, const KernelSizes *sizes);

/* ---- shared by attention_forward.c and attention_backward.c ---- */

typedef struct AttentionSizes {
    int64_t heads;       /* H */
    int64_t groups;      /* G */
    int64_t share;       /* H / G heads read one key head */
    int64_t key_width;   /* K of q and k */
    int64_t value_width; /* K of v and of the output */
    int64_t tile_rows;   /* query rows of a tile: tile_rows * share <= ATTENTION_LANES */
    int64_t tile_floats; /* of bf16 tiles, 0: products in f32 (attention_tiles.h) */
} AttentionSizes;

/* Backward runs in f32 whatever the mode. */
AttentionSizes attention_sizes(const Op *op, Compute compute, bool backward);

/* Query rows [row, row + rows) of one sequence. */
typedef struct QueryTile {
    int32_t row;
    int32_t rows;
} QueryTile;

/* Cuts the rows asked for into tiles; answers how many. tiles has room for one a row. */
int64_t attention_cut(QueryTile *tiles, const KernelArgs *args, const AttentionSizes *sizes);
size_t attention_cut_bytes(int32_t n_rows);

/* Keys of a tile: vectors `stride` floats apart, where they lie or copied. */
typedef struct KeyTile {
    const float *keys;
    const float *values;
    int64_t key_stride;
    int64_t value_stride;
    int64_t first; /* key index */
    int64_t count;
    const uint8_t *is_key; /* [count], NULL: all */
    int64_t own_row;       /* row of the first own key of the tile, in the table of all rows */
    int64_t own_skip;      /* cached keys before it in the tile */
} KeyTile;

/* One worker's scratch. Lane arrays are [ATTENTION_LANES]. */
typedef struct AttentionSpace {
    float *queries; /* [K, LANES] */
    float *scores;  /* [KEYS, LANES] */
    float *out;     /* [LANES, K of v]: output; backward: gradient of q [LANES, K] */
    float *max, *sum, *factor;
    float *least_key, *last_key, *order, *slopes;
    float *keys, *values; /* [max_keys, K] of one sequence and key head, gathered */
    uint8_t *is_key;      /* [max_keys] */
    int32_t sequence;     /* whose they are; -1: nobody's */
    int64_t group;
    int64_t from, to;   /* keys gathered */
    float *tiles;       /* [tile_floats] */
    float *blocks;      /* bf16 tiles of the gathered keys and values (attention_tiles.h) */
    int64_t n_blocks;   /* of them made */
    float *grads;       /* backward: [K of v, LANES] gradient of the output, turned */
    float *score_grads; /* backward: [KEYS, LANES] */
    float *query_rows;  /* backward: [LANES, K] */
    float *grad_rows;   /* backward: [LANES, K of v] */
} AttentionSpace;

size_t attention_space_bytes(const AttentionSizes *sizes, int64_t max_keys, bool backward);
AttentionSpace attention_space(void *memory, const AttentionSizes *sizes, int64_t max_keys, bool backward);

/* The lanes of a tile and one key head: bounds of the keys they see, and [begin, end) over all of them. */
typedef struct LaneRange {
    int64_t lanes;
    int64_t begin, end;         /* keys seen by some lane lie here */
    int64_t all_begin, all_end; /* keys in here are seen by all, but for masked keys */
} LaneRange;

LaneRange attention_lanes(AttentionSpace *space, const KernelArgs *args, const AttentionSizes *sizes, QueryTile tile,
                          int64_t group);

/* Copies keys and values of a sequence and key head together: all (read from where they lie, far strides of a power
 * of two would share a few sets of the caches), or those of the one tile that lies across the end of the cache. False
 * when they were there already. */
bool attention_gather(AttentionSpace *space, const KernelArgs *args, const AttentionSizes *sizes, int32_t sequence_id,
                      int64_t group, bool all);

/* Keys [first, first + ATTENTION_KEYS) below end: gathered ones, or where they lie. */
KeyTile attention_keys(const AttentionSpace *space, const KernelArgs *args, const AttentionSizes *sizes,
                       int32_t sequence_id, int64_t group, int64_t first, int64_t end);

/* The scores' tile for the keys, masked when needed. */
AttentionTile attention_tile(const AttentionSpace *space, const Op *op, const LaneRange *range, const KeyTile *keys);

#endif
