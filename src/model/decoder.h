/* Decoders (GPT-2, Llama and their kin): weights by role, and the graph of them. */
#ifndef LIMN_MODEL_DECODER_H
#define LIMN_MODEL_DECODER_H

#include "model/arch.h"
#include "model/graph_pieces.h"

typedef enum DecoderOrder {
    DECODER_SERIAL,          /* m = x + attn(ln1(x)), m + mlp(ln2(m)) */
    DECODER_PARALLEL,        /* x + attn(ln1(x)) + mlp(ln2(x)): there is no hook_resid_mid */
    DECODER_PARALLEL_SHARED, /* x + attn(ln1(x)) + mlp(ln1(x)): nor a ln2 */
    DECODER_POST_NORM        /* m = ln1(x + attn(x)), ln2(m + mlp(m)); hook_resid_mid is what ln1 reads */
} DecoderOrder;

typedef struct DecoderLayer {
    NormSpec ln1, ln2;
    AttentionSpec attention;
    MlpSpec mlp;
} DecoderLayer;

typedef struct Decoder {
    DecoderOrder order;
    Weight embed;            /* [V, E] */
    float embed_scale;       /* 0: 1 */
    float softcap;           /* on logits of a language model; 0: none */
    Weight positions;        /* [P, D]; absent: rotary positions or ALiBi only */
    int32_t position_offset; /* the row of `positions` that position 0 has */
    Linear project_in;       /* [D, E]; absent: E is D */
    DecoderLayer *layers;    /* [L] */
    NormSpec ln_final;
    bool no_ln_final;
    Linear project_out; /* [E, D]; absent: E is D */
    Linear head;        /* [V or classes, E]; absent: no logits */
} Decoder;

/* Room for the layers, in the model's arena. */
limn_status decoder_new(Decoder *decoder, Build *build);

/* The task that an architecture's name ends in: ForCausalLM / LMHeadModel, ForSequenceClassification, or none. */
ModelTask decoder_task(const char *architecture);

/* The head of a sequence classifier, score.weight [classes, width], and its labels; nothing for other tasks. */
limn_status decoder_score(Build *build, Decoder *decoder, int64_t width);

/* What lies outside the layers of GPT-2's kin: the last norm, the embedding, and the head, tied or its own, or the
 * classifier's. */
typedef struct OuterNames {
    const char *ln_final, *embed; /* after the prefix, without ".weight" */
    const char *head;             /* whole */
} OuterNames;
limn_status decoder_outer(Build *build, Decoder *decoder, const OuterNames *names, double epsilon, bool tied,
                          const char *prefix);

/* Fills the weights, brings them into the frame asked for, and builds the graph. */
limn_status decoder_build(Build *build, Decoder *decoder);

/* Folds norm gains and value biases and centres what writes to the residual stream and to the logits, as
 * TransformerLens's processed HookedTransformer does; logits keep their differences. In f32 copies. */
limn_status decoder_to_transformerlens(Build *build, Decoder *decoder);

#endif
