/* Products of bf16 tiles summed in f32: a tile is 16 rows of 64 bytes. What multiplies them is the tile unit (AMX) or,
 * where there is none, the dot products of AVX512-BF16; tiles and order are the same (tile_unit.h).
 *
 * A left tile [16, 32 k] is multiplied by a right tile [16 pairs of k, 16] whose pairs of k lie together. The
 * operand whose rows have k contiguous is a left tile as it lies:
 *   w [n, k] (k contiguous): w is copied as the left operand, x is turned into right tiles once, y comes out turned;
 *     but dot products of few rows of x, whose time goes by rows on the left, have w turned into right tiles;
 *   w [k, n] (n contiguous): pairs of rows of w are interleaved into right tiles, x is the left operand;
 *   w packed once (packs.h): right tiles, so that neither x nor y is turned.
 * Both operands of a product may change places without changing a bit of it.
 * For f32 results on bf16 weights x is cut into three bf16 parts whose sum is x exactly; products of bf16 numbers are
 * exact in f32, so only the order of the sums differs from an f32 product, at a third of the unit's speed. Dot products
 * are only twice as fast as f32, so they do not run these.
 *
 * An element of y is a sum over k in order (part after part for each 32 of k) in spans of fixed length: the same bits
 * for every m. */
#include "backend/cpu/tiles.h"

#include <string.h>

#include "backend/cpu/dnnl_matmul.h"
#include "backend/cpu/target.h"
#include "backend/cpu/vector.h"
#include "base/integers.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

TARGET_BEGIN(TARGET_TILES)

#include "backend/cpu/simd_avx512.h"

#include "backend/cpu/tile_unit.h"

enum {
    DEPTH = 16, /* tiles of k whose panel of one pair of columns stays in the first-level cache */
    GROUP = 4,  /* pairs of columns packed together when n is contiguous, so that a row of w gives whole lines */
    PANEL_TILES = GROUP * DEPTH, /* tiles of k packed at once when k is contiguous: a page of each row of w */
    MOST_ROWS = 256,
    MOST_ROWS_PACKED = 512,
    X_BYTES = 1 << 20, /* of x's tiles, for the second-level cache */
    MOST_PARTS = 3,
    LEAST_PAIRS = 2,
    CACHED_BYTES = 8 << 20, /* a larger y does not stay in the second-level cache until it is read */
};

/* Rows at a time, and tiles of k whose x stays in the second-level cache. */
static int64_t rows_at_once(int parts) {
    return parts == 1 ? MOST_ROWS : MOST_ROWS / 2;
}

/* With w packed nothing else wants that cache. */
static int64_t rows_at_once_packed(int64_t k, int parts) {
    int64_t rows = X_BYTES / (blocks_of(k, TILE_K) * TILE_K * 2 * parts) / PAIR * PAIR;
    return rows > MOST_ROWS_PACKED ? MOST_ROWS_PACKED : rows > rows_at_once(parts) ? rows : rows_at_once(parts);
}

static int64_t span_tiles(int parts) {
    return parts == 1 ? 64 : 32;
}

/* A thread's panel of w [pairs of columns][tiles of k][2] and sums [pairs of columns][row pairs][2 x 2]. */
enum { PANEL_BYTES = PANEL_TILES * 2 * TILE_BYTES, SUMS_BYTES = GROUP * (MOST_ROWS / PAIR) * 4 * TILE_BYTES };

static size_t x_bytes(int64_t m, int64_t k, int parts) {
    return (size_t)(blocks_of(smaller(m, rows_at_once_packed(k, parts)), PAIR) * blocks_of(k, TILE_K) * parts) * 2 *
           TILE_BYTES;
}

size_t tiles_scratch_bytes(int64_t m, int64_t k, int parts, int threads) {
    return x_bytes(m, k, parts) + (size_t)threads * (PANEL_BYTES + SUMS_BYTES);
}

typedef struct Job {
    const Gemm *gemm;
    TileUnit unit;
    int parts;
    bool w_left;   /* w is the left operand */
    char *x_tiles; /* [row pairs][tiles of k][parts][2] tiles */
    char *panels;  /* PANEL_BYTES + SUMS_BYTES for each thread */
    int64_t k_tiles;
    int64_t row_pairs;
    int64_t row_parts, column_parts;
} Job;

/* ---- x into tiles ---- */

/* 32 floats as bf16; what rounding took off stays in *low and *high. */
static inline __m512i take_part(V *low, V *high) {
    __m512i part = narrow_pair(*low, *high);
    *low = v_sub(*low, v_widen(_mm512_castsi512_si256(part)));
    *high = v_sub(*high, v_widen(_mm512_extracti64x4_epi64(part, 1)));
    return part;
}

/* Up to 16 rows of x, TILE_K deep, into `parts` tiles that lie 2 * TILE_BYTES apart. */
static void make_x_tiles(char *out, const float *x, int64_t stride, int64_t rows, int64_t depth, int parts, bool turn) {
    V tiles[MOST_PARTS][TILE];
    for (int64_t i = 0; i < TILE; i++) {
        V low = v_zero();
        V high = v_zero();
        if (i < rows) {
            low = v_load_n(x + i * stride, depth);
            high = depth > W ? v_load_n(x + i * stride + W, depth - W) : v_zero();
        }
        for (int part = 0; part + 1 < parts; part++) {
            tiles[part][i] = _mm512_castsi512_ps(take_part(&low, &high));
        }
        tiles[parts - 1][i] = _mm512_castsi512_ps(narrow_pair(low, high));
    }
    for (int part = 0; part < parts; part++) {
        if (turn) {
            v_transpose(tiles[part]);
        }
        for (int64_t i = 0; i < TILE; i++) {
            v_store((float *)(void *)(out + part * 2 * TILE_BYTES + i * 64), tiles[part][i]);
        }
    }
}

static limn_status x_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Job *job = context;
    const Gemm *g = job->gemm;
    for (int64_t half = begin; half < end; half++) {
        int64_t row = half * TILE;
        int64_t rows = g->m > row ? smaller(TILE, g->m - row) : 0;
        for (int64_t t = 0; t < job->k_tiles; t++) {
            char *out = job->x_tiles + ((half / 2 * job->k_tiles + t) * job->parts * 2 + half % 2) * TILE_BYTES;
            const float *x = rows > 0 ? g->x + row * g->x_stride + t * TILE_K : NULL;
            make_x_tiles(out, x, g->x_stride, rows, smaller(TILE_K, g->k - t * TILE_K), job->parts, job->w_left);
        }
    }
    return LIMN_OK;
}

/* ---- w into tiles ---- */

/* w is [n, k] */
static bool k_contiguous(const Gemm *gemm) {
    return gemm->w_k_stride == 1;
}

/* Columns [column, column + n) of w, tiles of k [from, to), as [pairs of columns][tiles of k][2]. */
static void pack_w(char *panel, const Job *job, int64_t column, int64_t n, int64_t from, int64_t to) {
    const Gemm *g = job->gemm;
    int64_t size = g->w_bf16 ? 2 : 4;
    int64_t halves = blocks_of(n, PAIR) * 2;
    bool rows_of_k = k_contiguous(g);
    for (int64_t i = 0; i < halves * (to - from); i++) {
        /* along what is contiguous in memory first */
        int64_t half = rows_of_k ? i / (to - from) : i % halves;
        int64_t t = from + (rows_of_k ? i % (to - from) : i / halves);
        int64_t count = n > half * TILE ? smaller(TILE, n - half * TILE) : 0;
        int64_t depth = smaller(TILE_K, g->k - t * TILE_K);
        int64_t at = count > 0 ? t * TILE_K * g->w_k_stride + (column + half * TILE) * g->w_n_stride : 0;
        const char *w = (const char *)g->w + at * size;
        char *out = panel + ((half / 2 * (to - from) + t - from) * 2 + half % 2) * TILE_BYTES;
        if (rows_of_k) {
            make_left_tile(out, w, g->w_bf16, g->w_n_stride, count, depth, !job->w_left);
        } else {
            make_right_tile(out, w, g->w_bf16, g->w_k_stride, count, count > 0 ? depth : 0);
        }
    }
}

/* ---- w packed once: [pairs of columns][tiles of k][2] right tiles ---- */

static size_t packed_bytes(const Gemm *gemm) {
    return (size_t)(blocks_of(gemm->n, PAIR) * blocks_of(gemm->k, TILE_K)) * 2 * TILE_BYTES;
}

typedef struct Packing {
    char *packed;
    const Gemm *gemm;
} Packing;

static limn_status pack_pairs(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Packing *packing = context;
    const Gemm *g = packing->gemm;
    Job job = {.gemm = g, .k_tiles = blocks_of(g->k, TILE_K)};
    for (int64_t pair = begin; pair < end; pair++) {
        char *tiles = packing->packed + pair * job.k_tiles * 2 * TILE_BYTES;
        pack_w(tiles, &job, pair * PAIR, smaller(PAIR, g->n - pair * PAIR), 0, job.k_tiles);
    }
    return LIMN_OK;
}

/* ---- products ---- */

/* Whether y goes past the caches: then its lines need not be read first. */
static bool past_caches(const Gemm *g) {
    return !g->accumulate && g->m * g->n * (int64_t)sizeof(float) > CACHED_BYTES && (uintptr_t)g->y % 64 == 0 &&
           g->y_stride % TILE == 0;
}

/* One tile of sums into y[rows, n]; turned when w was the left operand. */
static void finish_tile(const Gemm *g, const char *sums, int64_t row, int64_t rows, int64_t column, int64_t n,
                        bool turn, bool add, bool past) {
    V tile[TILE];
#pragma GCC unroll 16
    for (int64_t i = 0; i < TILE; i++) {
        tile[i] = v_load((const float *)(const void *)(sums + i * 64));
    }
    if (turn) {
        v_transpose(tile);
    }
    V bias = g->bias == NULL ? v_zero() : v_load_n(g->bias + column, n);
    for (int64_t i = 0; i < rows; i++) {
        float *y = g->y + (row + i) * g->y_stride + column;
        if (past && n == TILE) {
            v_store_past(y, v_add(tile[i], bias));
        } else {
            v_store_n(y, v_add(tile[i], add ? v_load_n(y, n) : bias), n);
        }
    }
}

/* The sums of a pair of rows and a pair of columns into y. */
static void finish_pair(const Job *job, const char *sums, int64_t pair, int64_t column, int64_t last, bool add,
                        bool past) {
    const Gemm *g = job->gemm;
    for (int64_t i = 0; i < 4; i++) {
        int64_t row = pair * PAIR + (job->w_left ? i % 2 : i / 2) * TILE;
        int64_t first = column + (job->w_left ? i / 2 : i % 2) * TILE;
        if (row < g->m && first < last) {
            finish_tile(g, sums + i * TILE_BYTES, row, smaller(TILE, g->m - row), first, smaller(TILE, last - first),
                        job->w_left, add, past);
        }
    }
}

/* What one thread does at a time: rows of pairs [from, to), columns [column, last), tiles of k [begin, end). */
typedef struct Piece {
    int64_t from, to;
    int64_t column, last;
    int64_t begin, end;
} Piece;

static void multiply_piece(const Job *job, char *panel, char *sums, Piece p) {
    int64_t step_bytes = job->parts * 2 * TILE_BYTES;
    int64_t columns = blocks_of(p.last - p.column, PAIR);
    int64_t packed = k_contiguous(job->gemm) ? PANEL_TILES : DEPTH;
    for (int64_t t = p.begin; t < p.end; t += DEPTH) {
        int64_t start = p.begin + (t - p.begin) / packed * packed;
        int64_t stop = smaller(start + packed, p.end);
        if (t == start) {
            pack_w(panel, job, p.column, p.last - p.column, start, stop);
        }
        for (int64_t i = 0; i < columns * (p.to - p.from); i++) {
            int64_t pair = p.from + i % (p.to - p.from);
            const char *w = panel + (i / (p.to - p.from) * (stop - start) + t - start) * 2 * TILE_BYTES;
            const char *x = job->x_tiles + (pair * job->k_tiles + t) * step_bytes;
            Square own = square_of_tiles(sums + i * 4 * TILE_BYTES);
            *(job->w_left ? &own.columns : &own.rows) = smaller(PAIR, job->gemm->m - pair * PAIR);
            multiply_tiles(job->unit, own, t > p.begin ? &own : NULL, job->w_left ? w : x, job->w_left ? x : w,
                           smaller(DEPTH, p.end - t), job->parts, job->w_left, NOTHING_AHEAD);
        }
    }
    for (int64_t i = 0; i < columns * (p.to - p.from); i++) {
        int64_t column = p.column + i / (p.to - p.from) * PAIR;
        finish_pair(job, sums + i * 4 * TILE_BYTES, p.from + i % (p.to - p.from), column,
                    smaller(column + PAIR, p.last), p.begin > 0 || job->gemm->accumulate, false);
    }
}

/* The same with w packed: right tiles are read where they lie, and whole tiles of y may be written from the unit. */
static void multiply_packed(const Job *job, char *sums, Piece p) {
    const Gemm *g = job->gemm;
    const char *w = (const char *)g->packed + p.column / PAIR * job->k_tiles * 2 * TILE_BYTES;
    int64_t step_bytes = job->parts * 2 * TILE_BYTES;
    int64_t depth = blocks_of(p.end - p.begin, blocks_of(p.end - p.begin, DEPTH));
    bool whole = p.begin == 0 && p.end == job->k_tiles && p.last - p.column == PAIR;
    bool past = whole && past_caches(g);
    bool direct = whole && !past && !g->accumulate && g->bias == NULL;
    int64_t lines = blocks_of(2 * TILE_BYTES / LINE, p.to - p.from);
    for (int64_t t = p.begin; t < p.end; t += depth) {
        bool last = t + depth >= p.end;
        const char *next = w + (t + depth) * 2 * TILE_BYTES; /* multiplied after these: comes meanwhile */
        for (int64_t pair = p.from; pair < p.to; pair++) {
            const char *x = job->x_tiles + (pair * job->k_tiles + t) * step_bytes;
            char *tiles = sums + (pair - p.from) * 4 * TILE_BYTES;
            Square own = square_of_tiles(tiles);
            bool into_y = last && direct && (pair + 1) * PAIR <= g->m;
            Square to = into_y ? square_of_rows(g->y + pair * PAIR * g->y_stride + p.column, g->y_stride) : own;
            to.rows = smaller(PAIR, g->m - pair * PAIR);
            if (into_y) {
                square_prefetch(to);
            }
            multiply_tiles(job->unit, to, t > p.begin ? &own : NULL, x, w + t * 2 * TILE_BYTES,
                           smaller(depth, p.end - t), job->parts, false,
                           (Ahead){next + (pair - p.from) * depth * lines * LINE, lines});
            if (last && !into_y) {
                finish_pair(job, tiles, pair, p.column, p.last, p.begin > 0 || g->accumulate, past);
            }
        }
    }
}

/* The caller may run models of its own on this thread, which would leave the tile unit as they like. */
static limn_status pause_to_check(const Job *job) {
    tiles_end(job->unit);
    limn_status status = team_check(job->gemm->team);
    tiles_begin(job->unit);
    return status;
}

static limn_status multiply_part(const Job *job, char *panel, int64_t part) {
    int64_t column_pairs = blocks_of(job->gemm->n, PAIR);
    int64_t width = (k_contiguous(job->gemm) || job->gemm->packed != NULL ? 1 : GROUP) * PAIR;
    int64_t row_part = part % job->row_parts;
    int64_t column_part = part / job->row_parts;
    int64_t first = column_pairs * column_part / job->column_parts * PAIR;
    int64_t last = smaller(column_pairs * (column_part + 1) / job->column_parts * PAIR, job->gemm->n);
    Piece piece = {.from = job->row_pairs * row_part / job->row_parts,
                   .to = job->row_pairs * (row_part + 1) / job->row_parts};
    for (piece.begin = 0; piece.begin < job->k_tiles; piece.begin += span_tiles(job->parts)) {
        piece.end = smaller(piece.begin + span_tiles(job->parts), job->k_tiles);
        for (piece.column = first; piece.column < last; piece.column += width) {
            if (team_check_is_due(job->gemm->team)) {
                TRY(pause_to_check(job));
            }
            piece.last = smaller(piece.column + width, last);
            if (job->gemm->packed != NULL) {
                multiply_packed(job, panel, piece);
            } else {
                multiply_piece(job, panel, panel + PANEL_BYTES, piece);
            }
        }
    }
    return LIMN_OK;
}

static limn_status multiply_body(void *context, int64_t begin, int64_t end, int worker) {
    const Job *job = context;
    char *panel = job->panels + (size_t)worker * (PANEL_BYTES + SUMS_BYTES);
    limn_status status = LIMN_OK;
    tiles_begin(job->unit);
    for (int64_t part = begin; part < end && status == LIMN_OK; part++) {
        status = multiply_part(job, panel, part);
    }
    _mm_sfence(); /* other threads see what went past the caches */
    tiles_end(job->unit);
    return status;
}

TARGET_END

static limn_status run_rows(const Gemm *gemm, int parts, char *scratch) {
    Job job = {.gemm = gemm, .unit = tiles_unit(), .parts = parts, .x_tiles = scratch};
    /* dot products do as many rows as there are on the left, but whole tiles on the right */
    bool turn_repays = job.unit == TILES_DOTS && gemm->m <= FEW_DOT_ROWS;
    job.w_left = gemm->packed == NULL && k_contiguous(gemm) && !turn_repays;
    job.panels = scratch + x_bytes(gemm->m, gemm->k, parts);
    job.k_tiles = blocks_of(gemm->k, TILE_K);
    job.row_pairs = blocks_of(gemm->m, PAIR);
    int64_t threads = team_threads(gemm->team);
    job.column_parts = smaller(threads, blocks_of(gemm->n, PAIR));
    job.row_parts = smaller(threads / job.column_parts, blocks_of(job.row_pairs, LEAST_PAIRS));
    if (gemm->m * gemm->k * gemm->n < 1 << 18) {
        job.column_parts = job.row_parts = 1;
    }
    TRY(parallel_for(gemm->team, job.row_pairs * 2, 1 + 1024 / (gemm->k + 1), x_body, &job));
    return parallel_for(gemm->team, job.row_parts * job.column_parts, 1, multiply_body, &job);
}

limn_status tiles_run(const Gemm *gemm, int parts, void *scratch) {
    if (gemm->m <= 0 || gemm->n <= 0) {
        return LIMN_OK;
    }
    int64_t most = gemm->packed != NULL ? rows_at_once_packed(gemm->k, parts) : rows_at_once(parts);
    int64_t chunks = blocks_of(gemm->m, most);
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        Gemm some = *gemm;
        int64_t row = gemm->m * chunk / chunks;
        some.m = gemm->m * (chunk + 1) / chunks - row;
        some.x += row * gemm->x_stride;
        some.y += row * gemm->y_stride;
        TRY(run_rows(&some, parts, scratch));
    }
    return LIMN_OK;
}

static void pack_all(void *packed, const Gemm *gemm) {
    Packing packing = {packed, gemm};
    Team team = team_undisturbed(gemm->team); /* what is packed serves later runs too */
    (void)parallel_for(&team, blocks_of(gemm->n, PAIR), 4, pack_pairs, &packing); /* cannot fail */
}

const PackLayout tiles_layout = {packed_bytes, pack_all};

static pthread_once_t asked = PTHREAD_ONCE_INIT;
static TileUnit best;

static void ask_for_tiles(void) {
    enum { ASK_FOR_STATE = 0x1023, TILE_DATA = 18 }; /* arch_prctl: a process asks once for the tiles' registers */
    if (matmul_isa() < MATMUL_AVX512_BF16 || vector_kernels() != &vector_avx512 ||
        !__builtin_cpu_supports("avx512bf16")) {
        return;
    }
    bool amx = matmul_isa() == MATMUL_AMX && syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
    best = amx ? TILES_AMX : TILES_DOTS;
}

TileUnit tiles_unit(void) {
    return pthread_once(&asked, ask_for_tiles) == 0 ? best : TILES_NONE;
}

#else

const PackLayout tiles_layout = {NULL, NULL}; /* never used */

TileUnit tiles_unit(void) {
    return TILES_NONE;
}

size_t tiles_scratch_bytes(int64_t m, int64_t k, int parts, int threads) {
    (void)m;
    (void)k;
    (void)parts;
    (void)threads;
    return 0;
}

limn_status tiles_run(const Gemm *gemm, int parts, void *scratch) {
    (void)gemm;
    (void)parts;
    (void)scratch;
    return fail(LIMN_INTERNAL, "this processor has no tiles");
}

#endif
