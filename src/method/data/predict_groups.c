/* What differs between groups: how often each choice falls, how right it is, and the gaps between the groups farthest
 * apart. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/data/predict.h"

enum { ROWS_MOST = 1000 }; /* of a table */

/* ---- gaps ---- */

typedef Share (*ShareOf)(const Metrics *metrics, int32_t choice);

static Share correct(const Metrics *metrics, int32_t choice) {
    (void)choice;
    return (Share){(int64_t)metrics->sums.correct, (int64_t)metrics->sums.n};
}

static limn_status gap_of(Gap *gap, const Predictor *predictor, ShareOf of, int32_t choice, bool ratio, double level) {
    Share *shares = malloc(((size_t)predictor->n_groups + 1) * sizeof *shares);
    if (shares == NULL) {
        return method_no_memory(predictor->call);
    }
    for (int32_t i = 0; i < predictor->n_groups; i++) {
        shares[i] = of(&predictor->groups[i].metrics, choice);
    }
    limn_status status = ratio ? gap_ratio(gap, shares, predictor->n_groups, level)
                               : gap_difference(gap, shares, predictor->n_groups, level);
    free(shares);
    return status;
}

limn_status predict_share_gap(Gap *gap, const Predictor *predictor, int32_t choice) {
    return gap_of(gap, predictor, metrics_chosen, choice, false, 0.95);
}

limn_status predict_impact_ratio(Gap *gap, const Predictor *predictor, int32_t choice) {
    return gap_of(gap, predictor, metrics_chosen, choice, true, 0.95);
}

limn_status predict_tpr_gap(Gap *gap, const Predictor *predictor, int32_t choice) {
    return gap_of(gap, predictor, metrics_true_positives, choice, false, 0.95);
}

limn_status predict_fpr_gap(Gap *gap, const Predictor *predictor, int32_t choice) {
    return gap_of(gap, predictor, metrics_false_positives, choice, false, 0.95);
}

limn_status predict_odds_gap(Gap *gap, const Predictor *predictor, int32_t choice) {
    Gap tpr, fpr;
    double level = simultaneous_level(0.95, 2);
    TRY(gap_of(&tpr, predictor, metrics_true_positives, choice, false, level));
    TRY(gap_of(&fpr, predictor, metrics_false_positives, choice, false, level));
    *gap = gap_larger(&tpr, &fpr);
    return LIMN_OK;
}

limn_status predict_accuracy_gap(Gap *gap, const Predictor *predictor, int32_t choice) {
    return gap_of(gap, predictor, correct, choice, false, 0.95);
}

/* ---- tables ---- */

static void interval_cells(Value *cells, Interval interval) {
    cells[0] = value_number(interval.value);
    cells[1] = value_number(interval.low);
    cells[2] = value_number(interval.high);
}

static Value text_cell(Text text) {
    return value_bytes(text.bytes, text.length);
}

static void report_each(const Predictor *predictor, bool labelled) {
    static const TableColumn columns[] = {{TEXT("group"), COLUMN_TEXT},
                                          {TEXT("records"), COLUMN_INTEGER},
                                          {TEXT("labelled"), COLUMN_INTEGER},
                                          {TEXT("accuracy"), COLUMN_PROBABILITY},
                                          {TEXT("accuracy low"), COLUMN_PROBABILITY},
                                          {TEXT("accuracy high"), COLUMN_PROBABILITY},
                                          {TEXT("ECE"), COLUMN_NUMBER},
                                          {TEXT("log-loss"), COLUMN_NUMBER}};
    TableBlock *table = result_add_table(predictor->result, "groups", SAY(predictor->call, "Groups", "组别"), columns,
                                         labelled ? 8 : 2);
    if (labelled) {
        result_block_note(predictor->result, "%s",
                          SAY(predictor->call, "intervals are Wilson's at 95%", "区间为 Wilson 区间（95%）"));
    }
    for (int32_t i = 0; i < predictor->n_groups; i++) {
        const PredictGroup *group = &predictor->groups[i];
        const MetricSums *sums = &group->metrics.sums;
        Value cells[8] = {text_cell(group->name), value_integer(group->metrics.decisions),
                          value_integer((int64_t)sums->n)};
        interval_cells(cells + 3, metrics_accuracy(&group->metrics));
        cells[6] = value_number(metric_ece(sums));
        cells[7] = value_number(sums->n > 0 ? sums->log_loss / sums->n : (double)NAN);
        table_row(table, cells);
    }
}

/* Choices that some record was decided for, or has for its label. */
static bool is_used(const Predictor *predictor, int32_t choice) {
    const Metrics *metrics = &predictor->metrics;
    return metrics->chosen[choice] > 0 || metrics_true_positives(metrics, choice).n > 0;
}

static int32_t n_used(const Predictor *predictor) {
    int32_t n = 0;
    for (int32_t c = 0; c < predictor->n; c++) {
        n += is_used(predictor, c);
    }
    return n;
}

/* A table of groups by choices is cut at whole choices; its note says so. */
static int32_t choices_shown(const Predictor *predictor) {
    int32_t most = ROWS_MOST / (predictor->n_groups > 0 ? predictor->n_groups : 1);
    return most > 1 ? most : 1;
}

static void report_shares(const Predictor *predictor) {
    static const TableColumn columns[] = {
        {TEXT("choice"), COLUMN_TEXT},           {TEXT("group"), COLUMN_TEXT},
        {TEXT("chosen"), COLUMN_INTEGER},        {TEXT("of"), COLUMN_INTEGER},
        {TEXT("share"), COLUMN_PROBABILITY},     {TEXT("share low"), COLUMN_PROBABILITY},
        {TEXT("share high"), COLUMN_PROBABILITY}};
    TableBlock *table =
        result_add_table(predictor->result, "group-shares",
                         SAY(predictor->call, "How often each choice falls", "各选项的选中率"), columns, 7);
    int32_t most = choices_shown(predictor), shown = 0;
    for (int32_t c = 0; c < predictor->n; c++) {
        if (!is_used(predictor, c) || shown == most) {
            continue;
        }
        shown++;
        for (int32_t i = 0; i < predictor->n_groups; i++) {
            const Metrics *metrics = &predictor->groups[i].metrics;
            Share share = metrics_chosen(metrics, c);
            Value cells[7] = {text_cell(predictor->names[c]), text_cell(predictor->groups[i].name),
                              value_integer(share.count), value_integer(share.n)};
            interval_cells(cells + 4, metrics_share(metrics, c));
            table_row(table, cells);
        }
    }
    int32_t left = n_used(predictor) - shown;
    result_block_note(predictor->result,
                      left > 0
                          ? SAY(predictor->call,
                                "the selection rate; intervals are Wilson's at 95%%; %d choices more have no room here",
                                "选中率；区间为 Wilson 区间（95%%）；另有 %d 个选项未列出")
                          : SAY(predictor->call, "the selection rate; intervals are Wilson's at 95%%",
                                "选中率；区间为 Wilson 区间（95%%）"),
                      (int)left);
}

static void report_rates(const Predictor *predictor) {
    static const TableColumn columns[] = {
        {TEXT("choice"), COLUMN_TEXT},         {TEXT("group"), COLUMN_TEXT},
        {TEXT("labelled so"), COLUMN_INTEGER}, {TEXT("TPR"), COLUMN_PROBABILITY},
        {TEXT("TPR low"), COLUMN_PROBABILITY}, {TEXT("TPR high"), COLUMN_PROBABILITY},
        {TEXT("otherwise"), COLUMN_INTEGER},   {TEXT("FPR"), COLUMN_PROBABILITY},
        {TEXT("FPR low"), COLUMN_PROBABILITY}, {TEXT("FPR high"), COLUMN_PROBABILITY}};
    TableBlock *table =
        result_add_table(predictor->result, "group-rates",
                         SAY(predictor->call, "True and false positive rates", "真阳性率与假阳性率"), columns, 10);
    result_block_note(predictor->result, "%s",
                      SAY(predictor->call,
                          "how often a choice falls where it is the label (TPR) and where it is not "
                          "(FPR); intervals are Wilson's at 95%",
                          "标签为该选项时选中的比例（TPR）与标签不是时选中的比例（FPR）；区间为 Wilson 区间（95%）"));
    int32_t most = choices_shown(predictor), shown = 0;
    for (int32_t c = 0; c < predictor->n; c++) {
        if (!is_used(predictor, c) || shown == most) {
            continue;
        }
        shown++;
        for (int32_t i = 0; i < predictor->n_groups; i++) {
            const Metrics *metrics = &predictor->groups[i].metrics;
            Value cells[10] = {text_cell(predictor->names[c]), text_cell(predictor->groups[i].name),
                               value_integer(metrics_true_positives(metrics, c).n)};
            interval_cells(cells + 3, metrics_recall(metrics, c));
            cells[6] = value_integer(metrics_false_positives(metrics, c).n);
            interval_cells(cells + 7, metrics_false_positive_rate(metrics, c));
            table_row(table, cells);
        }
    }
}

/* The rows of the table of gaps: what is compared, and by which limit it is asked for. */
static const struct {
    const char *name;
    limn_status (*of)(Gap *gap, const Predictor *predictor, int32_t choice);
    bool labelled, of_choice;
} gaps[] = {{"selection rate gap", predict_share_gap, false, true},
            {"impact ratio", predict_impact_ratio, false, true},
            {"TPR gap", predict_tpr_gap, true, true},
            {"FPR gap", predict_fpr_gap, true, true},
            {"equalised odds gap", predict_odds_gap, true, true},
            {"accuracy gap", predict_accuracy_gap, true, false}};

static limn_status add_gap(const Predictor *predictor, TableBlock *table, size_t row, int32_t choice,
                           int32_t *left_out) {
    Gap gap;
    TRY(gaps[row].of(&gap, predictor, choice));
    Value cells[8] = {value_text(gaps[row].name),
                      gaps[row].of_choice ? text_cell(predictor->names[choice]) : value_null()};
    interval_cells(cells + 2, gap.interval);
    cells[5] = value_number(gap.p);
    cells[6] = gap.highest >= 0 ? text_cell(predictor->groups[gap.highest].name) : value_null();
    cells[7] = gap.lowest >= 0 ? text_cell(predictor->groups[gap.lowest].name) : value_null();
    table_row(table, cells);
    *left_out = gap.left_out > *left_out ? gap.left_out : *left_out;
    return LIMN_OK;
}

static limn_status report_gaps(const Predictor *predictor, bool labelled) {
    static const TableColumn columns[] = {{TEXT("gap"), COLUMN_NAME},     {TEXT("choice"), COLUMN_TEXT},
                                          {TEXT("value"), COLUMN_NUMBER}, {TEXT("low"), COLUMN_NUMBER},
                                          {TEXT("high"), COLUMN_NUMBER},  {TEXT("p"), COLUMN_NUMBER},
                                          {TEXT("highest"), COLUMN_TEXT}, {TEXT("lowest"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(predictor->result, "gaps",
                                         SAY(predictor->call, "Gaps between groups", "组间差距"), columns, 8);
    int32_t left_out = 0, shown = 0;
    for (int32_t c = 0; c < predictor->n && shown < PREDICT_GAP_CHOICES; c++) {
        shown += is_used(predictor, c);
        for (size_t row = 0; row < sizeof gaps / sizeof gaps[0] && is_used(predictor, c); row++) {
            if (gaps[row].of_choice && (labelled || !gaps[row].labelled)) {
                TRY(add_gap(predictor, table, row, c, &left_out));
            }
        }
    }
    if (labelled) {
        TRY(add_gap(predictor, table, sizeof gaps / sizeof gaps[0] - 1, 0, &left_out));
    }
    result_block_note(
        predictor->result,
        SAY(predictor->call,
            "the largest share less the smallest; of the impact ratio the smallest over the largest (below 0.8 "
            "is the four-fifths rule's sign of adverse impact). 95%% intervals hold whichever two groups those "
            "are, none where fewer than two groups have %d records; p: Fisher's exact test between those two, "
            "times the pairs there are",
            "最大比例减最小比例；影响比（impact ratio）为最小除以最大（低于 0.8 "
            "即五分之四规则所指的不利影响）。无论哪两组，95%% 区间都成立；记录数达到 %d "
            "的组不足两个时没有区间；p：这两组之间的 Fisher 精确检验，再乘以组对数"),
        GAP_LEAST);
    if (left_out > 0) {
        result_warn(
            predictor->result,
            left_out == 1
                ? SAY(predictor->call,
                      "%d group has fewer than %d records and no part in gaps; the tables of groups have it",
                      "%d 个组的记录少于 %d 条，不参与差距；组别表中仍列出")
                : SAY(predictor->call,
                      "%d groups have fewer than %d records and no part in gaps; the tables of groups have them",
                      "%d 个组的记录少于 %d 条，不参与差距；组别表中仍列出"),
            (int)left_out, GAP_LEAST);
    }
    return LIMN_OK;
}

limn_status predict_report_groups(const Predictor *predictor, bool labelled) {
    report_each(predictor, labelled);
    report_shares(predictor);
    if (labelled) {
        report_rates(predictor);
    }
    return predictor->n_groups > 1 ? report_gaps(predictor, labelled) : LIMN_OK;
}
