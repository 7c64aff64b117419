/* A file of decisions, as `limn predict --decisions` writes it or another program that names the same fields: JSONL
 * with `id` (else `record`), `pred`, and perhaps `label`, `group`, `probabilities`, `prompt`, `hash`; lines with
 * `error` are of records that were skipped. */
#ifndef LIMN_METHOD_DATA_DECISIONS_H
#define LIMN_METHOD_DATA_DECISIONS_H

#include "files/records.h"
#include "result/result.h"

/* Texts are borrowed until the next one is read; absent ones have bytes NULL. */
typedef struct Decision {
    int64_t line;
    bool skipped; /* a record without a decision */
    Text id, pred, label, group, prompt, hash;
    double confidence; /* probability of the decision; NaN: none said */
    double log_loss;   /* -log of the label's probability; NaN without label or probabilities */
    double brier;
} Decision;

typedef struct DecisionReader DecisionReader;

limn_status decision_reader_open(DecisionReader **reader, const char *path, const Progress *progress);
void decision_reader_close(DecisionReader *reader); /* NULL is fine */
/* *there false: no more. */
limn_status decision_reader_next(DecisionReader *reader, Decision *decision, bool *there);

#endif
