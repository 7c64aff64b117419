#include "measure/answers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/distribution.h"

enum {
    RUN_ROWS = 512,            /* rows of one run: enough for full tiles, few enough for the cache */
    LOGIT_BYTES_MAX = 64 << 20 /* of one run */
};

/* One answer: which ids are read from which of the prompt's rows, and the tokens that stand behind the prompt. */
typedef struct Asked {
    const Target *target;
    int32_t n_tail; /* tokens of the answer fed behind the prompt */
} Asked;

struct AnswerScorer {
    MethodCall *call;
    Session *session;
    const Model *model;
    const Prompt *prompt;
    Asked asked[2];         /* [n_asked] the target, and the contrast where it needs a sequence of its own */
    int32_t n_asked;        /* sequences of a version */
    const Target *contrast; /* NULL: none */
    bool one_row;           /* target and contrast are read from one row */
    int32_t width;          /* V or the number of classes */
    KvCache *clean;         /* keys and values of the prompt; NULL: not yet, or never */
    int32_t most_versions;  /* of one run, as memory has shown; 0: any number */
    int64_t rows;
    int64_t done, total; /* versions, for progress */
    const char *stage;
    Progress progress;
};

void answer_scorer_free(AnswerScorer *scorer) {
    if (scorer != NULL) {
        kv_cache_free(scorer->clean);
        free(scorer);
    }
}

int64_t answer_scorer_rows(const AnswerScorer *scorer) {
    return scorer->rows;
}

limn_status answer_scorer_new(AnswerScorer **scorer, MethodCall *call, Session *session, const Prompt *prompt,
                              const Target *target, const Target *contrast) {
    *scorer = NULL;
    for (int32_t i = 0; prompt->mask != NULL && i < prompt->n; i++) {
        if (prompt->mask[i] == 0) {
            return fail(LIMN_USAGE, "option 'attention-mask': it hides token %d, and a changed text has other tokens",
                        i);
        }
    }
    *scorer = calloc(1, sizeof **scorer);
    if (*scorer == NULL) {
        return method_no_memory(call);
    }
    const Model *model = session_model(session);
    bool two = contrast != NULL && contrast->kind != TARGET_NONE;
    **scorer = (AnswerScorer){.call = call,
                              .session = session,
                              .model = model,
                              .prompt = prompt,
                              .asked = {{target, target->n_sequence - prompt->n}},
                              .n_asked = 1,
                              .contrast = two ? contrast : NULL,
                              .width = target->n_outputs};
    (*scorer)->one_row = two && target->n == 1 && contrast->n == 1 && target->rows[0] == contrast->rows[0];
    if (two && !(*scorer)->one_row) {
        (*scorer)->asked[(*scorer)->n_asked++] = (Asked){contrast, contrast->n_sequence - prompt->n};
    }
    return LIMN_OK;
}

/* ---- where a row of the prompt stands in a version ---- */

/* Tokens in common at the beginning, and at the end behind those. */
static void compare(const Prompt *prompt, const Version *version, int32_t *same, int32_t *after) {
    int32_t least = prompt->n < version->n ? prompt->n : version->n;
    *same = *after = 0;
    while (*same < least && prompt->ids[*same] == version->ids[*same]) {
        ++*same;
    }
    while (*after < least - *same && prompt->ids[prompt->n - 1 - *after] == version->ids[version->n - 1 - *after]) {
        ++*after;
    }
}

/* -1: the row was changed. Rows behind the prompt are the answer's own. */
static int32_t row_in(const AnswerScorer *scorer, const Version *version, int32_t row) {
    int32_t same, after;
    compare(scorer->prompt, version, &same, &after);
    if (row < same) {
        return row;
    }
    return row >= scorer->prompt->n - after ? row + version->n - scorer->prompt->n : -1;
}

/* The last row of the prompt is where a continuation begins, whatever token stands there. */
static int32_t answer_row_in(const AnswerScorer *scorer, const Target *target, const Version *version, int32_t k) {
    return target->kind == TARGET_TOKENS ? target->rows[k] + version->n - scorer->prompt->n
                                         : row_in(scorer, version, target->rows[k]);
}

bool answer_stands(const AnswerScorer *scorer, const Version *version) {
    for (int32_t a = 0; a < scorer->n_asked; a++) {
        const Target *target = scorer->asked[a].target;
        for (int32_t k = 0; k < target->n; k++) {
            int32_t row = answer_row_in(scorer, target, version, k);
            bool span = target->kind == TARGET_SPAN; /* the token behind the row is what is asked about */
            if (row < 0 || (span && row_in(scorer, version, target->rows[k] + 1) != row + 1)) {
                return false;
            }
        }
    }
    int32_t limit = scorer->model->config.n_context;
    return limit <= 0 || version->n + scorer->asked[0].n_tail <= limit;
}

/* ---- runs ---- */

typedef struct Run {
    SequenceInput *sequences; /* [n_sequences] n_asked for each version */
    OutputRow *outputs;
    int32_t n_sequences, n_outputs;
} Run;

static int32_t outputs_of_version(const AnswerScorer *scorer) {
    int32_t n = 0;
    for (int32_t a = 0; a < scorer->n_asked; a++) {
        n += scorer->asked[a].target->n;
    }
    return n;
}

/* Rows a version reads from the prompt's cache. */
static int32_t shared_rows(const AnswerScorer *scorer, const Asked *asked, const Version *version) {
    if (scorer->clean == NULL ||
        !model_lengths_alike(&scorer->model->config, scorer->prompt->n, version->n + asked->n_tail)) {
        return 0;
    }
    int32_t shared, after;
    compare(scorer->prompt, version, &shared, &after);
    for (int32_t k = 0; k < asked->target->n; k++) {
        shared = (int32_t)smaller(shared, answer_row_in(scorer, asked->target, version, k));
    }
    return (int32_t)smaller(shared, scorer->clean->length);
}

/* Own ids of the sequence: what is not shared, and the answer but for its last token. What stands behind the last row
 * that is read is left away in a causal model, where that changes no rotary frequency. */
static limn_status add_sequence(const AnswerScorer *scorer, Run *run, const Asked *asked, const Version *version,
                                int32_t shared, Arena *arena) {
    const Target *target = asked->target;
    int32_t n = version->n + asked->n_tail - shared;
    int32_t *ids = ARENA_ARRAY(arena, int32_t, n + 1);
    int32_t *types = version->types == NULL ? NULL : ARENA_ARRAY(arena, int32_t, n + 1);
    if (ids == NULL || (types == NULL && version->types != NULL)) {
        return method_no_memory(scorer->call);
    }
    memcpy(ids, version->ids + shared, (size_t)(version->n - shared) * sizeof *ids);
    for (int32_t k = 0; k < asked->n_tail; k++) {
        ids[version->n - shared + k] = target->sequence[scorer->prompt->n + k];
    }
    if (types != NULL) {
        memcpy(types, version->types + shared, (size_t)(version->n - shared) * sizeof *types);
    }
    int32_t last = 0;
    for (int32_t k = 0; k < target->n; k++) {
        int32_t row = answer_row_in(scorer, target, version, k) - shared;
        last = row > last ? row : last;
        run->outputs[run->n_outputs++] = (OutputRow){.sequence = run->n_sequences, .row = row, .target = -1};
    }
    const ModelConfig *config = &scorer->model->config;
    if (config->causal && model_lengths_alike(config, shared + last + 1, shared + n)) {
        n = last + 1;
    }
    run->sequences[run->n_sequences++] = (SequenceInput){
        .ids = ids, .n = n, .types = types, .prefix = shared > 0 ? scorer->clean : NULL, .prefix_length = shared};
    return LIMN_OK;
}

/* log(1 - e^x) for x <= 0 */
static double log_of_rest(double x) {
    return x > -0.6931471805599453 ? log(fmax(-expm1(x), 1e-300)) : log1p(-exp(x));
}

/* log of the sum of all but one, less the log of the whole sum. */
static double log_of_others(const float *logits, int32_t n, int32_t id, double total) {
    double largest = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        largest = i == id ? largest : fmax(largest, (double)logits[i]);
    }
    double sum = 0.0;
    for (int32_t i = 0; i < n; i++) {
        sum += i == id ? 0.0 : exp((double)logits[i] - largest);
    }
    return isfinite(largest) ? largest + log(sum) - total : -INFINITY;
}

static double largest_other(const float *logits, int32_t n, int32_t id) {
    double largest = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        largest = i == id ? largest : fmax(largest, (double)logits[i]);
    }
    return largest;
}

/* Sum of log-probabilities of a target's ids from its rows of logits. */
static double sum_of(const AnswerScorer *scorer, const Target *target, const float *logits) {
    double sum = 0.0;
    for (int32_t k = 0; k < target->n; k++) {
        const float *row = logits + (size_t)k * (size_t)scorer->width;
        sum += (double)row[target->ids[k]] - log_sum_exp(row, scorer->width);
    }
    return sum;
}

/* From the logits of a version's output rows. */
static void read_answer(const AnswerScorer *scorer, const float *logits, Answer *answer) {
    const Target *target = scorer->asked[0].target;
    int32_t width = scorer->width;
    double total = log_sum_exp(logits, width);
    answer->log_probability = sum_of(scorer, target, logits);
    answer->best = logit_argmax(logits, width);
    answer->best_log_probability = (double)logits[answer->best] - total;
    answer->contrast = (double)NAN;
    if (scorer->contrast != NULL) {
        const float *rows = scorer->one_row ? logits : logits + (size_t)target->n * (size_t)width;
        answer->contrast = sum_of(scorer, scorer->contrast, rows);
        answer->lead = answer->log_probability - answer->contrast;
    } else if (target->kind == TARGET_CLASS) {
        answer->lead = (double)logits[target->ids[0]] - largest_other(logits, width, target->ids[0]);
    } else {
        double rest =
            target->n == 1 ? log_of_others(logits, width, target->ids[0], total) : log_of_rest(answer->log_probability);
        answer->lead = answer->log_probability - rest;
    }
}

static limn_status run_versions(AnswerScorer *scorer, const Version *versions, int32_t n, bool share, Answer *answers,
                                const Progress *progress, Arena *arena) {
    int32_t sequences = n * scorer->n_asked;
    Run run = {.sequences = ARENA_ARRAY(arena, SequenceInput, sequences + 1),
               .outputs = ARENA_ARRAY(arena, OutputRow, n * outputs_of_version(scorer) + 1)};
    if (run.sequences == NULL || run.outputs == NULL) {
        return method_no_memory(scorer->call);
    }
    int64_t rows = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t a = 0; a < scorer->n_asked; a++) {
            const Asked *asked = &scorer->asked[a];
            int32_t shared = share ? shared_rows(scorer, asked, &versions[i]) : 0;
            TRY(add_sequence(scorer, &run, asked, &versions[i], shared, arena));
            rows += run.sequences[run.n_sequences - 1].n;
        }
    }
    RunRequest request = {.sequences = run.sequences,
                          .n_sequences = run.n_sequences,
                          .outputs = run.outputs,
                          .n_outputs = run.n_outputs,
                          .logits = true};
    TRY(session_run(scorer->session, &request, progress));
    scorer->rows += rows;
    const float *logits = session_logits(scorer->session);
    for (int32_t i = 0; i < n; i++) {
        read_answer(scorer, logits, &answers[i]);
        logits += (size_t)outputs_of_version(scorer) * (size_t)scorer->width;
    }
    return LIMN_OK;
}

static bool tick_versions(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    const AnswerScorer *scorer = context;
    const Progress *outer = scorer->call->progress;
    (void)done;
    (void)total;
    return outer == NULL || outer->tick == NULL ||
           outer->tick(outer->context, scorer->stage, scorer->done, scorer->total);
}

/* Keys and values of the prompt, once and for all versions: a luxury where memory is counted. */
static limn_status fill_clean(AnswerScorer *scorer) {
    if (scorer->clean != NULL || !scorer->model->config.causal || scorer->call->common.memory != 0 ||
        scorer->prompt->n < 2) {
        return LIMN_OK;
    }
    TRY(kv_cache_new(&scorer->clean, scorer->model, scorer->prompt->n));
    SequenceInput sequence = prompt_sequence(scorer->prompt);
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .append = scorer->clean};
    scorer->rows += sequence.n;
    return session_run(scorer->session, &request, &scorer->progress);
}

static int32_t versions_of_run(const AnswerScorer *scorer, const Version *versions, int32_t n) {
    int64_t outputs = outputs_of_version(scorer);
    int64_t most = larger(1, LOGIT_BYTES_MAX / ((int64_t)scorer->width * (int64_t)sizeof(float) * outputs));
    most = scorer->most_versions > 0 ? smaller(most, scorer->most_versions) : most;
    int64_t rows = 0;
    int32_t count = 0;
    while (count < n && count < most) {
        for (int32_t a = 0; a < scorer->n_asked; a++) {
            const Asked *asked = &scorer->asked[a];
            rows += versions[count].n + asked->n_tail - shared_rows(scorer, asked, &versions[count]);
        }
        if (count > 0 && rows > RUN_ROWS) {
            break;
        }
        count++;
    }
    return count;
}

limn_status answer_scorer_run(AnswerScorer *scorer, const Version *versions, int32_t n, Answer *answers,
                              const char *stage) {
    scorer->stage = stage;
    scorer->done = 0;
    scorer->total = n;
    scorer->progress = (Progress){tick_versions, scorer};
    TRY(fill_clean(scorer));
    while (scorer->done < n) {
        int32_t begin = (int32_t)scorer->done;
        int32_t count = versions_of_run(scorer, versions + begin, n - begin);
        Arena arena;
        arena_init(&arena);
        limn_status status =
            run_versions(scorer, versions + begin, count, true, answers + begin, &scorer->progress, &arena);
        arena_free(&arena);
        if (status == LIMN_NO_MEMORY && count > 1) {
            scorer->most_versions = count / 2; /* the answers have the same bits */
            continue;
        }
        TRY(status);
        scorer->done += count;
    }
    return LIMN_OK;
}

limn_status answer_scorer_plain(AnswerScorer *scorer, const Version *version, Answer *answer) {
    Arena arena;
    arena_init(&arena);
    limn_status status = run_versions(scorer, version, 1, false, answer, scorer->call->progress, &arena);
    arena_free(&arena);
    return status;
}
