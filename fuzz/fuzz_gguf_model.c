/* A whole model in one GGUF file: metadata to a graph, tensors to weights, the tokenizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "model/model.h"

static void remove_folder(void) {
    unlink(scratch_path("model.gguf"));
    rmdir(scratch_path(""));
}

/* A file is known as GGUF by its name: a link of that name to the file in memory. */
static void make_folder(void) {
    scratch_make(remove_folder);
    check(symlink(memory_file(NULL, 0), scratch_path("model.gguf")) == 0, "a link to memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!scratch_made()) {
        make_folder();
    }
    memory_file(data, size);
    const ModelOptions options = {.config_only = size % 2 == 1, .bf16 = size % 3 == 1};
    Model *model;
    limn_status status = model_open(&model, scratch_path("model.gguf"), &options, NULL);
    if (status != LIMN_OK) {
        check(model == NULL, "no model after a failure");
        check_failure(status);
        return 0;
    }
    check(model->n_parameters > 0 && (uint64_t)model->weight_bytes <= size, "no more weights than bytes");
    model_free(model);
    return 0;
}
