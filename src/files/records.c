#include "files/records.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "base/utf8.h"
#include "files/json.h"
#include "files/record_bytes.h"
#include "files/record_json.h"

struct RecordReader {
    RecordBytes source;
    RecordFormat format;
    Record record;
    int64_t next_number;
    bool lost;         /* after a failure it is not known where the next record begins */
    json_t *object;    /* the record's, JSONL and JSON */
    RecordCell *names; /* [n_names] */
    size_t n_names;
    char *name_bytes;  /* where names point */
    RecordCell *cells; /* [cell_capacity] */
    size_t cell_capacity;
    size_t n_cells;
};

/* ---- texts ---- */

static limn_status check_text(const RecordReader *reader, int64_t line, const char *bytes, size_t length) {
    const char *path = reader->source.path;
    for (size_t i = 0; i < length;) {
        unsigned char c = (unsigned char)bytes[i];
        if (c > 0 && c < 0x80) {
            line += c == '\n';
            i++;
            continue;
        }
        if (c == 0) {
            return fail(LIMN_FORMAT, "%s: line %lld: a NUL byte; expected text", path, (long long)line);
        }
        Utf8State state;
        size_t step = utf8_sequence(bytes + i, length - i, &state);
        if (state != UTF8_WHOLE) {
            return fail(LIMN_FORMAT,
                        "%s: line %lld: the byte 0x%02X is not UTF-8 (iconv -t UTF-8 converts other "
                        "encodings)",
                        path, (long long)line, c);
        }
        i += step;
    }
    return LIMN_OK;
}

/* ---- CSV ---- */

/* A quote in the wrong place: the next one may open or close. */
static limn_status csv_error(RecordReader *reader, int64_t line, const char *what) {
    reader->lost = true;
    return fail(LIMN_FORMAT, "%s: line %lld: %s", reader->source.path, (long long)line, what);
}

static limn_status add_cell(RecordReader *reader, int64_t line, const char *bytes, size_t length) {
    if (reader->n_cells == RECORD_FIELDS_MAX) {
        return fail(LIMN_FORMAT, "%s: line %lld: more than %d fields", reader->source.path, (long long)line,
                    RECORD_FIELDS_MAX);
    }
    if (reader->n_cells == reader->cell_capacity) {
        size_t capacity = reader->cell_capacity == 0 ? 32 : reader->cell_capacity * 2;
        RecordCell *grown = realloc(reader->cells, capacity * sizeof *grown);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: %zu fields", reader->source.path, capacity);
        }
        reader->cells = grown;
        reader->cell_capacity = capacity;
    }
    reader->cells[reader->n_cells++] = (RecordCell){bytes, length};
    return LIMN_OK;
}

/* A quoted field in place: bytes[*at] is the first after the quote; afterwards the first after the closing one. */
static limn_status read_quoted(RecordReader *reader, char *bytes, size_t length, size_t *at, int64_t *line) {
    size_t from = *at;
    size_t to = from;
    int64_t began = *line;
    for (size_t i = from; i < length; i++) {
        if (bytes[i] == '"') {
            if (i + 1 == length || bytes[i + 1] != '"') {
                *at = i + 1;
                return add_cell(reader, *line, bytes + from, to - from);
            }
            i++;
        }
        *line += bytes[i] == '\n';
        bytes[to++] = bytes[i];
    }
    return csv_error(reader, began, "a quoted field that never ends");
}

static limn_status read_plain(RecordReader *reader, const char *bytes, size_t length, size_t *at, char comma,
                              int64_t line) {
    size_t from = *at;
    size_t i = from;
    while (i < length && bytes[i] != comma) {
        if (bytes[i] == '"') {
            return csv_error(reader, line,
                             "a quote inside a field that does not begin with one; expected the whole "
                             "field in quotes and the quote doubled");
        }
        if (bytes[i] == '\r') {
            return csv_error(reader, line, "a carriage return that no line feed follows");
        }
        i++;
    }
    *at = i;
    return add_cell(reader, line, bytes + from, i - from);
}

static limn_status split_csv(RecordReader *reader, char *bytes, size_t length, int64_t line) {
    char comma = reader->format == RECORDS_TSV ? '\t' : ',';
    reader->n_cells = 0;
    for (size_t at = 0;; at++) {
        if (at < length && bytes[at] == '"') {
            at++;
            TRY(read_quoted(reader, bytes, length, &at, &line));
            if (at < length && bytes[at] != comma) {
                return csv_error(reader, line, "text between a closing quote and the next separator");
            }
        } else {
            TRY(read_plain(reader, bytes, length, &at, comma, line));
        }
        if (at >= length) {
            return LIMN_OK;
        }
    }
}

static limn_status check_names(const RecordReader *reader, int64_t line) {
    Map seen;
    map_init(&seen);
    limn_status status = LIMN_OK;
    for (size_t i = 0; i < reader->n_names && status == LIMN_OK; i++) {
        const RecordCell *name = &reader->names[i];
        uint64_t other;
        if (map_get(&seen, name->bytes, name->length, &other)) {
            status = fail(LIMN_FORMAT, "%s: line %lld: fields %zu and %zu have the same name '%.*s'",
                          reader->source.path, (long long)line, (size_t)other + 1, i + 1,
                          (int)(name->length < 80 ? name->length : 80), name->bytes);
        } else {
            status = map_put(&seen, name->bytes, name->length, i);
        }
    }
    map_free(&seen);
    return status;
}

static limn_status read_header(RecordReader *reader) {
    char *bytes;
    size_t length;
    int64_t line;
    TRY(record_bytes_next(&reader->source, true, &bytes, &length, &line));
    if (bytes == NULL || length == 0) {
        return fail(LIMN_FORMAT, "%s: line 1: nothing, expected the names of the fields", reader->source.path);
    }
    TRY(check_text(reader, line, bytes, length));
    reader->name_bytes = malloc(length + 1);
    if (reader->name_bytes == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: names of %zu bytes", reader->source.path, length);
    }
    memcpy(reader->name_bytes, bytes, length);
    TRY(split_csv(reader, reader->name_bytes, length, line));
    reader->names = reader->cells;
    reader->n_names = reader->n_cells;
    reader->cells = NULL;
    reader->cell_capacity = 0;
    return check_names(reader, line);
}

/* *there false: an empty line between records of several fields, which is no record. */
static limn_status read_csv(RecordReader *reader, char *bytes, size_t length, int64_t line, bool *there) {
    *there = length > 0 || reader->n_names == 1;
    if (!*there) {
        return LIMN_OK;
    }
    TRY(check_text(reader, line, bytes, length));
    TRY(split_csv(reader, bytes, length, line));
    if (reader->n_cells != reader->n_names) {
        return fail(LIMN_FORMAT, "%s: line %lld: %zu fields; the first line names %zu", reader->source.path,
                    (long long)line, reader->n_cells, reader->n_names);
    }
    reader->record.cells = reader->cells;
    return LIMN_OK;
}

/* ---- JSONL and text ---- */

static bool is_blank(const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r') {
            return false;
        }
    }
    return true;
}

static limn_status read_json(RecordReader *reader, const char *bytes, size_t length, int64_t line, bool *there) {
    *there = !is_blank(bytes, length);
    if (!*there) {
        return LIMN_OK;
    }
    json_decref(reader->object);
    reader->object = NULL;
    TRY(record_json_load(&reader->object, reader->source.path, line, bytes, length));
    if (!json_is_object(reader->object)) {
        char found[80];
        return fail(LIMN_FORMAT, "%s: line %lld: found %s, expected an object", reader->source.path, (long long)line,
                    json_describe(reader->object, found));
    }
    reader->record.object = reader->object;
    return LIMN_OK;
}

static limn_status read_line(RecordReader *reader, const char *bytes, size_t length, int64_t line, bool *there) {
    *there = length > 0;
    if (*there) {
        TRY(check_text(reader, line, bytes, length));
        reader->n_cells = 0;
        TRY(add_cell(reader, line, bytes, length));
        reader->record.cells = reader->cells;
    }
    return LIMN_OK;
}

/* ---- the reader ---- */

static limn_status format_of(RecordFormat *format, const char *path) {
    static const struct {
        const char *ending;
        RecordFormat format;
    } endings[] = {{".jsonl", RECORDS_JSONL}, {".ndjson", RECORDS_JSONL}, {".json", RECORDS_JSON},
                   {".csv", RECORDS_CSV},     {".tsv", RECORDS_TSV},      {".txt", RECORDS_TEXT}};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(endings[i].ending);
        if (length > n && strcasecmp(path + length - n, endings[i].ending) == 0) {
            *format = endings[i].format;
            return LIMN_OK;
        }
    }
    return fail(LIMN_USAGE,
                "%s: cannot tell its format by the ending; expected .jsonl, .json, .csv, .tsv or .txt, or the "
                "format named",
                path);
}

static limn_status open_reader(RecordReader *reader, const char *path, RecordFormat format,
                               const RecordLimits *limits) {
    static const RecordCell text_name = {"text", 4};
    reader->format = format;
    if (format == RECORDS_AUTO) {
        TRY(format_of(&reader->format, path));
    }
    size_t most = limits == NULL || limits->bytes_max == 0 ? RECORD_BYTES_MAX : limits->bytes_max;
    TRY(record_bytes_open(&reader->source, path, most, limits == NULL ? NULL : limits->progress));
    if (reader->format == RECORDS_JSON) {
        bool array;
        TRY(record_bytes_begin_array(&reader->source, &array));
        reader->format = array ? RECORDS_JSON : RECORDS_JSONL;
        return LIMN_OK;
    }
    if (reader->format == RECORDS_TEXT) {
        reader->names = malloc(sizeof *reader->names);
        if (reader->names == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: opening it", path);
        }
        reader->names[0] = text_name;
        reader->n_names = 1;
    } else if (reader->format != RECORDS_JSONL) {
        TRY(read_header(reader));
    }
    return LIMN_OK;
}

limn_status record_reader_open(RecordReader **reader, const char *path, RecordFormat format,
                               const RecordLimits *limits) {
    *reader = NULL;
    RecordReader *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    made->source.descriptor = -1;
    limn_status status = open_reader(made, path, format, limits);
    if (status != LIMN_OK) {
        record_reader_close(made);
        return status;
    }
    *reader = made;
    return LIMN_OK;
}

void record_reader_close(RecordReader *reader) {
    if (reader == NULL) {
        return;
    }
    record_bytes_close(&reader->source);
    json_decref(reader->object);
    free(reader->names);
    free(reader->name_bytes);
    free(reader->cells);
    free(reader);
}

static limn_status read_record(RecordReader *reader, char *bytes, size_t length, int64_t line, bool *there) {
    switch (reader->format) {
    case RECORDS_CSV:
    case RECORDS_TSV:
        return read_csv(reader, bytes, length, line, there);
    case RECORDS_TEXT:
        return read_line(reader, bytes, length, line, there);
    default:
        return read_json(reader, bytes, length, line, there);
    }
}

limn_status record_reader_next(RecordReader *reader, const Record **record) {
    *record = NULL;
    bool csv = reader->format == RECORDS_CSV || reader->format == RECORDS_TSV;
    for (;;) {
        char *bytes;
        size_t length;
        int64_t line;
        bool there;
        reader->lost = true;
        TRY(reader->format == RECORDS_JSON ? record_bytes_next_element(&reader->source, &bytes, &length, &line)
                                           : record_bytes_next(&reader->source, csv, &bytes, &length, &line));
        reader->lost = false;
        if (bytes == NULL) {
            return LIMN_OK;
        }
        uint64_t hash = hash_bytes(bytes, length); /* before quotes are taken off in place */
        reader->record = (Record){.number = reader->next_number,
                                  .line = line,
                                  .end = reader->source.offset,
                                  .hash = hash,
                                  .names = reader->names,
                                  .n_cells = reader->n_names};
        limn_status status = read_record(reader, bytes, length, line, &there);
        if (status != LIMN_OK || there) {
            reader->next_number++;
            *record = status == LIMN_OK ? &reader->record : NULL;
            return status;
        }
    }
}

const Record *record_reader_bad(const RecordReader *reader) {
    return reader->lost ? NULL : &reader->record;
}

const char *record_reader_path(const RecordReader *reader) {
    return reader->source.path;
}

RecordFormat record_reader_format(const RecordReader *reader) {
    return reader->format;
}

int64_t record_reader_size(const RecordReader *reader) {
    return reader->source.size;
}

const RecordCell *record_reader_names(const RecordReader *reader, size_t *n) {
    *n = reader->n_names;
    return reader->names;
}
