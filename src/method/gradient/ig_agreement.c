/* Whether baselines agree: which word each of them names first, and how far a word's scores lie apart. */
#include <math.h>

#include "method/gradient/ig.h"

/* Of tokens [begin, end) from one baseline; NaN: all are fixed. */
static double sum_from(const IgWork *work, int32_t which, int32_t begin, int32_t end) {
    const IgPath *path = &work->path;
    double sum = 0.0;
    bool any = false;
    for (int32_t t = begin; t < end && t < path->n_tokens; t++) {
        for (int32_t c = 0; c < path->n_parts && !path->fixed[t]; c++) {
            sum += work->integrals[which].attribution[(int64_t)c * path->n_tokens + t];
            any = true;
        }
    }
    return any ? sum : (double)NAN;
}

double ig_group_spread(const IgWork *work, int32_t begin, int32_t end) {
    double sum = 0.0, squares = 0.0;
    for (int32_t b = 0; b < work->n_baselines; b++) {
        double value = sum_from(work, b, begin, end);
        sum += value;
        squares += value * value;
    }
    double mean = sum / work->n_baselines, variance = squares / work->n_baselines - mean * mean;
    return work->n_baselines < 2 || isnan(mean) ? (double)NAN : sqrt(fmax(variance, 0.0));
}

int32_t ig_first_word(const IgWork *work, int32_t which) {
    double sign = work->metric == ANSWER_NLL ? -1.0 : 1.0, most = 0.0;
    int32_t first = -1;
    for (int32_t w = 0; w < work->words.n; w++) {
        double score = sign * sum_from(work, which, work->words.begins[w], work->words.begins[w + 1]);
        if (score > most) {
            most = score;
            first = w;
        }
    }
    return first;
}

int32_t ig_baselines_agreeing(const IgWork *work, int32_t word) {
    int32_t n = 0;
    for (int32_t b = 0; b < work->n_baselines; b++) {
        n += ig_first_word(work, b) == word;
    }
    return n;
}
