#include "method/data/record_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "files/records.h"

struct RecordLog {
    char *path;
    int descriptor;
    const RecordLogKind *kind;
    RecordReader *reader; /* of what was there; NULL: all of it has been read */
    bool at_end;          /* the line lent last was the last one */
    int64_t whole;        /* bytes of whole lines that were there */
    bool cut;             /* behind them part of a line is to be taken off */
    bool made;            /* it was not there before */
    TextBuffer lines;     /* not yet written */
    char settings[LOG_SETTINGS_MAX * LOG_HASH + 1];
};

void record_log_hash(char hex[LOG_HASH], TextBuffer *text) {
    snprintf(hex, LOG_HASH, "%016" PRIx64, hash_bytes(text->data != NULL ? text->data : "", text->length));
    text_buffer_clear(text);
}

void record_log_hash_part(TextBuffer *out, Text text) {
    text_buffer_printf(out, "%zu:", text.length);
    text_buffer_add_bytes(out, text.bytes, text.length);
}

/* ---- opening ---- */

/* Where the last whole line ends. */
static limn_status find_whole(RecordLog *log, int64_t size) {
    char block[4096];
    log->whole = 0;
    for (int64_t end = size; end > 0 && log->whole == 0;) {
        int64_t begin = end > (int64_t)sizeof block ? end - (int64_t)sizeof block : 0;
        ssize_t got = pread(log->descriptor, block, (size_t)(end - begin), (off_t)begin);
        if (got != (ssize_t)(end - begin)) {
            return fail(LIMN_IO, "%s: cannot read: %s", log->path, got < 0 ? strerror(errno) : "it grew shorter");
        }
        const char *newline = memrchr(block, '\n', (size_t)got);
        log->whole = newline != NULL ? begin + (newline - block) + 1 : 0;
        end = begin;
    }
    log->cut = log->whole < size;
    return LIMN_OK;
}

static limn_status not_ours(const RecordLog *log, int64_t line, const char *what) {
    return fail(LIMN_USAGE, "%s: line %lld: %s; name another file for the %s, or remove this one", log->path,
                (long long)line, what, log->kind->many);
}

static limn_status not_one(const RecordLog *log, int64_t line) {
    char what[80];
    snprintf(what, sizeof what, "is not a %s", log->kind->one);
    return not_ours(log, line, what);
}

/* Part of a first line is ours only when it begins as ours do. */
static limn_status check_part(const RecordLog *log, int64_t size) {
    static const char start[] = "{\"record\": ";
    char found[sizeof start - 1];
    int64_t length = size < (int64_t)sizeof found ? size : (int64_t)sizeof found;
    if (pread(log->descriptor, found, (size_t)length, 0) != length || memcmp(found, start, (size_t)length) != 0) {
        return not_one(log, 1);
    }
    return LIMN_OK;
}

static limn_status open_file(RecordLog *log) {
    log->made = !file_exists(log->path);
    log->descriptor = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (log->descriptor < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        return fail(absent ? LIMN_NOT_FOUND : LIMN_IO, "%s: cannot write: %s%s", log->path, strerror(errno),
                    absent ? " (its folder)" : "");
    }
    struct stat info;
    if (fstat(log->descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
        return fail(LIMN_USAGE, "%s: is no regular file; %s go to a file that a second run can go on with", log->path,
                    log->kind->many);
    }
    if (flock(log->descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return fail(LIMN_IO, "%s: another process is writing it", log->path);
    }
    TRY(find_whole(log, (int64_t)info.st_size));
    if (log->whole == 0 && info.st_size > 0) {
        TRY(check_part(log, (int64_t)info.st_size));
    }
    return log->whole > 0 ? record_reader_open(&log->reader, log->path, RECORDS_JSONL, NULL) : LIMN_OK;
}

limn_status record_log_open(RecordLog **log, const char *path, const RecordLogKind *kind,
                            const char (*hashes)[LOG_HASH]) {
    *log = NULL;
    RecordLog *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    made->descriptor = -1;
    made->kind = kind;
    for (int32_t i = 0, at = 0; i < kind->n_settings; i++) {
        at += snprintf(made->settings + at, sizeof made->settings - (size_t)at, "%s%s", i > 0 ? "-" : "", hashes[i]);
    }
    made->path = strdup(path);
    limn_status status = made->path != NULL ? open_file(made) : fail(LIMN_NO_MEMORY, "%s: opening it", path);
    if (status != LIMN_OK) {
        record_log_close(made);
        return status;
    }
    *log = made;
    return LIMN_OK;
}

void record_log_close(RecordLog *log) {
    if (log == NULL) {
        return;
    }
    record_reader_close(log->reader);
    if (log->descriptor >= 0) {
        struct stat info;
        if (log->made && fstat(log->descriptor, &info) == 0 && info.st_size == 0) {
            unlink(log->path);
        }
        close(log->descriptor); /* and with it the lock */
    }
    text_buffer_free(&log->lines);
    free(log->path);
    free(log);
}

/* ---- what is there ---- */

limn_status record_log_refuse(const RecordLog *log, const Record *line, const char *what) {
    return not_ours(log, line->line, what);
}

static limn_status check_settings(const RecordLog *log, const Record *record) {
    const char *found = json_string_value(json_object_get(record->object, "settings"));
    if (found == NULL || strlen(found) != strlen(log->settings)) {
        return not_one(log, record->line);
    }
    for (int32_t i = 0; i < log->kind->n_settings; i++) {
        if (memcmp(found + LOG_HASH * i, log->settings + LOG_HASH * i, LOG_HASH - 1) != 0) {
            char what[160];
            snprintf(what, sizeof what, "was made with %s", log->kind->settings[i]);
            return not_ours(log, record->line, what);
        }
    }
    return LIMN_OK;
}

static limn_status check_record(const RecordLog *log, const Record *record, const DataItem *item) {
    char hash[LOG_HASH];
    snprintf(hash, sizeof hash, "%016" PRIx64, item->hash);
    const char *found = json_string_value(json_object_get(record->object, "hash"));
    const json_t *number = json_object_get(record->object, "record");
    if (found == NULL || !json_is_integer(number)) {
        return not_one(log, record->line);
    }
    if (json_integer_value(number) != item->number || strcmp(found, hash) != 0) {
        return fail(LIMN_USAGE,
                    "%s: line %lld: is about record %lld (%s); the data has record %lld (%s) there: other data, "
                    "filter, sample or limit; name another file for the %s, or remove this one",
                    log->path, (long long)record->line, (long long)json_integer_value(number), found,
                    (long long)item->number, hash, log->kind->many);
    }
    return LIMN_OK;
}

static void close_reader(RecordLog *log) {
    record_reader_close(log->reader);
    log->reader = NULL;
    log->at_end = false;
}

limn_status record_log_next(RecordLog *log, const DataItem *item, const Record **line) {
    *line = NULL;
    if (log->at_end) {
        close_reader(log);
    }
    if (log->reader == NULL) {
        return LIMN_OK;
    }
    TRY(record_reader_next(log->reader, line));
    if (*line == NULL) {
        return fail(LIMN_IO, "%s: grew shorter while it was being read", log->path);
    }
    log->at_end = (*line)->end >= log->whole;
    TRY(check_settings(log, *line));
    return check_record(log, *line, item);
}

/* ---- new lines ---- */

void record_log_begin(RecordLog *log, JsonWriter *writer, const DataItem *item) {
    *writer = (JsonWriter){.out = &log->lines};
    writer_begin(writer, '{', true);
    writer_integer_field(writer, "record", item->number);
}

limn_status record_log_end(RecordLog *log, JsonWriter *writer, const DataItem *item) {
    char hash[LOG_HASH];
    snprintf(hash, sizeof hash, "%016" PRIx64, item->hash);
    writer_string_field(writer, "hash", hash);
    writer_string_field(writer, "settings", log->settings);
    writer_end(writer, '}');
    text_buffer_add_char(&log->lines, '\n');
    return text_buffer_status(&log->lines);
}

limn_status record_log_flush(RecordLog *log) {
    if (log->lines.length == 0) {
        return LIMN_OK;
    }
    if (log->cut && ftruncate(log->descriptor, (off_t)log->whole) != 0) {
        return fail(LIMN_IO, "%s: cannot take off half a line: %s", log->path, strerror(errno));
    }
    log->cut = false;
    for (size_t at = 0; at < log->lines.length;) {
        ssize_t wrote = write(log->descriptor, log->lines.data + at, log->lines.length - at);
        if (wrote < 0 && errno != EINTR) {
            return fail(LIMN_IO, "%s: cannot write: %s", log->path, strerror(errno));
        }
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    text_buffer_clear(&log->lines);
    return LIMN_OK;
}

limn_status record_log_finish(RecordLog *log) {
    if (log->at_end) {
        close_reader(log);
    }
    if (log->reader != NULL) {
        return fail(LIMN_USAGE,
                    "%s: holds %s of more records than there are; name another file for the %s, or remove "
                    "this one",
                    log->path, log->kind->many, log->kind->many);
    }
    TRY(record_log_flush(log));
    if (fsync(log->descriptor) != 0) {
        return fail(LIMN_IO, "%s: cannot sync: %s", log->path, strerror(errno));
    }
    return LIMN_OK;
}
