#include "model/sentence.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/json.h"
#include "files/keys.h"

/* ---- the tables ---- */

static const KeyRow module_keys[] = {
    {"idx", KEY_IDLE, NULL},  {"name", KEY_IDLE, NULL},     {"path", KEY_READ, NULL},
    {"type", KEY_READ, NULL}, {"kwargs", KEY_WARNED, NULL},
};

static const KeyRow pooling_keys[] = {
    {"embedding_dimension", KEY_READ, NULL},
    {"word_embedding_dimension", KEY_READ, NULL},
    {"pooling_mode", KEY_READ, NULL},
    {"pooling_mode_cls_token", KEY_READ, NULL},
    {"pooling_mode_max_tokens", KEY_READ, NULL},
    {"pooling_mode_mean_tokens", KEY_READ, NULL},
    {"pooling_mode_mean_sqrt_len_tokens", KEY_READ, NULL},
    {"pooling_mode_weightedmean_tokens", KEY_READ, NULL},
    {"pooling_mode_lasttoken", KEY_READ, NULL},
    {"include_prompt", KEY_IDLE, NULL}, /* of prompts that are set before texts: none is set here */
};

static const KeyRow normalise_keys[] = {
    {"module_input_name", KEY_REFUSED, "\"sentence_embedding\""},
    {"module_output_name", KEY_REFUSED, "\"sentence_embedding\""},
};

static const KeyRow transformer_keys[] = {
    {"max_seq_length", KEY_READ, NULL},
    {"do_lower_case", KEY_WARNED, NULL},
    {"transformer_task", KEY_WARNED, "\"feature-extraction\""},
    {"modality_config", KEY_WARNED, "{\"text\":{\"method\":\"forward\",\"method_output_name\":\"last_hidden_state\"}}"},
    {"module_output_name", KEY_WARNED, "\"token_embeddings\""},
    {"processing_kwargs", KEY_WARNED, NULL},
    {"unpad_inputs", KEY_IDLE, NULL},
    {"query_length", KEY_WARNED, NULL},
    {"document_length", KEY_WARNED, NULL},
    {"query_expansion", KEY_WARNED, NULL},
};

static const KeyRow encoder_keys[] = {
    {"__version__", KEY_IDLE, NULL},
    {"model_type", KEY_WARNED, "\"SentenceTransformer\""},
    {"prompts", KEY_IDLE, NULL},               /* ready for use by name */
    {"default_prompt_name", KEY_WARNED, NULL}, /* set before every text */
    {"similarity_fn_name", KEY_IDLE, NULL},
};

static const KeyTable tables[] = {
    {"modules.json", KEY_WARNED, module_keys, sizeof module_keys / sizeof *module_keys},
    {"pooling", KEY_REFUSED, pooling_keys, sizeof pooling_keys / sizeof *pooling_keys},
    {"normalize", KEY_REFUSED, normalise_keys, sizeof normalise_keys / sizeof *normalise_keys},
    {"sentence_bert_config.json", KEY_WARNED, transformer_keys, sizeof transformer_keys / sizeof *transformer_keys},
    {"config_sentence_transformers.json", KEY_WARNED, encoder_keys, sizeof encoder_keys / sizeof *encoder_keys},
};
enum { MODULES, POOLING, NORMALISE, TRANSFORMER, ENCODER };

const KeyTable *sentence_key_tables(size_t *n) {
    *n = sizeof tables / sizeof *tables;
    return tables;
}

/* Pooling's modes, in the order in which their vectors are set side by side. */
static const struct {
    const char *flag, *name;
} modes[] = {
    [POOL_FIRST] = {"pooling_mode_cls_token", "cls"},
    [POOL_MAX] = {"pooling_mode_max_tokens", "max"},
    [POOL_MEAN] = {"pooling_mode_mean_tokens", "mean"},
    [POOL_MEAN_SQRT] = {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
    [POOL_WEIGHTED_MEAN] = {"pooling_mode_weightedmean_tokens", "weightedmean"},
    [POOL_LAST] = {"pooling_mode_lasttoken", "lasttoken"},
};

/* ---- files ---- */

static limn_status warn(void *context, const char *line) {
    return build_warn(context, "%s", line);
}

/* folder/name as JSON; *json is NULL when it is not there. *path is in the model's arena. */
static limn_status load(json_t **json, const char **path, Build *build, const char *folder, const char *name) {
    *json = NULL;
    *path = folder[0] == '\0' ? arena_printf(&build->model->arena, "%s/%s", build->model->path, name)
                              : arena_printf(&build->model->arena, "%s/%s/%s", build->model->path, folder, name);
    if (*path == NULL) {
        return build_no_memory(build);
    }
    return file_exists(*path) ? json_file_load(json, *path, JSON_CONFIG_CAP) : LIMN_OK;
}

static limn_status check(Build *build, int table, const char *path, const json_t *object) {
    return keys_check(&tables[table], NULL, path, object, &(KeyWarnings){warn, build});
}

/* ---- modules ---- */

static limn_status refuse(Build *build, const char *format, const char *path, const char *what) {
    Pooling *pooling = &build->model->config.pooling;
    if (pooling->refused == NULL) {
        pooling->refused = arena_printf(&build->model->arena, format, path, what);
    }
    return pooling->refused != NULL ? LIMN_OK : build_no_memory(build);
}

static bool add_mode(Pooling *pooling, const char *name) {
    for (int mode = 0; mode < POOL_COUNT; mode++) {
        if (strcmp(name, modes[mode].name) == 0 && pooling->n_modes < POOL_COUNT) {
            pooling->modes[pooling->n_modes++] = (uint8_t)mode;
            return true;
        }
    }
    return false;
}

static limn_status read_modes(Build *build, const char *path, const json_t *config) {
    Pooling *pooling = &build->model->config.pooling;
    const json_t *named = json_object_get(config, "pooling_mode");
    pooling->n_modes = 0;
    size_t n = json_is_array(named) ? json_array_size(named) : named != NULL && !json_is_null(named) ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_is_array(named) ? json_array_get(named, i) : named);
        if (name == NULL || !add_mode(pooling, name)) {
            return refuse(build, "%s: \"pooling_mode\" is '%.60s', which is not implemented", path,
                          name != NULL ? name : "no name");
        }
    }
    for (int mode = 0; mode < POOL_COUNT && n == 0; mode++) {
        bool on;
        TRY(json_take_bool(&on, config, path, modes[mode].flag, false));
        if (on) {
            pooling->modes[pooling->n_modes++] = (uint8_t)mode;
        }
    }
    if (pooling->n_modes == 0) { /* as sentence-transformers takes it */
        pooling->modes[pooling->n_modes++] = POOL_MEAN;
    }
    return LIMN_OK;
}

static limn_status read_pooling(Build *build, const char *folder) {
    json_t *config;
    const char *path;
    TRY(load(&config, &path, build, folder, "config.json"));
    if (config == NULL) {
        return build_warn(build, "%s: is not there: the mean over tokens is taken", path);
    }
    limn_status status = json_is_object(config)
                             ? check(build, POOLING, path, config)
                             : fail(LIMN_FORMAT, "%s: holds no object, expected settings of pooling", path);
    bool old = json_object_get(config, "embedding_dimension") == NULL;
    int64_t d_model = build->model->config.d_model, width;
    if (status == LIMN_OK) {
        status = json_take_integer(&width, config, path, old ? "word_embedding_dimension" : "embedding_dimension",
                                   d_model, d_model, d_model);
    }
    if (status == LIMN_OK) {
        status = read_modes(build, path, config);
    }
    json_decref(config);
    return status;
}

static limn_status read_normalise(Build *build, const char *folder) {
    json_t *config;
    const char *path;
    build->model->config.pooling.normalise = true;
    TRY(load(&config, &path, build, folder, "config.json"));
    limn_status status = json_is_object(config) ? check(build, NORMALISE, path, config) : LIMN_OK;
    json_decref(config);
    return status;
}

static limn_status read_transformer(Build *build, const char *where, const char *folder) {
    Pooling *pooling = &build->model->config.pooling;
    json_t *config;
    const char *path;
    if (folder[0] != '\0') {
        TRY(refuse(build, "%s: takes its transformer from '%.100s', which is not the model that is open", where,
                   folder));
    }
    TRY(load(&config, &path, build, folder, "sentence_bert_config.json"));
    limn_status status = json_is_object(config) ? check(build, TRANSFORMER, path, config) : LIMN_OK;
    if (status == LIMN_OK && json_is_object(config)) {
        status = json_take_integer(&pooling->longest, config, path, "max_seq_length", 1, INT32_MAX, 0);
    }
    json_decref(config);
    return status;
}

typedef enum Stage { BEFORE_POOLING, POOLED, NORMALISED } Stage;

static limn_status read_module(Build *build, const char *where, const json_t *module, Stage *stage) {
    const char *type, *folder;
    if (!json_is_object(module)) {
        return fail(LIMN_FORMAT, "%s: an entry is no object, expected a module with \"type\" and \"path\"", where);
    }
    TRY(check(build, MODULES, where, module));
    TRY(json_need_string(&type, module, where, "type"));
    TRY(json_take_string(&folder, module, where, "path", ""));
    if (strstr(folder, "..") != NULL || folder[0] == '/') {
        return fail(LIMN_FORMAT, "%s: \"path\" is '%.100s', expected a folder within the model's", where, folder);
    }
    const char *dot = strrchr(type, '.'), *name = dot != NULL ? dot + 1 : type;
    if (strcmp(name, "Transformer") == 0 && *stage == BEFORE_POOLING) {
        return read_transformer(build, where, folder);
    }
    if (strcmp(name, "Pooling") == 0 && *stage == BEFORE_POOLING) {
        *stage = POOLED;
        return read_pooling(build, folder);
    }
    if (strcmp(name, "Normalize") == 0 && *stage != BEFORE_POOLING) {
        *stage = NORMALISED;
        return read_normalise(build, folder);
    }
    return strcmp(name, "Dropout") == 0
               ? LIMN_OK
               : refuse(build, "%s: the module '%.60s' is not implemented at its place", where, name);
}

static limn_status read_modules(Build *build, const char *where, const json_t *list) {
    Stage stage = BEFORE_POOLING;
    if (!json_is_array(list)) {
        return fail(LIMN_FORMAT, "%s: holds no array, expected a list of modules", where);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(read_module(build, where, json_array_get(list, i), &stage));
    }
    return stage == BEFORE_POOLING ? refuse(build, "%s: lists no pooling%s", where, "") : LIMN_OK;
}

static limn_status read_encoder(Build *build) {
    json_t *config;
    const char *path;
    TRY(load(&config, &path, build, "", "config_sentence_transformers.json"));
    limn_status status = json_is_object(config) ? check(build, ENCODER, path, config) : LIMN_OK;
    json_decref(config);
    return status;
}

limn_status sentence_read(Build *build) {
    Pooling *pooling = &build->model->config.pooling;
    json_t *list;
    const char *path;
    *pooling = (Pooling){.modes = {POOL_MEAN}, .n_modes = 1, .normalise = true};
    TRY(load(&list, &path, build, "", "modules.json"));
    if (list == NULL) {
        return LIMN_OK;
    }
    pooling->source = "modules.json";
    pooling->normalise = false;
    limn_status status = read_modules(build, path, list);
    json_decref(list);
    return status == LIMN_OK ? read_encoder(build) : status;
}

/* ---- GGUF ---- */

limn_status sentence_read_gguf(Build *build) {
    enum { NONE, MEAN, FIRST, LAST, RANK };
    Pooling *pooling = &build->model->config.pooling;
    *pooling = (Pooling){.modes = {POOL_MEAN}, .n_modes = 1, .normalise = true};
    const char *key = build_name(build, "%s.pooling_type", build->settings->family);
    int64_t kind;
    if (key == NULL) {
        return build_no_memory(build);
    }
    if (!settings_has(build->settings, key)) {
        return LIMN_OK;
    }
    TRY(settings_integer(&kind, build->settings, key, NONE, INT32_MIN, INT32_MAX));
    pooling->source = kind == NONE ? NULL : "pooling_type";
    pooling->modes[0] = kind == FIRST ? POOL_FIRST : kind == LAST ? POOL_LAST : POOL_MEAN;
    if (kind == NONE || kind == MEAN || kind == FIRST || kind == LAST) {
        return LIMN_OK;
    }
    return refuse(build, "%s: \"%s\" asks for a pooling that is not implemented, expected 0 to 3", build->model->path,
                  key);
}
