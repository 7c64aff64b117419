/* What recurs in a data set: words, openings, endings and places, counted in memory that does not grow with the
 * records. Of what was met fewer than `least` times only a number is kept, in a table by hashes; a collision makes
 * something rare be looked at, never something common be missed. */
#include <string.h>

#include "method/data/attribute.h"

enum { SKETCH = 1 << 18 };

limn_status suspects_init(Suspects *suspects, MethodCall *call, int64_t least) {
    *suspects = (Suspects){.least = least};
    map_init(&suspects->places);
    suspects->sketch = ARENA_ARRAY(call->arena, uint32_t, SKETCH);
    return suspects->sketch != NULL ? LIMN_OK : method_no_memory(call);
}

void suspects_free(Suspects *suspects) {
    map_free(&suspects->places);
}

Suspect *suspects_find(const Suspects *suspects, Text key) {
    uint64_t place;
    return map_get(&suspects->places, key.bytes, key.length, &place) ? &suspects->items[place] : NULL;
}

static limn_status copy(Text *out, MethodCall *call, Text text) {
    *out = (Text){NULL, 0};
    return text.bytes == NULL ? LIMN_OK : copy_text_in(out, call, text);
}

static limn_status add(Suspects *suspects, MethodCall *call, const RecordKey *key, int64_t count) {
    if (suspects->n == suspects->capacity) {
        int32_t capacity = suspects->capacity == 0 ? 64 : 2 * suspects->capacity;
        Suspect *grown = ARENA_ARRAY(call->arena, Suspect, capacity);
        if (grown == NULL) {
            return method_no_memory(call);
        }
        if (suspects->n > 0) {
            memcpy(grown, suspects->items, (size_t)suspects->n * sizeof *grown);
        }
        suspects->items = grown;
        suspects->capacity = capacity;
    }
    Suspect *made = &suspects->items[suspects->n];
    *made = (Suspect){.kind = key->kind, .count = count, .place = -1};
    TRY(copy(&made->key, call, key->key));
    TRY(copy(&made->text, call, key->text));
    TRY(copy(&made->span, call, key->span));
    TRY(copy(&made->shorter, call, key->shorter));
    return map_put(&suspects->places, made->key.bytes, made->key.length, (uint64_t)suspects->n++);
}

limn_status suspects_count(Suspects *suspects, MethodCall *call, const RecordKey *key) {
    Suspect *known = suspects_find(suspects, key->key);
    if (known != NULL) {
        known->count++;
        return LIMN_OK;
    }
    uint32_t *met = &suspects->sketch[hash_bytes(key->key.bytes, key->key.length) % SKETCH];
    (*met)++;
    return *met >= (uint64_t)suspects->least ? add(suspects, call, key, *met) : LIMN_OK;
}

/* ---- the first pass ---- */

/* What all prompts begin and end with, where a field is all of the prompt: its template in disguise. */
typedef struct Common {
    char *text; /* [length] of the first prompt */
    size_t length, head, tail, shortest;
    int64_t n;
} Common;

static limn_status compare(Common *common, const Attributor *attributor, const DataItem *item) {
    Text prompt = item->prompt;
    if (common->n++ == 0) {
        common->text = arena_strndup(attributor->call->arena, prompt.bytes, prompt.length);
        common->length = common->head = common->tail = common->shortest = prompt.length;
        return common->text != NULL ? LIMN_OK : method_no_memory(attributor->call);
    }
    size_t n = prompt.length < common->shortest ? prompt.length : common->shortest;
    common->shortest = n;
    common->head = common->head < n ? common->head : n;
    common->tail = common->tail < n ? common->tail : n;
    size_t same = 0;
    while (same < common->head && common->text[same] == prompt.bytes[same]) {
        same++;
    }
    common->head = same;
    same = 0;
    while (same < common->tail && common->text[common->length - 1 - same] == prompt.bytes[prompt.length - 1 - same]) {
        same++;
    }
    common->tail = same;
    return LIMN_OK;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\t';
}

/* Whole words only; nothing where the prompts hardly differ. */
static void keep_common(Attributor *attributor, const Common *common) {
    size_t head = common->head, tail = common->tail;
    if (common->n < 2 || head + tail >= common->shortest) {
        return;
    }
    while (head > 0 && !is_blank(common->text[head - 1])) {
        head--;
    }
    while (tail > 0 && !is_blank(common->text[common->length - tail])) {
        tail--;
    }
    attributor->head = head;
    attributor->tail = tail;
}

static limn_status find_common(Attributor *attributor) {
    DataSource *source;
    TRY(attribute_source(&source, attributor));
    Arena arena;
    arena_init(&arena);
    Common common = {0};
    limn_status status = LIMN_OK;
    bool there = true, whole = true;
    while (status == LIMN_OK && there && whole) {
        DataItem item;
        arena_reset(&arena);
        status = data_source_next(source, &item, &arena, &there);
        if (status != LIMN_OK && there && status_is_of_input(status) && data_source_skips(source)) {
            error_clear();
            status = LIMN_OK;
            continue;
        }
        if (status == LIMN_OK && there) {
            whole = item.n_spans == 1 && item.spans[0].from == 0 && item.spans[0].to == item.prompt.length;
            status = whole ? compare(&common, attributor, &item) : LIMN_OK;
        }
    }
    if (status == LIMN_OK && whole) {
        keep_common(attributor, &common);
    }
    arena_free(&arena);
    data_source_close(source);
    return status;
}

/* Words to draw: of each field of the template, or all together where records have parts of their own. */
static limn_status add_drawn(DrawTextsBuilder **builders, int32_t n, const RecordView *view) {
    for (int32_t i = 0; i < view->item.n_spans; i++) {
        const TextSpan *span = &view->item.spans[i];
        const Text text = {view->item.prompt.bytes + span->from, span->to - span->from};
        TRY(draw_texts_add(builders[n == 1 ? 0 : i], text, true));
    }
    return LIMN_OK;
}

static limn_status count_record(Attributor *attributor, RecordView *view, DrawTextsBuilder **builders) {
    int32_t label;
    TRY(attribute_label(&label, attributor, &view->item));
    attributor->records++;
    attributor->unlabelled += attributor->labelled && label < 0 ? 1 : 0;
    bool nominates = attribute_nominates(attributor, &view->item);
    attributor->nominating += nominates ? 1 : 0;
    attributor->n_cut += view->cut > 0 ? 1 : 0;
    attributor->most_cut = view->cut > attributor->most_cut ? view->cut : attributor->most_cut;
    TRY(add_drawn(builders, attributor->n_drawn, view));
    for (int32_t k = 0; k < view->n_keys && !nominates && (label >= 0 || !attributor->labelled); k++) {
        TRY(suspects_count(&attributor->suspects, attributor->call, &view->keys[k]));
    }
    return LIMN_OK;
}

static limn_status count_all(Attributor *attributor, DrawTextsBuilder **builders, Arena *arena) {
    bool there = true;
    while (there) {
        RecordView view;
        MethodCall call = method_call_in(attributor->call, arena);
        arena_reset(arena);
        TRY(attribute_next(&view, attributor, attributor->source, &call, true, &there));
        if (there) {
            TRY(count_record(attributor, &view, builders));
            TRY(attribute_tick(attributor, "count words", &view.item));
        }
    }
    return LIMN_OK;
}

/* A shorter opening or ending that never stands without its longer one says the same again. */
static void find_nested(Suspects *suspects) {
    static const double all = 0.95;
    for (int32_t i = 0; i < suspects->n; i++) {
        const Suspect *longer = &suspects->items[i];
        Suspect *shorter = longer->shorter.bytes == NULL ? NULL : suspects_find(suspects, longer->shorter);
        if (shorter != NULL && (double)longer->count >= all * (double)shorter->count) {
            shorter->nested = true;
        }
    }
}

limn_status attribute_count(Attributor *attributor) {
    MethodCall *call = attributor->call;
    TRY(find_common(attributor));
    TRY(suspects_init(&attributor->suspects, call, attributor->params->least));
    DrawTextsBuilder **builders = ARENA_ARRAY(call->arena, DrawTextsBuilder *, attributor->n_drawn);
    attributor->drawn = ARENA_ARRAY(call->arena, DrawTexts, attributor->n_drawn);
    if (builders == NULL || attributor->drawn == NULL) {
        return method_no_memory(call);
    }
    limn_status status = LIMN_OK;
    for (int32_t i = 0; i < attributor->n_drawn && status == LIMN_OK; i++) {
        status = draw_texts_builder_new(&builders[i], call);
    }
    Arena arena;
    arena_init(&arena);
    if (status == LIMN_OK) {
        status = count_all(attributor, builders, &arena);
    }
    arena_free(&arena);
    for (int32_t i = 0; i < attributor->n_drawn; i++) {
        if (builders[i] != NULL) {
            draw_texts_finish(&attributor->drawn[i], builders[i], attributor->data.file.bytes);
        }
    }
    find_nested(&attributor->suspects);
    return status;
}
