/* The split rules that GGUF files name. Private to text/. */
#ifndef LIMN_TEXT_SPLIT_RULES_H
#define LIMN_TEXT_SPLIT_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "files/json.h"

enum {
    IGNORES_MERGES = 1, /* a piece that the vocabulary holds whole is one token, merges or not */
    ADDS_BOS = 2,       /* when the file does not say */
    COMPOSES = 4        /* NFC first: not in the file, but in the tokenizer of the model that the rule is named after */
};

typedef struct SplitRule {
    const char *name;        /* tokenizer.ggml.pre */
    const char *patterns[6]; /* applied one after the other, matches set apart; then bytes become characters */
    unsigned flags;
    const char *stated; /* the steps as tokenizer.json states them, instead of patterns; NULL: patterns */
} SplitRule;

/* LIMN_UNSUPPORTED with the name when there is no such rule; `where` is the file's path. */
limn_status split_rule_find(const SplitRule **rule, const char *where, const char *name, size_t length);
/* The rule as a tokenizer.json would state it (its "pre_tokenizer"); NULL: no memory. The caller's. */
json_t *split_rule_json(const SplitRule *rule);

#endif
