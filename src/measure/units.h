/* The parts of a prompt that may be exchanged for others: words, sentences, fields, messages, documents. What the model
 * was not told by anybody stays: special tokens, the chat template, what a data set's template puts around its fields,
 * what --fixed names, words that are explained themselves, and what stands behind the answer's row. */
#ifndef LIMN_MEASURE_UNITS_H
#define LIMN_MEASURE_UNITS_H

#include "ask/documents.h"
#include "ask/target.h"
#include "ask/word_kind.h"
#include "ask/words.h"

/* Order of the choice "word|sentence|field|message|document". */
typedef enum UnitKind { UNIT_WORD, UNIT_SENTENCE, UNIT_FIELD, UNIT_MESSAGE, UNIT_DOCUMENT } UnitKind;

typedef struct Unit {
    int32_t begin, end; /* tokens */
    size_t from, to;    /* bytes of the text, without white space around them */
    WordKind kind;      /* of a word */
    bool fixed;         /* stays as it is */
} Unit;

typedef struct Units {
    Unit *items; /* [n] */
    int32_t n;
    int32_t n_free; /* those that may be exchanged */
} Units;

typedef struct UnitsAsked {
    const ParamTexts *fixed; /* texts, or "A:B" for tokens A up to but without B; NULL: none */
    const TextSpan *fields;  /* [n_fields] the rest is the template's and stays; NULL: no template */
    int32_t n_fields;
    const TextSpan *documents; /* [n_documents] of a chat: they are asked about, though its template wrote them out */
    int32_t n_documents;
} UnitsAsked;

/* The words of the prompt as units, one for each of words->n. Needs the prompt's text. */
limn_status units_of_words(Units *units, MethodCall *call, const Model *model, const Prompt *prompt,
                           const TokenRuns *words, const Target *target, const UnitsAsked *asked);
/* Larger units over those words: each as long as its run, fixed where all of its words are. */
limn_status units_of_runs(Units *units, MethodCall *call, const Prompt *prompt, const Units *words,
                          const TokenRuns *runs);

Text unit_text(const Prompt *prompt, const Unit *unit);

#endif
