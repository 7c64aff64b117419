/* Where relevance went: what came in at the outputs, what each token, position, bias and softmax got of it. */
#ifndef LIMN_METHOD_GRADIENT_LRP_LEDGER_H
#define LIMN_METHOD_GRADIENT_LRP_LEDGER_H

#include "measure/answer.h"

/* Sums of value times gradient. */
typedef struct LrpTotals {
    double output;  /* at the logits */
    double answer;  /* at the answer's own tokens, which are read behind the prompt */
    double tables;  /* at position and type embeddings */
    double biases;  /* absorbed by biases: bias times gradient */
    double softmax; /* lost where a softmax hands on less, or more, than it was given */
} LrpTotals;

typedef struct LrpLedger LrpLedger;

/* A ledger of one prompt's answer. full: everything; else the tokens' relevance alone. In the call's arena. */
limn_status lrp_ledger_new(LrpLedger **ledger, MethodCall *call, const Model *model, const Prompt *prompt,
                           int32_t n_parts, bool full);
const AnswerSink *lrp_ledger_sink(const LrpLedger *ledger);
/* The pass has ended: its parts' slopes. */
void lrp_ledger_close(LrpLedger *ledger, const AnswerValue *value);

const double *lrp_ledger_tokens(const LrpLedger *ledger); /* [prompt->n] relevance of each embedding */
LrpTotals lrp_ledger_totals(const LrpLedger *ledger);     /* of a full one */
/* [n_layers + 1, prompt->n]: of the stream before each layer, and behind the last */
const double *lrp_ledger_streams(const LrpLedger *ledger);

#endif
