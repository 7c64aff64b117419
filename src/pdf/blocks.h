/* Each kind of block on paper. */
#ifndef LIMN_PDF_BLOCKS_H
#define LIMN_PDF_BLOCKS_H

#include "pdf/grid.h"

#define BLOCK(kind, name, type, help) void pdf_##name(Paper *paper, const Block *block);
#include "result/blocks.def"
#undef BLOCK

/* A number as a cell of a table. */
const char *cell_number_text(Paper *paper, double value, bool is_signed);

#endif
