/* A step as a person would type it. */
#include "call/command_line.h"
#include "audit/audit.h"

limn_status command_line(TextBuffer *out, const Plan *plan, const PlanStep *step) {
    (void)plan;
    return command_line_of(out, &step->method->command, step->params);
}
