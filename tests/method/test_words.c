#include "ask/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_TOKENS = 32 };

/* A prompt whose tokens are the pieces between '|'; a piece "*" shares the character of the piece before it. */
typedef struct Case {
    const char *pieces;
    const char *words; /* expected, each followed by '|' */
    int32_t sentences;
} Case;

static const Case cases[] = {
    {"When| Mary| and| John", "When|Mary|and|John|", 1},
    {"token|ization| is| un|believ|able", "tokenization|is|unbelievable|", 1},
    {"Hello|,| world|!| Bye|.", "Hello|,|world|!|Bye|.|", 2},
    {"don|'t| stop", "don't|stop|", 1},
    {"中国|的|首|*|*|都|*|是", "中国|的|首都|是|", 1},
    {"国|*|。|法|*", "国|。|法|", 2},
    {"还|有|比|特|币|。| Ok", "还有|比特币|。|Ok|", 2}, /* ICU cuts its last word in three */
    {"银行|的提|款", "银行|的提款|", 1},                /* no word begins inside a token */
    {"我|爱|饕|餮", "我|爱|饕餮|", 1},                  /* two remainders are one unknown word */
    {"a|\n|b", "a|\n|b|", 2},
    {"one| |two", "one| |two|", 1},
    {"caf|é", "café|", 1},
    {"z|a|Z|A|0|9|_|'", "zaZA09_'|", 1},
    {"a|/|0|:|9|@|A|[|Z|^|_|`|a|{|z|~|x", "a|/|0|:|9|@|A|[|Z|^|_|`|a|{|z|~|x|", 1}, /* what stands beside letters */
};

static void add_token(Token *tokens, int32_t *n, const char *text, const char *piece, size_t length, size_t *at) {
    assert_true(*n < MOST_TOKENS);
    if (length == 1 && *piece == '*') {
        tokens[*n] = tokens[*n - 1];
    } else {
        assert_memory_equal(text + *at, piece, length);
        tokens[*n] = (Token){.begin = (int64_t)*at, .end = (int64_t)(*at + length)};
        *at += length;
    }
    ++*n;
}

static void check(const Case *one) {
    char text[256] = "";
    Token tokens[MOST_TOKENS];
    int32_t ids[MOST_TOKENS] = {0}, n = 0;
    size_t at = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (const char *piece = one->pieces; *piece != '\0';) {
            size_t length = strcspn(piece, "|");
            if (pass == 1) {
                add_token(tokens, &n, text, piece, length, &at);
            } else if (length != 1 || *piece != '*') {
                strncat(text, piece, length);
            }
            piece += length + (piece[length] == '|');
        }
    }
    Arena arena;
    arena_init(&arena);
    MethodCall call = {.arena = &arena};
    Prompt prompt = {.text = {text, strlen(text)}, .ids = ids, .tokens = tokens, .n = n};
    TokenRuns words, sentences;
    assert_int_equal(words_of(&words, &call, NULL, &prompt), LIMN_OK);
    assert_int_equal(sentences_of(&sentences, &call, NULL, &prompt, &words), LIMN_OK);
    char found[256] = "";
    for (int32_t w = 0; w < words.n; w++) {
        Text word = run_text(&call, NULL, &prompt, words.begins[w], words.begins[w + 1]);
        strncat(found, word.bytes, word.length);
        strcat(found, "|");
    }
    assert_string_equal(found, one->words);
    assert_int_equal(sentences.n, one->sentences);
    assert_int_equal(words.begins[words.n], n);
    assert_int_equal(sentences.begins[sentences.n], n);
    arena_free(&arena);
}

static void test_words(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check(&cases[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
