/* `diff`: norms and spectra against those of the merged model's weights, effects against runs with branches cut; what
 * cannot be compared is refused. And what every method owes to an adapter: provenance, verification, refusals. */
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
#include "call/open.h"
#include "files/json.h"
#include "files/tensor_files.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

#define TOLERANCE 2e-4

static const char *golden(char buffer[1024], const char *name) {
    snprintf(buffer, 1024, "%s", golden_folder(name));
    return buffer;
}

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static void near(const char *what, double found, double expected) {
    if (!(fabs(found - expected) <= fmax(2e-6, TOLERANCE * fabs(expected)))) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static double cell_of(const Result *result, const char *id, int layer, const char *column) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    const MatrixBlock *matrix = block->content;
    for (int32_t i = 0; i < matrix->n_columns; i++) {
        if (strcmp(matrix->column_labels[i].bytes, column) == 0) {
            return matrix->values[layer * matrix->n_columns + i];
        }
    }
    return (double)NAN;
}

static double number_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void check_rows(const Result *result, const json_t *expected) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(expected, "weights"), i, row) {
        const char *component = json_string_value(json_object_get(row, "component"));
        int layer = (int)json_integer_value(json_object_get(row, "layer"));
        near("norm", cell_of(result, "norm", layer, component), number_of(row, "relative"));
        near("effective rank", cell_of(result, "effective-rank", layer, component), number_of(row, "effective"));
        near("energy", cell_of(result, "energy", layer, component), number_of(row, "energy"));
    }
    assert_true(i > 0);
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(expected, "heads"), key, value) {
        int layer = atoi(key);
        near("head", cell_of(result, "heads", layer, strchr(key, '.') + 1), json_number_value(value));
    }
}

static void check_weights(const Result *result, const char *name) {
    char path[1200], folder[1024];
    json_t *expected;
    snprintf(path, sizeof path, "%s/diff.json", golden(folder, name));
    must(json_file_load(&expected, path, JSON_CONFIG_CAP));
    check_rows(result, expected);
    json_decref(expected);
}

static void norms_and_spectra_are_those_of_the_merged_weights(void **state) {
    static const struct {
        const char *base, *name, *adapters;
    } cases[] = {{"llama3", "adapters/patterns", "[\"%s/1\"]"},
                 {"llama-bias", "adapters/dora", "[\"%s/1\"]"},
                 {"llama-old", "adapters/layers", "[\"%s/1\"]"},
                 {"llama-old", "adapters/two", "[\"%s/1:0.7\",\"%s/2:-0.4\"]"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char base[1024], folder[1024], adapters[3000];
        golden(base, cases[i].base);
        golden(folder, cases[i].name);
        if (strstr(cases[i].adapters, "/2") != NULL) {
            snprintf(adapters, sizeof adapters, "[\"%s/1:0.7\",\"%s/2:-0.4\"]", folder, folder);
        } else {
            snprintf(adapters, sizeof adapters, "[\"%s/1\"]", folder);
        }
        Result *result;
        must(call_method(&result, "diff", "{\"model\":\"%s\",\"adapter\":%s}", base, adapters));
        check_weights(result, cases[i].name);
        result_free(result);
    }
}

/* Elements of a tensor as floats; the caller's. */
static float *read_tensor(const char *path, const char *name, int64_t *n) {
    TensorFiles *files;
    must(tensor_files_open(&files, path));
    const Tensor *tensor = tensor_files_find(files, name);
    assert_non_null(tensor);
    *n = tensor_elements(tensor);
    float *values = malloc((size_t)*n * sizeof *values);
    assert_non_null(values);
    must(tensor_read_f32(values, tensor, 0, *n));
    tensor_files_close(files);
    return values;
}

/* An adapter on the table of embeddings: row v changes by alpha / r times B A's column v. */
static void a_table_changes_by_its_branch(void **state) {
    enum { RANK = 4, WIDTH = 32, VOCABULARY = 61 };
    char base[1024], folder[1024], path[1200], percent[32];
    golden(base, "llama3");
    golden(folder, "adapters/tied-table");
    int64_t n_a, n_b, n_table;
    snprintf(path, sizeof path, "%s/1/adapter_model.safetensors", folder);
    float *a = read_tensor(path, "base_model.model.model.embed_tokens.lora_embedding_A", &n_a);
    float *b = read_tensor(path, "base_model.model.model.embed_tokens.lora_embedding_B", &n_b);
    float *table = read_tensor(base, "model.embed_tokens.weight", &n_table);
    assert_true(n_a == RANK * VOCABULARY && n_b == WIDTH * RANK && n_table == VOCABULARY * WIDTH);
    double change = 0, size = 0;
    for (int v = 0; v < VOCABULARY; v++) {
        for (int d = 0; d < WIDTH; d++) {
            double sum = 0, own = (double)table[v * WIDTH + d];
            for (int r = 0; r < RANK; r++) {
                sum += (double)a[r * VOCABULARY + v] * (double)b[d * RANK + r];
            }
            change += 1.5 * sum * 1.5 * sum;
            size += own * own;
        }
    }
    free(a);
    free(b);
    free(table);
    Result *result;
    must(call_method(&result, "diff", "{\"model\":\"%s\",\"adapter\":[\"%s/1\"]}", base, folder));
    const TableBlock *weights = result_find_block(result, "weights")->content;
    assert_string_equal(table_cell(weights, 0, 0)->text.bytes, "hook_embed");
    near("relative change", table_cell(weights, 0, 1)->number, sqrt(change / size));
    near("change", table_cell(weights, 0, 2)->number, sqrt(change));
    snprintf(percent, sizeof percent, "hook_embed (%.3g%%)", 100 * sqrt(change / size));
    assert_non_null(strstr(result->headline.bytes, percent));
    result_free(result);
}

/* The adapter merged into a model of its own gives the same norms, by another way. */
static void two_models_are_compared(void **state) {
    char base[1024], folder[1024];
    golden(base, "llama-old");
    golden(folder, "adapters/layers");
    Result *result;
    must(call_method(&result, "diff", "{\"model\":\"%s\",\"other\":\"%s/merged\"}", base, folder));
    assert_string_equal(result->model.name.bytes, "llama-old");
    json_t *expected;
    char path[1200];
    snprintf(path, sizeof path, "%s/diff.json", folder);
    must(json_file_load(&expected, path, JSON_CONFIG_CAP));
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(expected, "weights"), i, row) {
        near("norm",
             cell_of(result, "norm", (int)json_integer_value(json_object_get(row, "layer")),
                     json_string_value(json_object_get(row, "component"))),
             number_of(row, "relative"));
    }
    json_decref(expected);
    assert_true(cell_of(result, "norm", 0, "k") < 1e-6);
    result_free(result);
    must(call_method(&result, "diff", "{\"model\":\"%s\",\"other\":\"%s\"}", base, base));
    assert_string_equal(result->headline.bytes, "No weight differs");
    result_free(result);
}

static void add_folders(TextBuffer *out, const char *option, const json_t *names) {
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name) {
        text_buffer_printf(out, "%s\"%s/%s\"%s", i == 0 ? option : ",", golden_folder("adapters"),
                           json_string_value(name), i + 1 == json_array_size(names) ? "]" : "");
    }
}

/* Two adapters of one model, and any mix of models with and without them (tests/oracle/adapters/make_pairs.py). */
static void two_adapted_models_are_compared(void **state) {
    json_t *pairs;
    char path[1200];
    snprintf(path, sizeof path, "%s/pairs.json", golden_folder("adapters"));
    must(json_file_load(&pairs, path, JSON_CONFIG_CAP));
    size_t i;
    const json_t *pair;
    json_array_foreach(pairs, i, pair) {
        TextBuffer call = TEXT_BUFFER_INIT;
        Result *result;
        text_buffer_printf(&call, "{\"model\":\"%s\"", golden_folder(json_string_value(json_object_get(pair, "base"))));
        const char *other = json_string_value(json_object_get(pair, "other"));
        if (other != NULL) {
            text_buffer_printf(&call, ",\"other\":\"%s\"", golden_folder(other));
        }
        add_folders(&call, ",\"adapter\":[", json_object_get(pair, "first"));
        add_folders(&call, ",\"other-adapter\":[", json_object_get(pair, "second"));
        text_buffer_add(&call, "}");
        must(call_method(&result, "diff", "%s", call.data));
        check_rows(result, pair);
        result_free(result);
        text_buffer_free(&call);
    }
    assert_int_equal(i, 5);
    json_decref(pairs);
}

static char *documented(const char *format, ...) {
    char json[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(json, sizeof json, format, arguments);
    va_end(arguments);
    Result *result;
    must(call_method(&result, "diff", "%s", json));
    assert_true(result_passed(result));
    result->params = (Fields){0}; /* how it was asked for */
    result->provenance = (ResultProvenance){0};
    result_request(result, "diff", "{}");
    TextBuffer text = TEXT_BUFFER_INIT;
    must(result_write_json(&text, result, false));
    result_free(result);
    return text.data;
}

/* --other-adapter alone is --adapter alone; an adapter beside itself differs nowhere. */
static void an_adapter_on_either_side(void **state) {
    char base[1024], adapter[1024];
    golden(base, "llama-old");
    golden(adapter, "adapters/two/1");
    char *one = documented("{\"model\":\"%s\",\"adapter\":[\"%s\"],\"ids\":[1,2,3]}", base, adapter);
    char *other = documented("{\"model\":\"%s\",\"other-adapter\":[\"%s\"],\"ids\":[1,2,3]}", base, adapter);
    assert_string_equal(one, other);
    free(one);
    free(other);
    Result *result;
    must(call_method(&result, "diff", "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"other-adapter\":[\"%s\"]}", base,
                     adapter, adapter));
    assert_string_equal(result->headline.bytes, "No weight differs");
    assert_int_equal(result->provenance.n_adapters, 1);
    bool hashed = false;
    for (size_t i = 0; i < result->params.count; i++) {
        hashed = hashed ||
                 (strcmp(result->params.items[i].name, "other-adapter-hash") == 0 &&
                  strcmp(result->params.items[i].value.text.bytes, result->provenance.adapters[0].hash.bytes) == 0);
    }
    assert_true(hashed);
    result_free(result);
}

/* --- effects --- */

static double log_probability(const char *model, const char *adapter, const char *set) {
    Result *result;
    must(call_method(&result, "run",
                     "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"prompt\":\"abcab\",\"target\":\"d\"%s%s%s}", model,
                     adapter, set[0] != '\0' ? ",\"set\":[" : "", set, set[0] != '\0' ? "]" : ""));
    double value = result->target.log_probability;
    result_free(result);
    return value;
}

/* A gain after a sublayer is not the sublayer's output matrix, whose heads are compared. */
static void norms_after_sublayers_have_names_of_their_own(void **state) {
    Result *result;
    char base[1024], other[1024];
    must(call_method(&result, "diff", "{\"model\":\"%s\",\"other\":\"%s\"}", golden(base, "gemma3"),
                     golden(other, "gemma3-vision")));
    const MatrixBlock *matrix = result_find_block(result, "norm")->content;
    static const char *const names[] = {"ln1",      "q",   "k",        "v",      "attn.q_norm", "attn.k_norm", "o",
                                        "ln1_post", "ln2", "mlp gate", "mlp in", "mlp out",     "ln2_post"};
    enum { N_NAMES = sizeof names / sizeof names[0] };
    assert_int_equal(matrix->n_columns, N_NAMES);
    for (int i = 0; i < N_NAMES; i++) {
        assert_string_equal(matrix->column_labels[i].bytes, names[i]);
    }
    assert_true(cell_of(result, "effective-rank", 0, "mlp out") > 20); /* a matrix, as o is */
    assert_true(cell_of(result, "effective-rank", 0, "o") > 20);
    result_free(result);
}

/* What a component's change does is what its branches do: cut them. */
static void effects_are_those_of_cut_branches(void **state) {
    char letters[64], folder[1024], adapter[1100], base[64];
    make_letters_model(letters);
    snprintf(base, sizeof base, "%s", letters);
    snprintf(adapter, sizeof adapter, "%s/1", golden(folder, "adapters/layers"));
    Result *result;
    must(call_method(&result, "diff",
                     "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"prompt\":\"abcab\",\"target\":\"d\",\"heads\":true}",
                     base, adapter));
    assert_true(result_passed(result));
    double tuned = log_probability(base, adapter, "");
    double attention = log_probability(base, adapter, "\"blocks.1.attn.hook_q_lora=0\"");
    double mlp = log_probability(base, adapter, "\"blocks.1.hook_mlp_out_lora=0\"");
    near("attention out", cell_of(result, "effect-out", 1, "attention"), tuned - attention);
    near("MLP out", cell_of(result, "effect-out", 1, "MLP"), tuned - mlp);
    assert_true(fabs(tuned - attention) > 1e-3 && fabs(tuned - mlp) > 1e-3);
    /* the base with one of them is the tuned model without the other */
    double plain = log_probability(base, adapter, "\"blocks.1.attn.hook_q_lora=0\",\"blocks.1.hook_mlp_out_lora=0\"");
    near("attention in", cell_of(result, "effect-in", 1, "attention"), mlp - plain);
    near("MLP in", cell_of(result, "effect-in", 1, "MLP"), attention - plain);
    assert_true(fabs(cell_of(result, "effect-out", 0, "MLP")) < 1e-6);
    double heads = 0; /* of one layer's attention they add up where nothing else follows */
    for (int head = 0; head < 4; head++) {
        char label[16];
        snprintf(label, sizeof label, "%d", head);
        heads += fabs(cell_of(result, "heads-out", 1, label));
        char set[96];
        snprintf(set, sizeof set, "\"blocks.1.attn.hook_q_lora[head=%d]=0\"", head);
        near("head out", cell_of(result, "heads-out", 1, label), tuned - log_probability(base, adapter, set));
    }
    assert_true(heads > 1e-3);
    result_free(result);
    remove_letters_model(letters);
}

static int block_at(const Result *result, const char *id) {
    for (int32_t i = 0; i < result->n_blocks; i++) {
        if (strcmp(result->blocks[i].id, id) == 0) {
            return (int)i;
        }
    }
    fail_msg("no block '%s'", id);
    return -1;
}

/* A reader finds what was asked, what both models make of it, and what the changes do before how large they are. */
static void effects_come_before_weights(void **state) {
    char letters[64], folder[1024], adapter[1100];
    make_letters_model(letters);
    snprintf(adapter, sizeof adapter, "%s/1", golden(folder, "adapters/layers"));
    Result *result;
    must(call_method(&result, "diff",
                     "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"prompt\":\"abcab\",\"target\":\"d\",\"contrast\":\"e\"}",
                     letters, adapter));
    assert_string_equal(result->input_text.bytes, "abcab");
    assert_string_equal(result->target.text.bytes, "d");
    assert_string_equal(result->contrast.text.bytes, "e");
    assert_int_equal(block_at(result, "answers"), 0);
    assert_int_equal(block_at(result, "effects"), 1);
    assert_true(block_at(result, "effect-in") < block_at(result, "weights"));
    const char *effect = strstr(result->headline.bytes, "by effect on the target"),
               *norm = strstr(result->headline.bytes, "by norm");
    assert_true(effect != NULL && norm != NULL && effect < norm);
    const TableBlock *answers = result_find_block(result, "answers")->content;
    double lead = result->target.log_probability - result->contrast.log_probability;
    near("lead of the tuned model", table_cell(answers, 1, 1)->number, lead);
    near("probability of the two", table_cell(answers, 1, 2)->number, 1 / (1 + exp(-lead)));
    result_free(result);
    must(call_method(&result, "diff", "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"prompt\":\"abcab\",\"target\":\"d\"}",
                     letters, adapter));
    answers = result_find_block(result, "answers")->content;
    near("log-probability", table_cell(answers, 1, 1)->number, log_probability(letters, adapter, ""));
    near("probability", table_cell(answers, 1, 2)->number, exp(log_probability(letters, adapter, "")));
    double moved = table_cell(answers, 1, 1)->number - table_cell(answers, 0, 1)->number;
    assert_true(fabs(moved) > 1e-4);
    char said[64];
    snprintf(said, sizeof said, "the whole tuning %+.3g)", moved);
    assert_non_null(strstr(result->headline.bytes, said));
    result_free(result);
    remove_letters_model(letters);
}

/* Between an adapter at half its weight and at all of it, a component's change is a branch of twice the size. */
static void effects_between_two_adapters(void **state) {
    char letters[64], folder[1024], whole[1100], half[1120];
    make_letters_model(letters);
    snprintf(whole, sizeof whole, "%s/1", golden(folder, "adapters/layers"));
    snprintf(half, sizeof half, "%s:0.5", whole);
    Result *result;
    must(call_method(&result, "diff",
                     "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"other-adapter\":[\"%s\"],\"prompt\":\"abcab\","
                     "\"target\":\"d\"}",
                     letters, whole, half));
    assert_true(result_passed(result));
    double tuned = log_probability(letters, half, "");
    double attention = log_probability(letters, half, "\"blocks.1.attn.hook_q_lora=times:2\"");
    double mlp = log_probability(letters, half, "\"blocks.1.hook_mlp_out_lora=times:2\"");
    assert_true(fabs(tuned - attention) > 1e-3 && fabs(tuned - mlp) > 1e-3);
    near("attention out", cell_of(result, "effect-out", 1, "attention"), tuned - attention);
    near("MLP out", cell_of(result, "effect-out", 1, "MLP"), tuned - mlp);
    near("attention in", cell_of(result, "effect-in", 1, "attention"), mlp - log_probability(letters, whole, ""));
    result_free(result);
    remove_letters_model(letters);
}

static void effects_over_a_data_set_are_means(void **state) {
    char letters[64], folder[1024], adapter[1100], data[64];
    static const char lines[] = "{\"t\":\"abcab\",\"keep\":1}\n{\"t\":\"dd\",\"keep\":0}\n{\"t\":\"ba\",\"keep\":1}\n";
    make_letters_model(letters);
    snprintf(data, sizeof data, "/tmp/limn-diff-%d.jsonl", (int)getpid());
    must(file_write_atomic(data, lines, sizeof lines - 1));
    snprintf(adapter, sizeof adapter, "%s/1", golden(folder, "adapters/layers"));
    double sum = 0, found;
    static const char *const prompts[] = {"abcab", "ba"};
    Result *result;
    for (int i = 0; i < 2; i++) {
        must(call_method(&result, "diff", "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"prompt\":\"%s\",\"target\":\"d\"}",
                         letters, adapter, prompts[i]));
        sum += cell_of(result, "effect-out", 1, "MLP");
        result_free(result);
    }
    must(call_method(
        &result, "diff",
        "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"data\":\"%s\",\"template\":\"{t}\",\"where\":\"keep == 1\","
        "\"target\":\"d\"}",
        letters, adapter, data));
    assert_true(result->has_target && !result->has_contrast);
    assert_string_equal(result->target.text.bytes, "d");
    assert_true(isnan(result->target.log_probability)); /* each text has its own */
    found = cell_of(result, "effect-out", 1, "MLP");
    near("mean", found, sum / 2);
    result_free(result);
    unlink(data);
    remove_letters_model(letters);
}

/* --- refusals --- */

static void refused(const char *expected, const char *format, ...) {
    char json[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(json, sizeof json, format, arguments);
    va_end(arguments);
    Result *result = NULL;
    limn_status status = call_method(&result, "diff", "%s", json);
    assert_int_not_equal(status, LIMN_OK);
    assert_null(result);
    if (strstr(error_message(), expected) == NULL) {
        fail_msg("found '%s', expected '%s' in it", error_message(), expected);
    }
}

static void what_cannot_be_compared_is_refused(void **state) {
    char base[1024], other[1024], adapter[1024];
    golden(base, "llama-old");
    golden(other, "gpt2");
    golden(adapter, "adapters/layers/1");
    refused("nothing to compare with", "{\"model\":\"%s\"}", base);
    refused("option 'other-adapter': found", "{\"model\":\"%s\",\"other-adapter\":[\"%s:much\"]}", base, adapter);
    refused("different shapes", "{\"model\":\"%s\",\"other\":\"%s\",\"adapter\":[\"%s\"]}", base, other, adapter);
    refused("different shapes", "{\"model\":\"%s\",\"other\":\"%s\"}", base, other);
    refused("both a prompt and --data", "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"prompt\":\"a\",\"data\":\"b.jsonl\"}",
            base, adapter);
    refused("expected DIR or DIR:WEIGHT", "{\"model\":\"%s\",\"adapter\":[\"%s:much\"]}", base, adapter);
    refused("is no folder", "{\"model\":\"%s\",\"adapter\":[\"/nowhere/at-all\"]}", base);
    refused("frame of TransformerLens", "{\"model\":\"%s\",\"adapter\":[\"%s\"],\"frame\":\"transformerlens\"}", base,
            adapter);
    refused("has no linear map", "{\"model\":\"%s\",\"adapter\":[\"%s\"]}", other, adapter);
}

/* --- what a result says about its adapters --- */

static void provenance_names_adapters(void **state) {
    char base[1024], adapter[1024];
    golden(base, "llama-old");
    golden(adapter, "adapters/layers/1");
    Result *result, *again;
    must(call_method(&result, "run", "{\"model\":\"%s\",\"ids\":[5,6,7],\"adapter\":[\"%s:0.5\"]}", base, adapter));
    assert_int_equal(result->provenance.n_adapters, 1);
    assert_string_equal(result->provenance.adapters[0].name.bytes, "1");
    assert_int_equal(result->provenance.adapters[0].hash.length, 64);
    assert_true(result->provenance.adapters[0].weight == 0.5);
    TextBuffer json = TEXT_BUFFER_INIT;
    must(result_write_json(&json, result, true));
    must(result_read_json(&again, json.data, json.length, "a result"));
    assert_int_equal(again->provenance.n_adapters, 1);
    assert_string_equal(again->provenance.adapters[0].hash.bytes, result->provenance.adapters[0].hash.bytes);
    result_free(again);
    char path[64];
    snprintf(path, sizeof path, "/tmp/limn-verify-%d.json", (int)getpid());
    must(file_write_atomic(path, json.data, json.length));
    must(call_method(&again, "verify", "{\"result\":\"%s\"}", path));
    assert_true(result_passed(again));
    result_free(again);
    char *weight = strstr(json.data, ":0.5\"]");
    assert_non_null(weight);
    weight[3] = '6'; /* another weight in the request: another answer */
    must(file_write_atomic(path, json.data, json.length));
    must(call_method(&again, "verify", "{\"result\":\"%s\"}", path));
    assert_false(result_passed(again));
    unlink(path);
    text_buffer_free(&json);
    result_free(again);
    result_free(result);
}

static void a_second_call_without_the_adapter_is_the_base(void **state) {
    char base[1024], adapter[1024];
    golden(base, "llama-old");
    golden(adapter, "adapters/layers/1");
    ModelCache *models;
    must(model_cache_new(&models));
    CallListeners listeners = {0};
    double found[3];
    for (int i = 0; i < 3; i++) {
        json_t *params = json_pack("{s:s, s:[i,i,i], s:i}", "model", base, "ids", 5, 6, 7, "target-id", 9);
        if (i == 1) {
            json_object_set_new(params, "adapter", json_pack("[s]", adapter));
        }
        Result *result;
        must(method_call(&result, &test_registry, models, "run", params, &listeners));
        found[i] = result->target.log_probability;
        result_free(result);
        json_decref(params);
    }
    model_cache_free(models);
    assert_true(found[0] == found[2] && found[0] != found[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_and_spectra_are_those_of_the_merged_weights),
        cmocka_unit_test(a_table_changes_by_its_branch),
        cmocka_unit_test(two_models_are_compared),
        cmocka_unit_test(two_adapted_models_are_compared),
        cmocka_unit_test(an_adapter_on_either_side),
        cmocka_unit_test(norms_after_sublayers_have_names_of_their_own),
        cmocka_unit_test(effects_are_those_of_cut_branches),
        cmocka_unit_test(effects_come_before_weights),
        cmocka_unit_test(effects_between_two_adapters),
        cmocka_unit_test(effects_over_a_data_set_are_means),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
        cmocka_unit_test(provenance_names_adapters),
        cmocka_unit_test(a_second_call_without_the_adapter_is_the_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
