/* What `limn mediate` says: effects with intervals, what mediates and what is not told apart, single tokens. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/target_score.h"
#include "method/causal/mediate_report.h"

static const double tolerance = 1e-4;

double mediate_mean(const double *values, int32_t n) {
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += values[i];
    }
    return n > 0 ? sum / n : (double)NAN;
}

/* What stands in a column of positions when those of records differ. */
static const char *role_text(const Mediate *mediate, int32_t role) {
    static const char *const names[ROLE_COUNT][2] = {
        {"before", "关键前"}, {"first key", "首关键"}, {"middle keys", "中关键"}, {"last key", "末关键"},
        {"next", "紧随后"},   {"further", "更后"},     {"answer", "答案处"}};
    return SAY(mediate->call, names[role][0], names[role][1]);
}

/* "layer 8, head 3" */
static const char *cell_text(const Mediate *mediate, int32_t cell) {
    const MediateCell *one = &mediate->cells[cell];
    static const char *const names[] = {"", "position", "head", "neuron"}, *const chinese[] = {"", "位置", "头",
                                                                                               "神经元"};
    const MethodCall *call = mediate->call;
    const char *onward = mediate->params->onward ? SAY(call, " onward", "起") : "";
    const char *text =
        mediate->by == MEDIATE_BY_LAYER
            ? arena_printf(call->arena, SAY(call, "layer %d%s", "第 %d 层%s"), (int)one->layer, onward)
        : mediate_by_role(mediate)
            ? arena_printf(call->arena, SAY(call, "layer %d%s, %s", "第 %d 层%s，%s"), (int)one->layer, onward,
                           role_text(mediate, one->part))
            : arena_printf(call->arena, SAY(call, "layer %d%s, %s %d", "第 %d 层%s，%s %d"), (int)one->layer, onward,
                           SAY(call, names[mediate->by], chinese[mediate->by]), (int)one->part);
    return text != NULL ? text : "";
}

static const char *site_text(const Mediate *mediate, int32_t cell) {
    const CausalSite *site = mediate->sites[mediate->cells[cell].site].site;
    return SAY(mediate->call, site->text, site->zh);
}

/* ---- tables ---- */

static void show_effects(const Mediate *mediate, const int32_t *cells, int32_t n) {
    static const char *const names[] = {"", "position", "head", "neuron"};
    const bool parts = mediate->by != MEDIATE_BY_LAYER, roles = mediate_by_role(mediate);
    const TableColumn columns[] = {
        {TEXT("site"), COLUMN_TEXT},    {TEXT("layer"), COLUMN_INTEGER},
        {TEXT("p0"), COLUMN_NUMBER},    {TEXT("p1"), COLUMN_NUMBER},
        {TEXT("p2"), COLUMN_NUMBER},    {TEXT("ie"), COLUMN_SIGNED},
        {TEXT("low"), COLUMN_SIGNED},   {TEXT("high"), COLUMN_SIGNED},
        {TEXT("de"), COLUMN_SIGNED},    {text_of(names[mediate->by]), roles ? COLUMN_TEXT : COLUMN_INTEGER},
        {TEXT("units"), COLUMN_INTEGER}};
    MethodCall *call = mediate->call;
    TableBlock *table = result_add_table(mediate->result, "effects",
                                         SAY(call, "What restoring it brings back", "恢复后的作用"), columns,
                                         roles   ? 11
                                         : parts ? 10
                                                 : 9);
    for (int32_t i = 0; i < n; i++) {
        const MediateCell *cell = &mediate->cells[cells[i]];
        Interval interval = mediate_interval(mediate, cells[i]);
        double p0, p1;
        int32_t units = mediate_means(mediate, cells[i], &p0, &p1);
        const Value values[] = {value_text(mediate->sites[cell->site].site->name),
                                value_integer(cell->layer),
                                value_number(p0),
                                value_number(p1),
                                value_number(p1 + interval.value),
                                value_number(interval.value),
                                value_number(interval.low),
                                value_number(interval.high),
                                value_number(p0 - p1 - interval.value),
                                roles ? value_text(role_text(mediate, cell->part)) : value_integer(cell->part),
                                value_integer(units)};
        table_row(table, values);
    }
    result_block_unit(mediate->result, outcome_text(call, &mediate->outcome));
    if (!parts) { /* the matrix above says the same at a glance */
        result_block_detail(mediate->result);
    }
    const char *what = mediate_has_data(mediate->params) ? SAY(call, "records", "条记录")
                       : mediate->one.noise != NULL      ? SAY(call, "draws of noise", "次噪声抽样")
                                                         : SAY(call, "pair", "对提示");
    result_block_note(
        mediate->result,
        SAY(call,
            "p0: as it is; p1: spoilt; p2: spoilt, with this restored; ie = p2 - p1, de = p0 - p2; means "
            "over %d %s, low to high: 95%% bootstrap interval of ie",
            "p0：原样；p1：破坏后；p2：破坏后恢复该处；ie = p2 - p1，de = p0 - p2；取 %d %s的均值，下限至 "
            "上限：ie 的 95%% 自助区间"),
        (int)mediate->n_units, what);
}

static Text position_text(const Mediate *mediate, int32_t part) {
    if (mediate_by_role(mediate)) {
        return text_of(role_text(mediate, part));
    }
    if (mediate->by == MEDIATE_BY_POSITION) {
        if (mediate->one.noise == NULL) {
            return pair_token_text(mediate->call, mediate->model, &mediate->one.pair, part);
        }
        return text_bare(token_text(mediate->call, mediate->model, mediate->one.pair.clean.sequence.ids[part]));
    }
    const char *text = arena_printf(mediate->call->arena, "%d", (int)part);
    return text_of(text != NULL ? text : "");
}

static void show_matrix(const Mediate *mediate) {
    static const char *const titles[] = {"site", "position", "head", "neuron"};
    bool by_layer = mediate->by == MEDIATE_BY_LAYER;
    int32_t n_layers = mediate->layer_end - mediate->layer_begin;
    int32_t n_columns = by_layer ? mediate->n_sites : mediate->n_parts;
    MatrixBlock *matrix = result_add_matrix(mediate->result, "ie", SAY(mediate->call, "Indirect effects", "间接效应"),
                                            n_layers, n_columns);
    matrix_titles(matrix, "layer", titles[mediate->by]);
    for (int32_t i = 0; i < mediate->n_cells; i++) {
        const MediateCell *cell = &mediate->cells[i];
        matrix_set(matrix, cell->layer - mediate->layer_begin, by_layer ? cell->site : cell->part,
                   mediate_effect(mediate, i));
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        char label[16];
        int length = snprintf(label, sizeof label, "%d", (int)(layer + mediate->layer_begin));
        matrix_label_row(matrix, layer, label, (size_t)length);
    }
    for (int32_t i = 0; i < n_columns; i++) {
        Text text = by_layer ? text_of(mediate->sites[i].site->name) : position_text(mediate, i);
        matrix_label_column(matrix, i, text.bytes, text.length);
    }
    result_block_unit(mediate->result, outcome_text(mediate->call, &mediate->outcome));
}

static void show_mediators(const Mediate *mediate, const Mediator *mediators, int32_t n) {
    static const TableColumn columns[] = {{TEXT("site"), COLUMN_TEXT},   {TEXT("from"), COLUMN_INTEGER},
                                          {TEXT("to"), COLUMN_INTEGER},  {TEXT("strongest"), COLUMN_TEXT},
                                          {TEXT("ie"), COLUMN_SIGNED},   {TEXT("low"), COLUMN_SIGNED},
                                          {TEXT("high"), COLUMN_SIGNED}, {TEXT("tied"), COLUMN_INTEGER}};
    MethodCall *call = mediate->call;
    TableBlock *table = result_add_table(mediate->result, "mediators", SAY(call, "What mediates", "中介"), columns, 8);
    for (int32_t i = 0; i < n; i++) {
        const Mediator *one = &mediators[i];
        Interval interval = mediate_interval(mediate, one->best);
        const Value cells[] = {value_text(mediate->sites[mediate->cells[one->best].site].site->name),
                               value_integer(one->from),
                               value_integer(one->to),
                               value_text(cell_text(mediate, one->best)),
                               value_number(interval.value),
                               value_number(interval.low),
                               value_number(interval.high),
                               one->decided ? value_integer(one->n_open) : value_null()};
        table_row(table, cells);
    }
    result_block_note(mediate->result,
                      SAY(call,
                          "from, to: the layers that hold the strongest and all others whose effect is not told from "
                          "it (paired bootstrap, 95%% for all of them together); tied: how many others",
                          "从、至：最强者以及效应与其无法区分者所在的层（成对自助法，合计 95%%）；并列数："
                          "有多少其他者"));
}

static void show_tokens(const Mediate *mediate, int32_t best) {
    static const TableColumn columns[] = {{TEXT("token"), COLUMN_TOKEN}, {TEXT("id"), COLUMN_INTEGER},
                                          {TEXT("p0"), COLUMN_NUMBER},   {TEXT("p1"), COLUMN_NUMBER},
                                          {TEXT("p2"), COLUMN_NUMBER},   {TEXT("te"), COLUMN_SIGNED},
                                          {TEXT("ie"), COLUMN_SIGNED},   {TEXT("de"), COLUMN_SIGNED}};
    MethodCall *call = mediate->call;
    if (mediate->n_tokens == 0) {
        return;
    }
    TableBlock *table = result_add_table(mediate->result, "tokens",
                                         SAY(call, "The same for single tokens", "各词元的情形"), columns, 8);
    for (int32_t t = 0; t < mediate->n_tokens; t++) {
        Text text = output_text(call, mediate->model, mediate->tokens[t]);
        double p0 = mediate->token_p0[t], p1 = mediate->token_p1[t];
        double p2 = mediate->token_p2[(int64_t)t * mediate->n_cells + best];
        const Value cells[] = {value_bytes(text.bytes, text.length),
                               value_integer(mediate->tokens[t]),
                               value_number(p0),
                               value_number(p1),
                               value_number(p2),
                               value_number(p0 - p1),
                               value_number(p2 - p1),
                               value_number(p0 - p2)};
        table_row(table, cells);
    }
    result_block_unit(mediate->result, SAY(call, "probability", "概率"));
    result_block_note(mediate->result, SAY(call, "p2: with %s restored at %s", "p2：恢复%s，%s"),
                      site_text(mediate, best), cell_text(mediate, best));
}

/* ---- the sentence, checks ---- */

static void say_headline(const Mediate *mediate, const Mediator *strongest) {
    MethodCall *call = mediate->call;
    Interval ie = mediate_interval(mediate, strongest->best), te = mediate_total(mediate);
    double p0, p1;
    const char *site = site_text(mediate, strongest->best);
    if (!mediate_total_is_clear(mediate, &te)) {
        result_headline(
            mediate->result,
            SAY(call, "Spoiling the words does nothing that is told from 0 (TE %+.3g): there is nothing to mediate",
                "破坏这些词没有可与 0 区分的作用（TE %+.3g）：没有可中介的"),
            te.value);
        return;
    }
    mediate_means(mediate, strongest->best, &p0, &p1);
    te.value = p0 - p1; /* of the records that have the place, as the effect is */
    if (!strongest->decided) {
        result_headline(mediate->result,
                        SAY(call,
                            "Strongest: %s, %s, IE %+.3g of TE %+.3g (%d units give no interval: nothing is named)",
                            "最强：%s，%s，IE %+.3g，TE %+.3g（%d 个单位不足以给出区间，不作认定）"),
                        site, cell_text(mediate, strongest->best), ie.value, te.value, (int)mediate->n_units);
    } else if (strongest->n_open == 0) {
        result_headline(mediate->result,
                        SAY(call, "It passes through %s, %s: IE %+.3g (95%% %+.3g to %+.3g) of TE %+.3g",
                            "经由%s，%s：IE %+.3g（95%% %+.3g 至 %+.3g），TE %+.3g"),
                        site, cell_text(mediate, strongest->best), ie.value, ie.low, ie.high, te.value);
    } else {
        result_headline(mediate->result,
                        SAY(call,
                            "It passes through %s somewhere in layers %d to %d: strongest %s, IE %+.3g of TE %+.3g, "
                            "not told from %d others",
                            "经由%s，在第 %d 至 %d 层之间：最强为%s，IE %+.3g，TE %+.3g，与另外 %d 个无法区分"),
                        site, (int)strongest->from, (int)strongest->to, cell_text(mediate, strongest->best), ie.value,
                        te.value, (int)strongest->n_open);
    }
}

static void check(const Mediate *mediate, const Mediator *strongest) {
    Result *result = mediate->result;
    const MethodCall *call = mediate->call;
    if (!isnan(mediate->plain_error)) {
        result_check(result, "plain pass", mediate->plain_error, CHECK_AT_MOST, tolerance,
                     SAY(call, "largest difference of the strongest and two other P2 from full passes",
                         "最强者与另外两个 P2 同完整计算的最大差"));
    }
    if (!isnan(mediate->ends_error)) {
        result_check(result, "ends", mediate->ends_error, CHECK_AT_MOST, tolerance,
                     SAY(call, "difference from P0 once every position is restored before the first layer",
                         "在第一层之前恢复所有位置后与 P0 的差"));
    }
    Interval te = mediate_total(mediate);
    double sign = te.value < 0 ? -1 : 1, low = sign < 0 ? -te.high : te.low;
    const char *total = SAY(call, "the lower end of the total effect's interval, in its own direction",
                            "总效应区间靠近 0 的一端（按其自身方向）");
    if (mediate->n_units < MEDIATE_LEAST_UNITS) {
        result_check(result, "total effect", fabs(te.value), CHECK_ABOVE, 1e-6,
                     SAY(call, "size of the total effect", "总效应的大小"));
    } else if (low > 0) {
        result_check(result, "total effect", low, CHECK_ABOVE, 0, "%s", total);
    } else {
        result_check_inconclusive(result, "total effect", low, CHECK_ABOVE, 0, "%s", total);
    }
    const char *lead = SAY(call,
                           "the lower end of the strongest part's lead over the nearest other, all compared "
                           "together at 95%",
                           "最强者领先最接近者的区间下端（所有比较合计 95%）");
    if (strongest->decided && strongest->n_open == 0 && strongest->lead_low > 0) {
        result_check(result, "mediator", strongest->lead_low, CHECK_ABOVE, 0, "%s", lead);
    } else {
        result_check_inconclusive(result, "mediator", strongest->lead_low, CHECK_ABOVE, 0, "%s", lead);
    }
}

/* ---- values ---- */

static limn_status write_values(Mediate *mediate) {
    ValuesFile *file = &mediate->values;
    const MediatePair *one = &mediate->one;
    const MediateFigures *figures = &mediate->figures;
    const int64_t units[] = {mediate->n_units, mediate->n_sites, mediate->layer_end - mediate->layer_begin,
                             mediate->n_parts};
    TRY(values_file_add(file, "p0", figures->p0, 1, units));
    TRY(values_file_add(file, "p1", figures->p1, 1, units));
    TRY(values_file_add(file, "p2", figures->p2, 4, units));
    if (one->noise != NULL) {
        const int64_t shape[] = {one->samples, one->n_keys, mediate->model->config.d_embed};
        TRY(values_file_add_f32(file, "noise", one->noise, 3, shape));
    }
    TRY(mediate_keep_directions(mediate));
    return values_file_write(file, mediate->model);
}

/* ---- all together ---- */

static void record_params(const Mediate *mediate) {
    Result *result = mediate->result;
    result_param_integer(result, "units", mediate->n_units);
    result_param_number(result, "total-effect", mediate_total(mediate).value);
    if (mediate->deviation > 0) {
        result_param_number(result, "embedding-deviation", mediate->deviation);
    }
    if (!mediate_has_data(mediate->params)) {
        result_param_ids(result, "key-positions", mediate->one.keys, mediate->one.n_keys);
        target_describe(result, mediate->call, mediate->model, &mediate->one.target, &mediate->one.contrast, 0);
    }
}

/* By layer all of them in their order, else the strongest. */
static limn_status list_cells(const Mediate *mediate, int32_t **cells, int32_t *n) {
    bool all = mediate->by == MEDIATE_BY_LAYER;
    *cells = ARENA_ARRAY(mediate->call->arena, int32_t, mediate->n_cells + 1);
    if (*cells == NULL) {
        return method_no_memory(mediate->call);
    }
    if (!all) {
        *n = mediate_strongest(mediate, 0, mediate->n_cells, *cells, (int32_t)mediate->params->top);
        return LIMN_OK;
    }
    for (int32_t i = 0; i < mediate->n_cells; i++) {
        (*cells)[i] = i;
    }
    *n = mediate->n_cells;
    return LIMN_OK;
}

/* The stream carries whatever parts write to it, so beside parts it is not what is named. */
static int32_t strongest_site(const Mediate *mediate, const Mediator *mediators) {
    double sign = mediate_total(mediate).value < 0 ? -1 : 1;
    int32_t best = -1;
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        bool stream = mediate_is_stream(mediate->sites[s].site);
        if (best < 0 || (!stream && mediate_is_stream(mediate->sites[best].site))) {
            best = s;
        } else if (stream == mediate_is_stream(mediate->sites[best].site) &&
                   sign * mediate_effect(mediate, mediators[s].best) >
                       sign * mediate_effect(mediate, mediators[best].best)) {
            best = s;
        }
    }
    return best;
}

limn_status mediate_report(Mediate *mediate) {
    Mediator mediators[MEDIATE_SITES];
    int32_t *cells, n, each = mediate->n_cells / mediate->n_sites;
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        TRY(mediate_find_mediator(mediate, s * each, (s + 1) * each, &mediators[s]));
    }
    int32_t strongest = strongest_site(mediate, mediators);
    TRY(list_cells(mediate, &cells, &n));
    record_params(mediate);
    say_headline(mediate, &mediators[strongest]);
    show_mediators(mediate, mediators, mediate->n_sites);
    show_matrix(mediate);
    show_effects(mediate, cells, n);
    show_tokens(mediate, mediators[strongest].best);
    check(mediate, &mediators[strongest]);
    TRY(write_values(mediate));
    return result_status(mediate->result);
}
