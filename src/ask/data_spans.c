#include "ask/data_spans.h"

#include <string.h>

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "the parts of a prompt: out of memory");
}

limn_status spans_of_fields(TextSpans *spans, const Template *made, const size_t *edges, Arena *arena) {
    *spans = (TextSpans){.items = ARENA_ARRAY(arena, TextSpan, template_fields(made) + 1)};
    if (spans->items == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < made->n; i++) {
        const TemplatePart *part = &made->parts[i];
        if (part->is_field) {
            int32_t n = spans->n++;
            spans->items[n] = (TextSpan){edges[2 * n], edges[2 * n + 1], {part->bytes, part->length}};
        }
    }
    return LIMN_OK;
}

static limn_status add_message(TextSpans *spans, size_t from, size_t to, const json_t *message, Arena *arena) {
    const char *role = json_string_value(json_object_get(message, "role"));
    char *name = arena_strdup(arena, role != NULL ? role : "message");
    spans->items[spans->n++] = (TextSpan){from, to, text_of(name)};
    return name != NULL ? LIMN_OK : no_memory();
}

limn_status spans_of_chat(TextSpans *spans, const ChatText *text, const json_t *messages, Text made,
                          const TextSpans *inside, Arena *arena) {
    size_t most = text->n_spans + (made.bytes != NULL ? (size_t)inside->n : 0);
    *spans = (TextSpans){.items = ARENA_ARRAY(arena, TextSpan, most + 1)};
    if (spans->items == NULL) {
        return no_memory();
    }
    size_t last = json_array_size(messages) - 1; /* the text that was given is the last message */
    for (size_t i = 0, from = 0; i < text->n_spans; from = text->spans[i++].end) {
        const ChatSpan *span = &text->spans[i];
        size_t length = span->end - from;
        if (!span->content || (made.bytes != NULL && span->message != (int32_t)last)) {
            continue;
        }
        if (made.bytes == NULL || length != made.length || memcmp(text->text + from, made.bytes, length) != 0) {
            TRY(add_message(spans, from, span->end, json_array_get(messages, (size_t)span->message), arena));
            continue;
        }
        for (int32_t k = 0; k < inside->n; k++) {
            const TextSpan *own = &inside->items[k];
            spans->items[spans->n++] = (TextSpan){from + own->from, from + own->to, own->name};
        }
    }
    return LIMN_OK;
}
