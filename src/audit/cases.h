/* The decisions of a step, record by record, with what the data set says of each: what detectors count. */
#ifndef LIMN_AUDIT_CASES_H
#define LIMN_AUDIT_CASES_H

#include "audit/steps.h"

enum { CASE_GROUPS_MAX = 8, CASE_NAMES_MAX = 1000, CASES_MAX = 2000000 };

/* Texts met, in the order they were met. */
typedef struct CaseNames {
    const char **items; /* [n] */
    int32_t n, capacity;
} CaseNames;

typedef struct Case {
    int64_t record; /* its number in the data file */
    const char *id;
    const char *prompt;
    int32_t label; /* of names; -1: none */
    int32_t pred;
    double confidence;              /* probability of the decision; NaN: none said */
    bool nominates;                 /* of the half that suggests what to test */
    int32_t cluster;                /* records that belong together */
    int32_t group[CASE_GROUPS_MAX]; /* of group_names[g]; -1: none */
} Case;

typedef struct Cases {
    Case *items; /* [n] */
    int64_t n, capacity;
    int64_t labelled;
    CaseNames names;                        /* of choices */
    CaseNames group_names[CASE_GROUPS_MAX]; /* values of the data set's groups */
    int32_t n_clusters;
    const PlanData *data;
    int32_t step;
} Cases;

/* The step has a file of decisions and a data set. Lies in the runner's arena. */
limn_status cases_read(Cases *cases, StepRunner *runner, int32_t step);

bool case_is_wrong(const Case *item); /* labelled, and decided otherwise */
/* Whether detectors look at a step: decisions of the model that the audit is about, on a data set of the plan. */
bool step_is_judged(const StepRunner *runner, int32_t step);

#endif
