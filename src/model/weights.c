#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/amount.h"
#include "base/bytes.h"
#include "base/integers.h"
#include "base/map.h"
#include "files/file_notes.h"
#include "model/quantised.h"

/* How a tensor stores the rows of its weight. */
typedef struct RowOrder {
    int64_t d_head; /* heads this wide; 0: rows are stored as they are */
    int64_t groups; /* 0: rows of each head are rotary pairs; else the groups of a fused projection */
    int64_t share;  /* query heads of a group, which are followed by its key and its value head */
} RowOrder;

/* A tensor somebody asked for. */
typedef struct Request {
    const Tensor *tensor;
    Weight weight;
    void *copy; /* NULL: used where it lies */
    RowOrder order;
} Request;

struct WeightStore {
    const char *path;
    const TensorFiles *files;
    const Gguf *gguf;
    WeightOptions options;
    Request *requests;
    int32_t n_requests, request_capacity;
    Map by_name; /* tensor name -> index into requests */
    void **made; /* copies and made weights, freed at the end */
    int32_t n_made, made_capacity;
    size_t copy_bytes;
    const char **ignored, **ignored_prefixes;
    int32_t n_ignored, ignored_capacity;
    int32_t n_prefixes, prefix_capacity;
};

enum { COPY_ALIGNMENT = 64 };

limn_status weights_new(WeightStore **store, const char *path, const TensorFiles *files, const Gguf *gguf,
                        const WeightOptions *options) {
    *store = calloc(1, sizeof **store);
    if (*store == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory to list its tensors", path);
    }
    **store = (WeightStore){.path = path, .files = files, .gguf = gguf, .options = *options};
    map_init(&(*store)->by_name);
    return LIMN_OK;
}

void weights_free(WeightStore *store) {
    if (store == NULL) {
        return;
    }
    for (int32_t i = 0; i < store->n_made; i++) {
        free(store->made[i]);
    }
    free(store->made);
    free(store->requests);
    free(store->ignored);
    free(store->ignored_prefixes);
    map_free(&store->by_name);
    free(store);
}

/* Makes room for one more element. */
static limn_status grow(void **items, int32_t count, int32_t *capacity, size_t size) {
    if (count < *capacity) {
        return LIMN_OK;
    }
    int32_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = realloc(*items, (size_t)wanted * size);
    if (grown == NULL) {
        return fail(LIMN_NO_MEMORY, "list of %d tensors", wanted);
    }
    *items = grown;
    *capacity = wanted;
    return LIMN_OK;
}

static const Tensor *find(const WeightStore *store, const char *name) {
    return store->gguf != NULL ? gguf_tensor(store->gguf, name) : tensor_files_find(store->files, name);
}

static const char *path_of(const WeightStore *store, const Tensor *tensor) {
    return store->gguf != NULL ? store->path : tensor_files_path_of(store->files, tensor);
}

bool weights_has(const WeightStore *store, const char *name) {
    return find(store, name) != NULL;
}

static bool has_name(const void *store, const char *name) {
    return weights_has(store, name);
}

static bool is_float(DType dtype) {
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16 || dtype == DTYPE_F64 ||
           dtype_info(dtype)->block_elements > 1;
}

static limn_status check_tensor(const WeightStore *store, const Tensor *tensor, WeightUse use, int64_t rows,
                                int64_t columns) {
    bool vector = use == USE_VECTOR;
    bool good = vector             ? tensor->rank == 1 && tensor->shape[0] == rows
                : use == USE_STACK ? true /* checked by weights_get_stack */
                                   : tensor->rank == 2 && tensor->shape[0] == rows && tensor->shape[1] == columns;
    if (!good) {
        char found[96], expected[64];
        if (vector) {
            snprintf(expected, sizeof expected, "[%lld]", (long long)rows);
        } else {
            snprintf(expected, sizeof expected, "[%lld, %lld]", (long long)rows, (long long)columns);
        }
        return fail(LIMN_FORMAT, "%s: tensor %s is %s, expected %s", path_of(store, tensor), tensor->name,
                    tensor_shape_text(tensor, found), expected);
    }
    if (!is_float(tensor->dtype)) {
        return fail(LIMN_UNSUPPORTED, "%s: tensor %s holds %s, expected F32, F16, BF16 or a known quantised type",
                    path_of(store, tensor), tensor->name, dtype_info(tensor->dtype)->name);
    }
    return LIMN_OK;
}

/* The dtype the weight will have. */
static DType wanted_dtype(const WeightStore *store, const Tensor *tensor, WeightUse use) {
    if (use == USE_VECTOR) {
        return DTYPE_F32;
    }
    if (tensor->dtype == DTYPE_BF16) {
        return DTYPE_BF16;
    }
    if (use == USE_TABLE && tensor->dtype == DTYPE_F32) {
        return DTYPE_F32;
    }
    return store->options.bf16 ? DTYPE_BF16 : DTYPE_F32;
}

static limn_status allocate(WeightStore *store, void **memory, int64_t elements, DType dtype, const char *name) {
    size_t bytes;
    TRY(tensor_bytes(dtype, 1, &elements, &bytes));
    TRY(grow((void **)&store->made, store->n_made, &store->made_capacity, sizeof *store->made));
    size_t rounded = round_up_bytes(bytes, COPY_ALIGNMENT);
    *memory = rounded < bytes ? NULL : aligned_alloc(COPY_ALIGNMENT, rounded == 0 ? COPY_ALIGNMENT : rounded);
    if (*memory == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for %zu bytes of tensor %s", store->path, bytes, name);
    }
    store->made[store->n_made++] = *memory;
    store->copy_bytes += rounded;
    return LIMN_OK;
}

static limn_status request(Weight *weight, WeightStore *store, WeightUse use, int64_t rows, int64_t columns,
                           RowOrder order, const char *name) {
    *weight = (Weight){0};
    const Tensor *tensor = find(store, name);
    if (tensor == NULL) {
        char shape[64];
        snprintf(shape, sizeof shape, use == USE_VECTOR ? "[%lld]" : "[%lld, %lld]", (long long)rows,
                 (long long)columns);
        const char *packed = quantised_suffix(name, has_name, store);
        if (packed != NULL) {
            return fail(LIMN_UNSUPPORTED,
                        "%s: tensor %s is there only as its quantised \"%s\" (GPTQ, AWQ or the like), which is not "
                        "read; expected %s",
                        store->path, name, packed, shape);
        }
        return fail(LIMN_FORMAT, "%s: tensor %s is missing, expected %s", store->path, name, shape);
    }
    TRY(check_tensor(store, tensor, use, rows, columns));
    uint64_t known;
    if (map_get(&store->by_name, tensor->name, strlen(tensor->name), &known)) {
        *weight = store->requests[known].weight;
        return LIMN_OK;
    }
    TRY(grow((void **)&store->requests, store->n_requests, &store->request_capacity, sizeof *store->requests));
    Request *made = &store->requests[store->n_requests];
    *made = (Request){.tensor = tensor, .order = order};
    DType dtype = wanted_dtype(store, tensor, use);
    size_t alignment = dtype == DTYPE_F32 ? 4 : 2;
    const void *data = tensor->data;
    if (dtype != tensor->dtype || order.d_head != 0 || (uintptr_t)data % alignment != 0) {
        TRY(allocate(store, &made->copy, rows * columns, dtype, name));
        data = made->copy;
    }
    made->weight = (Weight){.name = tensor->name,
                            .dtype = dtype,
                            .rows = rows,
                            .columns = columns,
                            .row_stride = columns,
                            .column_stride = 1,
                            .data = data};
    *weight = made->weight;
    TRY(map_put(&store->by_name, tensor->name, strlen(tensor->name), (uint64_t)store->n_requests));
    store->n_requests++;
    return LIMN_OK;
}

limn_status weights_get(Weight *weight, WeightStore *store, WeightUse use, int64_t rows, int64_t columns,
                        const char *name) {
    return request(weight, store, use, rows, columns, (RowOrder){0}, name);
}

limn_status weights_get_paired(Weight *weight, WeightStore *store, WeightUse use, int64_t rows, int64_t columns,
                               int64_t d_head, const char *name) {
    return request(weight, store, use, rows, columns, (RowOrder){.d_head = d_head}, name);
}

limn_status weights_get_fused(Weight *weight, WeightStore *store, WeightUse use, int64_t groups, int64_t share,
                              int64_t d_head, int64_t columns, const char *name) {
    RowOrder order = {.d_head = d_head, .groups = groups, .share = share};
    return request(weight, store, use, groups * (share + 2) * d_head, columns, groups > 1 ? order : (RowOrder){0},
                   name);
}

limn_status weights_get_stack(Weight *weight, WeightStore *store, int64_t n, int64_t rows, int64_t columns,
                              const char *name) {
    const Tensor *tensor = find(store, name);
    bool good = tensor != NULL && tensor->rank == 3 && tensor->shape[0] == n && tensor->shape[1] == rows &&
                tensor->shape[2] == columns;
    if (!good) {
        char found[96];
        return fail(LIMN_FORMAT, "%s: tensor %s is %s, expected [%lld, %lld, %lld]",
                    tensor == NULL ? store->path : path_of(store, tensor), name,
                    tensor == NULL ? "missing" : tensor_shape_text(tensor, found), (long long)n, (long long)rows,
                    (long long)columns);
    }
    return weights_get(weight, store, USE_STACK, n * rows, columns, name);
}

limn_status weights_ignore(WeightStore *store, const char *suffix) {
    TRY(grow((void **)&store->ignored, store->n_ignored, &store->ignored_capacity, sizeof *store->ignored));
    store->ignored[store->n_ignored++] = suffix;
    return LIMN_OK;
}

limn_status weights_ignore_prefix(WeightStore *store, const char *prefix) {
    TRY(grow((void **)&store->ignored_prefixes, store->n_prefixes, &store->prefix_capacity,
             sizeof *store->ignored_prefixes));
    store->ignored_prefixes[store->n_prefixes++] = prefix;
    return LIMN_OK;
}

bool weights_same(const WeightStore *store, const char *one, const char *other) {
    const Tensor *a = find(store, one);
    const Tensor *b = find(store, other);
    return a != NULL && b != NULL && a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes &&
           memcmp(a->shape, b->shape, sizeof a->shape[0] * (size_t)a->rank) == 0 &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

/* Bytes the machine could still give; SIZE_MAX when it does not say. */
static size_t memory_available(void) {
    FILE *file = fopen("/proc/meminfo", "r");
    if (file == NULL) {
        return SIZE_MAX;
    }
    char line[128];
    size_t kib = SIZE_MAX / 1024;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %zu kB", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib * 1024;
}

/* all: every copy has its memory; before that the figure is only what was asked for so far. */
static limn_status check_memory(const WeightStore *store, bool all) {
    bool limited = store->options.memory_limit != 0;
    size_t limit = limited ? store->options.memory_limit : memory_available();
    if (store->copy_bytes <= limit) {
        return LIMN_OK;
    }
    char needed[AMOUNT_TEXT_MAX], found[AMOUNT_TEXT_MAX];
    return fail(LIMN_NO_MEMORY, "%s: its converted weights need %s%s of memory, and activations come on top; %s %s",
                store->path, all ? "" : "more than ", amount_needed(needed, store->copy_bytes),
                amount_allowed(found, limit), limited ? "are allowed" : "are free on this machine");
}

limn_status weights_make(Weight *weight, float **values, WeightStore *store, int64_t rows, int64_t columns,
                         const char *name) {
    void *memory;
    TRY(allocate(store, &memory, rows * columns, DTYPE_F32, name));
    if (store->options.memory_limit != 0) {
        TRY(check_memory(store, false));
    }
    memset(memory, 0, (size_t)(rows * columns) * sizeof(float));
    *values = memory;
    *weight = (Weight){.name = name,
                       .dtype = DTYPE_F32,
                       .rows = rows,
                       .columns = columns,
                       .row_stride = columns,
                       .column_stride = 1,
                       .data = memory};
    return LIMN_OK;
}

/* --- conversion --- */

/* Output rows [begin, end) of one request, or elements when its rows are not paired. */
typedef struct Piece {
    const Request *request;
    int64_t begin, end;
} Piece;

typedef struct Conversion {
    const WeightStore *store;
    const Piece *pieces;
} Conversion;

enum { PIECE_ELEMENTS = 1 << 20, BUFFER_ELEMENTS = 2048 };

static limn_status report_not_finite(const WeightStore *store, const Request *request, int64_t element) {
    int64_t row = element / request->weight.columns;
    return fail(LIMN_FORMAT, "%s: tensor %s holds a NaN or an infinity at [%lld, %lld], expected finite numbers",
                path_of(store, request->tensor), request->tensor->name, (long long)row,
                (long long)(element % request->weight.columns));
}

/* Elements [from, from + n) of the tensor to elements [to, to + n) of the copy. */
static limn_status convert_span(const WeightStore *store, const Request *request, int64_t from, int64_t to, int64_t n) {
    float buffer[BUFFER_ELEMENTS];
    for (int64_t done = 0; done < n; done += BUFFER_ELEMENTS) {
        int64_t count = n - done < BUFFER_ELEMENTS ? n - done : BUFFER_ELEMENTS;
        bool f32 = request->weight.dtype == DTYPE_F32;
        float *out = f32 ? (float *)request->copy + to + done : buffer;
        TRY(tensor_read_f32(out, request->tensor, from + done, count));
        int64_t bad = first_nonfinite(DTYPE_F32, out, count);
        if (bad >= 0) {
            return report_not_finite(store, request, from + done + bad);
        }
        for (int64_t i = 0; !f32 && i < count; i++) {
            ((uint16_t *)request->copy)[to + done + i] = f32_to_bf16(buffer[i]);
        }
    }
    return LIMN_OK;
}

/* Row r of the copy is pair member j of pair i of head h: stored at row h K + 2 i + j. */
static int64_t paired_row(int64_t row, int64_t d_head) {
    int64_t half = d_head / 2;
    int64_t within = row % d_head;
    return row - within + 2 * (within % half) + within / half;
}

/* Row r of the copy, which holds all query heads, then all key heads, then all value heads. */
static int64_t fused_row(int64_t row, const RowOrder *order) {
    int64_t head = row / order->d_head, queries = order->groups * order->share;
    int64_t group = head < queries ? head / order->share : (head - queries) % order->groups;
    int64_t place = head < queries ? head % order->share : order->share + (head - queries) / order->groups;
    return (group * (order->share + 2) + place) * order->d_head + row % order->d_head;
}

static int64_t stored_row(int64_t row, const RowOrder *order) {
    return order->groups != 0 ? fused_row(row, order) : paired_row(row, order->d_head);
}

static limn_status convert_pieces(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Conversion *conversion = context;
    for (int64_t p = begin; p < end; p++) {
        const Piece *piece = &conversion->pieces[p];
        const Request *request = piece->request;
        int64_t columns = request->weight.columns;
        if (request->order.d_head != 0) {
            for (int64_t row = piece->begin; row < piece->end; row++) {
                TRY(convert_span(conversion->store, request, stored_row(row, &request->order) * columns, row * columns,
                                 columns));
            }
        } else if (request->copy != NULL) {
            TRY(convert_span(conversion->store, request, piece->begin, piece->begin, piece->end - piece->begin));
        } else {
            size_t size = (size_t)dtype_info(request->weight.dtype)->block_bytes;
            const char *data = (const char *)request->weight.data + (size_t)piece->begin * size;
            int64_t bad = first_nonfinite(request->weight.dtype, data, piece->end - piece->begin);
            if (bad >= 0) {
                return report_not_finite(conversion->store, request, piece->begin + bad);
            }
        }
    }
    return LIMN_OK;
}

/* A file whose weights are used where they lie; a note says that those with these names were found finite before. */
typedef struct SeenFile {
    const char *path;
    struct stat state;
    uint64_t names;
    bool readable, finite;
} SeenFile;

typedef struct SeenFiles {
    SeenFile *items;
    int32_t n;
} SeenFiles;

enum { NOTE_BYTES = 32 };

static void note_kind(char kind[NOTE_BYTES], const SeenFile *file) {
    snprintf(kind, NOTE_BYTES, "-%016llx", (unsigned long long)file->names);
}

static SeenFile *seen_file(const SeenFiles *files, const char *path) {
    for (int32_t i = 0; i < files->n; i++) {
        if (strcmp(files->items[i].path, path) == 0) {
            return &files->items[i];
        }
    }
    return NULL;
}

/* The files of the weights that are not copied, and what is known of them. */
static limn_status list_seen_files(SeenFiles *files, const WeightStore *store) {
    for (int32_t i = 0; i < store->n_requests; i++) {
        const Request *request = &store->requests[i];
        if (request->copy != NULL) {
            continue;
        }
        const char *path = path_of(store, request->tensor);
        SeenFile *file = seen_file(files, path);
        if (file == NULL) {
            SeenFile *grown = realloc(files->items, (size_t)(files->n + 1) * sizeof *grown);
            if (grown == NULL) {
                return fail(LIMN_NO_MEMORY, "%s: list of weight files", store->path);
            }
            files->items = grown;
            file = &grown[files->n++];
            *file = (SeenFile){.path = path};
            file->readable = stat(path, &file->state) == 0;
        }
        uint64_t both[2] = {file->names, hash_bytes(request->tensor->name, strlen(request->tensor->name))};
        file->names = hash_bytes(both, sizeof both);
    }
    for (int32_t i = 0; i < files->n; i++) {
        char kind[NOTE_BYTES], text[16];
        SeenFile *file = &files->items[i];
        note_kind(kind, file);
        file->finite =
            file->readable && file_note_get(text, sizeof text, &file->state, kind) && strcmp(text, "finite\n") == 0;
    }
    return LIMN_OK;
}

static void remember_seen_files(const SeenFiles *files) {
    for (int32_t i = 0; i < files->n; i++) {
        const SeenFile *file = &files->items[i];
        if (file->readable && !file->finite) {
            char kind[NOTE_BYTES];
            note_kind(kind, file);
            file_note_put("finite\n", &file->state, kind);
        }
    }
}

static bool needs_work(const WeightStore *store, const SeenFiles *files, const Request *request) {
    return request->copy != NULL || !seen_file(files, path_of(store, request->tensor))->finite;
}

/* How many items (rows or elements) of a request make one piece. */
static int64_t piece_items(const Request *request) {
    int64_t rows = PIECE_ELEMENTS / request->weight.columns;
    return request->order.d_head == 0 ? PIECE_ELEMENTS : (rows > 0 ? rows : 1);
}

static int64_t request_items(const Request *request) {
    return request->order.d_head == 0 ? request->weight.rows * request->weight.columns : request->weight.rows;
}

static limn_status convert_all(const WeightStore *store, const Piece *pieces, int64_t n, Team *team) {
    enum { BATCH = 64 };
    for (int64_t begin = 0; begin < n; begin += BATCH) {
        Conversion conversion = {store, pieces + begin};
        int64_t count = n - begin < BATCH ? n - begin : BATCH;
        TRY(team_tick(team, "weights", begin, n));
        TRY(parallel_for(team, count, 1, convert_pieces, &conversion));
    }
    return LIMN_OK;
}

/* Pieces of all that must be converted or looked through; the caller frees them. */
static limn_status list_pieces(Piece **pieces, int64_t *n, const WeightStore *store, const SeenFiles *files) {
    int64_t most = 0;
    for (int32_t i = 0; i < store->n_requests; i++) {
        int64_t each = piece_items(&store->requests[i]);
        most += blocks_of(request_items(&store->requests[i]), each);
    }
    *n = 0;
    *pieces = calloc((size_t)most + 1, sizeof **pieces);
    if (*pieces == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for a list of %lld pieces", store->path, (long long)most);
    }
    for (int32_t i = 0; i < store->n_requests; i++) {
        const Request *request = &store->requests[i];
        int64_t items = request_items(request), each = piece_items(request);
        for (int64_t begin = 0; begin < items && needs_work(store, files, request); begin += each) {
            (*pieces)[(*n)++] = (Piece){request, begin, begin + each < items ? begin + each : items};
        }
    }
    return LIMN_OK;
}

limn_status weights_convert(WeightStore *store, Team *team) {
    SeenFiles files = {0};
    Piece *pieces = NULL;
    int64_t n = 0;
    limn_status status = check_memory(store, true);
    if (status == LIMN_OK) {
        status = list_seen_files(&files, store);
    }
    if (status == LIMN_OK) {
        status = list_pieces(&pieces, &n, store, &files);
    }
    if (status == LIMN_OK) {
        status = convert_all(store, pieces, n, team);
    }
    if (status == LIMN_OK) {
        remember_seen_files(&files);
    }
    free(pieces);
    free(files.items);
    return status;
}

bool weights_locate(WeightPlace *place, const WeightStore *store, const Weight *view) {
    for (int32_t i = 0; i < store->n_requests; i++) {
        const Weight *whole = &store->requests[i].weight;
        size_t size = (size_t)dtype_info(whole->dtype)->block_bytes;
        uintptr_t begin = (uintptr_t)whole->data, at = (uintptr_t)view->data;
        if (view->data == NULL || at < begin || at >= begin + (size_t)(whole->rows * whole->columns) * size) {
            continue;
        }
        bool transposed = view->row_stride != whole->row_stride;
        const RowOrder *order = &store->requests[i].order;
        *place = (WeightPlace){.tensor = store->requests[i].tensor,
                               .groups = order->groups,
                               .share = order->share,
                               .d_head = order->d_head,
                               .transposed = transposed,
                               .rows = transposed ? whole->columns : whole->rows,
                               .columns = transposed ? whole->rows : whole->columns,
                               .first_row = (int64_t)((at - begin) / size) / view->row_stride};
        return view->columns == place->columns;
    }
    return false;
}

int64_t weight_place_row(const WeightPlace *place, int64_t row) {
    const RowOrder order = {.d_head = place->d_head, .groups = place->groups, .share = place->share};
    return place->groups == 0 ? row : fused_row(row, &order);
}

/* --- what the file holds --- */

static bool is_ignored(const WeightStore *store, const Tensor *tensor) {
    for (int32_t i = 0; i < store->n_ignored; i++) {
        if (text_ends_with(tensor->name, store->ignored[i])) {
            return true;
        }
    }
    for (int32_t i = 0; i < store->n_prefixes; i++) {
        if (strncmp(tensor->name, store->ignored_prefixes[i], strlen(store->ignored_prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

limn_status weights_visit_leftovers(const WeightStore *store, limn_status (*visit)(void *context, const Tensor *tensor),
                                    void *context) {
    int32_t n = store->gguf != NULL ? gguf_tensor_count(store->gguf) : tensor_files_count(store->files);
    for (int32_t i = 0; i < n; i++) {
        const Tensor *tensor = store->gguf != NULL ? gguf_tensor_at(store->gguf, i) : tensor_files_at(store->files, i);
        uint64_t known;
        if (!map_get(&store->by_name, tensor->name, strlen(tensor->name), &known) && !is_ignored(store, tensor)) {
            TRY(visit(context, tensor));
        }
    }
    return LIMN_OK;
}

int64_t weights_parameters(const WeightStore *store) {
    int64_t sum = 0;
    for (int32_t i = 0; i < store->n_requests; i++) {
        sum += store->requests[i].weight.rows * store->requests[i].weight.columns;
    }
    return sum;
}

int64_t weights_copied_bytes(const WeightStore *store) {
    return (int64_t)store->copy_bytes;
}

int64_t weights_stored_bytes(const WeightStore *store) {
    int64_t sum = 0;
    for (int32_t i = 0; i < store->n_requests; i++) {
        sum += (int64_t)store->requests[i].tensor->bytes;
    }
    return sum;
}

DType weights_main_dtype(const WeightStore *store) {
    size_t bytes[DTYPE_COUNT] = {0};
    int best = DTYPE_F32;
    for (int32_t i = 0; i < store->n_requests; i++) {
        bytes[store->requests[i].tensor->dtype] += store->requests[i].tensor->bytes;
    }
    for (int i = 0; i < DTYPE_COUNT; i++) {
        best = bytes[i] > bytes[best] ? i : best;
    }
    return (DType)best;
}

/* --- views --- */

Weight weight_rows(const Weight *weight, int64_t begin, int64_t n) {
    Weight view = *weight;
    size_t size = (size_t)dtype_info(weight->dtype)->block_bytes;
    view.rows = n;
    if (weight->data != NULL) {
        view.data = (const char *)weight->data + (size_t)(begin * weight->row_stride) * size;
    }
    return view;
}

Weight weight_transposed(const Weight *weight) {
    Weight view = *weight;
    view.rows = weight->columns;
    view.columns = weight->rows;
    view.row_stride = weight->column_stride;
    view.column_stride = weight->row_stride;
    return view;
}

float weight_value(const Weight *weight, int64_t row, int64_t column) {
    int64_t at = row * weight->row_stride + column * weight->column_stride;
    return weight->dtype == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)weight->data)[at])
                                       : ((const float *)weight->data)[at];
}
