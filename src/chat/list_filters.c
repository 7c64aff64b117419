/* Filters of lists. */
#include <string.h>

#include "chat/filters.h"

static limn_status lazy_list(TemplateValue *result, Machine *machine, size_t n) {
    TRY(value_list(result, machine, TEMPLATE_LAZY, n));
    result->list->lazy = LAZY_GENERATOR;
    return LIMN_OK;
}

/* "a.b.0" of an item, as subscripts; a whole number stands for itself. */
static limn_status get_path(TemplateValue *value, Machine *machine, const TemplateValue *item,
                            const TemplateValue *path) {
    *value = *item;
    if (path->kind == TEMPLATE_ABSENT || path->kind == TEMPLATE_NONE) {
        return LIMN_OK;
    }
    if (value_is_whole(path)) {
        return get_item(value, machine, item, path);
    }
    if (path->kind != TEMPLATE_STRING) {
        return machine_fail(machine, LIMN_FORMAT, "an attribute is %s, expected str", value_type(path));
    }
    const Str *text = path->string;
    if (memchr(text->bytes, ',', text->length) != NULL) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "several attributes are not implemented");
    }
    for (size_t begin = 0; begin <= text->length;) {
        size_t end = begin + strcspn(text->bytes + begin, ".");
        TemplateValue object = *value, key;
        bool digits = end > begin && strspn(text->bytes + begin, "0123456789") >= end - begin && end - begin < 10;
        TRY(value_of_text(&key, machine, text->bytes + begin, end - begin, 0));
        if (digits) {
            int64_t index = 0;
            for (size_t at = begin; at < end; at++) {
                index = index * 10 + (text->bytes[at] - '0');
            }
            key = value_of_integer(index);
        }
        TRY(get_item(value, machine, &object, &key));
        begin = end + 1;
    }
    return LIMN_OK;
}

static limn_status fold_case(TemplateValue *value, Machine *machine, bool sensitive) {
    return sensitive || value->kind != TEMPLATE_STRING ? LIMN_OK
                                                       : text_change_case(value, machine, value->string, CASE_LOWER);
}

limn_status filter_first(Call *call, TemplateValue *result) {
    List *items;
    TRY(value_items(&items, call->machine, &call->self));
    *result = items->n > 0 ? items->items[0] : value_of_undefined("No first item, sequence was empty.");
    return LIMN_OK;
}

limn_status filter_last(Call *call, TemplateValue *result) {
    List *items;
    if (call->self.kind == TEMPLATE_LAZY && call->self.list->lazy == LAZY_GENERATOR) {
        return call_fail(call, "'generator' object is not reversible");
    }
    TRY(value_items(&items, call->machine, &call->self));
    *result = items->n > 0 ? items->items[items->n - 1] : value_of_undefined("No last item, sequence was empty.");
    return LIMN_OK;
}

limn_status filter_join(Call *call, TemplateValue *result) {
    List *items;
    TemplateValue between = value_of(TEMPLATE_UNDEFINED);
    Builder builder = {.machine = call->machine};
    TRY(call->args[0].kind != TEMPLATE_ABSENT ? value_to_str(&between, call->machine, &call->args[0]) : LIMN_OK);
    TRY(value_items(&items, call->machine, &call->self));
    for (size_t i = 0; i < items->n; i++) {
        TemplateValue item;
        TRY(get_path(&item, call->machine, &items->items[i], &call->args[1]));
        if (i > 0 && between.kind == TEMPLATE_STRING) {
            builder_add_str(&builder, between.string);
        }
        TRY(value_write_str(&builder, &item));
        TRY(builder.status);
    }
    return builder_finish(result, &builder);
}

limn_status filter_list(Call *call, TemplateValue *result) {
    List *items;
    TRY(value_items(&items, call->machine, &call->self));
    TRY(value_list(result, call->machine, TEMPLATE_LIST, items->n));
    if (items->n > 0) {
        memcpy(result->list->items, items->items, items->n * sizeof(TemplateValue));
    }
    return LIMN_OK;
}

limn_status filter_reverse(Call *call, TemplateValue *result) {
    if (call->self.kind == TEMPLATE_STRING) {
        const Slice slice = {value_of(TEMPLATE_NONE), value_of(TEMPLATE_NONE), value_of_integer(-1)};
        const TemplateValue key = {.kind = TEMPLATE_SLICE, .slice = &slice};
        return get_item(result, call->machine, &call->self, &key);
    }
    List *items;
    TRY(value_items(&items, call->machine, &call->self));
    TRY(lazy_list(result, call->machine, items->n));
    for (size_t i = 0; i < items->n; i++) {
        result->list->items[i] = items->items[items->n - 1 - i];
    }
    return LIMN_OK;
}

/* ---- order ---- */

typedef struct Keyed {
    TemplateValue key, item;
} Keyed;

/* A stable sort whose comparison may fail: runs of doubling length are merged. */
static limn_status sort_keyed(Machine *machine, Keyed *items, size_t n, bool reversed) {
    void *memory;
    TRY(machine_take(&memory, machine, n, sizeof(Keyed)));
    Keyed *from = items, *to = memory;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            size_t a = begin, middle = begin + width < n ? begin + width : n, b = middle;
            size_t end = middle + width < n ? middle + width : n;
            for (size_t at = begin; at < end; at++) {
                int order = 0;
                if (a < middle && b < end) {
                    TRY(value_order(&order, machine, &from[b].key, &from[a].key, "<"));
                    order = reversed ? -order : order;
                }
                bool second = a >= middle || (b < end && order < 0);
                to[at] = second ? from[b++] : from[a++];
            }
        }
        Keyed *other = from;
        from = to;
        to = other;
    }
    if (from != items && n > 0) {
        memcpy(items, from, n * sizeof *items);
    }
    return LIMN_OK;
}

static limn_status keyed_items(Keyed **keyed, Machine *machine, const List *items, const TemplateValue *path,
                               bool sensitive) {
    void *memory;
    TRY(machine_take(&memory, machine, items->n, sizeof(Keyed)));
    *keyed = memory;
    for (size_t i = 0; i < items->n; i++) {
        (*keyed)[i].item = items->items[i];
        TRY(get_path(&(*keyed)[i].key, machine, &items->items[i], path));
        TRY(fold_case(&(*keyed)[i].key, machine, sensitive));
    }
    return LIMN_OK;
}

static limn_status sorted_list(TemplateValue *result, Machine *machine, Keyed *keyed, size_t n, bool reversed) {
    TRY(sort_keyed(machine, keyed, n, reversed));
    TRY(value_list(result, machine, TEMPLATE_LIST, n));
    for (size_t i = 0; i < n; i++) {
        result->list->items[i] = keyed[i].item;
    }
    return LIMN_OK;
}

limn_status filter_sort(Call *call, TemplateValue *result) {
    List *items;
    Keyed *keyed;
    TRY(value_items(&items, call->machine, &call->self));
    TRY(keyed_items(&keyed, call->machine, items, &call->args[2], call_take_bool(call, 1, false)));
    for (size_t i = 0; i < items->n; i++) { /* as the reference sorts: equal keys need no order */
        TemplateValue list;
        TRY(value_list(&list, call->machine, TEMPLATE_LIST, 1));
        list.list->items[0] = keyed[i].key;
        keyed[i].key = list;
    }
    return sorted_list(result, call->machine, keyed, items->n, call_take_bool(call, 0, false));
}

static limn_status dict_pairs(TemplateValue *pairs, Machine *machine, const Dict *dict) {
    TRY(lazy_list(pairs, machine, dict->n));
    for (size_t i = 0; i < dict->n; i++) {
        TemplateValue *pair = &pairs->list->items[i];
        TRY(value_list(pair, machine, TEMPLATE_TUPLE, 2));
        pair->list->items[0] = dict->keys[i];
        pair->list->items[1] = dict->values[i];
    }
    return LIMN_OK;
}

limn_status filter_dictsort(Call *call, TemplateValue *result) {
    static const Str by_key = {.bytes = "key", .length = 3};
    const Str *by;
    Keyed *keyed;
    TemplateValue pairs;
    if (call->self.kind != TEMPLATE_DICT) {
        return call_fail(call, "found %s, expected dict", value_type(&call->self));
    }
    TRY(call_take_text(&by, call, 1, &by_key));
    bool value = str_is(by, "value", 5);
    if (!value && !str_is(by, "key", 3)) {
        return call_fail(call, "by is '%.40s', expected 'key' or 'value'", by->bytes);
    }
    const TemplateValue path = value_of_integer(value);
    TRY(dict_pairs(&pairs, call->machine, call->self.dict));
    TRY(keyed_items(&keyed, call->machine, pairs.list, &path, call_take_bool(call, 0, false)));
    return sorted_list(result, call->machine, keyed, pairs.list->n, call_take_bool(call, 2, false));
}

limn_status filter_items(Call *call, TemplateValue *result) {
    if (call->self.kind == TEMPLATE_UNDEFINED) {
        return lazy_list(result, call->machine, 0);
    }
    if (call->self.kind != TEMPLATE_DICT) {
        return call_fail(call, "found %s, expected dict", value_type(&call->self));
    }
    return dict_pairs(result, call->machine, call->self.dict);
}

static limn_status extreme(Call *call, TemplateValue *result, int sign) {
    List *items;
    Keyed *keyed;
    TRY(value_items(&items, call->machine, &call->self));
    TRY(keyed_items(&keyed, call->machine, items, &call->args[1], call_take_bool(call, 0, false)));
    size_t best = 0;
    for (size_t i = 1; i < items->n; i++) {
        int order;
        TRY(value_order(&order, call->machine, &keyed[i].key, &keyed[best].key, sign < 0 ? "<" : ">"));
        best = order * sign > 0 ? i : best;
    }
    *result = items->n > 0 ? items->items[best] : value_of_undefined("No aggregated item, sequence was empty.");
    return LIMN_OK;
}

limn_status filter_min(Call *call, TemplateValue *result) {
    return extreme(call, result, -1);
}

limn_status filter_max(Call *call, TemplateValue *result) {
    return extreme(call, result, 1);
}

limn_status filter_unique(Call *call, TemplateValue *result) {
    List *items;
    Keyed *keyed;
    TemplateValue seen;
    TRY(value_items(&items, call->machine, &call->self));
    TRY(keyed_items(&keyed, call->machine, items, &call->args[1], call_take_bool(call, 0, false)));
    TRY(value_dict(&seen, call->machine, 0));
    TRY(lazy_list(result, call->machine, items->n));
    result->list->n = 0;
    for (size_t i = 0; i < items->n; i++) {
        const TemplateValue *found;
        TRY(dict_find(&found, call->machine, seen.dict, &keyed[i].key));
        if (found == NULL) {
            TRY(dict_set(call->machine, seen.dict, keyed[i].key, value_of(TEMPLATE_NONE)));
            result->list->items[result->list->n++] = items->items[i];
        }
    }
    return LIMN_OK;
}

limn_status filter_sum(Call *call, TemplateValue *result) {
    List *items;
    *result = call->args[1].kind == TEMPLATE_ABSENT ? value_of_integer(0) : call->args[1];
    if (result->kind == TEMPLATE_STRING) {
        return call_fail(call, "sum() can't sum strings");
    }
    TRY(value_items(&items, call->machine, &call->self));
    for (size_t i = 0; i < items->n; i++) {
        TemplateValue item, total = *result;
        TRY(get_path(&item, call->machine, &items->items[i], &call->args[0]));
        TRY(operate(result, call->machine, OP_ADD, &total, &item));
    }
    return LIMN_OK;
}

limn_status filter_batch(Call *call, TemplateValue *result) {
    List *items;
    int64_t width;
    TRY(call_need_whole(&width, call, &call->args[0]));
    TRY(value_items(&items, call->machine, &call->self));
    if (width < 1) {
        return call_fail(call, "found batches of %lld, expected 1 or more", (long long)width);
    }
    size_t each = (size_t)width, n = items->n / each + (items->n % each != 0);
    bool fill = call->args[1].kind != TEMPLATE_ABSENT && call->args[1].kind != TEMPLATE_NONE;
    TRY(lazy_list(result, call->machine, n));
    for (size_t i = 0; i < n; i++) {
        size_t left = items->n - i * each, count = left < each && !fill ? left : each;
        TemplateValue *row = &result->list->items[i];
        TRY(value_list(row, call->machine, TEMPLATE_LIST, count));
        TRY(machine_step(call->machine, count));
        for (size_t k = 0; k < count; k++) {
            row->list->items[k] = k < left ? items->items[i * each + k] : call->args[1];
        }
    }
    return LIMN_OK;
}

/* ---- map, select and their like: the name of a filter or test among the arguments ---- */

static const TemplateValue *named_argument(const Given *given, const char *name) {
    for (size_t i = 0; i < given->n_named; i++) {
        if (str_is(given->names[i], name, strlen(name))) {
            return &given->named[i];
        }
    }
    return NULL;
}

static limn_status find_row(const Builtin **row, Call *call, const TemplateValue *name, bool test) {
    const Str *text;
    TRY(call_need_text(&text, call, name));
    return builtin_find(row, call->machine->parsed, call->machine->at, text, test);
}

static limn_status map_attribute(Call *call, TemplateValue *result, const List *items, const TemplateValue *path) {
    const TemplateValue *otherwise = named_argument(call->given, "default");
    if (call->given->n_named > 1U + (otherwise != NULL)) {
        return call_fail(call, "an argument it does not have");
    }
    for (size_t i = 0; i < items->n; i++) {
        TemplateValue *item = &result->list->items[i];
        TRY(get_path(item, call->machine, &items->items[i], path));
        if (item->kind == TEMPLATE_UNDEFINED && otherwise != NULL && otherwise->kind != TEMPLATE_NONE) {
            *item = *otherwise;
        }
    }
    return LIMN_OK;
}

limn_status filter_map(Call *call, TemplateValue *result) {
    List *items;
    const Builtin *row;
    const TemplateValue *path = named_argument(call->given, "attribute");
    TRY(value_items(&items, call->machine, &call->self));
    TRY(lazy_list(result, call->machine, items->n));
    if (call->given->n == 0 && path != NULL) {
        return map_attribute(call, result, items, path);
    }
    if (call->given->n == 0) {
        return call_fail(call, "expected the name of a filter");
    }
    TRY(find_row(&row, call, &call->given->positional[0], false));
    Given rest = *call->given;
    rest.positional++;
    rest.n--;
    for (size_t i = 0; i < items->n; i++) {
        TRY(builtin_call(call->machine, row, items->items[i], &rest, &result->list->items[i]));
    }
    return LIMN_OK;
}

static limn_status select_items(Call *call, TemplateValue *result, bool by_attribute, bool wanted) {
    List *items;
    const Builtin *row = NULL;
    Given rest = *call->given;
    TemplateValue path = value_of(TEMPLATE_ABSENT);
    if (by_attribute) {
        if (rest.n == 0) {
            return call_fail(call, "expected the name of an attribute");
        }
        path = rest.positional[0];
        rest.positional++;
        rest.n--;
    }
    if (rest.n > 0) {
        TRY(find_row(&row, call, &rest.positional[0], true));
        rest.positional++;
        rest.n--;
    }
    TRY(value_items(&items, call->machine, &call->self));
    TRY(lazy_list(result, call->machine, items->n));
    result->list->n = 0;
    for (size_t i = 0; i < items->n; i++) {
        TemplateValue tested, answer;
        TRY(get_path(&tested, call->machine, &items->items[i], &path));
        answer = value_of_bool(value_truth(&tested));
        TRY(row != NULL ? builtin_call(call->machine, row, tested, &rest, &answer) : LIMN_OK);
        if (value_truth(&answer) == wanted) {
            result->list->items[result->list->n++] = items->items[i];
        }
    }
    return LIMN_OK;
}

limn_status filter_select(Call *call, TemplateValue *result) {
    return select_items(call, result, false, true);
}

limn_status filter_reject(Call *call, TemplateValue *result) {
    return select_items(call, result, false, false);
}

limn_status filter_selectattr(Call *call, TemplateValue *result) {
    return select_items(call, result, true, true);
}

limn_status filter_rejectattr(Call *call, TemplateValue *result) {
    return select_items(call, result, true, false);
}
