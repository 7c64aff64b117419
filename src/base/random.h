/* Random numbers that are the same on every machine: xoshiro256** seeded by splitmix64. */
#ifndef LIMN_BASE_RANDOM_H
#define LIMN_BASE_RANDOM_H

#include <stdint.h>

typedef struct Random {
    uint64_t state[4];
} Random;

void random_seed(Random *random, uint64_t seed);
uint64_t random_bits(Random *random);
uint64_t random_below(Random *random, uint64_t bound); /* uniform in [0, bound), bound > 0, unbiased */
double random_unit(Random *random);                    /* uniform in [0, 1) */
double random_normal(Random *random);                  /* mean 0, variance 1 */

#endif
