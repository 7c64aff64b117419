#include "documents.h"

#include <string.h>

#include "arguments.h"
#include "help.h"

/* ---- man ---- */

/* Lines of roff: backslashes, dashes that are typed, and dots or quotes at their beginning. */
static void roff(Text *out, const char *text) {
    for (char before = '\n'; *text != '\0'; before = *text++) {
        if (before == '\n' && (*text == '.' || *text == '\'')) {
            text_add(out, "\\&");
        }
        if (*text == '\\') {
            text_add(out, "\\e");
        } else if (*text == '-') {
            text_add(out, "\\-");
        } else {
            text_add_bytes(out, text, 1);
        }
    }
}

static void man_option(Text *out, const limn_param *row) {
    text_add(out, ".TP\n");
    if (row->positional) {
        text_printf(out, "\\fI%s\\fR\n", row->metavar);
    } else {
        text_add(out, "\\fB");
        if (row->letter != 0) {
            text_printf(out, "\\-%c\\fR, \\fB", row->letter);
        }
        text_add(out, "\\-\\-");
        roff(out, row->name);
        text_add(out, "\\fR");
        if (row->kind != LIMN_PARAM_FLAG) {
            text_add(out, " \\fI");
            roff(out, row->kind == LIMN_PARAM_CHOICE ? row->choices : row->metavar);
            text_add(out, "\\fR");
        }
        text_add(out, "\n");
    }
    roff(out, row->help);
    if (row->repeated) {
        text_add(out, " (may be repeated)");
    }
    if (row->default_text != NULL) {
        text_add(out, " [");
        roff(out, row->default_text);
        text_add(out, "]");
    }
    text_add(out, "\n");
}

static void man_command(Text *out, const limn_command *command) {
    text_printf(out, ".SS limn %s\n", command->name);
    roff(out, command->description);
    text_add(out, "\n");
    const limn_param *row;
    for (size_t i = 0; (row = limn_command_param(command, i)) != NULL; i++) {
        man_option(out, row);
    }
    if (command->examples == NULL) {
        return;
    }
    text_add(out, ".PP\nExamples:\n.PP\n.nf\n");
    roff(out, command->examples);
    text_add(out, "\n.fi\n");
}

static void write_man(Text *out) {
    size_t count;
    const limn_command *const *commands = limn_commands(&count);
    text_printf(out, ".TH LIMN 1 \"\" \"limn %s\" \"User commands\"\n", limn_version());
    text_add(out, ".SH NAME\nlimn \\- open a language model and say why it said what it said\n");
    text_add(out, ".SH SYNOPSIS\n.B limn\n\\fICOMMAND\\fR [\\fIWORD\\fR | \\fIOPTION\\fR]...\n");
    text_add(out, ".SH DESCRIPTION\nA \\fIMODEL\\fR is a model folder, a .gguf file, or org/name in the local Hugging "
                  "Face cache. Nothing is ever downloaded.\n.SH COMMANDS\n");
    for (size_t i = 0; i < count; i++) {
        man_command(out, commands[i]);
    }
    text_add(out, ".SH OPTIONS OF EVERY COMMAND\n");
    const limn_param *common;
    for (size_t i = 0; (common = limn_common_param(i)) != NULL; i++) {
        man_option(out, common);
    }
    text_add(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < exit_codes_count; i++) {
        text_printf(out, ".TP\n\\fB%d\\fR\n%s\n", exit_codes[i].code, exit_codes[i].meaning);
    }
    text_add(out, ".SH ENVIRONMENT\n.TP\n\\fBNO_COLOR\\fR\nno colours when set and not empty\n"
                  ".TP\n\\fBCOLORTERM\\fR\ntruecolor or 24bit: colours of 24 bits\n"
                  ".TP\n\\fBHF_HOME\\fR, \\fBHF_HUB_CACHE\\fR\nwhere the local Hugging Face cache lies\n");
}

/* ---- bash ---- */

static void option_words(Text *out, const limn_command *command) {
    const limn_param *row;
    for (size_t i = 0; (row = command_row(command, i)) != NULL; i++) {
        if (!row->positional) {
            text_printf(out, "--%s ", row->name);
            if (row->letter != 0) {
                text_printf(out, "-%c ", row->letter);
            }
        }
    }
    text_add(out, "--help");
}

static void spaced(Text *out, const char *choices) {
    for (; *choices != '\0'; choices++) {
        text_add_bytes(out, *choices == '|' ? " " : choices, 1);
    }
}

static void bash_values(Text *out, const limn_command *command) {
    const limn_param *row;
    for (size_t i = 0; (row = command_row(command, i)) != NULL; i++) {
        if (row->kind == LIMN_PARAM_CHOICE) {
            text_printf(out, "        '%s:--%s') COMPREPLY=($(compgen -W '", command->name, row->name);
            spaced(out, row->choices);
            text_add(out, "' -- \"$word\")); return ;;\n");
        } else if (!row->positional && row->kind != LIMN_PARAM_FLAG && row->kind != LIMN_PARAM_FILE &&
                   row->kind != LIMN_PARAM_OUTPUT) {
            text_printf(out, "        '%s:--%s') return ;;\n", command->name, row->name);
        }
    }
}

/* Of "compare decisions": its second word, NULL for a command of one. */
static const char *second_word(const char *name) {
    const char *space = strchr(name, ' ');
    return space != NULL ? space + 1 : NULL;
}

/* Commands of one family stand together; only the first of them names the family. */
static bool begins_family(const limn_command *const *commands, size_t i) {
    const char *name = commands[i]->name;
    size_t length = strcspn(name, " ");
    return i == 0 || strncmp(commands[i - 1]->name, name, length) != 0 ||
           (commands[i - 1]->name[length] != ' ' && commands[i - 1]->name[length] != '\0');
}

static void bash_second_words(Text *out, const limn_command *const *commands, size_t count) {
    text_add(out, "    case \"$COMP_CWORD:${COMP_WORDS[1]}\" in\n");
    for (size_t i = 0; i < count; i++) {
        if (second_word(commands[i]->name) == NULL || !begins_family(commands, i)) {
            continue;
        }
        int length = (int)strcspn(commands[i]->name, " ");
        text_printf(out, "        2:%.*s) COMPREPLY=($(compgen -W '", length, commands[i]->name);
        for (size_t k = i; k < count && (k == i || !begins_family(commands, k)); k++) {
            const char *second = second_word(commands[k]->name);
            text_printf(out, "%s ", second != NULL ? second : "");
        }
        text_add(out, "' -- \"$word\")); return ;;\n");
    }
    text_add(out, "    esac\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    for (size_t i = 0; i < count; i++) {
        if (second_word(commands[i]->name) != NULL) {
            text_printf(out, "        '%s') command='%s' ;;\n", commands[i]->name, commands[i]->name);
        }
    }
    text_add(out, "    esac\n");
}

static void write_bash(Text *out) {
    size_t count;
    const limn_command *const *commands = limn_commands(&count);
    text_add(out, "# bash completion of limn\n_limn() {\n"
                  "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options=\n"
                  "    local command=${COMP_WORDS[1]}\n"
                  "    COMPREPLY=()\n    if [ \"$COMP_CWORD\" -eq 1 ] || [ \"$COMP_CWORD:${COMP_WORDS[1]}\" = 2:help "
                  "]; then\n        COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < count; i++) {
        if (begins_family(commands, i)) {
            text_printf(out, "%.*s ", (int)strcspn(commands[i]->name, " "), commands[i]->name);
        }
    }
    text_add(out, "--help --version' -- \"$word\"))\n        return\n    fi\n");
    bash_second_words(out, commands, count);
    text_add(out, "    case \"$command:$before\" in\n");
    for (size_t i = 0; i < count; i++) {
        bash_values(out, commands[i]);
    }
    text_add(out, "    esac\n    case \"$command\" in\n");
    for (size_t i = 0; i < count; i++) {
        text_printf(out, "        '%s') options='", commands[i]->name);
        option_words(out, commands[i]);
        text_add(out, "' ;;\n");
    }
    text_add(out, "    esac\n    case \"$word\" in\n"
                  "        -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
                  "        *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\n"
                  "complete -o filenames -F _limn limn\n");
}

/* ---- zsh ---- */

/* Inside '...[help]...': quotes and brackets would end it. */
static void zsh_help(Text *out, const char *help) {
    for (; *help != '\0'; help++) {
        if (*help == '[' || *help == ']' || *help == ':' || *help == '\\') {
            text_add(out, "\\");
            text_add_bytes(out, help, 1);
        } else if (*help == '\'') {
            text_add(out, "'\\''");
        } else {
            text_add_bytes(out, help, 1);
        }
    }
}

static void zsh_value(Text *out, const limn_param *row) {
    if (row->kind == LIMN_PARAM_CHOICE) {
        text_add(out, ":value:(");
        spaced(out, row->choices);
        text_add(out, ")");
    } else if (row->kind == LIMN_PARAM_FILE || row->kind == LIMN_PARAM_OUTPUT) {
        text_add(out, ":file:_files");
    } else if (row->kind != LIMN_PARAM_FLAG) {
        text_add(out, ":value: ");
    }
}

static void zsh_option(Text *out, const limn_param *row) {
    if (row->positional) {
        text_printf(out, "            '%s", row->repeated ? "*" : "");
        text_add(out, ":");
        zsh_help(out, row->metavar);
        text_add(out, ":_files' \\\n");
        return;
    }
    text_printf(out, "            '%s--%s%s[", row->repeated ? "*" : "", row->name,
                row->kind == LIMN_PARAM_FLAG ? "" : "=");
    zsh_help(out, row->help);
    text_add(out, "]");
    zsh_value(out, row);
    text_add(out, "' \\\n");
    if (row->letter != 0) {
        text_printf(out, "            '%s-%c[", row->repeated ? "*" : "", row->letter);
        zsh_help(out, row->help);
        text_add(out, "]");
        zsh_value(out, row);
        text_add(out, "' \\\n");
    }
}

static void write_zsh(Text *out) {
    size_t count;
    const limn_command *const *commands = limn_commands(&count);
    text_add(out, "#compdef limn\n# zsh completion of limn\n_limn() {\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < count; i++) {
        text_printf(out, "        '%s:", commands[i]->name);
        zsh_help(out, commands[i]->summary);
        text_add(out, "'\n");
    }
    text_add(out, "    )\n    if (( CURRENT == 2 )) || [[ $CURRENT:$words[2] == 3:help ]]; then\n        _describe "
                  "command commands\n        return\n    fi\n"
                  "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
                  "    if [[ ${commands[(r)$command $words[2]:*]} != '' ]]; then\n"
                  "        command=\"$command $words[2]\"\n        shift words\n        (( CURRENT-- ))\n    fi\n"
                  "    case $command in\n");
    for (size_t i = 0; i < count; i++) {
        text_printf(out, "        '%s') _arguments \\\n", commands[i]->name);
        const limn_param *row;
        for (size_t k = 0; (row = command_row(commands[i], k)) != NULL; k++) {
            zsh_option(out, row);
        }
        text_add(out, "            '--help[show help]' ;;\n");
    }
    text_add(out, "    esac\n}\n_limn \"$@\"\n");
}

bool document_write(Text *out, const char *kind) {
    if (strcmp(kind, "man") == 0) {
        write_man(out);
    } else if (strcmp(kind, "bash") == 0) {
        write_bash(out);
    } else if (strcmp(kind, "zsh") == 0) {
        write_zsh(out);
    } else {
        return false;
    }
    return true;
}
