/* The source as tokens, with the white space around tags taken as trim_blocks, lstrip_blocks and the signs say. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text_buffer.h"
#include "chat/syntax.h"

typedef struct Lexer {
    ChatTemplate *parsed;
    Tokens *tokens;
    const char *text;
    size_t at, length;
    bool line_starts; /* what was read last ended with a newline */
    char open[CHAT_DEPTH_MAX];
    int32_t n_open;
} Lexer;

/* Of all the syntax that follows only this knows how tokens lie in memory. */
static limn_status push(SourceToken **token, Lexer *lexer, TokenKind kind, size_t at) {
    Tokens *tokens = lexer->tokens;
    if (tokens->n == tokens->capacity) {
        size_t capacity = tokens->capacity < 256 ? 256 : 2 * tokens->capacity;
        SourceToken *items = realloc(tokens->items, capacity * sizeof *items);
        if (items == NULL) {
            return template_no_memory(lexer->parsed);
        }
        tokens->items = items;
        tokens->capacity = capacity;
    }
    *token = &tokens->items[tokens->n++];
    **token = (SourceToken){.kind = kind, .at = (uint32_t)at};
    return LIMN_OK;
}

static limn_status push_text(Lexer *lexer, TokenKind kind, size_t begin, size_t end) {
    SourceToken *token;
    TRY(push(&token, lexer, kind, begin));
    token->text = lexer->text + begin;
    token->length = end - begin;
    return LIMN_OK;
}

static bool looking_at(const Lexer *lexer, size_t at, const char *text) {
    size_t length = strlen(text);
    return at + length <= lexer->length && memcmp(lexer->text + at, text, length) == 0;
}

static size_t skip_spaces(const Lexer *lexer, size_t at) {
    size_t step;
    while (at < lexer->length && character_is_space(utf8_next(lexer->text + at, &step))) {
        at += step;
    }
    return at;
}

static size_t spaces_before(const Lexer *lexer, size_t begin, size_t end) {
    while (end > begin) {
        size_t at = end - 1;
        while (at > begin && ((unsigned char)lexer->text[at] & 0xC0U) == 0x80) {
            at--;
        }
        size_t step;
        if (!character_is_space(utf8_next(lexer->text + at, &step))) {
            break;
        }
        end = at;
    }
    return end;
}

/* The end of the text before a tag: '-' takes all white space, no sign that of the tag's own line. */
static size_t text_end(const Lexer *lexer, size_t begin, size_t end, char sign, bool variable) {
    if (sign == '-') {
        return spaces_before(lexer, begin, end);
    }
    if (sign == '+' || variable) {
        return end;
    }
    size_t line = end;
    while (line > begin && lexer->text[line - 1] != '\n') {
        line--;
    }
    bool whole_line = line > begin || lexer->line_starts;
    return whole_line && spaces_before(lexer, line, end) == line ? line : end;
}

/* One past "+%}", "-%}" with all white space, "%}" with one newline; `at` when no end stands there. */
static size_t tag_end(const Lexer *lexer, size_t at, const char *end, bool plus, bool newline) {
    if (plus && lexer->text[at] == '+' && looking_at(lexer, at + 1, end)) {
        return at + 3;
    }
    if (lexer->text[at] == '-' && looking_at(lexer, at + 1, end)) {
        return skip_spaces(lexer, at + 3);
    }
    if (looking_at(lexer, at, end)) {
        return at + 2 + (newline && at + 2 < lexer->length && lexer->text[at + 2] == '\n' ? 1 : 0);
    }
    return at;
}

static void move(Lexer *lexer, size_t to) {
    lexer->line_starts = to > 0 && lexer->text[to - 1] == '\n';
    lexer->at = to;
}

static char sign_at(const Lexer *lexer, size_t at) {
    char c = at < lexer->length ? lexer->text[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
}

static limn_status read_comment(Lexer *lexer, size_t begin) {
    for (size_t at = lexer->at; at < lexer->length; at++) {
        size_t end = tag_end(lexer, at, "#}", true, true);
        if (end > at) {
            move(lexer, end);
            return LIMN_OK;
        }
    }
    return source_fail(lexer->parsed, LIMN_FORMAT, (uint32_t)begin, "this comment has no end; expected '#}'");
}

/* One past "{% raw %}" that begins at `at`; `at` when something else stands there. */
static size_t raw_begin(const Lexer *lexer, size_t at) {
    size_t name = skip_spaces(lexer, at + 2 + (sign_at(lexer, at + 2) != '\0'));
    if (!looking_at(lexer, name, "raw")) {
        return at;
    }
    size_t end = skip_spaces(lexer, name + 3);
    size_t after = tag_end(lexer, end, "%}", false, false);
    return after > end ? after : at;
}

static limn_status read_raw(Lexer *lexer, size_t begin) {
    for (size_t at = lexer->at; at < lexer->length; at++) {
        if (!looking_at(lexer, at, "{%")) {
            continue;
        }
        char sign = sign_at(lexer, at + 2);
        size_t name = skip_spaces(lexer, at + 2 + (sign != '\0'));
        size_t end = looking_at(lexer, name, "endraw") ? skip_spaces(lexer, name + 6) : name;
        size_t after = end > name ? tag_end(lexer, end, "%}", true, true) : end;
        if (after > end) {
            size_t stop = text_end(lexer, lexer->at, at, sign, false);
            if (stop > lexer->at) {
                TRY(push_text(lexer, TOKEN_DATA, lexer->at, stop));
            }
            move(lexer, after);
            return LIMN_OK;
        }
    }
    return source_fail(lexer->parsed, LIMN_FORMAT, (uint32_t)begin, "'raw' has no end; expected 'endraw'");
}

/* ---- inside tags ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_word(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* One past digits with single underscores between them. */
static size_t digits_end(const Lexer *lexer, size_t at) {
    while (is_digit(lexer->text[at]) ||
           (lexer->text[at] == '_' && at > 0 && is_digit(lexer->text[at - 1]) && is_digit(lexer->text[at + 1]))) {
        at++;
    }
    return at;
}

static size_t float_end(const Lexer *lexer, size_t begin) {
    if (begin > 0 && lexer->text[begin - 1] == '.') {
        return begin;
    }
    size_t whole = digits_end(lexer, begin), at = whole;
    if (lexer->text[at] == '.' && is_digit(lexer->text[at + 1])) {
        at = digits_end(lexer, at + 1);
    }
    if (lexer->text[at] == 'e' || lexer->text[at] == 'E') {
        size_t exponent = at + 1 + (lexer->text[at + 1] == '+' || lexer->text[at + 1] == '-');
        if (is_digit(lexer->text[exponent])) {
            at = digits_end(lexer, exponent);
        }
    }
    return at > whole ? at : begin;
}

static limn_status read_float(Lexer *lexer, size_t end) {
    char text[128];
    size_t n = 0;
    double real;
    for (size_t at = lexer->at; at < end && n + 8 < sizeof text; at++) {
        if (lexer->text[at] != '_') {
            text[n++] = lexer->text[at];
        }
    }
    text[n] = '\0';
    SourceToken *token;
    TRY(push(&token, lexer, TOKEN_NUMBER, lexer->at));
    real_of_text(&real, text);
    token->number = value_of_real(real);
    lexer->at = end;
    return LIMN_OK;
}

static limn_status read_integer(Lexer *lexer) {
    const char *text = lexer->text + lexer->at;
    char second = (char)(text[0] == '0' ? text[1] | 0x20 : 0);
    int base = second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;
    char digits[80];
    size_t n = 0, at = lexer->at + (base == 10 ? 0 : 2);
    for (; n + 1 < sizeof digits; at++) {
        char c = lexer->text[at];
        if (c == '_' && is_word(lexer->text[at + 1]) && lexer->text[at + 1] != '_') {
            continue;
        }
        char lower = (char)(c | 0x20);
        int digit = is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
        if (digit >= base) {
            break;
        }
        digits[n++] = c;
    }
    digits[n] = '\0';
    errno = 0;
    long long value = strtoll(digits, NULL, base);
    if (errno != 0 || n == 0 || n + 1 == sizeof digits) {
        return source_fail(lexer->parsed, n == 0 ? LIMN_FORMAT : LIMN_UNSUPPORTED, (uint32_t)lexer->at,
                           n == 0 ? "a number without digits" : "integers beyond 64 bits are not implemented");
    }
    if (base == 10 && n > 1 && digits[0] == '0' && value != 0) {
        return source_fail(lexer->parsed, LIMN_FORMAT, (uint32_t)lexer->at, "an integer that begins with 0");
    }
    SourceToken *token;
    TRY(push(&token, lexer, TOKEN_NUMBER, lexer->at));
    token->number = value_of_integer(value);
    lexer->at = at;
    return LIMN_OK;
}

static int hex_value(const char *text, int n, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < n; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            return -1;
        }
        *value = *value * 16 + (uint32_t)digit;
    }
    return n;
}

/* Appends what the escape after a backslash at text[at] stands for; *step is its length without the backslash. */
static bool unescape(TextBuffer *out, const char *text, size_t *step) {
    static const char simple[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    *step = 1;
    for (size_t i = 0; i + 1 < sizeof simple; i += 2) {
        if (text[0] == simple[i]) {
            text_buffer_add_char(out, simple[i + 1]);
            return true;
        }
    }
    uint32_t c = 0;
    if (text[0] == '\n') {
        return true;
    }
    if (text[0] >= '0' && text[0] <= '7') {
        *step = 0;
        while (*step < 3 && text[*step] >= '0' && text[*step] <= '7') {
            c = c * 8 + (uint32_t)(text[(*step)++] - '0');
        }
        text_buffer_add_codepoint(out, c);
        return true;
    }
    int n = text[0] == 'x' ? 2 : text[0] == 'u' ? 4 : text[0] == 'U' ? 8 : 0;
    if (n > 0) {
        if (hex_value(text + 1, n, &c) < 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
            return false;
        }
        *step = 1 + (size_t)n;
        text_buffer_add_codepoint(out, c);
        return true;
    }
    if (text[0] == 'N' || (unsigned char)text[0] >= 0x80) {
        return false;
    }
    text_buffer_add_char(out, '\\');
    text_buffer_add_char(out, text[0]);
    return true;
}

static limn_status keep_string(Lexer *lexer, size_t at, const TextBuffer *value) {
    TRY(text_buffer_status(value));
    SourceToken *token;
    TRY(push(&token, lexer, TOKEN_STRING, at));
    token->text = arena_strndup(&lexer->parsed->arena, value->data != NULL ? value->data : "", value->length);
    token->length = value->length;
    return token->text != NULL ? LIMN_OK : template_no_memory(lexer->parsed);
}

static limn_status read_string(Lexer *lexer) {
    char quote = lexer->text[lexer->at];
    size_t begin = lexer->at, at = begin + 1;
    TextBuffer value = TEXT_BUFFER_INIT;
    limn_status status = LIMN_OK;
    while (at < lexer->length && lexer->text[at] != quote && status == LIMN_OK) {
        size_t step = 1;
        if (lexer->text[at] != '\\') {
            text_buffer_add_char(&value, lexer->text[at]);
        } else if (unescape(&value, lexer->text + at + 1, &step)) {
            step++;
        } else {
            status = source_fail(lexer->parsed, LIMN_UNSUPPORTED, (uint32_t)at,
                                 "this escape in a string is not implemented");
        }
        at += step;
    }
    if (status == LIMN_OK && at >= lexer->length) {
        status = source_fail(lexer->parsed, LIMN_FORMAT, (uint32_t)begin, "this string has no end; expected %c", quote);
    }
    if (status == LIMN_OK) {
        status = keep_string(lexer, begin, &value);
    }
    text_buffer_free(&value);
    lexer->at = at + 1;
    return status;
}

static limn_status balance(Lexer *lexer, char c) {
    if (c == '(' || c == '[' || c == '{') {
        if (lexer->n_open == CHAT_DEPTH_MAX) {
            return source_fail(lexer->parsed, LIMN_RANGE, (uint32_t)lexer->at, "nested deeper than %d (the limit)",
                               CHAT_DEPTH_MAX);
        }
        lexer->open[lexer->n_open++] = (char)(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
        char expected = (char)(lexer->n_open > 0 ? lexer->open[--lexer->n_open] : '\0');
        if (expected != c) {
            return source_fail(lexer->parsed, LIMN_FORMAT, (uint32_t)lexer->at, "unexpected '%c'", c);
        }
    }
    return LIMN_OK;
}

static limn_status read_operator(Lexer *lexer) {
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
        if (looking_at(lexer, lexer->at, two[i])) {
            lexer->at += 2;
            return push_text(lexer, TOKEN_OPERATOR, lexer->at - 2, lexer->at);
        }
    }
    char c = lexer->text[lexer->at];
    if (c == '\0' || strchr("+-/*%~[](){}><=.:|,;", c) == NULL) {
        return source_fail(lexer->parsed, (unsigned char)c >= 0x80 ? LIMN_UNSUPPORTED : LIMN_FORMAT,
                           (uint32_t)lexer->at, "unexpected character in a tag");
    }
    TRY(balance(lexer, c));
    lexer->at++;
    return push_text(lexer, TOKEN_OPERATOR, lexer->at - 1, lexer->at);
}

static limn_status read_tag(Lexer *lexer, bool variable, size_t begin) {
    while (lexer->at < lexer->length) {
        size_t end =
            lexer->n_open > 0 ? lexer->at : tag_end(lexer, lexer->at, variable ? "}}" : "%}", !variable, !variable);
        if (end > lexer->at) {
            TRY(push_text(lexer, variable ? TOKEN_VARIABLE_END : TOKEN_BLOCK_END, lexer->at, end));
            move(lexer, end);
            return LIMN_OK;
        }
        size_t after = skip_spaces(lexer, lexer->at);
        char c = lexer->text[lexer->at];
        if (after > lexer->at) {
            lexer->at = after;
        } else if (is_digit(c)) {
            size_t real = float_end(lexer, lexer->at);
            TRY(real > lexer->at ? read_float(lexer, real) : read_integer(lexer));
        } else if (is_word(c)) {
            size_t name = lexer->at;
            while (is_word(lexer->text[lexer->at])) {
                lexer->at++;
            }
            TRY(push_text(lexer, TOKEN_NAME, name, lexer->at));
        } else if (c == '\'' || c == '"') {
            TRY(read_string(lexer));
        } else {
            TRY(read_operator(lexer));
        }
    }
    return source_fail(lexer->parsed, LIMN_FORMAT, (uint32_t)begin, "this tag has no end; expected '%s'",
                       variable ? "}}" : "%}");
}

static limn_status read_root(Lexer *lexer) {
    size_t at = lexer->at;
    while (at < lexer->length && !looking_at(lexer, at, "{{") && !looking_at(lexer, at, "{%") &&
           !looking_at(lexer, at, "{#")) {
        at++;
    }
    if (at >= lexer->length) {
        size_t begin = lexer->at;
        lexer->at = lexer->length;
        return begin < lexer->length ? push_text(lexer, TOKEN_DATA, begin, lexer->length) : LIMN_OK;
    }
    char kind = lexer->text[at + 1], sign = sign_at(lexer, at + 2);
    size_t stop = text_end(lexer, lexer->at, at, sign, kind == '{');
    if (stop > lexer->at) {
        TRY(push_text(lexer, TOKEN_DATA, lexer->at, stop));
    }
    size_t raw = kind == '%' ? raw_begin(lexer, at) : at;
    if (raw > at) {
        move(lexer, raw);
        return read_raw(lexer, at);
    }
    lexer->at = at + 2 + (sign != '\0');
    lexer->line_starts = false;
    if (kind == '#') {
        return read_comment(lexer, at);
    }
    TRY(push_text(lexer, kind == '{' ? TOKEN_VARIABLE_BEGIN : TOKEN_BLOCK_BEGIN, at, lexer->at));
    return read_tag(lexer, kind == '{', at);
}

limn_status tokens_read(Tokens *tokens, ChatTemplate *parsed) {
    Lexer lexer = {
        .parsed = parsed, .tokens = tokens, .text = parsed->source, .length = parsed->length, .line_starts = true};
    while (lexer.at < lexer.length) {
        TRY(read_root(&lexer));
    }
    SourceToken *end;
    return push(&end, &lexer, TOKEN_END, lexer.length);
}
