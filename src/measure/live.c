#include "measure/live.h"

#include <stdlib.h>
#include <string.h>

struct LiveEngine {
    const Model *model;
    Engine *engine;
    CleanRun *clean;
    Sweep *sweep;
    RunRequest ask;
    OutputRow output;
    int32_t width;
    float *clean_logits; /* [width] */
    float *logits;       /* [width] of the last question */
};

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    LiveEngine *live = context;
    memcpy(live->logits, answer->logits, (size_t)live->width * sizeof *live->logits);
    return LIMN_OK;
}

limn_status live_estimate(SweepWork *work, LiveEngine *live, const Edit *edits, int32_t n_edits) {
    const Counterfactual change = {.clean = live->clean, .edits = edits, .n_edits = n_edits};
    return sweep_estimate(live->sweep, &change, 1, work);
}

limn_status live_ask(LiveAnswer *answer, LiveEngine *live, const Edit *edits, int32_t n_edits,
                     const Progress *progress) {
    const Counterfactual change = {.clean = live->clean, .edits = edits, .n_edits = n_edits};
    SweepWork work;
    TRY(sweep_run(live->sweep, &change, 1, take, live, progress));
    TRY(live_estimate(&work, live, edits, n_edits));
    *answer = (LiveAnswer){live->logits, work.row_layers};
    return LIMN_OK;
}

static limn_status fill(LiveEngine *live, const EngineOptions *options, const SequenceInput *input,
                        const Progress *progress) {
    const ModelConfig *config = &live->model->config;
    const CleanRunOptions kept = {.middle = true};
    LiveAnswer answer;
    if (live->model->graph.logits == NODE_NONE) {
        return fail(LIMN_USAGE, "%s has no head: there is no answer to watch", config->architecture);
    }
    live->width = config->task == TASK_CLASSIFIER ? config->n_classes : config->n_vocab;
    live->clean_logits = malloc(2 * (size_t)live->width * sizeof *live->clean_logits);
    if (live->clean_logits == NULL) {
        return fail(LIMN_NO_MEMORY, "answers of %d numbers", live->width);
    }
    live->logits = live->clean_logits + live->width;
    TRY(engine_new(&live->engine, live->model, options));
    TRY(clean_run_new(&live->clean, live->engine, input, &kept, progress));
    live->ask = (RunRequest){.outputs = &live->output, .n_outputs = 1, .logits = true};
    TRY(sweep_new(&live->sweep, live->engine, &live->ask, NULL));
    TRY(live_ask(&answer, live, NULL, 0, progress));
    memcpy(live->clean_logits, answer.logits, (size_t)live->width * sizeof *answer.logits);
    return LIMN_OK;
}

limn_status live_new(LiveEngine **live, const Model *model, const EngineOptions *options, const SequenceInput *input,
                     int32_t row, const Progress *progress) {
    *live = NULL;
    LiveEngine *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "a live engine");
    }
    made->model = model;
    made->output = (OutputRow){.row = row, .target = -1};
    limn_status status = fill(made, options, input, progress);
    if (status != LIMN_OK) {
        live_free(made);
        return status;
    }
    *live = made;
    return LIMN_OK;
}

void live_free(LiveEngine *live) {
    if (live != NULL) {
        sweep_free(live->sweep);
        clean_run_free(live->clean);
        engine_free(live->engine);
        free(live->clean_logits);
        free(live);
    }
}

const float *live_clean(const LiveEngine *live) {
    return live->clean_logits;
}

int32_t live_width(const LiveEngine *live) {
    return live->width;
}

int32_t live_rows(const LiveEngine *live) {
    return live->clean->n;
}

size_t live_bytes(const LiveEngine *live) {
    return clean_run_bytes(live->clean);
}

Engine *live_engine(LiveEngine *live) {
    return live->engine;
}
