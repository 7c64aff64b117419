/* The bytes of one record after another, from a file of any size: a line, a CSV record whose quotes may hold line ends,
 * or an element of a JSON array. A window over the file is all that is kept; it grows up to the longest record that is
 * allowed. */
#ifndef LIMN_FILES_RECORD_BYTES_H
#define LIMN_FILES_RECORD_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/progress.h"

typedef struct RecordBytes {
    char *path;
    int descriptor;
    char *window;             /* [capacity] */
    size_t capacity;          /* grows up to most + 1 */
    size_t begin, end;        /* what is read and not yet given out */
    size_t most;              /* bytes of the longest record */
    bool ended;               /* the file has no more */
    bool in_array, closed;    /* the array has begun; has ended */
    int64_t elements;         /* of the array so far */
    int64_t line;             /* the next record's first line, from 1 */
    int64_t offset;           /* of the next record in the file */
    int64_t size;             /* of the file; -1: not known (a pipe) */
    const Progress *progress; /* asked when a signal ends the wait for more; may be NULL */
} RecordBytes;

/* A byte order mark of UTF-8 is passed over; one of UTF-16 or UTF-32 is refused. */
limn_status record_bytes_open(RecordBytes *source, const char *path, size_t most, const Progress *progress);
void record_bytes_close(RecordBytes *source);

/* The next record without its line end (\n or \r\n); *bytes NULL at the end of the file. Borrowed until the next
 * call. quoted: line ends between double quotes are part of the record. *line is its first line. */
limn_status record_bytes_next(RecordBytes *source, bool quoted, char **bytes, size_t *length, int64_t *line);

/* Whether the file's first byte that is no blank opens an array; it is then passed over. */
limn_status record_bytes_begin_array(RecordBytes *source, bool *array);
/* The next element of the array, whose commas and ends are checked here and whose inside is not; *bytes NULL: there was
 * the last one. Borrowed until the next call. */
limn_status record_bytes_next_element(RecordBytes *source, char **bytes, size_t *length, int64_t *line);

#endif
