/* The evaluator's parts to each other. */
#ifndef LIMN_CHAT_EVALUATE_H
#define LIMN_CHAT_EVALUATE_H

#include "chat/builtin.h"

typedef struct Binding {
    uint32_t id;
    TemplateValue value;
} Binding;

struct Scope {
    Scope *parent;
    Binding *items; /* [n] */
    size_t n, capacity;
};

struct Loop {
    const List *items;
    size_t index;
    int64_t depth; /* of recursion, from 0 */
    const Node *node;
    Scope *outer;
    TemplateValue changed; /* a tuple; ABSENT: loop.changed was not asked yet */
};

typedef enum FunctionKind { FUNCTION_BUILTIN, FUNCTION_MACRO, FUNCTION_JOINER } FunctionKind;

struct Function {
    FunctionKind kind;
    const Builtin *builtin;
    TemplateValue self;
    const Node *node; /* MACRO: a MACRO or CALL_BLOCK */
    Scope *scope;     /* MACRO: where it was made */
    bool *used;       /* JOINER */
};

typedef enum Flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } Flow;

limn_status evaluate(TemplateValue *value, Machine *machine, Scope *scope, const Node *node);
limn_status execute_body(Flow *flow, Machine *machine, Scope *scope, const Nodes *body);
/* The text of a body run by itself. */
limn_status execute_captured(TemplateValue *text, Flow *flow, Machine *machine, Scope *scope, const Nodes *body);
limn_status execute_loop(Flow *flow, Machine *machine, Scope *outer, const Node *node, const TemplateValue *over,
                         int64_t depth);
limn_status emit(Machine *machine, const TemplateValue *value);

limn_status scope_new(Scope **scope, Machine *machine, Scope *parent);
limn_status scope_set(Machine *machine, Scope *scope, uint32_t id, TemplateValue value);
const TemplateValue *scope_get(const Scope *scope, uint32_t id); /* NULL: nowhere */
limn_status scope_assign(Machine *machine, Scope *scope, const Node *target, TemplateValue value);

limn_status call_value(TemplateValue *result, Machine *machine, const TemplateValue *callee, const Given *given);
limn_status evaluate_arguments(Given *given, Machine *machine, Scope *scope, const Arguments *arguments);
limn_status function_new(TemplateValue *value, Machine *machine, Function function);
limn_status apply_filters(TemplateValue *value, Machine *machine, Scope *scope, const Node *node,
                          const TemplateValue *first);

limn_status get_attribute(TemplateValue *value, Machine *machine, const TemplateValue *object, const Str *name);
limn_status get_item(TemplateValue *value, Machine *machine, const TemplateValue *object, const TemplateValue *key);
limn_status loop_attribute(TemplateValue *value, Machine *machine, Loop *loop, const Str *name);

limn_status operate(TemplateValue *value, Machine *machine, Operator op, const TemplateValue *a,
                    const TemplateValue *b);
limn_status compare(bool *holds, Machine *machine, Operator op, const TemplateValue *a, const TemplateValue *b);

#endif
