/* What of a prompt is a record's own: fields of a template, what the messages of a chat say. */
#include "ask/data_spans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* "name=text|name=text" */
static void is(const TextSpans *spans, const char *text, const char *wanted) {
    TextBuffer said = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < spans->n; i++) {
        const TextSpan *span = &spans->items[i];
        text_buffer_add(&said, i == 0 ? "" : "|");
        text_buffer_add_bytes(&said, span->name.bytes, span->name.length);
        text_buffer_add(&said, "=");
        text_buffer_add_bytes(&said, text + span->from, span->to - span->from);
    }
    assert_string_equal(said.data == NULL ? "" : said.data, wanted);
    text_buffer_free(&said);
}

static void fields_are_the_records(void **state) {
    static const struct {
        const char *template, *spans;
    } cases[] = {
        {"{who}: {text}.", "who=Ann|text=hi {you}"},
        {"{text}", "text=hi {you}"},
        {"{{who}} {text}{who}", "text=hi {you}|who=Ann"}, /* doubled braces are braces */
        {"{none}{text}", "none=|text=hi {you}"},          /* an empty field is there, and empty */
        {"nobody", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Arena arena;
        Template made;
        TextSpans spans;
        TextBuffer out = TEXT_BUFFER_INIT;
        arena_init(&arena);
        must(template_parse(&made, cases[i].template, strlen(cases[i].template), &arena));
        json_t *object = json_pack("{s:s, s:s, s:s}", "who", "Ann", "text", "hi {you}", "none", "");
        const Record record = {.line = 1, .object = object};
        size_t *edges = ARENA_ARRAY(&arena, size_t, 2 * template_fields(&made) + 1);
        must(template_fill(&out, edges, &made, "file", &record));
        must(spans_of_fields(&spans, &made, edges, &arena));
        is(&spans, out.data, cases[i].spans);
        json_decref(object);
        text_buffer_free(&out);
        arena_free(&arena);
    }
}

/* "<u>" "hello" "<a>" "well" "<u>" "ask: why" "<end>" */
static char chat[] = "<u>hello<a>well<u>ask: why<end>";
static ChatSpan pieces[] = {
    {.end = 3, .message = 0},   {.end = 8, .message = 0, .content = true},
    {.end = 11, .message = 1},  {.end = 15, .message = 1, .content = true},
    {.end = 18, .message = 2},  {.end = 26, .message = 2, .content = true},
    {.end = 31, .message = -1},
};

static void of_chat(const char *messages, const char *made, const TextSpans *inside, const char *wanted) {
    Arena arena;
    TextSpans spans;
    arena_init(&arena);
    const ChatText text = {
        .text = chat, .length = sizeof chat - 1, .spans = pieces, .n_spans = sizeof pieces / sizeof *pieces};
    json_t *json = json_loads(messages, 0, NULL);
    assert_non_null(json);
    must(spans_of_chat(&spans, &text, json, made == NULL ? (Text){NULL, 0} : text_of(made), inside, &arena));
    is(&spans, chat, wanted);
    json_decref(json);
    arena_free(&arena);
}

static void messages_are_the_records(void **state) {
    static const char roles[] = "[{\"role\": \"user\"}, {\"role\": \"assistant\"}, {\"role\": \"user\"}]";
    static TextSpan question = {5, 8, {"question", 8}};
    const TextSpans none = {0}, inside = {&question, 1};
    of_chat(roles, NULL, &none, "user=hello|assistant=well|user=ask: why");
    of_chat("[{\"role\": \"user\"}, {}, {\"role\": 3}]", NULL, &none, "user=hello|message=well|message=ask: why");
    /* a text given as the last message: only what is the record's own in it, nothing of the others */
    of_chat(roles, "ask: why", &inside, "question=why");
    /* ... which the template has changed (cut, say): the whole message */
    of_chat(roles, "ask: why?", &inside, "user=ask: why");
    of_chat(roles, "ask: why", &none, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_the_records),
        cmocka_unit_test(messages_are_the_records),
    };
    return cmocka_run_group_tests_name("data spans", tests, NULL, NULL);
}
