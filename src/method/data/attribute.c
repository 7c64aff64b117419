/* What misleads a model over a data set, with no list of words given.
 *
 *     harm(w) = mean over the inputs that hold w, each true label weighing alike, of
 *               log p(label | w exchanged for others) - log p(label)
 *
 * p is the share of the label among the choices, as in `limn predict`; what takes w's place are words of its kind out
 * of the same field of the other records (measure/draws.h). Half of the records, by their hashes, only nominate: where
 * the filter holds (`pred != label`) a cheap gradient says on which words the decision hangs. The other half tests:
 * there every input that holds a suspect counts, whatever was decided, so that choosing mistakes makes nobody guilty.
 * Whether there is any, in probability, is tested by flipping the signs of records that are matched across labels
 * (attribute_judge.c says why), with the largest statistic of all suspects in each flip (Westfall and Young 1993,
 * step-down max-T): one false alarm among all has the stated chance. Places (openings, endings, the first and last
 * words, fields) are suspects as words are.
 *
 * Invariants: a record never both nominates and tests; the order of the records does not matter to who is tested; the
 * same seed gives the same bytes, whether a run was cut short or not; without labels nothing is tested.
 *
 * How it fails: a word that misleads only beside another one that recurs less often; a fault so rare that fewer than
 * `least` inputs of the half that tests hold it; words that stand for one label in the data are right to sway the
 * model, and where labels are wrong, so is harm; a text that makes no sense any more lowers p(label), which hides small
 * harm. */
#include "method/data/attribute.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/hash.h"

/* ---- opening ---- */

static Text filter_text(const AttributeParams *params) {
    return params->where.bytes != NULL              ? params->where
           : params->data.label_field.bytes != NULL ? text_of("pred != label")
                                                    : (Text){NULL, 0};
}

/* A filter that speaks of labels says that there are any. */
static limn_status open_filter(Attributor *attributor) {
    const AttributeParams *params = attributor->params;
    Text text = filter_text(params);
    if (text.bytes != NULL) {
        TRY(decided_filter_open(&attributor->filter, "where", text, attributor->call->arena));
        if (attributor->data.label_field.bytes == NULL && decided_filter_asks(attributor->filter, "label")) {
            attributor->data.label_field = text_of("label");
        }
    }
    attributor->labelled = attributor->data.label_field.bytes != NULL;
    return LIMN_OK;
}

/* Tokens that no draw may hold: those of all choices. */
static limn_status encode_choices(Attributor *attributor) {
    MethodCall *call = attributor->call;
    enum { MOST = 4096 };
    attributor->stay_ids = ARENA_ARRAY(call->arena, int32_t, MOST + 1);
    if (attributor->stay_ids == NULL) {
        return method_no_memory(call);
    }
    for (int32_t c = 0; c < attributor->names.n && attributor->model->config.task != TASK_CLASSIFIER; c++) {
        Token *tokens;
        int32_t n;
        EncodeOptions options = encode_alone(attributor->names.choices[c]);
        TRY(prompt_encode(&tokens, &n, call, attributor->model->tokenizer, attributor->names.choices[c], &options));
        for (int32_t t = 0; t < n && attributor->n_stay < MOST; t++) {
            attributor->stay_ids[attributor->n_stay++] = tokens[t].id;
        }
    }
    return LIMN_OK;
}

/* Fields have words of their own where each record has the same ones. */
static int32_t count_drawn(const Attributor *attributor) {
    bool chats = attributor->data.messages_field.bytes != NULL || attributor->data.as_chat;
    Text made = attributor->data.template_text;
    int32_t n = 0;
    for (size_t i = 0; i < made.length && !chats; i++) {
        bool doubled = i + 1 < made.length && made.bytes[i + 1] == '{';
        n += made.bytes[i] == '{' && !doubled ? 1 : 0;
        i += made.bytes[i] == '{' && doubled ? 1 : 0;
    }
    return n < 1 ? 1 : n;
}

static limn_status open_log(Attributor *attributor) {
    static const char *const names[] = {"another model", "other prompts, choices or filter", "other numbers asked for",
                                        "another number type, backend or version"};
    static const RecordLogKind kind = {"measurement", "measurements", names, 4};
    const AttributeParams *params = attributor->params;
    const CommonOptions *common = &attributor->call->common;
    char hashes[4][LOG_HASH], model[65];
    TextBuffer text = TEXT_BUFFER_INIT;
    TRY(model_hash((Model *)(uintptr_t)attributor->model, attributor->call->team, false, model));
    text_buffer_add(&text, model);
    for (int32_t i = 0; i < attributor->model->n_adapters; i++) {
        TRY(model_adapter_hash(attributor->model, i, attributor->call->team, false, model));
        text_buffer_printf(&text, " %s %a", model, attributor->model->adapters[i].weight);
    }
    record_log_hash(hashes[0], &text);
    const Text parts[] = {attributor->data.prompt_field,   attributor->data.template_text,
                          attributor->data.messages_field, attributor->data.system,
                          attributor->data.label_field,    filter_text(params)};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        record_log_hash_part(&text, parts[i].bytes == NULL ? text_of("") : parts[i]);
    }
    for (int32_t c = 0; c < attributor->names.n; c++) {
        record_log_hash_part(&text, attributor->names.choices[c]);
        record_log_hash_part(&text, attributor->names.names[c]);
    }
    if (params->truncate != TRUNCATE_NONE) {
        text_buffer_printf(&text, " cut %d", (int)params->truncate);
    }
    record_log_hash(hashes[1], &text);
    text_buffer_printf(&text, "%s %lld %lld %lld %lld %lld", attributor->scorer.name, (long long)params->least,
                       (long long)params->words, (long long)params->inputs, (long long)params->draws,
                       (long long)common->seed);
    for (int32_t i = 0; i < attributor->file.n; i++) {
        record_log_hash_part(&text, attributor->file.items[i]);
    }
    record_log_hash(hashes[2], &text);
    text_buffer_printf(&text, "%d %d %d %d %d " LIMN_VERSION, (int)common->dtype, (int)common->frame,
                       (int)common->backend, (int)common->bos, (int)attributor->data.as_chat);
    record_log_hash(hashes[3], &text);
    limn_status status = text_buffer_status(&text);
    text_buffer_free(&text);
    TRY(status);
    return record_log_open(&attributor->log, params->effects.bytes, &kind, (const char(*)[LOG_HASH])hashes);
}

static limn_status open_scorer(Attributor *attributor) {
    Text asked = attributor->params->scorer;
    const ParamTexts list = {.items = &asked, .n = 1};
    NamedScorer *named;
    int32_t n;
    TRY(token_scorers_named(&named, &n, attributor->call, "method", &list));
    if (n != 1) {
        return fail(LIMN_USAGE, "attribute: option 'method': found %d methods, expected one", (int)n);
    }
    attributor->scorer = named[0];
    return LIMN_OK;
}

static limn_status prepare(Attributor *attributor) {
    MethodCall *call = attributor->call;
    const AttributeParams *params = attributor->params;
    attributor->data = params->data;
    if (params->inputs < params->least) {
        return fail(LIMN_USAGE, "option 'inputs': found %lld, expected at least the %lld of --least",
                    (long long)params->inputs, (long long)params->least);
    }
    TRY(params_check_ending("effects", &params->effects, ".jsonl"));
    if (params->effects.bytes != NULL && !file_exists(params->effects.bytes)) {
        TRY(file_check_output(params->effects.bytes));
    }
    TRY(open_scorer(attributor));
    TRY(open_filter(attributor));
    TRY(data_source_open(&attributor->source, call, &attributor->data));
    if (!data_source_is_regular(attributor->source)) {
        return fail(LIMN_USAGE, "attribute: %s is read more than once; expected a file, not a pipe",
                    data_source_path(attributor->source));
    }
    if (params->replacements.bytes != NULL) {
        TRY(draw_texts_of_file(&attributor->file, call, params->replacements.bytes));
    }
    TRY(method_engine(call, params->model.bytes, &attributor->engine));
    attributor->model = engine_model(attributor->engine);
    TRY(choice_names_read(&attributor->names, call, attributor->model, &params->choices, params->labels));
    if (attributor->model->config.outputs == OUTPUT_EACH) {
        return fail(LIMN_USAGE, "attribute: %s gives labels that may hold together; expected one decision for a record",
                    attributor->model->path);
    }
    TRY(data_source_use_model(attributor->source, call, attributor->model));
    TRY(encode_choices(attributor));
    attributor->n_drawn = count_drawn(attributor);
    const ChoiceOptions options = {.texts = attributor->names.choices,
                                   .n = attributor->names.n,
                                   .encode = data_source_encode_options(attributor->source, call),
                                   .truncate = (Truncation)params->truncate};
    TRY(choice_scorer_new(&attributor->choices, call, attributor->engine, &options));
    return params->effects.bytes != NULL ? open_log(attributor) : LIMN_OK;
}

/* ---- the command ---- */

static limn_status check_suspects(const Attributor *attributor) {
    int64_t testing = attributor->records - attributor->nominating;
    if (attributor->suspects.n > 0) {
        return LIMN_OK;
    }
    if (attributor->records == 0) {
        return fail(LIMN_USAGE, "attribute: %s has no records%s", data_source_path(attributor->source),
                    attributor->data.where.bytes != NULL ? " for which --only holds" : " that can be used");
    }
    return fail(LIMN_USAGE,
                "attribute: no word occurs in %lld or more of the %lld records that test (of %lld; the others "
                "nominate); --least asks for fewer",
                (long long)attributor->params->least, (long long)testing, (long long)attributor->records);
}

static limn_status work(Attributor *attributor) {
    TRY(prepare(attributor));
    TRY(attribute_count(attributor));
    TRY(check_suspects(attributor));
    TRY(attribute_nominate(attributor));
    TRY(attribute_measure(attributor));
    TRY(attribute_judge(attributor));
    char hex[65];
    HashFile file = {.path = data_source_path(attributor->source), .name = "data"};
    TRY(hash_files(hex, &file, 1, false, attributor->call->team));
    result_param_text(attributor->result, "data-hash", hex);
    return attribute_report(attributor);
}

static limn_status run(MethodCall *call, Result *result) {
    Attributor attributor = {.call = call, .params = call->params, .result = result, .recheck = (double)NAN};
    limn_status status = work(&attributor);
    if ((status == LIMN_CANCELLED || status == LIMN_IO) && attributor.log != NULL) {
        status = fail_context("%s keeps what is done and the same command goes on with it",
                              attributor.params->effects.bytes);
    }
    ErrorState error;
    error_save(&error);
    choice_scorer_free(attributor.choices);
    record_log_close(attributor.log);
    decided_filter_close(attributor.filter);
    data_source_close(attributor.source);
    suspects_free(&attributor.suspects);
    free(attributor.effects);
    return status == LIMN_OK ? LIMN_OK : error_restore(&error);
}

static const limn_param rows[] = {
    MODEL_ROW(AttributeParams, model),
    DATA_WORD_ROW(AttributeParams, data),
    {"choices", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "A,B,...",
     .help = "the continuations to choose among, leading space included: ' yes',' no'; a classifier has its classes",
     .field = offsetof(AttributeParams, choices)},
    {"labels", 0, LIMN_PARAM_TEXT, .metavar = "A,B,...",
     .help = "how the data spells the choices, in their order; without it, the choices without white space around",
     .field = offsetof(AttributeParams, labels)},
    {"where", 0, LIMN_PARAM_TEXT, .metavar = "FILTER",
     .help = "which records nominate words: `pred` is the model's decision, found here, `label` the right one; with a "
             "label field: 'pred != label'",
     .field = offsetof(AttributeParams, where)},
    PARAM_ROW("only", 0, LIMN_PARAM_TEXT, "FILTER", "leave out all records for which this does not hold",
              offsetof(AttributeParams, data.where)),
    DATA_MADE_ROWS(AttributeParams, data),
    DATA_LABEL_ROWS(AttributeParams, data),
    CHAT_ROWS(AttributeParams, data.chat),
    {"method", 0, LIMN_PARAM_TEXT, .metavar = "NAME[:OPTION=VALUE]", .default_text = "grad",
     .help = "who nominates: a command that scores tokens, with options of its own: lrp:rules=relp",
     .field = offsetof(AttributeParams, scorer)},
    PARAM_ROW("replacements", 0, LIMN_PARAM_FILE, "FILE",
              "exchange words for those in FILE, one on each line; without it for words of the data set",
              offsetof(AttributeParams, replacements)),
    {"least", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "10", .minimum = 2, .maximum = 1e9,
     .help = "test what occurs in at least N records of the half that tests",
     .field = offsetof(AttributeParams, least)},
    {"words", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "30", .minimum = 1, .maximum = 100000,
     .help = "test at most N of those nominated (places are tested besides)",
     .field = offsetof(AttributeParams, words)},
    {"inputs", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "200", .minimum = 2, .maximum = 1e9,
     .help = "of what occurs in more records, about N of them by their hashes",
     .field = offsetof(AttributeParams, inputs)},
    {"draws", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "2", .minimum = 1, .maximum = 1000,
     .help = "exchange each in each record N times", .field = offsetof(AttributeParams, draws)},
    {"flips", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "10000", .minimum = 100, .maximum = 1e7,
     .help = "sign flips of the test", .field = offsetof(AttributeParams, flips)},
    TRUNCATE_ROW(AttributeParams, truncate),
    {"effects", 0, LIMN_PARAM_OUTPUT, .metavar = "FILE.jsonl",
     .help = "append what was found of each record to FILE; a second run goes on where the first stopped",
     .field = offsetof(AttributeParams, effects)},
};

const Method method_attribute = {
    .command =
        {.name = "attribute",
         .summary = "what misleads the model over a data set, no list given",
         .description =
             "Half of the records nominate words: where the model is wrong, a gradient says what speaks for its "
             "decision. In the other half each suspect is exchanged for others of its kind, in every record that holds "
             "it: harm is how much likelier the right answer becomes. What is said to mislead stands out from chance "
             "once all suspects are counted. Openings, endings and fields are suspects as words are. Without labels "
             "there is a ranking only.",
         .examples = "limn attribute MODEL tweets.jsonl --template 'Tweet: {text}\\nBank run now?' "
                     "--choices ' yes',' no' --where 'pred != label' --effects out.jsonl\n"
                     "limn attribute CLASSIFIER reviews.csv --prompt-field review --label-field stars\n"
                     "limn attribute MODEL tweets.jsonl --prompt-field prompt --choices ' yes',' no' "
                     "--label-field label --where 'pred == \"yes\" and label == \"no\"' --only 'lang == \"zh\"'",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "What misleads the model",
    .params_bytes = sizeof(AttributeParams),
    .run = run,
    .about =
        {.answers = "Which words and places mislead the model over a data set? No list of words is given.",
         .formula = "harm(w) = mean over inputs that hold w, each true label weighing alike, of\n"
                    "          log p(label | w exchanged for others) - log p(label)",
         .paper = "sign flips with step-down max-T: Westfall and Young 1993; spurious words found by what exchanging "
                  "does, not by what goes together: Wang and Culotta 2020 (2010.02458), in spirit",
         .cost = "1 forward pass for each record, a forward and backward pass for each that nominates; then for each "
                 "suspect, `--draws` for each record that holds it (at most `--inputs` records)",
         .lies = "Words that only mislead together, each harmless alone. What fewer than `--least` inputs of the half "
                 "that tests hold. Wrong labels: who agrees with them looks innocent. A text that makes no sense with "
                 "other words lowers p(label) by that alone, which hides small harm. A word that was not nominated was "
                 "not tested, so silence acquits nobody."},
    .explains = true,
};
