/* Pre-tokenizers of tokenizer.json: cut the text into the pieces that the model sees one at a time. */
#include <string.h>

#include "base/utf8.h"
#include "files/json.h"
#include "text/characters.h"
#include "text/component.h"

/* ---- what a cut does with the pieces that match ---- */

typedef enum Behaviour { REMOVED, ISOLATED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS } Behaviour;

static const char *const behaviour_names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                              "Contiguous"};

static limn_status take_behaviour(Behaviour *behaviour, Loading *loading, const json_t *json, const char *fallback) {
    const char *name;
    TRY(json_take_string(&name, json, loading->where, "behavior", fallback));
    for (size_t i = 0; name != NULL && i < sizeof behaviour_names / sizeof *behaviour_names; i++) {
        if (strcmp(name, behaviour_names[i]) == 0) {
            *behaviour = (Behaviour)i;
            return LIMN_OK;
        }
    }
    return fail(LIMN_UNSUPPORTED, "%s: split behavior '%s'", loading->where, name == NULL ? "(none)" : name);
}

/* Receives a span's parts from left to right, alternating or not, and writes the cut spans. */
typedef struct Cutter {
    SpanList *out;
    Behaviour behaviour;
    size_t begin, end; /* the part held back */
    bool holds;        /* something is held back */
    bool previous_match;
} Cutter;

static void cutter_flush(Cutter *cutter) {
    if (cutter->holds) {
        spans_add(cutter->out, cutter->begin, cutter->end, -1);
        cutter->holds = false;
    }
}

static void cutter_hold(Cutter *cutter, size_t begin, size_t end) {
    cutter_flush(cutter);
    cutter->begin = begin;
    cutter->end = end;
    cutter->holds = true;
}

static void cutter_add(Cutter *cutter, size_t begin, size_t end, bool match) {
    bool joins = false;
    switch (cutter->behaviour) {
    case REMOVED:
        if (!match) {
            spans_add(cutter->out, begin, end, -1);
        }
        return;
    case ISOLATED:
        spans_add(cutter->out, begin, end, -1);
        return;
    case CONTIGUOUS:
        joins = match == cutter->previous_match;
        break;
    case MERGED_WITH_PREVIOUS:
        joins = match && !cutter->previous_match;
        break;
    case MERGED_WITH_NEXT: /* a match goes to what follows it, unless that is a match too */
        joins = cutter->previous_match && !match;
        break;
    }
    if (joins && cutter->holds) {
        cutter->end = end;
    } else {
        cutter_hold(cutter, begin, end);
    }
    cutter->previous_match = match;
}

/* Cuts every span of ordinary text by a predicate over characters. */
static limn_status cut_by_char(AlignedText *text, SpanList *spans, Workspace *workspace, bool (*matches)(uint32_t),
                               Behaviour behaviour) {
    SpanList *out = &workspace->spare_spans;
    spans_clear(out);
    for (size_t s = 0; s < spans->count; s++) {
        Span span = spans->spans[s];
        if (span.id >= 0) {
            spans_add(out, span.begin, span.end, span.id);
            continue;
        }
        Cutter cutter = {.out = out, .behaviour = behaviour};
        size_t kept = span.begin;
        for (size_t i = span.begin, step; i < span.end; i += step) {
            if (matches(utf8_next(text->bytes + i, &step))) {
                if (kept < i) {
                    cutter_add(&cutter, kept, i, false);
                }
                cutter_add(&cutter, i, i + step, true);
                kept = i + step;
            }
        }
        if (kept < span.end) {
            cutter_add(&cutter, kept, span.end, false);
        }
        cutter_flush(&cutter);
    }
    spans_swap(spans, out);
    return spans_status(spans);
}

static limn_status cut_span_by_regex(const char *text, Span span, const Regex *regex, bool invert, Cutter *cutter,
                                     RegexRun *run) {
    size_t kept = span.begin;
    regex_run_begin(run, regex, text + span.begin, span.end - span.begin);
    for (;;) {
        int found;
        size_t begin, end;
        TRY(regex_run_next(run, &found, &begin, &end));
        if (!found) {
            break;
        }
        begin += span.begin;
        end += span.begin;
        if (kept != begin) {
            cutter_add(cutter, kept, begin, invert);
        }
        cutter_add(cutter, begin, end, !invert);
        kept = end;
    }
    if (kept != span.end) {
        cutter_add(cutter, kept, span.end, invert);
    }
    cutter_flush(cutter);
    return LIMN_OK;
}

static limn_status cut_by_regex(AlignedText *text, SpanList *spans, Workspace *workspace, const Regex *regex,
                                Behaviour behaviour, bool invert) {
    SpanList *out = &workspace->spare_spans;
    spans_clear(out);
    for (size_t s = 0; s < spans->count; s++) {
        Span span = spans->spans[s];
        if (span.id >= 0) {
            spans_add(out, span.begin, span.end, span.id);
            continue;
        }
        Cutter cutter = {.out = out, .behaviour = behaviour};
        TRY(cut_span_by_regex(text->bytes, span, regex, invert, &cutter, workspace->run));
    }
    spans_swap(spans, out);
    return spans_status(spans);
}

/* ---- ByteLevel ---- */

#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct ByteLevel {
    bool add_prefix_space;
    Regex *regex; /* NULL: no splitting */
} ByteLevel;

static limn_status parse_byte_level(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(ByteLevel)));
    ByteLevel *byte_level = *state;
    bool use_regex;
    TRY(json_take_bool(&byte_level->add_prefix_space, json, loading->where, "add_prefix_space", true));
    TRY(json_take_bool(&use_regex, json, loading->where, "use_regex", true));
    if (use_regex) {
        json_t *pattern = json_pack("{s:{s:s}}", "pattern", "Regex", GPT2_PATTERN);
        if (pattern == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: ByteLevel", loading->where);
        }
        limn_status status = loading_regex(&byte_level->regex, loading, pattern, "pattern");
        json_decref(pattern);
        return status;
    }
    return LIMN_OK;
}

/* A string before every span that does not begin with it; it counts as the first character's. */
static void add_prefixed(AlignedText *out, const AlignedText *text, Span span, const char *prefix, size_t length) {
    aligned_add_bytes(out, prefix, length, text->origins[span.begin]);
    aligned_add_slice(out, text, span.begin, span.end);
}

static limn_status prefix_spaces(AlignedText *text, SpanList *spans, Workspace *workspace) {
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    for (size_t s = 0; s < spans->count; s++) {
        Span *span = &spans->spans[s];
        size_t begin = out->length;
        if (span->id < 0 && text->bytes[span->begin] != ' ') {
            add_prefixed(out, text, *span, " ", 1);
        } else {
            aligned_add_slice(out, text, span->begin, span->end);
        }
        *span = (Span){begin, out->length, span->id};
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

/* Each byte becomes its printable character; all bytes of a character keep the whole character's origin. */
static limn_status spell_bytes(AlignedText *text, SpanList *spans, Workspace *workspace) {
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    for (size_t s = 0; s < spans->count; s++) {
        Span *span = &spans->spans[s];
        size_t begin = out->length;
        if (span->id >= 0) {
            aligned_add_slice(out, text, span->begin, span->end);
        } else {
            if (!aligned_reserve(out, (span->end - span->begin) * 2)) {
                break;
            }
            for (size_t i = span->begin; i < span->end; i++) {
                uint32_t c = byte_level_char((unsigned char)text->bytes[i]);
                char spelled[4];
                size_t size = utf8_encode(c, spelled);
                for (size_t k = 0; k < size; k++) {
                    out->bytes[out->length] = spelled[k];
                    out->origins[out->length++] = text->origins[i];
                }
            }
        }
        *span = (Span){begin, out->length, span->id};
    }
    aligned_swap(text, out);
    return aligned_status(text);
}

static limn_status apply_byte_level(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    const ByteLevel *byte_level = state;
    if (byte_level->add_prefix_space) {
        TRY(prefix_spaces(text, spans, workspace));
    }
    if (byte_level->regex != NULL) {
        TRY(cut_by_regex(text, spans, workspace, byte_level->regex, ISOLATED, false));
    }
    return spell_bytes(text, spans, workspace);
}

/* ---- Split ---- */

typedef struct Split {
    Regex *regex;
    Behaviour behaviour;
    bool invert;
} Split;

static limn_status parse_split(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Split)));
    Split *split = *state;
    TRY(loading_regex(&split->regex, loading, json, "pattern"));
    TRY(json_take_bool(&split->invert, json, loading->where, "invert", false));
    return take_behaviour(&split->behaviour, loading, json, NULL);
}

static limn_status apply_split(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    const Split *split = state;
    return cut_by_regex(text, spans, workspace, split->regex, split->behaviour, split->invert);
}

/* ---- Metaspace ---- */

typedef enum PrependScheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } PrependScheme;

typedef struct Metaspace {
    char replacement[8];
    size_t length;
    PrependScheme prepend;
    bool split;
} Metaspace;

static limn_status parse_metaspace(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Metaspace)));
    Metaspace *metaspace = *state;
    const char *where = loading->where, *replacement, *scheme;
    bool add_prefix_space;
    TRY(json_take_string(&replacement, json, where, "replacement", "\xE2\x96\x81"));
    TRY(json_take_bool(&add_prefix_space, json, where, "add_prefix_space", true));
    TRY(json_take_string(&scheme, json, where, "prepend_scheme", "always"));
    TRY(json_take_bool(&metaspace->split, json, where, "split", true));
    metaspace->length = strlen(replacement);
    if (utf8_count(replacement, metaspace->length) != 1) {
        return fail(LIMN_FORMAT, "%s: Metaspace replacement '%s', expected one character", where, replacement);
    }
    memcpy(metaspace->replacement, replacement, metaspace->length);
    if (strcmp(scheme, "never") == 0 || !add_prefix_space) {
        metaspace->prepend = PREPEND_NEVER;
    } else if (strcmp(scheme, "first") == 0) {
        metaspace->prepend = PREPEND_FIRST;
    } else if (strcmp(scheme, "always") != 0) {
        return fail(LIMN_UNSUPPORTED, "%s: Metaspace prepend_scheme '%s'", where, scheme);
    }
    return LIMN_OK;
}

static bool starts_with(const AlignedText *text, size_t begin, size_t end, const Metaspace *metaspace) {
    return end - begin >= metaspace->length &&
           memcmp(text->bytes + begin, metaspace->replacement, metaspace->length) == 0;
}

static void replace_spaces(AlignedText *out, const AlignedText *text, Span span, const Metaspace *metaspace,
                           bool continues) {
    bool first = text->origins[span.begin].begin == 0;
    bool prepends = first ? metaspace->prepend != PREPEND_NEVER && !continues : metaspace->prepend == PREPEND_ALWAYS;
    if (prepends && text->bytes[span.begin] != ' ' && !starts_with(text, span.begin, span.end, metaspace)) {
        aligned_add_bytes(out, metaspace->replacement, metaspace->length, text->origins[span.begin]);
    }
    for (size_t i = span.begin; i < span.end; i++) {
        if (text->bytes[i] == ' ') {
            aligned_add_bytes(out, metaspace->replacement, metaspace->length, text->origins[i]);
        } else {
            aligned_add_slice(out, text, i, i + 1);
        }
    }
}

/* Cuts before each replacement character. */
static void cut_before(SpanList *out, const AlignedText *text, size_t begin, size_t end, const Metaspace *metaspace) {
    size_t kept = begin;
    for (size_t i = begin + 1; i < end; i++) {
        if (starts_with(text, i, end, metaspace)) {
            spans_add(out, kept, i, -1);
            kept = i;
        }
    }
    spans_add(out, kept, end, -1);
}

static limn_status apply_metaspace(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    const Metaspace *metaspace = state;
    AlignedText *out = &workspace->spare;
    SpanList *cut = &workspace->spare_spans;
    aligned_clear(out);
    spans_clear(cut);
    for (size_t s = 0; s < spans->count; s++) {
        Span span = spans->spans[s];
        size_t begin = out->length;
        if (span.id >= 0) {
            aligned_add_slice(out, text, span.begin, span.end);
            spans_add(cut, begin, out->length, span.id);
            continue;
        }
        replace_spaces(out, text, span, metaspace, workspace->continues);
        if (metaspace->split) {
            cut_before(cut, out, begin, out->length, metaspace);
        } else {
            spans_add(cut, begin, out->length, -1);
        }
    }
    aligned_swap(text, out);
    spans_swap(spans, cut);
    TRY(aligned_status(text));
    return spans_status(spans);
}

/* ---- cuts by kinds of characters ---- */

static limn_status apply_whitespace_split(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    (void)state;
    return cut_by_char(text, spans, workspace, char_is_whitespace, REMOVED);
}

static limn_status apply_bert(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    (void)state;
    TRY(cut_by_char(text, spans, workspace, char_is_whitespace, REMOVED));
    return cut_by_char(text, spans, workspace, char_is_punctuation, ISOLATED);
}

typedef enum CharKind { KIND_SPACE, KIND_WORD, KIND_OTHER } CharKind;

static CharKind char_kind(uint32_t c) {
    return char_is_word(c) ? KIND_WORD : char_is_whitespace(c) ? KIND_SPACE : KIND_OTHER;
}

/* Runs of \w and runs of what is neither \w nor white space. */
static limn_status apply_whitespace(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    (void)state;
    SpanList *out = &workspace->spare_spans;
    spans_clear(out);
    for (size_t s = 0; s < spans->count; s++) {
        Span span = spans->spans[s];
        if (span.id >= 0) {
            spans_add(out, span.begin, span.end, span.id);
            continue;
        }
        size_t kept = span.begin;
        CharKind kind = KIND_SPACE;
        for (size_t i = span.begin, step; i <= span.end; i += step) {
            CharKind here = KIND_SPACE;
            step = 1;
            if (i < span.end) {
                here = char_kind(utf8_next(text->bytes + i, &step));
            }
            if (here != kind || i == span.end) {
                if (kind != KIND_SPACE) {
                    spans_add(out, kept, i, -1);
                }
                kept = i;
                kind = here;
            }
        }
    }
    spans_swap(spans, out);
    return spans_status(spans);
}

typedef struct Cut {
    Behaviour behaviour;
} Cut;

static limn_status parse_punctuation(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Cut)));
    return take_behaviour(&((Cut *)*state)->behaviour, loading, json, "Isolated");
}

static limn_status apply_punctuation(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    return cut_by_char(text, spans, workspace, char_is_punctuation, ((const Cut *)state)->behaviour);
}

static limn_status parse_digits(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(Cut)));
    bool individual;
    TRY(json_take_bool(&individual, json, loading->where, "individual_digits", false));
    ((Cut *)*state)->behaviour = individual ? ISOLATED : CONTIGUOUS;
    return LIMN_OK;
}

static limn_status apply_digits(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    return cut_by_char(text, spans, workspace, char_is_numeric, ((const Cut *)state)->behaviour);
}

/* ---- Sequence ---- */

typedef struct PreTokenizerList {
    size_t count;
    PreTokenizer *items; /* [count] */
} PreTokenizerList;

static limn_status parse_sequence(void **state, Loading *loading, const json_t *json) {
    TRY(pool_new(state, loading->pool, sizeof(PreTokenizerList)));
    PreTokenizerList *list = *state;
    const json_t *items;
    TRY(json_need_array(&items, json, loading->where, "pretokenizers"));
    size_t count = json_array_size(items);
    void *memory;
    TRY(pool_new(&memory, loading->pool, count * sizeof(PreTokenizer) + 1));
    list->items = memory;
    loading->depth++;
    for (size_t i = 0; i < count; i++) {
        TRY(pre_tokenizer_parse(&list->items[i], loading, json_array_get(items, i)));
        list->count++;
    }
    loading->depth--;
    return LIMN_OK;
}

static limn_status apply_sequence(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace) {
    const PreTokenizerList *list = state;
    for (size_t i = 0; i < list->count; i++) {
        TRY(pre_tokenizer_apply(&list->items[i], text, spans, workspace));
    }
    return LIMN_OK;
}

/* ---- the table ---- */

static const PreTokenizerKind kinds[] = {
    {"BertPreTokenizer", NULL, apply_bert},
    {"ByteLevel", parse_byte_level, apply_byte_level},
    {"Digits", parse_digits, apply_digits},
    {"Metaspace", parse_metaspace, apply_metaspace},
    {"Punctuation", parse_punctuation, apply_punctuation},
    {"Sequence", parse_sequence, apply_sequence},
    {"Split", parse_split, apply_split},
    {"Whitespace", NULL, apply_whitespace},
    {"WhitespaceSplit", NULL, apply_whitespace_split},
};

limn_status pre_tokenizer_parse(PreTokenizer *pre_tokenizer, Loading *loading, const json_t *json) {
    *pre_tokenizer = (PreTokenizer){0};
    if (json == NULL || json_is_null(json)) {
        return LIMN_OK;
    }
    size_t row;
    TRY(loading_kind(&row, loading, json, "pre_tokenizer", KIND_TABLE(kinds)));
    pre_tokenizer->kind = &kinds[row];
    return kinds[row].parse == NULL ? LIMN_OK : kinds[row].parse(&pre_tokenizer->state, loading, json);
}

limn_status pre_tokenizer_apply(const PreTokenizer *pre_tokenizer, AlignedText *text, SpanList *spans,
                                Workspace *workspace) {
    return pre_tokenizer->kind == NULL ? LIMN_OK
                                       : pre_tokenizer->kind->apply(pre_tokenizer->state, text, spans, workspace);
}

bool pre_tokenizer_is_byte_level(const PreTokenizer *pre_tokenizer) {
    if (pre_tokenizer->kind == NULL) {
        return false;
    }
    if (pre_tokenizer->kind->apply == apply_sequence) {
        const PreTokenizerList *list = pre_tokenizer->state;
        for (size_t i = 0; i < list->count; i++) {
            if (pre_tokenizer_is_byte_level(&list->items[i])) {
                return true;
            }
        }
    }
    return pre_tokenizer->kind->apply == apply_byte_level;
}
