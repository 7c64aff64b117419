/* Which architecture a folder or file holds, and what its classifiers put out. */
#include "model/arch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/nearest.h"
#include "base/text_buffer.h"
#include "files/json.h"

#define ARCH(name, model_types, architectures, gguf, ...) limn_status name##_build(Build *build);
#include "model/archs.def"
#undef ARCH

#define FIRST(first, ...)          first
#define SECOND(first, second, ...) second

static const Arch archs[] = {
#define ARCH(name, model_types, architectures, gguf, ...)                                                              \
    {#name, model_types, architectures, gguf, FIRST(__VA_ARGS__, ""), SECOND(__VA_ARGS__, "", ""), name##_build},
#include "model/archs.def"
#undef ARCH
};

int arch_count(void) {
    return (int)(sizeof archs / sizeof archs[0]);
}

const Arch *arch_at(int index) {
    return &archs[index];
}

/* Where `name` stands among space-separated words; NULL: nowhere. */
static const char *find_word(const char *words, const char *name, size_t length) {
    for (const char *word = words; *word != '\0';) {
        size_t n = strcspn(word, " ");
        if (n == length && memcmp(word, name, n) == 0) {
            return word;
        }
        word += n + strspn(word + n, " ");
    }
    return NULL;
}

typedef const char *(*ArchField)(const Arch *arch);

static const char *field_architectures(const Arch *arch) {
    return arch->architectures;
}

static const char *field_model_types(const Arch *arch) {
    return arch->model_types;
}

static const char *field_gguf(const Arch *arch) {
    return arch->gguf;
}

/* The words of a field of all rows, each once. */
typedef struct Known {
    TextBuffer text; /* each word and a NUL */
    size_t n;
} Known;

static void list_known(Known *known, ArchField field) {
    for (int i = 0; i < arch_count(); i++) {
        for (const char *word = field(&archs[i]); *word != '\0';) {
            size_t n = strcspn(word, " ");
            bool said = false;
            for (size_t at = 0; at < known->text.length && !said; at += strlen(known->text.data + at) + 1) {
                said = strlen(known->text.data + at) == n && memcmp(known->text.data + at, word, n) == 0;
            }
            if (!said) {
                text_buffer_add_bytes(&known->text, word, n);
                text_buffer_add_char(&known->text, '\0');
                known->n++;
            }
            word += n + strspn(word + n, " ");
        }
    }
}

static const char *known_at(const void *context, size_t index) {
    const Known *known = context;
    const char *word = known->text.data;
    for (; index > 0; index--) {
        word += strlen(word) + 1;
    }
    return word;
}

static limn_status refuse(const char *path, const char *key, const char *name, size_t length, ArchField field) {
    enum { NEAREST = 5, NAME_SHOWN = 100 };
    Known known = {0};
    char wanted[NAME_SHOWN + 1], near[400];
    snprintf(wanted, sizeof wanted, "%.*s", (int)(length < NAME_SHOWN ? length : NAME_SHOWN), name);
    list_known(&known, field);
    size_t n = text_buffer_status(&known.text) == LIMN_OK ? known.n : 0;
    nearest_names(near, sizeof near, NEAREST, wanted, known_at, &known, n);
    text_buffer_free(&known.text);
    return fail(LIMN_UNSUPPORTED, "%s: %s \"%s\" is not implemented; nearest: %s (docs/models.md lists all)", path, key,
                wanted, near);
}

limn_status arch_find(const Arch **arch, const char **name, const char *path, const char *model_type,
                      const char *architecture) {
    for (int i = 0; i < arch_count(); i++) {
        *arch = &archs[i];
        if (architecture != NULL && find_word(archs[i].architectures, architecture, strlen(architecture)) != NULL) {
            *name = architecture;
            return LIMN_OK;
        }
    }
    if (architecture != NULL) {
        return refuse(path, "architecture", architecture, strlen(architecture), field_architectures);
    }
    for (int i = 0; i < arch_count() && model_type != NULL; i++) {
        *arch = &archs[i];
        if (find_word(archs[i].model_types, model_type, strlen(model_type)) != NULL) {
            *name = NULL;
            return LIMN_OK;
        }
    }
    if (model_type == NULL) {
        return fail(LIMN_FORMAT, "%s: neither \"architectures\" nor \"model_type\" is there, expected one of them",
                    path);
    }
    return refuse(path, "model_type", model_type, strlen(model_type), field_model_types);
}

limn_status arch_find_gguf(const Arch **arch, const char *path, const char *architecture, size_t length) {
    for (int i = 0; i < arch_count(); i++) {
        *arch = &archs[i];
        if (archs[i].gguf[0] != '\0' && find_word(archs[i].gguf, architecture, length) != NULL) {
            return LIMN_OK;
        }
    }
    return refuse(path, "general.architecture", architecture, length, field_gguf);
}

/* --- for the architecture files --- */

limn_status build_weights(Build *build) {
    return build->options->config_only ? LIMN_OK : weights_convert(build->weights, build->team);
}

static const char *format_name(Build *build, const char *format, va_list arguments) {
    char name[512];
    int length = vsnprintf(name, sizeof name, format, arguments);
    return length < 0 || (size_t)length >= sizeof name ? NULL : arena_strdup(&build->model->arena, name);
}

const char *build_name(Build *build, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const char *name = format_name(build, format, arguments);
    va_end(arguments);
    return name;
}

static limn_status get(Build *build, Weight *weight, WeightUse use, int64_t rows, int64_t columns, const char *name) {
    if (name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for a tensor's name", build->model->path);
    }
    return weights_get(weight, build->weights, use, rows, columns, name);
}

limn_status build_matrix(Build *build, Weight *weight, int64_t rows, int64_t columns, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const char *name = format_name(build, format, arguments);
    va_end(arguments);
    return get(build, weight, USE_MATRIX, rows, columns, name);
}

limn_status build_vector(Build *build, Weight *weight, int64_t rows, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const char *name = format_name(build, format, arguments);
    va_end(arguments);
    return get(build, weight, USE_VECTOR, rows, 1, name);
}

limn_status build_table(Build *build, Weight *weight, int64_t rows, int64_t columns, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const char *name = format_name(build, format, arguments);
    va_end(arguments);
    return get(build, weight, USE_TABLE, rows, columns, name);
}

const char *build_called(Build *build, const char *folder, const char *gguf) {
    if (build->settings->gguf == NULL) {
        return folder;
    }
    bool known = false;
    for (int32_t i = 0; i < build->n_called && i < CALLED_MAX && !known; i++) {
        known = strcmp(build->called[i].gguf, gguf) == 0;
    }
    if (!known && build->n_called < CALLED_MAX) {
        build->called[build->n_called] = (CalledName){folder, gguf};
    }
    build->n_called += known ? 0 : 1; /* one too many is said when the family has been built */
    return gguf;
}

int64_t build_vocabulary(const Build *build, int64_t fallback) {
    const Gguf *gguf = build->settings->gguf;
    const Tensor *embed = gguf != NULL ? gguf_tensor(gguf, "token_embd.weight") : NULL;
    return gguf == NULL ? fallback : embed != NULL && embed->rank == 2 ? embed->shape[0] : 0;
}

const char *build_prefix(const Build *build, const char *prefix, const char *probe) {
    char name[256];
    snprintf(name, sizeof name, "%s%s", prefix, probe);
    return weights_has(build->weights, name) || !weights_has(build->weights, probe) ? prefix : "";
}

limn_status build_activation(const Build *build, Activation *activation, const char *key, const char *fallback) {
    const char *name;
    size_t length;
    TRY(settings_text(&name, &length, build->settings, key));
    if (name == NULL) {
        name = fallback;
    }
    if (!activation_from_name(name, activation)) {
        return settings_fail(LIMN_UNSUPPORTED, build->settings, key,
                             "one of: gelu gelu_new gelu_pytorch_tanh gelu_fast quick_gelu relu relu2 silu swish tanh "
                             "sigmoid");
    }
    return LIMN_OK;
}

void build_sizes(ModelConfig *config, const Sizes *sizes) {
    config->n_vocab = (int32_t)sizes->n_vocab;
    config->d_model = (int32_t)sizes->d_model;
    config->d_mlp = (int32_t)sizes->d_mlp;
    config->n_layers = (int32_t)sizes->n_layers;
    config->n_heads = (int32_t)sizes->n_heads;
    config->n_kv_heads = (int32_t)(sizes->n_kv_heads != 0 ? sizes->n_kv_heads : sizes->n_heads);
    config->d_head = (int32_t)(sizes->d_head != 0 ? sizes->d_head : sizes->d_model / sizes->n_heads);
    config->n_context = (int32_t)sizes->n_context;
}

limn_status build_no_memory(const Build *build) {
    return fail(LIMN_NO_MEMORY, "%s: no memory for its configuration", build->model->path);
}

limn_status build_size(const Build *build, int64_t *value, const char *key, const char *alias, int64_t fallback,
                       int64_t high) {
    TRY(settings_integer(&fallback, build->settings, alias, fallback, 1, high));
    return settings_integer(value, build->settings, key, fallback, 1, high);
}

limn_status build_linear(Build *build, Linear *linear, int64_t rows, int64_t columns, bool bias, const char *prefix,
                         const char *name) {
    linear->bias = (Weight){0};
    TRY(build_matrix(build, &linear->weight, rows, columns, "%s%s.weight", prefix, name));
    return bias ? build_vector(build, &linear->bias, rows, "%s%s.bias", prefix, name) : LIMN_OK;
}

static limn_status get_fused(Weight *fused, Build *build, WeightUse use, const AttentionSpec *attention,
                             int64_t columns, const char *name) {
    int64_t groups = attention->n_kv_heads, share = attention->n_heads / groups, width = attention->d_head;
    return build->settings->gguf != NULL
               ? weights_get(fused, build->weights, use, (attention->n_heads + 2 * groups) * width, columns, name)
               : weights_get_fused(fused, build->weights, use, groups, share, width, columns, name);
}

limn_status build_fused_qkv(Build *build, AttentionSpec *attention, bool bias, const char *prefix, const char *name) {
    const char *weight_name = build_name(build, "%s%s.weight", prefix, name);
    const char *bias_name = build_name(build, "%s%s.bias", prefix, name);
    if (weight_name == NULL || bias_name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for a tensor's name", build->model->path);
    }
    int64_t queries = attention->n_heads * attention->d_head, keys = attention->n_kv_heads * attention->d_head;
    Weight fused;
    build->grouped_qkv = true;
    TRY(get_fused(&fused, build, USE_MATRIX, attention, build->model->config.d_model, weight_name));
    attention->q.weight = weight_rows(&fused, 0, queries);
    attention->k.weight = weight_rows(&fused, queries, keys);
    attention->v.weight = weight_rows(&fused, queries + keys, keys);
    attention->q.bias = attention->k.bias = attention->v.bias = (Weight){0};
    if (!bias) {
        return LIMN_OK;
    }
    TRY(get_fused(&fused, build, USE_VECTOR, attention, 1, bias_name));
    attention->q.bias = weight_rows(&fused, 0, queries);
    attention->k.bias = weight_rows(&fused, queries, keys);
    attention->v.bias = weight_rows(&fused, queries + keys, keys);
    return LIMN_OK;
}

limn_status build_layer_norm(Build *build, NormSpec *norm, double epsilon, bool affine, const char *prefix,
                             const char *name) {
    int64_t d = build->model->config.d_model;
    *norm = (NormSpec){.kind = NORM_LAYER, .epsilon = (float)epsilon};
    if (!affine) {
        return LIMN_OK;
    }
    TRY(build_vector(build, &norm->gain, d, "%s%s.weight", prefix, name));
    return build_vector(build, &norm->bias, d, "%s%s.bias", prefix, name);
}

limn_status build_warn(Build *build, const char *format, ...) {
    Model *model = build->model;
    char line[ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const char **grown = ARENA_ARRAY(&model->arena, const char *, model->n_warnings + 1);
    const char *kept = arena_strdup(&model->arena, line);
    if (grown == NULL || kept == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for a warning", model->path);
    }
    for (int32_t i = 0; i < model->n_warnings; i++) {
        grown[i] = model->warnings[i];
    }
    grown[model->n_warnings++] = kept;
    model->warnings = grown;
    return LIMN_OK;
}

limn_status build_pad(Build *build, int64_t fallback) {
    const char *key = build->settings->gguf != NULL ? "tokenizer.ggml.padding_token_id" : "pad_token_id";
    int64_t pad;
    TRY(settings_integer(&pad, build->settings, key, fallback, -1, INT32_MAX));
    build->model->config.pad_id = (int32_t)pad;
    return LIMN_OK;
}

/* A cross-encoder of sentence-transformers states what is made of its outputs; the reference's pipeline does not look.
 */
static limn_status warn_of_activation(Build *build) {
    Settings own;
    const char *name;
    size_t length;
    TRY(settings_object(&own, build->whole, "sentence_transformers"));
    if (own.json == NULL) {
        return LIMN_OK;
    }
    settings_skip(&own, "version");
    TRY(settings_text(&name, &length, &own, "activation_fn"));
    bool sigmoid = name != NULL && text_ends_with(name, ".Sigmoid");
    bool agrees = name == NULL || (sigmoid && build->model->config.outputs == OUTPUT_EACH);
    return agrees ? LIMN_OK
                  : build_warn(build, "%s: \"sentence_transformers.activation_fn\" is '%.80s': what is shown is %s",
                               build->whole->path, name,
                               build->model->config.outputs == OUTPUT_EACH     ? "a sigmoid of each output"
                               : build->model->config.outputs == OUTPUT_ONE_OF ? "a softmax over the outputs"
                                                                               : "the outputs themselves");
}

/* As the reference's pipeline reads problem_type: one output alone is a label that is right or wrong. */
static limn_status read_outputs(Build *build) {
    static const struct {
        const char *name;
        OutputRule rule;
    } kinds[] = {{"regression", OUTPUT_VALUE},
                 {"multi_label_classification", OUTPUT_EACH},
                 {"single_label_classification", OUTPUT_ONE_OF}};
    ModelConfig *config = &build->model->config;
    const char *name;
    size_t length;
    bool known = false;
    TRY(settings_text(&name, &length, build->whole, "problem_type"));
    config->outputs = OUTPUT_ONE_OF;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && name != NULL; i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            config->outputs = kinds[i].rule;
            known = true;
        }
    }
    if (name != NULL && !known) {
        return settings_fail(LIMN_UNSUPPORTED, build->whole, "problem_type",
                             "\"single_label_classification\", \"multi_label_classification\" or \"regression\"");
    }
    if (config->n_classes == 1 && config->outputs == OUTPUT_ONE_OF) {
        config->outputs = OUTPUT_EACH;
    }
    return warn_of_activation(build);
}

limn_status build_labels(Build *build) {
    const json_t *names = settings_value(build->whole, "id2label");
    int64_t n = 2;
    TRY(json_take_object(&names, build->whole->json, build->whole->path, "id2label"));
    if (json_object_size(names) > 0) {
        settings_skip(build->whole, "num_labels");
        n = (int64_t)json_object_size(names);
    } else {
        TRY(settings_integer(&n, build->whole, "num_labels", 2, 1, 1 << 20));
    }
    ModelConfig *config = &build->model->config;
    config->labels = ARENA_ARRAY(&build->model->arena, const char *, n);
    if (config->labels == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for %lld labels", build->whole->path, (long long)n);
    }
    config->n_classes = (int32_t)n;
    for (int64_t i = 0; i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%lld", (long long)i);
        const json_t *label = json_object_get(names, key);
        if (json_object_size(names) > 0 && !json_is_string(label)) {
            return settings_fail(LIMN_FORMAT, build->whole, "id2label", "a label for each of 0, 1, 2 ...");
        }
        config->labels[i] = label != NULL ? arena_strdup(&build->model->arena, json_string_value(label))
                                          : arena_printf(&build->model->arena, "LABEL_%lld", (long long)i);
        if (config->labels[i] == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: no memory for %lld labels", build->whole->path, (long long)n);
        }
    }
    return read_outputs(build);
}

limn_status build_tied(Build *build, Weight *embed, Weight *head, bool tied, const char *embed_name,
                       const char *head_name) {
    return build_tied_width(build, embed, head, build->model->config.d_model, tied, embed_name, head_name);
}

limn_status build_tied_width(Build *build, Weight *embed, Weight *head, int64_t width, bool tied,
                             const char *embed_name, const char *head_name) {
    const ModelConfig *config = &build->model->config;
    if (embed_name == NULL || head_name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for a tensor's name", build->model->path);
    }
    bool has_embed = weights_has(build->weights, embed_name), has_head = weights_has(build->weights, head_name);
    if (tied && has_embed && has_head) {
        tied = build->options->config_only || weights_same(build->weights, embed_name, head_name);
        if (tied) {
            TRY(weights_ignore(build->weights, head_name));
        }
    }
    if (tied && !has_embed && has_head) {
        embed_name = head_name;
    }
    /* Only a shared table is an operand of matrix products. */
    TRY(get(build, embed, tied ? USE_MATRIX : USE_TABLE, config->n_vocab, width, embed_name));
    TRY(get(build, head, USE_MATRIX, config->n_vocab, width, tied ? embed_name : head_name));
    head->name = head_name; /* an adapter of the head leaves the embedding alone */
    return LIMN_OK;
}
