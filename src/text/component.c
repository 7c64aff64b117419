#include "text/component.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/json.h"
#include "text/workspace.h"

void pool_init(Pool *pool) {
    arena_init(&pool->arena);
    pool->owned = NULL;
}

void pool_free(Pool *pool) {
    for (Owned *owned = pool->owned; owned != NULL; owned = owned->next) {
        owned->release(owned->object);
    }
    arena_free(&pool->arena);
    pool->owned = NULL;
}

limn_status pool_new(void **object, Pool *pool, size_t bytes) {
    *object = arena_zalloc(&pool->arena, bytes);
    return *object == NULL ? fail(LIMN_NO_MEMORY, "a tokenizer's component of %zu bytes", bytes) : LIMN_OK;
}

limn_status pool_own(Pool *pool, void *object, void (*release)(void *object)) {
    Owned *owned = ARENA_NEW(&pool->arena, Owned);
    if (owned == NULL) {
        release(object);
        return fail(LIMN_NO_MEMORY, "a tokenizer's component");
    }
    *owned = (Owned){pool->owned, object, release};
    pool->owned = owned;
    return LIMN_OK;
}

static void release_regex(void *object) {
    regex_free(object);
}

/* {"String": "..."} or {"Regex": "..."} under `key`. */
limn_status loading_regex(Regex **regex, Loading *loading, const json_t *object, const char *key) {
    *regex = NULL;
    const json_t *pattern = json_object_get(object, key);
    const json_t *literal = json_object_get(pattern, "String");
    const json_t *expression = json_object_get(pattern, "Regex");
    if (json_is_string(pattern)) {
        literal = pattern;
    }
    limn_status status;
    if (json_is_string(literal)) {
        status = regex_compile_literal(regex, loading->where, json_string_value(literal), json_string_length(literal));
    } else if (json_is_string(expression)) {
        status = regex_compile(regex, loading->where, json_string_value(expression), json_string_length(expression));
    } else {
        return fail(LIMN_FORMAT, "%s: '%s' must be {\"String\": ...} or {\"Regex\": ...}", loading->where, key);
    }
    TRY(status);
    return pool_own(loading->pool, *regex, release_regex);
}

static limn_status loading_type(const char **type, Loading *loading, const json_t *json, const char *what) {
    if (loading->depth > LOADING_DEPTH_MAX) {
        return fail(LIMN_UNSUPPORTED, "%s: %s: more than %d sequences within each other", loading->where, what,
                    LOADING_DEPTH_MAX);
    }
    if (!json_is_object(json)) {
        char found[80];
        return fail(LIMN_FORMAT, "%s: %s: found %s, expected an object", loading->where, what,
                    json_describe(json, found));
    }
    return json_need_string(type, json, loading->where, "type");
}

static const char *kind_name(KindTable table, size_t row) {
    return *(const char *const *)(const void *)((const char *)table.name + row * table.row_bytes);
}

limn_status loading_unknown(const Loading *loading, const char *what, const char *type, KindTable table) {
    char known[400] = "";
    size_t length = 0;
    for (size_t i = 0; i < table.n && length < sizeof known; i++) {
        length +=
            (size_t)snprintf(known + length, sizeof known - length, "%s%s", i > 0 ? ", " : "", kind_name(table, i));
    }
    return fail(LIMN_UNSUPPORTED, "%s: %s of type '%.100s' is unknown, expected one of %s", loading->where, what, type,
                known);
}

limn_status loading_kind(size_t *row, Loading *loading, const json_t *json, const char *what, KindTable table) {
    const char *type;
    TRY(loading_type(&type, loading, json, what));
    for (*row = 0; *row < table.n; ++*row) {
        if (strcmp(type, kind_name(table, *row)) == 0) {
            return LIMN_OK;
        }
    }
    return loading_unknown(loading, what, type, table);
}

limn_status workspace_init(Workspace *workspace) {
    *workspace = (Workspace){0};
    return regex_run_new(&workspace->run);
}

void workspace_free(Workspace *workspace) {
    regex_run_free(workspace->run);
    aligned_free(&workspace->spare);
    spans_free(&workspace->spare_spans);
    text_buffer_free(&workspace->buffer);
    free(workspace->memory[0]);
    free(workspace->memory[1]);
    *workspace = (Workspace){0};
}

limn_status workspace_memory(void **memory, Workspace *workspace, int which, size_t count, size_t size) {
    *memory = workspace->memory[which];
    if (count > SIZE_MAX / 4 / size) {
        return fail(LIMN_NO_MEMORY, "tokenising a piece of %zu bytes", count);
    }
    size_t bytes = (count + 1) * size;
    if (bytes > workspace->capacity[which] || *memory == NULL) { /* no bytes at first: still memory */
        size_t capacity = bytes + bytes / 2 + 4096;
        free(workspace->memory[which]); /* old contents are not wanted */
        workspace->memory[which] = malloc(capacity);
        workspace->capacity[which] = workspace->memory[which] == NULL ? 0 : capacity;
        *memory = workspace->memory[which];
    }
    return *memory == NULL ? fail(LIMN_NO_MEMORY, "tokenising a piece of %zu bytes", count) : LIMN_OK;
}

void sink_add(TokenSink *sink, int32_t id, size_t begin, size_t end) {
    if (sink->failed) {
        return;
    }
    if (sink->count == sink->capacity) {
        size_t capacity = sink->capacity < 256 ? 256 : sink->capacity * 2;
        RawToken *tokens = realloc(sink->tokens, capacity * sizeof *tokens);
        if (tokens == NULL) {
            sink->failed = true;
            return;
        }
        sink->tokens = tokens;
        sink->capacity = capacity;
    }
    sink->tokens[sink->count++] = (RawToken){id, (uint32_t)begin, (uint32_t)end};
}

/* GPT-2's alphabet: printable bytes of Latin-1 stand for themselves, the others for U+0100 and up, in order. */
enum { CONTROLS = 0x21, AFTER_TILDE = 0x7F, SOFT_HYPHEN = 0xAD, BEFORE_LATIN = 0xA1 };

uint32_t byte_level_char(unsigned char byte) {
    if (byte < CONTROLS) {
        return 0x100u + byte;
    }
    if (byte >= AFTER_TILDE && byte < BEFORE_LATIN) {
        return 0x100u + CONTROLS + (uint32_t)(byte - AFTER_TILDE);
    }
    return byte == SOFT_HYPHEN ? 0x100u + CONTROLS + (BEFORE_LATIN - AFTER_TILDE) : byte;
}

int byte_level_byte(uint32_t codepoint) {
    if (codepoint < 0x100) {
        return byte_level_char((unsigned char)codepoint) == codepoint ? (int)codepoint : -1;
    }
    uint32_t n = codepoint - 0x100;
    if (n < CONTROLS) {
        return (int)n;
    }
    n -= CONTROLS;
    if (n < BEFORE_LATIN - AFTER_TILDE) {
        return (int)(n + AFTER_TILDE);
    }
    return n == BEFORE_LATIN - AFTER_TILDE ? SOFT_HYPHEN : -1;
}
