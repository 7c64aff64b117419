#include "data/template.h"

#include <string.h>

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "a prompt template: out of memory");
}

static limn_status add_part(Template *made, bool is_field, const char *bytes, size_t length, Arena *arena) {
    if (length == 0 && !is_field) {
        return LIMN_OK;
    }
    char *copy = arena_strndup(arena, bytes, length);
    made->parts[made->n++] = (TemplatePart){is_field, copy, length};
    return copy != NULL ? LIMN_OK : no_memory();
}

/* What a backslash and the next character stand for; 0: themselves. */
static char escaped(char c) {
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == '\\' ? '\\' : '\0';
}

limn_status template_parse(Template *made, const char *text, size_t length, Arena *arena) {
    *made = (Template){ARENA_ARRAY(arena, TemplatePart, length + 1), 0, false};
    char *plain = arena_alloc(arena, length + 1);
    size_t used = 0;
    if (made->parts == NULL || plain == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < length; i++) {
        char next = i + 1 < length ? text[i + 1] : '\0';
        if ((text[i] == '{' || text[i] == '}') && next == text[i]) {
            plain[used++] = text[i++];
        } else if (text[i] == '\\' && escaped(next) != '\0') {
            plain[used++] = escaped(next);
            i++;
        } else if (text[i] == '{') {
            const char *end = memchr(text + i, '}', length - i);
            if (end == NULL || end == text + i + 1) {
                return fail(LIMN_USAGE, "option 'template': character %zu: %s (a brace itself is written {{ or }})",
                            i + 1, end == NULL ? "a { that no } closes" : "{} names no field");
            }
            TRY(add_part(made, false, plain, used, arena));
            TRY(add_part(made, true, text + i + 1, (size_t)(end - text) - i - 1, arena));
            used = 0;
            i = (size_t)(end - text);
        } else if (text[i] == '}') {
            return fail(LIMN_USAGE,
                        "option 'template': character %zu: a } that no { opens (a brace itself is written "
                        "{{ or }})",
                        i + 1);
        } else {
            plain[used++] = text[i];
        }
    }
    return add_part(made, false, plain, used, arena);
}

limn_status template_of_field(Template *made, const char *name, size_t length, Arena *arena) {
    *made = (Template){ARENA_ARRAY(arena, TemplatePart, 1), 0, true};
    return made->parts != NULL ? add_part(made, true, name, length, arena) : no_memory();
}

size_t template_fields(const Template *made) {
    size_t n = 0;
    for (size_t i = 0; i < made->n; i++) {
        n += made->parts[i].is_field ? 1 : 0;
    }
    return n;
}

limn_status template_fill(TextBuffer *out, size_t *edges, const Template *made, const char *path,
                          const Record *record) {
    size_t field = 0;
    for (size_t i = 0; i < made->n; i++) {
        const TemplatePart *part = &made->parts[i];
        if (!part->is_field) {
            text_buffer_add_bytes(out, part->bytes, part->length);
            continue;
        }
        FieldValue value = record_field(record, part->bytes, part->length);
        if (value.kind == FIELD_ABSENT) {
            return record_lacks(record, path, part->bytes);
        }
        if (value.kind == FIELD_NULL) {
            return fail(LIMN_NOT_FOUND, "%s: line %lld: the field '%.80s' is null", path, (long long)record->line,
                        part->bytes);
        }
        if (made->alone && value.kind == FIELD_JSON) {
            return fail(LIMN_USAGE,
                        "%s: line %lld: the field '%.80s' is %s, expected a text (--messages-field takes a chat, "
                        "--template a {field} of it)",
                        path, (long long)record->line, part->bytes, json_is_array(value.json) ? "a list" : "an object");
        }
        size_t from = out->length;
        TRY(field_text(out, &value));
        if (edges != NULL) {
            edges[2 * field] = from;
            edges[2 * field + 1] = out->length;
        }
        field++;
    }
    return text_buffer_status(out);
}
