/* Man page and shell completion, made from the rows when the program is built. */
#ifndef LIMN_CLI_DOCUMENTS_H
#define LIMN_CLI_DOCUMENTS_H

#include <stdbool.h>

#include "text.h"

/* kind: "man", "bash" or "zsh"; false: no such kind. */
bool document_write(Text *out, const char *kind);

#endif
