/* A whole model in one GGUF file: metadata to a graph, tensors to weights, the tokenizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "model/model.h"

static char folder[64];
static char path[96];

static void remove_folder(void) {
    unlink(path);
    rmdir(folder);
}

/* A file is known as GGUF by its name: a link of that name to the file in memory. */
static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/limn-fuzz-XXXXXX");
    check(mkdtemp(folder) != NULL, "a scratch folder");
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    atexit(remove_folder);
    check(symlink(memory_file(NULL, 0), path) == 0, "a link to memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (folder[0] == '\0') {
        make_folder();
    }
    memory_file(data, size);
    const ModelOptions options = {.config_only = size % 2 == 1, .bf16 = size % 3 == 1};
    Model *model;
    limn_status status = model_open(&model, path, &options, NULL);
    if (status != LIMN_OK) {
        check(model == NULL, "no model after a failure");
        check_failure(status);
        return 0;
    }
    check(model->n_parameters > 0 && (uint64_t)model->weight_bytes <= size, "no more weights than bytes");
    model_free(model);
    return 0;
}
