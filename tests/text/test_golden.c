/* Small tokenizers against what the reference made of the same texts (tests/oracle/tokenizers/make_golden.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text/support.h"

#include <cmocka.h> /* last: its fail() is not ours */

static json_t *goldens;

static int load_goldens(void **state) {
    json_error_t error;
    goldens = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/text/golden/tokenizers.json", JSON_ALLOW_NUL, &error);
    return goldens == NULL ? -1 : 0;
}

static int free_goldens(void **state) {
    json_decref(goldens);
    return 0;
}

static char *write_case(const json_t *golden) {
    const char *model = json_string_value(json_object_get(golden, "model"));
    char *path, *text;
    if (model != NULL) {
        size_t length;
        unsigned char *bytes = from_base64(model, &length);
        path = temporary_file("tokenizer.model", bytes, length);
        free(bytes);
        return path;
    }
    text = json_dumps(json_object_get(golden, "tokenizer"), JSON_COMPACT);
    assert_non_null(text);
    path = temporary_file("tokenizer.json", text, strlen(text));
    free(text);
    return path;
}

static EncodeOptions read_options(const json_t *golden) {
    EncodeOptions options = {.bos = BOS_AUTO};
    const json_t *names = json_object_get(golden, "options");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        options.no_special = options.no_special || strcmp(name, "no-special") == 0;
        options.plain_special_text = options.plain_special_text || strcmp(name, "plain") == 0;
    }
    return options;
}

static void check_rows(const char *name, const char *hex, const Encoding *encoding, const json_t *rows) {
    for (size_t i = 0; i < json_array_size(rows) && i < (size_t)encoding->n; i++) {
        const json_t *row = json_array_get(rows, i);
        const Token *token = &encoding->tokens[i];
        const int64_t found[] = {token->id, token->begin, token->end, token->type};
        for (size_t k = 0; k < json_array_size(row); k++) {
            static const char *const names[] = {"id", "begin", "end", "type"};
            if (found[k] != json_integer_value(json_array_get(row, k))) {
                fail_msg("%s: text %s: %s of token %zu is %lld, expected %lld", name, hex, names[k], i,
                         (long long)found[k], (long long)json_integer_value(json_array_get(row, k)));
            }
        }
    }
    if ((size_t)encoding->n != json_array_size(rows)) {
        fail_msg("%s: text %s: %d tokens, expected %zu", name, hex, (int)encoding->n, json_array_size(rows));
    }
}

static void check_decoded(const char *name, const char *hex, const Tokenizer *tokenizer, const Encoding *encoding,
                          const json_t *expected) {
    int32_t *ids = malloc(((size_t)encoding->n + 1) * sizeof *ids);
    assert_non_null(ids);
    for (int32_t i = 0; i < encoding->n; i++) {
        ids[i] = encoding->tokens[i].id;
    }
    char *text;
    size_t length;
    assert_int_equal(tokenizer_decode(&text, &length, tokenizer, ids, encoding->n, true), LIMN_OK);
    if (length != json_string_length(expected) || memcmp(text, json_string_value(expected), length) != 0) {
        fail_msg("%s: text %s: decoded '%s', expected '%s'", name, hex, text, json_string_value(expected));
    }
    free(text);
    free(ids);
}

static void check_text(const char *name, const Tokenizer *tokenizer, const EncodeOptions *options,
                       const json_t *entry) {
    const json_t *hexes = json_object_get(entry, "hex");
    const char *hex = json_string_value(json_array_get(hexes, 0));
    size_t length, pair_length = 0;
    unsigned char *text = from_hex(hex, &length), *pair = NULL;
    if (json_array_size(hexes) == 2) {
        pair = from_hex(json_string_value(json_array_get(hexes, 1)), &pair_length);
    }
    Encoding encoding;
    limn_status status =
        tokenizer_encode(&encoding, tokenizer, (const char *)text, length, (const char *)pair, pair_length, options);
    if (status != LIMN_OK) {
        fail_msg("%s: text %s: %s", name, hex, error_message());
    }
    check_rows(name, hex, &encoding, json_object_get(entry, "rows"));
    check_decoded(name, hex, tokenizer, &encoding, json_object_get(entry, "decoded"));
    encoding_free(&encoding);
    free(text);
    free(pair);
}

static void test_goldens(void **state) {
    const json_t *cases = json_object_get(goldens, "cases");
    assert_true(json_array_size(cases) >= 50);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *golden = json_array_get(cases, c);
        char *path = write_case(golden);
        Opened opened = open_tokenizer(path);
        EncodeOptions options = read_options(golden);
        const json_t *texts = json_object_get(golden, "texts");
        assert_true(json_array_size(texts) > 5);
        for (size_t t = 0; t < json_array_size(texts); t++) {
            check_text(json_string_value(json_object_get(golden, "name")), opened.tokenizer, &options,
                       json_array_get(texts, t));
        }
        close_opened(&opened);
        remove_temporary(path);
    }
}

/* Long runs: were any step quadratic, 300,000 characters would take hours. */
static void test_long_texts(void **state) {
    static const char *const units[] = {"ab", " ", "\n", "e\xCC\x81", "\xE4\xB8\x96", "<s>", "\xCC\x81", "1"};
    enum { COUNT = 300000 };
    const json_t *cases = json_object_get(goldens, "cases");
    for (size_t c = json_array_size(cases) - 9; c < json_array_size(cases); c++) { /* the whole tokenizers */
        const json_t *golden = json_array_get(cases, c);
        char *path = write_case(golden);
        Opened opened = open_tokenizer(path);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            TextBuffer text = TEXT_BUFFER_INIT;
            for (int i = 0; i < COUNT; i++) {
                text_buffer_add(&text, units[u]);
            }
            Encoding encoding;
            assert_int_equal(tokenizer_encode(&encoding, opened.tokenizer, text.data, text.length, NULL, 0, NULL),
                             LIMN_OK);
            int64_t covered = 0;
            for (int32_t i = 0; i < encoding.n; i++) {
                const Token *token = &encoding.tokens[i];
                assert_true(token->begin <= token->end && token->end <= (int64_t)text.length);
                covered = token->end > covered ? token->end : covered;
            }
            if (u == 0) {
                assert_int_equal(covered, text.length);
            }
            encoding_free(&encoding);
            text_buffer_free(&text);
        }
        close_opened(&opened);
        remove_temporary(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests(tests, load_goldens, free_goldens);
}
