/* What templates compute with: Python's values as far as templates use them, all of one evaluation's arena. */
#ifndef LIMN_CHAT_VALUE_H
#define LIMN_CHAT_VALUE_H

#include "base/arena.h"
#include "base/utf8.h"
#include "chat/chat.h"

/* Where a byte comes from: (message + 1) * 4 + content * 2 + generation; 0: the template. */
typedef int32_t Mark;
enum { MARK_GENERATION = 1, MARK_CONTENT = 2, MARK_MESSAGE = 4 };

typedef struct MarkRun {
    size_t end;
    Mark mark;
} MarkRun;

typedef struct Str {
    const char *bytes; /* valid UTF-8, NUL-terminated */
    size_t length;
    const MarkRun *runs; /* [n_runs]; NULL: all of it has `mark` */
    size_t n_runs;
    Mark mark;
    bool markup; /* came out of `safe` or `escape`: refuses to be computed with */
} Str;

typedef enum TemplateKind {
    TEMPLATE_ABSENT, /* an argument that was not given */
    TEMPLATE_UNDEFINED,
    TEMPLATE_NONE,
    TEMPLATE_BOOL,
    TEMPLATE_INTEGER,
    TEMPLATE_REAL,
    TEMPLATE_STRING,
    TEMPLATE_LIST,
    TEMPLATE_TUPLE,
    TEMPLATE_LAZY, /* a range, a generator, a view of a dict: items without a spelling of their own */
    TEMPLATE_DICT,
    TEMPLATE_NAMESPACE,
    TEMPLATE_FUNCTION,
    TEMPLATE_LOOP,
    TEMPLATE_SLICE
} TemplateKind;

typedef struct TemplateValue TemplateValue;
typedef struct Loop Loop;
typedef struct Function Function;

typedef enum LazyKind { LAZY_RANGE, LAZY_GENERATOR, LAZY_VIEW } LazyKind;

typedef struct List {
    TemplateValue *items; /* [n] */
    size_t n;
    LazyKind lazy;
    bool used; /* a generator gives its items once */
    Mark mark;
} List;

typedef struct Dict {
    TemplateValue *keys;   /* [n] */
    TemplateValue *values; /* [n] */
    size_t n, capacity;
    Mark mark;
    bool is_message;
} Dict;

typedef struct Slice Slice;

struct TemplateValue {
    TemplateKind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        const Str *string;
        List *list; /* LIST, TUPLE, LAZY */
        Dict *dict; /* DICT, NAMESPACE */
        const Function *function;
        Loop *loop;
        const Slice *slice;
        const char *missing; /* UNDEFINED: what is undefined, for messages */
    };
};

struct Slice {
    TemplateValue begin, end, step; /* NONE: left out */
};

/* ---- the machine that evaluates one template once ---- */

typedef struct Scope Scope;
typedef struct Builder Builder;

typedef struct Machine {
    const ChatTemplate *parsed;
    const ChatInput *input;
    Arena arena;
    int64_t steps;
    size_t bytes;
    int32_t depth;
    uint32_t at;  /* the node being evaluated: its place in the source, for messages */
    Builder *out; /* where output goes now */
    Mark message; /* of the message whose loop is running; 0: none */
    bool asked_date;
} Machine;

/* LIMN_X with "name: line L, column C: ..." of machine->at. */
limn_status machine_fail(const Machine *machine, limn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
limn_status machine_step(Machine *machine, size_t count); /* LIMN_RANGE past the limit */
/* Zeroed memory within the limit. */
limn_status machine_take(void **memory, Machine *machine, size_t count, size_t size);

/* ---- making values ---- */

static inline TemplateValue value_of(TemplateKind kind) {
    return (TemplateValue){.kind = kind};
}
static inline TemplateValue value_of_bool(bool boolean) {
    return (TemplateValue){.kind = TEMPLATE_BOOL, .boolean = boolean};
}
static inline TemplateValue value_of_integer(int64_t integer) {
    return (TemplateValue){.kind = TEMPLATE_INTEGER, .integer = integer};
}
static inline TemplateValue value_of_real(double real) {
    return (TemplateValue){.kind = TEMPLATE_REAL, .real = real};
}
static inline TemplateValue value_of_str(const Str *string) {
    return (TemplateValue){.kind = TEMPLATE_STRING, .string = string};
}
static inline TemplateValue value_of_undefined(const char *missing) {
    return (TemplateValue){.kind = TEMPLATE_UNDEFINED, .missing = missing};
}

limn_status value_list(TemplateValue *value, Machine *machine, TemplateKind kind,
                       size_t n); /* n absent items to fill */
limn_status value_dict(TemplateValue *value, Machine *machine, size_t capacity);
limn_status dict_set(Machine *machine, Dict *dict, TemplateValue key, TemplateValue item);
/* *found is NULL when there is none. */
limn_status dict_find(const TemplateValue **found, Machine *machine, const Dict *dict, const TemplateValue *key);
limn_status dict_find_text(const TemplateValue **found, Machine *machine, const Dict *dict, const char *key,
                           size_t length);
limn_status value_from_json(TemplateValue *value, Machine *machine, const json_t *json, Mark mark);
limn_status value_of_text(TemplateValue *value, Machine *machine, const char *bytes, size_t length, Mark mark);

/* ---- asking values ---- */

const char *value_type(const TemplateValue *value); /* "str": as Python calls it */
bool value_truth(const TemplateValue *value);
/* Of a list, tuple, dict, text, undefined: its elements, which for a text are characters. LIMN_FORMAT: not iterable. */
limn_status value_items(List **items, Machine *machine, const TemplateValue *value);
limn_status value_length(int64_t *length, Machine *machine, const TemplateValue *value);
limn_status value_equal(bool *equal, Machine *machine, const TemplateValue *a, const TemplateValue *b);
/* *order < 0, 0, > 0; LIMN_FORMAT when the two cannot be ordered. `what` is the operator for messages. */
limn_status value_order(int *order, Machine *machine, const TemplateValue *a, const TemplateValue *b, const char *what);
limn_status value_contains(bool *contains, Machine *machine, const TemplateValue *whole, const TemplateValue *part);
static inline bool value_is_text(const TemplateValue *value) {
    return value->kind == TEMPLATE_STRING;
}
static inline bool value_is_whole(const TemplateValue *value) { /* bool is an int to Python */
    return value->kind == TEMPLATE_INTEGER || value->kind == TEMPLATE_BOOL;
}
static inline int64_t value_whole(const TemplateValue *value) {
    return value->kind == TEMPLATE_BOOL ? value->boolean : value->integer;
}
static inline bool value_is_number(const TemplateValue *value) {
    return value_is_whole(value) || value->kind == TEMPLATE_REAL;
}
static inline double value_number(const TemplateValue *value) {
    return value->kind == TEMPLATE_REAL ? value->real : (double)value_whole(value);
}
static inline bool value_is_sequence(const TemplateValue *value) {
    return value->kind == TEMPLATE_LIST || value->kind == TEMPLATE_TUPLE || value->kind == TEMPLATE_LAZY;
}

/* ---- texts ---- */

/* A text that grows, with the origin of its bytes. A failure is kept and told by builder_finish. */
struct Builder {
    Machine *machine;
    char *bytes;
    size_t length, capacity;
    MarkRun *runs;
    size_t n_runs, runs_capacity;
    limn_status status;
};

void builder_add(Builder *builder, const char *bytes, size_t length, Mark mark);
void builder_add_text(Builder *builder, const char *text); /* mark 0 */
void builder_add_part(Builder *builder, const Str *string, size_t begin, size_t end);
void builder_add_str(Builder *builder, const Str *string);
void builder_add_codepoint(Builder *builder, uint32_t codepoint, Mark mark);
limn_status builder_finish(TemplateValue *value, Builder *builder);

Mark str_mark_at(const Str *string, size_t at);
limn_status str_part(TemplateValue *value, Machine *machine, const Str *string, size_t begin, size_t end);
size_t str_count(const Str *string);                /* characters */
size_t str_offset(const Str *string, size_t index); /* byte of the character; its end when there are fewer */
static inline bool str_is(const Str *string, const char *text, size_t length) {
    return string->length == length && __builtin_memcmp(string->bytes, text, length) == 0;
}
/* First place of `part` at or after `from`; SIZE_MAX: none. */
size_t str_find(const Str *string, const Str *part, size_t from);

bool character_is_space(uint32_t c); /* str.isspace of Python */
bool character_is_printable(uint32_t c);

/* As str() and repr() of Python write it. */
limn_status value_write_str(Builder *builder, const TemplateValue *value);
limn_status value_write_repr(Builder *builder, const TemplateValue *value);
limn_status value_to_str(TemplateValue *text, Machine *machine, const TemplateValue *value);
const char *real_text(double real, char buffer[40]); /* repr(float) */
/* The number that all of a text spells, with a '.' whatever the locale writes; false: none, or one too long. */
bool real_of_text(double *real, const char *text);

typedef struct JsonStyle {
    bool ascii, sort;
    bool indented;
    const Str *indent; /* one level, when indented */
    const Str *between, *colon;
} JsonStyle;
/* json.dumps */
limn_status value_write_json(Builder *builder, const TemplateValue *value, const JsonStyle *style);

#endif
