/* Ed25519 keys and signatures, as files of one line. */
#ifndef LIMN_AUDIT_SIGNING_H
#define LIMN_AUDIT_SIGNING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { SIGNATURE_TEXT = 96, PUBLIC_BYTES = 32, SECRET_BYTES = 64 };

typedef struct SigningKey {
    unsigned char secret[SECRET_BYTES];
    unsigned char public[PUBLIC_BYTES];
} SigningKey;

/* Reads "limn-key/1 ed25519 BASE64"; one that is not there is made, for its owner alone, with "PATH.pub" beside it. */
limn_status signing_key_open(SigningKey *key, const char *path);
/* "limn-pub/1 ed25519 BASE64" */
limn_status signing_public_read(unsigned char public[PUBLIC_BYTES], const char *path);

void signing_sign(char text[SIGNATURE_TEXT], const SigningKey *key, const void *bytes, size_t length); /* base64 */
bool signing_check(const unsigned char public[PUBLIC_BYTES], const char *text, const void *bytes, size_t length);

#endif
