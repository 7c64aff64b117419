#include "model/rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "files/json.h"
#include "tensor/tensor.h"

static const char *const original_key = "original_max_position_embeddings";

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "rotary frequencies");
}

/* theta ^ -(2i / dims), rounded to f32 at each step as the reference does. */
static limn_status plain_frequencies(Rope *rope, float **freq, Arena *arena, double theta, int64_t dims) {
    *freq = ARENA_ARRAY(arena, float, dims / 2);
    if (*freq == NULL) {
        return no_memory();
    }
    for (int64_t i = 0; i < dims / 2; i++) {
        (*freq)[i] = 1.0f / powf((float)theta, (float)(2 * i) / (float)dims);
    }
    *rope = (Rope){.dims = (int32_t)dims, .inverse_freq = *freq, .factor = 1.0f, .theta = (float)theta};
    return LIMN_OK;
}

limn_status rope_plain(Rope *rope, Arena *arena, double theta, int64_t dims) {
    float *freq;
    return plain_frequencies(rope, &freq, arena, theta, dims);
}

/* A number that a kind of scaling cannot do without. */
static limn_status need_real(double *value, const Settings *scaling, const char *key, const char *type) {
    if (!settings_has(scaling, key)) {
        char expected[64];
        snprintf(expected, sizeof expected, "a number (rope_type %s needs it)", type);
        return settings_fail(LIMN_FORMAT, scaling, key, expected);
    }
    return settings_real(value, scaling, key, 1, 1e-6, 1e6);
}

/* --- the kinds of scaling, after Hugging Face's names --- */

/* What a kind of scaling works with. */
typedef struct Scaling {
    Rope *rope;
    float *freq; /* [dims / 2], to be changed */
    Arena *arena;
    const Settings *json;
    double theta;
    int64_t n_context, original;
} Scaling;

static limn_status scale_linear(const Scaling *scaling) {
    double factor;
    TRY(need_real(&factor, scaling->json, "factor", "linear"));
    for (int64_t i = 0; i < scaling->rope->dims / 2; i++) {
        scaling->freq[i] /= (float)factor;
    }
    return LIMN_OK;
}

/* Long wavelengths are stretched by `factor`, short ones kept, those between interpolated. */
static limn_status scale_llama3(const Scaling *scaling) {
    double factor, low, high;
    TRY(need_real(&factor, scaling->json, "factor", "llama3"));
    TRY(need_real(&low, scaling->json, "low_freq_factor", "llama3"));
    TRY(need_real(&high, scaling->json, "high_freq_factor", "llama3"));
    if (high == low) {
        return settings_fail(LIMN_FORMAT, scaling->json, "high_freq_factor", "a number other than low_freq_factor");
    }
    float original = (float)scaling->original;
    float longest = (float)((double)scaling->original / low), shortest = (float)((double)scaling->original / high);
    for (int64_t i = 0; i < scaling->rope->dims / 2; i++) {
        float *freq = &scaling->freq[i];
        float wavelength = 6.283185307179586f / *freq;
        if (wavelength > longest) {
            *freq /= (float)factor;
        } else if (wavelength >= shortest) {
            float smooth = (original / wavelength - (float)low) / (float)(high - low);
            *freq = (1.0f - smooth) * *freq / (float)factor + smooth * *freq;
        }
    }
    return LIMN_OK;
}

/* A sequence longer than the model was trained for turns by a base that grows with its length. */
static limn_status scale_dynamic(const Scaling *scaling) {
    double factor;
    TRY(need_real(&factor, scaling->json, "factor", "dynamic"));
    if (scaling->rope->dims < 4) {
        return fail(LIMN_FORMAT, "%s: %d rotary dimensions, expected 4 or more for rope_type dynamic",
                    scaling->json->path, scaling->rope->dims);
    }
    scaling->rope->original = (int32_t)scaling->n_context;
    scaling->rope->stretch = (float)factor;
    scaling->rope->n_context = (int64_t)(factor * (double)scaling->n_context);
    return LIMN_OK;
}

/* The pair that turns `rotations` times within the original context, as a real number. */
static double yarn_pair(double rotations, int64_t dims, double theta, int64_t original) {
    return (double)dims * log((double)original / (rotations * 2.0 * 3.14159265358979323846)) / (2.0 * log(theta));
}

typedef struct Yarn {
    double factor, beta_fast, beta_slow, theta;
    int64_t original;
    bool truncate;
} Yarn;

/* Pairs that turn often are kept, those that turn seldom are stretched, a ramp between. */
static limn_status yarn_frequencies(float *freq, int64_t dims, const Yarn *yarn, const char *path) {
    if (!(yarn->theta > 1)) {
        return fail(LIMN_FORMAT, "%s: the base of rotary positions is %g, expected more than 1 for yarn", path,
                    yarn->theta);
    }
    double low = yarn_pair(yarn->beta_fast, dims, yarn->theta, yarn->original);
    double high = yarn_pair(yarn->beta_slow, dims, yarn->theta, yarn->original);
    low = fmax(yarn->truncate ? floor(low) : low, 0);
    high = fmin(yarn->truncate ? ceil(high) : high, (double)(dims - 1));
    high = low == high ? high + 0.001 : high;
    for (int64_t i = 0; i < dims / 2; i++) {
        float power = powf((float)yarn->theta, (float)(2 * i) / (float)dims);
        float ramp = ((float)i - (float)low) / (float)(high - low);
        float kept = 1.0f - (ramp < 0 ? 0.0f : ramp > 1 ? 1.0f : ramp);
        freq[i] = 1.0f / ((float)yarn->factor * power) * (1.0f - kept) + 1.0f / power * kept;
    }
    return LIMN_OK;
}

static double yarn_temperature(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1.0;
}

static limn_status scale_yarn(const Scaling *scaling) {
    const Settings *json = scaling->json;
    Yarn yarn = {.theta = scaling->theta, .original = scaling->original};
    double attention, scale, scale_all;
    TRY(settings_real(&yarn.factor, json, "factor", (double)scaling->n_context / (double)scaling->original, 1e-6, 1e6));
    TRY(settings_real(&yarn.beta_fast, json, "beta_fast", 32, 0, 1e6));
    TRY(settings_real(&yarn.beta_slow, json, "beta_slow", 1, 0, 1e6));
    TRY(settings_bool(&yarn.truncate, json, "truncate", true));
    TRY(settings_real(&scale, json, "mscale", 0, 0, 1e6));
    TRY(settings_real(&scale_all, json, "mscale_all_dim", 0, 0, 1e6));
    TRY(settings_real(&attention, json, "attention_factor", -1, 0, 1e6));
    yarn.beta_fast = yarn.beta_fast == 0 ? 32 : yarn.beta_fast;
    yarn.beta_slow = yarn.beta_slow == 0 ? 1 : yarn.beta_slow;
    if (attention < 0 && scale != 0 && scale_all != 0) {
        attention = yarn_temperature(yarn.factor, scale) / yarn_temperature(yarn.factor, scale_all);
    } else if (attention < 0) {
        attention = yarn_temperature(yarn.factor, 1);
    }
    TRY(yarn_frequencies(scaling->freq, scaling->rope->dims, &yarn, json->path));
    scaling->rope->factor = (float)attention;
    scaling->rope->n_context = (int64_t)(yarn.factor * (double)scaling->original);
    return LIMN_OK;
}

/* One divisor for each pair. */
static limn_status read_divisors(const float **made, const Scaling *scaling, const char *key) {
    int64_t n = scaling->rope->dims / 2;
    const json_t *list = settings_value(scaling->json, key);
    float *divisors = ARENA_ARRAY(scaling->arena, float, n);
    if (divisors == NULL) {
        return no_memory();
    }
    char expected[64];
    snprintf(expected, sizeof expected, "a list of %lld positive numbers", (long long)n);
    if (!json_is_array(list) || (int64_t)json_array_size(list) != n) {
        return settings_fail(LIMN_FORMAT, scaling->json, key, expected);
    }
    for (int64_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(list, (size_t)i);
        divisors[i] = json_is_number(value) ? (float)json_number_value(value) : 0.0f;
        if (!(divisors[i] > 0) || isinf(divisors[i])) {
            return settings_fail(LIMN_FORMAT, scaling->json, key, expected);
        }
    }
    *made = divisors;
    return LIMN_OK;
}

/* Frequencies divided pair by pair, by one list in sequences of the original length and another in longer ones. */
static limn_status divide_by_length(Rope *rope, float *freq, Arena *arena, const float *short_divisors,
                                    const float *long_divisors, int64_t original) {
    float *long_freq = ARENA_ARRAY(arena, float, rope->dims / 2);
    if (long_freq == NULL) {
        return no_memory();
    }
    for (int64_t i = 0; i < rope->dims / 2; i++) {
        float power = powf(rope->theta, (float)(2 * i) / (float)rope->dims);
        freq[i] = 1.0f / (short_divisors[i] * power);
        long_freq[i] = 1.0f / (long_divisors[i] * power);
    }
    rope->long_freq = long_freq;
    rope->original = (int32_t)original;
    return LIMN_OK;
}

static double longrope_factor(double factor, int64_t original) {
    return factor <= 1 || original < 2 ? 1 : sqrt(1 + log(factor) / log((double)original));
}

static limn_status scale_longrope(const Scaling *scaling) {
    double factor, attention;
    const float *long_divisors = NULL, *short_divisors = NULL;
    TRY(settings_real(&factor, scaling->json, "factor", (double)scaling->n_context / (double)scaling->original, 1e-6,
                      1e6));
    TRY(settings_real(&attention, scaling->json, "attention_factor", longrope_factor(factor, scaling->original), 0,
                      1e6));
    TRY(read_divisors(&short_divisors, scaling, "short_factor"));
    TRY(read_divisors(&long_divisors, scaling, "long_factor"));
    TRY(divide_by_length(scaling->rope, scaling->freq, scaling->arena, short_divisors, long_divisors,
                         scaling->original));
    scaling->rope->factor = (float)attention;
    return LIMN_OK;
}

static limn_status scale_nothing(const Scaling *scaling) {
    (void)scaling;
    return LIMN_OK;
}

static const struct {
    const char *name;
    limn_status (*scale)(const Scaling *scaling);
} kinds[] = {{"default", scale_nothing}, {"linear", scale_linear}, {"dynamic", scale_dynamic},
             {"yarn", scale_yarn},       {"llama3", scale_llama3}, {"longrope", scale_longrope}};

static bool text_is(const char *text, size_t length, const char *word) {
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* --- config.json --- */

/* How many of a head's dimensions turn. scaling->json is NULL when the configuration has no such object. */
static limn_status rotary_width(int64_t *dims, const Settings *settings, const Settings *scaling, const RopeKeys *keys,
                                int64_t d_head) {
    const char *inner = "partial_rotary_factor";
    *dims = d_head;
    if (keys->partial == NULL) {
        if (d_head % 2 != 0) {
            return fail(LIMN_FORMAT, "%s: heads are %lld wide, expected an even width for rotary positions",
                        settings->path, (long long)d_head);
        }
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

/* How long the sequences were that the model was first trained on: what stands outside the scaling object wins. */
static limn_status original_length(int64_t *original, const Settings *settings, const Settings *scaling,
                                   const RopeKeys *keys, int64_t n_context) {
    *original = n_context;
    if (scaling->json != NULL) {
        TRY(settings_integer(original, scaling, original_key, n_context, 1, INT32_MAX));
    }
    int64_t fallback = keys->default_original != 0 ? keys->default_original : *original;
    return settings_integer(original, settings, original_key, fallback, 1, INT32_MAX);
}

static limn_status scaling_kind(const char **kind, size_t *length, const Settings *scaling, const RopeKeys *keys) {
    *kind = "default";
    *length = strlen(*kind);
    const char *key = settings_has(scaling, "rope_type") ? "rope_type" : "type";
    if (settings_has(scaling, key)) {
        TRY(settings_text(kind, length, scaling, key));
    }
    if (keys->mrope) { /* how three axes share the pairs: text alone has one position on all of them */
        settings_skip(scaling, "mrope_section");
        settings_skip(scaling, "mrope_interleaved");
    }
    if (keys->mrope && text_is(*kind, *length, "mrope")) {
        *kind = "default";
    } else if (keys->yarn_is_longrope && (text_is(*kind, *length, "su") || text_is(*kind, *length, "yarn"))) {
        *kind = "longrope";
    }
    *length = strlen(*kind);
    return LIMN_OK;
}

limn_status rope_from_json(Rope *rope, Arena *arena, const Settings *settings, int64_t d_head, int64_t n_context) {
    return rope_from_json_as(rope, arena, settings, &(RopeKeys){.theta = "rope_theta"}, d_head, n_context);
}

limn_status rope_from_json_as(Rope *rope, Arena *arena, const Settings *settings, const RopeKeys *keys, int64_t d_head,
                              int64_t n_context) {
    Settings scaling = {.path = settings->path};
    if (keys->scaling != NULL) {
        scaling = *keys->scaling;
    } else {
        TRY(settings_object(&scaling, settings, "rope_scaling"));
        if (scaling.json == NULL || json_object_size(scaling.json) == 0) {
            TRY(settings_object(&scaling, settings, "rope_parameters"));
        } else {
            settings_skip(settings, "rope_parameters"); /* the older name wins, as in the reference */
        }
    }
    double theta;
    int64_t dims, original;
    TRY(settings_real(&theta, settings, keys->theta, keys->default_theta != 0 ? keys->default_theta : 10000.0, 1e-3,
                      1e12));
    TRY(rotary_width(&dims, settings, &scaling, keys, d_head));
    TRY(original_length(&original, settings, &scaling, keys, n_context));
    const char *kind = "default";
    size_t length = strlen(kind);
    if (scaling.json != NULL) {
        TRY(settings_real(&theta, &scaling, "rope_theta", theta, 1e-3, 1e12));
        TRY(scaling_kind(&kind, &length, &scaling, keys));
    }
    float *freq;
    TRY(plain_frequencies(rope, &freq, arena, theta, dims));
    Scaling work = {rope, freq, arena, &scaling, theta, n_context, original};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (text_is(kind, length, kinds[i].name)) {
            return kinds[i].scale(&work);
        }
    }
    return fail(LIMN_UNSUPPORTED,
                "%s: rope_type \"%.*s\" is not implemented, expected one of: default linear dynamic yarn llama3 "
                "longrope",
                settings->path, (int)(length < 64 ? length : 64), kind);
}

/* --- GGUF --- */

/* A tensor of divisors, one for each pair; *divisors is NULL when the file has none. */
static limn_status gguf_divisors(const float **divisors, const Settings *settings, WeightStore *weights,
                                 const char *name, int64_t n) {
    Weight weight;
    *divisors = NULL;
    if (!weights_has(weights, name)) {
        return LIMN_OK;
    }
    TRY(weights_get(&weight, weights, USE_VECTOR, n, 1, name));
    if (weight.dtype != DTYPE_F32 || gguf_tensor(settings->gguf, name)->data != weight.data) {
        return fail(LIMN_UNSUPPORTED, "%s: tensor %s is not F32 where it lies", settings->path, name);
    }
    *divisors = weight.data;
    for (int64_t i = 0; i < n; i++) {
        if (!((*divisors)[i] > 0)) {
            return fail(LIMN_FORMAT, "%s: tensor %s holds %g, expected positive numbers", settings->path, name,
                        (double)(*divisors)[i]);
        }
    }
    return LIMN_OK;
}

typedef struct GgufKeys {
    char theta[96], dims[96], linear[96], type[96], factor[96], original[96], attention[96], log_multiplier[96],
        beta_fast[96], beta_slow[96], context[96];
} GgufKeys;

static void name_keys(GgufKeys *keys, const char *prefix) {
    snprintf(keys->theta, sizeof keys->theta, "%s.rope.freq_base", prefix);
    snprintf(keys->dims, sizeof keys->dims, "%s.rope.dimension_count", prefix);
    snprintf(keys->linear, sizeof keys->linear, "%s.rope.scale_linear", prefix);
    snprintf(keys->type, sizeof keys->type, "%s.rope.scaling.type", prefix);
    snprintf(keys->factor, sizeof keys->factor, "%s.rope.scaling.factor", prefix);
    snprintf(keys->original, sizeof keys->original, "%s.rope.scaling.original_context_length", prefix);
    snprintf(keys->attention, sizeof keys->attention, "%s.rope.scaling.attn_factor", prefix);
    snprintf(keys->log_multiplier, sizeof keys->log_multiplier, "%s.rope.scaling.yarn_log_multiplier", prefix);
    snprintf(keys->beta_fast, sizeof keys->beta_fast, "%s.rope.scaling.yarn_beta_fast", prefix);
    snprintf(keys->beta_slow, sizeof keys->beta_slow, "%s.rope.scaling.yarn_beta_slow", prefix);
    snprintf(keys->context, sizeof keys->context, "%s.context_length", prefix);
}

/* The scaling that metadata states by name. */
static limn_status gguf_scaling(Rope *rope, float *freq, const Settings *settings, const GgufKeys *keys) {
    const char *type;
    size_t length;
    double factor;
    int64_t n_context;
    TRY(settings_real(&factor, settings, keys->linear, 1, 1e-6, 1e6));
    TRY(settings_integer(&n_context, settings, keys->context, 2048, 1, INT32_MAX));
    TRY(settings_text(&type, &length, settings, keys->type));
    bool yarn = type != NULL && text_is(type, length, "yarn");
    bool linear = type != NULL && text_is(type, length, "linear");
    if (type != NULL && !yarn && !linear && !text_is(type, length, "none") && !text_is(type, length, "longrope")) {
        return settings_fail(LIMN_UNSUPPORTED, settings, keys->type,
                             "none, linear, yarn or longrope (others are not implemented)");
    }
    if (linear || yarn) {
        TRY(settings_real(&factor, settings, keys->factor, factor, 1e-6, 1e6));
    }
    if (yarn) {
        Yarn made = {.factor = factor, .theta = (double)rope->theta, .truncate = true};
        TRY(settings_refuse(settings, keys->log_multiplier, 0));
        TRY(settings_refuse(settings, keys->attention, 1));
        TRY(settings_real(&made.beta_fast, settings, keys->beta_fast, 32, 1e-3, 1e6));
        TRY(settings_real(&made.beta_slow, settings, keys->beta_slow, 1, 1e-3, 1e6));
        TRY(settings_integer(&made.original, settings, keys->original, n_context, 1, INT32_MAX));
        TRY(yarn_frequencies(freq, rope->dims, &made, settings->path));
        rope->factor = (float)yarn_temperature(factor, 1);
        rope->n_context = (int64_t)(factor * (double)made.original);
        return LIMN_OK;
    }
    for (int64_t i = 0; i < rope->dims / 2; i++) {
        freq[i] /= (float)factor;
    }
    return LIMN_OK;
}

limn_status rope_from_gguf(Rope *rope, Arena *arena, const Settings *settings, WeightStore *weights, const char *prefix,
                           int64_t d_head) {
    GgufKeys keys;
    double theta, attention;
    int64_t dims, original, n_context;
    name_keys(&keys, prefix);
    TRY(settings_integer(&dims, settings, keys.dims, d_head, 2, d_head));
    if (dims % 2 != 0) {
        return settings_fail(LIMN_FORMAT, settings, keys.dims, "an even number");
    }
    TRY(settings_real(&theta, settings, keys.theta, 10000.0, 1e-3, 1e12));
    float *freq;
    TRY(plain_frequencies(rope, &freq, arena, theta, dims));
    TRY(gguf_scaling(rope, freq, settings, &keys));
    const float *divisors, *short_divisors, *long_divisors;
    TRY(gguf_divisors(&divisors, settings, weights, "rope_freqs.weight", dims / 2));
    for (int64_t i = 0; divisors != NULL && i < dims / 2; i++) {
        freq[i] /= divisors[i];
    }
    TRY(gguf_divisors(&short_divisors, settings, weights, "rope_factors_short.weight", dims / 2));
    TRY(gguf_divisors(&long_divisors, settings, weights, "rope_factors_long.weight", dims / 2));
    if (short_divisors == NULL || long_divisors == NULL) {
        return LIMN_OK;
    }
    TRY(settings_integer(&n_context, settings, keys.context, 4096, 1, INT32_MAX));
    TRY(settings_integer(&original, settings, keys.original, n_context, 1, INT32_MAX));
    TRY(settings_real(&attention, settings, keys.attention,
                      longrope_factor((double)n_context / (double)original, original), 0, 1e6));
    TRY(divide_by_length(rope, freq, arena, short_divisors, long_divisors, original));
    rope->factor = (float)attention;
    return LIMN_OK;
}
