/* Records of texts that a test writes itself. */
#ifndef TESTS_FILES_RECORD_TEXTS_H
#define TESTS_FILES_RECORD_TEXTS_H

#include <string.h>

#include "files/helpers.h"
#include "files/records.h"

static inline const char *file_of(const char *name, const char *bytes, size_t length) {
    const char *path = scratch_path(name);
    write_file(path, bytes, length);
    return path;
}

static inline RecordReader *opened(const char *name, const char *text) {
    RecordReader *reader;
    assert_ok(record_reader_open(&reader, file_of(name, text, strlen(text)), RECORDS_AUTO, NULL));
    return reader;
}

static inline const Record *next(RecordReader *reader) {
    const Record *record;
    assert_ok(record_reader_next(reader, &record));
    return record;
}

static inline void assert_field(const Record *record, const char *name, const char *expected) {
    assert_non_null(record);
    FieldValue value = record_field(record, name, strlen(name));
    TextBuffer text = TEXT_BUFFER_INIT;
    assert_ok(field_text(&text, &value));
    assert_int_equal(text.length, strlen(expected));
    assert_string_equal(text.data != NULL ? text.data : "", expected);
    text_buffer_free(&text);
}

/* Reads to the first failure; the records before it count. */
static inline void refused_after(const char *name, const char *bytes, size_t length, int good, const char *first,
                                 const char *second) {
    RecordReader *reader = NULL;
    const Record *record = NULL;
    limn_status status = record_reader_open(&reader, file_of(name, bytes, length), RECORDS_AUTO, NULL);
    int read = 0;
    while (status == LIMN_OK && (status = record_reader_next(reader, &record)) == LIMN_OK && record != NULL) {
        read++;
    }
    assert_refused(status, LIMN_FORMAT, first, second);
    assert_int_equal(read, good);
    record_reader_close(reader);
}

#define refused(name, text, good, first, second) refused_after(name, text, sizeof text - 1, good, first, second)

#endif
