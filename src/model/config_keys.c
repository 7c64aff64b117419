#include "model/config_keys.h"

#include "model/generation.h"

static const KeyRow rows[] = {
#define KEY(name, use, harmless) {#name, KEY_##use, harmless},
#include "model/config_keys.def"
#undef KEY
};

const KeyTable config_key_table = {"config.json", KEY_WARNED, rows, sizeof rows / sizeof rows[0]};

static limn_status warn(void *context, const char *line) {
    return build_warn(context, "%s", line);
}

limn_status config_keys_check(Build *build, const SettingsLog *log) {
    json_t *unread;
    TRY(settings_log_unread(&unread, log, build->whole->path));
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(unread, next, key, value) { /* old folders hold them here; `limn generate` looks */
        if (keys_find(&generation_key_table, key) != NULL) {
            json_object_del(unread, key);
        }
    }
    limn_status status =
        keys_check(&config_key_table, log->asked, build->whole->path, unread, &(KeyWarnings){warn, build});
    json_decref(unread);
    return status;
}
