/* The smallest fitting exchange that turns the answer: as few words as possible, each for one that fits its place.
 *
 * One word: any draw that the yardstick tried. Two or three: the leading words that move the answer most, with the
 * draws that moved it most by themselves. It finds what is among the draws; that nothing was found does not prove that
 * nothing turns it. */
#ifndef LIMN_MEASURE_TURNING_H
#define LIMN_MEASURE_TURNING_H

#include "measure/yardstick.h"

enum { TURNING_WORDS = 3, TURNINGS_MAX = 8 };

typedef struct Turning {
    Exchanges exchanges;
    Answered answered;
    double fit; /* log-likelihood of the words put in; NaN: not known */
} Turning;

typedef struct Turnings {
    Turning items[TURNINGS_MAX]; /* [n] of as many words each, those that fit best first */
    int32_t n;
    int32_t tried; /* versions of the prompt looked at */
    int32_t most;  /* words exchanged at once in the largest of them */
} Turnings;

/* The yardstick has run. */
limn_status turnings_find(Turnings *turnings, Yardstick *yardstick, MethodCall *call);
/* The one to speak of: the first that exchanges this unit (-1: none) first, else the first of all. NULL: none turned
 * it. */
const Turning *turnings_first(const Turnings *turnings, int32_t unit);

#endif
