/* What a folder of sentence-transformers says beside its transformer: how the token vectors become one vector.
 *
 * modules.json lists the modules; of those, the transformer, pooling, normalisation and dropout (which does nothing
 * here) are read. Another module (Dense, LSTM ...) stands in Pooling.refused: the model opens, its embedding is not
 * given. */
#ifndef LIMN_MODEL_SENTENCE_H
#define LIMN_MODEL_SENTENCE_H

#include "files/keys.h"
#include "model/arch.h"

/* Fills model->config.pooling of a folder; keys that are not read become warnings. */
limn_status sentence_read(Build *build);

/* Which keys of which of its files are read: [n]. */
const KeyTable *sentence_key_tables(size_t *n);

/* The same of a GGUF file: "<family>.pooling_type". */
limn_status sentence_read_gguf(Build *build);

#endif
