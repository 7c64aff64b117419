/* Messages as the text and tokens a model reads, and where each token comes from. Nothing of the network is run. */
#include "ask/chat_prompt.h"
#include "ask/prompt.h"

typedef struct ChatFormatParams {
    Text model;
    ChatParams chat;
} ChatFormatParams;

static void add_tokens(Result *result, MethodCall *call, const Model *model, const ChatPrompt *prompt) {
    static const TableColumn columns[] = {{TEXT("position"), COLUMN_INTEGER}, {TEXT("id"), COLUMN_INTEGER},
                                          {TEXT("token"), COLUMN_TOKEN},      {TEXT("message"), COLUMN_INTEGER},
                                          {TEXT("role"), COLUMN_TEXT},        {TEXT("content"), COLUMN_FLAG},
                                          {TEXT("special"), COLUMN_FLAG},     {TEXT("generation"), COLUMN_FLAG}};
    TableBlock *table = result_add_table(result, "tokens", SAY(call, "Tokens", "词元"), columns, 8);
    result_block_note(
        result, "%s",
        SAY(call,
            "message counts from 0, none: of the template; content: out of the message itself; "
            "generation: inside {% generation %}",
            "message 从 0 数起，空：属于模板；content：出自消息本身；generation：在 {% generation %} 之内"));
    for (int32_t i = 0; i < prompt->n; i++) {
        const Token *token = &prompt->tokens[i];
        const ChatSpan *span = chat_text_span(&prompt->text, (size_t)token->begin);
        Text bytes = token_text(call, model, token->id);
        const Text *role = &prompt->role[i];
        Value cells[] = {value_integer(i),
                         value_integer(token->id),
                         value_bytes(bytes.bytes, bytes.length),
                         prompt->message[i] >= 0 ? value_integer(prompt->message[i]) : value_null(),
                         role->bytes != NULL ? value_bytes(role->bytes, role->length) : value_null(),
                         value_bool(span != NULL && span->content),
                         value_bool(token->special),
                         value_bool(span != NULL && span->generation)};
        table_row(table, cells);
        InputToken shown = {.id = token->id,
                            .bytes = bytes,
                            .begin = token->begin,
                            .end = token->end,
                            .role = *role,
                            .special = token->special,
                            .message = prompt->message[i] + 1};
        result_input_token(result, &shown);
    }
}

static limn_status run(MethodCall *call, Result *result) {
    const ChatFormatParams *params = call->params;
    Model *model;
    ChatPrompt prompt;
    if ((params->chat.chat.bytes != NULL) == (params->chat.messages.bytes != NULL)) {
        return fail(LIMN_USAGE, "chat-format: expected a file of messages or --messages");
    }
    TRY(method_model_config(call, params->model.bytes, &model));
    TRY(chat_prompt_read(&prompt, call, model, &params->chat));
    result_headline(result,
                    prompt.n_messages == 1 ? SAY(call, "%d message, %d tokens", "%d 条消息，%d 个词元")
                                           : SAY(call, "%d messages, %d tokens", "%d 条消息，%d 个词元"),
                    (int)prompt.n_messages, (int)prompt.n);
    result_input(result, prompt.text.text, prompt.text.length);
    chat_prompt_warn(result, call, &prompt);
    result_add_text(result, "text", SAY(call, "Text", "文本"), prompt.text.text, prompt.text.length, true);
    add_tokens(result, call, model, &prompt);
    if (call->text != NULL) {
        call->text(call->text_context, prompt.text.text, prompt.text.length);
    }
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(ChatFormatParams, model),
    {"chat", 0, LIMN_PARAM_FILE, .positional = true, .metavar = "MESSAGES",
     .help = "a JSON file: an array of messages, or an object with messages, tools and documents",
     .field = offsetof(ChatFormatParams, chat.chat)},
    PARAM_ROW("messages", 0, LIMN_PARAM_TEXT, "JSON", "messages as JSON text instead of a file",
              offsetof(ChatFormatParams, chat.messages)),
    CHAT_ROWS(ChatFormatParams, chat),
};

const Method method_chat_format = {
    .command =
        {.name = "chat-format",
         .summary = "messages to the text a chat model reads, token by token",
         .description =
             "Runs the model's own chat template, byte for byte as the reference does, in a sandbox with limits of "
             "steps, memory and output. Prints the text; with --json also the tokens: id, which message "
             "and role it comes from, and whether out of the message itself or put around it.",
         .examples = "limn chat-format MODEL messages.json\n"
                     "limn chat-format MODEL messages.json --tools tools.json --json\n"
                     "limn chat-format MODEL --messages '[{\"role\": \"user\", \"content\": \"Hi\"}]'",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Chat",
    .params_bytes = sizeof(ChatFormatParams),
    .run = run,
};
