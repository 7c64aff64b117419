/* F of an answer in every way it is asked for, against passes of one whole sequence each whose logits are read here;
 * its gradients against difference quotients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "call/open.h"
#include "measure/answer.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PROMPT = 14, LONGEST = 24, CASES = 24, TAIL = 3 };

static const double tolerance = 1e-4;

static void check(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* A model, a prompt of random tokens and answers to it. */
typedef struct Setting {
    const char *name;
    int32_t n; /* of the prompt */
    MethodCall call;
    Arena arena;
    Progress progress;
    ModelCache *models;
    Engine *engine;
    const Model *model;
    Prompt prompt;
    Token tokens[PROMPT];
    int32_t ids[PROMPT];
    Target target, contrast;
    Random random;
} Setting;

static const Method no_method = {.command = {.name = "test"}};

static int32_t any_token(Setting *setting) {
    int32_t id = setting->model->config.pad_id;
    while (id == setting->model->config.pad_id || id == 4) { /* 4: the mask of the models that have one */
        id = (int32_t)random_below(&setting->random, (uint64_t)setting->model->config.n_vocab);
    }
    return id;
}

static void open_folder(Setting *setting, const char *folder) {
    arena_init(&setting->arena);
    check(model_cache_new(&setting->models));
    setting->call = (MethodCall){.method = &no_method,
                                 .common = setting->call.common,
                                 .progress = &setting->progress,
                                 .models = setting->models,
                                 .arena = &setting->arena};
    check(method_engine(&setting->call, folder, &setting->engine));
    setting->model = engine_model(setting->engine);
    random_seed(&setting->random, 11);
    setting->n = setting->model->config.n_context < 16 ? 6 : PROMPT; /* some test models read but a few tokens */
    for (int i = 0; i < setting->n; i++) {
        setting->ids[i] = any_token(setting);
    }
    setting->prompt = (Prompt){.tokens = setting->tokens, .ids = setting->ids, .n = setting->n, .end_of_turn = -1};
}

static void open_setting(Setting *setting, const char *name) {
    char folder[1024];
    setting->name = name;
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", LIMN_TEST_SOURCE_DIR, name);
    open_folder(setting, folder);
}

static void close_setting(Setting *setting) {
    model_cache_free(setting->models);
    arena_free(&setting->arena);
}

/* n tokens behind the prompt (TARGET_TOKENS), or one output of `row`. */
static Target make_target(Setting *setting, TargetKind kind, const int32_t *ids, int32_t n, int32_t row) {
    int32_t extra = kind == TARGET_TOKENS ? n - 1 : 0;
    Target target = {.kind = kind, .n = n, .n_sequence = setting->n + extra};
    target.ids = ARENA_ARRAY(&setting->arena, int32_t, n);
    target.rows = ARENA_ARRAY(&setting->arena, int32_t, n);
    target.sequence = ARENA_ARRAY(&setting->arena, int32_t, target.n_sequence);
    memcpy(target.sequence, setting->prompt.ids, (size_t)setting->n * sizeof(int32_t));
    for (int32_t i = 0; i < n; i++) {
        target.ids[i] = ids[i];
        target.rows[i] = kind == TARGET_TOKENS ? setting->n - 1 + i : row;
        if (i < extra) {
            target.sequence[setting->n + i] = ids[i];
        }
    }
    target.types = setting->prompt.types;
    return target;
}

/* ---- passes of one sequence ---- */

typedef struct Logits {
    float *values; /* [n, width] */
    int32_t width;
} Logits;

/* Logits of rows of a whole sequence; the caller frees them. */
static Logits plain_logits(const Setting *setting, const SequenceInput *sequence, const int32_t *rows, int32_t n,
                           const Edit *edits, int32_t n_edits) {
    const ModelConfig *config = &setting->model->config;
    OutputRow outputs[TAIL + 1] = {0};
    for (int32_t i = 0; i < n; i++) {
        outputs[i] = (OutputRow){.row = rows[i], .target = -1};
    }
    RunRequest request = {.sequences = sequence,
                          .n_sequences = 1,
                          .outputs = outputs,
                          .n_outputs = n,
                          .edits = edits,
                          .n_edits = n_edits,
                          .logits = true};
    check(engine_run(setting->engine, &request, NULL));
    Logits logits = {.width = config->task == TASK_CLASSIFIER ? config->n_classes : config->n_vocab};
    size_t bytes = (size_t)n * (size_t)logits.width * sizeof(float);
    logits.values = malloc(bytes);
    memcpy(logits.values, engine_logits(setting->engine), bytes);
    return logits;
}

static double log_p(const Logits *logits, int32_t row, int32_t id) {
    const float *values = logits->values + (size_t)row * (size_t)logits->width;
    double largest = -INFINITY, sum = 0.0;
    for (int32_t c = 0; c < logits->width; c++) {
        largest = fmax(largest, (double)values[c]);
    }
    for (int32_t c = 0; c < logits->width; c++) {
        sum += exp((double)values[c] - largest);
    }
    return (double)values[id] - largest - log(sum);
}

typedef struct Plain {
    double log_p, logit; /* sums over the answer's tokens */
    double rival;        /* the largest other logit of the last row */
    bool chosen;         /* every token the likeliest */
} Plain;

/* One answer behind (or in) a case, as a pass of its own. row: of its first output. */
static Plain plain_answer(const Setting *setting, const int32_t *ids, int32_t n, const int32_t *types,
                          const Target *target, int32_t row, const Edit *edits, int32_t n_edits) {
    int32_t sequence[LONGEST + TAIL], rows[TAIL + 1], tail = target->kind == TARGET_TOKENS ? target->n - 1 : 0;
    int32_t type[LONGEST + TAIL] = {0};
    memcpy(sequence, ids, (size_t)n * sizeof *ids);
    memcpy(sequence + n, target->ids, (size_t)tail * sizeof *ids);
    if (types != NULL) {
        memcpy(type, types, (size_t)n * sizeof *types);
    }
    for (int32_t i = 0; i < target->n; i++) {
        rows[i] = row + i;
    }
    SequenceInput input = {.ids = sequence, .n = n + tail, .types = types != NULL ? type : NULL};
    Logits logits = plain_logits(setting, &input, rows, target->n, edits, n_edits);
    Plain plain = {.chosen = true, .rival = -INFINITY};
    for (int32_t i = 0; i < target->n; i++) {
        const float *values = logits.values + (size_t)i * (size_t)logits.width;
        plain.log_p += log_p(&logits, i, target->ids[i]);
        plain.logit += (double)values[target->ids[i]];
        for (int32_t c = 0; c < logits.width; c++) {
            plain.chosen = plain.chosen && (c == target->ids[i] || values[c] < values[target->ids[i]]);
            plain.rival = c != target->ids[i] ? fmax(plain.rival, (double)values[c]) : plain.rival;
        }
    }
    free(logits.values);
    return plain;
}

static double plain_f(const Setting *setting, const AnswerOptions *options, const Plain *target,
                      const Plain *contrast) {
    bool classifier = setting->model->config.task == TASK_CLASSIFIER;
    switch (options->metric) {
    case ANSWER_LOG_PROB:
    case ANSWER_NLL: {
        double f = target->log_p - (contrast != NULL ? contrast->log_p : 0.0);
        return options->metric == ANSWER_NLL ? -f : f;
    }
    case ANSWER_PROB:
        return exp(target->log_p) - (contrast != NULL ? exp(contrast->log_p) : 0.0);
    case ANSWER_LOGIT:
    case ANSWER_LOGIT_DIFF:
        return target->logit - (contrast != NULL ? contrast->logit : 0.0);
    case ANSWER_LEAD:
        break;
    }
    if (options->outputs == ANSWER_EACH || options->outputs == ANSWER_NUMBER) {
        return target->logit - (contrast != NULL ? contrast->logit : 0.0);
    }
    return contrast != NULL ? target->log_p - contrast->log_p
           : classifier     ? target->logit - target->rival
                            : target->log_p - log1p(-exp(target->log_p));
}

/* ---- cases ---- */

/* What was delivered. */
typedef struct Seen {
    AnswerValue values[CASES];
    int32_t times[CASES];
    int64_t last;
    bool in_order;
} Seen;

static limn_status keep(void *context, int64_t i, const AnswerValue *value) {
    Seen *seen = context;
    seen->in_order = seen->in_order && i == seen->last + 1;
    seen->last = i;
    seen->values[i] = *value;
    seen->times[i]++;
    return LIMN_OK;
}

/* Tokens changed, put in, taken out; the prompt itself; its beginning; longer ones. */
static void make_cases(Setting *setting, AnswerCase *cases, int32_t (*ids)[LONGEST], int32_t keep_row) {
    int32_t longest = setting->n + 1 < 8 ? 8 : LONGEST - TAIL - 1;
    for (int c = 0; c < CASES; c++) {
        int32_t n = 0;
        for (int32_t i = 0; i < setting->n; i++) {
            bool kept = i == keep_row || random_below(&setting->random, 4) != 0 || c == 0;
            if (kept || random_below(&setting->random, 2) == 0) {
                ids[c][n++] = kept ? setting->ids[i] : any_token(setting);
            }
            if (!kept && n + setting->n - i < longest && random_below(&setting->random, 2) == 0) {
                ids[c][n++] = any_token(setting);
            }
        }
        if (c == 1) { /* only the last token another */
            memcpy(ids[c], setting->ids, (size_t)setting->n * sizeof(int32_t));
            n = setting->n;
            if (keep_row != setting->n - 1) {
                ids[c][n - 1] = any_token(setting);
            }
        }
        cases[c] = (AnswerCase){.ids = ids[c], .n = n};
    }
    if (keep_row < 0) { /* a beginning of the prompt, and more behind it */
        memcpy(ids[2], setting->ids, (size_t)setting->n * sizeof(int32_t));
        cases[2].n = setting->n - 4;
        memcpy(ids[3], setting->ids, (size_t)setting->n * sizeof(int32_t));
        ids[3][setting->n] = any_token(setting);
        cases[3].n = setting->n + 1;
    }
}

static void compare(const char *name, const AnswerOptions *options, int c, const char *what, double found,
                    double expected) {
    bool same = fabs(found - expected) <= tolerance * fmax(1.0, fabs(expected)) || (isnan(found) && isnan(expected));
    if (!same) {
        fail_msg("%s, metric %d, case %d: %s is %.7g, expected %.7g", name, (int)options->metric, c, what, found,
                 expected);
    }
}

/* Every case under one metric. rows: [CASES] where the answer is read. */
static void compare_cases(Setting *setting, const AnswerOptions *options, const AnswerCase *cases, const int32_t *rows,
                          const Target *target, const Target *contrast) {
    Answer *answer;
    check(answer_new(&answer, &setting->call, setting->engine, &setting->prompt, target, contrast, options));
    Seen seen = {.last = -1, .in_order = true};
    AnswerRequest request = {.cases = cases, .n = CASES, .deliver = keep, .context = &seen, .in_order = true};
    check(answer_run(answer, &request));
    assert_true(seen.in_order);
    AnswerValue clean;
    check(answer_clean(answer, &clean));
    answer_free(answer);
    bool logit = options->metric == ANSWER_LOGIT || options->metric == ANSWER_LOGIT_DIFF;
    bool number = options->outputs == ANSWER_NUMBER, each = options->outputs == ANSWER_EACH;
    for (int c = 0; c < CASES; c++) {
        const AnswerValue *value = &seen.values[c];
        assert_int_equal(seen.times[c], 1);
        Plain of_target = plain_answer(setting, cases[c].ids, cases[c].n, cases[c].types, target, rows[c],
                                       cases[c].edits, cases[c].n_edits);
        Plain of_contrast = {0};
        if (contrast != NULL) {
            of_contrast = plain_answer(setting, cases[c].ids, cases[c].n, cases[c].types, contrast, rows[c],
                                       cases[c].edits, cases[c].n_edits);
        }
        const Plain *against = contrast != NULL ? &of_contrast : NULL;
        compare(setting->name, options, c, "F", value->f, plain_f(setting, options, &of_target, against));
        if (!logit && !number && !each) {
            compare(setting->name, options, c, "log p(target)", value->target, of_target.log_p);
            compare(setting->name, options, c, "log p(contrast)", value->contrast,
                    contrast != NULL ? of_contrast.log_p : (double)NAN);
        }
        if (options->decision && !number && !each) {
            bool first = contrast == NULL ? of_target.chosen : of_target.log_p > of_contrast.log_p;
            assert_int_equal(value->decided, first);
            assert_int_equal(value->turned, value->decided != clean.decided);
        }
    }
}

static const AnswerMetric metrics[] = {ANSWER_LEAD, ANSWER_LOG_PROB, ANSWER_PROB, ANSWER_NLL, ANSWER_LOGIT};

/* ---- language models ---- */

static void try_language_model(const char *name) {
    Setting setting = {0};
    open_setting(&setting, name);
    static int32_t ids[CASES][LONGEST];
    AnswerCase cases[CASES];
    int32_t rows[CASES], several[] = {any_token(&setting), any_token(&setting), any_token(&setting)},
                         other[] = {several[0], any_token(&setting)};
    make_cases(&setting, cases, ids, -1);
    for (int c = 0; c < CASES; c++) {
        rows[c] = cases[c].n - 1;
    }
    Target one = make_target(&setting, TARGET_TOKENS, several, 1, 0);
    Target three = make_target(&setting, TARGET_TOKENS, several, 3, 0);
    Target two = make_target(&setting, TARGET_TOKENS, other, 2, 0);
    Target single = make_target(&setting, TARGET_TOKENS, other + 1, 1, 0);
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        AnswerOptions options = {.metric = metrics[m], .decision = metrics[m] != ANSWER_LOGIT, .rows = 40};
        compare_cases(&setting, &options, cases, rows, &one, NULL);
        compare_cases(&setting, &options, cases, rows, &one, &single);
        if (metrics[m] != ANSWER_LOGIT) {
            compare_cases(&setting, &options, cases, rows, &three, NULL);
            compare_cases(&setting, &options, cases, rows, &three, &two); /* they share their first token */
            compare_cases(&setting, &options, cases, rows, &one, &two);   /* the one lies in the other's pass */
            compare_cases(&setting, &options, cases, rows, &two, &single);
        }
    }
    close_setting(&setting);
}

static void any_prompt_scores_as_a_pass_of_its_own(void **state) {
    static const char *const names[] = {"llama3",     "gpt2",           "neox",          "opt",
                                        "falcon-40b", "qwen3",          "gemma2",        "mixtral",
                                        "mistral",    "llama-longrope", "llama-dynamic", "qwen2-window"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        try_language_model(names[i]);
    }
}

/* An answer that is read inside the prompt: its token stays its place, whatever is put before or behind it. */
static void a_named_place_keeps_its_token(void **state) {
    Setting setting = {0};
    open_setting(&setting, "llama3");
    int32_t id = any_token(&setting), at = 6, ids[3][LONGEST];
    AnswerCase cases[CASES];
    int32_t rows[CASES];
    for (int c = 0; c < CASES; c++) {
        int32_t *to = ids[c % 3], n = PROMPT;
        memcpy(to, setting.ids, sizeof setting.ids);
        rows[c] = at;
        if (c % 3 == 0) { /* two more behind the third */
            memmove(to + 5, to + 3, (PROMPT - 3) * sizeof *to);
            to[3] = (setting.ids[3] + 1) % setting.model->config.n_vocab;
            to[4] = to[3];
            n += 2;
            rows[c] = at + 2;
        } else if (c % 3 == 1) { /* another behind it */
            to[10] = (to[10] + 1) % setting.model->config.n_vocab;
        }
        cases[c] = (AnswerCase){.ids = to, .n = n};
    }
    Target target = make_target(&setting, TARGET_AT, &id, 1, at);
    AnswerOptions options = {.metric = ANSWER_LEAD};
    compare_cases(&setting, &options, cases, rows, &target, NULL);
    ids[0][at + 2] = (ids[0][at + 2] + 1) % setting.model->config.n_vocab;
    Answer *answer;
    check(answer_new(&answer, &setting.call, setting.engine, &setting.prompt, &target, NULL, &options));
    Seen seen = {0};
    AnswerRequest request = {.cases = cases, .n = 1, .deliver = keep, .context = &seen};
    assert_int_equal(answer_run(answer, &request), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "position 6"));
    answer_free(answer);
    close_setting(&setting);
}

/* ---- encoders and classes ---- */

static void link_file(const char *folder, const char *from, const char *name) {
    char old[1200], new[1200];
    snprintf(old, sizeof old, "%s/tests/golden/%s/%s", LIMN_TEST_SOURCE_DIR, from, name);
    snprintf(new, sizeof new, "%s/%s", folder, name);
    assert_int_equal(symlink(old, new), 0);
}

/* The answer goes where the mask goes; token types of the unchanged parts stay. */
static void masked_models_answer_at_the_mask(void **state) {
    char folder[] = "/tmp/limn-answer-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    link_file(folder, "bert-mlm", "config.json");
    link_file(folder, "bert-mlm", "model.safetensors");
    link_file(folder, "predict/bert", "vocab.txt");
    link_file(folder, "predict/bert", "tokenizer_config.json");
    Setting setting = {.name = "bert-mlm"};
    open_folder(&setting, folder);
    int32_t at = 8, mask = tokenizer_special(setting.model->tokenizer, SPECIAL_MASK);
    assert_true(mask >= 0);
    setting.ids[2] = setting.ids[at] = mask; /* the second of two */
    int32_t types[PROMPT], more[LONGEST];
    for (int i = 0; i < PROMPT; i++) {
        types[i] = i >= 5;
    }
    for (int i = 0; i < LONGEST; i++) { /* one token put in before the second text */
        more[i] = i >= 6;
    }
    setting.prompt.types = types;
    int32_t answers[] = {17, 21};
    Target target = make_target(&setting, TARGET_AT, answers, 1, at);
    Target contrast = make_target(&setting, TARGET_AT, answers + 1, 1, at);
    static int32_t ids[CASES][LONGEST];
    AnswerCase cases[CASES], plain[CASES];
    int32_t rows[CASES];
    for (int c = 0; c < CASES; c++) {
        memcpy(ids[c], setting.ids, sizeof setting.ids);
        bool longer = c % 2 == 1;
        if (longer) {
            memmove(ids[c] + 4, ids[c] + 3, (PROMPT - 3) * sizeof(int32_t));
        }
        ids[c][3] = 20 + c;
        rows[c] = longer ? at + 1 : at;
        cases[c] = (AnswerCase){.ids = ids[c], .n = longer ? PROMPT + 1 : PROMPT};
        plain[c] = cases[c];
        plain[c].types = longer ? more : types;
    }
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        AnswerOptions options = {.metric = metrics[m], .decision = metrics[m] != ANSWER_LOGIT};
        compare_cases(&setting, &options, plain, rows, &target, NULL);
        compare_cases(&setting, &options, plain, rows, &target, &contrast);
    }
    /* types that are not given are those of the same tokens */
    AnswerOptions options = {.metric = ANSWER_LEAD};
    Answer *answer;
    Seen given = {0}, derived = {0};
    AnswerRequest request = {.cases = plain, .n = CASES, .deliver = keep, .context = &given};
    check(answer_new(&answer, &setting.call, setting.engine, &setting.prompt, &target, NULL, &options));
    check(answer_run(answer, &request));
    request.cases = cases;
    request.context = &derived;
    check(answer_run(answer, &request));
    for (int c = 0; c < CASES; c++) {
        assert_true(given.values[c].f == derived.values[c].f);
    }
    ids[5][rows[5]] = 30; /* the second mask is gone */
    assert_int_equal(answer_run(answer, &request), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "mask"));
    answer_free(answer);
    close_setting(&setting);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void try_classifier(const char *name, bool first_row) {
    Setting setting = {0};
    open_setting(&setting, name);
    static int32_t ids[CASES][LONGEST];
    AnswerCase cases[CASES];
    int32_t rows[CASES], classes[] = {0, 1};
    make_cases(&setting, cases, ids, -1);
    for (int c = 0; c < CASES; c++) {
        rows[c] = first_row ? 0 : cases[c].n - 1;
        if (!first_row && c % 3 == 2) { /* padding behind: the class is read before it */
            ids[c][cases[c].n++] = setting.model->config.pad_id;
        }
    }
    Target target = make_target(&setting, TARGET_CLASS, classes, 1, first_row ? 0 : PROMPT - 1);
    Target contrast = make_target(&setting, TARGET_CLASS, classes + 1, 1, first_row ? 0 : PROMPT - 1);
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        AnswerOptions options = {.metric = metrics[m], .decision = metrics[m] != ANSWER_LOGIT};
        compare_cases(&setting, &options, cases, rows, &target, NULL);
        compare_cases(&setting, &options, cases, rows, &target, &contrast);
    }
    for (AnswerOutputs outputs = ANSWER_EACH; outputs <= ANSWER_NUMBER; outputs++) {
        AnswerOptions options = {.metric = ANSWER_LEAD, .outputs = outputs, .decision = true};
        compare_cases(&setting, &options, cases, rows, &target, NULL);
    }
    close_setting(&setting);
}

static void classes_lead_over_the_best_other(void **state) {
    try_classifier("llama-classifier", false);
    try_classifier("gpt2-classifier", false);
    try_classifier("bert-classifier", true);
    try_classifier("distilbert-classifier", true);
}

/* A label that may hold beside others is judged by itself. */
static void labels_have_a_sigmoid_each(void **state) {
    Setting setting = {0};
    open_setting(&setting, "bert-classifier");
    int32_t label = 1;
    Target target = make_target(&setting, TARGET_CLASS, &label, 1, 0);
    SequenceInput sequence = prompt_sequence(&setting.prompt);
    int32_t row = 0;
    Logits logits = plain_logits(&setting, &sequence, &row, 1, NULL, 0);
    double logit = (double)logits.values[label], p = 1.0 / (1.0 + exp(-logit));
    free(logits.values);
    const struct {
        AnswerMetric metric;
        double f;
    } expected[] = {{ANSWER_LEAD, logit}, {ANSWER_LOG_PROB, log(p)}, {ANSWER_PROB, p}, {ANSWER_NLL, -log(p)}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        AnswerOptions options = {.metric = expected[i].metric, .outputs = ANSWER_EACH, .decision = true};
        Answer *answer;
        AnswerValue value;
        check(answer_new(&answer, &setting.call, setting.engine, &setting.prompt, &target, NULL, &options));
        check(answer_clean(answer, &value));
        compare("bert-classifier", &options, 0, "F of a label", value.f, expected[i].f);
        compare("bert-classifier", &options, 0, "log p of a label", value.target, log(p));
        assert_int_equal(value.decided, p > 0.5);
        answer_free(answer);
    }
    close_setting(&setting);
}

/* ---- gradients ---- */

enum { STEPS = 4 };

/* A line through a site's values: by `embed` where the site is the embedding, else by edits. */
typedef struct Line {
    Setting *setting;
    NodeId node;
    int64_t width;
    bool embeds;
    float *base, *change; /* [PROMPT, width] */
    double f[STEPS];      /* at -2h, -h, h, 2h */
    double *gradient;     /* [PROMPT, width] at 0 */
} Line;

static const double step = 2e-3;

static double step_of(int64_t i) {
    static const double steps[STEPS] = {-2, -1, 1, 2};
    return i < STEPS ? step * steps[i] : 0.0;
}

static void embed_line(void *context, int64_t i, int32_t row, float *out) {
    const Line *line = context;
    for (int64_t e = 0; e < line->width; e++) {
        int64_t at = row * line->width + e;
        out[e] = line->base[at] + (float)step_of(i) * line->change[at];
    }
}

static limn_status keep_f(void *context, int64_t i, const AnswerValue *value) {
    Line *line = context;
    line->f[i] = value->f;
    return LIMN_OK;
}

static limn_status keep_gradient(void *context, int64_t i, const AnswerValue *value) {
    Line *line = context;
    answer_gradient(value, 0, line->width, 0, PROMPT, line->gradient);
    return LIMN_OK;
}

static void open_line(Line *line, Setting *setting, const char *site) {
    const Graph *graph = &setting->model->graph;
    *line = (Line){.setting = setting, .embeds = site == NULL};
    line->node = site == NULL ? graph->embed : graph_find_site(graph, site);
    assert_int_not_equal(line->node, NODE_NONE);
    SequenceInput sequence = prompt_sequence(&setting->prompt);
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .taps = &line->node, .n_taps = 1};
    check(engine_run(setting->engine, &request, NULL));
    int32_t rows;
    const float *values = engine_tap(setting->engine, line->node, &rows, &line->width);
    size_t n = (size_t)PROMPT * (size_t)line->width;
    line->base = malloc(n * sizeof(float));
    line->change = malloc(n * sizeof(float));
    line->gradient = malloc(n * sizeof(double));
    memcpy(line->base, values, n * sizeof(float));
    double size = 0.0;
    for (size_t i = 0; i < n; i++) {
        size += fabs((double)values[i]) / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        line->change[i] = (float)(random_normal(&setting->random) * size);
    }
}

static void close_line(Line *line) {
    free(line->base);
    free(line->change);
    free(line->gradient);
}

static void try_gradient(Setting *setting, const AnswerOptions *options, const Target *target, const Target *contrast,
                         const char *site) {
    Line line;
    open_line(&line, setting, site);
    size_t n = (size_t)PROMPT * (size_t)line.width;
    float *scaled = malloc(STEPS * n * sizeof *scaled);
    AnswerCase cases[STEPS] = {0}, here = {.embed_end = line.embeds ? PROMPT : 0};
    Edit edits[STEPS];
    for (size_t s = 0; s < STEPS; s++) {
        for (size_t i = 0; i < n; i++) {
            scaled[s * n + i] = (float)step_of((int64_t)s) * line.change[i];
        }
        edits[s] = (Edit){.node = line.node,
                          .kind = EDIT_ADD,
                          .row_end = PROMPT,
                          .element_end = -1,
                          .values = scaled + s * n,
                          .row_stride = line.width};
        cases[s] = line.embeds ? here : (AnswerCase){.edits = &edits[s], .n_edits = 1};
    }
    Answer *answer;
    check(answer_new(&answer, &setting->call, setting->engine, &setting->prompt, target, contrast, options));
    AnswerRequest request = {.cases = cases, .n = STEPS, .embed = embed_line, .deliver = keep_f, .context = &line};
    check(answer_run(answer, &request));
    AnswerCase itself = {0};
    request = (AnswerRequest){.cases = &itself,
                              .n = 1,
                              .deliver = keep_gradient,
                              .context = &line,
                              .grads = &line.node,
                              .n_grads = 1,
                              .all_rows = true};
    check(answer_run(answer, &request));
    answer_free(answer);
    double found = 0.0, quotient = (8.0 * (line.f[2] - line.f[1]) - (line.f[3] - line.f[0])) / (12.0 * step);
    for (size_t i = 0; i < n; i++) {
        found += line.gradient[i] * (double)line.change[i];
    }
    if (!(fabs(found - quotient) <= 2e-2 * fmax(0.05, fabs(quotient)))) {
        fail_msg("%s, metric %d, %s: the gradient says %.6g, the difference quotient %.6g", setting->name,
                 (int)options->metric, site == NULL ? "embedding" : site, found, quotient);
    }
    free(scaled);
    close_line(&line);
}

static void gradients_are_difference_quotients(void **state) {
    static const struct {
        const char *name;
        bool classifier;
    } models[] = {{"llama3", false}, {"gpt2", false}, {"bert-classifier", true}, {"llama-classifier", true}};
    static const char *const sites[] = {NULL, "blocks.0.hook_resid_post", "blocks.1.attn.hook_z"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        Setting setting = {0};
        open_setting(&setting, models[i].name);
        int32_t ids[] = {models[i].classifier ? 0 : any_token(&setting), any_token(&setting)};
        int32_t others[] = {models[i].classifier ? 1 : any_token(&setting)};
        int32_t row = setting.model->config.causal ? PROMPT - 1 : 0;
        TargetKind kind = models[i].classifier ? TARGET_CLASS : TARGET_TOKENS;
        Target target = make_target(&setting, kind, ids, models[i].classifier ? 1 : 2, row);
        Target contrast = make_target(&setting, kind, others, 1, row);
        for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
            AnswerOptions options = {.metric = metrics[m]};
            for (size_t s = 0; s < sizeof sites / sizeof sites[0]; s++) {
                if (metrics[m] == ANSWER_LOGIT && !models[i].classifier) {
                    continue;
                }
                try_gradient(&setting, &options, &target, NULL, sites[s]);
                try_gradient(&setting, &options, &target, &contrast, sites[s]);
            }
        }
        close_setting(&setting);
    }
}

/* ---- edits, memory ---- */

/* Values added and set at sites of any layer, from any row on: the rows before it are read, not computed. */
static void edited_cases_score_as_edited_passes(void **state) {
    static const char *const names[] = {"llama3", "gpt2", "gemma2"};
    static const char *const sites[] = {"blocks.0.hook_resid_pre", "blocks.1.attn.hook_z", "blocks.1.hook_mlp_out"};
    for (size_t m = 0; m < sizeof names / sizeof names[0]; m++) {
        Setting setting = {0};
        open_setting(&setting, names[m]);
        const Graph *graph = &setting.model->graph;
        static int32_t ids[CASES][LONGEST];
        static float values[4096];
        AnswerCase cases[CASES];
        Edit edits[CASES][2];
        int32_t rows[CASES], answers[] = {any_token(&setting), any_token(&setting)};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            values[i] = (float)random_normal(&setting.random);
        }
        make_cases(&setting, cases, ids, -1);
        for (int c = 0; c < CASES; c++) {
            rows[c] = cases[c].n - 1;
            for (int e = 0; e < 2; e++) {
                NodeId node = graph_find_site(graph, sites[(c + e) % 3]);
                int64_t width = row_shape_width(&graph->nodes[node].op.out, 1);
                int32_t begin = (int32_t)random_below(&setting.random, (uint64_t)cases[c].n);
                edits[c][e] = (Edit){.node = node,
                                     .kind = e == 0 ? EDIT_ADD : EDIT_SET,
                                     .row_begin = begin,
                                     .row_end = c % 2 == 0 ? -1 : begin + 1,
                                     .element_end = -1,
                                     .values = values,
                                     .row_stride = width};
                assert_true((cases[c].n + 1) * width < 4096);
            }
            cases[c].edits = edits[c];
            cases[c].n_edits = 2;
        }
        Target target = make_target(&setting, TARGET_TOKENS, answers, 2, 0);
        AnswerOptions options = {.metric = ANSWER_LOG_PROB};
        compare_cases(&setting, &options, cases, rows, &target, NULL);
        close_setting(&setting);
    }
}

typedef struct Count {
    int64_t largest; /* total of a tick: rows of all runs times steps of one */
    int64_t stop_after;
} Count;

static bool count_tick(void *context, const char *stage, int64_t done, int64_t total) {
    Count *count = context;
    if (strcmp(stage, "count") == 0) {
        count->largest = total > count->largest ? total : count->largest;
    }
    return count->stop_after == 0 || --count->stop_after > 0;
}

static limn_status run_limited(Seen *seen, size_t memory, int64_t rows, Count *count) {
    Setting setting = {.call.common.memory = memory};
    setting.progress = (Progress){count_tick, count};
    open_setting(&setting, "llama3");
    static int32_t ids[CASES][LONGEST];
    AnswerCase cases[CASES];
    int32_t answers[] = {any_token(&setting), any_token(&setting)};
    make_cases(&setting, cases, ids, -1);
    for (int c = 0; c < CASES; c++) { /* what is changed lies behind */
        memcpy(ids[c], setting.ids, (PROMPT - 4) * sizeof(int32_t));
        cases[c].n = cases[c].n < PROMPT - 3 ? PROMPT - 3 : cases[c].n;
        ids[c][PROMPT - 4] = any_token(&setting);
    }
    Target target = make_target(&setting, TARGET_TOKENS, answers, 2, 0);
    AnswerOptions options = {.metric = ANSWER_LOG_PROB, .decision = true, .rows = rows, .stage = "count"};
    Answer *answer;
    *seen = (Seen){0};
    check(answer_new(&answer, &setting.call, setting.engine, &setting.prompt, &target, NULL, &options));
    AnswerRequest request = {.cases = cases, .n = CASES, .deliver = keep, .context = seen};
    limn_status status = answer_run(answer, &request);
    answer_free(answer);
    close_setting(&setting);
    return status;
}

static void memory_and_batches_change_no_bit(void **state) {
    Seen free_run, small_runs, limited, least;
    Count shared = {0}, alone = {0}, ignored = {0};
    check(run_limited(&free_run, 0, 0, &shared));
    check(run_limited(&small_runs, 0, 1, &ignored));
    check(run_limited(&least, PARAM_BYTES_LEAST, 0, &alone));
    check(run_limited(&limited, 321 << 10, 0, &ignored));
    for (int c = 0; c < CASES; c++) {
        const AnswerValue *expected = &free_run.values[c];
        const Seen *others[] = {&small_runs, &limited, &least};
        for (int o = 0; o < 3; o++) {
            assert_true(others[o]->values[c].f == expected->f);
            assert_true(others[o]->values[c].target == expected->target);
        }
    }
    assert_true(2 * shared.largest < alone.largest); /* ten of some sixteen rows are read from the cache */
    assert_int_equal(run_limited(&limited, 1 << 10, 0, &ignored), LIMN_NO_MEMORY);
    ignored.stop_after = 5;
    assert_int_equal(run_limited(&limited, 0, 0, &ignored), LIMN_CANCELLED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_prompt_scores_as_a_pass_of_its_own),
        cmocka_unit_test(a_named_place_keeps_its_token),
        cmocka_unit_test(masked_models_answer_at_the_mask),
        cmocka_unit_test(classes_lead_over_the_best_other),
        cmocka_unit_test(labels_have_a_sigmoid_each),
        cmocka_unit_test(gradients_are_difference_quotients),
        cmocka_unit_test(edited_cases_score_as_edited_passes),
        cmocka_unit_test(memory_and_batches_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
