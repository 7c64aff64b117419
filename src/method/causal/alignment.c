#include "method/causal/alignment.h"

static int32_t common_prefix(const int32_t *a, const int32_t *b, int32_t most) {
    int32_t n = 0;
    while (n < most && a[n] == b[n]) {
        n++;
    }
    return n;
}

static int32_t common_suffix(const int32_t *a, int32_t n_a, const int32_t *b, int32_t n_b, int32_t most) {
    int32_t n = 0;
    while (n < most && a[n_a - 1 - n] == b[n_b - 1 - n]) {
        n++;
    }
    return n;
}

static void add_run(Alignment *alignment, int32_t base, int32_t source, int32_t n) {
    if (n > 0) {
        alignment->runs[alignment->n_runs++] = (AlignedRows){base, source, n};
    }
}

limn_status alignment_of(Alignment *alignment, const char *command, const int32_t *base, int32_t n_base,
                         const int32_t *source, int32_t n_source) {
    int32_t shorter = (int32_t)smaller(n_base, n_source);
    *alignment = (Alignment){.n_base = n_base, .n_source = n_source};
    alignment->prefix = common_prefix(base, source, shorter);
    if (alignment->prefix == n_base && n_base == n_source) {
        return fail(LIMN_USAGE, "%s: the corrupt prompt is the clean one, token for token; expected one that differs",
                    command);
    }
    alignment->suffix = common_suffix(base, n_base, source, n_source, shorter - alignment->prefix);
    if (n_base == n_source) {
        for (int32_t i = 0; i < n_base; i++) {
            alignment->n_different += base[i] != source[i] ? 1 : 0;
        }
        add_run(alignment, 0, 0, n_base);
        return LIMN_OK;
    }
    if (alignment->suffix == 0) {
        return fail(LIMN_USAGE,
                    "%s: the prompts have %d and %d tokens and do not end alike, so nothing says which token of one is "
                    "which of the other; expected equal numbers, or the same words behind those that differ",
                    command, (int)n_base, (int)n_source);
    }
    add_run(alignment, 0, 0, alignment->prefix);
    add_run(alignment, n_base - alignment->suffix, n_source - alignment->suffix, alignment->suffix);
    return LIMN_OK;
}

Alignment alignment_turned(const Alignment *alignment) {
    Alignment turned = *alignment;
    turned.n_base = alignment->n_source;
    turned.n_source = alignment->n_base;
    for (int i = 0; i < turned.n_runs; i++) {
        turned.runs[i].base = alignment->runs[i].source;
        turned.runs[i].source = alignment->runs[i].base;
    }
    return turned;
}

int32_t alignment_source(const Alignment *alignment, int32_t base) {
    for (int i = 0; i < alignment->n_runs; i++) {
        const AlignedRows *run = &alignment->runs[i];
        if (base >= run->base && base < run->base + run->n) {
            return run->source + base - run->base;
        }
    }
    return -1;
}
