/* A data set: the records of a file that are meant, in the order of the file.
 *
 * First the filter, then the sample, then the limit. Nothing is kept but one record; a sample keeps the numbers of
 * its records and reads the file twice. */
#ifndef LIMN_DATA_DATASET_H
#define LIMN_DATA_DATASET_H

#include "files/records.h"

typedef struct DatasetOptions {
    RecordFormat format;
    const char *where; /* [where_length] or NULL: every record */
    size_t where_length;
    int64_t limit;  /* at most so many; 0: all */
    int64_t sample; /* so many at random, each record as likely as any other (reservoir); 0: no sample */
    uint64_t seed;
    bool skip_bad;            /* records that cannot be read, or asked of by the filter, end no sample */
    const Progress *progress; /* asked when a signal ends the wait for more of a pipe; may be NULL; outlives the set */
} DatasetOptions;

typedef struct Dataset Dataset;

limn_status dataset_open(Dataset **dataset, const char *path, const DatasetOptions *options);
void dataset_close(Dataset *dataset); /* NULL is fine */

/* *record NULL: no more. Borrowed until the next call. A name in the filter that no record has is refused then. */
limn_status dataset_next(Dataset *dataset, const Record **record);
/* After a failure: the record it is about, where the next call goes on behind it; else NULL (record_reader_bad). */
const Record *dataset_bad(const Dataset *dataset);

const char *dataset_path(const Dataset *dataset);
bool dataset_is_regular(const Dataset *dataset); /* a file that can be read again */
bool dataset_is_text(const Dataset *dataset);    /* plain text: the one field is "text" */
/* For progress: what of the whole is behind `record`: bytes, or records when a limit or sample says how many come. */
void dataset_progress(const Dataset *dataset, const Record *record, int64_t n_records, int64_t *done, int64_t *total);

#endif
