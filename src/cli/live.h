/* limn live: edits typed in the terminal, answered at once. */
#ifndef LIMN_CLI_LIVE_H
#define LIMN_CLI_LIVE_H

#include "arguments.h"

/* Is a session wanted, and not one answer to a file or a program? */
bool live_wanted(const Arguments *arguments);

/* Until the end of standard input or /quit; the exit code. */
int live_run(const limn_command *command, const Arguments *arguments);

#endif
