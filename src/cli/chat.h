/* limn chat: a conversation in the terminal. */
#ifndef LIMN_CLI_CHAT_H
#define LIMN_CLI_CHAT_H

#include "arguments.h"

/* Until the end of standard input or /quit; the exit code. */
int chat_run(const limn_command *command, const Arguments *arguments);

#endif
