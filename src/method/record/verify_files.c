/* A record made elsewhere: the model, its adapters and the data lie in other places here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "edit/edit_file.h"
#include "files/adapter.h"
#include "files/hash.h"
#include "method/record/verify.h"

/* ---- into the parameters ---- */

/* The file that stands in the recorded parameters under this option is `path` now; of several, number `index`. */
static limn_status set_file(MovedFiles *files, json_t *params, const MethodCall *call, const char *option, size_t index,
                            Text path) {
    json_t *recorded = json_object_get(params, option), *text = json_stringn(path.bytes, path.length);
    const json_t *was = json_is_array(recorded) ? json_array_get(recorded, index) : recorded;
    char *old = arena_strdup(call->arena, json_is_string(was) ? json_string_value(was) : "");
    if (old == NULL || text == NULL) {
        json_decref(text);
        return method_no_memory(call);
    }
    files->items[files->n++] = (MovedFile){option, old, path.bytes};
    int set;
    if (json_is_array(recorded) && index < json_array_size(recorded)) {
        set = json_array_set_new(recorded, index, text);
    } else if (json_is_string(recorded) && index == 0) {
        set = json_object_set_new(params, option, text);
    } else {
        json_decref(text);
        size_t n = json_is_array(recorded) ? json_array_size(recorded) : json_is_string(recorded) ? 1 : 0;
        return fail(LIMN_USAGE, "option '%s': the record was made with %zu of them, found one more", option, n);
    }
    return set == 0 ? LIMN_OK : method_no_memory(call);
}

static limn_status adapter_hash(char hex[65], const MethodCall *call, const char *path) {
    Adapter *adapter;
    TRY(adapter_open(&adapter, path));
    const HashFile files[] = {{.path = adapter->config_path}, {.path = adapter->tensor_path}};
    limn_status status = hash_files(hex, files, 2, false, call->team);
    adapter_close(adapter);
    return status;
}

/* The first place that nothing was put in yet. */
static int32_t free_place(const bool *taken, int32_t n) {
    int32_t first = 0;
    while (first < n - 1 && taken[first]) {
        first++;
    }
    return first;
}

/* The recorded adapter of this hash that none was put in the place of yet; without one the first such place. */
static int32_t adapter_place(const Result *recorded, const char *hash, const bool *taken, int32_t n) {
    const ResultProvenance *provenance = &recorded->provenance;
    for (int32_t i = 0; i < n && i < provenance->n_adapters; i++) {
        if (!taken[i] && text_is(provenance->adapters[i].hash, hash)) {
            return i;
        }
    }
    return free_place(taken, n);
}

/* The same of edit files. */
static int32_t edits_place(const Result *recorded, const char *hash, const bool *taken, int32_t n) {
    const ResultProvenance *provenance = &recorded->provenance;
    for (int32_t i = 0; i < n && i < provenance->n_edits; i++) {
        if (!taken[i] && text_is(provenance->edits[i].hash, hash)) {
            return i;
        }
    }
    return free_place(taken, n);
}

/* "DIR:0.5": the folder given and the recorded weight. */
static limn_status with_weight(Text *use, const MethodCall *call, const Result *recorded, int32_t place, Text folder) {
    const ResultProvenance *provenance = &recorded->provenance;
    double weight = place < provenance->n_adapters ? provenance->adapters[place].weight : 1.0;
    *use = folder;
    if (weight != 1.0) {
        char *made = arena_printf(call->arena, "%s:%.17g", folder.bytes, weight);
        *use = text_of(made);
    }
    return use->bytes == NULL ? method_no_memory(call) : LIMN_OK;
}

static limn_status move_adapters(MovedFiles *files, json_t *params, const MethodCall *call, const Result *recorded) {
    const VerifyParams *verify = call->params;
    int32_t n = verify->adapters.n;
    size_t used = json_array_size(json_object_get(params, "adapter"));
    if (n == 0) {
        return LIMN_OK;
    }
    if ((size_t)n != used) {
        return fail(LIMN_USAGE, "option 'adapter': the record was made with %zu, found %d", used, (int)n);
    }
    bool *taken = ARENA_ARRAY(call->arena, bool, n);
    if (taken == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        char hash[65];
        Text use;
        TRY(adapter_hash(hash, call, verify->adapters.items[i].bytes));
        int32_t place = adapter_place(recorded, hash, taken, n);
        TRY(with_weight(&use, call, recorded, place, verify->adapters.items[i]));
        TRY(set_file(files, params, call, "adapter", (size_t)place, use));
        taken[place] = true;
    }
    return LIMN_OK;
}

static limn_status move_edits(MovedFiles *files, json_t *params, const MethodCall *call, const Result *recorded) {
    const VerifyParams *verify = call->params;
    int32_t n = verify->edits.n;
    size_t used = json_array_size(json_object_get(params, "edit"));
    if (n == 0) {
        return LIMN_OK;
    }
    if ((size_t)n != used) {
        return fail(LIMN_USAGE, "option 'edit': the record was made with %zu, found %d", used, (int)n);
    }
    bool *taken = ARENA_ARRAY(call->arena, bool, n);
    if (taken == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        EditFile file;
        TRY(edit_file_read(&file, verify->edits.items[i].bytes, call->team, call->arena));
        int32_t place = edits_place(recorded, file.hash, taken, n);
        TRY(set_file(files, params, call, "edit", (size_t)place, verify->edits.items[i]));
        taken[place] = true;
    }
    return LIMN_OK;
}

static bool is_file(const limn_param *row) {
    return row->kind == LIMN_PARAM_FILE;
}

static const char *file_row_at(const void *context, size_t index) {
    const Method *method = context;
    return is_file(&method->command.params[index]) ? method->command.params[index].name : NULL;
}

/* OPTION=FILE; the same option again is the next of several files. */
static limn_status move_one(MovedFiles *files, json_t *params, const MethodCall *call, const Method *method,
                            int32_t which) {
    const VerifyParams *verify = call->params;
    const char *given = verify->moved.items[which].bytes, *equals = strchr(given, '=');
    if (equals == NULL || equals == given || equals[1] == '\0') {
        return fail(LIMN_USAGE, "option 'moved': found '%s', expected OPTION=FILE", given);
    }
    char *option = arena_strndup(call->arena, given, (size_t)(equals - given));
    if (option == NULL) {
        return method_no_memory(call);
    }
    bool known = false;
    for (size_t i = 0; i < method->command.n_params; i++) {
        known = known || (is_file(&method->command.params[i]) && strcmp(method->command.params[i].name, option) == 0);
    }
    if (!known) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, option, file_row_at, method, method->command.n_params);
        return fail(LIMN_USAGE, "option 'moved': %s reads no file by the option '%s'; nearest: %s",
                    method->command.name, option, near);
    }
    size_t index = 0;
    for (int32_t i = 0; i < which; i++) {
        index += strncmp(verify->moved.items[i].bytes, given, (size_t)(equals - given) + 1) == 0;
    }
    return set_file(files, params, call, option, index, text_of(equals + 1));
}

limn_status verify_files_move(MovedFiles *files, json_t *params, MethodCall *call, const Result *recorded) {
    const VerifyParams *verify = call->params;
    *files = (MovedFiles){
        .items = ARENA_ARRAY(call->arena, MovedFile, verify->adapters.n + verify->edits.n + verify->moved.n + 2)};
    if (files->items == NULL) {
        return method_no_memory(call);
    }
    if (verify->model.bytes != NULL) {
        TRY(set_file(files, params, call, "model", 0, verify->model));
    }
    if (verify->data.bytes != NULL) {
        TRY(set_file(files, params, call, "data", 0, verify->data));
    }
    TRY(move_adapters(files, params, call, recorded));
    TRY(move_edits(files, params, call, recorded));
    const Method *method = registry_find(call->registry, recorded->command);
    for (int32_t i = 0; i < verify->moved.n; i++) {
        TRY(move_one(files, params, call, method, i));
    }
    return LIMN_OK;
}

/* ---- out of the answer ---- */

static const Value *param_of(const Result *result, const char *name) {
    for (size_t i = 0; i < result->params.count; i++) {
        if (strcmp(result->params.items[i].name, name) == 0) {
            return &result->params.items[i].value;
        }
    }
    return NULL;
}

/* "other-name" is what stands in the place of a path: it is the record's where "other-hash" is. */
static void settle_named(Result *now, Result *result, const Result *recorded, const char *option) {
    char name[128], hash[128];
    snprintf(name, sizeof name, "%s-name", option);
    snprintf(hash, sizeof hash, "%s-hash", option);
    const Value *was = param_of(recorded, hash), *is = param_of(now, hash), *named = param_of(recorded, name);
    if (was == NULL || is == NULL) {
        return;
    }
    if (same_text(was->text, is->text)) {
        if (named != NULL) {
            result_param(now, name, *named);
        }
        return;
    }
    result_warn(result, "what --%s names has the hash %.16s..., the record's has %.16s...: another one", option,
                is->text.bytes, was->text.bytes);
}

static void settle_option(Result *now, Result *result, const Result *recorded, const char *option) {
    const Value *path = param_of(recorded, option);
    if (path != NULL) {
        result_param(now, option, *path);
    }
    settle_named(now, result, recorded, option);
}

static void settle_model(Result *now, Result *result, const Result *recorded) {
    if (same_text(recorded->model.hash, now->model.hash)) {
        ResultModel model = now->model;
        model.name = recorded->model.name;
        result_model(now, &model);
        return;
    }
    result_warn(result, "the model given has the hash %.16s..., the record's has %.16s...: another model",
                now->model.hash.bytes == NULL ? "" : now->model.hash.bytes,
                recorded->model.hash.bytes == NULL ? "" : recorded->model.hash.bytes);
}

static limn_status settle_adapters(Result *now, Result *result, const MethodCall *call, const Result *recorded) {
    ResultProvenance provenance = now->provenance;
    ResultAdapter *adapters = ARENA_ARRAY(call->arena, ResultAdapter, provenance.n_adapters + 1);
    if (adapters == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < provenance.n_adapters; i++) {
        adapters[i] = provenance.adapters[i];
        if (i >= recorded->provenance.n_adapters) {
            continue;
        }
        const ResultAdapter *was = &recorded->provenance.adapters[i];
        if (same_text(was->hash, adapters[i].hash)) {
            adapters[i].name = was->name;
        } else {
            result_warn(result, "the adapter given has the hash %.16s..., the record's has %.16s...: another adapter",
                        adapters[i].hash.bytes, was->hash.bytes);
        }
    }
    provenance.adapters = adapters;
    result_provenance(now, &provenance);
    return result_status(now);
}

static limn_status settle_edits(Result *now, Result *result, const MethodCall *call, const Result *recorded) {
    ResultProvenance provenance = now->provenance;
    ResultEdits *edits = ARENA_ARRAY(call->arena, ResultEdits, provenance.n_edits + 1);
    if (edits == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < provenance.n_edits; i++) {
        edits[i] = provenance.edits[i];
        if (i >= recorded->provenance.n_edits) {
            continue;
        }
        const ResultEdits *was = &recorded->provenance.edits[i];
        if (same_text(was->hash, edits[i].hash)) {
            edits[i].name = was->name;
        } else {
            result_warn(result, "the edit file given has the hash %.16s..., the record's has %.16s...: other edits",
                        edits[i].hash.bytes, was->hash.bytes);
        }
    }
    provenance.edits = edits;
    result_provenance(now, &provenance);
    return result_status(now);
}

/* "DIR:0.5" without its weight. */
static size_t path_length(const char *option, const char *path) {
    const char *colon = strrchr(path, ':');
    char *end = NULL;
    if (colon != NULL && strstr(option, "adapter") != NULL) {
        strtod(colon + 1, &end);
    }
    return end != NULL && end != colon + 1 && *end == '\0' ? (size_t)(colon - path) : strlen(path);
}

/* A text with the paths of now made those of the record; NULL: none stands in it. */
static json_t *with_old_paths(const json_t *text, const MovedFile *file) {
    size_t length = json_string_length(text), new_length = path_length(file->option, file->is);
    const char *at = json_string_value(text), *end = at + length, *found;
    if (new_length == 0 || memmem(at, length, file->is, new_length) == NULL) {
        return NULL;
    }
    TextBuffer changed = TEXT_BUFFER_INIT;
    while ((found = memmem(at, (size_t)(end - at), file->is, new_length)) != NULL) {
        text_buffer_add_bytes(&changed, at, (size_t)(found - at));
        text_buffer_add_bytes(&changed, file->was, path_length(file->option, file->was));
        at = found + new_length;
    }
    text_buffer_add_bytes(&changed, at, (size_t)(end - at));
    json_t *made = changed.failed ? NULL : json_stringn(changed.data, changed.length);
    text_buffer_free(&changed);
    return made;
}

static void replace_paths(json_t *json, const MovedFile *file) {
    const char *key;
    json_t *item, *changed;
    size_t index;
    json_object_foreach(json, key, item) {
        if (json_is_string(item) && (changed = with_old_paths(item, file)) != NULL) {
            json_object_set_new(json, key, changed);
        } else {
            replace_paths(item, file);
        }
    }
    json_array_foreach(json, index, item) {
        if (json_is_string(item) && (changed = with_old_paths(item, file)) != NULL) {
            json_array_set_new(json, index, changed);
        } else {
            replace_paths(item, file);
        }
    }
}

/* Warnings and notes name files as they were given: as the record does, from here on. */
static limn_status use_old_paths(Result **now, const MethodCall *call, const MovedFiles *files) {
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = result_write_json(&text, *now, true);
    json_t *json = status == LIMN_OK ? json_loadb(text.data, text.length, JSON_ALLOW_NUL, NULL) : NULL;
    text_buffer_free(&text);
    TRY(status);
    for (int32_t i = 0; i < files->n; i++) {
        replace_paths(json, &files->items[i]);
    }
    char *changed = json_dumps(json, JSON_REAL_PRECISION(17));
    json_decref(json);
    if (changed == NULL) {
        return method_no_memory(call);
    }
    Result *read;
    status = result_read_json(&read, changed, strlen(changed), "the second result");
    free(changed);
    TRY(status);
    result_free(*now);
    *now = read;
    return LIMN_OK;
}

limn_status verify_files_settle(Result **now, Result *result, const MethodCall *call, const Result *recorded,
                                const MovedFiles *files) {
    if (files->n == 0) {
        return LIMN_OK;
    }
    TRY(use_old_paths(now, call, files));
    char *text; /* what was asked is the same but for where things lie */
    TRY(result_request_json(&text, recorded));
    result_request(*now, recorded->command, text);
    free(text);
    bool adapters = false, edits = false;
    for (int32_t i = 0; i < files->n; i++) {
        const char *option = files->items[i].option;
        if (strcmp(option, "model") == 0) {
            settle_model(*now, result, recorded);
        } else {
            settle_option(*now, result, recorded, option);
        }
        adapters = adapters || strcmp(option, "adapter") == 0;
        edits = edits || strcmp(option, "edit") == 0;
    }
    if (adapters) {
        TRY(settle_adapters(*now, result, call, recorded));
    }
    if (edits) {
        TRY(settle_edits(*now, result, call, recorded));
    }
    return result_status(*now);
}
