/* Gradient rules: which derivative the backward pass takes. The table, with its papers, is rules.def. */
#ifndef LIMN_GRAPH_RULES_H
#define LIMN_GRAPH_RULES_H

#include "graph/graph.h"

/* What one operation hands on to its inputs. */
typedef enum GradientRule {
#define GRADIENT_RULE(name, help) GRADIENT_##name,
#include "graph/rules.def"
    GRADIENT_RULE_COUNT
} GradientRule;

/* A rule for every operation. */
typedef enum RuleSet {
#define RULE_SET(name, text, help) RULES_##name,
#include "graph/rules.def"
    RULE_SET_COUNT
} RuleSet;

const char *rule_set_name(RuleSet set); /* "lrp" */
const char *rule_set_help(RuleSet set);
bool rule_set_from_name(const char *name, RuleSet *set);

GradientRule gradient_rule(RuleSet set, OpKind kind);

/* Does a gradient reach input `which` of such an operation at all? */
bool rule_passes(GradientRule rule, OpKind kind, int which);

/* What the backward pass reads under a rule: SAVES_*. */
unsigned rule_saves(GradientRule rule, OpKind kind);

/* May `fused` stand for these operations: are they all true in the set, or does the set have a row for it? */
bool rules_allow_fusion(RuleSet set, OpKind fused, const OpKind *parts, int n_parts);

#endif
