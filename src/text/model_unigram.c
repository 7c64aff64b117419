/* Unigram (Kudo 2018): the pieces whose log-probabilities have the greatest sum (Viterbi). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "files/json.h"
#include "text/component.h"

typedef struct Unigram {
    Trie pieces;
    double unknown_score; /* of a character that no piece covers */
    int32_t unknown;      /* -1: such characters are an error */
    bool byte_fallback;
    bool single; /* sums in single precision */
    double best; /* greatest score */
    int32_t bytes[256];
} Unigram;

static void release_unigram(void *object) {
    trie_free(&((Unigram *)object)->pieces);
}

enum { UNKNOWN_PENALTY = 10 };

limn_status model_unigram_new(Model *model, Loading *loading, int32_t unknown, bool byte_fallback, bool single) {
    const Vocabulary *vocabulary = loading->vocabulary;
    void *state;
    TRY(pool_new(&state, loading->pool, sizeof(Unigram)));
    Unigram *made = state;
    trie_init(&made->pieces);
    TRY(pool_own(loading->pool, made, release_unigram));
    double least = INFINITY, most = -INFINITY;
    for (int32_t id = 0; id < vocabulary->size; id++) {
        const Piece *piece = vocabulary_piece(vocabulary, id);
        if (piece == NULL || piece->added) {
            continue;
        }
        if (!single || piece->type == PIECE_NORMAL) {
            least = fmin(least, piece->score);
            most = fmax(most, piece->score);
        }
        if (!single || piece->type == PIECE_NORMAL || piece->type == PIECE_USER_DEFINED) {
            TRY(trie_add(&made->pieces, piece->text, piece->length, id, true));
        }
    }
    made->unknown = unknown;
    made->unknown_score = single ? (double)((float)least - UNKNOWN_PENALTY) : least - UNKNOWN_PENALTY;
    made->byte_fallback = byte_fallback;
    made->single = single;
    made->best = most;
    for (int byte = 0; byte < 256; byte++) {
        made->bytes[byte] = vocabulary_byte_id(vocabulary, (unsigned char)byte);
    }
    *model = (Model){&model_unigram, made};
    return LIMN_OK;
}

/* The reference's JSON reader makes a number of its digits and a power of ten, each rounded, so a quarter of all
 * scores differ from the nearest double in the last bit. Which of two equally good segmentations wins hangs on that
 * bit. Scores are written with the fewest digits that name them, so the digits can be found again. */
static double reference_score(double score) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, score);
        if (strtod(text, NULL) == score) {
            break;
        }
    }
    uint64_t significand = 0;
    int exponent = 0, kept_exponent = 0;
    uint64_t kept = 0;
    const char *at = text[0] == '-' ? text + 1 : text;
    for (bool fraction = false; *at != 'e' && *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            fraction = true; /* the decimal point, whatever it looks like here */
            continue;
        }
        significand = significand * 10 + (uint64_t)(*at - '0');
        exponent -= fraction;
        if (*at != '0') { /* zeros at the end are not written */
            kept = significand;
            kept_exponent = exponent;
        }
    }
    if (*at != 'e') {
        return score; /* no finite number */
    }
    kept_exponent += atoi(at + 1);
    if (kept_exponent > 0 || kept_exponent < -300) {
        return score;
    }
    char power[16];
    snprintf(power, sizeof power, "1e%d", -kept_exponent);
    double value = (double)kept / strtod(power, NULL);
    return text[0] == '-' ? -value : value;
}

/* [["piece", score], ...], ids in order. */
static limn_status load_pieces(Loading *loading, const json_t *json) {
    const json_t *pieces;
    TRY(json_need_array(&pieces, json, loading->where, "vocab"));
    size_t count = json_array_size(pieces);
    TRY(vocabulary_expect(loading->vocabulary, loading->where, count));
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(pieces, i), *piece = json_array_get(pair, 0),
                     *score = json_array_get(pair, 1);
        if (!json_is_string(piece) || !json_is_number(score)) {
            return fail(LIMN_FORMAT, "%s: vocab: element %zu is not [piece, score]", loading->where, i);
        }
        TRY(vocabulary_add(loading->vocabulary, loading->where, json_string_value(piece), json_string_length(piece),
                           (int64_t)i, PIECE_NORMAL, 0));
        loading->vocabulary->pieces[i].score = reference_score(json_number_value(score));
    }
    return LIMN_OK;
}

static limn_status parse_unigram(void **state, Loading *loading, const json_t *json) {
    int64_t unknown;
    bool byte_fallback;
    TRY(load_pieces(loading, json));
    TRY(json_take_integer(&unknown, json, loading->where, "unk_id", 0, INT32_MAX, -1));
    TRY(json_take_bool(&byte_fallback, json, loading->where, "byte_fallback", false));
    if (unknown >= loading->vocabulary->size) {
        return fail(LIMN_FORMAT, "%s: unk_id is %lld, expected 0 to %d", loading->where, (long long)unknown,
                    (int)loading->vocabulary->size - 1);
    }
    Model model;
    TRY(model_unigram_new(&model, loading, (int32_t)unknown, byte_fallback, false));
    *state = model.state;
    return LIMN_OK;
}

typedef struct Viterbi {
    const Unigram *model;
    const Vocabulary *vocabulary;
    UnigramNode *nodes; /* [length + 1] best way to end at each byte */
} Viterbi;

static void offer(Viterbi *viterbi, size_t from, size_t to, int32_t id, double score) {
    UnigramNode *node = &viterbi->nodes[to];
    double sum = score + viterbi->nodes[from].score;
    if (viterbi->model->single) {
        sum = (double)(float)sum;
    }
    if (node->start < 0 || sum > node->score) {
        *node = (UnigramNode){sum, id, (int32_t)from};
    }
}

static double piece_score(const Viterbi *viterbi, int32_t id, size_t length) {
    const Piece *piece = &viterbi->vocabulary->pieces[id];
    if (viterbi->model->single && piece->type == PIECE_USER_DEFINED) { /* to be taken whatever else fits */
        return (double)((float)length * (float)viterbi->model->best) - 0.1;
    }
    return piece->score;
}

static limn_status search(Viterbi *viterbi, const char *text, size_t length) {
    const Unigram *model = viterbi->model;
    for (size_t i = 0; i <= length; i++) {
        viterbi->nodes[i] = (UnigramNode){0, -1, -1};
    }
    for (size_t at = 0, step; at < length; at += step) {
        utf8_next(text + at, &step);
        bool covered = false;
        uint32_t node = 0;
        int32_t id = TRIE_NONE;
        for (size_t i = at; i < length && trie_step(&model->pieces, &node, (unsigned char)text[i], &id); i++) {
            if (id != TRIE_NONE) {
                offer(viterbi, at, i + 1, id, piece_score(viterbi, id, i + 1 - at));
                covered = covered || i + 1 - at == step;
            }
        }
        if (!covered) {
            if (model->unknown < 0) {
                return fail(LIMN_NOT_FOUND, "no piece covers '%.*s', and the vocabulary has no unknown token",
                            (int)step, text + at);
            }
            offer(viterbi, at, at + step, model->unknown, model->unknown_score);
        }
    }
    return LIMN_OK;
}

/* A run of unknown characters: one piece after all, its bytes, or one unknown token. */
static void add_unknown(TokenSink *sink, const Unigram *model, const Vocabulary *vocabulary, const char *text,
                        size_t begin, size_t end) {
    int32_t id = model->single ? -1 : vocabulary_model_id(vocabulary, text + begin, end - begin);
    if (id >= 0) {
        sink_add(sink, id, begin, end);
        return;
    }
    bool has_bytes = model->byte_fallback;
    for (size_t i = begin; i < end && has_bytes; i++) {
        has_bytes = model->bytes[(unsigned char)text[i]] >= 0;
    }
    if (!has_bytes) {
        sink_add(sink, model->unknown, begin, end);
        return;
    }
    for (size_t i = begin; i < end; i++) {
        sink_add(sink, model->bytes[(unsigned char)text[i]], begin, end);
    }
}

static limn_status tokenize_unigram(const void *state, const Vocabulary *vocabulary, const char *text, size_t length,
                                    Workspace *workspace, TokenSink *sink) {
    const Unigram *model = state;
    void *memory;
    TRY(workspace_memory(&memory, workspace, 0, length + 1, sizeof(UnigramNode)));
    Viterbi viterbi = {model, vocabulary, memory};
    TRY(search(&viterbi, text, length));
    /* turn the way back round: each start learns its end */
    UnigramNode *nodes = viterbi.nodes;
    UnigramNode arrived = nodes[length]; /* read before its place is written */
    for (size_t end = length; end > 0;) {
        size_t start = (size_t)arrived.start;
        UnigramNode before = nodes[start];
        nodes[start].start = (int32_t)end; /* now: where the piece that begins here ends */
        nodes[start].score = arrived.id;
        arrived = before;
        end = start;
    }
    for (size_t at = 0; at < length;) {
        size_t end = (size_t)nodes[at].start;
        int32_t id = (int32_t)nodes[at].score;
        if (id != model->unknown) {
            sink_add(sink, id, at, end);
            at = end;
            continue;
        }
        size_t begin = at;
        while (at < length && (int32_t)nodes[at].score == model->unknown) {
            at = (size_t)nodes[at].start;
        }
        add_unknown(sink, model, vocabulary, text, begin, at);
    }
    return LIMN_OK;
}

const ModelKind model_unigram = {"Unigram", "Unigram", parse_unigram, tokenize_unigram};
