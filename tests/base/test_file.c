#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int set_up(void **state) {
    snprintf(folder, sizeof folder, "/tmp/limn-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

static int tear_down(void **state) {
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *at(const char *name) {
    char *path = path_join(folder, name);
    assert_non_null(path);
    return path;
}

static int entries_in(const char *path) {
    DIR *entries = opendir(path);
    assert_non_null(entries);
    int count = -2;
    while (readdir(entries) != NULL) {
        count++;
    }
    closedir(entries);
    return count;
}

static void assert_contents(const char *path, const char *expected) {
    char *bytes;
    size_t length;
    assert_int_equal(file_read(&bytes, &length, path, 1000), LIMN_OK);
    assert_int_equal(length, strlen(expected));
    assert_string_equal(bytes, expected);
    free(bytes);
}

static void test_write_and_read(void **state) {
    char *path = at("a.txt");
    assert_int_equal(file_write_atomic(path, "one", 3), LIMN_OK);
    assert_contents(path, "one");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(file_write_atomic(path, "second", 6), LIMN_OK);
    assert_contents(path, "second");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640); /* an existing file keeps its mode */
    assert_int_equal(file_write_atomic(path, "", 0), LIMN_OK);
    assert_contents(path, "");
    assert_int_equal(entries_in(folder), 1); /* no temporary left */
    assert_true(file_exists(path));
    assert_false(folder_exists(path));
    assert_true(folder_exists(folder));
    assert_false(file_exists(folder));
    unlink(path);
    free(path);
}

static void test_links_stay(void **state) {
    char *path = at("target");
    char *link_path = at("link");
    assert_int_equal(file_write_atomic(path, "old", 3), LIMN_OK);
    assert_int_equal(symlink("target", link_path), 0);
    assert_int_equal(file_write_atomic(link_path, "new", 3), LIMN_OK);
    assert_contents(path, "new");
    struct stat info;
    assert_int_equal(lstat(link_path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    unlink(path);
    unlink(link_path);
    free(path);
    free(link_path);
}

static void test_streaming(void **state) {
    char *path = at("big");
    FileWriter *writer;
    assert_int_equal(file_writer_open(&writer, path), LIMN_OK);
    unsigned char piece[70000];
    size_t total = 0;
    for (size_t length = 0; length < sizeof piece; length += 977) {
        memset(piece, (int)(length % 251), length);
        assert_int_equal(file_writer_append(writer, piece, length), LIMN_OK);
        total += length;
    }
    assert_false(file_exists(path)); /* nobody sees it before it is whole */
    assert_int_equal(file_writer_commit(writer), LIMN_OK);
    char *bytes;
    size_t length;
    assert_int_equal(file_read(&bytes, &length, path, total), LIMN_OK);
    assert_int_equal(length, total);
    size_t place = 0;
    for (size_t step = 0; step < sizeof piece; step += 977) {
        for (size_t i = 0; i < step; i += 100) {
            assert_int_equal((unsigned char)bytes[place + i], step % 251);
        }
        place += step;
    }
    free(bytes);
    assert_int_equal(file_read(&bytes, &length, path, total - 1), LIMN_FORMAT);
    assert_non_null(strstr(error_message(), path));
    unlink(path);
    assert_int_equal(file_writer_open(&writer, path), LIMN_OK);
    assert_int_equal(file_writer_append(writer, piece, sizeof piece), LIMN_OK);
    file_writer_abort(writer);
    assert_int_equal(entries_in(folder), 0);
    free(path);
}

/* A full disk, as the kernel reports it: a limit on the file's size. In a child, since the limit stays. */
static void test_full_disk(void **state) {
    char *path = at("full");
    assert_int_equal(file_write_atomic(path, "kept", 4), LIMN_OK);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {100000, 100000};
        char *bytes = calloc(1, 300000);
        int failures = bytes == NULL || setrlimit(RLIMIT_FSIZE, &limit) != 0;
        failures += file_write_atomic(path, bytes, 300000) != LIMN_IO;
        failures += strstr(error_message(), path) == NULL || strstr(error_message(), strerror(EFBIG)) == NULL;
        _exit(failures);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
    assert_contents(path, "kept");
    assert_int_equal(entries_in(folder), 1);
    unlink(path);
    free(path);
    assert_int_equal(file_write_atomic("/dev/full", "x", 1), LIMN_IO);
    assert_non_null(strstr(error_message(), "/dev/full"));
    assert_non_null(strstr(error_message(), strerror(ENOSPC)));
    assert_int_equal(file_write_atomic("/dev/null", "x", 1), LIMN_OK);
}

/* What is asked before the work leaves everything as it was. */
static void test_output_is_checked_first(void **state) {
    char *path = at("report.json"), *absent = at("no/such.json"), *under_file = at("report.json/a.json");
    char *slash = at("new/"), *link_path = at("link");
    char name[301] = {0};
    char *too_long = at(memset(name, 'x', 300));
    int before = entries_in(folder);
    assert_int_equal(file_check_output(path), LIMN_OK);
    assert_int_equal(entries_in(folder), before);
    assert_int_equal(file_write_atomic(path, "kept", 4), LIMN_OK);
    assert_int_equal(symlink("report.json", link_path), 0);
    assert_int_equal(file_check_output(path), LIMN_OK);
    assert_int_equal(file_check_output(link_path), LIMN_OK);
    assert_int_equal(file_check_output("no-folder-in-it"), access(".", W_OK) == 0 ? LIMN_OK : LIMN_USAGE);
    assert_int_equal(file_check_output("/dev/null"), LIMN_OK);
    const struct {
        const char *path, *expected;
        limn_status status;
    } bad[] = {{"", "an empty name", LIMN_USAGE},
               {folder, "is a folder", LIMN_USAGE},
               {slash, "is a folder", LIMN_USAGE},
               {too_long, strerror(ENAMETOOLONG), LIMN_USAGE},
               {absent, "there is no folder", LIMN_NOT_FOUND},
               {under_file, "there is no folder", LIMN_NOT_FOUND}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(file_check_output(bad[i].path), bad[i].status);
        assert_non_null(strstr(error_message(), bad[i].expected));
    }
    if (geteuid() != 0) { /* who may write everywhere */
        assert_int_equal(chmod(folder, 0500), 0);
        assert_int_equal(file_check_output(path), LIMN_USAGE);
        assert_non_null(strstr(error_message(), strerror(EACCES)));
        assert_int_equal(chmod(folder, 0700), 0);
    }
    assert_contents(path, "kept");
    assert_int_equal(entries_in(folder), before + 2);
    unlink(path);
    unlink(link_path);
    char *const made[] = {path, absent, under_file, slash, link_path, too_long};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        free(made[i]);
    }
}

static void test_what_cannot_be_written(void **state) {
    assert_int_equal(file_write_atomic(folder, "x", 1), LIMN_IO);
    assert_non_null(strstr(error_message(), "is a folder"));
    char *path = at("no/such/file");
    assert_int_equal(file_write_atomic(path, "x", 1), LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), path));
    char *bytes;
    size_t length;
    assert_int_equal(file_read(&bytes, &length, path, 10), LIMN_NOT_FOUND);
    assert_int_equal(file_read(&bytes, &length, folder, 10), LIMN_IO);
    assert_null(bytes);
    FileMap *map;
    assert_int_equal(file_map_open(&map, folder), LIMN_IO);
    assert_non_null(strstr(error_message(), "a folder, expected a regular file"));
    assert_int_equal(file_map_open(&map, path), LIMN_NOT_FOUND);
    assert_null(map);
    free(path);
    path = at("a file");
    assert_int_equal(file_write_atomic(path, "x", 1), LIMN_OK);
    char *below = at("a file/x");
    assert_int_equal(file_map_open(&map, below), LIMN_NOT_FOUND); /* a file is no folder */
    free(below);
    free(path);
    char name[400];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    path = at(name);
    assert_int_equal(file_map_open(&map, path), LIMN_IO); /* too long a name may be there or not */
    free(path);
}

static void test_pipes_are_read_within_the_cap(void **state) {
    char *path = at("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    FileMap *map;
    assert_int_equal(file_map_open(&map, path), LIMN_IO); /* and does not wait */
    fflush(NULL);
    for (size_t cap = 9999; cap <= 10000; cap++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGPIPE, SIG_IGN);
            FILE *out = fopen(path, "w");
            for (int i = 0; i < 10000 && out != NULL; i++) {
                fputc('x', out);
            }
            _exit(out == NULL || fclose(out) != 0);
        }
        char *bytes;
        size_t length;
        assert_int_equal(file_read(&bytes, &length, path, cap), cap == 10000 ? LIMN_OK : LIMN_FORMAT);
        assert_int_equal(length, cap == 10000 ? 10000 : 0);
        free(bytes);
        waitpid(child, NULL, 0);
    }
    unlink(path);
    free(path);
}

static void test_maps(void **state) {
    char *a = at("a");
    char *b = at("b");
    assert_int_equal(file_write_atomic(a, "first", 5), LIMN_OK);
    assert_int_equal(file_write_atomic(b, "", 0), LIMN_OK);
    FileMap *first, *again, *empty;
    assert_int_equal(file_map_open(&first, a), LIMN_OK);
    assert_int_equal(file_map_open(&again, a), LIMN_OK);
    assert_int_equal(file_map_open(&empty, b), LIMN_OK);
    assert_int_equal(first->size, 5);
    assert_memory_equal(first->data, "first", 5);
    assert_int_equal(empty->size, 0);
    assert_non_null(empty->data);
    assert_string_equal(file_map_at(first->data + 4), a);
    assert_ptr_equal(file_map_at(again->data), again->path);
    assert_null(file_map_at(first));
    assert_null(file_map_at(NULL));
    const unsigned char *gone = first->data;
    file_map_close(first);
    assert_null(file_map_at(gone));
    file_map_close(again);
    file_map_close(empty);
    file_map_close(NULL);
    unlink(a);
    unlink(b);
    free(a);
    free(b);
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    const char *path = file_map_at(info->si_addr);
    _exit(path != NULL && strstr(path, "truncated") != NULL ? 3 : 99);
}

/* Someone truncates a file under its map: the handler can say which file it was. */
static void test_truncated_while_mapped(void **state) {
    char *path = at("truncated");
    char *bytes = calloc(1, 1 << 20);
    assert_non_null(bytes);
    assert_int_equal(file_write_atomic(path, bytes, 1 << 20), LIMN_OK);
    free(bytes);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
        sigaction(SIGBUS, &action, NULL);
        FileMap *map;
        if (file_map_open(&map, path) != LIMN_OK || truncate(path, 4096) != 0) {
            _exit(98);
        }
        const volatile unsigned char *last = map->data + map->size - 1;
        _exit(*last == 0 ? 97 : 96); /* never reached: the page is gone */
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 3);
    unlink(path);
    free(path);
}

static void write_secrets_for_ever(const char *bytes, size_t length, int keys) {
    char path[80];
    for (int i = 0;; i = (i + 1) % (3 * keys)) {
        snprintf(path, sizeof path, "%s/key%d", folder, i % keys);
        (void)!file_write_secret(path, bytes, length);
        unlink(i % 3 == 0 ? path : "");
    }
}

/* A child writes one key after another until it is killed: of each there is all or nothing. */
static void test_secrets(void **state) {
    enum { ROUNDS = 20, KEYS = 64, LENGTH = 3000 };
    char path[80], bytes[LENGTH];
    memset(bytes, 'k', LENGTH);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            write_secrets_for_ever(bytes, LENGTH, KEYS);
        }
        usleep(1000 * (useconds_t)(1 + round % 5));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        for (int i = 0; i < KEYS; i++) {
            struct stat info;
            snprintf(path, sizeof path, "%s/key%d", folder, i);
            if (stat(path, &info) == 0) {
                assert_int_equal(info.st_size, LENGTH);
                assert_int_equal(info.st_mode & 0777, 0600);
            }
        }
    }
    snprintf(path, sizeof path, "%s/keykept", folder);
    assert_int_equal(file_write_secret(path, "first", 5), LIMN_OK);
    assert_int_equal(file_write_secret(path, "other", 5), LIMN_IO);
    assert_non_null(strstr(error_message(), "kept"));
    assert_contents(path, "first");
}

static void test_paths(void **state) {
    char *joined = path_join("a/", "b");
    assert_string_equal(joined, "a/b");
    free(joined);
    joined = path_join("", "b");
    assert_string_equal(joined, "b");
    free(joined);
    assert_string_equal(path_base("a/b/c.x"), "c.x");
    assert_string_equal(path_base("c.x"), "c.x");
    char *deep = at("x/y/z");
    assert_int_equal(folder_make(deep), LIMN_OK);
    assert_true(folder_exists(deep));
    assert_int_equal(folder_make(deep), LIMN_OK);
    char *file = at("x/file");
    assert_int_equal(file_write_atomic(file, "", 0), LIMN_OK);
    assert_int_equal(folder_make(file), LIMN_IO);
    char *below = at("x/file/below");
    assert_int_equal(folder_make(below), LIMN_IO);
    free(deep);
    free(file);
    free(below);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_links_stay),
        cmocka_unit_test(test_streaming),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_output_is_checked_first),
        cmocka_unit_test(test_what_cannot_be_written),
        cmocka_unit_test(test_pipes_are_read_within_the_cap),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_truncated_while_mapped),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
