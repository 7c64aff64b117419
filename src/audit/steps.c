#include "audit/steps.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/bytes.h"
#include "base/file.h"
#include "call/call.h"
#include "call/estimate.h"
#include "call/open.h"

enum { STEP_RESULT_CAP = 1 << 30 };

static limn_status no_memory(const StepRunner *runner) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", runner->plan->name);
}

/* ---- the work folder ---- */

static limn_status make_work(StepRunner *runner, const char *work) {
    Arena *arena = runner->call->arena;
    if (work == NULL) {
        const char *place = getenv("TMPDIR");
        char *folder = arena_printf(arena, "%s/limn-audit-XXXXXX", place != NULL && place[0] != '\0' ? place : "/tmp");
        if (folder == NULL || mkdtemp(folder) == NULL) {
            return fail(LIMN_IO, "audit: no temporary folder: %s; --work names one", strerror(errno));
        }
        work = folder;
    }
    runner->work = arena_strdup(arena, work);
    runner->plan->work = runner->work;
    char *steps = arena_printf(arena, "%s/steps", work);
    return runner->work != NULL && steps != NULL ? folder_make(steps) : no_memory(runner);
}

limn_status step_runner_open(StepRunner *runner, MethodCall *call, Plan *plan, const char *work) {
    *runner = (StepRunner){.call = call, .plan = plan, .open = -1, .begun = estimate_clock()};
    runner->hashes = (FileHashes){.arena = call->arena, .team = call->team};
    runner->runs = ARENA_ARRAY(call->arena, StepRun, PLAN_STEPS_MAX);
    runner->keys = ARENA_ARRAY(call->arena, const char *, PLAN_STEPS_MAX);
    runner->weights = ARENA_ARRAY(call->arena, double, PLAN_STEPS_MAX);
    if (runner->runs == NULL || runner->keys == NULL || runner->weights == NULL) {
        return no_memory(runner);
    }
    return make_work(runner, work);
}

static void remove_folder(const char *path, int depth) {
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char inside[4096];
        bool fits = snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name) < (int)sizeof inside;
        if (fits && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            if (depth > 0 && folder_exists(inside)) {
                remove_folder(inside, depth - 1);
            } else {
                unlink(inside);
            }
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    rmdir(path);
}

void step_runner_close(StepRunner *runner, bool temporary) {
    for (int32_t i = 0; runner->runs != NULL && i < PLAN_STEPS_MAX; i++) {
        result_free(runner->runs[i].result);
        runner->runs[i].result = NULL;
    }
    model_cache_free(runner->models);
    runner->models = NULL;
    if (temporary && runner->work != NULL) {
        remove_folder(runner->work, 2);
    }
}

/* ---- progress ---- */

typedef struct StepTick {
    const StepRunner *runner;
    double before, own, whole; /* weights */
    char left[48];             /* of the whole audit, as it looked when the step began */
    char text[200];
} StepTick;

/* The face says how far the step is; what stays for the whole time of a step is how long the others will take. */
static bool tick(void *context, const char *stage, int64_t done, int64_t total) {
    StepTick *step = context;
    const StepRunner *runner = step->runner;
    const Progress *outer = runner->call->progress;
    if (outer->tick == NULL) {
        return true;
    }
    snprintf(step->text, sizeof step->text, "step %d of %d%s, %s: %s", (int)runner->done + 1,
             (int)runner->plan->n_steps, step->left, runner->plan->steps[runner->done].id, stage);
    return outer->tick(outer->context, step->text, done, total);
}

static void begin_tick(StepTick *step, const StepRunner *runner) {
    *step = (StepTick){.runner = runner};
    for (int32_t i = 0; i < runner->plan->n_steps; i++) {
        double weight = runner->weights[i] > 0 ? runner->weights[i] : 1;
        step->before += i < runner->done ? weight : 0;
        step->whole += weight;
        step->own = i == runner->done ? weight : step->own;
    }
    double worked = step->before - runner->kept_weight, seconds = estimate_clock() - runner->begun;
    if (seconds > 2 && worked > 0) {
        double left = seconds * (step->whole - step->before) / worked;
        snprintf(step->left, sizeof step->left, left < 90 ? " (about %.0f s in all)" : " (about %.0f min in all)",
                 left < 90 ? left : left / 60);
    }
}

/* ---- one step ---- */

static limn_status set(const StepRunner *runner, json_t *params, const char *name, json_t *value) {
    return json_object_set_new(params, name, value) == 0 ? LIMN_OK : no_memory(runner);
}

limn_status step_resumed_file(const char **file, const StepRunner *runner, int32_t step, const limn_param *row) {
    bool resumed = row->kind == LIMN_PARAM_OUTPUT && strcmp(row->name, "decisions") != 0 &&
                   text_ends_with(row->metavar != NULL ? row->metavar : "", ".jsonl");
    *file = resumed ? arena_printf(runner->call->arena, "%s/steps/%s.%.16s.%s.jsonl", runner->work,
                                   runner->plan->steps[step].id, runner->runs[step].key, row->name)
                    : NULL;
    return *file != NULL || !resumed ? LIMN_OK : no_memory(runner);
}

static limn_status set_resumed_files(const StepRunner *runner, json_t *params) {
    const limn_command *command = &runner->plan->steps[runner->done].method->command;
    for (size_t i = 0; i < command->n_params; i++) {
        const char *file;
        TRY(step_resumed_file(&file, runner, runner->done, &command->params[i]));
        TRY(file != NULL ? set(runner, params, command->params[i].name, json_string(file)) : LIMN_OK);
    }
    return LIMN_OK;
}

/* What the call gets: files of other steps in place of their names, and how the work is done. */
static limn_status call_params(json_t **params, const StepRunner *runner, const PlanStep *step, const StepRun *run) {
    *params = json_deep_copy(step->params);
    if (*params == NULL) {
        return no_memory(runner);
    }
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(*params, next, name, value) {
        int32_t meant = plan_step_meant(runner->plan, value);
        if (meant >= 0) {
            const char *file = runner->runs[meant].decisions;
            TRY(file != NULL ? set(runner, *params, name, json_string(file))
                             : fail(LIMN_NOT_FOUND, "the step '%s' has not run", runner->plan->steps[meant].id));
        }
    }
    if (run->decisions != NULL) {
        TRY(set(runner, *params, "decisions", json_string(run->decisions)));
    }
    TRY(set_resumed_files(runner, *params));
    const CommonOptions *common = &runner->call->common;
    if (common->threads > 0) {
        TRY(set(runner, *params, "threads", json_integer(common->threads)));
    }
    if (common->memory > 0) {
        json_t *amount =
            common->memory == PARAM_BYTES_LEAST ? json_string("min") : json_integer((json_int_t)common->memory);
        TRY(set(runner, *params, "memory", amount));
    }
    return LIMN_OK;
}

static limn_status name_files(StepRunner *runner, const PlanStep *step, StepRun *run) {
    Arena *arena = runner->call->arena;
    TRY(step_key(run->key, runner->plan, step, runner->keys, &runner->hashes));
    runner->keys[runner->done] = run->key;
    run->file = arena_printf(arena, "%s/steps/%s.%.16s.json", runner->work, step->id, run->key);
    bool decides = plan_option(step->method, "decisions") != NULL;
    run->decisions = decides ? arena_printf(arena, "%s/steps/%s.%.16s.jsonl", runner->work, step->id, run->key) : NULL;
    return run->file != NULL && (run->decisions != NULL || !decides) ? LIMN_OK : no_memory(runner);
}

/* What was kept is read, so that a step that just ran and one that was there give the same bytes. */
static limn_status read_kept(StepRun *run) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, run->file, STEP_RESULT_CAP));
    limn_status status = result_read_json(&run->result, bytes, length, run->file);
    free(bytes);
    return status;
}

static limn_status keep(const StepRun *run, const Result *result) {
    TextBuffer text = TEXT_BUFFER_INIT;
    limn_status status = result_write_json(&text, result, true);
    status = status == LIMN_OK ? text_buffer_status(&text) : status;
    status = status == LIMN_OK ? file_write_atomic(run->file, text.data, text.length) : status;
    text_buffer_free(&text);
    return status;
}

bool step_cannot_be_asked(limn_status status) {
    return status == LIMN_UNSUPPORTED || status == LIMN_USAGE || status == LIMN_NOT_FOUND || status == LIMN_RANGE;
}

/* A command that may read a data set, and was given neither one nor a prompt, is told how to get one. */
static const char *say_refused(const StepRunner *runner, const PlanStep *step) {
    const Plan *plan = runner->plan;
    bool unread = step->data < 0 && plan->n_data > 0 && plan_own_option(step->method, "data") != NULL &&
                  plan_own_option(step->method, "prompt") != NULL && json_object_get(step->params, "prompt") == NULL;
    return unread ? arena_printf(runner->call->arena, "%s ('data: %s' in the step has it read that data set)",
                                 error_message(), plan->data[0].name)
                  : arena_strdup(runner->call->arena, error_message());
}

/* The next step's model in the place of another one. */
static limn_status make_room(StepRunner *runner, const PlanStep *step) {
    if (runner->models != NULL && (step->model < 0 || step->model == runner->open)) {
        return LIMN_OK;
    }
    model_cache_free(runner->models);
    runner->models = NULL;
    runner->open = step->model;
    return model_cache_new(&runner->models);
}

static limn_status ask(StepRunner *runner, const PlanStep *step, StepRun *run, StepTick *step_tick) {
    json_t *params = NULL;
    Result *result = NULL;
    CallListeners listeners = {.progress = {tick, step_tick}};
    limn_status status = call_params(&params, runner, step, run);
    status = status == LIMN_OK ? make_room(runner, step) : status;
    if (status == LIMN_OK) {
        status = method_call(&result, runner->call->registry, runner->models, step->method->command.name, params,
                             &listeners);
    }
    json_decref(params);
    if (step_cannot_be_asked(status)) {
        run->refused = status;
        run->why = say_refused(runner, step);
        return run->why != NULL ? LIMN_OK : no_memory(runner);
    }
    if (status == LIMN_OK) {
        status = keep(run, result);
    }
    result_free(result);
    return status == LIMN_OK ? read_kept(run) : status;
}

static limn_status run_step(StepRunner *runner, StepTick *step_tick) {
    const PlanStep *step = &runner->plan->steps[runner->done];
    StepRun *run = &runner->runs[runner->done];
    TRY(name_files(runner, step, run));
    TRY(record_find_kept(&run->kept, runner, run));
    if (run->kept) {
        runner->kept_weight += step_tick->own;
        return read_kept(run);
    }
    return ask(runner, step, run, step_tick);
}

limn_status steps_run(StepRunner *runner) {
    while (runner->done < runner->plan->n_steps) {
        StepTick step_tick;
        begin_tick(&step_tick, runner);
        if (run_step(runner, &step_tick) != LIMN_OK) {
            return fail_context("%s: step '%s'", runner->plan->name, runner->plan->steps[runner->done].id);
        }
        TRY(runner->log != NULL ? record_step(runner->log, runner, runner->done) : LIMN_OK);
        runner->done++;
    }
    return LIMN_OK;
}
