/* x is copied once into blocks [k / GEMM_DEPTH][m][GEMM_DEPTH], so that a block of it stays in the second-level
 * cache whatever its stride. Each thread then takes a share of the panels of w (and, when threads outnumber panels,
 * of the rows), packs a few panels of one block of k, and multiplies all its rows by them.
 *
 * An element of y is a sum over k in order inside each block, and over blocks in order: the same bits for every m,
 * every chunk of rows, every number of threads, and for few rows as for many. */
#include "backend/cpu/gemm.h"

#include <string.h>

#include "backend/cpu/vector.h"
#include "base/parallel.h"

enum { GROUP = 4, MAX_PANEL = 32, LEAST_ROWS = 56 };

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t blocks_of(int64_t count, int64_t size) {
    return (count + size - 1) / size;
}

static size_t panel_bytes(void) {
    return (size_t)GROUP * GEMM_DEPTH * MAX_PANEL * sizeof(float);
}

size_t gemm_scratch_bytes(int64_t m, int64_t k) {
    size_t x_bytes = (size_t)(m * blocks_of(k, GEMM_DEPTH) * GEMM_DEPTH) * sizeof(float);
    return x_bytes + (size_t)parallel_threads() * panel_bytes();
}

typedef struct Job {
    const Gemm *gemm;
    const VectorKernels *vector;
    float *x_blocks; /* [blocks of k, m, GEMM_DEPTH] */
    char *panels;    /* one GROUP for each thread */
    int64_t row_parts, column_parts;
} Job;

static limn_status copy_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Job *job = context;
    const Gemm *g = job->gemm;
    for (int64_t k = 0; k < g->k; k += GEMM_DEPTH) {
        size_t bytes = (size_t)smaller(GEMM_DEPTH, g->k - k) * sizeof(float);
        float *block = job->x_blocks + k * g->m;
        for (int64_t row = begin; row < end; row++) {
            memcpy(block + row * GEMM_DEPTH, g->x + row * g->x_stride + k, bytes);
        }
    }
    return LIMN_OK;
}

/* Rows [row, row + rows) times up to GROUP panels that begin at column `column`. */
static void multiply_group(const Job *job, float *panels, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    const Gemm *g = job->gemm;
    int64_t width = job->vector->panel_columns;
    int64_t size = g->w_bf16 ? 2 : 4;
    for (int64_t k = 0; k < g->k; k += GEMM_DEPTH) {
        int64_t depth = smaller(GEMM_DEPTH, g->k - k);
        const float *x = job->x_blocks + k * g->m + row * GEMM_DEPTH;
        for (int64_t j = 0; j < columns; j += width) {
            float *panel = panels + j * GEMM_DEPTH;
            int64_t n = smaller(width, columns - j);
            const char *w = (const char *)g->w + (k * g->w_k_stride + (column + j) * g->w_n_stride) * size;
            job->vector->gemm_pack(panel, w, g->w_bf16, g->w_k_stride, g->w_n_stride, depth, n);
            job->vector->gemm_rows(g->y + row * g->y_stride + column + j, g->y_stride, x, rows, depth, panel, n,
                                   g->bias == NULL || k > 0 ? NULL : g->bias + column + j, k > 0 || g->accumulate);
        }
    }
}

static limn_status multiply_parts(void *context, int64_t begin, int64_t end, int worker) {
    const Job *job = context;
    const Gemm *g = job->gemm;
    int64_t width = job->vector->panel_columns;
    int64_t panels = blocks_of(g->n, width);
    float *scratch = (float *)(void *)(job->panels + (size_t)worker * panel_bytes());
    for (int64_t part = begin; part < end; part++) {
        int64_t row_part = part % job->row_parts;
        int64_t column_part = part / job->row_parts;
        int64_t row = g->m * row_part / job->row_parts;
        int64_t rows = g->m * (row_part + 1) / job->row_parts - row;
        int64_t last = smaller(panels * (column_part + 1) / job->column_parts * width, g->n);
        int64_t column = panels * column_part / job->column_parts * width;
        for (; column < last; column += GROUP * width) {
            multiply_group(job, scratch, row, rows, column, smaller(GROUP * width, last - column));
        }
    }
    return LIMN_OK;
}

limn_status gemm_run(const Gemm *gemm, void *scratch) {
    if (gemm->m <= 0 || gemm->n <= 0) {
        return LIMN_OK;
    }
    Job job = {.gemm = gemm, .vector = vector_kernels(), .x_blocks = scratch};
    job.panels = (char *)scratch + (size_t)(gemm->m * blocks_of(gemm->k, GEMM_DEPTH) * GEMM_DEPTH) * sizeof(float);
    int64_t threads = parallel_threads();
    int64_t panels = blocks_of(gemm->n, job.vector->panel_columns);
    job.column_parts = smaller(threads, panels);
    job.row_parts = smaller(threads / job.column_parts, blocks_of(gemm->m, LEAST_ROWS));
    if (gemm->m * gemm->k * gemm->n < 1 << 16) {
        job.column_parts = job.row_parts = 1;
    }
    TRY(parallel_for(gemm->m, 1 + 32768 / (gemm->k + 1), copy_rows, &job));
    return parallel_for(job.row_parts * job.column_parts, 1, multiply_parts, &job);
}
