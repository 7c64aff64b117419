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
    static const TableColumn columns[] = {{{"measure", 7}, COLUMN_TEXT},
                                          {{"value", 5}, COLUMN_NUMBER},
                                          {{"low", 3}, COLUMN_NUMBER},
                                          {{"high", 4}, COLUMN_NUMBER},
                                          {{"interval", 8}, COLUMN_TEXT}};
    static const char wilson[] = "Wilson";
    static const char bootstrap[] = "bootstrap";
    const Metrics *metrics = &predictor->metrics;
    TableBlock *table = result_add_table(predictor->result, "measures", "Measures", columns, 5);
    result_block_note(predictor->result,
                      "95%% intervals; bootstrap: percentiles of %d replicates. ECE over %d bins (of resamples it is "
                      "somewhat larger than of the sample); Brier from 0 to 2; log-loss in nats",
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
    static const TableColumn columns[] = {{{"choice", 6}, COLUMN_TOKEN},
                                          {{"name", 4}, COLUMN_TEXT},
                                          {{"chosen", 6}, COLUMN_INTEGER},
                                          {{"share", 5}, COLUMN_PROBABILITY},
                                          {{"low", 3}, COLUMN_PROBABILITY},
                                          {{"high", 4}, COLUMN_PROBABILITY},
                                          {{"mean probability", 16}, COLUMN_PROBABILITY}};
    static const TableColumn rates[] = {{{"name", 4}, COLUMN_TEXT},
                                        {{"labelled", 8}, COLUMN_INTEGER},
                                        {{"precision", 9}, COLUMN_PROBABILITY},
                                        {{"precision low", 13}, COLUMN_PROBABILITY},
                                        {{"precision high", 14}, COLUMN_PROBABILITY},
                                        {{"recall", 6}, COLUMN_PROBABILITY},
                                        {{"recall low", 10}, COLUMN_PROBABILITY},
                                        {{"recall high", 11}, COLUMN_PROBABILITY},
                                        {{"F1", 2}, COLUMN_PROBABILITY},
                                        {{"F1 low", 6}, COLUMN_PROBABILITY},
                                        {{"F1 high", 7}, COLUMN_PROBABILITY}};
    const Metrics *metrics = &predictor->metrics;
    TableBlock *table = result_add_table(predictor->result, "choices", "Choices", columns, 7);
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
    table = result_add_table(predictor->result, "rates", "Precision and recall", rates, 11);
    result_block_note(predictor->result, "precision and recall with Wilson's interval, F1 by bootstrap");
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
    MatrixBlock *matrix = result_add_matrix(predictor->result, "confusion", "Confusion", predictor->n, predictor->n);
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
        {{"from", 4}, COLUMN_PROBABILITY},     {{"to", 2}, COLUMN_PROBABILITY},
        {{"records", 7}, COLUMN_INTEGER},      {{"mean probability", 16}, COLUMN_PROBABILITY},
        {{"accuracy", 8}, COLUMN_PROBABILITY}, {{"low", 3}, COLUMN_PROBABILITY},
        {{"high", 4}, COLUMN_PROBABILITY}};
    TableBlock *table = result_add_table(predictor->result, "reliability", "Reliability", columns, 7);
    result_block_note(predictor->result, "by the probability of the decision among the choices; bins without records "
                                         "are left out; intervals are Wilson's");
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
    SeriesBlock *series = result_add_series(predictor->result, "calibration", "Calibration", x, n + 1,
                                            "probability of the decision", "share that is right");
    series_line(series, "found", right, low, high);
    series_line(series, "as it should be", ideal, NULL, NULL);
    result_block_note(predictor->result,
                      "below the line of what should be, the model is surer than it is right; the band "
                      "is Wilson's 95%% interval of each bin");
}

static void report_mistakes(Predictor *predictor) {
    static const TableColumn columns[] = {{{"record", 6}, COLUMN_TEXT},
                                          {{"label", 5}, COLUMN_TEXT},
                                          {{"decision", 8}, COLUMN_TEXT},
                                          {{"probability", 11}, COLUMN_PROBABILITY},
                                          {{"prompt", 6}, COLUMN_TOKEN}};
    TableBlock *table = result_add_table(predictor->result, "mistakes", "Surest mistakes", columns, 5);
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
        result_headline(predictor->result, "%.1f%% of %lld labelled records right (95%% interval %.1f%% to %.1f%%)",
                        100 * accuracy.value, (long long)metrics->sums.n, 100 * accuracy.low, 100 * accuracy.high);
        return;
    }
    int32_t most = 0;
    for (int32_t c = 1; c < predictor->n; c++) {
        most = metrics->chosen[c] > metrics->chosen[most] ? c : most;
    }
    result_headline(predictor->result, "'%s' on %lld of %lld records", predictor->names[most].bytes,
                    (long long)metrics->chosen[most], (long long)metrics->decisions);
}

static void report_checks(Predictor *predictor) {
    Result *result = predictor->result;
    int64_t decisions = predictor->metrics.decisions;
    bool bf16 = engine_compute(predictor->engine) == COMPUTE_BF16;
    result_check(result, "finite probabilities", (double)predictor->not_finite, CHECK_AT_MOST, 0,
                 "records with a choice whose probability is not a number");
    if (!isnan(predictor->recheck)) {
        result_check(result, "first record alone", predictor->recheck, CHECK_AT_MOST, bf16 ? 0.5 : 1e-3,
                     "largest difference of a log-probability of the first record when it is scored by itself, without "
                     "batch, shared beginning and caches");
    }
    if (predict_each(predictor)) {
        result_warn(result,
                    "the labels of %s may hold together (problem_type): each has its own probability, and the "
                    "likeliest is taken for the decision",
                    predictor->model->path);
    }
    if (decisions > 0 && predictor->sum_mass / (double)decisions < little_mass) {
        result_warn(result,
                    "the choices together have %.2g of the probability on average: the model would rather say "
                    "something else; see `limn run` on a prompt (a leading space? another template?)",
                    predictor->sum_mass / (double)decisions);
    }
    if (predictor->joined > 0) {
        result_warn(result,
                    "in %lld of %lld prompts a choice joins the last token: their choices are scored as "
                    "lm-evaluation-harness does, the space at the prompt's end as part of the choice",
                    (long long)predictor->joined, (long long)decisions);
    }
    if (predictor->n_cut > 0) {
        result_warn(result,
                    "%lld of %lld prompts were longer than the model reads: up to %d tokens of their %s were cut",
                    (long long)predictor->n_cut, (long long)decisions, (int)predictor->most_cut,
                    truncation_part((Truncation)predictor->params->truncate));
    }
    if (predictor->unlabelled > 0 && predictor->params->data.label_field.bytes != NULL) {
        result_warn(result, "%lld of %lld records have no label and count for no measure",
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
        result_headline(predictor->result, "no record was decided on");
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
