/* A prompt kept warm: its run is made once, and each set of edits of it is answered at the cost of what it changes.
 *
 *     LiveEngine *live;
 *     live_new(&live, model, &options, &sequence, row, progress);           // the clean run
 *     live_ask(&live_answer, live, edits, n_edits, progress);               // logits [V] with these edits
 *     live_ask(&live_answer, live, NULL, 0, progress);                      // those of the clean run again
 *
 * It has an engine of its own, so that calls made meanwhile leave it as it is. The answers are those of full passes
 * (run/sweep.h). An edit at layer l, position t costs the rows from t on in the layers from l on; edits of sites that
 * were edited before find their program made. What terminal engines and pages change a model with. */
#ifndef LIMN_MEASURE_LIVE_H
#define LIMN_MEASURE_LIVE_H

#include "run/sweep.h"

typedef struct LiveEngine LiveEngine;

/* The input is copied, the model and the options' edits are borrowed until live_free. row: where the answer is read. */
limn_status live_new(LiveEngine **live, const Model *model, const EngineOptions *options, const SequenceInput *input,
                     int32_t row, const Progress *progress);
void live_free(LiveEngine *live); /* NULL is fine */

typedef struct LiveAnswer {
    const float *logits; /* [V]; borrowed until the next question */
    double row_layers;   /* rows x layers that ran */
} LiveAnswer;

/* Edits of the clean run's rows (sequence is not read); none: the clean run's own answer. */
limn_status live_ask(LiveAnswer *answer, LiveEngine *live, const Edit *edits, int32_t n_edits,
                     const Progress *progress);

const float *live_clean(const LiveEngine *live); /* [V] without edits */
int32_t live_width(const LiveEngine *live);      /* V, or classes */
/* What a question would take, which is not asked. */
limn_status live_estimate(SweepWork *work, LiveEngine *live, const Edit *edits, int32_t n_edits);
int32_t live_rows(const LiveEngine *live);
size_t live_bytes(const LiveEngine *live); /* of the clean run */
Engine *live_engine(LiveEngine *live);

#endif
