/* What detectors share. */
#ifndef LIMN_AUDIT_DETECT_H
#define LIMN_AUDIT_DETECT_H

#include "audit/cases.h"
#include "audit/figures.h"
#include "audit/findings.h"
#include "statistics/proportions.h"

typedef struct Detection {
    Findings *findings;
    StepRunner *runner;
    Arena *arena;
    const Cases *cases; /* [n_cases] of the steps that are judged */
    int32_t n_cases;
} Detection;

#define DETECTOR(name) limn_status detect_##name(Detection *detection);
#include "audit/detectors.def"
#undef DETECTOR

/* Adds the plan's `inside` for the strongest words that were found, and runs it (inside.c). */
limn_status inside_run(const Detection *detection);
limn_status detect_layers(Detection *detection); /* last: it may have been asked because of the others */

/* A text in the language of the plan. */
#define TELL(detection, english, chinese) ((detection)->runner->plan->language == LANGUAGE_ZH ? (chinese) : (english))

/* The row of another table that says the same in these columns (NULL ends them); -1: none, or no table. */
int32_t row_alike(const TableBlock *other, const TableBlock *table, int32_t row, const char *const *columns);

/* The smallest effect that a test at the strictest level of so many would have found with power .8, of an effect whose
 * 95% interval has this half width. */
double smallest_effect(double half_width, double level, int64_t tests);

#endif
