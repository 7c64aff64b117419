/* Direct logit attribution: what each part writes towards the answer, later parts looking away.
 *
 * One backward pass with norms' scales held constant and nothing flowing back into what attention and MLPs read: then
 * value times gradient of a part is its share of the logit along the stream alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/direct.h"
#include "method/representation/lens.h"

/* What a node's shares are added to. */
typedef enum PartKind {
    PART_STREAM,
    PART_EMBED,
    PART_POSITION,
    PART_TYPE,
    PART_ATTENTION,
    PART_MLP,
    PART_Z,
    PART_POST
} PartKind;

typedef struct Part {
    NodeId node;
    PartKind kind;
    int32_t layer;
} Part;

typedef struct Direct {
    Lens *lens;
    Part *parts; /* [n] */
    NodeId *nodes;
    int32_t n;
    double stream;   /* share of the last stream: all that comes through it */
    double *neurons; /* [d_mlp] of one layer, while its rows come */
    int32_t neuron_layer;
} Direct;

static NodeId layer_site(const Model *model, int32_t layer, const char *name) {
    char site[96];
    snprintf(site, sizeof site, "blocks.%d.%s", (int)layer, name);
    return graph_find_site(&model->graph, site);
}

static void add_part(Direct *direct, NodeId node, PartKind kind, int32_t layer) {
    bool known = node == NODE_NONE;
    for (int32_t i = 0; i < direct->n && !known; i++) {
        known = direct->nodes[i] == node;
    }
    if (!known) {
        direct->nodes[direct->n] = node;
        direct->parts[direct->n++] = (Part){node, kind, layer};
    }
}

static limn_status list_parts(Direct *direct) {
    const Lens *lens = direct->lens;
    const Model *model = lens->model;
    int32_t most = 4 * lens->n_layers + 4;
    direct->parts = ARENA_ARRAY(lens->call->arena, Part, most + 1);
    direct->nodes = ARENA_ARRAY(lens->call->arena, NodeId, most + 1);
    direct->neurons = ARENA_ARRAY(lens->call->arena, double, model->config.d_mlp + 1);
    if (direct->parts == NULL || direct->nodes == NULL || direct->neurons == NULL) {
        return method_no_memory(lens->call);
    }
    add_part(direct, lens->last, PART_STREAM, -1);
    add_part(direct, graph_find_site(&model->graph, "hook_embed"), PART_EMBED, -1);
    add_part(direct, graph_find_site(&model->graph, "hook_pos_embed"), PART_POSITION, -1);
    add_part(direct, graph_find_site(&model->graph, "hook_token_type_embed"), PART_TYPE, -1);
    for (int32_t layer = 0; layer < lens->n_layers; layer++) {
        add_part(direct, layer_site(model, layer, "hook_attn_out"), PART_ATTENTION, layer);
        add_part(direct, layer_site(model, layer, "hook_mlp_out"), PART_MLP, layer);
        add_part(direct, layer_site(model, layer, "attn.hook_z"), PART_Z, layer);
        add_part(direct, layer_site(model, layer, "mlp.hook_post"), PART_POST, layer);
    }
    return LIMN_OK;
}

/* ---- shares ---- */

/* Neurons of a layer are whole once another layer's come. */
static void keep_neurons(Direct *direct) {
    Lens *lens = direct->lens;
    int32_t most = (int32_t)lens->params->top, width = lens->model->config.d_mlp;
    for (int32_t k = 0; k < width && direct->neuron_layer >= 0; k++) {
        double share = direct->neurons[k];
        int32_t place = lens->n_neurons < most ? lens->n_neurons++ : most;
        while (place > 0 && fabs(lens->neurons[place - 1].share) < fabs(share)) {
            if (place < most) {
                lens->neurons[place] = lens->neurons[place - 1];
            }
            place--;
        }
        if (place < most) {
            lens->neurons[place] = (LensNeuron){direct->neuron_layer, k, share};
        }
    }
    memset(direct->neurons, 0, (size_t)width * sizeof *direct->neurons);
}

static double sum_of(const float *value, const float *gradient, int64_t n) {
    double sum = 0.0;
    for (int64_t e = 0; e < n; e++) {
        sum += (double)value[e] * (double)gradient[e];
    }
    return sum;
}

static void add_share(Direct *direct, const Part *part, const float *value, const float *gradient, int64_t width) {
    Lens *lens = direct->lens;
    int32_t heads = lens->model->config.n_heads;
    double *const whole[] = {[PART_STREAM] = &direct->stream,
                             [PART_EMBED] = &lens->embeddings,
                             [PART_POSITION] = &lens->positions,
                             [PART_TYPE] = &lens->types,
                             [PART_ATTENTION] = part->layer < 0 ? NULL : &lens->attention[part->layer],
                             [PART_MLP] = part->layer < 0 ? NULL : &lens->mlp[part->layer]};
    if (part->kind == PART_Z) {
        for (int32_t h = 0; h < heads; h++) {
            int64_t k = width / heads;
            lens->heads[part->layer * heads + h] += sum_of(value + h * k, gradient + h * k, k);
        }
    } else if (part->kind == PART_POST) {
        for (int64_t e = 0; e < width && e < lens->model->config.d_mlp; e++) {
            direct->neurons[e] += (double)value[e] * (double)gradient[e];
        }
    } else {
        *whole[part->kind] += sum_of(value, gradient, width);
    }
}

static limn_status take_rows(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                             const float *value, const float *gradient) {
    (void)row_begin;
    Direct *direct = context;
    const Part *part = NULL;
    for (int32_t i = 0; i < direct->n && part == NULL; i++) {
        part = direct->parts[i].node == node ? &direct->parts[i] : NULL;
    }
    if (part == NULL) {
        return fail(LIMN_INTERNAL, "a gradient came that was not asked for");
    }
    if (part->kind == PART_POST && part->layer != direct->neuron_layer) {
        keep_neurons(direct);
        direct->neuron_layer = part->layer;
    }
    for (int32_t r = 0; r < n_rows; r++) {
        add_share(direct, part, value + r * width, gradient + r * width, width);
    }
    return LIMN_OK;
}

/* ---- the pass ---- */

/* A head that is one linear map of a normed stream; a masked model's has a layer of its own. */
static bool is_linear(const Lens *lens) {
    return lens->model->config.causal && layer_site(lens->model, 0, "hook_normalized_resid_mid") == NODE_NONE;
}

static limn_status run_pass(Direct *direct) {
    Lens *lens = direct->lens;
    Edit *edits;
    int32_t n_edits;
    TRY(direct_stops(&edits, &n_edits, lens->call, lens->model));
    OutputRow *outputs = ARENA_ARRAY(lens->call->arena, OutputRow, lens->target.n + 1);
    if (outputs == NULL) {
        return method_no_memory(lens->call);
    }
    for (int32_t i = 0; i < lens->target.n; i++) {
        outputs[i] = (OutputRow){.row = lens->target.rows[i], .target = lens->target.ids[i], .weight = 1.0F};
    }
    Seed seed = {.node = direct_logits(lens->model), .kind = SEED_LOGIT};
    if (lens->contrast.kind != TARGET_NONE) {
        seed.kind = SEED_DIFFERENCE;
        seed.contrasts = (IdSets){.ids = lens->contrast.ids, .n = 1};
    }
    const GradientSink sink = {
        .nodes = direct->nodes, .n = direct->n, .with_values = true, .function = take_rows, .context = direct};
    const RunRequest request = {.sequences = &lens->sequence,
                                .n_sequences = 1,
                                .outputs = outputs,
                                .n_outputs = lens->target.n,
                                .edits = edits,
                                .n_edits = n_edits,
                                .seeds = &seed,
                                .n_seeds = 1,
                                .rules = RULES_FROZEN,
                                .sink = &sink};
    TRY(engine_run(lens->engine, &request, lens->call->progress));
    lens->logit = engine_total(lens->engine);
    return LIMN_OK;
}

limn_status lens_direct(Lens *lens) {
    int32_t n_layers = lens->n_layers, heads = lens->model->config.n_heads;
    Direct direct = {.lens = lens, .neuron_layer = -1};
    lens->attention = ARENA_ARRAY(lens->call->arena, double, n_layers + 1);
    lens->mlp = ARENA_ARRAY(lens->call->arena, double, n_layers + 1);
    lens->heads = ARENA_ARRAY(lens->call->arena, double, (int64_t)n_layers *heads + 1);
    lens->neurons = ARENA_ARRAY(lens->call->arena, LensNeuron, lens->params->top + 1);
    if (lens->attention == NULL || lens->mlp == NULL || lens->heads == NULL || lens->neurons == NULL) {
        return method_no_memory(lens->call);
    }
    TRY(list_parts(&direct));
    TRY(run_pass(&direct));
    keep_neurons(&direct);
    lens->linear = is_linear(lens);
    lens->constant = lens->logit - direct.stream;
    return LIMN_OK;
}
