/* Help texts, made from the rows. */
#ifndef LIMN_CLI_HELP_H
#define LIMN_CLI_HELP_H

#include "limn.h"
#include "text.h"

void help_program(Text *out);
/* The commands of two words that begin with this one; false: there are none. */
bool help_family(Text *out, const char *word);
void help_command(Text *out, const limn_command *command);

/* Exit codes with the statuses they stand for, one line each: "2  wrong use: ..." */
typedef struct ExitCodeRow {
    int code;
    const char *meaning;
} ExitCodeRow;
extern const ExitCodeRow exit_codes[];
extern const size_t exit_codes_count;

#endif
