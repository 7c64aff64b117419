/* What the tests of this folder share: a scratch folder, bad files made on the spot, refusals with their words. */
#ifndef TESTS_FILES_HELPERS_H
#define TESTS_FILES_HELPERS_H

/* before cmocka.h, which makes a macro of fail */
#include "base/error.h"
#include "base/text_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int scratch_make(void **state);             /* a group's set-up: a new empty folder */
int scratch_remove(void **state);           /* and its tear-down */
const char *scratch_path(const char *name); /* borrowed until 8 more calls */

void write_file(const char *path, const void *bytes, size_t length);
void write_text(const char *path, const char *text);
int count_files(const char *folder); /* entries, hidden ones too */

/* The call answered `expected`, and its message contains every word of the list (the last is NULL). */
void check_refused(limn_status found, limn_status expected, const char *const *words, const char *file, int line);
#define assert_refused(call, expected, ...)                                                                            \
    check_refused((call), (expected), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)
#define assert_ok(call) check_refused((call), LIMN_OK, (const char *const[]){NULL}, __FILE__, __LINE__)

/* Little-endian building blocks. */
void put_u32(TextBuffer *out, uint32_t value);
void put_u64(TextBuffer *out, uint64_t value);
void put_string(TextBuffer *out, const char *text); /* as GGUF writes it: u64 length, bytes */

/* `${LIMN_SHARED:-<source>/../shared}/below`, or NULL when it is not there (the test then skips with a line). */
const char *shared_path(const char *below);

#endif
