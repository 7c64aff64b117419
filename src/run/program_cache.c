#include "run/program_cache.h"

#include <stdlib.h>
#include <string.h>

/* All that tells one question from another. */
static limn_status build_signature(ProgramCache *cache, const Question *question) {
    const NodeId *lists[] = {question->taps,    question->edits,  question->copies, question->grads,
                             question->streams, question->givens, question->joins,  question->seeds};
    const int32_t counts[] = {question->n_taps,    question->n_edits,  question->n_edits, question->n_grads,
                              question->n_streams, question->n_givens, question->n_joins, question->n_seeds};
    enum { LISTS = sizeof counts / sizeof counts[0] };
    size_t needed = LISTS + 5;
    for (int list = 0; list < LISTS; list++) {
        needed += (size_t)counts[list];
    }
    if (needed > cache->signature_capacity) {
        int32_t *signature = realloc(cache->signature, 2 * needed * sizeof *signature);
        if (signature == NULL) {
            return fail(LIMN_NO_MEMORY, "question of %zu sites", needed);
        }
        cache->signature = signature;
        cache->signature_capacity = 2 * needed;
    }
    int32_t *s = cache->signature;
    size_t n = 0;
    s[n++] = question->objective;
    s[n++] = (int32_t)question->logits | (int32_t)question->append << 1 | (int32_t)question->identity_rows << 2 |
             (int32_t)question->stream_values << 3;
    s[n++] = (int32_t)question->rules;
    s[n++] = (int32_t)question->keep;
    s[n++] = (int32_t)question->compute;
    for (int list = 0; list < LISTS; list++) {
        s[n++] = counts[list];
        for (int32_t i = 0; i < counts[list]; i++) {
            s[n++] = lists[list][i];
        }
    }
    cache->signature_length = n;
    return LIMN_OK;
}

static CachedProgram *place_for_program(ProgramCache *cache) {
    if (cache->n < MAX_PROGRAMS) {
        return &cache->programs[cache->n++];
    }
    CachedProgram *oldest = &cache->programs[0];
    for (int i = 1; i < cache->n; i++) {
        if (cache->programs[i].used < oldest->used) {
            oldest = &cache->programs[i];
        }
    }
    free(oldest->signature);
    program_free(oldest->program);
    return oldest;
}

limn_status program_cache_find(ProgramCache *cache, const Question *question, Program **program) {
    *program = NULL;
    TRY(build_signature(cache, question));
    for (int i = 0; i < cache->n; i++) {
        CachedProgram *cached = &cache->programs[i];
        if (cached->signature_length == cache->signature_length &&
            memcmp(cached->signature, cache->signature, cache->signature_length * sizeof(int32_t)) == 0) {
            cached->used = ++cache->clock;
            *program = cached->program;
        }
    }
    return LIMN_OK;
}

limn_status program_cache_add(ProgramCache *cache, Program *program) {
    size_t length = cache->signature_length;
    int32_t *signature = malloc(length * sizeof *signature);
    if (signature == NULL) {
        program_free(program);
        return fail(LIMN_NO_MEMORY, "question of %zu numbers", length);
    }
    memcpy(signature, cache->signature, length * sizeof *signature);
    *place_for_program(cache) = (CachedProgram){signature, length, ++cache->clock, program};
    return LIMN_OK;
}

void program_cache_free(ProgramCache *cache) {
    for (int i = 0; i < cache->n; i++) {
        free(cache->programs[i].signature);
        program_free(cache->programs[i].program);
    }
    free(cache->signature);
    *cache = (ProgramCache){0};
}
