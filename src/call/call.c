#include "call/call.h"

#include <stdlib.h>

#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "base/nearest.h"
#include "call/model_edits.h"
#include "call/open.h"

static const char *method_name_at(const void *context, size_t index) {
    return ((const Registry *)context)->methods->items[index].method->command.name;
}

static limn_status find(const Method **method, const Registry *registry, const char *name) {
    *method = registry_find(registry, name);
    if (*method == NULL) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, name, method_name_at, registry, registry->methods->n);
        return fail(LIMN_USAGE, "there is no command '%s'; nearest: %s", name, near);
    }
    return LIMN_OK;
}

static size_t common_rows_of(const limn_command *command, limn_param *rows) {
    size_t n = 0;
    for (size_t i = 0; i < common_params_count; i++) {
        if (command_takes(command, &common_params[i])) {
            rows[n++] = common_params[i];
        }
    }
    return n;
}

/* A caller's "output" that by its ending is one of the command's own files goes to that file's row, as it did before
 * those had names of their own. */
static limn_status take_old_output(json_t **taken, const limn_command *command, const json_t *object) {
    const json_t *output = json_object_get(object, "output");
    const limn_param *row = params_own_file(command->params, command->n_params, output);
    *taken = json_copy((json_t *)(uintptr_t)object);
    bool made = *taken != NULL;
    if (made && row != NULL && json_object_get(object, row->name) == NULL) {
        made = json_object_set(*taken, row->name, (json_t *)(uintptr_t)output) == 0;
    }
    return made ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: out of memory", command->name);
}

static limn_status fill_params(MethodCall *call, void **own, const json_t *object) {
    const limn_command *command = &call->method->command;
    limn_param *rows = ARENA_ARRAY(call->arena, limn_param, common_params_count);
    *own = arena_zalloc(call->arena, call->method->params_bytes + 1);
    if (rows == NULL || *own == NULL) {
        return method_no_memory(call);
    }
    size_t n = common_rows_of(command, rows);
    TRY(params_check_names(command->name, command->params, command->n_params, rows, n, object));
    TRY(params_fill(&call->common, command->name, rows, n, object, call->arena));
    json_t *taken;
    limn_status status = take_old_output(&taken, command, object);
    if (status == LIMN_OK) {
        status = params_fill(*own, command->name, command->params, command->n_params, taken, call->arena);
    }
    json_decref(taken);
    call->params = *own;
    return status;
}

static void add_param(Result *result, const char *name, const json_t *value) {
    if (json_is_string(value)) {
        result_param(result, name, value_bytes(json_string_value(value), json_string_length(value)));
    } else if (json_is_integer(value)) {
        result_param(result, name, value_integer(json_integer_value(value)));
    } else if (json_is_real(value)) {
        result_param(result, name, value_number(json_real_value(value)));
    } else if (json_is_boolean(value)) {
        result_param(result, name, value_bool(json_is_true(value)));
    } else {
        char *text = json_dumps(value, JSON_COMPACT);
        result_param_text(result, name, text != NULL ? text : "");
        free(text);
    }
}

/* The prompt and the target stand elsewhere in the document; everything else that was in force is a param. */
static bool stands_elsewhere(const char *name) {
    return strcmp(name, "model") == 0 || strcmp(name, "prompt") == 0 || strcmp(name, "ids") == 0;
}

static limn_status record_params(Result *result, const MethodCall *call) {
    json_t *object = json_object();
    if (object == NULL) {
        return method_no_memory(call);
    }
    const limn_command *command = &call->method->command;
    limn_status status = params_record(object, call->params, command->params, command->n_params);
    if (status == LIMN_OK && call->method->explains) {
        limn_param *rows = ARENA_ARRAY(call->arena, limn_param, common_params_count);
        status = rows != NULL ? params_record(object, &call->common, rows, common_rows_of(command, rows))
                              : method_no_memory(call);
    }
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value) {
        if (!stands_elsewhere(name)) {
            add_param(result, name, value);
        }
    }
    if (!call->method->explains && call->common.language == LANGUAGE_ZH) {
        result_param_text(result, "language", "zh"); /* renderers say their own words in it */
    }
    if (status == LIMN_OK && call->method->explains) {
        char *text = json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text != NULL) {
            result_request(result, command->name, text);
        } else {
            status = method_no_memory(call);
        }
        free(text);
    }
    json_decref(object);
    return status;
}

static limn_status describe_model(Result *result, const Model *model, const char *hash) {
    ResultModel described = {.name = text_of(model->name),
                             .architecture = text_of(model->config.architecture),
                             .dtype = text_of(dtype_info(model->config.dtype)->name),
                             .hash = text_of(hash)};
    result_model(result, &described);
    for (int32_t i = 0; i < model->n_warnings; i++) {
        result_warn(result, "%s", model->warnings[i]);
    }
    return result_status(result);
}

static limn_status describe_adapters(ResultProvenance *provenance, const MethodCall *call) {
    const Model *model = call->described;
    int32_t n = model != NULL ? model->n_adapters : 0;
    ResultAdapter *adapters = ARENA_ARRAY(call->arena, ResultAdapter, n + 1);
    if (adapters == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        char *hash = arena_zalloc(call->arena, 65);
        if (hash == NULL) {
            return method_no_memory(call);
        }
        TRY(model_adapter_hash(model, i, call->team, false, hash));
        adapters[i] = (ResultAdapter){.name = text_of(path_base(model->adapters[i].path)),
                                      .hash = text_of(hash),
                                      .weight = model->adapters[i].weight};
    }
    provenance->adapters = adapters;
    provenance->n_adapters = n;
    return LIMN_OK;
}

static limn_status describe_provenance(Result *result, MethodCall *call) {
    ResultProvenance provenance = {
        .version = text_of(LIMN_VERSION), .threads = call->team->threads, .seed = (uint64_t)call->common.seed};
    const Engine *engine = call->engine;
    if (engine != NULL) {
        provenance.backend = text_of(engine_backend_name(engine));
        provenance.instruction_set = text_of(engine_backend_describe(engine));
        provenance.compute = text_of(engine_compute(engine) == COMPUTE_BF16 ? "bf16" : "f32");
        provenance.chunk_rows = engine_chunk_rows(engine);
    }
    TRY(describe_adapters(&provenance, call));
    TRY(model_edits_describe(&provenance, result, call));
    result_provenance(result, &provenance);
    return LIMN_OK;
}

static double seconds_between(const struct timespec *a, const struct timespec *b) {
    return (double)(b->tv_sec - a->tv_sec) + 1e-9 * (double)(b->tv_nsec - a->tv_nsec);
}

static void describe_measured(Result *result, time_t started, const struct timespec *begin) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    struct tm utc;
    char text[32] = "";
    if (gmtime_r(&started, &utc) != NULL) {
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    ResultMeasured measured = {.started = text_of(text),
                               .seconds = seconds_between(begin, &now),
                               .peak_bytes = (int64_t)usage.ru_maxrss * 1024};
    result_measured(result, &measured);
}

void method_tell(const MethodCall *call, const Result *result) {
    if (call->remark != NULL && result_status(result) == LIMN_OK && result->n_warnings > 0) {
        call->remark(call->remark_context, result->warnings[result->n_warnings - 1].bytes);
    }
}

limn_status method_blocks_done(MethodCall *call, const Result *result) {
    limn_status status = result_status(result);
    for (; call->block != NULL && status == LIMN_OK && call->blocks_told < result->n_blocks; call->blocks_told++) {
        TextBuffer json = TEXT_BUFFER_INIT;
        status = result_write_block(&json, result, call->blocks_told);
        if (status == LIMN_OK) {
            call->block(call->block_context, json.data, json.length);
        }
        text_buffer_free(&json);
    }
    return status;
}

static limn_status run_method(Result *result, MethodCall *call, const json_t *params) {
    time_t started = time(NULL);
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    void *own;
    TRY(fill_params(call, &own, params));
    *call->team = team_of(call->common.threads, call->progress);
    TRY(record_params(result, call));
    TRY(call->method->run(call, result));
    TRY(method_blocks_done(call, result));
    if (call->described != NULL) {
        char hash[65];
        TRY(model_hash(call->described, call->team, false, hash));
        TRY(describe_model(result, call->described, hash));
    }
    TRY(describe_provenance(result, call));
    if (!call->method->undated) {
        describe_measured(result, started, &begin);
    }
    return result_status(result);
}

limn_status method_call(Result **result, const Registry *registry, ModelCache *models, const char *command,
                        const json_t *params, const CallListeners *listeners) {
    *result = NULL;
    const Method *method;
    TRY(find(&method, registry, command));
    if (!json_is_object(params)) {
        return fail(LIMN_USAGE, "%s: expected the parameters as a JSON object", command);
    }
    Arena arena;
    arena_init(&arena);
    Team team = {0};
    MethodCall call = {.method = method,
                       .progress = &listeners->progress,
                       .team = &team,
                       .text = listeners->text,
                       .text_context = listeners->text_context,
                       .block = listeners->block,
                       .block_context = listeners->block_context,
                       .remark = listeners->remark,
                       .remark_context = listeners->remark_context,
                       .registry = registry,
                       .models = models,
                       .arena = &arena};
    limn_status status = result_new(result, method->command.name, method->title);
    if (status == LIMN_OK) {
        status = run_method(*result, &call, params);
    }
    if (status != LIMN_OK) {
        result_free(*result);
        *result = NULL;
    }
    model_cache_release(models, &call);
    arena_free(&arena);
    return status;
}
