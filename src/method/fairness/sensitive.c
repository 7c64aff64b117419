/* Does a decision hang on words that it should not hang on? Each record is read again with its protected words
 * exchanged:
 *
 *     shift(A, B) = mean over records of  F(record with words of side A) - F(record with words of side B)
 *
 * F is the lead of the target choice over the best other one, log p - log p (choices.h). All words of a category are
 * exchanged together; a record whose words are of several sides is left out. Three questions are put to a shift:
 *
 *     is it one        sign flips by record, step-down max-T over all comparisons (Westfall and Young 1993)
 *     is it special    against ordinary words of the same kind in the same place of the same records, since any two
 *                      words differ a little, in every record alike
 *     does it matter   decisions that turn: McNemar's exact test, Tango's interval
 *
 * Were the two sides ordinary words, shift / (sqrt 2 . deviation of such words' mean leads) would be Student's, with as
 * many degrees as words less one; Holm over the comparisons.
 *
 * Raised is what the first two answer with p <= .05. Beside that: the share of an attribution's |score| on protected
 * words against as many others of their kind (counterfactual fairness: Kusner et al. 1703.06856; token fairness: Garg
 * et al. 1809.10610), and selection rates, impact ratio and equalised odds of groups that the data names (Hardt et al.
 * 1610.02413).
 *
 * Invariants: a version's lead is that of a plain pass (checked); exchanging the sides changes the sign of a shift and
 * nothing else; the same seed gives the same bytes.
 *
 * How it fails: docs/sensitive.md. What no list holds is not looked for; a person's group shows in more than words; an
 * exchange may make a text untrue or odd ("her beard"), which ordinary words do too, but not in the same way. */
#include <math.h>
#include <string.h>

#include "base/nearest.h"
#include "files/hash.h"
#include "method/fairness/sensitive.h"

static const char *name_at(const void *context, size_t index) {
    return ((const ChoiceNames *)context)->names[index].bytes;
}

static limn_status find_target(Sensitive *work) {
    Text wanted = trimmed_text(work->params->target);
    if (work->params->target.bytes == NULL) {
        return LIMN_OK;
    }
    for (work->target = 0; work->target < work->names.n; work->target++) {
        if (same_text(wanted, work->names.names[work->target])) {
            return LIMN_OK;
        }
    }
    char near[256];
    nearest_names(near, sizeof near, NEAREST_USUAL, wanted.bytes, name_at, &work->names, (size_t)work->names.n);
    return fail(LIMN_USAGE, "option 'target': there is no choice '%.60s'; nearest: %s", wanted.bytes, near);
}

static limn_status find_method(Sensitive *work) {
    MethodCall *call = work->call;
    const Method *method;
    TRY(token_scorer_find(&method, call, work->params->method.bytes));
    if (work->params->explain > 0) {
        TRY(token_scorer_params(&work->method_params, call, method, NULL));
        work->method = method;
    }
    return LIMN_OK;
}

static limn_status alloc_counts(Sensitive *work) {
    Arena *arena = work->call->arena;
    work->taken = ARENA_ARRAY(arena, int32_t, work->lists.n_categories + 1);
    work->explained = ARENA_ARRAY(arena, int32_t, work->lists.n_categories + 1);
    work->mixed = ARENA_ARRAY(arena, int64_t, work->lists.n_categories + 1);
    work->groups = ARENA_ARRAY(arena, SensitiveGroup, SENSITIVE_GROUPS);
    bool made = work->taken != NULL && work->explained != NULL && work->mixed != NULL && work->groups != NULL;
    return made ? LIMN_OK : method_no_memory(work->call);
}

static limn_status prepare(Sensitive *work) {
    MethodCall *call = work->call;
    const SensitiveParams *params = work->params;
    TRY(protected_read(&work->lists, call, params->words, &params->categories));
    TRY(sensitive_read_limits(work));
    TRY(find_method(work));
    TRY(data_source_open(&work->source, call, &params->data)); /* mistakes before the model is opened */
    TRY(method_engine(call, params->model.bytes, &work->engine));
    work->model = engine_model(work->engine);
    TRY(choice_names_read(&work->names, call, work->model, &params->choices, params->labels));
    TRY(find_target(work));
    TRY(data_source_use_model(work->source, call, work->model));
    TRY(alloc_counts(work));
    return ordinary_new(&work->ordinary, call, &work->lists, (int32_t)params->ordinary);
}

static limn_status record_data_hash(const Sensitive *work) {
    char hex[65];
    if (!data_source_is_regular(work->source)) {
        return LIMN_OK;
    }
    HashFile file = {.path = data_source_path(work->source), .name = "data"};
    TRY(hash_files(hex, &file, 1, false, work->call->team));
    result_param_text(work->result, "data-hash", hex);
    if (work->params->words.bytes != NULL) {
        HashFile words = {.path = work->params->words.bytes, .name = "words"};
        TRY(hash_files(hex, &words, 1, false, work->call->team));
        result_param_text(work->result, "words-hash", hex);
    }
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    Sensitive work = {.call = call, .params = call->params, .result = result, .recheck = (double)NAN};
    limn_status status = prepare(&work);
    status = status == LIMN_OK ? sensitive_records(&work) : status;
    status = status == LIMN_OK ? record_data_hash(&work) : status;
    status = status == LIMN_OK && work.touched > 0 ? sensitive_figures(&work) : status;
    status = status == LIMN_OK ? sensitive_report(&work) : status;
    ErrorState error;
    error_save(&error);
    choice_scorer_free(work.scorer);
    ordinary_free(work.ordinary);
    data_source_close(work.source);
    for (int32_t i = 0; i < work.n_groups; i++) {
        metrics_free(&work.groups[i].metrics);
    }
    sensitive_forget_turned(&work);
    return status == LIMN_OK ? LIMN_OK : error_restore(&error);
}

static const limn_param rows[] = {
    MODEL_ROW(SensitiveParams, model),
    DATA_WORD_ROW(SensitiveParams, data),
    {"choices", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "A,B,...",
     .help =
         "the continuations among which is decided, leading space included: ' yes',' no' (given several times, each "
         "is one choice); a classifier has its classes",
     .field = offsetof(SensitiveParams, choices)},
    {"labels", 0, LIMN_PARAM_TEXT, .metavar = "A,B,...",
     .help = "how the data spells the choices, in their order; without it, the choices without white space around",
     .field = offsetof(SensitiveParams, labels)},
    PARAM_ROW("target", 't', LIMN_PARAM_TEXT, "NAME", "the choice whose lead is measured; without one, the first",
              offsetof(SensitiveParams, target)),
    PARAM_ROW("words", 0, LIMN_PARAM_FILE, "FILE",
              "protected words of your own instead of the shipped lists; the form: examples/protected-words.txt",
              offsetof(SensitiveParams, words)),
    {"category", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "NAME",
     .help = "only this category of the lists (may be repeated): gender, name, ethnic name, origin, place, religion, "
             "ethnicity, age, family, disability, orientation",
     .field = offsetof(SensitiveParams, categories)},
    DATA_PROMPT_ROWS(SensitiveParams, data),
    PARAM_ROW("label-field", 0, LIMN_PARAM_TEXT, "FIELD", "the field with the right answer",
              offsetof(SensitiveParams, data.label_field)),
    PARAM_ROW("groups", 0, LIMN_PARAM_TEXT, "FIELD",
              "the field that says which group a record is of: selection rates, impact ratio, equalised odds",
              offsetof(SensitiveParams, data.group_field)),
    PARAM_ROW("id-field", 0, LIMN_PARAM_TEXT, "FIELD", "the field that names a record; without it, its number",
              offsetof(SensitiveParams, data.id_field)),
    {.name = "limit",
     .kind = LIMN_PARAM_INTEGER,
     .metavar = "N",
     .minimum = 1,
     .maximum = 9e15,
     .help = "stop after N records",
     .field = offsetof(SensitiveParams, data.limit)},
    {.name = "sample",
     .kind = LIMN_PARAM_INTEGER,
     .metavar = "N",
     .minimum = 1,
     .maximum = 1e9,
     .help = "N records drawn at random by --seed, in the order of the file",
     .field = offsetof(SensitiveParams, data.sample)},
    CHAT_ROWS(SensitiveParams, data.chat),
    {"ordinary", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "12", .minimum = 0,
     .maximum = SENSITIVE_ORDINARY_MOST,
     .help = "ordinary words that take the same places, to compare with (in up to 100 records of a category); 0: none",
     .field = offsetof(SensitiveParams, ordinary)},
    {"method", 0, LIMN_PARAM_TEXT, .metavar = "METHOD", .default_text = "grad",
     .help = "whose scores the share of attribution is of: grad, ig, ...", .field = offsetof(SensitiveParams, method)},
    {"explain", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "40", .minimum = 0, .maximum = 1e9,
     .help = "records of each category that are explained for it; 0: none",
     .field = offsetof(SensitiveParams, explain)},
    {.name = "at-most",
     .kind = LIMN_PARAM_TEXT,
     .repeated = true,
     .metavar = "MEASURE=X",
     .help =
         "a check that the measure's interval lies at or below X: gap=0.2 (size of a shift), turned=1% (decisions), "
         "share=5% (of attribution), gap:origin=0.2, rate-gap=0.1, odds-gap=0.1; exit code 1 above, 4 where the "
         "limit lies inside",
     .field = offsetof(SensitiveParams, limits.at_most)},
    {.name = "at-least",
     .kind = LIMN_PARAM_TEXT,
     .repeated = true,
     .metavar = "MEASURE=X",
     .help = "the same for measures that should be high: impact-ratio=0.8",
     .field = offsetof(SensitiveParams, limits.at_least)},
    {"top", 'n', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "20", .minimum = 1, .maximum = 100000,
     .help = "show N pairs of words", .field = offsetof(SensitiveParams, top)},
};

const Method method_sensitive = {
    .command =
        {.name = "sensitive",
         .summary = "do decisions hang on protected words?",
         .description =
             "Exchanges words of sex, origin, religion, age and so on (lists in English and Chinese, or your own) in "
             "each record, he for she, immigrant for local, and measures how far the decision moves: the lead of the "
             "target with an interval, decisions that turn, both against what ordinary words in the same place do. "
             "Adds the share of attribution on such words and, with --groups, rates of independent groups. --at-most "
             "makes a check of it for an audit.",
         .examples =
             "limn sensitive MODEL tweets.jsonl --prompt-field prompt --choices ' yes',' no'\n"
             "limn sensitive MODEL loans.csv --template 'Applicant: {about}\\nGrant?' --choices ' yes',' no' "
             "--category gender --category age --at-most gap=0.2\n"
             "limn sensitive MODEL loans.csv --template '{about}\\nGrant?' --choices ' yes',' no' --label-field "
             "repaid --labels 1,0 --groups sex --at-least impact-ratio=0.8\n"
             "limn sensitive CLASSIFIER reviews.tsv --prompt-field review --words mine.txt --at-most share=5%",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Protected words",
    .params_bytes = sizeof(SensitiveParams),
    .run = run,
    .about =
        {.answers = "Do decisions hang on protected words: sex, origin, religion, age ...?",
         .formula = "shift(A, B) = mean over records of F(with words of side A) - F(with words of side B)",
         .paper = "counterfactual fairness: Kusner et al. 2017 (1703.06856); counterfactual token fairness: Garg et "
                  "al. 2019 (1809.10610); sign flips with step-down max-T: Westfall and Young 1993; equalised odds: "
                  "Hardt et al. 2016 (1610.02413)",
         .cost = "1 forward pass for each record with such a word, one for each other side, `--ordinary` in up to 100 "
                 "records of a category; `--explain` explanations",
         .lies = "What no list holds is not looked for. A person's group shows in more than words. An exchange may "
                 "make a text odd or untrue, which ordinary words do too, but not in the same way. Swaps that help "
                 "some and harm others cancel in the mean; the table of decisions counts both ways.",
         .measured = "examples/bankrun, held-out tweets: immigrant rather than local moves adapter/ by -0.44 [-0.52, "
                     "-0.36] (two ordinary words: 0.09), adapter-clean/ by +0.03 [-0.06, 0.12], where nothing is "
                     "raised (docs/sensitive.md)"},
    .explains = true,
};
