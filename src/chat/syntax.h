/* A template as read: tokens, then a tree. */
#ifndef LIMN_CHAT_SYNTAX_H
#define LIMN_CHAT_SYNTAX_H

#include "base/arena.h"
#include "base/map.h"
#include "chat/value.h"

/* ---- tokens ---- */

typedef enum TokenKind {
    TOKEN_DATA,
    TOKEN_VARIABLE_BEGIN,
    TOKEN_VARIABLE_END,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_OPERATOR,
    TOKEN_END
} TokenKind;

typedef struct SourceToken {
    TokenKind kind;
    uint32_t at;      /* byte of the source */
    const char *text; /* DATA, NAME, OPERATOR: as it stands there (DATA trimmed); STRING: its value */
    size_t length;
    TemplateValue number; /* NUMBER */
} SourceToken;

typedef struct Tokens {
    SourceToken *items; /* [n], the last is TOKEN_END */
    size_t n, capacity;
} Tokens;

/* ---- the tree ---- */

typedef enum NodeKind {
    NODE_CONSTANT,
    NODE_NAME,
    NODE_LIST,
    NODE_TUPLE,
    NODE_DICT,      /* items: key, value, key, value ... */
    NODE_ATTRIBUTE, /* a.name */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a:b:c, any of them NULL */
    NODE_CALL,      /* a(arguments) */
    NODE_FILTER,    /* a | name(arguments); a NULL: of a block's text */
    NODE_TEST,      /* a is name(arguments) */
    NODE_CONDITION, /* b if a else c; c may be NULL */
    NODE_AND,
    NODE_OR,
    NODE_NOT,
    NODE_NEGATIVE,
    NODE_POSITIVE,
    NODE_BINARY,        /* a op b */
    NODE_CONCAT,        /* items joined by ~ */
    NODE_COMPARE,       /* a, then items, each a NODE_OPERAND */
    NODE_OPERAND,       /* op a */
    NODE_NAMESPACE_REF, /* target: name.a-name */
    NODE_DATA,
    NODE_OUTPUT,
    NODE_IF,         /* a: condition, body, other */
    NODE_FOR,        /* a: target, b: what, c: condition or NULL, body, other */
    NODE_SET,        /* a: target, b: value */
    NODE_SET_BLOCK,  /* a: target, b: filters or NULL, body */
    NODE_MACRO,      /* name, items: parameters, defaults of the last ones, body */
    NODE_CALL_BLOCK, /* a: the call, items: parameters, body */
    NODE_FILTER_BLOCK,
    NODE_WITH, /* items: target, value, target, value ... */
    NODE_GENERATION,
    NODE_BREAK,
    NODE_CONTINUE
} NodeKind;

typedef enum Operator {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR_DIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
} Operator;

typedef struct Node Node;

typedef struct Nodes {
    Node **items; /* [n] */
    size_t n;
} Nodes;

typedef struct Arguments {
    Nodes positional;
    Nodes named;        /* their values */
    const Str **names;  /* [named.n] */
    Node *star, *stars; /* *a and **a; NULL: none */
} Arguments;

typedef struct Builtin Builtin;

struct Node {
    NodeKind kind;
    uint32_t at;
    Operator op;
    bool recursive; /* FOR */
    uint32_t id;    /* of the name among the template's names */
    const Str *name;
    const Str *attribute; /* NAMESPACE_REF */
    TemplateValue constant;
    Node *a, *b, *c;
    Nodes items, defaults, body, other;
    const Arguments *arguments;
    const Builtin *builtin; /* FILTER, TEST */
};

struct ChatTemplate {
    Arena arena;
    char *name;   /* for messages */
    char *source; /* newlines as "\n", NUL-terminated */
    size_t length;
    Map ids; /* name -> id */
    Nodes body;
};

/* "NAME: line L, column C: ..." with the status; columns count characters from 1. */
limn_status source_fail(const ChatTemplate *parsed, limn_status status, uint32_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void source_place(const ChatTemplate *parsed, uint32_t at, int *line, int *column);
limn_status template_no_memory(const ChatTemplate *parsed);

limn_status tokens_read(Tokens *tokens, ChatTemplate *parsed);

/* ---- the parser (parse_statement.c, parse_expression.c) ---- */

typedef struct Parser {
    ChatTemplate *parsed;
    const SourceToken *tokens;
    size_t at;
    int32_t depth;
    int32_t loops; /* loops around this place, in the same function */
} Parser;

static inline const SourceToken *parser_token(const Parser *parser) {
    return &parser->tokens[parser->at];
}
bool token_is(const SourceToken *token, TokenKind kind, const char *text);
bool parser_skip(Parser *parser, TokenKind kind, const char *text);
limn_status parser_expect(Parser *parser, TokenKind kind, const char *text);
limn_status parser_unexpected(const Parser *parser, const char *expected);
limn_status parser_enter(Parser *parser); /* the caller leaves with parser->depth-- */
limn_status parser_node(Node **node, Parser *parser, NodeKind kind, uint32_t at);
limn_status parser_push(Nodes *nodes, const Parser *parser, Node *node);
limn_status parser_name(Node *node, Parser *parser, const SourceToken *token); /* sets name and id */
limn_status parser_str(const Str **string, const Parser *parser, const char *bytes, size_t length);

limn_status parse_expression(Node **node, Parser *parser, bool with_condition);
/* Up to `end` (a name) or the end of the tag. */
limn_status parse_tuple(Node **node, Parser *parser, bool with_condition, const char *end, bool parenthesised);
limn_status parse_target(Node **node, Parser *parser, const char *end, bool with_namespace);
limn_status parse_filters(Node **node, Parser *parser, Node *first, bool at_name);
limn_status parse_template(Parser *parser);

#endif
