/* The hash tree of RFC 6962: leaf = SHA-256(00, entry), node = SHA-256(01, left, right), split at the largest power of
 * two below the number of leaves. The first byte keeps an entry from posing as a node. */
#ifndef LIMN_AUDIT_MERKLE_H
#define LIMN_AUDIT_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MERKLE_BYTES = 32, MERKLE_PROOF_MAX = 64 };

typedef struct MerkleHash {
    unsigned char bytes[MERKLE_BYTES];
} MerkleHash;

MerkleHash merkle_leaf(const void *entry, size_t length);
MerkleHash merkle_root(const MerkleHash *leaves, int64_t n); /* n 0: the hash of nothing */

/* What a third party needs beside an entry to come to the root. Returns how many. proof: [MERKLE_PROOF_MAX] */
int32_t merkle_prove(MerkleHash *proof, const MerkleHash *leaves, int64_t n, int64_t index);
/* Does this leaf stand at this place of a tree of n leaves with this root? */
bool merkle_check(MerkleHash leaf, int64_t index, int64_t n, const MerkleHash *proof, int32_t length, MerkleHash root);
bool merkle_same(MerkleHash a, MerkleHash b);

#endif
