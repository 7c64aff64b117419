#include "files/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/nearest.h"
#include "base/text_buffer.h"
#include "files/json.h"

enum { NAMED = 8 }; /* unknown keys that one line names; more are counted */

static const KeyRow *find_ending(const KeyTable *table, const char *key) {
    for (size_t i = 0; i < table->n; i++) {
        if (table->rows[i].key[0] == '*' && text_ends_with(key, table->rows[i].key + 1)) {
            return &table->rows[i];
        }
    }
    return NULL;
}

const KeyRow *keys_find(const KeyTable *table, const char *key) {
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->rows[i].key, key) == 0) {
            return &table->rows[i];
        }
    }
    const char *dot = strrchr(key, '.'); /* a key of an object within */
    return dot != NULL ? keys_find(table, dot + 1) : find_ending(table, key);
}

bool key_asks_nothing(const json_t *value) {
    return json_is_null(value) || json_is_false(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* Is the value, as JSON, one of the words? */
static bool is_among(const json_t *value, const char *words) {
    char *text = words == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    bool found = false;
    for (const char *word = words; text != NULL && *word != '\0' && !found;) {
        size_t n = strcspn(word, " ");
        found = strlen(text) == n && memcmp(text, word, n) == 0;
        word += n + strspn(word + n, " ");
    }
    free(text);
    return found;
}

/* What a file of this kind may hold: the rows of its table and names beside them. */
typedef struct Known {
    const KeyTable *table;
    const json_t *read; /* NULL: none */
} Known;

/* Writes " (meant "x"?)" where the key is a slip away from a name that is read; "" where it is not. */
static const char *meant(char out[96], const Known *known, const char *key) {
    const char *name = NULL;
    for (size_t i = 0; i < known->table->n && name == NULL; i++) {
        const KeyRow *row = &known->table->rows[i];
        name = row->use == KEY_READ && name_is_misspelt(key, row->key) ? row->key : NULL;
    }
    const char *other;
    json_t *unused;
    json_object_foreach((json_t *)(uintptr_t)known->read, other, unused) {
        name = name == NULL && name_is_misspelt(key, other) ? other : name;
    }
    out[0] = '\0';
    if (name != NULL) {
        snprintf(out, 96, " (meant \"%.70s\"?)", name);
    }
    return out;
}

static limn_status warn_known(const char *where, const char *key, const json_t *value, const KeyWarnings *warnings) {
    char line[ERROR_MESSAGE_MAX], found[80];
    snprintf(line, sizeof line, "%s: \"%.100s\" is %s: what it asks for is not done here", where, key,
             json_describe(value, found));
    return warnings->warn(warnings->context, line);
}

static limn_status warn_unknown(const Known *known, const char *where, const json_t *object,
                                const KeyWarnings *warnings) {
    TextBuffer line = TEXT_BUFFER_INIT;
    int n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (keys_find(known->table, key) != NULL || json_object_get(known->read, key) != NULL ||
            key_asks_nothing(value)) {
            continue;
        }
        char slip[96];
        if (n < NAMED) {
            text_buffer_printf(&line, "%s\"%.100s\"%s", n > 0 ? ", " : "", key, meant(slip, known, key));
        }
        n++;
    }
    char whole[ERROR_MESSAGE_MAX];
    if (n > NAMED) {
        text_buffer_printf(&line, " and %d more", n - NAMED);
    }
    limn_status status = text_buffer_status(&line);
    snprintf(whole, sizeof whole, "%s: not known and not read: %s", where, line.data != NULL ? line.data : "");
    text_buffer_free(&line);
    TRY(status);
    return n > 0 ? warnings->warn(warnings->context, whole) : LIMN_OK;
}

limn_status keys_check(const KeyTable *table, const json_t *read, const char *where, const json_t *object,
                       const KeyWarnings *warnings) {
    const Known known = {table, read};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        const KeyRow *row = keys_find(table, key);
        KeyUse use = row != NULL ? row->use : json_object_get(read, key) != NULL ? KEY_READ : table->unknown;
        if (use == KEY_READ || use == KEY_IDLE || key_asks_nothing(value) ||
            (row != NULL && is_among(value, row->harmless))) {
            continue;
        }
        if (use == KEY_REFUSED) {
            char found[80], slip[96] = "";
            return fail(LIMN_UNSUPPORTED, "%s: \"%.100s\"%s is %s, expected it absent: what it asks for is not %s",
                        where, key, row == NULL ? meant(slip, &known, key) : slip, json_describe(value, found),
                        row != NULL ? "implemented" : "known");
        }
        if (row != NULL) {
            TRY(warn_known(where, key, value, warnings));
        }
    }
    return table->unknown == KEY_WARNED ? warn_unknown(&known, where, object, warnings) : LIMN_OK;
}
