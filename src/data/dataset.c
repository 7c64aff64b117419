#include "data/dataset.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/random.h"
#include "data/where.h"

struct Dataset {
    Arena arena;
    DatasetOptions options;
    RecordReader *reader;
    Where *where;
    int64_t *chosen; /* [n_chosen] numbers of the sampled records, ascending */
    int64_t n_chosen, at_chosen;
    int64_t given;
    bool ended;
    bool any;      /* some record was read */
    bool at_fault; /* the last failure was of one record */
};

static limn_status next_that_holds(Dataset *dataset, const Record **record) {
    bool holds = false;
    while (!holds) {
        dataset->at_fault = true;
        TRY(record_reader_next(dataset->reader, record));
        if (*record == NULL) {
            dataset->at_fault = false;
            const char *unseen = dataset->where != NULL && dataset->any ? where_unseen_name(dataset->where) : NULL;
            return unseen == NULL ? LIMN_OK
                                  : fail(LIMN_NOT_FOUND,
                                         "option 'where': no record of %s has the field '%.80s' (a text stands "
                                         "in quotes)",
                                         record_reader_path(dataset->reader), unseen);
        }
        holds = true;
        dataset->any = true;
        if (dataset->where != NULL) {
            TRY(where_test(dataset->where, *record, &holds));
        }
    }
    return LIMN_OK;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static limn_status add_chosen(Dataset *dataset, int64_t *capacity, int64_t number) {
    if (dataset->n_chosen == *capacity) {
        int64_t larger = *capacity == 0 ? 1024 : *capacity * 2;
        int64_t *grown = realloc(dataset->chosen, (size_t)larger * sizeof *grown);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "a sample of %lld records", (long long)larger);
        }
        dataset->chosen = grown;
        *capacity = larger;
    }
    dataset->chosen[dataset->n_chosen++] = number;
    return LIMN_OK;
}

/* Vitter's algorithm R: record i takes the place of a chosen one with probability sample / (i + 1). */
static limn_status choose_sample(Dataset *dataset) {
    Random random;
    random_seed(&random, dataset->options.seed);
    int64_t capacity = 0;
    int64_t seen = 0;
    for (;;) {
        const Record *record;
        limn_status status = next_that_holds(dataset, &record);
        if (dataset->options.skip_bad && status_is_of_input(status) && dataset_bad(dataset) != NULL) {
            continue;
        }
        TRY(status);
        if (record == NULL) {
            break;
        }
        if (seen < dataset->options.sample) {
            TRY(add_chosen(dataset, &capacity, record->number));
        } else {
            uint64_t place = random_below(&random, (uint64_t)seen + 1);
            if (place < (uint64_t)dataset->options.sample) {
                dataset->chosen[place] = record->number;
            }
        }
        seen++;
    }
    if (dataset->chosen != NULL) {
        qsort(dataset->chosen, (size_t)dataset->n_chosen, sizeof *dataset->chosen, ascending);
    }
    return LIMN_OK;
}

static limn_status open_reader(Dataset *dataset, const char *path) {
    RecordLimits limits = {.progress = dataset->options.progress};
    return record_reader_open(&dataset->reader, path, dataset->options.format, &limits);
}

static limn_status open_sample(Dataset *dataset, const char *path) {
    if (record_reader_size(dataset->reader) < 0) {
        return fail(LIMN_USAGE, "%s: --sample reads a file twice; expected a regular file", path);
    }
    TRY(choose_sample(dataset));
    record_reader_close(dataset->reader);
    return open_reader(dataset, path);
}

static limn_status open_parts(Dataset *dataset, const char *path) {
    const DatasetOptions *options = &dataset->options;
    if (options->where != NULL) {
        TRY(where_parse(&dataset->where, options->where, options->where_length, &dataset->arena));
    }
    TRY(open_reader(dataset, path));
    if (dataset->where != NULL) {
        size_t n;
        const RecordCell *names = record_reader_names(dataset->reader, &n);
        TRY(where_check_names(dataset->where, path, names, n));
    }
    return options->sample > 0 ? open_sample(dataset, path) : LIMN_OK;
}

limn_status dataset_open(Dataset **dataset, const char *path, const DatasetOptions *options) {
    *dataset = NULL;
    Dataset *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    arena_init(&made->arena);
    made->options = *options;
    limn_status status = open_parts(made, path);
    if (status != LIMN_OK) {
        dataset_close(made);
        return status;
    }
    *dataset = made;
    return LIMN_OK;
}

void dataset_close(Dataset *dataset) {
    if (dataset == NULL) {
        return;
    }
    record_reader_close(dataset->reader);
    where_free(dataset->where);
    free(dataset->chosen);
    arena_free(&dataset->arena);
    free(dataset);
}

/* The next of the chosen numbers; the records between are passed over. */
static limn_status next_chosen(Dataset *dataset, const Record **record) {
    *record = NULL;
    if (dataset->at_chosen == dataset->n_chosen) {
        return LIMN_OK;
    }
    int64_t wanted = dataset->chosen[dataset->at_chosen];
    do {
        dataset->at_fault = true;
        TRY(record_reader_next(dataset->reader, record));
        if (*record == NULL) {
            dataset->at_fault = false;
            return fail(LIMN_IO, "%s: grew shorter while it was being read", record_reader_path(dataset->reader));
        }
    } while ((*record)->number < wanted);
    dataset->at_chosen++;
    return LIMN_OK;
}

limn_status dataset_next(Dataset *dataset, const Record **record) {
    *record = NULL;
    if (dataset->ended || (dataset->options.limit > 0 && dataset->given == dataset->options.limit)) {
        return LIMN_OK;
    }
    TRY(dataset->options.sample > 0 ? next_chosen(dataset, record) : next_that_holds(dataset, record));
    dataset->ended = *record == NULL;
    dataset->given += *record != NULL;
    return LIMN_OK;
}

const Record *dataset_bad(const Dataset *dataset) {
    return dataset->at_fault ? record_reader_bad(dataset->reader) : NULL;
}

const char *dataset_path(const Dataset *dataset) {
    return record_reader_path(dataset->reader);
}

bool dataset_is_regular(const Dataset *dataset) {
    return record_reader_size(dataset->reader) >= 0;
}

bool dataset_is_text(const Dataset *dataset) {
    return record_reader_format(dataset->reader) == RECORDS_TEXT;
}

void dataset_progress(const Dataset *dataset, const Record *record, int64_t n_records, int64_t *done, int64_t *total) {
    int64_t most = dataset->options.limit;
    if (dataset->options.sample > 0 && (most == 0 || most > dataset->n_chosen)) {
        most = dataset->n_chosen;
    }
    int64_t size = record_reader_size(dataset->reader);
    bool by_records = most > 0 && (size <= 0 || (double)n_records / (double)most > (double)record->end / (double)size);
    by_records = by_records || dataset->options.sample > 0;
    *done = by_records || size <= 0 ? n_records : record->end;
    *total = by_records ? most : size > 0 ? size : 0;
}
