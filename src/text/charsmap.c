#include "text/charsmap.h"

#include <string.h>

#include "base/utf8.h"

static uint32_t little_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

limn_status charsmap_read(Charsmap **map, Loading *loading, const char *bytes, size_t length) {
    const unsigned char *data = (const unsigned char *)bytes;
    uint32_t trie_bytes = length < 4 ? 0 : little_endian(data);
    if (length < 4 || trie_bytes % 4 != 0 || trie_bytes > length - 4) {
        return fail(LIMN_FORMAT, "%s: precompiled_charsmap of %zu bytes says its trie has %u", loading->where, length,
                    (unsigned)trie_bytes);
    }
    size_t n_units = trie_bytes / 4, strings_length = length - 4 - trie_bytes;
    if (!utf8_is_valid(bytes + 4 + trie_bytes, strings_length)) {
        return fail(LIMN_FORMAT, "%s: precompiled_charsmap: its replacements are not UTF-8", loading->where);
    }
    void *memory;
    TRY(pool_new(&memory, loading->pool, sizeof(Charsmap)));
    Charsmap *made = memory;
    TRY(pool_new(&memory, loading->pool, trie_bytes + 1));
    uint32_t *units = memory;
    for (size_t i = 0; i < n_units; i++) {
        units[i] = little_endian(data + 4 + i * 4);
    }
    TRY(pool_new(&memory, loading->pool, strings_length + 1));
    memcpy(memory, bytes + 4 + trie_bytes, strings_length);
    *made = (Charsmap){units, n_units, memory, strings_length};
    *map = made;
    return LIMN_OK;
}

static int base64_digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

limn_status charsmap_read_base64(Charsmap **map, Loading *loading, const char *text, size_t length) {
    TextBuffer bytes = TEXT_BUFFER_INIT;
    text_buffer_add(&bytes, "");
    uint32_t bits = 0;
    int held = 0;
    size_t i = 0;
    for (; i < length && text[i] != '='; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            text_buffer_free(&bytes);
            return fail(LIMN_FORMAT, "%s: precompiled_charsmap: character %zu is not base64", loading->where, i);
        }
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            text_buffer_add_char(&bytes, (char)(bits >> held & 0xFF));
        }
    }
    limn_status status = text_buffer_status(&bytes);
    if (status == LIMN_OK) {
        status = charsmap_read(map, loading, bytes.data, bytes.length);
    }
    text_buffer_free(&bytes);
    return status;
}

/* A unit of the double array: where its children are, which byte leads to it, whether a string ends here. */
static size_t unit_offset(uint32_t unit) {
    return (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

const char *charsmap_find(const Charsmap *map, const char *text, size_t length, bool longest, size_t *taken,
                          size_t *replacement_length) {
    if (map->n_units == 0) {
        return NULL;
    }
    bool found = false;
    uint32_t value = 0;
    size_t at = unit_offset(map->units[0]);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        at ^= byte;
        if (at >= map->n_units || (map->units[at] & 0x800000FF) != byte) {
            break;
        }
        uint32_t unit = map->units[at];
        at ^= unit_offset(unit);
        if ((unit >> 8 & 1) != 0 && at < map->n_units) {
            found = true;
            value = map->units[at] & 0x7FFFFFFF;
            *taken = i + 1;
            if (!longest) {
                break;
            }
        }
    }
    if (!found || value > map->strings_length) {
        return NULL;
    }
    const char *string = map->strings + value;
    const char *end = memchr(string, '\0', map->strings_length - value);
    *replacement_length = end == NULL ? map->strings_length - value : (size_t)(end - string);
    /* a false index may point into the middle of a character */
    return utf8_is_valid(string, *replacement_length) ? string : NULL;
}
