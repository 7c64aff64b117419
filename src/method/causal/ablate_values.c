/* What takes a unit's place: a mean over other prompts' rows, another prompt's values, a pattern that looks everywhere.
 */
#include <string.h>

#include "base/integers.h"
#include "base/random.h"
#include "method/causal/ablate.h"

/* ---- the prompts ---- */

static limn_status keep_prompt(Ablate *ablate, Text text, bool complete) {
    AblateReference *reference = &ablate->reference;
    if (reference->n == reference->capacity) {
        int32_t capacity = reference->capacity == 0 ? 16 : 2 * reference->capacity;
        Prompt *prompts = ARENA_ARRAY(ablate->call->arena, Prompt, capacity);
        if (prompts == NULL) {
            return method_no_memory(ablate->call);
        }
        if (reference->n > 0) {
            memcpy(prompts, reference->prompts, (size_t)reference->n * sizeof *prompts);
        }
        reference->prompts = prompts;
        reference->capacity = capacity;
    }
    char *copy = arena_strndup(ablate->call->arena, text.bytes, text.length);
    if (copy == NULL) {
        return method_no_memory(ablate->call);
    }
    const PromptParams params = {.prompt = {copy, text.length}, .complete = complete};
    return prompt_read(&reference->prompts[reference->n++], ablate->call, ablate->model, &params);
}

static limn_status read_prompts(Ablate *ablate, DataSource *source) {
    bool complete = data_source_encode_options(source, ablate->call).no_special;
    TRY(data_source_use_model(source, ablate->call, ablate->model));
    for (;;) {
        DataItem item;
        bool there;
        Arena scratch;
        arena_init(&scratch);
        limn_status status = data_source_next(source, &item, &scratch, &there);
        if (status == LIMN_OK && there) {
            status = keep_prompt(ablate, item.prompt, complete);
            status = status == LIMN_OK ? status
                                       : fail_context("%s: line %lld", data_source_path(source), (long long)item.line);
        }
        arena_free(&scratch);
        if (status != LIMN_OK || !there) {
            return status;
        }
    }
}

static limn_status open_prompts(Ablate *ablate) {
    DataParams params = ablate->params->data;
    params.label_field = params.group_field = params.id_field = (Text){NULL, 0};
    params.chat = ablate->params->prompt.chat;
    if (ablate->params->reference.bytes != NULL) {
        params.file = ablate->params->reference;
        params.where = (Text){NULL, 0};
        params.limit = params.sample = PARAM_NO_INTEGER;
    }
    if (params.prompt_field.bytes == NULL && params.template_text.bytes == NULL &&
        params.messages_field.bytes == NULL) {
        params.prompt_field = text_of("text");
    }
    DataSource *source;
    TRY(data_source_open(&source, ablate->call, &params));
    limn_status status = read_prompts(ablate, source);
    if (status == LIMN_OK && ablate->reference.n == 0) {
        status = fail(LIMN_NOT_FOUND, "%s: no record to take values from", data_source_path(source));
    }
    data_source_close(source);
    return status;
}

/* ---- their values ---- */

/* Runs a prompt; engine_tap has every unit's site. */
static limn_status tap_prompt(const Ablate *ablate, const Prompt *prompt) {
    SequenceInput sequence = prompt_sequence(prompt);
    RunRequest request = {
        .sequences = &sequence, .n_sequences = 1, .taps = ablate->nodes, .n_taps = ablate->n_sites * ablate->n_layers};
    return engine_run(ablate->engine, &request, ablate->call->progress);
}

static limn_status add_means(const Ablate *ablate, const Prompt *prompt, double *sums, int64_t *rows_seen) {
    TRY(tap_prompt(ablate, prompt));
    for (int32_t i = 0; i < ablate->n_sites * ablate->n_layers; i++) {
        int32_t rows;
        int64_t width;
        const float *values = engine_tap(ablate->engine, ablate->nodes[i], &rows, &width);
        if (values == NULL || width != ablate->width) {
            return fail(LIMN_INTERNAL, "a site of an ablation kept nothing");
        }
        for (int32_t row = 0; row < rows; row++) {
            for (int64_t e = 0; e < width && (prompt->mask == NULL || prompt->mask[row] != 0); e++) {
                sums[i * width + e] += (double)values[row * width + e];
            }
        }
    }
    for (int32_t row = 0; row < prompt->n; row++) {
        *rows_seen += prompt->mask == NULL || prompt->mask[row] != 0 ? 1 : 0;
    }
    return LIMN_OK;
}

static limn_status fill_means(Ablate *ablate) {
    AblateReference *reference = &ablate->reference;
    int64_t n_sites = (int64_t)ablate->n_sites * ablate->n_layers, rows = 0;
    double *sums = ARENA_ARRAY(ablate->call->arena, double, n_sites * ablate->width + 1);
    float *means = ARENA_ARRAY(ablate->call->arena, float, n_sites * ablate->width + 1);
    reference->means = ARENA_ARRAY(ablate->call->arena, float *, n_sites + 1);
    if (sums == NULL || means == NULL || reference->means == NULL) {
        return method_no_memory(ablate->call);
    }
    for (int32_t i = 0; i < reference->n; i++) {
        TRY(progress_tick(ablate->call->progress, "means", i, reference->n));
        TRY(add_means(ablate, &reference->prompts[i], sums, &rows));
    }
    for (int64_t i = 0; i < n_sites * ablate->width; i++) {
        means[i] = (float)(sums[i] / (double)larger(rows, 1));
    }
    for (int64_t i = 0; i < n_sites; i++) {
        reference->means[i] = means + i * ablate->width;
    }
    return LIMN_OK;
}

limn_status ablate_reference(Ablate *ablate) {
    bool given = ablate->params->reference.bytes != NULL || ablate->params->data.file.bytes != NULL;
    bool needs = ablate->with == ABLATE_MEAN || ablate->with == ABLATE_RESAMPLE;
    if (ablate->params->reference.bytes != NULL && !needs) {
        return fail(LIMN_USAGE, "ablate: option 'reference' goes with --with mean or resample");
    }
    if (ablate->with == ABLATE_RESAMPLE && !given) {
        return fail(LIMN_USAGE, "ablate: --with resample takes values of other prompts: give --reference FILE");
    }
    if (!needs) {
        return LIMN_OK;
    }
    if (given) {
        TRY(open_prompts(ablate));
    } else { /* the prompt's own rows */
        ablate->reference.prompts = &ablate->prompt;
        ablate->reference.n = 1;
    }
    return ablate->with == ABLATE_MEAN ? fill_means(ablate) : LIMN_OK;
}

/* ---- of one record ---- */

static limn_status make_values(AblateRecord *record, int32_t n_draws) {
    const Ablate *ablate = record->ablate;
    record->n_draws = n_draws;
    record->values =
        ARENA_ARRAY(record->call.arena, float *, (int64_t)n_draws * ablate->n_sites * ablate->n_layers + 1);
    return record->values != NULL ? LIMN_OK : method_no_memory(&record->call);
}

/* A pattern that looks at all it may equally. */
static limn_status fill_uniform(AblateRecord *record) {
    const Ablate *ablate = record->ablate;
    int64_t n = record->sequence.n;
    TRY(make_values(record, 1));
    record->stride = n;
    for (int32_t layer = 0; layer < ablate->n_layers; layer++) {
        NodeId scores = ablate->model->graph.nodes[ablate->nodes[layer]].inputs[0];
        const OpAttributes *attributes = &ablate->model->graph.nodes[scores].op.attributes;
        float *uniform = ARENA_ARRAY(record->call.arena, float, n *n + 1);
        if (uniform == NULL) {
            return method_no_memory(&record->call);
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t begin = attributes->window > 0 ? larger(0, i - attributes->window + 1) : 0, seen = 0;
            int64_t end = attributes->causal ? i + 1 : n;
            for (int64_t j = begin; j < end; j++) {
                seen += record->sequence.mask == NULL || record->sequence.mask[j] != 0 ? 1 : 0;
            }
            for (int64_t j = begin; j < end; j++) {
                bool visible = record->sequence.mask == NULL || record->sequence.mask[j] != 0;
                uniform[i * n + j] = visible ? 1.0F / (float)seen : 0.0F;
            }
        }
        record->values[layer] = uniform;
    }
    return LIMN_OK;
}

static limn_status copy_draw(AblateRecord *record, int32_t draw, const Prompt *from) {
    const Ablate *ablate = record->ablate;
    int32_t n_sites = ablate->n_sites * ablate->n_layers, n = record->sequence.n;
    TRY(tap_prompt(ablate, from));
    for (int32_t i = 0; i < n_sites; i++) {
        int32_t rows;
        int64_t width;
        const float *values = engine_tap(ablate->engine, ablate->nodes[i], &rows, &width);
        float *copy = arena_alloc(record->call.arena, (size_t)n * (size_t)width * sizeof *copy);
        if (copy == NULL || values == NULL) {
            return method_no_memory(&record->call);
        }
        for (int32_t row = 0; row < n; row++) {
            int32_t source = row < rows ? row : rows - 1;
            memcpy(copy + row * width, values + source * width, (size_t)width * sizeof *copy);
        }
        record->values[draw * n_sites + i] = copy;
    }
    return LIMN_OK;
}

static bool same_prompt(const Prompt *a, const Prompt *b) {
    return a->n == b->n && memcmp(a->ids, b->ids, (size_t)a->n * sizeof *a->ids) == 0;
}

/* Values of other prompts drawn by the seed and the record's number. */
static limn_status draw_values(AblateRecord *record) {
    const Ablate *ablate = record->ablate;
    const AblateReference *reference = &ablate->reference;
    int32_t *others = ARENA_ARRAY(record->call.arena, int32_t, reference->n + 1), n = 0;
    if (others == NULL) {
        return method_no_memory(&record->call);
    }
    for (int32_t i = 0; i < reference->n; i++) {
        if (!same_prompt(&reference->prompts[i], record->prompt)) {
            others[n++] = i;
        }
    }
    if (n == 0) {
        return fail(LIMN_NOT_FOUND, "ablate: --with resample needs a prompt other than the one that is explained");
    }
    Random random;
    random_seed(&random, (uint64_t)record->call.common.seed * 1000003U + (uint64_t)record->number);
    TRY(make_values(record, (int32_t)smaller(ablate->params->draws, n)));
    record->stride = ablate->width;
    for (int32_t draw = 0; draw < record->n_draws; draw++) {
        int32_t k = draw + (int32_t)random_below(&random, (uint64_t)(n - draw));
        int32_t other = others[k];
        others[k] = others[draw];
        others[draw] = other;
        TRY(copy_draw(record, draw, &reference->prompts[other]));
    }
    return LIMN_OK;
}

limn_status ablate_values(AblateRecord *record) {
    const Ablate *ablate = record->ablate;
    record->n_draws = 1;
    switch (ablate->with) {
    case ABLATE_ZERO:
        return LIMN_OK;
    case ABLATE_MEAN:
        record->values = ablate->reference.means;
        record->stride = 0;
        return LIMN_OK;
    case ABLATE_RESAMPLE:
        return draw_values(record);
    case ABLATE_PATTERN:
        return fill_uniform(record);
    }
    return LIMN_OK;
}
