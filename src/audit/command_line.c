/* A step as a person would type it. What lies in the work folder is named by it, wherever that is. */
#include "call/command_line.h"

#include <string.h>

#include "audit/audit.h"

static json_t *shown(const Plan *plan, const json_t *value) {
    size_t length = plan->work != NULL ? strlen(plan->work) : 0;
    const char *text = json_string_value(value);
    bool inside = text != NULL && length > 0 && strncmp(text, plan->work, length) == 0 && text[length] == '/';
    return inside ? json_sprintf("WORK%s", text + length) : json_deep_copy(value);
}

limn_status command_line(TextBuffer *out, const Plan *plan, const PlanStep *step) {
    json_t *params = json_object();
    const char *name;
    json_t *value;
    limn_status status = params != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
    json_object_foreach(step->params, name, value) {
        if (status == LIMN_OK && json_object_set_new(params, name, shown(plan, value)) != 0) {
            status = fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
        }
    }
    status = status == LIMN_OK ? command_line_of(out, &step->method->command, params) : status;
    json_decref(params);
    return status;
}
