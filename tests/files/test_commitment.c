/* Commitments against values that Python's hmac and hashlib give; the file of the key. */
#include "base/file.h"
#include "files/commitment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int set_up(void **state) {
    snprintf(path, sizeof path, "/tmp/limn-key-%d", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    unlink(path);
    return 0;
}

static void test_known(void **state) {
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    static const char text[] = "刘备 a";
    CommitmentKey key;
    char found[65];
    assert_int_equal(file_write_atomic(path, hex, sizeof hex - 1), LIMN_OK);
    assert_int_equal(commitment_key_open(&key, path), LIMN_OK);
    assert_int_equal(commitment_of(found, &key, text, sizeof text - 1), LIMN_OK);
    assert_string_equal(found, "8ff9ec5482bcd6ab28fcb596a594b33680a72714325a4d086822d4ff9c06734f");
    static const char upper[] = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F \r\n\n";
    assert_int_equal(file_write_atomic(path, upper, sizeof upper - 1), LIMN_OK);
    assert_int_equal(commitment_key_open(&key, path), LIMN_OK);
    assert_int_equal(commitment_of(found, &key, "", 0), LIMN_OK);
    assert_string_equal(found, "89d9e9306c6991fe4ed98e210956ec8ba28af35185b51dbac6791aff8f5035e6");
}

static void test_made(void **state) {
    CommitmentKey first, again, other;
    struct stat about;
    unlink(path);
    assert_int_equal(commitment_key_open(&first, path), LIMN_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(commitment_key_open(&again, path), LIMN_OK);
    assert_memory_equal(&first, &again, sizeof first);
    unlink(path);
    assert_int_equal(commitment_key_open(&other, path), LIMN_OK);
    assert_memory_not_equal(&first, &other, sizeof first);
}

static void test_refused(void **state) {
    static const char *const wrong[] = {"",
                                        "0001\n",
                                        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
                                        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00",
                                        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
                                        "\n000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                        "000102030405060708090a0b0c0d0e0f\n101112131415161718191a1b1c1d1e1f",
                                        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\nx",
                                        "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                        "0g0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"};
    CommitmentKey key;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(file_write_atomic(path, wrong[i], strlen(wrong[i])), LIMN_OK);
        assert_int_equal(commitment_key_open(&key, path), LIMN_FORMAT);
        assert_non_null(strstr(error_message(), path));
    }
    assert_int_equal(commitment_key_open(&key, "/nowhere/key"), LIMN_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_made),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
