/* Calling: arguments to parameters, macros, functions. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chat/evaluate.h"

limn_status function_new(TemplateValue *value, Machine *machine, Function function) {
    void *memory;
    TRY(machine_take(&memory, machine, 1, sizeof(Function)));
    *(Function *)memory = function;
    *value = (TemplateValue){.kind = TEMPLATE_FUNCTION, .function = memory};
    return LIMN_OK;
}

/* ---- arguments ---- */

static limn_status add_starred(Given *given, Machine *machine, const TemplateValue *star, const TemplateValue *stars) {
    List *more = NULL;
    size_t n = given->n, n_named = given->n_named;
    if (star->kind != TEMPLATE_ABSENT) {
        TRY(value_items(&more, machine, star));
        n += more->n;
    }
    if (stars->kind != TEMPLATE_ABSENT && stars->kind != TEMPLATE_DICT) {
        return machine_fail(machine, LIMN_FORMAT, "argument after ** must be a mapping, not %s", value_type(stars));
    }
    n_named += stars->kind == TEMPLATE_DICT ? stars->dict->n : 0;
    void *positional, *names, *named;
    TRY(machine_take(&positional, machine, n, sizeof(TemplateValue)));
    TRY(machine_take(&names, machine, n_named, sizeof(Str *)));
    TRY(machine_take(&named, machine, n_named, sizeof(TemplateValue)));
    Given all = {positional, n, names, named, n_named};
    for (size_t i = 0; i < n; i++) {
        all.positional[i] = i < given->n ? given->positional[i] : more->items[i - given->n];
    }
    for (size_t i = 0; i < given->n_named; i++) {
        all.names[i] = given->names[i];
        all.named[i] = given->named[i];
    }
    for (size_t i = given->n_named; i < n_named; i++) {
        const TemplateValue *key = &stars->dict->keys[i - given->n_named];
        if (key->kind != TEMPLATE_STRING) {
            return machine_fail(machine, LIMN_FORMAT, "keywords must be strings");
        }
        all.names[i] = key->string;
        all.named[i] = stars->dict->values[i - given->n_named];
    }
    *given = all;
    return LIMN_OK;
}

limn_status evaluate_arguments(Given *given, Machine *machine, Scope *scope, const Arguments *arguments) {
    memset(given, 0, sizeof *given);
    if (arguments == NULL) {
        return LIMN_OK;
    }
    void *positional, *named;
    TRY(machine_take(&positional, machine, arguments->positional.n, sizeof(TemplateValue)));
    TRY(machine_take(&named, machine, arguments->named.n, sizeof(TemplateValue)));
    *given = (Given){positional, arguments->positional.n, arguments->names, named, arguments->named.n};
    for (size_t i = 0; i < given->n; i++) {
        TRY(evaluate(&given->positional[i], machine, scope, arguments->positional.items[i]));
    }
    for (size_t i = 0; i < given->n_named; i++) {
        TRY(evaluate(&given->named[i], machine, scope, arguments->named.items[i]));
    }
    TemplateValue star = value_of(TEMPLATE_ABSENT), stars = value_of(TEMPLATE_ABSENT);
    TRY(arguments->star != NULL ? evaluate(&star, machine, scope, arguments->star) : LIMN_OK);
    TRY(arguments->stars != NULL ? evaluate(&stars, machine, scope, arguments->stars) : LIMN_OK);
    bool any = star.kind != TEMPLATE_ABSENT || stars.kind != TEMPLATE_ABSENT;
    return any ? add_starred(given, machine, &star, &stars) : LIMN_OK;
}

/* ---- rows of the tables ---- */

static limn_status bind_named(Call *call, const char *name, size_t length, TemplateValue *value) {
    for (size_t k = 0; k < call->given->n_named; k++) {
        if (str_is(call->given->names[k], name, length)) {
            if (value->kind != TEMPLATE_ABSENT) {
                return call_fail(call, "argument '%.*s' is given twice", (int)length, name);
            }
            *value = call->given->named[k];
        }
    }
    return LIMN_OK;
}

static limn_status bind(Call *call) {
    const Given *given = call->given;
    const char *at = call->builtin->parameters;
    size_t n = 0, bound = 0;
    while (*at != '\0') {
        size_t length = strcspn(at, " ?");
        bool optional = at[length] == '?';
        TemplateValue *value = &call->args[n];
        *value = n < given->n ? given->positional[n] : value_of(TEMPLATE_ABSENT);
        bool before = value->kind != TEMPLATE_ABSENT;
        TRY(bind_named(call, at, length, value));
        bound += !before && value->kind != TEMPLATE_ABSENT;
        if (value->kind == TEMPLATE_ABSENT && !optional) {
            return call_fail(call, "argument '%.*s' is missing", (int)length, at);
        }
        at += length + optional;
        at += *at == ' ';
        n++;
    }
    if (given->n > n) {
        return call_fail(call, "found %zu arguments, expected at most %zu", given->n, n);
    }
    if (bound < given->n_named) {
        return call_fail(call, "a named argument that it does not have, or that this does not implement");
    }
    return LIMN_OK;
}

limn_status builtin_call(Machine *machine, const Builtin *builtin, TemplateValue self, const Given *given,
                         TemplateValue *result) {
    Call call = {.machine = machine, .builtin = builtin, .self = self, .given = given};
    if (builtin->run == NULL) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "'%s' is not implemented", builtin->name);
    }
    if (strcmp(builtin->parameters, "*") != 0) {
        TRY(bind(&call));
    }
    TRY(machine_step(machine, 1));
    return builtin->run(&call, result);
}

const Builtin *builtin_in(const Builtin *rows, size_t n, const char *name, size_t length) {
    for (size_t i = 0; i < n; i++) {
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

limn_status builtin_find(const Builtin **builtin, const ChatTemplate *parsed, uint32_t at, const Str *name, bool test) {
    *builtin = test ? test_row(name->bytes, name->length) : filter_row(name->bytes, name->length);
    const char *kind = test ? "test" : "filter";
    if (*builtin == NULL) {
        return source_fail(parsed, LIMN_FORMAT, at, "there is no %s '%.60s'", kind, name->bytes);
    }
    if ((*builtin)->run == NULL) {
        return source_fail(parsed, LIMN_UNSUPPORTED, at, "the %s '%s' is not implemented", kind, name->bytes);
    }
    return LIMN_OK;
}

limn_status call_fail(const Call *call, const char *format, ...) {
    char text[ERROR_MESSAGE_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return machine_fail(call->machine, LIMN_FORMAT, "%s: %s", call->builtin->name, text);
}

limn_status call_need_text(const Str **text, const Call *call, const TemplateValue *value) {
    if (value->kind == TEMPLATE_UNDEFINED) {
        return machine_fail(call->machine, LIMN_FORMAT, "%s", value->missing);
    }
    if (value->kind != TEMPLATE_STRING) {
        return call_fail(call, "found %s, expected str", value_type(value));
    }
    if (value->string->markup) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "computing with safe text is not implemented");
    }
    *text = value->string;
    return LIMN_OK;
}

limn_status call_need_whole(int64_t *whole, const Call *call, const TemplateValue *value) {
    if (!value_is_whole(value)) {
        return call_fail(call, "found %s, expected int", value_type(value));
    }
    *whole = value_whole(value);
    return LIMN_OK;
}

limn_status call_take_whole(int64_t *whole, const Call *call, int index, int64_t fallback) {
    *whole = fallback;
    const TemplateValue *value = &call->args[index];
    return value->kind == TEMPLATE_ABSENT ? LIMN_OK : call_need_whole(whole, call, value);
}

limn_status call_take_text(const Str **text, const Call *call, int index, const Str *fallback) {
    *text = fallback;
    const TemplateValue *value = &call->args[index];
    return value->kind == TEMPLATE_ABSENT ? LIMN_OK : call_need_text(text, call, value);
}

bool call_take_bool(const Call *call, int index, bool fallback) {
    return call->args[index].kind == TEMPLATE_ABSENT ? fallback : value_truth(&call->args[index]);
}

limn_status call_self_text(const Str **text, Call *call) {
    TemplateValue value;
    TRY(value_to_str(&value, call->machine, &call->self));
    return call_need_text(text, call, &value);
}

/* ---- macros ---- */

static limn_status bind_default(TemplateValue *value, Machine *machine, Scope *scope, const Node *node, size_t index) {
    size_t first = node->items.n - node->defaults.n;
    if (index >= first) {
        return evaluate(value, machine, scope, node->defaults.items[index - first]);
    }
    char *missing =
        arena_printf(&machine->arena, "parameter '%s' was not provided", node->items.items[index]->name->bytes);
    *value = value_of_undefined(missing);
    return missing != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: out of memory", machine->parsed->name);
}

static limn_status bind_rest(Machine *machine, Scope *scope, const Node *node, const Given *given, const bool *taken) {
    uint64_t id;
    const Map *ids = &machine->parsed->ids;
    bool has_caller = false, extra = given->n > node->items.n;
    const Str *unknown = NULL;
    for (size_t i = 0; i < given->n_named; i++) {
        bool caller = str_is(given->names[i], "caller", 6);
        if (caller && map_get(ids, "caller", 6, &id)) {
            TRY(scope_set(machine, scope, (uint32_t)id, given->named[i]));
            has_caller = true;
        } else if (!taken[i]) {
            unknown = given->names[i];
        }
    }
    if (!has_caller && map_get(ids, "caller", 6, &id)) {
        TRY(scope_set(machine, scope, (uint32_t)id, value_of_undefined("no caller defined")));
    }
    bool rest = map_get(ids, "varargs", 7, &id) || map_get(ids, "kwargs", 6, &id);
    if (rest && (extra || unknown != NULL)) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "'varargs' and 'kwargs' of macros are not implemented");
    }
    if (extra) {
        return machine_fail(machine, LIMN_FORMAT, "the macro takes not more than %zu arguments", node->items.n);
    }
    return unknown == NULL
               ? LIMN_OK
               : machine_fail(machine, LIMN_FORMAT, "the macro takes no keyword argument '%s'", unknown->bytes);
}

static limn_status call_macro(TemplateValue *result, Machine *machine, const Function *function, const Given *given) {
    const Node *node = function->node;
    Scope *scope;
    void *memory;
    TRY(scope_new(&scope, machine, function->scope));
    TRY(machine_take(&memory, machine, given->n_named, sizeof(bool)));
    bool *taken = memory;
    uint32_t at = machine->at;
    for (size_t i = 0; i < node->items.n; i++) {
        const Node *name = node->items.items[i];
        TemplateValue value = i < given->n ? given->positional[i] : value_of(TEMPLATE_ABSENT);
        for (size_t k = 0; k < given->n_named; k++) {
            if (str_is(given->names[k], name->name->bytes, name->name->length)) {
                if (value.kind != TEMPLATE_ABSENT) {
                    return machine_fail(machine, LIMN_FORMAT, "the macro got '%s' twice", name->name->bytes);
                }
                value = given->named[k];
                taken[k] = true;
            }
        }
        if (value.kind == TEMPLATE_ABSENT) {
            TRY(bind_default(&value, machine, scope, node, i));
        }
        TRY(scope_set(machine, scope, name->id, value));
    }
    machine->at = at;
    TRY(bind_rest(machine, scope, node, given, taken));
    Flow flow = FLOW_ON;
    return execute_captured(result, &flow, machine, scope, &node->body);
}

/* ---- everything that can be called ---- */

static limn_status call_loop(TemplateValue *result, Machine *machine, const Loop *loop, const Given *given) {
    if (!loop->node->recursive || given->n != 1 || given->n_named > 0) {
        return machine_fail(machine, LIMN_FORMAT,
                            loop->node->recursive ? "loop() takes one argument"
                                                  : "loop() needs a loop marked 'recursive'");
    }
    Builder builder = {.machine = machine};
    Builder *outer = machine->out;
    Flow flow = FLOW_ON;
    machine->out = &builder;
    limn_status status = execute_loop(&flow, machine, loop->outer, loop->node, &given->positional[0], loop->depth + 1);
    machine->out = outer;
    TRY(status);
    return builder_finish(result, &builder);
}

static limn_status call_function(TemplateValue *result, Machine *machine, const Function *function,
                                 const Given *given) {
    switch (function->kind) {
    case FUNCTION_MACRO:
        return call_macro(result, machine, function, given);
    case FUNCTION_JOINER:
        *result = function->self;
        TRY(*function->used ? LIMN_OK : value_of_text(result, machine, "", 0, 0));
        *function->used = true;
        return LIMN_OK;
    default:
        return builtin_call(machine, function->builtin, function->self, given, result);
    }
}

limn_status call_value(TemplateValue *result, Machine *machine, const TemplateValue *callee, const Given *given) {
    if (callee->kind == TEMPLATE_UNDEFINED) {
        return machine_fail(machine, LIMN_FORMAT, "%s", callee->missing);
    }
    if (callee->kind != TEMPLATE_FUNCTION && callee->kind != TEMPLATE_LOOP) {
        return machine_fail(machine, LIMN_FORMAT, "'%s' object is not callable", value_type(callee));
    }
    if (machine->depth >= CHAT_DEPTH_MAX) {
        return machine_fail(machine, LIMN_RANGE, "nested deeper than %d (the limit)", CHAT_DEPTH_MAX);
    }
    machine->depth++;
    uint32_t at = machine->at;
    Mark message = machine->message;
    limn_status status = callee->kind == TEMPLATE_LOOP ? call_loop(result, machine, callee->loop, given)
                                                       : call_function(result, machine, callee->function, given);
    machine->message = message;
    machine->at = at;
    machine->depth--;
    return status;
}
