#include "render/words.h"

#include <string.h>

static const char *const english_words[] = {
#define WORD(id, english, chinese) [WORD_##id] = english,
#include "render/words.def"
};

static const char *const chinese_words[] = {
#define WORD(id, english, chinese) [WORD_##id] = chinese,
#include "render/words.def"
};

typedef struct Pair {
    const char *english, *chinese;
} Pair;

static const Pair names[] = {
#define NAME(english, chinese) {english, chinese},
#include "render/words.def"
};

static const Pair cells[] = {
#define CELL(english, chinese) {english, chinese},
#include "render/words.def"
};

Words words_in(const char *language) {
    return language != NULL && strcmp(language, "zh") == 0 ? chinese_words : english_words;
}

/* NULL where it has no row. */
static const char *in_chinese(const Pair *pairs, size_t n, Text english) {
    for (size_t i = 0; i < n; i++) {
        if (text_is(english, pairs[i].english)) {
            return pairs[i].chinese;
        }
    }
    return NULL;
}

Text word_for_name(Words words, Text name) {
    const char *chinese = words == chinese_words ? in_chinese(names, sizeof names / sizeof *names, name) : NULL;
    return chinese != NULL ? text_of(chinese) : name;
}

Text word_for_cell(Words words, Text cell) {
    const char *chinese = words == chinese_words ? in_chinese(cells, sizeof cells / sizeof *cells, cell) : NULL;
    return chinese != NULL ? text_of(chinese) : word_for_name(words, cell);
}

const char *word_for_string(Words words, const char *name) {
    return word_for_name(words, text_of(name)).bytes;
}

Text word_for_block(Words words, const Block *block) {
    return block->title.length > 0 ? word_for_name(words, block->title) : text_of(block->id);
}
