#include "ask/target.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ask/half_characters.h"
#include "ask/words.h"
#include "base/nearest.h"
#include "base/utf8.h"

/* ---- rows ---- */

static int32_t find_mask(const Model *model, const Prompt *prompt, int32_t *count) {
    int32_t id = model->tokenizer != NULL ? tokenizer_special(model->tokenizer, SPECIAL_MASK) : -1;
    int32_t first = -1;
    *count = 0;
    for (int32_t i = 0; id >= 0 && i < prompt->n; i++) {
        if (prompt->ids[i] == id) {
            first = first < 0 ? i : first;
            (*count)++;
        }
    }
    return first;
}

int32_t answer_row(const Model *model, const Prompt *prompt) {
    int32_t count;
    if (model->config.task == TASK_MASKED_LM) {
        return find_mask(model, prompt, &count);
    }
    if (!model->config.causal) {
        return 0;
    }
    int32_t last = prompt->n - 1;
    if (model->config.task == TASK_CLASSIFIER && model->config.pad_id >= 0) {
        while (last > 0 && prompt->ids[last] == model->config.pad_id) {
            last--;
        }
        return last;
    }
    while (last > 0 && prompt->mask != NULL && prompt->mask[last] == 0) {
        last--;
    }
    return last;
}

limn_status position_parse(int32_t *row, const char *text, const Model *model, const Prompt *prompt) {
    int32_t count;
    if (strcmp(text, "[MASK]") == 0) {
        *row = find_mask(model, prompt, &count);
        return *row >= 0 ? LIMN_OK
                         : fail(LIMN_NOT_FOUND, "option 'at': found [MASK], but the prompt has no mask token");
    }
    char *end;
    errno = 0;
    long position = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) {
        return fail(LIMN_USAGE, "option 'at': found '%s', expected a position or [MASK]", text);
    }
    long from_start = position < 0 ? position + prompt->n : position;
    if (from_start < 0 || from_start >= prompt->n) {
        return fail(LIMN_RANGE, "option 'at': position %ld does not exist; the prompt has %d tokens", position,
                    (int)prompt->n);
    }
    *row = (int32_t)from_start;
    return LIMN_OK;
}

/* ---- building a target ---- */

static limn_status target_alloc(Target *target, MethodCall *call, const Prompt *prompt, int32_t n, int32_t extra) {
    target->n = n;
    target->n_sequence = prompt->n + extra;
    target->ids = ARENA_ARRAY(call->arena, int32_t, n + 1);
    target->rows = ARENA_ARRAY(call->arena, int32_t, n + 1);
    target->log_probabilities = ARENA_ARRAY(call->arena, double, n + 1);
    target->sequence = ARENA_ARRAY(call->arena, int32_t, target->n_sequence + 1);
    if (target->ids == NULL || target->rows == NULL || target->log_probabilities == NULL || target->sequence == NULL) {
        return method_no_memory(call);
    }
    memcpy(target->sequence, prompt->ids, (size_t)prompt->n * sizeof *target->sequence);
    if (prompt->types != NULL) {
        target->types = ARENA_ARRAY(call->arena, int32_t, target->n_sequence + 1);
        if (target->types == NULL) {
            return method_no_memory(call);
        }
        memcpy(target->types, prompt->types, (size_t)prompt->n * sizeof *target->types);
    }
    if (prompt->mask != NULL) {
        target->mask = arena_alloc(call->arena, (size_t)target->n_sequence + 1);
        if (target->mask == NULL) {
            return method_no_memory(call);
        }
        memset(target->mask, 1, (size_t)target->n_sequence);
        memcpy(target->mask, prompt->mask, (size_t)prompt->n);
    }
    return LIMN_OK;
}

static limn_status check_token(const Model *model, int32_t id) {
    if (id < 0 || id >= model->config.n_vocab) {
        return fail(LIMN_RANGE, "target id %d does not exist; the model has tokens 0 to %d", (int)id,
                    (int)model->config.n_vocab - 1);
    }
    return LIMN_OK;
}

/* One id read from one row. */
static limn_status single_target(Target *target, MethodCall *call, const Prompt *prompt, TargetKind kind, int32_t row,
                                 int32_t id) {
    TRY(target_alloc(target, call, prompt, 1, 0));
    target->kind = kind;
    target->ids[0] = id;
    target->rows[0] = row;
    return LIMN_OK;
}

/* The tokens that follow the prompt. */
static limn_status continuation(Target *target, MethodCall *call, const Model *model, const Prompt *prompt,
                                const int32_t *ids, int32_t n) {
    TRY(target_alloc(target, call, prompt, n, n - 1));
    if (model->config.n_context > 0 && target->n_sequence > model->config.n_context) {
        return fail(LIMN_RANGE, "prompt and target have %d tokens; %s reads at most %d", (int)target->n_sequence + 1,
                    model->path, (int)model->config.n_context);
    }
    target->kind = TARGET_TOKENS;
    for (int32_t i = 0; i < n; i++) {
        TRY(check_token(model, ids[i]));
        target->ids[i] = ids[i];
        target->rows[i] = prompt->n - 1 + i;
        if (i < n - 1) {
            target->sequence[prompt->n + i] = ids[i];
        }
    }
    return LIMN_OK;
}

/* Tokens the post-processor put behind the text. */
static int32_t without_trailing_special(const Token *tokens, int32_t n) {
    while (n > 0 && tokens[n - 1].special && tokens[n - 1].begin == tokens[n - 1].end) {
        n--;
    }
    return n;
}

static const char *ids_text(Arena *arena, const int32_t *ids, const Token *tokens, int32_t from, int32_t n) {
    TextBuffer buffer = TEXT_BUFFER_INIT;
    for (int32_t i = from; i < n && (ids != NULL || tokens != NULL); i++) {
        text_buffer_printf(&buffer, "%s%d", i > from ? "," : "", (int)(ids != NULL ? ids[i] : tokens[i].id));
    }
    char *text = arena_strdup(arena, buffer.data != NULL ? buffer.data : "");
    text_buffer_free(&buffer);
    return text != NULL ? text : "?";
}

/* The text's tokens, where the prompt has no text to encode it with. */
static limn_status alone(int32_t **ids, int32_t *n, MethodCall *call, const Model *model, Text text, bool continues) {
    Token *tokens;
    EncodeOptions options = encode_alone(text);
    options.continues = options.continues || continues;
    TRY(prompt_encode(&tokens, n, call, model->tokenizer, text, &options));
    *ids = ARENA_ARRAY(call->arena, int32_t, *n + 1);
    if (*ids == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < *n; i++) {
        (*ids)[i] = tokens[i].id;
    }
    return *n > 0 ? LIMN_OK : fail(LIMN_USAGE, "the target has no tokens; expected at least one");
}

/* encode(prompt + target) minus encode(prompt). */
static limn_status following(int32_t **ids, int32_t *n, MethodCall *call, const Model *model, const Prompt *prompt,
                             Text text) {
    char *both = arena_alloc(call->arena, prompt->text.length + text.length + 1);
    if (both == NULL) {
        return method_no_memory(call);
    }
    memcpy(both, prompt->text.bytes, prompt->text.length);
    memcpy(both + prompt->text.length, text.bytes, text.length);
    both[prompt->text.length + text.length] = '\0';
    Token *tokens;
    int32_t total;
    Text joined = {both, prompt->text.length + text.length};
    TRY(prompt_encode(&tokens, &total, call, model->tokenizer, joined, &prompt->encode));
    total = without_trailing_special(tokens, total);
    int32_t own = without_trailing_special(prompt->tokens, prompt->n);
    int32_t same = 0;
    while (same < own && same < total && tokens[same].id == prompt->ids[same]) {
        same++;
    }
    if (same < own) {
        int32_t from = same > 0 ? same - 1 : 0;
        return fail(LIMN_USAGE,
                    "the target joins with the prompt's end: from token %d the prompt alone is [%s], with the target "
                    "[%s]; move the border to where a token begins (a leading space belongs to the target)",
                    (int)from, ids_text(call->arena, prompt->ids, NULL, from, own),
                    ids_text(call->arena, NULL, tokens, from, total < from + 12 ? total : from + 12));
    }
    *n = total - own;
    *ids = ARENA_ARRAY(call->arena, int32_t, *n + 1);
    if (*ids == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < *n; i++) {
        (*ids)[i] = tokens[own + i].id;
    }
    return *n > 0 ? LIMN_OK : fail(LIMN_USAGE, "the target adds no token to the prompt; expected at least one");
}

/* row: of the output that scores the text's first token. */
static limn_status tokens_target(Target *target, MethodCall *call, const Model *model, const Prompt *prompt,
                                 const TargetParams *params, int32_t row, Text text) {
    int32_t *ids = NULL;
    int32_t n = 0;
    TRY(model_need_tokenizer(model, "give --target-id"));
    bool masked = model->config.task == TASK_MASKED_LM;
    bool one_row = params->at.bytes != NULL || masked;
    if (one_row || prompt->text.bytes == NULL) {
        bool continues = !masked && prompt_has_text(prompt, row + 1); /* at a mask a word begins */
        TRY(alone(&ids, &n, call, model, text, continues));
    } else {
        TRY(following(&ids, &n, call, model, prompt, text));
    }
    target->text = text;
    if (!one_row) {
        return continuation(target, call, model, prompt, ids, n);
    }
    if (n != 1) {
        return fail(LIMN_USAGE, "'%.*s' is %d tokens [%s]; one position is one token", (int)text.length, text.bytes,
                    (int)n, ids_text(call->arena, ids, NULL, 0, n));
    }
    return single_target(target, call, prompt, TARGET_AT, row, ids[0]);
}

static const char *label_at(const void *context, size_t index) {
    return ((const ModelConfig *)context)->labels[index];
}

static limn_status find_class(int32_t *id, const Model *model, const char *name) {
    const ModelConfig *config = &model->config;
    for (int32_t i = 0; i < config->n_classes; i++) {
        if (strcmp(config->labels[i], name) == 0) {
            *id = i;
            return LIMN_OK;
        }
    }
    char *end;
    errno = 0;
    long number = strtol(name, &end, 10);
    if (end != name && *end == '\0' && errno == 0) {
        if (number < 0 || number >= config->n_classes) {
            return fail(LIMN_RANGE, "class %ld does not exist; the model has classes 0 to %d", number,
                        (int)config->n_classes - 1);
        }
        *id = (int32_t)number;
        return LIMN_OK;
    }
    char near[256];
    nearest_names(near, sizeof near, NEAREST_USUAL, name, label_at, config, (size_t)config->n_classes);
    return fail(LIMN_NOT_FOUND, "the model has no class '%s'; nearest: %s", name, near);
}

/* ---- words of the prompt ---- */

static limn_status parse_span(int32_t *begin, int32_t *end, const char *text, const Prompt *prompt) {
    char *at;
    errno = 0;
    long first = strtol(text, &at, 10);
    bool good = at != text && *at == ':';
    const char *second = at + 1;
    long last = good ? strtol(second, &at, 10) : 0;
    if (!good || at == second || *at != '\0' || errno != 0) {
        return fail(LIMN_USAGE, "option 'target-span': found '%s', expected A:B", text);
    }
    if (first < 1 || last <= first || last > prompt->n) {
        return fail(LIMN_RANGE,
                    "option 'target-span': found %s; expected a begin from 1 (what is predicted from "
                    "nothing has no cause) and an end up to %d",
                    text, (int)prompt->n);
    }
    *begin = (int32_t)first;
    *end = (int32_t)last;
    return LIMN_OK;
}

/* Where a word stands in the prompt: at how many places, and the last of them. */
typedef struct Places {
    int32_t n;
    const char *last;
} Places;

/* Do the characters on both sides of byte `at` belong to one word? */
static bool within_word(Text text, size_t at) {
    if (at == 0 || at >= text.length) {
        return false;
    }
    size_t before = at - 1; /* where the character before begins */
    while (before > 0 && at - before < 4 && ((unsigned char)text.bytes[before] & 0xC0) == 0x80) {
        before--;
    }
    uint32_t left;
    uint32_t right;
    bool valid;
    utf8_read(text.bytes + before, at - before, &left, &valid);
    utf8_read(text.bytes + at, text.length - at, &right, &valid);
    return joins_words(left) && joins_words(right);
}

/* Places where the word stands by itself and those where it is a part of a longer one. */
static void find_places(Places *whole, Places *part, Text word, Text text) {
    *whole = *part = (Places){0};
    for (size_t at = 0; at + word.length <= text.length; at++) {
        if (memcmp(text.bytes + at, word.bytes, word.length) != 0) {
            continue;
        }
        Places *places = within_word(text, at) || within_word(text, at + word.length) ? part : whole;
        places->n++;
        places->last = text.bytes + at;
    }
}

/* Says so when the word could be read in more than one way. */
static void warn_of_places(Result *result, const MethodCall *call, const char *word, const Places *whole,
                           const Places *part, int32_t begin, int32_t end) {
    const Places *chosen = whole->n > 0 ? whole : part;
    const char *where = whole->n > 0 ? "" : SAY(call, ", only inside longer words", "，都在更长的词里");
    if (chosen->n > 1) {
        result_warn(
            result,
            SAY(call,
                "'%s' stands %d times in the prompt%s; the last (--target-span %d:%d) is explained: "
                "--target-span A:B picks another",
                "“%s”在提示中出现 %d 次%s；所解释的是最后一处（--target-span %d:%d），用 --target-span A:B 另选"),
            word, (int)chosen->n, where, (int)begin, (int)end);
    } else if (whole->n == 0) {
        result_warn(
            result,
            SAY(call,
                "'%s' stands in the prompt only inside a longer word; that place (--target-span %d:%d) is "
                "explained: --target-span A:B picks another",
                "“%s”在提示中只出现在更长的词里；所解释的是该处（--target-span %d:%d），用 --target-span A:B 另选"),
            word, (int)begin, (int)end);
    }
}

/* The tokens that hold the last place where the word stands by itself, else the last inside a longer word. */
static limn_status find_word(int32_t *begin, int32_t *end, Text word, const MethodCall *call, const Prompt *prompt,
                             Result *result) {
    if (prompt->text.bytes == NULL || word.length == 0) {
        return fail(LIMN_USAGE, "option 'target-text' needs a prompt given as text and a word; use --target-span");
    }
    Places whole;
    Places part;
    find_places(&whole, &part, word, prompt->text);
    const char *found = whole.n > 0 ? whole.last : part.last;
    if (found == NULL) {
        return fail(LIMN_NOT_FOUND, "option 'target-text': the prompt does not hold '%s'", word.bytes);
    }
    int64_t from = found - prompt->text.bytes;
    int64_t to = from + (int64_t)word.length;
    *begin = *end = -1;
    for (int32_t i = 0; i < prompt->n; i++) {
        const Token *token = &prompt->tokens[i];
        if (token->begin < to && token->end > from) {
            *begin = *begin < 0 ? i : *begin;
            *end = i + 1;
        }
    }
    if (*begin < 1) {
        return fail(LIMN_RANGE,
                    "option 'target-text': '%s' begins the prompt; what is predicted from nothing has no "
                    "cause",
                    word.bytes);
    }
    if (result != NULL) {
        warn_of_places(result, call, word.bytes, &whole, &part, *begin, *end);
    }
    return LIMN_OK;
}

static limn_status span_target(Target *target, MethodCall *call, const Model *model, const Prompt *prompt,
                               const TargetParams *params, Result *result) {
    if (model->config.task != TASK_CAUSAL_LM) {
        return fail(LIMN_USAGE, "a target inside the prompt needs a causal language model; %s is %s", model->path,
                    model->config.architecture);
    }
    int32_t begin = 0;
    int32_t end = 0;
    if (params->target_span.bytes != NULL) {
        TRY(parse_span(&begin, &end, params->target_span.bytes, prompt));
    } else {
        TRY(find_word(&begin, &end, params->target_text, call, prompt, result));
    }
    if (span_of_whole_characters(&begin, &end, call, model, prompt) && result != NULL) {
        result_warn(result,
                    SAY(call, "the target cuts a character; explained are the tokens of whole ones, %d:%d",
                        "目标切断了一个字符；所解释的是完整字符的词元 %d:%d"),
                    (int)begin, (int)end);
    }
    TRY(target_alloc(target, call, prompt, end - begin, 0));
    target->kind = TARGET_SPAN;
    for (int32_t i = begin; i < end; i++) {
        target->ids[i - begin] = prompt->ids[i];
        target->rows[i - begin] = i - 1;
    }
    return LIMN_OK;
}

SequenceInput target_sequence(const Target *target) {
    return (SequenceInput){
        .ids = target->sequence, .n = target->n_sequence, .types = target->types, .mask = target->mask};
}

/* ---- all together ---- */

static limn_status one_of(const MethodCall *call, const Model *model, const TargetParams *params) {
    int named = (params->target.bytes != NULL) + (params->target_id != PARAM_NO_INTEGER) +
                (params->class_name.bytes != NULL) + (params->target_text.bytes != NULL) +
                (params->target_span.bytes != NULL);
    if (named > 1) {
        return fail(LIMN_USAGE, "%s: several targets; expected at most one of --target, --target-id, --class%s",
                    call->method->command.name, ", --target-text and --target-span");
    }
    bool classifier = model->config.task == TASK_CLASSIFIER;
    if (classifier && named == 1 && params->class_name.bytes == NULL) {
        return fail(LIMN_USAGE, "%s is a classifier; its target is a class: --class N or NAME", model->path);
    }
    if (!classifier && params->class_name.bytes != NULL) {
        return fail(LIMN_USAGE, "%s (%s) has no classes; use --target or --target-id", model->path,
                    model->config.architecture);
    }
    if (model->config.task == TASK_ENCODER) {
        return fail(LIMN_USAGE, "%s (%s) is a bare encoder: it predicts nothing that could be a target", model->path,
                    model->config.architecture);
    }
    return LIMN_OK;
}

static limn_status target_row(int32_t *row, const Model *model, const Prompt *prompt, const TargetParams *params) {
    if (params->at.bytes != NULL) {
        return position_parse(row, params->at.bytes, model, prompt);
    }
    *row = answer_row(model, prompt);
    if (*row < 0) {
        return fail(LIMN_USAGE, "the prompt has no mask token; write %s in it or give --at POSITION",
                    model->tokenizer != NULL ? "[MASK]" : "the mask's id");
    }
    return LIMN_OK;
}

static limn_status build_target(Target *target, MethodCall *call, const Model *model, const Prompt *prompt,
                                const TargetParams *params, Result *result) {
    int32_t row = 0;
    int32_t class_id = 0;
    if (params->target_text.bytes != NULL || params->target_span.bytes != NULL) {
        return span_target(target, call, model, prompt, params, result);
    }
    TRY(target_row(&row, model, prompt, params));
    if (model->config.task == TASK_CLASSIFIER) {
        if (params->class_name.bytes != NULL) {
            TRY(find_class(&class_id, model, params->class_name.bytes));
        }
        target->chosen = params->class_name.bytes == NULL;
        return single_target(target, call, prompt, TARGET_CLASS, row, class_id);
    }
    if (params->target.bytes != NULL) {
        return tokens_target(target, call, model, prompt, params, row, params->target);
    }
    target->chosen = params->target_id == PARAM_NO_INTEGER;
    int32_t id = target->chosen ? 0 : (int32_t)params->target_id;
    TRY(check_token(model, id));
    bool follows = params->at.bytes == NULL && model->config.task == TASK_CAUSAL_LM && row == prompt->n - 1;
    return single_target(target, call, prompt, follows ? TARGET_TOKENS : TARGET_AT, row, id);
}

static limn_status build_contrast(Target *contrast, const Target *target, MethodCall *call, const Model *model,
                                  const Prompt *prompt, const TargetParams *params) {
    int32_t class_id = 0;
    if (target->kind == TARGET_SPAN) {
        return fail(LIMN_USAGE, "--contrast goes with a continuation or a class, not with words of the prompt");
    }
    if (target->kind == TARGET_CLASS) {
        TRY(find_class(&class_id, model, params->contrast.bytes));
        return single_target(contrast, call, prompt, TARGET_CLASS, target->rows[0], class_id);
    }
    return tokens_target(contrast, call, model, prompt, params, target->rows[0], params->contrast);
}

limn_status target_build(Target *target, MethodCall *call, const Model *model, const Prompt *prompt,
                         const TargetParams *params, Result *result) {
    memset(target, 0, sizeof *target);
    TRY(one_of(call, model, params));
    TRY(build_target(target, call, model, prompt, params, result));
    int32_t masks;
    if (result != NULL && model->config.task == TASK_MASKED_LM && params->at.bytes == NULL &&
        find_mask(model, prompt, &masks) >= 0 && masks > 1) {
        result_warn(result,
                    SAY(call, "the prompt has %d mask tokens; the first (position %d) is explained: see --at",
                        "提示中有 %d 个掩码词元；所解释的是第一个（位置 %d）：参见 --at"),
                    (int)masks, (int)target->rows[0]);
    }
    return LIMN_OK;
}

limn_status target_build_contrast(Target *contrast, const Target *target, MethodCall *call, const Model *model,
                                  const Prompt *prompt, const TargetParams *params) {
    memset(contrast, 0, sizeof *contrast);
    return params->contrast.bytes != NULL ? build_contrast(contrast, target, call, model, prompt, params) : LIMN_OK;
}

limn_status target_build_variant(Target *variant, Text *text, const Target *target, MethodCall *call,
                                 const Model *model, const Prompt *prompt, const TargetParams *params) {
    memset(variant, 0, sizeof *variant);
    Text given = params->target;
    if (given.bytes == NULL || target->kind != TARGET_TOKENS) {
        return LIMN_OK;
    }
    bool space = given.length > 0 && given.bytes[0] == ' ';
    char *other = arena_alloc(call->arena, given.length + 2);
    if (other == NULL) {
        return method_no_memory(call);
    }
    other[0] = ' ';
    memcpy(other + 1, given.bytes, given.length);
    other[given.length + 1] = '\0';
    *text = space ? (Text){given.bytes + 1, given.length - 1} : (Text){other, given.length + 1};
    ErrorState before;
    error_save(&before);
    if (text->length == 0 || tokens_target(variant, call, model, prompt, params, target->rows[0], *text) != LIMN_OK) {
        error_restore(&before); /* a variant that cannot stand here needs no word */
        memset(variant, 0, sizeof *variant);
    }
    return LIMN_OK;
}

limn_status target_extend(Target *longer, const Target *target, MethodCall *call, const Model *model,
                          const Prompt *prompt, int32_t id) {
    int32_t *ids = ARENA_ARRAY(call->arena, int32_t, target->n + 1);
    if (ids == NULL) {
        return method_no_memory(call);
    }
    memcpy(ids, target->ids, (size_t)target->n * sizeof *ids);
    ids[target->n] = id;
    memset(longer, 0, sizeof *longer);
    longer->text = target->text;
    longer->chosen = target->chosen;
    return continuation(longer, call, model, prompt, ids, target->n + 1);
}

bool target_is_same(const Target *target, const Target *other) {
    size_t bytes = (size_t)target->n * sizeof *target->ids;
    return target->n == other->n && memcmp(target->ids, other->ids, bytes) == 0 &&
           memcmp(target->rows, other->rows, bytes) == 0;
}

limn_status target_count_rows(int32_t *n_rows, MethodCall *call, const Model *model, const Prompt *prompt,
                              const TargetParams *params) {
    Target target;
    TRY(target_build(&target, call, model, prompt, params, NULL)); /* remarks come with the target itself */
    *n_rows = target.n_sequence;
    return LIMN_OK;
}
