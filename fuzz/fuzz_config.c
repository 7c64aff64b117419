/* config.json beside weights that fit the seeds: D 8, F 16 (GPT-2: 32), L 1, H 2, V 7. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/tensor_files.h"
#include "fuzz.h"
#include "model/model.h"

typedef struct Row {
    const char *name;
    int64_t rows, columns; /* columns 0: a vector */
} Row;

static const Row weights[] = {
    {"model.embed_tokens.weight", 7, 8},
    {"model.layers.0.input_layernorm.weight", 8, 0},
    {"model.layers.0.self_attn.q_proj.weight", 8, 8},
    {"model.layers.0.self_attn.k_proj.weight", 4, 8},
    {"model.layers.0.self_attn.v_proj.weight", 4, 8},
    {"model.layers.0.self_attn.o_proj.weight", 8, 8},
    {"model.layers.0.post_attention_layernorm.weight", 8, 0},
    {"model.layers.0.mlp.gate_proj.weight", 16, 8},
    {"model.layers.0.mlp.up_proj.weight", 16, 8},
    {"model.layers.0.mlp.down_proj.weight", 8, 16},
    {"model.layers.0.mlp.gate.weight", 2, 8},
    {"model.layers.0.mlp.experts.0.gate_proj.weight", 4, 8},
    {"model.layers.0.mlp.experts.0.up_proj.weight", 4, 8},
    {"model.layers.0.mlp.experts.0.down_proj.weight", 8, 4},
    {"model.layers.0.mlp.experts.1.gate_proj.weight", 4, 8},
    {"model.layers.0.mlp.experts.1.up_proj.weight", 4, 8},
    {"model.layers.0.mlp.experts.1.down_proj.weight", 8, 4},
    {"model.layers.0.mlp.shared_expert.gate_proj.weight", 6, 8},
    {"model.layers.0.mlp.shared_expert.up_proj.weight", 6, 8},
    {"model.layers.0.mlp.shared_expert.down_proj.weight", 8, 6},
    {"model.layers.0.mlp.shared_expert_gate.weight", 1, 8},
    {"model.norm.weight", 8, 0},
    {"model.layers.0.self_attn.q_proj.bias", 8, 0},
    {"model.layers.0.self_attn.k_proj.bias", 4, 0},
    {"model.layers.0.self_attn.v_proj.bias", 4, 0},
    {"model.layers.0.self_attn.q_norm.weight", 4, 0},
    {"model.layers.0.self_attn.k_norm.weight", 4, 0},
    {"model.layers.0.self_attn.qkv_proj.weight", 16, 8},
    {"model.layers.0.mlp.gate_up_proj.weight", 32, 8},
    {"model.layers.0.pre_feedforward_layernorm.weight", 8, 0},
    {"model.layers.0.post_feedforward_layernorm.weight", 8, 0},
    {"score.weight", 2, 8},
    {"lm_head.weight", 7, 8},
    {"transformer.wte.weight", 7, 8},
    {"transformer.wpe.weight", 16, 8},
    {"transformer.h.0.ln_1.weight", 8, 0},
    {"transformer.h.0.ln_1.bias", 8, 0},
    {"transformer.h.0.attn.c_attn.weight", 8, 24},
    {"transformer.h.0.attn.c_attn.bias", 24, 0},
    {"transformer.h.0.attn.c_proj.weight", 8, 8},
    {"transformer.h.0.attn.c_proj.bias", 8, 0},
    {"transformer.h.0.ln_2.weight", 8, 0},
    {"transformer.h.0.ln_2.bias", 8, 0},
    {"transformer.h.0.mlp.c_fc.weight", 8, 32},
    {"transformer.h.0.mlp.c_fc.bias", 32, 0},
    {"transformer.h.0.mlp.c_proj.weight", 32, 8},
    {"transformer.h.0.mlp.c_proj.bias", 8, 0},
    {"transformer.ln_f.weight", 8, 0},
    {"transformer.ln_f.bias", 8, 0},
    {"bert.embeddings.word_embeddings.weight", 7, 8},
    {"bert.embeddings.position_embeddings.weight", 16, 8},
    {"bert.embeddings.token_type_embeddings.weight", 2, 8},
    {"bert.embeddings.LayerNorm.weight", 8, 0},
    {"bert.embeddings.LayerNorm.bias", 8, 0},
    {"bert.encoder.layer.0.attention.self.query.weight", 8, 8},
    {"bert.encoder.layer.0.attention.self.query.bias", 8, 0},
    {"bert.encoder.layer.0.attention.self.key.weight", 8, 8},
    {"bert.encoder.layer.0.attention.self.key.bias", 8, 0},
    {"bert.encoder.layer.0.attention.self.value.weight", 8, 8},
    {"bert.encoder.layer.0.attention.self.value.bias", 8, 0},
    {"bert.encoder.layer.0.attention.output.dense.weight", 8, 8},
    {"bert.encoder.layer.0.attention.output.dense.bias", 8, 0},
    {"bert.encoder.layer.0.attention.output.LayerNorm.weight", 8, 0},
    {"bert.encoder.layer.0.attention.output.LayerNorm.bias", 8, 0},
    {"bert.encoder.layer.0.intermediate.dense.weight", 16, 8},
    {"bert.encoder.layer.0.intermediate.dense.bias", 16, 0},
    {"bert.encoder.layer.0.output.dense.weight", 8, 16},
    {"bert.encoder.layer.0.output.dense.bias", 8, 0},
    {"bert.encoder.layer.0.output.LayerNorm.weight", 8, 0},
    {"bert.encoder.layer.0.output.LayerNorm.bias", 8, 0},
    {"bert.pooler.dense.weight", 8, 8},
    {"bert.pooler.dense.bias", 8, 0},
    {"classifier.weight", 2, 8},
    {"classifier.bias", 2, 0},
    {"gpt_neox.embed_in.weight", 7, 8},
    {"gpt_neox.layers.0.input_layernorm.weight", 8, 0},
    {"gpt_neox.layers.0.input_layernorm.bias", 8, 0},
    {"gpt_neox.layers.0.post_attention_layernorm.weight", 8, 0},
    {"gpt_neox.layers.0.post_attention_layernorm.bias", 8, 0},
    {"gpt_neox.layers.0.attention.query_key_value.weight", 24, 8},
    {"gpt_neox.layers.0.attention.query_key_value.bias", 24, 0},
    {"gpt_neox.layers.0.attention.dense.weight", 8, 8},
    {"gpt_neox.layers.0.attention.dense.bias", 8, 0},
    {"gpt_neox.layers.0.mlp.dense_h_to_4h.weight", 16, 8},
    {"gpt_neox.layers.0.mlp.dense_h_to_4h.bias", 16, 0},
    {"gpt_neox.layers.0.mlp.dense_4h_to_h.weight", 8, 16},
    {"gpt_neox.layers.0.mlp.dense_4h_to_h.bias", 8, 0},
    {"gpt_neox.final_layer_norm.weight", 8, 0},
    {"gpt_neox.final_layer_norm.bias", 8, 0},
    {"embed_out.weight", 7, 8},
    {"model.decoder.embed_tokens.weight", 7, 4},
    {"model.decoder.embed_positions.weight", 18, 8},
    {"model.decoder.project_in.weight", 8, 4},
    {"model.decoder.project_out.weight", 4, 8},
    {"model.decoder.layers.0.self_attn.q_proj.weight", 8, 8},
    {"model.decoder.layers.0.self_attn.q_proj.bias", 8, 0},
    {"model.decoder.layers.0.self_attn.k_proj.weight", 8, 8},
    {"model.decoder.layers.0.self_attn.k_proj.bias", 8, 0},
    {"model.decoder.layers.0.self_attn.v_proj.weight", 8, 8},
    {"model.decoder.layers.0.self_attn.v_proj.bias", 8, 0},
    {"model.decoder.layers.0.self_attn.out_proj.weight", 8, 8},
    {"model.decoder.layers.0.self_attn.out_proj.bias", 8, 0},
    {"model.decoder.layers.0.self_attn_layer_norm.weight", 8, 0},
    {"model.decoder.layers.0.self_attn_layer_norm.bias", 8, 0},
    {"model.decoder.layers.0.fc1.weight", 16, 8},
    {"model.decoder.layers.0.fc1.bias", 16, 0},
    {"model.decoder.layers.0.fc2.weight", 8, 16},
    {"model.decoder.layers.0.fc2.bias", 8, 0},
    {"model.decoder.layers.0.final_layer_norm.weight", 8, 0},
    {"model.decoder.layers.0.final_layer_norm.bias", 8, 0},
    {"model.decoder.final_layer_norm.weight", 8, 0},
    {"model.decoder.final_layer_norm.bias", 8, 0},
    {"transformer.word_embeddings.weight", 7, 8},
    {"transformer.h.0.input_layernorm.weight", 8, 0},
    {"transformer.h.0.input_layernorm.bias", 8, 0},
    {"transformer.h.0.post_attention_layernorm.weight", 8, 0},
    {"transformer.h.0.post_attention_layernorm.bias", 8, 0},
    {"transformer.h.0.ln_attn.weight", 8, 0},
    {"transformer.h.0.ln_attn.bias", 8, 0},
    {"transformer.h.0.ln_mlp.weight", 8, 0},
    {"transformer.h.0.ln_mlp.bias", 8, 0},
    {"transformer.h.0.self_attention.query_key_value.weight", 16, 8},
    {"transformer.h.0.self_attention.query_key_value.bias", 16, 0},
    {"transformer.h.0.self_attention.dense.weight", 8, 8},
    {"transformer.h.0.self_attention.dense.bias", 8, 0},
    {"transformer.h.0.mlp.dense_h_to_4h.weight", 16, 8},
    {"transformer.h.0.mlp.dense_h_to_4h.bias", 16, 0},
    {"transformer.h.0.mlp.dense_4h_to_h.weight", 8, 16},
    {"transformer.h.0.mlp.dense_4h_to_h.bias", 8, 0},
    {"roberta.embeddings.word_embeddings.weight", 7, 8},
    {"roberta.embeddings.position_embeddings.weight", 16, 8},
    {"roberta.embeddings.token_type_embeddings.weight", 2, 8},
    {"roberta.embeddings.LayerNorm.weight", 8, 0},
    {"roberta.embeddings.LayerNorm.bias", 8, 0},
    {"roberta.encoder.layer.0.attention.self.query.weight", 8, 8},
    {"roberta.encoder.layer.0.attention.self.query.bias", 8, 0},
    {"roberta.encoder.layer.0.attention.self.key.weight", 8, 8},
    {"roberta.encoder.layer.0.attention.self.key.bias", 8, 0},
    {"roberta.encoder.layer.0.attention.self.value.weight", 8, 8},
    {"roberta.encoder.layer.0.attention.self.value.bias", 8, 0},
    {"roberta.encoder.layer.0.attention.output.dense.weight", 8, 8},
    {"roberta.encoder.layer.0.attention.output.dense.bias", 8, 0},
    {"roberta.encoder.layer.0.attention.output.LayerNorm.weight", 8, 0},
    {"roberta.encoder.layer.0.attention.output.LayerNorm.bias", 8, 0},
    {"roberta.encoder.layer.0.intermediate.dense.weight", 16, 8},
    {"roberta.encoder.layer.0.intermediate.dense.bias", 16, 0},
    {"roberta.encoder.layer.0.output.dense.weight", 8, 16},
    {"roberta.encoder.layer.0.output.dense.bias", 8, 0},
    {"roberta.encoder.layer.0.output.LayerNorm.weight", 8, 0},
    {"roberta.encoder.layer.0.output.LayerNorm.bias", 8, 0},
    {"lm_head.dense.weight", 8, 8},
    {"lm_head.dense.bias", 8, 0},
    {"lm_head.layer_norm.weight", 8, 0},
    {"lm_head.layer_norm.bias", 8, 0},
    {"lm_head.bias", 7, 0},
    {"distilbert.embeddings.word_embeddings.weight", 7, 8},
    {"distilbert.embeddings.position_embeddings.weight", 16, 8},
    {"distilbert.embeddings.LayerNorm.weight", 8, 0},
    {"distilbert.embeddings.LayerNorm.bias", 8, 0},
    {"distilbert.transformer.layer.0.attention.q_lin.weight", 8, 8},
    {"distilbert.transformer.layer.0.attention.q_lin.bias", 8, 0},
    {"distilbert.transformer.layer.0.attention.k_lin.weight", 8, 8},
    {"distilbert.transformer.layer.0.attention.k_lin.bias", 8, 0},
    {"distilbert.transformer.layer.0.attention.v_lin.weight", 8, 8},
    {"distilbert.transformer.layer.0.attention.v_lin.bias", 8, 0},
    {"distilbert.transformer.layer.0.attention.out_lin.weight", 8, 8},
    {"distilbert.transformer.layer.0.attention.out_lin.bias", 8, 0},
    {"distilbert.transformer.layer.0.sa_layer_norm.weight", 8, 0},
    {"distilbert.transformer.layer.0.sa_layer_norm.bias", 8, 0},
    {"distilbert.transformer.layer.0.ffn.lin1.weight", 16, 8},
    {"distilbert.transformer.layer.0.ffn.lin1.bias", 16, 0},
    {"distilbert.transformer.layer.0.ffn.lin2.weight", 8, 16},
    {"distilbert.transformer.layer.0.ffn.lin2.bias", 8, 0},
    {"distilbert.transformer.layer.0.output_layer_norm.weight", 8, 0},
    {"distilbert.transformer.layer.0.output_layer_norm.bias", 8, 0},
    {"pre_classifier.weight", 8, 8},
    {"pre_classifier.bias", 8, 0},
};
enum { N_WEIGHTS = sizeof weights / sizeof weights[0] };

static void remove_folder(void) {
    unlink(scratch_path("model.safetensors"));
    unlink(scratch_path("config.json"));
    rmdir(scratch_path(""));
}

static void make_folder(void) {
    static const float values[8 * 32] = {0.5f, -0.25f, 1.0f};
    Tensor tensors[N_WEIGHTS];
    for (int i = 0; i < N_WEIGHTS; i++) {
        int64_t columns = weights[i].columns > 0 ? weights[i].columns : 1;
        tensors[i] = (Tensor){.name = weights[i].name,
                              .dtype = DTYPE_F32,
                              .rank = weights[i].columns > 0 ? 2 : 1,
                              .shape = {weights[i].rows, weights[i].columns},
                              .data = values,
                              .bytes = (size_t)(weights[i].rows * columns) * sizeof *values};
    }
    scratch_make(remove_folder);
    check(safetensors_write(scratch_path("model.safetensors"), tensors, N_WEIGHTS, NULL, 0) == LIMN_OK, "weights");
    check(symlink(memory_file(NULL, 0), scratch_path("config.json")) == 0, "a link to memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!scratch_made()) {
        make_folder();
    }
    memory_file(data, size);
    const ModelOptions options = {.config_only = size % 2 == 1};
    Model *model;
    limn_status status = model_open(&model, scratch_path(""), &options, NULL);
    if (status != LIMN_OK) {
        check(model == NULL, "no model after a failure");
        check_failure(status);
        return 0;
    }
    check(model->config.n_vocab == 7 && model->config.d_model == 8, "the widths of the weights");
    check(model->n_parameters > 0, "parameters");
    model_free(model);
    return 0;
}
