/* Why: what a person runs first. Which words the answer is due to and what would have turned it, in plain words.
 *
 * Three questions are put: what happens when a word is exchanged for others that fit (replace.c, measure/yardstick.h),
 * to which words the answer reacts to first order (gradient times input; Simonyan et al. 1312.6034), and what the
 * smallest exchange is that turns the answer (measure/turning.h; counterfactual explanations: Wachter et al.
 * 1711.00399). A cause is a word whose exchange clearly lowers the answer's lead once all words tried are counted, and
 * moves its probability by the floor (yardstick_counts); nothing else is called one. Where the gradient points
 * elsewhere, that is said first.
 *
 * Invariants: what is said is in the tables; causes are those of `limn replace` with the same seed; where no word's
 * effect counts, no word is named.
 *
 * How it fails: as replacement does (words that say the same thing, words that nothing fits in place of); a turn is
 * looked for among the draws, so that none was found proves nothing. */
#include <math.h>
#include <string.h>

#include "measure/target_score.h"
#include "measure/yardstick_rows.h"
#include "method/explain/why.h"

typedef struct WhyParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    YardstickParams yardstick;
    ParamTexts methods;
} WhyParams;

static limn_status prepare(WhyWork *work, const WhyParams *params) {
    MethodCall *call = work->call;
    TRY(token_scorers_named(&work->scorers, &work->n_scorers, call, "methods", &params->methods));
    TRY(method_engine(call, params->model.bytes, &work->engine));
    work->model = engine_model(work->engine);
    TRY(prompt_read(&work->prompt, call, work->model, &params->prompt));
    prompt_describe(work->result, call, work->model, &work->prompt);
    TRY(target_resolve(&work->target, &work->contrast, call, work->engine, &work->prompt, &params->target, NULL,
                       work->result));
    const YardstickAsked asked = {.fixed = params->yardstick.fixed,
                                  .replacements = params->yardstick.replacements,
                                  .floor = params->yardstick.floor};
    return why_begin(work, &asked);
}

/* ---- what is shown ---- */

static void show_causes(const WhyWork *work) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},        {TEXT("before"), COLUMN_PROBABILITY},
                                          {TEXT("after"), COLUMN_PROBABILITY}, {TEXT("low"), COLUMN_PROBABILITY},
                                          {TEXT("high"), COLUMN_PROBABILITY},  {TEXT("n"), COLUMN_INTEGER}};
    const WhyFindings *findings = &work->findings;
    TableBlock *table =
        result_add_table(work->result, "causes", SAY(work->call, "What it is due to", "原因何在"), columns, 6);
    Answered clean = yardstick_clean(work->yardstick);
    for (int32_t i = 0; i < findings->n_causes; i++) {
        const Effect *effect = yardstick_effect(work->yardstick, findings->causes[i]);
        Text text = yardstick_text(work->yardstick, findings->causes[i]);
        const Value cells[] = {value_bytes(text.bytes, text.length),   value_number(clean.probability),
                               value_number(effect->mean_probability), value_number(effect->low_probability),
                               value_number(effect->high_probability), value_integer(effect->n)};
        table_row(table, cells);
    }
    result_block_note(work->result, "%s",
                      SAY(work->call, "before: how likely the answer was; after: with other words there, on average",
                          "之前：原来回答的概率；之后：换成别的词时的平均概率"));
}

static void join_exchanges(TextBuffer *words, TextBuffer *with, const WhyWork *work, const Exchanges *exchanges) {
    for (int32_t k = 0; k < exchanges->n; k++) {
        const Exchange *exchange = &exchanges->items[k];
        Text own = yardstick_text(work->yardstick, exchange->unit);
        text_buffer_add(words, k == 0 ? "" : " + ");
        text_buffer_add_bytes(words, own.bytes, own.length);
        text_buffer_add(with, k == 0 ? "" : " + ");
        text_buffer_add_bytes(with, exchange->text.bytes, exchange->text.length);
    }
}

static void show_pointed(const WhyWork *work) {
    static const TableColumn columns[] = {{TEXT("method"), COLUMN_TEXT},   {TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("effect"), COLUMN_SIGNED}, {TEXT("low"), COLUMN_SIGNED},
                                          {TEXT("high"), COLUMN_SIGNED},   {TEXT("cause"), COLUMN_FLAG}};
    const MethodCall *call = work->call;
    TableBlock *table = result_add_table(work->result, "methods",
                                         SAY(call, "What each method names first", "各方法首推的词"), columns, 6);
    for (int32_t m = 0; m < work->n_scorers; m++) {
        const WhyPointed *pointed = &work->pointed[m];
        const Effect none = {.effect = (double)NAN, .low = (double)NAN, .high = (double)NAN};
        const Effect *effect = pointed->unit < 0 ? &none : yardstick_effect(work->yardstick, pointed->unit);
        Text text = pointed->unit < 0 ? text_of("") : yardstick_text(work->yardstick, pointed->unit);
        const Value cells[] = {
            value_text(pointed->method),
            value_bytes(text.bytes, text.length),
            value_number(effect->effect),
            value_number(effect->low),
            value_number(effect->high),
            value_bool(pointed->unit >= 0 && effect->effect > 0.0 && yardstick_counts(work->yardstick, pointed->unit))};
        table_row(table, cells);
    }
    result_block_note(
        work->result, "%s",
        SAY(call,
            "effect: how far the answer's lead falls with other words there; cause: clearly above 0, and by "
            "enough to be spoken of",
            "作用：换成别的词后回答的领先量下降多少；因果：明确大于 0 且大到值得一提"));
}

static void show_turnings(const WhyWork *work) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("with"), COLUMN_TOKEN},
                                          {TEXT("answer"), COLUMN_TOKEN},
                                          {TEXT("before"), COLUMN_PROBABILITY},
                                          {TEXT("after"), COLUMN_PROBABILITY}};
    TableBlock *table = result_add_table(work->result, "counterfactuals",
                                         SAY(work->call, "What would have turned it", "怎样会改变回答"), columns, 5);
    Answered clean = yardstick_clean(work->yardstick);
    for (int32_t i = 0; i < work->turnings.n; i++) {
        const Turning *turning = &work->turnings.items[i];
        TextBuffer words = TEXT_BUFFER_INIT, with = TEXT_BUFFER_INIT;
        join_exchanges(&words, &with, work, &turning->exchanges);
        Text answer = work->findings.answers[i];
        const Value cells[] = {value_bytes(words.data == NULL ? "" : words.data, words.length),
                               value_bytes(with.data == NULL ? "" : with.data, with.length),
                               value_bytes(answer.bytes, answer.length), value_number(clean.probability),
                               value_number(turning->answered.probability)};
        table_row(table, cells);
        text_buffer_free(&words);
        text_buffer_free(&with);
    }
    result_block_note(work->result,
                      work->turnings.most == 1
                          ? SAY(work->call, "%d changed versions were tried, with %d word exchanged at once at most",
                                "试过 %d 个改动版本，每次至多换 %d 个词")
                          : SAY(work->call, "%d changed versions were tried, with %d words exchanged at once at most",
                                "试过 %d 个改动版本，每次至多换 %d 个词"),
                      work->turnings.tried, work->turnings.most);
}

static void show_words(const WhyWork *work) {
    TokensBlock *strip =
        result_add_tokens(work->result, "attribution", SAY(work->call, "Each word", "逐词"), work->prompt.n);
    const Units *units = yardstick_units(work->yardstick);
    TokenGroup *groups = tokens_add_grouping(strip, "word", units->n);
    for (int32_t u = 0; u < units->n; u++) {
        const Unit *unit = &units->items[u];
        double score = yardstick_effect(work->yardstick, u)->effect;
        for (int32_t t = unit->begin; t < unit->end; t++) {
            tokens_set(strip, t, NULL, 0, unit->end - unit->begin == 1 ? score : (double)NAN,
                       unit->fixed ? TOKEN_FIXED : TOKEN_SCORED);
        }
        if (groups != NULL) {
            groups[u] = (TokenGroup){.begin = unit->begin, .end = unit->end, .score = score, .spread = (double)NAN};
        }
    }
    tokens_show(strip, "word");
    result_block_unit(work->result, answer_unit(work->call, ANSWER_LEAD));
    result_block_note(work->result, "%s",
                      SAY(work->call, "how far the answer's lead falls on average when others take the word's place",
                          "换成别的词后，回答的领先量平均下降多少"));
    result_block_detail(work->result);
}

static limn_status show_answer(const WhyWork *work) {
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = why_say(&text, &work->findings, true);
    if (status == LIMN_OK) {
        result_headline(work->result, "%.*s", (int)text.length, text.data);
        text_buffer_clear(&text);
        status = why_say(&text, &work->findings, false);
    }
    if (status == LIMN_OK) {
        result_add_text(work->result, "answer", SAY(work->call, "The answer", "回答"), text.data, text.length, false);
    }
    text_buffer_free(&text);
    return status;
}

static limn_status check(const WhyWork *work) {
    double error;
    TRY(yardstick_plain_error(work->yardstick, &error));
    yardstick_check_plain(work->result, work->call, error);
    const WhyFindings *findings = &work->findings;
    if (findings->n_causes > 0) {
        result_check(work->result, "decided", yardstick_effect(work->yardstick, findings->causes[0])->low, CHECK_ABOVE,
                     0.0, "%s",
                     SAY(work->call, "the lower end of the first cause's effect, corrected for all words tried",
                         "首要原因效应的区间下端，已按全部试过的词校正"));
    } else {
        result_check_inconclusive(
            work->result, "decided", yardstick_effect(work->yardstick, findings->largest)->low, CHECK_ABOVE, 0.0, "%s",
            SAY(work->call,
                "no word's effect is told from 0, all words tried counted, and large enough to be "
                "spoken of",
                "没有哪个词的效应能与 0 区分（计入全部试过的词）且大到值得一提"));
    }
    return LIMN_OK;
}

static limn_status report(WhyWork *work) {
    result_param_text(work->result, "sign", "positive supports the target");
    TRY(show_answer(work));
    show_causes(work);
    show_turnings(work);
    if (work->n_scorers > 0) {
        show_pointed(work);
    }
    show_words(work);
    target_describe(work->result, work->call, work->model, &work->target, &work->contrast, 0);
    return check(work);
}

static limn_status run(MethodCall *call, Result *result) {
    WhyWork work = {.call = call, .result = result};
    limn_status status = prepare(&work, call->params);
    status = status == LIMN_OK ? why_find(&work) : status;
    status = status == LIMN_OK ? report(&work) : status;
    yardstick_free(work.yardstick);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(WhyParams, model),
    PROMPT_ROWS(WhyParams, prompt),
    TARGET_ROWS(WhyParams, target),
    TARGET_MORE_ROWS(WhyParams, target),
    YARDSTICK_ROWS(WhyParams, yardstick),
    YARDSTICK_FLOOR_ROW(WhyParams, yardstick),
    {"methods", 'm', LIMN_PARAM_TEXT, .repeated = true, .metavar = SCORERS_METAVAR,
     .help = "whose first words are held against the causes (without it: gradients): ig,lrp:rules=relp,rollout",
     .field = offsetof(WhyParams, methods)},
};

const Method method_why = {
    .command =
        {.name = "why",
         .summary = "why the model said this, in plain words: run this first",
         .description =
             "Exchanges each word of the prompt for others that fit and watches the answer; says which words it is due "
             "to, how sure that is, and what the smallest change is that would have turned it. Names no word where "
             "none "
             "decides.",
         .examples = "limn why MODEL -p 'The capital of France is'\n"
                     "limn why MODEL -p 'The nurse said that' --target ' she' --contrast ' he'\n"
                     "limn why MODEL -p 'The capital of France is' --methods ig,lrp,rollout\n"
                     "limn why MODEL --adapter DIR -p 'Tweet: Talking of bitcoin.' --language zh -o why.html",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Why",
    .params_bytes = sizeof(WhyParams),
    .run = run,
    .about = {.answers =
                  "Which words is the answer due to, and what is the smallest change that would have turned it? In "
                  "plain words.",
              .formula = "causes: words whose effect (replace) is above 0 at 95% over all words tried and moves the "
                         "answer's probability by the floor",
              .paper = "counterfactual explanations: Wachter et al. 2017 (1711.00399); effects as in replace",
              .cost = "as replace, and one forward and backward pass",
              .lies = "As replacement does. A turning change is looked for among the draws: that none was found does "
                      "not prove that there is none."},
    .explains = true,
};
