/* A chat template and the messages it gets: the input is both, the template first, a line "%%%" between them. */
#include <string.h>

#include "chat/chat.h"
#include "fuzz.h"

static const char usual[] = "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a b\"},"
                            "{\"role\":\"assistant\",\"content\":\"c\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
                            "\"arguments\":{\"x\":1}}}]}]";

static void use_text(const ChatText *text, size_t n_messages) {
    size_t begin = 0;
    for (size_t i = 0; i < text->n_spans; i++) {
        const ChatSpan *span = &text->spans[i];
        check(span->end > begin, "spans that follow one another");
        check(span->message >= -1 && span->message < (int32_t)n_messages, "a message that there is");
        check(chat_text_span(text, begin) == span, "the span of a byte");
        begin = span->end;
    }
    check(begin == text->length && text->text[text->length] == '\0', "spans up to the end");
}

static void render(const ChatTemplate *parsed, const json_t *messages, bool generation_prompt) {
    ChatText text;
    const ChatInput input = {.messages = messages,
                             .tools = messages,
                             .documents = messages,
                             .generation_prompt = generation_prompt,
                             .date = {2024, 7, 26, 0, 0, 0},
                             .limits = {200000, (size_t)64 << 20, 1 << 20}};
    limn_status status = chat_template_render(&text, parsed, &input);
    if (status != LIMN_OK) {
        check(text.text == NULL, "nothing after a failure");
        check_failure(status);
        return;
    }
    use_text(&text, json_array_size(messages));
    chat_text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *source = (const char *)data;
    const char *between = size >= 5 ? memmem(data, size, "\n%%%\n", 5) : NULL;
    size_t length = between != NULL ? (size_t)(between - source) : size;
    json_t *messages = NULL;
    limn_status status = between != NULL ? chat_json_load(&messages, "messages", between + 5, size - length - 5)
                                         : chat_json_load(&messages, "messages", usual, sizeof usual - 1);
    if (status != LIMN_OK) {
        check_failure(status);
        return 0;
    }
    ChatTemplate *parsed;
    status = chat_template_parse(&parsed, "template", source, length);
    if (status == LIMN_OK) {
        render(parsed, messages, true);
        chat_template_free(parsed);
    } else {
        check_failure(status);
    }
    json_decref(messages);
    return 0;
}
