/* Replacement: which words the answer hangs on, measured by exchanging each for others that fit.
 *
 *     effect(w) = F(prompt) - mean over draws r of F(prompt with w exchanged for r)
 *
 * F is the lead of the answer: log p(target) - log p(contrast); without a contrast log p / (1 - p); of classes the lead
 * over the best other one. Draws are whole words of the same kind that fit the place (measure/draws.h). Leave-one-out
 * by in-distribution replacement is Kim et al. 2020 (2010.13984) and Janzing et al. 2020 (1910.13413) in spirit; the
 * tests are statistics/statistics.h. It is the yardstick of every other explanation here (measure/yardstick.h).
 *
 * Invariants: an effect is a difference of plain forward passes (checked); a word behind the answer has none; the same
 * seed gives the same bytes; all intervals hold together at 95% over the words tried.
 *
 * How it fails: two words that say the same thing each have a small effect (--pairs); a word that nothing fits in place
 * of is not measured (said); a sentence that no longer makes sense moves the answer by that alone. */
#include <math.h>
#include <string.h>

#include "ask/documents.h"
#include "ask/words.h"
#include "measure/distribution.h"
#include "measure/target_score.h"
#include "measure/yardstick_rows.h"

enum { SHOWN = 20, LIKELIEST = 5, MOST_PAIRS = 10, LISTED_DRAWS = 32 };

typedef struct ReplaceParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    YardstickParams yardstick;
    int32_t by;
    int64_t screen;
    int64_t leading;
    int64_t draws;
    bool pairs;
    DataParams data;
    int64_t record;
} ReplaceParams;

typedef struct ReplaceWork {
    MethodCall *call;
    const ReplaceParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    Prompt prompt;
    Target target;
    Target contrast;
    TokenRuns words;
    DrawData data;
    Yardstick *yardstick;
    const Units *units;
    int32_t *order; /* [n_order] units with an effect, by size */
    int32_t n_order;
} ReplaceWork;

/* What the data set has to draw from, and perhaps the prompt. */
static limn_status read_data(ReplaceWork *work, PromptParams *prompt) {
    const ReplaceParams *params = work->params;
    const char *command = work->call->method->command.name;
    bool wants_record = params->record != PARAM_NO_INTEGER;
    if (params->data.file.bytes == NULL) {
        bool stray =
            wants_record || params->data.template_text.bytes != NULL || params->data.prompt_field.bytes != NULL;
        return stray ? fail(LIMN_USAGE, "%s: --record, --template and --prompt-field go with --data FILE", command)
                     : LIMN_OK;
    }
    TRY(draw_data_read(&work->data, work->call, &params->data, wants_record ? params->record : -1,
                       params->by == (int32_t)UNIT_WORD));
    if (wants_record) {
        if (prompt->prompt.bytes != NULL) {
            return fail(LIMN_USAGE, "%s: --prompt and --record both say what the prompt is; give one", command);
        }
        prompt->prompt = work->data.prompt;
    }
    return LIMN_OK;
}

static limn_status prepare(ReplaceWork *work) {
    MethodCall *call = work->call;
    const ReplaceParams *params = work->params;
    PromptParams prompt = params->prompt;
    TRY(read_data(work, &prompt));
    TRY(method_engine(call, params->model.bytes, &work->engine));
    work->model = engine_model(work->engine);
    TRY(prompt_read(&work->prompt, call, work->model, &prompt));
    prompt_describe(work->result, call, work->model, &work->prompt);
    TRY(target_resolve(&work->target, &work->contrast, call, work->engine, &work->prompt, &params->target, NULL,
                       work->result));
    TRY(words_of(&work->words, call, work->model, &work->prompt));
    TextSpan *documents;
    int32_t n_documents;
    TRY(documents_in_prompt(&documents, &n_documents, call, &work->prompt, &params->prompt));
    const YardstickAsked asked = {.by = (UnitKind)params->by,
                                  .data = params->data.file.bytes != NULL ? &work->data : NULL,
                                  .documents = documents,
                                  .n_documents = n_documents,
                                  .fixed = params->yardstick.fixed,
                                  .replacements = params->yardstick.replacements,
                                  .screen = (int32_t)params->screen,
                                  .leading = (int32_t)params->leading,
                                  .draws = (int32_t)params->draws,
                                  .floor = params->yardstick.floor};
    TRY(yardstick_new(&work->yardstick, call, work->engine, &work->prompt, &work->target, &work->contrast, &work->words,
                      &asked));
    work->units = yardstick_units(work->yardstick);
    return LIMN_OK;
}

/* Units with many draws before those with few, each by size. */
static bool before(const ReplaceWork *work, int32_t a, int32_t b) {
    const Effect *first = yardstick_effect(work->yardstick, a);
    const Effect *second = yardstick_effect(work->yardstick, b);
    if (isnan(first->low) != isnan(second->low)) {
        return isnan(second->low);
    }
    return fabs(first->effect) > fabs(second->effect);
}

static limn_status order_units(ReplaceWork *work) {
    work->order = ARENA_ARRAY(work->call->arena, int32_t, work->units->n + 1);
    if (work->order == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t u = 0; u < work->units->n; u++) {
        if (yardstick_effect(work->yardstick, u)->n == 0) {
            continue;
        }
        int32_t place = work->n_order++;
        while (place > 0 && before(work, u, work->order[place - 1])) {
            work->order[place] = work->order[place - 1];
            place--;
        }
        work->order[place] = u;
    }
    return LIMN_OK;
}

/* ---- what is said ---- */

static void show_tokens(const ReplaceWork *work) {
    static const char *const names[] = {"word", "sentence", "field", "message", "document"};
    TokensBlock *strip = result_add_tokens(
        work->result, "attribution", SAY(work->call, "What the answer hangs on", "回答取决于什么"), work->prompt.n);
    for (int32_t u = 0; u < work->units->n; u++) {
        const Unit *unit = &work->units->items[u];
        double score = yardstick_effect(work->yardstick, u)->effect;
        bool single = unit->end - unit->begin == 1;
        for (int32_t t = unit->begin; t < unit->end; t++) {
            tokens_set(strip, t, NULL, 0, single ? score : (double)NAN, unit->fixed ? TOKEN_FIXED : TOKEN_SCORED);
        }
    }
    TokenGroup *groups = tokens_add_grouping(strip, names[work->params->by], work->units->n);
    for (int32_t u = 0; groups != NULL && u < work->units->n; u++) {
        groups[u] = (TokenGroup){.begin = work->units->items[u].begin,
                                 .end = work->units->items[u].end,
                                 .score = yardstick_effect(work->yardstick, u)->effect,
                                 .spread = (double)NAN};
    }
    tokens_show(strip, names[work->params->by]);
    result_block_unit(work->result, answer_unit(work->call, ANSWER_LEAD));
    result_block_note(work->result, "%s",
                      SAY(work->call,
                          "how far the lead of the answer falls on average when others take the place; a word of "
                          "several tokens has its score as a word",
                          "换成别的词后，回答的领先量平均下降多少；由多个词元组成的词按整词计分"));
}

static void show_effects(const ReplaceWork *work) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},    {TEXT("position"), COLUMN_INTEGER},
                                          {TEXT("effect"), COLUMN_SIGNED}, {TEXT("low"), COLUMN_SIGNED},
                                          {TEXT("high"), COLUMN_SIGNED},   {TEXT("n"), COLUMN_INTEGER},
                                          {TEXT("p"), COLUMN_NUMBER}};
    TableBlock *table = result_add_table(work->result, "effects",
                                         SAY(work->call, "What exchanging it does", "换掉它的效果"), columns, 7);
    for (int32_t i = 0; i < work->n_order && i < SHOWN; i++) {
        const Effect *effect = yardstick_effect(work->yardstick, work->order[i]);
        Text text = yardstick_text(work->yardstick, work->order[i]);
        const Value cells[] = {value_bytes(text.bytes, text.length),
                               value_integer(work->units->items[work->order[i]].begin),
                               value_number(effect->effect),
                               value_number(effect->low),
                               value_number(effect->high),
                               value_integer(effect->n),
                               value_number(effect->p)};
        table_row(table, cells);
    }
    result_block_unit(work->result, answer_unit(work->call, ANSWER_LEAD));
    result_block_note(work->result,
                      SAY(work->call,
                          "low to high: 95%% for all %d tried together; p likewise; those without were only screened",
                          "下限至上限：对全部 %d 个同时成立（95%%），p 亦然；没有区间的只经过初筛"),
                      yardstick_tried(work->yardstick));
}

/* Which words took its place, and where they came from. */
static void show_draws(const ReplaceWork *work) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("position"), COLUMN_INTEGER},
                                          {TEXT("source"), COLUMN_TEXT},
                                          {TEXT("draws"), COLUMN_TOKEN},
                                          {TEXT("turned"), COLUMN_INTEGER}};
    TableBlock *table =
        result_add_table(work->result, "draws", SAY(work->call, "What took its place", "换上了什么"), columns, 5);
    Answered clean = yardstick_clean(work->yardstick);
    for (int32_t i = 0; i < work->n_order && i < SHOWN; i++) {
        int32_t unit = work->order[i];
        const Effect *effect = yardstick_effect(work->yardstick, unit);
        const DrawList *list = yardstick_draws(work->yardstick, unit);
        TextBuffer joined = TEXT_BUFFER_INIT;
        int32_t turned = 0;
        for (int32_t k = 0; k < effect->n; k++) {
            text_buffer_add(&joined, k == 0 ? "" : ", ");
            text_buffer_add_bytes(&joined, list->items[k].text.bytes, list->items[k].text.length);
            turned += effect->answered[k].decided != clean.decided ? 1 : 0;
        }
        Text text = yardstick_text(work->yardstick, unit);
        const Value cells[] = {value_bytes(text.bytes, text.length), value_integer(work->units->items[unit].begin),
                               value_text(draw_source_name(list->source)),
                               value_bytes(joined.data == NULL ? "" : joined.data, joined.length),
                               value_integer(turned)};
        table_row(table, cells);
        text_buffer_free(&joined);
    }
    result_block_note(
        work->result, "%s",
        SAY(work->call, "turned: how many of them make the model answer otherwise", "翻转：其中多少个使模型改变回答"));
    result_block_detail(work->result);
}

/* "yes" (82.1%) */
static void say_target(const ReplaceWork *work, TextBuffer *out, const Target *target) {
    TextBuffer words = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < target->n; i++) {
        Text text = output_text(work->call, work->model, target->ids[i]);
        text_buffer_add_bytes(&words, text.bytes, text.length);
    }
    Text text = text_bare(text_of_bytes(words.data == NULL ? "" : words.data, words.length));
    text_buffer_add(out, SAY(work->call, "\"", "“"));
    text_buffer_add_bytes(out, text.bytes, text.length);
    text_buffer_printf(out, SAY(work->call, "\" (%.3g%%)", "”（%.3g%%）"), 100.0 * exp(target->log_probability));
    out->failed = out->failed || words.failed;
    text_buffer_free(&words);
}

/* The largest effect of one sign that counts; -1: none. */
static int32_t strongest(const ReplaceWork *work, double sign) {
    for (int32_t i = 0; i < work->n_order; i++) {
        const Effect *effect = yardstick_effect(work->yardstick, work->order[i]);
        if (yardstick_counts(work->yardstick, work->order[i]) && effect->effect * sign > 0.0) {
            return work->order[i];
        }
    }
    return -1;
}

static void say_unit(const ReplaceWork *work, TextBuffer *out, const char *lead, int32_t unit) {
    Text text = yardstick_text(work->yardstick, unit);
    text_buffer_printf(out, SAY(work->call, "%s\"", "%s“"), lead);
    text_buffer_add_bytes(out, text.bytes, text.length);
    text_buffer_printf(out, SAY(work->call, "\" (%+.2f)", "”（%+.2f）"),
                       yardstick_effect(work->yardstick, unit)->effect);
}

static void say_headline(const ReplaceWork *work) {
    TextBuffer line = TEXT_BUFFER_INIT;
    text_buffer_add(&line, SAY(work->call, "Why ", "为什么是"));
    say_target(work, &line, &work->target);
    if (work->contrast.kind != TARGET_NONE) {
        text_buffer_add(&line, SAY(work->call, " and not ", "而不是"));
        say_target(work, &line, &work->contrast);
    }
    int32_t support = strongest(work, 1.0), against = strongest(work, -1.0);
    if (support >= 0) {
        say_unit(work, &line, SAY(work->call, ": most for it ", "：最支持它的是"), support);
    }
    if (against >= 0) {
        say_unit(work, &line,
                 support >= 0 ? SAY(work->call, ", most against it ", "，最反对它的是")
                              : SAY(work->call, ": nothing clearly for it, most against it ",
                                    "：没有明确支持它的，最反对它的是"),
                 against);
    }
    if (support < 0 && against < 0) {
        text_buffer_add(&line,
                        SAY(work->call, ": no single part of the prompt decides it", "：提示中没有哪一部分单独决定它"));
    }
    if (line.failed) {
        line.length = 0;
    }
    result_headline(work->result, "%.*s", (int)line.length, line.data == NULL ? "" : line.data);
    text_buffer_free(&line);
}

static limn_status check(const ReplaceWork *work) {
    double error;
    TRY(yardstick_plain_error(work->yardstick, &error));
    yardstick_check_plain(work->result, work->call, error);
    int32_t clear = strongest(work, 1.0);
    const Effect *first = yardstick_effect(work->yardstick, work->order[0]);
    if (clear >= 0) {
        const Effect *effect = yardstick_effect(work->yardstick, clear);
        result_check(work->result, "decided", effect->low, CHECK_ABOVE, 0.0, "%s",
                     SAY(work->call,
                         "the lower end of the strongest supporter's interval, corrected for all words tried",
                         "最支持者的区间下端，已按全部试过的词校正"));
    } else {
        result_check_inconclusive(work->result, "decided", first->low, CHECK_ABOVE, 0.0, "%s",
                                  SAY(work->call,
                                      "no word supports the answer clearly (95%, all words tried counted) and by "
                                      "enough to be spoken of",
                                      "没有哪个词明确支持该回答（95%，计入全部试过的词）且大到值得一提"));
    }
    int32_t missing = work->units->n_free - yardstick_tried(work->yardstick);
    if (missing > 0) {
        result_warn(work->result,
                    SAY(work->call, "%d of the prompt's parts could not be measured: nothing of their kind fits there",
                        "提示中有 %d 个部分无法测量：没有同类的词适合放在那里"),
                    missing);
    }
    return LIMN_OK;
}

/* ---- pairs ---- */

/* The leading units two by two, both exchanged at once: draw k of the one with draw k of the other. */
static limn_status add_pair(const ReplaceWork *work, TableBlock *table, int32_t a, int32_t b, double level) {
    const DrawList *of_a = yardstick_draws(work->yardstick, a), *of_b = yardstick_draws(work->yardstick, b);
    int32_t n = of_a->n < of_b->n ? of_a->n : of_b->n;
    Arena *arena = work->call->arena;
    Exchanges *exchanges = ARENA_ARRAY(arena, Exchanges, n + 1);
    Answered *answered = ARENA_ARRAY(arena, Answered, n + 1);
    bool *good = ARENA_ARRAY(arena, bool, n + 1);
    double *both = ARENA_ARRAY(arena, double, 2 * n + 1);
    if (exchanges == NULL || answered == NULL || good == NULL || both == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t k = 0; k < n; k++) {
        exchanges[k] = (Exchanges){.items = {{a, of_a->items[k].text}, {b, of_b->items[k].text}}, .n = 2};
    }
    TRY(yardstick_exchange(work->yardstick, exchanges, n, answered, good, "exchange pairs"));
    double *beyond = both + n;
    double clean = yardstick_clean(work->yardstick).lead;
    int32_t made = 0;
    for (int32_t k = 0; k < n; k++) {
        if (good[k]) {
            double apart = (clean - yardstick_effect(work->yardstick, a)->answered[k].lead) +
                           (clean - yardstick_effect(work->yardstick, b)->answered[k].lead);
            both[made] = clean - answered[k].lead;
            beyond[made] = both[made] - apart;
            made++;
        }
    }
    Interval effect = mean_interval(both, made, level), excess = mean_interval(beyond, made, level);
    Text first = yardstick_text(work->yardstick, a), second = yardstick_text(work->yardstick, b);
    const Value cells[] = {value_bytes(first.bytes, first.length),
                           value_bytes(second.bytes, second.length),
                           value_number(effect.value),
                           value_number(effect.low),
                           value_number(effect.high),
                           value_number(excess.value),
                           value_number(excess.low),
                           value_number(excess.high),
                           value_integer(made)};
    table_row(table, cells);
    return LIMN_OK;
}

static limn_status show_pairs(const ReplaceWork *work) {
    static const TableColumn columns[] = {{TEXT("first"), COLUMN_TOKEN},
                                          {TEXT("second"), COLUMN_TOKEN},
                                          {TEXT("effect"), COLUMN_SIGNED},
                                          {TEXT("low"), COLUMN_SIGNED},
                                          {TEXT("high"), COLUMN_SIGNED},
                                          {TEXT("together"), COLUMN_SIGNED},
                                          {TEXT("together low"), COLUMN_SIGNED},
                                          {TEXT("together high"), COLUMN_SIGNED},
                                          {TEXT("n"), COLUMN_INTEGER}};
    int32_t units[MOST_PAIRS], n = 0;
    for (int32_t i = 0; i < work->n_order && n < YARDSTICK_LEADING; i++) {
        if (!isnan(yardstick_effect(work->yardstick, work->order[i])->low)) {
            units[n++] = work->order[i];
        }
    }
    if (n < 2) {
        result_warn(work->result, "%s",
                    SAY(work->call, "no pairs: fewer than two parts of the prompt were exchanged often enough",
                        "没有词对：替换次数足够的部分不到两个"));
        return LIMN_OK;
    }
    double level = simultaneous_level(0.95, n * (n - 1) / 2);
    TableBlock *table = result_add_table(
        work->result, "pairs", SAY(work->call, "What exchanging two at once does", "同时换掉两个的效果"), columns, 9);
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = i + 1; j < n; j++) {
            bool ordered = units[i] < units[j];
            TRY(add_pair(work, table, ordered ? units[i] : units[j], ordered ? units[j] : units[i], level));
        }
    }
    result_block_note(work->result, "%s",
                      SAY(work->call,
                          "together: what the pair does beyond its two parts; below 0 they say the same, above 0 "
                          "they need each other; 95% for all pairs",
                          "合力：一对词超出各自之和的效果；小于 0 表示两者说的是同一件事，大于 0 "
                          "表示两者互相需要；区间对全部词对同时成立（95%）"));
    return LIMN_OK;
}

static limn_status report(ReplaceWork *work) {
    TRY(order_units(work));
    result_param_text(work->result, "sign", "positive supports the target");
    say_headline(work);
    show_tokens(work);
    show_effects(work);
    if (work->params->pairs) {
        TRY(show_pairs(work));
    }
    show_draws(work);
    target_describe(work->result, work->call, work->model, &work->target, &work->contrast, LIKELIEST);
    return check(work);
}

static limn_status run(MethodCall *call, Result *result) {
    ReplaceWork work = {.call = call, .params = call->params, .result = result};
    limn_status status = prepare(&work);
    if (status == LIMN_OK) {
        status = yardstick_run(work.yardstick, -1);
    }
    if (status == LIMN_OK) {
        status = report(&work);
    }
    yardstick_free(work.yardstick);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(ReplaceParams, model),
    PROMPT_ROWS(ReplaceParams, prompt),
    PROMPT_PAIR_ROWS(ReplaceParams, prompt),
    TARGET_ROWS(ReplaceParams, target),
    TARGET_MORE_ROWS(ReplaceParams, target),
    {"by", 0, LIMN_PARAM_CHOICE, .metavar = "UNIT", .default_text = "word",
     .choices = "word|sentence|field|message|document", .help = "what is exchanged",
     .field = offsetof(ReplaceParams, by)},
    YARDSTICK_ROWS(ReplaceParams, yardstick),
    YARDSTICK_FLOOR_ROW(ReplaceParams, yardstick),
    {"screen", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "2", .minimum = 1, .maximum = 1000,
     .help = "exchange each part N times", .field = offsetof(ReplaceParams, screen)},
    {"leading", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "5", .minimum = 1, .maximum = 1000,
     .help = "... and the N with the largest effects often", .field = offsetof(ReplaceParams, leading)},
    {"draws", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "32", .minimum = 3, .maximum = 10000,
     .help = "that often", .field = offsetof(ReplaceParams, draws)},
    DATA_OPTION_ROW(ReplaceParams, data),
    PARAM_ROW("prompt-field", 0, LIMN_PARAM_TEXT, "FIELD", "with --data: words are drawn from this field",
              offsetof(ReplaceParams, data.prompt_field)),
    PARAM_ROW("template", 0, LIMN_PARAM_TEXT, "TEXT",
              "with --data: the prompt made of fields; each draws from its own, the rest stays",
              offsetof(ReplaceParams, data.template_text)),
    {"record", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 0, .maximum = 9e15,
     .help = "with --data: the prompt is that of record N, from 0", .field = offsetof(ReplaceParams, record)},
    {"data-format", 0, LIMN_PARAM_CHOICE, .metavar = "FORMAT", .default_text = "auto",
     .choices = "auto|jsonl|csv|tsv|text", .help = "of the data set; auto: by the file's ending",
     .field = offsetof(ReplaceParams, data.format)},
    {"pairs", 0, LIMN_PARAM_FLAG, .help = "also the leading parts two by two", .field = offsetof(ReplaceParams, pairs)},
};

const Method method_replace = {
    .command =
        {.name = "replace",
         .summary = "which words the answer hangs on: each exchanged for others",
         .description =
             "Exchanges every word for others of its kind that fit the place (from a file, proposed by the base model, "
             "or common words) and measures how far the answer's lead falls. The five words that matter most are "
             "exchanged 32 times; their intervals hold for all words tried together. Plain forward passes, no "
             "gradient: "
             "what other explanations are measured by.",
         .examples = "limn replace MODEL -p 'The capital of France is'\n"
                     "limn replace MODEL -p 'The nurse said that' --target ' she' --contrast ' he' --pairs\n"
                     "limn replace MODEL --chat messages.json --by message\n"
                     "limn replace MODEL -p 'Tweet: Talking of bitcoin.' --fixed 'Tweet:' --replacements words.txt",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Replacement of words",
    .params_bytes = sizeof(ReplaceParams),
    .run = run,
    .about =
        {.answers = "How far does the answer fall when a word is exchanged for others that fit its place?",
         .formula = "effect(w) = F(prompt) - mean over draws r of F(prompt with w exchanged for r)\n"
                    "F = log p(target) - log p(contrast), without a contrast log p / (1 - p)",
         .paper = "replacement by words that fit: Kim et al. 2020 (2010.13984); why not by blanks: Janzing et al. 2020 "
                  "(1910.13413)",
         .cost = "2 forward passes for each word, 32 for each of the five leading ones; as many to choose the draws",
         .lies = "Two words that say the same thing each show little (`--pairs`); where every word that fits means the "
                 "same, "
                 "the effect is small although the word matters; a text that no longer makes sense moves the answer by "
                 "that alone."},
    .explains = true,
};
