#include "tensor/tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* f16 by its definition, with scalbn: slow and independent of the bit tricks. */
static double half_by_definition(uint16_t bits) {
    int exponent = bits >> 10 & 31;
    int mantissa = bits & 1023;
    double magnitude = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31) {
        magnitude = mantissa == 0 ? (double)INFINITY : (double)NAN;
    }
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

static void test_all_halves(void **state) {
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        double expected = half_by_definition((uint16_t)bits);
        float found = f16_to_f32((uint16_t)bits);
        if (isnan(expected)) {
            assert_true(isnan(found));
            assert_true(isnan(f16_to_f32(f32_to_f16(found))));
        } else {
            assert_true((double)found == expected && !signbit(found) == !signbit(expected));
            assert_int_equal(f32_to_f16(found), bits);
        }
    }
}

/* Between two neighbours the nearer wins; exactly halfway the even one. */
static void test_half_rounding(void **state) {
    for (uint16_t bits = 0; bits < 0x7BFF; bits++) {
        double low = half_by_definition(bits);
        double high = half_by_definition((uint16_t)(bits + 1));
        float middle = (float)((low + high) / 2); /* exact in f32 */
        assert_int_equal(f32_to_f16(middle), bits % 2 == 0 ? bits : bits + 1);
        assert_int_equal(f32_to_f16(nextafterf(middle, -INFINITY)), bits);
        assert_int_equal(f32_to_f16(nextafterf(middle, INFINITY)), bits + 1);
        assert_int_equal(f32_to_f16(-middle), 0x8000 | (bits % 2 == 0 ? bits : bits + 1));
    }
    assert_int_equal(f32_to_f16(65519.0f), 0x7BFF);
    assert_int_equal(f32_to_f16(65520.0f), 0x7C00);
    assert_int_equal(f32_to_f16(INFINITY), 0x7C00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xFC00);
    assert_int_equal(f32_to_f16(float_of(1)), 0);
}

static void test_bf16(void **state) {
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        float value = bf16_to_f32((uint16_t)bits);
        if (isnan(value)) {
            assert_true(isnan(bf16_to_f32(f32_to_bf16(value))));
            continue;
        }
        assert_int_equal(f32_to_bf16(value), bits);
        if (isfinite(value)) {
            uint32_t wide = bits << 16;
            assert_int_equal(f32_to_bf16(float_of(wide + 0x7FFF)), bits);
            assert_int_equal(f32_to_bf16(float_of(wide + 0x8000)), bits % 2 == 0 ? bits : bits + 1);
            assert_int_equal(f32_to_bf16(float_of(wide + 0x8001)), bits + 1);
        }
    }
    /* A NaN whose payload lies in the bits that are cut must not become infinity. */
    assert_true(isnan(bf16_to_f32(f32_to_bf16(float_of(0x7F800001u)))));
    assert_true(isnan(bf16_to_f32(f32_to_bf16(float_of(0xFFFFFFFFu)))));
}

static Tensor tensor_of(DType dtype, int64_t n, const void *data) {
    Tensor tensor = {.name = "t", .dtype = dtype, .rank = 1, .shape = {n}, .data = data};
    assert_int_equal(tensor_bytes(dtype, 1, tensor.shape, &tensor.bytes), LIMN_OK);
    return tensor;
}

/* Whole runs and a tail of every length, from every offset: vector and scalar loops must agree. */
static void test_plain_types(void **state) {
    enum { N = 200 };
    uint16_t f16[N], bf16[N];
    float f32[N];
    double f64[N];
    int64_t i64[N];
    int32_t i32[N];
    int16_t i16[N];
    int8_t i8[N];
    uint8_t u8[N], flags[N];
    float expected[N];
    for (int i = 0; i < N; i++) {
        expected[i] = (float)(i % 120 - 40);
        f32[i] = expected[i];
        f16[i] = f32_to_f16(expected[i]);
        bf16[i] = f32_to_bf16(expected[i]);
        f64[i] = (double)expected[i];
        i64[i] = (int64_t)expected[i];
        i32[i] = (int32_t)expected[i];
        i16[i] = (int16_t)expected[i];
        i8[i] = (int8_t)expected[i];
        u8[i] = (uint8_t)(200 + i % 50);
        flags[i] = (uint8_t)(i % 3 == 0);
    }
    const Tensor tensors[] = {
        tensor_of(DTYPE_F32, N, f32),    tensor_of(DTYPE_F16, N, f16), tensor_of(DTYPE_BF16, N, bf16),
        tensor_of(DTYPE_F64, N, f64),    tensor_of(DTYPE_I64, N, i64), tensor_of(DTYPE_I32, N, i32),
        tensor_of(DTYPE_I16, N, i16),    tensor_of(DTYPE_I8, N, i8),   tensor_of(DTYPE_U8, N, u8),
        tensor_of(DTYPE_BOOL, N, flags),
    };
    for (size_t t = 0; t < sizeof tensors / sizeof tensors[0]; t++) {
        for (int64_t start = 0; start < 70; start += 23) {
            for (int64_t count = 0; start + count <= N; count++) {
                float out[N + 1];
                out[count] = -777.0f;
                assert_int_equal(tensor_read_f32(out, &tensors[t], start, count), LIMN_OK);
                for (int64_t i = 0; i < count; i++) {
                    float wanted = expected[start + i];
                    wanted = tensors[t].dtype == DTYPE_U8 ? (float)u8[start + i] : wanted;
                    wanted = tensors[t].dtype == DTYPE_BOOL ? (float)flags[start + i] : wanted;
                    assert_true(out[i] == wanted);
                }
                assert_true(out[count] == -777.0f);
            }
        }
    }
}

/* Blocks written out by hand from the layout's definition. */
static void test_blocks(void **state) {
    unsigned char q8[2 * 34], q4_0[2 * 18], q4_1[2 * 20];
    for (int block = 0; block < 2; block++) {
        const uint16_t d = f32_to_f16(block == 0 ? 0.5f : -0.25f);
        const uint16_t m = f32_to_f16(block == 0 ? -3.0f : 1.5f);
        memcpy(q8 + 34 * block, &d, 2);
        memcpy(q4_0 + 18 * block, &d, 2);
        memcpy(q4_1 + 20 * block, &d, 2);
        memcpy(q4_1 + 20 * block + 2, &m, 2);
        for (int j = 0; j < 32; j++) {
            q8[34 * block + 2 + j] = (unsigned char)(8 * j - 128);
        }
        for (int j = 0; j < 16; j++) { /* element j: j; element j + 16: 15 - j */
            unsigned char both = (unsigned char)(j | (15 - j) << 4);
            q4_0[18 * block + 2 + j] = both;
            q4_1[20 * block + 4 + j] = both;
        }
    }
    float out[64];
    const Tensor a = tensor_of(DTYPE_Q8_0, 64, q8);
    const Tensor b = tensor_of(DTYPE_Q4_0, 64, q4_0);
    const Tensor c = tensor_of(DTYPE_Q4_1, 64, q4_1);
    for (int i = 0; i < 64; i++) {
        int j = i % 32;
        float d = i < 32 ? 0.5f : -0.25f;
        float m = i < 32 ? -3.0f : 1.5f;
        int q = j < 16 ? j : 15 - (j - 16);
        assert_int_equal(tensor_read_f32(out, &a, 0, 64), LIMN_OK);
        assert_true(out[i] == d * (float)(8 * j - 128));
        assert_int_equal(tensor_read_f32(out, &b, 0, 64), LIMN_OK);
        assert_true(out[i] == d * (float)(q - 8));
        assert_int_equal(tensor_read_f32(out, &c, 0, 64), LIMN_OK);
        assert_true(out[i] == d * (float)q + m);
    }
    assert_int_equal(tensor_read_f32(out, &c, 32, 32), LIMN_OK);
    assert_true(out[0] == 1.5f);
    assert_int_equal(tensor_read_f32(out, &c, 16, 32), LIMN_RANGE);
    assert_int_equal(tensor_read_f32(out, &c, 0, 31), LIMN_RANGE);
}

static void test_ranges(void **state) {
    const float data[4] = {0};
    float out[4];
    const Tensor tensor = tensor_of(DTYPE_F32, 4, data);
    assert_int_equal(tensor_read_f32(out, &tensor, 0, 5), LIMN_RANGE);
    assert_int_equal(tensor_read_f32(out, &tensor, 5, 0), LIMN_RANGE);
    assert_int_equal(tensor_read_f32(out, &tensor, -1, 1), LIMN_RANGE);
    assert_int_equal(tensor_read_f32(out, &tensor, 1, INT64_MAX), LIMN_RANGE);
    assert_int_equal(tensor_read_f32(out, &tensor, 4, 0), LIMN_OK);
    assert_non_null(strstr(error_message(), "'t'"));
}

/* Every row of the table is readable, has its names, and finds itself by them. */
static void test_table(void **state) {
    unsigned char block[256] = {0};
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const DTypeInfo *info = dtype_info((DType)i);
        float out[256];
        const Tensor tensor = tensor_of((DType)i, info->block_elements, block);
        assert_int_equal(tensor_read_f32(out, &tensor, 0, info->block_elements), LIMN_OK);
        assert_true(out[0] == 0.0f);
        DType found;
        if (info->safetensors != NULL) {
            assert_true(dtype_from_safetensors(info->safetensors, strlen(info->safetensors), &found));
            assert_int_equal(found, i);
        }
        if (info->gguf >= 0) {
            assert_true(dtype_from_gguf((uint32_t)info->gguf, &found));
            assert_int_equal(found, i);
        }
    }
    DType found;
    assert_false(dtype_from_safetensors("F3", 2, &found));
    assert_false(dtype_from_safetensors("F322", 4, &found));
    assert_false(dtype_from_gguf(UINT32_MAX, &found)); /* not the -1 of rows that GGUF does not have */
}

static void test_sizes(void **state) {
    size_t bytes = 99;
    assert_int_equal(tensor_bytes(DTYPE_F32, 2, (const int64_t[]){3, 5}, &bytes), LIMN_OK);
    assert_int_equal(bytes, 60);
    assert_int_equal(tensor_bytes(DTYPE_F32, 0, NULL, &bytes), LIMN_OK);
    assert_int_equal(bytes, 4);
    assert_int_equal(tensor_bytes(DTYPE_F32, 2, (const int64_t[]){0, 5}, &bytes), LIMN_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(tensor_bytes(DTYPE_Q4_1, 2, (const int64_t[]){3, 64}, &bytes), LIMN_OK);
    assert_int_equal(bytes, 120);
    assert_int_equal(tensor_bytes(DTYPE_Q4_1, 2, (const int64_t[]){64, 3}, &bytes), LIMN_FORMAT);
    const int64_t big = INT64_C(1) << 62;
    assert_int_equal(tensor_bytes(DTYPE_F32, 2, (const int64_t[]){big, 2}, &bytes), LIMN_FORMAT);
    assert_int_equal(tensor_bytes(DTYPE_F32, 1, (const int64_t[]){big}, &bytes), LIMN_FORMAT);
    assert_int_equal(tensor_bytes(DTYPE_F32, 3, (const int64_t[]){0, big, big}, &bytes), LIMN_FORMAT);
    assert_int_equal(tensor_bytes(DTYPE_F32, 1, (const int64_t[]){-1}, &bytes), LIMN_FORMAT);
    assert_int_equal(tensor_bytes(DTYPE_F32, 9, (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, &bytes), LIMN_FORMAT);
    char text[96];
    Tensor tensor = {.rank = 2, .shape = {2, 3}};
    assert_string_equal(tensor_shape_text(&tensor, text), "[2, 3]");
    tensor = (Tensor){.rank = 8};
    for (int i = 0; i < 8; i++) {
        tensor.shape[i] = INT64_MAX - i;
    }
    assert_true(strlen(tensor_shape_text(&tensor, text)) < 96);
    assert_non_null(strstr(text, ", ...]"));
}

static void test_nonfinite(void **state) {
    float *values = calloc(1000, sizeof *values);
    assert_non_null(values);
    int64_t index;
    Tensor tensor = tensor_of(DTYPE_F32, 1000, values);
    assert_false(tensor_first_nonfinite(&tensor, &index));
    for (int64_t place = 0; place < 1000; place += 37) {
        values[place] = place % 2 == 0 ? NAN : -INFINITY;
        assert_true(tensor_first_nonfinite(&tensor, &index));
        assert_int_equal(index, place);
        values[place] = 3.0e38f;
    }
    free(values);
    uint16_t halves[130] = {0};
    halves[129] = 0xFC00;
    tensor = tensor_of(DTYPE_F16, 130, halves);
    assert_true(tensor_first_nonfinite(&tensor, &index));
    assert_int_equal(index, 129);
    tensor.dtype = DTYPE_BF16; /* the same bits are finite there */
    assert_false(tensor_first_nonfinite(&tensor, &index));
    halves[64] = 0x7FC0;
    assert_true(tensor_first_nonfinite(&tensor, &index));
    assert_int_equal(index, 64);
    unsigned char blocks[3 * 20] = {0};
    memset(blocks + 20 + 4, 0xFF, 16); /* quants are no floats */
    tensor = tensor_of(DTYPE_Q4_1, 96, blocks);
    assert_false(tensor_first_nonfinite(&tensor, &index));
    blocks[40 + 3] = 0x7E; /* the third block's offset */
    assert_true(tensor_first_nonfinite(&tensor, &index));
    assert_int_equal(index, 64);
    double wide[2] = {1.0, (double)INFINITY};
    tensor = tensor_of(DTYPE_F64, 2, wide);
    assert_true(tensor_first_nonfinite(&tensor, &index));
    assert_int_equal(index, 1);
    tensor = tensor_of(DTYPE_I64, 2, wide);
    assert_false(tensor_first_nonfinite(&tensor, &index));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_halves),  cmocka_unit_test(test_half_rounding), cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_plain_types), cmocka_unit_test(test_blocks),        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_table),       cmocka_unit_test(test_sizes),         cmocka_unit_test(test_nonfinite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
