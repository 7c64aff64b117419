/* Byte-pair encoding by a list of merges (Sennrich et al. 2016), as tokenizer.json's "BPE" states it.
 *
 * A piece starts as its characters; the adjacent pair with the lowest merge rank is joined, leftmost first, until no
 * pair has a merge. Symbols are a linked list and candidate merges a heap, so n characters take n log n steps
 * whatever the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "files/json.h"
#include "text/bpe_heap.h"
#include "text/component.h"

enum { CHAR_TABLE = 0x3000 };

typedef struct Bpe {
    PairMap merges;     /* left id << 32 | right id -> rank << 32 | merged id */
    const char *prefix; /* continuing_subword_prefix, "" for none */
    const char *suffix; /* end_of_word_suffix, "" for none */
    size_t prefix_length, suffix_length;
    int32_t unknown; /* -1: characters that the vocabulary lacks are dropped */
    bool fuse_unknown;
    bool byte_fallback;
    bool ignore_merges;        /* a piece that the vocabulary holds whole is one token */
    int32_t chars[CHAR_TABLE]; /* character -> id, -1: none; when there is no prefix or suffix */
    int32_t bytes[256];        /* id of "<0xNN>", -1: none */
} Bpe;

static void release_bpe(void *object) {
    Bpe *bpe = object;
    pair_map_free(&bpe->merges);
}

/* Fills the tables once the vocabulary is whole. */
static void index_characters(Bpe *bpe, const Vocabulary *vocabulary) {
    for (uint32_t c = 0; c < CHAR_TABLE; c++) {
        char text[4];
        bpe->chars[c] = vocabulary_model_id(vocabulary, text, utf8_encode(c, text));
    }
    for (int byte = 0; byte < 256; byte++) {
        bpe->bytes[byte] = vocabulary_byte_id(vocabulary, (unsigned char)byte);
    }
}

limn_status model_bpe_new(Model *model, Loading *loading) {
    void *state;
    TRY(pool_new(&state, loading->pool, sizeof(Bpe)));
    Bpe *bpe = state;
    bpe->prefix = bpe->suffix = "";
    bpe->unknown = -1;
    index_characters(bpe, loading->vocabulary);
    *model = (Model){&model_bpe, bpe};
    return pool_own(loading->pool, bpe, release_bpe);
}

void model_bpe_set(Model *model, bool ignore_merges) {
    ((Bpe *)model->state)->ignore_merges = ignore_merges;
}

limn_status model_bpe_add_merge(Model *model, Loading *loading, const char *left, size_t left_length, const char *right,
                                size_t right_length, int64_t rank) {
    Bpe *bpe = model->state;
    const Vocabulary *vocabulary = loading->vocabulary;
    int32_t a = vocabulary_model_id(vocabulary, left, left_length);
    int32_t b = vocabulary_model_id(vocabulary, right, right_length);
    if (a < 0 || b < 0) {
        return fail(LIMN_FORMAT,
                    "%s: merge %lld ('%.*s' + '%.*s') names the piece '%.*s', which is not in the vocabulary",
                    loading->where, (long long)rank, (int)left_length, left, (int)right_length, right,
                    (int)(a < 0 ? left_length : right_length), a < 0 ? left : right);
    }
    size_t cut = bpe->prefix_length <= right_length ? bpe->prefix_length : right_length;
    TextBuffer joined = TEXT_BUFFER_INIT;
    text_buffer_add_bytes(&joined, left, left_length);
    text_buffer_add_bytes(&joined, right + cut, right_length - cut);
    limn_status status = text_buffer_status(&joined);
    int32_t merged = status == LIMN_OK ? vocabulary_model_id(vocabulary, joined.data, joined.length) : -1;
    text_buffer_free(&joined);
    TRY(status);
    if (merged < 0) {
        return fail(LIMN_FORMAT, "%s: merge %lld makes the piece '%.*s%.*s', which is not in the vocabulary",
                    loading->where, (long long)rank, (int)left_length, left, (int)(right_length - cut), right + cut);
    }
    return pair_map_put(&bpe->merges, (uint64_t)(uint32_t)a << 32 | (uint32_t)b,
                        (uint64_t)rank << 32 | (uint32_t)merged);
}

/* "a b", or ["a", "b"] where pieces may hold spaces. */
static limn_status parse_merge(Model *model, Loading *loading, const json_t *merge, int64_t rank) {
    if (json_is_array(merge) && json_array_size(merge) == 2 && json_is_string(json_array_get(merge, 0)) &&
        json_is_string(json_array_get(merge, 1))) {
        const json_t *left = json_array_get(merge, 0);
        const json_t *right = json_array_get(merge, 1);
        return model_bpe_add_merge(model, loading, json_string_value(left), json_string_length(left),
                                   json_string_value(right), json_string_length(right), rank);
    }
    const char *text = json_string_value(merge);
    size_t length = json_string_length(merge);
    const char *space = text == NULL ? NULL : memchr(text, ' ', length);
    if (space == NULL || memchr(space + 1, ' ', length - (size_t)(space + 1 - text)) != NULL) {
        char found[80];
        return fail(LIMN_FORMAT, "%s: merge %lld: found %s, expected two pieces with one space between", loading->where,
                    (long long)rank, json_describe(merge, found));
    }
    size_t left_length = (size_t)(space - text);
    return model_bpe_add_merge(model, loading, text, left_length, space + 1, length - left_length - 1, rank);
}

static limn_status parse_merges(Model *model, Loading *loading, const json_t *json) {
    const json_t *merges;
    TRY(json_need_array(&merges, json, loading->where, "merges"));
    size_t count = json_array_size(merges);
    if (count >= INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: %zu merges", loading->where, count);
    }
    TRY(pair_map_reserve(&((Bpe *)model->state)->merges, count));
    int64_t rank = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *text = json_string_value(merge);
        if (text != NULL && strncmp(text, "#version", 8) == 0) {
            continue;
        }
        TRY(parse_merge(model, loading, merge, rank));
        rank++;
    }
    return LIMN_OK;
}

/* An affix lives in the pool: the JSON does not outlive the loading. */
static limn_status take_affix(const char **affix, size_t *length, Loading *loading, const json_t *json,
                              const char *key) {
    const char *text;
    TRY(json_take_string(&text, json, loading->where, key, ""));
    *length = strlen(text);
    *affix = arena_strndup(&loading->pool->arena, text, *length);
    return *affix == NULL ? fail(LIMN_NO_MEMORY, "%s: %s", loading->where, key) : LIMN_OK;
}

static limn_status parse_bpe(void **state, Loading *loading, const json_t *json) {
    Model model;
    TRY(loading_vocabulary(loading, json));
    TRY(model_bpe_new(&model, loading));
    Bpe *bpe = *state = model.state;
    const char *where = loading->where;
    double dropout;
    TRY(json_take_real(&dropout, json, where, "dropout", 0));
    if (dropout != 0) {
        return fail(LIMN_UNSUPPORTED, "%s: BPE dropout %g: tokens would be random, expected none", where, dropout);
    }
    TRY(take_affix(&bpe->prefix, &bpe->prefix_length, loading, json, "continuing_subword_prefix"));
    TRY(take_affix(&bpe->suffix, &bpe->suffix_length, loading, json, "end_of_word_suffix"));
    TRY(json_take_bool(&bpe->fuse_unknown, json, where, "fuse_unk", false));
    TRY(json_take_bool(&bpe->byte_fallback, json, where, "byte_fallback", false));
    TRY(json_take_bool(&bpe->ignore_merges, json, where, "ignore_merges", false));
    const char *unknown;
    TRY(json_take_string(&unknown, json, where, "unk_token", NULL));
    if (unknown != NULL) {
        bpe->unknown = vocabulary_model_id(loading->vocabulary, unknown, strlen(unknown));
        if (bpe->unknown < 0) {
            return fail(LIMN_FORMAT, "%s: unk_token '%s' is not in the vocabulary", where, unknown);
        }
    }
    return parse_merges(&model, loading, json);
}

/* The id of one character with the affixes of its place, -1: none. */
static int32_t character_id(const Bpe *bpe, const Vocabulary *vocabulary, const char *text, size_t step, bool first,
                            bool last, Workspace *workspace) {
    if ((first || bpe->prefix_length == 0) && (!last || bpe->suffix_length == 0)) {
        size_t ignored;
        uint32_t c = utf8_next(text, &ignored);
        return c < CHAR_TABLE ? bpe->chars[c] : vocabulary_model_id(vocabulary, text, step);
    }
    TextBuffer *buffer = &workspace->buffer;
    text_buffer_clear(buffer);
    if (!first) {
        text_buffer_add_bytes(buffer, bpe->prefix, bpe->prefix_length);
    }
    text_buffer_add_bytes(buffer, text, step);
    if (last) {
        text_buffer_add_bytes(buffer, bpe->suffix, bpe->suffix_length);
    }
    return buffer->failed ? -1 : vocabulary_model_id(vocabulary, buffer->data, buffer->length);
}

typedef struct SymbolList {
    BpeSymbol *symbols;
    int32_t count;
    uint32_t at;      /* bytes covered so far */
    uint32_t unknown; /* bytes of an unknown token not yet added */
} SymbolList;

static void push_symbol(SymbolList *list, int32_t id, uint32_t length) {
    list->symbols[list->count] = (BpeSymbol){id, list->count - 1, list->count + 1, list->at, length};
    list->count++;
    list->at += length;
}

static void flush_unknown(SymbolList *list, const Bpe *bpe) {
    if (list->unknown > 0) {
        push_symbol(list, bpe->unknown, list->unknown);
        list->unknown = 0;
    }
}

static bool has_all_bytes(const Bpe *bpe, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (bpe->bytes[(unsigned char)text[i]] < 0) {
            return false;
        }
    }
    return true;
}

static void split_characters(SymbolList *list, const Bpe *bpe, const Vocabulary *vocabulary, const char *text,
                             size_t length, Workspace *workspace) {
    for (size_t i = 0, step; i < length; i += step) {
        utf8_next(text + i, &step);
        int32_t id = character_id(bpe, vocabulary, text + i, step, i == 0, i + step == length, workspace);
        if (id >= 0) {
            flush_unknown(list, bpe);
            push_symbol(list, id, (uint32_t)step);
        } else if (bpe->byte_fallback && has_all_bytes(bpe, text + i, step)) {
            for (size_t k = 0; k < step; k++) {
                push_symbol(list, bpe->bytes[(unsigned char)text[i + k]], 1);
            }
        } else if (bpe->unknown >= 0) {
            if (!bpe->fuse_unknown) {
                flush_unknown(list, bpe);
            }
            list->unknown += (uint32_t)step;
        }
    }
    flush_unknown(list, bpe);
    if (list->count > 0) {
        list->symbols[list->count - 1].next = -1;
    }
}

static void push_merge(BpeHeap *heap, const Bpe *bpe, const BpeSymbol *symbols, int32_t left) {
    int32_t right = left < 0 ? -1 : symbols[left].next;
    uint64_t merge;
    if (right >= 0 &&
        pair_map_get(&bpe->merges, (uint64_t)(uint32_t)symbols[left].id << 32 | (uint32_t)symbols[right].id, &merge)) {
        bpe_heap_push(heap, (BpeMerge){(int64_t)(merge >> 32), (uint32_t)left, (int32_t)(uint32_t)merge, 0});
    }
}

static void merge_all(BpeSymbol *symbols, int32_t count, const Bpe *bpe, BpeHeap *heap) {
    for (int32_t i = 0; i + 1 < count; i++) {
        push_merge(heap, bpe, symbols, i);
    }
    BpeMerge merge;
    while (bpe_heap_pop(heap, &merge)) {
        BpeSymbol *left = &symbols[merge.at];
        if (left->length == 0 || left->next < 0) {
            continue;
        }
        BpeSymbol *right = &symbols[left->next];
        uint64_t now;
        /* a candidate is stale when a neighbour has been merged meanwhile */
        if (!pair_map_get(&bpe->merges, (uint64_t)(uint32_t)left->id << 32 | (uint32_t)right->id, &now) ||
            (int32_t)(uint32_t)now != merge.id) {
            continue;
        }
        left->id = merge.id;
        left->length += right->length;
        right->length = 0;
        left->next = right->next;
        if (right->next >= 0) {
            symbols[right->next].prev = (int32_t)merge.at;
        }
        push_merge(heap, bpe, symbols, left->prev);
        push_merge(heap, bpe, symbols, (int32_t)merge.at);
    }
}

static limn_status tokenize_bpe(const void *state, const Vocabulary *vocabulary, const char *text, size_t length,
                                Workspace *workspace, TokenSink *sink) {
    const Bpe *bpe = state;
    if (bpe->ignore_merges) {
        int32_t id = vocabulary_model_id(vocabulary, text, length);
        if (id >= 0) {
            sink_add(sink, id, 0, length);
            return LIMN_OK;
        }
    }
    void *memory;
    TRY(workspace_memory(&memory, workspace, 0, length, sizeof(BpeSymbol)));
    SymbolList list = {memory, 0, 0, 0};
    split_characters(&list, bpe, vocabulary, text, length, workspace);
    BpeHeap heap = {0};
    /* every merge removes a symbol and adds at most two candidates */
    TRY(workspace_memory(&memory, workspace, 1, (size_t)list.count * 3, sizeof(BpeMerge)));
    heap.merges = memory;
    merge_all(list.symbols, list.count, bpe, &heap);
    for (int32_t i = 0; i >= 0 && i < list.count; i = list.symbols[i].next) {
        const BpeSymbol *symbol = &list.symbols[i];
        sink_add(sink, symbol->id, symbol->begin, symbol->begin + symbol->length);
    }
    return LIMN_OK;
}

const ModelKind model_bpe = {"BPE", "BPE", parse_bpe, tokenize_bpe};
