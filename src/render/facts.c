/* The parts of a document that every rendering states the same way. */
#include <math.h>
#include <string.h>

#include "render/format.h"

enum { PROMPT_WIDTH = 480 }; /* columns of the prompt that the head shows */

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

static void describe_target(TextBuffer *out, const ResultTarget *target, Words words, unsigned flags) {
    quoted(out, target->text, flags);
    const char *comma = words[WORD_COMMA];
    if (target->n_ids > 0) {
        bool is_class = target->kind.bytes != NULL && strcmp(target->kind.bytes, "class") == 0;
        WordId what = is_class ? WORD_CLASS_ID : target->n_ids > 1 ? WORD_MANY_IDS : WORD_ONE_ID;
        text_buffer_printf(out, " (%s ", words[what]);
        for (int32_t i = 0; i < target->n_ids && i < 8; i++) {
            text_buffer_printf(out, "%s%d", i == 0 ? "" : ", ", target->ids[i]);
        }
        text_buffer_add(out, target->n_ids > 8 ? ", ...)" : ")");
    }
    if (isfinite(target->log_probability)) {
        text_buffer_printf(out, "%s%s ", comma, words[WORD_PROBABILITY]);
        format_percent(out, exp(target->log_probability));
        text_buffer_printf(out, "%s%s %.4g", comma, words[WORD_LOG_PROBABILITY], target->log_probability);
    }
    if (isfinite(target->logit)) {
        text_buffer_printf(out, "%s%s %.4g", comma, words[WORD_LOGIT], target->logit);
    }
    if (target->rank > 0) {
        text_buffer_printf(out, "%s%s %lld", comma, words[WORD_RANK], (long long)target->rank);
    }
    if (target->chosen) {
        text_buffer_printf(out, "%s%s", comma, words[WORD_FIRST_CHOICE]);
    }
}

/* "adapter-clean" or "adapter-clean at 0.5" */
static void describe_adapter(TextBuffer *out, const ResultAdapter *adapter, Words words, unsigned flags) {
    clean_text(out, adapter->name, flags);
    if (adapter->weight != 1.0) {
        text_buffer_printf(out, " %s %.4g", words[WORD_AT_WEIGHT], adapter->weight);
    }
}

static void describe_model(TextBuffer *out, const Result *result, Words words, unsigned flags) {
    clean_text(out, result->model.name, flags);
    const Text parts[] = {result->model.architecture, result->model.dtype};
    const char *separator = " (";
    bool any = false;
    for (size_t i = 0; i < 2; i++) {
        if (parts[i].length > 0) {
            text_buffer_add(out, separator);
            clean_text(out, parts[i], flags);
            separator = words[WORD_COMMA];
            any = true;
        }
    }
    if (result->provenance.compute.length > 0) {
        text_buffer_printf(out, "%s%s ", separator, words[WORD_RUN_IN]);
        clean_text(out, result->provenance.compute, flags);
        any = true;
    }
    text_buffer_add(out, any ? ")" : "");
    for (int32_t i = 0; i < result->provenance.n_adapters; i++) {
        text_buffer_add(out, " + ");
        describe_adapter(out, &result->provenance.adapters[i], words, flags);
    }
    for (int32_t i = 0; i < result->provenance.n_edits; i++) {
        text_buffer_add(out, " + ");
        clean_text(out, result->provenance.edits[i].name, flags);
    }
}

/* A strip of the whole input shows the prompt by itself. */
static bool prompt_stands_in_a_block(const Result *result) {
    for (int32_t i = 0; i < result->n_blocks; i++) {
        const Block *block = &result->blocks[i];
        if (block->kind == BLOCK_TOKENS && !block->detail &&
            ((const TokensBlock *)block->content)->n == result->n_input_tokens) {
            return true;
        }
    }
    return false;
}

/* The text, or of a prompt given by ids what its tokens add up to. */
static limn_status prompt_text(Text *text, Arena *arena, const Result *result) {
    *text = result->input_text;
    if (text->bytes != NULL || result->n_input_tokens == 0) {
        return LIMN_OK;
    }
    TextBuffer joined = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < result->n_input_tokens; i++) {
        text_buffer_add_bytes(&joined, result->input_tokens[i].bytes.bytes, result->input_tokens[i].bytes.length);
    }
    size_t length = joined.length;
    const char *bytes;
    TRY(keep(&bytes, arena, &joined));
    *text = (Text){bytes, length};
    return LIMN_OK;
}

bool prompt_is_cut(const Result *result) {
    return result->input_text.length > PROMPT_WIDTH;
}

static limn_status add_prompt(Fact *fact, size_t *n, Arena *arena, const Result *result, Words words, unsigned flags) {
    Text prompt;
    TRY(prompt_text(&prompt, arena, result));
    if (prompt.bytes == NULL || prompt_stands_in_a_block(result)) {
        return LIMN_OK;
    }
    TextBuffer text = TEXT_BUFFER_INIT, shown = TEXT_BUFFER_INIT;
    clean_text_cut(&shown, prompt, flags, PROMPT_WIDTH);
    text_buffer_add(&text, flags & CLEAN_ASCII ? "\"" : "“");
    text_buffer_add_bytes(&text, shown.data == NULL ? "" : shown.data, shown.length);
    text_buffer_add(&text, flags & CLEAN_ASCII ? "\" (" : "” (");
    text_buffer_printf(&text, words[WORD_TOKENS], result->n_input_tokens);
    text_buffer_add(&text, ")");
    text.failed = text.failed || shown.failed;
    text_buffer_free(&shown);
    fact->label = words[WORD_PROMPT];
    ++*n;
    return keep(&fact->text, arena, &text);
}

limn_status result_facts(Fact facts[FACTS_MAX], size_t *n, Arena *arena, const Result *result, Words words,
                         unsigned flags) {
    *n = 0;
    TRY(add_prompt(&facts[0], n, arena, result, words, flags));
    TextBuffer text = TEXT_BUFFER_INIT;
    if (result->has_target) {
        describe_target(&text, &result->target, words, flags);
        facts[*n].label = words[WORD_TARGET];
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    if (result->has_contrast) {
        describe_target(&text, &result->contrast, words, flags);
        facts[*n].label = words[WORD_CONTRAST];
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    if (result->model.name.length > 0) {
        describe_model(&text, result, words, flags);
        facts[*n].label = words[WORD_MODEL];
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    if (result->method_title.length > 0 || result->method[0] != '\0') {
        clean_text(&text, method_name(result, words), flags);
        facts[*n].label = words[WORD_METHOD];
        TRY(keep(&facts[(*n)++].text, arena, &text));
    }
    return LIMN_OK;
}

Text method_name(const Result *result, Words words) {
    return result->method_title.length > 0 ? word_for_name(words, result->method_title) : text_of(result->method);
}

Text headline_of(const Result *result, Words words) {
    return result->headline.length > 0 ? result->headline : method_name(result, words);
}

/* ---- what came of the checks ---- */

/* Says what was checked: "all checks passed" reads as if the model's answer had been approved. */
static void name_checks(TextBuffer *out, const Result *result, Words words, unsigned flags) {
    text_buffer_printf(out, "%s%s", words[WORD_CHECKED], words[WORD_COLON]);
    bool first = true;
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (result->checks[i].state == CHECK_PASS) { /* what else there is has no part in the verdict */
            text_buffer_add(out, first ? "" : words[WORD_LIST]);
            format_check_name(out, &result->checks[i], words, flags);
            first = false;
        }
    }
}

limn_status checks_verdict(Verdict *verdict, Arena *arena, const Result *result, Words words, unsigned flags) {
    *verdict = (Verdict){0};
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        verdict->failed += check->state == CHECK_FAIL && !check->advisory;
        verdict->open += check->state == CHECK_INCONCLUSIVE && !check->advisory;
    }
    if (result->n_checks == 0) {
        return LIMN_OK;
    }
    TextBuffer text = TEXT_BUFFER_INIT;
    if (verdict->failed > 0) {
        text_buffer_printf(&text, words[WORD_CHECKS_FAILED], verdict->failed, result->n_checks);
    } else if (verdict->open > 0) {
        text_buffer_printf(&text, words[WORD_CHECKS_OPEN], verdict->open, result->n_checks);
    } else {
        name_checks(&text, result, words, flags);
    }
    return keep(&verdict->text, arena, &text);
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

static limn_status add_parameters(FactGroup *group, Arena *arena, const Fields *params, Words words, unsigned flags) {
    for (size_t i = 0; i < params->count; i++) {
        TextBuffer text = TEXT_BUFFER_INIT;
        const char *label;
        clean_text(&text, text_of(params->items[i].name), flags);
        TRY(keep(&label, arena, &text));
        format_cell(&text, COLUMN_VALUE, &params->items[i].value, words, flags);
        TRY(add(group, label, arena, &text));
    }
    return LIMN_OK;
}

static limn_status add_provenance(FactGroup *group, Arena *arena, const Result *result, Words words, unsigned flags) {
    const ResultProvenance *provenance = &result->provenance;
    TRY(add_text(group, "limn", arena, provenance->version, flags));
    TRY(add_text(group, words[WORD_MODEL_HASH], arena, result->model.hash, flags));
    for (int32_t i = 0; i < provenance->n_adapters; i++) {
        TextBuffer adapter = TEXT_BUFFER_INIT;
        describe_adapter(&adapter, &provenance->adapters[i], words, flags);
        text_buffer_printf(&adapter, "%s%s ", words[WORD_COMMA], words[WORD_HASH]);
        clean_text(&adapter, provenance->adapters[i].hash, flags);
        TRY(add(group, words[WORD_ADAPTER], arena, &adapter));
    }
    for (int32_t i = 0; i < provenance->n_edits; i++) {
        const ResultEdits *edits = &provenance->edits[i];
        TextBuffer text = TEXT_BUFFER_INIT;
        clean_text(&text, edits->name, flags);
        text_buffer_printf(&text, "%s", words[WORD_COLON]);
        clean_text(&text, edits->edits, flags);
        text_buffer_printf(&text, "%s%s ", words[WORD_COMMA], words[WORD_HASH]);
        clean_text(&text, edits->hash, flags);
        TRY(add(group, words[WORD_EDIT_FILE], arena, &text));
    }
    TRY(add_text(group, words[WORD_BACKEND], arena, provenance->backend, flags));
    TRY(add_text(group, words[WORD_COMPUTE], arena, provenance->compute, flags));
    TRY(add_text(group, words[WORD_INSTRUCTION_SET], arena, provenance->instruction_set, flags));
    TRY(add_text(group, words[WORD_LIBRARIES], arena, provenance->libraries, flags));
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_printf(&text, "%d", provenance->chunk_rows);
    TRY(add(group, words[WORD_CHUNK_ROWS], arena, &text));
    text_buffer_printf(&text, "%d", provenance->threads);
    TRY(add(group, words[WORD_THREADS], arena, &text));
    text_buffer_printf(&text, "%llu", (unsigned long long)provenance->seed);
    return add(group, words[WORD_SEED], arena, &text);
}

static limn_status add_measured(FactGroup *group, Arena *arena, const ResultMeasured *measured, Words words,
                                unsigned flags) {
    TRY(add_text(group, words[WORD_STARTED], arena, measured->started, flags));
    TextBuffer text = TEXT_BUFFER_INIT;
    if (isfinite(measured->seconds)) {
        text_buffer_printf(&text, "%.3g", measured->seconds);
        TRY(add(group, words[WORD_SECONDS], arena, &text));
    }
    if (measured->peak_bytes > 0) {
        format_bytes(&text, measured->peak_bytes);
        TRY(add(group, words[WORD_PEAK_MEMORY], arena, &text));
    }
    return LIMN_OK;
}

limn_status result_details(FactGroup groups[FACT_GROUPS], Arena *arena, const Result *result, Words words,
                           unsigned flags) {
    static const WordId titles[FACT_GROUPS] = {WORD_PARAMETERS, WORD_PROVENANCE, WORD_MEASURED};
    const size_t room[FACT_GROUPS] = {
        result->params.count, 16 + (size_t)result->provenance.n_adapters + (size_t)result->provenance.n_edits, 8};
    for (size_t i = 0; i < FACT_GROUPS; i++) {
        groups[i] = (FactGroup){words[titles[i]], ARENA_ARRAY(arena, Fact, room[i]), 0};
        if (groups[i].facts == NULL) {
            return fail(LIMN_NO_MEMORY, "no memory to show a result");
        }
    }
    TRY(add_parameters(&groups[0], arena, &result->params, words, flags));
    TRY(add_provenance(&groups[1], arena, result, words, flags));
    return add_measured(&groups[2], arena, &result->measured, words, flags);
}
