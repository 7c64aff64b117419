/* A folder's tensors: one file, or shards that an index names. */
#include "files/tensor_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "files/json.h"
#include "files/safetensors.h"

enum { MOST_SHARDS = 16384 };

typedef struct Shard {
    const char *name; /* file name within the folder */
    FileMap *map;
    Tensor *tensors; /* [n] */
    int32_t n;
} Shard;

struct TensorFiles {
    Arena arena;
    Shard *shards; /* [n_shards], by name */
    int32_t n_shards;
    Tensor *tensors;   /* [n_tensors] */
    int32_t *shard_of; /* [n_tensors] */
    int32_t n_tensors;
    Map by_name;
};

static limn_status no_memory(const char *path) {
    return fail(LIMN_NO_MEMORY, "%s: opening it", path);
}

static limn_status open_shard(TensorFiles *files, Shard *shard, const char *path) {
    TRY(file_map_open(&shard->map, path));
    TRY(safetensors_read(&shard->tensors, &shard->n, &files->arena, shard->map));
    if (shard->n > INT32_MAX - files->n_tensors) {
        return fail(LIMN_FORMAT, "%s: more tensors than can be counted", path);
    }
    files->n_tensors += shard->n;
    return LIMN_OK;
}

/* All shards' tensors in one array, by name. */
static limn_status gather(TensorFiles *files, const char *path) {
    files->tensors = ARENA_ARRAY(&files->arena, Tensor, files->n_tensors + 1);
    files->shard_of = ARENA_ARRAY(&files->arena, int32_t, files->n_tensors + 1);
    if (files->tensors == NULL || files->shard_of == NULL) {
        return no_memory(path);
    }
    TRY(map_reserve(&files->by_name, (size_t)files->n_tensors));
    int32_t at = 0;
    for (int32_t s = 0; s < files->n_shards; s++) {
        const Shard *shard = &files->shards[s];
        for (int32_t i = 0; i < shard->n; i++, at++) {
            const char *name = shard->tensors[i].name;
            uint64_t other;
            if (map_get(&files->by_name, name, strlen(name), &other)) {
                return fail(LIMN_FORMAT, "%s: tensor '%.100s' is also in '%s'", shard->map->path, name,
                            files->shards[files->shard_of[other]].map->path);
            }
            files->tensors[at] = shard->tensors[i];
            files->shard_of[at] = s;
            TRY(map_put(&files->by_name, name, strlen(name), (uint64_t)at));
        }
    }
    return LIMN_OK;
}

static limn_status open_single(TensorFiles *files, const char *path) {
    files->shards = ARENA_NEW(&files->arena, Shard);
    if (files->shards == NULL) {
        return no_memory(path);
    }
    files->n_shards = 1;
    files->shards[0].name = path_base(path);
    TRY(open_shard(files, &files->shards[0], path));
    return gather(files, path);
}

static int by_shard_name(const void *a, const void *b) {
    return strcmp(((const Shard *)a)->name, ((const Shard *)b)->name);
}

/* The different file names in weight_map, sorted. */
static limn_status list_shards(TensorFiles *files, const char *index_path, const json_t *weight_map) {
    Map seen;
    map_init(&seen);
    limn_status status = LIMN_OK;
    files->shards = ARENA_ARRAY(&files->arena, Shard, json_object_size(weight_map) + 1);
    if (files->shards == NULL) {
        return no_memory(index_path);
    }
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)weight_map, tensor, value) {
        const char *name = json_string_value(value);
        if (name == NULL || name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL) {
            char buffer[80];
            status = fail(LIMN_FORMAT, "%s: tensor '%.100s' is in %s, expected a file name in the same folder",
                          index_path, tensor, json_describe(value, buffer));
            break;
        }
        uint64_t other;
        if (map_get(&seen, name, strlen(name), &other)) {
            continue;
        }
        if (files->n_shards == MOST_SHARDS) {
            status = fail(LIMN_FORMAT, "%s: names more than %d files", index_path, MOST_SHARDS);
            break;
        }
        files->shards[files->n_shards].name = arena_strdup(&files->arena, name);
        if (files->shards[files->n_shards].name == NULL) {
            status = no_memory(index_path);
            break;
        }
        files->n_shards++;
        TRY_GOTO(status, done, map_put(&seen, name, strlen(name), 1));
    }
done:
    map_free(&seen);
    if (status == LIMN_OK) {
        qsort(files->shards, (size_t)files->n_shards, sizeof *files->shards, by_shard_name);
    }
    return status;
}

/* Every tensor of the index must be in the file that the index names. */
static limn_status check_index(const TensorFiles *files, const char *index_path, const json_t *weight_map) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)weight_map, name, value) {
        uint64_t at;
        const char *wanted = json_string_value(value);
        if (!map_get(&files->by_name, name, strlen(name), &at)) {
            return fail(LIMN_FORMAT, "%s: tensor '%.100s' is not in '%s', where the index says it is", index_path, name,
                        wanted);
        }
        const char *found = files->shards[files->shard_of[at]].name;
        if (strcmp(found, wanted) != 0) {
            return fail(LIMN_FORMAT, "%s: tensor '%.100s' is in '%s', the index says '%s'", index_path, name, found,
                        wanted);
        }
    }
    return LIMN_OK;
}

static limn_status open_shards(TensorFiles *files, const char *folder, const char *index_path, const json_t *root) {
    const json_t *weight_map;
    TRY(json_need_object(&weight_map, root, index_path, "weight_map"));
    TRY(list_shards(files, index_path, weight_map));
    for (int32_t i = 0; i < files->n_shards; i++) {
        char *path = path_join(folder, files->shards[i].name);
        if (path == NULL) {
            return no_memory(folder);
        }
        limn_status status = open_shard(files, &files->shards[i], path);
        free(path);
        if (status == LIMN_NOT_FOUND) {
            return fail_context("%s", index_path);
        }
        TRY(status);
    }
    TRY(gather(files, folder));
    return check_index(files, index_path, weight_map);
}

static limn_status open_sharded(TensorFiles *files, const char *folder, const char *index_path) {
    json_t *root;
    TRY(json_file_load(&root, index_path, (size_t)100 << 20));
    limn_status status = open_shards(files, folder, index_path, root);
    json_decref(root);
    return status;
}

static limn_status open_folder(TensorFiles *files, const char *folder) {
    char *single = path_join(folder, "model.safetensors");
    char *index = path_join(folder, "model.safetensors.index.json");
    char *pickle = path_join(folder, "pytorch_model.bin");
    limn_status status;
    if (single == NULL || index == NULL || pickle == NULL) {
        status = no_memory(folder);
    } else if (file_exists(single)) {
        status = open_single(files, single);
    } else if (file_exists(index)) {
        status = open_sharded(files, folder, index);
    } else {
        status = fail(LIMN_NOT_FOUND, "%s: has neither model.safetensors nor model.safetensors.index.json%s", folder,
                      file_exists(pickle) ? " (pytorch_model.bin is a pickle, which is never read: save the model "
                                            "as safetensors)"
                                          : "");
    }
    free(single);
    free(index);
    free(pickle);
    return status;
}

limn_status tensor_files_open(TensorFiles **out, const char *path) {
    *out = NULL;
    TensorFiles *files = calloc(1, sizeof *files);
    if (files == NULL) {
        return no_memory(path);
    }
    arena_init(&files->arena);
    map_init(&files->by_name);
    limn_status status = folder_exists(path) ? open_folder(files, path) : open_single(files, path);
    if (status != LIMN_OK) {
        tensor_files_close(files);
        return status;
    }
    *out = files;
    return LIMN_OK;
}

void tensor_files_close(TensorFiles *files) {
    if (files == NULL) {
        return;
    }
    for (int32_t i = 0; i < files->n_shards; i++) {
        file_map_close(files->shards[i].map);
    }
    map_free(&files->by_name);
    arena_free(&files->arena);
    free(files);
}

int32_t tensor_files_count(const TensorFiles *files) {
    return files->n_tensors;
}

const Tensor *tensor_files_at(const TensorFiles *files, int32_t index) {
    return &files->tensors[index];
}

const Tensor *tensor_files_find(const TensorFiles *files, const char *name) {
    uint64_t at;
    return map_get(&files->by_name, name, strlen(name), &at) ? &files->tensors[at] : NULL;
}

const char *tensor_files_path_of(const TensorFiles *files, const Tensor *tensor) {
    return files->shards[files->shard_of[tensor - files->tensors]].map->path;
}
