#include "method/deletion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum {
    MOST_REMOVED = 5,
    MOST_RANDOM_SETS = 12,
    LEAST_RANDOM_SETS = 3,
    RANDOM_SETS_LONG = 4,
    NODES_PER_SET = 20,
    LONG_PROMPT = 512
};

typedef struct Deletion {
    IgPath path; /* what is measured at given embeddings: the target's probability, or F against a contrast */
    bool contrasted;
    double sign; /* of F: -1 where F is a loss */
    const TokenRuns *words;
    int32_t *order; /* [n_order] removable words, strongest support first */
    int32_t n_order;
    int32_t n_positive;
    int32_t n_steps;  /* 1 .. n_steps words are removed */
    int32_t n_random; /* random sets for each step */
} Deletion;

static int32_t n_points(const Deletion *deletion) {
    return 1 + deletion->n_steps * (1 + deletion->n_random);
}

static limn_status order_words(Deletion *deletion, const double *scores) {
    deletion->order = ARENA_ARRAY(deletion->path.call->arena, int32_t, deletion->words->n + 1);
    if (deletion->order == NULL) {
        return method_no_memory(deletion->path.call);
    }
    for (int32_t w = 0; w < deletion->words->n; w++) {
        if (isnan(scores[w])) {
            continue;
        }
        int32_t place = deletion->n_order++;
        while (place > 0 && scores[deletion->order[place - 1]] < scores[w]) {
            deletion->order[place] = deletion->order[place - 1];
            place--;
        }
        deletion->order[place] = w;
        deletion->n_positive += scores[w] > 0.0 ? 1 : 0;
    }
    return LIMN_OK;
}

static void remove_word(const Deletion *deletion, float *embeddings, int32_t word) {
    const IgPath *path = &deletion->path;
    for (int32_t t = deletion->words->begins[word]; t < deletion->words->begins[word + 1] && t < path->n_tokens; t++) {
        if (!path->fixed[t]) {
            memcpy(embeddings + t * path->d_model, path->baseline + t * path->d_model,
                   (size_t)path->d_model * sizeof *embeddings);
        }
    }
}

/* `count` different words of the removable ones, by a partial shuffle. */
static void remove_random(const Deletion *deletion, float *embeddings, int32_t count, int32_t *shuffled,
                          Random *random) {
    memcpy(shuffled, deletion->order, (size_t)deletion->n_order * sizeof *shuffled);
    for (int32_t i = 0; i < count; i++) {
        int32_t other = i + (int32_t)random_below(random, (uint64_t)(deletion->n_order - i));
        int32_t word = shuffled[other];
        shuffled[other] = shuffled[i];
        shuffled[i] = word;
        remove_word(deletion, embeddings, word);
    }
}

/* Point 0 is the input; then, for each step, the strongest words and n_random draws. Each draw has its own seed, so
 * that points can be made one by one. */
static void build_point(const Deletion *deletion, int32_t index, float *embeddings, int32_t *shuffled) {
    const IgPath *path = &deletion->path;
    memcpy(embeddings, path->input, (size_t)path->n_tokens * (size_t)path->d_model * sizeof *embeddings);
    if (index == 0) {
        return;
    }
    int32_t step = 1 + (index - 1) / (1 + deletion->n_random);
    if ((index - 1) % (1 + deletion->n_random) == 0) {
        for (int32_t i = 0; i < step; i++) {
            remove_word(deletion, embeddings, deletion->order[i]);
        }
        return;
    }
    Random random;
    random_seed(&random, (uint64_t)path->call->common.seed * 1000003u + (uint64_t)index);
    remove_random(deletion, embeddings, step, shuffled, &random);
}

/* A few points at a time: embeddings of all of them could be more than there is memory. */
static limn_status score_points(Deletion *deletion, double *probability) {
    IgPath *path = &deletion->path;
    int64_t values = (int64_t)path->n_tokens * path->d_model;
    int32_t most = path->n_tokens >= LONG_PROMPT ? 1 : LONG_PROMPT / path->n_tokens;
    float *embeddings = malloc((size_t)most * (size_t)values * sizeof *embeddings);
    int32_t *shuffled = ARENA_ARRAY(path->call->arena, int32_t, deletion->n_order + 1);
    limn_status status = embeddings == NULL || shuffled == NULL ? method_no_memory(path->call) : LIMN_OK;
    for (int32_t done = 0; status == LIMN_OK && done < n_points(deletion); done += most) {
        int32_t count = n_points(deletion) - done < most ? n_points(deletion) - done : most;
        for (int32_t i = 0; i < count; i++) {
            build_point(deletion, done + i, embeddings + i * values, shuffled);
        }
        status = ig_score(path, embeddings, count, probability + done);
    }
    free(embeddings);
    return status;
}

static void report(Result *result, const Deletion *deletion, const double *measured) {
    enum { MOST_POINTS = MOST_REMOVED + 1 };
    double x[MOST_POINTS], top[MOST_POINTS], mean[MOST_POINTS], low[MOST_POINTS], high[MOST_POINTS];
    x[0] = 0.0;
    top[0] = mean[0] = low[0] = high[0] = measured[0];
    int32_t next = 1;
    double advantage = 0.0;
    for (int32_t step = 1; step <= deletion->n_steps; step++) {
        x[step] = step;
        top[step] = measured[next++];
        mean[step] = 0.0;
        low[step] = INFINITY;
        high[step] = -INFINITY;
        for (int32_t r = 0; r < deletion->n_random; r++, next++) {
            mean[step] += measured[next] / deletion->n_random;
            low[step] = fmin(low[step], measured[next]);
            high[step] = fmax(high[step], measured[next]);
        }
        advantage += (mean[step] - top[step]) / deletion->n_steps;
    }
    SeriesBlock *series =
        result_add_series(result, "deletion", "When words are taken away", x, deletion->n_steps + 1, "words removed",
                          deletion->contrasted ? "F: the target over its contrast" : "probability of the target");
    series_line(series, "strongest supporters", top, NULL, NULL);
    series_line(series, "random words", mean, low, high);
    result_block_note(result, "removed words have the baseline's embedding; random: mean and range of %d draws",
                      deletion->n_random);
    result_check(result, "deletion", advantage, CHECK_ABOVE, 0.0,
                 "removing the strongest words lowers %s more than removing random ones",
                 deletion->contrasted ? "the target's lead over its contrast" : "the target's probability");
}

static limn_status measure(Result *result, Deletion *deletion) {
    double *measured = ARENA_ARRAY(deletion->path.call->arena, double, n_points(deletion));
    if (measured == NULL) {
        return method_no_memory(deletion->path.call);
    }
    TRY(score_points(deletion, measured));
    for (int32_t i = 0; i < n_points(deletion); i++) {
        measured[i] *= deletion->sign;
    }
    report(result, deletion, measured);
    return LIMN_OK;
}

/* As many draws as fit the effort of the attribution itself: the check must not cost more than what it checks. */
static int32_t random_sets(const IgPath *path) {
    int64_t most = path->n_tokens > LONG_PROMPT ? RANDOM_SETS_LONG : MOST_RANDOM_SETS;
    int64_t wanted = path->evaluations / NODES_PER_SET;
    return (int32_t)(wanted < LEAST_RANDOM_SETS ? LEAST_RANDOM_SETS : wanted > most ? most : wanted);
}

limn_status deletion_check(Result *result, const IgPath *path, const Target *target, const TokenRuns *words,
                           const double *word_scores, bool contrasted) {
    Deletion deletion = {.path = *path, .words = words, .contrasted = contrasted, .sign = 1.0};
    deletion.path.embeddings = NULL;
    deletion.path.embeddings_bytes = 0;
    IgComponent component;
    if (contrasted) {
        deletion.sign = path->metric == IG_METRIC_NLL ? -1.0 : 1.0;
    } else {
        TRY(ig_component(&component, path->call, session_model(path->session), target, 0, target->n, 1.0));
        deletion.path.metric = IG_METRIC_PROB;
        deletion.path.objective = OBJECTIVE_LOG_PROB;
        deletion.path.components = &component;
        deletion.path.n_components = 1;
    }
    TRY(order_words(&deletion, word_scores));
    deletion.n_steps = deletion.n_positive < MOST_REMOVED ? deletion.n_positive : MOST_REMOVED;
    if (deletion.n_steps >= deletion.n_order) {
        deletion.n_steps = deletion.n_order - 1;
    }
    deletion.n_random = random_sets(path);
    if (deletion.n_steps < 1) {
        result_warn(result, "too few supporting words for a deletion check");
        return LIMN_OK;
    }
    limn_status status = measure(result, &deletion);
    free(deletion.path.embeddings);
    return status;
}
