/* Tokens of a prompt grouped into words and sentences, for reading; no method computes with them. */
#ifndef LIMN_ASK_WORDS_H
#define LIMN_ASK_WORDS_H

#include "ask/prompt.h"

/* Group g is tokens [begins[g], begins[g + 1]); begins[n] is the number of tokens. */
typedef struct TokenRuns {
    int32_t *begins; /* [n + 1] */
    int32_t n;
} TokenRuns;

/* A word begins after white space, at punctuation, at special tokens, and in scripts written without spaces where
 * segment.h says so. A token that continues a character or a word piece belongs to the word before it. Without a
 * tokenizer each token is a word. */
limn_status words_of(TokenRuns *words, MethodCall *call, const Model *model, const Prompt *prompt);

/* A letter, digit, mark or underscore of a script that sets words apart by spaces: between two of them no word ends. */
bool joins_words(uint32_t codepoint);

/* A sentence ends with a word that holds . ! ? (or their full-width forms) or a line break. */
limn_status sentences_of(TokenRuns *sentences, MethodCall *call, const Model *model, const Prompt *prompt,
                         const TokenRuns *words);

/* The bytes of tokens [begin, end) as they stand in the text, without white space around them. */
Text run_text(MethodCall *call, const Model *model, const Prompt *prompt, int32_t begin, int32_t end);

#endif
