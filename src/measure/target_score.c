#include "measure/target_score.h"

#include <math.h>
#include <string.h>

#include "measure/distribution.h"

/* A variant this many times likelier is worth a word. */
static const double variant_ratio = 10;

static limn_status score(Target *target, MethodCall *call, Session *session, const EditPlan *edits) {
    const Model *model = session_model(session);
    target->n_outputs = model->config.task == TASK_CLASSIFIER ? model->config.n_classes : model->config.n_vocab;
    SequenceInput sequence = target_sequence(target);
    OutputRow *outputs = ARENA_ARRAY(call->arena, OutputRow, target->n + 1);
    target->first_logits = arena_alloc(call->arena, (size_t)target->n_outputs * sizeof *target->first_logits);
    if (outputs == NULL || target->first_logits == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < target->n; i++) {
        outputs[i] = (OutputRow){.sequence = 0, .row = target->rows[i], .target = target->ids[i], .weight = 1};
    }
    RunRequest request = {
        .sequences = &sequence, .n_sequences = 1, .outputs = outputs, .n_outputs = target->n, .logits = true};
    if (edits != NULL && edits->n > 0) {
        Edit *bound;
        TRY(edit_plan_bind(&bound, &request.n_edits, edits, 0, target->n_sequence, target->n_sequence, call->arena));
        request.edits = bound;
    }
    TRY(session_run(session, &request, call->progress));
    const float *logits = session_logits(session);
    memcpy(target->first_logits, logits, (size_t)target->n_outputs * sizeof *logits);
    int32_t bad = logit_count_not_finite(logits, target->n_outputs);
    if (bad > 0 && (edits == NULL || edits->n == 0)) { /* a changed run says so itself */
        return fail(LIMN_FORMAT,
                    "%s: %d of %d outputs at position %d are NaN or infinite: there is no answer to explain",
                    model->path, (int)bad, (int)target->n_outputs, (int)target->rows[0]);
    }
    if (target->chosen) {
        target->ids[0] = logit_argmax(logits, target->n_outputs);
    }
    target->log_probability = 0;
    for (int32_t i = 0; i < target->n; i++) {
        const float *row = logits + (size_t)i * (size_t)target->n_outputs;
        target->log_probabilities[i] = (double)row[target->ids[i]] - log_sum_exp(row, target->n_outputs);
        target->log_probability += target->log_probabilities[i];
    }
    target->logit = target->n == 1 ? (double)logits[target->ids[0]] : (double)NAN;
    target->rank = logit_rank(logits, target->n_outputs, target->ids[0]);
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
        bool without = text.length < params->target.length;
        result_warn(result,
                    SAY(call,
                        "the target '%s' has probability %.3g; %s a leading space ('%s') it would have %.3g, %.0f "
                        "times as much: is that the one you mean?",
                        "目标“%s”的概率为 %.3g；%s开头的空格（“%s”）则为 %.3g，是它的 %.0f 倍：您想问的是后者吗？"),
                    params->target.bytes, exp(target->log_probability),
                    without ? SAY(call, "without", "去掉") : SAY(call, "with", "加上"), text.bytes,
                    exp(variant.log_probability), ratio);
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
        distribution_table(result, call, model, "top", SAY(call, "What the model would say", "模型会怎么说"),
                           target->first_logits, target->n_outputs, top);
    }
}
