/* limn.h over the table of methods. */
#include "limn.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/commands.h"
#include "api/registry.h"
#include "base/file.h"
#include "call/call.h"
#include "call/open.h"
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

static const limn_command *const commands[] = {
#define METHOD(group, variable) &variable.command,
#include "api/commands.def"
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
    const MethodTable *table = registry_of_build.methods;
    for (size_t i = 0; i < table->n; i++) {
        if (&table->items[i].method->command == command) {
            return group_title(table->items[i].group);
        }
    }
    return NULL;
}

const limn_param *limn_common_params(size_t *count) {
    *count = common_params_count;
    return common_params;
}

const limn_param *limn_command_param(const limn_command *command, size_t index) {
    return index < command->n_params ? &command->params[index] : NULL;
}

const limn_param *limn_common_param(size_t index) {
    return index < common_params_count ? &common_params[index] : NULL;
}

size_t limn_param_size(void) {
    return sizeof(limn_param);
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

/* The least that the first version of a struct held, up to and with its last field. */
#define SIZE_UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)NULL)->field))

/* A caller's struct that begins with its size: an earlier version lacks what came later, which is 0 then. False when it
 * is smaller than any version. */
static bool take_struct(void *own, size_t own_size, const void *given, uint32_t size, size_t least) {
    if (size < least) {
        return false;
    }
    memset(own, 0, own_size);
    memcpy(own, given, size < own_size ? size : own_size);
    return true;
}

static limn_status take_callbacks(CallListeners *listeners, const limn_callbacks *given) {
    *listeners = (CallListeners){0};
    limn_callbacks callbacks;
    if (given == NULL) {
        return LIMN_OK;
    }
    if (!take_struct(&callbacks, sizeof callbacks, given, given->size, SIZE_UP_TO(limn_callbacks, text))) {
        return fail(LIMN_USAGE, "limn_callbacks.size is %u; expected LIMN_CALLBACKS_INIT", (unsigned)given->size);
    }
    listeners->progress = (Progress){callbacks.progress, callbacks.context};
    listeners->text = callbacks.text;
    listeners->block = callbacks.block;
    listeners->text_context = listeners->block_context = callbacks.context;
    if (callbacks.remark != NULL) {
        listeners->remark = tell_remark;
        listeners->remark_context = (void *)(uintptr_t)given; /* read only, until the call ends */
    }
    return LIMN_OK;
}

limn_status limn_call(limn_context *context, const char *command, const char *params_json,
                      const limn_callbacks *callbacks, limn_result **result) {
    *result = NULL;
    if (context == NULL || command == NULL) {
        return fail(LIMN_USAGE, "limn_call needs a context and a command");
    }
    CallListeners listeners;
    TRY(take_callbacks(&listeners, callbacks));
    json_error_t error;
    json_t *params =
        json_loads(params_json != NULL ? params_json : "{}", JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (params == NULL) {
        return fail(LIMN_USAGE, "%s: the parameters are not JSON (line %d, column %d: %s)", command, error.line,
                    error.column, error.text);
    }
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

limn_status limn_result_verdict(const limn_result *result) {
    static const limn_status verdicts[] = {LIMN_OK, LIMN_GATE_FAILED, LIMN_INCONCLUSIVE};
    return verdicts[result_verdict(result->result)];
}

/* ---- shown and written ---- */

/* The buffer's bytes to the caller, if all went well; the buffer is freed. */
static limn_status hand_out(TextBuffer *buffer, limn_status status, char **text, size_t *length) {
    if (status == LIMN_OK) {
        status = text_buffer_status(buffer);
    }
    if (status == LIMN_OK) {
        *length = buffer->length;
        *text = text_buffer_take(buffer);
        status = *text != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory to render the result");
    }
    text_buffer_free(buffer);
    return status;
}

limn_status limn_result_alerts(const limn_result *result, bool warnings, char **text, size_t *length) {
    TextBuffer buffer = TEXT_BUFFER_INIT;
    *text = NULL;
    *length = 0;
    text_buffer_add(&buffer, "");
    render_alerts(&buffer, result->result, warnings);
    return hand_out(&buffer, LIMN_OK, text, length);
}

limn_status limn_result_render(const limn_result *result, const char *format, const limn_render_options *options,
                               char **text, size_t *length) {
    *text = NULL;
    *length = 0;
    RenderOptions inner = {0};
    limn_render_options taken;
    if (options != NULL) {
        if (!take_struct(&taken, sizeof taken, options, options->size, SIZE_UP_TO(limn_render_options, language))) {
            return fail(LIMN_USAGE, "limn_render_options.size is %u; expected LIMN_RENDER_OPTIONS_INIT",
                        (unsigned)options->size);
        }
        inner.width = taken.width;
        inner.colour = (RenderColour)taken.colour;
        inner.ascii = !taken.unicode;
        inner.language = taken.language;
    }
    TextBuffer buffer = TEXT_BUFFER_INIT;
    return hand_out(&buffer, render_result(&buffer, result->result, format, &inner), text, length);
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
