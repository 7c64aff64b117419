#include "ask/word_kind.h"

#include <string.h>

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include "ask/segment.h"
#include "base/utf8.h"

/* ---- kinds ---- */

typedef struct Counts {
    int32_t letters, digits, punctuation, emoji, other;
    int32_t upper, cased;
    bool first_is_upper;
} Counts;

static bool is_emoji(UChar32 c) {
    return c > 0xFF &&
           (u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC) || u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR));
}

/* What only dresses a character before it: an emoji's variation, skin or joiner; an accent. */
static bool is_dressing(UChar32 c) {
    return c == 0x200D || c == 0xFE0F || c == 0xFE0E || u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER) ||
           u_charType(c) == U_NON_SPACING_MARK || u_charType(c) == U_COMBINING_SPACING_MARK;
}

static void count_letter(Counts *counts, WordKind *kind, UChar32 c) {
    UErrorCode error = U_ZERO_ERROR;
    int32_t script = uscript_getScript(c, &error);
    if (counts->letters == 0) {
        kind->script = script;
    } else if (script != kind->script && script != USCRIPT_COMMON && script != USCRIPT_INHERITED) {
        kind->script = -1; /* several */
    }
    counts->letters++;
    bool upper = u_isUUppercase(c);
    if (upper || u_isULowercase(c)) {
        counts->first_is_upper = counts->first_is_upper || (upper && counts->cased == 0);
        counts->cased++;
        counts->upper += upper ? 1 : 0;
    }
    kind->alone = kind->alone || stands_alone((uint32_t)c);
}

static void count(Counts *counts, WordKind *kind, UChar32 c) {
    kind->characters++;
    if (is_dressing(c) && kind->characters > 1) {
        kind->characters--;
    } else if (is_emoji(c)) {
        counts->emoji++;
    } else if (u_isalpha(c)) {
        count_letter(counts, kind, c);
    } else if (u_isdigit(c)) {
        counts->digits++;
    } else if ((c == '\'' || c == 0x2019 || c == '_') && counts->letters > 0) {
        kind->characters += 0; /* within a word: "don't" */
    } else if (u_ispunct(c) || u_charType(c) == U_MATH_SYMBOL || u_charType(c) == U_CURRENCY_SYMBOL ||
               u_charType(c) == U_MODIFIER_SYMBOL) {
        counts->punctuation++;
        kind->wide = kind->wide || stands_alone((uint32_t)c);
    } else {
        counts->other++;
    }
}

static WordClass class_of(const Counts *counts) {
    bool letters = counts->letters > 0, digits = counts->digits > 0;
    int classes = (letters || digits ? 1 : 0) + (counts->punctuation > 0 ? 1 : 0) + (counts->emoji > 0 ? 1 : 0);
    if (counts->other > 0 || classes != 1) {
        return WORD_NOTHING;
    }
    if (letters || digits) {
        return letters && digits ? WORD_CODE : letters ? WORD_LETTERS : WORD_NUMBER;
    }
    return counts->emoji > 0 ? WORD_EMOJI : WORD_PUNCTUATION;
}

WordKind word_kind(Text word) {
    WordKind kind = {.class = WORD_NOTHING, .script = -1};
    Counts counts = {0};
    for (size_t at = 0; at < word.length;) {
        uint32_t c;
        bool valid;
        at += utf8_read(word.bytes + at, word.length - at, &c, &valid);
        if (!valid || c == UTF8_REPLACEMENT) {
            counts.other++;
        } else {
            count(&counts, &kind, (UChar32)c);
        }
    }
    kind.class = class_of(&counts);
    if (kind.class == WORD_LETTERS && counts.cased > 0) {
        bool all = counts.upper == counts.cased && counts.cased > 1;
        kind.case_ = all ? WORD_UPPER : counts.first_is_upper ? WORD_TITLE : WORD_LOWER;
    }
    return kind;
}

bool word_kinds_match(const WordKind *a, const WordKind *b) {
    if (a->class != b->class || a->class == WORD_NOTHING) {
        return false;
    }
    switch (a->class) {
    case WORD_LETTERS:
        return a->script == b->script && a->script >= 0 && a->case_ == b->case_ &&
               (!a->alone || a->characters == b->characters);
    case WORD_PUNCTUATION:
        return a->wide == b->wide && a->characters == b->characters;
    case WORD_NUMBER:
    case WORD_CODE:
        return a->characters == b->characters;
    default:
        return true;
    }
}

/* ---- forms of one word ---- */

enum { MOST_CHARACTERS = 64 };

typedef struct Folded {
    UChar32 characters[MOST_CHARACTERS]; /* without case */
    int32_t n;
} Folded;

static void fold(Folded *folded, Text word) {
    folded->n = 0;
    for (size_t at = 0; at < word.length && folded->n < MOST_CHARACTERS;) {
        uint32_t c;
        bool valid;
        at += utf8_read(word.bytes + at, word.length - at, &c, &valid);
        folded->characters[folded->n++] = u_foldCase((UChar32)c, U_FOLD_CASE_DEFAULT);
    }
}

static bool contains(const Folded *whole, const Folded *part) {
    for (int32_t at = 0; at + part->n <= whole->n; at++) {
        if (memcmp(whole->characters + at, part->characters, (size_t)part->n * sizeof part->characters[0]) == 0) {
            return true;
        }
    }
    return false;
}

bool words_related(Text a, Text b) {
    Folded first, second;
    fold(&first, a);
    fold(&second, b);
    const Folded *longer = first.n >= second.n ? &first : &second;
    const Folded *shorter = longer == &first ? &second : &first;
    int32_t same = 0;
    while (same < shorter->n && longer->characters[same] == shorter->characters[same]) {
        same++;
    }
    bool letters = longer->n > 0 && u_isalpha(longer->characters[0]) && !stands_alone((uint32_t)longer->characters[0]);
    if (!letters) {
        return same == longer->n;
    }
    bool ending = same == shorter->n && longer->n - same <= 1; /* "it", "its"; "dog", "dogs" */
    bool inside = shorter->n >= 4 && contains(longer, shorter);
    bool stem = same >= 4 && 3 * same >= 2 * longer->n;
    return same == longer->n || (ending && longer->characters[longer->n - 1] == 's') || inside || stem;
}

char *word_in_case(Text word, WordCase wanted, size_t *length, Arena *arena) {
    char *out = arena_alloc(arena, 4 * word.length + 1);
    size_t n = 0;
    bool first = true;
    for (size_t at = 0; out != NULL && at < word.length;) {
        uint32_t c;
        bool valid;
        at += utf8_read(word.bytes + at, word.length - at, &c, &valid);
        if (wanted == WORD_UPPER || (wanted == WORD_TITLE && first)) {
            c = (uint32_t)u_toupper((UChar32)c);
        } else if (wanted == WORD_LOWER) {
            c = (uint32_t)u_tolower((UChar32)c);
        }
        first = false;
        n += utf8_encode(c, out + n);
    }
    if (out != NULL) {
        out[n] = '\0';
    }
    *length = n;
    return out;
}
