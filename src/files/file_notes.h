/* What was found out about a file, remembered in ${XDG_CACHE_HOME:-~/.cache}/limn/hash for as long as its device,
 * inode, size and modification time stay as they are. Nothing depends on a note: without a cache all is found out
 * again. The newest FILE_NOTES_MAX notes are kept. */
#ifndef LIMN_FILES_FILE_NOTES_H
#define LIMN_FILES_FILE_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum { FILE_NOTES_MAX = 1024 };

/* A note of kind "" or "-word"; false: none. text holds room bytes and is ended by a 0. */
bool file_note_get(char *text, size_t room, const struct stat *info, const char *kind);

/* Keeps a note, unless the file is so young that it may change again without its time changing. */
void file_note_put(const char *text, const struct stat *info, const char *kind);

#endif
