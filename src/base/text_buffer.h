/* A growing byte string, always NUL-terminated (NULs inside are allowed; `length` counts).
 * A failed allocation sticks: later calls do nothing and text_buffer_status reports it once, at the end. */
#ifndef LIMN_BASE_TEXT_BUFFER_H
#define LIMN_BASE_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct TextBuffer {
    char *data;
    size_t length;
    size_t capacity;
    bool failed;
} TextBuffer;

#define TEXT_BUFFER_INIT                                                                                               \
    { 0 }

void text_buffer_free(TextBuffer *buffer);
void text_buffer_clear(TextBuffer *buffer);
void text_buffer_add(TextBuffer *buffer, const char *text);
void text_buffer_add_bytes(TextBuffer *buffer, const void *bytes, size_t length);
void text_buffer_add_char(TextBuffer *buffer, char c);
void text_buffer_add_codepoint(TextBuffer *buffer, uint32_t codepoint); /* as UTF-8 */
void text_buffer_printf(TextBuffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
limn_status text_buffer_status(const TextBuffer *buffer);
char *text_buffer_take(TextBuffer *buffer); /* the caller frees; NULL when it failed or is empty of memory */

#endif
