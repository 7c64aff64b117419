/* Pieces put together as the decoders of tokenizers put them together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/support.h"

#include <cmocka.h> /* last: its fail() is not ours */

static Opened open_json(const char *json) {
    char *path = temporary_file("tokenizer.json", json, strlen(json));
    Opened opened = open_tokenizer(path);
    remove_temporary(path);
    return opened;
}

/* decoders.Strip and BPEDecoder of tokenizers 0.23 on the same pieces. */
static void test_strip_and_suffix_decoders(void **state) {
#define STRIP(sign, left, right) "{\"type\":\"Strip\",\"content\":\"" sign "\",\"start\":" left ",\"stop\":" right "}"
#define SUFFIX                   "{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}"
    static const struct {
        const char *decoder;
        int32_t ids[3], n;
        const char *text;
    } rows[] = {
        {STRIP(" ", "1", "1"), {1, 2, 1}, 3, "a ba"},
        {STRIP(" ", "1", "1"), {2, 2}, 2, " b b"},
        {STRIP(" ", "1", "1"), {4, 5, 1}, 3, "aaabaa"},
        {STRIP(" ", "1", "1"), {9, 2, 9}, 3, " b"},
        {STRIP(" ", "2", "0"), {1, 2, 1}, 3, "ab a"},
        {STRIP(" ", "2", "0"), {3, 3, 1}, 3, "a"},
        {STRIP(" ", "2", "0"), {9, 2, 9}, 3, "b "},
        {STRIP("a", "1", "1"), {5}, 1, "b"},
        {STRIP("a", "1", "1"), {6, 6}, 2, "</w></w>"},
        {SUFFIX, {1, 2, 1}, 3, "a  b a"},
        {SUFFIX, {6, 6}, 2, "a a"},
        {SUFFIX, {6, 1, 7}, 3, "a ab"},
        {SUFFIX, {7, 7}, 2, "b  b"},
        {SUFFIX, {8, 8, 1}, 3, "  a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[500], *text;
        size_t length;
        snprintf(json, sizeof json,
                 "{\"decoder\":%s,\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,"
                 "\"a\":1,\"  b \":2,\" \":3,\"aa\":4,\"aba\":5,\"a</w>\":6,\"b</w></w>\":7,\"</w>\":8,\"  \":9}}}",
                 rows[i].decoder);
        Opened opened = open_json(json);
        assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, rows[i].ids, rows[i].n, false), LIMN_OK);
        if (strcmp(text, rows[i].text) != 0 || length != strlen(text)) {
            fail_msg("row %zu: '%s', expected '%s'", i, text, rows[i].text);
        }
        free(text);
        close_opened(&opened);
    }
    Tokenizer *tokenizer;
    static const char two[] = "{\"decoder\":" STRIP(
        "ab", "1", "1") ",\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"}}";
    char *path = temporary_file("tokenizer.json", two, sizeof two - 1);
    assert_int_equal(tokenizer_open_file(&tokenizer, path), LIMN_FORMAT);
    assert_non_null(strstr(error_message(), "decoder Strip: content 'ab', expected one character"));
    remove_temporary(path);
}

/* Pieces of WordPiece joined as decoders.WordPiece of tokenizers 0.23 joins them: a space before each but the first and
 * those that go on, and English spacing undone within each piece. */
static void test_word_piece_decoder(void **state) {
    static const struct {
        const char *prefix;
        bool cleanup;
        int32_t ids[13], n;
        const char *text;
    } rows[] = {
        {"##", true, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, 13, "ab.?!, 'n't'm don't's've're"},
        {"##", false, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, 13, "ab . ? ! , ' n't 'm do not 's 've 're"},
        {"##", true, {14}, 1, "it. is? so! or, then"},
        {"##", false, {14}, 1, "it . is ? so ! or , then"},
        {"##", true, {15, 15}, 2, ".? .?"},
        {"##", true, {16, 1}, 2, "I'm you're we've it's a"},
        {"##", true, {17, 17}, 2, "didn't don't didn't don't"},
        {"##", true, {18, 18}, 2, "the'bank '. the'bank '."},
        {"##", true, {1, 19, 1}, 3, "a a"},
        {"#", true, {1, 19, 1}, 3, "a# a"},
        {"##", true, {2, 2}, 2, "##bb"},
        {"##", true, {20, 20}, 2, "# #c # #c"},
        {"#", true, {20, 20}, 2, "# #c #c"},
        {"##", true, {21, 21}, 2, "a don'ts a don'ts"},
        {"##", true, {1, 2, 3, 3}, 4, "ab.."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[1200], *text;
        size_t length;
        snprintf(
            json, sizeof json,
            "{\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"%s\",\"cleanup\":%s},"
            "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"a\":1,\"##b\":2,\".\":"
            "3,\"?\":4,\"!\":5,\",\":6,\"'\":7,\"n't\":8,\"'m\":9,\"do not\":10,\"'s\":11,\"'ve\":12,\"'re\":13,\"it . "
            "is ? so ! or , then\":14,\" . ?\":15,\"I 'm you 're we 've it 's\":16,\"did n't do not\":17,\"the ' bank "
            "' .\":18,\"##\":19,\"# #c\":20,\"a do nots\":21}}}",
            rows[i].prefix, rows[i].cleanup ? "true" : "false");
        Opened opened = open_json(json);
        assert_int_equal(tokenizer_decode(&text, &length, opened.tokenizer, rows[i].ids, rows[i].n, false), LIMN_OK);
        if (strcmp(text, rows[i].text) != 0 || length != strlen(text)) {
            fail_msg("row %zu: '%s', expected '%s'", i, text, rows[i].text);
        }
        free(text);
        close_opened(&opened);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_strip_and_suffix_decoders),
                                       cmocka_unit_test(test_word_piece_decoder)};
    return cmocka_run_group_tests_name("decoders", tests, NULL, NULL);
}
