/* An earlier audit beside this one: `--baseline DIR`, its work folder.
 *
 * Each audit leaves index.json in its work folder: which file is the result of which step. Decisions of both audits are
 * compared record by record (`compare decisions`, a step of the audit's own called drift-STEP), whose paired test is
 * sharper than two intervals. */
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/file.h"
#include "files/json.h"

enum { INDEX_CAP = 1 << 22, RESULT_CAP = 1 << 30 };

limn_status index_write(const Audit *audit) {
    json_t *steps = json_object();
    for (int32_t i = 0; steps != NULL && i < audit->runner.done; i++) {
        const StepRun *run = &audit->runner.runs[i];
        if (run->result == NULL) {
            continue;
        }
        json_t *entry = json_pack("{s:s, s:s, s:s*}", "key", run->key, "result", path_base(run->file), "decisions",
                                  run->decisions != NULL ? path_base(run->decisions) : NULL);
        if (entry == NULL || json_object_set_new(steps, audit->plan.steps[i].id, entry) != 0) {
            json_decref(steps);
            return method_no_memory(audit->call);
        }
    }
    json_t *index = json_pack("{s:s, s:o}", "format", "limn.audit-index/1", "steps", steps);
    char *text = index != NULL ? json_dumps(index, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(index);
    char *path = arena_printf(audit->call->arena, "%s/index.json", audit->runner.work);
    limn_status status =
        text != NULL && path != NULL ? file_write_atomic(path, text, strlen(text)) : method_no_memory(audit->call);
    free(text);
    return status;
}

/* ---- the earlier one ---- */

static const char *file_of(const Audit *audit, const json_t *entry, const char *kind) {
    const char *name = json_string_value(json_object_get(entry, kind));
    if (name == NULL || strchr(name, '/') != NULL) {
        return NULL;
    }
    return arena_printf(audit->call->arena, "%s/steps/%s", audit->params->baseline.bytes, name);
}

static limn_status read_earlier(StepRun *run, const char *path) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, RESULT_CAP));
    limn_status status = result_read_json(&run->result, bytes, length, path);
    free(bytes);
    return status;
}

static limn_status add_comparison(Audit *audit, int32_t of, const char *decisions) {
    const Method *method = registry_find(audit->call->registry, "compare decisions");
    PlanStep step = {.method = method, .model = audit->plan.steps[of].model, .data = -1};
    if (method == NULL) {
        return LIMN_OK;
    }
    step.node = audit->plan.steps[of].node;
    step.id = arena_printf(audit->call->arena, "drift-%s", audit->plan.steps[of].id);
    step.title = AUDIT_SAYS(audit, "Against the earlier audit", "与先前审计相比");
    char *meant = arena_printf(audit->call->arena, "step:%s", audit->plan.steps[of].id);
    step.params = step.id != NULL && meant != NULL ? json_pack("{s:s, s:s}", "a", decisions, "b", meant) : NULL;
    int32_t place;
    return step.params != NULL ? plan_add_step(&audit->plan, &step, &place) : method_no_memory(audit->call);
}

limn_status baseline_open(Audit *audit) {
    json_t *index;
    char *path = arena_printf(audit->call->arena, "%s/index.json", audit->params->baseline.bytes);
    audit->earlier = (StepRunner){.call = audit->call, .plan = &audit->plan};
    audit->earlier.runs = ARENA_ARRAY(audit->call->arena, StepRun, PLAN_STEPS_MAX);
    if (path == NULL || audit->earlier.runs == NULL) {
        return method_no_memory(audit->call);
    }
    if (!file_exists(path)) {
        return fail(LIMN_USAGE, "option 'baseline': %s has no index.json: it is no work folder of an audit",
                    audit->params->baseline.bytes);
    }
    TRY(json_file_load(&index, path, INDEX_CAP));
    const json_t *steps = json_object_get(index, "steps");
    limn_status status = LIMN_OK;
    for (int32_t i = 0, n = audit->plan.n_steps; i < n && status == LIMN_OK; i++) {
        const json_t *entry = json_object_get(steps, audit->plan.steps[i].id);
        const char *result = file_of(audit, entry, "result"), *decisions = file_of(audit, entry, "decisions");
        status = result != NULL ? read_earlier(&audit->earlier.runs[i], result) : LIMN_OK;
        if (status == LIMN_OK && decisions != NULL && file_exists(decisions)) {
            status = add_comparison(audit, i, decisions);
        }
    }
    json_decref(index);
    audit->earlier.done = audit->plan.n_steps;
    audit->has_earlier = status == LIMN_OK;
    return status;
}
