/* What the parts of `limn compare decisions` share: pairing and counting (compare_decisions.c), what it says
 * (compare_report.c). */
#ifndef LIMN_METHOD_DATA_COMPARE_DECISIONS_H
#define LIMN_METHOD_DATA_COMPARE_DECISIONS_H

#include "base/map.h"
#include "measure/limits.h"
#include "method/data/decisions.h"
#include "statistics/proportions.h"

enum { COMPARE_CHOICES_MAX = 1000, COMPARE_GROUPS_MAX = 1000 };

typedef struct CompareParams {
    Text a, b;
    LimitParams limits;
    int64_t top;
    int32_t language; /* Language */
} CompareParams;

/* Names met in either file, in the order they were met. */
typedef struct NameList {
    Text *names; /* [n] */
    int32_t n, most;
    Map places;
} NameList;

/* One record decided twice. Places of names; -1: none. */
typedef struct Pair {
    int32_t a, b, label, group;
    double loss[2]; /* log-loss of a and b; NaN: none */
    double brier[2];
} Pair;

typedef struct Changed { /* a record whose decision is another one */
    int64_t pair;
    int32_t rank; /* 0: became wrong, 1: became right, 2: else */
    Text id, prompt;
    double confidence[2];
} Changed;

typedef struct Comparing {
    MethodCall *call;
    const CompareParams *params;
    Result *result;
    const char *names[2]; /* of the files, as people see them */
    NameList choices, groups;
    Pair *pairs; /* [n] in the order of b */
    int64_t n, capacity;
    Changed *changed; /* [n_kept] of params->top, the worst first */
    int32_t n_kept;
    int64_t n_changed;
    int64_t only[2];    /* records that one file alone has */
    int64_t skipped[2]; /* without a decision */
    int64_t other_data; /* pairs whose records differ */
    int64_t labelled;
    Limits limits;
} Comparing;

/* What differs in one measure over the pairs of a group (-1: all). */
typedef struct PairedMeasure {
    int64_t n;
    double a, b;
    Interval difference;    /* b less a; of `changed` the share itself */
    double p;               /* NaN: no test */
    int64_t only_a, only_b; /* right, or chosen, by one alone; -1: not of that kind */
} PairedMeasure;

typedef enum CompareMeasure {
    COMPARE_ACCURACY,
    COMPARE_SHARE,
    COMPARE_LOG_LOSS,
    COMPARE_BRIER,
    COMPARE_CHANGED
} CompareMeasure;

/* choice: of COMPARE_SHARE. */
limn_status compare_measure(PairedMeasure *measured, const Comparing *comparing, CompareMeasure measure, int32_t choice,
                            int32_t group);

limn_status compare_read_limits(Comparing *comparing);  /* before the files are read */
limn_status compare_check_limits(Comparing *comparing); /* once choices and groups are known */
limn_status compare_report(const Comparing *comparing);

#endif
