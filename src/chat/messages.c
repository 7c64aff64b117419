/* messages.json and its like. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "chat/chat.h"
#include "files/json.h"

enum { CHAT_FILE_CAP = 64 << 20 };

limn_status chat_json_load(json_t **json, const char *name, const char *text, size_t length) {
    json_error_t error;
    *json = json_loadb(text, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (*json != NULL) {
        return LIMN_OK;
    }
    if (json_ran_out_of_memory(&error)) {
        return fail(LIMN_NO_MEMORY, "%s: reading its JSON", name);
    }
    if (json_error_code(&error) == json_error_numeric_overflow) { /* as a real it would be spelled otherwise */
        return fail(LIMN_UNSUPPORTED, "%s: line %d, column %d: numbers beyond 64 bits are not implemented", name,
                    error.line, error.column);
    }
    return fail(LIMN_FORMAT, "%s: line %d, column %d: %s", name, error.line, error.column, error.text);
}

static limn_status load(json_t **json, const char *path) {
    char *text;
    size_t length;
    *json = NULL;
    TRY(file_read(&text, &length, path, CHAT_FILE_CAP));
    limn_status status = chat_json_load(json, path, text, length);
    free(text);
    return status;
}

static limn_status check_list(const json_t *list, const char *where, const char *what) {
    char buffer[80];
    if (!json_is_array(list)) {
        return fail(LIMN_FORMAT, "%s: found %s, expected an array of %s", where, json_describe(list, buffer), what);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_object(item)) {
            return fail(LIMN_FORMAT, "%s: element %zu is %s, expected an object", where, i,
                        json_describe(item, buffer));
        }
    }
    return LIMN_OK;
}

limn_status chat_messages_check(const json_t *messages, const char *where) {
    return check_list(messages, where, "messages");
}

limn_status chat_list_load(json_t **json, const char *path) {
    TRY(load(json, path));
    limn_status status = check_list(*json, path, "objects");
    if (status != LIMN_OK) {
        json_decref(*json);
        *json = NULL;
    }
    return status;
}

limn_status chat_file_take(ChatFile *file, const char *path) {
    if (!json_is_object(file->json)) {
        file->messages = file->json;
        return chat_messages_check(file->messages, path);
    }
    const char *key;
    json_t *value;
    json_object_foreach(file->json, key, value) {
        const json_t **part = strcmp(key, "messages") == 0    ? &file->messages
                              : strcmp(key, "tools") == 0     ? &file->tools
                              : strcmp(key, "documents") == 0 ? &file->documents
                                                              : NULL;
        if (part == NULL) {
            return fail(LIMN_FORMAT, "%s: found the key '%.60s', expected messages, tools and documents", path, key);
        }
        if (!json_is_null(value)) {
            *part = value;
            TRY(check_list(value, path, key));
        }
    }
    return file->messages != NULL ? LIMN_OK : fail(LIMN_FORMAT, "%s: 'messages' is missing", path);
}

limn_status chat_file_load(ChatFile *file, const char *path) {
    memset(file, 0, sizeof *file);
    TRY(load(&file->json, path));
    limn_status status = chat_file_take(file, path);
    if (status != LIMN_OK) {
        json_decref(file->json);
        memset(file, 0, sizeof *file);
    }
    return status;
}
