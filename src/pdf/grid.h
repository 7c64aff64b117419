/* Tables: columns as wide as their words ask for and the page allows, rows broken over pages, the head repeated. */
#ifndef LIMN_PDF_GRID_H
#define LIMN_PDF_GRID_H

#include "pdf/paper.h"

typedef struct Grid {
    int32_t columns, rows;
    const char **head;        /* [columns] clean */
    const char **cells;       /* [rows, columns] clean */
    bool *right;              /* [columns] flush right */
    const double **bars;      /* [columns] -> [rows] parts of 1, signed; NULL: no bars in this column */
    const double **reaches;   /* [columns] -> [rows, 2] ends of intervals around them; NULL, NaN: none */
    const signed char *steps; /* [rows, columns] of the palette; NULL: no colour */
    bool heads;               /* each row's first cell is what it is about */
    double size;              /* of letters; 0: what fits */
} Grid;

/* Arrays of the arena for so many cells; false: no memory, and the paper has failed. */
bool grid_new(Paper *paper, Grid *grid, int32_t columns, int32_t rows);
void grid_draw(Paper *paper, const Grid *grid);

#endif
