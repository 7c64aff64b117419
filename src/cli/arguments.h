/* argv to a command's parameters as JSON, by the rows. */
#ifndef LIMN_CLI_ARGUMENTS_H
#define LIMN_CLI_ARGUMENTS_H

#include <jansson.h>
#include <stdbool.h>

#include "limn.h"

enum { OUTPUTS_MAX = 16 };

/* Options of the command line itself: rows whose `face` is set. */
typedef struct FaceOptions {
    const char *format; /* NULL: not given */
    bool json;
    const char *outputs[OUTPUTS_MAX]; /* [n_outputs] files */
    int n_outputs;
    bool to_stdout; /* -o -: standard output is one of the places */
    bool show;
    bool quiet;
    const char *color;
    const char *system; /* of chat */
} FaceOptions;

typedef struct Arguments {
    json_t *params; /* an object; the caller's */
    FaceOptions face;
    bool help;
    bool unknown; /* an option nobody has: reading stopped there */
} Arguments;

/* Rows a command line may use: the command's own, and the common ones it has none of the same name for. */
const limn_param *command_row(const limn_command *command, size_t index); /* NULL: past the end */
const limn_param *row_by_name(const limn_command *command, const char *name, size_t length);
const limn_param *row_by_letter(const limn_command *command, char letter);

/* words: what follows the command's name. False: complained; wrong use. An option nobody has is put into params as it
 * stands: the call refuses it, naming the nearest. An output with the ending of one of the command's own files
 * (FILE.safetensors of run --values) is that file. */
bool arguments_read(Arguments *arguments, const limn_command *command, int n_words, char **words);
void arguments_free(Arguments *arguments);

#endif
