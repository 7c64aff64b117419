/* The reference's tokenizer classes: what a class makes of its files and of tokenizer_config.json. */
#ifndef LIMN_TEXT_CLASSES_H
#define LIMN_TEXT_CLASSES_H

#include <jansson.h>

#include "text/tokenizer.h"

typedef enum ClassRule {
    CLASS_FILE,        /* tokenizer.json says everything */
    CLASS_BERT,        /* BERT's normaliser, by do_lower_case, strip_accents and tokenize_chinese_chars */
    CLASS_BYTE_LEVEL,  /* GPT-2's pieces, with a space before the text by add_prefix_space */
    CLASS_ROBERTA,     /* the same between <s> and </s> */
    CLASS_GPT_NEOX,    /* the same on composed characters */
    CLASS_QWEN2,       /* the same, cut by its own rule */
    CLASS_LLAMA,       /* SentencePiece's BPE, with a space first by legacy and add_prefix_space */
    CLASS_GEMMA,       /* the same without the space */
    CLASS_XLM_ROBERTA, /* SentencePiece's unigram model */
    CLASS_OWN          /* a program of its own cuts the text: no file says how */
} ClassRule;

typedef struct TokenizerClass {
    const char *name; /* without "Fast" */
    ClassRule rule;
} TokenizerClass;

const TokenizerClass *class_find(const char *name); /* with or without "Fast"; NULL: unknown */

/* The class of a folder: the one that tokenizer_config.json names, else config.json, else the one of its model_type.
 * *said is the name as it stands there, NULL when only the model_type tells. Both may be NULL: nothing says. */
const TokenizerClass *class_of_folder(const char **said, const json_t *tokenizer_config, const json_t *model_config);

/* What the class calls a special token when nobody names it; NULL: nothing. */
const char *class_special(const TokenizerClass *tokenizer_class, SpecialToken which);

#endif
