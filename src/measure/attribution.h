/* Scores of tokens as a reader sees them: the strip with words and sentences, the strongest words, the headline. One
 * look for every method that scores tokens; what is special about one is its unit and its note. */
#ifndef LIMN_MEASURE_ATTRIBUTION_H
#define LIMN_MEASURE_ATTRIBUTION_H

#include "ask/target.h"
#include "ask/words.h"

/* --by, for methods that give tokens scores. */
#define ATTRIBUTION_BY_ROW(type, member)                                                                               \
    {                                                                                                                  \
        "by", 0, LIMN_PARAM_CHOICE, .metavar = "UNIT", .default_text = "word", .choices = "token|word|sentence",       \
                                    .help = "what to show scores for", .field = offsetof(type, member)                 \
    }

typedef struct Attribution {
    MethodCall *call;
    Result *result;
    const Model *model;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast; /* NULL or kind TARGET_NONE: none */
    const double *scores;   /* [prompt->n] NaN: held as it is */
    const double *spreads;  /* [prompt->n] or NULL */
    int32_t reach;          /* tokens [reach, n) have no influence */
    const char *unit;
    const char *note;
    int32_t by;      /* 0 token, 1 word, 2 sentence: what to show first */
    bool is_signed;  /* + for the target, - against it; else sizes */
    TokenRuns words; /* filled by attribution_rank */
    TokenRuns sentences;
    double *word_scores; /* [words.n] NaN: all of it is held, or out of reach */
    int32_t *order;      /* [n_order] words by size */
    int32_t n_order;
} Attribution;

/* Cuts words and sentences and ranks the words. */
limn_status attribution_rank(Attribution *attribution);
/* The word named for the target first, -1: none. */
int32_t attribution_first(const Attribution *attribution);
/* Headline, strip "attribution", table "words". */
void attribution_show(const Attribution *attribution);

#endif
