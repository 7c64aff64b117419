#include "model/dense.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "files/json.h"

/* --- settings --- */

/* D / H, where the settings name no other width. */
static int64_t even_head_width(const Sizes *sizes) {
    return sizes->d_model / (sizes->n_heads < 1 ? 1 : sizes->n_heads);
}

const char *dense_gguf_key(const Dense *dense, const char *name) {
    return build_name(dense->build, "%s.%s", dense->family->gguf, name);
}

/* Sizes shared by both kinds of file. */
static limn_status check_sizes(const Build *build) {
    const ModelConfig *config = &build->model->config;
    if (config->n_heads % config->n_kv_heads != 0) {
        return fail(LIMN_FORMAT, "%s: %d query heads and %d key heads, expected the second to divide the first",
                    build->settings->path, config->n_heads, config->n_kv_heads);
    }
    return LIMN_OK;
}

static limn_status refuse_others(const Dense *dense) {
    const DenseFamily *family = dense->family;
    const struct {
        const char *json, *gguf;
        bool read;
        double harmless; /* in GGUF */
    } keys[] = {{"quantization_config", NULL, false, 0},
                {"sliding_window", "attention.sliding_window", family->windows, 0},
                {"attn_logit_softcapping", "attn_logit_softcapping", family->softcaps, 0},
                {"final_logit_softcapping", "final_logit_softcapping", family->softcaps, 0},
                {"num_local_experts", "expert_count", family->experts, 0},
                {"use_bidirectional_attention", NULL, false, 0},
                {NULL, "attention.clamp_kqv", false, 0},
                {NULL, "attention.max_alibi_bias", false, 0},
                {NULL, "attention.scale", false, 0},
                {NULL, "logit_scale", false, 0},
                {NULL, "residual_scale", false, 0},
                {NULL, "embedding_scale", false, 0},
                {NULL, "use_parallel_residual", false, 0}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        bool gguf = dense->build->settings->gguf != NULL;
        const char *key = gguf ? keys[i].gguf : keys[i].json;
        if (keys[i].read || key == NULL) {
            continue;
        }
        key = gguf ? dense_gguf_key(dense, key) : key;
        if (key == NULL) {
            return build_no_memory(dense->build);
        }
        TRY(settings_refuse(dense->build->settings, key, keys[i].harmless));
    }
    return LIMN_OK;
}

static limn_status read_json(Dense *dense) {
    const Settings *settings = dense->build->settings;
    const DenseFamily *family = dense->family;
    ModelConfig *config = &dense->build->model->config;
    Sizes sizes = {0};
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", family->n_vocab, 1, INT32_MAX));
    TRY(settings_integer(&sizes.d_model, settings, "hidden_size", family->d_model, 1, 1 << 20));
    TRY(settings_integer(&sizes.d_mlp, settings, "intermediate_size", family->d_mlp, 1, 1 << 24));
    TRY(settings_integer(&sizes.n_layers, settings, "num_hidden_layers", family->n_layers, 1, 1 << 14));
    TRY(settings_integer(&sizes.n_heads, settings, "num_attention_heads", family->n_heads, 1, 1 << 14));
    bool silent = family->n_kv_heads != 0 && settings_value(settings, "num_key_value_heads") == NULL;
    TRY(settings_integer(&sizes.n_kv_heads, settings, "num_key_value_heads",
                         silent ? family->n_kv_heads : sizes.n_heads, 1, 1 << 14));
    bool own_width = family->d_head != 0 && settings_value(settings, "head_dim") == NULL;
    if (!own_width && !settings_has(settings, "head_dim") && sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    TRY(settings_integer(&sizes.d_head, settings, "head_dim", own_width ? family->d_head : even_head_width(&sizes), 1,
                         1 << 16));
    TRY(settings_integer(&sizes.n_context, settings, "max_position_embeddings", family->n_context, 1, INT32_MAX));
    TRY(settings_real(&dense->epsilon, settings, "rms_norm_eps", family->epsilon, 0, 1));
    TRY(settings_bool(&dense->tied, settings, "tie_word_embeddings", family->tied));
    TRY(build_activation(dense->build, &dense->activation,
                         family->activation_key != NULL ? family->activation_key : "hidden_act",
                         family->activation != NULL ? family->activation : "silu"));
    build_sizes(config, &sizes);
    return check_sizes(dense->build);
}

/* Rows of the embedding: the vocabulary, in files that do not state it. */
static int64_t gguf_vocabulary(const Gguf *gguf) {
    const Tensor *embed = gguf_tensor(gguf, "token_embd.weight");
    return embed != NULL && embed->rank == 2 ? embed->shape[0] : 0;
}

/* A whole number of the metadata; fallback 0: the file must state it. */
static limn_status gguf_integer(int64_t *value, const Dense *dense, const char *name, int64_t fallback, int64_t low,
                                int64_t high) {
    const Settings *settings = dense->build->settings;
    const char *key = dense_gguf_key(dense, name);
    if (key == NULL) {
        return build_no_memory(dense->build);
    }
    if (fallback == 0 && !settings_has(settings, key)) {
        return fail(LIMN_FORMAT, "%s: metadata \"%s\" is missing", settings->path, key);
    }
    return settings_integer(value, settings, key, fallback, low, high);
}

static limn_status gguf_epsilon(Dense *dense) {
    const char *key = dense_gguf_key(dense, "attention.layer_norm_rms_epsilon");
    if (key == NULL) {
        return build_no_memory(dense->build);
    }
    if (!settings_has(dense->build->settings, key)) {
        return fail(LIMN_FORMAT, "%s: metadata \"%s\" is missing", dense->build->settings->path, key);
    }
    return settings_real(&dense->epsilon, dense->build->settings, key, 0, 0, 1);
}

static limn_status read_gguf(Dense *dense) {
    ModelConfig *config = &dense->build->model->config;
    const WeightStore *weights = dense->build->weights;
    Sizes sizes = {0};
    int64_t d_value;
    int64_t rows = gguf_vocabulary(dense->build->settings->gguf);
    TRY(gguf_integer(&sizes.n_vocab, dense, "vocab_size", rows, 1, INT32_MAX));
    TRY(gguf_integer(&sizes.d_model, dense, "embedding_length", 0, 1, 1 << 20));
    TRY(gguf_integer(&sizes.n_layers, dense, "block_count", 0, 1, 1 << 14));
    TRY(gguf_integer(&sizes.n_heads, dense, "attention.head_count", 0, 1, 1 << 14));
    TRY(gguf_integer(&sizes.d_mlp, dense, "feed_forward_length", 0, 1, 1 << 24));
    TRY(gguf_integer(&sizes.n_context, dense, "context_length", 0, 1, INT32_MAX));
    TRY(gguf_epsilon(dense));
    TRY(gguf_integer(&sizes.n_kv_heads, dense, "attention.head_count_kv", sizes.n_heads, 1, 1 << 14));
    TRY(gguf_integer(&sizes.d_head, dense, "attention.key_length", even_head_width(&sizes), 1, 1 << 16));
    TRY(gguf_integer(&d_value, dense, "attention.value_length", sizes.d_head, sizes.d_head, sizes.d_head));
    dense->tied = !weights_has(weights, "output.weight");
    dense->qkv_bias = weights_has(weights, "blk.0.attn_q.bias") || weights_has(weights, "blk.0.attn_qkv.bias");
    dense->out_bias = weights_has(weights, "blk.0.attn_output.bias");
    dense->mlp_bias = weights_has(weights, "blk.0.ffn_gate.bias");
    const char *activation = dense->family->activation != NULL ? dense->family->activation : "silu";
    if (!activation_from_name(activation, &dense->activation)) {
        return fail(LIMN_INTERNAL, "no activation \"%s\"", activation);
    }
    build_sizes(config, &sizes);
    return check_sizes(dense->build);
}

static limn_status read_rope(Dense *dense) {
    Build *build = dense->build;
    ModelConfig *config = &build->model->config;
    Arena *arena = &build->model->arena;
    RopeKeys keys = dense->family->rope;
    keys.theta = keys.theta != NULL ? keys.theta : "rope_theta";
    dense->rope = ARENA_NEW(arena, Rope);
    if (dense->rope == NULL) {
        return build_no_memory(build);
    }
    return build->settings->gguf != NULL
               ? rope_from_gguf(dense->rope, arena, build->settings, build->weights, dense->family->gguf,
                                config->d_head)
               : rope_from_json_as(dense->rope, arena, build->settings, &keys, config->d_head, config->n_context);
}

limn_status dense_read(Dense *dense, Build *build, const DenseFamily *family) {
    *dense = (Dense){.build = build, .family = family};
    build->model->config.task = decoder_task(build->architecture);
    build->model->config.causal = true;
    TRY(refuse_others(dense));
    TRY(build->settings->gguf != NULL ? read_gguf(dense) : read_json(dense));
    TRY(build_pad(build, -1));
    /* a multimodal folder says whether they are tied here or there; what it holds tells */
    dense->tied = dense->tied || build->text_part;
    dense->scale = (float)(1.0 / sqrt((double)build->model->config.d_head));
    return family->own_rope ? LIMN_OK : read_rope(dense);
}

limn_status dense_read_attention_bias(Dense *dense) {
    const Settings *settings = dense->build->settings;
    if (settings->gguf != NULL) {
        return LIMN_OK;
    }
    TRY(settings_bool(&dense->qkv_bias, settings, "attention_bias", false));
    dense->out_bias = dense->qkv_bias;
    return LIMN_OK;
}

limn_status dense_read_optional(double *value, const Dense *dense, const char *key, double fallback) {
    const Settings *settings = dense->build->settings;
    if (settings->gguf != NULL) {
        key = dense_gguf_key(dense, key);
        return key == NULL ? build_no_memory(dense->build) : settings_real(value, settings, key, fallback, 0, 1e6);
    }
    bool off = json_is_null(settings_value(settings, key));
    return settings_real(value, settings, key, off ? 0 : fallback, 0, 1e6);
}

limn_status dense_read_window(Dense *dense, int64_t fallback) {
    const Settings *settings = dense->build->settings;
    const char *key = settings->gguf != NULL ? dense_gguf_key(dense, "attention.sliding_window") : "sliding_window";
    if (key == NULL) {
        return build_no_memory(dense->build);
    }
    bool off = json_is_null(settings_value(settings, key));
    int64_t window;
    TRY(settings_integer(&window, settings, key, off ? 0 : fallback, settings->gguf != NULL ? 0 : 1, INT32_MAX));
    dense->window = (int32_t)window;
    return LIMN_OK;
}

limn_status dense_read_used_window(Dense *dense, bool used) {
    if (used) {
        return dense_read_window(dense, 4096);
    }
    settings_skip(dense->build->settings, "sliding_window"); /* 0, null or a width that nobody uses */
    dense->window = 0;
    return LIMN_OK;
}

limn_status dense_read_layer_types(Dense *dense, bool *slides) {
    const Settings *settings = dense->build->settings;
    int32_t n_layers = dense->build->model->config.n_layers;
    dense->slides = slides;
    if (settings->gguf != NULL || !settings_has(settings, "layer_types")) {
        return LIMN_OK;
    }
    const json_t *types = settings_value(settings, "layer_types");
    if (!json_is_array(types) || json_array_size(types) != (size_t)n_layers) {
        return settings_fail(LIMN_FORMAT, settings, "layer_types", "a list with one name for each layer");
    }
    for (int32_t i = 0; i < n_layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        slides[i] = type != NULL && strcmp(type, "sliding_attention") == 0;
        if (!slides[i] && (type == NULL || strcmp(type, "full_attention") != 0)) {
            return fail(LIMN_UNSUPPORTED,
                        "%s: \"layer_types\" of layer %d is \"%.60s\", expected full_attention or "
                        "sliding_attention",
                        settings->path, i, type != NULL ? type : "not a name");
        }
        if (slides[i] && dense->window == 0) {
            return fail(LIMN_FORMAT, "%s: layer %d has sliding_attention and \"sliding_window\" gives no width",
                        settings->path, i);
        }
    }
    return LIMN_OK;
}

limn_status dense_read_upper_windows(Dense *dense, int64_t first) {
    const Settings *settings = dense->build->settings;
    int32_t n_layers = dense->build->model->config.n_layers;
    bool used;
    TRY(settings_bool(&used, settings, "use_sliding_window", false));
    TRY(settings_integer(&first, settings, "max_window_layers", first, 0, INT32_MAX));
    TRY(dense_read_used_window(dense, used));
    bool *slides = ARENA_ARRAY(&dense->build->model->arena, bool, n_layers);
    if (slides == NULL) {
        return build_no_memory(dense->build);
    }
    for (int32_t i = 0; i < n_layers; i++) {
        slides[i] = i >= first;
    }
    return dense_read_layer_types(dense, slides);
}

/* --- weights --- */

typedef struct LayerReader {
    Dense *dense;
    char prefix[96]; /* "model.layers.0." */
} LayerReader;

static limn_status get_linear(const LayerReader *reader, Linear *linear, int64_t rows, int64_t columns,
                              const char *name, bool bias, int64_t paired_width) {
    Build *build = reader->dense->build;
    const char *weight_name = build_name(build, "%s%s.weight", reader->prefix, name);
    const char *bias_name = build_name(build, "%s%s.bias", reader->prefix, name);
    if (weight_name == NULL || bias_name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for a tensor's name", build->model->path);
    }
    TRY(weights_get_paired(&linear->weight, build->weights, USE_MATRIX, rows, columns, paired_width, weight_name));
    linear->bias = (Weight){0};
    return bias ? weights_get_paired(&linear->bias, build->weights, USE_VECTOR, rows, 1, paired_width, bias_name)
                : LIMN_OK;
}

static limn_status get_norm(const LayerReader *reader, NormSpec *norm, int64_t width, const char *name) {
    Dense *dense = reader->dense;
    *norm = (NormSpec){.kind = NORM_RMS, .epsilon = (float)dense->epsilon, .plus_one = dense->plus_one};
    return build_vector(dense->build, &norm->gain, width, "%s%s.weight", reader->prefix, name);
}

/* Rows [begin, begin + n) of a fused projection. */
static Linear part_of(const Linear *whole, int64_t begin, int64_t n) {
    Linear part = {.weight = weight_rows(&whole->weight, begin, n)};
    if (whole->bias.name != NULL) {
        part.bias = weight_rows(&whole->bias, begin, n);
    }
    return part;
}

static limn_status get_projections(const LayerReader *reader, AttentionSpec *attention) {
    const Dense *dense = reader->dense;
    Build *build = dense->build;
    int64_t d = build->model->config.d_model, k = attention->d_head;
    int64_t query = attention->n_heads * k, keys = attention->n_kv_heads * k;
    bool bias = dense->qkv_bias;
    if (dense->fused) {
        Linear whole;
        TRY(get_linear(reader, &whole, query + 2 * keys, d, build_called(build, "self_attn.qkv_proj", "attn_qkv"), bias,
                       0));
        attention->q = part_of(&whole, 0, query);
        attention->k = part_of(&whole, query, keys);
        attention->v = part_of(&whole, query + keys, keys);
    } else {
        int64_t paired = dense->build->settings->gguf != NULL && dense->family->paired ? k : 0;
        TRY(get_linear(reader, &attention->q, query, d, build_called(build, "self_attn.q_proj", "attn_q"), bias,
                       paired));
        TRY(get_linear(reader, &attention->k, keys, d, build_called(build, "self_attn.k_proj", "attn_k"), bias,
                       paired));
        TRY(get_linear(reader, &attention->v, keys, d, build_called(build, "self_attn.v_proj", "attn_v"), bias, 0));
    }
    return get_linear(reader, &attention->o, d, query, build_called(build, "self_attn.o_proj", "attn_output"),
                      dense->out_bias, 0);
}

static limn_status get_attention(const LayerReader *reader, AttentionSpec *attention, int index) {
    const Dense *dense = reader->dense;
    Build *build = dense->build;
    const ModelConfig *config = &build->model->config;
    bool slides = dense->window != 0 && (dense->slides == NULL || dense->slides[index]);
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_kv_heads,
                                 .d_head = config->d_head,
                                 .scale = dense->scale,
                                 .causal = true,
                                 .softcap = dense->score_softcap,
                                 .window = slides ? dense->window : 0,
                                 .rope = slides && dense->window_rope != NULL ? dense->window_rope : dense->rope};
    TRY(get_projections(reader, attention));
    if (dense->head_norms) {
        TRY(get_norm(reader, &attention->q_norm, config->d_head,
                     build_called(build, "self_attn.q_norm", "attn_q_norm")));
        TRY(get_norm(reader, &attention->k_norm, config->d_head,
                     build_called(build, "self_attn.k_norm", "attn_k_norm")));
    }
    return dense->sandwich ? get_norm(reader, &attention->post, config->d_model,
                                      build_called(build, "post_attention_layernorm", "post_attention_norm"))
                           : LIMN_OK;
}

static limn_status get_mlp(const LayerReader *reader, MlpSpec *mlp) {
    const Dense *dense = reader->dense;
    Build *build = dense->build;
    int64_t d = build->model->config.d_model, f = build->model->config.d_mlp;
    *mlp = (MlpSpec){.activation = dense->activation, .gated = true};
    if (dense->fused) {
        Linear whole;
        TRY(get_linear(reader, &whole, 2 * f, d, build_called(build, "mlp.gate_up_proj", "ffn_up"), dense->mlp_bias,
                       0));
        mlp->gate = part_of(&whole, 0, f);
        mlp->in = part_of(&whole, f, f);
    } else {
        TRY(get_linear(reader, &mlp->gate, f, d, build_called(build, "mlp.gate_proj", "ffn_gate"), dense->mlp_bias, 0));
        TRY(get_linear(reader, &mlp->in, f, d, build_called(build, "mlp.up_proj", "ffn_up"), dense->mlp_bias, 0));
    }
    TRY(get_linear(reader, &mlp->out, d, f, build_called(build, "mlp.down_proj", "ffn_down"), dense->mlp_bias, 0));
    return dense->sandwich
               ? get_norm(reader, &mlp->post, d, build_called(build, "post_feedforward_layernorm", "post_ffw_norm"))
               : LIMN_OK;
}

static limn_status get_layer(const LayerReader *reader, DecoderLayer *layer, int index) {
    Dense *dense = reader->dense;
    Build *build = dense->build;
    int64_t d = build->model->config.d_model;
    bool done = false;
    TRY(get_attention(reader, &layer->attention, index));
    TRY(get_norm(reader, &layer->ln1, d, build_called(build, "input_layernorm", "attn_norm")));
    TRY(get_norm(reader, &layer->ln2, d,
                 dense->sandwich ? build_called(build, "pre_feedforward_layernorm", "ffn_norm")
                                 : build_called(build, "post_attention_layernorm", "ffn_norm")));
    if (dense->get_mlp != NULL) {
        TRY(dense->get_mlp(dense, layer, index, reader->prefix, &done));
    }
    return done ? LIMN_OK : get_mlp(reader, &layer->mlp);
}

static limn_status get_outer(const Dense *dense, Decoder *decoder, const char *prefix, const char *head) {
    Build *build = dense->build;
    ModelConfig *config = &build->model->config;
    const char *embed = build_name(build, "%s%s.weight", prefix, build_called(build, "embed_tokens", "token_embd"));
    const char *norm = build_name(build, "%s%s", prefix, build_called(build, "norm", "output_norm"));
    if (embed == NULL || norm == NULL) {
        return build_no_memory(build);
    }
    decoder->embed_scale = dense->embed_scale;
    decoder->ln_final = (NormSpec){.kind = NORM_RMS, .epsilon = (float)dense->epsilon, .plus_one = dense->plus_one};
    TRY(build_vector(build, &decoder->ln_final.gain, config->d_model, "%s.weight", norm));
    if (config->task == TASK_CAUSAL_LM) {
        decoder->softcap = dense->logit_softcap;
        return build_tied(build, &decoder->embed, &decoder->head.weight, dense->tied, embed, head);
    }
    TRY(build_table(build, &decoder->embed, config->n_vocab, config->d_model, "%s", embed));
    return decoder_score(build, decoder, config->d_model);
}

/* What stands before the names of the text part's tensors, and what the head is called. */
static const char *find_prefix(const Build *build, const char **head) {
    static const char *const prefixes[][2] = {{"model.", "lm_head.weight"},
                                              {"model.language_model.", "lm_head.weight"},
                                              {"language_model.model.", "language_model.lm_head.weight"},
                                              {"language_model.", "lm_head.weight"},
                                              {"", "lm_head.weight"}};
    size_t found = 0;
    for (size_t i = sizeof prefixes / sizeof prefixes[0]; i-- > 0;) {
        char name[64];
        snprintf(name, sizeof name, "%sembed_tokens.weight", prefixes[i][0]);
        found = weights_has(build->weights, name) ? i : found;
    }
    *head = prefixes[found][1];
    return prefixes[found][0];
}

limn_status dense_build(Dense *dense) {
    Build *build = dense->build;
    bool gguf = build->settings->gguf != NULL;
    TRY(weights_ignore(build->weights, "rotary_emb.inv_freq"));
    Decoder decoder;
    TRY(decoder_new(&decoder, build));
    const char *head = build_called(build, "lm_head.weight", "output.weight");
    const char *prefix = gguf ? "" : find_prefix(build, &head);
    LayerReader reader = {.dense = dense};
    for (int i = 0; i < build->model->config.n_layers; i++) {
        snprintf(reader.prefix, sizeof reader.prefix, "%s%s.%d.", prefix, build_called(build, "layers", "blk"), i);
        TRY(get_layer(&reader, &decoder.layers[i], i));
    }
    TRY(get_outer(dense, &decoder, prefix, head));
    return decoder_build(build, &decoder);
}
