/* JSON files and typed getters whose errors name the file, the key, what was found and what was expected.
 *
 * Getters take the object and `where`: the text that messages begin with, "dir/config.json" or
 * "dir/config.json: rope_scaling". An absent key and an explicit null are the same. json_need_* refuse them,
 * json_take_* give the fallback. A value of another type is an error in both. */
#ifndef LIMN_FILES_JSON_H
#define LIMN_FILES_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text_buffer.h"

enum { JSON_CONFIG_CAP = 16 << 20 };           /* config.json and its like */
#define JSON_TOKENIZER_CAP ((size_t)512 << 20) /* tokenizer.json of large vocabularies */

/* *json is the caller's (json_decref). Syntax errors name line and column. Keys given twice keep the last value, as
 * Python does. Integers that do not fit 64 bits (tokenizer_config.json: model_max_length) become reals. */
limn_status json_file_load(json_t **json, const char *path, size_t cap);
/* `name` stands in messages for where the text came from. */
limn_status json_text_load(json_t **json, const char *name, const char *text, size_t length);

/* Integers within [minimum, maximum]; a real with an integral value counts. */
limn_status json_need_integer(int64_t *value, const json_t *object, const char *where, const char *key, int64_t minimum,
                              int64_t maximum);
limn_status json_take_integer(int64_t *value, const json_t *object, const char *where, const char *key, int64_t minimum,
                              int64_t maximum, int64_t fallback);
limn_status json_need_real(double *value, const json_t *object, const char *where, const char *key);
limn_status json_take_real(double *value, const json_t *object, const char *where, const char *key, double fallback);
limn_status json_take_bool(bool *value, const json_t *object, const char *where, const char *key, bool fallback);
/* Borrowed, NUL-terminated; a string with a NUL inside is refused. */
limn_status json_need_string(const char **value, const json_t *object, const char *where, const char *key);
limn_status json_take_string(const char **value, const json_t *object, const char *where, const char *key,
                             const char *fallback);
/* Borrowed; take_*: NULL when absent. */
limn_status json_need_array(const json_t **value, const json_t *object, const char *where, const char *key);
limn_status json_take_array(const json_t **value, const json_t *object, const char *where, const char *key);
limn_status json_need_object(const json_t **value, const json_t *object, const char *where, const char *key);
limn_status json_take_object(const json_t **value, const json_t *object, const char *where, const char *key);

/* A copy of JSON text with `before` and `after` around each integer that does not fit 64 bits; returns how many there
 * are. Every other number stays as it is. */
size_t json_rewrite_integers(TextBuffer *out, const char *text, size_t length, const char *before, const char *after);

/* Whether a parse ended because memory ran out: jansson says so, or says nothing at all. */
bool json_ran_out_of_memory(const json_error_t *error);

/* "an object", "the integer 3", "the text 'abc'": what messages say was found. */
const char *json_describe(const json_t *value, char buffer[80]);

#endif
