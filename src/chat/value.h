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

typedef enum ValueKind {
    VALUE_ABSENT, /* an argument that was not given */
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_REAL,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_LAZY, /* a range, a generator, a view of a dict: items without a spelling of their own */
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_FUNCTION,
    VALUE_LOOP,
    VALUE_SLICE
} ValueKind;

typedef struct Value Value;
typedef struct Loop Loop;
typedef struct Function Function;

typedef enum LazyKind { LAZY_RANGE, LAZY_GENERATOR, LAZY_VIEW } LazyKind;

typedef struct List {
    Value *items; /* [n] */
    size_t n;
    LazyKind lazy;
    bool used; /* a generator gives its items once */
    Mark mark;
} List;

typedef struct Dict {
    Value *keys;   /* [n] */
    Value *values; /* [n] */
    size_t n, capacity;
    Mark mark;
    bool is_message;
} Dict;

typedef struct Slice Slice;

struct Value {
    ValueKind kind;
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
    Value begin, end, step; /* NONE: left out */
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

static inline Value value_of(ValueKind kind) {
    return (Value){.kind = kind};
}
static inline Value value_of_bool(bool boolean) {
    return (Value){.kind = VALUE_BOOL, .boolean = boolean};
}
static inline Value value_of_integer(int64_t integer) {
    return (Value){.kind = VALUE_INTEGER, .integer = integer};
}
static inline Value value_of_real(double real) {
    return (Value){.kind = VALUE_REAL, .real = real};
}
static inline Value value_of_str(const Str *string) {
    return (Value){.kind = VALUE_STRING, .string = string};
}
static inline Value value_of_undefined(const char *missing) {
    return (Value){.kind = VALUE_UNDEFINED, .missing = missing};
}

limn_status value_list(Value *value, Machine *machine, ValueKind kind, size_t n); /* n absent items to fill */
limn_status value_dict(Value *value, Machine *machine, size_t capacity);
limn_status dict_set(Machine *machine, Dict *dict, Value key, Value item);
/* *found is NULL when there is none. */
limn_status dict_find(const Value **found, Machine *machine, const Dict *dict, const Value *key);
limn_status dict_find_text(const Value **found, Machine *machine, const Dict *dict, const char *key, size_t length);
limn_status value_from_json(Value *value, Machine *machine, const json_t *json, Mark mark);
limn_status value_of_text(Value *value, Machine *machine, const char *bytes, size_t length, Mark mark);

/* ---- asking values ---- */

const char *value_type(const Value *value); /* "str": as Python calls it */
bool value_truth(const Value *value);
/* Of a list, tuple, dict, text, undefined: its elements, which for a text are characters. LIMN_FORMAT: not iterable. */
limn_status value_items(List **items, Machine *machine, const Value *value);
limn_status value_length(int64_t *length, Machine *machine, const Value *value);
limn_status value_equal(bool *equal, Machine *machine, const Value *a, const Value *b);
/* *order < 0, 0, > 0; LIMN_FORMAT when the two cannot be ordered. `what` is the operator for messages. */
limn_status value_order(int *order, Machine *machine, const Value *a, const Value *b, const char *what);
limn_status value_contains(bool *contains, Machine *machine, const Value *whole, const Value *part);
static inline bool value_is_text(const Value *value) {
    return value->kind == VALUE_STRING;
}
static inline bool value_is_whole(const Value *value) { /* bool is an int to Python */
    return value->kind == VALUE_INTEGER || value->kind == VALUE_BOOL;
}
static inline int64_t value_whole(const Value *value) {
    return value->kind == VALUE_BOOL ? value->boolean : value->integer;
}
static inline bool value_is_number(const Value *value) {
    return value_is_whole(value) || value->kind == VALUE_REAL;
}
static inline double value_number(const Value *value) {
    return value->kind == VALUE_REAL ? value->real : (double)value_whole(value);
}
static inline bool value_is_sequence(const Value *value) {
    return value->kind == VALUE_LIST || value->kind == VALUE_TUPLE || value->kind == VALUE_LAZY;
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
limn_status builder_finish(Value *value, Builder *builder);

Mark str_mark_at(const Str *string, size_t at);
limn_status str_part(Value *value, Machine *machine, const Str *string, size_t begin, size_t end);
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
limn_status value_write_str(Builder *builder, const Value *value);
limn_status value_write_repr(Builder *builder, const Value *value);
limn_status value_to_str(Value *text, Machine *machine, const Value *value);
const char *real_text(double real, char buffer[40]); /* repr(float) */

typedef struct JsonStyle {
    bool ascii, sort;
    bool indented;
    const Str *indent; /* one level, when indented */
    const Str *between, *colon;
} JsonStyle;
/* json.dumps */
limn_status value_write_json(Builder *builder, const Value *value, const JsonStyle *style);

#endif
