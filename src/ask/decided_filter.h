/* A filter over records and what is decided about them: beside the fields of a record, `pred` is the decision and
 * `label` the right answer, both as the labels are spelled. A decision is one of few names, so it is asked beforehand
 * for which of them the filter would hold: nothing of the record need be kept until the decision is made. */
#ifndef LIMN_ASK_DECIDED_FILTER_H
#define LIMN_ASK_DECIDED_FILTER_H

#include "ask/data_source.h"
#include "data/expression.h"

typedef struct DecidedFilter DecidedFilter;

/* In the arena; close gives back what is not there. option: whose value the text is. */
limn_status decided_filter_open(DecidedFilter **filter, const char *option, Text text, Arena *arena);
void decided_filter_close(DecidedFilter *filter); /* NULL is fine */

bool decided_filter_asks(const DecidedFilter *filter, const char *name);

/* holds: [n] were the decision about the source's last record names[i]. label: the right answer, -1: unknown, then the
 * record's field of that name is meant. */
limn_status decided_filter_test(DecidedFilter *filter, bool *holds, const DataSource *source, const Text *names,
                                int32_t n, int32_t label);

/* Once records were tested: refuses a name that none of them had. */
limn_status decided_filter_check(const DecidedFilter *filter, const DataSource *source);

#endif
