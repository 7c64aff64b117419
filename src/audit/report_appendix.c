/* To repeat it: checks (failed ones first), steps with their keys, commands, versions. */
#include "audit/audit.h"

static void add_checks_of(const Audit *audit, TableBlock *table, CheckState state) {
    for (int32_t i = 0; i < audit->runner.done; i++) {
        const Result *result = audit->runner.runs[i].result;
        for (int32_t k = 0; result != NULL && k < result->n_checks; k++) {
            const ResultCheck *check = &result->checks[k];
            if (check->state != state) {
                continue;
            }
            const Value cells[] = {value_text(audit->plan.steps[i].id),
                                   value_bytes(check->name.bytes, check->name.length),
                                   value_text(check_state_name(check->state)),
                                   value_number(check->value),
                                   value_text(check_kind_name(check->kind)),
                                   value_number(check->limit),
                                   value_bytes(check->meaning.bytes, check->meaning.length)};
            table_row(table, cells);
        }
    }
}

static void add_checks(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("step"), COLUMN_TEXT},     {TEXT("check"), COLUMN_NAME},
                                          {TEXT("outcome"), COLUMN_NAME},  {TEXT("found"), COLUMN_NUMBER},
                                          {TEXT("relation"), COLUMN_TEXT}, {TEXT("limit"), COLUMN_NUMBER},
                                          {TEXT("meaning"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "step-checks",
                                         AUDIT_SAYS(audit, "Checks of the steps", "各步骤的检验"), columns, 7);
    add_checks_of(audit, table, CHECK_FAIL);
    add_checks_of(audit, table, CHECK_INCONCLUSIVE);
    add_checks_of(audit, table, CHECK_PASS);
}

static void add_warnings(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("step"), COLUMN_TEXT}, {TEXT("warning"), COLUMN_TEXT}};
    TableBlock *table = NULL;
    for (int32_t i = 0; i < audit->runner.done; i++) {
        const Result *result = audit->runner.runs[i].result;
        for (int32_t k = 0; result != NULL && k < result->n_warnings; k++) {
            if (table == NULL) {
                table = result_add_table(audit->result, "step-warnings",
                                         AUDIT_SAYS(audit, "Warnings of the steps", "各步骤的提醒"), columns, 2);
            }
            const Value cells[] = {value_text(audit->plan.steps[i].id),
                                   value_bytes(result->warnings[k].bytes, result->warnings[k].length)};
            table_row(table, cells);
        }
    }
}

static void add_steps(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("step"), COLUMN_TEXT},    {TEXT("key"), COLUMN_TEXT},
                                          {TEXT("version"), COLUMN_TEXT}, {TEXT("run in"), COLUMN_TEXT},
                                          {TEXT("seed"), COLUMN_INTEGER}, {TEXT("command"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "steps", AUDIT_SAYS(audit, "Steps", "步骤"), columns, 6);
    for (int32_t i = 0; i < audit->runner.done; i++) {
        const StepRun *run = &audit->runner.runs[i];
        TextBuffer line = TEXT_BUFFER_INIT;
        command_line(&line, &audit->plan, &audit->plan.steps[i]);
        static const ResultProvenance none;
        const ResultProvenance *provenance = run->result != NULL ? &run->result->provenance : &none;
        const Value cells[] = {value_text(audit->plan.steps[i].id),
                               value_bytes(run->key, 16),
                               value_bytes(provenance->version.bytes, provenance->version.length),
                               value_bytes(provenance->compute.bytes, provenance->compute.length),
                               value_integer((int64_t)provenance->seed),
                               value_text(line.data != NULL ? line.data : "")};
        table_row(table, cells);
        text_buffer_free(&line);
    }
    result_block_note(
        audit->result, "%s",
        AUDIT_SAYS(audit,
                   "key: SHA-256 over version, command, parameters and the content of every file the step "
                   "reads (first 16 digits)",
                   "键：对版本、命令、参数及该步骤读取的全部文件内容所作的 SHA-256（前 16 位）"));
}

/* All hypotheses, found or not: the family that was corrected over. */
static void add_family(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("kind"), COLUMN_NAME},  {TEXT("what"), COLUMN_TOKEN},
                                          {TEXT("where"), COLUMN_TEXT}, {TEXT("effect"), COLUMN_SIGNED},
                                          {TEXT("low"), COLUMN_SIGNED}, {TEXT("high"), COLUMN_SIGNED},
                                          {TEXT("n"), COLUMN_INTEGER},  {TEXT("p alone"), COLUMN_NUMBER},
                                          {TEXT("p"), COLUMN_NUMBER},   {TEXT("found"), COLUMN_FLAG}};
    TableBlock *table =
        result_add_table(audit->result, "hypotheses", AUDIT_SAYS(audit, "All hypotheses", "全部假设"), columns, 10);
    for (int32_t i = 0; i < audit->findings.n; i++) {
        const Hypothesis *item = &audit->findings.items[i];
        const Value cells[] = {value_text(item->kind),         value_text(item->what),
                               value_text(item->where),        value_number(item->effect.value),
                               value_number(item->effect.low), value_number(item->effect.high),
                               value_integer(item->n),         value_number(item->p),
                               value_number(item->adjusted),   value_bool(item->found)};
        table_row(table, cells);
    }
}

limn_status report_appendix(Audit *audit) {
    result_add_section(audit->result, "appendix", AUDIT_SAYS(audit, "Appendix: to repeat it", "附录：如何重现"), 1);
    result_block_detail(audit->result);
    add_checks(audit);
    add_warnings(audit);
    add_steps(audit);
    add_family(audit);
    return result_status(audit->result);
}
