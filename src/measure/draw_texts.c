/* Texts that a person or a data set gives to draw from: draws.h. */
#include <stdlib.h>
#include <string.h>

#include "ask/segment.h"
#include "base/file.h"
#include "measure/draws.h"

enum { FILE_CAP = 64 << 20, MOST_TEXTS = 1 << 18 };

struct DrawTextsBuilder {
    MethodCall *call;
    Map place; /* text to its place */
    DrawTexts texts;
    int32_t capacity;
};

limn_status draw_texts_builder_new(DrawTextsBuilder **builder, MethodCall *call) {
    *builder = calloc(1, sizeof **builder);
    if (*builder == NULL) {
        return method_no_memory(call);
    }
    (*builder)->call = call;
    map_init(&(*builder)->place);
    return LIMN_OK;
}

void draw_texts_finish(DrawTexts *texts, DrawTextsBuilder *builder, const char *name) {
    *texts = builder->texts;
    texts->name = name;
    map_free(&builder->place);
    free(builder);
}

static limn_status grow(DrawTextsBuilder *builder) {
    int32_t capacity = builder->capacity < 64 ? 64 : 2 * builder->capacity;
    Text *items = ARENA_ARRAY(builder->call->arena, Text, capacity);
    double *count = ARENA_ARRAY(builder->call->arena, double, capacity);
    if (items == NULL || count == NULL) {
        return method_no_memory(builder->call);
    }
    if (builder->texts.n > 0) {
        memcpy(items, builder->texts.items, (size_t)builder->texts.n * sizeof *items);
        memcpy(count, builder->texts.count, (size_t)builder->texts.n * sizeof *count);
    }
    builder->texts.items = items;
    builder->texts.count = count;
    builder->capacity = capacity;
    return LIMN_OK;
}

static limn_status add_one(DrawTextsBuilder *builder, Text text) {
    uint64_t place;
    if (map_get(&builder->place, text.bytes, text.length, &place)) {
        builder->texts.count[place] += 1.0;
        return LIMN_OK;
    }
    if (builder->texts.n == MOST_TEXTS) { /* more than anybody draws */
        return LIMN_OK;
    }
    if (builder->texts.n == builder->capacity) {
        TRY(grow(builder));
    }
    char *copy = arena_strndup(builder->call->arena, text.bytes, text.length);
    if (copy == NULL) {
        return method_no_memory(builder->call);
    }
    builder->texts.items[builder->texts.n] = (Text){copy, text.length};
    builder->texts.count[builder->texts.n] = 1.0;
    return map_put(&builder->place, copy, text.length, (uint64_t)builder->texts.n++);
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static Text trim(Text text) {
    while (text.length > 0 && is_space(text.bytes[0])) {
        text.bytes++;
        text.length--;
    }
    while (text.length > 0 && is_space(text.bytes[text.length - 1])) {
        text.length--;
    }
    return text;
}

limn_status draw_texts_add(DrawTextsBuilder *builder, Text text, bool words) {
    if (!words) {
        text = trim(text);
        return text.length > 0 ? add_one(builder, text) : LIMN_OK;
    }
    uint8_t *begins;
    TRY(segment_words(&begins, text, builder->call->arena));
    for (size_t from = 0, to; from < text.length; from = to) {
        for (to = from + 1; to < text.length && !begins[to]; to++) {
        }
        Text word = trim((Text){text.bytes + from, to - from});
        if (word.length > 0 && word_kind(word).class != WORD_NOTHING) {
            TRY(add_one(builder, word));
        }
    }
    return LIMN_OK;
}

static limn_status add_lines(DrawTextsBuilder *builder, const char *bytes, size_t length) {
    for (size_t from = 0; from < length;) {
        const char *end = memchr(bytes + from, '\n', length - from);
        size_t to = end == NULL ? length : (size_t)(end - bytes);
        TRY(draw_texts_add(builder, (Text){bytes + from, to - from}, false));
        from = to + 1;
    }
    return LIMN_OK;
}

limn_status draw_texts_of_file(DrawTexts *texts, MethodCall *call, const char *path) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, FILE_CAP));
    DrawTextsBuilder *builder = NULL;
    limn_status status = draw_texts_builder_new(&builder, call);
    if (status == LIMN_OK) {
        status = add_lines(builder, bytes, length);
        draw_texts_finish(texts, builder, path_base(path));
    }
    free(bytes);
    TRY(status);
    return texts->n > 0 ? LIMN_OK : fail(LIMN_USAGE, "option 'replacements': %s has no lines", path);
}
