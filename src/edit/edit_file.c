#include "edit/edit_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "edit/site_names.h"
#include "files/hash.h"
#include "files/json.h"
#include "files/keys.h"

enum { EDIT_FILE_CAP = 16 << 20 };

static const char format_name[] = "limn.edits/1";
static const char *const frames[] = {[FRAME_HF] = "hf", [FRAME_TRANSFORMERLENS] = "transformerlens"};

/* A file while it is read. */
typedef struct Reader {
    EditFile *file;
    const json_t *root;
    Team *team;
    Arena *arena;
} Reader;

static limn_status no_memory(const char *path) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", path);
}

static bool is_hash(const char *text) {
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static limn_status read_text(const char **text, const Reader *reader, const json_t *object, const char *where,
                             const char *key) {
    const char *found;
    TRY(json_need_string(&found, object, where, key));
    *text = arena_strdup(reader->arena, found);
    return *text != NULL ? LIMN_OK : no_memory(reader->file->path);
}

static limn_status read_hash(const char **hash, const Reader *reader, const json_t *object, const char *where) {
    TRY(read_text(hash, reader, object, where, "hash"));
    return is_hash(*hash) ? LIMN_OK : fail(LIMN_FORMAT, "%s: hash: found '%s', expected 64 hex digits", where, *hash);
}

/* [{"name", "hash"}] and, of adapters, "weight". */
static limn_status read_parts(const EditFilePart **parts, int32_t *n, const Reader *reader, const char *key,
                              bool weighted) {
    const json_t *array;
    TRY(json_take_array(&array, reader->root, reader->file->path, key));
    size_t count = json_array_size(array);
    EditFilePart *items = ARENA_ARRAY(reader->arena, EditFilePart, count + 1);
    char *where = arena_printf(reader->arena, "%s: %s", reader->file->path, key);
    if (items == NULL || where == NULL) {
        return no_memory(reader->file->path);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_object(item)) {
            char found[80];
            return fail(LIMN_FORMAT, "%s: found %s, expected objects", where, json_describe(item, found));
        }
        TRY(read_text(&items[i].name, reader, item, where, "name"));
        TRY(read_hash(&items[i].hash, reader, item, where));
        TRY(weighted ? json_need_real(&items[i].weight, item, where, "weight") : LIMN_OK);
    }
    *parts = items;
    *n = (int32_t)count;
    return LIMN_OK;
}

static limn_status read_model(const Reader *reader) {
    EditFile *file = reader->file;
    const json_t *model;
    const char *frame;
    TRY(json_need_object(&model, reader->root, file->path, "model"));
    char *where = arena_printf(reader->arena, "%s: model", file->path);
    if (where == NULL) {
        return no_memory(file->path);
    }
    TRY(read_text(&file->model_name, reader, model, where, "name"));
    TRY(read_hash(&file->model_hash, reader, model, where));
    TRY(json_take_string(&frame, reader->root, file->path, "frame", "hf"));
    for (int i = 0; i < (int)(sizeof frames / sizeof frames[0]); i++) {
        if (strcmp(frame, frames[i]) == 0) {
            file->frame = (Frame)i;
            return LIMN_OK;
        }
    }
    return fail(LIMN_FORMAT, "%s: frame: found '%s', expected hf or transformerlens", file->path, frame);
}

static limn_status read_edits(const Reader *reader) {
    EditFile *file = reader->file;
    const json_t *array;
    TRY(json_need_array(&array, reader->root, file->path, "edits"));
    size_t n = json_array_size(array);
    if (n == 0) {
        return fail(LIMN_FORMAT, "%s: edits: found an empty list, expected one edit at least", file->path);
    }
    Text *items = ARENA_ARRAY(reader->arena, Text, n);
    if (items == NULL) {
        return no_memory(file->path);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        char found[80];
        if (!json_is_string(item) || strlen(json_string_value(item)) != json_string_length(item)) {
            return fail(LIMN_FORMAT, "%s: edits: found %s, expected texts such as 'blocks.3.hook_mlp_out=zero'",
                        file->path, json_describe(item, found));
        }
        const char *text = arena_strdup(reader->arena, json_string_value(item));
        if (text == NULL) {
            return no_memory(file->path);
        }
        items[i] = text_of(text);
    }
    file->edits = (Texts){items, (int32_t)n};
    return LIMN_OK;
}

/* ---- the files that edits read ---- */

/* Where a name in an edit file leads: from its folder on. */
static const char *resolve(const EditFile *file, const char *name, Arena *arena) {
    size_t folder = (size_t)(path_base(file->path) - file->path);
    return name[0] == '/' ? name : arena_printf(arena, "%.*s%s", (int)folder, file->path, name);
}

static const EditFilePart *find_part(const EditFile *file, const char *name) {
    for (int32_t i = 0; i < file->n_files; i++) {
        if (strcmp(file->files[i].name, name) == 0) {
            return &file->files[i];
        }
    }
    return NULL;
}

static limn_status hash_tensors(char hex[65], const char *path, Team *team) {
    const HashFile hashed = {.path = path, .name = "tensors"};
    return hash_files(hex, &hashed, 1, false, team);
}

/* Each edit is of the right form, and each file that it reads is listed. */
static limn_status check_specs(const Reader *reader) {
    const EditFile *file = reader->file;
    for (int32_t i = 0; i < file->edits.n; i++) {
        EditSpec spec;
        limn_status status = edit_parse(&spec, file->edits.items[i].bytes, reader->arena);
        if (status != LIMN_OK) {
            return fail_context("%s", file->path);
        }
        if (spec.has_position) {
            return fail(LIMN_USAGE,
                        "%s: edit '%s': found pos, expected an edit of every position: a file holds for "
                        "every prompt",
                        file->path, spec.text);
        }
        if (spec.file != NULL && find_part(file, spec.file) == NULL) {
            return fail(LIMN_FORMAT, "%s: edit '%s' reads %s, which is not among its files", file->path, spec.text,
                        spec.file);
        }
    }
    return LIMN_OK;
}

/* The edit file's own hash has those of the files in it, as it has their hashes in it. */
static limn_status check_files(const Reader *reader) {
    EditFile *file = reader->file;
    for (int32_t i = 0; i < file->n_files; i++) {
        const char *path = resolve(file, file->files[i].name, reader->arena);
        char hex[65];
        if (path == NULL) {
            return no_memory(file->path);
        }
        TRY(hash_tensors(hex, path, reader->team));
        if (strcmp(hex, file->files[i].hash) != 0) {
            return fail(LIMN_USAGE, "%s: %s has the hash %.16s..., expected %.16s...: it was changed", file->path, path,
                        hex, file->files[i].hash);
        }
    }
    const HashFile own = {.path = file->path, .name = "edits"};
    return hash_files(file->hash, &own, 1, false, reader->team);
}

static limn_status read_all(const Reader *reader) {
    static const KeyRow known[] = {{"format", KEY_READ, NULL},   {"model", KEY_READ, NULL}, {"frame", KEY_READ, NULL},
                                   {"adapters", KEY_READ, NULL}, {"edits", KEY_READ, NULL}, {"files", KEY_READ, NULL},
                                   {"note", KEY_READ, NULL}};
    EditFile *file = reader->file;
    const char *format, *note;
    if (!json_is_object(reader->root)) {
        return fail(LIMN_FORMAT, "%s: expected an object, as limn surgery --save-edit writes it", file->path);
    }
    TRY(json_need_string(&format, reader->root, file->path, "format"));
    if (strcmp(format, format_name) != 0) {
        return fail(LIMN_FORMAT, "%s: format: found '%s', expected '%s'", file->path, format, format_name);
    }
    const KeyTable table = KEY_TABLE("edit file", KEY_REFUSED, known);
    TRY(keys_check(&table, NULL, file->path, reader->root, NULL));
    TRY(read_model(reader));
    TRY(read_parts(&file->adapters, &file->n_adapters, reader, "adapters", true));
    TRY(read_edits(reader));
    TRY(read_parts(&file->files, &file->n_files, reader, "files", false));
    TRY(json_take_string(&note, reader->root, file->path, "note", ""));
    file->note = arena_strdup(reader->arena, note);
    TRY(file->note != NULL ? LIMN_OK : no_memory(file->path));
    TRY(check_specs(reader));
    return check_files(reader);
}

static limn_status read_file(EditFile *file, const char *path, Team *team, Arena *arena) {
    *file = (EditFile){.path = arena_strdup(arena, path)};
    if (file->path == NULL) {
        return no_memory(path);
    }
    json_t *root;
    TRY(json_file_load(&root, path, EDIT_FILE_CAP));
    const Reader reader = {.file = file, .root = root, .team = team, .arena = arena};
    limn_status status = read_all(&reader);
    json_decref(root);
    return status;
}

/* A broken file that an option names is the caller's to mend, as a wrong word would be. */
limn_status edit_file_read(EditFile *file, const char *path, Team *team, Arena *arena) {
    limn_status status = read_file(file, path, team, arena);
    bool broken = status == LIMN_FORMAT || status == LIMN_UNSUPPORTED;
    ErrorState error;
    error_save(&error);
    return broken ? fail(LIMN_USAGE, "%s", error.message) : status;
}

/* ---- against a model ---- */

/* Such an element's place depends on the length of the prompt, and a number may open what a causal model hides. */
static limn_status check_sites(const Graph *graph, const EditSpec *spec, Arena *arena) {
    SiteMatches matches = {0};
    TRY(site_names_match(&matches, graph, spec->pattern, arena));
    for (int32_t i = 0; i < matches.n; i++) {
        const RowShape *shape = &graph->nodes[matches.items[i].node].op.out;
        if (shape->n_dims == 2 && shape->dims[1] == DIM_KEYS) {
            return fail(LIMN_USAGE,
                        "edit '%s': %s has an element for each key, which no edit file can hold; for a head "
                        "as a whole say attn.hook_z[head=...]=zero",
                        spec->text, matches.items[i].name);
        }
    }
    return LIMN_OK;
}

limn_status edit_file_check(const Graph *graph, const Texts *edits, Arena *arena) {
    for (int32_t i = 0; i < edits->n; i++) {
        EditSpec spec;
        TRY(edit_parse(&spec, edits->items[i].bytes, arena));
        if (spec.has_position) {
            return fail(LIMN_USAGE,
                        "edit '%s': found pos, expected an edit of every position: a permanent edit holds "
                        "for every prompt",
                        spec.text);
        }
        TRY(check_sites(graph, &spec, arena));
    }
    return LIMN_OK;
}

static limn_status bind_edit(EditPlan *plan, const EditFile *file, const Graph *graph, const char *text, Arena *arena) {
    EditSpec spec;
    TRY(edit_parse(&spec, text, arena));
    TRY(check_sites(graph, &spec, arena));
    if (spec.file != NULL) {
        spec.file = resolve(file, spec.file, arena);
        TRY(spec.file != NULL ? LIMN_OK : no_memory(file->path));
    }
    return edit_plan_add(plan, graph, &spec, 1, 1, arena);
}

limn_status edit_file_bind(EditPlan *plan, const EditFile *file, const Model *model, const char *model_hash,
                           Arena *arena) {
    if (strcmp(file->model_hash, model_hash) != 0) {
        return fail(LIMN_USAGE, "%s: made for %s with the hash %.16s..., found %s with %.16s...: another model",
                    file->path, file->model_name, file->model_hash, model->name, model_hash);
    }
    if (file->frame != model->frame) {
        return fail(LIMN_USAGE, "%s: made in the frame %s, found the model opened in %s", file->path,
                    frames[file->frame], frames[model->frame]);
    }
    for (int32_t i = 0; i < file->edits.n; i++) {
        if (bind_edit(plan, file, &model->graph, file->edits.items[i].bytes, arena) != LIMN_OK) {
            return fail_context("%s", file->path);
        }
    }
    return LIMN_OK;
}
