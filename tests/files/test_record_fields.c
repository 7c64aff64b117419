/* Fields of records: long integers, their order, names, and what a record lacks. */
#include "files/records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/record_texts.h"

/* Python's json.loads of the same line, field by field: no integer loses a digit, for itself or for what stands beside
 * it. */
static void test_long_integers(void **state) {
    RecordReader *reader = opened(
        "long.jsonl",
        "{\"id\": 10254939386542155531, \"least\": -9223372036854775808, \"most\": 9223372036854775807, "
        "\"over\": 9223372036854775808, \"under\": -9223372036854775809, \"tweet\": 1842913370518913027, "
        "\"text\": \"18446744073709551616 \\\" \\ufdd0 \xEF\xB7\x91"
        "18446744073709551616\", \"x\": 1234567890123456789.5, "
        "\"e\": 1e20, \"list\": [18446744073709551616, {\"in\": -18446744073709551617, \"s\": \"a\\\"b\"}, 7]}\n");
    const Record *record = next(reader);
    assert_field(record, "id", "10254939386542155531");
    assert_field(record, "least", "-9223372036854775808");
    assert_field(record, "most", "9223372036854775807");
    assert_field(record, "over", "9223372036854775808");
    assert_field(record, "under", "-9223372036854775809");
    assert_field(record, "tweet", "1842913370518913027");
    assert_field(record, "text",
                 "18446744073709551616 \" \xEF\xB7\x90 \xEF\xB7\x91"
                 "18446744073709551616");
    assert_field(record, "x", "1.2345678901234568e18");
    assert_field(record, "e", "1e20");
    assert_field(record, "list", "[18446744073709551616,{\"in\":-18446744073709551617,\"s\":\"a\\\"b\"},7]");
    static const struct {
        const char *name;
        FieldKind kind;
    } kinds[] = {{"id", FIELD_DIGITS},    {"least", FIELD_INTEGER}, {"most", FIELD_INTEGER}, {"over", FIELD_DIGITS},
                 {"under", FIELD_DIGITS}, {"tweet", FIELD_INTEGER}, {"text", FIELD_TEXT},    {"x", FIELD_REAL}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(record_field(record, kinds[i].name, strlen(kinds[i].name)).kind, kinds[i].kind);
    }
    record_reader_close(reader);
    refused("r.jsonl", "{\"a\": 18446744073709551616, \"b\": }\n", 0, "line 1, column 34", "unexpected");
    refused("r.jsonl", "{18446744073709551616: 1}\n", 0, "line 1", "integer");
    refused("r.jsonl", "{\"a\": 018446744073709551616}\n", 0, "line 1", "");
    refused("r.jsonl", "{\"a\": 18446744073709551616, \"b\": 1e999}\n", 0, "line 1", "too big");
    refused("r.jsonl", "18446744073709551616\n", 0, "line 1", "18446744073709551616, expected an object");
}

static int order(const char *a, const char *b) {
    FieldValue x = {.kind = FIELD_CELL, .bytes = a, .length = strlen(a)};
    FieldValue y = {.kind = FIELD_CELL, .bytes = b, .length = strlen(b)};
    FieldValue first, second;
    assert_true(field_number(&first, &x));
    assert_true(field_number(&second, &y));
    int found = field_number_order(&first, &second);
    int back = field_number_order(&second, &first);
    assert_int_equal((found > 0) - (found < 0), (back < 0) - (back > 0));
    return (found > 0) - (found < 0);
}

/* Long integers beside the 32 characters that they may be marked with on the way, as they stand or as escapes: each
 * text stays as it is; with all of them there the record is refused. */
static void test_marks_in_texts(void **state) {
    for (int n = 0; n <= 32; n++) {
        TextBuffer line = TEXT_BUFFER_INIT, expected = TEXT_BUFFER_INIT;
        text_buffer_add(&line, "{\"t\": \"x");
        text_buffer_add(&expected, "x");
        for (int i = 0; i < n; i++) {
            text_buffer_printf(&line,
                               i % 3 == 0   ? "\xEF\xB7%c"
                               : i % 3 == 1 ? "\\ufd%02x"
                                            : "\\uFD%02X",
                               i % 3 == 0 ? 0x90 + i : 0xD0 + i);
            text_buffer_printf(&expected, "\xEF\xB7%c", 0x90 + i);
        }
        text_buffer_add(
            &line,
            "\", \"list\": [[7, 18446744073709551616], {\"d\": -18446744073709551617}], \"id\": 99999999999999999999}");
        RecordReader *reader = opened("marks.jsonl", line.data);
        const Record *record;
        limn_status status = record_reader_next(reader, &record);
        if (n == 32) {
            assert_refused(status, LIMN_FORMAT, "marks.jsonl: line 1, column", "too big");
        } else {
            assert_ok(status);
            assert_field(record, "t", expected.data);
            assert_field(record, "id", "99999999999999999999");
            assert_field(record, "list", "[[7,18446744073709551616],{\"d\":-18446744073709551617}]");
        }
        record_reader_close(reader);
        text_buffer_free(&line);
        text_buffer_free(&expected);
    }
    refused("r.jsonl", "{\"a\": [18446744073709551616, 28446744073709551616], \"b\": }\n", 0, "line 1, column 58",
            "unexpected");
}

/* Infinity, which no cell spells, is beyond every integer. */
static void test_infinity(void **state) {
    static const char *const integers[] = {"0", "-5", "9223372036854775807", "-123456789012345678901234567890",
                                           "123456789012345678901234567890"};
    const FieldValue more = {.kind = FIELD_REAL, .real = INFINITY}, less = {.kind = FIELD_REAL, .real = -INFINITY};
    const FieldValue one = {.kind = FIELD_REAL, .real = 0.5};
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        FieldValue cell = {.kind = FIELD_CELL, .bytes = integers[i], .length = strlen(integers[i])}, number;
        assert_true(field_number(&number, &cell));
        assert_true(field_number_order(&number, &more) < 0 && field_number_order(&more, &number) > 0);
        assert_true(field_number_order(&number, &less) > 0 && field_number_order(&less, &number) < 0);
    }
    assert_true(field_number_order(&more, &more) == 0 && field_number_order(&less, &more) < 0);
    assert_true(field_number_order(&one, &more) < 0 && field_number_order(&one, &less) > 0);
}

/* What is said of a record that lacks a field: the first twelve names that it has. */
static void test_lacking(void **state) {
    static const struct {
        const char *name, *text, *found;
    } cases[] = {
        {"a.jsonl", "{\"a\": 1, \"b c\": 2}\n", "line 1: the field 'x' is not there, found 'a', 'b c'"},
        {"a.jsonl", "\n{\"a\": 1}\n", "line 2: the field 'x' is not there, found 'a'"},
        {"a.jsonl", "{}\n", "the field 'x' is not there, found none"},
        {"a.csv", "id,text\n1,2\n", "line 2: the field 'x' is not there, found 'id', 'text'"},
        {"a.txt", "one\n", "line 1: the field 'x' is not there, found 'text'"},
        {"a.csv", "1,2,3,4,5,6,7,8,9,10,11,12\na,b,c,d,e,f,g,h,i,j,k,l\n",
         "found '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'"},
        {"a.csv", "1,2,3,4,5,6,7,8,9,10,11,12,13,14\na,b,c,d,e,f,g,h,i,j,k,l,m,n\n", "'11', '12', ..."},
        {"a.csv", "a23456789b23456789c23456789d23456789e23456789f23456789g23456789\n1\n",
         "found 'a23456789b23456789c23456789d23456789e23456789f23456789g23456'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RecordReader *reader = opened(cases[i].name, cases[i].text);
        assert_int_equal(record_lacks(next(reader), "set", "x"), LIMN_NOT_FOUND);
        const char *said = error_message(), *at = strstr(said, cases[i].found);
        if (strncmp(said, "set: line ", 10) != 0 || at == NULL || at[strlen(cases[i].found)] != '\0') {
            fail_msg("case %zu: %s", i, said);
        }
        record_reader_close(reader);
    }
}

/* Whole names, of the table or the object; else through the objects that the dots name. */
static void test_names(void **state) {
    RecordReader *reader = opened("a.csv", "id,i,idx\n1,2,3\n");
    const Record *record = next(reader);
    assert_field(record, "i", "2");
    assert_field(record, "id", "1");
    assert_field(record, "idx", "3");
    assert_int_equal(record_field(record, "d", 1).kind, FIELD_ABSENT);
    assert_int_equal(record_field(record, "idxy", 4).kind, FIELD_ABSENT);
    record_reader_close(reader);
    reader = opened("a.jsonl",
                    "{\"a.b\": {\"c\": 1}, \"a\": {\"b.d\": 2, \"b\": {\"e\": {\"f.g.h\": false}}}, \"t\": true}\n");
    record = next(reader);
    assert_field(record, "a.b.c", "1");
    assert_field(record, "a.b.d", "2");
    assert_field(record, "a.b", "{\"c\":1}");
    assert_field(record, "a.b.e.f.g.h", "false");
    assert_field(record, "t", "true");
    assert_int_equal(record_field(record, "a.b.e.f.g.h", 11).kind, FIELD_BOOL);
    static const char *const none[] = {"a.b.e.f", "b", "a.", ".a", "a.b.e.f.g.h.i", "t.u", "."};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(record_field(record, none[i], strlen(none[i])).kind, FIELD_ABSENT);
    }
    record_reader_close(reader);
}

/* As Python compares them, which is exact between integers and floats. */
static void test_order_of_numbers(void **state) {
    static const struct {
        const char *a, *b;
        int order;
    } cases[] = {{"1", "2", -1},
                 {"-1", "1", -1},
                 {"9007199254740993", "9007199254740992.0", 1},
                 {"9007199254740993", "9007199254740994.0", -1},
                 {"3", "3.0", 0},
                 {"-3", "-3.5", 1},
                 {"3", "3.5", -1},
                 {"0", "-0.0", 0},
                 {"0", "-0.5", 1},
                 {"9223372036854775807", "9223372036854775808", -1},
                 {"9223372036854775807", "9223372036854775808.0", -1},
                 {"9223372036854775808", "9223372036854775808.0", 0},
                 {"-9223372036854775808", "-9223372036854775808.0", 0},
                 {"-9223372036854775809", "-9223372036854775808", -1},
                 {"-9223372036854775809", "1", -1},
                 {"18446744073709551616", "18446744073709551615", 1},
                 {"18446744073709551616", "18446744073709551616.0", 0},
                 {"18446744073709551617", "18446744073709551616.0", 1},
                 {"99999999999999999999", "1e20", -1},
                 {"100000000000000000000", "1e20", 0},
                 {"1.5", "2.5", -1},
                 {"2.5", "2.5", 0},
                 {"-1.5", "0.5", -1},
                 {"12", "9", 1},
                 {"-12", "-9", -1},
                 {"123456789012345678901", "99999999999999999999", 1},
                 {"-123456789012345678901", "-99999999999999999999", -1},
                 {"-123456789012345678901", "-123456789012345678902", 1},
                 {"1e300", "18446744073709551616", 1},
                 {"-1e300", "-18446744073709551616", -1},
                 {"123456789012345678901234567890", "123456789012345678901234567891", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (order(cases[i].a, cases[i].b) != cases[i].order) {
            fail_msg("%s and %s: another order than %d", cases[i].a, cases[i].b, cases[i].order);
        }
    }
}

static void test_numbers_of_cells(void **state) {
    static const struct {
        const char *text;
        FieldKind kind;
    } cases[] = {
        {"12", FIELD_INTEGER}, {"-0.5", FIELD_REAL}, {"1e3", FIELD_REAL},  {"007", FIELD_CELL},
        {"", FIELD_CELL},      {"1 ", FIELD_CELL},   {"0x10", FIELD_CELL}, {"9223372036854775807", FIELD_INTEGER},
        {"-", FIELD_CELL},     {"nan", FIELD_CELL},  {"1,5", FIELD_CELL},  {"9223372036854775808", FIELD_DIGITS},
        {"1e999", FIELD_CELL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FieldValue cell = {.kind = FIELD_CELL, .bytes = cases[i].text, .length = strlen(cases[i].text)};
        FieldValue number;
        bool is = field_number(&number, &cell);
        if (is != (cases[i].kind != FIELD_CELL) || number.kind != cases[i].kind) {
            fail_msg("'%s' was read as kind %d", cases[i].text, (int)number.kind);
        }
        cell.kind = FIELD_TEXT; /* of JSON: a text stays one */
        assert_false(field_number(&number, &cell));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_long_integers),   cmocka_unit_test(test_order_of_numbers),
                                       cmocka_unit_test(test_marks_in_texts),  cmocka_unit_test(test_infinity),
                                       cmocka_unit_test(test_lacking),         cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_numbers_of_cells)};
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
