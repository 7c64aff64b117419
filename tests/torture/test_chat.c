#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "chat/chat.h"
#include "torture/torture.h"

static const char talk[] =
    "[{\"role\": \"system\", \"content\": \"Be kind.\"}, {\"role\": \"user\", \"content\": \"a b\","
    " \"reasoning\": \"r\"}, {\"role\": \"assistant\", \"content\": \"c\"}]";
static json_t *messages;

static limn_status parse_and_render(void *context) {
    const char *source = context;
    ChatTemplate *parsed;
    ChatText text;
    TRY(chat_template_parse(&parsed, "t", source, strlen(source)));
    const ChatInput input = {.messages = messages,
                             .tools = messages,
                             .generation_prompt = true,
                             .date = {2024, 7, 26, 0, 0, 0},
                             .limits = CHAT_LIMITS_INIT};
    limn_status status = chat_template_render(&text, parsed, &input);
    if (status == LIMN_OK) {
        chat_text_free(&text);
    }
    chat_template_free(parsed);
    return status;
}

static limn_status load_file(void *context) {
    ChatFile file;
    TRY(chat_file_load(&file, context));
    json_decref(file.json);
    return LIMN_OK;
}

int main(void) {
    static char *const sources[] = {
        "{% for m in messages %}{{ '<' ~ m.role + '>' + m['content'] | trim ~ m.items() | list }}{% endfor %}",
        "{% macro f(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ tools | tojson(indent=2) }}{{ "
        "strftime_now('%Y') }}",
        "{% set ns = namespace(n=[]) %}{% for i in range(4) if i %}{% set ns.n = ns.n + [i] %}{% endfor %}{{ ns.n }}"
        "{{ messages | map(attribute='role') | unique | sort | join(', ') }}{{ 'a,b'.split(',')[::-1] }}"
        "{% filter upper %}{{ '%s' % messages[0] }}{% endfilter %}{% generation %}x{% endgeneration %}",
    };
    if (chat_json_load(&messages, "talk", talk, sizeof talk - 1) != LIMN_OK) {
        return 1;
    }
    char path[] = "/tmp/limn-talk-XXXXXX";
    if (mkstemp(path) < 0 || file_write_atomic(path, talk, sizeof talk - 1) != LIMN_OK) {
        return 1;
    }
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        torture("a chat template", parse_and_render, sources[i]);
    }
    torture("chat_file_load", load_file, path);
    remove(path);
    json_decref(messages);
    return 0;
}
