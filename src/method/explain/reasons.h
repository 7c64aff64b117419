/* What `reasons` is asked and has found, as the part that puts it into words sees it. */
#ifndef LIMN_METHOD_EXPLAIN_REASONS_H
#define LIMN_METHOD_EXPLAIN_REASONS_H

#include "ask/data_source.h"
#include "measure/choice_names.h"
#include "measure/yardstick_rows.h"
#include "method/explain/why.h"

typedef struct ReasonsParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    YardstickParams yardstick;
    DataParams data;
    ParamTexts choices;
    Text labels;
    Text decision; /* only decisions that came out so */
    int64_t most;
} ReasonsParams;

/* A cause that survived: told from 0 among all words tried, and again over draws of its own. */
typedef struct Reason {
    int32_t unit;
    const Effect *first; /* among all words tried */
    const Effect *again; /* over draws of another seed */
    int32_t fresh;       /* those of them that were not drawn at first; 0: there are no other words that fit */
} Reason;

/* One decision. */
typedef struct Decided {
    WhyWork why;
    Text record;            /* its id; absent: there is only one */
    Text name, other;       /* what was decided; what else could have been, absent: not known */
    bool many;              /* of more than two: what it would have been instead is not said */
    const TextSpan *fields; /* [n_fields] what is the record\'s own; n 0: all */
    int32_t n_fields;
    const Reason *reasons; /* [n] the weightiest first */
    int32_t n;
    int32_t dropped; /* causes that did not hold over draws of another seed */
    int32_t judged;  /* causes, held or dropped, that had fresh draws */
    int32_t held;    /* those of them that held */
} Decided;

/* The whole work. */
typedef struct Reasons {
    MethodCall *call;
    const ReasonsParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    ChoiceNames names; /* n 0: no choices were given */
    DataParams data;   /* how the source is asked: borrowed by it */
    DataSource *source;
    TableBlock *table, *changes, *decisions; /* decisions: with a data set */
    int64_t decided, explained, left_out;
    double error;         /* the largest of plain passes; NaN: none */
    int64_t judged, held; /* causes that fresh draws could judge; those of them that were clear again */
} Reasons;

/* ---- what is shown (reasons_report.c) ---- */

void reasons_begin_tables(Reasons *reasons);
limn_status reasons_add(Reasons *reasons, const Decided *decided);
void reasons_check(Reasons *reasons);
limn_status reasons_sum_up(Reasons *reasons); /* of a data set */

/* ---- what is said (reasons_say.c) ---- */

/* All of it in the call's language, for the person decided upon: one paragraph. */
limn_status reasons_say(TextBuffer *out, const Decided *decided);
/* The sentence or line around a word, "Talking of bitcoin.", within what is the record's own; borrowed. */
Text reasons_place(const Decided *decided, int32_t unit);
/* The smallest change that would have turned the decision; NULL: none was found. */
const Turning *reasons_turning(const Decided *decided);

#endif
