/* Tokens found in the text as they are spelled, before the model sees the rest. */
#ifndef LIMN_TEXT_ADDED_TOKENS_H
#define LIMN_TEXT_ADDED_TOKENS_H

#include "text/component.h"

typedef struct AddedToken {
    int32_t id;
    bool single_word;             /* only where no letter touches it */
    bool left_strip, right_strip; /* takes the white space beside it */
    bool normalized;              /* looked for in the normalised text */
    bool special;
    /* Flags that were replaced go on saying where the token is looked for, as in the reference; those of a special
     * token that was special before are the only ones that do. */
    bool was_plain, was_normalized, only_was;
} AddedToken;

typedef struct AddedTokens {
    AddedToken *tokens; /* [count] */
    size_t count, capacity;
    int32_t largest; /* of their ids; -1: there are none */
    Trie plain;      /* spelling -> index into tokens; looked for first, in the text as given */
    Trie normalised; /* normalised spelling -> index */
} AddedTokens;

void added_tokens_init(AddedTokens *added);
void added_tokens_free(AddedTokens *added);
/* The spelling is the vocabulary's piece of that id. One that is there already takes the new flags; once special, it
 * stays so (it is left out of decoded text). */
limn_status added_tokens_add(AddedTokens *added, Vocabulary *vocabulary, AddedToken token);
const AddedToken *added_tokens_find(const AddedTokens *added, const Vocabulary *vocabulary,
                                    int32_t id); /* NULL: none */
/* Once all are added: builds the tries. Special tokens go first, as in the reference. */
limn_status added_tokens_build(AddedTokens *added, const Vocabulary *vocabulary, const Normaliser *normaliser);

/* Cuts text [begin, end) at the leftmost longest tokens of `trie`; spans keep ids of found tokens.
 * plain_special: special tokens are ordinary text. */
void added_tokens_split(SpanList *out, const AddedTokens *added, const Trie *trie, const char *text, size_t begin,
                        size_t end, bool plain_special);

#endif
