#include "method/chat_prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/json.h"
#include "method/prompt.h"

#define CHAT_DATE "2024-07-26"

/* ---- the template ---- */

static limn_status need_templates(const ChatSource **sources, size_t *n, const Model *model) {
    if (model->tokenizer == NULL) {
        return fail(LIMN_NOT_FOUND, "%s: the model has no tokenizer, so no chat template", model->path);
    }
    *sources = tokenizer_chat_templates(model->tokenizer, n);
    return LIMN_OK;
}

static const ChatSource *find_source(const ChatSource *sources, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(sources[i].name, name) == 0) {
            return &sources[i];
        }
    }
    return NULL;
}

static const char *list_names(Arena *arena, const ChatSource *sources, size_t n) {
    const char *list = "none";
    for (size_t i = 0; i < n && list != NULL; i++) {
        list = i == 0 ? sources[0].name : arena_printf(arena, "%s, %s", list, sources[i].name);
    }
    return list != NULL ? list : "";
}

static limn_status open_file(ChatTemplate **parsed, const char *path) {
    char *text;
    size_t length;
    TRY(file_read(&text, &length, path, CHAT_TEMPLATE_CAP));
    limn_status status = chat_template_parse(parsed, path, text, length);
    free(text);
    return status;
}

/* As the reference chooses: the one that was named, "tool_use" for tools, "default", the only one. */
static limn_status open_template(ChatTemplate **parsed, MethodCall *call, const Model *model, const char *name,
                                 bool tools) {
    const ChatSource *sources, *source = NULL;
    size_t n;
    TRY(need_templates(&sources, &n, model));
    if (name != NULL) {
        source = find_source(sources, n, name);
        if (source == NULL && file_exists(name)) {
            return open_file(parsed, name);
        }
    } else {
        source = tools ? find_source(sources, n, "tool_use") : NULL;
        source = source != NULL ? source : find_source(sources, n, "default");
        source = source != NULL || n != 1 ? source : &sources[0];
    }
    if (source == NULL && name != NULL) {
        return fail(LIMN_NOT_FOUND, "%s: no chat template '%s' and no such file; it has: %s", model->path, name,
                    list_names(call->arena, sources, n));
    }
    if (source == NULL) {
        return fail(LIMN_NOT_FOUND, "%s: %s; name one with --chat-template (it has: %s)", model->path,
                    n == 0 ? "the model has no chat template" : "no chat template is the default",
                    list_names(call->arena, sources, n));
    }
    char *label = arena_printf(call->arena, "%s (chat template '%s')", model->path, source->name);
    return label != NULL ? chat_template_parse(parsed, label, source->text, source->length) : method_no_memory(call);
}

/* ---- what it gets ---- */

typedef struct ChatWork {
    MethodCall *call;
    const Model *model;
    const ChatParams *params;
    ChatFile file;
    json_t *tools, *documents; /* of files of their own */
    json_t *specials, *variables;
    ChatTemplate *parsed;
    ChatInput input;
} ChatWork;

static void free_work(ChatWork *work) {
    chat_template_free(work->parsed);
    json_decref(work->file.json);
    json_decref(work->tools);
    json_decref(work->documents);
    json_decref(work->specials);
    json_decref(work->variables);
}

static limn_status read_messages(ChatWork *work) {
    const ChatParams *params = work->params;
    if (params->chat.bytes != NULL) {
        TRY(chat_file_load(&work->file, params->chat.bytes));
    } else {
        TRY(chat_json_load(&work->file.json, "option 'messages'", params->messages.bytes, params->messages.length));
        work->file.messages = work->file.json;
        TRY(chat_messages_check(work->file.messages, "option 'messages'"));
    }
    TRY(params->tools.bytes != NULL ? chat_list_load(&work->tools, params->tools.bytes) : LIMN_OK);
    TRY(params->documents.bytes != NULL ? chat_list_load(&work->documents, params->documents.bytes) : LIMN_OK);
    work->input.messages = work->file.messages;
    work->input.tools = work->tools != NULL ? work->tools : work->file.tools;
    work->input.documents = work->documents != NULL ? work->documents : work->file.documents;
    return LIMN_OK;
}

/* bos_token and its like, as the tokenizer spells them. */
static limn_status read_specials(ChatWork *work) {
    static const char *const names[] = {"bos_token",  "eos_token", "unk_token", "pad_token",
                                        "mask_token", "sep_token", "cls_token"};
    work->specials = json_object();
    for (int which = 0; which < (int)(sizeof names / sizeof *names); which++) {
        size_t length;
        int32_t id = tokenizer_special(work->model->tokenizer, (SpecialToken)which);
        const char *piece = id >= 0 ? tokenizer_piece(work->model->tokenizer, id, &length) : NULL;
        json_t *text = piece != NULL ? json_stringn(piece, length) : NULL;
        if (text != NULL && json_object_set_new(work->specials, names[which], text) != 0) {
            return method_no_memory(work->call);
        }
    }
    work->input.variables[0] = work->specials;
    return work->specials != NULL ? LIMN_OK : method_no_memory(work->call);
}

static limn_status read_variable(ChatWork *work, const Text *given) {
    const char *equals = strchr(given->bytes, '=');
    char *name =
        equals != NULL ? arena_strndup(work->call->arena, given->bytes, (size_t)(equals - given->bytes)) : NULL;
    if (equals == NULL || equals == given->bytes) {
        return fail(LIMN_USAGE, "option 'chat-var': found '%.80s', expected NAME=VALUE", given->bytes);
    }
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    value = value != NULL ? value : json_string(equals + 1);
    if (value == NULL) {
        return fail(LIMN_USAGE, "option 'chat-var': the value of '%.80s' is not UTF-8", given->bytes);
    }
    if (name == NULL || json_object_set_new(work->variables, name, value) != 0) {
        return name == NULL ? method_no_memory(work->call)
                            : fail(LIMN_USAGE, "option 'chat-var': the name in '%.80s' is not UTF-8", given->bytes);
    }
    return LIMN_OK;
}

static limn_status read_variables(ChatWork *work) {
    work->variables = json_object();
    if (work->variables == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < work->params->variables.n; i++) {
        TRY(read_variable(work, &work->params->variables.items[i]));
    }
    work->input.variables[1] = work->variables;
    return LIMN_OK;
}

static limn_status open_work(ChatWork *work) {
    const ChatParams *params = work->params;
    const ChatLimits limits = CHAT_LIMITS_INIT;
    if (work->call->common.bos == BOS_YES) {
        return fail(LIMN_USAGE,
                    "option 'bos': a chat template writes its own begin-of-text token; expected auto or no");
    }
    TRY(read_messages(work));
    TRY(open_template(&work->parsed, work->call, work->model, params->name.bytes, work->input.tools != NULL));
    TRY(read_specials(work));
    TRY(read_variables(work));
    TRY(chat_date_parse(&work->input.date, params->date.bytes != NULL ? params->date.bytes : CHAT_DATE));
    work->input.limits = limits;
    work->input.generation_prompt = !params->no_generation_prompt;
    return LIMN_OK;
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

/* A token belongs to where its first byte comes from. */
static limn_status place_tokens(ChatPrompt *prompt, const ChatWork *work) {
    MethodCall *call = work->call;
    prompt->message = ARENA_ARRAY(call->arena, int32_t, prompt->n + 1);
    prompt->role = ARENA_ARRAY(call->arena, Text, prompt->n + 1);
    Text *roles = ARENA_ARRAY(call->arena, Text, prompt->n_messages + 1);
    if (prompt->message == NULL || prompt->role == NULL || roles == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < prompt->n_messages; i++) {
        TRY(role_of(&roles[i], call, work->input.messages, i));
    }
    for (int32_t i = 0; i < prompt->n; i++) {
        const ChatSpan *span = chat_text_span(&prompt->text, (size_t)prompt->tokens[i].begin);
        prompt->message[i] = span != NULL ? span->message : -1;
        if (span != NULL && span->message >= 0) {
            prompt->role[i] = roles[span->message];
        } else if (span != NULL && span->is_prompt) {
            prompt->role[i] = text_of("assistant");
        }
        prompt->specials_in_content += span != NULL && span->content && prompt->tokens[i].special;
    }
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
    const EncodeOptions options = {.bos = BOS_NO, .no_special = true};
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
    prompt->date = work->params->date.bytes != NULL ? work->params->date.bytes : CHAT_DATE;
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
    free_work(&work);
    return status;
}

void chat_prompt_warn(Result *result, const ChatPrompt *prompt) {
    if (prompt->asked_date) {
        result_param_text(result, "chat-date", prompt->date);
    }
    if (prompt->specials_in_content > 0) {
        result_warn(result, "%d special tokens are spelled inside of messages and were read as special tokens",
                    (int)prompt->specials_in_content);
    }
}
