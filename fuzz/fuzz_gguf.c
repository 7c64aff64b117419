/* One GGUF file: every key through every getter, every tensor. */
#include <stdlib.h>
#include <string.h>

#include "files/gguf.h"
#include "fuzz.h"

static void touch(const char *text, size_t length) {
    volatile char sum = 0;
    for (size_t i = 0; i < length; i++) {
        sum = (char)(sum ^ text[i]);
    }
}

static void use_array(const Gguf *gguf, const char *key, int64_t count) {
    int64_t step = count > 1000 ? count / 1000 : 1;
    for (int64_t i = -1; i <= count; i += step) {
        const char *text;
        size_t length;
        int64_t integer;
        double real;
        bool any = false;
        if (gguf_array_string(gguf, key, i, &text, &length)) {
            touch(text, length);
            any = true;
        }
        any = gguf_array_integer(gguf, key, i, &integer) || any;
        any = gguf_array_real(gguf, key, i, &real) || any;
        check(!any || (i >= 0 && i < count), "no element outside an array");
    }
}

static void use_key(const Gguf *gguf, int32_t index) {
    size_t length;
    const char *bytes = gguf_key_at(gguf, index, &length);
    char *key = strndup(bytes, length);
    check(key != NULL, "memory");
    int64_t integer;
    double real;
    bool flag;
    const char *text;
    (void)gguf_get_integer(gguf, key, &integer);
    (void)gguf_get_real(gguf, key, &real);
    (void)gguf_get_bool(gguf, key, &flag);
    if (gguf_get_string(gguf, key, &text, &length)) {
        touch(text, length);
    }
    if (gguf_get_array(gguf, key, &integer)) {
        use_array(gguf, key, integer);
    }
    free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Gguf *gguf;
    limn_status status = gguf_open(&gguf, memory_file(data, size));
    if (status != LIMN_OK) {
        check(gguf == NULL, "no file after a failure");
        check_failure(status);
        return 0;
    }
    for (int32_t i = 0; i < gguf_key_count(gguf); i++) {
        use_key(gguf, i);
    }
    size_t total = 0;
    for (int32_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const Tensor *tensor = gguf_tensor_at(gguf, i);
        check(gguf_tensor(gguf, tensor->name) == tensor, "a tensor found by its name");
        check((uintptr_t)tensor->data % 8 == 0 || tensor->bytes == 0, "aligned data");
        use_tensor(tensor);
        total += tensor->bytes;
    }
    check(total < size, "no more tensor bytes than the file has");
    gguf_close(gguf);
    return 0;
}
