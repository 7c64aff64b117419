/* Messages as what a model is given to read: the rows, the template, and which token came from which message. */
#ifndef LIMN_METHOD_CHAT_PROMPT_H
#define LIMN_METHOD_CHAT_PROMPT_H

#include "chat/chat.h"
#include "method/method.h"

typedef struct ChatParams {
    Text chat;     /* messages.json */
    Text messages; /* the same as JSON text */
    Text tools;
    Text documents;
    Text name; /* of the template */
    ParamTexts variables;
    Text date;
    bool no_generation_prompt;
} ChatParams;

/* Rows of what a template gets; `member` is the ChatParams inside a method's own struct. */
#define CHAT_ROWS(type, member)                                                                                        \
    PARAM_ROW("tools", 0, LIMN_PARAM_FILE, "FILE", "chat: the tools the model may call, a JSON array",                 \
              offsetof(type, member.tools)),                                                                           \
        PARAM_ROW("documents", 0, LIMN_PARAM_FILE, "FILE", "chat: documents to answer from, a JSON array",             \
                  offsetof(type, member.documents)),                                                                   \
        PARAM_ROW("chat-template", 0, LIMN_PARAM_TEXT, "NAME",                                                         \
                  "chat: one of the model's templates (default, tool_use, rag) or a file that holds one",              \
                  offsetof(type, member.name)),                                                                        \
        {"chat-var",                                                                                                   \
         0,                                                                                                            \
         LIMN_PARAM_TEXT,                                                                                              \
         .repeated = true,                                                                                             \
         .metavar = "NAME=VALUE",                                                                                      \
         .help = "chat: a variable for the template; VALUE is JSON, else a text",                                      \
         .field = offsetof(type, member.variables)},                                                                   \
        PARAM_ROW("chat-date", 0, LIMN_PARAM_TEXT, "DATE",                                                             \
                  "chat: the date a template is told (2024-07-26): never the clock, so that answers repeat",           \
                  offsetof(type, member.date)),                                                                        \
        PARAM_ROW("no-generation-prompt", 0, LIMN_PARAM_FLAG, NULL,                                                    \
                  "chat: end after the last message instead of where the answer begins",                               \
                  offsetof(type, member.no_generation_prompt))

typedef struct ChatPrompt {
    ChatText text;    /* in the call's arena */
    Token *tokens;    /* [n] */
    int32_t *message; /* [n] -1: of the template alone */
    Text *role;       /* [n] of the message, "assistant" for the beginning of the answer; absent: neither */
    int32_t n;
    int32_t n_messages;
    int32_t end_of_turn; /* the special token that the template puts after an answer; -1: none */
    bool asked_date;
    const char *date;
    int32_t specials_in_content; /* special tokens spelled inside of messages */
} ChatPrompt;

/* Renders and encodes: special tokens are the template's own, none are added. All of it lives in the call's arena. */
limn_status chat_prompt_read(ChatPrompt *prompt, MethodCall *call, const Model *model, const ChatParams *params);
/* What a reader of the result should know of it. */
void chat_prompt_warn(Result *result, const ChatPrompt *prompt);

#endif
