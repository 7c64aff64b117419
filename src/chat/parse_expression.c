/* Expressions: each function reads one level of precedence. */
#include <string.h>

#include "chat/builtin.h"
#include "chat/syntax.h"

static limn_status parse_unary(Node **node, Parser *parser, bool with_filter);
static limn_status parse_condition(Node **node, Parser *parser);
static limn_status parse_or(Node **node, Parser *parser);

static bool at_operator(const Parser *parser, const char *text) {
    return token_is(parser_token(parser), TOKEN_OPERATOR, text);
}

static bool skip_operator(Parser *parser, const char *text) {
    return parser_skip(parser, TOKEN_OPERATOR, text);
}

limn_status parse_expression(Node **node, Parser *parser, bool with_condition) {
    TRY(parser_enter(parser));
    TRY(with_condition ? parse_condition(node, parser) : parse_or(node, parser));
    parser->depth--;
    return LIMN_OK;
}

static limn_status parse_condition(Node **node, Parser *parser) {
    TRY(parse_or(node, parser));
    while (token_is(parser_token(parser), TOKEN_NAME, "if")) {
        Node *made;
        TRY(parser_node(&made, parser, NODE_CONDITION, parser_token(parser)->at));
        parser->at++;
        made->b = *node;
        TRY(parse_or(&made->a, parser));
        if (parser_skip(parser, TOKEN_NAME, "else")) {
            TRY(parse_expression(&made->c, parser, true));
        }
        *node = made;
    }
    return LIMN_OK;
}

/* left op right op right ...: `next` reads one operand. */
static limn_status join_two(Node **node, Parser *parser, NodeKind kind, Operator op,
                            limn_status (*next)(Node **node, Parser *parser)) {
    Node *made;
    TRY(parser_node(&made, parser, kind, parser_token(parser)->at));
    parser->at++;
    made->op = op;
    made->a = *node;
    *node = made;
    return next(&made->b, parser);
}

static limn_status parse_comparison(Node **node, Parser *parser);

static limn_status parse_not(Node **node, Parser *parser) {
    if (!token_is(parser_token(parser), TOKEN_NAME, "not")) {
        return parse_comparison(node, parser);
    }
    TRY(parser_enter(parser));
    TRY(parser_node(node, parser, NODE_NOT, parser_token(parser)->at));
    parser->at++;
    TRY(parse_not(&(*node)->a, parser));
    parser->depth--;
    return LIMN_OK;
}

static limn_status parse_and(Node **node, Parser *parser) {
    TRY(parse_not(node, parser));
    while (token_is(parser_token(parser), TOKEN_NAME, "and")) {
        TRY(join_two(node, parser, NODE_AND, OP_ADD, parse_not));
    }
    return LIMN_OK;
}

static limn_status parse_or(Node **node, Parser *parser) {
    TRY(parse_and(node, parser));
    while (token_is(parser_token(parser), TOKEN_NAME, "or")) {
        TRY(join_two(node, parser, NODE_OR, OP_ADD, parse_and));
    }
    return LIMN_OK;
}

typedef struct OperatorRow {
    const char *text;
    Operator op;
} OperatorRow;

static const OperatorRow *operator_at(const Parser *parser, const OperatorRow *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (at_operator(parser, rows[i].text)) {
            return &rows[i];
        }
    }
    return NULL;
}

#define OPERATOR_AT(parser, rows) operator_at(parser, rows, sizeof(rows) / sizeof *(rows))

static limn_status parse_pow(Node **node, Parser *parser);

static limn_status parse_product(Node **node, Parser *parser) {
    static const OperatorRow rows[] = {{"*", OP_MUL}, {"/", OP_DIV}, {"//", OP_FLOOR_DIV}, {"%", OP_MOD}};
    TRY(parse_pow(node, parser));
    const OperatorRow *row;
    while ((row = OPERATOR_AT(parser, rows)) != NULL) {
        TRY(join_two(node, parser, NODE_BINARY, row->op, parse_pow));
    }
    return LIMN_OK;
}

static limn_status parse_concat(Node **node, Parser *parser) {
    TRY(parse_product(node, parser));
    if (!at_operator(parser, "~")) {
        return LIMN_OK;
    }
    Node *made;
    TRY(parser_node(&made, parser, NODE_CONCAT, parser_token(parser)->at));
    TRY(parser_push(&made->items, parser, *node));
    while (skip_operator(parser, "~")) {
        Node *item;
        TRY(parse_product(&item, parser));
        TRY(parser_push(&made->items, parser, item));
    }
    *node = made;
    return LIMN_OK;
}

static limn_status parse_sum(Node **node, Parser *parser) {
    static const OperatorRow rows[] = {{"+", OP_ADD}, {"-", OP_SUB}};
    TRY(parse_concat(node, parser));
    const OperatorRow *row;
    while ((row = OPERATOR_AT(parser, rows)) != NULL) {
        TRY(join_two(node, parser, NODE_BINARY, row->op, parse_concat));
    }
    return LIMN_OK;
}

static bool comparison_at(Parser *parser, Operator *op) {
    static const OperatorRow rows[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<", OP_LT},
                                       {"<=", OP_LE}, {">", OP_GT},  {">=", OP_GE}};
    const OperatorRow *row = OPERATOR_AT(parser, rows);
    if (row != NULL) {
        parser->at++;
        *op = row->op;
        return true;
    }
    if (parser_skip(parser, TOKEN_NAME, "in")) {
        *op = OP_IN;
        return true;
    }
    if (token_is(parser_token(parser), TOKEN_NAME, "not") && token_is(parser_token(parser) + 1, TOKEN_NAME, "in")) {
        parser->at += 2;
        *op = OP_NOT_IN;
        return true;
    }
    return false;
}

static limn_status parse_comparison(Node **node, Parser *parser) {
    TRY(parse_sum(node, parser));
    Node *made = NULL;
    Operator op;
    uint32_t at = parser_token(parser)->at;
    while (comparison_at(parser, &op)) {
        Node *operand;
        if (made == NULL) {
            TRY(parser_node(&made, parser, NODE_COMPARE, at));
            made->a = *node;
        }
        TRY(parser_node(&operand, parser, NODE_OPERAND, at));
        operand->op = op;
        TRY(parse_sum(&operand->a, parser));
        TRY(parser_push(&made->items, parser, operand));
        at = parser_token(parser)->at;
    }
    *node = made != NULL ? made : *node;
    return LIMN_OK;
}

static limn_status parse_operand(Node **node, Parser *parser) {
    return parse_unary(node, parser, true);
}

static limn_status parse_pow(Node **node, Parser *parser) {
    TRY(parse_operand(node, parser));
    while (at_operator(parser, "**")) {
        TRY(join_two(node, parser, NODE_BINARY, OP_POW, parse_operand));
    }
    return LIMN_OK;
}

/* ---- what stands by itself ---- */

static limn_status constant(Node **node, Parser *parser, const SourceToken *token, TemplateValue value) {
    TRY(parser_node(node, parser, NODE_CONSTANT, token->at));
    (*node)->constant = value;
    return LIMN_OK;
}

static limn_status parse_name(Node **node, Parser *parser) {
    static const struct {
        const char *name;
        TemplateValue value;
    } constants[] = {{"true", {.kind = TEMPLATE_BOOL, .boolean = true}},
                     {"True", {.kind = TEMPLATE_BOOL, .boolean = true}},
                     {"false", {.kind = TEMPLATE_BOOL, .boolean = false}},
                     {"False", {.kind = TEMPLATE_BOOL, .boolean = false}},
                     {"none", {.kind = TEMPLATE_NONE}},
                     {"None", {.kind = TEMPLATE_NONE}}};
    const SourceToken *token = parser_token(parser);
    parser->at++;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (token_is(token, TOKEN_NAME, constants[i].name)) {
            return constant(node, parser, token, constants[i].value);
        }
    }
    TRY(parser_node(node, parser, NODE_NAME, token->at));
    return parser_name(*node, parser, token);
}

/* Texts side by side are one. */
static limn_status parse_strings(Node **node, Parser *parser) {
    const SourceToken *first = parser_token(parser);
    size_t length = 0;
    for (const SourceToken *token = first; token->kind == TOKEN_STRING; token++) {
        length += token->length;
    }
    char *joined = arena_alloc(&parser->parsed->arena, length + 1);
    if (joined == NULL) {
        return template_no_memory(parser->parsed);
    }
    size_t at = 0;
    for (; parser_token(parser)->kind == TOKEN_STRING; parser->at++) {
        memcpy(joined + at, parser_token(parser)->text, parser_token(parser)->length);
        at += parser_token(parser)->length;
    }
    joined[length] = '\0';
    Str *string = ARENA_NEW(&parser->parsed->arena, Str);
    if (string == NULL) {
        return template_no_memory(parser->parsed);
    }
    *string = (Str){.bytes = joined, .length = length};
    return constant(node, parser, first, value_of_str(string));
}

static limn_status parse_list(Node **node, Parser *parser) {
    TRY(parser_node(node, parser, NODE_LIST, parser_token(parser)->at));
    parser->at++;
    while (!at_operator(parser, "]")) {
        if ((*node)->items.n > 0) {
            TRY(parser_expect(parser, TOKEN_OPERATOR, ","));
            if (at_operator(parser, "]")) {
                break;
            }
        }
        Node *item;
        TRY(parse_expression(&item, parser, true));
        TRY(parser_push(&(*node)->items, parser, item));
    }
    return parser_expect(parser, TOKEN_OPERATOR, "]");
}

static limn_status parse_dict(Node **node, Parser *parser) {
    TRY(parser_node(node, parser, NODE_DICT, parser_token(parser)->at));
    parser->at++;
    while (!at_operator(parser, "}")) {
        if ((*node)->items.n > 0) {
            TRY(parser_expect(parser, TOKEN_OPERATOR, ","));
            if (at_operator(parser, "}")) {
                break;
            }
        }
        Node *key, *value;
        TRY(parse_expression(&key, parser, true));
        TRY(parser_expect(parser, TOKEN_OPERATOR, ":"));
        TRY(parse_expression(&value, parser, true));
        TRY(parser_push(&(*node)->items, parser, key));
        TRY(parser_push(&(*node)->items, parser, value));
    }
    return parser_expect(parser, TOKEN_OPERATOR, "}");
}

static limn_status parse_primary(Node **node, Parser *parser) {
    const SourceToken *token = parser_token(parser);
    switch (token->kind) {
    case TOKEN_NAME:
        return parse_name(node, parser);
    case TOKEN_STRING:
        return parse_strings(node, parser);
    case TOKEN_NUMBER:
        parser->at++;
        return constant(node, parser, token, token->number);
    default:
        break;
    }
    if (skip_operator(parser, "(")) {
        TRY(parse_tuple(node, parser, true, NULL, true));
        return parser_expect(parser, TOKEN_OPERATOR, ")");
    }
    if (at_operator(parser, "[")) {
        return parse_list(node, parser);
    }
    return at_operator(parser, "{") ? parse_dict(node, parser) : parser_unexpected(parser, "an expression");
}

static bool tuple_ends(const Parser *parser, const char *end) {
    const SourceToken *token = parser_token(parser);
    return token->kind == TOKEN_VARIABLE_END || token->kind == TOKEN_BLOCK_END || at_operator(parser, ")") ||
           (end != NULL && token_is(token, TOKEN_NAME, end));
}

static limn_status parse_items(Node **node, Parser *parser, const char *end, bool parenthesised, bool target,
                               bool with_condition) {
    uint32_t at = parser_token(parser)->at;
    Node *tuple = NULL, *item = NULL;
    for (;;) {
        if (tuple_ends(parser, end)) {
            break;
        }
        TRY(target ? parse_primary(&item, parser) : parse_expression(&item, parser, with_condition));
        bool more = at_operator(parser, ",");
        if (more && tuple == NULL) {
            TRY(parser_node(&tuple, parser, NODE_TUPLE, at));
        }
        if (tuple != NULL) {
            TRY(parser_push(&tuple->items, parser, item));
        }
        if (!more) {
            break;
        }
        parser->at++;
    }
    if (item == NULL && !parenthesised) {
        return parser_unexpected(parser, "an expression");
    }
    if (item == NULL) {
        TRY(parser_node(&tuple, parser, NODE_TUPLE, at));
    }
    *node = tuple != NULL ? tuple : item;
    return LIMN_OK;
}

limn_status parse_tuple(Node **node, Parser *parser, bool with_condition, const char *end, bool parenthesised) {
    TRY(parser_enter(parser));
    TRY(parse_items(node, parser, end, parenthesised, false, with_condition));
    parser->depth--;
    return LIMN_OK;
}

static limn_status check_target(const Parser *parser, const Node *node) {
    if (node->kind == NODE_NAME || node->kind == NODE_NAMESPACE_REF) {
        return LIMN_OK;
    }
    if (node->kind != NODE_TUPLE && node->kind != NODE_LIST) {
        return source_fail(parser->parsed, LIMN_FORMAT, node->at, "cannot assign to this; expected a name");
    }
    for (size_t i = 0; i < node->items.n; i++) {
        TRY(check_target(parser, node->items.items[i]));
    }
    return LIMN_OK;
}

limn_status parse_target(Node **node, Parser *parser, const char *end, bool with_namespace) {
    const SourceToken *token = parser_token(parser);
    if (with_namespace && token->kind == TOKEN_NAME && token_is(token + 1, TOKEN_OPERATOR, ".")) {
        TRY(parser_node(node, parser, NODE_NAMESPACE_REF, token->at));
        TRY(parser_name(*node, parser, token));
        parser->at += 2;
        const SourceToken *attribute = parser_token(parser);
        TRY(parser_expect(parser, TOKEN_NAME, NULL));
        return parser_str(&(*node)->attribute, parser, attribute->text, attribute->length);
    }
    TRY(parse_items(node, parser, end, false, true, false));
    return check_target(parser, *node);
}

/* ---- what follows: .name, [item], (call), | filter, is test ---- */

static limn_status parse_subscribed(Node **node, Parser *parser) {
    uint32_t at = parser_token(parser)->at;
    Node *begin = NULL;
    if (!at_operator(parser, ":")) {
        TRY(parse_expression(&begin, parser, true));
        if (!at_operator(parser, ":")) {
            *node = begin;
            return LIMN_OK;
        }
    }
    TRY(parser_node(node, parser, NODE_SLICE, at));
    (*node)->a = begin;
    parser->at++;
    if (!at_operator(parser, ":") && !at_operator(parser, "]") && !at_operator(parser, ",")) {
        TRY(parse_expression(&(*node)->b, parser, true));
    }
    if (skip_operator(parser, ":") && !at_operator(parser, "]") && !at_operator(parser, ",")) {
        TRY(parse_expression(&(*node)->c, parser, true));
    }
    return LIMN_OK;
}

static limn_status parse_dot(Node **node, Parser *parser) {
    Node *made;
    TRY(parser_node(&made, parser, NODE_ATTRIBUTE, parser_token(parser)->at));
    parser->at++;
    const SourceToken *token = parser_token(parser);
    made->a = *node;
    *node = made;
    if (token->kind == TOKEN_NUMBER && token->number.kind == TEMPLATE_INTEGER) {
        made->kind = NODE_ITEM;
        parser->at++;
        return constant(&made->b, parser, token, token->number);
    }
    TRY(parser_expect(parser, TOKEN_NAME, NULL));
    return parser_str(&made->name, parser, token->text, token->length);
}

static limn_status parse_item(Node **node, Parser *parser) {
    Node *made;
    TRY(parser_node(&made, parser, NODE_ITEM, parser_token(parser)->at));
    parser->at++;
    made->a = *node;
    *node = made;
    TRY(parse_subscribed(&made->b, parser));
    if (at_operator(parser, ",")) {
        return source_fail(parser->parsed, LIMN_UNSUPPORTED, parser_token(parser)->at,
                           "several subscripts are not implemented");
    }
    return parser_expect(parser, TOKEN_OPERATOR, "]");
}

static limn_status parse_argument(Arguments *arguments, Parser *parser) {
    const SourceToken *token = parser_token(parser);
    if (skip_operator(parser, "**")) {
        if (arguments->stars != NULL) {
            return source_fail(parser->parsed, LIMN_FORMAT, token->at, "** is given twice");
        }
        return parse_expression(&arguments->stars, parser, true);
    }
    if (skip_operator(parser, "*")) {
        if (arguments->star != NULL || arguments->stars != NULL) {
            return source_fail(parser->parsed, LIMN_FORMAT, token->at, "* is given twice or after **");
        }
        return parse_expression(&arguments->star, parser, true);
    }
    Node *value;
    if (token->kind == TOKEN_NAME && token_is(token + 1, TOKEN_OPERATOR, "=")) {
        parser->at += 2;
        const Str **names = ARENA_ARRAY(&parser->parsed->arena, const Str *, arguments->named.n + 1);
        if (names == NULL) {
            return template_no_memory(parser->parsed);
        }
        if (arguments->named.n > 0) {
            memcpy(names, arguments->names, arguments->named.n * sizeof(const Str *));
        }
        arguments->names = names;
        TRY(parser_str(&names[arguments->named.n], parser, token->text, token->length));
        TRY(parse_expression(&value, parser, true));
        return parser_push(&arguments->named, parser, value);
    }
    if (arguments->named.n > 0 || arguments->star != NULL || arguments->stars != NULL) {
        return source_fail(parser->parsed, LIMN_FORMAT, token->at, "a positional argument after a named one");
    }
    TRY(parse_expression(&value, parser, true));
    return parser_push(&arguments->positional, parser, value);
}

static limn_status parse_arguments(const Arguments **arguments, Parser *parser) {
    Arguments *made = ARENA_NEW(&parser->parsed->arena, Arguments);
    if (made == NULL) {
        return template_no_memory(parser->parsed);
    }
    *arguments = made;
    TRY(parser_expect(parser, TOKEN_OPERATOR, "("));
    for (bool first = true; !at_operator(parser, ")"); first = false) {
        if (!first) {
            TRY(parser_expect(parser, TOKEN_OPERATOR, ","));
            if (at_operator(parser, ")")) {
                break;
            }
        }
        TRY(parse_argument(made, parser));
    }
    return parser_expect(parser, TOKEN_OPERATOR, ")");
}

static limn_status parse_call(Node **node, Parser *parser) {
    Node *made;
    TRY(parser_node(&made, parser, NODE_CALL, parser_token(parser)->at));
    made->a = *node;
    *node = made;
    return parse_arguments(&made->arguments, parser);
}

static limn_status parse_postfix(Node **node, Parser *parser) {
    for (;;) {
        if (at_operator(parser, ".")) {
            TRY(parse_dot(node, parser));
        } else if (at_operator(parser, "[")) {
            TRY(parse_item(node, parser));
        } else if (at_operator(parser, "(")) {
            TRY(parse_call(node, parser));
        } else {
            return LIMN_OK;
        }
    }
}

/* The name of a filter or a test, and which row it is. */
static limn_status parse_builtin(Node *node, Parser *parser, bool test) {
    const SourceToken *token = parser_token(parser);
    TRY(parser_expect(parser, TOKEN_NAME, NULL));
    TRY(parser_str(&node->name, parser, token->text, token->length));
    node->at = token->at;
    return builtin_find(&node->builtin, parser->parsed, token->at, node->name, test);
}

limn_status parse_filters(Node **node, Parser *parser, Node *first, bool at_name) {
    *node = first;
    while (at_name || skip_operator(parser, "|")) {
        at_name = false;
        Node *made;
        TRY(parser_node(&made, parser, NODE_FILTER, parser_token(parser)->at));
        made->a = *node;
        *node = made;
        TRY(parse_builtin(made, parser, false));
        if (at_operator(parser, "(")) {
            TRY(parse_arguments(&made->arguments, parser));
        }
    }
    return LIMN_OK;
}

static bool begins_argument(const Parser *parser) {
    const SourceToken *token = parser_token(parser);
    if (token->kind == TOKEN_NAME) {
        return !token_is(token, TOKEN_NAME, "else") && !token_is(token, TOKEN_NAME, "or") &&
               !token_is(token, TOKEN_NAME, "and");
    }
    return token->kind == TOKEN_STRING || token->kind == TOKEN_NUMBER || at_operator(parser, "[") ||
           at_operator(parser, "{");
}

static limn_status parse_test(Node **node, Parser *parser) {
    Node *made;
    parser->at++;
    bool negated = parser_skip(parser, TOKEN_NAME, "not");
    TRY(parser_node(&made, parser, NODE_TEST, parser_token(parser)->at));
    made->a = *node;
    *node = made;
    TRY(parse_builtin(made, parser, true));
    if (at_operator(parser, "(")) {
        TRY(parse_arguments(&made->arguments, parser));
    } else if (begins_argument(parser)) {
        if (token_is(parser_token(parser), TOKEN_NAME, "is")) {
            return source_fail(parser->parsed, LIMN_FORMAT, parser_token(parser)->at, "tests cannot be chained");
        }
        Arguments *arguments = ARENA_NEW(&parser->parsed->arena, Arguments);
        Node *argument;
        if (arguments == NULL) {
            return template_no_memory(parser->parsed);
        }
        TRY(parse_primary(&argument, parser));
        TRY(parse_postfix(&argument, parser));
        TRY(parser_push(&arguments->positional, parser, argument));
        made->arguments = arguments;
    }
    if (negated) {
        TRY(parser_node(node, parser, NODE_NOT, made->at));
        (*node)->a = made;
    }
    return LIMN_OK;
}

static limn_status parse_unary(Node **node, Parser *parser, bool with_filter) {
    bool minus = at_operator(parser, "-");
    if (minus || at_operator(parser, "+")) {
        TRY(parser_enter(parser));
        TRY(parser_node(node, parser, minus ? NODE_NEGATIVE : NODE_POSITIVE, parser_token(parser)->at));
        parser->at++;
        TRY(parse_unary(&(*node)->a, parser, false));
        parser->depth--;
    } else {
        TRY(parse_primary(node, parser));
    }
    TRY(parse_postfix(node, parser));
    while (with_filter) {
        if (at_operator(parser, "|")) {
            TRY(parse_filters(node, parser, *node, false));
        } else if (token_is(parser_token(parser), TOKEN_NAME, "is")) {
            TRY(parse_test(node, parser));
        } else if (at_operator(parser, "(")) {
            TRY(parse_call(node, parser));
        } else {
            break;
        }
    }
    return LIMN_OK;
}
