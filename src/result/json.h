/* Writing JSON with fixed bytes, and what reading it needs. */
#ifndef LIMN_RESULT_JSON_H
#define LIMN_RESULT_JSON_H

#include "result/result.h"

enum { JSON_DEPTH_MAX = 64 };

typedef struct JsonWriter {
    TextBuffer *out;
    int depth;
    bool empty[JSON_DEPTH_MAX];   /* nothing in this container yet */
    bool on_line[JSON_DEPTH_MAX]; /* items one after another on one line */
    bool after_key;
} JsonWriter;

void writer_begin(JsonWriter *writer, char bracket, bool on_line); /* '{' or '[' */
void writer_end(JsonWriter *writer, char bracket);                 /* '}' or ']' */
void writer_key(JsonWriter *writer, const char *name);
void writer_null(JsonWriter *writer);
void writer_bool(JsonWriter *writer, bool value);
void writer_integer(JsonWriter *writer, int64_t value);
void writer_number(JsonWriter *writer, double value);
/* A string; bytes that are not UTF-8 become {"text": with U+FFFD, "base64": the bytes}. */
void writer_text(JsonWriter *writer, Text text);
void writer_value(JsonWriter *writer, const Value *value);

void writer_text_field(JsonWriter *writer, const char *name, Text text); /* nothing when absent */
void writer_string_field(JsonWriter *writer, const char *name, const char *text);
void writer_bool_field(JsonWriter *writer, const char *name, bool value);
void writer_integer_field(JsonWriter *writer, const char *name, int64_t value);
void writer_number_field(JsonWriter *writer, const char *name, double value);
void writer_numbers_field(JsonWriter *writer, const char *name, const double *values, int32_t n);

enum { NUMBER_TEXT_MAX = 48 };

/* The fewest digits that read back as the same number; always with '.' or 'e'; "null" when not finite. */
void number_text(char text[NUMBER_TEXT_MAX], double value);

#endif
