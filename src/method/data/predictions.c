#include "method/data/predictions.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "files/json.h"
#include "files/records.h"
#include "result/json.h"

struct PredictionFile {
    char *path;
    int descriptor;
    const PredictionSettings *settings;
    RecordReader *reader; /* of what was there; NULL: all of it has been read */
    int64_t whole;        /* bytes of whole lines that were there */
    bool cut;             /* behind them part of a line is to be taken off */
    bool made;            /* it was not there before */
    TextBuffer lines;     /* not yet written */
    char settings_text[SETTING_COUNT * 17 + 1];
};

/* ---- one prediction ---- */

static double log_of_sum(const double *values, int32_t n) {
    double largest = -INFINITY;
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        largest = fmax(largest, values[i]);
    }
    for (int32_t i = 0; i < n && isfinite(largest); i++) {
        sum += exp(values[i] - largest);
    }
    return isfinite(largest) ? largest + log(sum) : largest;
}

void prediction_normalise(Prediction *prediction, int32_t n_choices, bool each) {
    double total = each ? 0.0 : log_of_sum(prediction->log_probabilities, n_choices);
    prediction->choice = 0;
    for (int32_t c = 0; c < n_choices; c++) {
        prediction->probabilities[c] = exp(prediction->log_probabilities[c] - total);
        if (prediction->log_probabilities[c] > prediction->log_probabilities[prediction->choice]) {
            prediction->choice = c;
        }
    }
}

double prediction_label_log(const Prediction *prediction, int32_t n_choices, bool each) {
    if (prediction->label < 0) {
        return (double)NAN;
    }
    double total = each ? 0.0 : log_of_sum(prediction->log_probabilities, n_choices);
    return prediction->log_probabilities[prediction->label] - total;
}

/* ---- opening ---- */

/* Where the last whole line ends. */
static limn_status find_whole(PredictionFile *file, int64_t size) {
    char block[4096];
    file->whole = 0;
    for (int64_t end = size; end > 0 && file->whole == 0;) {
        int64_t begin = end > (int64_t)sizeof block ? end - (int64_t)sizeof block : 0;
        ssize_t got = pread(file->descriptor, block, (size_t)(end - begin), (off_t)begin);
        if (got != (ssize_t)(end - begin)) {
            return fail(LIMN_IO, "%s: cannot read: %s", file->path, got < 0 ? strerror(errno) : "it grew shorter");
        }
        const char *newline = memrchr(block, '\n', (size_t)got);
        file->whole = newline != NULL ? begin + (newline - block) + 1 : 0;
        end = begin;
    }
    file->cut = file->whole < size;
    return LIMN_OK;
}

static limn_status not_ours(const PredictionFile *file, int64_t line, const char *what) {
    return fail(LIMN_USAGE, "%s: line %lld: %s; name another file for the predictions, or remove this one", file->path,
                (long long)line, what);
}

/* Part of a first line is ours only when it begins as ours do. */
static limn_status check_part(const PredictionFile *file, int64_t size) {
    static const char start[] = "{\"record\": ";
    char found[sizeof start - 1];
    int64_t length = size < (int64_t)sizeof found ? size : (int64_t)sizeof found;
    if (pread(file->descriptor, found, (size_t)length, 0) != length || memcmp(found, start, (size_t)length) != 0) {
        return not_ours(file, 1, "is not a prediction");
    }
    return LIMN_OK;
}

static limn_status open_file(PredictionFile *file) {
    file->made = !file_exists(file->path);
    file->descriptor = open(file->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file->descriptor < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        return fail(absent ? LIMN_NOT_FOUND : LIMN_IO, "%s: cannot write: %s%s", file->path, strerror(errno),
                    absent ? " (its folder)" : "");
    }
    struct stat info;
    if (fstat(file->descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
        return fail(LIMN_USAGE, "%s: is no regular file; predictions go to a file that a second run can go on with",
                    file->path);
    }
    if (flock(file->descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return fail(LIMN_IO, "%s: another process is writing it", file->path);
    }
    TRY(find_whole(file, (int64_t)info.st_size));
    if (file->whole == 0 && info.st_size > 0) {
        TRY(check_part(file, (int64_t)info.st_size));
    }
    return file->whole > 0 ? record_reader_open(&file->reader, file->path, RECORDS_JSONL, NULL) : LIMN_OK;
}

limn_status prediction_file_open(PredictionFile **file, const char *path, const PredictionSettings *settings) {
    *file = NULL;
    PredictionFile *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    made->descriptor = -1;
    made->settings = settings;
    snprintf(made->settings_text, sizeof made->settings_text, "%s-%s-%s-%s", settings->hash[0], settings->hash[1],
             settings->hash[2], settings->hash[3]);
    made->path = strdup(path);
    limn_status status = made->path != NULL ? open_file(made) : fail(LIMN_NO_MEMORY, "%s: opening it", path);
    if (status != LIMN_OK) {
        prediction_file_close(made);
        return status;
    }
    *file = made;
    return LIMN_OK;
}

void prediction_file_close(PredictionFile *file) {
    if (file == NULL) {
        return;
    }
    record_reader_close(file->reader);
    if (file->descriptor >= 0) {
        struct stat info;
        if (file->made && fstat(file->descriptor, &info) == 0 && info.st_size == 0) {
            unlink(file->path);
        }
        close(file->descriptor); /* and with it the lock */
    }
    text_buffer_free(&file->lines);
    free(file->path);
    free(file);
}

/* ---- what is there ---- */

static limn_status check_settings(const PredictionFile *file, const Record *record) {
    static const char *const names[SETTING_COUNT] = {"another model",
                                                     "other prompts (template, field or begin of text)",
                                                     "other choices", "another number type, backend or version"};
    const char *found = json_string_value(json_object_get(record->object, "settings"));
    if (found == NULL || strlen(found) != strlen(file->settings_text)) {
        return not_ours(file, record->line, "is not a prediction");
    }
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (memcmp(found + 17 * i, file->settings_text + 17 * i, 16) != 0) {
            char what[128];
            snprintf(what, sizeof what, "was made with %s", names[i]);
            return not_ours(file, record->line, what);
        }
    }
    return LIMN_OK;
}

static limn_status check_record(const PredictionFile *file, const Record *record, const DataItem *item) {
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, item->hash);
    const char *found = json_string_value(json_object_get(record->object, "hash"));
    const json_t *number = json_object_get(record->object, "record");
    if (found == NULL || !json_is_integer(number)) {
        return not_ours(file, record->line, "is not a prediction");
    }
    if (json_integer_value(number) != item->number || strcmp(found, hash) != 0) {
        return fail(LIMN_USAGE,
                    "%s: line %lld: is about record %lld (%s); the data has record %lld (%s) there: other data, "
                    "filter, sample or limit; name another file for the predictions, or remove this one",
                    file->path, (long long)record->line, (long long)json_integer_value(number), found,
                    (long long)item->number, hash);
    }
    const json_t *prompt = json_object_get(record->object, "prompt");
    if (prompt == NULL && json_is_string(json_object_get(record->object, "error"))) {
        return LIMN_OK; /* there may have been none */
    }
    if (item->prompt.bytes == NULL) {
        return LIMN_OK; /* now there is none */
    }
    if (!json_is_string(prompt) || json_string_length(prompt) != item->prompt.length ||
        memcmp(json_string_value(prompt), item->prompt.bytes, item->prompt.length) != 0) {
        return not_ours(file, record->line, "was made with another prompt (field, template, messages or tools)");
    }
    return LIMN_OK;
}

/* The line's decision, or why there is none. */
static limn_status take_line(const PredictionFile *file, const Record *record, Prediction *prediction, Arena *arena) {
    const char *why = json_string_value(json_object_get(record->object, "error"));
    if (why != NULL) {
        prediction->why = arena_strdup(arena, why);
        prediction->status = LIMN_USAGE;
        return prediction->why != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: reading it", file->path);
    }
    const json_t *logs = json_object_get(record->object, "log_probabilities");
    for (int32_t c = 0; c < file->settings->n_choices; c++) {
        const Text *name = &file->settings->names[c];
        const json_t *value = json_object_getn(logs, name->bytes, name->length);
        if (!json_is_number(value)) {
            return not_ours(file, record->line, "lacks the log-probability of a choice");
        }
        prediction->log_probabilities[c] = json_number_value(value);
    }
    prediction->joined = json_is_true(json_object_get(record->object, "joined"));
    prediction->cut = (int32_t)json_integer_value(json_object_get(record->object, "cut"));
    prediction_normalise(prediction, file->settings->n_choices, file->settings->each);
    return LIMN_OK;
}

limn_status prediction_file_read(PredictionFile *file, const DataItem *item, Prediction *prediction, Arena *arena,
                                 bool *done) {
    *done = false;
    if (file->reader == NULL) {
        return LIMN_OK;
    }
    const Record *record;
    TRY(record_reader_next(file->reader, &record));
    if (record == NULL) {
        return fail(LIMN_IO, "%s: grew shorter while it was being read", file->path);
    }
    TRY(check_settings(file, record));
    TRY(check_record(file, record, item));
    if (prediction->why == NULL) {
        TRY(take_line(file, record, prediction, arena));
    }
    *done = true;
    if (record->end >= file->whole) {
        record_reader_close(file->reader);
        file->reader = NULL;
    }
    return LIMN_OK;
}

/* ---- new lines ---- */

static void named_numbers(JsonWriter *writer, const char *key, const PredictionFile *file, const double *values) {
    writer_key(writer, key);
    writer_begin(writer, '{', true);
    for (int32_t c = 0; c < file->settings->n_choices; c++) {
        writer_key(writer, file->settings->names[c].bytes);
        writer_number(writer, values[c]);
    }
    writer_end(writer, '}');
}

limn_status prediction_file_add(PredictionFile *file, const DataItem *item, const Prediction *prediction) {
    const Text *names = file->settings->names;
    JsonWriter writer = {.out = &file->lines};
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, item->hash);
    writer_begin(&writer, '{', true);
    writer_integer_field(&writer, "record", item->number);
    if (prediction->why != NULL) {
        writer_text_field(&writer, "id", item->id);
        writer_integer_field(&writer, "line", item->line);
        writer_string_field(&writer, "error", prediction->why);
        writer_string_field(&writer, "hash", hash);
        writer_string_field(&writer, "settings", file->settings_text);
        writer_end(&writer, '}');
        text_buffer_add_char(&file->lines, '\n');
        return text_buffer_status(&file->lines);
    }
    writer_text_field(&writer, "id", item->id);
    if (item->label.bytes != NULL && prediction->label >= 0) {
        writer_text_field(&writer, "label", names[prediction->label]);
    }
    writer_text_field(&writer, "pred", names[prediction->choice]);
    writer_text_field(&writer, "group", item->group);
    named_numbers(&writer, "probabilities", file, prediction->probabilities);
    named_numbers(&writer, "log_probabilities", file, prediction->log_probabilities);
    if (prediction->joined) {
        writer_bool_field(&writer, "joined", true);
    }
    if (prediction->cut > 0) {
        writer_integer_field(&writer, "cut", prediction->cut);
    }
    writer_text_field(&writer, "prompt", item->prompt);
    writer_string_field(&writer, "hash", hash);
    writer_string_field(&writer, "settings", file->settings_text);
    writer_end(&writer, '}');
    text_buffer_add_char(&file->lines, '\n');
    return text_buffer_status(&file->lines);
}

limn_status prediction_file_flush(PredictionFile *file) {
    if (file->lines.length == 0) {
        return LIMN_OK;
    }
    if (file->cut && ftruncate(file->descriptor, (off_t)file->whole) != 0) {
        return fail(LIMN_IO, "%s: cannot take off half a line: %s", file->path, strerror(errno));
    }
    file->cut = false;
    for (size_t at = 0; at < file->lines.length;) {
        ssize_t wrote = write(file->descriptor, file->lines.data + at, file->lines.length - at);
        if (wrote < 0 && errno != EINTR) {
            return fail(LIMN_IO, "%s: cannot write: %s", file->path, strerror(errno));
        }
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    text_buffer_clear(&file->lines);
    return LIMN_OK;
}

limn_status prediction_file_finish(PredictionFile *file) {
    if (file->reader != NULL) {
        return fail(LIMN_USAGE,
                    "%s: holds predictions of more records than there are; name another file for the "
                    "predictions, or remove this one",
                    file->path);
    }
    TRY(prediction_file_flush(file));
    if (fsync(file->descriptor) != 0) {
        return fail(LIMN_IO, "%s: cannot sync: %s", file->path, strerror(errno));
    }
    return LIMN_OK;
}
