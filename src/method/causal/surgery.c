/* Surgery: a permanent edit of a model, judged by what it does to decisions on a data set.
 *
 *     gain  = aim(with the edit) - aim(without), on the records in focus; better is larger
 *     cost  = accuracy(without) - accuracy(with), on the others (without a focus: on all)
 *     score = gain - cost
 *     p     = (1 + others of its kind whose score is no less) / (1 + others)
 *
 * An edit (--set, edit/edits.h) holds for every row of every prompt: an MLP, attention or layer as identity, heads,
 * neurons, directions removed. Others of its kind: of one block every other layer's; of several blocks, heads, neurons
 * random sets of as many (heads and neurons in the same layers); of directions draws from the covariance of the site's
 * values (surgery_directions.c). With --choose it is the best K of a kind by score on one half of the records, and is
 * judged on the other. Differences are paired (Tango's interval and McNemar's exact test of rates, Student's of the
 * loss). Causal removal: Vig et al. 2020 (2004.12265), Wang et al. 2022 (2211.00593); controls by random directions of
 * equal rank: Elazar et al. 2021 (2006.00995).
 *
 * Invariants: decisions with the edit are those of `predict --edit` with the saved file; without an edit those of
 * `predict`. How it fails: docs/surgery.md. Zero is not "without": what reads a value that is never 0 may answer to its
 * absence in ways that tell nothing of what it carried. */
#include "method/causal/surgery.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "call/model_edits.h"
#include "files/hash.h"
#include "model/bake.h"

/* ---- what is asked ---- */

static limn_status check_params(const Surgery *surgery) {
    const SurgeryParams *params = surgery->params;
    if (params->data.label_field.bytes == NULL) {
        return fail(LIMN_USAGE, "surgery needs --label-field: an edit is judged by what is right");
    }
    if ((params->set.n > 0) == (params->choose >= 0)) {
        return fail(LIMN_USAGE, params->choose >= 0
                                    ? "surgery: --set and --choose both say what is changed; give one"
                                    : "surgery: what is changed? Give --set EDIT, or --choose KIND to have it chosen");
    }
    if (params->choose_on.bytes != NULL && params->choose < 0) {
        return fail(LIMN_USAGE, "surgery: option 'choose-on' goes with --choose");
    }
    if (params->note.bytes != NULL && params->save_edit.bytes == NULL) {
        return fail(LIMN_USAGE, "surgery: option 'note' goes with --save-edit");
    }
    TRY(params_check_ending("save-edit", &params->save_edit, ".json"));
    return params->save_edit.bytes != NULL ? file_check_output(params->save_edit.bytes) : LIMN_OK;
}

static limn_status find_alarm(Surgery *surgery) {
    Text wanted = surgery->params->alarm;
    const ChoiceNames *names = &surgery->names;
    if (wanted.bytes == NULL) {
        return LIMN_OK;
    }
    for (surgery->alarm = 0; surgery->alarm < names->n; surgery->alarm++) {
        if (same_text(trimmed_text(wanted), names->names[surgery->alarm])) {
            return LIMN_OK;
        }
    }
    return fail(LIMN_USAGE, "surgery: option 'alarm': found '%.60s', expected one of the choices, as '%.60s'",
                wanted.bytes, names->names[0].bytes);
}

static limn_status check_bake(const Surgery *surgery) {
    if (surgery->call->common.edits.n > 0) {
        return fail(LIMN_USAGE, "surgery: option 'bake': edits in force by --edit are not baked; give them by --set");
    }
    return model_bake_check(surgery->model, surgery->params->bake.bytes);
}

static limn_status prepare(Surgery *surgery) {
    MethodCall *call = surgery->call;
    const SurgeryParams *params = surgery->params;
    TRY(check_params(surgery));
    TRY(method_engine(call, params->model.bytes, &surgery->engine));
    surgery->model = engine_model(surgery->engine);
    TRY(params->bake.bytes != NULL ? check_bake(surgery) : LIMN_OK);
    surgery->standing = engine_standing(surgery->engine, &surgery->n_standing);
    if (surgery->model->config.task == TASK_CLASSIFIER && surgery->model->config.outputs == OUTPUT_EACH) {
        return fail(LIMN_USAGE, "surgery: the labels of %s may hold together, expected a model that decides for one",
                    surgery->model->path);
    }
    TRY(choice_names_read(&surgery->names, call, surgery->model, &params->choices, params->labels));
    TRY(find_alarm(surgery));
    if (params->choose < 0) {
        TRY(edit_file_check(&surgery->model->graph, &params->set, call->arena));
        surgery->edits = params->set;
        TRY(surgery_plan(surgery)); /* its mistakes before any record is read */
        TRY(params->bake.bytes != NULL ? surgery_bake(surgery, false) : LIMN_OK);
    } else {
        TRY(surgery_list_candidates(surgery));
        if (params->count > surgery->candidates.n) {
            return fail(LIMN_RANGE, "surgery: option 'count': found %lld, the model has %d to choose among",
                        (long long)params->count, (int)surgery->candidates.n);
        }
    }
    return surgery_read_records(surgery);
}

/* ---- choosing and judging ---- */

static int by_score(const void *a, const void *b) {
    const CutSet *x = a, *y = b;
    int order = (y->effect.score > x->effect.score) - (y->effect.score < x->effect.score);
    return order != 0 ? order : (x->draw > y->draw) - (x->draw < y->draw);
}

/* The best by themselves, together. */
static limn_status choose(Surgery *surgery) {
    CutSets *sets = &surgery->candidates;
    int32_t count = (int32_t)surgery->params->count;
    TRY(surgery_decide(&surgery->before[HALF_CHOOSE], surgery, NULL, HALF_CHOOSE, -1));
    TRY(surgery_try_sets(surgery, sets, HALF_CHOOSE));
    for (int32_t i = 0; i < sets->n; i++) {
        sets->items[i].draw = i; /* equals stay in the order of the layers */
    }
    qsort(sets->items, (size_t)sets->n, sizeof *sets->items, by_score);
    Text *edits = ARENA_ARRAY(surgery->call->arena, Text, count);
    if (edits == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int32_t i = 0; i < sets->n; i++) {
        sets->items[i].draw = -1;
        if (i < count) {
            edits[i] = sets->items[i].edits.items[0];
        }
    }
    surgery->edits = (Texts){edits, count};
    return surgery_plan(surgery);
}

static limn_status judge(Surgery *surgery) {
    TRY(surgery_decide(&surgery->before[HALF_JUDGE], surgery, NULL, HALF_JUDGE, 0));
    TRY(surgery_decide(&surgery->after, surgery, &surgery->plan, HALF_JUDGE, 1));
    surgery->effect = surgery_effect(surgery, &surgery->before[HALF_JUDGE], &surgery->after);
    for (int64_t i = 0; i < surgery->n_records; i++) {
        const SurgeryRecord *record = &surgery->records[i];
        double change = fabs((double)record->loss[1] - (double)record->loss[0]);
        surgery->most_changed = isfinite(change) ? fmax(surgery->most_changed, change) : surgery->most_changed;
    }
    return LIMN_OK;
}

limn_status surgery_prepare_controls(Surgery *surgery) {
    if (surgery->params->no_controls) {
        return LIMN_OK;
    }
    TRY(surgery_list_controls(surgery));
    if (surgery->controls.n == 0) {
        return LIMN_OK;
    }
    surgery->passes += surgery->controls.n;
    for (int32_t i = 0; i < surgery->plan.n && surgery->directions.drawn == NULL; i++) {
        if (surgery->cuts[i].kind == CUT_DIRECTION) {
            surgery->passes++;
            TRY(surgery_draw_directions(surgery));
        }
    }
    return LIMN_OK;
}

static limn_status control(Surgery *surgery) {
    TRY(surgery_prepare_controls(surgery));
    return surgery->controls.n > 0 ? surgery_try_sets(surgery, &surgery->controls, HALF_JUDGE) : LIMN_OK;
}

static limn_status record_data_hash(const Surgery *surgery) {
    char hex[65];
    const HashFile file = {.path = surgery->params->data.file.bytes, .name = "data"};
    TRY(hash_files(hex, &file, 1, false, surgery->call->team));
    result_param_text(surgery->result, "data-hash", hex);
    return LIMN_OK;
}

static limn_status save_edit(const Surgery *surgery) {
    const char *path = surgery->params->save_edit.bytes;
    if (path == NULL) {
        return LIMN_OK;
    }
    const char *note = surgery_note(surgery);
    return note == NULL ? method_no_memory(surgery->call)
                        : edit_file_write(path, surgery->call->described, &surgery->edits, note, surgery->call->team,
                                          surgery->call->arena);
}

static limn_status operate(Surgery *surgery) {
    TRY(prepare(surgery));
    if (surgery->params->estimate) {
        return surgery_estimate(surgery);
    }
    surgery->passes = 2 + (surgery->candidates.n > 0 ? surgery->candidates.n + 1 : 0);
    if (surgery->params->choose >= 0) {
        TRY(choose(surgery));
    }
    TRY(judge(surgery));
    TRY(control(surgery));
    TRY(record_data_hash(surgery));
    TRY(surgery_report(surgery));
    TRY(save_edit(surgery));
    return surgery->params->bake.bytes != NULL ? surgery_bake(surgery, true) : LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    Surgery surgery = {.call = call, .params = call->params, .result = result, .plain_error = (double)NAN};
    limn_status status = operate(&surgery);
    free(surgery.records);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(SurgeryParams, model),
    DATA_WORD_ROW(SurgeryParams, data),
    {"choices", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "A,B,...",
     .help = "the continuations to choose among, leading space included: ' yes',' no'; a classifier has its classes",
     .field = offsetof(SurgeryParams, choices)},
    PARAM_ROW("labels", 0, LIMN_PARAM_TEXT, "A,B,...",
              "how the data spells the choices, in their order; without it, the choices without white space around",
              offsetof(SurgeryParams, labels)),
    {"set", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "EDIT",
     .help = EDIT_HELP ". For every prompt: without pos", .field = offsetof(SurgeryParams, set)},
    {"choose", 0, LIMN_PARAM_CHOICE, .metavar = "KIND", .choices = SURGERY_KINDS,
     .help = "have the edit chosen: the blocks or heads whose removal scores best, on other records than it is judged "
             "on",
     .field = offsetof(SurgeryParams, choose)},
    {"count", 0, LIMN_PARAM_INTEGER, .metavar = "K", .default_text = "1", .minimum = 1, .maximum = 10000,
     .help = "with --choose: remove the K best together", .field = offsetof(SurgeryParams, count)},
    PARAM_ROW("choose-on", 0, LIMN_PARAM_TEXT, "FILTER",
              "with --choose: the records it is chosen on, the others judge it; without it, half of them by their "
              "bytes",
              offsetof(SurgeryParams, choose_on)),
    PARAM_ROW("focus", 0, LIMN_PARAM_TEXT, "FILTER",
              "the records that the edit is made for; what it does to the others is its cost",
              offsetof(SurgeryParams, focus)),
    {"aim", 0, LIMN_PARAM_CHOICE, .metavar = "MEASURE", .default_text = "accuracy",
     .choices = "accuracy|loss|false-alarms|missed-alarms",
     .help = "what the edit shall better, on the records in focus", .field = offsetof(SurgeryParams, aim)},
    PARAM_ROW("alarm", 0, LIMN_PARAM_TEXT, "CHOICE", "which answer is an alarm; without it, the first of the choices",
              offsetof(SurgeryParams, alarm)),
    DATA_ROWS(SurgeryParams, data),
    CHAT_ROWS(SurgeryParams, data.chat),
    {"draws", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "200", .minimum = 1, .maximum = 10000,
     .help = "random sets that the edit is held against; of one block it is every other one",
     .field = offsetof(SurgeryParams, draws)},
    PARAM_ROW("no-controls", 0, LIMN_PARAM_FLAG, NULL, "hold the edit against no others",
              offsetof(SurgeryParams, no_controls)),
    PARAM_ROW("save-edit", 0, LIMN_PARAM_OUTPUT, "FILE", "keep the edit as .json: --edit FILE puts it in force",
              offsetof(SurgeryParams, save_edit)),
    PARAM_ROW("note", 0, LIMN_PARAM_TEXT, "TEXT", "with --save-edit: why, for who reads the file",
              offsetof(SurgeryParams, note)),
    PARAM_ROW("bake", 0, LIMN_PARAM_OUTPUT, "FOLDER",
              "write a new model folder whose weights have the edit in them, and the adapters merged",
              offsetof(SurgeryParams, bake)),
    ESTIMATE_ROW(SurgeryParams, estimate),
};

const Method method_surgery = {
    .command =
        {.name = "surgery",
         .summary = "a permanent edit: what it does to decisions",
         .description =
             "Decides a data set before and after an edit that holds for every prompt: accuracy, loss, false and "
             "missed alarms with intervals and a paired test, on all records, on those in focus and on the "
             "others. The edit is held against every other block of its kind, or random sets of heads, neurons, "
             "directions. --choose finds it on one part of the records and judges it on the other. --save-edit "
             "keeps it as a file that --edit puts in force in every command.",
         .examples = "limn surgery MODEL tweets.jsonl --prompt-field text --label-field y --choices ' yes',' no' "
                     "--set 'blocks.12.hook_mlp_out=zero'\n"
                     "limn surgery MODEL tweets.jsonl --prompt-field text --label-field y --choices ' yes',' no' "
                     "--choose layer --aim false-alarms --focus \"text ~ 'bitcoin'\" --save-edit cut.json\n"
                     "limn surgery MODEL tweets.jsonl --prompt-field text --label-field y --choices ' yes',' no' "
                     "--set 'blocks.5.attn.hook_z[head=3]=zero' --set 'blocks.5.attn.hook_z[head=7]=zero'\n"
                     "limn surgery MODEL tweets.jsonl --prompt-field text --label-field y --choices ' yes',' no' "
                     "--set 'blocks.9.hook_resid_post=erase:probe.safetensors:direction' --draws 99\n"
                     "limn predict MODEL tweets.jsonl --prompt-field text --label-field y --choices ' yes',' no' "
                     "--edit cut.json",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Surgery",
    .params_bytes = sizeof(SurgeryParams),
    .run = run,
    .explains = true,
    .about = {.answers = "What does a permanent edit do to a model's decisions, and is it this edit that does it?",
              .formula = "score = aim gained in focus - accuracy lost elsewhere\n"
                         "p = (1 + others of its kind that score no less) / (1 + others)",
              .paper = "Vig et al. 2020 (2004.12265), Wang et al. 2022 (2211.00593), Elazar et al. 2021 (2006.00995)",
              .cost =
                  "A pass over the judged records for the edit, the layers above its first change for each other one; "
                  "with --choose the same of the other records for each candidate",
              .lies = "Zero is not \"without\": layers behind may answer to a value they never saw. An edit that mends "
                      "these records may harm what is not among them; one that is chosen by its score scores best by "
                      "luck too, so only the records it was not chosen on count.",
              .measured =
                  "examples/bankrun, planted fault: layer 28, chosen on one half, takes false alarms with bitcoin "
                  "from 63% to 37% on the other (-26 points [-49, -5]); 3 of 29 other layers score as well "
                  "(docs/surgery.md has the command)"},
};
