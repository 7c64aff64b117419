/* The reasons of a decision in plain words, English and Chinese. The reader is the person it was made about: no name of
 * a method, no score; what in the text decided it, and what would have changed it. */
#include <math.h>
#include <string.h>

#include "method/explain/reasons.h"

static const char *say(const Decided *decided, const char *english, const char *chinese) {
    return decided->why.call->common.language == (int32_t)LANGUAGE_ZH ? chinese : english;
}

static void add_quoted(TextBuffer *out, const Decided *decided, Text text) {
    text_buffer_add(out, say(decided, "\"", "“"));
    text_buffer_add_bytes(out, text.bytes, text.length);
    text_buffer_add(out, say(decided, "\"", "”"));
}

/* ---- where a word stands ---- */

/* Bytes that end a sentence or a line at `at`: 0, 1, or 3 for 。！？ */
static size_t ends_sentence(Text text, size_t at) {
    static const char *const wide[] = {"。", "！", "？"};
    if (text.bytes[at] == '\n') {
        return 1;
    }
    bool last = at + 1 >= text.length || text.bytes[at + 1] == ' ' || text.bytes[at + 1] == '\n';
    if (strchr(".!?", text.bytes[at]) != NULL && text.bytes[at] != '\0' && last) {
        return 1;
    }
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        if (at + 3 <= text.length && memcmp(text.bytes + at, wide[i], 3) == 0) {
            return 3;
        }
    }
    return 0;
}

/* The record's own text around byte `at`; all of the prompt where there is no template. */
static TextSpan own_text(const Decided *decided, size_t at) {
    for (int32_t i = 0; i < decided->n_fields; i++) {
        if (at >= decided->fields[i].from && at < decided->fields[i].to) {
            return decided->fields[i];
        }
    }
    return (TextSpan){.from = 0, .to = decided->why.prompt.text.length};
}

Text reasons_place(const Decided *decided, int32_t index) {
    const Unit *unit = &yardstick_units(decided->why.yardstick)->items[index];
    Text text = decided->why.prompt.text;
    TextSpan own = own_text(decided, unit->from);
    size_t from = own.from, to = own.to;
    for (size_t at = own.from; at < unit->from; at++) {
        size_t end = ends_sentence(text, at);
        from = end > 0 && at + end <= unit->from ? at + end : from;
    }
    for (size_t at = unit->from; at < own.to; at++) {
        size_t end = ends_sentence(text, at);
        if (end > 0) {
            to = text.bytes[at] == '\n' ? at : at + end;
            break;
        }
    }
    while (from < to && (text.bytes[from] == ' ' || text.bytes[from] == '\n')) {
        from++;
    }
    return (Text){text.bytes + from, to > from ? to - from : 0};
}

/* A place longer than this is not repeated to the reader, nor is one that is the word alone. */
static bool is_worth_quoting(Text place, Text word) {
    enum { LONGEST_PLACE = 160 };
    return place.length > word.length + 1 && place.length <= LONGEST_PLACE;
}

/* ---- sentences ---- */

/* 82%, 0.4%, under 0.1% */
static void add_share(TextBuffer *out, const Decided *decided, double share) {
    double percent = 100.0 * share;
    if (percent >= 9.95 && percent < 98.95) {
        text_buffer_printf(out, "%.0f%%", percent);
    } else if (percent >= 0.095 && percent < 99.95) {
        text_buffer_printf(out, "%.1f%%", percent);
    } else {
        text_buffer_add(out, percent < 1.0 ? say(decided, "under 0.1%", "不到0.1%")
                                           : say(decided, "over 99.9%", "99.9%以上"));
    }
}

/* The word "bitcoin" in "Talking of bitcoin.": with other words in its place ... */
static void add_reason(TextBuffer *out, const Decided *decided, int32_t i) {
    const Reason *reason = &decided->reasons[i];
    const WhyWork *why = &decided->why;
    Text word = yardstick_text(why->yardstick, reason->unit);
    Text place = reasons_place(decided, reason->unit);
    bool quote = is_worth_quoting(place, word);
    if (decided->n > 1) {
        text_buffer_printf(out, say(decided, " (%d) ", "（%d）"), (int)i + 1);
    } else {
        text_buffer_add(out, say(decided, " ", ""));
    }
    if (why->call->common.language == (int32_t)LANGUAGE_ZH && quote) {
        add_quoted(out, decided, place);
        text_buffer_add(out, "中的");
    }
    text_buffer_add(out, say(decided, "the word ", ""));
    add_quoted(out, decided, word);
    if (why->call->common.language != (int32_t)LANGUAGE_ZH && quote) {
        text_buffer_add(out, " in ");
        add_quoted(out, decided, place);
    }
    text_buffer_add(out, say(decided, ": with other words in its place the likelihood of this decision falls from ",
                             "：换成别的词，作出这一决定的可能性平均从"));
    add_share(out, decided, yardstick_clean(why->yardstick).probability);
    text_buffer_add(out, say(decided, " to ", "降到"));
    add_share(out, decided, reason->again->mean_probability);
    const char *tries = reason->fresh > 0 ? say(decided, " on average (%d of %d tries)", "（%d/%d次）")
                                          : say(decided, " on average (%d of %d tries: no other words fit there)",
                                                "（%d/%d次；再没有别的词合适）");
    text_buffer_printf(out, tries, (int)reason->again->fell, (int)reason->again->n);
    text_buffer_add(out, i + 1 < decided->n ? say(decided, ";", "；") : say(decided, ".", "。"));
}

static void add_none(TextBuffer *out, const Decided *decided) {
    text_buffer_printf(
        out,
        say(decided,
            " No specific reason can be given for it: of %d words that were exchanged for others, none changes it "
            "clearly enough to be told from chance",
            "无法给出具体理由：逐一更换了%d个词，没有哪一个的影响能与偶然区分开"),
        (int)yardstick_tried(decided->why.yardstick));
    if (decided->dropped > 0) {
        text_buffer_printf(
            out,
            say(decided, " (%d seemed to, and did not when it was tried again)", "（有%d个初看有影响，再试则不成立）"),
            (int)decided->dropped);
    }
    text_buffer_add(out, say(decided, ". It may rest on several words together, or on none of them.",
                             "。它可能取决于几个词的共同作用，也可能与任何一个词都无关。"));
}

const Turning *reasons_turning(const Decided *decided) {
    return turnings_first(&decided->why.turnings, decided->n > 0 ? decided->reasons[0].unit : -1);
}

/* Had it said "money" instead of "bitcoin", the decision would have been "no". */
static void add_turning(TextBuffer *out, const Decided *decided) {
    const Turnings *turnings = &decided->why.turnings;
    const Turning *turning = reasons_turning(decided);
    if (turning == NULL) {
        text_buffer_printf(out,
                           say(decided,
                               " No small change was found that would have led to another decision (%d tried).",
                               "没有找到能带来不同决定的小改动（试过%d种）。"),
                           (int)turnings->tried);
        return;
    }
    text_buffer_add(out, say(decided, " Had it said ", "若写的是"));
    for (int32_t k = 0; k < turning->exchanges.n; k++) {
        const Exchange *exchange = &turning->exchanges.items[k];
        text_buffer_add(out, k == 0 ? "" : say(decided, " and ", "、"));
        add_quoted(out, decided, exchange->text);
        text_buffer_add(out, say(decided, " instead of ", "而不是"));
        add_quoted(out, decided, yardstick_text(decided->why.yardstick, exchange->unit));
    }
    if (decided->many) {
        text_buffer_add(out, say(decided, ", the decision would have been another.", "，决定就会不同。"));
        return;
    }
    text_buffer_add(out, say(decided, ", the decision would have been ", "，决定就会是"));
    add_quoted(out, decided,
               decided->other.bytes != NULL ? decided->other
                                            : decided->why.findings.answers[turning - turnings->items]);
    text_buffer_add(out, say(decided, ".", "。"));
}

limn_status reasons_say(TextBuffer *out, const Decided *decided) {
    text_buffer_add(out, say(decided, "The decision was ", "决定是"));
    add_quoted(out, decided, decided->name);
    text_buffer_add(out, say(decided, ".", "。"));
    if (decided->n == 0) {
        add_none(out, decided);
    } else {
        text_buffer_add(out,
                        decided->n == 1
                            ? say(decided, " The principal reason is", "主要理由是")
                            : say(decided, " The principal reasons, the weightiest first:", "主要理由，按分量排列："));
    }
    for (int32_t i = 0; i < decided->n; i++) {
        add_reason(out, decided, i);
    }
    add_turning(out, decided);
    return text_buffer_status(out);
}
