#include "audit/detect.h"

#include <math.h>
#include <string.h>

typedef struct Detector {
    const char *name;
    limn_status (*run)(Detection *detection);
} Detector;

static const Detector detectors[] = {
#define DETECTOR(name) {#name, detect_##name},
#include "audit/detectors.def"
#undef DETECTOR
};

int32_t row_alike(const TableBlock *other, const TableBlock *table, int32_t row, const char *const *columns) {
    for (int32_t k = 0; other != NULL && k < other->n_rows; k++) {
        bool alike = true;
        for (const char *const *name = columns; *name != NULL && alike; name++) {
            alike = same_text(table_text(table, row, *name), table_text(other, k, *name));
        }
        if (alike) {
            return k;
        }
    }
    return -1;
}

double smallest_effect(double half_width, double level, int64_t tests) {
    double error = half_width / normal_quantile(0.975);
    double strict = level / (double)(tests > 1 ? tests : 1);
    return (normal_quantile(1 - strict / 2) + normal_quantile(0.8)) * error;
}

static limn_status read_cases(Detection *detection) {
    StepRunner *runner = detection->runner;
    Cases *cases = ARENA_ARRAY(detection->arena, Cases, runner->done + 1);
    if (cases == NULL) {
        return method_no_memory(runner->call);
    }
    for (int32_t i = 0; i < runner->done; i++) {
        if (step_is_judged(runner, i)) {
            TRY(cases_read(&cases[detection->n_cases++], runner, i));
        }
    }
    detection->cases = cases;
    return LIMN_OK;
}

/* Of one kind, and measured alike. */
static bool is_like(const Hypothesis *first, const Hypothesis *second) {
    return strcmp(first->kind, second->kind) == 0 && strcmp(first->unit, second->unit) == 0;
}

/* "age: old rather than young; gender: ...": a few of those that were not found, where others of their kind were. */
static const char *name_others(Findings *findings, const Hypothesis *first) {
    enum { NAMED = 6 };
    const char *names = "";
    int32_t n = 0;
    for (int32_t i = 0; i < findings->n && names != NULL; i++) {
        const Hypothesis *item = &findings->items[i];
        if (is_like(item, first) && !item->found && n++ <= NAMED) {
            names = n > NAMED ? arena_printf(findings->arena, "%s ...", names)
                              : arena_printf(findings->arena, "%s%s%s", names, n > 1 ? "; " : "", item->what);
        }
    }
    return names;
}

/* What was not found of a kind, by its tests: how large it would have had to be. */
static limn_status add_absent(Findings *findings, const FindingRules *rules, const Hypothesis *first) {
    NotFound absent = {.kind = first->kind, .what = first->kind, .smallest = (double)NAN, .unit = first->unit};
    double most = (double)NAN;
    for (int32_t i = 0; i < findings->n; i++) {
        const Hypothesis *item = &findings->items[i];
        absent.besides = absent.besides || (strcmp(item->kind, first->kind) == 0 && item->found);
        if (!is_like(item, first) || item->found) {
            continue;
        }
        absent.tested++;
        if (strcmp(item->kind, "layer") == 0 && !(item->effect.value <= most)) { /* what was tried is worth telling */
            most = item->effect.value;
            absent.note = arena_printf(findings->arena, "%s: %s", item->what, item->evidence);
        }
        double smallest =
            smallest_effect((item->effect.high - item->effect.low) / 2, rules->level, findings_burden(findings, item));
        absent.smallest = !(absent.smallest >= smallest) ? smallest : absent.smallest; /* of the bluntest test */
    }
    absent.note = absent.besides ? name_others(findings, first) : absent.note;
    if (strcmp(first->unit, "points") == 0 && absent.smallest < rules->floor) {
        absent.smallest = rules->floor;
    }
    return findings_add_absent(findings, &absent);
}

/* What an audit can look for, and who would look. */
static const struct {
    const char *kind, *command, *english, *chinese;
} searches[] = {{"word", "predict", "labels, or a step attribute", "标签或步骤 attribute"},
                {"place", "attribute", "a step attribute", "步骤 attribute"},
                {"protected", "sensitive", "a step sensitive", "步骤 sensitive"},
                {"group-error", "predict", "groups of a labelled data set", "带标签数据集的 groups"},
                {"calibration", "predict", "labels", "标签"},
                {"difference", "compare decisions", "a step compare decisions, or --baseline",
                 "步骤 compare decisions 或 --baseline"},
                {"layer", "surgery", "inside, or a step surgery", "inside 或步骤 surgery"}};

/* The step that ran this command, or could not be asked; -1: none. */
static int32_t step_of(const StepRunner *runner, const char *command, bool ran) {
    for (int32_t i = 0; i < runner->done; i++) {
        if ((runner->runs[i].result != NULL) == ran &&
            strcmp(runner->plan->steps[i].method->command.name, command) == 0) {
            return i;
        }
    }
    return -1;
}

/* Why there was no hypothesis of a kind. */
static const char *say_untested(const Findings *findings, const StepRunner *runner, size_t search) {
    bool chinese = runner->plan->language == LANGUAGE_ZH;
    const char *needs = chinese ? searches[search].chinese : searches[search].english;
    int32_t refused = step_of(runner, searches[search].command, false);
    if (step_of(runner, searches[search].command, true) >= 0) {
        return arena_printf(findings->arena,
                            chinese ? "没有可供检验的对象（需要%s）" : "nothing came up to be tested (needs %s)",
                            needs);
    }
    if (refused >= 0) {
        return arena_printf(findings->arena,
                            chinese ? "未查：步骤 %s 无法执行" : "not looked for: step '%s' could not be asked",
                            runner->plan->steps[refused].id);
    }
    return arena_printf(findings->arena, chinese ? "未查：需要%s" : "not looked for: it needs %s", needs);
}

/* Kinds of which there was no hypothesis at all: nobody looked, or nothing came up to be tested. */
static limn_status list_untested(Findings *findings, const StepRunner *runner) {
    for (size_t k = 0; k < sizeof searches / sizeof searches[0]; k++) {
        bool any = false;
        for (int32_t i = 0; i < findings->n; i++) {
            any = any || strcmp(findings->items[i].kind, searches[k].kind) == 0;
        }
        NotFound absent = {.kind = searches[k].kind, .what = searches[k].kind, .smallest = (double)NAN, .unit = ""};
        absent.why = say_untested(findings, runner, k);
        if (absent.why == NULL) {
            return method_no_memory(runner->call);
        }
        TRY(any ? LIMN_OK : findings_add_absent(findings, &absent));
    }
    return LIMN_OK;
}

static bool was_sought(const Findings *findings, const StepRunner *runner, size_t search) {
    bool sought = false;
    for (int32_t i = 0; i < findings->n && !sought; i++) {
        sought = strcmp(findings->items[i].kind, searches[search].kind) == 0;
    }
    for (int32_t i = 0; i < runner->done && !sought; i++) {
        bool decides = strcmp(searches[search].command, "predict") == 0; /* of use where it is known what is right */
        sought = runner->runs[i].result != NULL &&
                 strcmp(runner->plan->steps[i].method->command.name, searches[search].command) == 0 &&
                 (!decides || json_object_get(runner->plan->steps[i].params, "label-field") != NULL);
    }
    return sought;
}

bool findings_were_sought(const Findings *findings, const StepRunner *runner, const char *what) {
    bool known = false, sought = false, any = false;
    for (size_t k = 0; k < sizeof searches / sizeof searches[0]; k++) {
        bool here = was_sought(findings, runner, k), named = strcmp(searches[k].kind, what) == 0;
        any = any || here;
        known = known || named;
        sought = sought || (named && here);
    }
    return known ? sought : any;
}

static limn_status list_absent(Findings *findings, const FindingRules *rules) {
    for (int32_t i = 0; i < findings->n; i++) {
        bool seen = false;
        for (int32_t k = 0; k < i; k++) {
            seen = seen || (is_like(&findings->items[k], &findings->items[i]) && !findings->items[k].found);
        }
        if (!seen && !findings->items[i].found) {
            TRY(add_absent(findings, rules, &findings->items[i]));
        }
    }
    return LIMN_OK;
}

limn_status findings_detect(Findings *findings, StepRunner *runner) {
    Detection detection = {.findings = findings, .runner = runner, .arena = runner->call->arena};
    TRY(read_cases(&detection));
    for (size_t i = 0; i < sizeof detectors / sizeof detectors[0]; i++) {
        TRY(detectors[i].run(&detection));
    }
    if (runner->plan->inside.method != NULL) {
        TRY(inside_run(&detection));
    }
    TRY(detect_layers(&detection));
    TRY(findings_conclude(findings, &runner->plan->findings));
    TRY(list_absent(findings, &runner->plan->findings));
    return list_untested(findings, runner);
}
