/* Causal mediation: through which part of the model do the key words reach the answer?
 *
 *     P0  the prompt as it is
 *     P1  the key words spoilt: noise on their embeddings, or other words in their place (a corrupt prompt)
 *     P2  the same with one part restored to its value in P0's run
 *     TE = P0 - P1     IE = P2 - P1     DE = P0 - P2     TE = IE + DE
 *
 * P: the answer's probability (or another figure of it: outcome.h). Vig et al. 2020 (2004.12265); Meng et al. 2022
 * (2202.05262: noise of 3 standard deviations, windows of layers around each). Noise is 3 standard deviations of the
 * embedding table's entries by default, drawn by --seed. Parts: a layer's MLP, attention or stream, windows of layers,
 * all layers from one on, positions, heads, neurons.
 *
 * Invariants: every P2 is what a full pass gives (a sweep; some are run again in full: check "plain pass"); everything
 * restored before the first layer is P0 (check "ends"); a part is named only where the paired bootstrap interval of its
 * IE less each other's is above 0, all of them together at 95%; else the range that holds those not told apart.
 *
 * How it fails: docs/causal.md. Noise leaves what no prompt gives; restoring finds what suffices, not what is needed;
 * IE of parts do not add up; a window says no more than its width. */
#include "method/causal/mediate.h"

#include <math.h>
#include <stdlib.h>

#include "call/estimate.h"
#include "measure/target_score.h"

static limn_status open_model(Mediate *mediate) {
    MethodCall *call = mediate->call;
    const MediateParams *params = mediate->params;
    TRY(mediate_check_options(mediate));
    TRY(values_file_open(&mediate->values, call, &params->values));
    TRY(method_engine(call, params->model.bytes, &mediate->engine));
    mediate->model = engine_model(mediate->engine);
    if (mediate->model->config.task == TASK_ENCODER) {
        return fail(LIMN_UNSUPPORTED, "%s has no head: there is no answer to measure", mediate->model->path);
    }
    TRY(layer_window_check("mediate", params->window, mediate->model));
    mediate->layer_end = mediate->model->config.n_layers;
    if (params->layers.bytes != NULL) {
        TRY(mediate_parse_span(&mediate->layer_begin, &mediate->layer_end, "layers", params->layers.bytes,
                               mediate->model->config.n_layers));
    }
    mediate->by = (MediateBy)params->by;
    mediate->outcome.metric = params->metric == 0   ? OUTCOME_PROB
                              : params->metric == 1 ? OUTCOME_LOG_PROB
                              : params->metric == 2 ? OUTCOME_LOGIT
                                                    : OUTCOME_LOGIT_DIFF;
    if (mediate->outcome.metric == OUTCOME_LOGIT_DIFF && params->target.contrast.bytes == NULL) {
        return fail(LIMN_USAGE, "mediate: --metric logit-diff needs --contrast");
    }
    mediate->plain_error = mediate->ends_error = (double)NAN;
    return LIMN_OK;
}

static limn_status run_one(Mediate *mediate) {
    MethodCall *call = mediate->call;
    const MediateParams *params = mediate->params;
    MediatePair *one = &mediate->one;
    TRY(mediate_read_pair(mediate, one, call, &params->pair, &params->target, params->subject, 0, mediate->result));
    TRY(mediate_choose_sites(mediate));
    TRY(mediate_make_cells(mediate));
    if (params->estimate) {
        TransplantCost cost = {0};
        TRY(mediate_cost(&cost, mediate, one, call));
        return transplant_show_cost(mediate->result, call, mediate->model, &cost, one->samples);
    }
    return mediate_run_pair(mediate, one, call);
}

static limn_status run(MethodCall *call, Result *result) {
    Mediate mediate = {.call = call, .params = call->params, .result = result};
    limn_status status = open_model(&mediate);
    if (status == LIMN_OK) {
        status = !mediate_has_data(mediate.params) ? run_one(&mediate)
                 : mediate.params->estimate        ? mediate_estimate_data(&mediate)
                                                   : mediate_run_data(&mediate);
    }
    if (status == LIMN_OK && !mediate.params->estimate) {
        status = mediate_report(&mediate);
    }
    mediate_free_directions(&mediate);
    free(mediate.figures.p0);
    free(mediate.figures.p1);
    free(mediate.figures.p2);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(MediateParams, model),
    PROMPT_ROWS(MediateParams, pair.prompt),
    PARAM_ROW("subject", 0, LIMN_PARAM_TEXT, "WORDS",
              "the key words of the prompt that are noised, wherever they stand", offsetof(MediateParams, subject)),
    PARAM_ROW("subject-span", 0, LIMN_PARAM_TEXT, "A:B", "the same as tokens A up to but without B of the prompt",
              offsetof(MediateParams, subject_span)),
    {"noise", 0, LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "3", .minimum = 0, .maximum = 1e6,
     .help = "noise in standard deviations of the embedding table's entries", .field = offsetof(MediateParams, noise)},
    {"samples", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "10", .minimum = 1, .maximum = 10000,
     .help = "how many draws of noise", .field = offsetof(MediateParams, samples)},
    PARAM_ROW("noise-values", 0, LIMN_PARAM_FILE, "FILE.safetensors",
              "noise from a file instead: tensor `noise` [samples, key tokens, D]",
              offsetof(MediateParams, noise_values)),
    CORRUPT_ROWS(MediateParams, pair),
    TARGET_ROWS(MediateParams, target),
    PARAM_ROW("contrast", 0, LIMN_PARAM_TEXT, "TEXT", "with --metric logit-diff: the answer it is measured against",
              offsetof(MediateParams, target.contrast)),
    DATA_OPTION_ROW(MediateParams, data),
    DATA_PROMPT_ROWS(MediateParams, data),
    PARAM_ROW("label-field", 0, LIMN_PARAM_TEXT, "FIELD",
              "of a data set: the field with the answer, as it follows the prompt",
              offsetof(MediateParams, data.label_field)),
    {"limit", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 1, .maximum = 9e15, .help = "stop after N records",
     .field = offsetof(MediateParams, data.limit)},
    {"sample", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 1, .maximum = 1e9,
     .help = "N records drawn at random by --seed, in the order of the file",
     .field = offsetof(MediateParams, data.sample)},
    PARAM_ROW("subject-field", 0, LIMN_PARAM_TEXT, "FIELD", "of a data set: the field with the key words",
              offsetof(MediateParams, data.words_field)),
    PARAM_ROW("corrupt-field", 0, LIMN_PARAM_TEXT, "FIELD", "of a data set: the field that is the corrupt prompt",
              offsetof(MediateParams, data.other_field)),
    PARAM_ROW("corrupt-template", 0, LIMN_PARAM_TEXT, "TEXT", "the corrupt prompt made of fields, as --template",
              offsetof(MediateParams, data.other_template)),
    {"site", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "SITE",
     .help = "what is restored: mlp_out, attn_out, resid_post (all three when none is named), resid_pre, resid_mid, "
             "mlp_post, q, k, v, z",
     .field = offsetof(MediateParams, sites)},
    {"by", 0, LIMN_PARAM_CHOICE, .metavar = "UNIT", .default_text = "layer", .choices = "layer|position|head|neuron",
     .help = "one layer, or one position, head or neuron of a layer at a time", .field = offsetof(MediateParams, by)},
    PARAM_ROW("positions", 0, LIMN_PARAM_TEXT, "WHICH",
              "where it is restored: all, keys, last-key, last or A:B; without it all, of the stream last-key",
              offsetof(MediateParams, positions)),
    {"window", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "1", .minimum = 1, .maximum = 1e6,
     .help = "restore N layers at once, around each", .field = offsetof(MediateParams, window)},
    PARAM_ROW("onward", 0, LIMN_PARAM_FLAG, NULL, "restore every layer from one on", offsetof(MediateParams, onward)),
    PARAM_ROW("layers", 0, LIMN_PARAM_TEXT, "A:B", "only layers A up to but without B",
              offsetof(MediateParams, layers)),
    {"metric", 0, LIMN_PARAM_CHOICE, .metavar = "P", .default_text = "prob", .choices = "prob|logprob|logit|logit-diff",
     .help = "what P is of the answer", .field = offsetof(MediateParams, metric)},
    PARAM_ROW("tokens", 0, LIMN_PARAM_IDS, "N,N,...", "probabilities of these tokens as well",
              offsetof(MediateParams, tokens)),
    {"top-k", 0, LIMN_PARAM_INTEGER, .metavar = "K", .default_text = "5", .minimum = 0, .maximum = 20,
     .help = "... and of the K likeliest of the prompt as it is", .field = offsetof(MediateParams, top_k)},
    {"top", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "20", .minimum = 1, .maximum = 1e4,
     .help = "how many positions, heads or neurons are listed", .field = offsetof(MediateParams, top)},
    PARAM_ROW("values", 0, LIMN_PARAM_OUTPUT, "FILE.safetensors",
              "keep as tensors noise, p0, p1 and p2 of every unit, and what the key words write at each site and layer "
              "(directions that surgery can erase)",
              offsetof(MediateParams, values)),
    ESTIMATE_ROW(MediateParams, estimate),
};

const Method method_mediate = {
    .command = {.name = "mediate",
                .summary = "through which layer key words reach the answer",
                .description =
                    "Spoils the key words of a prompt (noise on their embeddings, or other words in their place) and "
                    "restores one part of the model after another to what it was: P0 is the prompt as it is, P1 the "
                    "spoilt one, P2 with the part restored. IE = P2 - P1, DE = P0 - P2, TE = P0 - P1 = IE + DE. A part "
                    "is named only when its effect is clear of the others'.",
                .examples = "limn mediate MODEL -p 'The capital of France is' --subject France\n"
                            "limn mediate MODEL -p 'The capital of France is' --subject France --by position\n"
                            "limn mediate MODEL -p 'The capital of France is' --corrupt 'The capital of Italy is' "
                            "--site mlp_out --onward\n"
                            "limn mediate MODEL --data facts.jsonl --prompt-field prompt --subject-field subject "
                            "--label-field answer --by head",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Causal mediation",
    .params_bytes = sizeof(MediateParams),
    .run = run,
    .about = {.answers = "Through which layer, position, head or neuron do the key words reach the answer?",
              .formula = "TE = P0 - P1, IE = P2 - P1, DE = P0 - P2 (as it is, spoilt, spoilt with one part restored)",
              .paper = "Vig et al. 2020 (2004.12265), Meng et al. 2022 (2202.05262)",
              .cost = "for each draw of noise (or record) one pass, then for each part the rows and layers it changes",
              .lies = "Noise leaves what no prompt gives, and what it breaks besides the words counts as theirs. "
                      "Restoring finds what suffices, not what is needed. Effects do not add up; a window says no more "
                      "than its width."},
    .explains = true,
};
