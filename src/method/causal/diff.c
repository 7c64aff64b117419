/* Which layers, heads and MLPs did fine-tuning change? By size, by shape, and by what the change does. The base and the
 * tuned model are any two of one shape, each with adapters or without.
 *
 * Size: |W' - W| / |W| (Frobenius). Shape: singular values of W' - W, their effective rank (Roy and Vetterli 2007) and
 * the energy in the largest. Effect: on each prompt the tuned model runs with one component's own weights set back
 * ("out": what the target loses), and the base model with that component's weights tuned ("in": what it gains); the
 * component reads the stream of the model it is patched into, so that only its own weights count. Interactions are why
 * the two differ and why effects do not add up to the whole difference. */
#include "method/causal/diff.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* The next node that a family's file built; n_nodes: none. */
NodeId diff_next_node(const Graph *graph, NodeId node) {
    for (node++; node < graph->n_nodes && graph->nodes[node].added;) {
        node++;
    }
    return node;
}

const Weight *diff_weight_of(const Graph *graph, NodeId node, int slot) {
    const Weight *weight = &graph->nodes[node].op.weights[slot];
    for (NodeId at = node + 1; weight->name == NULL && slot == 1 && at < graph->n_nodes && graph->nodes[at].added;
         at++) {
        weight = graph->nodes[at].op.kind == OP_GAIN ? &graph->nodes[at].op.weights[1] : weight;
    }
    return weight;
}

static bool same_shapes(const Graph *a, NodeId one, const Graph *b, NodeId other) {
    const Op *op = &a->nodes[one].op;
    bool same = op->kind == b->nodes[other].op.kind && op->layer == b->nodes[other].op.layer;
    for (int slot = 0; same && slot < OP_MAX_WEIGHTS; slot++) {
        const Weight *first = diff_weight_of(a, one, slot), *second = diff_weight_of(b, other, slot);
        same = first->rows == second->rows && first->columns == second->columns;
    }
    return same;
}

static limn_status check_same(const Diff *diff) {
    const Graph *a = &diff->before->graph, *b = &diff->after->graph;
    NodeId one = diff_next_node(a, -1), other = diff_next_node(b, -1);
    while (one < a->n_nodes && other < b->n_nodes && same_shapes(a, one, b, other)) {
        one = diff_next_node(a, one);
        other = diff_next_node(b, other);
    }
    return one == a->n_nodes && other == b->n_nodes
               ? LIMN_OK
               : fail(LIMN_USAGE,
                      "%s and %s are of different shapes (%s, %d layers; %s, %d layers), expected two "
                      "models of one architecture and size",
                      diff->before->path, diff->after->path, diff->before->config.architecture,
                      diff->before->config.n_layers, diff->after->config.architecture, diff->after->config.n_layers);
}

/* MODEL has the adapters of --adapter and OTHER, or MODEL again, those of --other-adapter. With neither OTHER nor
 * --other-adapter it is MODEL alone beside MODEL with its adapters. */
static limn_status open_both(Diff *diff) {
    MethodCall *call = diff->call;
    const DiffParams *params = diff->params;
    const char *second = params->other.bytes != NULL ? params->other.bytes : params->model.bytes;
    bool two = params->other.bytes != NULL || params->other_adapters.n > 0;
    diff->one_base = params->other.bytes == NULL;
    if (!two && call->common.adapters.n == 0) {
        return fail(LIMN_USAGE, "diff: found nothing to compare with, expected --adapter DIR, --other-adapter DIR or a "
                                "second model");
    }
    /* The one opened last is the one the result is about. */
    if (two) {
        TRY(method_adapted_engine(call, second, "other-adapter", &params->other_adapters, &diff->tuned));
        TRY(method_engine(call, params->model.bytes, &diff->base));
    } else {
        TRY(method_base_engine(call, params->model.bytes, &diff->base));
        TRY(method_engine(call, params->model.bytes, &diff->tuned));
    }
    diff->before = engine_model(diff->base);
    diff->after = engine_model(diff->tuned);
    return check_same(diff);
}

/* The second model and its adapters, by name and hash: the document's own place is the first's. */
static limn_status describe_other(const Diff *diff) {
    char hash[65];
    const DiffParams *params = diff->params;
    if (params->other.bytes != NULL) {
        /* the cache lends it; its hash is computed now */
        TRY(model_hash((Model *)(uintptr_t)diff->after, diff->call->team, false, hash));
        result_param_text(diff->result, "other-name", diff->after->name);
        result_param_text(diff->result, "other-hash", hash);
    }
    for (int32_t i = 0; i < params->other_adapters.n; i++) {
        char name[48];
        TRY(model_adapter_hash(diff->after, i, diff->call->team, false, hash));
        snprintf(name, sizeof name, i == 0 ? "other-adapter-hash" : "other-adapter-hash-%d", (int)i + 1);
        result_param_text(diff->result, name, hash);
    }
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    Diff diff = {.call = call, .params = call->params, .result = result};
    TRY(open_both(&diff));
    TRY(describe_other(&diff));
    const char *largest = NULL, *strongest = NULL;
    TRY(diff_effects(&diff, &strongest)); /* what a change does comes before how large it is */
    TRY(method_blocks_done(call, result));
    TRY(diff_weights(&diff, &largest));
    if (largest == NULL) {
        result_headline(result, SAY(call, "No weight differs", "没有权重不同"));
    } else if (strongest == NULL) {
        result_headline(result, SAY(call, "Changed most, by norm: %s", "按范数变化最大的：%s"), largest);
    } else {
        result_headline(result,
                        SAY(call, "Changed most, by effect on the target: %s; by norm: %s",
                            "按对目标的作用变化最大的：%s；按范数：%s"),
                        strongest, largest);
    }
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(DiffParams, model),
    {"other", 0, LIMN_PARAM_FILE, .positional = true, .metavar = "OTHER",
     .help = "the tuned model; without it, the model with the adapters that --adapter (or --other-adapter) names",
     .field = offsetof(DiffParams, other)},
    {"other-adapter", 0, LIMN_PARAM_FILE, .repeated = true, .metavar = "DIR[:WEIGHT]",
     .help =
         "a PEFT LoRA adapter on top of OTHER, or of MODEL once more, which then stands beside MODEL with --adapter",
     .field = offsetof(DiffParams, other_adapters)},
    PROMPT_ROWS(DiffParams, prompt),
    DATA_OPTION_ROW(DiffParams, data),
    DATA_PROMPT_ROWS(DiffParams, data),
    {"limit", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "8", .minimum = 1, .maximum = 1e9,
     .help = "at most so many records", .field = offsetof(DiffParams, data.limit)},
    PARAM_ROW("target", 't', LIMN_PARAM_TEXT, "TEXT",
              "the continuation in question, leading space included; without one, the tuned model's likeliest",
              offsetof(DiffParams, target)),
    PARAM_ROW("contrast", 0, LIMN_PARAM_TEXT, "TEXT", "measure the target against this answer (single tokens)",
              offsetof(DiffParams, contrast)),
    PARAM_ROW("heads", 0, LIMN_PARAM_FLAG, NULL, "effects of single heads too: many more passes",
              offsetof(DiffParams, heads)),
    PARAM_ROW("no-spectrum", 0, LIMN_PARAM_FLAG, NULL, "norms only: no singular values",
              offsetof(DiffParams, no_spectrum)),
    {"top-k", 0, LIMN_PARAM_INTEGER, .metavar = "K", .default_text = "4", .minimum = 1, .maximum = 1e6,
     .help = "how many directions the energy counts", .field = offsetof(DiffParams, top_k)},
};

const Method method_diff = {
    .command = {.name = "diff",
                .summary = "what fine-tuning changed",
                .description =
                    "Compares a model with itself under adapters, two adapters of one model, or two models of the "
                    "same shape, each with adapters or without: which "
                    "layers, heads and MLPs changed by norm, over how many directions, and, with texts, how much each "
                    "component's change moves the target's log-probability when it alone is taken out of the tuned "
                    "model or put into the base. Two passes for each component and text.",
                .examples = "limn diff MODEL --adapter DIR -p 'Is this a bank run? Answer:' --target ' yes'\n"
                            "limn diff MODEL --adapter old/ --other-adapter new/ --data tweets.jsonl --target ' yes'\n"
                            "limn diff base/ tuned/ --data tweets.jsonl --prompt-field text --limit 20 -o diff.html",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Difference of two models",
    .params_bytes = sizeof(DiffParams),
    .run = run,
    .about = {.answers = "Which layers, heads and MLPs did fine-tuning change, and what do these changes do?",
              .formula =
                  "size: |W' - W| / |W|    out: what the target loses when one component is set back    in: what "
                  "it gains when one alone is tuned",
              .paper = "effective rank: Roy and Vetterli 2007; the patches: differences of plain passes",
              .cost = "reading both models; with texts two forward passes for each component and text",
              .lies = "Components interact: effects do not add up to the whole difference. A large change of weights "
                      "may do "
                      "nothing on these texts."},
    .explains = true,
};
