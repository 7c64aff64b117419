/* Many sets of edits, decided on the same records. Below its first edit a changed model is the model as it is, so each
 * record's run is kept once, and every set joins it there (run/sweep.h): a set whose edits begin in layer l of L costs
 * (L - l) / L of a pass. The answers are those of full passes (check "plain pass").
 *
 * Passes are cheaper where all prompts begin with the same long text, which a pass computes once for all records; and
 * where a choice has several tokens, only they can score it. */
#include <math.h>
#include <string.h>

#include "base/integers.h"
#include "measure/choice_tokens.h"
#include "measure/distribution.h"
#include "method/causal/surgery.h"
#include "run/sweep.h"

enum { RUN_ROWS = 2048, PLAIN_RECORDS = 2 };

typedef struct Trial {
    Surgery *surgery;
    CutSets *sets;
    ChoiceOptions options;
    ChoiceTokens tokens;
    Arena arena;          /* edits of the sets */
    Arena scratch;        /* one record */
    Counterfactual *list; /* [sets->n] */
    NodeId *editable;     /* [n_editable] sites that any set edits */
    int32_t n_editable;
    double share; /* of a pass that a set costs, mean */
    bool keyed;   /* a site's width depends on the prompt */
    /* what the prompts are like */
    bool several; /* some choice has more than one token */
    int64_t rows, records;
    int32_t *longest; /* [n_longest] tokens of the longest prompt */
    int32_t n_longest;
    int32_t *head; /* [n_head] what all begin with */
    int32_t n_head;
    /* the record at hand */
    ChoicePrompt prompt;
    int64_t place;
    double *logs;  /* [sets->n, choices] */
    int32_t plain; /* records compared with full passes so far */
} Trial;

/* ---- what the sets edit ---- */

static void note_editable(Trial *trial, NodeId node) {
    for (int32_t i = 0; i < trial->n_editable; i++) {
        if (trial->editable[i] == node) {
            return;
        }
    }
    trial->editable[trial->n_editable++] = node;
}

static limn_status bind_set(Trial *trial, int32_t index) {
    Surgery *surgery = trial->surgery;
    const Graph *graph = &surgery->model->graph;
    EditPlan plan;
    Edit *edits;
    int32_t n, layer = surgery->model->config.n_layers;
    TRY(surgery_plan_set(&plan, surgery, &trial->sets->items[index], &trial->arena));
    TRY(edit_plan_bind_all(&edits, &n, &plan, &trial->arena));
    for (int32_t i = 0; i < n; i++) {
        const Op *op = &graph->nodes[edits[i].node].op;
        trial->keyed = trial->keyed || (op->out.n_dims == 2 && op->out.dims[1] == DIM_KEYS);
        layer = op->layer < layer ? op->layer : layer;
        note_editable(trial, edits[i].node);
    }
    trial->list[index] = (Counterfactual){.edits = edits, .n_edits = n};
    layer = layer < 0 ? 0 : layer;
    trial->share +=
        (double)(surgery->model->config.n_layers - layer) / surgery->model->config.n_layers / trial->sets->n;
    return LIMN_OK;
}

static limn_status open_trial(Trial *trial) {
    Surgery *surgery = trial->surgery;
    int32_t n = trial->sets->n;
    trial->options = (ChoiceOptions){.texts = surgery->names.choices, .n = surgery->names.n, .encode = surgery->encode};
    trial->tokens = (ChoiceTokens){.call = surgery->call, .model = surgery->model, .options = &trial->options};
    TRY(choice_tokens_prepare(&trial->tokens));
    trial->list = ARENA_ARRAY(&trial->arena, Counterfactual, n + 1);
    trial->editable = ARENA_ARRAY(&trial->arena, NodeId, surgery->model->graph.n_nodes + 1);
    trial->logs = ARENA_ARRAY(&trial->arena, double, (int64_t)n * surgery->names.n + 1);
    if (trial->list == NULL || trial->editable == NULL || trial->logs == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int32_t i = 0; i < n; i++) {
        TRY(bind_set(trial, i));
    }
    return LIMN_OK;
}

/* ---- what the prompts are like ---- */

static limn_status encode(Trial *trial, Text text, bool *scored) {
    ChoiceOutcome outcome = {0};
    limn_status status = choice_tokens_encode(&trial->prompt, &outcome, &trial->tokens, text, &trial->scratch);
    *scored = status == LIMN_OK;
    if (!*scored && trial->surgery->params->data.on_error == ON_ERROR_SKIP && status_is_of_input(status)) {
        error_clear();
        return LIMN_OK; /* the pass before left it out, and said so */
    }
    return status;
}

static limn_status copy_ids(int32_t **copy, Trial *trial) {
    const ChoicePrompt *prompt = &trial->prompt;
    *copy = ARENA_ARRAY(&trial->arena, int32_t, prompt->n + 1);
    if (*copy == NULL) {
        return method_no_memory(trial->surgery->call);
    }
    memcpy(*copy, prompt->ids, (size_t)prompt->n * sizeof **copy);
    return LIMN_OK;
}

static limn_status shorten_head(Trial *trial) {
    const ChoicePrompt *prompt = &trial->prompt;
    int32_t n = 0;
    if (trial->records == 1) {
        TRY(copy_ids(&trial->head, trial));
        trial->n_head = prompt->n;
    }
    while (n < trial->n_head && n < prompt->n && trial->head[n] == prompt->ids[n]) {
        n++;
    }
    trial->n_head = n;
    return LIMN_OK;
}

static limn_status look_at_window(void *context, const Text *prompts, const int64_t *records, int32_t n) {
    Trial *trial = context;
    (void)records;
    for (int32_t i = 0; i < n; i++) {
        bool scored;
        arena_reset(&trial->scratch);
        TRY(encode(trial, prompts[i], &scored));
        if (!scored) {
            continue;
        }
        for (int32_t c = 0; trial->prompt.tails != NULL && c < trial->options.n; c++) {
            trial->several = trial->several || trial->prompt.n_tails[c] > 1;
        }
        trial->records++;
        trial->rows += trial->prompt.n;
        TRY(shorten_head(trial));
        if (trial->prompt.n > trial->n_longest) {
            TRY(copy_ids(&trial->longest, trial));
            trial->n_longest = trial->prompt.n;
        }
    }
    return LIMN_OK;
}

/* Is it less work than a pass for each set? */
static bool is_worth_it(const Trial *trial) {
    double of_pass = (double)trial->rows;
    if (trial->surgery->model->config.causal) {
        of_pass -= (double)trial->n_head * (double)(trial->records - 1);
    }
    double of_set = (double)trial->rows * (trial->share + 1.0 / trial->sets->n);
    return !trial->several && !trial->keyed && of_set < of_pass;
}

/* ---- one record ---- */

static RunRequest ask_of(const Trial *trial, const OutputRow *output) {
    return (RunRequest){.outputs = output,
                        .n_outputs = 1,
                        .logits = true,
                        .editable = trial->editable,
                        .n_editable = trial->n_editable};
}

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    Trial *trial = context;
    const Model *model = trial->surgery->model;
    int32_t n = trial->options.n;
    int32_t width = model->config.task == TASK_CLASSIFIER ? model->config.n_classes : model->config.n_vocab;
    double total = output_total(model, answer->logits, width), *logs = trial->logs + (int64_t)answer->index * n;
    for (int32_t c = 0; c < n; c++) {
        int32_t id = trial->prompt.tails != NULL ? trial->prompt.tails[c][0] : c;
        logs[c] = output_log_probability(model, answer->logits[id], total);
    }
    return LIMN_OK;
}

/* One set in a pass of its own, beside what the sweep gave. */
static limn_status compare_with_pass(Trial *trial, const SequenceInput *input, const RunRequest *ask, int32_t index) {
    Surgery *surgery = trial->surgery;
    const Counterfactual *set = &trial->list[index];
    Edit *edits = ARENA_ARRAY(&trial->scratch, Edit, set->n_edits + 1);
    double *swept = ARENA_ARRAY(&trial->scratch, double, trial->options.n);
    double *logs = trial->logs + (int64_t)index * trial->options.n;
    if (edits == NULL || swept == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int32_t i = 0; i < set->n_edits; i++) {
        edits[i] = set->edits[i];
        edits[i].sequence = 0;
    }
    RunRequest request = *ask;
    request.sequences = input;
    request.n_sequences = 1;
    request.edits = edits;
    request.n_edits = set->n_edits;
    request.editable = NULL;
    request.n_editable = 0;
    TRY(engine_run(surgery->engine, &request, surgery->call->progress));
    memcpy(swept, logs, (size_t)trial->options.n * sizeof *swept);
    const CounterfactualAnswer plain = {.index = index, .logits = engine_logits(surgery->engine)};
    TRY(take(trial, &plain));
    for (int32_t c = 0; c < trial->options.n; c++) {
        double error = fabs(logs[c] - swept[c]);
        bool more = isnan(surgery->plain_error) || error > surgery->plain_error;
        surgery->plain_error = more ? error : surgery->plain_error;
        logs[c] = swept[c];
    }
    return LIMN_OK;
}

static limn_status sweep_record(Trial *trial, CleanRun *clean, const SequenceInput *input) {
    Surgery *surgery = trial->surgery;
    const OutputRow output = {.row = trial->prompt.row, .target = -1};
    const RunRequest ask = ask_of(trial, &output);
    const SweepOptions options = {.run_rows = RUN_ROWS};
    Sweep *sweep;
    for (int32_t i = 0; i < trial->sets->n; i++) {
        trial->list[i].clean = clean;
    }
    TRY(sweep_new(&sweep, surgery->engine, &ask, &options));
    limn_status status = sweep_run(sweep, trial->list, trial->sets->n, take, trial, surgery->call->progress);
    sweep_free(sweep);
    TRY(status);
    if (trial->plain < PLAIN_RECORDS) {
        TRY(compare_with_pass(trial, input, &ask, trial->plain % trial->sets->n));
        trial->plain++;
    }
    for (int32_t i = 0; i < trial->sets->n; i++) {
        surgery_count(&trial->sets->items[i].tallies, surgery, trial->place,
                      trial->logs + (int64_t)i * trial->options.n, -1);
    }
    return LIMN_OK;
}

static limn_status try_record(Trial *trial) {
    Surgery *surgery = trial->surgery;
    const SequenceInput input = {.ids = trial->prompt.ids, .n = trial->prompt.n};
    const CleanRunOptions kept = {.editable = trial->editable, .n_editable = trial->n_editable};
    CleanRun *clean;
    TRY(clean_run_new(&clean, surgery->engine, &input, &kept, surgery->call->progress));
    limn_status status = sweep_record(trial, clean, &input);
    clean_run_free(clean);
    return status;
}

static limn_status try_window(void *context, const Text *prompts, const int64_t *records, int32_t n) {
    Trial *trial = context;
    Surgery *surgery = trial->surgery;
    for (int32_t i = 0; i < n; i++) {
        bool scored;
        arena_reset(&trial->scratch);
        trial->place = records[i];
        TRY(encode(trial, prompts[i], &scored));
        if (scored && !surgery->records[records[i]].left_out) {
            TRY(try_record(trial));
        }
    }
    return LIMN_OK;
}

static limn_status sweep_sets(Trial *trial, SurgeryHalf half, bool *swept) {
    TRY(open_trial(trial));
    trial->surgery->passes++;
    TRY(surgery_each_window(trial->surgery, half, look_at_window, trial));
    *swept = is_worth_it(trial);
    if (!*swept) {
        return LIMN_OK;
    }
    trial->surgery->passes -= trial->sets->n - 1; /* one walk over the records for all sets */
    return surgery_each_window(trial->surgery, half, try_window, trial);
}

/* Each set in passes of its own. */
static limn_status pass_sets(Surgery *surgery, CutSets *sets, SurgeryHalf half) {
    for (int32_t i = 0; i < sets->n; i++) {
        Arena arena;
        EditPlan plan;
        arena_init(&arena);
        limn_status status = surgery_plan_set(&plan, surgery, &sets->items[i], &arena);
        status = status == LIMN_OK ? surgery_decide(&sets->items[i].tallies, surgery, &plan, half, -1) : status;
        arena_free(&arena);
        TRY(status);
    }
    return LIMN_OK;
}

/* ---- what it would take ---- */

/* Of the longest prompt: its kept run, and the largest run of the sets that join it. */
static limn_status cost_longest(SurgeryCost *cost, Trial *trial, const SequenceInput *input, const RunRequest *ask) {
    Surgery *surgery = trial->surgery;
    const CleanRunOptions kept = {.editable = trial->editable, .n_editable = trial->n_editable};
    const SweepOptions options = {.run_rows = RUN_ROWS};
    CleanRun *clean;
    Sweep *sweep = NULL;
    SweepWork work = {0};
    TRY(clean_run_new(&clean, surgery->engine, input, &kept, surgery->call->progress));
    for (int32_t i = 0; i < trial->sets->n; i++) {
        trial->list[i].clean = clean;
    }
    limn_status status = sweep_new(&sweep, surgery->engine, ask, &options);
    status = status == LIMN_OK ? sweep_estimate(sweep, trial->list, trial->sets->n, &work) : status;
    sweep_free(sweep);
    cost->memory.kept = clean_run_bytes(clean);
    cost->memory.work = work.bytes;
    clean_run_free(clean);
    return status;
}

static limn_status find_cost(SurgeryCost *cost, Trial *trial, SurgeryHalf half) {
    enum { MANY = 100 };
    Surgery *surgery = trial->surgery;
    TRY(open_trial(trial));
    TRY(surgery_each_window(surgery, half, look_at_window, trial));
    bool sweeps = trial->sets->n > 0 && is_worth_it(trial);
    cost->passes = sweeps ? trial->share * trial->sets->n + 1 : trial->sets->n;
    const SequenceInput input = {.ids = trial->longest, .n = trial->n_longest};
    const OutputRow output = {.row = trial->n_longest - 1, .target = -1};
    const RunRequest ask = ask_of(trial, &output);
    if (trial->n_longest == 0) {
        return LIMN_OK;
    }
    RunRequest pass = ask;
    pass.sequences = &input;
    pass.n_sequences = 1;
    TRY(engine_estimate_weights(surgery->engine, &pass, MANY, &cost->memory.faster));
    return sweeps ? cost_longest(cost, trial, &input, &ask) : LIMN_OK;
}

limn_status surgery_cost(SurgeryCost *cost, Surgery *surgery, CutSets *sets, SurgeryHalf half) {
    Trial trial = {.surgery = surgery, .sets = sets};
    *cost = (SurgeryCost){0};
    arena_init(&trial.arena);
    arena_init(&trial.scratch);
    limn_status status = find_cost(cost, &trial, half);
    arena_free(&trial.scratch);
    arena_free(&trial.arena);
    return status;
}

/* ---- all ---- */

static void clear_tallies(CutSets *sets) {
    for (int32_t i = 0; i < sets->n; i++) {
        sets->items[i].tallies = (SurgeryTallies){0};
    }
}

limn_status surgery_try_sets(Surgery *surgery, CutSets *sets, SurgeryHalf half) {
    Trial trial = {.surgery = surgery, .sets = sets};
    bool swept = false;
    arena_init(&trial.arena);
    arena_init(&trial.scratch);
    clear_tallies(sets);
    limn_status status = sweep_sets(&trial, half, &swept);
    arena_free(&trial.scratch);
    arena_free(&trial.arena);
    if (status == LIMN_NO_MEMORY) { /* no room for a run that is kept: passes need less */
        error_clear();
        clear_tallies(sets);
        swept = false;
        status = LIMN_OK;
    }
    TRY(status);
    TRY(swept ? LIMN_OK : pass_sets(surgery, sets, half));
    for (int32_t i = 0; i < sets->n; i++) {
        sets->items[i].effect = surgery_effect(surgery, &surgery->before[half], &sets->items[i].tallies);
    }
    return LIMN_OK;
}
