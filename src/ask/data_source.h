/* A data set as a method reads it: the rows that such methods share, and one prompt after another with its label,
 * group and id. Streamed: an item lives in the arena it is read into. */
#ifndef LIMN_ASK_DATA_SOURCE_H
#define LIMN_ASK_DATA_SOURCE_H

#include "ask/chat_render.h"
#include "ask/text_span.h"
#include "data/dataset.h"

typedef struct DataParams {
    Text file;
    Text prompt_field;
    Text template_text;
    Text messages_field;
    bool as_chat;
    Text system;
    ChatParams chat;                  /* its messages are those of the records */
    Text other_field, other_template; /* rows of a method's own: a second prompt of the record */
    Text words_field;                 /* ... and words of the first */
    Text label_field;
    Text group_field;
    Text id_field;
    Text where;
    int32_t format; /* RecordFormat */
    int64_t limit;
    int64_t sample;
    int32_t on_error; /* OnError */
    bool allow_empty;
} DataParams;

/* What a record does that cannot be used. Order of the choice "stop|skip". */
typedef enum OnError { ON_ERROR_STOP, ON_ERROR_SKIP } OnError;

/* The data set as a bare word after the model, or as --data FILE. */
#define DATA_WORD_ROW(type, member)                                                                                    \
    {                                                                                                                  \
        "data", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "DATA",                           \
                                    .help = "records: .jsonl, .json (an array), .csv (the first line names the "       \
                                            "fields), .tsv or .txt (a line each)",                                     \
                                    .field = offsetof(type, member.file)                                               \
    }
#define DATA_OPTION_ROW(type, member)                                                                                  \
    PARAM_ROW("data", 0, LIMN_PARAM_FILE, "FILE",                                                                      \
              "a data set: .jsonl, .json, .csv, .tsv or .txt; see --prompt-field and --where",                         \
              offsetof(type, member.file))

/* What the prompts are made of (DATA_MADE_ROWS) and of which records. A method has CHAT_ROWS too, of the same
 * ChatParams. */
#define DATA_WHERE_ROW(type, member)                                                                                   \
    PARAM_ROW("where", 0, LIMN_PARAM_TEXT, "FILTER",                                                                   \
              "only records for which this holds: \"label != pred and length(text) > 9 and text ~ 'bank.?run'\"",      \
              offsetof(type, member.where))
#define DATA_PROMPT_ROWS(type, member) DATA_MADE_ROWS(type, member), DATA_WHERE_ROW(type, member)
#define DATA_MADE_ROWS(type, member)                                                                                   \
    PARAM_ROW("prompt-field", 0, LIMN_PARAM_TEXT, "FIELD", "the field that is the prompt (of .txt: the line)",         \
              offsetof(type, member.prompt_field)),                                                                    \
        PARAM_ROW("template", 0, LIMN_PARAM_TEXT, "TEXT",                                                              \
                  "the prompt made of fields: 'Tweet: {text}\\nAnswer:'; {{ and }} are braces",                        \
                  offsetof(type, member.template_text)),                                                               \
        PARAM_ROW("messages-field", 0, LIMN_PARAM_TEXT, "FIELD",                                                       \
                  "the field that is a chat: a list of messages, read by the model's chat template",                   \
                  offsetof(type, member.messages_field)),                                                              \
        PARAM_ROW("as-chat", 0, LIMN_PARAM_FLAG, NULL,                                                                 \
                  "give the prompt as a user's message by the model's chat template", offsetof(type, member.as_chat)), \
        PARAM_ROW("system", 0, LIMN_PARAM_TEXT, "TEXT", "with --as-chat: the system message before it",                \
                  offsetof(type, member.system)),                                                                      \
        {.name = "on-error",                                                                                           \
         .kind = LIMN_PARAM_CHOICE,                                                                                    \
         .metavar = "WHAT",                                                                                            \
         .default_text = "stop",                                                                                       \
         .choices = "stop|skip",                                                                                       \
         .help = "at a record that cannot be used; skip: count and list it, which fails a check",                      \
         .field = offsetof(type, member.on_error)},                                                                    \
    {                                                                                                                  \
        .name = "data-format", .kind = LIMN_PARAM_CHOICE, .metavar = "FORMAT", .default_text = "auto",                 \
        .choices = "auto|jsonl|json|csv|tsv|text", .help = "of the data set; auto: by the file's ending",              \
        .field = offsetof(type, member.format)                                                                         \
    }

/* Labels, names of records, and how many. */
#define DATA_LABEL_ROWS(type, member)                                                                                  \
    PARAM_ROW("label-field", 0, LIMN_PARAM_TEXT, "FIELD", "the field with the right answer",                           \
              offsetof(type, member.label_field)),                                                                     \
        PARAM_ROW("id-field", 0, LIMN_PARAM_TEXT, "FIELD", "the field that names a record; without it, its number",    \
                  offsetof(type, member.id_field)),                                                                    \
        {.name = "limit",                                                                                              \
         .kind = LIMN_PARAM_INTEGER,                                                                                   \
         .metavar = "N",                                                                                               \
         .minimum = 1,                                                                                                 \
         .maximum = 9e15,                                                                                              \
         .help = "stop after N records",                                                                               \
         .field = offsetof(type, member.limit)},                                                                       \
    {                                                                                                                  \
        .name = "sample", .kind = LIMN_PARAM_INTEGER, .metavar = "N", .minimum = 1, .maximum = 1e9,                    \
        .help = "N records drawn at random by --seed, in the order of the file",                                       \
        .field = offsetof(type, member.sample)                                                                         \
    }
#define DATA_ROWS(type, member)                                                                                        \
    DATA_PROMPT_ROWS(type, member), DATA_LABEL_ROWS(type, member),                                                     \
        PARAM_ROW("group-field", 0, LIMN_PARAM_TEXT, "FIELD", "report each value of this field by itself as well",     \
                  offsetof(type, member.group_field)),                                                                 \
        PARAM_ROW("allow-empty", 0, LIMN_PARAM_FLAG, NULL, "no record at all is a failed check, not wrong use",        \
                  offsetof(type, member.allow_empty))

typedef struct DataItem {
    int64_t number; /* of the record in its file, from 0 */
    int64_t line;   /* from 1 */
    uint64_t hash;  /* of the record's bytes */
    Text prompt;
    Text other; /* absent: not asked for */
    Text words; /* the same */
    Text label; /* absent: not asked for, null or empty */
    Text group; /* absent: not asked for; "" where the record has none */
    Text id;
    uint32_t marks;        /* bit i: mark i holds (data_source_add_mark) */
    const TextSpan *spans; /* [n_spans] what of the prompt is the record's own: its fields, what its messages say */
    int32_t n_spans;
    int64_t done, total; /* for progress, once this item is done */
} DataItem;

typedef struct DataSource DataSource;

limn_status data_source_open(DataSource **source, MethodCall *call, const DataParams *params);
/* Before the first record: chats need the model's template. */
limn_status data_source_use_model(DataSource *source, MethodCall *call, const Model *model);
/* Before the first record: a further filter, asked of each record that is given and told by a bit of its marks, the
 * first added by bit 0. option: who asks, for messages. */
enum { DATA_MARKS_MAX = 4 };
limn_status data_source_add_mark(DataSource *source, MethodCall *call, const char *option, Text filter);
/* Behind the last record: refuses a mark that asks for a field that no record had. */
limn_status data_source_check_marks(const DataSource *source);
void data_source_close(DataSource *source); /* NULL is fine */
const char *data_source_path(const DataSource *source);
bool data_source_is_regular(const DataSource *source); /* a file that can be read again */

/* How its prompts are to be encoded: a chat's special tokens are its template's own. */
EncodeOptions data_source_encode_options(const DataSource *source, const MethodCall *call);

/* *there false: no more. Texts are copied into the arena. With a failure, *there true says that it is this record's
 * alone: item has its number, line and hash, and the next call goes on behind it. */
limn_status data_source_next(DataSource *source, DataItem *item, Arena *arena, bool *there);

/* The record of the last item; borrowed until the next one. */
const Record *data_source_record(const DataSource *source);

bool data_source_skips(const DataSource *source); /* --on-error skip */
/* For --on-error skip: counts and lists a record that cannot be used; why as error_message says it. */
limn_status data_source_skip(DataSource *source, const DataItem *item, const char *why);

/* What a reader of the result should know of the records, once they are read: warnings, checks, the list of those
 * skipped. Refuses a data set of which nothing was left, unless --allow-empty makes that a failed check. */
limn_status data_source_finish(const DataSource *source, Result *result);

#endif
