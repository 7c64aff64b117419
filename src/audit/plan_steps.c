/* The steps of a plan: each a command with its parameters, checked by the command's own rows. */
#include <string.h>

#include "audit/plan.h"
#include "base/file.h"
#include "base/nearest.h"

static limn_status no_memory(const Plan *plan) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
}

/* ---- options of a command ---- */

static const limn_param *own_option(const Method *method, const char *name) {
    for (size_t i = 0; i < method->command.n_params; i++) {
        if (strcmp(method->command.params[i].name, name) == 0) {
            return &method->command.params[i];
        }
    }
    return NULL;
}

/* The option that says which records are read at all: of some commands `where` says something else. */
static const char *filter_of(const Method *method) {
    return own_option(method, "only") != NULL ? "only" : "where";
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
    const limn_param *own = own_option(method, name);
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
static limn_status check_params(const Plan *plan, const Method *method, const json_t *params) {
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
    if (own_option(plan->steps[place].method, "decisions") == NULL) {
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

/* ---- what a step says ---- */

static const char *method_at(const void *context, size_t index) {
    return ((const Registry *)context)->methods->items[index].method->command.name;
}

static limn_status find_method(Plan *plan, PlanStep *step) {
    const char *name = NULL;
    TRY(plan_take_text(plan, step->node, "run", &name));
    if (name == NULL) {
        return plan_fail(plan, step->node, "a step says no command: 'run: predict'");
    }
    step->method = registry_find(plan->registry, name);
    bool usable = step->method != NULL && step->method->explains;
    if (!usable) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, name, method_at, plan->registry, plan->registry->methods->n);
        return step->method != NULL
                   ? plan_fail(plan, yaml_get(step->node, "run"), "'%.80s' says nothing of a model: no step", name)
                   : plan_fail(plan, yaml_get(step->node, "run"), "there is no command '%.80s'; nearest: %s", name,
                               near);
    }
    return LIMN_OK;
}

static limn_status take_id(Plan *plan, PlanStep *step) {
    const char *given = NULL;
    TRY(plan_take_text(plan, step->node, "id", &given));
    char *id = arena_strdup(plan->arena, given != NULL ? given : step->method->command.name);
    if (id == NULL) {
        return no_memory(plan);
    }
    const YamlNode *where = given != NULL ? yaml_get(step->node, "id") : yaml_get(step->node, "run");
    for (char *c = id; *c != '\0'; c++) {
        *c = (char)(*c == ' ' && given == NULL ? '-' : *c);
        bool good = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-';
        if (!good) {
            return plan_fail(plan, where, "the step's id '%.80s': expected lower-case letters, digits and dashes", id);
        }
    }
    if (id[0] == '\0' || strlen(id) > 60) {
        return plan_fail(plan, where, "the step's id '%.80s': expected 1 to 60 characters", id);
    }
    if (plan_step_place(plan, id, strlen(id)) >= 0) {
        return plan_fail(plan, where, "two steps are called '%s': give one of them another 'id'", id);
    }
    step->id = id;
    return LIMN_OK;
}

typedef struct Named {
    const Plan *plan;
    bool models;
} Named;

static const char *named_at(const void *context, size_t index) {
    const Named *named = context;
    return named->models ? named->plan->models[index].name : named->plan->data[index].name;
}

/* The model or data set that a step names; else the one it means. */
static limn_status take_named(const Plan *plan, const PlanStep *step, bool models, int32_t usual, int32_t *place) {
    const char *key = models ? "model" : "data", *name = NULL;
    const Named named = {plan, models};
    int32_t n = models ? plan->n_models : plan->n_data;
    const limn_param *row = own_option(step->method, key);
    TRY(plan_take_text(plan, step->node, key, &name));
    *place = -1;
    if (row == NULL) {
        return name == NULL ? LIMN_OK
                            : plan_fail(plan, yaml_get(step->node, key), "%s takes no %s", step->method->command.name,
                                        models ? "model" : "data set");
    }
    for (int32_t i = 0; name != NULL && i < n; i++) {
        if (strcmp(named_at(&named, (size_t)i), name) == 0) {
            *place = i;
            return LIMN_OK;
        }
    }
    if (name != NULL) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, name, named_at, &named, (size_t)n);
        return plan_fail(plan, yaml_get(step->node, key), "the plan has no %s '%.80s'; it has: %s",
                         models ? "model" : "data set", name, near);
    }
    bool stands_in_with = yaml_get(yaml_get(step->node, "with"), key) != NULL;
    *place = row->required && n > 0 && !stands_in_with ? usual : -1;
    return LIMN_OK;
}

static limn_status take_half(Plan *plan, PlanStep *step) {
    static const char *const names[] = {"all", "nominate", "confirm"};
    const char *text = NULL;
    const YamlNode *where = yaml_get(step->node, "half");
    TRY(plan_take_text(plan, step->node, "half", &text));
    for (int i = 0; text != NULL; i++) {
        if (i == 3) {
            return plan_fail(plan, where, "'half': found '%.40s', expected all, nominate or confirm", text);
        }
        if (strcmp(text, names[i]) == 0) {
            step->half = (PlanHalf)i;
            break;
        }
    }
    if (step->half == HALF_ALL) {
        return LIMN_OK;
    }
    const PlanData *data = step->data >= 0 ? &plan->data[step->data] : NULL;
    if (data == NULL || own_option(step->method, filter_of(step->method)) == NULL) {
        return plan_fail(plan, where, "'half': %s reads no data set of which to take one", step->method->command.name);
    }
    if (data->id_field == NULL && data->cluster_field == NULL) {
        return plan_fail(plan, where, "'half': the data set '%s' needs an id-field or a cluster-field to be split by",
                         data->name);
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
    const char *own = json_string_value(json_object_get(step->params, filter_of(step->method)));
    const char *text = arena_printf(plan->arena, "%s%s%ssplit(`%s`, %lld) %s 0.5", own != NULL ? "(" : "",
                                    own != NULL ? own : "", own != NULL ? ") and " : "", field, (long long)plan->seed,
                                    step->half == HALF_NOMINATE ? "<" : ">=");
    return text != NULL ? set(plan, step->params, filter_of(step->method), json_string(text)) : no_memory(plan);
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
        const char *known = strcmp(name, "where") == 0 ? filter_of(step->method) : name;
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
        if (alone != NULL && check_params(plan, step->method, alone) != LIMN_OK) {
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

static limn_status fill_params(const Plan *plan, const PlanStep *step) {
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
    return check_params(plan, step->method, step->params) == LIMN_OK ? LIMN_OK : plan_fail_at(plan, step->node);
}

static limn_status read_step(Plan *plan, const YamlNode *node) {
    static const char *const keys[] = {"run", "id", "title", "model", "data", "half", "with"};
    PlanStep step = {.node = node, .model = -1, .data = -1};
    TRY(plan_check_keys(plan, node, "a step", keys, sizeof keys / sizeof keys[0]));
    TRY(find_method(plan, &step));
    TRY(take_id(plan, &step));
    TRY(plan_take_text(plan, node, "title", &step.title));
    TRY(take_named(plan, &step, true, plan->subject, &step.model));
    TRY(take_named(plan, &step, false, 0, &step.data));
    TRY(take_half(plan, &step));
    step.params = json_object();
    if (step.params == NULL) {
        return no_memory(plan);
    }
    plan->steps[plan->n_steps] = step;
    TRY(fill_params(plan, &plan->steps[plan->n_steps]));
    plan->n_steps++;
    return LIMN_OK;
}

limn_status plan_read_inside(Plan *plan, const YamlNode *root) {
    static const char *const keys[] = {"run", "model", "data", "half", "with", "count"};
    const YamlNode *node = yaml_get(root, "inside");
    PlanStep step = {.node = node, .id = "inside", .model = -1, .data = -1};
    double count = 1;
    if (yaml_is_null(node)) {
        return LIMN_OK;
    }
    TRY(plan_check_keys(plan, node, "'inside'", keys, sizeof keys / sizeof keys[0]));
    TRY(plan_take_number(plan, node, "count", 0, 20, &count));
    TRY(find_method(plan, &step));
    TRY(take_named(plan, &step, true, plan->subject, &step.model));
    TRY(take_named(plan, &step, false, 0, &step.data));
    TRY(take_half(plan, &step));
    if (own_option(step.method, "focus") == NULL || step.data < 0) {
        return plan_fail(plan, yaml_get(node, "run"), "'inside': %s has no records to put a focus on, as surgery has",
                         step.method->command.name);
    }
    step.params = json_object();
    plan->inside = step;
    plan->inside_count = (int32_t)count;
    return step.params != NULL ? fill_params(plan, &plan->inside) : no_memory(plan);
}

limn_status plan_read_steps(Plan *plan, const YamlNode *root, const PlanOverrides *overrides) {
    (void)overrides;
    const YamlNode *list = yaml_get(root, "steps");
    plan->steps = ARENA_ARRAY(plan->arena, PlanStep, PLAN_STEPS_MAX);
    if (plan->steps == NULL) {
        return no_memory(plan);
    }
    plan->steps_capacity = PLAN_STEPS_MAX;
    if (yaml_is_null(list) || list->kind != YAML_LIST || list->n == 0) {
        return plan_fail(plan, list != NULL ? list : root, "'steps': found %s, expected a list of steps",
                         list != NULL && list->kind == YAML_LIST ? "an empty list" : yaml_kind_name(list));
    }
    if (list->n > PLAN_STEPS_MAX / 2) {
        return plan_fail(plan, list, "found %d steps, expected at most %d", (int)list->n, PLAN_STEPS_MAX / 2);
    }
    for (int32_t i = 0; i < list->n; i++) {
        limn_status status = read_step(plan, list->items[i]);
        if (status != LIMN_OK) {
            json_decref(plan->steps[plan->n_steps].params);
            plan->steps[plan->n_steps].params = NULL;
            return status;
        }
    }
    return LIMN_OK;
}

limn_status plan_add_step(Plan *plan, const PlanStep *step, int32_t *place) {
    if (plan->n_steps == plan->steps_capacity) {
        json_decref(step->params);
        return fail(LIMN_USAGE, "%s: more than %d steps", plan->name, (int)plan->steps_capacity);
    }
    limn_status status = check_params(plan, step->method, step->params);
    if (status != LIMN_OK) {
        json_decref(step->params);
        return status;
    }
    *place = plan->n_steps;
    plan->steps[plan->n_steps++] = *step;
    plan->steps[*place].added = true;
    return LIMN_OK;
}
