/* limn: the command line. Everything it knows of commands comes from limn.h's rows. */
#include <ctype.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "chat.h"
#include "documents.h"
#include "help.h"
#include "live.h"
#include "terminal.h"

typedef struct Listener {
    bool streams;  /* generated text goes to standard output as it comes */
    bool streamed; /* some did */
    bool ends_line;
    bool broken; /* standard output took no more */
    bool quiet;  /* no remarks */
    Text said;   /* remarks that were, a line each, as they will stand among the result's alerts */
} Listener;

static bool on_progress(void *context, const char *stage, int64_t done, int64_t total) {
    const Listener *listener = context;
    bool wanted = progress_show(listener->streamed ? "" : stage, done, total);
    return wanted && !listener->broken;
}

static void on_text(void *context, const char *bytes, size_t length) {
    Listener *listener = context;
    if (!listener->streams || listener->broken || length == 0) {
        return;
    }
    progress_clear();
    progress_allow(false);
    listener->streamed = true;
    listener->ends_line = bytes[length - 1] == '\n';
    listener->broken = !write_said(bytes, length);
}

static void on_remark(void *context, const char *line) {
    Listener *listener = context;
    if (!listener->quiet) {
        complain("warning: %s", line);
        text_add(&listener->said, "warning: ");
        text_add(&listener->said, line);
        text_add(&listener->said, "\n");
    }
}

/* Whether a line, its end included, was a remark. */
static bool was_said(const Listener *listener, const char *line, size_t length) {
    const char *said = listener->said.data;
    return said != NULL && memmem(said, listener->said.length, line, length) != NULL;
}

static int end_with_text(Text *text) {
    bool good = !text->failed && write_all(STDOUT_FILENO, text->data != NULL ? text->data : "", text->length);
    if (text->failed) {
        complain("out of memory");
    }
    text_free(text);
    return good ? 0 : limn_status_exit_code(LIMN_IO);
}

static int end_with_error(limn_status status) {
    complain("%s", limn_error_message());
    return limn_status_exit_code(status);
}

/* ---- results ---- */

/* A file called .docx would hold something else than its name says. */
static limn_status check_ending(const char *path) {
    const char *dot = strrchr(path, '.');
    bool ending = dot != NULL && dot[1] != '\0';
    for (const char *at = dot; ending && *++at != '\0';) {
        ending = isalpha((unsigned char)*at) != 0;
    }
    const char *format;
    return ending ? limn_format_of_file(path, &format) : LIMN_OK;
}

static const char *asked_format(const FaceOptions *face) {
    return face->json ? "json" : face->format;
}

/* A page's name over JSON would be opened by what cannot read it. */
static limn_status check_format(const char *path, const char *asked) {
    const char *format;
    if (limn_format_of_file(path, &format) == LIMN_OK && strcmp(format, asked) != 0) {
        complain("option 'output': found '%s' and the format %s, expected another ending or format", path, asked);
        return LIMN_USAGE;
    }
    return LIMN_OK;
}

/* Before any work: what could not be written in the end is refused now, with nothing created. */
static limn_status check_outputs(const FaceOptions *face) {
    const char *asked = asked_format(face);
    if (face->json && face->format != NULL && strcmp(face->format, "json") != 0) {
        complain("option 'format': found '%s' and --json, expected one of them", face->format);
        return LIMN_USAGE;
    }
    for (int i = 0; i < face->n_outputs; i++) {
        const char *advice = "";
        limn_status status = limn_check_output(face->outputs[i]);
        if (status == LIMN_OK && asked == NULL) {
            status = check_ending(face->outputs[i]);
            advice = ", or --format";
        }
        if (status != LIMN_OK) {
            complain("option 'output': %s%s", limn_error_message(), advice);
            return status;
        }
        if (asked != NULL && (status = check_format(face->outputs[i], asked)) != LIMN_OK) {
            return status;
        }
    }
    return LIMN_OK;
}

static limn_status write_result(const limn_result *result, const FaceOptions *face, const char *asked,
                                const char *path) {
    limn_render_options options = terminal_options(path != NULL ? "never" : face->color);
    const char *format = asked != NULL ? asked : "terminal";
    if (path != NULL) {
        if (asked == NULL && limn_format_of_file(path, &format) != LIMN_OK) {
            format = "terminal"; /* no ending, or one that names no format: check_ending */
        }
        options.width = 100;
        options.unicode = true;
    }
    char *text;
    size_t length;
    limn_status status = limn_result_render(result, format, &options, &text, &length);
    if (status != LIMN_OK) {
        end_with_error(status);
        return status;
    }
    if (path != NULL) {
        status = limn_write_file(path, text, length);
        if (status != LIMN_OK) {
            end_with_error(status);
        }
    } else if (!write_all(STDOUT_FILENO, text, length)) {
        status = LIMN_IO;
    }
    limn_free(text);
    return status;
}

/* What must be known of a result that went to files, or whose text alone was shown: failed checks always, warnings
 * unless it should be quiet or they were said already. */
static limn_status tell_alerts(const limn_result *result, const FaceOptions *face, const Listener *listener) {
    char *text;
    size_t length;
    limn_status status = limn_result_alerts(result, !face->quiet, &text, &length);
    if (status != LIMN_OK) {
        end_with_error(status);
        return status;
    }
    for (const char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        if (!was_said(listener, line, (size_t)(end + 1 - line))) {
            complain("%.*s", (int)(end - line), line);
        }
    }
    limn_free(text);
    return LIMN_OK;
}

static int end_with_result(const limn_result *result, const FaceOptions *face, const Listener *listener) {
    const char *asked = asked_format(face);
    limn_status status = LIMN_OK;
    if (listener->broken) {
        return limn_status_exit_code(LIMN_IO);
    }
    if (listener->streamed && !listener->ends_line && !write_all(STDOUT_FILENO, "\n", 1)) {
        return limn_status_exit_code(LIMN_IO);
    }
    for (int i = 0; i < face->n_outputs && status == LIMN_OK; i++) {
        status = write_result(result, face, asked, face->outputs[i]);
    }
    bool only = face->n_outputs == 0 || face->to_stdout;
    bool print = (only || face->show) && !listener->streamed;
    if (status == LIMN_OK && print) {
        status = write_result(result, face, only ? asked : NULL, NULL);
    } else if (status == LIMN_OK) {
        status = tell_alerts(result, face, listener);
    }
    if (status == LIMN_OK) {
        status = limn_result_verdict(result);
    }
    return limn_status_exit_code(status);
}

/* ---- commands ---- */

static int call_command(const limn_command *command, const Arguments *arguments) {
    limn_context *context = NULL;
    limn_result *result = NULL;
    const FaceOptions *face = &arguments->face;
    const char *asked = asked_format(face);
    Listener listener = {.streams = face->n_outputs == 0 && (asked == NULL || strcmp(asked, "terminal") == 0),
                         .quiet = face->quiet};
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    callbacks.context = &listener;
    callbacks.progress = on_progress;
    callbacks.text = on_text;
    callbacks.remark = on_remark;
    limn_status status = check_outputs(face);
    if (status != LIMN_OK) {
        return limn_status_exit_code(status);
    }
    char *params = json_dumps(arguments->params, JSON_COMPACT);
    if (params == NULL) {
        complain("out of memory");
        return limn_status_exit_code(LIMN_NO_MEMORY);
    }
    progress_allow(!face->quiet);
    status = limn_context_new(&context);
    if (status == LIMN_OK) {
        status = limn_call(context, command->name, params, &callbacks, &result);
    }
    free(params);
    progress_clear();
    int code;
    if (status != LIMN_OK) {
        if (listener.streamed && !listener.ends_line && !listener.broken) {
            write_all(STDOUT_FILENO, "\n", 1);
        }
        code = listener.broken ? limn_status_exit_code(LIMN_IO) : end_with_error(status);
    } else {
        code = end_with_result(result, face, &listener);
    }
    text_free(&listener.said);
    limn_result_free(result);
    limn_context_free(context);
    return code;
}

static int run_command(const char *name, int n_words, char **words) {
    const limn_command *command = limn_command_find(name);
    if (command == NULL) { /* the call refuses it, naming the nearest */
        limn_context *context;
        limn_result *result;
        limn_status status = limn_context_new(&context);
        if (status == LIMN_OK) {
            status = limn_call(context, name, "{}", NULL, &result);
            limn_context_free(context);
        }
        return end_with_error(status);
    }
    Arguments arguments;
    int code = limn_status_exit_code(LIMN_USAGE);
    if (arguments_read(&arguments, command, n_words, words)) {
        if (arguments.help) {
            Text text = {0};
            help_command(&text, command);
            code = end_with_text(&text);
        } else {
            bool chats = strcmp(name, "chat") == 0 && json_object_get(arguments.params, "messages") == NULL;
            bool lives = strcmp(name, "live") == 0 && live_wanted(&arguments);
            code = chats   ? chat_run(command, &arguments)
                   : lives ? live_run(command, &arguments)
                           : call_command(command, &arguments);
        }
    }
    arguments_free(&arguments);
    return code;
}

static int generate_document(const char *kind) {
    Text text = {0};
    if (kind == NULL || !document_write(&text, kind)) {
        complain("--generate: found '%s', expected man, bash or zsh", kind != NULL ? kind : "nothing");
        return limn_status_exit_code(LIMN_USAGE);
    }
    return end_with_text(&text);
}

/* The longest command that the words begin with: "compare decisions" before "compare". *used: words of its name. */
static const char *command_of(char *name, size_t size, int *used, int n_words, char **words) {
    *used = 1;
    if (n_words > 1 && words[1][0] != '-' && snprintf(name, size, "%s %s", words[0], words[1]) < (int)size &&
        limn_command_find(name) != NULL) {
        *used = 2;
        return name;
    }
    return words[0];
}

static bool asks_for_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Words that begin with a command's name; help: what is wanted is its help. */
static int run_words(int n_words, char **words, bool help) {
    char name[128];
    int used;
    const char *command = command_of(name, sizeof name, &used, n_words, words);
    bool alone = n_words == used || asks_for_help(words[used]);
    Text text = {0};
    if (limn_command_find(command) == NULL && alone && help_family(&text, command)) {
        int code = end_with_text(&text);
        return code != 0 || help || n_words > used ? code : limn_status_exit_code(LIMN_USAGE);
    }
    if (help) {
        static char option[] = "--help";
        char *options[] = {option};
        return run_command(command, 1, options);
    }
    return run_command(command, n_words - used, words + used);
}

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, "");
    signals_install();
    const char *first = argc > 1 ? argv[1] : NULL;
    Text text = {0};
    if (first == NULL) {
        help_program(&text);
        int code = end_with_text(&text);
        return code != 0 ? code : limn_status_exit_code(LIMN_USAGE);
    }
    if (asks_for_help(first) || (strcmp(first, "help") == 0 && argc == 2)) {
        help_program(&text);
        return end_with_text(&text);
    }
    if (strcmp(first, "help") == 0) {
        return run_words(argc - 2, argv + 2, true);
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        text_printf(&text, "limn %s\n", limn_version());
        return end_with_text(&text);
    }
    if (strcmp(first, "--generate") == 0) {
        return generate_document(argc > 2 ? argv[2] : NULL);
    }
    return run_words(argc - 1, argv + 1, false);
}
