#include "chat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"
#include "terminal.h"
#include "text.h"

typedef struct Chat {
    const limn_command *command;
    const Arguments *arguments;
    limn_context *context;
    json_t *messages; /* the conversation */
    LineReader lines;
    Text answer; /* as it streams */
    bool talks;  /* somebody sits at both ends */
    bool broken; /* standard output took no more */
} Chat;

/* ---- the conversation ---- */

static bool add_message(json_t *messages, const char *role, const char *bytes, size_t length) {
    json_t *content = json_stringn(bytes != NULL ? bytes : "", length);
    json_t *message = content != NULL ? json_pack("{s:s, s:o}", "role", role, "content", content) : NULL;
    if (message == NULL) {
        complain("this line is not UTF-8");
        return false;
    }
    return json_array_append_new(messages, message) == 0;
}

static bool begin_again(Chat *chat, const char *system) {
    json_array_clear(chat->messages);
    return system == NULL || add_message(chat->messages, "system", system, strlen(system));
}

static bool on_progress(void *context, const char *stage, int64_t done, int64_t total) {
    const Chat *chat = context;
    return progress_show(chat->answer.length > 0 ? "" : stage, done, total) && !chat->broken;
}

static void on_text(void *context, const char *bytes, size_t length) {
    Chat *chat = context;
    progress_clear();
    progress_allow(false);
    text_add_bytes(&chat->answer, bytes, length);
    chat->broken = chat->broken || !write_said(bytes, length);
}

/* The options as typed, with a conversation, as JSON text; malloc'ed, NULL: no memory. */
static char *request_of(const Chat *chat, const json_t *conversation, const char *const *without, size_t n) {
    json_t *params = json_deep_copy(chat->arguments->params);
    char *messages = json_dumps(conversation, JSON_COMPACT);
    char *request = NULL;
    for (size_t i = 0; i < n && params != NULL; i++) {
        json_object_del(params, without[i]);
    }
    if (params != NULL && messages != NULL && json_object_set_new(params, "messages", json_string(messages)) == 0) {
        request = json_dumps(params, JSON_COMPACT);
    }
    json_decref(params);
    free(messages);
    if (request == NULL) {
        complain("out of memory");
    }
    return request;
}

/* Whether the model can be talked with at all, before somebody types a question. */
static limn_status try_template(Chat *chat) {
    static const char *const of_answers[] = {"max-tokens", "temperature", "top-p"};
    json_t *sample = json_deep_copy(chat->messages);
    char *request = NULL;
    if (sample != NULL && add_message(sample, "user", "Hello", 5)) {
        request = request_of(chat, sample, of_answers, sizeof of_answers / sizeof of_answers[0]);
    }
    json_decref(sample);
    if (request == NULL) {
        return LIMN_NO_MEMORY;
    }
    limn_result *result = NULL;
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    limn_status status = limn_call(chat->context, "chat-format", request, &callbacks, &result);
    if (status != LIMN_OK) {
        complain("%s", limn_error_message());
    }
    free(request);
    limn_result_free(result);
    return status;
}

static limn_status ask(Chat *chat) {
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    callbacks.context = chat;
    callbacks.progress = on_progress;
    callbacks.text = on_text;
    char *request = request_of(chat, chat->messages, NULL, 0);
    if (request == NULL) {
        return LIMN_NO_MEMORY;
    }
    limn_result *result = NULL;
    chat->answer.length = 0;
    progress_allow(!chat->arguments->face.quiet);
    limn_status status = limn_call(chat->context, chat->command->name, request, &callbacks, &result);
    progress_clear();
    free(request);
    limn_result_free(result);
    return status;
}

/* A turn: the line, the answer. What was said stays in the conversation unless nothing was answered. */
static limn_status take_turn(Chat *chat, const Text *line) {
    size_t before = json_array_size(chat->messages);
    if (!add_message(chat->messages, "user", line->data, line->length)) {
        return LIMN_USAGE;
    }
    limn_status status = ask(chat);
    bool stopped = status == LIMN_CANCELLED && interrupt_take();
    if (chat->answer.length > 0 && !chat->broken) {
        write_text(STDOUT_FILENO, "\n");
    }
    if (stopped) {
        complain("stopped");
    } else if (status != LIMN_OK) {
        complain("%s", limn_error_message());
    }
    bool said = (status == LIMN_OK || stopped) && chat->answer.length > 0;
    if (!said || !add_message(chat->messages, "assistant", chat->answer.data, chat->answer.length)) {
        while (json_array_size(chat->messages) > before) {
            json_array_remove(chat->messages, before);
        }
    }
    return stopped ? LIMN_OK : status;
}

static bool is_command(const Text *line, const char *name) {
    return line->data != NULL && strcmp(line->data, name) == 0;
}

/* False: leave. */
static bool obey(Chat *chat, const Text *line) {
    static const char system[] = "/system ";
    if (is_command(line, "/quit") || is_command(line, "/exit")) {
        return false;
    }
    if (is_command(line, "/reset")) {
        begin_again(chat, chat->arguments->face.system);
    } else if (strncmp(line->data, system, sizeof system - 1) == 0) {
        begin_again(chat, line->data + sizeof system - 1);
    } else {
        complain("found '%.40s', expected /reset, /system TEXT or /quit", line->data);
    }
    return true;
}

static int converse(Chat *chat) {
    for (;;) {
        Text line = {0};
        if (chat->talks && !write_text(STDOUT_FILENO, "> ")) {
            return limn_status_exit_code(LIMN_IO);
        }
        Reading reading = read_line(&line, &chat->lines);
        limn_status status = reading == READ_FAILED ? LIMN_IO : LIMN_OK;
        bool on = reading == READ_LINE || reading == READ_INTERRUPTED;
        if (reading == READ_INTERRUPTED) {
            interrupt_take();
            write_text(STDERR_FILENO, "\n");
            complain("/quit or Ctrl-D leaves");
        } else if (on && line.length > 0 && line.data[0] == '/') {
            on = obey(chat, &line);
        } else if (on && line.length > 0) {
            status = take_turn(chat, &line);
        }
        text_free(&line);
        if (chat->broken || (status != LIMN_OK && !chat->talks) || reading == READ_FAILED) {
            return limn_status_exit_code(chat->broken ? LIMN_IO : status);
        }
        if (!on) {
            if (chat->talks && reading == READ_END) {
                write_text(STDOUT_FILENO, "\n");
            }
            return 0;
        }
    }
}

int chat_run(const limn_command *command, const Arguments *arguments) {
    const FaceOptions *face = &arguments->face;
    if (face->json || face->format != NULL || face->n_outputs > 0 || face->to_stdout) {
        complain("chat shows answers alone; 'limn generate MODEL --chat FILE' writes results");
        return limn_status_exit_code(LIMN_USAGE);
    }
    Chat chat = {.command = command,
                 .arguments = arguments,
                 .messages = json_array(),
                 .talks = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    int code = limn_status_exit_code(LIMN_NO_MEMORY);
    if (chat.messages == NULL || limn_context_new(&chat.context) != LIMN_OK) {
        complain("out of memory");
    } else if (!begin_again(&chat, face->system)) {
        code = limn_status_exit_code(LIMN_USAGE);
    } else {
        interrupts_forgive();
        limn_status status = try_template(&chat);
        code = status == LIMN_OK ? converse(&chat) : limn_status_exit_code(status);
    }
    limn_context_free(chat.context);
    json_decref(chat.messages);
    text_free(&chat.lines.pending);
    text_free(&chat.answer);
    return code;
}
