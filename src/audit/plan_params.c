/* From what a step says to the parameters of its command, each checked by the command's own rows. */
#include <string.h>

#include "audit/plan.h"
#include "base/file.h"
#include "base/nearest.h"

static limn_status no_memory(const Plan *plan) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
}

/* ---- options of a command ---- */

const limn_param *plan_own_option(const Method *method, const char *name) {
    for (size_t i = 0; i < method->command.n_params; i++) {
        if (strcmp(method->command.params[i].name, name) == 0) {
            return &method->command.params[i];
        }
    }
    return NULL;
}

/* The option that says which records are read at all: of some commands `where` says something else. */
const char *plan_filter(const Method *method) {
    return plan_own_option(method, "only") != NULL ? "only" : "where";
}

static const limn_param *common_option(const Method *method, const char *name) {
    for (size_t i = 0; i < common_params_count; i++) {
        if (!common_params[i].face && strcmp(common_params[i].name, name) == 0 &&
            command_takes(&method->command, &common_params[i])) {
            return &common_params[i];
        }
    }
    return NULL;
}

const limn_param *plan_option(const Method *method, const char *name) {
    const limn_param *own = plan_own_option(method, name);
    return own != NULL ? own : common_option(method, name);
}

/* One value by its row, whatever the other options are. */
static limn_status check_value(const Plan *plan, const Method *method, const limn_param *row, json_t *value) {
    size_t bytes = method->params_bytes > sizeof(CommonOptions) ? method->params_bytes : sizeof(CommonOptions);
    void *scratch = arena_zalloc(plan->arena, bytes + 1);
    json_t *object = json_object();
    if (scratch == NULL || object == NULL || json_object_set(object, row->name, value) != 0) {
        json_decref(object);
        return no_memory(plan);
    }
    limn_status status = params_fill(scratch, method->command.name, row, 1, object, plan->arena);
    json_decref(object);
    return status;
}

/* All of them together, those that are required too. */
limn_status plan_check_params(const Plan *plan, const Method *method, const json_t *params) {
    const limn_command *command = &method->command;
    void *own = arena_zalloc(plan->arena, method->params_bytes + 1);
    CommonOptions common = {0};
    limn_param *rows = ARENA_ARRAY(plan->arena, limn_param, common_params_count);
    if (own == NULL || rows == NULL) {
        return no_memory(plan);
    }
    size_t n = 0;
    for (size_t i = 0; i < common_params_count; i++) {
        if (command_takes(command, &common_params[i])) {
            rows[n++] = common_params[i];
        }
    }
    TRY(params_check_names(command->name, command->params, command->n_params, rows, n, params));
    TRY(params_fill(&common, command->name, rows, n, params, plan->arena));
    return params_fill(own, command->name, command->params, command->n_params, params, plan->arena);
}

static limn_status set(const Plan *plan, json_t *params, const char *name, json_t *value) {
    return json_object_set_new(params, name, value) == 0 ? LIMN_OK : no_memory(plan);
}

/* ---- files ---- */

int32_t plan_step_place(const Plan *plan, const char *id, size_t length) {
    for (int32_t i = 0; i < plan->n_steps; i++) {
        if (strlen(plan->steps[i].id) == length && memcmp(plan->steps[i].id, id, length) == 0) {
            return i;
        }
    }
    return -1;
}

int32_t plan_step_meant(const Plan *plan, const json_t *value) {
    static const char prefix[] = "step:";
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    return strncmp(text, prefix, sizeof prefix - 1) == 0
               ? plan_step_place(plan, text + sizeof prefix - 1, strlen(text) - sizeof prefix + 1)
               : -1;
}

static const char *id_at(const void *context, size_t index) {
    return ((const Plan *)context)->steps[index].id;
}

static limn_status check_step_meant(const Plan *plan, const YamlNode *node, const char *id) {
    int32_t place = plan_step_place(plan, id, strlen(id));
    if (place < 0) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, id, id_at, plan, (size_t)plan->n_steps);
        return plan_fail(plan, node, "no step before this one is called '%.80s'; nearest: %s", id, near);
    }
    if (plan_own_option(plan->steps[place].method, "decisions") == NULL) {
        return plan_fail(plan, node, "the step '%.80s' leaves no file of decisions", id);
    }
    return LIMN_OK;
}

/* A file that is read: a path from the plan's folder, or another step's decisions. */
static limn_status resolve_file(const Plan *plan, const YamlNode *node, json_t **value) {
    const char *text = json_string_value(*value);
    if (text == NULL) {
        return LIMN_OK; /* the row refuses it */
    }
    if (strncmp(text, "step:", 5) == 0) {
        return check_step_meant(plan, node, text + 5);
    }
    const char *path = plan_path(plan, text);
    if (path == NULL) {
        return no_memory(plan);
    }
    if (!file_exists(path) && !folder_exists(path)) {
        return plan_fail(plan, node, "there is no file '%s'", path);
    }
    json_decref(*value);
    *value = json_string(path);
    return *value != NULL ? LIMN_OK : no_memory(plan);
}

static limn_status resolve_files(const Plan *plan, const YamlNode *node, json_t **value) {
    if (!json_is_array(*value)) {
        return resolve_file(plan, node, value);
    }
    for (size_t i = 0; i < json_array_size(*value); i++) {
        json_t *item = json_incref(json_array_get(*value, i));
        limn_status status = resolve_file(plan, node->items[i], &item);
        if (status != LIMN_OK || json_array_set_new(*value, i, item) != 0) {
            json_decref(status != LIMN_OK ? item : NULL);
            return status != LIMN_OK ? status : no_memory(plan);
        }
    }
    return LIMN_OK;
}

/* ---- what becomes of it ---- */

static limn_status add_texts(const Plan *plan, const PlanStep *step, const char *name, const char *const *texts,
                             int32_t n) {
    json_t *list = n > 0 ? json_array() : NULL;
    for (int32_t i = 0; list != NULL && i < n; i++) {
        if (json_array_append_new(list, json_string(texts[i])) != 0) {
            json_decref(list);
            return no_memory(plan);
        }
    }
    return n > 0 ? set(plan, step->params, name, list) : LIMN_OK;
}

static limn_status add_model(const Plan *plan, const PlanStep *step) {
    if (step->model < 0) {
        return LIMN_OK;
    }
    const PlanModel *model = &plan->models[step->model];
    TRY(set(plan, step->params, "model", json_string(model->path)));
    TRY(add_texts(plan, step, "adapter", model->adapters, model->n_adapters));
    return add_texts(plan, step, "edit", model->edits, model->n_edits);
}

/* Where a field's half of the records is meant, beside what the data set's own filter says. */
static limn_status add_half(const Plan *plan, const PlanStep *step, const PlanData *data) {
    if (step->half == HALF_ALL) {
        return LIMN_OK;
    }
    const char *field = data->cluster_field != NULL ? data->cluster_field : data->id_field;
    const char *own = json_string_value(json_object_get(step->params, plan_filter(step->method)));
    const char *text = arena_printf(plan->arena, "%s%s%ssplit(`%s`, %lld) %s 0.5", own != NULL ? "(" : "",
                                    own != NULL ? own : "", own != NULL ? ") and " : "", field, (long long)plan->seed,
                                    step->half == HALF_NOMINATE ? "<" : ">=");
    return text != NULL ? set(plan, step->params, plan_filter(step->method), json_string(text)) : no_memory(plan);
}

static limn_status add_data(const Plan *plan, const PlanStep *step) {
    if (step->data < 0) {
        return LIMN_OK;
    }
    const PlanData *data = &plan->data[step->data];
    TRY(set(plan, step->params, "data", json_string(data->file)));
    const char *name;
    json_t *value;
    json_object_foreach(data->options, name, value) {
        const char *known = strcmp(name, "where") == 0 ? plan_filter(step->method) : name;
        const limn_param *row = plan_option(step->method, known);
        if (row == NULL) {
            continue; /* nothing this command asks */
        }
        if (check_value(plan, step->method, row, value) != LIMN_OK) {
            return plan_fail_at(plan, data->node);
        }
        TRY(set(plan, step->params, known, json_incref(value)));
    }
    return LIMN_OK;
}

static limn_status add_own(const Plan *plan, const PlanStep *step) {
    const YamlNode *with = yaml_get(step->node, "with");
    if (yaml_is_null(with)) {
        return LIMN_OK;
    }
    if (with->kind != YAML_MAP) {
        return plan_fail(plan, with, "'with': found %s, expected a mapping of the command's options",
                         yaml_kind_name(with));
    }
    for (int32_t i = 0; i < with->n; i++) {
        const YamlPair *pair = &with->pairs[i];
        const limn_param *row = plan_option(step->method, pair->key->text);
        json_t *value = yaml_json(pair->value);
        if (value == NULL || json_object_set(step->params, pair->key->text, value) != 0) {
            json_decref(value);
            return no_memory(plan);
        }
        limn_status status = LIMN_OK;
        if (row != NULL && row->kind == LIMN_PARAM_OUTPUT) {
            status = plan_fail(plan, pair->key, "'%s' is a file that is written: the audit says where", row->name);
        } else if (row != NULL && row->kind == LIMN_PARAM_FILE && strcmp(row->name, "model") != 0) {
            status = resolve_files(plan, pair->value, &value);
        }
        if (status == LIMN_OK && row != NULL && !json_is_null(value) &&
            check_value(plan, step->method, row, value) != LIMN_OK) {
            status = plan_fail_at(plan, pair->value);
        }
        json_t *alone = status == LIMN_OK && row == NULL ? json_pack("{s:O}", pair->key->text, value) : NULL;
        if (alone != NULL && plan_check_params(plan, step->method, alone) != LIMN_OK) {
            status = plan_fail_at(plan, pair->key); /* a name that it has not */
        }
        json_decref(alone);
        if (status == LIMN_OK && json_object_set(step->params, pair->key->text, value) != 0) {
            status = no_memory(plan);
        }
        json_decref(value);
        TRY(status);
    }
    return LIMN_OK;
}

limn_status plan_fill_params(const Plan *plan, const PlanStep *step) {
    TRY(add_model(plan, step));
    TRY(add_data(plan, step));
    if (common_option(step->method, "seed") != NULL) {
        TRY(set(plan, step->params, "seed", json_integer(plan->seed)));
    }
    if (plan->language == LANGUAGE_ZH && common_option(step->method, "language") != NULL) {
        TRY(set(plan, step->params, "language", json_string("zh")));
    }
    TRY(add_own(plan, step));
    if (step->data >= 0) {
        TRY(add_half(plan, step, &plan->data[step->data]));
    }
    return plan_check_params(plan, step->method, step->params) == LIMN_OK ? LIMN_OK : plan_fail_at(plan, step->node);
}
