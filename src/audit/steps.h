/* The steps of a plan, run one after another. A step's result is kept in the work folder under the hash of all that it
 * was made of, so an audit that was interrupted goes on where it stopped, and a changed step runs again with only what
 * depends on it. */
#ifndef LIMN_AUDIT_STEPS_H
#define LIMN_AUDIT_STEPS_H

#include "audit/hash.h"
#include "result/redact.h"

typedef struct StepRun {
    Result *result; /* NULL: not run, or it could not be */
    char key[HASH_HEX];
    const char *file;      /* of the result, in the work folder */
    const char *decisions; /* its file of decisions; NULL: it leaves none */
    bool kept;             /* was there already */
    limn_status refused;   /* not LIMN_OK: the model or the data cannot be asked this */
    const char *why;
} StepRun;

typedef struct AuditLog AuditLog; /* log.h */

typedef struct StepRunner {
    MethodCall *call;
    AuditLog *log;      /* hears of each step; NULL: nobody does */
    Redactor *redactor; /* what goes out is without texts of records; NULL: with them */
    Plan *plan;
    ModelCache *models; /* holds one model of the plan: an audit takes no more memory than its largest step */
    int32_t open;       /* which one; -1: none */
    const char *work;   /* folder */
    FileHashes hashes;
    StepRun *runs;      /* [PLAN_STEPS_MAX] */
    const char **keys;  /* [PLAN_STEPS_MAX] */
    double *weights;    /* [PLAN_STEPS_MAX] expected work, in any unit */
    int32_t done;       /* steps run so far */
    double begun;       /* by estimate_clock: for the time left, which is shown and nothing else */
    double kept_weight; /* of steps that were there: they took no time */
} StepRunner;

/* work NULL: a temporary folder. */
limn_status step_runner_open(StepRunner *runner, MethodCall *call, Plan *plan, const char *work);
void step_runner_close(StepRunner *runner, bool temporary);

/* Runs all steps of the plan that have not run yet. A step that cannot be asked of this model or data is marked and
 * the others go on; any other failure ends the audit. */
limn_status steps_run(StepRunner *runner);
/* The file that a command appends to as it works and goes on with after a stop, by this option; NULL: it is none such.
 */
limn_status step_resumed_file(const char **file, const StepRunner *runner, int32_t step, const limn_param *row);
bool step_cannot_be_asked(limn_status status);

#endif
