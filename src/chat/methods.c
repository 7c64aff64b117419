/* Methods of dicts and lists. */
#include <string.h>

#include "chat/filters.h"

static limn_status view(Call *call, TemplateValue *result, const TemplateValue *items, size_t n) {
    TRY(value_list(result, call->machine, TEMPLATE_LAZY, n));
    result->list->lazy = LAZY_VIEW;
    if (n > 0) {
        memcpy(result->list->items, items, n * sizeof(TemplateValue));
    }
    return LIMN_OK;
}

static limn_status run_keys(Call *call, TemplateValue *result) {
    return view(call, result, call->self.dict->keys, call->self.dict->n);
}

static limn_status run_values(Call *call, TemplateValue *result) {
    return view(call, result, call->self.dict->values, call->self.dict->n);
}

static limn_status run_items(Call *call, TemplateValue *result) {
    TRY(filter_items(call, result));
    result->list->lazy = LAZY_VIEW;
    return LIMN_OK;
}

static limn_status run_get(Call *call, TemplateValue *result) {
    const TemplateValue *found;
    TRY(dict_find(&found, call->machine, call->self.dict, &call->args[0]));
    *result = found != NULL ? *found : call->args[1].kind == TEMPLATE_ABSENT ? value_of(TEMPLATE_NONE) : call->args[1];
    return LIMN_OK;
}

static limn_status run_copy(Call *call, TemplateValue *result) {
    *result = call->self; /* nothing changes a dict or a list */
    return LIMN_OK;
}

static limn_status run_index(Call *call, TemplateValue *result) {
    const List *list = call->self.list;
    for (size_t i = 0; i < list->n; i++) {
        bool equal;
        TRY(value_equal(&equal, call->machine, &list->items[i], &call->args[0]));
        if (equal) {
            *result = value_of_integer((int64_t)i);
            return LIMN_OK;
        }
    }
    return call_fail(call, "the value is not in the list");
}

static limn_status run_count(Call *call, TemplateValue *result) {
    const List *list = call->self.list;
    int64_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        bool equal;
        TRY(value_equal(&equal, call->machine, &list->items[i], &call->args[0]));
        n += equal;
    }
    *result = value_of_integer(n);
    return LIMN_OK;
}

const Builtin *method_row(const TemplateValue *value, const char *name, size_t length) {
    static const Builtin of_dicts[] = {{"get", "key default?", run_get}, {"items", "", run_items},
                                       {"keys", "", run_keys},           {"values", "", run_values},
                                       {"copy", "", run_copy},           {"fromkeys", "*", NULL}};
    static const Builtin of_lists[] = {
        {"index", "value", run_index}, {"count", "value", run_count}, {"copy", "", run_copy}};
    static const Builtin of_numbers[] = {{"real", "", NULL},       {"imag", "", NULL},
                                         {"numerator", "", NULL},  {"denominator", "", NULL},
                                         {"conjugate", "", NULL},  {"bit_length", "", NULL},
                                         {"bit_count", "", NULL},  {"to_bytes", "", NULL},
                                         {"from_bytes", "", NULL}, {"as_integer_ratio", "", NULL},
                                         {"is_integer", "", NULL}, {"hex", "", NULL}};
    switch (value->kind) {
    case TEMPLATE_STRING:
        return text_method_row(name, length);
    case TEMPLATE_DICT:
        return builtin_in(of_dicts, sizeof of_dicts / sizeof *of_dicts, name, length);
    case TEMPLATE_LIST:
        return builtin_in(of_lists, sizeof of_lists / sizeof *of_lists, name, length);
    case TEMPLATE_TUPLE:
        return builtin_in(of_lists, 2, name, length);
    case TEMPLATE_BOOL:
    case TEMPLATE_INTEGER:
    case TEMPLATE_REAL:
        return builtin_in(of_numbers, sizeof of_numbers / sizeof *of_numbers, name, length);
    default:
        return NULL;
    }
}
