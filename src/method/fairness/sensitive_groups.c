/* Independent groups of records, as a field of the data names them: how often the target falls, and how right that is.
 */
#include <math.h>
#include <stdlib.h>

#include "method/fairness/sensitive.h"

typedef Share (*ShareOf)(const Metrics *metrics, int32_t choice);

static limn_status gap_of(Gap *gap, const Sensitive *work, ShareOf of, bool ratio, double level) {
    Share *shares = malloc(((size_t)work->n_groups + 1) * sizeof *shares);
    if (shares == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < work->n_groups; i++) {
        shares[i] = of(&work->groups[i].metrics, work->target);
    }
    limn_status status =
        ratio ? gap_ratio(gap, shares, work->n_groups, level) : gap_difference(gap, shares, work->n_groups, level);
    free(shares);
    return status;
}

limn_status sensitive_gap(Gap *gap, const Sensitive *work, GroupGap kind) {
    double half = simultaneous_level(0.95, 2);
    Gap fpr;
    switch (kind) {
    case GAP_RATE:
    case GAP_IMPACT:
        return gap_of(gap, work, metrics_chosen, kind == GAP_IMPACT, 0.95);
    case GAP_TPR:
        return gap_of(gap, work, metrics_true_positives, false, 0.95);
    case GAP_FPR:
        return gap_of(gap, work, metrics_false_positives, false, 0.95);
    default:
        TRY(gap_of(gap, work, metrics_true_positives, false, half));
        TRY(gap_of(&fpr, work, metrics_false_positives, false, half));
        *gap = gap_larger(gap, &fpr);
        return LIMN_OK;
    }
}

static void interval_cells(Value *cells, Interval interval) {
    cells[0] = value_number(interval.value);
    cells[1] = value_number(interval.low);
    cells[2] = value_number(interval.high);
}

static bool is_labelled(const Sensitive *work) {
    return work->params->data.label_field.bytes != NULL;
}

static void report_each(const Sensitive *work) {
    static const TableColumn columns[] = {{TEXT("group"), COLUMN_TEXT},
                                          {TEXT("records"), COLUMN_INTEGER},
                                          {TEXT("selection rate"), COLUMN_PROBABILITY},
                                          {TEXT("low"), COLUMN_PROBABILITY},
                                          {TEXT("high"), COLUMN_PROBABILITY},
                                          {TEXT("TPR"), COLUMN_PROBABILITY},
                                          {TEXT("FPR"), COLUMN_PROBABILITY}};
    TableBlock *table =
        result_add_table(work->result, "groups", SAY(work->call, "Groups", "各组"), columns, is_labelled(work) ? 7 : 5);
    for (int32_t i = 0; i < work->n_groups; i++) {
        const SensitiveGroup *group = &work->groups[i];
        Value cells[7] = {value_bytes(group->name.bytes, group->name.length), value_integer(group->metrics.decisions)};
        interval_cells(cells + 2, metrics_share(&group->metrics, work->target));
        cells[5] = value_number(metrics_recall(&group->metrics, work->target).value);
        cells[6] = value_number(metrics_false_positive_rate(&group->metrics, work->target).value);
        table_row(table, cells);
    }
    result_block_note(work->result,
                      SAY(work->call,
                          "selection rate: the share decided \"%s\"; Wilson's 95%% interval. These are records as they "
                          "are: groups may differ in more than their group",
                          "选中率：判定为「%s」的比例；Wilson 95%% 区间。这是原样记录：各组的差别可能不止于组别本身"),
                      work->names.names[work->target].bytes);
}

static const struct {
    const char *name;
    GroupGap kind;
    bool labelled;
} gaps[] = {{"selection rate gap", GAP_RATE, false},
            {"impact ratio", GAP_IMPACT, false},
            {"TPR gap", GAP_TPR, true},
            {"FPR gap", GAP_FPR, true},
            {"equalised odds gap", GAP_ODDS, true}};

static limn_status report_gaps(const Sensitive *work) {
    static const TableColumn columns[] = {{TEXT("gap"), COLUMN_TEXT},   {TEXT("value"), COLUMN_NUMBER},
                                          {TEXT("low"), COLUMN_NUMBER}, {TEXT("high"), COLUMN_NUMBER},
                                          {TEXT("p"), COLUMN_NUMBER},   {TEXT("highest"), COLUMN_TEXT},
                                          {TEXT("lowest"), COLUMN_TEXT}};
    TableBlock *table =
        result_add_table(work->result, "gaps", SAY(work->call, "Gaps between groups", "各组之间的差距"), columns, 7);
    int32_t left_out = 0;
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        Gap gap;
        if (gaps[i].labelled && !is_labelled(work)) {
            continue;
        }
        TRY(sensitive_gap(&gap, work, gaps[i].kind));
        Value cells[7] = {value_text(gaps[i].name)};
        interval_cells(cells + 1, gap.interval);
        cells[4] = value_number(gap.p);
        for (int end = 0; end < 2; end++) {
            int32_t group = end == 0 ? gap.highest : gap.lowest;
            Text name = group >= 0 ? work->groups[group].name : (Text){NULL, 0};
            cells[5 + end] = group >= 0 ? value_bytes(name.bytes, name.length) : value_null();
        }
        table_row(table, cells);
        left_out = gap.left_out > left_out ? gap.left_out : left_out;
    }
    result_block_note(work->result,
                      SAY(work->call,
                          "the largest share less the smallest; impact ratio: the smallest over the largest (below 0.8 "
                          "is the four-fifths rule's sign of adverse impact); p: Fisher's exact test, times the pairs "
                          "of groups; groups of fewer than %d records have no part (%d of them)",
                          "最大比例减最小比例；影响比：最小比最大（低于 0.8 即按五分之四规则视为不利影响）；p：Fisher "
                          "精确检验乘以组对数；不足 %d 条记录的组不参与（共 %d 组）"),
                      GAP_LEAST, (int)left_out);
    return LIMN_OK;
}

limn_status sensitive_report_groups(const Sensitive *work) {
    if (work->n_groups == 0) {
        return LIMN_OK;
    }
    report_each(work);
    return work->n_groups > 1 ? report_gaps(work) : LIMN_OK;
}
