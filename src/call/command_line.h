/* A call as a person would type it, from its parameters. */
#ifndef LIMN_CALL_COMMAND_LINE_H
#define LIMN_CALL_COMMAND_LINE_H

#include <jansson.h>

#include "base/text_buffer.h"
#include "limn.h"

/* Appends a word, quoted where a shell would see more than a word. */
limn_status shell_word(TextBuffer *out, const char *text);

/* Appends "limn predict MODEL DATA --choices ..."; what is the default already is left out. */
limn_status command_line_of(TextBuffer *out, const limn_command *command, const json_t *params);

#endif
