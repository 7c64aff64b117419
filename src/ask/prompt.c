#include "ask/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { PROMPT_FILE_CAP = 1 << 30 };

static limn_status read_prompt_file(Text *text, const char *path, Arena *arena) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, PROMPT_FILE_CAP));
    char *copy = arena_alloc(arena, length + 1);
    if (copy != NULL) {
        memcpy(copy, bytes, length);
        copy[length] = '\0';
    }
    free(bytes);
    *text = (Text){copy, length};
    return copy != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: no memory for %zu bytes", path, length);
}

static limn_status encode_pair(Token **tokens, int32_t *n, MethodCall *call, const Tokenizer *tokenizer, Text text,
                               Text pair, const EncodeOptions *options) {
    Encoding encoding = {0};
    TRY(tokenizer_encode(&encoding, tokenizer, text.bytes, text.length, pair.bytes, pair.length, options));
    *tokens = ARENA_ARRAY(call->arena, Token, encoding.n + 1);
    if (*tokens != NULL && encoding.n > 0) {
        memcpy(*tokens, encoding.tokens, (size_t)encoding.n * sizeof **tokens);
    }
    *n = encoding.n;
    encoding_free(&encoding);
    return *tokens != NULL ? LIMN_OK : method_no_memory(call);
}

limn_status prompt_encode(Token **tokens, int32_t *n, MethodCall *call, const Tokenizer *tokenizer, Text text,
                          const EncodeOptions *options) {
    return encode_pair(tokens, n, call, tokenizer, text, (Text){NULL, 0}, options);
}

limn_status prompt_encode_version(Encoding *encoding, const Model *model, const Prompt *prompt, Text text) {
    *encoding = (Encoding){0};
    return tokenizer_encode(encoding, model->tokenizer, text.bytes, text.length, prompt->pair.bytes,
                            prompt->pair.length, &prompt->encode);
}

EncodeOptions encode_alone(Text text) {
    return (EncodeOptions){.bos = BOS_NO, .no_special = true, .continues = text.length > 0 && text.bytes[0] == ' '};
}

bool prompt_holds(const Prompt *prompt, int32_t token, const bool *held) {
    bool unseen = prompt->mask != NULL && prompt->mask[token] == 0;
    return prompt->tokens[token].special || unseen || (held != NULL && held[token]);
}

bool prompt_of_template(const Prompt *prompt, int32_t token) {
    return prompt->chat != NULL && prompt->chat->of_template[token];
}

bool prompt_has_text(const Prompt *prompt, int32_t n) {
    for (int32_t i = 0; i < n && i < prompt->n; i++) {
        if (!prompt->tokens[i].special) {
            return true;
        }
    }
    return false;
}

static limn_status tokens_from_ids(Prompt *prompt, MethodCall *call, const Model *model, const ParamIds *ids) {
    prompt->tokens = ARENA_ARRAY(call->arena, Token, ids->n + 1);
    if (prompt->tokens == NULL) {
        return method_no_memory(call);
    }
    prompt->n = ids->n;
    for (int32_t i = 0; i < ids->n; i++) {
        prompt->tokens[i].id = ids->ids[i];
        prompt->tokens[i].special = model->tokenizer != NULL && tokenizer_is_special(model->tokenizer, ids->ids[i]);
    }
    return LIMN_OK;
}

limn_status prompt_read_text(Prompt *prompt, MethodCall *call, const Model *model, Text text, Text file, Text pair,
                             EncodeOptions options) {
    *prompt = (Prompt){.end_of_turn = -1};
    prompt->text = text;
    prompt->pair = pair;
    if (file.bytes != NULL) {
        TRY(read_prompt_file(&prompt->text, file.bytes, call->arena));
    }
    TRY(model_need_tokenizer(model, "give --ids instead of a text"));
    prompt->encode = options;
    return encode_pair(&prompt->tokens, &prompt->n, call, model->tokenizer, prompt->text, pair, &prompt->encode);
}

static limn_status read_chat(Prompt *prompt, MethodCall *call, const Model *model, const ChatParams *params) {
    ChatPrompt *chat = ARENA_NEW(call->arena, ChatPrompt);
    if (chat == NULL) {
        return method_no_memory(call);
    }
    TRY(chat_prompt_read(chat, call, model, params));
    prompt->text = (Text){chat->text.text, chat->text.length};
    prompt->tokens = chat->tokens;
    prompt->n = chat->n;
    prompt->messages = chat->message;
    prompt->roles = chat->role;
    prompt->end_of_turn = chat->end_of_turn;
    prompt->chat = chat;
    prompt->encode = chat_encode_options();
    return LIMN_OK;
}

static limn_status read_tokens(Prompt *prompt, MethodCall *call, const Model *model, const PromptParams *params) {
    const char *command = call->method->command.name;
    bool chat = params->chat.chat.bytes != NULL || params->chat.messages.bytes != NULL;
    int given = (params->prompt.bytes != NULL) + (params->ids.ids != NULL) + (params->file.bytes != NULL) +
                (params->chat.chat.bytes != NULL) + (params->chat.messages.bytes != NULL);
    if (given != 1) {
        return fail(LIMN_USAGE, "%s: %s, expected one of --prompt, --ids, --file and --chat", command,
                    given == 0 ? "nothing to read" : "several inputs");
    }
    if (chat) {
        return params->pair.bytes == NULL ? read_chat(prompt, call, model, &params->chat)
                                          : fail(LIMN_USAGE, "%s: --pair goes with a text, not with --chat", command);
    }
    TRY(chat_params_refuse(command, &params->chat, "--chat"));
    if (params->ids.ids != NULL) {
        return params->pair.bytes == NULL
                   ? tokens_from_ids(prompt, call, model, &params->ids)
                   : fail(LIMN_USAGE, "%s: --pair goes with a text, not with --ids; use --token-types", command);
    }
    return prompt_read_text(prompt, call, model, params->prompt, params->file, params->pair,
                            params->complete ? chat_encode_options()
                                             : (EncodeOptions){.bos = (BosMode)call->common.bos});
}

static limn_status check_ids(const Prompt *prompt, const Model *model) {
    if (prompt->n == 0) {
        return fail(LIMN_USAGE, "the input has no tokens; expected at least one");
    }
    if (model->config.n_context > 0 && prompt->n > model->config.n_context) {
        return fail(LIMN_RANGE, "the input has %d tokens; %s reads at most %d", (int)prompt->n, model->path,
                    (int)model->config.n_context);
    }
    for (int32_t i = 0; i < prompt->n; i++) {
        if (prompt->ids[i] < 0 || prompt->ids[i] >= model->config.n_vocab) {
            return fail(LIMN_RANGE, "token %d has id %d; expected 0 to %d", (int)i, (int)prompt->ids[i],
                        (int)model->config.n_vocab - 1);
        }
    }
    return LIMN_OK;
}

static limn_status check_count(const char *option, int32_t found, int32_t expected) {
    if (found != expected) {
        return fail(LIMN_USAGE, "option '%s' has %d values; the input has %d tokens", option, (int)found,
                    (int)expected);
    }
    return LIMN_OK;
}

static limn_status read_types_and_mask(Prompt *prompt, MethodCall *call, const PromptParams *params) {
    bool any_type = params->token_types.ids != NULL;
    for (int32_t i = 0; i < prompt->n; i++) {
        any_type = any_type || prompt->tokens[i].type != 0;
    }
    if (any_type) {
        if (params->token_types.ids != NULL) {
            TRY(check_count("token-types", params->token_types.n, prompt->n));
        }
        prompt->types = ARENA_ARRAY(call->arena, int32_t, prompt->n + 1);
        if (prompt->types == NULL) {
            return method_no_memory(call);
        }
        for (int32_t i = 0; i < prompt->n; i++) {
            prompt->types[i] = params->token_types.ids != NULL ? params->token_types.ids[i] : prompt->tokens[i].type;
        }
    }
    if (params->attention_mask.ids == NULL) {
        return LIMN_OK;
    }
    TRY(check_count("attention-mask", params->attention_mask.n, prompt->n));
    prompt->mask = arena_zalloc(call->arena, (size_t)prompt->n + 1);
    if (prompt->mask == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < prompt->n; i++) {
        int32_t value = params->attention_mask.ids[i];
        if (value != 0 && value != 1) {
            return fail(LIMN_RANGE, "option 'attention-mask': found %d at token %d, expected 0 or 1", (int)value,
                        (int)i);
        }
        prompt->mask[i] = (uint8_t)value;
    }
    return LIMN_OK;
}

limn_status prompt_read(Prompt *prompt, MethodCall *call, const Model *model, const PromptParams *params) {
    *prompt = (Prompt){.end_of_turn = -1};
    TRY(read_tokens(prompt, call, model, params));
    prompt->ids = ARENA_ARRAY(call->arena, int32_t, prompt->n + 1);
    if (prompt->ids == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < prompt->n; i++) {
        prompt->ids[i] = prompt->tokens[i].id;
    }
    TRY(check_ids(prompt, model));
    return read_types_and_mask(prompt, call, params);
}

SequenceInput prompt_sequence(const Prompt *prompt) {
    return (SequenceInput){.ids = prompt->ids, .n = prompt->n, .types = prompt->types, .mask = prompt->mask};
}

Text token_text(MethodCall *call, const Model *model, int32_t id) {
    size_t length;
    const char *bytes = model->tokenizer != NULL ? tokenizer_token_bytes(model->tokenizer, id, &length) : NULL;
    if (bytes != NULL) {
        return (Text){bytes, length};
    }
    char *made = arena_printf(call->arena, "<%d>", (int)id);
    return text_of(made != NULL ? made : "?");
}

/* Where hidden tokens stand before visible ones, positions may count them or not: said where it matters. The reference
 * counts only visible ones when it generates, and all in a plain pass of the other models. */
static void warn_of_mask(Result *result, const Model *model, const Prompt *prompt) {
    bool shown = false, left = false, hole = false;
    for (int32_t i = 0; i < prompt->n && prompt->mask != NULL; i++) {
        bool visible = prompt->mask[i] != 0;
        left = left || (visible && i > 0 && prompt->mask[i - 1] == 0 && !shown);
        hole = hole || (visible && shown && prompt->mask[i - 1] == 0);
        shown = shown || visible;
    }
    bool learned = false;
    for (NodeId node = 0; node < model->graph.n_nodes; node++) {
        learned = learned || model->graph.nodes[node].op.kind == OP_POSITION_EMBED;
    }
    if (model->config.positions != POSITION_ORDER || !(hole || (left && learned))) {
        return;
    }
    result_warn(result,
                "--attention-mask hides tokens before visible ones, and %s counts them in its positions, as the "
                "reference does in a plain pass%s",
                model->config.architecture,
                model->config.task == TASK_CAUSAL_LM ? " (when it generates, it counts the visible ones only)" : "");
}

void prompt_describe(Result *result, MethodCall *call, const Model *model, const Prompt *prompt) {
    if (prompt->text.bytes != NULL) {
        result_input(result, prompt->text.bytes, prompt->text.length);
    }
    if (prompt->chat != NULL) {
        chat_prompt_warn(result, call, prompt->chat);
    }
    warn_of_mask(result, model, prompt);
    for (int32_t i = 0; i < prompt->n; i++) {
        const Token *token = &prompt->tokens[i];
        InputToken shown = {.id = token->id,
                            .bytes = token_text(call, model, token->id),
                            .begin = token->begin,
                            .end = token->end,
                            .special = token->special};
        if (prompt->messages != NULL) {
            shown.role = prompt->roles[i];
            shown.message = prompt->messages[i] + 1;
        }
        result_input_token(result, &shown);
    }
}

Text output_text(MethodCall *call, const Model *model, int32_t id) {
    if (model->config.task == TASK_CLASSIFIER) {
        return text_of(id >= 0 && id < model->config.n_classes ? model->config.labels[id] : "?");
    }
    return token_text(call, model, id);
}
