/* The products of fused attention on the tile unit: see attention_amx.c. */
#ifndef LIMN_BACKEND_CPU_ATTENTION_AMX_H
#define LIMN_BACKEND_CPU_ATTENTION_AMX_H

#include "backend/cpu/attention.h"

/* Floats of a worker's tiles, or 0 where attention runs in f32: other modes than bf16, no tiles, odd widths. */
int64_t attention_amx_floats(const AttentionSizes *sizes, Compute compute);

/* A worker's unit is set up before its first product and given back after its last. */
void attention_amx_begin(void);
void attention_amx_end(void);

/* Queries [key_width, ATTENTION_LANES] into tiles, for the calls that follow. */
void attention_amx_queries(const AttentionSpace *space, const AttentionSizes *sizes);

/* space->scores [ATTENTION_KEYS, ATTENTION_LANES] = keys . queries; keys that are not there give 0. */
void attention_amx_scores(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys);

/* space->out [ATTENTION_LANES, value_width] += probabilities^T values, where space->scores holds probabilities. */
void attention_amx_values(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys);

#endif
