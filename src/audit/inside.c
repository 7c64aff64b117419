/* What carries a finding inside the model: for the strongest misleading words an edit is chosen and judged (the plan's
 * `inside`, a step with the option `focus`, as surgery has it). In focus are the records that hold the word and, where
 * the word was found to mislead records of one label, have it; what the edit shall lower there are the errors that were
 * found. Beside them stands a share of all others, on which the edit's cost is counted, and none that holds another
 * word that was found: its errors are not this word's. The words come from findings, so these steps are added once the
 * others have run; their tests join the family of all. */
#include <math.h>
#include <string.h>

#include "audit/detect.h"
#include "audit/features.h"

enum { TAKEN_MOST = 20, FOCUS_MOST = 100, OTHERS_LEAST = 40 };
static const double same_records = 0.7, few_records = 0.2;

typedef struct Inside {
    const Detection *detection;
    StepRunner *runner;
    const Cases *cases;                  /* whose prompts hold the words; NULL: none are known */
    const Hypothesis *taken[TAKEN_MOST]; /* [n] */
    int32_t n;
} Inside;

static const char *bare(const char *word) {
    return word + strspn(word, " ");
}

/* ---- which records hold a word ---- */

static bool holds(const Case *item, const Hypothesis *word) {
    return item->prompt != NULL && word_find(item->prompt, bare(word->what)) != NULL;
}

/* How many records hold the first word and have its label; how many of these hold the second as well. */
static int64_t count_held(const Inside *inside, const Hypothesis *word, const Hypothesis *too) {
    int64_t n = 0;
    for (int64_t i = 0; inside->cases != NULL && i < inside->cases->n; i++) {
        const Case *item = &inside->cases->items[i];
        bool label = word->label == NULL ||
                     (item->label >= 0 && strcmp(inside->cases->names.items[item->label], word->label) == 0);
        n += label && holds(item, word) && (too == NULL || holds(item, too));
    }
    return n;
}

/* Nearly the records of one that was taken already. */
static bool is_taken(const Inside *inside, const Hypothesis *word) {
    double own = (double)count_held(inside, word, NULL);
    for (int32_t k = 0; k < inside->n; k++) {
        bool same = strcmp(bare(word->what), bare(inside->taken[k]->what)) == 0;
        if (same || (double)count_held(inside, word, inside->taken[k]) > same_records * own) {
            return true;
        }
    }
    return false;
}

/* ---- the filters ---- */

/* A regular expression that finds the word as it is, in either case; NULL: it cannot be written into a filter. */
static const char *pattern_of(Arena *arena, const char *word) {
    static const char special[] = ".^$*+?()[]{}|\\/-";
    TextBuffer out = TEXT_BUFFER_INIT;
    bool good = word[0] != '\0' && strpbrk(word, "'\"`\n\\") == NULL;
    for (const char *c = word; good && *c != '\0'; c++) {
        text_buffer_add(&out, strchr(special, *c) != NULL ? "[" : "");
        text_buffer_add_char(&out, *c);
        text_buffer_add(&out, strchr(special, *c) != NULL ? "]" : "");
    }
    const char *made = good && !out.failed ? arena_printf(arena, "(?i)%s", out.data) : NULL;
    text_buffer_free(&out);
    return made;
}

static const char *text_option(const StepRunner *runner, const char *name) {
    return json_string_value(json_object_get(runner->plan->inside.params, name));
}

/* "`prompt` ~ '(?i)bitcoin'"; NULL: it cannot be written. */
static const char *filter_of(const StepRunner *runner, const char *word, const char *relation) {
    const char *field = text_option(runner, "prompt-field");
    const char *pattern = field != NULL ? pattern_of(runner->call->arena, bare(word)) : NULL;
    return pattern != NULL ? arena_printf(runner->call->arena, "`%s` %s '%s'", field, relation, pattern) : NULL;
}

static const char *focus_of(const Inside *inside, const Hypothesis *word) {
    const StepRunner *runner = inside->runner;
    const char *filter = filter_of(runner, word->what, "~"), *field = text_option(runner, "label-field");
    bool label = word->label != NULL && field != NULL && strpbrk(word->label, "'\"`\n\\") == NULL;
    return filter != NULL && label
               ? arena_printf(runner->call->arena, "%s and `%s` == '%s'", filter, field, word->label)
               : filter;
}

/* Other words that were found, where they stand in few of the records in focus. */
static limn_status leave_out_others(TextBuffer *out, const Inside *inside, const Hypothesis *word) {
    const Findings *findings = inside->detection->findings;
    double own = (double)count_held(inside, word, NULL);
    for (int32_t i = 0; i < findings->n_found; i++) {
        const Hypothesis *other = &findings->items[i];
        bool another = strcmp(other->kind, "word") == 0 && other->harmful && other->label != NULL &&
                       strcmp(bare(other->what), bare(word->what)) != 0;
        double both = another ? (double)count_held(inside, word, other) : 0;
        const char *filter = another && both < few_records * own ? filter_of(inside->runner, other->what, "!~") : NULL;
        if (filter != NULL && (out->data == NULL || strstr(out->data, filter) == NULL)) {
            text_buffer_printf(out, "%s%s", out->length > 0 ? " and " : "", filter);
        }
    }
    return text_buffer_status(out);
}

/* Which records the step reads at all; NULL: as the plan has it. */
static const char *where_of(const Inside *inside, const Hypothesis *word, const char *focus) {
    const StepRunner *runner = inside->runner;
    const PlanStep *step = &runner->plan->inside;
    const char *id = text_option(runner, "id-field"), *own = text_option(runner, plan_filter(step->method));
    bool sampled = json_object_get(step->params, "sample") != NULL || json_object_get(step->params, "limit") != NULL;
    if (sampled || id == NULL || inside->cases == NULL ||
        plan_option(step->method, plan_filter(step->method)) == NULL) {
        return NULL;
    }
    int64_t held = count_held(inside, word, NULL), others = inside->cases->n - held;
    double focused = held > FOCUS_MOST ? FOCUS_MOST : (double)held, wanted = fmax(focused / 2, OTHERS_LEAST);
    double share = others > 0 ? fmin(1, wanted / (double)others) : 1;
    TextBuffer out = TEXT_BUFFER_INIT;
    limn_status status = leave_out_others(&out, inside, word);
    const char *made = NULL;
    if (status == LIMN_OK) {
        long long seed = (long long)runner->plan->seed;
        made = arena_printf(runner->call->arena,
                            "%s%s%s((%s and split(`%s`, %lld) < %.3f) or (not (%s) and split(`%s`, %lld) < %.3f))%s%s",
                            own != NULL ? "(" : "", own != NULL ? own : "", own != NULL ? ") and " : "", focus, id,
                            seed + 1, held > 0 ? focused / (double)held : 1, focus, id, seed + 1, share,
                            out.length > 0 ? " and " : "", out.length > 0 ? out.data : "");
    }
    text_buffer_free(&out);
    return made;
}

/* ---- what the edit shall better ---- */

/* Of two answers the first is an alarm: errors on records of the other one are false alarms. NULL: as the plan has it.
 */
static const char *aim_of(const Inside *inside, const Hypothesis *word) {
    const Plan *plan = inside->runner->plan;
    const json_t *params = plan->inside.params, *choices = json_object_get(params, "choices");
    const char *alarm = text_option(inside->runner, "alarm");
    bool told = json_object_get(params, "aim") != NULL || plan_own_option(plan->inside.method, "aim") == NULL;
    if (told || word->label == NULL || choices == NULL || plan_choice(plan, choices, 2) != NULL) {
        return NULL;
    }
    alarm = alarm != NULL ? alarm : plan_choice(plan, choices, 0);
    const char *right = plan_choice_called(plan, &plan->inside, word->label);
    return alarm == NULL || right == NULL ? NULL : strcmp(right, alarm) == 0 ? "missed-alarms" : "false-alarms";
}

/* ---- the steps ---- */

static limn_status add_step(Inside *inside, const Hypothesis *word, const char *focus) {
    StepRunner *runner = inside->runner;
    Arena *arena = runner->call->arena;
    PlanStep step = runner->plan->inside;
    const char *where = where_of(inside, word, focus), *aim = aim_of(inside, word);
    int32_t place;
    step.id = arena_printf(arena, "inside-%d", (int)inside->n + 1);
    step.title = arena_printf(
        arena, runner->plan->language == LANGUAGE_ZH ? "“%s”在模型内部的所在" : "What carries '%s' inside the model",
        bare(word->what));
    step.params = json_deep_copy(step.params);
    bool good =
        step.id != NULL && step.title != NULL && step.params != NULL &&
        json_object_set_new(step.params, "focus", json_string(focus)) == 0 &&
        (where == NULL || json_object_set_new(step.params, plan_filter(step.method), json_string(where)) == 0) &&
        (aim == NULL || json_object_set_new(step.params, "aim", json_string(aim)) == 0);
    if (!good) {
        json_decref(step.params);
        return method_no_memory(runner->call);
    }
    inside->taken[inside->n++] = word;
    return plan_add_step(runner->plan, &step, &place);
}

/* Words of which it is known what they do to which label come first. */
static limn_status take(Inside *inside, bool labelled) {
    const Findings *findings = inside->detection->findings;
    for (int32_t i = 0; i < findings->n_found && inside->n < inside->runner->plan->inside_count; i++) {
        const Hypothesis *item = &findings->items[i];
        bool word = strcmp(item->kind, "word") == 0 && item->harmful && (item->label != NULL) == labelled;
        const char *focus = word && !is_taken(inside, item) ? focus_of(inside, item) : NULL;
        TRY(focus != NULL ? add_step(inside, item, focus) : LIMN_OK);
    }
    return LIMN_OK;
}

limn_status inside_run(const Detection *detection) {
    StepRunner *runner = detection->runner;
    Inside inside = {.detection = detection, .runner = runner};
    for (int32_t i = 0; i < detection->n_cases && inside.cases == NULL; i++) {
        inside.cases =
            detection->cases[i].data == &runner->plan->data[runner->plan->inside.data] ? &detection->cases[i] : NULL;
    }
    TRY(findings_conclude(detection->findings, &runner->plan->findings));
    TRY(take(&inside, true));
    TRY(take(&inside, false));
    return steps_run(runner);
}
