/* Lines of standard input, for sessions in the terminal. */
#ifndef LIMN_CLI_LINES_H
#define LIMN_CLI_LINES_H

#include <stdbool.h>

#include "text.h"

typedef struct LineReader {
    Text pending; /* read and not yet a line */
    bool ended;   /* standard input has no more */
} LineReader;

typedef enum Reading { READ_LINE, READ_END, READ_INTERRUPTED, READ_FAILED } Reading;

/* The next line without its end, added to `line`. Ctrl-C forgets what was typed of it. */
Reading read_line(Text *line, LineReader *reader);

#endif
