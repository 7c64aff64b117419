/* Where bytes come from, what is refused and where, limits, files of messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "chat/chat.h"

#include <cmocka.h> /* last: its fail() is not ours */

static const char three[] =
    "[{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"what <x>?\"},"
    " {\"role\": \"assistant\", \"content\": \"yes\"}]";

static json_t *parse_json(const char *text) {
    json_t *json;
    assert_int_equal(chat_json_load(&json, "test", text, strlen(text)), LIMN_OK);
    return json;
}

static limn_status render_with(ChatText *text, const char *source, const char *messages, const ChatInput *like) {
    ChatTemplate *parsed = NULL;
    json_t *json = parse_json(messages);
    ChatInput input = like != NULL ? *like : (ChatInput){.limits = CHAT_LIMITS_INIT, .date = {2024, 7, 26, 0, 0, 0}};
    input.messages = json;
    memset(text, 0, sizeof *text);
    limn_status status = chat_template_parse(&parsed, "t", source, strlen(source));
    if (status == LIMN_OK) {
        status = chat_template_render(text, parsed, &input);
    }
    chat_template_free(parsed);
    json_decref(json);
    return status;
}

/* One letter for each byte: the message's number, capitals of it when content; '.' template, '>' the answer's begin. */
static char *map_of(const ChatText *text) {
    char *map = calloc(text->length + 1, 1);
    assert_non_null(map);
    for (size_t i = 0; i < text->length; i++) {
        const ChatSpan *span = chat_text_span(text, i);
        assert_non_null(span);
        map[i] = (char)(span->is_prompt ? '>' : span->message < 0 ? '.' : (span->content ? 'A' : 'a') + span->message);
    }
    assert_null(chat_text_span(text, text->length));
    return map;
}

static void check_map(const char *source, const char *expected_text, const char *expected_map, bool prompt) {
    ChatText text;
    const ChatInput input = {.limits = CHAT_LIMITS_INIT, .generation_prompt = prompt};
    if (render_with(&text, source, three, &input) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    char *map = map_of(&text);
    assert_string_equal(text.text, expected_text);
    assert_string_equal(map, expected_map);
    free(map);
    chat_text_free(&text);
}

static void test_origin(void **state) {
    check_map(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}|{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
        "<system>S|<user>what <x>?|<assistant>yes|<a>", "aaaaaaaaAabbbbbbBBBBBBBBBbcccccccccccCCCc>>>", true);
    check_map("{% for m in messages %}{{ '<' + m['content'] + '>' }}{% endfor %}", "<S><what <x>?><yes>",
              "aAabBBBBBBBBBbcCCCc", false);
    /* outside of a loop: what a piece quotes; else the template */
    check_map("begin {{ '[' + messages[0].content + ']' }} end", "begin [S] end", "......aAa....", false);
    /* through filters, methods, macros, blocks and namespaces */
    check_map("{% macro w(x) %}({{ x }}){% endmacro %}{{ w(messages[1].content | upper | replace('<X>', '')) }}",
              "(WHAT ?)", "bBBBBBBb", false);
    check_map("{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ m.content[0] %}{% endfor %}"
              "{{ ns.t }}",
              "Swy", "ABC", false);
    check_map("{{ messages[1].content.split(' ')[1] }}{{ messages | map(attribute='content') | join(',') }}",
              "<x>?S,what <x>?,yes", "BBBBAaBBBBBBBBBaCCC", false);
    check_map("{{ messages[2] | tojson }}", "{\"role\": \"assistant\", \"content\": \"yes\"}",
              "CCCCCCCCCcccccccccccCCCCCCCCCCCCCCCCCCC", false);
}

static void test_generation(void **state) {
    ChatText text;
    assert_int_equal(render_with(&text,
                                 "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}"
                                 "{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
                                 three, NULL),
                     LIMN_OK);
    assert_string_equal(text.text, "system:Suser:what <x>?assistant:yes!");
    for (size_t i = 0; i < text.length; i++) {
        assert_int_equal(chat_text_span(&text, i)->generation, i >= text.length - 4);
    }
    chat_text_free(&text);
}

/* A scope of many names: room grows with them. */
static void test_many_names(void **state) {
    char source[4096] = "";
    size_t n = 0;
    for (int i = 0; i < 80; i++) {
        n += (size_t)snprintf(source + n, sizeof source - n, "{%% set a%d = %d %%}", i, i);
    }
    snprintf(source + n, sizeof source - n, "{%% set a0 = 7 %%}{{ a0 + a1 + a4 + a79 }}");
    ChatText text;
    if (render_with(&text, source, three, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    assert_string_equal(text.text, "91");
    chat_text_free(&text);
}

static void test_refusals(void **state) {
    static const struct {
        const char *source;
        limn_status status;
        const char *message;
    } cases[] = {
        {"a\n  {{ 1 + }}", LIMN_FORMAT, "t: line 2, column 10: found '}}', expected an expression"},
        {"é{% include 'x' %}", LIMN_UNSUPPORTED, "t: line 1, column 5: the tag 'include' is not implemented"},
        {"{% frobnicate %}", LIMN_FORMAT, "t: line 1, column 4: there is no tag 'frobnicate' here"},
        {"{% frobnicate123456789012345678901234567890123456789 %}", LIMN_FORMAT,
         "t: line 1, column 4: there is no tag 'frobnicate123456789012345678901234567890' here"}, /* 40 of them */
        {"{{ 'a' | groupby }}", LIMN_UNSUPPORTED, "t: line 1, column 10: the filter 'groupby' is not implemented"},
        {"{{ 'a' | nothing }}", LIMN_FORMAT, "t: line 1, column 10: there is no filter 'nothing'"},
        {"{{ 1 is strange }}", LIMN_FORMAT, "t: line 1, column 9: there is no test 'strange'"},
        {"{% if true %}", LIMN_FORMAT, "t: line 1, column 14: found the end of the template, expected elif"},
        {"{{ cycler(1) }}", LIMN_UNSUPPORTED, "t: line 1, column 4: the function 'cycler' is not implemented"},
        {"{{ raise_exception('bad ' ~ 7) }}", LIMN_USAGE,
         "t: line 1, column 19: the template refuses these messages: bad 7"},
        {"{{ nobody.knows }}", LIMN_FORMAT, "t: line 1, column 10: 'nobody' is undefined"},
        {"{{ messages.append(1) }}", LIMN_FORMAT,
         "t: line 1, column 19: access to attribute 'append' of 'list' object is unsafe."},
        {"{{ 9223372036854775807 + 1 }}", LIMN_UNSUPPORTED,
         "t: line 1, column 24: integers beyond 64 bits are not implemented"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ChatText text;
        assert_int_equal(render_with(&text, cases[i].source, three, NULL), cases[i].status);
        assert_string_equal(error_message(), cases[i].message);
        assert_null(text.text);
    }
}

/* What has more than one character for its other case, or one that hangs on its neighbours, is refused by name; what
 * stands beside it in Unicode is changed as Python changes it. */
static void test_cases_of_letters(void **state) {
    static const struct {
        uint32_t character;
        const char *upper, *lower, *title; /* NULL: refused */
    } cases[] = {
        {0xDF, "SS", "\u00DF", NULL},
        {0x130, NULL, NULL, NULL},
        {0x131, "I", "\u0131", "I"},
        {0x149, NULL, NULL, NULL},
        {0x1F0, NULL, NULL, NULL},
        {0x1F1, "\u01F1", "\u01F3", "\u01F2"},
        {0x3A3, NULL, NULL, NULL},
        {0x3C2, "\u03A3", "\u03C2", "\u03A3"},
        {0x587, NULL, NULL, NULL},
        {0x1E95, "\u1E94", "\u1E95", "\u1E94"},
        {0x1E96, NULL, NULL, NULL},
        {0x1E9A, NULL, NULL, NULL},
        {0x1E9B, "\u1E60", "\u1E9B", "\u1E60"},
        {0x1F80, NULL, NULL, NULL},
        {0xFB00, NULL, NULL, NULL},
        {0x430, "\u0410", "\u0430", "\u0410"},
    };
    static const char *const methods[] = {"upper", "lower", "title"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const expected[] = {cases[i].upper, cases[i].lower, cases[i].title};
        for (int m = 0; m < 3; m++) {
            char source[64], said[96];
            ChatText text;
            snprintf(source, sizeof source, "{{ '\\u%04x'.%s() }}", (unsigned)cases[i].character, methods[m]);
            snprintf(said, sizeof said, "changing the case of U+%04X is not implemented", (unsigned)cases[i].character);
            limn_status status = render_with(&text, source, three, NULL);
            assert_int_equal(status, expected[m] == NULL ? LIMN_UNSUPPORTED : LIMN_OK);
            if (expected[m] == NULL) {
                assert_non_null(strstr(error_message(), said));
            } else {
                assert_string_equal(text.text, expected[m]);
                chat_text_free(&text);
            }
        }
    }
}

static void expect_limit(const char *source, ChatLimits limits, const char *part) {
    ChatText text;
    const ChatInput input = {.limits = limits};
    assert_int_equal(render_with(&text, source, three, &input), LIMN_RANGE);
    if (strstr(error_message(), part) == NULL) {
        fail_msg("found '%s', expected '%s' in it", error_message(), part);
    }
}

static char *repeated(const char *unit, size_t n, const char *before, const char *after) {
    size_t length = strlen(unit);
    char *text = malloc(strlen(before) + n * length + strlen(after) + 1);
    assert_non_null(text);
    char *at = stpcpy(text, before);
    for (size_t i = 0; i < n; i++) {
        at = stpcpy(at, unit);
    }
    strcpy(at, after);
    return text;
}

static void test_limits(void **state) {
    const ChatLimits usual = CHAT_LIMITS_INIT;
    const char *endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    expect_limit(endless, (ChatLimits){150000, usual.memory_bytes, usual.output_bytes},
                 "more than 150000 steps (the limit)");
    expect_limit(endless, usual, "(the limit)");
    expect_limit("{% for i in range(60) %}x{% endfor %}", (ChatLimits){100000, 1 << 20, 50},
                 "50 bytes of text (the limit)");
    expect_limit("{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
                 usual, "bytes of memory (the limit)");
    expect_limit("{{ 'x' * 9999999999 }}", usual, "(the limit)");
    expect_limit("{{ [1] * 9999999999 }}", usual, "(the limit)");
    expect_limit("{{ range(100001) }}", usual, "100000 numbers (the limit)");
    expect_limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", usual, "nested deeper than 200 (the limit)");
    static const char *const nests[][3] = {{"(", "{{ ", "1"},      {"[", "{{ ", "1"},
                                           {"-", "{{ ", "1 }}"},   {"not ", "{{ ", "1 }}"},
                                           {"{% if 1 %}", "", ""}, {"1 if 1 else ", "{{ ", "1 }}"},
                                           {"x|e(", "{{ ", "1"}};
    for (size_t i = 0; i < sizeof nests / sizeof *nests; i++) {
        char *source = repeated(nests[i][0], 20000, nests[i][1], nests[i][2]);
        expect_limit(source, usual, "nested deeper than 200 (the limit)");
        free(source);
    }
    char *long_sum = repeated("+1", 20000, "{{ 1", " }}");
    expect_limit(long_sum, usual, "nested deeper than 200 (the limit)");
    free(long_sum);
    char *large = repeated("0123456789", 110000, "", "");
    expect_limit(large, usual, "the limit is 1048576");
    free(large);
    char *json = repeated("[", 300, "[{\"a\": ", "");
    char *deep = repeated("]", 300, json, "}]");
    ChatText text;
    assert_int_equal(render_with(&text, "{{ messages }}", deep, NULL), LIMN_RANGE);
    free(json);
    free(deep);
}

static void test_dates(void **state) {
    static const char *const wrong[] = {"",
                                        "2024",
                                        "2024-7-26",
                                        "2024-02-30",
                                        "2024-07-26T",
                                        "2024-07-26 ",
                                        "26.7.2024",
                                        "2024-07-26T25:00:00",
                                        "2024-13-01",
                                        "20240726"};
    ChatDate date;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(chat_date_parse(&date, wrong[i]), LIMN_USAGE);
    }
    assert_int_equal(chat_date_parse(&date, "2024-02-29T14:05:09"), LIMN_OK);
    const ChatInput input = {.limits = CHAT_LIMITS_INIT, .date = date};
    ChatText text;
    assert_int_equal(render_with(&text, "{{ strftime_now('%A %d %b %Y %H:%M:%S %I %p %j') }}", three, &input), LIMN_OK);
    assert_string_equal(text.text, "Thursday 29 Feb 2024 14:05:09 02 PM 060");
    assert_true(text.asked_date);
    chat_text_free(&text);
    assert_int_equal(render_with(&text, "{{ strftime_now is defined }}", three, &input), LIMN_OK);
    assert_false(text.asked_date);
    chat_text_free(&text);
}

static void test_files(void **state) {
    static const struct {
        const char *text;
        limn_status status;
        const char *part;
    } cases[] = {
        {"[{\"role\": \"user\", \"content\": \"x\"}]", LIMN_OK, NULL},
        {"{\"messages\": [{}], \"tools\": [{}], \"documents\": null}", LIMN_OK, NULL},
        {"{\"messages\": {}}", LIMN_FORMAT, "expected an array of messages"},
        {"{\"tools\": []}", LIMN_FORMAT, "'messages' is missing"},
        {"{\"messages\": [], \"model\": 1}", LIMN_FORMAT, "found the key 'model'"},
        {"[{}, \"x\"]", LIMN_FORMAT, "element 1 is the text 'x'"},
        {"[", LIMN_FORMAT, "line 1"},
        {"[{\"n\": 123456789012345678901234567890}]", LIMN_UNSUPPORTED, "beyond 64 bits"},
        {"7", LIMN_FORMAT, "expected an array of messages"},
    };
    char path[] = "/tmp/limn-chat-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ChatFile file;
        assert_int_equal(file_write_atomic(path, cases[i].text, strlen(cases[i].text)), LIMN_OK);
        assert_int_equal(chat_file_load(&file, path), cases[i].status);
        if (cases[i].part != NULL && strstr(error_message(), cases[i].part) == NULL) {
            fail_msg("found '%s', expected '%s' in it", error_message(), cases[i].part);
        }
        json_decref(file.json);
    }
    unlink(path);
    ChatFile file;
    assert_int_not_equal(chat_file_load(&file, "/nowhere/messages.json"), LIMN_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_generation),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cases_of_letters),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
