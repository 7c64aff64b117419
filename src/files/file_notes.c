#include "files/file_notes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/text_buffer.h"

enum { RECENT_SECONDS = 2 };

/* The cache's file for this state of a file; false when there is no place for a cache. */
static bool note_path(TextBuffer *folder, TextBuffer *path, const struct stat *info, const char *kind) {
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (cache != NULL && cache[0] == '/') {
        text_buffer_printf(folder, "%s/limn/hash", cache);
    } else if (home != NULL && home[0] == '/') {
        text_buffer_printf(folder, "%s/.cache/limn/hash", home);
    } else {
        return false;
    }
    text_buffer_printf(path, "%s/%jx-%jx-%jx-%jx.%09ld%s", folder->failed ? "" : folder->data, (uintmax_t)info->st_dev,
                       (uintmax_t)info->st_ino, (uintmax_t)info->st_size, (uintmax_t)info->st_mtim.tv_sec,
                       info->st_mtim.tv_nsec, kind);
    return !folder->failed && !path->failed;
}

bool file_note_get(char *text, size_t room, const struct stat *info, const char *kind) {
    TextBuffer folder = TEXT_BUFFER_INIT;
    TextBuffer path = TEXT_BUFFER_INIT;
    char *found = NULL;
    size_t length = 0;
    bool good = note_path(&folder, &path, info, kind) && file_read(&found, &length, path.data, room) == LIMN_OK &&
                length < room && memchr(found, 0, length) == NULL;
    if (good) {
        memcpy(text, found, length);
        text[length] = '\0';
    } else {
        error_clear();
    }
    free(found);
    text_buffer_free(&folder);
    text_buffer_free(&path);
    return good;
}

void file_note_put(const char *text, const struct stat *info, const char *kind) {
    TextBuffer folder = TEXT_BUFFER_INIT;
    TextBuffer path = TEXT_BUFFER_INIT;
    if (info->st_mtim.tv_sec < time(NULL) - RECENT_SECONDS && note_path(&folder, &path, info, kind) &&
        folder_make(folder.data) == LIMN_OK) {
        (void)file_write_atomic(path.data, text, strlen(text));
    }
    error_clear();
    text_buffer_free(&folder);
    text_buffer_free(&path);
}
