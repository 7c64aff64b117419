#include "text/regex.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/text_buffer.h"
#include "base/utf8.h"

struct Regex {
    pcre2_code *code;
    bool jit;
};

struct RegexRun {
    pcre2_match_data *data;
    pcre2_match_context *context;
    const Regex *regex;
    const char *text;
    size_t length;
    size_t at;       /* where the next search begins */
    size_t last_end; /* end of the last match, or SIZE_MAX */
};

/* White_Space without U+180E, which PCRE2's \s holds and Unicode has since taken out; fit to stand in a class. */
#define WHITE_SPACE                                                                                                    \
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
/* Oniguruma's \w: PCRE2's own lacks marks, letter numbers, alphabetic symbols, and a few of Latin-1's digits. */
#define WORD                                                                                                           \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}"    \
    "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"

/* A pattern on its way from Oniguruma's (Ruby's) reading to PCRE2's. */
typedef struct Translation {
    TextBuffer *out;
    const char *pattern; /* [length] */
    size_t length, at;
    const char *refused; /* what cannot be said in PCRE2; NULL: nothing */
} Translation;

/* PCRE2 takes a script's bare name to mean the characters used with it (Script_Extensions), Oniguruma those of it. */
static bool is_script(const char *name, size_t length) {
    char pattern[64];
    int error;
    PCRE2_SIZE at;
    if (length < 3 || length > 40 || memchr(name, ':', length) != NULL || memchr(name, '=', length) != NULL) {
        return false; /* general categories have one or two letters */
    }
    snprintf(pattern, sizeof pattern, "\\p{sc:%.*s}", (int)length, name);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    pcre2_code_free(code);
    return code != NULL;
}

/* \p{NAME} or \P{NAME}, with ^ for "not"; true when it was rewritten. */
static bool add_property(Translation *work) {
    const char *from = work->pattern + work->at;
    size_t left = work->length - work->at;
    const char *close = left > 4 ? memchr(from, '}', left) : NULL;
    if (close == NULL || from[2] != '{') {
        return false;
    }
    bool negated = from[1] == 'P', caret = from[3] == '^';
    const char *name = from + 3 + caret;
    size_t length = (size_t)(close - name);
    if (!is_script(name, length)) {
        return false;
    }
    text_buffer_printf(work->out, "\\%c{sc:%.*s}", negated != caret ? 'P' : 'p', (int)length, name);
    work->at += (size_t)(close - from) + 1;
    return true;
}

/* The escape at `at`. Inside a class a negated set cannot be spelled out in PCRE2 10.42, so \S and \W stay there as
 * they are. */
static void add_escape(Translation *work, bool in_class) {
    if (work->at + 1 >= work->length) {
        text_buffer_add_char(work->out, work->pattern[work->at++]);
        return;
    }
    char c = work->pattern[work->at + 1];
    if ((c == 'p' || c == 'P') && add_property(work)) {
        return;
    }
    const char *set = c == 's' || c == 'S' ? WHITE_SPACE : c == 'w' || c == 'W' ? WORD : NULL;
    if (c == 'h' || c == 'H') { /* Oniguruma: a hexadecimal digit */
        set = "0-9A-Fa-f";
    }
    bool negated = c == 'S' || c == 'W' || c == 'H';
    if (set == NULL || (negated && in_class)) {
        text_buffer_add_bytes(work->out, work->pattern + work->at, 2);
    } else if (in_class) {
        text_buffer_add(work->out, set);
    } else {
        text_buffer_printf(work->out, "[%s%s]", negated ? "^" : "", set);
    }
    work->at += 2;
}

static bool next_is(const Translation *work, const char *text) {
    size_t n = strlen(text);
    return work->length - work->at >= n && memcmp(work->pattern + work->at, text, n) == 0;
}

static bool at_posix_class(const Translation *work) {
    return next_is(work, "[:") && memchr(work->pattern + work->at, ']', work->length - work->at) != NULL;
}

static void add_posix_class(Translation *work) {
    const char *from = work->pattern + work->at;
    size_t n = (size_t)((const char *)memchr(from, ']', work->length - work->at) - from) + 1;
    text_buffer_add_bytes(work->out, from, n);
    work->at += n;
}

/* What stands in a class up to its ']' (or "&&"), which is left to the caller. Classes within it are unions. */
static void add_class_items(Translation *work, bool first) {
    int depth = 0; /* of unions, whose brackets PCRE2 does not have */
    for (; work->at < work->length && work->refused == NULL; first = false) {
        char c = work->pattern[work->at];
        if (c == '\\') {
            add_escape(work, true);
        } else if (c == ']' && first) { /* a first ']' is itself */
            text_buffer_add(work->out, "\\]");
            work->at++;
        } else if (c == ']' && depth == 0) {
            return;
        } else if (c == ']') {
            depth--;
            work->at++;
        } else if (next_is(work, "&&")) {
            work->refused = depth > 0 ? "an intersection within a union" : NULL;
            return;
        } else if (at_posix_class(work)) {
            add_posix_class(work);
        } else if (c == '[') {
            work->refused = next_is(work, "[^") ? "a negated class within a class" : NULL;
            depth++;
            work->at++;
        } else {
            text_buffer_add_char(work->out, c);
            work->at++;
        }
    }
    work->refused = work->refused != NULL || work->at < work->length ? work->refused : "a class without its ]";
}

/* The right side of an intersection, as a class of its own: "[...]", or items up to the outer ']'. */
static void add_right_side(Translation *work) {
    bool own = next_is(work, "[") && !at_posix_class(work);
    work->at += own;
    text_buffer_add_char(work->out, '[');
    if (next_is(work, "^")) {
        text_buffer_add_char(work->out, '^');
        work->at++;
    }
    add_class_items(work, own);
    text_buffer_add_char(work->out, ']');
    work->at += own;
}

/* A class; [A&&B] becomes a look-ahead at B before A. */
static void add_class(Translation *work) {
    TextBuffer left = TEXT_BUFFER_INIT, *out = work->out;
    work->at++;
    work->out = &left;
    text_buffer_add_char(&left, '[');
    bool negated = next_is(work, "^");
    if (negated) {
        text_buffer_add_char(&left, '^');
        work->at++;
    }
    add_class_items(work, true);
    text_buffer_add_char(&left, ']');
    work->out = out;
    if (work->refused == NULL && next_is(work, "&&")) {
        work->at += 2;
        text_buffer_add(out, "(?:(?=");
        add_right_side(work);
        text_buffer_add_char(out, ')');
        text_buffer_add_bytes(out, left.data == NULL ? "" : left.data, left.length);
        text_buffer_add_char(out, ')');
        if (work->refused == NULL && (negated || !next_is(work, "]"))) {
            work->refused = negated ? "a negated intersection" : "an intersection of more than two classes";
        }
    } else if (left.data != NULL) {
        text_buffer_add_bytes(out, left.data, left.length);
    }
    out->failed = out->failed || left.failed;
    text_buffer_free(&left);
    work->at++;
}

/* "{n,m}": its length; 0: none. */
static size_t interval_length(const Translation *work) {
    size_t i = work->at + 1;
    while (i < work->length && ((work->pattern[i] >= '0' && work->pattern[i] <= '9') || work->pattern[i] == ',')) {
        i++;
    }
    return i < work->length && work->pattern[i] == '}' && i > work->at + 1 ? i + 1 - work->at : 0;
}

/* After an interval a '+' repeats it for Oniguruma, and makes it possessive for PCRE2. */
static void add_interval(Translation *work, size_t length) {
    bool repeats = work->at + length < work->length && work->pattern[work->at + length] == '+';
    if (!repeats) {
        text_buffer_add_bytes(work->out, work->pattern + work->at, length);
    } else if (next_is(work, "{1,")) { /* any number of one to m is any number */
        text_buffer_add_char(work->out, '+');
    } else {
        work->refused = "a repeated interval";
    }
    work->at += length + repeats;
}

/* Rewrites what the two engines read differently. */
static void translate(Translation *work) {
    while (work->at < work->length && work->refused == NULL) {
        char c = work->pattern[work->at];
        size_t interval = c == '{' ? interval_length(work) : 0;
        if (c == '\\') {
            add_escape(work, false);
        } else if (c == '[') {
            add_class(work);
        } else if (interval > 0) {
            add_interval(work, interval);
        } else {
            text_buffer_add_char(work->out, c);
            work->at++;
        }
    }
}

limn_status regex_compile(Regex **regex, const char *where, const char *pattern, size_t length) {
    *regex = NULL;
    TextBuffer translated = TEXT_BUFFER_INIT;
    text_buffer_add(&translated, "");
    Translation work = {.out = &translated, .pattern = pattern, .length = length};
    translate(&work);
    limn_status status = text_buffer_status(&translated);
    if (status == LIMN_OK && work.refused != NULL) {
        status = fail(LIMN_UNSUPPORTED, "%s: the regular expression '%.*s' cannot be compiled: %s", where,
                      (int)(length < 200 ? length : 200), pattern, work.refused);
    }
    Regex *made = status == LIMN_OK ? calloc(1, sizeof *made) : NULL;
    if (status == LIMN_OK && made == NULL) {
        status = fail(LIMN_NO_MEMORY, "%s: a regular expression of %zu bytes", where, length);
    }
    if (status != LIMN_OK) {
        text_buffer_free(&translated);
        return status;
    }
    int error = 0;
    PCRE2_SIZE at = 0;
    /* Ruby's ^ and $ always stand at line ends. */
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    made->code = pcre2_compile((PCRE2_SPTR)translated.data, translated.length, options, &error, &at, NULL);
    text_buffer_free(&translated);
    if (made->code == NULL) {
        PCRE2_UCHAR text[128] = "";
        pcre2_get_error_message(error, text, sizeof text);
        free(made);
        return fail(LIMN_UNSUPPORTED, "%s: the regular expression '%.*s' cannot be compiled: %s", where,
                    (int)(length < 200 ? length : 200), pattern, (const char *)text);
    }
    made->jit = pcre2_jit_compile(made->code, PCRE2_JIT_COMPLETE) == 0;
    *regex = made;
    return LIMN_OK;
}

limn_status regex_compile_literal(Regex **regex, const char *where, const char *text, size_t length) {
    TextBuffer pattern = TEXT_BUFFER_INIT;
    text_buffer_add(&pattern, "");
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\0') {
            text_buffer_add(&pattern, "\\x00");
            continue;
        }
        if (strchr("\\^$.[]|()?*+{}-#", text[i]) != NULL) {
            text_buffer_add_char(&pattern, '\\');
        }
        text_buffer_add_char(&pattern, text[i]);
    }
    limn_status status = text_buffer_status(&pattern);
    if (status == LIMN_OK) {
        status = regex_compile(regex, where, pattern.data, pattern.length);
    }
    text_buffer_free(&pattern);
    return status;
}

void regex_free(Regex *regex) {
    if (regex != NULL) {
        pcre2_code_free(regex->code);
        free(regex);
    }
}

limn_status regex_run_new(RegexRun **run) {
    RegexRun *made = calloc(1, sizeof *made);
    *run = made;
    if (made != NULL) {
        made->data = pcre2_match_data_create(1, NULL);
        made->context = pcre2_match_context_create(NULL);
    }
    if (made == NULL || made->data == NULL || made->context == NULL) {
        regex_run_free(made);
        *run = NULL;
        return fail(LIMN_NO_MEMORY, "preparing a regular expression to run");
    }
    return LIMN_OK;
}

void regex_run_free(RegexRun *run) {
    if (run != NULL) {
        pcre2_match_data_free(run->data);
        pcre2_match_context_free(run->context);
        free(run);
    }
}

void regex_run_begin(RegexRun *run, const Regex *regex, const char *text, size_t length) {
    /* Steps a well-behaved pattern may take: a bound on patterns that go back and forth without end. */
    uint32_t limit = length > (UINT32_MAX - 10000000u) / 32 ? UINT32_MAX : 10000000u + (uint32_t)length * 32;
    pcre2_set_match_limit(run->context, limit);
    pcre2_set_heap_limit(run->context, 256u << 10);
    run->regex = regex;
    run->text = text;
    run->length = length;
    run->at = 0;
    run->last_end = SIZE_MAX;
}

static int match_at(RegexRun *run, size_t at) {
    PCRE2_SPTR text = (PCRE2_SPTR)run->text;
    int answer = PCRE2_ERROR_JIT_BADOPTION;
    if (run->regex->jit) {
        answer = pcre2_jit_match(run->regex->code, text, run->length, at, 0, run->data, run->context);
    }
    if (answer == PCRE2_ERROR_JIT_STACKLIMIT || answer == PCRE2_ERROR_JIT_BADOPTION) {
        answer = pcre2_match(run->regex->code, text, run->length, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, run->data,
                             run->context);
    }
    return answer;
}

limn_status regex_run_next(RegexRun *run, int *found, size_t *begin, size_t *end) {
    *found = 0;
    while (run->at <= run->length) {
        int answer = match_at(run, run->at);
        if (answer == PCRE2_ERROR_NOMATCH) {
            return LIMN_OK;
        }
        if (answer < 0) {
            PCRE2_UCHAR text[128] = "";
            pcre2_get_error_message(answer, text, sizeof text);
            return fail(LIMN_RANGE, "a tokenizer's regular expression gave up at byte %zu of a text of %zu bytes: %s",
                        run->at, run->length, (const char *)text);
        }
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(run->data);
        if (ends[1] <= ends[0] && run->last_end == ends[1]) {
            size_t step = 1;
            if (run->at < run->length) {
                utf8_next(run->text + run->at, &step);
            }
            run->at += step;
            continue;
        }
        *found = 1;
        *begin = ends[0];
        *end = ends[1];
        run->at = ends[1];
        run->last_end = ends[1];
        return LIMN_OK;
    }
    return LIMN_OK;
}
