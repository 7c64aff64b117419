#include "text/folder.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/json.h"

static const KeyRow rows[] = {
#define KEY(name, use, harmless) {#name, KEY_##use, harmless},
#include "text/tokenizer_keys.def"
#undef KEY
};

const KeyTable tokenizer_key_table = {"tokenizer_config.json", KEY_WARNED, rows, sizeof rows / sizeof *rows};

static limn_status warn(void *context, const char *line) {
    return tokenizer_warn(context, "%s", line);
}

/* *json and *path are NULL when the file is not there. */
static limn_status load(json_t **json, char **path, const char *folder, const char *name) {
    *json = NULL;
    *path = path_join(folder, name);
    if (*path == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening the tokenizer", folder);
    }
    if (!file_exists(*path)) {
        free(*path);
        *path = NULL;
        return LIMN_OK;
    }
    TRY(json_file_load(json, *path, JSON_TOKENIZER_CAP));
    return json_is_object(*json) ? LIMN_OK : fail(LIMN_FORMAT, "%s: expected an object", *path);
}

static limn_status load_all(TokenizerFolder *folder, Tokenizer *tokenizer) {
    TRY(load(&folder->config, &folder->config_path, folder->path, "tokenizer_config.json"));
    /* where the one file lists the added tokens, the reference does not open the two older ones */
    if (json_object_get(folder->config, "added_tokens_decoder") == NULL) {
        TRY(load(&folder->map, &folder->map_path, folder->path, "special_tokens_map.json"));
        TRY(load(&folder->added, &folder->added_path, folder->path, "added_tokens.json"));
    }
    folder->settings = folder->config != NULL ? json_copy(folder->config) : json_object();
    if (folder->settings == NULL || (folder->map != NULL && json_object_update(folder->settings, folder->map) != 0)) {
        return fail(LIMN_NO_MEMORY, "%s: opening the tokenizer", folder->path);
    }
    folder->where = folder->config_path != NULL ? folder->config_path
                    : folder->map_path != NULL  ? folder->map_path
                                                : folder->path;
    const KeyWarnings warnings = {warn, tokenizer};
    TRY(folder->config == NULL
            ? LIMN_OK
            : keys_check(&tokenizer_key_table, NULL, folder->config_path, folder->config, &warnings));
    return folder->map == NULL ? LIMN_OK
                               : keys_check(&tokenizer_key_table, NULL, folder->map_path, folder->map, &warnings);
}

/* The class by name, which config.json may say too; one that cuts text by a program of its own is refused. */
static limn_status find_class(TokenizerFolder *folder, Tokenizer *tokenizer) {
    json_t *model = NULL;
    char *path = NULL;
    limn_status status = load(&model, &path, folder->path, "config.json");
    const char *said = NULL;
    if (status == LIMN_OK) {
        folder->tokenizer_class = class_of_folder(&said, folder->config, model);
        status = tokenizer_keep(&folder->class_name, tokenizer, said, said != NULL ? strlen(said) : 0);
    }
    json_decref(model);
    free(path);
    if (status == LIMN_OK && folder_has_rule(folder, CLASS_OWN)) {
        return fail(
            LIMN_UNSUPPORTED,
            "%s: the tokenizer is a %.80s, which cuts text by a program of its own; expected one that its files "
            "describe",
            folder->path, folder->tokenizer_class->name);
    }
    return status;
}

limn_status tokenizer_folder_open(TokenizerFolder *folder, const char *path, Tokenizer *tokenizer) {
    *folder = (TokenizerFolder){.path = path, .where = path};
    TRY(load_all(folder, tokenizer));
    return find_class(folder, tokenizer);
}

void tokenizer_folder_close(TokenizerFolder *folder) {
    json_decref(folder->config);
    json_decref(folder->map);
    json_decref(folder->added);
    json_decref(folder->settings);
    json_decref(folder->listed);
    free(folder->config_path);
    free(folder->map_path);
    free(folder->added_path);
    free(folder->own_path);
}

bool folder_has_rule(const TokenizerFolder *folder, ClassRule rule) {
    return folder->tokenizer_class != NULL && folder->tokenizer_class->rule == rule;
}

limn_status folder_flag(bool *value, bool *said, const TokenizerFolder *folder, const char *key) {
    const json_t *found = json_object_get(folder->settings, key);
    *said = found != NULL && !json_is_null(found);
    return json_take_bool(value, folder->settings, folder->where, key, false);
}
