/* What kind of thing a word is, so that what takes its place is of the same kind: script, case, number, punctuation,
 * emoji; and whether two words are forms of one. */
#ifndef LIMN_ASK_WORD_KIND_H
#define LIMN_ASK_WORD_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "result/result.h"

typedef enum WordClass {
    WORD_NOTHING, /* white space, line breaks, broken characters, or classes mixed: nothing takes its place */
    WORD_LETTERS,
    WORD_NUMBER, /* digits alone */
    WORD_CODE,   /* letters and digits: "t3" */
    WORD_PUNCTUATION,
    WORD_EMOJI
} WordClass;

typedef enum WordCase {
    WORD_UNCASED, /* the script has none */
    WORD_LOWER,
    WORD_TITLE, /* a capital, then small letters: also a single capital, and "BankRun" */
    WORD_UPPER
} WordCase;

typedef struct WordKind {
    WordClass class;
    int32_t script;     /* of letters: ICU's UScriptCode */
    WordCase case_;     /* of letters */
    int32_t characters; /* their number */
    bool alone;         /* of a script without spaces: what takes its place is as long */
    bool wide;          /* punctuation of such a script */
} WordKind;

WordKind word_kind(Text word);
bool word_kinds_match(const WordKind *a, const WordKind *b);

/* Forms of one word: other case, plural and other endings, one inside the other. Irregular forms ("mouse", "mice") are
 * not known to be one. */
bool words_related(Text a, Text b);

/* The word in that case; in the arena. NULL: no memory. */
char *word_in_case(Text word, WordCase wanted, size_t *length, Arena *arena);

#endif
