/* Units of an ablation: which elements of which sites each is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask/head_names.h"
#include "method/causal/ablate.h"

static const char *const hooks[][ABLATE_SITES] = {
    [ABLATE_HEAD] = {"attn.hook_z"},     [ABLATE_ATTENTION] = {"hook_attn_out"},
    [ABLATE_MLP] = {"hook_mlp_out"},     [ABLATE_LAYER] = {"hook_attn_out", "hook_mlp_out"},
    [ABLATE_NEURON] = {"mlp.hook_post"}, [ABLATE_POSITION] = {"hook_attn_out", "hook_mlp_out"},
};

static limn_status find_nodes(Ablate *ablate) {
    ablate->n_sites = hooks[ablate->what][1] == NULL ? 1 : ABLATE_SITES;
    ablate->nodes = ARENA_ARRAY(ablate->call->arena, NodeId, ABLATE_SITES * ablate->n_layers + 1);
    if (ablate->nodes == NULL) {
        return method_no_memory(ablate->call);
    }
    for (int32_t s = 0; s < ablate->n_sites; s++) {
        for (int32_t layer = 0; layer < ablate->n_layers; layer++) {
            const char *hook = ablate->with == ABLATE_PATTERN ? "attn.hook_pattern" : hooks[ablate->what][s];
            char name[96];
            snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, hook);
            NodeId node = graph_find_site(&ablate->model->graph, name);
            ablate->nodes[s * ablate->n_layers + layer] = node;
            if (node == NODE_NONE) {
                return fail(LIMN_NOT_FOUND, "%s has no site %s; 'limn sites' lists those it has", ablate->model->path,
                            name);
            }
        }
    }
    return LIMN_OK;
}

/* "A:B", layers A up to but without B. */
static limn_status read_layers(const Ablate *ablate, int32_t *begin, int32_t *end) {
    const char *text = ablate->params->layers.bytes;
    *begin = 0;
    *end = ablate->n_layers;
    if (text == NULL) {
        return LIMN_OK;
    }
    char *rest;
    errno = 0;
    long first = strtol(text, &rest, 10), last = first + 1;
    bool fine = rest != text && errno == 0;
    if (fine && *rest == ':') {
        const char *second = rest + 1;
        last = strtol(second, &rest, 10);
        fine = rest != second && errno == 0;
    }
    if (!fine || *rest != '\0') {
        return fail(LIMN_USAGE, "option 'layers': found '%s', expected A:B or a number", text);
    }
    if (first < 0 || last > ablate->n_layers || first >= last) {
        return fail(LIMN_RANGE, "option 'layers': found '%s'; %s has layers 0 to %d", text, ablate->model->path,
                    (int)ablate->n_layers - 1);
    }
    *begin = (int32_t)first;
    *end = (int32_t)last;
    return LIMN_OK;
}

static limn_status choose_cells(Ablate *ablate) {
    int64_t cells = (int64_t)ablate->n_layers * ablate->n_columns;
    int32_t begin, end;
    TRY(read_layers(ablate, &begin, &end));
    ablate->wanted = ARENA_ARRAY(ablate->call->arena, bool, cells + 1);
    if (ablate->wanted == NULL) {
        return method_no_memory(ablate->call);
    }
    bool named = ablate->params->head.n > 0;
    for (int64_t cell = 0; cell < cells; cell++) {
        int32_t layer = (int32_t)(cell / ablate->n_columns);
        ablate->wanted[cell] = !named && layer >= begin && layer < end;
    }
    if (!named) {
        return LIMN_OK;
    }
    HeadName *heads;
    int32_t n;
    TRY(head_names_read(&heads, &n, ablate->call, ablate->model, "head", &ablate->params->head));
    for (int32_t i = 0; i < n; i++) {
        ablate->wanted[heads[i].layer * ablate->n_columns + heads[i].head] = true;
    }
    return LIMN_OK;
}

limn_status ablate_units(Ablate *ablate) {
    const ModelConfig *config = &ablate->model->config;
    if (ablate->params->head.n > 0 && (ablate->what != ABLATE_HEAD || ablate->params->layers.bytes != NULL)) {
        return fail(LIMN_USAGE, "ablate: option 'head' goes with --what head and without --layers");
    }
    if (ablate->with == ABLATE_PATTERN && ablate->what != ABLATE_HEAD) {
        return fail(LIMN_USAGE, "ablate: --with pattern is of attention patterns: it goes with --what head");
    }
    ablate->n_layers = config->n_layers;
    TRY(find_nodes(ablate));
    const RowShape *shape = &ablate->model->graph.nodes[ablate->nodes[0]].op.out;
    ablate->width = shape->n_dims == 2 && shape->dims[1] == DIM_KEYS ? 0 : row_shape_width(shape, 1);
    ablate->n_columns = 1;
    if (ablate->what == ABLATE_HEAD) {
        ablate->n_columns = config->n_heads;
        ablate->unit_width = ablate->width / config->n_heads;
    } else if (ablate->what == ABLATE_NEURON) {
        ablate->n_columns = (int32_t)ablate->width;
        ablate->unit_width = 1;
    } else if (ablate->what == ABLATE_POSITION) {
        ablate->n_columns = ablate->prompt.n;
    }
    return choose_cells(ablate);
}

int32_t ablate_edits(const AblateRecord *record, int32_t cell, int32_t draw, Edit *edits) {
    static const float zero = 0.0F;
    const Ablate *ablate = record->ablate;
    int32_t layer = cell / ablate->n_columns, column = cell % ablate->n_columns;
    bool position = ablate->what == ABLATE_POSITION, pattern = ablate->with == ABLATE_PATTERN;
    int64_t unit = pattern ? record->sequence.n : ablate->unit_width;
    for (int32_t s = 0; s < ablate->n_sites; s++) {
        int32_t site = s * ablate->n_layers + layer;
        const float *values =
            record->values == NULL ? NULL : record->values[draw * ablate->n_sites * ablate->n_layers + site];
        int64_t begin = unit > 0 ? column * unit : 0, end = unit > 0 ? begin + unit : -1;
        int32_t row = position ? column : 0;
        edits[s] = (Edit){.node = ablate->nodes[site],
                          .kind = EDIT_SET,
                          .row_begin = row,
                          .row_end = position ? column + 1 : record->sequence.n,
                          .element_begin = begin,
                          .element_end = end,
                          .values = &zero,
                          .scalar = true};
        if (values != NULL) {
            edits[s].scalar = false;
            edits[s].row_stride = record->stride;
            edits[s].values = values + row * record->stride + (pattern ? 0 : begin);
        }
    }
    return ablate->n_sites;
}
