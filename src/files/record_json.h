/* The JSON of one record as a tree in which no integer has lost a digit: those past 64 bits stand in it as their
 * digits, and json_digits tells them from texts. */
#ifndef LIMN_FILES_RECORD_JSON_H
#define LIMN_FILES_RECORD_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/text_buffer.h"

/* *json is the caller's. path and line (of its first byte, from 1) are for messages. */
limn_status record_json_load(json_t **json, const char *path, int64_t line, const char *bytes, size_t length);

/* The digits of an integer past 64 bits, "-18446744073709551616"; NULL: something else. */
const char *json_digits(const json_t *json);
/* The first such integer inside; NULL: there is none. */
const char *json_digits_inside(const json_t *json);

/* As JSON text in one line. */
limn_status record_json_write(TextBuffer *out, const json_t *json);

#endif
