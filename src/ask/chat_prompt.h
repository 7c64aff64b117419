/* Messages as what a model is given to read: the text, and which token came from which message. */
#ifndef LIMN_ASK_CHAT_PROMPT_H
#define LIMN_ASK_CHAT_PROMPT_H

#include "ask/chat_render.h"

typedef struct ChatPrompt {
    ChatText text;     /* in the call's arena */
    Token *tokens;     /* [n] */
    int32_t *message;  /* [n] -1: of the template alone */
    bool *of_template; /* [n] no byte of it comes out of a message: put around them, or before the answer */
    Text *role;        /* [n] of the message, "assistant" for the beginning of the answer; absent: neither */
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
void chat_prompt_warn(Result *result, const MethodCall *call, const ChatPrompt *prompt);
/* Of special tokens spelled inside of messages, in however many chats; of 0 nothing. */
void chat_warn_of_specials(Result *result, const MethodCall *call, int64_t n);

#endif
