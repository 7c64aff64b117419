#include "method/data/predictions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/data/record_log.h"

struct PredictionFile {
    RecordLog *log;
    const char *path; /* borrowed */
    const PredictionSettings *settings;
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

limn_status prediction_file_open(PredictionFile **file, const char *path, const PredictionSettings *settings) {
    static const char *const names[SETTING_COUNT] = {"another model",
                                                     "other prompts (template, field or begin of text)",
                                                     "other choices", "another number type, backend or version"};
    static const RecordLogKind kind = {"prediction", "predictions", names, SETTING_COUNT};
    *file = calloc(1, sizeof **file);
    if (*file == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    (*file)->path = path;
    (*file)->settings = settings;
    limn_status status = record_log_open(&(*file)->log, path, &kind, settings->hash);
    if (status != LIMN_OK) {
        free(*file);
        *file = NULL;
    }
    return status;
}

void prediction_file_close(PredictionFile *file) {
    if (file != NULL) {
        record_log_close(file->log);
        free(file);
    }
}

/* ---- what is there ---- */

static limn_status check_prompt(const PredictionFile *file, const Record *record, const DataItem *item) {
    const json_t *prompt = json_object_get(record->object, "prompt");
    if (prompt == NULL && json_is_string(json_object_get(record->object, "error"))) {
        return LIMN_OK; /* there may have been none */
    }
    if (item->prompt.bytes == NULL) {
        return LIMN_OK; /* now there is none */
    }
    if (!json_is_string(prompt) || json_string_length(prompt) != item->prompt.length ||
        memcmp(json_string_value(prompt), item->prompt.bytes, item->prompt.length) != 0) {
        return record_log_refuse(file->log, record,
                                 "was made with another prompt (field, template, messages or tools)");
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
            return record_log_refuse(file->log, record, "lacks the log-probability of a choice");
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
    const Record *record;
    TRY(record_log_next(file->log, item, &record));
    *done = record != NULL;
    if (record == NULL) {
        return LIMN_OK;
    }
    TRY(check_prompt(file, record, item));
    return prediction->why == NULL ? take_line(file, record, prediction, arena) : LIMN_OK;
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
    JsonWriter writer;
    record_log_begin(file->log, &writer, item);
    writer_text_field(&writer, "id", item->id);
    if (prediction->why != NULL) {
        writer_integer_field(&writer, "line", item->line);
        writer_string_field(&writer, "error", prediction->why);
        return record_log_end(file->log, &writer, item);
    }
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
    return record_log_end(file->log, &writer, item);
}

limn_status prediction_file_flush(PredictionFile *file) {
    return record_log_flush(file->log);
}

limn_status prediction_file_finish(PredictionFile *file) {
    return record_log_finish(file->log);
}
