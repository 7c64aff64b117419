/* A growing text. When memory runs out it stays as it was and `failed` is set. */
#ifndef LIMN_CLI_TEXT_H
#define LIMN_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Text {
    char *data; /* NUL-terminated; NULL: empty */
    size_t length, capacity;
    bool failed;
} Text;

void text_free(Text *text);
void text_add_bytes(Text *text, const char *bytes, size_t length);
void text_add(Text *text, const char *bytes);
void text_printf(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Words broken at `width` columns, each line begun with `indent` spaces; `first` columns of the first line are taken.
 */
void text_wrap(Text *text, const char *words, int indent, int first, int width);

#endif
