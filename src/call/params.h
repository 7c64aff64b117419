/* From a JSON object to a method's C struct, by its rows, and back.
 *
 * The row's kind decides the field's C type (row.field is its offset):
 *
 *   kind      field       absent and no default
 *   TEXT      Text        bytes NULL
 *   NUMBER    double      NaN
 *   INTEGER   int64_t     PARAM_NO_INTEGER
 *   FLAG      bool        false
 *   CHOICE    int32_t     -1; else the place among the row's choices
 *   IDS       ParamIds    ids NULL
 *   FILE      Text        bytes NULL
 *   OUTPUT    Text        bytes NULL
 *   BYTES     size_t      0; "min" is PARAM_BYTES_LEAST
 *   repeated  ParamTexts  n 0 (TEXT and FILE only)
 *
 * JSON values may be of their own type or strings as typed on a command line. Text that is not UTF-8 is written
 * {"hex": "ff00"}. */
#ifndef LIMN_CALL_PARAMS_H
#define LIMN_CALL_PARAMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "limn.h"
#include "result/result.h"

/* A row of a parameter that may be given once or not at all, for the tables methods share. */
#define PARAM_ROW(name_, letter_, kind_, metavar_, help_, field_)                                                      \
    { .name = (name_), .letter = (letter_), .kind = (kind_), .metavar = (metavar_), .help = (help_), .field = (field_) }

#define PARAM_NO_INTEGER INT64_MIN
enum { PARAM_BYTES_LEAST = 1 };

/* A Text (result/result.h) is NUL-terminated; NULs inside count; bytes NULL: absent. */
typedef Texts ParamTexts;

typedef struct ParamIds {
    const int32_t *ids; /* [n]; NULL: absent */
    int32_t n;
} ParamIds;

/* Fails with LIMN_USAGE on the first key that no row of either table has (rows of the face included), naming the
 * nearest ones. */
limn_status params_check_names(const char *command, const limn_param *own, size_t n_own, const limn_param *common,
                               size_t n_common, const json_t *object);

/* Fills the struct at `params` (zeroed by the caller) from the object's values and the rows' defaults. Texts are
 * copied into the arena. */
limn_status params_fill(void *params, const char *command, const limn_param *rows, size_t n, const json_t *object,
                        Arena *arena);

/* Adds to `object` the effective value of every row that shapes the answer: defaults included; what is absent,
 * written (OUTPUT) or of the face left out. */
limn_status params_record(json_t *object, const void *params, const limn_param *rows, size_t n);

/* For a file of the method's own, the option's name and ending (".jsonl") given: refuses a name without it. Absent is
 * fine. */
limn_status params_check_ending(const char *option, const Text *output, const char *ending);

/* The row of the file that "output" means by its ending, as FILE.jsonl is what "decisions" takes; NULL: none. */
const limn_param *params_own_file(const limn_param *rows, size_t n, const json_t *output);

/* "1, 2,3" -> ids; the option's name is for the message. */
limn_status params_parse_ids(ParamIds *ids, const char *option, const char *text, Arena *arena);
/* "512M", "2GiB", "1.5G", "1000000", "min" */
limn_status params_parse_bytes(size_t *bytes, const char *option, const char *text);

/* The text of choice number `index` of "a|b|c", copied to buffer; "" when there is none. */
const char *params_choice_text(const char *choices, int32_t index, char *buffer, size_t size);

#endif
