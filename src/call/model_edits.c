#include "call/model_edits.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"

static void close_edits(ModelEdits *edits) {
    if (edits != NULL) {
        arena_free(&edits->arena);
        free(edits);
    }
}

void model_edits_free(ModelEditsCache *cache) {
    for (size_t i = 0; i < cache->n; i++) {
        close_edits(cache->items[i]);
    }
    free(cache->items);
    *cache = (ModelEditsCache){0};
}

static limn_status read_files(ModelEdits *edits, MethodCall *call) {
    const ParamTexts *given = &call->common.edits;
    TextBuffer key = TEXT_BUFFER_INIT;
    edits->files = ARENA_ARRAY(&edits->arena, EditFile, given->n);
    if (edits->files == NULL) {
        return method_no_memory(call);
    }
    for (; edits->n_files < given->n; edits->n_files++) {
        EditFile *file = &edits->files[edits->n_files];
        limn_status status = edit_file_read(file, given->items[edits->n_files].bytes, call->team, &edits->arena);
        if (status != LIMN_OK) {
            text_buffer_free(&key);
            return status;
        }
        text_buffer_printf(&key, "%s\n%s\n", file->path, file->hash);
    }
    edits->key = key.data != NULL ? arena_strdup(&edits->arena, key.data) : NULL;
    text_buffer_free(&key);
    return edits->key != NULL ? LIMN_OK : method_no_memory(call);
}

static ModelEdits *find(const ModelEditsCache *cache, const ModelEdits *wanted) {
    for (size_t i = 0; i < cache->n; i++) {
        if (cache->items[i]->model == wanted->model && strcmp(cache->items[i]->key, wanted->key) == 0) {
            return cache->items[i];
        }
    }
    return NULL;
}

static limn_status bind(ModelEdits *edits, MethodCall *call, Model *model) {
    char hash[65];
    TRY(model_hash(model, call->team, false, hash));
    for (int32_t i = 0; i < edits->n_files; i++) {
        TRY(edit_file_bind(&edits->plan, &edits->files[i], model, hash, &edits->arena));
    }
    return edit_plan_bind_all(&edits->edits, &edits->n_edits, &edits->plan, &edits->arena);
}

/* Files are read at every call, so that one that was written anew is another one. */
static limn_status open_new(ModelEdits **opened, ModelEditsCache *cache, MethodCall *call, Model *model) {
    ModelEdits *made = *opened;
    TRY(read_files(made, call));
    made->model = model;
    ModelEdits *known = find(cache, made);
    if (known != NULL) {
        close_edits(made);
        *opened = known;
        return LIMN_OK;
    }
    TRY(bind(made, call, model));
    ModelEdits **grown = realloc(cache->items, (cache->n + 1) * sizeof(ModelEdits *));
    if (grown == NULL) {
        return method_no_memory(call);
    }
    cache->items = grown;
    cache->items[cache->n++] = made;
    return LIMN_OK;
}

limn_status model_edits_open(const ModelEdits **edits, ModelEditsCache *cache, MethodCall *call, Model *model) {
    *edits = NULL;
    if (call->common.edits.n == 0) {
        return LIMN_OK;
    }
    ModelEdits *opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        return method_no_memory(call);
    }
    arena_init(&opened->arena);
    limn_status status = open_new(&opened, cache, call, model);
    if (status != LIMN_OK) {
        close_edits(opened);
        return status;
    }
    *edits = opened;
    return LIMN_OK;
}

/* ---- what the result says ---- */

static bool same_adapters(const EditFile *file, const ResultProvenance *provenance) {
    bool same = file->n_adapters == provenance->n_adapters;
    for (int32_t i = 0; same && i < file->n_adapters; i++) {
        const ResultAdapter *adapter = &provenance->adapters[i];
        same = strcmp(file->adapters[i].hash, adapter->hash.bytes) == 0 && file->adapters[i].weight == adapter->weight;
    }
    return same;
}

static char *joined(const Texts *edits, Arena *arena) {
    TextBuffer text = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < edits->n; i++) {
        text_buffer_printf(&text, "%s%s", i > 0 ? " " : "", edits->items[i].bytes);
    }
    char *copy = text.data != NULL && !text.failed ? arena_strdup(arena, text.data) : NULL;
    text_buffer_free(&text);
    return copy;
}

limn_status model_edits_describe(ResultProvenance *provenance, Result *result, MethodCall *call) {
    const ModelEdits *edits = call->edits;
    int32_t n = edits != NULL ? edits->n_files : 0;
    ResultEdits *described = ARENA_ARRAY(call->arena, ResultEdits, n + 1);
    if (described == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        const EditFile *file = &edits->files[i];
        char *texts = joined(&file->edits, call->arena);
        if (texts == NULL) {
            return method_no_memory(call);
        }
        described[i] = (ResultEdits){text_of(path_base(file->path)), text_of(file->hash), text_of(texts)};
        if (!same_adapters(file, provenance)) {
            result_warn(result,
                        SAY(call, "%s was made on %s%s; here it is in force on other adapters, or on none",
                            "%s 是在 %s%s上制作的；这里用于别的适配器，或没有适配器"),
                        path_base(file->path), file->model_name,
                        file->n_adapters > 0 ? SAY(call, " with adapters of its own", "（带适配器）") : "");
        }
    }
    provenance->edits = described;
    provenance->n_edits = n;
    return LIMN_OK;
}
