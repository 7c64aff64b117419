/* surgery --estimate: memory of the heaviest pass and of the longest prompt, time from one window of records. */
#include "method/causal/surgery.h"

/* Windows of a half by the bytes of their prompts. */
typedef struct Windows {
    Surgery *surgery;
    int64_t at, heaviest, most, bytes;
    double seconds; /* of the heaviest */
} Windows;

static int64_t bytes_of(const Text *prompts, int32_t n) {
    int64_t bytes = 0;
    for (int32_t i = 0; i < n; i++) {
        bytes += (int64_t)prompts[i].length;
    }
    return bytes;
}

static limn_status weigh_window(void *context, const Text *prompts, const int64_t *records, int32_t n) {
    Windows *windows = context;
    int64_t bytes = bytes_of(prompts, n);
    (void)records;
    windows->heaviest = bytes > windows->most ? windows->at : windows->heaviest;
    windows->most = bytes > windows->most ? bytes : windows->most;
    windows->bytes += bytes;
    windows->at++;
    return LIMN_OK;
}

/* Twice: the first prepares weights and programs. */
static limn_status time_window(void *context, const Text *prompts, const int64_t *records, int32_t n) {
    Windows *windows = context;
    Surgery *surgery = windows->surgery;
    const ChoiceOptions options = {.texts = surgery->names.choices, .n = surgery->names.n, .encode = surgery->encode};
    (void)records;
    if (windows->at++ != windows->heaviest) {
        return LIMN_OK;
    }
    for (int pass = 0; pass < 2; pass++) {
        Arena arena;
        ChoiceScorer *scorer;
        arena_init(&arena);
        MethodCall call = method_call_in(surgery->call, &arena);
        double *logs = ARENA_ARRAY(&arena, double, (int64_t)n * surgery->names.n);
        ChoiceOutcome *outcomes = ARENA_ARRAY(&arena, ChoiceOutcome, n);
        limn_status status = logs == NULL || outcomes == NULL
                                 ? method_no_memory(surgery->call)
                                 : choice_scorer_new(&scorer, &call, surgery->engine, &options);
        if (status == LIMN_OK) {
            double started = estimate_clock();
            status = choice_scorer_run(scorer, prompts, n, logs, outcomes, surgery->call->progress);
            windows->seconds = estimate_clock() - started;
            choice_scorer_free(scorer);
        }
        arena_free(&arena);
        TRY(status);
    }
    return LIMN_OK;
}

/* Seconds of a pass over the half. */
static limn_status time_pass(double *seconds, Surgery *surgery, SurgeryHalf half) {
    Windows windows = {.surgery = surgery};
    TRY(surgery_each_window(surgery, half, weigh_window, &windows));
    windows.at = 0;
    TRY(surgery_each_window(surgery, half, time_window, &windows));
    *seconds = windows.most > 0 ? windows.seconds * (double)windows.bytes / (double)windows.most : 0;
    return LIMN_OK;
}

static void take_more(MemoryEstimate *memory, const MemoryEstimate *other) {
    memory->faster = other->faster > memory->faster ? other->faster : memory->faster;
    memory->kept = other->kept > memory->kept ? other->kept : memory->kept;
    memory->work = other->work > memory->work ? other->work : memory->work;
}

/* Before anything is chosen, the first candidates stand for those that will be. */
static limn_status plan_first(Surgery *surgery) {
    int32_t count = (int32_t)surgery->params->count;
    Text *edits = ARENA_ARRAY(surgery->call->arena, Text, count);
    if (edits == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int32_t i = 0; i < count; i++) {
        edits[i] = surgery->candidates.items[i].edits.items[0];
    }
    surgery->edits = (Texts){edits, count};
    return surgery_plan(surgery);
}

limn_status surgery_estimate(Surgery *surgery) {
    enum { OWN = 4 };
    bool chooses = surgery->params->choose >= 0;
    SurgeryCost candidates = {0}, controls = {0};
    double choosing = 0, judging;
    if (chooses) {
        TRY(time_pass(&choosing, surgery, HALF_CHOOSE));
        TRY(surgery_cost(&candidates, surgery, &surgery->candidates, HALF_CHOOSE));
        TRY(plan_first(surgery));
        candidates.passes++; /* without an edit */
    }
    TRY(time_pass(&judging, surgery, HALF_JUDGE));
    TRY(surgery_prepare_controls(surgery));
    TRY(surgery_cost(&controls, surgery, &surgery->controls, HALF_JUDGE));
    MemoryEstimate memory = {.work = engine_working_bytes(surgery->engine)};
    take_more(&memory, &candidates.memory);
    take_more(&memory, &controls.memory);
    double judged = 2 + controls.passes, seconds = choosing * candidates.passes + judging * judged;
    EstimateRow rows[OWN + ESTIMATE_MEMORY_ROWS] = {
        {"records to choose on", (double)surgery->in_half[HALF_CHOOSE], "records"},
        {"records to judge on", (double)surgery->in_half[HALF_JUDGE], "records"},
        {"others of its kind", surgery->controls.n, "edits"},
        {"time, about", seconds, "s"}};
    estimate_memory_rows(rows + OWN, surgery->model, &memory);
    estimate_table(surgery->result, surgery->call, rows, OWN + ESTIMATE_MEMORY_ROWS);
    result_headline(surgery->result,
                    SAY(surgery->call, "About %.3g s: as %.3g passes over the judged records",
                        "约 %.3g 秒，相当于对评判记录计算 %.3g 遍"),
                    seconds, judging > 0 ? seconds / judging : 0);
    return LIMN_OK;
}
