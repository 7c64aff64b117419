/* Whole commands, from parameters to a rendered page. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
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

/* The weights of llama-old beside a tokenizer of four letters; a data set; where predictions go. */
static limn_status make_data(const char *folder) {
    static const char tokenizer[] =
        "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
        "\"add_prefix_space\":false,\"use_regex\":false},\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"e\":0,\"a\":1,\"b\":2,\"c\":3,\"d\":4},\"merges\":[]}}";
    static const char data[] = "text,label,kind\n\"ab\",c,x\nabb,da,y\nba,c,x\n";
    static const char golden[] = LIMN_TEST_SOURCE_DIR "/tests/golden/llama-old/";
    char from[600], to[160];
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "config.json" : "model.safetensors";
        snprintf(from, sizeof from, "%s%s", golden, name);
        snprintf(to, sizeof to, "%s/%s", folder, name);
        if (symlink(from, to) != 0) {
            return fail(LIMN_IO, "%s: cannot be linked", to);
        }
    }
    snprintf(to, sizeof to, "%s/tokenizer.json", folder);
    TRY(file_write_atomic(to, tokenizer, sizeof tokenizer - 1));
    snprintf(to, sizeof to, "%s/data.csv", folder);
    return file_write_atomic(to, data, sizeof data - 1);
}

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
    char predict[800];
    snprintf(predict, sizeof predict,
             "{\"model\": \"%s\", \"data\": \"%s/data.csv\", \"template\": \"aab{text}\", \"choices\": \"c,da\", "
             "\"label-field\": \"label\", \"group-field\": \"kind\", \"where\": \"text ~ 'b' and kind != 'z'\", "
             "\"sample\": 2, \"threads\": 1, \"output\": \"%s/out.jsonl\"}",
             out, out, out);
    if (make_data(out) != LIMN_OK) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    const Call calls[] = {
        {"info", "{" MODEL("llama3") ", \"threads\": 1}", "terminal"},
        {"sites", "{" MODEL("bert-mlm") ", \"threads\": 1}", "md"},
        {"run", "{" MODEL("llama3") ", \"ids\": [1, 2, 3], \"threads\": 1}", "html"},
        {"run", save, "json"},
        {"generate", "{" MODEL("gpt2") ", \"ids\": [1, 2], \"max-tokens\": 3, \"threads\": 1}", "json"},
        {"ig", "{" MODEL("llama3") ", \"ids\": [1, 2, 3], \"steps\": 4, \"threads\": 1}", "svg"},
        {"predict", predict, "html"},
        {"methods", "{}", "terminal"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        torture(calls[i].command, call, (void *)(uintptr_t)&calls[i]);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", out);
    return system(command) == 0 ? 0 : 1;
}
