/* Fixed rules, node by node and weight by weight those of Captum (captum.attr._utils.approximation_methods), so
 * that the same rule and step count give the same attributions. */
#include <math.h>
#include <string.h>

#include "method/gradient/ig_integrate.h"

/* Nodes and weights of Gauss-Legendre on [0, 1]: roots of the Legendre polynomial by Newton's method. */
static void gauss_legendre(int32_t n, double *alpha, double *weight) {
    for (int32_t i = 0; i < n; i++) {
        double x = cos(3.14159265358979323846 * ((double)i + 0.75) / ((double)n + 0.5));
        double derivative = 1.0;
        for (int iteration = 0; iteration < 100; iteration++) {
            double previous = 1.0;
            double value = x;
            for (int32_t k = 2; k <= n; k++) {
                double next = ((2.0 * k - 1.0) * x * value - (k - 1.0) * previous) / k;
                previous = value;
                value = next;
            }
            derivative = n * (x * value - previous) / (x * x - 1.0);
            double step = value / derivative;
            x -= step;
            if (fabs(step) < 1e-15) {
                break;
            }
        }
        alpha[n - 1 - i] = 0.5 * (1.0 + x);
        weight[n - 1 - i] = 1.0 / ((1.0 - x * x) * derivative * derivative);
    }
}

limn_status ig_rule_nodes(IgRule rule, int32_t n, double *alpha, double *weight) {
    if (n < 1 || (rule == IG_TRAPEZOID && n < 2)) {
        return fail(LIMN_RANGE, "option 'steps': found %d; this rule needs at least %d", n,
                    rule == IG_TRAPEZOID ? 2 : 1);
    }
    for (int32_t i = 0; i < n; i++) {
        weight[i] = 1.0 / n;
        switch (rule) {
        case IG_TRAPEZOID:
            alpha[i] = (double)i / (n - 1);
            weight[i] = (i == 0 || i == n - 1 ? 0.5 : 1.0) / n;
            break;
        case IG_RIEMANN:
            alpha[i] = (i + 0.5) / n;
            break;
        case IG_RIEMANN_LEFT:
            alpha[i] = (double)i / n;
            break;
        case IG_RIEMANN_RIGHT:
            alpha[i] = (double)(i + 1) / n;
            break;
        case IG_GAUSS_LEGENDRE:
            break;
        }
    }
    if (rule == IG_GAUSS_LEGENDRE) {
        gauss_legendre(n, alpha, weight);
    }
    return LIMN_OK;
}

limn_status ig_integrate_fixed(IgIntegral *integral, IgPath *path, IgRule rule, int32_t steps) {
    Arena *arena = path->call->arena;
    int64_t values = (int64_t)path->n_parts * path->n_tokens;
    double *alpha = ARENA_ARRAY(arena, double, steps + 2);
    double *weight = ARENA_ARRAY(arena, double, steps + 2);
    IgNode *nodes = ARENA_ARRAY(arena, IgNode, steps + 2);
    IgNode **order = ARENA_ARRAY(arena, IgNode *, steps + 2);
    *integral = (IgIntegral){.attribution = ARENA_ARRAY(arena, double, values + 1), .end = IG_FIXED_RULE};
    if (alpha == NULL || weight == NULL || nodes == NULL || order == NULL || integral->attribution == NULL) {
        return method_no_memory(path->call);
    }
    TRY(ig_rule_nodes(rule, steps, alpha, weight));
    alpha[steps] = 0.0; /* the ends are evaluated as well: they say how far the sum is off */
    alpha[steps + 1] = 1.0;
    for (int32_t i = 0; i < steps + 2; i++) {
        nodes[i].alpha = alpha[i];
        order[i] = &nodes[i];
    }
    ig_path_begin(path);
    ig_path_expect(path, steps + 2);
    TRY(ig_evaluate(path, order, steps));
    TRY(ig_evaluate_values(path, order + steps, 2));
    double sum = 0.0;
    for (int32_t i = 0; i < steps; i++) {
        for (int64_t k = 0; k < values; k++) {
            integral->attribution[k] += weight[i] * (double)nodes[i].d[k];
        }
        sum += weight[i] * nodes[i].slope;
    }
    integral->f_baseline = nodes[steps].f;
    integral->f_input = nodes[steps + 1].f;
    integral->nodes = steps;
    integral->gap_sum = fabs(sum - (integral->f_input - integral->f_baseline));
    integral->gap_scale = fabs(integral->f_input - integral->f_baseline);
    integral->token_change = (double)NAN;
    return LIMN_OK;
}
