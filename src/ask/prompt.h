/* What a model is given to read: the rows every method with a prompt shares, and what they come to. */
#ifndef LIMN_ASK_PROMPT_H
#define LIMN_ASK_PROMPT_H

#include "ask/chat_prompt.h"
#include "call/method.h"

typedef struct PromptParams {
    Text prompt;
    ParamIds ids;
    Text file;
    Text pair;
    ParamIds token_types;
    ParamIds attention_mask;
    ChatParams chat;
    bool complete; /* no row: the text has its special tokens, none are added (a chat that is rendered already) */
} PromptParams;

/* Rows for a method's table; `member` is the PromptParams inside its own struct. */
#define PROMPT_ROWS(type, member)                                                                                      \
    PARAM_ROW("prompt", 'p', LIMN_PARAM_TEXT, "TEXT", "the text the model reads", offsetof(type, member.prompt)),      \
        PARAM_ROW("ids", 0, LIMN_PARAM_IDS, "N,N,...", "token ids instead of a text", offsetof(type, member.ids)),     \
        PARAM_ROW("file", 0, LIMN_PARAM_FILE, "FILE", "read the text from FILE", offsetof(type, member.file)),         \
        PARAM_ROW("chat", 0, LIMN_PARAM_FILE, "FILE", "read the messages in FILE (JSON) by the model's chat template", \
                  offsetof(type, member.chat.chat)),                                                                   \
        PARAM_ROW("messages", 0, LIMN_PARAM_TEXT, "JSON", "the same from JSON text",                                   \
                  offsetof(type, member.chat.messages)),                                                               \
        CHAT_ROWS(type, member.chat)

#define PROMPT_PAIR_ROWS(type, member)                                                                                 \
    PARAM_ROW("pair", 0, LIMN_PARAM_TEXT, "TEXT", "the second text of a pair (BERT)", offsetof(type, member.pair)),    \
        PARAM_ROW("token-types", 0, LIMN_PARAM_IDS, "N,N,...",                                                         \
                  "the token type of each token (BERT); else from --pair", offsetof(type, member.token_types)),        \
        PARAM_ROW("attention-mask", 0, LIMN_PARAM_IDS, "N,N,...",                                                      \
                  "1 for each token that may be looked at, 0 for padding", offsetof(type, member.attention_mask))

typedef struct Prompt {
    Text text;      /* as read; absent when ids were given. With a pair: the first text only */
    Text pair;      /* the second; absent: none */
    Token *tokens;  /* [n] offsets are into text; begin == end == 0 for given ids */
    int32_t *ids;   /* [n] */
    int32_t *types; /* [n] or NULL: all 0 */
    uint8_t *mask;  /* [n] or NULL: all visible */
    int32_t n;
    int32_t *messages;   /* [n] the message each token comes from, -1: none; NULL: not a chat */
    Text *roles;         /* [n] of those messages; NULL: not a chat */
    int32_t end_of_turn; /* what the chat template puts after an answer; -1: unknown */
    const ChatPrompt *chat;
    EncodeOptions encode; /* as used */
} Prompt;

/* Checks the ids against the vocabulary and the length against the context. Lives in the call's arena. */
limn_status prompt_read(Prompt *prompt, MethodCall *call, const Model *model, const PromptParams *params);

/* The same from one text (or file) and its encoding, without the checks against the model. */
limn_status prompt_read_text(Prompt *prompt, MethodCall *call, const Model *model, Text text, Text file, Text pair,
                             EncodeOptions options);

/* Another text in the place of the prompt's own (of the first, with a pair), encoded as that was. The caller's:
 * encoding_free. */
limn_status prompt_encode_version(Encoding *encoding, const Model *model, const Prompt *prompt, Text text);

/* A token that gets no score: special, hidden by the mask, or (held, [n]; NULL: none) held by the question. */
bool prompt_holds(const Prompt *prompt, int32_t token, const bool *held);

/* Whether a token is its chat template's own: nothing that anybody said. False where there is no chat. */
bool prompt_of_template(const Prompt *prompt, int32_t token);

/* The row of a method that scores tokens; the field is an int32_t, 1 when the template's are scored too. */
#define TEMPLATE_TOKENS_ROW(type, member)                                                                              \
    {                                                                                                                  \
        .name = "template-tokens", .kind = LIMN_PARAM_CHOICE, .metavar = "WHAT", .default_text = "fixed",              \
        .choices = "fixed|scored",                                                                                     \
        .help = "chat: hold what the template puts around messages fixed, or score it like the words",                 \
        .field = offsetof(type, member)                                                                                \
    }

/* Does any of the first n tokens stand for text? Then what follows them goes on with that text, else it begins one. */
bool prompt_has_text(const Prompt *prompt, int32_t n);

/* How a text by itself is encoded, a token's or a choice's. A first space that is written is the text's own, so none is
 * put before it even where it begins a text. */
EncodeOptions encode_alone(Text text);

/* Encodes with the call's arena; *n tokens. */
limn_status prompt_encode(Token **tokens, int32_t *n, MethodCall *call, const Tokenizer *tokenizer, Text text,
                          const EncodeOptions *options);

/* The prompt as a run's sequence. */
SequenceInput prompt_sequence(const Prompt *prompt);

/* Fills the result's input text and input tokens. */
void prompt_describe(Result *result, MethodCall *call, const Model *model, const Prompt *prompt);

/* Bytes a token adds to decoded text; "<3>" in the arena when the model has no tokenizer. */
Text token_text(MethodCall *call, const Model *model, int32_t id);
/* A class's label, or a token's text. */
Text output_text(MethodCall *call, const Model *model, int32_t id);

#endif
