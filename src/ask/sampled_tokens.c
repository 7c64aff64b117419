#include "ask/sampled_tokens.h"

#include <string.h>

#include "ask/prompt.h"
#include "ask/word_kind.h"
#include "base/random.h"
#include "base/utf8.h"

enum {
    POOL = 1500, /* tokens of a kind that are drawn from */
    KINDS = 4096
};

/* What two tokens have in common that may take each other's place, as a number; 0: nothing takes its place. */
static uint64_t kind_of(Text text) {
    if (text.length == 0) {
        return 0;
    }
    if (!utf8_is_valid(text.bytes, text.length)) {
        return 1;
    }
    bool space = text.bytes[0] == ' ';
    WordKind kind = word_kind((Text){text.bytes + space, text.length - (size_t)space});
    if (kind.class == WORD_NOTHING) {
        return 0;
    }
    bool counts = kind.alone || kind.class == WORD_NUMBER || kind.class == WORD_PUNCTUATION;
    uint64_t length = counts ? (uint64_t)kind.characters : 0;
    return 2 +
           ((((uint64_t)(kind.script + 1) * 64 + length % 64) * 8 + (uint64_t)kind.case_) * 8 + (uint64_t)kind.class) *
               4 +
           (uint64_t)space * 2 + (uint64_t)kind.wide;
}

typedef struct Pool {
    uint64_t kind;
    int32_t *ids; /* [n] */
    int32_t n;
} Pool;

struct SampledTokens {
    MethodCall *call;
    const Model *model;
    Pool *pools; /* [n] */
    int32_t n;
    int32_t *pool_of; /* [V] -1: stays */
};

static limn_status pool_of_kind(int32_t *pool, SampledTokens *sampled, uint64_t kind) {
    for (*pool = 0; *pool < sampled->n; ++*pool) {
        if (sampled->pools[*pool].kind == kind) {
            return LIMN_OK;
        }
    }
    if (sampled->n == KINDS) {
        *pool = -1; /* rarer than any that matters */
        return LIMN_OK;
    }
    Pool made = {kind, ARENA_ARRAY(sampled->call->arena, int32_t, POOL), 0};
    if (made.ids == NULL) {
        return method_no_memory(sampled->call);
    }
    sampled->pools[sampled->n++] = made;
    return LIMN_OK;
}

limn_status sampled_tokens_new(SampledTokens **sampled, MethodCall *call, const Model *model) {
    TRY(model_need_tokenizer(model, "so no tokens can be sampled"));
    int32_t n_vocab = model->config.n_vocab;
    SampledTokens *made = ARENA_NEW(call->arena, SampledTokens);
    *sampled = made;
    if (made == NULL) {
        return method_no_memory(call);
    }
    *made = (SampledTokens){.call = call,
                            .model = model,
                            .pools = ARENA_ARRAY(call->arena, Pool, KINDS),
                            .pool_of = ARENA_ARRAY(call->arena, int32_t, n_vocab + 1)};
    if (made->pools == NULL || made->pool_of == NULL) {
        return method_no_memory(call);
    }
    for (int32_t id = 0; id < n_vocab; id++) {
        size_t length; /* rows that fill the table up have no bytes */
        const char *bytes = tokenizer_token_bytes(model->tokenizer, id, &length);
        bool stays = bytes == NULL || tokenizer_is_special(model->tokenizer, id);
        uint64_t kind = stays ? 0 : kind_of((Text){bytes, length});
        made->pool_of[id] = -1;
        if (kind != 0) {
            TRY(pool_of_kind(&made->pool_of[id], made, kind));
        }
        Pool *pool = made->pool_of[id] >= 0 ? &made->pools[made->pool_of[id]] : NULL;
        if (pool != NULL && pool->n < POOL) {
            pool->ids[pool->n++] = id;
        }
    }
    return LIMN_OK;
}

limn_status sampled_tokens_draw(int32_t *out, const SampledTokens *sampled, const int32_t *ids, int32_t n,
                                uint64_t draw) {
    Random random;
    random_seed(&random, draw);
    for (int32_t t = 0; t < n; t++) {
        int32_t which = ids[t] >= 0 && ids[t] < sampled->model->config.n_vocab ? sampled->pool_of[ids[t]] : -1;
        uint64_t bits = random_bits(&random); /* one for each place, whatever stands there */
        if (which < 0) {
            out[t] = ids[t];
            continue;
        }
        const Pool *pool = &sampled->pools[which];
        out[t] = pool->ids[bits % (uint64_t)pool->n];
    }
    return LIMN_OK;
}
