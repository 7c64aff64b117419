/* Common words of English and Chinese by what they can stand for (word_lists.def): what may take a word's place where
 * neither a person nor a model names anything better, and which neighbouring characters form one Chinese word. */
#ifndef LIMN_ASK_WORD_LISTS_H
#define LIMN_ASK_WORD_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "call/method.h"

typedef struct ListedWord {
    Text text;
    const char *language; /* "en", "zh", "any" */
    uint32_t category;    /* its own number; compare only */
} ListedWord;

typedef struct WordLists {
    ListedWord *items; /* [n] in the order of the file; a word stands once for each of its categories */
    int32_t n;
    Map first;     /* a text to the first item that has it */
    int32_t *next; /* [n] the next item of the same text; -1: none */
} WordLists;

limn_status word_lists_open(WordLists *lists, Arena *arena);
void word_lists_close(WordLists *lists);

/* Bits of the categories a word stands in; 0: it stands in none. */
uint64_t word_lists_categories(const WordLists *lists, Text word);

#endif
