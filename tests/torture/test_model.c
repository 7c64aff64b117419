#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "torture/torture.h"

static limn_status open_model(void *context) {
    Model *model;
    const ModelOptions options = {.frame = FRAME_HF};
    TRY(model_open(&model, context, &options, NULL));
    model_free(model);
    return LIMN_OK;
}

/* Folding makes weights of its own; norms after their sublayers cannot be folded. */
static limn_status open_folded(void *context) {
    Model *model;
    const ModelOptions options = {.frame = FRAME_TRANSFORMERLENS};
    TRY(model_open(&model, context, &options, NULL));
    model_free(model);
    return LIMN_OK;
}

/* DoRA, a replaced tensor and branches, on top of what opening takes. */
static limn_status open_adapted(void *context) {
    const char *const *paths = context;
    Model *model;
    const AdapterUse uses[] = {{paths[1], 1.0}, {paths[2], 0.5}};
    const ModelOptions options = {.adapters = uses, .n_adapters = 2};
    TRY(model_open(&model, paths[0], &options, NULL));
    model_free(model);
    return LIMN_OK;
}

int main(void) {
    static const char *const folders[] = {
        "llama3",    "llama-bias", "gpt2",     "bert-classifier", "bert-mlm-old",          "mixtral-stacked",
        "qwen2-moe", "neox",       "opt-350m", "falcon-rw",       "distilbert-classifier", "roberta-mlm"};
    static const char *const folded[] = {"llama3", "llama-bias", "gpt2", "neox", "falcon-rw"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, LIMN_TEST_SOURCE_DIR "/tests/golden/%s", folders[i]);
        torture(folders[i], open_model, path);
        bool folds = false;
        for (size_t f = 0; f < sizeof folded / sizeof folded[0]; f++) {
            folds = folds || strcmp(folders[i], folded[f]) == 0;
        }
        if (folds) {
            torture(folders[i], open_folded, path);
        }
    }
    const char *adapted[] = {LIMN_TEST_SOURCE_DIR "/tests/golden/llama-bias",
                             LIMN_TEST_SOURCE_DIR "/tests/golden/adapters/two-dora/1",
                             LIMN_TEST_SOURCE_DIR "/tests/golden/adapters/biases/1"};
    torture("adapters", open_adapted, (void *)adapted);
    return 0;
}
