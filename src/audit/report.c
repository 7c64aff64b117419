/* The report: verdict, gates, findings first; then what stands behind them. */
#include "audit/audit.h"

#include <math.h>
#include <string.h>

#include "audit/folding.h"

/* ---- the verdict ---- */

static void count_gates(const Audit *audit, int32_t counts[3]) {
    for (int32_t i = 0; i < audit->plan.n_gates; i++) {
        counts[audit->gates[i].state]++;
    }
}

static bool all_were_asked(const Audit *audit) {
    bool all = true;
    for (int32_t i = 0; i < audit->runner.done; i++) {
        all = all && audit->runner.runs[i].refused == LIMN_OK;
    }
    return all;
}

/* As the exit code has it: a step that could not be asked leaves the whole undecided. */
static const char *first_word(const Audit *audit, const int32_t counts[3]) {
    return audit->plan.n_gates == 0 ? AUDIT_SAYS(audit, "No gates in the plan", "计划中没有关卡")
           : counts[CHECK_FAIL] > 0 ? AUDIT_SAYS(audit, "Does not pass", "未通过")
           : counts[CHECK_INCONCLUSIVE] > 0 || !all_were_asked(audit) ? AUDIT_SAYS(audit, "Undecided", "尚无定论")
                                                                      : AUDIT_SAYS(audit, "Passes", "通过");
}

static void say_headline(const Audit *audit) {
    int32_t counts[3] = {0, 0, 0};
    count_gates(audit, counts);
    const char *verdict = first_word(audit, counts);
    int n = audit->findings.n_found;
    const char *plural = AUDIT_SAYS(audit, n == 1 ? "" : "s", "");
    if (audit->plan.n_gates == 0) {
        result_headline(audit->result, AUDIT_SAYS(audit, "%s; %d finding%s. %s", "%s；%d 项发现%s。%s"), verdict, n,
                        plural, audit->plan.title);
    } else {
        result_headline(
            audit->result,
            AUDIT_SAYS(audit, "%s: %d of %d gates hold; %d finding%s. %s", "%s：关卡 %d / %d 成立；%d 项发现%s。%s"),
            verdict, (int)counts[CHECK_PASS], (int)audit->plan.n_gates, n, plural, audit->plan.title);
    }
}

/* Each gate is a check of the result: the exit code is theirs. */
static void add_checks(const Audit *audit) {
    for (int32_t i = 0; i < audit->plan.n_gates; i++) {
        const GateOutcome *outcome = &audit->gates[i];
        const PlanGate *gate = outcome->gate;
        const char *meaning =
            outcome->why != NULL ? outcome->why : AUDIT_SAYS(audit, "a gate of the plan", "计划中的关卡");
        if (outcome->state == CHECK_INCONCLUSIVE) {
            result_check_inconclusive(audit->result, gate->name, outcome->figure.value, gate->op, gate->value, "%s",
                                      meaning);
        } else {
            result_check(audit->result, gate->name, outcome->figure.value, gate->op, gate->value, "%s", meaning);
        }
    }
}

/* What the model or the data could not be asked. */
static void add_refused(const Audit *audit) {
    int32_t refused = 0;
    for (int32_t i = 0; i < audit->runner.done; i++) {
        const StepRun *run = &audit->runner.runs[i];
        if (run->refused != LIMN_OK) {
            result_warn(audit->result, AUDIT_SAYS(audit, "step '%s' could not be asked: %s", "步骤 %s 无法执行：%s"),
                        audit->plan.steps[i].id, run->why);
            refused++;
        }
    }
    if (refused > 0) {
        result_check_inconclusive(audit->result, "steps", (double)(audit->runner.done - refused), CHECK_AT_LEAST,
                                  (double)audit->runner.done,
                                  AUDIT_SAYS(audit, "steps of the plan that could be asked", "计划中能够执行的步骤数"));
    }
}

static void add_failed_checks(const Audit *audit) {
    for (int32_t i = 0; i < audit->runner.done; i++) {
        const Result *result = audit->runner.runs[i].result;
        for (int32_t k = 0; result != NULL && k < result->n_checks; k++) {
            const ResultCheck *check = &result->checks[k];
            if (check->state == CHECK_FAIL && !check->advisory) {
                result_warn(audit->result,
                            AUDIT_SAYS(audit, "step '%s': its check '%.*s' failed; what rests on it is in doubt",
                                       "步骤 %s：检验“%.*s”未通过，以其为据的结论存疑"),
                            audit->plan.steps[i].id, (int)check->name.length, check->name.bytes);
            }
        }
    }
}

/* ---- at a glance ---- */

static void add_gates(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("gate"), COLUMN_TEXT},       {TEXT("outcome"), COLUMN_NAME},
                                          {TEXT("found"), COLUMN_NUMBER},    {TEXT("low"), COLUMN_NUMBER},
                                          {TEXT("high"), COLUMN_NUMBER},     {TEXT("op"), COLUMN_TEXT},
                                          {TEXT("demanded"), COLUMN_NUMBER}, {TEXT("metric"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "gates", AUDIT_SAYS(audit, "Gates", "关卡"), columns, 8);
    for (int32_t i = 0; i < audit->plan.n_gates; i++) {
        const GateOutcome *outcome = &audit->gates[i];
        const Value cells[] = {value_text(outcome->gate->name),     value_text(check_state_name(outcome->state)),
                               value_number(outcome->figure.value), value_number(outcome->figure.low),
                               value_number(outcome->figure.high),  value_text(gate_sign(outcome->gate->op)),
                               value_number(outcome->gate->value),  value_text(outcome->gate->metric)};
        table_row(table, cells);
    }
    result_block_note(
        audit->result, "%s",
        AUDIT_SAYS(audit,
                   "A figure with an interval passes when the whole interval does, fails when none of it does, "
                   "and is inconclusive in between.",
                   "带区间的指标：整个区间满足才算通过，全不满足为未通过，其余为无定论。"));
}

static void add_findings(const Audit *audit) {
    static const TableColumn columns[] = {
        {TEXT("id"), COLUMN_TEXT},    {TEXT("severity"), COLUMN_NAME}, {TEXT("kind"), COLUMN_NAME},
        {TEXT("what"), COLUMN_TOKEN}, {TEXT("where"), COLUMN_TEXT},    {TEXT("effect"), COLUMN_SIGNED},
        {TEXT("low"), COLUMN_SIGNED}, {TEXT("high"), COLUMN_SIGNED},   {TEXT("p"), COLUMN_NUMBER},
        {TEXT("n"), COLUMN_INTEGER},  {TEXT("unit"), COLUMN_NAME}};
    TableBlock *table = result_add_table(audit->result, "findings", AUDIT_SAYS(audit, "Findings", "发现"), columns, 11);
    for (int32_t i = 0; i < audit->findings.n_found; i++) {
        const Hypothesis *item = &audit->findings.items[i];
        const Value cells[] = {value_text(item->id),           value_text(severity_name(item->severity)),
                               value_text(item->kind),         value_text(item->what),
                               value_text(item->where),        value_number(item->effect.value),
                               value_number(item->effect.low), value_number(item->effect.high),
                               value_number(item->adjusted),   value_integer(item->n),
                               value_text(item->unit)};
        table_row(table, cells);
    }
    result_block_note(
        audit->result,
        AUDIT_SAYS(
            audit,
            "p is corrected by Holm over all %d tests of this audit, at %.3g (those of a step that corrects its "
            "own count as one); effects of shares below %.3g are no finding. 0.05 in points is 5 of 100 records.",
            "p 经 Holm 校正（本次审计共 %d 项检验，水平 "
            "%.3g；自行校正的步骤计为一项）；比例效应低于 %.3g 不算发现。0.05 即每 100 条记录中 5 条。"),
        (int)findings_tests(&audit->findings), audit->plan.findings.level, audit->plan.findings.floor);
}

static void add_absent(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("kind"), COLUMN_NAME},
                                          {TEXT("tests"), COLUMN_INTEGER},
                                          {TEXT("smallest effect"), COLUMN_NUMBER},
                                          {TEXT("unit"), COLUMN_NAME},
                                          {TEXT("note"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "not-found",
                                         AUDIT_SAYS(audit, "Looked for and not found", "已查而未发现"), columns, 5);
    for (int32_t i = 0; i < audit->findings.n_absent; i++) {
        const NotFound *absent = &audit->findings.absent[i];
        const Value cells[] = {value_text(absent->kind), value_integer(absent->tested), value_number(absent->smallest),
                               value_text(absent->unit),
                               value_text(absent->why != NULL    ? absent->why
                                          : absent->note != NULL ? absent->note
                                                                 : "")};
        table_row(table, cells);
    }
    result_block_note(
        audit->result, "%s",
        AUDIT_SAYS(audit,
                   "smallest effect: what the bluntest of these tests would have found eight times out of ten, "
                   "all corrections included. A smaller one may be there.",
                   "最小效应：其中最不灵敏的检验在计入全部校正后、十次中能发现八次的效应。更小的效应仍可能存在。"));
}

static void add_evidence(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("id"), COLUMN_TEXT},
                                          {TEXT("what"), COLUMN_TOKEN},
                                          {TEXT("evidence"), COLUMN_TEXT},
                                          {TEXT("null"), COLUMN_TEXT},
                                          {TEXT("shown again by"), COLUMN_TEXT}};
    if (audit->findings.n_found == 0) {
        return;
    }
    TableBlock *table = result_add_table(audit->result, "evidence",
                                         AUDIT_SAYS(audit, "What each finding rests on", "各项发现的依据"), columns, 5);
    for (int32_t i = 0; i < audit->findings.n_found; i++) {
        const Hypothesis *item = &audit->findings.items[i];
        TextBuffer line = TEXT_BUFFER_INIT;
        if (item->command == NULL) {
            command_line(&line, &audit->plan, &audit->plan.steps[item->step]);
        }
        const Value cells[] = {value_text(item->id), value_text(item->what), value_text(item->evidence),
                               value_text(item->null),
                               value_text(item->command != NULL ? item->command
                                          : line.data != NULL   ? line.data
                                                                : "")};
        table_row(table, cells);
        text_buffer_free(&line);
    }
}

static const char *kind_said(const Audit *audit, const char *kind) {
    static const char *const names[][3] = {{"word", "a word that misleads it", "误导它的词"},
                                           {"place", "a place that misleads it", "误导它的位置"},
                                           {"protected", "protected words that move it", "影响判定的受保护词"},
                                           {"group-error", "a group it errs on more", "判错更多的群体"},
                                           {"calibration", "how sure it says it is", "置信程度"},
                                           {"difference", "a difference from another version", "与另一版本之差"},
                                           {"layer", "a part of the model that carries it", "承载它的模型部件"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i][0], kind) == 0) {
            return AUDIT_SAYS(audit, names[i][1], names[i][2]);
        }
    }
    return kind;
}

/* Does `by` stand for it, and is it the first that says so in these words? */
static bool is_another(const Findings *findings, int32_t index, int32_t by) {
    const char *what = findings->items[index].what;
    bool said = strcmp(what, findings->items[by].what) == 0;
    for (int32_t i = 0; i < index && !said; i++) {
        said = strcmp(findings->items[i].what, what) == 0;
    }
    return !said && finding_stands_for(findings, index) == by;
}

/* The others that say the same: "also: so, lighthouse". */
static void also_said(TextBuffer *out, const Audit *audit, int32_t index) {
    const char *before = AUDIT_SAYS(audit, "; also: ", "；另见：");
    for (int32_t i = 0; i < audit->findings.n_found; i++) {
        if (is_another(&audit->findings, i, index)) {
            text_buffer_printf(out, "%s%s", before, audit->findings.items[i].what);
            before = AUDIT_SAYS(audit, ", ", "、");
        }
    }
}

/* What a manager reads: each finding in words, the strongest first; what says the same stands in its row. */
static void add_in_words(const Audit *audit) {
    enum { SHOWN = 12 };
    static const TableColumn columns[] = {{TEXT("severity"), COLUMN_NAME},
                                          {TEXT("what"), COLUMN_TOKEN},
                                          {TEXT("meaning"), COLUMN_TEXT},
                                          {TEXT("evidence"), COLUMN_TEXT}};
    const Findings *findings = &audit->findings;
    int32_t different = 0;
    TableBlock *table =
        result_add_table(audit->result, "in-words", AUDIT_SAYS(audit, "What was found", "发现了什么"), columns, 4);
    for (int32_t i = 0; i < findings->n_found; i++) {
        const Hypothesis *item = &findings->items[i];
        if (finding_stands_for(findings, i) != i || ++different > SHOWN) {
            continue;
        }
        TextBuffer evidence = TEXT_BUFFER_INIT;
        text_buffer_printf(&evidence, "%s", item->evidence);
        also_said(&evidence, audit, i);
        const Value cells[] = {value_text(severity_name(item->severity)), value_text(item->what),
                               value_text(kind_said(audit, item->kind)),
                               value_text(evidence.data != NULL ? evidence.data : item->evidence)};
        table_row(table, cells);
        text_buffer_free(&evidence);
    }
    if (different > SHOWN) {
        result_block_note(audit->result, AUDIT_SAYS(audit, "%d more stand below.", "另有 %d 项见下文。"),
                          (int)(different - SHOWN));
    }
}

/* What was looked for in vain and what nobody looked for, in one paragraph. */
static void add_silence(const Audit *audit) {
    TextBuffer sought = TEXT_BUFFER_INIT, unsought = TEXT_BUFFER_INIT, text = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < audit->findings.n_absent; i++) {
        const NotFound *absent = &audit->findings.absent[i];
        if (absent->besides) { /* others of the kind were found: the table says which were not */
            continue;
        }
        TextBuffer *out = absent->why == NULL ? &sought : &unsought;
        text_buffer_printf(out, "%s%s", out->length > 0 ? AUDIT_SAYS(audit, ", ", "、") : "",
                           kind_said(audit, absent->kind));
    }
    if (audit->findings.n_found == 0) {
        text_buffer_printf(&text, AUDIT_SAYS(audit, "Nothing was found by %d tests. ", "共做 %d 项检验，未有发现。"),
                           (int)findings_tests(&audit->findings));
    }
    if (sought.length > 0) {
        text_buffer_printf(&text, AUDIT_SAYS(audit, "Looked for and not found: %s. ", "已查而未发现：%s。"),
                           sought.data);
    }
    if (unsought.length > 0) {
        text_buffer_printf(&text, AUDIT_SAYS(audit, "Not tested here: %s.", "本次未检验：%s。"), unsought.data);
    }
    if (text.length > 0) {
        result_add_text(audit->result, "summary", "", text.data, text.length, false);
    }
    text_buffer_free(&sought);
    text_buffer_free(&unsought);
    text_buffer_free(&text);
}

limn_status report_glance(Audit *audit) {
    result_add_section(audit->result, "glance", AUDIT_SAYS(audit, "At a glance", "概览"), 1);
    if (audit->findings.n_found > 0) {
        add_in_words(audit);
    }
    add_silence(audit);
    result_add_section(audit->result, "in-figures",
                       AUDIT_SAYS(audit, "Gates and findings in figures", "关卡与发现的数据"), 1);
    add_gates(audit);
    add_findings(audit);
    add_absent(audit);
    add_evidence(audit);
    return result_status(audit->result);
}

limn_status report_write(Audit *audit) {
    say_headline(audit);
    add_checks(audit);
    add_refused(audit);
    add_failed_checks(audit);
    TRY(report_glance(audit));
    TRY(report_system(audit));
    TRY(report_steps(audit));
    TRY(report_cases(audit));
    TRY(report_law(audit));
    return report_appendix(audit);
}
