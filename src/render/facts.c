/* The parts of a document that every rendering states the same way. */
#include <math.h>
#include <string.h>

#include "render/format.h"

static limn_status keep(const char **text, Arena *arena, TextBuffer *buffer) {
    limn_status status = text_buffer_status(buffer);
    if (status == LIMN_OK) {
        *text = arena_strndup(arena, buffer->data == NULL ? "" : buffer->data, buffer->length);
        status = *text == NULL ? fail(LIMN_NO_MEMORY, "no memory to show a result") : LIMN_OK;
    }
    text_buffer_free(buffer);
    return status;
}

static void quoted(TextBuffer *out, Text text, unsigned flags) {
    text_buffer_add(out, flags & CLEAN_ASCII ? "\"" : "“");
    clean_text(out, text, flags);
    text_buffer_add(out, flags & CLEAN_ASCII ? "\"" : "”");
}

static void describe_target(TextBuffer *out, const ResultTarget *target, unsigned flags) {
    quoted(out, target->text, flags);
    if (target->n_ids > 0) {
        bool is_class = target->kind.bytes != NULL && strcmp(target->kind.bytes, "class") == 0;
        text_buffer_add(out, is_class ? " (class " : target->n_ids > 1 ? " (ids " : " (id ");
        for (int32_t i = 0; i < target->n_ids && i < 8; i++) {
            text_buffer_printf(out, "%s%d", i == 0 ? "" : ", ", target->ids[i]);
        }
        text_buffer_add(out, target->n_ids > 8 ? ", ...)" : ")");
    }
    if (isfinite(target->log_probability)) {
        text_buffer_add(out, ", probability ");
        format_percent(out, exp(target->log_probability));
        text_buffer_printf(out, ", log-probability %.4g", target->log_probability);
    }
    if (isfinite(target->logit)) {
        text_buffer_printf(out, ", logit %.4g", target->logit);
    }
    if (target->rank > 0) {
        text_buffer_printf(out, ", rank %lld", (long long)target->rank);
    }
    if (target->chosen) {
        text_buffer_add(out, ", the model's own first choice");
    }
}

/* "adapter-clean" or "adapter-clean at 0.5" */
static void describe_adapter(TextBuffer *out, const ResultAdapter *adapter, unsigned flags) {
    clean_text(out, adapter->name, flags);
    if (adapter->weight != 1.0) {
        text_buffer_printf(out, " at %.4g", adapter->weight);
    }
}

static void describe_model(TextBuffer *out, const Result *result, unsigned flags) {
    clean_text(out, result->model.name, flags);
    const Text parts[] = {result->model.architecture, result->model.dtype};
    const char *separator = " (";
    for (size_t i = 0; i < 2; i++) {
        if (parts[i].length > 0) {
            text_buffer_add(out, separator);
            clean_text(out, parts[i], flags);
            separator = ", ";
        }
    }
    if (result->provenance.compute.length > 0) {
        text_buffer_add(out, separator);
        text_buffer_add(out, "run in ");
        clean_text(out, result->provenance.compute, flags);
        separator = ", ";
    }
    text_buffer_add(out, separator[0] == ',' ? ")" : "");
    for (int32_t i = 0; i < result->provenance.n_adapters; i++) {
        text_buffer_add(out, " + ");
        describe_adapter(out, &result->provenance.adapters[i], flags);
    }
}

limn_status result_facts(Fact facts[FACTS_MAX], size_t *n, Arena *arena, const Result *result, unsigned flags) {
    *n = 0;
    TextBuffer text = TEXT_BUFFER_INIT;
    if (result->has_target) {
        describe_target(&text, &result->target, flags);
        facts[*n].label = "Target";
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    if (result->has_contrast) {
        describe_target(&text, &result->contrast, flags);
        facts[*n].label = "And not";
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    if (result->model.name.length > 0) {
        describe_model(&text, result, flags);
        facts[*n].label = "Model";
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    if (result->method_title.length > 0 || result->method[0] != '\0') {
        clean_text(&text, result->method_title.length > 0 ? result->method_title : text_of(result->method), flags);
        facts[*n].label = "Method";
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    return LIMN_OK;
}

/* ---- details ---- */

static limn_status add(FactGroup *group, const char *label, Arena *arena, TextBuffer *text) {
    group->facts[group->n].label = label;
    return keep(&group->facts[group->n++].text, arena, text);
}

static limn_status add_text(FactGroup *group, const char *label, Arena *arena, Text value, unsigned flags) {
    if (value.length == 0) {
        return LIMN_OK;
    }
    TextBuffer text = TEXT_BUFFER_INIT;
    clean_text(&text, value, flags);
    return add(group, label, arena, &text);
}

static limn_status add_parameters(FactGroup *group, Arena *arena, const Fields *params, unsigned flags) {
    for (size_t i = 0; i < params->count; i++) {
        TextBuffer text = TEXT_BUFFER_INIT;
        const char *label;
        clean_text(&text, text_of(params->items[i].name), flags);
        TRY(keep(&label, arena, &text));
        format_cell(&text, COLUMN_VALUE, &params->items[i].value, flags);
        TRY(add(group, label, arena, &text));
    }
    return LIMN_OK;
}

static limn_status add_provenance(FactGroup *group, Arena *arena, const Result *result, unsigned flags) {
    const ResultProvenance *provenance = &result->provenance;
    TRY(add_text(group, "limn", arena, provenance->version, flags));
    TRY(add_text(group, "model hash", arena, result->model.hash, flags));
    for (int32_t i = 0; i < provenance->n_adapters; i++) {
        TextBuffer adapter = TEXT_BUFFER_INIT;
        describe_adapter(&adapter, &provenance->adapters[i], flags);
        text_buffer_add(&adapter, ", hash ");
        clean_text(&adapter, provenance->adapters[i].hash, flags);
        TRY(add(group, "adapter", arena, &adapter));
    }
    TRY(add_text(group, "backend", arena, provenance->backend, flags));
    TRY(add_text(group, "compute", arena, provenance->compute, flags));
    TRY(add_text(group, "instruction set", arena, provenance->instruction_set, flags));
    TRY(add_text(group, "libraries", arena, provenance->libraries, flags));
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_printf(&text, "%d", provenance->chunk_rows);
    TRY(add(group, "rows per chunk", arena, &text));
    text_buffer_printf(&text, "%d", provenance->threads);
    TRY(add(group, "threads", arena, &text));
    text_buffer_printf(&text, "%llu", (unsigned long long)provenance->seed);
    return add(group, "seed", arena, &text);
}

static limn_status add_measured(FactGroup *group, Arena *arena, const ResultMeasured *measured, unsigned flags) {
    TRY(add_text(group, "started", arena, measured->started, flags));
    TextBuffer text = TEXT_BUFFER_INIT;
    if (isfinite(measured->seconds)) {
        text_buffer_printf(&text, "%.3g", measured->seconds);
        TRY(add(group, "seconds", arena, &text));
    }
    if (measured->peak_bytes > 0) {
        format_bytes(&text, measured->peak_bytes);
        TRY(add(group, "peak memory", arena, &text));
    }
    return LIMN_OK;
}

limn_status result_details(FactGroup groups[FACT_GROUPS], Arena *arena, const Result *result, unsigned flags) {
    static const char *const titles[FACT_GROUPS] = {"Parameters", "Provenance", "Measured"};
    const size_t room[FACT_GROUPS] = {result->params.count, 16 + (size_t)result->provenance.n_adapters, 8};
    for (size_t i = 0; i < FACT_GROUPS; i++) {
        groups[i] = (FactGroup){titles[i], ARENA_ARRAY(arena, Fact, room[i]), 0};
        if (groups[i].facts == NULL) {
            return fail(LIMN_NO_MEMORY, "no memory to show a result");
        }
    }
    TRY(add_parameters(&groups[0], arena, &result->params, flags));
    TRY(add_provenance(&groups[1], arena, result, flags));
    return add_measured(&groups[2], arena, &result->measured, flags);
}
