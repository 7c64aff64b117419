#include "audit/yaml.h"

#include <string.h>
#include <yaml.h>

#include "base/utf8.h"

typedef struct YamlReader {
    yaml_parser_t parser;
    const char *name;
    Arena *arena;
    int32_t nodes;
} YamlReader;

static limn_status no_memory(const YamlReader *reader) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", reader->name);
}

static limn_status refuse(const YamlReader *reader, const yaml_mark_t *mark, const char *found) {
    return fail(LIMN_USAGE, "%s:%zu:%zu: %s", reader->name, mark->line + 1, mark->column + 1, found);
}

static limn_status next_event(YamlReader *reader, yaml_event_t *event) {
    if (yaml_parser_parse(&reader->parser, event) != 0) {
        return LIMN_OK;
    }
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        return no_memory(reader);
    }
    const yaml_mark_t *mark = &parser->problem_mark;
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    return fail(LIMN_USAGE, "%s:%zu:%zu: no YAML: %s%s%s", reader->name, mark->line + 1, mark->column + 1, problem,
                parser->context != NULL ? ", " : "", parser->context != NULL ? parser->context : "");
}

static limn_status new_node(YamlReader *reader, YamlNode **node, YamlKind kind, const yaml_mark_t *mark) {
    if (++reader->nodes > YAML_NODES_MAX) {
        return refuse(reader, mark, "more nodes than a plan may have");
    }
    *node = ARENA_NEW(reader->arena, YamlNode);
    if (*node == NULL) {
        return no_memory(reader);
    }
    (*node)->kind = kind;
    (*node)->line = (int32_t)mark->line + 1;
    (*node)->column = (int32_t)mark->column + 1;
    return LIMN_OK;
}

/* Room for one more item or pair. */
static limn_status grow(YamlReader *reader, YamlNode *node) {
    if (node->n < node->capacity) {
        return LIMN_OK;
    }
    if (node->kind == YAML_MAP && node->n >= YAML_KEYS_MAX) {
        return fail(LIMN_USAGE, "%s:%d:%d: more than %d keys in one mapping", reader->name, (int)node->line,
                    (int)node->column, YAML_KEYS_MAX);
    }
    int32_t capacity = node->capacity > 0 ? 2 * node->capacity : 8;
    const YamlNode **items = node->kind == YAML_LIST ? ARENA_ARRAY(reader->arena, const YamlNode *, capacity) : NULL;
    YamlPair *pairs = node->kind == YAML_MAP ? ARENA_ARRAY(reader->arena, YamlPair, capacity) : NULL;
    if (items == NULL && pairs == NULL) {
        return no_memory(reader);
    }
    for (int32_t i = 0; i < node->n; i++) {
        if (items != NULL) {
            items[i] = node->items[i];
        } else {
            pairs[i] = node->pairs[i];
        }
    }
    node->items = items;
    node->pairs = pairs;
    node->capacity = capacity;
    return LIMN_OK;
}

static limn_status read_text(YamlReader *reader, YamlNode **node, const yaml_event_t *event) {
    const char *bytes = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(bytes, '\0', length) != NULL) {
        return refuse(reader, &event->start_mark, "a text with a NUL inside");
    }
    TRY(new_node(reader, node, YAML_TEXT, &event->start_mark));
    (*node)->text = arena_strndup(reader->arena, bytes, length);
    (*node)->length = length;
    (*node)->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return (*node)->text != NULL ? LIMN_OK : no_memory(reader);
}

static limn_status read_node(YamlReader *reader, YamlNode **node, const yaml_event_t *event, int depth);

static limn_status read_list(YamlReader *reader, YamlNode *list, int depth) {
    for (;;) {
        yaml_event_t event;
        TRY(next_event(reader, &event));
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        YamlNode *item = NULL;
        limn_status status = end ? LIMN_OK : read_node(reader, &item, &event, depth);
        yaml_event_delete(&event);
        TRY(status);
        if (end) {
            return LIMN_OK;
        }
        TRY(grow(reader, list));
        list->items[list->n++] = item;
    }
}

static limn_status check_key(const YamlReader *reader, const YamlNode *map, const YamlNode *key) {
    if (key->kind != YAML_TEXT) {
        return fail(LIMN_USAGE, "%s:%d:%d: found %s as a key, expected a text", reader->name, (int)key->line,
                    (int)key->column, yaml_kind_name(key));
    }
    const YamlNode *first = yaml_get(map, key->text);
    if (first != NULL) {
        return fail(LIMN_USAGE, "%s:%d:%d: '%.80s' stands twice here; its first value is in line %d", reader->name,
                    (int)key->line, (int)key->column, key->text, (int)first->line);
    }
    return LIMN_OK;
}

static limn_status read_map(YamlReader *reader, YamlNode *map, int depth) {
    for (;;) {
        yaml_event_t event;
        TRY(next_event(reader, &event));
        bool end = event.type == YAML_MAPPING_END_EVENT;
        YamlNode *key = NULL, *value = NULL;
        limn_status status = end ? LIMN_OK : read_node(reader, &key, &event, depth);
        yaml_event_delete(&event);
        TRY(status);
        if (end) {
            return LIMN_OK;
        }
        TRY(check_key(reader, map, key));
        TRY(next_event(reader, &event));
        status = read_node(reader, &value, &event, depth);
        yaml_event_delete(&event);
        TRY(status);
        TRY(grow(reader, map));
        map->pairs[map->n++] = (YamlPair){key, value};
    }
}

static limn_status read_node(YamlReader *reader, YamlNode **node, const yaml_event_t *event, int depth) {
    const yaml_mark_t *mark = &event->start_mark;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT) {
        return refuse(reader, mark, "an alias; write the value out where it is used");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL || tag != NULL) {
        return refuse(reader, mark, anchor != NULL ? "an anchor; a plan has no aliases" : "a tag; a plan has no types");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        return read_text(reader, node, event);
    }
    if (depth >= YAML_DEPTH_MAX) {
        return refuse(reader, mark, "nested deeper than a plan may be");
    }
    bool list = event->type == YAML_SEQUENCE_START_EVENT;
    TRY(new_node(reader, node, list ? YAML_LIST : YAML_MAP, mark));
    return list ? read_list(reader, *node, depth + 1) : read_map(reader, *node, depth + 1);
}

/* STREAM-START (DOCUMENT-START node DOCUMENT-END)? STREAM-END */
static limn_status read_stream(YamlReader *reader, YamlNode **root) {
    *root = NULL;
    for (bool over = false; !over;) {
        yaml_event_t event;
        TRY(next_event(reader, &event));
        limn_status status = LIMN_OK;
        if (event.type == YAML_STREAM_END_EVENT) {
            over = true;
        } else if (event.type == YAML_DOCUMENT_START_EVENT) {
            status = *root != NULL ? refuse(reader, &event.start_mark, "a second document") : LIMN_OK;
        } else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_END_EVENT) {
            status = read_node(reader, root, &event, 0);
        }
        yaml_event_delete(&event);
        TRY(status);
    }
    const yaml_mark_t begin = {0};
    return *root != NULL ? LIMN_OK : new_node(reader, root, YAML_MAP, &begin);
}

limn_status yaml_read(const YamlNode **root, const char *name, const char *text, size_t length, Arena *arena) {
    YamlReader reader = {.name = name, .arena = arena};
    YamlNode *made = NULL;
    *root = NULL;
    if (length > YAML_BYTES_MAX) {
        return fail(LIMN_USAGE, "%s: found %zu bytes, expected a plan of at most %d", name, length, YAML_BYTES_MAX);
    }
    if (!utf8_is_valid(text, length)) {
        return fail(LIMN_USAGE, "%s: is no UTF-8 text", name);
    }
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return no_memory(&reader);
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
    limn_status status = read_stream(&reader, &made);
    yaml_parser_delete(&reader.parser);
    *root = status == LIMN_OK ? made : NULL;
    return status;
}

/* ---- asking ---- */

const YamlNode *yaml_get(const YamlNode *map, const char *key) {
    for (int32_t i = 0; map != NULL && map->kind == YAML_MAP && i < map->n; i++) {
        if (strcmp(map->pairs[i].key->text, key) == 0) {
            return map->pairs[i].value;
        }
    }
    return NULL;
}

bool yaml_is_null(const YamlNode *node) {
    return node == NULL || (node->kind == YAML_TEXT && !node->quoted &&
                            (node->length == 0 || strcmp(node->text, "null") == 0 || strcmp(node->text, "~") == 0));
}

const char *yaml_kind_name(const YamlNode *node) {
    static const char *const names[] = {"a text", "a list", "a mapping"};
    return yaml_is_null(node) ? "nothing" : names[node->kind];
}

static json_t *text_json(const YamlNode *node) {
    if (yaml_is_null(node)) {
        return json_null();
    }
    bool flag = !node->quoted && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0);
    return flag ? json_boolean(node->text[0] == 't') : json_stringn(node->text, node->length);
}

json_t *yaml_json(const YamlNode *node) {
    if (node->kind == YAML_TEXT) {
        return text_json(node);
    }
    json_t *made = node->kind == YAML_LIST ? json_array() : json_object();
    for (int32_t i = 0; made != NULL && i < node->n; i++) {
        json_t *value = yaml_json(node->kind == YAML_LIST ? node->items[i] : node->pairs[i].value);
        int failed = value == NULL             ? -1
                     : node->kind == YAML_LIST ? json_array_append_new(made, value)
                                               : json_object_set_new(made, node->pairs[i].key->text, value);
        if (failed != 0) {
            json_decref(made);
            made = NULL;
        }
    }
    return made;
}
