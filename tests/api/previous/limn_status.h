/* What a call can answer. One row for each status: LIMN_STATUS(name, exit code, meaning).
 * The exit code is what the `limn` program ends with. */
#ifndef LIMN_STATUS_H
#define LIMN_STATUS_H

#define LIMN_STATUSES(X)                                                                                               \
    X(OK, 0, "success")                                                                                                \
    X(GATE_FAILED, 1, "a check or gate did not hold")                                                                  \
    X(USAGE, 2, "an option, argument or combination that cannot be")                                                   \
    X(NOT_FOUND, 2, "a name (site, file, tensor, token, class) that does not exist")                                   \
    X(RANGE, 2, "a number out of its range")                                                                           \
    X(FORMAT, 3, "a file that is not what it says it is")                                                              \
    X(UNSUPPORTED, 3, "a well-formed thing that this version does not implement")                                      \
    X(IO, 3, "the operating system refused to read or write")                                                          \
    X(NO_MEMORY, 3, "memory ran out, or the given limit is too small")                                                 \
    X(CANCELLED, 3, "the caller asked to stop")                                                                        \
    X(INTERNAL, 3, "a broken promise inside the library: please report it")                                            \
    X(INCONCLUSIVE, 4, "the evidence does not decide")

#define LIMN_STATUS_ENUM(name, exit_code, meaning) LIMN_##name,
typedef enum limn_status { LIMN_STATUSES(LIMN_STATUS_ENUM) LIMN_STATUS_COUNT } limn_status;
#undef LIMN_STATUS_ENUM

#endif
