#include "measure/target_score.h"

#include <math.h>
#include <string.h>

#include "base/integers.h"
#include "measure/batch.h"
#include "measure/distribution.h"

/* A variant this many times likelier is worth a word. */
static const double variant_ratio = 10;

enum { LOGIT_BYTES = 64 << 20 /* of one pass: of a target of more tokens, the text is read again for the next ones */ };

typedef struct Scoring {
    Target *target;
    MethodCall *call;
    Session *session;
    RunRequest request; /* all but the outputs */
} Scoring;

static BatchCost cost_of_token(const void *context, int64_t i) {
    (void)context;
    (void)i;
    return (BatchCost){.rows = 1, .outputs = 1};
}

/* The first row of all is the one that others are compared with. */
static void read_first(Target *target, const float *logits) {
    memcpy(target->first_logits, logits, (size_t)target->n_outputs * sizeof *logits);
    if (target->chosen) {
        target->ids[0] = logit_argmax(logits, target->n_outputs);
    }
    target->logit = target->n == 1 ? (double)logits[target->ids[0]] : (double)NAN;
    target->rank = logit_rank(logits, target->n_outputs, target->ids[0]);
}

static limn_status score_some(void *context, const int64_t *tokens, int64_t n, const Progress *progress) {
    const Scoring *scoring = context;
    Target *target = scoring->target;
    RunRequest request = scoring->request;
    OutputRow *outputs = ARENA_ARRAY(scoring->call->arena, OutputRow, n);
    if (outputs == NULL) {
        return method_no_memory(scoring->call);
    }
    for (int64_t i = 0; i < n; i++) {
        outputs[i] = (OutputRow){.row = target->rows[tokens[i]], .target = target->ids[tokens[i]], .weight = 1};
    }
    request.outputs = outputs;
    request.n_outputs = (int32_t)n;
    TRY(session_run(scoring->session, &request, progress));
    const float *logits = session_logits(scoring->session);
    if (tokens[0] == 0) {
        read_first(target, logits);
    }
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * target->n_outputs;
        target->log_probabilities[tokens[i]] =
            (double)row[target->ids[tokens[i]]] - log_sum_exp(row, target->n_outputs);
    }
    return LIMN_OK;
}

static limn_status score(Target *target, MethodCall *call, Session *session, const EditPlan *edits) {
    const Model *model = session_model(session);
    target->n_outputs = model->config.task == TASK_CLASSIFIER ? model->config.n_classes : model->config.n_vocab;
    target->first_logits = arena_alloc(call->arena, (size_t)target->n_outputs * sizeof *target->first_logits);
    if (target->first_logits == NULL) {
        return method_no_memory(call);
    }
    SequenceInput sequence = target_sequence(target);
    Scoring scoring = {.target = target,
                       .call = call,
                       .session = session,
                       .request = {.sequences = &sequence, .n_sequences = 1, .logits = true}};
    if (edits != NULL && edits->n > 0) {
        Edit *bound;
        TRY(edit_plan_bind(&bound, &scoring.request.n_edits, edits, 0, target->n_sequence, target->n_sequence,
                           call->arena));
        scoring.request.edits = bound;
    }
    Batcher batcher = {.progress = call->progress,
                       .rows = target->n,
                       .outputs = larger(1, LOGIT_BYTES / (int64_t)sizeof(float) / target->n_outputs)};
    const BatchJob job = {.n = target->n, .context = &scoring, .cost = cost_of_token, .run = score_some};
    TRY(batch_run(&batcher, &job));
    target->log_probability = 0;
    for (int32_t i = 0; i < target->n; i++) {
        target->log_probability += target->log_probabilities[i];
    }
    return LIMN_OK;
}

/* Says so when the same words with (without) a leading space would be far likelier. */
static limn_status compare_variant(const Target *target, MethodCall *call, Session *session, const Prompt *prompt,
                                   const TargetParams *params, const EditPlan *edits, Result *result) {
    Target variant;
    Text text;
    TRY(target_build_variant(&variant, &text, target, call, session_model(session), prompt, params));
    if (variant.kind == TARGET_NONE) {
        return LIMN_OK;
    }
    TRY(score(&variant, call, session, edits));
    double ratio = exp(variant.log_probability - target->log_probability);
    if (ratio > variant_ratio) {
        result_warn(result,
                    "the target '%s' has probability %.3g; %s a leading space ('%s') it would have %.3g, %.0f times "
                    "as much: is that the one you mean?",
                    params->target.bytes, exp(target->log_probability),
                    text.length < params->target.length ? "without" : "with", text.bytes, exp(variant.log_probability),
                    ratio);
    }
    return LIMN_OK;
}

limn_status target_resolve(Target *target, Target *contrast, MethodCall *call, Session *session, const Prompt *prompt,
                           const TargetParams *params, const EditPlan *edits, Result *result) {
    const Model *model = session_model(session);
    TRY(target_build(target, call, model, prompt, params, result));
    TRY(score(target, call, session, edits));
    TRY(compare_variant(target, call, session, prompt, params, edits, result));
    TRY(target_build_contrast(contrast, target, call, model, prompt, params));
    return contrast->kind != TARGET_NONE ? score(contrast, call, session, edits) : LIMN_OK;
}

static void describe_one(ResultTarget *out, MethodCall *call, const Model *model, const Target *target) {
    static const char *const kinds[] = {"none", "tokens", "token", "class", "span"};
    TextBuffer buffer = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < target->n; i++) {
        Text text = output_text(call, model, target->ids[i]);
        text_buffer_add_bytes(&buffer, text.bytes, text.length);
    }
    char *copy = arena_alloc(call->arena, buffer.length + 1);
    if (copy != NULL) {
        memcpy(copy, buffer.data != NULL ? buffer.data : "", buffer.length);
        copy[buffer.length] = '\0';
    }
    bool single = target->kind == TARGET_TOKENS && target->n == 1;
    *out = (ResultTarget){.kind = text_of(single ? "token" : kinds[target->kind]),
                          .ids = target->ids,
                          .n_ids = target->n,
                          .text = text_of_bytes(copy, copy != NULL ? buffer.length : 0),
                          .log_probability = target->log_probability,
                          .logit = target->logit,
                          .rank = target->rank,
                          .token_log_probabilities = target->log_probabilities,
                          .chosen = target->chosen};
    text_buffer_free(&buffer);
}

void target_describe(Result *result, MethodCall *call, const Model *model, const Target *target, const Target *contrast,
                     int32_t top) {
    ResultTarget described;
    describe_one(&described, call, model, target);
    result_target(result, &described);
    if (contrast != NULL && contrast->kind != TARGET_NONE) {
        describe_one(&described, call, model, contrast);
        result_contrast(result, &described);
    }
    if (top > 0) {
        distribution_table(result, call, model, "top", "What the model would say", target->first_logits,
                           target->n_outputs, top);
    }
}
