/* What `why` has found, as the part that puts it into words sees it. */
#ifndef LIMN_METHOD_EXPLAIN_WHY_H
#define LIMN_METHOD_EXPLAIN_WHY_H

#include "ask/words.h"
#include "measure/token_scores.h"
#include "measure/turning.h"

enum { WHY_CAUSES = 5 };

typedef struct WhyFindings {
    MethodCall *call;
    const Model *model;
    const Target *target;
    const Target *contrast; /* kind TARGET_NONE: none */
    Yardstick *yardstick;
    int32_t causes[WHY_CAUSES]; /* [n_causes] units whose exchange clearly lowers the answer, the strongest first */
    int32_t n_causes;
    int32_t against;        /* the unit that most clearly speaks against it; -1: none */
    bool below;             /* some unit's effect is clear, but below the floor */
    double floor;           /* see yardstick_counts */
    int32_t largest;        /* the unit with the largest effect, clear or not */
    const char *pointed_by; /* the method whose first word that is; NULL: gradient times input, which nobody named */
    int32_t pointed;        /* the unit that it names first; -1: none */
    bool agrees;            /* exchanging that one clearly lowers the answer, by at least half of the largest effect */
    const Turnings *turnings;
    Text answers[TURNINGS_MAX]; /* [turnings->n] what is said with them */
} WhyFindings;

/* The word that a method names first. */
typedef struct WhyPointed {
    const char *method; /* as it was named */
    int32_t unit;       /* -1: none */
} WhyPointed;

/* One prompt under examination. */
typedef struct WhyWork {
    MethodCall *call;
    Result *result; /* not looked at here */
    Engine *engine;
    const Model *model;
    Prompt prompt;
    Target target;
    Target contrast;
    TokenRuns words;
    Yardstick *yardstick;
    WhyFindings findings;
    Turnings turnings;
    NamedScorer *scorers; /* [n_scorers] whose first words are held against the causes; none: gradient times input */
    WhyPointed *pointed;  /* [n_scorers], filled by why_find */
    int32_t n_scorers;
} WhyWork;

/* ---- finding (why_find.c). Engine, model, prompt, target and contrast are there; the yardstick is the caller's to
 * free, also after a failure ---- */

limn_status why_begin(WhyWork *work, const YardstickAsked *asked);
limn_status why_find(WhyWork *work);

/* ---- saying (why_words.c) ---- */

/* The whole answer in plain words, in the call's language. With `first` only its first sentences. */
limn_status why_say(TextBuffer *out, const WhyFindings *findings, bool first);
/* "yes": the answer's words, without the space before them. */
Text why_target_text(const WhyFindings *findings, const Target *target);

#endif
