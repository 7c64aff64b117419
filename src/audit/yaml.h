/* A YAML text as a tree in which every node knows its line and column.
 *
 * What plans need of YAML and nothing more: mappings, lists and texts. Aliases, anchors, merge keys, tags and second
 * documents are refused (an alias can make a short text a billion nodes), and so are keys that stand twice, deep
 * nesting and broken UTF-8. A text stays as it is written: `no` is a text here, as in YAML 1.2, and what is a number is
 * for the reader of the field to say. */
#ifndef LIMN_AUDIT_YAML_H
#define LIMN_AUDIT_YAML_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 24, YAML_NODES_MAX = 50000, YAML_KEYS_MAX = 2000 };

typedef enum YamlKind { YAML_TEXT, YAML_LIST, YAML_MAP } YamlKind;

typedef struct YamlNode YamlNode;

typedef struct YamlPair {
    const YamlNode *key; /* a text */
    const YamlNode *value;
} YamlPair;

struct YamlNode {
    YamlKind kind;
    int32_t line, column; /* from 1 */
    const char *text;     /* [length] of TEXT, NUL-terminated, no NUL inside */
    size_t length;
    bool quoted;            /* written in quotes or as a block: a text whatever it looks like */
    const YamlNode **items; /* [n] of LIST */
    YamlPair *pairs;        /* [n] of MAP, in the order written */
    int32_t n;
    int32_t capacity;
};

/* name: stands before line and column in messages. The tree lies in the arena. An empty text is an empty mapping. */
limn_status yaml_read(const YamlNode **root, const char *name, const char *text, size_t length, Arena *arena);

const YamlNode *yaml_get(const YamlNode *map, const char *key); /* NULL: none, or `map` is no mapping */
bool yaml_is_null(const YamlNode *node);                        /* absent, `null`, `~` or nothing behind the colon */
const char *yaml_kind_name(const YamlNode *node);               /* "a list", for messages */

/* The tree as JSON: texts as texts but for `true` and `false` (not in quotes), which are flags. NULL: no memory. */
json_t *yaml_json(const YamlNode *node);

#endif
