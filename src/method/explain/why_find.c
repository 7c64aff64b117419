/* What `why` and `reasons` find of one prompt: causes by exchanged words, where the gradient points, what turns it. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "measure/distribution.h"
#include "measure/token_scores.h"
#include "method/explain/why.h"

static const double least_ratio = 0.5; /* as in the check of causes */

limn_status why_begin(WhyWork *work, const YardstickAsked *asked) {
    MethodCall *call = work->call;
    TRY(words_of(&work->words, call, work->model, &work->prompt));
    TRY(yardstick_new(&work->yardstick, call, work->engine, &work->prompt, &work->target, &work->contrast, &work->words,
                      asked));
    work->findings = (WhyFindings){.call = call,
                                   .model = work->model,
                                   .target = &work->target,
                                   .contrast = &work->contrast,
                                   .yardstick = work->yardstick,
                                   .floor = asked->floor,
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

/* Supporters that count by size; the strongest opponent that does; the largest of all. */
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
        if (!yardstick_counts(work->yardstick, u)) {
            findings->below = findings->below || effect_is_clear(effect);
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

/* The word that a method names first. */
static limn_status ask_method(const WhyWork *work, const NamedScorer *scorer, int32_t *unit) {
    const TokenQuestion question = {.engine = work->engine,
                                    .prompt = &work->prompt,
                                    .target = &work->target,
                                    .contrast = &work->contrast,
                                    .params = scorer->params,
                                    .seed = work->call->common.seed};
    TokenScores scores;
    limn_status status = token_scores(&scores, work->call, scorer->method, &question);
    TRY(status == LIMN_OK ? status : fail_context("%s", scorer->name));
    const Units *units = yardstick_units(work->yardstick);
    double best = 0.0;
    *unit = -1;
    for (int32_t u = 0; u < units->n; u++) {
        double score = token_scores_sum(&scores, units->items[u].begin, units->items[u].end);
        bool counts = !units->items[u].fixed && yardstick_effect(work->yardstick, u)->n > 0;
        if (counts && score > best) {
            best = score;
            *unit = u;
        }
    }
    return LIMN_OK;
}

static limn_status ask_usual(WhyWork *work) {
    static const Text grad = TEXT("grad");
    static const ParamTexts usual = {&grad, 1};
    NamedScorer *scorer;
    int32_t n;
    TRY(token_scorers_named(&scorer, &n, work->call, "methods", &usual));
    return ask_method(work, scorer, &work->findings.pointed);
}

/* The first of those that were named is the one that the answer speaks of. */
static limn_status ask_methods(WhyWork *work) {
    if (work->n_scorers == 0) {
        return ask_usual(work);
    }
    work->pointed = ARENA_ARRAY(work->call->arena, WhyPointed, work->n_scorers + 1);
    if (work->pointed == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t m = 0; m < work->n_scorers; m++) {
        work->pointed[m].method = work->scorers[m].name;
        TRY(ask_method(work, &work->scorers[m], &work->pointed[m].unit));
    }
    work->findings.pointed = work->pointed[0].unit;
    work->findings.pointed_by = work->pointed[0].method;
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
        status = engine_run(work->engine, &request, call->progress);
        if (status != LIMN_OK) {
            break;
        }
        next = logit_argmax(engine_logits(work->engine), work->model->config.n_vocab);
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

/* Adds a unit that is not among them. */
static void add_unit(int32_t *units, int32_t *n, int32_t unit) {
    bool there = unit < 0;
    for (int32_t i = 0; i < *n; i++) {
        there = there || units[i] == unit;
    }
    if (!there) {
        units[(*n)++] = unit;
    }
}

limn_status why_find(WhyWork *work) {
    int32_t *units = ARENA_ARRAY(work->call->arena, int32_t, YARDSTICK_LEADING + work->n_scorers + 2), n;
    if (units == NULL) {
        return method_no_memory(work->call);
    }
    TRY(yardstick_screen(work->yardstick));
    TRY(tell_first(work));
    yardstick_leading(work->yardstick, units, &n);
    TRY(ask_methods(work));
    add_unit(units, &n, work->findings.pointed);
    for (int32_t m = 0; m < work->n_scorers; m++) {
        add_unit(units, &n, work->pointed[m].unit);
    }
    TRY(yardstick_confirm(work->yardstick, units, n));
    find_causes(work);
    compare(work);
    TRY(turnings_find(&work->turnings, work->yardstick, work->call));
    return name_answers(work);
}
