/* Adaptive integration of a path with near-jumps.
 *
 * On trained models dF/dalpha is small almost everywhere and enormous in a few narrow places, so equal steps do not
 * converge. Every node gives F as well as its derivative, so each interval's own error costs nothing to know:
 *
 *     gap = |rule(dF/dalpha) - (F(b) - F(a))|
 *
 * An interval holds its ends and its middle. Its rule is Simpson's where that agrees better with F, else the
 * trapezoid. The intervals with the largest error are halved, many in one batch. The end result spreads each
 * interval's remaining gap over the tokens in proportion to what they contribute there, so that all tokens add up to
 * F(x) - F(b) exactly (as IDGI does, 2303.14242).
 *
 * An interval that stops improving when halved holds rounding noise of F (or a jump too steep for f32); it is left
 * alone, and its share is reported apart. The method fails openly: `end` says why it stopped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/gradient/ig_integrate.h"

enum {
    FIRST_INTERVALS = 12,
    FIRST_POOLED = 4, /* of each of several lines */
    MOST_SPLITS = 16,
    MOST_DEPTH = 22,
    MOST_STALLS = 2,
    FIRST_GUESS = 256 /* nodes that trained models mostly take, until more is known */
};

static const double gap_floor = 0.1;     /* nats or logits: below this, |F(x) - F(b)| is no measure */
static const double stall_ratio = 0.7;   /* halves that keep more than this of the gap have not improved it */
static const double noise_share = 0.005; /* only gaps below this share of the scale can be noise */
static const double noise_left = 0.25;   /* of the tolerance: with no more than this besides, the rest is noise */
static const double gap_decay = 1.0 / 2.5, margin = 1.25;
static const double refinement = 1.3; /* growth of the node count between two looks at the tokens */

typedef struct Interval {
    const IgNode *a, *m, *b;
    double gap;
    double change; /* largest difference between its two rules, over tokens */
    int depth;
    int stalls;
    bool simpson;
    int32_t line; /* which of several it is of */
} Interval;

typedef struct Adaptive {
    IgPath *path;
    const IgAdaptive *options;
    Interval *intervals;
    int32_t n;
    int32_t capacity;
    const float *const *baselines; /* [n_lines] */
    IgIntegral *integrals;         /* [n_lines] */
    int32_t n_lines;
    IgIntegral all;   /* of all lines: their sums */
    double *previous; /* [C, P] attributions at the last refinement */
    int64_t previous_nodes;
} Adaptive;

static double trapezoid(const IgNode *a, const IgNode *b) {
    return 0.5 * (b->alpha - a->alpha) * (a->slope + b->slope);
}

/* What token k adds over the interval by its rule; by the other rule when `other`. */
static double contribution(const Interval *interval, int64_t k, bool simpson) {
    double a = (double)interval->a->d[k], m = (double)interval->m->d[k], b = (double)interval->b->d[k];
    double width = interval->b->alpha - interval->a->alpha;
    return simpson ? width / 6.0 * (a + 4.0 * m + b) : width / 4.0 * (a + 2.0 * m + b);
}

static void measure(const Adaptive *adaptive, Interval *interval) {
    const IgNode *a = interval->a, *m = interval->m, *b = interval->b;
    double width = b->alpha - a->alpha;
    double by_simpson = fabs(width / 6.0 * (a->slope + 4.0 * m->slope + b->slope) - (b->f - a->f));
    double by_trapezoid = fabs(trapezoid(a, m) - (m->f - a->f)) + fabs(trapezoid(m, b) - (b->f - m->f));
    interval->simpson = by_simpson <= by_trapezoid;
    interval->gap = interval->simpson ? by_simpson : by_trapezoid;
    interval->change = 0.0;
    int64_t values = (int64_t)adaptive->path->n_parts * adaptive->path->n_tokens;
    for (int64_t k = 0; k < values; k++) {
        double change = fabs(contribution(interval, k, true) - contribution(interval, k, false));
        interval->change = change > interval->change ? change : interval->change;
    }
}

/* Attributions from all intervals of a line, each brought to its exact difference of F. */
static void sum_up(const Adaptive *adaptive, int32_t line, double *attribution) {
    const IgPath *path = adaptive->path;
    memset(attribution, 0, (size_t)path->n_parts * (size_t)path->n_tokens * sizeof *attribution);
    for (int32_t i = 0; i < adaptive->n; i++) {
        const Interval *interval = &adaptive->intervals[i];
        for (int32_t c = 0; interval->line == line && c < path->n_parts; c++) {
            int64_t first = (int64_t)c * path->n_tokens;
            double sum = 0.0, size = 0.0;
            for (int64_t k = first; k < first + path->n_tokens; k++) {
                double value = contribution(interval, k, interval->simpson);
                sum += value;
                size += fabs(value);
            }
            double missing = interval->b->f_of[c] - interval->a->f_of[c] - sum;
            for (int64_t k = first; k < first + path->n_tokens; k++) {
                double value = contribution(interval, k, interval->simpson);
                attribution[k] += value + (size > 0.0 ? missing * fabs(value) / size : 0.0);
            }
        }
    }
}

static double largest_magnitude(const double *values, int64_t n) {
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(values[i]));
    }
    return largest;
}

static limn_status evaluate_all(Adaptive *adaptive, IgNode **nodes, int32_t n) {
    TRY(ig_evaluate(adaptive->path, nodes, n));
    for (int32_t i = 0; i < n; i++) {
        if (!isfinite(nodes[i]->f) || !isfinite(nodes[i]->slope)) {
            return fail(LIMN_FORMAT, "the model gives a value that is not a number at alpha %g of the path",
                        nodes[i]->alpha);
        }
    }
    return LIMN_OK;
}

static limn_status new_node(const Adaptive *adaptive, int32_t line, double alpha, IgNode **node) {
    *node = ARENA_NEW(adaptive->path->call->arena, IgNode);
    if (*node == NULL) {
        return method_no_memory(adaptive->path->call);
    }
    (*node)->alpha = alpha;
    (*node)->baseline = adaptive->baselines[line];
    return LIMN_OK;
}

static limn_status start(Adaptive *adaptive) {
    int32_t intervals = adaptive->n_lines > 1 ? FIRST_POOLED : FIRST_INTERVALS, each = 2 * intervals + 1;
    IgNode **nodes = ARENA_ARRAY(adaptive->path->call->arena, IgNode *, each * adaptive->n_lines);
    double begin = adaptive->options->begin;
    if (nodes == NULL) {
        return method_no_memory(adaptive->path->call);
    }
    for (int32_t i = 0; i < each * adaptive->n_lines; i++) {
        TRY(new_node(adaptive, i / each, begin + (1.0 - begin) * (i % each) / (each - 1), &nodes[i]));
    }
    TRY(evaluate_all(adaptive, nodes, each * adaptive->n_lines));
    for (int32_t i = 0; i < intervals * adaptive->n_lines; i++) {
        int32_t line = i / intervals, first = line * each + 2 * (i % intervals);
        Interval *interval = &adaptive->intervals[adaptive->n++];
        *interval = (Interval){.a = nodes[first], .m = nodes[first + 1], .b = nodes[first + 2], .line = line};
        measure(adaptive, interval);
    }
    return LIMN_OK;
}

static bool is_settled(const Interval *interval) {
    return interval->stalls >= MOST_STALLS || interval->depth >= MOST_DEPTH;
}

/* What halving an interval may gain: its gap, and its tokens' disagreement between the rules where it is not mere
 * smooth curvature. */
static double worth(const Interval *interval) {
    return interval->gap + 0.25 * interval->change;
}

static int by_worth(const void *left, const void *right) {
    const Interval *a = left;
    const Interval *b = right;
    if (is_settled(a) != is_settled(b)) {
        return is_settled(a) ? 1 : -1;
    }
    double difference = worth(b) - worth(a);
    if (difference != 0.0) {
        return difference > 0.0 ? 1 : -1;
    }
    return a->line != b->line ? a->line - b->line : a->a->alpha < b->a->alpha ? -1 : 1;
}

static void halve(Adaptive *adaptive, int32_t index, const IgNode *left, const IgNode *right, double scale) {
    Interval parent = adaptive->intervals[index];
    Interval first = {.a = parent.a, .m = left, .b = parent.m, .depth = parent.depth + 1, .line = parent.line};
    Interval second = {.a = parent.m, .m = right, .b = parent.b, .depth = parent.depth + 1, .line = parent.line};
    measure(adaptive, &first);
    measure(adaptive, &second);
    bool stalled = first.gap + second.gap > stall_ratio * parent.gap && parent.gap < noise_share * scale;
    first.stalls = second.stalls = stalled ? parent.stalls + 1 : 0;
    adaptive->intervals[index] = first;
    adaptive->intervals[adaptive->n++] = second;
}

/* Halves the worst intervals in one batch. *split: how many. */
static limn_status refine(Adaptive *adaptive, double scale, int32_t *split) {
    qsort(adaptive->intervals, (size_t)adaptive->n, sizeof *adaptive->intervals, by_worth);
    double worst = worth(&adaptive->intervals[0]);
    int32_t n = 0;
    while (n < adaptive->n && n < MOST_SPLITS && !is_settled(&adaptive->intervals[n]) &&
           worth(&adaptive->intervals[n]) >= 0.05 * worst && worst > 0.0) {
        n++;
    }
    *split = n;
    IgNode *nodes[2 * MOST_SPLITS];
    for (int32_t i = 0; i < n; i++) {
        const Interval *interval = &adaptive->intervals[i];
        double a = interval->a->alpha, m = interval->m->alpha, b = interval->b->alpha;
        TRY(new_node(adaptive, interval->line, 0.5 * (a + m), &nodes[2 * i]));
        TRY(new_node(adaptive, interval->line, 0.5 * (m + b), &nodes[2 * i + 1]));
    }
    TRY(evaluate_all(adaptive, nodes, 2 * n));
    for (int32_t i = 0; i < n; i++) {
        halve(adaptive, i, nodes[2 * i], nodes[2 * i + 1], scale);
    }
    return LIMN_OK;
}

static double end_of(const Adaptive *adaptive, int32_t line, double alpha) {
    for (int32_t i = 0; i < adaptive->n; i++) {
        const Interval *interval = &adaptive->intervals[i];
        if (interval->line == line && interval->a->alpha == alpha) {
            return interval->a->f;
        }
        if (interval->line == line && interval->b->alpha == alpha) {
            return interval->b->f;
        }
    }
    return (double)NAN;
}

/* The sums of one line. */
static void assess_line(Adaptive *adaptive, int32_t line) {
    IgIntegral *integral = &adaptive->integrals[line];
    integral->f_baseline = end_of(adaptive, line, adaptive->options->begin);
    integral->f_input = end_of(adaptive, line, 1.0);
    integral->gap_scale = fmax(fabs(integral->f_input - integral->f_baseline), gap_floor);
    integral->gap_sum = integral->noise = 0.0;
    int32_t n = 0;
    for (int32_t i = 0; i < adaptive->n; i++) {
        const Interval *interval = &adaptive->intervals[i];
        if (interval->line == line) {
            integral->gap_sum += interval->gap;
            integral->noise += is_settled(interval) ? interval->gap : 0.0;
            n++;
        }
    }
    integral->nodes = 2 * n + 1;
    sum_up(adaptive, line, integral->attribution);
}

/* Sums over the lines: what is of their mean, times their number. */
static void add_lines(Adaptive *adaptive) {
    IgIntegral *all = &adaptive->all;
    int64_t values = (int64_t)adaptive->path->n_parts * adaptive->path->n_tokens;
    double change = 0.0;
    all->gap_sum = all->noise = 0.0;
    for (int32_t line = 0; line < adaptive->n_lines; line++) {
        const IgIntegral *integral = &adaptive->integrals[line];
        change += integral->f_input - integral->f_baseline;
        all->gap_sum += integral->gap_sum;
        all->noise += integral->noise;
        for (int64_t k = 0; k < values; k++) {
            all->attribution[k] = integral->attribution[k] + (line > 0 ? all->attribution[k] : 0.0);
        }
    }
    all->gap_scale = fmax(fabs(change), gap_floor * adaptive->n_lines);
    all->nodes = adaptive->path->evaluations;
}

/* Takes stock: sums, gaps, and how far the tokens moved since the last look. */
static void assess(Adaptive *adaptive) {
    IgIntegral *all = &adaptive->all;
    int64_t values = (int64_t)adaptive->path->n_parts * adaptive->path->n_tokens;
    for (int32_t line = 0; line < adaptive->n_lines; line++) {
        assess_line(adaptive, line);
    }
    add_lines(adaptive);
    if ((double)all->nodes >= refinement * (double)adaptive->previous_nodes) {
        if (adaptive->previous_nodes > 0) {
            double largest = 0.0;
            for (int64_t k = 0; k < values; k++) {
                largest = fmax(largest, fabs(all->attribution[k] - adaptive->previous[k]));
            }
            all->token_change = largest / fmax(largest_magnitude(all->attribution, values), 1e-12);
        }
        memcpy(adaptive->previous, all->attribution, (size_t)values * sizeof(double));
        adaptive->previous_nodes = all->nodes;
    }
}

/* How many nodes it will take. The gaps fall about as the nodes' number to the power of -2.5, until they are within
 * the tolerance or what is left of them is noise: measured on a trained model from some fifty nodes on, with a margin,
 * since the tokens must stand as well. */
static int64_t expected_nodes(const Adaptive *adaptive, const IgIntegral *integral) {
    double limit = adaptive->options->tolerance * integral->gap_scale, nodes = (double)integral->nodes;
    double excess = fmin(integral->gap_sum, (integral->gap_sum - integral->noise) / noise_left) / limit;
    double expected = fmax(nodes * pow(fmax(excess, 1.0), gap_decay) * margin, nodes + 1.0);
    return (int64_t)fmin(expected, (double)adaptive->options->max_nodes);
}

static limn_status iterate(Adaptive *adaptive) {
    const IgAdaptive *options = adaptive->options;
    IgIntegral *integral = &adaptive->all;
    TRY(start(adaptive));
    assess(adaptive);
    for (;;) {
        integral->expected = expected_nodes(adaptive, integral);
        ig_path_expect(adaptive->path, integral->expected);
        bool tokens_stand = integral->token_change <= options->tolerance;
        if (tokens_stand && integral->gap_sum <= options->tolerance * integral->gap_scale) {
            integral->end = IG_CONVERGED;
            integral->expected = integral->nodes;
            return LIMN_OK;
        }
        bool looked = options->look > 0 && integral->nodes >= options->look;
        if (looked || integral->nodes + 2 * MOST_SPLITS > options->max_nodes) {
            integral->end = IG_GAVE_UP;
            return LIMN_OK;
        }
        bool only_noise = integral->gap_sum - integral->noise <= noise_left * options->tolerance * integral->gap_scale;
        int32_t split;
        TRY(refine(adaptive, integral->gap_scale, &split));
        assess(adaptive);
        if (split == 0 || (only_noise && tokens_stand)) {
            integral->end = IG_NOISE_FLOOR;
            integral->expected = integral->nodes;
            return LIMN_OK;
        }
    }
}

static limn_status allocate(Adaptive *adaptive, int64_t max_nodes) {
    Arena *arena = adaptive->path->call->arena;
    size_t values = (size_t)adaptive->path->n_parts * (size_t)adaptive->path->n_tokens + 1;
    int32_t first =
        FIRST_INTERVALS > FIRST_POOLED * adaptive->n_lines ? FIRST_INTERVALS : FIRST_POOLED * adaptive->n_lines;
    adaptive->capacity = (int32_t)(max_nodes / 2 + first + MOST_SPLITS);
    adaptive->intervals = ARENA_ARRAY(arena, Interval, adaptive->capacity);
    adaptive->previous = ARENA_ARRAY(arena, double, values);
    adaptive->all = (IgIntegral){.attribution = ARENA_ARRAY(arena, double, values), .token_change = INFINITY};
    bool made = adaptive->intervals != NULL && adaptive->previous != NULL && adaptive->all.attribution != NULL;
    for (int32_t line = 0; line < adaptive->n_lines && made; line++) {
        adaptive->integrals[line] = (IgIntegral){.attribution = ARENA_ARRAY(arena, double, values)};
        made = adaptive->integrals[line].attribution != NULL;
    }
    return made ? LIMN_OK : method_no_memory(adaptive->path->call);
}

limn_status ig_integrate_pooled(IgIntegral *integrals, IgPath *path, const float *const *baselines, int32_t n,
                                const IgAdaptive *options) {
    ig_path_begin(path);
    ig_path_expect(path, options->max_nodes < FIRST_GUESS ? options->max_nodes : FIRST_GUESS);
    Adaptive adaptive = {
        .path = path, .options = options, .baselines = baselines, .integrals = integrals, .n_lines = n};
    TRY(allocate(&adaptive, options->max_nodes));
    TRY(iterate(&adaptive));
    for (int32_t line = 0; line < n; line++) {
        integrals[line].token_change = adaptive.all.token_change;
        integrals[line].expected = adaptive.all.expected;
        integrals[line].end = adaptive.all.end;
    }
    return LIMN_OK;
}

limn_status ig_integrate_adaptive(IgIntegral *integral, IgPath *path, const IgAdaptive *options) {
    const float *baseline = path->baseline;
    return ig_integrate_pooled(integral, path, &baseline, 1, options);
}

double ig_pooled_gap(const IgIntegral *integrals, int32_t n) {
    double gaps = 0.0, change = 0.0;
    for (int32_t line = 0; line < n; line++) {
        gaps += integrals[line].gap_sum;
        change += integrals[line].f_input - integrals[line].f_baseline;
    }
    return gaps / fmax(fabs(change), gap_floor * n);
}
