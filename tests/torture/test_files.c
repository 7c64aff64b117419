#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "files/gguf.h"
#include "files/hash.h"
#include "files/hf_cache.h"
#include "files/json.h"
#include "files/tensor_files.h"
#include "torture/torture.h"

#define CORPUS LIMN_TEST_SOURCE_DIR "/fuzz/corpus/"

static char folder[64];

static const char *inside(const char *name) {
    static char paths[16][160];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const float value = 1.0f;
static const Tensor tensors[] = {
    {.name = "a", .dtype = DTYPE_F32, .rank = 0, .data = &value, .bytes = 4},
    {.name = "b", .dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = &value, .bytes = 4},
};

static limn_status open_tensors(void *context) {
    TensorFiles *files;
    TRY(tensor_files_open(&files, context));
    tensor_files_close(files);
    return LIMN_OK;
}

static limn_status write_tensors(void *context) {
    const TensorMetadata metadata = {"format", "pt"};
    return safetensors_write(context, tensors, 2, &metadata, 1);
}

static limn_status open_gguf(void *context) {
    Gguf *gguf;
    TRY(gguf_open(&gguf, context));
    gguf_close(gguf);
    return LIMN_OK;
}

static limn_status load_json(void *context) {
    json_t *json;
    TRY(json_file_load(&json, context, JSON_CONFIG_CAP));
    json_decref(json);
    return LIMN_OK;
}

static limn_status resolve(void *context) {
    char *path;
    TRY(hf_cache_resolve(&path, context));
    free(path);
    return LIMN_OK;
}

static limn_status hash_fresh(void *context) {
    char hex[65];
    const HashFile files[] = {{context, "x"}, {context, "y"}};
    return hash_files(hex, files, 2, true, NULL);
}

static limn_status hash_cached(void *context) {
    char hex[65];
    const HashFile file = {context, NULL};
    return hash_files(hex, &file, 1, false, NULL);
}

static limn_status read_whole(void *context) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, context, 1 << 20));
    free(bytes);
    return folder_make(folder);
}

static int make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/limn-test-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    setenv("HF_HUB_CACHE", folder, 1);
    setenv("XDG_CACHE_HOME", folder, 1);
    const char index[] = "{\"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"2.safetensors\"}}";
    const char *snapshot = inside("models--org--name/snapshots/abc");
    const char *references = inside("models--org--name/refs");
    limn_status status = safetensors_write(inside("1.safetensors"), &tensors[0], 1, NULL, 0);
    status = status != LIMN_OK ? status : safetensors_write(inside("2.safetensors"), &tensors[1], 1, NULL, 0);
    status =
        status != LIMN_OK ? status : file_write_atomic(inside("model.safetensors.index.json"), index, strlen(index));
    status = status != LIMN_OK ? status : folder_make(snapshot);
    status = status != LIMN_OK ? status : folder_make(references);
    status = status != LIMN_OK ? status : file_write_atomic(inside("models--org--name/refs/main"), "abc\n", 4);
    return status == LIMN_OK ? 0 : -1;
}

int main(void) {
    if (make_folder() != 0) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    char corpus_safetensors[] = CORPUS "safetensors/seed-every-dtype";
    char corpus_gguf[] = CORPUS "gguf/seed-tensors";
    char corpus_tokenizer[] = CORPUS "gguf/seed-tokenizer";
    char corpus_json[] = CORPUS "json/seed-llama3-rope";
    char corpus_huge[] = CORPUS "json/seed-huge-integer";
    char model[] = "org/name";
    char out[160], shard[160];
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    snprintf(shard, sizeof shard, "%s/1.safetensors", folder);
    torture("tensor_files_open, one file", open_tensors, corpus_safetensors);
    torture("tensor_files_open, shards", open_tensors, folder);
    torture("safetensors_write", write_tensors, out);
    torture("gguf_open, tensors", open_gguf, corpus_gguf);
    torture("gguf_open, tokenizer", open_gguf, corpus_tokenizer);
    torture("json_file_load", load_json, corpus_json);
    torture("json_file_load, huge integer", load_json, corpus_huge);
    torture("hf_cache_resolve, name", resolve, model);
    torture("hf_cache_resolve, path", resolve, folder);
    torture("hash_files, fresh", hash_fresh, shard);
    torture("hash_files, cached", hash_cached, corpus_safetensors);
    torture("file_read", read_whole, corpus_json);
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : 1;
}
