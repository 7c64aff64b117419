/* Normalisers of tokenizer.json. */
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"
#include "files/json.h"
#include "text/characters.h"
#include "text/charsmap.h"
#include "text/component.h"
#include "text/normal_forms.h"

/* ---- Unicode normal forms ---- */

static limn_status apply_nfc(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    return normal_form_apply(text, workspace, false, true);
}

static limn_status apply_nfd(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    return normal_form_apply(text, workspace, false, false);
}

static limn_status apply_nfkc(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    return normal_form_apply(text, workspace, true, true);
}

static limn_status apply_nfkd(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    return normal_form_apply(text, workspace, true, false);
}

/* ---- one character at a time ---- */

#define DROP UINT32_MAX

/* Each character becomes another one, or nothing (DROP). */
static limn_status map_chars(AlignedText *text, Workspace *workspace, uint32_t (*map)(uint32_t)) {
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    if (!aligned_reserve(out, text->length)) {
        return aligned_status(out);
    }
    for (size_t i = 0, step; i < text->length; i += step) {
        uint32_t c = utf8_next(text->bytes + i, &step);
        uint32_t mapped = map(c);
        if (mapped == c) {
            aligned_add_slice(out, text, i, i + step);
        } else if (mapped != DROP) {
            aligned_add(out, mapped, text->origins[i]);
        }
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

enum { CAPITAL_I_WITH_DOT = 0x130, COMBINING_DOT_ABOVE = 0x307 };

static limn_status apply_lowercase(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    for (size_t i = 0, step; i < text->length; i += step) {
        uint32_t c = utf8_next(text->bytes + i, &step);
        if (c == CAPITAL_I_WITH_DOT) { /* the one character with a longer lower case */
            aligned_add(out, 'i', text->origins[i]);
            aligned_add(out, COMBINING_DOT_ABOVE, text->origins[i]);
        } else {
            uint32_t lower = c < 0x80 ? c + (c >= 'A' && c <= 'Z' ? 32 : 0) : (uint32_t)utf8proc_tolower((int32_t)c);
            aligned_add(out, lower, text->origins[i]);
        }
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

static uint32_t drop_mark(uint32_t c) {
    return c >= 0x300 && char_is_mark(c) ? DROP : c;
}

static limn_status apply_strip_accents(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    return map_chars(text, workspace, drop_mark);
}

/* SentencePiece's rules for machine translation. */
static uint32_t nmt_char(uint32_t c) {
    if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) {
        return DROP;
    }
    if (c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
        c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD) {
        return ' ';
    }
    return c;
}

static limn_status apply_nmt(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    return map_chars(text, workspace, nmt_char);
}

/* ---- BertNormalizer ---- */

typedef struct Bert {
    bool clean_text, chinese, strip_accents, lowercase;
} Bert;

static limn_status parse_bert(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Bert)));
    Bert *bert = *state;
    TRY(json_take_bool(&bert->clean_text, json, loading->where, "clean_text", true));
    TRY(json_take_bool(&bert->chinese, json, loading->where, "handle_chinese_chars", true));
    TRY(json_take_bool(&bert->lowercase, json, loading->where, "lowercase", true));
    return json_take_bool(&bert->strip_accents, json, loading->where, "strip_accents", bert->lowercase);
}

static uint32_t clean_char(uint32_t c) {
    return char_is_control(c) ? DROP : char_is_whitespace(c) ? ' ' : c;
}

static limn_status space_chinese(AlignedText *text, Workspace *workspace) {
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    for (size_t i = 0, step; i < text->length; i += step) {
        bool chinese = char_is_chinese(utf8_next(text->bytes + i, &step));
        if (chinese) {
            aligned_add(out, ' ', text->origins[i]);
        }
        aligned_add_slice(out, text, i, i + step);
        if (chinese) {
            aligned_add(out, ' ', text->origins[i]);
        }
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

static uint32_t drop_accent(uint32_t c) {
    return char_is_accent(c) ? DROP : c;
}

static limn_status apply_bert(const void *state, AlignedText *text, Workspace *workspace) {
    const Bert *bert = state;
    if (bert->clean_text) {
        TRY(map_chars(text, workspace, clean_char));
    }
    if (bert->chinese) {
        TRY(space_chinese(text, workspace));
    }
    if (bert->strip_accents) {
        TRY(normal_form_apply(text, workspace, false, false));
        TRY(map_chars(text, workspace, drop_accent));
    }
    return bert->lowercase ? apply_lowercase(NULL, text, workspace) : LIMN_OK;
}

/* ---- Prepend, Replace, Strip ---- */

typedef struct Affix {
    char *text; /* [length] */
    size_t length;
} Affix;

static limn_status take_text(Affix *affix, Loading *loading, const json_t *json, const char *key) {
    const json_t *value = json_object_get(json, key);
    if (!json_is_string(value)) {
        char found[80];
        return fail(LIMN_FORMAT, "%s: %s: found %s, expected a text", loading->where, key, json_describe(value, found));
    }
    affix->length = json_string_length(value);
    affix->text = arena_strndup(&loading->pool->arena, json_string_value(value), affix->length);
    return affix->text == NULL ? fail(LIMN_NO_MEMORY, "%s: %s", loading->where, key) : LIMN_OK;
}

static limn_status parse_prepend(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Affix)));
    return take_text(*state, loading, json, "prepend");
}

static limn_status apply_prepend(const void *state, AlignedText *text, Workspace *workspace) {
    const Affix *affix = state;
    if (text->length == 0 || workspace->continues) {
        return LIMN_OK;
    }
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    aligned_add_bytes(out, affix->text, affix->length, text->origins[0]);
    aligned_add_slice(out, text, 0, text->length);
    aligned_swap(text, out);
    return aligned_status(text);
}

typedef struct Replace {
    Regex *regex;
    Affix content;
} Replace;

static limn_status parse_replace(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Replace)));
    Replace *replace = *state;
    TRY(loading_regex(&replace->regex, loading, json, "pattern"));
    return take_text(&replace->content, loading, json, "content");
}

static limn_status apply_replace(const void *state, AlignedText *text, Workspace *workspace) {
    const Replace *replace = state;
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    size_t kept = 0;
    regex_run_begin(workspace->run, replace->regex, text->bytes, text->length);
    while (text->length > 0) {
        int found;
        size_t begin, end;
        TRY(regex_run_next(workspace->run, &found, &begin, &end));
        if (!found) {
            break;
        }
        aligned_add_slice(out, text, kept, begin);
        Origin origin = end > 0 ? text->origins[end - 1] : (Origin){text->origins[0].begin, text->origins[0].begin};
        aligned_add_bytes(out, replace->content.text, replace->content.length, origin);
        kept = end;
    }
    aligned_add_slice(out, text, kept, text->length);
    aligned_swap(text, out);
    return aligned_status(text);
}

typedef struct Strip {
    bool left, right;
} Strip;

static limn_status parse_strip(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Strip)));
    Strip *strip = *state;
    TRY(json_take_bool(&strip->left, json, loading->where, "strip_left", true));
    return json_take_bool(&strip->right, json, loading->where, "strip_right", true);
}

static limn_status apply_strip(const void *state, AlignedText *text, Workspace *workspace) {
    const Strip *strip = state;
    size_t begin = 0, end = text->length, step;
    while (strip->left && begin < end && char_is_whitespace(utf8_next(text->bytes + begin, &step))) {
        begin += step;
    }
    while (strip->right && end > begin) {
        size_t last = utf8_last(text->bytes, end);
        if (!char_is_whitespace(utf8_next(text->bytes + end - last, &step))) {
            break;
        }
        end -= last;
    }
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    aligned_add_slice(out, text, begin, end);
    aligned_swap(text, out);
    return aligned_status(text);
}

/* ---- Precompiled ---- */

static limn_status parse_precompiled(void **state, Loading *loading, const json_t *json) {
    const json_t *map = json_object_get(json, "precompiled_charsmap");
    if (map == NULL || json_is_null(map)) {
        *state = NULL;
        return LIMN_OK;
    }
    if (!json_is_string(map)) {
        return fail(LIMN_FORMAT, "%s: precompiled_charsmap: expected base64 text", loading->where);
    }
    Charsmap *charsmap = NULL;
    TRY(charsmap_read_base64(&charsmap, loading, json_string_value(map), json_string_length(map)));
    *state = charsmap;
    return LIMN_OK;
}

/* Replacement characters take the origins of the replaced ones in order; the last is repeated. */
static void add_replacement(AlignedText *out, const AlignedText *text, size_t begin, size_t end, const char *with,
                            size_t length) {
    size_t from = begin;
    for (size_t i = 0, step, from_step; i < length; i += step) {
        utf8_next(with + i, &step);
        aligned_add_bytes(out, with + i, step, text->origins[from]);
        utf8_next(text->bytes + from, &from_step);
        if (from + from_step < end) {
            from += from_step;
        }
    }
}

static size_t grapheme_end(const AlignedText *text, size_t begin) {
    size_t step;
    int32_t state = 0;
    int32_t previous = (int32_t)utf8_next(text->bytes + begin, &step);
    size_t end = begin + step;
    while (end < text->length) {
        int32_t c = (int32_t)utf8_next(text->bytes + end, &step);
        if (utf8proc_grapheme_break_stateful(previous, c, &state)) {
            break;
        }
        previous = c;
        end += step;
    }
    return end;
}

/* A short grapheme is looked up whole, and the first rule that matches a beginning of it replaces all of it; else
 * its characters are looked up one by one. That is what the reference does, and models were trained on it. */
static limn_status apply_precompiled(const void *state, AlignedText *text, Workspace *workspace) {
    enum { SHORT_GRAPHEME = 6 };
    const Charsmap *map = state;
    if (map == NULL) {
        return LIMN_OK;
    }
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    for (size_t begin = 0; begin < text->length;) {
        size_t end = grapheme_end(text, begin), taken, length;
        const char *with = NULL;
        if (end - begin < SHORT_GRAPHEME && text->bytes[begin] != '\0') {
            with = charsmap_find(map, text->bytes + begin, end - begin, false, &taken, &length);
        }
        if (with != NULL) {
            add_replacement(out, text, begin, end, with, length);
            begin = end;
            continue;
        }
        for (size_t step; begin < end; begin += step) {
            utf8_next(text->bytes + begin, &step);
            with = text->bytes[begin] == '\0' ? NULL
                                              : charsmap_find(map, text->bytes + begin, step, false, &taken, &length);
            if (with != NULL) {
                add_replacement(out, text, begin, begin + step, with, length);
            } else {
                aligned_add_slice(out, text, begin, begin + step);
            }
        }
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

/* ---- ByteLevel ---- */

static limn_status apply_byte_level(const void *state, AlignedText *text, Workspace *workspace) {
    (void)state;
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    for (size_t i = 0; i < text->length; i++) {
        aligned_add(out, byte_level_char((unsigned char)text->bytes[i]), text->origins[i]);
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

/* ---- Sequence ---- */

typedef struct NormaliserList {
    size_t count;
    Normaliser *items; /* [count] */
} NormaliserList;

static limn_status parse_sequence(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(NormaliserList)));
    NormaliserList *list = *state;
    const json_t *items;
    TRY(json_need_array(&items, json, loading->where, "normalizers"));
    size_t count = json_array_size(items);
    void *memory;
    TRY(pool_new(&memory, loading->pool, count * sizeof(Normaliser) + 1));
    list->items = memory;
    loading->depth++;
    for (size_t i = 0; i < count; i++) {
        TRY(normaliser_parse(&list->items[i], loading, json_array_get(items, i)));
        list->count++;
    }
    loading->depth--;
    return LIMN_OK;
}

static limn_status apply_sequence(const void *state, AlignedText *text, Workspace *workspace) {
    const NormaliserList *list = state;
    for (size_t i = 0; i < list->count; i++) {
        TRY(normaliser_apply(&list->items[i], text, workspace));
    }
    return LIMN_OK;
}

/* ---- the table ---- */

static const NormaliserKind kinds[] = {
    {"BertNormalizer", parse_bert, apply_bert},
    {"ByteLevel", NULL, apply_byte_level},
    {"Lowercase", NULL, apply_lowercase},
    {"NFC", NULL, apply_nfc},
    {"NFD", NULL, apply_nfd},
    {"NFKC", NULL, apply_nfkc},
    {"NFKD", NULL, apply_nfkd},
    {"Nmt", NULL, apply_nmt},
    {"Precompiled", parse_precompiled, apply_precompiled},
    {"Prepend", parse_prepend, apply_prepend},
    {"Replace", parse_replace, apply_replace},
    {"Sequence", parse_sequence, apply_sequence},
    {"Strip", parse_strip, apply_strip},
    {"StripAccents", NULL, apply_strip_accents},
};

limn_status normaliser_parse(Normaliser *normaliser, Loading *loading, const json_t *json) {
    *normaliser = (Normaliser){0};
    if (json == NULL || json_is_null(json)) {
        return LIMN_OK;
    }
    size_t row;
    TRY(loading_kind(&row, loading, json, "normalizer", KIND_TABLE(kinds)));
    normaliser->kind = &kinds[row];
    return kinds[row].parse == NULL ? LIMN_OK : kinds[row].parse(&normaliser->state, loading, json);
}

limn_status normaliser_apply(const Normaliser *normaliser, AlignedText *text, Workspace *workspace) {
    return normaliser->kind == NULL ? LIMN_OK : normaliser->kind->apply(normaliser->state, text, workspace);
}

bool normaliser_is_byte_level(const Normaliser *normaliser) {
    if (normaliser->kind == NULL) {
        return false;
    }
    if (normaliser->kind->apply == apply_sequence) {
        const NormaliserList *list = normaliser->state;
        for (size_t i = 0; i < list->count; i++) {
            if (normaliser_is_byte_level(&list->items[i])) {
                return true;
            }
        }
    }
    return normaliser->kind->apply == apply_byte_level;
}
