#include "ask/chat_prompt.h"

#include <stdlib.h>
#include <string.h>

#include "ask/prompt.h"

/* ---- one conversation ---- */

typedef struct ChatWork {
    MethodCall *call;
    const Model *model;
    const ChatParams *params;
    ChatFile file;
    ChatRenderer *renderer;
    const ChatTemplate *parsed;
    ChatInput input;
} ChatWork;

static limn_status read_messages(ChatWork *work) {
    const ChatParams *params = work->params;
    if (params->chat.bytes != NULL) {
        return chat_file_load(&work->file, params->chat.bytes);
    }
    TRY(chat_json_load(&work->file.json, "option 'messages'", params->messages.bytes, params->messages.length));
    work->file.messages = work->file.json;
    return chat_messages_check(work->file.messages, "option 'messages'");
}

static limn_status open_work(ChatWork *work) {
    TRY(read_messages(work));
    TRY(chat_renderer_open(&work->renderer, work->call, work->model, work->params));
    return chat_renderer_prepare(work->renderer, &work->file, &work->parsed, &work->input);
}

/* ---- what comes of it ---- */

static limn_status keep_text(ChatPrompt *prompt, MethodCall *call, const ChatText *text) {
    prompt->text = *text;
    prompt->text.text = arena_alloc(call->arena, text->length + 1);
    prompt->text.spans = ARENA_ARRAY(call->arena, ChatSpan, text->n_spans + 1);
    if (prompt->text.text == NULL || prompt->text.spans == NULL) {
        return method_no_memory(call);
    }
    memcpy(prompt->text.text, text->text, text->length + 1);
    memcpy(prompt->text.spans, text->spans, text->n_spans * sizeof *text->spans);
    return LIMN_OK;
}

static limn_status role_of(Text *role, MethodCall *call, const json_t *messages, int32_t message) {
    const json_t *text = json_object_get(json_array_get(messages, (size_t)message), "role");
    *role = (Text){NULL, 0};
    if (!json_is_string(text)) {
        return LIMN_OK;
    }
    role->length = json_string_length(text);
    role->bytes = arena_strndup(call->arena, json_string_value(text), role->length);
    return role->bytes != NULL ? LIMN_OK : method_no_memory(call);
}

/* Whether any byte of the token comes out of a message. */
static bool holds_content(const ChatText *text, const Token *token) {
    for (size_t at = (size_t)token->begin; at < (size_t)token->end;) {
        const ChatSpan *span = chat_text_span(text, at);
        if (span == NULL || span->content) {
            return span != NULL;
        }
        at = span->end;
    }
    return false;
}

/* A token belongs to where its first byte comes from. */
static limn_status place_tokens(ChatPrompt *prompt, const ChatWork *work) {
    MethodCall *call = work->call;
    prompt->message = ARENA_ARRAY(call->arena, int32_t, prompt->n + 1);
    prompt->role = ARENA_ARRAY(call->arena, Text, prompt->n + 1);
    prompt->of_template = ARENA_ARRAY(call->arena, bool, prompt->n + 1);
    Text *roles = ARENA_ARRAY(call->arena, Text, prompt->n_messages + 1);
    if (prompt->of_template == NULL || prompt->message == NULL || prompt->role == NULL || roles == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < prompt->n_messages; i++) {
        TRY(role_of(&roles[i], call, work->input.messages, i));
    }
    for (int32_t i = 0; i < prompt->n; i++) {
        const ChatSpan *span = chat_text_span(&prompt->text, (size_t)prompt->tokens[i].begin);
        prompt->message[i] = span != NULL ? span->message : -1;
        prompt->of_template[i] = !holds_content(&prompt->text, &prompt->tokens[i]);
        if (span != NULL && span->message >= 0) {
            prompt->role[i] = roles[span->message];
        } else if (span != NULL && span->is_prompt) {
            prompt->role[i] = text_of("assistant");
        }
    }
    prompt->specials_in_content = chat_specials_in_content(&prompt->text, prompt->tokens, prompt->n);
    return LIMN_OK;
}

static bool is_content(const ChatPrompt *prompt, int32_t token) {
    const ChatSpan *span = chat_text_span(&prompt->text, (size_t)prompt->tokens[token].begin);
    return span != NULL && span->content;
}

/* A turn that ended before the first word of a message was not that message's: a template put it there (a system
 * message of its own, say). Tokens [begin, end) are those of one message. */
static void release_preamble(ChatPrompt *prompt, int32_t begin, int32_t end) {
    int32_t first = begin, release = begin;
    while (first < end && !is_content(prompt, first)) {
        first++;
    }
    for (int32_t i = begin; i < first && first < end; i++) {
        release = prompt->tokens[i].id == prompt->end_of_turn ? i + 1 : release;
    }
    while (release > begin && release < first && !prompt->tokens[release].special) {
        release++; /* the white space that goes with the end */
    }
    for (int32_t i = begin; i < release; i++) {
        prompt->message[i] = -1;
        prompt->role[i] = (Text){NULL, 0};
    }
}

static void release_preambles(ChatPrompt *prompt) {
    for (int32_t begin = 0, end; begin < prompt->n; begin = end) {
        for (end = begin + 1; end < prompt->n && prompt->message[end] == prompt->message[begin]; end++) {
        }
        if (prompt->message[begin] >= 0 && prompt->end_of_turn >= 0) {
            release_preamble(prompt, begin, end);
        }
    }
}

static limn_status encode(Token **tokens, int32_t *n, const ChatWork *work, const ChatText *text) {
    const EncodeOptions options = chat_encode_options();
    return prompt_encode(tokens, n, work->call, work->model->tokenizer, (Text){text->text, text->length}, &options);
}

/* The first special token after the words of an answer, in a conversation of two messages. */
static limn_status find_end_of_turn(ChatPrompt *prompt, ChatWork *work) {
    static const char two[] = "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]";
    json_t *messages = NULL;
    ChatText text = {0};
    TRY(chat_json_load(&messages, "two messages", two, sizeof two - 1));
    ChatInput input = work->input;
    input.messages = messages;
    input.tools = input.documents = NULL;
    input.generation_prompt = false;
    limn_status status = chat_template_render(&text, work->parsed, &input);
    Token *tokens = NULL;
    int32_t n = 0;
    if (status == LIMN_OK) {
        status = encode(&tokens, &n, work, &text);
    } else if (status != LIMN_NO_MEMORY) {
        status = LIMN_OK; /* a template that wants other messages: its end stays unknown */
    }
    bool answered = false;
    for (int32_t i = 0; i < n && prompt->end_of_turn < 0; i++) {
        const ChatSpan *span = chat_text_span(&text, (size_t)tokens[i].begin);
        bool special = answered && tokens[i].special;
        prompt->end_of_turn = special ? tokens[i].id : -1;
        answered = answered || (span != NULL && span->message == 1 && span->content);
    }
    chat_text_free(&text);
    json_decref(messages);
    return status;
}

static limn_status read_prompt(ChatPrompt *prompt, ChatWork *work) {
    ChatText text;
    TRY(open_work(work));
    TRY(chat_template_render(&text, work->parsed, &work->input));
    limn_status status = keep_text(prompt, work->call, &text);
    chat_text_free(&text);
    TRY(status);
    prompt->n_messages = (int32_t)json_array_size(work->input.messages);
    prompt->asked_date = prompt->text.asked_date;
    prompt->date = chat_renderer_date(work->renderer);
    TRY(encode(&prompt->tokens, &prompt->n, work, &prompt->text));
    TRY(place_tokens(prompt, work));
    TRY(find_end_of_turn(prompt, work));
    release_preambles(prompt);
    return LIMN_OK;
}

limn_status chat_prompt_read(ChatPrompt *prompt, MethodCall *call, const Model *model, const ChatParams *params) {
    memset(prompt, 0, sizeof *prompt);
    prompt->end_of_turn = -1;
    ChatWork work = {.call = call, .model = model, .params = params};
    limn_status status = read_prompt(prompt, &work);
    chat_renderer_free(work.renderer);
    json_decref(work.file.json);
    return status;
}

void chat_warn_of_specials(Result *result, const MethodCall *call, int64_t n) {
    if (n > 0) {
        result_warn(result,
                    SAY(call, "%lld special tokens are spelled inside of messages and were read as special tokens",
                        "消息中写有 %lld 个特殊词元，已按特殊词元读入"),
                    (long long)n);
    }
}

void chat_prompt_warn(Result *result, const MethodCall *call, const ChatPrompt *prompt) {
    if (prompt->asked_date) {
        result_param_text(result, "chat-date", prompt->date);
    }
    chat_warn_of_specials(result, call, prompt->specials_in_content);
}
