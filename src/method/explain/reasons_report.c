/* What `reasons` shows: a decision after another, and what came of all. */
#include <math.h>
#include <stdio.h>

#include "method/explain/reasons.h"

static const double least_held = 0.8; /* of the causes that fresh draws could judge */

/* Columns that are left out: of one decision by itself no record is named. */
static int32_t unnamed(const Reasons *reasons) {
    return reasons->source == NULL ? 1 : 0;
}

static void add_reasons(Reasons *reasons, const Decided *decided) {
    const WhyWork *why = &decided->why;
    Answered clean = yardstick_clean(why->yardstick);
    for (int32_t i = 0; i < decided->n; i++) {
        const Reason *reason = &decided->reasons[i];
        Text word = yardstick_text(why->yardstick, reason->unit);
        Text place = reasons_place(decided, reason->unit);
        const Value cells[] = {value_bytes(decided->record.bytes, decided->record.length),
                               value_integer(i + 1),
                               value_bytes(word.bytes, word.length),
                               value_bytes(place.bytes, place.length),
                               value_number(clean.probability),
                               value_number(reason->again->mean_probability),
                               value_number(reason->again->low_probability),
                               value_number(reason->again->high_probability),
                               value_number(reason->first->mean_probability),
                               value_number(reason->first->p),
                               value_integer(reason->again->n),
                               value_integer(reason->fresh)};
        table_row(reasons->table, cells + unnamed(reasons));
    }
}

static void add_change(Reasons *reasons, const Decided *decided) {
    const WhyWork *why = &decided->why;
    const Turning *turning = reasons_turning(decided);
    TextBuffer words = TEXT_BUFFER_INIT, with = TEXT_BUFFER_INIT;
    if (turning == NULL) {
        return;
    }
    for (int32_t k = 0; k < turning->exchanges.n; k++) {
        const Exchange *exchange = &turning->exchanges.items[k];
        Text own = yardstick_text(why->yardstick, exchange->unit);
        text_buffer_add(&words, k == 0 ? "" : " + ");
        text_buffer_add_bytes(&words, own.bytes, own.length);
        text_buffer_add(&with, k == 0 ? "" : " + ");
        text_buffer_add_bytes(&with, exchange->text.bytes, exchange->text.length);
    }
    Text other = decided->many                  ? (Text){NULL, 0}
                 : decided->other.bytes != NULL ? decided->other
                                                : why->findings.answers[turning - why->turnings.items];
    const Value cells[] = {value_bytes(decided->record.bytes, decided->record.length),
                           value_bytes(words.data == NULL ? "" : words.data, words.length),
                           value_bytes(with.data == NULL ? "" : with.data, with.length),
                           value_bytes(decided->name.bytes, decided->name.length),
                           other.bytes == NULL ? value_null() : value_bytes(other.bytes, other.length),
                           value_number(turning->answered.probability)};
    table_row(reasons->changes, cells + unnamed(reasons));
    text_buffer_free(&words);
    text_buffer_free(&with);
}

void reasons_begin_tables(Reasons *reasons) {
    static const TableColumn decided[] = {{TEXT("record"), COLUMN_TEXT},
                                          {TEXT("decision"), COLUMN_TEXT},
                                          {TEXT("probability"), COLUMN_PROBABILITY},
                                          {TEXT("what is said"), COLUMN_TEXT}};
    static const TableColumn columns[] = {{TEXT("record"), COLUMN_TEXT},
                                          {TEXT("number"), COLUMN_INTEGER},
                                          {TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("place"), COLUMN_TEXT},
                                          {TEXT("before"), COLUMN_PROBABILITY},
                                          {TEXT("after"), COLUMN_PROBABILITY},
                                          {TEXT("low"), COLUMN_PROBABILITY},
                                          {TEXT("high"), COLUMN_PROBABILITY},
                                          {TEXT("after at first"), COLUMN_PROBABILITY},
                                          {TEXT("p at first"), COLUMN_NUMBER},
                                          {TEXT("n"), COLUMN_INTEGER},
                                          {TEXT("fresh"), COLUMN_INTEGER}};
    static const TableColumn changes[] = {{TEXT("record"), COLUMN_TEXT}, {TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("with"), COLUMN_TOKEN},  {TEXT("decision"), COLUMN_TEXT},
                                          {TEXT("then"), COLUMN_TEXT},   {TEXT("probability"), COLUMN_PROBABILITY}};
    MethodCall *call = reasons->call;
    int32_t skip = unnamed(reasons);
    if (reasons->source != NULL) {
        reasons->decisions = result_add_table(reasons->result, "decisions",
                                              SAY(call, "What each person is told", "对每个人的说明"), decided, 4);
    }
    reasons->table =
        result_add_table(reasons->result, "reasons", SAY(call, "Reasons", "理由"), columns + skip, 12 - skip);
    result_block_note(reasons->result, "%s",
                      SAY(call,
                          "after: how likely the decision is with n other words there, drawn by another seed, with its "
                          "interval; fresh: how many of those had no part in choosing the word (0: no more words fit, "
                          "all there are were tried both times); at first: among all words tried, p counts them all",
                          "之后：另抽替换后作出该决定的平均概率及其区间；新替换数：其中未参与挑选该词的替换个数（0 "
                          "表示合适的词已全部用过，两次所试相同）；首次：逐词检验时的结果，p 已计入全部试过的词"));
    reasons->changes =
        result_add_table(reasons->result, "changes", SAY(call, "What would have turned it", "怎样会有不同的决定"),
                         changes + skip, 6 - skip);
}

limn_status reasons_add(Reasons *reasons, const Decided *decided) {
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = reasons_say(&text, decided);
    if (status == LIMN_OK && reasons->source == NULL) {
        result_headline(reasons->result, "%s", text.data);
        result_add_text(reasons->result, "reasons-text", SAY(reasons->call, "The decision", "决定"), text.data,
                        text.length, false);
        reasons_begin_tables(reasons);
    } else if (status == LIMN_OK) {
        const Value cells[] = {value_bytes(decided->record.bytes, decided->record.length),
                               value_bytes(decided->name.bytes, decided->name.length),
                               value_number(yardstick_clean(decided->why.yardstick).probability),
                               value_bytes(text.data, text.length)};
        table_row(reasons->decisions, cells);
    }
    text_buffer_free(&text);
    if (status == LIMN_OK) {
        add_reasons(reasons, decided);
        add_change(reasons, decided);
        reasons->explained += decided->n > 0;
        reasons->judged += decided->judged;
        reasons->held += decided->held;
    }
    return status;
}

/* ---- in all ---- */

void reasons_check(Reasons *reasons) {
    MethodCall *call = reasons->call;
    yardstick_check_plain(reasons->result, call, reasons->error);
    if (reasons->judged > 0) {
        result_check(reasons->result, "again", (double)reasons->held / (double)reasons->judged, CHECK_AT_LEAST,
                     least_held,
                     SAY(call,
                         "share of the causes found that were clear again with draws of another seed, those without "
                         "fresh ones left out",
                         "所找到的原因中，另抽替换再试时依然成立的比例（没有新替换可抽的不计）"));
    }
    double share = reasons->decided > 0 ? (double)reasons->explained / (double)reasons->decided : (double)NAN;
    const char *meaning =
        SAY(call, "share of decisions for which a specific reason survived", "有具体理由成立的决定所占比例");
    if (share >= 1.0) {
        result_check(reasons->result, "explained", share, CHECK_AT_LEAST, 1.0, "%s", meaning);
    } else {
        result_check_inconclusive(reasons->result, "explained", share, CHECK_AT_LEAST, 1.0, "%s", meaning);
    }
}

limn_status reasons_sum_up(Reasons *reasons) {
    MethodCall *call = reasons->call;
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_printf(&text,
                       SAY(call, "%lld decisions: specific reasons survived for %lld, none for %lld",
                           "%lld 项决定：%lld 项有具体理由成立，%lld 项没有"),
                       (long long)reasons->decided, (long long)reasons->explained,
                       (long long)(reasons->decided - reasons->explained));
    if (reasons->left_out > 0) {
        text_buffer_printf(&text, SAY(call, "; %lld decided otherwise were left out", "；另有 %lld 项决定不同，未列入"),
                           (long long)reasons->left_out);
    }
    limn_status status = text_buffer_status(&text);
    if (status == LIMN_OK) {
        result_headline(reasons->result, "%s", text.data);
        result_add_text(reasons->result, "reasons-text", SAY(call, "In all", "总计"), text.data, text.length, false);
        status = data_source_finish(reasons->source, reasons->result);
    }
    text_buffer_free(&text);
    return status;
}
