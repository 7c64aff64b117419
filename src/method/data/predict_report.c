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
    static const TableColumn rates[] = {
        {{"name", 4}, COLUMN_TEXT},       {{"labelled", 8}, COLUMN_INTEGER}, {{"precision", 9}, COLUMN_PROBABILITY},
        {{"low", 3}, COLUMN_PROBABILITY}, {{"high", 4}, COLUMN_PROBABILITY}, {{"recall", 6}, COLUMN_PROBABILITY},
        {{"low", 3}, COLUMN_PROBABILITY}, {{"high", 4}, COLUMN_PROBABILITY}, {{"F1", 2}, COLUMN_PROBABILITY},
        {{"low", 3}, COLUMN_PROBABILITY}, {{"high", 4}, COLUMN_PROBABILITY}};
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

static void report_groups(Predictor *predictor, bool labelled) {
    char *share = arena_printf(predictor->call->arena, "'%.40s'", predictor->names[0].bytes);
    const TableColumn columns[] = {{{"group", 5}, COLUMN_TEXT},          {{"records", 7}, COLUMN_INTEGER},
                                   {text_of(share), COLUMN_PROBABILITY}, {{"low", 3}, COLUMN_PROBABILITY},
                                   {{"high", 4}, COLUMN_PROBABILITY},    {{"accuracy", 8}, COLUMN_PROBABILITY},
                                   {{"low", 3}, COLUMN_PROBABILITY},     {{"high", 4}, COLUMN_PROBABILITY},
                                   {{"ECE", 3}, COLUMN_NUMBER},          {{"log-loss", 8}, COLUMN_NUMBER}};
    TableBlock *table = result_add_table(predictor->result, "groups", "Groups", columns, labelled ? 10 : 5);
    result_block_note(predictor->result, "first the share of decisions for '%s'; intervals are Wilson's",
                      predictor->names[0].bytes);
    for (int32_t i = 0; i < predictor->n_groups; i++) {
        const PredictGroup *group = &predictor->groups[i];
        const MetricSums *sums = &group->metrics.sums;
        Value cells[10] = {value_bytes(group->name.bytes, group->name.length), value_integer(group->metrics.decisions)};
        interval_cells(cells + 2, wilson_interval(group->metrics.chosen[0], group->metrics.decisions));
        interval_cells(cells + 5, metrics_accuracy(&group->metrics));
        cells[8] = value_number(metric_ece(sums));
        cells[9] = value_number(sums->n > 0 ? sums->log_loss / sums->n : (double)NAN);
        table_row(table, cells);
    }
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
    bool bf16 = session_compute(predictor->session) == COMPUTE_BF16;
    result_check(result, "finite probabilities", (double)predictor->not_finite, CHECK_AT_MOST, 0,
                 "records with a choice whose probability is not a number");
    if (!isnan(predictor->recheck)) {
        result_check(result, "first record alone", predictor->recheck, CHECK_AT_MOST, bf16 ? 0.5 : 1e-3,
                     "largest difference of a log-probability of the first record when it is scored by itself, without "
                     "batch, shared beginning and caches");
    }
    if (decisions > 0 && predictor->sum_mass / (double)decisions < little_mass) {
        result_warn(result,
                    "the choices together have %.2g of the probability on average: the model would rather say "
                    "something else; see `limn run` on a prompt (a leading space? another template?)",
                    predictor->sum_mass / (double)decisions);
    }
    if (predictor->unlabelled > 0 && predictor->params->data.label_field.bytes != NULL) {
        result_warn(result, "%lld of %lld records have no label and count for no measure",
                    (long long)predictor->unlabelled, (long long)decisions);
    }
}

void predict_report(Predictor *predictor) {
    const Metrics *metrics = &predictor->metrics;
    bool labelled = metrics->sums.n > 0;
    report_checks(predictor);
    data_source_describe(predictor->source, predictor->result);
    if (metrics->decisions == 0) {
        result_warn(predictor->result, "no record was left to decide on");
        result_headline(predictor->result, "no records");
        return;
    }
    report_headline(predictor, labelled);
    if (labelled) {
        report_measures(predictor);
    }
    report_choices(predictor, labelled);
    if (labelled) {
        report_confusion(predictor);
        report_reliability(predictor);
    }
    if (predictor->n_groups > 0) {
        report_groups(predictor, labelled);
    }
    if (predictor->n_mistakes > 0) {
        report_mistakes(predictor);
    }
}
