/* safetensors: u64 header length, a JSON object (name -> dtype, shape, data_offsets), tensor data to the end.
 *
 * The data must be covered exactly once: no overlap, no gap, nothing behind the last tensor. A file that breaks this
 * is truncated, was put together wrongly or hides something, and is refused. */
#include "files/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "files/json.h"
#include "files/tensor_files.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are read in place, as little-endian");

enum { LARGEST_HEADER = 100 * 1000 * 1000, HEADER_ALIGNMENT = 8 };

static const char metadata_key[] = "__metadata__";

typedef struct Header {
    const char *path;
    const unsigned char *data; /* [size] */
    size_t size;
} Header;

static limn_status read_shape(Tensor *tensor, const Header *header, const json_t *shape) {
    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_MAX_RANK) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s': its shape is not an array of at most %d integers", header->path,
                    tensor->name, TENSOR_MAX_RANK);
    }
    tensor->rank = (int)json_array_size(shape);
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *dimension = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dimension) || json_integer_value(dimension) < 0) {
            return fail(LIMN_FORMAT, "%s: tensor '%.100s': dimension %d of its shape is not an integer of 0 or more",
                        header->path, tensor->name, i);
        }
        tensor->shape[i] = json_integer_value(dimension);
    }
    return LIMN_OK;
}

static limn_status read_place(Tensor *tensor, const Header *header, const json_t *offsets) {
    const json_t *begin_value = json_array_get(offsets, 0);
    const json_t *end_value = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin_value) || !json_is_integer(end_value)) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s': data_offsets are not two integers", header->path, tensor->name);
    }
    int64_t begin = json_integer_value(begin_value);
    int64_t end = json_integer_value(end_value);
    if (begin < 0 || end < begin) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s': data_offsets %" PRId64 " to %" PRId64 " are no range",
                    header->path, tensor->name, begin, end);
    }
    if ((uint64_t)end > header->size) {
        return fail(LIMN_FORMAT,
                    "%s: tensor '%.100s' ends at byte %" PRId64 " of the data, the file holds %zu (truncated?)",
                    header->path, tensor->name, end, header->size);
    }
    if ((uint64_t)(end - begin) != tensor->bytes) {
        char shape[96];
        return fail(LIMN_FORMAT, "%s: tensor '%.100s' has %" PRId64 " bytes, %s %s needs %zu", header->path,
                    tensor->name, end - begin, dtype_info(tensor->dtype)->name, tensor_shape_text(tensor, shape),
                    tensor->bytes);
    }
    tensor->data = header->data + begin;
    size_t element = (size_t)dtype_info(tensor->dtype)->block_bytes;
    if ((uintptr_t)tensor->data % element != 0) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s' is misaligned: %s must begin at a multiple of %zu bytes",
                    header->path, tensor->name, dtype_info(tensor->dtype)->name, element);
    }
    return LIMN_OK;
}

static limn_status read_entry(Tensor *tensor, const Header *header, const json_t *entry) {
    if (!json_is_object(entry)) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s': expected an object with dtype, shape and data_offsets",
                    header->path, tensor->name);
    }
    const json_t *dtype = json_object_get(entry, "dtype");
    if (!json_is_string(dtype)) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s': its dtype is missing or not a text", header->path, tensor->name);
    }
    if (!dtype_from_safetensors(json_string_value(dtype), json_string_length(dtype), &tensor->dtype)) {
        return fail(LIMN_UNSUPPORTED, "%s: tensor '%.100s' has dtype '%.40s', which limn does not read", header->path,
                    tensor->name, json_string_value(dtype));
    }
    TRY(read_shape(tensor, header, json_object_get(entry, "shape")));
    if (tensor_bytes(tensor->dtype, tensor->rank, tensor->shape, &tensor->bytes) != LIMN_OK) {
        return fail_context("%s: tensor '%.100s'", header->path, tensor->name);
    }
    return read_place(tensor, header, json_object_get(entry, "data_offsets"));
}

static int by_place(const void *a, const void *b) {
    const Tensor *const *x = a;
    const Tensor *const *y = b;
    uintptr_t x_place = (uintptr_t)(*x)->data;
    uintptr_t y_place = (uintptr_t)(*y)->data;
    if (x_place != y_place) {
        return x_place < y_place ? -1 : 1;
    }
    return ((*x)->bytes > (*y)->bytes) - ((*x)->bytes < (*y)->bytes);
}

static limn_status check_order(const Header *header, const Tensor *const *order, int32_t n) {
    const unsigned char *at = header->data;
    const char *before = NULL;
    for (int32_t i = 0; i < n; i++) {
        const unsigned char *begin = order[i]->data;
        if (begin < at) {
            return fail(LIMN_FORMAT, "%s: tensors '%.100s' and '%.100s' overlap", header->path, before, order[i]->name);
        }
        if (begin > at) {
            return fail(LIMN_FORMAT, "%s: %zu bytes before tensor '%.100s' belong to no tensor", header->path,
                        (size_t)(begin - at), order[i]->name);
        }
        at = begin + order[i]->bytes;
        before = order[i]->name;
    }
    size_t covered = (size_t)(at - header->data);
    if (covered != header->size) {
        return fail(LIMN_FORMAT, "%s: %zu bytes after the last tensor%s%.100s%s belong to no tensor", header->path,
                    header->size - covered, before == NULL ? "" : " '", before == NULL ? "" : before,
                    before == NULL ? "" : "'");
    }
    return LIMN_OK;
}

static limn_status check_coverage(const Header *header, const Tensor *tensors, int32_t n) {
    const Tensor **order = malloc(((size_t)n + 1) * sizeof(const Tensor *));
    if (order == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: %" PRId32 " tensors", header->path, n);
    }
    for (int32_t i = 0; i < n; i++) {
        order[i] = &tensors[i];
    }
    qsort(order, (size_t)n, sizeof *order, by_place);
    limn_status status = check_order(header, order, n);
    free(order);
    return status;
}

static limn_status read_entries(Tensor **tensors, int32_t *n, Arena *arena, const Header *header, json_t *root) {
    if (!json_is_object(root)) {
        return fail(LIMN_FORMAT, "%s: its header is not a JSON object", header->path);
    }
    if (json_object_size(root) > INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: has %zu tensors", header->path, json_object_size(root));
    }
    *tensors = ARENA_ARRAY(arena, Tensor, json_object_size(root) + 1);
    if (*tensors == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: %zu tensors", header->path, json_object_size(root));
    }
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry) {
        if (strcmp(name, metadata_key) == 0) {
            if (!json_is_object(entry)) {
                return fail(LIMN_FORMAT, "%s: %s is not an object", header->path, metadata_key);
            }
            continue;
        }
        Tensor *tensor = &(*tensors)[*n];
        tensor->name = arena_strdup(arena, name);
        if (tensor->name == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: the names of its tensors", header->path);
        }
        TRY(read_entry(tensor, header, entry));
        (*n)++;
    }
    return check_coverage(header, *tensors, *n);
}

limn_status safetensors_read(Tensor **tensors, int32_t *n, Arena *arena, const FileMap *map) {
    *tensors = NULL;
    *n = 0;
    uint64_t length = 0;
    if (map->size >= sizeof length) {
        memcpy(&length, map->data, sizeof length);
    }
    if (map->size < sizeof length + 2 || map->data[sizeof length] != '{') {
        return fail(LIMN_FORMAT, "%s: not a safetensors file (%s)", map->path,
                    map->size < sizeof length + 2 ? "shorter than the smallest header"
                                                  : "expected a JSON object at byte 8");
    }
    if (length > LARGEST_HEADER) {
        return fail(LIMN_FORMAT, "%s: says its header has %" PRIu64 " bytes, at most %d are allowed", map->path, length,
                    LARGEST_HEADER);
    }
    if (length > map->size - sizeof length) {
        return fail(LIMN_FORMAT, "%s: says its header has %" PRIu64 " bytes, the file has %zu (truncated?)", map->path,
                    length, map->size);
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)map->data + sizeof length, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        bool memory = json_ran_out_of_memory(&error);
        return fail(memory ? LIMN_NO_MEMORY : LIMN_FORMAT, "%s: its header, byte %d: %s", map->path, error.position,
                    error.text);
    }
    Header header = {map->path, map->data + sizeof length + length, map->size - sizeof length - (size_t)length};
    limn_status status = read_entries(tensors, n, arena, &header, root);
    json_decref(root);
    return status;
}

/* Writing. The header keeps the given order; the data is laid out by element size, widest first, so that every
 * tensor is aligned without gaps. */

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
    if (strcmp(tensor->name, metadata_key) == 0) {
        return fail(LIMN_USAGE, "%s: no tensor can be named '%s'", path, metadata_key);
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
    *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_info(tensor->dtype)->safetensors, "shape", shape,
                       "data_offsets", (json_int_t)begin, (json_int_t)(begin + tensor->bytes));
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
    bool added = json_object_set_new(root, metadata_key, object) == 0;
    return added ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: its header", path);
}

/* The header's text, padded with spaces so that the data begins at a multiple of 8; malloc'ed. */
static limn_status header_text(char **text, size_t *length, const char *path, const json_t *root) {
    size_t bytes = json_dumpb(root, NULL, 0, JSON_COMPACT);
    size_t padded = (bytes + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT * HEADER_ALIGNMENT;
    if (padded > LARGEST_HEADER) {
        return fail(LIMN_UNSUPPORTED, "%s: its header would have %zu bytes, at most %d are allowed", path, padded,
                    LARGEST_HEADER);
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
