/* Texts that know where each byte comes from. */
#include <string.h>

#include "chat/value.h"

static bool reserve(Builder *builder, size_t extra) {
    if (builder->status != LIMN_OK) {
        return false;
    }
    size_t needed = builder->length + extra + 1;
    if (needed <= builder->capacity) {
        return true;
    }
    size_t capacity = builder->capacity < 48 ? 48 : 2 * builder->capacity;
    capacity = capacity < needed ? needed : capacity;
    void *bytes;
    builder->status = machine_take(&bytes, builder->machine, capacity, 1);
    if (builder->status != LIMN_OK) {
        return false;
    }
    if (builder->length > 0) {
        memcpy(bytes, builder->bytes, builder->length);
    }
    builder->bytes = bytes;
    builder->capacity = capacity;
    return true;
}

static void add_run(Builder *builder, size_t end, Mark mark) {
    if (builder->n_runs > 0 && builder->runs[builder->n_runs - 1].mark == mark) {
        builder->runs[builder->n_runs - 1].end = end;
        return;
    }
    if (builder->n_runs == builder->runs_capacity) {
        size_t capacity = builder->runs_capacity < 4 ? 4 : 2 * builder->runs_capacity;
        void *runs;
        builder->status = machine_take(&runs, builder->machine, capacity, sizeof(MarkRun));
        if (builder->status != LIMN_OK) {
            return;
        }
        if (builder->n_runs > 0) {
            memcpy(runs, builder->runs, builder->n_runs * sizeof(MarkRun));
        }
        builder->runs = runs;
        builder->runs_capacity = capacity;
    }
    builder->runs[builder->n_runs++] = (MarkRun){end, mark};
}

void builder_add(Builder *builder, const char *bytes, size_t length, Mark mark) {
    if (length > 0 && reserve(builder, length)) {
        memcpy(builder->bytes + builder->length, bytes, length);
        builder->length += length;
        add_run(builder, builder->length, mark);
    }
}

void builder_add_text(Builder *builder, const char *text) {
    builder_add(builder, text, strlen(text), 0);
}

void builder_add_part(Builder *builder, const Str *string, size_t begin, size_t end) {
    if (string->runs == NULL) {
        builder_add(builder, string->bytes + begin, end - begin, string->mark);
        return;
    }
    for (size_t i = 0; i < string->n_runs && begin < end; i++) {
        size_t stop = string->runs[i].end < end ? string->runs[i].end : end;
        if (stop > begin) {
            builder_add(builder, string->bytes + begin, stop - begin, string->runs[i].mark);
            begin = stop;
        }
    }
}

void builder_add_str(Builder *builder, const Str *string) {
    builder_add_part(builder, string, 0, string->length);
}

void builder_add_codepoint(Builder *builder, uint32_t c, Mark mark) {
    char out[4];
    builder_add(builder, out, utf8_encode(c, out), mark);
}

limn_status builder_finish(TemplateValue *value, Builder *builder) {
    TRY(builder->status);
    void *memory;
    TRY(machine_take(&memory, builder->machine, 1, sizeof(Str)));
    Str *string = memory;
    string->bytes = builder->bytes != NULL ? builder->bytes : "";
    string->length = builder->length;
    if (builder->bytes != NULL) {
        builder->bytes[builder->length] = '\0';
    }
    if (builder->n_runs == 1) {
        string->mark = builder->runs[0].mark;
    } else if (builder->n_runs > 1) {
        string->runs = builder->runs;
        string->n_runs = builder->n_runs;
    }
    *value = value_of_str(string);
    return LIMN_OK;
}

Mark str_mark_at(const Str *string, size_t at) {
    if (string->runs == NULL) {
        return string->mark;
    }
    size_t low = 0, high = string->n_runs - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (string->runs[middle].end > at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return string->runs[low].mark;
}

limn_status str_part(TemplateValue *value, Machine *machine, const Str *string, size_t begin, size_t end) {
    Builder builder = {.machine = machine};
    builder_add_part(&builder, string, begin, end);
    return builder_finish(value, &builder);
}

size_t str_count(const Str *string) {
    return utf8_count(string->bytes, string->length);
}

size_t str_offset(const Str *string, size_t index) {
    size_t at = 0;
    while (index > 0 && at < string->length) {
        size_t step;
        utf8_next(string->bytes + at, &step);
        at += step;
        index--;
    }
    return at;
}

size_t str_find(const Str *string, const Str *part, size_t from) {
    if (from > string->length) {
        return SIZE_MAX;
    }
    if (part->length == 0) {
        return from;
    }
    const char *found = memmem(string->bytes + from, string->length - from, part->bytes, part->length);
    return found == NULL ? SIZE_MAX : (size_t)(found - string->bytes);
}

bool character_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
