/* A clean prompt, a corrupt one beside it, and the answer that is read from both. */
#ifndef LIMN_METHOD_CAUSAL_PAIR_H
#define LIMN_METHOD_CAUSAL_PAIR_H

#include "ask/target.h"
#include "method/causal/alignment.h"

typedef struct PairParams {
    PromptParams prompt;
    Text corrupt;
    ParamIds corrupt_ids;
    Text corrupt_messages;
} PairParams;

#define CORRUPT_ROWS(type, member)                                                                                     \
    PARAM_ROW("corrupt", 0, LIMN_PARAM_TEXT, "TEXT", "the prompt with the words exchanged that matter",                \
              offsetof(type, member.corrupt)),                                                                         \
        PARAM_ROW("corrupt-ids", 0, LIMN_PARAM_IDS, "N,N,...", "the same as token ids",                                \
                  offsetof(type, member.corrupt_ids)),                                                                 \
        PARAM_ROW("corrupt-messages", 0, LIMN_PARAM_TEXT, "JSON", "the same as messages, beside --messages or --chat", \
                  offsetof(type, member.corrupt_messages))

/* One of the two as a run reads it: its tokens, behind them those of the target but the last. */
typedef struct PairSide {
    Prompt prompt;
    SequenceInput sequence;
    OutputRow *outputs; /* [n_outputs] where the target is read */
    int32_t n_outputs;
} PairSide;

typedef struct Pair {
    PairSide clean, corrupt;
    Alignment alignment; /* base: corrupt, source: clean; of the sequences */
} Pair;

bool pair_has_corrupt(const PairParams *params);

/* Reads the corrupt prompt beside one that is read already. */
limn_status pair_read_corrupt(Prompt *corrupt, MethodCall *call, const Model *model, const PairParams *params);

/* Fills the pair's sequences, outputs and alignment from both prompts and the clean one's target. */
limn_status pair_join(Pair *pair, MethodCall *call, const Target *target);

/* Says in the result what an alignment of unequal prompts leaves out, or how much equal ones differ. */
void pair_warn(Result *result, MethodCall *call, const Pair *pair);

/* "France", or "France/Italy" where the prompts differ; in the arena. row: of the corrupt sequence. */
Text pair_token_text(MethodCall *call, const Model *model, const Pair *pair, int32_t row);

#endif
