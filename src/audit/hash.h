/* What a step was made of, as one hash: equal hashes have equal results. */
#ifndef LIMN_AUDIT_HASH_H
#define LIMN_AUDIT_HASH_H

#include "audit/plan.h"

enum { HASH_HEX = 65 };

typedef struct FileHash {
    const char *path;
    char hex[HASH_HEX];
} FileHash;

/* Hashes of the files and folders an audit reads, each read once. */
typedef struct FileHashes {
    FileHash *items; /* [n] in the arena */
    int32_t n, capacity;
    Arena *arena;
    Team *team;
} FileHashes;

/* A file's content, or a folder's: its files by name, folders in it left out. A model may be org/name; an adapter
 * DIR:WEIGHT. The name of the file or folder itself is no part of it. *hex is borrowed. */
limn_status file_hashes_get(const char **hex, FileHashes *hashes, const char *path);

void sha256_hex(char hex[HASH_HEX], const void *bytes, size_t length);

/* The key of a step: version, command and parameters, with files by their content and other steps by their keys.
 * keys: [plan->n_steps] of the steps before it. */
limn_status step_key(char hex[HASH_HEX], const Plan *plan, const PlanStep *step, const char *const *keys,
                     FileHashes *hashes);

#endif
