/* What `limn lime` and `limn shap` say, and how far another set of samples would have said the same. */
#include <math.h>

#include "measure/attribution.h"
#include "measure/cause.h"
#include "measure/target_score.h"
#include "method/explain/surrogate.h"
#include "statistics/correlation.h"

enum { LIKELIEST = 5, LISTED = 12 };
static const double least_explained = 0.5, most_flips = 0.1, counts_from = 0.1 /* of the largest score */;

/* How alike the fits are. */
typedef struct Stability {
    double explained, drift, spread, ranks, flips;
    int32_t n_counted; /* words whose size is at least a tenth of the largest */
} Stability;

static double mean_of(const Surrogate *surrogate, int32_t word) {
    double mean = 0.0;
    for (int32_t f = 0; f < surrogate->n_fits; f++) {
        mean += surrogate->fits[f].scores[word] / surrogate->n_fits;
    }
    return mean;
}

static double deviation_of(const Surrogate *surrogate, int32_t word) {
    double mean = mean_of(surrogate, word), square = 0.0;
    for (int32_t f = 0; f < surrogate->n_fits; f++) {
        double apart = surrogate->fits[f].scores[word] - mean;
        square += apart * apart;
    }
    return surrogate->n_fits > 1 ? sqrt(square / (surrogate->n_fits - 1)) : (double)NAN;
}

static bool flips(const Surrogate *surrogate, int32_t word) {
    bool up = false, down = false;
    for (int32_t f = 0; f < surrogate->n_fits; f++) {
        up = up || surrogate->fits[f].scores[word] > 0.0;
        down = down || surrogate->fits[f].scores[word] < 0.0;
    }
    return up && down;
}

/* Mean rank correlation of the fits, two by two. */
static limn_status rank_agreement(const Surrogate *surrogate, double *agreement) {
    int32_t n = surrogate->n_free, pairs = 0;
    double *scores = ARENA_ARRAY(surrogate->call->arena, double, (int64_t)surrogate->n_fits *n + 1), sum = 0.0;
    if (scores == NULL) {
        return method_no_memory(surrogate->call);
    }
    for (int32_t f = 0; f < surrogate->n_fits; f++) {
        for (int32_t w = 0; w < n; w++) {
            scores[f * n + w] = surrogate->fits[f].scores[surrogate->free_words[w]];
        }
        for (int32_t other = 0; other < f; other++) {
            double rho;
            TRY(spearman(&rho, scores + f * n, scores + other * n, n));
            sum += isnan(rho) ? 0.0 : rho;
            pairs += isnan(rho) ? 0 : 1;
        }
    }
    *agreement = pairs > 0 ? sum / pairs : (double)NAN;
    return LIMN_OK;
}

static limn_status measure(const Surrogate *surrogate, Stability *stability) {
    double largest = 0.0, flipped = 0.0;
    *stability = (Stability){0};
    for (int32_t f = 0; f < surrogate->n_fits; f++) {
        stability->explained += surrogate->fits[f].explained / surrogate->n_fits;
        stability->drift += surrogate->fits[f].drift / surrogate->n_fits;
    }
    for (int32_t w = 0; w < surrogate->n_free; w++) {
        largest = fmax(largest, fabs(mean_of(surrogate, surrogate->free_words[w])));
    }
    for (int32_t w = 0; w < surrogate->n_free; w++) {
        int32_t word = surrogate->free_words[w];
        stability->spread += deviation_of(surrogate, word) / surrogate->n_free / (largest > 0.0 ? largest : 1.0);
        bool counts = fabs(mean_of(surrogate, word)) >= counts_from * largest;
        stability->n_counted += counts ? 1 : 0;
        flipped += counts && flips(surrogate, word) ? 1.0 : 0.0;
    }
    stability->flips = stability->n_counted > 0 ? flipped / stability->n_counted : (double)NAN;
    return rank_agreement(surrogate, &stability->ranks);
}

static void show_stability(const Surrogate *surrogate, Result *result, const Stability *stability) {
    static const TableColumn columns[] = {{TEXT("figure"), COLUMN_TEXT}, {TEXT("value"), COLUMN_VALUE}};
    const MethodCall *call = surrogate->call;
    const struct {
        const char *name;
        Value value;
    } lines[] = {
        {SAY(call, "words that may be exchanged", "可替换的词"), value_integer(surrogate->n_free)},
        {SAY(call, "sets of them that there are", "可能的词集合数"), value_number(pow(2.0, surrogate->n_free))},
        {SAY(call, "samples of each fit", "每次拟合的样本数"), value_integer(surrogate->fits[0].n)},
        {SAY(call, "fits, each with samples of its own", "拟合次数（样本各自抽取）"), value_integer(surrogate->n_fits)},
        {SAY(call, "share of the lead's variance that the words explain one by one", "各词单独相加所能解释的方差比例"),
         value_number(stability->explained)},
        {SAY(call, "rank agreement of the fits", "各次拟合的排名一致度"), value_number(stability->ranks)},
        {SAY(call, "mean deviation over fits, of the largest score", "各次拟合间的平均偏差（占最大得分）"),
         value_number(stability->spread)},
        {SAY(call, "words whose sign is not the same in all fits", "正负号在各次拟合中不一致的词的比例"),
         value_number(stability->flips)},
        {SAY(call, "mean change of the answer's probability over the samples", "样本中回答概率的平均变动"),
         value_number(stability->drift)}};
    TableBlock *table = result_add_table(
        result, "stability", SAY(call, "Would other samples say the same?", "换一批样本结论是否相同？"), columns, 2);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const Value cells[] = {value_text(lines[i].name), lines[i].value};
        table_row(table, cells);
    }
    result_block_note(result, "%s",
                      SAY(call, "signs: of words with at least a tenth of the largest score",
                          "正负号：只计得分不低于最大得分十分之一的词"));
}

static void show_fits(const Surrogate *surrogate, Result *result, const Attribution *attribution) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},       {TEXT("score"), COLUMN_SIGNED},
                                          {TEXT("deviation"), COLUMN_NUMBER}, {TEXT("low"), COLUMN_SIGNED},
                                          {TEXT("high"), COLUMN_SIGNED},      {TEXT("sign flips"), COLUMN_FLAG}};
    TableBlock *table = result_add_table(
        result, "fits", SAY(surrogate->call, "The same word in each fit", "同一个词在各次拟合中"), columns, 6);
    for (int32_t i = 0; i < attribution->n_order && i < LISTED; i++) {
        int32_t word = attribution->order[i];
        double low = INFINITY, high = -INFINITY;
        for (int32_t f = 0; f < surrogate->n_fits; f++) {
            low = fmin(low, surrogate->fits[f].scores[word]);
            high = fmax(high, surrogate->fits[f].scores[word]);
        }
        Text text = run_text(surrogate->call, surrogate->model, surrogate->prompt, surrogate->words.begins[word],
                             surrogate->words.begins[word + 1]);
        const Value cells[] = {value_bytes(text.bytes, text.length),
                               value_number(mean_of(surrogate, word)),
                               value_number(deviation_of(surrogate, word)),
                               value_number(low),
                               value_number(high),
                               value_bool(flips(surrogate, word))};
        table_row(table, cells);
    }
    result_block_detail(result);
}

static void check(const Surrogate *surrogate, Result *result, const Stability *stability) {
    const MethodCall *call = surrogate->call;
    result_check(result, "linear", stability->explained, CHECK_AT_LEAST, least_explained, "%s",
                 SAY(call, "share of the lead's variance over the samples that words explain one by one",
                     "样本中领先量的方差由各词单独相加所解释的比例"));
    if (surrogate->n_fits > 1) {
        result_check(result, "sign flips", stability->flips, CHECK_AT_MOST, most_flips, "%s",
                     SAY(call, "share of the larger scores whose sign changes from one set of samples to another",
                         "较大得分中，换一批样本正负号就改变的比例"));
    }
}

static const char *note_of(const Surrogate *surrogate) {
    return surrogate->kind == SURROGATE_SHAP ? SAY(surrogate->call,
                                                   "KernelSHAP: a word's mean contribution over sets of words; words "
                                                   "that are not there are exchanged",
                                                   "KernelSHAP：词在各词集合中的平均贡献；不在集合中的词换成别的词")
                                             : SAY(surrogate->call,
                                                   "LIME: a sparse linear model of the answer near the prompt; words "
                                                   "that are not there are exchanged",
                                                   "LIME：在提示附近对回答作稀疏线性拟合；不在的词换成别的词");
}

limn_status surrogate_report(Surrogate *surrogate, Result *result) {
    const MethodCall *call = surrogate->call;
    Attribution attribution = {.call = surrogate->call,
                               .result = result,
                               .model = surrogate->model,
                               .prompt = surrogate->prompt,
                               .target = surrogate->target,
                               .contrast = surrogate->contrast,
                               .scores = surrogate->scores,
                               .spreads = surrogate->spreads,
                               .reach = surrogate->prompt->n,
                               .unit = answer_unit(call, ANSWER_LEAD),
                               .note = note_of(surrogate),
                               .by = surrogate->params->by,
                               .is_signed = true};
    Stability stability;
    TRY(attribution_rank(&attribution));
    TRY(measure(surrogate, &stability));
    result_param_text(result, "sign", "positive supports the target");
    result_param_integer(result, "samples", surrogate->samples);
    attribution_show(&attribution);
    show_stability(surrogate, result, &stability);
    show_fits(surrogate, result, &attribution);
    target_describe(result, surrogate->call, surrogate->model, surrogate->target, surrogate->contrast, LIKELIEST);
    check(surrogate, result, &stability);
    const CauseAsked cause = {.call = surrogate->call,
                              .engine = surrogate->engine,
                              .prompt = surrogate->prompt,
                              .target = surrogate->target,
                              .contrast = surrogate->contrast,
                              .words = &attribution.words,
                              .scores = attribution.word_scores,
                              .params = &surrogate->params->yardstick,
                              .effort = (CauseEffort)surrogate->params->check};
    return cause_check(result, &cause);
}

limn_status surrogate_run(MethodCall *call, Result *result, SurrogateKind kind) {
    Prompt prompt;
    Target target, contrast;
    Surrogate surrogate = {.call = call,
                           .params = call->params,
                           .kind = kind,
                           .prompt = &prompt,
                           .target = &target,
                           .contrast = &contrast,
                           .seed = call->common.seed};
    TRY(method_engine(call, surrogate.params->model.bytes, &surrogate.engine));
    surrogate.model = engine_model(surrogate.engine);
    TRY(prompt_read(&prompt, call, surrogate.model, &surrogate.params->prompt));
    prompt_describe(result, call, surrogate.model, &prompt);
    TRY(target_resolve(&target, &contrast, call, surrogate.engine, &prompt, &surrogate.params->target, NULL, result));
    limn_status status = surrogate_fit(&surrogate, (int32_t)surrogate.params->repeats);
    status = status == LIMN_OK ? surrogate_report(&surrogate, result) : status;
    surrogate_free(&surrogate);
    return status == LIMN_OK ? result_status(result) : status;
}
