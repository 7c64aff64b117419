/* What a plan examines: models with their adapters and edits, and data sets. */
#include <stdlib.h>
#include <string.h>

#include "audit/plan.h"
#include "base/file.h"
#include "files/hf_cache.h"

static limn_status no_memory(const Plan *plan) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", plan->name);
}

/* What an override "NAME=PATH" says of this name; NULL: nothing. */
static const char *overridden(const ParamTexts *given, const char *name) {
    size_t length = strlen(name);
    for (int32_t i = 0; given != NULL && i < given->n; i++) {
        const char *text = given->items[i].bytes;
        if (strncmp(text, name, length) == 0 && text[length] == '=') {
            return text + length + 1;
        }
    }
    return NULL;
}

/* ---- models ---- */

static limn_status find_model(Plan *plan, PlanModel *model, const PlanOverrides *overrides, const YamlNode *where) {
    const char *given = overridden(overrides->models, model->name);
    const char *path = given != NULL ? given : plan_path(plan, model->path);
    if (path == NULL) {
        return no_memory(plan);
    }
    char *found = NULL;
    if (given == NULL && !file_exists(path) && !folder_exists(path)) {
        path = model->path; /* org/name in the cache, or from where the program runs */
    }
    limn_status status = hf_cache_resolve(&found, path);
    free(found);
    model->path = path;
    return status == LIMN_OK ? LIMN_OK : plan_fail_at(plan, where);
}

static limn_status find_adapters(Plan *plan, PlanModel *model) {
    const char *const *given = NULL;
    TRY(plan_take_texts(plan, model->node, "adapter", &given, &model->n_adapters));
    const char **paths = ARENA_ARRAY(plan->arena, const char *, model->n_adapters + 1);
    if (paths == NULL) {
        return no_memory(plan);
    }
    for (int32_t i = 0; i < model->n_adapters; i++) {
        paths[i] = plan_path(plan, given[i]);
        if (paths[i] == NULL) {
            return no_memory(plan);
        }
        const char *colon = strrchr(paths[i], ':'); /* DIR:WEIGHT */
        char *folder = arena_strndup(plan->arena, paths[i], colon != NULL ? (size_t)(colon - paths[i]) : 0);
        if (!folder_exists(paths[i]) && (folder == NULL || !folder_exists(folder))) {
            return plan_fail(plan, yaml_get(model->node, "adapter"), "there is no adapter folder '%s'", paths[i]);
        }
    }
    model->adapters = paths;
    return LIMN_OK;
}

static limn_status find_edits(Plan *plan, PlanModel *model) {
    const char *const *given = NULL;
    TRY(plan_take_texts(plan, model->node, "edit", &given, &model->n_edits));
    const char **paths = ARENA_ARRAY(plan->arena, const char *, model->n_edits + 1);
    if (paths == NULL) {
        return no_memory(plan);
    }
    for (int32_t i = 0; i < model->n_edits; i++) {
        paths[i] = plan_path(plan, given[i]);
        if (paths[i] == NULL) {
            return no_memory(plan);
        }
        if (!file_exists(paths[i])) {
            return plan_fail(plan, yaml_get(model->node, "edit"), "there is no edit file '%s'", paths[i]);
        }
    }
    model->edits = paths;
    return LIMN_OK;
}

limn_status plan_read_model(Plan *plan, const YamlPair *pair, const PlanOverrides *overrides) {
    static const char *const keys[] = {"model", "adapter", "edit"};
    PlanModel *model = &plan->models[plan->n_models++];
    *model = (PlanModel){.name = pair->key->text, .node = pair->value};
    if (pair->value->kind == YAML_TEXT) {
        model->path = pair->value->text;
    } else {
        TRY(plan_check_keys(plan, pair->value, "a model", keys, sizeof keys / sizeof keys[0]));
        TRY(plan_take_text(plan, pair->value, "model", &model->path));
        TRY(find_adapters(plan, model));
        TRY(find_edits(plan, model));
    }
    if (model->path == NULL || model->path[0] == '\0') {
        return plan_fail(plan, pair->key, "the model '%s' says no path: 'model: PATH'", model->name);
    }
    const YamlNode *where = yaml_get(pair->value, "model");
    return find_model(plan, model, overrides, where != NULL ? where : pair->value);
}

/* ---- data sets ---- */

/* Settings of a data set that are options of the commands which read it. */
static const char *const data_keys[] = {"file",           "groups",   "cluster-field", "prompt-field",  "template",
                                        "messages-field", "as-chat",  "system",        "chat-template", "label-field",
                                        "group-field",    "id-field", "where",         "data-format",   "on-error",
                                        "limit",          "sample",   "choices",       "labels",        "truncate"};

static bool is_own_key(const char *key) {
    return strcmp(key, "file") == 0 || strcmp(key, "groups") == 0 || strcmp(key, "cluster-field") == 0;
}

static limn_status read_data_options(Plan *plan, PlanData *data, const PlanOverrides *overrides) {
    data->options = json_object();
    for (int32_t i = 0; data->options != NULL && i < data->node->n; i++) {
        const YamlPair *pair = &data->node->pairs[i];
        if (!is_own_key(pair->key->text) && !yaml_is_null(pair->value) &&
            json_object_set_new(data->options, pair->key->text, yaml_json(pair->value)) != 0) {
            return no_memory(plan);
        }
    }
    if (data->options == NULL) {
        return no_memory(plan);
    }
    if (overrides->sample > 0 && json_object_set_new(data->options, "sample", json_integer(overrides->sample)) != 0) {
        return no_memory(plan);
    }
    const char *first = data->n_groups > 0 ? data->groups[0] : NULL;
    if (first != NULL && json_object_get(data->options, "group-field") == NULL &&
        json_object_set_new(data->options, "group-field", json_string(first)) != 0) {
        return no_memory(plan);
    }
    return LIMN_OK;
}

limn_status plan_read_data(Plan *plan, const YamlPair *pair, const PlanOverrides *overrides) {
    PlanData *data = &plan->data[plan->n_data++];
    *data = (PlanData){.name = pair->key->text, .node = pair->value};
    TRY(plan_check_keys(plan, pair->value, "a data set", data_keys, sizeof data_keys / sizeof data_keys[0]));
    TRY(plan_take_text(plan, pair->value, "file", &data->file));
    TRY(plan_take_text(plan, pair->value, "cluster-field", &data->cluster_field));
    TRY(plan_take_text(plan, pair->value, "id-field", &data->id_field));
    TRY(plan_take_texts(plan, pair->value, "groups", &data->groups, &data->n_groups));
    const char *given = overridden(overrides->data, data->name);
    if (data->file == NULL && given == NULL) {
        return plan_fail(plan, pair->key, "the data set '%s' says no file: 'file: PATH'", data->name);
    }
    data->file = given != NULL ? given : plan_path(plan, data->file);
    if (data->file == NULL) {
        return no_memory(plan);
    }
    if (!file_exists(data->file)) {
        const YamlNode *where = yaml_get(pair->value, "file");
        return plan_fail(plan, where != NULL ? where : pair->key, "there is no file '%s'", data->file);
    }
    return read_data_options(plan, data, overrides);
}
