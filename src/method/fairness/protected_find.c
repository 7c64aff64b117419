/* Where words of the lists stand in a text. */
#include <string.h>

#include "ask/segment.h"
#include "ask/words.h"
#include "base/utf8.h"
#include "method/fairness/protected.h"

/* Behind these a determiner's noun does not begin: "told her that", "gave her a book". */
static const char *const no_nouns[] = {
    "a",    "an",    "the",   "and", "or",   "but",   "that",  "this", "to",  "in",  "on",   "at",   "for",  "from",
    "with", "by",    "about", "as",  "if",   "when",  "so",    "what", "who", "how", "why",  "then", "than", "because",
    "not",  "again", "is",    "was", "will", "would", "after", "into", "up",  "out", "over", "off"};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool same_folded(const char *a, const char *b, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

/* Whether a word may begin (and so one end) at the byte. */
static bool is_border(Text text, const uint8_t *begins, size_t at) {
    if (at == 0 || at == text.length) {
        return true;
    }
    size_t before = at - 1, step;
    while (before > 0 && ((unsigned char)text.bytes[before] & 0xC0U) == 0x80U) {
        before--;
    }
    uint32_t left, right;
    bool valid;
    step = utf8_read(text.bytes + before, at - before, &left, &valid);
    (void)step;
    utf8_read(text.bytes + at, text.length - at, &right, &valid);
    bool alone = stands_alone(left) && stands_alone(right);
    return alone ? begins[at] != 0 : !(joins_words(left) && joins_words(right));
}

/* A space and a word that may be what "her" is said of. */
static bool word_follows(Text text, size_t at) {
    if (at + 1 >= text.length || text.bytes[at] != ' ') {
        return false;
    }
    size_t end = at + 1;
    while (end < text.length && ((lower(text.bytes[end]) >= 'a' && lower(text.bytes[end]) <= 'z') ||
                                 (unsigned char)text.bytes[end] >= 0x80U)) {
        end++;
    }
    size_t length = end - at - 1;
    for (size_t i = 0; i < sizeof no_nouns / sizeof no_nouns[0]; i++) {
        if (strlen(no_nouns[i]) == length && same_folded(text.bytes + at + 1, no_nouns[i], length)) {
            return false;
        }
    }
    return length > 0;
}

typedef struct Finder {
    const ProtectedLists *lists;
    Text text;
    uint8_t *begins; /* [text.length + 1] where words may begin in scripts without spaces */
    size_t *free_at; /* [n_categories] up to where the category has a match */
} Finder;

static bool stands_at(const Finder *finder, const ProtectedWord *word, size_t at) {
    Text text = finder->text;
    size_t end = at + word->text.length;
    return end <= text.length && same_folded(text.bytes + at, word->text.bytes, word->text.length) &&
           is_border(text, finder->begins, end) && (!word->before_word || word_follows(text, end));
}

/* Of two words of one category at one place: the longer, then the one that asks for more, then the earlier. */
static bool better(const ProtectedWord *a, const ProtectedWord *b) {
    return a->text.length != b->text.length ? a->text.length > b->text.length : a->before_word && !b->before_word;
}

/* The best word of each category at the byte; best: [n_categories], -1: none. */
static bool look(const Finder *finder, size_t at, int32_t *best) {
    const ProtectedLists *lists = finder->lists;
    bool any = false;
    for (int32_t c = 0; c < lists->n_categories; c++) {
        best[c] = -1;
    }
    for (int32_t w = 0; w < lists->n_words; w++) {
        int32_t c = protected_category(lists, w);
        bool open = lists->categories[c].asked && finder->free_at[c] <= at;
        if (open && stands_at(finder, &lists->words[w], at) &&
            (best[c] < 0 || better(&lists->words[w], &lists->words[best[c]]))) {
            best[c] = w;
            any = true;
        }
    }
    return any;
}

static limn_status add(ProtectedMatches *matches, int32_t *most, ProtectedMatch match, Arena *arena) {
    if (matches->n == *most) {
        int32_t more = *most == 0 ? 16 : 2 * *most;
        ProtectedMatch *grown = ARENA_ARRAY(arena, ProtectedMatch, more);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "no memory for %d words", (int)more);
        }
        if (matches->n > 0) {
            memcpy(grown, matches->items, (size_t)matches->n * sizeof *grown);
        }
        matches->items = grown;
        *most = more;
    }
    matches->items[matches->n++] = match;
    return LIMN_OK;
}

limn_status protected_find(ProtectedMatches *matches, const ProtectedLists *lists, Text text, Arena *arena) {
    Finder finder = {.lists = lists, .text = text};
    int32_t *best = ARENA_ARRAY(arena, int32_t, lists->n_categories + 1);
    finder.free_at = ARENA_ARRAY(arena, size_t, lists->n_categories + 1);
    *matches = (ProtectedMatches){0};
    if (best == NULL || finder.free_at == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for the words of a text");
    }
    TRY(segment_words(&finder.begins, text, arena));
    int32_t most = 0;
    for (size_t at = 0; at < text.length; at++) {
        bool inside = ((unsigned char)text.bytes[at] & 0xC0U) == 0x80U;
        if (inside || !is_border(text, finder.begins, at) || !look(&finder, at, best)) {
            continue;
        }
        for (int32_t c = 0; c < lists->n_categories; c++) {
            if (best[c] >= 0) {
                finder.free_at[c] = at + lists->words[best[c]].text.length;
                TRY(add(matches, &most, (ProtectedMatch){at, finder.free_at[c], best[c]}, arena));
            }
        }
    }
    return LIMN_OK;
}
