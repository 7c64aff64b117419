/* Published split rules (tests/oracle/tokenizers/make_splits.py): as tokenizer.json states them, and under each name
 * that GGUF files give them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text/support.h"

#include <cmocka.h> /* last: its fail() is not ours */

static json_t *goldens;

static int load_goldens(void **state) {
    json_error_t error;
    goldens = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/text/golden/splits.json", JSON_ALLOW_NUL, &error);
    return goldens == NULL ? -1 : 0;
}

static int free_goldens(void **state) {
    json_decref(goldens);
    return 0;
}

static const json_t *need(const json_t *json, const char *key) {
    const json_t *value = json_object_get(json, key);
    assert_non_null(value);
    return value;
}

static char *write_json(const json_t *rule) {
    json_t *vocabulary = json_object();
    const json_t *pieces = need(goldens, "pieces");
    for (size_t i = 0; i < json_array_size(pieces); i++) {
        json_object_set_new(vocabulary, json_string_value(json_array_get(pieces, i)), json_integer((json_int_t)i));
    }
    json_t *model =
        json_pack("{s:s, s:b, s:o, s:O}", "type", "BPE", "ignore_merges", json_is_true(need(rule, "ignore_merges")),
                  "vocab", vocabulary, "merges", need(goldens, "merges"));
    json_t *file = json_pack("{s:o, s:O, s:O, s:{s:s}}", "model", model, "normalizer", need(rule, "normalizer"),
                             "pre_tokenizer", need(rule, "pre_tokenizer"), "decoder", "type", "ByteLevel");
    assert_non_null(file);
    char *text = json_dumps(file, JSON_COMPACT);
    char *path = temporary_file("tokenizer.json", text, strlen(text));
    free(text);
    json_decref(file);
    return path;
}

static char *write_gguf(const char *pre) {
    const json_t *pieces = need(goldens, "pieces"), *merges = need(goldens, "merges");
    size_t n_pieces = json_array_size(pieces), n_merges = json_array_size(merges);
    const char **texts = calloc(n_pieces, sizeof *texts);
    char **lines = calloc(n_merges, sizeof *lines);
    assert_true(texts != NULL && lines != NULL);
    for (size_t i = 0; i < n_pieces; i++) {
        texts[i] = json_string_value(json_array_get(pieces, i));
    }
    for (size_t i = 0; i < n_merges; i++) {
        const json_t *merge = json_array_get(merges, i);
        TextBuffer line = TEXT_BUFFER_INIT;
        text_buffer_printf(&line, "%s %s", json_string_value(json_array_get(merge, 0)),
                           json_string_value(json_array_get(merge, 1)));
        lines[i] = text_buffer_take(&line);
    }
    GgufBuilder builder = {0};
    gguf_add_string(&builder, "tokenizer.ggml.model", "gpt2");
    gguf_add_string(&builder, "tokenizer.ggml.pre", pre);
    gguf_add_strings(&builder, "tokenizer.ggml.tokens", texts, n_pieces);
    gguf_add_strings(&builder, "tokenizer.ggml.merges", (const char *const *)lines, n_merges);
    size_t length;
    char *bytes = gguf_finish(&builder, &length);
    char *path = temporary_file("model.gguf", bytes, length);
    for (size_t i = 0; i < n_merges; i++) {
        free(lines[i]);
    }
    free(lines);
    free(texts);
    free(bytes);
    return path;
}

/* How many texts come out as expected. */
static size_t count_equal(const char *path, const json_t *rule) {
    const EncodeOptions options = {.no_special = true};
    const json_t *texts = need(goldens, "texts"), *all = need(rule, "ids");
    Opened opened = open_tokenizer(path);
    size_t equal = 0;
    for (size_t t = 0; t < json_array_size(texts); t++) {
        const json_t *text = json_array_get(texts, t), *ids = json_array_get(all, t);
        Encoding encoding;
        assert_int_equal(tokenizer_encode(&encoding, opened.tokenizer, json_string_value(text),
                                          json_string_length(text), NULL, 0, &options),
                         LIMN_OK);
        bool same = (size_t)encoding.n == json_array_size(ids);
        for (int32_t i = 0; same && i < encoding.n; i++) {
            same = encoding.tokens[i].id == json_integer_value(json_array_get(ids, (size_t)i));
        }
        encoding_free(&encoding);
        equal += same;
    }
    close_opened(&opened);
    return equal;
}

static void check_all(char *path, const json_t *rule, const char *as) {
    size_t n = json_array_size(need(goldens, "texts")), equal = count_equal(path, rule);
    if (equal != n) {
        fail_msg("%s as %s: %zu of %zu texts", json_string_value(need(rule, "name")), as, equal, n);
    }
    remove_temporary(path);
}

static void test_stated(void **state) {
    const json_t *cases = need(goldens, "cases");
    assert_true(json_array_size(cases) >= 15);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *rule = json_array_get(cases, c);
        check_all(write_json(rule), rule, "tokenizer.json");
    }
}

static void test_named(void **state) {
    const json_t *cases = need(goldens, "cases");
    size_t names = 0;
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *rule = json_array_get(cases, c), *list = need(rule, "gguf");
        for (size_t i = 0; i < json_array_size(list); i++, names++) {
            const char *name = json_string_value(json_array_get(list, i));
            check_all(write_gguf(name), rule, name);
        }
    }
    assert_true(names >= 20);
}

/* A golden that any rule would pass shows nothing: another rule must miss some text. */
static void test_rules_differ(void **state) {
    const json_t *cases = need(goldens, "cases");
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *rule = json_array_get(cases, c);
        const char *name = json_string_value(need(rule, "name"));
        char *path = write_json(rule);
        for (size_t other = 0; other < json_array_size(cases); other++) {
            const json_t *wrong = json_array_get(cases, other);
            const char *wrong_name = json_string_value(need(wrong, "name"));
            bool twins = strstr("llama3 cl100k", name) != NULL && strstr("llama3 cl100k", wrong_name) != NULL;
            if (other != c && !twins && count_equal(path, wrong) == json_array_size(need(goldens, "texts"))) {
                fail_msg("%s passes as %s", name, wrong_name);
            }
        }
        remove_temporary(path);
    }
}

static void test_unknown_name(void **state) {
    char *path = write_gguf("no-such-rule");
    Gguf *gguf;
    Tokenizer *tokenizer;
    assert_int_equal(gguf_open(&gguf, path), LIMN_OK);
    assert_int_equal(tokenizer_open_gguf(&tokenizer, gguf), LIMN_UNSUPPORTED);
    assert_null(tokenizer);
    assert_non_null(strstr(error_message(), "'no-such-rule'"));
    gguf_close(gguf);
    remove_temporary(path);
}

/* What Oniguruma says and PCRE2 does not, and what is refused rather than misread. */
static void test_expressions(void **state) {
    static const struct {
        const char *pattern, *text;
        int32_t n; /* pieces; 0: refused */
    } rows[] = {
        {"[a-z&&[^c]]+", "abcab", 3},
        {"[a-z&&[^b-d]]", "abcde", 3},
        {"[a-z&&b-d]+", "abcde", 3},
        {"[a[bc]d]+", "xabcdx", 3},
        {"[\\p{L}&&[^\\p{Han}]]+", "a中b", 3},
        {"\\p{^Han}+", "a中b", 3},
        {"\\P{Han}", "a中b", 3},
        {"\\p{N}{1,3}+", "x12345x", 3},
        {"\\p{N}{2}", "12345", 3},
        {"[[:alpha:]]+", "1ab2", 3},
        {"[]a]+", "x]ax", 3},
        {"[a-z&&[^c]&&[^d]]", "abc", 0},
        {"[^a-z&&[^c]]", "abc", 0},
        {"[a[^b]]", "abc", 0},
        {"\\p{N}{2,3}+", "1234", 0},
        {"[a", "a", 0},
        {"[a&&[b]", "a", 0},
        {"a{2}+", "aaaa", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *file = json_pack("{s:{s:s, s:s, s:{s:i}}, s:{s:s, s:{s:s}, s:s}}", "model", "type", "WordLevel",
                                 "unk_token", "<unk>", "vocab", "<unk>", 0, "pre_tokenizer", "type", "Split", "pattern",
                                 "Regex", rows[i].pattern, "behavior", "Isolated");
        char *text = json_dumps(file, JSON_COMPACT);
        char *path = temporary_file("tokenizer.json", text, strlen(text));
        Tokenizer *tokenizer;
        limn_status status = tokenizer_open_file(&tokenizer, path);
        assert_int_equal(status, rows[i].n == 0 ? LIMN_UNSUPPORTED : LIMN_OK);
        if (rows[i].n == 0) {
            assert_non_null(strstr(error_message(), rows[i].pattern));
        } else {
            Encoding encoding;
            assert_int_equal(tokenizer_encode(&encoding, tokenizer, rows[i].text, strlen(rows[i].text), NULL, 0, NULL),
                             LIMN_OK);
            if (encoding.n != rows[i].n) {
                fail_msg("%s cuts %s into %d pieces, expected %d", rows[i].pattern, rows[i].text, (int)encoding.n,
                         (int)rows[i].n);
            }
            encoding_free(&encoding);
            tokenizer_free(tokenizer);
        }
        remove_temporary(path);
        free(text);
        json_decref(file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stated),       cmocka_unit_test(test_named),       cmocka_unit_test(test_rules_differ),
        cmocka_unit_test(test_unknown_name), cmocka_unit_test(test_expressions),
    };
    return cmocka_run_group_tests(tests, load_goldens, free_goldens);
}
