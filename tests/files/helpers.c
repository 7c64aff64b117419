#include "files/helpers.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[64];

int scratch_make(void **state) {
    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/limn-test-XXXXXX");
    return mkdtemp(scratch) == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

int scratch_remove(void **state) {
    (void)state;
    return nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const char *name) {
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

void write_file(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    if (length > 0) {
        assert_int_equal(fwrite(bytes, 1, length, file), length);
    }
    assert_int_equal(fclose(file), 0);
}

void write_text(const char *path, const char *text) {
    write_file(path, text, strlen(text));
}

int count_files(const char *folder) {
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    int count = -2; /* "." and ".." */
    while (readdir(entries) != NULL) {
        count++;
    }
    closedir(entries);
    return count;
}

void check_refused(limn_status found, limn_status expected, const char *const *words, const char *file, int line) {
    if (found != expected) {
        print_error("%s:%d: answered %s (%s), expected %s\n", file, line, status_name(found),
                    found == LIMN_OK ? "" : error_message(), status_name(expected));
        _fail(file, line);
    }
    if (found == LIMN_OK) {
        return;
    }
    const char *message = error_message();
    if (strchr(message, '\n') != NULL) {
        print_error("%s:%d: more than one line: %s\n", file, line, message);
        _fail(file, line);
    }
    for (; *words != NULL; words++) {
        if (strstr(message, *words) == NULL) {
            print_error("%s:%d: no '%s' in: %s\n", file, line, *words, message);
            _fail(file, line);
        }
    }
}

void put_u32(TextBuffer *out, uint32_t value) {
    text_buffer_add_bytes(out, &value, sizeof value);
}

void put_u64(TextBuffer *out, uint64_t value) {
    text_buffer_add_bytes(out, &value, sizeof value);
}

void put_string(TextBuffer *out, const char *text) {
    put_u64(out, strlen(text));
    text_buffer_add(out, text);
}

const char *shared_path(const char *below) {
    static char path[1024];
    const char *shared = getenv("LIMN_SHARED");
    if (shared != NULL && shared[0] != '\0') {
        snprintf(path, sizeof path, "%s/%s", shared, below);
    } else {
        snprintf(path, sizeof path, "%s/../shared/%s", LIMN_TEST_SOURCE_DIR, below);
    }
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not here (set LIMN_SHARED to the folder with the test data)\n", path);
        return NULL;
    }
    return path;
}
