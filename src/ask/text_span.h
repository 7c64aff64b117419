/* A part of a text that belongs together: a document, a field of a data set's template, what a message says. */
#ifndef LIMN_ASK_TEXT_SPAN_H
#define LIMN_ASK_TEXT_SPAN_H

#include "result/result.h"

typedef struct TextSpan {
    size_t from, to; /* bytes */
    Text name;
} TextSpan;

#endif
