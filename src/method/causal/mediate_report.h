/* What the figures of `limn mediate` say: intervals, and which part is told from the others. */
#ifndef LIMN_METHOD_CAUSAL_MEDIATE_REPORT_H
#define LIMN_METHOD_CAUSAL_MEDIATE_REPORT_H

#include "files/tensor_files.h"
#include "method/causal/mediate.h"

enum { MEDIATE_LEAST_UNITS = 5 /* fewer give no interval that is worth the name */ };

/* The strongest of some cells, and those whose effect is not told from its own. */
typedef struct Mediator {
    int32_t best;
    bool decided;     /* units suffice to say anything of the others */
    int32_t n_open;   /* others that are not told from it */
    int32_t from, to; /* the layers of all these, both included */
    double lead_low;  /* the least lower end of its lead over the others; NaN: nothing was compared */
} Mediator;

Interval mediate_total(const Mediate *mediate); /* P0 - P1 */
bool mediate_total_is_clear(const Mediate *mediate, const Interval *total);
Interval mediate_interval(const Mediate *mediate, int32_t cell); /* IE of a cell */

/* The `most` strongest cells of [begin, end) by |IE|, best first; answers how many. */
int32_t mediate_strongest(const Mediate *mediate, int32_t begin, int32_t end, int32_t *cells, int32_t most);

/* Among cells [begin, end): the one with the largest IE in the direction of the total effect. */
limn_status mediate_find_mediator(const Mediate *mediate, int32_t begin, int32_t end, Mediator *mediator);

#endif
