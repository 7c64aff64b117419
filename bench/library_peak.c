/* The matrix library's own speed on this machine, now: oneDNN products of given sizes, packed weights, nothing else.
 *
 *     bench_library_peak f32|bf16 ROWS INxOUT [INxOUT ...]
 *
 * Prints one JSON object: the fastest of the sizes in GFLOP/s, and each. bf16 takes bf16 inputs and gives f32. */
#include <dnnl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Product {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_data_type_t type;
    dnnl_dim_t rows, in, out;
} Product;

static double seconds_now(void) {
    struct timespec now;
    /* as bench/run: processor time of one thread when the machine is busy */
    clock_gettime(getenv("LIMN_BENCH_PROCESSOR") == NULL ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void check(dnnl_status_t status, const char *what) {
    if (status != dnnl_success) {
        fprintf(stderr, "%s: oneDNN status %d\n", what, (int)status);
        exit(3);
    }
}

/* Memory of its own for a description, zeroed: speed does not depend on the values. */
static dnnl_memory_t memory_of(const Product *product, const dnnl_memory_desc_t *description) {
    dnnl_memory_t memory;
    check(dnnl_memory_create(&memory, description, product->engine, DNNL_MEMORY_ALLOCATE), "memory");
    void *data;
    check(dnnl_memory_get_data_handle(memory, &data), "memory");
    memset(data, 0, dnnl_memory_desc_get_size(description));
    return memory;
}

static dnnl_memory_desc_t describe(dnnl_dim_t a, dnnl_dim_t b, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t description;
    dnnl_dims_t dims = {a, b};
    check(dnnl_memory_desc_init_by_tag(&description, 2, dims, type, tag), "shape");
    return description;
}

/* Best of several timed batches. */
static double gflops(const Product *p) {
    dnnl_memory_desc_t source = describe(p->rows, p->in, p->type, dnnl_ab);
    dnnl_memory_desc_t weights = describe(p->in, p->out, p->type, dnnl_format_tag_any);
    dnnl_memory_desc_t result = describe(p->rows, p->out, dnnl_f32, dnnl_ab);
    dnnl_matmul_desc_t operation;
    check(dnnl_matmul_desc_init(&operation, &source, &weights, NULL, &result), "matmul");
    dnnl_primitive_desc_t chosen;
    check(dnnl_primitive_desc_create(&chosen, &operation, NULL, p->engine, NULL), "matmul");
    dnnl_primitive_t primitive;
    check(dnnl_primitive_create(&primitive, chosen), "matmul");
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, memory_of(p, &source)},
        {DNNL_ARG_WEIGHTS, memory_of(p, dnnl_primitive_desc_query_md(chosen, dnnl_query_weights_md, 0))},
        {DNNL_ARG_DST, memory_of(p, &result)},
    };
    double work = 2.0 * (double)p->rows * (double)p->in * (double)p->out, best = 0.0;
    for (int round = 0; round < 8; round++) {
        int repeats = work > 4e9 ? 1 : (int)(4e9 / work);
        double start = seconds_now();
        for (int i = 0; i < repeats; i++) {
            check(dnnl_primitive_execute(primitive, p->stream, 3, arguments), "matmul");
        }
        check(dnnl_stream_wait(p->stream), "matmul");
        double rate = work * repeats / (seconds_now() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    for (int i = 0; i < 3; i++) {
        dnnl_memory_destroy(arguments[i].memory);
    }
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(chosen);
    return best;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: bench_library_peak f32|bf16 ROWS INxOUT...\n");
        return 2;
    }
    Product product = {.type = strcmp(argv[1], "bf16") == 0 ? dnnl_bf16 : dnnl_f32, .rows = atol(argv[2])};
    check(dnnl_engine_create(&product.engine, dnnl_cpu, 0), "engine");
    check(dnnl_stream_create(&product.stream, product.engine, dnnl_stream_default_flags), "stream");
    double best = 0.0;
    printf("{\"sizes\": {");
    for (int i = 3; i < argc; i++) {
        char *end;
        product.in = strtol(argv[i], &end, 10);
        product.out = *end == 'x' ? strtol(end + 1, NULL, 10) : 0;
        if (product.in <= 0 || product.out <= 0 || product.rows <= 0) {
            fprintf(stderr, "%s: a size INxOUT expected\n", argv[i]);
            return 2;
        }
        double rate = gflops(&product);
        best = rate > best ? rate : best;
        printf("%s\"%s\": %.1f", i > 3 ? ", " : "", argv[i], rate);
    }
    printf("}, \"best\": %.1f}\n", best);
    dnnl_stream_destroy(product.stream);
    dnnl_engine_destroy(product.engine);
    return 0;
}
