/* `limn reasons`: what the person decided upon is told. The principal reasons of one decision, each a word of the text
 * whose exchange for others clearly moves the answer (the causes of `why`, corrected for all words tried), and the
 * smallest change that would have turned it; in plain words, English or Chinese.
 *
 * Nothing else is called a reason: no score, no threshold, no part of the model. Where no word survives, that is said.
 *
 * How it fails: as `why` does. A reason is what moved this model, not a justification; that a word counted does not say
 * that it may count. */
#include <math.h>
#include <string.h>

#include "audit/figures.h"
#include "call/call.h"

static const double least_fall = 0.02, least_part = 0.1;

typedef struct ReasonsParams {
    Text model;
    Text prompt;
    Text file;
    Text target;
    Text contrast;
    Text replacements;
    ParamTexts fixed;
    Text decision;
    int64_t most;
} ReasonsParams;

typedef struct Reason {
    Text word;
    double before, after, low, high;
    int64_t n;
    Text with; /* absent: no exchange of it alone was found that turns the answer */
} Reason;

/* ---- asking `why` ---- */

static limn_status set_text(json_t *params, const MethodCall *call, const char *name, Text text) {
    if (text.bytes == NULL) {
        return LIMN_OK;
    }
    return json_object_set_new(params, name, json_stringn(text.bytes, text.length)) == 0 ? LIMN_OK
                                                                                         : method_no_memory(call);
}

static limn_status why_params(json_t **params, const MethodCall *call) {
    const ReasonsParams *own = call->params;
    *params = json_object();
    if (*params == NULL) {
        return method_no_memory(call);
    }
    limn_param *rows = ARENA_ARRAY(call->arena, limn_param, common_params_count);
    size_t n = 0;
    for (size_t i = 0; rows != NULL && i < common_params_count; i++) {
        if (!common_params[i].face) {
            rows[n++] = common_params[i];
        }
    }
    TRY(rows != NULL ? params_record(*params, &call->common, rows, n) : method_no_memory(call));
    TRY(set_text(*params, call, "model", own->model));
    TRY(set_text(*params, call, "prompt", own->prompt));
    TRY(set_text(*params, call, "file", own->file));
    TRY(set_text(*params, call, "target", own->target));
    TRY(set_text(*params, call, "contrast", own->contrast));
    TRY(set_text(*params, call, "replacements", own->replacements));
    json_t *fixed = json_array();
    for (int32_t i = 0; fixed != NULL && i < own->fixed.n; i++) {
        json_array_append_new(fixed, json_stringn(own->fixed.items[i].bytes, own->fixed.items[i].length));
    }
    return json_object_set_new(*params, "fixed", fixed) == 0 ? LIMN_OK : method_no_memory(call);
}

/* ---- what survived ---- */

static const Value *cell(const TableBlock *table, int32_t row, const char *name) {
    int32_t column = table_column(table, name);
    return column >= 0 ? table_cell(table, row, column) : NULL;
}

static double number(const TableBlock *table, int32_t row, const char *name) {
    const Value *value = cell(table, row, name);
    return value != NULL ? number_in_cell(value) : (double)NAN;
}

static Text text_in(const TableBlock *table, int32_t row, const char *name) {
    const Value *value = cell(table, row, name);
    return value != NULL && value->kind == VALUE_TEXT ? text_bare(value->text) : (Text){NULL, 0};
}

static bool same(Text a, Text b) {
    return a.bytes != NULL && b.bytes != NULL && a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

/* Whether it is a principal one: clear of nothing in what is said of it, and no tenth of the strongest. */
static bool is_principal(const Reason *one, double strongest) {
    double fall = one->before - one->after;
    return one->word.bytes != NULL && one->high < one->before && fall >= least_fall && fall >= least_part * strongest;
}

static double strongest_fall(const TableBlock *causes) {
    double most = 0;
    for (int32_t i = 0; causes != NULL && i < causes->n_rows; i++) {
        double fall = number(causes, i, "before") - number(causes, i, "after");
        most = fall > most ? fall : most;
    }
    return most;
}

static int32_t read_reasons(Reason *reasons, int64_t most, const Result *why) {
    const TableBlock *causes = result_table(why, "causes"), *turns = result_table(why, "counterfactuals");
    double strongest = strongest_fall(causes);
    int32_t n = 0;
    for (int32_t i = 0; causes != NULL && i < causes->n_rows && n < most; i++) {
        Reason made = {.word = text_in(causes, i, "word"),
                       .before = number(causes, i, "before"),
                       .after = number(causes, i, "after"),
                       .low = number(causes, i, "low"),
                       .high = number(causes, i, "high"),
                       .n = (int64_t)number(causes, i, "n")};
        if (!is_principal(&made, strongest)) {
            continue;
        }
        for (int32_t k = 0; turns != NULL && k < turns->n_rows && made.with.bytes == NULL; k++) {
            made.with = same(text_in(turns, k, "word"), made.word) ? text_in(turns, k, "with") : made.with;
        }
        reasons[n++] = made;
    }
    return n;
}

/* ---- what is said ---- */

static void say_decision(TextBuffer *out, const MethodCall *call, const Result *why) {
    const ReasonsParams *params = call->params;
    if (params->decision.bytes != NULL) {
        text_buffer_add_bytes(out, params->decision.bytes, params->decision.length);
        text_buffer_add(out, SAY(call, " ", ""));
    } else if (why->has_target) {
        Text target = text_bare(why->target.text);
        text_buffer_printf(out, SAY(call, "The answer was \"%.*s\" (%.0f%%). ", "答案是“%.*s”（%.0f%%）。"),
                           (int)target.length, target.bytes, 100 * exp(why->target.log_probability));
    }
}

static void say_reason(TextBuffer *out, const MethodCall *call, const Reason *reason, int32_t place) {
    text_buffer_printf(out,
                       place == 0 ? SAY(call, "The main reason is \"%.*s\"", "主要原因是“%.*s”")
                                  : SAY(call, " A further reason is \"%.*s\"", "另一个原因是“%.*s”"),
                       (int)reason->word.length, reason->word.bytes);
    text_buffer_printf(
        out,
        SAY(call,
            ": with other words in its place the answer would have been %.0f%% likely instead of %.0f%% "
            "(%.0f%% to %.0f%%; %lld others tried).",
            "：换成其他词，该答案的概率会是 %.0f%%，而不是 %.0f%%（区间 %.0f%% 至 %.0f%%；试过 %lld 个其他词）。"),
        100 * reason->after, 100 * reason->before, 100 * reason->low, 100 * reason->high, (long long)reason->n);
}

static void say_turn(TextBuffer *out, const MethodCall *call, const Result *why) {
    const TableBlock *turns = result_table(why, "counterfactuals");
    if (turns == NULL || turns->n_rows == 0) {
        text_buffer_add(out, SAY(call, " No small change that would have turned the answer was found.",
                                 "没有找到能够改变该答案的小改动。"));
        return;
    }
    Text word = text_in(turns, 0, "word"), with = text_in(turns, 0, "with"), answer = text_in(turns, 0, "answer");
    text_buffer_printf(out,
                       SAY(call, " With \"%.*s\" in place of \"%.*s\" it would have been \"%.*s\".",
                           "若以“%.*s”代替“%.*s”，答案会是“%.*s”。"),
                       (int)with.length, with.bytes != NULL ? with.bytes : "", (int)word.length,
                       word.bytes != NULL ? word.bytes : "", (int)answer.length,
                       answer.bytes != NULL ? answer.bytes : "");
}

static void say_all(Result *result, const MethodCall *call, const Result *why, const Reason *reasons, int32_t n) {
    TextBuffer text = TEXT_BUFFER_INIT;
    say_decision(&text, call, why);
    for (int32_t i = 0; i < n; i++) {
        say_reason(&text, call, &reasons[i], i);
    }
    if (n == 0) {
        text_buffer_add(&text,
                        SAY(call,
                            "No single word of the text is a reason that stands up to checking: exchanging any one "
                            "of them does not clearly change the answer.",
                            "文本中没有哪个词是经得起检验的原因：单独换掉任何一个词都不会明显改变答案。"));
    } else {
        say_turn(&text, call, why);
    }
    result_headline(result, "%.*s", (int)text.length, text.data != NULL ? text.data : "");
    result_add_text(result, "reasons", SAY(call, "Reasons", "原因"), text.data != NULL ? text.data : "", text.length,
                    false);
    text_buffer_free(&text);
}

static void show_table(Result *result, const MethodCall *call, const Reason *reasons, int32_t n) {
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN},        {{"before", 6}, COLUMN_PROBABILITY},
                                          {{"after", 5}, COLUMN_PROBABILITY}, {{"low", 3}, COLUMN_PROBABILITY},
                                          {{"high", 4}, COLUMN_PROBABILITY},  {{"n", 1}, COLUMN_INTEGER},
                                          {{"turned by", 9}, COLUMN_TOKEN}};
    TableBlock *table =
        result_add_table(result, "reasons-table", SAY(call, "The reasons in figures", "各原因的数字"), columns, 7);
    for (int32_t i = 0; i < n; i++) {
        const Reason *one = &reasons[i];
        const Value cells[] = {value_bytes(one->word.bytes, one->word.length),
                               value_number(one->before),
                               value_number(one->after),
                               value_number(one->low),
                               value_number(one->high),
                               value_integer(one->n),
                               one->with.bytes != NULL ? value_bytes(one->with.bytes, one->with.length) : value_null()};
        table_row(table, cells);
    }
}

static void copy_checks(Result *result, const Result *why) {
    for (int32_t i = 0; i < why->n_checks; i++) {
        const ResultCheck *check = &why->checks[i];
        const char *name = check->name.bytes, *meaning = check->meaning.bytes != NULL ? check->meaning.bytes : "";
        if (check->state == CHECK_INCONCLUSIVE) {
            result_check_inconclusive(result, name, check->value, check->kind, check->limit, "%s", meaning);
        } else {
            result_check(result, name, check->value, check->kind, check->limit, "%s", meaning);
        }
        if (check->advisory) {
            result_check_advisory(result);
        }
    }
    for (int32_t i = 0; i < why->n_warnings; i++) {
        result_warn(result, "%s", why->warnings[i].bytes);
    }
}

static limn_status run(MethodCall *call, Result *result) {
    const ReasonsParams *params = call->params;
    json_t *asked = NULL;
    Result *why = NULL;
    CallListeners listeners = {.progress = *call->progress};
    limn_status status = why_params(&asked, call);
    if (status == LIMN_OK) {
        status = method_call(&why, call->registry, call->models, "why", asked, &listeners);
    }
    json_decref(asked);
    TRY(status);
    Reason *reasons = ARENA_ARRAY(call->arena, Reason, params->most + 1);
    if (reasons == NULL) {
        result_free(why);
        return method_no_memory(call);
    }
    int32_t n = read_reasons(reasons, params->most, why);
    result_model(result, &why->model);
    result_input(result, why->input_text.bytes != NULL ? why->input_text.bytes : "", why->input_text.length);
    for (int32_t i = 0; i < why->n_input_tokens; i++) {
        result_input_token(result, &why->input_tokens[i]);
    }
    if (why->has_target) {
        result_target(result, &why->target);
    }
    say_all(result, call, why, reasons, n);
    show_table(result, call, reasons, n);
    copy_checks(result, why);
    result_free(why);
    return result_status(result);
}

static const limn_param rows[] = {
    {"model", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "MODEL",
     .help = "a model folder, a .gguf file, or org/name in the local Hugging Face cache",
     .field = offsetof(ReasonsParams, model)},
    PARAM_ROW("prompt", 'p', LIMN_PARAM_TEXT, "TEXT", "the text that was decided on", offsetof(ReasonsParams, prompt)),
    PARAM_ROW("file", 0, LIMN_PARAM_FILE, "FILE", "read the text from FILE", offsetof(ReasonsParams, file)),
    PARAM_ROW("target", 't', LIMN_PARAM_TEXT, "TEXT", "the decision; without it, the likeliest answer",
              offsetof(ReasonsParams, target)),
    PARAM_ROW("contrast", 0, LIMN_PARAM_TEXT, "TEXT", "the other decision", offsetof(ReasonsParams, contrast)),
    PARAM_ROW("replacements", 0, LIMN_PARAM_FILE, "FILE", "exchange words for those in FILE, one on each line",
              offsetof(ReasonsParams, replacements)),
    {"fixed", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "TEXT|A:B",
     .help = "never exchange these words: the form around what the person wrote",
     .field = offsetof(ReasonsParams, fixed)},
    PARAM_ROW("decision", 0, LIMN_PARAM_TEXT, "TEXT", "how to say the decision: 'Your application was refused.'",
              offsetof(ReasonsParams, decision)),
    {"most", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "4", .minimum = 1, .maximum = 20,
     .help = "at most N reasons: more are not likely to help", .field = offsetof(ReasonsParams, most)},
};

const Method method_reasons = {
    .command = {.name = "reasons",
                .summary = "what the person decided upon is told: the reasons that survived checking",
                .description =
                    "The principal reasons of one decision in plain words, English or Chinese: words of the text whose "
                    "exchange clearly moves the answer, and the smallest change that would have turned it. A reason "
                    "that does not survive checking is not given; where none does, that is said.",
                .examples = "limn reasons MODEL --adapter DIR --file application.txt --target ' no' --contrast ' yes' "
                            "--decision 'Your application was refused.'\n"
                            "limn reasons MODEL -p 'The capital of France is' --language zh",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Reasons",
    .params_bytes = sizeof(ReasonsParams),
    .run = run,
    .explains = true,
};
