/* How a matrix is spread over directions: its singular values and what they come to. */
#ifndef LIMN_METHOD_CAUSAL_SPECTRUM_H
#define LIMN_METHOD_CAUSAL_SPECTRUM_H

#include <stdint.h>

#include "base/parallel.h"

typedef struct Spectrum {
    double *values; /* [n] singular values, largest first; malloc'ed */
    int32_t n;
} Spectrum;

/* Of values [rows, columns], which are destroyed (LAPACK's gesdd). */
limn_status spectrum_of_matrix(Spectrum *spectrum, float *values, int64_t rows, int64_t columns, Team *team);

/* Of L R, L [rows, rank] and R [rank, columns], from the rank x rank products L'L and R R' alone. */
limn_status spectrum_of_product(Spectrum *spectrum, const double *left_gram, const double *right_gram, int32_t rank,
                                Team *team);

void spectrum_free(Spectrum *spectrum);

/* exp of the entropy of the singular values over their sum (Roy and Vetterli 2007, "effective rank"); 0 of a zero
 * matrix. */
double spectrum_effective_rank(const Spectrum *spectrum);

/* The k largest squares over the sum of all; NaN of a zero matrix. */
double spectrum_energy(const Spectrum *spectrum, int32_t k);

#endif
