/* The integral of d_t over alpha in [0, 1]: fixed rules as Captum has them, or adaptive bisection. */
#ifndef LIMN_METHOD_GRADIENT_IG_INTEGRATE_H
#define LIMN_METHOD_GRADIENT_IG_INTEGRATE_H

#include "method/gradient/ig_path.h"

/* Order of the choice "gauss-legendre|trapezoid|riemann|riemann-left|riemann-right". */
typedef enum IgRule { IG_GAUSS_LEGENDRE, IG_TRAPEZOID, IG_RIEMANN, IG_RIEMANN_LEFT, IG_RIEMANN_RIGHT } IgRule;

/* Nodes in (0, 1) or [0, 1] and weights of a fixed rule, by Captum's conventions: its trapezoid has n nodes from 0 to
 * 1, weights 1/n, halved at both ends. alpha, weight: [n]. */
limn_status ig_rule_nodes(IgRule rule, int32_t n, double *alpha, double *weight);

typedef enum IgEnd {
    IG_CONVERGED,   /* within the tolerance */
    IG_NOISE_FLOOR, /* what is left is rounding noise of F, or is too steep to be seen in f32 */
    IG_GAVE_UP,     /* the node limit came first */
    IG_FIXED_RULE   /* nothing was adapted */
} IgEnd;

typedef struct IgIntegral {
    double f_input;      /* F at alpha 1 */
    double f_baseline;   /* F at alpha 0 */
    double *attribution; /* [C, P] */
    int64_t nodes;
    double gap_sum;      /* sum over panels of |rule(dF/dalpha) - difference of F|; fixed rule: |sum - F difference| */
    double gap_scale;    /* what gap_sum is compared with: |F(x) - F(b)|, or a floor where that is small */
    double token_change; /* largest change of a token in the last refinement, over the largest |attribution| */
    int64_t expected;    /* nodes it will take in all, as far as can be told */
    double noise;        /* part of gap_sum in panels that bisection no longer improves */
    IgEnd end;
} IgIntegral;

typedef struct IgAdaptive {
    double tolerance;
    int64_t max_nodes;
    double begin; /* alpha where the path begins: 0, or just above it where F jumps at 0 */
    int64_t look; /* end after so many nodes (IG_GAVE_UP), to see how many it will take; 0: go on */
} IgAdaptive;

limn_status ig_integrate_fixed(IgIntegral *integral, IgPath *path, IgRule rule, int32_t steps);
limn_status ig_integrate_adaptive(IgIntegral *integral, IgPath *path, const IgAdaptive *options);

/* Several lines at once, one from each baseline: nodes go where the mean of all gains most, and the tolerance and the
 * limit of nodes hold for the mean. integrals: [n]; baselines: [n] of [P, D]. What is of all (token_change, expected,
 * end) is the same in each. */
limn_status ig_integrate_pooled(IgIntegral *integrals, IgPath *path, const float *const *baselines, int32_t n,
                                const IgAdaptive *options);

/* Sum of gaps of all, over what it is compared with: the size of the summed F(x) - F(b). */
double ig_pooled_gap(const IgIntegral *integrals, int32_t n);

#endif
