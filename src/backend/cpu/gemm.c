/* x is copied once into tiles [k / GEMM_DEPTH][m / tile_rows][GEMM_DEPTH, tile_rows]. Each thread then takes a share
 * of the panels of w (and, when threads outnumber panels, of the rows), packs one panel over SPAN of k, so that whole
 * pages of w are read, multiplies its rows by it into a small square of sums, and adds those to y.
 *
 * An element of y is a sum over k in order inside each GEMM_DEPTH, over those in order inside each SPAN, and over
 * spans in order: the same bits for every m, every chunk of rows, every number of threads, and few rows or many. */
#include "backend/cpu/gemm.h"

#include "backend/cpu/packs.h"
#include "backend/cpu/vector.h"
#include "base/integers.h"

enum { SPAN = 4 * GEMM_DEPTH, MAX_PANEL = 32, LEAST_TILES = 4, MOST_ROWS = 280, MOST_TILE_ROWS = 16 };

static int64_t panel_floats(void) {
    return (SPAN + MOST_ROWS) * MAX_PANEL;
}

/* Floats of the copy of x, rounded up to a cache line. */
static int64_t x_floats(int64_t m, int64_t k) {
    int64_t rows = smaller(m, MOST_ROWS) + MOST_TILE_ROWS;
    return rows * blocks_of(k, GEMM_DEPTH) * GEMM_DEPTH;
}

size_t gemm_scratch_bytes(int64_t m, int64_t k, int threads) {
    return (size_t)(x_floats(m, k) + threads * panel_floats()) * sizeof(float);
}

typedef struct Job {
    const Gemm *gemm;
    const VectorKernels *vector;
    float *x_tiles; /* [blocks of k][tiles][GEMM_DEPTH, tile_rows] */
    float *panels;  /* a panel and its sums for each thread */
    int64_t tiles;
    int64_t block_floats; /* of x_tiles for one block of k */
    int64_t row_parts, column_parts;
} Job;

static limn_status turn_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Job *job = context;
    const Gemm *g = job->gemm;
    int64_t height = job->vector->tile_rows;
    for (int64_t tile = begin; tile < end; tile++) {
        const float *x = g->x + tile * height * g->x_stride;
        int64_t rows = smaller(height, g->m - tile * height);
        float *out = job->x_tiles + tile * height * GEMM_DEPTH;
        for (int64_t k = 0; k < g->k; k += GEMM_DEPTH, out += job->block_floats) {
            job->vector->gemm_turn_rows(out, x + k, g->x_stride, rows, smaller(GEMM_DEPTH, g->k - k));
        }
    }
    return LIMN_OK;
}

/* Where the panel of columns from `column` on over depths [from, to) lies in a packed w. */
static int64_t packed_offset(const Gemm *g, int64_t column, int64_t from, int64_t to, int64_t width) {
    return from * blocks_of(g->n, width) * width + column * (to - from);
}

static void pack_panel(const VectorKernels *vector, float *panel, const Gemm *g, int64_t column, int64_t n,
                       int64_t from, int64_t to) {
    const char *w = (const char *)g->w + (from * g->w_k_stride + column * g->w_n_stride) * (g->w_bf16 ? 2 : 4);
    vector->gemm_pack(panel, w, g->w_bf16, g->w_k_stride, g->w_n_stride, to - from, n);
}

static size_t packed_bytes(const Gemm *gemm) {
    int64_t width = vector_kernels()->panel_columns;
    return (size_t)(gemm->k * blocks_of(gemm->n, width) * width + MAX_PANEL) / 16 * 16 * sizeof(float);
}

typedef struct Packing {
    float *packed;
    const Gemm *gemm;
} Packing;

static limn_status pack_panels(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Packing *packing = context;
    const Gemm *g = packing->gemm;
    const VectorKernels *vector = vector_kernels();
    int64_t width = vector->panel_columns;
    for (int64_t k = 0; k < g->k; k += SPAN) {
        int64_t to = smaller(k + SPAN, g->k);
        for (int64_t column = begin * width; column < smaller(end * width, g->n); column += width) {
            float *panel = packing->packed + packed_offset(g, column, k, to, width);
            pack_panel(vector, panel, g, column, smaller(width, g->n - column), k, to);
        }
    }
    return LIMN_OK;
}

static void pack_all(void *packed, const Gemm *gemm) {
    Packing packing = {packed, gemm};
    int64_t panels = blocks_of(gemm->n, vector_kernels()->panel_columns);
    Team team = team_undisturbed(gemm->team);                    /* what is packed serves later runs too */
    (void)parallel_for(&team, panels, 4, pack_panels, &packing); /* cannot fail */
}

const PackLayout gemm_layout = {packed_bytes, pack_all};

/* Rows [row, row + rows) of y, columns [column, column + n), over depths [from, to): one panel of w. */
static void multiply_panel(const Job *job, float *panel, int64_t row, int64_t rows, int64_t column, int64_t n,
                           int64_t from, int64_t to) {
    const Gemm *g = job->gemm;
    int64_t width = job->vector->panel_columns;
    float *sums = panel + SPAN * MAX_PANEL;
    const float *turned = panel;
    if (g->packed != NULL) {
        turned = (const float *)g->packed + packed_offset(g, column, from, to, width);
    } else {
        pack_panel(job->vector, panel, g, column, n, from, to);
    }
    GemmEnd end = {.y = g->y + row * g->y_stride + column,
                   .y_stride = g->y_stride,
                   .bias = g->bias == NULL || from > 0 ? NULL : g->bias + column,
                   .add = from > 0 || g->accumulate};
    for (int64_t k = from; k < to; k += GEMM_DEPTH) {
        const float *x = job->x_tiles + k / GEMM_DEPTH * job->block_floats + row * GEMM_DEPTH;
        bool ends = k + GEMM_DEPTH >= to && n == width;
        const float *depths = turned + (k - from) * width;
        const float *next = g->packed == NULL ? NULL : depths + (to - from) * width; /* packed panels lie in a row */
        job->vector->gemm_tiles(sums, x, rows, smaller(GEMM_DEPTH, to - k), depths, k > from, next, ends ? &end : NULL);
    }
    if (n < width) {
        job->vector->gemm_finish(end.y, end.y_stride, sums, rows, n, end.bias, end.add);
    }
}

static limn_status multiply_parts(void *context, int64_t begin, int64_t end, int worker) {
    const Job *job = context;
    const Gemm *g = job->gemm;
    int64_t width = job->vector->panel_columns;
    int64_t height = job->vector->tile_rows;
    int64_t panels = blocks_of(g->n, width);
    float *panel = job->panels + worker * panel_floats();
    for (int64_t part = begin; part < end; part++) {
        int64_t row_part = part % job->row_parts;
        int64_t column_part = part / job->row_parts;
        int64_t row = job->tiles * row_part / job->row_parts * height;
        int64_t rows = smaller(job->tiles * (row_part + 1) / job->row_parts * height, g->m) - row;
        int64_t first = panels * column_part / job->column_parts * width;
        int64_t last = smaller(panels * (column_part + 1) / job->column_parts * width, g->n);
        for (int64_t k = 0; k < g->k; k += SPAN) {
            for (int64_t column = first; column < last; column += width) {
                TRY(team_check(g->team));
                multiply_panel(job, panel, row, rows, column, smaller(width, last - column), k,
                               smaller(k + SPAN, g->k));
            }
        }
    }
    return LIMN_OK;
}

/* At most MOST_ROWS rows. */
static limn_status run_rows(const Gemm *gemm, float *scratch) {
    Job job = {.gemm = gemm, .vector = vector_kernels(), .x_tiles = scratch};
    job.panels = scratch + x_floats(gemm->m, gemm->k);
    job.tiles = blocks_of(gemm->m, job.vector->tile_rows);
    job.block_floats = job.tiles * job.vector->tile_rows * GEMM_DEPTH;
    int64_t threads = team_threads(gemm->team);
    job.column_parts = smaller(threads, blocks_of(gemm->n, job.vector->panel_columns));
    job.row_parts = smaller(threads / job.column_parts, blocks_of(job.tiles, LEAST_TILES));
    if (gemm->m * gemm->k * gemm->n < 1 << 16) {
        job.column_parts = job.row_parts = 1;
    }
    TRY(parallel_for(gemm->team, job.tiles, 1 + 2048 / (gemm->k + 1), turn_rows, &job));
    return parallel_for(gemm->team, job.row_parts * job.column_parts, 1, multiply_parts, &job);
}

limn_status gemm_run(const Gemm *gemm, void *scratch) {
    if (gemm->m <= 0 || gemm->n <= 0) {
        return LIMN_OK;
    }
    /* cut between tiles: a tile of few rows is slower for each of them */
    int64_t height = vector_kernels()->tile_rows;
    int64_t tiles = blocks_of(gemm->m, height);
    int64_t parts = blocks_of(tiles, MOST_ROWS / height);
    for (int64_t part = 0; part < parts; part++) {
        Gemm some = *gemm;
        int64_t row = tiles * part / parts * height;
        some.m = smaller(tiles * (part + 1) / parts * height, gemm->m) - row;
        some.x += row * gemm->x_stride;
        some.y += row * gemm->y_stride;
        TRY(run_rows(&some, scratch));
    }
    return LIMN_OK;
}
