/* Messages through a model's own template: tokens that know their message, no second begin-of-text, where answers end,
 * templates by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "method/calls.h"

#include <cmocka.h> /* last: its fail() is not ours */

static char folder[64];

#define TALK                                                                                                           \
    "[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"abc\\\"},{\\\"role\\\":\\\"assistant\\\",\\\"content\\\":"        \
    "\\\"d\\\"}]"
#define ASK "[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"abc\\\"}]"

static void write_file(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text)), LIMN_OK);
}

/* The letters of make_letters_model with <s> 28, <e> and <t> 30 as special tokens; <s> begins every text. */
static void write_tokenizer(int end) {
    char path[128], *text;
    size_t length;
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_int_equal(file_read(&text, &length, path, 1 << 20), LIMN_OK);
    json_t *json = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(json);
    json_t *added = json_object_get(json, "added_tokens");
    json_array_clear(added);
    const char *const names[] = {"<s>", "<e>", "<t>"};
    const int ids[] = {28, end, 30};
    for (int i = 0; i < 3; i++) {
        json_array_append_new(added,
                              json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", ids[i], "content", names[i],
                                        "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    }
    json_object_set_new(json, "post_processor",
                        json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[], s:{s:{s:s, s:[i], s:[s]}}}", "type",
                                  "TemplateProcessing", "single", "SpecialToken", "id", "<s>", "type_id", 0, "Sequence",
                                  "id", "A", "type_id", 0, "pair", "special_tokens", "<s>", "id", "<s>", "ids", 28,
                                  "tokens", "<s>"));
    text = json_dumps(json, 0);
    write_file("tokenizer.json", text);
    free(text);
    json_decref(json);
}

static int set_up(void **state) {
    make_letters_model(folder);
    write_tokenizer(29);
    write_file("tokenizer_config.json",
               "{\"bos_token\": \"<s>\", \"eos_token\": \"<s>\", \"chat_template\": ["
               "{\"name\": \"default\", \"template\": \"{{ bos_token }}{% for m in messages %}"
               "{% if loop.first and m.role != 'system' %}sys<e>{% endif %}"
               "<t>{{ m.role[0] }}{{ m.content }}<e>{% endfor %}"
               "{% if add_generation_prompt %}<t>a{% endif %}{{ extra }}\"},"
               "{\"name\": \"tool_use\", \"template\": \"tools{{ tools|length }}{{ strftime_now('%Y') }}\"},"
               "{\"name\": \"broken\", \"template\": \"{{ messages | frobnicate }}\"}]}");
    return 0;
}

static int tear_down(void **state) {
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    unlink(path);
    remove_letters_model(folder);
    return 0;
}

static json_t *call_json(const char *command, const char *options) {
    Result *result = NULL;
    if (call_method(&result, command, "{\"model\": \"%s\"%s}", folder, options) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    TextBuffer text = TEXT_BUFFER_INIT;
    assert_int_equal(result_write_json(&text, result, false), LIMN_OK);
    json_t *json = json_loadb(text.data, text.length, 0, NULL);
    assert_non_null(json);
    text_buffer_free(&text);
    result_free(result);
    return json;
}

static const json_t *tokens_of(const json_t *json) {
    return json_object_get(json_object_get(json, "input"), "tokens");
}

static const char *text_of_input(const json_t *json) {
    return json_string_value(json_object_get(json_object_get(json, "input"), "text"));
}

/* ids, then one letter for each token: its message, '.' none, '>' none but the assistant's. */
static void check_tokens(const json_t *json, const int *ids, const char *from) {
    const json_t *tokens = tokens_of(json);
    assert_int_equal(json_array_size(tokens), strlen(from));
    for (size_t i = 0; i < strlen(from); i++) {
        const json_t *token = json_array_get(tokens, i), *message = json_object_get(token, "message");
        const char *role = json_string_value(json_object_get(token, "role"));
        assert_int_equal(json_integer_value(json_object_get(token, "id")), ids[i]);
        char found = (char)(message != NULL ? '0' + json_integer_value(message) : role != NULL ? '>' : '.');
        assert_int_equal(found, from[i]);
        static const char *const roles[] = {"user", "assistant"};
        if (message != NULL) {
            assert_string_equal(role, roles[json_integer_value(message)]);
        } else if (role != NULL) {
            assert_string_equal(role, "assistant");
        }
    }
}

static void test_tokens(void **state) {
    /*                   <s> s   y   s   <e> <t> u   a  bc  <e> <t> a  d  <e> <t> a */
    static const int ids[] = {28, 19, 25, 19, 29, 30, 21, 1, 27, 29, 30, 1, 4, 29, 30, 1};
    json_t *json = call_json("chat-format", ", \"messages\": \"" TALK "\"");
    assert_string_equal(text_of_input(json), "<s>sys<e><t>uabc<e><t>ad<e><t>a");
    check_tokens(json, ids, ".....000001111>>");
    json_decref(json);
    json = call_json("chat-format", ", \"messages\": \"" TALK "\", \"no-generation-prompt\": true");
    check_tokens(json, ids, ".....000001111");
    json_decref(json);
    json = call_json("run", ", \"messages\": \"" TALK "\""); /* one begin-of-text, the template's */
    check_tokens(json, ids, ".....000001111>>");
    json_decref(json);
}

static void test_templates(void **state) {
    char options[512];
    json_t *json = call_json("chat-format", ", \"messages\": \"" ASK "\", \"chat-var\": [\"extra=xyz\", \"n=3\"]");
    assert_string_equal(text_of_input(json), "<s>sys<e><t>uabc<e><t>axyz");
    json_decref(json);
    snprintf(options, sizeof options, "%s/tools.json", folder);
    write_file("tools.json", "[{\"name\": \"f\"}, {}]");
    snprintf(options, sizeof options, ", \"messages\": \"" ASK "\", \"tools\": \"%s/tools.json\"", folder);
    json = call_json("chat-format", options); /* tools choose "tool_use"; the date is no clock's */
    assert_string_equal(text_of_input(json), "tools22024");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "params"), "chat-date")), "2024-07-26");
    json_decref(json);
    strcat(options, ", \"chat-date\": \"1999-12-31\"");
    json = call_json("chat-format", options);
    assert_string_equal(text_of_input(json), "tools21999");
    json_decref(json);
    strcat(options, ", \"chat-template\": \"default\"");
    json = call_json("chat-format", options);
    assert_string_equal(text_of_input(json), "<s>sys<e><t>uabc<e><t>a");
    json_decref(json);
    snprintf(options, sizeof options, "%s/tools.json", folder);
    unlink(options);
}

static void refused(const char *command, const char *options, limn_status expected, const char *part) {
    Result *result = NULL;
    assert_int_equal(call_method(&result, command, "{\"model\": \"%s\"%s}", folder, options), expected);
    if (strstr(error_message(), part) == NULL) {
        fail_msg("found '%s', expected '%s' in it", error_message(), part);
    }
}

static void test_refusals(void **state) {
#define MESSAGES ", \"messages\": \"" ASK "\""
    refused("chat-format", "", LIMN_USAGE, "expected a file of messages or --messages");
    refused("chat-format", MESSAGES ", \"chat-template\": \"rag\"", LIMN_NOT_FOUND,
            "it has: default, tool_use, broken");
    refused("chat-format", MESSAGES ", \"chat-template\": \"broken\"", LIMN_FORMAT,
            "(chat template 'broken'): line 1, column 15: there is no filter 'frobnicate'");
    refused("chat-format", MESSAGES ", \"chat-var\": \"novalue\"", LIMN_USAGE, "expected NAME=VALUE");
    refused("chat-format", MESSAGES ", \"chat-date\": \"tomorrow\"", LIMN_USAGE, "expected YYYY-MM-DD");
    refused("chat-format", ", \"messages\": \"[7]\"", LIMN_FORMAT, "element 0 is the integer 7");
    refused("run", MESSAGES ", \"bos\": \"yes\"", LIMN_USAGE, "a chat template writes its own begin-of-text token");
    refused("run", MESSAGES ", \"prompt\": \"a\"", LIMN_USAGE, "several inputs");
    refused("generate", ", \"prompt\": \"a\", \"chat-date\": \"2024-01-01\"", LIMN_USAGE,
            "'chat-date' goes with --chat");
    refused("run", ", \"chat\": \"/nowhere.json\"", LIMN_NOT_FOUND, "/nowhere.json");
#undef MESSAGES
}

static int generated(int *ids, const json_t *json) {
    const json_t *blocks = json_object_get(json, "blocks");
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        const json_t *block = json_array_get(blocks, i), *rows = json_object_get(block, "rows");
        if (rows != NULL && strcmp(json_string_value(json_object_get(block, "id")), "tokens") == 0) {
            for (size_t k = 0; k < json_array_size(rows); k++) {
                ids[k] = (int)json_integer_value(json_array_get(json_array_get(rows, k), 1));
            }
            return (int)json_array_size(rows);
        }
    }
    fail_msg("no table of tokens");
    return 0;
}

/* The same tokens without a chat go on; as a chat the answer ends at the special token that the template puts after
 * answers, whatever eos_token says. Tried with each id as that token until the random model comes to it. */
static void test_end_of_turn(void **state) {
    enum { MOST = 40 };
    int plain[MOST], chat[MOST], met = 0;
    for (int end = 31; end < 61; end++) {
        char options[512];
        write_tokenizer(end);
        snprintf(options, sizeof options, ", \"ids\": [28,19,25,19,%d,30,21,1,27,%d,30,1], \"max-tokens\": %d", end,
                 end, MOST);
        json_t *json = call_json("generate", options);
        int n = generated(plain, json), stop = 0;
        json_decref(json);
        while (stop < n && plain[stop] != end) {
            stop++;
        }
        snprintf(options, sizeof options, ", \"messages\": \"" ASK "\", \"max-tokens\": %d", MOST);
        json = call_json("generate", options);
        int n_chat = generated(chat, json);
        assert_int_equal(n_chat, stop < n ? stop + 1 : n);
        assert_memory_equal(chat, plain, (size_t)n_chat * sizeof *chat);
        met += stop + 1 < n;
        json_decref(json);
    }
    write_tokenizer(29);
    assert_true(met > 0);
}

static void test_spelled_specials(void **state) {
    json_t *json =
        call_json("chat-format", ", \"messages\": \"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"a<e>b\\\"}]\"");
    const json_t *warnings = json_object_get(json, "warnings");
    assert_int_equal(json_array_size(warnings), 1);
    assert_non_null(strstr(json_string_value(json_array_get(warnings, 0)), "1 special tokens are spelled inside"));
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),      cmocka_unit_test(test_templates),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_end_of_turn), cmocka_unit_test(test_spelled_specials),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
