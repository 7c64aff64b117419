#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/where.h"

#include <pcre2.h>
#include <string.h>

enum { DEPTH_MAX = 64, MATCH_LIMIT = 1000000 };

typedef enum Comparator {
    CMP_EQUAL,
    CMP_UNEQUAL,
    CMP_LESS,
    CMP_GREATER,
    CMP_AT_MOST,
    CMP_AT_LEAST,
    CMP_LIKE,
    CMP_UNLIKE
} Comparator;

typedef struct Operand {
    bool is_field;
    bool is_length;   /* of the field: length(name) */
    const char *name; /* [length] of a field, NUL-terminated */
    size_t length;
    bool *seen;         /* some record had it */
    FieldValue literal; /* otherwise */
} Operand;

typedef enum NodeKind { NODE_COMPARE, NODE_AND, NODE_OR, NODE_NOT } NodeKind;

typedef struct Node {
    NodeKind kind;
    Comparator comparator;
    Operand left, right;
    pcre2_code *pattern;
    struct Node *first, *second;
    struct Node *next_made; /* all nodes in a list, for freeing patterns */
} Node;

struct Where {
    Node *root;
    Node *made;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    TextBuffer scratch;
};

/* ---- reading the expression ---- */

typedef struct Parser {
    const char *text; /* NUL-terminated */
    size_t length, at;
    Arena *arena;
    Where *where;
    int depth;
} Parser;

static limn_status bad(const Parser *parser, const char *expected) {
    size_t left = parser->length - parser->at;
    return left == 0 ? fail(LIMN_USAGE, "option 'where': ends where %s was expected", expected)
                     : fail(LIMN_USAGE, "option 'where': found '%.*s' at character %zu, expected %s",
                            (int)(left < 40 ? left : 40), parser->text + parser->at, parser->at + 1, expected);
}

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "option 'where': out of memory");
}

static void skip_blanks(Parser *parser) {
    while (parser->at < parser->length && strchr(" \t\r\n", parser->text[parser->at]) != NULL) {
        parser->at++;
    }
}

static bool is_name_byte(char c) {
    unsigned char u = (unsigned char)c;
    return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '_' || u == '.' ||
           u == '-' || u >= 0x80;
}

static size_t word_length(const Parser *parser) {
    size_t n = 0;
    while (parser->at + n < parser->length && is_name_byte(parser->text[parser->at + n])) {
        n++;
    }
    return n;
}

static bool take(Parser *parser, const char *sign) {
    skip_blanks(parser);
    size_t n = strlen(sign);
    if (parser->length - parser->at < n || memcmp(parser->text + parser->at, sign, n) != 0) {
        return false;
    }
    parser->at += n;
    return true;
}

static bool take_word(Parser *parser, const char *word) {
    skip_blanks(parser);
    size_t n = word_length(parser);
    if (n != strlen(word) || memcmp(parser->text + parser->at, word, n) != 0) {
        return false;
    }
    parser->at += n;
    return true;
}

/* 'text', "text" or `name`: a backslash takes the next byte as it is. */
static limn_status read_quoted(Parser *parser, const char **bytes, size_t *length) {
    char quote = parser->text[parser->at];
    char *copy = arena_alloc(parser->arena, parser->length - parser->at + 1);
    if (copy == NULL) {
        return no_memory();
    }
    size_t n = 0;
    size_t i = parser->at + 1;
    for (; i < parser->length && parser->text[i] != quote; i++) {
        bool escape = parser->text[i] == '\\' && i + 1 < parser->length &&
                      (parser->text[i + 1] == quote || parser->text[i + 1] == '\\');
        i += escape;
        copy[n++] = parser->text[i];
    }
    if (i == parser->length) {
        return bad(parser, "a closing quote");
    }
    copy[n] = '\0';
    parser->at = i + 1;
    *bytes = copy;
    *length = n;
    return LIMN_OK;
}

static limn_status set_field(Parser *parser, Operand *operand, const char *bytes, size_t length) {
    operand->is_field = true;
    operand->name = arena_strndup(parser->arena, bytes, length);
    operand->length = length;
    operand->seen = ARENA_NEW(parser->arena, bool);
    return operand->name != NULL && operand->seen != NULL ? LIMN_OK : no_memory();
}

/* A field by its name, bare or in `backquotes`. */
static limn_status read_field(Parser *parser, Operand *operand) {
    const char *bytes;
    size_t length;
    skip_blanks(parser);
    if (parser->at < parser->length && parser->text[parser->at] == '`') {
        TRY(read_quoted(parser, &bytes, &length));
    } else {
        bytes = parser->text + parser->at;
        length = word_length(parser);
        parser->at += length;
    }
    return length > 0 ? set_field(parser, operand, bytes, length) : bad(parser, "a field");
}

/* length(FIELD), whose "length" has been read. */
static limn_status read_length(Parser *parser, Operand *operand) {
    take(parser, "(");
    TRY(read_field(parser, operand));
    operand->is_length = true;
    return take(parser, ")") ? LIMN_OK : bad(parser, "a closing parenthesis");
}

/* A field may be called length: only the parenthesis makes it a function. */
static bool take_length(Parser *parser) {
    size_t here = parser->at;
    bool taken = take_word(parser, "length") && (skip_blanks(parser), parser->at < parser->length) &&
                 parser->text[parser->at] == '(';
    parser->at = taken ? parser->at : here;
    return taken;
}

static limn_status read_operand(Parser *parser, Operand *operand) {
    const char *bytes;
    size_t length;
    skip_blanks(parser);
    char c = parser->at < parser->length ? parser->text[parser->at] : '\0';
    if (c == '\'' || c == '"') {
        TRY(read_quoted(parser, &bytes, &length));
        operand->literal = (FieldValue){.kind = FIELD_TEXT, .bytes = bytes, .length = length};
        return LIMN_OK;
    }
    if (c == '`') {
        return read_field(parser, operand);
    }
    if (take_length(parser)) {
        return read_length(parser, operand);
    }
    size_t n = word_length(parser);
    bytes = parser->text + parser->at;
    if (n == 0) {
        return bad(parser, "a field, a 'text' or a number");
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        while (parser->at + n < parser->length && bytes[n] == '+' && (bytes[n - 1] | 32) == 'e') { /* 1e+3 */
            n++;
            while (parser->at + n < parser->length && is_name_byte(bytes[n])) {
                n++;
            }
        }
        FieldValue cell = {.kind = FIELD_CELL, .bytes = bytes, .length = n};
        if (!field_number(&operand->literal, &cell)) {
            return bad(parser, "a number (a field whose name begins with a digit stands in `backquotes`)");
        }
        parser->at += n;
        return LIMN_OK;
    }
    if (take_word(parser, "true") || take_word(parser, "false")) {
        operand->literal = (FieldValue){.kind = FIELD_BOOL, .truth = n == 4};
        return LIMN_OK;
    }
    if (take_word(parser, "null")) {
        operand->literal = (FieldValue){.kind = FIELD_NULL};
        return LIMN_OK;
    }
    return read_field(parser, operand);
}

static limn_status read_comparator(Parser *parser, Comparator *comparator) {
    static const struct {
        const char *sign;
        Comparator comparator;
    } signs[] = {{"==", CMP_EQUAL}, {"!=", CMP_UNEQUAL}, {"<=", CMP_AT_MOST}, {">=", CMP_AT_LEAST}, {"!~", CMP_UNLIKE},
                 {"=~", CMP_LIKE},  {"~", CMP_LIKE},     {"<", CMP_LESS},     {">", CMP_GREATER},   {"=", CMP_EQUAL}};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (take(parser, signs[i].sign)) {
            *comparator = signs[i].comparator;
            return LIMN_OK;
        }
    }
    return bad(parser, "one of == != < > <= >= ~ !~");
}

static limn_status compile(Parser *parser, Node *node) {
    const FieldValue *pattern = &node->right.literal;
    if (node->right.is_field || pattern->kind != FIELD_TEXT) {
        return fail(LIMN_USAGE, "option 'where': the pattern of ~ stands in quotes, as in text ~ 'bank run'");
    }
    int code;
    size_t place;
    node->pattern =
        pcre2_compile((PCRE2_SPTR)pattern->bytes, pattern->length, PCRE2_UTF | PCRE2_UCP, &code, &place, NULL);
    if (node->pattern == NULL) {
        PCRE2_UCHAR message[160] = "";
        pcre2_get_error_message(code, message, sizeof message);
        return fail(code == PCRE2_ERROR_NOMEMORY ? LIMN_NO_MEMORY : LIMN_USAGE,
                    "option 'where': the pattern '%.80s' is broken at character %zu: %s", pattern->bytes, place + 1,
                    (const char *)message);
    }
    (void)parser;
    return LIMN_OK;
}

static limn_status new_node(Parser *parser, NodeKind kind, Node **node) {
    *node = ARENA_NEW(parser->arena, Node);
    if (*node == NULL) {
        return no_memory();
    }
    (*node)->kind = kind;
    (*node)->next_made = parser->where->made;
    parser->where->made = *node;
    return LIMN_OK;
}

static limn_status read_or(Parser *parser, Node **node);

static limn_status read_not(Parser *parser, Node **node) {
    if (++parser->depth > DEPTH_MAX) {
        return fail(LIMN_USAGE, "option 'where': nested more than %d deep", DEPTH_MAX);
    }
    size_t here = parser->at;
    if (take_word(parser, "not") && (skip_blanks(parser), parser->at < parser->length) &&
        strchr("=!<>~", parser->text[parser->at]) == NULL) {
        TRY(new_node(parser, NODE_NOT, node));
        TRY(read_not(parser, &(*node)->first));
    } else if (parser->at = here, take(parser, "(")) {
        TRY(read_or(parser, node));
        if (!take(parser, ")")) {
            return bad(parser, "and, or, or a closing parenthesis");
        }
    } else {
        TRY(new_node(parser, NODE_COMPARE, node));
        TRY(read_operand(parser, &(*node)->left));
        TRY(read_comparator(parser, &(*node)->comparator));
        TRY(read_operand(parser, &(*node)->right));
        if ((*node)->comparator == CMP_LIKE || (*node)->comparator == CMP_UNLIKE) {
            TRY(compile(parser, *node));
        }
    }
    parser->depth--;
    return LIMN_OK;
}

/* Operands joined by one word, to the left. */
static limn_status read_joined(Parser *parser, Node **node, bool either) {
    TRY(either ? read_joined(parser, node, false) : read_not(parser, node));
    while (take_word(parser, either ? "or" : "and") || take(parser, either ? "||" : "&&")) {
        Node *joined;
        TRY(new_node(parser, either ? NODE_OR : NODE_AND, &joined));
        joined->first = *node;
        TRY(either ? read_joined(parser, &joined->second, false) : read_not(parser, &joined->second));
        *node = joined;
    }
    return LIMN_OK;
}

static limn_status read_or(Parser *parser, Node **node) {
    return read_joined(parser, node, true);
}

static limn_status prepare_match(Where *where) {
    where->match = pcre2_match_data_create(1, NULL);
    where->limits = pcre2_match_context_create(NULL);
    if (where->match == NULL || where->limits == NULL) {
        return no_memory();
    }
    pcre2_set_match_limit(where->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(where->limits, MATCH_LIMIT);
    return LIMN_OK;
}

limn_status where_parse(Where **where, const char *text, size_t length, Arena *arena) {
    *where = ARENA_NEW(arena, Where);
    if (*where == NULL) {
        return no_memory();
    }
    Parser parser = {.text = text, .length = length, .arena = arena, .where = *where};
    limn_status status = read_or(&parser, &(*where)->root);
    if (status == LIMN_OK) {
        skip_blanks(&parser);
        status = parser.at < length ? bad(&parser, "and, or, or the end") : prepare_match(*where);
    }
    if (status != LIMN_OK) {
        where_free(*where);
        *where = NULL;
    }
    return status;
}

void where_free(Where *where) {
    if (where == NULL) {
        return;
    }
    for (Node *node = where->made; node != NULL; node = node->next_made) {
        pcre2_code_free(node->pattern);
    }
    pcre2_match_data_free(where->match);
    pcre2_match_context_free(where->limits);
    text_buffer_free(&where->scratch);
}

/* ---- testing a record ---- */

static bool is_nothing(const FieldValue *value) {
    return value->kind == FIELD_NULL || value->kind == FIELD_ABSENT;
}

/* Characters of what a field reads as, elements of a list or an object; of nothing there is no length. */
static limn_status take_length_of(Where *where, FieldValue *value) {
    FieldValue length = {.kind = FIELD_INTEGER};
    if (is_nothing(value)) {
        return LIMN_OK;
    }
    if (value->kind == FIELD_JSON) {
        length.integer =
            (int64_t)(json_is_array(value->json) ? json_array_size(value->json) : json_object_size(value->json));
    } else {
        text_buffer_clear(&where->scratch);
        TRY(field_text(&where->scratch, value));
        for (size_t i = 0; i < where->scratch.length; i++) { /* of each character the first byte */
            length.integer += ((unsigned char)where->scratch.data[i] & 0xC0) != 0x80;
        }
    }
    *value = length;
    return LIMN_OK;
}

static limn_status operand_value(FieldValue *value, Where *where, const Operand *operand, const Record *record) {
    *value = operand->literal;
    if (!operand->is_field) {
        return LIMN_OK;
    }
    *value = record_field(record, operand->name, operand->length);
    *operand->seen = *operand->seen || value->kind != FIELD_ABSENT;
    return operand->is_length ? take_length_of(where, value) : LIMN_OK;
}

static bool is_text(const FieldValue *value) {
    return value->kind == FIELD_TEXT || value->kind == FIELD_CELL;
}

static int order_texts(const FieldValue *a, const FieldValue *b) {
    size_t n = a->length < b->length ? a->length : b->length;
    int order = n > 0 ? memcmp(a->bytes, b->bytes, n) : 0;
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* A cell beside true or false. */
static FieldValue as_bool(const FieldValue *value) {
    if (value->kind == FIELD_CELL && value->length == 4 && memcmp(value->bytes, "true", 4) == 0) {
        return (FieldValue){.kind = FIELD_BOOL, .truth = true};
    }
    if (value->kind == FIELD_CELL && value->length == 5 && memcmp(value->bytes, "false", 5) == 0) {
        return (FieldValue){.kind = FIELD_BOOL, .truth = false};
    }
    return *value;
}

/* False: of kinds that have no order. */
static bool order_of(const FieldValue *a, const FieldValue *b, int *order) {
    FieldValue x, y;
    *order = 0;
    if (is_nothing(a) || is_nothing(b)) {
        return is_nothing(a) && is_nothing(b);
    }
    bool typed = a->kind == FIELD_TEXT || b->kind == FIELD_TEXT;
    if (!typed && field_number(&x, a) && field_number(&y, b)) {
        *order = field_number_order(&x, &y);
        return true;
    }
    if (is_text(a) && is_text(b)) {
        *order = order_texts(a, b);
        return true;
    }
    x = as_bool(a);
    y = as_bool(b);
    if (x.kind == FIELD_BOOL && y.kind == FIELD_BOOL) {
        *order = (int)x.truth - (int)y.truth;
        return true;
    }
    if (a->kind == FIELD_JSON && b->kind == FIELD_JSON) {
        *order = json_equal(a->json, b->json) ? 0 : 1;
        return *order == 0;
    }
    return false;
}

static limn_status test_pattern(Where *where, const Node *node, const Record *record, bool *holds) {
    FieldValue value;
    TRY(operand_value(&value, where, &node->left, record));
    bool wanted = node->comparator == CMP_LIKE;
    *holds = !wanted;
    if (is_nothing(&value)) {
        return LIMN_OK;
    }
    text_buffer_clear(&where->scratch);
    TRY(field_text(&where->scratch, &value));
    const char *subject = where->scratch.length > 0 ? where->scratch.data : "";
    int found =
        pcre2_match(node->pattern, (PCRE2_SPTR)subject, where->scratch.length, 0, 0, where->match, where->limits);
    if (found == PCRE2_ERROR_NOMEMORY) {
        return no_memory();
    }
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
        return fail(LIMN_RANGE, "option 'where': the pattern '%.80s' takes too long on line %lld (more than %d steps)",
                    node->right.literal.bytes, (long long)record->line, (int)MATCH_LIMIT);
    }
    *holds = (found >= 0) == wanted;
    return LIMN_OK;
}

static limn_status test(Where *where, const Node *node, const Record *record, bool *holds) {
    switch (node->kind) {
    case NODE_NOT:
        TRY(test(where, node->first, record, holds));
        *holds = !*holds;
        return LIMN_OK;
    case NODE_AND:
    case NODE_OR:
        TRY(test(where, node->first, record, holds));
        return *holds == (node->kind == NODE_AND) ? test(where, node->second, record, holds) : LIMN_OK;
    case NODE_COMPARE:
        break;
    }
    if (node->pattern != NULL) {
        return test_pattern(where, node, record, holds);
    }
    FieldValue left, right;
    TRY(operand_value(&left, where, &node->left, record));
    TRY(operand_value(&right, where, &node->right, record));
    int order;
    bool ordered = order_of(&left, &right, &order);
    bool less_or_more = ordered && !is_nothing(&left);
    switch (node->comparator) {
    case CMP_EQUAL:
        *holds = ordered && order == 0;
        break;
    case CMP_UNEQUAL:
        *holds = !ordered || order != 0;
        break;
    case CMP_LESS:
        *holds = less_or_more && order < 0;
        break;
    case CMP_GREATER:
        *holds = less_or_more && order > 0;
        break;
    case CMP_AT_MOST:
        *holds = less_or_more && order <= 0;
        break;
    default:
        *holds = less_or_more && order >= 0;
        break;
    }
    return LIMN_OK;
}

limn_status where_test(Where *where, const Record *record, bool *holds) {
    return test(where, where->root, record, holds);
}

static limn_status check_name(const Operand *operand, const char *path, const RecordCell *names, size_t n) {
    for (size_t i = 0; i < n && operand->is_field; i++) {
        if (names[i].length == operand->length && memcmp(names[i].bytes, operand->name, operand->length) == 0) {
            return LIMN_OK;
        }
    }
    return !operand->is_field
               ? LIMN_OK
               : fail(LIMN_NOT_FOUND, "option 'where': %s has no field '%.80s' (a text stands in quotes)", path,
                      operand->name);
}

limn_status where_check_names(const Where *where, const char *path, const RecordCell *names, size_t n) {
    for (const Node *node = where->made; node != NULL && n > 0; node = node->next_made) {
        if (node->kind == NODE_COMPARE) {
            TRY(check_name(&node->left, path, names, n));
            TRY(check_name(&node->right, path, names, n));
        }
    }
    return LIMN_OK;
}

const char *where_unseen_name(const Where *where) {
    for (const Node *node = where->made; node != NULL; node = node->next_made) {
        const Operand *operands[] = {&node->left, &node->right};
        for (int i = 0; i < 2 && node->kind == NODE_COMPARE; i++) {
            if (operands[i]->is_field && !*operands[i]->seen) {
                return operands[i]->name;
            }
        }
    }
    return NULL;
}
