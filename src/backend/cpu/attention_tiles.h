/* Fused attention on the tile unit: see attention_tiles.c. */
#ifndef LIMN_BACKEND_CPU_ATTENTION_TILES_H
#define LIMN_BACKEND_CPU_ATTENTION_TILES_H

#include "backend/cpu/attention.h"

/* Floats of a worker's tiles, or 0 where attention runs in f32: other modes than bf16, no tiles, odd widths. */
int64_t attention_tiles_floats(const AttentionSizes *sizes, Compute compute);

/* Floats of the tiles of ATTENTION_KEYS keys and their values. */
int64_t attention_tiles_block_floats(const AttentionSizes *sizes);

/* A worker's unit is set up before its first product and given back after its last. */
void attention_tiles_begin(void);
void attention_tiles_end(void);

/* Tiles of the gathered keys and values, block after block, until others are gathered. */
void attention_tiles_gather(AttentionSpace *space, const AttentionSizes *sizes);

/* Queries [key_width, ATTENTION_LANES] into tiles, and the sums of `lanes` lanes set to 0, for the calls that follow.
 */
void attention_tiles_queries(const AttentionSpace *space, const AttentionSizes *sizes, int64_t lanes);

/* Scores of the lanes and keys of a tile, their probabilities, and the sums with the keys' values. */
void attention_tiles_keys(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys,
                          const AttentionTile *tile);

/* space->out [ATTENTION_LANES, value_width] = the sums. */
void attention_tiles_finish(const AttentionSpace *space, const AttentionSizes *sizes, int64_t lanes);

#endif
