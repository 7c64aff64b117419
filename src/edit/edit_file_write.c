/* Edit files as they are written. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "edit/edit_file.h"
#include "files/hash.h"
#include "files/json.h"

/* What is gathered; NULL of any of these: memory ran out. */
typedef struct Writer {
    const char *path;
    const char *folder; /* the edit file's, resolved, with its last '/' */
    Model *model;
    json_t *edits, *files, *adapters;
    Team *team;
    Arena *arena;
} Writer;

static limn_status no_memory(const Writer *writer) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", writer->path);
}

static const char *whole_path(const Writer *writer, const char *path) {
    char *resolved = realpath(path, NULL);
    const char *copy = resolved != NULL ? arena_strdup(writer->arena, resolved) : NULL;
    free(resolved);
    return copy;
}

static limn_status find_folder(Writer *writer) {
    size_t length = (size_t)(path_base(writer->path) - writer->path);
    const char *folder = length == 0 ? "." : arena_strndup(writer->arena, writer->path, length);
    const char *whole = folder != NULL ? whole_path(writer, folder) : NULL;
    if (whole == NULL) {
        return fail(LIMN_NOT_FOUND, "%s: its folder does not exist", writer->path);
    }
    writer->folder = strcmp(whole, "/") == 0 ? whole : arena_printf(writer->arena, "%s/", whole);
    return writer->folder != NULL ? LIMN_OK : no_memory(writer);
}

static bool listed(const json_t *files, const char *name) {
    size_t i;
    const json_t *file;
    json_array_foreach(files, i, file) {
        if (strcmp(json_string_value(json_object_get(file, "name")), name) == 0) {
            return true;
        }
    }
    return false;
}

/* *name: as the edit file says it. */
static limn_status add_file(Writer *writer, const char *path, const char **name) {
    const char *whole = whole_path(writer, path);
    if (whole == NULL) {
        return fail(LIMN_NOT_FOUND, "%s: cannot be opened", path);
    }
    size_t folder = strlen(writer->folder);
    *name = strncmp(whole, writer->folder, folder) == 0 ? whole + folder : whole;
    if (listed(writer->files, *name)) {
        return LIMN_OK;
    }
    char hex[65];
    const HashFile hashed = {.path = whole, .name = "tensors"};
    TRY(hash_files(hex, &hashed, 1, false, writer->team));
    json_t *file = json_pack("{s:s, s:s}", "name", *name, "hash", hex);
    return json_array_append_new(writer->files, file) == 0 ? LIMN_OK : no_memory(writer);
}

/* "...FILE:NAME" with the file named from the edit file's folder on. */
static limn_status add_edit(Writer *writer, const char *text) {
    EditSpec spec;
    TRY(edit_parse(&spec, text, writer->arena));
    const char *written = text;
    if (spec.file != NULL) {
        const char *name;
        size_t before = strlen(text) - strlen(spec.tensor) - 1 - strlen(spec.file);
        TRY(add_file(writer, spec.file, &name));
        written = arena_printf(writer->arena, "%.*s%s:%s", (int)before, text, name, spec.tensor);
    }
    json_t *edit = written != NULL ? json_string(written) : NULL;
    return json_array_append_new(writer->edits, edit) == 0 ? LIMN_OK : no_memory(writer);
}

static limn_status add_adapters(Writer *writer) {
    const Model *model = writer->model;
    for (int32_t i = 0; i < model->n_adapters; i++) {
        char hex[65];
        TRY(model_adapter_hash(model, i, writer->team, false, hex));
        json_t *adapter = json_pack("{s:s, s:s, s:f}", "name", path_base(model->adapters[i].path), "hash", hex,
                                    "weight", model->adapters[i].weight);
        TRY(json_array_append_new(writer->adapters, adapter) == 0 ? LIMN_OK : no_memory(writer));
    }
    return LIMN_OK;
}

static limn_status write_all(Writer *writer, const Texts *edits, const char *note) {
    char hash[65];
    TRY(find_folder(writer));
    for (int32_t i = 0; i < edits->n; i++) {
        TRY(add_edit(writer, edits->items[i].bytes));
    }
    TRY(add_adapters(writer));
    TRY(model_hash(writer->model, writer->team, false, hash));
    json_t *root = json_pack("{s:s, s:{s:s, s:s}, s:s, s:O, s:O, s:O, s:s}", "format", "limn.edits/1", "model", "name",
                             writer->model->name, "hash", hash, "frame",
                             writer->model->frame == FRAME_HF ? "hf" : "transformerlens", "adapters", writer->adapters,
                             "edits", writer->edits, "files", writer->files, "note", note);
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;
    char *lines = text != NULL ? arena_printf(writer->arena, "%s\n", text) : NULL;
    free(text);
    json_decref(root);
    return lines != NULL ? file_write_atomic(writer->path, lines, strlen(lines)) : no_memory(writer);
}

limn_status edit_file_write(const char *path, Model *model, const Texts *edits, const char *note, Team *team,
                            Arena *arena) {
    Writer writer = {.path = path,
                     .model = model,
                     .edits = json_array(),
                     .files = json_array(),
                     .adapters = json_array(),
                     .team = team,
                     .arena = arena};
    bool made = writer.edits != NULL && writer.files != NULL && writer.adapters != NULL;
    limn_status status = edit_file_check(&model->graph, edits, arena);
    status = status != LIMN_OK ? status : made ? write_all(&writer, edits, note) : no_memory(&writer);
    json_decref(writer.edits);
    json_decref(writer.files);
    json_decref(writer.adapters);
    return status;
}
