/* How far scores of words find the words that people marked, as ERASER judges it (DeYoung et al. 2020, 1911.03429).
 * Pure functions; equal to the benchmark's own code (tests/oracle/rationale). */
#ifndef LIMN_MEASURE_RATIONALE_H
#define LIMN_MEASURE_RATIONALE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Precision over recall from the highest score down, equal scores as one threshold; NaN scores come last, together.
 * Both NaN where nothing is marked. */
typedef struct MarkedCurve {
    double area;    /* straight lines between the thresholds, from precision 1 at recall 0 */
    double average; /* precision, each threshold weighed by what of recall it adds */
} MarkedCurve;
limn_status marked_curve(MarkedCurve *curve, const double *scores, const bool *marked, int32_t n);

/* Words that were chosen against words that are marked. Runs of neighbours are spans; one is hit when its intersection
 * with a marked one is at least half of their union. */
typedef struct MarkedAgreement {
    double token_f1;
    double span_precision; /* hits over chosen spans */
    double span_recall;    /* hits over marked spans */
} MarkedAgreement;
MarkedAgreement marked_agreement(const bool *chosen, const bool *marked, int32_t n);

double f1_of(double precision, double recall); /* 0 where both are */

#endif
