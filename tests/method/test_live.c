/* `live`: what is warm does not show: each answer is that of `run` with the same edits in a context of its own,
 * whatever was asked before; late edits cost less; another prompt, other edits in force are never answered from what
 * was kept. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "call/open.h"
#include "edit/edit_file.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char model[64], edit_file[80];
static ModelCache *models; /* of the calls that keep something warm */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    make_letters_model(model);
    snprintf(edit_file, sizeof edit_file, "/tmp/limn-live-%d.json", (int)getpid());
    return model_cache_new(&models) == LIMN_OK ? 0 : 1;
}

static int tear_down(void **state) {
    model_cache_free(models);
    remove_letters_model(model);
    unlink(edit_file);
    return 0;
}

static limn_status warm(Result **result, const char *format, ...) __attribute__((format(printf, 2, 3)));
static limn_status warm(Result **result, const char *format, ...) {
    char json[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(json, sizeof json, format, arguments);
    va_end(arguments);
    json_t *params = json_loads(json, 0, NULL);
    assert_non_null(params);
    limn_status status = method_call(result, &test_registry, models, "live", params, &(CallListeners){0});
    json_decref(params);
    return status;
}

static const Value *cell(const Result *result, const char *id, int32_t row, int32_t column) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    return table_cell(block->content, row, column);
}

static double change_of(const Result *result, int32_t row) {
    return cell(result, "change", row, 1)->number;
}

/* What `run` says of the same, cold: the same tokens with the same probabilities. */
static void same_as_run(const Result *result, const char *what, const char *more, int n) {
    Result *run;
    must(call_method(&run, "run", "{\"model\": \"%s\", %s%s, \"top\": %d}", model, what, more, n));
    const TableBlock *table = result_find_block(run, "top")->content;
    for (int32_t i = 0; i < n; i++) {
        assert_int_equal(cell(result, "distribution", i, 1)->integer, table_cell(table, i, 1)->integer);
        double found = cell(result, "distribution", i, 2)->number, expected = table_cell(table, i, 2)->number;
        if (!(fabs(found - expected) <= 1e-6)) {
            fail_msg("%s: found %.9g, expected %.9g", more, found, expected);
        }
    }
    result_free(run);
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

static const char prompt[] = "\"prompt\": \"a bad cab is here\"";

static void answers_are_those_of_run(void **state) {
    static const char *const sets[] = {
        "",
        ", \"set\": [\"blocks.1.hook_mlp_out[pos=-1]=zero\"]",
        ", \"set\": [\"blocks.0.hook_resid_post[pos=2]=add:0.5\", \"blocks.1.attn.hook_z[head=2]=zero\"]",
        ", \"set\": [\"blocks.*.hook_mlp_out=times:-2\"]",
        ", \"set\": [\"blocks.1.attn.hook_pattern[head=1,pos=-1]=zero\"]",
        ", \"set\": [\"blocks.1.hook_resid_post=copy:blocks.0.hook_resid_pre\"]",
        ", \"set\": [\"hook_embed[pos=3]=zero\"]",
    };
    enum { N = sizeof sets / sizeof sets[0] };
    double first[N];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            int at = round == 0 ? i : N - 1 - i;
            Result *result;
            must(warm(&result, "{\"model\": \"%s\", %s%s, \"top\": 6}", model, prompt, sets[at]));
            same_as_run(result, prompt, sets[at], 6);
            assert_int_equal(check_of(result, "plain-pass")->state, CHECK_PASS);
            double now = cell(result, "distribution", 0, 2)->number;
            if (round == 1) { /* whatever was asked in between */
                assert_true(now == first[at]);
            }
            first[at] = now;
            assert_true((change_of(result, 0) > 1e-9) == (at != 0)); /* no edit, no change; an edit, some */
            result_free(result);
        }
    }
}

static void late_edits_cost_less(void **state) {
    Result *late, *early;
    must(warm(&late, "{\"model\": \"%s\", %s, \"set\": [\"blocks.1.hook_mlp_out[pos=-1]=zero\"]}", model, prompt));
    must(warm(&early, "{\"model\": \"%s\", %s, \"set\": [\"blocks.0.hook_resid_pre[pos=0]=zero\"]}", model, prompt));
    assert_true(change_of(late, 2) < 0.2 * change_of(late, 3));
    assert_true(change_of(early, 2) > 2 * change_of(late, 2));
    result_free(late);
    result_free(early);
}

static void it_is_compared_with_what_is_named(void **state) {
    Result *result;
    must(warm(&result,
              "{\"model\": \"%s\", %s, \"set\": [\"blocks.1.hook_mlp_out=zero\"], "
              "\"against\": [\"blocks.1.hook_mlp_out=zero\"]}",
              model, prompt));
    assert_true(change_of(result, 0) == 0 && change_of(result, 1) == 0);
    assert_true(cell(result, "distribution", 0, 2)->number != cell(result, "distribution", 0, 5)->number);
    result_free(result);
    /* KL and the probability moved, by their meaning, where all tokens are shown */
    must(warm(&result, "{\"model\": \"%s\", %s, \"set\": [\"blocks.1.hook_mlp_out=zero\"], \"top\": 100000}", model,
              prompt));
    const TableBlock *table = result_find_block(result, "distribution")->content;
    double divergence = 0, moved = 0, sum = 0;
    for (int32_t i = 0; i < table->n_rows; i++) {
        double now = table_cell(table, i, 2)->number, before = table_cell(table, i, 3)->number;
        divergence += before * log(before / now);
        moved += fabs(now - before) / 2;
        sum += now;
        assert_true(before == table_cell(table, i, 5)->number);
    }
    assert_true(fabs(sum - 1) < 1e-6);
    assert_true(fabs(divergence - change_of(result, 0)) < 1e-6 && fabs(moved - change_of(result, 1)) < 1e-6);
    result_free(result);
}

/* Another prompt, place or edit file: nothing of what was kept is taken for it. */
static void what_was_kept_is_not_taken_for_another(void **state) {
    static const char set[] = ", \"set\": [\"blocks.1.hook_attn_out[pos=-1]=zero\"]";
    static const char *const prompts[] = {"\"prompt\": \"a big fig\"", "\"prompt\": \"a big fog\"",
                                          "\"ids\": \"1,2,3,4\"", "\"prompt\": \"a big fig\""};
    Result *result;
    for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++) {
        must(warm(&result, "{\"model\": \"%s\", %s%s}", model, prompts[i], set));
        same_as_run(result, prompts[i], set, 5);
        result_free(result);
    }
    must(warm(&result, "{\"model\": \"%s\", %s, \"set\": [\"blocks.0.hook_mlp_out=3\"], \"save-edit\": \"%s\"}", model,
              prompt, edit_file));
    result_free(result);
    char more[300];
    snprintf(more, sizeof more, "%s, \"edit\": [\"%s\"]", set, edit_file);
    for (int i = 0; i < 2; i++) { /* in force, and not */
        const char *with = i == 0 ? more : set;
        must(warm(&result, "{\"model\": \"%s\", %s%s}", model, prompts[0], with));
        same_as_run(result, prompts[0], with, 5);
        result_free(result);
    }
    must(warm(&result, "{\"model\": \"%s\", %s%s, \"at\": \"1\"}", model, prompts[0], ""));
    same_as_run(result, prompts[0], ", \"at\": \"1\"", 5);
    result_free(result);
}

static void the_command_gives_the_same(void **state) {
    Result *result;
    must(warm(&result, "{\"model\": \"%s\", \"prompt\": \"it's\", \"set\": [\"blocks.1.hook_mlp_out[pos=-1]=zero\"]}",
              model));
    const TextBlock *text = result_find_block(result, "command")->content;
    char expected[300];
    snprintf(expected, sizeof expected, "limn run %s -p 'it'\\''s' --set 'blocks.1.hook_mlp_out[pos=-1]=zero'", model);
    assert_string_equal(text->text.bytes, expected);
    result_free(result);
}

/* Both directions: all rows run, only layers are saved. */
static void a_masked_model_is_asked_at_its_mask(void **state) {
    Result *result, *run;
    char bert[1024];
    snprintf(bert, sizeof bert, "%s", golden_folder("bert-mlm"));
    must(warm(
        &result,
        "{\"model\": \"%s\", \"ids\": \"2,5,9,7,3\", \"at\": \"2\", \"set\": [\"blocks.1.hook_mlp_out[pos=1]=zero\"]}",
        bert));
    must(call_method(&run, "run",
                     "{\"model\": \"%s\", \"ids\": \"2,5,9,7,3\", \"at\": \"2\", "
                     "\"set\": [\"blocks.1.hook_mlp_out[pos=1]=zero\"]}",
                     bert));
    for (int32_t i = 0; i < 5; i++) {
        assert_int_equal(cell(result, "distribution", i, 1)->integer, cell(run, "top", i, 1)->integer);
        assert_true(fabs(cell(result, "distribution", i, 2)->number - cell(run, "top", i, 2)->number) < 1e-6);
    }
    assert_int_equal(check_of(result, "plain-pass")->state, CHECK_PASS);
    result_free(result);
    result_free(run);
}

static void refused(const char *more, const char *expected) {
    Result *result;
    limn_status status = warm(&result, "{\"model\": \"%s\", %s%s}", model, prompt, more);
    if (status == LIMN_OK || status_exit_code(status) != 2 || strstr(error_message(), expected) == NULL) {
        fail_msg("%s: found '%s', expected '%s'", more, status == LIMN_OK ? "no refusal" : error_message(), expected);
    }
}

static void what_is_refused_leaves_it_warm(void **state) {
    Result *result;
    refused(", \"set\": [\"blocks.9.hook_mlp_out=zero\"]", "no site matches");
    refused(", \"set\": [\"blocks.1.hook_mlp_out[pos=99]=zero\"]", "does not exist");
    refused(", \"set\": [\"blocks.1.hook_mlp_out\"]", "expected SITE");
    refused(", \"at\": \"99\"", "99");
    refused(", \"save-edit\": \"/tmp/limn-live.json\"", "no edit to save");
    refused(", \"set\": [\"blocks.1.hook_mlp_out[pos=0]=zero\"], \"save-edit\": \"/tmp/limn-live-never.json\"",
            "found pos");
    refused(", \"set\": [\"blocks.1.hook_mlp_out=zero\"], \"save-edit\": \"/tmp/limn-live.txt\"", ".json");
    assert_false(file_exists("/tmp/limn-live-never.json"));
    must(warm(&result, "{\"model\": \"%s\", %s, \"set\": [\"blocks.1.hook_mlp_out=zero\"]}", model, prompt));
    same_as_run(result, prompt, ", \"set\": [\"blocks.1.hook_mlp_out=zero\"]", 5);
    result_free(result);
    must(
        warm(&result,
             "{\"model\": \"%s\", %s, \"set\": [\"blocks.1.hook_mlp_out=1e38\", \"blocks.1.hook_mlp_out=times:1e30\"]}",
             model, prompt));
    assert_int_equal(check_of(result, "finite")->state, CHECK_FAIL); /* what left the floats is no answer */
    result_free(result);
}

static double estimated(const Result *result, const char *what) {
    const TableBlock *table = result_find_block(result, "estimate")->content;
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, what) == 0) {
            return table_cell(table, row, 1)->number;
        }
    }
    fail_msg("the estimate says nothing of %s", what);
    return NAN;
}

/* Nothing is answered; what is edited later takes less, of a pass as a whole that is the same. */
static void estimates_grow_with_what_is_edited(void **state) {
    static const char *const edits[] = {"blocks.1.hook_mlp_out[pos=-1]=0", "blocks.1.hook_mlp_out=0",
                                        "blocks.0.hook_mlp_out=0", "hook_embed=0"};
    double work = 0, pass = 0;
    for (int i = 0; i < 4; i++) {
        Result *result;
        must(call_method(&result, "live",
                         "{\"model\": \"%s\", \"prompt\": \"a cab\", \"set\": [\"%s\"], \"estimate\": true}", model,
                         edits[i]));
        assert_null(result_find_block(result, "distribution"));
        double more = estimated(result, "arithmetic of the edits"),
               whole = estimated(result, "arithmetic of a full pass");
        assert_true(i == 0 ? more > 0 : i == 1 ? more >= work : more > 1.2 * work);
        assert_true(i == 0 || whole == pass);
        assert_true(more <= 1.05 * whole);
        assert_true(estimated(result, "time of the edits once warm, about") > 0);
        assert_true(estimated(result, "memory at its peak, about") > estimated(result, "memory of weights"));
        work = more;
        pass = whole;
        result_free(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_grow_with_what_is_edited),
        cmocka_unit_test(answers_are_those_of_run),
        cmocka_unit_test(late_edits_cost_less),
        cmocka_unit_test(it_is_compared_with_what_is_named),
        cmocka_unit_test(what_was_kept_is_not_taken_for_another),
        cmocka_unit_test(the_command_gives_the_same),
        cmocka_unit_test(a_masked_model_is_asked_at_its_mask),
        cmocka_unit_test(what_is_refused_leaves_it_warm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
