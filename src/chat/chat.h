/* Chat templates: messages to the text a model was trained to read.
 *
 * A template is a program in a subset of Jinja, run as the reference runs it: immutable and sandboxed, trim_blocks,
 * lstrip_blocks, loop controls, `tojson` that escapes neither HTML nor ASCII, raise_exception, strftime_now (of a
 * given date, never the clock), {% generation %}. What is not implemented is refused with line and column. */
#ifndef LIMN_CHAT_CHAT_H
#define LIMN_CHAT_CHAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What one template may cost; the first one passed ends it with LIMN_RANGE and a line that says which. */
typedef struct ChatLimits {
    int64_t steps;       /* nodes evaluated and elements compared or copied */
    size_t memory_bytes; /* everything the evaluation makes, garbage included */
    size_t output_bytes;
} ChatLimits;
#define CHAT_LIMITS_INIT                                                                                               \
    { 20000000, (size_t)256 << 20, (size_t)64 << 20 }
enum { CHAT_TEMPLATE_CAP = 1 << 20 }; /* bytes of a template */
enum { CHAT_DEPTH_MAX = 200 };        /* nested expressions, blocks and calls */

typedef struct ChatTemplate ChatTemplate; /* read-only once parsed: any number of threads */

/* `name` is the file's, for messages. */
limn_status chat_template_parse(ChatTemplate **parsed, const char *name, const char *source, size_t length);
void chat_template_free(ChatTemplate *parsed);

/* "2024-07-26" or "2024-07-26T14:05:00", or LIMN_USAGE. */
typedef struct ChatDate {
    int32_t year, month, day, hour, minute, second;
} ChatDate;
limn_status chat_date_parse(ChatDate *date, const char *text);

typedef struct ChatInput {
    const json_t *messages;     /* an array of objects */
    const json_t *tools;        /* an array, or NULL */
    const json_t *documents;    /* an array, or NULL */
    const json_t *variables[2]; /* objects or NULL: further names of the template; the second wins */
    bool generation_prompt;
    ChatDate date;
    ChatLimits limits;
} ChatInput;

/* Bytes of the text and where they come from; spans cover the text in order. */
typedef struct ChatSpan {
    size_t end;      /* it begins where the one before ends */
    int32_t message; /* -1: of the template alone */
    bool content;    /* out of the message itself, not put around it */
    bool generation; /* inside {% generation %} */
    bool is_prompt;  /* begins the answer to come: what add_generation_prompt adds */
} ChatSpan;

typedef struct ChatText {
    char *text; /* UTF-8, NUL-terminated */
    size_t length;
    ChatSpan *spans; /* [n_spans] */
    size_t n_spans;
    bool asked_date; /* strftime_now was called */
} ChatText;

/* *text is the caller's: chat_text_free. LIMN_USAGE when the template itself refuses the messages. */
limn_status chat_template_render(ChatText *text, const ChatTemplate *parsed, const ChatInput *input);
void chat_text_free(ChatText *text);

/* The span that holds byte `at`; NULL: past the end. */
const ChatSpan *chat_text_span(const ChatText *text, size_t at);

/* messages.json: an array of messages, or an object with "messages" and perhaps "tools" and "documents". The parts
 * are borrowed from *json, which is the caller's. */
typedef struct ChatFile {
    json_t *json;
    const json_t *messages, *tools, *documents; /* the last two may be NULL */
} ChatFile;
limn_status chat_file_load(ChatFile *file, const char *path);
/* The parts of file->json, which is there already; `where` stands in messages. */
limn_status chat_file_take(ChatFile *file, const char *where);
limn_status chat_json_load(json_t **json, const char *name, const char *text, size_t length);
/* Tools: an array of objects. */
limn_status chat_list_load(json_t **json, const char *path);
limn_status chat_messages_check(const json_t *messages, const char *where);

#endif
