/* Ids to text, at once or as they come. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/parts.h"

limn_status decode_ids(TextBuffer *out, DecodeWork *work, const Tokenizer *tokenizer, const int32_t *ids, int32_t n,
                       bool skip_special) {
    arena_reset(&work->arena);
    work->count = 0;
    work->pieces = arena_alloc(&work->arena, ((size_t)n + 1) * sizeof(DecodePiece));
    if (work->pieces == NULL) {
        return fail(LIMN_NO_MEMORY, "decoding %d tokens", (int)n);
    }
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->vocabulary.size) {
            return fail(LIMN_RANGE, "token id %d at place %d, expected 0 to %d", (int)ids[i], (int)i,
                        (int)tokenizer->vocabulary.size - 1);
        }
        const Piece *piece = vocabulary_piece(&tokenizer->vocabulary, ids[i]);
        if (piece != NULL && !(skip_special && piece->special)) { /* a hole of the vocabulary has no text */
            work->pieces[work->count++] = (DecodePiece){piece->text, piece->length, ids[i]};
        }
    }
    TRY(decoder_apply(&tokenizer->decoder, work));
    for (size_t i = 0; i < work->count; i++) {
        text_buffer_add_bytes(out, work->pieces[i].text, work->pieces[i].length);
    }
    return text_buffer_status(out);
}

/* Drops the spaces before punctuation and short forms, rule by rule, as the reference does when a file asks for it. */
static void clean_up(TextBuffer *text) {
    static const char *const rules[][2] = {{" .", "."},     {" ?", "?"},     {" !", "!"},   {" ,", ","},
                                           {" ' ", "'"},    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"},
                                           {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        size_t n = strlen(rules[i][0]), m = strlen(rules[i][1]), kept = 0;
        for (size_t at = 0; at < text->length;) {
            bool found = text->length - at >= n && memcmp(text->data + at, rules[i][0], n) == 0;
            if (found) {
                memcpy(text->data + kept, rules[i][1], m);
                kept += m;
                at += n;
            } else {
                text->data[kept++] = text->data[at++];
            }
        }
        text->length = kept;
        text->data[kept] = '\0';
    }
}

limn_status tokenizer_decode(char **text, size_t *length, const Tokenizer *tokenizer, const int32_t *ids, int32_t n,
                             bool skip_special) {
    DecodeWork work = {.vocabulary = &tokenizer->vocabulary};
    TextBuffer bytes = TEXT_BUFFER_INIT, repaired = TEXT_BUFFER_INIT;
    arena_init(&work.arena);
    text_buffer_add(&repaired, "");
    limn_status status = decode_ids(&bytes, &work, tokenizer, ids, n, skip_special);
    if (status == LIMN_OK) {
        utf8_add_repaired(&repaired, bytes.data == NULL ? "" : bytes.data, bytes.length);
        status = text_buffer_status(&repaired);
        if (status == LIMN_OK && tokenizer->cleans_up) {
            clean_up(&repaired);
        }
    }
    arena_free(&work.arena);
    text_buffer_free(&bytes);
    if (status != LIMN_OK) {
        text_buffer_free(&repaired);
        *text = NULL;
        *length = 0;
        return status;
    }
    *length = repaired.length;
    *text = text_buffer_take(&repaired);
    return LIMN_OK;
}

/* Until there is text, the ids so far are decoded together, since decoders drop spaces at the beginning. From then on
 * each id adds its own bytes. */
enum { HELD_IDS = 8 };

struct StreamDecoder {
    const Tokenizer *tokenizer;
    bool skip_special;
    bool begun;
    int32_t ids[HELD_IDS]; /* [n] without text yet */
    int32_t n;
    TextBuffer pending; /* bytes not given out: of a character that is not whole yet */
    TextBuffer out;
    DecodeWork work;
};

limn_status stream_decoder_new(StreamDecoder **decoder, const Tokenizer *tokenizer, bool skip_special) {
    StreamDecoder *made = calloc(1, sizeof *made);
    *decoder = made;
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "a stream decoder");
    }
    made->tokenizer = tokenizer;
    made->skip_special = skip_special;
    made->work.vocabulary = &tokenizer->vocabulary;
    made->work.streaming = true;
    arena_init(&made->work.arena);
    return LIMN_OK;
}

void stream_decoder_free(StreamDecoder *decoder) {
    if (decoder != NULL) {
        text_buffer_free(&decoder->pending);
        text_buffer_free(&decoder->out);
        arena_free(&decoder->work.arena);
        free(decoder);
    }
}

void stream_decoder_continue(StreamDecoder *decoder) {
    decoder->begun = true;
}

/* Moves whole characters from pending to out; with `all`, also what is left, as U+FFFD. */
static void move_whole(StreamDecoder *decoder, bool all) {
    size_t done = 0;
    const char *bytes = decoder->pending.data;
    while (done < decoder->pending.length) {
        Utf8State state;
        size_t step = utf8_sequence(bytes + done, decoder->pending.length - done, &state);
        if (state == UTF8_CUT && !all) {
            break;
        }
        if (state == UTF8_WHOLE) {
            text_buffer_add_bytes(&decoder->out, bytes + done, step);
        } else {
            text_buffer_add_codepoint(&decoder->out, UTF8_REPLACEMENT);
        }
        done += step;
    }
    if (done > 0) {
        size_t left = decoder->pending.length - done;
        memmove(decoder->pending.data, bytes + done, left);
        decoder->pending.length = left;
        decoder->pending.data[left] = '\0';
    }
}

static limn_status add_id(StreamDecoder *decoder, int32_t id) {
    const Tokenizer *tokenizer = decoder->tokenizer;
    const Piece *piece = vocabulary_piece(&tokenizer->vocabulary, id);
    if (decoder->begun && id >= 0 && id < tokenizer->vocabulary.size) {
        if (piece != NULL && (!decoder->skip_special || !piece->special)) {
            text_buffer_add_bytes(&decoder->pending, piece->decoded, piece->decoded_length);
        }
        return text_buffer_status(&decoder->pending);
    }
    if (decoder->begun) { /* an id out of range: the message is decode_ids' */
        decoder->n = 0;
    }
    if (decoder->n == HELD_IDS) { /* so many ids without text: the first ones can no longer matter */
        memmove(decoder->ids, decoder->ids + 1, (HELD_IDS - 1) * sizeof(int32_t));
        decoder->n--;
    }
    decoder->ids[decoder->n] = id;
    TRY(decode_ids(&decoder->pending, &decoder->work, tokenizer, decoder->ids, decoder->n + 1, decoder->skip_special));
    decoder->n++;
    decoder->begun = decoder->pending.length > 0;
    return LIMN_OK;
}

limn_status stream_decoder_add(StreamDecoder *decoder, int32_t id, const char **bytes, size_t *length) {
    text_buffer_clear(&decoder->out);
    *bytes = "";
    *length = 0;
    if (id != -1) {
        TRY(add_id(decoder, id));
    }
    move_whole(decoder, id == -1);
    if (id == -1) {
        decoder->n = 0;
        decoder->begun = false;
    }
    TRY(text_buffer_status(&decoder->out));
    if (decoder->out.length > 0) {
        *bytes = decoder->out.data;
        *length = decoder->out.length;
    }
    return LIMN_OK;
}
