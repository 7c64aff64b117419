#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"
#include "terminal.h"
#include "text.h"

typedef struct Live {
    const limn_command *command;
    const Arguments *arguments;
    limn_context *context; /* keeps the prompt's run warm */
    json_t *params;        /* as typed, without edits */
    json_t *edits;         /* [n] texts in force */
    json_t *before;        /* those that the next answer is shown beside */
    LineReader lines;
    bool talks; /* somebody sits at both ends */
} Live;

static bool on_progress(void *context, const char *stage, int64_t done, int64_t total) {
    (void)context;
    return progress_show(stage, done, total);
}

/* ---- one question ---- */

/* A call's parameters with these edits beside those; NULL: out of memory. */
static json_t *params_of(const Live *live, json_t *against) {
    json_t *params = json_deep_copy(live->params);
    bool made = params != NULL && json_object_set(params, "set", live->edits) == 0 &&
                json_object_set(params, "against", against) == 0 &&
                json_object_set_new(params, "check", json_string("none")) == 0;
    if (!made) {
        json_decref(params);
        complain("out of memory");
        return NULL;
    }
    return params;
}

/* Consumes params. *document: the result, the caller's; NULL after a failure that was said. */
static limn_status ask(json_t **document, Live *live, const char *command, json_t *params) {
    limn_result *result = NULL;
    limn_callbacks callbacks = LIMN_CALLBACKS_INIT;
    char *request = params != NULL ? json_dumps(params, JSON_COMPACT) : NULL, *text = NULL;
    size_t length = 0;
    *document = NULL;
    json_decref(params);
    if (request == NULL) {
        return LIMN_NO_MEMORY;
    }
    callbacks.progress = on_progress;
    progress_allow(!live->arguments->face.quiet);
    limn_status status = limn_call(live->context, command, request, &callbacks, &result);
    progress_clear();
    status = status == LIMN_OK ? limn_result_render(result, "json", NULL, &text, &length) : status;
    if (status == LIMN_CANCELLED && interrupt_take()) {
        complain("stopped");
    } else if (status != LIMN_OK) {
        complain("%s", limn_error_message());
    } else {
        *document = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
    }
    limn_free(text);
    limn_result_free(result);
    free(request);
    return status;
}

static const json_t *block_of(const json_t *document, const char *id) {
    size_t i;
    const json_t *block;
    json_array_foreach(json_object_get(document, "blocks"), i, block) {
        const char *found = json_string_value(json_object_get(block, "id"));
        if (found != NULL && strcmp(found, id) == 0) {
            return block;
        }
    }
    return NULL;
}

/* A text of a document: {"text": ...} where its bytes are no UTF-8. */
static const char *text_in(const json_t *value) {
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "text") : value);
    return text != NULL ? text : "";
}

/* A token as one word: its control characters and line ends would break the line. */
static void add_token(Text *out, const char *token) {
    text_add(out, "'");
    for (const char *c = token; *c != '\0'; c++) {
        if (*c == '\n') {
            text_add(out, "\\n");
        } else if (*c == '\t') {
            text_add(out, "\\t");
        } else {
            text_add_bytes(out, c, 1);
        }
    }
    text_add(out, "'");
}

/* " Paris 50.3% (77.3%)" for each of the likeliest, then how far it moved and how long it took. */
static void show(const Live *live, const json_t *document, double seconds) {
    Text out = {0};
    size_t i;
    const json_t *row;
    bool beside = !json_equal(live->edits, live->before);
    json_array_foreach(json_object_get(block_of(document, "distribution"), "rows"), i, row) {
        double now = json_number_value(json_array_get(row, 2)), before = json_number_value(json_array_get(row, 3));
        text_printf(&out, "  %5.1f%%", 100 * now);
        if (beside) {
            text_printf(&out, "  %+6.1f", 100 * (now - before));
        }
        text_add(&out, "  ");
        add_token(&out, text_in(json_array_get(row, 0)));
        text_add(&out, "\n");
    }
    const json_t *change = json_object_get(block_of(document, "change"), "rows");
    if (change == NULL) {
        text_printf(&out, "  %s\n", text_in(json_object_get(document, "headline")));
    } else if (beside) {
        text_printf(&out, "  KL %.3g, ", json_number_value(json_array_get(json_array_get(change, 0), 1)));
    } else {
        text_add(&out, "  ");
    }
    if (change != NULL && live->talks) {
        text_printf(&out, "%zu edit%s, %.0f ms\n", json_array_size(live->edits),
                    json_array_size(live->edits) == 1 ? "" : "s", 1e3 * seconds);
    } else if (change != NULL) { /* the same bytes for the same lines */
        text_printf(&out, "%zu edit%s\n", json_array_size(live->edits), json_array_size(live->edits) == 1 ? "" : "s");
    }
    if (out.failed) {
        complain("out of memory");
    } else {
        write_said(out.data, out.length);
    }
    text_free(&out);
}

/* The answer now, beside that with the edits `against`. */
static limn_status answer(Live *live, json_t *against) {
    double begin = now_seconds();
    json_t *document;
    limn_status status = ask(&document, live, live->command->name, params_of(live, against));
    if (status == LIMN_OK) {
        json_incref(against); /* which may be the one of before */
        json_decref(live->before);
        live->before = against;
        show(live, document, now_seconds() - begin);
    }
    json_decref(document);
    return status;
}

/* ---- what is typed ---- */

/* Other edits in force; those before are kept where the answer fails. */
static limn_status change_to(Live *live, json_t *edits) {
    json_t *old = live->edits;
    if (edits == NULL) {
        complain("out of memory");
        return LIMN_NO_MEMORY;
    }
    live->edits = edits;
    limn_status status = answer(live, old);
    if (status != LIMN_OK) {
        live->edits = old;
        json_decref(edits);
    } else {
        json_decref(old);
    }
    return status;
}

static limn_status add_edit(Live *live, const char *text) {
    json_t *edits = json_copy(live->edits), *edit = json_string(text);
    if (edits != NULL && edit == NULL) {
        json_decref(edits);
        complain("this line is not UTF-8");
        return LIMN_USAGE;
    }
    if (edits != NULL && json_array_append_new(edits, edit) != 0) {
        json_decref(edits);
        edits = NULL;
    }
    return change_to(live, edits);
}

static limn_status undo(Live *live) {
    size_t n = json_array_size(live->edits);
    if (n == 0) {
        complain("there is nothing to undo");
        return LIMN_USAGE;
    }
    json_t *edits = json_copy(live->edits);
    if (edits != NULL) {
        json_array_remove(edits, n - 1);
    }
    return change_to(live, edits);
}

static limn_status list(const Live *live) {
    size_t i;
    const json_t *edit;
    bool good = true;
    json_array_foreach(live->edits, i, edit) {
        const char *text = json_string_value(edit);
        good = good && write_said(text, strlen(text)) && write_text(STDOUT_FILENO, "\n");
    }
    return good ? LIMN_OK : LIMN_IO;
}

static limn_status compare(Live *live) {
    json_t *none = json_array();
    limn_status status = none != NULL ? answer(live, none) : LIMN_NO_MEMORY;
    json_decref(none);
    return status;
}

static limn_status new_prompt(Live *live, const char *text) {
    static const char *const others[] = {"ids", "file", "chat", "messages", "at"};
    json_t *old = json_deep_copy(live->params), *prompt = json_string(text);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        json_object_del(live->params, others[i]);
    }
    if (old == NULL || prompt == NULL || json_object_set_new(live->params, "prompt", prompt) != 0) {
        json_decref(old);
        complain("this line is not UTF-8");
        return LIMN_USAGE;
    }
    limn_status status = compare(live);
    if (status != LIMN_OK) { /* a position of the other prompt may be past its end: it stays */
        json_decref(live->params);
        live->params = old;
    } else {
        json_decref(old);
    }
    return status;
}

static limn_status print_command(Live *live) {
    json_t *document;
    limn_status status = ask(&document, live, live->command->name, params_of(live, live->edits));
    const char *text = status == LIMN_OK ? text_in(json_object_get(block_of(document, "command"), "text")) : "";
    if (status == LIMN_OK && !(write_said(text, strlen(text)) && write_text(STDOUT_FILENO, "\n"))) {
        status = LIMN_IO;
    }
    json_decref(document);
    return status;
}

static limn_status save(Live *live, const char *path) {
    json_t *document, *params = params_of(live, live->edits);
    if (params != NULL) {
        json_object_set_new(params, "save-edit", json_string(path));
    }
    limn_status status = ask(&document, live, live->command->name, params);
    if (status == LIMN_OK && live->talks) {
        complain("saved; --edit %s puts it in force", path);
    }
    json_decref(document);
    return status;
}

static limn_status print_sites(Live *live, const char *pattern) {
    json_t *document;
    size_t i;
    const json_t *row;
    json_t *params = json_pack("{s:O, s:[s]}", "model", json_object_get(live->params, "model"), "match",
                               pattern[0] != '\0' ? pattern : "*");
    limn_status status = ask(&document, live, "sites", params);
    json_array_foreach(json_object_get(block_of(document, "sites"), "rows"), i, row) {
        Text line = {0};
        text_printf(&line, "%-36s %s\n", text_in(json_array_get(row, 0)), text_in(json_array_get(row, 1)));
        status = line.data != NULL && write_said(line.data, line.length) ? status : LIMN_IO;
        text_free(&line);
    }
    json_decref(document);
    return status;
}

static limn_status set_top(Live *live, const char *text) {
    json_t *old = json_incref(json_object_get(live->params, "top"));
    json_object_set_new(live->params, "top", json_string(text));
    limn_status status = answer(live, live->before);
    if (status != LIMN_OK && old != NULL) {
        json_object_set(live->params, "top", old);
    } else if (status != LIMN_OK) {
        json_object_del(live->params, "top");
    }
    json_decref(old);
    return status;
}

/* What stands behind a word that begins the line; NULL: another word. */
static const char *behind(const char *line, const char *word) {
    size_t n = strlen(word);
    if (strncmp(line, word, n) != 0 || (line[n] != '\0' && line[n] != ' ')) {
        return NULL;
    }
    return line + n + strspn(line + n, " ");
}

static limn_status obey(Live *live, const char *line, bool *leaves) {
    const char *rest;
    *leaves = behind(line, "/quit") != NULL || behind(line, "/exit") != NULL;
    if (*leaves) {
        return LIMN_OK;
    }
    if (behind(line, "/undo") != NULL) {
        return undo(live);
    }
    if (behind(line, "/clear") != NULL) {
        return change_to(live, json_array());
    }
    if (behind(line, "/list") != NULL) {
        return list(live);
    }
    if (behind(line, "/compare") != NULL) {
        return compare(live);
    }
    if (behind(line, "/command") != NULL) {
        return print_command(live);
    }
    if ((rest = behind(line, "/prompt")) != NULL && rest[0] != '\0') {
        return new_prompt(live, rest);
    }
    if ((rest = behind(line, "/save")) != NULL && rest[0] != '\0') {
        return save(live, rest);
    }
    if ((rest = behind(line, "/sites")) != NULL) {
        return print_sites(live, rest);
    }
    if ((rest = behind(line, "/top")) != NULL && rest[0] != '\0') {
        return set_top(live, rest);
    }
    complain(
        "found '%.40s', expected an edit (SITE[pos=-1,head=3]=zero), /undo, /clear, /list, /compare, /prompt TEXT, "
        "/sites PATTERN, /top N, /command, /save FILE.json or /quit",
        line);
    return LIMN_USAGE;
}

/* ---- the session ---- */

/* Without somebody at both ends the first line that fails ends it, as a script wants to know. */
static int converse(Live *live) {
    for (bool leaves = false; !leaves;) {
        Text line = {0};
        limn_status status = LIMN_OK;
        if (live->talks && !write_text(STDOUT_FILENO, "> ")) {
            return limn_status_exit_code(LIMN_IO);
        }
        Reading reading = read_line(&line, &live->lines);
        if (reading == READ_FAILED) {
            status = LIMN_IO;
        } else if (reading == READ_INTERRUPTED) {
            interrupt_take();
            write_text(STDERR_FILENO, "\n");
            complain("/quit or Ctrl-D leaves");
        } else if (reading == READ_END) {
            leaves = true;
            write_text(STDOUT_FILENO, live->talks ? "\n" : "");
        } else if (line.length > 0) {
            status = line.data[0] == '/' ? obey(live, line.data, &leaves) : add_edit(live, line.data);
        }
        text_free(&line);
        if (status != LIMN_OK && (!live->talks || status == LIMN_IO)) {
            return limn_status_exit_code(status);
        }
    }
    return 0;
}

bool live_wanted(const Arguments *arguments) {
    const FaceOptions *face = &arguments->face;
    return !face->json && face->format == NULL && face->n_outputs == 0 && !face->to_stdout &&
           json_object_get(arguments->params, "save-edit") == NULL &&
           json_object_get(arguments->params, "estimate") == NULL;
}

static bool begin(Live *live) {
    json_t *set = json_object_get(live->arguments->params, "set");
    live->params = json_deep_copy(live->arguments->params);
    live->edits = set != NULL ? json_deep_copy(set) : json_array();
    live->before = json_array();
    if (live->params == NULL || live->edits == NULL || live->before == NULL ||
        limn_context_new(&live->context) != LIMN_OK) {
        complain("out of memory");
        return false;
    }
    json_object_del(live->params, "set");
    json_object_del(live->params, "against");
    return true;
}

int live_run(const limn_command *command, const Arguments *arguments) {
    Live live = {
        .command = command, .arguments = arguments, .talks = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0};
    int code = limn_status_exit_code(LIMN_NO_MEMORY);
    if (begin(&live)) {
        interrupts_forgive();
        limn_status status = compare(&live); /* what it says without an edit, or with those of the options */
        code = status == LIMN_OK ? converse(&live) : limn_status_exit_code(status);
    }
    limn_context_free(live.context);
    json_decref(live.params);
    json_decref(live.edits);
    json_decref(live.before);
    text_free(&live.lines.pending);
    return code;
}
