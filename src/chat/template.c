/* Opening a template, running it once, and the origin of what it wrote. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/evaluate.h"

/* ---- failures ---- */

void source_place(const ChatTemplate *parsed, uint32_t at, int *line, int *column) {
    *line = *column = 1;
    for (size_t i = 0; i < at && i < parsed->length; i++) {
        if (parsed->source[i] == '\n') {
            ++*line;
            *column = 1;
        } else {
            *column += ((unsigned char)parsed->source[i] & 0xC0U) != 0x80;
        }
    }
}

static limn_status fail_at(const ChatTemplate *parsed, limn_status status, uint32_t at, const char *format,
                           va_list arguments) {
    char text[ERROR_MESSAGE_MAX / 2];
    int line, column;
    vsnprintf(text, sizeof text, format, arguments);
    source_place(parsed, at, &line, &column);
    return fail(status, "%s: line %d, column %d: %s", parsed->name, line, column, text);
}

limn_status source_fail(const ChatTemplate *parsed, limn_status status, uint32_t at, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_at(parsed, status, at, format, arguments);
    va_end(arguments);
    return status;
}

limn_status machine_fail(const Machine *machine, limn_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_at(machine->parsed, status, machine->at, format, arguments);
    va_end(arguments);
    return status;
}

limn_status template_no_memory(const ChatTemplate *parsed) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", parsed->name != NULL ? parsed->name : "a chat template");
}

limn_status machine_step(Machine *machine, size_t count) {
    int64_t limit = machine->input->limits.steps;
    if (count > (size_t)limit || machine->steps > limit - (int64_t)count) {
        return machine_fail(machine, LIMN_RANGE, "more than %lld steps (the limit)", (long long)limit);
    }
    machine->steps += (int64_t)count;
    return LIMN_OK;
}

limn_status machine_take(void **memory, Machine *machine, size_t count, size_t size) {
    size_t limit = machine->input->limits.memory_bytes, left = limit - machine->bytes;
    if (count > left / size) {
        return machine_fail(machine, LIMN_RANGE, "more than %zu bytes of memory (the limit)", limit);
    }
    machine->bytes += count * size + (left - count * size > 16 ? 16 : 0);
    *memory = arena_zalloc(&machine->arena, count * size);
    return *memory != NULL ? LIMN_OK : template_no_memory(machine->parsed);
}

/* ---- opening ---- */

/* A copy with every line ended by "\n", without the last one's. */
static limn_status keep_source(ChatTemplate *parsed, const char *source, size_t length) {
    parsed->source = arena_alloc(&parsed->arena, length + 1);
    if (parsed->source == NULL) {
        return template_no_memory(parsed);
    }
    size_t n = 0;
    for (size_t at = 0; at < length; at++) {
        bool pair = source[at] == '\r' && at + 1 < length && source[at + 1] == '\n';
        parsed->source[n++] = (char)(source[at] == '\r' ? '\n' : source[at]);
        at += pair;
    }
    parsed->length = n - (n > 0 && parsed->source[n - 1] == '\n');
    parsed->source[parsed->length] = '\0';
    return LIMN_OK;
}

static limn_status parse(ChatTemplate *parsed, const char *name, const char *source, size_t length) {
    parsed->name = arena_strdup(&parsed->arena, name);
    if (parsed->name == NULL) {
        return template_no_memory(parsed);
    }
    if (length > CHAT_TEMPLATE_CAP) {
        return fail(LIMN_RANGE, "%s: a chat template of %zu bytes; the limit is %d", name, length, CHAT_TEMPLATE_CAP);
    }
    if (!utf8_is_valid(source, length)) {
        return fail(LIMN_FORMAT, "%s: the chat template is not UTF-8", name);
    }
    TRY(keep_source(parsed, source, length));
    Tokens tokens = {0};
    limn_status status = tokens_read(&tokens, parsed);
    Parser parser = {.parsed = parsed, .tokens = tokens.items};
    if (status == LIMN_OK) {
        status = parse_template(&parser);
    }
    free(tokens.items);
    return status;
}

limn_status chat_template_parse(ChatTemplate **parsed, const char *name, const char *source, size_t length) {
    *parsed = NULL;
    ChatTemplate *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: out of memory", name);
    }
    arena_init(&made->arena);
    map_init(&made->ids);
    limn_status status = parse(made, name, source, length);
    if (status != LIMN_OK) {
        chat_template_free(made);
        return status;
    }
    *parsed = made;
    return LIMN_OK;
}

void chat_template_free(ChatTemplate *parsed) {
    if (parsed != NULL) {
        map_free(&parsed->ids);
        arena_free(&parsed->arena);
        free(parsed);
    }
}

/* ---- running ---- */

static limn_status bind(Machine *machine, Scope *scope, const char *name, TemplateValue value) {
    uint64_t id;
    return map_get(&machine->parsed->ids, name, strlen(name), &id) ? scope_set(machine, scope, (uint32_t)id, value)
                                                                   : LIMN_OK; /* nobody asks for it */
}

static limn_status bind_json(Machine *machine, Scope *scope, const char *name, const json_t *json) {
    uint64_t id;
    TemplateValue value = value_of(TEMPLATE_NONE);
    if (!map_get(&machine->parsed->ids, name, strlen(name), &id)) {
        return LIMN_OK;
    }
    TRY(json != NULL ? value_from_json(&value, machine, json, 0) : LIMN_OK);
    return scope_set(machine, scope, (uint32_t)id, value);
}

/* A message under the names that templates know its reasoning by, as the reference offers them. */
static limn_status alias_reasoning(TemplateValue *message, Machine *machine) {
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    const TemplateValue *reasoning = NULL;
    for (size_t i = 0; i < 3 && (reasoning == NULL || reasoning->kind == TEMPLATE_NONE); i++) {
        TRY(dict_find_text(&reasoning, machine, message->dict, names[i], strlen(names[i])));
    }
    if (reasoning == NULL || reasoning->kind == TEMPLATE_NONE) {
        return LIMN_OK;
    }
    TemplateValue key, made;
    const Dict *from = message->dict;
    TRY(value_dict(&made, machine, from->n + 2));
    TRY(value_of_text(&key, machine, "thinking", 8, 0));
    TRY(dict_set(machine, made.dict, key, *reasoning));
    for (size_t i = 0; i < from->n; i++) {
        TRY(dict_set(machine, made.dict, from->keys[i], from->values[i]));
    }
    TRY(value_of_text(&key, machine, "reasoning_content", 17, 0));
    TRY(dict_set(machine, made.dict, key, *reasoning));
    made.dict->mark = from->mark;
    *message = made;
    return LIMN_OK;
}

static limn_status read_messages(TemplateValue *messages, Machine *machine) {
    const json_t *json = machine->input->messages;
    TRY(value_list(messages, machine, TEMPLATE_LIST, json_array_size(json)));
    for (size_t i = 0; i < messages->list->n; i++) {
        TemplateValue *message = &messages->list->items[i];
        Mark mark = (Mark)(i + 1) * MARK_MESSAGE;
        TRY(value_from_json(message, machine, json_array_get(json, i), mark | MARK_CONTENT));
        TRY(alias_reasoning(message, machine));
        message->dict->is_message = true;
        const TemplateValue *role;
        TRY(dict_find_text(&role, machine, message->dict, "role", 4));
        if (role != NULL && role->kind == TEMPLATE_STRING) { /* whose, not what */
            TRY(value_of_text((TemplateValue *)(uintptr_t)role, machine, role->string->bytes, role->string->length,
                              mark));
        }
    }
    return LIMN_OK;
}

static limn_status bind_input(Machine *machine, Scope *scope, bool generation_prompt) {
    const ChatInput *input = machine->input;
    TemplateValue messages;
    for (size_t i = 0; i < 2; i++) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)input->variables[i], name, value) {
            TRY(bind_json(machine, scope, name, value));
        }
    }
    TRY(read_messages(&messages, machine));
    TRY(bind(machine, scope, "messages", messages));
    TRY(bind_json(machine, scope, "tools", input->tools));
    TRY(bind_json(machine, scope, "documents", input->documents));
    return bind(machine, scope, "add_generation_prompt", value_of_bool(generation_prompt));
}

typedef struct Render {
    Machine machine;
    TemplateValue text;
} Render;

static limn_status render(Render *to, const ChatTemplate *parsed, const ChatInput *input, bool generation_prompt) {
    Machine *machine = &to->machine;
    *machine = (Machine){.parsed = parsed, .input = input};
    arena_init(&machine->arena);
    Scope *scope;
    Flow flow = FLOW_ON;
    TRY(scope_new(&scope, machine, NULL));
    TRY(bind_input(machine, scope, generation_prompt));
    return execute_captured(&to->text, &flow, machine, scope, &parsed->body);
}

/* Where the beginning of the answer begins: after the last byte of a message, when asking for it changed the text. */
static size_t prompt_begin(const Str *text, const ChatTemplate *parsed, const ChatInput *input) {
    Render without;
    limn_status status = render(&without, parsed, input, false);
    const Str *other = status == LIMN_OK ? without.text.string : NULL;
    bool differs = other != NULL && !str_is(text, other->bytes, other->length);
    arena_free(&without.machine.arena);
    if (!differs) {
        return text->length;
    }
    size_t begin = 0;
    for (size_t i = 0; i < text->n_runs; i++) {
        begin = text->runs[i].mark / MARK_MESSAGE != 0 ? text->runs[i].end : begin;
    }
    return text->runs == NULL && text->mark / MARK_MESSAGE != 0 ? text->length : begin;
}

static void add_span(ChatText *text, size_t end, Mark mark, bool is_prompt) {
    text->spans[text->n_spans++] = (ChatSpan){.end = end,
                                              .message = mark / MARK_MESSAGE - 1,
                                              .content = (mark & MARK_CONTENT) != 0,
                                              .generation = (mark & MARK_GENERATION) != 0,
                                              .is_prompt = is_prompt};
}

static limn_status take_text(ChatText *text, const Str *made, size_t prompt) {
    text->length = made->length;
    text->text = malloc(made->length + 1);
    text->spans = calloc(made->n_runs + 3, sizeof *text->spans);
    if (text->text == NULL || text->spans == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for a chat of %zu bytes", made->length);
    }
    memcpy(text->text, made->bytes, made->length);
    text->text[made->length] = '\0';
    const MarkRun whole = {made->length, made->mark};
    const MarkRun *runs = made->runs != NULL ? made->runs : &whole;
    size_t n = made->runs != NULL ? made->n_runs : made->length > 0 ? 1 : 0, begin = 0;
    for (size_t i = 0; i < n; i++) {
        if (begin < prompt && prompt < runs[i].end) {
            add_span(text, prompt, runs[i].mark, false);
        }
        add_span(text, runs[i].end, runs[i].mark, runs[i].end > prompt);
        begin = runs[i].end;
    }
    return LIMN_OK;
}

limn_status chat_template_render(ChatText *text, const ChatTemplate *parsed, const ChatInput *input) {
    memset(text, 0, sizeof *text);
    TRY(chat_messages_check(input->messages, "messages"));
    Render made;
    limn_status status = render(&made, parsed, input, input->generation_prompt);
    if (status == LIMN_OK) {
        const Str *string = made.text.string;
        size_t prompt = input->generation_prompt ? prompt_begin(string, parsed, input) : string->length;
        status = take_text(text, string, prompt);
    }
    text->asked_date = made.machine.asked_date;
    arena_free(&made.machine.arena);
    if (status != LIMN_OK) {
        chat_text_free(text);
    }
    return status;
}

void chat_text_free(ChatText *text) {
    free(text->text);
    free(text->spans);
    memset(text, 0, sizeof *text);
}

const ChatSpan *chat_text_span(const ChatText *text, size_t at) {
    size_t low = 0, high = text->n_spans;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (text->spans[middle].end > at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < text->n_spans ? &text->spans[low] : NULL;
}
