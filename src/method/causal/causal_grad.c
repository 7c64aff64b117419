/* The causal gradient (attribution patching): what a change of each site would do, estimated for all of them by one
 * gradient.
 *
 *     estimate(site) = (value in the source - value in the base) . dm/d site at the base
 *
 * for the stream before each layer and the MLP's output (by position), heads' results, queries, keys and values, and
 * neurons (all positions together). The base is the corrupt prompt and the source the clean one, as in `limn patch`, or
 * the other way round (--reverse); or the prompt itself against zero or its own mean. m as in `limn patch`.
 *
 *     atp         Nanda 2023, Attribution patching; Kramar et al. 2024 (2403.00745)
 *     --steps N   the gradient's mean over N midpoints of the way from the base's embeddings to the source's: EAP-IG,
 *                 Hanna et al. 2024 (2403.17806)
 *     --rules     relp: RelP, Jafari et al. 2025 (2508.21258), whose backward pass misleads less
 *     atp-star    AtP*, 2403.00745: the softmax taken exactly for queries and keys, and GradDrop: one backward pass for
 *                 each layer without what it writes, the mean of sizes; sizes have no sign and are compared with
 *                 |true effect|
 *
 * Invariants: as plain PyTorch has it (tests/oracle/causal); with enough steps the first layer's estimates add up to
 * the whole difference (check "sum"); what of it is true is asked by changing the strongest sites and seeded others in
 * earnest (check "patching ...", table "patched", the worst first).
 *
 * How it fails: a gradient sees a nudge, a patch is none: where a softmax is saturated or a norm's scale turns, the
 * estimate is far off, worst for whole streams and early layers; effects of opposite sign on two ways cancel (GradDrop
 * is for that). A site that looks idle by its gradient may matter: that is what the seeded sites are for. */
#include "method/causal/causal_grad.h"

#include <math.h>

#include "ask/values_file.h"
#include "measure/target_score.h"

static limn_status check_options(CausalGrad *work) {
    const CausalGradParams *params = work->params;
    bool corrupt = pair_has_corrupt(&params->pair);
    work->against = params->against >= 0 ? (CausalAgainst)params->against : AGAINST_CORRUPT;
    if ((work->against == AGAINST_CORRUPT) != corrupt) {
        return fail(LIMN_USAGE,
                    corrupt ? "causal-grad: found --corrupt and --against %s; expected one of them"
                            : "causal-grad: there is nothing to set the prompt against; expected --corrupt "
                              "TEXT, or --against zero or mean",
                    work->against == AGAINST_MEAN ? "mean" : "zero");
    }
    if (params->reverse && !corrupt) {
        return fail(LIMN_USAGE,
                    "causal-grad: option 'reverse' exchanges two prompts; expected --corrupt TEXT beside it");
    }
    if (params->kind == CAUSAL_ATP_STAR && (params->steps > 0 || params->rules != RULES_TRUE)) {
        return fail(LIMN_USAGE,
                    "causal-grad: option '%s': atp-star takes the true derivative at one point; expected --kind atp",
                    params->steps > 0 ? "steps" : "rules");
    }
    return LIMN_OK;
}

/* Against zero or mean there is one prompt, which is the base. */
static limn_status join_prompts(CausalGrad *work) {
    MethodCall *call = work->call;
    Pair *pair = &work->pair;
    if (work->against == AGAINST_CORRUPT) {
        TRY(pair_read_corrupt(&pair->corrupt.prompt, call, work->model, &work->params->pair));
        TRY(pair_join(pair, call, &work->target));
        pair_warn(work->result, call, pair);
        work->base = work->params->reverse ? &pair->clean : &pair->corrupt;
        work->source = work->params->reverse ? &pair->corrupt : &pair->clean;
        work->alignment = work->params->reverse ? alignment_turned(&pair->alignment) : pair->alignment;
        return work->params->steps > 0 && work->base->sequence.n != work->source->sequence.n
                   ? fail(
                         LIMN_USAGE,
                         "causal-grad: option 'steps': the prompts have %d and %d tokens, and there is no way from one "
                         "to the other; expected equal numbers",
                         (int)pair->clean.sequence.n, (int)pair->corrupt.sequence.n)
                   : LIMN_OK;
    }
    pair->clean.sequence = target_sequence(&work->target);
    pair->clean.n_outputs = work->target.n;
    pair->clean.outputs = ARENA_ARRAY(call->arena, OutputRow, work->target.n + 1);
    if (pair->clean.outputs == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < work->target.n; i++) {
        pair->clean.outputs[i] =
            (OutputRow){.row = work->target.rows[i], .target = work->target.ids[i], .weight = 1.0F};
    }
    work->base = &pair->clean;
    return LIMN_OK;
}

static limn_status read_question(CausalGrad *work) {
    MethodCall *call = work->call;
    const CausalGradParams *params = work->params;
    TRY(check_options(work));
    Engine *engine;
    TRY(method_engine(call, params->model.bytes, &engine));
    work->engine = engine;
    work->model = engine_model(engine);
    if (work->model->config.task == TASK_ENCODER) {
        return fail(LIMN_UNSUPPORTED, "%s has no head: there is no answer to measure", work->model->path);
    }
    TRY(prompt_read(&work->pair.clean.prompt, call, work->model, &params->pair.prompt));
    prompt_describe(work->result, call, work->model, &work->pair.clean.prompt);
    TRY(target_resolve(&work->target, &work->contrast, call, engine, &work->pair.clean.prompt, &params->target, NULL,
                       work->result));
    TRY(outcome_choose(&work->outcome, call, work->model, &work->target, &work->contrast, params->metric));
    TRY(join_prompts(work));
    target_warn_unlikely(work->result, call, work->model, &work->target, &work->contrast);
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    CausalGrad work = {.call = call, .params = call->params, .result = result};
    PatchedSites patched = {0};
    ValuesFile asked;
    TRY(values_file_open(&asked, call, &work.params->values));
    TRY(read_question(&work));
    limn_status status = causal_grad_prepare(&work);
    status = status == LIMN_OK ? causal_grad_estimate(&work) : status;
    status = status == LIMN_OK && work.params->check > 0 ? causal_grad_patch(&patched, &work) : status;
    status = status == LIMN_OK ? causal_grad_report(&work, &patched) : status;
    causal_grad_free(&work);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(CausalGradParams, model),
    PROMPT_ROWS(CausalGradParams, pair.prompt),
    CORRUPT_ROWS(CausalGradParams, pair),
    TARGET_ROWS(CausalGradParams, target),
    OUTCOME_CONTRAST_ROW(CausalGradParams, target.contrast),
    {"kind", 0, LIMN_PARAM_CHOICE, .metavar = "K", .default_text = "atp", .choices = "atp|atp-star",
     .help = "attribution patching, or AtP*: exact softmax for queries and keys, one pass for each layer",
     .field = offsetof(CausalGradParams, kind)},
    {"against", 0, LIMN_PARAM_CHOICE, .metavar = "WHAT", .choices = "corrupt|zero|mean",
     .help = "what takes a site's value: the other prompt's (with --corrupt), zero, or the mean over the prompt",
     .field = offsetof(CausalGradParams, against)},
    OUTCOME_METRIC_ROW(CausalGradParams, metric),
    {"rules", 0, LIMN_PARAM_CHOICE, .metavar = "R", .default_text = "true", .choices = "true|frozen|lrp|relp",
     .help = "which derivative: relp often misleads less", .field = offsetof(CausalGradParams, rules)},
    {"steps", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "0", .minimum = 0, .maximum = 10000,
     .help = "take the gradient's mean over N points between the two prompts' embeddings",
     .field = offsetof(CausalGradParams, steps)},
    PARAM_ROW("reverse", 0, LIMN_PARAM_FLAG, NULL, "change the clean run by the corrupt one's values",
              offsetof(CausalGradParams, reverse)),
    {"top", 0, LIMN_PARAM_INTEGER, .metavar = "K", .default_text = "10", .minimum = 1, .maximum = 1e4,
     .help = "how many of the strongest sites are listed", .field = offsetof(CausalGradParams, top)},
    {"check", 0, LIMN_PARAM_CHOICE, .metavar = "C", .default_text = "full", .choices = "none|quick|full",
     .help = "change the strongest sites and some others in earnest and compare; quick: fewer",
     .field = offsetof(CausalGradParams, check)},
    VALUES_ROW(CausalGradParams, values),
};

const Method method_causal_grad = {
    .command = {.name = "causal-grad",
                .summary = "where it happens: layer, head and neuron by one gradient",
                .description =
                    "Estimates what a change of each layer's stream, head, MLP and neuron would do to the answer, from "
                    "two runs and one gradient: attribution patching. The strongest sites and some others are then "
                    "changed in earnest, so that you see how far the estimate can be believed here, and where it is "
                    "most wrong.",
                .examples = "limn causal-grad MODEL -p 'The capital of France is' --corrupt 'The capital of Italy is'\n"
                            "limn causal-grad MODEL -p 'The capital of France is' --corrupt 'The capital of Italy is' "
                            "--rules relp -o where.html\n"
                            "limn causal-grad MODEL -p 'The capital of France is' --against zero --kind atp-star\n"
                            "limn causal-grad MODEL -p 'Mary gave John' --corrupt 'John gave Mary' --steps 10 --json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Causal gradient",
    .params_bytes = sizeof(CausalGradParams),
    .run = run,
    .explains = true,
    .about =
        {.answers = "Which layers, positions, heads and neurons would change the answer if they were as in the other "
                    "prompt? All of them at once, estimated.",
         .formula = "estimate(site) = (value in the source - value in the base) . dm/d site\n"
                    "--steps: the gradient's mean on the way; atp-star: exact softmax, mean of |estimate| over "
                    "passes without one layer",
         .paper = "Nanda 2023, Attribution patching; AtP*: Kramar et al. 2024 (2403.00745); EAP-IG: Hanna et al. "
                  "2024 (2403.17806); --rules relp: Jafari et al. 2025 (2508.21258)",
         .cost = "2 forward passes and 1 with its backward (`--steps`: as many; atp-star: one for each layer); the "
                 "check some 200 changed runs",
         .lies = "A patch is no nudge: where a softmax is saturated or a norm's scale turns, the estimate is far "
                 "off, worst for whole streams. Effects that cancel on two ways look like none (atp-star). Its own "
                 "check says how far it is right here.",
         .measured =
             "on SmolLM2's indirect-object prompt six of the ten strongest heads by `--against zero` are among the ten "
             "of "
             "`limn ablate` (correlation over all 270 heads .83; by relp three); \"The capital of France\" "
             "against Italy: correlation with true patching .92 to .999 by kind, queries .92, keys .88 (atp-star .99, "
             ".98)"},
};
