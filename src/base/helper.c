/* What goes in and what comes out lies in memory files, not in pipes: neither side waits for the other, and a helper
 * that dies sends its caller no SIGPIPE. */
#include "base/helper.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef LIMN_HELPERS /* from the folder of the library to that of the helpers, once installed */
#define LIMN_HELPERS "../libexec/limn"
#endif

extern char **environ;

/* ---- where it lies ---- */

/* The folder of the file, its last '/' left out; false: it has none. */
static bool folder_of(char folder[PATH_MAX], const char *file) {
    const char *slash = strrchr(file, '/');
    if (slash == NULL || slash - file >= PATH_MAX) {
        return false;
    }
    memcpy(folder, file, (size_t)(slash - file));
    folder[slash - file] = '\0';
    return true;
}

static bool is_there(char path[PATH_MAX], const char *folder, const char *within, const char *name) {
    int length = snprintf(path, PATH_MAX, "%s/%s%s", folder, within, name);
    struct stat about;
    return length > 0 && length < PATH_MAX && stat(path, &about) == 0 && S_ISREG(about.st_mode) &&
           access(path, X_OK) == 0;
}

static limn_status find(char path[PATH_MAX], const char *name) {
    char folder[PATH_MAX], program[PATH_MAX];
    static const char here; /* in the library, wherever that lies */
    Dl_info library;
    if (dladdr(&here, &library) != 0 && folder_of(folder, library.dli_fname) &&
        (is_there(path, folder, LIMN_HELPERS "/", name) || is_there(path, folder, "", name))) {
        return LIMN_OK;
    }
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length < 0 ? 0 : length] = '\0';
    if (folder_of(folder, program) && (is_there(path, folder, "", name) || is_there(path, folder, "../", name))) {
        return LIMN_OK;
    }
    return fail(LIMN_UNSUPPORTED, "%s is not installed: found neither beside the library nor in %s", name,
                LIMN_HELPERS);
}

/* ---- what goes in and comes out ---- */

enum { INPUT, OUTPUT, REMARKS, STREAMS };

static void close_streams(const int streams[STREAMS]) {
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i] >= 0) {
            close(streams[i]);
        }
    }
}

static limn_status write_whole(int file, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno != EINTR) {
            return fail(LIMN_NO_MEMORY, "no memory for a helper program: %s", strerror(errno));
        }
        bytes += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return LIMN_OK;
}

static limn_status open_streams(int streams[STREAMS], const void *input, size_t length) {
    for (int i = 0; i < STREAMS; i++) {
        streams[i] = memfd_create("limn", MFD_CLOEXEC);
        if (streams[i] < 0) {
            return fail(LIMN_IO, "no memory file for a helper program: %s", strerror(errno));
        }
    }
    TRY(write_whole(streams[INPUT], input, length));
    return lseek(streams[INPUT], 0, SEEK_SET) == 0
               ? LIMN_OK
               : fail(LIMN_IO, "a helper program's input cannot be rewound: %s", strerror(errno));
}

static limn_status read_stream(TextBuffer *text, int file) {
    char bytes[1 << 16];
    off_t at = 0;
    for (ssize_t length; (length = pread(file, bytes, sizeof bytes, at)) != 0;) {
        if (length < 0 && errno != EINTR) {
            return fail(LIMN_IO, "what a helper program wrote cannot be read: %s", strerror(errno));
        }
        text_buffer_add_bytes(text, bytes, length > 0 ? (size_t)length : 0);
        at += length > 0 ? length : 0;
    }
    return text_buffer_status(text);
}

/* ---- the run ---- */

static limn_status start(pid_t *child, const char *path, const char *name, const char *argument,
                         const int streams[STREAMS]) {
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        for (int i = 0; i < STREAMS && error == 0; i++) {
            error = posix_spawn_file_actions_adddup2(&actions, streams[i], i);
        }
        error = error == 0 ? posix_spawn_file_actions_addclosefrom_np(&actions, STREAMS) : error;
        char *words[] = {strdup(name), argument == NULL ? NULL : strdup(argument), NULL};
        error = error == 0 && words[0] == NULL ? ENOMEM : error;
        error = error == 0 ? posix_spawn(child, path, &actions, NULL, words, environ) : error;
        free(words[0]);
        free(words[1]);
        posix_spawn_file_actions_destroy(&actions);
    }
    return error == 0 ? LIMN_OK : fail(LIMN_IO, "%s cannot be started: %s", path, strerror(error));
}

/* Its last line: what it ended for. */
static limn_status why(const char *name, int file, int state) {
    TextBuffer said = TEXT_BUFFER_INIT;
    limn_status status = read_stream(&said, file);
    while (said.length > 0 && said.data[said.length - 1] == '\n') {
        said.data[--said.length] = '\0';
    }
    const char *line = said.data == NULL ? "" : said.data, *last = strrchr(line, '\n');
    line = last == NULL ? line : last + 1;
    int code = WIFEXITED(state) ? WEXITSTATUS(state) : LIMN_INTERNAL;
    if (status == LIMN_OK && WIFSIGNALED(state)) {
        status = fail(LIMN_INTERNAL, "%s was ended by signal %d%s%s", name, WTERMSIG(state), *line == '\0' ? "" : ": ",
                      line);
    } else if (status == LIMN_OK) {
        status = fail(code > LIMN_OK && code < LIMN_STATUS_COUNT ? (limn_status)code : LIMN_INTERNAL, "%s",
                      *line == '\0' ? "a helper program failed without a word" : line);
    }
    text_buffer_free(&said);
    return status;
}

limn_status helper_run(TextBuffer *output, const char *name, const char *argument, const void *input, size_t length) {
    char path[PATH_MAX];
    int streams[STREAMS] = {-1, -1, -1}, state = 0;
    pid_t child = 0;
    TRY(find(path, name));
    limn_status status = open_streams(streams, input, length);
    status = status == LIMN_OK ? start(&child, path, name, argument, streams) : status;
    if (status == LIMN_OK) {
        pid_t ended;
        do {
            ended = waitpid(child, &state, 0);
        } while (ended < 0 && errno == EINTR);
        /* where the caller's program lets children go unwaited for, what was written tells */
        bool known = ended == child;
        TextBuffer made = TEXT_BUFFER_INIT;
        status = known && state != 0 ? why(name, streams[REMARKS], state) : read_stream(&made, streams[OUTPUT]);
        if (status == LIMN_OK && made.length == 0) {
            status = known ? fail(LIMN_INTERNAL, "%s wrote nothing", name) : why(name, streams[REMARKS], 0);
        }
        if (status == LIMN_OK) {
            text_buffer_add_bytes(output, made.data, made.length);
            status = text_buffer_status(output);
        }
        text_buffer_free(&made);
    }
    close_streams(streams);
    return status;
}
