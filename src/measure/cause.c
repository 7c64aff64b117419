#include "measure/cause.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/random.h"

enum {
    QUICK_SCREEN = 1,
    QUICK_LEADING = 3,
    QUICK_DRAWS = 8,
    MOST_REMOVED = 5,
    OWN_SETS = 8,     /* versions with the strongest words exchanged, for each count */
    RANDOM_SETS = 12, /* ... and with as many random ones */
    SHOWN = 8
};
static const double least_ratio = 0.5;

typedef struct CauseWork {
    const CauseAsked *asked;
    Result *result;
    Yardstick *yardstick;
    int32_t named; /* the word named first; -1: none */
} CauseWork;

static bool is_better(const CauseWork *work, double score, double than) {
    return work->asked->unsigned_scores ? fabs(score) > fabs(than) : score > than;
}

/* The word with the highest score for the target. */
static void find_named(CauseWork *work) {
    work->named = -1;
    double best = 0.0;
    for (int32_t w = 0; w < work->asked->words->n; w++) {
        double score = work->asked->scores[w];
        if (!isnan(score) && is_better(work, score, best)) {
            best = score;
            work->named = w;
        }
    }
}

/* ---- the cause ---- */

static double support(const CauseWork *work, const Effect *effect) {
    return work->asked->unsigned_scores ? fabs(effect->effect) : effect->effect;
}

/* The unit with the largest clear effect for the target; -1: none is clear. */
static int32_t largest_clear(const CauseWork *work) {
    int32_t best = -1;
    for (int32_t u = 0; u < yardstick_units(work->yardstick)->n; u++) {
        const Effect *effect = yardstick_effect(work->yardstick, u);
        bool counts = yardstick_counts(work->yardstick, u) && support(work, effect) > 0.0;
        if (counts && (best < 0 || support(work, effect) > support(work, yardstick_effect(work->yardstick, best)))) {
            best = u;
        }
    }
    return best;
}

static void judge(const CauseWork *work) {
    Result *result = work->result;
    int32_t largest = largest_clear(work);
    if (largest < 0) {
        result_check_inconclusive(
            result, "cause", (double)NAN, CHECK_AT_LEAST, least_ratio,
            SAY(work->asked->call,
                "no word clearly supports the answer when it is exchanged, all %d words tried counted, by enough to be "
                "spoken of",
                "换成别的词后，没有哪个词明确支持该回答且大到值得一提（已计入全部 %d 个试过的词）"),
            yardstick_tried(work->yardstick));
        return;
    }
    Text cause = yardstick_text(work->yardstick, largest);
    const Effect *own = work->named < 0 ? NULL : yardstick_effect(work->yardstick, work->named);
    if (own == NULL || isnan(own->effect)) {
        result_check_inconclusive(
            result, "cause", (double)NAN, CHECK_AT_LEAST, least_ratio,
            own == NULL ? SAY(work->asked->call, "it names no word for the target, exchanging \"%.*s\" lowers it most",
                              "它没有指出支持目标的词；换掉“%.*s”使目标下降最多")
                        : SAY(work->asked->call,
                              "what it names first cannot be exchanged; exchanging \"%.*s\" lowers "
                              "the target most",
                              "它首先指出的不能被替换；换掉“%.*s”使目标下降最多"),
            (int)cause.length, cause.bytes);
        return;
    }
    bool clear = effect_is_clear(own) && support(work, own) > 0.0;
    double ratio = clear ? support(work, own) / support(work, yardstick_effect(work->yardstick, largest)) : 0.0;
    Text named = yardstick_text(work->yardstick, work->named);
    result_check(result, "cause", ratio, CHECK_AT_LEAST, least_ratio,
                 SAY(work->asked->call,
                     "effect of exchanging \"%.*s\", which it names first, over the largest, that of \"%.*s\"; 0 where "
                     "it is not "
                     "told from none",
                     "换掉它首先指出的“%.*s”的效应，与最大效应（“%.*s”的）之比；无法与零效应区分时为 0"),
                 (int)named.length, named.bytes, (int)cause.length, cause.bytes);
}

static bool comes_before(const CauseWork *work, int32_t a, int32_t b) {
    const Effect *first = yardstick_effect(work->yardstick, a), *second = yardstick_effect(work->yardstick, b);
    if (isnan(first->low) != isnan(second->low)) {
        return isnan(second->low);
    }
    return fabs(first->effect) > fabs(second->effect);
}

static void show(const CauseWork *work) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},   {TEXT("position"), COLUMN_INTEGER},
                                          {TEXT("score"), COLUMN_SIGNED}, {TEXT("effect"), COLUMN_SIGNED},
                                          {TEXT("low"), COLUMN_SIGNED},   {TEXT("high"), COLUMN_SIGNED},
                                          {TEXT("n"), COLUMN_INTEGER},    {TEXT("source"), COLUMN_TEXT}};
    const Units *units = yardstick_units(work->yardstick);
    int32_t order[SHOWN + 1], n = 0;
    for (int32_t u = 0; u < units->n; u++) {
        if (yardstick_effect(work->yardstick, u)->n == 0) {
            continue;
        }
        int32_t place = n < SHOWN ? n++ : SHOWN;
        while (place > 0 && comes_before(work, u, order[place - 1])) {
            order[place] = order[place - 1];
            place--;
        }
        order[place] = u;
    }
    TableBlock *table = result_add_table(
        work->result, "cause", SAY(work->asked->call, "What exchanging words does", "换词的效果"), columns, 8);
    for (int32_t i = 0; i < n; i++) {
        const Effect *effect = yardstick_effect(work->yardstick, order[i]);
        Text text = yardstick_text(work->yardstick, order[i]);
        const Value cells[] = {value_bytes(text.bytes, text.length),
                               value_integer(units->items[order[i]].begin),
                               value_number(work->asked->scores[order[i]]),
                               value_number(effect->effect),
                               value_number(effect->low),
                               value_number(effect->high),
                               value_integer(effect->n),
                               value_text(draw_source_name(yardstick_draws(work->yardstick, order[i])->source))};
        table_row(table, cells);
    }
    result_block_note(work->result,
                      SAY(work->asked->call,
                          "score: the method's; effect: how far the answer's lead falls with other words there (`limn "
                          "replace`), 95%% for all %d words tried together",
                          "得分：本方法所给；效应：换成别的词后回答的领先量下降多少（`limn replace`），区间对全部 %d "
                          "个试过的词同时成立（95%%）"),
                      yardstick_tried(work->yardstick));
    result_block_detail(work->result);
}

/* ---- deletion ---- */

typedef struct Deletion {
    CauseWork *work;
    int32_t *order; /* [n_order] words that may be exchanged, by score */
    int32_t n_order;
    int32_t n_positive;
    int32_t counts;  /* 1 to this many are exchanged */
    Exchanges *sets; /* [counts, OWN_SETS + RANDOM_SETS] */
    Random random;
    int32_t *deck; /* [n_order] words not yet drawn for this count, the first `left` of them */
    int32_t left;
} Deletion;

static int by_unit(const void *left, const void *right) {
    return ((const Exchange *)left)->unit - ((const Exchange *)right)->unit;
}

static limn_status order_words(Deletion *deletion) {
    const CauseWork *work = deletion->work;
    Arena *arena = work->asked->call->arena;
    int32_t n = work->asked->words->n;
    deletion->order = ARENA_ARRAY(arena, int32_t, n + 1);
    deletion->deck = ARENA_ARRAY(arena, int32_t, n + 1);
    if (deletion->order == NULL || deletion->deck == NULL) {
        return method_no_memory(work->asked->call);
    }
    for (int32_t w = 0; w < n; w++) {
        double score = work->asked->scores[w];
        if (isnan(score) || yardstick_draws(work->yardstick, w)->n == 0) {
            continue;
        }
        int32_t place = deletion->n_order++;
        while (place > 0 && is_better(work, score, work->asked->scores[deletion->order[place - 1]])) {
            deletion->order[place] = deletion->order[place - 1];
            place--;
        }
        deletion->order[place] = w;
        deletion->n_positive += work->asked->unsigned_scores || score > 0.0 ? 1 : 0;
    }
    return LIMN_OK;
}

static void add_exchange(const Deletion *deletion, Exchanges *set, int32_t word, int32_t which) {
    const DrawList *list = yardstick_draws(deletion->work->yardstick, word);
    set->items[set->n++] = (Exchange){word, list->items[which % list->n].text};
}

/* `count` different words. Sets of one count share no word while there are words left: that tells more of the mean than
 * as many independent sets. */
static void add_random(Deletion *deletion, Exchanges *set, int32_t count, int32_t which) {
    if (deletion->left < count) {
        memcpy(deletion->deck, deletion->order, (size_t)deletion->n_order * sizeof *deletion->deck);
        deletion->left = deletion->n_order;
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t drawn = (int32_t)random_below(&deletion->random, (uint64_t)deletion->left);
        int32_t word = deletion->deck[drawn];
        deletion->deck[drawn] = deletion->deck[--deletion->left];
        add_exchange(deletion, set, word, which);
    }
}

static void make_sets(Deletion *deletion) {
    const CauseAsked *asked = deletion->work->asked;
    Exchanges *set = deletion->sets;
    for (int32_t count = 1; count <= deletion->counts; count++) {
        for (int32_t k = 0; k < OWN_SETS; k++, set++) {
            for (int32_t i = 0; i < count; i++) {
                add_exchange(deletion, set, deletion->order[i], k);
            }
        }
        random_seed(&deletion->random, (uint64_t)asked->call->common.seed * 1000003u + (uint64_t)count);
        deletion->left = 0;
        for (int32_t k = 0; k < RANDOM_SETS; k++, set++) {
            add_random(deletion, set, count, k);
        }
    }
    for (Exchanges *each = deletion->sets; each < set; each++) {
        qsort(each->items, (size_t)each->n, sizeof(Exchange), by_unit);
    }
}

static bool is_contrasted(const CauseAsked *asked) {
    return asked->contrast != NULL && asked->contrast->kind != TARGET_NONE;
}

typedef struct Curve {
    double mean, low, high;
    int32_t n;
} Curve;

static Curve curve_of(const Deletion *deletion, const Answered *answered, const bool *good, int32_t n) {
    Curve curve = {0.0, INFINITY, -INFINITY, 0};
    bool lead = is_contrasted(deletion->work->asked);
    for (int32_t k = 0; k < n; k++) {
        if (good[k]) {
            double value = lead ? answered[k].lead : answered[k].probability;
            curve.mean += value;
            curve.low = fmin(curve.low, value);
            curve.high = fmax(curve.high, value);
            curve.n++;
        }
    }
    curve.mean = curve.n > 0 ? curve.mean / curve.n : (double)NAN;
    return curve;
}

static void report_deletion(const Deletion *deletion, const Answered *answered, const bool *good) {
    enum { MOST_POINTS = MOST_REMOVED + 1 };
    const CauseWork *work = deletion->work;
    const MethodCall *call = work->asked->call;
    double x[MOST_POINTS] = {0}, top[MOST_POINTS], mean[MOST_POINTS], low[MOST_POINTS], high[MOST_POINTS];
    Answered clean = yardstick_clean(work->yardstick);
    bool lead = is_contrasted(work->asked);
    top[0] = mean[0] = low[0] = high[0] = lead ? clean.lead : clean.probability;
    double advantage = 0.0;
    int32_t n = deletion->counts;
    for (int32_t step = 1; step <= n; step++) {
        Curve own = curve_of(deletion, answered, good, OWN_SETS);
        Curve others = curve_of(deletion, answered + OWN_SETS, good + OWN_SETS, RANDOM_SETS);
        x[step] = step;
        top[step] = own.mean;
        mean[step] = others.mean;
        low[step] = others.low;
        high[step] = others.high;
        advantage += (others.mean - own.mean) / n;
        answered += OWN_SETS + RANDOM_SETS;
        good += OWN_SETS + RANDOM_SETS;
    }
    SeriesBlock *series =
        result_add_series(work->result, "deletion", SAY(call, "When words are exchanged", "换词之后"), x, n + 1,
                          SAY(call, "words exchanged", "换掉的词数"),
                          lead ? SAY(call, "lead of the target over its contrast", "目标对对照的领先量")
                               : SAY(call, "probability of the target", "目标的概率"));
    series_line(series, SAY(call, "strongest supporters", "最支持的词"), top, NULL, NULL);
    series_line(series, SAY(call, "random words", "随机的词"), mean, low, high);
    result_block_note(
        work->result,
        SAY(call, "exchanged for words that fit; strongest: mean of %d versions; random: mean and range of %d sets",
            "换成合适的词；最支持的词：%d 个版本的均值；随机的词：%d 组的均值与范围"),
        OWN_SETS, RANDOM_SETS);
    result_check(work->result, "deletion", advantage, CHECK_ABOVE, 0.0,
                 SAY(call, "how much further exchanging the strongest words lowers %s than exchanging random ones",
                     "换掉最强的词使%s比换掉随机的词多下降多少"),
                 lead ? SAY(call, "the target's lead over its contrast", "目标对对照的领先量")
                      : SAY(call, "the target's probability", "目标的概率"));
}

static limn_status check_deletion(CauseWork *work) {
    const CauseAsked *asked = work->asked;
    Deletion deletion = {.work = work};
    TRY(order_words(&deletion));
    deletion.counts = (int32_t)smaller(smaller(deletion.n_positive, MOST_REMOVED), deletion.n_order - 1);
    if (deletion.counts < 1) {
        result_warn(
            work->result, "%s",
            SAY(work->asked->call, "too few supporting words for a deletion check", "支持的词太少，无法做删词检验"));
        return LIMN_OK;
    }
    TRY(yardstick_draw(work->yardstick, deletion.order, deletion.counts, OWN_SETS));
    int32_t n = deletion.counts * (OWN_SETS + RANDOM_SETS);
    deletion.sets = ARENA_ARRAY(asked->call->arena, Exchanges, n + 1);
    Answered *answered = ARENA_ARRAY(asked->call->arena, Answered, n + 1);
    bool *good = ARENA_ARRAY(asked->call->arena, bool, n + 1);
    if (deletion.sets == NULL || answered == NULL || good == NULL) {
        return method_no_memory(asked->call);
    }
    make_sets(&deletion);
    TRY(yardstick_exchange(work->yardstick, deletion.sets, n, answered, good, "check by exchanging words"));
    report_deletion(&deletion, answered, good);
    return LIMN_OK;
}

/* ---- all together ---- */

static limn_status measure(CauseWork *work) {
    int32_t named = work->named;
    bool there = named >= 0 && !yardstick_units(work->yardstick)->items[named].fixed;
    TRY(yardstick_run(work->yardstick, there ? named : -1));
    int32_t first = work->result->n_checks;
    judge(work);
    if (work->asked->advisory && work->result->n_checks > first) {
        result_check_advisory(work->result);
    }
    if (work->asked->effort == CAUSE_FULL) {
        first = work->result->n_checks;
        TRY(check_deletion(work));
        if (work->asked->advisory && work->result->n_checks > first) {
            result_check_advisory(work->result);
        }
    }
    show(work);
    return LIMN_OK;
}

static limn_status open(CauseWork *work) {
    const CauseAsked *asked = work->asked;
    bool quick = asked->effort == CAUSE_QUICK;
    YardstickAsked yardstick = {.screen = quick ? QUICK_SCREEN : 0,
                                .leading = quick ? QUICK_LEADING : 0,
                                .draws = quick ? QUICK_DRAWS : 0,
                                .floor = YARDSTICK_FLOOR};
    if (asked->params != NULL) {
        yardstick.fixed = asked->params->fixed;
        yardstick.replacements = asked->params->replacements;
        yardstick.floor = asked->params->floor;
    }
    return yardstick_new(&work->yardstick, asked->call, asked->engine, asked->prompt, asked->target, asked->contrast,
                         asked->words, &yardstick);
}

int64_t cause_most_passes(CauseEffort effort, int32_t n_words) {
    if (effort == CAUSE_NONE) {
        return 0;
    }
    bool quick = effort == CAUSE_QUICK;
    int64_t screened = (int64_t)n_words * (quick ? QUICK_SCREEN : YARDSTICK_SCREEN);
    int64_t leading = quick ? (QUICK_LEADING + 1) * QUICK_DRAWS : (YARDSTICK_LEADING + 1) * YARDSTICK_DRAWS;
    /* each draw was weighed by the base model among twice as many, a few rows each */
    return 2 * (screened + leading) + (quick ? 0 : MOST_REMOVED * (OWN_SETS + RANDOM_SETS));
}

limn_status cause_check(Result *result, const CauseAsked *asked) {
    if (asked->effort == CAUSE_NONE) {
        return LIMN_OK;
    }
    CauseWork work = {.asked = asked, .result = result};
    find_named(&work);
    ErrorState before;
    error_save(&before);
    limn_status status = open(&work);
    status = status == LIMN_OK ? measure(&work) : status;
    yardstick_free(work.yardstick);
    bool asked_for_words =
        asked->params != NULL && (asked->params->fixed.n > 0 || asked->params->replacements.bytes != NULL);
    /* nothing to exchange, or no memory left for a luxury, is no fault of whoever asked for scores */
    if ((status == LIMN_USAGE || status == LIMN_NO_MEMORY) && !asked_for_words && result_status(result) == LIMN_OK) {
        result_warn(
            result,
            SAY(asked->call, "whether this points at the cause was not checked: %s", "未检验它是否指向原因：%s"),
            error_message());
        error_restore(&before);
        status = LIMN_OK;
    }
    limn_status built = result_status(result); /* what else failed may be due to that */
    return built != LIMN_OK ? built : status;
}
