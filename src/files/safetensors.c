/* safetensors: u64 header length, a JSON object (name -> dtype, shape, data_offsets), tensor data to the end.
 *
 * The data must be covered exactly once: no overlap, no gap, nothing behind the last tensor. A file that breaks this
 * is truncated, was put together wrongly or hides something, and is refused. */
#include "files/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "files/json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are read in place, as little-endian");

enum {
    LARGEST_ENTRY = 16 << 10,   /* a tensor's description has some 80 bytes */
    LARGEST_METADATA = 16 << 20 /* people put whole configurations there */
};

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
    qsort(order, (size_t)n, sizeof(const Tensor *), by_place);
    limn_status status = check_order(header, order, n);
    free(order);
    return status;
}

/* The header is walked entry by entry and each entry parsed on its own: a tree of the whole could take twenty times
 * the header's size before the first check. */
typedef struct Walk {
    const char *path;
    const char *text; /* [length], the header */
    size_t length;
    size_t at;
} Walk;

static char peek(Walk *walk) {
    while (walk->at < walk->length && strchr(" \t\r\n", walk->text[walk->at]) != NULL && walk->text[walk->at] != 0) {
        walk->at++;
    }
    return walk->at < walk->length ? walk->text[walk->at] : '\0';
}

static limn_status expect(Walk *walk, char wanted) {
    if (peek(walk) != wanted) {
        return fail(LIMN_FORMAT, "%s: its header, byte %zu: expected '%c'", walk->path, walk->at, wanted);
    }
    walk->at++;
    return LIMN_OK;
}

/* One past the JSON value that begins at `at`: strings and brackets are matched, the rest is jansson's business. */
static size_t value_end(const Walk *walk, size_t at) {
    size_t depth = 0;
    bool in_string = false;
    for (; at < walk->length; at++) {
        char c = walk->text[at];
        if (in_string) {
            at += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == ':' || c == '}' || c == ']')) {
            return at;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return walk->length;
}

static limn_status take_value(json_t **value, Walk *walk, size_t largest) {
    (void)peek(walk);
    size_t end = value_end(walk, walk->at);
    if (end - walk->at > largest) {
        return fail(LIMN_FORMAT, "%s: its header, byte %zu: an entry of %zu bytes, at most %zu are allowed", walk->path,
                    walk->at, end - walk->at, largest);
    }
    json_error_t error;
    *value = json_loadb(walk->text + walk->at, end - walk->at, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*value == NULL) {
        return fail(json_ran_out_of_memory(&error) ? LIMN_NO_MEMORY : LIMN_FORMAT, "%s: its header, byte %zu: %s",
                    walk->path, walk->at + (size_t)error.position, error.text);
    }
    walk->at = end;
    return LIMN_OK;
}

typedef struct Entries {
    Tensor *tensors; /* [capacity] */
    int32_t n;
    int32_t capacity;
    Map by_name;
} Entries;

static limn_status add_tensor(Entries *entries, Arena *arena, const Header *header, const char *name,
                              const json_t *description) {
    uint64_t other;
    if (map_get(&entries->by_name, name, strlen(name), &other)) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s' appears twice", header->path, name);
    }
    if (entries->n == entries->capacity) {
        int32_t capacity = entries->capacity < 64 ? 64 : entries->capacity / 2 * 3;
        Tensor *grown = realloc(entries->tensors, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: %" PRId32 " tensors", header->path, capacity);
        }
        entries->tensors = grown;
        entries->capacity = capacity;
    }
    Tensor *tensor = &entries->tensors[entries->n];
    *tensor = (Tensor){.name = arena_strdup(arena, name)};
    if (tensor->name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: the names of its tensors", header->path);
    }
    TRY(map_put(&entries->by_name, tensor->name, strlen(name), (uint64_t)entries->n));
    entries->n++;
    return read_entry(tensor, header, description);
}

static limn_status check_metadata(Entries *entries, const Header *header, const json_t *value) {
    uint64_t other;
    if (map_get(&entries->by_name, SAFETENSORS_METADATA, strlen(SAFETENSORS_METADATA), &other)) {
        return fail(LIMN_FORMAT, "%s: %s appears twice", header->path, SAFETENSORS_METADATA);
    }
    if (!json_is_object(value)) {
        return fail(LIMN_FORMAT, "%s: %s is not an object", header->path, SAFETENSORS_METADATA);
    }
    return map_put(&entries->by_name, SAFETENSORS_METADATA, strlen(SAFETENSORS_METADATA), 0);
}

/* "name": value */
static limn_status read_member(Entries *entries, Arena *arena, const Header *header, Walk *walk) {
    json_t *name;
    TRY(take_value(&name, walk, LARGEST_ENTRY));
    json_t *value = NULL;
    limn_status status = LIMN_OK;
    if (!json_is_string(name)) {
        status = fail(LIMN_FORMAT, "%s: its header, byte %zu: expected a name before this", walk->path, walk->at);
    }
    bool metadata = status == LIMN_OK && strcmp(json_string_value(name), SAFETENSORS_METADATA) == 0;
    if (status == LIMN_OK) {
        status = expect(walk, ':');
    }
    if (status == LIMN_OK) {
        status = take_value(&value, walk, metadata ? LARGEST_METADATA : LARGEST_ENTRY);
    }
    if (status == LIMN_OK && metadata) {
        status = check_metadata(entries, header, value);
    } else if (status == LIMN_OK) {
        status = add_tensor(entries, arena, header, json_string_value(name), value);
    }
    json_decref(name);
    json_decref(value);
    return status;
}

static limn_status read_entries(Entries *entries, Arena *arena, const Header *header, Walk *walk) {
    TRY(expect(walk, '{'));
    if (peek(walk) != '}') {
        TRY(read_member(entries, arena, header, walk));
        while (peek(walk) == ',') {
            walk->at++;
            TRY(read_member(entries, arena, header, walk));
        }
    }
    TRY(expect(walk, '}'));
    if (peek(walk) != '\0' || walk->at != walk->length) {
        return fail(LIMN_FORMAT, "%s: its header, byte %zu: something after its end", walk->path, walk->at);
    }
    return check_coverage(header, entries->tensors, entries->n);
}

static limn_status read_all(Tensor **tensors, int32_t *n, Arena *arena, const Header *header, Walk *walk) {
    Entries entries = {0};
    map_init(&entries.by_name);
    limn_status status = read_entries(&entries, arena, header, walk);
    if (status == LIMN_OK) {
        *tensors = ARENA_ARRAY(arena, Tensor, entries.n + 1);
        if (*tensors == NULL) {
            status = fail(LIMN_NO_MEMORY, "%s: %" PRId32 " tensors", header->path, entries.n);
        } else if (entries.n > 0) {
            memcpy(*tensors, entries.tensors, (size_t)entries.n * sizeof(Tensor));
            *n = entries.n;
        }
    }
    free(entries.tensors);
    map_free(&entries.by_name);
    return status;
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
    if (length > SAFETENSORS_LARGEST_HEADER) {
        return fail(LIMN_FORMAT, "%s: says its header has %" PRIu64 " bytes, at most %d are allowed", map->path, length,
                    SAFETENSORS_LARGEST_HEADER);
    }
    if (length > map->size - sizeof length) {
        return fail(LIMN_FORMAT, "%s: says its header has %" PRIu64 " bytes, the file has %zu (truncated?)", map->path,
                    length, map->size);
    }
    Header header = {map->path, map->data + sizeof length + length, map->size - sizeof length - (size_t)length};
    Walk walk = {map->path, (const char *)map->data + sizeof length, (size_t)length, 0};
    return read_all(tensors, n, arena, &header, &walk);
}
