/* What a plan would take, before it is run. */
#include "audit/audit.h"

limn_status audit_dry_run(Audit *audit) {
    static const TableColumn columns[] = {{{"step", 4}, COLUMN_TEXT}, {{"command", 7}, COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "steps", AUDIT_SAYS(audit, "Steps", "步骤"), columns, 2);
    for (int32_t i = 0; i < audit->plan.n_steps; i++) {
        TextBuffer line = TEXT_BUFFER_INIT;
        command_line(&line, &audit->plan, &audit->plan.steps[i]);
        const Value cells[] = {value_text(audit->plan.steps[i].id), value_text(line.data != NULL ? line.data : "")};
        table_row(table, cells);
        text_buffer_free(&line);
    }
    result_headline(
        audit->result,
        AUDIT_SAYS(audit, "%s: %d steps, %d gates; the plan is sound", "%s：%d 个步骤，%d 道关卡；计划可行"),
        audit->plan.title, (int)audit->plan.n_steps, (int)audit->plan.n_gates);
    return result_status(audit->result);
}
