#include "files/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/integers.h"
#include "base/text_buffer.h"
#include "files/file_notes.h"

enum {
    DIGEST = 32,
    CHUNK = 16 << 20,
    PIECE = 256 << 10,  /* read at once: small enough to stay in cache while it is hashed */
    CHUNKS_PER_TICK = 4 /* for each thread: often enough to be told to stop, or to use more threads */
};

enum { PREFIX_LEAF = 0, PREFIX_NODE = 1, PREFIX_FILE = 2 };

typedef unsigned char Digest[DIGEST];

static limn_status hash_failed(void) {
    return fail(LIMN_NO_MEMORY, "SHA-256 could not be computed");
}

static limn_status hash_node(Digest out, const Digest left, const Digest right) {
    unsigned char both[1 + 2 * DIGEST];
    both[0] = PREFIX_NODE;
    memcpy(both + 1, left, DIGEST);
    memcpy(both + 1 + DIGEST, right, DIGEST);
    return EVP_Digest(both, sizeof both, out, NULL, EVP_sha256(), NULL) == 1 ? LIMN_OK : hash_failed();
}

/* The root over leaves [n], in their place: pairs are joined level by level and an odd last one moves up as it is,
 * which is the same tree as splitting at the largest power of two. */
static limn_status hash_root(Digest out, Digest *leaves, int64_t n) {
    if (n == 0) {
        return EVP_Digest("", 0, out, NULL, EVP_sha256(), NULL) == 1 ? LIMN_OK : hash_failed();
    }
    while (n > 1) {
        for (int64_t i = 0; i < n / 2; i++) {
            Digest joined;
            TRY(hash_node(joined, leaves[2 * i], leaves[2 * i + 1]));
            memcpy(leaves[i], joined, DIGEST);
        }
        if (n % 2 == 1) {
            memmove(leaves[n / 2], leaves[n - 1], DIGEST);
        }
        n = (n + 1) / 2;
    }
    memcpy(out, leaves[0], DIGEST);
    return LIMN_OK;
}

typedef struct Leaves {
    const char *path;
    int descriptor;
    int64_t size;
    int64_t first; /* chunk that item 0 stands for */
    Digest *leaves;
} Leaves;

static limn_status hash_chunk(Leaves *work, EVP_MD_CTX *context, unsigned char *buffer, int64_t chunk) {
    const unsigned char prefix = PREFIX_LEAF;
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(context, &prefix, 1) != 1) {
        return hash_failed();
    }
    int64_t at = chunk * CHUNK;
    int64_t end = work->size - at < CHUNK ? work->size : at + CHUNK;
    while (at < end) {
        size_t wanted = end - at < PIECE ? (size_t)(end - at) : PIECE;
        ssize_t got = pread(work->descriptor, buffer, wanted, at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return fail(LIMN_IO, "%s: cannot read byte %" PRId64 ": %s", work->path, at,
                        got < 0 ? strerror(errno) : "it became shorter while it was read");
        }
        if (EVP_DigestUpdate(context, buffer, (size_t)got) != 1) {
            return hash_failed();
        }
        at += got;
    }
    return EVP_DigestFinal_ex(context, work->leaves[chunk], NULL) == 1 ? LIMN_OK : hash_failed();
}

static limn_status hash_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    Leaves *work = argument;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char *buffer = malloc(PIECE);
    limn_status status = context == NULL || buffer == NULL ? hash_failed() : LIMN_OK;
    for (int64_t i = begin; i < end && status == LIMN_OK; i++) {
        status = hash_chunk(work, context, buffer, work->first + i);
    }
    free(buffer);
    EVP_MD_CTX_free(context);
    return status;
}

static limn_status hash_leaves(Leaves *work, int64_t n_chunks, Team *team) {
    int64_t count;
    for (work->first = 0; work->first < n_chunks; work->first += count) {
        TRY(team_tick(team, "hash", work->first, n_chunks));
        count = smaller(n_chunks - work->first, CHUNKS_PER_TICK * (int64_t)team_threads(team)); /* they may grow */
        TRY(parallel_for(team, count, 1, hash_range, work));
    }
    team_rest(team);
    return LIMN_OK;
}

/* The root of one open file, read now. */
static limn_status hash_contents(Digest out, const char *path, int descriptor, int64_t size, Team *team) {
    int64_t n_chunks = size / CHUNK + (size % CHUNK != 0);
    Leaves work = {path, descriptor, size, 0, malloc(((size_t)n_chunks + 1) * DIGEST)};
    if (work.leaves == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: hashing it", path);
    }
    limn_status status = hash_leaves(&work, n_chunks, team);
    if (status == LIMN_OK) {
        status = hash_root(out, work.leaves, n_chunks);
    }
    free(work.leaves);
    return status;
}

static void to_hex(char hex[2 * DIGEST + 1], const Digest digest) {
    for (int i = 0; i < DIGEST; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

static bool from_hex(Digest digest, const char *hex) {
    for (int i = 0; i < DIGEST; i++) {
        unsigned byte;
        if (strspn(hex + 2 * i, "0123456789abcdef") < 2 || sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        digest[i] = (unsigned char)byte;
    }
    return true;
}

/* A cached root is the digest's hex text and a newline, nothing else. */
static bool cache_get(Digest root, const struct stat *info) {
    char text[2 * DIGEST + 8];
    return file_note_get(text, sizeof text, info, "") && strlen(text) == 2 * DIGEST + 1 && text[2 * DIGEST] == '\n' &&
           from_hex(root, text);
}

static void cache_put(const Digest root, const struct stat *info) {
    char text[2 * DIGEST + 2];
    to_hex(text, root);
    memcpy(text + 2 * DIGEST, "\n", 2);
    file_note_put(text, info, "");
}

static bool same_state(const struct stat *a, const struct stat *b) {
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static limn_status hash_open_file(Digest root, const char *path, int descriptor, const struct stat *info, bool fresh,
                                  Team *team) {
    if (!fresh && cache_get(root, info)) {
        return LIMN_OK;
    }
    TRY(hash_contents(root, path, descriptor, info->st_size, team));
    struct stat after;
    if (fstat(descriptor, &after) != 0 || !same_state(info, &after)) {
        return fail(LIMN_IO, "%s: changed while it was hashed", path);
    }
    cache_put(root, info);
    return LIMN_OK;
}

static const char *name_of(const HashFile *file) {
    return file->name != NULL ? file->name : path_base(file->path);
}

/* Binds a file's name and size to its root. */
static limn_status hash_entry(Digest out, const char *name, int64_t size, const Digest root) {
    TextBuffer entry = TEXT_BUFFER_INIT;
    uint64_t name_length = strlen(name);
    uint64_t file_size = (uint64_t)size;
    text_buffer_add_char(&entry, PREFIX_FILE);
    text_buffer_add_bytes(&entry, &name_length, sizeof name_length);
    text_buffer_add_bytes(&entry, name, name_length);
    text_buffer_add_bytes(&entry, &file_size, sizeof file_size);
    text_buffer_add_bytes(&entry, root, DIGEST);
    limn_status status = text_buffer_status(&entry);
    if (status == LIMN_OK && EVP_Digest(entry.data, entry.length, out, NULL, EVP_sha256(), NULL) != 1) {
        status = hash_failed();
    }
    text_buffer_free(&entry);
    return status;
}

static limn_status hash_file(Digest out, const HashFile *file, bool fresh, Team *team) {
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return fail(errno == ENOENT ? LIMN_NOT_FOUND : LIMN_IO, "%s: cannot open: %s", file->path, strerror(errno));
    }
    struct stat info;
    limn_status status = LIMN_OK;
    Digest root;
    if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = fail(LIMN_IO, "%s: cannot be hashed, expected a regular file", file->path);
    } else {
        status = hash_open_file(root, file->path, descriptor, &info, fresh, team);
    }
    close(descriptor);
    return status == LIMN_OK ? hash_entry(out, name_of(file), info.st_size, root) : status;
}

static int by_name(const void *a, const void *b) {
    const HashFile *const *x = a;
    const HashFile *const *y = b;
    return strcmp(name_of(*x), name_of(*y));
}

static limn_status hash_sorted(char hex[65], const HashFile *const *order, Digest *entries, int32_t n, bool fresh,
                               Team *team) {
    for (int32_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(name_of(order[i]), name_of(order[i - 1])) == 0) {
            return fail(LIMN_USAGE, "%s: two files named '%s' in one hash", order[i]->path, name_of(order[i]));
        }
        TRY(hash_file(entries[i], order[i], fresh, team));
    }
    Digest result;
    TRY(hash_root(result, entries, n));
    to_hex(hex, result);
    return LIMN_OK;
}

limn_status hash_files(char hex[65], const HashFile *files, int32_t n, bool fresh, Team *team) {
    const HashFile **order = malloc(((size_t)n + 1) * sizeof(const HashFile *));
    Digest *entries = malloc(((size_t)n + 1) * sizeof *entries);
    limn_status status;
    if (order == NULL || entries == NULL) {
        status = fail(LIMN_NO_MEMORY, "hashing %" PRId32 " files", n);
    } else {
        for (int32_t i = 0; i < n; i++) {
            order[i] = &files[i];
        }
        qsort(order, (size_t)n, sizeof(const HashFile *), by_name);
        status = hash_sorted(hex, order, entries, n, fresh, team);
    }
    free(order);
    free(entries);
    return status;
}
