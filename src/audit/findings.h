/* What the audit concludes.
 *
 * Detectors read the results of steps and put hypotheses before the audit: an effect with its interval, a p of a test
 * on records that did not suggest it. All hypotheses of an audit stand under one correction: Holm's over all of them,
 * where those of a step that corrects its own (attribute, sensitive) count as one, at the plan's level; that and an
 * effect of at least the plan's floor make a finding. What was looked for and not found is kept with the smallest
 * effect that would have been found with power .8. */
#ifndef LIMN_AUDIT_FINDINGS_H
#define LIMN_AUDIT_FINDINGS_H

#include "audit/steps.h"
#include "statistics/statistics.h"

typedef enum Severity { SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH } Severity;

typedef struct Hypothesis {
    const char *kind;  /* "word", "place", "group-error", "calibration", "difference", "protected", "layer" */
    const char *what;  /* the thing: "bitcoin" */
    const char *where; /* in what: "label no, 211 records that hold it" */
    const char *label; /* the right answer of the records it is about; NULL: of any */
    Interval effect;
    double points;    /* the same in shares of records, for the floor and severity: 0.02 is 2 points; NaN: not known */
    const char *unit; /* "points", "nats" */
    double p;         /* of its own test; NaN: it could not be made */
    int32_t family;   /* those of one number are corrected among themselves already; 0: a test by itself */
    double adjusted;  /* among all: by findings_conclude */
    int64_t n;        /* records */
    const char *evidence; /* a sentence */
    const char *null;     /* what it beats */
    const char *command;  /* shows it again */
    int32_t step;         /* whose result it is read from */
    bool harmful;         /* the effect's sign is a harm: else it is told and not counted a fault */
    bool found;
    Severity severity;
    char id[20]; /* stable: of kind, what and where */
} Hypothesis;

/* A search that came to nothing. */
typedef struct NotFound {
    const char *kind, *what;
    int64_t tested;  /* hypotheses */
    double smallest; /* effect that would have been found with power .8; NaN: not known */
    const char *unit;
    const char *why;  /* NULL: it was looked for */
    const char *note; /* what came nearest, or which these were; NULL: nothing is said of it */
    bool besides;     /* others of the kind were found */
} NotFound;

typedef struct Findings {
    Hypothesis *items; /* [n]: findings first, by severity and size, once concluded */
    int32_t n, capacity, n_found;
    NotFound *absent; /* [n_absent] */
    int32_t n_absent, absent_capacity;
    Arena *arena;
} Findings;

limn_status findings_add(Findings *findings, const Hypothesis *hypothesis);
limn_status findings_add_absent(Findings *findings, const NotFound *absent);
/* Corrects, decides, orders, names. */
limn_status findings_conclude(Findings *findings, const FindingRules *rules);
/* By how many an effect's chance is divided: the tests of the audit, times those of its own family. */
int64_t findings_burden(const Findings *findings, const Hypothesis *item);
int32_t findings_tests(const Findings *findings); /* a family counts once */
/* how many: "total", "high", "medium", "low" or a kind */
int64_t findings_count(const Findings *findings, const char *what);
const char *severity_name(Severity severity);

/* Whether any step looked for it: for "word" or another kind; for anything else, for any kind. */
bool findings_were_sought(const Findings *findings, const StepRunner *runner, const char *what);

/* Runs every detector over the steps there are (detectors.def). Detectors may add steps of their own and run them. */
limn_status findings_detect(Findings *findings, StepRunner *runner);

#endif
