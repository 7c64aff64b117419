#include "method/causal/pair.h"

#include <string.h>

bool pair_has_corrupt(const PairParams *params) {
    return params->corrupt.bytes != NULL || params->corrupt_ids.ids != NULL || params->corrupt_messages.bytes != NULL;
}

limn_status pair_read_corrupt(Prompt *corrupt, MethodCall *call, const Model *model, const PairParams *params) {
    int given =
        (params->corrupt.bytes != NULL) + (params->corrupt_ids.ids != NULL) + (params->corrupt_messages.bytes != NULL);
    if (given != 1) {
        return fail(LIMN_USAGE,
                    "%s: found %d corrupt prompts; expected one of --corrupt, --corrupt-ids and "
                    "--corrupt-messages",
                    call->method->command.name, given);
    }
    PromptParams other = params->prompt;
    bool chat = other.chat.chat.bytes != NULL || other.chat.messages.bytes != NULL;
    if (chat != (params->corrupt_messages.bytes != NULL)) {
        return fail(LIMN_USAGE,
                    "%s: one prompt is a chat and the other a text; expected --corrupt beside --prompt, "
                    "--corrupt-messages beside --messages",
                    call->method->command.name);
    }
    other.prompt = params->corrupt;
    other.ids = params->corrupt_ids;
    other.file = (Text){0};
    other.chat.chat = (Text){0};
    other.chat.messages = params->corrupt_messages;
    limn_status status = prompt_read(corrupt, call, model, &other);
    return status == LIMN_OK ? status : fail_context("the corrupt prompt");
}

/* The corrupt prompt and, of a continuation, the target's tokens but the last. */
static limn_status extend(PairSide *side, MethodCall *call, const Target *target) {
    const Prompt *prompt = &side->prompt;
    int32_t more = target->kind == TARGET_TOKENS ? target->n - 1 : 0, n = prompt->n + more;
    int32_t *ids = ARENA_ARRAY(call->arena, int32_t, n);
    int32_t *types = ARENA_ARRAY(call->arena, int32_t, n);
    uint8_t *mask = ARENA_ARRAY(call->arena, uint8_t, n);
    if (ids == NULL || types == NULL || mask == NULL) {
        return method_no_memory(call);
    }
    memset(mask, 1, (size_t)n);
    memcpy(ids, prompt->ids, (size_t)prompt->n * sizeof *ids);
    memcpy(ids + prompt->n, target->ids, (size_t)more * sizeof *ids);
    side->sequence = (SequenceInput){.ids = ids, .n = n};
    if (prompt->types != NULL) {
        memcpy(types, prompt->types, (size_t)prompt->n * sizeof *types);
        side->sequence.types = types;
    }
    if (prompt->mask != NULL) {
        memcpy(mask, prompt->mask, (size_t)prompt->n);
        side->sequence.mask = mask;
    }
    return LIMN_OK;
}

/* Where the target is read; the rows of one sequence found in the other. */
static limn_status find_outputs(Pair *pair, MethodCall *call, const Target *target) {
    Alignment from_clean = alignment_turned(&pair->alignment);
    PairSide *sides[] = {&pair->clean, &pair->corrupt};
    for (int s = 0; s < 2; s++) {
        sides[s]->n_outputs = target->n;
        sides[s]->outputs = ARENA_ARRAY(call->arena, OutputRow, target->n + 1);
        if (sides[s]->outputs == NULL) {
            return method_no_memory(call);
        }
        for (int32_t i = 0; i < target->n; i++) {
            int32_t row = s == 0 ? target->rows[i] : alignment_source(&from_clean, target->rows[i]);
            if (row < 0) {
                return fail(LIMN_USAGE,
                            "%s: the answer is read at position %d of the clean prompt, and nothing says which one "
                            "that is of the corrupt prompt (%d and %d tokens, in common the first %d and the last %d)",
                            call->method->command.name, (int)target->rows[i], (int)pair->clean.sequence.n,
                            (int)pair->corrupt.sequence.n, (int)pair->alignment.prefix, (int)pair->alignment.suffix);
            }
            sides[s]->outputs[i] = (OutputRow){.row = row, .target = target->ids[i], .weight = 1};
        }
    }
    return LIMN_OK;
}

limn_status pair_join(Pair *pair, MethodCall *call, const Target *target) {
    pair->clean.sequence = target_sequence(target);
    TRY(extend(&pair->corrupt, call, target));
    /* the target's own tokens behind both are no words that the prompts have in common */
    const Prompt *clean = &pair->clean.prompt, *corrupt = &pair->corrupt.prompt;
    Alignment prompts;
    TRY(alignment_of(&prompts, call->method->command.name, corrupt->ids, corrupt->n, clean->ids, clean->n));
    TRY(alignment_of(&pair->alignment, call->method->command.name, pair->corrupt.sequence.ids, pair->corrupt.sequence.n,
                     pair->clean.sequence.ids, pair->clean.sequence.n));
    return find_outputs(pair, call, target);
}

void pair_warn(Result *result, MethodCall *call, const Pair *pair) {
    const Alignment *alignment = &pair->alignment;
    if (alignment->n_base != alignment->n_source) {
        result_warn(result,
                    SAY(call,
                        "the prompts have %d (clean) and %d (corrupt) tokens: the first %d and the last %d are taken "
                        "for the same, and nothing between them is patched",
                        "两个提示分别有 %d（原）和 %d（改）个词元：前 %d 个和后 %d 个视为对应，中间的不作替换"),
                    (int)alignment->n_source, (int)alignment->n_base, (int)alignment->prefix, (int)alignment->suffix);
    } else if (2 * alignment->n_different > alignment->n_base && alignment->n_different > 2) {
        result_warn(result,
                    SAY(call,
                        "the prompts are of %d tokens and differ in %d of them: what is patched comes from a place "
                        "that may mean something else",
                        "两个提示有 %d 个词元，其中 %d 个不同：所替换的值可能来自意义不同的位置"),
                    (int)alignment->n_base, (int)alignment->n_different);
    }
}

Text pair_token_text(MethodCall *call, const Model *model, const Pair *pair, int32_t row) {
    int32_t source = alignment_source(&pair->alignment, row);
    int32_t id = pair->corrupt.sequence.ids[row];
    Text own = text_bare(token_text(call, model, id));
    if (source < 0 || pair->clean.sequence.ids[source] == id) {
        return own;
    }
    Text clean = text_bare(token_text(call, model, pair->clean.sequence.ids[source]));
    char *both = arena_alloc(call->arena, own.length + clean.length + 2);
    if (both == NULL) {
        return own;
    }
    memcpy(both, clean.bytes, clean.length);
    both[clean.length] = '/';
    memcpy(both + clean.length + 1, own.bytes, own.length);
    both[clean.length + 1 + own.length] = '\0';
    return text_of_bytes(both, clean.length + 1 + own.length);
}
