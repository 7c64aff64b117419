/* A gate is judged by its figure's interval where there is one: clear of the limit on the good side passes, on the bad
 * side fails, and where the limit lies inside the evidence does not decide. */
#include "audit/gates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit/figures.h"
#include "data/expression.h"

const char *gate_sign(CheckKind op) {
    static const char *const signs[] = {
        [CHECK_AT_MOST] = "<=", [CHECK_AT_LEAST] = ">=", [CHECK_BELOW] = "<", [CHECK_ABOVE] = ">"};
    return signs[op];
}

static bool holds(const PlanGate *gate, double value) {
    switch (gate->op) {
    case CHECK_AT_MOST:
        return value <= gate->value;
    case CHECK_AT_LEAST:
        return value >= gate->value;
    case CHECK_BELOW:
        return value < gate->value;
    case CHECK_ABOVE:
        return value > gate->value;
    }
    return false;
}

typedef struct Judge {
    const StepRunner *runner;
    const Findings *findings;
    const StepRunner *earlier;
    Interval last; /* the figure looked up last, with its interval */
    const char *missing;
} Judge;

/* ---- figures ---- */

static const Result *result_of_step(const StepRunner *runner, int32_t step) {
    return step >= 0 && step < runner->done ? runner->runs[step].result : NULL;
}

static bool step_figure(Interval *figure, const StepRunner *runner, const char *name) {
    int32_t step;
    const char *wanted = figure_step(&step, runner->plan, name);
    const Result *result = result_of_step(runner, step);
    bool found = false;
    if (result != NULL) {
        figure_of_result(figure, &found, result, runner->plan->steps[step].method->command.name, wanted);
    }
    return found;
}

static int64_t failed_checks(const StepRunner *runner) {
    int64_t n = 0;
    for (int32_t i = 0; i < runner->done; i++) {
        const Result *result = runner->runs[i].result;
        for (int32_t k = 0; result != NULL && k < result->n_checks; k++) {
            n += result->checks[k].state == CHECK_FAIL && !result->checks[k].advisory;
        }
    }
    return n;
}

/* What changed since the earlier audit: by the records that both decided where there are such, else by the two
 * intervals as if they were independent. */
static bool drift(Interval *figure, const Judge *judge, const char *name) {
    Interval now, before;
    char *paired = arena_printf(judge->runner->call->arena, "drift-%s", name);
    if (paired != NULL && step_figure(figure, judge->runner, paired)) {
        return true;
    }
    if (judge->earlier == NULL || !step_figure(&now, judge->runner, name) ||
        !step_figure(&before, judge->earlier, name)) {
        return false;
    }
    double below = hypot(now.value - now.low, before.high - before.value);
    double above = hypot(now.high - now.value, before.value - before.low);
    figure->value = now.value - before.value;
    figure->low = figure->value - below;
    figure->high = figure->value + above;
    return true;
}

static bool look_up(Interval *figure, const Judge *judge, const char *name) {
    static const size_t prefix = sizeof DRIFT_PREFIX - 1;
    *figure = (Interval){(double)NAN, (double)NAN, (double)NAN};
    if (strncmp(name, "findings.", 9) == 0) {
        if (findings_were_sought(judge->findings, judge->runner, name + 9)) {
            figure->value = (double)findings_count(judge->findings, name + 9);
        } /* else nobody looked, and none found says nothing */
        return true;
    }
    if (strcmp(name, "checks.failed") == 0) {
        figure->value = (double)failed_checks(judge->runner);
        return true;
    }
    return strncmp(name, DRIFT_PREFIX, prefix) == 0 ? drift(figure, judge, name + prefix)
                                                    : step_figure(figure, judge->runner, name);
}

static FieldValue figure_value(const void *context, const char *name, size_t length) {
    Judge *judge = (Judge *)(uintptr_t)context;
    char *copy = arena_strndup(judge->runner->call->arena, name, length);
    if (copy == NULL || !look_up(&judge->last, judge, copy) || isnan(judge->last.value)) {
        judge->missing = copy;
        return (FieldValue){.kind = FIELD_ABSENT};
    }
    return (FieldValue){.kind = FIELD_REAL, .real = judge->last.value};
}

/* ---- one gate ---- */

static void decide(GateOutcome *outcome) {
    const PlanGate *gate = outcome->gate;
    const Interval *figure = &outcome->figure;
    bool bounded = !gate->by_value && !isnan(figure->low) && !isnan(figure->high);
    if (isnan(figure->value)) {
        outcome->state = CHECK_INCONCLUSIVE;
    } else if (!bounded) {
        outcome->state = holds(gate, figure->value) ? CHECK_PASS : CHECK_FAIL;
    } else {
        bool low = holds(gate, figure->low), high = holds(gate, figure->high);
        outcome->state = low && high ? CHECK_PASS : low || high ? CHECK_INCONCLUSIVE : CHECK_FAIL;
    }
}

static limn_status judge_expression(GateOutcome *outcome, Judge *judge) {
    const char *metric = outcome->gate->metric;
    Expression *expression;
    TRY(expression_parse(&expression, EXPRESSION_NUMBER, "metric", metric, strlen(metric), judge->runner->call->arena));
    const ExpressionNames names = {figure_value, judge};
    double value = (double)NAN;
    limn_status status = expression_number(expression, &names, &value);
    expression_free(expression);
    if (status == LIMN_USAGE && judge->missing != NULL) {
        outcome->why = arena_printf(judge->runner->call->arena, "there is no figure %s", judge->missing);
        return outcome->why != NULL ? LIMN_OK : method_no_memory(judge->runner->call);
    }
    outcome->figure = (Interval){value, (double)NAN, (double)NAN};
    return status;
}

static limn_status judge_value(GateOutcome *outcome, Judge *judge) {
    const char *metric = outcome->gate->metric;
    if (look_up(&judge->last, judge, metric)) {
        outcome->figure = judge->last;
        outcome->why = isnan(judge->last.value) && strncmp(metric, "findings.", 9) == 0 ? "nobody looked for it" : NULL;
    } else if (strpbrk(metric, " ()`'\"+*/<>=~!,") != NULL) {
        TRY(judge_expression(outcome, judge));
    } else {
        outcome->why = strncmp(metric, DRIFT_PREFIX, sizeof DRIFT_PREFIX - 1) == 0 && judge->earlier == NULL
                           ? "there is no earlier audit to compare with (--baseline)"
                           : "the step's result has no such figure";
    }
    decide(outcome);
    return LIMN_OK;
}

static double aggregate(GateAggregation how, const double *values, int32_t n) {
    double sum = 0, least = INFINITY, most = -INFINITY;
    int32_t counted = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!isnan(values[i])) {
            sum += values[i];
            least = values[i] < least ? values[i] : least;
            most = values[i] > most ? values[i] : most;
            counted++;
        }
    }
    if (how == AGGREGATE_COUNT || how == AGGREGATE_SUM) {
        return how == AGGREGATE_COUNT ? counted : sum;
    }
    return counted == 0 ? (double)NAN : how == AGGREGATE_MEAN ? sum / counted : how == AGGREGATE_MIN ? least : most;
}

static limn_status judge_rows(GateOutcome *outcome, Judge *judge) {
    const PlanGate *gate = outcome->gate;
    int32_t step;
    const char *wanted = figure_step(&step, judge->runner->plan, gate->metric), *dot = strchr(wanted, '.');
    const Result *result = result_of_step(judge->runner, step);
    char *table = dot != NULL ? arena_strndup(judge->runner->call->arena, wanted, (size_t)(dot - wanted)) : NULL;
    if (result == NULL || table == NULL || result_table(result, table) == NULL) {
        outcome->why = "the step's result has no such table";
        outcome->state = CHECK_INCONCLUSIVE;
        return LIMN_OK;
    }
    figure_column(NULL, &outcome->rows, result, table, dot + 1);
    double *values = malloc(((size_t)outcome->rows + 1) * sizeof *values);
    if (values == NULL) {
        return method_no_memory(judge->runner->call);
    }
    figure_column(values, &outcome->rows, result, table, dot + 1);
    for (int32_t i = 0; i < outcome->rows; i++) {
        outcome->rows_bad += !holds(gate, values[i]);
    }
    if (gate->aggregation == AGGREGATE_EACH) {
        bool upper = gate->op == CHECK_AT_MOST || gate->op == CHECK_BELOW;
        outcome->figure.value = aggregate(upper ? AGGREGATE_MAX : AGGREGATE_MIN, values, outcome->rows);
        outcome->state = outcome->rows_bad > 0 ? CHECK_FAIL : CHECK_PASS;
    } else {
        outcome->figure.value = aggregate(gate->aggregation, values, outcome->rows);
        decide(outcome);
    }
    free(values);
    return LIMN_OK;
}

limn_status gates_judge(GateOutcome *outcomes, const StepRunner *runner, const Findings *findings,
                        const StepRunner *earlier) {
    for (int32_t i = 0; i < runner->plan->n_gates; i++) {
        Judge judge = {.runner = runner, .findings = findings, .earlier = earlier};
        outcomes[i] = (GateOutcome){.gate = &runner->plan->gates[i], .figure = {(double)NAN, (double)NAN, (double)NAN}};
        TRY(runner->plan->gates[i].aggregation == AGGREGATE_VALUE ? judge_value(&outcomes[i], &judge)
                                                                  : judge_rows(&outcomes[i], &judge));
    }
    return LIMN_OK;
}
