/* Errors, arenas, texts, maps, random numbers. */
#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "base/random.h"
#include "base/text_buffer.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failure of the library, made before cmocka takes the name. */
static limn_status fail_with(limn_status status, const char *text) {
    return fail(status, "%s", text);
}

#include <cmocka.h>

static void test_messages_are_one_printable_line(void **state) {
    assert_int_equal(fail_with(LIMN_FORMAT, "a\nb\r\t\033[31m\x7f"), LIMN_FORMAT);
    assert_string_equal(error_message(), "a\\x0ab\\x0d\\x09\\x1b[31m\\x7f");
    fail_with(LIMN_FORMAT, "\xe4\xb8\xad\xf0\x9f\x98\x80 \xc2\xa0");
    assert_string_equal(error_message(), "\xe4\xb8\xad\xf0\x9f\x98\x80 \xc2\xa0");
    fail_with(LIMN_FORMAT, "\xff \xc2\x9b \xe4\xb8 \xc0\x80 \xed\xa0\x80 \xf5");
    assert_string_equal(error_message(), "\\xff \\xc2\\x9b \\xe4\\xb8 \\xc0\\x80 \\xed\\xa0\\x80 \\xf5");
    char *longest = malloc(5000);
    assert_non_null(longest);
    memset(longest, '\n', 4999);
    longest[4999] = '\0';
    fail_with(LIMN_IO, longest);
    assert_true(strlen(error_message()) < ERROR_MESSAGE_MAX);
    assert_null(strchr(error_message(), '\n'));
    free(longest);
    fail_with(LIMN_RANGE, "seven is too many");
    assert_int_equal(fail_context("config.json: '%s'", "n"), LIMN_RANGE);
    assert_string_equal(error_message(), "config.json: 'n': seven is too many");
    ErrorState kept;
    error_save(&kept);
    error_clear();
    assert_string_equal(error_message(), "");
    assert_int_equal(error_restore(&kept), LIMN_RANGE);
    assert_string_equal(error_message(), kept.message);
    assert_string_equal(status_name(LIMN_NO_MEMORY), "NO_MEMORY");
    assert_int_equal(status_exit_code(LIMN_USAGE), 2);
    assert_int_equal(status_exit_code((limn_status)4711), status_exit_code(LIMN_INTERNAL));
}

static void *fails_elsewhere(void *argument) {
    fail_with(LIMN_IO, "another thread's");
    return argument;
}

static void test_each_thread_has_its_message(void **state) {
    fail_with(LIMN_RANGE, "mine");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fails_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(error_message(), "mine");
}

static void test_arena(void **state) {
    Arena arena;
    arena_init(&arena);
    for (int round = 0; round < 3; round++) {
        unsigned char *pieces[200];
        size_t sizes[200];
        for (int i = 0; i < 200; i++) {
            sizes[i] = (size_t)(i * i) % 5000;
            size_t alignment = (size_t)1 << (i % 9);
            pieces[i] = arena_alloc_aligned(&arena, sizes[i], alignment);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % alignment, 0);
            memset(pieces[i], i, sizes[i]);
        }
        for (int i = 0; i < 200; i++) { /* no piece lies in another */
            for (size_t j = 0; j < sizes[i]; j++) {
                assert_int_equal(pieces[i][j], (unsigned char)i);
            }
        }
        const int *zeroed = ARENA_ARRAY(&arena, int, 1000);
        assert_non_null(zeroed);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(zeroed[i], 0);
        }
        assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
        assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
        assert_string_equal(arena_strdup(&arena, ""), "");
        arena_reset(&arena);
    }
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX / 2 + 1));
    arena_free(&arena);
}

static void test_text_buffer(void **state) {
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_add(&text, "a");
    text_buffer_add_bytes(&text, "\0b", 2);
    text_buffer_printf(&text, "%03d", 7);
    text_buffer_add_codepoint(&text, 0x24);
    text_buffer_add_codepoint(&text, 0xE9);
    text_buffer_add_codepoint(&text, 0x4E2D);
    text_buffer_add_codepoint(&text, 0x1F600);
    assert_int_equal(text.length, 6 + 1 + 2 + 3 + 4);
    assert_memory_equal(text.data, "a\0b007$\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", text.length + 1);
    text_buffer_clear(&text);
    assert_string_equal(text.data, "");
    for (int i = 0; i < 10000; i++) {
        text_buffer_add_char(&text, (char)('a' + i % 26));
    }
    assert_int_equal(text.length, 10000);
    assert_int_equal(text.data[9999], 'a' + 9999 % 26);
    assert_int_equal(text_buffer_status(&text), LIMN_OK);
    char *taken = text_buffer_take(&text);
    assert_int_equal(strlen(taken), 10000);
    assert_null(text.data);
    free(taken);
    char *empty = text_buffer_take(&text);
    assert_string_equal(empty, "");
    free(empty);
    text_buffer_add_bytes(&text, "x", SIZE_MAX); /* impossible: sticks, reported at the end */
    text_buffer_add(&text, "y");
    assert_int_equal(text_buffer_status(&text), LIMN_NO_MEMORY);
    assert_null(text_buffer_take(&text));
    text_buffer_free(&text);
}

static void test_map(void **state) {
    enum { N = 5000 };
    char(*keys)[16] = malloc(sizeof *keys * N);
    assert_non_null(keys);
    Map map;
    map_init(&map);
    uint64_t value;
    assert_false(map_get(&map, "x", 1, &value));
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof keys[i], "key %d", i);
        assert_int_equal(map_put(&map, keys[i], strlen(keys[i]), (uint64_t)i), LIMN_OK);
    }
    assert_int_equal(map_put(&map, keys[7], strlen(keys[7]), 4711), LIMN_OK); /* replaces */
    assert_int_equal(map.count, N);
    for (int i = 0; i < N; i++) {
        assert_true(map_get(&map, keys[i], strlen(keys[i]), &value));
        assert_int_equal(value, i == 7 ? 4711 : i);
    }
    assert_false(map_get(&map, "key", 3, &value));
    assert_int_equal(map_put(&map, "", 0, 1), LIMN_OK); /* empty keys and NULs are keys */
    assert_int_equal(map_put(&map, "\0", 1, 2), LIMN_OK);
    assert_true(map_get(&map, "", 0, &value));
    assert_int_equal(value, 1);
    assert_true(map_get(&map, "\0", 1, &value));
    assert_int_equal(value, 2);
    assert_int_equal(map_reserve(&map, SIZE_MAX / 2), LIMN_NO_MEMORY);
    map_free(&map);
    free(keys);
}

static void test_random(void **state) {
    Random a, b;
    random_seed(&a, 42);
    random_seed(&b, 42);
    int counts[7] = {0};
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < 70000; i++) {
        assert_true(random_bits(&a) == random_bits(&b));
        counts[random_below(&a, 7)]++;
        (void)random_below(&b, 7);
        double unit = random_unit(&a);
        assert_true(unit >= 0.0 && unit < 1.0);
        (void)random_unit(&b);
        double normal = random_normal(&a);
        (void)random_normal(&b);
        sum += normal;
        squares += normal * normal;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(counts[i], 9600, 10400); /* four standard deviations */
    }
    assert_true(fabs(sum / 70000) < 0.02);
    assert_true(fabs(squares / 70000 - 1.0) < 0.03);
    random_seed(&b, 43);
    assert_false(random_bits(&a) == random_bits(&b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_are_one_printable_line),
        cmocka_unit_test(test_each_thread_has_its_message),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_text_buffer),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
