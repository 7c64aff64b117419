#include "method/causal/causal_sites.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

static const CausalSite sites[] = {
    {"resid_pre", "hook_resid_pre", "the stream before the layer", "层前的残差流", false},
    {"resid_mid", "hook_resid_mid", "the stream between attention and MLP", "注意力与 MLP 之间的残差流", false},
    {"resid_post", "hook_resid_post", "the stream behind the layer", "层后的残差流", false},
    {"attn_out", "hook_attn_out", "what attention writes", "注意力的输出", false},
    {"mlp_out", "hook_mlp_out", "what the MLP writes", "MLP 的输出", false},
    {"mlp_post", "mlp.hook_post", "the MLP's neurons", "MLP 的神经元", false},
    {"q", "attn.hook_q", "the heads' queries", "各头的查询", true},
    {"k", "attn.hook_k", "the heads' keys", "各头的键", true},
    {"v", "attn.hook_v", "the heads' values", "各头的值", true},
    {"z", "attn.hook_z", "the heads' results", "各头的结果", true},
};
enum { SITES = sizeof sites / sizeof sites[0] };

static const char *name_at(const void *context, size_t index) {
    (void)context;
    return sites[index].name;
}

limn_status causal_site_find(const CausalSite **site, const char *option, const char *name) {
    for (size_t i = 0; i < SITES; i++) {
        if (strcmp(name, sites[i].name) == 0 || strcmp(name, sites[i].hook) == 0) {
            *site = &sites[i];
            return LIMN_OK;
        }
    }
    char near[256];
    nearest_names(near, sizeof near, NEAREST_USUAL, name, name_at, NULL, SITES);
    return fail(LIMN_USAGE, "option '%s': found '%s', which is no site of a layer; nearest: %s", option, name, near);
}

limn_status causal_site_nodes(NodeId **nodes, MethodCall *call, const Model *model, const CausalSite *site) {
    int32_t n_layers = model->config.n_layers;
    *nodes = ARENA_ARRAY(call->arena, NodeId, n_layers + 1);
    if (*nodes == NULL) {
        return method_no_memory(call);
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        char name[96];
        snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, site->hook);
        (*nodes)[layer] = graph_find_site(&model->graph, name);
        if ((*nodes)[layer] == NODE_NONE) {
            return fail(LIMN_NOT_FOUND, "%s has no site %s; 'limn sites' lists those it has", model->path, name);
        }
    }
    return LIMN_OK;
}

LayerSpan layer_window(int32_t layer, int32_t width, int32_t n_layers) {
    int32_t begin = layer - width / 2, end = layer + (width + 1) / 2;
    return (LayerSpan){begin < 0 ? 0 : begin, end > n_layers ? n_layers : end};
}

limn_status layer_window_check(const char *command, int64_t width, const Model *model) {
    return width <= model->config.n_layers ? LIMN_OK
                                           : fail(LIMN_RANGE, "%s: option 'window': found %lld layers; %s has %d",
                                                  command, (long long)width, model->path, (int)model->config.n_layers);
}
