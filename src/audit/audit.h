/* What the parts of `limn audit` share. */
#ifndef LIMN_AUDIT_AUDIT_H
#define LIMN_AUDIT_AUDIT_H

#include "audit/case_pages.h"
#include "audit/gates.h"
#include "files/commitment.h"

typedef struct AuditParams {
    Text plan;
    Text work;
    ParamTexts models, data;
    Text adapter;
    int64_t sample;
    Text budget;
    Text language;
    bool dry_run, init;
    Text baseline;
    Text key;
    Text redact; /* the file of the key */
    Text junit, sarif, summary;
} AuditParams;

typedef struct Audit {
    MethodCall *call;
    const AuditParams *params;
    Result *result;
    Plan plan;
    StepRunner runner;
    StepRunner earlier; /* runs only: of --baseline */
    bool has_earlier;
    Findings findings;
    CasePages pages;
    GateOutcome *gates; /* [plan.n_gates] */
    Redactor redactor;  /* in use where the runner has it */
    CommitmentKey key;
} Audit;

#define AUDIT_SAYS(audit, english, chinese) ((audit)->plan.language == LANGUAGE_ZH ? (chinese) : (english))

/* ---- the report: blocks of the audit's own result, in their order ---- */

limn_status report_write(Audit *audit);
limn_status report_glance(Audit *audit);   /* what a manager reads in a minute */
limn_status report_system(Audit *audit);   /* whose system, which models, which data */
limn_status report_steps(Audit *audit);    /* what each step found */
limn_status report_cases(Audit *audit);    /* misjudged inputs one by one */
limn_status report_law(Audit *audit);      /* which section serves which duty */
limn_status report_appendix(Audit *audit); /* to repeat it */

/* "limn predict MODEL DATA --choices ..." as a shell reads it. */
limn_status command_line(TextBuffer *out, const Plan *plan, const PlanStep *step);

/* ---- an earlier audit (baseline.c) ---- */

limn_status index_write(const Audit *audit); /* which file is the result of which step */
limn_status baseline_open(Audit *audit); /* reads the earlier results; adds a comparison for each file of decisions */

/* ---- texts of records left out (redact.c); nothing is done where --redact is not given ---- */

limn_status audit_redact_begin(Audit *audit);  /* before steps run: the key, and what is to be left out */
limn_status audit_redact_parts(Audit *audit);  /* before the report is put together: findings, results, cases */
limn_status audit_redact_report(Audit *audit); /* behind it, with the list of what was left out */
void audit_redact_end(Audit *audit);

/* ---- other files ---- */

/* dry.c */
typedef struct Estimate {
    double seconds_a_unit; /* NaN: nothing could be measured */
    int64_t records[PLAN_NAMES_MAX];
    int64_t peak;    /* bytes */
    int32_t refused; /* the last step that was tried and could not be asked; -1: none */
    const char *why; /* that */
} Estimate;

limn_status audit_dry_run(Audit *audit);
limn_status audit_weigh(double *weights, const Audit *audit);  /* [plan.n_steps] expected work of each step */
limn_status audit_take_budget(Audit *audit, const char *work); /* numbers of records, kept in the work folder */
limn_status audit_init(MethodCall *call, Result *result);      /* init.c */
limn_status audit_write_files(const Audit *audit);             /* exports.c: JUnit, SARIF, summary */

#endif
