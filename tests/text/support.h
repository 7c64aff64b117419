/* What the tests of tokenizers share. */
#ifndef LIMN_TESTS_TEXT_SUPPORT_H
#define LIMN_TESTS_TEXT_SUPPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_buffer.h"
#include "text/tokenizer.h"

/* A file under a fresh temporary folder; the path is malloc'ed. */
char *temporary_file(const char *name, const void *bytes, size_t length);
void remove_temporary(char *path); /* the file and its folder; frees */

/* "${LIMN_SHARED}/data/NAME", malloc'ed; NULL when it is not there. */
char *shared_file(const char *name);
/* The same, or the test ends as skipped with a line that says what is missing. */
char *need_shared_file(const char *name);

/* malloc'ed, NUL-terminated */
unsigned char *from_hex(const char *hex, size_t *length);
unsigned char *from_base64(const char *text, size_t *length);

/* A GGUF file of metadata alone. */
typedef struct GgufBuilder {
    TextBuffer pairs;
    uint64_t count;
} GgufBuilder;

void gguf_add_string(GgufBuilder *builder, const char *key, const char *value);
void gguf_add_u32(GgufBuilder *builder, const char *key, uint32_t value);
void gguf_add_bool(GgufBuilder *builder, const char *key, bool value);
void gguf_add_strings(GgufBuilder *builder, const char *key, const char *const *values, size_t count);
void gguf_add_i32s(GgufBuilder *builder, const char *key, const int32_t *values, size_t count);
void gguf_add_f32s(GgufBuilder *builder, const char *key, const float *values, size_t count);
/* Ends the builder; the bytes are the caller's. */
char *gguf_finish(GgufBuilder *builder, size_t *length);

/* Opens the file by its kind (.gguf or any other), with a test failure when that does not work. */
typedef struct Opened {
    Tokenizer *tokenizer;
    Gguf *gguf;
} Opened;
Opened open_tokenizer(const char *path);
void close_opened(Opened *opened);

/* Fails unless text encodes to exactly these ids. */
void check_ids(const Tokenizer *tokenizer, const char *text, const EncodeOptions *options, const int32_t *ids,
               int32_t n);

#endif
