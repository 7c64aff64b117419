/* The values of an edit, from a tensor of a file: the tensor's shape says what they are. */
#ifndef LIMN_EDIT_EDIT_VALUES_H
#define LIMN_EDIT_EDIT_VALUES_H

#include "edit/edits.h"

/* A row for each position may be one for each token of the prompt, or one for each row of the run: those and the
 * target's tokens but the last. */
typedef struct EditRows {
    int32_t prompt;
    int32_t run;
} EditRows;

bool edit_has_heads(const RowShape *shape);
bool edit_over_keys(const RowShape *shape);

/* Reads the tensor that the spec names and fills edit->values and what describes them; where values end, so does
 * the edit. Refuses a tensor whose shape is not that of the site, or of the part of it that the edit changes. */
limn_status edit_read_values(SiteEdit *edit, const EditSpec *spec, EditRows rows, Arena *arena);

#endif
