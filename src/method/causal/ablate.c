/* Ablation: what is lost when a unit is taken out?
 *
 *     effect(u) = m(run with u's value replaced) - m(run)
 *
 * u is an attention head (its z), what attention or the MLP of a layer writes, both, a neuron, or a layer at one
 * position; in its place stand zeros, the mean over rows of other prompts, another prompt's values (mean over draws),
 * or, of a head, a pattern that looks at all it may equally, its values kept. m: outcome.h. Michel et al. 2019
 * (1905.10650), Wang et al. 2022 (2211.00593), Chan et al. 2022 (causal scrubbing: resampling). Beside each effect
 * stands what one backward pass makes of it, gradient times change, summed: attribution patching (Nanda 2023). Pairs
 * say what two units do beyond the sum of both, curves what is left when more and more are taken out.
 *
 * Invariants (checked): some units once more in passes that share nothing; tests/oracle/attention/make_ablate.py has
 * the same from hooks on Hugging Face models.
 *
 * How it fails: zero is a value like others, and mostly a rare one: a unit that only keeps the stream at its usual
 * length looks important (--with mean). A unit with a backup looks unimportant (--pairs). Neurons are measured where
 * one backward pass calls them strong, and there alone. Effects do not add up. */
#include "method/causal/ablate.h"

#include <math.h>

#include "call/estimate.h"
#include "measure/target_score.h"

/* ---- records ---- */

typedef limn_status (*Measure)(AblateRecord *record);

static limn_status measure_prompt(Ablate *ablate, const MethodCall *call, const Prompt *prompt,
                                  const TargetParams *target, Measure measure) {
    AblateRecord record;
    limn_status status = ablate_open_record(&record, ablate, call, prompt, target);
    if (status == LIMN_OK) {
        if (ablate->n_records == 0) {
            ablate->outcome = record.outcome;
        }
        status = measure(&record);
    }
    if (ablate->params->data.file.bytes == NULL) { /* lives in the call's arena */
        ablate->target = record.target;
        ablate->contrast = record.contrast;
    }
    ablate_close_record(&record);
    return status;
}

static limn_status measure_item(Ablate *ablate, const MethodCall *call, const DataItem *item, bool complete,
                                Measure measure) {
    Prompt prompt;
    TargetParams target = ablate->params->target;
    const PromptParams params = {.prompt = item->prompt, .complete = complete};
    bool named = target.target.bytes != NULL || target.target_id != PARAM_NO_INTEGER || target.class_name.bytes != NULL;
    if (!named && item->label.bytes != NULL) {
        bool classifier = ablate->model->config.task == TASK_CLASSIFIER;
        *(classifier ? &target.class_name : &target.target) = item->label;
    }
    TRY(prompt_read(&prompt, (MethodCall *)(uintptr_t)call, ablate->model, &params));
    return measure_prompt(ablate, call, &prompt, &target, measure);
}

static limn_status measure_records(Ablate *ablate, DataSource *source, Measure measure, bool finish) {
    bool complete = data_source_encode_options(source, ablate->call).no_special;
    TRY(data_source_use_model(source, ablate->call, ablate->model));
    for (int32_t n = 0;; n++) {
        DataItem item;
        bool there;
        Arena arena;
        arena_init(&arena);
        MethodCall call = method_call_in(ablate->call, &arena);
        limn_status status = data_source_next(source, &item, &arena, &there);
        bool over = status == LIMN_OK && !there;
        if (status == LIMN_OK && there) {
            status = measure_item(ablate, &call, &item, complete, measure);
            status = status == LIMN_OK ? status
                                       : fail_context("%s: line %lld", data_source_path(source), (long long)item.line);
        }
        if (status != LIMN_OK && there && data_source_skips(source) && status_is_of_input(status)) {
            status = data_source_skip(source, &item, error_message());
        }
        arena_free(&arena);
        TRY(status);
        if (over) {
            break;
        }
        TRY(progress_tick(ablate->call->progress, "records", n + 1, ablate->params->data.limit));
    }
    TRY(finish ? data_source_finish(source, ablate->result) : LIMN_OK);
    return ablate->n_records > 0
               ? LIMN_OK
               : fail(LIMN_NOT_FOUND, "%s: no record to measure effects on", data_source_path(source));
}

/* The prompt, or each record of the data set. */
static limn_status measure_all(Ablate *ablate, Measure measure, bool finish) {
    DataParams params = ablate->params->data;
    if (params.file.bytes == NULL) {
        return measure_prompt(ablate, ablate->call, &ablate->prompt, &ablate->params->target, measure);
    }
    params.chat = ablate->params->prompt.chat;
    if (params.prompt_field.bytes == NULL && params.template_text.bytes == NULL &&
        params.messages_field.bytes == NULL) {
        params.prompt_field = text_of("text");
    }
    DataSource *source;
    TRY(data_source_open(&source, ablate->call, &params));
    limn_status status = measure_records(ablate, source, measure, finish);
    data_source_close(source);
    return status;
}

/* ---- all together ---- */

static bool names_prompt(const PromptParams *params) {
    return params->prompt.bytes != NULL || params->ids.ids != NULL || params->file.bytes != NULL ||
           params->chat.chat.bytes != NULL || params->chat.messages.bytes != NULL;
}

static limn_status check_options(const Ablate *ablate) {
    const AblateParams *params = ablate->params;
    bool data = params->data.file.bytes != NULL;
    if (data && names_prompt(&params->prompt)) {
        return fail(LIMN_USAGE, "ablate: found both a prompt and --data, expected one of them");
    }
    if (data && params->estimate) {
        return fail(LIMN_USAGE, "ablate: --estimate goes with one prompt");
    }
    if (data && (ablate->what == ABLATE_NEURON || ablate->what == ABLATE_POSITION)) {
        return fail(LIMN_USAGE, "ablate: --what %s is about one prompt, not about --data",
                    ablate->what == ABLATE_NEURON ? "neuron" : "position");
    }
    return LIMN_OK;
}

static limn_status open_model(Ablate *ablate) {
    const AblateParams *params = ablate->params;
    TRY(method_engine(ablate->call, params->model.bytes, &ablate->engine));
    ablate->model = engine_model(ablate->engine);
    if (ablate->model->config.task == TASK_ENCODER) {
        return fail(LIMN_USAGE, "%s (%s) is a bare encoder: there is no answer to measure", ablate->model->path,
                    ablate->model->config.architecture);
    }
    if (params->data.file.bytes == NULL) {
        TRY(prompt_read(&ablate->prompt, ablate->call, ablate->model, &params->prompt));
        prompt_describe(ablate->result, ablate->call, ablate->model, &ablate->prompt);
    }
    TRY(ablate_units(ablate));
    int64_t cells = (int64_t)ablate->n_layers * ablate->n_columns;
    ablate->effects = ARENA_ARRAY(ablate->call->arena, double, cells + 1);
    ablate->squares = ARENA_ARRAY(ablate->call->arena, double, cells + 1);
    ablate->estimates = ARENA_ARRAY(ablate->call->arena, double, cells + 1);
    return ablate->effects != NULL && ablate->squares != NULL && ablate->estimates != NULL
               ? LIMN_OK
               : method_no_memory(ablate->call);
}

static limn_status run(MethodCall *call, Result *result) {
    const AblateParams *params = call->params;
    Ablate ablate = {.call = call,
                     .params = params,
                     .result = result,
                     .what = (AblateWhat)params->what,
                     .with = (AblateWith)params->with,
                     .plain_error = (double)NAN};
    ValuesFile values;
    TRY(values_file_open(&values, call, &params->values));
    TRY(check_options(&ablate));
    TRY(open_model(&ablate));
    TRY(ablate_reference(&ablate));
    if (params->estimate) {
        TRY(measure_all(&ablate, ablate_cost, false));
        return result_status(result);
    }
    TRY(measure_all(&ablate, ablate_singles, true));
    TRY(ablate_rank(&ablate));
    if (ablate.n_paired > 1 || ablate.n_curve > 0) {
        ablate.n_records = 0; /* each record has its number, and so its draws, once more */
        TRY(measure_all(&ablate, ablate_joint, false));
    }
    TRY(ablate_report(&ablate, &values));
    TRY(values_file_write(&values, ablate.model));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(AblateParams, model),
    PROMPT_ROWS(AblateParams, prompt),
    PROMPT_PAIR_ROWS(AblateParams, prompt),
    TARGET_ROWS(AblateParams, target),
    PARAM_ROW("contrast", 0, LIMN_PARAM_TEXT, "TEXT", "measure the target against this answer",
              offsetof(AblateParams, target.contrast)),
    {"what", 0, LIMN_PARAM_CHOICE, .metavar = "UNIT", .default_text = "head",
     .choices = "head|attn|mlp|layer|neuron|position",
     .help = "what is taken out: a head, what attention or the MLP of a layer writes, both, a neuron, a layer at one "
             "position",
     .field = offsetof(AblateParams, what)},
    {"with", 0, LIMN_PARAM_CHOICE, .metavar = "WHAT", .default_text = "zero", .choices = "zero|mean|resample|pattern",
     .help = "what takes its place: zeros, a mean over rows, values of other prompts, a pattern that looks everywhere "
             "equally",
     .field = offsetof(AblateParams, with)},
    {"metric", 0, LIMN_PARAM_CHOICE, .metavar = "M", .choices = OUTCOME_CHOICES,
     .help = "what is measured of the answer; without one logprob, of a class logit, with --contrast logit-diff",
     .field = offsetof(AblateParams, metric)},
    {"head", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "LAYER.HEAD,...",
     .help = "only these heads (5.3, 5.*, *.3)", .field = offsetof(AblateParams, head)},
    PARAM_ROW("layers", 0, LIMN_PARAM_TEXT, "A:B", "only layers A up to but without B", offsetof(AblateParams, layers)),
    {"pairs", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 2, .maximum = 200,
     .help = "also take out two at a time of the N with the largest effects", .field = offsetof(AblateParams, pairs)},
    {"curve", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 1, .maximum = 1000,
     .help = "also take out more and more, up to N, those that are missed most first",
     .field = offsetof(AblateParams, curve)},
    {"top", 0, LIMN_PARAM_INTEGER, .metavar = "K", .default_text = "10", .minimum = 1, .maximum = 10000,
     .help = "how many of the strongest are listed; of neurons, how many are taken out",
     .field = offsetof(AblateParams, top)},
    DATA_OPTION_ROW(AblateParams, data),
    PARAM_ROW("reference", 0, LIMN_PARAM_FILE, "FILE",
              "prompts for --with mean and resample; without it those of --data, for mean else the prompt's own rows",
              offsetof(AblateParams, reference)),
    {"draws", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "4", .minimum = 1, .maximum = 1000,
     .help = "resample: prompts whose values are taken, one after another", .field = offsetof(AblateParams, draws)},
    DATA_ROWS(AblateParams, data),
    VALUES_ROW(AblateParams, values),
    ESTIMATE_ROW(AblateParams, estimate),
};

const Method method_ablate = {
    .command = {.name = "ablate",
                .summary = "what is lost without a head, MLP, layer, neuron or position",
                .description =
                    "Takes units out one after another, with zeros, means or other prompts' values in their place, and "
                    "says what that does to the answer, on one prompt or over a data set. Beside each effect stands "
                    "what one backward pass makes of it.",
                .examples = "limn ablate MODEL -p 'The capital of France is'\n"
                            "limn ablate MODEL -p 'The capital of France is' --what mlp --with mean\n"
                            "limn ablate MODEL -p 'The capital of France is' --head '18.*' --pairs 4 --curve 6\n"
                            "limn ablate MODEL -p 'The capital of France is' --what neuron --top 50\n"
                            "limn ablate MODEL --data prompts.jsonl --prompt-field text --label-field answer --with "
                            "resample",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Ablation",
    .params_bytes = sizeof(AblateParams),
    .run = run,
    .explains = true,
    .about = {.answers = "Which heads, MLPs, layers, neurons or positions does the answer need?",
              .formula = "effect(u) = m(run with u's value replaced) - m(run)    estimate(u) = sum of gradient times "
                         "(replacement - value)",
              .paper = "Michel et al. 2019 (1905.10650), Wang et al. 2022 (2211.00593); estimates: Nanda 2023 "
                       "(attribution patching)",
              .cost = "for each unit the layers above it; 1 forward and backward pass for the estimates",
              .lies = "Zero is a rare value: what only keeps the stream at its usual length looks important (`--with "
                      "mean`, `resample`). A unit with a backup looks unimportant (`--pairs`). Effects do not add up. "
                      "Neurons are measured where one backward pass calls them strong, and there alone."},
};
