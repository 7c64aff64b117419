/* Reading an expression. */
#include "data/expression_parts.h"

#include <string.h>

enum { DEPTH_MAX = 64 };

typedef struct Parser {
    const char *text; /* NUL-terminated */
    size_t length, at;
    Arena *arena;
    Expression *made;
    int depth;
} Parser;

static limn_status bad(const Parser *parser, const char *expected) {
    size_t left = parser->length - parser->at;
    return left == 0 ? fail(LIMN_USAGE, "option '%s': ends where %s was expected", parser->made->option, expected)
                     : fail(LIMN_USAGE, "option '%s': found '%.*s' at character %zu, expected %s", parser->made->option,
                            (int)(left < 40 ? left : 40), parser->text + parser->at, parser->at + 1, expected);
}

static limn_status no_memory(const Parser *parser) {
    return fail(LIMN_NO_MEMORY, "option '%s': out of memory", parser->made->option);
}

/* ---- words and signs ---- */

static void skip_blanks(Parser *parser) {
    while (parser->at < parser->length && strchr(" \t\r\n", parser->text[parser->at]) != NULL) {
        parser->at++;
    }
}

static char next_byte(Parser *parser) {
    skip_blanks(parser);
    return parser->at < parser->length ? parser->text[parser->at] : '\0';
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

/* A name may be called like a function: only the parenthesis makes it one, and is taken with it. */
static bool take_function(Parser *parser, const char *name) {
    size_t here = parser->at;
    bool taken = take_word(parser, name) && take(parser, "(");
    parser->at = taken ? parser->at : here;
    return taken;
}

/* 'text', "text" or `name`: a backslash takes the next byte as it is. */
static limn_status read_quoted(Parser *parser, const char **bytes, size_t *length) {
    char quote = parser->text[parser->at];
    char *copy = arena_alloc(parser->arena, parser->length - parser->at);
    if (copy == NULL) {
        return no_memory(parser);
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

/* ---- operands ---- */

static limn_status new_node(Parser *parser, ExpressionNodeKind kind, ExpressionNode **node) {
    *node = ARENA_NEW(parser->arena, ExpressionNode);
    if (*node == NULL) {
        return no_memory(parser);
    }
    (*node)->kind = kind;
    Expression *made = parser->made;
    *(made->last_made == NULL ? &made->made : &made->last_made->next_made) = *node;
    made->last_made = *node;
    return LIMN_OK;
}

/* A name, bare or in `backquotes`. */
static limn_status read_name(Parser *parser, ExpressionNodeKind kind, ExpressionNode **node) {
    const char *bytes;
    size_t length;
    if (next_byte(parser) == '`') {
        TRY(read_quoted(parser, &bytes, &length));
    } else {
        bytes = parser->text + parser->at;
        length = word_length(parser);
        parser->at += length;
    }
    if (length == 0) {
        return bad(parser, "a field");
    }
    TRY(new_node(parser, kind, node));
    (*node)->name = arena_strndup(parser->arena, bytes, length);
    (*node)->length = length;
    return (*node)->name != NULL ? LIMN_OK : no_memory(parser);
}

static limn_status read_literal(Parser *parser, FieldValue literal, ExpressionNode **node) {
    TRY(new_node(parser, NODE_LITERAL, node));
    (*node)->literal = literal;
    return LIMN_OK;
}

static limn_status read_number(Parser *parser, ExpressionNode **node) {
    const char *bytes = parser->text + parser->at;
    size_t n = word_length(parser);
    if (parser->at + n < parser->length && bytes[n] == '+' && (bytes[n - 1] | 32) == 'e') { /* 1e+3 */
        n++;
        while (parser->at + n < parser->length && is_name_byte(bytes[n])) {
            n++;
        }
    }
    FieldValue number, cell = {.kind = FIELD_CELL, .bytes = bytes, .length = n};
    if (!field_number(&number, &cell)) {
        return bad(parser, "a number (a field whose name begins with a digit stands in `backquotes`)");
    }
    parser->at += n;
    return read_literal(parser, number, node);
}

static limn_status read_or(Parser *parser, ExpressionNode **node);
static limn_status read_sum(Parser *parser, ExpressionNode **node);

/* The arguments of a function whose name and parenthesis have been read, and the other parenthesis. */
static limn_status read_arguments(Parser *parser, ExpressionFunction function, ExpressionNode **node) {
    TRY(new_node(parser, NODE_FUNCTION, node));
    (*node)->function = function;
    TRY(read_sum(parser, &(*node)->first));
    bool more = function == FUNCTION_MIN || function == FUNCTION_MAX;
    ExpressionNode *last = *node;
    while (more && take(parser, ",")) {
        TRY(new_node(parser, NODE_FUNCTION, &last->second));
        last = last->second;
        last->function = function;
        TRY(read_sum(parser, &last->first));
    }
    return take(parser, ")") ? LIMN_OK
                             : bad(parser, more ? "a comma or a closing parenthesis" : "a closing parenthesis");
}

/* The second part of split(NAME, SEED); without it the seed is 0. */
static limn_status read_seed(Parser *parser, ExpressionNode *node) {
    if (!take(parser, ",")) {
        return LIMN_OK;
    }
    next_byte(parser);
    FieldValue number, cell = {.kind = FIELD_CELL, .bytes = parser->text + parser->at, .length = word_length(parser)};
    if (!field_number(&number, &cell) || number.kind != FIELD_INTEGER || number.integer < 0) {
        return bad(parser, "a whole number, 0 or more");
    }
    node->seed = (uint64_t)number.integer;
    parser->at += cell.length;
    return LIMN_OK;
}

static limn_status read_operand(Parser *parser, ExpressionNode **node) {
    static const char *const functions[FUNCTION_COUNT] = {"abs", "sqrt", "exp", "log", "min", "max"};
    FieldValue literal = {.kind = FIELD_TEXT};
    char c = next_byte(parser);
    if (c == '\'' || c == '"') {
        TRY(read_quoted(parser, &literal.bytes, &literal.length));
        return read_literal(parser, literal, node);
    }
    if (c == '`') {
        return read_name(parser, NODE_NAME, node);
    }
    if (take_function(parser, "length")) {
        TRY(read_name(parser, NODE_LENGTH, node));
        return take(parser, ")") ? LIMN_OK : bad(parser, "a closing parenthesis");
    }
    if (take_function(parser, "split")) {
        TRY(read_name(parser, NODE_SPLIT, node));
        TRY(read_seed(parser, *node));
        return take(parser, ")") ? LIMN_OK : bad(parser, "a closing parenthesis");
    }
    for (int f = 0; f < FUNCTION_COUNT; f++) {
        if (take_function(parser, functions[f])) {
            return read_arguments(parser, (ExpressionFunction)f, node);
        }
    }
    if (word_length(parser) == 0) {
        return bad(parser, "a field, a 'text' or a number");
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        return read_number(parser, node);
    }
    bool truth = take_word(parser, "true");
    if (truth || take_word(parser, "false")) {
        return read_literal(parser, (FieldValue){.kind = FIELD_BOOL, .truth = truth}, node);
    }
    if (take_word(parser, "null")) {
        return read_literal(parser, (FieldValue){.kind = FIELD_NULL}, node);
    }
    return read_name(parser, NODE_NAME, node);
}

/* ---- sums ---- */

static limn_status deeper(Parser *parser) {
    return ++parser->depth <= DEPTH_MAX
               ? LIMN_OK
               : fail(LIMN_USAGE, "option '%s': nested more than %d deep", parser->made->option, DEPTH_MAX);
}

static bool is_condition(const ExpressionNode *node) {
    return node->kind == NODE_COMPARE || node->kind == NODE_AND || node->kind == NODE_OR || node->kind == NODE_NOT;
}

static limn_status new_sum(Parser *parser, char operation, ExpressionNode *first, ExpressionNode **node) {
    TRY(new_node(parser, NODE_SUM, node));
    (*node)->operation = operation;
    (*node)->first = first;
    return LIMN_OK;
}

/* A sign, a parenthesis, an operand. In a parenthesis a whole condition may stand: who reads on sees which it was. */
static limn_status read_factor(Parser *parser, ExpressionNode **node) {
    TRY(deeper(parser));
    char c = next_byte(parser);
    char behind = parser->at + 1 < parser->length ? parser->text[parser->at + 1] : '\0';
    if (c == '-' && !(behind >= '0' && behind <= '9')) { /* a number has its own */
        take(parser, "-");
        ExpressionNode *of;
        TRY(read_factor(parser, &of));
        TRY(is_condition(of) ? bad(parser, "a number behind the minus") : new_sum(parser, '~', of, node));
    } else if (take(parser, "(")) {
        TRY(read_or(parser, node));
        if (!take(parser, ")")) {
            return bad(parser, is_condition(*node) ? "and, or, or a closing parenthesis"
                                                   : "one of == != < > <= >= ~ !~ or a closing parenthesis");
        }
    } else {
        TRY(read_operand(parser, node));
    }
    parser->depth--;
    return LIMN_OK;
}

static limn_status read_chain(Parser *parser, const char *signs, ExpressionNode **node) {
    bool products = signs[0] == '+';
    TRY(products ? read_chain(parser, "*/", node) : read_factor(parser, node));
    for (char c; (c = next_byte(parser)) != '\0' && strchr(signs, c) != NULL && !is_condition(*node);) {
        ExpressionNode *sum;
        parser->at++;
        TRY(new_sum(parser, c, *node, &sum));
        TRY(products ? read_chain(parser, "*/", &sum->second) : read_factor(parser, &sum->second));
        if (is_condition(sum->second)) {
            return bad(parser, "a number on both sides of + - * /");
        }
        *node = sum;
    }
    return LIMN_OK;
}

/* A value, or the condition of a parenthesis. */
static limn_status read_side(Parser *parser, ExpressionNode **node) {
    return read_chain(parser, "+-", node);
}

static limn_status read_sum(Parser *parser, ExpressionNode **node) {
    TRY(read_side(parser, node));
    return is_condition(*node) ? bad(parser, "a number, not a condition, before this") : LIMN_OK;
}

/* ---- comparisons and conditions ---- */

static bool take_comparator(Parser *parser, Comparator *comparator) {
    static const struct {
        const char *sign;
        Comparator comparator;
    } signs[] = {{"==", CMP_EQUAL}, {"!=", CMP_UNEQUAL}, {"<=", CMP_AT_MOST}, {">=", CMP_AT_LEAST}, {"!~", CMP_UNLIKE},
                 {"=~", CMP_LIKE},  {"~", CMP_LIKE},     {"<", CMP_LESS},     {">", CMP_GREATER},   {"=", CMP_EQUAL}};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (take(parser, signs[i].sign)) {
            *comparator = signs[i].comparator;
            return true;
        }
    }
    return false;
}

static limn_status compile(const Parser *parser, ExpressionNode *node) {
    const FieldValue *pattern = &node->second->literal;
    const char *option = parser->made->option;
    if (node->second->kind != NODE_LITERAL || pattern->kind != FIELD_TEXT) {
        return fail(LIMN_USAGE, "option '%s': the pattern of ~ stands in quotes, as in text ~ 'bank run'", option);
    }
    int code;
    size_t place;
    node->pattern =
        pcre2_compile((PCRE2_SPTR)pattern->bytes, pattern->length, PCRE2_UTF | PCRE2_UCP, &code, &place, NULL);
    if (node->pattern == NULL) {
        PCRE2_UCHAR message[160] = "";
        pcre2_get_error_message(code, message, sizeof message);
        return fail(code == PCRE2_ERROR_NOMEMORY ? LIMN_NO_MEMORY : LIMN_USAGE,
                    "option '%s': the pattern '%.80s' is broken at character %zu: %s", option, pattern->bytes,
                    place + 1, (const char *)message);
    }
    return LIMN_OK;
}

/* A comparison; or a value alone, where a number is wanted. */
static limn_status read_comparison(Parser *parser, ExpressionNode **node) {
    Comparator comparator;
    TRY(read_side(parser, node));
    if (is_condition(*node) || !take_comparator(parser, &comparator)) {
        return LIMN_OK;
    }
    ExpressionNode *compared;
    TRY(new_node(parser, NODE_COMPARE, &compared));
    compared->comparator = comparator;
    compared->first = *node;
    TRY(read_sum(parser, &compared->second));
    *node = compared;
    return comparator == CMP_LIKE || comparator == CMP_UNLIKE ? compile(parser, compared) : LIMN_OK;
}

static limn_status want_condition(const Parser *parser, const ExpressionNode *node) {
    return is_condition(node) ? LIMN_OK : bad(parser, "one of == != < > <= >= ~ !~");
}

static limn_status read_not(Parser *parser, ExpressionNode **node) {
    size_t here = parser->at;
    if (take_word(parser, "not") && strchr("=!<>~+*/)", next_byte(parser)) == NULL) { /* at the end it is a name, too */
        TRY(deeper(parser));
        TRY(new_node(parser, NODE_NOT, node));
        TRY(read_not(parser, &(*node)->first));
        parser->depth--;
        return want_condition(parser, (*node)->first);
    }
    parser->at = here;
    return read_comparison(parser, node);
}

/* Conditions joined by one word, to the left. */
static limn_status read_joined(Parser *parser, ExpressionNode **node, bool either) {
    TRY(either ? read_joined(parser, node, false) : read_not(parser, node));
    for (;;) {
        size_t here = parser->at;
        if (!take_word(parser, either ? "or" : "and") && !take(parser, either ? "||" : "&&")) {
            return LIMN_OK;
        }
        if (!is_condition(*node)) {
            parser->at = here;
            skip_blanks(parser);
            return want_condition(parser, *node);
        }
        ExpressionNode *joined;
        TRY(new_node(parser, either ? NODE_OR : NODE_AND, &joined));
        joined->first = *node;
        TRY(either ? read_joined(parser, &joined->second, false) : read_not(parser, &joined->second));
        TRY(want_condition(parser, joined->second));
        *node = joined;
    }
}

static limn_status read_or(Parser *parser, ExpressionNode **node) {
    return read_joined(parser, node, true);
}

/* ---- the whole ---- */

static limn_status prepare_match(const Parser *parser) {
    Expression *made = parser->made;
    made->match = pcre2_match_data_create(1, NULL);
    made->limits = pcre2_match_context_create(NULL);
    if (made->match == NULL || made->limits == NULL) {
        return no_memory(parser);
    }
    pcre2_set_match_limit(made->limits, EXPRESSION_MATCH_LIMIT);
    return LIMN_OK;
}

static limn_status read_whole(Parser *parser) {
    Expression *made = parser->made;
    bool number = made->kind == EXPRESSION_NUMBER;
    TRY(number ? read_sum(parser, &made->root) : read_or(parser, &made->root));
    skip_blanks(parser);
    if (!number) {
        TRY(want_condition(parser, made->root));
    }
    return parser->at < parser->length ? bad(parser, number ? "+ - * / or the end" : "and, or, or the end")
                                       : prepare_match(parser);
}

limn_status expression_parse(Expression **expression, ExpressionKind kind, const char *option, const char *text,
                             size_t length, Arena *arena) {
    *expression = ARENA_NEW(arena, Expression);
    if (*expression == NULL) {
        return fail(LIMN_NO_MEMORY, "option '%s': out of memory", option);
    }
    (*expression)->option = option;
    (*expression)->kind = kind;
    Parser parser = {.text = text, .length = length, .arena = arena, .made = *expression};
    limn_status status = read_whole(&parser);
    if (status != LIMN_OK) {
        expression_free(*expression);
        *expression = NULL;
    }
    return status;
}

void expression_free(Expression *expression) {
    if (expression == NULL) {
        return;
    }
    for (ExpressionNode *node = expression->made; node != NULL; node = node->next_made) {
        pcre2_code_free(node->pattern);
    }
    pcre2_match_data_free(expression->match);
    pcre2_match_context_free(expression->limits);
    text_buffer_free(&expression->scratch);
}

const char *expression_name(const Expression *expression, size_t index, bool *seen) {
    for (const ExpressionNode *node = expression->made; node != NULL; node = node->next_made) {
        if (node->name != NULL && index-- == 0) {
            *(seen != NULL ? seen : &(bool){false}) = node->seen;
            return node->name;
        }
    }
    return NULL;
}
