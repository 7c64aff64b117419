/* Templates against what the reference made of the same messages (tests/oracle/chat/make_golden.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/file.h"
#include "chat/chat.h"
#include "files/gguf.h"
#include "files/json.h"

#include <cmocka.h> /* last: its fail() is not ours */

static json_t *load_golden(const char *name) {
    char path[512];
    json_t *golden;
    snprintf(path, sizeof path, "%s/tests/golden/chat/%s.json", LIMN_TEST_SOURCE_DIR, name);
    if (json_file_load(&golden, path, (size_t)64 << 20) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return golden;
}

static const char *text_of_key(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static ChatInput input_of(const json_t *golden, const json_t *item) {
    const json_t *talk = json_object_get(json_object_get(golden, "conversations"), text_of_key(item, "conversation"));
    ChatInput input = {.messages = json_object_get(talk, "messages"),
                       .tools = json_object_get(talk, "tools"),
                       .documents = json_object_get(talk, "documents"),
                       .variables = {json_object_get(golden, "special"), json_object_get(item, "variables")},
                       .generation_prompt = json_is_true(json_object_get(item, "generation_prompt")),
                       .limits = CHAT_LIMITS_INIT};
    assert_int_equal(chat_date_parse(&input.date, text_of_key(golden, "date")), LIMN_OK);
    return input;
}

static void hex_of(char hex[65], const char *text, size_t length) {
    unsigned char digest[32];
    unsigned int size = sizeof digest;
    assert_int_equal(EVP_Digest(text, length, digest, &size, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

static bool is_expected(const json_t *item, const ChatText *text) {
    const json_t *expected = json_object_get(item, "text");
    if (expected != NULL) {
        return json_string_length(expected) == text->length &&
               memcmp(json_string_value(expected), text->text, text->length) == 0;
    }
    char hex[65];
    hex_of(hex, text->text, text->length);
    return strcmp(hex, text_of_key(item, "sha256")) == 0;
}

/* Spans follow one another and end with the text. */
static void check_spans(const ChatText *text, size_t n_messages) {
    size_t begin = 0;
    for (size_t i = 0; i < text->n_spans; i++) {
        assert_true(text->spans[i].end > begin);
        assert_true(text->spans[i].message >= -1 && text->spans[i].message < (int32_t)n_messages);
        begin = text->spans[i].end;
    }
    assert_int_equal(begin, text->length);
}

/* 1: as the reference. */
static int check_case(const json_t *golden, const json_t *item, const char *source, size_t length) {
    bool must_fail = json_is_true(json_object_get(item, "error"));
    ChatTemplate *parsed = NULL;
    ChatText text = {0};
    ChatInput input = input_of(golden, item);
    limn_status status = chat_template_parse(&parsed, "t.jinja", source, length);
    if (status == LIMN_OK) {
        status = chat_template_render(&text, parsed, &input);
    }
    int good = must_fail ? status != LIMN_OK : status == LIMN_OK && is_expected(item, &text);
    if (status == LIMN_OK) {
        check_spans(&text, json_array_size(input.messages));
    } else {
        assert_true(status != LIMN_INTERNAL && strncmp(error_message(), "t.jinja: line ", 14) == 0);
    }
    if (!good) {
        const char *expected = text_of_key(item, "text");
        print_message("%s:\n  found    %s\n  expected %s\n", text_of_key(item, "name"),
                      status != LIMN_OK ? error_message() : text.text,
                      must_fail          ? "a failure"
                      : expected != NULL ? expected
                                         : "(a text known by its hash)");
    }
    chat_text_free(&text);
    chat_template_free(parsed);
    return good;
}

static void test_templates(void **state) {
    json_t *golden = load_golden("templates");
    const json_t *cases = json_object_get(golden, "cases");
    size_t good = 0, n = json_array_size(cases), texts = 0;
    assert_true(n >= 300);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(cases, i);
        const json_t *source = json_object_get(json_object_get(golden, "templates"), text_of_key(item, "template"));
        good += (size_t)check_case(golden, item, json_string_value(source), json_string_length(source));
        texts += json_object_get(item, "text") != NULL;
    }
    assert_int_equal(good, n);
    assert_true(texts >= 200);
    json_decref(golden);
}

static void test_expressions(void **state) {
    json_t *golden = load_golden("expressions");
    const json_t *cases = json_object_get(golden, "cases");
    size_t good = 0, n = json_array_size(cases);
    assert_true(n >= 150);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(cases, i);
        const json_t *source = json_object_get(item, "source");
        good += (size_t)check_case(golden, item, json_string_value(source), json_string_length(source));
    }
    assert_int_equal(good, n);
    json_decref(golden);
}

/* ---- templates outside of the project ---- */

static char *shared_path(const char *name) {
    const char *root = getenv("LIMN_SHARED");
    static char path[1024];
    if (strcmp(name, "smollm2") == 0) {
        const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
        snprintf(path, sizeof path, "%s%s/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                 cache != NULL  ? cache
                 : home != NULL ? home
                                : "",
                 cache != NULL ? "" : "/.cache");
    } else if (root != NULL) {
        snprintf(path, sizeof path, "%s/%s", root, name);
    } else {
        snprintf(path, sizeof path, "%s/../shared/%s", LIMN_TEST_SOURCE_DIR, name);
    }
    return path;
}

static limn_status read_template(char **source, size_t *length, const char *path) {
    size_t n = strlen(path);
    if (strcmp(path + n - 5, ".gguf") == 0) {
        Gguf *gguf;
        const char *text;
        TRY(gguf_open(&gguf, path));
        assert_true(gguf_get_string(gguf, "tokenizer.chat_template", &text, length));
        *source = strndup(text, *length);
        gguf_close(gguf);
        return LIMN_OK;
    }
    if (strcmp(path + n - 5, ".json") != 0) {
        return file_read(source, length, path, 1 << 24);
    }
    json_t *json;
    TRY(json_file_load(&json, path, 1 << 24));
    const char *text = text_of_key(json, "chat_template");
    assert_non_null(text);
    *length = strlen(text);
    *source = strdup(text);
    json_decref(json);
    return LIMN_OK;
}

static void test_shared_templates(void **state) {
    json_t *golden = load_golden("shared");
    const json_t *cases = json_object_get(golden, "cases");
    size_t good = 0, n = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *item = json_array_get(cases, i);
        const char *path = shared_path(text_of_key(item, "file"));
        char *source;
        size_t length;
        if (!file_exists(path)) {
            continue;
        }
        assert_int_equal(read_template(&source, &length, path), LIMN_OK);
        good += (size_t)check_case(golden, item, source, length);
        n++;
        free(source);
    }
    json_decref(golden);
    if (n == 0) {
        print_message("no shared data: templates of other projects are not tested\n");
        skip();
    }
    assert_int_equal(good, n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_shared_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
