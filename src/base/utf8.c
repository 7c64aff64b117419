#include "base/utf8.h"

typedef unsigned char Byte;

/* What may follow a lead byte in second place (Unicode 15, table 3-7). */
static bool second_byte_fits(Byte lead, Byte second) {
    switch (lead) {
    case 0xE0:
        return second >= 0xA0 && second <= 0xBF;
    case 0xED:
        return second >= 0x80 && second <= 0x9F;
    case 0xF0:
        return second >= 0x90 && second <= 0xBF;
    case 0xF4:
        return second >= 0x80 && second <= 0x8F;
    default:
        return second >= 0x80 && second <= 0xBF;
    }
}

static size_t lead_length(Byte lead) {
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        return 3;
    }
    return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

size_t utf8_sequence(const char *text, size_t length, Utf8State *state) {
    const Byte *bytes = (const Byte *)text;
    size_t needed = lead_length(bytes[0]);
    *state = UTF8_BROKEN;
    if (needed == 0) {
        return 1;
    }
    for (size_t i = 1; i < needed; i++) {
        if (i >= length) {
            *state = UTF8_CUT;
            return i;
        }
        bool fits = i == 1 ? second_byte_fits(bytes[0], bytes[1]) : (bytes[i] & 0xC0) == 0x80;
        if (!fits) {
            return i;
        }
    }
    *state = UTF8_WHOLE;
    return needed;
}

uint32_t utf8_next(const char *text, size_t *step) {
    const Byte *b = (const Byte *)text;
    if (b[0] < 0x80) {
        *step = 1;
        return b[0];
    }
    if (b[0] < 0xE0) {
        *step = 2;
        return (uint32_t)(b[0] & 0x1F) << 6 | (b[1] & 0x3F);
    }
    if (b[0] < 0xF0) {
        *step = 3;
        return (uint32_t)(b[0] & 0x0F) << 12 | (uint32_t)(b[1] & 0x3F) << 6 | (b[2] & 0x3F);
    }
    *step = 4;
    return (uint32_t)(b[0] & 0x07) << 18 | (uint32_t)(b[1] & 0x3F) << 12 | (uint32_t)(b[2] & 0x3F) << 6 | (b[3] & 0x3F);
}

size_t utf8_read(const char *bytes, size_t length, uint32_t *codepoint, bool *valid) {
    Utf8State state;
    size_t taken = utf8_sequence(bytes, length, &state);
    *valid = state == UTF8_WHOLE;
    *codepoint = *valid ? utf8_next(bytes, &taken) : UTF8_REPLACEMENT;
    return taken;
}

size_t utf8_size(uint32_t codepoint) {
    return codepoint < 0x80 ? 1 : codepoint < 0x800 ? 2 : codepoint < 0x10000 ? 3 : 4;
}

size_t utf8_encode(uint32_t codepoint, char out[4]) {
    size_t size = utf8_size(codepoint);
    static const Byte leads[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size; i-- > 1;) {
        out[i] = (char)(0x80 | (codepoint & 0x3F));
        codepoint >>= 6;
    }
    out[0] = (char)(leads[size] | codepoint);
    return size;
}

size_t utf8_count(const char *text, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += ((Byte)text[i] & 0xC0) != 0x80;
    }
    return count;
}

size_t utf8_last(const char *text, size_t length) {
    size_t size = 1;
    while (size < length && ((Byte)text[length - size] & 0xC0) == 0x80) {
        size++;
    }
    return size;
}

bool utf8_is_valid(const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        if ((Byte)text[i] < 0x80) {
            i++;
            continue;
        }
        Utf8State state;
        i += utf8_sequence(text + i, length - i, &state);
        if (state != UTF8_WHOLE) {
            return false;
        }
    }
    return true;
}

void utf8_add_repaired(TextBuffer *out, const char *text, size_t length) {
    size_t done = 0;
    for (size_t i = 0; i < length;) {
        Utf8State state;
        size_t step = utf8_sequence(text + i, length - i, &state);
        if (state != UTF8_WHOLE) {
            text_buffer_add_bytes(out, text + done, i - done);
            text_buffer_add_codepoint(out, UTF8_REPLACEMENT);
            done = i + step;
        }
        i += step;
    }
    text_buffer_add_bytes(out, text + done, length - done);
}
