#include "model/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/json.h"

/* What config.json calls it, and GGUF after the family's name. */
static const char *const gguf_keys[][2] = {
    {"hidden_size", "embedding_length"},
    {"n_embd", "embedding_length"},
    {"num_hidden_layers", "block_count"},
    {"n_layer", "block_count"},
    {"num_attention_heads", "attention.head_count"},
    {"n_head", "attention.head_count"},
    {"num_kv_heads", "attention.head_count_kv"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"intermediate_size", "feed_forward_length"},
    {"n_inner", "feed_forward_length"},
    {"ffn_hidden_size", "feed_forward_length"},
    {"max_position_embeddings", "context_length"},
    {"n_positions", "context_length"},
    {"layer_norm_eps", "attention.layer_norm_epsilon"},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon"},
    {"norm_epsilon", "attention.layer_norm_epsilon"},
    {"use_parallel_residual", "use_parallel_residual"},
    {"vocab_size", "vocab_size"},
};

enum { KEY_MAX = 160 };

/* --- which keys were read --- */

limn_status settings_log_new(SettingsLog **log, const char *path, const json_t *json) {
    SettingsLog *made = calloc(1, sizeof *made);
    *log = made;
    if (made != NULL) {
        made->unread = json_copy((json_t *)(uintptr_t)json);
        made->asked = json_object();
    }
    if (made == NULL || made->unread == NULL || made->asked == NULL) {
        settings_log_free(made);
        *log = NULL;
        return fail(LIMN_NO_MEMORY, "%s: no memory to note what is read", path);
    }
    return LIMN_OK;
}

void settings_log_free(SettingsLog *log) {
    while (log != NULL) {
        SettingsLog *next = log->next;
        settings_log_free(log->children);
        json_decref(log->unread);
        json_decref(log->asked);
        free(log);
        log = next;
    }
}

static limn_status gather(json_t *unread, const SettingsLog *log, const char *prefix, const char *path) {
    const char *key;
    json_t *value;
    json_object_foreach(log->unread, key, value) {
        char whole[2 * KEY_MAX];
        snprintf(whole, sizeof whole, "%s%s", prefix, key);
        if (json_object_set(unread, whole, value) != 0) {
            return fail(LIMN_NO_MEMORY, "%s: no memory for the keys that are not read", path);
        }
    }
    for (const SettingsLog *child = log->children; child != NULL; child = child->next) {
        char inner[2 * KEY_MAX];
        snprintf(inner, sizeof inner, "%s%s.", prefix, child->key);
        TRY(gather(unread, child, inner, path));
    }
    return LIMN_OK;
}

limn_status settings_log_unread(json_t **unread, const SettingsLog *log, const char *path) {
    *unread = json_object();
    limn_status status =
        *unread != NULL ? gather(*unread, log, "", path) : fail(LIMN_NO_MEMORY, "%s: no memory for its keys", path);
    if (status != LIMN_OK) {
        json_decref(*unread);
        *unread = NULL;
    }
    return status;
}

static void note(const Settings *settings, const char *key) {
    if (settings->log != NULL) {
        json_object_del(settings->log->unread, key);
        json_object_set_new(settings->log->asked, key, json_null()); /* only suggests names: may fail unseen */
    }
}

void settings_skip(const Settings *settings, const char *key) {
    note(settings, key);
}

/* --- values --- */

/* The key as the file has it; NULL: the file has no such thing. */
static const char *own_key(char buffer[KEY_MAX], const Settings *settings, const char *key) {
    if (settings->gguf == NULL || strchr(key, '.') != NULL) {
        return key;
    }
    for (size_t i = 0; i < sizeof gguf_keys / sizeof gguf_keys[0] && settings->family != NULL; i++) {
        if (strcmp(key, gguf_keys[i][0]) == 0) {
            int length = snprintf(buffer, KEY_MAX, "%s.%s", settings->family, gguf_keys[i][1]);
            return length > 0 && length < KEY_MAX ? buffer : NULL;
        }
    }
    return NULL;
}

/* The value as it stands in the file, cut to fit a message. */
static void value_text(char out[64], const Settings *settings, const char *key) {
    snprintf(out, 64, "of another type");
    if (settings->json != NULL) {
        json_t *value = json_object_get(settings->json, key);
        char *dump = value != NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        snprintf(out, 64, "%s", dump != NULL ? dump : "absent");
        free(dump);
        return;
    }
    int64_t integer;
    double real;
    const char *text;
    size_t length;
    if (gguf_get_integer(settings->gguf, key, &integer)) {
        snprintf(out, 64, "%lld", (long long)integer);
    } else if (gguf_get_real(settings->gguf, key, &real)) {
        snprintf(out, 64, "%g", real);
    } else if (gguf_get_string(settings->gguf, key, &text, &length)) {
        snprintf(out, 64, "\"%.*s\"", (int)(length < 50 ? length : 50), text);
    }
}

limn_status settings_fail(limn_status status, const Settings *settings, const char *key, const char *expected) {
    char found[64], buffer[KEY_MAX];
    const char *own = own_key(buffer, settings, key);
    key = own != NULL ? own : key;
    value_text(found, settings, key);
    return fail(status, "%s: \"%s\" is %s, expected %s", settings->path, key, found, expected);
}

static bool gguf_has_key(const Gguf *gguf, const char *key) {
    int64_t integer, count;
    double real;
    bool truth;
    const char *text;
    size_t length;
    return gguf_get_integer(gguf, key, &integer) || gguf_get_real(gguf, key, &real) ||
           gguf_get_bool(gguf, key, &truth) || gguf_get_string(gguf, key, &text, &length) ||
           gguf_get_array(gguf, key, &count);
}

bool settings_has(const Settings *settings, const char *key) {
    char buffer[KEY_MAX];
    if (settings->gguf != NULL) {
        key = own_key(buffer, settings, key);
        return key != NULL && gguf_has_key(settings->gguf, key);
    }
    const json_t *value = settings_value(settings, key);
    return value != NULL && !json_is_null(value);
}

const json_t *settings_value(const Settings *settings, const char *key) {
    note(settings, key);
    return json_object_get(settings->json, key);
}

limn_status settings_integer(int64_t *value, const Settings *settings, const char *key, int64_t fallback, int64_t low,
                             int64_t high) {
    *value = fallback;
    if (!settings_has(settings, key)) {
        return LIMN_OK;
    }
    if (settings->json != NULL) {
        return json_take_integer(value, settings->json, settings->path, key, low, high, fallback);
    }
    char buffer[KEY_MAX];
    key = own_key(buffer, settings, key);
    if (!gguf_get_integer(settings->gguf, key, value) || *value < low || *value > high) {
        char expected[96];
        snprintf(expected, sizeof expected, "a whole number from %lld to %lld", (long long)low, (long long)high);
        return settings_fail(LIMN_FORMAT, settings, key, expected);
    }
    return LIMN_OK;
}

limn_status settings_real(double *value, const Settings *settings, const char *key, double fallback, double low,
                          double high) {
    *value = fallback;
    if (!settings_has(settings, key)) {
        return LIMN_OK;
    }
    bool good = true;
    int64_t integer;
    char buffer[KEY_MAX];
    key = own_key(buffer, settings, key);
    if (settings->json != NULL) {
        TRY(json_take_real(value, settings->json, settings->path, key, fallback));
    } else if (gguf_get_integer(settings->gguf, key, &integer)) {
        *value = (double)integer;
    } else {
        good = gguf_get_real(settings->gguf, key, value);
    }
    if (!good || !(*value >= low) || !(*value <= high)) {
        char expected[96];
        snprintf(expected, sizeof expected, "a number from %g to %g", low, high);
        return settings_fail(LIMN_FORMAT, settings, key, expected);
    }
    return LIMN_OK;
}

limn_status settings_bool(bool *value, const Settings *settings, const char *key, bool fallback) {
    *value = fallback;
    if (settings->json != NULL) {
        const json_t *found = settings_value(settings, key);
        return json_take_bool(value, settings->json, settings->path, key, json_is_null(found) ? false : fallback);
    }
    char buffer[KEY_MAX];
    if (settings_has(settings, key) && !gguf_get_bool(settings->gguf, own_key(buffer, settings, key), value)) {
        return settings_fail(LIMN_FORMAT, settings, key, "true or false");
    }
    return LIMN_OK;
}

limn_status settings_need_gguf(const Settings *settings, const char *const *keys, size_t n) {
    for (size_t i = 0; i < n && settings->gguf != NULL; i++) {
        char buffer[KEY_MAX];
        const char *key = own_key(buffer, settings, keys[i]);
        if (key == NULL || !gguf_has_key(settings->gguf, key)) {
            return fail(LIMN_FORMAT, "%s: metadata \"%s\" is missing", settings->path, key != NULL ? key : keys[i]);
        }
    }
    return LIMN_OK;
}

limn_status settings_text(const char **text, size_t *length, const Settings *settings, const char *key) {
    *text = NULL;
    *length = 0;
    if (!settings_has(settings, key)) {
        return LIMN_OK;
    }
    if (settings->json != NULL) {
        TRY(json_need_string(text, settings->json, settings->path, key));
        *length = strlen(*text);
        return LIMN_OK;
    }
    char buffer[KEY_MAX];
    if (!gguf_get_string(settings->gguf, own_key(buffer, settings, key), text, length)) {
        return settings_fail(LIMN_FORMAT, settings, key, "a string");
    }
    return LIMN_OK;
}

/* The log of an object within; made when it is first asked for. */
static limn_status log_child(Settings *child, const Settings *settings, const char *key) {
    if (settings->log == NULL || child->json == NULL) {
        return LIMN_OK;
    }
    SettingsLog **place = &settings->log->children;
    while (*place != NULL && strcmp((*place)->key, key) != 0) {
        place = &(*place)->next;
    }
    if (*place == NULL) {
        TRY(settings_log_new(place, settings->path, child->json));
        (*place)->key = key;
    }
    child->log = *place;
    return LIMN_OK;
}

limn_status settings_object(Settings *child, const Settings *settings, const char *key) {
    *child = (Settings){.path = settings->path};
    if (settings->json == NULL) {
        return LIMN_OK;
    }
    note(settings, key);
    TRY(json_take_object(&child->json, settings->json, settings->path, key));
    return log_child(child, settings, key);
}

limn_status settings_refuse(const Settings *settings, const char *key, double harmless) {
    if (!settings_has(settings, key)) {
        return LIMN_OK;
    }
    char buffer[KEY_MAX];
    key = own_key(buffer, settings, key);
    if (settings->gguf != NULL) {
        double real;
        int64_t integer;
        bool truth;
        if ((gguf_get_real(settings->gguf, key, &real) && real == harmless) ||
            (gguf_get_integer(settings->gguf, key, &integer) && (double)integer == harmless) ||
            (gguf_get_bool(settings->gguf, key, &truth) && !truth)) {
            return LIMN_OK;
        }
    } else {
        const json_t *found = settings_value(settings, key);
        if (json_is_false(found) || (json_is_number(found) && json_number_value(found) == harmless)) {
            return LIMN_OK;
        }
    }
    return settings_fail(LIMN_UNSUPPORTED, settings, key, "it absent: what it asks for is not implemented");
}
