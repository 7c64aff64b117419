#include "audit/features.h"

#include <string.h>
#include <strings.h>

#include "base/utf8.h"

static bool is_han(uint32_t c) {
    return (c >= 0x3400 && c <= 0x9FFF) || (c >= 0x20000 && c <= 0x3FFFF) || (c >= 0xF900 && c <= 0xFAFF);
}

static bool is_letter(uint32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c >= 0xC0 && c < 0x2000);
}

/* ---- words ---- */

static limn_status tell_word(const char *text, size_t length, int32_t words, FeatureSeen each, void *context) {
    char word[FEATURE_BYTES_MAX + 1];
    if (length > FEATURE_BYTES_MAX) {
        return LIMN_OK;
    }
    for (size_t i = 0; i < length; i++) {
        bool capital = text[i] >= 'A' && text[i] <= 'Z';
        word[i] = (char)(capital ? text[i] + 32 : text[i]);
    }
    return each(context, word, length, false, (int32_t)length, words);
}

/* Two to four characters from each place of a run. */
static limn_status tell_han(const char *text, size_t length, FeatureSeen each, void *context) {
    for (size_t at = 0; at < length;) {
        size_t end = at, step = 0;
        for (int32_t n = 1; n <= 4 && end < length; n++) {
            utf8_next(text + end, &step);
            end += step;
            if (n >= 2) {
                TRY(each(context, text + at, end - at, true, n, 1));
            }
        }
        utf8_next(text + at, &step);
        at += step;
    }
    return LIMN_OK;
}

enum { PHRASE_MOST = 4 };

/* Where the words of the phrase that is being read begin; [n], the last one last. */
typedef struct Phrase {
    size_t begins[PHRASE_MOST];
    int32_t n;
    size_t end;
} Phrase;

/* The word [begin, end) alone and behind those before it. */
static limn_status tell_phrases(Phrase *phrase, const char *text, size_t begin, size_t end, FeatureSeen each,
                                void *context) {
    bool follows = phrase->n > 0 && begin == phrase->end + 1 && text[phrase->end] == ' ';
    if (!follows) {
        phrase->n = 0;
    } else if (phrase->n == PHRASE_MOST) {
        memmove(phrase->begins, phrase->begins + 1, (PHRASE_MOST - 1) * sizeof phrase->begins[0]);
        phrase->n--;
    }
    phrase->begins[phrase->n++] = begin;
    phrase->end = end;
    for (int32_t i = phrase->n - 1; i >= 0; i--) {
        TRY(tell_word(text + phrase->begins[i], end - phrase->begins[i], phrase->n - i, each, context));
    }
    return LIMN_OK;
}

limn_status features_of_text(const char *text, FeatureSeen each, void *context) {
    size_t length = strlen(text);
    Phrase phrase = {.n = 0};
    for (size_t at = 0; at < length;) {
        bool valid;
        uint32_t c;
        size_t step = utf8_read(text + at, length - at, &c, &valid), end = at + step;
        bool han = valid && is_han(c);
        if (!han && !(valid && is_letter(c))) {
            at = end;
            continue;
        }
        while (end < length) {
            step = utf8_read(text + end, length - end, &c, &valid);
            if (!valid || (han ? !is_han(c) : !is_letter(c))) {
                break;
            }
            end += step;
        }
        TRY(han ? tell_han(text + at, end - at, each, context) : tell_phrases(&phrase, text, at, end, each, context));
        at = end;
    }
    return LIMN_OK;
}

/* ---- counting ---- */

typedef struct Counter {
    Features *features;
    int64_t record;
} Counter;

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "audit: no memory for the words of a data set");
}

static limn_status grow(Features *features) {
    int32_t capacity = features->capacity > 0 ? 2 * features->capacity : 1024;
    Feature *items = ARENA_ARRAY(features->arena, Feature, capacity);
    if (items == NULL) {
        return no_memory();
    }
    if (features->n > 0) {
        memcpy(items, features->items, (size_t)features->n * sizeof *items);
    }
    features->items = items;
    features->capacity = capacity;
    return LIMN_OK;
}

static limn_status count_word(void *context, const char *word, size_t length, bool han, int32_t characters,
                              int32_t words) {
    Counter *counter = context;
    Features *features = counter->features;
    uint64_t place;
    if (!map_get(&features->places, word, length, &place)) {
        if (features->n == FEATURES_MAX) {
            return LIMN_OK; /* rarer words than these are no candidates */
        }
        TRY(features->n == features->capacity ? grow(features) : LIMN_OK);
        char *copy = arena_strndup(features->arena, word, length);
        if (copy == NULL) {
            return no_memory();
        }
        place = (uint64_t)features->n++;
        features->items[place] =
            (Feature){.text = copy, .han = han, .characters = characters, .words = words, .last = -1};
        TRY(map_put(&features->places, copy, length, place));
    }
    Feature *feature = &features->items[place];
    feature->n += feature->last != counter->record;
    feature->last = counter->record;
    return LIMN_OK;
}

limn_status features_count(Features *features, const Cases *cases, Arena *arena) {
    *features = (Features){.arena = arena};
    for (int64_t i = 0; i < cases->n; i++) {
        Counter counter = {features, cases->items[i].record};
        if (cases->items[i].nominates && cases->items[i].prompt != NULL) {
            TRY(features_of_text(cases->items[i].prompt, count_word, &counter));
        }
    }
    return LIMN_OK;
}

void features_free(Features *features) {
    map_free(&features->places);
}

/* ---- exchanging ---- */

/* Whether the character that begins here, or one that is broken, is a letter. */
static bool letter_at(const char *at) {
    bool valid;
    uint32_t c;
    utf8_read(at, strlen(at), &c, &valid);
    return valid && is_letter(c);
}

/* Of the character that ends before here. */
static bool letter_before(const char *text, const char *at) {
    const char *before = at;
    while (before > text && ((unsigned char)*--before & 0xC0) == 0x80) {
    }
    return at > text && letter_at(before);
}

/* No word goes on over its ends: "BTC" stands alone between Chinese characters, and not behind an "é". */
static bool stands_alone(const char *text, const char *at, size_t length) {
    bool opens = letter_at(at), closes = letter_before(at, at + length);
    return !(opens && letter_before(text, at)) && !(closes && at[length] != '\0' && letter_at(at + length));
}

const char *word_find(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *at = text; *at != '\0'; at++) {
        if (strncasecmp(at, word, length) == 0 && stands_alone(text, at, length)) {
            return at;
        }
    }
    return NULL;
}

const char *word_exchange(Arena *arena, const char *text, const char *word, const char *with) {
    TextBuffer out = TEXT_BUFFER_INIT;
    size_t length = strlen(word);
    const char *rest = text;
    for (const char *at = word_find(rest, word); at != NULL; at = word_find(rest, word)) {
        text_buffer_add_bytes(&out, rest, (size_t)(at - rest));
        text_buffer_add(&out, with);
        rest = at + length;
    }
    text_buffer_add(&out, rest);
    const char *made = out.failed ? NULL : arena_strdup(arena, out.data != NULL ? out.data : "");
    text_buffer_free(&out);
    return made;
}
