/* Writing safetensors. The header keeps the given order; the data is laid out by element size, widest first, so that
 * every tensor is aligned without gaps. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "files/safetensors.h"
#include "files/tensor_files.h"

enum { HEADER_ALIGNMENT = 8 };

static size_t element_bytes(const Tensor *tensor) {
    return (size_t)dtype_info(tensor->dtype)->block_bytes;
}

static limn_status check_writable(const char *path, const Tensor *tensor) {
    if (dtype_info(tensor->dtype)->safetensors == NULL) {
        return fail(LIMN_UNSUPPORTED, "%s: tensor '%.100s': safetensors cannot hold %s", path, tensor->name,
                    dtype_info(tensor->dtype)->name);
    }
    size_t bytes;
    TRY(tensor_bytes(tensor->dtype, tensor->rank, tensor->shape, &bytes));
    if (bytes != tensor->bytes || (bytes > 0 && tensor->data == NULL)) {
        return fail(LIMN_INTERNAL, "%s: tensor '%.100s': %zu bytes given, its shape needs %zu", path, tensor->name,
                    tensor->bytes, bytes);
    }
    if (strcmp(tensor->name, SAFETENSORS_METADATA) == 0) {
        return fail(LIMN_USAGE, "%s: no tensor can be named '%s'", path, SAFETENSORS_METADATA);
    }
    return LIMN_OK;
}

static limn_status entry_of(json_t **entry, const char *path, const Tensor *tensor, size_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank && shape != NULL; i++) {
        if (json_array_append_new(shape, json_integer(tensor->shape[i])) != 0) {
            json_decref(shape);
            shape = NULL;
        }
    }
    json_int_t first = (json_int_t)begin;
    json_int_t end = first + (json_int_t)tensor->bytes;
    *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_info(tensor->dtype)->safetensors, "shape", shape,
                       "data_offsets", first, end);
    return *entry != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: its header", path);
}

static limn_status add_tensors(json_t *root, const char *path, const Tensor *tensors, int32_t n, const size_t *begins) {
    for (int32_t i = 0; i < n; i++) {
        if (json_object_get(root, tensors[i].name) != NULL) {
            return fail(LIMN_USAGE, "%s: tensor '%.100s' is given twice", path, tensors[i].name);
        }
        json_t *entry;
        TRY(entry_of(&entry, path, &tensors[i], begins[i]));
        if (json_object_set_new(root, tensors[i].name, entry) != 0) {
            return fail(LIMN_FORMAT, "%s: tensor name '%.100s' is not UTF-8", path, tensors[i].name);
        }
    }
    return LIMN_OK;
}

static limn_status add_metadata(json_t *root, const char *path, const TensorMetadata *metadata, int32_t n) {
    if (n == 0) {
        return LIMN_OK;
    }
    json_t *object = json_object();
    for (int32_t i = 0; i < n && object != NULL; i++) {
        if (json_object_set_new(object, metadata[i].key, json_string(metadata[i].value)) != 0) {
            json_decref(object);
            return fail(LIMN_FORMAT, "%s: metadata '%.100s' is not UTF-8", path, metadata[i].key);
        }
    }
    bool added = json_object_set_new(root, SAFETENSORS_METADATA, object) == 0;
    return added ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: its header", path);
}

/* The header's text, padded with spaces so that the data begins at a multiple of 8; malloc'ed. */
static limn_status header_text(char **text, size_t *length, const char *path, const json_t *root) {
    size_t bytes = json_dumpb(root, NULL, 0, JSON_COMPACT);
    size_t padded = round_up_bytes(bytes, HEADER_ALIGNMENT);
    if (padded > SAFETENSORS_LARGEST_HEADER) {
        return fail(LIMN_UNSUPPORTED, "%s: its header would have %zu bytes, at most %d are allowed", path, padded,
                    SAFETENSORS_LARGEST_HEADER);
    }
    char *buffer = malloc(padded + 1);
    if (bytes == 0 || buffer == NULL) {
        free(buffer);
        return fail(LIMN_NO_MEMORY, "%s: its header", path);
    }
    json_dumpb(root, buffer, padded, JSON_COMPACT);
    memset(buffer + bytes, ' ', padded - bytes);
    *text = buffer;
    *length = padded;
    return LIMN_OK;
}

static limn_status make_header(char **text, size_t *length, const char *path, const Tensor *tensors, int32_t n,
                               const TensorMetadata *metadata, int32_t n_metadata, const size_t *begins) {
    json_t *root = json_object();
    if (root == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: its header", path);
    }
    limn_status status = add_metadata(root, path, metadata, n_metadata);
    if (status == LIMN_OK) {
        status = add_tensors(root, path, tensors, n, begins);
    }
    if (status == LIMN_OK) {
        status = header_text(text, length, path, root);
    }
    json_decref(root);
    return status;
}

/* begins[i]: where tensor i starts in the data; order[]: tensors as they lie there. */
static limn_status lay_out(size_t *begins, int32_t *order, const char *path, const Tensor *tensors, int32_t n) {
    size_t total = 0;
    int32_t placed = 0;
    for (size_t width = 8; width > 0; width /= 2) {
        for (int32_t i = 0; i < n; i++) {
            if (element_bytes(&tensors[i]) != width) {
                continue;
            }
            begins[i] = total;
            if (tensors[i].bytes > (size_t)INT64_MAX - total) {
                return fail(LIMN_UNSUPPORTED, "%s: more bytes than can be counted", path);
            }
            total += tensors[i].bytes;
            order[placed++] = i;
        }
    }
    return placed == n ? LIMN_OK : fail(LIMN_INTERNAL, "%s: an element width that is no power of two", path);
}

static limn_status write_file(const char *path, const char *header, size_t header_length, const Tensor *tensors,
                              const int32_t *order, int32_t n) {
    FileWriter *writer;
    TRY(file_writer_open(&writer, path));
    uint64_t length = header_length;
    limn_status status = file_writer_append(writer, &length, sizeof length);
    if (status == LIMN_OK) {
        status = file_writer_append(writer, header, header_length);
    }
    for (int32_t i = 0; i < n && status == LIMN_OK; i++) {
        status = file_writer_append(writer, tensors[order[i]].data, tensors[order[i]].bytes);
    }
    if (status != LIMN_OK) {
        file_writer_abort(writer);
        return status;
    }
    return file_writer_commit(writer);
}

limn_status safetensors_write(const char *path, const Tensor *tensors, int32_t n, const TensorMetadata *metadata,
                              int32_t n_metadata) {
    for (int32_t i = 0; i < n; i++) {
        TRY(check_writable(path, &tensors[i]));
    }
    size_t *begins = calloc((size_t)n + 1, sizeof *begins);
    int32_t *order = calloc((size_t)n + 1, sizeof *order);
    char *header = NULL;
    size_t length = 0;
    limn_status status = LIMN_OK;
    if (begins == NULL || order == NULL) {
        status = fail(LIMN_NO_MEMORY, "%s: writing %" PRId32 " tensors", path, n);
    }
    if (status == LIMN_OK) {
        status = lay_out(begins, order, path, tensors, n);
    }
    if (status == LIMN_OK) {
        status = make_header(&header, &length, path, tensors, n, metadata, n_metadata, begins);
    }
    if (status == LIMN_OK) {
        status = write_file(path, header, length, tensors, order, n);
    }
    free(begins);
    free(order);
    free(header);
    return status;
}
