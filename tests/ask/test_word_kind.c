/* What may take a word's place: kinds, forms of one word, the shipped lists, words of scripts without spaces. */
#include "ask/word_kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ask/segment.h"
#include "ask/word_lists.h"
#include "base/utf8.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void test_kinds(void **state) {
    static const struct {
        const char *word;
        WordClass class;
        WordCase case_;
        int32_t characters;
    } cases[] = {
        {"bitcoin", WORD_LETTERS, WORD_LOWER, 7},
        {"Bitcoin", WORD_LETTERS, WORD_TITLE, 7},
        {"I", WORD_LETTERS, WORD_TITLE, 1},
        {"NATO", WORD_LETTERS, WORD_UPPER, 4},
        {"BankRun", WORD_LETTERS, WORD_TITLE, 7},
        {"don't", WORD_LETTERS, WORD_LOWER, 5},
        {"\xC3\xA9t\xC3\xA9", WORD_LETTERS, WORD_LOWER, 3},
        {"比特币", WORD_LETTERS, WORD_UNCASED, 3},
        {"2024", WORD_NUMBER, WORD_UNCASED, 4},
        {"t3", WORD_CODE, WORD_UNCASED, 2},
        {"...", WORD_PUNCTUATION, WORD_UNCASED, 3},
        {"。", WORD_PUNCTUATION, WORD_UNCASED, 1},
        {"🤔", WORD_EMOJI, WORD_UNCASED, 1},
        {"👍🏽", WORD_EMOJI, WORD_UNCASED, 1},
        {"❤️", WORD_EMOJI, WORD_UNCASED, 1},
        {" ", WORD_NOTHING, WORD_UNCASED, 1},
        {"\n", WORD_NOTHING, WORD_UNCASED, 1},
        {"", WORD_NOTHING, WORD_UNCASED, 0},
        {"a\xE6\xAF", WORD_NOTHING, WORD_UNCASED, 1}, /* half a character */
        {"ok!", WORD_NOTHING, WORD_UNCASED, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        WordKind kind = word_kind(text_of(cases[i].word));
        if (kind.class != cases[i].class || kind.case_ != cases[i].case_ || kind.characters != cases[i].characters) {
            fail_msg("'%s': class %d, case %d, %d characters", cases[i].word, (int)kind.class, (int)kind.case_,
                     (int)kind.characters);
        }
    }
}

static bool alike(const char *a, const char *b) {
    WordKind first = word_kind(text_of(a)), second = word_kind(text_of(b));
    return word_kinds_match(&first, &second);
}

static void test_matching(void **state) {
    assert_true(alike("bitcoin", "gold") && alike("Paris", "London") && alike("USA", "UK"));
    assert_false(alike("bitcoin", "Gold") || alike("bitcoin", "USA") || alike("gold", "黄金"));
    assert_true(alike("比特币", "房地产") && alike("黄金", "白银"));
    assert_false(alike("比特币", "黄金")); /* Han: as long */
    assert_true(alike("1999", "2024") && alike(".", "!") && alike("。", "，") && alike("🤔", "😂"));
    assert_false(alike("1999", "12") || alike(".", "。") || alike(".", "x") || alike("?", "...") || alike("🤔", "."));
    assert_false(alike(" ", " ") || alike("\n", "\n"));
    assert_false(alike("да", "yes"));
    assert_true(alike("𝑥", "𝑦"));                             /* letters that belong to no script */
    assert_false(alike("даyes", "даyes") || alike("𝑥", "x")); /* of several scripts; of none and of one */
    assert_true(alike("t3", "x9") && alike("$", "%") && alike("don't", "won't"));
    assert_false(alike("t3", "t33") || alike("t3", "33") || alike("$", "$$"));
}

static bool related(const char *a, const char *b) {
    return words_related(text_of(a), text_of(b)) && words_related(text_of(b), text_of(a));
}

static void test_forms(void **state) {
    assert_true(related("bitcoin", "Bitcoin") && related("bitcoin", "bitcoins") && related("it", "its"));
    assert_true(related("coin", "bitcoin") && related("bank", "banker") && related("running", "runner") == false);
    assert_true(related("withdraw", "withdrawal") && related("Save", "saved"));
    assert_false(related("gold", "bitcoin") || related("a", "an") || related("he", "she") || related("the", "then"));
    assert_true(related("银行", "银行"));
    assert_false(related("银行", "银子"));
}

static void test_case(void **state) {
    Arena arena;
    arena_init(&arena);
    size_t length;
    assert_string_equal(word_in_case(text_of("today"), WORD_TITLE, &length, &arena), "Today");
    assert_string_equal(word_in_case(text_of("\xC3\xA9t\xC3\xA9"), WORD_UPPER, &length, &arena), "\xC3\x89T\xC3\x89");
    assert_int_equal(length, 5);
    assert_string_equal(word_in_case(text_of("NATO"), WORD_LOWER, &length, &arena), "nato");
    arena_free(&arena);
}

/* The lists are what they say: each word one piece of a kind, none twice in its category; enough of each to draw from.
 */
static void test_lists(void **state) {
    Arena arena;
    arena_init(&arena);
    WordLists lists;
    assert_int_equal(word_lists_open(&lists, &arena), LIMN_OK);
    assert_true(lists.n > 2500);
    for (int32_t i = 0; i < lists.n; i++) {
        const ListedWord *item = &lists.items[i];
        WordKind kind = word_kind(item->text);
        if (!utf8_is_valid(item->text.bytes, item->text.length) || kind.class == WORD_NOTHING) {
            fail_msg("'%.*s' is no word", (int)item->text.length, item->text.bytes);
        }
        for (int32_t k = lists.next[i]; k >= 0; k = lists.next[k]) {
            if (lists.items[k].category == item->category && strcmp(lists.items[k].language, item->language) == 0) {
                fail_msg("'%.*s' stands twice", (int)item->text.length, item->text.bytes);
            }
        }
    }
    uint64_t noun = word_lists_categories(&lists, text_of("gold"));
    assert_true(noun != 0 && (noun & word_lists_categories(&lists, text_of("黄金"))) != 0);
    assert_int_equal(word_lists_categories(&lists, text_of("bitcoin")), 0);
    assert_int_equal(word_lists_categories(&lists, text_of("")), 0);
    word_lists_close(&lists);
    arena_free(&arena);
}

static void cut(const char *text, const char *expected) {
    Arena arena;
    arena_init(&arena);
    uint8_t *begins;
    assert_int_equal(segment_words(&begins, text_of(text), &arena), LIMN_OK);
    char found[256] = "";
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (i > 0 && begins[i]) {
            strcat(found, "|");
        }
        strncat(found, text + i, 1);
    }
    assert_string_equal(found, expected);
    arena_free(&arena);
}

static void test_segments(void **state) {
    cut("移民说银行门口没钱了。", "移民|说|银行|门口|没|钱|了|。");
    cut("还有比特币。", "还有|比特币|。");
    cut("饕餮来了", "饕餮|来|了");
    cut("plain words", "plain| |words");
    cut("", "");
    cut("\xE6\xAF和", "\xE6\xAF|和"); /* half a character */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds), cmocka_unit_test(test_matching), cmocka_unit_test(test_forms),
        cmocka_unit_test(test_case),  cmocka_unit_test(test_lists),    cmocka_unit_test(test_segments),
    };
    return cmocka_run_group_tests_name("word_kind", tests, NULL, NULL);
}
