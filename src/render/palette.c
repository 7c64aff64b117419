#include "render/palette.h"

#include <math.h>

/* Weakest and strongest fill of each direction. On an unknown ground all steps are equally bright and differ in
 * how vivid they are, so that the strongest stands out on black as on white. */
static const Colour ends[3][2][2] = {
    [GROUND_LIGHT] = {{{0xE8, 0xF1, 0xFB}, {0x0B, 0x5C, 0xB8}}, {{0xFD, 0xEF, 0xE0}, {0xB3, 0x4A, 0x00}}},
    [GROUND_DARK] = {{{0x1C, 0x2C, 0x40}, {0x6C, 0xB4, 0xFF}}, {{0x3A, 0x28, 0x17}, {0xFF, 0xA6, 0x57}}},
    [GROUND_UNKNOWN] = {{{0xB4, 0xBF, 0xCC}, {0x3F, 0x9B, 0xFF}}, {{0xCC, 0xBD, 0xAD}, {0xFF, 0x8A, 0x2A}}},
};

int palette_step(double score, double scale) {
    if (!isfinite(score) || !(scale > 0)) {
        return 0;
    }
    double part = fabs(score) / scale;
    int step = (int)ceil(fmin(part, 1) * PALETTE_STEPS - 0.5); /* under 1/18 of the scale: no colour */
    step = step > PALETTE_STEPS ? PALETTE_STEPS : step;
    return score < 0 ? -step : step;
}

static uint8_t mix(uint8_t from, uint8_t to, double part) {
    return (uint8_t)lrint((double)from + ((double)to - (double)from) * part);
}

Colour palette_fill(int step, Ground ground) {
    const Colour *end = ends[ground][step < 0];
    double part = (fabs((double)step) - 1) / (PALETTE_STEPS - 1);
    return (Colour){mix(end[0].red, end[1].red, part), mix(end[0].green, end[1].green, part),
                    mix(end[0].blue, end[1].blue, part)};
}

static double linear(uint8_t channel) {
    double value = channel / 255.0;
    return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
}

static double luminance(Colour colour) {
    return 0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue);
}

double palette_contrast(Colour first, Colour second) {
    double a = luminance(first), b = luminance(second);
    return (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05);
}

Colour palette_text(Colour fill) {
    static const Colour black = {0, 0, 0}, white = {255, 255, 255};
    return palette_contrast(fill, black) >= palette_contrast(fill, white) ? black : white;
}
