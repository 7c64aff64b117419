/* What `limn ablate` says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure/target_score.h"
#include "method/causal/ablate.h"

enum { MATRIX_COLUMNS = 512 };
static const double plain_tolerance = 1e-4, least_agreement = 0.5;

static double mean_effect(const Ablate *ablate, int32_t cell) {
    return ablate->effects[cell] / ablate->n_records;
}

static double error_of(const Ablate *ablate, int32_t cell) {
    int32_t n = ablate->n_records;
    double sum = ablate->effects[cell], variance = (ablate->squares[cell] - sum * sum / n) / (n - 1);
    return n > 1 ? sqrt(fmax(0.0, variance) / n) : (double)NAN;
}

static double estimate_of(const Ablate *ablate, int32_t cell) {
    return ablate->estimated ? ablate->estimates[cell] / ablate->n_records : (double)NAN;
}

/* ---- names ---- */

static Text token_at(const Ablate *ablate, int32_t column) {
    return text_bare(token_text(ablate->call, ablate->model, ablate->prompt.ids[column]));
}

const char *ablate_unit_name(const Ablate *ablate, int32_t cell) {
    MethodCall *call = ablate->call;
    int layer = cell / ablate->n_columns, column = cell % ablate->n_columns;
    const char *name = NULL;
    switch (ablate->what) {
    case ABLATE_HEAD:
        name = arena_printf(call->arena, SAY(call, "layer %d head %d", "第 %d 层第 %d 头"), layer, column);
        break;
    case ABLATE_ATTENTION:
        name = arena_printf(call->arena, SAY(call, "attention of layer %d", "第 %d 层注意力"), layer);
        break;
    case ABLATE_MLP:
        name = arena_printf(call->arena, SAY(call, "MLP of layer %d", "第 %d 层 MLP"), layer);
        break;
    case ABLATE_LAYER:
        name = arena_printf(call->arena, SAY(call, "layer %d", "第 %d 层"), layer);
        break;
    case ABLATE_NEURON:
        name = arena_printf(call->arena, SAY(call, "layer %d neuron %d", "第 %d 层神经元 %d"), layer, column);
        break;
    case ABLATE_POSITION: {
        Text token = token_at(ablate, column);
        name = arena_printf(call->arena, SAY(call, "layer %d at \"%.*s\" (position %d)", "第 %d 层“%.*s”（位置 %d）"),
                            layer, (int)token.length, token.bytes, column);
        break;
    }
    }
    return name != NULL ? name : "";
}

static const char *column_title(const Ablate *ablate) {
    static const char *const titles[] = {"head", "attention", "MLP", "layer", "neuron", "position"};
    return titles[ablate->what];
}

static const char *place_of(const Ablate *ablate) {
    static const char *const english[] = {"zeros in its place", "the mean over rows in its place",
                                          "other prompts' values in its place", "looking at everything equally"};
    static const char *const chinese[] = {"以零代替", "以各行均值代替", "以其他提示的数值代替", "均匀地看向所有词元"};
    return SAY(ablate->call, english, chinese)[ablate->with];
}

/* ---- blocks ---- */

static void label_columns(const Ablate *ablate, MatrixBlock *matrix) {
    for (int32_t column = 0; column < ablate->n_columns; column++) {
        char number[16];
        if (ablate->what == ABLATE_POSITION) {
            Text text = token_text(ablate->call, ablate->model, ablate->prompt.ids[column]);
            matrix_label_column(matrix, column, text.bytes, text.length);
        } else {
            int length = snprintf(number, sizeof number, "%d", (int)column);
            matrix_label_column(matrix, column, number, (size_t)length);
        }
    }
    for (int32_t layer = 0; layer < ablate->n_layers; layer++) {
        char number[16];
        int length = snprintf(number, sizeof number, "%d", (int)layer);
        matrix_label_row(matrix, layer, number, (size_t)length);
    }
}

static limn_status add_grid(const Ablate *ablate, ValuesFile *values, const char *id, const char *title,
                            bool estimates) {
    int64_t cells = (int64_t)ablate->n_layers * ablate->n_columns;
    double *grid = ARENA_ARRAY(ablate->call->arena, double, cells + 1);
    if (grid == NULL) {
        return method_no_memory(ablate->call);
    }
    for (int32_t cell = 0; cell < cells; cell++) {
        grid[cell] = !ablate->wanted[cell] ? (double)NAN
                     : estimates           ? estimate_of(ablate, cell)
                                           : mean_effect(ablate, cell);
    }
    const int64_t shape[] = {ablate->n_layers, ablate->n_columns};
    TRY(values_file_add(values, id, grid, 2, shape));
    if (ablate->n_columns > MATRIX_COLUMNS) {
        return LIMN_OK;
    }
    MatrixBlock *matrix = result_add_matrix(ablate->result, id, title, ablate->n_layers, ablate->n_columns);
    matrix_titles(matrix, "layer", column_title(ablate));
    label_columns(ablate, matrix);
    for (int32_t cell = 0; cell < cells; cell++) {
        matrix_set(matrix, cell / ablate->n_columns, cell % ablate->n_columns, grid[cell]);
    }
    result_block_unit(ablate->result, outcome_text(ablate->call, &ablate->outcome));
    return LIMN_OK;
}

static limn_status show_grids(const Ablate *ablate, ValuesFile *values) {
    MethodCall *call = ablate->call;
    TRY(add_grid(ablate, values, "effects", SAY(call, "What is lost or gained without each", "去掉每一个后的变化"),
                 false));
    if (ablate->n_columns <= MATRIX_COLUMNS) {
        result_block_note(
            ablate->result,
            SAY(call, "%s with it replaced (%s), less that of the run as it is%s", "%s：替换（%s）后减去原样运行的%s"),
            outcome_text(call, &ablate->outcome), place_of(ablate),
            ablate->n_records > 1 ? SAY(call, ", mean over records", "，对各记录取均值") : "");
    }
    if (ablate->estimated) {
        TRY(add_grid(ablate, values, "estimates",
                     SAY(call, "The same as one backward pass has it", "同上，按一次反向传播估计"), true));
        if (ablate->n_columns <= MATRIX_COLUMNS) {
            result_block_note(ablate->result, "%s",
                              SAY(call, "gradient times change, summed: what a small step in that direction would do",
                                  "梯度乘以变化之和：朝该方向的一小步会如何"));
            result_block_detail(ablate->result);
        }
    }
    return LIMN_OK;
}

/* Columns that a kind of unit has. */
typedef struct Columns {
    TableColumn items[7];
    int32_t n;
} Columns;

static void add_column(Columns *columns, const char *name, ColumnKind kind) {
    columns->items[columns->n++] = (TableColumn){text_of(name), kind};
}

static Columns columns_of(const Ablate *ablate) {
    Columns columns = {.n = 0};
    add_column(&columns, "layer", COLUMN_INTEGER);
    if (ablate->n_columns > 1) {
        add_column(&columns, column_title(ablate), COLUMN_INTEGER);
    }
    if (ablate->what == ABLATE_POSITION) {
        add_column(&columns, "token", COLUMN_TOKEN);
    }
    add_column(&columns, "effect", COLUMN_SIGNED);
    if (ablate->estimated) {
        add_column(&columns, "estimate", COLUMN_SIGNED);
    }
    add_column(&columns, "after", COLUMN_NUMBER);
    if (ablate->n_records > 1) {
        add_column(&columns, "error", COLUMN_NUMBER);
    }
    return columns;
}

static void add_row(const Ablate *ablate, TableBlock *table, int32_t cell) {
    Value cells[7];
    int32_t n = 0, column = cell % ablate->n_columns;
    double effect = mean_effect(ablate, cell);
    cells[n++] = value_integer(cell / ablate->n_columns);
    if (ablate->n_columns > 1) {
        cells[n++] = value_integer(column);
    }
    if (ablate->what == ABLATE_POSITION) {
        Text token = token_text(ablate->call, ablate->model, ablate->prompt.ids[column]);
        cells[n++] = value_bytes(token.bytes, token.length);
    }
    cells[n++] = value_number(effect);
    if (ablate->estimated) {
        cells[n++] = value_number(estimate_of(ablate, cell));
    }
    cells[n++] = value_number(ablate->before / ablate->n_records + effect);
    if (ablate->n_records > 1) {
        cells[n++] = value_number(error_of(ablate, cell));
    }
    table_row(table, cells);
}

static void show_strongest(const Ablate *ablate, const int32_t *order, int32_t n) {
    MethodCall *call = ablate->call;
    Columns columns = columns_of(ablate);
    double before = ablate->before / ablate->n_records;
    TableBlock *table = result_add_table(ablate->result, ablate->what == ABLATE_NEURON ? "neurons" : "strongest",
                                         SAY(call, "Missed or unwanted most", "影响最大者"), columns.items, columns.n);
    for (int32_t i = 0; i < n && i < ablate->params->top; i++) {
        add_row(ablate, table, order[i]);
    }
    result_block_unit(ablate->result, outcome_text(call, &ablate->outcome));
    result_block_note(ablate->result,
                      SAY(call, "before: %.4g; - is missed by the answer, + stood in its way; estimate: %s",
                          "原样：%.4g；- 表示答案需要它，+ 表示它阻碍答案；估计：%s"),
                      before,
                      ablate->what == ABLATE_NEURON
                          ? SAY(call, "by one backward pass, which chose these", "由一次反向传播得出，并据此选出这些")
                          : SAY(call, "by one backward pass", "由一次反向传播得出"));
}

static const char *short_name(const Ablate *ablate, int32_t cell) {
    const char *name = ablate->n_columns > 1
                           ? arena_printf(ablate->call->arena, "%d.%d", (int)(cell / ablate->n_columns),
                                          (int)(cell % ablate->n_columns))
                           : arena_printf(ablate->call->arena, "%d", (int)cell);
    return name != NULL ? name : "";
}

static void show_pairs(const Ablate *ablate, const int32_t *order) {
    MethodCall *call = ablate->call;
    int32_t m = ablate->n_paired;
    if (m < 2) {
        return;
    }
    MatrixBlock *matrix =
        result_add_matrix(ablate->result, "pairs",
                          SAY(call, "Two at once, beyond the sum of both", "同时去掉两个，超出两者之和的部分"), m, m);
    for (int32_t a = 0; a < m; a++) {
        Text name = text_of(short_name(ablate, order[a]));
        matrix_label_row(matrix, a, name.bytes, name.length);
        matrix_label_column(matrix, a, name.bytes, name.length);
        for (int32_t b = 0; b < m; b++) {
            matrix_set(matrix, a, b, ablate->pairs[a * m + b] / ablate->n_records);
        }
    }
    matrix_titles(matrix, column_title(ablate), column_title(ablate));
    result_block_unit(ablate->result, outcome_text(call, &ablate->outcome));
    result_block_note(ablate->result, "%s",
                      SAY(call, "below 0: each stands in for the other, and only without both is much lost",
                          "小于 0：二者互为后备，都去掉才损失大"));
}

static limn_status show_curves(const Ablate *ablate) {
    MethodCall *call = ablate->call;
    int32_t m = ablate->n_curve, points = m + 1;
    if (m < 1) {
        return LIMN_OK;
    }
    double *figures = ARENA_ARRAY(call->arena, double, (int64_t)points * 6 + 1);
    if (figures == NULL) {
        return method_no_memory(call);
    }
    double *x = figures, *own = x + points, *estimated = own + points, *mean = estimated + points, *low = mean + points,
           *high = low + points;
    for (int32_t i = 0; i < points; i++) {
        x[i] = i;
        own[i] = ablate->curves[i] / ablate->n_records;
        estimated[i] = ablate->curves[points + i] / ablate->n_records;
        low[i] = INFINITY;
        high[i] = -INFINITY;
        for (int k = 0; k < RANDOM_ORDERS; k++) {
            double value = ablate->curves[(2 + k) * points + i] / ablate->n_records;
            mean[i] += value / RANDOM_ORDERS;
            low[i] = fmin(low[i], value);
            high[i] = fmax(high[i], value);
        }
    }
    SeriesBlock *series =
        result_add_series(ablate->result, "curve", SAY(call, "When more and more are taken out", "逐个去掉更多"), x,
                          points, SAY(call, "taken out", "已去掉"), outcome_text(call, &ablate->outcome));
    series_line(series, SAY(call, "missed most first", "最需要者在先"), own, NULL, NULL);
    if (ablate->estimated) {
        series_line(series, SAY(call, "by one backward pass", "按一次反向传播"), estimated, NULL, NULL);
    }
    series_line(series, SAY(call, "in random order", "随机次序"), mean, low, high);
    result_block_note(ablate->result, SAY(call, "random: mean and range of %d orders", "随机：%d 种次序的均值与范围"),
                      RANDOM_ORDERS);
    return LIMN_OK;
}

/* ---- checks ---- */

/* Correlation of estimates and effects over what was measured. */
static double agreement(const Ablate *ablate, const int32_t *order, int32_t n) {
    double *effects = ARENA_ARRAY(ablate->call->arena, double, n + 1);
    double *estimates = ARENA_ARRAY(ablate->call->arena, double, n + 1);
    if (effects == NULL || estimates == NULL || n < 3) {
        return (double)NAN;
    }
    double x = 0.0, y = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (int32_t i = 0; i < n; i++) {
        effects[i] = mean_effect(ablate, order[i]);
        estimates[i] = estimate_of(ablate, order[i]);
        x += effects[i] / n;
        y += estimates[i] / n;
    }
    for (int32_t i = 0; i < n; i++) {
        xx += (effects[i] - x) * (effects[i] - x);
        yy += (estimates[i] - y) * (estimates[i] - y);
        xy += (effects[i] - x) * (estimates[i] - y);
    }
    return xx > 0.0 && yy > 0.0 ? xy / sqrt(xx * yy) : (double)NAN;
}

static void check(const Ablate *ablate, const int32_t *order, int32_t n) {
    MethodCall *call = ablate->call;
    result_check(ablate->result, "plain pass", ablate->plain_error, CHECK_AT_MOST, plain_tolerance,
                 SAY(call, "largest relative difference of the strongest and two other units from full passes",
                     "最强者与另外两个同完整计算的最大相对差"));
    double found = ablate->estimated ? agreement(ablate, order, n) : (double)NAN;
    if (!isnan(found)) {
        result_check(ablate->result, "estimate", found, CHECK_AT_LEAST, least_agreement,
                     SAY(call, "correlation of the effects with what one backward pass makes of them",
                         "效应与一次反向传播估计的相关系数"));
        result_check_advisory(ablate->result);
    }
}

static void say_headline(const Ablate *ablate, int32_t cell) {
    MethodCall *call = ablate->call;
    double before = ablate->before / ablate->n_records, effect = mean_effect(ablate, cell);
    result_headline(ablate->result,
                    effect < 0
                        ? SAY(call, "Missed most: %s. Without it the %s falls from %.4g to %.4g",
                              "最需要的是%s：去掉它，%s从 %.4g 降到 %.4g")
                        : SAY(call, "Nothing is missed; most in the way: %s. Without it the %s rises from %.4g to %.4g",
                              "没有所需者；最碍事的是%s：去掉它，%s从 %.4g 升到 %.4g"),
                    ablate_unit_name(ablate, cell), outcome_text(call, &ablate->outcome), before, before + effect);
}

limn_status ablate_report(Ablate *ablate, ValuesFile *values) {
    Result *result = ablate->result;
    int32_t *order, n;
    TRY(ablate_strongest(ablate, ablate->call->arena, &order, &n));
    result_param_text(result, "metric", outcome_name(ablate->outcome.metric));
    result_param_number(result, "before", ablate->before / ablate->n_records);
    result_param_integer(result, "records", ablate->n_records);
    if (ablate->params->data.file.bytes == NULL) {
        target_describe(result, ablate->call, ablate->model, &ablate->target, &ablate->contrast, 0);
        target_warn_unlikely(result, ablate->call, ablate->model, &ablate->target, &ablate->contrast);
    }
    if (ablate->n_ranked > 0) {
        say_headline(ablate, ablate->ranked[0]);
    }
    show_strongest(ablate, order, n);
    TRY(show_grids(ablate, values));
    show_pairs(ablate, order);
    TRY(show_curves(ablate));
    check(ablate, order, n);
    return LIMN_OK;
}
