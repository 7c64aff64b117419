#include "measure/draw_data.h"

#include <string.h>

#include "data/dataset.h"
#include "data/template.h"

typedef struct Reading {
    MethodCall *call;
    const DataParams *params;
    Template prompt;
    int64_t record; /* -1: none */
    bool words;
    DrawTextsBuilder **builders; /* [n] */
    int32_t n;
    DrawData *data;
    int64_t seen;
} Reading;

static limn_status read_template(Reading *reading, const Dataset *dataset) {
    const DataParams *params = reading->params;
    Arena *arena = reading->call->arena;
    if (params->template_text.bytes != NULL && params->prompt_field.bytes != NULL) {
        return fail(LIMN_USAGE, "%s: --prompt-field and --template both say what the prompt is; give one",
                    reading->call->method->command.name);
    }
    if (params->template_text.bytes != NULL) {
        return template_parse(&reading->prompt, params->template_text.bytes, params->template_text.length, arena);
    }
    if (params->prompt_field.bytes != NULL) {
        return template_of_field(&reading->prompt, params->prompt_field.bytes, params->prompt_field.length, arena);
    }
    return dataset_is_text(dataset) ? template_of_field(&reading->prompt, "text", 4, arena)
                                    : fail(LIMN_USAGE,
                                           "%s: which field of %s are words drawn from? Give --prompt-field FIELD or "
                                           "--template 'TEXT {FIELD}'",
                                           reading->call->method->command.name, params->file.bytes);
}

static limn_status open_builders(Reading *reading) {
    int32_t fields = 0;
    for (size_t i = 0; i < reading->prompt.n; i++) {
        fields += reading->prompt.parts[i].is_field ? 1 : 0;
    }
    if (fields == 0) {
        return fail(LIMN_USAGE, "option 'template': it names no field, so there is nothing to draw from");
    }
    reading->n = reading->record >= 0 ? fields : 1;
    reading->builders = ARENA_ARRAY(reading->call->arena, DrawTextsBuilder *, reading->n + 1);
    reading->data->texts = ARENA_ARRAY(reading->call->arena, DrawTexts, reading->n + 1);
    reading->data->spans = reading->record >= 0 ? ARENA_ARRAY(reading->call->arena, TextSpan, reading->n + 1) : NULL;
    reading->data->n = reading->n;
    if (reading->builders == NULL || reading->data->texts == NULL ||
        (reading->data->spans == NULL && reading->record >= 0)) {
        return method_no_memory(reading->call);
    }
    for (int32_t i = 0; i < reading->n; i++) {
        TRY(draw_texts_builder_new(&reading->builders[i], reading->call));
    }
    return LIMN_OK;
}

/* The fields of a record to their builders; of the one that was asked for the prompt too. */
static limn_status read_record(Reading *reading, const Record *record, TextBuffer *text) {
    bool asked = record->number == reading->record;
    int32_t field = 0;
    text_buffer_clear(text);
    for (size_t i = 0; i < reading->prompt.n; i++) {
        const TemplatePart *part = &reading->prompt.parts[i];
        size_t from = text->length;
        if (!part->is_field) {
            text_buffer_add_bytes(text, part->bytes, part->length);
            continue;
        }
        FieldValue value = record_field(record, part->bytes, part->length);
        if (value.kind == FIELD_ABSENT) {
            return record_lacks(record, reading->params->file.bytes, part->bytes);
        }
        TRY(field_text(text, &value));
        TRY(text_buffer_status(text));
        Text own = {text->data == NULL ? "" : text->data + from, text->length - from};
        int32_t place = reading->record >= 0 ? field : 0;
        TRY(draw_texts_add(reading->builders[place], own, reading->words));
        if (asked) {
            reading->data->spans[field] = (TextSpan){from, text->length, {part->bytes, part->length}};
        }
        field++;
    }
    if (asked) {
        char *copy = arena_strndup(reading->call->arena, text->data == NULL ? "" : text->data, text->length);
        reading->data->prompt = (Text){copy, text->length};
        return copy == NULL ? method_no_memory(reading->call) : text_buffer_status(text);
    }
    return text_buffer_status(text);
}

static limn_status read_all(Reading *reading, Dataset *dataset) {
    TRY(read_template(reading, dataset));
    TRY(open_builders(reading));
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = LIMN_OK;
    for (;;) {
        const Record *record;
        status = dataset_next(dataset, &record);
        if (status != LIMN_OK || record == NULL) {
            break;
        }
        reading->seen++;
        status = read_record(reading, record, &text);
        if (status != LIMN_OK) {
            break;
        }
    }
    text_buffer_free(&text);
    TRY(status);
    if (reading->seen == 0) {
        return fail(LIMN_USAGE, "%s has no records, expected at least one", reading->params->file.bytes);
    }
    return reading->record < 0 || reading->data->prompt.bytes != NULL
               ? LIMN_OK
               : fail(LIMN_RANGE, "option 'record': %s has no record %lld; it has %lld, from 0",
                      reading->params->file.bytes, (long long)reading->record, (long long)reading->seen);
}

limn_status draw_data_read(DrawData *data, MethodCall *call, const DataParams *params, int64_t record, bool words) {
    *data = (DrawData){0};
    Reading reading = {.call = call, .params = params, .record = record, .words = words, .data = data};
    const DatasetOptions options = {.format = (RecordFormat)params->format, .progress = call->progress};
    Dataset *dataset;
    TRY(dataset_open(&dataset, params->file.bytes, &options));
    limn_status status = read_all(&reading, dataset);
    dataset_close(dataset);
    for (int32_t i = 0; i < reading.n && reading.builders != NULL; i++) {
        if (reading.builders[i] != NULL) {
            draw_texts_finish(&data->texts[i], reading.builders[i], params->file.bytes);
        }
    }
    return status;
}
