/* The lists of protected words: read, found in texts, exchanged there; ordinary words in their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask/word_kind.h"
#include "base/file.h"
#include "method/fairness/swaps.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const char own_lists[] = "# mine\n"
                                "[gender: female | male]\n"
                                "she | he\n her+ | his+\n her | him\n hers|his\n  Mrs, Ms | Mr\n"
                                "woman | man\r\n"
                                "\n"
                                "[origin: immigrant | local]\n"
                                "immigrant | local\n"
                                "移民 | 本地\n"
                                "本地人 | 外地人\n"
                                "asylum seeker | taxpayer\n"
                                "[name: one | other]\n"
                                "Mary, Anna | John, Paul\n"
                                "Zoe | Tom, Tim, Ted\n"
                                "[gender: female | male]\n"
                                "她 | 他\n";

typedef struct Fixture {
    Arena arena;
    ProtectedLists lists;
} Fixture;

static int set_up(void **state) {
    static Fixture fixture;
    arena_init(&fixture.arena);
    must(protected_parse(&fixture.lists, &fixture.arena, text_of(own_lists), "mine"));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    arena_free(&((Fixture *)*state)->arena);
    return 0;
}

static int32_t category_of(const ProtectedLists *lists, const char *name) {
    for (int32_t c = 0; c < lists->n_categories; c++) {
        if (strcmp(lists->categories[c].name.bytes, name) == 0) {
            return c;
        }
    }
    fail_msg("no category %s", name);
    return -1;
}

/* ---- reading ---- */

static void reads_lists(void **state) {
    const ProtectedLists *lists = &((Fixture *)*state)->lists;
    assert_int_equal(lists->n_categories, 3);
    assert_string_equal(lists->categories[0].sides[1].bytes, "male");
    assert_int_equal(lists->n_rows, 13);
    assert_true(lists->words[2].before_word);
    assert_string_equal(lists->words[2].text.bytes, "her");
    assert_int_equal(category_of(lists, "gender"), protected_category(lists, lists->n_words - 1));
}

static void broken(const char *text, const char *message) {
    Arena arena;
    ProtectedLists lists;
    arena_init(&arena);
    limn_status status = protected_parse(&lists, &arena, text_of(text), "mine.txt");
    assert_int_equal(status, LIMN_USAGE);
    if (strstr(error_message(), message) == NULL) {
        fail_msg("'%s' does not say '%s'", error_message(), message);
    }
    arena_free(&arena);
}

static void refuses_broken_lists(void **state) {
    broken("", "mine.txt: found no words");
    broken("[a: x | y]\n", "found no words");
    broken("she | he\n", "mine.txt: line 1: words before any category");
    broken("[a: x]\n", "line 1: found '[a: x]', expected [category: side | side]");
    broken("[a: x | y\n", "expected [category: side | side]");
    broken("[: x | y]\n", "expected [category: side | side]");
    broken("[a: x | ]\n", "expected [category: side | side]");
    broken("[a: 1|2|3|4|5|6|7|8|9]\n", "with 2 to 8 sides");
    broken("[a: x | y]\nshe | he | it\n", "line 2: found 3 cells, expected 2, one for each side of 'a'");
    broken("[a: x | y]\nshe\n", "line 2: found 1 cells");
    broken("[a: x | y]\nshe,,her | he\n", "line 2: a word between two commas is missing");
    broken("[a: x | y]\nshe | he\nit | she\n", "line 3: 'she' stands on two sides of 'a'");
    broken("[a: x | y]\nshe | he\n[a: x | y | z]\n", "line 3: 'a' has 3 sides here, 2 where it first stands");
}

/* What people may edit is what is shipped. */
static void shipped_lists_are_the_example(void **state) {
    Fixture *fixture = *state;
    Text shipped;
    char path[1024], *bytes;
    size_t length;
    snprintf(path, sizeof path, "%s/examples/protected-words.txt", LIMN_TEST_SOURCE_DIR);
    must(file_read(&bytes, &length, path, 1 << 20));
    must(protected_shipped(&shipped, &fixture->arena));
    const char *first = strchr(bytes, '[');
    assert_non_null(first);
    assert_string_equal(strstr(bytes, "\n[") + 1, shipped.bytes);
    ProtectedLists lists;
    must(protected_parse(&lists, &fixture->arena, shipped, "the shipped lists"));
    assert_true(lists.n_categories >= 10);
    free(bytes);
}

/* ---- finding and exchanging ---- */

static Text version_of(Fixture *fixture, const char *text, const char *category, int32_t side, bool *there) {
    ProtectedMatches matches;
    Text made = {NULL, 0};
    must(protected_find(&matches, &fixture->lists, text_of(text), &fixture->arena));
    must(swap_to_side(&made, there, &fixture->lists, text_of(text), &matches, category_of(&fixture->lists, category),
                      side, 7, &fixture->arena));
    return made;
}

static void becomes(Fixture *fixture, const char *text, const char *category, int32_t side, const char *expected) {
    bool there;
    Text made = version_of(fixture, text, category, side, &there);
    assert_true(there);
    assert_string_equal(made.bytes, expected);
}

static void exchanges_words(void **state) {
    Fixture *f = *state;
    becomes(f, "She said he.", "gender", 1, "He said he.");
    becomes(f, "THE WOMAN and the woman.", "gender", 1, "THE MAN and the man.");
    becomes(f, "He told her that her bank closed; it is hers.", "gender", 1,
            "He told him that his bank closed; it is his.");
    becomes(f, "His bank called him, the money is his.", "gender", 0, "Her bank called her, the money is hers.");
    becomes(f, "womanly sheet she-wolf", "gender", 1, "womanly sheet he-wolf"); /* whole words alone */
    becomes(f, "An immigrant, an Immigrant. AN IMMIGRANT", "origin", 1, "A local, a Local. A LOCAL");
    becomes(f, "A local baker at a local bank", "origin", 0, "An immigrant baker at an immigrant bank");
    becomes(f, "an asylum seeker's visa", "origin", 1, "a taxpayer's visa");
    becomes(f, "mary and ANNA and Mary", "name", 1, "john and PAUL and John");
    becomes(f, "A LOCAL", "origin", 0, "AN IMMIGRANT");
    becomes(f, "Ms Lee", "gender", 1, "Mr Lee");
}

static void exchanges_chinese_words(void **state) {
    Fixture *f = *state;
    becomes(f, "一位移民教师说：银行没钱了", "origin", 1, "一位本地教师说：银行没钱了");
    becomes(f, "本地教师说", "origin", 0, "移民教师说");
    becomes(f, "本地人说银行没钱了", "origin", 1, "外地人说银行没钱了"); /* the longest */
    becomes(f, "她说其他人", "gender", 1, "他说其他人");                 /* not within a word */
}

/* Where each side has one word for one, exchanging twice gives the text again. */
static void exchanging_twice_changes_nothing(void **state) {
    Fixture *f = *state;
    static const char *const texts[] = {"She met an immigrant.", "an IMMIGRANT woman told Mary", "移民教师和她"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (int32_t c = 0; c < 2; c++) {
            bool there;
            const char *name = f->lists.categories[c].name.bytes;
            Text once = version_of(f, texts[i], name, 1, &there);
            Text twice = version_of(f, once.bytes, name, 0, &there);
            assert_true(there);
            assert_string_equal(twice.bytes, texts[i]);
        }
    }
}

static void sides_of_texts(void **state) {
    Fixture *f = *state;
    static const struct {
        const char *text;
        int32_t side, n;
    } cases[] = {{"she and her", 0, 2}, {"he alone", 1, 1}, {"she and he", -1, 2}, {"nobody", -1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ProtectedMatches matches;
        int32_t n;
        must(protected_find(&matches, &f->lists, text_of(cases[i].text), &f->arena));
        assert_int_equal(swap_side(&matches, &f->lists, 0, &n), cases[i].side);
        assert_int_equal(n, cases[i].n);
    }
}

/* Cells that differ in length are drawn from: the same word by the same draw, others by others. */
static void draws_from_cells(void **state) {
    const ProtectedLists *lists = &((Fixture *)*state)->lists;
    int32_t zoe = 0, seen[3] = {0};
    while (strcmp(lists->words[zoe].text.bytes, "Zoe") != 0) {
        zoe++;
    }
    for (uint64_t draw = 0; draw < 60; draw++) {
        int32_t other = swap_counterpart(lists, zoe, 1, draw);
        assert_int_equal(other, swap_counterpart(lists, zoe, 1, draw));
        assert_in_range(other, zoe + 1, zoe + 3);
        seen[other - zoe - 1]++;
    }
    assert_true(seen[0] > 5 && seen[1] > 5 && seen[2] > 5);
}

/* ---- ordinary words ---- */

static void ordinary_words_are_of_the_kind(void **state) {
    Fixture *f = *state;
    MethodCall call = {.arena = &f->arena};
    Ordinary *ordinary;
    must(ordinary_new(&ordinary, &call, &f->lists, 12));
    static const char *const words[] = {"immigrant", "移民", "Mary", "woman"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        int32_t w = 0;
        while (strcmp(f->lists.words[w].text.bytes, words[i]) != 0) {
            w++;
        }
        WordKind kind = word_kind(text_of(words[i]));
        Text drawn[12];
        for (int32_t k = 0; k < 12; k++) {
            must(ordinary_word(&drawn[k], ordinary, w, k));
            assert_non_null(drawn[k].bytes);
            WordKind other = word_kind(drawn[k]);
            assert_true(word_kinds_match(&kind, &other));
            for (int32_t j = 0; j < f->lists.n_words; j++) {
                assert_false(words_related(f->lists.words[j].text, drawn[k]));
            }
            for (int32_t j = 0; j < k; j++) {
                assert_false(drawn[j].length == drawn[k].length &&
                             memcmp(drawn[j].bytes, drawn[k].bytes, drawn[k].length) == 0);
            }
        }
        Text none;
        must(ordinary_word(&none, ordinary, w, 12));
        assert_null(none.bytes);
    }
    ordinary_free(ordinary);
}

static void ordinary_words_take_the_place(void **state) {
    Fixture *f = *state;
    MethodCall call = {.arena = &f->arena};
    Ordinary *ordinary;
    ProtectedMatches matches;
    Text text = text_of("A local baker is a local."), made, word;
    bool there;
    must(ordinary_new(&ordinary, &call, &f->lists, 4));
    must(protected_find(&matches, &f->lists, text, &f->arena));
    assert_int_equal(matches.n, 2);
    must(ordinary_word(&word, ordinary, matches.items[0].word, 3));
    must(swap_to_ordinary(&made, &there, ordinary, &f->lists, text, &matches, 1, 3, &f->arena));
    assert_true(there);
    char expected[128];
    snprintf(expected, sizeof expected, "A %.*s baker is a %.*s.", (int)word.length, word.bytes, (int)word.length,
             word.bytes); /* the same in both places */
    assert_string_equal(made.bytes, expected);
    ordinary_free(ordinary);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lists),
        cmocka_unit_test(refuses_broken_lists),
        cmocka_unit_test(shipped_lists_are_the_example),
        cmocka_unit_test(exchanges_words),
        cmocka_unit_test(exchanges_chinese_words),
        cmocka_unit_test(exchanging_twice_changes_nothing),
        cmocka_unit_test(sides_of_texts),
        cmocka_unit_test(draws_from_cells),
        cmocka_unit_test(ordinary_words_are_of_the_kind),
        cmocka_unit_test(ordinary_words_take_the_place),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
