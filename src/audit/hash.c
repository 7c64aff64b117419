#include "audit/hash.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "files/hash.h"
#include "files/hf_cache.h"

enum { FOLDER_FILES_MAX = 4096 };

void sha256_hex(char hex[HASH_HEX], const void *bytes, size_t length) {
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, bytes, length);
    sodium_bin2hex(hex, HASH_HEX, hash, sizeof hash);
}

static limn_status no_memory(const char *path) {
    return fail(LIMN_NO_MEMORY, "%s: no memory to hash it", path);
}

/* ---- files and folders ---- */

static limn_status hash_folder(char hex[HASH_HEX], const char *path, FileHashes *hashes) {
    DIR *folder = opendir(path);
    HashFile *files = ARENA_ARRAY(hashes->arena, HashFile, FOLDER_FILES_MAX);
    int32_t n = 0;
    limn_status status = folder == NULL  ? fail(LIMN_IO, "%s: %s", path, strerror(errno))
                         : files == NULL ? no_memory(path)
                                         : LIMN_OK;
    for (const struct dirent *entry; status == LIMN_OK && (entry = readdir(folder)) != NULL;) {
        struct stat info;
        char *file = arena_printf(hashes->arena, "%s/%s", path, entry->d_name);
        if (file == NULL) {
            status = no_memory(path);
        } else if (entry->d_name[0] != '.' && stat(file, &info) == 0 && S_ISREG(info.st_mode)) {
            status = n < FOLDER_FILES_MAX ? LIMN_OK
                                          : fail(LIMN_UNSUPPORTED, "%s: more than %d files", path, FOLDER_FILES_MAX);
            files[n < FOLDER_FILES_MAX ? n : 0] = (HashFile){file, path_base(file)};
            n++;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    if (status == LIMN_OK && n == 0) {
        status = fail(LIMN_NOT_FOUND, "%s: a folder without files", path);
    }
    return status == LIMN_OK ? hash_files(hex, files, n, true, hashes->team) : status;
}

/* DIR:WEIGHT without its weight, where only that is a folder. */
static const char *without_weight(Arena *arena, const char *path) {
    const char *colon = strrchr(path, ':');
    if (colon == NULL || file_exists(path) || folder_exists(path)) {
        return path;
    }
    char *folder = arena_strndup(arena, path, (size_t)(colon - path));
    return folder != NULL && folder_exists(folder) ? folder : path;
}

limn_status file_hashes_get(const char **hex, FileHashes *hashes, const char *path) {
    for (int32_t i = 0; i < hashes->n; i++) {
        if (strcmp(hashes->items[i].path, path) == 0) {
            *hex = hashes->items[i].hex;
            return LIMN_OK;
        }
    }
    if (hashes->n == hashes->capacity) {
        int32_t capacity = hashes->capacity > 0 ? 2 * hashes->capacity : 32;
        FileHash *items = ARENA_ARRAY(hashes->arena, FileHash, capacity);
        if (items == NULL) {
            return no_memory(path);
        }
        if (hashes->n > 0) {
            memcpy(items, hashes->items, (size_t)hashes->n * sizeof *items);
        }
        hashes->items = items;
        hashes->capacity = capacity;
    }
    FileHash *made = &hashes->items[hashes->n];
    made->path = arena_strdup(hashes->arena, path);
    char *found;
    TRY(hf_cache_resolve(&found, without_weight(hashes->arena, path)));
    const HashFile file = {found, "content"};
    limn_status status = folder_exists(found) ? hash_folder(made->hex, found, hashes)
                                              : hash_files(made->hex, &file, 1, true, hashes->team);
    free(found);
    TRY(status);
    hashes->n++;
    *hex = hashes->items[hashes->n - 1].hex;
    return made->path != NULL ? LIMN_OK : no_memory(path);
}

/* ---- steps ---- */

/* A file's place in the key: its content, an adapter's weight behind it; or the step that makes it. */
static json_t *file_part(const Plan *plan, const json_t *value, const char *const *keys, FileHashes *hashes,
                         limn_status *status) {
    const char *path = json_string_value(value), *hex;
    int32_t step = plan_step_meant(plan, value);
    if (path == NULL || step >= 0) {
        return json_string(step >= 0 ? keys[step] : "");
    }
    *status = file_hashes_get(&hex, hashes, path);
    if (*status != LIMN_OK) {
        return NULL;
    }
    const char *bare = without_weight(hashes->arena, path);
    return json_sprintf("%s%s", hex, bare != path ? path + strlen(bare) : "");
}

static limn_status key_part(json_t *key, const Plan *plan, const PlanStep *step, const char *name, json_t *value,
                            const char *const *keys, FileHashes *hashes) {
    const limn_param *row = plan_option(step->method, name);
    limn_status status = LIMN_OK;
    json_t *part;
    if (row == NULL || row->effort || row->kind == LIMN_PARAM_OUTPUT) {
        return LIMN_OK;
    }
    bool is_file = row->kind == LIMN_PARAM_FILE;
    if (is_file && json_is_array(value)) {
        part = json_array();
        for (size_t i = 0; part != NULL && status == LIMN_OK && i < json_array_size(value); i++) {
            json_t *item = file_part(plan, json_array_get(value, i), keys, hashes, &status);
            if (json_array_append_new(part, item) != 0) {
                status = status != LIMN_OK ? status : no_memory(plan->name);
            }
        }
    } else {
        part = is_file ? file_part(plan, value, keys, hashes, &status) : json_incref(value);
    }
    if (json_object_set_new(key, name, part) != 0 && status == LIMN_OK) {
        status = no_memory(plan->name);
    }
    return status;
}

limn_status step_key(char hex[HASH_HEX], const Plan *plan, const PlanStep *step, const char *const *keys,
                     FileHashes *hashes) {
    json_t *key = json_object();
    limn_status status = key != NULL ? LIMN_OK : no_memory(plan->name);
    const char *name;
    json_t *value;
    json_object_foreach(step->params, name, value) {
        if (status == LIMN_OK) {
            status = key_part(key, plan, step, name, value, keys, hashes);
        }
    }
    char *text = status == LIMN_OK ? json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(key);
    if (text == NULL) {
        return status != LIMN_OK ? status : no_memory(plan->name);
    }
    char *whole = arena_printf(hashes->arena, "limn %s\n%s\n%s", LIMN_VERSION, step->method->command.name, text);
    free(text);
    if (whole == NULL) {
        return no_memory(plan->name);
    }
    sha256_hex(hex, whole, strlen(whole));
    return LIMN_OK;
}
