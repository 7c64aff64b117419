/* What seeds compute, said once for all backends; the loops over wide rows are theirs.
 *
 * The kinds about targets are functions of two numbers: A, the log-sum-exp of the targets, and B, that of the others.
 * With p = 1 / (1 + exp(B - A)): log p = -log(1 + exp(B - A)), log p / (1 - p) = A - B. Nothing is lost where p is
 * close to 0 or 1, since 1 - p is never formed by subtraction; and dF/dx is dF/dA times the softmax of the targets,
 * dF/dB times that of the others. */
#include "backend/seed.h"

#include <math.h>
#include <string.h>

const SeedInfo *seed_info(SeedKind kind) {
    static const SeedInfo rows[] = {
#define SEED(name, text, needs, help) {text, SEED_NEEDS_##needs, help},
#include "backend/seeds.def"
#undef SEED
    };
    return &rows[kind];
}

typedef struct Ids {
    const int32_t *ids; /* [n] */
    int32_t n;
} Ids;

/* sum of exp(x - largest) over some elements; sum 0: there were none */
typedef struct LogSum {
    double largest;
    double sum;
} LogSum;

static LogSum no_sum(void) {
    return (LogSum){-INFINITY, 0.0};
}

static void join(LogSum *all, double largest, double sum) {
    if (sum == 0.0) {
        return;
    }
    if (all->sum == 0.0) {
        *all = (LogSum){largest, sum};
    } else if (largest > all->largest) {
        *all = (LogSum){largest, all->sum * exp(all->largest - largest) + sum};
    } else {
        all->sum += sum * exp(largest - all->largest);
    }
}

static double log_of(const LogSum *all) {
    return all->sum == 0.0 ? -INFINITY : all->largest + log(all->sum);
}

/* ---- ids ---- */

static limn_status find_ids(const SeedRow *row, const IdSets *sets, Ids *ids) {
    *ids = (Ids){sets->ids, sets->n};
    if (sets->ids == NULL) {
        *ids = (Ids){&row->target, row->target >= 0 ? 1 : 0};
    } else if (sets->begin != NULL) {
        int32_t begin = sets->begin[row->output];
        *ids = (Ids){sets->ids + begin, sets->begin[row->output + 1] - begin};
    }
    for (int32_t i = 0; i < ids->n; i++) {
        if (ids->ids[i] < 0 || ids->ids[i] >= row->width) {
            return fail(LIMN_RANGE, "target id %d is outside 0..%lld", ids->ids[i], (long long)row->width - 1);
        }
        if (i > 0 && ids->ids[i] <= ids->ids[i - 1]) {
            return fail(LIMN_USAGE, "target id %d follows %d; expected increasing ids, none twice", ids->ids[i],
                        ids->ids[i - 1]);
        }
    }
    return LIMN_OK;
}

static LogSum sum_ids(const SeedRow *row, const Ids *ids) {
    LogSum all = no_sum();
    for (int32_t i = 0; i < ids->n; i++) {
        join(&all, (double)row->x[ids->ids[i]], 1.0);
    }
    return all;
}

/* The elements that are no targets, stretch by stretch: [*from, *to); false when there is none left. */
static bool next_stretch(const SeedRow *row, const Ids *ids, int32_t *which, int64_t *from, int64_t *to) {
    for (; *which <= ids->n; ++*which) {
        *from = *which == 0 ? 0 : (int64_t)ids->ids[*which - 1] + 1;
        *to = *which == ids->n ? row->width : ids->ids[*which];
        if (*from < *to) {
            ++*which;
            return true;
        }
    }
    return false;
}

static LogSum sum_others(const SeedRow *row, const Ids *ids) {
    LogSum all = no_sum();
    int64_t from, to;
    for (int32_t which = 0; next_stretch(row, ids, &which, &from, &to);) {
        double sum;
        double largest = (double)row->loops->exp_sum(row->x + from, to - from, &sum);
        join(&all, largest, sum);
    }
    return all;
}

/* The largest of the others, of equals the first; a NaN counts as the largest. -1: there is none. */
static int64_t best_other(const SeedRow *row, const Ids *ids) {
    int64_t best = -1, from, to;
    for (int32_t which = 0; next_stretch(row, ids, &which, &from, &to);) {
        for (int64_t i = from; i < to; i++) {
            bool larger = best < 0 || row->x[i] > row->x[best] || (isnan(row->x[i]) && !isnan(row->x[best]));
            best = larger ? i : best;
        }
    }
    return best;
}

/* ---- what the targets say ---- */

/* F, and its derivatives by A and B. */
typedef struct Judgement {
    double value;
    double by_targets;
    double by_others;
} Judgement;

/* log (1 / (1 + exp(-d))) */
static double log_sigmoid(double d) {
    return d > 0.0 ? -log1p(exp(-d)) : d - log1p(exp(d));
}

static Judgement judge_sums(SeedKind kind, const LogSum *targets, const LogSum *others) {
    double a = log_of(targets);
    double lead = a - log_of(others);
    double rest = exp(log_sigmoid(-lead)); /* 1 - p */
    double p = exp(log_sigmoid(lead));
    switch (kind) {
    case SEED_LOG_PROB:
        return (Judgement){log_sigmoid(lead), rest, -rest};
    case SEED_PROB:
        return (Judgement){p, p * rest, -p * rest};
    case SEED_LOG_ODDS:
        return (Judgement){lead, 1.0, -1.0};
    default:
        return (Judgement){a, 1.0, 0.0};
    }
}

/* gradient (+)= factor * softmax over the ids */
static void add_ids(const SeedRow *row, const Ids *ids, double factor, float *gradient, bool add) {
    LogSum all = sum_ids(row, ids);
    for (int32_t i = 0; i < ids->n; i++) {
        int32_t id = ids->ids[i];
        double share = factor * exp((double)row->x[id] - all.largest) / all.sum;
        gradient[id] = add ? (float)((double)gradient[id] + share) : (float)share;
    }
}

static void clear(float *gradient, int64_t width, bool add) {
    if (!add) {
        memset(gradient, 0, sizeof(float) * (size_t)width);
    }
}

static limn_status find_contrasts(const SeedRow *row, Ids *contrasts) {
    TRY(find_ids(row, &row->seed->contrasts, contrasts));
    return contrasts->n > 0 ? LIMN_OK : fail(LIMN_USAGE, "output row %d has a target and no contrast", row->output);
}

static limn_status targets_value(const SeedRow *row, double *value) {
    Ids targets, contrasts;
    TRY(find_ids(row, &row->seed->targets, &targets));
    *value = 0.0;
    if (targets.n == 0) {
        return LIMN_OK;
    }
    LogSum sum = sum_ids(row, &targets);
    if (row->seed->kind == SEED_DIFFERENCE) {
        TRY(find_contrasts(row, &contrasts));
        LogSum against = sum_ids(row, &contrasts);
        *value = log_of(&sum) - log_of(&against);
    } else if (row->seed->kind == SEED_LEAD) {
        int64_t best = best_other(row, &targets);
        *value = log_of(&sum) - (best < 0 ? -(double)INFINITY : (double)row->x[best]);
    } else {
        LogSum others = row->seed->kind == SEED_LOGIT ? no_sum() : sum_others(row, &targets);
        *value = judge_sums(row->seed->kind, &sum, &others).value;
    }
    return LIMN_OK;
}

/* All of the gradient: the targets' share where they are, the others' between them. */
static void sums_gradient(const SeedRow *row, const Ids *targets, double factor, float *gradient, bool add) {
    LogSum sum = sum_ids(row, targets);
    LogSum others = sum_others(row, targets);
    Judgement judgement = judge_sums(row->seed->kind, &sum, &others);
    int64_t from, to;
    for (int32_t which = 0; next_stretch(row, targets, &which, &from, &to);) {
        row->loops->softmax(gradient + from, row->x + from, to - from, (float)others.largest,
                            factor * judgement.by_others / others.sum, add);
    }
    add_ids(row, targets, factor * judgement.by_targets, gradient, add);
}

static limn_status targets_gradient(const SeedRow *row, double factor, float *gradient, bool add) {
    Ids targets, contrasts;
    TRY(find_ids(row, &row->seed->targets, &targets));
    SeedKind kind = row->seed->kind;
    if (targets.n > 0 && (kind == SEED_LOG_PROB || kind == SEED_PROB || kind == SEED_LOG_ODDS)) {
        sums_gradient(row, &targets, factor, gradient, add);
        return LIMN_OK;
    }
    clear(gradient, row->width, add);
    if (targets.n == 0) {
        return LIMN_OK;
    }
    add_ids(row, &targets, factor, gradient, true);
    if (kind == SEED_DIFFERENCE) {
        TRY(find_contrasts(row, &contrasts));
        add_ids(row, &contrasts, -factor, gradient, true);
    } else if (kind == SEED_LEAD) {
        int64_t best = best_other(row, &targets);
        if (best >= 0) {
            gradient[best] -= (float)factor;
        }
    }
    return LIMN_OK;
}

/* ---- distributions ---- */

static LogSum sum_all(const SeedRow *row, const float *x) {
    LogSum all;
    all.largest = (double)row->loops->exp_sum(x, row->width, &all.sum);
    return all;
}

static const float *values_of(const SeedRow *row) {
    return row->seed->values + row->output * row->seed->row_stride;
}

/* The mean under softmax(a) of x - y (y NULL: of x less its largest). */
static double mean_difference(const SeedRow *row, const float *a, const LogSum *sum, const float *x, const float *y) {
    return row->loops->cross(a, x, y, row->width, (float)sum->largest) / sum->sum;
}

static double distribution_value(const SeedRow *row) {
    LogSum p = sum_all(row, row->x);
    if (row->seed->kind == SEED_ENTROPY) {
        return log(p.sum) - mean_difference(row, row->x, &p, row->x, NULL);
    }
    const float *reference = values_of(row);
    LogSum q = sum_all(row, reference);
    double shift = log_of(&p) - log_of(&q);
    return row->seed->kind == SEED_KL ? mean_difference(row, reference, &q, reference, row->x) + shift
                                      : mean_difference(row, row->x, &p, row->x, reference) - shift;
}

static void distribution_gradient(const SeedRow *row, double factor, float *gradient, bool add) {
    const SeedLoops *loops = row->loops;
    LogSum p = sum_all(row, row->x);
    if (row->seed->kind == SEED_KL) {
        const float *reference = values_of(row);
        LogSum q = sum_all(row, reference);
        loops->softmax(gradient, row->x, row->width, (float)p.largest, factor / p.sum, add);
        loops->softmax(gradient, reference, row->width, (float)q.largest, -factor / q.sum, true);
        return;
    }
    bool entropy = row->seed->kind == SEED_ENTROPY;
    const float *reference = entropy ? NULL : values_of(row);
    double mean = mean_difference(row, row->x, &p, row->x, reference);
    loops->cross_gradient(gradient, row->x, row->x, reference, row->width, (float)p.largest,
                          (entropy ? -factor : factor) / p.sum, mean, add);
}

/* ---- the rest ---- */

static double linear_value(const SeedRow *row) {
    const float *v = values_of(row);
    double sum = 0.0;
    for (int64_t i = 0; i < row->width; i++) {
        sum += v[i] != 0.0F ? (double)v[i] * (double)row->x[i] : 0.0; /* scores hold -inf where nothing is seen */
    }
    return sum;
}

/* gradient (+)= factor * v */
static void put_times(double factor, const float *v, int64_t width, float *gradient, bool add) {
    for (int64_t i = 0; i < width; i++) {
        double share = factor * (double)v[i];
        gradient[i] = add ? (float)((double)gradient[i] + share) : (float)share;
    }
}

static limn_status callback_gradient(const SeedRow *row, double factor, float *gradient, bool add) {
    double value;
    TRY(row->seed->function(row->seed->context, row->output, row->x, row->width, &value, row->scratch));
    put_times(factor, row->scratch, row->width, gradient, add);
    return LIMN_OK;
}

limn_status seed_value(const SeedRow *row, double *value) {
    switch (row->seed->kind) {
    case SEED_KL:
    case SEED_REVERSE_KL:
    case SEED_ENTROPY:
        *value = distribution_value(row);
        return LIMN_OK;
    case SEED_LINEAR:
        *value = linear_value(row);
        return LIMN_OK;
    case SEED_CALLBACK:
        return row->seed->function(row->seed->context, row->output, row->x, row->width, value, NULL);
    default:
        return targets_value(row, value);
    }
}

limn_status seed_gradient(const SeedRow *row, double factor, float *gradient, bool add) {
    switch (row->seed->kind) {
    case SEED_KL:
    case SEED_REVERSE_KL:
    case SEED_ENTROPY:
        distribution_gradient(row, factor, gradient, add);
        return LIMN_OK;
    case SEED_LINEAR:
        put_times(factor, values_of(row), row->width, gradient, add);
        return LIMN_OK;
    case SEED_CALLBACK:
        return callback_gradient(row, factor, gradient, add);
    default:
        return targets_gradient(row, factor, gradient, add);
    }
}
