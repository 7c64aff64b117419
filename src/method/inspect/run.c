/* One forward pass (and one backward): what the model would say, and the inner values asked for.
 *
 * Saved values are the raw ones of each site after the edits, one safetensors tensor for each site name, in the
 * shapes TransformerLens gives them without its batch dimension: [T, D], q, k, v and z [T, H, K], scores and
 * patterns [H, T, S]. Gradients (of the target's summed log-probability; of a class's logit) are SITE.grad. Logits
 * of all positions are `logits` [T, V] ([classes] of a classifier). */
#include <math.h>
#include <string.h>

#include "ask/target.h"
#include "base/file.h"
#include "call/estimate.h"
#include "edit/edits.h"
#include "edit/site_names.h"
#include "files/tensor_files.h"
#include "measure/distribution.h"
#include "measure/overflow.h"
#include "measure/target_score.h"

typedef struct RunParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int64_t top;
    ParamTexts save;
    ParamTexts grad;
    ParamTexts set;
    Text values;
    bool estimate;
} RunParams;

/* Everything one run needs, so that helpers take one argument. */
typedef struct RunWork {
    MethodCall *call;
    const RunParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    Prompt prompt;
    Target target; /* kind NONE: nothing to score was asked for */
    EditPlan edits;
    SiteMatches save;
    SiteMatches grad;
    SequenceInput sequence;
    OutputRow *outputs; /* [n_outputs] */
    int32_t n_outputs;
    int32_t n_answers;  /* the rows to be shown: the first, or one for each mask */
    int32_t *answer_at; /* [n_answers] places among the outputs */
    int32_t n_vocab;    /* outputs of a row */
    int64_t not_finite; /* outputs that were shown and are NaN or infinite */
    bool suspected;     /* values may have overflowed on the way */
    Tensor *tensors;    /* what is saved */
    int32_t n_tensors;
} RunWork;

static bool has_head(const RunWork *work) {
    return work->model->config.task != TASK_ENCODER;
}

static bool wants_target(const RunParams *params) {
    const TargetParams *target = &params->target;
    return params->grad.n > 0 || target->target.bytes != NULL || target->target_id != PARAM_NO_INTEGER ||
           target->class_name.bytes != NULL;
}

/* ---- rows whose output is wanted ---- */

static limn_status add_output(RunWork *work, int32_t row, int32_t target) {
    for (int32_t i = 0; i < work->n_outputs && target < 0; i++) {
        if (work->outputs[i].row == row) {
            return LIMN_OK;
        }
    }
    work->outputs[work->n_outputs++] = (OutputRow){.row = row, .target = target, .weight = target >= 0 ? 1.0F : 0.0F};
    return LIMN_OK;
}

static limn_status add_answer(RunWork *work, int32_t row) {
    for (int32_t i = 0; i < work->n_outputs; i++) {
        if (work->outputs[i].row == row) {
            work->answer_at[work->n_answers++] = i;
            return LIMN_OK;
        }
    }
    work->answer_at[work->n_answers++] = work->n_outputs;
    return add_output(work, row, -1);
}

static limn_status choose_answers(RunWork *work) {
    const RunParams *params = work->params;
    int32_t row;
    if (params->target.at.bytes != NULL) {
        TRY(position_parse(&row, params->target.at.bytes, work->model, &work->prompt));
        return add_answer(work, row);
    }
    if (work->target.kind != TARGET_NONE) {
        return add_answer(work, work->target.rows[0]);
    }
    row = answer_row(work->model, &work->prompt);
    if (work->model->config.task != TASK_MASKED_LM) {
        return add_answer(work, row);
    }
    if (row < 0) {
        result_warn(work->result, "%s",
                    SAY(work->call, "the prompt has no mask token, so there is no prediction to show; see --at",
                        "提示中没有掩码词元，因此没有预测可显示；参见 --at"));
        return LIMN_OK;
    }
    for (int32_t i = row; i < work->prompt.n; i++) {
        if (work->prompt.ids[i] == work->prompt.ids[row]) {
            TRY(add_answer(work, i));
        }
    }
    return LIMN_OK;
}

static limn_status choose_outputs(RunWork *work) {
    int32_t n = work->sequence.n;
    work->outputs = ARENA_ARRAY(work->call->arena, OutputRow, 2 * n + work->target.n + 2);
    work->answer_at = ARENA_ARRAY(work->call->arena, int32_t, n + 2);
    if (work->outputs == NULL || work->answer_at == NULL) {
        return method_no_memory(work->call);
    }
    if (!has_head(work)) {
        return LIMN_OK;
    }
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    bool every_row = work->params->values.bytes != NULL && !classifier;
    for (int32_t row = 0; row < n && every_row; row++) {
        TRY(add_output(work, row, -1));
    }
    for (int32_t i = 0; i < work->target.n; i++) {
        int32_t row = work->target.rows[i];
        if (every_row) {
            work->outputs[row].target = work->target.ids[i];
            work->outputs[row].weight = 1;
        } else {
            TRY(add_output(work, row, work->target.ids[i]));
        }
    }
    return choose_answers(work);
}

/* ---- the pass ---- */

static limn_status unique_nodes(NodeId **nodes, int32_t *n, const SiteMatches *matches, NodeId extra, Arena *arena) {
    *n = 0;
    *nodes = ARENA_ARRAY(arena, NodeId, matches->n + 2);
    if (*nodes == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for a list of sites");
    }
    for (int32_t i = -1; i < matches->n; i++) {
        NodeId node = i < 0 ? extra : matches->items[i].node;
        bool known = node == NODE_NONE;
        for (int32_t k = 0; k < *n && !known; k++) {
            known = (*nodes)[k] == node;
        }
        if (!known) {
            (*nodes)[(*n)++] = node;
        }
    }
    return LIMN_OK;
}

static limn_status make_request(RunRequest *request, const RunWork *work) {
    Arena *arena = work->call->arena;
    NodeId *taps;
    NodeId *grads;
    Edit *edits;
    *request = (RunRequest){.sequences = &work->sequence,
                            .n_sequences = 1,
                            .outputs = work->outputs,
                            .n_outputs = work->n_outputs,
                            .logits = work->n_outputs > 0};
    NodeId final = has_head(work) ? NODE_NONE : work->model->graph.final;
    TRY(unique_nodes(&taps, &request->n_taps, &work->save, final, arena));
    TRY(unique_nodes(&grads, &request->n_grads, &work->grad, NODE_NONE, arena));
    TRY(edit_plan_bind(&edits, &request->n_edits, &work->edits, 0, work->sequence.n, work->sequence.n, arena));
    request->taps = taps;
    request->grads = grads;
    request->edits = edits;
    if (request->n_grads > 0) {
        bool classifier = work->model->config.task == TASK_CLASSIFIER;
        request->objective = classifier ? OBJECTIVE_LOGIT : OBJECTIVE_LOG_PROB;
    }
    return LIMN_OK;
}

static limn_status run_pass(RunWork *work) {
    RunRequest request;
    TRY(make_request(&request, work));
    return engine_run(work->engine, &request, work->call->progress);
}

/* ---- its cost instead ---- */

static limn_status timed(double *seconds, RunWork *work, const RunRequest *request) {
    double started = estimate_clock();
    TRY(engine_run(work->engine, request, work->call->progress));
    *seconds = estimate_clock() - started;
    return LIMN_OK;
}

/* The beginning of the prompt is run twice: the first time prepares the weights, the second says how fast this
 * machine does the arithmetic. */
static limn_status estimate(RunWork *work) {
    enum { SAMPLE_ROWS = 64 };
    SequenceInput beginning = work->sequence;
    beginning.n = beginning.n < SAMPLE_ROWS ? beginning.n : SAMPLE_ROWS;
    OutputRow last = {.row = beginning.n - 1, .target = -1};
    NodeId final = work->model->graph.final;
    RunRequest sample = {.sequences = &beginning, .n_sequences = 1, .taps = &final, .n_taps = 1};
    if (has_head(work)) {
        sample =
            (RunRequest){.sequences = &beginning, .n_sequences = 1, .outputs = &last, .n_outputs = 1, .logits = true};
    }
    RunRequest request;
    RunEstimate whole, part;
    double first, second;
    TRY(make_request(&request, work));
    TRY(engine_estimate(work->engine, &request, &whole));
    TRY(engine_estimate(work->engine, &sample, &part));
    TRY(timed(&first, work, &sample));
    TRY(timed(&second, work, &sample));
    double pass = part.flops > 0 ? second * whole.flops / part.flops : second;
    const EstimateRow rows[] = {{"tokens", work->sequence.n, "tokens"},
                                {"time to prepare the weights", fmax(first - second, 0), "s"},
                                {"time of the pass, about", pass, "s"}};
    result_headline(work->result,
                    work->sequence.n == 1 ? SAY(work->call, "About %.3g s and %.4g MiB of working memory for %d token",
                                                "约 %.3g 秒，工作内存 %.4g MiB，%d 个词元")
                                          : SAY(work->call, "About %.3g s and %.4g MiB of working memory for %d tokens",
                                                "约 %.3g 秒，工作内存 %.4g MiB，%d 个词元"),
                    pass, (double)whole.bytes / 1048576.0, (int)work->sequence.n);
    return estimate_show(work->result, work->call, work->engine, &request, 1, rows, 3);
}

/* ---- what was kept ---- */

/* in [T, H, S] -> out [H, T, S] */
static void heads_first(float *out, const float *in, int64_t rows, int64_t heads, int64_t keys) {
    for (int64_t t = 0; t < rows; t++) {
        for (int64_t h = 0; h < heads; h++) {
            memcpy(out + (h * rows + t) * keys, in + (t * heads + h) * keys, (size_t)keys * sizeof *out);
        }
    }
}

static limn_status keep_tensor(RunWork *work, const char *name, const float *values, int32_t rows, int64_t width,
                               const RowShape *shape) {
    if (values == NULL) {
        return fail(LIMN_INTERNAL, "the run kept nothing at %s", name);
    }
    Tensor *tensor = &work->tensors[work->n_tensors++];
    *tensor = (Tensor){.name = name, .dtype = DTYPE_F32, .rank = shape->n_dims + 1, .data = values};
    tensor->bytes = (size_t)rows * (size_t)width * sizeof *values;
    tensor->shape[0] = rows;
    tensor->shape[1] = shape->n_dims == 1 ? width : shape->dims[0];
    tensor->shape[2] = shape->n_dims == 1 ? 1 : width / shape->dims[0];
    if (shape->n_dims == 2 && shape->dims[1] == DIM_KEYS) {
        float *swapped = arena_alloc(work->call->arena, tensor->bytes);
        if (swapped == NULL) {
            return method_no_memory(work->call);
        }
        heads_first(swapped, values, rows, tensor->shape[1], tensor->shape[2]);
        tensor->data = swapped;
        tensor->shape[0] = shape->dims[0];
        tensor->shape[1] = rows;
    }
    return LIMN_OK;
}

static limn_status keep_logits(RunWork *work) {
    if (work->n_outputs == 0 || work->params->values.bytes == NULL) {
        return LIMN_OK;
    }
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    Tensor *tensor = &work->tensors[work->n_tensors++];
    *tensor = (Tensor){.name = "logits", .dtype = DTYPE_F32, .data = engine_logits(work->engine)};
    tensor->rank = classifier ? 1 : 2;
    tensor->shape[0] = classifier ? work->n_vocab : work->sequence.n;
    tensor->shape[1] = work->n_vocab;
    tensor->bytes = (size_t)work->n_vocab * sizeof(float) * (size_t)(classifier ? 1 : work->sequence.n);
    return LIMN_OK;
}

static limn_status keep_values(RunWork *work) {
    int32_t rows;
    int64_t width;
    work->tensors = ARENA_ARRAY(work->call->arena, Tensor, work->save.n + work->grad.n + 1);
    if (work->tensors == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < work->save.n; i++) {
        const SiteMatch *site = &work->save.items[i];
        const float *values = engine_tap(work->engine, site->node, &rows, &width);
        TRY(keep_tensor(work, site->name, values, rows, width, &work->model->graph.nodes[site->node].op.out));
    }
    for (int32_t i = 0; i < work->grad.n; i++) {
        const SiteMatch *site = &work->grad.items[i];
        const char *name = arena_printf(work->call->arena, "%s.grad", site->name);
        const float *values = engine_grad(work->engine, site->node, &rows, &width);
        TRY(name != NULL ? LIMN_OK : method_no_memory(work->call));
        TRY(keep_tensor(work, name, values, rows, width, &work->model->graph.nodes[site->node].op.out));
    }
    return keep_logits(work);
}

static void measure(const Tensor *tensor, double *rms, double *largest) {
    const float *values = tensor->data;
    size_t n = tensor->bytes / sizeof *values;
    double sum = 0;
    size_t finite = 0;
    *largest = 0;
    for (size_t i = 0; i < n; i++) {
        double value = (double)values[i];
        if (isfinite(value)) { /* masked scores are minus infinity */
            sum += value * value;
            *largest = fmax(*largest, fabs(value));
            finite++;
        }
    }
    *rms = finite > 0 ? sqrt(sum / (double)finite) : 0;
}

/* The same whether the values go to a file or not, so that the record can be run again without one. */
static void describe_values(RunWork *work) {
    static const TableColumn columns[] = {{TEXT("name"), COLUMN_TEXT},
                                          {TEXT("shape"), COLUMN_TEXT},
                                          {TEXT("root mean square"), COLUMN_NUMBER},
                                          {TEXT("largest |value|"), COLUMN_NUMBER}};
    int32_t asked = work->save.n + work->grad.n;
    if (asked == 0) {
        return;
    }
    TableBlock *table = result_add_table(work->result, "values", SAY(work->call, "Values", "数值"), columns, 4);
    result_block_note(work->result,
                      SAY(work->call, "-o FILE.safetensors keeps these values and the logits of all positions",
                          "-o FILE.safetensors 保存这些数值和所有位置的 logit"));
    for (int32_t i = 0; i < asked; i++) {
        char shape[96];
        double rms, largest;
        measure(&work->tensors[i], &rms, &largest);
        Value cells[] = {value_text(work->tensors[i].name), value_text(tensor_shape_text(&work->tensors[i], shape)),
                         value_number(rms), value_number(largest)};
        table_row(table, cells);
    }
}

static limn_status write_values(const RunWork *work) {
    if (work->params->values.bytes == NULL) {
        return LIMN_OK;
    }
    TensorMetadata metadata[] = {{"format", "pt"},
                                 {"writer", "limn " LIMN_VERSION},
                                 {"frame", work->call->common.frame == (int32_t)FRAME_HF ? "hf" : "transformerlens"},
                                 {"model", work->model->name}};
    return safetensors_write(work->params->values.bytes, work->tensors, work->n_tensors, metadata, 4);
}

/* ---- what is said ---- */

/* Labels that may hold together: those that more likely hold than not, else the likeliest. */
static void say_labels(const RunWork *work, const float *row) {
    const Model *model = work->model;
    TextBuffer names = {0};
    int32_t best = logit_argmax(row, work->n_vocab), held = 0;
    for (int32_t i = 0; i < work->n_vocab; i++) {
        held += row[i] > 0.0F;
    }
    for (int32_t i = 0; i < work->n_vocab; i++) {
        if (row[i] > 0.0F || (held == 0 && i == best)) {
            Text text = output_text(work->call, model, i);
            text_buffer_printf(&names, "%s'%.*s' (%.1f%%)", names.length > 0 ? ", " : "", (int)text.length, text.bytes,
                               100 * exp(output_log_probability(model, row[i], (double)NAN)));
        }
    }
    result_headline(work->result,
                    held > 0 ? SAY(work->call, "Labels that hold: %s", "成立的标签：%s")
                             : SAY(work->call, "No label holds; the likeliest: %s", "没有标签成立；最可能的：%s"),
                    names.data != NULL ? names.data : "");
    text_buffer_free(&names);
}

static void say_number(const RunWork *work, const float *row) {
    Text text = output_text(work->call, work->model, 0);
    result_headline(work->result, SAY(work->call, "'%.*s' is %.4g%s", "“%.*s”为 %.4g%s"), (int)text.length, text.bytes,
                    (double)row[0], work->n_vocab > 1 ? SAY(work->call, ", and others", "，另有其他") : "");
}

static void say_likeliest(const RunWork *work, const float *row) {
    if (work->model->config.outputs != OUTPUT_ONE_OF) {
        (work->model->config.outputs == OUTPUT_EACH ? say_labels : say_number)(work, row);
        return;
    }
    int32_t best = logit_argmax(row, work->n_vocab);
    Text text = output_text(work->call, work->model, best);
    double probability = exp((double)row[best] - log_sum_exp(row, work->n_vocab));
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    result_headline(work->result,
                    classifier ? SAY(work->call, "Likeliest class: '%.*s' (%.1f%%)", "最可能的类别：“%.*s”（%.1f%%）")
                               : SAY(work->call, "Likeliest token: '%.*s' (%.1f%%)", "最可能的词元：“%.*s”（%.1f%%）"),
                    (int)text.length, text.bytes, 100 * probability);
}

/* Nothing is likeliest among values that are no numbers: they are what is said. */
static void describe_answers(RunWork *work) {
    MethodCall *call = work->call;
    const float *logits = engine_logits(work->engine);
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    for (int32_t i = 0; i < work->n_answers; i++) {
        int32_t place = work->answer_at[i];
        int32_t position = work->outputs[place].row;
        const float *row = logits + (size_t)place * (size_t)work->n_vocab;
        int32_t bad = logit_count_not_finite(row, work->n_vocab);
        work->not_finite += bad;
        work->suspected = work->suspected || overflow_suspected(&work->edits, row, work->n_vocab);
        if (i == 0 && bad == 0) {
            say_likeliest(work, row);
        } else if (i == 0) {
            result_headline(work->result,
                            SAY(call, "No answer: %d of %d outputs at position %d are NaN or infinite",
                                "没有答案：%d 个输出（共 %d 个，位置 %d）为 NaN 或无穷"),
                            (int)bad, (int)work->n_vocab, (int)position);
        }
        char id[32];
        char title[64];
        snprintf(id, sizeof id, i == 0 ? "top" : "top-%d", (int)i + 1);
        snprintf(title, sizeof title,
                 classifier ? SAY(call, "Classes", "类别") : SAY(call, "Output at position %d", "位置 %d 的输出"),
                 (int)position);
        if (bad == 0) {
            distribution_table(work->result, call, work->model, id, title, row, work->n_vocab,
                               (int32_t)work->params->top);
        }
    }
}

/* The last thing asked of the engine: looking for it takes another pass. */
static limn_status check_finite(RunWork *work) {
    Overflow overflow = {0};
    work->suspected = work->suspected || overflow_suspected(&work->edits, NULL, 0);
    if (work->suspected) {
        TRY(overflow_find(&overflow, work->call, work->engine, &work->sequence, &work->edits));
    }
    if (overflow.rows > 0) {
        result_headline(work->result,
                        SAY(work->call,
                            "No answer: values overflowed on the way (first before %s, at position %d); what came out "
                            "says nothing",
                            "没有答案：中途数值溢出（首先在 %s 之前，位置 %d），输出没有意义"),
                        overflow.site, (int)overflow.row);
    }
    if (work->edits.n > 0 || work->not_finite > 0 || overflow.rows > 0) {
        overflow_check(work->result, work->call, &overflow, work->not_finite);
    }
    return LIMN_OK;
}

/* A bare encoder answers with a vector: the mean over visible tokens, of length 1. */
static limn_status describe_embedding(RunWork *work) {
    int32_t rows;
    int64_t width;
    const float *values = engine_tap(work->engine, work->model->graph.final, &rows, &width);
    double *mean = ARENA_ARRAY(work->call->arena, double, width + 1);
    double *x = ARENA_ARRAY(work->call->arena, double, width + 1);
    if (mean == NULL || x == NULL) {
        return method_no_memory(work->call);
    }
    if (values == NULL) {
        return fail(LIMN_INTERNAL, "the run kept no last hidden state");
    }
    for (int32_t t = 0; t < rows; t++) {
        for (int64_t d = 0; d < width && (work->prompt.mask == NULL || work->prompt.mask[t] != 0); d++) {
            mean[d] += (double)values[t * width + d];
        }
    }
    double norm = 0;
    for (int64_t d = 0; d < width; d++) {
        norm += mean[d] * mean[d];
        x[d] = (double)d;
    }
    for (int64_t d = 0; d < width && norm > 0; d++) {
        mean[d] /= sqrt(norm);
    }
    if (!isfinite(norm)) {
        work->not_finite = width;
        result_headline(work->result, SAY(work->call, "No answer: the sentence embedding is NaN or infinite",
                                          "没有答案：句向量为 NaN 或无穷"));
        return LIMN_OK;
    }
    result_headline(work->result,
                    SAY(work->call, "Sentence embedding of %d numbers: mean over tokens, length 1",
                        "句向量，%d 个数：各词元的均值，长度为 1"),
                    (int)width);
    SeriesBlock *series = result_add_series(work->result, "embedding", SAY(work->call, "Sentence embedding", "句向量"),
                                            x, (int32_t)width, "dimension", "value");
    series_line(series, SAY(work->call, "embedding", "向量"), mean, NULL, NULL);
    return LIMN_OK;
}

static limn_status prepare(RunWork *work) {
    MethodCall *call = work->call;
    const RunParams *params = work->params;
    TRY(method_engine(call, params->model.bytes, &work->engine));
    work->model = engine_model(work->engine);
    TRY(prompt_read(&work->prompt, call, work->model, &params->prompt));
    prompt_describe(work->result, call, work->model, &work->prompt);
    const Graph *graph = &work->model->graph;
    TRY(site_names_match_all(&work->save, graph, &params->save, call->arena));
    TRY(site_names_match_all(&work->grad, graph, &params->grad, call->arena));
    int32_t n_rows = work->prompt.n;
    if (wants_target(params) && params->set.n > 0) { /* the target's score is read with the edits in force */
        TRY(target_count_rows(&n_rows, call, work->model, &work->prompt, &params->target));
    }
    TRY(edit_plan(&work->edits, graph, &params->set, work->prompt.n, n_rows, call->arena));
    work->sequence = prompt_sequence(&work->prompt);
    work->n_vocab =
        work->model->config.task == TASK_CLASSIFIER ? work->model->config.n_classes : work->model->config.n_vocab;
    if (wants_target(params)) {
        Target contrast;
        TRY(target_resolve(&work->target, &contrast, call, work->engine, &work->prompt, &params->target, &work->edits,
                           work->result));
        target_describe(work->result, call, work->model, &work->target, NULL, 0);
        work->sequence = target_sequence(&work->target);
    }
    return choose_outputs(work);
}

static limn_status run(MethodCall *call, Result *result) {
    RunParams checked = *(const RunParams *)call->params;
    checked.target.target_text = checked.target.target_span = checked.target.contrast = (Text){NULL, 0};
    RunWork work = {.call = call, .params = &checked, .result = result};
    TRY(params_check_ending("values", &checked.values, ".safetensors"));
    if (checked.values.bytes != NULL) {
        TRY(file_check_output(checked.values.bytes));
    }
    TRY(prepare(&work));
    if (checked.estimate) {
        TRY(estimate(&work));
        return result_status(result);
    }
    TRY(run_pass(&work));
    TRY(keep_values(&work));
    TRY(write_values(&work));
    if (has_head(&work)) {
        describe_answers(&work);
    } else {
        TRY(describe_embedding(&work));
    }
    describe_values(&work);
    edit_plan_describe(result, &work.edits, SAY(work.call, false, true));
    TRY(check_finite(&work));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(RunParams, model),
    PROMPT_ROWS(RunParams, prompt),
    PROMPT_PAIR_ROWS(RunParams, prompt),
    {"top", 'n', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "10", .minimum = 1, .maximum = 1000000,
     .help = "how many of the likeliest tokens or classes to show", .field = offsetof(RunParams, top)},
    {"save", 's', LIMN_PARAM_TEXT, .repeated = true, .metavar = "SITE,...",
     .help = "keep the values at these sites (globs allowed)", .field = offsetof(RunParams, save)},
    {"grad", 'g', LIMN_PARAM_TEXT, .repeated = true, .metavar = "SITE,...",
     .help = "keep the target's gradient at these sites (globs allowed)", .field = offsetof(RunParams, grad)},
    {"values", 0, LIMN_PARAM_OUTPUT, .metavar = "FILE.safetensors",
     .help = "write kept values and all logits to this file", .field = offsetof(RunParams, values)},
    {"set", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "EDIT", .help = EDIT_HELP,
     .field = offsetof(RunParams, set)},
    TARGET_ROWS(RunParams, target),
    ESTIMATE_ROW(RunParams, estimate),
};

const Method method_run = {
    .command =
        {.name = "run",
         .summary = "one pass: what it would say, inner values, gradients, edits",
         .description =
             "Shows the distribution over the next token (at the mask for a masked model, over classes for a "
             "classifier; a bare encoder gives the sentence embedding). --save and --grad keep inner values and "
             "gradients under their site names; --set changes values on the way, and takes what --save wrote: "
             "pos, head, expert and neuron pick their part of a saved tensor.",
         .examples =
             "limn run MODEL -p 'The capital of France is'\n"
             "limn run MODEL -p 'The capital of France is' --save 'blocks.*.hook_resid_post' --values a.safetensors\n"
             "limn run MODEL -p 'The capital of France is' --grad hook_embed --target ' Paris' --values g.safetensors\n"
             "limn run MODEL -p 'The capital of France is' --set 'blocks.12.attn.hook_z[head=3]=zero'\n"
             "limn run MODEL -p 'The capital of France is' --set 'blocks.*.mlp.hook_routing_weights[expert=3]=zero'\n"
             "limn run MODEL -p 'The city of Rome is' "
             "--set 'blocks.5.hook_resid_post[pos=3]=a.safetensors:blocks.5.hook_resid_post'\n"
             "limn run MODEL --file book.txt --estimate",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Run",
    .params_bytes = sizeof(RunParams),
    .run = run,
    .explains = true,
};
