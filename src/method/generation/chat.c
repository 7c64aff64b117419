/* One answer in a conversation. The command line keeps the conversation and asks again and again. */
#include "method/generation/generate.h"

static const limn_param rows[] = {
    MODEL_ROW(GenerateParams, model),
    PARAM_ROW("messages", 0, LIMN_PARAM_TEXT, "JSON", "the conversation so far, from programs; at a terminal: none",
              offsetof(GenerateParams, prompt.chat.messages)),
    {.name = "system",
     .letter = 's',
     .kind = LIMN_PARAM_TEXT,
     .face = true,
     .metavar = "TEXT",
     .help = "the system message that conversations begin with"},
    {"max-tokens", 'm', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "512", .minimum = 1, .maximum = 1000000,
     .help = "longest answer, in tokens", .field = offsetof(GenerateParams, max_tokens)},
    {"temperature", 't', LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "0", .minimum = 0, .maximum = 100,
     .help = "0: always the likeliest token; higher: more surprise", .field = offsetof(GenerateParams, temperature)},
    {"top-p", 0, LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "1", .minimum = 1e-9, .maximum = 1,
     .help = "draw only from the likeliest tokens that together reach X", .field = offsetof(GenerateParams, top_p)},
    CHAT_ROWS(GenerateParams, prompt.chat),
};

const Method method_chat = {
    .command = {.name = "chat",
                .summary = "talk with a chat model in the terminal",
                .description =
                    "Reads a line, streams the answer, remembers both. /reset forgets the conversation, /system TEXT "
                    "begins a new one under a system message, /quit leaves; Ctrl-C stops the answer, not the program. "
                    "Without a terminal each line of standard input is one turn.",
                .examples = "limn chat MODEL\n"
                            "limn chat MODEL --system 'Answer in one word.' --temperature 0.7\n"
                            "echo 'What is the capital of France?' | limn chat MODEL",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Chat",
    .params_bytes = sizeof(GenerateParams),
    .run = generate_run,
    .explains = true,
};
