/* Edits of one prompt, answered from a run that is kept warm.
 *
 *     now = softmax(logits(prompt, edits)), before = softmax(logits(prompt, the edits of --against))
 *     KL(before || now) = sum_v before(v) log(before(v) / now(v)), in nats
 *
 * The clean run lives in the context (measure/live.h): the first call makes it, later ones of the same prompt cost what
 * their edits change. A call says all its edits, so there is no state to lose: to undo is to ask with one less.
 *
 * Invariants: the answer is that of `run --set` with the same edits, to the rounding of chains that run in pieces
 * (check "plain pass"), whatever was asked before. How it fails: as any edit: a changed run is one that no prompt
 * gives. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ask/prompt.h"
#include "ask/target.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "call/estimate.h"
#include "call/model_edits.h"
#include "call/open.h"
#include "edit/edits.h"
#include "measure/distribution.h"
#include "measure/live.h"

typedef struct LiveParams {
    Text model;
    PromptParams prompt;
    ParamTexts set;
    ParamTexts against;
    Text at;
    int64_t top;
    int32_t check; /* "pass|none" */
    Text save_edit;
    Text note;
    bool estimate;
} LiveParams;

typedef struct Live {
    MethodCall *call;
    const LiveParams *params;
    Result *result;
    Model *model;
    Prompt prompt;
    SequenceInput sequence;
    int32_t row; /* where the answer is read */
    LiveEngine *engine;
    const char *key;
    int32_t width;
    EditPlan edits;
    const float *before, *now; /* [width] logits */
    double divergence;         /* KL(before || now) */
    double moved;              /* half the sum of differences of probabilities */
    double row_layers;
} Live;

/* ---- what is asked ---- */

/* All that the warm run depends on. */
static limn_status make_key(Live *live) {
    const CommonOptions *common = &live->call->common;
    TextBuffer key = TEXT_BUFFER_INIT;
    text_buffer_printf(&key, "live %p %p %d %d %zu %d:", (const void *)live->model, (const void *)live->call->edits,
                       (int)common->dtype, (int)common->backend, common->memory, (int)live->row);
    for (int32_t i = 0; i < live->prompt.n; i++) {
        text_buffer_printf(&key, " %d/%d/%d", (int)live->prompt.ids[i],
                           live->prompt.types != NULL ? (int)live->prompt.types[i] : 0,
                           live->prompt.mask != NULL ? (int)live->prompt.mask[i] : 1);
    }
    live->key = key.data != NULL && !key.failed ? arena_strdup(live->call->arena, key.data) : NULL;
    text_buffer_free(&key);
    return live->key != NULL ? LIMN_OK : method_no_memory(live->call);
}

static void free_live(void *object) {
    live_free(object);
}

static limn_status open_engine(Live *live) {
    MethodCall *call = live->call;
    EngineOptions options = engine_options_of(&call->common);
    options.edits = call->edits != NULL ? call->edits->edits : NULL;
    options.n_edits = call->edits != NULL ? call->edits->n_edits : 0;
    live->engine = method_take_kept(call, live->key);
    if (live->engine == NULL) {
        TRY(live_new(&live->engine, live->model, &options, &live->sequence, live->row, call->progress));
    }
    engine_set_threads(live_engine(live->engine), options.threads);
    call->engine = live_engine(live->engine);
    live->width = live_width(live->engine);
    return LIMN_OK;
}

static limn_status prepare(Live *live) {
    MethodCall *call = live->call;
    const LiveParams *params = live->params;
    TRY(params_check_ending("save-edit", &params->save_edit, ".json"));
    TRY(params->save_edit.bytes != NULL ? file_check_output(params->save_edit.bytes) : LIMN_OK);
    TRY(method_model(call, params->model.bytes, &live->model));
    call->described = live->model;
    model_hash_start(live->model);
    TRY(prompt_read(&live->prompt, call, live->model, &params->prompt));
    prompt_describe(live->result, call, live->model, &live->prompt);
    live->sequence = prompt_sequence(&live->prompt);
    live->row = answer_row(live->model, &live->prompt);
    if (params->at.bytes != NULL) {
        TRY(position_parse(&live->row, params->at.bytes, live->model, &live->prompt));
    }
    if (live->row < 0) {
        return fail(LIMN_USAGE, "live: the prompt has no mask token, where is the answer read? Give --at");
    }
    return make_key(live);
}

/* ---- answers ---- */

static limn_status ask(Live *live, EditPlan *plan, const ParamTexts *texts, const float **logits) {
    Arena *arena = live->call->arena;
    LiveAnswer answer;
    Edit *edits;
    int32_t n;
    live->row_layers = 0;
    *plan = (EditPlan){0};
    if (texts->n == 0) { /* known since the run was made */
        *logits = live_clean(live->engine);
        return LIMN_OK;
    }
    TRY(edit_plan(plan, &live->model->graph, texts, live->prompt.n, live->prompt.n, arena));
    TRY(edit_plan_bind(&edits, &n, plan, 0, live->prompt.n, live->prompt.n, arena));
    TRY(live_ask(&answer, live->engine, edits, n, live->call->progress));
    float *copy = arena_alloc(arena, (size_t)live->width * sizeof *copy);
    if (copy == NULL) {
        return method_no_memory(live->call);
    }
    memcpy(copy, answer.logits, (size_t)live->width * sizeof *copy);
    *logits = copy;
    live->row_layers = answer.row_layers;
    return LIMN_OK;
}

/* A full pass with these edits. */
static RunRequest full_pass(const Live *live, const OutputRow *output, const Edit *edits, int32_t n) {
    return (RunRequest){.sequences = &live->sequence,
                        .n_sequences = 1,
                        .outputs = output,
                        .n_outputs = 1,
                        .edits = edits,
                        .n_edits = n,
                        .logits = true};
}

/* The same edits in a pass of their own: what is warm must not show. */
static limn_status check_pass(const Live *live) {
    MethodCall *call = live->call;
    Edit *edits;
    int32_t n;
    if (live->params->check != 0) {
        return LIMN_OK;
    }
    TRY(edit_plan_bind(&edits, &n, &live->edits, 0, live->prompt.n, live->prompt.n, call->arena));
    const OutputRow output = {.row = live->row, .target = -1};
    const RunRequest request = full_pass(live, &output, edits, n);
    TRY(engine_run(live_engine(live->engine), &request, call->progress));
    const float *full = engine_logits(live_engine(live->engine));
    double largest = 0, most = 1;
    for (int32_t i = 0; i < live->width; i++) {
        double difference = fabs((double)full[i] - (double)live->now[i]);
        largest = difference <= largest ? largest : difference; /* NaN stays */
        most = fmax(most, fabs((double)full[i]));
    }
    double limit = call->common.dtype == (int32_t)COMPUTE_BF16 ? 2e-2 : 5e-5;
    result_check(live->result, "plain-pass", largest / most, CHECK_AT_MOST, limit,
                 SAY(call, "largest difference of a logit to a full pass with the same edits, over the largest logit",
                     "与带同样修改的完整计算相比，logit 的最大差异（相对最大 logit）"));
    return LIMN_OK;
}

/* ---- what it says ---- */

/* The likeliest of either, once each: those now first. */
static int32_t likeliest(const Live *live, int32_t *ids) {
    int32_t top = (int32_t)live->params->top < live->width ? (int32_t)live->params->top : live->width, n = top;
    int32_t *others = ids + top;
    logit_top(ids, top, live->now, live->width);
    logit_top(others, top, live->before, live->width);
    for (int32_t i = 0; i < top; i++) {
        int32_t id = others[i];
        bool there = false;
        for (int32_t k = 0; k < n && !there; k++) {
            there = ids[k] == id;
        }
        if (!there) {
            ids[n++] = id;
        }
    }
    return n;
}

static double probability(const Live *live, const float *logits, int32_t id, double total) {
    return exp(output_log_probability(live->model, logits[id], total));
}

static limn_status add_distribution(const Live *live) {
    static const TableColumn columns[] = {{TEXT("token"), COLUMN_TOKEN},      {TEXT("id"), COLUMN_INTEGER},
                                          {TEXT("now"), COLUMN_PROBABILITY},  {TEXT("before"), COLUMN_PROBABILITY},
                                          {TEXT("difference"), COLUMN_SHARE}, {TEXT("clean"), COLUMN_PROBABILITY}};
    MethodCall *call = live->call;
    const float *clean = live_clean(live->engine);
    int32_t *ids = ARENA_ARRAY(call->arena, int32_t, 2 * (live->params->top + 1));
    if (ids == NULL) {
        return method_no_memory(call);
    }
    int32_t n = likeliest(live, ids);
    double now = output_total(live->model, live->now, live->width);
    double before = output_total(live->model, live->before, live->width);
    double unedited = output_total(live->model, clean, live->width);
    TableBlock *table =
        result_add_table(live->result, "distribution", SAY(call, "Now and before", "现在与之前"), columns, 6);
    result_block_note(live->result,
                      SAY(call,
                          "before: with the edits of --against; clean: without any; the likeliest of now and before",
                          "before：--against 的修改；clean：不加修改；列出现在与之前最可能的"));
    for (int32_t i = 0; i < n; i++) {
        Text token = output_text(call, live->model, ids[i]);
        double p = probability(live, live->now, ids[i], now), q = probability(live, live->before, ids[i], before);
        const Value cells[] = {value_bytes(token.bytes, token.length),
                               value_integer(ids[i]),
                               value_number(p),
                               value_number(q),
                               value_number(p - q),
                               value_number(probability(live, clean, ids[i], unedited))};
        table_row(table, cells);
    }
    return LIMN_OK;
}

/* Both at once: a vocabulary is long. */
static void measure_change(Live *live) {
    double now = output_total(live->model, live->now, live->width);
    double before = output_total(live->model, live->before, live->width);
    live->divergence = live->moved = 0;
    for (int32_t i = 0; i < live->width && live->now != live->before; i++) {
        double log_p = output_log_probability(live->model, live->before[i], before);
        double log_q = output_log_probability(live->model, live->now[i], now);
        double p = exp(log_p);
        live->divergence += isfinite(log_p) ? p * (log_p - log_q) : 0;
        live->moved += fabs(exp(log_q) - p) / 2;
    }
}

static void add_change(const Live *live) {
    static const TableColumn columns[] = {{TEXT("measure"), COLUMN_TEXT}, {TEXT("value"), COLUMN_NUMBER}};
    const MethodCall *call = live->call;
    TableBlock *table = result_add_table(live->result, "change", SAY(call, "How much changed", "变化多少"), columns, 2);
    const Value divergence_cells[] = {value_text("KL(before || now)"), value_number(live->divergence)};
    const Value moved_cells[] = {value_text(SAY(call, "probability moved", "移动的概率")), value_number(live->moved)};
    const Value work_cells[] = {value_text(SAY(call, "rows x layers computed", "计算的行 x 层")),
                                value_number(live->row_layers)};
    const Value all_cells[] = {value_text(SAY(call, "rows x layers of a full pass", "完整计算的行 x 层")),
                               value_number((double)live->prompt.n * live->model->config.n_layers)};
    table_row(table, divergence_cells);
    table_row(table, moved_cells);
    table_row(table, work_cells);
    table_row(table, all_cells);
}

static void add_word(TextBuffer *out, const char *text) {
    bool plain = text[0] != '\0' && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                                 "_-./:=,+") == strlen(text);
    text_buffer_add(out, plain ? " " : " '");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'') {
            text_buffer_add(out, "'\\''");
        } else {
            text_buffer_add_char(out, *c);
        }
    }
    text_buffer_add(out, plain ? "" : "'");
}

static void add_option(TextBuffer *out, const char *option, const char *value) {
    text_buffer_printf(out, " %s", option);
    add_word(out, value);
}

/* Chats, files and texts with NULs inside as the ids they come to. */
static void add_prompt(TextBuffer *out, const Live *live) {
    Text text = live->params->prompt.prompt;
    if (text.bytes != NULL && strlen(text.bytes) == text.length) {
        add_option(out, "-p", text.bytes);
        return;
    }
    text_buffer_add(out, " --ids ");
    for (int32_t i = 0; i < live->prompt.n; i++) {
        text_buffer_printf(out, "%s%d", i > 0 ? "," : "", (int)live->prompt.ids[i]);
    }
}

/* The command that gives the same without anything warm. */
static limn_status add_command(const Live *live) {
    const LiveParams *params = live->params;
    const CommonOptions *common = &live->call->common;
    TextBuffer out = TEXT_BUFFER_INIT;
    text_buffer_add(&out, "limn run");
    add_word(&out, params->model.bytes);
    for (int32_t i = 0; i < common->adapters.n; i++) {
        add_option(&out, "--adapter", common->adapters.items[i].bytes);
    }
    for (int32_t i = 0; i < common->edits.n; i++) {
        add_option(&out, "--edit", common->edits.items[i].bytes);
    }
    if (common->dtype == (int32_t)COMPUTE_BF16) {
        text_buffer_add(&out, " --dtype bf16");
    }
    if (common->frame == (int32_t)FRAME_TRANSFORMERLENS) {
        text_buffer_add(&out, " --frame transformerlens");
    }
    if (common->bos != (int32_t)BOS_AUTO) {
        text_buffer_printf(&out, " --bos %s", common->bos == (int32_t)BOS_YES ? "yes" : "no");
    }
    add_prompt(&out, live);
    for (int32_t i = 0; i < params->set.n; i++) {
        add_option(&out, "--set", params->set.items[i].bytes);
    }
    limn_status status = text_buffer_status(&out);
    if (status == LIMN_OK) {
        result_add_text(live->result, "command",
                        SAY(live->call, "The command that gives the same", "得到同样结果的命令"), out.data, out.length,
                        true);
        result_block_detail(live->result);
    }
    text_buffer_free(&out);
    return status;
}

static void say(const Live *live) {
    MethodCall *call = live->call;
    int32_t best = logit_argmax(live->now, live->width), was = logit_argmax(live->before, live->width);
    Text now = output_text(call, live->model, best), before = output_text(call, live->model, was);
    double total = output_total(live->model, live->now, live->width);
    double total_before = output_total(live->model, live->before, live->width);
    result_headline(
        live->result,
        SAY(call, "'%.*s' %.1f%%, before '%.*s' %.1f%%; KL %.3g", "“%.*s” %.1f%%，之前“%.*s” %.1f%%；KL %.3g"),
        (int)now.length, now.bytes, 100 * probability(live, live->now, best, total), (int)before.length, before.bytes,
        100 * probability(live, live->before, was, total_before), live->divergence);
}

/* ---- what it would take ---- */

/* The run is made and kept; what its first answer took is a full pass's time. Weights are taken as warm as they are
 * after many edits. */
static limn_status estimate(Live *live) {
    enum { OWN = 4, MANY = 100 };
    MethodCall *call = live->call;
    Engine *engine = live_engine(live->engine);
    const OutputRow output = {.row = live->row, .target = -1};
    Edit *edits;
    int32_t n;
    SweepWork work = {0};
    RunEstimate full;
    MemoryEstimate memory = {.kept = live_bytes(live->engine) + 2 * (size_t)live->width * sizeof(float)};
    TRY(edit_plan(&live->edits, &live->model->graph, &live->params->set, live->prompt.n, live->prompt.n, call->arena));
    TRY(edit_plan_bind(&edits, &n, &live->edits, 0, live->prompt.n, live->prompt.n, call->arena));
    TRY(live_estimate(&work, live->engine, edits, n));
    const RunRequest request = full_pass(live, &output, edits, n);
    TRY(engine_estimate(engine, &request, &full));
    TRY(engine_estimate_weights(engine, &request, MANY, &memory.faster));
    double started = estimate_clock();
    TRY(engine_run(engine, &request, call->progress));
    double seconds = full.flops > 0 ? (estimate_clock() - started) * work.flops / full.flops : 0;
    size_t most = full.bytes > work.bytes ? full.bytes : work.bytes;
    memory.work = most > engine_working_bytes(engine) ? most : engine_working_bytes(engine);
    EstimateRow rows[OWN + ESTIMATE_MEMORY_ROWS] = {{"rows x layers of the edits", work.row_layers, "rows x layers"},
                                                    {"arithmetic of the edits", work.flops / 1e9, "GFLOP"},
                                                    {"arithmetic of a full pass", full.flops / 1e9, "GFLOP"},
                                                    {"time of the edits once warm, about", seconds, "s"}};
    estimate_memory_rows(rows + OWN, live->model, &memory);
    estimate_table(live->result, call, rows, OWN + ESTIMATE_MEMORY_ROWS);
    result_headline(live->result, SAY(call, "About %.3g s for the edits, once warm", "预热后，这些修改约需 %.3g 秒"),
                    seconds);
    return LIMN_OK;
}

static limn_status answer(Live *live) {
    EditPlan against;
    TRY(open_engine(live));
    if (live->params->estimate) {
        return estimate(live);
    }
    TRY(ask(live, &against, &live->params->against, &live->before));
    TRY(ask(live, &live->edits, &live->params->set, &live->now));
    int32_t bad = logit_count_not_finite(live->now, live->width);
    result_check(live->result, "finite", (double)bad, CHECK_AT_MOST, 0,
                 SAY(live->call, "outputs that are NaN or infinite", "为 NaN 或无穷的输出"));
    if (bad == 0) {
        measure_change(live);
        say(live);
        TRY(add_distribution(live));
        add_change(live);
    } else {
        result_headline(
            live->result,
            SAY(live->call, "No answer: %d outputs are NaN or infinite", "没有答案：%d 个输出为 NaN 或无穷"), (int)bad);
    }
    edit_plan_describe(live->result, &live->edits, SAY(live->call, false, true));
    TRY(add_command(live));
    return check_pass(live);
}

static limn_status save_edit(const Live *live) {
    const LiveParams *params = live->params;
    if (params->save_edit.bytes == NULL) {
        return LIMN_OK;
    }
    if (params->set.n == 0) {
        return fail(LIMN_USAGE, "live: nothing is changed, so there is no edit to save");
    }
    return edit_file_write(params->save_edit.bytes, live->model, &params->set,
                           params->note.bytes != NULL ? params->note.bytes : "", live->call->team, live->call->arena);
}

static limn_status run(MethodCall *call, Result *result) {
    Live live = {.call = call, .params = call->params, .result = result};
    TRY(prepare(&live));
    limn_status status = answer(&live);
    if (live.engine != NULL) { /* a refused edit leaves it warm */
        ErrorState error;
        error_save(&error);
        limn_status kept = method_keep(call, live.key, live.engine, free_live);
        status = status != LIMN_OK ? error_restore(&error) : kept;
    }
    TRY(status);
    TRY(live.params->estimate ? LIMN_OK : save_edit(&live));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(LiveParams, model),
    PROMPT_ROWS(LiveParams, prompt),
    {"set", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "EDIT", .help = EDIT_HELP,
     .field = offsetof(LiveParams, set)},
    {"against", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "EDIT",
     .help = "edits of what it is compared with; none: the prompt as it is", .field = offsetof(LiveParams, against)},
    PARAM_ROW("at", 0, LIMN_PARAM_TEXT, "POS",
              "the position whose answer is watched; without it, where the model answers", offsetof(LiveParams, at)),
    {"top", 'n', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "5", .minimum = 1, .maximum = 100000,
     .help = "how many of the likeliest tokens or classes to show", .field = offsetof(LiveParams, top)},
    {"check", 0, LIMN_PARAM_CHOICE, .metavar = "WHAT", .default_text = "pass", .choices = "pass|none",
     .help = "hold the answer against a full pass, which takes as long as one", .field = offsetof(LiveParams, check)},
    PARAM_ROW("save-edit", 0, LIMN_PARAM_OUTPUT, "FILE",
              "keep the edits (without positions) as .json: --edit FILE puts them in force",
              offsetof(LiveParams, save_edit)),
    PARAM_ROW("note", 0, LIMN_PARAM_TEXT, "TEXT", "with --save-edit: why, for who reads the file",
              offsetof(LiveParams, note)),
    ESTIMATE_ROW(LiveParams, estimate),
};

const Method method_live = {
    .command =
        {.name = "live",
         .summary = "change a running model and watch its answer",
         .description =
             "Keeps the prompt's run warm and answers each edit at the cost of what it changes. A line is an edit "
             "as for --set, and acts beside those before it; /undo takes the last one back, /compare shows now "
             "beside the prompt as it is, /list, /clear, /prompt TEXT, /sites PATTERN, /top N, /command prints "
             "the command that gives the same, /save FILE.json keeps the edits, /quit leaves. Without a terminal "
             "each line of standard input is one of these; with --json, --format or -o it answers once.",
         .examples = "limn live MODEL -p 'The capital of France is'\n"
                     "limn live MODEL -p 'The capital of France is' --set 'blocks.12.hook_mlp_out[pos=3]=zero' "
                     "--json\n"
                     "printf '%s\\n' 'blocks.9.attn.hook_z[head=3]=zero' /undo /command | limn live MODEL -p TEXT",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Live edits",
    .params_bytes = sizeof(LiveParams),
    .run = run,
    .explains = true,
};
