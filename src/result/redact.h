/* Personal data out of a result: what prompts and records say gives way to a commitment, shown by its first digits.
 *
 * What goes: prompts, their tokens and what is quoted from them; cells of records' own columns; texts that stand as
 * they were written; the same in recorded commands; and, wherever it stands, each whole text that is given as secret.
 * What stays: numbers, models, checks, sentences around quotes. A word of a prompt that a sentence uses without quoting
 * it stays too: read it over. */
#ifndef LIMN_RESULT_REDACT_H
#define LIMN_RESULT_REDACT_H

#include "result/result.h"

typedef struct Redactor {
    /* 64 hex digits that commit to a text. */
    limn_status (*commit)(void *context, char hex[65], const char *bytes, size_t length);
    void *context;
    Arena *arena;
    const Text *texts; /* [n_texts] of records: whole ones are left out wherever they stand */
    int32_t n_texts;
    TextBuffer commitments; /* of what was left out: 64 digits and a line break, each once; the caller's to free */
    /* of the result at hand */
    Result *result;
    bool own_columns;    /* cells of records' own columns are left out */
    const Text *secrets; /* [n] whose words are told by no label and no quote */
    int32_t n;
    limn_status status;
} Redactor;

/* words: also those of its prompt and records that stand alone in cells, labels and quotes. Without, those stay, as
 * they must where a result over many records is about words. */
limn_status redact_result(Redactor *redactor, Result *result, bool words);
/* What is put together from such results: whole texts, and those that stand as they were written. */
limn_status redact_report(Redactor *redactor, Result *report);
/* Does the result show a prompt or a record word by word? */
bool redact_is_close(const Result *result);
/* "[1a2b3c4d]" for a text; in the redactor's arena. */
limn_status redact_text(Redactor *redactor, const char **shown, const char *text);
/* The text with whole secret ones left out, and with `quotes` what it quotes of any. In the redactor's arena. */
limn_status redact_sentence(Redactor *redactor, const char **shown, const char *text, bool quotes);
/* A table of what stands in brackets, whole. */
void redact_add_commitments(const Redactor *redactor, Result *report, bool chinese);

#endif
