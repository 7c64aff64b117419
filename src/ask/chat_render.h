/* A model's chat template, made ready once for any number of conversations: the rows of what a template gets, which
 * template is meant, and what it is told besides the messages. */
#ifndef LIMN_ASK_CHAT_RENDER_H
#define LIMN_ASK_CHAT_RENDER_H

#include "call/method.h"
#include "chat/chat.h"

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

typedef struct ChatRenderer ChatRenderer;

/* Refuses a model without a tokenizer, and options that cannot be. The call, model and params are borrowed. */
limn_status chat_renderer_open(ChatRenderer **renderer, MethodCall *call, const Model *model, const ChatParams *params);
void chat_renderer_free(ChatRenderer *renderer); /* NULL is fine */

/* What a template is given for one conversation and which one that is: --tools and --documents stand before the
 * conversation's own. Borrowed from the renderer and from *chat. Refuses a model without a fitting template. */
limn_status chat_renderer_prepare(ChatRenderer *renderer, const ChatFile *chat, const ChatTemplate **parsed,
                                  ChatInput *input);
const char *chat_renderer_date(const ChatRenderer *renderer); /* what a template that asks is told */

/* How a text made by a template is encoded: its special tokens are its own, none are added. */
EncodeOptions chat_encode_options(void);

/* Tokens that are special and spelled inside of messages. */
int32_t chat_specials_in_content(const ChatText *text, const Token *tokens, int32_t n);

/* Refuses options of the rows that would silently do nothing; `with`: what they go with. */
limn_status chat_params_refuse(const char *command, const ChatParams *params, const char *with);

#endif
