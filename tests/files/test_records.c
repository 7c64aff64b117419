/* Records of JSONL, CSV, TSV and text: what is read, and what is refused with the number of its line. */
#include "files/records.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "files/record_texts.h"

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
    reader = opened("a.txt", "！a\n"); /* begins like the mark of UTF-8, and is none */
    assert_field(next(reader), "text", "！a");
    record_reader_close(reader);
    refused("a.txt",
            "\xFF"
            "A\n",
            0, "a.txt", "line 1: the byte 0xFF is not UTF-8"); /* nor that of UTF-16 */
    refused("a.txt",
            "\xFE"
            "A\n",
            0, "a.txt", "line 1: the byte 0xFE is not UTF-8");
    refused("a.txt",
            "\xFE\xFF"
            "A",
            0, "a.txt", "UTF-16");
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
        cmocka_unit_test(test_lines_and_characters),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_jsonl_refusals),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_long_records),
        cmocka_unit_test(test_many_records),
        cmocka_unit_test(test_stopped_while_waiting),
    };
    return cmocka_run_group_tests_name("records", tests, scratch_make, scratch_remove);
}
