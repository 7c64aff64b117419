/* A page for each misjudged input: what it is, what was decided, which words drove it. */
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"

static void say_case(const Audit *audit, const CasePage *page, int32_t number) {
    const Cases *cases = audit->pages.cases;
    const Case *item = page->item;
    char text[400], id[64];
    int length = snprintf(text, sizeof text,
                          AUDIT_SAYS(audit, "Record %.80s: decided '%.60s' with %.1f%%, labelled '%.60s'.",
                                     "记录 %.80s：判定为“%.60s”（%.1f%%），标签为“%.60s”。"),
                          item->id, cases->names.items[item->pred], 100 * item->confidence,
                          item->label >= 0 ? cases->names.items[item->label] : "-");
    snprintf(id, sizeof id, "case-%d-said", (int)number);
    result_add_text(audit->result, id, "", text, length > 0 && length < (int)sizeof text ? (size_t)length : 0, false);
    snprintf(id, sizeof id, "case-%d-prompt", (int)number);
    result_add_text(audit->result, id, AUDIT_SAYS(audit, "Prompt", "提示"), item->prompt, strlen(item->prompt), true);
}

static void add_page(const Audit *audit, const CasePage *page, int32_t number) {
    const StepRun *run = &audit->runner.runs[page->step];
    char id[96], title[160];
    snprintf(id, sizeof id, "case-%d", (int)number);
    snprintf(title, sizeof title, AUDIT_SAYS(audit, "Case %d: record %.80s", "个案 %d：记录 %.80s"), (int)number,
             page->item->id);
    result_add_section(audit->result, id, title, 2);
    say_case(audit, page, number);
    const Result *result = run->result;
    if (result == NULL) {
        return;
    }
    snprintf(id, sizeof id, "case-%d-answer", (int)number);
    result_add_text(audit->result, id, result->method_title.bytes,
                    result->headline.bytes != NULL ? result->headline.bytes : "", result->headline.length, false);
    for (int32_t pass = 0; pass < 2; pass++) { /* the heatmap first */
        for (int32_t k = 0; k < result->n_blocks; k++) {
            const Block *block = &result->blocks[k];
            bool strip = block->kind == BLOCK_TOKENS;
            if (strip == (pass == 0) && block->kind != BLOCK_SECTION && (strip || !block->detail)) {
                snprintf(id, sizeof id, "c%d-%.60s", (int)number, block->id);
                result_copy_block(audit->result, block, id);
            }
        }
    }
}

limn_status report_cases(Audit *audit) {
    if (audit->pages.n == 0) {
        return LIMN_OK;
    }
    result_add_section(audit->result, "cases", AUDIT_SAYS(audit, "Misjudged inputs, one by one", "误判输入逐例"), 1);
    result_block_detail(audit->result);
    for (int32_t i = 0; i < audit->pages.n; i++) {
        add_page(audit, &audit->pages.items[i], i + 1);
    }
    return result_status(audit->result);
}
