/* Expressions to values. */
#include "chat/evaluate.h"

#include <string.h>

/* ---- scopes ---- */

limn_status scope_new(Scope **scope, Machine *machine, Scope *parent) {
    void *made;
    TRY(machine_take(&made, machine, 1, sizeof(Scope)));
    *scope = made;
    (*scope)->parent = parent;
    return LIMN_OK;
}

limn_status scope_set(Machine *machine, Scope *scope, uint32_t id, TemplateValue value) {
    for (size_t i = 0; i < scope->n; i++) {
        if (scope->items[i].id == id) {
            scope->items[i].value = value;
            return LIMN_OK;
        }
    }
    if (scope->n == scope->capacity) {
        size_t capacity = scope->capacity < 4 ? 4 : 2 * scope->capacity;
        void *items;
        TRY(machine_take(&items, machine, capacity, sizeof(Binding)));
        if (scope->n > 0) {
            memcpy(items, scope->items, scope->n * sizeof(Binding));
        }
        scope->items = items;
        scope->capacity = capacity;
    }
    scope->items[scope->n++] = (Binding){id, value};
    return LIMN_OK;
}

const TemplateValue *scope_get(const Scope *scope, uint32_t id) {
    for (; scope != NULL; scope = scope->parent) {
        for (size_t i = 0; i < scope->n; i++) {
            if (scope->items[i].id == id) {
                return &scope->items[i].value;
            }
        }
    }
    return NULL;
}

static limn_status assign_namespace(Machine *machine, const Scope *scope, const Node *target, TemplateValue value) {
    const TemplateValue *space = scope_get(scope, target->id);
    machine->at = target->at;
    if (space == NULL || space->kind != TEMPLATE_NAMESPACE) {
        return machine_fail(machine, LIMN_FORMAT, "cannot assign attribute '%s' on a non-namespace object",
                            target->attribute->bytes);
    }
    if (target->attribute->bytes[0] == '_') {
        return machine_fail(machine, LIMN_FORMAT, "a namespace keeps no name that begins with an underscore: '%s'",
                            target->attribute->bytes);
    }
    return dict_set(machine, space->dict, value_of_str(target->attribute), value);
}

limn_status scope_assign(Machine *machine, Scope *scope, const Node *target, TemplateValue value) {
    if (target->kind == NODE_NAME) {
        return scope_set(machine, scope, target->id, value);
    }
    if (target->kind == NODE_NAMESPACE_REF) {
        return assign_namespace(machine, scope, target, value);
    }
    List *items;
    machine->at = target->at;
    TRY(value_items(&items, machine, &value));
    if (items->n != target->items.n) {
        return machine_fail(machine, LIMN_FORMAT, "found %zu values to unpack, expected %zu", items->n,
                            target->items.n);
    }
    for (size_t i = 0; i < items->n; i++) {
        TRY(scope_assign(machine, scope, target->items.items[i], items->items[i]));
    }
    return LIMN_OK;
}

/* ---- expressions ---- */

static limn_status evaluate_name(TemplateValue *value, Machine *machine, const Scope *scope, const Node *node) {
    const TemplateValue *found = scope_get(scope, node->id);
    if (found != NULL) {
        *value = *found;
        return LIMN_OK;
    }
    const Builtin *row = global_row(node->name->bytes, node->name->length);
    if (row != NULL) {
        if (row->run == NULL) {
            return machine_fail(machine, LIMN_UNSUPPORTED, "the function '%s' is not implemented", row->name);
        }
        return function_new(value, machine, (Function){.kind = FUNCTION_BUILTIN, .builtin = row});
    }
    char *missing = arena_printf(&machine->arena, "'%s' is undefined", node->name->bytes);
    *value = value_of_undefined(missing);
    return missing != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: out of memory", machine->parsed->name);
}

static limn_status evaluate_items(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TemplateKind kind = node->kind == NODE_LIST ? TEMPLATE_LIST : TEMPLATE_TUPLE;
    TRY(value_list(value, machine, kind, node->items.n));
    for (size_t i = 0; i < node->items.n; i++) {
        TRY(evaluate(&value->list->items[i], machine, scope, node->items.items[i]));
    }
    return LIMN_OK;
}

static limn_status evaluate_dict(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TRY(value_dict(value, machine, node->items.n / 2));
    for (size_t i = 0; i + 1 < node->items.n; i += 2) {
        TemplateValue key, item;
        TRY(evaluate(&key, machine, scope, node->items.items[i]));
        TRY(evaluate(&item, machine, scope, node->items.items[i + 1]));
        TRY(dict_set(machine, value->dict, key, item));
    }
    return LIMN_OK;
}

static limn_status evaluate_slice(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    void *memory;
    TRY(machine_take(&memory, machine, 1, sizeof(Slice)));
    Slice *slice = memory;
    slice->begin = slice->end = slice->step = value_of(TEMPLATE_NONE);
    TRY(node->a != NULL ? evaluate(&slice->begin, machine, scope, node->a) : LIMN_OK);
    TRY(node->b != NULL ? evaluate(&slice->end, machine, scope, node->b) : LIMN_OK);
    TRY(node->c != NULL ? evaluate(&slice->step, machine, scope, node->c) : LIMN_OK);
    *value = (TemplateValue){.kind = TEMPLATE_SLICE, .slice = slice};
    return LIMN_OK;
}

static limn_status evaluate_sign(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TRY(evaluate(value, machine, scope, node->a));
    machine->at = node->at;
    bool negative = node->kind == NODE_NEGATIVE;
    if (value->kind == TEMPLATE_UNDEFINED) {
        return machine_fail(machine, LIMN_FORMAT, "%s", value->missing);
    }
    if (!value_is_number(value)) {
        return machine_fail(machine, LIMN_FORMAT, "bad operand type for unary %c: '%s'", negative ? '-' : '+',
                            value_type(value));
    }
    if (value->kind == TEMPLATE_REAL) {
        value->real = negative ? -value->real : value->real;
        return LIMN_OK;
    }
    int64_t whole = value_whole(value);
    if (negative && whole == INT64_MIN) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "integers beyond 64 bits are not implemented");
    }
    *value = value_of_integer(negative ? -whole : whole);
    return LIMN_OK;
}

static limn_status evaluate_concat(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    Builder builder = {.machine = machine};
    for (size_t i = 0; i < node->items.n; i++) {
        TemplateValue item;
        TRY(evaluate(&item, machine, scope, node->items.items[i]));
        TRY(value_write_str(&builder, &item));
    }
    return builder_finish(value, &builder);
}

static limn_status evaluate_compare(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue left, right;
    bool holds = true;
    TRY(evaluate(&left, machine, scope, node->a));
    for (size_t i = 0; i < node->items.n && holds; i++) {
        const Node *operand = node->items.items[i];
        TRY(evaluate(&right, machine, scope, operand->a));
        machine->at = operand->at;
        TRY(compare(&holds, machine, operand->op, &left, &right));
        left = right;
    }
    *value = value_of_bool(holds);
    return LIMN_OK;
}

static limn_status evaluate_test(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue self;
    Given given;
    TRY(evaluate(&self, machine, scope, node->a));
    TRY(evaluate_arguments(&given, machine, scope, node->arguments));
    machine->at = node->at;
    return builtin_call(machine, node->builtin, self, &given, value);
}

limn_status apply_filters(TemplateValue *value, Machine *machine, Scope *scope, const Node *node,
                          const TemplateValue *first) {
    TemplateValue self;
    Given given;
    if (node->a == NULL) {
        self = *first;
    } else if (node->a->kind == NODE_FILTER) {
        TRY(apply_filters(&self, machine, scope, node->a, first));
    } else {
        TRY(evaluate(&self, machine, scope, node->a));
    }
    TRY(machine_step(machine, 1));
    TRY(evaluate_arguments(&given, machine, scope, node->arguments));
    machine->at = node->at;
    return builtin_call(machine, node->builtin, self, &given, value);
}

static limn_status evaluate_call(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue callee;
    Given given;
    TRY(evaluate(&callee, machine, scope, node->a));
    TRY(evaluate_arguments(&given, machine, scope, node->arguments));
    machine->at = node->at;
    return call_value(value, machine, &callee, &given);
}

static limn_status evaluate_condition(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue condition;
    TRY(evaluate(&condition, machine, scope, node->a));
    if (value_truth(&condition)) {
        return evaluate(value, machine, scope, node->b);
    }
    if (node->c != NULL) {
        return evaluate(value, machine, scope, node->c);
    }
    *value = value_of_undefined("the inline if-expression evaluated to false and no else section was defined");
    return LIMN_OK;
}

static limn_status evaluate_pair(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue a, b;
    TRY(evaluate(&a, machine, scope, node->a));
    if (node->kind == NODE_AND || node->kind == NODE_OR) {
        if (value_truth(&a) == (node->kind == NODE_OR)) {
            *value = a;
            return LIMN_OK;
        }
        return evaluate(value, machine, scope, node->b);
    }
    TRY(evaluate(&b, machine, scope, node->b));
    machine->at = node->at;
    if (node->kind == NODE_ITEM) {
        return get_item(value, machine, &a, &b);
    }
    return operate(value, machine, node->op, &a, &b);
}

static limn_status evaluate_node(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue made;
    switch (node->kind) {
    case NODE_CONSTANT:
        *value = node->constant;
        return LIMN_OK;
    case NODE_NAME:
        return evaluate_name(value, machine, scope, node);
    case NODE_LIST:
    case NODE_TUPLE:
        return evaluate_items(value, machine, scope, node);
    case NODE_DICT:
        return evaluate_dict(value, machine, scope, node);
    case NODE_ATTRIBUTE:
        TRY(evaluate(&made, machine, scope, node->a));
        machine->at = node->at;
        return get_attribute(value, machine, &made, node->name);
    case NODE_SLICE:
        return evaluate_slice(value, machine, scope, node);
    case NODE_CALL:
        return evaluate_call(value, machine, scope, node);
    case NODE_FILTER:
        return apply_filters(value, machine, scope, node, NULL);
    case NODE_TEST:
        return evaluate_test(value, machine, scope, node);
    case NODE_CONDITION:
        return evaluate_condition(value, machine, scope, node);
    case NODE_NOT:
        TRY(evaluate(&made, machine, scope, node->a));
        *value = value_of_bool(!value_truth(&made));
        return LIMN_OK;
    case NODE_NEGATIVE:
    case NODE_POSITIVE:
        return evaluate_sign(value, machine, scope, node);
    case NODE_CONCAT:
        return evaluate_concat(value, machine, scope, node);
    case NODE_COMPARE:
        return evaluate_compare(value, machine, scope, node);
    default:
        return evaluate_pair(value, machine, scope, node);
    }
}

limn_status evaluate(TemplateValue *value, Machine *machine, Scope *scope, const Node *node) {
    machine->at = node->at;
    TRY(machine_step(machine, 1));
    if (machine->depth >= CHAT_DEPTH_MAX) {
        return machine_fail(machine, LIMN_RANGE, "nested deeper than %d (the limit)", CHAT_DEPTH_MAX);
    }
    machine->depth++;
    limn_status status = evaluate_node(value, machine, scope, node);
    machine->depth--;
    return status;
}
