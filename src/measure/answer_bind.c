/* Cases of an answer become sequences, outputs and edits of a run. */
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/parallel.h"
#include "measure/answer_parts.h"

static const AnswerCase unchanged;

/* ---- what a case is ---- */

static int32_t common_tokens(const Answer *answer, const AnswerCase *one) {
    const Prompt *prompt = answer->prompt;
    int32_t n = 0, most = (int32_t)smaller(one->n, prompt->n);
    while (n < most && one->ids[n] == prompt->ids[n] &&
           (one->types == NULL || one->types[n] == (prompt->types == NULL ? 0 : prompt->types[n])) &&
           (one->mask == NULL || one->mask[n] == (prompt->mask == NULL ? 1 : prompt->mask[n]))) {
        n++;
    }
    return n;
}

static AnswerView view_of(const Answer *answer, const AnswerRequest *request, int64_t i) {
    const Prompt *prompt = answer->prompt;
    const AnswerCase *one = request->cases != NULL ? &request->cases[i] : &unchanged;
    AnswerView view = {.one = one, .ids = prompt->ids, .n = prompt->n, .common = prompt->n};
    if (one->ids != NULL) {
        view.ids = one->ids;
        view.n = one->n;
        view.common = common_tokens(answer, one);
    }
    view.from = view.common;
    int32_t begin = request->cases != NULL ? one->embed_begin : request->embed_begin;
    int32_t end = request->cases != NULL ? one->embed_end : request->embed_end;
    view.from = end > begin ? (int32_t)smaller(view.from, begin) : view.from;
    for (int32_t e = 0; e < one->n_edits; e++) {
        view.from = (int32_t)smaller(view.from, one->edits[e].row_begin);
    }
    view.from = request->all_rows ? 0 : view.from;
    return view;
}

static bool is_nested(const AnswerBinding *run, const Part *part) {
    return part->inside >= 0 && !run->with_gradients;
}

/* The part whose sequence holds this one's outputs. */
static int32_t host_of(const AnswerBinding *run, int32_t part) {
    const Part *own = &run->answer->parts[part];
    return is_nested(run, own) ? own->inside : part;
}

/* Rows of a part's outputs in the case: the first and the last of all that its sequence serves. */
static limn_status output_range(const AnswerBinding *run, const AnswerView *view, int32_t part, int32_t *first,
                                int32_t *last) {
    const Answer *answer = run->answer;
    *first = INT32_MAX;
    *last = 0;
    for (int32_t p = 0; p < answer->n_parts; p++) {
        for (int32_t k = 0; k < answer->parts[p].n && host_of(run, p) == part; k++) {
            int32_t row;
            TRY(answer_place(answer, answer->parts[p].rows[k], view->ids, view->n, view->one->mask, view->common,
                             &row));
            *first = (int32_t)smaller(*first, row);
            *last = (int32_t)larger(*last, row);
        }
    }
    return LIMN_OK;
}

/* Rows of a part's sequence, and how many of them the prompt's cache of `cached` rows gives. */
static limn_status sequence_rows(const AnswerBinding *run, const AnswerView *view, int32_t part, int32_t cached,
                                 int32_t *n, int32_t *shared) {
    const ModelConfig *config = &run->answer->model->config;
    int32_t first, last;
    TRY(output_range(run, view, part, &first, &last));
    *n = view->n + run->answer->parts[part].n_tail;
    *n = config->causal && model_lengths_alike(config, last + 1, *n) ? last + 1 : *n;
    *shared = (int32_t)smaller(smaller(view->from, first), cached);
    *shared = config->causal && *shared > 0 && model_lengths_alike(config, cached, *n) ? *shared : 0;
    return LIMN_OK;
}

/* ---- the shared beginning ---- */

static int32_t cached_rows(const Answer *answer) {
    return answer->cache == NULL ? 0 : answer->cache->length;
}

/* A cache is a luxury: half of what is left, nothing when as little as possible is wanted. */
static bool may_cache(const Answer *answer, int32_t rows) {
    size_t bytes = (size_t)rows * kv_cache_row_bytes(answer->model);
    return answer->model->config.causal && !answer->unshared && answer->call->common.memory != PARAM_BYTES_LEAST &&
           bytes <= engine_memory_left(answer->engine) / 2;
}

/* Room for `rows` rows, what is there already is kept. *made false: there is none, which is no failure. */
static limn_status reserve_cache(Answer *answer, int32_t rows, bool *made) {
    *made = answer->cache != NULL && answer->cache->capacity >= rows;
    if (*made || !may_cache(answer, rows)) {
        return LIMN_OK;
    }
    ErrorState before;
    error_save(&before);
    KvCache *grown;
    limn_status status = engine_cache_new(&grown, answer->engine, rows);
    if (status == LIMN_NO_MEMORY) {
        answer->unshared = true;
        error_restore(&before);
        return LIMN_OK;
    }
    TRY(status);
    if (answer->cache != NULL) {
        status = kv_cache_copy(grown, answer->cache, answer->cache->length);
        kv_cache_free(answer->cache);
    }
    answer->cache = grown;
    *made = true;
    return status;
}

/* Keys and values of the prompt's first rows, computed once. */
limn_status answer_share(Answer *answer, int32_t rows) {
    const ModelConfig *config = &answer->model->config;
    if (rows <= cached_rows(answer)) {
        return LIMN_OK;
    }
    bool made;
    TRY(reserve_cache(answer, rows, &made));
    if (!made) {
        return LIMN_OK;
    }
    KvCache *cache = answer->cache;
    if (!model_lengths_alike(config, cache->length, rows)) {
        cache->length = 0;
    }
    int32_t done = cache->length;
    const Prompt *prompt = answer->prompt;
    SequenceInput sequence = {.ids = prompt->ids + done,
                              .n = rows - done,
                              .types = prompt->types == NULL ? NULL : prompt->types + done,
                              .mask = prompt->mask == NULL ? NULL : prompt->mask + done,
                              .prefix = done > 0 ? cache : NULL,
                              .prefix_length = done};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .append = cache};
    return engine_run(answer->engine, &request, answer->call->progress);
}

/* ---- binding ---- */

/* Types or mask of a case of other tokens: the prompt's, those of its end at the end, in between those of the first
 * token that changed. */
static int32_t source_row(const Answer *answer, const AnswerView *view, int32_t row) {
    int32_t n = answer->prompt->n, same_end = 0;
    int32_t most = (int32_t)smaller(n, view->n) - view->common;
    while (same_end < most && view->ids[view->n - 1 - same_end] == answer->prompt->ids[n - 1 - same_end]) {
        same_end++;
    }
    return row < view->common          ? row
           : row >= view->n - same_end ? row - view->n + n
           : view->common < n          ? view->common
                                       : n - 1;
}

/* The tokens of a part's sequence in a case; pointers are the prompt's and the case's own wherever they serve. */
static limn_status bind_tokens(const AnswerBinding *run, const AnswerView *view, const Part *part,
                               SequenceInput *sequence) {
    const Prompt *prompt = run->answer->prompt;
    Arena *scratch = &run->answer->scratch;
    int32_t total = view->n + part->n_tail;
    bool own = view->one->ids != NULL;
    const Target *target = part->contrast ? run->answer->contrast : run->answer->target;
    if (!own) {
        *sequence = target_sequence(target);
        return LIMN_OK;
    }
    sequence->ids = view->ids;
    if (part->n_tail > 0) {
        int32_t *ids = ARENA_ARRAY(scratch, int32_t, total);
        if (ids == NULL) {
            return answer_no_memory(run->answer);
        }
        memcpy(ids, view->ids, (size_t)view->n * sizeof *ids);
        memcpy(ids + view->n, part->tail, (size_t)part->n_tail * sizeof *ids);
        sequence->ids = ids;
    }
    bool types = view->one->types != NULL || prompt->types != NULL,
         mask = view->one->mask != NULL || prompt->mask != NULL;
    int32_t *type = types ? ARENA_ARRAY(scratch, int32_t, total) : NULL;
    uint8_t *visible = mask ? arena_zalloc(scratch, (size_t)total) : NULL;
    if ((types && type == NULL) || (mask && visible == NULL)) {
        return answer_no_memory(run->answer);
    }
    for (int32_t i = 0; i < total; i++) {
        int32_t from = i < view->n ? source_row(run->answer, view, i) : -1; /* the tail: type 0, visible */
        if (types && from >= 0) {
            type[i] = view->one->types != NULL ? view->one->types[i] : prompt->types[from];
        }
        if (mask) {
            visible[i] = from < 0 ? 1 : view->one->mask != NULL ? view->one->mask[i] : prompt->mask[from];
        }
    }
    sequence->types = type;
    sequence->mask = visible;
    return LIMN_OK;
}

static limn_status bind_sequence(AnswerBinding *run, const AnswerView *view, int32_t part, BoundPart *bound) {
    Answer *answer = run->answer;
    SequenceInput sequence = {0};
    TRY(bind_tokens(run, view, &answer->parts[part], &sequence));
    int32_t n, from;
    TRY(sequence_rows(run, view, part, cached_rows(answer), &n, &from));
    sequence.ids += from;
    sequence.types = sequence.types == NULL ? NULL : sequence.types + from;
    sequence.mask = sequence.mask == NULL ? NULL : sequence.mask + from;
    sequence.n = n - from;
    sequence.prefix = from > 0 ? answer->cache : NULL;
    sequence.prefix_length = from;
    *bound = (BoundPart){.sequence = run->n_sequences, .first = from, .row = run->n_rows, .n_rows = n - from};
    run->n_rows += n - from;
    run->sequences[run->n_sequences++] = sequence;
    return LIMN_OK;
}

static limn_status bind_outputs(AnswerBinding *run, const AnswerView *view, int64_t at, int32_t p, BoundPart *bound) {
    const Part *part = &run->answer->parts[p];
    bound->output = run->n_outputs;
    for (int32_t k = 0; k < part->n; k++) {
        int32_t row;
        TRY(answer_place(run->answer, part->rows[k], view->ids, view->n, view->one->mask, view->common, &row));
        run->outputs[run->n_outputs++] = (OutputRow){
            .sequence = bound->sequence, .row = row - bound->first, .target = part->ids[k], .weight = part->weights[k]};
    }
    if (run->rivals != NULL && run->with_gradients) {
        OutputRow rival = run->outputs[run->n_outputs - 1];
        rival.target = run->rivals[at];
        rival.weight = -1.0f;
        run->outputs[run->n_outputs++] = rival;
    }
    bound->n_outputs = run->n_outputs - bound->output;
    return LIMN_OK;
}

/* A case's edits on one of its sequences, and the one that sets its embeddings. */
static void bind_edits(AnswerBinding *run, const AnswerView *view, const BoundPart *bound, const float *embeddings,
                       int32_t begin, int32_t end) {
    int64_t width = run->answer->model->config.d_embed;
    if (end > begin) {
        run->edits[run->n_edits++] = (Edit){.node = run->answer->model->graph.embed,
                                            .kind = EDIT_SET,
                                            .sequence = bound->sequence,
                                            .row_begin = begin - bound->first,
                                            .row_end = end - bound->first,
                                            .element_end = -1,
                                            .values = embeddings,
                                            .row_stride = width};
    }
    for (int32_t e = 0; e < view->one->n_edits; e++) {
        Edit edit = view->one->edits[e];
        edit.sequence = bound->sequence;
        edit.row_begin -= bound->first;
        edit.row_end = edit.row_end < 0 ? -1 : edit.row_end - bound->first;
        run->edits[run->n_edits++] = edit;
    }
}

/* ---- embeddings ---- */

typedef struct EmbedRow {
    int64_t i;
    int32_t row;
} EmbedRow;

typedef struct Embedding {
    const AnswerBinding *run;
    const EmbedRow *rows;
} Embedding;

static limn_status embed_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Embedding *work = context;
    const AnswerRequest *request = work->run->request;
    int64_t width = work->run->answer->model->config.d_embed;
    for (int64_t k = begin; k < end; k++) {
        request->embed(request->context, work->rows[k].i, work->rows[k].row, work->run->answer->embeddings + k * width);
    }
    return LIMN_OK;
}

static void embed_range(const AnswerBinding *run, const AnswerView *view, int32_t *begin, int32_t *end) {
    const AnswerRequest *request = run->request;
    *begin = request->cases != NULL ? view->one->embed_begin : request->embed_begin;
    *end = request->cases != NULL ? view->one->embed_end : request->embed_end;
    *end = *end > *begin ? *end : *begin;
}

static limn_status reserve_embeddings(Answer *answer, int64_t rows) {
    size_t needed = round_up_bytes((size_t)rows * (size_t)answer->model->config.d_embed * sizeof(float), 64);
    if (needed > answer->embeddings_bytes) {
        free(answer->embeddings);
        answer->embeddings = aligned_alloc(64, needed);
        answer->embeddings_bytes = answer->embeddings == NULL ? 0 : needed;
        if (answer->embeddings == NULL) {
            return fail(LIMN_NO_MEMORY, "embeddings of %.1f MiB", (double)needed / 1048576.0);
        }
    }
    return LIMN_OK;
}

static limn_status fill_embeddings(AnswerBinding *run) {
    Answer *answer = run->answer;
    int64_t total = 0;
    for (int64_t k = 0; k < run->n; k++) {
        int32_t begin, end;
        embed_range(run, &run->views[k], &begin, &end);
        total += end - begin;
    }
    if (total == 0) {
        return LIMN_OK;
    }
    TRY(reserve_embeddings(answer, total));
    EmbedRow *rows = ARENA_ARRAY(&answer->scratch, EmbedRow, total);
    if (rows == NULL) {
        return answer_no_memory(answer);
    }
    int64_t at = 0;
    for (int64_t k = 0; k < run->n; k++) {
        int32_t begin, end;
        embed_range(run, &run->views[k], &begin, &end);
        for (int32_t row = begin; row < end; row++) {
            rows[at++] = (EmbedRow){run->cases[k], row};
        }
    }
    Embedding work = {run, rows};
    return parallel_for(answer->call->team, total, 64, embed_rows, &work);
}

static limn_status allocate(AnswerBinding *run) {
    const Answer *answer = run->answer;
    Arena *scratch = &run->answer->scratch;
    int64_t parts = run->n * answer->n_parts, edits = 0, outputs = 0;
    run->views = ARENA_ARRAY(scratch, AnswerView, run->n + 1);
    run->bound = ARENA_ARRAY(scratch, BoundPart, parts + 1);
    if (run->views == NULL || run->bound == NULL) {
        return answer_no_memory(answer);
    }
    for (int32_t p = 0; p < answer->n_parts; p++) {
        outputs += answer->parts[p].n + 1;
    }
    for (int64_t k = 0; k < run->n; k++) {
        run->views[k] = view_of(answer, run->request, run->cases[k]);
        edits += run->views[k].one->n_edits + 1;
    }
    run->sequences = ARENA_ARRAY(scratch, SequenceInput, parts + 1);
    run->outputs = ARENA_ARRAY(scratch, OutputRow, run->n * outputs + 1);
    run->edits = ARENA_ARRAY(scratch, Edit, edits * answer->n_parts + 1);
    return run->sequences != NULL && run->outputs != NULL && run->edits != NULL ? LIMN_OK : answer_no_memory(answer);
}

limn_status answer_bind(AnswerBinding *run) {
    const Answer *answer = run->answer;
    const float *embeddings = answer->embeddings;
    run->n_sequences = run->n_edits = run->n_outputs = run->n_rows = 0;
    for (int64_t k = 0; k < run->n; k++) {
        const AnswerView *view = &run->views[k];
        BoundPart *bound = &run->bound[k * answer->n_parts];
        int32_t begin, end;
        embed_range(run, view, &begin, &end);
        for (int32_t p = 0; p < answer->n_parts; p++) {
            if (!is_nested(run, &answer->parts[p])) {
                TRY(bind_sequence(run, view, p, &bound[p]));
                bind_edits(run, view, &bound[p], embeddings, begin, end);
            }
        }
        for (int32_t p = 0; p < answer->n_parts; p++) {
            bound[p] = is_nested(run, &answer->parts[p]) ? bound[answer->parts[p].inside] : bound[p];
            TRY(bind_outputs(run, view, k, p, &bound[p]));
        }
        embeddings += end > begin ? (int64_t)(end - begin) * answer->model->config.d_embed : 0;
    }
    return LIMN_OK;
}

limn_status answer_prepare(AnswerBinding *run) {
    TRY(allocate(run));
    return fill_embeddings(run);
}

limn_status answer_cost(Answer *answer, const AnswerRequest *request, int64_t i, BatchCost *cost, int32_t *wanted) {
    AnswerBinding run = {.answer = answer, .request = request, .with_gradients = answer_differentiates(request)};
    AnswerView view = view_of(answer, request, i);
    *cost = (BatchCost){0};
    for (int32_t p = 0; p < answer->n_parts; p++) {
        cost->outputs += answer->parts[p].n;
        if (is_nested(&run, &answer->parts[p])) {
            continue;
        }
        int32_t n, shared;
        int32_t cached = may_cache(answer, view.from) || answer->cache != NULL ? answer->prompt->n : 0;
        TRY(sequence_rows(&run, &view, p, cached, &n, &shared));
        cost->rows += n - shared;
        *wanted = (int32_t)larger(*wanted, shared);
    }
    return LIMN_OK;
}

limn_status answer_bind_clean(AnswerBinding *run, bool *kept) {
    Answer *answer = run->answer;
    int32_t n, shared, cached = cached_rows(answer);
    *kept = false;
    TRY(allocate(run));
    TRY(sequence_rows(run, &run->views[0], host_of(run, 0), cached, &n, &shared));
    if (shared == cached) { /* rows follow those of the cache */
        TRY(reserve_cache(answer, n, kept));
    }
    TRY(answer_bind(run));
    run->appends = ARENA_ARRAY(&answer->scratch, KvCache *, run->n_sequences + 1);
    if (run->appends == NULL) {
        return answer_no_memory(answer);
    }
    run->appends[run->bound[0].sequence] = answer->cache;
    run->appends = *kept ? run->appends : NULL;
    return LIMN_OK;
}

void answer_kept_clean(AnswerBinding *run) {
    KvCache *cache = run->answer->cache;
    int32_t n = (int32_t)smaller(cache->length, run->answer->prompt->n);
    bool alike = model_lengths_alike(&run->answer->model->config, cache->length, n);
    cache->length = alike ? n : 0;
}
