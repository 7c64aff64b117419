/* The frame of TransformerLens's processed HookedTransformer.
 *
 * Norm gains (and LayerNorm biases) move into the matrices that read the normed stream, whose rows are then centred
 * because a LayerNorm's output has mean zero; what writes to the stream is centred, because LayerNorm ignores its
 * mean; the unembedding is centred over the vocabulary, because softmax ignores a common shift; value biases move
 * through the output projection, because attention patterns sum to one. RMS norms keep the mean: there nothing is
 * centred but the unembedding. */
#include <string.h>

#include "model/decoder.h"

/* A copy of a weight as dense f32, which may be changed. */
static limn_status own(Weight *weight, float **values, WeightStore *store) {
    Weight source = *weight;
    TRY(weights_make(weight, values, store, source.rows, source.columns, source.name));
    for (int64_t row = 0; row < source.rows; row++) {
        for (int64_t column = 0; column < source.columns; column++) {
            (*values)[row * source.columns + column] = weight_value(&source, row, column);
        }
    }
    return LIMN_OK;
}

/* The same for a bias, which is zero when there was none. */
static limn_status own_bias(Linear *linear, float **values, WeightStore *store) {
    if (linear->bias.name != NULL) {
        return own(&linear->bias, values, store);
    }
    return weights_make(&linear->bias, values, store, linear->weight.rows, 1, linear->weight.name);
}

/* W (x g + b) + c = (W g) x + (W b + c). */
static limn_status fold_norm(Linear *linear, const NormSpec *norm, WeightStore *store) {
    if (linear->weight.name == NULL) {
        return LIMN_OK;
    }
    float *weight, *bias = NULL;
    TRY(own(&linear->weight, &weight, store));
    if (norm->bias.name != NULL) {
        TRY(own_bias(linear, &bias, store));
    }
    int64_t columns = linear->weight.columns;
    for (int64_t row = 0; row < linear->weight.rows; row++) {
        double shift = 0, mean = 0;
        float *w = weight + row * columns;
        for (int64_t column = 0; column < columns; column++) {
            if (bias != NULL) {
                shift += (double)w[column] * (double)weight_value(&norm->bias, column, 0);
            }
            if (norm->gain.name != NULL) {
                w[column] *= weight_value(&norm->gain, column, 0) + (norm->plus_one ? 1.0f : 0.0f);
            }
            mean += (double)w[column];
        }
        if (bias != NULL) {
            bias[row] += (float)shift;
        }
        mean /= (double)columns;
        for (int64_t column = 0; norm->kind == NORM_LAYER && column < columns; column++) {
            w[column] -= (float)mean;
        }
    }
    return LIMN_OK;
}

/* Takes from each row its mean: a table whose rows are written to the stream. */
static limn_status center_rows(Weight *table, WeightStore *store) {
    float *values;
    TRY(own(table, &values, store));
    for (int64_t row = 0; row < table->rows; row++) {
        double mean = 0;
        float *at = values + row * table->columns;
        for (int64_t column = 0; column < table->columns; column++) {
            mean += (double)at[column];
        }
        mean /= (double)table->columns;
        for (int64_t column = 0; column < table->columns; column++) {
            at[column] -= (float)mean;
        }
    }
    return LIMN_OK;
}

/* Takes the mean over outputs from what each input adds to them, and from the bias. */
static limn_status center_outputs(Linear *linear, WeightStore *store) {
    float *weight, *bias;
    TRY(own(&linear->weight, &weight, store));
    int64_t rows = linear->weight.rows, columns = linear->weight.columns;
    for (int64_t column = 0; column < columns; column++) {
        double mean = 0;
        for (int64_t row = 0; row < rows; row++) {
            mean += (double)weight[row * columns + column];
        }
        mean /= (double)rows;
        for (int64_t row = 0; row < rows; row++) {
            weight[row * columns + column] -= (float)mean;
        }
    }
    if (linear->bias.name == NULL) {
        return LIMN_OK;
    }
    TRY(own(&linear->bias, &bias, store));
    double mean = 0;
    for (int64_t row = 0; row < rows; row++) {
        mean += (double)bias[row];
    }
    for (int64_t row = 0; row < rows; row++) {
        bias[row] -= (float)(mean / (double)rows);
    }
    return LIMN_OK;
}

/* b_O += W_O b_V, each query head with the bias of the value head it reads. */
static limn_status fold_value_bias(AttentionSpec *attention, WeightStore *store) {
    if (attention->v.bias.name == NULL) {
        return LIMN_OK;
    }
    float *bias, *value_bias;
    TRY(own_bias(&attention->o, &bias, store));
    TRY(own(&attention->v.bias, &value_bias, store));
    int64_t d_head = attention->d_head, group = attention->n_heads / attention->n_kv_heads;
    for (int64_t row = 0; row < attention->o.weight.rows; row++) {
        double sum = 0;
        for (int64_t column = 0; column < attention->o.weight.columns; column++) {
            int64_t head = column / d_head / group;
            sum += (double)weight_value(&attention->o.weight, row, column) *
                   (double)value_bias[head * d_head + column % d_head];
        }
        bias[row] += (float)sum;
    }
    memset(value_bias, 0, (size_t)attention->v.bias.rows * sizeof *value_bias);
    return LIMN_OK;
}

static void drop_gain(NormSpec *norm) {
    norm->gain = (Weight){0};
    norm->bias = (Weight){0};
}

static limn_status convert_layer(DecoderLayer *layer, DecoderOrder order, WeightStore *store) {
    AttentionSpec *attention = &layer->attention;
    const NormSpec *mlp_norm = order == DECODER_PARALLEL_SHARED ? &layer->ln1 : &layer->ln2;
    TRY(fold_norm(&attention->q, &layer->ln1, store));
    TRY(fold_norm(&attention->k, &layer->ln1, store));
    TRY(fold_norm(&attention->v, &layer->ln1, store));
    TRY(fold_norm(&layer->mlp.in, mlp_norm, store));
    TRY(fold_norm(&layer->mlp.gate, mlp_norm, store));
    if (layer->ln1.kind == NORM_LAYER) {
        TRY(center_outputs(&attention->o, store));
        TRY(center_outputs(&layer->mlp.out, store));
    }
    drop_gain(&layer->ln1);
    drop_gain(&layer->ln2);
    return fold_value_bias(attention, store);
}

limn_status decoder_to_transformerlens(Build *build, Decoder *decoder) {
    WeightStore *store = build->weights;
    for (int layer = 0; layer < build->model->config.n_layers; layer++) {
        if (decoder->layers[layer].mlp.experts != NULL) {
            return fail(LIMN_UNSUPPORTED, "%s: --frame transformerlens is for decoders without experts, not for %s",
                        build->model->path, build->architecture);
        }
    }
    if (decoder->ln_final.kind == NORM_LAYER) {
        TRY(center_rows(&decoder->embed, store));
        if (decoder->positions.name != NULL) {
            TRY(center_rows(&decoder->positions, store));
        }
    }
    for (int layer = 0; layer < build->model->config.n_layers; layer++) {
        TRY(convert_layer(&decoder->layers[layer], decoder->order, store));
        TRY(team_tick(build->team, "frame", layer, build->model->config.n_layers));
    }
    TRY(fold_norm(&decoder->head, &decoder->ln_final, store));
    drop_gain(&decoder->ln_final);
    /* A soft-capped logit is not free of a common shift. */
    return decoder->softcap != 0 ? LIMN_OK : center_outputs(&decoder->head, store);
}
