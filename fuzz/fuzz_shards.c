/* model.safetensors.index.json of a folder with two good shards ("a" in a.safetensors, "b" in b.safetensors). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/tensor_files.h"
#include "fuzz.h"

static void remove_folder(void) {
    unlink(scratch_path("a.safetensors"));
    unlink(scratch_path("b.safetensors"));
    unlink(scratch_path("model.safetensors.index.json"));
    rmdir(scratch_path(""));
}

static void make_folder(void) {
    const float value = 1.0f;
    const Tensor a = {.name = "a", .dtype = DTYPE_F32, .rank = 0, .data = &value, .bytes = 4};
    const Tensor b = {.name = "b", .dtype = DTYPE_F32, .rank = 0, .data = &value, .bytes = 4};
    scratch_make(remove_folder);
    check(safetensors_write(scratch_path("a.safetensors"), &a, 1, NULL, 0) == LIMN_OK, "a shard");
    check(safetensors_write(scratch_path("b.safetensors"), &b, 1, NULL, 0) == LIMN_OK, "a shard");
    check(symlink(memory_file(NULL, 0), scratch_path("model.safetensors.index.json")) == 0, "a link to memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!scratch_made()) {
        make_folder();
    }
    memory_file(data, size);
    TensorFiles *files;
    limn_status status = tensor_files_open(&files, scratch_path(""));
    if (status != LIMN_OK) {
        check_failure(status);
        return 0;
    }
    for (int32_t i = 0; i < tensor_files_count(files); i++) {
        use_tensor(tensor_files_at(files, i));
    }
    tensor_files_close(files);
    return 0;
}
