/* Opening folders: what is read, what is refused and how it is said. */
#include "model/arch.h"
#include "model/folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cases[] = {
#define GOLDEN_CASE(name, has) name,
#include "golden/cases.def"
#undef GOLDEN_CASE
    NULL};

/* Every hook of the reference is a site, and every site is a hook of the reference. */
static void sites_are_those_of_the_reference(void **state) {
    for (int i = 0; cases[i] != NULL; i++) {
        Model *model = open_or_fail(case_path(cases[i], ""), &(ModelOptions){.config_only = true});
        TensorFiles *golden;
        assert_int_equal(tensor_files_open(&golden, case_path(cases[i], "golden.safetensors")), LIMN_OK);
        int32_t hooks = 0;
        for (int32_t t = 0; t < tensor_files_count(golden); t++) {
            const char *name = tensor_files_at(golden, t)->name;
            if (strstr(name, "hook_") != NULL && strstr(name, ".grad") == NULL) {
                hooks++;
                if (graph_find_site(&model->graph, name) == NODE_NONE) {
                    fail_msg("%s: no site %s", cases[i], name);
                }
            }
        }
        for (int32_t s = 0; s < model->graph.n_sites; s++) {
            if (tensor_files_find(golden, model->graph.site_list[s].name) == NULL) {
                fail_msg("%s: site %s is unknown to the reference", cases[i], model->graph.site_list[s].name);
            }
        }
        assert_int_equal(model->graph.n_sites, hooks);
        assert_int_equal(model->n_warnings, 0);
        tensor_files_close(golden);
        model_free(model);
    }
}

static void configuration_is_read(void **state) {
    Model *model = open_or_fail(case_path("llama3", ""), NULL);
    const ModelConfig *config = &model->config;
    assert_string_equal(config->architecture, "LlamaForCausalLM");
    assert_string_equal(config->model_type, "llama");
    assert_int_equal(config->task, TASK_CAUSAL_LM);
    assert_int_equal(config->n_layers, 2);
    assert_int_equal(config->d_model, 32);
    assert_int_equal(config->n_heads, 4);
    assert_int_equal(config->n_kv_heads, 2);
    assert_int_equal(config->d_head, 12);
    assert_int_equal(config->d_mlp, 48);
    assert_int_equal(config->n_vocab, 61);
    assert_int_equal(config->n_context, 128);
    assert_int_equal(config->dtype, DTYPE_BF16);
    assert_int_equal(config->pad_id, -1);
    assert_true(config->causal);
    assert_int_equal(model->n_parameters, 61 * 32 + 2 * (2 * 32 + 2 * 48 * 32 + 2 * 24 * 32 + 3 * 48 * 32) + 32);
    assert_int_equal(model->weight_bytes, 2 * model->n_parameters);
    assert_null(model->tokenizer);
    model_free(model);

    model = open_or_fail(case_path("bert-classifier", ""), NULL);
    assert_int_equal(model->config.task, TASK_CLASSIFIER);
    assert_int_equal(model->config.n_classes, 3);
    assert_string_equal(model->config.labels[2], "grant");
    assert_int_equal(model->config.pad_id, 0);
    assert_false(model->config.causal);
    model_free(model);

    assert_int_equal(model_open(&model, case_path("bert-bare", ""), NULL, NULL), LIMN_OK);
    assert_int_equal(model->config.task, TASK_ENCODER);
    assert_int_equal(model->graph.logits, NODE_NONE);
    model_free(model);
}

/* Without a key the reference's own default holds; the shapes in the message tell which it is. */
static void defaults_are_those_of_the_reference(void **state) {
    static const struct {
        const char *name, *key, *word;
    } rows[] = {
        {"llama-old", "vocab_size", "expected [32000, 32]"},
        {"llama-old", "hidden_size", "expected [4096, 4096]"},
        {"llama-old", "intermediate_size", "expected [11008, 32]"},
        {"llama-old", "num_hidden_layers", "model.layers.2."},
        {"gpt2", "vocab_size", "expected [50257, 32]"},
        {"gpt2", "n_positions", "expected [1024, 32]"},
        {"gpt2", "n_embd", "expected [768, 2304]"},
        {"gpt2", "n_layer", "transformer.h.2."},
        {"gpt2-scaled", "n_inner", "expected [32, 128]"},
        {"bert-mlm", "vocab_size", "expected [30522, 32]"},
        {"bert-mlm", "max_position_embeddings", "expected [512, 32]"},
        {"bert-mlm", "intermediate_size", "expected [3072, 32]"},
        {"bert-mlm", "num_hidden_layers", "bert.encoder.layer.2."},
        {"neox", "vocab_size", "expected [50432, 48]"},
        {"neox", "hidden_size", "expected [18432, 6144]"},
        {"neox", "intermediate_size", "expected [24576, 48]"},
        {"neox", "num_hidden_layers", "gpt_neox.layers.2."},
        {"opt", "vocab_size", "expected [50272, 32]"},
        {"opt", "hidden_size", "expected [768, 768]"},
        {"opt", "ffn_dim", "expected [3072, 32]"},
        {"opt", "max_position_embeddings", "expected [2050, 32]"},
        {"opt", "num_hidden_layers", "model.decoder.layers.2."},
        {"opt-350m", "word_embed_proj_dim", "expected [61, 32]"},
        {"falcon-7b", "vocab_size", "expected [65024, 32]"},
        {"falcon-7b", "num_hidden_layers", "transformer.h.2."},
        {"falcon-11b", "ffn_hidden_size", "expected [128, 32]"},
        {"falcon-11b", "num_ln_in_parallel_attn", "transformer.h.0.ln_attn.weight"},
        {"falcon-40b", "new_decoder_architecture", "expected [48, 32]"},
        {"starcoder2", "vocab_size", "expected [49152, 32]"},
        {"starcoder2", "hidden_size", "expected [3072, 3072]"},
        {"starcoder2", "intermediate_size", "expected [12288, 32]"},
        {"starcoder2", "num_hidden_layers", "model.layers.2."},
        {"starcoder2-classifier", "num_attention_heads", "\"hidden_size\""},
        {"starcoder2-plain", "num_key_value_heads", "expected [24, 32]"},
        {"starcoder2-plain", "use_bias", "self_attn.q_proj.bias"},
        {"distilbert-mlm", "vocab_size", "expected [30522, 32]"},
        {"distilbert-mlm", "dim", "expected [24, 768]"},
        {"distilbert-mlm", "n_layers", "distilbert.transformer.layer.2."},
        {"distilbert-mlm", "hidden_dim", "expected [3072, 32]"},
        {"roberta-mlm", "vocab_size", "expected [50265, 32]"},
        {"xlm-roberta", "vocab_size", "expected [30522, 32]"},
        {"roberta-mlm", "max_position_embeddings", "expected [512, 32]"},
        {"mistral", "vocab_size", "expected [32000, 32]"},
        {"mistral", "intermediate_size", "expected [14336, 32]"},
        {"mistral", "num_key_value_heads", "8 key heads"},
        {"qwen2-classifier", "vocab_size", "expected [151936, 32]"},
        {"qwen2-classifier", "intermediate_size", "expected [22016, 32]"},
        {"qwen3", "head_dim", "expected [512, 32]"},
        {"qwen3", "num_key_value_heads", "32 key heads"},
        {"gemma2", "head_dim", "expected [1024, 32]"},
        {"gemma2", "vocab_size", "expected [256000, 32]"},
        {"gemma2", "num_key_value_heads", "expected [48, 32]"},
        {"gemma3", "vocab_size", "expected [262208, 32]"},
        {"gemma3", "intermediate_size", "expected [9216, 32]"},
        {"phi3", "vocab_size", "expected [32064, 32]"},
        {"phi3", "intermediate_size", "expected [16384, 32]"},
        {"phi3-classifier", "num_key_value_heads", "expected [96, 32]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, NULL);
        assert_refused(LIMN_FORMAT, rows[i].word, folder_path());
    }
    folder_from_case("bert-mlm");
    folder_set("type_vocab_size", NULL);
    folder_set("pad_token_id", NULL);
    Model *model = folder_open(NULL);
    assert_int_equal(model->config.pad_id, 0);
    model_free(model);
}

static void unimplemented_settings_are_refused_by_name(void **state) {
    static const struct {
        const char *name, *key, *value, *word;
    } rows[] = {
        {"llama-old", "sliding_window", "128", "sliding_window"},
        {"llama-old", "quantization_config", "{\"bits\": 4}", "quantization_config"},
        {"llama-old", "hidden_act", "\"mish\"", "hidden_act"},
        {"llama-old", "partial_rotary_factor", "0.5", "partial_rotary_factor"},
        {"llama-old", "rope_scaling", "{\"type\": \"ntk\", \"factor\": 2.0}", "ntk"},
        {"llama-old", "rope_scaling", "{\"rope_type\": \"su\", \"factor\": 2.0}", "su"},
        {"llama-old", "rope_parameters", "{\"rope_type\": \"mrope\"}", "mrope"},
        {"qwen3-window", "layer_types", "[\"full_attention\", \"linear_attention\"]", "linear_attention"},
        {"qwen2-window", "final_logit_softcapping", "30.0", "final_logit_softcapping"},
        {"gemma3", "attn_logit_softcapping", "50.0", "attn_logit_softcapping"},
        {"gemma3", "use_bidirectional_attention", "true", "use_bidirectional_attention"},
        {"llava", "text_config", "{\"model_type\": \"mamba\"}", "mamba"},
        {"llava", "architectures", "[\"PaliGemmaForConditionalGeneration\"]", "PaliGemmaForConditionalGeneration"},
        {"qwen2-vision", "quantization_config", "{\"quant_method\": \"awq\"}", "awq"},
        {"llama-bias", "rope_parameters",
         "{\"rope_type\": \"linear\", \"factor\": 2.0, \"partial_rotary_factor\": 0.25}", "partial_rotary_factor"},
        {"gpt2", "add_cross_attention", "true", "add_cross_attention"},
        {"gpt2", "activation_function", "\"gelu_10\"", "gelu_10"},
        {"bert-mlm", "position_embedding_type", "\"relative_key\"", "relative_key"},
        {"bert-mlm", "is_decoder", "true", "is_decoder"},
        {"bert-mlm", "add_cross_attention", "true", "add_cross_attention"},
        {"neox", "hidden_act", "\"mish\"", "hidden_act"},
        {"neox", "rope_scaling", "{\"type\": \"ntk\", \"factor\": 2.0}", "ntk"},
        {"falcon-40b", "parallel_attn", "false", "parallel_attn"},
        {"falcon-7b", "num_ln_in_parallel_attn", "2", "num_ln_in_parallel_attn"},
        {"starcoder2", "partial_rotary_factor", "0.5", "partial_rotary_factor"},
        {"starcoder2", "hidden_act", "\"mish\"", "hidden_act"},
        {"roberta-mlm", "position_embedding_type", "\"relative_key\"", "relative_key"},
        {"roberta-mlm", "is_decoder", "true", "is_decoder"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, rows[i].value);
        assert_refused(LIMN_UNSUPPORTED, rows[i].word, "config.json");
    }
}

static void harmless_settings_are_not_refused(void **state) {
    static const struct {
        const char *name, *key, *value;
    } rows[] = {
        {"llama-old", "sliding_window", "null"},
        {"llama-old", "pretraining_tp", "2"},
        {"llama-old", "rope_scaling", "{}"},
        {"llama-old", "partial_rotary_factor", "1.0"},
        {"llama-old", "quantization_config", "null"},
        {"llama-old", "attention_dropout", "0.5"},
        {"llama-old", "rope_scaling", "{\"type\": \"default\"}"},
        {"gpt2", "add_cross_attention", "false"},
        {"gpt2", "reorder_and_upcast_attn", "true"},
        {"bert-mlm", "position_embedding_type", "null"},
        {"bert-mlm", "is_decoder", "false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, rows[i].value);
        model_free(folder_open(NULL));
    }
}

static void nonsense_settings_are_refused(void **state) {
    static const struct {
        const char *name, *key, *value;
    } rows[] = {
        {"llama-old", "hidden_size", "\"32\""},
        {"llama-old", "num_hidden_layers", "0"},
        {"llama-old", "num_attention_heads", "-4"},
        {"llama-old", "num_attention_heads", "100000000"},
        {"llama3", "num_key_value_heads", "3"},
        {"llama-old", "rms_norm_eps", "\"small\""},
        {"llama-old", "rms_norm_eps", "-1"},
        {"llama-old", "tie_word_embeddings", "\"yes\""},
        {"llama-old", "head_dim", "7"},
        {"llama-old", "rope_theta", "0"},
        {"llama-old", "rope_scaling", "[1, 2]"},
        {"llama-old", "architectures", "\"LlamaForCausalLM\""},
        {"llama-old", "rope_scaling", "{\"type\": \"linear\"}"},
        {"llama-old", "rope_scaling", "{\"type\": \"llama3\", \"factor\": 8}"},
        {"llama-old", "rope_scaling", "{\"type\": \"dynamic\"}"},
        {"llama-old", "rope_scaling", "{\"type\": \"yarn\", \"factor\": -1}"},
        {"llama-old", "rope_scaling", "{\"type\": \"longrope\", \"factor\": 2.0, \"short_factor\": [1, 1]}"},
        {"phi3", "rope_scaling",
         "{\"type\": \"longrope\", \"short_factor\": [1, 1, 1, 1], \"long_factor\": [1, 1, 0, 1]}"},
        {"phi3", "partial_rotary_factor", "0.05"},
        {"mistral", "sliding_window", "0"},
        {"qwen3-window", "layer_types", "[\"full_attention\"]"},
        {"qwen3-window", "sliding_window", "null"},
        {"gemma2", "query_pre_attn_scalar", "0"},
        {"gpt2", "n_head", "5"},
        {"bert-mlm", "num_attention_heads", "5"},
        {"bert-classifier", "id2label", "{\"1\": \"a\", \"2\": \"b\", \"3\": \"c\"}"},
        {"bert-classifier", "id2label", "[\"a\", \"b\", \"c\"]"},
        {"neox", "num_attention_heads", "5"},
        {"neox", "rotary_pct", "0"},
        {"neox", "rotary_pct", "0.2"}, /* three of 16 dimensions */
        {"neox", "rotary_pct", "1.5"},
        {"neox", "use_parallel_residual", "\"no\""},
        {"opt", "num_attention_heads", "5"},
        {"opt", "word_embed_proj_dim", "0"},
        {"falcon-7b", "num_attention_heads", "5"},
        {"falcon-40b", "num_kv_heads", "3"},
        {"falcon-11b", "num_ln_in_parallel_attn", "3"},
        {"starcoder2", "num_attention_heads", "5"},
        {"starcoder2", "num_key_value_heads", "3"},
        {"starcoder2", "sliding_window", "0"},
        {"starcoder2-plain", "head_dim", "7"},
        {"distilbert-mlm", "n_heads", "5"},
        {"roberta-mlm", "pad_token_id", "23"},
        {"roberta-mlm", "pad_token_id", "-1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, rows[i].value);
        assert_refused(LIMN_FORMAT, "config.json");
    }
}

static void sizes_go_by_two_names(void **state) {
    static const struct {
        const char *name, *key, *alias, *value;
    } rows[] = {{"gpt2", "n_embd", "hidden_size", "32"},
                {"gpt2", "n_layer", "num_hidden_layers", "2"},
                {"gpt2", "n_head", "num_attention_heads", "4"},
                {"gpt2", "n_positions", "max_position_embeddings", "24"},
                {"distilbert-mlm", "dim", "hidden_size", "32"},
                {"distilbert-mlm", "n_layers", "num_hidden_layers", "2"},
                {"distilbert-mlm", "n_heads", "num_attention_heads", "4"},
                {"falcon-7b", "hidden_size", "n_embed", "32"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, NULL);
        folder_set(rows[i].alias, rows[i].value);
        Model *model = folder_open(NULL);
        assert_int_equal(model->config.n_heads, 4);
        assert_int_equal(model->config.n_layers, 2);
        assert_int_equal(model->config.d_model, 32);
        model_free(model);
    }
}

static void families_are_told_by_name(void **state) {
    folder_from_case("llama-old");
    folder_set("architectures", "[\"MambaForCausalLM\"]");
    assert_refused(LIMN_UNSUPPORTED, "config.json", "MambaForCausalLM", "nearest: 'LlamaForCausalLM'",
                   "docs/models.md");
    assert_true(strlen(error_message()) < 300);
    folder_set("architectures", "[\"GPT2LMHead\"]");
    assert_refused(LIMN_UNSUPPORTED, "\"GPT2LMHead\" is not implemented; nearest: 'GPT2LMHeadModel', ");
    int quotes = 0;
    for (const char *at = error_message(); *at != '\0'; at++) {
        quotes += *at == '\'';
    }
    assert_int_equal(quotes, 2 * 5);
    folder_set("architectures", NULL);
    folder_set("model_type", "\"mamba\"");
    assert_refused(LIMN_UNSUPPORTED, "model_type \"mamba\"", "'llama'", "'gemma2'");
    folder_set("model_type", NULL);
    assert_refused(LIMN_FORMAT, "architectures", "model_type");
    folder_set("model_type", "\"llama\"");
    Model *model = folder_open(NULL);
    assert_string_equal(model->config.architecture, "LlamaForCausalLM");
    model_free(model);
}

/* --- tensors --- */

typedef struct Bend {
    const char *tensor;
    const char *how;
} Bend;

static bool bend(Tensor *tensor, const char **extra, Arena *arena, const void *context) {
    const Bend *wanted = context;
    if (strcmp(tensor->name, wanted->tensor) != 0) {
        return true;
    }
    if (strcmp(wanted->how, "drop") == 0) {
        return false;
    }
    if (strcmp(wanted->how, "flatten") == 0) {
        tensor->shape[0] *= tensor->shape[1];
        tensor->rank = 1;
    } else if (strcmp(wanted->how, "transpose") == 0) {
        int64_t rows = tensor->shape[0];
        tensor->shape[0] = tensor->shape[1];
        tensor->shape[1] = rows;
    } else if (strcmp(wanted->how, "integer") == 0) {
        tensor->dtype = DTYPE_I32;
    } else if (strcmp(wanted->how, "nan") == 0) {
        ((float *)tensor_copy(tensor, arena))[70] = NAN;
    } else if (strcmp(wanted->how, "infinity") == 0) {
        ((float *)tensor_copy(tensor, arena))[tensor->bytes / 4 - 1] = -INFINITY;
    } else {
        *extra = wanted->how;
    }
    return true;
}

static void tensors_that_do_not_fit_are_named(void **state) {
    static const struct {
        const char *name;
        Bend bend;
        limn_status status;
        const char *words[4];
    } rows[] = {
        {"llama-old", {"model.layers.1.mlp.up_proj.weight", "drop"}, LIMN_FORMAT, {"is missing", "expected [48, 32]"}},
        {"llama-old", {"model.norm.weight", "drop"}, LIMN_FORMAT, {"is missing", "expected [32]"}},
        {"llama-old", {"lm_head.weight", "drop"}, LIMN_FORMAT, {"is missing", "expected [61, 32]"}},
        {"llama-old",
         {"model.layers.1.mlp.up_proj.weight", "transpose"},
         LIMN_FORMAT,
         {"model.safetensors", "is [32, 48]", "expected [48, 32]"}},
        {"llama-old",
         {"model.layers.0.self_attn.q_proj.weight", "flatten"},
         LIMN_FORMAT,
         {"is [1024]", "expected [32, 32]"}},
        {"llama-old",
         {"model.layers.0.self_attn.q_proj.weight", "integer"},
         LIMN_UNSUPPORTED,
         {"model.safetensors", "I32"}},
        {"llama-old",
         {"model.layers.0.self_attn.q_proj.weight", "nan"},
         LIMN_FORMAT,
         {"model.safetensors", "NaN", "[2, 6]"}},
        {"llama-old", {"model.norm.weight", "infinity"}, LIMN_FORMAT, {"[31, 0]"}},
        {"llama-old", {"model.embed_tokens.weight", "infinity"}, LIMN_FORMAT, {"[60, 31]"}},
        {"gpt2", {"transformer.h.0.attn.c_attn.bias", "drop"}, LIMN_FORMAT, {"is missing", "expected [96]"}},
        {"gpt2", {"transformer.h.1.mlp.c_fc.weight", "transpose"}, LIMN_FORMAT, {"is [128, 32]"}},
        {"bert-mlm", {"cls.predictions.bias", "drop"}, LIMN_FORMAT, {"is missing", "expected [61]"}},
        {"bert-classifier", {"bert.pooler.dense.weight", "drop"}, LIMN_FORMAT, {"is missing"}},
        {"neox", {"embed_out.weight", "drop"}, LIMN_FORMAT, {"is missing", "expected [61, 48]"}},
        {"neox", {"gpt_neox.layers.1.attention.query_key_value.weight", "transpose"}, LIMN_FORMAT, {"is [48, 144]"}},
        {"neox-serial",
         {"gpt_neox.layers.1.attention.query_key_value.weight", "nan"},
         LIMN_FORMAT,
         {"model.safetensors", "NaN", "[2, 6]"}},
        {"falcon-rw", {"transformer.h.0.self_attention.query_key_value.bias", "drop"}, LIMN_FORMAT, {"expected [144]"}},
        {"roberta-classifier", {"classifier.dense.weight", "drop"}, LIMN_FORMAT, {"is missing"}},
        {"distilbert-mlm", {"vocab_projector.bias", "drop"}, LIMN_FORMAT, {"is missing"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_edit(bend, &rows[i].bend);
        const char *words[6] = {rows[i].bend.tensor, folder_path()};
        memcpy(words + 2, rows[i].words, sizeof rows[i].words);
        check_refused(NULL, rows[i].status, words, __FILE__, __LINE__);
    }
}

static void leftovers_are_warnings(void **state) {
    folder_from_case("llama-old");
    folder_edit(bend, &(Bend){"model.norm.weight", "model.layers.7.extra"});
    Model *model = folder_open(NULL);
    assert_int_equal(model->n_warnings, 1);
    assert_non_null(strstr(model->warnings[0], "model.layers.7.extra [32]"));
    model_free(model);
}

static void config_only_reads_no_weights(void **state) {
    folder_from_case("llama-old");
    folder_edit(bend, &(Bend){"model.layers.0.self_attn.q_proj.weight", "nan"});
    Model *model = folder_open(&(ModelOptions){.config_only = true});
    assert_true(model->config_only);
    assert_true(graph_find_site(&model->graph, "blocks.1.attn.hook_z") != NODE_NONE);
    model_free(model);
    assert_refused(LIMN_FORMAT, "NaN");
}

/* --- ties --- */

static const Weight *head_of(const Model *model) {
    return &model->graph.nodes[model->graph.logits].op.weights[0];
}

static const Weight *embed_of(const Model *model) {
    return &model->graph.nodes[model->graph.embed].op.weights[0];
}

static bool poison_head(Tensor *tensor, const char **extra, Arena *arena, const void *context) {
    if (strcmp(tensor->name, "lm_head.weight") == 0) {
        ((float *)tensor_copy(tensor, arena))[0] += 1.0f;
    }
    return true;
}

static bool rename_embedding(Tensor *tensor, const char **extra, Arena *arena, const void *context) {
    if (strcmp(tensor->name, "transformer.wte.weight") == 0) {
        tensor->name = "lm_head.weight";
    }
    return true;
}

static void tied_heads_share_one_tensor(void **state) {
    folder_from_case("gpt2");
    Model *model = folder_open(NULL);
    assert_ptr_equal(head_of(model)->data, embed_of(model)->data);
    model_free(model);
    /* stored twice, alike: one; different: two, as the reference does */
    folder_edit(bend, &(Bend){"transformer.wte.weight", "lm_head.weight"});
    model = folder_open(NULL);
    assert_ptr_equal(head_of(model)->data, embed_of(model)->data);
    assert_int_equal(model->n_warnings, 0);
    model_free(model);
    folder_edit(poison_head, NULL);
    model = folder_open(NULL);
    assert_ptr_not_equal(head_of(model)->data, embed_of(model)->data);
    model_free(model);
    /* the head alone stands for both */
    folder_from_case("gpt2");
    folder_edit(rename_embedding, NULL);
    model = folder_open(NULL);
    assert_string_equal(embed_of(model)->name, "lm_head.weight");
    model_free(model);
}

/* --- where weights lie --- */

static const Op *op_of(const Model *model, const char *site) {
    NodeId node = graph_find_site(&model->graph, site);
    assert_int_not_equal(node, NODE_NONE);
    return &model->graph.nodes[node].op;
}

/* The bytes of a tensor in a file opened beside the model are the bytes the weight points at. */
static void weights_have_the_dtype_that_was_asked_for(void **state) {
    static const struct {
        const char *name;
        bool bf16;
        DType matrix, bias;
    } rows[] = {{"gpt2", false, DTYPE_F32, DTYPE_F32},
                {"gpt2", true, DTYPE_BF16, DTYPE_F32},
                {"gpt2-unscaled", false, DTYPE_BF16, DTYPE_F32},
                {"llama-bias", false, DTYPE_F32, DTYPE_F32},
                {"llama-bias", true, DTYPE_BF16, DTYPE_F32}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Model *model = open_or_fail(case_path(rows[i].name, ""), &(ModelOptions){.bf16 = rows[i].bf16});
        const Op *op = op_of(model, "blocks.1.attn.hook_v");
        assert_int_equal(op->weights[0].dtype, rows[i].matrix);
        assert_int_equal(op->weights[1].dtype, rows[i].bias);
        model_free(model);
    }
}

static void converted_values_are_the_stored_ones(void **state) {
    Model *model = open_or_fail(case_path("llama-bias", ""), NULL);
    TensorFiles *files;
    assert_int_equal(tensor_files_open(&files, case_path("llama-bias", "")), LIMN_OK);
    const Tensor *tensor = tensor_files_find(files, "model.layers.1.self_attn.q_proj.weight");
    const Weight *weight = &op_of(model, "blocks.1.attn.hook_q")->weights[0];
    for (int64_t row = 0; row < 32; row++) {
        for (int64_t column = 0; column < 32; column++) {
            float value = f16_to_f32(((const uint16_t *)tensor->data)[row * 32 + column]);
            assert_true(weight_at(weight, row, column) == value);
        }
    }
    tensor_files_close(files);
    model_free(model);
}

/* GPT-2 keeps queries, keys and values in one matrix stored [in, out]. */
static void fused_projections_are_views(void **state) {
    Model *model = open_or_fail(case_path("gpt2", ""), NULL);
    static const char *const sites[] = {"blocks.0.attn.hook_q", "blocks.0.attn.hook_k", "blocks.0.attn.hook_v"};
    const Weight *first = &op_of(model, sites[0])->weights[0];
    for (int i = 0; i < 3; i++) {
        const Weight *weight = &op_of(model, sites[i])->weights[0];
        assert_int_equal(weight->row_stride, 1);
        assert_int_equal(weight->column_stride, 96);
        assert_ptr_equal(weight->data, (const float *)first->data + 32 * i);
        const Weight *bias = &op_of(model, sites[i])->weights[1];
        assert_ptr_equal(bias->data, (const float *)op_of(model, sites[0])->weights[1].data + 32 * i);
    }
    model_free(model);
}

/* GPT-NeoX goes head by head: its query, its key, its value; Falcon group by group. */
static void fused_groups_are_taken_apart(void **state) {
    static const struct {
        const char *name, *tensor;
        int64_t share, groups, width, columns;
    } rows[] = {{"neox-serial", "gpt_neox.layers.1.attention.query_key_value.weight", 1, 4, 8, 32},
                {"falcon-11b", "transformer.h.1.self_attention.query_key_value.weight", 2, 2, 8, 32},
                {"falcon-7b", "transformer.h.1.self_attention.query_key_value.weight", 4, 1, 8, 32}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Model *model = open_or_fail(case_path(rows[i].name, ""), NULL);
        TensorFiles *files;
        assert_int_equal(tensor_files_open(&files, case_path(rows[i].name, "")), LIMN_OK);
        const Tensor *tensor = tensor_files_find(files, rows[i].tensor);
        const float *stored = tensor->data;
        const Weight *q = &op_of(model, "blocks.1.attn.hook_q")->weights[0];
        const Weight *k = &op_of(model, "blocks.1.attn.hook_k")->weights[0];
        const Weight *v = &op_of(model, "blocks.1.attn.hook_v")->weights[0];
        for (int64_t g = 0; g < rows[i].groups; g++) {
            for (int64_t h = 0; h < rows[i].share + 2; h++) {
                const Weight *weight = h < rows[i].share ? q : h == rows[i].share ? k : v;
                int64_t head = h < rows[i].share ? g * rows[i].share + h : g;
                for (int64_t n = 0; n < rows[i].width * rows[i].columns; n++) {
                    float value = weight_at(weight, head * rows[i].width + n / rows[i].columns, n % rows[i].columns);
                    assert_true(value == *stored++);
                }
            }
        }
        tensor_files_close(files);
        model_free(model);
    }
}

static void families_have_their_own_positions(void **state) {
    static const struct {
        const char *name, *model_type;
        PositionRule positions;
        int context, pad, embed;
    } rows[] = {{"opt", "opt", POSITION_VISIBLE, 24, 1, 32},
                {"opt-350m", "opt", POSITION_VISIBLE, 24, 1, 20},
                {"neox", "gpt_neox", POSITION_ORDER, 24, -1, 48},
                {"falcon-rw", "falcon", POSITION_UNBROKEN, 640, -1, 48},
                {"falcon-7b", "falcon", POSITION_ORDER, 24, -1, 32},
                {"roberta-mlm", "roberta", POSITION_NOT_PAD, 22, 1, 32},
                {"xlm-roberta", "xlm-roberta", POSITION_NOT_PAD, 22, 1, 32},
                {"distilbert-mlm", "distilbert", POSITION_ORDER, 24, 0, 32}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Model *model = open_or_fail(case_path(rows[i].name, ""), &(ModelOptions){.config_only = true});
        assert_string_equal(model->config.model_type, rows[i].model_type);
        assert_int_equal(model->config.positions, rows[i].positions);
        assert_int_equal(model->config.n_context, rows[i].context);
        assert_int_equal(model->config.pad_id, rows[i].pad);
        assert_int_equal(model->config.d_embed, rows[i].embed);
        model_free(model);
    }
}

static void memory_limit_is_honoured(void **state) {
    folder_from_case("llama-bias");
    assert_refused_with(&(ModelOptions){.memory_limit = 1000}, LIMN_NO_MEMORY, folder_path(), "1000");
    assert_refused_with(&(ModelOptions){.memory_limit = 3 << 10}, LIMN_NO_MEMORY, "activations come on top",
                        "3K are allowed");
    model_free(folder_open(&(ModelOptions){.memory_limit = 1 << 20}));
    folder_from_case("llama-old"); /* all in place */
    model_free(folder_open(&(ModelOptions){.memory_limit = 1000}));
}

static bool stop_at_weights(void *context, const char *stage, int64_t done, int64_t total) {
    *(int *)context += strcmp(stage, "weights") == 0;
    return false;
}

static void opening_can_be_stopped(void **state) {
    Model *model;
    int asked = 0;
    assert_int_equal(model_open(&model, case_path("llama-bias", ""), NULL,
                                &(Team){.threads = 1, .progress = &(Progress){stop_at_weights, &asked}}),
                     LIMN_CANCELLED);
    assert_null(model);
    assert_int_equal(asked, 1);
}

static void frame_is_refused_where_it_has_no_meaning(void **state) {
    static const char *const names[] = {"bert-mlm",  "bert-bare",   "llama-classifier", "gpt2-classifier", "opt-350m",
                                        "opt-plain", "roberta-mlm", "distilbert-mlm",   "neox-classifier"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        folder_from_case(names[i]);
        assert_refused_with(&(ModelOptions){.frame = FRAME_TRANSFORMERLENS}, LIMN_UNSUPPORTED, "transformerlens");
    }
}

static void hash_covers_weights_and_configuration(void **state) {
    char hex[4][65];
    folder_from_case("llama-old");
    for (int i = 0; i < 4; i++) {
        if (i == 2) {
            folder_set("rms_norm_eps", "0.03");
        } else if (i == 3) {
            folder_edit(poison_head, NULL);
        }
        Model *model = folder_open(NULL);
        if (i == 1) {
            model_hash_start(model);
        }
        assert_int_equal(model_hash(model, NULL, i != 1, hex[i]), LIMN_OK);
        assert_int_equal(strlen(hex[i]), 64);
        model_free(model);
    }
    assert_string_equal(hex[0], hex[1]);
    assert_string_not_equal(hex[0], hex[2]);
    assert_string_not_equal(hex[2], hex[3]);
}

static void wrong_paths_are_named(void **state) {
    Model *model;
    assert_int_equal(model_open(&model, "/nowhere/at/all", NULL, NULL), LIMN_NOT_FOUND);
    assert_null(model);
    assert_int_equal(model_open(&model, LIMN_TEST_SOURCE_DIR "/tests/golden", NULL, NULL), LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), "tests/golden: has no config.json"));
    folder_from_case("llama-old");
    folder_write("notes.txt", "x", 1);
    char path[512];
    snprintf(path, sizeof path, "%s/notes.txt", folder_path());
    assert_int_equal(model_open(&model, path, NULL, NULL), LIMN_FORMAT);
    assert_non_null(strstr(error_message(), "notes.txt"));
    folder_write("config.json", "{\"model_type\": ", 15);
    assert_refused(LIMN_FORMAT, "config.json");
    folder_write("config.json", "[]", 2);
    assert_refused(LIMN_FORMAT, "config.json");
}

int main(void) {
    setenv("XDG_CACHE_HOME", "/tmp/limn-no-such-cache", 1); /* the user's own hash cache stays as it is */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_are_those_of_the_reference),
        cmocka_unit_test(configuration_is_read),
        cmocka_unit_test(defaults_are_those_of_the_reference),
        cmocka_unit_test(unimplemented_settings_are_refused_by_name),
        cmocka_unit_test(harmless_settings_are_not_refused),
        cmocka_unit_test(nonsense_settings_are_refused),
        cmocka_unit_test(sizes_go_by_two_names),
        cmocka_unit_test(families_are_told_by_name),
        cmocka_unit_test(tensors_that_do_not_fit_are_named),
        cmocka_unit_test(leftovers_are_warnings),
        cmocka_unit_test(config_only_reads_no_weights),
        cmocka_unit_test(tied_heads_share_one_tensor),
        cmocka_unit_test(weights_have_the_dtype_that_was_asked_for),
        cmocka_unit_test(converted_values_are_the_stored_ones),
        cmocka_unit_test(fused_projections_are_views),
        cmocka_unit_test(fused_groups_are_taken_apart),
        cmocka_unit_test(families_have_their_own_positions),
        cmocka_unit_test(memory_limit_is_honoured),
        cmocka_unit_test(opening_can_be_stopped),
        cmocka_unit_test(frame_is_refused_where_it_has_no_meaning),
        cmocka_unit_test(hash_covers_weights_and_configuration),
        cmocka_unit_test(wrong_paths_are_named),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
