/* A note about a file lasts as long as the file's state, and no longer. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "files/file_notes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct Place {
    char folder[64];
    char file[96];
} Place;

static int make_place(void **state) {
    static Place place;
    strcpy(place.folder, "/tmp/limn-notes-XXXXXX");
    if (mkdtemp(place.folder) == NULL || setenv("XDG_CACHE_HOME", place.folder, 1) != 0) {
        return -1;
    }
    snprintf(place.file, sizeof place.file, "%s/weights", place.folder);
    *state = &place;
    return 0;
}

static int remove_place(void **state) {
    const Place *place = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", place->folder);
    return system(command);
}

/* Writes the file and gives it a time `seconds` ago. */
static struct stat write_file(const Place *place, const char *text, long seconds) {
    FILE *file = fopen(place->file, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    struct timespec times[2] = {{time(NULL) - seconds, 5}, {time(NULL) - seconds, 5}};
    assert_int_equal(utimensat(AT_FDCWD, place->file, times, 0), 0);
    struct stat info;
    assert_int_equal(stat(place->file, &info), 0);
    return info;
}

static void a_note_lasts_while_the_file_stays(void **state) {
    struct stat info = write_file(*state, "weights", 100);
    char text[16];
    assert_false(file_note_get(text, sizeof text, &info, "-a"));
    file_note_put("finite\n", &info, "-a");
    assert_true(file_note_get(text, sizeof text, &info, "-a"));
    assert_string_equal(text, "finite\n");
    error_clear();
    assert_false(file_note_get(text, sizeof text, &info, "-b"));
    assert_string_equal(error_message(), "");          /* that there is none is no failure */
    assert_string_equal(text, "finite\n");             /* and nothing is written */
    assert_false(file_note_get(text, 7, &info, "-a")); /* no room for the end */
    struct stat later = write_file(*state, "weights", 90);
    assert_false(file_note_get(text, sizeof text, &later, "-a"));
    struct stat longer = write_file(*state, "weights!", 100);
    assert_false(file_note_get(text, sizeof text, &longer, "-a"));
}

/* Without XDG_CACHE_HOME below the home; without either, or where they are no absolute paths, nowhere. */
static void notes_lie_where_caches_do(void **state) {
    const Place *place = *state;
    struct stat info = write_file(place, "weights", 100);
    char text[16], folder[128];
    for (int relative = 0; relative < 2; relative++) {
        assert_int_equal(relative ? setenv("XDG_CACHE_HOME", "tmp", 1) : unsetenv("XDG_CACHE_HOME"), 0);
        unsetenv("HOME");
        file_note_put("finite\n", &info, "-a");
        assert_false(file_note_get(text, sizeof text, &info, "-a"));
        setenv("HOME", "home", 1);
        file_note_put("finite\n", &info, "-a");
        assert_false(file_note_get(text, sizeof text, &info, "-a"));
        snprintf(folder, sizeof folder, "%s/home%d", place->folder, relative);
        setenv("HOME", folder, 1);
        assert_false(file_note_get(text, sizeof text, &info, "-a"));
        file_note_put("finite\n", &info, "-a");
        assert_true(file_note_get(text, sizeof text, &info, "-a"));
        strcat(folder, "/.cache/limn/hash");
        assert_int_equal(access(folder, F_OK), 0);
    }
}

static void a_young_file_gets_no_note(void **state) {
    struct stat info = write_file(*state, "young", 0);
    char text[16];
    file_note_put("finite\n", &info, "-a");
    assert_false(file_note_get(text, sizeof text, &info, "-a"));
}

static int count_notes(const char *folder) {
    int n = 0;
    DIR *notes = opendir(folder);
    assert_non_null(notes);
    for (const struct dirent *entry = readdir(notes); entry != NULL; entry = readdir(notes)) {
        n += entry->d_name[0] != '.';
    }
    closedir(notes);
    return n;
}

/* Notes of many files that are gone, the older ones with the lower numbers. */
static void make_old_notes(const char *folder, int n) {
    char path[160];
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/old-%04d", folder, i);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fclose(file);
        const struct timespec time = {1000000000 + i / 2, i % 2 * 500000000}; /* two in each second */
        struct timespec times[2] = {time, time};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
}

static void only_the_newest_notes_stay(void **state) {
    const Place *place = *state;
    char folder[96], path[160], text[16];
    enum { EXTRA = 7 };
    struct stat info = write_file(place, "weights", 100);
    file_note_put("finite\n", &info, "-a");
    snprintf(folder, sizeof folder, "%s/limn/hash", place->folder);
    make_old_notes(folder, FILE_NOTES_MAX - 2);
    file_note_put("finite\n", &info, "-b"); /* as many as may be: all stay */
    assert_int_equal(count_notes(folder), FILE_NOTES_MAX);
    make_old_notes(folder, FILE_NOTES_MAX - 2 + EXTRA);
    file_note_put("finite\n", &info, "-c");
    assert_int_equal(count_notes(folder), FILE_NOTES_MAX);
    for (const char *kind = "-a\0-b\0-c\0"; *kind != '\0'; kind += 3) {
        assert_true(file_note_get(text, sizeof text, &info, kind));
    }
    for (int i = 0; i < EXTRA + 2; i++) { /* the oldest went: there is room for FILE_NOTES_MAX - 3 of them */
        snprintf(path, sizeof path, "%s/old-%04d", folder, i);
        assert_int_equal(access(path, F_OK) == 0, i == EXTRA + 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_note_lasts_while_the_file_stays, make_place, remove_place),
        cmocka_unit_test_setup_teardown(notes_lie_where_caches_do, make_place, remove_place),
        cmocka_unit_test_setup_teardown(only_the_newest_notes_stay, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_young_file_gets_no_note, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
