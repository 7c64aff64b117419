/* Decoders with the norm before each sublayer (GPT-2, Llama and their kin): weights by role, and the graph of them. */
#ifndef LIMN_MODEL_DECODER_H
#define LIMN_MODEL_DECODER_H

#include "model/arch.h"
#include "model/blocks.h"

typedef struct DecoderLayer {
    NormSpec ln1, ln2;
    AttentionSpec attention;
    MlpSpec mlp;
} DecoderLayer;

typedef struct Decoder {
    Weight embed;         /* [V, D] */
    Weight positions;     /* [P, D]; absent: rotary positions only */
    DecoderLayer *layers; /* [L] */
    NormSpec ln_final;
    Linear head; /* [V or classes, D]; absent: no logits */
} Decoder;

/* Room for the layers, in the model's arena. */
limn_status decoder_new(Decoder *decoder, Build *build);

/* The task that an architecture's name ends in: ForCausalLM / LMHeadModel, ForSequenceClassification, or none. */
ModelTask decoder_task(const char *architecture);

/* Fills the weights, brings them into the frame asked for, and builds the graph. */
limn_status decoder_build(Build *build, Decoder *decoder);

/* Folds norm gains and value biases and centres what writes to the residual stream and to the logits, as
 * TransformerLens's processed HookedTransformer does; logits keep their differences. In f32 copies. */
limn_status decoder_to_transformerlens(Build *build, Decoder *decoder);

#endif
