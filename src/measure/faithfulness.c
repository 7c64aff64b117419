#include "measure/faithfulness.h"

#include <math.h>
#include <stdlib.h>

double infidelity_of(const double *predicted, const double *actual, int64_t n, bool normalised) {
    double both = 0.0, square = 0.0, sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        both += predicted[i] * actual[i];
        square += predicted[i] * predicted[i];
    }
    double scale = !normalised ? 1.0 : square > 0.0 ? both / square : 0.0;
    for (int64_t i = 0; i < n; i++) {
        double off = scale * predicted[i] - actual[i];
        sum += off * off;
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

double sensitivity_of(const double *scores, const double *version, int64_t n) {
    double apart = 0.0, size = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (!isnan(scores[i]) && !isnan(version[i])) {
            apart += (version[i] - scores[i]) * (version[i] - scores[i]);
            size += scores[i] * scores[i];
        }
    }
    return size > 0.0 ? sqrt(apart / size) : (double)NAN;
}

static bool comes_before(const double *scores, int32_t a, int32_t b) {
    if (isnan(scores[a]) || isnan(scores[b])) {
        return !isnan(scores[a]);
    }
    return scores[a] > scores[b];
}

void order_by_score(int32_t *order, const double *scores, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        int32_t at = i;
        for (; at > 0 && comes_before(scores, i, order[at - 1]); at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
}

static limn_status new_order(int32_t **order, const double *scores, int32_t n) {
    *order = malloc(((size_t)n + 1) * sizeof **order);
    if (*order == NULL) {
        return fail(LIMN_NO_MEMORY, "an order of %d words", (int)n);
    }
    order_by_score(*order, scores, n);
    return LIMN_OK;
}

limn_status top_overlap(double *share, const double *a, const double *b, int32_t n, int32_t k) {
    int32_t *first, *second, common = 0;
    TRY(new_order(&first, a, n));
    limn_status status = new_order(&second, b, n);
    if (status == LIMN_OK) {
        k = k < n ? k : n;
        for (int32_t i = 0; i < k; i++) {
            for (int32_t j = 0; j < k; j++) {
                common += first[i] == second[j] ? 1 : 0;
            }
        }
        *share = k > 0 ? (double)common / k : (double)NAN;
        free(second);
    }
    free(first);
    return status;
}
