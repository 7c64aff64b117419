#include "model/rope.h"

#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

/* theta ^ -(2i / dims), rounded to f32 at each step as the reference does. */
static limn_status plain_frequencies(Rope *rope, float **freq, Arena *arena, double theta, int64_t dims) {
    *freq = ARENA_ARRAY(arena, float, dims / 2);
    if (*freq == NULL) {
        return fail(LIMN_NO_MEMORY, "rotary frequencies");
    }
    for (int64_t i = 0; i < dims / 2; i++) {
        (*freq)[i] = 1.0f / powf((float)theta, (float)(2 * i) / (float)dims);
    }
    *rope = (Rope){.dims = (int32_t)dims, .inverse_freq = *freq, .factor = 1.0f};
    return LIMN_OK;
}

/* Long wavelengths are stretched by `factor`, short ones kept, those between interpolated. */
static limn_status scale_llama3(float *freq, int64_t n, const Settings *scaling, int64_t n_context) {
    double factor, low, high;
    int64_t original;
    static const char *const needed[] = {"factor", "low_freq_factor", "high_freq_factor"};
    for (int i = 0; i < 3; i++) {
        if (!settings_has(scaling, needed[i])) {
            return settings_fail(LIMN_FORMAT, scaling, needed[i], "a number (rope_type llama3 needs it)");
        }
    }
    TRY(settings_real(&factor, scaling, "factor", 1, 1e-6, 1e6));
    TRY(settings_real(&low, scaling, "low_freq_factor", 1, 1e-6, 1e6));
    TRY(settings_real(&high, scaling, "high_freq_factor", 4, 1e-6, 1e6));
    TRY(settings_integer(&original, scaling, "original_max_position_embeddings", n_context, 1, INT32_MAX));
    if (high == low) {
        return settings_fail(LIMN_FORMAT, scaling, "high_freq_factor", "a number other than low_freq_factor");
    }
    float longest = (float)((double)original / low), shortest = (float)((double)original / high);
    for (int64_t i = 0; i < n; i++) {
        float wavelength = 6.283185307179586f / freq[i];
        if (wavelength > longest) {
            freq[i] /= (float)factor;
        } else if (wavelength >= shortest) {
            float smooth = ((float)original / wavelength - (float)low) / (float)(high - low);
            freq[i] = (1.0f - smooth) * freq[i] / (float)factor + smooth * freq[i];
        }
    }
    return LIMN_OK;
}

static limn_status scale_linear(float *freq, int64_t n, const Settings *scaling) {
    double factor;
    if (!settings_has(scaling, "factor")) {
        return settings_fail(LIMN_FORMAT, scaling, "factor", "a number (rope_type linear needs it)");
    }
    TRY(settings_real(&factor, scaling, "factor", 1, 1e-6, 1e6));
    for (int64_t i = 0; i < n; i++) {
        freq[i] /= (float)factor;
    }
    return LIMN_OK;
}

static bool text_is(const char *text, size_t length, const char *word) {
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* How many of a head's dimensions turn. scaling->json is NULL when the configuration has no such object. */
static limn_status rotary_width(int64_t *dims, const Settings *settings, const Settings *scaling, const RopeKeys *keys,
                                int64_t d_head) {
    const char *inner = "partial_rotary_factor";
    *dims = d_head;
    if (keys->partial == NULL) {
        TRY(settings_refuse(settings, inner, 1));
        return scaling->json != NULL ? settings_refuse(scaling, inner, 1) : LIMN_OK;
    }
    double part;
    TRY(settings_real(&part, settings, keys->partial, keys->default_partial, 0, 1));
    if (scaling->json != NULL) {
        TRY(settings_real(&part, scaling, inner, part, 0, 1));
    }
    *dims = (int64_t)((double)d_head * part);
    if (*dims < 2 || *dims % 2 != 0) {
        return fail(LIMN_FORMAT, "%s: %g of a head's %lld dimensions turn, expected an even number of them",
                    settings->path, part, (long long)d_head);
    }
    return LIMN_OK;
}

limn_status rope_from_json(Rope *rope, Arena *arena, const Settings *settings, int64_t d_head, int64_t n_context) {
    return rope_from_json_as(rope, arena, settings, &(RopeKeys){.theta = "rope_theta"}, d_head, n_context);
}

limn_status rope_from_json_as(Rope *rope, Arena *arena, const Settings *settings, const RopeKeys *keys, int64_t d_head,
                              int64_t n_context) {
    Settings scaling;
    TRY(settings_object(&scaling, settings, "rope_scaling"));
    if (scaling.json == NULL || json_object_size(scaling.json) == 0) {
        TRY(settings_object(&scaling, settings, "rope_parameters"));
    }
    double theta;
    TRY(settings_real(&theta, settings, keys->theta, 10000.0, 1e-3, 1e12));
    int64_t dims;
    TRY(rotary_width(&dims, settings, &scaling, keys, d_head));
    const char *type = "default";
    size_t length = strlen(type);
    if (scaling.json != NULL) {
        TRY(settings_real(&theta, &scaling, "rope_theta", theta, 1e-3, 1e12));
        const char *key = settings_has(&scaling, "rope_type") ? "rope_type" : "type";
        if (settings_has(&scaling, key)) {
            TRY(settings_text(&type, &length, &scaling, key));
        }
        int64_t original;
        TRY(settings_integer(&original, settings, "original_max_position_embeddings", 0, 1, INT32_MAX));
        n_context = original != 0 ? original : n_context;
    }
    float *freq;
    TRY(plain_frequencies(rope, &freq, arena, theta, dims));
    if (text_is(type, length, "default")) {
        return LIMN_OK;
    }
    if (text_is(type, length, "linear")) {
        return scale_linear(freq, dims / 2, &scaling);
    }
    if (text_is(type, length, "llama3")) {
        return scale_llama3(freq, dims / 2, &scaling, n_context);
    }
    return fail(LIMN_UNSUPPORTED, "%s: rope_type \"%.*s\" is not implemented, expected default, linear or llama3",
                settings->path, (int)(length < 64 ? length : 64), type);
}

limn_status rope_from_gguf(Rope *rope, Arena *arena, const Settings *settings, WeightStore *weights, const char *prefix,
                           int64_t d_head) {
    char key[96];
    double theta, factor = 1;
    int64_t dims;
    snprintf(key, sizeof key, "%s.rope.dimension_count", prefix);
    TRY(settings_integer(&dims, settings, key, d_head, d_head, d_head));
    snprintf(key, sizeof key, "%s.rope.freq_base", prefix);
    TRY(settings_real(&theta, settings, key, 10000.0, 1e-3, 1e12));
    snprintf(key, sizeof key, "%s.rope.scale_linear", prefix);
    TRY(settings_real(&factor, settings, key, 1, 1e-6, 1e6));
    const char *type;
    size_t length;
    snprintf(key, sizeof key, "%s.rope.scaling.type", prefix);
    TRY(settings_text(&type, &length, settings, key));
    if (type != NULL && !text_is(type, length, "none") && !text_is(type, length, "linear")) {
        return settings_fail(LIMN_UNSUPPORTED, settings, key, "none or linear (others are not implemented)");
    }
    if (type != NULL && text_is(type, length, "linear")) {
        snprintf(key, sizeof key, "%s.rope.scaling.factor", prefix);
        TRY(settings_real(&factor, settings, key, factor, 1e-6, 1e6));
    }
    float *freq;
    TRY(plain_frequencies(rope, &freq, arena, theta, d_head));
    const char *divisors = "rope_freqs.weight";
    Weight divisor = {0};
    if (weights_has(weights, divisors)) {
        TRY(weights_get(&divisor, weights, USE_VECTOR, d_head / 2, 1, divisors));
        if (divisor.dtype != DTYPE_F32 || gguf_tensor(settings->gguf, divisors)->data != divisor.data) {
            return fail(LIMN_UNSUPPORTED, "%s: tensor %s is not F32 where it lies", settings->path, divisors);
        }
    }
    for (int64_t i = 0; i < d_head / 2; i++) {
        freq[i] /= (float)factor * (divisor.name != NULL ? ((const float *)divisor.data)[i] : 1.0f);
    }
    return LIMN_OK;
}
