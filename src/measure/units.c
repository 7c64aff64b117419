#include "measure/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

Text unit_text(const Prompt *prompt, const Unit *unit) {
    return (Text){prompt->text.bytes + unit->from, unit->to - unit->from};
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The bytes of tokens [begin, end) without white space around them. */
static void find_bytes(Unit *unit, const Prompt *prompt) {
    int64_t from = -1, to = -1;
    for (int32_t t = unit->begin; t < unit->end; t++) {
        const Token *token = &prompt->tokens[t];
        if (token->end > token->begin && token->type == 0) {
            from = from < 0 ? token->begin : from;
            to = token->end;
        }
    }
    unit->from = from < 0 ? 0 : (size_t)from;
    unit->to = to < 0 ? 0 : (size_t)to;
    while (unit->from < unit->to && is_space(prompt->text.bytes[unit->from])) {
        unit->from++;
    }
    while (unit->to > unit->from && is_space(prompt->text.bytes[unit->to - 1])) {
        unit->to--;
    }
}

/* ---- what stays ---- */

/* The last row whose change the answer can feel, and the words that are asked about. */
static bool stays_for_target(const Model *model, const Prompt *prompt, const Target *target, const Unit *unit) {
    int32_t last = 0;
    for (int32_t k = 0; k < target->n; k++) {
        last = target->rows[k] > last ? target->rows[k] : last;
        int32_t asked = target->kind == TARGET_SPAN ? target->rows[k] + 1 : -1;
        bool inside = target->kind == TARGET_AT && target->rows[k] < prompt->n - 1; /* a mask, a place that was named */
        asked = inside ? target->rows[k] : asked;
        if (asked >= unit->begin && asked < unit->end) {
            return true;
        }
    }
    return model->config.causal && unit->begin > last;
}

/* A chat's words are the contents of its messages and documents that are asked about; the rest is its template's. */
static bool stays_for_chat(const UnitsAsked *asked, const Prompt *prompt, const Unit *unit) {
    if (prompt->chat == NULL) {
        return false;
    }
    for (int32_t i = 0; i < asked->n_documents; i++) {
        if (unit->from >= asked->documents[i].from && unit->to <= asked->documents[i].to) {
            return false;
        }
    }
    const ChatSpan *span = chat_text_span(&prompt->chat->text, unit->from);
    return span == NULL || !span->content || unit->to > span->end;
}

static bool stays_for_fields(const UnitsAsked *asked, const Unit *unit) {
    for (int32_t i = 0; asked->fields != NULL && i < asked->n_fields; i++) {
        if (unit->from >= asked->fields[i].from && unit->to <= asked->fields[i].to) {
            return false;
        }
    }
    return asked->fields != NULL;
}

static bool read_range(const char *text, long *first, long *last) {
    char *at;
    errno = 0;
    *first = strtol(text, &at, 10);
    if (at == text || *at != ':') {
        return false;
    }
    const char *second = at + 1;
    *last = strtol(second, &at, 10);
    return at != second && *at == '\0' && errno == 0;
}

/* One --fixed: tokens by number, else every place where the text stands. */
static limn_status fix(Units *units, const Prompt *prompt, Text text) {
    long first, last;
    bool range = read_range(text.bytes, &first, &last);
    if (range && (first < 0 || last <= first || last > prompt->n)) {
        return fail(LIMN_RANGE, "option 'fixed': found %s; expected tokens A:B within 0:%d", text.bytes, prompt->n);
    }
    bool found = range;
    for (size_t at = 0; !range && text.length > 0 && at + text.length <= prompt->text.length; at++) {
        if (memcmp(prompt->text.bytes + at, text.bytes, text.length) != 0) {
            continue;
        }
        found = true;
        for (int32_t u = 0; u < units->n; u++) {
            Unit *unit = &units->items[u];
            unit->fixed = unit->fixed || (unit->from < at + text.length && unit->to > at);
        }
    }
    for (int32_t u = 0; range && u < units->n; u++) {
        Unit *unit = &units->items[u];
        unit->fixed = unit->fixed || (unit->begin < last && unit->end > first);
    }
    return found ? LIMN_OK : fail(LIMN_NOT_FOUND, "option 'fixed': the prompt does not hold '%.80s'", text.bytes);
}

static void count_free(Units *units) {
    units->n_free = 0;
    for (int32_t u = 0; u < units->n; u++) {
        units->n_free += units->items[u].fixed ? 0 : 1;
    }
}

limn_status units_of_words(Units *units, MethodCall *call, const Model *model, const Prompt *prompt,
                           const TokenRuns *words, const Target *target, const UnitsAsked *asked) {
    *units = (Units){.items = ARENA_ARRAY(call->arena, Unit, words->n + 1), .n = words->n};
    if (units->items == NULL) {
        return method_no_memory(call);
    }
    for (int32_t w = 0; w < words->n; w++) {
        Unit *unit = &units->items[w];
        *unit = (Unit){.begin = words->begins[w], .end = words->begins[w + 1]};
        find_bytes(unit, prompt);
        unit->kind = word_kind(unit_text(prompt, unit));
        bool special = false;
        for (int32_t t = unit->begin; t < unit->end; t++) {
            bool hidden = prompt->mask != NULL && prompt->mask[t] == 0;
            special = special || prompt->tokens[t].special || prompt->tokens[t].type != 0 || hidden;
        }
        unit->fixed = special || unit->kind.class == WORD_NOTHING || stays_for_target(model, prompt, target, unit) ||
                      stays_for_chat(asked, prompt, unit) || stays_for_fields(asked, unit);
    }
    for (int32_t i = 0; asked->fixed != NULL && i < asked->fixed->n; i++) {
        TRY(fix(units, prompt, asked->fixed->items[i]));
    }
    count_free(units);
    return LIMN_OK;
}

limn_status units_of_runs(Units *units, MethodCall *call, const Prompt *prompt, const Units *words,
                          const TokenRuns *runs) {
    *units = (Units){.items = ARENA_ARRAY(call->arena, Unit, runs->n + 1), .n = runs->n};
    if (units->items == NULL) {
        return method_no_memory(call);
    }
    for (int32_t r = 0; r < runs->n; r++) {
        Unit *unit = &units->items[r];
        *unit = (Unit){.begin = runs->begins[r], .end = runs->begins[r + 1], .fixed = true};
        find_bytes(unit, prompt);
        for (int32_t w = 0; w < words->n; w++) {
            const Unit *word = &words->items[w];
            bool inside = word->begin >= unit->begin && word->end <= unit->end;
            unit->fixed = unit->fixed && !(inside && !word->fixed);
        }
    }
    count_free(units);
    return LIMN_OK;
}
