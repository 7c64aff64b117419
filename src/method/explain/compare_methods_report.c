/* What `limn compare methods` says. */
#include <math.h>
#include <stdio.h>

#include "method/explain/compare_methods.h"
#include "statistics/statistics.h"

static const double level = 0.95, least_correlation = 0.3;
enum { FEW_RECORDS = 5, POINTS = CURVE_POINTS + 2 };

double compare_mean_figure(const Compared *method, CompareFigure figure) {
    const FigureList *list = &method->figures[figure];
    double sum = 0.0;
    for (int32_t i = 0; i < list->n; i++) {
        sum += list->values[i];
    }
    return list->n > 0 ? sum / list->n : (double)NAN;
}

/* Methods by how well they predict replacement, the best first; those left out are not among them. */
static int32_t order_methods(const Comparing *comparing, int32_t *order) {
    int32_t n = 0;
    for (int32_t m = 0; m < comparing->n; m++) {
        if (comparing->methods[m].left_out) {
            continue;
        }
        double own = compare_mean_figure(&comparing->methods[m], FIGURE_REPLACEMENT);
        int32_t at = n++;
        for (; at > 0 && (isnan(compare_mean_figure(&comparing->methods[order[at - 1]], FIGURE_REPLACEMENT)) ||
                          own > compare_mean_figure(&comparing->methods[order[at - 1]], FIGURE_REPLACEMENT));
             at--) {
            order[at] = order[at - 1];
        }
        order[at] = m;
    }
    return n;
}

/* ---- tables ---- */

/* The figures of a method, the interval over records where there are several. */
static void add_method(const Comparing *comparing, TableBlock *table, const Compared *method) {
    const FigureList *ranks = &method->figures[FIGURE_REPLACEMENT];
    Interval interval = mean_interval(ranks->values, ranks->n, level);
    Value cells[FIGURES_SHOWN + 3] = {value_text(method->name),
                                      value_number(compare_mean_figure(method, FIGURE_REPLACEMENT))};
    int n = 2;
    if (comparing->records > 1) {
        cells[n++] = value_number(interval.low);
        cells[n++] = value_number(interval.high);
    }
    for (int f = FIGURE_SIZES; f < FIGURES_SHOWN; f++) {
        cells[n++] = value_number(compare_mean_figure(method, (CompareFigure)f));
    }
    table_row(table, cells);
}

static void show_methods(const Comparing *comparing, const int32_t *order, int32_t n) {
    static const TableColumn head[] = {{TEXT("method"), COLUMN_TEXT}, {TEXT("replacement"), COLUMN_NUMBER}},
                             interval[] = {{TEXT("low"), COLUMN_NUMBER}, {TEXT("high"), COLUMN_NUMBER}},
                             rest[] = {{TEXT("sizes"), COLUMN_NUMBER},
                                       {TEXT("cause"), COLUMN_NUMBER},
                                       {TEXT("comprehensiveness"), COLUMN_NUMBER},
                                       {TEXT("sufficiency"), COLUMN_NUMBER},
                                       {TEXT("infidelity"), COLUMN_NUMBER},
                                       {TEXT("sensitivity"), COLUMN_NUMBER},
                                       {TEXT("deviation"), COLUMN_NUMBER},
                                       {TEXT("sign flips"), COLUMN_PROBABILITY},
                                       {TEXT("rationale"), COLUMN_NUMBER}};
    const MethodCall *call = comparing->call;
    TableColumn columns[FIGURES_SHOWN + 3] = {head[0], head[1]};
    int32_t n_columns = 2;
    for (int i = 0; i < 2 && comparing->records > 1; i++) {
        columns[n_columns++] = interval[i];
    }
    for (int f = FIGURE_SIZES; f < FIGURES_SHOWN; f++) {
        columns[n_columns++] = rest[f - FIGURE_SIZES];
    }
    n_columns -= comparing->base_precision.n > 0 ? 0 : 1; /* nobody marked words */
    TableBlock *table =
        result_add_table(comparing->result, "methods",
                         SAY(call, "Which method predicts what exchanging words does", "哪种方法能预测替换词语的作用"),
                         columns, n_columns);
    for (int32_t i = 0; i < n; i++) {
        add_method(comparing, table, &comparing->methods[order[i]]);
    }
    result_block_note(
        comparing->result, "%s",
        SAY(call,
            "replacement, sizes: rank correlation with the effects of replacement, and of both without their signs; "
            "cause: "
            "effect of the word named first over the largest; comprehensiveness (high is good) and sufficiency (low is "
            "good): how far the answer falls without, or with only, the highest words; infidelity: share of what "
            "random "
            "exchanges do that is not predicted; sensitivity: change of the other scores when an idle word is another; "
            "deviation, sign flips: over seeds",
            "替换、绝对值：与替换作用的秩相关（后者不计正负）；因果：首推词的作用与最大作用之比；充分去除（越高越好）与"
            "充分性（越低越好）：去掉或只留最高得分的词时回答下降多少；不忠实度：随机替换的作用中未被预测的比例；敏感度"
            "：无关词改变时其余得分的变动；标准差、正负号翻转：不同随机种子之间"));
}

static void show_agreement(const Comparing *comparing, const int32_t *order, int32_t n) {
    static const TableColumn columns[] = {{TEXT("first"), COLUMN_TEXT},        {TEXT("second"), COLUMN_TEXT},
                                          {TEXT("spearman"), COLUMN_NUMBER},   {TEXT("kendall"), COLUMN_NUMBER},
                                          {TEXT("top 3"), COLUMN_PROBABILITY}, {TEXT("records"), COLUMN_INTEGER}};
    const MethodCall *call = comparing->call;
    MatrixBlock *map =
        result_add_matrix(comparing->result, "agreement-map", SAY(call, "Do they agree?", "各方法是否一致？"), n, n);
    for (int32_t i = 0; i < n; i++) {
        const char *name = comparing->methods[order[i]].name;
        Text label = text_of(name);
        matrix_label_row(map, i, label.bytes, label.length);
        matrix_label_column(map, i, label.bytes, label.length);
        for (int32_t k = 0; k < n; k++) {
            int32_t a = order[i] < order[k] ? order[i] : order[k], b = order[i] < order[k] ? order[k] : order[i];
            const PairFigures *pair = &comparing->pairs[a * comparing->n + b];
            matrix_set(map, i, k, i == k ? 1.0 : pair->n > 0 ? pair->spearman / pair->n : (double)NAN);
        }
    }
    result_block_note(comparing->result, "%s",
                      SAY(call, "mean rank correlation of their word scores", "词得分的平均秩相关"));
    TableBlock *table =
        result_add_table(comparing->result, "agreement", SAY(call, "Agreement, two by two", "两两一致度"), columns, 6);
    for (int32_t i = 0; i < n; i++) {
        for (int32_t k = i + 1; k < n; k++) {
            int32_t a = order[i] < order[k] ? order[i] : order[k], b = order[i] < order[k] ? order[k] : order[i];
            const PairFigures *pair = &comparing->pairs[a * comparing->n + b];
            double records = pair->n > 0 ? pair->n : (double)NAN;
            const Value cells[] = {value_text(comparing->methods[order[i]].name),
                                   value_text(comparing->methods[order[k]].name),
                                   value_number(pair->spearman / records),
                                   value_number(pair->kendall / records),
                                   value_number(pair->top / records),
                                   value_integer(pair->n)};
            table_row(table, cells);
        }
    }
    result_block_detail(comparing->result);
}

/* ---- curves ---- */

static void show_curve(const Comparing *comparing, const int32_t *order, int32_t n, bool insertion) {
    const MethodCall *call = comparing->call;
    double x[POINTS], y[POINTS];
    x[0] = 0.0;
    x[POINTS - 1] = 1.0;
    for (int p = 0; p < CURVE_POINTS; p++) {
        x[p + 1] = curve_shares[p];
    }
    SeriesBlock *series =
        result_add_series(comparing->result, insertion ? "insertion" : "deletion",
                          insertion ? SAY(call, "With the highest words alone", "只留得分最高的词")
                                    : SAY(call, "Without the highest words", "去掉得分最高的词"),
                          x, POINTS,
                          insertion ? SAY(call, "share of words kept", "保留的词的比例")
                                    : SAY(call, "share of words exchanged", "替换的词的比例"),
                          comparing->leads ? SAY(call, "lead of the target over its contrast", "目标对对照的领先")
                                           : SAY(call, "probability of the target", "目标的概率"));
    double clean = comparing->clean / comparing->records, all = comparing->all_exchanged / comparing->records;
    for (int32_t i = 0; i <= n; i++) {
        const Compared *method = &comparing->methods[i < n ? order[i] : comparing->n];
        y[0] = insertion ? all : clean;
        y[POINTS - 1] = insertion ? clean : all;
        for (int p = 0; p < CURVE_POINTS; p++) {
            y[p + 1] = (insertion ? method->insertion[p] : method->deletion[p]) / comparing->records;
        }
        series_line(series, method->name, y, NULL, NULL);
    }
    if (insertion) {
        result_block_detail(comparing->result);
    }
}

/* ---- one prompt ---- */

/* Each method's scores over its largest, beside the effects. */
static void show_scores(const Comparing *comparing, const CompareRecord *record, const int32_t *order, int32_t n) {
    const MethodCall *call = comparing->call;
    MatrixBlock *map =
        result_add_matrix(comparing->result, "scores", SAY(call, "What each says of each word", "各方法对每个词的评分"),
                          n + 1, record->words.n);
    for (int32_t i = 0; i <= n; i++) {
        const double *scores = i == 0 ? record->effects : comparing->methods[order[i - 1]].scores;
        Text name = text_of(i == 0 ? SAY(call, "replacement", "替换") : comparing->methods[order[i - 1]].name);
        double largest = 0.0;
        matrix_label_row(map, i, name.bytes, name.length);
        for (int32_t w = 0; w < record->words.n; w++) {
            largest = fmax(largest, fabs(scores[w]));
        }
        for (int32_t w = 0; w < record->words.n; w++) {
            matrix_set(map, i, w, largest > 0.0 ? scores[w] / largest : scores[w]);
        }
    }
    for (int32_t w = 0; w < record->words.n; w++) {
        Text text = run_text(record->call, comparing->model, record->prompt, record->words.begins[w],
                             record->words.begins[w + 1]);
        matrix_label_column(map, w, text.bytes, text.length);
    }
    result_block_note(comparing->result, "%s",
                      SAY(call,
                          "of each row's largest size; replacement: how far the lead falls with other words there",
                          "各行均除以其最大绝对值；替换：换成别的词后领先量下降多少"));
}

/* ---- verdict ---- */

/* Who finds best what people marked. */
static void say_without_exchanges(const Comparing *comparing, const int32_t *order, int32_t n) {
    const MethodCall *call = comparing->call;
    const Compared *best = NULL;
    for (int32_t i = 0; i < n; i++) {
        const Compared *method = &comparing->methods[order[i]];
        best = best == NULL || compare_mean_figure(method, FIGURE_AUPRC) > compare_mean_figure(best, FIGURE_AUPRC)
                   ? method
                   : best;
    }
    double area = best == NULL ? (double)NAN : compare_mean_figure(best, FIGURE_AUPRC);
    if (isnan(area)) {
        result_headline(
            comparing->result, "%s",
            SAY(call, "How far the methods agree; no word was exchanged", "各方法的一致程度；未替换任何词"));
    } else {
        result_headline(comparing->result,
                        SAY(call, "%s finds best what people marked: area under precision over recall %.2f",
                            "%s 最能找到人工标注的词：精确率—召回率曲线下面积 %.2f"),
                        best->name, area);
    }
}

static void say_headline(const Comparing *comparing, const int32_t *order, int32_t n) {
    const MethodCall *call = comparing->call;
    double best = n > 0 ? compare_mean_figure(&comparing->methods[order[0]], FIGURE_REPLACEMENT) : (double)NAN;
    if (!compare_exchanges(comparing)) {
        say_without_exchanges(comparing, order, n);
        return;
    }
    if (isnan(best)) {
        result_headline(comparing->result, "%s",
                        SAY(call, "Nothing to compare: no two words have different effects", "无从比较：各词作用相同"));
        return;
    }
    TextBuffer line = TEXT_BUFFER_INIT;
    text_buffer_printf(&line,
                       SAY(call, "%s predicts best what exchanging words does: rank correlation %.2f",
                           "%s 最能预测替换词语的作用：秩相关 %.2f"),
                       comparing->methods[order[0]].name, best);
    if (n > 1) {
        text_buffer_printf(&line, SAY(call, "; then %s (%.2f)", "；其次 %s（%.2f）"), comparing->methods[order[1]].name,
                           compare_mean_figure(&comparing->methods[order[1]], FIGURE_REPLACEMENT));
    }
    text_buffer_printf(&line,
                       comparing->records == 1 ? SAY(call, ", on one prompt", "，仅一个提示")
                                               : SAY(call, ", over %d records", "，共 %d 条记录"),
                       (int)comparing->records);
    if (!line.failed) {
        result_headline(comparing->result, "%.*s", (int)line.length, line.data);
    }
    text_buffer_free(&line);
}

static void check(const Comparing *comparing, const int32_t *order, int32_t n) {
    const MethodCall *call = comparing->call;
    const Compared *best = n > 0 ? &comparing->methods[order[0]] : NULL;
    const Compared *random = &comparing->methods[comparing->n];
    if (best == NULL || isnan(compare_mean_figure(best, FIGURE_REPLACEMENT))) {
        return;
    }
    const FigureList *ranks = &best->figures[FIGURE_REPLACEMENT];
    const char *meaning = SAY(call, "mean rank correlation of %s, the best here, with the effects of replacement",
                              "最佳方法 %s 与替换作用的平均秩相关");
    if (ranks->n < FEW_RECORDS && comparing->records > 1) { /* ranks of few words of few prompts agree by chance */
        result_check_inconclusive(comparing->result, "replacement", compare_mean_figure(best, FIGURE_REPLACEMENT),
                                  CHECK_AT_LEAST, least_correlation, meaning, best->name);
        result_check_advisory(comparing->result);
    } else if (comparing->records > 1) {
        result_check(comparing->result, "replacement", mean_interval(ranks->values, ranks->n, level).low,
                     CHECK_AT_LEAST, least_correlation,
                     SAY(call,
                         "the lower end (95%%) of the mean rank correlation of %s, the best here, with the effects of "
                         "replacement",
                         "最佳方法 %s 与替换作用的平均秩相关的下限（95%%）"),
                     best->name);
    }
    result_check(
        comparing->result, "better than chance",
        compare_mean_figure(best, FIGURE_COMPREHENSIVENESS) - compare_mean_figure(random, FIGURE_COMPREHENSIVENESS),
        CHECK_ABOVE, 0.0,
        SAY(call, "how much further exchanging the words that %s calls strongest lowers the answer than random ones",
            "替换 %s 认为最强的词比随机替换多降低回答多少"),
        best->name);
}

static void remark(const Comparing *comparing) {
    const MethodCall *call = comparing->call;
    if (comparing->records == 1) {
        result_warn(comparing->result, "%s",
                    SAY(call, "one prompt: ranks of few words agree or differ by chance; --data FILE says more",
                        "只有一个提示：少数词的排名可能偶然一致或不一致；--data FILE 更可靠"));
    }
    if (comparing->no_rationale > 0) {
        result_warn(comparing->result,
                    SAY(call, "the rationales of %d records do not stand in their prompts and are not counted",
                        "%d 条记录的标注不在提示中，未计入"),
                    (int)comparing->no_rationale);
    }
    if (comparing->base_precision.n > 0) {
        const Compared base = {.figures = {[0] = comparing->base_precision}};
        result_param_number(comparing->result, "rationale-by-chance", compare_mean_figure(&base, (CompareFigure)0));
        result_param_integer(comparing->result, "rationales", comparing->base_precision.n);
    }
}

limn_status compare_methods_report(Comparing *comparing, const CompareRecord *only) {
    int32_t *order = ARENA_ARRAY(comparing->call->arena, int32_t, comparing->n + 1);
    if (order == NULL) {
        return method_no_memory(comparing->call);
    }
    int32_t n = order_methods(comparing, order);
    result_param_integer(comparing->result, "records", comparing->records);
    say_headline(comparing, order, n);
    remark(comparing);
    show_methods(comparing, order, n);
    if (only != NULL) {
        show_scores(comparing, only, order, n);
    }
    TRY(compare_rationale_report(comparing, order, n));
    show_agreement(comparing, order, n);
    if (compare_exchanges(comparing)) {
        show_curve(comparing, order, n, false);
        show_curve(comparing, order, n, true);
    }
    check(comparing, order, n);
    return result_status(comparing->result);
}
