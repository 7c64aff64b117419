/* What is being explained: which outputs, at which rows.
 *
 * A language model's target is the tokens that follow the prompt: encode(prompt + target) minus encode(prompt).
 * Where the prompt's ids are not a prefix of that, there is no such target and the call says so, showing both.
 * A masked model's target is one token at a mask; a classifier's is a class. A span is words of the prompt
 * itself. Nothing named: the model's own first choice. Every kind comes to the same thing: ids[i] is read from
 * the output of row rows[i] of one sequence, so one pass scores any number of them. */
#ifndef LIMN_ASK_TARGET_H
#define LIMN_ASK_TARGET_H

#include "ask/prompt.h"
#include "call/method.h"
#include "edit/edits.h"

typedef struct TargetParams {
    Text target;
    int64_t target_id;
    Text class_name;
    Text contrast;
    Text at;
    Text target_text;
    Text target_span;
} TargetParams;

#define TARGET_ROWS(type, member)                                                                                      \
    PARAM_ROW("target", 't', LIMN_PARAM_TEXT, "TEXT",                                                                  \
              "the continuation in question, leading space included; without one, the likeliest",                      \
              offsetof(type, member.target)),                                                                          \
        {.name = "target-id",                                                                                          \
         .letter = 0,                                                                                                  \
         .kind = LIMN_PARAM_INTEGER,                                                                                   \
         .metavar = "N",                                                                                               \
         .maximum = 2147483647,                                                                                        \
         .help = "the token in question, by id",                                                                       \
         .field = offsetof(type, member.target_id)},                                                                   \
        PARAM_ROW("class", 0, LIMN_PARAM_TEXT, "N|NAME", "the class in question, by number or name",                   \
                  offsetof(type, member.class_name)),                                                                  \
        PARAM_ROW("at", 0, LIMN_PARAM_TEXT, "POSITION", "whose output: a position (negative: from the end) or [MASK]", \
                  offsetof(type, member.at))

/* For methods that can set one answer against another, or explain words inside the prompt. */
#define TARGET_MORE_ROWS(type, member)                                                                                 \
    PARAM_ROW("contrast", 0, LIMN_PARAM_TEXT, "TEXT", "explain the target rather than this one",                       \
              offsetof(type, member.contrast)),                                                                        \
        PARAM_ROW("target-text", 0, LIMN_PARAM_TEXT, "WORD",                                                           \
                  "explain why the prompt goes on with this word of its own", offsetof(type, member.target_text)),     \
        PARAM_ROW("target-span", 0, LIMN_PARAM_TEXT, "A:B", "the same for tokens A up to but without B of the prompt", \
                  offsetof(type, member.target_span))

typedef enum TargetKind { TARGET_NONE, TARGET_TOKENS, TARGET_AT, TARGET_CLASS, TARGET_SPAN } TargetKind;

typedef struct Target {
    TargetKind kind;
    int32_t *ids; /* [n] token or class ids */
    int32_t n;
    int32_t *rows;     /* [n] row of the sequence whose output scores ids[i] */
    int32_t *sequence; /* [n_sequence] the prompt and, of TOKENS, all of ids but the last */
    int32_t n_sequence;
    int32_t *types; /* [n_sequence] or NULL */
    uint8_t *mask;  /* [n_sequence] or NULL */
    Text text;
    bool chosen;               /* nobody named it */
    double *log_probabilities; /* [n] */
    double log_probability;    /* their sum */
    double logit;              /* of a single id; else NaN */
    int64_t rank;              /* of the first id */
    float *first_logits;       /* [n_outputs] at rows[0] */
    int32_t n_outputs;         /* V or the number of classes */
} Target;

/* Which ids at which rows are meant; runs nothing. Remarks go to the result, which may be NULL. */
limn_status target_build(Target *target, MethodCall *call, const Model *model, const Prompt *prompt,
                         const TargetParams *params, Result *result);
/* What the target is set against, at the target's place; kind TARGET_NONE where the parameters name nothing. */
limn_status target_build_contrast(Target *contrast, const Target *target, MethodCall *call, const Model *model,
                                  const Prompt *prompt, const TargetParams *params);
/* The same words with (without) a leading space, *text; kind TARGET_NONE where these cannot stand there. */
limn_status target_build_variant(Target *variant, Text *text, const Target *target, MethodCall *call,
                                 const Model *model, const Prompt *prompt, const TargetParams *params);

/* A continuation with one more token. */
limn_status target_extend(Target *longer, const Target *target, MethodCall *call, const Model *model,
                          const Prompt *prompt, int32_t id);
/* Whether both are the same tokens at the same rows. */
bool target_is_same(const Target *target, const Target *other);

/* Rows of the pass that scores the target, without running it: the prompt's and, of a continuation, its tokens' but
 * the last. */
limn_status target_count_rows(int32_t *n_rows, MethodCall *call, const Model *model, const Prompt *prompt,
                              const TargetParams *params);

/* The target as a run's sequence. */
SequenceInput target_sequence(const Target *target);

/* The row a model's answer is read from when nobody says otherwise: the last visible token (causal), the first
 * mask (masked LM: -1 when there is none), row 0 (other classifiers). */
int32_t answer_row(const Model *model, const Prompt *prompt);
/* --at: a position, "-1" or "[MASK]"; checked. */
limn_status position_parse(int32_t *row, const char *text, const Model *model, const Prompt *prompt);

#endif
