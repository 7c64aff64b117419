/* What Llama's kin assume where config.json is silent, as it shows in the graph. The values are those of the
 * reference's configuration classes. */
#include "model/folder.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Assumed {
    const char *name;       /* the case */
    const char *absent[12]; /* keys left out, ends with NULL */
    int32_t n_context;
    float epsilon, theta, scale, score_cap, logit_cap;
    int32_t window[3]; /* of each layer; -1: there is no such layer */
} Assumed;

static const Op *find_op(const Model *model, OpKind kind, int layer) {
    for (NodeId node = 0; node < model->graph.n_nodes; node++) {
        const Op *op = &model->graph.nodes[node].op;
        if (op->kind == kind && op->layer == layer) {
            return op;
        }
    }
    return NULL;
}

static float theta_of(const OpAttributes *rope) {
    return powf(rope->inverse_freq[1], -(float)rope->rotary_dims / 2.0f);
}

static void check_assumed(const Assumed *row, const Model *model) {
    const OpAttributes *scores = &find_op(model, OP_ATTENTION_SCORES, 0)->attributes;
    const Op *softcap = find_op(model, OP_SOFTCAP, -1);
    assert_int_equal(model->config.n_context, row->n_context);
    assert_float_equal(find_op(model, OP_RMS_SCALE, 0)->attributes.epsilon, row->epsilon, 1e-12);
    float theta = theta_of(&find_op(model, OP_ROPE, 0)->attributes);
    if (fabsf(theta / row->theta - 1) > 1e-4f) {
        fail_msg("%s: theta is %g, expected %g", row->name, (double)theta, (double)row->theta);
    }
    assert_float_equal(scores->scale, row->scale, 1e-6);
    assert_float_equal(scores->softcap, row->score_cap, 0);
    float logit_cap = softcap != NULL ? softcap->attributes.softcap : 0;
    assert_float_equal(logit_cap, row->logit_cap, 0);
    for (int layer = 0; layer < 3; layer++) {
        const Op *op = find_op(model, OP_ATTENTION_SCORES, layer);
        int32_t window = op != NULL ? op->attributes.window : -1;
        if (window != row->window[layer]) {
            fail_msg("%s, layer %d: window %d, expected %d", row->name, layer, window, row->window[layer]);
        }
    }
}

static void silent_settings_are_those_of_the_reference(void **state) {
    (void)state;
    static const char *const rope[] = {"rope_theta", "rope_parameters", "rope_scaling", "rope_local_base_freq"};
    static const Assumed rows[] = {
        {"mistral",
         {"sliding_window", "max_position_embeddings", "rms_norm_eps"},
         131072,
         1e-6f,
         1e4f,
         0.288675135f,
         0,
         0,
         {4096, 4096, -1}},
        {"qwen2-window",
         {"use_sliding_window", "sliding_window", "max_window_layers", "max_position_embeddings", "rms_norm_eps"},
         32768,
         1e-6f,
         1e4f,
         0.353553391f,
         0,
         0,
         {0, 0, -1}},
        {"qwen3",
         {"use_sliding_window", "max_position_embeddings", "rms_norm_eps"},
         32768,
         1e-6f,
         1e4f,
         0.288675135f,
         0,
         0,
         {0, 0, -1}},
        {"gemma2",
         {"sliding_window", "attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar",
          "rms_norm_eps", "max_position_embeddings"},
         8192,
         1e-6f,
         1e4f,
         0.0625f,
         50,
         30,
         {4096, 0, -1}},
        {"gemma3",
         {"sliding_window", "sliding_window_pattern", "query_pre_attn_scalar", "rms_norm_eps",
          "max_position_embeddings"},
         131072,
         1e-6f,
         1e4f,
         0.0625f,
         0,
         0,
         {4096, 4096, 4096}},
        {"phi3-plain",
         {"sliding_window", "max_position_embeddings", "rms_norm_eps"},
         4096,
         1e-5f,
         1e4f,
         0.353553391f,
         0,
         0,
         {0, 0, -1}}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        for (size_t k = 0; k < sizeof rope / sizeof rope[0]; k++) {
            folder_set(rope[k], NULL);
        }
        for (int k = 0; rows[i].absent[k] != NULL; k++) {
            folder_set(rows[i].absent[k], NULL);
        }
        Model *model = folder_open(&(ModelOptions){.config_only = true});
        check_assumed(&rows[i], model);
        model_free(model);
    }
}

/* The text parts of models that see have defaults of their own. */
static void text_parts_have_their_own(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int32_t n_context;
        float epsilon, theta;
    } rows[] = {{"qwen3-vision", 128000, 1e-6f, 5e5f},
                {"qwen2-vision", 32768, 1e-5f, 1e6f},
                {"mistral3-vision", 131072, 1e-6f, 1e4f},
                {"llava", 2048, 1e-6f, 1e4f}};
    static const char *const absent[] = {"max_position_embeddings", "rms_norm_eps", "rope_theta"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        json_t *config = json_load_file(case_path(rows[i].name, "config.json"), 0, NULL);
        json_t *part = json_object_get(config, "text_config");
        for (size_t k = 0; k < sizeof absent / sizeof absent[0]; k++) {
            folder_set(absent[k], NULL);
            json_object_del(part, absent[k]);
        }
        char *text = part == NULL ? NULL : json_dumps(part, 0);
        if (text != NULL) {
            folder_set("text_config", text);
        }
        free(text);
        json_decref(config);
        Model *model = folder_open(&(ModelOptions){.config_only = true});
        assert_int_equal(model->config.n_context, rows[i].n_context);
        assert_float_equal(find_op(model, OP_RMS_SCALE, 0)->attributes.epsilon, rows[i].epsilon, 1e-12);
        float theta = theta_of(&find_op(model, OP_ROPE, 0)->attributes);
        if (fabsf(theta / rows[i].theta - 1) > 1e-4f) {
            fail_msg("%s: theta is %g, expected %g", rows[i].name, (double)theta, (double)rows[i].theta);
        }
        model_free(model);
    }
}

/* A size that config.json leaves out is the reference's: weights of another are refused, and the line says which sizes
 * were expected. The numbers are those of the reference's configuration classes. */
static void silent_sizes_are_those_of_the_reference(void **state) {
    (void)state;
    static const struct {
        const char *name, *absent, *said;
    } rows[] = {
        {"llama3", "vocab_size", "expected [32000, 32]"},
        {"llama3", "hidden_size", ", 4096]"},
        {"llama3", "intermediate_size", "expected [11008, 32]"},
        {"llama3", "num_attention_heads", "expected [384, 32]"},
        {"mistral", "vocab_size", "expected [32000, 32]"},
        {"mistral", "hidden_size", ", 4096]"},
        {"mistral", "intermediate_size", "expected [14336, 32]"},
        {"mistral", "num_attention_heads", "expected [384, 32]"},
        {"mistral", "num_key_value_heads", " 8 key heads"},
        {"mixtral", "vocab_size", "expected [32000, 32]"},
        {"mixtral", "hidden_size", ", 4096]"},
        {"mixtral", "intermediate_size", "expected [14336, 32]"},
        {"mixtral", "num_key_value_heads", " 8 key heads"},
        {"mixtral", "num_local_experts", "expected [8, 32]"},
        {"qwen2-window", "vocab_size", "expected [151936, 32]"},
        {"qwen2-window", "hidden_size", ", 4096]"},
        {"qwen2-window", "intermediate_size", "expected [22016, 32]"},
        {"qwen2-window", "num_key_value_heads", " 32 key heads"},
        {"qwen2-moe", "vocab_size", "expected [151936, 32]"},
        {"qwen2-moe", "hidden_size", ", 2048]"},
        {"qwen2-moe", "intermediate_size", "expected [5632, 32]"},
        {"qwen2-moe", "num_key_value_heads", " 16 key heads"},
        {"qwen2-moe", "moe_intermediate_size", "expected [1408, 32]"},
        {"qwen2-moe", "shared_expert_intermediate_size", "expected [5632, 32]"},
        {"qwen2-moe", "num_experts", "expected [60, 32]"},
        {"qwen3", "vocab_size", "expected [151936, 32]"},
        {"qwen3", "hidden_size", ", 4096]"},
        {"qwen3", "intermediate_size", "expected [22016, 32]"},
        {"qwen3", "num_attention_heads", "expected [384, 32]"},
        {"qwen3", "num_key_value_heads", " 32 key heads"},
        {"qwen3", "head_dim", "expected [512, 32]"},
        {"qwen3-moe", "vocab_size", "expected [151936, 32]"},
        {"qwen3-moe", "hidden_size", ", 2048]"},
        {"qwen3-moe", "num_attention_heads", "expected [384, 32]"},
        {"qwen3-moe", "moe_intermediate_size", "expected [768, 32]"},
        {"qwen3-moe", "num_experts", "expected [128, 32]"},
        {"gemma2", "vocab_size", "expected [256000, 32]"},
        {"gemma2", "hidden_size", ", 2304]"},
        {"gemma2", "intermediate_size", "expected [9216, 32]"},
        {"gemma2", "num_attention_heads", "expected [96, 32]"},
        {"gemma2", "head_dim", "expected [1024, 32]"},
        {"gemma3", "vocab_size", "expected [262208, 32]"},
        {"gemma3", "hidden_size", ", 2304]"},
        {"gemma3", "intermediate_size", "expected [9216, 32]"},
        {"gemma3", "num_attention_heads", "expected [96, 32]"},
        {"gemma3", "head_dim", "expected [1024, 32]"},
        {"phi3-plain", "vocab_size", "expected [32064, 32]"},
        {"phi3-plain", "hidden_size", ", 3072]"},
        {"phi3-plain", "intermediate_size", "expected [16384, 32]"},
        {"starcoder2", "vocab_size", "expected [49152, 32]"},
        {"starcoder2", "hidden_size", ", 3072]"},
        {"starcoder2", "intermediate_size", "expected [12288, 32]"},
        {"gpt2", "vocab_size", "expected [50257, 32]"},
        {"gpt2", "n_embd", "expected [768, "},
        {"gpt2", "n_positions", "expected [1024, 32]"},
        {"neox", "vocab_size", "expected [50432, 48]"},
        {"neox", "hidden_size", ", 6144]"},
        {"neox", "intermediate_size", "expected [24576, 48]"},
        {"opt", "vocab_size", "expected [50272, 32]"},
        {"opt", "hidden_size", ", 768]"},
        {"opt", "ffn_dim", "expected [3072, 32]"},
        {"opt", "max_position_embeddings", "expected [2050, 32]"},
        {"falcon-7b", "vocab_size", "expected [65024, 32]"},
        {"falcon-7b", "hidden_size", ", 4544]"},
        {"bert-mlm", "vocab_size", "expected [30522, 32]"},
        {"bert-mlm", "hidden_size", ", 768]"},
        {"bert-mlm", "intermediate_size", "expected [3072, 32]"},
        {"bert-mlm", "max_position_embeddings", "expected [512, 32]"},
        {"roberta-mlm", "vocab_size", "expected [50265, 32]"},
        {"roberta-mlm", "hidden_size", ", 768]"},
        {"roberta-mlm", "intermediate_size", "expected [3072, 32]"},
        {"roberta-mlm", "max_position_embeddings", "expected [512, 32]"},
        {"distilbert-mlm", "vocab_size", "expected [30522, 32]"},
        {"distilbert-mlm", "dim", ", 768]"},
        {"distilbert-mlm", "hidden_dim", "expected [3072, 32]"},
        {"distilbert-mlm", "max_position_embeddings", "expected [512, 32]"},
        {"qwen3-vision", "vocab_size", "expected [151936, 32]"},
        {"qwen3-vision", "hidden_size", ", 4096]"},
        {"qwen3-vision", "intermediate_size", "expected [22016, 32]"},
        {"qwen3-vision", "num_attention_heads", "expected [384, 32]"},
        {"qwen3-vision", "num_key_value_heads", " 32 key heads"},
        {"qwen3-vision", "head_dim", "expected [512, 32]"},
        {"qwen2-vision", "vocab_size", "expected [152064, 32]"},
        {"qwen2-vision", "hidden_size", ", 8192]"},
        {"qwen2-vision", "intermediate_size", "expected [29568, 32]"},
        {"qwen2-vision", "num_key_value_heads", " 8 key heads"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        json_t *config = json_load_file(case_path(rows[i].name, "config.json"), 0, NULL);
        json_t *part = json_object_get(config, "text_config");
        folder_set(rows[i].absent, NULL);
        if (part != NULL) {
            json_object_del(part, rows[i].absent);
            char *text = json_dumps(part, 0);
            folder_set("text_config", text);
            free(text);
        }
        json_decref(config);
        Model *model;
        limn_status status = model_open(&model, folder_path(), &(ModelOptions){.config_only = true}, NULL);
        if (status != LIMN_FORMAT || strstr(error_message(), rows[i].said) == NULL) {
            fail_msg("%s without %s: found '%s', expected one that says '%s'", rows[i].name, rows[i].absent,
                     status == LIMN_OK ? "a model" : error_message(), rows[i].said);
        }
    }
}

/* Sizes have bounds that no model comes near, so that what is reckoned of them does not overflow: widths up to 2^20,
 * layers and heads up to 2^14, MLPs up to 2^24. */
static void sizes_have_bounds(void **state) {
    (void)state;
    enum { WIDTH = 1 << 20, COUNT = 1 << 14, MLP = 1 << 24 };
    static const struct {
        const char *name, *key;
        long most;
    } rows[] = {{"llama3", "hidden_size", WIDTH},
                {"llama3", "intermediate_size", MLP},
                {"llama3", "num_hidden_layers", COUNT},
                {"llama3", "num_attention_heads", COUNT},
                {"llama3", "num_key_value_heads", COUNT},
                {"mixtral", "intermediate_size", MLP},
                {"qwen2-moe", "moe_intermediate_size", MLP},
                {"qwen2-moe", "shared_expert_intermediate_size", MLP},
                {"bert-mlm", "hidden_size", WIDTH},
                {"bert-mlm", "num_hidden_layers", COUNT},
                {"bert-mlm", "num_attention_heads", COUNT},
                {"bert-mlm", "intermediate_size", MLP},
                {"distilbert-mlm", "dim", WIDTH},
                {"distilbert-mlm", "n_layers", COUNT},
                {"distilbert-mlm", "n_heads", COUNT},
                {"distilbert-mlm", "hidden_dim", MLP},
                {"falcon-7b", "hidden_size", WIDTH},
                {"falcon-7b", "num_hidden_layers", COUNT},
                {"falcon-7b", "num_attention_heads", COUNT},
                {"falcon-7b", "ffn_hidden_size", MLP},
                {"gpt2", "n_embd", WIDTH},
                {"gpt2", "n_layer", COUNT},
                {"gpt2", "n_head", COUNT},
                {"gpt2", "n_inner", MLP},
                {"neox", "hidden_size", WIDTH},
                {"neox", "num_hidden_layers", COUNT},
                {"neox", "num_attention_heads", COUNT},
                {"neox", "intermediate_size", MLP},
                {"opt", "hidden_size", WIDTH},
                {"opt", "word_embed_proj_dim", WIDTH},
                {"opt", "num_hidden_layers", COUNT},
                {"opt", "num_attention_heads", COUNT},
                {"opt", "ffn_dim", MLP}};
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        const char *key = rows[i / 2].key;
        char number[32], most[32];
        snprintf(number, sizeof number, "%ld", i % 2 == 0 ? 0 : rows[i / 2].most + 1);
        snprintf(most, sizeof most, " to %ld", rows[i / 2].most);
        folder_from_case(rows[i / 2].name);
        folder_set(key, number);
        Model *model;
        limn_status status = model_open(&model, folder_path(), &(ModelOptions){.config_only = true}, NULL);
        if (status == LIMN_OK || strstr(error_message(), key) == NULL || strstr(error_message(), most) == NULL) {
            fail_msg("%s with %s %s: found '%s', expected one that says '%s'", rows[i / 2].name, key, number,
                     status == LIMN_OK ? "a model" : error_message(), most);
        }
    }
}

/* A layer without a window turns by a base of its own in Gemma 3. */
static void gemma3_has_two_bases(void **state) {
    (void)state;
    folder_from_case("gemma3");
    folder_set("rope_theta", NULL);
    folder_set("rope_local_base_freq", NULL);
    folder_set("rope_scaling", "null");
    Model *model = folder_open(&(ModelOptions){.config_only = true});
    float local = theta_of(&find_op(model, OP_ROPE, 0)->attributes);
    float full = theta_of(&find_op(model, OP_ROPE, 1)->attributes);
    assert_true(fabsf(local / 1e4f - 1) < 1e-4f && fabsf(full / 1e6f - 1) < 1e-4f);
    model_free(model);
}

/* Null says "none", which is not the same as saying nothing. */
static void null_turns_off(void **state) {
    (void)state;
    folder_from_case("gemma2");
    folder_set("attn_logit_softcapping", "null");
    folder_set("final_logit_softcapping", "null");
    Model *model = folder_open(&(ModelOptions){.config_only = true});
    assert_float_equal(find_op(model, OP_ATTENTION_SCORES, 0)->attributes.softcap, 0, 0);
    assert_null(find_op(model, OP_SOFTCAP, -1));
    model_free(model);
    folder_from_case("mistral");
    folder_set("sliding_window", "null");
    model = folder_open(&(ModelOptions){.config_only = true});
    assert_int_equal(find_op(model, OP_ATTENTION_SCORES, 0)->attributes.window, 0);
    model_free(model);
}

/* Scaling that makes room for longer texts says how long they may be. */
static void scaling_lengthens_the_context(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int32_t n_context, n_original;
        bool by_length;
    } rows[] = {{"llama-dynamic", 10, 5, true},   {"qwen2-yarn", 24, 0, false}, {"qwen2-window", 15, 5, true},
                {"llama-longrope", 64, 5, false}, {"phi3", 64, 5, false},       {"mistral", 64, 0, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Model *model = open_or_fail(case_path(rows[i].name, ""), &(ModelOptions){.config_only = true});
        assert_int_equal(model->config.n_context, rows[i].n_context);
        assert_int_equal(model->config.n_original, rows[i].n_original);
        assert_int_equal(model->config.by_length, rows[i].by_length);
        model_free(model);
    }
    ModelConfig by_length = {.n_original = 5, .by_length = true}, two = {.n_original = 5}, plain = {0};
    assert_true(model_lengths_alike(&by_length, 3, 5) && !model_lengths_alike(&by_length, 5, 6));
    assert_true(!model_lengths_alike(&by_length, 6, 7) && model_lengths_alike(&by_length, 7, 7));
    assert_true(model_lengths_alike(&two, 6, 700) && !model_lengths_alike(&two, 5, 6));
    assert_true(model_lengths_alike(&plain, 1, 700));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_settings_are_those_of_the_reference),
        cmocka_unit_test(text_parts_have_their_own),
        cmocka_unit_test(sizes_have_bounds),
        cmocka_unit_test(silent_sizes_are_those_of_the_reference),
        cmocka_unit_test(gemma3_has_two_bases),
        cmocka_unit_test(null_turns_off),
        cmocka_unit_test(scaling_lengthens_the_context),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
