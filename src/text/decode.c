/* Decoders of tokenizer.json: pieces back to text. Each turns a list of pieces into a list of pieces; what is left is
 * joined. Bytes that are no UTF-8 stay as they are here: whoever asked for text repairs them at the end. */
#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "files/json.h"
#include "text/component.h"
#include "text/sentencepiece.h"

static limn_status no_memory(const DecodeWork *work) {
    return fail(LIMN_NO_MEMORY, "decoding %zu tokens", work->count);
}

static size_t total_length(const DecodeWork *work) {
    size_t total = 0;
    for (size_t i = 0; i < work->count; i++) {
        total += work->pieces[i].length;
    }
    return total;
}

static void become_one(DecodeWork *work, const char *text, size_t length) {
    work->count = work->count == 0 ? 0 : 1;
    if (work->count == 1) {
        work->pieces[0] = (DecodePiece){text, length, -1};
    }
}

/* ---- ByteLevel ---- */

/* A piece with a character outside the alphabet (an added token) stands for itself. */
static size_t unspell(char *out, const char *text, size_t length) {
    size_t n = 0;
    for (size_t i = 0, step; i < length; i += step) {
        int byte = byte_level_byte(utf8_next(text + i, &step));
        if (byte < 0) {
            memcpy(out, text, length);
            return length;
        }
        out[n++] = (char)byte;
    }
    return n;
}

static limn_status apply_byte_level(const void *state, DecodeWork *work) {
    (void)state;
    char *bytes = arena_alloc(&work->arena, total_length(work) + 1);
    if (bytes == NULL) {
        return no_memory(work);
    }
    size_t length = 0;
    for (size_t i = 0; i < work->count; i++) {
        length += unspell(bytes + length, work->pieces[i].text, work->pieces[i].length);
    }
    become_one(work, bytes, length);
    return LIMN_OK;
}

/* ---- ByteFallback ---- */

/* The byte of "<0x41>", -1: none. */
static int byte_piece(const char *text, size_t length) {
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || hex_digit(text[3]) < 0 ||
        hex_digit(text[4]) < 0) {
        return -1;
    }
    return hex_digit(text[3]) * 16 + hex_digit(text[4]);
}

/* Ends a run of byte pieces: its text when it is UTF-8, else one U+FFFD for each byte. While streaming the bytes
 * stay, since what was shown cannot be taken back. */
static limn_status end_run(DecodeWork *work, size_t *kept, char *run, size_t length) {
    if (length == 0) {
        return LIMN_OK;
    }
    if (!work->streaming && !utf8_is_valid(run, length)) {
        char *marks = arena_alloc(&work->arena, length * 3);
        if (marks == NULL) {
            return no_memory(work);
        }
        for (size_t i = 0; i < length; i++) {
            utf8_encode(UTF8_REPLACEMENT, marks + 3 * i);
        }
        run = marks;
        length *= 3;
    }
    work->pieces[(*kept)++] = (DecodePiece){run, length, -1};
    return LIMN_OK;
}

limn_status decode_byte_pieces(DecodeWork *work) {
    char *bytes = arena_alloc(&work->arena, work->count + 1), *run = bytes;
    if (bytes == NULL) {
        return no_memory(work);
    }
    size_t kept = 0, length = 0;
    for (size_t i = 0; i < work->count; i++) {
        int byte = byte_piece(work->pieces[i].text, work->pieces[i].length);
        if (byte >= 0) {
            run[length++] = (char)byte;
            continue;
        }
        DecodePiece piece = work->pieces[i];
        TRY(end_run(work, &kept, run, length));
        run += length;
        length = 0;
        work->pieces[kept++] = piece;
    }
    TRY(end_run(work, &kept, run, length));
    work->count = kept;
    return LIMN_OK;
}

static limn_status apply_byte_fallback(const void *state, DecodeWork *work) {
    (void)state;
    return decode_byte_pieces(work);
}

/* ---- Fuse ---- */

static limn_status apply_fuse(const void *state, DecodeWork *work) {
    (void)state;
    if (work->count < 2) {
        return LIMN_OK;
    }
    size_t total = total_length(work), at = 0;
    char *text = arena_alloc(&work->arena, total + 1);
    if (text == NULL) {
        return no_memory(work);
    }
    for (size_t i = 0; i < work->count; i++) {
        memcpy(text + at, work->pieces[i].text, work->pieces[i].length);
        at += work->pieces[i].length;
    }
    become_one(work, text, total);
    return LIMN_OK;
}

/* ---- Strip ---- */

typedef struct Strip {
    char content[8];
    size_t length;
    int64_t start, stop; /* at most so many */
} Strip;

static limn_status parse_strip(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Strip)));
    Strip *strip = *state;
    const char *content;
    TRY(json_need_string(&content, json, loading->where, "content"));
    strip->length = strlen(content);
    if (utf8_count(content, strip->length) != 1) {
        return fail(LIMN_FORMAT, "%s: decoder Strip: content '%s', expected one character", loading->where, content);
    }
    memcpy(strip->content, content, strip->length);
    TRY(json_take_integer(&strip->start, json, loading->where, "start", 0, INT32_MAX, 0));
    return json_take_integer(&strip->stop, json, loading->where, "stop", 0, INT32_MAX, 0);
}

static limn_status apply_strip(const void *state, DecodeWork *work) {
    const Strip *strip = state;
    for (size_t i = 0; i < work->count; i++) {
        DecodePiece *piece = &work->pieces[i];
        for (int64_t k = 0; k < strip->start && piece->length >= strip->length &&
                            memcmp(piece->text, strip->content, strip->length) == 0;
             k++) {
            piece->text += strip->length;
            piece->length -= strip->length;
        }
        for (int64_t k = 0; k < strip->stop && piece->length >= strip->length &&
                            memcmp(piece->text + piece->length - strip->length, strip->content, strip->length) == 0;
             k++) {
            piece->length -= strip->length;
        }
    }
    return LIMN_OK;
}

/* ---- Replace ---- */

typedef struct Replace {
    char *pattern; /* [pattern_length]; a text */
    size_t pattern_length;
    Regex *regex; /* or an expression */
    char *content;
    size_t content_length;
} Replace;

static limn_status keep_string(char **text, size_t *length, Loading *loading, const json_t *value) {
    *length = json_string_length(value);
    *text = arena_strndup(&loading->pool->arena, json_string_value(value), *length);
    return *text == NULL ? fail(LIMN_NO_MEMORY, "%s: decoder Replace", loading->where) : LIMN_OK;
}

static limn_status parse_replace(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Replace)));
    Replace *replace = *state;
    const json_t *content = json_object_get(json, "content");
    const json_t *literal = json_object_get(json_object_get(json, "pattern"), "String");
    if (!json_is_string(content)) {
        return fail(LIMN_FORMAT, "%s: decoder Replace: no content", loading->where);
    }
    TRY(keep_string(&replace->content, &replace->content_length, loading, content));
    if (json_is_string(literal) && json_string_length(literal) > 0) {
        return keep_string(&replace->pattern, &replace->pattern_length, loading, literal);
    }
    return loading_regex(&replace->regex, loading, json, "pattern");
}

/* One match at or after `from`; false: none. */
static limn_status next_match(bool *found, size_t *begin, size_t *end, const Replace *replace, RegexRun *run,
                              const DecodePiece *piece, size_t from) {
    if (replace->regex != NULL) {
        int any;
        TRY(regex_run_next(run, &any, begin, end));
        *found = any != 0;
        return LIMN_OK;
    }
    const char *at = from < piece->length
                         ? memmem(piece->text + from, piece->length - from, replace->pattern, replace->pattern_length)
                         : NULL;
    *found = at != NULL;
    if (at != NULL) {
        *begin = (size_t)(at - piece->text);
        *end = *begin + replace->pattern_length;
    }
    return LIMN_OK;
}

static limn_status replace_piece(DecodeWork *work, DecodePiece *piece, const Replace *replace, RegexRun *run,
                                 TextBuffer *buffer) {
    text_buffer_clear(buffer);
    if (replace->regex != NULL) {
        regex_run_begin(run, replace->regex, piece->text, piece->length);
    }
    size_t kept = 0, begin = 0, end = 0;
    bool found = false;
    while (piece->length > 0) {
        TRY(next_match(&found, &begin, &end, replace, run, piece, kept));
        if (!found) {
            break;
        }
        text_buffer_add_bytes(buffer, piece->text + kept, begin - kept);
        text_buffer_add_bytes(buffer, replace->content, replace->content_length);
        kept = end;
    }
    if (kept == 0 && buffer->length == 0) {
        return LIMN_OK; /* nothing matched */
    }
    text_buffer_add_bytes(buffer, piece->text + kept, piece->length - kept);
    TRY(text_buffer_status(buffer));
    piece->text = arena_strndup(&work->arena, buffer->data, buffer->length);
    piece->length = buffer->length;
    return piece->text == NULL ? no_memory(work) : LIMN_OK;
}

static limn_status apply_replace(const void *state, DecodeWork *work) {
    const Replace *replace = state;
    RegexRun *run = NULL;
    if (replace->regex != NULL) {
        TRY(regex_run_new(&run));
    }
    TextBuffer buffer = TEXT_BUFFER_INIT;
    limn_status status = LIMN_OK;
    for (size_t i = 0; i < work->count && status == LIMN_OK; i++) {
        status = replace_piece(work, &work->pieces[i], replace, run, &buffer);
    }
    text_buffer_free(&buffer);
    regex_run_free(run);
    return status;
}

/* ---- Metaspace ---- */

typedef struct Metaspace {
    char replacement[8];
    size_t length;
    bool prepends;
} Metaspace;

static limn_status parse_metaspace(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Metaspace)));
    Metaspace *metaspace = *state;
    const char *replacement, *scheme;
    bool add_prefix_space;
    TRY(json_take_string(&replacement, json, loading->where, "replacement", SPACE_SYMBOL));
    TRY(json_take_string(&scheme, json, loading->where, "prepend_scheme", "always"));
    TRY(json_take_bool(&add_prefix_space, json, loading->where, "add_prefix_space", true));
    metaspace->length = strlen(replacement);
    if (utf8_count(replacement, metaspace->length) != 1) {
        return fail(LIMN_FORMAT, "%s: decoder Metaspace: replacement '%s', expected one character", loading->where,
                    replacement);
    }
    memcpy(metaspace->replacement, replacement, metaspace->length);
    metaspace->prepends = add_prefix_space && strcmp(scheme, "never") != 0;
    return LIMN_OK;
}

limn_status decode_spaces(DecodeWork *work, DecodePiece *piece, const char *symbol, size_t length, bool drop) {
    if (memmem(piece->text, piece->length, symbol, length) == NULL) {
        return LIMN_OK;
    }
    char *text = arena_alloc(&work->arena, piece->length + 1);
    if (text == NULL) {
        return no_memory(work);
    }
    size_t n = 0;
    for (size_t i = 0; i < piece->length;) {
        if (piece->length - i >= length && memcmp(piece->text + i, symbol, length) == 0) {
            if (!drop) {
                text[n++] = ' ';
            }
            i += length;
        } else {
            text[n++] = piece->text[i++];
        }
    }
    piece->text = text;
    piece->length = n;
    return LIMN_OK;
}

static limn_status apply_metaspace(const void *state, DecodeWork *work) {
    const Metaspace *metaspace = state;
    for (size_t i = 0; i < work->count; i++) {
        TRY(decode_spaces(work, &work->pieces[i], metaspace->replacement, metaspace->length,
                          i == 0 && metaspace->prepends));
    }
    return LIMN_OK;
}

/* ---- WordPiece ---- */

typedef struct WordPiece {
    const char *prefix;
    size_t prefix_length;
    bool cleanup;
} WordPiece;

static limn_status parse_word_piece(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(WordPiece)));
    WordPiece *word_piece = *state;
    const char *prefix;
    TRY(json_take_string(&prefix, json, loading->where, "prefix", "##"));
    TRY(json_take_bool(&word_piece->cleanup, json, loading->where, "cleanup", true));
    word_piece->prefix_length = strlen(prefix);
    word_piece->prefix = arena_strdup(&loading->pool->arena, prefix);
    return word_piece->prefix == NULL ? fail(LIMN_NO_MEMORY, "%s: decoder WordPiece", loading->where) : LIMN_OK;
}

/* English spacing, undone in this order within each piece. */
static const char *const cleanups[][2] = {
    {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},    {" n't", "n't"},
    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
};

/* Replacements are never longer than what they replace. */
static size_t clean_up(char *text, size_t length) {
    for (size_t c = 0; c < sizeof cleanups / sizeof *cleanups; c++) {
        const char *from = cleanups[c][0], *to = cleanups[c][1];
        size_t from_length = strlen(from), to_length = strlen(to), n = 0;
        if (memmem(text, length, from, from_length) == NULL) {
            continue;
        }
        for (size_t i = 0; i < length;) {
            if (length - i >= from_length && memcmp(text + i, from, from_length) == 0) {
                memcpy(text + n, to, to_length);
                n += to_length;
                i += from_length;
            } else {
                text[n++] = text[i++];
            }
        }
        length = n;
    }
    return length;
}

static limn_status apply_word_piece(const void *state, DecodeWork *work) {
    const WordPiece *word_piece = state;
    for (size_t i = 0; i < work->count; i++) {
        DecodePiece *piece = &work->pieces[i];
        char *text = arena_alloc(&work->arena, piece->length + 2);
        if (text == NULL) {
            return no_memory(work);
        }
        size_t n = 0, from = 0;
        if (i > 0) {
            if (piece->length >= word_piece->prefix_length &&
                memcmp(piece->text, word_piece->prefix, word_piece->prefix_length) == 0) {
                from = word_piece->prefix_length;
            } else {
                text[n++] = ' ';
            }
        }
        memcpy(text + n, piece->text + from, piece->length - from);
        n += piece->length - from;
        *piece = (DecodePiece){text, word_piece->cleanup ? clean_up(text, n) : n, -1};
    }
    return LIMN_OK;
}

/* ---- BPEDecoder ---- */

static limn_status parse_bpe(void **state, Loading *loading, const json_t *json) {
    const char *suffix;
    TRY(json_take_string(&suffix, json, loading->where, "suffix", "</w>"));
    *state = arena_strdup(&loading->pool->arena, suffix);
    return *state == NULL ? fail(LIMN_NO_MEMORY, "%s: BPEDecoder", loading->where) : LIMN_OK;
}

static limn_status apply_bpe(const void *state, DecodeWork *work) {
    const char *suffix = state;
    for (size_t i = 0; i < work->count && suffix[0] != '\0'; i++) {
        TRY(decode_spaces(work, &work->pieces[i], suffix, strlen(suffix), i + 1 == work->count && !work->streaming));
    }
    return LIMN_OK;
}

/* ---- Sequence ---- */

typedef struct DecoderList {
    size_t count;
    Decoder *items; /* [count] */
} DecoderList;

static limn_status parse_sequence(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(DecoderList)));
    DecoderList *list = *state;
    const json_t *items;
    TRY(json_need_array(&items, json, loading->where, "decoders"));
    size_t count = json_array_size(items);
    void *memory;
    TRY(pool_new(&memory, loading->pool, count * sizeof(Decoder) + 1));
    list->items = memory;
    loading->depth++;
    for (size_t i = 0; i < count; i++) {
        TRY(decoder_parse(&list->items[i], loading, json_array_get(items, i)));
        list->count++;
    }
    loading->depth--;
    return LIMN_OK;
}

static limn_status apply_sequence(const void *state, DecodeWork *work) {
    const DecoderList *list = state;
    for (size_t i = 0; i < list->count; i++) {
        TRY(decoder_apply(&list->items[i], work));
    }
    return LIMN_OK;
}

/* ---- the table ---- */

static const DecoderKind kinds[] = {
    {"BPEDecoder", parse_bpe, apply_bpe},
    {"ByteFallback", NULL, apply_byte_fallback},
    {"ByteLevel", NULL, apply_byte_level},
    {"Fuse", NULL, apply_fuse},
    {"Metaspace", parse_metaspace, apply_metaspace},
    {"Replace", parse_replace, apply_replace},
    {"Sequence", parse_sequence, apply_sequence},
    {"Strip", parse_strip, apply_strip},
    {"WordPiece", parse_word_piece, apply_word_piece},
};

limn_status decoder_parse(Decoder *decoder, Loading *loading, const json_t *json) {
    *decoder = (Decoder){0};
    if (json == NULL || json_is_null(json)) {
        return LIMN_OK;
    }
    size_t row;
    TRY(loading_kind(&row, loading, json, "decoder", KIND_TABLE(kinds)));
    decoder->kind = &kinds[row];
    return kinds[row].parse == NULL ? LIMN_OK : kinds[row].parse(&decoder->state, loading, json);
}

/* Without a decoder pieces stand apart by spaces. */
static limn_status join_by_spaces(DecodeWork *work) {
    for (size_t i = 1; i < work->count; i++) {
        DecodePiece *piece = &work->pieces[i];
        char *text = arena_alloc(&work->arena, piece->length + 1);
        if (text == NULL) {
            return no_memory(work);
        }
        text[0] = ' ';
        memcpy(text + 1, piece->text, piece->length);
        *piece = (DecodePiece){text, piece->length + 1, -1};
    }
    return LIMN_OK;
}

limn_status decoder_apply(const Decoder *decoder, DecodeWork *work) {
    return decoder->kind == NULL ? join_by_spaces(work) : decoder->kind->apply(decoder->state, work);
}
