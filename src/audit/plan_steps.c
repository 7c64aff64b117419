/* The steps of a plan: each a command with its parameters, checked by the command's own rows. */
#include <string.h>

#include "audit/plan.h"
#include "base/nearest.h"

static limn_status no_memory(const Plan *plan) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
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
    const limn_param *row = plan_own_option(step->method, key);
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
    if (data == NULL || plan_own_option(step->method, plan_filter(step->method)) == NULL) {
        return plan_fail(plan, where, "'half': %s reads no data set of which to take one", step->method->command.name);
    }
    if (data->id_field == NULL && data->cluster_field == NULL) {
        return plan_fail(plan, where, "'half': the data set '%s' needs an id-field or a cluster-field to be split by",
                         data->name);
    }
    return LIMN_OK;
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
    TRY(plan_fill_params(plan, &plan->steps[plan->n_steps]));
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
    if (plan_own_option(step.method, "focus") == NULL || step.data < 0) {
        return plan_fail(plan, yaml_get(node, "run"), "'inside': %s has no records to put a focus on, as surgery has",
                         step.method->command.name);
    }
    step.params = json_object();
    plan->inside = step;
    plan->inside_count = (int32_t)count;
    return step.params != NULL ? plan_fill_params(plan, &plan->inside) : no_memory(plan);
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
    limn_status status = plan_check_params(plan, step->method, step->params);
    if (status != LIMN_OK) {
        json_decref(step->params);
        return status;
    }
    *place = plan->n_steps;
    plan->steps[plan->n_steps++] = *step;
    plan->steps[*place].added = true;
    return LIMN_OK;
}
