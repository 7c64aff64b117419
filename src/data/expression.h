/* The one language in which conditions and figures are written: which records are meant (where.h), what is measured of
 * named figures ("correct - 0.5 * refused"), what a gate demands of them ("accuracy >= 0.9 and gap < 0.03").
 *
 *   condition   and, or, not, ( ), in the usual order of binding
 *   comparison  == != < > <= >=  and  ~ !~  (a regular expression, PCRE, found anywhere in the text)
 *   sum         + - * / and a sign, of numbers. A minus stands between blanks or behind a parenthesis: within a name
 *               it belongs to the name
 *   operand     a name (dots go into objects; odd names in `backquotes`), 'text' or "text", a number, true, false,
 *               null, ( ), length(name): the characters of a text or number, the elements of a list or object,
 *               split(name, N): from 0 to 1 by what the name reads as and by N alone, so that split(id, 1) < 0.5 and
 *               split(id, 1) >= 0.5 are two halves; of sums also abs(x), sqrt(x), exp(x), log(x), min(x, ...),
 *               max(x, ...)
 *
 * Numbers compare as numbers, integers of any length exactly, texts by their bytes. A cell of CSV has no type: beside a
 * number it is read as one if it is spelled as one; two cells are compared as numbers when both are. What is absent is
 * null. What cannot be compared is unequal, and neither less nor greater; a sum with what is no number is null. Sums
 * are reckoned in double. */
#ifndef LIMN_DATA_EXPRESSION_H
#define LIMN_DATA_EXPRESSION_H

#include "base/arena.h"
#include "files/records.h"

typedef struct Expression Expression;

typedef enum ExpressionKind { EXPRESSION_CONDITION, EXPRESSION_NUMBER } ExpressionKind;

/* Lives in the arena but for its compiled patterns: expression_free. option: who asks, for messages ("where"). */
limn_status expression_parse(Expression **expression, ExpressionKind kind, const char *option, const char *text,
                             size_t length, Arena *arena);
void expression_free(Expression *expression); /* NULL is fine */

/* What a name stands for: *value has kind FIELD_ABSENT where there is no such thing. Bytes are borrowed until the
 * expression is evaluated again. */
typedef struct ExpressionNames {
    FieldValue (*value)(const void *context, const char *name, size_t length);
    const void *context;
} ExpressionNames;

limn_status expression_test(Expression *expression, const ExpressionNames *names, bool *holds);
/* Of kind NUMBER. LIMN_USAGE, naming it, where a name stands for nothing or for no number; the number may be infinite
 * or NaN where that is what comes out. */
limn_status expression_number(Expression *expression, const ExpressionNames *names, double *number);

/* Its names, in the order they are written; one written twice stands twice. index from 0; NULL: no more. seen: some
 * test found something there; may be NULL. */
const char *expression_name(const Expression *expression, size_t index, bool *seen);

#endif
