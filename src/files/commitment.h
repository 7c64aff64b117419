/* Salted commitments: a text is left out, and what stands in its place can be held against it later.
 *
 *     salt = HMAC-SHA256(key, text)        commitment = SHA-256(salt, text)
 *
 * Whoever has the key finds the salt of a text he is shown; shown text and salt, anyone can check the commitment, and
 * learns nothing of the others. The key is a file of 64 hex digits, made where it does not exist: the same key gives
 * the same commitments. Without it nothing can be opened. */
#ifndef LIMN_FILES_COMMITMENT_H
#define LIMN_FILES_COMMITMENT_H

#include <stddef.h>

#include "base/error.h"

typedef struct CommitmentKey {
    unsigned char bytes[32];
} CommitmentKey;

limn_status commitment_key_open(CommitmentKey *key, const char *path);
/* 64 hex digits. */
limn_status commitment_of(char hex[65], const CommitmentKey *key, const char *text, size_t length);

#endif
