/* An append-only log of what an audit did: one JSON line for each entry, whose bytes are frozen when they are written
 * and hashed as they stand; a checkpoint (how many entries, their root) signed with Ed25519.
 *
 * A process that is killed leaves at most a torn last line, which nothing had been told of: it is cut when the log is
 * opened again. A log that does not agree with its checkpoint is not gone on with.
 *
 *   DIR/log.jsonl    the entries
 *   DIR/checkpoint   "limn audit log\nSIZE\nBASE64(root)\n\nBASE64(signature of what stands before the blank line)\n"
 */
#ifndef LIMN_AUDIT_LOG_H
#define LIMN_AUDIT_LOG_H

#include <jansson.h>

#include "audit/merkle.h"
#include "audit/signing.h"
#include "base/arena.h"

typedef struct AuditLog AuditLog;

struct AuditLog {
    const char *folder;
    int file; /* -1: closed */
    SigningKey key;
    MerkleHash *leaves; /* [n] malloc'ed */
    int64_t n, capacity;
    json_t *of_files; /* a step's file -> the last entry that names it */
};

typedef struct Checkpoint {
    int64_t size;
    MerkleHash root;
    bool is_signed; /* by the key that was given */
} Checkpoint;

/* Takes the log for this process alone, reads what is there and holds it against its checkpoint. */
limn_status log_open(AuditLog *log, const char *folder, const char *key_path, Arena *arena);
void log_close(AuditLog *log);

/* The last entry that names this file; NULL: none does. Borrowed. */
const json_t *log_entry_of(const AuditLog *log, const char *file);

/* Takes the entry over. On the disk when it returns. */
limn_status log_append(AuditLog *log, json_t *entry);
limn_status log_checkpoint(const AuditLog *log);

/* ---- reading, for whoever checks ---- */

/* Calls `each` with every whole line, without its line end. *torn: bytes behind the last one. */
limn_status log_read(const char *folder, limn_status (*each)(void *context, const char *line, size_t length),
                     void *context, int64_t *torn);
limn_status log_read_checkpoint(Checkpoint *checkpoint, const char *folder, const unsigned char public[PUBLIC_BYTES]);

#endif
