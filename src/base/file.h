/* Files: mapped, read whole, written so that no partial file is ever seen. */
#ifndef LIMN_BASE_FILE_H
#define LIMN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A regular file mapped read-only. `data` is not NULL even when the file is empty. */
typedef struct FileMap {
    const unsigned char *data; /* [size] */
    size_t size;
    char *path; /* as it was opened */
    int slot;   /* in the registry; -1: none was free */
} FileMap;

limn_status file_map_open(FileMap **map, const char *path);
void file_map_close(FileMap *map); /* NULL is fine */

/* The path of the mapped file that holds `address`, or NULL. Async-signal-safe: a file that another process
 * truncates under its map ends in SIGBUS, and the handler must be able to say which file it was. */
const char *file_map_at(const void *address);

/* The whole file, NUL-terminated (the NUL is not counted); malloc'ed. More than `cap` bytes are refused before they
 * are read. Pipes and devices are read to their end, within the same cap. */
limn_status file_read(char **bytes, size_t *length, const char *path, size_t cap);

/* A file that appears whole or not at all: written under a temporary name in the same folder, synced, renamed over
 * `path`, the folder synced. An existing file keeps its mode; a symbolic link stays and its target is replaced. What
 * is not a regular file (a terminal, a pipe, /dev/null) is written directly. */
typedef struct FileWriter FileWriter;

limn_status file_writer_open(FileWriter **writer, const char *path);
limn_status file_writer_append(FileWriter *writer, const void *bytes, size_t length);
limn_status file_writer_commit(FileWriter *writer); /* frees the writer, also when it fails */
void file_writer_abort(FileWriter *writer);         /* removes the temporary file, frees; NULL is fine */

limn_status file_write_atomic(const char *path, const void *bytes, size_t length);
/* The same of a key: never readable by others, not even for a moment; LIMN_IO where the file is there already. */
limn_status file_write_secret(const char *path, const void *bytes, size_t length);

/* Whether file_writer_open could write `path`, asked before the work whose outcome it shall hold: nothing is created or
 * changed. LIMN_USAGE or LIMN_NOT_FOUND: it could not, and the caller named it wrongly. */
limn_status file_check_output(const char *path);

bool file_exists(const char *path); /* anything but a folder */
bool folder_exists(const char *path);
limn_status folder_make(const char *path); /* with its parents, mode 0700; fine when it exists */

/* "folder/name", malloc'ed; NULL when memory runs out. */
char *path_join(const char *folder, const char *name);
const char *path_base(const char *path); /* after the last '/', borrowed */

#endif
