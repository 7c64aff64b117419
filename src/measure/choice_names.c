#include "measure/choice_names.h"

#include <string.h>

/* ---- texts ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

Text trimmed_text(Text text) {
    while (text.length > 0 && is_blank(text.bytes[0])) {
        text = (Text){text.bytes + 1, text.length - 1};
    }
    while (text.length > 0 && is_blank(text.bytes[text.length - 1])) {
        text.length--;
    }
    return text;
}

limn_status copy_text_in(Text *out, MethodCall *call, Text text) {
    char *copy = arena_strndup(call->arena, text.bytes, text.length);
    *out = (Text){copy, text.length};
    return copy != NULL ? LIMN_OK : method_no_memory(call);
}

/* ---- choices and labels ---- */

/* "a,b" at its commas. */
static limn_status split(Text **parts, int32_t *n, MethodCall *call, Text text) {
    int32_t count = 1;
    for (size_t i = 0; i < text.length; i++) {
        count += text.bytes[i] == ',';
    }
    *parts = ARENA_ARRAY(call->arena, Text, count);
    if (*parts == NULL) {
        return method_no_memory(call);
    }
    *n = 0;
    for (size_t begin = 0; *n < count;) {
        const char *comma = memchr(text.bytes + begin, ',', text.length - begin);
        size_t end = comma != NULL ? (size_t)(comma - text.bytes) : text.length;
        TRY(copy_text_in(&(*parts)[(*n)++], call, (Text){text.bytes + begin, end - begin}));
        begin = end + 1;
    }
    return LIMN_OK;
}

static limn_status check_names(const ChoiceNames *names, const MethodCall *call, const char *option) {
    for (int32_t i = 0; i < names->n; i++) {
        if (names->names[i].length == 0) {
            return fail(LIMN_USAGE, "%s: %s: number %d is empty", call->method->command.name, option, (int)i + 1);
        }
        for (int32_t k = 0; k < i; k++) {
            if (same_text(names->names[i], names->names[k])) {
                return fail(LIMN_USAGE, "%s: %s: numbers %d and %d are the same, '%.40s'", call->method->command.name,
                            option, (int)k + 1, (int)i + 1, names->names[i].bytes);
            }
        }
    }
    return LIMN_OK;
}

static limn_status read_choices(ChoiceNames *names, MethodCall *call, const Model *model, const ParamTexts *given) {
    const ModelConfig *config = &model->config;
    const char *command = call->method->command.name;
    if (config->task == TASK_CLASSIFIER) {
        if (given->n > 0) {
            return fail(LIMN_USAGE, "%s: %s is a classifier: its classes are the choices", command, model->path);
        }
        if (config->outputs == OUTPUT_VALUE || config->n_classes < 2) {
            return fail(LIMN_USAGE, "%s: %s has %s, between which nothing is chosen (problem_type, id2label)", command,
                        model->path, config->outputs == OUTPUT_VALUE ? "numbers as outputs" : "one label");
        }
        names->n = config->n_classes;
        names->choices = ARENA_ARRAY(call->arena, Text, names->n + 1);
        for (int32_t i = 0; names->choices != NULL && i < names->n; i++) {
            names->choices[i] = text_of(config->labels[i]);
        }
        return names->choices != NULL ? LIMN_OK : method_no_memory(call);
    }
    if (given->n == 0) {
        return fail(LIMN_USAGE, "%s needs --choices, as in --choices ' yes',' no'", command);
    }
    if (given->n == 1) {
        return split(&names->choices, &names->n, call, given->items[0]);
    }
    names->n = given->n;
    names->choices = ARENA_ARRAY(call->arena, Text, given->n);
    if (names->choices == NULL) {
        return method_no_memory(call);
    }
    memcpy(names->choices, given->items, (size_t)given->n * sizeof *given->items);
    return LIMN_OK;
}

limn_status choice_names_read(ChoiceNames *names, MethodCall *call, const Model *model, const ParamTexts *choices,
                              Text labels) {
    const char *command = call->method->command.name;
    *names = (ChoiceNames){0};
    TRY(read_choices(names, call, model, choices));
    if (names->n < 2 || names->n > CHOICES_MAX) {
        return fail(LIMN_USAGE, "%s: %d choices, expected from 2 to %d (--choices ' yes',' no')", command,
                    (int)names->n, CHOICES_MAX);
    }
    if (labels.bytes != NULL) {
        int32_t n;
        TRY(split(&names->names, &n, call, labels));
        if (n != names->n) {
            return fail(LIMN_USAGE, "%s: --labels names %d, there are %d choices", command, (int)n, (int)names->n);
        }
        return check_names(names, call, "--labels");
    }
    names->names = ARENA_ARRAY(call->arena, Text, names->n);
    if (names->names == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < names->n; i++) {
        TRY(copy_text_in(&names->names[i], call, trimmed_text(names->choices[i])));
    }
    return check_names(names, call, "--choices");
}

limn_status choice_names_find(int32_t *label, const ChoiceNames *names, const char *path, const DataItem *item) {
    *label = -1;
    if (item->label.bytes == NULL) {
        return LIMN_OK;
    }
    Text wanted = trimmed_text(item->label);
    TextBuffer known = TEXT_BUFFER_INIT;
    for (int32_t c = 0; c < names->n; c++) {
        if (same_text(wanted, names->names[c])) {
            text_buffer_free(&known);
            *label = c;
            return LIMN_OK;
        }
        text_buffer_printf(&known, "%s%s", c > 0 ? ", " : "", names->names[c].bytes);
    }
    limn_status status = fail(LIMN_USAGE,
                              "%s: line %lld: the label '%.60s' is none of %.200s; --labels says how the "
                              "data spells the choices",
                              path, (long long)item->line, item->label.bytes, known.data != NULL ? known.data : "");
    text_buffer_free(&known);
    return status;
}
