/* What `limn lens` says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure/target_score.h"
#include "method/representation/lens.h"

enum { MATRIX_COLUMNS = 256 };
static const double same_answer = 1e-3, sum_tolerance = 1e-3;

static bool contrasted(const Lens *lens) {
    return lens->contrast.kind != TARGET_NONE;
}

static bool is_number(const Lens *lens) {
    return lens->target.n_outputs == 1;
}

static void label_number(MatrixBlock *matrix, int32_t place, int32_t number, bool row) {
    char text[16];
    int length = snprintf(text, sizeof text, "%d", (int)number);
    if (row) {
        matrix_label_row(matrix, place, text, (size_t)length);
    } else {
        matrix_label_column(matrix, place, text, (size_t)length);
    }
}

static void label_stream(const Lens *lens, MatrixBlock *matrix, int32_t layer) {
    if (layer == 0) {
        Text text = text_of(SAY(lens->call, "before 0", "第 0 层前"));
        matrix_label_row(matrix, 0, text.bytes, text.length);
    } else {
        label_number(matrix, layer, layer - 1, true);
    }
}

/* ---- the lens ---- */

static limn_status show_lens(const Lens *lens, ValuesFile *values) {
    MethodCall *call = lens->call;
    const int64_t shape[] = {lens->n_layers + 1, lens->n_columns};
    TRY(values_file_add(values, "lens", lens->grid, 2, shape));
    bool few = lens->n_columns <= MATRIX_COLUMNS, final = lens->params->of == (int32_t)LENS_OF_FINAL;
    int32_t from = few ? 0 : lens->target.rows[0] - lens->first, n = few ? lens->n_columns : 1;
    MatrixBlock *matrix = result_add_matrix(
        lens->result, "lens", SAY(call, "What each layer would say", "若停在各层会怎么说"), lens->n_layers + 1, n);
    matrix_titles(matrix, "layer", "position");
    for (int32_t layer = 0; layer <= lens->n_layers; layer++) {
        label_stream(lens, matrix, layer);
        for (int32_t c = 0; c < n; c++) {
            matrix_set(matrix, layer, c, lens->grid[(int64_t)layer * lens->n_columns + from + c]);
        }
    }
    for (int32_t c = 0; c < n; c++) {
        Text text = token_text(call, lens->model, lens->sequence.ids[lens->first + from + c]);
        matrix_label_column(matrix, c, text.bytes, text.length);
    }
    if (matrix != NULL && !contrasted(lens) && !is_number(lens)) {
        matrix->is_signed = false;
    }
    result_block_unit(lens->result, is_number(lens)    ? "logit"
                                    : contrasted(lens) ? SAY(call, "lead in log-probability", "对数概率之差")
                                                       : SAY(call, "log-probability", "对数概率"));
    result_block_note(
        lens->result, "%s",
        final ? SAY(call, "of what the model says at each position in the end", "模型在各位置最终所说的词元")
        : contrasted(lens)
            ? SAY(call, "of the target over the contrast, read behind each layer", "各层之后读出的目标对对照的领先")
            : SAY(call, "of the target, read behind each layer at every position", "各层之后、每个位置读出的目标"));
    return LIMN_OK;
}

static void show_answer(const Lens *lens) {
    const TableColumn columns[] = {{TEXT("layer"), COLUMN_INTEGER},
                                   {TEXT("likeliest"), COLUMN_TOKEN},
                                   {TEXT("probability"), COLUMN_PROBABILITY},
                                   {TEXT("second choice"), COLUMN_TOKEN},
                                   {TEXT("third choice"), COLUMN_TOKEN},
                                   {TEXT("target"), COLUMN_PROBABILITY},
                                   {TEXT("rank"), COLUMN_INTEGER},
                                   {TEXT("contrast"), COLUMN_PROBABILITY}};
    MethodCall *call = lens->call;
    if (is_number(lens)) {
        return;
    }
    TableBlock *table =
        result_add_table(lens->result, "answer", SAY(call, "Where the answer is read", "读出答案的位置"), columns,
                         contrasted(lens) ? 8 : 7);
    for (int32_t layer = 0; layer <= lens->n_layers; layer++) {
        const LensLayer *own = &lens->layers[layer];
        Text text[LENS_FIRST];
        for (int32_t k = 0; k < LENS_FIRST; k++) {
            text[k] = k < lens->n_best ? output_text(call, lens->model, own->best[k]) : text_of("");
        }
        const Value cells[] = {layer == 0 ? value_null() : value_integer(layer - 1),
                               value_bytes(text[0].bytes, text[0].length),
                               value_number(own->best_p[0]),
                               value_bytes(text[1].bytes, text[1].length),
                               value_bytes(text[2].bytes, text[2].length),
                               value_number(exp(own->log_p)),
                               value_integer(own->rank),
                               value_number(exp(own->contrast_log_p))};
        table_row(table, cells);
    }
    result_block_note(
        lens->result, "%s",
        SAY(call, "read behind each layer; the first row is the embedding", "在各层之后读出；首行为嵌入"));
}

/* ---- direct attribution ---- */

static const char *share_unit(const Lens *lens) {
    return contrasted(lens) ? SAY(lens->call, "difference of logits", "logit 之差") : "logit";
}

static double biases(const Lens *lens) {
    double sum = lens->embeddings + lens->positions + lens->types + lens->constant;
    for (int32_t layer = 0; layer < lens->n_layers; layer++) {
        sum += lens->attention[layer] + lens->mlp[layer];
    }
    return lens->logit - sum;
}

static void show_parts(const Lens *lens) {
    static const TableColumn columns[] = {{TEXT("part"), COLUMN_TEXT}, {TEXT("share"), COLUMN_SIGNED}};
    MethodCall *call = lens->call;
    TableBlock *table =
        result_add_table(lens->result, "parts", SAY(call, "Who wrote the answer", "答案由谁写出"), columns, 2);
    double attention = 0.0, mlp = 0.0, rest = biases(lens);
    for (int32_t layer = 0; layer < lens->n_layers; layer++) {
        attention += lens->attention[layer];
        mlp += lens->mlp[layer];
    }
    const struct {
        const char *name;
        double share;
        bool shown;
    } rows[] = {{SAY(call, "embedding", "词嵌入"), lens->embeddings, true},
                {SAY(call, "position embedding", "位置嵌入"), lens->positions, lens->positions != 0.0},
                {SAY(call, "token type embedding", "词元类型嵌入"), lens->types, lens->types != 0.0},
                {SAY(call, "attention of all layers", "各层注意力"), attention, true},
                {SAY(call, "MLPs of all layers", "各层 MLP"), mlp, true},
                {SAY(call, "biases behind the last layer", "末层之后的偏置"), lens->constant,
                 fabs(lens->constant) > 1e-4 * fmax(1.0, fabs(lens->logit))},
                {SAY(call, "biases of norms on the way", "途中归一化的偏置"), rest, !lens->linear},
                {SAY(call, "together", "合计"), lens->logit, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].shown) {
            const Value cells[] = {value_text(rows[i].name), value_number(rows[i].share)};
            table_row(table, cells);
        }
    }
    result_block_unit(lens->result, share_unit(lens));
    result_block_note(lens->result, "%s",
                      SAY(call, "directly, along the stream: what a part does through later layers is not in it",
                          "直接沿残差流：经由后续层的作用不计在内"));
}

static limn_status show_layers(const Lens *lens, ValuesFile *values) {
    MethodCall *call = lens->call;
    double *both = ARENA_ARRAY(call->arena, double, 2 * (int64_t)lens->n_layers + 1);
    if (both == NULL) {
        return method_no_memory(call);
    }
    MatrixBlock *matrix =
        result_add_matrix(lens->result, "direct.layers", SAY(call, "By layer", "按层"), lens->n_layers, 2);
    matrix_titles(matrix, "layer", "component");
    for (int32_t layer = 0; layer < lens->n_layers; layer++) {
        label_number(matrix, layer, layer, true);
        both[2 * layer] = lens->attention[layer];
        both[2 * layer + 1] = lens->mlp[layer];
        matrix_set(matrix, layer, 0, lens->attention[layer]);
        matrix_set(matrix, layer, 1, lens->mlp[layer]);
    }
    Text attention = text_of(SAY(call, "attention", "注意力"));
    matrix_label_column(matrix, 0, attention.bytes, attention.length);
    matrix_label_column(matrix, 1, "MLP", 3);
    result_block_unit(lens->result, share_unit(lens));
    const int64_t shape[] = {lens->n_layers, 2};
    return values_file_add(values, "direct.layers", both, 2, shape);
}

static limn_status show_heads(const Lens *lens, ValuesFile *values) {
    MethodCall *call = lens->call;
    int32_t heads = lens->model->config.n_heads;
    MatrixBlock *matrix =
        result_add_matrix(lens->result, "direct.heads", SAY(call, "By head", "按注意力头"), lens->n_layers, heads);
    matrix_titles(matrix, "layer", "head");
    for (int32_t layer = 0; layer < lens->n_layers; layer++) {
        label_number(matrix, layer, layer, true);
        for (int32_t h = 0; h < heads; h++) {
            matrix_set(matrix, layer, h, lens->heads[layer * heads + h]);
        }
    }
    for (int32_t h = 0; h < heads; h++) {
        label_number(matrix, h, h, false);
    }
    result_block_unit(lens->result, share_unit(lens));
    const int64_t shape[] = {lens->n_layers, heads};
    return values_file_add(values, "direct.heads", lens->heads, 2, shape);
}

static void show_neurons(const Lens *lens) {
    static const TableColumn columns[] = {
        {TEXT("layer"), COLUMN_INTEGER}, {TEXT("neuron"), COLUMN_INTEGER}, {TEXT("share"), COLUMN_SIGNED}};
    if (lens->n_neurons == 0) {
        return;
    }
    TableBlock *table = result_add_table(lens->result, "neurons",
                                         SAY(lens->call, "Neurons that write most", "写得最多的神经元"), columns, 3);
    for (int32_t i = 0; i < lens->n_neurons; i++) {
        const Value cells[] = {value_integer(lens->neurons[i].layer), value_integer(lens->neurons[i].index),
                               value_number(lens->neurons[i].share)};
        table_row(table, cells);
    }
    result_block_unit(lens->result, share_unit(lens));
}

/* ---- all together ---- */

/* From which layer on the target is the likeliest to the end. */
static int32_t settled(const Lens *lens) {
    int32_t layer = lens->n_layers + 1;
    while (layer > 0 && lens->layers[layer - 1].rank == 1) {
        layer--;
    }
    return layer;
}

static void say_headline(const Lens *lens) {
    MethodCall *call = lens->call;
    int32_t best = 0, heads = lens->model->config.n_heads, from = settled(lens);
    for (int32_t i = 1; i < lens->n_layers * heads; i++) {
        best = lens->heads[i] > lens->heads[best] ? i : best;
    }
    Text text = text_bare(output_text(call, lens->model, lens->target.ids[0]));
    if (from > lens->n_layers || is_number(lens)) {
        result_headline(lens->result,
                        SAY(call, "\"%.*s\" is not what the model says; head %d.%d writes most towards it (%+.3g)",
                            "“%.*s”不是模型所说的；第 %d 层第 %d 头写得最多（%+.3g）"),
                        (int)text.length, text.bytes, (int)(best / heads), (int)(best % heads), lens->heads[best]);
        return;
    }
    const char *where = from == 0 ? arena_printf(call->arena, "%s", SAY(call, "the embedding", "嵌入"))
                                  : arena_printf(call->arena, SAY(call, "layer %d", "第 %d 层"), (int)from - 1);
    result_headline(
        lens->result,
        SAY(call,
            "\"%.*s\" stands first from %s on (of %d layers); of the heads, layer %d head %d writes most of "
            "it (%+.3g)",
            "“%.*s”从%s起居首（共 %d 层）；各头中第 %d 层第 %d 头写得最多（%+.3g）"),
        (int)text.length, text.bytes, where == NULL ? "" : where, (int)lens->n_layers, (int)(best / heads),
        (int)(best % heads), lens->heads[best]);
}

static void check(const Lens *lens) {
    MethodCall *call = lens->call;
    double own = is_number(lens) ? lens->target.logit : lens->target.log_probabilities[0];
    result_check(lens->result, "last layer", fabs(lens->layers[lens->n_layers].log_p - own), CHECK_AT_MOST, same_answer,
                 SAY(call, "difference between the model's answer and what is read behind the last layer",
                     "模型的答案与末层之后读出的差"));
    if (lens->linear) {
        result_check(lens->result, "sum of shares", fabs(biases(lens)) / fmax(1.0, fabs(lens->logit)), CHECK_AT_MOST,
                     sum_tolerance,
                     SAY(call, "how far the shares are from adding up to what they are shares of, relative",
                         "各份额之和与总值的相对偏差"));
    } else {
        result_warn(lens->result, "%s",
                    SAY(call,
                        "norms stand in the stream of this model, or its head is no linear map: shares are to first "
                        "order, and what is left is in the row of biases",
                        "该模型的残差流中有归一化，或其输出头不是线性映射：份额为一阶近似，其余计入偏置一行"));
    }
}

limn_status lens_report(Lens *lens, ValuesFile *values) {
    target_describe(lens->result, lens->call, lens->model, &lens->target, &lens->contrast, 0);
    target_warn_unlikely(lens->result, lens->call, lens->model, &lens->target, &lens->contrast);
    say_headline(lens);
    show_answer(lens);
    TRY(show_lens(lens, values));
    show_parts(lens);
    TRY(show_layers(lens, values));
    TRY(show_heads(lens, values));
    show_neurons(lens);
    check(lens);
    return LIMN_OK;
}
