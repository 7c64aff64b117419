/* What is measured of a record: units one by one, pairs, more and more of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/random.h"
#include "method/causal/ablate.h"

enum { PLAIN_CELLS = 3, CURVES = 2 + RANDOM_ORDERS };

/* Of --pairs or --curve, which nobody need have given. */
static int64_t joint_size(int64_t given) {
    return given == PARAM_NO_INTEGER ? 0 : given;
}

static int64_t cells_of(const Ablate *ablate) {
    return (int64_t)ablate->n_layers * ablate->n_columns;
}

/* ---- one by one ---- */

typedef struct Ranked {
    int32_t cell;
    double value;
} Ranked;

static int by_value(const void *left, const void *right) {
    const Ranked *a = left, *b = right;
    return a->value < b->value ? -1 : a->value > b->value ? 1 : a->cell - b->cell;
}

/* Wanted cells, the smallest value first; in the arena. */
static limn_status rank_cells(const Ablate *ablate, Arena *arena, const double *values, bool by_size, int32_t **order,
                              int32_t *n) {
    Ranked *ranked = malloc(((size_t)cells_of(ablate) + 1) * sizeof *ranked);
    *order = ARENA_ARRAY(arena, int32_t, cells_of(ablate) + 1);
    *n = 0;
    if (ranked == NULL || *order == NULL) {
        free(ranked);
        return method_no_memory(ablate->call);
    }
    for (int32_t cell = 0; cell < cells_of(ablate); cell++) {
        if (ablate->wanted[cell] && !isnan(values[cell])) {
            ranked[(*n)++] = (Ranked){cell, by_size ? -fabs(values[cell]) : values[cell]};
        }
    }
    qsort(ranked, (size_t)*n, sizeof *ranked, by_value);
    for (int32_t i = 0; i < *n; i++) {
        (*order)[i] = ranked[i].cell;
    }
    free(ranked);
    return LIMN_OK;
}

/* Neurons are too many to take out one by one: those that one backward pass calls strongest are. */
static limn_status choose_cells(const AblateRecord *record, const double *estimates, int32_t **cells, int32_t *n) {
    const Ablate *ablate = record->ablate;
    double *values = ARENA_ARRAY(record->call.arena, double, cells_of(ablate) + 1);
    if (values == NULL) {
        return method_no_memory(&record->call);
    }
    for (int64_t i = 0; i < cells_of(ablate); i++) {
        values[i] = ablate->what == ABLATE_NEURON ? estimates[i] : (double)-i; /* as they stand */
    }
    TRY(rank_cells(ablate, record->call.arena, values, true, cells, n));
    for (int32_t i = 0; i < *n / 2 && ablate->what != ABLATE_NEURON; i++) {
        int32_t cell = (*cells)[i];
        (*cells)[i] = (*cells)[*n - 1 - i];
        (*cells)[*n - 1 - i] = cell;
    }
    *n = ablate->what == ABLATE_NEURON ? (int32_t)smaller(*n, ablate->params->top) : *n;
    return LIMN_OK;
}

/* The strongest and the last one again, in passes that share nothing. */
static limn_status check_plain(AblateRecord *record, const int32_t *cells, int32_t n, const double *after) {
    Ablate *ablate = record->ablate;
    int32_t strongest = 0;
    for (int32_t i = 1; i < n; i++) {
        strongest = fabs(after[i] - record->before) > fabs(after[strongest] - record->before) ? i : strongest;
    }
    for (int32_t k = 0; k < PLAIN_CELLS && n > 0; k++) {
        int32_t i = k == 0 ? strongest : k == 1 ? n - 1 : n / 2;
        double full;
        TRY(ablate_plain(record, cells[i], &full));
        double error = fabs(full - after[i]) / fmax(1.0, fabs(full));
        ablate->plain_error = isnan(ablate->plain_error) ? error : fmax(ablate->plain_error, error);
    }
    return LIMN_OK;
}

limn_status ablate_singles(AblateRecord *record) {
    Ablate *ablate = record->ablate;
    Arena *arena = record->call.arena;
    double *estimates = ARENA_ARRAY(arena, double, cells_of(ablate) + 1);
    double *after = ARENA_ARRAY(arena, double, cells_of(ablate) + 1);
    int32_t *begins = ARENA_ARRAY(arena, int32_t, cells_of(ablate) + 2);
    if (estimates == NULL || after == NULL || begins == NULL) {
        return method_no_memory(&record->call);
    }
    ablate->estimated = record->outcome.metric != OUTCOME_KL; /* whose gradient at its least is 0 */
    TRY(ablate->estimated ? ablate_estimate(record, estimates) : LIMN_OK);
    int32_t *cells, n;
    TRY(choose_cells(record, estimates, &cells, &n));
    for (int32_t i = 0; i <= n; i++) {
        begins[i] = i;
    }
    TRY(ablate_sets(record, cells, begins, n, after));
    bool first = ablate->n_records == 0;
    for (int64_t i = 0; i < cells_of(ablate); i++) {
        ablate->effects[i] = first ? (double)NAN : ablate->effects[i];
        ablate->estimates[i] += estimates[i];
    }
    for (int32_t i = 0; i < n; i++) {
        double effect = after[i] - record->before;
        ablate->effects[cells[i]] = (first ? 0.0 : ablate->effects[cells[i]]) + effect;
        ablate->squares[cells[i]] += effect * effect;
    }
    TRY(first ? check_plain(record, cells, n, after) : LIMN_OK);
    ablate->before += record->before;
    ablate->n_records++;
    return LIMN_OK;
}

/* The first cells stand for those that pairs and curves are made of, which nobody knows yet: from the lowest layers up,
 * so that they cost most. */
static void add_joint_sets(const Ablate *ablate, const int32_t *cells, int32_t n, int32_t *sets, int32_t *begins,
                           int32_t *n_sets) {
    int32_t pairs = (int32_t)smaller(joint_size(ablate->params->pairs), n);
    int32_t curve = (int32_t)smaller(joint_size(ablate->params->curve), n), end = begins[*n_sets];
    for (int32_t a = 0; a < pairs; a++) {
        for (int32_t b = a; b < pairs; b++) {
            sets[end++] = cells[a];
            sets[end] = cells[b];
            end += b > a ? 1 : 0;
            begins[++*n_sets] = end;
        }
    }
    for (int32_t k = 0; k < CURVES; k++) {
        for (int32_t count = 1; count <= curve; count++) {
            memcpy(sets + end, cells, (size_t)count * sizeof *cells);
            end += count;
            begins[++*n_sets] = end;
        }
    }
}

limn_status ablate_cost(AblateRecord *record) {
    const Ablate *ablate = record->ablate;
    Arena *arena = record->call.arena;
    int32_t *cells, n, n_sets;
    double *estimates = ARENA_ARRAY(arena, double, cells_of(ablate) + 1);
    if (estimates == NULL) {
        return method_no_memory(&record->call);
    }
    TRY(ablate->what == ABLATE_NEURON ? ablate_estimate(record, estimates) : LIMN_OK);
    TRY(choose_cells(record, estimates, &cells, &n));
    int64_t pairs = joint_size(ablate->params->pairs), curve = joint_size(ablate->params->curve);
    int64_t most = n + pairs * (pairs + 1) + CURVES * curve * (curve + 1) / 2;
    int32_t *sets = ARENA_ARRAY(arena, int32_t, most + 1), *begins = ARENA_ARRAY(arena, int32_t, most + 2);
    if (sets == NULL || begins == NULL) {
        return method_no_memory(&record->call);
    }
    memcpy(sets, cells, (size_t)n * sizeof *sets);
    for (int32_t i = 0; i <= n; i++) {
        begins[i] = i;
    }
    n_sets = n;
    add_joint_sets(ablate, cells, n, sets, begins, &n_sets);
    return ablate_sets(record, sets, begins, n_sets, NULL);
}

/* ---- several ---- */

limn_status ablate_rank(Ablate *ablate) {
    const AblateParams *params = ablate->params;
    Arena *arena = ablate->call->arena;
    TRY(rank_cells(ablate, arena, ablate->effects, false, &ablate->ranked, &ablate->n_ranked));
    ablate->n_paired = (int32_t)smaller(joint_size(params->pairs), ablate->n_ranked);
    ablate->n_curve = (int32_t)smaller(joint_size(params->curve), ablate->n_ranked);
    ablate->pairs = ARENA_ARRAY(arena, double, (int64_t)ablate->n_paired * ablate->n_paired + 1);
    ablate->curves = ARENA_ARRAY(arena, double, CURVES *(int64_t)(ablate->n_curve + 1) + 1);
    return ablate->pairs != NULL && ablate->curves != NULL ? LIMN_OK : method_no_memory(ablate->call);
}

/* The cells of largest effect, whichever its sign, of which pairs are made. */
limn_status ablate_strongest(const Ablate *ablate, Arena *arena, int32_t **order, int32_t *n) {
    return rank_cells(ablate, arena, ablate->effects, true, order, n);
}

static limn_status measure_pairs(AblateRecord *record, const int32_t *order) {
    Ablate *ablate = record->ablate;
    Arena *arena = record->call.arena;
    int32_t m = ablate->n_paired, n = 0;
    int64_t sets = (int64_t)m * (m + 1) / 2;
    int32_t *cells = ARENA_ARRAY(arena, int32_t, 2 * sets + 1), *begins = ARENA_ARRAY(arena, int32_t, sets + 2);
    double *after = ARENA_ARRAY(arena, double, sets + 1);
    if (cells == NULL || begins == NULL || after == NULL) {
        return method_no_memory(&record->call);
    }
    int32_t count = 0;
    for (int32_t a = 0; a < m; a++) {
        for (int32_t b = a; b < m; b++) {
            cells[n++] = order[a];
            if (b > a) {
                cells[n++] = order[b];
            }
            begins[++count] = n;
        }
    }
    TRY(ablate_sets(record, cells, begins, count, after));
    int32_t *alone = ARENA_ARRAY(arena, int32_t, m + 1); /* where each stands by itself */
    if (alone == NULL) {
        return method_no_memory(&record->call);
    }
    for (int32_t a = 0, set = 0; a < m; set += m - a, a++) {
        alone[a] = set;
    }
    for (int32_t a = 0, set = 0; a < m; a++) {
        for (int32_t b = a; b < m; b++, set++) {
            double more = b == a ? (double)NAN : after[set] - after[alone[a]] - after[alone[b]] + record->before;
            ablate->pairs[a * m + b] += more;
            ablate->pairs[b * m + a] = ablate->pairs[a * m + b];
        }
    }
    return LIMN_OK;
}

/* The first n_curve cells of an order, one more each time. */
static limn_status measure_curve(AblateRecord *record, const int32_t *order, double *sums) {
    const Ablate *ablate = record->ablate;
    Arena *arena = record->call.arena;
    int32_t m = ablate->n_curve, n = 0;
    int64_t most = (int64_t)m * (m + 1) / 2;
    int32_t *cells = ARENA_ARRAY(arena, int32_t, most + 1), *begins = ARENA_ARRAY(arena, int32_t, m + 3);
    double *after = ARENA_ARRAY(arena, double, m + 2);
    if (cells == NULL || begins == NULL || after == NULL) {
        return method_no_memory(&record->call);
    }
    for (int32_t count = 1; count <= m; count++) {
        memcpy(cells + n, order, (size_t)count * sizeof *cells);
        n += count;
        begins[count] = n;
    }
    TRY(ablate_sets(record, cells, begins, m, after));
    sums[0] += record->before;
    for (int32_t count = 1; count <= m; count++) {
        sums[count] += after[count - 1];
    }
    return LIMN_OK;
}

static limn_status measure_curves(AblateRecord *record) {
    Ablate *ablate = record->ablate;
    int32_t m = ablate->n_curve, n;
    int32_t *order;
    TRY(measure_curve(record, ablate->ranked, ablate->curves));
    if (ablate->estimated) {
        TRY(rank_cells(ablate, record->call.arena, ablate->estimates, false, &order, &n));
        TRY(measure_curve(record, order, ablate->curves + (m + 1)));
    }
    for (int k = 0; k < RANDOM_ORDERS; k++) {
        Random random;
        random_seed(&random, (uint64_t)record->call.common.seed * 1000003U + (uint64_t)k);
        order = ARENA_ARRAY(record->call.arena, int32_t, ablate->n_ranked + 1);
        if (order == NULL) {
            return method_no_memory(&record->call);
        }
        memcpy(order, ablate->ranked, (size_t)ablate->n_ranked * sizeof *order);
        for (int32_t i = 0; i < m; i++) {
            int32_t other = i + (int32_t)random_below(&random, (uint64_t)(ablate->n_ranked - i)), cell = order[other];
            order[other] = order[i];
            order[i] = cell;
        }
        TRY(measure_curve(record, order, ablate->curves + (2 + k) * (m + 1)));
    }
    return LIMN_OK;
}

limn_status ablate_joint(AblateRecord *record) {
    Ablate *ablate = record->ablate;
    if (ablate->n_paired > 1) {
        int32_t *order, n;
        TRY(ablate_strongest(ablate, record->call.arena, &order, &n));
        TRY(measure_pairs(record, order));
    }
    TRY(ablate->n_curve > 0 ? measure_curves(record) : LIMN_OK);
    ablate->n_records++;
    return LIMN_OK;
}
