#include "files/hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parallel.h"
#include "files/helpers.h"

enum { CHUNK = 16 << 20 };

static void digest_of(unsigned char out[32], const TextBuffer *text) {
    assert_int_equal(EVP_Digest(text->data, text->length, out, NULL, EVP_sha256(), NULL), 1);
}

/* The tree by its recursive definition: an independent second way to the same root. */
static void root_of(unsigned char out[32], const unsigned char *bytes, size_t length) {
    TextBuffer text = TEXT_BUFFER_INIT;
    size_t chunks = (length + CHUNK - 1) / CHUNK;
    if (chunks == 0) {
        text_buffer_clear(&text);
    } else if (chunks == 1) {
        text_buffer_add_char(&text, 0);
        text_buffer_add_bytes(&text, bytes, length);
    } else {
        size_t left = 1;
        while (left * 2 < chunks) {
            left *= 2;
        }
        unsigned char both[65];
        both[0] = 1;
        root_of(both + 1, bytes, left * CHUNK);
        root_of(both + 33, bytes + left * CHUNK, length - left * CHUNK);
        text_buffer_add_bytes(&text, both, sizeof both);
    }
    digest_of(out, &text);
    text_buffer_free(&text);
}

static void entry_of(unsigned char out[32], const char *name, const unsigned char *bytes, size_t length) {
    unsigned char root[32];
    root_of(root, bytes, length);
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_add_char(&text, 2);
    put_string(&text, name);
    put_u64(&text, length);
    text_buffer_add_bytes(&text, root, 32);
    digest_of(out, &text);
    text_buffer_free(&text);
}

static void to_hex(char hex[65], const unsigned char *digest) {
    for (int i = 0; i < 32; i++) {
        static const char digits[] = "0123456789abcdef";
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

static void age(const char *path, long seconds) {
    const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void use_cache(void) {
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
}

static void test_the_tree(void **state) {
    use_cache();
    size_t length = 2 * (size_t)CHUNK + 12345; /* three leaves: the odd one moves up */
    unsigned char *bytes = malloc(length);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    }
    const char *path = scratch_path("big");
    write_file(path, bytes, length);
    unsigned char expected[32];
    char expected_hex[65], hex[65];
    entry_of(expected, "big", bytes, length);
    to_hex(expected_hex, expected);
    const HashFile file = {path, NULL};
    for (int threads = 1; threads <= 3; threads++) {
        assert_ok(hash_files(hex, &file, 1, true, &(Team){.threads = threads}));
        assert_string_equal(hex, expected_hex);
    }
    write_file(path, bytes, 0);
    entry_of(expected, "big", bytes, 0);
    to_hex(expected_hex, expected);
    assert_ok(hash_files(hex, &file, 1, true, NULL));
    assert_string_equal(hex, expected_hex);
    /* Two files: a node over their entries, sorted by name, in whatever order they are given. */
    write_file(path, bytes, CHUNK);
    write_text(scratch_path("a"), "abc");
    unsigned char both[65];
    both[0] = 1;
    entry_of(both + 1, "a", (const unsigned char *)"abc", 3);
    entry_of(both + 33, "model", bytes, CHUNK);
    assert_int_equal(EVP_Digest(both, sizeof both, expected, NULL, EVP_sha256(), NULL), 1);
    to_hex(expected_hex, expected);
    const HashFile pair[] = {{path, "model"}, {scratch_path("a"), NULL}};
    const HashFile turned[] = {pair[1], pair[0]};
    assert_ok(hash_files(hex, pair, 2, true, NULL));
    assert_string_equal(hex, expected_hex);
    assert_ok(hash_files(hex, turned, 2, true, NULL));
    assert_string_equal(hex, expected_hex);
    free(bytes);
}

static void test_everything_counts(void **state) {
    use_cache();
    char first[65], other[65];
    write_text(scratch_path("x"), "content");
    HashFile file = {scratch_path("x"), "x"};
    assert_ok(hash_files(first, &file, 1, true, NULL));
    file.name = "y";
    assert_ok(hash_files(other, &file, 1, true, NULL));
    assert_string_not_equal(first, other);
    file.name = "x";
    write_text(scratch_path("x"), "Content");
    assert_ok(hash_files(other, &file, 1, true, NULL));
    assert_string_not_equal(first, other);
}

static void test_the_cache(void **state) {
    use_cache();
    const char *path = scratch_path("cached");
    const HashFile file = {path, NULL};
    char first[65], again[65], fresh[65];
    write_text(path, "one");
    assert_ok(hash_files(first, &file, 1, false, NULL));
    write_text(path, "two"); /* too young to be trusted to the cache: seen */
    assert_ok(hash_files(again, &file, 1, false, NULL));
    assert_string_not_equal(first, again);
    write_text(path, "one");
    age(path, 1000000000);
    assert_ok(hash_files(again, &file, 1, false, NULL));
    assert_string_equal(first, again);
    assert_int_equal(count_files(scratch_path("cache/limn/hash")), 1);
    FILE *in_place = fopen(path, "r+"); /* other bytes, same inode, size and time: the cache cannot know */
    assert_non_null(in_place);
    fputs("two", in_place);
    fclose(in_place);
    age(path, 1000000000);
    assert_ok(hash_files(again, &file, 1, false, NULL));
    assert_string_equal(first, again);
    assert_ok(hash_files(fresh, &file, 1, true, NULL)); /* which is why audits ask for fresh */
    assert_string_not_equal(first, fresh);
    assert_ok(hash_files(again, &file, 1, false, NULL)); /* and the cache has learnt it */
    assert_string_equal(fresh, again);
    age(path, 1000000001);
    assert_ok(hash_files(again, &file, 1, false, NULL));
    assert_int_equal(count_files(scratch_path("cache/limn/hash")), 2);
}

static void test_a_broken_cache_is_no_error(void **state) {
    const char *path = scratch_path("plain");
    write_text(path, "text");
    age(path, 1000000000);
    const HashFile file = {path, NULL};
    char expected[65], hex[65];
    assert_ok(hash_files(expected, &file, 1, true, NULL));
    write_text(scratch_path("notafolder"), "");
    setenv("XDG_CACHE_HOME", scratch_path("notafolder"), 1);
    assert_ok(hash_files(hex, &file, 1, false, NULL));
    assert_string_equal(hex, expected);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_ok(hash_files(hex, &file, 1, false, NULL));
    assert_string_equal(hex, expected);
}

static bool stop(void *context, const char *stage, int64_t done, int64_t total) {
    (void)context;
    (void)stage;
    (void)done;
    (void)total;
    return false;
}

static void test_refusals(void **state) {
    use_cache();
    char hex[65];
    write_text(scratch_path("x"), "x");
    const HashFile absent[] = {{scratch_path("x"), "b"}, {scratch_path("absent"), "a"}};
    assert_refused(hash_files(hex, absent, 2, true, NULL), LIMN_NOT_FOUND, "absent");
    const HashFile folder = {"/tmp", NULL};
    assert_refused(hash_files(hex, &folder, 1, true, NULL), LIMN_IO, "/tmp");
    const HashFile twins[] = {{scratch_path("x"), "a"}, {scratch_path("x"), "a"}};
    assert_refused(hash_files(hex, twins, 2, true, NULL), LIMN_USAGE, "two files named 'a'");
    const HashFile file = {scratch_path("x"), NULL};
    const Progress progress = {stop, NULL};
    assert_refused(hash_files(hex, &file, 1, true, &(Team){.threads = 1, .progress = &progress}), LIMN_CANCELLED,
                   "hash");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_tree),  cmocka_unit_test(test_everything_counts),
        cmocka_unit_test(test_the_cache), cmocka_unit_test(test_a_broken_cache_is_no_error),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
