#include "base/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void text_buffer_free(TextBuffer *buffer) {
    free(buffer->data);
    *buffer = (TextBuffer)TEXT_BUFFER_INIT;
}

void text_buffer_clear(TextBuffer *buffer) {
    buffer->length = 0;
    if (buffer->data != NULL) {
        buffer->data[0] = '\0';
    }
}

static bool reserve(TextBuffer *buffer, size_t extra) {
    if (buffer->failed) {
        return false;
    }
    if (extra >= SIZE_MAX / 2 - buffer->length) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->length + extra + 1;
    if (needed <= buffer->capacity) {
        return true;
    }
    size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void text_buffer_add_bytes(TextBuffer *buffer, const void *bytes, size_t length) {
    if (reserve(buffer, length)) {
        if (length > 0) {
            memcpy(buffer->data + buffer->length, bytes, length);
        }
        buffer->length += length;
        buffer->data[buffer->length] = '\0';
    }
}

void text_buffer_add(TextBuffer *buffer, const char *text) {
    text_buffer_add_bytes(buffer, text, strlen(text));
}

void text_buffer_add_char(TextBuffer *buffer, char c) {
    text_buffer_add_bytes(buffer, &c, 1);
}

void text_buffer_add_codepoint(TextBuffer *buffer, uint32_t codepoint) {
    char bytes[4];
    text_buffer_add_bytes(buffer, bytes, utf8_encode(codepoint, bytes));
}

void text_buffer_printf(TextBuffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length >= 0 && reserve(buffer, (size_t)length)) {
        vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
}

limn_status text_buffer_status(const TextBuffer *buffer) {
    return buffer->failed ? fail(LIMN_NO_MEMORY, "text of %zu bytes", buffer->length) : LIMN_OK;
}

char *text_buffer_take(TextBuffer *buffer) {
    if (!reserve(buffer, 0)) {
        return NULL;
    }
    buffer->data[buffer->length] = '\0';
    char *data = buffer->data;
    *buffer = (TextBuffer)TEXT_BUFFER_INIT;
    return data;
}
