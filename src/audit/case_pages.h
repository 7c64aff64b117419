/* Misjudged inputs one by one: the surest mistakes of the first step that is judged, each explained by the command that
 * the plan's `cases` names. */
#ifndef LIMN_AUDIT_CASE_PAGES_H
#define LIMN_AUDIT_CASE_PAGES_H

#include "audit/cases.h"

typedef struct CasePage {
    const Case *item;
    int32_t step; /* that explains it */
} CasePage;

typedef struct CasePages {
    const Cases *cases; /* NULL: there are none */
    CasePage *items;    /* [n] */
    int32_t n;
} CasePages;

/* Adds the steps to the plan and runs them. */
limn_status case_pages_run(CasePages *pages, StepRunner *runner);

#endif
