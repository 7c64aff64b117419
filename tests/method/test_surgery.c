/* `surgery`: its figures are those of `predict` without and with the saved edit; an edit is chosen on other records
 * than it is judged on; others of its kind are of its kind and are not it; what cannot be asked is refused. */
#include <jansson.h>
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
#include "base/text_buffer.h"
#include "files/tensor_files.h"
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { RECORDS = 60 };

static char model[64], data[64], edit_file[64], values[64];

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    static const char *const words[] = {"a cab", "a bad bee", "big fig", "kept off", "the tip", "my job is on"};
    TextBuffer text = TEXT_BUFFER_INIT;
    make_letters_model(model);
    snprintf(data, sizeof data, "/tmp/limn-surgery-%d.jsonl", (int)getpid());
    snprintf(edit_file, sizeof edit_file, "/tmp/limn-surgery-%d.json", (int)getpid());
    snprintf(values, sizeof values, "/tmp/limn-surgery-%d.safetensors", (int)getpid());
    for (int i = 0; i < RECORDS; i++) {
        text_buffer_printf(&text, "{\"id\": \"r%d\", \"text\": \"%s %c\", \"y\": \"%s\", \"f\": %s, \"h\": %d}\n", i,
                           words[i % 6], 'a' + i % 26, i % 3 == 0 ? "e" : "t", i % 4 == 0 ? "true" : "false", i % 2);
    }
    must(file_write_atomic(data, text.data, text.length));
    text_buffer_free(&text);
    return 0;
}

static int tear_down(void **state) {
    remove_letters_model(model);
    unlink(data);
    unlink(edit_file);
    unlink(values);
    return 0;
}

#define BASICS                                                                                                         \
    "\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"label-field\": \"y\", \"choices\": \"e,t\""

static double cell(const TableBlock *table, int32_t row, int32_t column) {
    const Value *value = table_cell(table, row, column);
    return value->kind == VALUE_INTEGER ? (double)value->integer
           : value->kind == VALUE_NULL  ? (double)NAN
                                        : value->number;
}

/* A cell of before-after by its scope and measure: 2 n, 3 before, 4 after, 5 difference, 6 low, 7 high, 8 p. */
static double figure(const Result *result, const char *scope, const char *measure, int column) {
    const TableBlock *table = table_of(result, "before-after");
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, scope) == 0 &&
            strcmp(table_cell(table, row, 1)->text.bytes, measure) == 0) {
            return cell(table, row, column);
        }
    }
    fail_msg("there is no row %s, %s", scope, measure);
    return NAN;
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

/* Accuracy, false and missed alarms as predict counts them; more: further parameters. */
static void predict_says(double out[3], const char *more) {
    Result *result;
    must(call_method(&result, "predict", "{" BASICS "%s}", model, data, more));
    const MatrixBlock *confusion = result_find_block(result, "confusion")->content;
    const double *c = confusion->values; /* label by decision: e, t */
    out[0] = (c[0] + c[3]) / (c[0] + c[1] + c[2] + c[3]);
    out[1] = c[2] / (c[2] + c[3]);
    out[2] = c[1] / (c[0] + c[1]);
    result_free(result);
}

static void figures_are_those_of_predict(void **state) {
    static const char *const edits[] = {
        "blocks.1.hook_mlp_out=zero", "blocks.0.hook_resid_post=copy:blocks.0.hook_resid_pre",
        "blocks.1.attn.hook_z[head=2]=zero", "blocks.*.mlp.hook_post[neuron=5]=times:-3"};
    static const char *const measures[] = {"accuracy", "false alarms", "missed alarms"};
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        Result *result;
        char more[256];
        double before[3], after[3];
        must(call_method(&result, "surgery",
                         "{" BASICS ", \"set\": [\"%s\"], \"no-controls\": true, \"save-edit\": \"%s\"}", model, data,
                         edits[i], edit_file));
        predict_says(before, "");
        snprintf(more, sizeof more, ", \"edit\": [\"%s\"]", edit_file);
        predict_says(after, more);
        for (int m = 0; m < 3; m++) {
            assert_true(fabs(figure(result, "all", measures[m], 3) - before[m]) < 1e-12);
            assert_true(fabs(figure(result, "all", measures[m], 4) - after[m]) < 1e-12);
            assert_true(fabs(figure(result, "all", measures[m], 5) - (after[m] - before[m])) < 1e-12);
            assert_true(figure(result, "all", measures[m], 6) <= figure(result, "all", measures[m], 5));
            assert_true(figure(result, "all", measures[m], 7) >= figure(result, "all", measures[m], 5));
        }
        assert_true(figure(result, "all", "loss", 3) != figure(result, "all", "loss", 4));
        assert_int_equal((int)figure(result, "all", "accuracy", 2), RECORDS);
        assert_int_equal(check_of(result, "acts")->state, CHECK_PASS);
        result_free(result);
        unlink(edit_file);
    }
}

static void what_changes_nothing_is_said_to(void **state) {
    Result *result;
    must(call_method(&result, "surgery",
                     "{" BASICS ", \"set\": [\"blocks.1.hook_mlp_out=times:1\"], \"no-controls\": true}", model, data));
    assert_int_equal(check_of(result, "acts")->state, CHECK_FAIL);
    assert_true(figure(result, "all", "accuracy", 5) == 0 && figure(result, "all", "accuracy", 8) == 1);
    result_free(result);
}

static void focus_and_others_make_the_whole(void **state) {
    Result *result;
    must(call_method(&result, "surgery",
                     "{" BASICS
                     ", \"set\": [\"blocks.0.hook_attn_out=zero\"], \"focus\": \"f == true\", \"alarm\": \"t\", "
                     "\"aim\": \"false-alarms\"}",
                     model, data));
    for (int column = 3; column <= 4; column++) {
        double n_focus = figure(result, "focus", "accuracy", 2), n_rest = figure(result, "others", "accuracy", 2);
        assert_true(n_focus == RECORDS / 4 && n_rest == RECORDS - RECORDS / 4);
        double sum = n_focus * figure(result, "focus", "accuracy", column) +
                     n_rest * figure(result, "others", "accuracy", column);
        assert_true(fabs(sum / RECORDS - figure(result, "all", "accuracy", column)) < 1e-12);
    }
    assert_int_equal((int)figure(result, "all", "false alarms", 2), 20); /* those labelled e, now that t is the alarm */
    /* gain and cost by their meaning */
    const TableBlock *controls = table_of(result, "controls");
    assert_true(fabs(cell(controls, 0, 1) + figure(result, "focus", "false alarms", 5)) < 1e-12);
    assert_true(fabs(cell(controls, 0, 2) + figure(result, "others", "accuracy", 5)) < 1e-12);
    assert_true(fabs(cell(controls, 0, 3) - (cell(controls, 0, 1) - cell(controls, 0, 2))) < 1e-12);
    result_free(result);
}

/* Two layers: one other block, whose own figures are those of an operation of its own. */
static void a_block_is_held_against_every_other(void **state) {
    Result *result, *other;
    must(call_method(&result, "surgery", "{" BASICS ", \"set\": [\"blocks.0.hook_mlp_out=zero\"]}", model, data));
    must(call_method(&other, "surgery",
                     "{" BASICS ", \"set\": [\"blocks.1.hook_mlp_out=zero\"], \"no-controls\": true}", model, data));
    const TableBlock *controls = table_of(result, "controls");
    assert_int_equal(controls->n_rows, 2);
    assert_string_equal(table_cell(controls, 1, 0)->text.bytes, "blocks.1.hook_mlp_out=zero");
    assert_true(cell(controls, 1, 5) == figure(other, "all", "accuracy", 4));
    const ResultCheck *check = check_of(result, "controls");
    assert_true(check->state == CHECK_INCONCLUSIVE); /* of one other nothing can be decided */
    bool as_good = cell(controls, 1, 3) >= cell(controls, 0, 3);
    assert_true(check->value == (as_good ? 1.0 : 0.5));
    result_free(result);
    result_free(other);
}

static bool in_table(const TableBlock *table, const char *text) {
    for (int32_t row = 1; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, text) == 0) {
            return true;
        }
    }
    return false;
}

/* Heads of the same layer, as many of them, each set once and never the edit itself. */
static void sets_of_heads_are_of_the_same_layer(void **state) {
    Result *result;
    must(call_method(&result, "surgery",
                     "{" BASICS
                     ", \"set\": [\"blocks.1.attn.hook_z[head=0]=zero\", \"blocks.1.attn.hook_z[head=3]=zero\"], "
                     "\"limit\": 6}",
                     model, data));
    const TableBlock *controls = table_of(result, "controls");
    const char *own = table_cell(controls, 0, 0)->text.bytes;
    assert_true(controls->n_rows > 6);
    for (int32_t row = 1; row < controls->n_rows; row++) {
        int a, b, end = 0;
        const char *text = table_cell(controls, row, 0)->text.bytes;
        int read =
            sscanf(text, "blocks.1.attn.hook_z[head=%d]=zero blocks.1.attn.hook_z[head=%d]=zero%n", &a, &b, &end);
        assert_true(read == 2 && text[end] == '\0');
        assert_true(a != b && a >= 0 && b >= 0 && a < 4 && b < 4);
        assert_string_not_equal(text, own);
        for (int32_t k = 1; k < row; k++) {
            assert_string_not_equal(text, table_cell(controls, k, 0)->text.bytes);
        }
    }
    result_free(result);
}

/* What joins kept runs decides as passes of its own do, whatever is edited: each other set, operated by itself. */
static void others_are_what_they_are_alone(void **state) {
    static const char *const edits[] = {"\"blocks.1.attn.hook_z[head=2]=zero\"",
                                        "\"blocks.1.mlp.hook_post[neuron=1]=zero\", "
                                        "\"blocks.1.mlp.hook_post[neuron=5]=times:-3\""};
    for (size_t e = 0; e < sizeof edits / sizeof edits[0]; e++) {
        Result *all;
        must(call_method(&all, "surgery", "{" BASICS ", \"set\": [%s], \"draws\": 8, \"focus\": \"f == true\"}", model,
                         data, edits[e]));
        const ResultCheck *plain = check_of(all, "plain pass"); /* they did join */
        assert_true(plain->state == CHECK_PASS && plain->value <= 1e-5);
        const TableBlock *controls = table_of(all, "controls");
        assert_true(controls->n_rows >= 3);
        for (int32_t row = 1; row < controls->n_rows; row++) {
            Result *alone;
            json_t *set = json_array();
            for (const char *at = table_cell(controls, row, 0)->text.bytes; *at != '\0';) {
                size_t length = strcspn(at, " ");
                json_array_append_new(set, json_stringn(at, length));
                at += length + (at[length] == ' ');
            }
            char *written = json_dumps(set, 0);
            must(call_method(&alone, "surgery",
                             "{" BASICS ", \"set\": %s, \"no-controls\": true, \"focus\": \"f == true\"}", model, data,
                             written));
            assert_true(fabs(cell(controls, row, 1) - figure(alone, "focus", "accuracy", 5)) < 1e-12);
            assert_true(fabs(cell(controls, row, 2) + figure(alone, "others", "accuracy", 5)) < 1e-12);
            assert_true(cell(controls, row, 5) == figure(alone, "all", "accuracy", 4));
            free(written);
            json_decref(set);
            result_free(alone);
        }
        result_free(all);
    }
}

static void neurons_stay_in_their_layer(void **state) {
    Result *result;
    must(call_method(&result, "surgery",
                     "{" BASICS ", \"set\": [\"blocks.0.mlp.hook_post[neuron=3]=zero\"], \"limit\": 4, \"draws\": 9}",
                     model, data));
    const TableBlock *controls = table_of(result, "controls");
    assert_int_equal(controls->n_rows, 10);
    for (int32_t row = 1; row < controls->n_rows; row++) {
        assert_int_equal(strncmp(table_cell(controls, row, 0)->text.bytes, "blocks.0.mlp.hook_post[neuron=", 30), 0);
    }
    assert_false(in_table(controls, "blocks.0.mlp.hook_post[neuron=3]=zero"));
    result_free(result);
}

/* Where the site's values vary along one line only, every draw is that line: erasing it does what the edit does. */
static void directions_are_drawn_as_the_values_vary(void **state) {
    Result *result;
    float line[64];
    const Tensor *x;
    TensorFiles *files;
    must(call_method(&result, "run",
                     "{\"model\": \"%s\", \"prompt\": \"ab\", \"save\": [\"blocks.1.hook_resid_pre\"], "
                     "\"values\": \"%s\"}",
                     model, values));
    result_free(result);
    must(tensor_files_open(&files, values));
    x = tensor_files_find(files, "blocks.1.hook_resid_pre");
    assert_true(x->shape[0] == 2 && x->shape[1] <= 64);
    int64_t width = x->shape[1];
    for (int64_t i = 0; i < width; i++) {
        line[i] = ((const float *)x->data)[i] - ((const float *)x->data)[width + i];
    }
    tensor_files_close(files);
    const Tensor tensor = {.name = "line",
                           .dtype = DTYPE_F32,
                           .rank = 1,
                           .shape = {width},
                           .data = line,
                           .bytes = (size_t)width * sizeof(float)};
    must(safetensors_write(values, &tensor, 1, NULL, 0));
    char one[80];
    snprintf(one, sizeof one, "/tmp/limn-surgery-one-%d.jsonl", (int)getpid());
    must(file_write_atomic(one, "{\"text\": \"ab\", \"y\": \"t\"}\n", 25));
    must(call_method(&result, "surgery",
                     "{" BASICS
                     ", \"set\": [\"blocks.1.hook_resid_pre=erase:%s:line\"], \"draws\": 5, \"aim\": \"loss\"}",
                     model, one, values));
    const TableBlock *controls = table_of(result, "controls");
    assert_int_equal(controls->n_rows, 6);
    for (int32_t row = 1; row < controls->n_rows; row++) {
        assert_true(fabs(cell(controls, row, 1) - cell(controls, 0, 1)) < 1e-4);
    }
    assert_true(fabs(cell(controls, 0, 1)) > 0.01);
    result_free(result);
    unlink(one);
}

static void the_edit_is_chosen_on_other_records(void **state) {
    Result *result, *alone;
    must(call_method(&result, "surgery",
                     "{" BASICS
                     ", \"choose\": \"head\", \"choose-on\": \"h == 1\", \"count\": 2, \"save-edit\": \"%s\"}",
                     model, data, edit_file));
    const TableBlock *candidates = table_of(result, "candidates");
    assert_int_equal(candidates->n_rows, 8); /* 2 layers of 4 heads */
    assert_int_equal((int)figure(result, "all", "accuracy", 2), RECORDS / 2);
    for (int32_t row = 0; row < candidates->n_rows; row++) {
        assert_true(row == 0 || cell(candidates, row, 3) <= cell(candidates, row - 1, 3));
        assert_true(table_cell(candidates, row, 6)->boolean == (row < 2));
        must(call_method(&alone, "surgery",
                         "{" BASICS ", \"set\": [\"%s\"], \"where\": \"h == 1\", \"no-controls\": true}", model, data,
                         table_cell(candidates, row, 0)->text.bytes));
        assert_true(fabs(cell(candidates, row, 1) - figure(alone, "all", "accuracy", 5)) < 1e-12);
        result_free(alone);
    }
    /* the judged figures are those of the two together, on the other half */
    must(call_method(&alone, "surgery",
                     "{" BASICS ", \"set\": [\"%s\", \"%s\"], \"where\": \"h == 0\", \"no-controls\": true}", model,
                     data, table_cell(candidates, 0, 0)->text.bytes, table_cell(candidates, 1, 0)->text.bytes));
    assert_true(figure(alone, "all", "loss", 4) == figure(result, "all", "loss", 4));
    result_free(alone);
    result_free(result);
}

/* Without a filter a half by the records' bytes: the same whatever their order is. */
static void halves_hold_whatever_the_order(void **state) {
    Result *result;
    char turned[80];
    TextBuffer text = TEXT_BUFFER_INIT;
    char *bytes;
    size_t length;
    double n[2], loss[2];
    must(file_read(&bytes, &length, data, 1 << 20));
    for (size_t end = length; end > 0;) {
        size_t begin = end - 1;
        while (begin > 0 && bytes[begin - 1] != '\n') {
            begin--;
        }
        text_buffer_add_bytes(&text, bytes + begin, end - begin);
        end = begin;
    }
    snprintf(turned, sizeof turned, "/tmp/limn-surgery-turned-%d.jsonl", (int)getpid());
    must(file_write_atomic(turned, text.data, text.length));
    for (int i = 0; i < 2; i++) {
        must(call_method(&result, "surgery", "{" BASICS ", \"choose\": \"mlp\", \"no-controls\": true}", model,
                         i == 0 ? data : turned));
        n[i] = figure(result, "all", "accuracy", 2);
        loss[i] = figure(result, "all", "loss", 4);
        result_free(result);
    }
    assert_true(n[0] == n[1] && n[0] > RECORDS / 4 && n[0] < 3 * RECORDS / 4);
    assert_true(fabs(loss[0] - loss[1]) < 1e-6);
    free(bytes);
    text_buffer_free(&text);
    unlink(turned);
}

/* An edit file in force is the model that is operated on. */
static void edits_in_force_stay_in_force(void **state) {
    Result *result, *both;
    must(call_method(&result, "surgery",
                     "{" BASICS ", \"set\": [\"blocks.0.hook_mlp_out=zero\"], \"no-controls\": true, "
                     "\"save-edit\": \"%s\"}",
                     model, data, edit_file));
    must(call_method(&both, "surgery",
                     "{" BASICS ", \"set\": [\"blocks.1.hook_mlp_out=zero\"], \"no-controls\": true, "
                     "\"edit\": [\"%s\"]}",
                     model, data, edit_file));
    assert_true(figure(both, "all", "loss", 3) == figure(result, "all", "loss", 4));
    result_free(result);
    must(call_method(&result, "surgery",
                     "{" BASICS ", \"set\": [\"blocks.0.hook_mlp_out=zero\", "
                     "\"blocks.1.hook_mlp_out=zero\"], \"no-controls\": true}",
                     model, data));
    assert_true(figure(both, "all", "loss", 4) == figure(result, "all", "loss", 4));
    result_free(result);
    result_free(both);
    unlink(edit_file);
}

static double estimated(const Result *result, const char *what) {
    const TableBlock *table = table_of(result, "estimate");
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, what) == 0) {
            return cell(table, row, 1);
        }
    }
    fail_msg("the estimate says nothing of %s", what);
    return NAN;
}

/* The records and the other edits are those of the run itself; nothing is judged or written. */
static void an_estimate_counts_what_is_run(void **state) {
    static const struct {
        const char *more;
        int chosen, judged;
    } rows[] = {{", \"choose\": \"head\", \"choose-on\": \"h == 1\", \"count\": 2", RECORDS / 2, RECORDS / 2},
                {", \"set\": [\"blocks.0.attn.hook_z[head=1]=0\"]", 0, RECORDS},
                {", \"set\": [\"blocks.0.attn.hook_z[head=1]=0\"], \"no-controls\": true", 0, RECORDS}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Result *result, *run;
        must(call_method(&result, "surgery", "{" BASICS "%s, \"estimate\": true, \"save-edit\": \"%s\"}", model, data,
                         rows[i].more, edit_file));
        must(call_method(&run, "surgery", "{" BASICS "%s}", model, data, rows[i].more));
        assert_true(estimated(result, "records to choose on") == rows[i].chosen);
        assert_true(estimated(result, "records to judge on") == rows[i].judged);
        const Block *controls = result_find_block(run, "controls");
        int32_t others = controls == NULL ? 0 : ((const TableBlock *)controls->content)->n_rows - 1;
        double expected = estimated(result, "others of its kind");
        assert_true(i == 0 ? expected > 0 : expected == others); /* of what is yet to be chosen: others of the first */
        assert_true(estimated(result, "time, about") > 0 && estimated(result, "time, about") < 100);
        assert_null(result_find_block(result, "before-after"));
        assert_int_not_equal(access(edit_file, F_OK), 0);
        result_free(result);
        result_free(run);
    }
}

static void refused(const char *more, const char *expected) {
    Result *result;
    limn_status status = call_method(&result, "surgery", "{" BASICS "%s}", model, data, more);
    if (status == LIMN_OK || status_exit_code(status) != 2 || strstr(error_message(), expected) == NULL) {
        fail_msg("%s: found '%s', expected '%s'", more, status == LIMN_OK ? "no refusal" : error_message(), expected);
    }
}

static void what_cannot_be_asked_is_refused(void **state) {
    refused("", "Give --set EDIT, or --choose");
    refused(", \"set\": [\"blocks.0.hook_mlp_out=zero\"], \"choose\": \"mlp\"", "give one");
    refused(", \"set\": [\"blocks.7.hook_mlp_out=zero\"]", "no site matches");
    refused(", \"set\": [\"blocks.0.hook_mlp_out[pos=0]=zero\"]", "found pos");
    refused(", \"set\": [\"blocks.0.attn.hook_pattern=zero\"]", "an element for each key");
    refused(", \"set\": [\"blocks.0.hook_mlp_out=zero\"], \"focus\": \"f == 3\"", "holds for no record");
    refused(", \"set\": [\"blocks.0.hook_mlp_out=zero\"], \"focus\": \"g == 3\"", "has the field 'g'");
    refused(", \"set\": [\"blocks.0.hook_mlp_out=zero\"], \"choose-on\": \"h == 1\"", "goes with --choose");
    refused(", \"set\": [\"blocks.0.hook_mlp_out=zero\"], \"alarm\": \"x\"", "expected one of the choices");
    refused(", \"set\": [\"blocks.0.hook_mlp_out=zero\"], \"note\": \"x\"", "goes with --save-edit");
    refused(", \"choose\": \"mlp\", \"choose-on\": \"h < 5\"", "no record is left to judge");
    refused(", \"choose\": \"mlp\", \"choose-on\": \"h > 5\"", "no record is left to choose");
    refused(", \"choose\": \"mlp\", \"count\": 3", "has 2 to choose among");
    refused(", \"label-field\": \"text\", \"set\": [\"blocks.0.hook_mlp_out=zero\"]", "is none of");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_predict),
        cmocka_unit_test(what_changes_nothing_is_said_to),
        cmocka_unit_test(focus_and_others_make_the_whole),
        cmocka_unit_test(a_block_is_held_against_every_other),
        cmocka_unit_test(sets_of_heads_are_of_the_same_layer),
        cmocka_unit_test(others_are_what_they_are_alone),
        cmocka_unit_test(neurons_stay_in_their_layer),
        cmocka_unit_test(directions_are_drawn_as_the_values_vary),
        cmocka_unit_test(the_edit_is_chosen_on_other_records),
        cmocka_unit_test(halves_hold_whatever_the_order),
        cmocka_unit_test(edits_in_force_stay_in_force),
        cmocka_unit_test(an_estimate_counts_what_is_run),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
