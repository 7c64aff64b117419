#include "ask/documents.h"

#include <string.h>

/* The longest text in a document: its content, whatever that is called. */
static const char *content_of(const json_t *document, size_t *length) {
    const char *best = NULL;
    *length = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)document, name, value) { /* only read */
        if (json_is_string(value) && json_string_length(value) > *length) {
            best = json_string_value(value);
            *length = json_string_length(value);
        }
    }
    return best;
}

/* In the order of the text; what overlaps one that is there stays away. */
static void add_span(TextSpan *spans, int32_t *n, TextSpan span) {
    for (int32_t i = 0; i < *n; i++) {
        if (span.from < spans[i].to && span.to > spans[i].from) {
            return;
        }
    }
    int32_t place = (*n)++;
    while (place > 0 && spans[place - 1].from > span.from) {
        spans[place] = spans[place - 1];
        place--;
    }
    spans[place] = span;
}

limn_status documents_in_prompt(TextSpan **spans, int32_t *n, MethodCall *call, const Prompt *prompt,
                                const PromptParams *params) {
    *spans = NULL;
    *n = 0;
    if (prompt->chat == NULL || params->chat.documents.bytes == NULL) {
        return LIMN_OK;
    }
    json_t *list;
    TRY(chat_list_load(&list, params->chat.documents.bytes));
    size_t count = json_array_size(list);
    *spans = ARENA_ARRAY(call->arena, TextSpan, count + 1);
    for (size_t i = 0; *spans != NULL && i < count; i++) {
        size_t length;
        const char *content = content_of(json_array_get(list, i), &length);
        const char *found = length == 0 ? NULL : memmem(prompt->text.bytes, prompt->text.length, content, length);
        if (found != NULL) {
            size_t from = (size_t)(found - prompt->text.bytes);
            add_span(*spans, n, (TextSpan){from, from + length, {NULL, 0}});
        }
    }
    json_decref(list);
    return *spans == NULL ? method_no_memory(call) : LIMN_OK;
}
