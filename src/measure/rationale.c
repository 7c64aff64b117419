#include "measure/rationale.h"

#include <math.h>
#include <stdlib.h>

#include "measure/faithfulness.h"

double f1_of(double precision, double recall) {
    return precision + recall > 0.0 ? 2.0 * precision * recall / (precision + recall) : 0.0;
}

static bool same_threshold(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

limn_status marked_curve(MarkedCurve *curve, const double *scores, const bool *marked, int32_t n) {
    int32_t *order = malloc(((size_t)n + 1) * sizeof *order), all = 0, found = 0;
    if (order == NULL) {
        return fail(LIMN_NO_MEMORY, "an order of %d words", (int)n);
    }
    for (int32_t i = 0; i < n; i++) {
        all += marked[i] ? 1 : 0;
    }
    order_by_score(order, scores, n);
    double recall = 0.0, precision = 1.0; /* nothing chosen */
    *curve = all > 0 ? (MarkedCurve){0} : (MarkedCurve){(double)NAN, (double)NAN};
    for (int32_t i = 0; i < n && all > 0; i++) {
        found += marked[order[i]] ? 1 : 0;
        if (i + 1 == n || !same_threshold(scores[order[i]], scores[order[i + 1]])) {
            double further = (double)found / all, now = (double)found / (i + 1);
            curve->area += (further - recall) * (now + precision) / 2.0;
            curve->average += (further - recall) * now;
            recall = further;
            precision = now;
        }
    }
    free(order);
    return LIMN_OK;
}

/* The run of true cells that begins at or behind `from`: [*begin, answer); no more: begin is n. */
static int32_t next_span(const bool *in, int32_t n, int32_t from, int32_t *begin) {
    while (from < n && !in[from]) {
        from++;
    }
    *begin = from;
    while (from < n && in[from]) {
        from++;
    }
    return from;
}

static bool hits(int32_t begin, int32_t end, const bool *marked, int32_t n) {
    int32_t first;
    for (int32_t to = next_span(marked, n, 0, &first); first < n; to = next_span(marked, n, to, &first)) {
        int32_t from = first > begin ? first : begin, until = to < end ? to : end;
        int32_t common = until > from ? until - from : 0;
        if (2 * common >= (end - begin) + (to - first) - common) {
            return true;
        }
    }
    return false;
}

MarkedAgreement marked_agreement(const bool *chosen, const bool *marked, int32_t n) {
    int32_t n_chosen = 0, n_marked = 0, both = 0, chosen_spans = 0, marked_spans = 0, hit = 0, first;
    for (int32_t i = 0; i < n; i++) {
        n_chosen += chosen[i] ? 1 : 0;
        n_marked += marked[i] ? 1 : 0;
        both += chosen[i] && marked[i] ? 1 : 0;
        marked_spans += marked[i] && (i == 0 || !marked[i - 1]) ? 1 : 0;
    }
    for (int32_t to = next_span(chosen, n, 0, &first); first < n; to = next_span(chosen, n, to, &first)) {
        chosen_spans++;
        hit += hits(first, to, marked, n) ? 1 : 0;
    }
    double precision = n_chosen > 0 ? (double)both / n_chosen : 0.0,
           recall = n_marked > 0 ? (double)both / n_marked : 0;
    return (MarkedAgreement){.token_f1 = f1_of(precision, recall),
                             .span_precision = chosen_spans > 0 ? (double)hit / chosen_spans : 0.0,
                             .span_recall = marked_spans > 0 ? (double)hit / marked_spans : 0.0};
}
