#include "files/file_notes.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

typedef struct Note {
    char name[NAME_MAX + 1];
    struct timespec time;
} Note;

static int newest_first(const void *a, const void *b) {
    const Note *one = a, *other = b;
    if (one->time.tv_sec != other->time.tv_sec) {
        return one->time.tv_sec > other->time.tv_sec ? -1 : 1;
    }
    return one->time.tv_nsec > other->time.tv_nsec ? -1 : one->time.tv_nsec < other->time.tv_nsec;
}

/* At most `most` of the folder's files; what another process takes away meanwhile is passed over. */
static size_t list_notes(Note *notes, size_t most, DIR *folder) {
    size_t n = 0;
    rewinddir(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL && n < most; entry = readdir(folder)) {
        struct stat info;
        if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode)) {
            snprintf(notes[n].name, sizeof notes[n].name, "%s", entry->d_name);
            notes[n++].time = info.st_mtim;
        }
    }
    return n;
}

/* Files come and go, their notes would only come: the oldest beyond FILE_NOTES_MAX are removed. */
static void remove_old(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    size_t n = 0;
    while (readdir(folder) != NULL) {
        n++;
    }
    Note *notes = n > FILE_NOTES_MAX ? malloc(n * sizeof *notes) : NULL;
    if (notes != NULL) {
        n = list_notes(notes, n, folder);
        qsort(notes, n, sizeof *notes, newest_first);
        for (size_t i = FILE_NOTES_MAX; i < n; i++) {
            (void)unlinkat(dirfd(folder), notes[i].name, 0);
        }
    }
    free(notes);
    closedir(folder);
}

void file_note_put(const char *text, const struct stat *info, const char *kind) {
    TextBuffer folder = TEXT_BUFFER_INIT;
    TextBuffer path = TEXT_BUFFER_INIT;
    if (info->st_mtim.tv_sec < time(NULL) - RECENT_SECONDS && note_path(&folder, &path, info, kind) &&
        folder_make(folder.data) == LIMN_OK && file_write_atomic(path.data, text, strlen(text)) == LIMN_OK) {
        remove_old(folder.data);
    }
    error_clear();
    text_buffer_free(&folder);
    text_buffer_free(&path);
}
