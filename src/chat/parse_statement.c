/* Tags and the text between them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/syntax.h"

/* ---- what both parsers share ---- */

bool token_is(const SourceToken *token, TokenKind kind, const char *text) {
    return token->kind == kind &&
           (text == NULL || (strlen(text) == token->length && memcmp(text, token->text, token->length) == 0));
}

bool parser_skip(Parser *parser, TokenKind kind, const char *text) {
    if (!token_is(parser_token(parser), kind, text)) {
        return false;
    }
    parser->at++;
    return true;
}

static void describe_token(char *out, size_t size, const SourceToken *token) {
    switch (token->kind) {
    case TOKEN_END:
        snprintf(out, size, "the end of the template");
        break;
    case TOKEN_DATA:
        snprintf(out, size, "text");
        break;
    case TOKEN_NUMBER:
        snprintf(out, size, "a number");
        break;
    case TOKEN_VARIABLE_END:
        snprintf(out, size, "'}}'");
        break;
    case TOKEN_BLOCK_END:
        snprintf(out, size, "'%%}'");
        break;
    default:
        snprintf(out, size, "'%.*s'", token->length < 40 ? (int)token->length : 40, token->text);
    }
}

limn_status parser_unexpected(const Parser *parser, const char *expected) {
    char found[64];
    describe_token(found, sizeof found, parser_token(parser));
    return source_fail(parser->parsed, LIMN_FORMAT, parser_token(parser)->at, "found %s, expected %s", found, expected);
}

limn_status parser_expect(Parser *parser, TokenKind kind, const char *text) {
    if (parser_skip(parser, kind, text)) {
        return LIMN_OK;
    }
    char expected[32];
    snprintf(expected, sizeof expected, text != NULL ? "'%s'" : "%s",
             text != NULL                 ? text
             : kind == TOKEN_BLOCK_END    ? "'%}'"
             : kind == TOKEN_VARIABLE_END ? "'}}'"
                                          : "a name");
    return parser_unexpected(parser, expected);
}

limn_status parser_enter(Parser *parser) {
    if (parser->depth >= CHAT_DEPTH_MAX) {
        return source_fail(parser->parsed, LIMN_RANGE, parser_token(parser)->at, "nested deeper than %d (the limit)",
                           CHAT_DEPTH_MAX);
    }
    parser->depth++;
    return LIMN_OK;
}

limn_status parser_node(Node **node, Parser *parser, NodeKind kind, uint32_t at) {
    *node = ARENA_NEW(&parser->parsed->arena, Node);
    if (*node == NULL) {
        return template_no_memory(parser->parsed);
    }
    (*node)->kind = kind;
    (*node)->at = at;
    return LIMN_OK;
}

/* Lists double when their length is a power of two. */
limn_status parser_push(Nodes *nodes, const Parser *parser, Node *node) {
    if ((nodes->n & (nodes->n - 1)) == 0) {
        Node **grown = ARENA_ARRAY(&parser->parsed->arena, Node *, nodes->n == 0 ? 1 : 2 * nodes->n);
        if (grown == NULL) {
            return template_no_memory(parser->parsed);
        }
        if (nodes->n > 0) {
            memcpy(grown, nodes->items, nodes->n * sizeof(Node *));
        }
        nodes->items = grown;
    }
    nodes->items[nodes->n++] = node;
    return LIMN_OK;
}

limn_status parser_str(const Str **string, const Parser *parser, const char *bytes, size_t length) {
    Str *made = ARENA_NEW(&parser->parsed->arena, Str);
    if (made != NULL) {
        made->bytes = arena_strndup(&parser->parsed->arena, bytes, length);
        made->length = length;
    }
    *string = made;
    return made != NULL && made->bytes != NULL ? LIMN_OK : template_no_memory(parser->parsed);
}

limn_status parser_name(Node *node, Parser *parser, const SourceToken *token) {
    uint64_t id;
    TRY(parser_str(&node->name, parser, token->text, token->length));
    Map *ids = &parser->parsed->ids;
    if (!map_get(ids, node->name->bytes, node->name->length, &id)) {
        id = ids->count;
        TRY(map_put(ids, node->name->bytes, node->name->length, id));
    }
    node->id = (uint32_t)id;
    return LIMN_OK;
}

/* ---- tags ---- */

static limn_status parse_body(Nodes *body, Parser *parser, const char *const *ends);

/* The rest of the tag, then the body up to one of `ends` (NULL closes the list), whose name is the token now. */
static limn_status parse_block(Nodes *body, Parser *parser, const char *const *ends) {
    parser_skip(parser, TOKEN_OPERATOR, ":");
    TRY(parser_expect(parser, TOKEN_BLOCK_END, NULL));
    TRY(parser_enter(parser));
    TRY(parse_body(body, parser, ends));
    parser->depth--;
    return LIMN_OK;
}

/* The same to its one end, which is passed. In a function of its own: break and continue do not reach out of it. */
static limn_status parse_function_body(Nodes *body, Parser *parser, const char *end) {
    const char *const ends[] = {end, NULL};
    int32_t loops = parser->loops;
    parser->loops = 0;
    TRY(parse_block(body, parser, ends));
    parser->loops = loops;
    parser->at++;
    return LIMN_OK;
}

static limn_status parse_if(Node *node, Parser *parser) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    for (;;) {
        TRY(parse_tuple(&node->a, parser, false, NULL, false));
        TRY(parse_block(&node->body, parser, ends));
        const SourceToken *token = parser_token(parser);
        parser->at++;
        if (token_is(token, TOKEN_NAME, "endif")) {
            return LIMN_OK;
        }
        if (token_is(token, TOKEN_NAME, "else")) {
            TRY(parse_block(&node->other, parser, last));
            parser->at++;
            return LIMN_OK;
        }
        Node *next;
        TRY(parser_node(&next, parser, NODE_IF, token->at));
        TRY(parser_push(&node->other, parser, next));
        node = next;
    }
}

static limn_status parse_for(Node *node, Parser *parser) {
    static const char *const ends[] = {"endfor", "else", NULL};
    static const char *const last[] = {"endfor", NULL};
    TRY(parse_target(&node->a, parser, "in", false));
    if (node->a->kind == NODE_NAME && str_is(node->a->name, "loop", 4)) {
        return source_fail(parser->parsed, LIMN_FORMAT, node->a->at, "a loop cannot assign to 'loop'");
    }
    TRY(parser_expect(parser, TOKEN_NAME, "in"));
    TRY(parse_tuple(&node->b, parser, false, "recursive", false));
    if (parser_skip(parser, TOKEN_NAME, "if")) {
        TRY(parse_expression(&node->c, parser, true));
    }
    node->recursive = parser_skip(parser, TOKEN_NAME, "recursive");
    parser->loops++;
    TRY(parse_block(&node->body, parser, ends));
    parser->loops--;
    bool other = token_is(parser_token(parser), TOKEN_NAME, "else");
    parser->at++;
    if (other) {
        TRY(parse_block(&node->other, parser, last));
        parser->at++;
    }
    return LIMN_OK;
}

static limn_status parse_set(Node *node, Parser *parser) {
    static const char *const ends[] = {"endset", NULL};
    TRY(parse_target(&node->a, parser, NULL, true));
    if (parser_skip(parser, TOKEN_OPERATOR, "=")) {
        return parse_tuple(&node->b, parser, true, NULL, false);
    }
    node->kind = NODE_SET_BLOCK;
    TRY(parse_filters(&node->b, parser, NULL, false));
    TRY(parse_block(&node->body, parser, ends));
    parser->at++;
    return LIMN_OK;
}

static limn_status parse_parameters(Node *node, Parser *parser) {
    TRY(parser_expect(parser, TOKEN_OPERATOR, "("));
    while (!token_is(parser_token(parser), TOKEN_OPERATOR, ")")) {
        if (node->items.n > 0) {
            TRY(parser_expect(parser, TOKEN_OPERATOR, ","));
        }
        Node *name, *value;
        const SourceToken *token = parser_token(parser);
        TRY(parser_expect(parser, TOKEN_NAME, NULL));
        TRY(parser_node(&name, parser, NODE_NAME, token->at));
        TRY(parser_name(name, parser, token));
        TRY(parser_push(&node->items, parser, name));
        if (parser_skip(parser, TOKEN_OPERATOR, "=")) {
            TRY(parse_expression(&value, parser, true));
            TRY(parser_push(&node->defaults, parser, value));
        } else if (node->defaults.n > 0) {
            return source_fail(parser->parsed, LIMN_FORMAT, token->at,
                               "a parameter without a default after one that has it");
        }
    }
    return parser_expect(parser, TOKEN_OPERATOR, ")");
}

static limn_status parse_macro(Node *node, Parser *parser) {
    const SourceToken *token = parser_token(parser);
    TRY(parser_expect(parser, TOKEN_NAME, NULL));
    TRY(parser_name(node, parser, token));
    TRY(parse_parameters(node, parser));
    return parse_function_body(&node->body, parser, "endmacro");
}

static limn_status parse_call_block(Node *node, Parser *parser) {
    if (token_is(parser_token(parser), TOKEN_OPERATOR, "(")) {
        TRY(parse_parameters(node, parser));
    }
    TRY(parse_expression(&node->a, parser, true));
    if (node->a->kind != NODE_CALL) {
        return source_fail(parser->parsed, LIMN_FORMAT, node->at, "'call' expects the call of a macro");
    }
    return parse_function_body(&node->body, parser, "endcall");
}

static limn_status parse_filter_block(Node *node, Parser *parser) {
    static const char *const ends[] = {"endfilter", NULL};
    TRY(parse_filters(&node->b, parser, NULL, true));
    TRY(parse_block(&node->body, parser, ends));
    parser->at++;
    return LIMN_OK;
}

static limn_status parse_with(Node *node, Parser *parser) {
    static const char *const ends[] = {"endwith", NULL};
    while (!token_is(parser_token(parser), TOKEN_BLOCK_END, NULL)) {
        if (node->items.n > 0) {
            TRY(parser_expect(parser, TOKEN_OPERATOR, ","));
        }
        Node *target, *value;
        TRY(parse_target(&target, parser, NULL, false));
        TRY(parser_expect(parser, TOKEN_OPERATOR, "="));
        TRY(parse_expression(&value, parser, true));
        TRY(parser_push(&node->items, parser, target));
        TRY(parser_push(&node->items, parser, value));
    }
    TRY(parse_block(&node->body, parser, ends));
    parser->at++;
    return LIMN_OK;
}

static limn_status parse_generation(Node *node, Parser *parser) {
    return parse_function_body(&node->body, parser, "endgeneration");
}

static limn_status parse_jump(Node *node, Parser *parser) {
    return parser->loops > 0 ? LIMN_OK
                             : source_fail(parser->parsed, LIMN_FORMAT, node->at, "'%s' outside of a loop",
                                           node->kind == NODE_BREAK ? "break" : "continue");
}

static limn_status parse_tag(Node **node, Parser *parser) {
    static const struct {
        const char *name;
        NodeKind kind;
        limn_status (*parse)(Node *node, Parser *parser);
    } tags[] = {{"if", NODE_IF, parse_if},
                {"for", NODE_FOR, parse_for},
                {"set", NODE_SET, parse_set},
                {"macro", NODE_MACRO, parse_macro},
                {"call", NODE_CALL_BLOCK, parse_call_block},
                {"filter", NODE_FILTER_BLOCK, parse_filter_block},
                {"with", NODE_WITH, parse_with},
                {"generation", NODE_GENERATION, parse_generation},
                {"break", NODE_BREAK, parse_jump},
                {"continue", NODE_CONTINUE, parse_jump}};
    static const char *const known[] = {"include", "import", "from", "extends", "block", "autoescape", "print"};
    const SourceToken *token = parser_token(parser);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (token_is(token, TOKEN_NAME, tags[i].name)) {
            parser->at++;
            TRY(parser_node(node, parser, tags[i].kind, token->at));
            return tags[i].parse(*node, parser);
        }
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (token_is(token, TOKEN_NAME, known[i])) {
            return source_fail(parser->parsed, LIMN_UNSUPPORTED, token->at, "the tag '%s' is not implemented",
                               known[i]);
        }
    }
    return token->kind == TOKEN_NAME
               ? source_fail(parser->parsed, LIMN_FORMAT, token->at, "there is no tag '%.*s' here",
                             token->length < 40 ? (int)token->length : 40, token->text)
               : parser_unexpected(parser, "the name of a tag");
}

static bool at_end(const Parser *parser, const char *const *ends) {
    for (; ends != NULL && *ends != NULL; ends++) {
        if (token_is(parser_token(parser), TOKEN_NAME, *ends)) {
            return true;
        }
    }
    return false;
}

static limn_status parse_data(Node **node, Parser *parser, const SourceToken *token) {
    TRY(parser_node(node, parser, NODE_DATA, token->at));
    return parser_str(&(*node)->name, parser, token->text, token->length);
}

static limn_status parse_body(Nodes *body, Parser *parser, const char *const *ends) {
    for (;;) {
        const SourceToken *token = parser_token(parser);
        Node *node;
        if (token->kind == TOKEN_END) {
            return ends == NULL ? LIMN_OK : parser_unexpected(parser, ends[0]);
        }
        parser->at++;
        if (token->kind == TOKEN_DATA) {
            TRY(parse_data(&node, parser, token));
        } else if (token->kind == TOKEN_VARIABLE_BEGIN) {
            TRY(parser_node(&node, parser, NODE_OUTPUT, parser_token(parser)->at));
            TRY(parse_tuple(&node->a, parser, true, NULL, false));
            TRY(parser_expect(parser, TOKEN_VARIABLE_END, NULL));
        } else {
            if (at_end(parser, ends)) {
                return LIMN_OK;
            }
            TRY(parse_tag(&node, parser));
            TRY(parser_expect(parser, TOKEN_BLOCK_END, NULL));
        }
        TRY(parser_push(body, parser, node));
    }
}

limn_status parse_template(Parser *parser) {
    return parse_body(&parser->parsed->body, parser, NULL);
}
