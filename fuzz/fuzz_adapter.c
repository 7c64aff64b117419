/* A PEFT adapter on a tiny Llama: adapter_config.json, and after its first NUL adapter_model.safetensors. Without a NUL
 * the tensors are good ones for q_proj. D 8, F 16, L 1, H 2, V 7. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "model/model.h"

static const ScratchWeight model_rows[] = {
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
    {"model.norm.weight", 8, 0},
    {"lm_head.weight", 7, 8},
};

static const ScratchWeight adapter_rows[] = {
    {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 2, 8},
    {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", 8, 2},
};

static const char config[] = "{\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":16,"
                             "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"num_key_value_heads\":1,"
                             "\"vocab_size\":7,\"max_position_embeddings\":16}";

static void remove_folder(void) {
    unlink(scratch_path("model/model.safetensors"));
    unlink(scratch_path("model/config.json"));
    unlink(scratch_path("adapter/adapter_model.safetensors"));
    unlink(scratch_path("adapter/adapter_config.json"));
    unlink(scratch_path("good.safetensors"));
    rmdir(scratch_path("model"));
    rmdir(scratch_path("adapter"));
    rmdir(scratch_path(""));
}

static void make_folder(void) {
    scratch_make(remove_folder);
    check(mkdir(scratch_path("model"), 0700) == 0 && mkdir(scratch_path("adapter"), 0700) == 0, "scratch folders");
    scratch_put_weights("model/model.safetensors", model_rows, sizeof model_rows / sizeof model_rows[0]);
    scratch_put_weights("good.safetensors", adapter_rows, sizeof adapter_rows / sizeof adapter_rows[0]);
    scratch_put("model/config.json", config, sizeof config - 1);
}

static void put_adapter(const uint8_t *data, size_t size) {
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t head = nul != NULL ? (size_t)(nul - data) : size;
    scratch_put("adapter/adapter_config.json", data, head);
    unlink(scratch_path("adapter/adapter_model.safetensors"));
    if (nul != NULL) {
        scratch_put("adapter/adapter_model.safetensors", nul + 1, size - head - 1);
        return;
    }
    char good[160];
    snprintf(good, sizeof good, "%s", scratch_path("good.safetensors"));
    check(link(good, scratch_path("adapter/adapter_model.safetensors")) == 0, "good tensors");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!scratch_made()) {
        make_folder();
    }
    put_adapter(data, size);
    char model_path[160], adapter_path[160];
    snprintf(model_path, sizeof model_path, "%s", scratch_path("model"));
    snprintf(adapter_path, sizeof adapter_path, "%s", scratch_path("adapter"));
    const AdapterUse use = {adapter_path, size % 5 == 1 ? 0.5 : 1.0};
    const ModelOptions options = {.adapters = &use, .n_adapters = 1, .config_only = size % 2 == 1};
    Model *model;
    limn_status status = model_open(&model, model_path, &options, NULL);
    if (status != LIMN_OK) {
        check(model == NULL, "no model after a failure");
        check_failure(status);
        return 0;
    }
    check(model->n_adapters == 1 && model->n_changes > 0, "an adapter that changes something");
    check(model->adapters[0].n_parameters > 0 && (uint64_t)model->adapters[0].n_parameters <= size + 1024,
          "no more numbers than bytes");
    model_free(model);
    return 0;
}
