/* Samples of LIME and KernelSHAP, their runs and their fits. */
#include "method/explain/surrogate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/random.h"
#include "statistics/regression.h"

enum { DRAWS = 8, SAMPLES_PER_WORD = 8, LEAST_SAMPLES = 128, MOST_SAMPLES = 2048, MOST_EXACT = 12 };
/* What Captum gives the whole and the empty sample, so that the scores add up to their difference. */
static const double whole_weight = 1e6;

double surrogate_weight(SurrogateKind kind, int32_t there, int32_t n, double width) {
    if (kind == SURROGATE_SHAP) {
        return there == 0 || there == n ? whole_weight : 1.0;
    }
    double distance = 1.0 - sqrt((double)there / (double)n); /* cosine, from the sample with all words */
    return exp(-distance * distance / (2.0 * width * width));
}

/* ---- samples ---- */

/* One fit's samples. */
typedef struct Samples {
    double *masks;       /* [n, n_free] 1: the word is there */
    double *weights;     /* [n] */
    ExchangeList *lists; /* [n] */
    Answered *answered;  /* [n] */
    bool *good;          /* [n] */
    int32_t n;
} Samples;

/* Does this number of samples hold every set of words? */
static bool goes_through_all(const Surrogate *surrogate) {
    return surrogate->kind == SURROGATE_SHAP && surrogate->n_free <= MOST_EXACT &&
           (1 << surrogate->n_free) <= surrogate->samples;
}

/* How many words are there, 1 to n - 1: p(k) ~ (n - 1) / (k (n - k)), Shapley's kernel (Lundberg and Lee 2017). */
static int32_t draw_size(Random *random, int32_t n) {
    double sum = 0.0;
    for (int32_t k = 1; k < n; k++) {
        sum += 1.0 / ((double)k * (double)(n - k));
    }
    double at = random_unit(random) * sum;
    for (int32_t k = 1; k < n; k++) {
        at -= 1.0 / ((double)k * (double)(n - k));
        if (at <= 0.0) {
            return k;
        }
    }
    return n - 1;
}

static void draw_set(Random *random, double *mask, int32_t n, int32_t size, int32_t *deck) {
    for (int32_t w = 0; w < n; w++) {
        deck[w] = w;
        mask[w] = 0.0;
    }
    for (int32_t k = 0; k < size; k++) {
        int32_t at = k + (int32_t)random_below(random, (uint64_t)(n - k)), word = deck[at];
        deck[at] = deck[k];
        mask[word] = 1.0;
    }
}

static double binomial(int32_t n, int32_t k) {
    double value = 1.0;
    for (int32_t i = 0; i < k; i++) {
        value *= (double)(n - i) / (double)(i + 1);
    }
    return value;
}

/* Every set, with Shapley's kernel as its weight. */
static void fill_all(const Surrogate *surrogate, Samples *samples) {
    int32_t n = surrogate->n_free;
    samples->n = (surrogate->samples >> n) << n; /* each set as often as the samples allow */
    for (int32_t s = 0; s < samples->n; s++) {
        int32_t size = 0;
        for (int32_t w = 0; w < n; w++) {
            samples->masks[s * n + w] = (s >> w) & 1;
            size += (s >> w) & 1;
        }
        bool inner = size > 0 && size < n;
        samples->weights[s] = inner ? (n - 1) / (binomial(n, size) * size * (n - size)) : whole_weight;
    }
}

/* KernelSHAP draws sets and their complements; LIME each word by a coin. Both begin with nothing and all. */
static void fill_drawn(const Surrogate *surrogate, Samples *samples, Random *random, int32_t *deck) {
    int32_t n = surrogate->n_free;
    samples->n = surrogate->samples;
    for (int32_t s = 0; s < samples->n; s++) {
        double *mask = samples->masks + (int64_t)s * n;
        int32_t there = 0;
        bool complement = surrogate->kind == SURROGATE_SHAP && s > 2 && s % 2 == 1;
        if (s >= 2 && !complement && surrogate->kind == SURROGATE_SHAP) {
            draw_set(random, mask, n, n > 1 ? draw_size(random, n) : 1, deck);
        }
        for (int32_t w = 0; w < n; w++) {
            mask[w] = s < 2                               ? (double)s
                      : complement                        ? 1.0 - mask[w - n]
                      : surrogate->kind == SURROGATE_LIME ? (double)random_below(random, 2)
                                                          : mask[w];
            there += mask[w] > 0.5;
        }
        samples->weights[s] = surrogate_weight(surrogate->kind, there, n, surrogate->params->width);
    }
}

/* What takes the place of the words that are not there, another draw in each sample. */
static limn_status fill_exchanges(const Surrogate *surrogate, Samples *samples, Random *random) {
    int32_t n = surrogate->n_free;
    for (int32_t s = 0; s < samples->n; s++) {
        Exchange *items = ARENA_ARRAY(surrogate->call->arena, Exchange, n + 1);
        int32_t out = 0;
        if (items == NULL) {
            return method_no_memory(surrogate->call);
        }
        for (int32_t w = 0; w < n; w++) {
            const DrawList *draws = yardstick_draws(surrogate->yardstick, surrogate->free_words[w]);
            int32_t which = (int32_t)random_below(random, (uint64_t)draws->n);
            if (samples->masks[(int64_t)s * n + w] < 0.5) {
                items[out++] = (Exchange){surrogate->free_words[w], draws->items[which].text};
            }
        }
        samples->lists[s] = (ExchangeList){items, out};
    }
    return LIMN_OK;
}

static limn_status make_samples(const Surrogate *surrogate, Samples *samples, uint64_t seed) {
    Arena *arena = surrogate->call->arena;
    int32_t most = surrogate->samples, n = surrogate->n_free;
    samples->masks = ARENA_ARRAY(arena, double, (int64_t)most *n + 1);
    samples->weights = ARENA_ARRAY(arena, double, most + 1);
    samples->lists = ARENA_ARRAY(arena, ExchangeList, most + 1);
    samples->answered = ARENA_ARRAY(arena, Answered, most + 1);
    samples->good = ARENA_ARRAY(arena, bool, most + 1);
    int32_t *deck = ARENA_ARRAY(arena, int32_t, n + 1);
    if (samples->masks == NULL || samples->weights == NULL || samples->lists == NULL || samples->answered == NULL ||
        samples->good == NULL || deck == NULL) {
        return method_no_memory(surrogate->call);
    }
    Random random;
    random_seed(&random, seed);
    if (goes_through_all(surrogate)) {
        fill_all(surrogate, samples);
    } else {
        fill_drawn(surrogate, samples, &random, deck);
    }
    return fill_exchanges(surrogate, samples, &random);
}

/* ---- fits ---- */

/* The share of the variance that the model explains: of KernelSHAP over what lies between nothing and all, since these
 * two are met by their weight alone. */
static double explained_of(const Surrogate *surrogate, const Observations *seen, const LinearModel *model) {
    double mean = 0.0, left = 0.0, all = 0.0, sum = 0.0;
    if (surrogate->kind == SURROGATE_LIME) {
        return model->explained;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t s = 0; s < seen->n; s++) {
            double weight = seen->weights[s] < whole_weight ? seen->weights[s] : 0.0, fitted = model->intercept;
            for (int32_t w = 0; w < seen->k; w++) {
                fitted += seen->x[s * seen->k + w] * model->coefficients[w];
            }
            sum += pass == 0 ? weight : 0.0;
            mean += pass == 0 ? weight * seen->y[s] : 0.0;
            left += pass == 0 ? 0.0 : weight * (seen->y[s] - fitted) * (seen->y[s] - fitted);
            all += pass == 0 ? 0.0 : weight * (seen->y[s] - mean) * (seen->y[s] - mean);
        }
        mean = pass == 0 && sum > 0.0 ? mean / sum : mean;
    }
    return all > 0.0 ? 1.0 - left / all : (double)NAN;
}

/* Samples whose words cannot stand there together are left out. y: [samples->n] the leads of those that are kept. */
static void keep_good(const Surrogate *surrogate, Samples *samples, SurrogateFit *fit, double *y) {
    int32_t n = surrogate->n_free, kept = 0;
    for (int32_t s = 0; s < samples->n; s++) {
        if (samples->good[s]) {
            memmove(samples->masks + (int64_t)kept * n, samples->masks + (int64_t)s * n, (size_t)n * sizeof(double));
            samples->weights[kept] = samples->weights[s];
            y[kept++] = samples->answered[s].lead;
            fit->drift += fabs(samples->answered[s].probability - surrogate->clean.probability);
        }
    }
    fit->n = kept;
    fit->drift = kept > 0 ? fit->drift / kept : (double)NAN;
}

static limn_status fit_samples(const Surrogate *surrogate, Samples *samples, SurrogateFit *fit) {
    int32_t n = surrogate->n_free;
    double *y = ARENA_ARRAY(surrogate->call->arena, double, samples->n + 1);
    double *coefficients = ARENA_ARRAY(surrogate->call->arena, double, n + 1);
    fit->scores = ARENA_ARRAY(surrogate->call->arena, double, surrogate->words.n + 1);
    if (y == NULL || coefficients == NULL || fit->scores == NULL) {
        return method_no_memory(surrogate->call);
    }
    keep_good(surrogate, samples, fit, y);
    LinearModel model = {.coefficients = coefficients};
    const Observations seen = {samples->masks, y, samples->weights, fit->n, n};
    if (fit->n < 2) {
        return fail(LIMN_USAGE, "%s: none of %d changed prompts can be read as whole words",
                    surrogate->call->method->command.name, (int)samples->n);
    }
    TRY(surrogate->kind == SURROGATE_SHAP ? least_squares(&model, &seen)
                                          : lasso(&model, &seen, surrogate->params->alpha));
    fit->explained = explained_of(surrogate, &seen, &model);
    for (int32_t w = 0; w < surrogate->words.n; w++) {
        fit->scores[w] = (double)NAN;
    }
    for (int32_t w = 0; w < n; w++) {
        fit->scores[surrogate->free_words[w]] = coefficients[w];
    }
    return LIMN_OK;
}

/* All fits' samples in one list, so that they share runs. */
static limn_status run_samples(Surrogate *surrogate, Samples *samples) {
    Arena *arena = surrogate->call->arena;
    int32_t total = 0, at = 0;
    for (int32_t f = 0; f < surrogate->n_fits; f++) {
        total += samples[f].n;
    }
    ExchangeList *lists = ARENA_ARRAY(arena, ExchangeList, total + 1);
    Answered *answered = ARENA_ARRAY(arena, Answered, total + 1);
    bool *good = ARENA_ARRAY(arena, bool, total + 1);
    if (lists == NULL || answered == NULL || good == NULL) {
        return method_no_memory(surrogate->call);
    }
    for (int32_t f = 0; f < surrogate->n_fits; at += samples[f++].n) {
        memcpy(lists + at, samples[f].lists, (size_t)samples[f].n * sizeof *lists);
    }
    TRY(yardstick_exchange_many(surrogate->yardstick, lists, total, answered, good, "samples with other words"));
    at = 0;
    for (int32_t f = 0; f < surrogate->n_fits; at += samples[f++].n) {
        memcpy(samples[f].answered, answered + at, (size_t)samples[f].n * sizeof *answered);
        memcpy(samples[f].good, good + at, (size_t)samples[f].n * sizeof *good);
    }
    return LIMN_OK;
}

/* ---- words ---- */

/* Tokens that stay, as the yardstick is told of them: "3:5". */
static limn_status fixed_texts(const Surrogate *surrogate, ParamTexts *fixed) {
    const ParamTexts *asked = &surrogate->params->yardstick.fixed;
    Text *items = ARENA_ARRAY(surrogate->call->arena, Text, asked->n + surrogate->prompt->n + 1);
    if (items == NULL) {
        return method_no_memory(surrogate->call);
    }
    fixed->n = 0;
    for (int32_t i = 0; i < asked->n; i++) {
        items[fixed->n++] = asked->items[i];
    }
    for (int32_t t = 0; surrogate->held != NULL && t < surrogate->prompt->n; t++) {
        if (surrogate->held[t]) {
            const char *text = arena_printf(surrogate->call->arena, "%d:%d", (int)t, (int)t + 1);
            if (text == NULL) {
                return method_no_memory(surrogate->call);
            }
            items[fixed->n++] = text_of(text);
        }
    }
    fixed->items = items;
    return LIMN_OK;
}

static limn_status find_words(Surrogate *surrogate) {
    const Units *units = yardstick_units(surrogate->yardstick);
    int32_t *all = ARENA_ARRAY(surrogate->call->arena, int32_t, units->n + 1), n = 0;
    surrogate->free_words = ARENA_ARRAY(surrogate->call->arena, int32_t, units->n + 1);
    if (all == NULL || surrogate->free_words == NULL) {
        return method_no_memory(surrogate->call);
    }
    for (int32_t u = 0; u < units->n; u++) {
        if (!units->items[u].fixed) {
            all[n++] = u;
        }
    }
    TRY(yardstick_draw(surrogate->yardstick, all, n, DRAWS));
    for (int32_t i = 0; i < n; i++) {
        if (yardstick_draws(surrogate->yardstick, all[i])->n > 0) {
            surrogate->free_words[surrogate->n_free++] = all[i];
        }
    }
    return surrogate->n_free > 0 ? LIMN_OK
                                 : fail(LIMN_USAGE,
                                        "%s: nothing fits in the place of any word of the prompt; name words with "
                                        "--replacements FILE",
                                        surrogate->call->method->command.name);
}

static limn_status open_words(Surrogate *surrogate) {
    YardstickAsked asked = {.replacements = surrogate->params->yardstick.replacements};
    TRY(words_of(&surrogate->words, surrogate->call, surrogate->model, surrogate->prompt));
    TRY(fixed_texts(surrogate, &asked.fixed));
    TRY(yardstick_new(&surrogate->yardstick, surrogate->call, surrogate->engine, surrogate->prompt, surrogate->target,
                      surrogate->contrast, &surrogate->words, &asked));
    surrogate->clean = yardstick_clean(surrogate->yardstick);
    TRY(find_words(surrogate));
    int64_t usual = smaller(larger(SAMPLES_PER_WORD * (int64_t)surrogate->n_free, LEAST_SAMPLES), MOST_SAMPLES);
    int64_t samples = surrogate->params->samples > 0 ? surrogate->params->samples : usual;
    surrogate->samples = (int32_t)larger(samples, (int64_t)surrogate->n_free + 2);
    return LIMN_OK;
}

/* White space, and what is left of a word some of whose tokens stay: nothing that could be exchanged, nothing that says
 * anything. */
static bool says_nothing(const Surrogate *surrogate, int32_t word) {
    int32_t begin = surrogate->words.begins[word], end = surrogate->words.begins[word + 1], held = 0;
    const Unit *unit = &yardstick_units(surrogate->yardstick)->items[word];
    for (int32_t t = begin; t < end && surrogate->held != NULL; t++) {
        held += surrogate->held[t] ? 1 : 0;
    }
    bool special = surrogate->prompt->tokens[begin].special;
    return (held > 0 && held < end - begin) || (unit->from >= unit->to && held == 0 && !special);
}

/* A word's score shared by its tokens; mean and deviation over fits. */
static limn_status share_scores(Surrogate *surrogate) {
    int32_t n = surrogate->prompt->n;
    surrogate->scores = ARENA_ARRAY(surrogate->call->arena, double, n + 1);
    surrogate->spreads = ARENA_ARRAY(surrogate->call->arena, double, n + 1);
    if (surrogate->scores == NULL || surrogate->spreads == NULL) {
        return method_no_memory(surrogate->call);
    }
    for (int32_t w = 0; w < surrogate->words.n; w++) {
        int32_t begin = surrogate->words.begins[w], end = surrogate->words.begins[w + 1];
        double mean = 0.0, square = 0.0;
        for (int32_t f = 0; f < surrogate->n_fits; f++) {
            mean += surrogate->fits[f].scores[w] / surrogate->n_fits;
        }
        for (int32_t f = 0; f < surrogate->n_fits; f++) {
            double apart = surrogate->fits[f].scores[w] - mean;
            square += apart * apart;
        }
        double spread = surrogate->n_fits > 1 ? sqrt(square / (surrogate->n_fits - 1)) : (double)NAN;
        bool nothing = says_nothing(surrogate, w);
        for (int32_t t = begin; t < end; t++) {
            bool held = surrogate->held != NULL && surrogate->held[t];
            surrogate->scores[t] = nothing && !held ? 0.0 : mean / (end - begin);
            surrogate->spreads[t] = nothing && !held ? 0.0 : spread / (end - begin);
        }
    }
    surrogate->spreads = surrogate->n_fits > 1 ? surrogate->spreads : NULL;
    return LIMN_OK;
}

limn_status surrogate_fit(Surrogate *surrogate, int32_t n_fits) {
    TRY(open_words(surrogate));
    Samples *samples = arena_zalloc(surrogate->call->arena, ((size_t)n_fits + 1) * sizeof *samples);
    surrogate->fits = arena_zalloc(surrogate->call->arena, ((size_t)n_fits + 1) * sizeof *surrogate->fits);
    if (samples == NULL || surrogate->fits == NULL) {
        return method_no_memory(surrogate->call);
    }
    surrogate->n_fits = n_fits;
    for (int32_t f = 0; f < n_fits; f++) {
        TRY(make_samples(surrogate, &samples[f],
                         (uint64_t)surrogate->seed * 0x9E3779B97F4A7C15u + (uint64_t)f * 1000003u + 17u));
    }
    TRY(run_samples(surrogate, samples));
    for (int32_t f = 0; f < n_fits; f++) {
        TRY(fit_samples(surrogate, &samples[f], &surrogate->fits[f]));
    }
    return share_scores(surrogate);
}

void surrogate_free(Surrogate *surrogate) {
    yardstick_free(surrogate->yardstick);
    surrogate->yardstick = NULL;
}

limn_status surrogate_score(TokenScores *scores, MethodCall *call, const TokenQuestion *question, SurrogateKind kind) {
    Surrogate surrogate = {.call = call,
                           .params = question->params,
                           .kind = kind,
                           .engine = question->engine,
                           .model = engine_model(question->engine),
                           .prompt = question->prompt,
                           .target = question->target,
                           .contrast = question->contrast,
                           .held = question->fixed,
                           .seed = question->seed};
    limn_status status = surrogate_fit(&surrogate, 1);
    surrogate_free(&surrogate);
    TRY(status);
    scores->n = question->prompt->n;
    scores->scores = surrogate.scores;
    scores->spreads = surrogate.spreads;
    scores->reach = question->prompt->n;
    scores->f = surrogate.clean.lead;
    scores->sound = true;
    scores->unit = "lead in log-probability";
    return LIMN_OK;
}
