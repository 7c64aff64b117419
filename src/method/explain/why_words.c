/* The findings of `why` in plain words, English and Chinese. */
#include <math.h>
#include <string.h>

#include "method/explain/why.h"

/* Both are formats of the same arguments in the same order. */
static const char *say(const WhyFindings *findings, const char *english, const char *chinese) {
    return findings->call->common.language == (int32_t)LANGUAGE_ZH ? chinese : english;
}

static void add_quoted(TextBuffer *out, const WhyFindings *findings, Text text) {
    text_buffer_add(out, say(findings, "\"", "“"));
    text_buffer_add_bytes(out, text.bytes, text.length);
    text_buffer_add(out, say(findings, "\"", "”"));
}

Text why_target_text(const WhyFindings *findings, const Target *target) {
    TextBuffer joined = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < target->n; i++) {
        Text piece = output_text(findings->call, findings->model, target->ids[i]);
        text_buffer_add_bytes(&joined, piece.bytes, piece.length);
    }
    char *copy = joined.failed
                     ? NULL
                     : arena_strndup(findings->call->arena, joined.data == NULL ? "" : joined.data, joined.length);
    Text text = text_bare((Text){copy == NULL ? "" : copy, copy == NULL ? 0 : joined.length});
    text_buffer_free(&joined);
    return text;
}

/* 82%, 0.4%, under 0.1% */
static void add_share(TextBuffer *out, const WhyFindings *findings, double share) {
    double percent = 100.0 * share;
    if (percent >= 9.95 && percent < 98.95) {
        text_buffer_printf(out, "%.0f%%", percent);
    } else if (percent >= 0.095 && percent < 99.95) {
        text_buffer_printf(out, "%.1f%%", percent);
    } else {
        text_buffer_add(out, percent < 1.0 ? say(findings, "under 0.1%", "不到0.1%")
                                           : say(findings, "over 99.9%", "99.9%以上"));
    }
}

static double share_of_two(double lead) {
    return 1.0 / (1.0 + exp(-lead));
}

/* Against a contrast an answer may win or lose although its own share stays: then what counts is its part of the two.
 */
static void shares(const WhyFindings *findings, int32_t unit, double *before, double *after, bool *of_two) {
    const Effect *effect = yardstick_effect(findings->yardstick, unit);
    Answered clean = yardstick_clean(findings->yardstick);
    *before = clean.probability;
    *after = effect->mean_probability;
    *of_two = findings->contrast->kind != TARGET_NONE && (*after < *before) != (effect->effect > 0.0);
    if (*of_two) {
        *before = share_of_two(clean.lead);
        *after = 0.0;
        for (int32_t k = 0; k < effect->n; k++) {
            *after += share_of_two(effect->answered[k].lead) / effect->n;
        }
    }
}

/* with other words there, "yes" falls from 82% to 20% (32 of 32) */
static void add_change(TextBuffer *out, const WhyFindings *findings, int32_t unit) {
    const Effect *effect = yardstick_effect(findings->yardstick, unit);
    double before, after;
    bool of_two;
    shares(findings, unit, &before, &after, &of_two);
    bool falls = after < before;
    text_buffer_add(out, say(findings, "with other words there, ", "换成别的词，"));
    add_quoted(out, findings, why_target_text(findings, findings->target));
    if (of_two) {
        text_buffer_add(out, say(findings, " against ", "相对于"));
        add_quoted(out, findings, why_target_text(findings, findings->contrast));
    }
    text_buffer_add(out, falls ? say(findings, " falls from ", "从") : say(findings, " rises from ", "从"));
    add_share(out, findings, before);
    text_buffer_add(out, falls ? say(findings, " to ", "降到") : say(findings, " to ", "升到"));
    add_share(out, findings, after);
    text_buffer_printf(out, say(findings, " (%d of %d)", "（%d/%d次）"),
                       falls ? effect->fell : effect->n - effect->fell, effect->n);
}

static void add_lead(TextBuffer *out, const WhyFindings *findings) {
    Answered clean = yardstick_clean(findings->yardstick);
    Text target = why_target_text(findings, findings->target);
    if (findings->n_causes > 0 && clean.decided) {
        text_buffer_add(out, say(findings, "It said ", "它回答"));
        add_quoted(out, findings, target);
        text_buffer_add(out, say(findings, " because of ", "，是因为"));
    } else if (findings->n_causes > 0) {
        text_buffer_add(out, say(findings, "It would not say ", "它不会回答"));
        add_quoted(out, findings, target);
        text_buffer_add(out, say(findings, " (", "（"));
        add_share(out, findings, clean.probability);
        text_buffer_add(out, say(findings, "); what speaks for it most is ", "）；最支持它的是"));
    } else {
        text_buffer_add(out, clean.decided ? say(findings, "It said ", "它回答")
                                           : say(findings, "It would not say ", "它不会回答"));
        add_quoted(out, findings, target);
        text_buffer_add(out, say(findings, " (", "（"));
        add_share(out, findings, clean.probability);
        text_buffer_add(out, say(findings, "), and no single word decides that", "），没有哪一个词单独决定这一点"));
        text_buffer_printf(out,
                           findings->below
                               ? say(findings,
                                     ": exchanging any one of the %d words for others changes too little to tell, or "
                                     "moves it by less than "
                                     "%g points on average",
                                     "：%d个词中无论换掉哪一个，变化都小得无法判定，或平均不到%g个百分点")
                               : say(findings,
                                     ": exchanging any one of the %d words for others changes too little to tell",
                                     "：%d个词中无论换掉哪一个，变化都小得无法判定"),
                           yardstick_tried(findings->yardstick), 100.0 * findings->floor);
        text_buffer_add(out, say(findings, ".", "。"));
        return;
    }
    add_quoted(out, findings, yardstick_text(findings->yardstick, findings->causes[0]));
    text_buffer_add(out, say(findings, ": ", "："));
    add_change(out, findings, findings->causes[0]);
    text_buffer_add(out, say(findings, ".", "。"));
}

/* With "gold" it would have said "no". */
static void add_turning(TextBuffer *out, const WhyFindings *findings) {
    const Turnings *turnings = findings->turnings;
    const Turning *first = turnings_first(turnings, findings->n_causes > 0 ? findings->causes[0] : -1);
    if (first == NULL) {
        text_buffer_printf(out,
                           say(findings, " None of the %d changes tried, of up to %d words at once, turned the answer.",
                               "试过的%d种改动（一次最多%d个词）都没有改变回答。"),
                           turnings->tried, turnings->most);
        return;
    }
    text_buffer_add(out, say(findings, " With ", "若换成"));
    for (int32_t k = 0; k < first->exchanges.n; k++) {
        const Exchange *exchange = &first->exchanges.items[k];
        text_buffer_add(out, k == 0                       ? ""
                             : k + 1 < first->exchanges.n ? say(findings, ", ", "、")
                                                          : say(findings, " and ", "和"));
        add_quoted(out, findings, exchange->text);
        if (findings->n_causes == 0 || exchange->unit != findings->causes[0]) {
            text_buffer_add(out, say(findings, " for ", "（原为"));
            add_quoted(out, findings, yardstick_text(findings->yardstick, exchange->unit));
            text_buffer_add(out, say(findings, "", "）"));
        }
    }
    text_buffer_add(out, say(findings, " it would have said ", "，它会回答"));
    add_quoted(out, findings, findings->answers[first - turnings->items]);
    text_buffer_add(out, say(findings, ".", "。"));
}

/* Judged by small nudges the answer leans on "is" most, but with other words there it hardly changes. */
static void add_disagreement(TextBuffer *out, const WhyFindings *findings) {
    if (findings->pointed < 0 || findings->agrees || findings->n_causes == 0) {
        return;
    }
    if (findings->pointed_by == NULL) {
        text_buffer_add(out,
                        say(findings, "Two ways of asking disagree: judged by small nudges the answer leans most on ",
                            "两种问法不一致：从细微扰动看，回答最依赖"));
    } else {
        text_buffer_printf(out,
                           say(findings, "Two ways of asking disagree: by %s the answer leans most on ",
                               "两种问法不一致：按 %s，回答最依赖"),
                           findings->pointed_by);
    }
    add_quoted(out, findings, yardstick_text(findings->yardstick, findings->pointed));
    text_buffer_add(out, say(findings, ", but ", "，但"));
    add_change(out, findings, findings->pointed);
    text_buffer_add(out, say(findings, ". What follows goes by exchanged words. ", "。以下以换词为准。"));
}

/* A further cause is worth a sentence where it has a part of the first one's effect. */
static bool counts_beside(const WhyFindings *findings, int32_t i) {
    double first = yardstick_effect(findings->yardstick, findings->causes[0])->effect;
    return yardstick_effect(findings->yardstick, findings->causes[i])->effect >= 0.2 * first;
}

/* The other causes, and what speaks against. */
static void add_others(TextBuffer *out, const WhyFindings *findings) {
    for (int32_t i = 1; i < findings->n_causes && counts_beside(findings, i); i++) {
        text_buffer_add(out,
                        i == 1 ? say(findings, " It also leans on ", "另外还依赖") : say(findings, " And on ", "还有"));
        add_quoted(out, findings, yardstick_text(findings->yardstick, findings->causes[i]));
        text_buffer_add(out, say(findings, ": ", "："));
        add_change(out, findings, findings->causes[i]);
        text_buffer_add(out, say(findings, ".", "。"));
    }
    if (findings->against >= 0) {
        text_buffer_add(out, say(findings, " Against it speaks ", "反对它的是"));
        add_quoted(out, findings, yardstick_text(findings->yardstick, findings->against));
        text_buffer_add(out, say(findings, ": ", "："));
        add_change(out, findings, findings->against);
        text_buffer_add(out, say(findings, ".", "。"));
    }
}

limn_status why_say(TextBuffer *out, const WhyFindings *findings, bool first) {
    if (!first) {
        add_disagreement(out, findings);
    }
    add_lead(out, findings);
    add_turning(out, findings);
    if (!first) {
        add_others(out, findings);
    }
    return text_buffer_status(out);
}
