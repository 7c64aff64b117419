/* What the terminal can do, and writing to it. */
#ifndef LIMN_CLI_TERMINAL_H
#define LIMN_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limn.h"

/* Colours and width of standard output. when: "auto", "always" or "never". */
limn_render_options terminal_options(const char *when);
double now_seconds(void);   /* of a clock that only goes forward */
int terminal_width(int fd); /* columns; 80 when unknown */

/* Writes everything or says why not: one line on stderr. */
bool write_all(int fd, const char *bytes, size_t length);
bool write_text(int fd, const char *text);
/* What a model or a template says, on standard output: as it is, but a terminal gets its control characters (all but
 * newline and tab) as \xNN, so that nobody else's text commands it. Whole UTF-8 characters. */
bool write_said(const char *bytes, size_t length);

/* "limn: MESSAGE" on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Progress on stderr, once the work has lasted a while and stderr is a terminal. False once Ctrl-C was pressed. */
bool progress_show(const char *stage, int64_t done, int64_t total);
void progress_allow(bool allowed); /* false: --quiet */
void progress_clear(void);

/* Ctrl-C: the first asks the work to stop, the second ends the program. SIGPIPE ends it without a word; SIGBUS names
 * the file that was truncated under its map. */
void signals_install(void);
/* From now on every Ctrl-C only asks the work to stop, and interrupts reading. */
void interrupts_forgive(void);
bool interrupt_take(void); /* whether one came since the last call */

#endif
