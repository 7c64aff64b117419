#include "method/data/decisions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct DecisionReader {
    RecordReader *records;
    TextBuffer texts[6]; /* of the fields, in the order of Decision */
};

limn_status decision_reader_open(DecisionReader **reader, const char *path, const Progress *progress) {
    *reader = calloc(1, sizeof **reader);
    if (*reader == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    RecordLimits limits = {.progress = progress};
    limn_status status = record_reader_open(&(*reader)->records, path, RECORDS_JSONL, &limits);
    if (status != LIMN_OK) {
        decision_reader_close(*reader);
        *reader = NULL;
    }
    return status;
}

void decision_reader_close(DecisionReader *reader) {
    if (reader == NULL) {
        return;
    }
    record_reader_close(reader->records);
    for (size_t i = 0; i < sizeof reader->texts / sizeof reader->texts[0]; i++) {
        text_buffer_free(&reader->texts[i]);
    }
    free(reader);
}

static limn_status wrong(const DecisionReader *reader, const Record *record, const char *what) {
    return fail(LIMN_FORMAT, "%s: line %lld: %s", record_reader_path(reader->records), (long long)record->line, what);
}

static limn_status text_of_field(DecisionReader *reader, int place, const Record *record, const char *name,
                                 Text *text) {
    FieldValue value = record_field(record, name, strlen(name));
    *text = (Text){NULL, 0};
    if (value.kind == FIELD_ABSENT || value.kind == FIELD_NULL) {
        return LIMN_OK;
    }
    TextBuffer *own = &reader->texts[place];
    text_buffer_clear(own);
    TRY(field_text(own, &value));
    *text = text_of_bytes(own->data != NULL ? own->data : "", own->length);
    return LIMN_OK;
}

/* A probability by its choice's name; NaN: none. */
static double probability_of(const json_t *probabilities, Text name) {
    const json_t *value = name.bytes != NULL ? json_object_getn(probabilities, name.bytes, name.length) : NULL;
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static limn_status read_probabilities(DecisionReader *reader, const Record *record, Decision *decision) {
    const json_t *probabilities = json_object_get(record->object, "probabilities");
    decision->confidence = decision->log_loss = decision->brier = (double)NAN;
    if (probabilities == NULL || json_is_null(probabilities)) {
        return LIMN_OK;
    }
    if (!json_is_object(probabilities)) {
        return wrong(reader, record, "'probabilities' is no object of numbers");
    }
    double brier = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)probabilities, name, value) {
        double p = json_number_value(value);
        if (!json_is_number(value) || !(p >= 0 && p <= 1)) {
            return wrong(reader, record, "'probabilities' has something else than numbers from 0 to 1");
        }
        bool label = decision->label.bytes != NULL && strlen(name) == decision->label.length &&
                     memcmp(name, decision->label.bytes, decision->label.length) == 0;
        brier += (p - label) * (p - label);
    }
    decision->confidence = probability_of(probabilities, decision->pred);
    double right = probability_of(probabilities, decision->label);
    decision->brier = isnan(right) ? right : brier;
    decision->log_loss = isnan(right) ? right : -log(right);
    return LIMN_OK;
}

limn_status decision_reader_next(DecisionReader *reader, Decision *decision, bool *there) {
    const Record *record;
    *decision = (Decision){0};
    TRY(record_reader_next(reader->records, &record));
    *there = record != NULL;
    if (record == NULL) {
        return LIMN_OK;
    }
    static const char *const names[] = {"id", "pred", "label", "group", "prompt", "hash"};
    Text *const texts[] = {&decision->id,    &decision->pred,   &decision->label,
                           &decision->group, &decision->prompt, &decision->hash};
    decision->line = record->line;
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        TRY(text_of_field(reader, i, record, names[i], texts[i]));
    }
    if (decision->id.bytes == NULL) {
        TRY(text_of_field(reader, 0, record, "record", &decision->id));
    }
    decision->skipped = decision->pred.bytes == NULL && json_is_string(json_object_get(record->object, "error"));
    if (decision->id.bytes == NULL || (decision->pred.bytes == NULL && !decision->skipped)) {
        return wrong(reader, record,
                     decision->id.bytes == NULL ? "is no decision: it has neither 'id' nor 'record'"
                                                : "is no decision: it has no 'pred'");
    }
    return read_probabilities(reader, record, decision);
}
