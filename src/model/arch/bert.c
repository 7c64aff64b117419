/* BERT (Devlin et al. 2019): an encoder whose norms follow each residual sum, with learned positions and token types.
 */
#include <stdio.h>

#include "model/encoder.h"

limn_status bert_build(Build *build);

/* The decoder is the word embedding unless told otherwise. Its bias goes by two names; where both are stored and
 * differ, the reference uses the decoder's own. */
static limn_status get_masked_head(Build *build, Encoder *bert, bool tied, const char *prefix) {
    ModelConfig *config = &build->model->config;
    const char *head = "cls.predictions.";
    TRY(build_linear(build, &bert->transform, config->d_model, config->d_model, true, head, "transform.dense"));
    bert->transform_activation = bert->activation;
    TRY(encoder_norm(build, &bert->transform_ln, bert, head, "transform.LayerNorm"));
    TRY(build_tied(build, &bert->words, &bert->head.weight, tied,
                   build_name(build, "%sembeddings.word_embeddings.weight", prefix), "cls.predictions.decoder.weight"));
    const char *bias = "cls.predictions.bias", *decoder_bias = "cls.predictions.decoder.bias";
    bool has_own = weights_has(build->weights, decoder_bias);
    TRY(weights_ignore(build->weights, bias));
    TRY(weights_ignore(build->weights, "cls.seq_relationship.weight"));
    TRY(weights_ignore(build->weights, "cls.seq_relationship.bias"));
    TRY(weights_ignore(build->weights, "pooler.dense.weight"));
    TRY(weights_ignore(build->weights, "pooler.dense.bias"));
    return build_vector(build, &bert->head.bias, config->n_vocab, "%s", has_own ? decoder_bias : bias);
}

static limn_status get_head(Build *build, Encoder *bert, bool tied, const char *prefix) {
    ModelConfig *config = &build->model->config;
    if (config->task == TASK_MASKED_LM) {
        return get_masked_head(build, bert, tied, prefix);
    }
    char pooler[64];
    snprintf(pooler, sizeof pooler, "%spooler.dense.weight", prefix);
    TRY(build_table(build, &bert->words, config->n_vocab, config->d_model, "%s%s.weight", prefix,
                    build_called(build, "embeddings.word_embeddings", "token_embd")));
    bert->pooler_activation = ACTIVATION_TANH;
    if (config->task == TASK_CLASSIFIER || weights_has(build->weights, pooler)) {
        TRY(build_linear(build, &bert->pooler, config->d_model, config->d_model, true, prefix, "pooler.dense"));
    }
    if (config->task == TASK_CLASSIFIER) {
        TRY(build_labels(build));
        return build_linear(build, &bert->head, config->n_classes, config->d_model, true, "", "classifier");
    }
    return LIMN_OK;
}

limn_status bert_build(Build *build) {
    Encoder bert = {0};
    int64_t n_types;
    bool tied;
    TRY(bert_read_config(&bert, build, &(BertDefaults){.n_vocab = 30522, .pad_id = 0}, &n_types, &tied));
    TRY(encoder_new(&bert, build));
    const char *prefix = build_called(build, build_prefix(build, "bert.", "embeddings.word_embeddings.weight"), "");
    TRY(bert_get_body(&bert, build, n_types, prefix));
    TRY(get_head(build, &bert, tied, prefix));
    return encoder_build(build, &bert);
}
