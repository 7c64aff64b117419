/* SEED with the vector loops of a row; what each kind is stands in backend/seed.c. */
#include <math.h>

#include "backend/cpu/rows.h"
#include "backend/ref/ref.h"

static float exp_sum(const float *x, int64_t n, double *sum) {
    float largest = vector_kernels()->row_exp_sum(x, n, sum);
    if (largest == -INFINITY) { /* -inf - -inf is no number, but the sum is 0 */
        *sum = 0.0;
        for (int64_t i = 0; i < n; i++) {
            *sum += isnan(x[i]) ? (double)NAN : 0.0;
        }
    }
    return largest;
}

static void softmax(float *out, const float *x, int64_t n, float largest, double factor, bool add) {
    vector_kernels()->row_softmax_grad(out, x, n, largest, (float)-factor, add);
}

static double cross(const float *a, const float *x, const float *y, int64_t n, float largest) {
    return vector_kernels()->row_cross(a, x, y, n, largest);
}

static void cross_gradient(float *out, const float *a, const float *x, const float *y, int64_t n, float largest,
                           double factor, double center, bool add) {
    vector_kernels()->row_cross_grad(out, a, x, y, n, largest, (float)factor, (float)center, add);
}

static const SeedLoops cpu_loops = {exp_sum, softmax, cross, cross_gradient};

limn_status cpu_seed(const KernelArgs *args) {
    return ref_seed_with(args, &cpu_loops, false);
}

limn_status cpu_seed_backward(const KernelArgs *args) {
    return ref_seed_with(args, &cpu_loops, true);
}
