/* In bf16 attention runs on tiles: queries, keys, values and probabilities rounded to bf16, sums and the
 * softmax in f32. A lane sees its own column of a tile only, so the bits of a row do not depend on its neighbours.
 * Operands as in tile_unit.h; lanes are columns throughout, so nothing is turned between the products: scores [keys,
 * lanes]: keys are the left operand as they lie, queries the right one, made once for a tile of rows; sums [values,
 * lanes]: values are the left operand, turned; probabilities are the right one, written as such. Tiles of keys and
 * values are made once for a sequence and key head where many rows read them. */
#include "backend/cpu/attention_tiles.h"

#include "backend/cpu/target.h"
#include "backend/cpu/tiles.h"
#include "base/integers.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <string.h>

TARGET_BEGIN(TARGET_TILES)

#include "backend/cpu/simd_avx512.h"

#include "backend/cpu/attention_mask_body.h"
#include "backend/cpu/math_body.h"
#include "backend/cpu/tile_unit.h"

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

/* The tiles of ATTENTION_KEYS keys and their values. */
typedef struct Block {
    char *keys;   /* left tiles [KEY_PAIRS][steps of the key width][2] */
    char *values; /* left tiles [pairs of the value width][KEY_STEPS][2] */
} Block;

typedef struct Tiles {
    TileUnit unit;
    int64_t steps;       /* of the key width */
    char *queries;       /* right tiles [LANE_PAIRS][steps][2] */
    char *probabilities; /* right tiles [LANE_PAIRS][KEY_STEPS][2] */
    float *sums;         /* [value_width, ATTENTION_LANES] */
    Block block;         /* of keys that are used once */
} Tiles;

static int64_t key_bytes(const AttentionSizes *sizes) {
    return kind_bytes(KEY_PAIRS, blocks_of(sizes->key_width, TILE_K));
}

static int64_t value_bytes(const AttentionSizes *sizes) {
    return kind_bytes(sizes->value_width / PAIR, KEY_STEPS);
}

static Block block_at(char *place, const AttentionSizes *sizes) {
    return (Block){place, place + key_bytes(sizes)};
}

static Tiles tiles_of(const AttentionSpace *space, const AttentionSizes *sizes) {
    Tiles t = {.unit = tiles_unit(), .steps = blocks_of(sizes->key_width, TILE_K), .queries = (char *)space->tiles};
    t.probabilities = t.queries + kind_bytes(LANE_PAIRS, t.steps);
    char *sums = t.probabilities + kind_bytes(LANE_PAIRS, KEY_STEPS);
    t.sums = (float *)(void *)sums;
    t.block = block_at(sums + sizes->value_width * ATTENTION_LANES * (int64_t)sizeof(float), sizes);
    return t;
}

int64_t attention_tiles_block_floats(const AttentionSizes *sizes) {
    return (key_bytes(sizes) + value_bytes(sizes)) / (int64_t)sizeof(float);
}

int64_t attention_tiles_floats(const AttentionSizes *sizes, Compute compute) {
    if (compute != COMPUTE_BF16 || sizes->value_width % PAIR != 0 || tiles_unit() == TILES_NONE) {
        return 0;
    }
    int64_t bytes = kind_bytes(LANE_PAIRS, blocks_of(sizes->key_width, TILE_K)) + kind_bytes(LANE_PAIRS, KEY_STEPS);
    return bytes / (int64_t)sizeof(float) + sizes->value_width * ATTENTION_LANES + attention_tiles_block_floats(sizes);
}

void attention_tiles_begin(void) {
    tiles_begin(tiles_unit());
}

void attention_tiles_end(void) {
    tiles_end(tiles_unit());
}

static const char *floats_at(const float *floats) {
    return (const char *)floats;
}

/* `count` keys and values, those that are not there 0. */
static void fill_block(Block block, const AttentionSizes *sizes, const KeyTile *keys) {
    int64_t steps = blocks_of(sizes->key_width, TILE_K);
    for (int64_t half = 0; half < 2 * KEY_PAIRS; half++) {
        int64_t there = keys->count > half * TILE ? smaller(TILE, keys->count - half * TILE) : 0;
        const float *rows = keys->keys + (there > 0 ? half * TILE * keys->key_stride : 0);
        for (int64_t step = 0; step < steps; step++) {
            make_left_tile(tile_at(block.keys, half, step, steps), floats_at(rows + step * TILE_K), false,
                           keys->key_stride, there, smaller(TILE_K, sizes->key_width - step * TILE_K), false);
        }
    }
    for (int64_t step = 0; step < KEY_STEPS; step++) {
        int64_t depth = keys->count > step * TILE_K ? smaller(TILE_K, keys->count - step * TILE_K) : 0;
        const float *rows = keys->values + (depth > 0 ? step * TILE_K * keys->value_stride : 0);
        for (int64_t half = 0; half < sizes->value_width / TILE; half++) {
            char *tile = tile_at(block.values, half, step, KEY_STEPS);
            make_right_tile(tile, floats_at(rows + half * TILE), false, keys->value_stride, TILE, depth);
            turn_tile(tile);
        }
    }
}

void attention_tiles_gather(AttentionSpace *space, const AttentionSizes *sizes) {
    space->n_blocks = space->to / ATTENTION_KEYS;
    for (int64_t i = 0; i < space->n_blocks; i++) {
        KeyTile keys = {.keys = space->keys + i * ATTENTION_KEYS * sizes->key_width,
                        .values = space->values + i * ATTENTION_KEYS * sizes->value_width,
                        .key_stride = sizes->key_width,
                        .value_stride = sizes->value_width,
                        .count = ATTENTION_KEYS};
        char *place = (char *)(space->blocks + i * attention_tiles_block_floats(sizes));
        fill_block(block_at(place, sizes), sizes, &keys);
    }
}

void attention_tiles_queries(const AttentionSpace *space, const AttentionSizes *sizes, int64_t lanes) {
    Tiles t = tiles_of(space, sizes);
    for (int64_t half = 0; half < 2 * blocks_of(lanes, PAIR); half++) {
        for (int64_t step = 0; step < t.steps; step++) {
            const float *from = space->queries + step * TILE_K * ATTENTION_LANES + half * TILE;
            make_right_tile(tile_at(t.queries, half, step, t.steps), floats_at(from), false, ATTENTION_LANES, TILE,
                            smaller(TILE_K, sizes->key_width - step * TILE_K));
        }
    }
    memset(t.sums, 0, sizeof(float) * (size_t)(sizes->value_width * ATTENTION_LANES));
}

static void multiply_keys(const AttentionSpace *space, const Tiles *t, Block block, int64_t lanes) {
    for (int64_t lane_pair = 0; lane_pair < blocks_of(lanes, PAIR); lane_pair++) {
        for (int64_t key_pair = 0; key_pair < KEY_PAIRS; key_pair++) {
            Square to =
                square_of_rows(space->scores + key_pair * PAIR * ATTENTION_LANES + lane_pair * PAIR, ATTENTION_LANES);
            to.columns = smaller(PAIR, lanes - lane_pair * PAIR);
            multiply_tiles(t->unit, to, NULL, tile_at(block.keys, 2 * key_pair, 0, t->steps),
                           tile_at(t->queries, 2 * lane_pair, 0, t->steps), t->steps, 1, false, NOTHING_AHEAD);
        }
    }
}

/* ---- probabilities, straight into tiles ---- */

/* 2^x for x <= 0, within 3e-6 of itself, which bf16 does not see; a NaN stays one. Below 2^-125 it is 0: the processor
 * is slow where numbers stop being normal, and the tile unit takes those for 0. */
static inline V power_of_two(V x) {
    Mask there = _mm512_cmp_ps_mask(x, v_set(-125.0F), _CMP_NLT_UQ);
    V n = v_round(x);
    V r = v_sub(x, n);
    V p = v_set(1.333356e-3F); /* ln(2)^k / k! */
    p = v_fma(p, r, v_set(9.618129e-3F));
    p = v_fma(p, r, v_set(5.550411e-2F));
    p = v_fma(p, r, v_set(2.402265e-1F));
    p = v_fma(p, r, v_set(6.931472e-1F));
    return _mm512_maskz_scalef_ps(there, v_fma(p, r, v_set(1.0F)), n);
}

/* q . k of 16 lanes and a key; hidden where the lane does not see it. */
static inline __attribute__((always_inline)) V product_of(const AttentionTile *tile, int64_t key, int64_t lane,
                                                          bool masked) {
    if (masked && key >= tile->keys) {
        return v_set(-__builtin_inff());
    }
    V product = v_load(tile->scores + key * ATTENTION_LANES + lane);
    return masked ? SIMD(mask)(tile, product, key, lane) : product;
}

/* A row of a right tile: 16 lanes, two keys side by side. */
static inline void store_pair(char *row, V first, V second) {
    static const uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                       8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    _mm512_store_si512(row, _mm512_permutexvar_epi16(_mm512_loadu_si512(order), narrow_pair(first, second)));
}

/* Keys that are hidden from a lane count nothing, so a row has the same bits in masked tiles and in others. */
static inline __attribute__((always_inline)) void lanes_probabilities(const AttentionTile *tile, char *tiles,
                                                                      int64_t lane, bool masked) {
    V hidden = v_set(-__builtin_inff());
    V largest[2] = {hidden, hidden};
    for (int64_t key = 0; key < ATTENTION_KEYS; key += 2) {
        largest[0] = v_max(product_of(tile, key, lane, masked), largest[0]);
        largest[1] = v_max(product_of(tile, key + 1, lane, masked), largest[1]);
    }
    V old = v_load(tile->max + lane);
    V max = v_max(v_mul(v_max(largest[0], largest[1]), v_set(tile->scale)), old);
    V base = v_if_less(hidden, max, max, v_zero()); /* no key seen yet: any finite number */
    V factor = SIMD(exp_normal)(v_sub(old, base));
    V log2_e = v_set(1.44269504088896341F);
    V scale = v_mul(v_set(tile->scale), log2_e);
    V offset = v_mul(base, v_sub(v_zero(), log2_e));
    V sums[2] = {v_zero(), v_zero()};
    for (int64_t key = 0; key < ATTENTION_KEYS; key += 2) {
        V first = power_of_two(v_fma(product_of(tile, key, lane, masked), scale, offset));
        V second = power_of_two(v_fma(product_of(tile, key + 1, lane, masked), scale, offset));
        sums[0] = v_add(sums[0], first);
        sums[1] = v_add(sums[1], second);
        store_pair(tile_at(tiles, lane / TILE, key / TILE_K, KEY_STEPS) + key % TILE_K / 2 * 64, first, second);
    }
    v_store(tile->max + lane, max);
    v_store(tile->factor + lane, factor);
    v_store(tile->sum + lane, v_fma(v_load(tile->sum + lane), factor, v_add(sums[0], sums[1])));
}

/* Scores with caps or biases, whose probabilities are made in f32 first. */
static void copy_probabilities(const AttentionTile *tile, char *tiles) {
    vector_kernels()->attention_probabilities(tile);
    for (int64_t half = 0; half < blocks_of(tile->lanes, TILE); half++) {
        for (int64_t step = 0; step < KEY_STEPS; step++) {
            int64_t depth = tile->keys > step * TILE_K ? smaller(TILE_K, tile->keys - step * TILE_K) : 0;
            make_right_tile(tile_at(tiles, half, step, KEY_STEPS),
                            floats_at(tile->scores + step * TILE_K * ATTENTION_LANES + half * TILE), false,
                            ATTENTION_LANES, TILE, depth);
        }
    }
}

static void make_probabilities(const AttentionTile *tile, char *tiles) {
    if (tile->softcap > 0.0F || tile->slopes != NULL || tile->scale <= 0.0F) {
        copy_probabilities(tile, tiles);
        return;
    }
    for (int64_t lane = 0; lane < tile->lanes; lane += TILE) {
        if (tile->masked || tile->keys < ATTENTION_KEYS) {
            lanes_probabilities(tile, tiles, lane, true);
        } else {
            lanes_probabilities(tile, tiles, lane, false);
        }
    }
}

/* ---- sums ---- */

/* sums[value_width, lanes] *= factor[lanes] */
static void rescale(float *sums, const AttentionSizes *sizes, const AttentionTile *tile) {
    for (int64_t lane = 0; lane < tile->lanes; lane += TILE) {
        V factor = v_load(tile->factor + lane);
        if (_mm512_cmp_ps_mask(factor, v_set(1.0F), _CMP_NEQ_UQ) == 0) {
            continue;
        }
        for (int64_t i = 0; i < sizes->value_width; i++) {
            float *row = sums + i * ATTENTION_LANES + lane;
            v_store(row, v_mul(v_load(row), factor));
        }
    }
}

void attention_tiles_keys(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys,
                          const AttentionTile *tile) {
    Tiles t = tiles_of(space, sizes);
    Block block = t.block;
    int64_t index = keys->first / ATTENTION_KEYS;
    if (keys->count == ATTENTION_KEYS && index < space->n_blocks) {
        block = block_at((char *)(space->blocks + index * attention_tiles_block_floats(sizes)), sizes);
    } else {
        fill_block(block, sizes, keys);
    }
    multiply_keys(space, &t, block, tile->lanes);
    make_probabilities(tile, t.probabilities);
    rescale(t.sums, sizes, tile);
    for (int64_t lane_pair = 0; lane_pair < blocks_of(tile->lanes, PAIR); lane_pair++) {
        for (int64_t pair = 0; pair < sizes->value_width / PAIR; pair++) {
            Square sums = square_of_rows(t.sums + pair * PAIR * ATTENTION_LANES + lane_pair * PAIR, ATTENTION_LANES);
            sums.columns = smaller(PAIR, tile->lanes - lane_pair * PAIR);
            multiply_tiles(t.unit, sums, &sums, tile_at(block.values, 2 * pair, 0, KEY_STEPS),
                           tile_at(t.probabilities, 2 * lane_pair, 0, KEY_STEPS), KEY_STEPS, 1, false, NOTHING_AHEAD);
        }
    }
}

void attention_tiles_finish(const AttentionSpace *space, const AttentionSizes *sizes, int64_t lanes) {
    const float *sums = tiles_of(space, sizes).sums;
    for (int64_t lane = 0; lane < lanes; lane += TILE) {
        for (int64_t value = 0; value < sizes->value_width; value += TILE) {
            V square[TILE];
            for (int64_t i = 0; i < TILE; i++) {
                square[i] = v_load(sums + (value + i) * ATTENTION_LANES + lane);
            }
            v_transpose(square);
            for (int64_t i = 0; i < TILE; i++) {
                v_store(space->out + (lane + i) * sizes->value_width + value, square[i]);
            }
        }
    }
}

TARGET_END

#else

int64_t attention_tiles_floats(const AttentionSizes *sizes, Compute compute) {
    (void)sizes;
    (void)compute;
    return 0;
}

int64_t attention_tiles_block_floats(const AttentionSizes *sizes) {
    (void)sizes;
    return 0;
}

void attention_tiles_begin(void) {
}

void attention_tiles_end(void) {
}

void attention_tiles_gather(AttentionSpace *space, const AttentionSizes *sizes) {
    (void)space;
    (void)sizes;
}

void attention_tiles_queries(const AttentionSpace *space, const AttentionSizes *sizes, int64_t lanes) {
    (void)space;
    (void)sizes;
    (void)lanes;
}

void attention_tiles_keys(const AttentionSpace *space, const AttentionSizes *sizes, const KeyTile *keys,
                          const AttentionTile *tile) {
    (void)space;
    (void)sizes;
    (void)keys;
    (void)tile;
}

void attention_tiles_finish(const AttentionSpace *space, const AttentionSizes *sizes, int64_t lanes) {
    (void)space;
    (void)sizes;
    (void)lanes;
}

#endif
