/* A status and one line that says what was found and what was expected.
 *
 * A function that fails ends with `return fail(LIMN_FORMAT, "...", ...)`. The message is kept for the
 * calling thread until its next failure; code that runs on worker threads carries it home with
 * error_save/error_restore (parallel_for does so by itself). The library never prints and never exits. */
#ifndef LIMN_BASE_ERROR_H
#define LIMN_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "limn_status.h"

enum { ERROR_MESSAGE_MAX = 4096 }; /* a list of names fits */

typedef struct ErrorState {
    limn_status status;
    char message[ERROR_MESSAGE_MAX];
} ErrorState;

/* Records the message (cut at ERROR_MESSAGE_MAX, control characters shown as \xNN) and returns status. */
limn_status fail(limn_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
#ifdef __clang_analyzer__ /* which cannot see that what is returned is what was given */
#define fail(status, ...) ((void)(fail)((status), __VA_ARGS__), (status))
#endif

/* Puts "prefix: " before the recorded message; returns the recorded status. For callers that know more. */
limn_status fail_context(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *error_message(void);
void error_clear(void);
void error_save(ErrorState *state);
limn_status error_restore(const ErrorState *state);

/* Whether a failure is the fault of what was read or asked, so that another input may do: not memory, the system, a
 * wish to stop or a broken promise. */
bool status_is_of_input(limn_status status);

const char *status_name(limn_status status);    /* "FORMAT" */
const char *status_meaning(limn_status status); /* the row's text */
int status_exit_code(limn_status status);

/* Leaves the calling function with the status of EXPRESSION unless it is LIMN_OK. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        limn_status try_status_ = (expression);                                                                        \
        if (try_status_ != LIMN_OK) {                                                                                  \
            return try_status_;                                                                                        \
        }                                                                                                              \
    } while (0)

/* The same for functions that must clean up: jumps to `label` with `status` set. */
#define TRY_GOTO(status, label, expression)                                                                            \
    do {                                                                                                               \
        (status) = (expression);                                                                                       \
        if ((status) != LIMN_OK) {                                                                                     \
            goto label;                                                                                                \
        }                                                                                                              \
    } while (0)

#endif
