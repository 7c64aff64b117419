/* Reading small files whole and writing any file atomically. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

bool folder_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    const char *between = length == 0 || folder[length - 1] == '/' ? "" : "/";
    char *path = NULL;
    return asprintf(&path, "%s%s%s", folder, between, name) < 0 ? NULL : path;
}

const char *path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

limn_status folder_make(const char *path) {
    char *copy = strdup(path);
    if (copy == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: making the folder", path);
    }
    limn_status status = LIMN_OK;
    for (char *end = copy + 1; status == LIMN_OK && copy[0] != '\0'; end++) {
        if (*end != '/' && *end != '\0') {
            continue;
        }
        char kept = *end;
        *end = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            status = fail(LIMN_IO, "%s: cannot make the folder: %s", copy, strerror(errno));
        }
        *end = kept;
        if (kept == '\0') {
            break;
        }
    }
    free(copy);
    if (status == LIMN_OK && !folder_exists(path)) {
        status = fail(LIMN_IO, "%s: is a file, expected a folder", path);
    }
    return status;
}

/* Reads on until the end or past cap; *bytes holds room for *room. */
static limn_status read_rest(int descriptor, char **bytes, size_t *length, size_t room, size_t cap, const char *path) {
    for (;;) {
        if (*length + 1 >= room) {
            size_t larger = room * 2;
            char *grown = realloc(*bytes, larger);
            if (grown == NULL) {
                return fail(LIMN_NO_MEMORY, "%s: reading %zu bytes", path, larger);
            }
            *bytes = grown;
            room = larger;
        }
        ssize_t got = read(descriptor, *bytes + *length, room - 1 - *length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(LIMN_IO, "%s: cannot read: %s", path, strerror(errno));
        }
        if (got == 0) {
            break;
        }
        *length += (size_t)got;
        if (*length > cap) {
            return fail(LIMN_FORMAT, "%s: longer than %zu bytes, the most that is read of such a file", path, cap);
        }
    }
    (*bytes)[*length] = '\0';
    return LIMN_OK;
}

limn_status file_read(char **bytes, size_t *length, const char *path, size_t cap) {
    *bytes = NULL;
    *length = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        return fail(absent ? LIMN_NOT_FOUND : LIMN_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    struct stat info;
    limn_status status = LIMN_OK;
    size_t room = 4096;
    if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
        if ((uintmax_t)info.st_size > cap) {
            status = fail(LIMN_FORMAT, "%s: has %jd bytes, at most %zu are read of such a file", path,
                          (intmax_t)info.st_size, cap);
        }
        room = (size_t)info.st_size + 2; /* one to see the end, one for the NUL */
    }
    char *buffer = NULL;
    if (status == LIMN_OK && (buffer = malloc(room)) == NULL) {
        status = fail(LIMN_NO_MEMORY, "%s: reading %zu bytes", path, room);
    }
    if (status == LIMN_OK) {
        status = read_rest(descriptor, &buffer, length, room, cap, path);
    }
    close(descriptor);
    if (status != LIMN_OK) {
        free(buffer);
        *length = 0;
        return status;
    }
    *bytes = buffer;
    return LIMN_OK;
}

enum { WRITE_BUFFER = 64 << 10 };

struct FileWriter {
    int descriptor;
    char *path;      /* as asked for: what messages name */
    char *target;    /* where it ends: `path` with symbolic links followed */
    char *temporary; /* NULL: written directly */
    bool secret;     /* readable by its owner alone, and never over a file that is there */
    size_t used;
    unsigned char buffer[WRITE_BUFFER];
};

static void writer_free(FileWriter *writer) {
    if (writer->secret) {
        explicit_bzero(writer->buffer, WRITE_BUFFER);
    }
    if (writer->descriptor >= 0) {
        close(writer->descriptor);
    }
    free(writer->path);
    free(writer->target);
    free(writer->temporary);
    free(writer);
}

void file_writer_abort(FileWriter *writer) {
    if (writer == NULL) {
        return;
    }
    if (writer->temporary != NULL && writer->descriptor >= 0) {
        unlink(writer->temporary);
    }
    writer_free(writer);
}

/* A name beside the target that nobody has: ".NAME.<16 hex digits>.tmp". */
static limn_status create_temporary(FileWriter *writer) {
    const char *base = path_base(writer->target);
    int folder = (int)(base - writer->target);
    for (int attempt = 0; attempt < 16; attempt++) {
        uint64_t number = 0;
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
            number = (uint64_t)getpid() << 32 | (uint64_t)attempt;
        }
        free(writer->temporary);
        writer->temporary = NULL;
        char *name = NULL;
        if (asprintf(&name, "%.*s.%.200s.%016" PRIx64 ".tmp", folder, writer->target, base, number) < 0) {
            return fail(LIMN_NO_MEMORY, "%s: opening it to write", writer->path);
        }
        writer->temporary = name;
        writer->descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, writer->secret ? 0600 : 0666);
        if (writer->descriptor >= 0) {
            return LIMN_OK;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    bool absent = errno == ENOENT || errno == ENOTDIR;
    return fail(absent ? LIMN_NOT_FOUND : LIMN_IO, "%s: cannot write: %s%s", writer->path, strerror(errno),
                absent ? " (its folder)" : "");
}

static limn_status writer_start(FileWriter *writer, const char *path) {
    writer->path = strdup(path);
    writer->target = realpath(path, NULL);
    if (writer->target == NULL) {
        writer->target = strdup(path);
    }
    if (writer->path == NULL || writer->target == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it to write", path);
    }
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) {
        return fail(LIMN_IO, "%s: is a folder, expected the name of a file to write", path);
    }
    if (exists && !S_ISREG(info.st_mode)) {
        writer->descriptor = open(path, O_WRONLY | O_CLOEXEC);
        return writer->descriptor >= 0 ? LIMN_OK : fail(LIMN_IO, "%s: cannot write: %s", path, strerror(errno));
    }
    TRY(create_temporary(writer));
    if (exists) {
        (void)!fchmod(writer->descriptor, info.st_mode & 0777); /* not worth refusing the write for */
    }
    return LIMN_OK;
}

static limn_status writer_open(FileWriter **out, const char *path, bool secret) {
    *out = NULL;
    FileWriter *writer = malloc(sizeof *writer);
    if (writer == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it to write", path);
    }
    writer->descriptor = -1;
    writer->path = NULL;
    writer->target = NULL;
    writer->temporary = NULL;
    writer->secret = secret;
    writer->used = 0;
    limn_status status = writer_start(writer, path);
    if (status != LIMN_OK) {
        file_writer_abort(writer);
        return status;
    }
    *out = writer;
    return LIMN_OK;
}

limn_status file_writer_open(FileWriter **writer, const char *path) {
    return writer_open(writer, path, false);
}

/* The folder that the temporary file is made in. */
static limn_status check_folder_of(const char *path, const char *target) {
    const char *base = path_base(target);
    char *folder = base == target ? strdup(".") : strndup(target, (size_t)(base - target));
    if (folder == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: looking at its folder", path);
    }
    limn_status status = LIMN_OK;
    if (!folder_exists(folder)) {
        status = fail(LIMN_NOT_FOUND, "%s: cannot write: there is no folder %s", path, folder);
    } else if (access(folder, W_OK | X_OK) != 0) {
        status = fail(LIMN_USAGE, "%s: cannot write in its folder: %s", path, strerror(errno));
    }
    free(folder);
    return status;
}

limn_status file_check_output(const char *path) {
    size_t length = strlen(path);
    if (length == 0) {
        return fail(LIMN_USAGE, "found an empty name, expected a path");
    }
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists ? S_ISDIR(info.st_mode) : path[length - 1] == '/') {
        return fail(LIMN_USAGE, "%s: is a folder, expected the name of a file to write", path);
    }
    if (!exists && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
        return fail(LIMN_USAGE, "%s: cannot write: %s", path, strerror(errno));
    }
    if (exists && !S_ISREG(info.st_mode)) {
        return access(path, W_OK) == 0 ? LIMN_OK : fail(LIMN_USAGE, "%s: cannot write: %s", path, strerror(errno));
    }
    char *target = exists ? realpath(path, NULL) : NULL;
    limn_status status = check_folder_of(path, target != NULL ? target : path);
    free(target);
    return status;
}

static limn_status write_all(FileWriter *writer, const unsigned char *bytes, size_t length) {
    while (length > 0) {
        size_t step = length < (size_t)1 << 30 ? length : (size_t)1 << 30;
        ssize_t wrote = write(writer->descriptor, bytes, step);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return fail(LIMN_IO, "%s: cannot write: %s", writer->path, strerror(wrote < 0 ? errno : ENOSPC));
        }
        bytes += wrote;
        length -= (size_t)wrote;
    }
    return LIMN_OK;
}

static limn_status flush(FileWriter *writer) {
    size_t used = writer->used;
    writer->used = 0;
    return write_all(writer, writer->buffer, used);
}

limn_status file_writer_append(FileWriter *writer, const void *bytes, size_t length) {
    if (length > WRITE_BUFFER - writer->used) {
        TRY(flush(writer));
        if (length >= WRITE_BUFFER) {
            return write_all(writer, bytes, length);
        }
    }
    if (length > 0) {
        memcpy(writer->buffer + writer->used, bytes, length);
        writer->used += length;
    }
    return LIMN_OK;
}

/* Without this a crash could lose the new name although the bytes are safe. Some file systems cannot. */
static void sync_folder(const char *path) {
    const char *base = path_base(path);
    char *folder = base == path ? strdup(".") : strndup(path, (size_t)(base - path));
    if (folder == NULL) {
        return;
    }
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        (void)!fsync(descriptor);
        close(descriptor);
    }
    free(folder);
}

/* Gives the temporary file its name. */
static int put_in_place(const FileWriter *writer) {
    if (!writer->secret) {
        return rename(writer->temporary, writer->target);
    }
    int done = renameat2(AT_FDCWD, writer->temporary, AT_FDCWD, writer->target, RENAME_NOREPLACE);
    if (done == 0 || (errno != EINVAL && errno != ENOSYS)) {
        return done;
    }
    /* a file system that cannot: a second name, then the first one away */
    return link(writer->temporary, writer->target) == 0 ? unlink(writer->temporary) : -1;
}

static limn_status finish(FileWriter *writer) {
    TRY(flush(writer));
    if (writer->temporary == NULL) {
        return LIMN_OK;
    }
    if (fsync(writer->descriptor) != 0) {
        return fail(LIMN_IO, "%s: cannot write: %s", writer->path, strerror(errno));
    }
    if (put_in_place(writer) != 0) {
        return fail(LIMN_IO, "%s: cannot rename '%s' to it: %s", writer->path, writer->temporary, strerror(errno));
    }
    sync_folder(writer->target);
    return LIMN_OK;
}

limn_status file_writer_commit(FileWriter *writer) {
    limn_status status = finish(writer);
    if (status != LIMN_OK) {
        file_writer_abort(writer);
    } else {
        writer_free(writer);
    }
    return status;
}

static limn_status write_whole(const char *path, const void *bytes, size_t length, bool secret) {
    FileWriter *writer;
    TRY(writer_open(&writer, path, secret));
    limn_status status = file_writer_append(writer, bytes, length);
    if (status != LIMN_OK) {
        file_writer_abort(writer);
        return status;
    }
    return file_writer_commit(writer);
}

limn_status file_write_atomic(const char *path, const void *bytes, size_t length) {
    return write_whole(path, bytes, length, false);
}

limn_status file_write_secret(const char *path, const void *bytes, size_t length) {
    return write_whole(path, bytes, length, true);
}
