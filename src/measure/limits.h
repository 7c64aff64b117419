/* Limits on measures, as a command line says them: --at-least accuracy=0.9, --at-most share-gap:yes=10%, --at-least
 * recall:yes@zh=0.8 (of one group), --at-least 'accuracy@*=0.8' (of each).
 *
 * A limit is judged by the measure's 95% interval: clear of it on the good side passes, on the bad side fails, and
 * where the limit lies inside, or there is no interval, the evidence does not decide. */
#ifndef LIMN_MEASURE_LIMITS_H
#define LIMN_MEASURE_LIMITS_H

#include "call/method.h"
#include "statistics/statistics.h"

typedef struct LimitParams {
    ParamTexts at_least, at_most;
} LimitParams;

#define LIMIT_ROWS(type, member)                                                                                       \
    {.name = "at-least",                                                                                               \
     .kind = LIMN_PARAM_TEXT,                                                                                          \
     .repeated = true,                                                                                                 \
     .metavar = "MEASURE=X",                                                                                           \
     .help = "a check that the measure's interval lies at or above X: accuracy=0.9, recall:yes@zh=80% (of the group "  \
             "zh), 'accuracy@*=0.8' (of each group); exit code 1 below, 4 where the limit lies inside",                \
     .field = offsetof(type, member.at_least)},                                                                        \
    {                                                                                                                  \
        .name = "at-most", .kind = LIMN_PARAM_TEXT, .repeated = true, .metavar = "MEASURE=X",                          \
        .help = "the same for measures that should be low: ece=0.05, share-gap:yes=0.1",                               \
        .field = offsetof(type, member.at_most)                                                                        \
    }

typedef struct Limit {
    const char *given; /* "recall:yes@zh" */
    Text measure;      /* "recall" */
    Text choice;       /* "yes"; absent: none said */
    Text group;        /* "zh"; absent: of all records */
    bool each;         /* "@*": of each group */
    CheckKind kind;    /* CHECK_AT_LEAST or CHECK_AT_MOST */
    double limit;
    int32_t row, place; /* of the measure and the choice: the method's own */
} Limit;

typedef struct Limits {
    Limit *items; /* [n] in the call's arena */
    int32_t n;
} Limits;

limn_status limits_parse(Limits *limits, MethodCall *call, const LimitParams *params);
/* For a measure that is not there. known: "accuracy, share:CHOICE, ..." */
limn_status limit_unknown(const Limit *limit, const char *known);
const char *limit_option(const Limit *limit); /* "at-least" */

/* Adds the check. about: "of 400 records", for its meaning. */
void limit_judge(Result *result, const MethodCall *call, const Limit *limit, const char *name, Interval interval,
                 const char *about);

#endif
