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

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "files/hash.h"

/* ---- choices and labels ---- */

/* "a,b" at its commas. */
static limn_status split(Text **parts, int32_t *n, MethodCall *call, Text text) {
    int32_t count = 1;
    for (size_t i = 0; i < text.length; i++) {
        count += text.bytes[i] == ',';
    }
    *parts = ARENA_ARRAY(call->arena, Text, count);
    if (*parts == NULL) {
        return method_no_memory(call);
    }
    *n = 0;
    for (size_t begin = 0; *n < count;) {
        const char *comma = memchr(text.bytes + begin, ',', text.length - begin);
        size_t end = comma != NULL ? (size_t)(comma - text.bytes) : text.length;
        TRY(predict_copy_text(&(*parts)[(*n)++], call, (Text){text.bytes + begin, end - begin}));
        begin = end + 1;
    }
    return LIMN_OK;
}

static limn_status check_names(const Predictor *predictor, const char *option) {
    for (int32_t i = 0; i < predictor->n; i++) {
        if (predictor->names[i].length == 0) {
            return fail(LIMN_USAGE, "predict: %s: number %d is empty", option, (int)i + 1);
        }
        for (int32_t k = 0; k < i; k++) {
            if (predict_same_text(predictor->names[i], predictor->names[k])) {
                return fail(LIMN_USAGE, "predict: %s: numbers %d and %d are the same, '%.40s'", option, (int)k + 1,
                            (int)i + 1, predictor->names[i].bytes);
            }
        }
    }
    return LIMN_OK;
}

static limn_status read_choices(Predictor *predictor) {
    MethodCall *call = predictor->call;
    const ParamTexts *given = &predictor->params->choices;
    const ModelConfig *config = &predictor->model->config;
    if (config->task == TASK_CLASSIFIER) {
        if (given->n > 0) {
            return fail(LIMN_USAGE, "predict: %s is a classifier: its classes are the choices", predictor->model->path);
        }
        if (config->outputs == OUTPUT_VALUE || config->n_classes < 2) {
            return fail(LIMN_USAGE, "predict: %s has %s, between which nothing is chosen (problem_type, id2label)",
                        predictor->model->path, config->outputs == OUTPUT_VALUE ? "numbers as outputs" : "one label");
        }
        predictor->n = config->n_classes;
        predictor->choices = ARENA_ARRAY(call->arena, Text, predictor->n + 1);
        for (int32_t i = 0; predictor->choices != NULL && i < predictor->n; i++) {
            predictor->choices[i] = text_of(config->labels[i]);
        }
        return predictor->choices != NULL ? LIMN_OK : method_no_memory(call);
    }
    if (given->n == 0) {
        return fail(LIMN_USAGE, "predict needs --choices, as in --choices ' yes',' no'");
    }
    if (given->n == 1) {
        return split(&predictor->choices, &predictor->n, call, given->items[0]);
    }
    predictor->n = given->n;
    predictor->choices = ARENA_ARRAY(call->arena, Text, given->n);
    if (predictor->choices == NULL) {
        return method_no_memory(call);
    }
    memcpy(predictor->choices, given->items, (size_t)given->n * sizeof *given->items);
    return LIMN_OK;
}

bool predict_each(const Predictor *predictor) {
    return predictor->model->config.outputs == OUTPUT_EACH;
}

static limn_status read_names(Predictor *predictor) {
    MethodCall *call = predictor->call;
    TRY(read_choices(predictor));
    if (predictor->n < 2 || predictor->n > PREDICT_CHOICES_MAX) {
        return fail(LIMN_USAGE, "predict: %d choices, expected from 2 to %d (--choices ' yes',' no')",
                    (int)predictor->n, PREDICT_CHOICES_MAX);
    }
    if (predictor->params->labels.bytes != NULL) {
        int32_t n;
        TRY(split(&predictor->names, &n, call, predictor->params->labels));
        if (n != predictor->n) {
            return fail(LIMN_USAGE, "predict: --labels names %d, there are %d choices", (int)n, (int)predictor->n);
        }
        return check_names(predictor, "--labels");
    }
    predictor->names = ARENA_ARRAY(call->arena, Text, predictor->n);
    if (predictor->names == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < predictor->n; i++) {
        TRY(predict_copy_text(&predictor->names[i], call, predict_trimmed(predictor->choices[i])));
    }
    return check_names(predictor, "--choices");
}

/* ---- settings ---- */

static void hash_text(char hex[17], TextBuffer *text) {
    snprintf(hex, 17, "%016" PRIx64, hash_bytes(text->data != NULL ? text->data : "", text->length));
    text_buffer_clear(text);
}

static void add_part(TextBuffer *out, Text text) {
    text_buffer_printf(out, "%zu:", text.length);
    text_buffer_add_bytes(out, text.bytes, text.length);
}

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
    hash_text(settings->hash[SETTING_MODEL], &text);
    add_part(&text, predictor->params->data.prompt_field);
    add_part(&text, predictor->params->data.template_text);
    EncodeOptions encode = data_source_encode_options(predictor->source, predictor->call);
    text_buffer_printf(&text, "%d%s", (int)encode.bos, encode.no_special ? " chat" : "");
    if (predictor->params->truncate != TRUNCATE_NONE) {
        text_buffer_printf(&text, " cut %d", (int)predictor->params->truncate);
    }
    hash_text(settings->hash[SETTING_PROMPT], &text);
    for (int32_t c = 0; c < predictor->n; c++) {
        add_part(&text, predictor->choices[c]);
        add_part(&text, predictor->names[c]);
    }
    if (predict_each(predictor)) {
        text_buffer_printf(&text, "each");
    }
    hash_text(settings->hash[SETTING_CHOICES], &text);
    text_buffer_printf(&text, "%d %d %d " LIMN_VERSION, (int)common->dtype, (int)common->frame, (int)common->backend);
    hash_text(settings->hash[SETTING_NUMBERS], &text);
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
    TRY(method_session(call, params->model.bytes, &predictor->session));
    predictor->model = session_model(predictor->session);
    TRY(read_names(predictor));
    TRY(predict_read_limits(predictor));
    TRY(data_source_use_model(predictor->source, call, predictor->model));
    ChoiceOptions options = predict_choice_options(predictor, false);
    TRY(choice_scorer_new(&predictor->scorer, call, predictor->session, &options));
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
    {"truncate", 0, LIMN_PARAM_CHOICE, .metavar = "WHERE", .default_text = "no", .choices = "no|left|right|middle",
     .help =
         "cut a prompt that is longer than the model reads, instead of refusing it; special tokens at its ends stay",
     .field = offsetof(PredictParams, truncate)},
    {"top", 'n', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "10", .minimum = 1, .maximum = 100000,
     .help = "show the N surest mistakes", .field = offsetof(PredictParams, top)},
    {"decisions", 0, LIMN_PARAM_OUTPUT, .metavar = "FILE.jsonl",
     .help = "append each decision to FILE as it is made; a second run goes on where the first stopped",
     .field = offsetof(PredictParams, decisions)},
};

const Method method_predict = {
    .command = {.name = "predict",
                .summary = "decisions on a data set, with accuracy, calibration and intervals",
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
