#include "measure/sample.h"

#include <math.h>

#include "measure/distribution.h"

typedef struct Candidate {
    float logit;
    int32_t id;
} Candidate;

/* Whether a comes before b: likelier, of equals the lower id. */
static bool before(Candidate a, Candidate b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/* Lets what stands at `at` of a heap [n] sink to its place. */
static void sink(Candidate *heap, int32_t n, int32_t at) {
    Candidate moved = heap[at];
    for (int32_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && before(heap[child + 1], heap[child]);
        if (!before(heap[child], moved)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* The first of the heap goes to its end, behind the n - 1 that stay. */
static Candidate take_first(Candidate *heap, int32_t n) {
    Candidate first = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = first;
    sink(heap, n - 1, 0);
    return first;
}

/* heap: [n]; its tail comes to hold those taken, in their order from the end. */
static int32_t draw(Candidate *heap, int32_t n, const SampleOptions *options, Random *random) {
    double largest = (double)heap[0].logit;
    double total = 0.0;
    for (int32_t i = 0; i < n; i++) {
        total += exp(((double)heap[i].logit - largest) / options->temperature);
    }
    double unit = random_unit(random);
    double kept = 0.0;
    int32_t n_kept = 0;
    bool whole = options->top_p >= 1.0; /* what is kept is known before anything is taken */
    double until = whole ? unit * total : options->top_p * total;
    while (n_kept < n && (n_kept == 0 || (whole ? kept <= until : kept < until))) {
        kept += exp(((double)take_first(heap, n - n_kept).logit - largest) / options->temperature);
        n_kept++;
    }
    if (whole) {
        return heap[n - n_kept].id;
    }
    double left = unit * kept;
    int32_t at = 0;
    for (; at < n_kept - 1; at++) {
        left -= exp(((double)heap[n - 1 - at].logit - largest) / options->temperature);
        if (left < 0) {
            break;
        }
    }
    return heap[n - 1 - at].id;
}

limn_status sample_token(int32_t *id, const float *logits, int32_t n, const SampleOptions *options, Random *random,
                         Arena *scratch) {
    if (options->temperature <= 0) {
        *id = logit_argmax(logits, n);
        return LIMN_OK;
    }
    Candidate *heap = ARENA_ARRAY(scratch, Candidate, n);
    if (heap == NULL) {
        return fail(LIMN_NO_MEMORY, "out of memory for the draw of a token");
    }
    for (int32_t i = 0; i < n; i++) {
        heap[i] = (Candidate){logits[i], i};
    }
    for (int32_t i = n / 2 - 1; i >= 0; i--) {
        sink(heap, n, i);
    }
    *id = draw(heap, n, options, random);
    return LIMN_OK;
}
