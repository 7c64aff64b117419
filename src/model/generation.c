#include "model/generation.h"

#include <stdlib.h>

#include "base/file.h"
#include "files/json.h"

static const KeyRow rows[] = {
#define KEY(name, use, harmless) {#name, KEY_##use, harmless},
#include "model/generation_keys.def"
#undef KEY
};

const KeyTable generation_key_table = {"generation_config.json", KEY_WARNED, rows, sizeof rows / sizeof rows[0]};

typedef struct Reading {
    GenerationNotes *notes;
    const Model *model;
    Arena *arena;
} Reading;

static limn_status no_memory(const Reading *reading) {
    return fail(LIMN_NO_MEMORY, "%s: no memory for what ends a text", reading->model->path);
}

static limn_status add_end(const Reading *reading, const json_t *value) {
    GenerationNotes *notes = reading->notes;
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    if (id < 0 || id >= reading->model->config.n_vocab) {
        return LIMN_OK;
    }
    int32_t *grown = ARENA_ARRAY(reading->arena, int32_t, notes->n_ends + 1);
    if (grown == NULL) {
        return no_memory(reading);
    }
    for (int32_t i = 0; i < notes->n_ends; i++) {
        grown[i] = notes->ends[i];
    }
    grown[notes->n_ends++] = (int32_t)id;
    notes->ends = grown;
    return LIMN_OK;
}

static limn_status add_warning(void *context, const char *line) {
    const Reading *reading = context;
    GenerationNotes *notes = reading->notes;
    const char **grown = ARENA_ARRAY(reading->arena, const char *, notes->n_warnings + 1);
    const char *kept = arena_strdup(reading->arena, line);
    if (grown == NULL || kept == NULL) {
        return no_memory(reading);
    }
    for (int32_t i = 0; i < notes->n_warnings; i++) {
        grown[i] = notes->warnings[i];
    }
    grown[notes->n_warnings++] = kept;
    notes->warnings = grown;
    return LIMN_OK;
}

/* Of config.json only the keys that the other file has too. */
static limn_status keep_known(json_t **known, const char *path, const json_t *config) {
    const char *key;
    json_t *value;
    *known = json_object();
    bool kept = *known != NULL;
    json_object_foreach((json_t *)(uintptr_t)config, key, value) {
        if (kept && keys_find(&generation_key_table, key) != NULL) {
            kept = json_object_set(*known, key, value) == 0;
        }
    }
    return kept ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: no memory for its keys", path);
}

static limn_status read_object(Reading *reading, const char *path, const json_t *config) {
    const json_t *ends = json_object_get(config, "eos_token_id");
    TRY(json_is_array(ends) ? LIMN_OK : add_end(reading, ends));
    for (size_t i = 0; i < json_array_size(ends); i++) {
        TRY(add_end(reading, json_array_get(ends, i)));
    }
    return keys_check(&generation_key_table, NULL, path, config, &(KeyWarnings){add_warning, reading});
}

static limn_status read_file(Reading *reading, const char *name, bool all) {
    json_t *config = NULL, *known = NULL;
    const char *path = arena_printf(reading->arena, "%s/%s", reading->model->path, name);
    if (path == NULL) {
        return no_memory(reading);
    }
    if (!file_exists(path)) {
        return LIMN_OK;
    }
    TRY(json_file_load(&config, path, JSON_CONFIG_CAP));
    limn_status status = all ? LIMN_OK : keep_known(&known, path, config);
    if (status == LIMN_OK) {
        status = read_object(reading, path, all ? config : known);
    }
    json_decref(known);
    json_decref(config);
    return status;
}

limn_status generation_read(GenerationNotes *notes, const Model *model, Arena *arena) {
    Reading reading = {notes, model, arena};
    *notes = (GenerationNotes){0};
    if (!folder_exists(model->path)) {
        return LIMN_OK;
    }
    TRY(read_file(&reading, "config.json", false));
    return read_file(&reading, "generation_config.json", true);
}
