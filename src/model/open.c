/* Opening a model: which files it is, which family, then the family's own file does the rest. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "files/hf_cache.h"
#include "files/json.h"
#include "model/adapters.h"
#include "model/arch.h"
#include "model/config_keys.h"
#include "model/files.h"
#include "model/quantised.h"
#include "model/sentence.h"

enum { NAMED = 8 }; /* leftover tensors named in warnings; more are counted */

static limn_status no_memory(const Model *model) {
    return fail(LIMN_NO_MEMORY, "%s: no memory to open it", model->path);
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

/* The only .gguf file of a folder without config.json, as a path in the arena; NULL: none or several. */
static const char *lone_gguf(Model *model) {
    DIR *folder = opendir(model->path);
    const char *found = NULL;
    int count = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (text_ends_with(entry->d_name, ".gguf")) {
            found = arena_printf(&model->arena, "%s/%s", model->path, entry->d_name);
            count++;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count == 1 ? found : NULL;
}

static limn_status add_hashed(Model *model, const char *path) {
    ModelFiles *files = model->files;
    for (int32_t i = 0; i < files->n_hashed; i++) {
        if (strcmp(files->hashed[i].path, path) == 0) {
            return LIMN_OK;
        }
    }
    HashFile *grown = realloc(files->hashed, (size_t)(files->n_hashed + 1) * sizeof *grown);
    const char *kept = arena_strdup(&model->arena, path);
    if (grown != NULL) {
        files->hashed = grown;
    }
    if (grown == NULL || kept == NULL) {
        return no_memory(model);
    }
    files->hashed[files->n_hashed++] = (HashFile){.path = kept};
    return LIMN_OK;
}

/* Everything of a folder that decides what the model computes. */
static limn_status list_hashed(Model *model) {
    static const char *const names[] = {"config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "tekken.json",
                                        "vocab.txt",
                                        "tokenizer.model",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "spiece.model",
                                        "modules.json",
                                        "1_Pooling/config.json"};
    ModelFiles *files = model->files;
    if (files->gguf != NULL) {
        return add_hashed(model, gguf_path(files->gguf));
    }
    for (int32_t i = 0; i < tensor_files_count(files->tensors); i++) {
        TRY(add_hashed(model, tensor_files_path_of(files->tensors, tensor_files_at(files->tensors, i))));
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = arena_printf(&model->arena, "%s/%s", model->path, names[i]);
        if (path == NULL) {
            return no_memory(model);
        }
        if (exists(path)) {
            TRY(add_hashed(model, path));
        }
    }
    return LIMN_OK;
}

typedef struct Leftovers {
    Build *build;
    int32_t n;
} Leftovers;

static limn_status warn_leftover(void *context, const Tensor *tensor) {
    Leftovers *leftovers = context;
    Build *build = leftovers->build;
    leftovers->n++;
    if (leftovers->n > NAMED) {
        return LIMN_OK;
    }
    char shape[96];
    const ModelFiles *files = build->model->files;
    const char *path = files->gguf != NULL ? build->model->path : tensor_files_path_of(files->tensors, tensor);
    return build_warn(build, "%s: tensor %s %s is not read by %s", path, tensor->name, tensor_shape_text(tensor, shape),
                      build->architecture);
}

static limn_status list_leftovers(Build *build) {
    Leftovers leftovers = {build, 0};
    TRY(weights_visit_leftovers(build->weights, warn_leftover, &leftovers));
    return leftovers.n <= NAMED ? LIMN_OK
                                : build_warn(build, "%s: %d more tensors are not read by %s", build->model->path,
                                             leftovers.n - NAMED, build->architecture);
}

/* Is there more than a text part? */
static bool is_multimodal(const char *architecture) {
    return text_ends_with(architecture, "ForConditionalGeneration") ||
           strcmp(architecture, "Gemma3ForSequenceClassification") == 0;
}

/* What multimodal folders hold besides the text part. */
static limn_status ignore_other_parts(WeightStore *weights) {
    static const char *const parts[] = {"vision_tower.",   "vision_model.",          "visual.",
                                        "vision_encoder.", "patch_merger.",          "vision_language_adapter.",
                                        "mm_projector.",   "multi_modal_projector.", "image_newline"};
    static const char *const nested[] = {"model.vision_tower.", "model.visual.", "model.multi_modal_projector.",
                                         "model.image_newline"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        TRY(weights_ignore_prefix(weights, parts[i]));
    }
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        TRY(weights_ignore_prefix(weights, nested[i]));
    }
    return LIMN_OK;
}

/* The graph before adapters change it. */
static limn_status keep_base(Model *model) {
    if (model->files->n_adapters == 0) {
        return LIMN_OK;
    }
    model->base = calloc(1, sizeof *model->base);
    return model->base != NULL ? graph_share(&model->base->graph, &model->graph)
                               : fail(LIMN_NO_MEMORY, "%s: no memory for its graph", model->path);
}

static limn_status build(Model *model, const Arch *arch, const char *architecture, const Settings *settings,
                         const Settings *whole, const ModelOptions *options, Team *team) {
    ModelFiles *files = model->files;
    ModelConfig *config = &model->config;
    size_t first = strcspn(arch->architectures, " ");
    config->architecture = architecture != NULL ? arena_strdup(&model->arena, architecture)
                                                : arena_strndup(&model->arena, arch->architectures, first);
    config->model_type = arena_strndup(&model->arena, arch->model_types, strcspn(arch->model_types, " "));
    if (config->architecture == NULL || config->model_type == NULL) {
        return no_memory(model);
    }
    TRY(weights_new(&files->weights, model->path, files->tensors, files->gguf,
                    &(WeightOptions){options->bf16, options->memory_limit}));
    Build work = {.model = model,
                  .options = options,
                  .settings = settings,
                  .whole = whole,
                  .weights = files->weights,
                  .architecture = config->architecture,
                  .team = team,
                  .text_part = is_multimodal(config->architecture)};
    model->text_part = work.text_part;
    TRY(work.text_part ? ignore_other_parts(files->weights) : LIMN_OK);
    TRY(adapters_open(&work));
    TRY(arch->build(&work));
    if (work.n_called > CALLED_MAX) {
        return fail(LIMN_INTERNAL, "%s: the family asks for %d names, CALLED_MAX is %d", arch->name, (int)work.n_called,
                    (int)CALLED_MAX);
    }
    model->graph.n_layers = config->n_layers;
    TRY(keep_base(model));
    TRY(adapters_apply(&work));
    TRY(graph_seal(&model->graph));
    config->d_embed = (int32_t)model->graph.nodes[model->graph.embed].op.out.dims[0];
    config->dtype = weights_main_dtype(files->weights);
    model->n_parameters = weights_parameters(files->weights);
    model->weight_bytes = weights_stored_bytes(files->weights);
    model->copied_bytes = weights_copied_bytes(files->weights);
    model->frame = options->frame;
    model->config_only = options->config_only;
    TRY(list_leftovers(&work));
    TRY(files->gguf != NULL ? sentence_read_gguf(&work) : sentence_read(&work));
    TRY(files->log != NULL ? config_keys_check(&work, files->log) : LIMN_OK);
    return list_hashed(model);
}

/* Old files do not say how their tokenizer cuts text: what is taken then may not be what the model learnt with. */
static limn_status warn_of_split_rule(Model *model, const Settings *settings) {
    Build work = {.model = model, .settings = settings};
    const char *kind;
    size_t length;
    TRY(settings_text(&kind, &length, settings, "tokenizer.ggml.model"));
    if (kind == NULL || length != 4 || memcmp(kind, "gpt2", 4) != 0 || settings_has(settings, "tokenizer.ggml.pre")) {
        return LIMN_OK;
    }
    return build_warn(&work,
                      "%s: metadata \"tokenizer.ggml.pre\" is missing: text is cut by the rule \"default\", and some "
                      "tokens may differ from those of the model's own tokenizer",
                      model->path);
}

/* A model whose tokenizer is missing, broken or of a kind that is not implemented still opens, for ids. */
static limn_status keep_tokenizer(Model *model, limn_status status) {
    if (status == LIMN_NO_MEMORY || status == LIMN_INTERNAL || status == LIMN_CANCELLED) {
        return status;
    }
    if (status != LIMN_OK) {
        model->tokenizer = NULL;
        model->no_tokenizer_status = status;
        model->no_tokenizer = arena_strdup(&model->arena, error_message());
        error_clear();
        return model->no_tokenizer != NULL ? LIMN_OK : no_memory(model);
    }
    Build work = {.model = model};
    for (size_t i = 0; i < tokenizer_warning_count(model->tokenizer); i++) {
        TRY(build_warn(&work, "%s", tokenizer_warning(model->tokenizer, i)));
    }
    return LIMN_OK;
}

static limn_status open_gguf(Model *model, const ModelOptions *options, Team *team) {
    ModelFiles *files = model->files;
    TRY(gguf_open(&files->gguf, model->path));
    Settings settings = {.path = model->path, .gguf = files->gguf};
    const char *name;
    size_t length;
    TRY(settings_text(&name, &length, &settings, "general.architecture"));
    if (name == NULL) {
        return fail(LIMN_FORMAT, "%s: metadata \"general.architecture\" is missing", model->path);
    }
    const Arch *arch;
    TRY(arch_find_gguf(&arch, model->path, name, length));
    settings.family = arena_strndup(&model->arena, name, length);
    if (settings.family == NULL) {
        return no_memory(model);
    }
    TRY(build(model, arch, NULL, &settings, &settings, options, team));
    TRY(warn_of_split_rule(model, &settings));
    return keep_tokenizer(model, tokenizer_open_gguf(&model->tokenizer, files->gguf));
}

/* The first of "architectures"; NULL when there is none. */
static limn_status first_architecture(const char **name, const Settings *settings) {
    const json_t *list;
    *name = NULL;
    settings_skip(settings, "architectures");
    TRY(json_take_array(&list, settings->json, settings->path, "architectures"));
    const json_t *first = list != NULL ? json_array_get(list, 0) : NULL;
    if (first != NULL && !json_is_string(first)) {
        return settings_fail(LIMN_FORMAT, settings, "architectures", "a list of names");
    }
    *name = json_string_value(first);
    return LIMN_OK;
}

/* The settings of a multimodal folder's text part, and the family that its own model_type names. Old Qwen2-VL folders
 * do not nest: their settings stand where they are. */
static limn_status find_text_part(Settings *settings, const Arch **arch) {
    Settings text;
    const char *model_type, *none;
    size_t length;
    TRY(settings_object(&text, settings, "text_config"));
    if (text.json == NULL) {
        return LIMN_OK;
    }
    TRY(settings_text(&model_type, &length, &text, "model_type"));
    TRY(quantised_refuse_config(settings));
    *settings = text;
    return model_type == NULL ? LIMN_OK : arch_find(arch, &none, settings->path, model_type, NULL);
}

static limn_status open_folder(Model *model, const ModelOptions *options, Team *team) {
    ModelFiles *files = model->files;
    TRY(json_file_load(&files->config, files->config_path, JSON_CONFIG_CAP));
    if (!json_is_object(files->config)) {
        return fail(LIMN_FORMAT, "%s: holds no object, expected the model's configuration", files->config_path);
    }
    TRY(settings_log_new(&files->log, files->config_path, files->config));
    const Settings whole = {.path = files->config_path, .json = files->config, .log = files->log};
    Settings settings = whole;
    const char *architecture, *model_type;
    size_t length;
    TRY(first_architecture(&architecture, &settings));
    TRY(settings_text(&model_type, &length, &settings, "model_type"));
    const Arch *arch;
    TRY(arch_find(&arch, &architecture, settings.path, model_type, architecture));
    if (architecture != NULL && is_multimodal(architecture)) {
        TRY(find_text_part(&settings, &arch));
    }
    TRY(quantised_refuse_config(&settings));
    TRY(tensor_files_open(&files->tensors, model->path));
    TRY(build(model, arch, architecture, &settings, &whole, options, team));
    return keep_tokenizer(model, tokenizer_open_folder(&model->tokenizer, model->path));
}

static limn_status open_path(Model *model, const ModelOptions *options, Team *team) {
    struct stat info;
    if (stat(model->path, &info) != 0) {
        return fail(LIMN_IO, "%s: cannot be read", model->path);
    }
    if (S_ISDIR(info.st_mode)) {
        model->files->config_path = arena_printf(&model->arena, "%s/config.json", model->path);
        const char *adapter = arena_printf(&model->arena, "%s/adapter_config.json", model->path);
        if (model->files->config_path == NULL || adapter == NULL) {
            return no_memory(model);
        }
        bool configured = exists(model->files->config_path);
        const char *gguf = configured ? NULL : lone_gguf(model);
        if (gguf == NULL && !configured && exists(adapter)) {
            return fail(LIMN_USAGE, "%s: is an adapter, expected the model it was made for, and --adapter %s",
                        model->path, model->path);
        }
        if (gguf == NULL && !configured) {
            return fail(LIMN_NOT_FOUND, "%s: has no config.json and not one .gguf file alone, expected a model folder",
                        model->path);
        }
        if (gguf == NULL) {
            return open_folder(model, options, team);
        }
        free(model->path);
        model->path = strdup(gguf);
        if (model->path == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: no memory to open it", gguf);
        }
    } else if (!text_ends_with(model->path, ".gguf")) {
        return fail(LIMN_FORMAT, "%s: is a file of an unknown kind, expected a model folder or a .gguf file",
                    model->path);
    }
    return open_gguf(model, options, team);
}

/* All but the graph is the adapted model's own. */
static limn_status finish_base(Model *model) {
    if (model->base == NULL) {
        return LIMN_OK;
    }
    Graph graph = model->base->graph;
    *model->base = *model;
    model->base->graph = graph;
    model->base->base = NULL;
    model->base->adapters = NULL;
    model->base->n_adapters = 0;
    model->base->changes = NULL;
    model->base->n_changes = 0;
    return graph_seal(&model->base->graph);
}

limn_status model_open(Model **model, const char *path, const ModelOptions *options, Team *team) {
    static const ModelOptions plain = {0};
    options = options != NULL ? options : &plain;
    *model = NULL;
    char *resolved;
    TRY(hf_cache_resolve(&resolved, path));
    Model *made = calloc(1, sizeof *made);
    ModelFiles *files = calloc(1, sizeof *files);
    if (made == NULL || files == NULL || model_hasher_init(&files->hasher) != LIMN_OK) {
        free(made);
        free(files);
        free(resolved);
        return fail(LIMN_NO_MEMORY, "%s: no memory to open it", path);
    }
    made->path = resolved;
    made->files = files;
    arena_init(&made->arena);
    graph_init(&made->graph, 0);
    made->name = arena_strdup(&made->arena, strcmp(resolved, path) == 0 ? path_base(resolved) : path);
    limn_status status = made->name != NULL ? open_path(made, options, team) : no_memory(made);
    status = status == LIMN_OK ? finish_base(made) : status;
    if (status != LIMN_OK) {
        model_free(made);
        return status;
    }
    *model = made;
    return LIMN_OK;
}

limn_status model_need_tokenizer(const Model *model, const char *instead) {
    return model->tokenizer != NULL ? LIMN_OK
                                    : fail(model->no_tokenizer_status, "%s; %s", model->no_tokenizer, instead);
}

void model_free(Model *model) {
    if (model == NULL) {
        return;
    }
    model_hasher_free(&model->files->hasher);
    if (model->base != NULL) {
        graph_free(&model->base->graph);
        free(model->base);
    }
    tokenizer_free(model->tokenizer);
    graph_free(&model->graph);
    weights_free(model->files->weights);
    for (int32_t i = 0; i < model->files->n_adapters; i++) {
        adapter_close(model->files->adapters[i]);
    }
    tensor_files_close(model->files->tensors);
    gguf_close(model->files->gguf);
    settings_log_free(model->files->log);
    json_decref(model->files->config);
    free(model->files->hashed);
    free(model->files);
    free(model->path);
    arena_free(&model->arena);
    free(model);
}
