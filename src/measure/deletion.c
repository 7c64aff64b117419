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
    LONG_PROMPT = 512,
    BUFFER_BYTES = 16 << 20 /* of points made at a time */
};

static const size_t clean_bytes_max = (size_t)512 << 20;

typedef struct Deletion {
    IgPath path; /* what is measured at given embeddings: the target's probability, or F against a contrast */
    bool contrasted;
    double sign; /* of F: -1 where F is a loss */
    const TokenRuns *words;
    int32_t *order; /* [n_order] removable words, strongest support first */
    int32_t n_order;
    int32_t n_positive;
    int32_t counts[MOST_REMOVED]; /* [n_counts] how many words are removed, ascending */
    int32_t n_counts;
    int32_t n_random; /* random sets for each count */
    Random random;
    int32_t *deck; /* [n_order] words not yet drawn for this count, the first `left` of them */
    int32_t left;
} Deletion;

/* For each count the strongest words and the random sets; the input itself stands apart. */
static int32_t n_points(const Deletion *deletion) {
    return deletion->n_counts * (1 + deletion->n_random);
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

/* embeddings: [P - first, D]; *from: the first row that was changed. */
static void remove_word(const Deletion *deletion, float *embeddings, int32_t word, int32_t *from) {
    const IgPath *path = &deletion->path;
    for (int32_t t = deletion->words->begins[word]; t < deletion->words->begins[word + 1] && t < path->n_tokens; t++) {
        if (!path->fixed[t]) {
            memcpy(embeddings + (t - path->first) * path->d_model, path->baseline + t * path->d_model,
                   (size_t)path->d_model * sizeof *embeddings);
            *from = t < *from ? t : *from;
        }
    }
}

/* `count` different words of the removable ones. Sets of one count share no word while there are words left: that
 * tells more of the mean than as many independent sets. */
static void remove_random(Deletion *deletion, float *embeddings, int32_t count, int32_t *from) {
    if (deletion->left < count) {
        memcpy(deletion->deck, deletion->order, (size_t)deletion->n_order * sizeof *deletion->deck);
        deletion->left = deletion->n_order;
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t drawn = (int32_t)random_below(&deletion->random, (uint64_t)deletion->left);
        int32_t word = deletion->deck[drawn];
        deletion->deck[drawn] = deletion->deck[--deletion->left];
        remove_word(deletion, embeddings, word, from);
    }
}

/* Points are made in order: of each count the strongest words first, which deals the deck anew. */
static void build_point(Deletion *deletion, int32_t index, float *embeddings, int32_t *from) {
    const IgPath *path = &deletion->path;
    int64_t own = (int64_t)(path->n_tokens - path->first) * path->d_model;
    memcpy(embeddings, path->input + path->first * path->d_model, (size_t)own * sizeof *embeddings);
    *from = path->n_tokens - 1;
    int32_t count = deletion->counts[index / (1 + deletion->n_random)];
    if (index % (1 + deletion->n_random) != 0) {
        remove_random(deletion, embeddings, count, from);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        remove_word(deletion, embeddings, deletion->order[i], from);
    }
    random_seed(&deletion->random, (uint64_t)path->call->common.seed * 1000003u + (uint64_t)count);
    deletion->left = 0;
}

/* A few points at a time: embeddings of all of them could be more than there is memory. */
static limn_status score_points(Deletion *deletion, const KvCache *clean, double *measured) {
    IgPath *path = &deletion->path;
    int64_t values = (int64_t)(path->n_tokens - path->first) * path->d_model;
    int32_t n = n_points(deletion);
    int32_t most = (int32_t)(1 + BUFFER_BYTES / (values * (int64_t)sizeof(float)));
    most = most < n ? most : n;
    float *embeddings = malloc((size_t)most * (size_t)values * sizeof *embeddings);
    int32_t *from = ARENA_ARRAY(path->call->arena, int32_t, most);
    deletion->deck = ARENA_ARRAY(path->call->arena, int32_t, deletion->n_order + 1);
    bool made = embeddings != NULL && from != NULL && deletion->deck != NULL;
    limn_status status = made ? LIMN_OK : method_no_memory(path->call);
    for (int32_t done = 0; status == LIMN_OK && done < n; done += most) {
        int32_t count = n - done < most ? n - done : most;
        for (int32_t i = 0; i < count; i++) {
            build_point(deletion, done + i, embeddings + i * values, &from[i]);
        }
        status = ig_score(path, clean, embeddings, from, count, measured + done);
    }
    free(embeddings);
    return status;
}

/* What suffers when words are taken away. */
static const char *what_falls(const Deletion *deletion) {
    const MethodCall *call = deletion->path.call;
    return deletion->contrasted ? SAY(call, "the target's lead over its contrast", "目标对对照的领先")
                                : SAY(call, "the target's probability", "目标的概率");
}

static void report(Result *result, const Deletion *deletion, double at_input, const double *measured) {
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
    const MethodCall *call = deletion->path.call;
    SeriesBlock *series =
        result_add_series(result, "deletion", SAY(call, "When words are taken away", "去掉词之后"), x,
                          deletion->n_counts + 1, "words removed",
                          deletion->contrasted ? SAY(call, "F: the target over its contrast", "F：目标对对照的领先")
                                               : SAY(call, "probability of the target", "目标的概率"));
    series_line(series, SAY(call, "strongest supporters", "最强的支持词"), top, NULL, NULL);
    series_line(series, SAY(call, "random words", "随机的词"), mean, low, high);
    result_block_note(result,
                      SAY(call, "removed words have the baseline's embedding; random: mean and range of %d sets",
                          "去掉的词换成基线的嵌入；随机：%d 组的均值与范围"),
                      deletion->n_random);
    result_check(result, "deletion", advantage, CHECK_ABOVE, 0.0,
                 SAY(call, "how much lower %s is without the strongest words than without random ones, on average",
                     "与去掉随机的词相比，去掉最强的词时%s平均多下降多少"),
                 what_falls(deletion));
}

/* Keys and values of the input serve every point before its first change: a luxury, as long as nobody counts. */
static bool clean_is_wanted(const Deletion *deletion) {
    const IgPath *path = &deletion->path;
    size_t rows = (size_t)path->components[0].sequence.n;
    return path->call->common.memory == 0 && rows * kv_cache_row_bytes(session_model(path->session)) <= clean_bytes_max;
}

static limn_status measure(Result *result, Deletion *deletion) {
    double *measured = ARENA_ARRAY(deletion->path.call->arena, double, n_points(deletion));
    if (measured == NULL) {
        return method_no_memory(deletion->path.call);
    }
    double at_input;
    KvCache *clean;
    deletion->path.evaluations = 0;
    deletion->path.expected = 1 + n_points(deletion);
    TRY(ig_score_input(&deletion->path, clean_is_wanted(deletion), &clean, &at_input));
    limn_status status = score_points(deletion, clean, measured);
    kv_cache_free(clean);
    TRY(status);
    for (int32_t i = 0; i < n_points(deletion); i++) {
        measured[i] *= deletion->sign;
    }
    report(result, deletion, at_input * deletion->sign, measured);
    return LIMN_OK;
}

/* As much as fits the effort of the attribution itself: the check must not cost more than what it checks. A node takes
 * a forward and a backward pass, a point of the check a forward pass; few nodes buy fewer counts, not fewer sets.
 * largest: how many words may be removed at most. */
static void plan(Deletion *deletion, int64_t largest, int64_t evaluations, int32_t n_tokens) {
    int64_t most_sets = n_tokens > LONG_PROMPT ? RANDOM_SETS_LONG : MOST_RANDOM_SETS;
    deletion->n_random = (int32_t)larger(LEAST_RANDOM_SETS, smaller(evaluations / NODES_PER_SET, most_sets));
    for (int64_t stride = 1; largest > 0; stride *= 2) {
        deletion->n_counts = 0;
        for (int64_t count = 1 + (largest - 1) % stride; count <= largest; count += stride) {
            deletion->counts[deletion->n_counts++] = (int32_t)count;
        }
        if (deletion->n_counts == 1 || 3 * (int64_t)n_points(deletion) <= 4 * evaluations) {
            return;
        }
    }
}

int64_t deletion_most_passes(int64_t evaluations, int32_t n_tokens) {
    Deletion deletion = {0};
    plan(&deletion, MOST_REMOVED, evaluations, n_tokens);
    return 1 + n_points(&deletion);
}

limn_status deletion_check(Result *result, const IgPath *path, const Target *target, const TokenRuns *words,
                           const double *word_scores, bool contrasted) {
    Deletion deletion = {.path = *path, .words = words, .contrasted = contrasted, .sign = 1.0};
    deletion.path.embeddings = NULL;
    deletion.path.embeddings_bytes = 0;
    deletion.path.earlier = 0;
    deletion.path.integrals = 1;
    deletion.path.stage = "check by removing words";
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
    int64_t largest = smaller(smaller(deletion.n_positive, MOST_REMOVED), deletion.n_order - 1);
    plan(&deletion, largest, path->evaluations, path->n_tokens);
    if (deletion.n_counts < 1) {
        result_warn(result, SAY(path->call, "too few supporting words for a deletion check",
                                "起支持作用的词太少，无法做删词检验"));
        return LIMN_OK;
    }
    limn_status status = measure(result, &deletion);
    free(deletion.path.embeddings);
    return status;
}
