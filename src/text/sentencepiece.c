#include "text/sentencepiece.h"

#include <string.h>

#include "base/utf8.h"

/* What the rules make of the beginning of `text`: *taken bytes of it become the answered text. */
static const char *normal_prefix(const SentencePieceRules *rules, const char *text, size_t length, size_t *taken,
                                 size_t *normal_length) {
    int32_t ignored;
    if (rules->user_defined != NULL && (*taken = trie_longest(rules->user_defined, text, length, &ignored)) > 0) {
        *normal_length = *taken;
        return text;
    }
    if (rules->map != NULL) {
        const char *with = charsmap_find(rules->map, text, length, true, taken, normal_length);
        if (with != NULL) {
            return with;
        }
    }
    utf8_next(text, taken);
    *normal_length = *taken;
    return text;
}

typedef struct Writing {
    const SentencePieceRules *rules;
    AlignedText *out;
    bool after_space;
} Writing;

static void write_space(Writing *writing, Origin origin) {
    if (writing->rules->escape_whitespaces) {
        aligned_add_bytes(writing->out, SPACE_SYMBOL, strlen(SPACE_SYMBOL), origin);
    } else {
        aligned_add_bytes(writing->out, " ", 1, origin);
    }
}

static void write_normal(Writing *writing, const char *text, size_t length, Origin origin) {
    size_t i = 0;
    while (writing->after_space && i < length && text[i] == ' ') {
        i++;
    }
    if (i < length) {
        writing->after_space = text[length - 1] == ' ';
    }
    for (; i < length; i++) {
        if (text[i] == ' ') {
            write_space(writing, origin);
        } else {
            aligned_add_bytes(writing->out, text + i, 1, origin);
        }
    }
    if (!writing->rules->remove_extra_whitespaces) {
        writing->after_space = false;
    }
}

static void drop_trailing_spaces(const SentencePieceRules *rules, AlignedText *out) {
    const char *space = rules->escape_whitespaces ? SPACE_SYMBOL : " ";
    size_t length = strlen(space);
    while (out->length >= length && memcmp(out->bytes + out->length - length, space, length) == 0) {
        out->length -= length;
    }
}

/* Bytes of leading text that are nothing but spaces once normalised. */
static size_t leading_spaces(const SentencePieceRules *rules, const AlignedText *text) {
    size_t at = 0;
    while (rules->remove_extra_whitespaces && at < text->length) {
        size_t taken, length;
        const char *normal = normal_prefix(rules, text->bytes + at, text->length - at, &taken, &length);
        if (length != 1 || normal[0] != ' ') {
            break;
        }
        at += taken;
    }
    return at;
}

static limn_status apply_rules(const void *state, AlignedText *text, Workspace *workspace) {
    const SentencePieceRules *rules = state;
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    bool begins = !workspace->continues;
    size_t at = begins ? leading_spaces(rules, text) : 0;
    if (at < text->length) {
        Writing writing = {rules, out, begins && rules->remove_extra_whitespaces};
        Origin first = text->origins[at], last = text->origins[text->length - 1];
        if (begins && rules->add_dummy_prefix && !rules->suffix_whitespace) {
            write_space(&writing, (Origin){first.begin, first.begin});
        }
        while (at < text->length) {
            size_t taken, length;
            const char *normal = normal_prefix(rules, text->bytes + at, text->length - at, &taken, &length);
            write_normal(&writing, normal, length,
                         (Origin){text->origins[at].begin, text->origins[at + taken - 1].end});
            at += taken;
        }
        if (rules->remove_extra_whitespaces) {
            drop_trailing_spaces(rules, out);
        }
        if (rules->add_dummy_prefix && rules->suffix_whitespace) {
            write_space(&writing, (Origin){last.end, last.end});
        }
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

const NormaliserKind normaliser_sentencepiece = {"SentencePiece", NULL, apply_rules};

#define UNKNOWN_SURFACE " \xE2\x81\x87 " /* " ⁇ " */

static limn_status decode_rules(const void *state, DecodeWork *work) {
    const SentencePieceRules *rules = state;
    bool at_start = rules->add_dummy_prefix || rules->remove_extra_whitespaces;
    const size_t space = strlen(SPACE_SYMBOL);
    for (size_t i = 0; i < work->count; i++) {
        DecodePiece *piece = &work->pieces[i];
        const Piece *known = vocabulary_piece(work->vocabulary, piece->id);
        uint8_t type = known == NULL ? PIECE_NORMAL : known->type;
        if (type == PIECE_UNKNOWN) {
            piece->text = UNKNOWN_SURFACE;
            piece->length = strlen(UNKNOWN_SURFACE);
        } else if (type != PIECE_BYTE && type != PIECE_CONTROL) {
            while (at_start && piece->length >= space && memcmp(piece->text, SPACE_SYMBOL, space) == 0) {
                piece->text += space;
                piece->length -= space;
                if (!rules->remove_extra_whitespaces) {
                    at_start = false;
                }
            }
            TRY(decode_spaces(work, piece, SPACE_SYMBOL, space, false));
        }
        at_start = at_start && piece->length == 0;
    }
    return decode_byte_pieces(work);
}

const DecoderKind decoder_sentencepiece = {"SentencePiece", NULL, decode_rules};
