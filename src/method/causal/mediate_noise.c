/* Noise on the embeddings of key words. */
#include <math.h>
#include <stdlib.h>

#include "ask/baseline.h"
#include "base/random.h"
#include "files/tensor_files.h"
#include "method/causal/mediate.h"

enum { TABLE_ROWS = 1024 };

typedef struct Spread {
    double sum, squares;
    int64_t n;
} Spread;

static void add_values(Spread *spread, const float *values, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        spread->sum += (double)values[i];
        spread->squares += (double)values[i] * (double)values[i];
    }
    spread->n += n;
}

/* The table as the model reads it: quantised or scaled entries are what reaches the layers. */
static limn_status read_table(Spread *spread, const Mediate *mediate, float *values, int32_t *ids) {
    int32_t n_vocab = mediate->model->config.n_vocab;
    int64_t width = mediate->model->config.d_embed;
    for (int32_t first = 0; first < n_vocab; first += TABLE_ROWS) {
        int32_t n = n_vocab - first < TABLE_ROWS ? n_vocab - first : TABLE_ROWS;
        for (int32_t i = 0; i < n; i++) {
            ids[i] = first + i;
        }
        int32_t context = mediate->model->config.n_context, step = context > 0 && context < n ? context : n;
        for (int32_t at = 0; at < n; at += step) { /* no sequence may be longer than the model reads */
            int32_t m = n - at < step ? n - at : step;
            TRY(embed_ids(values, mediate->engine, ids + at, m, mediate->call->progress));
            add_values(spread, values, m * width);
        }
    }
    return LIMN_OK;
}

limn_status mediate_find_deviation(Mediate *mediate) {
    if (mediate->deviation > 0) {
        return LIMN_OK;
    }
    Spread spread = {0};
    float *values = malloc((size_t)TABLE_ROWS * (size_t)mediate->model->config.d_embed * sizeof *values);
    int32_t *ids = malloc(TABLE_ROWS * sizeof *ids);
    limn_status status =
        values == NULL || ids == NULL ? method_no_memory(mediate->call) : read_table(&spread, mediate, values, ids);
    free(values);
    free(ids);
    TRY(status);
    double mean = spread.sum / (double)spread.n;
    mediate->deviation = sqrt(fmax(0, spread.squares / (double)spread.n - mean * mean));
    return mediate->deviation > 0 ? LIMN_OK
                                  : fail(LIMN_FORMAT,
                                         "%s: all entries of the embedding table are equal, so noise has "
                                         "no measure",
                                         mediate->model->path);
}

static limn_status read_noise(MediatePair *pair, MethodCall *call, const char *path, int64_t width) {
    TensorFiles *files;
    TRY(tensor_files_open(&files, path));
    const Tensor *tensor = tensor_files_find(files, "noise");
    limn_status status = LIMN_OK;
    if (tensor == NULL) {
        status = fail(LIMN_NOT_FOUND, "%s: found no tensor 'noise'", path);
    } else if (tensor->rank != 3 || tensor->dtype != DTYPE_F32 || tensor->shape[0] < 1 || tensor->shape[0] > 10000 ||
               tensor->shape[1] != pair->n_keys || tensor->shape[2] != width) {
        char shape[96];
        status = fail(LIMN_USAGE, "%s: noise is %s %s, expected F32 [samples, %d, %lld] (key tokens, width)", path,
                      dtype_info(tensor->dtype)->name, tensor_shape_text(tensor, shape), (int)pair->n_keys,
                      (long long)width);
    } else {
        float *copy = arena_alloc(call->arena, tensor->bytes);
        status = copy == NULL ? method_no_memory(call) : LIMN_OK;
        for (size_t i = 0; copy != NULL && i < tensor->bytes / sizeof *copy; i++) {
            copy[i] = ((const float *)tensor->data)[i];
        }
        pair->noise = copy;
        pair->samples = (int32_t)tensor->shape[0];
    }
    tensor_files_close(files);
    return status;
}

limn_status mediate_make_noise(const Mediate *mediate, MediatePair *pair, MethodCall *call, int64_t number) {
    int64_t width = mediate->model->config.d_embed;
    if (mediate->params->noise_values.bytes != NULL) {
        return read_noise(pair, call, mediate->params->noise_values.bytes, width);
    }
    pair->samples = (int32_t)mediate->params->samples;
    int64_t each = pair->n_keys * width, n = pair->samples * each;
    float *noise = arena_alloc(call->arena, (size_t)n * sizeof *noise);
    if (noise == NULL) {
        return method_no_memory(call);
    }
    double size = mediate->params->noise * mediate->deviation;
    Random random; /* a stream of its own for each record, whichever others there are */
    random_seed(&random, (uint64_t)call->common.seed ^ ((uint64_t)number * UINT64_C(0x9E3779B97F4A7C15)));
    for (int64_t i = 0; i < n; i++) {
        noise[i] = (float)(size * random_normal(&random));
    }
    pair->noise = noise;
    return LIMN_OK;
}
