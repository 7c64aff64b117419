/* What a folder says of the texts that are generated with it: generation_config.json, and config.json in old folders.
 */
#ifndef LIMN_MODEL_GENERATION_H
#define LIMN_MODEL_GENERATION_H

#include "files/keys.h"
#include "model/model.h"

extern const KeyTable generation_key_table;

typedef struct GenerationNotes {
    int32_t *ends; /* [n_ends] tokens that end a text, all within the vocabulary */
    int32_t n_ends;
    const char **warnings; /* [n_warnings] what it asks for and is not done, one line each */
    int32_t n_warnings;
} GenerationNotes;

/* Everything lies in the arena. A GGUF file says nothing here. */
limn_status generation_read(GenerationNotes *notes, const Model *model, Arena *arena);

#endif
