/* Taking typed parts out of parsed JSON, with the place named when they do not fit. */
#ifndef LIMN_RESULT_READER_H
#define LIMN_RESULT_READER_H

#include <jansson.h>

#include "result/build.h"

typedef struct Reader {
    Result *result;     /* owns what is read */
    const char *source; /* names the document in messages */
    const char *where;  /* "input.tokens": the part being read */
} Reader;

limn_status reader_fail(const Reader *reader, const char *key, const json_t *found, const char *expected);

/* Each gives LIMN_FORMAT when the key holds another type; absent keys give the default where there is one. */
limn_status reader_object(const Reader *reader, const json_t *object, const char *key, json_t **out); /* required */
limn_status reader_array(const Reader *reader, const json_t *object, const char *key, json_t **out);  /* required */
limn_status reader_integer(const Reader *reader, const json_t *object, const char *key, int64_t low, int64_t high,
                           int64_t *out); /* required */
limn_status reader_int32(const Reader *reader, const json_t *object, const char *key, int32_t low, int32_t *out);
limn_status reader_bool(const Reader *reader, const json_t *object, const char *key, bool *out);     /* absent: false */
limn_status reader_number(const Reader *reader, const json_t *object, const char *key, double *out); /* absent: NaN */
/* Absent or null: {NULL, 0}. */
limn_status reader_text(const Reader *reader, const json_t *object, const char *key, Text *out);
limn_status reader_name(const Reader *reader, const json_t *object, const char *key, const char **out); /* required */
/* The row of names the string is one of. */
limn_status reader_choice(const Reader *reader, const json_t *object, const char *key, const char *(*name_of)(int),
                          int count, int *out);
limn_status reader_numbers(const Reader *reader, const json_t *object, const char *key, int32_t n, double **out);

limn_status reader_text_from(const Reader *reader, const json_t *json, const char *key, Text *out);
limn_status reader_value_from(const Reader *reader, const json_t *json, int depth, Value *out);
/* How many items; LIMN_FORMAT beyond what an int32 counts. */
limn_status reader_count_from(const Reader *reader, const json_t *array, int32_t *out);

#endif
