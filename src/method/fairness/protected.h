/* Words that a decision should not hang on, by category and side: "she" and "he" of gender, "immigrant" and "local" of
 * origin. The shipped lists (protected_words.def, the same in examples/protected-words.txt), or a person's own:
 *
 *     # a remark
 *     [origin: immigrant | local]       a category and its sides, two or more
 *     immigrant | local                 what is exchanged for what, a cell for each side
 *     Lagos, Accra | Paris, London      any of several; as many on each side: the one at the same place
 *     her+ | his+                       only before a further word: "her book", not "told her"
 *
 * A category may be begun again further down. Words are found in any case, whole, the longest first; what takes their
 * place has their case. In scripts without spaces a word is found where one may begin and end (ask/segment.h). */
#ifndef LIMN_METHOD_FAIRNESS_PROTECTED_H
#define LIMN_METHOD_FAIRNESS_PROTECTED_H

#include "call/method.h"

enum { PROTECTED_SIDES = 8, PROTECTED_CATEGORIES = 100 };

typedef struct ProtectedWord {
    Text text;
    int32_t row;
    int32_t side;
    int32_t place;    /* in its cell */
    bool before_word; /* found only before a further word */
} ProtectedWord;

typedef struct ProtectedRow {
    int32_t category;
    int32_t first[PROTECTED_SIDES]; /* words [first, first + n) are the cell's */
    int32_t n[PROTECTED_SIDES];
} ProtectedRow;

typedef struct ProtectedCategory {
    Text name;
    Text sides[PROTECTED_SIDES]; /* [n_sides] */
    int32_t n_sides;
    bool asked; /* has a part */
} ProtectedCategory;

typedef struct ProtectedLists {
    ProtectedCategory *categories; /* [n_categories] */
    ProtectedRow *rows;            /* [n_rows] */
    ProtectedWord *words;          /* [n_words] in the order of the file */
    int32_t n_categories, n_rows, n_words;
    int32_t rows_most, words_most;
} ProtectedLists;

/* file: a path; bytes NULL: the shipped lists. asked: names of categories; n 0: all. In the call's arena. */
limn_status protected_read(ProtectedLists *lists, MethodCall *call, Text file, const ParamTexts *asked);
/* The same of a text; name: of where it is from, for messages. */
limn_status protected_parse(ProtectedLists *lists, Arena *arena, Text text, const char *name);
/* The shipped lists as a text, one line after another. */
limn_status protected_shipped(Text *text, Arena *arena);

int32_t protected_category(const ProtectedLists *lists, int32_t word);

/* A word of the lists in a text. */
typedef struct ProtectedMatch {
    size_t from, to; /* bytes */
    int32_t word;
} ProtectedMatch;

typedef struct ProtectedMatches {
    ProtectedMatch *items; /* [n] in the order of the text; two of one category never overlap */
    int32_t n;
} ProtectedMatches;

limn_status protected_find(ProtectedMatches *matches, const ProtectedLists *lists, Text text, Arena *arena);

#endif
