#include "audit/signing.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static const char key_head[] = "limn-key/1 ed25519 ", public_head[] = "limn-pub/1 ed25519 ";
enum { KEY_FILE_CAP = 4096, KEY_LINE = 160 };

static limn_status ready(void) {
    return sodium_init() >= 0 ? LIMN_OK : fail(LIMN_INTERNAL, "libsodium cannot be used on this machine");
}

/* The bytes behind the head of a file's one line. */
static limn_status read_line(unsigned char *bytes, size_t wanted, const char *path, const char *head) {
    char *text;
    size_t length, got = 0;
    TRY(file_read(&text, &length, path, KEY_FILE_CAP));
    size_t skip = strlen(head);
    const char *end = NULL;
    bool good = strncmp(text, head, skip) == 0 &&
                sodium_base642bin(bytes, wanted, text + skip, length - skip, "\n", &got, &end,
                                  sodium_base64_VARIANT_ORIGINAL) == 0 &&
                got == wanted;
    sodium_memzero(text, length);
    free(text);
    return good ? LIMN_OK : fail(LIMN_FORMAT, "%s: is no key, expected one line '%s...'", path, head);
}

static limn_status write_public(const SigningKey *key, const char *path) {
    char name[4096], line[KEY_LINE], base64[64];
    if (snprintf(name, sizeof name, "%s.pub", path) >= (int)sizeof name) {
        return fail(LIMN_USAGE, "%s: the name is too long", path);
    }
    sodium_bin2base64(base64, sizeof base64, key->public, PUBLIC_BYTES, sodium_base64_VARIANT_ORIGINAL);
    int length = snprintf(line, sizeof line, "%s%s\n", public_head, base64);
    return file_write_atomic(name, line, (size_t)length);
}

static limn_status write_secret(const unsigned char *seed, const char *path) {
    char line[KEY_LINE], base64[64];
    sodium_bin2base64(base64, sizeof base64, seed, crypto_sign_SEEDBYTES, sodium_base64_VARIANT_ORIGINAL);
    int length = snprintf(line, sizeof line, "%s%s\n", key_head, base64);
    limn_status status = file_write_secret(path, line, (size_t)length);
    sodium_memzero(line, sizeof line);
    sodium_memzero(base64, sizeof base64);
    return status;
}

limn_status signing_key_open(SigningKey *key, const char *path) {
    unsigned char seed[crypto_sign_SEEDBYTES];
    TRY(ready());
    bool there = file_exists(path);
    if (there) {
        TRY(read_line(seed, sizeof seed, path, key_head));
    } else {
        randombytes_buf(seed, sizeof seed);
    }
    crypto_sign_seed_keypair(key->public, key->secret, seed);
    limn_status status = there ? LIMN_OK : write_secret(seed, path);
    sodium_memzero(seed, sizeof seed);
    TRY(status);
    char name[4096];
    bool known = snprintf(name, sizeof name, "%s.pub", path) < (int)sizeof name && file_exists(name);
    return known ? LIMN_OK : write_public(key, path);
}

limn_status signing_public_read(unsigned char public[PUBLIC_BYTES], const char *path) {
    TRY(ready());
    return read_line(public, PUBLIC_BYTES, path, public_head);
}

void signing_sign(char text[SIGNATURE_TEXT], const SigningKey *key, const void *bytes, size_t length) {
    unsigned char signature[crypto_sign_BYTES];
    crypto_sign_detached(signature, NULL, bytes, length, key->secret);
    sodium_bin2base64(text, SIGNATURE_TEXT, signature, sizeof signature, sodium_base64_VARIANT_ORIGINAL);
}

bool signing_check(const unsigned char public[PUBLIC_BYTES], const char *text, const void *bytes, size_t length) {
    unsigned char signature[crypto_sign_BYTES];
    size_t got = 0;
    return sodium_base642bin(signature, sizeof signature, text, strlen(text), "\n", &got, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == sizeof signature && crypto_sign_verify_detached(signature, bytes, length, public) == 0;
}
