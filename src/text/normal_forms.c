/* Unicode Standard Annex 15, with utf8proc's tables. Characters are decomposed, put in canonical order, and composed
 * again. Origins are dealt out at the end, from left to right, so that they never run backwards where marks changed
 * places: a composed character has the origin of its first part, a decomposed one that of its source. */
#include "text/normal_forms.h"

#include <utf8proc.h>

#include "base/utf8.h"
#include "text/characters.h"

typedef struct FormChar {
    int32_t codepoint;
    int32_t combining; /* canonical combining class */
    int32_t change;    /* 1: shares its source with what is before it; 0; -n: stands for n more sources */
} FormChar;

enum { EXPANSION_MAX = 32 };

static int32_t combining_class(int32_t codepoint) {
    int32_t combining = utf8proc_get_property(codepoint)->combining_class;
    return combining != 0 && char_is_unordered((uint32_t)codepoint) ? 0 : combining;
}

/* Writes up to EXPANSION_MAX characters. */
static size_t decompose(FormChar *out, uint32_t codepoint, bool compatibility) {
    utf8proc_int32_t parts[EXPANSION_MAX];
    int boundary = 0;
    utf8proc_option_t options = UTF8PROC_DECOMPOSE | (compatibility ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)codepoint, parts, EXPANSION_MAX, options, &boundary);
    if (n <= 0 || n > EXPANSION_MAX || (n > 0 && parts[0] != (int32_t)codepoint && char_is_undecomposed(codepoint))) {
        parts[0] = (utf8proc_int32_t)codepoint;
        n = 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        out[i] = (FormChar){parts[i], combining_class(parts[i]), i > 0};
    }
    return (size_t)n;
}

/* Merge sort keeps equal classes in order and runs of a million marks out of quadratic time. */
static void sort_marks(FormChar *chars, size_t count, FormChar *spare) {
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t begin = 0; begin + width < count; begin += 2 * width) {
            size_t middle = begin + width;
            size_t end = middle + width < count ? middle + width : count;
            if (chars[middle - 1].combining <= chars[middle].combining) {
                continue;
            }
            size_t a = begin, b = middle;
            for (size_t i = begin; i < end; i++) {
                bool left = a < middle && (b >= end || chars[a].combining <= chars[b].combining);
                spare[i] = left ? chars[a++] : chars[b++];
            }
            for (size_t i = begin; i < end; i++) {
                chars[i] = spare[i];
            }
        }
    }
}

static void order(FormChar *chars, size_t count, FormChar *spare) {
    for (size_t i = 0; i < count;) {
        if (chars[i].combining == 0) {
            i++;
            continue;
        }
        size_t end = i + 1;
        while (end < count && chars[end].combining != 0) {
            end++;
        }
        sort_marks(chars + i, end - i, spare);
        i = end;
    }
}

/* The character that two make, or -1. */
static int32_t composition(int32_t first, int32_t second) {
    if (second < 0x300) { /* nothing below combines backwards */
        return -1;
    }
    utf8proc_int32_t pair[2] = {first, second};
    utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return n == 1 ? pair[0] : -1;
}

static size_t compose(FormChar *chars, size_t count) {
    size_t kept = 0, starter = SIZE_MAX;
    int32_t last = -1; /* class of the last mark kept since the starter; -1: none */
    for (size_t i = 0; i < count; i++) {
        FormChar c = chars[i];
        if (starter != SIZE_MAX && (last < 0 || last < c.combining)) {
            int32_t composed = composition(chars[starter].codepoint, c.codepoint);
            if (composed >= 0) {
                chars[starter].codepoint = composed;
                chars[starter].change += c.change - 1;
                continue;
            }
        }
        if (c.combining == 0) {
            starter = kept;
            last = -1;
        } else {
            last = c.combining;
        }
        chars[kept++] = c;
    }
    return kept;
}

/* Writes the characters with the origins of text [begin, end). */
static void deal_out(AlignedText *out, const FormChar *chars, size_t count, const AlignedText *text, size_t begin,
                     size_t end) {
    size_t at = begin, last = begin;
    for (size_t i = 0; i < count; i++) {
        if (chars[i].change > 0 || at >= end) {
            aligned_add(out, (uint32_t)chars[i].codepoint, text->origins[last]);
            continue;
        }
        aligned_add(out, (uint32_t)chars[i].codepoint, text->origins[at]);
        for (int32_t k = chars[i].change; k <= 0 && at < end; k++) {
            size_t step;
            utf8_next(text->bytes + at, &step);
            last = at;
            at += step;
        }
    }
}

/* One stretch of text that ends where nothing before can meet what follows. */
static limn_status apply_stretch(AlignedText *out, const AlignedText *text, size_t begin, size_t end,
                                 Workspace *workspace, bool compatibility, bool composes) {
    FormChar expanded[EXPANSION_MAX];
    size_t count = 0;
    for (size_t i = begin, step; i < end; i += step) {
        uint32_t c = utf8_next(text->bytes + i, &step);
        count += decompose(expanded, c, compatibility);
    }
    void *memory, *spare;
    TRY(workspace_memory(&memory, workspace, 0, count + 1, sizeof(FormChar)));
    TRY(workspace_memory(&spare, workspace, 1, count + 1, sizeof(FormChar)));
    FormChar *chars = memory;
    count = 0;
    for (size_t i = begin, step; i < end; i += step) {
        uint32_t c = utf8_next(text->bytes + i, &step);
        size_t n = decompose(expanded, c, compatibility);
        for (size_t k = 0; k < n; k++) {
            chars[count++] = expanded[k];
        }
    }
    order(chars, count, spare);
    if (composes) {
        count = compose(chars, count);
    }
    deal_out(out, chars, count, text, begin, end);
    return LIMN_OK;
}

limn_status normal_form_apply(AlignedText *text, Workspace *workspace, bool compatibility, bool composes) {
    AlignedText *out = &workspace->spare;
    aligned_clear(out);
    for (size_t i = 0; i < text->length;) {
        size_t end = i; /* ASCII before ASCII stays as it is */
        while (end < text->length && (unsigned char)text->bytes[end] < 0x80 &&
               (end + 1 == text->length || (unsigned char)text->bytes[end + 1] < 0x80)) {
            end++;
        }
        aligned_add_slice(out, text, i, end);
        i = end;
        while (end < text->length && (end == i || (unsigned char)text->bytes[end] >= 0x80)) {
            end++;
        }
        if (end > i) {
            TRY(apply_stretch(out, text, i, end, workspace, compatibility, composes));
        }
        i = end;
    }
    aligned_swap(text, out);
    return aligned_status(text);
}
