/* How likely a model finds each of some continuations of a prompt: log p(choice | prompt), exactly, for many prompts
 * at once.
 *
 * Prompts of unequal length run side by side without padding. Their common beginning (a template's fixed head) is
 * computed once and read by all. One token of each choice comes from the prompt's last row; choices of several tokens
 * are then fed behind the prompt's own keys and values, which are computed once for all choices. A masked model is
 * asked at the prompt's one mask, for choices of one token. A classifier has its classes for choices. */
#ifndef LIMN_MEASURE_CHOICES_H
#define LIMN_MEASURE_CHOICES_H

#include "call/method.h"

typedef struct ChoiceScorer ChoiceScorer;

/* What becomes of a prompt that is longer than the model reads. Special tokens at its ends stay. Order of the choice
 * "no|left|right|middle". */
typedef enum Truncation { TRUNCATE_NONE, TRUNCATE_LEFT, TRUNCATE_RIGHT, TRUNCATE_MIDDLE } Truncation;

/* The row of a command that scores choices; the field is an int32_t. */
#define TRUNCATE_ROW(type, member)                                                                                     \
    {                                                                                                                  \
        .name = "truncate", .kind = LIMN_PARAM_CHOICE, .metavar = "WHERE", .default_text = "no",                       \
        .choices = "no|left|right|middle",                                                                             \
        .help =                                                                                                        \
            "cut a prompt that is longer than the model reads, instead of refusing it; special tokens at its ends "    \
            "stay",                                                                                                    \
        .field = offsetof(type, member)                                                                                \
    }
/* "beginning": what of a prompt is cut so, in the call's language. */
const char *truncation_part(const MethodCall *call, Truncation truncation);

typedef struct ChoiceOptions {
    const Text *texts; /* [n] continuations, leading space included; a classifier: NULL */
    int32_t n;         /* a classifier: its number of classes */
    EncodeOptions encode;
    Truncation truncate;
    bool plain; /* each prompt and choice in a pass of its own: what the fast way is checked against */
} ChoiceOptions;

limn_status choice_scorer_new(ChoiceScorer **scorer, MethodCall *call, Engine *engine, const ChoiceOptions *options);
void choice_scorer_free(ChoiceScorer *scorer); /* NULL is fine */

/* What became of one prompt. */
typedef struct ChoiceOutcome {
    limn_status status;  /* not LIMN_OK: it cannot be scored, its numbers are NaN */
    const char *message; /* then why; until the scorer's next run */
    bool joined;         /* a choice joins its last token: scored as choice_tokens.c says */
    int32_t cut;         /* tokens that were taken out of it */
} ChoiceOutcome;

/* log_probabilities: [n, options.n]; outcomes: [n]. Fails only for what is no single prompt's fault. */
limn_status choice_scorer_run(ChoiceScorer *scorer, const Text *prompts, int32_t n, double *log_probabilities,
                              ChoiceOutcome *outcomes, const Progress *progress);

/* Prompts and versions of them, each with a part changed: what a version begins with as its prompt does is computed
 * once, with the prompt. */
typedef struct ChoiceVersions {
    const Text *prompts; /* [n] */
    int32_t n;
    const Text *versions; /* [n_versions] */
    const int32_t *of;    /* [n_versions] each one's prompt */
    int32_t n_versions;
} ChoiceVersions;

/* log_probabilities: [n + n_versions, options.n] and outcomes: [n + n_versions], the prompts' first. */
limn_status choice_scorer_run_versions(ChoiceScorer *scorer, const ChoiceVersions *asked, double *log_probabilities,
                                       ChoiceOutcome *outcomes, const Progress *progress);

/* What of a prompt is too much for the model, by the scorer's way of cutting: bytes [from, to), whole characters, and
 * how many tokens that is (0: it fits). A failure is about this prompt, or memory. */
typedef struct ChoiceCut {
    size_t from, to;
    int32_t tokens;
} ChoiceCut;
limn_status choice_scorer_cut(ChoiceCut *cut, const ChoiceScorer *scorer, Text prompt, Arena *arena);

int64_t choice_scorer_tokens(const ChoiceScorer *scorer); /* of all prompts so far */
int32_t choice_scorer_head(const ChoiceScorer *scorer);   /* tokens of the shared beginning */

#endif
