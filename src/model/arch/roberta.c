/* RoBERTa and XLM-RoBERTa (Liu et al. 2019, Conneau et al. 2020): BERT whose positions are counted over the tokens that
 * are not padding, from the row after the padding token's id; heads of their own. */
#include <string.h>

#include "model/encoder.h"

limn_status roberta_build(Build *build);

/* As in BERT; the activation between is GELU, whatever hidden_act says. */
static limn_status get_masked_head(Build *build, Encoder *roberta, bool tied, const char *prefix) {
    ModelConfig *config = &build->model->config;
    TRY(build_linear(build, &roberta->transform, config->d_model, config->d_model, true, "lm_head.", "dense"));
    roberta->transform_activation = ACTIVATION_GELU;
    TRY(encoder_norm(build, &roberta->transform_ln, roberta, "lm_head.", "layer_norm"));
    TRY(build_tied(build, &roberta->words, &roberta->head.weight, tied,
                   build_name(build, "%sembeddings.word_embeddings.weight", prefix), "lm_head.decoder.weight"));
    const char *bias = "lm_head.bias", *decoder_bias = "lm_head.decoder.bias";
    bool has_own = weights_has(build->weights, decoder_bias);
    TRY(weights_ignore(build->weights, bias));
    return build_vector(build, &roberta->head.bias, config->n_vocab, "%s", has_own ? decoder_bias : bias);
}

static limn_status get_head(Build *build, Encoder *roberta, bool tied, const char *prefix) {
    ModelConfig *config = &build->model->config;
    int64_t d = config->d_model;
    const char *pooler = build_name(build, "%spooler.dense.weight", prefix);
    if (pooler == NULL) {
        return build_no_memory(build);
    }
    if (config->task != TASK_ENCODER) {
        TRY(weights_ignore(build->weights, "pooler.dense.weight"));
        TRY(weights_ignore(build->weights, "pooler.dense.bias"));
    }
    if (config->task == TASK_MASKED_LM) {
        return get_masked_head(build, roberta, tied, prefix);
    }
    TRY(build_table(build, &roberta->words, config->n_vocab, d, "%sembeddings.word_embeddings.weight", prefix));
    roberta->pooler_activation = ACTIVATION_TANH;
    if (config->task == TASK_CLASSIFIER) {
        TRY(build_labels(build));
        TRY(build_linear(build, &roberta->pooler, d, d, true, "classifier.", "dense"));
        return build_linear(build, &roberta->head, config->n_classes, d, true, "classifier.", "out_proj");
    }
    return weights_has(build->weights, pooler)
               ? build_linear(build, &roberta->pooler, d, d, true, prefix, "pooler.dense")
               : LIMN_OK;
}

limn_status roberta_build(Build *build) {
    ModelConfig *config = &build->model->config;
    Encoder roberta = {0};
    int64_t n_types;
    bool tied, xlm = strncmp(build->architecture, "XLM", 3) == 0;
    config->model_type = xlm ? "xlm-roberta" : "roberta";
    TRY(bert_read_config(&roberta, build, &(BertDefaults){.n_vocab = xlm ? 30522 : 50265, .pad_id = 1}, &n_types,
                         &tied));
    TRY(encoder_new(&roberta, build));
    config->positions = POSITION_NOT_PAD;
    roberta.position_offset = config->pad_id;
    config->n_context -= config->pad_id + 1;
    if (config->pad_id < 0 || config->n_context < 1) {
        return settings_fail(LIMN_FORMAT, build->settings, "pad_token_id",
                             "a row of the position table with others after it");
    }
    const char *prefix = build_prefix(build, "roberta.", "embeddings.word_embeddings.weight");
    TRY(bert_get_body(&roberta, build, n_types, prefix));
    TRY(get_head(build, &roberta, tied, prefix));
    return encoder_build(build, &roberta);
}
