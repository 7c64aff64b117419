#include "files/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/map.h"
#include "files/adapter_select.h"
#include "files/json.h"
#include "files/keys.h"
#include "files/tensor_files.h"

enum { RANK_MAX = 1 << 16 };

struct AdapterFiles {
    Arena arena;
    json_t *config;
    AdapterSelect *select;
    TensorFiles *tensors;
    Map by_name;            /* module -> index into modules */
    AdapterModule *modules; /* what Adapter shows, while it grows */
    AdapterTensor *saved;
    const Tensor **ignored;
};

static const KeyRow known_keys[] = {
    {"peft_type", KEY_READ, NULL},
    {"base_model_name_or_path", KEY_READ, NULL},
    {"task_type", KEY_READ, NULL},
    {"r", KEY_READ, NULL},
    {"lora_alpha", KEY_READ, NULL},
    {"use_rslora", KEY_READ, NULL},
    {"use_dora", KEY_READ, NULL},
    {"bias", KEY_READ, NULL},
    {"target_modules", KEY_READ, NULL},
    {"exclude_modules", KEY_READ, NULL},
    {"modules_to_save", KEY_READ, NULL},
    {"layers_to_transform", KEY_READ, NULL},
    {"layers_pattern", KEY_READ, NULL},
    {"rank_pattern", KEY_READ, NULL},
    {"alpha_pattern", KEY_READ, NULL},
    {"init_lora_weights", KEY_READ, NULL},
    {"ensure_weight_tying", KEY_READ, NULL},
    {"fan_in_fan_out", KEY_IDLE, NULL}, /* the base module's own layout counts, as in PEFT, which corrects this key */
    {"auto_mapping", KEY_IDLE, NULL},
    {"peft_version", KEY_IDLE, NULL},
    {"revision", KEY_IDLE, NULL},
    {"inference_mode", KEY_IDLE, NULL},
    {"lora_dropout", KEY_IDLE, NULL},
    {"megatron_core", KEY_IDLE, NULL},
    {"qalora_group_size", KEY_IDLE, NULL},
    {"runtime_config", KEY_IDLE, NULL},
    {"loftq_config", KEY_IDLE, NULL},
    {"eva_config", KEY_IDLE, NULL},
    {"corda_config", KEY_IDLE, NULL},
    {"lora_ga_config", KEY_IDLE, NULL},
    {"megatron_config", KEY_REFUSED, NULL},
    {"use_qalora", KEY_REFUSED, NULL},
    {"use_bdlora", KEY_REFUSED, NULL},
    {"lora_bias", KEY_REFUSED, NULL},
    {"layer_replication", KEY_REFUSED, NULL},
    {"alora_invocation_tokens", KEY_REFUSED, NULL},
    {"target_parameters", KEY_REFUSED, NULL},
    {"trainable_token_indices", KEY_REFUSED, NULL},
    {"arrow_config", KEY_REFUSED, NULL},
    {"kasa_config", KEY_REFUSED, NULL},
    {"monteclora_config", KEY_REFUSED, NULL},
    {"velora_config", KEY_REFUSED, NULL},
};

const KeyTable adapter_key_table = {"adapter_config.json", KEY_REFUSED, known_keys,
                                    sizeof known_keys / sizeof known_keys[0]};

static limn_status no_memory(const Adapter *adapter) {
    return fail(LIMN_NO_MEMORY, "%s: no memory to open the adapter", adapter->path);
}

/* Initialisations after which the model's own weights are no longer those of its files. */
static limn_status check_initialisation(const Adapter *adapter, const json_t *config) {
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const json_t *value = json_object_get(config, "init_lora_weights");
    if (value == NULL || json_is_null(value) || json_is_boolean(value)) {
        return LIMN_OK;
    }
    for (size_t i = 0; json_is_string(value) && i < sizeof harmless / sizeof harmless[0]; i++) {
        if (strcmp(json_string_value(value), harmless[i]) == 0) {
            return LIMN_OK;
        }
    }
    char found[80];
    return fail(LIMN_UNSUPPORTED,
                "%s: \"init_lora_weights\" is %s, expected true, false, gaussian, eva or orthogonal: the others change "
                "the model's own weights, which is not implemented (PEFT can convert such an adapter when it saves it)",
                adapter->config_path, json_describe(value, found));
}

static limn_status check_kind(const Adapter *adapter, const json_t *config) {
    const char *kind, *bias;
    bool tying;
    TRY(json_need_string(&kind, config, adapter->config_path, "peft_type"));
    if (strcmp(kind, "LORA") != 0) {
        return fail(LIMN_UNSUPPORTED,
                    "%s: \"peft_type\" is \"%.60s\", expected LORA: other kinds of adapter are not "
                    "implemented",
                    adapter->config_path, kind);
    }
    TRY(json_take_string(&bias, config, adapter->config_path, "bias", "none"));
    if (strcmp(bias, "none") != 0 && strcmp(bias, "lora_only") != 0 && strcmp(bias, "all") != 0) {
        return fail(LIMN_UNSUPPORTED, "%s: \"bias\" is \"%.60s\", expected none, lora_only or all",
                    adapter->config_path, bias);
    }
    TRY(json_take_bool(&tying, config, adapter->config_path, "ensure_weight_tying", false));
    if (tying) {
        return fail(LIMN_UNSUPPORTED, "%s: \"ensure_weight_tying\" is true, expected false: it is not implemented",
                    adapter->config_path);
    }
    return LIMN_OK;
}

static limn_status read_config(Adapter *adapter) {
    AdapterFiles *files = adapter->files;
    if (!file_exists(adapter->config_path)) {
        return fail(LIMN_NOT_FOUND, "%s: is not there, expected a PEFT adapter folder with adapter_config.json",
                    adapter->config_path);
    }
    TRY(json_file_load(&files->config, adapter->config_path, JSON_CONFIG_CAP));
    const json_t *config = files->config;
    if (!json_is_object(config)) {
        return fail(LIMN_FORMAT, "%s: holds no object, expected the adapter's configuration", adapter->config_path);
    }
    TRY(check_kind(adapter, config));
    TRY(keys_check(&adapter_key_table, NULL, adapter->config_path, config, NULL));
    TRY(check_initialisation(adapter, config));
    TRY(json_take_string(&adapter->base_model, config, adapter->config_path, "base_model_name_or_path", ""));
    TRY(json_take_integer(&adapter->rank, config, adapter->config_path, "r", 1, RANK_MAX, 8));
    TRY(json_take_real(&adapter->alpha, config, adapter->config_path, "lora_alpha", 8));
    TRY(json_take_bool(&adapter->rank_stabilised, config, adapter->config_path, "use_rslora", false));
    TRY(json_take_bool(&adapter->dora, config, adapter->config_path, "use_dora", false));
    return adapter_select_new(&files->select, config, adapter->config_path);
}

/* --- tensors --- */

typedef enum Part { PART_A, PART_B, PART_EMBEDDING_A, PART_EMBEDDING_B, PART_MAGNITUDE, PART_WHOLE } Part;

static const struct {
    const char *ending;
    Part part;
} endings[] = {
    {".lora_A.weight", PART_A},
    {".lora_B.weight", PART_B},
    {".lora_embedding_A", PART_EMBEDDING_A},
    {".lora_embedding_B", PART_EMBEDDING_B},
    {".lora_magnitude_vector", PART_MAGNITUDE},
    {".lora_magnitude_vector.weight", PART_MAGNITUDE},
};

/* "base_model.model.X.lora_A.weight" -> X, and which part of it. */
static const char *split_name(Arena *arena, const Tensor *tensor, Part *part) {
    static const char prefix[] = "base_model.model.";
    const char *name = tensor->name;
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) {
        name += sizeof prefix - 1;
    }
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t m = strlen(endings[i].ending);
        if (n > m && strcmp(name + n - m, endings[i].ending) == 0) {
            *part = endings[i].part;
            return arena_strndup(arena, name, n - m);
        }
    }
    *part = PART_WHOLE;
    /* a module with a branch keeps its own tensors one level down */
    static const char inner[] = ".base_layer.";
    const char *at = strstr(name, inner);
    return at == NULL ? arena_strdup(arena, name)
                      : arena_printf(arena, "%.*s.%s", (int)(at - name), name, at + sizeof inner - 1);
}

static AdapterModule *module_named(Adapter *adapter, const char *name) {
    AdapterFiles *files = adapter->files;
    uint64_t index;
    if (map_get(&files->by_name, name, strlen(name), &index)) {
        return &files->modules[index];
    }
    if (map_put(&files->by_name, name, strlen(name), (uint64_t)adapter->n_modules) != LIMN_OK) {
        return NULL;
    }
    AdapterModule *made = &files->modules[adapter->n_modules++];
    *made = (AdapterModule){.name = name};
    return made;
}

static limn_status bad_tensor(const Adapter *adapter, const Tensor *tensor, const char *expected) {
    char shape[96];
    return fail(LIMN_FORMAT, "%s: tensor %s is %s %s, expected %s", adapter->tensor_path, tensor->name,
                dtype_info(tensor->dtype)->name, tensor_shape_text(tensor, shape), expected);
}

static limn_status check_numbers(const Adapter *adapter, const Tensor *tensor) {
    bool real = tensor->dtype == DTYPE_F32 || tensor->dtype == DTYPE_F16 || tensor->dtype == DTYPE_BF16 ||
                tensor->dtype == DTYPE_F64;
    if (!real) {
        return bad_tensor(adapter, tensor, "F32, F16, BF16 or F64");
    }
    int64_t at;
    if (tensor_first_nonfinite(tensor, &at)) {
        return fail(LIMN_FORMAT, "%s: tensor %s holds a NaN or an infinity at element %lld, expected finite numbers",
                    adapter->tensor_path, tensor->name, (long long)at);
    }
    return LIMN_OK;
}

/* PEFT, asked for both, writes a trained module once more as it stands within its wrapper, and reads past that. */
static bool is_wrapped_copy(const Adapter *adapter, const char *name) {
    static const char *const inner[] = {".modules_to_save.", ".original_module."};
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        const char *at = strstr(name, inner[i]);
        char plain[512];
        if (at == NULL || strlen(name) >= sizeof plain) {
            continue;
        }
        snprintf(plain, sizeof plain, ".%.*s.%s", (int)(at - name), name, at + strlen(inner[i])); /* a whole name */
        for (int32_t k = 0; k < tensor_files_count(adapter->files->tensors); k++) {
            const char *other = tensor_files_at(adapter->files->tensors, k)->name;
            if (text_ends_with(other, plain) || strcmp(other, plain + 1) == 0) {
                return true;
            }
        }
    }
    return false;
}

static limn_status add_whole(Adapter *adapter, const char *name, const Tensor *tensor) {
    if (strstr(name, ".lora_") != NULL || strstr(name, "token_adapter") != NULL) {
        return fail(LIMN_UNSUPPORTED,
                    "%s: tensor %s is of a kind that is not implemented, expected lora_A, lora_B, "
                    "lora_embedding_A, lora_embedding_B, lora_magnitude_vector or a model's own tensor",
                    adapter->tensor_path, tensor->name);
    }
    TRY(check_numbers(adapter, tensor));
    if (tensor->rank != 1 && tensor->rank != 2) {
        return bad_tensor(adapter, tensor, "a matrix or a vector");
    }
    char *module = arena_strndup(&adapter->files->arena, name,
                                 strrchr(name, '.') != NULL ? (size_t)(strrchr(name, '.') - name) : strlen(name));
    if (module == NULL) {
        return no_memory(adapter);
    }
    bool saved;
    TRY(adapter_select_saved(&saved, adapter->files->select, module));
    adapter->files->saved[adapter->n_tensors++] = (AdapterTensor){name, saved, tensor};
    return LIMN_OK;
}

static limn_status add_tensor(Adapter *adapter, const Tensor *tensor) {
    AdapterFiles *files = adapter->files;
    Part part;
    const char *name = split_name(&files->arena, tensor, &part);
    if (name == NULL) {
        return no_memory(adapter);
    }
    if (part == PART_WHOLE) {
        return is_wrapped_copy(adapter, name) ? LIMN_OK : add_whole(adapter, name, tensor);
    }
    bool chosen;
    TRY(adapter_select_target(&chosen, files->select, name));
    if (!chosen) {
        files->ignored[adapter->n_ignored++] = tensor;
        return LIMN_OK;
    }
    TRY(check_numbers(adapter, tensor));
    AdapterModule *module = module_named(adapter, name);
    if (module == NULL) {
        return no_memory(adapter);
    }
    bool embedding = part == PART_EMBEDDING_A || part == PART_EMBEDDING_B;
    const Tensor **place = part == PART_MAGNITUDE                       ? &module->magnitude
                           : part == PART_A || part == PART_EMBEDDING_A ? &module->a
                                                                        : &module->b;
    if (*place != NULL) {
        return fail(LIMN_FORMAT, "%s: tensors %s and %s are both there, expected one of them", adapter->tensor_path,
                    (*place)->name, tensor->name);
    }
    *place = tensor;
    module->embedding = module->embedding || embedding;
    return tensor->rank == (part == PART_MAGNITUDE ? 1 : 2) && tensor_elements(tensor) > 0
               ? LIMN_OK
               : bad_tensor(adapter, tensor, part == PART_MAGNITUDE ? "a vector" : "a matrix");
}

/* Both halves are there and their ranks are those of the configuration. */
static limn_status finish_module(Adapter *adapter, AdapterModule *module) {
    if (module->a == NULL || module->b == NULL) {
        const char *part = module->embedding ? "lora_embedding_" : "lora_";
        const char *weight = module->embedding ? "" : ".weight";
        return fail(LIMN_FORMAT, "%s: tensor base_model.model.%s.%s%c%s is missing", adapter->tensor_path, module->name,
                    part, module->a == NULL ? 'A' : 'B', weight);
    }
    bool embedding_a = strstr(module->a->name, "lora_embedding_") != NULL;
    bool embedding_b = strstr(module->b->name, "lora_embedding_") != NULL;
    if (embedding_a != embedding_b) {
        return fail(LIMN_FORMAT, "%s: tensors %s and %s do not belong together", adapter->tensor_path, module->a->name,
                    module->b->name);
    }
    double rank, alpha;
    TRY(adapter_select_rank(&rank, adapter->files->select, module->name, (double)adapter->rank));
    TRY(adapter_select_alpha(&alpha, adapter->files->select, module->name, adapter->alpha));
    char expected[96];
    snprintf(expected, sizeof expected, "rank %g, as %s says", rank, path_base(adapter->config_path));
    if ((double)module->a->shape[0] != rank) {
        return bad_tensor(adapter, module->a, expected);
    }
    if ((double)module->b->shape[1] != rank) {
        return bad_tensor(adapter, module->b, expected);
    }
    if (adapter->dora != (module->magnitude != NULL)) {
        return adapter->dora ? fail(LIMN_FORMAT,
                                    "%s: tensor base_model.model.%s.lora_magnitude_vector is missing, "
                                    "expected one with \"use_dora\"",
                                    adapter->tensor_path, module->name)
                             : bad_tensor(adapter, module->magnitude, "none without \"use_dora\"");
    }
    if (module->magnitude != NULL) {
        if (module->embedding) {
            return fail(LIMN_UNSUPPORTED, "%s: tensor %s: DoRA on an embedding is not implemented",
                        adapter->tensor_path, module->magnitude->name);
        }
        if (module->magnitude->shape[0] != module->b->shape[0]) {
            return bad_tensor(adapter, module->magnitude, "as many elements as lora_B has rows");
        }
    }
    module->rank = module->a->shape[0];
    module->scaling = alpha / (adapter->rank_stabilised ? sqrt(rank) : rank);
    return LIMN_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const AdapterModule *)a)->name, ((const AdapterModule *)b)->name);
}

static limn_status read_tensors(Adapter *adapter) {
    AdapterFiles *files = adapter->files;
    if (!file_exists(adapter->tensor_path)) {
        char *pickle = path_join(adapter->path, "adapter_model.bin");
        bool is_pickle = pickle != NULL && file_exists(pickle);
        free(pickle);
        return is_pickle
                   ? fail(LIMN_UNSUPPORTED,
                          "%s: holds adapter_model.bin, a pickle, expected "
                          "adapter_model.safetensors (PEFT writes it with safe_serialization)",
                          adapter->path)
                   : fail(LIMN_NOT_FOUND, "%s: is not there, expected the adapter's tensors", adapter->tensor_path);
    }
    TRY(tensor_files_open(&files->tensors, adapter->tensor_path));
    size_t n = (size_t)tensor_files_count(files->tensors) + 1;
    files->modules = ARENA_ARRAY(&files->arena, AdapterModule, n);
    files->saved = ARENA_ARRAY(&files->arena, AdapterTensor, n);
    files->ignored = ARENA_ARRAY(&files->arena, const Tensor *, n);
    if (files->modules == NULL || files->saved == NULL || files->ignored == NULL) {
        return no_memory(adapter);
    }
    adapter->modules = files->modules;
    adapter->tensors = files->saved;
    adapter->ignored = files->ignored;
    for (int32_t i = 0; i < tensor_files_count(files->tensors); i++) {
        TRY(add_tensor(adapter, tensor_files_at(files->tensors, i)));
    }
    qsort(files->modules, (size_t)adapter->n_modules, sizeof *files->modules, by_name);
    for (int32_t i = 0; i < adapter->n_modules; i++) {
        TRY(finish_module(adapter, &files->modules[i]));
    }
    if (adapter->n_modules == 0 && adapter->n_tensors == 0) {
        return fail(LIMN_FORMAT, "%s: holds no tensor of a module that %s chooses", adapter->tensor_path,
                    path_base(adapter->config_path));
    }
    return LIMN_OK;
}

static limn_status fill(Adapter *adapter, const char *folder) {
    Arena *arena = &adapter->files->arena;
    adapter->path = arena_strdup(arena, folder);
    adapter->config_path = arena_printf(arena, "%s/adapter_config.json", folder);
    adapter->tensor_path = arena_printf(arena, "%s/adapter_model.safetensors", folder);
    if (adapter->path == NULL || adapter->config_path == NULL || adapter->tensor_path == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory to open the adapter", folder);
    }
    if (!folder_exists(folder)) {
        return fail(LIMN_NOT_FOUND, "%s: is no folder, expected a PEFT adapter folder", folder);
    }
    TRY(read_config(adapter));
    return read_tensors(adapter);
}

limn_status adapter_open(Adapter **adapter, const char *folder) {
    *adapter = NULL;
    Adapter *made = calloc(1, sizeof *made);
    AdapterFiles *files = calloc(1, sizeof *files);
    if (made == NULL || files == NULL) {
        free(made);
        free(files);
        return fail(LIMN_NO_MEMORY, "%s: no memory to open the adapter", folder);
    }
    made->files = files;
    arena_init(&files->arena);
    map_init(&files->by_name);
    limn_status status = fill(made, folder);
    if (status != LIMN_OK) {
        adapter_close(made);
        return status;
    }
    *adapter = made;
    return LIMN_OK;
}

void adapter_close(Adapter *adapter) {
    if (adapter == NULL) {
        return;
    }
    AdapterFiles *files = adapter->files;
    map_free(&files->by_name);
    tensor_files_close(files->tensors);
    adapter_select_free(files->select);
    json_decref(files->config);
    arena_free(&files->arena);
    free(files);
    free(adapter);
}
