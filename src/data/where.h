/* Which records are meant: `--where 'label != pred and followers >= 1000'`.
 *
 *   expression  and, or, not, ( ), in the usual order of binding
 *   comparison  == != < > <= >=  and  ~ !~  (a regular expression, PCRE, found anywhere in the text)
 *   operand     a field's name (dots go into objects; odd names in `backquotes`), 'text' or "text", a number, true,
 *               false, null, or length(name): the characters of a text or number, the elements of a list or object
 *
 * Numbers compare as numbers, integers of 64 bits exactly, texts by their bytes. A cell of CSV has no type: beside a
 * number it is read as one if it is spelled as one; two cells are compared as numbers when both are. A field that a
 * record lacks is null. What cannot be compared is unequal, and neither less nor greater. */
#ifndef LIMN_DATA_WHERE_H
#define LIMN_DATA_WHERE_H

#include "base/arena.h"
#include "files/records.h"

typedef struct Where Where;

/* Lives in the arena but for its compiled patterns: where_free. */
limn_status where_parse(Where **where, const char *text, size_t length, Arena *arena);
void where_free(Where *where); /* NULL is fine */

limn_status where_test(Where *where, const Record *record, bool *holds);

/* Refuses a name that cannot be (names: those that every record has; n 0: not known beforehand). */
limn_status where_check_names(const Where *where, const char *path, const RecordCell *names, size_t n);
/* The first name that no tested record had; NULL: none. */
const char *where_unseen_name(const Where *where);

#endif
