/* What each step found: its own words, blocks and pictures, under the question it answers. */
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"

/* Commands by what they say of a model; what no row names stands under the last one. */
static const struct {
    const char *commands, *id, *english, *chinese;
} sections[] = {
    {"|predict|compare decisions|", "behaviour", "How it decides", "判定表现"},
    {"|sensitive|", "fairness", "Protected attributes and groups", "受保护属性与群体"},
    {"|attribute|replace|why|ig|grad|", "local", "What drives its decisions", "判定的依据"},
    {"|mediate|surgery|patch|diff|", "inside", "Where inside the model", "模型内部的所在"},
    {"|trigger|attack|", "adversarial", "Against an adversary", "对抗检验"},
    {"|self-explain|", "self", "What it says of itself", "模型的自我解释"},
    {"", "other", "Other steps", "其他步骤"},
};
enum { SECTIONS = sizeof sections / sizeof sections[0] };

static int section_of(const PlanStep *step) {
    char wanted[80];
    snprintf(wanted, sizeof wanted, "|%s|", step->method->command.name);
    for (int i = 0; i < SECTIONS - 1; i++) {
        if (strstr(sections[i].commands, wanted) != NULL) {
            return i;
        }
    }
    return SECTIONS - 1;
}

static void add_step(const Audit *audit, int32_t i) {
    const PlanStep *step = &audit->plan.steps[i];
    const Result *result = audit->runner.runs[i].result;
    char id[96];
    snprintf(id, sizeof id, "step-%s", step->id);
    const char *title = step->title != NULL ? step->title : step->method->title;
    result_add_section(audit->result, id, title, 2);
    snprintf(id, sizeof id, "said-%s", step->id);
    result_add_text(audit->result, id, "", result->headline.bytes != NULL ? result->headline.bytes : "",
                    result->headline.length, false);
    for (int32_t k = 0; k < result->n_blocks; k++) {
        if (result->blocks[k].kind != BLOCK_SECTION) {
            snprintf(id, sizeof id, "s%d-%.60s", (int)i + 1, result->blocks[k].id);
            result_copy_block(audit->result, &result->blocks[k], id);
        }
    }
}

limn_status report_steps(Audit *audit) {
    for (int section = 0; section < SECTIONS; section++) {
        bool begun = false;
        for (int32_t i = 0; i < audit->runner.done; i++) {
            if (audit->runner.runs[i].result == NULL ||
                (audit->plan.steps[i].added && audit->plan.steps[i].title == NULL) ||
                section_of(&audit->plan.steps[i]) != section) {
                continue;
            }
            if (!begun) {
                result_add_section(audit->result, sections[section].id,
                                   AUDIT_SAYS(audit, sections[section].english, sections[section].chinese), 1);
                result_block_detail(audit->result);
                begun = true;
            }
            add_step(audit, i);
        }
    }
    return result_status(audit->result);
}
