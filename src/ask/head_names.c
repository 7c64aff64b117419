#include "ask/head_names.h"

#include <stdlib.h>
#include <string.h>

enum { EVERY = -1 };

static limn_status unreadable(const char *option, const char *text, size_t length) {
    return fail(LIMN_USAGE, "option '%s': found '%.*s', expected LAYER.HEAD, such as 5.3, 5.* or *.3", option,
                (int)length, text);
}

/* "*" or a number of text [0, length). */
static limn_status read_number(int32_t *number, const char *option, const char *text, size_t length, const char *whole,
                               size_t whole_length) {
    if (length == 1 && text[0] == '*') {
        *number = EVERY;
        return LIMN_OK;
    }
    int64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || value > INT32_MAX / 10 - 1) {
            return unreadable(option, whole, whole_length);
        }
        value = 10 * value + (text[i] - '0');
    }
    *number = (int32_t)value;
    return length > 0 ? LIMN_OK : unreadable(option, whole, whole_length);
}

static limn_status check_number(const char *option, const char *what, int32_t number, int32_t n, const Model *model) {
    return number < n ? LIMN_OK
                      : fail(LIMN_NOT_FOUND, "option '%s': %s has no %s %d; expected 0 to %d", option, model->path,
                             what, (int)number, (int)n - 1);
}

static limn_status mark_one(bool *chosen, const Model *model, const char *option, const char *text, size_t length) {
    const ModelConfig *config = &model->config;
    const char *dot = memchr(text, '.', length);
    size_t before = dot == NULL ? length : (size_t)(dot - text);
    int32_t layer, head = EVERY;
    TRY(read_number(&layer, option, text, before, text, length));
    if (dot != NULL) {
        TRY(read_number(&head, option, dot + 1, length - before - 1, text, length));
    }
    TRY(check_number(option, "layer", layer, config->n_layers, model));
    TRY(check_number(option, "head", head, config->n_heads, model));
    for (int32_t l = layer == EVERY ? 0 : layer; l < (layer == EVERY ? config->n_layers : layer + 1); l++) {
        for (int32_t h = head == EVERY ? 0 : head; h < (head == EVERY ? config->n_heads : head + 1); h++) {
            chosen[(int64_t)l * config->n_heads + h] = true;
        }
    }
    return LIMN_OK;
}

limn_status head_names_read(HeadName **heads, int32_t *n, MethodCall *call, const Model *model, const char *option,
                            const ParamTexts *names) {
    const ModelConfig *config = &model->config;
    int64_t all = (int64_t)config->n_layers * config->n_heads;
    bool *chosen = ARENA_ARRAY(call->arena, bool, all + 1);
    *heads = ARENA_ARRAY(call->arena, HeadName, all + 1);
    *n = 0;
    if (chosen == NULL || *heads == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < names->n; i++) {
        const char *text = names->items[i].bytes;
        while (text != NULL) {
            const char *comma = strchr(text, ',');
            TRY(mark_one(chosen, model, option, text, comma == NULL ? strlen(text) : (size_t)(comma - text)));
            text = comma == NULL ? NULL : comma + 1;
        }
    }
    for (int64_t i = 0; i < all; i++) {
        if (chosen[i]) {
            (*heads)[(*n)++] =
                (HeadName){.layer = (int32_t)(i / config->n_heads), .head = (int32_t)(i % config->n_heads)};
        }
    }
    return LIMN_OK;
}
