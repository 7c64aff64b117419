/* Functions that every template has, and what `loop` offers. */
#include <string.h>

#include "chat/evaluate.h"

static limn_status run_range(Call *call, TemplateValue *result) {
    enum { RANGE_MAX = 100000 };
    int64_t begin = 0, end, step;
    TRY(call_need_whole(&end, call, &call->args[0]));
    if (call->args[1].kind != TEMPLATE_ABSENT) {
        begin = end;
        TRY(call_need_whole(&end, call, &call->args[1]));
    }
    TRY(call_take_whole(&step, call, 2, 1));
    if (step == 0) {
        return call_fail(call, "the step is zero");
    }
    const int64_t far = (int64_t)1 << 60; /* so that no difference overflows */
    if (begin < -far || begin > far || end < -far || end > far || step < -far || step > far) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "a range of such large numbers is not implemented");
    }
    int64_t distance = step > 0 ? end - begin : begin - end, stride = step > 0 ? step : -step;
    int64_t count = distance > 0 ? (distance - 1) / stride + 1 : 0;
    if (count > RANGE_MAX) {
        return machine_fail(call->machine, LIMN_RANGE, "a range of more than %d numbers (the limit)", RANGE_MAX);
    }
    TRY(value_list(result, call->machine, TEMPLATE_LAZY, (size_t)count));
    TRY(machine_step(call->machine, (size_t)count));
    result->list->lazy = LAZY_RANGE;
    for (int64_t i = 0; i < count; i++) {
        result->list->items[i] = value_of_integer(begin + i * step);
    }
    return LIMN_OK;
}

/* dict(...) and namespace(...): a mapping or pairs, then names. */
static limn_status make_dict(Call *call, TemplateValue *result) {
    const Given *given = call->given;
    Machine *machine = call->machine;
    if (given->n > 1) {
        return call_fail(call, "found %zu arguments, expected at most 1", given->n);
    }
    TRY(value_dict(result, machine, given->n_named));
    if (given->n == 1 && given->positional[0].kind == TEMPLATE_DICT) {
        const Dict *from = given->positional[0].dict;
        for (size_t i = 0; i < from->n; i++) {
            TRY(dict_set(machine, result->dict, from->keys[i], from->values[i]));
        }
    } else if (given->n == 1) {
        List *pairs, *pair;
        TRY(value_items(&pairs, machine, &given->positional[0]));
        for (size_t i = 0; i < pairs->n; i++) {
            TRY(value_items(&pair, machine, &pairs->items[i]));
            if (pair->n != 2) {
                return call_fail(call, "element %zu has length %zu, expected 2", i, pair->n);
            }
            TRY(dict_set(machine, result->dict, pair->items[0], pair->items[1]));
        }
    }
    for (size_t i = 0; i < given->n_named; i++) {
        TRY(dict_set(machine, result->dict, value_of_str(given->names[i]), given->named[i]));
    }
    return LIMN_OK;
}

static limn_status run_namespace(Call *call, TemplateValue *result) {
    TRY(make_dict(call, result));
    for (size_t i = 0; i < result->dict->n; i++) {
        const TemplateValue *key = &result->dict->keys[i];
        if (key->kind == TEMPLATE_STRING && key->string->bytes[0] == '_') {
            return call_fail(call, "a name that begins with an underscore: '%s'", key->string->bytes);
        }
    }
    result->kind = TEMPLATE_NAMESPACE;
    return LIMN_OK;
}

static limn_status run_raise(Call *call, TemplateValue *result) {
    TemplateValue text;
    (void)result;
    TRY(value_to_str(&text, call->machine, &call->args[0]));
    return machine_fail(call->machine, LIMN_USAGE, "the template refuses these messages: %.400s", text.string->bytes);
}

static limn_status run_strftime(Call *call, TemplateValue *result) {
    const Str *format;
    TRY(call_need_text(&format, call, &call->args[0]));
    call->machine->asked_date = true;
    return date_format(result, call->machine, &call->machine->input->date, format);
}

static limn_status run_joiner(Call *call, TemplateValue *result) {
    static const Str comma = {.bytes = ", ", .length = 2};
    const Str *between;
    void *used;
    TRY(call_take_text(&between, call, 0, &comma));
    TRY(machine_take(&used, call->machine, 1, sizeof(bool)));
    return function_new(result, call->machine,
                        (Function){.kind = FUNCTION_JOINER, .self = value_of_str(between), .used = used});
}

const Builtin *global_row(const char *name, size_t length) {
    static const Builtin rows[] = {{"range", "a b? step?", run_range},
                                   {"dict", "*", make_dict},
                                   {"namespace", "*", run_namespace},
                                   {"raise_exception", "message", run_raise},
                                   {"strftime_now", "format", run_strftime},
                                   {"joiner", "sep?", run_joiner},
                                   {"cycler", "*", NULL},
                                   {"lipsum", "*", NULL}};
    return builtin_in(rows, sizeof rows / sizeof *rows, name, length);
}

/* ---- loop ---- */

static limn_status run_cycle(Call *call, TemplateValue *result) {
    if (call->given->n == 0) {
        return call_fail(call, "no items for cycling given");
    }
    *result = call->given->positional[call->self.loop->index % call->given->n];
    return LIMN_OK;
}

static limn_status run_changed(Call *call, TemplateValue *result) {
    TemplateValue now;
    Loop *loop = call->self.loop;
    TRY(value_list(&now, call->machine, TEMPLATE_TUPLE, call->given->n));
    if (call->given->n > 0) {
        memcpy(now.list->items, call->given->positional, call->given->n * sizeof(TemplateValue));
    }
    bool equal = false;
    if (loop->changed.kind == TEMPLATE_TUPLE) {
        TRY(value_equal(&equal, call->machine, &now, &loop->changed));
    }
    loop->changed = now;
    *result = value_of_bool(!equal);
    return LIMN_OK;
}

limn_status loop_attribute(TemplateValue *value, Machine *machine, Loop *loop, const Str *name) {
    static const Builtin rows[] = {{"cycle", "*", run_cycle}, {"changed", "*", run_changed}};
    static const char *const names[] = {"index",  "index0", "revindex", "revindex0", "first",   "last",
                                        "length", "depth",  "depth0",   "previtem",  "nextitem"};
    int64_t index = (int64_t)loop->index, n = (int64_t)loop->items->n;
    const TemplateValue none = value_of_undefined(index == 0 ? "there is no previous item" : "there is no next item");
    const TemplateValue values[] = {value_of_integer(index + 1),
                                    value_of_integer(index),
                                    value_of_integer(n - index),
                                    value_of_integer(n - index - 1),
                                    value_of_bool(index == 0),
                                    value_of_bool(index == n - 1),
                                    value_of_integer(n),
                                    value_of_integer(loop->depth + 1),
                                    value_of_integer(loop->depth),
                                    index > 0 ? loop->items->items[index - 1] : none,
                                    index + 1 < n ? loop->items->items[index + 1] : none};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_is(name, names[i], strlen(names[i]))) {
            *value = values[i];
            return LIMN_OK;
        }
    }
    const Builtin *row = builtin_in(rows, sizeof rows / sizeof *rows, name->bytes, name->length);
    if (row != NULL) {
        const TemplateValue self = {.kind = TEMPLATE_LOOP, .loop = loop};
        return function_new(value, machine, (Function){.kind = FUNCTION_BUILTIN, .builtin = row, .self = self});
    }
    *value = value_of_undefined("'loop' has no such attribute");
    return LIMN_OK;
}
