/* An edit file; and, whatever it is, the same bytes as one edit. */
#include "edit/edit_file.h"

#include <string.h>

#include "fuzz.h"

static void use_edit(const char *text, Arena *arena) {
    EditSpec spec;
    limn_status status = edit_parse(&spec, text, arena);
    if (status != LIMN_OK) {
        check_failure(status);
        return;
    }
    check(spec.pattern != NULL && spec.pattern[0] != '\0' && spec.value != NULL, "a site and a value");
    check((spec.file != NULL) == (spec.tensor != NULL), "a file with a tensor");
}

static void use_file(const EditFile *file) {
    check(file->edits.n > 0, "an edit at least");
    check(strlen(file->model_hash) == 64 && strlen(file->hash) == 64, "hashes");
    for (int32_t i = 0; i < file->edits.n; i++) {
        check(file->edits.items[i].length == strlen(file->edits.items[i].bytes), "a text without NUL");
    }
    for (int32_t i = 0; i < file->n_adapters; i++) {
        check(strlen(file->adapters[i].hash) == 64 && file->adapters[i].name != NULL, "an adapter");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena arena;
    EditFile file;
    arena_init(&arena);
    limn_status status = edit_file_read(&file, memory_file(data, size), NULL, &arena);
    if (status == LIMN_OK) {
        use_file(&file);
    } else {
        check_failure(status);
    }
    char *text = arena_strndup(&arena, (const char *)data, size);
    check(text != NULL, "memory");
    use_edit(text, &arena);
    arena_free(&arena);
    return 0;
}
