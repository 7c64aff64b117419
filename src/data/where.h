/* Which records are meant: `--where 'label != pred and followers >= 1000'`, an expression over their fields. */
#ifndef LIMN_DATA_WHERE_H
#define LIMN_DATA_WHERE_H

#include "data/expression.h"

typedef Expression Where;

/* Lives in the arena but for its compiled patterns: where_free. */
limn_status where_parse(Where **where, const char *text, size_t length, Arena *arena);
void where_free(Where *where); /* NULL is fine */

limn_status where_test(Where *where, const Record *record, bool *holds);

/* Refuses a name that cannot be (names: those that every record has; n 0: not known beforehand). */
limn_status where_check_names(const Where *where, const char *path, const RecordCell *names, size_t n);
/* The first name that no tested record had; NULL: none. */
const char *where_unseen_name(const Where *where);

#endif
