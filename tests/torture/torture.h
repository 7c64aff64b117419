/* Allocations that fail on demand: limn's own, those of static code linked with it. Shared libraries keep theirs:
 * jansson 2.14 has assertions that do not hold when its memory runs out. */
#ifndef TESTS_TORTURE_H
#define TESTS_TORTURE_H

#include "base/error.h"

/* Runs the scenario with its first, second, third ... allocation failing, until none is left to fail; then everything
 * must have worked. Each run that fails must answer LIMN_NO_MEMORY with a message, and no run may keep memory.
 * Ends the process with a line naming the scenario when a promise is broken. */
void torture(const char *name, limn_status (*scenario)(void *context), void *context);

#endif
