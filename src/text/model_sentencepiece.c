/* SentencePiece's byte-pair encoding: two neighbours are joined when what they spell is a piece; the piece with the
 * greatest score goes first, then the leftmost. Pieces are looked up by their text, since parts need not be pieces. */
#include <string.h>

#include "base/utf8.h"
#include "text/bpe_heap.h"
#include "text/component.h"

typedef struct ScoreBpe {
    Map pieces;        /* text -> id; without control pieces, which text cannot spell */
    Trie user_defined; /* never cut, never joined */
    int64_t *ranks;    /* [vocabulary size] place in the order of scores, best first */
    uint32_t longest;
    int32_t unknown;
    int32_t bytes[256];
} ScoreBpe;

static void release_score_bpe(void *object) {
    ScoreBpe *model = object;
    map_free(&model->pieces);
    trie_free(&model->user_defined);
}

/* A score as an integer that orders the same way, greatest first. */
static int64_t score_rank(double score) {
    float single = (float)score + 0.0f; /* no negative zero */
    int32_t bits;
    memcpy(&bits, &single, sizeof bits);
    return -(int64_t)(bits < 0 ? (int32_t)(0x80000000u - (uint32_t)bits) : bits);
}

static limn_status index_pieces(ScoreBpe *model, const Vocabulary *vocabulary) {
    TRY(map_reserve(&model->pieces, (size_t)vocabulary->size));
    for (int32_t id = 0; id < vocabulary->size; id++) {
        const Piece *piece = vocabulary_piece(vocabulary, id);
        if (piece == NULL) {
            continue;
        }
        model->ranks[id] = score_rank(piece->score);
        if (piece->type == PIECE_USER_DEFINED) {
            TRY(trie_add(&model->user_defined, piece->text, piece->length, id, true));
        }
        if (piece->type == PIECE_NORMAL || piece->type == PIECE_USER_DEFINED) {
            TRY(map_put(&model->pieces, piece->text, piece->length, (uint64_t)id));
            model->longest = piece->length > model->longest ? piece->length : model->longest;
        }
    }
    for (int byte = 0; byte < 256; byte++) {
        model->bytes[byte] = vocabulary_byte_id(vocabulary, (unsigned char)byte);
    }
    return LIMN_OK;
}

limn_status model_sentencepiece_bpe_new(Model *model, Loading *loading, int32_t unknown) {
    void *state, *ranks;
    TRY(pool_new(&state, loading->pool, sizeof(ScoreBpe)));
    ScoreBpe *made = state;
    map_init(&made->pieces);
    trie_init(&made->user_defined);
    TRY(pool_own(loading->pool, made, release_score_bpe));
    TRY(pool_new(&ranks, loading->pool, ((size_t)loading->vocabulary->size + 1) * sizeof(int64_t)));
    made->ranks = ranks;
    made->unknown = unknown;
    *model = (Model){&model_sentencepiece_bpe, made};
    return index_pieces(made, loading->vocabulary);
}

static int32_t find_piece(const ScoreBpe *model, const char *text, size_t length) {
    uint64_t id;
    return length <= model->longest && map_get(&model->pieces, text, length, &id) ? (int32_t)id : -1;
}

enum { FROZEN = -2 }; /* a user-defined piece */

static int32_t split_symbols(BpeSymbol *symbols, const ScoreBpe *model, const char *text, size_t length) {
    int32_t count = 0;
    for (size_t at = 0, step; at < length; at += step) {
        int32_t ignored, id = -1;
        step = trie_longest(&model->user_defined, text + at, length - at, &ignored);
        if (step > 0) {
            id = FROZEN;
        } else {
            utf8_next(text + at, &step);
        }
        symbols[count] = (BpeSymbol){id, count - 1, count + 1, (uint32_t)at, (uint32_t)step};
        count++;
    }
    if (count > 0) {
        symbols[count - 1].next = -1;
    }
    return count;
}

static void push_merge(BpeHeap *heap, const ScoreBpe *model, const BpeSymbol *symbols, int32_t left, const char *text) {
    int32_t right = left < 0 ? -1 : symbols[left].next;
    if (right < 0 || symbols[left].id == FROZEN || symbols[right].id == FROZEN) {
        return;
    }
    uint32_t length = symbols[left].length + symbols[right].length;
    int32_t id = find_piece(model, text + symbols[left].begin, length);
    if (id >= 0) {
        bpe_heap_push(heap, (BpeMerge){model->ranks[id], (uint32_t)left, id, length});
    }
}

static void merge_all(BpeSymbol *symbols, int32_t count, const ScoreBpe *model, const char *text, BpeHeap *heap) {
    for (int32_t i = 0; i + 1 < count; i++) {
        push_merge(heap, model, symbols, i, text);
    }
    BpeMerge merge;
    while (bpe_heap_pop(heap, &merge)) {
        BpeSymbol *left = &symbols[merge.at];
        if (left->length == 0 || left->next < 0 || left->length + symbols[left->next].length != merge.length) {
            continue; /* stale: a neighbour has been merged meanwhile */
        }
        BpeSymbol *right = &symbols[left->next];
        left->length = merge.length;
        right->length = 0;
        left->next = right->next;
        if (right->next >= 0) {
            symbols[right->next].prev = (int32_t)merge.at;
        }
        push_merge(heap, model, symbols, left->prev, text);
        push_merge(heap, model, symbols, (int32_t)merge.at, text);
    }
}

static void emit(TokenSink *sink, const ScoreBpe *model, const char *text, size_t begin, size_t end,
                 bool *after_unknown) {
    int32_t id = find_piece(model, text + begin, end - begin);
    if (id >= 0) {
        sink_add(sink, id, begin, end);
        *after_unknown = false;
        return;
    }
    bool has_bytes = true;
    for (size_t i = begin; i < end; i++) {
        has_bytes = has_bytes && model->bytes[(unsigned char)text[i]] >= 0;
    }
    if (has_bytes) {
        for (size_t i = begin; i < end; i++) {
            sink_add(sink, model->bytes[(unsigned char)text[i]], begin, end);
        }
        *after_unknown = false;
    } else if (*after_unknown && sink->count > 0) {
        sink->tokens[sink->count - 1].end = (uint32_t)end; /* unknown characters side by side are one token */
    } else if (model->unknown >= 0) {
        sink_add(sink, model->unknown, begin, end);
        *after_unknown = true;
    }
}

static limn_status tokenize_score_bpe(const void *state, const Vocabulary *vocabulary, const char *text, size_t length,
                                      Workspace *workspace, TokenSink *sink) {
    (void)vocabulary;
    const ScoreBpe *model = state;
    void *memory;
    TRY(workspace_memory(&memory, workspace, 0, length + 1, sizeof(BpeSymbol)));
    BpeSymbol *symbols = memory;
    int32_t count = split_symbols(symbols, model, text, length);
    TRY(workspace_memory(&memory, workspace, 1, (size_t)count * 3 + 1, sizeof(BpeMerge)));
    BpeHeap heap = {memory, 0};
    merge_all(symbols, count, model, text, &heap);
    bool after_unknown = false;
    for (int32_t i = 0; i >= 0 && i < count; i = symbols[i].next) {
        emit(sink, model, text, symbols[i].begin, symbols[i].begin + symbols[i].length, &after_unknown);
    }
    return LIMN_OK;
}

const ModelKind model_sentencepiece_bpe = {"SentencePieceBPE", "SentencePiece BPE", NULL, tokenize_score_bpe};
