/* What a folder of sentence-transformers says beside its model: modules.json, 1_Pooling/config.json,
 * sentence_bert_config.json and config_sentence_transformers.json, with a NUL between two of them, beside a tiny
 * DistilBERT (D 8, F 16, L 1, H 2, V 7). What is empty is not there. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "model/model.h"

static const char *const beside[] = {"modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
                                     "config_sentence_transformers.json"};
enum { BESIDE = sizeof beside / sizeof beside[0] };

static const char config[] = "{\"model_type\":\"distilbert\",\"architectures\":[\"DistilBertModel\"],\"dim\":8,"
                             "\"hidden_dim\":16,\"n_layers\":1,\"n_heads\":2,\"vocab_size\":7,"
                             "\"max_position_embeddings\":16}";

static const ScratchWeight weights[] = {
    {"embeddings.word_embeddings.weight", 7, 8},
    {"embeddings.position_embeddings.weight", 16, 8},
    {"embeddings.LayerNorm.weight", 8, 0},
    {"embeddings.LayerNorm.bias", 8, 0},
    {"transformer.layer.0.attention.q_lin.weight", 8, 8},
    {"transformer.layer.0.attention.q_lin.bias", 8, 0},
    {"transformer.layer.0.attention.k_lin.weight", 8, 8},
    {"transformer.layer.0.attention.k_lin.bias", 8, 0},
    {"transformer.layer.0.attention.v_lin.weight", 8, 8},
    {"transformer.layer.0.attention.v_lin.bias", 8, 0},
    {"transformer.layer.0.attention.out_lin.weight", 8, 8},
    {"transformer.layer.0.attention.out_lin.bias", 8, 0},
    {"transformer.layer.0.sa_layer_norm.weight", 8, 0},
    {"transformer.layer.0.sa_layer_norm.bias", 8, 0},
    {"transformer.layer.0.ffn.lin1.weight", 16, 8},
    {"transformer.layer.0.ffn.lin1.bias", 16, 0},
    {"transformer.layer.0.ffn.lin2.weight", 8, 16},
    {"transformer.layer.0.ffn.lin2.bias", 8, 0},
    {"transformer.layer.0.output_layer_norm.weight", 8, 0},
    {"transformer.layer.0.output_layer_norm.bias", 8, 0},
};
enum { N_WEIGHTS = sizeof weights / sizeof weights[0] };

static void remove_folder(void) {
    for (int i = 0; i < BESIDE; i++) {
        unlink(scratch_path(beside[i]));
    }
    unlink(scratch_path("model.safetensors"));
    unlink(scratch_path("config.json"));
    rmdir(scratch_path("1_Pooling"));
    rmdir(scratch_path(""));
}

static void make_folder(void) {
    scratch_make(remove_folder);
    check(mkdir(scratch_path("1_Pooling"), 0700) == 0, "a folder");
    scratch_put_weights("model.safetensors", weights, N_WEIGHTS);
    scratch_put("config.json", config, sizeof config - 1);
}

static void check_pooling(const Model *model) {
    const Pooling *pooling = &model->config.pooling;
    check(pooling->n_modes >= 1 || pooling->refused != NULL, "a way to pool, or why there is none");
    for (int i = 0; i < model->n_warnings; i++) {
        check(strchr(model->warnings[i], '\n') == NULL, "a warning is one line");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!scratch_made()) {
        make_folder();
    }
    scratch_put_parts(beside, BESIDE, data, size);
    char folder[160];
    snprintf(folder, sizeof folder, "%s", scratch_path(""));
    const ModelOptions options = {.config_only = size % 2 == 1};
    Model *model;
    limn_status status = model_open(&model, folder, &options, NULL);
    if (status != LIMN_OK) {
        check(model == NULL, "no model after a failure");
        check_failure(status);
        return 0;
    }
    check_pooling(model);
    model_free(model);
    return 0;
}
