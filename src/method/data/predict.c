/* Decisions of a model on a data set: which of the choices it prefers after each prompt.
 *
 * Each choice is scored exactly, log p(choice | prompt) = sum over its tokens, by teacher forcing (choices.h). Its
 * probability is normalised over the choices, p_c / sum_k p_k; the raw one is kept beside it, for where the choices
 * together have little of the probability the model would rather say something else, and a warning says so.
 *
 * Invariants: the order of the output is that of the data; in f32 the numbers do not depend on the batch, the number
 * of threads, or whether a run was cut short and gone on with. How it fails: choices that begin with the same words
 * are scored as texts, not as answers ("no" and "not sure"); a probability is of the model's words, not of the world,
 * which is what calibration measures. */
#include "method/data/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/hash.h"
#include "method/data/record_log.h"

bool predict_each(const Predictor *predictor) {
    return predictor->model->config.outputs == OUTPUT_EACH;
}

/* ---- settings ---- */

static limn_status make_settings(Predictor *predictor) {
    const CommonOptions *common = &predictor->call->common;
    PredictionSettings *settings = &predictor->settings;
    TextBuffer text = TEXT_BUFFER_INIT;
    char model[65];
    TRY(model_hash((Model *)(uintptr_t)predictor->model, predictor->call->team, false, model));
    text_buffer_add(&text, model);
    for (int32_t i = 0; i < predictor->model->n_adapters; i++) {
        TRY(model_adapter_hash(predictor->model, i, predictor->call->team, false, model));
        text_buffer_printf(&text, " %s %a", model, predictor->model->adapters[i].weight);
    }
    record_log_hash(settings->hash[SETTING_MODEL], &text);
    record_log_hash_part(&text, predictor->params->data.prompt_field);
    record_log_hash_part(&text, predictor->params->data.template_text);
    EncodeOptions encode = data_source_encode_options(predictor->source, predictor->call);
    text_buffer_printf(&text, "%d%s", (int)encode.bos, encode.no_special ? " chat" : "");
    if (predictor->params->truncate != TRUNCATE_NONE) {
        text_buffer_printf(&text, " cut %d", (int)predictor->params->truncate);
    }
    record_log_hash(settings->hash[SETTING_PROMPT], &text);
    for (int32_t c = 0; c < predictor->n; c++) {
        record_log_hash_part(&text, predictor->choices[c]);
        record_log_hash_part(&text, predictor->names[c]);
    }
    if (predict_each(predictor)) {
        text_buffer_printf(&text, "each");
    }
    record_log_hash(settings->hash[SETTING_CHOICES], &text);
    text_buffer_printf(&text, "%d %d %d " LIMN_VERSION, (int)common->dtype, (int)common->frame, (int)common->backend);
    record_log_hash(settings->hash[SETTING_NUMBERS], &text);
    settings->names = predictor->names;
    settings->n_choices = predictor->n;
    settings->each = predict_each(predictor);
    limn_status status = text_buffer_status(&text);
    text_buffer_free(&text);
    return status;
}

/* ---- the command ---- */

static limn_status prepare(Predictor *predictor) {
    MethodCall *call = predictor->call;
    const PredictParams *params = predictor->params;
    TRY(params_check_ending("decisions", &params->decisions, ".jsonl"));
    if (params->decisions.bytes != NULL &&
        !file_exists(params->decisions.bytes)) { /* one that exists is gone on with */
        TRY(file_check_output(params->decisions.bytes));
    }
    TRY(data_source_open(&predictor->source, call, &params->data)); /* its mistakes before the model is opened */
    TRY(method_engine(call, params->model.bytes, &predictor->engine));
    predictor->model = engine_model(predictor->engine);
    ChoiceNames names;
    TRY(choice_names_read(&names, call, predictor->model, &params->choices, params->labels));
    predictor->choices = names.choices;
    predictor->names = names.names;
    predictor->n = names.n;
    TRY(predict_read_limits(predictor));
    TRY(data_source_use_model(predictor->source, call, predictor->model));
    ChoiceOptions options = predict_choice_options(predictor, false);
    TRY(choice_scorer_new(&predictor->scorer, call, predictor->engine, &options));
    TRY(metrics_init(&predictor->metrics, predictor->n, (uint64_t)call->common.seed,
                     params->data.label_field.bytes != NULL));
    predictor->groups = ARENA_ARRAY(call->arena, PredictGroup, PREDICT_GROUPS_MAX);
    predictor->mistakes = ARENA_ARRAY(call->arena, Mistake, params->top + 1);
    if (predictor->groups == NULL || predictor->mistakes == NULL) {
        return method_no_memory(call);
    }
    if (params->decisions.bytes == NULL) {
        return LIMN_OK;
    }
    TRY(make_settings(predictor));
    return prediction_file_open(&predictor->file, params->decisions.bytes, &predictor->settings);
}

static limn_status record_data_hash(Predictor *predictor) {
    char hex[65];
    const char *path = data_source_path(predictor->source);
    if (!data_source_is_regular(predictor->source)) {
        return LIMN_OK;
    }
    HashFile file = {.path = path, .name = "data"};
    TRY(hash_files(hex, &file, 1, false, predictor->call->team));
    result_param_text(predictor->result, "data-hash", hex);
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    Predictor predictor = {
        .call = call, .params = call->params, .result = result, .least_mass = INFINITY, .recheck = (double)NAN};
    limn_status status = prepare(&predictor);
    if (status == LIMN_OK) {
        status = predict_decide(&predictor);
        if ((status == LIMN_CANCELLED || status == LIMN_IO) && predictor.file != NULL) {
            status = fail_context("%s keeps what is done and the same command goes on with it",
                                  predictor.params->decisions.bytes);
        }
    }
    if (status == LIMN_OK) {
        status = record_data_hash(&predictor);
    }
    if (status == LIMN_OK) {
        status = predict_report(&predictor);
    }
    ErrorState error;
    error_save(&error);
    choice_scorer_free(predictor.scorer);
    prediction_file_close(predictor.file);
    data_source_close(predictor.source);
    metrics_free(&predictor.metrics);
    for (int32_t i = 0; i < predictor.n_groups; i++) {
        metrics_free(&predictor.groups[i].metrics);
    }
    predict_forget_mistakes(&predictor);
    return status == LIMN_OK ? LIMN_OK : error_restore(&error);
}

static const limn_param rows[] = {
    MODEL_ROW(PredictParams, model),
    DATA_WORD_ROW(PredictParams, data),
    {"choices", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "A,B,...",
     .help =
         "the continuations to choose among, leading space included: ' yes',' no' (given several times, each is one "
         "choice, commas included); a masked model is asked at the mask, a classifier has its classes",
     .field = offsetof(PredictParams, choices)},
    {"labels", 0, LIMN_PARAM_TEXT, .metavar = "A,B,...",
     .help = "how the data spells the choices, in their order; without it, the choices without white space around",
     .field = offsetof(PredictParams, labels)},
    DATA_ROWS(PredictParams, data),
    CHAT_ROWS(PredictParams, data.chat),
    {"batch", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "0", .maximum = 65536,
     .help = "records read ahead and scored together; 0: 64. More cost memory; the numbers stay the same",
     .field = offsetof(PredictParams, batch)},
    LIMIT_ROWS(PredictParams, limits),
    TRUNCATE_ROW(PredictParams, truncate),
    {"top", 'n', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "10", .minimum = 1, .maximum = 100000,
     .help = "show the N surest mistakes", .field = offsetof(PredictParams, top)},
    {"decisions", 0, LIMN_PARAM_OUTPUT, .metavar = "FILE.jsonl",
     .help = "append each decision to FILE as it is made; a second run goes on where the first stopped",
     .field = offsetof(PredictParams, decisions)},
};

const Method method_predict = {
    .command = {.name = "predict",
                .summary = "decisions on a data set, with accuracy and calibration",
                .description =
                    "Scores each of the choices after each record's prompt, exactly: its log-probability by itself "
                    "and its share among the choices. With --label-field also accuracy, precision, recall, "
                    "confusion and calibration, each with a 95% interval; with --group-field by group. The file of "
                    "decisions is itself a data set: --where 'label != pred' finds the mistakes. A file of any "
                    "size is streamed.",
                .examples =
                    "limn predict MODEL tweets.csv --template 'Tweet: {text}\\nBank run?' --choices ' yes',' no' "
                    "--decisions out.jsonl\n"
                    "limn predict MODEL tweets.jsonl --prompt-field text --choices ' yes',' no' --labels 1,0"
                    " --label-field y\n"
                    "limn predict MODEL tweets.csv --template 'Bank run? {text}' --as-chat --choices yes,no\n"
                    "limn predict MODEL talks.jsonl --messages-field messages --choices yes,no\n"
                    "limn predict BERT tweets.csv --template 'Bank run? [MASK]. {text}' --choices yes,no\n"
                    "limn predict CLASSIFIER reviews.tsv --prompt-field review --label-field stars --sample 1000",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Predictions",
    .params_bytes = sizeof(PredictParams),
    .run = run,
    .explains = true,
};
