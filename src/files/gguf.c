/* GGUF: a header of typed key/value pairs and tensor descriptions, then aligned tensor data.
 *
 * Layout (little-endian): "GGUF", u32 version, u64 tensors, u64 pairs; pairs: string key, u32 type, value; tensors:
 * string name, u32 rank, u64 dimensions (innermost first), u32 type, u64 offset into the data; padding to
 * general.alignment; data. A string is a u64 length and its bytes, an array a u32 type, a u64 count, its elements.
 *
 * The file is hostile until shown otherwise: every count is compared with the bytes that are left before anything is
 * allocated for it, so memory stays within a small multiple of the file's size. Values are read where they lie. */
#include "files/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are read in place, as little-endian");

typedef enum ValueType {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_COUNT
} ValueType;

static const size_t value_bytes[VALUE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

enum {
    LONGEST_KEY = 65535,
    LARGEST_RANK = 4,
    DEFAULT_ALIGNMENT = 32,
    SMALLEST_PAIR = 8 + 4 + 1,      /* empty key, type, one byte */
    SMALLEST_TENSOR = 8 + 4 + 4 + 8 /* empty name, rank 0, type, offset */
};

typedef struct Pair {
    const char *key;
    size_t key_length;
    ValueType type; /* of the value, or of an array's elements */
    bool array;
    int64_t count;             /* elements; 1 when not an array */
    const unsigned char *data; /* first element (a string: its bytes) */
    size_t length;             /* of a single string */
    uint64_t *offsets;         /* [count], arrays of strings: where each length field lies, from `data` */
} Pair;

struct Gguf {
    Arena arena;
    FileMap *map;
    Pair *pairs; /* [n_pairs] */
    int32_t n_pairs;
    Tensor *tensors; /* [n_tensors] */
    int32_t n_tensors;
    Map pair_by_key;
    Map tensor_by_name;
};

/* What is known of types that limn does not read, so that a refusal can name them. */
static const struct {
    uint32_t id;
    const char *name;
} foreign_types[] = {
    {9, "Q8_1"},   {15, "Q8_K"},   {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
    {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},   {22, "IQ2_S"},  {23, "IQ4_XS"},
    {29, "IQ1_M"}, {34, "TQ1_0"},  {35, "TQ2_0"},   {39, "MXFP4"},  {40, "NVFP4"},
};

static const char *foreign_type_name(uint32_t id) {
    for (size_t i = 0; i < sizeof foreign_types / sizeof foreign_types[0]; i++) {
        if (foreign_types[i].id == id) {
            return foreign_types[i].name;
        }
    }
    return "unknown";
}

/* The names of the types that limn reads, for messages. */
static const char *readable_types(char out[256]) {
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const DTypeInfo *info = dtype_info((DType)i);
        size_t length = strlen(info->name);
        if (info->gguf >= 0 && used + length + 2 < 256) {
            if (used > 0) {
                out[used++] = ' ';
            }
            memcpy(out + used, info->name, length + 1);
            used += length;
        }
    }
    return out;
}

typedef struct Reader {
    const unsigned char *data;
    size_t size;
    size_t at;
    const char *path;
} Reader;

static size_t left(const Reader *reader) {
    return reader->size - reader->at;
}

static limn_status take(Reader *reader, void *value, size_t bytes, const char *what) {
    if (left(reader) < bytes) {
        memset(value, 0, bytes);
        return fail(LIMN_FORMAT, "%s: ends at byte %zu, within %s (truncated?)", reader->path, reader->size, what);
    }
    memcpy(value, reader->data + reader->at, bytes);
    reader->at += bytes;
    return LIMN_OK;
}

static limn_status take_string(Reader *reader, const char **text, size_t *length, const char *what) {
    uint64_t bytes;
    TRY(take(reader, &bytes, sizeof bytes, what));
    if (bytes > left(reader)) {
        return fail(LIMN_FORMAT, "%s: %s at byte %zu says it is %" PRIu64 " bytes long, the file has %zu left",
                    reader->path, what, reader->at, bytes, left(reader));
    }
    *text = (const char *)reader->data + reader->at;
    *length = (size_t)bytes;
    reader->at += *length;
    return LIMN_OK;
}

/* For messages: a name from the file, cut to what a line can hold. */
#define SHOWN(text, length) (int)((length) > 100 ? 100 : (length)), (text)

static limn_status check_bools(const Reader *reader, const Pair *pair) {
    for (int64_t i = 0; pair->type == VALUE_BOOL && i < pair->count; i++) {
        if (pair->data[i] > 1) {
            return fail(LIMN_FORMAT, "%s: key '%.*s': %d where a bool (0 or 1) was expected", reader->path,
                        SHOWN(pair->key, pair->key_length), pair->data[i]);
        }
    }
    return LIMN_OK;
}

static limn_status read_string_array(Reader *reader, Arena *arena, Pair *pair) {
    pair->offsets = ARENA_ARRAY(arena, uint64_t, pair->count + 1);
    if (pair->offsets == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: key '%.*s': %" PRId64 " strings", reader->path,
                    SHOWN(pair->key, pair->key_length), pair->count);
    }
    size_t start = reader->at;
    for (int64_t i = 0; i < pair->count; i++) {
        const char *text;
        size_t length;
        pair->offsets[i] = reader->at - start;
        TRY(take_string(reader, &text, &length, "a string of an array"));
    }
    return LIMN_OK;
}

static limn_status read_array(Reader *reader, Arena *arena, Pair *pair) {
    uint32_t type;
    uint64_t count;
    TRY(take(reader, &type, sizeof type, "an array"));
    TRY(take(reader, &count, sizeof count, "an array"));
    if (type >= VALUE_COUNT || type == VALUE_ARRAY) {
        return fail(type == VALUE_ARRAY ? LIMN_UNSUPPORTED : LIMN_FORMAT,
                    "%s: key '%.*s': array of type %" PRIu32 "%s, expected numbers, bools or strings", reader->path,
                    SHOWN(pair->key, pair->key_length), type, type == VALUE_ARRAY ? " (nested array)" : "");
    }
    size_t each = type == VALUE_STRING ? sizeof(uint64_t) : value_bytes[type];
    if (count > left(reader) / each) {
        return fail(LIMN_FORMAT, "%s: key '%.*s': array of %" PRIu64 " elements, the file has %zu bytes left",
                    reader->path, SHOWN(pair->key, pair->key_length), count, left(reader));
    }
    pair->array = true;
    pair->type = (ValueType)type;
    pair->count = (int64_t)count;
    pair->data = reader->data + reader->at;
    if (type == VALUE_STRING) {
        return read_string_array(reader, arena, pair);
    }
    reader->at += (size_t)count * each;
    return check_bools(reader, pair);
}

static limn_status read_value(Reader *reader, Arena *arena, Pair *pair) {
    uint32_t type;
    TRY(take(reader, &type, sizeof type, "a key's type"));
    if (type == VALUE_ARRAY) {
        return read_array(reader, arena, pair);
    }
    if (type >= VALUE_COUNT) {
        return fail(LIMN_FORMAT, "%s: key '%.*s': value type %" PRIu32 " is unknown (0 to %d are known)", reader->path,
                    SHOWN(pair->key, pair->key_length), type, VALUE_COUNT - 1);
    }
    pair->type = (ValueType)type;
    pair->count = 1;
    if (type == VALUE_STRING) {
        const char *text;
        TRY(take_string(reader, &text, &pair->length, "a key's text"));
        pair->data = (const unsigned char *)text;
        return LIMN_OK;
    }
    pair->data = reader->data + reader->at;
    if (left(reader) < value_bytes[type]) {
        return fail(LIMN_FORMAT, "%s: ends within the value of key '%.*s' (truncated?)", reader->path,
                    SHOWN(pair->key, pair->key_length));
    }
    reader->at += value_bytes[type];
    return check_bools(reader, pair);
}

static limn_status read_pairs(Gguf *gguf, Reader *reader) {
    gguf->pairs = ARENA_ARRAY(&gguf->arena, Pair, gguf->n_pairs);
    if (gguf->n_pairs > 0 && gguf->pairs == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: %" PRId32 " keys", reader->path, gguf->n_pairs);
    }
    TRY(map_reserve(&gguf->pair_by_key, (size_t)gguf->n_pairs));
    for (int32_t i = 0; i < gguf->n_pairs; i++) {
        Pair *pair = &gguf->pairs[i];
        TRY(take_string(reader, &pair->key, &pair->key_length, "a key"));
        if (pair->key_length == 0 || pair->key_length > LONGEST_KEY) {
            return fail(LIMN_FORMAT, "%s: key %" PRId32 " has %zu bytes, expected 1 to %d", reader->path, i,
                        pair->key_length, LONGEST_KEY);
        }
        uint64_t other;
        if (map_get(&gguf->pair_by_key, pair->key, pair->key_length, &other)) {
            return fail(LIMN_FORMAT, "%s: key '%.*s' appears twice", reader->path, SHOWN(pair->key, pair->key_length));
        }
        TRY(read_value(reader, &gguf->arena, pair));
        TRY(map_put(&gguf->pair_by_key, pair->key, pair->key_length, (uint64_t)i));
    }
    return LIMN_OK;
}

static limn_status read_type(Reader *reader, Tensor *tensor) {
    uint32_t type;
    TRY(take(reader, &type, sizeof type, "a tensor's description"));
    if (!dtype_from_gguf(type, &tensor->dtype)) {
        char known[256];
        return fail(LIMN_UNSUPPORTED,
                    "%s: tensor '%.100s' is stored as type %" PRIu32 " (%s), which limn does not read; it reads %s",
                    reader->path, tensor->name, type, foreign_type_name(type), readable_types(known));
    }
    return LIMN_OK;
}

/* The description; *offset from the start of the data. */
static limn_status read_tensor(Gguf *gguf, Reader *reader, Tensor *tensor, uint64_t *offset) {
    const char *name;
    size_t length;
    TRY(take_string(reader, &name, &length, "a tensor's name"));
    if (length == 0 || length > LONGEST_KEY || memchr(name, '\0', length) != NULL) {
        return fail(LIMN_FORMAT, "%s: a tensor name of %zu bytes%s, expected 1 to %d without NUL", reader->path, length,
                    length == 0 || length > LONGEST_KEY ? "" : " with a NUL in it", LONGEST_KEY);
    }
    tensor->name = arena_strndup(&gguf->arena, name, length);
    if (tensor->name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: the names of its tensors", reader->path);
    }
    uint64_t other;
    if (map_get(&gguf->tensor_by_name, tensor->name, length, &other)) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s' appears twice", reader->path, tensor->name);
    }
    TRY(map_put(&gguf->tensor_by_name, tensor->name, length, (uint64_t)(tensor - gguf->tensors)));
    uint32_t rank;
    TRY(take(reader, &rank, sizeof rank, "a tensor's description"));
    if (rank > LARGEST_RANK) {
        return fail(LIMN_FORMAT, "%s: tensor '%.100s' has %" PRIu32 " dimensions, expected at most %d", reader->path,
                    tensor->name, rank, LARGEST_RANK);
    }
    tensor->rank = (int)rank;
    for (uint32_t i = 0; i < rank; i++) {
        uint64_t dimension;
        TRY(take(reader, &dimension, sizeof dimension, "a tensor's description"));
        if (dimension > INT64_MAX) {
            return fail(LIMN_FORMAT, "%s: tensor '%.100s': dimension %" PRIu64 " is too large", reader->path,
                        tensor->name, dimension);
        }
        tensor->shape[rank - 1 - i] = (int64_t)dimension;
    }
    TRY(read_type(reader, tensor));
    TRY(take(reader, offset, sizeof *offset, "a tensor's description"));
    if (tensor_bytes(tensor->dtype, tensor->rank, tensor->shape, &tensor->bytes) != LIMN_OK) {
        return fail_context("%s: tensor '%.100s'", reader->path, tensor->name);
    }
    return LIMN_OK;
}

static int by_place(const void *a, const void *b) {
    const Tensor *const *left_one = a;
    const Tensor *const *right_one = b;
    uintptr_t x = (uintptr_t)(*left_one)->data;
    uintptr_t y = (uintptr_t)(*right_one)->data;
    if (x != y) {
        return x < y ? -1 : 1;
    }
    return ((*left_one)->bytes > (*right_one)->bytes) - ((*left_one)->bytes < (*right_one)->bytes);
}

static limn_status check_overlap(const Gguf *gguf) {
    if (gguf->n_tensors <= 0) {
        return LIMN_OK;
    }
    const Tensor **order = malloc((size_t)gguf->n_tensors * sizeof(const Tensor *));
    if (order == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: %" PRId32 " tensors", gguf->map->path, gguf->n_tensors);
    }
    for (int32_t i = 0; i < gguf->n_tensors; i++) {
        order[i] = &gguf->tensors[i];
    }
    qsort(order, (size_t)gguf->n_tensors, sizeof(const Tensor *), by_place);
    limn_status status = LIMN_OK;
    for (int32_t i = 1; i < gguf->n_tensors && status == LIMN_OK; i++) {
        const unsigned char *end = (const unsigned char *)order[i - 1]->data + order[i - 1]->bytes;
        if ((const unsigned char *)order[i]->data < end) {
            status = fail(LIMN_FORMAT, "%s: tensors '%.100s' and '%.100s' overlap", gguf->map->path, order[i - 1]->name,
                          order[i]->name);
        }
    }
    free(order);
    return status;
}

static limn_status read_alignment(const Gguf *gguf, size_t *alignment) {
    *alignment = DEFAULT_ALIGNMENT;
    uint64_t index;
    if (!map_get(&gguf->pair_by_key, "general.alignment", strlen("general.alignment"), &index)) {
        return LIMN_OK;
    }
    int64_t value;
    if (!gguf_get_integer(gguf, "general.alignment", &value) || value < 8 || value > 1 << 20 ||
        (value & (value - 1)) != 0) {
        return fail(LIMN_FORMAT, "%s: general.alignment is not a power of two of 8 or more", gguf->map->path);
    }
    *alignment = (size_t)value;
    return LIMN_OK;
}

static limn_status read_tensors(Gguf *gguf, Reader *reader) {
    gguf->tensors = ARENA_ARRAY(&gguf->arena, Tensor, gguf->n_tensors);
    uint64_t *offsets = ARENA_ARRAY(&gguf->arena, uint64_t, gguf->n_tensors);
    if (gguf->n_tensors > 0 && (gguf->tensors == NULL || offsets == NULL)) {
        return fail(LIMN_NO_MEMORY, "%s: %" PRId32 " tensors", reader->path, gguf->n_tensors);
    }
    TRY(map_reserve(&gguf->tensor_by_name, (size_t)gguf->n_tensors));
    for (int32_t i = 0; i < gguf->n_tensors; i++) {
        TRY(read_tensor(gguf, reader, &gguf->tensors[i], &offsets[i]));
    }
    size_t alignment;
    TRY(read_alignment(gguf, &alignment));
    size_t padding = (alignment - reader->at % alignment) % alignment;
    size_t room = left(reader) < padding ? 0 : left(reader) - padding;
    const unsigned char *base = reader->data + (reader->size - room);
    for (int32_t i = 0; i < gguf->n_tensors; i++) {
        Tensor *tensor = &gguf->tensors[i];
        if (offsets[i] % alignment != 0) {
            return fail(LIMN_FORMAT, "%s: tensor '%.100s' lies at offset %" PRIu64 ", not a multiple of %zu",
                        reader->path, tensor->name, offsets[i], alignment);
        }
        if (tensor->bytes > room || offsets[i] > room - tensor->bytes) {
            return fail(LIMN_FORMAT,
                        "%s: tensor '%.100s' needs %zu bytes at offset %" PRIu64 ", the file holds %zu bytes of data "
                        "(truncated?)",
                        reader->path, tensor->name, tensor->bytes, offsets[i], room);
        }
        tensor->data = base + offsets[i];
    }
    return check_overlap(gguf);
}

static limn_status read_header(Gguf *gguf, Reader *reader) {
    char magic[4];
    uint32_t version;
    if (reader->size < 24 || memcmp(reader->data, "GGUF", 4) != 0) {
        return fail(LIMN_FORMAT, "%s: not a GGUF file (expected it to begin with 'GGUF' and a header of 24 bytes)",
                    reader->path);
    }
    TRY(take(reader, magic, sizeof magic, "its header"));
    TRY(take(reader, &version, sizeof version, "its header"));
    if (version != 2 && version != 3) {
        bool swapped = (version & 0xFFFFu) == 0;
        return fail(LIMN_UNSUPPORTED, "%s: GGUF version %" PRIu32 "%s, expected 2 or 3", reader->path,
                    swapped ? __builtin_bswap32(version) : version, swapped ? " in big-endian byte order" : "");
    }
    uint64_t n_tensors;
    uint64_t n_pairs;
    TRY(take(reader, &n_tensors, sizeof n_tensors, "its header"));
    TRY(take(reader, &n_pairs, sizeof n_pairs, "its header"));
    if (n_tensors > left(reader) / SMALLEST_TENSOR || n_tensors > INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: says it has %" PRIu64 " tensors, too many for its %zu bytes", reader->path,
                    n_tensors, reader->size);
    }
    if (n_pairs > left(reader) / SMALLEST_PAIR || n_pairs > INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: says it has %" PRIu64 " keys, too many for its %zu bytes", reader->path, n_pairs,
                    reader->size);
    }
    gguf->n_tensors = (int32_t)n_tensors;
    gguf->n_pairs = (int32_t)n_pairs;
    return LIMN_OK;
}

static limn_status read_file(Gguf *gguf) {
    Reader reader = {gguf->map->data, gguf->map->size, 0, gguf->map->path};
    TRY(read_header(gguf, &reader));
    TRY(read_pairs(gguf, &reader));
    int64_t parts;
    if (gguf_get_integer(gguf, "split.count", &parts) && parts > 1) {
        return fail(LIMN_UNSUPPORTED, "%s: is one of %" PRId64 " parts of a split model, expected a whole file",
                    reader.path, parts);
    }
    return read_tensors(gguf, &reader);
}

limn_status gguf_open(Gguf **out, const char *path) {
    *out = NULL;
    Gguf *gguf = calloc(1, sizeof *gguf);
    if (gguf == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    arena_init(&gguf->arena);
    map_init(&gguf->pair_by_key);
    map_init(&gguf->tensor_by_name);
    limn_status status = file_map_open(&gguf->map, path);
    if (status == LIMN_OK) {
        status = read_file(gguf);
    }
    if (status != LIMN_OK) {
        gguf_close(gguf);
        return status;
    }
    *out = gguf;
    return LIMN_OK;
}

void gguf_close(Gguf *gguf) {
    if (gguf == NULL) {
        return;
    }
    map_free(&gguf->pair_by_key);
    map_free(&gguf->tensor_by_name);
    arena_free(&gguf->arena);
    file_map_close(gguf->map);
    free(gguf);
}

const char *gguf_path(const Gguf *gguf) {
    return gguf->map->path;
}

int32_t gguf_tensor_count(const Gguf *gguf) {
    return gguf->n_tensors;
}

const Tensor *gguf_tensor_at(const Gguf *gguf, int32_t index) {
    return &gguf->tensors[index];
}

const Tensor *gguf_tensor(const Gguf *gguf, const char *name) {
    uint64_t index;
    return map_get(&gguf->tensor_by_name, name, strlen(name), &index) ? &gguf->tensors[index] : NULL;
}

static const Pair *pair_of(const Gguf *gguf, const char *key, bool array) {
    uint64_t index;
    if (!map_get(&gguf->pair_by_key, key, strlen(key), &index)) {
        return NULL;
    }
    const Pair *pair = &gguf->pairs[index];
    return pair->array == array ? pair : NULL;
}

/* Element `index` of a pair as an integer; false for reals, strings, bools and what does not fit. */
static bool integer_at(const Pair *pair, int64_t index, int64_t *value) {
    const unsigned char *at = pair->data + (size_t)index * value_bytes[pair->type];
#define CASE(tag, type)                                                                                                \
    case tag: {                                                                                                        \
        type x;                                                                                                        \
        memcpy(&x, at, sizeof x);                                                                                      \
        *value = (int64_t)x;                                                                                           \
        return true;                                                                                                   \
    }
    switch (pair->type) {
        CASE(VALUE_U8, uint8_t)
        CASE(VALUE_I8, int8_t)
        CASE(VALUE_U16, uint16_t)
        CASE(VALUE_I16, int16_t)
        CASE(VALUE_U32, uint32_t)
        CASE(VALUE_I32, int32_t)
        CASE(VALUE_I64, int64_t)
    case VALUE_U64: {
        uint64_t x;
        memcpy(&x, at, sizeof x);
        *value = (int64_t)x;
        return x <= INT64_MAX;
    }
    default:
        return false;
    }
#undef CASE
}

static bool real_at(const Pair *pair, int64_t index, double *value) {
    const unsigned char *at = pair->data + (size_t)index * value_bytes[pair->type];
    if (pair->type == VALUE_F32) {
        float x;
        memcpy(&x, at, sizeof x);
        *value = (double)x;
        return true;
    }
    if (pair->type == VALUE_F64) {
        memcpy(value, at, sizeof *value);
        return true;
    }
    int64_t integer;
    if (!integer_at(pair, index, &integer)) {
        return false;
    }
    *value = (double)integer;
    return true;
}

bool gguf_get_integer(const Gguf *gguf, const char *key, int64_t *value) {
    const Pair *pair = pair_of(gguf, key, false);
    return pair != NULL && integer_at(pair, 0, value);
}

bool gguf_get_real(const Gguf *gguf, const char *key, double *value) {
    const Pair *pair = pair_of(gguf, key, false);
    return pair != NULL && real_at(pair, 0, value);
}

bool gguf_get_bool(const Gguf *gguf, const char *key, bool *value) {
    const Pair *pair = pair_of(gguf, key, false);
    if (pair == NULL || pair->type != VALUE_BOOL) {
        return false;
    }
    *value = pair->data[0] != 0;
    return true;
}

bool gguf_get_string(const Gguf *gguf, const char *key, const char **text, size_t *length) {
    const Pair *pair = pair_of(gguf, key, false);
    if (pair == NULL || pair->type != VALUE_STRING) {
        return false;
    }
    *text = (const char *)pair->data;
    *length = pair->length;
    return true;
}

bool gguf_get_array(const Gguf *gguf, const char *key, int64_t *count) {
    const Pair *pair = pair_of(gguf, key, true);
    if (pair == NULL) {
        return false;
    }
    *count = pair->count;
    return true;
}

static const Pair *array_pair(const Gguf *gguf, const char *key, int64_t index) {
    const Pair *pair = pair_of(gguf, key, true);
    return pair != NULL && index >= 0 && index < pair->count ? pair : NULL;
}

bool gguf_array_string(const Gguf *gguf, const char *key, int64_t index, const char **text, size_t *length) {
    const Pair *pair = array_pair(gguf, key, index);
    if (pair == NULL || pair->type != VALUE_STRING) {
        return false;
    }
    const unsigned char *at = pair->data + pair->offsets[index];
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    *text = (const char *)at + sizeof bytes;
    *length = (size_t)bytes;
    return true;
}

bool gguf_array_integer(const Gguf *gguf, const char *key, int64_t index, int64_t *value) {
    const Pair *pair = array_pair(gguf, key, index);
    return pair != NULL && integer_at(pair, index, value);
}

bool gguf_array_real(const Gguf *gguf, const char *key, int64_t index, double *value) {
    const Pair *pair = array_pair(gguf, key, index);
    return pair != NULL && real_at(pair, index, value);
}

int32_t gguf_key_count(const Gguf *gguf) {
    return gguf->n_pairs;
}

const char *gguf_key_at(const Gguf *gguf, int32_t index, size_t *length) {
    *length = gguf->pairs[index].key_length;
    return gguf->pairs[index].key;
}
