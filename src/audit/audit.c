/* `limn audit plan.yaml`: one plan in, a report out, a gate for release.
 *
 * The plan is checked whole before any work (plan.h); its steps are commands, called by name, whose results are kept by
 * the hash of what they were made of (steps.h); detectors turn results into hypotheses, one family of which Holm's
 * correction makes findings (findings.h); gates judge figures (gates.h) and become the checks of the result, so the
 * exit code is theirs. The result is a report with sections, which every renderer shows.
 *
 * Invariants: the same plan, files and version give the same bytes, whatever was kept, interrupted or run again; no
 * clock steers anything. How it fails: it sees what its steps see. A fault that no step looks for and no record shows
 * is not found, and the report says what was looked for. */
#include "audit/audit.h"

#include <stdio.h>
#include <string.h>

#include "audit/record.h"
#include "base/file.h"

static limn_status read_plan(Audit *audit) {
    const AuditParams *params = audit->params;
    PlanOverrides overrides = {.models = &params->models,
                               .data = &params->data,
                               .sample = params->sample != PARAM_NO_INTEGER ? params->sample : 0,
                               .language = params->language.bytes};
    if (params->budget.bytes != NULL) {
        TRY(plan_duration(&overrides.budget, params->budget.bytes));
    }
    TRY(plan_read(&audit->plan, audit->call->registry, params->plan.bytes, &overrides, audit->call->arena));
    if (audit->plan.language == LANGUAGE_ZH) {
        result_param_text(audit->result, "language", "zh");
    }
    return LIMN_OK;
}

static limn_status check_outputs(const AuditParams *params) {
    const Text *files[] = {&params->junit, &params->sarif, &params->summary};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        TRY(files[i]->bytes != NULL ? file_check_output(files[i]->bytes) : LIMN_OK);
    }
    return LIMN_OK;
}

static limn_status conclude(Audit *audit) {
    audit->gates = ARENA_ARRAY(audit->call->arena, GateOutcome, audit->plan.n_gates + 1);
    if (audit->gates == NULL) {
        return method_no_memory(audit->call);
    }
    TRY(findings_detect(&audit->findings, &audit->runner));
    TRY(case_pages_run(&audit->pages, &audit->runner));
    TRY(index_write(audit));
    TRY(gates_judge(audit->gates, &audit->runner, &audit->findings, audit->has_earlier ? &audit->earlier : NULL));
    TRY(audit_redact_parts(audit));
    TRY(report_write(audit));
    TRY(audit_redact_report(audit));
    return audit_write_files(audit);
}

static limn_status work(Audit *audit) {
    const AuditParams *params = audit->params;
    TRY(check_outputs(params));
    TRY(read_plan(audit));
    if (params->dry_run) {
        return audit_dry_run(audit);
    }
    TRY(audit_take_budget(audit, params->work.bytes));
    TRY(step_runner_open(&audit->runner, audit->call, &audit->plan, params->work.bytes));
    if (params->baseline.bytes != NULL) {
        TRY(baseline_open(audit));
    }
    TRY(audit_weigh(audit->runner.weights, audit));
    TRY(audit_redact_begin(audit));
    if (params->work.bytes == NULL) {
        TRY(steps_run(&audit->runner));
        return conclude(audit);
    }
    AuditLog log = {.file = -1};
    limn_status status = record_open(&log, audit);
    audit->runner.log = &log;
    status = status == LIMN_OK ? steps_run(&audit->runner) : status;
    status = status == LIMN_OK ? conclude(audit) : status;
    status = status == LIMN_OK ? record_close(&log, audit) : status;
    log_close(&log);
    audit->runner.log = NULL;
    return status;
}

static limn_status run(MethodCall *call, Result *result) {
    Audit audit = {.call = call, .params = call->params, .result = result};
    audit.findings.arena = call->arena;
    if (audit.params->init) {
        return audit_init(call, result);
    }
    limn_status status = work(&audit);
    ErrorState error;
    error_save(&error);
    step_runner_close(&audit.runner, audit.params->work.bytes == NULL);
    step_runner_close(&audit.earlier, false);
    audit_redact_end(&audit);
    plan_free(&audit.plan);
    return status == LIMN_OK ? result_status(result) : error_restore(&error);
}

static const limn_param rows[] = {
    {"plan", 0, LIMN_PARAM_TEXT, .positional = true, .required = true, .metavar = "PLAN",
     .help = "the plan, YAML: docs/audit.md; with --init the file that is written",
     .field = offsetof(AuditParams, plan)},
    PARAM_ROW(
        "work", 0, LIMN_PARAM_OUTPUT, "DIR",
        "the folder that keeps each step's result: an audit that was stopped goes on there, and a changed plan runs "
        "only what changed",
        offsetof(AuditParams, work)),
    {"model", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "NAME=PATH",
     .help = "where a model of the plan lies here; with --init: the model", .field = offsetof(AuditParams, models)},
    {"data", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "NAME=FILE",
     .help = "where a data set of the plan lies here; with --init: the data set", .field = offsetof(AuditParams, data)},
    PARAM_ROW("adapter", 0, LIMN_PARAM_TEXT, "DIR", "with --init: the adapter on top of the model",
              offsetof(AuditParams, adapter)),
    {"sample", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 1, .maximum = 1e9,
     .help = "of every data set N records at random, whatever the plan says", .field = offsetof(AuditParams, sample)},
    PARAM_ROW("budget", 0, LIMN_PARAM_TEXT, "TIME", "with --dry-run: how many records fit into 90s, 20m or 2h",
              offsetof(AuditParams, budget)),
    {"language", 0, LIMN_PARAM_TEXT, .metavar = "LANGUAGE", .help = "of the report, en or zh; by default the plan's",
     .field = offsetof(AuditParams, language)},
    PARAM_ROW("dry-run", 0, LIMN_PARAM_FLAG, NULL, "check the plan and list its steps with estimated time and memory",
              offsetof(AuditParams, dry_run)),
    PARAM_ROW("init", 0, LIMN_PARAM_FLAG, NULL, "write a plan with comments for --model and --data",
              offsetof(AuditParams, init)),
    PARAM_ROW("baseline", 0, LIMN_PARAM_FILE, "DIR", "the work folder of an earlier audit, for gates on drift",
              offsetof(AuditParams, baseline)),
    PARAM_ROW("key", 0, LIMN_PARAM_TEXT, "FILE",
              "the Ed25519 key that signs the record, made when it is not there; without it a key in the work folder",
              offsetof(AuditParams, key)),
    PARAM_ROW(
        "redact", 0, LIMN_PARAM_FILE, "KEY",
        "leave out what records say and what they are called; a salted commitment by the key in KEY (made where it "
        "is not there) stands in the place of each text",
        offsetof(AuditParams, redact)),
    PARAM_ROW("junit", 0, LIMN_PARAM_OUTPUT, "FILE.xml", "write gates and findings as JUnit test cases",
              offsetof(AuditParams, junit)),
    PARAM_ROW("sarif", 0, LIMN_PARAM_OUTPUT, "FILE.sarif", "write gates and findings as SARIF 2.1.0",
              offsetof(AuditParams, sarif)),
    PARAM_ROW("summary", 0, LIMN_PARAM_OUTPUT, "FILE", "write verdict, gates and findings as short JSON",
              offsetof(AuditParams, summary)),
};

const Method method_audit = {
    .command =
        {.name = "audit",
         .summary = "examine a model by a plan: findings, gates, a report",
         .description =
             "Runs the steps of a plan (each a command with its options), concludes what they found with one "
             "correction over all tests, judges the plan's gates and writes a report. The plan is checked whole "
             "before any work. The exit code is 0 when all gates hold, 1 when one fails, 4 when the evidence for "
             "one does not decide. With --work an interrupted audit goes on where it stopped.",
         .examples = "limn audit plan.yaml --init --model MODEL --adapter DIR --data tweets.jsonl\n"
                     "limn audit plan.yaml --dry-run\n"
                     "limn audit plan.yaml --work out/audit -o out/audit.html -o out/audit.md --junit out/audit.xml\n"
                     "limn audit plan.yaml --work out/now --baseline out/previous --sarif out/audit.sarif",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0],
         .from_record = true},
    .title = "Audit",
    .params_bytes = sizeof(AuditParams),
    .run = run,
};
