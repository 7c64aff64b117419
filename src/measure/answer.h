/* F of an answer: one number that says how far a model is for it, and how it changes when the prompt is another, when
 * embeddings lie between two inputs or when inner values are edited; with its gradient at any sites.
 *
 *     lead       log p(target) - log p(contrast); without a contrast log p / (1 - p) of the whole answer
 *     of classes the lead over the best other class (logits differ as log-probabilities do); labels that may hold
 *                together: the label's logit, which is its own log p / (1 - p); one number: the number
 *     logprob    log p(target), less log p(contrast); prob and nll (negated) likewise; logit, logit-diff: single tokens
 *
 * A target of several tokens counts by the sum of its teacher-forced tokens, one inside the prompt by their mean. A
 * case is the prompt itself or another one of any length: the answer is read behind the new end, at the mask's new
 * place, at the class's row; a place that was named (--at) keeps its token. What a case has in common with the prompt's
 * beginning is computed once and read through a key/value cache, which counts under --memory and is done without where
 * it does not fit. Cases go out in batches (measure/batch.h); each has the bits of a pass of its own.
 *
 * How it fails: a place that was named and whose token the case changed, a mask the case lacks (LIMN_USAGE, naming it);
 * F without a contrast is steep where p nears 1. */
#ifndef LIMN_MEASURE_ANSWER_H
#define LIMN_MEASURE_ANSWER_H

#include "ask/target.h"
#include "measure/batch.h"

/* The first five in the order of the choice "logprob|prob|logit|logit-diff|nll". */
typedef enum AnswerMetric {
    ANSWER_LOG_PROB,
    ANSWER_PROB,
    ANSWER_LOGIT,
    ANSWER_LOGIT_DIFF,
    ANSWER_NLL,
    ANSWER_LEAD
} AnswerMetric;

/* What outputs of a classifier are. */
typedef enum AnswerOutputs {
    ANSWER_OUTPUTS_BY_MODEL, /* as its configuration says (OutputRule) */
    ANSWER_ONE_OF,           /* classes, of which one holds */
    ANSWER_EACH,             /* labels, each of which may hold */
    ANSWER_NUMBER            /* a regression */
} AnswerOutputs;

typedef struct AnswerOptions {
    AnswerMetric metric;
    AnswerOutputs outputs;
    bool each;         /* the tokens of the target apart, a part for each: no contrast */
    bool decision;     /* fill `decided` and `turned`: without a contrast a language model keeps its logits for it */
    int64_t rows;      /* of one run; 0: 256 */
    const char *stage; /* what people are told is going on; NULL: "run" */
} AnswerOptions;

typedef struct Answer Answer;

/* What its values are counted in, for people, in the language of the call. */
const char *answer_unit(const MethodCall *call, AnswerMetric metric);

/* prompt, target and contrast (kind TARGET_NONE: none; may be NULL) are borrowed as long as the answer lives; runs
 * nothing. Memory is the answer's own: thousands may be made and freed in one call. */
limn_status answer_new(Answer **answer, MethodCall *call, Engine *engine, const Prompt *prompt, const Target *target,
                       const Target *contrast, const AnswerOptions *options);
void answer_free(Answer *answer); /* NULL is fine */

/* The prompt as it is, or changed: members left at zero change nothing. */
typedef struct AnswerCase {
    const int32_t *ids; /* [n] what is read instead; NULL: the prompt */
    int32_t n;
    const int32_t *types;           /* [n]; NULL: those of the prompt's tokens, in the changed part its first one's */
    const uint8_t *mask;            /* [n]; the same */
    int32_t embed_begin, embed_end; /* rows whose embeddings the request's `embed` gives */
    const Edit *edits;              /* [n_edits]: rows count from the case's first token, `sequence` is not looked at */
    int32_t n_edits;
} AnswerCase;

/* What one backward pass saw: all of the answer, or the target, or its contrast, or one token of the target. */
typedef struct AnswerPart {
    double value;        /* F is the sum of the parts' */
    double slope;        /* what gradients of this part are to be multiplied by */
    int32_t first, n;    /* the case's rows that ran: [first, first + n), with the answer's own tokens behind it */
    int32_t n_outputs;   /* rows of sites behind the selection of output rows, such as logits */
    const float **grads; /* [n_grads] of [n, width] (or [n_outputs, width]) */
    const float **taps;  /* [n_taps] */
} AnswerPart;

typedef struct AnswerValue {
    double f;
    double target, contrast; /* log p; NaN where the metric does not need it, contrast also without one */
    bool decided;            /* the model would give the target: before its contrast, the other classes, any token */
    bool turned;             /* ... which it would not for the prompt itself, or the other way round */
    int32_t best;            /* what it would give first, where that takes all logits (without a contrast); else -1 */
    int32_t n_parts;
    const AnswerPart *parts; /* [n_parts] valid until the callback returns; NULL: in order, or after the fact */
} AnswerValue;

/* Rows of one case as a pass has them: gradients of one part, to be multiplied by its slope. */
typedef struct AnswerRows {
    int64_t i;    /* the case */
    int32_t part; /* AnswerValue.parts */
    NodeId node;
    int32_t row, n; /* rows of the case (of a site behind the selection of output rows: of the part's outputs) */
    int64_t width;
    const float *value;    /* [n, width] NULL: not asked for */
    const float *gradient; /* [n, width] */
} AnswerRows;

/* Takes gradients as they appear (GradientSink), so that those of many sites are never kept together. */
typedef struct AnswerSink {
    const NodeId *nodes; /* [n] */
    int32_t n;
    bool with_values;
    /* A case's pass begins, maybe once more after one that found no memory: what was taken of it is void. */
    void (*begin)(void *context, int64_t i);
    limn_status (*take)(void *context, const AnswerRows *rows);
    void *context;
} AnswerSink;

typedef struct AnswerRequest {
    const AnswerCase *cases; /* [n]; NULL: the prompt itself n times, with embeddings or not as the next two say */
    int64_t n;
    int32_t embed_begin, embed_end; /* of all cases, where cases is NULL */
    /* Writes row `row` of case i, out [E]. Called from several threads. */
    void (*embed)(void *context, int64_t i, int32_t row, float *out);
    limn_status (*deliver)(void *context, int64_t i, const AnswerValue *value);
    void *context;
    const NodeId *grads; /* sites; gradients of rows before the first that a case changes are not computed ... */
    int32_t n_grads;
    const NodeId *taps; /* the same for values */
    int32_t n_taps;
    const AnswerSink *sink; /* NULL: none */
    RuleSet rules;          /* which derivative: graph/rules.def. 0: the true one */
    bool all_rows;          /* ... unless this asks for them */
    bool in_order;          /* delivered in the caller's order, without parts; else as done */
} AnswerRequest;

limn_status answer_run(Answer *answer, const AnswerRequest *request);

/* The prompt itself, with its keys and values kept for the cases to come. Runs once; parts are NULL. */
limn_status answer_clean(Answer *answer, AnswerValue *value);

/* How many cases like the request's first make one run. */
int64_t answer_run_cases(Answer *answer, const AnswerRequest *request);
/* All of the request's cases as one run, for what that would take. Borrowed until the answer is used again. */
limn_status answer_bound_request(Answer *answer, const AnswerRequest *request, RunRequest *bound);

/* dF / d(site grads[site]) of rows [first, first + n) of the case, out [n, width]; 0 in rows that ran not. */
void answer_gradient(const AnswerValue *value, int32_t site, int64_t width, int32_t first, int32_t n, double *out);

AnswerMetric answer_metric(const Answer *answer); /* as it is used */
int32_t answer_n_parts(const Answer *answer);
int32_t answer_reach(const Answer *answer);        /* tokens of the prompt that can have influence */
int32_t answer_first_output(const Answer *answer); /* the first row that is read: no case may share more */
Batcher *answer_batcher(Answer *answer);           /* for progress over several requests, and limits */

#endif
