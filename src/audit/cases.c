#include "audit/cases.h"

#include <math.h>
#include <string.h>

#include "base/map.h"
#include "data/expression.h"

typedef struct CaseReader {
    Cases *cases;
    StepRunner *runner;
    Arena *arena;
    Map groups[CASE_GROUPS_MAX], clusters, choices;
    TextBuffer text;
} CaseReader;

static limn_status no_memory(const CaseReader *reader) {
    return method_no_memory(reader->runner->call);
}

bool case_is_wrong(const Case *item) {
    return item->label >= 0 && item->label != item->pred;
}

bool step_is_judged(const StepRunner *runner, int32_t step) {
    const PlanStep *of = &runner->plan->steps[step];
    return !of->added && of->model == runner->plan->subject && of->data >= 0 && runner->runs[step].result != NULL &&
           runner->runs[step].decisions != NULL;
}

/* ---- names ---- */

static limn_status place_of(int32_t *place, CaseReader *reader, CaseNames *names, Map *map, const char *text,
                            size_t length) {
    uint64_t found;
    if (map_get(map, text, length, &found)) {
        *place = (int32_t)found;
        return LIMN_OK;
    }
    if (names->n == names->capacity) {
        int32_t capacity = names->capacity > 0 ? 2 * names->capacity : 16;
        const char **items = ARENA_ARRAY(reader->arena, const char *, capacity);
        if (items == NULL) {
            return no_memory(reader);
        }
        if (names->n > 0) {
            memcpy(items, names->items, (size_t)names->n * sizeof *items);
        }
        names->items = items;
        names->capacity = capacity;
    }
    char *copy = arena_strndup(reader->arena, text, length);
    if (copy == NULL) {
        return no_memory(reader);
    }
    *place = names->n;
    names->items[names->n++] = copy;
    return map_put(map, copy, length, (uint64_t)*place);
}

static limn_status field_copy(const char **text, CaseReader *reader, const Record *record, const char *name) {
    FieldValue value = record_field(record, name, strlen(name));
    *text = NULL;
    if (value.kind == FIELD_ABSENT || value.kind == FIELD_NULL) {
        return LIMN_OK;
    }
    text_buffer_clear(&reader->text);
    TRY(field_text(&reader->text, &value));
    *text = arena_strndup(reader->arena, reader->text.data != NULL ? reader->text.data : "", reader->text.length);
    return *text != NULL ? LIMN_OK : no_memory(reader);
}

/* ---- decisions ---- */

static limn_status add_case(CaseReader *reader, const Case *made) {
    Cases *cases = reader->cases;
    if (cases->n == CASES_MAX) {
        return fail(LIMN_UNSUPPORTED, "audit: more than %d decisions", CASES_MAX);
    }
    if (cases->n == cases->capacity) {
        int64_t capacity = cases->capacity > 0 ? 2 * cases->capacity : 256;
        Case *items = ARENA_ARRAY(reader->arena, Case, capacity);
        if (items == NULL) {
            return no_memory(reader);
        }
        if (cases->n > 0) {
            memcpy(items, cases->items, (size_t)cases->n * sizeof *items);
        }
        cases->items = items;
        cases->capacity = capacity;
    }
    cases->items[cases->n++] = *made;
    cases->labelled += made->label >= 0;
    return LIMN_OK;
}

static limn_status read_decision(CaseReader *reader, const Record *record) {
    const char *pred, *label;
    Case made = {.cluster = -1, .confidence = (double)NAN, .label = -1};
    CaseNames *names = &reader->cases->names;
    TRY(field_copy(&pred, reader, record, "pred"));
    TRY(field_copy(&label, reader, record, "label"));
    TRY(field_copy(&made.id, reader, record, "id"));
    TRY(field_copy(&made.prompt, reader, record, "prompt"));
    FieldValue number = record_field(record, "record", 6);
    if (pred == NULL || number.kind != FIELD_INTEGER) {
        return LIMN_OK; /* of a record that was skipped */
    }
    made.record = number.integer;
    made.id = made.id != NULL ? made.id : arena_printf(reader->arena, "%lld", (long long)made.record);
    TRY(place_of(&made.pred, reader, names, &reader->choices, pred, strlen(pred)));
    if (label != NULL) {
        TRY(place_of(&made.label, reader, names, &reader->choices, label, strlen(label)));
    }
    const json_t *probability = json_object_get(json_object_get(record->object, "probabilities"), pred);
    made.confidence = json_is_number(probability) ? json_number_value(probability) : (double)NAN;
    for (int32_t g = 0; g < CASE_GROUPS_MAX; g++) {
        made.group[g] = -1;
    }
    return made.id != NULL ? add_case(reader, &made) : no_memory(reader);
}

static limn_status read_decisions(CaseReader *reader, const char *path) {
    RecordReader *records;
    const Record *record;
    TRY(record_reader_open(&records, path, RECORDS_JSONL, NULL));
    limn_status status;
    while ((status = record_reader_next(records, &record)) == LIMN_OK && record != NULL) {
        status = read_decision(reader, record);
        if (status != LIMN_OK) {
            break;
        }
    }
    record_reader_close(records);
    return status;
}

/* ---- what the data set says of them ---- */

typedef struct SplitNames {
    const Record *record;
} SplitNames;

static FieldValue split_field(const void *context, const char *name, size_t length) {
    const Record *record = ((const SplitNames *)context)->record;
    FieldValue value = record_field(record, name, length);
    return value.kind != FIELD_ABSENT ? value : (FieldValue){.kind = FIELD_INTEGER, .integer = record->number};
}

static limn_status describe(CaseReader *reader, Case *item, const Record *record, Expression *split) {
    const PlanData *data = reader->cases->data;
    const SplitNames own = {record};
    const ExpressionNames names = {split_field, &own};
    double part = 0;
    const char *text;
    TRY(expression_number(split, &names, &part));
    item->nominates = part < 0.5;
    item->cluster = -1;
    if (data->cluster_field != NULL) {
        TRY(field_copy(&text, reader, record, data->cluster_field));
        uint64_t found = 0;
        if (text != NULL && !map_get(&reader->clusters, text, strlen(text), &found)) {
            found = (uint64_t)reader->cases->n_clusters++;
            TRY(map_put(&reader->clusters, text, strlen(text), found));
        }
        item->cluster = text != NULL ? (int32_t)found : -1;
    }
    for (int32_t g = 0; g < data->n_groups && g < CASE_GROUPS_MAX; g++) {
        TRY(field_copy(&text, reader, record, data->groups[g]));
        if (text != NULL && reader->cases->group_names[g].n < CASE_NAMES_MAX) {
            TRY(place_of(&item->group[g], reader, &reader->cases->group_names[g], &reader->groups[g], text,
                         strlen(text)));
        }
    }
    return LIMN_OK;
}

/* The records of both files stand in the same order. */
static limn_status read_data(CaseReader *reader) {
    Cases *cases = reader->cases;
    const PlanData *data = cases->data;
    const char *field = data->cluster_field != NULL ? data->cluster_field
                        : data->id_field != NULL    ? data->id_field
                                                    : "record number";
    char *text = arena_printf(reader->arena, "split(`%s`, %lld)", field, (long long)reader->runner->plan->seed);
    Expression *split;
    RecordReader *records;
    const Record *record;
    if (text == NULL) {
        return no_memory(reader);
    }
    TRY(expression_parse(&split, EXPRESSION_NUMBER, "split", text, strlen(text), reader->arena));
    limn_status status = record_reader_open(&records, data->file, RECORDS_AUTO, NULL);
    if (status != LIMN_OK) {
        expression_free(split);
        return status;
    }
    for (int64_t i = 0; i < cases->n && status == LIMN_OK;) {
        status = record_reader_next(records, &record);
        if (status == LIMN_OK && record == NULL) {
            break;
        }
        if (status != LIMN_OK) {
            status = record_reader_bad(records) != NULL ? LIMN_OK : status; /* it was skipped there too */
        } else if (record->number == cases->items[i].record) {
            status = describe(reader, &cases->items[i++], record, split);
        }
    }
    record_reader_close(records);
    expression_free(split);
    return status;
}

limn_status cases_read(Cases *cases, StepRunner *runner, int32_t step) {
    *cases = (Cases){.step = step, .data = &runner->plan->data[runner->plan->steps[step].data]};
    CaseReader reader = {.cases = cases, .runner = runner, .arena = runner->call->arena};
    limn_status status = read_decisions(&reader, runner->runs[step].decisions);
    if (status == LIMN_OK) {
        status = read_data(&reader);
    }
    for (int32_t g = 0; g < CASE_GROUPS_MAX; g++) {
        map_free(&reader.groups[g]);
    }
    map_free(&reader.clusters);
    map_free(&reader.choices);
    text_buffer_free(&reader.text);
    return status;
}
