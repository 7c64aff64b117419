#include "text/regex.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/text_buffer.h"
#include "text/utf8.h"

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

/* One escape `\c`; true when it was rewritten. Inside a class a negated set cannot be spelled out in PCRE2 10.42,
 * so \S and \W stay there as they are. */
static bool add_escape(TextBuffer *out, char c, bool in_class) {
    const char *set = c == 's' || c == 'S' ? WHITE_SPACE : c == 'w' || c == 'W' ? WORD : NULL;
    if (c == 'h' || c == 'H') { /* Oniguruma: a hexadecimal digit */
        set = "0-9A-Fa-f";
    }
    bool negated = c == 'S' || c == 'W' || c == 'H';
    if (set == NULL || (negated && in_class)) {
        return false;
    }
    if (in_class) {
        text_buffer_add(out, set);
    } else {
        text_buffer_printf(out, "[%s%s]", negated ? "^" : "", set);
    }
    return true;
}

/* Rewrites the shorthands that the two engines read differently. */
static void translate(TextBuffer *out, const char *pattern, size_t length) {
    bool in_class = false;
    for (size_t i = 0; i < length; i++) {
        char c = pattern[i];
        if (c == '\\' && i + 1 < length) {
            if (!add_escape(out, pattern[i + 1], in_class)) {
                text_buffer_add_bytes(out, pattern + i, 2);
            }
            i++;
            continue;
        }
        if (c == '[' && !in_class) {
            in_class = true;
            text_buffer_add_char(out, c);
            if (i + 1 < length && pattern[i + 1] == '^') {
                text_buffer_add_char(out, pattern[++i]);
            }
            if (i + 1 < length && pattern[i + 1] == ']') { /* a first ']' is itself */
                text_buffer_add(out, "\\]");
                i++;
            }
            continue;
        }
        if (c == ']') {
            in_class = false;
        }
        text_buffer_add_char(out, c);
    }
}

limn_status regex_compile(Regex **regex, const char *where, const char *pattern, size_t length) {
    *regex = NULL;
    TextBuffer translated = TEXT_BUFFER_INIT;
    text_buffer_add(&translated, "");
    translate(&translated, pattern, length);
    limn_status status = text_buffer_status(&translated);
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
