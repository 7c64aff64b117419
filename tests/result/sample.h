/* A small document with every kind of block, and hostile text in some of them. */
#ifndef TESTS_RESULT_SAMPLE_H
#define TESTS_RESULT_SAMPLE_H

#include "result/result.h"

Result *sample_result(void);
/* The same blocks in sections, two of them of detail: a report. */
Result *sample_report(void);

/* The whole file, malloc'ed and NUL-terminated; fails the test when it cannot be read. */
char *read_file(const char *path, size_t *length);

#endif
