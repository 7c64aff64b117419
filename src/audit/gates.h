/* What the plan demands, judged. */
#ifndef LIMN_AUDIT_GATES_H
#define LIMN_AUDIT_GATES_H

#include "audit/findings.h"
#include "audit/steps.h"

typedef struct GateOutcome {
    const PlanGate *gate;
    Interval figure; /* low, high NaN: no interval */
    CheckState state;
    int32_t rows, rows_bad; /* of a gate over rows */
    const char *why;        /* it could not be judged; NULL: it was */
} GateOutcome;

/* outcomes: [plan->n_gates]. earlier: results of an earlier audit by step id; NULL: there is none. */
limn_status gates_judge(GateOutcome *outcomes, const StepRunner *runner, const Findings *findings,
                        const StepRunner *earlier);

const char *gate_sign(CheckKind op); /* ">=" */

#endif
