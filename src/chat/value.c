#include "chat/value.h"

#include <math.h>
#include <string.h>

/* ---- making ---- */

limn_status value_list(TemplateValue *value, Machine *machine, TemplateKind kind, size_t n) {
    void *list, *items;
    TRY(machine_take(&list, machine, 1, sizeof(List)));
    TRY(machine_take(&items, machine, n, sizeof(TemplateValue)));
    *value = (TemplateValue){.kind = kind, .list = list};
    value->list->items = items;
    value->list->n = n;
    return LIMN_OK;
}

limn_status value_dict(TemplateValue *value, Machine *machine, size_t capacity) {
    void *dict, *keys, *values;
    TRY(machine_take(&dict, machine, 1, sizeof(Dict)));
    TRY(machine_take(&keys, machine, capacity, sizeof(TemplateValue)));
    TRY(machine_take(&values, machine, capacity, sizeof(TemplateValue)));
    *value = (TemplateValue){.kind = TEMPLATE_DICT, .dict = dict};
    *value->dict = (Dict){.keys = keys, .values = values, .capacity = capacity};
    return LIMN_OK;
}

static limn_status dict_grow(Machine *machine, Dict *dict) {
    void *keys, *values;
    size_t capacity = dict->capacity < 8 ? 8 : 2 * dict->capacity;
    TRY(machine_take(&keys, machine, capacity, sizeof(TemplateValue)));
    TRY(machine_take(&values, machine, capacity, sizeof(TemplateValue)));
    if (dict->n > 0) {
        memcpy(keys, dict->keys, dict->n * sizeof(TemplateValue));
        memcpy(values, dict->values, dict->n * sizeof(TemplateValue));
    }
    dict->keys = keys;
    dict->values = values;
    dict->capacity = capacity;
    return LIMN_OK;
}

static limn_status check_hashable(const Machine *machine, const TemplateValue *key) {
    if (key->kind == TEMPLATE_LIST || key->kind == TEMPLATE_DICT) {
        return machine_fail(machine, LIMN_FORMAT, "unhashable type: '%s'", value_type(key));
    }
    return LIMN_OK;
}

limn_status dict_find(const TemplateValue **found, Machine *machine, const Dict *dict, const TemplateValue *key) {
    *found = NULL;
    TRY(check_hashable(machine, key));
    TRY(machine_step(machine, dict->n / 8 + 1));
    for (size_t i = 0; i < dict->n; i++) {
        const TemplateValue *at = &dict->keys[i];
        bool equal;
        if (at->kind == TEMPLATE_STRING && key->kind == TEMPLATE_STRING) {
            equal = str_is(at->string, key->string->bytes, key->string->length);
        } else if (at->kind == TEMPLATE_STRING || key->kind == TEMPLATE_STRING) {
            equal = false;
        } else {
            TRY(value_equal(&equal, machine, at, key));
        }
        if (equal) {
            *found = &dict->values[i];
            return LIMN_OK;
        }
    }
    return LIMN_OK;
}

limn_status dict_find_text(const TemplateValue **found, Machine *machine, const Dict *dict, const char *key,
                           size_t length) {
    const Str string = {.bytes = key, .length = length};
    const TemplateValue value = value_of_str(&string);
    return dict_find(found, machine, dict, &value);
}

limn_status dict_set(Machine *machine, Dict *dict, TemplateValue key, TemplateValue item) {
    const TemplateValue *found;
    TRY(dict_find(&found, machine, dict, &key));
    if (found != NULL) {
        dict->values[found - dict->values] = item;
        return LIMN_OK;
    }
    if (dict->n == dict->capacity) {
        TRY(dict_grow(machine, dict));
    }
    dict->keys[dict->n] = key;
    dict->values[dict->n++] = item;
    return LIMN_OK;
}

limn_status value_of_text(TemplateValue *value, Machine *machine, const char *bytes, size_t length, Mark mark) {
    void *copy, *string;
    TRY(machine_take(&copy, machine, length + 1, 1));
    TRY(machine_take(&string, machine, 1, sizeof(Str)));
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    *(Str *)string = (Str){.bytes = copy, .length = length, .mark = mark};
    *value = value_of_str(string);
    return LIMN_OK;
}

static limn_status array_from_json(TemplateValue *value, Machine *machine, const json_t *json, Mark mark) {
    size_t n = json_array_size(json);
    TRY(value_list(value, machine, TEMPLATE_LIST, n));
    value->list->mark = mark;
    for (size_t i = 0; i < n; i++) {
        TRY(value_from_json(&value->list->items[i], machine, json_array_get(json, i), mark));
    }
    return LIMN_OK;
}

static limn_status object_from_json(TemplateValue *value, Machine *machine, const json_t *json, Mark mark) {
    TRY(value_dict(value, machine, json_object_size(json)));
    value->dict->mark = mark;
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)json, key, item) {
        Dict *dict = value->dict;
        TRY(value_of_text(&dict->keys[dict->n], machine, key, strlen(key), mark));
        TRY(value_from_json(&dict->values[dict->n], machine, item, mark));
        dict->n++;
    }
    return LIMN_OK;
}

limn_status value_from_json(TemplateValue *value, Machine *machine, const json_t *json, Mark mark) {
    if (machine->depth >= CHAT_DEPTH_MAX) {
        return machine_fail(machine, LIMN_RANGE, "JSON nested deeper than %d (the limit)", CHAT_DEPTH_MAX);
    }
    machine->depth++;
    limn_status status = LIMN_OK;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        status = object_from_json(value, machine, json, mark);
        break;
    case JSON_ARRAY:
        status = array_from_json(value, machine, json, mark);
        break;
    case JSON_STRING:
        status = value_of_text(value, machine, json_string_value(json), json_string_length(json), mark);
        break;
    case JSON_INTEGER:
        *value = value_of_integer(json_integer_value(json));
        break;
    case JSON_REAL:
        *value = value_of_real(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *value = value_of_bool(json_is_true(json));
        break;
    default:
        *value = value_of(TEMPLATE_NONE);
    }
    machine->depth--;
    return status;
}

/* ---- asking ---- */

const char *value_type(const TemplateValue *value) {
    static const char *const names[] = {"nothing", "Undefined", "NoneType", "bool",        "int",
                                        "float",   "str",       "list",     "tuple",       "generator",
                                        "dict",    "Namespace", "function", "LoopContext", "slice"};
    static const char *const lazy[] = {"range", "generator", "dict view"};
    return value->kind == TEMPLATE_LAZY ? lazy[value->list->lazy] : names[value->kind];
}

bool value_truth(const TemplateValue *value) {
    switch (value->kind) {
    case TEMPLATE_ABSENT:
    case TEMPLATE_UNDEFINED:
    case TEMPLATE_NONE:
        return false;
    case TEMPLATE_BOOL:
        return value->boolean;
    case TEMPLATE_INTEGER:
        return value->integer != 0;
    case TEMPLATE_REAL:
        return value->real != 0;
    case TEMPLATE_STRING:
        return value->string->length > 0;
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
        return value->list->n > 0;
    case TEMPLATE_LAZY:
        return value->list->lazy == LAZY_GENERATOR || value->list->n > 0;
    case TEMPLATE_DICT:
        return value->dict->n > 0;
    default:
        return true;
    }
}

static limn_status characters(List **items, Machine *machine, const Str *string) {
    TemplateValue list;
    TRY(value_list(&list, machine, TEMPLATE_LIST, str_count(string)));
    size_t at = 0;
    for (size_t i = 0; i < list.list->n; i++) {
        size_t step;
        utf8_next(string->bytes + at, &step);
        TRY(str_part(&list.list->items[i], machine, string, at, at + step));
        at += step;
    }
    *items = list.list;
    return LIMN_OK;
}

limn_status value_items(List **items, Machine *machine, const TemplateValue *value) {
    TemplateValue none;
    switch (value->kind) {
    case TEMPLATE_UNDEFINED:
        TRY(value_list(&none, machine, TEMPLATE_LIST, 0));
        *items = none.list;
        return LIMN_OK;
    case TEMPLATE_STRING:
        return characters(items, machine, value->string);
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
        *items = value->list;
        return machine_step(machine, value->list->n);
    case TEMPLATE_LAZY:
        if (value->list->lazy == LAZY_GENERATOR && value->list->used) {
            TRY(value_list(&none, machine, TEMPLATE_LIST, 0));
            *items = none.list;
            return LIMN_OK;
        }
        value->list->used = true;
        *items = value->list;
        return machine_step(machine, value->list->n);
    case TEMPLATE_DICT: {
        TemplateValue list;
        TRY(value_list(&list, machine, TEMPLATE_LIST, value->dict->n));
        if (value->dict->n > 0) {
            memcpy(list.list->items, value->dict->keys, value->dict->n * sizeof(TemplateValue));
        }
        *items = list.list;
        return LIMN_OK;
    }
    default:
        return machine_fail(machine, LIMN_FORMAT, "'%s' object is not iterable", value_type(value));
    }
}

limn_status value_length(int64_t *length, Machine *machine, const TemplateValue *value) {
    *length = 0;
    switch (value->kind) {
    case TEMPLATE_UNDEFINED:
        return LIMN_OK;
    case TEMPLATE_STRING:
        *length = (int64_t)str_count(value->string);
        return LIMN_OK;
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
        *length = (int64_t)value->list->n;
        return LIMN_OK;
    case TEMPLATE_DICT:
        *length = (int64_t)value->dict->n;
        return LIMN_OK;
    case TEMPLATE_LAZY:
        *length = (int64_t)value->list->n;
        if (value->list->lazy != LAZY_GENERATOR) {
            return LIMN_OK;
        }
        break;
    default:
        break;
    }
    return machine_fail(machine, LIMN_FORMAT, "object of type '%s' has no len()", value_type(value));
}

static limn_status lists_equal(bool *equal, Machine *machine, const List *a, const List *b) {
    *equal = a->n == b->n;
    for (size_t i = 0; i < a->n && *equal; i++) {
        TRY(value_equal(equal, machine, &a->items[i], &b->items[i]));
    }
    return LIMN_OK;
}

static limn_status dicts_equal(bool *equal, Machine *machine, const Dict *a, const Dict *b) {
    *equal = a->n == b->n;
    for (size_t i = 0; i < a->n && *equal; i++) {
        const TemplateValue *other;
        TRY(dict_find(&other, machine, b, &a->keys[i]));
        *equal = other != NULL;
        if (other != NULL) {
            TRY(value_equal(equal, machine, &a->values[i], other));
        }
    }
    return LIMN_OK;
}

static limn_status compare_equal(bool *equal, Machine *machine, const TemplateValue *a, const TemplateValue *b) {
    *equal = false;
    if (value_is_number(a) && value_is_number(b)) {
        *equal = value_is_whole(a) && value_is_whole(b) ? value_whole(a) == value_whole(b)
                                                        : value_number(a) == value_number(b);
        return LIMN_OK;
    }
    if (a->kind != b->kind) {
        return LIMN_OK;
    }
    switch (a->kind) {
    case TEMPLATE_UNDEFINED:
    case TEMPLATE_NONE:
        *equal = true;
        return LIMN_OK;
    case TEMPLATE_STRING:
        *equal = str_is(a->string, b->string->bytes, b->string->length);
        return LIMN_OK;
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
        return lists_equal(equal, machine, a->list, b->list);
    case TEMPLATE_LAZY:
        if (a->list->lazy == LAZY_RANGE && b->list->lazy == LAZY_RANGE) {
            return lists_equal(equal, machine, a->list, b->list);
        }
        *equal = a->list == b->list;
        return LIMN_OK;
    case TEMPLATE_DICT:
        return dicts_equal(equal, machine, a->dict, b->dict);
    default:
        *equal = a->dict == b->dict; /* one pointer is as good as another */
        return LIMN_OK;
    }
}

limn_status value_equal(bool *equal, Machine *machine, const TemplateValue *a, const TemplateValue *b) {
    TRY(machine_step(machine, 1));
    if (machine->depth >= CHAT_DEPTH_MAX) {
        return machine_fail(machine, LIMN_RANGE, "values nested deeper than %d (the limit)", CHAT_DEPTH_MAX);
    }
    machine->depth++;
    limn_status status = compare_equal(equal, machine, a, b);
    machine->depth--;
    return status;
}

static int text_order(const Str *a, const Str *b) { /* UTF-8 sorts as its code points do */
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->bytes, b->bytes, shorter);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static limn_status list_order(int *order, Machine *machine, const List *a, const List *b, const char *what) {
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        bool equal;
        TRY(value_equal(&equal, machine, &a->items[i], &b->items[i]));
        if (!equal) {
            return value_order(order, machine, &a->items[i], &b->items[i], what);
        }
    }
    *order = (a->n > b->n) - (a->n < b->n);
    return LIMN_OK;
}

limn_status value_order(int *order, Machine *machine, const TemplateValue *a, const TemplateValue *b,
                        const char *what) {
    TRY(machine_step(machine, 1));
    *order = 0;
    if (value_is_whole(a) && value_is_whole(b)) {
        *order = (value_whole(a) > value_whole(b)) - (value_whole(a) < value_whole(b));
        return LIMN_OK;
    }
    if (value_is_number(a) && value_is_number(b)) {
        double x = value_number(a), y = value_number(b);
        if (isnan(x) || isnan(y)) {
            return machine_fail(machine, LIMN_UNSUPPORTED, "comparing with not-a-number is not implemented");
        }
        *order = (x > y) - (x < y);
        return LIMN_OK;
    }
    if (a->kind == TEMPLATE_STRING && b->kind == TEMPLATE_STRING) {
        *order = text_order(a->string, b->string);
        return LIMN_OK;
    }
    if (a->kind == b->kind && (a->kind == TEMPLATE_LIST || a->kind == TEMPLATE_TUPLE)) {
        return list_order(order, machine, a->list, b->list, what);
    }
    const TemplateValue *undefined = a->kind == TEMPLATE_UNDEFINED ? a : b->kind == TEMPLATE_UNDEFINED ? b : NULL;
    if (undefined != NULL) {
        return machine_fail(machine, LIMN_FORMAT, "%s", undefined->missing);
    }
    return machine_fail(machine, LIMN_FORMAT, "'%s' not supported between instances of '%s' and '%s'", what,
                        value_type(a), value_type(b));
}

limn_status value_contains(bool *contains, Machine *machine, const TemplateValue *whole, const TemplateValue *part) {
    *contains = false;
    if (whole->kind == TEMPLATE_STRING) {
        if (part->kind != TEMPLATE_STRING) {
            return machine_fail(machine, LIMN_FORMAT, "'in <string>' requires string as left operand, not %s",
                                value_type(part));
        }
        TRY(machine_step(machine, whole->string->length / 64 + 1));
        *contains = str_find(whole->string, part->string, 0) != SIZE_MAX;
        return LIMN_OK;
    }
    if (whole->kind == TEMPLATE_DICT) {
        const TemplateValue *found;
        TRY(dict_find(&found, machine, whole->dict, part));
        *contains = found != NULL;
        return LIMN_OK;
    }
    if (!value_is_sequence(whole) && whole->kind != TEMPLATE_UNDEFINED) {
        return machine_fail(machine, LIMN_FORMAT, "argument of type '%s' is not iterable", value_type(whole));
    }
    List *items;
    TRY(value_items(&items, machine, whole));
    for (size_t i = 0; i < items->n && !*contains; i++) {
        TRY(value_equal(contains, machine, &items->items[i], part));
    }
    return LIMN_OK;
}
