/* A record of the data set with its words, and the sets of them that are exchanged together: each word wherever it
 * stands, openings and endings, the first and last words of a field, a whole field. */
#include <string.h>

#include "base/random.h"
#include "method/data/attribute.h"

/* ---- keys ---- */

typedef struct KeyList {
    RecordView *view;
    MethodCall *call;
    Map places;
    int32_t capacity;
} KeyList;

static limn_status add_unit(RecordKey *key, MethodCall *call, int32_t unit) {
    if (key->n == key->capacity) {
        int32_t capacity = key->capacity == 0 ? 4 : 2 * key->capacity;
        int32_t *grown = ARENA_ARRAY(call->arena, int32_t, capacity);
        if (grown == NULL) {
            return method_no_memory(call);
        }
        if (key->n > 0) {
            memcpy(grown, key->units, (size_t)key->n * sizeof *grown);
        }
        key->units = grown;
        key->capacity = capacity;
    }
    key->units[key->n++] = unit;
    return LIMN_OK;
}

static limn_status make_key(Text *key, MethodCall *call, PlaceKind kind, Text span, Text text) {
    TextBuffer buffer = TEXT_BUFFER_INIT;
    text_buffer_printf(&buffer, "%d\t", (int)kind);
    text_buffer_add_bytes(&buffer, span.bytes == NULL ? "" : span.bytes, span.length);
    text_buffer_add_char(&buffer, '\t');
    text_buffer_add_bytes(&buffer, text.bytes == NULL ? "" : text.bytes, text.length);
    limn_status status = text_buffer_status(&buffer);
    if (status == LIMN_OK) {
        char *copy = arena_strndup(call->arena, buffer.data, buffer.length);
        *key = (Text){copy, buffer.length};
        status = copy == NULL ? method_no_memory(call) : LIMN_OK;
    }
    text_buffer_free(&buffer);
    return status;
}

/* The key of that name, made where it is not there yet. */
static limn_status find_key(RecordKey **found, KeyList *list, PlaceKind kind, Text span, Text text) {
    RecordView *view = list->view;
    Text name;
    uint64_t place;
    TRY(make_key(&name, list->call, kind, span, text));
    if (map_get(&list->places, name.bytes, name.length, &place)) {
        *found = &view->keys[place];
        return LIMN_OK;
    }
    if (view->n_keys == list->capacity) {
        int32_t capacity = list->capacity == 0 ? 32 : 2 * list->capacity;
        RecordKey *grown = ARENA_ARRAY(list->call->arena, RecordKey, capacity);
        if (grown == NULL) {
            return method_no_memory(list->call);
        }
        if (view->n_keys > 0) {
            memcpy(grown, view->keys, (size_t)view->n_keys * sizeof *grown);
        }
        view->keys = grown;
        list->capacity = capacity;
    }
    *found = &view->keys[view->n_keys];
    **found = (RecordKey){.kind = kind, .key = name, .text = text, .span = span};
    return map_put(&list->places, name.bytes, name.length, (uint64_t)view->n_keys++);
}

static limn_status add_units(KeyList *list, PlaceKind kind, Text span, Text text, const int32_t *units, int32_t n) {
    RecordKey *key;
    TRY(find_key(&key, list, kind, span, text));
    for (int32_t i = 0; i < n; i++) {
        TRY(add_unit(key, list->call, units[i]));
    }
    return LIMN_OK;
}

/* From the first unit's first byte to the last one's last, in small letters. */
static limn_status lower_text(Text *text, const KeyList *list, int32_t first, int32_t last) {
    const Units *units = &list->view->units;
    size_t from = units->items[first].from, to = units->items[last].to;
    Text own = {list->view->prompt.text.bytes + from, to - from};
    char *lower = word_in_case(own, WORD_LOWER, &text->length, list->call->arena);
    text->bytes = lower;
    return lower != NULL ? LIMN_OK : method_no_memory(list->call);
}

/* Whether nothing that stays, but white space, stands between the first and the last of k units. */
static bool are_neighbours(const KeyList *list, const int32_t *units, int32_t k) {
    int32_t words = 0;
    for (int32_t u = units[0]; u <= units[k - 1]; u++) {
        const Unit *unit = &list->view->units.items[u];
        words += unit->to > unit->from ? 1 : 0;
    }
    return words == k;
}

/* The first (last) words, 2 to 5 of them, word for word. */
static limn_status add_edges(KeyList *list, PlaceKind kind, Text span, const int32_t *units, int32_t n) {
    Text shorter = {NULL, 0};
    for (int32_t k = 2; k <= EDGE_TEXT_MOST && k < n; k++) {
        int32_t first = kind == PLACE_OPENING ? 0 : n - k;
        if (!are_neighbours(list, units + first, k)) {
            return LIMN_OK; /* something that stays stands between them */
        }
        Text text;
        RecordKey *key;
        TRY(lower_text(&text, list, units[first], units[first + k - 1]));
        TRY(find_key(&key, list, kind, span, text));
        key->shorter = shorter;
        shorter = key->key;
        for (int32_t i = 0; i < k && key->n < k; i++) {
            TRY(add_unit(key, list->call, units[first + i]));
        }
    }
    return LIMN_OK;
}

static limn_status add_span(KeyList *list, const TextSpan *span, bool several) {
    const Units *all = &list->view->units;
    const Text nothing = {NULL, 0};
    int32_t *units = ARENA_ARRAY(list->call->arena, int32_t, all->n + 1);
    if (units == NULL) {
        return method_no_memory(list->call);
    }
    int32_t n = 0;
    for (int32_t u = 0; u < all->n; u++) {
        if (!all->items[u].fixed && all->items[u].from >= span->from && all->items[u].to <= span->to) {
            units[n++] = u;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        Text text;
        TRY(lower_text(&text, list, units[i], units[i]));
        TRY(add_units(list, PLACE_WORD, nothing, text, &units[i], 1));
    }
    TRY(add_edges(list, PLACE_OPENING, span->name, units, n));
    TRY(add_edges(list, PLACE_ENDING, span->name, units, n));
    if (n > EDGE_WORDS) {
        TRY(add_units(list, PLACE_FIRST, span->name, nothing, units, EDGE_WORDS));
        TRY(add_units(list, PLACE_LAST, span->name, nothing, units + n - EDGE_WORDS, EDGE_WORDS));
    }
    return several && n > 0 ? add_units(list, PLACE_FIELD, span->name, nothing, units, n) : LIMN_OK;
}

limn_status attribute_list_keys(RecordView *view, MethodCall *call) {
    KeyList list = {.view = view, .call = call};
    map_init(&list.places);
    limn_status status = LIMN_OK;
    for (int32_t i = 0; i < view->item.n_spans && status == LIMN_OK; i++) {
        status = add_span(&list, &view->item.spans[i], view->item.n_spans > 1);
    }
    map_free(&list.places);
    return status;
}

/* ---- records ---- */

bool attribute_nominates(const Attributor *attributor, const DataItem *item) {
    Random random;
    random_seed(&random, (uint64_t)attributor->call->common.seed);
    random_seed(&random, random_bits(&random) ^ hash_bytes(item->prompt.bytes, item->prompt.length));
    return random_unit(&random) < 0.5;
}

limn_status attribute_source(DataSource **source, Attributor *attributor) {
    TRY(data_source_open(source, attributor->call, &attributor->data));
    limn_status status = data_source_use_model(*source, attributor->call, attributor->model);
    if (status != LIMN_OK) {
        data_source_close(*source);
        *source = NULL;
    }
    return status;
}

limn_status attribute_label(int32_t *label, const Attributor *attributor, const DataItem *item) {
    return choice_names_find(label, &attributor->names, data_source_path(attributor->source), item);
}

limn_status attribute_tick(const Attributor *attributor, const char *stage, const DataItem *item) {
    return progress_tick(attributor->call->progress, stage, item->done, item->total);
}

/* The prompt's own template, where a field holds it, stays. */
static limn_status own_spans(RecordView *view, const Attributor *attributor, MethodCall *call) {
    if (attributor->head + attributor->tail == 0) {
        return LIMN_OK;
    }
    TextSpan *span = ARENA_ARRAY(call->arena, TextSpan, 1);
    if (span == NULL) {
        return method_no_memory(call);
    }
    *span = (TextSpan){attributor->head, view->item.prompt.length - attributor->tail, view->item.spans[0].name};
    view->item.spans = span;
    return LIMN_OK;
}

static size_t without(size_t at, const ChoiceCut *cut) {
    return at <= cut->from ? at : at < cut->to ? cut->from : at - (cut->to - cut->from);
}

/* Takes bytes out of the prompt, and out of the spans. */
static limn_status take_out(RecordView *view, const ChoiceCut *cut, MethodCall *call) {
    const Text old = view->item.prompt;
    size_t length = old.length - (cut->to - cut->from);
    char *text = ARENA_ARRAY(call->arena, char, length + 1);
    TextSpan *spans = ARENA_ARRAY(call->arena, TextSpan, view->item.n_spans + 1);
    if (text == NULL || spans == NULL) {
        return method_no_memory(call);
    }
    memcpy(text, old.bytes, cut->from);
    memcpy(text + cut->from, old.bytes + cut->to, old.length - cut->to);
    for (int32_t i = 0; i < view->item.n_spans; i++) {
        const TextSpan *own = &view->item.spans[i];
        spans[i] = (TextSpan){without(own->from, cut), without(own->to, cut), own->name};
    }
    view->item.prompt = (Text){text, length};
    view->item.spans = spans;
    view->cut += cut->tokens;
    return LIMN_OK;
}

/* What the model does not read (--truncate) is no part of the record. Once more where the rest has more tokens than it
 * had within the whole. */
static limn_status cut_long(RecordView *view, const Attributor *attributor, MethodCall *call) {
    enum { MOST_CUTS = 4 };
    for (int i = 0; i < MOST_CUTS && attributor->params->truncate != TRUNCATE_NONE; i++) {
        ChoiceCut cut;
        TRY(choice_scorer_cut(&cut, attributor->choices, view->item.prompt, call->arena));
        if (cut.tokens == 0) {
            return LIMN_OK;
        }
        TRY(take_out(view, &cut, call));
    }
    return LIMN_OK;
}

static limn_status read_words(RecordView *view, const Attributor *attributor, const DataSource *source,
                              MethodCall *call) {
    TRY(own_spans(view, attributor, call));
    TRY(cut_long(view, attributor, call));
    const PromptParams params = {.prompt = view->item.prompt,
                                 .complete = data_source_encode_options(source, call).no_special};
    TRY(prompt_read(&view->prompt, call, attributor->model, &params));
    TRY(words_of(&view->words, call, attributor->model, &view->prompt));
    bool classes = attributor->model->config.task == TASK_CLASSIFIER;
    int32_t n = classes ? 1 : attributor->n_stay;
    int32_t *rows = ARENA_ARRAY(call->arena, int32_t, n + 1);
    if (rows == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        rows[i] = view->prompt.n - 1;
    }
    view->stay = (Target){.kind = classes ? TARGET_CLASS : TARGET_TOKENS,
                          .ids = attributor->stay_ids,
                          .n = n,
                          .rows = rows,
                          .n_sequence = view->prompt.n};
    const UnitsAsked asked = {.fields = view->item.spans, .n_fields = view->item.n_spans};
    TRY(units_of_words(&view->units, call, attributor->model, &view->prompt, &view->words, &view->stay, &asked));
    return attribute_list_keys(view, call);
}

limn_status attribute_give_up(Attributor *attributor, const DataItem *item, limn_status status, const char *why) {
    if (!data_source_skips(attributor->source)) {
        return fail(status, "%s: line %lld: %s", data_source_path(attributor->source), (long long)item->line, why);
    }
    return data_source_skip(attributor->source, item, why);
}

limn_status attribute_log_error(Attributor *attributor, const DataItem *item, const char *why) {
    if (attributor->log == NULL) {
        return LIMN_OK;
    }
    JsonWriter writer;
    record_log_begin(attributor->log, &writer, item);
    writer_string_field(&writer, "error", why);
    return record_log_end(attributor->log, &writer, item);
}

limn_status attribute_next(RecordView *view, Attributor *attributor, DataSource *source, MethodCall *call, bool first,
                           bool *there) {
    for (;;) {
        *view = (RecordView){0};
        call->common.seed = attributor->call->common.seed;
        limn_status status = data_source_next(source, &view->item, call->arena, there);
        if (status == LIMN_OK && !*there) {
            return LIMN_OK;
        }
        call->common.seed ^= (int64_t)(view->item.hash >> 12);
        int32_t label;
        status = status == LIMN_OK ? attribute_label(&label, attributor, &view->item) : status;
        if (status == LIMN_OK) {
            status = read_words(view, attributor, source, call);
            if (status == LIMN_OK) {
                return LIMN_OK;
            }
            status = fail_context("%s: line %lld", data_source_path(source), (long long)view->item.line);
        }
        if (!*there || !status_is_of_input(status) || !data_source_skips(source)) {
            return status;
        }
        if (first) {
            TRY(data_source_skip(source, &view->item, error_message()));
        }
        error_clear();
    }
}
