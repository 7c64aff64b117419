#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "terminal.h"

/* ---- rows ---- */

const limn_param *command_row(const limn_command *command, size_t index) {
    if (index < command->n_params) {
        return limn_command_param(command, index);
    }
    index -= command->n_params;
    const limn_param *common;
    for (size_t i = 0; (common = limn_common_param(i)) != NULL; i++) {
        if (limn_command_takes(command, common) && index-- == 0) {
            return common;
        }
    }
    return NULL;
}

const limn_param *row_by_name(const limn_command *command, const char *name, size_t length) {
    const limn_param *row;
    for (size_t i = 0; (row = command_row(command, i)) != NULL; i++) {
        if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) {
            return row;
        }
    }
    return NULL;
}

const limn_param *row_by_letter(const limn_command *command, char letter) {
    const limn_param *row;
    for (size_t i = 0; (row = command_row(command, i)) != NULL; i++) {
        if (row->letter == letter) {
            return row;
        }
    }
    return NULL;
}

/* ---- values ---- */

static json_t *text_value(const char *text) {
    json_t *value = json_string(text);
    if (value != NULL) {
        return value;
    }
    size_t length = strlen(text); /* not UTF-8 */
    char *hex = malloc(2 * length + 1);
    if (hex == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)(unsigned char)text[i]);
    }
    hex[2 * length] = '\0';
    value = json_pack("{s:s}", "hex", hex);
    free(hex);
    return value;
}

static bool set_face(FaceOptions *face, const limn_param *row, const char *value) {
    if (strcmp(row->name, "format") == 0) {
        face->format = value;
    } else if (strcmp(row->name, "json") == 0) {
        face->json = true;
    } else if (strcmp(row->name, "quiet") == 0) {
        face->quiet = true;
    } else if (strcmp(row->name, "show") == 0) {
        face->show = true;
    } else if (strcmp(row->name, "color") == 0) {
        face->color = value;
    } else if (strcmp(row->name, "system") == 0) {
        face->system = value;
    } else if (strcmp(row->name, "output") == 0 && strcmp(value, "-") == 0) {
        face->to_stdout = true;
    } else if (strcmp(row->name, "output") == 0) {
        if (face->n_outputs == OUTPUTS_MAX) {
            complain("option --output: more than %d files", OUTPUTS_MAX);
            return false;
        }
        face->outputs[face->n_outputs++] = value;
    }
    return true;
}

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);
    for (const char *at = choices; at != NULL; at = strchr(at, '|') != NULL ? strchr(at, '|') + 1 : NULL) {
        if (strcspn(at, "|") == length && memcmp(at, value, length) == 0) {
            return true;
        }
    }
    return false;
}

/* The command's own file whose ending the value has: run's FILE.safetensors. NULL: the value names a report. */
static const limn_param *own_file(const limn_command *command, const char *value) {
    const limn_param *row;
    for (size_t i = 0; (row = limn_command_param(command, i)) != NULL; i++) {
        const char *ending = row->kind == LIMN_PARAM_OUTPUT && row->metavar != NULL ? strrchr(row->metavar, '.') : NULL;
        size_t n = ending != NULL ? strlen(ending) : 0;
        size_t length = strlen(value);
        if (n > 0 && length > n && strcmp(value + length - n, ending) == 0) {
            return row;
        }
    }
    return NULL;
}

static bool set_value(Arguments *arguments, const limn_command *command, const limn_param *row, const char *value) {
    const limn_param *own = row->face && strcmp(row->name, "output") == 0 ? own_file(command, value) : NULL;
    row = own != NULL ? own : row;
    if (row->face) {
        if (row->kind == LIMN_PARAM_CHOICE && !is_choice(row->choices, value)) {
            complain("option '%s': found '%s', expected one of %s", row->name, value, row->choices);
            return false;
        }
        return set_face(&arguments->face, row, value);
    }
    json_t *made = row->kind == LIMN_PARAM_FLAG ? json_true() : text_value(value);
    json_t *before = json_object_get(arguments->params, row->name);
    if (made == NULL) {
        complain("out of memory");
        return false;
    }
    if (row->repeated) {
        if (before == NULL) {
            before = json_array();
            json_object_set_new(arguments->params, row->name, before);
        }
        return json_array_append_new(before, made) == 0;
    }
    if (before != NULL && row->kind != LIMN_PARAM_FLAG) {
        json_decref(made);
        complain("option '%s' is given twice", row->name);
        return false;
    }
    return json_object_set_new(arguments->params, row->name, made) == 0;
}

/* ---- words ---- */

typedef struct Words {
    int at, count;
    char **words;
} Words;

static bool take_value(const char **value, Words *words, const char *spelled, const limn_param *row) {
    if (words->at >= words->count) {
        complain("option %s needs a value: %s", spelled, row->metavar != NULL ? row->metavar : "VALUE");
        return false;
    }
    *value = words->words[words->at++];
    return true;
}

static bool read_long(Arguments *arguments, const limn_command *command, Words *words, const char *word) {
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (length == 4 && memcmp(name, "help", 4) == 0 && equals == NULL) {
        arguments->help = true;
        return true;
    }
    const limn_param *row = row_by_name(command, name, length);
    if (row == NULL) {
        char *unknown = strndup(name, length);
        if (unknown != NULL) {
            json_object_set_new(arguments->params, unknown, json_true());
        }
        free(unknown);
        arguments->unknown = true;
        return true;
    }
    if (row->kind == LIMN_PARAM_FLAG && value != NULL) {
        complain("option --%s takes no value; found '%s'", row->name, value);
        return false;
    }
    if (row->kind != LIMN_PARAM_FLAG && value == NULL && !take_value(&value, words, word, row)) {
        return false;
    }
    return set_value(arguments, command, row, value);
}

static bool read_short(Arguments *arguments, const limn_command *command, Words *words, const char *word) {
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        if (*letter == 'h' && row_by_letter(command, 'h') == NULL) {
            arguments->help = true;
            continue;
        }
        const limn_param *row = row_by_letter(command, *letter);
        if (row == NULL) {
            complain("%s has no option -%c; see 'limn %s --help'", command->name, *letter, command->name);
            return false;
        }
        if (row->kind == LIMN_PARAM_FLAG) {
            if (!set_value(arguments, command, row, NULL)) {
                return false;
            }
            continue;
        }
        char spelled[] = {'-', *letter, '\0'};
        const char *value = letter[1] != '\0' ? letter + 1 : NULL;
        return (value != NULL || take_value(&value, words, spelled, row)) && set_value(arguments, command, row, value);
    }
    return true;
}

static bool read_positional(Arguments *arguments, const limn_command *command, const char *word) {
    const limn_param *row;
    for (size_t i = 0; (row = command_row(command, i)) != NULL; i++) {
        if (row->positional && (row->repeated || json_object_get(arguments->params, row->name) == NULL)) {
            return set_value(arguments, command, row, word);
        }
    }
    complain("%s: found '%s' too many; a text with spaces needs quotes; see 'limn %s --help'", command->name, word,
             command->name);
    return false;
}

bool arguments_read(Arguments *arguments, const limn_command *command, int n_words, char **words) {
    memset(arguments, 0, sizeof *arguments);
    arguments->face.color = "auto";
    arguments->params = json_object();
    if (arguments->params == NULL) {
        complain("out of memory");
        return false;
    }
    Words all = {0, n_words, words};
    bool options = true;
    while (all.at < all.count && !arguments->help && !arguments->unknown) {
        const char *word = all.words[all.at++];
        bool good;
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        if (options && strncmp(word, "--", 2) == 0) {
            good = read_long(arguments, command, &all, word);
        } else if (options && word[0] == '-' && word[1] != '\0') {
            good = read_short(arguments, command, &all, word);
        } else {
            good = read_positional(arguments, command, word);
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

void arguments_free(Arguments *arguments) {
    json_decref(arguments->params);
    arguments->params = NULL;
}
