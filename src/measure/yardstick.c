#include "measure/yardstick.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/distribution.h"

enum { MOST_AGAINST = 2 /* of the leading units */ };
static const double level = 0.95;

struct Yardstick {
    MethodCall *call;
    const Model *model;
    Engine *engine;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast; /* NULL: none */
    YardstickAsked asked;
    DrawTexts file;
    Units words;
    Units units; /* what is exchanged; the words themselves with UNIT_WORD */
    Rewriter rewriter;
    Draws *draws;
    Answer *answer;
    Answered clean;
    Effect *effects; /* [units.n] */
    int32_t tried;
};

/* ---- units ---- */

/* Runs of tokens that begin inside the same span; what lies between spans is a run of its own. */
static limn_status runs_of_spans(TokenRuns *runs, MethodCall *call, const Prompt *prompt, const TextSpan *spans,
                                 int32_t n_spans) {
    runs->begins = ARENA_ARRAY(call->arena, int32_t, prompt->n + 1);
    runs->n = 0;
    if (runs->begins == NULL) {
        return method_no_memory(call);
    }
    int32_t before = -2;
    for (int32_t t = 0; t < prompt->n; t++) {
        const Token *token = &prompt->tokens[t];
        int32_t here = -1;
        for (int32_t s = 0; s < n_spans; s++) {
            bool inside =
                token->end > token->begin && (size_t)token->end > spans[s].from && (size_t)token->begin < spans[s].to;
            here = inside ? s : here;
        }
        if (here != before) {
            runs->begins[runs->n++] = t;
        }
        before = here;
    }
    runs->begins[runs->n] = prompt->n;
    return LIMN_OK;
}

static limn_status runs_of_messages(TokenRuns *runs, MethodCall *call, const Prompt *prompt) {
    if (prompt->messages == NULL) {
        return fail(LIMN_USAGE, "%s: --by message needs messages: --chat FILE or --messages JSON",
                    call->method->command.name);
    }
    runs->begins = ARENA_ARRAY(call->arena, int32_t, prompt->n + 1);
    runs->n = 0;
    if (runs->begins == NULL) {
        return method_no_memory(call);
    }
    for (int32_t t = 0; t < prompt->n; t++) {
        if (t == 0 || prompt->messages[t] != prompt->messages[t - 1]) {
            runs->begins[runs->n++] = t;
        }
    }
    runs->begins[runs->n] = prompt->n;
    return LIMN_OK;
}

static const TextSpan *spans_of(const YardstickAsked *asked) {
    return asked->by == UNIT_DOCUMENT ? asked->documents : asked->data == NULL ? NULL : asked->data->spans;
}

static int32_t n_spans_of(const YardstickAsked *asked) {
    return asked->by == UNIT_DOCUMENT ? asked->n_documents : spans_of(asked) == NULL ? 0 : asked->data->n;
}

/* What lies between the spans is none of them. */
static limn_status fix_gaps(Yardstick *yardstick) {
    const YardstickAsked *asked = &yardstick->asked;
    const TextSpan *spans = spans_of(asked);
    if (n_spans_of(asked) == 0) {
        return fail(LIMN_USAGE, "%s: --by %s needs %s", yardstick->call->method->command.name,
                    asked->by == UNIT_FIELD ? "field" : "document",
                    asked->by == UNIT_FIELD ? "--data with --template and --record"
                                            : "a chat with --documents that its template writes out");
    }
    Units *units = &yardstick->units;
    for (int32_t u = 0; u < units->n; u++) {
        Unit *unit = &units->items[u];
        bool inside = false;
        for (int32_t s = 0; s < n_spans_of(asked); s++) {
            inside = inside || (unit->from < spans[s].to && unit->to > spans[s].from);
        }
        units->n_free -= !inside && !unit->fixed ? 1 : 0;
        unit->fixed = unit->fixed || !inside;
    }
    return LIMN_OK;
}

static limn_status make_units(Yardstick *yardstick, const TokenRuns *words) {
    MethodCall *call = yardstick->call;
    const YardstickAsked *asked = &yardstick->asked;
    TokenRuns runs = {0};
    switch (asked->by) {
    case UNIT_WORD:
        yardstick->units = yardstick->words;
        return LIMN_OK;
    case UNIT_SENTENCE:
        TRY(sentences_of(&runs, call, yardstick->model, yardstick->prompt, words));
        break;
    case UNIT_MESSAGE:
        TRY(runs_of_messages(&runs, call, yardstick->prompt));
        break;
    case UNIT_FIELD:
    case UNIT_DOCUMENT:
        TRY(runs_of_spans(&runs, call, yardstick->prompt, spans_of(asked), n_spans_of(asked)));
        break;
    }
    TRY(units_of_runs(&yardstick->units, call, yardstick->prompt, &yardstick->words, &runs));
    return asked->by == UNIT_FIELD || asked->by == UNIT_DOCUMENT ? fix_gaps(yardstick) : LIMN_OK;
}

/* ---- opening ---- */

static limn_status open_draws(Yardstick *yardstick, const Target *target, const Target *contrast) {
    const YardstickAsked *asked = &yardstick->asked;
    DrawsAsked draws = {.target = target, .contrast = contrast};
    if (asked->data != NULL) {
        draws.data = asked->data->texts;
        draws.spans = asked->data->spans;
        draws.n_data = asked->data->n;
    }
    draws.base = asked->base;
    if (draws.base == NULL) {
        TRY(method_beside_engine(yardstick->call, yardstick->engine, &draws.base));
    }
    if (!proposals_possible(engine_model(draws.base))) {
        draws.base = NULL;
    }
    if (asked->replacements.bytes != NULL) {
        TRY(draw_texts_of_file(&yardstick->file, yardstick->call, asked->replacements.bytes));
        draws.file = &yardstick->file;
    }
    yardstick->rewriter = (Rewriter){.call = yardstick->call,
                                     .model = yardstick->model,
                                     .prompt = yardstick->prompt,
                                     .units = &yardstick->units,
                                     .n_tail = target->n_sequence - yardstick->prompt->n};
    const Units *words = asked->by == UNIT_WORD ? &yardstick->units : &yardstick->words;
    return draws_new(&yardstick->draws, &yardstick->rewriter, words, &draws);
}

static Answered answered_of(const AnswerValue *value) {
    return (Answered){value->f, exp(value->target), value->decided, value->best};
}

static limn_status open_yardstick(Yardstick *yardstick, Engine *engine, const Target *target, const Target *contrast,
                                  const TokenRuns *words) {
    MethodCall *call = yardstick->call;
    const Prompt *prompt = yardstick->prompt;
    if (prompt->text.bytes == NULL || yardstick->model->tokenizer == NULL) {
        return fail(LIMN_USAGE, "%s: words are exchanged in a text, and the prompt was given as ids; expected a text",
                    call->method->command.name);
    }
    const DrawData *data = yardstick->asked.data;
    bool documents = yardstick->asked.by == UNIT_DOCUMENT;
    const UnitsAsked asked = {.fixed = &yardstick->asked.fixed,
                              .fields = data == NULL ? yardstick->asked.fields : data->spans,
                              .n_fields = data == NULL ? yardstick->asked.n_fields : data->n,
                              .documents = yardstick->asked.documents,
                              .n_documents = documents ? yardstick->asked.n_documents : 0};
    TRY(units_of_words(&yardstick->words, call, yardstick->model, prompt, words, target, &asked));
    TRY(make_units(yardstick, words));
    if (yardstick->units.n_free == 0) {
        return fail(LIMN_USAGE,
                    "%s: no word of the prompt may be exchanged: all are special, the template's, fixed, or come after "
                    "what is explained",
                    call->method->command.name);
    }
    yardstick->effects = ARENA_ARRAY(call->arena, Effect, yardstick->units.n + 1);
    if (yardstick->effects == NULL) {
        return method_no_memory(call);
    }
    for (int32_t u = 0; u < yardstick->units.n; u++) {
        const double none = (double)NAN;
        yardstick->effects[u] = (Effect){none, none, none, none, none, none, none, 0, 0, NULL};
    }
    TRY(open_draws(yardstick, target, contrast));
    AnswerOptions options = {.metric = ANSWER_LEAD, .decision = true, .stage = "exchange words"};
    TRY(answer_new(&yardstick->answer, call, engine, prompt, target, contrast, &options));
    AnswerValue clean;
    TRY(answer_clean(yardstick->answer, &clean));
    yardstick->clean = answered_of(&clean);
    return LIMN_OK;
}

limn_status yardstick_new(Yardstick **yardstick, MethodCall *call, Engine *engine, const Prompt *prompt,
                          const Target *target, const Target *contrast, const TokenRuns *words,
                          const YardstickAsked *asked) {
    *yardstick = calloc(1, sizeof **yardstick);
    if (*yardstick == NULL) {
        return method_no_memory(call);
    }
    (*yardstick)->call = call;
    (*yardstick)->model = engine_model(engine);
    (*yardstick)->engine = engine;
    (*yardstick)->prompt = prompt;
    (*yardstick)->target = target;
    (*yardstick)->contrast = contrast != NULL && contrast->kind != TARGET_NONE ? contrast : NULL;
    (*yardstick)->asked = *asked;
    YardstickAsked *filled = &(*yardstick)->asked;
    filled->screen = filled->screen > 0 ? filled->screen : YARDSTICK_SCREEN;
    filled->leading = filled->leading > 0 ? filled->leading : YARDSTICK_LEADING;
    filled->draws = filled->draws > 0 ? filled->draws : YARDSTICK_DRAWS;
    limn_status status = open_yardstick(*yardstick, engine, target, contrast, words);
    if (status != LIMN_OK) {
        yardstick_free(*yardstick);
        *yardstick = NULL;
    }
    return status;
}

void yardstick_free(Yardstick *yardstick) {
    if (yardstick != NULL) {
        draws_free(yardstick->draws);
        answer_free(yardstick->answer);
        free(yardstick);
    }
}

/* ---- running versions ---- */

static limn_status keep_answer(void *context, int64_t i, const AnswerValue *value) {
    Answered *answered = context;
    answered[i] = answered_of(value);
    return LIMN_OK;
}

static limn_status run_cases(Yardstick *yardstick, const AnswerCase *cases, int64_t n, Answered *answered,
                             const char *stage) {
    if (n == 0) {
        return LIMN_OK;
    }
    answer_batcher(yardstick->answer)->stage = stage;
    const AnswerRequest request = {.cases = cases, .n = n, .deliver = keep_answer, .context = answered};
    return answer_run(yardstick->answer, &request);
}

/* Mean, interval and p from the draws a unit has answered. */
static limn_status sum_up(Yardstick *yardstick, int32_t unit) {
    Effect *effect = &yardstick->effects[unit];
    double *moved = ARENA_ARRAY(yardstick->call->arena, double, 2 * effect->n + 1);
    if (moved == NULL) {
        return method_no_memory(yardstick->call);
    }
    double *probability = moved + effect->n;
    for (int32_t k = 0; k < effect->n; k++) {
        moved[k] = yardstick->clean.lead - effect->answered[k].lead;
        probability[k] = effect->answered[k].probability;
    }
    double together = simultaneous_level(level, yardstick->tried);
    Interval lead = mean_interval(moved, effect->n, together);
    Interval share = mean_interval(probability, effect->n, together);
    bool enough = effect->n > yardstick->asked.screen; /* two draws have an interval, but it says nothing */
    effect->effect = lead.value;
    effect->low = enough ? lead.low : (double)NAN;
    effect->high = enough ? lead.high : (double)NAN;
    effect->p = enough ? fmin(1.0, mean_p(moved, effect->n) * yardstick->tried) : (double)NAN;
    effect->mean_probability = share.value;
    effect->low_probability = enough ? fmax(0.0, share.low) : (double)NAN;
    effect->high_probability = enough ? fmin(1.0, share.high) : (double)NAN;
    effect->fell = 0;
    for (int32_t k = 0; k < effect->n; k++) {
        effect->fell += moved[k] > 0.0 ? 1 : 0;
    }
    return LIMN_OK;
}

/* Draws of these units that are not answered yet, in one batch. */
static limn_status answer_draws(Yardstick *yardstick, const int32_t *units, int32_t n_units, const char *stage) {
    Arena *arena = yardstick->call->arena;
    int64_t n = 0, at = 0;
    for (int32_t i = 0; i < n_units; i++) {
        n += draws_of(yardstick->draws, units[i])->n - yardstick->effects[units[i]].n;
    }
    AnswerCase *cases = ARENA_ARRAY(arena, AnswerCase, n + 1);
    Answered *answered = ARENA_ARRAY(arena, Answered, n + 1);
    if (cases == NULL || answered == NULL) {
        return method_no_memory(yardstick->call);
    }
    for (int32_t i = 0; i < n_units; i++) {
        const DrawList *list = draws_of(yardstick->draws, units[i]);
        for (int32_t k = yardstick->effects[units[i]].n; k < list->n; k++) {
            cases[at++] = (AnswerCase){.ids = list->items[k].made.ids, .n = list->items[k].made.n};
        }
    }
    TRY(run_cases(yardstick, cases, n, answered, stage));
    at = 0;
    for (int32_t i = 0; i < n_units; i++) {
        Effect *effect = &yardstick->effects[units[i]];
        int32_t has = draws_of(yardstick->draws, units[i])->n;
        Answered *grown = ARENA_ARRAY(arena, Answered, has + 1);
        if (grown == NULL) {
            return method_no_memory(yardstick->call);
        }
        if (effect->n > 0) {
            memcpy(grown, effect->answered, (size_t)effect->n * sizeof *grown);
        }
        memcpy(grown + effect->n, answered + at, (size_t)(has - effect->n) * sizeof *grown);
        at += has - effect->n;
        effect->answered = grown;
        effect->n = has;
    }
    return LIMN_OK;
}

limn_status yardstick_screen(Yardstick *yardstick) {
    int32_t *free_units = ARENA_ARRAY(yardstick->call->arena, int32_t, yardstick->units.n + 1);
    if (free_units == NULL) {
        return method_no_memory(yardstick->call);
    }
    int32_t n = 0;
    for (int32_t u = 0; u < yardstick->units.n; u++) {
        if (!yardstick->units.items[u].fixed) {
            free_units[n++] = u;
        }
    }
    TRY(draws_take(yardstick->draws, free_units, n, yardstick->asked.screen));
    TRY(answer_draws(yardstick, free_units, n, "exchange each word"));
    for (int32_t i = 0; i < n; i++) {
        yardstick->tried += yardstick->effects[free_units[i]].n > 0 ? 1 : 0;
    }
    if (yardstick->tried == 0) {
        return yardstick->asked.replacements.bytes != NULL
                   ? fail(LIMN_USAGE, "option 'replacements': %s has no word of the kind of any word of the prompt",
                          yardstick->asked.replacements.bytes)
                   : fail(LIMN_USAGE,
                          "%s: nothing fits in the place of any word of the prompt; name words with "
                          "--replacements FILE",
                          yardstick->call->method->command.name);
    }
    for (int32_t i = 0; i < n; i++) {
        if (yardstick->effects[free_units[i]].n > 0) {
            TRY(sum_up(yardstick, free_units[i]));
        }
    }
    return LIMN_OK;
}

limn_status yardstick_confirm(Yardstick *yardstick, const int32_t *units, int32_t n) {
    TRY(draws_take(yardstick->draws, units, n, yardstick->asked.draws));
    TRY(answer_draws(yardstick, units, n, "exchange the leading words"));
    for (int32_t i = 0, screened = yardstick->tried; i < n && screened == 0; i++) {
        yardstick->tried += yardstick->effects[units[i]].n > 0 ? 1 : 0;
    }
    for (int32_t i = 0; i < n; i++) {
        if (yardstick->effects[units[i]].n > 0) {
            TRY(sum_up(yardstick, units[i]));
        }
    }
    return LIMN_OK;
}

limn_status yardstick_draw(Yardstick *yardstick, const int32_t *units, int32_t n, int32_t k) {
    return draws_take(yardstick->draws, units, n, k);
}

void yardstick_leading(const Yardstick *yardstick, int32_t *units, int32_t *n) {
    int32_t most = yardstick->asked.leading, against = 0;
    *n = 0;
    while (*n < most) {
        int32_t best = -1;
        for (int32_t u = 0; u < yardstick->units.n; u++) {
            double size = fabs(yardstick->effects[u].effect);
            bool taken = isnan(size) || (yardstick->effects[u].effect < 0.0 && against == MOST_AGAINST);
            for (int32_t i = 0; i < *n && !taken; i++) {
                taken = units[i] == u;
            }
            best = !taken && (best < 0 || size > fabs(yardstick->effects[best].effect)) ? u : best;
        }
        if (best < 0) {
            return;
        }
        against += yardstick->effects[best].effect < 0.0 ? 1 : 0;
        units[(*n)++] = best;
    }
}

limn_status yardstick_run(Yardstick *yardstick, int32_t also) {
    TRY(yardstick_screen(yardstick));
    int32_t *units = ARENA_ARRAY(yardstick->call->arena, int32_t, yardstick->asked.leading + 2);
    if (units == NULL) {
        return method_no_memory(yardstick->call);
    }
    int32_t n;
    yardstick_leading(yardstick, units, &n);
    bool there = also < 0;
    for (int32_t i = 0; i < n; i++) {
        there = there || units[i] == also;
    }
    if (!there) {
        units[n++] = also;
    }
    return yardstick_confirm(yardstick, units, n);
}

limn_status yardstick_exchange_many(Yardstick *yardstick, const ExchangeList *lists, int32_t n, Answered *answered,
                                    bool *good, const char *stage) {
    Arena *arena = yardstick->call->arena;
    AnswerCase *cases = ARENA_ARRAY(arena, AnswerCase, n + 1);
    Answered *found = ARENA_ARRAY(arena, Answered, n + 1);
    if (cases == NULL || found == NULL) {
        return method_no_memory(yardstick->call);
    }
    int64_t made = 0;
    for (int32_t i = 0; i < n; i++) {
        Rewritten rewritten;
        TRY(rewrite_prompt(&rewritten, &good[i], &yardstick->rewriter, lists[i].items, lists[i].n));
        if (good[i]) {
            cases[made++] = (AnswerCase){.ids = rewritten.ids, .n = rewritten.n};
        }
    }
    TRY(run_cases(yardstick, cases, made, found, stage));
    for (int32_t i = n - 1; i >= 0; i--) {
        if (good[i]) {
            answered[i] = found[--made];
        }
    }
    return LIMN_OK;
}

limn_status yardstick_exchange(Yardstick *yardstick, const Exchanges *exchanges, int32_t n, Answered *answered,
                               bool *good, const char *stage) {
    ExchangeList *lists = ARENA_ARRAY(yardstick->call->arena, ExchangeList, n + 1);
    if (lists == NULL) {
        return method_no_memory(yardstick->call);
    }
    for (int32_t i = 0; i < n; i++) {
        lists[i] = (ExchangeList){exchanges[i].items, exchanges[i].n};
    }
    return yardstick_exchange_many(yardstick, lists, n, answered, good, stage);
}

limn_status yardstick_version(Yardstick *yardstick, const Exchanges *exchanges, const int32_t **ids, int32_t *n) {
    Rewritten made;
    bool good;
    TRY(rewrite_prompt(&made, &good, &yardstick->rewriter, exchanges->items, exchanges->n));
    *ids = made.ids;
    *n = good ? made.n : 0;
    return LIMN_OK;
}

/* ---- one pass by itself ---- */

/* log p of a continuation behind these tokens, and the logits of its first row, all rows computed. */
static limn_status plain_sum(Yardstick *yardstick, const Target *target, const Rewritten *made, double *sum,
                             float **first) {
    Arena *arena = yardstick->call->arena;
    int32_t tail = target->n - 1, width = target->n_outputs;
    int32_t *ids = ARENA_ARRAY(arena, int32_t, made->n + tail + 1);
    OutputRow *outputs = ARENA_ARRAY(arena, OutputRow, target->n + 1);
    *first = ARENA_ARRAY(arena, float, width + 1);
    if (ids == NULL || outputs == NULL || *first == NULL) {
        return method_no_memory(yardstick->call);
    }
    memcpy(ids, made->ids, (size_t)made->n * sizeof *ids);
    memcpy(ids + made->n, target->ids, (size_t)tail * sizeof *ids);
    for (int32_t k = 0; k < target->n; k++) {
        outputs[k] = (OutputRow){.row = made->n - 1 + k, .target = -1};
    }
    SequenceInput sequence = {.ids = ids, .n = made->n + tail};
    RunRequest request = {
        .sequences = &sequence, .n_sequences = 1, .outputs = outputs, .n_outputs = target->n, .logits = true};
    TRY(engine_run(yardstick->engine, &request, yardstick->call->progress));
    const float *logits = engine_logits(yardstick->engine);
    memcpy(*first, logits, (size_t)width * sizeof *logits);
    *sum = 0.0;
    for (int32_t k = 0; k < target->n; k++) {
        const float *row = logits + (size_t)k * (size_t)width;
        *sum += (double)row[target->ids[k]] - log_sum_exp(row, width);
    }
    return LIMN_OK;
}

static limn_status plain_lead(Yardstick *yardstick, const Rewritten *made, double *lead) {
    float *logits;
    double contrast;
    TRY(plain_sum(yardstick, yardstick->target, made, lead, &logits));
    if (yardstick->contrast != NULL) {
        float *unused;
        TRY(plain_sum(yardstick, yardstick->contrast, made, &contrast, &unused));
        *lead -= contrast;
        return LIMN_OK;
    }
    if (yardstick->target->n > 1) {
        *lead -= log(-expm1(*lead));
        return LIMN_OK;
    }
    int32_t id = yardstick->target->ids[0];
    double own = (double)logits[id];
    logits[id] = -INFINITY;
    *lead = own - log_sum_exp(logits, yardstick->target->n_outputs);
    return LIMN_OK;
}

limn_status yardstick_plain_error(Yardstick *yardstick, double *error) {
    *error = (double)NAN;
    if (yardstick->target->kind != TARGET_TOKENS || yardstick->prompt->types != NULL ||
        yardstick->prompt->mask != NULL) {
        return LIMN_OK;
    }
    int32_t strongest = -1;
    for (int32_t u = 0; u < yardstick->units.n; u++) {
        double size = fabs(yardstick->effects[u].effect);
        bool larger_one = strongest < 0 || size > fabs(yardstick->effects[strongest].effect);
        strongest = !isnan(size) && larger_one ? u : strongest;
    }
    const Effect *effect = &yardstick->effects[strongest];
    double lead;
    TRY(plain_lead(yardstick, &draws_of(yardstick->draws, strongest)->items[effect->n - 1].made, &lead));
    *error = fabs(lead - effect->answered[effect->n - 1].lead);
    return LIMN_OK;
}

void yardstick_check_plain(Result *result, const MethodCall *call, double error) {
    static const double tolerance = 1e-4; /* of f32 sums in another order */
    if (!isnan(error)) {
        result_check(result, "plain pass", error, CHECK_AT_MOST, tolerance, "%s",
                     SAY(call, "difference of a changed prompt's lead in a pass by itself and among the others",
                         "改动后的提示单独计算与一并计算所得领先之差"));
    }
}

/* ---- reading ---- */

const Units *yardstick_units(const Yardstick *yardstick) {
    return &yardstick->units;
}

const Effect *yardstick_effect(const Yardstick *yardstick, int32_t unit) {
    return &yardstick->effects[unit];
}

const DrawList *yardstick_draws(const Yardstick *yardstick, int32_t unit) {
    return draws_of(yardstick->draws, unit);
}

Answered yardstick_clean(const Yardstick *yardstick) {
    return yardstick->clean;
}

int32_t yardstick_tried(const Yardstick *yardstick) {
    return yardstick->tried;
}

Text yardstick_text(const Yardstick *yardstick, int32_t unit) {
    return unit_text(yardstick->prompt, &yardstick->units.items[unit]);
}

bool effect_is_clear(const Effect *effect) {
    return effect->low > 0.0 || effect->high < 0.0;
}

/* A token's mean share, and that of the two; NaN without a contrast. */
static void shares_of(const Yardstick *yardstick, const Answered *answered, double *own, double *of_two) {
    *own = pow(answered->probability, 1.0 / yardstick->target->n);
    *of_two = yardstick->contrast == NULL ? (double)NAN : 1.0 / (1.0 + exp(-answered->lead));
}

/* Is it clear, and does it move the answer by the floor? */
static bool moves_by_floor(const Yardstick *yardstick, const Effect *effect) {
    if (!effect_is_clear(effect)) {
        return false;
    }
    double own, of_two;
    shares_of(yardstick, &yardstick->clean, &own, &of_two);
    for (int32_t k = 0; k < effect->n; k++) {
        double own_then, of_two_then;
        shares_of(yardstick, &effect->answered[k], &own_then, &of_two_then);
        own -= own_then / effect->n;
        of_two -= of_two_then / effect->n;
    }
    double moved = fmax(fabs(own), fabs(of_two)); /* of the two where one is NaN the other */
    return !(moved < yardstick->asked.floor);
}

bool yardstick_counts(const Yardstick *yardstick, int32_t unit) {
    const Effect *effect = &yardstick->effects[unit];
    if (!effect_is_clear(effect) || moves_by_floor(yardstick, effect)) {
        return effect_is_clear(effect);
    }
    bool any = false;
    for (int32_t u = 0; u < yardstick->units.n; u++) {
        any = any || moves_by_floor(yardstick, &yardstick->effects[u]);
    }
    return yardstick->clean.decided && !any;
}
