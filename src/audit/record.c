#include "audit/record.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

limn_status file_sha256(char hex[HASH_HEX], int64_t *size, const char *path) {
    FileMap *map;
    unsigned char hash[crypto_hash_sha256_BYTES];
    TRY(file_map_open(&map, path));
    crypto_hash_sha256(hash, map->data, map->size);
    *size = (int64_t)map->size;
    file_map_close(map);
    sodium_bin2hex(hex, HASH_HEX, hash, sizeof hash);
    return LIMN_OK;
}

static void now_text(char text[32]) {
    time_t now = time(NULL);
    struct tm utc;
    text[0] = '\0';
    if (gmtime_r(&now, &utc) != NULL) {
        strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
}

/* ---- the log ---- */

limn_status record_open(AuditLog *log, const Audit *audit) {
    char hex[HASH_HEX], time_now[32];
    int64_t size;
    const char *key = audit->params->key.bytes;
    key = key != NULL ? key : arena_printf(audit->call->arena, "%s/signing.key", audit->runner.work);
    if (key == NULL) {
        return method_no_memory(audit->call);
    }
    TRY(file_sha256(hex, &size, audit->params->plan.bytes));
    TRY(log_open(log, audit->runner.work, key, audit->call->arena));
    now_text(time_now);
    return log_append(log, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "event", "begin", "time", time_now, "plan", hex,
                                     "title", audit->plan.title, "version", LIMN_VERSION, "steps",
                                     (int)audit->plan.n_steps));
}

static limn_status hold_against_log(const char *path, const char *logged) {
    char hex[HASH_HEX];
    int64_t size;
    TRY(file_sha256(hex, &size, path));
    return logged != NULL && strcmp(hex, logged) == 0
               ? LIMN_OK
               : fail(LIMN_FORMAT,
                      "%s: was changed since it was kept: found SHA-256 %.16s..., expected %.16s...; "
                      "remove it and its step runs again",
                      path, hex, logged != NULL ? logged : "none");
}

limn_status record_find_kept(bool *kept, const StepRunner *runner, const StepRun *run) {
    const json_t *entry = runner->log != NULL ? log_entry_of(runner->log, path_base(run->file)) : NULL;
    const char *decisions = json_string_value(json_object_get(entry, "decisions"));
    bool decides = decisions != NULL && decisions[0] != '\0';
    *kept = entry != NULL && file_exists(run->file) && (!decides || file_exists(run->decisions));
    if (!*kept) {
        return LIMN_OK;
    }
    TRY(hold_against_log(run->file, json_string_value(json_object_get(entry, "result"))));
    return decides ? hold_against_log(run->decisions, decisions) : LIMN_OK;
}

/* The log is never rewritten, so no text of a record goes into it: of a case it says which one it was. */
static limn_status logged_command(TextBuffer *out, const StepRunner *runner, int32_t step) {
    PlanStep shown = runner->plan->steps[step];
    if (!shown.added || json_object_get(shown.params, "prompt") == NULL) {
        return command_line(out, runner->plan, &shown);
    }
    shown.params = json_copy(shown.params);
    json_t *instead = json_sprintf("(of %s)", shown.id);
    limn_status status = shown.params != NULL && json_object_set_new(shown.params, "prompt", instead) == 0
                             ? command_line(out, runner->plan, &shown)
                             : method_no_memory(runner->call);
    json_decref(shown.params);
    return status;
}

static limn_status log_refused(AuditLog *log, const StepRunner *runner, int32_t step, const char *time_now) {
    const char *why = runner->runs[step].why;
    TRY(runner->redactor != NULL && why != NULL ? redact_sentence(runner->redactor, &why, why, true) : LIMN_OK);
    return log_append(log, json_pack("{s:s, s:s, s:s, s:s*}", "event", "refused", "time", time_now, "step",
                                     runner->plan->steps[step].id, "why", why));
}

limn_status record_step(AuditLog *log, const StepRunner *runner, int32_t step) {
    const StepRun *run = &runner->runs[step];
    char result[HASH_HEX] = "", decisions[HASH_HEX] = "", time_now[32];
    int64_t size;
    now_text(time_now);
    if (run->result == NULL) {
        return log_refused(log, runner, step, time_now);
    }
    TRY(file_sha256(result, &size, run->file));
    if (run->decisions != NULL && file_exists(run->decisions)) {
        TRY(file_sha256(decisions, &size, run->decisions));
    }
    const ResultModel *model = &run->result->model;
    TextBuffer line = TEXT_BUFFER_INIT;
    limn_status status = logged_command(&line, runner, step);
    if (status == LIMN_OK) {
        status = log_append(log, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "event",
                                           run->kept ? "kept" : "step", "time", time_now, "step",
                                           runner->plan->steps[step].id, "key", run->key, "command",
                                           line.data != NULL ? line.data : "", "model",
                                           model->hash.bytes != NULL ? model->hash.bytes : "", "file",
                                           path_base(run->file), "result", result, "decisions", decisions));
    }
    text_buffer_free(&line);
    return status;
}

/* ---- the manifest ---- */

static limn_status add_file(json_t *files, const Audit *audit, const char *name) {
    char hex[HASH_HEX];
    int64_t size;
    char *path = arena_printf(audit->call->arena, "%s/%s", audit->runner.work, name);
    if (path == NULL) {
        return method_no_memory(audit->call);
    }
    TRY(file_sha256(hex, &size, path));
    json_t *entry = json_pack("{s:s, s:I}", "sha256", hex, "bytes", (json_int_t)size);
    return json_object_set_new(files, name, entry) == 0 ? LIMN_OK : method_no_memory(audit->call);
}

/* A file of a step, where it left one. */
static limn_status add_step_file(json_t *files, const Audit *audit, const char *file) {
    if (file == NULL || !file_exists(file)) {
        return LIMN_OK;
    }
    const char *name = arena_printf(audit->call->arena, "steps/%s", path_base(file));
    return name != NULL ? add_file(files, audit, name) : method_no_memory(audit->call);
}

static limn_status add_step_files(json_t *files, const Audit *audit) {
    const StepRunner *runner = &audit->runner;
    for (int32_t i = 0; i < runner->done; i++) {
        const limn_command *command = &runner->plan->steps[i].method->command;
        TRY(runner->runs[i].result != NULL ? add_step_file(files, audit, runner->runs[i].file) : LIMN_OK);
        TRY(add_step_file(files, audit, runner->runs[i].decisions));
        for (size_t k = 0; k < command->n_params; k++) {
            const char *file;
            TRY(step_resumed_file(&file, runner, i, &command->params[k]));
            TRY(add_step_file(files, audit, file));
        }
    }
    return LIMN_OK;
}

/* Models, adapters, data: by the hash that keys of steps are made of. */
static json_t *inputs_json(const Audit *audit) {
    json_t *inputs = json_object();
    for (int32_t i = 0; inputs != NULL && i < audit->runner.hashes.n; i++) {
        const FileHash *item = &audit->runner.hashes.items[i];
        if (json_object_set_new(inputs, item->path, json_string(item->hex)) != 0) {
            json_decref(inputs);
            return NULL;
        }
    }
    return inputs;
}

static limn_status write_in(const Audit *audit, const char *name, const char *text, size_t length) {
    char *path = arena_printf(audit->call->arena, "%s/%s", audit->runner.work, name);
    return path != NULL ? file_write_atomic(path, text, length) : method_no_memory(audit->call);
}

static limn_status write_report(const Audit *audit) {
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = result_write_json(&text, audit->result, false);
    status = status == LIMN_OK ? write_in(audit, "report.json", text.data, text.length) : status;
    text_buffer_free(&text);
    return status;
}

static limn_status write_manifest(const AuditLog *log, const Audit *audit) {
    char signature[SIGNATURE_TEXT + 1], hex[HASH_HEX];
    int64_t size;
    json_t *files = json_object();
    TRY(file_sha256(hex, &size, audit->params->plan.bytes));
    limn_status status = files != NULL ? add_step_files(files, audit) : method_no_memory(audit->call);
    static const char *const own[] = {"index.json", "report.json"};
    for (size_t i = 0; status == LIMN_OK && i < sizeof own / sizeof own[0]; i++) {
        status = add_file(files, audit, own[i]);
    }
    if (status == LIMN_OK && audit->plan.budget > 0) {
        status = add_file(files, audit, "sizes.json");
    }
    json_t *manifest = status == LIMN_OK
                           ? json_pack("{s:s, s:s, s:s, s:O, s:o}", "format", "limn.audit-manifest/1", "version",
                                       LIMN_VERSION, "plan", hex, "files", files, "inputs", inputs_json(audit))
                           : NULL;
    char *text = manifest != NULL ? json_dumps(manifest, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    json_decref(manifest);
    json_decref(files);
    if (text == NULL) {
        return status != LIMN_OK ? status : method_no_memory(audit->call);
    }
    status = write_in(audit, "manifest.json", text, strlen(text));
    if (status == LIMN_OK) {
        signing_sign(signature, &log->key, text, strlen(text));
        strcat(signature, "\n");
        status = write_in(audit, "manifest.json.sig", signature, strlen(signature));
    }
    free(text);
    return status;
}

limn_status record_close(AuditLog *log, const Audit *audit) {
    char hex[HASH_HEX], time_now[32];
    int64_t size;
    TRY(result_status(audit->result));
    TRY(write_report(audit));
    TRY(write_manifest(log, audit));
    char *path = arena_printf(audit->call->arena, "%s/manifest.json", audit->runner.work);
    TRY(path != NULL ? file_sha256(hex, &size, path) : method_no_memory(audit->call));
    now_text(time_now);
    TRY(log_append(log, json_pack("{s:s, s:s, s:s, s:i, s:s}", "event", "end", "time", time_now, "verdict",
                                  check_state_name(result_verdict(audit->result)), "findings",
                                  (int)audit->findings.n_found, "manifest", hex)));
    return log_checkpoint(log);
}
