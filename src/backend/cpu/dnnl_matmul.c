/* Primitives are made once for each shape and kept in a table; a full table drops the one unused for longest.
 *
 * The library's own threads (OpenMP) spin for a long time after each product and would fight the pool of
 * base/parallel for the cores. So every product is split by columns over the pool, and the library runs each part on
 * the thread that calls it. */
#include "backend/cpu/dnnl_matmul.h"

#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/map.h"

enum { TABLE_SIZE = 1024, PROBES = 8, SCRATCH_PER_THREAD = 1 << 20, SMALL_PRODUCT = 1 << 16, COLUMN_STEP = 64 };

typedef struct Primitive {
    MatmulShape shape;
    dnnl_primitive_t primitive; /* NULL: an empty place */
    dnnl_memory_desc_t x, w, bias, y, scratch;
    size_t scratch_bytes;
    uint64_t last_use;
    int users;
} Primitive;

struct Matmul {
    dnnl_engine_t engine;
    pthread_mutex_t lock; /* guards the table and the clock */
    uint64_t clock;
    Primitive table[TABLE_SIZE];
};

static limn_status library_failed(dnnl_status_t status, const char *what, const MatmulShape *shape) {
    limn_status code = status == dnnl_out_of_memory ? LIMN_NO_MEMORY : LIMN_INTERNAL;
    if (shape == NULL) {
        return fail(code, "oneDNN status %d from %s", (int)status, what);
    }
    return fail(code, "oneDNN status %d from %s for a product [%lld, %lld] x [%lld, %lld]", (int)status, what,
                (long long)shape->m, (long long)shape->k, (long long)shape->k, (long long)shape->n);
}

limn_status matmul_new(Matmul **matmul) {
    Matmul *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for the table of matrix products");
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return fail(LIMN_NO_MEMORY, "no memory for a lock");
    }
    dnnl_status_t status = dnnl_engine_create(&made->engine, dnnl_cpu, 0);
    if (status != dnnl_success) {
        pthread_mutex_destroy(&made->lock);
        free(made);
        return library_failed(status, "dnnl_engine_create", NULL);
    }
    *matmul = made;
    return LIMN_OK;
}

static void primitive_drop(Primitive *primitive) {
    if (primitive->primitive != NULL) {
        dnnl_primitive_destroy(primitive->primitive);
        primitive->primitive = NULL;
    }
}

void matmul_free(Matmul *matmul) {
    if (matmul == NULL) {
        return;
    }
    for (int i = 0; i < TABLE_SIZE; i++) {
        primitive_drop(&matmul->table[i]);
    }
    dnnl_engine_destroy(matmul->engine);
    pthread_mutex_destroy(&matmul->lock);
    free(matmul);
}

MatmulIsa matmul_isa(void) {
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    if ((isa & (unsigned)dnnl_cpu_isa_avx512_core_amx) == (unsigned)dnnl_cpu_isa_avx512_core_amx) {
        return MATMUL_AMX;
    }
    if ((isa & (unsigned)dnnl_cpu_isa_avx512_core_bf16) == (unsigned)dnnl_cpu_isa_avx512_core_bf16) {
        return MATMUL_AVX512_BF16;
    }
    if ((isa & (unsigned)dnnl_cpu_isa_avx512_core) == (unsigned)dnnl_cpu_isa_avx512_core) {
        return MATMUL_AVX512;
    }
    return (isa & (unsigned)dnnl_cpu_isa_avx2) == (unsigned)dnnl_cpu_isa_avx2 ? MATMUL_AVX2 : MATMUL_PLAIN;
}

#define TEXT(number)    TEXT_OF(number)
#define TEXT_OF(number) #number
#define LIBRARY         ", oneDNN " TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(DNNL_VERSION_PATCH)

const char *matmul_describe(void) {
    switch ((unsigned)dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_avx512_core_amx:
        return "AVX512-AMX" LIBRARY;
    case dnnl_cpu_isa_avx512_core_bf16:
        return "AVX512-BF16" LIBRARY;
    case dnnl_cpu_isa_avx512_core_vnni:
        return "AVX512-VNNI" LIBRARY;
    case dnnl_cpu_isa_avx512_core:
        return "AVX512" LIBRARY;
    case dnnl_cpu_isa_avx2_vnni:
        return "AVX2-VNNI" LIBRARY;
    case dnnl_cpu_isa_avx2:
        return "AVX2" LIBRARY;
    case dnnl_cpu_isa_avx:
        return "AVX" LIBRARY;
    default:
        return "SSE4.1" LIBRARY;
    }
}

size_t matmul_scratch_bytes(int threads) {
    return (size_t)threads * SCRATCH_PER_THREAD;
}

static dnnl_status_t describe_matrix(dnnl_memory_desc_t *out, bool bf16, int64_t rows, int64_t columns,
                                     int64_t row_stride, int64_t column_stride) {
    dnnl_dims_t dims = {rows, columns};
    dnnl_dims_t strides = {row_stride, column_stride};
    return dnnl_memory_desc_init_by_strides(out, 2, dims, bf16 ? dnnl_bf16 : dnnl_f32, strides);
}

/* The primitive's attributes: the caller's scratchpad, and y added to when asked. */
static dnnl_status_t make_attributes(dnnl_primitive_attr_t *attributes, bool accumulate) {
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (status != dnnl_success) {
        return status;
    }
    status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && accumulate) {
        dnnl_post_ops_t operations;
        status = dnnl_post_ops_create(&operations);
        if (status == dnnl_success) {
            status = dnnl_post_ops_append_sum(operations, 1.0F);
            if (status == dnnl_success) {
                status = dnnl_primitive_attr_set_post_ops(*attributes, operations);
            }
            dnnl_post_ops_destroy(operations);
        }
    }
    if (status != dnnl_success) {
        dnnl_primitive_attr_destroy(*attributes);
    }
    return status;
}

static dnnl_status_t make_primitive(Primitive *made, dnnl_engine_t engine) {
    const MatmulShape *s = &made->shape;
    dnnl_status_t status = describe_matrix(&made->x, s->bf16, s->m, s->k, s->x_stride, 1);
    if (status == dnnl_success) {
        status = describe_matrix(&made->w, s->bf16, s->k, s->n, s->w_k_stride, s->w_n_stride);
    }
    if (status == dnnl_success) {
        status = describe_matrix(&made->y, false, s->m, s->n, s->y_stride, 1);
    }
    if (status == dnnl_success) {
        status = describe_matrix(&made->bias, false, 1, s->n, s->n, 1);
    }
    dnnl_matmul_desc_t operation;
    if (status == dnnl_success) {
        status = dnnl_matmul_desc_init(&operation, &made->x, &made->w, s->bias ? &made->bias : NULL, &made->y);
    }
    dnnl_primitive_attr_t attributes;
    if (status != dnnl_success || (status = make_attributes(&attributes, s->accumulate)) != dnnl_success) {
        return status;
    }
    dnnl_primitive_desc_t description;
    status = dnnl_primitive_desc_create(&description, &operation, attributes, engine, NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (status != dnnl_success) {
        return status;
    }
    made->scratch = *dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
    made->scratch_bytes = dnnl_memory_desc_get_size(&made->scratch);
    status = dnnl_primitive_create(&made->primitive, description);
    dnnl_primitive_desc_destroy(description);
    return status;
}

/* Finds or makes the primitive and counts the caller among its users. Called with the lock held. */
static limn_status find_primitive(Primitive **found, Matmul *matmul, const MatmulShape *shape) {
    uint64_t hash = hash_bytes(shape, sizeof *shape);
    Primitive *oldest = NULL;
    for (uint64_t i = 0; i < PROBES; i++) {
        Primitive *place = &matmul->table[(hash + i) % TABLE_SIZE];
        if (place->primitive != NULL && memcmp(&place->shape, shape, sizeof *shape) == 0) {
            *found = place;
            return LIMN_OK;
        }
        if (place->users == 0 && (oldest == NULL || place->last_use < oldest->last_use)) {
            oldest = place;
        }
    }
    if (oldest == NULL) {
        return fail(LIMN_INTERNAL, "more than %d matrix products at once", PROBES);
    }
    primitive_drop(oldest);
    memset(oldest, 0, sizeof *oldest);
    oldest->shape = *shape;
    dnnl_status_t status = make_primitive(oldest, matmul->engine);
    if (status != dnnl_success) {
        oldest->primitive = NULL;
        return library_failed(status, "dnnl_primitive_create", shape);
    }
    *found = oldest;
    return LIMN_OK;
}

/* The library reads OpenMP's number for the calling thread when it makes a primitive and when it runs one; the thread
 * may be of a program that uses OpenMP itself, so the number is put back. */
static int library_alone(void) {
    int before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
}

static limn_status take_primitive(Primitive **found, Matmul *matmul, const MatmulShape *wanted) {
    MatmulShape shape;
    memset(&shape, 0, sizeof shape);
    shape = *wanted;
    pthread_mutex_lock(&matmul->lock);
    limn_status status = find_primitive(found, matmul, &shape);
    if (status == LIMN_OK) {
        (*found)->users++;
        (*found)->last_use = ++matmul->clock;
    }
    pthread_mutex_unlock(&matmul->lock);
    return status;
}

static void give_primitive_back(Matmul *matmul, Primitive *primitive) {
    pthread_mutex_lock(&matmul->lock);
    primitive->users--;
    pthread_mutex_unlock(&matmul->lock);
}

/* Columns of one part of a product. */
static int64_t part_columns(const MatmulShape *shape, int threads) {
    bool small = shape->m * shape->k * shape->n < SMALL_PRODUCT || shape->n < 2 * COLUMN_STEP;
    int64_t columns = round_up(blocks_of(shape->n, threads), COLUMN_STEP);
    return small || columns > shape->n ? shape->n : columns;
}

limn_status matmul_prepare(Matmul *matmul, const MatmulShape *shape, int threads) {
    int64_t columns = part_columns(shape, threads);
    MatmulShape parts[2] = {*shape, *shape};
    parts[0].n = columns;
    parts[1].n = shape->n % columns;
    for (int i = 0; i < 2; i++) {
        Primitive *primitive;
        if (parts[i].n > 0) {
            int before = library_alone();
            limn_status status = take_primitive(&primitive, matmul, &parts[i]);
            omp_set_num_threads(before);
            TRY(status);
            give_primitive_back(matmul, primitive);
        }
    }
    return LIMN_OK;
}

enum { MAX_ARGUMENTS = 5 };

typedef struct Arguments {
    dnnl_exec_arg_t list[MAX_ARGUMENTS];
    int count;
} Arguments;

static dnnl_status_t add_argument(Arguments *arguments, dnnl_engine_t engine, int which,
                                  const dnnl_memory_desc_t *description, const void *data) {
    dnnl_memory_t memory;
    /* the library reads inputs through the same handle type as it writes outputs */
    dnnl_status_t status = dnnl_memory_create(&memory, description, engine, (void *)(uintptr_t)data);
    if (status == dnnl_success) {
        arguments->list[arguments->count++] = (dnnl_exec_arg_t){which, memory};
    }
    return status;
}

static dnnl_status_t execute(const Matmul *matmul, const Primitive *primitive, float *y, const void *x, const void *w,
                             const float *bias, void *scratch) {
    Arguments arguments = {.count = 0};
    dnnl_engine_t engine = matmul->engine;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (status != dnnl_success) {
        return status;
    }
    status = add_argument(&arguments, engine, DNNL_ARG_SRC, &primitive->x, x);
    if (status == dnnl_success) {
        status = add_argument(&arguments, engine, DNNL_ARG_WEIGHTS, &primitive->w, w);
    }
    if (status == dnnl_success && primitive->shape.bias) {
        status = add_argument(&arguments, engine, DNNL_ARG_BIAS, &primitive->bias, bias);
    }
    if (status == dnnl_success) {
        status = add_argument(&arguments, engine, DNNL_ARG_DST, &primitive->y, y);
    }
    if (status == dnnl_success && primitive->scratch_bytes > 0) {
        status = add_argument(&arguments, engine, DNNL_ARG_SCRATCHPAD, &primitive->scratch, scratch);
    }
    if (status == dnnl_success) {
        status = dnnl_primitive_execute(primitive->primitive, stream, arguments.count, arguments.list);
    }
    if (status == dnnl_success) {
        status = dnnl_stream_wait(stream);
    }
    for (int i = 0; i < arguments.count; i++) {
        dnnl_memory_destroy(arguments.list[i].memory);
    }
    dnnl_stream_destroy(stream);
    return status;
}

static limn_status run_part(Matmul *matmul, const MatmulShape *shape, float *y, const void *x, const void *w,
                            const float *bias, void *scratch) {
    Primitive *primitive;
    TRY(take_primitive(&primitive, matmul, shape));
    void *own = NULL;
    if (primitive->scratch_bytes > SCRATCH_PER_THREAD) {
        own = aligned_alloc(64, round_up_bytes(primitive->scratch_bytes, 64));
        if (own == NULL) {
            give_primitive_back(matmul, primitive);
            return fail(LIMN_NO_MEMORY, "no memory for %zu bytes of a matrix product's scratch",
                        primitive->scratch_bytes);
        }
        scratch = own;
    }
    dnnl_status_t status = execute(matmul, primitive, y, x, w, bias, scratch);
    free(own);
    give_primitive_back(matmul, primitive);
    return status == dnnl_success ? LIMN_OK : library_failed(status, "dnnl_primitive_execute", shape);
}

typedef struct Split {
    Matmul *matmul;
    const MatmulShape *shape;
    int64_t columns; /* of a part */
    float *y;
    const void *x;
    const void *w;
    const float *bias;
    char *scratch; /* [threads, SCRATCH_PER_THREAD] */
} Split;

static limn_status run_parts(void *context, int64_t begin, int64_t end, int worker) {
    const Split *split = context;
    for (int64_t part = begin; part < end; part++) {
        MatmulShape shape = *split->shape;
        int64_t from = part * split->columns;
        shape.n = smaller(shape.n - from, split->columns);
        int64_t w_offset = from * shape.w_n_stride * (shape.bf16 != 0 ? 2 : 4);
        int before = library_alone();
        limn_status status = run_part(
            split->matmul, &shape, split->y + from, split->x, (const char *)split->w + w_offset,
            split->bias == NULL ? NULL : split->bias + from, split->scratch + (size_t)worker * SCRATCH_PER_THREAD);
        omp_set_num_threads(before);
        TRY(status);
    }
    return LIMN_OK;
}

limn_status matmul_run(Matmul *matmul, Team *team, const MatmulShape *shape, float *y, const void *x, const void *w,
                       const float *bias, void *scratch) {
    Split split = {.matmul = matmul,
                   .shape = shape,
                   .columns = part_columns(shape, team_threads(team)),
                   .x = x,
                   .w = w,
                   .bias = bias,
                   .scratch = scratch};
    split.y = y;
    return parallel_for(team, blocks_of(shape->n, split.columns), 1, run_parts, &split);
}
