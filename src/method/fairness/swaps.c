#include "method/fairness/swaps.h"

#include <string.h>

#include "ask/word_kind.h"
#include "base/random.h"
#include "base/text_buffer.h"

int32_t swap_side(const ProtectedMatches *matches, const ProtectedLists *lists, int32_t category, int32_t *n) {
    int32_t side = -1;
    bool mixed = false;
    *n = 0;
    for (int32_t i = 0; i < matches->n; i++) {
        int32_t word = matches->items[i].word;
        if (protected_category(lists, word) == category) {
            mixed = mixed || (side >= 0 && side != lists->words[word].side);
            side = lists->words[word].side;
            ++*n;
        }
    }
    return mixed ? -1 : side;
}

int32_t swap_counterpart(const ProtectedLists *lists, int32_t word, int32_t side, uint64_t draw) {
    const ProtectedWord *own = &lists->words[word];
    const ProtectedRow *row = &lists->rows[own->row];
    int32_t n = row->n[side];
    if (n == 0) {
        return -1;
    }
    Random random;
    random_seed(&random, draw ^ hash_bytes(own->text.bytes, own->text.length));
    int32_t place = n == row->n[own->side] ? own->place : (int32_t)random_below(&random, (uint64_t)n);
    return row->first[side] + place;
}

/* ---- writing ---- */

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The other word in the case of what stands there: as listed where that is, else in small letters, capitals, or with a
 * first capital. */
static limn_status in_case(Text *made, Text there, Text listed, Text other, Arena *arena) {
    WordKind found = word_kind(there);
    bool as_listed = there.length == listed.length && memcmp(there.bytes, listed.bytes, there.length) == 0;
    *made = other;
    if (as_listed || found.case_ == WORD_UNCASED) {
        return LIMN_OK;
    }
    if (found.case_ == WORD_LOWER || found.case_ == WORD_UPPER) {
        made->bytes = word_in_case(other, found.case_, &made->length, arena);
    } else {
        char *copy = arena_strndup(arena, other.bytes, other.length);
        if (copy != NULL && other.length > 0 && copy[0] >= 'a' && copy[0] <= 'z') {
            copy[0] = (char)(copy[0] - 'a' + 'A');
        }
        made->bytes = copy;
    }
    return made->bytes != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory for a word");
}

/* "an" before a vowel's letter, "a" before others, but for the commonest whose sound is not their letter's. */
static bool wants_an(Text word) {
    static const char *const as_consonant[] = {"uni", "eu", "one", "use", "uk", "us"};
    for (size_t i = 0; i < sizeof as_consonant / sizeof as_consonant[0]; i++) {
        size_t n = strlen(as_consonant[i]);
        if (word.length >= n && strncasecmp(word.bytes, as_consonant[i], n) == 0) {
            return false;
        }
    }
    return word.length > 0 && strchr("aeiouAEIOU", word.bytes[0]) != NULL;
}

/* What has been written ends with the article "a " or "an ": it follows the word that comes. */
static void mend_article(TextBuffer *out, Text word) {
    size_t n = out->length;
    const char *at = out->data + n;
    bool a = n >= 2 && (at[-2] == 'a' || at[-2] == 'A') && at[-1] == ' ';
    bool an = n >= 3 && (at[-3] == 'a' || at[-3] == 'A') && (at[-2] == 'n' || at[-2] == 'N') && at[-1] == ' ';
    size_t begin = a ? n - 2 : an ? n - 3 : n;
    bool whole =
        begin < n && (begin == 0 || !is_letter(out->data[begin - 1])) && word.length > 0 && is_letter(word.bytes[0]);
    if (!whole || an == wants_an(word)) {
        return;
    }
    bool capitals = out->data[begin] == 'A' && word_kind(word).case_ == WORD_UPPER;
    out->length = begin + 1;
    text_buffer_add(out, !wants_an(word) ? " " : capitals ? "N " : "n ");
}

static void write_word(TextBuffer *out, Text text, size_t *at, const ProtectedMatch *match, Text word) {
    text_buffer_add_bytes(out, text.bytes + *at, match->from - *at);
    if (!out->failed && out->data != NULL) {
        mend_article(out, word);
    }
    text_buffer_add_bytes(out, word.bytes, word.length);
    *at = match->to;
}

static limn_status finish(Text *made, TextBuffer *out, Text text, size_t at, Arena *arena) {
    text_buffer_add_bytes(out, text.bytes + at, text.length - at);
    limn_status status = text_buffer_status(out);
    if (status == LIMN_OK) {
        *made = (Text){arena_strndup(arena, out->data != NULL ? out->data : "", out->length), out->length};
        status = made->bytes != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "a text of %zu bytes", out->length);
    }
    return status;
}

/* What takes a match's place: of a side, or of the ordinary words. */
typedef struct Swap {
    const ProtectedLists *lists;
    Ordinary *ordinary; /* NULL: of a side */
    int32_t side, k;
    uint64_t draw;
} Swap;

static limn_status other_of(Text *other, const Swap *swap, int32_t word) {
    *other = (Text){NULL, 0};
    if (swap->ordinary != NULL) {
        return ordinary_word(other, swap->ordinary, word, swap->k);
    }
    int32_t counterpart = swap->lists->words[word].side == swap->side
                              ? word
                              : swap_counterpart(swap->lists, word, swap->side, swap->draw);
    if (counterpart >= 0) {
        *other = swap->lists->words[counterpart].text;
    }
    return LIMN_OK;
}

static limn_status write_version(Text *made, bool *there, TextBuffer *out, const Swap *swap, Text text,
                                 const ProtectedMatches *matches, int32_t category, Arena *arena) {
    size_t at = 0;
    *there = true;
    for (int32_t i = 0; i < matches->n; i++) {
        const ProtectedMatch *match = &matches->items[i];
        if (protected_category(swap->lists, match->word) != category) {
            continue;
        }
        Text other, cased, found = {text.bytes + match->from, match->to - match->from};
        TRY(other_of(&other, swap, match->word));
        *there = *there && other.bytes != NULL;
        if (!*there) {
            return LIMN_OK;
        }
        TRY(in_case(&cased, found, swap->lists->words[match->word].text, other, arena));
        write_word(out, text, &at, match, cased);
    }
    return finish(made, out, text, at, arena);
}

static limn_status make(Text *made, bool *there, const Swap *swap, Text text, const ProtectedMatches *matches,
                        int32_t category, Arena *arena) {
    TextBuffer out = TEXT_BUFFER_INIT;
    limn_status status = write_version(made, there, &out, swap, text, matches, category, arena);
    text_buffer_free(&out);
    return status;
}

limn_status swap_to_side(Text *made, bool *there, const ProtectedLists *lists, Text text,
                         const ProtectedMatches *matches, int32_t category, int32_t side, uint64_t draw, Arena *arena) {
    const Swap swap = {.lists = lists, .side = side, .draw = draw};
    return make(made, there, &swap, text, matches, category, arena);
}

limn_status swap_to_ordinary(Text *made, bool *there, Ordinary *ordinary, const ProtectedLists *lists, Text text,
                             const ProtectedMatches *matches, int32_t category, int32_t k, Arena *arena) {
    const Swap swap = {.lists = lists, .ordinary = ordinary, .k = k};
    return make(made, there, &swap, text, matches, category, arena);
}
