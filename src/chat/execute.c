/* Statements: output, loops, assignments, macros. */
#include <string.h>

#include "chat/evaluate.h"

static Mark message_of(Mark mark) {
    return mark & ~(Mark)(MARK_CONTENT | MARK_GENERATION);
}

/* What a piece of output without a message of its own belongs to: the message whose loop runs, else the first that
 * the same piece quotes. */
static Mark filling(const Machine *machine, const Str *string) {
    if (machine->message != 0 || string->runs == NULL) {
        return machine->message;
    }
    for (size_t i = 0; i < string->n_runs; i++) {
        if (message_of(string->runs[i].mark) != 0) {
            return message_of(string->runs[i].mark);
        }
    }
    return 0;
}

static void emit_run(Machine *machine, const Str *string, size_t begin, size_t end, Mark mark, Mark fill) {
    builder_add(machine->out, string->bytes + begin, end - begin, message_of(mark) != 0 ? mark : mark | fill);
}

limn_status emit(Machine *machine, const TemplateValue *value) {
    TemplateValue text;
    TRY(value_to_str(&text, machine, value));
    const Str *string = text.string;
    Mark fill = filling(machine, string);
    if (string->runs == NULL) {
        emit_run(machine, string, 0, string->length, string->mark, fill);
    }
    size_t begin = 0;
    for (size_t i = 0; i < string->n_runs; i++) {
        emit_run(machine, string, begin, string->runs[i].end, string->runs[i].mark, fill);
        begin = string->runs[i].end;
    }
    if (machine->out->length > machine->input->limits.output_bytes) {
        return machine_fail(machine, LIMN_RANGE, "more than %zu bytes of text (the limit)",
                            machine->input->limits.output_bytes);
    }
    return machine->out->status;
}

limn_status execute_captured(TemplateValue *text, Flow *flow, Machine *machine, Scope *scope, const Nodes *body) {
    Builder builder = {.machine = machine};
    Builder *outer = machine->out;
    machine->out = &builder;
    limn_status status = execute_body(flow, machine, scope, body);
    machine->out = outer;
    TRY(status);
    return builder_finish(text, &builder);
}

/* ---- loops ---- */

/* The items that the loop's own condition keeps. */
static limn_status filter_items(List **items, Machine *machine, Scope *outer, const Node *node) {
    TemplateValue kept;
    TRY(value_list(&kept, machine, TEMPLATE_LIST, (*items)->n));
    kept.list->n = 0;
    for (size_t i = 0; i < (*items)->n; i++) {
        Scope *scope;
        TemplateValue condition;
        TRY(scope_new(&scope, machine, outer));
        TRY(scope_assign(machine, scope, node->a, (*items)->items[i]));
        TRY(evaluate(&condition, machine, scope, node->c));
        if (value_truth(&condition)) {
            kept.list->items[kept.list->n++] = (*items)->items[i];
        }
    }
    *items = kept.list;
    return LIMN_OK;
}

static limn_status run_iteration(Flow *flow, Machine *machine, Loop *loop, uint64_t loop_id) {
    const TemplateValue *item = &loop->items->items[loop->index];
    Scope *scope;
    TRY(machine_step(machine, 1));
    TRY(scope_new(&scope, machine, loop->outer));
    if (loop_id != UINT64_MAX) {
        TRY(scope_set(machine, scope, (uint32_t)loop_id, (TemplateValue){.kind = TEMPLATE_LOOP, .loop = loop}));
    }
    TRY(scope_assign(machine, scope, loop->node->a, *item));
    Mark before = machine->message;
    if (item->kind == TEMPLATE_DICT && item->dict->is_message) {
        machine->message = message_of(item->dict->mark);
    }
    TRY(execute_body(flow, machine, scope, &loop->node->body));
    machine->message = before;
    return LIMN_OK;
}

limn_status execute_loop(Flow *flow, Machine *machine, Scope *outer, const Node *node, const TemplateValue *over,
                         int64_t depth) {
    List *items;
    machine->at = node->b->at;
    if (over->kind == TEMPLATE_UNDEFINED && strncmp(over->missing, "access to", 9) == 0) {
        return machine_fail(machine, LIMN_FORMAT, "%s", over->missing);
    }
    TRY(value_items(&items, machine, over));
    TRY(node->c != NULL ? filter_items(&items, machine, outer, node) : LIMN_OK);
    void *memory;
    TRY(machine_take(&memory, machine, 1, sizeof(Loop)));
    Loop *loop = memory;
    *loop = (Loop){.items = items, .depth = depth, .node = node, .outer = outer};
    uint64_t loop_id;
    if (!map_get(&machine->parsed->ids, "loop", 4, &loop_id)) {
        loop_id = UINT64_MAX; /* nobody asks for it */
    }
    for (; loop->index < items->n; loop->index++) {
        Flow inner = FLOW_ON;
        TRY(run_iteration(&inner, machine, loop, loop_id));
        if (inner == FLOW_BREAK) {
            break;
        }
    }
    return items->n == 0 ? execute_body(flow, machine, outer, &node->other) : LIMN_OK;
}

static limn_status execute_for(Flow *flow, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue over;
    TRY(evaluate(&over, machine, scope, node->b));
    return execute_loop(flow, machine, scope, node, &over, 0);
}

/* ---- other statements ---- */

static limn_status execute_if(Flow *flow, Machine *machine, Scope *scope, const Node *node) {
    for (;;) {
        TemplateValue condition;
        TRY(evaluate(&condition, machine, scope, node->a));
        if (value_truth(&condition)) {
            return execute_body(flow, machine, scope, &node->body);
        }
        bool chained = node->other.n == 1 && node->other.items[0]->kind == NODE_IF;
        if (!chained) {
            return execute_body(flow, machine, scope, &node->other);
        }
        node = node->other.items[0];
    }
}

/* What the body writes, through the node's filters; nothing when the body leaves the flow. */
static limn_status execute_filtered(TemplateValue *value, Flow *flow, Machine *machine, Scope *scope,
                                    const Node *node) {
    Scope *inner;
    TemplateValue text;
    TRY(scope_new(&inner, machine, scope));
    TRY(execute_captured(&text, flow, machine, inner, &node->body));
    *value = text;
    return *flow == FLOW_ON && node->b != NULL ? apply_filters(value, machine, scope, node->b, &text) : LIMN_OK;
}

static limn_status execute_set_block(Flow *flow, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue value;
    TRY(execute_filtered(&value, flow, machine, scope, node));
    return *flow == FLOW_ON ? scope_assign(machine, scope, node->a, value) : LIMN_OK;
}

static limn_status execute_filter_block(Flow *flow, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue value;
    TRY(execute_filtered(&value, flow, machine, scope, node));
    return *flow == FLOW_ON ? emit(machine, &value) : LIMN_OK;
}

static limn_status execute_with(Flow *flow, Machine *machine, Scope *scope, const Node *node) {
    Scope *inner;
    TRY(scope_new(&inner, machine, scope));
    for (size_t i = 0; i + 1 < node->items.n; i += 2) {
        TemplateValue value;
        TRY(evaluate(&value, machine, scope, node->items.items[i + 1]));
        TRY(scope_assign(machine, inner, node->items.items[i], value));
    }
    return execute_body(flow, machine, inner, &node->body);
}

static limn_status execute_generation(Machine *machine, Scope *scope, const Node *node) {
    Scope *inner;
    TemplateValue text;
    Flow flow = FLOW_ON;
    TRY(scope_new(&inner, machine, scope));
    TRY(execute_captured(&text, &flow, machine, inner, &node->body));
    Builder builder = {.machine = machine};
    size_t begin = 0;
    for (size_t i = 0; i < text.string->n_runs; i++) {
        const MarkRun *run = &text.string->runs[i];
        builder_add(&builder, text.string->bytes + begin, run->end - begin, run->mark | MARK_GENERATION);
        begin = run->end;
    }
    if (text.string->runs == NULL) {
        builder_add(&builder, text.string->bytes, text.string->length, text.string->mark | MARK_GENERATION);
    }
    TRY(builder_finish(&text, &builder));
    return emit(machine, &text);
}

static limn_status execute_macro(Machine *machine, Scope *scope, const Node *node) {
    TemplateValue macro;
    TRY(function_new(&macro, machine, (Function){.kind = FUNCTION_MACRO, .node = node, .scope = scope}));
    return scope_set(machine, scope, node->id, macro);
}

/* {% call macro(...) %}body{% endcall %}: the macro gets the body as `caller`. */
static limn_status execute_call_block(Machine *machine, Scope *scope, const Node *node) {
    TemplateValue callee, caller, result;
    Given given;
    TRY(evaluate(&callee, machine, scope, node->a->a));
    TRY(evaluate_arguments(&given, machine, scope, node->a->arguments));
    TRY(function_new(&caller, machine, (Function){.kind = FUNCTION_MACRO, .node = node, .scope = scope}));
    void *names, *named;
    TRY(machine_take(&names, machine, given.n_named + 1, sizeof(Str *)));
    TRY(machine_take(&named, machine, given.n_named + 1, sizeof(TemplateValue)));
    const Str **all = names;
    static const Str name = {.bytes = "caller", .length = 6};
    for (size_t i = 0; i < given.n_named; i++) {
        all[i] = given.names[i];
        ((TemplateValue *)named)[i] = given.named[i];
    }
    all[given.n_named] = &name;
    ((TemplateValue *)named)[given.n_named] = caller;
    given.names = all;
    given.named = named;
    given.n_named++;
    machine->at = node->at;
    TRY(call_value(&result, machine, &callee, &given));
    return emit(machine, &result);
}

static limn_status execute_node(Flow *flow, Machine *machine, Scope *scope, const Node *node) {
    TemplateValue value;
    switch (node->kind) {
    case NODE_DATA:
        value = value_of_str(node->name);
        return emit(machine, &value);
    case NODE_OUTPUT:
        TRY(evaluate(&value, machine, scope, node->a));
        machine->at = node->at;
        return emit(machine, &value);
    case NODE_IF:
        return execute_if(flow, machine, scope, node);
    case NODE_FOR:
        return execute_for(flow, machine, scope, node);
    case NODE_SET:
        TRY(evaluate(&value, machine, scope, node->b));
        return scope_assign(machine, scope, node->a, value);
    case NODE_SET_BLOCK:
        return execute_set_block(flow, machine, scope, node);
    case NODE_MACRO:
        return execute_macro(machine, scope, node);
    case NODE_CALL_BLOCK:
        return execute_call_block(machine, scope, node);
    case NODE_FILTER_BLOCK:
        return execute_filter_block(flow, machine, scope, node);
    case NODE_WITH:
        return execute_with(flow, machine, scope, node);
    case NODE_GENERATION:
        return execute_generation(machine, scope, node);
    default:
        *flow = node->kind == NODE_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
        return LIMN_OK;
    }
}

limn_status execute_body(Flow *flow, Machine *machine, Scope *scope, const Nodes *body) {
    if (machine->depth >= CHAT_DEPTH_MAX) {
        return machine_fail(machine, LIMN_RANGE, "nested deeper than %d (the limit)", CHAT_DEPTH_MAX);
    }
    machine->depth++;
    for (size_t i = 0; i < body->n && *flow == FLOW_ON; i++) {
        machine->at = body->items[i]->at;
        TRY(machine_step(machine, 1));
        TRY(execute_node(flow, machine, scope, body->items[i]));
    }
    machine->depth--;
    return LIMN_OK;
}
