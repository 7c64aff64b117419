#include "audit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const char origin[] = "limn audit log";
enum { LOG_CAP = 1 << 30, CHECKPOINT_CAP = 4096, ENTRIES_MAX = 10000000 };

static limn_status path_of(char path[4096], const char *folder, const char *name) {
    return snprintf(path, 4096, "%s/%s", folder, name) < 4096 ? LIMN_OK
                                                              : fail(LIMN_USAGE, "%s: the name is too long", folder);
}

/* ---- reading ---- */

limn_status log_read(const char *folder, limn_status (*each)(void *context, const char *line, size_t length),
                     void *context, int64_t *torn) {
    char path[4096], *bytes;
    size_t length;
    *torn = 0;
    TRY(path_of(path, folder, "log.jsonl"));
    TRY(file_read(&bytes, &length, path, LOG_CAP));
    limn_status status = LIMN_OK;
    for (size_t at = 0; at < length && status == LIMN_OK;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        if (end == NULL) {
            *torn = (int64_t)(length - at);
            break;
        }
        size_t n = (size_t)(end - (bytes + at));
        status = each(context, bytes + at, n);
        at += n + 1;
    }
    free(bytes);
    return status;
}

/* "SIZE\nROOT\n\nSIGNATURE\n" behind the origin's line. */
static bool parse_checkpoint(Checkpoint *checkpoint, const char *text, const unsigned char *public) {
    size_t head = strlen(origin);
    if (strncmp(text, origin, head) != 0 || text[head] != '\n') {
        return false;
    }
    char *end;
    errno = 0;
    checkpoint->size = strtoll(text + head + 1, &end, 10);
    const char *root = end + 1, *stop = *end == '\n' ? strstr(root, "\n\n") : NULL;
    size_t got = 0;
    if (stop == NULL || errno != 0 || checkpoint->size < 0 ||
        sodium_base642bin(checkpoint->root.bytes, MERKLE_BYTES, root, (size_t)(stop - root), NULL, &got, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        got != MERKLE_BYTES) {
        return false;
    }
    checkpoint->is_signed = signing_check(public, stop + 2, text, (size_t)(stop + 1 - text));
    return true;
}

limn_status log_read_checkpoint(Checkpoint *checkpoint, const char *folder, const unsigned char public[PUBLIC_BYTES]) {
    char path[4096], *text;
    size_t length;
    TRY(path_of(path, folder, "checkpoint"));
    TRY(file_read(&text, &length, path, CHECKPOINT_CAP));
    bool good = parse_checkpoint(checkpoint, text, public);
    free(text);
    return good ? LIMN_OK : fail(LIMN_FORMAT, "%s: is no checkpoint of a log", path);
}

static limn_status add_leaf(void *context, const char *line, size_t length) {
    AuditLog *log = context;
    if (log->n == log->capacity) {
        int64_t capacity = log->capacity > 0 ? 2 * log->capacity : 256;
        MerkleHash *leaves = realloc(log->leaves, (size_t)capacity * sizeof *leaves);
        if (leaves == NULL || capacity > ENTRIES_MAX) {
            free(leaves != NULL ? leaves : log->leaves);
            log->leaves = NULL;
            return fail(LIMN_NO_MEMORY, "%s: the log has too many entries", log->folder);
        }
        log->leaves = leaves;
        log->capacity = capacity;
    }
    log->leaves[log->n++] = merkle_leaf(line, length);
    json_t *entry = json_loadb(line, length, 0, NULL);
    const char *file = json_string_value(json_object_get(entry, "file"));
    bool kept = file == NULL || json_object_set(log->of_files, file, entry) == 0;
    json_decref(entry);
    return kept ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: no memory for the log", log->folder);
}

const json_t *log_entry_of(const AuditLog *log, const char *file) {
    return json_object_get(log->of_files, file);
}

/* ---- opening ---- */

static limn_status take(AuditLog *log, const char *path) {
    log->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log->file < 0) {
        return fail(LIMN_IO, "%s: %s", path, strerror(errno));
    }
    if (flock(log->file, LOCK_EX | LOCK_NB) != 0) {
        return fail(LIMN_IO, "%s: another audit works in this folder", path);
    }
    return LIMN_OK;
}

static limn_status hold_against_checkpoint(const AuditLog *log) {
    char path[4096];
    Checkpoint checkpoint;
    TRY(path_of(path, log->folder, "checkpoint"));
    if (!file_exists(path)) {
        return LIMN_OK;
    }
    TRY(log_read_checkpoint(&checkpoint, log->folder, log->key.public));
    if (!checkpoint.is_signed) {
        return fail(LIMN_FORMAT, "%s: the signature is not of this key; `limn log verify` says more", path);
    }
    if (checkpoint.size > log->n || !merkle_same(merkle_root(log->leaves, checkpoint.size), checkpoint.root)) {
        return fail(LIMN_FORMAT, "%s/log.jsonl: is not what its checkpoint signed; `limn log verify` says more",
                    log->folder);
    }
    return LIMN_OK;
}

limn_status log_open(AuditLog *log, const char *folder, const char *key_path, Arena *arena) {
    char path[4096];
    struct stat info;
    int64_t torn;
    *log = (AuditLog){.folder = arena_strdup(arena, folder), .file = -1, .of_files = json_object()};
    TRY(log->folder != NULL && log->of_files != NULL ? path_of(path, folder, "log.jsonl")
                                                     : fail(LIMN_NO_MEMORY, "%s: out of memory", folder));
    TRY(signing_key_open(&log->key, key_path));
    TRY(take(log, path));
    TRY(log_read(folder, add_leaf, log, &torn));
    if (torn > 0 && (fstat(log->file, &info) != 0 || ftruncate(log->file, info.st_size - torn) != 0)) {
        return fail(LIMN_IO, "%s: %s", path, strerror(errno));
    }
    return hold_against_checkpoint(log);
}

void log_close(AuditLog *log) {
    if (log->folder != NULL && log->file >= 0) {
        close(log->file);
        log->file = -1;
    }
    free(log->leaves);
    log->leaves = NULL;
    json_decref(log->of_files);
    log->of_files = NULL;
    sodium_memzero(&log->key, sizeof log->key);
}

/* ---- writing ---- */

/* Whole or not at all. */
static limn_status write_line(const AuditLog *log, const char *line, size_t length) {
    struct stat before;
    if (fstat(log->file, &before) != 0) {
        return fail(LIMN_IO, "%s/log.jsonl: %s", log->folder, strerror(errno));
    }
    size_t done = 0;
    while (done < length) {
        ssize_t wrote = write(log->file, line + done, length - done);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            int why = wrote < 0 ? errno : ENOSPC;
            int cut = ftruncate(log->file, before.st_size);
            return fail(LIMN_IO, "%s/log.jsonl: %s%s", log->folder, strerror(why),
                        cut != 0 ? " (a torn line is left)" : "");
        }
        done += (size_t)wrote;
    }
    return fsync(log->file) == 0 ? LIMN_OK : fail(LIMN_IO, "%s/log.jsonl: %s", log->folder, strerror(errno));
}

limn_status log_append(AuditLog *log, json_t *entry) {
    char *line = entry != NULL ? json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(entry);
    if (line == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for an entry of the log", log->folder);
    }
    size_t length = strlen(line);
    line[length] = '\n'; /* a file's line has no NUL */
    limn_status status = write_line(log, line, length + 1);
    status = status == LIMN_OK ? add_leaf(log, line, length) : status;
    free(line);
    return status;
}

limn_status log_checkpoint(const AuditLog *log) {
    char path[4096], text[512], root[64], signature[SIGNATURE_TEXT];
    const MerkleHash hash = merkle_root(log->leaves, log->n);
    TRY(path_of(path, log->folder, "checkpoint"));
    sodium_bin2base64(root, sizeof root, hash.bytes, MERKLE_BYTES, sodium_base64_VARIANT_ORIGINAL);
    int length = snprintf(text, sizeof text, "%s\n%lld\n%s\n", origin, (long long)log->n, root);
    signing_sign(signature, &log->key, text, (size_t)length);
    length += snprintf(text + length, sizeof text - (size_t)length, "\n%s\n", signature);
    return file_write_atomic(path, text, (size_t)length);
}
