/* Inside of data/expression.h: the tree. */
#ifndef LIMN_DATA_EXPRESSION_PARTS_H
#define LIMN_DATA_EXPRESSION_PARTS_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "data/expression.h"

typedef enum ExpressionNodeKind {
    NODE_LITERAL,
    NODE_NAME,
    NODE_LENGTH, /* of a name */
    NODE_SPLIT,  /* of a name, by a seed */
    NODE_SUM,    /* by its operation */
    NODE_FUNCTION,
    NODE_COMPARE,
    NODE_AND,
    NODE_OR,
    NODE_NOT
} ExpressionNodeKind;

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

typedef enum ExpressionFunction {
    FUNCTION_ABS,
    FUNCTION_SQRT,
    FUNCTION_EXP,
    FUNCTION_LOG,
    FUNCTION_MIN,
    FUNCTION_MAX,
    FUNCTION_COUNT
} ExpressionFunction;

typedef struct ExpressionNode ExpressionNode;

struct ExpressionNode {
    ExpressionNodeKind kind;
    Comparator comparator;
    ExpressionFunction function;
    char operation;   /* of SUM: + - * /, '~' a change of sign */
    const char *name; /* [length] of NAME, LENGTH and SPLIT, NUL-terminated */
    size_t length;
    uint64_t seed;      /* of SPLIT */
    bool seen;          /* some test found it */
    FieldValue literal; /* of LITERAL */
    pcre2_code *pattern;
    ExpressionNode *first, *second; /* of FUNCTION: the argument and, as another FUNCTION of its kind, the others */
    ExpressionNode *next_made;      /* all nodes in a list, in the order they were written */
};

struct Expression {
    const char *option;
    ExpressionKind kind;
    ExpressionNode *root;
    ExpressionNode *made, *last_made;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    TextBuffer scratch;
};

enum { EXPRESSION_MATCH_LIMIT = 1000000 };

#endif
