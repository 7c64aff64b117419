#include "files/commitment.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/file.h"

enum { DIGEST = 32 };

static void to_hex(char *hex, const unsigned char *bytes, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * n] = '\0';
}

/* Readable by its owner alone; one that is there is never written over. */
static limn_status make_key(CommitmentKey *key, const char *path) {
    char hex[2 * DIGEST + 2];
    if (getrandom(key->bytes, DIGEST, 0) != DIGEST) {
        return fail(LIMN_IO, "%s: the system has no random numbers for a key", path);
    }
    to_hex(hex, key->bytes, DIGEST);
    hex[2 * DIGEST] = '\n';
    return file_write_secret(path, hex, 2 * DIGEST + 1);
}

limn_status commitment_key_open(CommitmentKey *key, const char *path) {
    char *text;
    size_t length;
    if (!file_exists(path)) {
        return make_key(key, path);
    }
    TRY(file_read(&text, &length, path, 1 << 12));
    size_t digits = strcspn(text, "\r\n ");
    bool good = digits == 2 * DIGEST && strspn(text + digits, "\r\n ") == length - digits;
    for (size_t i = 0; i < DIGEST && good; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        key->bytes[i] = (unsigned char)(high * 16 + low);
    }
    free(text);
    return good ? LIMN_OK : fail(LIMN_FORMAT, "%s: is no key, expected 64 hex digits", path);
}

limn_status commitment_of(char hex[65], const CommitmentKey *key, const char *text, size_t length) {
    unsigned char salt[EVP_MAX_MD_SIZE], digest[EVP_MAX_MD_SIZE];
    unsigned n_salt = 0, n_digest = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL &&
                HMAC(EVP_sha256(), key->bytes, DIGEST, (const unsigned char *)text, length, salt, &n_salt) != NULL &&
                EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(context, salt, n_salt) == 1 &&
                EVP_DigestUpdate(context, text, length) == 1 && EVP_DigestFinal_ex(context, digest, &n_digest) == 1;
    EVP_MD_CTX_free(context);
    if (!good || n_digest != DIGEST) {
        return fail(LIMN_INTERNAL, "a commitment cannot be computed");
    }
    to_hex(hex, digest, DIGEST);
    return LIMN_OK;
}
