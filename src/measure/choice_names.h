/* The answers among which is decided: as they are scored, and as a data set spells them. */
#ifndef LIMN_MEASURE_CHOICE_NAMES_H
#define LIMN_MEASURE_CHOICE_NAMES_H

#include "ask/data_source.h"

enum { CHOICES_MAX = 1000 };

typedef struct ChoiceNames {
    Text *choices; /* [n] as scored; of a classifier the same as names */
    Text *names;   /* [n] as labels and files say them */
    int32_t n;
} ChoiceNames;

/* Of --choices (given once: split at its commas) and --labels; a classifier has its classes. In the call's arena. */
limn_status choice_names_read(ChoiceNames *names, MethodCall *call, const Model *model, const ParamTexts *choices,
                              Text labels);

/* Which of them the record's label is; -1: it has none. */
limn_status choice_names_find(int32_t *label, const ChoiceNames *names, const char *path, const DataItem *item);

Text trimmed_text(Text text);                                     /* without white space around it */
limn_status copy_text_in(Text *out, MethodCall *call, Text text); /* into the call's arena */

#endif
