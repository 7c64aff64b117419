/* Every command says what it shows, in English and in Chinese: no title, column, check or note is empty or in the other
 * language. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "call/call.h"
#include "call/params.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* ' stands for ", @ for the folder of a model that reads letters, its data and its words. */
#define PROMPT "'prompt': 'a cab de fg h', 'target': 'd'"
#define DATA   "'data': '@/data.jsonl', 'prompt-field': 'text', 'choices': 'de,f'"

static const struct {
    const char *command, *params;
} commands[] = {
    {"info", ""},
    {"sites", ""},
    {"tokenize", "'text': 'a cab'"},
    {"tokenize", "'decode': [1, 2]"},
    {"attention", "'prompt': 'a cab de fg h'"},
    {"run", PROMPT},
    {"run", "'prompt': 'a cab', 'set': ['blocks.0.hook_mlp_out=0']"},
    {"generate", "'prompt': 'a cab', 'max-tokens': 4"},
    {"why", PROMPT},
    {"reasons", "'prompt': 'a cab de fg h', 'choices': 'de,f'"},
    {"replace", PROMPT ", 'pairs': true"},
    {"ig", PROMPT},
    {"ig", PROMPT ", 'matrix': true, 'metric': 'logprob'"},
    {"ig", PROMPT ", 'estimate': true"},
    {"grad", PROMPT},
    {"lrp", PROMPT},
    {"rollout", PROMPT},
    {"rollout", PROMPT ", 'kind': 'alti'"},
    {"rollout", PROMPT ", 'kind': 'flow'"},
    {"shap", PROMPT ", 'samples': 20, 'repeats': 2"},
    {"lime", PROMPT ", 'samples': 20, 'repeats': 2"},
    {"compare methods", PROMPT ", 'methods': ['grad,lrp,shap'], 'sets': 4"},
    {"lens", PROMPT},
    {"patch", PROMPT ", 'corrupt': 'a bus de fg h'"},
    {"causal-grad", PROMPT ", 'corrupt': 'a bus de fg h'"},
    {"ablate", PROMPT ", 'curve': 2, 'pairs': 2"},
    {"ablate", PROMPT ", 'what': 'position'"},
    {"ablate", PROMPT ", 'estimate': true"},
    {"mediate", PROMPT ", 'subject': 'cab', 'samples': 2"},
    {"live", "'prompt': 'a cab', 'set': ['blocks.0.hook_mlp_out=0']"},
    {"live", "'prompt': 'a cab', 'set': ['blocks.0.hook_mlp_out=0'], 'estimate': true"},
    {"diff", "'other': '@', 'prompt': 'a cab', 'target': 'd'"},
    {"predict", DATA ", 'label-field': 'label', 'group-field': 'lang'"},
    {"attribute",
     DATA ", 'label-field': 'label', 'flips': 100, 'least': 2, 'inputs': 20, 'words': 4, 'where': 'length(text) > 0'"},
    {"sensitive", DATA ", 'words': '@/words.txt', 'ordinary': 2, 'groups': 'lang', 'label-field': 'label'"},
    {"surgery", DATA ", 'label-field': 'label', 'set': ['blocks.0.hook_mlp_out=zero']"},
    {"surgery", DATA ", 'label-field': 'label', 'choose': 'head', 'no-controls': true"},
    {"surgery", DATA ", 'label-field': 'label', 'choose': 'mlp', 'estimate': true"},
};

static char folder[64];

static int set_up(void **state) {
    char path[128];
    TextBuffer text = TEXT_BUFFER_INIT;
    make_letters_model(folder);
    for (int i = 0; i < 60; i++) {
        text_buffer_printf(&text, "{\"text\": \"a %s is%s %c%c\", \"label\": \"%s\", \"lang\": \"%s\"}\n",
                           i % 2 == 0 ? "cab" : "bus", i % 3 == 0 ? " bad" : "", 'a' + i % 26, 'a' + i / 7,
                           i % 4 < 2 ? "de" : "f", i % 5 == 0 ? "x" : "y");
    }
    snprintf(path, sizeof path, "%s/data.jsonl", folder);
    assert_int_equal(file_write_atomic(path, text.data, text.length), LIMN_OK);
    text_buffer_free(&text);
    static const char words[] = "[ride: cab | bus]\ncab | bus\n";
    snprintf(path, sizeof path, "%s/words.txt", folder);
    assert_int_equal(file_write_atomic(path, words, sizeof words - 1), LIMN_OK);
    return 0;
}

static int tear_down(void **state) {
    char path[128];
    snprintf(path, sizeof path, "%s/data.jsonl", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/words.txt", folder);
    unlink(path);
    remove_letters_model(folder);
    return 0;
}

static int wrong;

static bool has_han(const char *text) {
    for (; *text != '\0'; text++) { /* U+3000 to U+9FFF: a lead of E3 to E9 */
        if ((unsigned char)*text >= 0xE3 && (unsigned char)*text <= 0xE9) {
            return true;
        }
    }
    return false;
}

/* A text that is there says something, in the language that was asked for. */
static void said(const char *command, const char *what, Text text, bool must_be, bool chinese) {
    if (text.bytes == NULL && !must_be) {
        return;
    }
    if (text.bytes == NULL || text.length == 0) {
        print_error("%s: %s is empty\n", command, what);
        wrong++;
    } else if (has_han(text.bytes) != chinese) {
        print_error("%s: %s is '%s'\n", command, what, text.bytes);
        wrong++;
    }
}

static void named(const char *command, const char *what, Text text) {
    if (text.bytes == NULL || text.length == 0 || has_han(text.bytes)) {
        print_error("%s: %s is '%s'\n", command, what, text.bytes == NULL ? "" : text.bytes);
        wrong++;
    }
}

static void look_at(const Result *result, const char *command, bool chinese) {
    said(command, "the headline", result->headline, false, chinese);
    for (int32_t i = 0; i < result->n_warnings; i++) {
        said(command, "a warning", result->warnings[i], true, chinese);
    }
    for (int32_t i = 0; i < result->n_checks; i++) {
        named(command, "the name of a check", result->checks[i].name);
        said(command, result->checks[i].name.bytes, result->checks[i].meaning, true, chinese);
    }
    for (int32_t i = 0; i < result->n_blocks; i++) {
        const Block *block = &result->blocks[i];
        said(command, block->id, block->title, true, chinese);
        if (block->note.bytes != NULL) {
            said(command, block->id, block->note, true, chinese);
        }
        if (block->kind == BLOCK_TABLE) {
            const TableBlock *table = block->content;
            for (int32_t c = 0; c < table->n_columns; c++) {
                named(command, block->id, table->columns[c].name);
            }
            bool figures = table->n_columns > 0 && strcmp(table->columns[0].name.bytes, "figure") == 0;
            for (int32_t row = 0; figures && row < table->n_rows; row++) { /* what each is called */
                const Text text = table_cell(table, row, 0)->text;
                if (text.bytes == NULL || text.length == 0) {
                    print_error("%s: a row of %s is empty\n", command, block->id);
                    wrong++;
                }
            }
        }
        if (block->kind == BLOCK_SERIES) {
            const SeriesBlock *series = block->content;
            said(command, block->id, series->x_title, true, chinese);
            said(command, block->id, series->y_title, true, chinese);
        }
    }
}

static void commands_say_what_they_show(void **state) {
    for (size_t i = 0; i < 2 * sizeof commands / sizeof commands[0]; i++) {
        bool chinese = i % 2 == 1;
        const char *command = commands[i / 2].command;
        char params[512] = "";
        size_t n = 0;
        for (const char *c = commands[i / 2].params; *c != '\0' && n < sizeof params - 1; c++) {
            n += (size_t)(*c == '@' ? snprintf(params + n, sizeof params - n, "%s", folder)
                                    : snprintf(params + n, sizeof params - n, "%c", *c == '\'' ? '"' : *c));
        }
        Result *result;
        if (call_method(&result, command, "{\"model\": \"%s\", \"language\": \"%s\"%s%s}", folder,
                        chinese ? "zh" : "en", n > 0 ? ", " : "", params) != LIMN_OK) {
            print_error("%s, %s: %s\n", command, commands[i / 2].params, error_message());
            wrong++;
            continue;
        }
        look_at(result, command, chinese);
        result_free(result);
    }
    assert_int_equal(wrong, 0);
}

/* ---- the rows that help is made of ---- */

static const limn_param *row_of(const limn_command *command, const char *name, size_t length) {
    for (size_t i = 0; i < command->n_params + common_params_count; i++) {
        const limn_param *row = i < command->n_params ? &command->params[i] : &common_params[i - command->n_params];
        if (strlen(row->name) == length && strncmp(row->name, name, length) == 0) {
            return row;
        }
    }
    return NULL;
}

static void check_row(const limn_command *command, const limn_param *row, char letters[256]) {
    bool good = row->name[0] != '\0' && row->name[strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0' &&
                row->help != NULL && row->help[0] != '\0' && (row->metavar == NULL || row->metavar[0] != '\0') &&
                (row->kind == LIMN_PARAM_FLAG || row->metavar != NULL) && row->minimum <= row->maximum;
    if (row->letter != 0) {
        bool letter = (row->letter >= 'a' && row->letter <= 'z') || (row->letter >= 'A' && row->letter <= 'Z');
        good = good && letter && letters[(unsigned char)row->letter]++ == 0;
    }
    if (row->default_text != NULL && row->minimum < row->maximum &&
        (row->kind == LIMN_PARAM_INTEGER || row->kind == LIMN_PARAM_NUMBER)) {
        double value = strtod(row->default_text, NULL);
        good = good && value >= row->minimum && value <= row->maximum;
    }
    if (!good) {
        print_error("%s: the row of '%s' is not whole\n", command->name, row->name);
        wrong++;
    }
}

/* Options in the examples are those of the command. */
static void check_examples(const limn_command *command) {
    char own[64];
    snprintf(own, sizeof own, "limn %s ", command->name);
    const char *line = command->examples;
    while (line != NULL && *line != '\0') {
        size_t length = strcspn(line, "\n");
        for (size_t at = 0; strncmp(line, own, strlen(own)) == 0 && at + 3 < length; at++) {
            if (strncmp(line + at, " --", 3) == 0) {
                size_t n = strspn(line + at + 3, "abcdefghijklmnopqrstuvwxyz0123456789-");
                if (n > 0 && row_of(command, line + at + 3, n) == NULL) {
                    print_error("%s: an example has the option '%.*s'\n", command->name, (int)n, line + at + 3);
                    wrong++;
                }
            }
        }
        if (strncmp(line, "limn ", 5) != 0 && line == command->examples) {
            print_error("%s: its first example is '%.*s'\n", command->name, (int)length, line);
            wrong++;
        }
        line += length + (line[length] == '\n');
    }
}

static void rows_of_commands_are_whole(void **state) {
    wrong = 0;
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        const Method *method = test_registry.methods->items[i].method;
        const limn_command *command = &method->command;
        const char *const texts[] = {command->name, command->summary, command->description, command->examples,
                                     method->title};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            if (texts[k] == NULL || texts[k][0] == '\0') {
                print_error("%s: text %zu is empty\n", command->name, k);
                wrong++;
            }
        }
        char letters[256] = {0};
        for (size_t k = 0; k < command->n_params; k++) {
            check_row(command, &command->params[k], letters);
        }
        for (size_t k = 0; k < common_params_count; k++) {
            check_row(command, &common_params[k], letters);
        }
        check_examples(command);
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(commands_say_what_they_show),
                                       cmocka_unit_test(rows_of_commands_are_whole)};
    return cmocka_run_group_tests_name("said", tests, set_up, tear_down);
}
