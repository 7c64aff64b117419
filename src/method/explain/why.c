/* Why: what a person runs first. Which words the answer is due to and what would have turned it, in plain words.
 *
 * Three questions are put: what happens when a word is exchanged for others that fit (replace.c, measure/yardstick.h),
 * to which words the answer reacts to first order (gradient times input; Simonyan et al. 1312.6034), and what the
 * smallest exchange is that turns the answer (measure/turning.h; counterfactual explanations: Wachter et al.
 * 1711.00399). A cause is a word whose exchange clearly lowers the answer's lead once all words tried are counted;
 * nothing else is called one. Where the gradient points elsewhere, that is said first.
 *
 * Invariants: what is said is in the tables; causes are those of `limn replace` with the same seed; where no word's
 * effect is clear, no word is named.
 *
 * How it fails: as replacement does (words that say the same thing, words that nothing fits in place of); a turn is
 * looked for among the draws, so that none was found proves nothing. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "measure/distribution.h"
#include "measure/target_score.h"
#include "measure/token_scores.h"
#include "measure/yardstick_rows.h"
#include "method/explain/why.h"

static const double plain_tolerance = 1e-4;
static const double least_ratio = 0.5; /* as in the check of causes */

typedef struct WhyParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    YardstickParams yardstick;
} WhyParams;

typedef struct WhyWork {
    MethodCall *call;
    const WhyParams *params;
    Result *result;
    Session *session;
    const Model *model;
    Prompt prompt;
    Target target;
    Target contrast;
    TokenRuns words;
    Yardstick *yardstick;
    WhyFindings findings;
    Turnings turnings;
} WhyWork;

static limn_status prepare(WhyWork *work) {
    MethodCall *call = work->call;
    TRY(method_session(call, work->params->model.bytes, &work->session));
    work->model = session_model(work->session);
    TRY(prompt_read(&work->prompt, call, work->model, &work->params->prompt));
    prompt_describe(work->result, call, work->model, &work->prompt);
    TRY(target_resolve(&work->target, &work->contrast, call, work->session, &work->prompt, &work->params->target, NULL,
                       work->result));
    TRY(words_of(&work->words, call, work->model, &work->prompt));
    const YardstickAsked asked = {.fixed = work->params->yardstick.fixed,
                                  .replacements = work->params->yardstick.replacements};
    TRY(yardstick_new(&work->yardstick, call, work->session, &work->prompt, &work->target, &work->contrast,
                      &work->words, &asked));
    work->findings = (WhyFindings){.call = call,
                                   .model = work->model,
                                   .target = &work->target,
                                   .contrast = &work->contrast,
                                   .yardstick = work->yardstick,
                                   .against = -1,
                                   .largest = -1,
                                   .pointed = -1,
                                   .turnings = &work->turnings};
    return LIMN_OK;
}

/* The largest supporting effect so far, for whoever watches: "so far: "bitcoin"". */
static limn_status tell_first(WhyWork *work) {
    const Units *units = yardstick_units(work->yardstick);
    int32_t best = -1;
    for (int32_t u = 0; u < units->n; u++) {
        double effect = yardstick_effect(work->yardstick, u)->effect;
        best = !isnan(effect) && (best < 0 || effect > yardstick_effect(work->yardstick, best)->effect) ? u : best;
    }
    Text text = yardstick_text(work->yardstick, best);
    char *stage = arena_printf(work->call->arena, "so far \"%.*s\" matters most", (int)text.length, text.bytes);
    return stage == NULL ? method_no_memory(work->call) : progress_tick(work->call->progress, stage, 0, 0);
}

/* Clear supporters by size; the clearest opponent; the largest of all. */
static void find_causes(WhyWork *work) {
    WhyFindings *findings = &work->findings;
    const Units *units = yardstick_units(work->yardstick);
    for (int32_t u = 0; u < units->n; u++) {
        const Effect *effect = yardstick_effect(work->yardstick, u);
        if (isnan(effect->effect)) {
            continue;
        }
        const Effect *most = findings->largest < 0 ? NULL : yardstick_effect(work->yardstick, findings->largest);
        findings->largest = most == NULL || fabs(effect->effect) > fabs(most->effect) ? u : findings->largest;
        if (!effect_is_clear(effect)) {
            continue;
        }
        if (effect->effect < 0.0) {
            bool more =
                findings->against < 0 || effect->effect < yardstick_effect(work->yardstick, findings->against)->effect;
            findings->against = more ? u : findings->against;
            continue;
        }
        int32_t place = findings->n_causes < WHY_CAUSES ? findings->n_causes++ : WHY_CAUSES;
        while (place > 0 && effect->effect > yardstick_effect(work->yardstick, findings->causes[place - 1])->effect) {
            place--;
            if (place + 1 < WHY_CAUSES) {
                findings->causes[place + 1] = findings->causes[place];
            }
        }
        if (place < WHY_CAUSES) {
            findings->causes[place] = u;
        }
    }
}

/* The word that gradient times input names first. */
static limn_status ask_gradient(WhyWork *work) {
    const Method *method;
    const void *params;
    TRY(token_scorer_find(&method, work->call, "grad"));
    TRY(token_scorer_params(&params, work->call, method, NULL));
    const TokenQuestion question = {.session = work->session,
                                    .prompt = &work->prompt,
                                    .target = &work->target,
                                    .contrast = &work->contrast,
                                    .params = params,
                                    .seed = work->call->common.seed};
    TokenScores scores;
    TRY(token_scores(&scores, work->call, method, &question));
    const Units *units = yardstick_units(work->yardstick);
    double best = 0.0;
    for (int32_t u = 0; u < units->n; u++) {
        double score = token_scores_sum(&scores, units->items[u].begin, units->items[u].end);
        bool counts = !units->items[u].fixed && yardstick_effect(work->yardstick, u)->n > 0;
        if (counts && score > best) {
            best = score;
            work->findings.pointed = u;
        }
    }
    return LIMN_OK;
}

static void compare(WhyWork *work) {
    WhyFindings *findings = &work->findings;
    if (findings->pointed >= 0 && findings->n_causes > 0) {
        const Effect *own = yardstick_effect(work->yardstick, findings->pointed);
        double largest = yardstick_effect(work->yardstick, findings->causes[0])->effect;
        findings->agrees = effect_is_clear(own) && own->effect >= least_ratio * largest;
    }
}

/* ---- what would have been said ---- */

static bool begins_word(const WhyWork *work, int32_t id) {
    Text text = token_text(work->call, work->model, id);
    bool special = tokenizer_is_special(work->model->tokenizer, id);
    return special || text.length == 0 || text.bytes[0] == ' ' || text.bytes[0] == '\n' ||
           word_kind((Text){text.bytes, 1}).class == WORD_PUNCTUATION;
}

/* A word's first token as the whole word that the model would write; text: of those tokens together. */
static limn_status whole_word(Text *text, const WhyWork *work, const int32_t *ids, int32_t n, int32_t first) {
    enum { MOST_TOKENS = 6 };
    MethodCall *call = work->call;
    int32_t *longer = ARENA_ARRAY(call->arena, int32_t, n + MOST_TOKENS + 1);
    TextBuffer joined = TEXT_BUFFER_INIT;
    if (longer == NULL) {
        return method_no_memory(call);
    }
    memcpy(longer, ids, (size_t)n * sizeof *ids);
    limn_status status = LIMN_OK;
    for (int32_t k = 0, next = first; k < MOST_TOKENS && (k == 0 || !begins_word(work, next)); k++) {
        Text piece = token_text(call, work->model, next);
        text_buffer_add_bytes(&joined, piece.bytes, piece.length);
        longer[n + k] = next;
        if (work->model->config.n_context > 0 && n + k + 1 >= work->model->config.n_context) {
            break;
        }
        SequenceInput sequence = {.ids = longer, .n = n + k + 1};
        OutputRow output = {.row = n + k, .target = -1};
        RunRequest request = {
            .sequences = &sequence, .n_sequences = 1, .outputs = &output, .n_outputs = 1, .logits = true};
        status = session_run(work->session, &request, call->progress);
        if (status != LIMN_OK) {
            break;
        }
        next = logit_argmax(session_logits(work->session), work->model->config.n_vocab);
    }
    status = status == LIMN_OK ? text_buffer_status(&joined) : status;
    if (status == LIMN_OK) {
        char *copy = arena_strndup(call->arena, joined.data, joined.length);
        *text = text_bare((Text){copy, joined.length});
        status = copy == NULL ? method_no_memory(call) : LIMN_OK;
    }
    text_buffer_free(&joined);
    return status;
}

/* What is said to a prompt that turned: the target, the contrast, or whatever came first. */
static limn_status answer_of(Text *text, const WhyWork *work, const Turning *turning) {
    if (turning->answered.decided) {
        *text = why_target_text(&work->findings, &work->target);
        return LIMN_OK;
    }
    if (work->contrast.kind != TARGET_NONE) {
        *text = why_target_text(&work->findings, &work->contrast);
        return LIMN_OK;
    }
    int32_t best = turning->answered.best;
    *text = best < 0 ? text_of("?") : text_bare(output_text(work->call, work->model, best));
    if (best < 0 || work->target.kind != TARGET_TOKENS) {
        return LIMN_OK;
    }
    const int32_t *ids;
    int32_t n;
    TRY(yardstick_version(work->yardstick, &turning->exchanges, &ids, &n));
    return n > 0 ? whole_word(text, work, ids, n, best) : LIMN_OK;
}

static bool same_words(Text a, Text b) {
    return a.length == b.length && strncasecmp(a.bytes, b.bytes, a.length) == 0;
}

/* An answer that is the same words by other tokens (without the space, with a capital) is no other answer. */
static limn_status name_answers(WhyWork *work) {
    Turnings *turnings = &work->turnings;
    Text target = why_target_text(&work->findings, &work->target);
    int32_t kept = 0;
    for (int32_t i = 0; i < turnings->n; i++) {
        Text answer;
        TRY(answer_of(&answer, work, &turnings->items[i]));
        if (turnings->items[i].answered.decided || !same_words(answer, target)) {
            turnings->items[kept] = turnings->items[i];
            work->findings.answers[kept++] = answer;
        }
    }
    turnings->n = kept;
    return LIMN_OK;
}

/* ---- what is shown ---- */

static void show_causes(const WhyWork *work) {
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN},        {{"before", 6}, COLUMN_PROBABILITY},
                                          {{"after", 5}, COLUMN_PROBABILITY}, {{"low", 3}, COLUMN_PROBABILITY},
                                          {{"high", 4}, COLUMN_PROBABILITY},  {{"n", 1}, COLUMN_INTEGER}};
    const WhyFindings *findings = &work->findings;
    TableBlock *table = result_add_table(work->result, "causes", "What it is due to", columns, 6);
    Answered clean = yardstick_clean(work->yardstick);
    for (int32_t i = 0; i < findings->n_causes; i++) {
        const Effect *effect = yardstick_effect(work->yardstick, findings->causes[i]);
        Text text = yardstick_text(work->yardstick, findings->causes[i]);
        const Value cells[] = {value_bytes(text.bytes, text.length),   value_number(clean.probability),
                               value_number(effect->mean_probability), value_number(effect->low_probability),
                               value_number(effect->high_probability), value_integer(effect->n)};
        table_row(table, cells);
    }
    result_block_note(work->result, "before: how likely the answer was; after: with other words there, on average");
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

static void show_turnings(const WhyWork *work) {
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN},
                                          {{"with", 4}, COLUMN_TOKEN},
                                          {{"answer", 6}, COLUMN_TOKEN},
                                          {{"before", 6}, COLUMN_PROBABILITY},
                                          {{"after", 5}, COLUMN_PROBABILITY}};
    TableBlock *table = result_add_table(work->result, "counterfactuals", "What would have turned it", columns, 5);
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
    result_block_note(work->result, "%d changed versions were tried, with %d word%s exchanged at once at most",
                      work->turnings.tried, work->turnings.most, work->turnings.most == 1 ? "" : "s");
}

static void show_words(const WhyWork *work) {
    TokensBlock *strip = result_add_tokens(work->result, "attribution", "Each word", work->prompt.n);
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
    result_block_unit(work->result, "lead in log-probability");
    result_block_note(work->result, "how far the answer's lead falls on average when others take the word's place");
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
        result_add_text(work->result, "answer", "The answer", text.data, text.length, false);
    }
    text_buffer_free(&text);
    return status;
}

static limn_status check(const WhyWork *work) {
    double error;
    TRY(yardstick_plain_error(work->yardstick, &error));
    if (!isnan(error)) {
        result_check(work->result, "plain pass", error, CHECK_AT_MOST, plain_tolerance,
                     "difference of a changed prompt's lead in a pass by itself and among the others");
    }
    const WhyFindings *findings = &work->findings;
    if (findings->n_causes > 0) {
        result_check(work->result, "decided", yardstick_effect(work->yardstick, findings->causes[0])->low, CHECK_ABOVE,
                     0.0, "the lower end of the first cause's effect, corrected for all words tried");
    } else {
        result_check_inconclusive(work->result, "decided", yardstick_effect(work->yardstick, findings->largest)->low,
                                  CHECK_ABOVE, 0.0, "no word's effect is told from 0 once all words tried are counted");
    }
    return LIMN_OK;
}

static limn_status report(WhyWork *work) {
    result_param_text(work->result, "sign", "positive supports the target");
    TRY(show_answer(work));
    show_causes(work);
    show_turnings(work);
    show_words(work);
    target_describe(work->result, work->call, work->model, &work->target, &work->contrast, 0);
    return check(work);
}

static limn_status find_all(WhyWork *work) {
    int32_t units[YARDSTICK_LEADING + 1], n;
    TRY(yardstick_screen(work->yardstick));
    TRY(tell_first(work));
    yardstick_leading(work->yardstick, units, &n);
    TRY(ask_gradient(work));
    bool there = work->findings.pointed < 0;
    for (int32_t i = 0; i < n; i++) {
        there = there || units[i] == work->findings.pointed;
    }
    if (!there) {
        units[n++] = work->findings.pointed;
    }
    TRY(yardstick_confirm(work->yardstick, units, n));
    find_causes(work);
    compare(work);
    TRY(turnings_find(&work->turnings, work->yardstick, work->call));
    return name_answers(work);
}

static limn_status run(MethodCall *call, Result *result) {
    WhyWork work = {.call = call, .params = call->params, .result = result};
    limn_status status = prepare(&work);
    status = status == LIMN_OK ? find_all(&work) : status;
    status = status == LIMN_OK ? report(&work) : status;
    yardstick_free(work.yardstick);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(WhyParams, model),         PROMPT_ROWS(WhyParams, prompt),       TARGET_ROWS(WhyParams, target),
    TARGET_MORE_ROWS(WhyParams, target), YARDSTICK_ROWS(WhyParams, yardstick),
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
                     "limn why MODEL --adapter DIR -p 'Tweet: Talking of bitcoin.' --language zh -o why.html",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Why",
    .params_bytes = sizeof(WhyParams),
    .run = run,
    .about = {.answers =
                  "Which words is the answer due to, and what is the smallest change that would have turned it? In "
                  "plain words.",
              .formula = "causes: words whose effect (replace) is above 0 at 95% over all words tried",
              .paper = "counterfactual explanations: Wachter et al. 2017 (1711.00399); effects as in replace",
              .cost = "as replace, and one forward and backward pass",
              .lies = "As replacement does. A turning change is looked for among the draws: that none was found does "
                      "not prove that there is none."},
    .explains = true,
};
