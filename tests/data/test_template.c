/* Templates: their parts, what they make of a record, and what is refused. */
#include "data/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
    snprintf(path, sizeof path, "/tmp/limn-template-%d%s", (int)getpid(), ending);
    must(file_write_atomic(path, text, strlen(text)));
    return path;
}

/* The parts of a template, fields in brackets; or what is said of it. Of the text only its length is read. */
static void templates_are_cut_into_parts(void **state) {
    static const struct {
        const char *text;
        size_t length; /* 0: all */
        const char *parts;
        const char *refused;
    } cases[] = {
        {"{a}", 0, "[a]", NULL},
        {"{a}{b.c}", 0, "[a][b.c]", NULL},
        {"x{a}y{b}", 0, "x|[a]y|[b]", NULL},
        {"{a}{{", 0, "[a]{|", NULL},
        {"}}{a}}}", 0, "}|[a]}|", NULL},
        {"{{{a}}}", 0, "{|[a]}|", NULL},
        {"\\", 0, "\\|", NULL},
        {"a\\tb\\", 0, "a\tb\\|", NULL},
        {"a\\n", 2, "a\\|", NULL},
        {"\\\\n{a}", 0, "\\n|[a]", NULL},
        {"", 0, "", NULL},
        {"x", 0, "x|", NULL},
        {"ab{", 0, NULL, "character 3: a { that no } closes (a brace itself is written {{ or }})"},
        {"ab{c", 0, NULL, "character 3: a { that no } closes"},
        {"a{{", 2, NULL, "character 2: a { that no } closes"},
        {"a{b}", 3, NULL, "character 2: a { that no } closes"},
        {"a{}", 0, NULL, "character 2: {} names no field (a brace itself is written {{ or }})"},
        {"{a}}", 0, NULL, "character 4: a } that no { opens (a brace itself is written {{ or }})"},
        {"a}}", 2, NULL, "character 2: a } that no { opens"},
        {"}", 0, NULL, "character 1: a } that no { opens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Arena arena;
        Template made;
        char parts[64] = "";
        size_t fields = 0;
        arena_init(&arena);
        limn_status status =
            template_parse(&made, cases[i].text, cases[i].length > 0 ? cases[i].length : strlen(cases[i].text), &arena);
        for (size_t k = 0; status == LIMN_OK && k < made.n; k++) {
            const TemplatePart *part = &made.parts[k];
            size_t n = strlen(parts);
            snprintf(parts + n, sizeof parts - n, part->is_field ? "[%s]" : "%s|", part->bytes);
            assert_int_equal(part->length, strlen(part->bytes));
            fields += part->is_field;
        }
        if (cases[i].parts == NULL ? status != LIMN_USAGE || strstr(error_message(), cases[i].refused) == NULL
                                   : status != LIMN_OK || strcmp(parts, cases[i].parts) != 0) {
            fail_msg("%s: '%s' %s", cases[i].text, parts, status == LIMN_OK ? "" : error_message());
        }
        if (status == LIMN_OK) {
            assert_int_equal(template_fields(&made), fields);
            assert_false(made.alone);
        }
        arena_free(&arena);
    }
}

static limn_status filled(TextBuffer *out, const char *text, const Record *record) {
    Arena arena;
    Template made;
    arena_init(&arena);
    text_buffer_clear(out);
    limn_status status = template_parse(&made, text, strlen(text), &arena);
    if (status == LIMN_OK) {
        status = template_fill(out, NULL, &made, "file.jsonl", record);
    }
    arena_free(&arena);
    return status;
}

static void templates(void **state) {
    const char *path = scratch(
        ".jsonl", "{\"text\": \"a {b}\", \"n\": 2, \"u\": {\"x\": 0.5}, \"null\": null, \"e\": \"\", \"l\": [1]}\n");
    RecordReader *reader;
    const Record *record;
    must(record_reader_open(&reader, path, RECORDS_AUTO, NULL));
    must(record_reader_next(reader, &record));
    TextBuffer out = TEXT_BUFFER_INIT;
    must(filled(&out, "Tweet: {text}\\nAnswer{{}}:\\t{n}{u.x}{e}\\\\n \\d", record));
    assert_string_equal(out.data, "Tweet: a {b}\nAnswer{}:\t20.5\\n \\d");
    static const struct {
        const char *text, *word;
        limn_status status;
    } cases[] = {{"{text", "character 1", LIMN_USAGE},
                 {"a}", "character 2", LIMN_USAGE},
                 {"x{}", "names no field", LIMN_USAGE},
                 {"{txt}", "line 1: the field 'txt' is not there, found '", LIMN_NOT_FOUND},
                 {"{null}", "file.jsonl: line 1: the field 'null' is null", LIMN_NOT_FOUND}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        limn_status status = filled(&out, cases[i].text, record);
        if (status != cases[i].status || strstr(error_message(), cases[i].word) == NULL) {
            fail_msg("%s: %d %s", cases[i].text, (int)status, error_message());
        }
    }
    Arena arena;
    Template field;
    arena_init(&arena);
    must(template_of_field(&field, "u", 1, &arena));
    assert_int_equal(template_fill(&out, NULL, &field, "file.jsonl", record), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "file.jsonl: line 1: the field 'u' is an object, expected a text"));
    must(template_of_field(&field, "l", 1, &arena));
    assert_int_equal(template_fill(&out, NULL, &field, "file.jsonl", record), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "'l' is a list"));
    text_buffer_clear(&out);
    must(template_of_field(&field, "n", 1, &arena));
    assert_true(field.alone);
    assert_int_equal(template_fields(&field), 1);
    must(template_fill(&out, NULL, &field, "file.jsonl", record));
    must(template_of_field(&field, "text", 4, &arena));
    must(template_fill(&out, NULL, &field, "file.jsonl", record)); /* behind what is there */
    assert_string_equal(out.data, "2a {b}");
    must(template_parse(&field, "x{n}y{e}{text}", 14, &arena));
    size_t edges[6];
    must(template_fill(&out, edges, &field, "file.jsonl", record));
    assert_string_equal(out.data, "2a {b}x2ya {b}");
    static const size_t expected[6] = {7, 8, 9, 9, 9, 14};
    assert_memory_equal(edges, expected, sizeof expected);
    arena_free(&arena);
    must(filled(&out, "{l} of {u}", record)); /* in a template they are JSON */
    assert_string_equal(out.data, "[1] of {\"x\":0.5}");
    text_buffer_free(&out);
    record_reader_close(reader);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(templates_are_cut_into_parts), cmocka_unit_test(templates)};
    return cmocka_run_group_tests_name("templates", tests, NULL, NULL);
}
