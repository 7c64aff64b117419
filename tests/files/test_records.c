/* Records of JSONL, CSV, TSV and text: what is read, and what is refused with the number of its line. */
#include "files/records.h"

#include <math.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "files/helpers.h"

static const char *file_of(const char *name, const char *bytes, size_t length) {
    const char *path = scratch_path(name);
    write_file(path, bytes, length);
    return path;
}

static RecordReader *opened(const char *name, const char *text) {
    RecordReader *reader;
    assert_ok(record_reader_open(&reader, file_of(name, text, strlen(text)), RECORDS_AUTO, NULL));
    return reader;
}

static const Record *next(RecordReader *reader) {
    const Record *record;
    assert_ok(record_reader_next(reader, &record));
    return record;
}

static void assert_field(const Record *record, const char *name, const char *expected) {
    assert_non_null(record);
    FieldValue value = record_field(record, name, strlen(name));
    TextBuffer text = TEXT_BUFFER_INIT;
    assert_ok(field_text(&text, &value));
    assert_int_equal(text.length, strlen(expected));
    assert_string_equal(text.data != NULL ? text.data : "", expected);
    text_buffer_free(&text);
}

/* Reads to the first failure; the records before it count. */
static void refused_after(const char *name, const char *bytes, size_t length, int good, const char *first,
                          const char *second) {
    RecordReader *reader = NULL;
    const Record *record = NULL;
    limn_status status = record_reader_open(&reader, file_of(name, bytes, length), RECORDS_AUTO, NULL);
    int read = 0;
    while (status == LIMN_OK && (status = record_reader_next(reader, &record)) == LIMN_OK && record != NULL) {
        read++;
    }
    assert_refused(status, LIMN_FORMAT, first, second);
    assert_int_equal(read, good);
    record_reader_close(reader);
}

#define refused(name, text, good, first, second) refused_after(name, text, sizeof text - 1, good, first, second)

static void test_csv(void **state) {
    RecordReader *reader = opened("a.csv", "\xEF\xBB\xBFid,text,label\r\n1,\"one, \"\"two\"\"\r\nthree\",yes\r\n"
                                           "\r\n2,,\n\"3\",x,\"\"");
    size_t n;
    const RecordCell *names = record_reader_names(reader, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(names[0].bytes, "id", 2);
    const Record *record = next(reader);
    assert_field(record, "id", "1");
    assert_field(record, "text", "one, \"two\"\r\nthree");
    assert_field(record, "label", "yes");
    assert_int_equal(record->line, 2);
    assert_int_equal(record_field(record, "none", 4).kind, FIELD_ABSENT);
    record = next(reader);
    assert_int_equal(record->line, 5);
    assert_int_equal(record->number, 1);
    assert_field(record, "text", "");
    assert_field(record, "label", "");
    record = next(reader);
    assert_field(record, "id", "3");
    assert_field(record, "label", "");
    assert_int_equal(record->end, record_reader_size(reader));
    assert_null(next(reader));
    assert_null(next(reader));
    record_reader_close(reader);
    /* one column: an empty line is an empty field */
    reader = opened("one.csv", "text\na\n\nb\n");
    assert_field(next(reader), "text", "a");
    assert_field(next(reader), "text", "");
    assert_field(next(reader), "text", "b");
    assert_null(next(reader));
    record_reader_close(reader);
    reader = opened("b.TSV", "a\tb,c\n\"x\ty\"\tz\n");
    record = next(reader);
    assert_field(record, "a", "x\ty");
    assert_field(record, "b,c", "z");
    record_reader_close(reader);
}

static void test_csv_refusals(void **state) {
    refused("r.csv", "a,b\n1,2\n\"x\ny\",2\n1,2,3\n", 2, "line 5: 3 fields", "names 2");
    refused("r.csv", "a,b\n1\n", 0, "line 2: 1 fields", "names 2");
    refused("r.csv", "a,b\n1,2\n\"x\n\n,2\n", 1, "line 3", "never ends");
    refused("r.csv", "a,b\n1,5\" pipe\n", 0, "line 2", "quote inside");
    refused("r.csv", "a,b\n\"p\nq\"r,5\n", 0, "line 3", "closing quote");
    refused("r.csv", "a,b\nx\ry,5\n", 0, "line 2", "carriage return");
    refused("r.csv", "a,b,a\n1,2,3\n", 0, "line 1: fields 1 and 3", "'a'");
    refused("r.csv", "", 0, "line 1", "names");
    refused("r.csv", "a,b\n1,\"x\n\0y\"\n", 0, "line 3", "NUL");
    refused("r.csv", "a,b\n1,2\n\"x\n\xC4\xE3\",2\n", 1, "line 4", "0xC4 is not UTF-8");
    refused("r.csv",
            "\xFF\xFE"
            "a\0,\0",
            0, "UTF-16", "expected UTF-8");
    refused("r.txt", "fine\ncut \xE4\xBD", 1, "line 2", "0xE4 is not UTF-8");
    refused("r.txt", "fine\n\xED\xA0\x80\n", 1, "line 2", "not UTF-8"); /* half a surrogate pair */
}

static void test_jsonl(void **state) {
    RecordReader *reader = opened(
        "a.jsonl", "\xEF\xBB\xBF{\"id\": 9007199254740993, \"text\": \"a\\u0000b\\n\", \"x\": 0.1, \"ok\": true}\r\n\n"
                   "  \n{\"user\": {\"name\": {\"first\": \"A\"}}, \"user.age\": 3, \"n\": null, \"l\": [1, \"b\"]}\n"
                   "{\"big\": 123456789012345678901234567890, \"x\": -1e300}");
    size_t n;
    record_reader_names(reader, &n);
    assert_int_equal(n, 0);
    const Record *record = next(reader);
    assert_field(record, "id", "9007199254740993");
    assert_field(record, "x", "0.1");
    assert_field(record, "ok", "true");
    FieldValue value = record_field(record, "text", 4);
    assert_int_equal(value.kind, FIELD_TEXT);
    assert_int_equal(value.length, 4);
    assert_memory_equal(value.bytes, "a\0b\n", 4);
    record = next(reader);
    assert_int_equal(record->line, 4);
    assert_field(record, "user.name.first", "A");
    assert_field(record, "user.age", "3");
    assert_field(record, "l", "[1,\"b\"]");
    assert_field(record, "n", "");
    assert_int_equal(record_field(record, "n", 1).kind, FIELD_NULL);
    assert_int_equal(record_field(record, "user.none", 9).kind, FIELD_ABSENT);
    record = next(reader);
    value = record_field(record, "big", 3);
    assert_int_equal(value.kind, FIELD_DIGITS);
    assert_field(record, "big", "123456789012345678901234567890");
    assert_field(record, "x", "-1e300");
    assert_null(next(reader));
    record_reader_close(reader);
}

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

static void test_json_array(void **state) {
    RecordReader *reader = opened(
        "a.json",
        "\xEF\xBB\xBF\n[ {\"id\": 1, \"text\": \"] , } \\\" [\"},\n\n{\"l\": [[1], {\"a\": {}}]}\t,{\n\"id\": 3}\n]\n");
    assert_int_equal(record_reader_format(reader), RECORDS_JSON);
    const Record *record = next(reader);
    assert_int_equal(record->line, 2);
    assert_field(record, "text", "] , } \" [");
    record = next(reader);
    assert_int_equal(record->line, 4);
    assert_int_equal(record->number, 1);
    assert_field(record, "l", "[[1],{\"a\":{}}]");
    record = next(reader);
    assert_int_equal(record->line, 4);
    assert_field(record, "id", "3");
    assert_true(record->end <= record_reader_size(reader));
    assert_null(next(reader));
    assert_null(next(reader));
    record_reader_close(reader);
    reader = opened("none.json", " [ ] ");
    assert_null(next(reader));
    record_reader_close(reader);
    reader = opened("lines.json", "\n{\"a\": 1}\n{\"a\": 2}\n"); /* as it was read before arrays were */
    assert_int_equal(record_reader_format(reader), RECORDS_JSONL);
    assert_int_equal(next(reader)->line, 2);
    assert_field(next(reader), "a", "2");
    record_reader_close(reader);
    refused("r.json", "[{\"a\": 1},\n{\"a\": }]", 1, "line 2, column 7", "unexpected");
    refused("r.json", "[{\"a\": 1},\n3]", 1, "line 2", "the integer 3, expected an object");
    refused("r.json", "[{\"a\": 1}\n{\"a\": 2}]", 1, "line 2: found '{'", "a comma or ]");
    refused("r.json", "[{\"a\": 1},]", 1, "line 1: found ']'", "expected a record");
    refused("r.json", "[,{\"a\": 1}]", 0, "line 1: found ','", "expected a record");
    refused("r.json", "[{\"a\": 1}", 1, "found the end", "a comma or ]");
    refused("r.json", "[{\"a\": \"1\n}", 0, "line 1: found the end", "begins here");
    refused("r.json", "[{\"a\": 1}] []", 1, "found '['", "nothing behind the array");
}

/* Far more than a window holds, so that it moves and grows: nothing is lost. */
static void test_long_arrays(void **state) {
    const char *path = scratch_path("many.json");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    enum { COUNT = 30000 };
    for (int i = 0; i < COUNT; i++) {
        fprintf(file, "%s{\"n\": %d, \"text\": \"%.*s\"}", i > 0 ? ",\n" : "[", i, i % 61,
                "a text that is cut at another place in each record, [], {}, of it");
    }
    fprintf(file, "]");
    fclose(file);
    RecordReader *reader;
    assert_ok(record_reader_open(&reader, path, RECORDS_AUTO, NULL));
    for (int i = 0; i < COUNT; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        const Record *record = next(reader);
        assert_field(record, "n", number);
        assert_int_equal(record_field(record, "text", 4).length, (size_t)(i % 61));
        assert_int_equal(record->line, i + 1);
    }
    assert_null(next(reader));
    record_reader_close(reader);
}

/* Which records are read when bad ones are passed over, as digits; '-' for each bad one, '!' at an end that is lost. */
static void assert_gone_on(const char *name, const char *text, const char *expected) {
    char found[32] = "";
    size_t n = 0;
    RecordReader *reader = opened(name, text);
    for (;;) {
        const Record *record;
        limn_status status = record_reader_next(reader, &record);
        const Record *bad = status == LIMN_OK ? NULL : record_reader_bad(reader);
        if (status == LIMN_OK && record == NULL) {
            break;
        }
        found[n++] = record != NULL ? (char)('0' + record->number) : bad != NULL ? '-' : '!';
        found[n] = '\0';
        if (record == NULL && bad == NULL) {
            break;
        }
    }
    record_reader_close(reader);
    assert_string_equal(found, expected);
}

static void test_bad_records_can_be_passed_over(void **state) {
    assert_gone_on("b.jsonl", "{\"a\": 1}\n{\n\n3\n{\"a\": 2}\n", "0--3");
    assert_gone_on("b.txt", "one\n\xE4\xBD\ntwo\n", "0-2");
    assert_gone_on("b.csv", "a,b\n1,2\n1\n1,2,3\n3,4\n", "0--3");
    assert_gone_on("b.csv", "a,b\n1,2\n1,5\" pipe\n3,4\n", "0!"); /* which quotes open and which close? */
    assert_gone_on("b.csv", "a,b\n1,2\n1,\"5\n3,4\n", "0!");
    assert_gone_on("b.json", "[{\"a\": 1}, 2, {\"a\": }, {\"a\": 3}]", "0--3");
    assert_gone_on("b.json", "[{\"a\": 1} {\"a\": 2}]", "0!");
}

/* What is alike in all formats: characters of several bytes, blank lines, quotes where they mean nothing. */
static void test_lines_and_characters(void **state) {
    RecordReader *reader = opened("a.jsonl", " \t\r\n\t\n{\"a\": \"é\"}\n  \n\r\n{\"a\": \"中\"}");
    const Record *record = next(reader);
    assert_field(record, "a", "é");
    assert_int_equal(record->line, 3);
    record = next(reader);
    assert_field(record, "a", "中");
    assert_int_equal(record->line, 6);
    assert_null(next(reader));
    record_reader_close(reader);
    reader = opened("a.txt", "he said \"é\nno,中\" \n");
    record = next(reader);
    assert_field(record, "text", "he said \"é");
    record = next(reader);
    assert_field(record, "text", "no,中\" ");
    assert_int_equal(record->line, 2);
    assert_null(next(reader));
    record_reader_close(reader);
    reader = opened("a.tsv", "é\t中\nx,y\t\"a\nb\"\n");
    record = next(reader);
    assert_field(record, "é", "x,y");
    assert_field(record, "中", "a\nb");
    record_reader_close(reader);
    refused("a.txt", "é中\n中\0\n", 1, "a.txt", "line 2: a NUL byte");
    refused("a.csv", "é,b\n中,\"a\n\xFF\"\n", 0, "a.csv", "line 3: the byte 0xFF is not UTF-8");
}

/* As many fields as may be, and one more. */
static void test_many_fields(void **state) {
    for (int n = RECORD_FIELDS_MAX; n <= RECORD_FIELDS_MAX + 1; n++) {
        TextBuffer text = TEXT_BUFFER_INIT;
        for (int i = 0; i < n; i++) {
            text_buffer_printf(&text, "%s%d", i > 0 ? "," : "", i);
        }
        text_buffer_add(&text, "\n");
        for (int i = 0; i < n; i++) {
            text_buffer_printf(&text, "%s%d", i > 0 ? "," : "", i % 1000);
        }
        RecordReader *reader = NULL;
        limn_status status =
            record_reader_open(&reader, file_of("wide.csv", text.data, text.length), RECORDS_AUTO, NULL);
        if (n > RECORD_FIELDS_MAX) {
            assert_refused(status, LIMN_FORMAT, "wide.csv: line 1", "more than 65536 fields");
        } else {
            assert_ok(status);
            const Record *record = next(reader);
            assert_field(record, "65535", "535");
            assert_field(record, "0", "0");
            assert_int_equal(record->n_cells, n);
        }
        record_reader_close(reader);
        text_buffer_free(&text);
    }
}

static void test_jsonl_refusals(void **state) {
    refused("r.jsonl", "{}\n\n[1]\n", 1, "line 3", "an array, expected an object");
    refused("r.jsonl", "{}\n{\"a\": }\n", 1, "line 2, column 7", "unexpected");
    refused("r.jsonl", "{}\n{\"a\": 1} {\"b\": 2}\n", 1, "line 2", "end of file expected");
    refused("r.jsonl", "{\"a\":\n1}\n", 0, "line 1", "near end of file");
    refused("r.jsonl", "{\"a\": \"\xFF\"}\n", 0, "line 1", "unable to decode byte 0xff");
    refused("r.jsonl", "{\"a\": 1e999}\n", 0, "line 1", "overflow");
    char deep[9000];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    refused_after("r.jsonl", deep, sizeof deep, 0, "line 1", "depth");
}

static void test_text(void **state) {
    RecordReader *reader = opened("a.txt", "one, \"two\"\r\n\n three\n");
    assert_field(next(reader), "text", "one, \"two\"");
    const Record *record = next(reader);
    assert_field(record, "text", " three");
    assert_int_equal(record->line, 3);
    assert_int_equal(record->number, 1);
    assert_null(next(reader));
    record_reader_close(reader);
    reader = opened("empty.txt", "");
    assert_null(next(reader));
    record_reader_close(reader);
    assert_refused(record_reader_open(&reader, scratch_path("a.parquet"), RECORDS_AUTO, NULL), LIMN_USAGE, "a.parquet",
                   ".jsonl");
    assert_refused(record_reader_open(&reader, scratch_path("none.csv"), RECORDS_AUTO, NULL), LIMN_NOT_FOUND,
                   "none.csv");
    assert_refused(record_reader_open(&reader, "/tmp", RECORDS_CSV, NULL), LIMN_FORMAT, "a folder");
}

/* A record is bounded, and exactly at its bound it is read; a window that must grow and move loses nothing. */
static void test_long_records(void **state) {
    static char text[3000];
    RecordReader *reader;
    for (int extra = 0; extra < 2; extra++) {
        memset(text, 'x', sizeof text);
        size_t length = (size_t)(1000 + extra);
        text[length] = '\r';
        text[length + 1] = '\n';
        text[length + 2] = 'y';
        const char *path = file_of("long.txt", text, length + 3);
        assert_ok(record_reader_open(&reader, path, RECORDS_TEXT, &(RecordLimits){.bytes_max = 1000}));
        if (extra == 0) {
            assert_int_equal(record_field(next(reader), "text", 4).length, 1000);
            assert_field(next(reader), "text", "y");
        } else {
            const Record *record;
            assert_refused(record_reader_next(reader, &record), LIMN_FORMAT, "line 1", "longer than 1000 bytes");
        }
        record_reader_close(reader);
    }
    /* no line end at all */
    assert_ok(
        record_reader_open(&reader, file_of("wide.csv", "a\n\"b", 4), RECORDS_CSV, &(RecordLimits){.bytes_max = 100}));
    record_reader_close(reader);
    memset(text, '"', sizeof text);
    memcpy(text, "a\n", 2);
    assert_ok(
        record_reader_open(&reader, file_of("wide.csv", text, 2001), RECORDS_CSV, &(RecordLimits){.bytes_max = 1000}));
    const Record *record;
    assert_refused(record_reader_next(reader, &record), LIMN_FORMAT, "line 2", "longer than 1000 bytes");
    record_reader_close(reader);
}

static void test_many_records(void **state) {
    const char *path = scratch_path("many.csv");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("n,text\n", file);
    enum { COUNT = 40000 };
    for (int i = 0; i < COUNT; i++) {
        fprintf(file, "%d,\"%.*s\n\"\"\"\r\n", i, i % 97,
                "a line of text that is cut at another place in each record "
                "and goes on a while so that windows move");
    }
    fclose(file);
    RecordReader *reader;
    assert_ok(record_reader_open(&reader, path, RECORDS_AUTO, NULL));
    for (int i = 0; i < COUNT; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        const Record *record = next(reader);
        assert_field(record, "n", number);
        FieldValue text = record_field(record, "text", 4);
        assert_int_equal(text.length, (size_t)(i % 97) + 2);
        assert_int_equal(text.bytes[text.length - 1], '"');
        assert_int_equal(record->line, 2 + 2 * i);
    }
    assert_null(next(reader));
    record_reader_close(reader);
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

static void on_alarm(int number) {
    (void)number;
}

static bool stop_at_third(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    return ++*(int *)context < 3;
}

/* A pipe that nobody writes to: signals end the wait when the caller says so, and not before. */
static void test_stopped_while_waiting(void **state) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    struct sigaction action = {.sa_handler = on_alarm}, before;
    sigaction(SIGALRM, &action, &before);
    struct itimerval often = {{0, 10000}, {0, 10000}};
    setitimer(ITIMER_REAL, &often, NULL);
    int asked = 0;
    Progress progress = {stop_at_third, &asked};
    RecordReader *reader;
    limn_status status = record_reader_open(&reader, path, RECORDS_JSONL, &(RecordLimits){.progress = &progress});
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    sigaction(SIGALRM, &before, NULL);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(status, LIMN_CANCELLED);
    assert_int_equal(asked, 3);
    assert_null(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_refusals),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_json_array),
        cmocka_unit_test(test_long_arrays),
        cmocka_unit_test(test_bad_records_can_be_passed_over),
        cmocka_unit_test(test_long_integers),
        cmocka_unit_test(test_order_of_numbers),
        cmocka_unit_test(test_marks_in_texts),
        cmocka_unit_test(test_infinity),
        cmocka_unit_test(test_lacking),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lines_and_characters),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_jsonl_refusals),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_long_records),
        cmocka_unit_test(test_many_records),
        cmocka_unit_test(test_numbers_of_cells),
        cmocka_unit_test(test_stopped_while_waiting),
    };
    return cmocka_run_group_tests_name("records", tests, scratch_make, scratch_remove);
}
