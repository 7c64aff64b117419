#include "audit/merkle.h"

#include <sodium.h>
#include <string.h>

static MerkleHash hash_parts(unsigned char first, const void *a, size_t n, const void *b, size_t m) {
    crypto_hash_sha256_state state;
    MerkleHash out;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &first, 1);
    crypto_hash_sha256_update(&state, a, n);
    crypto_hash_sha256_update(&state, b, m);
    crypto_hash_sha256_final(&state, out.bytes);
    return out;
}

MerkleHash merkle_leaf(const void *entry, size_t length) {
    return hash_parts(0, entry, length, "", 0);
}

static MerkleHash node(MerkleHash left, MerkleHash right) {
    return hash_parts(1, left.bytes, MERKLE_BYTES, right.bytes, MERKLE_BYTES);
}

/* The largest power of two below n; n > 1. */
static int64_t split_of(int64_t n) {
    int64_t split = 1;
    while (2 * split < n) {
        split *= 2;
    }
    return split;
}

MerkleHash merkle_root(const MerkleHash *leaves, int64_t n) {
    if (n == 0) {
        MerkleHash nothing;
        crypto_hash_sha256(nothing.bytes, (const unsigned char *)"", 0);
        return nothing;
    }
    if (n == 1) {
        return leaves[0];
    }
    int64_t split = split_of(n);
    return node(merkle_root(leaves, split), merkle_root(leaves + split, n - split));
}

int32_t merkle_prove(MerkleHash *proof, const MerkleHash *leaves, int64_t n, int64_t index) {
    if (n <= 1) {
        return 0;
    }
    int64_t split = split_of(n);
    bool left = index < split;
    int32_t length = left ? merkle_prove(proof, leaves, split, index)
                          : merkle_prove(proof, leaves + split, n - split, index - split);
    proof[length] = left ? merkle_root(leaves + split, n - split) : merkle_root(leaves, split);
    return length + 1;
}

/* From the leaf up: RFC 9162, 2.1.3.2. */
bool merkle_check(MerkleHash leaf, int64_t index, int64_t n, const MerkleHash *proof, int32_t length, MerkleHash root) {
    if (index < 0 || index >= n) {
        return false;
    }
    int64_t at = index, last = n - 1;
    MerkleHash hash = leaf;
    for (int32_t i = 0; i < length; i++) {
        if (last == 0) {
            return false;
        }
        if (at % 2 == 1 || at == last) {
            hash = node(proof[i], hash);
            while (at % 2 == 0 && at != 0) {
                at /= 2;
                last /= 2;
            }
        } else {
            hash = node(hash, proof[i]);
        }
        at /= 2;
        last /= 2;
    }
    return last == 0 && merkle_same(hash, root);
}

bool merkle_same(MerkleHash a, MerkleHash b) {
    return memcmp(a.bytes, b.bytes, MERKLE_BYTES) == 0;
}
