#include "ask/segment.h"

#include <string.h>

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include "ask/word_lists.h"
#include "base/utf8.h"

enum { MOST_PIECES = 6, MOST_BYTES = 32 /* of a word that is put together */ };

bool stands_alone(uint32_t c) {
    return (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF00 && c <= 0xFFEF) ||
           (c >= 0x20000 && c <= 0x3FFFF) || (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1000 && c <= 0x109F) ||
           (c >= 0x1780 && c <= 0x17FF);
}

static bool is_letter(uint32_t c) {
    return u_isalpha((UChar32)c) || u_charType((UChar32)c) == U_NON_SPACING_MARK;
}

typedef struct Pieces {
    Text text;
    uint8_t *begins; /* [length + 1] */
    const WordLists *lists;
} Pieces;

static uint32_t character(const Pieces *pieces, size_t at, size_t *step) {
    uint32_t c;
    bool valid;
    *step = utf8_read(pieces->text.bytes + at, pieces->text.length - at, &c, &valid);
    return c;
}

/* The end of the piece that begins at `at`. */
static size_t piece_end(const Pieces *pieces, size_t at) {
    do {
        at++;
    } while (at < pieces->text.length && !pieces->begins[at]);
    return at;
}

static bool is_han(const Pieces *pieces, size_t at) {
    size_t step;
    uint32_t c = character(pieces, at, &step);
    return stands_alone(c) && is_letter(c);
}

/* A character that is a piece by itself and no word of the lists. */
static bool is_remainder(const Pieces *pieces, size_t begin, size_t end) {
    size_t step;
    character(pieces, begin, &step);
    Text piece = {pieces->text.bytes + begin, end - begin};
    return is_han(pieces, begin) && step == end - begin && word_lists_categories(pieces->lists, piece) == 0;
}

/* Joins the pieces from `begin` on that form one word of the lists, or that are remainders; returns its end. */
static size_t join(const Pieces *pieces, size_t begin) {
    size_t ends[MOST_PIECES];
    int n = 0;
    for (size_t at = begin; n < MOST_PIECES && at < pieces->text.length && is_han(pieces, at);) {
        at = piece_end(pieces, at);
        if (at - begin > MOST_BYTES) {
            break;
        }
        ends[n++] = at;
    }
    int last = 0;
    for (int k = n - 1; k > 0 && last == 0; k--) {
        Text word = {pieces->text.bytes + begin, ends[k] - begin};
        last = word_lists_categories(pieces->lists, word) != 0 ? k : 0;
    }
    if (n > 0 && last == 0 && is_remainder(pieces, begin, ends[0])) {
        while (last + 1 < n && is_remainder(pieces, ends[last], ends[last + 1])) {
            last++;
        }
    }
    for (int k = 0; k < last; k++) {
        pieces->begins[ends[k]] = 0;
    }
    return n > 0 ? ends[last] : piece_end(pieces, begin);
}

static limn_status cut(uint8_t *begins, Text text) {
    UErrorCode error = U_ZERO_ERROR;
    UText *source = utext_openUTF8(NULL, text.bytes, (int64_t)text.length, &error);
    UBreakIterator *words = ubrk_open(UBRK_WORD, "zh", NULL, 0, &error);
    ubrk_setUText(words, source, &error);
    if (U_SUCCESS(error)) {
        for (int32_t at = ubrk_first(words); at != UBRK_DONE; at = ubrk_next(words)) {
            begins[at] = 1;
        }
    }
    ubrk_close(words);
    utext_close(source);
    return U_SUCCESS(error) ? LIMN_OK : fail(LIMN_NOT_FOUND, "ICU cannot cut words: %s", u_errorName(error));
}

static limn_status join_pieces(uint8_t *begins, Text text, Arena *scratch) {
    WordLists lists;
    TRY(word_lists_open(&lists, scratch));
    Pieces pieces = {text, begins, &lists};
    for (size_t at = 0; at < text.length;) {
        at = is_han(&pieces, at) ? join(&pieces, at) : piece_end(&pieces, at);
    }
    word_lists_close(&lists);
    return LIMN_OK;
}

static bool has_han(Text text) {
    Pieces pieces = {text, NULL, NULL};
    for (size_t at = 0, step; at < text.length; at += step) {
        character(&pieces, at, &step);
        if (is_han(&pieces, at)) {
            return true;
        }
    }
    return false;
}

limn_status segment_words(uint8_t **begins, Text text, Arena *arena) {
    *begins = arena_zalloc(arena, text.length + 1);
    if (*begins == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for the words of %zu bytes", text.length);
    }
    TRY(cut(*begins, text));
    if (!has_han(text)) {
        return LIMN_OK;
    }
    Arena scratch; /* the lists are many times as long as most texts */
    arena_init(&scratch);
    limn_status status = join_pieces(*begins, text, &scratch);
    arena_free(&scratch);
    return status;
}
