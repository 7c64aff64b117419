/* The library's own helper programs: work that libraries do which end the process when they fail (GLib under Pango), so
 * that it may not be done in the caller's. */
#ifndef LIMN_BASE_HELPER_H
#define LIMN_BASE_HELPER_H

#include "base/text_buffer.h"

/* Runs the helper `name` with up to one argument (NULL: none), `length` bytes on its standard input, and appends what
 * it writes. A helper ends with a limn_status and says why on standard error. It is looked for where it is installed,
 * seen from the library, and beside the library and the running program; LIMN_UNSUPPORTED: it is not there. */
limn_status helper_run(TextBuffer *output, const char *name, const char *argument, const void *input, size_t length);

#endif
