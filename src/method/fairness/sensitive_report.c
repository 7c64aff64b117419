/* What `limn sensitive` says: the strongest finding first, or that there is none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "measure/answer.h"
#include "method/fairness/sensitive.h"

enum { QUANTILES = 21, CHART_LINES = 3 };

const char *sensitive_contrast_name(const Sensitive *work, const Contrast *contrast) {
    const ProtectedCategory *category = sensitive_category(work, contrast->category);
    const char *name = arena_printf(work->call->arena, SAY(work->call, "%s rather than %s", "%s 而非 %s"),
                                    category->sides[contrast->first].bytes, category->sides[contrast->second].bytes);
    return name != NULL ? name : "";
}

static Value text_cell(Text text) {
    return value_bytes(text.bytes, text.length);
}

static Text word_text(const Sensitive *work, int32_t word) {
    return work->lists.words[word].text;
}

static void interval_cells(Value *cells, Interval interval) {
    cells[0] = value_number(interval.value);
    cells[1] = value_number(interval.low);
    cells[2] = value_number(interval.high);
}

/* ---- the headline ---- */

static void headline(const Sensitive *work) {
    const char *target = work->names.names[work->target].bytes;
    int32_t raised = 0;
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        raised += work->contrasts[k].raised;
    }
    if (raised == 0) {
        result_headline(
            work->result,
            SAY(work->call,
                "no protected words move \"%s\" more than ordinary words in their place do: %d comparisons in "
                "%d records",
                "没有哪类受保护词对「%s」的影响超过同位置的普通词：%d 组比较，%d 条记录"),
            target, (int)work->n_contrasts, (int)work->touched);
        return;
    }
    const Contrast *first = &work->contrasts[0];
    const ProtectedCategory *category = sensitive_category(work, first->category);
    result_headline(work->result,
                    SAY(work->call,
                        "%s: %s moves the lead of \"%s\" by %+.2f (%+.2f to %+.2f; two ordinary words there: %.2f) and "
                        "turns %lld of %lld decisions to it, %lld from it%s",
                        "%s：%s，「%s」的领先变化 %+.2f（%+.2f 至 %+.2f；该处两个普通词之间：%.2f），%lld/%lld "
                        "个判定变为它，%lld 个不再是它%s"),
                    category->name.bytes, sensitive_contrast_name(work, first), target, first->shift.value,
                    first->shift.low, first->shift.high, first->ordinary, (long long)first->gained, (long long)first->n,
                    (long long)first->lost,
                    raised > 1 ? arena_printf(work->call->arena, SAY(work->call, "; %d more raised", "；另有 %d 项"),
                                              (int)raised - 1)
                               : "");
}

/* ---- tables ---- */

static void name_cells(const Sensitive *work, Value *cells, const Contrast *one) {
    const ProtectedCategory *category = sensitive_category(work, one->category);
    cells[0] = text_cell(category->name);
    cells[1] = text_cell(category->sides[one->first]);
    cells[2] = text_cell(category->sides[one->second]);
}

static void report_categories(const Sensitive *work) {
    static const TableColumn columns[] = {
        {TEXT("category"), COLUMN_TEXT},   {TEXT("first"), COLUMN_TEXT},   {TEXT("second"), COLUMN_TEXT},
        {TEXT("records"), COLUMN_INTEGER}, {TEXT("shift"), COLUMN_SIGNED}, {TEXT("low"), COLUMN_SIGNED},
        {TEXT("high"), COLUMN_SIGNED},     {TEXT("p"), COLUMN_NUMBER},     {TEXT("raised"), COLUMN_FLAG}};
    TableBlock *table =
        result_add_table(work->result, "categories",
                         SAY(work->call, "What exchanging protected words does", "互换受保护词的效果"), columns, 9);
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        const Contrast *one = &work->contrasts[k];
        Value cells[9];
        name_cells(work, cells, one);
        cells[3] = value_integer(one->n);
        interval_cells(cells + 4, one->shift);
        cells[7] = value_number(one->p);
        cells[8] = value_bool(one->raised);
        table_row(table, cells);
    }
    result_block_unit(work->result, answer_unit(work->call, ANSWER_LEAD));
    result_block_note(
        work->result,
        SAY(work->call,
            "shift: mean lead of \"%s\" with words of the first side less that with the second, in the same records; "
            "low to high: 95%% for all %d together; p: sign flips by record, max-T. raised: p at most 0.05, and "
            "against "
            "ordinary words too (next table)",
            "变化：同一批记录中，「%s」在第一方用词下的平均领先减去第二方的；下限至上限：全部 %d "
            "项同时成立的 95%% 区间；p：按记录翻转符号，max-T。提示：p 不超过 0.05，且相对普通词亦然（见下表）"),
        work->names.names[work->target].bytes, (int)work->n_contrasts);
}

/* The null: what any two words in that place do. */
static void report_ordinary(const Sensitive *work) {
    static const TableColumn columns[] = {{TEXT("category"), COLUMN_TEXT},   {TEXT("first"), COLUMN_TEXT},
                                          {TEXT("second"), COLUMN_TEXT},     {TEXT("shift"), COLUMN_SIGNED},
                                          {TEXT("ordinary"), COLUMN_NUMBER}, {TEXT("p"), COLUMN_NUMBER}};
    if (work->params->ordinary == 0) {
        return;
    }
    TableBlock *table = result_add_table(work->result, "ordinary",
                                         SAY(work->call, "Against ordinary words", "与普通词相比"), columns, 6);
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        const Contrast *one = &work->contrasts[k];
        Value cells[6];
        name_cells(work, cells, one);
        cells[3] = value_number(one->shift.value);
        cells[4] = value_number(one->ordinary);
        cells[5] = value_number(one->p_ordinary);
        table_row(table, cells);
    }
    result_block_note(
        work->result,
        SAY(work->call,
            "ordinary: what two of %d ordinary words of the same kind in that place differ by; p: how often "
            "two of them lie as far apart (Student, Holm)",
            "普通词：该处 %d 个同类普通词两两之间的差；p：其中两个相差如此之大的概率（Student，Holm）"),
        (int)work->params->ordinary);
}

static void report_decisions(const Sensitive *work) {
    static const TableColumn columns[] = {{TEXT("category"), COLUMN_TEXT},  {TEXT("first"), COLUMN_TEXT},
                                          {TEXT("second"), COLUMN_TEXT},    {TEXT("records"), COLUMN_INTEGER},
                                          {TEXT("gained"), COLUMN_INTEGER}, {TEXT("lost"), COLUMN_INTEGER},
                                          {TEXT("change"), COLUMN_SHARE},   {TEXT("low"), COLUMN_SIGNED},
                                          {TEXT("high"), COLUMN_SIGNED},    {TEXT("p"), COLUMN_NUMBER}};
    TableBlock *table = result_add_table(work->result, "decisions",
                                         SAY(work->call, "Decisions that turn", "随之改变的判定"), columns, 10);
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        const Contrast *one = &work->contrasts[k];
        Value cells[10];
        name_cells(work, cells, one);
        cells[3] = value_integer(one->n);
        cells[4] = value_integer(one->gained);
        cells[5] = value_integer(one->lost);
        interval_cells(cells + 6, one->change);
        cells[9] = value_number(one->p_decisions);
        table_row(table, cells);
    }
    result_block_note(
        work->result,
        SAY(work->call,
            "gained, lost: decided \"%s\" with the first side's words only, with the second's only; change: "
            "their difference over the records, Tango's 95%% interval; p: McNemar's exact test, Holm",
            "增加、减少：仅在第一方、仅在第二方用词下判定为「%s」；变化：二者之差除以记录数，Tango 95%% "
            "区间；p：McNemar 精确检验，Holm"),
        work->names.names[work->target].bytes);
}

static void report_pairs(const Sensitive *work) {
    static const TableColumn columns[] = {{TEXT("category"), COLUMN_TEXT},  {TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("other"), COLUMN_TOKEN},    {TEXT("records"), COLUMN_INTEGER},
                                          {TEXT("shift"), COLUMN_SIGNED},   {TEXT("low"), COLUMN_SIGNED},
                                          {TEXT("high"), COLUMN_SIGNED},    {TEXT("p"), COLUMN_NUMBER},
                                          {TEXT("gained"), COLUMN_INTEGER}, {TEXT("lost"), COLUMN_INTEGER}};
    TableBlock *table =
        result_add_table(work->result, "pairs", SAY(work->call, "Word for word", "逐词对照"), columns, 10);
    int32_t shown = work->n_pairs < work->params->top ? work->n_pairs : (int32_t)work->params->top;
    for (int32_t k = 0; k < shown; k++) {
        const PairFigure *one = &work->pairs[k];
        Value cells[10] = {text_cell(sensitive_category(work, protected_category(&work->lists, one->word))->name),
                           text_cell(word_text(work, one->word)), text_cell(word_text(work, one->other)),
                           value_integer(one->n)};
        interval_cells(cells + 4, one->shift);
        cells[7] = value_number(one->p);
        cells[8] = value_integer(one->gained);
        cells[9] = value_integer(one->lost);
        table_row(table, cells);
    }
    result_block_note(work->result,
                      SAY(work->call,
                          "%d of %d pairs, those of %d records and more first, by size; low to high: 95%% for each by "
                          "itself, p for all of them; a record with several words counts for each",
                          "显示 %d 对，共 %d 对；记录数不少于 %d 的在前，按大小排列；下限至上限：各自的 95%% "
                          "区间，p 针对全部；含多个词的记录对每个词都计入"),
                      (int)shown, (int)work->n_pairs, SENSITIVE_LEAST);
}

static void report_turned(const Sensitive *work) {
    static const TableColumn columns[] = {{TEXT("record"), COLUMN_TEXT},      {TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("other"), COLUMN_TOKEN},      {TEXT("decision"), COLUMN_TEXT},
                                          {TEXT("then"), COLUMN_TEXT},        {TEXT("lead"), COLUMN_SIGNED},
                                          {TEXT("lead then"), COLUMN_SIGNED}, {TEXT("prompt"), COLUMN_TOKEN}};
    if (work->n_turned == 0) {
        return;
    }
    TableBlock *table = result_add_table(
        work->result, "turned", SAY(work->call, "Records whose decision turns", "判定随之改变的记录"), columns, 8);
    for (int32_t i = 0; i < work->n_turned; i++) {
        const TurnedCase *one = &work->turned[i];
        const Value cells[] = {text_cell(one->id),
                               text_cell(word_text(work, one->word)),
                               one->other >= 0 ? text_cell(word_text(work, one->other)) : value_null(),
                               text_cell(work->names.names[one->before]),
                               text_cell(work->names.names[one->after]),
                               value_number(one->lead_before),
                               value_number(one->lead_after),
                               text_cell(one->prompt)};
        table_row(table, cells);
    }
    result_block_note(work->result, "%s",
                      SAY(work->call, "as the record is, and with the other word; those whose lead moved most",
                          "记录原样，与换成另一词之后；领先变化最大者"));
}

static void report_shares(const Sensitive *work) {
    static const TableColumn columns[] = {{TEXT("category"), COLUMN_TEXT},      {TEXT("records"), COLUMN_INTEGER},
                                          {TEXT("share"), COLUMN_PROBABILITY},  {TEXT("low"), COLUMN_PROBABILITY},
                                          {TEXT("high"), COLUMN_PROBABILITY},   {TEXT("others"), COLUMN_PROBABILITY},
                                          {TEXT("excess"), COLUMN_SHARE},       {TEXT("excess low"), COLUMN_SIGNED},
                                          {TEXT("excess high"), COLUMN_SIGNED}, {TEXT("p"), COLUMN_NUMBER}};
    if (work->n_share_figures == 0) {
        return;
    }
    TableBlock *table =
        result_add_table(work->result, "attribution", SAY(work->call, "Share of attribution", "归因占比"), columns, 10);
    for (int32_t k = 0; k < work->n_share_figures; k++) {
        const ShareFigure *one = &work->share_figures[k];
        Value cells[10] = {text_cell(sensitive_category(work, one->category)->name), value_integer(one->n)};
        interval_cells(cells + 2, one->share);
        cells[5] = value_number(one->random.value);
        interval_cells(cells + 6, one->excess);
        cells[9] = value_number(one->p);
        table_row(table, cells);
    }
    result_block_note(
        work->result,
        SAY(work->call,
            "by %s: the sum of |score| over the category's words, of that over all words of the record; "
            "others: what as many unprotected words of their kind have; p: excess above 0, sign flips, "
            "max-T; intervals at 95%% for all categories together",
            "方法 %s：该类词的 |得分| 之和占记录全部词的比例；其他词：同样数量的同类非保护词的占比；p：超出 "
            "大于 0，翻转符号，max-T；区间为所有类别同时成立的 95%%"),
        work->method->command.name);
}

/* ---- the picture ---- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void quantiles(double *out, double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, ascending);
    for (int32_t q = 0; q < QUANTILES; q++) {
        double at = (double)q / (QUANTILES - 1) * (double)(n - 1);
        int64_t below = (int64_t)at;
        double rest = at - (double)below;
        out[q] = values[below] + (below + 1 < n ? rest * (values[below + 1] - values[below]) : 0);
    }
}

/* Shifts of records from the smallest to the largest, beside those between two ordinary words. */
static limn_status report_chart(const Sensitive *work) {
    double x[QUANTILES], y[QUANTILES];
    int32_t words = (int32_t)work->params->ordinary;
    double *values = malloc(((size_t)work->n_cases * (size_t)(words + 1) + 1) * sizeof *values);
    if (values == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t q = 0; q < QUANTILES; q++) {
        x[q] = (double)q / (QUANTILES - 1);
    }
    SeriesBlock *series = result_add_series(
        work->result, "shifts", SAY(work->call, "Shift in each record", "各记录的变化"), x, QUANTILES,
        SAY(work->call, "share of records", "记录占比"), SAY(work->call, "shift of the lead", "领先的变化"));
    for (int32_t k = 0; k < work->n_contrasts && k < CHART_LINES; k++) {
        const Contrast *one = &work->contrasts[k];
        int64_t n = 0;
        for (int32_t i = 0; i < work->n_cases; i++) {
            const SwapCase *record = &work->cases[i];
            bool there = record->category == one->category && !isnan(record->leads[one->first]) &&
                         !isnan(record->leads[one->second]);
            if (there) {
                values[n++] = record->leads[one->first] - record->leads[one->second];
            }
        }
        quantiles(y, values, n);
        series_line(series, sensitive_contrast_name(work, one), y, NULL, NULL);
    }
    int64_t n = 0;
    for (int32_t i = 0; i < work->n_cases; i++) {
        for (int32_t k = 0; work->cases[i].ordinary != NULL && k + 1 < words; k += 2) {
            double shift = work->cases[i].ordinary[k] - work->cases[i].ordinary[k + 1];
            if (!isnan(shift)) {
                values[n++] = shift;
            }
        }
    }
    if (n > 0) {
        quantiles(y, values, n);
        series_line(series, SAY(work->call, "ordinary words", "普通词"), y, NULL, NULL);
    }
    free(values);
    result_block_note(work->result, "%s",
                      SAY(work->call,
                          "each line: the records' shifts from the smallest to the largest; a line that lies "
                          "off 0 as a whole is a shift that most records share",
                          "每条线：各记录的变化由小到大；整条线偏离 0 即多数记录共有的变化"));
    return LIMN_OK;
}

/* ---- all of it ---- */

static void warn(const Sensitive *work) {
    int64_t mixed = 0;
    for (int32_t c = 0; c < work->lists.n_categories; c++) {
        mixed += work->mixed[c];
    }
    if (mixed > 0) {
        result_warn(work->result,
                    SAY(work->call, "%lld records hold words of several sides of one category and are left out of it",
                        "%lld 条记录含有同一类别多方的词，未计入该类别"),
                    (long long)mixed);
    }
    if (work->unexplained > 0) {
        result_warn(work->result,
                    SAY(work->call, "%lld records could not be explained and have no part in shares",
                        "%lld 条记录无法解释，未计入占比"),
                    (long long)work->unexplained);
    }
}

static void check(const Sensitive *work) {
    bool bf16 = engine_compute(work->engine) == COMPUTE_BF16;
    result_check(
        work->result, "finite probabilities", (double)work->not_finite, CHECK_AT_MOST, 0, "%s",
        SAY(work->call, "versions with a choice whose probability is not a number", "某个选项的概率不是数的版本"));
    if (!isnan(work->recheck)) {
        result_check(work->result, "plain pass", work->recheck, CHECK_AT_MOST, bf16 ? 0.5 : 1e-3, "%s",
                     SAY(work->call, "difference of a version's lead in a pass by itself and among the others",
                         "某一版本单独计算与一并计算所得领先之差"));
    }
}

limn_status sensitive_report(Sensitive *work) {
    TRY(data_source_finish(work->source, work->result));
    if (work->touched == 0) {
        int32_t n = 0;
        for (int32_t w = 0; w < work->lists.n_words; w++) {
            n += sensitive_category(work, protected_category(&work->lists, w))->asked;
        }
        return fail(LIMN_USAGE, "%s: none of %lld records holds any of the %d words of %s on one side alone",
                    data_source_path(work->source), (long long)work->records, (int)n,
                    work->params->words.bytes != NULL ? work->params->words.bytes : "the shipped lists");
    }
    check(work);
    TRY(sensitive_judge_limits(work));
    headline(work);
    warn(work);
    report_categories(work);
    report_ordinary(work);
    report_decisions(work);
    report_pairs(work);
    TRY(report_chart(work));
    report_shares(work);
    report_turned(work);
    TRY(sensitive_report_groups(work));
    return result_status(work->result);
}
