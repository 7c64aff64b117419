#include "backend/cpu/exact.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

enum { SAMPLES = 16 };

/* What is known of a weight, by where it lies and its shape. */
typedef struct Known {
    const void *data; /* NULL: an empty place */
    int64_t rows, columns, row_stride;
    bool exact;
} Known;

struct ExactWeights {
    pthread_mutex_t lock;
    Known *table; /* [capacity], open addressing */
    size_t capacity;
    size_t count;
};

limn_status exact_weights_new(ExactWeights **exact) {
    ExactWeights *made = calloc(1, sizeof *made);
    if (made == NULL || pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return fail(LIMN_NO_MEMORY, "no memory for what is known of the weights");
    }
    *exact = made;
    return LIMN_OK;
}

void exact_weights_free(ExactWeights *exact) {
    if (exact != NULL) {
        pthread_mutex_destroy(&exact->lock);
        free(exact->table);
        free(exact);
    }
}

static bool is_bf16(const Weight *weight, int64_t row, int64_t column) {
    uint32_t bits;
    int64_t index = row * weight->row_stride + column * weight->column_stride;
    memcpy(&bits, (const char *)weight->data + index * 4, sizeof bits);
    return (bits & 0xFFFFU) == 0;
}

/* A weight of other values is seen at once in a few places. */
static bool samples_are_bf16(const Weight *weight) {
    for (int64_t i = 0; i < SAMPLES; i++) {
        if (!is_bf16(weight, (weight->rows - 1) * i / (SAMPLES - 1),
                     (weight->columns - 1) * (i * 7 % SAMPLES) / SAMPLES)) {
            return false;
        }
    }
    return true;
}

typedef struct Scan {
    const Weight *weight;
    atomic_bool other; /* something that is no bf16 was found */
} Scan;

static limn_status scan_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    Scan *scan = context;
    const Weight *w = scan->weight;
    int64_t inner = w->column_stride == 1 ? w->columns : w->rows;
    int64_t stride = w->column_stride == 1 ? w->row_stride : w->column_stride;
    for (int64_t line = begin; line < end && !atomic_load_explicit(&scan->other, memory_order_relaxed); line++) {
        const char *at = (const char *)w->data + line * stride * 4;
        uint32_t any = 0;
        for (int64_t i = 0; i < inner; i++) {
            uint32_t bits;
            memcpy(&bits, at + i * 4, sizeof bits);
            any |= bits;
        }
        if ((any & 0xFFFFU) != 0) {
            atomic_store(&scan->other, true);
        }
    }
    return LIMN_OK;
}

static bool scan_weight(Team *team, const Weight *weight) {
    Scan scan = {.weight = weight};
    atomic_init(&scan.other, false);
    int64_t lines = weight->column_stride == 1 ? weight->rows : weight->columns;
    int64_t inner = weight->column_stride == 1 ? weight->columns : weight->rows;
    Team undisturbed = team_undisturbed(team); /* what is found serves later runs too */
    limn_status status = parallel_for(&undisturbed, lines, 1 + 65536 / (inner + 1), scan_body, &scan);
    return status == LIMN_OK && !atomic_load(&scan.other);
}

static Known *find_place(Known *table, size_t capacity, const Weight *weight) {
    uint64_t hash = hash_bytes(&weight->data, sizeof weight->data);
    for (size_t i = 0;; i++) {
        Known *place = &table[(hash + i) & (capacity - 1)];
        if (place->data == NULL || (place->data == weight->data && place->rows == weight->rows &&
                                    place->columns == weight->columns && place->row_stride == weight->row_stride)) {
            return place;
        }
    }
}

/* Room for one more at most half full; false when memory runs out. */
static bool make_room(ExactWeights *exact) {
    if (2 * (exact->count + 1) <= exact->capacity) {
        return true;
    }
    size_t capacity = exact->capacity == 0 ? 256 : 2 * exact->capacity;
    Known *table = calloc(capacity, sizeof *table);
    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; i < exact->capacity; i++) {
        const Known *old = &exact->table[i];
        if (old->data != NULL) {
            Weight weight = {
                .data = old->data, .rows = old->rows, .columns = old->columns, .row_stride = old->row_stride};
            *find_place(table, capacity, &weight) = *old;
        }
    }
    free(exact->table);
    exact->table = table;
    exact->capacity = capacity;
    return true;
}

bool exact_weights_has(ExactWeights *exact, Team *team, const Weight *weight) {
    if (weight->rows < 1 || weight->columns < 1 || !samples_are_bf16(weight)) {
        return false;
    }
    pthread_mutex_lock(&exact->lock);
    bool answer = false;
    if (make_room(exact)) {
        Known *place = find_place(exact->table, exact->capacity, weight);
        if (place->data == NULL) {
            *place =
                (Known){weight->data, weight->rows, weight->columns, weight->row_stride, scan_weight(team, weight)};
            exact->count++;
        }
        answer = place->exact;
    }
    pthread_mutex_unlock(&exact->lock);
    return answer;
}
