/* One hash over a list of files: what a result says it was computed from. */
#ifndef LIMN_FILES_HASH_H
#define LIMN_FILES_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/parallel.h"

typedef struct HashFile {
    const char *path;
    const char *name; /* bound into the hash; NULL: the last part of path */
} HashFile;

/* SHA-256 over a Merkle tree in the manner of RFC 6962, as 64 hex digits:
 *   leaf   = SHA(00, 16 MiB chunk)          node = SHA(01, left, right), split at the largest power of two
 *   file   = SHA(02, name length, name, size, root of its leaves); lengths are u64, little-endian
 *   result = root over the files' hashes, files sorted by name
 * The first byte keeps a chunk from posing as a node or a file. The order of `files` does not matter; names must
 * differ. Chunks are read in parallel. Roots are cached in ${XDG_CACHE_HOME:-~/.cache}/limn/hash by device, inode,
 * size and modification time; `fresh` reads everything again. A cache that cannot be written is no error. */
limn_status hash_files(char hex[65], const HashFile *files, int32_t n, bool fresh, Team *team);

#endif
