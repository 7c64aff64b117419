#include "measure/target_score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ask/half_characters.h"
#include "base/integers.h"
#include "measure/batch.h"
#include "measure/distribution.h"

/* A variant this many times likelier is worth a word. */
static const double variant_ratio = 10;
/* So little of the probability is seldom what somebody wants to know about. */
static const double unlikely = 0.01;

enum { LOGIT_BYTES = 64 << 20 /* of one pass: of a target of more tokens, the text is read again for the next ones */ };

typedef struct Scoring {
    Target *target;
    MethodCall *call;
    Engine *engine;
    RunRequest request; /* all but the outputs */
    bool open_end; /* the last token is to be found: what makes a whole character of those before it; -1: nothing */
} Scoring;

static BatchCost cost_of_token(const void *context, int64_t i) {
    (void)context;
    (void)i;
    return (BatchCost){.rows = 1, .outputs = 1};
}

/* The first row of all is the one that others are compared with. */
static limn_status read_first(const Scoring *scoring, const float *logits) {
    Target *target = scoring->target;
    int32_t bad = logit_count_not_finite(logits, target->n_outputs);
    if (bad > 0 && scoring->request.n_edits == 0) { /* a changed run says so itself */
        return fail(LIMN_FORMAT,
                    "%s: %d of %d outputs at position %d are NaN or infinite: there is no answer to explain",
                    engine_model(scoring->engine)->path, (int)bad, (int)target->n_outputs, (int)target->rows[0]);
    }
    memcpy(target->first_logits, logits, (size_t)target->n_outputs * sizeof *logits);
    if (target->chosen) {
        target->ids[0] = logit_argmax(logits, target->n_outputs);
    }
    target->logit = target->n == 1 ? (double)logits[target->ids[0]] : (double)NAN;
    target->rank = logit_rank(logits, target->n_outputs, target->ids[0]);
    return LIMN_OK;
}

static void read_token(const Scoring *scoring, int64_t token, const float *logits) {
    Target *target = scoring->target;
    if (scoring->open_end && token == target->n - 1) {
        target->ids[token] =
            likeliest_rest(scoring->call, engine_model(scoring->engine), target->ids, target->n - 1, logits);
    }
    int32_t id = target->ids[token];
    const Model *model = engine_model(scoring->engine);
    target->log_probabilities[token] =
        id < 0 ? (double)NAN
               : output_log_probability(model, logits[id], output_total(model, logits, target->n_outputs));
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
    TRY(engine_run(scoring->engine, &request, progress));
    const float *logits = engine_logits(scoring->engine);
    TRY(tokens[0] == 0 ? read_first(scoring, logits) : LIMN_OK);
    for (int64_t i = 0; i < n; i++) {
        read_token(scoring, tokens[i], logits + i * target->n_outputs);
    }
    return LIMN_OK;
}

static limn_status score_with(Target *target, MethodCall *call, Engine *engine, const EditPlan *edits, bool open_end) {
    const Model *model = engine_model(engine);
    target->n_outputs = model->config.task == TASK_CLASSIFIER ? model->config.n_classes : model->config.n_vocab;
    target->first_logits = arena_alloc(call->arena, (size_t)target->n_outputs * sizeof *target->first_logits);
    if (target->first_logits == NULL) {
        return method_no_memory(call);
    }
    SequenceInput sequence = target_sequence(target);
    Scoring scoring = {.target = target,
                       .call = call,
                       .engine = engine,
                       .request = {.sequences = &sequence, .n_sequences = 1, .logits = true},
                       .open_end = open_end};
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

static limn_status score(Target *target, MethodCall *call, Engine *engine, const EditPlan *edits) {
    return score_with(target, call, engine, edits, false);
}

/* A single token that is half a character becomes the whole one that the model would go on to write. */
static limn_status complete_character(Target *target, MethodCall *call, Engine *engine, const Prompt *prompt,
                                      const EditPlan *edits, Result *result) {
    enum { MOST_MORE = 3 };
    const Model *model = engine_model(engine);
    int32_t first = target->ids[0];
    for (int more = 0; more < MOST_MORE && ids_end_within_character(call, model, target->ids, target->n); more++) {
        Target longer;
        ErrorState before;
        error_save(&before);
        limn_status status = target_extend(&longer, target, call, model, prompt, 0); /* which token is not known yet */
        if (status == LIMN_RANGE) {                                                  /* the context is full */
            error_restore(&before);
            return LIMN_OK;
        }
        TRY(status);
        TRY(score_with(&longer, call, engine, edits, true));
        if (longer.ids[target->n] < 0) {
            return LIMN_OK;
        }
        *target = longer;
    }
    if (target->n > 1) {
        result_warn(result,
                    SAY(call,
                        "the target's token %d is half a character; explained is the whole one that the model would go "
                        "on to write, %d tokens",
                        "目标词元 %d 只是半个字符；所解释的是模型会接着写出的整个字符，共 %d 个词元"),
                    (int)first, (int)target->n);
    }
    return LIMN_OK;
}

/* Says so when the same words with (without) a leading space would be far likelier. */
static limn_status compare_variant(const Target *target, MethodCall *call, Engine *engine, const Prompt *prompt,
                                   const TargetParams *params, const EditPlan *edits, Result *result) {
    Target variant;
    Text text;
    TRY(target_build_variant(&variant, &text, target, call, engine_model(engine), prompt, params));
    if (variant.kind == TARGET_NONE) {
        return LIMN_OK;
    }
    TRY(score(&variant, call, engine, edits));
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

limn_status target_resolve(Target *target, Target *contrast, MethodCall *call, Engine *engine, const Prompt *prompt,
                           const TargetParams *params, const EditPlan *edits, Result *result) {
    const Model *model = engine_model(engine);
    TRY(target_build(target, call, model, prompt, params, result));
    TRY(score(target, call, engine, edits));
    if (target->kind == TARGET_TOKENS && target->n == 1 && params->target.bytes == NULL) {
        TRY(complete_character(target, call, engine, prompt, edits, result));
    }
    TRY(compare_variant(target, call, engine, prompt, params, edits, result));
    TRY(target_build_contrast(contrast, target, call, model, prompt, params));
    if (contrast->kind == TARGET_NONE) {
        return LIMN_OK;
    }
    if (target_is_same(target, contrast)) {
        return fail(LIMN_USAGE, "option 'contrast': found '%s', which is the target itself%s; expected another answer",
                    params->contrast.bytes, target->chosen ? " (the model's own first choice)" : "");
    }
    return score(contrast, call, engine, edits);
}

enum { CHANCE_TEXT_MAX = 32 };

static void chance_text(char out[CHANCE_TEXT_MAX], const MethodCall *call, double probability) {
    if (probability < 1e-4) {
        snprintf(out, CHANCE_TEXT_MAX, "%s", SAY(call, "under 0.01%", "不到 0.01%"));
    } else {
        snprintf(out, CHANCE_TEXT_MAX, SAY(call, "%.2g%%", " %.2g%%"), 100 * probability);
    }
}

static Text first_text(MethodCall *call, const Model *model, const Target *target) {
    return output_text(call, model, target->ids[0]);
}

void target_warn_unlikely(Result *result, MethodCall *call, const Model *model, const Target *target,
                          const Target *contrast) {
    int32_t best = logit_argmax(target->first_logits, target->n_outputs);
    double likeliest = exp(output_log_probability(model, target->first_logits[best],
                                                  output_total(model, target->first_logits, target->n_outputs)));
    double of_target = exp(target->log_probabilities[0]);
    bool contrasted = contrast != NULL && contrast->kind != TARGET_NONE;
    double of_contrast = contrasted ? exp(contrast->log_probabilities[0]) : 0;
    if (target->chosen || target->kind == TARGET_SPAN || fmax(of_target, of_contrast) >= unlikely ||
        likeliest < fmax(of_target, of_contrast) * variant_ratio) {
        return;
    }
    char parts[3][CHANCE_TEXT_MAX];
    Text wanted = first_text(call, model, target), rather = output_text(call, model, best);
    chance_text(parts[0], call, of_target);
    chance_text(parts[1], call, of_contrast);
    chance_text(parts[2], call, likeliest);
    if (contrasted) {
        Text other = first_text(call, model, contrast);
        result_warn(result,
                    SAY(call,
                        "the model would hardly begin with either: '%.*s' has probability %s, '%.*s' %s; it would "
                        "rather say '%.*s' (%s): does the prompt end where the answer begins?",
                        "模型几乎不会以这两者开头：“%.*s”的概率为%s，“%.*s”为%s；它更可能说“%.*s”（%s）：提示的结尾"
                        "是答案开始的地方吗？"),
                    (int)wanted.length, wanted.bytes, parts[0], (int)other.length, other.bytes, parts[1],
                    (int)rather.length, rather.bytes, parts[2]);
    } else {
        result_warn(result,
                    SAY(call,
                        "the model would hardly begin with '%.*s' (probability %s); it would rather say '%.*s' (%s): "
                        "does the prompt end where the answer begins?",
                        "模型几乎不会以“%.*s”开头（概率%s）；它更可能说“%.*s”（%s）：提示的结尾是答案开始的地方吗？"),
                    (int)wanted.length, wanted.bytes, parts[0], (int)rather.length, rather.bytes, parts[2]);
    }
    method_tell(call, result);
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
