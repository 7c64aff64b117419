#include "measure/deletion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/random.h"

enum {
    MOST_REMOVED = 5,
    MOST_RANDOM_SETS = 12,
    LEAST_RANDOM_SETS = 4,
    RANDOM_SETS_LONG = 4,
    NODES_PER_SET = 20,
    LONG_PROMPT = 512
};

typedef struct Deletion {
    const DeletionQuestion *question;
    Arena *arena;
    Answer *answer;
    bool contrasted;
    int32_t *order; /* [n_order] removable words, strongest support first */
    int32_t n_order;
    int32_t n_positive;
    int32_t counts[MOST_REMOVED]; /* [n_counts] how many words are removed, ascending */
    int32_t n_counts;
    int32_t n_random; /* random sets for each count */
    Random random;
    int32_t *deck; /* [n_order] words not yet drawn for this count, the first `left` of them */
    int32_t left;
    bool *removed;    /* [points, n_tokens] */
    double *measured; /* [points] */
} Deletion;

/* For each count the strongest words and the random sets; the input itself stands apart. */
static int32_t n_points(const Deletion *deletion) {
    return deletion->n_counts * (1 + deletion->n_random);
}

static limn_status no_memory(const Deletion *deletion) {
    return method_no_memory(deletion->question->call);
}

static limn_status order_words(Deletion *deletion) {
    const TokenRuns *words = deletion->question->words;
    const double *support = deletion->question->support;
    deletion->order = ARENA_ARRAY(deletion->arena, int32_t, words->n + 1);
    deletion->deck = ARENA_ARRAY(deletion->arena, int32_t, words->n + 1);
    if (deletion->order == NULL || deletion->deck == NULL) {
        return no_memory(deletion);
    }
    for (int32_t w = 0; w < words->n; w++) {
        if (isnan(support[w])) {
            continue;
        }
        int32_t place = deletion->n_order++;
        while (place > 0 && support[deletion->order[place - 1]] < support[w]) {
            deletion->order[place] = deletion->order[place - 1];
            place--;
        }
        deletion->order[place] = w;
        deletion->n_positive += support[w] > 0.0 ? 1 : 0;
    }
    return LIMN_OK;
}

/* ---- points: which tokens are gone ---- */

static void remove_word(const Deletion *deletion, bool *removed, int32_t word) {
    const DeletionQuestion *question = deletion->question;
    const int32_t *begins = question->words->begins;
    for (int32_t t = begins[word]; t < begins[word + 1] && t < question->n_tokens; t++) {
        removed[t] = !question->fixed[t];
    }
}

/* `count` different words of the removable ones. Sets of one count share no word while there are words left: that
 * tells more of the mean than as many independent sets. */
static void remove_random(Deletion *deletion, bool *removed, int32_t count) {
    if (deletion->left < count) {
        memcpy(deletion->deck, deletion->order, (size_t)deletion->n_order * sizeof *deletion->deck);
        deletion->left = deletion->n_order;
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t drawn = (int32_t)random_below(&deletion->random, (uint64_t)deletion->left);
        int32_t word = deletion->deck[drawn];
        deletion->deck[drawn] = deletion->deck[--deletion->left];
        remove_word(deletion, removed, word);
    }
}

/* Points are made in order: of each count the strongest words first, which deals the deck anew. */
static void make_point(Deletion *deletion, int32_t index) {
    bool *removed = deletion->removed + (int64_t)index * deletion->question->n_tokens;
    int32_t count = deletion->counts[index / (1 + deletion->n_random)];
    if (index % (1 + deletion->n_random) != 0) {
        remove_random(deletion, removed, count);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        remove_word(deletion, removed, deletion->order[i]);
    }
    random_seed(&deletion->random, (uint64_t)deletion->question->call->common.seed * 1000003u + (uint64_t)count);
    deletion->left = 0;
}

static int32_t first_removed(const Deletion *deletion, int32_t index) {
    const bool *removed = deletion->removed + (int64_t)index * deletion->question->n_tokens;
    int32_t first = 0;
    while (first < deletion->question->n_tokens - 1 && !removed[first]) {
        first++;
    }
    return first;
}

static void embed_row(void *context, int64_t i, int32_t row, float *out) {
    const Deletion *deletion = context;
    const DeletionQuestion *question = deletion->question;
    int64_t width = session_model(question->session)->config.d_embed;
    bool removed = deletion->removed[i * question->n_tokens + row];
    memcpy(out, (removed ? question->baseline : question->input) + row * width, (size_t)width * sizeof *out);
}

/* ---- what is measured ---- */

/* The target's probability; F, turned so that more is better for the target, where there is a contrast; the number of a
 * model that gives one. */
static double support_of(const Deletion *deletion, const AnswerValue *value) {
    if (deletion->contrasted) {
        return deletion->question->metric == ANSWER_NLL ? -value->f : value->f;
    }
    return isnan(value->target) ? value->f : exp(value->target);
}

static limn_status keep_value(void *context, int64_t i, const AnswerValue *value) {
    const Deletion *deletion = context;
    deletion->measured[i] = support_of(deletion, value);
    return LIMN_OK;
}

static void report(Result *result, const Deletion *deletion, double at_input) {
    const double *measured = deletion->measured;
    enum { MOST_POINTS = MOST_REMOVED + 1 };
    double x[MOST_POINTS], top[MOST_POINTS], mean[MOST_POINTS], low[MOST_POINTS], high[MOST_POINTS];
    x[0] = 0.0;
    top[0] = mean[0] = low[0] = high[0] = at_input;
    double advantage = 0.0;
    for (int32_t step = 1; step <= deletion->n_counts; step++) {
        x[step] = deletion->counts[step - 1];
        top[step] = *measured++;
        mean[step] = 0.0;
        low[step] = INFINITY;
        high[step] = -INFINITY;
        for (int32_t r = 0; r < deletion->n_random; r++, measured++) {
            mean[step] += *measured / deletion->n_random;
            low[step] = fmin(low[step], *measured);
            high[step] = fmax(high[step], *measured);
        }
        advantage += (mean[step] - top[step]) / deletion->n_counts;
    }
    SeriesBlock *series =
        result_add_series(result, "deletion", "When words are taken away", x, deletion->n_counts + 1, "words removed",
                          deletion->contrasted ? "F: the target over its contrast" : "probability of the target");
    series_line(series, "strongest supporters", top, NULL, NULL);
    series_line(series, "random words", mean, low, high);
    result_block_note(result, "removed words have the baseline's embedding; random: mean and range of %d sets",
                      deletion->n_random);
    result_check(result, "deletion", advantage, CHECK_ABOVE, 0.0,
                 "removing the strongest words lowers %s more than removing random ones",
                 deletion->contrasted ? "the target's lead over its contrast" : "the target's probability");
}

static limn_status measure(Result *result, Deletion *deletion) {
    int32_t n = n_points(deletion);
    AnswerCase *cases = ARENA_ARRAY(deletion->arena, AnswerCase, n);
    deletion->removed = ARENA_ARRAY(deletion->arena, bool, (int64_t)n * deletion->question->n_tokens);
    deletion->measured = ARENA_ARRAY(deletion->arena, double, n);
    if (cases == NULL || deletion->removed == NULL || deletion->measured == NULL) {
        return no_memory(deletion);
    }
    for (int32_t i = 0; i < n; i++) {
        make_point(deletion, i);
        cases[i].embed_begin = first_removed(deletion, i);
        cases[i].embed_end = deletion->question->n_tokens;
    }
    answer_batcher(deletion->answer)->expected = n;
    AnswerValue clean;
    TRY(answer_clean(deletion->answer, &clean));
    const AnswerRequest request = {
        .cases = cases, .n = n, .embed = embed_row, .deliver = keep_value, .context = deletion};
    TRY(answer_run(deletion->answer, &request));
    report(result, deletion, support_of(deletion, &clean));
    return LIMN_OK;
}

/* As much as fits the effort of the attribution itself: the check must not cost more than what it checks. A node takes
 * a forward and a backward pass, a point of the check a forward pass; few nodes buy fewer counts, not fewer sets.
 * largest: how many words may be removed at most. */
static void plan(Deletion *deletion, int64_t largest, int64_t effort, int32_t n_tokens) {
    int64_t most_sets = n_tokens > LONG_PROMPT ? RANDOM_SETS_LONG : MOST_RANDOM_SETS;
    deletion->n_random = (int32_t)larger(LEAST_RANDOM_SETS, smaller(effort / NODES_PER_SET, most_sets));
    for (int64_t stride = 1; largest > 0; stride *= 2) {
        deletion->n_counts = 0;
        for (int64_t count = 1 + (largest - 1) % stride; count <= largest; count += stride) {
            deletion->counts[deletion->n_counts++] = (int32_t)count;
        }
        if (deletion->n_counts == 1 || 3 * (int64_t)n_points(deletion) <= 4 * effort) {
            return;
        }
    }
}

int64_t deletion_most_passes(int64_t effort, int32_t n_tokens) {
    Deletion deletion = {0};
    plan(&deletion, MOST_REMOVED, effort, n_tokens);
    return 1 + n_points(&deletion);
}

/* One number has no probability; everything else has. */
static AnswerMetric metric_of(const DeletionQuestion *question, bool contrasted) {
    const ModelConfig *config = &session_model(question->session)->config;
    bool number = config->task == TASK_CLASSIFIER && config->n_classes == 1;
    return contrasted ? question->metric : number ? ANSWER_LOGIT : ANSWER_LOG_PROB;
}

limn_status deletion_check(Result *result, const DeletionQuestion *question) {
    Deletion deletion = {
        .question = question, .arena = question->call->arena, .contrasted = question->contrast->kind != TARGET_NONE};
    TRY(order_words(&deletion));
    int64_t largest = smaller(smaller(deletion.n_positive, MOST_REMOVED), deletion.n_order - 1);
    plan(&deletion, largest, question->effort, question->n_tokens);
    if (deletion.n_counts < 1) {
        result_warn(result, "too few supporting words for a deletion check");
        return LIMN_OK;
    }
    const AnswerOptions options = {.metric = metric_of(question, deletion.contrasted),
                                   .stage = "check by removing words"};
    TRY(answer_new(&deletion.answer, question->call, question->session, question->prompt, question->target,
                   deletion.contrasted ? question->contrast : NULL, &options));
    limn_status status = measure(result, &deletion);
    answer_free(deletion.answer);
    return status;
}
