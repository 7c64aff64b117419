#include "help.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "terminal.h"

enum { WIDEST = 80, OPTION_COLUMN = 30, SUMMARY_COLUMN = 21 };

static int help_width(void) {
    int width = terminal_width(STDOUT_FILENO);
    return width < WIDEST ? width : WIDEST;
}

/* Where help stands beside its option; in a narrow terminal more to the left. */
static int option_column(int width) {
    return width / 2 < OPTION_COLUMN ? width / 2 : OPTION_COLUMN;
}

const ExitCodeRow exit_codes[] = {
    {0, "success"},
    {1, "a check of the result did not hold (not converged, another answer)"},
    {2, "wrong use: an option, a name or a number that cannot be"},
    {3, "failure: a broken or unsupported file, no memory, no room, stopped"},
    {4, "the evidence does not decide"},
};
const size_t exit_codes_count = sizeof exit_codes / sizeof exit_codes[0];

static void add_exit_codes(Text *out) {
    text_add(out, "\nExit codes:\n");
    for (size_t i = 0; i < exit_codes_count; i++) {
        text_printf(out, "  %d  ", exit_codes[i].code);
        text_wrap(out, exit_codes[i].meaning, 5, 5, help_width());
    }
}

static void add_option(Text *out, const limn_param *row, int width) {
    char left[128];
    char letter[8] = "    ";
    if (row->letter != 0) {
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    }
    const char *value = row->kind == LIMN_PARAM_FLAG     ? ""
                        : row->kind == LIMN_PARAM_CHOICE ? row->choices
                        : row->metavar != NULL           ? row->metavar
                                                         : "VALUE";
    bool long_choice = strlen(value) > 24;
    snprintf(left, sizeof left, "  %s--%s%s%s", letter, row->name, value[0] != '\0' ? " " : "",
             long_choice ? row->metavar : value);
    text_add(out, left);
    char help[640];
    bool tell_default = row->default_text != NULL && row->kind != LIMN_PARAM_FLAG;
    snprintf(help, sizeof help, "%s%s%s%s%s%s%s", row->help, row->repeated ? " (may be repeated)" : "",
             long_choice ? ": " : "", long_choice ? row->choices : "", tell_default ? " [" : "",
             tell_default ? row->default_text : "", tell_default ? "]" : "");
    int column = (int)strlen(left);
    if (column > option_column(width) - 2) {
        text_add(out, "\n");
        column = 0;
    }
    text_wrap(out, help, option_column(width), column, width);
}

static void add_positional(Text *out, const limn_param *row, int width) {
    char left[64];
    snprintf(left, sizeof left, "  %s", row->metavar);
    text_add(out, left);
    text_wrap(out, row->help, option_column(width), (int)strlen(left), width);
}

static void add_examples(Text *out, const char *examples) {
    if (examples == NULL) {
        return;
    }
    text_add(out, "\nExamples:\n");
    for (const char *at = examples; *at != '\0';) {
        size_t n = strcspn(at, "\n");
        text_add(out, "  ");
        text_add_bytes(out, at, n);
        text_add(out, "\n");
        at += n + (at[n] == '\n');
    }
}

/* One line each, under what a person asks. */
static void add_commands(Text *out, const limn_command *const *commands, size_t count) {
    const char *group = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *own = limn_command_group(commands[i]);
        if (group == NULL || strcmp(group, own) != 0) {
            text_printf(out, "\n%s\n", own);
            group = own;
        }
        int used = snprintf(NULL, 0, "  %-18s ", commands[i]->name);
        text_printf(out, "  %-18s ", commands[i]->name);
        text_wrap(out, commands[i]->summary, SUMMARY_COLUMN, used, help_width());
    }
}

bool help_family(Text *out, const char *word) {
    size_t count;
    size_t length = strlen(word);
    const limn_command *const *commands = limn_commands(&count);
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const char *name = commands[i]->name;
        if (strncmp(name, word, length) == 0 && name[length] == ' ') {
            if (!any) {
                text_printf(out, "Usage: limn %s WORD [OPTION]...\n\n", word);
            }
            any = true;
            int used = snprintf(NULL, 0, "  %-18s ", name);
            text_printf(out, "  %-18s ", name);
            text_wrap(out, commands[i]->summary, SUMMARY_COLUMN, used, help_width());
        }
    }
    if (any) {
        text_printf(out, "\n'limn %s WORD --help' shows options and examples.\n", word);
    }
    return any;
}

void help_program(Text *out) {
    size_t count;
    const limn_command *const *commands = limn_commands(&count);
    text_add(out, "limn opens a language model and says why it said what it said.\n\n"
                  "Usage: limn COMMAND [WORD | OPTION]...\n");
    add_commands(out, commands, count);
    text_add(out, "\nFirst: limn why MODEL -p 'The capital of France is'\n"
                  "'limn COMMAND --help' shows a command's options, examples and exit codes.\n"
                  "MODEL is a model folder, a .gguf file, or org/name in the local Hugging Face\ncache.\n");
}

void help_command(Text *out, const limn_command *command) {
    int width = help_width();
    text_printf(out, "Usage: limn %s", command->name);
    const limn_param *row;
    for (size_t i = 0; (row = limn_command_param(command, i)) != NULL; i++) {
        if (row->positional) {
            text_printf(out, row->required ? " %s%s" : " [%s]%s", row->metavar, row->repeated ? "..." : "");
        }
    }
    text_add(out, " [OPTION]...\n\n");
    text_wrap(out, command->description, 0, 0, width);
    text_add(out, "\n");
    for (size_t i = 0; (row = command_row(command, i)) != NULL; i++) {
        if (row->positional) {
            add_positional(out, row, width);
        }
    }
    bool any = false;
    for (size_t i = 0; (row = limn_command_param(command, i)) != NULL; i++) {
        if (!row->positional) {
            text_add(out, any ? "" : "\nOptions:\n");
            any = true;
            add_option(out, row, width);
        }
    }
    text_add(out, "\nOptions of every command:\n");
    for (size_t i = command->n_params; (row = command_row(command, i)) != NULL; i++) {
        add_option(out, row, width);
    }
    add_examples(out, command->examples);
    add_exit_codes(out);
}
