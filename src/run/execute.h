/* Runs a program's bands over bound rows and buffers. */
#ifndef LIMN_RUN_EXECUTE_H
#define LIMN_RUN_EXECUTE_H

#include "run/edits.h"
#include "run/rows.h"

typedef struct Execution {
    Team *team;
    const Program *program;
    const RunRequest *request;
    const Rows *rows;
    const EditIndex *edits;
    ProgramSizes sizes;
    float **slots; /* [program->n_slots] */
    void *scratch; /* 64-byte aligned */
    size_t scratch_bytes;
    BackendState *state;
} Execution;

limn_status execute(const Execution *execution);

/* First row of a value's buffer. */
float *execution_value(const Execution *execution, ValueId value);

#endif
