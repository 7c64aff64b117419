/* One prompt of `limn mediate`: what it says, which of its tokens are key, how they are spoilt. */
#include <stdlib.h>
#include <string.h>

#include "measure/target_score.h"
#include "method/causal/mediate.h"

static limn_status make_keys(MediatePair *pair, MethodCall *call, int32_t most) {
    pair->keys = ARENA_ARRAY(call->arena, int32_t, most + 1);
    return pair->keys != NULL ? LIMN_OK : method_no_memory(call);
}

/* Tokens that hold the words, at every place where they stand. */
static limn_status find_words(MediatePair *pair, const Prompt *prompt, Text words) {
    if (prompt->text.bytes == NULL || words.length == 0) {
        return fail(LIMN_USAGE, "option 'subject' needs a prompt given as text and words; use --subject-span");
    }
    for (size_t at = 0; at + words.length <= prompt->text.length; at++) {
        if (memcmp(prompt->text.bytes + at, words.bytes, words.length) != 0) {
            continue;
        }
        int64_t from = (int64_t)at, to = from + (int64_t)words.length;
        for (int32_t i = 0; i < prompt->n; i++) {
            bool inside = prompt->tokens[i].begin < to && prompt->tokens[i].end > from;
            if (inside && (pair->n_keys == 0 || pair->keys[pair->n_keys - 1] < i)) {
                pair->keys[pair->n_keys++] = i;
            }
        }
    }
    return pair->n_keys > 0 ? LIMN_OK
                            : fail(LIMN_NOT_FOUND, "option 'subject': the prompt does not hold '%s'", words.bytes);
}

static limn_status find_span(MediatePair *pair, const Prompt *prompt, const char *text) {
    char *at;
    long first = strtol(text, &at, 10), last = *at == ':' ? strtol(at + 1, &at, 10) : -1;
    if (*at != '\0' || first < 0 || last <= first || last > prompt->n) {
        return fail(LIMN_USAGE, "option 'subject-span': found '%s', expected A:B within the prompt's %d tokens", text,
                    (int)prompt->n);
    }
    for (int32_t i = (int32_t)first; i < (int32_t)last; i++) {
        pair->keys[pair->n_keys++] = i;
    }
    return LIMN_OK;
}

/* Noise: the same tokens, aligned with themselves. */
static limn_status spoil_by_noise(const Mediate *mediate, MediatePair *pair, MethodCall *call, Text subject,
                                  int64_t number) {
    const Prompt *prompt = &pair->pair.clean.prompt;
    const char *span = mediate->params->subject_span.bytes;
    TRY(make_keys(pair, call, prompt->n));
    TRY(span != NULL ? find_span(pair, prompt, span) : find_words(pair, prompt, subject));
    PairSide *clean = &pair->pair.clean, *corrupt = &pair->pair.corrupt;
    clean->sequence = target_sequence(&pair->target);
    clean->n_outputs = pair->target.n;
    clean->outputs = ARENA_ARRAY(call->arena, OutputRow, pair->target.n + 1);
    if (clean->outputs == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < pair->target.n; i++) {
        clean->outputs[i] = (OutputRow){.row = pair->target.rows[i], .target = pair->target.ids[i], .weight = 1};
    }
    *corrupt = *clean;
    int32_t n = clean->sequence.n;
    pair->pair.alignment =
        (Alignment){.n_base = n, .n_source = n, .prefix = pair->keys[0], .runs = {{0, 0, n}}, .n_runs = 1};
    return mediate_make_noise(mediate, pair, call, number);
}

/* Another prompt: its key tokens are those that the clean one has not in their place. */
static limn_status spoil_by_words(const Mediate *mediate, MediatePair *pair, MethodCall *call,
                                  const PairParams *prompts, Result *result) {
    TRY(pair_read_corrupt(&pair->pair.corrupt.prompt, call, mediate->model, prompts));
    TRY(pair_join(&pair->pair, call, &pair->target));
    pair_warn(result, call, &pair->pair);
    const SequenceInput *corrupt = &pair->pair.corrupt.sequence, *clean = &pair->pair.clean.sequence;
    TRY(make_keys(pair, call, corrupt->n));
    for (int32_t row = 0; row < corrupt->n; row++) {
        int32_t source = alignment_source(&pair->pair.alignment, row);
        if (source < 0 || corrupt->ids[row] != clean->ids[source]) {
            pair->keys[pair->n_keys++] = row;
        }
    }
    if (pair->n_keys == 0) { /* words were left out: the key is where they stood */
        pair->keys[pair->n_keys++] = pair->pair.alignment.prefix;
    }
    pair->samples = 1;
    return LIMN_OK;
}

static limn_status check_metric(const Mediate *mediate, const MediatePair *pair) {
    OutcomeMetric metric = mediate->outcome.metric;
    bool single = metric == OUTCOME_LOGIT || metric == OUTCOME_LOGIT_DIFF;
    if (single && (pair->target.n > 1 || (pair->contrast.kind != TARGET_NONE && pair->contrast.n > 1))) {
        return fail(LIMN_USAGE,
                    "mediate: option 'metric': %s is of single tokens, the target has %d; expected prob or "
                    "logprob",
                    outcome_name(metric), (int)pair->target.n);
    }
    TRY(outcome_check(metric, "mediate", mediate->model));
    return pair->contrast.kind == TARGET_NONE || metric == OUTCOME_LOGIT_DIFF
               ? LIMN_OK
               : fail(LIMN_USAGE, "mediate: option 'contrast' goes with --metric logit-diff");
}

limn_status mediate_read_pair(Mediate *mediate, MediatePair *pair, MethodCall *call, const PairParams *prompts,
                              const TargetParams *target, Text subject, int64_t number, Result *result) {
    bool noise = subject.bytes != NULL || mediate->params->subject_span.bytes != NULL ||
                 mediate->params->data.words_field.bytes != NULL;
    Prompt *prompt = &pair->pair.clean.prompt;
    TRY(prompt_read(prompt, call, mediate->model, &prompts->prompt));
    prompt_describe(result, call, mediate->model, prompt);
    TRY(target_resolve(&pair->target, &pair->contrast, call, mediate->engine, prompt, target, NULL, result));
    TRY(check_metric(mediate, pair));
    if (noise && mediate->params->noise_values.bytes == NULL) {
        TRY(mediate_find_deviation(mediate));
    }
    return noise ? spoil_by_noise(mediate, pair, call, subject, number)
                 : spoil_by_words(mediate, pair, call, prompts, result);
}
