#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "files/tensor_files.h"
#include "fuzz.h"

void check(bool promise, const char *what) {
    if (!promise) {
        fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}

void check_failure(limn_status status) {
    check(status > LIMN_OK && status < LIMN_STATUS_COUNT, "a status of the table");
    check(status != LIMN_INTERNAL, "no input makes an internal error");
    size_t length = strlen(error_message());
    check(length > 0 && length < ERROR_MESSAGE_MAX, "a message");
    check(strpbrk(error_message(), "\n\r\033") == NULL, "a message of one line");
}

const char *memory_file(const uint8_t *data, size_t size) {
    static char path[64];
    static int descriptor = -1;
    if (descriptor < 0) {
        descriptor = memfd_create("fuzz", MFD_CLOEXEC);
        check(descriptor >= 0, "a file in memory");
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    }
    check(ftruncate(descriptor, 0) == 0, "an empty file");
    for (size_t at = 0; at < size;) {
        ssize_t wrote = pwrite(descriptor, data + at, size - at, (off_t)at);
        check(wrote > 0, "a written file");
        at += (size_t)wrote;
    }
    return path;
}

static char scratch[32];

void scratch_make(void (*remove_all)(void)) {
    snprintf(scratch, sizeof scratch, "/tmp/limn-fuzz-XXXXXX");
    check(mkdtemp(scratch) != NULL, "a scratch folder");
    atexit(remove_all);
}

bool scratch_made(void) {
    return scratch[0] != '\0';
}

const char *scratch_path(const char *name) {
    static char path[160];
    snprintf(path, sizeof path, "%s%s%s", scratch, name[0] == '\0' ? "" : "/", name);
    return path;
}

void scratch_put(const char *name, const void *bytes, size_t size) {
    if (size == 0) {
        unlink(scratch_path(name));
        return;
    }
    FILE *file = fopen(scratch_path(name), "wb");
    check(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, "a written file");
}

void scratch_put_parts(const char *const *names, int n, const uint8_t *bytes, size_t size) {
    for (int i = 0; i < n; i++) {
        const uint8_t *nul = size > 0 && i + 1 < n ? memchr(bytes, 0, size) : NULL;
        size_t length = nul != NULL ? (size_t)(nul - bytes) : size;
        scratch_put(names[i], bytes, length);
        size_t taken = nul != NULL ? length + 1 : length;
        bytes = size > taken ? bytes + taken : bytes;
        size -= taken;
    }
}

void scratch_put_weights(const char *name, const ScratchWeight *weights, int n) {
    enum { MOST_VALUES = 4096 };
    static const float values[MOST_VALUES] = {0.5F, -0.25F, 1.0F};
    Tensor *tensors = calloc((size_t)n + 1, sizeof *tensors);
    check(tensors != NULL, "memory");
    for (int i = 0; i < n; i++) {
        int64_t columns = weights[i].columns > 0 ? weights[i].columns : 1;
        check(weights[i].rows * columns <= MOST_VALUES, "a small weight");
        tensors[i] = (Tensor){.name = weights[i].name,
                              .dtype = DTYPE_F32,
                              .rank = weights[i].columns > 0 ? 2 : 1,
                              .shape = {weights[i].rows, weights[i].columns},
                              .data = values,
                              .bytes = (size_t)(weights[i].rows * columns) * sizeof *values};
    }
    check(safetensors_write(scratch_path(name), tensors, n, NULL, 0) == LIMN_OK, "tensors");
    free(tensors);
}

void use_tensor(const Tensor *tensor) {
    const unsigned char *bytes = tensor->data;
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < tensor->bytes; i++) {
        sum = (unsigned char)(sum + bytes[i]);
    }
    char text[96];
    check(strlen(tensor_shape_text(tensor, text)) < sizeof text, "a shape text that fits");
    int64_t elements = tensor_elements(tensor);
    int64_t index = -1;
    if (tensor_first_nonfinite(tensor, &index)) {
        check(index >= 0 && index < elements, "the index of a NaN within the tensor");
    }
    float out[256];
    int64_t count = elements < 256 ? elements : 256;
    check(tensor_read_f32(out, tensor, 0, count) == LIMN_OK, "the first elements");
    check(tensor_read_f32(out, tensor, elements - count, count) == LIMN_OK || count % 32 != 0, "the last elements");
}
