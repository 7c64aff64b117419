/* Inside of measure/answer.h: what an answer is made of. */
#ifndef LIMN_MEASURE_ANSWER_PARTS_H
#define LIMN_MEASURE_ANSWER_PARTS_H

#include "measure/answer.h"

/* How the weighted sum of a part's objectives becomes its value. */
typedef enum AnswerShape {
    SHAPE_SUM,
    SHAPE_EXP,         /* a probability, of a log-probability */
    SHAPE_ODDS,        /* log p / (1 - p), of a log-probability */
    SHAPE_LOG_SIGMOID, /* a label's log-probability, of its logit */
    SHAPE_SIGMOID
} AnswerShape;

/* Outputs of one teacher-forced sequence, as they stand in the prompt itself. */
typedef struct Part {
    int32_t n;
    const int32_t *ids;  /* [n] */
    const int32_t *rows; /* [n] of the sequence */
    float *weights;      /* [n] */
    bool contrast;       /* these are the contrast's alone */
    const int32_t *tail; /* [n_tail] the answer's own tokens that are read behind the prompt */
    int32_t n_tail;
    int32_t inside; /* the part whose sequence holds this one's, -1: none does */
    double factor;
    AnswerShape shape;
} Part;

struct Answer {
    MethodCall *call;
    Engine *engine;
    const Model *model;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast; /* NULL: none */
    AnswerOptions options;
    AnswerOutputs outputs;
    Objective objective;
    Part *parts; /* [n_parts] */
    int32_t n_parts;
    Arena arena;   /* of the answer */
    Arena scratch; /* of one run */
    Batcher batcher;
    KvCache *cache; /* of the prompt's first rows, NULL: none yet */
    bool unshared;  /* there was no memory for it */
    bool clean_known;
    AnswerValue clean;
    float *embeddings;
    size_t embeddings_bytes;
};

/* A case as it is read: its tokens, and from where on it is not the prompt. */
typedef struct AnswerView {
    const AnswerCase *one;
    const int32_t *ids;
    int32_t n;
    int32_t common; /* tokens as in the prompt */
    int32_t from;   /* the first row that may differ from the prompt's own run */
} AnswerView;

/* A part of a case in a run. */
typedef struct BoundPart {
    int32_t sequence, output;   /* indices of its sequence and of its first output */
    int32_t first, row, n_rows; /* rows of the case [first, first + n_rows), from row `row` of the run on */
    int32_t n_outputs;
} BoundPart;

typedef struct AnswerBinding {
    Answer *answer;
    const AnswerRequest *request;
    const int64_t *cases; /* [n] */
    int64_t n;
    AnswerView *views;   /* [n] */
    BoundPart *bound;    /* [n, parts] */
    int32_t *rivals;     /* [n] of classes, the best other one; NULL: not looked for */
    bool with_gradients; /* and taps */
    SequenceInput *sequences;
    Edit *edits;
    OutputRow *outputs;
    int32_t n_sequences, n_edits, n_outputs, n_rows;
    KvCache **appends; /* NULL: nothing is kept */
} AnswerBinding;

/* Does the request want more than F? */
static inline bool answer_differentiates(const AnswerRequest *request) {
    return request->n_grads + request->n_taps > 0 || request->sink != NULL;
}

/* Value and slope of a part from its sum. */
double answer_shape(AnswerShape shape, double sum, double *slope);
/* Must logits be kept to say all that was asked? */
bool answer_needs_logits(const Answer *answer);
/* Where the output of row `row` of the prompt's sequence is in a case of `n` tokens ids (mask may be NULL), the first
 * `common` of them the prompt's own. */
limn_status answer_place(const Answer *answer, int32_t row, const int32_t *ids, int32_t n, const uint8_t *mask,
                         int32_t common, int32_t *place);
limn_status answer_no_memory(const Answer *answer);
/* The lead of a class over the best other one. */
bool answer_leads_class(const Answer *answer);

/* What a case costs, and how many of the prompt's first rows it would read from a cache. */
limn_status answer_cost(Answer *answer, const AnswerRequest *request, int64_t i, BatchCost *cost, int32_t *wanted);
/* Memory for a run of binding->cases, with their embeddings; then their sequences, outputs and edits. */
limn_status answer_prepare(AnswerBinding *binding);
limn_status answer_bind(AnswerBinding *binding);
/* Makes the prompt's first rows ready to be read, or leaves it where memory is short. */
limn_status answer_share(Answer *answer, int32_t rows);
/* The prompt itself, bound so that its rows stay in the cache: *kept says whether they will. */
limn_status answer_bind_clean(AnswerBinding *binding, bool *kept);
void answer_kept_clean(AnswerBinding *binding);

#endif
