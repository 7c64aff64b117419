/* Text to tokens: added tokens are found, the rest is normalised, cut and given to the model, and the post-processor
 * sets its tokens around. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/characters.h"
#include "text/parts.h"
#include "text/workspace.h"

typedef struct TokenList {
    Token *tokens; /* [count] */
    size_t count, capacity;
    bool failed;
} TokenList;

typedef struct Encoder {
    const Tokenizer *tokenizer;
    const char *original; /* [original_length] the text as given */
    size_t original_length;
    size_t first;       /* the text's first token in the list */
    AlignedText source; /* the same, repaired */
    AlignedText text;   /* the section at work */
    SpanList sections, spans;
    TokenSink sink;
    Workspace workspace;
} Encoder;

static void add_token(TokenList *list, Token token) {
    if (list->failed) {
        return;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity < 64 ? 64 : list->capacity * 2;
        Token *tokens = realloc(list->tokens, capacity * sizeof *tokens);
        if (tokens == NULL) {
            list->failed = true;
            return;
        }
        list->tokens = tokens;
        list->capacity = capacity;
    }
    list->tokens[list->count++] = token;
}

/* Every broken sequence becomes one U+FFFD that stands for its bytes. */
static limn_status repair(AlignedText *out, const char *text, size_t length) {
    aligned_clear(out);
    if (!aligned_reserve(out, length)) {
        return aligned_status(out);
    }
    for (size_t i = 0; i < length;) {
        Utf8State state;
        size_t step = utf8_sequence(text + i, length - i, &state);
        Origin origin = {(uint32_t)i, (uint32_t)(i + step)};
        if (state == UTF8_WHOLE) {
            aligned_add_bytes(out, text + i, step, origin);
        } else {
            aligned_add(out, UTF8_REPLACEMENT, origin);
        }
        i += step;
    }
    return aligned_status(out);
}

static bool is_byte_level_space(const char *text, size_t *step) {
    uint32_t c = utf8_next(text, step);
    return c == byte_level_char(' ') || char_is_whitespace(c);
}

static size_t leading_spaces(const char *text, size_t length) {
    size_t count = 0;
    for (size_t i = 0, step; i < length && is_byte_level_space(text + i, &step); i += step) {
        count++;
    }
    return count;
}

static size_t trailing_spaces(const char *text, size_t length) {
    size_t count = 0, step;
    for (; length > 0; count++) {
        size_t last = utf8_last(text, length);
        if (!is_byte_level_space(text + length - last, &step)) {
            break;
        }
        length -= last;
    }
    return count;
}

/* Moves `at` forward (or `to` backward) over so many characters of the original text. */
static int64_t forward(const Encoder *encoder, int64_t at, int64_t end, size_t count) {
    for (; count > 0 && at < end; count--) {
        Utf8State state;
        at += (int64_t)utf8_sequence(encoder->original + at, encoder->original_length - (size_t)at, &state);
    }
    return at < end ? at : end;
}

static int64_t backward(const Encoder *encoder, int64_t begin, int64_t at, size_t count) {
    for (; count > 0 && at > begin; count--) {
        at--;
        while (at > begin && ((unsigned char)encoder->original[at] & 0xC0) == 0x80) {
            at--;
        }
    }
    return at;
}

/* Offsets leave out the spaces that are spelled in byte-level tokens. */
static void trim_token(Token *token, const Encoder *encoder, bool first, const char *spelled, size_t length) {
    size_t leading = leading_spaces(spelled, length), trailing = trailing_spaces(spelled, length);
    if (leading > 0 && (first || token->begin == 0) && encoder->tokenizer->post_processor.trim_prefix_space) {
        leading--;
    }
    token->begin = forward(encoder, token->begin, token->end, leading);
    token->end = backward(encoder, token->begin, token->end, trailing);
}

/* The token of text [begin, end); spelled as there when it is an added token, else as the model's piece. What the
 * model makes of ordinary text is not special, the unknown token neither. */
static void put_token(TokenList *list, Encoder *encoder, int32_t id, const AlignedText *text, size_t begin, size_t end,
                      bool added) {
    const Piece *piece = vocabulary_piece(&encoder->tokenizer->vocabulary, id);
    Token token = {.id = id, .special = added && piece->special};
    if (begin < end) {
        token.begin = text->origins[begin].begin;
        token.end = text->origins[end - 1].end;
    } else {
        token.begin = token.end = begin < text->length ? text->origins[begin].begin : 0;
    }
    if (encoder->tokenizer->post_processor.trims) {
        trim_token(&token, encoder, list->count == encoder->first, added ? text->bytes + begin : piece->text,
                   added ? end - begin : piece->length);
    }
    add_token(list, token);
}

/* One stretch between added tokens of the source. */
static limn_status encode_section(TokenList *list, Encoder *encoder, Span section, bool plain_special) {
    const Tokenizer *tokenizer = encoder->tokenizer;
    AlignedText *text = &encoder->text;
    SpanList *spans = &encoder->spans;
    aligned_clear(text);
    aligned_add_slice(text, &encoder->source, section.begin, section.end);
    TRY(aligned_status(text));
    TRY(normaliser_apply(&tokenizer->normaliser, text, &encoder->workspace));
    spans_clear(spans);
    added_tokens_split(spans, &tokenizer->added, &tokenizer->added.normalised, text->bytes, 0, text->length,
                       plain_special);
    TRY(spans_status(spans));
    TRY(pre_tokenizer_apply(&tokenizer->pre_tokenizer, text, spans, &encoder->workspace));
    TokenSink *sink = &encoder->sink;
    for (size_t s = 0; s < spans->count; s++) {
        Span span = spans->spans[s];
        if (span.id >= 0) {
            put_token(list, encoder, span.id, text, span.begin, span.end, true);
            continue;
        }
        sink->count = 0;
        TRY(tokenizer->model.kind->tokenize(tokenizer->model.state, &tokenizer->vocabulary, text->bytes + span.begin,
                                            span.end - span.begin, &encoder->workspace, sink));
        for (size_t i = 0; i < sink->count; i++) {
            const RawToken *raw = &sink->tokens[i];
            put_token(list, encoder, raw->id, text, span.begin + raw->begin, span.begin + raw->end, false);
        }
    }
    return sink->failed || list->failed ? fail(LIMN_NO_MEMORY, "tokens of a text of %zu bytes", text->length) : LIMN_OK;
}

static limn_status encode_text(TokenList *list, Encoder *encoder, const char *text, size_t length, bool plain_special,
                               bool continues) {
    if (length > ALIGNED_TEXT_MAX) {
        return fail(LIMN_RANGE, "a text of %zu bytes to tokenise; at most %zu are taken", length, ALIGNED_TEXT_MAX);
    }
    const Tokenizer *tokenizer = encoder->tokenizer;
    encoder->first = list->count;
    encoder->original = text;
    encoder->original_length = length;
    TRY(repair(&encoder->source, text, length));
    spans_clear(&encoder->sections);
    added_tokens_split(&encoder->sections, &tokenizer->added, &tokenizer->added.plain, encoder->source.bytes, 0,
                       encoder->source.length, plain_special);
    TRY(spans_status(&encoder->sections));
    for (size_t s = 0; s < encoder->sections.count; s++) {
        Span section = encoder->sections.spans[s];
        if (section.id >= 0) {
            put_token(list, encoder, section.id, &encoder->source, section.begin, section.end, true);
        } else {
            encoder->workspace.continues = continues && section.begin == 0;
            TRY(encode_section(list, encoder, section, plain_special));
        }
    }
    if (list->failed) {
        return fail(LIMN_NO_MEMORY, "tokens of a text of %zu bytes", length);
    }
    return LIMN_OK;
}

/* Lays out the texts' tokens (texts[0] up to `split`, then texts[1]) by the template. */
static limn_status assemble(TokenList *out, const Tokenizer *tokenizer, const TokenList *list, size_t split,
                            bool is_pair, bool no_special) {
    static const TemplateItem plain[] = {{-1, 0, 0}, {-1, 1, 1}};
    const PostProcessor *processor = &tokenizer->post_processor;
    const TemplateItem *items = plain;
    int32_t count = is_pair ? 2 : 1;
    if (processor->has_template && !no_special) {
        items = is_pair ? processor->pair : processor->single;
        count = is_pair ? processor->n_pair : processor->n_single;
    }
    for (int32_t i = 0; i < count; i++) {
        const TemplateItem *item = &items[i];
        uint8_t type = processor->one_type ? 0 : item->type;
        if (item->id >= 0) {
            add_token(out, (Token){.id = item->id, .special = true, .type = type});
            continue;
        }
        size_t begin = item->sequence == 0 ? 0 : split, end = item->sequence == 0 ? split : list->count;
        for (size_t k = begin; k < end; k++) {
            Token token = list->tokens[k];
            token.type = type;
            add_token(out, token);
        }
    }
    return out->failed ? fail(LIMN_NO_MEMORY, "%zu tokens", list->count) : LIMN_OK;
}

/* Was the token put there by the template? */
static bool is_added(const Token *token) {
    return token->special && token->begin == 0 && token->end == 0;
}

static limn_status apply_bos(TokenList *list, const Tokenizer *tokenizer, BosMode mode) {
    int32_t bos = tokenizer->special[SPECIAL_BOS];
    if (mode == BOS_YES && bos < 0) {
        return fail(LIMN_NOT_FOUND, "--bos yes: the tokenizer has no beginning-of-sequence token");
    }
    if (mode == BOS_YES && (list->count == 0 || list->tokens[0].id != bos)) {
        add_token(list, (Token){.id = bos, .special = true});
        if (list->failed) {
            return fail(LIMN_NO_MEMORY, "%zu tokens", list->count);
        }
        memmove(list->tokens + 1, list->tokens, (list->count - 1) * sizeof(Token));
        list->tokens[0] = (Token){.id = bos, .special = true};
    }
    if (mode == BOS_NO && bos >= 0) {
        bool everywhere = bos != tokenizer->special[SPECIAL_EOS]; /* where both are one, only the first is BOS */
        size_t kept = 0;
        for (size_t i = 0; i < list->count; i++) {
            bool drop = list->tokens[i].id == bos && is_added(&list->tokens[i]) && (everywhere || i == 0);
            if (!drop) {
                list->tokens[kept++] = list->tokens[i];
            }
        }
        list->count = kept;
    }
    return LIMN_OK;
}

static limn_status encode(TokenList *out, TokenList *list, Encoder *encoder, const char *text, size_t length,
                          const char *pair, size_t pair_length, const EncodeOptions *options) {
    TRY(workspace_init(&encoder->workspace));
    bool plain = options->plain_special_text || encoder->tokenizer->splits_special;
    TRY(encode_text(list, encoder, text, length, plain, options->continues));
    size_t split = list->count;
    if (pair != NULL) {
        TRY(encode_text(list, encoder, pair, pair_length, plain, false));
    }
    TRY(assemble(out, encoder->tokenizer, list, split, pair != NULL, options->no_special));
    if (!options->no_special) {
        TRY(apply_bos(out, encoder->tokenizer, options->bos));
    }
    return out->count > INT32_MAX ? fail(LIMN_RANGE, "%zu tokens in one text", out->count) : LIMN_OK;
}

limn_status tokenizer_encode(Encoding *encoding, const Tokenizer *tokenizer, const char *text, size_t length,
                             const char *pair, size_t pair_length, const EncodeOptions *options) {
    static const EncodeOptions defaults = {.bos = BOS_AUTO};
    Encoder encoder = {.tokenizer = tokenizer};
    TokenList list = {0}, out = {0};
    limn_status status =
        encode(&out, &list, &encoder, text, length, pair, pair_length, options == NULL ? &defaults : options);
    workspace_free(&encoder.workspace);
    aligned_free(&encoder.source);
    aligned_free(&encoder.text);
    spans_free(&encoder.sections);
    spans_free(&encoder.spans);
    free(encoder.sink.tokens);
    free(list.tokens);
    if (status != LIMN_OK) {
        free(out.tokens);
        out = (TokenList){0};
    }
    *encoding = (Encoding){out.tokens, (int32_t)out.count};
    return status;
}

void encoding_free(Encoding *encoding) {
    free(encoding->tokens);
    *encoding = (Encoding){0};
}
