#include "audit/case_pages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- which ones ---- */

static int by_confidence(const void *a, const void *b) {
    const Case *first = *(const Case *const *)a, *second = *(const Case *const *)b;
    if (first->confidence != second->confidence) {
        return first->confidence > second->confidence ? -1 : 1;
    }
    return first->record < second->record ? -1 : 1;
}

static limn_status choose(CasePages *pages, const StepRunner *runner, const Cases *cases) {
    const Case **wrong = malloc(((size_t)cases->n + 1) * sizeof(const Case *));
    int64_t n = 0, most = runner->plan->cases.count;
    if (wrong == NULL) {
        return method_no_memory(runner->call);
    }
    for (int64_t i = 0; i < cases->n; i++) {
        if (case_is_wrong(&cases->items[i]) && cases->items[i].prompt != NULL) {
            wrong[n++] = &cases->items[i];
        }
    }
    qsort(wrong, (size_t)n, sizeof(const Case *), by_confidence);
    for (int64_t i = 0; i < n && i < most; i++) {
        pages->items[pages->n++].item = wrong[i];
    }
    free(wrong);
    return LIMN_OK;
}

/* ---- a step for each ---- */

static bool set_text(json_t *params, const Method *method, const char *name, const char *text) {
    return text == NULL || plan_option(method, name) == NULL ||
           json_object_set_new(params, name, json_string(text)) == 0;
}

static json_t *case_params(const StepRunner *runner, const Method *method, const PlanStep *of, const Cases *cases,
                           const Case *item) {
    static const char *const same[] = {"model", "adapter", "edit", "seed", "language", "dtype", "backend"};
    json_t *params = json_object();
    const char *pred = cases->names.items[item->pred];
    const char *target = plan_choice_called(runner->plan, of, pred);
    const char *contrast =
        item->label >= 0 ? plan_choice_called(runner->plan, of, cases->names.items[item->label]) : NULL;
    bool good = params != NULL;
    for (size_t i = 0; good && i < sizeof same / sizeof same[0]; i++) {
        json_t *value = json_object_get(of->params, same[i]);
        good = value == NULL || plan_option(method, same[i]) == NULL || json_object_set(params, same[i], value) == 0;
    }
    bool chat =
        json_is_true(json_object_get(of->params, "as-chat")) || json_object_get(of->params, "messages-field") != NULL;
    good = good && set_text(params, method, "prompt", item->prompt) && set_text(params, method, "target", target) &&
           set_text(params, method, "contrast", target != NULL ? contrast : NULL) &&
           set_text(params, method, "bos", chat ? "no" : NULL);
    if (!good) {
        json_decref(params);
        params = NULL;
    }
    return params;
}

static limn_status add_step(CasePage *page, StepRunner *runner, const Method *method, const Cases *cases, int32_t i) {
    const PlanStep *of = &runner->plan->steps[cases->step];
    PlanStep step = {.method = method, .model = of->model, .data = -1, .node = of->node};
    step.id = arena_printf(runner->call->arena, "case-%d", (int)i + 1);
    step.params = case_params(runner, method, of, cases, page->item);
    if (step.id == NULL || step.params == NULL) {
        json_decref(step.params);
        return method_no_memory(runner->call);
    }
    return plan_add_step(runner->plan, &step, &page->step);
}

limn_status case_pages_run(CasePages *pages, StepRunner *runner) {
    const Method *method = registry_find(runner->call->registry, runner->plan->cases.method);
    *pages = (CasePages){.items = ARENA_ARRAY(runner->call->arena, CasePage, runner->plan->cases.count + 1)};
    Cases *cases = ARENA_NEW(runner->call->arena, Cases);
    if (pages->items == NULL || cases == NULL) {
        return method_no_memory(runner->call);
    }
    for (int32_t i = 0; i < runner->done && pages->cases == NULL && runner->plan->cases.count > 0; i++) {
        if (step_is_judged(runner, i)) {
            TRY(cases_read(cases, runner, i));
            pages->cases = cases;
        }
    }
    if (pages->cases == NULL || method == NULL) {
        return LIMN_OK;
    }
    TRY(choose(pages, runner, cases));
    for (int32_t i = 0; i < pages->n; i++) {
        TRY(add_step(&pages->items[i], runner, method, cases, i));
    }
    return steps_run(runner);
}

limn_status case_pages_check(const Plan *plan, const YamlNode *node) {
    const Method *method = registry_find(plan->registry, plan->cases.method);
    if (method == NULL || !method->explains || plan_option(method, "prompt") == NULL) {
        return plan_fail(plan, node,
                         "'run': found '%.80s', expected a command that explains one prompt, as why, replace or ig",
                         plan->cases.method);
    }
    return LIMN_OK;
}
