#!/usr/bin/env python3
"""The numbers of split(name, N) that tests/data/test_expression.c expects: a filter written down in a report must take
the same records tomorrow. xoshiro256** (Blackman, Vigna) seeded by splitmix64, twice: by N, and by its first output with
the hash of the text. Prints them."""

MASK = (1 << 64) - 1


def seeded(seed):
    state = []
    for _ in range(4):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        state.append(z ^ (z >> 31))
    return state


def first_output(state):
    x = (state[1] * 5) & MASK
    x = ((x << 7) | (x >> 57)) & MASK
    return (x * 9) & MASK


def hash_of(data):
    value = 0x9E3779B97F4A7C15 ^ len(data)
    for i in range(0, len(data), 8):
        value = ((value ^ int.from_bytes(data[i:i + 8], "little")) * 0xFF51AFD7ED558CCD) & MASK
        value ^= value >> 32
    value = (value * 0xC4CEB9FE1A85EC53) & MASK
    return value ^ (value >> 29)


def split(text, seed):
    outer = first_output(seeded(seed))
    return (first_output(seeded(outer ^ hash_of(text.encode()))) >> 11) * 2.0 ** -53


for text, seed in (("ab", 0), ("ab", 1), ("2", 7), ("9007199254740993", 9007199254740993)):
    print(f"split of '{text}' by {seed}: {split(text, seed)!r}")
