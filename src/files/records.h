/* Data sets: records with named fields from JSONL, CSV, TSV and plain text, one after another.
 *
 * A file of any size costs one record of memory. What is not UTF-8, holds a NUL, or breaks its format is refused
 * with the number of the line.
 *
 *   JSONL  an object on each line; empty lines are passed over
 *   JSON   one array of objects; a file that begins otherwise is read as JSONL
 *   CSV    RFC 4180: the first record names the fields; quoted fields may hold commas, quotes ("") and line ends;
 *          a record with more or fewer fields than there are names is refused. TSV: the same with tabs
 *   text   each line that is not empty is a record with the one field "text" */
#ifndef LIMN_FILES_RECORDS_H
#define LIMN_FILES_RECORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/progress.h"
#include "base/text_buffer.h"

/* Order of the choice "auto|jsonl|json|csv|tsv|text". */
typedef enum RecordFormat {
    RECORDS_AUTO,
    RECORDS_JSONL,
    RECORDS_JSON,
    RECORDS_CSV,
    RECORDS_TSV,
    RECORDS_TEXT
} RecordFormat;

enum { RECORD_BYTES_MAX = 16 << 20, RECORD_FIELDS_MAX = 65536 };

typedef enum FieldKind {
    FIELD_ABSENT, /* the record has no such field */
    FIELD_NULL,
    FIELD_BOOL,
    FIELD_INTEGER,
    FIELD_DIGITS, /* an integer past 64 bits, as its digits */
    FIELD_REAL,
    FIELD_TEXT, /* a JSON string, a line of text */
    FIELD_CELL, /* of CSV, whose texts have no type: whoever compares decides */
    FIELD_JSON  /* an array or an object */
} FieldKind;

typedef struct FieldValue {
    FieldKind kind;
    bool truth;
    int64_t integer;
    double real;
    const char *bytes; /* [length] TEXT, CELL and DIGITS; borrowed from the record */
    size_t length;
    const json_t *json; /* JSON */
} FieldValue;

typedef struct RecordCell {
    const char *bytes; /* [length] */
    size_t length;
} RecordCell;

/* Borrowed from the reader until its next record. */
typedef struct Record {
    int64_t number;          /* from 0, in the file */
    int64_t line;            /* from 1: its first line */
    int64_t end;             /* bytes of the file up to and with it */
    uint64_t hash;           /* of its bytes */
    const json_t *object;    /* JSONL and JSON; else NULL */
    const RecordCell *names; /* [n_cells] others */
    const RecordCell *cells; /* [n_cells] */
    size_t n_cells;
} Record;

typedef struct RecordReader RecordReader;

typedef struct RecordLimits {
    size_t bytes_max;         /* of a record; 0: RECORD_BYTES_MAX */
    const Progress *progress; /* asked when a signal ends the wait for more bytes, of a pipe say; may be NULL */
} RecordLimits;

/* AUTO goes by the ending: .csv, .tsv, .txt, .json, .jsonl, .ndjson; another ending is refused. limits NULL: the usual
 * ones. */
limn_status record_reader_open(RecordReader **reader, const char *path, RecordFormat format,
                               const RecordLimits *limits);
void record_reader_close(RecordReader *reader); /* NULL is fine */

/* *record NULL: no more. */
limn_status record_reader_next(RecordReader *reader, const Record **record);
/* After a failure: the record it is about (of it number, line, end and hash hold) when the next call reads the one
 * behind it; NULL: it cannot be told where that begins. */
const Record *record_reader_bad(const RecordReader *reader);

const char *record_reader_path(const RecordReader *reader);
RecordFormat record_reader_format(const RecordReader *reader); /* never AUTO; JSON: an array */
int64_t record_reader_size(const RecordReader *reader);        /* bytes; -1: not known */
/* The names that every record has (CSV, text); *n 0 where records differ (JSONL). Borrowed. */
const RecordCell *record_reader_names(const RecordReader *reader, size_t *n);

/* A field by its name; of JSONL also by its path through objects, "user.name". */
FieldValue record_field(const Record *record, const char *name, size_t length);

/* Fails with LIMN_NOT_FOUND: the record, the field that it lacks, those that it has. */
limn_status record_lacks(const Record *record, const char *path, const char *name);

/* What the field reads as in a text: texts as they are, numbers in the fewest digits, others as JSON. Nothing for
 * ABSENT and NULL. */
limn_status field_text(TextBuffer *out, const FieldValue *value);

/* A cell that is spelled as a JSON number ("12", "-0.5", not "007") as that number; else false. Digits past 64 bits are
 * borrowed from the cell. */
bool field_number(FieldValue *number, const FieldValue *value);
/* Of two numbers, exactly: below 0, 0, above 0. */
int field_number_order(const FieldValue *a, const FieldValue *b);

#endif
