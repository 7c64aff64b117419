/* a.b, a[b] and slices. */
#include <string.h>

#include "base/integers.h"
#include "chat/evaluate.h"

static limn_status undefined(TemplateValue *value, Machine *machine, const char *format, const TemplateValue *object,
                             const char *name) {
    const char *type = object->kind == TEMPLATE_NONE ? "None" : value_type(object);
    char *missing = arena_printf(&machine->arena, format, type, name);
    *value = value_of_undefined(missing);
    return missing != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: out of memory", machine->parsed->name);
}

static limn_status no_attribute(TemplateValue *value, Machine *machine, const TemplateValue *object, const Str *name) {
    return undefined(value, machine, "'%s object' has no attribute '%.80s'", object, name->bytes);
}

static bool is_private(const Str *name) {
    return name->length > 4 && memcmp(name->bytes, "__", 2) == 0 &&
           memcmp(name->bytes + name->length - 2, "__", 2) == 0;
}

/* Names that would change a list or a dict: there, and refused when they are used. */
static bool changes(const TemplateValue *object, const Str *name) {
    static const char *const of_lists[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
    static const char *const of_dicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
    bool list = object->kind == TEMPLATE_LIST;
    size_t n = list                            ? sizeof of_lists / sizeof *of_lists
               : object->kind == TEMPLATE_DICT ? sizeof of_dicts / sizeof *of_dicts
                                               : 0;
    for (size_t i = 0; i < n; i++) {
        const char *row = list ? of_lists[i] : of_dicts[i];
        if (str_is(name, row, strlen(row))) {
            return true;
        }
    }
    return false;
}

/* What Python's getattr finds; *found false: nothing. */
static limn_status own_attribute(bool *found, TemplateValue *value, Machine *machine, const TemplateValue *object,
                                 const Str *name) {
    *found = true;
    if (is_private(name) || changes(object, name)) {
        return undefined(value, machine, "access to attribute '%2$.80s' of '%1$s' object is unsafe.", object,
                         name->bytes);
    }
    if (object->kind == TEMPLATE_LOOP) {
        return loop_attribute(value, machine, object->loop, name);
    }
    if (object->kind == TEMPLATE_NAMESPACE) {
        const TemplateValue *item;
        TRY(dict_find_text(&item, machine, object->dict, name->bytes, name->length));
        *found = item != NULL;
        *value = item != NULL ? *item : *value;
        return LIMN_OK;
    }
    const Builtin *row = method_row(object, name->bytes, name->length);
    *found = row != NULL;
    if (row == NULL) {
        return LIMN_OK;
    }
    if (row->run == NULL) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "'%s' of a %s is not implemented", row->name,
                            value_type(object));
    }
    return function_new(value, machine, (Function){.kind = FUNCTION_BUILTIN, .builtin = row, .self = *object});
}

static limn_status check_object(const Machine *machine, const TemplateValue *object) {
    if (object->kind == TEMPLATE_UNDEFINED) {
        return machine_fail(machine, LIMN_FORMAT, "%s", object->missing);
    }
    if (object->kind == TEMPLATE_FUNCTION) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "attributes of functions are not implemented");
    }
    if (object->kind == TEMPLATE_STRING && object->string->markup) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "computing with safe text is not implemented");
    }
    return LIMN_OK;
}

limn_status get_attribute(TemplateValue *value, Machine *machine, const TemplateValue *object, const Str *name) {
    bool found;
    TRY(check_object(machine, object));
    TRY(own_attribute(&found, value, machine, object, name));
    if (found) {
        return LIMN_OK;
    }
    if (object->kind == TEMPLATE_DICT) {
        const TemplateValue *item;
        TRY(dict_find_text(&item, machine, object->dict, name->bytes, name->length));
        if (item != NULL) {
            *value = *item;
            return LIMN_OK;
        }
    }
    return no_attribute(value, machine, object, name);
}

/* ---- slices ---- */

static limn_status slice_bound(int64_t *bound, Machine *machine, const TemplateValue *value, int64_t n, int64_t least,
                               int64_t fallback) {
    *bound = fallback;
    if (value->kind == TEMPLATE_NONE) {
        return LIMN_OK;
    }
    if (!value_is_whole(value)) {
        return machine_fail(machine, LIMN_FORMAT, "slice indices must be integers or None, not %s", value_type(value));
    }
    int64_t at = value_whole(value);
    at = at < 0 ? (at < -n ? least : at + n) : at;
    int64_t most = least + n;
    *bound = at < least ? least : at > most ? most : at;
    return LIMN_OK;
}

typedef struct Range {
    int64_t begin, step, count;
} Range;

static limn_status slice_range(Range *range, Machine *machine, const Slice *slice, int64_t n) {
    int64_t begin, end, step = 1;
    if (slice->step.kind != TEMPLATE_NONE) {
        step = value_is_whole(&slice->step) ? value_whole(&slice->step) : 0;
        if (step == 0) {
            return machine_fail(machine, LIMN_FORMAT, "a slice's step must be an integer other than zero");
        }
    }
    step = smaller(larger(step, -INT32_MAX), INT32_MAX);
    int64_t least = step < 0 ? -1 : 0;
    TRY(slice_bound(&begin, machine, &slice->begin, n, least, step < 0 ? n - 1 : 0));
    TRY(slice_bound(&end, machine, &slice->end, n, least, step < 0 ? -1 : n));
    int64_t distance = step > 0 ? end - begin : begin - end;
    *range = (Range){begin, step, distance > 0 ? blocks_of(distance, step > 0 ? step : -step) : 0};
    return LIMN_OK;
}

static limn_status slice_text(TemplateValue *value, Machine *machine, const Str *string, const Range *range) {
    TRY(machine_step(machine, string->length / 64 + 1));
    if (range->step == 1) {
        size_t begin = str_offset(string, (size_t)range->begin);
        const Str rest = {.bytes = string->bytes + begin, .length = string->length - begin};
        return str_part(value, machine, string, begin, begin + str_offset(&rest, (size_t)range->count));
    }
    const TemplateValue whole = value_of_str(string);
    List *characters;
    TRY(value_items(&characters, machine, &whole));
    Builder builder = {.machine = machine};
    for (int64_t i = 0; i < range->count; i++) {
        builder_add_str(&builder, characters->items[range->begin + i * range->step].string);
    }
    return builder_finish(value, &builder);
}

static limn_status get_slice(bool *found, TemplateValue *value, Machine *machine, const TemplateValue *object,
                             const Slice *slice) {
    Range range;
    int64_t n;
    *found = object->kind == TEMPLATE_STRING || object->kind == TEMPLATE_LIST || object->kind == TEMPLATE_TUPLE ||
             (object->kind == TEMPLATE_LAZY && object->list->lazy == LAZY_RANGE);
    if (!*found) {
        return LIMN_OK;
    }
    TRY(value_length(&n, machine, object));
    TRY(slice_range(&range, machine, slice, n));
    if (object->kind == TEMPLATE_STRING) {
        return slice_text(value, machine, object->string, &range);
    }
    TRY(machine_step(machine, (size_t)range.count));
    TRY(value_list(value, machine, object->kind, (size_t)range.count));
    value->list->lazy = object->list->lazy;
    value->list->mark = object->list->mark;
    for (int64_t i = 0; i < range.count; i++) {
        value->list->items[i] = object->list->items[range.begin + i * range.step];
    }
    return LIMN_OK;
}

/* ---- items ---- */

static limn_status get_index(bool *found, TemplateValue *value, Machine *machine, const TemplateValue *object,
                             int64_t index) {
    int64_t n;
    *found = false;
    if (object->kind != TEMPLATE_STRING && object->kind != TEMPLATE_LIST && object->kind != TEMPLATE_TUPLE &&
        !(object->kind == TEMPLATE_LAZY && object->list->lazy == LAZY_RANGE)) {
        return LIMN_OK;
    }
    TRY(value_length(&n, machine, object));
    index += index < 0 ? n : 0;
    *found = index >= 0 && index < n;
    if (!*found) {
        return LIMN_OK;
    }
    if (object->kind != TEMPLATE_STRING) {
        *value = object->list->items[index];
        return LIMN_OK;
    }
    return slice_text(value, machine, object->string, &(Range){index, 1, 1});
}

limn_status get_item(TemplateValue *value, Machine *machine, const TemplateValue *object, const TemplateValue *key) {
    bool found = false;
    TRY(check_object(machine, object));
    if (key->kind == TEMPLATE_SLICE) {
        TRY(get_slice(&found, value, machine, object, key->slice));
        return found ? LIMN_OK : machine_fail(machine, LIMN_FORMAT, "'%s' object cannot be sliced", value_type(object));
    }
    if (object->kind == TEMPLATE_DICT && key->kind != TEMPLATE_LIST && key->kind != TEMPLATE_DICT) {
        const TemplateValue *item;
        TRY(dict_find(&item, machine, object->dict, key));
        found = item != NULL;
        *value = item != NULL ? *item : *value;
    } else if (value_is_whole(key)) {
        TRY(get_index(&found, value, machine, object, value_whole(key)));
    }
    if (!found && key->kind == TEMPLATE_STRING) {
        TRY(own_attribute(&found, value, machine, object, key->string));
        return found ? LIMN_OK : no_attribute(value, machine, object, key->string);
    }
    return found ? LIMN_OK : undefined(value, machine, "'%s object' has no such element%s", object, "");
}
