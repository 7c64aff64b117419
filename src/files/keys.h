/* What is done with each key of a JSON file that stands beside weights.
 *
 * A kind of file has one table: a row says that a key is read, that nothing depends on it here, or that it asks for
 * something that is not done, which is said or refused by name. A key without a row is said too, with the known name
 * that it may be a slip of: a setting that nobody reads must not look as if it were in force. */
#ifndef LIMN_FILES_KEYS_H
#define LIMN_FILES_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef enum KeyUse {
    KEY_READ,   /* decides something here */
    KEY_IDLE,   /* says something about training, storing or other programs */
    KEY_WARNED, /* decides something elsewhere that is not done here: said */
    KEY_REFUSED /* changes the computation in a way that is not implemented */
} KeyUse;

typedef struct KeyRow {
    const char *key; /* "*_token": every name that ends so and has no row of its own */
    KeyUse use;
    /* Of a key that is warned of or refused: the values, as JSON without spaces, that ask for nothing, one space
     * between. null, false, "", [] and {} never ask for anything. NULL: no others. */
    const char *harmless;
} KeyRow;

typedef struct KeyTable {
    const char *file;   /* "adapter_config.json" */
    KeyUse unknown;     /* of keys without a row: KEY_WARNED or KEY_REFUSED */
    const KeyRow *rows; /* [n] */
    size_t n;
} KeyTable;

#define KEY_TABLE(name, without_row, list) ((KeyTable){name, without_row, list, sizeof(list) / sizeof(list)[0]})

/* Takes one line. */
typedef struct KeyWarnings {
    limn_status (*warn)(void *context, const char *line);
    void *context;
} KeyWarnings;

/* A key of an object within ("rope_scaling.factor") is looked for by its own name too. NULL: none. */
const KeyRow *keys_find(const KeyTable *table, const char *key);

/* null, false, "", [] and {}. */
bool key_asks_nothing(const json_t *value);

/* Refuses what is to be refused and warns of the rest, unknown keys in one line. `where` is the path that messages
 * begin with. read: an object whose keys are names that are read without a row of their own; NULL: none. */
limn_status keys_check(const KeyTable *table, const json_t *read, const char *where, const json_t *object,
                       const KeyWarnings *warnings);

#endif
