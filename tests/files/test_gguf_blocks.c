/* A GGUF file written by the reference implementation (tests/oracle/gguf/make_blocks.py): metadata of every type, and
 * blocks of every kind, whose values must be the reference's in every bit. */
#include "files/gguf.h"
#include "files/tensor_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files/helpers.h"

#define FOLDER LIMN_TEST_SOURCE_DIR "/tests/golden/gguf/"

static void test_metadata(void **state) {
    static const struct {
        const char *key;
        int64_t value;
    } integers[] = {{"test.u8", 200},
                    {"test.i8", -100},
                    {"test.u16", 65000},
                    {"test.i16", -30000},
                    {"test.u32", 4000000000},
                    {"test.i32", -2000000000},
                    {"test.u64", INT64_C(1) << 62},
                    {"test.i64", -(INT64_C(1) << 62)}};
    Gguf *gguf;
    assert_ok(gguf_open(&gguf, FOLDER "blocks.gguf"));
    int64_t integer, count;
    double real;
    bool truth = false;
    const char *text;
    size_t length;
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        assert_true(gguf_get_integer(gguf, integers[i].key, &integer));
        assert_true(integer == integers[i].value);
    }
    assert_true(gguf_get_real(gguf, "test.f32", &real) && real == 0.5);
    assert_true(gguf_get_real(gguf, "test.f64", &real) && real == 1e-300);
    assert_true(gguf_get_bool(gguf, "test.bool", &truth) && truth);
    assert_true(gguf_get_string(gguf, "test.string", &text, &length));
    assert_int_equal(length, strlen("naïve 世界"));
    assert_memory_equal(text, "naïve 世界", length);
    assert_true(gguf_get_array(gguf, "test.reals", &count) && count == 2);
    assert_true(gguf_array_real(gguf, "test.reals", 1, &real) && real == -2.0);
    assert_true(gguf_array_integer(gguf, "test.integers", 1, &integer) && integer == -4);
    assert_true(gguf_array_string(gguf, "test.strings", 2, &text, &length) && length == 2);
    gguf_close(gguf);
}

/* Every row of the dtype table that GGUF has stands in the file, and in the file stands nothing else. */
static void test_every_kind_is_there(void **state) {
    Gguf *gguf;
    assert_ok(gguf_open(&gguf, FOLDER "blocks.gguf"));
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const DTypeInfo *info = dtype_info((DType)i);
        if (info->gguf >= 0) {
            const Tensor *tensor = gguf_tensor(gguf, info->name);
            assert_non_null(tensor);
            assert_int_equal(tensor->dtype, i);
        }
    }
    gguf_close(gguf);
}

/* The whole tensor at once, and block by block: both as the reference has it. */
static void check_values(const Tensor *tensor, const Tensor *golden) {
    int64_t n = tensor_elements(tensor), step = dtype_info(tensor->dtype)->block_elements;
    const float *expected = golden->data;
    float *found = malloc((size_t)n * sizeof *found);
    assert_non_null(found);
    assert_int_equal(golden->dtype, DTYPE_F32);
    assert_int_equal(tensor_elements(golden), n);
    assert_int_equal(golden->rank, tensor->rank);
    assert_int_equal(golden->shape[1], tensor->shape[1]);
    assert_ok(tensor_read_f32(found, tensor, 0, n));
    assert_memory_equal(found, expected, (size_t)n * sizeof *found);
    for (int64_t at = n - step; at >= 0; at -= step) {
        memset(found, 0xFF, (size_t)n * sizeof *found);
        assert_ok(tensor_read_f32(found, tensor, at, step));
        assert_memory_equal(found, expected + at, (size_t)step * sizeof *found);
        assert_true(step == n || isnan(found[step])); /* nothing beyond */
    }
    free(found);
}

static void test_values(void **state) {
    Gguf *gguf;
    TensorFiles *golden;
    assert_ok(gguf_open(&gguf, FOLDER "blocks.gguf"));
    assert_ok(tensor_files_open(&golden, FOLDER "blocks.safetensors"));
    assert_int_equal(gguf_tensor_count(gguf), tensor_files_count(golden));
    for (int32_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const Tensor *tensor = gguf_tensor_at(gguf, i);
        const Tensor *expected = tensor_files_find(golden, tensor->name);
        assert_non_null(expected);
        check_values(tensor, expected);
    }
    tensor_files_close(golden);
    gguf_close(gguf);
}

/* A NaN among a block's scales is found, wherever the kind keeps them; the same bytes elsewhere are numbers. */
static void test_nonfinite_scales(void **state) {
    Gguf *gguf;
    assert_ok(gguf_open(&gguf, FOLDER "blocks.gguf"));
    for (int32_t i = 0; i < gguf_tensor_count(gguf); i++) {
        Tensor tensor = *gguf_tensor_at(gguf, i);
        const DTypeInfo *info = dtype_info(tensor.dtype);
        int64_t index;
        assert_false(tensor_first_nonfinite(&tensor, &index));
        if (info->block_elements == 1) {
            continue;
        }
        unsigned char *copy = malloc(tensor.bytes);
        assert_non_null(copy);
        int64_t found = 0;
        for (int at = 0; at + 1 < info->block_bytes; at++) {
            memcpy(copy, tensor.data, tensor.bytes);
            tensor.data = copy;
            unsigned char *second = copy + info->block_bytes + at;
            second[1] = 0x7E;
            if (tensor_first_nonfinite(&tensor, &index)) {
                float values[256];
                assert_int_equal(index, info->block_elements);
                assert_ok(tensor_read_f32(values, &tensor, index, info->block_elements));
                assert_true(isnan(values[0]));
                found++;
            }
            tensor.data = gguf_tensor_at(gguf, i)->data;
        }
        bool two =
            strchr("1K", info->name[3]) != NULL && strcmp(info->name, "Q3_K") != 0 && strcmp(info->name, "Q6_K") != 0;
        assert_int_equal(found, two ? 2 : 1);
        free(copy);
    }
    gguf_close(gguf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_every_kind_is_there),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nonfinite_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
