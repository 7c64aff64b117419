/* Reasons: for the person a decision was made about, in plain words: what in the text decided it, and what would have
 * changed it.
 *
 * A reason is a cause that survived twice. Words are exchanged for others that fit (measure/yardstick.h); those whose
 * exchange clearly lowers the decision's lead once all words tried are counted are the candidates, at most `most` of
 * them and none with less than a fifth of the first one's effect; each is then exchanged again with draws of another
 * seed, and must be clear by those alone. The figures said are those of the second time, which chose nothing. Where no
 * more words fit than are drawn, both times are the same words: `fresh` is 0, and it is said that all there are were
 * tried, not that it was confirmed. Principal
 * reasons that are specific, and never a score: what adverse action notices owe (Reg B, 12 CFR 1002.9; EU AI Act,
 * Article 86). The change that would have turned the decision is the smallest found (measure/turning.h; Wachter et al.
 * 1711.00399).
 *
 * Invariants: every reason is a clear cause of `limn why` with the same seed; words of the template are no reasons;
 * where none survives that is said, and the verdict is inconclusive.
 *
 * How it fails: as replacement does. Two words that say the same each look innocent. A reason says what this text's
 * words did, not whether they should. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/target_score.h"
#include "method/explain/reasons.h"

static const double least_part = 0.2;          /* of the first cause's effect */
static const int64_t other_draws = 0x5EA50125; /* what the seed is changed by */

/* ---- one decision ---- */

/* The likeliest of the choices against the runner-up. */
static limn_status decide_among(Decided *decided, const Reasons *reasons) {
    WhyWork *why = &decided->why;
    int32_t best = -1, second = -1;
    double first_log = -INFINITY, second_log = -INFINITY;
    for (int32_t c = 0; c < reasons->names.n; c++) {
        Target target, none;
        TargetParams params = {.target = reasons->names.choices[c], .target_id = PARAM_NO_INTEGER};
        TRY(target_resolve(&target, &none, why->call, why->engine, &why->prompt, &params, NULL, NULL));
        if (target.log_probability > first_log) {
            second = best;
            second_log = first_log;
            best = c;
            first_log = target.log_probability;
        } else if (target.log_probability > second_log) {
            second = c;
            second_log = target.log_probability;
        }
    }
    if (best < 0 || second < 0) {
        return fail(LIMN_USAGE, "option 'choices': found %d, expected two or more that the model can be asked for",
                    (int)reasons->names.n);
    }
    TargetParams params = {.target = reasons->names.choices[best],
                           .target_id = PARAM_NO_INTEGER,
                           .contrast = reasons->names.choices[second]};
    decided->name = reasons->names.names[best];
    decided->other = reasons->names.names[second];
    decided->many = reasons->names.n > 2;
    return target_resolve(&why->target, &why->contrast, why->call, why->engine, &why->prompt, &params, NULL, NULL);
}

static limn_status decide(Decided *decided, const Reasons *reasons, Result *result) {
    WhyWork *why = &decided->why;
    if (reasons->names.n > 0) {
        return decide_among(decided, reasons);
    }
    TRY(target_resolve(&why->target, &why->contrast, why->call, why->engine, &why->prompt, &reasons->params->target,
                       NULL, result));
    why->findings = (WhyFindings){.call = why->call, .model = why->model};
    decided->name = why_target_text(&why->findings, &why->target);
    decided->many = why->target.kind == TARGET_CLASS && why->target.n_outputs > 2;
    return LIMN_OK;
}

/* How many of the unit's draws were not drawn at first. */
static int32_t count_fresh(const Yardstick *first, const Yardstick *again, int32_t unit) {
    const DrawList *before = yardstick_draws(first, unit), *now = yardstick_draws(again, unit);
    int32_t fresh = 0;
    for (int32_t i = 0; i < now->n; i++) {
        bool known = false;
        for (int32_t k = 0; k < before->n && !known; k++) {
            known = same_text(now->items[i].text, before->items[k].text);
        }
        fresh += known ? 0 : 1;
    }
    return fresh;
}

/* Candidates once more, each with draws that had no part in choosing it. */
static limn_status try_again(Decided *decided, Yardstick **again, MethodCall *call, const YardstickAsked *asked) {
    WhyWork *why = &decided->why;
    const WhyFindings *findings = &why->findings;
    int32_t units[WHY_CAUSES], n = 0;
    double first = findings->n_causes > 0 ? yardstick_effect(why->yardstick, findings->causes[0])->effect : 0.0;
    int32_t most = (int32_t)((const ReasonsParams *)why->call->params)->most;
    for (int32_t i = 0; i < findings->n_causes && n < most; i++) {
        if (yardstick_effect(why->yardstick, findings->causes[i])->effect >= least_part * first) {
            units[n++] = findings->causes[i];
        }
    }
    Reason *kept = ARENA_ARRAY(call->arena, Reason, n + 1);
    if (kept == NULL) {
        return method_no_memory(call);
    }
    decided->reasons = kept;
    if (n == 0) {
        return LIMN_OK;
    }
    TRY(yardstick_new(again, call, why->engine, &why->prompt, &why->target, &why->contrast, &why->words, asked));
    TRY(yardstick_confirm(*again, units, n));
    for (int32_t i = 0; i < n; i++) {
        const Effect *effect = yardstick_effect(*again, units[i]);
        int32_t fresh = count_fresh(why->yardstick, *again, units[i]);
        decided->judged += fresh > 0;
        if (yardstick_counts(*again, units[i]) && effect->effect > 0.0) {
            kept[decided->n++] = (Reason){units[i], yardstick_effect(why->yardstick, units[i]), effect, fresh};
            decided->held += fresh > 0;
        } else {
            decided->dropped++;
        }
    }
    return LIMN_OK;
}

/* ---- one after another ---- */

static bool is_asked_about(const Reasons *reasons, const Decided *decided) {
    Text wanted = reasons->params->decision;
    return wanted.bytes == NULL || same_text(trimmed_text(decided->name), trimmed_text(wanted));
}

static limn_status keep_error(Reasons *reasons, Yardstick *yardstick) {
    double error;
    TRY(yardstick_plain_error(yardstick, &error));
    reasons->error = isnan(error) ? reasons->error : isnan(reasons->error) ? error : fmax(reasons->error, error);
    return LIMN_OK;
}

/* What stands outside of fields is the template's. */
static limn_status explain(Reasons *reasons, Decided *decided, const TextSpan *fields, int32_t n_fields) {
    WhyWork *why = &decided->why;
    decided->fields = fields;
    decided->n_fields = n_fields;
    MethodCall again = *why->call;
    Yardstick *second = NULL;
    again.common.seed ^= other_draws;
    const YardstickAsked asked = {.fixed = reasons->params->yardstick.fixed,
                                  .replacements = reasons->params->yardstick.replacements,
                                  .fields = fields,
                                  .n_fields = n_fields,
                                  .floor = reasons->params->yardstick.floor};
    limn_status status = why_begin(why, &asked);
    status = status == LIMN_OK ? why_find(why) : status;
    status = status == LIMN_OK ? try_again(decided, &second, &again, &asked) : status;
    status = status == LIMN_OK ? keep_error(reasons, why->yardstick) : status;
    status = status == LIMN_OK ? reasons_add(reasons, decided) : status;
    yardstick_free(second);
    yardstick_free(why->yardstick);
    why->yardstick = NULL;
    return status;
}

static limn_status explain_prompt(Reasons *reasons) {
    Decided decided = {.why = {.call = reasons->call, .engine = reasons->engine, .model = reasons->model}};
    WhyWork *why = &decided.why;
    TRY(prompt_read(&why->prompt, reasons->call, reasons->model, &reasons->params->prompt));
    prompt_describe(reasons->result, reasons->call, reasons->model, &why->prompt);
    TRY(decide(&decided, reasons, reasons->result));
    reasons->decided++;
    TRY(explain(reasons, &decided, NULL, 0));
    target_describe(reasons->result, reasons->call, reasons->model, &why->target, &why->contrast, 0);
    return LIMN_OK;
}

static limn_status explain_record(Reasons *reasons, MethodCall *call, const DataItem *item) {
    Decided decided = {.why = {.call = call, .engine = reasons->engine, .model = reasons->model}, .record = item->id};
    const PromptParams params = {.prompt = item->prompt,
                                 .complete = data_source_encode_options(reasons->source, call).no_special};
    TRY(prompt_read(&decided.why.prompt, call, reasons->model, &params));
    TRY(decide(&decided, reasons, NULL));
    if (!is_asked_about(reasons, &decided)) {
        reasons->left_out++;
        return LIMN_OK;
    }
    reasons->decided++;
    return explain(reasons, &decided, item->spans, item->n_spans);
}

static limn_status explain_records(Reasons *reasons) {
    Arena arena;
    arena_init(&arena);
    limn_status status = LIMN_OK;
    for (bool there = true; there && status == LIMN_OK; arena_reset(&arena)) {
        MethodCall call = method_call_in(reasons->call, &arena);
        DataItem item;
        status = data_source_next(reasons->source, &item, &arena, &there);
        if (status == LIMN_OK && there) {
            status = progress_tick(call.progress, "records", item.done, item.total);
            status = status == LIMN_OK ? explain_record(reasons, &call, &item) : status;
        }
        if (status != LIMN_OK && there && status_is_of_input(status)) {
            char why[ERROR_MESSAGE_MAX];
            snprintf(why, sizeof why, "%s", error_message());
            status = data_source_skips(reasons->source)
                         ? data_source_skip(reasons->source, &item, why)
                         : fail_context("%s: line %lld", data_source_path(reasons->source), (long long)item.line);
        }
    }
    arena_free(&arena);
    return status;
}

/* ---- the whole ---- */

static limn_status check_asked(const ReasonsParams *params) {
    bool prompt = params->prompt.prompt.bytes != NULL || params->prompt.file.bytes != NULL ||
                  params->prompt.ids.ids != NULL || params->prompt.chat.chat.bytes != NULL ||
                  params->prompt.chat.messages.bytes != NULL;
    if (prompt && params->data.file.bytes != NULL) {
        return fail(LIMN_USAGE, "reasons: --data and a prompt both say what was decided on; give one");
    }
    if (params->choices.n > 0 && (params->target.target.bytes != NULL || params->target.contrast.bytes != NULL)) {
        return fail(LIMN_USAGE,
                    "reasons: --choices says what can be decided; --target and --contrast do not go with it");
    }
    if (params->decision.bytes != NULL && params->data.file.bytes == NULL) {
        return fail(LIMN_USAGE, "option 'decision': chooses among the records of --data, and there is none");
    }
    return LIMN_OK;
}

static limn_status prepare(Reasons *reasons) {
    const ReasonsParams *params = reasons->params;
    TRY(check_asked(params));
    TRY(method_engine(reasons->call, params->model.bytes, &reasons->engine));
    reasons->model = engine_model(reasons->engine);
    if (params->choices.n > 0 && reasons->model->config.task != TASK_CLASSIFIER) {
        TRY(choice_names_read(&reasons->names, reasons->call, reasons->model, &params->choices, params->labels));
    }
    if (params->data.file.bytes == NULL) {
        return LIMN_OK;
    }
    reasons->data = params->data;
    reasons->data.chat = params->prompt.chat;
    TRY(data_source_open(&reasons->source, reasons->call, &reasons->data));
    return data_source_use_model(reasons->source, reasons->call, reasons->model);
}

static limn_status run(MethodCall *call, Result *result) {
    Reasons reasons = {.call = call, .params = call->params, .result = result, .error = (double)NAN};
    result_param_text(result, "sign", "positive supports the decision");
    limn_status status = prepare(&reasons);
    if (status == LIMN_OK && reasons.source != NULL) {
        reasons_begin_tables(&reasons);
        status = explain_records(&reasons);
        status = status == LIMN_OK ? reasons_sum_up(&reasons) : status;
    } else if (status == LIMN_OK) {
        status = explain_prompt(&reasons);
    }
    if (status == LIMN_OK) {
        reasons_check(&reasons);
    }
    data_source_close(reasons.source);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(ReasonsParams, model),
    PROMPT_ROWS(ReasonsParams, prompt),
    TARGET_ROWS(ReasonsParams, target),
    TARGET_MORE_ROWS(ReasonsParams, target),
    YARDSTICK_ROWS(ReasonsParams, yardstick),
    YARDSTICK_FLOOR_ROW(ReasonsParams, yardstick),
    DATA_OPTION_ROW(ReasonsParams, data),
    DATA_PROMPT_ROWS(ReasonsParams, data),
    DATA_LABEL_ROWS(ReasonsParams, data),
    {"choices", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "A,B,...",
     .help = "what can be decided, leading space included, or one by one; the likeliest is the decision",
     .field = offsetof(ReasonsParams, choices)},
    PARAM_ROW("labels", 0, LIMN_PARAM_TEXT, "A,B,...", "what these decisions are called",
              offsetof(ReasonsParams, labels)),
    PARAM_ROW("decision", 0, LIMN_PARAM_TEXT, "NAME", "with --data: only records that were decided so",
              offsetof(ReasonsParams, decision)),
    {"most", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "4", .minimum = 1, .maximum = WHY_CAUSES,
     .help = "reasons that are given at most", .field = offsetof(ReasonsParams, most)},
};

const Method method_reasons = {
    .command =
        {.name = "reasons",
         .summary = "the reasons of a decision, for the person it was made about",
         .description =
             "Exchanges each word for others that fit, takes those that clearly carry the decision, and tries each "
             "once more with draws of another seed: what survives is a reason, said in plain words with the smallest "
             "change "
             "that would have turned the decision. Where nothing survives it says so, and the exit code is 4. With "
             "--data, for each record; words of the template are never reasons.",
         .examples =
             "limn reasons MODEL --adapter DIR -p 'Tweet: Talking of bitcoin. Bank run now?' --choices ' yes, no'\n"
             "limn reasons MODEL --data cases.jsonl --template 'Tweet: {text} Bank run now?' --choices ' yes, no' "
             "--labels yes,no --decision yes --id-field id --limit 5 --language zh -o reasons.html",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Reasons",
    .params_bytes = sizeof(ReasonsParams),
    .run = run,
    .about = {.answers =
                  "What does one owe the person who was decided upon: which words were the reasons, and what would "
                  "have changed the decision? In plain words.",
              .formula =
                  "reason: effect (replace) above 0 at 95% over all words tried, and again over draws of another seed",
              .paper =
                  "counterfactual explanations: Wachter et al. 2017 (1711.00399); effects as in replace; principal "
                  "reasons: 12 CFR 1002.9(b)(2)",
              .cost = "as why for each decision, and `draws` passes more for each candidate",
              .lies =
                  "As replacement does: two words that say the same each look innocent. A reason says what the words "
                  "of this text did, not whether they should count, nor what another text would have met."},
    .explains = true,
};
