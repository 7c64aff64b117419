/* What a model says about itself: config.json of a folder, or the metadata of a GGUF file.
 *
 * Every reader takes the value that holds when the key is absent or null, and the range that makes sense; a value
 * of another type or out of that range is an error that names the file and the key. */
#ifndef LIMN_MODEL_SETTINGS_H
#define LIMN_MODEL_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "files/gguf.h"

/* Which keys of an object were asked for: every reader of settings notes its key, so that a key that nobody reads can
 * be named when the model has been built. */
typedef struct SettingsLog {
    json_t *unread;               /* what is left of the object */
    json_t *asked;                /* an object with each key that was asked for, there or not */
    const char *key;              /* under which it stands in the object around it; borrowed from the JSON */
    struct SettingsLog *children; /* objects within */
    struct SettingsLog *next;     /* the next child of the same object */
} SettingsLog;

/* The log is the caller's: settings_log_free. NULL is fine there. */
limn_status settings_log_new(SettingsLog **log, const char *path, const json_t *json);
void settings_log_free(SettingsLog *log);
/* All that is left, keys of objects within as "rope_scaling.factor"; *unread is the caller's. */
limn_status settings_log_unread(json_t **unread, const SettingsLog *log, const char *path);

typedef struct Settings {
    const char *path;   /* the file the values come from, for messages; borrowed */
    const json_t *json; /* NULL: GGUF */
    const Gguf *gguf;   /* NULL: JSON */
    const char *family; /* GGUF: general.architecture, before the keys that config.json has too; borrowed */
    SettingsLog *log;   /* NULL: nobody asks; borrowed */
} Settings;

/* Keys go by their names in config.json or in GGUF metadata ("tokenizer.ggml.model": with a dot). In GGUF the names of
 * config.json stand for those that mean the same ("hidden_size": "<family>.embedding_length"); others are absent. */

/* True when the key is there and not null. */
bool settings_has(const Settings *settings, const char *key);

/* The value as it stands in config.json, null included; NULL: absent, or GGUF. Borrowed. */
const json_t *settings_value(const Settings *settings, const char *key);

/* Keys that do not matter beside what others say: they count as read. */
void settings_skip(const Settings *settings, const char *key);

limn_status settings_integer(int64_t *value, const Settings *settings, const char *key, int64_t fallback, int64_t low,
                             int64_t high);
limn_status settings_real(double *value, const Settings *settings, const char *key, double fallback, double low,
                          double high);
/* An explicit null is false, as it is to the reference. */
limn_status settings_bool(bool *value, const Settings *settings, const char *key, bool fallback);

/* Sizes that a GGUF file must state, where config.json may leave defaults: fails on the first that is absent. */
limn_status settings_need_gguf(const Settings *settings, const char *const *keys, size_t n);

/* *text is borrowed from the settings and, for GGUF, not NUL-terminated; NULL and 0 when absent. */
limn_status settings_text(const char **text, size_t *length, const Settings *settings, const char *key);

/* The object under a key of JSON settings, as settings of its own; child->json is NULL when absent. */
limn_status settings_object(Settings *child, const Settings *settings, const char *key);

/* Refuses, by name, a key that changes the computation in a way that is not implemented: any value but absent,
 * null, false, or `harmless` (a number). */
limn_status settings_refuse(const Settings *settings, const char *key, double harmless);

/* A failure about one key: "FILE: "KEY" is FOUND, expected EXPECTED". */
limn_status settings_fail(limn_status status, const Settings *settings, const char *key, const char *expected);

#endif
