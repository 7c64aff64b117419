/* Filters and samples: known answers, and what is refused. */
#include "data/dataset.h"
#include "data/where.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const char *scratch(const char *ending, const char *text) {
    static char path[64];
    snprintf(path, sizeof path, "/tmp/limn-data-%d%s", (int)getpid(), ending);
    must(file_write_atomic(path, text, strlen(text)));
    return path;
}

/* Which records of the file hold, as digits. */
static limn_status kept(char *digits, const char *path, const DatasetOptions *options) {
    Dataset *dataset;
    size_t n = 0;
    digits[0] = '\0';
    TRY(dataset_open(&dataset, path, options));
    const Record *record;
    limn_status status;
    while ((status = dataset_next(dataset, &record)) == LIMN_OK && record != NULL) {
        digits[n++] = (char)('0' + record->number);
        digits[n] = '\0';
    }
    dataset_close(dataset);
    return status;
}

static limn_status where(char *digits, const char *path, const char *expression) {
    return kept(digits, path, &(DatasetOptions){.where = expression, .where_length = strlen(expression)});
}

typedef struct Case {
    const char *expression, *kept;
} Case;

static void check_cases(const char *path, const Case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char digits[64];
        must(where(digits, path, cases[i].expression));
        if (strcmp(digits, cases[i].kept) != 0) {
            fail_msg("%s: kept '%s', expected '%s'", cases[i].expression, digits, cases[i].kept);
        }
    }
}

static void filters_on_json(void **state) {
    const char *path = scratch(
        ".jsonl",
        "{\"label\": \"yes\", \"pred\": \"no\", \"n\": 9007199254740993, \"x\": 1.5}\n"
        "{\"label\": \"no\", \"pred\": \"no\", \"n\": 9007199254740992, \"x\": -2}\n"
        "{\"label\": null, \"n\": \"10\", \"x\": 10, \"ok\": true, \"odd name\": 1}\n"
        "{\"label\": \"\xE6\xAF\x94\xE7\x89\xB9\xE5\xB8\x81 yes\", \"pred\": 3, \"u\": {\"a\": [1]}, \"v\": [1], "
        "\"w\": [1, \"v\", 3], \"ww\": {\"b\": 1, \"a\": 2}, \"xx\": {\"a\": 2, \"b\": 1}}\n");
    static const Case cases[] = {
        {"label!=pred", "03"},
        {"label == pred", "12"},
        {"label = 'yes'", "0"},
        {"label == \"yes\" or label == \"no\"", "01"},
        {"n == 9007199254740993", "0"},
        {"n < 9007199254740993", "1"},
        {"n == 10", ""},
        {"n == '10'", "2"},
        {"x > 1", "02"},
        {"x >= 1.5 and x <= 10.0", "02"},
        {"x < 0", "1"},
        {"x <= 1e1 && not x > 1.5", "01"},
        {"label == null", "2"},
        {"pred == null", "2"},
        {"pred < null or pred >= null", ""},
        {"ok == true", "2"},
        {"ok != true", "013"},
        {"label ~ '^y'", "0"},
        {"label !~ '^y'", "123"},
        {"label ~ 'yes$' and pred != 'no'", "3"},
        {"label ~ '(?i)YES'", "03"},
        {"label ~ '^...\\\\s'", "3"},
        {"n ~ '3$'", "0"},
        {"u.a == v and v != null", "3"},
        {"v != null and (v == w or v != v or w == pred or pred == w or ww == v or v < w or v > w or v >= w)", ""},
        {"ww == xx and ww <= xx and ww >= xx and length(w) == 3 and length(ww) == 2 and length(u.a) == 1", "3"},
        {"ww.b == 1 and w !~ 'x' and w ~ ', ?3]'", "3"},
        {"`odd name` == 1", "2"},
        {"not (label == 'yes' or label == 'no')", "23"},
        {"label == 'yes' or label == 'no' and pred == 'none'", "0"},
        {"(label == 'yes' or label == 'no') and pred == 'none'", ""},
        {"not label == 'yes' and x > 0", "2"},
        {"pred > label", ""},
        {"label > pred", "0"},
        {"'a' < 'b'", "0123"},
        {"length(label) > 3", "3"},
        {"length(label) == 6", ""}, /* characters, not bytes: three of three bytes, a space, three */
        {"length ( label )==7", "3"},
        {"length(v) == 1 and length(`u`) == 1", "3"},
        {"length(label) == null", "2"},
        {"length(n) >= 16", "01"},
        {"length(label) > length(pred)", "03"},
        {"length(pred) <= 0", ""},
    };
    check_cases(path, cases, sizeof cases / sizeof cases[0]);
    unlink(path);
}

/* Ids past 63 bits are told apart, whether they are JSON or cells. */
static void filters_on_long_integers(void **state) {
    static const Case cases[] = {
        {"id == 10254939386542155531", "0"}, {"id != 10254939386542155531", "1"},
        {"id > 10254939386542155531", "1"},  {"id >= 9223372036854775807", "01"},
        {"id == 1842913370518913027", ""},   {"n == 1842913370518913027", "0"},
        {"n < 1842913370518913280.0", "01"}, {"n == n and id > n and n > -1e30", "01"},
        {"length(id) == 20", "01"},
    };
    const char *path = scratch(".jsonl", "{\"id\": 10254939386542155531, \"n\": 1842913370518913027}\n"
                                         "{\"id\": 10254939386542155532, \"n\": 1842913370518913028}\n");
    check_cases(path, cases, sizeof cases / sizeof cases[0]);
    unlink(path);
    path =
        scratch(".csv", "id,n\n10254939386542155531,1842913370518913027\n10254939386542155532,1842913370518913028\n");
    check_cases(path, cases, sizeof cases / sizeof cases[0]);
    unlink(path);
}

static void filters_on_cells(void **state) {
    const char *path =
        scratch(".csv", "label,pred,n,zip,not\nyes,no,10,007,1\nno,no,9,7,2\n3,3.0,1e1,,3\n,true,abc,07,4\n");
    static const Case cases[] = {
        {"label!=pred", "03"},   {"n == 10", "02"},   {"n == '10'", "0"},    {"n > 9", "02"},
        {"n > '9'", "3"},        {"zip == 7", "1"},   {"zip == '007'", "0"}, {"zip == ''", "2"},
        {"pred == true", "3"},   {"pred == 3", "2"},  {"label == null", ""}, {"not == 2", "1"},
        {"not not == 2", "023"}, {"n < label", "01"},
    };
    check_cases(path, cases, sizeof cases / sizeof cases[0]);
    char digits[64];
    assert_int_equal(where(digits, path, "lable == 'yes'"), LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), "lable"));
    unlink(path);
}

/* Halves by a field: one half and the other are all, what shares the field stays together, another number gives other
 * halves, and the numbers are those of a fair draw. */
static void filters_by_halves(void **state) {
    enum { RECORDS = 2000, SHARED = 4 };
    TextBuffer text = TEXT_BUFFER_INIT;
    for (int i = 0; i < RECORDS; i++) {
        text_buffer_printf(&text, "{\"id\": %d, \"of\": \"t%d\"}\n", i, i / SHARED);
    }
    const char *path = scratch(".jsonl", text.data);
    static const char *const filters[] = {"split(id, 1) < 0.5", "split(id, 1) >= 0.5", "split(of) < 0.5",
                                          "split(id, 2) < 0.5", "split(id, 1) < 0.25 and split(id, 1) >= 0"};
    bool in[5][RECORDS] = {{false}};
    int n[5] = {0};
    for (int i = 0; i < 5; i++) {
        Dataset *dataset;
        const Record *record;
        must(dataset_open(&dataset, path, &(DatasetOptions){.where = filters[i], .where_length = strlen(filters[i])}));
        while (must(dataset_next(dataset, &record)), record != NULL) {
            in[i][record->number] = true;
            n[i]++;
        }
        dataset_close(dataset);
    }
    int both = 0;
    for (int i = 0; i < RECORDS; i++) {
        assert_true(in[0][i] != in[1][i]);
        assert_true(in[2][i] == in[2][i - i % SHARED]);
        assert_true(!in[4][i] || in[0][i]);
        both += in[0][i] && in[3][i];
    }
    assert_in_range(n[0], 900, 1100); /* binomial(2000, 1/2): 4.5 deviations */
    assert_in_range(n[4], 413, 587);
    assert_in_range(both, 413, 587);
    unlink(path);
    text_buffer_free(&text);
}

static void filters_that_cannot_be(void **state) {
    const char *path = scratch(".jsonl", "{\"a\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"}\n");
    static const struct {
        const char *expression, *word;
        limn_status status;
    } cases[] = {
        {"", "ends where", LIMN_USAGE},
        {"a", "one of ==", LIMN_USAGE},
        {"a ==", "ends where", LIMN_USAGE},
        {"a == 1 b", "'b' at character 8", LIMN_USAGE},
        {"a == 'x", "closing quote", LIMN_USAGE},
        {"(a == 1", "closing parenthesis", LIMN_USAGE},
        {"a == 1)", "')' at character 7", LIMN_USAGE},
        {"a == 1x", "a number", LIMN_USAGE},
        {"a ~ b", "in quotes", LIMN_USAGE},
        {"a ~ 3", "in quotes", LIMN_USAGE},
        {"a ~ '(x'", "'(x' is broken at character 3", LIMN_USAGE},
        {"a and b", "one of ==", LIMN_USAGE},
        {"length(a == 1", "closing parenthesis", LIMN_USAGE},
        {"length() > 1", "') > 1' at character 8, expected a field", LIMN_USAGE},
        {"length('a') > 1", "expected a field", LIMN_USAGE},
        {"length(zh) > 1", "field 'zh'", LIMN_NOT_FOUND},
        {"length > 1", "field 'length'", LIMN_NOT_FOUND},
        {"split > 1", "field 'split'", LIMN_NOT_FOUND},
        {"split(zh) > 1", "field 'zh'", LIMN_NOT_FOUND},
        {"split(a, b) > 1", "'b) > 1' at character 10, expected a whole number", LIMN_USAGE},
        {"split(a, -1) > 1", "a whole number", LIMN_USAGE},
        {"split(a, 1.5) > 1", "a whole number", LIMN_USAGE},
        {"split(a 1) > 1", "closing parenthesis", LIMN_USAGE},
        {"zh == a", "field 'zh'", LIMN_NOT_FOUND},
        {"a ~ '(a+)+(a+)+(a+)+$'", "line 1: option 'where': the pattern", LIMN_RANGE},
    };
    char digits[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        limn_status status = where(digits, path, cases[i].expression);
        if (status != cases[i].status || strstr(error_message(), cases[i].word) == NULL) {
            fail_msg("%s: %d %s", cases[i].expression, (int)status, error_message());
        }
    }
    char deep[400];
    memset(deep, '(', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(where(digits, path, deep), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "64 deep"));
    unlink(path);
}

static void limits_and_samples(void **state) {
    const char *path = scratch(".txt", "a\nb\nc\nd\ne\nf\ng\nh\n");
    char digits[64];
    must(kept(digits, path, &(DatasetOptions){.limit = 3}));
    assert_string_equal(digits, "012");
    must(kept(digits, path, &(DatasetOptions){.limit = 1}));
    assert_string_equal(digits, "0");
    must(kept(digits, path, &(DatasetOptions){.sample = 1, .seed = 1}));
    assert_int_equal(strlen(digits), 1);
    must(kept(digits, path, &(DatasetOptions){.limit = 30}));
    assert_string_equal(digits, "01234567");
    must(kept(digits, path, &(DatasetOptions){.sample = 30, .seed = 4}));
    assert_string_equal(digits, "01234567");
    /* each record equally often, in ascending order; the same seed the same sample */
    int times[8] = {0};
    enum { SEEDS = 4000, SIZE = 3 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        must(kept(digits, path, &(DatasetOptions){.sample = SIZE, .seed = seed}));
        assert_int_equal(strlen(digits), SIZE);
        for (int i = 0; i < SIZE; i++) {
            times[digits[i] - '0']++;
            assert_true(i == 0 || digits[i] > digits[i - 1]);
        }
    }
    for (int i = 0; i < 8; i++) { /* binomial(4000, 3/8): mean 1500, deviation 31 */
        assert_in_range(times[i], 1375, 1625);
    }
    char again[64];
    DatasetOptions options = {.where = "text > 'b'", .where_length = 10, .sample = 3, .limit = 2, .seed = 9};
    must(kept(digits, path, &options));
    must(kept(again, path, &options));
    assert_string_equal(digits, again);
    assert_int_equal(strlen(digits), 2);
    assert_true(digits[0] >= '2');
    unlink(path);
}

/* Names of a table are known beforehand, whole names only; of JSONL when all has been read, asked about or not. */
static void names_are_checked(void **state) {
    static const struct {
        const char *ending, *text, *expression;
        const char *unknown; /* NULL: fine */
    } cases[] = {
        {".csv", "ab,abc\n1,2\n", "ab == 1 and abc == 2", NULL},
        {".csv", "ab,abc\n", "abc == 1 or ab == 2", NULL},
        {".csv", "ab,abc\n", "ab == 1 or a == 2", "a"},
        {".csv", "ac,ab,abc\n", "ad == 1", "ad"},
        {".csv", "ac,ab,abc\n", "aa == 1", "aa"},
        {".csv", "ab,abc\n", "abcd == 1 or a == 2", "abcd"},
        {".csv", "ab,abc\n", "length(abd) == 1", "abd"},
        {".csv", "ab,abc\n", "1 == 2", NULL},
        {".jsonl", "{\"a\": 1, \"b\": 2}\n{\"a\": 1}\n", "a == 1 or b == 1", NULL}, /* b is never come to */
        {".jsonl", "{\"a\": 1}\n{\"a\": 1}\n", "a == 1 or b == 1", "b"},
        {".jsonl", "{\"a\": 1}\n{\"a\": 1, \"b\": 1}\n", "b == 2 or length(c) == 1 or d == 1", "c"},
        {".jsonl", "", "b == 1", NULL}, /* nothing was read: nothing is known */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char digits[64], said[200] = "";
        const char *path = scratch(cases[i].ending, cases[i].text);
        limn_status status = where(digits, path, cases[i].expression);
        if (cases[i].unknown != NULL) {
            snprintf(said, sizeof said,
                     strcmp(cases[i].ending, ".csv") == 0
                         ? "option 'where': %s has no field '%s' (a text stands in quotes)"
                         : "option 'where': no record of %s has the field '%s' (a text stands in quotes)",
                     path, cases[i].unknown);
        }
        if (status != (said[0] != '\0' ? LIMN_NOT_FOUND : LIMN_OK) ||
            (status != LIMN_OK && strcmp(error_message(), said) != 0)) {
            fail_msg("%s: %s, expected '%s'", cases[i].expression, error_message(), said);
        }
        unlink(path);
    }
}

/* More than the first block of numbers holds; and a file that is cut off between the two readings. */
static void large_samples(void **state) {
    enum { RECORDS = 6000, SIZE = 2500 };
    TextBuffer text = TEXT_BUFFER_INIT;
    for (int i = 0; i < RECORDS; i++) {
        text_buffer_printf(&text, "%d %0100d\n", i, 0);
    }
    const char *path = scratch(".txt", text.data);
    Dataset *dataset;
    const Record *record;
    const DatasetOptions options = {.sample = SIZE, .seed = 5};
    must(dataset_open(&dataset, path, &options));
    int64_t last = -1, n = 0, late = 0;
    while (must(dataset_next(dataset, &record)), record != NULL) {
        assert_true(record->number > last);
        last = record->number;
        n++;
        late += last >= RECORDS / 2;
    }
    assert_int_equal(n, SIZE);
    assert_in_range(late, 1150, 1350); /* hypergeometric: mean 1250, deviation 19 */
    must(dataset_next(dataset, &record));
    assert_null(record); /* the end stays the end */
    dataset_close(dataset);
    must(dataset_open(&dataset, path, &options));
    assert_int_equal(truncate(path, 2), 0);
    limn_status status;
    while ((status = dataset_next(dataset, &record)) == LIMN_OK && record != NULL) {
    }
    assert_int_equal(status, LIMN_IO);
    assert_non_null(strstr(error_message(), "grew shorter while it was being read"));
    assert_null(record);
    assert_null(dataset_bad(dataset));
    dataset_close(dataset);
    dataset_close(NULL);
    unlink(path);
    text_buffer_free(&text);
}

/* A record that cannot be read, or asked of: the failure is its own, and the next call goes on behind it. */
static void bad_records(void **state) {
    const char *path =
        scratch(".jsonl", "{\"a\": \"x\"}\n{\"a\n{\"a\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"}\n{\"a\": \"y\"}\n");
    static const char slow[] = "a !~ '^(a|a)+$'", unseen[] = "b == 1";
    static const struct {
        const char *where;
        int64_t sample;
        const char *numbers; /* in the order they come, the failures in capitals: A is record 0 */
    } cases[] = {{NULL, 0, "aBcd"}, {slow, 0, "aBCd"}, {NULL, 9, "aBcd"}, {slow, 9, "aBd"}, {unseen, 0, "B!"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *filter = cases[i].where;
        DatasetOptions options = {.where = filter,
                                  .where_length = filter == NULL ? 0 : strlen(filter),
                                  .sample = cases[i].sample,
                                  .skip_bad = true};
        Dataset *dataset;
        must(dataset_open(&dataset, path, &options));
        char numbers[16];
        size_t n = 0;
        for (bool more = true; more && n < sizeof numbers - 1;) {
            const Record *record;
            limn_status status = dataset_next(dataset, &record);
            const Record *of = status == LIMN_OK ? record : dataset_bad(dataset);
            more = of != NULL;
            if (more) {
                numbers[n++] = (char)((status == LIMN_OK ? 'a' : 'A') + of->number);
            } else if (status != LIMN_OK) {
                numbers[n++] = '!';
                assert_null(dataset_bad(dataset));
            }
        }
        numbers[n] = '\0';
        if (strcmp(numbers, cases[i].numbers) != 0) {
            fail_msg("case %zu: %s, expected %s", i, numbers, cases[i].numbers);
        }
        dataset_close(dataset);
    }
    Dataset *dataset = (Dataset *)path;
    assert_int_equal(dataset_open(&dataset, path, &(DatasetOptions){.sample = 9}), LIMN_FORMAT); /* not to be skipped */
    assert_null(dataset);
    assert_int_equal(dataset_open(&dataset, path,
                                  &(DatasetOptions){.sample = 9, .where = unseen, .where_length = 6, .skip_bad = true}),
                     LIMN_NOT_FOUND); /* of no record: nothing to skip */
    unlink(path);
}

static void what_a_set_says_of_itself(void **state) {
    const char *path = scratch(".txt", "a\nb\nc\nd\ne\nf\ng\nh\n"); /* eight records of two bytes */
    static const struct {
        int64_t limit, sample;
        int64_t done[3], total; /* after one, four and eight records */
    } cases[] = {
        {0, 0, {2, 8, 16}, 16}, {3, 0, {1, 4, 8}, 3}, {30, 0, {2, 8, 16}, 16}, {8, 0, {2, 8, 16}, 16},
        {7, 0, {1, 4, 8}, 7},   {0, 3, {1, 4, 8}, 3}, {0, 30, {1, 4, 8}, 8},   {2, 3, {1, 4, 8}, 2},
        {1, 0, {1, 4, 8}, 1},   {0, 1, {1, 4, 8}, 1}, {5, 3, {1, 4, 8}, 3},    {3, 3, {1, 4, 8}, 3},
    };
    Dataset *dataset;
    int64_t done, total;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        must(dataset_open(&dataset, path, &(DatasetOptions){.limit = cases[i].limit, .sample = cases[i].sample}));
        assert_string_equal(dataset_path(dataset), path);
        assert_true(dataset_is_regular(dataset));
        assert_true(dataset_is_text(dataset));
        for (int k = 0; k < 3; k++) {
            int64_t n = k == 0 ? 1 : 4 * k;
            dataset_progress(dataset, &(Record){.end = 2 * n}, n, &done, &total);
            if (done != cases[i].done[k] || total != cases[i].total) {
                fail_msg("case %zu, %lld records: %lld of %lld", i, (long long)n, (long long)done, (long long)total);
            }
        }
        dataset_close(dataset);
    }
    unlink(path);
    for (int limit = 0; limit <= 5; limit += 5) { /* no file with a size */
        must(dataset_open(&dataset, "/dev/null", &(DatasetOptions){.format = RECORDS_JSONL, .limit = limit}));
        assert_false(dataset_is_regular(dataset));
        assert_false(dataset_is_text(dataset));
        dataset_progress(dataset, &(Record){.end = 7}, 3, &done, &total);
        assert_int_equal(done, 3);
        assert_int_equal(total, limit);
        dataset_close(dataset);
    }
    assert_int_equal(dataset_open(&dataset, "/dev/null", &(DatasetOptions){.format = RECORDS_JSONL, .sample = 1}),
                     LIMN_USAGE);
    assert_string_equal(error_message(), "/dev/null: --sample reads a file twice; expected a regular file");
    path = scratch(".txt", "");
    must(dataset_open(&dataset, path, &(DatasetOptions){.sample = 3}));
    assert_true(dataset_is_regular(dataset));
    const Record *record;
    must(dataset_next(dataset, &record));
    assert_null(record);
    dataset_progress(dataset, &(Record){.end = 0}, 0, &done, &total);
    assert_int_equal(total, 0);
    dataset_close(dataset);
    for (int limit = 0; limit <= 5; limit += 5) { /* a file that says it is empty and is not, as those of /proc */
        must(dataset_open(&dataset, path, &(DatasetOptions){.limit = limit}));
        dataset_progress(dataset, &(Record){.end = 7}, 3, &done, &total);
        assert_int_equal(done, 3);
        assert_int_equal(total, limit);
        dataset_close(dataset);
    }
    path = scratch(".txt", "a");
    must(dataset_open(&dataset, path, &(DatasetOptions){0}));
    must(dataset_next(dataset, &record));
    dataset_progress(dataset, record, 1, &done, &total);
    assert_int_equal(done, 1);
    assert_int_equal(total, 1);
    must(dataset_next(dataset, &record));
    assert_null(record);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs("\nb\n", file) >= 0 && fclose(file) == 0);
    must(dataset_next(dataset, &record)); /* the end stays the end, though the file grows */
    assert_null(record);
    dataset_close(dataset);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_on_json),
        cmocka_unit_test(filters_on_long_integers),
        cmocka_unit_test(filters_on_cells),
        cmocka_unit_test(filters_by_halves),
        cmocka_unit_test(filters_that_cannot_be),
        cmocka_unit_test(limits_and_samples),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(large_samples),
        cmocka_unit_test(bad_records),
        cmocka_unit_test(what_a_set_says_of_itself),
    };
    return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
