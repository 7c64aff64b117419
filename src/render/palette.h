/* One diverging colour scale for all renderers: blue supports, orange speaks against. Both hues stay apart for
 * every common kind of colour blindness, and text on any step has a contrast of at least 4.5 to 1. */
#ifndef LIMN_RENDER_PALETTE_H
#define LIMN_RENDER_PALETTE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Colour {
    uint8_t red, green, blue;
} Colour;

typedef enum Ground { GROUND_LIGHT, GROUND_DARK, GROUND_UNKNOWN } Ground; /* UNKNOWN: a terminal's */

/* Steps of each direction; 0 is no colour. */
enum { PALETTE_STEPS = 9 };

/* -PALETTE_STEPS..PALETTE_STEPS; 0 for what is not worth a colour or not a number. */
int palette_step(double score, double scale);
Colour palette_fill(int step, Ground ground);         /* step not 0 */
Colour palette_text(Colour fill);                     /* black or white, whichever reads better */
double palette_contrast(Colour first, Colour second); /* WCAG 2: 1 to 21 */

#endif
