#include "text/aligned.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void aligned_free(AlignedText *text) {
    free(text->bytes);
    free(text->origins);
    *text = (AlignedText){0};
}

void aligned_clear(AlignedText *text) {
    text->length = 0;
}

bool aligned_reserve(AlignedText *text, size_t extra) {
    if (text->failed || extra > INT32_MAX - text->length) {
        text->failed = true;
        return false;
    }
    size_t needed = text->length + extra;
    if (needed <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity < 256 ? 256 : text->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *bytes = realloc(text->bytes, capacity);
    if (bytes != NULL) {
        text->bytes = bytes;
    }
    Origin *origins = realloc(text->origins, capacity * sizeof(Origin));
    if (origins != NULL) {
        text->origins = origins;
    }
    if (bytes == NULL || origins == NULL) {
        text->failed = true;
        return false;
    }
    text->capacity = capacity;
    return true;
}

void aligned_add_bytes(AlignedText *text, const char *bytes, size_t length, Origin origin) {
    if (!aligned_reserve(text, length)) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        text->bytes[text->length + i] = bytes[i];
        text->origins[text->length + i] = origin;
    }
    text->length += length;
}

void aligned_add(AlignedText *text, uint32_t codepoint, Origin origin) {
    char bytes[4];
    aligned_add_bytes(text, bytes, utf8_encode(codepoint, bytes), origin);
}

void aligned_add_slice(AlignedText *text, const AlignedText *from, size_t begin, size_t end) {
    if (begin >= end || !aligned_reserve(text, end - begin)) {
        return;
    }
    memcpy(text->bytes + text->length, from->bytes + begin, end - begin);
    memcpy(text->origins + text->length, from->origins + begin, (end - begin) * sizeof(Origin));
    text->length += end - begin;
}

limn_status aligned_status(const AlignedText *text) {
    return text->failed ? fail(LIMN_NO_MEMORY, "normalising a text of %zu bytes", text->length) : LIMN_OK;
}

void aligned_swap(AlignedText *a, AlignedText *b) {
    AlignedText kept = *a;
    *a = *b;
    *b = kept;
}

void spans_free(SpanList *list) {
    free(list->spans);
    *list = (SpanList){0};
}

void spans_clear(SpanList *list) {
    list->count = 0;
}

void spans_add(SpanList *list, size_t begin, size_t end, int32_t id) {
    if (begin >= end || list->failed) {
        return;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity < 64 ? 64 : list->capacity * 2;
        Span *spans = realloc(list->spans, capacity * sizeof(Span));
        if (spans == NULL) {
            list->failed = true;
            return;
        }
        list->spans = spans;
        list->capacity = capacity;
    }
    list->spans[list->count++] = (Span){begin, end, id};
}

limn_status spans_status(const SpanList *list) {
    return list->failed ? fail(LIMN_NO_MEMORY, "splitting a text into %zu pieces", list->count) : LIMN_OK;
}

void spans_swap(SpanList *a, SpanList *b) {
    SpanList kept = *a;
    *a = *b;
    *b = kept;
}
