/* What `limn patch` says of its grid. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "files/tensor_files.h"
#include "measure/target_score.h"
#include "method/causal/patch.h"

static const double tolerance = 1e-4;
/* Below this the two runs give the same answer, and shares of their difference mean nothing. */
static const double least_difference = 1e-3;

static double base_value(const Patch *patch) {
    return patch->params->reverse ? patch->clean_value : patch->corrupt_value;
}

static bool apart(const Patch *patch) {
    return fabs(patch->clean_value - patch->corrupt_value) > least_difference;
}

static Text column_text(const Patch *patch, int32_t column) {
    if (patch->by == PATCH_BY_HEAD) {
        const char *text = arena_printf(patch->call->arena, "%d", (int)column);
        return text_of(text != NULL ? text : "");
    }
    int32_t row = column;
    if (patch->params->reverse) { /* labels are by the corrupt prompt */
        Alignment turned = alignment_turned(&patch->pair.alignment);
        row = alignment_source(&turned, column);
        if (row < 0) {
            return text_bare(token_text(patch->call, patch->model, patch->base_side->sequence.ids[column]));
        }
    }
    return pair_token_text(patch->call, patch->model, &patch->pair, row);
}

static void add_matrix(const Patch *patch, const char *id, const char *title, bool share) {
    MatrixBlock *matrix = result_add_matrix(patch->result, id, title, patch->n_layers, patch->n_columns);
    matrix_titles(matrix, "layer", patch->by == PATCH_BY_HEAD ? "head" : "position");
    for (int32_t layer = 0; layer < patch->n_layers; layer++) {
        char label[16];
        int length = snprintf(label, sizeof label, "%d", (int)layer);
        matrix_label_row(matrix, layer, label, (size_t)length);
        for (int32_t column = 0; column < patch->n_columns; column++) {
            double after = patch->after[layer * patch->n_columns + column];
            double value = share ? patch_share(patch, after) : after - base_value(patch);
            matrix_set(matrix, layer, column, apart(patch) || !share ? value : (double)NAN);
        }
    }
    for (int32_t column = 0; column < patch->n_columns; column++) {
        Text text = column_text(patch, column);
        matrix_label_column(matrix, column, text.bytes, text.length);
    }
}

static void show_matrices(const Patch *patch) {
    MethodCall *call = patch->call;
    const char *metric = outcome_text(call, &patch->outcome);
    add_matrix(patch, "effects", SAY(call, "What patching one place does", "替换一处的作用"), false);
    result_block_unit(patch->result, metric);
    result_block_note(patch->result,
                      SAY(call,
                          "%s with the place patched less %.4g, that of the %s run as it is; the other run has %.4g",
                          "替换该处后的%s减去%.4g（%s的运行本身）；另一次运行为 %.4g"),
                      metric, base_value(patch),
                      patch->params->reverse ? SAY(call, "clean", "原提示") : SAY(call, "corrupt", "改提示"),
                      patch->params->reverse ? patch->corrupt_value : patch->clean_value);
    add_matrix(patch, "normalised", SAY(call, "The same as a share of the way", "同上，以占全程的比例表示"), true);
    result_block_note(patch->result, SAY(call, "0: as the corrupt prompt, 1: as the clean one; may lie outside of both",
                                         "0：如改提示，1：如原提示；可在二者之外"));
    result_block_detail(patch->result);
}

/* ---- the strongest ---- */

/* Is cell a stronger than cell b? Ties go to the earlier one. */
static bool stronger(const Patch *patch, int32_t a, int32_t b) {
    double base = base_value(patch);
    double x = fabs(patch->after[a] - base), y = fabs(patch->after[b] - base);
    return x > y || (x == y && a < b);
}

/* The `top` strongest, best first; returns how many there are. */
static int32_t strongest_cells(const Patch *patch, int32_t *best, int32_t top) {
    int32_t n = 0;
    for (int32_t cell = 0; cell < patch->n_layers * patch->n_columns; cell++) {
        if (isnan(patch->after[cell]) || (n == top && !stronger(patch, cell, best[n - 1]))) {
            continue;
        }
        int32_t at = n < top ? n++ : n - 1;
        for (; at > 0 && stronger(patch, cell, best[at - 1]); at--) {
            best[at] = best[at - 1];
        }
        best[at] = cell;
    }
    return n;
}

static void show_strongest(const Patch *patch, const int32_t *best, int32_t n) {
    bool heads = patch->by == PATCH_BY_HEAD;
    const TableColumn columns[] = {
        {TEXT("layer"), COLUMN_INTEGER}, {text_of(heads ? "head" : "position"), COLUMN_INTEGER},
        {TEXT("effect"), COLUMN_SIGNED}, {TEXT("normalised"), COLUMN_NUMBER},
        {TEXT("after"), COLUMN_NUMBER},  {TEXT("token"), COLUMN_TOKEN}}; /* the last: of positions */
    MethodCall *call = patch->call;
    TableBlock *table = result_add_table(patch->result, "strongest", SAY(call, "Where it matters most", "作用最大之处"),
                                         columns, heads ? 5 : 6);
    for (int32_t i = 0; i < n; i++) {
        int32_t column = best[i] % patch->n_columns;
        double after = patch->after[best[i]];
        Text token = column_text(patch, column);
        const Value cells[] = {value_integer(best[i] / patch->n_columns),
                               value_integer(column),
                               value_number(after - base_value(patch)),
                               apart(patch) ? value_number(patch_share(patch, after)) : value_null(),
                               value_number(after),
                               value_bytes(token.bytes, token.length)};
        table_row(table, cells);
    }
    result_block_unit(patch->result, outcome_text(call, &patch->outcome));
}

static void say_headline(const Patch *patch, int32_t cell) {
    MethodCall *call = patch->call;
    int32_t layer = cell / patch->n_columns, column = cell % patch->n_columns;
    double after = patch->after[cell], effect = after - base_value(patch);
    Text token = column_text(patch, column);
    const char *where = patch->by == PATCH_BY_HEAD
                            ? arena_printf(call->arena, SAY(call, "head %d", "第 %d 头"), (int)column)
                            : arena_printf(call->arena, SAY(call, "\"%.*s\" (position %d)", "“%.*s”（位置 %d）"),
                                           (int)token.length, token.bytes, (int)column);
    if (where == NULL) {
        return;
    }
    const char *what = SAY(call, patch->site->text, patch->site->zh);
    if (!apart(patch)) {
        result_headline(
            patch->result,
            SAY(call, "Both prompts give the same %s: there is nothing to find", "两个提示的%s相同：没有可找的"),
            outcome_text(call, &patch->outcome));
        return;
    }
    double share = patch_share(patch, after);
    result_headline(
        patch->result,
        patch->params->reverse
            ? SAY(call, "Most is lost at %s, layer %d, %s: %.3g%% of the way to the corrupt prompt's answer (%+.3g)",
                  "损失最多之处：%s，第 %d 层，%s：走到改提示答案的 %.3g%%（%+.3g）")
            : SAY(call, "Most comes back at %s, layer %d, %s: %.3g%% of the way to the clean prompt's answer (%+.3g)",
                  "恢复最多之处：%s，第 %d 层，%s：走到原提示答案的 %.3g%%（%+.3g）"),
        what, (int)layer, where, 100 * (patch->params->reverse ? 1 - share : share), effect);
}

/* ---- checks, values ---- */

static void check(const Patch *patch) {
    MethodCall *call = patch->call;
    if (!isnan(patch->plain_error)) {
        result_check(patch->result, "plain pass", patch->plain_error, CHECK_AT_MOST, tolerance,
                     SAY(call, "largest difference of the strongest and three other cells from full passes",
                         "最强的一格与另外三格同完整计算的最大差"));
    }
    if (!isnan(patch->ends_error)) {
        result_check(patch->result, "ends", patch->ends_error, CHECK_AT_MOST, tolerance,
                     SAY(call, "difference from the other run once every position is patched before the first layer",
                         "在第一层之前替换所有位置后与另一次运行的差"));
    }
    result_check(patch->result, "apart", fabs(patch->clean_value - patch->corrupt_value), CHECK_ABOVE, least_difference,
                 SAY(call, "difference of what is measured between the clean and the corrupt run",
                     "原提示与改提示之间所测量的差"));
}

static limn_status write_values(Patch *patch) {
    static const char *const names[] = {"after", "effects", "normalised"};
    const int64_t shape[] = {patch->n_layers, patch->n_columns}, n = shape[0] * shape[1];
    double *values = ARENA_ARRAY(patch->call->arena, double, n + 1);
    if (values == NULL) {
        return method_no_memory(patch->call);
    }
    for (int i = 0; i < 3; i++) {
        for (int64_t cell = 0; cell < n; cell++) {
            double after = patch->after[cell];
            values[cell] = i == 0 ? after : i == 1 ? after - base_value(patch) : patch_share(patch, after);
        }
        TRY(values_file_add(&patch->values, names[i], values, 2, shape));
    }
    return values_file_write(&patch->values, patch->model);
}

limn_status patch_report(Patch *patch) {
    Result *result = patch->result;
    int32_t n = patch->n_layers * patch->n_columns, top = (int32_t)patch->params->top;
    top = top < n ? top : n;
    int32_t *best = ARENA_ARRAY(patch->call->arena, int32_t, top + 1);
    if (best == NULL) {
        return method_no_memory(patch->call);
    }
    top = strongest_cells(patch, best, top);
    result_param_text(result, "metric", outcome_name(patch->outcome.metric));
    result_param_text(result, "by", patch->by == PATCH_BY_HEAD ? "head" : "position");
    result_param_number(result, "clean", patch->clean_value);
    result_param_number(result, "corrupt-value", patch->corrupt_value);
    target_describe(result, patch->call, patch->model, &patch->target, &patch->contrast, 0);
    if (top > 0) {
        say_headline(patch, best[0]);
    }
    show_matrices(patch);
    show_strongest(patch, best, top);
    check(patch);
    TRY(write_values(patch));
    return result_status(result);
}
