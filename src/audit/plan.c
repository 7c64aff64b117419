#include "audit/plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"

/* ---- messages ---- */

limn_status plan_fail(const Plan *plan, const YamlNode *node, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return fail(LIMN_USAGE, "%s:%d:%d: %s", plan->name, (int)node->line, (int)node->column, text);
}

limn_status plan_fail_at(const Plan *plan, const YamlNode *node) {
    return fail_context("%s:%d:%d", plan->name, (int)node->line, (int)node->column);
}

static limn_status no_memory(const Plan *plan) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
}

typedef struct Names {
    const char *const *items;
} Names;

static const char *name_at(const void *context, size_t index) {
    return ((const Names *)context)->items[index];
}

limn_status plan_check_keys(const Plan *plan, const YamlNode *map, const char *what, const char *const *keys,
                            size_t n) {
    if (map->kind != YAML_MAP) {
        return plan_fail(plan, map, "found %s, expected %s as a mapping", yaml_kind_name(map), what);
    }
    for (int32_t i = 0; i < map->n; i++) {
        const YamlNode *key = map->pairs[i].key;
        bool known = false;
        for (size_t k = 0; k < n && !known; k++) {
            known = strcmp(keys[k], key->text) == 0;
        }
        if (!known) {
            char near[256];
            const Names names = {keys};
            nearest_names(near, sizeof near, NEAREST_USUAL, key->text, name_at, &names, n);
            return plan_fail(plan, key, "%s has no '%.80s'; nearest: %s", what, key->text, near);
        }
    }
    return LIMN_OK;
}

/* ---- values ---- */

limn_status plan_take_text(const Plan *plan, const YamlNode *map, const char *key, const char **text) {
    const YamlNode *node = yaml_get(map, key);
    if (yaml_is_null(node)) {
        return LIMN_OK;
    }
    if (node->kind != YAML_TEXT) {
        return plan_fail(plan, node, "'%s': found %s, expected a text", key, yaml_kind_name(node));
    }
    *text = node->text;
    return LIMN_OK;
}

limn_status plan_take_number(const Plan *plan, const YamlNode *map, const char *key, double low, double high,
                             double *number) {
    const char *text = NULL;
    const YamlNode *node = yaml_get(map, key);
    TRY(plan_take_text(plan, map, key, &text));
    if (text == NULL) {
        return LIMN_OK;
    }
    char *end;
    *number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(*number) || *number < low || *number > high) {
        return plan_fail(plan, node, "'%s': found '%.80s', expected a number from %.15g to %.15g", key, text, low,
                         high);
    }
    return LIMN_OK;
}

limn_status plan_take_texts(const Plan *plan, const YamlNode *map, const char *key, const char *const **texts,
                            int32_t *n) {
    const YamlNode *node = yaml_get(map, key);
    if (yaml_is_null(node)) {
        return LIMN_OK;
    }
    if (node->kind == YAML_MAP) {
        return plan_fail(plan, node, "'%s': found a mapping, expected a text or a list of texts", key);
    }
    int32_t count = node->kind == YAML_LIST ? node->n : 1;
    const char **made = ARENA_ARRAY(plan->arena, const char *, count + 1);
    if (made == NULL) {
        return no_memory(plan);
    }
    for (int32_t i = 0; i < count; i++) {
        const YamlNode *item = node->kind == YAML_LIST ? node->items[i] : node;
        if (item->kind != YAML_TEXT) {
            return plan_fail(plan, item, "'%s': found %s, expected a text", key, yaml_kind_name(item));
        }
        made[i] = item->text;
    }
    *texts = made;
    *n = count;
    return LIMN_OK;
}

const char *plan_path(const Plan *plan, const char *path) {
    return path[0] == '/' || plan->folder[0] == '\0' ? path : arena_printf(plan->arena, "%s/%s", plan->folder, path);
}

limn_status plan_duration(double *seconds, const char *text) {
    char *end;
    double value = strtod(text, &end);
    double unit = strcmp(end, "s") == 0 ? 1 : strcmp(end, "m") == 0 ? 60 : strcmp(end, "h") == 0 ? 3600 : 0;
    if (end == text || unit == 0 || !(value > 0) || value > 1e6) {
        return fail(LIMN_USAGE, "'budget': found '%.80s', expected a time such as 90s, 20m or 2h", text);
    }
    *seconds = value * unit;
    return LIMN_OK;
}

/* ---- what stands at the top ---- */

static limn_status read_map(Plan *plan, const YamlNode *root, const char *key, const PlanOverrides *overrides,
                            limn_status (*read)(Plan *, const YamlPair *, const PlanOverrides *), int32_t *n) {
    const YamlNode *map = yaml_get(root, key);
    *n = 0;
    if (yaml_is_null(map)) {
        return LIMN_OK;
    }
    if (map->kind != YAML_MAP) {
        return plan_fail(plan, map, "'%s': found %s, expected a mapping: a name for each", key, yaml_kind_name(map));
    }
    if (map->n > PLAN_NAMES_MAX) {
        return plan_fail(plan, map, "'%s': found %d names, expected at most %d", key, (int)map->n, PLAN_NAMES_MAX);
    }
    for (int32_t i = 0; i < map->n; i++) {
        TRY(read(plan, &map->pairs[i], overrides));
    }
    return LIMN_OK;
}

static limn_status check_overrides(const ParamTexts *given, const char *option, const YamlNode *map) {
    for (int32_t i = 0; given != NULL && i < given->n; i++) {
        const char *text = given->items[i].bytes, *equal = strchr(text, '=');
        bool known = false;
        for (int32_t k = 0; equal != NULL && map != NULL && map->kind == YAML_MAP && k < map->n && !known; k++) {
            const YamlNode *key = map->pairs[k].key;
            known = key->length == (size_t)(equal - text) && strncmp(key->text, text, key->length) == 0;
        }
        if (!known) {
            return fail(LIMN_USAGE, "option '%s': found '%s', expected NAME=PATH with a name of the plan", option,
                        text);
        }
    }
    return LIMN_OK;
}

static const char *regime_at(const void *context, size_t index) {
    (void)context;
    return regime_name(index);
}

static limn_status read_system(Plan *plan, const YamlNode *root) {
    static const char *const keys[] = {"name",           "version",     "provider",  "contact",      "intended-use",
                                       "not-for",        "role",        "oversight", "instructions", "hardware",
                                       "interacts-with", "development", "changes",   "logs",         "monitoring",
                                       "security",       "limits",      "regimes"};
    const YamlNode *map = yaml_get(root, "system");
    if (yaml_is_null(map)) {
        return LIMN_OK;
    }
    TRY(plan_check_keys(plan, map, "the system", keys, sizeof keys / sizeof keys[0]));
    TRY(plan_take_texts(plan, map, "regimes", &plan->regimes, &plan->n_regimes));
    for (int32_t i = 0; i < plan->n_regimes; i++) {
        if (!regime_is_known(plan->regimes[i])) {
            char near[256];
            nearest_names(near, sizeof near, NEAREST_USUAL, plan->regimes[i], regime_at, NULL, REGIMES_MOST);
            return plan_fail(plan, yaml_get(map, "regimes"), "there is no regime '%.80s'; nearest: %s",
                             plan->regimes[i], near);
        }
    }
    PlanFact *facts = ARENA_ARRAY(plan->arena, PlanFact, map->n + 1);
    if (facts == NULL) {
        return no_memory(plan);
    }
    for (int32_t i = 0; i < map->n; i++) {
        const char *key = map->pairs[i].key->text, *text = NULL;
        if (strcmp(key, "regimes") != 0) {
            TRY(plan_take_text(plan, map, key, &text));
        }
        if (text != NULL) {
            facts[plan->n_system++] = (PlanFact){key, text};
        }
    }
    plan->system = facts;
    return LIMN_OK;
}

static limn_status read_findings(Plan *plan, const YamlNode *root) {
    static const char *const keys[] = {"level", "floor", "most-candidates"};
    const YamlNode *map = yaml_get(root, "findings");
    double most = 12;
    plan->findings = (FindingRules){.level = 0.05, .floor = 0.02};
    if (!yaml_is_null(map)) {
        TRY(plan_check_keys(plan, map, "'findings'", keys, sizeof keys / sizeof keys[0]));
        TRY(plan_take_number(plan, map, "level", 1e-6, 0.5, &plan->findings.level));
        TRY(plan_take_number(plan, map, "floor", 0, 1, &plan->findings.floor));
        TRY(plan_take_number(plan, map, "most-candidates", 1, 200, &most));
    }
    plan->findings.most_candidates = (int64_t)most;
    return LIMN_OK;
}

static limn_status read_cases(Plan *plan, const YamlNode *root) {
    static const char *const keys[] = {"count", "run"};
    const YamlNode *map = yaml_get(root, "cases");
    double count = 0;
    plan->cases = (PlanCases){.method = "ig"};
    if (!yaml_is_null(map)) {
        TRY(plan_check_keys(plan, map, "'cases'", keys, sizeof keys / sizeof keys[0]));
        TRY(plan_take_number(plan, map, "count", 0, 100, &count));
        TRY(plan_take_text(plan, map, "run", &plan->cases.method));
    }
    plan->cases.count = (int64_t)count;
    const YamlNode *run = yaml_get(map, "run");
    return plan->cases.count > 0 ? case_pages_check(plan, run != NULL ? run : map) : LIMN_OK;
}

static limn_status read_head(Plan *plan, const YamlNode *root, const PlanOverrides *overrides) {
    const char *format = NULL, *language = NULL, *budget = NULL;
    double seed = 0;
    TRY(plan_take_text(plan, root, "limn", &format));
    if (format == NULL || strcmp(format, PLAN_FORMAT) != 0) {
        const YamlNode *node = yaml_get(root, "limn");
        return plan_fail(plan, node != NULL ? node : root, "found %s%.40s, expected 'limn: " PLAN_FORMAT "'",
                         format != NULL ? "'limn' as " : "no 'limn'", format != NULL ? format : "");
    }
    plan->title = "Audit";
    TRY(plan_take_text(plan, root, "title", &plan->title));
    TRY(plan_take_text(plan, root, "language", &language));
    TRY(plan_take_number(plan, root, "seed", 0, 9e15, &seed));
    TRY(plan_take_text(plan, root, "budget", &budget));
    plan->seed = (int64_t)seed;
    if (budget != NULL && plan_duration(&plan->budget, budget) != LIMN_OK) {
        return plan_fail_at(plan, yaml_get(root, "budget"));
    }
    plan->budget = overrides->budget > 0 ? overrides->budget : plan->budget;
    if (language != NULL && strcmp(language, "en") != 0 && strcmp(language, "zh") != 0) {
        return plan_fail(plan, yaml_get(root, "language"), "'language': found '%.40s', expected en or zh", language);
    }
    const char *spoken = overrides->language != NULL ? overrides->language : language != NULL ? language : "en";
    plan->language = strcmp(spoken, "zh") == 0 ? LANGUAGE_ZH : LANGUAGE_EN;
    return LIMN_OK;
}

static limn_status read_subject(Plan *plan, const YamlNode *root) {
    const char *name = NULL;
    TRY(plan_take_text(plan, root, "subject", &name));
    plan->subject = 0;
    for (int32_t i = 0; name != NULL && i < plan->n_models; i++) {
        if (strcmp(plan->models[i].name, name) == 0) {
            plan->subject = i;
            return LIMN_OK;
        }
    }
    return name == NULL ? LIMN_OK
                        : plan_fail(plan, yaml_get(root, "subject"), "there is no model '%.80s' in the plan", name);
}

static limn_status read_plan(Plan *plan, const YamlNode *root, const PlanOverrides *overrides) {
    static const char *const keys[] = {"limn", "title", "language", "seed",     "system", "models", "subject",
                                       "data", "steps", "gates",    "findings", "cases",  "budget", "inside"};
    TRY(plan_check_keys(plan, root, "a plan", keys, sizeof keys / sizeof keys[0]));
    plan->models = ARENA_ARRAY(plan->arena, PlanModel, PLAN_NAMES_MAX);
    plan->data = ARENA_ARRAY(plan->arena, PlanData, PLAN_NAMES_MAX);
    if (plan->models == NULL || plan->data == NULL) {
        return no_memory(plan);
    }
    TRY(read_head(plan, root, overrides));
    TRY(read_system(plan, root));
    TRY(read_findings(plan, root));
    TRY(read_cases(plan, root));
    TRY(check_overrides(overrides->models, "model", yaml_get(root, "models")));
    TRY(check_overrides(overrides->data, "data", yaml_get(root, "data")));
    TRY(read_map(plan, root, "models", overrides, plan_read_model, &plan->n_models));
    TRY(read_map(plan, root, "data", overrides, plan_read_data, &plan->n_data));
    TRY(read_subject(plan, root));
    TRY(plan_read_steps(plan, root, overrides));
    TRY(plan_read_inside(plan, root));
    return plan_read_gates(plan, root);
}

limn_status plan_read_text(Plan *plan, const Registry *registry, const char *path, const char *text, size_t length,
                           const PlanOverrides *overrides, Arena *arena) {
    const YamlNode *root;
    const char *base = path_base(path);
    size_t folder = (size_t)(base - path);
    *plan = (Plan){.name = path, .arena = arena, .registry = registry, .subject = -1};
    plan->folder = arena_strndup(arena, path, folder > 1 ? folder - 1 : folder);
    if (plan->folder == NULL) {
        return no_memory(plan);
    }
    TRY(yaml_read(&root, path, text, length, arena));
    limn_status status = read_plan(plan, root, overrides);
    if (status != LIMN_OK) {
        plan_free(plan);
    }
    return status;
}

limn_status plan_read(Plan *plan, const Registry *registry, const char *path, const PlanOverrides *overrides,
                      Arena *arena) {
    char *text;
    size_t length;
    TRY(file_read(&text, &length, path, YAML_BYTES_MAX));
    limn_status status = plan_read_text(plan, registry, path, text, length, overrides, arena);
    free(text);
    return status;
}

void plan_free(Plan *plan) {
    for (int32_t i = 0; plan->steps != NULL && i < plan->n_steps; i++) {
        json_decref(plan->steps[i].params);
        plan->steps[i].params = NULL;
    }
    json_decref(plan->inside.params);
    plan->inside.params = NULL;
    for (int32_t i = 0; plan->data != NULL && i < plan->n_data; i++) {
        json_decref(plan->data[i].options);
        plan->data[i].options = NULL;
    }
}
