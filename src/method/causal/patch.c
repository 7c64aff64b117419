/* Activation patching: where does the difference between two prompts live?
 *
 *     effect(l, t) = m(run of the corrupt prompt with the site's value at layer l, position t taken from the clean run)
 *                    - m(corrupt run)
 *     normalised   = (m(patched) - m(corrupt)) / (m(clean) - m(corrupt))
 *
 * m: difference of logits, (log-)probability, logit, or KL from the clean run (measure: outcome.h). Vig et al. 2020
 * (2004.12265), Meng et al. 2022 (2202.05262), Heimersheim and Nanda 2024 (2404.15255). --reverse patches corrupt
 * values into the clean run ("noising") and takes m(clean) off instead. A window patches several layers at once.
 *
 * Invariants: each cell is what a full pass with that edit gives (a sweep, run/sweep.h; some cells are run again in
 * full and compared: check "plain pass"); where a causal model's prompts have not yet differed, effects are exactly 0;
 * every position patched before the first layer is the other run (check "ends").
 *
 * How it fails: docs/causal.md. Corrupt words that are no fair alternative move the answer by themselves; clean into
 * corrupt finds what suffices, the reverse what is needed, and backups make these differ; effects do not add up. */
#include "method/causal/patch.h"

#include <math.h>
#include <stdio.h>

#include "call/estimate.h"
#include "measure/distribution.h"
#include "measure/target_score.h"

static limn_status choose_unit(Patch *patch) {
    const RowShape *shape = &patch->model->graph.nodes[patch->nodes[0]].op.out;
    patch->by =
        patch->params->by >= 0 ? (PatchBy)patch->params->by : (patch->site->heads ? PATCH_BY_HEAD : PATCH_BY_POSITION);
    if (patch->by == PATCH_BY_HEAD && shape->n_dims != 2) {
        return fail(LIMN_USAGE, "patch: option 'by': %s has no heads; expected one of q, k, v, z for --by head",
                    patch->site->name);
    }
    patch->head_width = shape->n_dims == 2 ? shape->dims[1] : 0;
    patch->n_columns = (int32_t)shape->dims[0]; /* by position: once there is a prompt */
    return LIMN_OK;
}

static limn_status read_question(Patch *patch) {
    MethodCall *call = patch->call;
    const PatchParams *params = patch->params;
    TRY(values_file_open(&patch->values, call, &params->values));
    TRY(causal_site_find(&patch->site, "site", params->site.bytes));
    TRY(method_engine(call, params->model.bytes, &patch->engine));
    patch->model = engine_model(patch->engine);
    if (patch->model->config.task == TASK_ENCODER) {
        return fail(LIMN_UNSUPPORTED, "%s has no head: there is no answer to measure", patch->model->path);
    }
    patch->n_layers = patch->model->config.n_layers;
    TRY(layer_window_check("patch", params->window, patch->model));
    TRY(causal_site_nodes(&patch->nodes, call, patch->model, patch->site));
    TRY(choose_unit(patch));
    TRY(prompt_read(&patch->pair.clean.prompt, call, patch->model, &params->pair.prompt));
    TRY(pair_read_corrupt(&patch->pair.corrupt.prompt, call, patch->model, &params->pair));
    prompt_describe(patch->result, call, patch->model, &patch->pair.clean.prompt);
    TRY(target_resolve(&patch->target, &patch->contrast, call, patch->engine, &patch->pair.clean.prompt,
                       &params->target, NULL, patch->result));
    TRY(outcome_choose(&patch->outcome, call, patch->model, &patch->target, &patch->contrast, params->metric));
    TRY(pair_join(&patch->pair, call, &patch->target));
    patch->base_side = params->reverse ? &patch->pair.clean : &patch->pair.corrupt;
    patch->n_columns = patch->by == PATCH_BY_HEAD ? patch->n_columns : patch->base_side->sequence.n;
    pair_warn(patch->result, call, &patch->pair);
    target_warn_unlikely(patch->result, call, patch->model, &patch->target, &patch->contrast);
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    Patch patch = {.call = call, .params = call->params, .result = result};
    limn_status status = read_question(&patch);
    if (status == LIMN_OK) {
        status = patch_prepare(&patch);
    }
    if (status == LIMN_OK) {
        status = patch.params->estimate ? patch_estimate(&patch) : patch_run(&patch);
    }
    if (status == LIMN_OK && !patch.params->estimate) {
        status = patch_report(&patch);
    }
    clean_run_free(patch.clean);
    clean_run_free(patch.corrupt);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(PatchParams, model),
    PROMPT_ROWS(PatchParams, pair.prompt),
    CORRUPT_ROWS(PatchParams, pair),
    TARGET_ROWS(PatchParams, target),
    OUTCOME_CONTRAST_ROW(PatchParams, target.contrast),
    {"site", 0, LIMN_PARAM_TEXT, .metavar = "SITE", .default_text = "resid_pre",
     .help = "what is patched: resid_pre, resid_mid, resid_post, attn_out, mlp_out, mlp_post, q, k, v, z",
     .field = offsetof(PatchParams, site)},
    {"by", 0, LIMN_PARAM_CHOICE, .metavar = "UNIT", .choices = "position|head",
     .help = "one position at a time, or one head at all positions (the default of q, k, v and z)",
     .field = offsetof(PatchParams, by)},
    OUTCOME_METRIC_ROW(PatchParams, metric),
    PARAM_ROW("reverse", 0, LIMN_PARAM_FLAG, NULL, "patch corrupt values into the clean run (noising)",
              offsetof(PatchParams, reverse)),
    {"window", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "1", .minimum = 1, .maximum = 1e6,
     .help = "patch N layers at once, around each", .field = offsetof(PatchParams, window)},
    {"top", 0, LIMN_PARAM_INTEGER, .metavar = "K", .default_text = "10", .minimum = 1, .maximum = 1e4,
     .help = "how many of the strongest cells are listed", .field = offsetof(PatchParams, top)},
    VALUES_ROW(PatchParams, values),
    ESTIMATE_ROW(PatchParams, estimate),
};

const Method method_patch = {
    .command = {.name = "patch",
                .summary = "where two prompts differ inside: activation patching",
                .description =
                    "Runs a clean and a corrupt prompt, puts the clean run's value into the corrupt run at one layer "
                    "and position (or head) after another, and says how much of the clean answer comes back. Each cell "
                    "is what a full pass would give, at the cost of the rows and layers it changes.",
                .examples = "limn patch MODEL -p 'The capital of France is' --corrupt 'The capital of Italy is'\n"
                            "limn patch MODEL -p 'The capital of France is' --corrupt 'The capital of Italy is' "
                            "--site z -o heads.html\n"
                            "limn patch MODEL -p 'Mary gave John' --corrupt 'John gave Mary' --site mlp_out --window 5 "
                            "--metric prob",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Activation patching",
    .params_bytes = sizeof(PatchParams),
    .run = run,
    .explains = true,
    .about = {.answers = "Which layer, position or head carries what makes two prompts answer differently?",
              .formula =
                  "effect(l, t) = m(corrupt run with the clean run's value at layer l, position t) - m(corrupt run)",
              .paper = "Vig et al. 2020 (2004.12265), Meng et al. 2022 (2202.05262), Heimersheim and Nanda 2024 "
                       "(2404.15255)",
              .cost = "2 passes, then for each cell the rows from its position on in the layers above it",
              .lies =
                  "Finds only what the two prompts do not have in common. Clean into corrupt finds what suffices, "
                  "--reverse what is needed; with backups these differ. Effects do not add up, and a patched run is "
                  "a mixture that no prompt gives."},
};
