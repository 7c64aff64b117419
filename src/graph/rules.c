#include "graph/rules.h"

#include <string.h>

typedef struct RuleRow {
    RuleSet set;
    OpKind kind;
    GradientRule rule;
} RuleRow;

static const RuleRow rows[] = {
#define RULE(set, op, rule) {RULES_##set, OP_##op, GRADIENT_##rule},
#include "graph/rules.def"
};

static const struct {
    const char *name;
    const char *help;
} sets[] = {
#define RULE_SET(name, text, help) {text, help},
#include "graph/rules.def"
};

static const RuleRow *find_row(RuleSet set, OpKind kind) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].set == set && rows[i].kind == kind) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *rule_set_name(RuleSet set) {
    return sets[set].name;
}

const char *rule_set_help(RuleSet set) {
    return sets[set].help;
}

bool rule_set_from_name(const char *name, RuleSet *set) {
    for (int i = 0; i < RULE_SET_COUNT; i++) {
        if (strcmp(sets[i].name, name) == 0) {
            *set = (RuleSet)i;
            return true;
        }
    }
    return false;
}

GradientRule gradient_rule(RuleSet set, OpKind kind) {
    const RuleRow *row = find_row(set, kind);
    return row == NULL ? GRADIENT_TRUE : row->rule;
}

bool rule_passes(GradientRule rule, OpKind kind, int which) {
    if (!op_info(kind)->differentiable || rule == GRADIENT_STOP) {
        return false;
    }
    /* of a constant pattern only the values go on; what an expert's weights get goes nowhere further */
    return rule != GRADIENT_CONSTANT || kind != OP_ATTENTION || which == 2;
}

unsigned rule_saves(GradientRule rule, OpKind kind) {
    /* where the cap is reached its output no longer tells what x was */
    return rule == GRADIENT_RATIO && kind == OP_SOFTCAP ? SAVES_IN0 : op_info(kind)->saves;
}

bool rules_allow_fusion(RuleSet set, OpKind fused, const OpKind *parts, int n_parts) {
    bool all_true = true;
    for (int i = 0; i < n_parts; i++) {
        all_true = all_true && gradient_rule(set, parts[i]) == GRADIENT_TRUE;
    }
    return all_true || find_row(set, fused) != NULL;
}
