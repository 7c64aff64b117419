/* What `limn rollout` says. */
#include <math.h>
#include <stdlib.h>

#include "measure/attribution.h"
#include "measure/cause.h"
#include "measure/target_score.h"
#include "method/attention/rollout.h"

enum { LIKELIEST = 5, EDGES = 12, MATRIX_MOST = 256 };
static const double sum_tolerance = 1e-4, most_on_sinks = 0.9;

/* How much of what a word's rows hold comes from another word. to -1: the answer. */
typedef struct RolloutEdge {
    int32_t from, to;
    double weight;
} RolloutEdge;

/* ---- edges ---- */

static bool is_held(const Rollout *rollout, int32_t t) {
    return isnan(rollout->scores[t]);
}

/* Everything rests on special tokens, and on the first one where there are none before it. */
static bool is_source(const Rollout *rollout, const TokenRuns *words, int32_t word) {
    for (int32_t t = words->begins[word]; t < words->begins[word + 1]; t++) {
        if (t > 0 && !is_held(rollout, t)) {
            return true;
        }
    }
    return false;
}

static double word_edge(const Rollout *rollout, const TokenRuns *words, int32_t from, int32_t to) {
    double sum = 0.0;
    int32_t rows = 0;
    for (int32_t i = to < 0 ? 0 : words->begins[to]; i < (to < 0 ? 1 : words->begins[to + 1]); i++, rows++) {
        const double *row = to < 0 ? rollout->answer : rollout->matrix + (int64_t)i * rollout->n;
        for (int32_t j = words->begins[from]; j < words->begins[from + 1]; j++) {
            sum += row[j];
        }
    }
    return rows > 0 ? sum / rows : 0.0;
}

static int by_weight(const void *left, const void *right) {
    const RolloutEdge *a = left, *b = right;
    if (a->weight != b->weight) {
        return a->weight > b->weight ? -1 : 1;
    }
    return a->to != b->to ? a->to - b->to : a->from - b->from;
}

static void show_edges(const Rollout *rollout, Result *result, const TokenRuns *words, RolloutEdge *edges, int32_t n) {
    static const TableColumn columns[] = {{TEXT("from"), COLUMN_TOKEN},
                                          {TEXT("from position"), COLUMN_INTEGER},
                                          {TEXT("to"), COLUMN_TOKEN},
                                          {TEXT("to position"), COLUMN_INTEGER},
                                          {TEXT("weight"), COLUMN_NUMBER}};
    MethodCall *call = rollout->call;
    TableBlock *table = result_add_table(
        result, "edges", SAY(call, "Strongest ways from word to word", "词与词之间最强的通路"), columns, 5);
    for (int32_t e = 0; e < n && e < EDGES; e++) {
        const int32_t from = edges[e].from, to = edges[e].to;
        Text source = run_text(call, rollout->model, rollout->prompt, words->begins[from], words->begins[from + 1]);
        Text sink = to < 0 ? text_of(SAY(call, "(the answer)", "（答案）"))
                           : run_text(call, rollout->model, rollout->prompt, words->begins[to], words->begins[to + 1]);
        const Value cells[] = {value_bytes(source.bytes, source.length), value_integer(words->begins[from]),
                               value_bytes(sink.bytes, sink.length),
                               value_integer(to < 0 ? rollout->rows[0] : words->begins[to]),
                               value_number(edges[e].weight)};
        table_row(table, cells);
    }
    result_block_note(
        result, "%s",
        SAY(call,
            "weight: how much of the row of \"to\" leads to \"from\"; a word to itself, special tokens and "
            "the first token, on which rows rest that look at nothing, are left out",
            "权重：“至”一行有多少来自“从”；词到自身、特殊词元以及首个词元（无处可看的行停留之处）不列出"));
}

static limn_status add_edges(const Rollout *rollout, Result *result, const TokenRuns *words) {
    int64_t most = (int64_t)words->n * (words->n + 1);
    RolloutEdge *edges = malloc(((size_t)most + 1) * sizeof *edges);
    int32_t n = 0;
    if (edges == NULL) {
        return method_no_memory(rollout->call);
    }
    for (int32_t to = -1; to < words->n; to++) {
        bool answers = to >= 0 && rollout->n_rows == 1 && words->begins[to] == rollout->rows[0] &&
                       words->begins[to + 1] == rollout->rows[0] + 1; /* the same row twice */
        for (int32_t from = 0; from < words->n; from++) {
            double weight = from != to && !answers && is_source(rollout, words, from) &&
                                    (to < 0 || !is_held(rollout, words->begins[to]))
                                ? word_edge(rollout, words, from, to)
                                : 0.0;
            if (weight > 0.0) {
                edges[n++] = (RolloutEdge){from, to, weight};
            }
        }
    }
    qsort(edges, (size_t)n, sizeof *edges, by_weight);
    show_edges(rollout, result, words, edges, n);
    free(edges);
    return LIMN_OK;
}

/* ---- the matrix ---- */

static void label(const Rollout *rollout, MatrixBlock *matrix, int32_t place, int32_t token, bool row) {
    Text text = token_text(rollout->call, rollout->model, rollout->sequence.ids[token]);
    if (row) {
        matrix_label_row(matrix, place, text.bytes, text.length);
    } else {
        matrix_label_column(matrix, place, text.bytes, text.length);
    }
}

/* Of long prompts the answer's rows alone. */
static void add_matrix(const Rollout *rollout, Result *result) {
    const MethodCall *call = rollout->call;
    bool flow = rollout->params->kind == (int32_t)ROLLOUT_FLOW; /* has no other rows */
    bool whole = rollout->n <= MATRIX_MOST && !flow;
    int32_t n_rows = whole ? rollout->n : rollout->n_rows;
    MatrixBlock *matrix = result_add_matrix(result, "rollout", SAY(call, "Rollout of all layers", "各层注意力的累积"),
                                            n_rows, rollout->n);
    matrix_titles(matrix, SAY(call, "row", "行"), SAY(call, "comes from", "来自"));
    if (matrix != NULL) {
        matrix->is_signed = false;
    }
    for (int32_t i = 0; i < n_rows; i++) {
        int32_t row = whole ? i : rollout->rows[i];
        label(rollout, matrix, i, row, true);
        for (int32_t j = 0; j < rollout->n; j++) {
            matrix_set(matrix, i, j, rollout->matrix[(int64_t)row * rollout->n + j]);
        }
    }
    for (int32_t j = 0; j < rollout->n; j++) {
        label(rollout, matrix, j, j, false);
    }
    if (!whole && !flow) {
        result_block_note(result,
                          SAY(call, "the answer's rows; --values FILE.safetensors has all %d",
                              "仅答案所在的行；--values FILE.safetensors 保存全部 %d 行"),
                          (int)rollout->n);
    }
}

/* ---- invariants ---- */

static bool is_signed(const Rollout *rollout) {
    return rollout->params->kind == (int32_t)ROLLOUT_ALTI;
}

static void check_matrix(const Rollout *rollout, Result *result) {
    double worst = 0.0, future = 0.0;
    int64_t n = rollout->n;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < n; j++) {
            double cell = rollout->matrix[i * n + j];
            sum += cell;
            future = j > i ? fmax(future, fabs(cell)) : future;
        }
        bool unseen = rollout->sequence.mask != NULL && rollout->sequence.mask[i] == 0;
        worst = unseen ? worst : fmax(worst, isnan(sum) ? INFINITY : fabs(sum - 1.0));
    }
    RolloutKind kind = (RolloutKind)rollout->params->kind;
    if (kind == ROLLOUT_FLOW) {
        result_check(result, "cut", rollout->cut_gap, CHECK_AT_MOST, sum_tolerance,
                     SAY(rollout->call, "how far a flow is from the capacity of the cut that bounds it, at most",
                         "各流与限定它的割的容量之间的最大差"));
    } else if (kind != ROLLOUT_GRADIENT) {
        result_check(result, "row sums", worst, CHECK_AT_MOST, sum_tolerance,
                     SAY(rollout->call, "how far the sum of a row is from 1, at most", "各行之和与 1 的最大偏差"));
    }
    if (rollout->model->config.causal) {
        result_check(result, "future", future, CHECK_AT_MOST, 0.0,
                     SAY(rollout->call, "the largest cell of a later token, which no row can see",
                         "任一行看不到的后续词元的最大值"));
    }
}

/* ---- all together ---- */

static void say_headline(const Rollout *rollout, Result *result, const Attribution *attribution) {
    MethodCall *call = rollout->call;
    int32_t first = attribution_first(attribution);
    if (first < 0 || is_signed(rollout)) { /* whose headline is that of any attribution */
        return;
    }
    const int32_t *begins = attribution->words.begins;
    Text word = text_bare(run_text(call, rollout->model, rollout->prompt, begins[first], begins[first + 1]));
    const char *what = SAY(call, "Attention", "注意力");
    switch ((RolloutKind)rollout->params->kind) {
    case ROLLOUT_GRADIENT:
        what = SAY(call, "Attention weighted by its gradient", "以梯度加权的注意力");
        break;
    case ROLLOUT_VALUE:
        what = SAY(call, "Attention weighted by what it carries", "以所携带的值加权的注意力");
        break;
    case ROLLOUT_FLOW:
        what = SAY(call, "Attention's maximum flow", "注意力的最大流");
        break;
    case ROLLOUT_PLAIN:
    case ROLLOUT_ALTI:
        break;
    }
    result_headline(
        result,
        rollout->target != NULL
            ? SAY(call, "%s leads to the answer most from \"%.*s\" (%.3g)", "%s通向答案，最多来自“%.*s”（%.3g）")
            : SAY(call, "%s leads to the embedding most from \"%.*s\" (%.3g)", "%s通向句向量，最多来自“%.*s”（%.3g）"),
        what, (int)word.length, word.bytes, attribution->word_scores[first]);
}

/* In a causal model everything flows back to the first token, layer by layer. */
static void warn_of_sinks(const Rollout *rollout, Result *result) {
    double sum = 0.0;
    for (int32_t t = 0; t < rollout->prompt->n; t++) {
        sum += rollout->sinks[t] ? rollout->answer[t] : 0.0;
    }
    bool shares = rollout->params->kind == (int32_t)ROLLOUT_PLAIN || rollout->params->kind == (int32_t)ROLLOUT_VALUE;
    if (shares && sum > most_on_sinks && rollout->params->sinks == 0 && rollout->prompt->n > 1) {
        result_warn(
            result,
            SAY(rollout->call,
                "%.3g%% of the answer's row lies on the first token and special ones, where rows rest that look "
                "at nothing; --sinks drop leaves these out",
                "答案行的 %.3g%% 落在首个词元和特殊词元上（无处可看的行停留之处）；--sinks drop 不计这些"),
            100.0 * sum);
    }
}

static double on_held(const Rollout *rollout) {
    double sum = 0.0;
    for (int32_t t = 0; t < rollout->prompt->n; t++) {
        sum += is_held(rollout, t) ? rollout->answer[t] : 0.0;
    }
    return sum;
}

static limn_status check_causes(const Rollout *rollout, Result *result, const Attribution *attribution) {
    if (rollout->target == NULL) {
        return LIMN_OK;
    }
    const CauseAsked cause = {.call = rollout->call,
                              .engine = rollout->engine,
                              .prompt = rollout->prompt,
                              .target = rollout->target,
                              .contrast = rollout->contrast,
                              .words = &attribution->words,
                              .scores = attribution->word_scores,
                              .effort = (CauseEffort)rollout->params->check,
                              .advisory = true,
                              .unsigned_scores = rollout->params->kind != (int32_t)ROLLOUT_ALTI &&
                                                 rollout->params->kind != (int32_t)ROLLOUT_GRADIENT};
    return cause_check(result, &cause);
}

static const char *unit_of(const Rollout *rollout) {
    const MethodCall *call = rollout->call;
    switch ((RolloutKind)rollout->params->kind) {
    case ROLLOUT_GRADIENT:
        return SAY(call, "relevance", "相关性");
    case ROLLOUT_ALTI:
        return "logit";
    case ROLLOUT_FLOW:
        return SAY(call, "flow", "流量");
    case ROLLOUT_PLAIN:
    case ROLLOUT_VALUE:
        break;
    }
    return SAY(call, "share of attention", "注意力份额");
}

static const char *note_of(const Rollout *rollout) {
    const MethodCall *call = rollout->call;
    switch ((RolloutKind)rollout->params->kind) {
    case ROLLOUT_GRADIENT:
        return SAY(call, "attention weighted by how much the answer gains from it, through all layers",
                   "以答案由此所得加权的注意力，贯穿各层");
    case ROLLOUT_ALTI:
        return arena_printf(call->arena,
                            SAY(call,
                                "of a logit of %.4g: what attention brought here (%.4g), by where it came from; what "
                                "MLPs wrote and biases are left out",
                                "总 logit 为 %.4g：注意力带来的部分（%.4g），按其来源；MLP 与偏置不计"),
                            rollout->logit, rollout->traced);
    case ROLLOUT_FLOW:
        return SAY(call, "the most that can flow from the answer's row to the token, 1 at most",
                   "从答案所在行至该词元的最大流量，至多为 1");
    case ROLLOUT_PLAIN:
    case ROLLOUT_VALUE:
        break;
    }
    return arena_printf(call->arena,
                        SAY(call, "share of the answer's row; %.0f%% of it leads to special tokens and is not shown",
                            "占答案行的份额；其中 %.0f%% 通向特殊词元，未显示"),
                        100.0 * on_held(rollout));
}

limn_status rollout_report(Rollout *rollout, Result *result, ValuesFile *values) {
    static const Target nothing;
    MethodCall *call = rollout->call;
    const char *note = note_of(rollout);
    if (note == NULL) {
        return method_no_memory(call);
    }
    Attribution attribution = {.call = call,
                               .result = result,
                               .model = rollout->model,
                               .prompt = rollout->prompt,
                               .target = rollout->target != NULL ? rollout->target : &nothing,
                               .contrast = rollout->contrast,
                               .scores = rollout->scores,
                               .reach = rollout->reach,
                               .unit = unit_of(rollout),
                               .note = note,
                               .by = rollout->params->by,
                               .is_signed = is_signed(rollout)};
    TRY(attribution_rank(&attribution));
    if (rollout->params->kind != (int32_t)ROLLOUT_GRADIENT && rollout->params->kind != (int32_t)ROLLOUT_ALTI) {
        result_param_number(result, "residual", rollout->residual);
    }
    attribution_show(&attribution);
    say_headline(rollout, result, &attribution);
    warn_of_sinks(rollout, result);
    if (rollout->params->kind != (int32_t)ROLLOUT_FLOW) { /* which knows the answer's rows alone */
        TRY(add_edges(rollout, result, &attribution.words));
    }
    add_matrix(rollout, result);
    if (rollout->target != NULL) {
        target_describe(result, call, rollout->model, rollout->target, rollout->contrast, LIKELIEST);
    }
    check_matrix(rollout, result);
    int64_t shape[] = {rollout->n, rollout->n};
    TRY(values_file_add(values, "rollout", rollout->matrix, 2, shape));
    shape[0] = rollout->n;
    TRY(values_file_add(values, "attribution", rollout->answer, 1, shape));
    return check_causes(rollout, result, &attribution);
}
