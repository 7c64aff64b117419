/* The words renderers say themselves, in the language of the document: one table, words.def. */
#ifndef LIMN_RENDER_WORDS_H
#define LIMN_RENDER_WORDS_H

#include "result/result.h"

typedef enum WordId {
#define WORD(id, english, chinese) WORD_##id,
#include "render/words.def"
    WORD_COUNT
} WordId;

/* words[WORD_CHECKS]: "Checks". */
typedef const char *const *Words;

/* language: "en", "zh"; what is not known is English. */
Words words_in(const char *language);
/* A document's name (of a column, a check, a grouping, a token's state) as readers of these words know it. */
Text word_for_name(Words words, Text name);
/* What stands in a cell of a column of names, likewise. */
Text word_for_cell(Words words, Text cell);
const char *word_for_string(Words words, const char *name);
/* What stands above a block: its title, that of a method in these words; else its id. */
Text word_for_block(Words words, const Block *block);

#endif
