/* Maps and erasers of an edit, from tensors of a file. */
#ifndef LIMN_EDIT_EDIT_MAPS_H
#define LIMN_EDIT_EDIT_MAPS_H

#include "edit/edits.h"

/* Reads what affine:FILE:NAME or erase:FILE:NAME names into the edit. The width of the tensors is that of a row of the
 * site, or of a head of it: then each head that the edit is about is changed by itself. */
limn_status edit_read_map(SiteEdit *edit, const EditSpec *spec, Arena *arena);

#endif
