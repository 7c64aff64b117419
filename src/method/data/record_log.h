/* A file of JSON lines about the records of a data set, in the order they are worked on, appended as they are made. A
 * run that was cut short goes on where it stopped: what is there is checked against the data and the settings; half a
 * line at the end is taken off. One process at a time. */
#ifndef LIMN_METHOD_DATA_RECORD_LOG_H
#define LIMN_METHOD_DATA_RECORD_LOG_H

#include "ask/data_source.h"
#include "result/json.h"

enum { LOG_SETTINGS_MAX = 8, LOG_HASH = 17 /* 16 hex digits */ };

typedef struct RecordLogKind {
    const char *one, *many;      /* "prediction", "predictions" */
    const char *const *settings; /* [n_settings] what is said where one is another: "was made with another model" */
    int32_t n_settings;
} RecordLogKind;

typedef struct RecordLog RecordLog;

/* Opens or makes it; nothing is changed before the first flush. kind is borrowed; hashes: [n_settings] of what decides
 * a line besides the record. */
limn_status record_log_open(RecordLog **log, const char *path, const RecordLogKind *kind,
                            const char (*hashes)[LOG_HASH]);

/* The next line that is there already, which must be about `item`; *line NULL: it is not yet. Borrowed until the next
 * call. */
limn_status record_log_next(RecordLog *log, const DataItem *item, const Record **line);
/* Refuses the line: what is wrong with it. */
limn_status record_log_refuse(const RecordLog *log, const Record *line, const char *what);

/* A line for what the next flush writes: after the first, the writer stands inside its object. */
void record_log_begin(RecordLog *log, JsonWriter *writer, const DataItem *item);
limn_status record_log_end(RecordLog *log, JsonWriter *writer, const DataItem *item);
limn_status record_log_flush(RecordLog *log);

/* Refuses a file that holds more lines than the data has records; syncs. */
limn_status record_log_finish(RecordLog *log);
void record_log_close(RecordLog *log); /* NULL is fine; a file that was made and holds nothing goes again */

/* The hash of the text, which is emptied. */
void record_log_hash(char hex[LOG_HASH], TextBuffer *text);
void record_log_hash_part(TextBuffer *out, Text text); /* with its length before it */

#endif
