/* What `limn attention` says. */
#include <math.h>
#include <stdio.h>

#include "method/attention/attention.h"

enum { BEST = 3 };
static const double sum_tolerance = 1e-4;

int64_t attention_best(const AttentionWork *work, HeadFigure figure) {
    int64_t best = -1, all = (int64_t)work->layers.n_layers * work->layers.n_heads;
    for (int64_t i = 0; i < all; i++) {
        double value = work->figures[figure][i];
        best = !isnan(value) && (best < 0 || value > work->figures[figure][best]) ? i : best;
    }
    return best;
}

static const char *figure_id(HeadFigure figure) {
    static const char *const ids[] = {"entropy", "previous", "first", "induction"};
    return ids[figure];
}

static const char *figure_title(const MethodCall *call, HeadFigure figure) {
    static const char *const english[] = {"Entropy: how widely each head looks", "Attention to the token before",
                                          "Attention to the first token",
                                          "Induction: attention to what came after this token before"};
    static const char *const chinese[] = {"熵：各注意力头看得多分散", "对前一个词元的注意力", "对首个词元的注意力",
                                          "归纳：对该词元上次出现后之词元的注意力"};
    return SAY(call, english, chinese)[figure];
}

static const char *figure_kind(const MethodCall *call, HeadFigure figure) {
    static const char *const english[] = {"widest", "previous token", "first token", "induction"};
    static const char *const chinese[] = {"最分散", "前一词元", "首个词元", "归纳"};
    return SAY(call, english, chinese)[figure];
}

static int64_t next_best(const double *values, int64_t n, const int64_t *before, int n_before) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        bool taken = isnan(values[i]);
        for (int k = 0; k < n_before; k++) {
            taken = taken || before[k] == i;
        }
        best = !taken && (best < 0 || values[i] > values[best]) ? i : best;
    }
    return best;
}

static void show_table(const AttentionWork *work) {
    static const TableColumn columns[] = {{TEXT("kind"), COLUMN_TEXT},
                                          {TEXT("layer"), COLUMN_INTEGER},
                                          {TEXT("head"), COLUMN_INTEGER},
                                          {TEXT("score"), COLUMN_NUMBER}};
    MethodCall *call = work->call;
    int64_t all = (int64_t)work->layers.n_layers * work->layers.n_heads;
    static const HeadFigure order[] = {HEAD_INDUCTION, HEAD_PREVIOUS, HEAD_FIRST, HEAD_ENTROPY};
    TableBlock *table =
        result_add_table(work->result, "heads", SAY(call, "Heads that stand out", "突出的注意力头"), columns, 4);
    for (int f = 0; f < FIGURES; f++) {
        int64_t taken[BEST];
        for (int k = 0; k < BEST; k++) {
            int64_t best = taken[k] = next_best(work->figures[order[f]], all, taken, k);
            if (best < 0) {
                break;
            }
            const Value cells[] = {value_text(figure_kind(call, order[f])), value_integer(best / work->layers.n_heads),
                                   value_integer(best % work->layers.n_heads),
                                   value_number(work->figures[order[f]][best])};
            table_row(table, cells);
        }
    }
    result_block_note(work->result, "%s",
                      SAY(call,
                          "score: mean attention over rows (of induction: rows whose token stood before); widest: "
                          "entropy in nats",
                          "得分：各行注意力的均值（归纳：词元曾出现过的行）；最分散：熵，单位 nat"));
}

static limn_status show_figures(const AttentionWork *work, ValuesFile *values) {
    int32_t n_layers = work->layers.n_layers, n_heads = work->layers.n_heads;
    const int64_t shape[] = {n_layers, n_heads};
    for (int f = 0; f < FIGURES; f++) {
        TRY(values_file_add(values, figure_id((HeadFigure)f), work->figures[f], 2, shape));
        MatrixBlock *matrix = result_add_matrix(work->result, figure_id((HeadFigure)f),
                                                figure_title(work->call, (HeadFigure)f), n_layers, n_heads);
        matrix_titles(matrix, "layer", "head");
        if (matrix != NULL) {
            matrix->is_signed = false;
        }
        for (int32_t i = 0; i < n_layers || i < n_heads; i++) {
            char number[16];
            int length = snprintf(number, sizeof number, "%d", (int)i);
            if (i < n_layers) {
                matrix_label_row(matrix, i, number, (size_t)length);
            }
            if (i < n_heads) {
                matrix_label_column(matrix, i, number, (size_t)length);
            }
        }
        for (int64_t i = 0; i < (int64_t)n_layers * n_heads; i++) {
            matrix_set(matrix, (int32_t)(i / n_heads), (int32_t)(i % n_heads), work->figures[f][i]);
        }
        if (f != HEAD_PREVIOUS) {
            result_block_detail(work->result);
        }
    }
    return LIMN_OK;
}

static limn_status show_pattern(const AttentionWork *work, int32_t shown, ValuesFile *values) {
    MethodCall *call = work->call;
    HeadName head = work->shown[shown];
    int32_t n = work->layers.n;
    const int64_t shape[] = {n, n};
    char id[64], title[96];
    snprintf(id, sizeof id, "pattern.%d.%d", (int)head.layer, (int)head.head);
    snprintf(title, sizeof title, SAY(call, "Layer %d head %d", "第 %d 层第 %d 头"), (int)head.layer, (int)head.head);
    TRY(values_file_add(values, id, work->patterns[shown], 2, shape));
    if (n > MATRIX_ROWS) {
        return LIMN_OK;
    }
    MatrixBlock *matrix = result_add_matrix(work->result, id, title, n, n);
    matrix_titles(matrix, SAY(call, "row", "行"), SAY(call, "looks at", "看向"));
    if (matrix != NULL) {
        matrix->is_signed = false;
    }
    for (int32_t i = 0; i < n; i++) {
        Text text = token_text(call, work->model, work->prompt.ids[i]);
        matrix_label_row(matrix, i, text.bytes, text.length);
        matrix_label_column(matrix, i, text.bytes, text.length);
        for (int32_t j = 0; j < n; j++) {
            matrix_set(matrix, i, j, work->patterns[shown][(int64_t)i * n + j]);
        }
    }
    return LIMN_OK;
}

static void say_headline(const AttentionWork *work) {
    MethodCall *call = work->call;
    int32_t n_heads = work->layers.n_heads;
    int64_t previous = attention_best(work, HEAD_PREVIOUS), induction = attention_best(work, HEAD_INDUCTION);
    if (induction >= 0 && previous >= 0) {
        result_headline(
            work->result,
            SAY(call,
                "Looks back one token most: layer %d head %d (%.2f); at what came next last time: layer %d "
                "head %d (%.2f)",
                "最常看前一个词元：第 %d 层第 %d 头（%.2f）；最常看上次之后的词元：第 %d 层第 %d 头（%.2f）"),
            (int)(previous / n_heads), (int)(previous % n_heads), work->figures[HEAD_PREVIOUS][previous],
            (int)(induction / n_heads), (int)(induction % n_heads), work->figures[HEAD_INDUCTION][induction]);
    } else if (previous >= 0) {
        result_headline(work->result,
                        SAY(call, "Looks back one token most: layer %d head %d (%.2f)",
                            "最常看前一个词元：第 %d 层第 %d 头（%.2f）"),
                        (int)(previous / n_heads), (int)(previous % n_heads), work->figures[HEAD_PREVIOUS][previous]);
    }
}

limn_status attention_report(const AttentionWork *work, ValuesFile *values) {
    Result *result = work->result;
    say_headline(work);
    if (attention_best(work, HEAD_INDUCTION) < 0) {
        result_warn(result, "%s",
                    SAY(work->call,
                        "no token stands twice, so induction has no score; --repeat N reads random tokens twice",
                        "没有重复出现的词元，因此没有归纳得分；--repeat N 让随机词元出现两次"));
    }
    show_table(work);
    for (int32_t i = 0; i < work->n_shown; i++) {
        TRY(show_pattern(work, i, values));
    }
    if (work->layers.n > MATRIX_ROWS && work->n_shown > 0) {
        result_warn(result,
                    SAY(work->call, "patterns of %d tokens are not shown; --values FILE.safetensors keeps them",
                        "%d 个词元的注意力图不显示；--values FILE.safetensors 可保存"),
                    (int)work->layers.n);
    }
    TRY(show_figures(work, values));
    result_check(result, "row sums", work->worst_sum, CHECK_AT_MOST, sum_tolerance,
                 SAY(work->call, "how far the sum of a row is from 1, at most", "各行之和与 1 的最大偏差"));
    return LIMN_OK;
}
