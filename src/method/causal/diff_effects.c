/* What each component's change does to the target.
 *
 * A component (attention or MLP of a layer, a head) reads a stream and writes to it. Run model X with its stream set,
 * at each layer, to that of model Y: every component of X then answers what Y's components read. Its answer set into a
 * run of Y is Y with that component's weights exchanged for X's, exactly: two passes of X and Y, then one pass for each
 * component, many of them in one batch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "measure/distribution.h"
#include "measure/target_score.h"
#include "method/causal/diff.h"

enum { BATCH_ROWS = 512, TABLE_ROWS = 12, KINDS = 2 };

static const char *const component_sites[KINDS] = {"hook_attn_out", "hook_mlp_out"};
static const char *const component_names[KINDS] = {"attention", "MLP"}, *const component_names_zh[KINDS] = {"注意力",
                                                                                                            "MLP"};

/* A component whose output can be set: a site, or one head of one. */
typedef struct Component {
    int layer;
    int kind; /* of component_names; KINDS: a head */
    int32_t head;
    NodeId node;
    int64_t begin, end; /* its elements in the node's row */
    double out, in;     /* sums over texts */
    double out_square, in_square;
} Component;

/* One model's side of the exchange, on one text. */
typedef struct Side {
    Engine *engine;
    float **streams; /* [n_streams] of this model's own run, [rows, D] each */
    float **answers; /* [n_answered] what the other model's components say to this stream */
    double score;    /* the target's log-probability */
} Side;

typedef struct Effects {
    const Diff *diff;
    NodeId *streams; /* [n_streams] where a layer reads: hook_resid_pre, hook_resid_mid */
    int32_t n_streams;
    NodeId *answered; /* [n_answered] sites of the components' outputs, each once */
    int64_t *widths;  /* [n_answered] */
    int32_t n_answered;
    Component *components; /* [n_components], heads after the others */
    int32_t n_components, n_whole;
    int32_t n_texts;
    double scores[2];      /* sums of the models' own scores, 0 base, 1 tuned */
    double worst_exchange; /* |all exchanged - base| over |tuned - base|, the largest */
    const Target *target, *contrast;
    Side sides[2]; /* 0 base, 1 tuned */
    Arena scratch; /* of one text */
} Effects;

static limn_status no_memory(const Effects *effects) {
    return method_no_memory(effects->diff->call);
}

/* --- which sites --- */

static NodeId layer_site(const Graph *graph, int layer, const char *name) {
    char site[96];
    snprintf(site, sizeof site, "blocks.%d.%s", layer, name);
    return graph_find_site(graph, site);
}

static int32_t answered_index(Effects *effects, const Graph *graph, NodeId node) {
    for (int32_t i = 0; i < effects->n_answered; i++) {
        if (effects->answered[i] == node) {
            return i;
        }
    }
    effects->answered[effects->n_answered] = node;
    effects->widths[effects->n_answered] = row_shape_width(&graph->nodes[node].op.out, 1);
    return effects->n_answered++;
}

static void add_component(Effects *effects, const Graph *graph, int layer, int kind, int32_t head, NodeId node) {
    const RowShape *shape = &graph->nodes[node].op.out;
    int64_t width = head < 0 ? row_shape_width(shape, 1) : shape->dims[1];
    effects->components[effects->n_components++] = (Component){.layer = layer,
                                                               .kind = kind,
                                                               .head = head,
                                                               .node = node,
                                                               .begin = head < 0 ? 0 : head * width,
                                                               .end = head < 0 ? width : (head + 1) * width};
    answered_index(effects, graph, node);
}

/* Nodes are those of the model a run belongs to: the two graphs number them differently, the sites agree. */
static limn_status list_sites(Effects *effects, const Graph *graph) {
    const ModelConfig *config = &effects->diff->before->config;
    MethodCall *call = effects->diff->call;
    int32_t most = config->n_layers * (KINDS + (effects->diff->params->heads ? config->n_heads + 1 : 0)) + 1;
    effects->streams = ARENA_ARRAY(call->arena, NodeId, 2 * config->n_layers + 1);
    effects->answered = ARENA_ARRAY(call->arena, NodeId, most);
    effects->widths = ARENA_ARRAY(call->arena, int64_t, most);
    effects->components = ARENA_ARRAY(call->arena, Component, most);
    if (effects->streams == NULL || effects->answered == NULL || effects->widths == NULL ||
        effects->components == NULL) {
        return no_memory(effects);
    }
    for (int layer = 0; layer < config->n_layers; layer++) {
        static const char *const names[] = {"hook_resid_pre", "hook_resid_mid"};
        for (int i = 0; i < 2; i++) {
            NodeId node = layer_site(graph, layer, names[i]);
            if (node != NODE_NONE) {
                effects->streams[effects->n_streams++] = node;
            }
        }
        for (int kind = 0; kind < KINDS; kind++) {
            NodeId node = layer_site(graph, layer, component_sites[kind]);
            if (node != NODE_NONE) {
                add_component(effects, graph, layer, kind, -1, node);
            }
        }
    }
    effects->n_whole = effects->n_components;
    for (int layer = 0; layer < config->n_layers && effects->diff->params->heads; layer++) {
        NodeId node = layer_site(graph, layer, "attn.hook_result");
        for (int32_t head = 0; node != NODE_NONE && head < config->n_heads; head++) {
            add_component(effects, graph, layer, KINDS, head, node);
        }
    }
    return LIMN_OK;
}

/* The same site in the graph of the other model. */
static NodeId node_in(const Effects *effects, int side, NodeId node) {
    const Graph *from = &effects->diff->after->graph;
    const Graph *to = side == 1 ? from : &effects->diff->before->graph;
    return graph_find_site(to, from->nodes[node].site);
}

/* --- passes --- */

static limn_status keep_taps(Effects *effects, const Engine *engine, int side, const NodeId *nodes, int32_t n,
                             float **kept) {
    for (int32_t i = 0; i < n; i++) {
        int32_t rows;
        int64_t width;
        const float *values = engine_tap(engine, node_in(effects, side, nodes[i]), &rows, &width);
        kept[i] =
            values == NULL ? NULL : arena_alloc(&effects->scratch, ((size_t)rows * (size_t)width + 1) * sizeof(float));
        if (kept[i] == NULL) {
            return no_memory(effects);
        }
        memcpy(kept[i], values, (size_t)rows * (size_t)width * sizeof(float));
    }
    return LIMN_OK;
}

static Edit set_rows(NodeId node, int32_t sequence, const float *values, int64_t begin, int64_t end, int64_t width) {
    return (Edit){.node = node,
                  .kind = EDIT_SET,
                  .sequence = sequence,
                  .row_end = -1,
                  .element_begin = begin,
                  .element_end = end,
                  .values = values + begin,
                  .row_stride = width};
}

/* The outputs that score the target (and the contrast, taken from it) in each of n copies of the text. */
static int32_t fill_outputs(const Effects *effects, OutputRow *outputs, int32_t n_copies) {
    const Target *target = effects->target, *contrast = effects->contrast;
    int32_t n = 0;
    for (int32_t copy = 0; copy < n_copies; copy++) {
        for (int32_t i = 0; i < target->n; i++) {
            outputs[n++] = (OutputRow){.sequence = copy, .row = target->rows[i], .target = target->ids[i], .weight = 1};
        }
        for (int32_t i = 0; i < contrast->n; i++) {
            outputs[n++] =
                (OutputRow){.sequence = copy, .row = contrast->rows[i], .target = contrast->ids[i], .weight = 1};
        }
    }
    return n;
}

/* Runs n copies of the text with the edits; scores [n]. */
static limn_status run_copies(const Effects *effects, int side, const Edit *edits, int32_t n_edits, int32_t n_copies,
                              const NodeId *taps, int32_t n_taps, double *scores) {
    const Target *target = effects->target, *contrast = effects->contrast;
    int32_t each = target->n + contrast->n;
    SequenceInput *sequences = malloc((size_t)n_copies * sizeof *sequences);
    OutputRow *outputs = malloc((size_t)n_copies * (size_t)each * sizeof *outputs);
    NodeId *nodes = malloc(((size_t)n_taps + 1) * sizeof *nodes);
    limn_status status = sequences == NULL || outputs == NULL || nodes == NULL ? no_memory(effects) : LIMN_OK;
    if (status == LIMN_OK) {
        for (int32_t i = 0; i < n_copies; i++) {
            sequences[i] = target_sequence(target);
        }
        for (int32_t i = 0; i < n_taps; i++) {
            nodes[i] = node_in(effects, side, taps[i]);
        }
        RunRequest request = {.sequences = sequences,
                              .n_sequences = n_copies,
                              .outputs = outputs,
                              .n_outputs = fill_outputs(effects, outputs, n_copies),
                              .taps = nodes,
                              .n_taps = n_taps,
                              .edits = edits,
                              .n_edits = n_edits,
                              .objective = target->kind == TARGET_CLASS ? OBJECTIVE_LOGIT : OBJECTIVE_LOG_PROB};
        Engine *engine = effects->sides[side].engine;
        status = engine_run(engine, &request, effects->diff->call->progress);
        const float *found = status == LIMN_OK ? engine_objective(engine) : NULL;
        for (int32_t i = 0; found != NULL && i < n_copies; i++) {
            scores[i] = 0;
            for (int32_t k = 0; k < each; k++) {
                scores[i] += (k < target->n ? 1.0 : -1.0) * (double)found[i * each + k];
            }
        }
    }
    free(sequences);
    free(outputs);
    free(nodes);
    return status;
}

/* Each model's own run of the text. */
static limn_status run_own(Effects *effects, int side) {
    Side *own = &effects->sides[side];
    own->streams = ARENA_ARRAY(&effects->scratch, float *, effects->n_streams + 1);
    own->answers = ARENA_ARRAY(&effects->scratch, float *, effects->n_answered + 1);
    if (own->streams == NULL || own->answers == NULL) {
        return no_memory(effects);
    }
    TRY(run_copies(effects, side, NULL, 0, 1, effects->streams, effects->n_streams, &own->score));
    return keep_taps(effects, own->engine, side, effects->streams, effects->n_streams, own->streams);
}

/* What the other model's components say to this side's stream. */
static limn_status run_exchanged(Effects *effects, int side) {
    Side *own = &effects->sides[side];
    int other = 1 - side;
    int64_t d = effects->diff->before->config.d_model;
    Edit *edits = ARENA_ARRAY(&effects->scratch, Edit, effects->n_streams + 1);
    if (edits == NULL) {
        return no_memory(effects);
    }
    for (int32_t i = 0; i < effects->n_streams; i++) {
        edits[i] = set_rows(node_in(effects, other, effects->streams[i]), -1, own->streams[i], 0, d, d);
    }
    double unused;
    TRY(run_copies(effects, other, edits, effects->n_streams, 1, effects->answered, effects->n_answered, &unused));
    return keep_taps(effects, effects->sides[other].engine, other, effects->answered, effects->n_answered,
                     own->answers);
}

static Edit component_edit(Effects *effects, int side, const Component *component, int32_t sequence) {
    int32_t at = answered_index(effects, &effects->diff->after->graph, component->node);
    return set_rows(node_in(effects, side, component->node), sequence, effects->sides[side].answers[at],
                    component->begin, component->end, effects->widths[at]);
}

/* This side's score with each component exchanged alone. */
static limn_status run_components(Effects *effects, int side, double *scores) {
    int32_t rows = effects->target->n_sequence;
    int32_t most = rows >= BATCH_ROWS ? 1 : BATCH_ROWS / rows;
    Edit *edits = ARENA_ARRAY(&effects->scratch, Edit, most);
    if (edits == NULL) {
        return no_memory(effects);
    }
    for (int32_t done = 0; done < effects->n_components; done += most) {
        int32_t n = effects->n_components - done < most ? effects->n_components - done : most;
        for (int32_t i = 0; i < n; i++) {
            edits[i] = component_edit(effects, side, &effects->components[done + i], i);
        }
        TRY(run_copies(effects, side, edits, n, n, NULL, 0, scores + done));
    }
    return LIMN_OK;
}

/* The tuned model with every component's answer set to that of the base's own run: the base's stream. What is then
 * left of the difference is due to embeddings, head and last norm. */
static limn_status run_all_exchanged(Effects *effects, double *score) {
    int64_t d = effects->diff->before->config.d_model;
    Edit *edits = ARENA_ARRAY(&effects->scratch, Edit, effects->n_streams + 1);
    if (edits == NULL || effects->n_streams == 0) {
        return no_memory(effects);
    }
    /* setting every stream leaves only the last layer's outputs, which are exchanged too */
    for (int32_t i = 0; i < effects->n_streams; i++) {
        edits[i] = set_rows(effects->streams[i], -1, effects->sides[0].streams[i], 0, d, d);
    }
    int32_t n = effects->n_streams, last = effects->diff->before->config.n_layers - 1;
    Edit *all = ARENA_ARRAY(&effects->scratch, Edit, n + effects->n_whole + 1);
    float **own = ARENA_ARRAY(&effects->scratch, float *, effects->n_answered + 1);
    if (all == NULL || own == NULL) {
        return no_memory(effects);
    }
    double unused;
    TRY(run_copies(effects, 0, NULL, 0, 1, effects->answered, effects->n_answered, &unused));
    TRY(keep_taps(effects, effects->sides[0].engine, 0, effects->answered, effects->n_answered, own));
    memcpy(all, edits, (size_t)n * sizeof *all);
    for (int32_t i = 0; i < effects->n_whole; i++) {
        const Component *component = &effects->components[i];
        if (component->layer == last) {
            int32_t at = answered_index(effects, &effects->diff->after->graph, component->node);
            all[n++] = set_rows(component->node, -1, own[at], component->begin, component->end, effects->widths[at]);
        }
    }
    return run_copies(effects, 1, all, n, 1, NULL, 0, score);
}

/* --- texts --- */

static limn_status check_contrast(const Target *target, const Target *contrast) {
    bool same = contrast->kind == TARGET_NONE ||
                (target->n_sequence == contrast->n_sequence &&
                 memcmp(target->sequence, contrast->sequence, (size_t)target->n_sequence * sizeof(int32_t)) == 0);
    return same ? LIMN_OK
                : fail(LIMN_UNSUPPORTED, "option 'contrast': target and contrast of several tokens are not implemented "
                                         "here, expected answers of one token each");
}

/* What was asked: of one prompt all of it, as the tuned model answers; of a data set the answers named. */
static void describe_question(const Diff *diff, const Prompt *prompt, const Target *target, const Target *contrast) {
    Result *result = diff->result;
    if (diff->params->data.file.bytes == NULL) {
        prompt_describe(result, diff->call, diff->after, prompt);
        target_describe(result, diff->call, diff->after, target, contrast, 0);
        return;
    }
    const Text named[2] = {diff->params->target, diff->params->contrast};
    ResultTarget answers[2];
    for (int i = 0; i < 2; i++) {
        answers[i] = (ResultTarget){
            .kind = text_of("tokens"), .text = named[i], .log_probability = (double)NAN, .logit = (double)NAN};
    }
    if (named[0].bytes != NULL && !result->has_target) {
        result_target(result, &answers[0]);
    }
    if (named[1].bytes != NULL && result->has_target && !result->has_contrast) {
        result_contrast(result, &answers[1]);
    }
}

static limn_status measure_text(Effects *effects, const PromptParams *prompt_params) {
    const Diff *diff = effects->diff;
    MethodCall record = method_call_in(diff->call, &effects->scratch);
    Prompt prompt;
    Target target, contrast;
    TargetParams target_params = {
        .target = diff->params->target, .target_id = PARAM_NO_INTEGER, .contrast = diff->params->contrast};
    TRY(prompt_read(&prompt, &record, diff->after, prompt_params));
    Result *remarks; /* of single texts: not the result's */
    TRY(result_new(&remarks, "diff", "one text"));
    limn_status status =
        target_resolve(&target, &contrast, &record, diff->tuned, &prompt, &target_params, NULL, remarks);
    result_free(remarks);
    TRY(status);
    TRY(check_contrast(&target, &contrast));
    describe_question(diff, &prompt, &target, &contrast);
    contrast.n = contrast.kind == TARGET_NONE ? 0 : contrast.n;
    effects->target = &target;
    effects->contrast = &contrast;
    double *scores[2], all;
    for (int side = 0; side < 2; side++) {
        scores[side] = ARENA_ARRAY(&effects->scratch, double, effects->n_components + 1);
        if (scores[side] == NULL) {
            return no_memory(effects);
        }
        TRY(run_own(effects, side));
    }
    for (int side = 0; side < 2; side++) {
        TRY(run_exchanged(effects, side));
        TRY(run_components(effects, side, scores[side]));
    }
    TRY(run_all_exchanged(effects, &all));
    effects->scores[0] += effects->sides[0].score;
    effects->scores[1] += effects->sides[1].score;
    effects->worst_exchange = fmax(effects->worst_exchange, fabs(all - effects->sides[0].score));
    for (int32_t i = 0; i < effects->n_components; i++) {
        Component *component = &effects->components[i];
        double out = effects->sides[1].score - scores[1][i], in = scores[0][i] - effects->sides[0].score;
        component->out += out;
        component->in += in;
        component->out_square += out * out;
        component->in_square += in * in;
    }
    effects->n_texts++;
    return LIMN_OK;
}

static limn_status measure_records(Effects *effects, DataSource *source) {
    const Diff *diff = effects->diff;
    bool complete = data_source_encode_options(source, diff->call).no_special;
    for (;;) {
        DataItem item;
        bool there;
        limn_status status = data_source_next(source, &item, &effects->scratch, &there);
        if (status == LIMN_OK && !there) {
            break;
        }
        if (status == LIMN_OK) {
            PromptParams prompt = {.prompt = item.prompt, .complete = complete};
            status = measure_text(effects, &prompt);
            status = status == LIMN_OK ? status
                                       : fail_context("%s: line %lld", data_source_path(source), (long long)item.line);
        }
        if (status != LIMN_OK && there && data_source_skips(source) && status_is_of_input(status)) {
            status = data_source_skip(source, &item, error_message());
        }
        TRY(status);
        arena_reset(&effects->scratch);
        TRY(progress_tick(diff->call->progress, "texts", effects->n_texts, diff->params->data.limit));
    }
    TRY(data_source_finish(source, diff->result));
    return effects->n_texts > 0 ? LIMN_OK
                                : fail(LIMN_NOT_FOUND, "%s: no record to measure effects on", data_source_path(source));
}

static limn_status measure_data(Effects *effects) {
    const Diff *diff = effects->diff;
    DataParams params = diff->params->data;
    params.chat = diff->params->prompt.chat;
    if (params.prompt_field.bytes == NULL && params.template_text.bytes == NULL &&
        params.messages_field.bytes == NULL) {
        params.prompt_field = text_of("text");
    }
    DataSource *source;
    TRY(data_source_open(&source, diff->call, &params));
    limn_status status = data_source_use_model(source, diff->call, diff->after);
    if (status == LIMN_OK) {
        status = measure_records(effects, source);
    }
    data_source_close(source);
    return status;
}

/* --- what is shown --- */

static void label_numbers(MatrixBlock *matrix, int32_t n, bool rows) {
    for (int32_t i = 0; i < n; i++) {
        char label[24];
        int length = snprintf(label, sizeof label, "%d", (int)i);
        if (rows) {
            matrix_label_row(matrix, i, label, (size_t)length);
        } else {
            matrix_label_column(matrix, i, label, (size_t)length);
        }
    }
}

static double mean_of(const Effects *effects, const Component *component, bool out) {
    return (out ? component->out : component->in) / effects->n_texts;
}

static const char *unit_of(const Effects *effects) {
    const MethodCall *call = effects->diff->call;
    return effects->diff->params->contrast.bytes != NULL
               ? SAY(call, "change of the lead in log-probability", "对数概率领先的变化")
               : SAY(call, "change of the log-probability", "对数概率的变化");
}

static void add_matrix(const Effects *effects, bool out) {
    Result *result = effects->diff->result;
    int32_t n_layers = effects->diff->before->config.n_layers;
    const MethodCall *call = effects->diff->call;
    MatrixBlock *matrix = result_add_matrix(
        result, out ? "effect-out" : "effect-in",
        out ? SAY(call, "What the tuned model loses without one component's change",
                  "微调模型去掉单个部件的变化后失去多少")
            : SAY(call, "What the base model gains by one component's change", "基础模型加上单个部件的变化后增加多少"),
        n_layers, KINDS);
    matrix_titles(matrix, "layer", "component");
    label_numbers(matrix, n_layers, true);
    for (int kind = 0; kind < KINDS; kind++) {
        const char *name = SAY(call, component_names, component_names_zh)[kind];
        matrix_label_column(matrix, kind, name, strlen(name));
    }
    for (int32_t i = 0; i < effects->n_whole; i++) {
        const Component *component = &effects->components[i];
        matrix_set(matrix, component->layer, component->kind, mean_of(effects, component, out));
    }
    result_block_unit(result, unit_of(effects));
    if (effects->n_texts > 1) {
        result_block_note(result, SAY(call, "means over %d texts", "%d 条文本的均值"), (int)effects->n_texts);
    }
}

static void add_head_matrix(const Effects *effects, bool out) {
    Result *result = effects->diff->result;
    const ModelConfig *config = &effects->diff->before->config;
    const MethodCall *call = effects->diff->call;
    MatrixBlock *matrix = result_add_matrix(
        result, out ? "heads-out" : "heads-in",
        out ? SAY(call, "What the tuned model loses without one head's change",
                  "微调模型去掉单个注意力头的变化后失去多少")
            : SAY(call, "What the base model gains by one head's change", "基础模型加上单个注意力头的变化后增加多少"),
        config->n_layers, config->n_heads);
    matrix_titles(matrix, "layer", "head");
    label_numbers(matrix, config->n_layers, true);
    label_numbers(matrix, config->n_heads, false);
    for (int32_t i = effects->n_whole; i < effects->n_components; i++) {
        const Component *component = &effects->components[i];
        matrix_set(matrix, component->layer, component->head, mean_of(effects, component, out));
    }
    result_block_unit(result, unit_of(effects));
}

static const char *component_text(const Effects *effects, const Component *component) {
    Arena *arena = effects->diff->call->arena;
    const MethodCall *call = effects->diff->call;
    const char *text = component->kind < KINDS
                           ? arena_printf(arena, SAY(call, "layer %d %s", "第 %d 层%s"), component->layer,
                                          SAY(call, component_names, component_names_zh)[component->kind])
                           : arena_printf(arena, SAY(call, "layer %d head %d", "第 %d 层第 %d 头"), component->layer,
                                          (int)component->head);
    return text != NULL ? text : "";
}

static int by_effect(const void *a, const void *b) {
    const Component *const *one = a;
    const Component *const *other = b;
    double x = fabs((*one)->out), y = fabs((*other)->out);
    return x > y ? -1 : x < y ? 1 : *one < *other ? -1 : *one > *other;
}

static double error_of(double sum, double squares, int32_t n) {
    return n > 1 ? sqrt(fmax(0, squares - sum * sum / n) / (n - 1) / n) : (double)NAN;
}

static limn_status add_table(const Effects *effects, const char **most) {
    static const TableColumn columns[] = {{TEXT("component"), COLUMN_TEXT},
                                          {TEXT("lost"), COLUMN_NUMBER},
                                          {TEXT("lost error"), COLUMN_NUMBER},
                                          {TEXT("gained"), COLUMN_NUMBER},
                                          {TEXT("gained error"), COLUMN_NUMBER}};
    MethodCall *call = effects->diff->call;
    double moved = (effects->scores[1] - effects->scores[0]) / effects->n_texts; /* by the whole tuning */
    const Component **sorted = ARENA_ARRAY(call->arena, const Component *, effects->n_components + 1);
    if (sorted == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < effects->n_components; i++) {
        sorted[i] = &effects->components[i];
    }
    qsort(sorted, (size_t)effects->n_components, sizeof(const Component *), by_effect);
    TableBlock *table =
        result_add_table(effects->diff->result, "effects",
                         SAY(call, "Components whose change matters most", "变化影响最大的部件"), columns, 5);
    int32_t n = effects->n_texts;
    for (int32_t i = 0; i < effects->n_components && i < TABLE_ROWS; i++) {
        const Component *component = sorted[i];
        Value cells[] = {value_text(component_text(effects, component)), value_number(component->out / n),
                         value_number(error_of(component->out, component->out_square, n)),
                         value_number(component->in / n),
                         value_number(error_of(component->in, component->in_square, n))};
        table_row(table, cells);
    }
    result_block_unit(effects->diff->result, unit_of(effects));
    result_block_note(
        effects->diff->result,
        SAY(call,
            "lost: by the tuned model without the component's change; gained: by the base with it alone; "
            "error: standard error over texts; the whole tuning moves the target by %.4g, and the parts "
            "need not add up",
            "减少：微调模型去掉该部件的变化；增加：基础模型单独加上它；标准误：对文本而言；整个微调使目标移动 "
            "%.4g，各部分不必相加等于它"),
        moved);
    *most = arena_printf(call->arena, SAY(call, "%s (%+.3g; the whole tuning %+.3g)", "%s（%+.3g；整个微调 %+.3g）"),
                         component_text(effects, sorted[0]), sorted[0]->out / n, moved);
    return *most != NULL ? LIMN_OK : method_no_memory(call);
}

static bool only_in_layers(const Model *model) {
    for (int32_t i = 0; i < model->n_changes; i++) {
        if (model->graph.nodes[model->changes[i].node].op.layer < 0) {
            return false;
        }
    }
    return true;
}

/* Do the layers alone differ? Then exchanging all of them must give the base's own answer. */
static bool only_layers_differ(const Diff *diff) {
    return diff->one_base && only_in_layers(diff->before) && only_in_layers(diff->after);
}

/* What both models make of the target. */
static void add_answers(const Effects *effects) {
    static const TableColumn alone[] = {{TEXT("model"), COLUMN_TEXT},
                                        {TEXT("log-probability"), COLUMN_NUMBER},
                                        {TEXT("probability"), COLUMN_PROBABILITY}};
    static const TableColumn against[] = {{TEXT("model"), COLUMN_TEXT},
                                          {TEXT("lead"), COLUMN_SIGNED},
                                          {TEXT("probability of the two"), COLUMN_PROBABILITY}};
    const MethodCall *call = effects->diff->call;
    bool contrasted = effects->diff->params->contrast.bytes != NULL;
    const char *const names[2] = {SAY(call, "base", "基础模型"), SAY(call, "tuned", "微调模型")};
    TableBlock *table = result_add_table(effects->diff->result, "answers",
                                         SAY(call, "What both models make of the target", "两个模型如何看目标"),
                                         contrasted ? against : alone, 3);
    for (int side = 0; side < 2; side++) {
        double score = effects->scores[side] / effects->n_texts;
        double probability = contrasted ? 1 / (1 + exp(-score)) : exp(score);
        const Value cells[] = {value_text(names[side]), value_number(score), value_number(probability)};
        table_row(table, cells);
    }
    if (contrasted) {
        result_block_note(
            effects->diff->result,
            SAY(call,
                "lead: log-probability of the target less that of the contrast%s; probability of the two: "
                "as if there were no other answer",
                "领先：目标与对照的对数概率之差%s；二者之中的概率：如同没有别的答案"),
            effects->n_texts > 1 ? SAY(call, ", mean over texts", "，取各文本的均值") : "");
    } else if (effects->n_texts > 1) {
        result_block_note(effects->diff->result,
                          SAY(call, "log-probability: mean over texts", "对数概率：取各文本的均值"));
    }
}

static limn_status report(const Effects *effects, const char **most) {
    Result *result = effects->diff->result;
    add_answers(effects);
    TRY(add_table(effects, most));
    add_matrix(effects, true);
    add_matrix(effects, false);
    if (effects->n_components > effects->n_whole) {
        add_head_matrix(effects, true);
        add_head_matrix(effects, false);
    }
    result_param_integer(result, "texts", effects->n_texts);
    if (only_layers_differ(effects->diff)) {
        result_check(result, "exchange", effects->worst_exchange, CHECK_AT_MOST, 1e-3,
                     SAY(effects->diff->call,
                         "largest difference, over the texts, of the target's log-probability in the base and in the "
                         "tuned model with every component exchanged",
                         "各文本中，基础模型与所有部件都换回的微调模型，其目标对数概率的最大差"));
    } else {
        result_param_number(result, "outside-layers", effects->worst_exchange);
    }
    return result_status(result);
}

static bool has_prompt(const PromptParams *params) {
    return params->prompt.bytes != NULL || params->ids.ids != NULL || params->file.bytes != NULL ||
           params->chat.chat.bytes != NULL || params->chat.messages.bytes != NULL;
}

/* What would silently do nothing. */
static limn_status refuse_data_options(const DataParams *params) {
    const char *unused = params->prompt_field.bytes != NULL     ? "prompt-field"
                         : params->template_text.bytes != NULL  ? "template"
                         : params->messages_field.bytes != NULL ? "messages-field"
                         : params->as_chat                      ? "as-chat"
                         : params->system.bytes != NULL         ? "system"
                         : params->where.bytes != NULL          ? "where"
                         : params->on_error == ON_ERROR_SKIP    ? "on-error"
                                                                : NULL;
    return unused == NULL ? LIMN_OK : fail(LIMN_USAGE, "diff: option '%s' goes with --data", unused);
}

limn_status diff_effects(const Diff *diff, const char **most) {
    *most = NULL;
    bool one = has_prompt(&diff->params->prompt), many = diff->params->data.file.bytes != NULL;
    if (one && many) {
        return fail(LIMN_USAGE, "diff: found both a prompt and --data, expected one of them");
    }
    TRY(many ? LIMN_OK : refuse_data_options(&diff->params->data));
    if (!one && !many) {
        return LIMN_OK;
    }
    if (diff->before->config.task != TASK_CAUSAL_LM) {
        return fail(LIMN_UNSUPPORTED, "%s: effects are measured on language models, not on %s", diff->before->path,
                    diff->before->config.architecture);
    }
    Effects effects = {.diff = diff};
    effects.sides[0].engine = diff->base;
    effects.sides[1].engine = diff->tuned;
    arena_init(&effects.scratch);
    limn_status status = list_sites(&effects, &diff->after->graph);
    if (status == LIMN_OK) {
        status = one ? measure_text(&effects, &diff->params->prompt) : measure_data(&effects);
    }
    if (status == LIMN_OK) {
        status = report(&effects, most);
    }
    arena_free(&effects.scratch);
    return status;
}
