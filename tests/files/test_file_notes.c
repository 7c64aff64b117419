/* A note about a file lasts as long as the file's state, and no longer. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    assert_false(file_note_get(text, sizeof text, &info, "-b"));
    assert_false(file_note_get(text, 7, &info, "-a")); /* no room for the end */
    struct stat later = write_file(*state, "weights", 90);
    assert_false(file_note_get(text, sizeof text, &later, "-a"));
    struct stat longer = write_file(*state, "weights!", 100);
    assert_false(file_note_get(text, sizeof text, &longer, "-a"));
}

static void a_young_file_gets_no_note(void **state) {
    struct stat info = write_file(*state, "young", 0);
    char text[16];
    file_note_put("finite\n", &info, "-a");
    assert_false(file_note_get(text, sizeof text, &info, "-a"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_note_lasts_while_the_file_stays, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_young_file_gets_no_note, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
