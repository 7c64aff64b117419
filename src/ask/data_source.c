#include "ask/data_source.h"

#include <stdlib.h>
#include <string.h>

#include "ask/chat_prompt.h"
#include "ask/data_spans.h"
#include "data/template.h"
#include "data/where.h"
#include "files/json.h"
#include "files/record_json.h"

enum { SKIPPED_KEPT = 1000 };

typedef struct SkippedRecord {
    int64_t number, line;
    const char *why;
} SkippedRecord;

typedef struct DataMark {
    const char *option;
    Where *filter;
} DataMark;

struct DataSource {
    const MethodCall *call;   /* borrowed, for its language */
    const DataParams *params; /* borrowed from the call */
    Dataset *dataset;
    const Record *record; /* of the last item */
    Template prompt;      /* in the call's arena */
    Template other;       /* no parts: not asked for */
    size_t *edges;        /* [2 * fields] of the last prompt made */
    TextBuffer scratch;
    int64_t given;
    const Model *model;     /* of chats */
    ChatRenderer *renderer; /* NULL: no chats */
    bool asked_date;
    int64_t specials; /* special tokens spelled inside of messages */
    int64_t answered; /* chats that end with an answer */
    int64_t n_skipped;
    SkippedRecord *skipped; /* [n_kept] the first of them */
    int32_t n_kept, capacity;
    Arena reasons;
    DataMark marks[DATA_MARKS_MAX]; /* [n_marks] */
    int n_marks;
};

static bool is_chat(const DataParams *params) {
    return params->as_chat || params->messages_field.bytes != NULL;
}

static limn_status check_options(const DataParams *params, const char *command) {
    const char *const first = params->prompt_field.bytes != NULL ? "--prompt-field" : "--template";
    const char *const last = params->messages_field.bytes != NULL ? "--messages-field" : "--template";
    int given = (params->prompt_field.bytes != NULL) + (params->template_text.bytes != NULL) +
                (params->messages_field.bytes != NULL);
    if (given > 1) {
        return fail(LIMN_USAGE, "%s: %s and %s both say what the prompt is; give one", command, first, last);
    }
    if (params->as_chat && params->messages_field.bytes != NULL) {
        return fail(LIMN_USAGE,
                    "%s: --as-chat makes a chat of a text; --messages-field names one that is there: give "
                    "one of them",
                    command);
    }
    if (params->system.bytes != NULL && !params->as_chat) {
        return fail(LIMN_USAGE, "%s: option 'system' goes with --as-chat", command);
    }
    return is_chat(params) ? LIMN_OK : chat_params_refuse(command, &params->chat, "--as-chat or --messages-field");
}

static limn_status make_template(DataSource *source, MethodCall *call) {
    const DataParams *params = source->params;
    const char *command = call->method->command.name;
    if (params->messages_field.bytes != NULL) {
        return LIMN_OK;
    }
    if (params->template_text.bytes != NULL) {
        return template_parse(&source->prompt, params->template_text.bytes, params->template_text.length, call->arena);
    }
    if (params->prompt_field.bytes != NULL) {
        return template_of_field(&source->prompt, params->prompt_field.bytes, params->prompt_field.length, call->arena);
    }
    if (dataset_is_text(source->dataset)) {
        return template_of_field(&source->prompt, "text", 4, call->arena);
    }
    return fail(LIMN_USAGE,
                "%s: what is the prompt? Give --prompt-field FIELD, --template 'TEXT {FIELD}' or --messages-field "
                "FIELD",
                command);
}

static limn_status make_edges(DataSource *source, MethodCall *call) {
    source->edges = ARENA_ARRAY(call->arena, size_t, 2 * template_fields(&source->prompt) + 1);
    return source->edges != NULL ? LIMN_OK : method_no_memory(call);
}

/* The second prompt of a record, where a method has one. */
static limn_status make_other(DataSource *source, MethodCall *call) {
    const DataParams *params = source->params;
    if (params->other_field.bytes != NULL && params->other_template.bytes != NULL) {
        return fail(LIMN_USAGE, "%s: the second prompt is named by a field and by a template; give one",
                    call->method->command.name);
    }
    if (params->other_template.bytes != NULL) {
        return template_parse(&source->other, params->other_template.bytes, params->other_template.length, call->arena);
    }
    return params->other_field.bytes == NULL
               ? LIMN_OK
               : template_of_field(&source->other, params->other_field.bytes, params->other_field.length, call->arena);
}

static limn_status open_source(DataSource *source, MethodCall *call) {
    const DataParams *params = source->params;
    TRY(check_options(params, call->method->command.name));
    DatasetOptions options = {.format = (RecordFormat)params->format,
                              .where = params->where.bytes,
                              .where_length = params->where.length,
                              .limit = params->limit == PARAM_NO_INTEGER ? 0 : params->limit,
                              .sample = params->sample == PARAM_NO_INTEGER ? 0 : params->sample,
                              .seed = (uint64_t)call->common.seed,
                              .skip_bad = params->on_error == ON_ERROR_SKIP,
                              .progress = call->progress};
    TRY(dataset_open(&source->dataset, params->file.bytes, &options));
    TRY(make_other(source, call));
    TRY(make_template(source, call));
    return make_edges(source, call);
}

limn_status data_source_open(DataSource **source, MethodCall *call, const DataParams *params) {
    *source = NULL;
    if (params->file.bytes == NULL) {
        return fail(LIMN_USAGE, "%s: no data set was named", call->method->command.name);
    }
    DataSource *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return method_no_memory(call);
    }
    made->call = call;
    made->params = params;
    arena_init(&made->reasons);
    limn_status status = open_source(made, call);
    if (status != LIMN_OK) {
        data_source_close(made);
        return status;
    }
    *source = made;
    return LIMN_OK;
}

limn_status data_source_add_mark(DataSource *source, MethodCall *call, const char *option, Text filter) {
    DataMark *mark = &source->marks[source->n_marks];
    mark->option = option;
    TRY(expression_parse(&mark->filter, EXPRESSION_CONDITION, option, filter.bytes, filter.length, call->arena));
    source->n_marks++;
    return LIMN_OK;
}

limn_status data_source_check_marks(const DataSource *source) {
    for (int i = 0; i < source->n_marks; i++) {
        const char *unseen = where_unseen_name(source->marks[i].filter);
        if (unseen != NULL && source->given > 0) {
            return fail(LIMN_NOT_FOUND, "option '%s': no record of %s has the field '%.80s' (a text stands in quotes)",
                        source->marks[i].option, data_source_path(source), unseen);
        }
    }
    return LIMN_OK;
}

void data_source_close(DataSource *source) {
    if (source == NULL) {
        return;
    }
    for (int i = 0; i < source->n_marks; i++) {
        where_free(source->marks[i].filter);
    }
    dataset_close(source->dataset);
    chat_renderer_free(source->renderer);
    text_buffer_free(&source->scratch);
    arena_free(&source->reasons);
    free(source->skipped);
    free(source);
}

const char *data_source_path(const DataSource *source) {
    return dataset_path(source->dataset);
}

const Record *data_source_record(const DataSource *source) {
    return source->record;
}

bool data_source_is_regular(const DataSource *source) {
    return dataset_is_regular(source->dataset);
}

static limn_status copy_text(Text *text, const TextBuffer *from, Arena *arena) {
    char *copy = arena_strndup(arena, from->data != NULL ? from->data : "", from->length);
    *text = (Text){copy, from->length};
    return copy != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "a text of %zu bytes", from->length);
}

/* A field as text. required: it must be there; else an absent one leaves the text absent. */
static limn_status field_of(Text *text, DataSource *source, const Record *record, Text name, bool required,
                            Arena *arena) {
    *text = (Text){NULL, 0};
    if (name.bytes == NULL) {
        return LIMN_OK;
    }
    FieldValue value = record_field(record, name.bytes, name.length);
    if (value.kind == FIELD_ABSENT && required) {
        return record_lacks(record, data_source_path(source), name.bytes);
    }
    if (value.kind == FIELD_ABSENT || value.kind == FIELD_NULL) {
        return LIMN_OK;
    }
    text_buffer_clear(&source->scratch);
    TRY(field_text(&source->scratch, &value));
    return copy_text(text, &source->scratch, arena);
}

/* ---- chats ---- */

limn_status data_source_use_model(DataSource *source, MethodCall *call, const Model *model) {
    source->model = model;
    return is_chat(source->params) ? chat_renderer_open(&source->renderer, call, model, &source->params->chat)
                                   : LIMN_OK;
}

EncodeOptions data_source_encode_options(const DataSource *source, const MethodCall *call) {
    return is_chat(source->params) ? chat_encode_options() : (EncodeOptions){.bos = (BosMode)call->common.bos};
}

/* A message without a role would make most templates write nothing, silently. */
static limn_status check_roles(const ChatFile *chat, const char *where) {
    size_t n = json_array_size(chat->messages);
    for (size_t i = 0; i < n; i++) {
        const json_t *role = json_object_get(json_array_get(chat->messages, i), "role");
        char found[80];
        if (!json_is_string(role)) {
            return fail(LIMN_FORMAT, "%s: element %zu: found %s for its 'role', expected a text ('user')", where, i,
                        role != NULL ? json_describe(role, found) : "nothing");
        }
    }
    return n > 0 ? LIMN_OK : fail(LIMN_FORMAT, "%s: found an empty list, expected messages", where);
}

/* The record's own messages; a text (a cell of CSV) may hold them as JSON. */
static limn_status messages_of_field(ChatFile *chat, const DataSource *source, const Record *record,
                                     const char *where) {
    Text name = source->params->messages_field;
    FieldValue value = record_field(record, name.bytes, name.length);
    if (value.kind == FIELD_ABSENT) {
        return record_lacks(record, data_source_path(source), name.bytes);
    }
    if (value.kind == FIELD_TEXT || value.kind == FIELD_CELL) {
        TRY(chat_json_load(&chat->json, where, value.bytes, value.length));
    } else if (value.kind == FIELD_JSON) {
        const char *digits = json_digits_inside(value.json);
        if (digits != NULL) {
            return fail(LIMN_UNSUPPORTED,
                        "%s: found the integer %.40s, expected at most 64 bits in messages (in quotes it is a text)",
                        where, digits);
        }
        chat->json = json_incref((json_t *)(uintptr_t)value.json); /* the record lends it */
    } else {
        return fail(LIMN_FORMAT, "%s: found %s, expected a list of messages", where,
                    value.kind == FIELD_NULL   ? "null"
                    : value.kind == FIELD_BOOL ? "a truth value"
                                               : "a number");
    }
    TRY(chat_file_take(chat, where));
    return check_roles(chat, where);
}

static json_t *message(const char *role, const char *text, size_t length) {
    return json_pack("{s:s, s:o}", "role", role, "content", json_stringn(text, length));
}

/* The made prompt as the user's message. */
static limn_status messages_of_prompt(ChatFile *chat, const DataSource *source, const char *where) {
    Text system = source->params->system;
    chat->json = json_array();
    bool made = chat->json != NULL;
    if (made && system.bytes != NULL) {
        made = json_array_append_new(chat->json, message("system", system.bytes, system.length)) == 0;
    }
    const TextBuffer *prompt = &source->scratch;
    made = made && json_array_append_new(
                       chat->json, message("user", prompt->data != NULL ? prompt->data : "", prompt->length)) == 0;
    chat->messages = chat->json;
    return made ? LIMN_OK : fail(LIMN_USAGE, "%s: no message could be made of it, expected UTF-8", where);
}

static limn_status count_chat(DataSource *source, const ChatFile *chat, const ChatText *text) {
    const json_t *last = json_array_get(chat->messages, json_array_size(chat->messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    Encoding encoding = {0};
    const EncodeOptions options = chat_encode_options();
    TRY(tokenizer_encode(&encoding, source->model->tokenizer, text->text, text->length, NULL, 0, &options));
    source->specials += chat_specials_in_content(text, encoding.tokens, encoding.n);
    source->answered += role != NULL && strcmp(role, "assistant") == 0;
    source->asked_date = source->asked_date || text->asked_date;
    encoding_free(&encoding);
    return LIMN_OK;
}

/* What of the chat is the record's own. */
static limn_status find_spans(DataItem *item, const DataSource *source, const ChatFile *chat, const ChatText *text,
                              Arena *arena) {
    TextSpans fields = {0}, spans;
    Text made = {NULL, 0};
    if (source->params->as_chat) {
        made = (Text){source->scratch.data != NULL ? source->scratch.data : "", source->scratch.length};
        TRY(spans_of_fields(&fields, &source->prompt, source->edges, arena));
    }
    TRY(spans_of_chat(&spans, text, chat->messages, made, &fields, arena));
    item->spans = spans.items;
    item->n_spans = spans.n;
    return LIMN_OK;
}

static limn_status render_chat(DataSource *source, const ChatFile *chat, DataItem *item, Arena *arena) {
    const ChatTemplate *parsed;
    ChatInput input;
    ChatText text = {0};
    TRY(chat_renderer_prepare(source->renderer, chat, &parsed, &input));
    TRY(chat_template_render(&text, parsed, &input));
    limn_status status = count_chat(source, chat, &text);
    if (status == LIMN_OK) {
        char *copy = arena_strndup(arena, text.text, text.length);
        item->prompt = (Text){copy, text.length};
        status = copy != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "a text of %zu bytes", text.length);
    }
    if (status == LIMN_OK) {
        status = find_spans(item, source, chat, &text, arena);
    }
    chat_text_free(&text);
    return status;
}

static limn_status read_chat(DataSource *source, const Record *record, DataItem *item, Arena *arena) {
    const DataParams *params = source->params;
    ChatFile chat = {0};
    const char *path = data_source_path(source);
    const char *where = params->as_chat ? arena_printf(arena, "%s: line %lld", path, (long long)record->line)
                                        : arena_printf(arena, "%s: line %lld: the field '%.80s'", path,
                                                       (long long)record->line, params->messages_field.bytes);
    if (where == NULL) {
        return fail(LIMN_NO_MEMORY, "the messages of a record");
    }
    limn_status status =
        params->as_chat ? messages_of_prompt(&chat, source, where) : messages_of_field(&chat, source, record, where);
    if (status == LIMN_OK) {
        status = render_chat(source, &chat, item, arena);
        status = status == LIMN_OK ? status : fail_context("%s", where);
    }
    json_decref(chat.json);
    return status;
}

/* ---- what became of the records ---- */

bool data_source_skips(const DataSource *source) {
    return source->params->on_error == ON_ERROR_SKIP;
}

/* The list names records by number and line: without the file's name before each reason. */
static const char *bare_reason(const DataSource *source, const char *why) {
    size_t n = strlen(data_source_path(source));
    return strncmp(why, data_source_path(source), n) == 0 && strncmp(why + n, ": ", 2) == 0 ? why + n + 2 : why;
}

limn_status data_source_skip(DataSource *source, const DataItem *item, const char *why) {
    source->n_skipped++;
    if (source->n_kept == SKIPPED_KEPT) {
        return LIMN_OK;
    }
    if (source->n_kept == source->capacity) {
        int32_t capacity = source->capacity == 0 ? 16 : 2 * source->capacity;
        SkippedRecord *grown = realloc(source->skipped, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "a list of %d records", (int)capacity);
        }
        source->skipped = grown;
        source->capacity = capacity;
    }
    const char *reason = arena_strdup(&source->reasons, bare_reason(source, why));
    source->skipped[source->n_kept++] = (SkippedRecord){item->number, item->line, reason};
    return reason != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "why a record was skipped");
}

static void list_skipped(const DataSource *source, Result *result) {
    static const TableColumn columns[] = {
        {TEXT("record"), COLUMN_INTEGER}, {TEXT("line"), COLUMN_INTEGER}, {TEXT("why"), COLUMN_TEXT}};
    result_check(result, "skipped", (double)source->n_skipped, CHECK_AT_MOST, 0,
                 SAY(source->call, "records that could not be used and were skipped, of %lld",
                     "无法使用而跳过的记录，共 %lld 条"),
                 (long long)source->given);
    if (source->n_skipped == 0) {
        return;
    }
    TableBlock *table =
        result_add_table(result, "skipped", SAY(source->call, "Records that were skipped", "跳过的记录"), columns, 3);
    for (int32_t i = 0; i < source->n_kept; i++) {
        const SkippedRecord *one = &source->skipped[i];
        const Value cells[] = {value_integer(one->number), value_integer(one->line), value_text(one->why)};
        table_row(table, cells);
    }
    if (source->n_kept < source->n_skipped) {
        result_block_note(result, SAY(source->call, "the first %d of %lld", "前 %d 条，共 %lld 条"),
                          (int)source->n_kept, (long long)source->n_skipped);
    }
}

/* None at all, or none that the filter leaves. */
static limn_status check_any(const DataSource *source, Result *result) {
    const DataParams *params = source->params;
    if (source->given == 0 && !params->allow_empty) {
        return fail(LIMN_USAGE, "%s: no records%s; --allow-empty makes that a failed check", data_source_path(source),
                    params->where.bytes != NULL ? " that --where leaves" : "");
    }
    if (params->allow_empty) {
        result_check(result, "records", (double)source->given, CHECK_AT_LEAST, 1, "%s",
                     SAY(source->call, "records to answer about", "要回答的记录"));
    }
    return LIMN_OK;
}

limn_status data_source_finish(const DataSource *source, Result *result) {
    TRY(check_any(source, result));
    if (data_source_skips(source)) {
        list_skipped(source, result);
    }
    if (source->asked_date) {
        result_param_text(result, "chat-date", chat_renderer_date(source->renderer));
    }
    chat_warn_of_specials(result, source->call, source->specials);
    if (source->answered > 0 && !source->params->chat.no_generation_prompt) {
        result_warn(result,
                    SAY(source->call,
                        "%lld chats end with an assistant's message: what is decided is a further answer behind it",
                        "%lld 个对话以助手的消息结尾：所判定的是其后的下一个回答"),
                    (long long)source->answered);
    }
    return LIMN_OK;
}

/* ---- records ---- */

static limn_status read_prompt(DataSource *source, const Record *record, DataItem *item, Arena *arena) {
    TextSpans fields;
    text_buffer_clear(&source->scratch);
    TRY(template_fill(&source->scratch, source->edges, &source->prompt, data_source_path(source), record));
    if (is_chat(source->params)) {
        return read_chat(source, record, item, arena);
    }
    TRY(spans_of_fields(&fields, &source->prompt, source->edges, arena));
    item->spans = fields.items;
    item->n_spans = fields.n;
    return copy_text(&item->prompt, &source->scratch, arena);
}

static limn_status read_marks(const DataSource *source, const Record *record, DataItem *item) {
    for (int i = 0; i < source->n_marks; i++) {
        bool holds;
        TRY(where_test(source->marks[i].filter, record, &holds));
        item->marks |= holds ? 1U << i : 0;
    }
    return LIMN_OK;
}

static limn_status read_item(DataSource *source, const Record *record, DataItem *item, Arena *arena) {
    const DataParams *params = source->params;
    TRY(read_marks(source, record, item));
    TRY(read_prompt(source, record, item, arena));
    if (source->other.n > 0) {
        text_buffer_clear(&source->scratch);
        TRY(template_fill(&source->scratch, NULL, &source->other, data_source_path(source), record));
        TRY(copy_text(&item->other, &source->scratch, arena));
    }
    TRY(field_of(&item->words, source, record, params->words_field, true, arena));
    TRY(field_of(&item->label, source, record, params->label_field, true, arena));
    if (item->label.length == 0) {
        item->label.bytes = NULL;
    }
    TRY(field_of(&item->group, source, record, params->group_field, true, arena));
    if (item->group.bytes == NULL && params->group_field.bytes != NULL) {
        item->group = text_of("");
    }
    TRY(field_of(&item->id, source, record, params->id_field, true, arena));
    if (item->id.bytes == NULL) {
        char *number = arena_printf(arena, "%lld", (long long)record->number);
        item->id = text_of(number);
        return number != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "the number of a record");
    }
    return LIMN_OK;
}

limn_status data_source_next(DataSource *source, DataItem *item, Arena *arena, bool *there) {
    const Record *record;
    *item = (DataItem){0};
    limn_status status = dataset_next(source->dataset, &record);
    record = status == LIMN_OK ? record : dataset_bad(source->dataset);
    *there = record != NULL;
    source->record = record;
    if (record == NULL) {
        return status;
    }
    item->number = record->number;
    item->line = record->line;
    item->hash = record->hash;
    dataset_progress(source->dataset, record, ++source->given, &item->done, &item->total);
    return status == LIMN_OK ? read_item(source, record, item, arena) : status;
}
