/* bf16 <-> f32 over contiguous elements. */
static void SIMD(to_bf16)(uint16_t *out, const float *in, int64_t n) {
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        v_store_bf16(out + i, v_load(in + i));
    }
    if (i < n) {
        v_store_bf16_n(out + i, v_load_n(in + i, n - i), n - i);
    }
}

static void SIMD(from_bf16)(float *out, const void *in, int64_t n) {
    const char *bytes = in;
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        v_store(out + i, v_load_bf16(bytes + 2 * i));
    }
    if (i < n) {
        v_store_n(out + i, v_load_bf16_n(bytes + 2 * i, n - i), n - i);
    }
}
