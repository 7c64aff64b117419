/* `predict`: choices scored as `run` scores targets, whatever the batch; files that can be gone on with; measures as
 * scikit-learn and SciPy give them. */
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
#include "files/json.h"
#include "measure/metrics.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

typedef struct Fixture {
    char letters[64];
    char data[64];
    char out[64];
} Fixture;

static const char records[] = "{\"text\": \"a cab\", \"label\": \"de\", \"lang\": \"x\"}\n"
                              "{\"text\": \"a cab a bad\", \"label\": \"f\", \"lang\": \"y\", \"id\": \"second\"}\n"
                              "{\"text\": \"a\", \"label\": \"ghi\", \"lang\": \"x\"}\n"
                              "{\"text\": \"a cabbage for a dad\", \"label\": null, \"lang\": \"y\"}\n"
                              "{\"text\": \"a cab is\", \"label\": \"f\", \"lang\": \"x\"}\n";
enum { RECORDS = 5 };

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    static Fixture fixture;
    make_letters_model(fixture.letters);
    snprintf(fixture.data, sizeof fixture.data, "/tmp/limn-predict-%d.jsonl", (int)getpid());
    snprintf(fixture.out, sizeof fixture.out, "/tmp/limn-predict-%d-out.jsonl", (int)getpid());
    must(file_write_atomic(fixture.data, records, sizeof records - 1));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const Fixture *fixture = *state;
    remove_letters_model(fixture->letters);
    unlink(fixture->data);
    unlink(fixture->out);
    return 0;
}

/* With the fixture's data and choices de, f and ghi; `more` begins with a comma or is empty. */
static limn_status predict(Result **result, const Fixture *fixture, const char *more) {
    return call_method(result, "predict",
                       "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f,ghi\", "
                       "\"label-field\": \"label\", \"group-field\": \"lang\"%s}",
                       fixture->letters, fixture->data, more);
}

static char *out_text(const Fixture *fixture) {
    char *bytes;
    size_t length;
    must(file_read(&bytes, &length, fixture->out, 1 << 20));
    return bytes;
}

static char *predicted(const Fixture *fixture, const char *more) {
    Result *result;
    char with_output[512];
    snprintf(with_output, sizeof with_output, ", \"output\": \"%s\"%s", fixture->out, more);
    unlink(fixture->out);
    must(predict(&result, fixture, with_output));
    assert_true(result_passed(result));
    result_free(result);
    return out_text(fixture);
}

static json_t *line_of(const char *text, int line) {
    for (int i = 0; i < line; i++) {
        text = strchr(text, '\n') + 1;
    }
    json_t *json = json_loadb(text, (size_t)(strchr(text, '\n') - text), 0, NULL);
    assert_non_null(json);
    return json;
}

static double number(const json_t *object, const char *key, const char *name) {
    const json_t *value = json_object_get(json_object_get(object, key), name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void assert_near(double found, double expected, double tolerance, const char *what) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("%s: %.12g, expected %.12g", what, found, expected);
    }
}

/* ---- scores ---- */

static void check_scores(const Fixture *fixture) {
    static const char *const texts[] = {"a cab", "a cab a bad", "a", "a cabbage for a dad", "a cab is"};
    static const char *const choices[] = {"de", "f", "ghi"};
    char *text = predicted(fixture, "");
    for (int i = 0; i < RECORDS; i++) {
        json_t *line = line_of(text, i);
        assert_int_equal(json_integer_value(json_object_get(line, "record")), i);
        assert_string_equal(json_string_value(json_object_get(line, "prompt")), texts[i]);
        double sum = 0;
        double best = -INFINITY;
        const char *chosen = "";
        for (int c = 0; c < 3; c++) {
            Result *run;
            must(call_method(&run, "run",
                             "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"%s\", \"backend\": \"ref\"}",
                             fixture->letters, texts[i], choices[c]));
            double found = number(line, "log_probabilities", choices[c]);
            if (fabs(found - run->target.log_probability) > 1e-4) {
                fail_msg("record %d, '%s': %g, run says %g", i, choices[c], found, run->target.log_probability);
            }
            sum += exp(found);
            if (found > best) {
                best = found;
                chosen = choices[c];
            }
            result_free(run);
        }
        assert_string_equal(json_string_value(json_object_get(line, "pred")), chosen);
        for (int c = 0; c < 3; c++) {
            double share = exp(number(line, "log_probabilities", choices[c])) / sum;
            assert_true(fabs(number(line, "probabilities", choices[c]) - share) < 1e-12);
        }
        json_decref(line);
    }
    free(text);
}

static void scores_are_those_of_run(void **state) {
    check_scores(*state);
}

/* The same of a model whose rotary frequencies change with a text's length, here beyond six tokens: some prompts are
 * longer than that, some only with their choice. */
static void scores_are_those_of_run_at_every_length(void **state) {
    Fixture fixture = *(const Fixture *)*state;
    make_letters_model(fixture.letters);
    char path[128];
    snprintf(path, sizeof path, "%s/config.json", fixture.letters);
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    json_object_set_new(config, "max_position_embeddings", json_integer(6));
    json_object_set_new(config, "rope_scaling", json_pack("{s:s, s:f}", "type", "dynamic", "factor", 8.0));
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
    check_scores(&fixture);
    remove_letters_model(fixture.letters);
}

static void batches_and_threads_do_not_show(void **state) {
    const Fixture *fixture = *state;
    static const char *const ways[] = {", \"batch\": 1", ", \"batch\": 2", ", \"batch\": 3, \"threads\": 2",
                                       ", \"threads\": 1"};
    char *text = predicted(fixture, "");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char *other = predicted(fixture, ways[i]);
        assert_string_equal(other, text);
        free(other);
    }
    free(text);
}

static void a_shared_head_does_not_show(void **state) {
    const Fixture *fixture = *state;
    Result *one;
    Result *many;
    /* 'ab ab ab ab ' before each text: a head of a dozen tokens for all records, none for a single one */
    must(predict(&many, fixture, ""));
    result_free(many);
    const char *form = "{\"model\": \"%s\", \"data\": \"%s\", \"template\": \"ab ab ab ab {text}\", "
                       "\"choices\": [\"de\", \"f\"], \"output\": \"%s\"%s}";
    unlink(fixture->out);
    must(call_method(&many, "predict", form, fixture->letters, fixture->data, fixture->out, ""));
    char *text = out_text(fixture);
    unlink(fixture->out);
    must(call_method(&one, "predict", form, fixture->letters, fixture->data, fixture->out, ", \"batch\": 1"));
    char *other = out_text(fixture);
    assert_string_equal(text, other);
    free(text);
    free(other);
    result_free(one);
    result_free(many);
}

/* Too small a limit is refused with the figure that is enough; with that, and with as little as possible, the decisions
 * are the same. */
static void memory_changes_no_decision(void **state) {
    const Fixture *fixture = *state;
    char *text = predicted(fixture, ""), memory[96] = ", \"memory\": \"1K\"", figure[32];
    int refused = 0;
    Result *result;
    unlink(fixture->out);
    while (predict(&result, fixture, memory) != LIMN_OK) {
        assert_true(++refused < 4); /* a batch, a prompt, its choices: each may name its own */
        const char *needed = strstr(error_message(), " need ");
        assert_non_null(needed);
        assert_int_equal(sscanf(needed, " need %31s", figure), 1);
        snprintf(memory, sizeof memory, ", \"memory\": \"%s\"", figure);
    }
    result_free(result);
    assert_true(refused > 0);
    print_message("predict: refused %d times, enough: %s\n", refused, figure);
    const char *const ways[] = {memory, ", \"memory\": \"1G\"", ", \"memory\": \"min\""};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char *other = predicted(fixture, ways[i]);
        assert_string_equal(other, text);
        free(other);
    }
    free(text);
}

static void a_classifier_has_its_classes(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    static const char *const names[] = {"bert-classifier", "llama-classifier"};
    (void)fixture;
    for (int i = 0; i < 2; i++) { /* these have no tokenizer: refused by name, after the choices were */
        assert_int_equal(call_method(&result, "predict",
                                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\"}",
                                     golden_folder(names[i]), fixture->data),
                         LIMN_NOT_FOUND);
        assert_non_null(strstr(error_message(), "no tokenizer"));
        assert_int_equal(call_method(&result, "predict",
                                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", "
                                     "\"choices\": \"a,b\"}",
                                     golden_folder(names[i]), fixture->data),
                         LIMN_USAGE);
        assert_non_null(strstr(error_message(), "its classes are the choices"));
    }
}

/* ---- files ---- */

static void a_cut_file_is_gone_on_with(void **state) {
    const Fixture *fixture = *state;
    char *text = predicted(fixture, "");
    size_t length = strlen(text);
    Result *whole;
    char output[128];
    snprintf(output, sizeof output, ", \"output\": \"%s\"", fixture->out);
    unlink(fixture->out);
    must(predict(&whole, fixture, output));
    for (size_t cut = 0; cut <= length; cut += cut % 3 == 0 ? 97 : 131) {
        must(file_write_atomic(fixture->out, text, cut));
        Result *result;
        must(predict(&result, fixture, output));
        char *again = out_text(fixture);
        assert_string_equal(again, text);
        free(again);
        /* and the document is that of one run */
        Comparison comparison;
        must(result_compare(&comparison, whole, result, (Tolerance){0, 0}));
        assert_true(comparison.same_bytes);
        comparison_free(&comparison);
        result_free(result);
    }
    result_free(whole);
    free(text);
}

static void refuse_to_go_on(const Fixture *fixture, const char *more, const char *word) {
    char *before = out_text(fixture);
    char output[512];
    Result *result;
    snprintf(output, sizeof output, ", \"output\": \"%s\"%s", fixture->out, more);
    limn_status status = predict(&result, fixture, output);
    if (status != LIMN_USAGE || strstr(error_message(), word) == NULL) {
        fail_msg("%s: %d %s", more, (int)status, error_message());
    }
    char *after = out_text(fixture);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void other_settings_and_data_are_refused(void **state) {
    const Fixture *fixture = *state;
    char *text = predicted(fixture, "");
    refuse_to_go_on(fixture, ", \"choices\": \"de,f\"", "other choices");
    refuse_to_go_on(fixture, ", \"backend\": \"ref\"", "number type, backend");
    refuse_to_go_on(fixture, ", \"bos\": \"no\"", "other prompts");
    refuse_to_go_on(fixture, ", \"limit\": 3", "more records than there are");
    refuse_to_go_on(fixture, ", \"where\": \"lang == 'y'\"", "line 1: is about record 0");
    static const char other[] = "{\"some\": \"thing\"}\n";
    must(file_write_atomic(fixture->out, other, sizeof other - 1));
    refuse_to_go_on(fixture, "", "line 1: is not a prediction");
    must(file_write_atomic(fixture->out, "precious", 8)); /* no whole line */
    refuse_to_go_on(fixture, "", "is not a prediction");
    Result *result;
    char output[160];
    snprintf(output, sizeof output, ", \"output\": \"%s\"", fixture->data); /* the data itself */
    assert_int_equal(predict(&result, fixture, output), LIMN_USAGE);
    free(text);
}

static void what_came_out_is_a_data_set(void **state) {
    const Fixture *fixture = *state;
    char *text = predicted(fixture, "");
    int wrong = 0;
    for (int i = 0; i < RECORDS; i++) {
        json_t *line = line_of(text, i);
        const char *label = json_string_value(json_object_get(line, "label"));
        wrong += label != NULL && strcmp(label, json_string_value(json_object_get(line, "pred"))) != 0;
        json_decref(line);
    }
    assert_in_range(wrong, 1, 4);
    Result *result;
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"prompt\", \"choices\": \"de,f,ghi\", "
                     "\"label-field\": \"label\", \"where\": \"label != pred and label != null\"}",
                     fixture->letters, fixture->out));
    const TableBlock *mistakes = result_find_block(result, "mistakes")->content;
    assert_int_equal(mistakes->n_rows, wrong);
    assert_non_null(strstr(result->headline.bytes, "0.0% of"));
    result_free(result);
    free(text);
}

/* ---- what is refused ---- */

static void mistakes_of_use_are_refused(void **state) {
    const Fixture *fixture = *state;
    static const struct {
        const char *more, *word;
        limn_status status;
    } cases[] = {
        {", \"choices\": \"de\"", "1 choices", LIMN_USAGE},
        {", \"choices\": \"de,,f\"", "number 2 is empty", LIMN_USAGE},
        {", \"choices\": \"de, de\"", "numbers 1 and 2 are the same", LIMN_USAGE},
        {", \"choices\": \"f,x\"", "line 1: the label 'de' is none of f, x", LIMN_USAGE},
        {", \"labels\": \"a,b\"", "--labels names 2, there are 3", LIMN_USAGE},
        {", \"choices\": [\"f\", \"c\"], \"labels\": \"de,f\", \"prompt-field\": \"no\"", "'no' is not there",
         LIMN_NOT_FOUND},
        {", \"label-field\": \"lable\"", "line 1: the field 'lable' is not there", LIMN_NOT_FOUND},
        {", \"template\": \"x {text}\"", "give one", LIMN_USAGE},
        {", \"data\": \"/tmp/none-such.csv\"", "none-such.csv", LIMN_NOT_FOUND},
        {", \"where\": \"lang ==\"", "ends where", LIMN_USAGE},
        {", \"decisions\": \"/tmp/report.html\"", "ends in .jsonl", LIMN_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result;
        limn_status status = predict(&result, fixture, cases[i].more);
        if (status != cases[i].status || strstr(error_message(), cases[i].word) == NULL) {
            fail_msg("%s: %d %s", cases[i].more, (int)status, error_message());
        }
    }
    /* b and c are one token in this vocabulary */
    Result *result;
    assert_int_equal(predict(&result, fixture, ", \"choices\": \"de,c\", \"where\": \"label == 'de'\""), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "line 1: the choice 'c' joins"));
}

/* ---- a trained model ---- */

/* Against transformers (tests/oracle/predict/agreement.py), choices of one token and of several; skips when the model
 * is not there. */
static void smollm2_decides_as_the_reference(void **state) {
    const Fixture *fixture = *state;
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char model[1024];
    snprintf(model, sizeof model, "%s%s/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
             cache != NULL  ? cache
             : home != NULL ? home
                            : "",
             cache != NULL ? "" : "/.cache");
    if (!file_exists(model)) {
        print_message("skipped: %s is not there (scripts/models smollm2)\n", model);
        skip();
    }
    json_t *golden;
    char path[1200];
    snprintf(path, sizeof path, "%s/smollm2.json", golden_folder("predict"));
    must(json_file_load(&golden, path, 1 << 20));
    const json_t *prompts = json_object_get(golden, "prompts");
    const json_t *choices = json_object_get(golden, "choices");
    TextBuffer data = TEXT_BUFFER_INIT;
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        json_t *record = json_pack("{s:O}", "prompt", json_array_get(prompts, i));
        char *line = json_dumps(record, JSON_COMPACT);
        text_buffer_printf(&data, "%s\n", line);
        free(line);
        json_decref(record);
    }
    snprintf(path, sizeof path, "%s.prompts.jsonl", fixture->data);
    must(file_write_atomic(path, data.data, data.length));
    text_buffer_free(&data);
    char *list = json_dumps(choices, JSON_COMPACT);
    Result *result;
    unlink(fixture->out);
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"prompt\", \"choices\": %s, "
                     "\"output\": \"%s\"}",
                     model, path, list, fixture->out));
    assert_true(result_passed(result));
    result_free(result);
    free(list);
    unlink(path);
    char *text = out_text(fixture);
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        json_t *line = line_of(text, (int)i);
        const json_t *row = json_array_get(json_object_get(golden, "log_probabilities"), i);
        for (size_t c = 0; c < json_array_size(choices); c++) {
            const char *name = json_string_value(json_array_get(choices, c)) + 1; /* without its space */
            double expected = json_number_value(json_array_get(row, c));
            assert_near(number(line, "log_probabilities", name), expected, 5e-4, name);
        }
        json_decref(line);
    }
    free(text);
    json_decref(golden);
}

/* ---- measures ---- */

static const Value *cell(const Result *result, const char *block, int row, int column) {
    return table_cell(result_find_block(result, block)->content, row, column);
}

static void groups_and_labels_are_counted(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    must(predict(&result, fixture, ", \"labels\": \"ghi,f,de\""));
    const MatrixBlock *confusion = result_find_block(result, "confusion")->content;
    double labelled[3] = {0};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            labelled[i] += confusion->values[i * 3 + k];
        }
    }
    assert_true(labelled[0] == 1 && labelled[1] == 2 && labelled[2] == 1);
    assert_string_equal(cell(result, "groups", 0, 0)->text.bytes, "x");
    assert_int_equal(cell(result, "groups", 0, 1)->integer, 3);
    assert_string_equal(cell(result, "groups", 1, 0)->text.bytes, "y");
    assert_int_equal(cell(result, "groups", 1, 1)->integer, 2);
    assert_int_equal(result->n_warnings, 1); /* one record has no label */
    assert_non_null(strstr(result->warnings[0].bytes, "1 of 5"));
    result_free(result);
}

static json_t *golden_metrics(void) {
    json_t *golden;
    char path[1200];
    snprintf(path, sizeof path, "%s/metrics.json", golden_folder("predict"));
    must(json_file_load(&golden, path, 1 << 20));
    return golden;
}

static double golden_at(const json_t *golden, const char *key, int index) {
    const json_t *value = json_object_get(golden, key);
    return json_number_value(index < 0 ? value : json_array_get(value, (size_t)index));
}

static void fill_metrics(Metrics *metrics, const json_t *golden) {
    const json_t *labels = json_object_get(golden, "labels");
    const json_t *logs = json_object_get(golden, "log_probabilities");
    must(metrics_init(metrics, 3, 5, true));
    for (size_t i = 0; i < json_array_size(labels); i++) {
        double p[3];
        double sum = 0;
        int32_t choice = 0;
        for (size_t c = 0; c < 3; c++) {
            p[c] = exp(json_number_value(json_array_get(json_array_get(logs, i), c)));
            sum += p[c];
            choice = p[c] > p[choice] ? (int32_t)c : choice;
        }
        for (int c = 0; c < 3; c++) {
            p[c] /= sum;
        }
        int32_t label = (int32_t)json_integer_value(json_array_get(labels, i));
        metrics_add(metrics, label, choice, p, log(p[label]));
    }
}

static void assert_bootstrap(Interval found, const json_t *golden, const char *name) {
    const json_t *interval = json_object_get(json_object_get(golden, "bootstrap"), name);
    double low = json_number_value(json_array_get(interval, 0));
    double high = json_number_value(json_array_get(interval, 1));
    assert_near(found.value, golden_at(golden, name, -1), 1e-9, name);
    assert_near(found.low, low, 0.15 * (high - low), name);
    assert_near(found.high, high, 0.15 * (high - low), name);
}

static void measures_are_those_of_the_reference(void **state) {
    json_t *golden = golden_metrics();
    Metrics metrics;
    fill_metrics(&metrics, golden);
    Interval accuracy = metrics_accuracy(&metrics);
    assert_near(accuracy.value, golden_at(golden, "accuracy", 0), 1e-12, "accuracy");
    assert_near(accuracy.low, golden_at(golden, "accuracy", 1), 1e-9, "accuracy, low");
    assert_near(accuracy.high, golden_at(golden, "accuracy", 2), 1e-9, "accuracy, high");
    for (int c = 0; c < 3; c++) {
        assert_near(metrics_precision(&metrics, c).value, golden_at(golden, "precision", c), 1e-12, "precision");
        assert_near(metrics_recall(&metrics, c).value, golden_at(golden, "recall", c), 1e-12, "recall");
        assert_near(metrics_f1(&metrics, c).value, golden_at(golden, "f1", c), 1e-12, "F1");
        for (size_t k = 0; k < 3; k++) {
            const json_t *row = json_array_get(json_object_get(golden, "confusion"), (size_t)c);
            assert_int_equal(metrics.confusion[(size_t)c * 3 + k], json_integer_value(json_array_get(row, k)));
        }
    }
    assert_bootstrap(metrics_ece(&metrics), golden, "ece");
    assert_bootstrap(metrics_brier(&metrics), golden, "brier");
    assert_bootstrap(metrics_log_loss(&metrics), golden, "log_loss");
    assert_bootstrap(metrics_macro_f1(&metrics), golden, "macro_f1");
    metrics_free(&metrics);
    const json_t *rows = json_object_get(golden, "wilson");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        double row[5];
        for (size_t k = 0; k < 5; k++) {
            row[k] = json_number_value(json_array_get(json_array_get(rows, i), k));
        }
        Interval found = wilson_interval((int64_t)row[0], (int64_t)row[1]);
        assert_near(found.value, row[2], 1e-12, "rate");
        assert_near(found.low, row[3], 1e-9, "rate, low");
        assert_near(found.high, row[4], 1e-9, "rate, high");
    }
    assert_true(isnan(wilson_interval(0, 0).low));
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_run),
        cmocka_unit_test(scores_are_those_of_run_at_every_length),
        cmocka_unit_test(batches_and_threads_do_not_show),
        cmocka_unit_test(a_shared_head_does_not_show),
        cmocka_unit_test(memory_changes_no_decision),
        cmocka_unit_test(a_classifier_has_its_classes),
        cmocka_unit_test(a_cut_file_is_gone_on_with),
        cmocka_unit_test(other_settings_and_data_are_refused),
        cmocka_unit_test(what_came_out_is_a_data_set),
        cmocka_unit_test(mistakes_of_use_are_refused),
        cmocka_unit_test(smollm2_decides_as_the_reference),
        cmocka_unit_test(groups_and_labels_are_counted),
        cmocka_unit_test(measures_are_those_of_the_reference),
    };
    return cmocka_run_group_tests_name("predict", tests, set_up, tear_down);
}
