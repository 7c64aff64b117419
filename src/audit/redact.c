/* `limn audit --redact KEY`: what goes out (report, JUnit, SARIF, summary, log) holds no text of a record and no id;
 * salted commitments stand there (result/redact.h, files/commitment.h). A finding keeps the word or phrase that it is
 * about, or it would say nothing. What lies in steps/ of the work folder is what the audit works with: it keeps all. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/file.h"
#include "data/template.h"

enum { LEAST_TEXT = 8, LEAST_ID = 3, LEAST_DIGITS = 6 };

static limn_status commit(void *context, char hex[65], const char *bytes, size_t length) {
    return commitment_of(hex, context, bytes, length);
}

/* ---- what is to be left out ---- */

typedef struct Gathered {
    Text *items; /* [n] */
    int32_t n, capacity;
    Arena *arena;
} Gathered;

static limn_status gather(Gathered *gathered, const char *bytes, size_t length, size_t least) {
    if (length < least) {
        return LIMN_OK;
    }
    if (gathered->n == gathered->capacity) {
        int32_t capacity = gathered->capacity > 0 ? 2 * gathered->capacity : 256;
        Text *grown = ARENA_ARRAY(gathered->arena, Text, capacity);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "audit: no memory for the texts to be left out");
        }
        memcpy(grown, gathered->items != NULL ? gathered->items : grown, (size_t)gathered->n * sizeof *grown);
        gathered->items = grown;
        gathered->capacity = capacity;
    }
    char *copy = arena_strndup(gathered->arena, bytes, length);
    gathered->items[gathered->n++] = (Text){copy, length};
    return copy != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "audit: no memory for the texts to be left out");
}

/* Longer ones first: a text may be a part of another. */
static int by_length(const void *a, const void *b) {
    const Text *first = a, *second = b;
    if (first->length != second->length) {
        return first->length > second->length ? -1 : 1;
    }
    return memcmp(first->bytes, second->bytes, first->length);
}

static limn_status gather_json(Gathered *gathered, const json_t *value) {
    if (json_is_string(value)) {
        return gather(gathered, json_string_value(value), json_string_length(value), LEAST_TEXT);
    }
    const char *key;
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        TRY(gather_json(gathered, item));
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item) {
        TRY(strcmp(key, "role") != 0 ? gather_json(gathered, item) : LIMN_OK);
    }
    return LIMN_OK;
}

static limn_status gather_field(Gathered *gathered, const Record *record, const char *name, size_t length) {
    FieldValue value = record_field(record, name, length);
    if (value.kind == FIELD_JSON) {
        return gather_json(gathered, value.json);
    }
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = field_text(&text, &value);
    const char *bytes = text.data != NULL ? text.data : "";
    status = status == LIMN_OK ? gather(gathered, bytes, text.length, LEAST_TEXT) : status;
    for (const char *line = strchr(bytes, '\n'); status == LIMN_OK && line != NULL;) { /* pages show lines apart */
        size_t n = strcspn(line + 1, "\n");
        status = gather(gathered, line + 1, n, 2 * LEAST_TEXT);
        line = line[1 + n] == '\n' ? line + 1 + n : NULL;
    }
    text_buffer_free(&text);
    return status;
}

/* An id that is no word and no small number can be found in sentences; others stand in columns of their own. */
static bool is_telling(const char *id, size_t length) {
    size_t digits = 0;
    for (size_t i = 0; i < length; i++) {
        digits += isdigit((unsigned char)id[i]) != 0;
    }
    return digits == length ? digits >= LEAST_DIGITS : digits > 0 && length >= LEAST_ID;
}

static limn_status gather_id(Gathered *gathered, const Record *record, const char *field) {
    FieldValue value = record_field(record, field, strlen(field));
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = field_text(&text, &value);
    if (status == LIMN_OK && text.length > 0 && is_telling(text.data, text.length)) {
        status = gather(gathered, text.data, text.length, LEAST_ID);
    }
    text_buffer_free(&text);
    return status;
}

static bool is_group(const PlanData *data, const char *name) {
    bool group = false;
    for (int32_t i = 0; i < data->n_groups; i++) {
        group = group || strcmp(data->groups[i], name) == 0;
    }
    return group;
}

/* The fields that the model reads. */
static limn_status prompt_template(Template *made, const PlanData *data, Arena *arena) {
    static const char *const fields[] = {"prompt-field", "messages-field"};
    const char *template = json_string_value(json_object_get(data->options, "template"));
    if (template != NULL) {
        return template_parse(made, template, strlen(template), arena);
    }
    const char *name = "text";
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *given = json_string_value(json_object_get(data->options, fields[i]));
        name = given != NULL ? given : name;
    }
    return template_of_field(made, name, strlen(name), arena);
}

static limn_status gather_data(Gathered *gathered, const PlanData *data) {
    Template template;
    RecordReader *reader;
    const Record *record;
    TRY(prompt_template(&template, data, gathered->arena));
    TRY(record_reader_open(&reader, data->file, RECORDS_AUTO, NULL));
    limn_status status;
    do {
        status = record_reader_next(reader, &record);
        if (status != LIMN_OK && record_reader_bad(reader) != NULL) {
            status = LIMN_OK; /* the step that reads it says so */
            continue;
        }
        for (size_t i = 0; status == LIMN_OK && record != NULL && i < template.n; i++) {
            const TemplatePart *part = &template.parts[i];
            status = part->is_field && !is_group(data, part->bytes)
                         ? gather_field(gathered, record, part->bytes, part->length)
                         : LIMN_OK;
        }
        status = status == LIMN_OK && record != NULL && data->id_field != NULL
                     ? gather_id(gathered, record, data->id_field)
                     : status;
    } while (status == LIMN_OK && record != NULL);
    record_reader_close(reader);
    return status;
}

limn_status audit_redact_begin(Audit *audit) {
    if (audit->params->redact.bytes == NULL) {
        return LIMN_OK;
    }
    Gathered gathered = {.arena = audit->call->arena};
    TRY(commitment_key_open(&audit->key, audit->params->redact.bytes));
    for (int32_t i = 0; i < audit->plan.n_data; i++) {
        TRY(gather_data(&gathered, &audit->plan.data[i]));
    }
    if (gathered.n > 1) {
        qsort(gathered.items, (size_t)gathered.n, sizeof *gathered.items, by_length);
    }
    audit->redactor = (Redactor){.commit = commit,
                                 .context = &audit->key,
                                 .arena = audit->call->arena,
                                 .texts = gathered.items,
                                 .n_texts = gathered.n};
    audit->runner.redactor = &audit->redactor;
    return LIMN_OK;
}

/* ---- leaving it out ---- */

static limn_status redact_field(Redactor *redactor, const char **text) {
    return *text != NULL ? redact_sentence(redactor, text, *text, false) : LIMN_OK;
}

static limn_status redact_findings(Audit *audit) {
    for (int32_t i = 0; i < audit->findings.n; i++) {
        Hypothesis *item = &audit->findings.items[i];
        const char **texts[] = {&item->what, &item->where, &item->evidence, &item->null, &item->command};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            TRY(redact_field(&audit->redactor, texts[k]));
        }
    }
    return LIMN_OK;
}

/* Parameters as commands show them: the prompt of a case, whole texts in others. */
static limn_status redact_params(Audit *audit, const PlanStep *step) {
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(step->params, next, name, value) {
        const char *text = json_string_value(value);
        if (text == NULL) {
            continue;
        }
        bool whole = step->added && strcmp(name, "prompt") == 0;
        TRY(whole ? redact_text(&audit->redactor, &text, text) : redact_sentence(&audit->redactor, &text, text, false));
        if (json_object_set_new(step->params, name, json_string(text)) != 0) {
            return method_no_memory(audit->call);
        }
    }
    return LIMN_OK;
}

static limn_status redact_cases(Audit *audit) {
    for (int32_t i = 0; i < audit->pages.n; i++) {
        Case *shown = ARENA_NEW(audit->call->arena, Case);
        if (shown == NULL) {
            return method_no_memory(audit->call);
        }
        *shown = *audit->pages.items[i].item;
        TRY(redact_text(&audit->redactor, &shown->id, shown->id));
        TRY(redact_text(&audit->redactor, &shown->prompt, shown->prompt));
        audit->pages.items[i].item = shown;
    }
    return LIMN_OK;
}

limn_status audit_redact_parts(Audit *audit) {
    if (audit->runner.redactor == NULL) {
        return LIMN_OK;
    }
    TRY(redact_findings(audit));
    TRY(redact_cases(audit));
    for (int32_t i = 0; i < audit->runner.done; i++) {
        StepRun *run = &audit->runner.runs[i];
        TRY(redact_params(audit, &audit->plan.steps[i]));
        TRY(run->why != NULL ? redact_sentence(&audit->redactor, &run->why, run->why, true) : LIMN_OK);
        TRY(run->result != NULL ? redact_result(&audit->redactor, run->result, redact_is_close(run->result)) : LIMN_OK);
    }
    return LIMN_OK;
}

limn_status audit_redact_report(Audit *audit) {
    if (audit->runner.redactor == NULL) {
        return LIMN_OK;
    }
    TRY(redact_report(&audit->redactor, audit->result));
    redact_add_commitments(&audit->redactor, audit->result, audit->plan.language == LANGUAGE_ZH);
    return result_status(audit->result);
}

void audit_redact_end(Audit *audit) {
    text_buffer_free(&audit->redactor.commitments);
    memset(&audit->key, 0, sizeof audit->key);
}
