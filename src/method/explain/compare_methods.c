/* Which explanation is right here? Several methods on the same inputs, held against what exchanging words does, against
 * each other and against themselves.
 *
 *     replacement        Spearman's rank correlation of a method's word scores and the effects of replacement
 *     comprehensiveness  mean over k of F(prompt) - F(its k highest words exchanged)          (DeYoung et al. 2020,
 *     sufficiency        mean over k of F(prompt) - F(all but its k highest words exchanged)   1911.03429)
 *     infidelity         E (b predicted - actual)^2 / E actual^2 over exchanged random sets, b the best scale (Yeh et
 * al. 2019, 1901.09392) sensitivity        max |scores' - scores| / |scores| over prompts in which an idle word is
 * another deviation, flips   over seeds: the standard deviation of a score, and how often its sign changes agreement
 * rank correlations of the methods with each other rationale          mean precision for the words that people marked
 *
 * Words are exchanged for others that fit (measure/yardstick.h), never blanked. F is the answer's probability, or its
 * lead where there is a contrast.
 *
 * Invariants: a method's scores are those of its own command (measure/token_scores.h); all methods see the same
 * exchanges; the same seed gives the same bytes.
 *
 * How it fails: replacement is the yardstick, so that it inherits what replacement does not see (words that say the
 * same thing); one prompt decides nothing, and ranks of few words agree by chance: take a data set. People mark what
 * convinces them, which need not be what moves the model. */
#include "method/explain/compare_methods.h"

#include <string.h>

#include "call/registry.h"
#include "measure/target_score.h"

/* ---- which methods ---- */

static void add_method(Comparing *comparing, const NamedScorer *scorer, bool named) {
    comparing->methods[comparing->n++] =
        (Compared){.name = scorer->name, .method = scorer->method, .params = scorer->params, .named = named};
}

/* All that score tokens. */
static limn_status add_usual(Comparing *comparing) {
    const MethodTable *table = comparing->call->registry->methods;
    for (size_t i = 0; i < table->n; i++) {
        NamedScorer scorer = {.name = table->items[i].method->command.name, .method = table->items[i].method};
        if (scorer.method->score_tokens != NULL) {
            TRY(token_scorer_params(&scorer.params, comparing->call, scorer.method, NULL));
            add_method(comparing, &scorer, false);
        }
    }
    return LIMN_OK;
}

static limn_status find_methods(Comparing *comparing) {
    MethodCall *call = comparing->call;
    NamedScorer *named;
    int32_t n;
    TRY(token_scorers_named(&named, &n, call, "methods", &comparing->params->methods));
    size_t most = (size_t)n + call->registry->methods->n + 1;
    comparing->methods = arena_zalloc(call->arena, most * sizeof *comparing->methods);
    if (comparing->methods == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        add_method(comparing, &named[i], true);
    }
    TRY(n == 0 ? add_usual(comparing) : LIMN_OK);
    if (comparing->n < 2) {
        return fail(LIMN_USAGE, "option 'methods': found %d, expected at least two to compare", (int)comparing->n);
    }
    comparing->methods[comparing->n].name = SAY(comparing->call, "random order", "随机次序");
    comparing->pairs = arena_zalloc(call->arena, (size_t)(comparing->n * comparing->n) * sizeof *comparing->pairs);
    return comparing->pairs == NULL ? method_no_memory(call) : LIMN_OK;
}

/* ---- one prompt ---- */

static limn_status compare_prompt(Comparing *comparing) {
    MethodCall *call = comparing->call;
    Prompt prompt;
    Target target, contrast;
    TRY(prompt_read(&prompt, call, comparing->model, &comparing->params->prompt));
    prompt_describe(comparing->result, call, comparing->model, &prompt);
    TRY(target_resolve(&target, &contrast, call, comparing->engine, &prompt, &comparing->params->target, NULL,
                       comparing->result));
    CompareRecord record = {.comparing = comparing,
                            .call = call,
                            .prompt = &prompt,
                            .target = &target,
                            .contrast = &contrast,
                            .rationale = comparing->params->rationale};
    limn_status status = compare_record(&record);
    if (status == LIMN_OK) {
        target_describe(comparing->result, call, comparing->model, &target, &contrast, 0);
        status = compare_methods_report(comparing, &record);
    }
    yardstick_free(record.yardstick);
    return status;
}

/* ---- a data set ---- */

/* The target is the record's own where a field names it, behind a space where the prompt does not end in one. */
static limn_status record_target(TargetParams *target, const Comparing *comparing, MethodCall *call,
                                 const DataItem *item) {
    *target = comparing->params->target;
    if (item->label.bytes == NULL) {
        return LIMN_OK;
    }
    bool classifier = comparing->model->config.task == TASK_CLASSIFIER;
    bool spaced = item->label.bytes[0] == ' ' || classifier ||
                  (item->prompt.length > 0 && strchr(" \n", item->prompt.bytes[item->prompt.length - 1]) != NULL);
    const char *text =
        arena_printf(call->arena, "%s%.*s", spaced ? "" : " ", (int)item->label.length, item->label.bytes);
    if (text == NULL) {
        return method_no_memory(call);
    }
    *(classifier ? &target->class_name : &target->target) = text_of(text);
    return LIMN_OK;
}

static limn_status compare_item(Comparing *comparing, MethodCall *call, const DataItem *item, bool complete) {
    Prompt prompt;
    Target target, contrast;
    TargetParams asked;
    const PromptParams given = {.prompt = item->prompt, .complete = complete};
    TRY(prompt_read(&prompt, call, comparing->model, &given));
    TRY(record_target(&asked, comparing, call, item));
    Result *remarks; /* of single texts: not the result's */
    TRY(result_new(&remarks, call->method->command.name, "one text"));
    limn_status status = target_resolve(&target, &contrast, call, comparing->engine, &prompt, &asked, NULL, remarks);
    result_free(remarks);
    TRY(status);
    CompareRecord record = {.comparing = comparing,
                            .call = call,
                            .prompt = &prompt,
                            .target = &target,
                            .contrast = &contrast,
                            .rationale = item->group,
                            .fields = item->spans,
                            .n_fields = item->n_spans};
    status = compare_record(&record);
    yardstick_free(record.yardstick);
    return status;
}

static limn_status compare_records(Comparing *comparing, DataSource *source, Arena *arena) {
    const MethodCall *call = comparing->call;
    bool complete = data_source_encode_options(source, call).no_special;
    for (;;) {
        MethodCall own = method_call_in(call, arena);
        DataItem item;
        bool there;
        limn_status status = data_source_next(source, &item, arena, &there);
        if (status == LIMN_OK && !there) {
            break;
        }
        if (status == LIMN_OK) {
            status = compare_item(comparing, &own, &item, complete);
            status = status == LIMN_OK ? status
                                       : fail_context("%s: line %lld", data_source_path(source), (long long)item.line);
        }
        if (status != LIMN_OK && there && data_source_skips(source) && status_is_of_input(status)) {
            status = data_source_skip(source, &item, error_message());
        }
        TRY(status);
        arena_reset(arena);
        TRY(progress_tick(call->progress, "records", item.done, item.total));
    }
    TRY(data_source_finish(source, comparing->result));
    return comparing->records > 0
               ? compare_methods_report(comparing, NULL)
               : fail(LIMN_NOT_FOUND, "%s: no record to compare methods on", data_source_path(source));
}

static limn_status compare_data(Comparing *comparing) {
    DataParams params = comparing->params->data;
    params.chat = comparing->params->prompt.chat;
    params.label_field = comparing->params->target_field;
    params.group_field = comparing->params->rationale_field;
    DataSource *source;
    Arena arena;
    arena_init(&arena);
    TRY(data_source_open(&source, comparing->call, &params));
    limn_status status = data_source_use_model(source, comparing->call, comparing->model);
    status = status == LIMN_OK ? compare_records(comparing, source, &arena) : status;
    data_source_close(source);
    arena_free(&arena);
    return status;
}

static limn_status check_options(const CompareMethodsParams *params) {
    bool data = params->data.file.bytes != NULL;
    bool prompt = params->prompt.prompt.bytes != NULL || params->prompt.ids.ids != NULL ||
                  params->prompt.file.bytes != NULL || params->prompt.chat.chat.bytes != NULL ||
                  params->prompt.chat.messages.bytes != NULL;
    if (data == prompt) {
        return fail(LIMN_USAGE, "compare methods: found %s, expected a prompt or --data FILE",
                    data ? "a prompt and --data" : "no prompt");
    }
    const Text field = params->target_field.bytes != NULL ? params->target_field : params->rationale_field;
    if (!data && field.bytes != NULL) {
        return fail(LIMN_USAGE, "compare methods: the field '%s' is one of a data set; expected --data FILE beside it",
                    field.bytes);
    }
    if (data && params->rationale.bytes != NULL) {
        return fail(LIMN_USAGE, "compare methods: --rationale is of one prompt; expected --rationale-field FIELD");
    }
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    const CompareMethodsParams *params = call->params;
    Comparing comparing = {.call = call, .params = params, .result = result};
    TRY(check_options(params));
    TRY(find_methods(&comparing));
    TRY(method_engine(call, params->model.bytes, &comparing.engine));
    comparing.model = engine_model(comparing.engine);
    TRY(params->data.file.bytes != NULL ? compare_data(&comparing) : compare_prompt(&comparing));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(CompareMethodsParams, model),
    {"methods", 'm', LIMN_PARAM_TEXT, .repeated = true, .metavar = SCORERS_METAVAR,
     .help = "which methods, with options of their own: ig,grad:kind=smoothgrad,lrp:rules=relp; without it, all that "
             "score tokens",
     .field = offsetof(CompareMethodsParams, methods)},
    PROMPT_ROWS(CompareMethodsParams, prompt),
    TARGET_ROWS(CompareMethodsParams, target),
    TARGET_MORE_ROWS(CompareMethodsParams, target),
    DATA_OPTION_ROW(CompareMethodsParams, data),
    DATA_PROMPT_ROWS(CompareMethodsParams, data),
    {"limit", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 1, .maximum = 9e15, .help = "stop after N records",
     .field = offsetof(CompareMethodsParams, data.limit)},
    {"sample", 0, LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 1, .maximum = 1e9,
     .help = "N records drawn at random by --seed, in the order of the file",
     .field = offsetof(CompareMethodsParams, data.sample)},
    PARAM_ROW("target-field", 0, LIMN_PARAM_TEXT, "FIELD",
              "the field that is the answer in question; without it, the "
              "likeliest one of each record",
              offsetof(CompareMethodsParams, target_field)),
    PARAM_ROW("rationale-field", 0, LIMN_PARAM_TEXT, "FIELD",
              "the field with the words of the prompt that people marked: a text, or a list of texts",
              offsetof(CompareMethodsParams, rationale_field)),
    PARAM_ROW("rationale", 0, LIMN_PARAM_TEXT, "TEXT", "the words of the prompt that people marked",
              offsetof(CompareMethodsParams, rationale)),
    {"draws", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "4", .minimum = 0, .maximum = 8,
     .help = "exchanges of each word, and of each point of a curve; 0: none, methods are held against each other and "
             "what people marked alone",
     .field = offsetof(CompareMethodsParams, draws)},
    {"sets", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "32", .minimum = 0, .maximum = 100000,
     .help = "random sets of words for infidelity; 0: none", .field = offsetof(CompareMethodsParams, sets)},
    {"seeds", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "3", .minimum = 1, .maximum = 1000,
     .help = "ask methods that draw again with N seeds; 1: do not", .field = offsetof(CompareMethodsParams, seeds)},
    {"versions", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "1", .minimum = 0, .maximum = 64,
     .help = "prompts with an idle word exchanged, for sensitivity; 0: none",
     .field = offsetof(CompareMethodsParams, versions)},
    YARDSTICK_ROWS(CompareMethodsParams, yardstick),
};

const Method method_compare_methods = {
    .command = {.name = "compare methods",
                .summary = "which explanation is right here: methods put to the test",
                .description =
                    "Asks several methods about the same prompt, or the records of a data set, and says which of them "
                    "predicts best what exchanging words does; how far the answer falls without the words they call "
                    "strongest, and holds with these alone; how far they agree, move with their own seeds and with "
                    "words that do not matter, and find what people marked.",
                .examples =
                    "limn compare methods MODEL -p 'The capital of France is'\n"
                    "limn compare methods MODEL -p 'The nurse said that' --target ' she' --contrast ' he' "
                    "--methods ig,shap,lime\n"
                    "limn compare methods MODEL --data questions.jsonl --prompt-field question --target-field "
                    "answer --rationale-field marked --limit 50\n"
                    "limn compare methods MODEL -p 'The capital of France is' -m lrp,lrp:rules=relp,ig:steps=32",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Comparison of methods",
    .params_bytes = sizeof(CompareMethodsParams),
    .run = run,
    .explains = true,
    .about =
        {.answers = "Which method's scores predict on this model what exchanging words does, and how far do methods "
                    "agree, with each other and with themselves?",
         .formula =
             "replacement: rank correlation of scores and effects (replace)\n"
             "comprehensiveness, sufficiency: mean over k of F(prompt) - F(the k highest words, or all others, "
             "exchanged)\n"
             "infidelity: E (b predicted - actual)^2 / E actual^2 over random sets; sensitivity: max |change| "
             "/ |scores|\n"
             "rationale: area under precision over recall; token F1 and IoU F1 of the highest words, as many as people "
             "mark on average",
         .paper = "ERASER: DeYoung et al. 2020 (1911.03429); infidelity and sensitivity: Yeh et al. 2019 "
                  "(1901.09392); curves: Samek et al. 2015 (1509.06321)",
         .cost = "each method once, again for each seed where it draws, and for each version; some 60 changed prompts "
                 "for each method",
         .lies = "Replacement is the yardstick: words that say the same thing each look idle. One prompt decides "
                 "nothing, and ranks of few words agree by chance. People mark what convinces them, which need not be "
                 "what moves the model."},
};
