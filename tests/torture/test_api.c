/* Whole commands, from parameters to a rendered page. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limn.h"
#include "torture/torture.h"

typedef struct Call {
    const char *command;
    const char *params;
    const char *format;
} Call;

static limn_status call(void *argument) {
    const Call *wanted = argument;
    limn_context *context;
    TRY(limn_context_new(&context));
    limn_result *result = NULL;
    limn_status status = limn_call(context, wanted->command, wanted->params, NULL, &result);
    if (status == LIMN_OK) {
        char *text;
        size_t length;
        status = limn_result_render(result, wanted->format, NULL, &text, &length);
        if (status == LIMN_OK) {
            limn_free(text);
        }
        limn_result_free(result);
    }
    limn_context_free(context);
    return status;
}

#define MODEL(name) "\"model\": \"" LIMN_TEST_SOURCE_DIR "/tests/golden/" name "\""

int main(void) {
    static char out[] = "/tmp/limn-torture-XXXXXX";
    if (mkdtemp(out) == NULL) {
        return 1;
    }
    setenv("XDG_CACHE_HOME", out, 1);
    char save[600];
    snprintf(save, sizeof save,
             "{" MODEL("gpt2") ", \"ids\": [1, 2, 3], \"threads\": 1, \"save\": [\"blocks.*.hook_resid_post\"], "
                               "\"grad\": [\"hook_embed\"], \"set\": [\"blocks.0.attn.hook_z[head=1]=zero\"], "
                               "\"output\": \"%s/acts.safetensors\"}",
             out);
    const Call calls[] = {
        {"info", "{" MODEL("llama3") ", \"threads\": 1}", "terminal"},
        {"sites", "{" MODEL("bert-mlm") ", \"threads\": 1}", "md"},
        {"run", "{" MODEL("llama3") ", \"ids\": [1, 2, 3], \"threads\": 1}", "html"},
        {"run", save, "json"},
        {"generate", "{" MODEL("gpt2") ", \"ids\": [1, 2], \"max-tokens\": 3, \"threads\": 1}", "json"},
        {"ig", "{" MODEL("llama3") ", \"ids\": [1, 2, 3], \"steps\": 4, \"threads\": 1}", "svg"},
        {"methods", "{}", "terminal"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        torture(calls[i].command, call, (void *)(uintptr_t)&calls[i]);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", out);
    return system(command) == 0 ? 0 : 1;
}
