#include "base/amount.h"

#include <stdbool.h>
#include <stdio.h>

/* needed: up to the next hundredth; else the last hundredth that reads back as no more than bytes, so that a figure
 * somebody gave is named as it was given. The rest below one unit is less than 2^40: a hundred times that fits. */
static const char *amount_text(char out[AMOUNT_TEXT_MAX], size_t bytes, bool needed) {
    static const char units[] = "BKMGT";
    size_t unit = 0, size = 1;
    while (units[unit + 1] != '\0' && bytes / size >= 1024) {
        size *= 1024;
        unit++;
    }
    size_t whole = bytes / size, rest = bytes % size;
    size_t hundredths = unit == 0 ? 0 : needed ? (rest * 100 + size - 1) / size : (rest * 100 + 99) / size;
    whole += hundredths / 100;
    hundredths %= 100;
    if (hundredths == 0) {
        snprintf(out, AMOUNT_TEXT_MAX, "%zu%c", whole, units[unit]);
    } else if (hundredths % 10 == 0) {
        snprintf(out, AMOUNT_TEXT_MAX, "%zu.%zu%c", whole, hundredths / 10, units[unit]);
    } else {
        snprintf(out, AMOUNT_TEXT_MAX, "%zu.%02zu%c", whole, hundredths, units[unit]);
    }
    return out;
}

const char *amount_needed(char out[AMOUNT_TEXT_MAX], size_t bytes) {
    return amount_text(out, bytes, true);
}

const char *amount_allowed(char out[AMOUNT_TEXT_MAX], size_t bytes) {
    return amount_text(out, bytes, false);
}
