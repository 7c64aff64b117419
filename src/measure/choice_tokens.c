/* The border. A choice's tokens are those that the whole text has behind the prompt's own, so that the model reads what
 * it would read of the text. Where a choice joins the prompt's last token there is no such border, and all choices of
 * that prompt are scored as lm-evaluation-harness does (Gao et al.; `_encode_pair` of its language models): white space
 * at the end of the prompt goes to the choice, and the choice's tokens are those of the whole text from the place on
 * where the prompt, encoded by itself, ends. With a prompt that ends in a space that is exact. Where the border lies
 * inside a word it is not: the model reads the prompt's own last token, and of the choice what is left. */
#include "measure/choice_tokens.h"

#include <string.h>

#include "ask/prompt.h"

static limn_status encode(const ChoiceTokens *tokens, Text text, const EncodeOptions *options, Encoding *encoding) {
    *encoding = (Encoding){0};
    return tokenizer_encode(encoding, tokens->model->tokenizer, text.bytes, text.length, NULL, 0, options);
}

/* The ids of an encoding, which is freed. */
static limn_status take_ids(const ChoiceTokens *tokens, Encoding *encoding, const int32_t **ids, int32_t *n,
                            Arena *arena) {
    int32_t *copy = ARENA_ARRAY(arena, int32_t, encoding->n + 1);
    for (int32_t i = 0; copy != NULL && i < encoding->n; i++) {
        copy[i] = encoding->tokens[i].id;
    }
    *ids = copy;
    *n = encoding->n;
    encoding_free(encoding);
    return copy != NULL ? LIMN_OK : method_no_memory(tokens->call);
}

static limn_status encode_ids(const ChoiceTokens *tokens, Text text, const EncodeOptions *options, const int32_t **ids,
                              int32_t *n, Arena *arena) {
    Encoding encoding;
    TRY(encode(tokens, text, options, &encoding));
    return take_ids(tokens, &encoding, ids, n, arena);
}

/* ---- masks ---- */

/* A masked model fills one place: a choice is one token, which every prompt is asked about. */
static limn_status read_mask_choices(ChoiceTokens *tokens) {
    const ChoiceOptions *options = tokens->options;
    const Model *model = tokens->model;
    Arena *arena = tokens->call->arena;
    int32_t *ids = ARENA_ARRAY(arena, int32_t, options->n);
    tokens->at_mask = ARENA_ARRAY(arena, const int32_t *, options->n);
    tokens->ones = ARENA_ARRAY(arena, int32_t, options->n);
    if (ids == NULL || tokens->at_mask == NULL || tokens->ones == NULL) {
        return method_no_memory(tokens->call);
    }
    if (tokenizer_special(model->tokenizer, SPECIAL_MASK) < 0) {
        return fail(LIMN_NOT_FOUND, "%s: its tokenizer has no mask token, expected one to put choices in its place",
                    model->path);
    }
    for (int32_t c = 0; c < options->n; c++) {
        const int32_t *found;
        const char *text = options->texts[c].bytes;
        const EncodeOptions alone = encode_alone(options->texts[c]);
        int32_t n;
        TRY(encode_ids(tokens, options->texts[c], &alone, &found, &n, arena));
        if (n != 1) {
            return fail(LIMN_USAGE, "the choice '%.40s' is %d tokens, expected one: a masked model fills one place",
                        text, (int)n);
        }
        if (found[0] == tokenizer_special(model->tokenizer, SPECIAL_UNK)) {
            return fail(LIMN_USAGE, "the choice '%.40s' is not in the vocabulary of %s", text, model->path);
        }
        for (int32_t k = 0; k < c; k++) {
            if (ids[k] == found[0]) {
                return fail(LIMN_USAGE, "the choices '%.40s' and '%.40s' are the same token", options->texts[k].bytes,
                            text);
            }
        }
        ids[c] = found[0];
        tokens->at_mask[c] = &ids[c];
        tokens->ones[c] = 1;
    }
    return LIMN_OK;
}

limn_status choice_tokens_prepare(ChoiceTokens *tokens) {
    return tokens->model->config.task == TASK_MASKED_LM ? read_mask_choices(tokens) : LIMN_OK;
}

/* The row of the prompt's one mask. */
static limn_status find_mask(const ChoiceTokens *tokens, ChoicePrompt *prompt, int32_t cut) {
    const Tokenizer *tokenizer = tokens->model->tokenizer;
    int32_t mask = tokenizer_special(tokenizer, SPECIAL_MASK);
    int32_t count = 0;
    for (int32_t i = 0; i < prompt->n; i++) {
        if (prompt->ids[i] == mask) {
            prompt->row = i;
            count++;
        }
    }
    size_t length;
    const char *piece = tokenizer_piece(tokenizer, mask, &length);
    return count == 1 ? LIMN_OK
                      : fail(LIMN_USAGE, "the prompt has %d mask tokens%s, expected one %.*s where the choices go",
                             (int)count, cut > 0 ? " after it was cut" : "", (int)length, piece);
}

/* ---- the border ---- */

/* What the post-processor puts behind a text is not part of how a text goes on. */
static int32_t without_end(const ChoiceTokens *tokens, const int32_t *ids, int32_t n) {
    int32_t end = tokenizer_special(tokens->model->tokenizer, SPECIAL_EOS);
    return n > 1 && end >= 0 && ids[n - 1] == end ? n - 1 : n;
}

/* Bytes of white space at the end, as Python's str.rstrip takes them off. */
static size_t space_at_end(Text text) {
    static const char *const wide[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\xA8",
                                       "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
    size_t left = text.length;
    for (bool more = true; more && left > 0;) {
        unsigned char last = (unsigned char)text.bytes[left - 1];
        size_t taken = last == ' ' || (last >= 0x09 && last <= 0x0D) || (last >= 0x1C && last <= 0x1F);
        for (size_t i = 0; taken == 0 && i < sizeof wide / sizeof wide[0]; i++) {
            size_t n = strlen(wide[i]);
            taken = left >= n && memcmp(text.bytes + left - n, wide[i], n) == 0 ? n : 0;
        }
        bool quad = taken == 0 && left >= 3 && memcmp(text.bytes + left - 3, "\xE2\x80", 2) == 0 && last <= 0x8A;
        taken = quad ? 3 : taken; /* U+2000 to U+200A */
        more = taken > 0;
        left -= taken;
    }
    return text.length - left;
}

/* The choice's tokens behind those of the prompt; *joins: the whole text does not begin with the prompt's tokens. */
static limn_status encode_choice(const ChoiceTokens *tokens, ChoicePrompt *prompt, Text before, int32_t choice,
                                 bool *joins, Arena *arena) {
    Text text = tokens->options->texts[choice];
    char *both = arena_alloc(arena, before.length + text.length + 1);
    if (both == NULL) {
        return method_no_memory(tokens->call);
    }
    memcpy(both, before.bytes, before.length);
    memcpy(both + before.length, text.bytes, text.length);
    const int32_t *ids;
    int32_t n;
    TRY(encode_ids(tokens, (Text){both, before.length + text.length}, &tokens->options->encode, &ids, &n, arena));
    n = without_end(tokens, ids, n);
    *joins = n < prompt->n || memcmp(ids, prompt->ids, (size_t)prompt->n * sizeof *ids) != 0;
    if (n <= prompt->n) {
        return *joins ? fail(LIMN_USAGE,
                             "the choice '%.40s' joins with the prompt's last token and leaves none of its own; move "
                             "the border to where a token begins (a leading space belongs to the choice)",
                             text.bytes)
                      : fail(LIMN_USAGE, "the choice '%.40s' adds no token to the prompt", text.bytes);
    }
    prompt->tails[choice] = ids + prompt->n;
    prompt->n_tails[choice] = n - prompt->n;
    return LIMN_OK;
}

/* ids of the prompt by itself; before: what stands before each choice. */
static limn_status encode_choices(const ChoiceTokens *tokens, ChoicePrompt *prompt, Text before, bool *joined,
                                  Arena *arena) {
    *joined = false;
    for (int32_t c = 0; c < tokens->options->n; c++) {
        bool joins = false;
        limn_status status = encode_choice(tokens, prompt, before, c, &joins, arena);
        *joined = *joined || joins;
        TRY(status);
    }
    return LIMN_OK;
}

static limn_status encode_bare(const ChoiceTokens *tokens, ChoicePrompt *prompt, Text text, int32_t *lead,
                               int32_t *trail, Arena *arena) {
    Encoding encoding;
    TRY(encode(tokens, text, &tokens->options->encode, &encoding));
    *lead = *trail = 0;
    while (*lead < encoding.n && encoding.tokens[*lead].special) {
        (*lead)++;
    }
    while (*trail < encoding.n - *lead && encoding.tokens[encoding.n - 1 - *trail].special) {
        (*trail)++;
    }
    return take_ids(tokens, &encoding, &prompt->ids, &prompt->n, arena);
}

/* The prompt's tokens and those of each choice behind it. */
static limn_status encode_language(const ChoiceTokens *tokens, ChoicePrompt *prompt, ChoiceOutcome *outcome, Text text,
                                   int32_t *lead, Arena *arena) {
    int32_t trail;
    TRY(encode_bare(tokens, prompt, text, lead, &trail, arena));
    prompt->n = without_end(tokens, prompt->ids, prompt->n);
    if (prompt->n == 0) {
        return fail(LIMN_USAGE, "the prompt has no tokens; expected at least one");
    }
    prompt->tails = ARENA_ARRAY(arena, const int32_t *, tokens->options->n);
    prompt->n_tails = ARENA_ARRAY(arena, int32_t, tokens->options->n);
    if (prompt->tails == NULL || prompt->n_tails == NULL) {
        return method_no_memory(tokens->call);
    }
    limn_status status = encode_choices(tokens, prompt, text, &outcome->joined, arena);
    size_t space = space_at_end(text);
    if (outcome->joined && space > 0 && space < text.length) {
        bool still;
        TRY(encode_bare(tokens, prompt, (Text){text.bytes, text.length - space}, lead, &trail, arena));
        prompt->n = without_end(tokens, prompt->ids, prompt->n);
        status = prompt->n > 0 ? encode_choices(tokens, prompt, text, &still, arena)
                               : fail(LIMN_USAGE, "the prompt has no tokens; expected at least one");
    }
    return status;
}

/* ---- prompts that are too long ---- */

static int32_t longest_tail(const ChoicePrompt *prompt, int32_t n_choices) {
    int32_t longest = 1;
    for (int32_t c = 0; prompt->tails != NULL && c < n_choices; c++) {
        longest = prompt->n_tails[c] > longest ? prompt->n_tails[c] : longest;
    }
    return longest;
}

/* How many tokens stay before those that are taken out. */
static int32_t kept_before(const ChoiceTokens *tokens, int32_t n, int32_t count, int32_t lead, int32_t trail) {
    int32_t left = n - lead - trail - count; /* of what may be cut */
    Truncation way = tokens->options->truncate;
    return lead + (way == TRUNCATE_LEFT ? 0 : way == TRUNCATE_MIDDLE ? (left + 1) / 2 : left);
}

/* Takes out so many tokens between the special ones at either end. */
static limn_status cut_out(const ChoiceTokens *tokens, ChoicePrompt *prompt, int32_t count, int32_t lead, int32_t trail,
                           Arena *arena) {
    int32_t *ids = ARENA_ARRAY(arena, int32_t, prompt->n - count + 1);
    if (ids == NULL) {
        return method_no_memory(tokens->call);
    }
    int32_t before = kept_before(tokens, prompt->n, count, lead, trail);
    memcpy(ids, prompt->ids, (size_t)before * sizeof *ids);
    memcpy(ids + before, prompt->ids + before + count, (size_t)(prompt->n - count - before) * sizeof *ids);
    prompt->ids = ids;
    prompt->n -= count;
    return LIMN_OK;
}

static limn_status fit(const ChoiceTokens *tokens, ChoicePrompt *prompt, ChoiceOutcome *outcome, int32_t lead,
                       int32_t trail, Arena *arena) {
    const ModelConfig *config = &tokens->model->config;
    int32_t rest = longest_tail(prompt, tokens->options->n) - 1;
    int32_t over = config->n_context > 0 ? prompt->n + rest - config->n_context : 0;
    if (over <= 0) {
        return LIMN_OK;
    }
    if (tokens->options->truncate == TRUNCATE_NONE || prompt->n - lead - trail <= over) {
        return fail(LIMN_RANGE, "prompt and choice have %d tokens; %s reads at most %d%s", (int)(prompt->n + rest),
                    tokens->model->path, (int)config->n_context,
                    tokens->options->truncate == TRUNCATE_NONE ? "" : ", and nothing would be left of the prompt");
    }
    outcome->cut = over;
    return cut_out(tokens, prompt, over, lead, trail, arena);
}

limn_status choice_tokens_encode(ChoicePrompt *prompt, ChoiceOutcome *outcome, const ChoiceTokens *tokens, Text text,
                                 Arena *arena) {
    const ModelConfig *config = &tokens->model->config;
    int32_t lead, trail = 0;
    *prompt = (ChoicePrompt){0};
    *outcome = (ChoiceOutcome){0};
    if (config->task == TASK_CAUSAL_LM) {
        TRY(encode_language(tokens, prompt, outcome, text, &lead, arena));
    } else {
        TRY(encode_bare(tokens, prompt, text, &lead, &trail, arena));
        if (prompt->n == 0) {
            return fail(LIMN_USAGE, "the prompt has no tokens; expected at least one");
        }
    }
    if (tokens->at_mask != NULL) {
        prompt->tails = tokens->at_mask;
        prompt->n_tails = tokens->ones;
    }
    TRY(fit(tokens, prompt, outcome, lead, trail, arena));
    prompt->row = config->causal ? prompt->n - 1 : 0;
    return tokens->at_mask != NULL ? find_mask(tokens, prompt, outcome->cut) : LIMN_OK;
}

static bool inside_character(Text text, size_t at) {
    return at < text.length && ((unsigned char)text.bytes[at] & 0xC0) == 0x80;
}

limn_status choice_tokens_cut(ChoiceCut *cut, const ChoiceTokens *tokens, Text text, Arena *arena) {
    ChoicePrompt fitted, bare;
    ChoiceOutcome outcome;
    int32_t lead, trail;
    *cut = (ChoiceCut){0};
    TRY(choice_tokens_encode(&fitted, &outcome, tokens, text, arena));
    if (outcome.cut == 0) {
        return LIMN_OK;
    }
    TRY(encode_bare(tokens, &bare, text, &lead, &trail, arena));
    if (tokens->model->config.task == TASK_CAUSAL_LM) {
        trail = 0; /* as in encode_language */
    }
    Encoding encoding;
    TRY(encode(tokens, text, &tokens->options->encode, &encoding));
    int32_t first = kept_before(tokens, fitted.n + outcome.cut, outcome.cut, lead, trail);
    cut->tokens = outcome.cut;
    cut->from = (size_t)encoding.tokens[first].begin;
    cut->to = (size_t)encoding.tokens[first + outcome.cut - 1].end;
    encoding_free(&encoding);
    while (cut->from > 0 && inside_character(text, cut->from)) {
        cut->from--;
    }
    while (inside_character(text, cut->to)) {
        cut->to++;
    }
    return LIMN_OK;
}
