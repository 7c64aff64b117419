/* Figures of steps by name: what gates ask, and what findings are read from.
 *
 *   STEP.FIGURE          "decisions.accuracy", "decisions.recall:yes", "decisions.accuracy@zh" (figures.def)
 *   STEP.CHECK           "decisions.skipped": the value of a check of its result
 *   STEP.TABLE.COLUMN    over all rows of a table: "words.words.harm"
 *   findings.WHAT        how many: total, high, medium, low, or of a kind
 *   checks.failed        of all steps
 *   drift.STEP.FIGURE    this audit's less the earlier one's (--baseline) */
#ifndef LIMN_AUDIT_FIGURES_H
#define LIMN_AUDIT_FIGURES_H

#include "audit/plan.h"
#include "statistics/statistics.h"

#define DRIFT_PREFIX "drift."

/* Can this name mean something in this plan? LIMN_USAGE names the nearest that can. rows: it is asked of all rows of a
 * table. */
limn_status figure_check(const Plan *plan, const char *name, bool rows);

/* The figure of one result; *found false: it is not there. */
void figure_of_result(Interval *figure, bool *found, const Result *result, const char *command, const char *name);

/* A column's numbers, in the order of its rows. *n 0: there is no such table or column. values NULL: only counts. */
void figure_column(double *values, int32_t *n, const Result *result, const char *table, const char *column);

/* A step's name and what stands behind its dot; step -1: none of the plan's. */
const char *figure_step(int32_t *step, const Plan *plan, const char *name);

/* A cell as a number; NaN: it is none. */
double number_in_cell(const Value *cell);
const TableBlock *result_table(const Result *result, const char *id); /* NULL: none */
int32_t table_column(const TableBlock *table, const char *name);      /* -1: none */
/* Cells by the column's name; NaN and "" where there is no such column, NaN in row -1. */
double table_number(const TableBlock *table, int32_t row, const char *column);
Text table_text(const TableBlock *table, int32_t row, const char *column);

#endif
