/* Words of prompts, for who looks for those that go with errors: runs of letters and digits in small letters; of
 * Chinese characters, which stand without spaces, every two to four of a run; and phrases of two to four words
 * with a space between each. */
#ifndef LIMN_AUDIT_FEATURES_H
#define LIMN_AUDIT_FEATURES_H

#include "audit/cases.h"
#include "base/map.h"

enum { FEATURE_BYTES_MAX = 64, FEATURES_MAX = 500000 };

typedef struct Feature {
    const char *text; /* small letters */
    bool han;
    int32_t characters;
    int32_t words; /* more than 1: a phrase */
    int32_t n;     /* records of the nominating half that hold it */
    int64_t last;  /* the record that counted it last */
} Feature;

typedef struct Features {
    Feature *items; /* [n] */
    int32_t n, capacity;
    Map places;
    Arena *arena;
} Features;

/* Calls `each` for every word of a text; one that stands twice comes twice. */
typedef limn_status (*FeatureSeen)(void *context, const char *word, size_t length, bool han, int32_t characters,
                                   int32_t words);
limn_status features_of_text(const char *text, FeatureSeen each, void *context);

/* Counts the words of all prompts that nominate. */
limn_status features_count(Features *features, const Cases *cases, Arena *arena);
void features_free(Features *features);

/* Where the word or phrase stands in the text, small or capital, and is not part of a longer word (Chinese has no
 * spaces: anywhere); NULL: nowhere. */
const char *word_find(const char *text, const char *word);
/* The text with every place of the word exchanged; NULL: no memory. */
const char *word_exchange(Arena *arena, const char *text, const char *word, const char *with);

#endif
