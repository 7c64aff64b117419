/* The record of an audit in its work folder: the log of what was done, and a signed list of every file.
 *
 *   log.jsonl, checkpoint     log.h
 *   report.json               the audit's own document, but for what changes from run to run
 *   manifest.json             each file of the folder and each input, with its SHA-256 and size
 *   manifest.json.sig         its signature, base64
 *   signing.key, .pub         the key, unless --key names another */
#ifndef LIMN_AUDIT_RECORD_H
#define LIMN_AUDIT_RECORD_H

#include "audit/audit.h"
#include "audit/log.h"

limn_status record_open(AuditLog *log, const Audit *audit);
/* Whether a step's result lies there as the log has it. One that was changed since is not gone on with: LIMN_FORMAT.
 * One that no entry speaks of (the audit was killed between the two) is not there. */
limn_status record_find_kept(bool *kept, const StepRunner *runner, const StepRun *run);
limn_status record_step(AuditLog *log, const StepRunner *runner, int32_t step);
/* Writes report, manifest and checkpoint. */
limn_status record_close(AuditLog *log, const Audit *audit);

/* SHA-256 of a file's bytes, and how many there are. */
limn_status file_sha256(char hex[HASH_HEX], int64_t *size, const char *path);

#endif
