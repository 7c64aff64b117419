#include "ask/word_lists.h"

#include <string.h>

/* Categories that stand in both languages have one number each for all their rows. */
enum {
    CATEGORY_noun,
    CATEGORY_noun_plural,
    CATEGORY_verb,
    CATEGORY_verb_s,
    CATEGORY_verb_past,
    CATEGORY_verb_ing,
    CATEGORY_adjective,
    CATEGORY_adverb,
    CATEGORY_pronoun,
    CATEGORY_preposition,
    CATEGORY_conjunction,
    CATEGORY_determiner,
    CATEGORY_auxiliary,
    CATEGORY_particle,
    CATEGORY_number_word,
    CATEGORY_measure,
    CATEGORY_interjection,
    CATEGORY_first_name,
    CATEGORY_surname,
    CATEGORY_person,
    CATEGORY_city,
    CATEGORY_country,
    CATEGORY_calendar,
    CATEGORY_organisation,
    CATEGORY_nationality,
    CATEGORY_acronym,
    CATEGORY_idiom,
    CATEGORY_punctuation,
    CATEGORY_emoji,
    CATEGORY_COUNT
};
_Static_assert(CATEGORY_COUNT <= 64, "categories are bits");

static const struct {
    const char *language;
    uint32_t category;
    const char *words;
} rows[] = {
#define WORDS(language, category, words) {#language, CATEGORY_##category, words},
#include "ask/word_lists.def"
#undef WORDS
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int32_t count_words(void) {
    int32_t n = 0;
    for (int r = 0; r < ROWS; r++) {
        for (const char *at = rows[r].words; *at != '\0'; at += strspn(at, " ")) {
            at += strcspn(at, " ");
            n++;
        }
    }
    return n;
}

static limn_status add_word(WordLists *lists, const char *bytes, size_t length, int row) {
    int32_t index = lists->n++;
    lists->items[index] = (ListedWord){{bytes, length}, rows[row].language, rows[row].category};
    lists->next[index] = -1;
    uint64_t first;
    if (map_get(&lists->first, bytes, length, &first)) {
        int32_t last = (int32_t)first;
        while (lists->next[last] >= 0) {
            last = lists->next[last];
        }
        lists->next[last] = index;
        return LIMN_OK;
    }
    return map_put(&lists->first, bytes, length, (uint64_t)index);
}

limn_status word_lists_open(WordLists *lists, Arena *arena) {
    int32_t n = count_words();
    *lists = (WordLists){.items = ARENA_ARRAY(arena, ListedWord, n + 1), .next = ARENA_ARRAY(arena, int32_t, n + 1)};
    map_init(&lists->first);
    if (lists->items == NULL || lists->next == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for %d words", n);
    }
    limn_status status = map_reserve(&lists->first, (size_t)n);
    for (int r = 0; r < ROWS; r++) {
        for (const char *at = rows[r].words; status == LIMN_OK && *at != '\0'; at += strspn(at, " ")) {
            size_t length = strcspn(at, " ");
            status = add_word(lists, at, length, r);
            at += length;
        }
    }
    if (status != LIMN_OK) {
        word_lists_close(lists);
    }
    return status;
}

void word_lists_close(WordLists *lists) {
    map_free(&lists->first);
}

uint64_t word_lists_categories(const WordLists *lists, Text word) {
    uint64_t bits = 0;
    uint64_t first;
    if (word.length == 0 || !map_get(&lists->first, word.bytes, word.length, &first)) {
        return 0;
    }
    for (int32_t i = (int32_t)first; i >= 0; i = lists->next[i]) {
        bits |= (uint64_t)1 << lists->items[i].category;
    }
    return bits;
}
