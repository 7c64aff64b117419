/* `limn log verify DIR`: is the record of an audit what was signed?
 *
 * Every file against the signed manifest, every input against the hash it had, every entry of the log against the
 * signed checkpoint, every step's result against its last entry. What was changed is named. It proves integrity, not
 * truth: who holds the key could have signed something else, so keep the public key, or a copy of the checkpoint, off
 * the host. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/bytes.h"
#include "base/file.h"
#include "files/json.h"

typedef struct LogParams {
    Text folder;
    Text key;
    ParamTexts moved;
    ParamTexts pages;
    int64_t entry;
} LogParams;

typedef struct Verifier {
    MethodCall *call;
    const LogParams *params;
    Result *result;
    TableBlock *problems;
    int32_t n_problems;
    unsigned char public[PUBLIC_BYTES];
    MerkleHash *leaves; /* [n] */
    int64_t n, capacity;
    json_t *steps;           /* file -> its last entry */
    char manifest[HASH_HEX]; /* as the last entry has it; "": that one does not end an audit */
} Verifier;

static void problem(Verifier *verifier, const char *file, const char *found, const char *expected) {
    const Value cells[] = {value_text(file), value_text(found), value_text(expected)};
    table_row(verifier->problems, cells);
    verifier->n_problems++;
}

static const char *inside(const Verifier *verifier, const char *name) {
    return arena_printf(verifier->call->arena, "%s/%s", verifier->params->folder.bytes, name);
}

/* ---- the log ---- */

/* What was kept from an earlier run must be what that run left. */
static void check_kept(Verifier *verifier, const char *file, const char *event, const json_t *entry) {
    static const char *const parts[] = {"result", "decisions"};
    const json_t *before = json_object_get(verifier->steps, file);
    if (before == NULL || event == NULL || strcmp(event, "kept") != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char *was = json_string_value(json_object_get(before, parts[i]));
        const char *is = json_string_value(json_object_get(entry, parts[i]));
        if (was != NULL && is != NULL && strcmp(was, is) != 0) {
            problem(verifier, arena_printf(verifier->call->arena, "log.jsonl, entry %lld", (long long)verifier->n - 1),
                    arena_printf(verifier->call->arena, "%s kept with %s %s", file, parts[i], is), was);
        }
    }
}

static limn_status see_entry(void *context, const char *line, size_t length) {
    Verifier *verifier = context;
    if (verifier->n == verifier->capacity) {
        int64_t capacity = verifier->capacity > 0 ? 2 * verifier->capacity : 256;
        MerkleHash *leaves = realloc(verifier->leaves, (size_t)capacity * sizeof *leaves);
        if (leaves == NULL) {
            return method_no_memory(verifier->call);
        }
        verifier->leaves = leaves;
        verifier->capacity = capacity;
    }
    verifier->leaves[verifier->n++] = merkle_leaf(line, length);
    json_t *entry = json_loadb(line, length, 0, NULL);
    const char *file = json_string_value(json_object_get(entry, "file"));
    const char *event = json_string_value(json_object_get(entry, "event"));
    const char *manifest = json_string_value(json_object_get(entry, "manifest"));
    if (file != NULL) {
        check_kept(verifier, file, event, entry);
        json_object_set(verifier->steps, file, entry);
    }
    snprintf(verifier->manifest, sizeof verifier->manifest, "%s", manifest != NULL ? manifest : "");
    json_decref(entry);
    return LIMN_OK;
}

static limn_status check_log(Verifier *verifier) {
    Checkpoint checkpoint;
    int64_t torn;
    TRY(log_read(verifier->params->folder.bytes, see_entry, verifier, &torn));
    TRY(log_read_checkpoint(&checkpoint, verifier->params->folder.bytes, verifier->public));
    if (!checkpoint.is_signed) {
        problem(verifier, "checkpoint", "a signature that does not fit", "a signature of the key");
    }
    if (checkpoint.size > verifier->n) {
        problem(verifier, "log.jsonl", arena_printf(verifier->call->arena, "%lld entries", (long long)verifier->n),
                arena_printf(verifier->call->arena, "%lld", (long long)checkpoint.size));
    } else if (!merkle_same(merkle_root(verifier->leaves, checkpoint.size), checkpoint.root)) {
        problem(verifier, "log.jsonl", "entries with another root", "the root that the checkpoint signed");
    }
    if (torn > 0 || checkpoint.size < verifier->n) {
        result_warn(verifier->result, "the log goes on behind its checkpoint: the last audit did not come to its end");
    }
    return LIMN_OK;
}

static void show_proof(Verifier *verifier) {
    static const TableColumn columns[] = {{TEXT("level"), COLUMN_INTEGER}, {TEXT("hash"), COLUMN_TEXT}};
    int64_t index = verifier->params->entry;
    if (index == PARAM_NO_INTEGER || index >= verifier->n) {
        return;
    }
    MerkleHash proof[MERKLE_PROOF_MAX];
    int32_t length = merkle_prove(proof, verifier->leaves, verifier->n, index);
    MerkleHash root = merkle_root(verifier->leaves, verifier->n);
    TableBlock *table =
        result_add_table(verifier->result, "proof", "Inclusion proof (RFC 6962), from the leaf up", columns, 2);
    for (int32_t i = 0; i < length; i++) {
        char hex[HASH_HEX];
        sodium_bin2hex(hex, sizeof hex, proof[i].bytes, MERKLE_BYTES);
        const Value cells[] = {value_integer(i), value_text(hex)};
        table_row(table, cells);
    }
    char hex[HASH_HEX], leaf[HASH_HEX];
    sodium_bin2hex(hex, sizeof hex, root.bytes, MERKLE_BYTES);
    sodium_bin2hex(leaf, sizeof leaf, verifier->leaves[index].bytes, MERKLE_BYTES);
    result_block_note(verifier->result, "entry %lld of %lld, leaf %s, root %s", (long long)index,
                      (long long)verifier->n, leaf, hex);
    result_check(verifier->result, "inclusion",
                 merkle_check(verifier->leaves[index], index, verifier->n, proof, length, root), CHECK_AT_LEAST, 1,
                 "1 when the proof leads from the entry to the root");
}

/* ---- files ---- */

static void check_file(Verifier *verifier, const char *name, const char *expected, int64_t *seen) {
    char hex[HASH_HEX];
    int64_t size;
    const char *path = inside(verifier, name);
    (*seen)++;
    if (path == NULL || !file_exists(path) || file_sha256(hex, &size, path) != LIMN_OK) {
        problem(verifier, name, "nothing", expected);
    } else if (strcmp(hex, expected) != 0) {
        problem(verifier, name, hex, expected);
    }
}

/* "decisions.0123.json" of "steps/decisions.0123.jsonl": the result that the decisions belong to. */
static const char *result_beside(const Verifier *verifier, const char *decisions) {
    return arena_strndup(verifier->call->arena, path_base(decisions), strlen(path_base(decisions)) - 1);
}

/* A step's result and decisions must be what its last entry says, and the manifest too. */
static void check_step_entry(Verifier *verifier, const char *name, const char *hash) {
    bool decisions = text_ends_with(name, ".jsonl");
    const char *file = decisions ? result_beside(verifier, name) : path_base(name);
    const json_t *entry = file != NULL ? json_object_get(verifier->steps, file) : NULL;
    const char *logged = json_string_value(json_object_get(entry, decisions ? "decisions" : "result"));
    if (logged != NULL && strcmp(logged, hash) != 0) {
        problem(verifier, "manifest.json", hash,
                arena_printf(verifier->call->arena, "%s of the log, for %s", logged, name));
    }
}

/* Where an input lies now: as it was, or as --moved says. */
static const char *moved_path(const Verifier *verifier, const char *path) {
    size_t length = strlen(path);
    for (int32_t i = 0; i < verifier->params->moved.n; i++) {
        const char *text = verifier->params->moved.items[i].bytes;
        if (strncmp(text, path, length) == 0 && text[length] == '=') {
            return text + length + 1;
        }
    }
    return path;
}

static limn_status check_inputs(Verifier *verifier, const json_t *inputs, int64_t *seen) {
    FileHashes hashes = {.arena = verifier->call->arena, .team = verifier->call->team};
    const char *path, *hex;
    json_t *expected;
    json_object_foreach((json_t *)(uintptr_t)inputs, path, expected) {
        const char *now = moved_path(verifier, path);
        limn_status status = file_hashes_get(&hex, &hashes, now);
        (*seen)++;
        if (status == LIMN_NOT_FOUND || status == LIMN_USAGE) {
            result_warn(verifier->result, "the input %s is not here: --moved '%s=PATH' says where it lies now", path,
                        path);
        } else if (status != LIMN_OK) {
            return status;
        } else if (json_is_string(expected) && strcmp(hex, json_string_value(expected)) != 0) {
            problem(verifier, now, hex, json_string_value(expected));
        }
    }
    return LIMN_OK;
}

/* An older manifest has a signature too: the log says which is the last. */
static void check_manifest_entry(Verifier *verifier, const char *path) {
    char hex[HASH_HEX];
    int64_t size;
    if (verifier->manifest[0] != '\0' && file_sha256(hex, &size, path) == LIMN_OK &&
        strcmp(hex, verifier->manifest) != 0) {
        problem(verifier, "manifest.json", hex,
                arena_printf(verifier->call->arena, "%s of the log's last entry", verifier->manifest));
    }
}

static limn_status check_manifest(Verifier *verifier, int64_t *seen) {
    const char *path = inside(verifier, "manifest.json"), *sig_path = inside(verifier, "manifest.json.sig");
    char *text, *signature;
    size_t length, sig_length;
    if (path == NULL || sig_path == NULL) {
        return method_no_memory(verifier->call);
    }
    TRY(file_read(&text, &length, path, (size_t)64 << 20));
    limn_status status = file_read(&signature, &sig_length, sig_path, 4096);
    json_t *manifest = NULL;
    if (status == LIMN_OK) {
        if (!signing_check(verifier->public, signature, text, length)) {
            problem(verifier, "manifest.json", "a signature that does not fit", "a signature of the key");
        }
        free(signature);
        check_manifest_entry(verifier, path);
        status = json_text_load(&manifest, path, text, length);
    }
    free(text);
    TRY(status);
    const char *name;
    json_t *entry;
    json_object_foreach(json_object_get(manifest, "files"), name, entry) {
        const char *hash = json_string_value(json_object_get(entry, "sha256"));
        check_file(verifier, name, hash != NULL ? hash : "", seen);
        check_step_entry(verifier, name, hash != NULL ? hash : "");
    }
    status = check_inputs(verifier, json_object_get(manifest, "inputs"), seen);
    json_decref(manifest);
    return status;
}

/* ---- reports that went elsewhere ---- */

static limn_status read_document(Result **result, const char *path) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, (size_t)1 << 30));
    limn_status status = result_read_json(result, bytes, length, path);
    free(bytes);
    return status;
}

static bool same_block(const Result *a, const Result *b, int32_t i) {
    TextBuffer first = TEXT_BUFFER_INIT, second = TEXT_BUFFER_INIT;
    bool same = result_write_block(&first, a, i) == LIMN_OK && result_write_block(&second, b, i) == LIMN_OK &&
                first.length == second.length && memcmp(first.data, second.data, first.length) == 0;
    text_buffer_free(&first);
    text_buffer_free(&second);
    return same;
}

/* The document inside a page (or a JSON file) must say what the signed report says. */
static void compare_documents(Verifier *verifier, const char *path, const Result *page, const Result *report) {
    if (!same_text(page->headline, report->headline)) {
        problem(verifier, path, "another headline", "that of report.json");
    }
    bool checks = page->n_checks == report->n_checks;
    for (int32_t i = 0; checks && i < page->n_checks; i++) {
        checks = same_text(page->checks[i].name, report->checks[i].name) &&
                 page->checks[i].state == report->checks[i].state && page->checks[i].limit == report->checks[i].limit;
    }
    if (!checks) {
        problem(verifier, path, "other checks", "those of report.json");
    }
    if (page->n_blocks != report->n_blocks) {
        problem(verifier, path, "another number of blocks", "that of report.json");
        return;
    }
    for (int32_t i = 0; i < page->n_blocks; i++) {
        if (!same_block(page, report, i)) {
            problem(verifier, path,
                    arena_printf(verifier->call->arena, "the block '%s' says something else", page->blocks[i].id),
                    "that of report.json");
        }
    }
}

static limn_status check_pages(Verifier *verifier) {
    for (int32_t i = 0; i < verifier->params->pages.n; i++) {
        const char *path = verifier->params->pages.items[i].bytes, *own = inside(verifier, "report.json");
        Result *page = NULL, *report = NULL;
        limn_status status = own != NULL ? read_document(&report, own) : method_no_memory(verifier->call);
        status = status == LIMN_OK ? read_document(&page, path) : status;
        if (status == LIMN_OK) {
            compare_documents(verifier, path, page, report);
        }
        result_free(page);
        result_free(report);
        TRY(status);
    }
    return LIMN_OK;
}

static limn_status verify(Verifier *verifier) {
    static const TableColumn columns[] = {
        {TEXT("file"), COLUMN_TEXT}, {TEXT("found"), COLUMN_TEXT}, {TEXT("expected"), COLUMN_TEXT}};
    const char *key = verifier->params->key.bytes;
    int64_t seen = 0;
    key = key != NULL ? key : inside(verifier, "signing.key.pub");
    verifier->steps = json_object();
    if (key == NULL || verifier->steps == NULL) {
        return method_no_memory(verifier->call);
    }
    TRY(signing_public_read(verifier->public, key));
    verifier->problems = result_add_table(verifier->result, "problems", "What is not as it was signed", columns, 3);
    TRY(check_log(verifier));
    TRY(check_manifest(verifier, &seen));
    TRY(check_pages(verifier));
    show_proof(verifier);
    if (verifier->params->key.bytes == NULL) {
        result_warn(verifier->result,
                    "the public key was taken from the record itself: --key FILE.pub names one that was "
                    "kept elsewhere");
    }
    result_check(verifier->result, "record", verifier->n_problems, CHECK_AT_MOST, 0,
                 "files, inputs, entries and signatures that are not as they were signed");
    if (verifier->n_problems == 0) {
        result_headline(verifier->result,
                        "The record is whole: %lld files and inputs, %lld entries of the log, as they were signed",
                        (long long)seen, (long long)verifier->n);
    } else {
        result_headline(verifier->result,
                        "The record was changed: %d of its parts are not as they were signed, the first is %s",
                        (int)verifier->n_problems,
                        verifier->problems != NULL ? table_cell(verifier->problems, 0, 0)->text.bytes : "");
    }
    return result_status(verifier->result);
}

static limn_status run(MethodCall *call, Result *result) {
    Verifier verifier = {.call = call, .params = call->params, .result = result};
    limn_status status = verify(&verifier);
    json_decref(verifier.steps);
    free(verifier.leaves);
    return status;
}

static const limn_param rows[] = {
    {"folder", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "DIR",
     .help = "the work folder of an audit", .field = offsetof(LogParams, folder)},
    PARAM_ROW("key", 0, LIMN_PARAM_FILE, "FILE.pub", "the public key, kept elsewhere; without it the one in the folder",
              offsetof(LogParams, key)),
    {"moved", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "PATH=PATH",
     .help = "where a model, adapter or data set lies now", .field = offsetof(LogParams, moved)},
    {"page", 0, LIMN_PARAM_FILE, .repeated = true, .metavar = "FILE",
     .help = "a report of this audit as .html or .json: does it say what was signed?",
     .field = offsetof(LogParams, pages)},
    {"entry", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 0, .maximum = 9e15,
     .help = "show the proof that entry N (from 0) is in the log", .field = offsetof(LogParams, entry)},
};

const Method method_log_verify = {
    .command = {.name = "log verify",
                .summary = "is the record of an audit what was signed?",
                .description =
                    "Holds every file of an audit's work folder, every model, adapter and data set it read, and "
                    "every entry of its log against what was signed, and names what was changed. The exit code "
                    "is 0 when all is as it was and 1 when not.",
                .examples = "limn log verify out/audit\n"
                            "limn log verify out/audit --key kept-elsewhere.pub --page audit.html --entry 3",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0],
                .from_record = true},
    .title = "The record",
    .params_bytes = sizeof(LogParams),
    .run = run,
};
