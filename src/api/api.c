/* limn.h over the table of methods. */
#include "limn.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/registry.h"
#include "base/file.h"
#include "call/call.h"
#include "call/open.h"
#include "method/methods.h"
#include "render/format.h"
#include "render/render.h"

struct limn_context {
    ModelCache *models;
};

struct limn_result {
    Result *result;
};

const char *limn_version(void) {
    return LIMN_VERSION;
}

const char *limn_error_message(void) {
    return error_message();
}

const char *limn_status_name(limn_status status) {
    return status_name(status);
}

int limn_status_exit_code(limn_status status) {
    return status_exit_code(status);
}

/* ---- registry ---- */

#define METHOD(group, variable) extern const Method variable;
#include "method/methods.def"
#undef METHOD

static const limn_command *const commands[] = {
#define METHOD(group, variable) &variable.command,
#include "method/methods.def"
#undef METHOD
};

const limn_command *const *limn_commands(size_t *count) {
    *count = sizeof commands / sizeof commands[0];
    return commands;
}

const limn_command *limn_command_find(const char *name) {
    const Method *method = name != NULL ? registry_find(&registry_of_build, name) : NULL;
    return method != NULL ? &method->command : NULL;
}

const char *limn_command_group(const limn_command *command) {
    for (size_t i = 0; i < method_table.n; i++) {
        if (&method_table.items[i].method->command == command) {
            return group_title(method_table.items[i].group);
        }
    }
    return NULL;
}

const limn_param *limn_common_params(size_t *count) {
    *count = common_params_count;
    return common_params;
}

bool limn_command_takes(const limn_command *command, const limn_param *common) {
    return command_takes(command, common);
}

/* ---- calls ---- */

limn_status limn_context_new(limn_context **context) {
    *context = calloc(1, sizeof **context);
    if (*context == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for a context");
    }
    limn_status status = model_cache_new(&(*context)->models);
    if (status != LIMN_OK) {
        free(*context);
        *context = NULL;
    }
    return status;
}

void limn_context_free(limn_context *context) {
    if (context != NULL) {
        model_cache_free(context->models);
        free(context);
    }
}

/* A remark may hold what a model wrote: it is made harmless first. */
static void tell_remark(void *context, const char *line) {
    const limn_callbacks *callbacks = context;
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, text_of(line), 0);
    if (!clean.failed && clean.data != NULL) {
        callbacks->remark(callbacks->context, clean.data);
    }
    text_buffer_free(&clean);
}

static CallListeners listeners_of(const limn_callbacks *callbacks) {
    CallListeners listeners = {0};
    if (callbacks != NULL) { /* fields past `size` belong to a later version of the struct than the caller's */
        listeners.progress = (Progress){callbacks->progress, callbacks->context};
        listeners.text = callbacks->text;
        listeners.text_context = callbacks->context;
        if (callbacks->size >= sizeof *callbacks && callbacks->remark != NULL) {
            listeners.remark = tell_remark;
            listeners.remark_context = (void *)(uintptr_t)callbacks; /* read only */
        }
    }
    return listeners;
}

limn_status limn_call(limn_context *context, const char *command, const char *params_json,
                      const limn_callbacks *callbacks, limn_result **result) {
    *result = NULL;
    if (context == NULL || command == NULL) {
        return fail(LIMN_USAGE, "limn_call needs a context and a command");
    }
    if (callbacks != NULL && callbacks->size < offsetof(limn_callbacks, remark)) {
        return fail(LIMN_USAGE, "limn_callbacks.size is %u; expected LIMN_CALLBACKS_INIT", (unsigned)callbacks->size);
    }
    json_error_t error;
    json_t *params =
        json_loads(params_json != NULL ? params_json : "{}", JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (params == NULL) {
        return fail(LIMN_USAGE, "%s: the parameters are not JSON (line %d, column %d: %s)", command, error.line,
                    error.column, error.text);
    }
    CallListeners listeners = listeners_of(callbacks);
    limn_result *made = calloc(1, sizeof *made);
    limn_status status =
        made != NULL ? method_call(&made->result, &registry_of_build, context->models, command, params, &listeners)
                     : fail(LIMN_NO_MEMORY, "no memory for a result");
    json_decref(params);
    if (status == LIMN_OK) {
        *result = made;
    } else {
        free(made);
    }
    return status;
}

void limn_result_free(limn_result *result) {
    if (result != NULL) {
        result_free(result->result);
        free(result);
    }
}

bool limn_result_passed(const limn_result *result) {
    return result_passed(result->result);
}

/* ---- shown and written ---- */

limn_status limn_result_render(const limn_result *result, const char *format, const limn_render_options *options,
                               char **text, size_t *length) {
    *text = NULL;
    *length = 0;
    RenderOptions inner = {0};
    if (options != NULL) {
        if (options->size < sizeof *options) {
            return fail(LIMN_USAGE, "limn_render_options.size is %u; expected LIMN_RENDER_OPTIONS_INIT",
                        (unsigned)options->size);
        }
        inner.width = options->width;
        inner.colour = (RenderColour)options->colour;
        inner.ascii = !options->unicode;
        inner.language = options->language;
    }
    TextBuffer buffer = TEXT_BUFFER_INIT;
    limn_status status = render_result(&buffer, result->result, format, &inner);
    if (status == LIMN_OK) {
        status = text_buffer_status(&buffer);
    }
    if (status == LIMN_OK) {
        *length = buffer.length;
        *text = text_buffer_take(&buffer);
        status = *text != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory to render the result");
    }
    text_buffer_free(&buffer);
    return status;
}

const char *limn_render_formats(void) {
    return renderer_names();
}

limn_status limn_format_of_file(const char *path, const char **format) {
    const char *dot = strrchr(path_base(path), '.');
    char endings[256] = "";
    size_t n, used = 0;
    const Renderer *rows = renderers(&n);
    for (size_t i = 0; i < n; i++) {
        if (dot != NULL && strcmp(dot + 1, rows[i].extension) == 0) {
            *format = rows[i].name;
            return LIMN_OK;
        }
        int length = snprintf(endings + used, sizeof endings - used, " .%s", rows[i].extension);
        used += length > 0 && (size_t)length < sizeof endings - used ? (size_t)length : 0;
    }
    return fail(LIMN_USAGE, "found '%s', but no format has the ending %s; expected one of%s", path,
                dot != NULL ? dot : "''", endings);
}

void limn_free(void *memory) {
    free(memory);
}

limn_status limn_check_output(const char *path) {
    return file_check_output(path);
}

limn_status limn_write_file(const char *path, const void *bytes, size_t length) {
    return file_write_atomic(path, bytes, length);
}

const char *limn_mapped_file_at(const void *address) {
    return file_map_at(address);
}
