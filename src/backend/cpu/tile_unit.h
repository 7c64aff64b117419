/* Tiles of bf16: how they are filled, turned and multiplied, by the tile unit (AMX) or, on machines without one, by the
 * dot products of AVX512-BF16 on the same tiles. Included by files whose functions are compiled for both, after
 * tiles.h, base/integers.h and simd_avx512.h. */
enum {
    TILE = 16,   /* rows of a tile */
    TILE_K = 32, /* bf16 in a row of a tile */
    TILE_BYTES = 1024,
    PAIR = 2 * TILE, /* columns and rows of y done together */
    DOT_ROWS = 11,   /* rows of those whose sums fit the registers */
    FEW_DOT_ROWS = 8,
    LEAST_DOT_ROWS = 4,
};

/* Floats as bf16, rounded to the nearest, ties to even. What is too small for a normal bf16 becomes 0, which is what
 * the unit would take it for. */
static inline __m512i narrow_pair(V low, V high) {
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static inline __m256i narrow(V x) {
    return (__m256i)_mm512_cvtneps_pbh(x);
}

/* n <= 16 bf16 from bf16 or f32, the rest 0 */
static inline __m256i half_row(const char *w, bool bf16, int64_t n) {
    if (n <= 0) {
        return _mm256_setzero_si256();
    }
    return bf16 ? _mm256_maskz_loadu_epi16(mask_first(n), w) : narrow(v_load_n((const float *)(const void *)w, n));
}

/* A row of a left tile as it lies in w. */
static inline __m512i left_row(const char *w, bool bf16, int64_t depth) {
    if (bf16) {
        return _mm512_maskz_loadu_epi16(depth >= TILE_K ? 0xFFFFFFFFU : (1U << (unsigned)depth) - 1U, w);
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(half_row(w, false, depth)),
                              half_row(w + TILE * sizeof(float), false, depth - TILE), 1);
}

/* A left tile: rows of w as they lie. Turned, pairs of k for rows, it is a right one. */
static inline void make_left_tile(char *out, const char *w, bool bf16, int64_t stride, int64_t rows, int64_t depth,
                                  bool turn) {
    int64_t size = bf16 ? 2 : 4;
    V tile[TILE];
    if (rows == TILE && bf16 && depth >= TILE_K) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < TILE; i++) {
            tile[i] = v_load((const float *)(const void *)(w + i * stride * size));
        }
    } else {
        for (int64_t i = 0; i < TILE; i++) {
            tile[i] = i < rows ? _mm512_castsi512_ps(left_row(w + i * stride * size, bf16, depth)) : v_zero();
        }
    }
    if (turn) {
        v_transpose(tile);
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < TILE; i++) {
        v_store((float *)(void *)(out + i * 64), tile[i]);
    }
}

/* A right tile: pairs of rows of w interleaved. */
static inline void make_right_tile(char *out, const char *w, bool bf16, int64_t stride, int64_t columns,
                                   int64_t depth) {
    int64_t size = bf16 ? 2 : 4;
    for (int64_t i = 0; i < TILE; i++) {
        __m256i even = _mm256_setzero_si256();
        __m256i odd = _mm256_setzero_si256();
        if (2 * i < depth) {
            even = half_row(w + 2 * i * stride * size, bf16, columns);
        }
        if (2 * i + 1 < depth) {
            odd = half_row(w + (2 * i + 1) * stride * size, bf16, columns);
        }
        __m512i pairs = _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
        _mm512_store_si512(out + i * 64, pairs);
    }
}

/* A left tile becomes a right one when its pairs of k are turned. */
static inline void turn_tile(char *tile) {
    V rows[TILE];
#pragma GCC unroll 16
    for (int64_t i = 0; i < TILE; i++) {
        rows[i] = v_load((const float *)(const void *)(tile + i * 64));
    }
    v_transpose(rows);
#pragma GCC unroll 16
    for (int64_t i = 0; i < TILE; i++) {
        v_store((float *)(void *)(tile + i * 64), rows[i]);
    }
}

typedef struct TileConfig {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

/* Around the products of one thread. */
static inline void tiles_begin(TileUnit unit) {
    if (unit != TILES_AMX) {
        return;
    }
    TileConfig config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = TILE;
    }
    __asm__ volatile("" ::"r"(&config) : "memory"); /* the load does not tell the compiler that it reads all of it */
    _tile_loadconfig(&config);
}

static inline void tiles_end(TileUnit unit) {
    if (unit == TILES_AMX) {
        _tile_release();
    }
}

/* Where a square of [PAIR, PAIR] sums lies, as four tiles. */
typedef struct Square {
    int64_t rows, columns; /* that are wanted; the unit makes all */
    char *first;
    size_t row_bytes;
    size_t right, down; /* bytes from a tile to the one beside it and the one below */
} Square;

static inline Square square_of_tiles(char *tiles) {
    return (Square){PAIR, PAIR, tiles, 64, TILE_BYTES, 2 * TILE_BYTES};
}

static inline Square square_of_rows(float *rows, int64_t stride) {
    size_t row_bytes = (size_t)stride * sizeof(float);
    return (Square){PAIR, PAIR, (char *)rows, row_bytes, TILE * sizeof(float), TILE * row_bytes};
}

/* The lines of a square come while its products are made. */
static inline void square_prefetch(Square s) {
    for (size_t i = 0; i < TILE; i++) {
        __builtin_prefetch(s.first + i * s.row_bytes, 1);
        __builtin_prefetch(s.first + i * s.row_bytes + s.right, 1);
        __builtin_prefetch(s.first + i * s.row_bytes + s.down, 1);
        __builtin_prefetch(s.first + i * s.row_bytes + s.right + s.down, 1);
    }
}

/* Sums (tiles 0 to 3) += left pair (4, 5) times right pair (6, 7). */
static inline void add_products(void) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/* An operand that stays while the other passes by is kept in the first-level cache; what passes does not push it out.
 */
static inline void load_left(const char *pair) {
    _tile_loadd(4, pair, 64);
    _tile_loadd(5, pair + TILE_BYTES, 64);
}

static inline void load_left_passing(const char *pair) {
    _tile_stream_loadd(4, pair, 64);
    _tile_stream_loadd(5, pair + TILE_BYTES, 64);
}

static inline void load_right(const char *pair) {
    _tile_loadd(6, pair, 64);
    _tile_loadd(7, pair + TILE_BYTES, 64);
}

static inline void load_right_passing(const char *pair) {
    _tile_stream_loadd(6, pair, 64);
    _tile_stream_loadd(7, pair + TILE_BYTES, 64);
}

/* What is multiplied later and comes into the second-level cache meanwhile, `lines` at each step. */
typedef struct Ahead {
    const char *at;
    int64_t lines;
} Ahead;

static const Ahead NOTHING_AHEAD = {NULL, 0};

enum { LINE = 64 /* bytes of a cache line */ };

/* One operand has `parts` pairs of tiles for each step, the other, which is the left one with w_left, one. */
static inline void multiply_on_amx(Square to, const Square *from, const char *left, const char *right, int64_t steps,
                                   int parts, bool w_left, Ahead ahead) {
    __asm__ volatile("" ::: "memory"); /* the tile loads do not tell the compiler what they read */
    if (from != NULL) {
        _tile_loadd(0, from->first, from->row_bytes);
        _tile_loadd(1, from->first + from->right, from->row_bytes);
        _tile_loadd(2, from->first + from->down, from->row_bytes);
        _tile_loadd(3, from->first + from->right + from->down, from->row_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t step = 0; step < steps; step++) {
        for (int64_t i = 0; i < ahead.lines; i++, ahead.at += LINE) {
            __builtin_prefetch(ahead.at, 0, 2);
        }
        if (w_left) {
            load_left(left);
            left += 2 * TILE_BYTES;
            for (int part = 0; part < parts; part++, right += 2 * TILE_BYTES) {
                load_right_passing(right);
                add_products();
            }
        } else {
            load_right(right);
            right += 2 * TILE_BYTES;
            for (int part = 0; part < parts; part++, left += 2 * TILE_BYTES) {
                load_left_passing(left);
                add_products();
            }
        }
    }
    _tile_stored(0, to.first, to.row_bytes);
    _tile_stored(1, to.first + to.right, to.row_bytes);
    _tile_stored(2, to.first + to.down, to.row_bytes);
    _tile_stored(3, to.first + to.right + to.down, to.row_bytes);
    __asm__ volatile("" ::: "memory");
}

/* Row i of a square, its left half (0) or its right one. */
static inline float *square_at(const Square *s, int i, int half) {
    char *row = s->first + (i < TILE ? 0 : s->down) + (size_t)(i % TILE) * s->row_bytes;
    return (float *)(void *)(half == 0 ? row : row + s->right);
}

/* Rows [row, row + rows) of the square, its left half only or both. */
static inline __attribute__((always_inline)) void dot_rows(const Square *to, const Square *from, const char *left,
                                                           const char *right, int64_t steps, int row, int rows,
                                                           int halves, Ahead ahead) {
    V sums[DOT_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < halves; j++) {
            sums[i][j] = from == NULL ? v_zero() : v_load(square_at(from, row + i, j));
        }
    }
    for (int64_t step = 0; step < steps; step++, left += 2 * TILE_BYTES, right += 2 * TILE_BYTES) {
        for (int64_t i = 0; i < ahead.lines; i++, ahead.at += LINE) {
            __builtin_prefetch(ahead.at, 0, 2);
        }
        for (int64_t pair = 0; pair < TILE; pair++) {
            __m512bh columns[2];
#pragma GCC unroll 2
            for (int j = 0; j < halves; j++) {
                columns[j] = (__m512bh)_mm512_load_si512(right + pair * 64 + j * TILE_BYTES);
            }
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                int k;
                memcpy(&k, left + (row + i) / TILE * TILE_BYTES + (row + i) % TILE * 64 + pair * 4, sizeof k);
                __m512bh in = (__m512bh)_mm512_set1_epi32(k);
#pragma GCC unroll 2
                for (int j = 0; j < halves; j++) {
                    sums[i][j] = _mm512_dpbf16_ps(sums[i][j], in, columns[j]);
                }
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < halves; j++) {
            v_store(square_at(to, row + i, j), sums[i][j]);
        }
    }
}

/* As many rows at a time as the registers hold sums for; the first brings what is ahead. */
static inline __attribute__((always_inline)) void dot_halves(const Square *to, const Square *from, const char *left,
                                                             const char *right, int64_t steps, int halves,
                                                             Ahead ahead) {
    if (to->rows == 1) { /* a token that is decoded */
        dot_rows(to, from, left, right, steps, 0, 1, halves, ahead);
    } else if (to->rows <= LEAST_DOT_ROWS) {
        dot_rows(to, from, left, right, steps, 0, LEAST_DOT_ROWS, halves, ahead);
    } else if (to->rows <= FEW_DOT_ROWS) {
        dot_rows(to, from, left, right, steps, 0, FEW_DOT_ROWS, halves, ahead);
    } else {
        dot_rows(to, from, left, right, steps, 0, DOT_ROWS, halves, ahead);
        if (to->rows > DOT_ROWS) {
            dot_rows(to, from, left, right, steps, DOT_ROWS, DOT_ROWS, halves, NOTHING_AHEAD);
        }
        if (to->rows > 2 * DOT_ROWS) {
            dot_rows(to, from, left, right, steps, 2 * DOT_ROWS, PAIR - 2 * DOT_ROWS, halves, NOTHING_AHEAD);
        }
    }
}

static inline void multiply_by_dots(Square to, const Square *from, const char *left, const char *right, int64_t steps,
                                    Ahead ahead) {
    if (to.columns <= TILE) {
        dot_halves(&to, from, left, right, steps, 1, ahead);
    } else {
        dot_halves(&to, from, left, right, steps, 2, ahead);
    }
}

/* to = (from: NULL for zeros) + left[steps][..][2] right[steps][..][2], with several parts on AMX only. */
static inline void multiply_tiles(TileUnit unit, Square to, const Square *from, const char *left, const char *right,
                                  int64_t steps, int parts, bool w_left, Ahead ahead) {
    if (unit == TILES_AMX) {
        multiply_on_amx(to, from, left, right, steps, parts, w_left, ahead);
    } else {
        multiply_by_dots(to, from, left, right, steps, ahead);
    }
}
