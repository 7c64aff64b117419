/* The sites that causal methods change: one of each layer, by a short name. */
#ifndef LIMN_METHOD_CAUSAL_CAUSAL_SITES_H
#define LIMN_METHOD_CAUSAL_CAUSAL_SITES_H

#include "call/method.h"

typedef struct CausalSite {
    const char *name;      /* "z" */
    const char *hook;      /* "attn.hook_z": blocks.L.attn.hook_z */
    const char *text, *zh; /* for people */
    bool heads;            /* its value is [H, K] */
} CausalSite;

/* By its short name or hook; an unknown one is LIMN_USAGE and names the nearest. */
limn_status causal_site_find(const CausalSite **site, const char *option, const char *name);

/* Its node in every layer, [n_layers] in the arena; LIMN_NOT_FOUND where a family has no such site. */
limn_status causal_site_nodes(NodeId **nodes, MethodCall *call, const Model *model, const CausalSite *site);

/* Layers [begin, end): `width` of them around one, as in ROME's causal tracing (2202.05262), those that there are. */
typedef struct LayerSpan {
    int32_t begin, end;
} LayerSpan;
LayerSpan layer_window(int32_t layer, int32_t width, int32_t n_layers);
/* A window wider than the model is LIMN_RANGE. */
limn_status layer_window_check(const char *command, int64_t width, const Model *model);

#endif
