/* What templates may call: filters, tests, methods and functions, each a row of a table. */
#ifndef LIMN_CHAT_BUILTIN_H
#define LIMN_CHAT_BUILTIN_H

#include "chat/syntax.h"

enum { BUILTIN_ARGUMENTS_MAX = 6 };

typedef struct Given {
    TemplateValue *positional; /* [n] */
    size_t n;
    const Str **names; /* [n_named] */
    TemplateValue *named;
    size_t n_named;
} Given;

typedef struct Call {
    Machine *machine;
    const Builtin *builtin;
    TemplateValue self;                        /* what is filtered, tested, or has the method */
    TemplateValue args[BUILTIN_ARGUMENTS_MAX]; /* by the row's parameters; ABSENT when not given */
    const Given *given;                        /* rows whose parameters are "*" read these */
} Call;

struct Builtin {
    const char *name;
    const char *parameters; /* "old new count?": names, '?' after those that may be left out; "*": anything */
    limn_status (*run)(Call *call, TemplateValue *result); /* NULL: the reference knows it, this does not */
};

/* The row of a filter or a test, or a refusal by name. */
limn_status builtin_find(const Builtin **builtin, const ChatTemplate *parsed, uint32_t at, const Str *name, bool test);
const Builtin *filter_row(const char *name, size_t length); /* NULL: none */
const Builtin *test_row(const char *name, size_t length);
const Builtin *global_row(const char *name, size_t length);
const Builtin *builtin_in(const Builtin *rows, size_t n, const char *name, size_t length);

/* Methods by the kind of value; NULL: it has none of that name. */
const Builtin *method_row(const TemplateValue *value, const char *name, size_t length);
const Builtin *text_method_row(const char *name, size_t length);

limn_status builtin_call(Machine *machine, const Builtin *builtin, TemplateValue self, const Given *given,
                         TemplateValue *result);

/* ---- what rows share ---- */

limn_status call_fail(const Call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
limn_status call_need_text(const Str **text, const Call *call, const TemplateValue *value);
limn_status call_need_whole(int64_t *whole, const Call *call, const TemplateValue *value);
limn_status call_take_whole(int64_t *whole, const Call *call, int index, int64_t fallback);
limn_status call_take_text(const Str **text, const Call *call, int index, const Str *fallback);
bool call_take_bool(const Call *call, int index, bool fallback);
limn_status call_self_text(const Str **text, Call *call); /* the filtered value as str() writes it */

/* ---- Unicode, as Python does it; false: a character whose case takes more than a table of pairs ---- */
typedef enum CaseChange { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITALIZE, CASE_SWAP } CaseChange;
limn_status text_change_case(TemplateValue *result, Machine *machine, const Str *text, CaseChange change);

/* Bytes of `text` without the characters of `chars` (NULL: white space) at its ends. */
void text_strip(size_t *begin, size_t *end, const Str *text, const Str *chars, bool left, bool right);
limn_status text_replace(TemplateValue *result, Machine *machine, const Str *text, const Str *old, const Str *fresh,
                         int64_t count);
limn_status text_format_percent(TemplateValue *result, Machine *machine, const Str *format,
                                const TemplateValue *values);
limn_status text_format_braces(TemplateValue *result, Machine *machine, const Str *format, const Given *given);
limn_status date_format(TemplateValue *result, Machine *machine, const ChatDate *date, const Str *format);

#endif
