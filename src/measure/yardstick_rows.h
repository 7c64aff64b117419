/* What a person may say about exchanged words: the rows of parameters that methods with a yardstick share. */
#ifndef LIMN_MEASURE_YARDSTICK_ROWS_H
#define LIMN_MEASURE_YARDSTICK_ROWS_H

#include "measure/yardstick.h"

typedef struct YardstickParams {
    ParamTexts fixed;
    Text replacements;
    double floor; /* see yardstick_counts; unread without YARDSTICK_FLOOR_ROW */
} YardstickParams;

#define YARDSTICK_ROWS(type, member)                                                                                   \
    {.name = "fixed",                                                                                                  \
     .kind = LIMN_PARAM_TEXT,                                                                                          \
     .repeated = true,                                                                                                 \
     .metavar = "TEXT|A:B",                                                                                            \
     .help = "never exchange these words (each place where the text stands, or tokens A up to but without B)",         \
     .field = offsetof(type, member.fixed)},                                                                           \
        PARAM_ROW("replacements", 0, LIMN_PARAM_FILE, "FILE",                                                          \
                  "exchange words for those in FILE, one on each line; without it for what the base model proposes, "  \
                  "else for common words of the same kind",                                                            \
                  offsetof(type, member.replacements))

/* For methods that call words causes. */
#define YARDSTICK_FLOOR_ROW(type, member)                                                                              \
    {                                                                                                                  \
        .name = "floor", .kind = LIMN_PARAM_NUMBER, .metavar = "P", .default_text = YARDSTICK_FLOOR_TEXT,              \
        .minimum = 0, .maximum = 1,                                                                                    \
        .help = "a word is called a cause only if exchanging it moves the answer's probability by this much",          \
        .field = offsetof(type, member.floor)                                                                          \
    }

#endif
