/* Messages through a model's own template: tokens that know their message, no second begin-of-text, where answers end,
 * templates by name. */
#include <math.h>
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
    json_t *vocabulary = json_object_get(json_object_get(json, "model"), "vocab");
    json_array_clear(added);
    const char *const names[] = {"<s>", "<e>", "<t>"};
    const int ids[] = {28, end, 30};
    for (int i = 0; i < 3; i++) {
        json_array_append_new(added,
                              json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", ids[i], "content", names[i],
                                        "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
        json_object_set_new(vocabulary, names[i], json_integer(ids[i])); /* which alone may say any id */
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
    snprintf(path, sizeof path, "%s/chats.jsonl", folder);
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

static Result *attributed(const char *options) {
    Result *result;
    if (call_method(&result, "ig", "{\"model\": \"%s\", \"messages\": \"" TALK "\", \"steps\": 2%s}", folder,
                    options) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return result;
}

/* What the template puts around messages is nothing that anybody said: attributions hold it fixed, say so, and take
 * the words of messages for words even where the template's letters stand right before them. */
static void test_template_is_fixed(void **state) {
    /*                      <s>sys<e><t>u a bc<e><t>a d<e><t>a */
    static const char states[] = "fffffff..fff.fff";
    Result *result = attributed("");
    const Block *block = result_find_block(result, "attribution");
    const TokensBlock *strip = block->content;
    assert_int_equal(strip->n, strlen(states));
    for (int32_t i = 0; i < strip->n; i++) {
        assert_int_equal(strip->items[i].state == TOKEN_FIXED, states[i] == 'f');
        assert_int_equal(isnan(strip->items[i].score), states[i] == 'f');
    }
    assert_non_null(strstr(block->note.bytes, "what the chat template puts around the messages is held fixed"));
    const TableBlock *words = result_find_block(result, "words")->content;
    assert_int_equal(words->n_rows, 2); /* "abc" and "d", not "uabc" */
    for (int32_t row = 0; row < 2; row++) {
        int64_t position = table_cell(words, row, 1)->integer;
        assert_true(position == 7 || position == 12);
        assert_string_equal(table_cell(words, row, 0)->text.bytes, position == 7 ? "abc" : "d");
    }
    result_free(result);
    result = attributed(", \"template-tokens\": \"scored\"");
    block = result_find_block(result, "attribution");
    strip = block->content;
    for (int32_t i = 0; i < strip->n; i++) { /* special tokens stay fixed */
        assert_int_equal(strip->items[i].state == TOKEN_FIXED, result->input_tokens[i].special);
    }
    assert_null(strstr(block->note.bytes, "template"));
    result_free(result);
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

/* ---- chats of a data set ---- */

/* Two chats in a field, one of them with tools of its own, and the last user's words alone. */
static const char chats[] =
    "{\"m\": "
    "[{\"role\":\"user\",\"content\":\"abc\"},{\"role\":\"assistant\",\"content\":\"d\"}]"
    ", \"words\": \"abc\"}\n"
    "{\"m\": {\"messages\": [{\"role\":\"user\",\"content\":\"abc\"}], \"tools\": [{}, {}]}, \"words\": \"cab\"}\n";

static const char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Line `line` of the predictions that these options give. */
static json_t *predicted(const char *options, int line, json_t **result) {
    char all[1024], *text;
    size_t length;
    snprintf(all, sizeof all, ", \"choices\": \"d,f\", \"output\": \"%s/out.jsonl\"%s", folder, options);
    json_t *json = call_json("predict", all);
    assert_int_equal(file_read(&text, &length, in_folder("out.jsonl"), 1 << 20), LIMN_OK);
    char *at = text;
    for (int i = 0; i < line; i++) {
        at = strchr(at, '\n') + 1;
    }
    json_t *found = json_loadb(at, strcspn(at, "\n"), 0, NULL);
    assert_non_null(found);
    free(text);
    unlink(in_folder("out.jsonl"));
    if (result != NULL) {
        *result = json;
    } else {
        json_decref(json);
    }
    return found;
}

/* That record's prompt and probabilities are what chat-format and run make of these messages. */
static void check_record(const char *options, int line, const char *messages) {
    static const char *const choices[] = {"d", "f"};
    char chat[1024];
    json_t *found = predicted(options, line, NULL);
    json_t *expected = call_json("chat-format", messages);
    assert_string_equal(json_string_value(json_object_get(found, "prompt")), text_of_input(expected));
    json_decref(expected);
    for (int c = 0; c < 2; c++) {
        snprintf(chat, sizeof chat, "%s, \"target\": \"%s\"", messages, choices[c]);
        json_t *run = call_json("run", chat);
        const json_t *target = json_object_get(run, "target");
        double wanted = json_number_value(json_object_get(target, "log_probability"));
        const json_t *logs = json_object_get(found, "log_probabilities");
        assert_true(wanted < 0);
        assert_true(fabs(json_number_value(json_object_get(logs, choices[c])) - wanted) < 1e-5);
        json_decref(run);
    }
    json_decref(found);
}

static void test_data_sets(void **state) {
    char data[256], options[512];
    write_file("chats.jsonl", chats);
    snprintf(data, sizeof data, ", \"data\": \"%s/chats.jsonl\"", folder);
    snprintf(options, sizeof options, "%s, \"messages-field\": \"m\"", data);
    check_record(options, 0, ", \"messages\": \"" TALK "\"");
    snprintf(options, sizeof options, "%s, \"messages-field\": \"m\", \"no-generation-prompt\": true", data);
    check_record(options, 0, ", \"messages\": \"" TALK "\", \"no-generation-prompt\": true");
    snprintf(options, sizeof options, "%s, \"messages-field\": \"m.messages\", \"where\": \"words == 'cab'\"", data);
    check_record(options, 0, ", \"messages\": \"" ASK "\"");
    snprintf(options, sizeof options, "%s, \"prompt-field\": \"words\", \"as-chat\": true", data);
    check_record(options, 0, ", \"messages\": \"" ASK "\"");
    snprintf(options, sizeof options,
             "%s, \"template\": \"x{words}\", \"as-chat\": true, \"system\": \"be {brief}\", \"chat-var\": \"extra=z\"",
             data);
    check_record(options, 1,
                 ", \"messages\": \"[{\\\"role\\\":\\\"system\\\",\\\"content\\\":\\\"be {brief}\\\"},"
                 "{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"xcab\\\"}]\", \"chat-var\": \"extra=z\"");
    write_file("chats.csv", "m\r\n\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"abc\"\"}]\"\r\n");
    snprintf(options, sizeof options, ", \"data\": \"%s/chats.csv\", \"messages-field\": \"m\"", folder);
    check_record(options, 0, ", \"messages\": \"" ASK "\"");
    unlink(in_folder("chats.csv"));
}

/* Tools of a record choose its template; what a reader should know is said. */
static void test_data_set_remarks(void **state) {
    char options[256];
    json_t *result;
    write_file("chats.jsonl", chats);
    snprintf(options, sizeof options, ", \"data\": \"%s/chats.jsonl\", \"messages-field\": \"m\"", folder);
    json_t *line = predicted(options, 1, &result);
    assert_string_equal(json_string_value(json_object_get(line, "prompt")), "tools22024");
    const json_t *params = json_object_get(result, "params");
    assert_string_equal(json_string_value(json_object_get(params, "chat-date")), "2024-07-26");
    char *warnings = json_dumps(json_object_get(result, "warnings"), 0);
    assert_non_null(strstr(warnings, "1 chats end with an assistant's message"));
    free(warnings);
    json_decref(result);
    json_decref(line);
    write_file("chats.jsonl", "{\"t\": \"a<e>b\"}\n");
    snprintf(options, sizeof options, ", \"data\": \"%s/chats.jsonl\", \"prompt-field\": \"t\", \"as-chat\": true",
             folder);
    line = predicted(options, 0, &result);
    warnings = json_dumps(json_object_get(result, "warnings"), 0);
    assert_non_null(strstr(warnings, "1 special tokens are spelled inside"));
    free(warnings);
    json_decref(result);
    json_decref(line);
}

static void test_going_on_with_other_prompts(void **state) {
    char options[512];
    write_file("chats.jsonl", chats);
    snprintf(options, sizeof options,
             ", \"data\": \"%s/chats.jsonl\", \"prompt-field\": \"words\", \"as-chat\": true, \"choices\": \"d,f\", "
             "\"output\": \"%s/out.jsonl\"",
             folder, folder);
    json_decref(call_json("predict", options));
    strcat(options, ", \"chat-var\": \"extra=z\"");
    refused("predict", options, LIMN_USAGE, "out.jsonl: line 1: was made with another prompt");
    unlink(in_folder("out.jsonl"));
}

static void test_data_set_refusals(void **state) {
    static const struct {
        const char *record, *options, *part;
        limn_status status;
    } cases[] = {
        {"{\"m\": 7}", "", "line 1: the field 'm': found a number, expected a list of messages", LIMN_FORMAT},
        {"{\"m\": null}", "", "line 1: the field 'm': found null", LIMN_FORMAT},
        {"{\"m\": \"hello\"}", "", "line 1: the field 'm': line 1, column 5: invalid token", LIMN_FORMAT},
        {"{\"m\": []}", "", "line 1: the field 'm': found an empty list", LIMN_FORMAT},
        {"{\"m\": [{\"from\": \"human\", \"value\": \"a\"}]}", "",
         "line 1: the field 'm': element 0: found nothing for its 'role'", LIMN_FORMAT},
        {"{\"m\": [\"a\"]}", "", "line 1: the field 'm': element 0 is the text 'a'", LIMN_FORMAT},
        {"{\"m\": {\"turns\": []}}", "", "line 1: the field 'm': found the key 'turns'", LIMN_FORMAT},
        {"\n{\"n\": 1}", "", "line 2: the field 'm' is not there, found 'n'", LIMN_NOT_FOUND},
        {"{}", ", \"prompt-field\": \"m\"", "--prompt-field and --messages-field both say", LIMN_USAGE},
        {"{}", ", \"as-chat\": true", "give one of them", LIMN_USAGE},
        {"{}", ", \"system\": \"a\"", "'system' goes with --as-chat", LIMN_USAGE},
        {"{}", ", \"bos\": \"yes\"", "a chat template writes its own", LIMN_USAGE},
        {"{}", ", \"chat-template\": \"rag\"", "'m' is not there", LIMN_NOT_FOUND},
        {"{\"m\": [{\"role\": \"user\", \"content\": \"a\"}]}", ", \"chat-template\": \"broken\"",
         "line 1: the field 'm': ", LIMN_FORMAT},
    };
    char options[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("chats.jsonl", cases[i].record);
        snprintf(options, sizeof options,
                 ", \"data\": \"%s/chats.jsonl\", \"messages-field\": \"m\", \"choices\": \"d,f\"%s", folder,
                 cases[i].options);
        refused("predict", options, cases[i].status, cases[i].part);
    }
    snprintf(options, sizeof options,
             ", \"data\": \"%s/chats.jsonl\", \"prompt-field\": \"m\", \"choices\": \"d,f\", \"chat-var\": \"a=b\"",
             folder);
    refused("predict", options, LIMN_USAGE, "'chat-var' goes with --as-chat or --messages-field");
    char plain[64]; /* a model without a template */
    Result *result;
    make_letters_model(plain);
    assert_int_equal(call_method(&result, "predict",
                                 "{\"model\": \"%s\", \"data\": \"%s\", \"messages-field\": \"m\", \"choices\": "
                                 "\"d,f\"}",
                                 plain, in_folder("chats.jsonl")),
                     LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), "the model has no chat template"));
    remove_letters_model(plain);
}

/* diff measures over a data set what it measures on each of its chats. */
static void test_effects_on_chats(void **state) {
    static const char *const prompts[] = {"\"messages\": \"" ASK "\"",
                                          "\"messages\": \"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"cab\\\"}]\"",
                                          "\"data\": \"%s\", \"prompt-field\": \"words\", \"as-chat\": true"};
    double effect[3];
    char data[128], prompt[512];
    write_file("chats.jsonl", chats);
    snprintf(data, sizeof data, "%s/chats.jsonl", folder);
    for (int i = 0; i < 3; i++) {
        Result *result;
        snprintf(prompt, sizeof prompt, prompts[i], data);
        if (call_method(&result, "diff", "{\"model\": \"%s\", \"adapter\": [\"%s/1\"], \"target\": \"d\", %s}", folder,
                        golden_folder("adapters/layers"), prompt) != LIMN_OK) {
            fail_msg("%s", error_message());
        }
        const MatrixBlock *matrix = result_find_block(result, "effect-out")->content;
        effect[i] = matrix->values[1 * matrix->n_columns + 1];
        result_free(result);
    }
    assert_true(effect[0] != effect[1]);
    assert_true(fabs(effect[2] - (effect[0] + effect[1]) / 2) < 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_is_fixed),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_end_of_turn),
        cmocka_unit_test(test_spelled_specials),
        cmocka_unit_test(test_data_sets),
        cmocka_unit_test(test_data_set_remarks),
        cmocka_unit_test(test_going_on_with_other_prompts),
        cmocka_unit_test(test_data_set_refusals),
        cmocka_unit_test(test_effects_on_chats),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
