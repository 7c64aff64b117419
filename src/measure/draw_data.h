/* A data set to draw from: what stands in a field of one record is exchanged for what stands in the same field of the
 * others; and one of its records as the prompt, with the places of its fields. */
#ifndef LIMN_MEASURE_DRAW_DATA_H
#define LIMN_MEASURE_DRAW_DATA_H

#include "ask/data_source.h"
#include "measure/draws.h"

typedef struct DrawData {
    DrawTexts *texts; /* [n] of each field of the template, or one of all fields where no record was asked for */
    TextSpan *spans;  /* [n] where the fields stand in the prompt; NULL: no record was asked for */
    int32_t n;
    Text prompt; /* of the record; absent: none was asked for */
} DrawData;

/* record: the number of the one that is the prompt, -1: none. words: single words are drawn, else whole values. Reads
 * the file once; what is kept are its distinct texts. LIMN_USAGE where it has no record, or not that one. */
limn_status draw_data_read(DrawData *data, MethodCall *call, const DataParams *params, int64_t record, bool words);

#endif
