/* Encoders whose norms follow each residual sum (BERT and its kin): weights by role, and the graph of them.
 *
 * blocks.i.hook_resid_pre and hook_resid_post are the hidden states between layers; hook_resid_mid is the input of
 * the attention's norm (ln1); the norm of the MLP's sum (ln2) ends the block. pooler.hook_pooler_out is the vector of
 * the first row that a class head reads, whatever the family calls the layer that makes it. */
#ifndef LIMN_MODEL_ENCODER_H
#define LIMN_MODEL_ENCODER_H

#include "model/arch.h"
#include "model/graph_pieces.h"

typedef struct EncoderLayer {
    AttentionSpec attention;
    NormSpec ln1, ln2;
    MlpSpec mlp;
} EncoderLayer;

typedef struct Encoder {
    double epsilon;        /* of every norm */
    Activation activation; /* of every MLP */
    Weight words;          /* [V, D] */
    Weight positions;      /* [P, D] */
    Weight types;          /* [token types, D]; absent: none */
    int32_t position_offset;
    NormSpec embed_ln;
    EncoderLayer *layers; /* [L] */
    Linear pooler;        /* [D, D] of the first row; absent: none */
    Activation pooler_activation;
    Linear transform; /* [D, D] masked LM: dense and norm before the head */
    Activation transform_activation;
    NormSpec transform_ln;
    Linear head; /* [V or classes, D]; absent: a bare encoder */
} Encoder;

/* Room for the layers, in the model's arena; the task that the architecture's name ends in; refuses the frame. */
limn_status encoder_new(Encoder *encoder, Build *build);

/* A layer norm; files converted long ago call the gain gamma and the bias beta. */
limn_status encoder_norm(Build *build, NormSpec *norm, const Encoder *encoder, const char *prefix, const char *name);

/* Fills layer->attention but for its projections. */
void encoder_attention(AttentionSpec *attention, const ModelConfig *config);

/* Fills the weights and builds the graph. */
limn_status encoder_build(Build *build, const Encoder *encoder);

/* --- what BERT and RoBERTa have in common --- */

typedef struct BertDefaults {
    int64_t n_vocab;
    int64_t pad_id;
} BertDefaults;

/* Sizes, epsilon and activation from config.json; tied: the masked head shares the word embedding. */
limn_status bert_read_config(Encoder *encoder, Build *build, const BertDefaults *defaults, int64_t *n_types,
                             bool *tied);

/* Embeddings but for the words, and all layers. */
limn_status bert_get_body(Encoder *encoder, Build *build, int64_t n_types, const char *prefix);

#endif
