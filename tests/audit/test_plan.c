/* Plans: what is understood, and what is refused before any work, with its place and the nearest right name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/fake.h"
#include "audit/figures.h"
#include "audit/plan.h"
#include "base/file.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char folder[64];

static int set_up(void **state) {
    (void)state;
    char path[128];
    snprintf(folder, sizeof folder, "/tmp/limn-plan-%d", (int)getpid());
    folder_make(folder);
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    file_write_atomic(path, "x", 1);
    snprintf(path, sizeof path, "%s/d.jsonl", folder);
    file_write_atomic(path, "{\"id\": 1}\n", 10);
    snprintf(path, sizeof path, "%s/adapter", folder);
    folder_make(path);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/d.jsonl", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/adapter", folder);
    rmdir(path);
    rmdir(folder);
    return 0;
}

static limn_status read_with(Plan *plan, const char *text, const PlanOverrides *overrides, Arena *arena) {
    char path[128];
    snprintf(path, sizeof path, "%s/plan.yaml", folder);
    return plan_read_text(plan, &fake_registry, path, text, strlen(text), overrides, arena);
}

#define HEAD                                                                                                           \
    "limn: audit/1\n"                                                                                                  \
    "models:\n"                                                                                                        \
    "  judged: {model: m.gguf, adapter: adapter}\n"                                                                    \
    "data:\n"                                                                                                          \
    "  tweets: {file: d.jsonl, prompt-field: text, label-field: label, id-field: id, choices: [yes, no], groups: "     \
    "[lang]}\n"
#define STEP "steps:\n- run: predict\n  id: decisions\n"

/* What a plan becomes. */
static void test_understood(void **state) {
    (void)state;
    Arena arena;
    Plan plan;
    const PlanOverrides none = {0};
    arena_init(&arena);
    limn_status status =
        read_with(&plan,
                  HEAD "seed: 7\nbudget: 2m\n" STEP "  half: confirm\n  with: {limit: 12, where: a == 1}\n"
                       "- {run: tell, with: {value: 2, a: 'step:decisions'}}\n"
                       "gates:\n- {metric: decisions.accuracy, op: '>=', value: 90%}\n"
                       "- {metric: tell.figures.value, aggregation: each, op: <, value: 2 points}\n"
                       "- {metric: tell.sum - 2 * 3, op: <=, value: 1}\n",
                  &none, &arena);
    assert_string_equal(status == LIMN_OK ? "" : error_message(), "");
    assert_int_equal(plan.n_steps, 2);
    assert_int_equal(plan.seed, 7);
    assert_true(plan.budget == 120);
    const PlanStep *step = &plan.steps[0];
    assert_string_equal(step->id, "decisions");
    char expected[128];
    snprintf(expected, sizeof expected, "%s/m.gguf", folder);
    assert_string_equal(json_string_value(json_object_get(step->params, "model")), expected);
    snprintf(expected, sizeof expected, "%s/adapter", folder);
    assert_string_equal(json_string_value(json_array_get(json_object_get(step->params, "adapter"), 0)), expected);
    assert_string_equal(json_string_value(json_object_get(step->params, "where")),
                        "(a == 1) and split(`id`, 7) >= 0.5");
    assert_string_equal(json_string_value(json_object_get(step->params, "group-field")), "lang");
    assert_int_equal(json_array_size(json_object_get(step->params, "choices")), 2);
    assert_int_equal(plan_step_meant(&plan, json_object_get(plan.steps[1].params, "a")), 0);
    assert_true(plan.gates[0].value == 0.9);
    assert_int_equal(plan.gates[1].aggregation, AGGREGATE_EACH);
    assert_true(plan.gates[1].value == 0.02);
    plan_free(&plan);
    arena_free(&arena);
}

static void test_overrides(void **state) {
    (void)state;
    Arena arena;
    Plan plan;
    char here[128], there[256];
    snprintf(here, sizeof here, "judged=%s/d.jsonl", folder);
    snprintf(there, sizeof there, "tweets=%s/m.gguf", folder);
    const Text model = text_of(here), data = text_of(there), stray = text_of("judge=x");
    const ParamTexts models = {&model, 1}, sets = {&data, 1}, strays = {&stray, 1};
    PlanOverrides overrides = {.models = &models, .data = &sets, .sample = 5, .language = "zh"};
    arena_init(&arena);
    assert_int_equal(read_with(&plan, HEAD STEP, &overrides, &arena), LIMN_OK);
    assert_string_equal(json_string_value(json_object_get(plan.steps[0].params, "model")), here + 7);
    assert_string_equal(json_string_value(json_object_get(plan.steps[0].params, "data")), there + 7);
    assert_int_equal(json_integer_value(json_object_get(plan.steps[0].params, "sample")), 5);
    assert_int_equal(plan.language, LANGUAGE_ZH);
    plan_free(&plan);
    overrides.models = &strays;
    assert_int_equal(read_with(&plan, HEAD STEP, &overrides, &arena), LIMN_USAGE);
    arena_free(&arena);
}

/* Each is refused, with this in its message. */
static const struct {
    const char *text, *message;
} refused[] = {
    {"limn: audit/2\n", "plan.yaml:1:7: found 'limn' as audit/2, expected 'limn: audit/1'"},
    {"a: *x\n", "plan.yaml:1:4: an alias"},
    {"a: &x 1\n", "plan.yaml:1:4: an anchor"},
    {"a: !!int 1\n", "plan.yaml:1:4: a tag"},
    {"a: 1\nb: 2\na: 3\n", "plan.yaml:3:1: 'a' stands twice"},
    {"a: [1\n", "no YAML"},
    {"--- {}\n--- {}\n", "plan.yaml:2:1: a second document"},
    {"a: {[1]: 2}\n", "found a list as a key"},
    {HEAD "step: []\n", "plan.yaml:6:1: a plan has no 'step'; nearest: 'steps'"},
    {HEAD, "'steps': found nothing, expected a list"},
    {HEAD "steps: []\n", "expected a list of steps"},
    {HEAD "steps:\n- run: predit\n", "plan.yaml:7:8: there is no command 'predit'; nearest: 'predict'"},
    {HEAD "steps:\n- run: verify\n", "'verify' says nothing of a model"},
    {HEAD "steps:\n- {run: predict, modle: judged}\n", "a step has no 'modle'; nearest: 'model'"},
    {HEAD "steps:\n- {run: predict, model: juged}\n", "the plan has no model 'juged'; it has: 'judged'"},
    {HEAD "steps:\n- {run: predict, data: tweet}\n", "the plan has no data set 'tweet'; it has: 'tweets'"},
    {HEAD "steps:\n- {run: tell, model: judged}\n", "tell takes no model"},
    {HEAD "steps:\n- run: predict\n  with:\n    limt: 3\n",
     "plan.yaml:9:5: predict has no option 'limt'; nearest: 'limit'"},
    {HEAD "steps:\n- run: predict\n  with:\n    limit: many\n",
     "plan.yaml:9:12: option 'limit': found 'many', expected a whole number"},
    {HEAD "steps:\n- run: predict\n  with: {limit: 0}\n", "expected a value from 1"},
    {HEAD "steps:\n- run: predict\n  with: {decisions: x}\n", "'decisions' is a file that is written"},
    {HEAD "steps:\n- run: tell\n  with: {a: none.txt}\n", "there is no file '"},
    {HEAD STEP "- run: tell\n  with: {a: 'step:decision'}\n", "nearest: 'decisions'"},
    {HEAD "steps:\n- run: tell\n- run: predict\n- {run: tell, id: t, with: {a: 'step:tell'}}\n",
     "the step 'tell' leaves no file of decisions"},
    {HEAD "steps:\n- run: tell\n- run: tell\n", "plan.yaml:8:8: two steps are called 'tell'"},
    {HEAD "steps:\n- {run: tell, id: No Good}\n", "expected lower-case letters"},
    {HEAD "steps:\n- {run: predict, half: first}\n", "'half': found 'first'"},
    {HEAD "steps:\n- {run: tell, half: confirm}\n", "tell reads no data set"},
    {HEAD "steps:\n- {run: skim, half: confirm}\n", "skim reads no data set of which to take one"},
    {HEAD STEP "gates:\n- {metric: decision.accuracy, op: '>=', value: 1}\n",
     "no step makes 'decision.accuracy'; steps are: 'decisions'"},
    {HEAD STEP "gates:\n- {metric: decisions.acuracy, op: '>=', value: 1}\n", "nearest: 'accuracy'"},
    {HEAD STEP "gates:\n- {metric: decisions.recall, op: '>=', value: 1}\n", "makes no figure 'recall'"},
    {HEAD STEP "gates:\n- {metric: decisions.gaps.q, aggregation: max, op: <, value: 1}\n", "with rows"},
    {HEAD STEP "gates:\n- {metric: decisions.accuracy, op: =, value: 1}\n", "'op': found '='"},
    {HEAD STEP "gates:\n- {metric: decisions.accuracy, op: <=, value: ninety}\n", "'value': found 'ninety'"},
    {HEAD STEP "gates:\n- {metric: decisions.accuracy, op: <=}\n", "a gate says no value"},
    {HEAD STEP "gates:\n- {metric: 2 +, op: <=, value: 1}\n", "plan.yaml:10:12"},
    {HEAD STEP "gates:\n- {metric: decisions.accuracy, op: <=, value: 1}\n"
               "- {metric: decisions.accuracy, op: <=, value: 1}\n",
     "two gates are called 'decisions.accuracy <= 1'"},
    {HEAD STEP "findings: {level: 2}\n", "'level': found '2', expected a number from"},
    {HEAD "budget: 3 days\n" STEP, "expected a time such as 90s"},
    {HEAD "subject: other\n" STEP, "there is no model 'other'"},
    {HEAD "language: fr\n" STEP, "expected en or zh"},
    {HEAD "system: {regimes: [eu-ai-akt]}\n" STEP, "nearest: 'eu-ai-act'"},
    {"limn: audit/1\nmodels: {m: missing.gguf}\nsteps: [{run: predict}]\n", "plan.yaml:2:13: "},
    {"limn: audit/1\nmodels: {m: {model: m.gguf, adapter: none}}\nsteps: [{run: predict}]\n",
     "plan.yaml:2:38: there is no adapter folder"},
    {"limn: audit/1\nmodels: {m: m.gguf}\ndata: {d: {file: none.jsonl}}\nsteps: [{run: predict}]\n",
     "plan.yaml:3:18: there is no file"},
    {"limn: audit/1\nmodels: {m: m.gguf}\nsteps:\n- run: predict\n", "plan.yaml:4:3: predict needs DATA"},
    {"- limn\n", "found a list, expected a plan as a mapping"},
    {HEAD "subject: [a]\n" STEP, "'subject': found a list, expected a text"},
    {HEAD "steps:\n- {run: predict, id: [a]}\n", "'id': found a list, expected a text"},
    {HEAD "steps:\n- {id: a}\n", "a step says no command"},
    {HEAD "steps:\n- {run: predict, id: ''}\n", "expected 1 to 60 characters"},
    {HEAD "steps:\n- {run: predict, id: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffg}\n",
     "expected 1 to 60 characters"},
    {HEAD "steps:\n- {run: predict, with: [limit]}\n", "'with': found a list, expected a mapping of the command's"},
    {HEAD "steps: predict\n", "'steps': found a text, expected a list of steps"},
    {HEAD STEP "gates: decisions.accuracy\n", "'gates': found a text, expected a list of at most"},
    {HEAD STEP "gates:\n- {op: <=, value: 1}\n", "a gate says no 'metric'"},
    {HEAD STEP "gates:\n- {metric: decisions.accuracy, value: 1}\n", "a gate says no 'op'"},
    {HEAD STEP "gates:\n- {metric: decisions.accuracy + 1, aggregation: max, op: <=, value: 1}\n",
     "'aggregation: max' goes with one STEP.TABLE.COLUMN"},
    {"limn: audit/1\nmodels: m.gguf\n", "'models': found a text, expected a mapping: a name for each"},
    {"limn: audit/1\nmodels: {m: {adapter: adapter}}\n", "the model 'm' says no path"},
    {"limn: audit/1\nmodels: {m: ''}\n", "the model 'm' says no path"},
    {"limn: audit/1\nmodels: {m: {model: m.gguf, edit: none.json}}\n", "plan.yaml:2:35: there is no edit file '"},
    {"limn: audit/1\nmodels: {m: {model: m.gguf, adapter: {a: b}}}\n",
     "'adapter': found a mapping, expected a text or a list of texts"},
    {"limn: audit/1\nmodels: {m: {model: m.gguf, adapter: [[a]]}}\n", "'adapter': found a list, expected a text"},
    {"limn: audit/1\nmodels: {m: m.gguf}\ndata: {d: {prompt-field: q}}\n", "the data set 'd' says no file"},
    {"limn: audit/1\nmodels: {m: m.gguf}\ndata: {d: [d.jsonl]}\n", "expected a data set as a mapping"},
    {"limn: audit/1\nmodels: {m: m.gguf}\ndata: {d: {file: d.jsonl, prompt-field: q}}\n"
     "steps:\n- {run: predict, half: confirm}\n",
     "the data set 'd' needs an id-field or a cluster-field"},
    {"a: \"x\\0y\"\n", "a text with a NUL inside"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        Arena arena;
        Plan plan;
        const PlanOverrides none = {0};
        arena_init(&arena);
        limn_status status = read_with(&plan, refused[i].text, &none, &arena);
        if (status == LIMN_OK || status_exit_code(status) != 2 || strstr(error_message(), refused[i].message) == NULL) {
            fail_msg("case %zu: %s: found '%s', expected '%s'", i, refused[i].text,
                     status == LIMN_OK ? "it is fine" : error_message(), refused[i].message);
        }
        arena_free(&arena);
    }
}

/* A billion laughs without the laughs: depth and size have ends. */
static void test_limits(void **state) {
    (void)state;
    Arena arena;
    const YamlNode *root;
    char deep[200];
    memset(deep, '[', sizeof deep);
    arena_init(&arena);
    assert_int_equal(yaml_read(&root, "p", deep, sizeof deep, &arena), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "nested deeper"));
    assert_int_equal(yaml_read(&root, "p", "a: \xff\n", 5, &arena), LIMN_USAGE);
    assert_int_equal(yaml_read(&root, "p", "", 0, &arena), LIMN_OK);
    assert_int_equal(root->kind, YAML_MAP);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_understood), cmocka_unit_test(test_overrides),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
