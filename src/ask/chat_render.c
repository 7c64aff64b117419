#include "ask/chat_render.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define CHAT_DATE "2024-07-26"

struct ChatRenderer {
    MethodCall *call;
    const Model *model;
    const ChatParams *params;
    json_t *tools, *documents; /* of files of their own; NULL: none */
    json_t *specials, *variables;
    ChatTemplate *parsed[2]; /* for conversations without and with tools; NULL: not needed yet */
    ChatDate date;
};

/* ---- the template ---- */

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
    const ChatSource *source = NULL;
    size_t n;
    const ChatSource *sources = tokenizer_chat_templates(model->tokenizer, &n);
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
        return fail(LIMN_NOT_FOUND, "%s: no chat template is the default; name one with --chat-template (it has: %s)",
                    model->path, list_names(call->arena, sources, n));
    }
    char *label = arena_printf(call->arena, "%s (chat template '%s')", model->path, source->name);
    return label != NULL ? chat_template_parse(parsed, label, source->text, source->length) : method_no_memory(call);
}

/* ---- what it gets ---- */

/* bos_token and its like, as the tokenizer spells them. */
static limn_status read_specials(ChatRenderer *renderer) {
    static const char *const names[] = {"bos_token",  "eos_token", "unk_token", "pad_token",
                                        "mask_token", "sep_token", "cls_token"};
    renderer->specials = json_object();
    for (int which = 0; which < (int)(sizeof names / sizeof *names); which++) {
        size_t length;
        int32_t id = tokenizer_special(renderer->model->tokenizer, (SpecialToken)which);
        const char *piece = id >= 0 ? tokenizer_piece(renderer->model->tokenizer, id, &length) : NULL;
        json_t *text = piece != NULL ? json_stringn(piece, length) : NULL;
        if (text != NULL && json_object_set_new(renderer->specials, names[which], text) != 0) {
            return method_no_memory(renderer->call);
        }
    }
    return renderer->specials != NULL ? LIMN_OK : method_no_memory(renderer->call);
}

static limn_status read_variable(ChatRenderer *renderer, const Text *given) {
    const char *equals = strchr(given->bytes, '=');
    char *name =
        equals != NULL ? arena_strndup(renderer->call->arena, given->bytes, (size_t)(equals - given->bytes)) : NULL;
    if (equals == NULL || equals == given->bytes) {
        return fail(LIMN_USAGE, "option 'chat-var': found '%.80s', expected NAME=VALUE", given->bytes);
    }
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    value = value != NULL ? value : json_string(equals + 1);
    if (value == NULL) {
        return fail(LIMN_USAGE, "option 'chat-var': the value of '%.80s' is not UTF-8", given->bytes);
    }
    if (name == NULL || json_object_set_new(renderer->variables, name, value) != 0) {
        return name == NULL ? method_no_memory(renderer->call)
                            : fail(LIMN_USAGE, "option 'chat-var': the name in '%.80s' is not UTF-8", given->bytes);
    }
    return LIMN_OK;
}

static limn_status read_variables(ChatRenderer *renderer) {
    renderer->variables = json_object();
    if (renderer->variables == NULL) {
        return method_no_memory(renderer->call);
    }
    for (int32_t i = 0; i < renderer->params->variables.n; i++) {
        TRY(read_variable(renderer, &renderer->params->variables.items[i]));
    }
    return LIMN_OK;
}

static limn_status open_parts(ChatRenderer *renderer) {
    const ChatParams *params = renderer->params;
    if (renderer->call->common.bos == BOS_YES) {
        return fail(LIMN_USAGE,
                    "option 'bos': a chat template writes its own begin-of-text token; expected auto or no");
    }
    TRY(params->tools.bytes != NULL ? chat_list_load(&renderer->tools, params->tools.bytes) : LIMN_OK);
    TRY(params->documents.bytes != NULL ? chat_list_load(&renderer->documents, params->documents.bytes) : LIMN_OK);
    TRY(model_need_tokenizer(renderer->model, "so there is no chat template"));
    size_t n;
    tokenizer_chat_templates(renderer->model->tokenizer, &n);
    if (n == 0 && params->name.bytes == NULL) {
        return fail(LIMN_NOT_FOUND,
                    "%s: the model has no chat template; name a file that holds one with "
                    "--chat-template",
                    renderer->model->path);
    }
    TRY(read_specials(renderer));
    TRY(read_variables(renderer));
    return chat_date_parse(&renderer->date, chat_renderer_date(renderer));
}

limn_status chat_renderer_open(ChatRenderer **renderer, MethodCall *call, const Model *model,
                               const ChatParams *params) {
    *renderer = NULL;
    ChatRenderer *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return method_no_memory(call);
    }
    made->call = call;
    made->model = model;
    made->params = params;
    limn_status status = open_parts(made);
    if (status != LIMN_OK) {
        chat_renderer_free(made);
        return status;
    }
    *renderer = made;
    return LIMN_OK;
}

void chat_renderer_free(ChatRenderer *renderer) {
    if (renderer == NULL) {
        return;
    }
    chat_template_free(renderer->parsed[0]);
    chat_template_free(renderer->parsed[1]);
    json_decref(renderer->tools);
    json_decref(renderer->documents);
    json_decref(renderer->specials);
    json_decref(renderer->variables);
    free(renderer);
}

const char *chat_renderer_date(const ChatRenderer *renderer) {
    return renderer->params->date.bytes != NULL ? renderer->params->date.bytes : CHAT_DATE;
}

limn_status chat_renderer_prepare(ChatRenderer *renderer, const ChatFile *chat, const ChatTemplate **parsed,
                                  ChatInput *input) {
    const ChatLimits limits = CHAT_LIMITS_INIT;
    *input = (ChatInput){.messages = chat->messages,
                         .tools = renderer->tools != NULL ? renderer->tools : chat->tools,
                         .documents = renderer->documents != NULL ? renderer->documents : chat->documents,
                         .variables = {renderer->specials, renderer->variables},
                         .generation_prompt = !renderer->params->no_generation_prompt,
                         .date = renderer->date,
                         .limits = limits};
    bool tools = input->tools != NULL;
    if (renderer->parsed[tools] == NULL) {
        TRY(open_template(&renderer->parsed[tools], renderer->call, renderer->model, renderer->params->name.bytes,
                          tools));
    }
    *parsed = renderer->parsed[tools];
    return LIMN_OK;
}

EncodeOptions chat_encode_options(void) {
    return (EncodeOptions){.bos = BOS_NO, .no_special = true};
}

int32_t chat_specials_in_content(const ChatText *text, const Token *tokens, int32_t n) {
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        const ChatSpan *span = chat_text_span(text, (size_t)tokens[i].begin);
        count += span != NULL && span->content && tokens[i].special;
    }
    return count;
}

limn_status chat_params_refuse(const char *command, const ChatParams *params, const char *with) {
    const char *unused = params->tools.bytes != NULL       ? "tools"
                         : params->documents.bytes != NULL ? "documents"
                         : params->name.bytes != NULL      ? "chat-template"
                         : params->variables.n > 0         ? "chat-var"
                         : params->date.bytes != NULL      ? "chat-date"
                         : params->no_generation_prompt    ? "no-generation-prompt"
                                                           : NULL;
    return unused == NULL ? LIMN_OK : fail(LIMN_USAGE, "%s: option '%s' goes with %s", command, unused, with);
}
