#include "model/folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

static char scratch[] = "/tmp/limn-model-XXXXXX";

int scratch_make(void **state) {
    return mkdtemp(scratch) == NULL;
}

const char *folder_path(void) {
    return scratch;
}

static const char *inside(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

void folder_empty(void) {
    DIR *folder = opendir(scratch);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.') {
            unlink(inside(entry->d_name));
        }
    }
    closedir(folder);
}

int scratch_remove(void **state) {
    folder_empty();
    return rmdir(scratch);
}

const char *case_path(const char *name, const char *file) {
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s%s%s", LIMN_TEST_SOURCE_DIR, name, file[0] != '\0' ? "/" : "", file);
    return path;
}

void folder_write(const char *name, const void *bytes, size_t length) {
    FILE *file = fopen(inside(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void copy_in(const char *name, const char *file) {
    FILE *in = fopen(case_path(name, file), "rb");
    assert_non_null(in);
    TextBuffer text = TEXT_BUFFER_INIT;
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;) {
        text_buffer_add_bytes(&text, block, n);
    }
    fclose(in);
    folder_write(file, text.data, text.length);
    text_buffer_free(&text);
}

void folder_from_case(const char *name) {
    folder_empty();
    DIR *folder = opendir(case_path(name, ""));
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, "config.json") == 0 || strncmp(entry->d_name, "model", 5) == 0) {
            copy_in(name, entry->d_name);
        }
    }
    closedir(folder);
}

void folder_set(const char *key, const char *json) {
    json_error_t error;
    json_t *config = json_load_file(inside("config.json"), 0, &error);
    assert_non_null(config);
    if (json == NULL) {
        json_object_del(config, key);
    } else {
        json_t *value = json_loads(json, JSON_DECODE_ANY, &error);
        assert_non_null(value);
        json_object_set_new(config, key, value);
    }
    assert_int_equal(json_dump_file(config, inside("config.json"), 0), 0);
    json_decref(config);
}

void *tensor_copy(Tensor *tensor, Arena *arena) {
    void *copy = arena_alloc(arena, tensor->bytes);
    memcpy(copy, tensor->data, tensor->bytes);
    tensor->data = copy;
    return copy;
}

void folder_edit(TensorEdit edit, const void *context) {
    TensorFiles *files;
    Arena arena;
    arena_init(&arena);
    if (tensor_files_open(&files, scratch) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    int32_t n = tensor_files_count(files), kept = 0;
    Tensor *tensors = arena_zalloc(&arena, sizeof *tensors * 2 * (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        Tensor tensor = *tensor_files_at(files, i);
        const char *extra = NULL;
        bool keep = edit(&tensor, &extra, &arena, context);
        tensors[kept] = tensor;
        kept += keep ? 1 : 0;
        if (extra != NULL) {
            tensor.name = extra;
            tensors[kept++] = tensor;
        }
    }
    char path[512];
    snprintf(path, sizeof path, "%s/edited", scratch);
    if (safetensors_write(path, tensors, kept, NULL, 0) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    tensor_files_close(files);
    assert_int_equal(rename(path, inside("model.safetensors")), 0);
    arena_free(&arena);
}

Model *open_or_fail(const char *path, const ModelOptions *options) {
    Model *model = NULL;
    if (model_open(&model, path, options, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return model;
}

Model *folder_open(const ModelOptions *options) {
    return open_or_fail(scratch, options);
}

void check_refused(const ModelOptions *options, limn_status expected, const char *const *words, const char *file,
                   int line) {
    Model *model = NULL;
    limn_status found = model_open(&model, scratch, options, NULL);
    if (found != expected || model != NULL) {
        print_error("%s:%d: found %s (%s), expected %s\n", file, line, status_name(found),
                    found == LIMN_OK ? "" : error_message(), status_name(expected));
        _fail(file, line);
    }
    for (; *words != NULL; words++) {
        if (strstr(error_message(), *words) == NULL) {
            print_error("%s:%d: \"%s\" does not say \"%s\"\n", file, line, error_message(), *words);
            _fail(file, line);
        }
    }
}

float weight_at(const Weight *weight, int64_t row, int64_t column) {
    int64_t at = row * weight->row_stride + column * weight->column_stride;
    return weight->dtype == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)weight->data)[at])
                                       : ((const float *)weight->data)[at];
}
