/* Decisions on a data set, as they are shown: measures, choices, calibration, the surest mistakes. */
#include <math.h>

#include "method/data/predict.h"

/* Below this the choices together are not what the model would say. */
static const double little_mass = 0.01;

static void interval_cells(Value *cells, Interval interval) {
    cells[0] = value_number(interval.value);
    cells[1] = value_number(interval.low);
    cells[2] = value_number(interval.high);
}

static void measure_row(TableBlock *table, const char *name, Interval interval, const char *how) {
    Value cells[5] = {value_text(name)};
    interval_cells(cells + 1, interval);
    cells[4] = value_text(how);
    table_row(table, cells);
}

static Interval bare(double value) {
    return (Interval){value, (double)NAN, (double)NAN};
}

/* The share of the commonest label: what always saying it would reach. */
static Interval majority(const Predictor *predictor) {
    const Metrics *metrics = &predictor->metrics;
    int64_t most = 0;
    for (int32_t c = 0; c < predictor->n; c++) {
        int64_t n = 0;
        for (int32_t k = 0; k < predictor->n; k++) {
            n += metrics->confusion[(size_t)c * (size_t)predictor->n + (size_t)k];
        }
        most = n > most ? n : most;
    }
    return wilson_interval(most, (int64_t)metrics->sums.n);
}

static void report_measures(Predictor *predictor) {
    static const TableColumn columns[] = {{TEXT("measure"), COLUMN_NAME},
                                          {TEXT("value"), COLUMN_NUMBER},
                                          {TEXT("low"), COLUMN_NUMBER},
                                          {TEXT("high"), COLUMN_NUMBER},
                                          {TEXT("interval"), COLUMN_NAME}};
    static const char wilson[] = "Wilson";
    static const char bootstrap[] = "bootstrap";
    const Metrics *metrics = &predictor->metrics;
    TableBlock *table =
        result_add_table(predictor->result, "measures", SAY(predictor->call, "Measures", "度量"), columns, 5);
    result_block_note(
        predictor->result,
        SAY(predictor->call,
            "95%% intervals; bootstrap: percentiles of %d replicates. ECE over %d bins (of resamples it is "
            "somewhat larger than of the sample); Brier from 0 to 2; log-loss in nats",
            "95%% 区间；bootstrap：%d 次重抽样的百分位数。ECE 分 %d 箱（重抽样所得比样本略大）；Brier 取值 0 到 "
            "2；log-loss 单位为 nat"),
        METRIC_REPLICATES, METRIC_BINS);
    measure_row(table, "accuracy", metrics_accuracy(metrics), wilson);
    measure_row(table, "always the commonest label", majority(predictor), wilson);
    measure_row(table, "macro F1", metrics_macro_f1(metrics), bootstrap);
    measure_row(table, "calibration error (ECE)", metrics_ece(metrics), bootstrap);
    measure_row(table, "Brier score", metrics_brier(metrics), bootstrap);
    measure_row(table, "log-loss", metrics_log_loss(metrics), bootstrap);
    measure_row(table, "mean probability of all choices", bare(predictor->sum_mass / (double)metrics->decisions),
                "none");
}

static void report_choices(Predictor *predictor, bool labelled) {
    static const TableColumn columns[] = {{TEXT("choice"), COLUMN_TOKEN},
                                          {TEXT("name"), COLUMN_TEXT},
                                          {TEXT("chosen"), COLUMN_INTEGER},
                                          {TEXT("share"), COLUMN_PROBABILITY},
                                          {TEXT("low"), COLUMN_PROBABILITY},
                                          {TEXT("high"), COLUMN_PROBABILITY},
                                          {TEXT("mean probability"), COLUMN_PROBABILITY}};
    static const TableColumn rates[] = {{TEXT("name"), COLUMN_TEXT},
                                        {TEXT("labelled"), COLUMN_INTEGER},
                                        {TEXT("precision"), COLUMN_PROBABILITY},
                                        {TEXT("precision low"), COLUMN_PROBABILITY},
                                        {TEXT("precision high"), COLUMN_PROBABILITY},
                                        {TEXT("recall"), COLUMN_PROBABILITY},
                                        {TEXT("recall low"), COLUMN_PROBABILITY},
                                        {TEXT("recall high"), COLUMN_PROBABILITY},
                                        {TEXT("F1"), COLUMN_PROBABILITY},
                                        {TEXT("F1 low"), COLUMN_PROBABILITY},
                                        {TEXT("F1 high"), COLUMN_PROBABILITY}};
    const Metrics *metrics = &predictor->metrics;
    TableBlock *table =
        result_add_table(predictor->result, "choices", SAY(predictor->call, "Choices", "选项"), columns, 7);
    for (int32_t c = 0; c < predictor->n; c++) {
        Text choice = predictor->choices[c];
        Interval share = wilson_interval(metrics->chosen[c], metrics->decisions);
        Value cells[] = {value_bytes(choice.bytes, choice.length),
                         value_bytes(predictor->names[c].bytes, predictor->names[c].length),
                         value_integer(metrics->chosen[c]),
                         value_number(share.value),
                         value_number(share.low),
                         value_number(share.high),
                         value_number(metrics->mass[c] / (double)metrics->decisions)};
        table_row(table, cells);
    }
    if (!labelled) {
        return;
    }
    table = result_add_table(predictor->result, "rates", SAY(predictor->call, "Precision and recall", "精确率与召回率"),
                             rates, 11);
    result_block_note(predictor->result, "%s",
                      SAY(predictor->call, "precision and recall with Wilson's interval, F1 by bootstrap",
                          "精确率与召回率为 Wilson 区间，F1 用 bootstrap"));
    for (int32_t c = 0; c < predictor->n; c++) {
        int64_t n = 0;
        for (int32_t k = 0; k < predictor->n; k++) {
            n += metrics->confusion[(size_t)c * (size_t)predictor->n + (size_t)k];
        }
        Value cells[11] = {value_bytes(predictor->names[c].bytes, predictor->names[c].length), value_integer(n)};
        interval_cells(cells + 2, metrics_precision(metrics, c));
        interval_cells(cells + 5, metrics_recall(metrics, c));
        interval_cells(cells + 8, metrics_f1(metrics, c));
        table_row(table, cells);
    }
}

static void report_confusion(Predictor *predictor) {
    MatrixBlock *matrix = result_add_matrix(predictor->result, "confusion",
                                            SAY(predictor->call, "Confusion", "混淆矩阵"), predictor->n, predictor->n);
    matrix_titles(matrix, "label", "decision");
    if (matrix != NULL) {
        matrix->is_signed = false;
    }
    for (int32_t i = 0; i < predictor->n; i++) {
        matrix_label_row(matrix, i, predictor->names[i].bytes, predictor->names[i].length);
        matrix_label_column(matrix, i, predictor->names[i].bytes, predictor->names[i].length);
        for (int32_t k = 0; k < predictor->n; k++) {
            matrix_set(matrix, i, k,
                       (double)predictor->metrics.confusion[(size_t)i * (size_t)predictor->n + (size_t)k]);
        }
    }
}

static void report_reliability(Predictor *predictor) {
    static const TableColumn columns[] = {
        {TEXT("from"), COLUMN_PROBABILITY},     {TEXT("to"), COLUMN_PROBABILITY},
        {TEXT("records"), COLUMN_INTEGER},      {TEXT("mean probability"), COLUMN_PROBABILITY},
        {TEXT("accuracy"), COLUMN_PROBABILITY}, {TEXT("low"), COLUMN_PROBABILITY},
        {TEXT("high"), COLUMN_PROBABILITY}};
    TableBlock *table =
        result_add_table(predictor->result, "reliability", SAY(predictor->call, "Reliability", "可靠度"), columns, 7);
    result_block_note(predictor->result, "%s",
                      SAY(predictor->call,
                          "by the probability of the decision among the choices; bins without records "
                          "are left out; intervals are Wilson's",
                          "按判定在各选项中的概率分箱；没有记录的箱不列出；区间为 Wilson 区间"));
    for (int b = 0; b < METRIC_BINS; b++) {
        const ReliabilityBin *bin = &predictor->metrics.sums.bins[b];
        if (bin->n <= 0) {
            continue;
        }
        Value cells[7] = {value_number((double)b / METRIC_BINS), value_number((double)(b + 1) / METRIC_BINS),
                          value_integer((int64_t)bin->n), value_number(bin->confidence / bin->n)};
        interval_cells(cells + 4, wilson_interval((int64_t)bin->correct, (int64_t)bin->n));
        table_row(table, cells);
    }
}

/* The same bins as a line: how often decisions of a probability are right, beside how often they should be. The ends of
 * the scale are there so that charts of several models show the same part of it. */
static void report_calibration(Predictor *predictor) {
    double x[METRIC_BINS + 2], ideal[METRIC_BINS + 2], right[METRIC_BINS + 2], low[METRIC_BINS + 2],
        high[METRIC_BINS + 2];
    int32_t n = 1;
    x[0] = ideal[0] = 0;
    right[0] = low[0] = high[0] = (double)NAN;
    for (int b = 0; b < METRIC_BINS; b++) {
        const ReliabilityBin *bin = &predictor->metrics.sums.bins[b];
        if (bin->n > 0) {
            Interval rate = wilson_interval((int64_t)bin->correct, (int64_t)bin->n);
            x[n] = ideal[n] = bin->confidence / bin->n;
            right[n] = rate.value;
            low[n] = rate.low;
            high[n++] = rate.high;
        }
    }
    x[n] = ideal[n] = 1;
    right[n] = low[n] = high[n] = (double)NAN;
    SeriesBlock *series =
        result_add_series(predictor->result, "calibration", SAY(predictor->call, "Calibration", "校准"), x, n + 1,
                          SAY(predictor->call, "probability of the decision", "判定的概率"),
                          SAY(predictor->call, "share that is right", "判定正确的比例"));
    series_line(series, SAY(predictor->call, "found", "实测"), right, low, high);
    series_line(series, SAY(predictor->call, "as it should be", "应有"), ideal, NULL, NULL);
    result_block_note(predictor->result, "%s",
                      SAY(predictor->call,
                          "below the line of what should be, the model is surer than it is right; the band "
                          "is Wilson's 95% interval of each bin",
                          "低于应有之线处，模型比实际更自信；阴影为各箱的 Wilson 区间（95%）"));
}

static void report_mistakes(Predictor *predictor) {
    static const TableColumn columns[] = {{TEXT("record"), COLUMN_TEXT},
                                          {TEXT("label"), COLUMN_TEXT},
                                          {TEXT("decision"), COLUMN_TEXT},
                                          {TEXT("probability"), COLUMN_PROBABILITY},
                                          {TEXT("prompt"), COLUMN_TOKEN}};
    TableBlock *table = result_add_table(predictor->result, "mistakes",
                                         SAY(predictor->call, "Surest mistakes", "最有把握的错误"), columns, 5);
    for (int32_t i = 0; i < predictor->n_mistakes; i++) {
        const Mistake *mistake = &predictor->mistakes[i];
        Text label = predictor->names[mistake->label];
        Text choice = predictor->names[mistake->choice];
        Value cells[] = {value_bytes(mistake->id.bytes, mistake->id.length), value_bytes(label.bytes, label.length),
                         value_bytes(choice.bytes, choice.length), value_number(mistake->confidence),
                         value_bytes(mistake->prompt.bytes, mistake->prompt.length)};
        table_row(table, cells);
    }
}

static void report_headline(Predictor *predictor, bool labelled) {
    const Metrics *metrics = &predictor->metrics;
    if (labelled) {
        Interval accuracy = metrics_accuracy(metrics);
        result_headline(predictor->result,
                        SAY(predictor->call, "%.1f%% of %lld labelled records right (95%% interval %.1f%% to %.1f%%)",
                            "判对率 %.1f%%，共 %lld 条有标签的记录（95%% 区间 %.1f%% 至 %.1f%%）"),
                        100 * accuracy.value, (long long)metrics->sums.n, 100 * accuracy.low, 100 * accuracy.high);
        return;
    }
    int32_t most = 0;
    for (int32_t c = 1; c < predictor->n; c++) {
        most = metrics->chosen[c] > metrics->chosen[most] ? c : most;
    }
    result_headline(predictor->result,
                    SAY(predictor->call, "'%s' on %lld of %lld records", "“%s”：%lld 条，共 %lld 条记录"),
                    predictor->names[most].bytes, (long long)metrics->chosen[most], (long long)metrics->decisions);
}

static void report_checks(Predictor *predictor) {
    Result *result = predictor->result;
    int64_t decisions = predictor->metrics.decisions;
    bool bf16 = engine_compute(predictor->engine) == COMPUTE_BF16;
    result_check(
        result, "finite probabilities", (double)predictor->not_finite, CHECK_AT_MOST, 0, "%s",
        SAY(predictor->call, "records with a choice whose probability is not a number", "某个选项的概率不是数的记录"));
    if (!isnan(predictor->recheck)) {
        result_check(
            result, "first record alone", predictor->recheck, CHECK_AT_MOST, bf16 ? 0.5 : 1e-3, "%s",
            SAY(predictor->call,
                "largest difference of a log-probability of the first record when it is scored by itself, without "
                "batch, shared beginning and caches",
                "首条记录单独重算（不分批、不共用开头与缓存）时，对数概率的最大差"));
    }
    if (predict_each(predictor)) {
        result_warn(result,
                    SAY(predictor->call,
                        "the labels of %s may hold together (problem_type): each has its own probability, and the "
                        "likeliest is taken for the decision",
                        "%s 的标签可同时成立（problem_type）：各有自己的概率，取最可能者为判定"),
                    predictor->model->path);
    }
    if (decisions > 0 && predictor->sum_mass / (double)decisions < little_mass) {
        result_warn(result,
                    SAY(predictor->call,
                        "the choices together have %.2g of the probability on average: the model would rather say "
                        "something else; see `limn run` on a prompt (a leading space? another template?)",
                        "各选项的概率合计平均只有 %.2g：模型更愿意说别的；请用 `limn run` "
                        "看一条提示（前面要空格？模板不对？）"),
                    predictor->sum_mass / (double)decisions);
    }
    if (predictor->joined > 0) {
        result_warn(result,
                    SAY(predictor->call,
                        "in %lld of %lld prompts a choice joins the last token: their choices are scored as "
                        "lm-evaluation-harness does, the space at the prompt's end as part of the choice",
                        "%lld 条提示（共 %lld 条）中选项与末尾词元相连：按 lm-evaluation-harness "
                        "的做法计分，提示末尾的空格算作选项的一部分"),
                    (long long)predictor->joined, (long long)decisions);
    }
    if (predictor->n_cut > 0) {
        result_warn(result,
                    SAY(predictor->call,
                        "%lld of %lld prompts were longer than the model reads: up to %d tokens of their %s were cut",
                        "%lld 条提示（共 %lld 条）超过模型可读的长度：至多截去 %d 个词元（%s）"),
                    (long long)predictor->n_cut, (long long)decisions, (int)predictor->most_cut,
                    truncation_part(predictor->call, (Truncation)predictor->params->truncate));
    }
    if (predictor->unlabelled > 0 && predictor->params->data.label_field.bytes != NULL) {
        result_warn(result,
                    SAY(predictor->call, "%lld of %lld records have no label and count for no measure",
                        "%lld 条记录（共 %lld 条）没有标签，不计入任何度量"),
                    (long long)predictor->unlabelled, (long long)decisions);
    }
}

limn_status predict_report(Predictor *predictor) {
    const Metrics *metrics = &predictor->metrics;
    bool labelled = metrics->sums.n > 0;
    report_checks(predictor);
    TRY(predict_judge_limits(predictor));
    TRY(data_source_finish(predictor->source, predictor->result));
    if (metrics->decisions == 0) {
        result_headline(predictor->result, "%s", SAY(predictor->call, "no record was decided on", "没有作出任何判定"));
        return result_status(predictor->result);
    }
    report_headline(predictor, labelled);
    if (labelled) {
        report_measures(predictor);
    }
    report_choices(predictor, labelled);
    if (labelled) {
        report_confusion(predictor);
        report_calibration(predictor);
        report_reliability(predictor);
    }
    if (predictor->n_groups > 0) {
        TRY(predict_report_groups(predictor, labelled));
    }
    if (predictor->n_mistakes > 0) {
        report_mistakes(predictor);
    }
    return result_status(predictor->result);
}
