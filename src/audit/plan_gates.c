/* The gates of a plan: what is demanded of its figures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit/figures.h"
#include "data/expression.h"

static const char *const aggregations[] = {"value", "each", "mean", "min", "max", "sum", "count"};
static const char *const signs[] = {
    [CHECK_AT_MOST] = "<=", [CHECK_AT_LEAST] = ">=", [CHECK_BELOW] = "<", [CHECK_ABOVE] = ">"};

static limn_status take_choice(const Plan *plan, const YamlNode *node, const char *key, const char *const *names, int n,
                               int *place) {
    const char *text = NULL;
    TRY(plan_take_text(plan, node, key, &text));
    if (text == NULL) {
        return LIMN_OK;
    }
    char known[160] = "";
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], text) == 0) {
            *place = i;
            return LIMN_OK;
        }
        strncat(known, i > 0 ? ", " : "", sizeof known - strlen(known) - 1);
        strncat(known, names[i], sizeof known - strlen(known) - 1);
    }
    return plan_fail(plan, yaml_get(node, key), "'%s': found '%.40s', expected one of %s", key, text, known);
}

/* "0.9", "90%", "2 points" */
static limn_status take_value(const Plan *plan, const YamlNode *node, PlanGate *gate) {
    TRY(plan_take_text(plan, node, "value", &gate->value_text));
    if (gate->value_text == NULL) {
        return plan_fail(plan, node, "a gate says no value: 'value: 0.9'");
    }
    char *end;
    gate->value = strtod(gate->value_text, &end);
    bool share = strcmp(end, "%") == 0 || strcmp(end, " %") == 0 || strcmp(end, " points") == 0;
    if (end == gate->value_text || (*end != '\0' && !share) || !isfinite(gate->value)) {
        return plan_fail(plan, yaml_get(node, "value"),
                         "'value': found '%.40s', expected a number: 0.9, 90%%, 2 points", gate->value_text);
    }
    gate->value *= share ? 0.01 : 1.0;
    return LIMN_OK;
}

/* A metric that is one name needs no `backquotes`, whatever stands in it but blanks. */
static bool is_one_name(const char *metric) {
    return strpbrk(metric, " ()`'\"+*/<>=~!,") == NULL && strchr(metric, '.') != NULL;
}

static limn_status check_metric(const Plan *plan, PlanGate *gate) {
    const YamlNode *where = yaml_get(gate->node, "metric");
    bool rows = gate->aggregation != AGGREGATE_VALUE;
    if (is_one_name(gate->metric)) {
        return figure_check(plan, gate->metric, rows) == LIMN_OK ? LIMN_OK : plan_fail_at(plan, where);
    }
    if (rows) {
        return plan_fail(plan, where, "'aggregation: %s' goes with one STEP.TABLE.COLUMN, found '%.80s'",
                         aggregations[gate->aggregation], gate->metric);
    }
    Expression *expression;
    limn_status status =
        expression_parse(&expression, EXPRESSION_NUMBER, "metric", gate->metric, strlen(gate->metric), plan->arena);
    bool seen;
    for (size_t i = 0; status == LIMN_OK && expression_name(expression, i, &seen) != NULL; i++) {
        status = figure_check(plan, expression_name(expression, i, &seen), false);
    }
    expression_free(expression);
    return status == LIMN_OK ? LIMN_OK : plan_fail_at(plan, where);
}

static limn_status take_by(const Plan *plan, const YamlNode *node, PlanGate *gate) {
    static const char *const ways[] = {"interval", "value"};
    int by = 0;
    TRY(take_choice(plan, node, "by", ways, 2, &by));
    gate->by_value = by == 1;
    return LIMN_OK;
}

/* By its name a gate is known in checks, JUnit and SARIF, from audit to audit. */
static limn_status name_gate(const Plan *plan, PlanGate *gate) {
    const char *how = gate->aggregation > AGGREGATE_VALUE ? aggregations[gate->aggregation] : "";
    const YamlNode *said = yaml_get(gate->node, "name");
    if (gate->name == NULL) {
        gate->name = arena_printf(plan->arena, "%s%s%s %s %s", how, how[0] != '\0' ? " " : "", gate->metric,
                                  signs[gate->op], gate->value_text);
    }
    if (gate->name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
    }
    for (int32_t i = 0; i < plan->n_gates; i++) {
        if (strcmp(plan->gates[i].name, gate->name) == 0) {
            return plan_fail(plan, said != NULL ? said : gate->node,
                             "two gates are called '%.80s': give one of them another 'name'", gate->name);
        }
    }
    return LIMN_OK;
}

static limn_status read_gate(Plan *plan, const YamlNode *node) {
    static const char *const keys[] = {"name", "metric", "aggregation", "op", "value", "by"};
    PlanGate *gate = &plan->gates[plan->n_gates];
    int aggregation = 0, op = -1;
    *gate = (PlanGate){.node = node};
    TRY(plan_check_keys(plan, node, "a gate", keys, sizeof keys / sizeof keys[0]));
    TRY(plan_take_text(plan, node, "name", &gate->name));
    TRY(plan_take_text(plan, node, "metric", &gate->metric));
    TRY(take_choice(plan, node, "aggregation", aggregations, sizeof aggregations / sizeof aggregations[0],
                    &aggregation));
    TRY(take_choice(plan, node, "op", signs, sizeof signs / sizeof signs[0], &op));
    TRY(take_by(plan, node, gate));
    if (gate->metric == NULL || op < 0) {
        return plan_fail(plan, node, "a gate says no %s", gate->metric == NULL ? "'metric'" : "'op'");
    }
    gate->aggregation = (GateAggregation)aggregation;
    gate->op = (CheckKind)op;
    TRY(take_value(plan, node, gate));
    TRY(check_metric(plan, gate));
    TRY(name_gate(plan, gate));
    plan->n_gates++;
    return LIMN_OK;
}

limn_status plan_read_gates(Plan *plan, const YamlNode *root) {
    const YamlNode *list = yaml_get(root, "gates");
    if (yaml_is_null(list)) {
        return LIMN_OK;
    }
    if (list->kind != YAML_LIST || list->n > PLAN_GATES_MAX) {
        return plan_fail(plan, list, "'gates': found %s, expected a list of at most %d", yaml_kind_name(list),
                         PLAN_GATES_MAX);
    }
    plan->gates = ARENA_ARRAY(plan->arena, PlanGate, list->n + 1);
    if (plan->gates == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
    }
    for (int32_t i = 0; i < list->n; i++) {
        TRY(read_gate(plan, list->items[i]));
    }
    return LIMN_OK;
}
