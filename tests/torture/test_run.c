#include <stdio.h>
#include <stdlib.h>

#include "run/engine.h"
#include "torture/torture.h"

typedef struct Setting {
    const Model *model;
    EngineOptions options;
} Setting;

static const int32_t ids[] = {3, 14, 15, 9, 26, 5, 35};
static const int32_t more[] = {2, 7};

static NodeId site(const Model *model, const char *name) {
    return graph_find_site(&model->graph, name);
}

/* Two sequences, taps, an edit and gradients; then other shapes in the same engine, which makes new programs. */
static limn_status ask(Engine *engine, const Model *model) {
    const SequenceInput sequences[] = {{.ids = ids, .n = 7}, {.ids = more, .n = 2}};
    const OutputRow outputs[] = {{0, 6, 11, 1.0F}, {1, 1, 12, 0.5F}};
    const NodeId taps[] = {site(model, "blocks.0.attn.hook_pattern"), site(model, "blocks.1.hook_resid_post")};
    const NodeId grads[] = {model->graph.embed, site(model, "blocks.1.attn.hook_z")};
    const float value = 0.5F;
    const Edit edit = {.node = site(model, "blocks.1.attn.hook_z"),
                       .kind = EDIT_MULTIPLY,
                       .sequence = -1,
                       .row_end = -1,
                       .element_end = -1,
                       .values = &value,
                       .scalar = true};
    RunRequest request = {.sequences = sequences,
                          .n_sequences = 2,
                          .outputs = outputs,
                          .n_outputs = 2,
                          .taps = taps,
                          .n_taps = 2,
                          .grads = grads,
                          .n_grads = 2,
                          .edits = &edit,
                          .n_edits = 1,
                          .objective = OBJECTIVE_LOG_PROB,
                          .logits = true};
    RunEstimate estimate;
    TRY(engine_estimate(engine, &request, &estimate));
    TRY(engine_run(engine, &request, NULL));
    request.n_taps = request.n_grads = request.n_edits = 0;
    return engine_run(engine, &request, NULL);
}

/* A prompt into a cache, and one token after it. */
static limn_status decode(Engine *engine, KvCache *cache) {
    const SequenceInput prompt = {.ids = ids, .n = 7};
    const OutputRow last = {0, 6, -1, 1.0F};
    RunRequest request = {
        .sequences = &prompt, .n_sequences = 1, .outputs = &last, .n_outputs = 1, .logits = true, .append = cache};
    TRY(engine_run(engine, &request, NULL));
    const SequenceInput next = {.ids = more, .n = 1, .prefix = cache, .prefix_length = cache->length};
    const OutputRow only = {0, 0, -1, 1.0F};
    request.sequences = &next;
    request.outputs = &only;
    return engine_run(engine, &request, NULL);
}

static limn_status run_engine(void *context) {
    const Setting *setting = context;
    Engine *engine;
    TRY(engine_new(&engine, setting->model, &setting->options));
    limn_status status = ask(engine, setting->model);
    KvCache *cache = NULL;
    if (status == LIMN_OK) {
        status = kv_cache_new(&cache, setting->model, 9);
    }
    if (status == LIMN_OK) {
        status = decode(engine, cache);
    }
    kv_cache_free(cache);
    engine_free(engine);
    return status;
}

/* Few rows and sequences, then more than there was room for. */
static limn_status grow(void *context) {
    enum { MANY = 70, LONG = 8 };
    const Setting *setting = context;
    static int32_t tokens[LONG];
    SequenceInput sequences[MANY];
    OutputRow outputs[MANY];
    for (int i = 0; i < MANY; i++) {
        sequences[i] = (SequenceInput){.ids = tokens, .n = LONG};
        outputs[i] = (OutputRow){i, LONG - 1, 3, 1.0F};
    }
    Engine *engine;
    TRY(engine_new(&engine, setting->model, &setting->options));
    RunRequest request = {
        .sequences = sequences, .n_sequences = 1, .outputs = outputs, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB};
    limn_status status = engine_run(engine, &request, NULL);
    request.n_sequences = request.n_outputs = MANY;
    status = status == LIMN_OK ? engine_run(engine, &request, NULL) : status;
    engine_free(engine);
    return status;
}

int main(void) {
    Model *model;
    const ModelOptions options = {.frame = FRAME_HF};
    if (model_open(&model, LIMN_TEST_SOURCE_DIR "/tests/golden/llama3", &options, NULL) != LIMN_OK) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    static const char *const backends[] = {"ref", "cpu"};
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS && backend_find(backends[b]) != NULL; keep++) {
            for (int compute = COMPUTE_F32; compute <= COMPUTE_BF16; compute++) {
                Setting setting = {model,
                                   {.backend = backends[b],
                                    .keep = (KeepPolicy)keep,
                                    .compute = (Compute)compute,
                                    .threads = 1}}; /* the countdown belongs to this thread */
                torture(backends[b], run_engine, &setting);
            }
        }
    }
    Setting setting = {model, {.backend = "cpu", .threads = 1}};
    if (backend_find("cpu") != NULL) {
        torture("more rows than before", grow, &setting);
    }
    model_free(model);
    return 0;
}
