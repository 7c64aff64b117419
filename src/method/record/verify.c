/* Runs a recorded result again and compares; and renders it again, where it is a page or pages of it are given.
 *
 * On the same version, backend, instruction set and libraries the same bytes are promised, so anything else fails;
 * elsewhere the numbers must agree within the tolerance and everything that is not a number must be equal. A page holds
 * the record, and what it shows besides must be what this version makes of that record, byte for byte. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "call/call.h"
#include "method/record/verify.h"

enum { RESULT_FILE_CAP = 1 << 30 };

/* What the record leaves open: threads (those of the record unless said otherwise: the same
 * bytes are promised for the same number) and memory. */
static limn_status add_effort(json_t *params, const MethodCall *call, const Result *recorded) {
    int64_t threads = call->common.threads > 0 ? call->common.threads : recorded->provenance.threads;
    bool added = threads <= 0 || json_object_set_new(params, "threads", json_integer(threads)) == 0;
    size_t memory = call->common.memory;
    if (memory > 0) {
        json_t *value = memory == PARAM_BYTES_LEAST ? json_string("min") : json_integer((json_int_t)memory);
        added = added && json_object_set_new(params, "memory", value) == 0;
    }
    return added ? LIMN_OK : method_no_memory(call);
}

/* The recorded request as JSON parameters. */
static limn_status recorded_params(json_t **params, MovedFiles *moved, MethodCall *call, const Result *recorded) {
    const VerifyParams *verify = call->params;
    char *text;
    if (recorded->command == NULL) {
        return fail(LIMN_FORMAT, "%s: the result does not say which call made it", verify->file.bytes);
    }
    const Method *method = registry_find(call->registry, recorded->command);
    if (method == NULL || !method->explains) {
        return fail(LIMN_UNSUPPORTED, "%s: made by '%s', which cannot be run again", verify->file.bytes,
                    recorded->command);
    }
    TRY(result_request_json(&text, recorded));
    json_error_t error;
    *params = json_loads(text, JSON_ALLOW_NUL, &error);
    free(text);
    if (*params == NULL) {
        return fail(LIMN_FORMAT, "%s: the recorded parameters are broken: %s", verify->file.bytes, error.text);
    }
    TRY(verify_files_move(moved, *params, call, recorded));
    return add_effort(*params, call, recorded);
}

static void describe(Result *result, const Comparison *comparison, const VerifyParams *params) {
    static const TableColumn columns[] = {{TEXT("where"), COLUMN_TEXT},
                                          {TEXT("recorded"), COLUMN_TEXT},
                                          {TEXT("now"), COLUMN_TEXT},
                                          {TEXT("relative difference"), COLUMN_NUMBER},
                                          {TEXT("tolerated"), COLUMN_FLAG}};
    result_check(result, "same-answer", comparison->within ? 1 : 0, CHECK_AT_LEAST, 1,
                 "1 when everything agrees, numbers within %g of the largest of their kind; 0 when something differs",
                 params->tolerance);
    if (comparison->same_environment) {
        result_check(
            result, "same-bytes", comparison->same_bytes ? 1 : 0, CHECK_AT_LEAST, 1,
            "1 when the bytes are the same, as the same version, backend and machine type promise; 0 when not");
    } else {
        result_warn(result,
                    "recorded with another version, backend, machine type or number of threads: compared within "
                    "tolerances");
    }
    if (comparison->n_differences == 0) {
        return;
    }
    TableBlock *table = result_add_table(result, "differences", "Differences", columns, 5);
    if (comparison->kept < comparison->n_differences) {
        result_block_note(result, "the first %d of %lld", (int)comparison->kept, (long long)comparison->n_differences);
    }
    for (int32_t i = 0; i < comparison->kept; i++) {
        const Difference *difference = &comparison->differences[i];
        Value cells[] = {value_text(difference->path), value_text(difference->first), value_text(difference->second),
                         value_number(difference->size), value_bool(difference->tolerated)};
        table_row(table, cells);
    }
}

static limn_status compare(MethodCall *call, Result *result, const Result *recorded, const json_t *again,
                           const MovedFiles *moved, const char **outcome) {
    const VerifyParams *params = call->params;
    CallListeners listeners = {.progress = *call->progress};
    Result *now = NULL;
    TRY(method_call(&now, call->registry, call->models, recorded->command, again, &listeners));
    Comparison comparison;
    Tolerance tolerance = {.relative = params->tolerance, .absolute = 0};
    limn_status status = verify_files_settle(&now, result, call, recorded, moved);
    status = status == LIMN_OK ? result_compare(&comparison, recorded, now, tolerance) : status;
    if (status == LIMN_OK) {
        describe(result, &comparison, params);
        *outcome = comparison.same_bytes ? "the same bytes again"
                   : comparison.within   ? "the same answer within the tolerance"
                                         : "another answer";
        comparison_free(&comparison);
        status = result_status(result);
    }
    result_free(now);
    return status;
}

/* ---- pages ---- */

/* The file itself, when it is a page, and those given beside it. */
typedef struct Pages {
    PageDifference *items; /* [n] */
    int32_t n;
} Pages;

static limn_status add_page(Pages *pages, const MethodCall *call, const Result *recorded, const char *path) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, RESULT_FILE_CAP));
    limn_status status = LIMN_OK;
    if (verify_is_page(path, bytes, length)) {
        status = verify_page(&pages->items[pages->n++], call, recorded, path, bytes, length);
    } else if (path != ((const VerifyParams *)call->params)->file.bytes) {
        status = fail(LIMN_USAGE,
                      "option 'page': %s is a record itself, expected what was written of one: a page, a "
                      "picture, a text",
                      path);
    }
    free(bytes);
    return status;
}

static limn_status read_pages(Pages *pages, const MethodCall *call, const Result *recorded) {
    const VerifyParams *params = call->params;
    pages->items = ARENA_ARRAY(call->arena, PageDifference, params->pages.n + 1);
    if (pages->items == NULL) {
        return method_no_memory(call);
    }
    TRY(add_page(pages, call, recorded, params->file.bytes));
    for (int32_t i = 0; i < params->pages.n; i++) {
        TRY(add_page(pages, call, recorded, params->pages.items[i].bytes));
    }
    return LIMN_OK;
}

/* Another version may say the same in other words. */
static void check_page(Result *result, const PageDifference *page, int32_t index, bool same_version) {
    char name[32] = "same-page";
    if (index > 0) {
        snprintf(name, sizeof name, "same-page-%d", (int)index + 1);
    }
    if (page->other_setting && !page->same) {
        result_check_inconclusive(result, name, 0, CHECK_AT_LEAST, 1,
                                  "%s is what the record looks like: set with other fonts or libraries than are here, "
                                  "so that its bytes are others",
                                  path_base(page->path));
    } else if (page->same || same_version) {
        result_check(result, name, page->same ? 1 : 0, CHECK_AT_LEAST, 1,
                     "%s is what the record looks like, rendered again, byte for byte", path_base(page->path));
    } else {
        result_check_inconclusive(result, name, 0, CHECK_AT_LEAST, 1,
                                  "%s is what the record looks like: written by another version, whose words may be "
                                  "others",
                                  path_base(page->path));
    }
}

/* *changed: the first page that shows something else. */
static void describe_pages(Result *result, const Pages *pages, const Result *recorded, const PageDifference **changed) {
    static const TableColumn columns[] = {{TEXT("page"), COLUMN_TEXT},
                                          {TEXT("line"), COLUMN_INTEGER},
                                          {TEXT("found"), COLUMN_TEXT},
                                          {TEXT("expected"), COLUMN_TEXT}};
    const Text version = recorded->provenance.version, own = text_of(LIMN_VERSION);
    bool same_version = same_text(version, own);
    *changed = NULL;
    TableBlock *table = NULL;
    for (int32_t i = 0; i < pages->n; i++) {
        const PageDifference *page = &pages->items[i];
        check_page(result, page, i, same_version);
        if (page->same) {
            continue;
        }
        if (*changed == NULL) {
            *changed = page;
            table = result_add_table(result, "pages", "Where pages show something else", columns, 4);
        }
        const Value cells[] = {value_text(path_base(page->path)), value_integer(page->line),
                               value_bytes(page->found.bytes, page->found.length),
                               value_bytes(page->expected.bytes, page->expected.length)};
        table_row(table, cells);
    }
}

/* "line 12", "page 3"; "it" where no page is. */
static const char *place_of(const MethodCall *call, const PageDifference *page) {
    const char *place = page->line > 0 ? arena_printf(call->arena, "%s %lld", page->unit, (long long)page->line) : "it";
    return place == NULL ? page->unit : place;
}

static limn_status verify(MethodCall *call, Result *result, const Result *recorded) {
    const VerifyParams *params = call->params;
    json_t *again = NULL;
    const char *outcome = "";
    Pages pages = {0};
    MovedFiles moved;
    TRY(read_pages(&pages, call, recorded));
    limn_status status = recorded_params(&again, &moved, call, recorded);
    status = status == LIMN_OK ? compare(call, result, recorded, again, &moved, &outcome) : status;
    json_decref(again);
    TRY(status);
    const PageDifference *changed;
    describe_pages(result, &pages, recorded, &changed);
    if (changed == NULL) {
        result_headline(result, "%s: %s%s", path_base(params->file.bytes), outcome,
                        pages.n == 0   ? ""
                        : pages.n == 1 ? ", and the page shows it"
                                       : ", and the pages show it");
    } else {
        result_headline(result, "%s: %s; but %s shows something else: %s has '%.*s', expected '%.*s'",
                        path_base(params->file.bytes), outcome, path_base(changed->path), place_of(call, changed),
                        (int)changed->found.length, changed->found.bytes, (int)changed->expected.length,
                        changed->expected.bytes);
    }
    return result_status(result);
}

static limn_status run(MethodCall *call, Result *result) {
    const VerifyParams *params = call->params;
    char *bytes;
    size_t length;
    Result *recorded = NULL;
    TRY(file_read(&bytes, &length, params->file.bytes, RESULT_FILE_CAP));
    limn_status status = result_read_json(&recorded, bytes, length, params->file.bytes);
    free(bytes);
    TRY(status);
    status = verify(call, result, recorded);
    result_free(recorded);
    return status;
}

static const limn_param rows[] = {
    {"result", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "RESULT",
     .help = "a result written as .json, or as a page (.html, .pdf), which holds it",
     .field = offsetof(VerifyParams, file)},
    PARAM_ROW("model", 0, LIMN_PARAM_FILE, "MODEL", "where the model lies now, if it has moved",
              offsetof(VerifyParams, model)),
    {"adapter", 0, LIMN_PARAM_FILE, .repeated = true, .metavar = "DIR",
     .help = "where the adapters lie now, in any order: their hashes say which is which",
     .field = offsetof(VerifyParams, adapters)},
    {"edit", 0, LIMN_PARAM_FILE, .repeated = true, .metavar = "FILE",
     .help = "where the edit files lie now, in any order: their hashes say which is which",
     .field = offsetof(VerifyParams, edits)},
    PARAM_ROW("data", 0, LIMN_PARAM_FILE, "FILE", "where the data set lies now", offsetof(VerifyParams, data)),
    {"moved", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "OPTION=FILE",
     .help = "where any other file lies now that the command was given by this option",
     .field = offsetof(VerifyParams, moved)},
    {"page", 0, LIMN_PARAM_FILE, .repeated = true, .metavar = "FILE",
     .help = "a page, picture or text written of this result: is that what it looks like?",
     .field = offsetof(VerifyParams, pages)},
    {"tolerance", 0, LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "1e-4", .minimum = 0, .maximum = 1,
     .help = "largest relative difference on another kind of machine", .field = offsetof(VerifyParams, tolerance)},
};

const Method method_verify = {
    .command = {.name = "verify",
                .summary = "run a recorded result again and compare",
                .description = "Takes the method, the parameters and the seed from the record. On the same version and "
                               "kind of machine the bytes must be equal; elsewhere numbers must agree within the "
                               "tolerance. A page is rendered again from the record inside of it, so that a changed "
                               "word of it is found. Files that have moved are known by their hash, not by their "
                               "name. The exit code is 0 when all agrees and 1 when not.",
                .examples = "limn ig MODEL -p 'The capital of France is' -o why.json -o why.html -o why.svg\n"
                            "limn verify why.json --page why.svg\n"
                            "limn verify why.html --model /elsewhere/MODEL",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0],
                .from_record = true},
    .title = "Verification",
    .params_bytes = sizeof(VerifyParams),
    .run = run,
};
