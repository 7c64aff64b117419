/* What commands refuse: each with its status and what the one line says. Cases that need more than a table are beside
 * their command's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "call/call.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* The model's folder is "letters" (calls.h) or one of tests/golden; ' stands for " and @ for a folder with the files
 * below, # for the model. */
typedef struct Case {
    const char *command, *model, *params;
    limn_status status;
    const char *said;
} Case;

static const char *const files[][2] = {
    {"data.jsonl", "{\"q\": \"a cab\", \"a\": \"d\", \"m\": true}\n{\"q\": \"b jk\", \"a\": \"\", \"m\": null}\n"},
    {"empty.jsonl", ""},
    {"ids.txt", "1, 2; 3"},
    {"large.txt", "1 2 61"},
    {"two.txt", "[1, 2]"},
    {"template.jinja", "{{ messages }}"},
};
enum { FILES = sizeof files / sizeof files[0] };

static const Case cases[] = {
    /* targets */
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'class': '1'", LIMN_USAGE, "several targets"},
    {"ig", "letters", "'prompt': 'a cab', 'at': 'x'", LIMN_USAGE,
     "option 'at': found 'x', expected a position or [MASK]"},
    {"ig", "letters", "'prompt': 'a cab', 'at': '[MASK]'", LIMN_NOT_FOUND, "the prompt has no mask token"},
    {"ig", "letters", "'prompt': 'a cab', 'target-span': '2'", LIMN_USAGE, "found '2', expected A:B"},
    {"ig", "letters", "'prompt': 'a cab', 'target-span': '0:1'", LIMN_RANGE, "expected a begin from 1"},
    {"ig", "letters", "'prompt': 'a cab', 'target-span': '2:6'", LIMN_RANGE, "an end up to 5"},
    {"ig", "letters", "'prompt': 'a cab', 'target-span': '3:3'", LIMN_RANGE, "found 3:3"},
    {"ig", "letters", "'prompt': 'a cab', 'target-text': 'x'", LIMN_NOT_FOUND, "the prompt does not hold 'x'"},
    {"ig", "letters", "'prompt': 'a cab', 'target-text': ''", LIMN_USAGE, "needs a prompt given as text and a word"},
    {"ig", "letters", "'ids': [1, 2, 3], 'target-text': 'a'", LIMN_USAGE, "use --target-span"},
    {"ig", "letters", "'prompt': 'zab', 'target-text': 'z'", LIMN_RANGE, "'z' begins the prompt"},
    {"ig", "letters", "'prompt': 'a cab', 'target-span': '2:3', 'contrast': 'd'", LIMN_USAGE,
     "not with words of the prompt"},
    {"ig", "bert-mlm", "'ids': [5, 17, 40], 'target-span': '1:2'", LIMN_USAGE, "needs a causal language model"},
    {"ig", "bert-mlm", "'ids': [5, 17, 40], 'target-id': 3", LIMN_USAGE, "the prompt has no mask token"},
    {"ig", "bert-classifier", "'ids': [5, 17, 40], 'target-id': 3", LIMN_USAGE, "its target is a class"},
    {"ig", "bert-classifier", "'ids': [5, 17, 40], 'class': '77'", LIMN_RANGE, "class 77 does not exist"},
    {"ig", "bert-classifier", "'ids': [5, 17, 40], 'class': 'nobody'", LIMN_NOT_FOUND, "no class 'nobody'"},
    {"ig", "letters", "'prompt': 'a cab', 'class': '1'", LIMN_USAGE, "has no classes"},
    {"ig", "letters", "'prompt': ''", LIMN_USAGE, "the input has no tokens"},
    /* what is measured, and against what */
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'metric': 'logit-diff'", LIMN_USAGE, "needs --contrast"},
    {"ig", "letters", "'prompt': 'a cab', 'target': ' d', 'metric': 'logit'", LIMN_USAGE, "a single token"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'matrix': true, 'metric': 'prob'", LIMN_USAGE,
     "--matrix shows"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'contrast': 'e', 'matrix': true", LIMN_USAGE, "no --contrast"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'baseline': 'token:xy'", LIMN_USAGE, "'xy' is 2 tokens"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'baseline': 'pad'", LIMN_NOT_FOUND, "names no padding token"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'baseline': 'nothing'", LIMN_USAGE, "found 'nothing'"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'baseline': 'ids:@/ids.txt'", LIMN_FORMAT,
     "found ';' at byte 4"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'baseline': 'ids:@/large.txt'", LIMN_RANGE, "token id 61"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'baseline': 'ids:@/two.txt'", LIMN_USAGE, "expected 1 or 5"},
    {"ig", "letters", "'prompt': 'a cab', 'target': 'd', 'rule': 'trapezoid', 'steps': 1, 'baseline': 'zero'",
     LIMN_RANGE, "at least 2"},

    {"lens", "letters", "'prompt': 'a cab', 'target': ' d', 'contrast': 'e'", LIMN_USAGE, "single tokens"},
    {"lens", "letters", "'prompt': 'a cab', 'target': 'd', 'contrast': 'e', 'of': 'final'", LIMN_USAGE, "--of final"},
    {"rollout", "letters", "'prompt': 'a cab', 'target': 'd', 'contrast': ' e', 'kind': 'alti'", LIMN_USAGE,
     "--kind alti takes a --contrast of single tokens"},
    {"ablate", "letters", "'prompt': 'a cab', 'target': ' d', 'metric': 'logit'", LIMN_USAGE, "the target has 2"},
    {"ablate", "letters", "'data': '@/data.jsonl', 'prompt-field': 'q', 'target': 'd', 'what': 'neuron'", LIMN_USAGE,
     "--what neuron is about one prompt"},
    {"causal-grad", "bert-bare", "'ids': [5, 17, 40], 'against': 'zero'", LIMN_UNSUPPORTED, "has no head"},
    {"live", "bert-mlm", "'ids': [5, 17, 40]", LIMN_USAGE, "has no mask token"},
    {"live", "bert-bare", "'ids': [5, 17, 40]", LIMN_USAGE, "has no head"},
    {"patch", "letters", "'prompt': 'a cab', 'corrupt-messages': '[]', 'target': 'd'", LIMN_USAGE,
     "one prompt is a chat and the other a text"},
    /* mediation */
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'metric': 'logit-diff', 'subject': 'cab'", LIMN_USAGE,
     "needs --contrast"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': ' d', 'metric': 'logit', 'subject': 'cab'", LIMN_USAGE,
     "the target has 2"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject': 'cab', 'positions': 'some'", LIMN_USAGE,
     "expected all, keys, last-key, last or A:B"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject-span': '2'", LIMN_USAGE, "expected A:B"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject-span': '2:9'", LIMN_USAGE,
     "within the prompt's 5 tokens"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject': 'cab', 'layers': '1:9'", LIMN_RANGE,
     "option 'layers': found 1:9"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject': 'cab', 'layers': '1'", LIMN_USAGE,
     "option 'layers': found '1', expected A:B"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject': 'cab', 'layers': '1:1'", LIMN_RANGE,
     "option 'layers': found 1:1"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject': 'cab', 'by': 'position', 'positions': 'all'",
     LIMN_USAGE, "--by position restores one position after another"},
    {"mediate", "letters", "'prompt': 'a cab', 'target': 'd', 'subject': 'cab', 'limit': 3", LIMN_USAGE,
     "option 'limit' goes with --data"},
    {"mediate", "letters", "'data': '@/data.jsonl', 'prompt-field': 'q', 'label-field': 'a', 'subject': 'cab'",
     LIMN_USAGE, "expected --subject-field FIELD"},
    {"mediate", "letters", "'data': '@/data.jsonl', 'prompt-field': 'q', 'label-field': 'a', 'subject-span': '1:2'",
     LIMN_USAGE, "option 'subject-span' goes with one prompt"},
    {"mediate", "letters", "'data': '@/data.jsonl', 'prompt': 'a', 'subject-field': 'q'", LIMN_USAGE,
     "both a prompt and --data"},
    /* data sets */
    {"predict", "letters", "'data': '@/data.jsonl', 'choices': ['d,e']", LIMN_USAGE, "what is the prompt?"},
    {"predict", "letters",
     "'data': '@/data.jsonl', 'choices': ['d,e'], 'messages-field': 'm', 'chat-template': '@/template.jinja'",
     LIMN_FORMAT, "found a truth value, expected a list of messages"},
    {"surgery", "letters", "'data': '@/data.jsonl', 'prompt-field': 'q', 'choices': ['d,e']", LIMN_USAGE,
     "surgery needs --label-field"},
    {"surgery", "letters", "'data': '@/data.jsonl', 'prompt-field': 'q', 'choices': ['d,e'], 'label-field': 'a'",
     LIMN_USAGE, "what is changed?"},
    {"replace", "letters", "'prompt': 'a cab', 'target': 'd', 'record': 1", LIMN_USAGE, "go with --data FILE"},
    {"replace", "letters", "'prompt': 'a cab', 'target': 'd', 'data': '@/data.jsonl', 'prompt-field': 'q', 'record': 1",
     LIMN_USAGE, "--prompt and --record both say"},
    {"replace", "letters", "'target': 'd', 'data': '@/data.jsonl', 'prompt-field': 'q', 'template': '{q}', 'record': 1",
     LIMN_USAGE, "--prompt-field and --template both say"},
    {"replace", "letters", "'target': 'd', 'data': '@/data.jsonl', 'record': 1", LIMN_USAGE, "which field of"},
    {"replace", "letters", "'target': 'd', 'data': '@/data.jsonl', 'template': 'a cab', 'record': 1", LIMN_USAGE,
     "it names no field"},
    {"replace", "letters", "'prompt': 'a cab', 'target': 'd', 'data': '@/empty.jsonl', 'prompt-field': 'q'", LIMN_USAGE,
     "has no records"},
    {"replace", "letters", "'prompt': 'a cab', 'target': 'd', 'by': 'field'", LIMN_USAGE, "--by field needs"},
    {"replace", "letters", "'prompt': 'a cab', 'target': 'd', 'by': 'document'", LIMN_USAGE, "--by document needs"},
    {"compare methods", "letters",
     "'data': '@/data.jsonl', 'prompt-field': 'q', 'target-field': 'a', 'rationale': 'a', 'methods': ['grad,ig']",
     LIMN_USAGE, "expected --rationale-field FIELD"},
    /* the tokenizer, and options of numbers */
    {"tokenize", "letters", "'decode': [1, 99]", LIMN_RANGE, "there is no token 99; the tokenizer has ids 0 to 30"},
    {"tokenize", "letters", "'text': 'a', 'decode': [1]", LIMN_USAGE, "several inputs"},
    {"tokenize", "letters", "", LIMN_USAGE, "nothing to read"},
    {"tokenize", "llama3", "'text': 'a'", LIMN_NOT_FOUND, "there is nothing to cut text with"},
    {"generate", "letters", "'prompt': 'a', 'top-p': 0", LIMN_RANGE,
     "option 'top-p': found 0, expected a value from 1e-09 to 1"},
    {"diff", "bert-mlm", "'other': '#', 'ids': [5, 17]", LIMN_UNSUPPORTED, "effects are measured on language models"},
    {"reasons", "letters", "'prompt': 'a cab', 'choices': ['d']", LIMN_USAGE, "expected"},
};

static char letters[64];

static int set_up(void **state) {
    char path[128];
    make_letters_model(letters);
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", letters, files[i][0]);
        if (file_write_atomic(path, files[i][1], strlen(files[i][1])) != LIMN_OK) {
            return -1;
        }
    }
    return 0;
}

static int tear_down(void **state) {
    char path[128];
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", letters, files[i][0]);
        unlink(path);
    }
    remove_letters_model(letters);
    return 0;
}

static void all_are_refused(void **state) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const Case *one = &cases[i];
        const char *model = strcmp(one->model, "letters") == 0 ? letters : golden_folder(one->model);
        char params[2048] = "";
        size_t n = 0;
        for (const char *c = one->params; *c != '\0' && n < sizeof params - 1; c++) {
            n += (size_t)(*c == '@'   ? snprintf(params + n, sizeof params - n, "%s", letters)
                          : *c == '#' ? snprintf(params + n, sizeof params - n, "%s", model)
                                      : snprintf(params + n, sizeof params - n, "%c", *c == '\'' ? '"' : *c));
        }
        Result *result;
        limn_status status =
            call_method(&result, one->command, "{\"model\": \"%s\"%s%s}", model, n > 0 ? ", " : "", params);
        if (status != one->status || strstr(error_message(), one->said) == NULL) {
            print_error("%s, %s: found %d '%s', expected %d and '%s'\n", one->command, one->params, (int)status,
                        status == LIMN_OK ? "an answer" : error_message(), (int)one->status, one->said);
            wrong++;
        }
        if (status == LIMN_OK) {
            result_free(result);
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_are_refused)};
    return cmocka_run_group_tests_name("refusals", tests, set_up, tear_down);
}
