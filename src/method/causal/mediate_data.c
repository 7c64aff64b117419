/* `limn mediate` over a data set: every record a unit, or what they would take. */
#include <stdlib.h>

#include "method/causal/mediate.h"

/* What is done with each record; own: a call whose arena lives as long as the record. */
typedef limn_status (*UseRecord)(void *context, const DataItem *item, MethodCall *own);

typedef struct Walk {
    Mediate *mediate;
    UseRecord use;
    void *context;
    bool report; /* what was skipped goes to the result */
} Walk;

static limn_status walk_source(const Walk *walk, DataSource *source, Arena *scratch) {
    MethodCall *call = walk->mediate->call;
    for (;;) {
        DataItem item;
        bool there;
        limn_status status = data_source_next(source, &item, scratch, &there);
        if (!there) {
            TRY(status);
            break;
        }
        MethodCall own = method_call_in(call, scratch);
        if (status == LIMN_OK) {
            status = walk->use(walk->context, &item, &own);
            status = status == LIMN_OK ? status
                                       : fail_context("%s: line %lld", data_source_path(source), (long long)item.line);
        }
        if (status != LIMN_OK && status_is_of_input(status) && data_source_skips(source)) {
            TRY(data_source_skip(source, &item, error_message()));
        } else {
            TRY(status);
        }
        arena_reset(scratch);
        TRY(progress_tick(call->progress, "records", item.done, item.total));
    }
    return walk->report ? data_source_finish(source, walk->mediate->result) : LIMN_OK;
}

static limn_status walk_records(Mediate *mediate, UseRecord use, void *context, bool report) {
    const Walk walk = {mediate, use, context, report};
    DataParams params = mediate->params->data;
    DataSource *source;
    Arena scratch;
    params.chat = mediate->params->pair.prompt.chat;
    TRY(data_source_open(&source, mediate->call, &params));
    arena_init(&scratch);
    limn_status status = data_source_use_model(source, mediate->call, mediate->model);
    if (status == LIMN_OK && mediate->params->estimate && !data_source_is_regular(source)) {
        status = fail(LIMN_USAGE, "mediate: %s is read several times for --estimate, expected a file that can be",
                      data_source_path(source));
    }
    status = status == LIMN_OK ? walk_source(&walk, source, &scratch) : status;
    arena_free(&scratch);
    data_source_close(source);
    return status;
}

static limn_status read_record(MediatePair *pair, Mediate *mediate, const DataItem *item, MethodCall *own) {
    const MediateParams *params = mediate->params;
    PairParams prompts = params->pair;
    TargetParams target = params->target;
    *pair = (MediatePair){0};
    prompts.prompt.prompt = item->prompt;
    prompts.prompt.complete = params->data.as_chat || params->data.messages_field.bytes != NULL;
    prompts.corrupt = item->other;
    if (params->data.label_field.bytes != NULL) {
        if (item->label.bytes == NULL) {
            return fail(LIMN_FORMAT, "%s: line %lld: the field '%s' is empty, expected the answer",
                        params->data.file.bytes, (long long)item->line, params->data.label_field.bytes);
        }
        target.target = item->label;
    }
    Result *remarks; /* of single records: nobody reads thousands of them */
    TRY(result_new(&remarks, "mediate", "Causal mediation"));
    limn_status status = mediate_read_pair(mediate, pair, own, &prompts, &target, item->words, item->number, remarks);
    result_free(remarks);
    return status;
}

static limn_status run_record(void *context, const DataItem *item, MethodCall *own) {
    Mediate *mediate = context;
    MediatePair pair;
    TRY(read_record(&pair, mediate, item, own));
    return mediate_run_pair(mediate, &pair, own);
}

static limn_status no_records(const Mediate *mediate) {
    return fail(LIMN_NOT_FOUND, "%s: no record to measure effects on", mediate->params->data.file.bytes);
}

limn_status mediate_run_data(Mediate *mediate) {
    TRY(mediate_choose_sites(mediate));
    TRY(mediate_make_cells(mediate));
    TRY(walk_records(mediate, run_record, mediate, true));
    return mediate->n_units > 0 ? LIMN_OK : no_records(mediate);
}

/* ---- what they would take ---- */

/* Memory is that of the longest record, time that of one of usual length times their number. */
typedef struct Lengths {
    Mediate *mediate;
    int64_t *bytes; /* [n] of each record's prompts */
    int64_t n, capacity;
    int64_t at;     /* record of the walk that asks for costs */
    int64_t wanted; /* of which */
    TransplantCost cost;
    int32_t samples;
} Lengths;

static limn_status note_length(void *context, const DataItem *item, MethodCall *own) {
    (void)own;
    Lengths *lengths = context;
    if (lengths->n == lengths->capacity) {
        int64_t capacity = 2 * lengths->capacity + 256;
        int64_t *grown = realloc(lengths->bytes, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return method_no_memory(lengths->mediate->call);
        }
        lengths->bytes = grown;
        lengths->capacity = capacity;
    }
    lengths->bytes[lengths->n++] = (int64_t)(item->prompt.length + item->other.length);
    return LIMN_OK;
}

static limn_status cost_record(void *context, const DataItem *item, MethodCall *own) {
    Lengths *lengths = context;
    MediatePair pair;
    if (lengths->at++ != lengths->wanted) {
        return LIMN_OK;
    }
    TRY(read_record(&pair, lengths->mediate, item, own));
    lengths->samples = pair.samples;
    return mediate_cost(&lengths->cost, lengths->mediate, &pair, own);
}

/* The record whose length is nearest; bytes INT64_MAX: the longest. */
static int64_t nearest_length(const Lengths *lengths, int64_t bytes) {
    int64_t best = 0;
    for (int64_t i = 1; i < lengths->n; i++) {
        int64_t off = lengths->bytes[i] - bytes, least = lengths->bytes[best] - bytes;
        best = (off < 0 ? -off : off) < (least < 0 ? -least : least) ? i : best;
    }
    return best;
}

static limn_status ask_cost(Lengths *lengths, int64_t record) {
    lengths->at = 0;
    lengths->wanted = record;
    lengths->cost = (TransplantCost){0};
    return walk_records(lengths->mediate, cost_record, lengths, false);
}

static limn_status estimate(Lengths *lengths) {
    Mediate *mediate = lengths->mediate;
    TRY(walk_records(mediate, note_length, lengths, true));
    if (lengths->n == 0) {
        return no_records(mediate);
    }
    int64_t sum = 0;
    for (int64_t i = 0; i < lengths->n; i++) {
        sum += lengths->bytes[i];
    }
    TRY(ask_cost(lengths, nearest_length(lengths, INT64_MAX)));
    MemoryEstimate memory = lengths->cost.memory;
    TRY(ask_cost(lengths, nearest_length(lengths, sum / lengths->n)));
    lengths->cost.memory = memory;
    result_param_integer(mediate->result, "records", lengths->n);
    return transplant_show_cost(mediate->result, mediate->call, mediate->model, &lengths->cost,
                                (double)lengths->n * lengths->samples);
}

limn_status mediate_estimate_data(Mediate *mediate) {
    Lengths lengths = {.mediate = mediate};
    TRY(mediate_choose_sites(mediate));
    TRY(mediate_make_cells(mediate));
    limn_status status = estimate(&lengths);
    free(lengths.bytes);
    return status;
}
