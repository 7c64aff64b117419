/* Which layers, heads and MLPs did fine-tuning change? By size, by shape, and by what the change does.
 *
 * Size: |W' - W| / |W| (Frobenius). Shape: singular values of W' - W, their effective rank (Roy and Vetterli 2007) and
 * the energy in the largest. Effect: on each prompt the tuned model runs with one component's own weights set back
 * ("out": what the target loses), and the base model with that component's weights tuned ("in": what it gains); the
 * component reads the stream of the model it is patched into, so that only its own weights count. Interactions are why
 * the two differ and why effects do not add up to the whole difference. */
#include "method/causal/diff.h"

#include <string.h>

#include "base/file.h"

static limn_status check_same(const Diff *diff) {
    const Graph *a = &diff->before->graph, *b = &diff->after->graph;
    bool same = a->n_nodes == b->n_nodes;
    for (NodeId node = 0; same && node < a->n_nodes; node++) {
        const Op *one = &a->nodes[node].op, *other = &b->nodes[node].op;
        same = one->kind == other->kind && one->layer == other->layer;
        for (int slot = 0; same && slot < OP_MAX_WEIGHTS; slot++) {
            same = one->weights[slot].rows == other->weights[slot].rows &&
                   one->weights[slot].columns == other->weights[slot].columns;
        }
    }
    return same ? LIMN_OK
                : fail(LIMN_USAGE,
                       "%s and %s are of different shapes (%s, %d layers; %s, %d layers), expected two "
                       "models of one architecture and size",
                       diff->before->path, diff->after->path, diff->before->config.architecture,
                       diff->before->config.n_layers, diff->after->config.architecture, diff->after->config.n_layers);
}

static limn_status open_both(Diff *diff) {
    MethodCall *call = diff->call;
    const DiffParams *params = diff->params;
    bool other = params->other.bytes != NULL;
    if (other == (call->common.adapters.n > 0)) {
        return fail(LIMN_USAGE, "diff: found %s, expected either --adapter DIR or a second model",
                    other ? "both an adapter and a second model" : "nothing to compare with");
    }
    diff->adapted = !other;
    /* The one opened last is the one the result is about. */
    if (other) {
        TRY(method_base_session(call, params->other.bytes, &diff->tuned));
        TRY(method_base_session(call, params->model.bytes, &diff->base));
    } else {
        TRY(method_base_session(call, params->model.bytes, &diff->base));
        TRY(method_session(call, params->model.bytes, &diff->tuned));
    }
    diff->before = session_model(diff->base);
    diff->after = session_model(diff->tuned);
    return other ? check_same(diff) : LIMN_OK;
}

/* The second model, by name and hash: the document's own place is the base's. */
static limn_status describe_other(const Diff *diff) {
    char hash[65];
    if (diff->adapted) {
        return LIMN_OK;
    }
    /* the cache lends it; its hash is computed now */
    TRY(model_hash((Model *)(uintptr_t)diff->after, diff->call->team, false, hash));
    result_param_text(diff->result, "other-name", diff->after->name);
    result_param_text(diff->result, "other-hash", hash);
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
     .help = "the tuned model; without it, the model with the adapters that --adapter names",
     .field = offsetof(DiffParams, other)},
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
                    "Compares a model with itself under adapters, or with a second model of the same shape: which "
                    "layers, heads and MLPs changed by norm, over how many directions, and, with texts, how much each "
                    "component's change moves the target's log-probability when it alone is taken out of the tuned "
                    "model or put into the base. Two passes for each component and text.",
                .examples = "limn diff MODEL --adapter DIR -p 'Is this a bank run? Answer:' --target ' yes'\n"
                            "limn diff base/ tuned/ --data tweets.jsonl --prompt-field text --limit 20 -o diff.html",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Difference of two models",
    .params_bytes = sizeof(DiffParams),
    .run = run,
    .explains = true,
};
