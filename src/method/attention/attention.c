/* Attention patterns by layer and head, and what each head looks at on the whole.
 *
 *     entropy(h)    mean over rows of - sum over keys of A log A                          how widely it looks, in nats
 *     previous(h)   mean over rows t >= 1 of A[t, t - 1]
 *     first(h)      mean over rows t >= 1 of A[t, 0]                                      where heads rest (2309.17453)
 *     induction(h)  mean over rows t whose token stood before, of the sum of A[t, s + 1] over those places s, s + 1 < t
 *                   what came after this token last time (Olsson et al. 2209.11895); none where nothing is repeated
 *
 * --repeat N reads N different random tokens twice in the place of a prompt: there induction heads show, whatever the
 * model knows of words.
 *
 * Invariants (checked): rows of a pattern sum to 1; equal to Hugging Face's attentions (tests/oracle/attention).
 *
 * How it fails: a pattern says where a head looks. What it takes from there, and whether the answer hangs on it, `limn
 * ablate` and `limn patch` say. Scores of a short prompt are scores of that prompt. */
#include <math.h>

#include "base/random.h"
#include "method/attention/attention.h"

enum { MOST_CELLS = 1 << 20 };

/* ---- the prompt ---- */

static bool names_prompt(const PromptParams *params) {
    return params->prompt.bytes != NULL || params->ids.ids != NULL || params->file.bytes != NULL ||
           params->chat.chat.bytes != NULL || params->chat.messages.bytes != NULL;
}

static bool is_ordinary(const Model *model, int32_t id) {
    return model->tokenizer == NULL || !tokenizer_is_special(model->tokenizer, id);
}

/* N different ordinary tokens, twice. */
static limn_status repeated_ids(AttentionWork *work, ParamIds *ids) {
    MethodCall *call = work->call;
    int32_t n = (int32_t)work->params->repeat, vocabulary = work->model->config.n_vocab, ordinary = 0;
    int32_t *pool = ARENA_ARRAY(call->arena, int32_t, vocabulary + 1);
    int32_t *twice = ARENA_ARRAY(call->arena, int32_t, 2 * n + 1);
    if (pool == NULL || twice == NULL) {
        return method_no_memory(call);
    }
    for (int32_t id = 0; id < vocabulary; id++) {
        pool[ordinary] = id;
        ordinary += is_ordinary(work->model, id) ? 1 : 0;
    }
    if (n > ordinary) {
        return fail(LIMN_RANGE, "option 'repeat': %s has %d ordinary tokens, found %d", work->model->path,
                    (int)ordinary, (int)n);
    }
    Random random;
    random_seed(&random, (uint64_t)call->common.seed);
    for (int32_t i = 0; i < n; i++) {
        int32_t k = i + (int32_t)random_below(&random, (uint64_t)(ordinary - i));
        int32_t drawn = pool[k];
        pool[k] = pool[i];
        pool[i] = drawn;
        twice[i] = twice[n + i] = drawn;
    }
    *ids = (ParamIds){.ids = twice, .n = 2 * n};
    return LIMN_OK;
}

static limn_status read_prompt(AttentionWork *work) {
    PromptParams asked = work->params->prompt;
    bool repeated = work->params->repeat != PARAM_NO_INTEGER;
    if (repeated && names_prompt(&asked)) {
        return fail(LIMN_USAGE, "attention: found both a prompt and --repeat, expected one of them");
    }
    if (repeated) {
        TRY(repeated_ids(work, &asked.ids));
    }
    TRY(prompt_read(&work->prompt, work->call, work->model, &asked));
    prompt_describe(work->result, work->call, work->model, &work->prompt);
    return LIMN_OK;
}

/* ---- figures of a head ---- */

static bool is_seen(const AttentionWork *work, int32_t t) {
    return work->prompt.mask == NULL || work->prompt.mask[t] != 0;
}

static double entropy_of(const float *row, int32_t n) {
    double sum = 0.0;
    for (int32_t j = 0; j < n; j++) {
        sum -= row[j] > 0.0F ? (double)row[j] * log((double)row[j]) : 0.0;
    }
    return sum;
}

/* What the row gives to the tokens behind earlier places of its own token. *any: there are such. */
static double induction_of(const AttentionWork *work, const float *row, int32_t t, bool *any) {
    const int32_t *ids = work->prompt.ids;
    double sum = 0.0;
    *any = false;
    for (int32_t s = 0; s + 1 < t; s++) {
        if (ids[s] == ids[t] && is_seen(work, s)) {
            sum += (double)row[s + 1];
            *any = true;
        }
    }
    return sum;
}

static void measure_head(AttentionWork *work, const float *pattern, int32_t layer, int32_t head) {
    int32_t n = work->layers.n, n_heads = work->layers.n_heads;
    double sums[FIGURES] = {0};
    int32_t counts[FIGURES] = {0};
    for (int32_t t = 0; t < n; t++) {
        const float *row = pattern + ((int64_t)t * n_heads + head) * n;
        if (!is_seen(work, t)) {
            continue;
        }
        bool repeated;
        double total = 0.0, induction = induction_of(work, row, t, &repeated);
        for (int32_t j = 0; j < n; j++) {
            total += (double)row[j];
        }
        work->worst_sum = fmax(work->worst_sum, isnan(total) ? INFINITY : fabs(total - 1.0));
        const double own[FIGURES] = {entropy_of(row, n), t > 0 ? (double)row[t - 1] : 0.0, (double)row[0], induction};
        const bool counted[FIGURES] = {true, t > 0, t > 0, repeated};
        for (int f = 0; f < FIGURES; f++) {
            sums[f] += counted[f] ? own[f] : 0.0;
            counts[f] += counted[f] ? 1 : 0;
        }
    }
    for (int f = 0; f < FIGURES; f++) {
        work->figures[f][(int64_t)layer * n_heads + head] = counts[f] > 0 ? sums[f] / counts[f] : (double)NAN;
    }
}

static void keep_head(double *kept, const AttentionWork *work, const float *pattern, int32_t head) {
    int64_t n = work->layers.n;
    for (int64_t t = 0; t < n; t++) {
        const float *row = pattern + (t * work->layers.n_heads + head) * n;
        for (int64_t j = 0; j < n; j++) {
            kept[t * n + j] = (double)row[j];
        }
    }
}

/* ---- layer by layer ---- */

/* All figures, or the patterns of the heads to be shown. */
static limn_status each_layer(AttentionWork *work, bool measure) {
    Layers *layers = &work->layers;
    for (int32_t layer = 0; layer < layers->n_layers; layer++) {
        bool wanted = measure;
        for (int32_t i = 0; i < work->n_shown && !wanted; i++) {
            wanted = work->shown[i].layer == layer;
        }
        if (!wanted) {
            continue;
        }
        const float *pattern;
        TRY(progress_tick(work->call->progress, "layers", layer, layers->n_layers));
        TRY(layers_pattern(layers, layer, &pattern));
        for (int32_t head = 0; head < layers->n_heads && measure; head++) {
            measure_head(work, pattern, layer, head);
        }
        for (int32_t i = 0; i < work->n_shown && !measure; i++) {
            if (work->shown[i].layer == layer) {
                keep_head(work->patterns[i], work, pattern, work->shown[i].head);
            }
        }
    }
    return LIMN_OK;
}

static limn_status choose_heads(AttentionWork *work) {
    TRY(head_names_read(&work->shown, &work->n_shown, work->call, work->model, "head", &work->params->head));
    for (int f = HEAD_PREVIOUS; f <= HEAD_INDUCTION && work->params->head.n == 0; f += 2) {
        int64_t best = attention_best(work, (HeadFigure)f);
        HeadName head = {(int32_t)(best / work->layers.n_heads), (int32_t)(best % work->layers.n_heads)};
        bool known = work->n_shown > 0 && work->shown[0].layer == head.layer && work->shown[0].head == head.head;
        if (best >= 0 && !known) {
            work->shown[work->n_shown++] = head;
        }
    }
    int64_t cells = (int64_t)work->n_shown * work->layers.n * work->layers.n;
    if (cells > MOST_CELLS && work->params->values.bytes == NULL) {
        return fail(LIMN_RANGE,
                    "option 'head': %d heads over %d tokens are too many cells to show; expected fewer "
                    "heads, or --values FILE.safetensors",
                    (int)work->n_shown, (int)work->layers.n);
    }
    work->patterns = ARENA_ARRAY(work->call->arena, double *, work->n_shown + 1);
    for (int32_t i = 0; i < work->n_shown && work->patterns != NULL; i++) {
        work->patterns[i] = ARENA_ARRAY(work->call->arena, double, (int64_t)work->layers.n * work->layers.n + 1);
        if (work->patterns[i] == NULL) {
            return method_no_memory(work->call);
        }
    }
    return work->patterns != NULL ? LIMN_OK : method_no_memory(work->call);
}

static limn_status compute(AttentionWork *work, Engine *engine) {
    SequenceInput sequence = prompt_sequence(&work->prompt);
    int64_t all = (int64_t)work->model->config.n_layers * work->model->config.n_heads;
    for (int f = 0; f < FIGURES; f++) {
        work->figures[f] = ARENA_ARRAY(work->call->arena, double, all + 1);
        if (work->figures[f] == NULL) {
            return method_no_memory(work->call);
        }
    }
    TRY(layers_open(&work->layers, work->call, engine, &sequence));
    TRY(each_layer(work, true));
    TRY(choose_heads(work));
    return each_layer(work, false);
}

static limn_status run(MethodCall *call, Result *result) {
    const AttentionParams *params = call->params;
    AttentionWork work = {.call = call, .params = params, .result = result};
    Engine *engine;
    ValuesFile values;
    TRY(values_file_open(&values, call, &params->values));
    TRY(method_engine(call, params->model.bytes, &engine));
    work.model = engine_model(engine);
    TRY(read_prompt(&work));
    limn_status status = compute(&work, engine);
    layers_close(&work.layers);
    TRY(status);
    TRY(attention_report(&work, &values));
    TRY(values_file_write(&values, work.model));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(AttentionParams, model),
    PROMPT_ROWS(AttentionParams, prompt),
    PROMPT_PAIR_ROWS(AttentionParams, prompt),
    {"head", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "LAYER.HEAD,...",
     .help = "show the patterns of these heads (5.3, 5.*, *.3); else of the strongest of two kinds",
     .field = offsetof(AttentionParams, head)},
    {"repeat", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 2, .maximum = 100000,
     .help = "instead of a prompt, N different random tokens twice: what shows induction heads",
     .field = offsetof(AttentionParams, repeat)},
    VALUES_ROW(AttentionParams, values),
};

const Method method_attention = {
    .command = {.name = "attention",
                .summary = "what each attention head looks at",
                .description = "Patterns of chosen heads, and of every head how widely it looks, how much at the token "
                               "before, at the first one, and at what came after the same token last time. A pattern "
                               "says where a head looks, not what it does with it: `limn ablate` says that.",
                .examples = "limn attention MODEL -p 'The capital of France is'\n"
                            "limn attention MODEL -p 'The nurse said that she' --head 5.3 --head '7.*'\n"
                            "limn attention MODEL --repeat 30 --seed 1\n"
                            "limn attention MODEL -p 'The capital of France is' --head '*.*' --values "
                            "patterns.safetensors",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Attention patterns",
    .params_bytes = sizeof(AttentionParams),
    .run = run,
    .about = {.answers = "What does each attention head look at?",
              .formula = "entropy: mean of -sum A log A    previous: mean of A[t, t-1]    first: mean of A[t, 0]    "
                         "induction: mean of sum of A[t, s+1] over earlier places s of token t",
              .paper = "Elhage et al. 2021 (A mathematical framework for transformer circuits), Olsson et al. 2022 "
                       "(2209.11895), Xiao et al. 2023 (2309.17453)",
              .cost = "1 forward pass, and the attention of each layer once more",
              .lies = "A pattern says where a head looks, not what it takes from there nor whether the answer hangs on "
                      "it. Scores of a short prompt are scores of that prompt; `--repeat` asks about no words at all."},
    .explains = true,
};
