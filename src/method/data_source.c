#include "method/data_source.h"

#include <stdlib.h>
#include <string.h>

#include "data/template.h"

struct DataSource {
    const DataParams *params; /* borrowed from the call */
    Dataset *dataset;
    Template prompt; /* in the call's arena */
    TextBuffer scratch;
    int64_t given;
};

static limn_status make_template(DataSource *source, MethodCall *call) {
    const DataParams *params = source->params;
    const char *command = call->method->command.name;
    if (params->prompt_field.bytes != NULL && params->template_text.bytes != NULL) {
        return fail(LIMN_USAGE, "%s: --prompt-field and --template both say what the prompt is; give one", command);
    }
    if (params->template_text.bytes != NULL) {
        return template_parse(&source->prompt, params->template_text.bytes, params->template_text.length, call->arena);
    }
    if (params->prompt_field.bytes != NULL) {
        return template_of_field(&source->prompt, params->prompt_field.bytes, params->prompt_field.length, call->arena);
    }
    if (dataset_is_text(source->dataset)) {
        return template_of_field(&source->prompt, "text", 4, call->arena);
    }
    return fail(LIMN_USAGE, "%s: what is the prompt? Give --prompt-field FIELD or --template 'TEXT {FIELD}'", command);
}

static limn_status open_source(DataSource *source, MethodCall *call) {
    const DataParams *params = source->params;
    DatasetOptions options = {.format = (RecordFormat)params->format,
                              .where = params->where.bytes,
                              .where_length = params->where.length,
                              .limit = params->limit == PARAM_NO_INTEGER ? 0 : params->limit,
                              .sample = params->sample == PARAM_NO_INTEGER ? 0 : params->sample,
                              .seed = (uint64_t)call->common.seed};
    TRY(dataset_open(&source->dataset, params->file.bytes, &options));
    return make_template(source, call);
}

limn_status data_source_open(DataSource **source, MethodCall *call, const DataParams *params) {
    *source = NULL;
    if (params->file.bytes == NULL) {
        return fail(LIMN_USAGE, "%s: no data set was named", call->method->command.name);
    }
    DataSource *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return method_no_memory(call);
    }
    made->params = params;
    limn_status status = open_source(made, call);
    if (status != LIMN_OK) {
        data_source_close(made);
        return status;
    }
    *source = made;
    return LIMN_OK;
}

void data_source_close(DataSource *source) {
    if (source == NULL) {
        return;
    }
    dataset_close(source->dataset);
    text_buffer_free(&source->scratch);
    free(source);
}

const char *data_source_path(const DataSource *source) {
    return dataset_path(source->dataset);
}

bool data_source_is_regular(const DataSource *source) {
    return dataset_is_regular(source->dataset);
}

static limn_status copy_text(Text *text, const TextBuffer *from, Arena *arena) {
    char *copy = arena_strndup(arena, from->data != NULL ? from->data : "", from->length);
    *text = (Text){copy, from->length};
    return copy != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "a text of %zu bytes", from->length);
}

/* A field as text. required: it must be there; else an absent one leaves the text absent. */
static limn_status field_of(Text *text, DataSource *source, const Record *record, Text name, bool required,
                            Arena *arena) {
    *text = (Text){NULL, 0};
    if (name.bytes == NULL) {
        return LIMN_OK;
    }
    FieldValue value = record_field(record, name.bytes, name.length);
    if (value.kind == FIELD_ABSENT && required) {
        return record_lacks(record, data_source_path(source), name.bytes);
    }
    if (value.kind == FIELD_ABSENT || value.kind == FIELD_NULL) {
        return LIMN_OK;
    }
    text_buffer_clear(&source->scratch);
    TRY(field_text(&source->scratch, &value));
    return copy_text(text, &source->scratch, arena);
}

limn_status data_source_next(DataSource *source, DataItem *item, Arena *arena, bool *there) {
    const DataParams *params = source->params;
    const Record *record;
    TRY(dataset_next(source->dataset, &record));
    *there = record != NULL;
    *item = (DataItem){0};
    if (record == NULL) {
        return LIMN_OK;
    }
    item->number = record->number;
    item->line = record->line;
    item->hash = record->hash;
    dataset_progress(source->dataset, record, ++source->given, &item->done, &item->total);
    text_buffer_clear(&source->scratch);
    TRY(template_fill(&source->scratch, &source->prompt, data_source_path(source), record));
    TRY(copy_text(&item->prompt, &source->scratch, arena));
    TRY(field_of(&item->label, source, record, params->label_field, true, arena));
    if (item->label.length == 0) {
        item->label.bytes = NULL;
    }
    TRY(field_of(&item->group, source, record, params->group_field, true, arena));
    if (item->group.bytes == NULL && params->group_field.bytes != NULL) {
        item->group = text_of("");
    }
    TRY(field_of(&item->id, source, record, params->id_field, true, arena));
    if (item->id.bytes == NULL) {
        char *number = arena_printf(arena, "%lld", (long long)record->number);
        item->id = text_of(number);
        return number != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "the number of a record");
    }
    return LIMN_OK;
}
