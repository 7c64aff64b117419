#include "files/hf_cache.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"

typedef struct Name {
    const char *org; /* not NUL-terminated; length 0: none */
    int org_length;
    const char *name;
    int name_length;
    const char *revision; /* NUL-terminated; "main" unless given */
} Name;

static bool plain(const char *text, size_t length) {
    if (length == 0 || length > 128 || text[0] == '.') {
        return false; /* neither "..", nor hidden */
    }
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return true;
}

static bool parse(Name *out, const char *model) {
    const char *at = strchr(model, '@');
    size_t length = at == NULL ? strlen(model) : (size_t)(at - model);
    const char *slash = memchr(model, '/', length);
    size_t org = slash == NULL ? 0 : (size_t)(slash - model);
    const char *name = slash == NULL ? model : slash + 1;
    size_t name_length = length - (size_t)(name - model);
    const char *revision = at == NULL ? "main" : at + 1;
    if ((slash != NULL && !plain(model, org)) || !plain(name, name_length) || !plain(revision, strlen(revision))) {
        return false;
    }
    *out = (Name){model, (int)org, name, (int)name_length, revision};
    return true;
}

/* The commit a reference file names; false when there is none. */
static bool read_reference(TextBuffer *commit, const char *repository, const char *revision) {
    TextBuffer path = TEXT_BUFFER_INIT;
    text_buffer_printf(&path, "%s/refs/%s", repository, revision);
    char *text = NULL;
    size_t length = 0;
    bool found = !path.failed && file_read(&text, &length, path.data, 256) == LIMN_OK;
    text_buffer_free(&path);
    while (found && length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r' || text[length - 1] == ' ')) {
        length--;
    }
    found = found && plain(text, length);
    if (found) {
        text_buffer_add_bytes(commit, text, length);
    }
    free(text);
    return found && !commit->failed;
}

/* The only snapshot there is: what a cache filled by hand holds. False when there are none or several. */
static bool only_snapshot(TextBuffer *commit, const char *repository) {
    TextBuffer path = TEXT_BUFFER_INIT;
    text_buffer_printf(&path, "%s/snapshots", repository);
    DIR *folder = path.failed ? NULL : opendir(path.data);
    text_buffer_free(&path);
    if (folder == NULL) {
        return false;
    }
    int snapshots = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (plain(entry->d_name, strlen(entry->d_name)) && snapshots++ == 0) {
            text_buffer_add(commit, entry->d_name);
        }
    }
    closedir(folder);
    return snapshots == 1 && !commit->failed;
}

/* Looks under one hub folder; adds the place to `looked`. */
static limn_status look(char **found, TextBuffer *looked, const char *hub, const Name *name) {
    TextBuffer repository = TEXT_BUFFER_INIT;
    TextBuffer commit = TEXT_BUFFER_INIT;
    TextBuffer snapshot = TEXT_BUFFER_INIT;
    text_buffer_printf(&repository, "%s/models--%.*s%s%.*s", hub, name->org_length, name->org,
                       name->org_length > 0 ? "--" : "", name->name_length, name->name);
    text_buffer_printf(looked, "%s%s", looked->length > 0 ? ", " : "", repository.failed ? "" : repository.data);
    if (!repository.failed) {
        bool named = read_reference(&commit, repository.data, name->revision);
        if (!named) {
            text_buffer_clear(&commit);
            if (strcmp(name->revision, "main") != 0) {
                text_buffer_add(&commit, name->revision); /* a commit itself */
            } else if (!only_snapshot(&commit, repository.data)) {
                text_buffer_clear(&commit);
            }
        }
        text_buffer_printf(&snapshot, "%s/snapshots/%s", repository.data, commit.length > 0 ? commit.data : "");
        if (commit.length > 0 && !snapshot.failed && folder_exists(snapshot.data)) {
            *found = text_buffer_take(&snapshot);
        }
    }
    limn_status status = LIMN_OK;
    if (repository.failed || commit.failed || snapshot.failed) {
        status = fail(LIMN_NO_MEMORY, "looking for a model in %s", hub);
    }
    text_buffer_free(&repository);
    text_buffer_free(&commit);
    text_buffer_free(&snapshot);
    return status;
}

static limn_status look_everywhere(char **found, TextBuffer *looked, const Name *name) {
    static const struct {
        const char *variable;
        const char *below;
    } places[] = {
        {"HF_HUB_CACHE", ""},
        {"HF_HOME", "/hub"},
        {"XDG_CACHE_HOME", "/huggingface/hub"},
        {"HOME", "/.cache/huggingface/hub"},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0] && *found == NULL; i++) {
        const char *value = getenv(places[i].variable);
        if (value == NULL || value[0] == '\0') {
            continue;
        }
        TextBuffer hub = TEXT_BUFFER_INIT;
        text_buffer_printf(&hub, "%s%s", value, places[i].below);
        limn_status status = text_buffer_status(&hub);
        if (status == LIMN_OK) {
            status = look(found, looked, hub.data, name);
        }
        text_buffer_free(&hub);
        TRY(status);
    }
    return LIMN_OK;
}

limn_status hf_cache_resolve(char **path, const char *model) {
    *path = NULL;
    if (file_exists(model) || folder_exists(model)) {
        *path = strdup(model);
        return *path != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: opening it", model);
    }
    Name name;
    if (!parse(&name, model)) {
        return fail(LIMN_NOT_FOUND, "%s: no such file or folder", model);
    }
    TextBuffer looked = TEXT_BUFFER_INIT;
    limn_status status = look_everywhere(path, &looked, &name);
    if (status == LIMN_OK && *path == NULL) {
        status = fail(LIMN_NOT_FOUND, "%s: no such file or folder, and not in the Hugging Face cache (looked at %s)",
                      model, looked.length > 0 ? looked.data : "nothing: HOME is not set");
    }
    text_buffer_free(&looked);
    return status;
}
