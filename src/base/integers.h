/* Whole numbers: the arithmetic of sizes. */
#ifndef LIMN_BASE_INTEGERS_H
#define LIMN_BASE_INTEGERS_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static inline int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* How many blocks of `size` hold `count` things: the quotient, rounded up. */
static inline int64_t blocks_of(int64_t count, int64_t size) {
    return (count + size - 1) / size;
}

/* The least multiple of `unit` that is no less than `value`. */
static inline int64_t round_up(int64_t value, int64_t unit) {
    return blocks_of(value, unit) * unit;
}

static inline size_t round_up_bytes(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

#endif
