/* Text as a model goes on, token by token, with keys and values kept.
 *
 * Changes stay in force while decoding: those without a position at every row, those with one at rows of the prompt.
 * The same seed gives the same text. */
#ifndef LIMN_MEASURE_DECODE_H
#define LIMN_MEASURE_DECODE_H

#include "ask/prompt.h"
#include "edit/edits.h"
#include "measure/sample.h"
#include "model/generation.h"

typedef enum DecodeEnd { DECODE_LENGTH, DECODE_END_OF_TEXT, DECODE_STOP_STRING, DECODE_CONTEXT } DecodeEnd;

typedef struct DecodeOptions {
    int64_t max_tokens; /* > 0 */
    SampleOptions sample;
    uint64_t seed;
    const ParamTexts *stop; /* the text ends before the first of them; NULL: none */
    EditPlan *edits;        /* NULL: none */
    /* What may not come next becomes -infinity in allowed [n_vocab], a copy of the logits; ids: [n] generated so far.
     * NULL: everything may. */
    limn_status (*mask)(void *context, const int32_t *ids, int32_t n, float *allowed);
    void *mask_context;
    /* Text as it appears, whole UTF-8 characters, never the beginning of a stop string. NULL: nobody listens. */
    void (*text)(void *context, const char *bytes, size_t length);
    void *text_context;
} DecodeOptions;

typedef struct Decoded {
    int32_t *ids;              /* [n] */
    double *log_probabilities; /* [n] of the model: before temperature and mask */
    int64_t *ranks;            /* [n] likewise; 1: the likeliest */
    int32_t n;
    Text text; /* without what ended it; empty without a tokenizer */
    DecodeEnd end;
    GenerationNotes notes; /* what the model's folder says of generated texts */
    bool suspected;        /* the changes may have overflowed: overflow_find tells */
} Decoded;

/* LIMN_USAGE, naming it, where the model goes on with no text. To be asked before a prompt is read for it. */
limn_status decode_model(const MethodCall *call, const Model *model);

/* Everything lies in the call's arena. LIMN_USAGE: the model is no causal language model; LIMN_FORMAT: outputs that are
 * no numbers; LIMN_RANGE: the mask leaves nothing. */
limn_status decode_text(Decoded *decoded, MethodCall *call, Engine *engine, const Prompt *prompt,
                        const DecodeOptions *options);

#endif
