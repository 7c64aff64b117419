/* In bf16 the two products of attention run on the tile unit: queries, keys, values and probabilities rounded to bf16,
 * sums and the softmax in f32. A lane's sums see its own column of a tile only, so the bits of a row do not depend on
 * its neighbours. Operands as in amx_tiles.h:
 *   scores [keys, lanes]: keys are the left operand as they lie, queries the right one, made once for a tile of rows;
 *   out [lanes, values]: probabilities are turned into the left operand, values are the right one. */
#include "backend/cpu/attention_amx.h"

#include "backend/cpu/amx.h"
#include "backend/cpu/target.h"
#include "base/integers.h"

#ifdef __x86_64__

#include <immintrin.h>

TARGET_BEGIN(TARGET_AMX)

#include "backend/cpu/simd_avx512.h"

#include "backend/cpu/amx_tiles.h"

enum {
    LANE_PAIRS = ATTENTION_LANES / PAIR,
    KEY_PAIRS = ATTENTION_KEYS / PAIR,
    KEY_STEPS = ATTENTION_KEYS / TILE_K,
};

/* Tiles of one kind lie as [pair][step][2]. */
static int64_t kind_bytes(int64_t pairs, int64_t steps) {
    return pairs * steps * 2 * TILE_BYTES;
}

static char *tile_at(char *tiles, int64_t half, int64_t step, int64_t steps) {
    return tiles + ((half / 2 * steps + step) * 2 + half % 2) * TILE_BYTES;
}

typedef struct Tiles {
    char *queries, *keys, *probabilities, *values;
    int64_t steps; /* of the key width */
} Tiles;

static Tiles tiles_of(const AttentionSpace *space, const AttentionSizes *sizes) {
    Tiles t = {.queries = (char *)space->tiles, .steps = blocks_of(sizes->key_width, TILE_K)};
    t.keys = t.queries + kind_bytes(LANE_PAIRS, t.steps);
    t.probabilities = t.keys + kind_bytes(KEY_PAIRS, t.steps);
    t.values = t.probabilities + kind_bytes(LANE_PAIRS, KEY_STEPS);
    return t;
}

static const char *floats_at(const float *floats) {
    return (const char *)floats;
}

void attention_amx_queries(const AttentionSpace *space, const AttentionSizes *sizes) {
    Tiles t = tiles_of(space, sizes);
    for (int64_t half = 0; half < 2 * LANE_PAIRS; half++) {
        for (int64_t step = 0; step < t.steps; step++) {
            const float *from = space->queries + step * TILE_K * ATTENTION_LANES + half * TILE;
            make_right_tile(tile_at(t.queries, half, step, t.steps), floats_at(from), false, ATTENTION_LANES, TILE,
                            smaller(TILE_K, sizes->key_width - step * TILE_K));
        }
    }
}

void attention_amx_scores(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys) {
    Tiles t = tiles_of(space, sizes);
    for (int64_t half = 0; half < 2 * KEY_PAIRS; half++) {
        int64_t there = keys->count > half * TILE ? smaller(TILE, keys->count - half * TILE) : 0;
        const float *rows = keys->keys + (there > 0 ? half * TILE * keys->key_stride : 0);
        for (int64_t step = 0; step < t.steps; step++) {
            make_left_tile(tile_at(t.keys, half, step, t.steps), floats_at(rows + step * TILE_K), false,
                           keys->key_stride, there, smaller(TILE_K, sizes->key_width - step * TILE_K));
        }
    }
    for (int64_t i = 0; i < KEY_PAIRS * LANE_PAIRS; i++) {
        int64_t key_pair = i / LANE_PAIRS, lane_pair = i % LANE_PAIRS;
        Square to =
            square_of_rows(space->scores + key_pair * PAIR * ATTENTION_LANES + lane_pair * PAIR, ATTENTION_LANES);
        multiply_tiles(to, NULL, tile_at(t.keys, 2 * key_pair, 0, t.steps),
                       tile_at(t.queries, 2 * lane_pair, 0, t.steps), t.steps, 1, false, (Ahead){0});
    }
}

void attention_amx_values(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys) {
    Tiles t = tiles_of(space, sizes);
    int64_t width = sizes->value_width;
    for (int64_t step = 0; step < KEY_STEPS; step++) {
        int64_t depth = keys->count > step * TILE_K ? smaller(TILE_K, keys->count - step * TILE_K) : 0;
        for (int64_t half = 0; half < 2 * LANE_PAIRS; half++) {
            char *tile = tile_at(t.probabilities, half, step, KEY_STEPS);
            make_right_tile(tile, floats_at(space->scores + step * TILE_K * ATTENTION_LANES + half * TILE), false,
                            ATTENTION_LANES, TILE, depth);
            turn_tile(tile);
        }
        const float *rows = keys->values + (depth > 0 ? step * TILE_K * keys->value_stride : 0);
        for (int64_t half = 0; half < width / TILE; half++) {
            make_right_tile(tile_at(t.values, half, step, KEY_STEPS), floats_at(rows + half * TILE), false,
                            keys->value_stride, TILE, depth);
        }
    }
    for (int64_t lane_pair = 0; lane_pair < LANE_PAIRS; lane_pair++) {
        for (int64_t pair = 0; pair < width / PAIR; pair++) {
            Square sums = square_of_rows(space->out + lane_pair * PAIR * width + pair * PAIR, width);
            multiply_tiles(sums, &sums, tile_at(t.probabilities, 2 * lane_pair, 0, KEY_STEPS),
                           tile_at(t.values, 2 * pair, 0, KEY_STEPS), KEY_STEPS, 1, false, (Ahead){0});
        }
    }
}

void attention_amx_begin(void) {
    tiles_begin();
}

void attention_amx_end(void) {
    _tile_release();
}

int64_t attention_amx_floats(const AttentionSizes *sizes, Compute compute) {
    if (compute != COMPUTE_BF16 || sizes->value_width % PAIR != 0 || !amx_available()) {
        return 0;
    }
    int64_t steps = blocks_of(sizes->key_width, TILE_K);
    int64_t bytes = kind_bytes(LANE_PAIRS, steps) + kind_bytes(KEY_PAIRS, steps) + kind_bytes(LANE_PAIRS, KEY_STEPS) +
                    kind_bytes(sizes->value_width / PAIR, KEY_STEPS);
    return bytes / (int64_t)sizeof(float);
}

TARGET_END

#else

int64_t attention_amx_floats(const AttentionSizes *sizes, Compute compute) {
    (void)sizes;
    (void)compute;
    return 0;
}

void attention_amx_begin(void) {
}

void attention_amx_end(void) {
}

void attention_amx_queries(const AttentionSpace *space, const AttentionSizes *sizes) {
    (void)space;
    (void)sizes;
}

void attention_amx_scores(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys) {
    (void)space;
    (void)sizes;
    (void)keys;
}

void attention_amx_values(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys) {
    (void)space;
    (void)sizes;
    (void)keys;
}

#endif
