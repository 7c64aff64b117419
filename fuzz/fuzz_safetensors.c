/* One .safetensors file. */
#include "files/tensor_files.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    TensorFiles *files;
    limn_status status = tensor_files_open(&files, memory_file(data, size));
    if (status != LIMN_OK) {
        check(files == NULL, "no files after a failure");
        check_failure(status);
        return 0;
    }
    size_t total = 0;
    for (int32_t i = 0; i < tensor_files_count(files); i++) {
        const Tensor *tensor = tensor_files_at(files, i);
        check(tensor_files_find(files, tensor->name) == tensor, "a tensor found by its name");
        check(tensor_files_path_of(files, tensor) != NULL, "a tensor's file");
        use_tensor(tensor);
        total += tensor->bytes;
    }
    check(total < size, "no more tensor bytes than the file has");
    tensor_files_close(files);
    return 0;
}
