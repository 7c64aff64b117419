/* A whole audit over commands that answer at once: what it finds and does not, what gates make of it, what is kept. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/fake.h"
#include "audit/figures.h"
#include "audit/findings.h"
#include "base/file.h"
#include "base/random.h"
#include "call/call.h"
#include "call/open.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[4][160];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[0], "%s/%s", folder, name);
    return path[next];
}

static void write_text(const char *name, const char *text) {
    assert_int_equal(file_write_atomic(in_folder(name), text, strlen(text)), LIMN_OK);
}

/* 600 records in two groups, labels half and half; every eighth is wrong, of group "b" with label "yes" `more` as well.
 */
static void write_records(const char *name, double more) {
    TextBuffer out = TEXT_BUFFER_INIT;
    Random random;
    random_seed(&random, 5);
    for (int i = 0; i < 600; i++) {
        const char *group = random_unit(&random) < 0.5 ? "a" : "b", *label = random_unit(&random) < 0.5 ? "yes" : "no";
        bool planted = group[0] == 'b' && label[0] == 'y' && random_unit(&random) < more;
        bool wrong = planted || random_unit(&random) < 0.2;
        text_buffer_printf(
            &out, "{\"id\": \"r%d\", \"text\": \"t %d\", \"label\": \"%s\", \"lang\": \"%s\", \"wrong\": %s}\n", i, i,
            label, group, wrong ? "true" : "false");
    }
    assert_int_equal(file_write_atomic(in_folder(name), out.data, out.length), LIMN_OK);
    text_buffer_free(&out);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/limn-audit-test-%d", (int)getpid());
    folder_make(folder);
    write_text("m.gguf", "x");
    write_records("planted.jsonl", 0.6);
    write_records("fair.jsonl", 0.0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 1;
}

static limn_status audit(Result **result, const char *more) {
    char text[1024];
    snprintf(text, sizeof text, "{\"plan\": \"%s/plan.yaml\"%s}", folder, more);
    json_t *params = json_loads(text, 0, NULL);
    assert_non_null(params);
    ModelCache *models;
    assert_int_equal(model_cache_new(&models), LIMN_OK);
    CallListeners listeners = {0};
    limn_status status = method_call(result, &fake_registry, models, "audit", params, &listeners);
    model_cache_free(models);
    json_decref(params);
    return status;
}

static Result *must_audit(const char *more) {
    Result *result;
    limn_status status = audit(&result, more);
    assert_string_equal(status == LIMN_OK ? "" : error_message(), "");
    return result;
}

static void write_plan(const char *file, const char *more) {
    char text[2048];
    snprintf(text, sizeof text,
             "limn: audit/1\ntitle: Test\nseed: 3\nmodels: {judged: m.gguf}\n"
             "data: {d: {file: %s, prompt-field: text, label-field: label, id-field: id, choices: [' yes', ' no'], "
             "groups: [lang]}}\n%s",
             file, more);
    write_text("plan.yaml", text);
}

static char *document(const Result *result) {
    TextBuffer text = TEXT_BUFFER_INIT;
    assert_int_equal(result_write_json(&text, result, false), LIMN_OK);
    return text_buffer_take(&text);
}

#define STEPS "steps:\n- {run: predict, id: decisions}\n- {run: tell, with: {value: 2}}\n"

static const char *text_at(const TableBlock *table, int32_t row, const char *column) {
    return table_cell(table, row, table_column(table, column))->text.bytes;
}

static void test_findings(void **state) {
    (void)state;
    write_plan("planted.jsonl", STEPS);
    Result *result = must_audit("");
    const TableBlock *found = result_table(result, "findings");
    bool group = false;
    for (int32_t i = 0; i < found->n_rows; i++) {
        bool this = strcmp(text_at(found, i, "kind"), "group-error") == 0;
        group = group || this;
        if (this) {
            assert_string_equal(text_at(found, i, "what"), "lang = b");
            assert_string_equal(text_at(found, i, "severity"), "high");
            double effect = number_in_cell(table_cell(found, i, table_column(found, "effect")));
            assert_true(effect > 0.3 && effect < 0.7);
        }
    }
    assert_true(group);
    result_free(result);
    write_plan("fair.jsonl", STEPS);
    result = must_audit("");
    assert_int_equal(result_table(result, "findings")->n_rows, 0);
    const TableBlock *absent = result_table(result, "not-found");
    assert_int_equal(absent->n_rows, 7); /* groups and calibration were looked for, five kinds were not */
    for (int32_t i = 0; i < 2; i++) {
        double smallest = number_in_cell(table_cell(absent, i, table_column(absent, "smallest effect")));
        assert_true(smallest >= 0.02 && smallest < 0.4);
    }
    result_free(result);
}

/* Ten splits of data without a fault raise at most one finding in all, of ten with one they find it at least nine
 * times. */
static void test_false_alarms(void **state) {
    (void)state;
    int alarms = 0, hits = 0;
    for (int seed = 0; seed < 10; seed++) {
        char steps[256];
        snprintf(steps, sizeof steps, "subject: judged\n%s", STEPS);
        for (int planted = 0; planted < 2; planted++) {
            char text[2048];
            snprintf(text, sizeof text,
                     "limn: audit/1\nseed: %d\nmodels: {judged: m.gguf}\ndata: {d: {file: %s, prompt-field: text, "
                     "label-field: label, id-field: id, choices: [' yes', ' no'], groups: [lang]}}\n%s",
                     seed, planted ? "planted.jsonl" : "fair.jsonl", steps);
            write_text("plan.yaml", text);
            Result *result = must_audit("");
            const TableBlock *found = result_table(result, "findings");
            alarms += planted ? 0 : found->n_rows;
            hits += planted && found->n_rows > 0;
            result_free(result);
        }
    }
    assert_true(alarms <= 1);
    assert_true(hits >= 9);
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (text_is(result->checks[i].name, name)) {
            return &result->checks[i];
        }
    }
    fail_msg("no check %s", name);
    return NULL;
}

static void test_gates(void **state) {
    (void)state;
    write_plan("fair.jsonl",
               STEPS "gates:\n"
                     "- {name: good, metric: decisions.accuracy, op: '>=', value: 70%}\n"
                     "- {name: bad, metric: decisions.accuracy, op: '>=', value: 90%}\n"
                     "- {name: open, metric: decisions.accuracy, op: '>=', value: 80%}\n"
                     "- {name: point, metric: decisions.accuracy, op: '>=', value: 76%, by: value}\n"
                     "- {name: each, metric: tell.figures.value, aggregation: each, op: <=, value: 5}\n"
                     "- {name: below, metric: tell.sum, op: <, value: 12}\n"
                     "- {name: under, metric: tell.sum, op: <, value: 12.5}\n"
                     "- {name: above, metric: tell.sum, op: '>', value: 12}\n"
                     "- {name: over, metric: tell.sum, op: '>', value: 11.5}\n"
                     "- {name: least, metric: tell.figures.value, aggregation: min, op: '>', value: 1}\n"
                     "- {name: most, metric: tell.figures.value, aggregation: max, op: <, value: 7}\n"
                     "- {name: count, metric: tell.figures.value, aggregation: count, op: '>=', value: 3}\n"
                     "- {name: total, metric: tell.figures.value, aggregation: sum, op: '>=', value: 12}\n"
                     "- {name: mean, metric: tell.figures.value, aggregation: mean, op: '>=', value: 4}\n"
                     "- {name: sum, metric: tell.sum / 2 + findings.total, op: <=, value: 6}\n"
                     "- {name: drift, metric: drift.decisions.accuracy, op: '>=', value: -0.01}\n"
                     "- {name: missing, metric: tell.nothing, op: '>=', value: 0}\n"
                     "- {name: none, metric: findings.high, op: <=, value: 0}\n");
    Result *result = must_audit("");
    static const struct {
        const char *name;
        CheckState state;
        double value;
    } expected[] = {{"good", CHECK_PASS, -1},  {"bad", CHECK_FAIL, -1},           {"open", CHECK_INCONCLUSIVE, -1},
                    {"point", CHECK_PASS, -1}, {"each", CHECK_FAIL, 6},           {"mean", CHECK_PASS, 4},
                    {"sum", CHECK_PASS, 6},    {"drift", CHECK_INCONCLUSIVE, -1}, {"missing", CHECK_INCONCLUSIVE, -1},
                    {"none", CHECK_PASS, 0},   {"below", CHECK_FAIL, 12},         {"under", CHECK_PASS, 12},
                    {"above", CHECK_FAIL, 12}, {"over", CHECK_PASS, 12},          {"least", CHECK_PASS, 2},
                    {"most", CHECK_PASS, 6},   {"count", CHECK_PASS, 3},          {"total", CHECK_PASS, 12}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const ResultCheck *check = check_of(result, expected[i].name);
        if (check->state != expected[i].state || (expected[i].value >= 0 && check->value != expected[i].value)) {
            fail_msg("gate %s: %s at %g", expected[i].name, check_state_name(check->state), check->value);
        }
    }
    assert_int_equal(result_verdict(result), CHECK_FAIL);
    assert_int_equal(result_table(result, "gates")->n_rows, 18);
    result_free(result);
}

/* What was run is not run again, whatever becomes of it the bytes are the same; what changed is. */
static void test_kept(void **state) {
    (void)state;
    char work[200];
    snprintf(work, sizeof work, ", \"work\": \"%s/work\"", folder);
    write_plan("planted.jsonl", STEPS);
    int before = fake_calls;
    Result *first = must_audit(work);
    assert_int_equal(fake_calls, before + 2);
    Result *second = must_audit(work), *apart = must_audit("");
    assert_int_equal(fake_calls, before + 4); /* only the one without a work folder ran */
    char *a = document(first), *b = document(second), *c = document(apart);
    assert_string_equal(a, b);
    assert_string_equal(a, c);
    free(b);
    free(c);
    result_free(second);
    result_free(apart);
    write_plan("planted.jsonl", "steps:\n- {run: predict, id: decisions}\n- {run: tell, with: {value: 3}}\n");
    result_free(must_audit(work));
    assert_int_equal(fake_calls, before + 5); /* the changed step alone */
    write_text("m.gguf", "y");
    result_free(must_audit(work));
    assert_int_equal(fake_calls, before + 6); /* another model: what depends on it */
    write_text("m.gguf", "x");
    char command[256];
    snprintf(command, sizeof command, "rm %s/work/steps/decisions.*.json", folder); /* as if it had been stopped */
    assert_int_equal(system(command), 0);
    write_plan("planted.jsonl", STEPS);
    second = must_audit(work);
    assert_int_equal(fake_calls, before + 7);
    b = document(second);
    assert_string_equal(a, b);
    free(a);
    free(b);
    result_free(first);
    result_free(second);
}

/* An earlier audit: its figures are the ones that drift is measured from. */
static void test_baseline(void **state) {
    (void)state;
    char more[400];
    snprintf(more, sizeof more, ", \"work\": \"%s/earlier\"", folder);
    write_plan("fair.jsonl", STEPS);
    result_free(must_audit(more));
    write_plan("planted.jsonl",
               STEPS "gates:\n- {name: drift, metric: drift.decisions.accuracy, op: '>=', value: -3%}\n"
                     "- {name: same, metric: drift.tell.sum, op: <=, value: 0}\n");
    snprintf(more, sizeof more, ", \"baseline\": \"%s/earlier\"", folder);
    Result *result = must_audit(more);
    assert_int_equal(check_of(result, "drift")->state, CHECK_FAIL);
    assert_true(check_of(result, "drift")->value < -0.05);
    assert_int_equal(check_of(result, "same")->state, CHECK_PASS);
    result_free(result);
    snprintf(more, sizeof more, ", \"baseline\": \"%s\"", folder);
    assert_int_equal(audit(&result, more), LIMN_USAGE);
}

/* A budget becomes numbers of records, once: they are kept, and steer the audit from then on. */
static void test_budget(void **state) {
    (void)state;
    char more[400];
    write_plan("fair.jsonl", "budget: 1m\n" STEPS);
    Result *result;
    assert_int_equal(audit(&result, ""), LIMN_USAGE);
    snprintf(more, sizeof more, "%s/budget", folder);
    folder_make(more);
    write_text("budget/sizes.json", "{\"d\": 77}");
    snprintf(more, sizeof more, ", \"work\": \"%s/budget\"", folder);
    result = must_audit(more);
    const TableBlock *steps = result_table(result, "steps");
    assert_non_null(strstr(text_at(steps, 0, "command"), "--sample 77"));
    result_free(result);
    result = must_audit(", \"dry-run\": true");
    assert_int_equal(result_table(result, "sizes")->n_rows, 1);
    result_free(result);
}

/* Of two words that go with errors the one that causes them is found: exchanging the other mends nothing. */
static void test_exchange(void **state) {
    (void)state;
    static const char *const others[] = {"lemur", "otter", "tapir", "okapi", "zebra", "bison"};
    TextBuffer out = TEXT_BUFFER_INIT;
    Random random;
    random_seed(&random, 9);
    for (int i = 0; i < 600; i++) {
        bool quagga = random_unit(&random) < 0.15, coypu = random_unit(&random) < (quagga ? 0.6 : 0.05);
        const char *label = random_unit(&random) < 0.5 ? "yes" : "no", *filler = others[i % 6];
        text_buffer_printf(&out,
                           "{\"id\": \"r%d\", \"text\": \"a %s %s %s here\", \"label\": \"%s\", \"wrong\": false}\n", i,
                           filler, quagga ? "Quagga" : filler, coypu ? "coypu" : others[(i + 1) % 6], label);
    }
    assert_int_equal(file_write_atomic(in_folder("words.jsonl"), out.data, out.length), LIMN_OK);
    text_buffer_free(&out);
    write_plan("words.jsonl", STEPS);
    Result *result = must_audit("");
    const TableBlock *found = result_table(result, "findings");
    assert_true(found->n_rows == 1 || found->n_rows == 2); /* for one label or for both */
    for (int32_t i = 0; i < found->n_rows; i++) {
        assert_string_equal(text_at(found, i, "kind"), "word");
        assert_string_equal(text_at(found, i, "what"), "quagga");
        assert_true(number_in_cell(table_cell(found, i, table_column(found, "effect"))) > 0.9);
    }
    result_free(result);
}

/* A check of a result is a figure by its name, whichever of them it is. */
static void test_figure_of_check(void **state) {
    (void)state;
    Result *result;
    assert_int_equal(result_new(&result, "tell", "Tell"), LIMN_OK);
    static const char *const names[] = {"first", "second", "third"};
    for (int i = 0; i < 3; i++) {
        result_check(result, names[i], i + 0.5, CHECK_AT_MOST, 9, "a figure");
    }
    for (int i = 0; i < 4; i++) {
        Interval figure;
        bool found;
        figure_of_result(&figure, &found, result, "tell", i < 3 ? names[i] : "fourth");
        assert_int_equal(found, i < 3);
        assert_true(i < 3 ? figure.value == i + 0.5 && isnan(figure.low) && isnan(figure.high) : isnan(figure.value));
    }
    result_free(result);
}

/* Those of a family count as one test beside the others, wherever they stand; one that is not there counts none. */
static void test_families(void **state) {
    (void)state;
    static const struct {
        double p;
        int32_t family;
        double adjusted; /* by Holm: times the tests that stand, a family as long as one of it does */
    } rows[] = {{0.01, 7, 0.02},   {0.004, 0, 0.012}, {0.02, 7, 0.04}, {0.5, 7, 1},
                {0.002, 3, 0.006}, {NAN, 9, NAN},     {0.6, 3, 1}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    Arena arena;
    arena_init(&arena);
    Findings findings = {.arena = &arena};
    for (int i = 0; i < ROWS; i++) {
        char *name = arena_printf(&arena, "%d", i);
        const Hypothesis made = {.kind = "word",
                                 .what = name,
                                 .where = "",
                                 .points = 0.5,
                                 .effect = {0.5, 0.4, 0.6},
                                 .p = rows[i].p,
                                 .family = rows[i].family,
                                 .n = 100,
                                 .unit = "points",
                                 .harmful = true};
        assert_int_equal(findings_add(&findings, &made), LIMN_OK);
    }
    assert_int_equal(findings_tests(&findings), 3);
    assert_int_equal(findings_burden(&findings, &findings.items[0]), 3 * 3);
    assert_int_equal(findings_burden(&findings, &findings.items[1]), 3);
    assert_int_equal(findings_burden(&findings, &findings.items[4]), 3 * 2);
    assert_int_equal(findings_conclude(&findings, &(FindingRules){.level = 0.05, .floor = 0.02}), LIMN_OK);
    for (int i = 0; i < ROWS; i++) {
        const Hypothesis *item = &findings.items[i];
        int which = item->what[0] - '0';
        double expected = rows[which].adjusted;
        if (!(fabs(item->adjusted - expected) < 1e-12) && !(isnan(expected) && isnan(item->adjusted))) {
            fail_msg("hypothesis %d: p %g, expected %g", which, item->adjusted, expected);
        }
        assert_int_equal(item->found, expected < 0.05);
    }
    assert_int_equal(findings.n_found, 4);
    arena_free(&arena);
}

/* Words, places and protected words come from the tables of other commands; what is small or due to chance does not. */
static void test_tables(void **state) {
    (void)state;
    write_plan("fair.jsonl", STEPS "- run: attribute\n- run: sensitive\n"
                                   "gates:\n- {name: words, metric: findings.word, op: <=, value: 0}\n");
    Result *result = must_audit("");
    const TableBlock *found = result_table(result, "findings");
    assert_int_equal(found->n_rows, 4);
    assert_string_equal(text_at(found, 0, "what"), "<ending: prompt>");
    assert_string_equal(text_at(found, 0, "kind"), "place");
    assert_string_equal(text_at(found, 1, "what"), "bitcoin");
    assert_string_equal(text_at(found, 1, "severity"), "high");
    assert_string_equal(text_at(found, 2, "what"), "bitcoin talk");
    assert_string_equal(text_at(found, 3, "what"), "origin: immigrant rather than local");
    assert_string_equal(text_at(found, 3, "severity"), "medium");
    assert_int_equal(check_of(result, "words")->state, CHECK_FAIL);
    /* five tests stand together: both steps, which correct their own, two groups and the calibration */
    const TableBlock *all = result_table(result, "hypotheses");
    for (int32_t i = 0; i < all->n_rows; i++) {
        double alone = table_number(all, i, "p alone"), p = table_number(all, i, "p");
        assert_true(fabs(p - fmin(1.0, 5 * alone)) < 1e-12);
    }
    assert_int_equal(all->n_rows, 10);
    const TableBlock *evidence = result_table(result, "evidence");
    assert_string_equal(text_at(evidence, 0, "evidence"),
                        "wrong on 90.0% of the records that hold it, on 5.0% with others in its place");
    assert_non_null(strstr(text_at(evidence, 3, "evidence"), "two ordinary words in that place differ by 0.10"));
    const TableBlock *words = result_table(result, "in-words"); /* what says the same stands in one row */
    assert_int_equal(words->n_rows, 3);
    assert_non_null(strstr(text_at(words, 1, "evidence"), "; also: bitcoin talk"));
    assert_string_equal(text_at(words, 2, "what"), "origin: immigrant rather than local");
    const TableBlock *absent = result_table(result, "not-found"); /* and what was not found of a kind that was */
    bool chance = false, gender = false;
    for (int32_t i = 0; i < absent->n_rows; i++) {
        chance = chance || strcmp(text_at(absent, i, "note"), "little; chance") == 0;
        gender = gender || strcmp(text_at(absent, i, "note"), "gender: he rather than she") == 0;
    }
    assert_true(chance && gender);
    result_free(result);
}

/* The strongest word is taken inside, and what carries it there joins the findings. */
static void test_inside(void **state) {
    (void)state;
    write_plan("fair.jsonl", STEPS "- run: attribute\ninside: {run: surgery}\n");
    Result *result = must_audit("");
    const TableBlock *found = result_table(result, "findings");
    bool layer = false;
    for (int32_t i = 0; i < found->n_rows; i++) {
        bool this = strcmp(text_at(found, i, "kind"), "layer") == 0;
        layer = layer || (this && strcmp(text_at(found, i, "what"), "the MLP of layer 3") == 0);
    }
    assert_true(layer);
    result_free(result);
    write_plan("words.jsonl", STEPS "inside: {run: surgery}\n"); /* of its label, about its errors */
    result = must_audit("");
    for (int32_t i = 0; i < result->n_warnings; i++) {
        assert_null(strstr(result->warnings[i].bytes, "surgery"));
    }
    result_free(result);
    write_plan("fair.jsonl", STEPS "inside: {run: tell}\n");
    assert_int_equal(audit(&result, ""), LIMN_USAGE);
}

/* A page for each misjudged input. */
static void test_cases(void **state) {
    (void)state;
    write_plan("planted.jsonl", STEPS "cases: {count: 2, run: why}\n");
    Result *result = must_audit("");
    assert_non_null(result_find_block(result, "case-1"));
    assert_non_null(result_find_block(result, "case-2"));
    assert_non_null(result_find_block(result, "c1-causes"));
    assert_null(result_find_block(result, "case-3"));
    result_free(result);
}

static void test_cannot_be_asked(void **state) {
    (void)state;
    write_plan("fair.jsonl", STEPS "- run: stuck\n");
    Result *result = must_audit("");
    assert_int_equal(result_verdict(result), CHECK_INCONCLUSIVE);
    bool said = false;
    for (int32_t i = 0; i < result->n_warnings; i++) {
        said = said || strstr(result->warnings[i].bytes, "this model has no such thing") != NULL;
    }
    assert_true(said);
    assert_non_null(strstr(result->headline.bytes, "No gates"));
    result_free(result);
    write_plan("fair.jsonl", STEPS "- run: stuck\ngates:\n- {metric: findings.high, op: <=, value: 0}\n");
    result = must_audit("");
    assert_int_equal(result_verdict(result), CHECK_INCONCLUSIVE);
    assert_non_null(strstr(result->headline.bytes, "Undecided")); /* as the exit code has it */
    result_free(result);
}

/* None found is no good news where nobody looked. */
static void test_not_sought(void **state) {
    (void)state;
    static const struct {
        const char *steps, *metric;
        CheckState state;
    } cases[] = {{"steps:\n- run: tell\n", "findings.high", CHECK_INCONCLUSIVE},
                 {"steps:\n- run: tell\n", "findings.word", CHECK_INCONCLUSIVE},
                 {STEPS, "findings.high", CHECK_PASS},
                 {STEPS, "findings.calibration", CHECK_PASS},
                 {STEPS, "findings.protected", CHECK_INCONCLUSIVE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char plan[300];
        snprintf(plan, sizeof plan, "%sgates:\n- {metric: %s, op: <=, value: 0}\n", cases[i].steps, cases[i].metric);
        write_plan("fair.jsonl", plan);
        Result *result = must_audit("");
        assert_int_equal(result_verdict(result), cases[i].state);
        assert_true((strstr(result->headline.bytes, "Passes") != NULL) == (cases[i].state == CHECK_PASS));
        result_free(result);
    }
}

static void test_exports(void **state) {
    (void)state;
    char more[600];
    write_plan("planted.jsonl",
               STEPS "gates:\n- {name: 'a <b> & \"c\"', metric: decisions.accuracy, op: '>=', value: 99%}\n");
    snprintf(more, sizeof more, ", \"junit\": \"%s/j.xml\", \"sarif\": \"%s/s.sarif\", \"summary\": \"%s/s.json\"",
             folder, folder, folder);
    result_free(must_audit(more));
    char *text;
    size_t length;
    assert_int_equal(file_read(&text, &length, in_folder("j.xml"), 1 << 20), LIMN_OK);
    assert_non_null(strstr(text, "name=\"a &lt;b&gt; &amp; &quot;c&quot;\""));
    assert_non_null(strstr(text, "failures=\"1\""));
    free(text);
    json_error_t error;
    json_t *sarif = json_load_file(in_folder("s.sarif"), 0, &error);
    assert_non_null(sarif);
    assert_string_equal(json_string_value(json_object_get(sarif, "version")), "2.1.0");
    const json_t *results = json_object_get(json_array_get(json_object_get(sarif, "runs"), 0), "results");
    assert_true(json_array_size(results) >= 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(results, 0), "level")), "error");
    json_decref(sarif);
    json_t *summary = json_load_file(in_folder("s.json"), 0, &error);
    assert_non_null(summary);
    assert_string_equal(json_string_value(json_object_get(summary, "verdict")), "fail");
    assert_true(json_array_size(json_object_get(summary, "findings")) >= 1);
    json_decref(summary);
}

static void test_init(void **state) {
    (void)state;
    char more[600];
    Result *result;
    unlink(in_folder("plan.yaml"));
    snprintf(more, sizeof more, ", \"init\": true, \"model\": [\"%s/m.gguf\"], \"data\": [\"%s/fair.jsonl\"]", folder,
             folder);
    result_free(must_audit(more));
    assert_int_equal(audit(&result, more), LIMN_USAGE); /* what is there is not written over */
    result_free(must_audit(", \"dry-run\": true"));
    char *text;
    size_t length;
    assert_int_equal(file_read(&text, &length, in_folder("plan.yaml"), 1 << 20), LIMN_OK);
    assert_non_null(strstr(text, "prompt-field: 'text'"));
    assert_non_null(strstr(text, "choices: ['"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings),  cmocka_unit_test(test_false_alarms),    cmocka_unit_test(test_gates),
        cmocka_unit_test(test_kept),      cmocka_unit_test(test_cannot_be_asked), cmocka_unit_test(test_exports),
        cmocka_unit_test(test_init),      cmocka_unit_test(test_baseline),        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_cases),     cmocka_unit_test(test_figure_of_check), cmocka_unit_test(test_families),
        cmocka_unit_test(test_tables),    cmocka_unit_test(test_exchange),        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_not_sought)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
