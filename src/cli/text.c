#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_free(Text *text) {
    free(text->data);
    *text = (Text){0};
}

void text_add_bytes(Text *text, const char *bytes, size_t length) {
    if (text->failed) {
        return;
    }
    if (text->length + length + 1 > text->capacity) {
        size_t capacity = 2 * text->capacity + length + 64;
        char *grown = realloc(text->data, capacity);
        if (grown == NULL) {
            text->failed = true;
            return;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add(Text *text, const char *bytes) {
    text_add_bytes(text, bytes, strlen(bytes));
}

void text_printf(Text *text, const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof line) {
        text->failed = true;
        return;
    }
    text_add_bytes(text, line, (size_t)n);
}

static void pad(Text *text, int columns) {
    for (int i = 0; i < columns; i++) {
        text_add_bytes(text, " ", 1);
    }
}

void text_wrap(Text *text, const char *words, int indent, int first, int width) {
    int column = first;
    bool line_empty = true;
    if (column < indent) {
        pad(text, indent - column);
        column = indent;
    }
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        if (!line_empty && column + 1 + (int)n > width) {
            text_add(text, "\n");
            pad(text, indent);
            column = indent;
            line_empty = true;
        }
        if (!line_empty) {
            text_add(text, " ");
            column++;
        }
        text_add_bytes(text, words, n);
        column += (int)n;
        line_empty = false;
        words += n;
        words += strspn(words, " ");
    }
    text_add(text, "\n");
}
