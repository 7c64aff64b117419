#include "render/words.h"

#include <string.h>

static const char *const english_words[] = {
#define WORD(id, english, chinese) [WORD_##id] = english,
#define NAME(english, chinese)
#include "render/words.def"
#undef WORD
#undef NAME
};

static const char *const chinese_words[] = {
#define WORD(id, english, chinese) [WORD_##id] = chinese,
#define NAME(english, chinese)
#include "render/words.def"
#undef WORD
#undef NAME
};

static const struct {
    const char *english, *chinese;
} names[] = {
#define WORD(id, english, chinese)
#define NAME(english, chinese) {english, chinese},
#include "render/words.def"
#undef WORD
#undef NAME
};

Words words_in(const char *language) {
    return language != NULL && strcmp(language, "zh") == 0 ? chinese_words : english_words;
}

Text word_for_name(Words words, Text name) {
    for (size_t i = 0; words == chinese_words && i < sizeof names / sizeof *names; i++) {
        if (name.length == strlen(names[i].english) && memcmp(name.bytes, names[i].english, name.length) == 0) {
            return text_of(names[i].chinese);
        }
    }
    return name;
}

const char *word_for_string(Words words, const char *name) {
    return word_for_name(words, text_of(name)).bytes;
}

Text word_for_block(Words words, const Block *block) {
    return block->title.length > 0 ? word_for_name(words, block->title) : text_of(block->id);
}
