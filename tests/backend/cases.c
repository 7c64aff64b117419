#include "cases.h"

#define VEC(n)                                                                                                         \
    {                                                                                                                  \
        1, {                                                                                                           \
            (n), 1                                                                                                     \
        }                                                                                                              \
    }
#define MAT(outer, inner)                                                                                              \
    {                                                                                                                  \
        2, {                                                                                                           \
            (outer), (inner)                                                                                           \
        }                                                                                                              \
    }
#define KEYS(heads)                                                                                                    \
    {                                                                                                                  \
        2, {                                                                                                           \
            (heads), DIM_KEYS                                                                                          \
        }                                                                                                              \
    }

static const Layout one_row = {.name = "one row", .n_sequences = 1, .sequences = {{0, 1}}};
static const Layout one_sequence = {.name = "37 rows", .n_sequences = 1, .sequences = {{0, 37}}};
static const Layout long_sequence = {.name = "150 rows", .n_sequences = 1, .sequences = {{0, 150}}};
static const Layout past_256 = {.name = "past 256", .n_sequences = 2, .sequences = {{250, 40}, {513, 20}}};
static const Layout unequal = {.name = "unequal", .n_sequences = 4, .sequences = {{0, 5}, {0, 1}, {0, 33}, {0, 18}}};
static const Layout prefix = {.name = "prefix of 37", .n_sequences = 1, .sequences = {{37, 11}}};
static const Layout mixed = {
    .name = "mixed prefixes", .n_sequences = 5, .sequences = {{0, 9}, {37, 5}, {37, 1}, {5, 20}, {64, 70}}};
static const Layout masked = {
    .name = "masked", .n_sequences = 3, .sequences = {{0, 12}, {6, 7}, {0, 20}}, .mask_first = 3, .mask_every = 4};
static const Layout blind = {.name = "no key seen", .n_sequences = 2, .sequences = {{0, 4}, {0, 1}}, .mask_first = 4};
static const Layout outputs = {
    .name = "output rows", .n_sequences = 4, .sequences = {{0, 21}, {37, 6}, {0, 1}, {3, 17}}, .outputs = true};
static const Layout far_away = {
    .name = "far positions", .n_sequences = 2, .sequences = {{0, 33}, {5, 20}}, .first_position = 130000};
static const Layout masked_outputs = {.name = "masked output rows",
                                      .n_sequences = 3,
                                      .sequences = {{0, 21}, {37, 6}, {3, 17}},
                                      .mask_first = 2,
                                      .mask_every = 5,
                                      .outputs = true};

static const float frequencies[] = {1.0F, 0.7F, 0.31F, 0.1F, 0.042F, 0.0101F, 0.003F, 0.0007F};
static const float long_frequencies[] = {0.9F, 0.3F, 0.11F, 0.03F, 0.012F, 0.0031F, 0.0007F, 0.0001F};
static const float slopes[] = {0.5F, 0.25F, 0.125F, 0.0625F};
static const float odd_slopes[] = {0.83984375F, 0.70703125F, 0.59375F, 0.419921875F}; /* bf16, not powers of two */

#define ACTIVATE(name)                                                                                                 \
    {                                                                                                                  \
        "activation " #name, OP_ACTIVATION, .in = {VEC(53)}, .tolerance = 2e-6,                                        \
                                            .attributes = {.activation = ACTIVATION_##name}, .layout = &one_sequence   \
    }
#define ACTIVATE_FAR(name)                                                                                             \
    {                                                                                                                  \
        "activation far " #name, OP_ACTIVATION, .in = {VEC(53)}, .attributes = {.activation = ACTIVATION_##name},      \
                                                .layout = &one_sequence, .magnitude = 40.0F                            \
    }
#define GATE(name)                                                                                                     \
    {                                                                                                                  \
        "gated " #name, OP_GATED_ACTIVATION, .in = {VEC(53), VEC(53)}, .tolerance = 2e-6,                              \
                                             .attributes = {.activation = ACTIVATION_##name}, .layout = &one_sequence  \
    }
#define RATIO(name)                                                                                                    \
    {                                                                                                                  \
        "activation ratio " #name, OP_ACTIVATION, .in = {VEC(53)}, .tolerance = 4e-6,                                  \
                                                  .attributes = {.activation = ACTIVATION_##name},                     \
                                                  .layout = &one_sequence, .rule = GRADIENT_RATIO                      \
    }
#define RATIO_FAR(name)                                                                                                \
    {                                                                                                                  \
        "activation far ratio " #name, OP_ACTIVATION,                                                                  \
            .in = {VEC(53)}, .attributes = {.activation = ACTIVATION_##name}, .layout = &one_sequence,                 \
            .magnitude = 40.0F, .rule = GRADIENT_RATIO                                                                 \
    }
#define HALF_GATE(name)                                                                                                \
    {                                                                                                                  \
        "gated half " #name, OP_GATED_ACTIVATION, .in = {VEC(53), VEC(53)}, .tolerance = 2e-6,                         \
                                                  .attributes = {.activation = ACTIVATION_##name},                     \
                                                  .layout = &one_sequence, .rule = GRADIENT_HALF_RATIO                 \
    }
#define EXPERTS_UNDER(rule_, name)                                                                                     \
    {                                                                                                                  \
        "experts " #rule_ " " #name, OP_EXPERTS, .in = {VEC(24), VEC(5)}, .weights = {{40, 24, 0}},                    \
                                                 .attributes = {.activation = ACTIVATION_##name},                      \
                                                 .layout = &one_sequence, .rule = GRADIENT_##rule_                     \
    }
#define LINEAR_AS(text, flags_)                                                                                        \
    {                                                                                                                  \
        "linear " text, OP_LINEAR, .in = {VEC(67)},                                                                    \
                                   .weights = {{45, 67, flags_}, {45, 1, (flags_) & ~(unsigned)WEIGHT_TRANSPOSED}},    \
                                   .layout = &one_sequence                                                             \
    }

#define NINE_OF_THREE .in = {MAT(9, 24), MAT(3, 24), MAT(3, 24)}
#define ONE_KEY_HEAD  .in = {MAT(5, 64), MAT(1, 64), MAT(1, 64)}
#define NARROW_VALUES .in = {MAT(4, 20), MAT(2, 20), MAT(2, 12)}
#define FOUR_HEADS    .in = {MAT(4, 16), MAT(4, 16), MAT(4, 16)}
#define ATTEND(text, shapes, layout_, ...)                                                                             \
    { "attention " text, OP_ATTENTION, shapes, .attributes = {.scale = 0.3F, __VA_ARGS__}, .layout = &layout_ }
#define SCORE(text, shapes, layout_, ...)                                                                              \
    { "scores " text, OP_ATTENTION_SCORES, shapes, .attributes = {.scale = 0.3F, __VA_ARGS__}, .layout = &layout_ }

static const int32_t some_ids[] = {0, 17, 18, 44};
static const int32_t other_ids[] = {3, 17, 52};
#define SOME                                                                                                           \
    { some_ids, 4, NULL }
#define OTHERS                                                                                                         \
    { other_ids, 3, NULL }
#define JUDGE(name, layout_, ...)                                                                                      \
    {                                                                                                                  \
        "seed " #name, OP_SEED, .in = {VEC(53)}, .layout = &layout_, .seed = {.kind = SEED_##name, __VA_ARGS__ }       \
    }

/* sum of x^3 / 3 */
static limn_status cubes(void *context, int32_t output, const float *x, int64_t width, double *value, float *gradient) {
    (void)context;
    (void)output;
    *value = 0.0;
    for (int64_t i = 0; i < width; i++) {
        double y = (double)x[i];
        *value += y * y * y / 3.0;
        if (gradient != NULL) {
            gradient[i] = (float)(y * y);
        }
    }
    return LIMN_OK;
}

const Case cases[] = {
    {"embed", OP_EMBED, .weights = {{50, 33, 0}}, .attributes = {.scale = 1.0F}, .layout = &unequal},
    {"embed bf16 scaled", OP_EMBED, .weights = {{50, 33, WEIGHT_BF16}}, .attributes = {.scale = 5.75F},
     .layout = &one_row},
    {"embed misaligned slice", OP_EMBED, .weights = {{50, 33, WEIGHT_SLICE | WEIGHT_MISALIGNED}},
     .attributes = {.scale = 1.0F}, .layout = &unequal},
    {"embed transposed", OP_EMBED, .weights = {{50, 33, WEIGHT_TRANSPOSED | WEIGHT_BF16}},
     .attributes = {.scale = 1.0F}, .layout = &unequal},
    {"position embed", OP_POSITION_EMBED, .weights = {{160, 33, 0}}, .attributes = {.position_offset = 2},
     .layout = &mixed},
    {"position embed bf16", OP_POSITION_EMBED, .weights = {{160, 16, WEIGHT_BF16 | WEIGHT_MISALIGNED}},
     .layout = &prefix},
    {"type embed", OP_TYPE_EMBED, .weights = {{2, 31, 0}}, .layout = &unequal},

    LINEAR_AS("f32", 0),
    LINEAR_AS("bf16", WEIGHT_BF16),
    LINEAR_AS("f32 transposed", WEIGHT_TRANSPOSED),
    LINEAR_AS("bf16 transposed", WEIGHT_BF16 | WEIGHT_TRANSPOSED),
    LINEAR_AS("f32 slice", WEIGHT_SLICE),
    LINEAR_AS("bf16 slice", WEIGHT_BF16 | WEIGHT_SLICE),
    LINEAR_AS("f32 transposed slice", WEIGHT_TRANSPOSED | WEIGHT_SLICE),
    LINEAR_AS("bf16 transposed slice", WEIGHT_BF16 | WEIGHT_TRANSPOSED | WEIGHT_SLICE),
    LINEAR_AS("f32 misaligned", WEIGHT_MISALIGNED),
    LINEAR_AS("bf16 misaligned", WEIGHT_BF16 | WEIGHT_MISALIGNED),
    LINEAR_AS("f32 misaligned transposed slice", WEIGHT_MISALIGNED | WEIGHT_TRANSPOSED | WEIGHT_SLICE),
    LINEAR_AS("bf16 misaligned transposed slice", WEIGHT_BF16 | WEIGHT_MISALIGNED | WEIGHT_TRANSPOSED | WEIGHT_SLICE),
    {"linear no bias", OP_LINEAR, .in = {VEC(64)}, .weights = {{96, 64, 0}}, .layout = &long_sequence},
    {"linear no bias bf16", OP_LINEAR, .in = {VEC(64)}, .weights = {{96, 64, WEIGHT_BF16}}, .layout = &long_sequence},
    {"linear one row", OP_LINEAR, .in = {VEC(640)}, .weights = {{129, 640, 0}}, .layout = &one_row},
    {"linear one row bf16", OP_LINEAR, .in = {VEC(640)}, .weights = {{129, 640, WEIGHT_BF16}}, .layout = &one_row},
    {"linear one row transposed", OP_LINEAR, .in = {VEC(640)}, .weights = {{129, 640, WEIGHT_TRANSPOSED}},
     .layout = &one_row},
    {"linear five rows", OP_LINEAR, .in = {VEC(192)}, .weights = {{384, 192, 0}, {384, 1, 0}}, .layout = &blind},
    {"linear five rows bf16", OP_LINEAR, .in = {VEC(192)}, .weights = {{384, 192, WEIGHT_BF16}, {384, 1, 0}},
     .layout = &blind},
    {"linear of heads", OP_LINEAR, .in = {MAT(4, 12)}, .weights = {{20, 48, 0}}, .layout = &unequal},
    {"linear one column", OP_LINEAR, .in = {VEC(1)}, .weights = {{7, 1, 0}}, .layout = &unequal},
    {"linear one output", OP_LINEAR, .in = {VEC(70)}, .weights = {{1, 70, 0}, {1, 1, 0}}, .layout = &unequal},
    {"linear wide", OP_LINEAR, .in = {VEC(1200)}, .weights = {{100, 1200, WEIGHT_BF16}}, .layout = &prefix},

    {"add", OP_ADD, .in = {VEC(53), VEC(53)}, .layout = &unequal},
    {"mul", OP_MUL, .in = {VEC(53), VEC(53)}, .layout = &unequal},
    {"mul one element", OP_MUL, .in = {VEC(1), VEC(1)}, .layout = &one_row},
    {"scale", OP_SCALE, .in = {VEC(53)}, .attributes = {.scale = -1.7F}, .layout = &unequal},
    ACTIVATE(GELU),
    ACTIVATE(GELU_TANH),
    ACTIVATE(QUICK_GELU),
    ACTIVATE(RELU),
    ACTIVATE(RELU2),
    ACTIVATE(SILU),
    ACTIVATE(TANH),
    ACTIVATE(SIGMOID),
    ACTIVATE_FAR(GELU),
    ACTIVATE_FAR(GELU_TANH),
    ACTIVATE_FAR(QUICK_GELU),
    ACTIVATE_FAR(RELU),
    ACTIVATE_FAR(RELU2),
    ACTIVATE_FAR(SILU),
    ACTIVATE_FAR(TANH),
    ACTIVATE_FAR(SIGMOID),
    {"gated far", OP_GATED_ACTIVATION, .in = {VEC(53), VEC(53)}, .attributes = {.activation = ACTIVATION_SILU},
     .layout = &one_sequence, .magnitude = 40.0F},
    {"softcap far", OP_SOFTCAP, .in = {VEC(53)}, .attributes = {.softcap = 2.5F}, .layout = &unequal,
     .magnitude = 40.0F},
    {"norm large", OP_NORM, .in = {VEC(51)}, .weights = {{51, 1, 0}, {51, 1, 0}},
     .attributes = {.epsilon = 1e-5F, .centered = true}, .layout = &unequal, .magnitude = 1e4F},
    {"norm small", OP_NORM, .in = {VEC(51)}, .weights = {{51, 1, 0}}, .attributes = {.epsilon = 1e-5F},
     .layout = &unequal, .magnitude = 1e-4F},
    {"pattern far", OP_ATTENTION_PATTERN, .in = {KEYS(3)}, .layout = &unequal, .tolerance = 1e-4, .magnitude = 40.0F},
    {"attention sharp", OP_ATTENTION, NINE_OF_THREE, .attributes = {.scale = 0.3F, .causal = true}, .layout = &mixed,
     .tolerance = 5e-4, .magnitude = 10.0F},
    {"attention sharp softcap", OP_ATTENTION, FOUR_HEADS,
     .attributes = {.scale = 0.3F, .causal = true, .softcap = 30.0F}, .layout = &mixed, .tolerance = 5e-4,
     .magnitude = 10.0F},
    {"log prob sure", OP_LOG_PROB, .in = {VEC(301)}, .layout = &outputs, .tolerance = 1e-4, .magnitude = 40.0F},
    GATE(GELU),
    GATE(GELU_TANH),
    GATE(QUICK_GELU),
    GATE(RELU),
    GATE(RELU2),
    GATE(SILU),
    GATE(TANH),
    GATE(SIGMOID),
    {"gated one row", OP_GATED_ACTIVATION, .in = {VEC(1536), VEC(1536)}, .attributes = {.activation = ACTIVATION_SILU},
     .layout = &one_row},
    {"softcap", OP_SOFTCAP, .in = {VEC(53)}, .attributes = {.softcap = 2.5F}, .layout = &unequal},

    {"rms scale", OP_RMS_SCALE, .in = {VEC(51)}, .attributes = {.epsilon = 1e-5F}, .layout = &unequal},
    {"rms scale of heads", OP_RMS_SCALE, .in = {MAT(3, 17)}, .attributes = {.epsilon = 1e-2F}, .layout = &unequal},
    {"layer scale", OP_LAYER_SCALE, .in = {VEC(51)}, .attributes = {.epsilon = 1e-5F}, .layout = &unequal},
    {"normalize", OP_NORMALIZE, .in = {VEC(51), VEC(1)}, .layout = &unequal},
    {"normalize centered", OP_NORMALIZE, .in = {VEC(51), VEC(1)}, .attributes = {.centered = true}, .layout = &unequal},
    {"normalize heads", OP_NORMALIZE, .in = {MAT(3, 17), VEC(3)}, .layout = &unequal},
    {"normalize heads centered", OP_NORMALIZE, .in = {MAT(3, 17), VEC(3)}, .attributes = {.centered = true},
     .layout = &one_row},
    {"gain", OP_GAIN, .in = {VEC(51)}, .weights = {{51, 1, 0}}, .layout = &unequal},
    {"gain bias bf16", OP_GAIN, .in = {VEC(51)},
     .weights = {{51, 1, WEIGHT_BF16}, {51, 1, WEIGHT_BF16 | WEIGHT_MISALIGNED}}, .layout = &unequal},
    {"gain plus one", OP_GAIN, .in = {VEC(51)}, .weights = {{51, 1, WEIGHT_MISALIGNED}},
     .attributes = {.gain_plus_one = true}, .layout = &unequal},
    {"gain of heads", OP_GAIN, .in = {MAT(3, 17)}, .weights = {{17, 1, 0}}, .layout = &unequal},
    {"norm rms", OP_NORM, .in = {VEC(51)}, .weights = {{51, 1, 0}}, .attributes = {.epsilon = 1e-5F},
     .layout = &unequal},
    {"norm rms bf16", OP_NORM, .in = {VEC(576)}, .weights = {{576, 1, WEIGHT_BF16}}, .attributes = {.epsilon = 1e-5F},
     .layout = &one_sequence},
    {"norm rms plus one", OP_NORM, .in = {VEC(51)}, .weights = {{51, 1, 0}},
     .attributes = {.epsilon = 1e-6F, .gain_plus_one = true}, .layout = &unequal},
    {"norm rms of heads", OP_NORM, .in = {MAT(3, 17)}, .weights = {{17, 1, 0}}, .attributes = {.epsilon = 1e-2F},
     .layout = &unequal},
    {"norm layer", OP_NORM, .in = {VEC(51)}, .weights = {{51, 1, 0}, {51, 1, 0}},
     .attributes = {.epsilon = 1e-5F, .centered = true}, .layout = &unequal},
    {"norm layer misaligned", OP_NORM, .in = {VEC(384)},
     .weights = {{384, 1, WEIGHT_MISALIGNED}, {384, 1, WEIGHT_MISALIGNED | WEIGHT_BF16}},
     .attributes = {.epsilon = 1e-12F, .centered = true}, .layout = &unequal},
    {"norm layer large epsilon", OP_NORM, .in = {VEC(33)}, .weights = {{33, 1, 0}, {33, 1, 0}},
     .attributes = {.epsilon = 0.5F, .centered = true}, .layout = &one_row},

    {"rope halves", OP_ROPE, .in = {MAT(3, 16)},
     .attributes = {.inverse_freq = frequencies, .rotary_dims = 16, .rotary_factor = 1.0F}, .layout = &mixed},
    {"rope far", OP_ROPE, .in = {MAT(3, 16)},
     .attributes = {.inverse_freq = frequencies, .rotary_dims = 16, .rotary_factor = 1.0F}, .layout = &far_away},
    {"rope far interleaved", OP_ROPE, .in = {MAT(3, 16)},
     .attributes = {.inverse_freq = frequencies, .rotary_dims = 16, .rotary_interleaved = true, .rotary_factor = 1.0F},
     .layout = &far_away},
    {"rope part", OP_ROPE, .in = {MAT(3, 21)},
     .attributes = {.inverse_freq = frequencies, .rotary_dims = 10, .rotary_factor = 1.3F}, .layout = &mixed},
    {"rope interleaved", OP_ROPE, .in = {MAT(3, 16)},
     .attributes = {.inverse_freq = frequencies, .rotary_dims = 16, .rotary_interleaved = true, .rotary_factor = 1.0F},
     .layout = &mixed},
    {"rope interleaved part", OP_ROPE, .in = {MAT(3, 21)},
     .attributes = {.inverse_freq = frequencies, .rotary_dims = 6, .rotary_interleaved = true, .rotary_factor = 0.8F},
     .layout = &one_row},

    {"rope by length", OP_ROPE, .in = {MAT(3, 16)},
     .attributes = {.inverse_freq = frequencies,
                    .rotary_dims = 16,
                    .rotary_factor = 1.2F,
                    .rotary_original = 30,
                    .rotary_long = long_frequencies},
     .layout = &mixed},
    {"rope dynamic", OP_ROPE, .in = {MAT(3, 21)},
     .attributes = {.inverse_freq = frequencies,
                    .rotary_dims = 16,
                    .rotary_factor = 1.0F,
                    .rotary_original = 30,
                    .rotary_theta = 50.0F,
                    .rotary_stretch = 4.0F},
     .layout = &mixed},

    SCORE("causal", NINE_OF_THREE, unequal, .causal = true),
    SCORE("both ways", FOUR_HEADS, unequal, .causal = false),
    SCORE("prefix", NINE_OF_THREE, prefix, .causal = true),
    SCORE("window softcap alibi", FOUR_HEADS, mixed, .causal = true, .window = 7, .softcap = 1.5F,
          .alibi_slopes = slopes),
    SCORE("alibi bf16", FOUR_HEADS, mixed, .causal = true, .alibi_slopes = odd_slopes, .alibi_bf16 = true),
    SCORE("masked", NINE_OF_THREE, masked, .causal = true),
    SCORE("output rows", NINE_OF_THREE, outputs, .causal = true, .window = 9),
    {"pattern", OP_ATTENTION_PATTERN, .in = {KEYS(3)}, .layout = &unequal},
    {"pattern one row", OP_ATTENTION_PATTERN, .in = {KEYS(1)}, .layout = &one_row},
    {"mix", OP_ATTENTION_MIX, .in = {KEYS(9), MAT(3, 24)}, .layout = &unequal},
    {"mix prefix", OP_ATTENTION_MIX, .in = {KEYS(4), MAT(4, 17)}, .layout = &mixed},
    {"mix output rows", OP_ATTENTION_MIX, .in = {KEYS(6), MAT(2, 16)}, .layout = &outputs},
    ATTEND("one row", NINE_OF_THREE, one_row, .causal = true),
    ATTEND("causal", NINE_OF_THREE, one_sequence, .causal = true),
    ATTEND("long", NINE_OF_THREE, long_sequence, .causal = true),
    ATTEND("unequal", NINE_OF_THREE, unequal, .causal = true),
    ATTEND("both ways", FOUR_HEADS, unequal, .causal = false),
    ATTEND("both ways masked", FOUR_HEADS, masked, .causal = false),
    ATTEND("prefix", NINE_OF_THREE, prefix, .causal = true),
    ATTEND("mixed prefixes", NINE_OF_THREE, mixed, .causal = true),
    ATTEND("window", NINE_OF_THREE, long_sequence, .causal = true, .window = 40),
    ATTEND("window of one", FOUR_HEADS, mixed, .causal = true, .window = 1),
    ATTEND("softcap", FOUR_HEADS, mixed, .causal = true, .softcap = 1.5F),
    ATTEND("window softcap", NINE_OF_THREE, mixed, .causal = true, .window = 11, .softcap = 0.7F),
    ATTEND("window softcap long", ONE_KEY_HEAD, long_sequence, .causal = true, .window = 70, .softcap = 0.7F),
    ATTEND("alibi", FOUR_HEADS, mixed, .causal = true, .alibi_slopes = slopes),
    ATTEND("alibi bf16", FOUR_HEADS, long_sequence, .causal = true, .alibi_slopes = odd_slopes, .alibi_bf16 = true),
    ATTEND("alibi bf16 far", FOUR_HEADS, past_256, .causal = true, .alibi_slopes = odd_slopes, .alibi_bf16 = true),
    ATTEND("alibi bf16 prefix", FOUR_HEADS, mixed, .causal = true, .alibi_slopes = odd_slopes, .alibi_bf16 = true),
    ATTEND("all at once", FOUR_HEADS, masked, .causal = true, .window = 6, .softcap = 2.0F, .alibi_slopes = slopes),
    ATTEND("masked", NINE_OF_THREE, masked, .causal = true),
    ATTEND("no key seen", NINE_OF_THREE, blind, .causal = true),
    ATTEND("no key seen both ways", FOUR_HEADS, blind, .causal = false),
    ATTEND("output rows", NINE_OF_THREE, outputs, .causal = true),
    ATTEND("output rows window", FOUR_HEADS, outputs, .causal = true, .window = 8),
    ATTEND("masked output rows", NINE_OF_THREE, masked_outputs, .causal = true),
    ATTEND("one key head", ONE_KEY_HEAD, mixed, .causal = true),
    ATTEND("narrow values", NARROW_VALUES, unequal, .causal = true),

    {"head linear", OP_HEAD_LINEAR, .in = {MAT(3, 10)}, .weights = {{25, 30, 0}}, .layout = &unequal},
    {"head linear bf16", OP_HEAD_LINEAR, .in = {MAT(3, 10)}, .weights = {{25, 30, WEIGHT_BF16 | WEIGHT_MISALIGNED}},
     .layout = &unequal},
    {"head linear transposed", OP_HEAD_LINEAR, .in = {MAT(3, 10)},
     .weights = {{25, 30, WEIGHT_TRANSPOSED | WEIGHT_SLICE}}, .layout = &one_row},
    {"sum heads", OP_SUM_HEADS, .in = {MAT(3, 25)}, .weights = {{25, 1, 0}}, .layout = &unequal},
    {"sum heads no bias", OP_SUM_HEADS, .in = {MAT(9, 7)}, .layout = &unequal},

    {"softmax", OP_SOFTMAX, .in = {VEC(9)}, .layout = &unequal},
    {"softmax one", OP_SOFTMAX, .in = {VEC(1)}, .layout = &one_row},
    {"softmax far", OP_SOFTMAX, .in = {VEC(60)}, .layout = &unequal, .magnitude = 40.0F},
    {"top k", OP_TOP_K, .in = {VEC(9)}, .attributes = {.top_k = 3}, .layout = &unequal},
    {"top k of all", OP_TOP_K, .in = {VEC(5)}, .attributes = {.top_k = 5}, .layout = &one_row},
    {"route", OP_ROUTE, .in = {VEC(7), VEC(3)}, .layout = &one_sequence},
    {"route to one", OP_ROUTE, .in = {VEC(7), VEC(3)}, .attributes = {.sum_to_one = true}, .layout = &one_sequence},
    {"expert linear", OP_EXPERT_LINEAR, .in = {VEC(33), VEC(6)}, .weights = {{20, 33, 0}}, .layout = &unequal},
    {"expert linear of each", OP_EXPERT_LINEAR, .in = {MAT(6, 33), VEC(6)}, .weights = {{20, 33, WEIGHT_BF16}},
     .layout = &unequal},
    {"expert linear slice", OP_EXPERT_LINEAR, .in = {VEC(33), VEC(6)},
     .weights = {{20, 33, WEIGHT_SLICE | WEIGHT_MISALIGNED}}, .layout = &one_sequence},
    {"expert linear one row", OP_EXPERT_LINEAR, .in = {VEC(300), VEC(4)}, .weights = {{129, 300, WEIGHT_TRANSPOSED}},
     .layout = &one_row},
    {"expert mix", OP_EXPERT_MIX, .in = {VEC(6), MAT(6, 21)}, .layout = &unequal},
    {"expert mix of one", OP_EXPERT_MIX, .in = {VEC(1), MAT(1, 21)}, .layout = &unequal},
    {"experts", OP_EXPERTS, .in = {VEC(40), VEC(6)}, .weights = {{28, 40, 0}},
     .attributes = {.activation = ACTIVATION_SILU}, .rounded_tolerance = 2e-3, .layout = &unequal},
    {"experts bf16", OP_EXPERTS, .in = {VEC(40), VEC(5)}, .weights = {{28, 40, WEIGHT_BF16}},
     .attributes = {.activation = ACTIVATION_GELU_TANH}, .rounded_tolerance = 2e-3, .layout = &one_sequence},
    {"experts one row", OP_EXPERTS, .in = {VEC(40), VEC(9)}, .weights = {{70, 40, WEIGHT_SLICE | WEIGHT_MISALIGNED}},
     .attributes = {.activation = ACTIVATION_GELU}, .rounded_tolerance = 2e-3, .layout = &one_row},
    {"experts long", OP_EXPERTS, .in = {VEC(40), VEC(3)}, .weights = {{28, 40, WEIGHT_TRANSPOSED}},
     .attributes = {.activation = ACTIVATION_SILU}, .rounded_tolerance = 2e-3, .layout = &long_sequence},

    {"select", OP_SELECT_ROWS, .in = {VEC(33)}, .layout = &outputs},
    {"select heads", OP_SELECT_ROWS, .in = {MAT(3, 5)}, .layout = &masked_outputs},
    {"log prob", OP_LOG_PROB, .in = {VEC(301)}, .layout = &outputs},
    {"log prob two classes", OP_LOG_PROB, .in = {VEC(2)}, .layout = &unequal},
    {"pick", OP_PICK, .in = {VEC(301)}, .layout = &outputs},
    JUDGE(LOG_PROB, unequal, .targets = SOME),
    JUDGE(PROB, unequal, .targets = SOME),
    JUDGE(LOGIT, unequal, .targets = SOME),
    JUDGE(LOG_ODDS, unequal, .targets = SOME),
    JUDGE(LEAD, unequal, .targets = SOME),
    JUDGE(DIFFERENCE, unequal, .targets = SOME, .contrasts = OTHERS),
    JUDGE(KL, unequal, .targets = {0}),
    JUDGE(REVERSE_KL, unequal, .targets = {0}),
    JUDGE(ENTROPY, unequal, .targets = {0}),
    JUDGE(LINEAR, unequal, .targets = {0}),
    JUDGE(CALLBACK, unequal, .function = cubes),
    JUDGE(LOGIT, one_row, .targets = {other_ids, 1, NULL}),
    {"seed of each row's target", OP_SEED, .in = {VEC(301)}, .layout = &outputs, .seed = {.kind = SEED_LOG_PROB}},
    {"seed against a class", OP_SEED, .in = {VEC(2)}, .layout = &unequal, .seed = {.kind = SEED_LOG_ODDS}},
    {"seed of heads", OP_SEED, .in = {MAT(3, 17)}, .layout = &unequal, .seed = {.kind = SEED_LINEAR}},
    {"seed sure", OP_SEED, .in = {VEC(301)}, .layout = &outputs, .seed = {.kind = SEED_LOG_ODDS}, .tolerance = 1e-4,
     .magnitude = 40.0F},
    {"seed sure kl", OP_SEED, .in = {VEC(301)}, .layout = &outputs, .seed = {.kind = SEED_KL}, .tolerance = 1e-4,
     .magnitude = 20.0F},
    {"seed wide", OP_SEED, .in = {VEC(2500)}, .layout = &unequal, .seed = {.kind = SEED_REVERSE_KL}},
    {"seed wide entropy", OP_SEED, .in = {VEC(2500)}, .layout = &unequal, .seed = {.kind = SEED_ENTROPY}},

    /* under rules other than the true derivative */
    {"mul half", OP_MUL, .in = {VEC(53), VEC(53)}, .layout = &unequal, .rule = GRADIENT_HALF},
    RATIO(GELU),
    RATIO(GELU_TANH),
    RATIO(QUICK_GELU),
    RATIO(RELU),
    RATIO(RELU2),
    RATIO(SILU),
    RATIO(TANH),
    RATIO(SIGMOID),
    RATIO_FAR(GELU),
    RATIO_FAR(GELU_TANH),
    RATIO_FAR(SILU),
    RATIO_FAR(TANH),
    HALF_GATE(GELU_TANH),
    HALF_GATE(SILU),
    HALF_GATE(RELU2),
    {"softcap ratio", OP_SOFTCAP, .in = {VEC(53)}, .attributes = {.softcap = 2.5F}, .layout = &unequal,
     .rule = GRADIENT_RATIO},
    {"softcap far ratio", OP_SOFTCAP, .in = {VEC(53)}, .attributes = {.softcap = 2.5F}, .layout = &unequal,
     .magnitude = 40.0F, .rule = GRADIENT_RATIO},
    {"norm rms constant", OP_NORM, .in = {VEC(51)}, .weights = {{51, 1, 0}}, .attributes = {.epsilon = 1e-5F},
     .layout = &unequal, .rule = GRADIENT_CONSTANT},
    {"norm layer constant", OP_NORM, .in = {VEC(51)}, .weights = {{51, 1, 0}, {51, 1, 0}},
     .attributes = {.epsilon = 1e-5F, .centered = true}, .layout = &unequal, .rule = GRADIENT_CONSTANT},
    {"norm of heads constant", OP_NORM, .in = {MAT(3, 17)}, .weights = {{17, 1, 0}}, .attributes = {.epsilon = 1e-2F},
     .layout = &unequal, .rule = GRADIENT_CONSTANT},
    {"scores half", OP_ATTENTION_SCORES, NINE_OF_THREE, .attributes = {.scale = 0.3F, .causal = true}, .layout = &mixed,
     .rule = GRADIENT_HALF_RATIO},
    {"scores half softcap", OP_ATTENTION_SCORES, FOUR_HEADS,
     .attributes = {.scale = 0.3F, .causal = true, .softcap = 0.7F}, .layout = &masked, .rule = GRADIENT_HALF_RATIO},
    {"mix half", OP_ATTENTION_MIX, .in = {KEYS(4), MAT(2, 12)}, .layout = &mixed, .rule = GRADIENT_HALF},
    {"attention half", OP_ATTENTION, NINE_OF_THREE, .attributes = {.scale = 0.3F, .causal = true}, .layout = &mixed,
     .rule = GRADIENT_HALF_RATIO},
    {"attention half softcap", OP_ATTENTION, FOUR_HEADS, .attributes = {.scale = 0.3F, .causal = true, .softcap = 0.7F},
     .layout = &masked_outputs, .rule = GRADIENT_HALF_RATIO},
    {"attention half alibi", OP_ATTENTION, FOUR_HEADS,
     .attributes = {.scale = 0.3F, .causal = true, .alibi_slopes = slopes}, .layout = &outputs,
     .rule = GRADIENT_HALF_RATIO},
    {"attention constant", OP_ATTENTION, NINE_OF_THREE, .attributes = {.scale = 0.3F, .causal = true},
     .layout = &masked, .rule = GRADIENT_CONSTANT},
    {"attention constant window", OP_ATTENTION, NARROW_VALUES,
     .attributes = {.scale = 0.3F, .causal = true, .window = 7}, .layout = &masked_outputs, .rule = GRADIENT_CONSTANT},
    {"route constant", OP_ROUTE, .in = {VEC(9), VEC(3)}, .attributes = {.sum_to_one = true}, .layout = &unequal,
     .rule = GRADIENT_CONSTANT},
    {"expert mix half", OP_EXPERT_MIX, .in = {VEC(5), MAT(5, 24)}, .layout = &unequal, .rule = GRADIENT_HALF},
    EXPERTS_UNDER(HALF_RATIO, SILU),
    EXPERTS_UNDER(HALF_RATIO, GELU_TANH),
    EXPERTS_UNDER(CONSTANT_HALF_RATIO, SILU),
};

const int n_cases = (int)(sizeof cases / sizeof cases[0]);
