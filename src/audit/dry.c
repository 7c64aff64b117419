/* What a plan would take, before it is run: one short run of its first step that decides on records says what a record
 * costs here, and a table how much more other commands do with one. A budget of time becomes numbers of records, which
 * are written down in the work folder: they steer the audit, no clock does. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/file.h"
#include "call/call.h"
#include "call/estimate.h"
#include "files/json.h"
#include "files/records.h"

enum { PROBED = 8, SAMPLE_LEAST = 60, SIZES_CAP = 1 << 20 };

/* In units of one decision on one record of the same length. */
static const struct {
    const char *command;
    double per_record, fixed;
} costs[] = {{"predict", 1, 2},   {"attribute", 5.5, 50}, {"sensitive", 10, 20},
             {"mediate", 60, 50}, {"surgery", 20, 200},   {"compare decisions", 0, 1},
             {"why", 0, 250},     {"replace", 0, 250},    {"ig", 0, 150},
             {"diff", 0, 500},    {"grad", 0, 10}};

static void cost_of(const char *command, double *per_record, double *fixed) {
    *per_record = 5;
    *fixed = 100;
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++) {
        if (strcmp(costs[i].command, command) == 0) {
            *per_record = costs[i].per_record;
            *fixed = costs[i].fixed;
        }
    }
}

/* ---- counting ---- */

static limn_status count_records(int64_t *n, const char *path) {
    RecordReader *reader;
    const Record *record;
    TRY(record_reader_open(&reader, path, RECORDS_AUTO, NULL));
    limn_status status;
    *n = 0;
    do {
        status = record_reader_next(reader, &record);
        if (status != LIMN_OK && record_reader_bad(reader) != NULL) {
            status = LIMN_OK; /* a step may pass over it */
            continue;
        }
        *n += status == LIMN_OK && record != NULL;
    } while (status == LIMN_OK && record != NULL);
    record_reader_close(reader);
    return status;
}

static int64_t integer_option(const json_t *params, const char *name) {
    const json_t *value = json_object_get(params, name);
    return json_is_integer(value)  ? json_integer_value(value)
           : json_is_string(value) ? strtoll(json_string_value(value), NULL, 10)
                                   : 0;
}

/* At most: a filter is not asked. */
static int64_t records_of_step(const Audit *audit, const Estimate *estimate, const PlanStep *step) {
    if (step->data < 0) {
        return 0;
    }
    int64_t n = estimate->records[step->data];
    static const char *const caps[] = {"sample", "limit"};
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
        int64_t cap = plan_option(step->method, caps[i]) != NULL ? integer_option(step->params, caps[i]) : 0;
        n = cap > 0 && cap < n ? cap : n;
    }
    (void)audit;
    return step->half != HALF_ALL ? n / 2 : n;
}

/* ---- measuring ---- */

/* The first from this one on; -1: there is none. */
static int32_t step_to_probe(const Plan *plan, int32_t from) {
    for (int32_t i = from; i < plan->n_steps; i++) {
        const PlanStep *step = &plan->steps[i];
        if (step->data >= 0 && plan_option(step->method, "decisions") != NULL &&
            plan_option(step->method, "limit") != NULL && plan_option(step->method, "sample") != NULL) {
            return i;
        }
    }
    return -1;
}

static limn_status run_probe(const Audit *audit, const PlanStep *step, double *seconds, int64_t *peak) {
    json_t *params = json_deep_copy(step->params);
    if (params == NULL || json_object_set_new(params, "limit", json_integer(PROBED)) != 0) {
        json_decref(params);
        return method_no_memory(audit->call);
    }
    json_object_del(params, "sample");
    CallListeners listeners = {.progress = *audit->call->progress};
    for (int pass = 0; pass < 2; pass++) { /* the first opens the model */
        Result *result;
        double begun = estimate_clock();
        limn_status status = method_call(&result, audit->call->registry, audit->call->models,
                                         step->method->command.name, params, &listeners);
        if (status != LIMN_OK) {
            json_decref(params);
            return status;
        }
        *seconds = estimate_clock() - begun;
        *peak = result->measured.peak_bytes;
        result_free(result);
    }
    json_decref(params);
    return LIMN_OK;
}

static limn_status estimate_count(Estimate *estimate, const Audit *audit) {
    *estimate = (Estimate){.seconds_a_unit = (double)NAN, .refused = -1};
    for (int32_t i = 0; i < audit->plan.n_data; i++) {
        TRY(count_records(&estimate->records[i], audit->plan.data[i].file));
    }
    return LIMN_OK;
}

limn_status audit_weigh(double *weights, const Audit *audit) {
    Estimate estimate;
    TRY(estimate_count(&estimate, audit));
    for (int32_t i = 0; i < audit->plan.n_steps; i++) {
        double each, fixed;
        cost_of(audit->plan.steps[i].method->command.name, &each, &fixed);
        weights[i] = fixed + each * (double)records_of_step(audit, &estimate, &audit->plan.steps[i]);
    }
    return LIMN_OK;
}

static limn_status measure(Estimate *estimate, const Audit *audit) {
    TRY(estimate_count(estimate, audit));
    for (int32_t i = step_to_probe(&audit->plan, 0); i >= 0; i = step_to_probe(&audit->plan, i + 1)) {
        double seconds;
        limn_status status = run_probe(audit, &audit->plan.steps[i], &seconds, &estimate->peak);
        if (status == LIMN_OK) {
            estimate->seconds_a_unit = seconds / (PROBED + 2);
            return LIMN_OK;
        }
        if (!step_cannot_be_asked(status)) {
            return status;
        }
        estimate->refused = i; /* as in the audit itself, the others go on */
        estimate->why = arena_strdup(audit->call->arena, error_message());
    }
    return LIMN_OK;
}

/* ---- a budget ---- */

/* The largest share of all records that fits; 1: all do. */
static double share_that_fits(const Audit *audit, const Estimate *estimate) {
    double fixed = 0, scaled = 0;
    for (int32_t i = 0; i < audit->plan.n_steps; i++) {
        double each, once;
        cost_of(audit->plan.steps[i].method->command.name, &each, &once);
        fixed += once * estimate->seconds_a_unit;
        scaled += each * estimate->seconds_a_unit * (double)records_of_step(audit, estimate, &audit->plan.steps[i]);
    }
    double case_each, case_once;
    cost_of(audit->plan.cases.method, &case_each, &case_once);
    fixed += (double)audit->plan.cases.count * case_once * estimate->seconds_a_unit;
    double left = audit->plan.budget - fixed;
    return scaled <= 0 || left >= scaled ? 1 : left <= 0 ? 0 : left / scaled;
}

static int64_t sample_of(const Audit *audit, const Estimate *estimate, int32_t data) {
    double share = audit->plan.budget > 0 && !isnan(estimate->seconds_a_unit) ? share_that_fits(audit, estimate) : 1;
    int64_t n = estimate->records[data], sample = (int64_t)(share * (double)n);
    sample = sample < SAMPLE_LEAST ? SAMPLE_LEAST : sample;
    return share >= 1 || sample >= n ? 0 : sample;
}

static limn_status take_sizes(Audit *audit, const json_t *sizes) {
    for (int32_t i = 0; i < audit->plan.n_steps; i++) {
        PlanStep *step = &audit->plan.steps[i];
        int64_t sample = step->data >= 0 ? integer_option(sizes, audit->plan.data[step->data].name) : 0;
        int64_t own = integer_option(step->params, "sample");
        if (sample > 0 && plan_option(step->method, "sample") != NULL && (own == 0 || own > sample) &&
            json_object_set_new(step->params, "sample", json_integer(sample)) != 0) {
            return method_no_memory(audit->call);
        }
    }
    for (int32_t i = 0; i < audit->plan.n_data; i++) {
        json_t *size = json_object_get(sizes, audit->plan.data[i].name);
        if (json_is_integer(size) && json_object_set(audit->plan.data[i].options, "sample", size) != 0) {
            return method_no_memory(audit->call);
        }
    }
    return LIMN_OK;
}

static limn_status make_sizes(json_t **sizes, const Audit *audit) {
    Estimate estimate;
    TRY(measure(&estimate, audit));
    *sizes = json_object();
    for (int32_t i = 0; *sizes != NULL && i < audit->plan.n_data; i++) {
        int64_t sample = sample_of(audit, &estimate, i);
        if (sample > 0 && json_object_set_new(*sizes, audit->plan.data[i].name, json_integer(sample)) != 0) {
            return method_no_memory(audit->call);
        }
    }
    return *sizes != NULL ? LIMN_OK : method_no_memory(audit->call);
}

limn_status audit_take_budget(Audit *audit, const char *work) {
    if (audit->plan.budget <= 0) {
        return LIMN_OK;
    }
    char *path = work != NULL ? arena_printf(audit->call->arena, "%s/sizes.json", work) : NULL;
    if (path == NULL) {
        return work != NULL ? method_no_memory(audit->call)
                            : fail(LIMN_USAGE,
                                   "%s: a plan with a budget needs --work DIR, which keeps the numbers of records that "
                                   "fit into it",
                                   audit->plan.name);
    }
    json_t *sizes = NULL;
    if (file_exists(path)) {
        TRY(json_file_load(&sizes, path, SIZES_CAP));
    } else {
        TRY(make_sizes(&sizes, audit));
        char *text = json_dumps(sizes, JSON_INDENT(2) | JSON_SORT_KEYS);
        limn_status status = text != NULL ? folder_make(work) : method_no_memory(audit->call);
        status = status == LIMN_OK ? file_write_atomic(path, text, strlen(text)) : status;
        free(text);
        if (status != LIMN_OK) {
            json_decref(sizes);
            return status;
        }
    }
    limn_status status = take_sizes(audit, sizes);
    json_decref(sizes);
    return status;
}

/* ---- what is said ---- */

static void show_steps(const Audit *audit, const Estimate *estimate, double *total) {
    static const TableColumn columns[] = {{TEXT("step"), COLUMN_TEXT},
                                          {TEXT("records"), COLUMN_INTEGER},
                                          {TEXT("minutes"), COLUMN_NUMBER},
                                          {TEXT("command"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "steps", AUDIT_SAYS(audit, "Steps", "步骤"), columns, 4);
    for (int32_t i = 0; i < audit->plan.n_steps; i++) {
        const PlanStep *step = &audit->plan.steps[i];
        TextBuffer line = TEXT_BUFFER_INIT;
        command_line(&line, &audit->plan, step);
        double each, fixed;
        cost_of(step->method->command.name, &each, &fixed);
        int64_t n = records_of_step(audit, estimate, step);
        double seconds = estimate->seconds_a_unit * (fixed + each * (double)n);
        *total += seconds;
        const Value cells[] = {value_text(step->id), value_integer(n), value_number(round(seconds / 0.6) / 100),
                               value_text(line.data != NULL ? line.data : "")};
        table_row(table, cells);
        text_buffer_free(&line);
    }
    double each, fixed;
    cost_of(audit->plan.cases.method, &each, &fixed);
    if (audit->plan.cases.count > 0) {
        double seconds = estimate->seconds_a_unit * fixed * (double)audit->plan.cases.count;
        *total += seconds;
        const Value cells[] = {value_text("cases"), value_integer(audit->plan.cases.count),
                               value_number(round(seconds / 0.6) / 100), value_text(audit->plan.cases.method)};
        table_row(table, cells);
    }
    result_block_note(audit->result, "%s",
                      AUDIT_SAYS(audit, "records: at most, filters are not asked; minutes: a guess by one short run",
                                 "记录数为上限（未执行筛选）；分钟数为一次短试运行的估计"));
}

static void show_sizes(const Audit *audit, const Estimate *estimate) {
    static const TableColumn columns[] = {
        {TEXT("data"), COLUMN_TEXT}, {TEXT("records"), COLUMN_INTEGER}, {TEXT("sample"), COLUMN_INTEGER}};
    TableBlock *table = result_add_table(audit->result, "sizes",
                                         AUDIT_SAYS(audit, "What fits into the budget", "预算内的记录数"), columns, 3);
    for (int32_t i = 0; i < audit->plan.n_data; i++) {
        int64_t sample = sample_of(audit, estimate, i);
        const Value cells[] = {value_text(audit->plan.data[i].name), value_integer(estimate->records[i]),
                               value_integer(sample > 0 ? sample : estimate->records[i])};
        table_row(table, cells);
    }
}

limn_status audit_dry_run(Audit *audit) {
    Estimate estimate;
    double total = 0;
    TRY(measure(&estimate, audit));
    if (estimate.refused >= 0) {
        result_warn(audit->result, AUDIT_SAYS(audit, "step '%s' could not be asked: %s", "步骤 %s 无法执行：%s"),
                    audit->plan.steps[estimate.refused].id, estimate.why != NULL ? estimate.why : "");
    }
    show_steps(audit, &estimate, &total);
    if (audit->plan.budget > 0) {
        show_sizes(audit, &estimate);
    }
    if (isnan(total)) {
        result_headline(
            audit->result,
            AUDIT_SAYS(audit, "%s: %d steps, %d gates; the plan is sound", "%s：%d 个步骤，%d 道关卡；计划可行"),
            audit->plan.title, (int)audit->plan.n_steps, (int)audit->plan.n_gates);
    } else {
        result_headline(audit->result,
                        AUDIT_SAYS(audit, "%s: %d steps, %d gates; about %.1f minutes and %.1f GiB here",
                                   "%s：%d 个步骤，%d 道关卡；在本机约需 %.1f 分钟、%.1f GiB"),
                        audit->plan.title, (int)audit->plan.n_steps, (int)audit->plan.n_gates, total / 60,
                        (double)estimate.peak / (1 << 30));
    }
    return result_status(audit->result);
}
