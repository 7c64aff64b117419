/* Words of prompts: runs of letters, phrases of up to four words, and of Chinese every two to four characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "audit/features.h"
#include "base/text_buffer.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* "word:characters:words" of each, a space between; Chinese ones begin with '+'. */
static limn_status note(void *context, const char *word, size_t length, bool han, int32_t characters, int32_t words) {
    TextBuffer *out = context;
    text_buffer_printf(out, "%s%s%.*s:%d:%d", out->length > 0 ? "|" : "", han ? "+" : "", (int)length, word,
                       (int)characters, (int)words);
    return LIMN_OK;
}

static void texts_are_cut(void **state) {
    static const char *const cases[][2] = {
        {"", ""},
        {"?! .", ""},
        {"One TWO", "one:3:1|two:3:1|one two:7:2"},
        {"a, b", "a:1:1|b:1:1"},
        {"a  b", "a:1:1|b:1:1"}, /* two spaces: no phrase */
        {"a b c d e", "a:1:1|b:1:1|a b:3:2|c:1:1|b c:3:2|a b c:5:3|d:1:1|c d:3:2|b c d:5:3|a b c d:7:4|e:1:1|d e:3:2|"
                      "c d e:5:3|b c d e:7:4"},
        {"x9-y", "x9:2:1|y:1:1"},
        {"好", ""},
        {"银行", "+银行:2:1"},
        {"银行挤兑", "+银行:2:1|+银行挤:3:1|+银行挤兑:4:1|+行挤:2:1|+行挤兑:3:1|+挤兑:2:1"},
        {"一二三四五", "+一二:2:1|+一二三:3:1|+一二三四:4:1|+二三:2:1|+二三四:3:1|+二三四五:4:1|+三四:2:1|+三四五:3:1|"
                       "+四五:2:1"},
        {"a银行b", "a:1:1|+银行:2:1|b:1:1"},
        {"银行，行长", "+银行:2:1|+行长:2:1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TextBuffer out = TEXT_BUFFER_INIT;
        assert_int_equal(features_of_text(cases[i][0], note, &out), LIMN_OK);
        assert_string_equal(out.data == NULL ? "" : out.data, cases[i][1]);
        text_buffer_free(&out);
    }
}

static void words_are_found_whole(void **state) {
    static const struct {
        const char *text, *word;
        int at; /* -1: nowhere */
        const char *exchanged;
    } cases[] = {{"a Cab is a cab", "cab", 2, "a X is a X"},
                 {"cabs", "cab", -1, "cabs"},
                 {"scab", "cab", -1, "scab"},
                 {"scab cab", "cab", 5, "scab X"},
                 {"cab", "cab", 0, "X"},
                 {"the red cab", "red cab", 4, "the X"},
                 {"écab cabé cab", "cab", 12, "écab cabé X"},
                 {"买cab吧", "cab", 3, "买X吧"},
                 {"cab银行，cab", "cab", 0, "X银行，X"},
                 {"有银行的", "银行", 3, "有X的"},
                 {"银银行行", "银行", 3, "银X行"},
                 {"银 行", "银行", -1, "银 行"},
                 {"a bank. Go on", ". go", 6, "a bankX on"},
                 {"a bank. Gone", ". go", -1, "a bank. Gone"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Arena arena;
        arena_init(&arena);
        const char *found = word_find(cases[i].text, cases[i].word);
        assert_int_equal(found == NULL ? -1 : (int)(found - cases[i].text), cases[i].at);
        assert_string_equal(word_exchange(&arena, cases[i].text, cases[i].word, "X"), cases[i].exchanged);
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_cut), cmocka_unit_test(words_are_found_whole)};
    return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
