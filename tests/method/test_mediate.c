/* `mediate`: P0, P1 and P2 are what hooks on Hugging Face's modules give with the same noise; every P2 of every family
 * is what a full pass gives; a part is named only where it is clear; bad input is refused. */
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

#define TOLERANCE 1e-4
enum { TOKENS = 9, AT = 6, MUTANT = 20 };

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

static void passed(const Result *result, const char *name, const char *where) {
    const ResultCheck *check = check_of(result, name);
    if (check == NULL || check->state != CHECK_PASS) {
        fail_msg("%s: check %s found %g", where, name, check == NULL ? (double)NAN : check->value);
    }
}

/* ---- the oracle (tests/oracle/causal/make_mediation.py) ---- */

static json_t *golden;
static char values_path[64];

static int set_up(void **state) {
    golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/causal/mediation.json", 0, NULL);
    snprintf(values_path, sizeof values_path, "/tmp/limn-mediate-%d.safetensors", (int)getpid());
    return golden == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    json_decref(golden);
    unlink(values_path);
    return 0;
}

static double number_at(const json_t *list, size_t i) {
    const json_t *value = json_array_get(list, i);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* Largest differences of log P2 from those of the oracle and of the draw of noise beside it, a mutant. expected
 * [samples][sites][layers], or with one site [samples][layers]. */
typedef struct Errors {
    double p1, p2, mutant;
} Errors;

static Errors errors_of(const json_t *p1, const json_t *p2, bool sites) {
    TensorFiles *files;
    must(tensor_files_open(&files, values_path));
    const Tensor *found1 = tensor_files_find(files, "p1"), *found2 = tensor_files_find(files, "p2");
    assert_true(found1 != NULL && found2 != NULL);
    Errors errors = {0};
    int64_t n_samples = found2->shape[0], n_sites = found2->shape[1], n_layers = found2->shape[2];
    assert_int_equal(n_samples, json_array_size(p2));
    assert_int_equal(found2->shape[3], 1);
    for (int64_t s = 0; s < n_samples; s++) {
        double own = (double)((const float *)found1->data)[s];
        errors.p1 = fmax(errors.p1, fabs(own - log(number_at(p1, (size_t)s))));
        for (int64_t i = 0; i < n_sites * n_layers; i++) {
            double p = (double)((const float *)found2->data)[s * n_sites * n_layers + i];
            for (int off = 0; off < 2; off++) {
                const json_t *sample = json_array_get(p2, (size_t)((s + off) % n_samples));
                const json_t *row = sites ? json_array_get(sample, (size_t)(i / n_layers)) : sample;
                double error = fabs(p - log(number_at(row, (size_t)(i % n_layers))));
                *(off == 0 ? &errors.p2 : &errors.mutant) = fmax(error, off == 0 ? errors.p2 : errors.mutant);
            }
        }
    }
    tensor_files_close(files);
    return errors;
}

static void ask_oracle_case(const char *name, const json_t *one, const char *more, const char *expected, bool sites) {
    char noise[1200], ids[128] = "";
    snprintf(noise, sizeof noise, "%s/mediation-%s.safetensors", golden_folder("causal"), name);
    for (size_t i = 0; i < TOKENS; i++) {
        sprintf(ids + strlen(ids), "%s%d", i > 0 ? "," : "",
                (int)json_integer_value(json_array_get(json_object_get(golden, "ids"), i)));
    }
    Result *result;
    must(call_method(
        &result, "mediate",
        "{\"model\":\"%s\",\"ids\":\"%s\",\"subject-span\":\"3:5\",\"target-id\":11,\"metric\":\"logprob\","
        "\"noise-values\":\"%s\",\"values\":\"%s\"%s%s}",
        golden_folder(name), ids, noise, values_path, strncmp(name, "bert", 4) == 0 ? ",\"at\":\"6\"" : "", more));
    const TableBlock *effects = table_of(result, "effects");
    assert_true(fabs(table_cell(effects, 0, 2)->number - log(json_number_value(json_object_get(one, "p0")))) <=
                TOLERANCE);
    Errors errors = errors_of(json_object_get(one, "p1"), json_object_get(one, expected), sites);
    if (!(errors.p1 <= TOLERANCE) || !(errors.p2 <= TOLERANCE) || !(errors.mutant > MUTANT * TOLERANCE)) {
        fail_msg("%s %s: P1 off by %g, P2 by %g, with other noise by %g", name, expected, errors.p1, errors.p2,
                 errors.mutant);
    }
    passed(result, "plain pass", name);
    passed(result, "ends", name);
    result_free(result);
}

static void hooks_give_the_same(void **state) {
    const char *name;
    json_t *one;
    json_object_foreach(json_object_get(golden, "models"), name, one) {
        ask_oracle_case(name, one, "", "p2", true);
        ask_oracle_case(name, one, ",\"site\":[\"mlp_out\"],\"onward\":true", "onward", false);
        ask_oracle_case(name, one, ",\"site\":[\"mlp_out\"],\"window\":2", "window", false);
    }
}

/* Three standard deviations of the table's entries, as the model reads them. */
static void noise_has_the_tables_size(void **state) {
    const char *name;
    json_t *one;
    json_object_foreach(json_object_get(golden, "models"), name, one) {
        Result *result;
        must(call_method(
            &result, "mediate",
            "{\"model\":\"%s\",\"ids\":\"7,12,17,22,8,13,18,23,9\",\"subject-span\":\"3:5\",\"target-id\":11,"
            "\"samples\":40,\"values\":\"%s\"%s}",
            golden_folder(name), values_path, strncmp(name, "bert", 4) == 0 ? ",\"at\":\"6\"" : ""));
        double expected = json_number_value(json_object_get(one, "deviation"));
        assert_true(fabs(param_of(result, "embedding-deviation") - expected) <= 1e-5 * expected);
        TensorFiles *files;
        must(tensor_files_open(&files, values_path));
        const Tensor *noise = tensor_files_find(files, "noise");
        double squares = 0;
        int64_t n = tensor_elements(noise);
        for (int64_t i = 0; i < n; i++) {
            squares += (double)((const float *)noise->data)[i] * (double)((const float *)noise->data)[i];
        }
        double size = sqrt(squares / (double)n) / expected;
        assert_true(size > 2.8 && size < 3.2); /* of 2,560 draws or more: 5 of its standard errors are 0.2 */
        tensor_files_close(files);
        result_free(result);
    }
}

/* ---- every family against full passes ---- */

static const char *const families[] = {
#define GOLDEN_CASE(name, has) name,
#include "golden/cases.def"
#undef GOLDEN_CASE
};

typedef struct Full {
    Model *model;
    Engine *engine;
    int32_t ids[TOKENS];
    OutputRow output;
    float noise[2 * 512]; /* of one draw */
    int64_t width;
} Full;

static NodeId node_of(const Full *full, const char *hook, int32_t layer) {
    char name[96];
    snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, hook);
    return graph_find_site(&full->model->graph, name);
}

static double log_p(const Full *full, const Edit *edits, int32_t n) {
    SequenceInput input = {.ids = full->ids, .n = TOKENS};
    RunRequest request = {.sequences = &input,
                          .n_sequences = 1,
                          .outputs = &full->output,
                          .n_outputs = 1,
                          .edits = edits,
                          .n_edits = n,
                          .objective =
                              full->model->config.task == TASK_CLASSIFIER ? OBJECTIVE_LOGIT : OBJECTIVE_LOG_PROB};
    must(engine_run(full->engine, &request, NULL));
    return (double)engine_objective(full->engine)[0];
}

static void open_full(Full *full, const char *name) {
    Team team = {0};
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", golden_folder(name));
    must(model_open(&full->model, folder, NULL, &team));
    must(engine_new(&full->engine, full->model, NULL));
    for (int i = 0; i < TOKENS; i++) {
        full->ids[i] = 7 + (i * 5) % 19;
    }
    const ModelConfig *config = &full->model->config;
    int32_t row = config->task == TASK_MASKED_LM ? AT : config->causal ? TOKENS - 1 : 0;
    full->output = (OutputRow){.row = row, .target = config->task == TASK_CLASSIFIER ? 0 : 11, .weight = 1};
    full->width = config->d_embed;
    assert_true(full->width <= 512);
}

/* The one draw's noise and P2 as limn wrote them. */
static float *read_written(Full *full, int64_t *n_cells) {
    TensorFiles *files;
    must(tensor_files_open(&files, values_path));
    const Tensor *noise = tensor_files_find(files, "noise"), *p2 = tensor_files_find(files, "p2");
    assert_int_equal(tensor_elements(noise), 2 * full->width);
    memcpy(full->noise, noise->data, noise->bytes);
    *n_cells = tensor_elements(p2);
    float *copy = malloc(p2->bytes);
    memcpy(copy, p2->data, p2->bytes);
    tensor_files_close(files);
    return copy;
}

static limn_status ask_family(Result **result, const Full *full, const char *name, const char *by, const char *site) {
    const ModelConfig *config = &full->model->config;
    const char *what = config->task == TASK_CLASSIFIER  ? "\"class\":\"0\",\"metric\":\"logit\""
                       : config->task == TASK_MASKED_LM ? "\"target-id\":11,\"at\":\"6\",\"metric\":\"logprob\""
                                                        : "\"target-id\":11,\"metric\":\"logprob\"";
    return call_method(result, "mediate",
                       "{\"model\":\"%s\",\"ids\":\"7,12,17,22,8,13,18,23,9\",\"subject-span\":\"4:6\",\"samples\":1,"
                       "\"by\":\"%s\",\"site\":[\"%s\"],\"values\":\"%s\",%s}",
                       golden_folder(name), by, site, values_path, what);
}

/* [rows, width] of a node in the run with these edits. */
static float *tap_of(Full *full, NodeId node, const Edit *edits, int32_t n, int32_t *rows, int64_t *width) {
    SequenceInput input = {.ids = full->ids, .n = TOKENS};
    RunRequest request = {
        .sequences = &input, .n_sequences = 1, .taps = &node, .n_taps = 1, .edits = edits, .n_edits = n};
    must(engine_run(full->engine, &request, NULL));
    const float *tap = engine_tap(full->engine, node, rows, width);
    float *copy = malloc((size_t)*rows * (size_t)*width * sizeof *copy);
    memcpy(copy, tap, (size_t)*rows * (size_t)*width * sizeof *copy);
    return copy;
}

/* The direction kept for a site is the mean over key tokens of its values without noise less those with it. */
static void compare_direction(Full *full, const char *hook, int32_t layer, const Edit *noise, const float *clean) {
    int32_t rows;
    int64_t width;
    char name[64];
    TensorFiles *files;
    snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, hook);
    must(tensor_files_open(&files, values_path));
    const Tensor *kept = tensor_files_find(files, name);
    assert_non_null(kept);
    float *spoilt = tap_of(full, node_of(full, hook, layer), noise, 1, &rows, &width);
    assert_int_equal(tensor_elements(kept), width);
    double worst = 0, one_token = 0, largest = 1;
    for (int64_t i = 0; i < width; i++) {
        double first = (double)clean[4 * width + i] - (double)spoilt[4 * width + i];
        double second = (double)clean[5 * width + i] - (double)spoilt[5 * width + i];
        double found = (double)((const float *)kept->data)[i];
        worst = fmax(worst, fabs(found - (first + second) / 2));
        one_token = fmax(one_token, fabs(found - first)); /* a mutant */
        largest = fmax(largest, fmax(fabs(first), fabs(second)));
    }
    tensor_files_close(files);
    free(spoilt);
    if (!(worst <= TOLERANCE * largest) || !(one_token > MUTANT * TOLERANCE)) {
        fail_msg("%s: the direction is off by %g, of one token by %g", name, worst, one_token);
    }
}

/* Each cell restored by hand; `off`: from the layer beside it, a mutant. */
static void compare_family(Full *full, const char *name, const char *site, const char *hook, bool parts_of_rows) {
    int64_t n_cells;
    float *found = read_written(full, &n_cells);
    Edit edits[2] = {{.node = full->model->graph.embed,
                      .kind = EDIT_ADD,
                      .row_begin = 4,
                      .row_end = 6,
                      .element_end = -1,
                      .values = full->noise,
                      .row_stride = full->width}};
    int32_t n_layers = full->model->config.n_layers;
    int64_t parts = n_cells / n_layers;
    double worst = 0, mutant = 0;
    for (int32_t layer = 0; layer < n_layers; layer++) {
        NodeId node = node_of(full, hook, layer);
        int32_t n_rows;
        int64_t width;
        float *clean = tap_of(full, node, NULL, 0, &n_rows, &width);
        if (!parts_of_rows) {
            compare_direction(full, hook, layer, edits, clean);
        }
        int64_t each = width / (parts_of_rows ? parts : 1);
        for (int64_t part = 0; part < parts; part++) {
            int32_t row = parts_of_rows ? 0 : (int32_t)part;
            int64_t begin = parts_of_rows ? part * each : 0;
            edits[1] = (Edit){.node = node,
                              .row_begin = row,
                              .row_end = parts_of_rows ? TOKENS : row + 1,
                              .element_begin = begin,
                              .element_end = parts_of_rows ? begin + each : width,
                              .values = clean + row * width + begin,
                              .row_stride = width};
            double p = (double)found[layer * parts + part], expected = log_p(full, edits, 2);
            worst = fmax(worst, fabs(p - expected));
            edits[1].values = clean + ((row + 1) % TOKENS) * width + begin;
            edits[1].row_stride = 0;
            mutant = fmax(mutant, fabs(p - log_p(full, edits, 2)));
        }
        free(clean);
    }
    free(found);
    if (!(worst <= TOLERANCE) || !(mutant > MUTANT * TOLERANCE)) {
        fail_msg("%s %s: off by %g, with another position's value by %g", name, site, worst, mutant);
    }
}

static void every_part_is_a_full_pass(void **state) {
    int tried = 0;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        static const struct {
            const char *by, *site, *hook;
        } asked[] = {{"position", "resid_post", "hook_resid_post"},
                     {"position", "mlp_out", "hook_mlp_out"},
                     {"head", "z", "attn.hook_z"},
                     {"neuron", "mlp_post", "mlp.hook_post"}};
        Full full;
        open_full(&full, families[i]);
        for (size_t a = 0; a < 4; a++) {
            Result *result;
            limn_status status = ask_family(&result, &full, families[i], asked[a].by, asked[a].site);
            if (full.model->config.task == TASK_ENCODER) {
                assert_int_equal(status, LIMN_UNSUPPORTED);
                break;
            }
            if (a == 3 && status == LIMN_NOT_FOUND) { /* experts, in some layers at least */
                continue;
            }
            must(status);
            compare_family(&full, families[i], asked[a].site, asked[a].hook, a >= 2);
            passed(result, "plain pass", families[i]);
            passed(result, "ends", families[i]);
            result_free(result);
            tried++;
        }
        engine_free(full.engine);
        model_free(full.model);
    }
    assert_true(tried > 150);
}

/* ---- what is said ---- */

static void effects_add_up(void **state) {
    Result *result;
    must(call_method(
        &result, "mediate",
        "{\"model\":\"%s\",\"ids\":\"7,12,17,22,8,13\",\"corrupt-ids\":\"7,12,30,22,8,13\",\"target-id\":11,"
        "\"tokens\":\"3,4\",\"top-k\":2}",
        golden_folder("llama3")));
    const TableBlock *effects = table_of(result, "effects");
    double total = param_of(result, "total-effect");
    for (int32_t i = 0; i < effects->n_rows; i++) {
        double p0 = table_cell(effects, i, 2)->number, p1 = table_cell(effects, i, 3)->number;
        double p2 = table_cell(effects, i, 4)->number, ie = table_cell(effects, i, 5)->number;
        assert_true(fabs(p0 - p1 - total) <= 1e-12 && fabs(p2 - p1 - ie) <= 1e-12);
        assert_true(fabs(ie + table_cell(effects, i, 8)->number - total) <= 1e-12);
        assert_int_equal(table_cell(effects, i, 6)->kind, VALUE_NULL); /* one pair has no interval */
    }
    const TableBlock *tokens = table_of(result, "tokens");
    assert_true(tokens->n_rows >= 2 && table_cell(tokens, 0, 1)->integer == 3);
    for (int32_t i = 0; i < tokens->n_rows; i++) {
        double te = table_cell(tokens, i, 5)->number;
        assert_true(fabs(te - table_cell(tokens, i, 6)->number - table_cell(tokens, i, 7)->number) <= 1e-12);
    }
    assert_int_equal(check_of(result, "mediator")->state, CHECK_INCONCLUSIVE);
    for (int32_t i = 0; i < 2; i++) { /* each as if it had been asked about alone */
        Result *alone;
        must(call_method(&alone, "mediate",
                         "{\"model\":\"%s\",\"ids\":\"7,12,17,22,8,13\",\"corrupt-ids\":\"7,12,30,22,8,13\","
                         "\"target-id\":11,\"tokens\":\"%d\",\"top-k\":2}",
                         golden_folder("llama3"), i + 3));
        const TableBlock *own = table_of(alone, "tokens");
        assert_int_equal(table_cell(own, 0, 1)->integer, i + 3);
        for (int32_t c = 2; c < 5; c++) {
            assert_true(fabs(table_cell(own, 0, c)->number - table_cell(tokens, i, c)->number) <= 1e-9);
        }
        assert_true(fabs(table_cell(own, 0, 3)->number - table_cell(tokens, 1 - i, 3)->number) > 1e-6);
        result_free(alone);
    }
    result_free(result);
}

/* The key token is the one whose answer is read: what its stream holds behind the last layer is all there is, and
 * behind an earlier one no more than in the last. */
static void records_are_units(void **state) {
    char folder[64], path[64];
    make_letters_model(folder);
    snprintf(path, sizeof path, "/tmp/limn-mediate-%d.jsonl", (int)getpid());
    static const char lines[] = "{\"p\":\"a cab\",\"s\":\"ca\",\"c\":\"a dab\",\"y\":\" \"}\n"
                                "{\"p\":\"a bed is\",\"s\":\"e\",\"c\":\"a bad is\",\"y\":\" a\"}\n"
                                "{\"p\":\"no fig\",\"s\":\"f\",\"c\":\"no dig\",\"y\":\"s\"}\n";
    must(file_write_atomic(path, lines, strlen(lines)));
    for (int noise = 0; noise < 2; noise++) {
        Result *result;
        must(call_method(
            &result, "mediate",
            "{\"model\":\"%s\",\"data\":\"%s\",\"prompt-field\":\"p\",\"%s\",\"label-field\":\"y\",\"samples\":2,"
            "\"metric\":\"logprob\",\"site\":[\"mlp_out\",\"resid_post\"]}",
            folder, path, noise ? "subject-field\":\"s" : "corrupt-field\":\"c"));
        assert_int_equal((int)param_of(result, "units"), 3);
        passed(result, "plain pass", "records");
        result_free(result);
    }
    unlink(path);
    remove_letters_model(folder);
}

/* Six pairs in which one letter or two in a row differ. */
typedef struct LetterPair {
    const char *clean, *corrupt;
    int first, last; /* key positions */
} LetterPair;

static const LetterPair letter_pairs[] = {{"a cab", "a dab", 2, 2},         {"a bed is", "a bad is", 3, 3},
                                          {"no fig", "no dig", 3, 3},       {"go on", "do on", 0, 0},
                                          {"it is fun", "it is man", 6, 7}, {"be at", "it at", 0, 1}};
enum { LETTER_PAIRS = sizeof letter_pairs / sizeof letter_pairs[0] };
enum { BEFORE, FIRST_KEY, MIDDLE, LAST_KEY, NEXT, FURTHER, ANSWER, ROLES }; /* columns of a data set by position */

static void write_letter_pairs(const char *path) {
    TextBuffer out = TEXT_BUFFER_INIT;
    for (int i = 0; i < LETTER_PAIRS; i++) {
        text_buffer_printf(&out, "{\"p\":\"%s\",\"c\":\"%s\"}\n", letter_pairs[i].clean, letter_pairs[i].corrupt);
    }
    must(file_write_atomic(path, out.data, out.length));
    text_buffer_free(&out);
}

/* The direction of a data set is the mean of its pairs', and surgery takes it as it is. */
static void directions_of_records_are_means(void **state) {
    char folder[64], path[64], edit[160];
    Result *result;
    double sum[512] = {0};
    int64_t width = 0;
    TensorFiles *files;
    make_letters_model(folder);
    snprintf(path, sizeof path, "/tmp/limn-mediate-%d.jsonl", (int)getpid());
    write_letter_pairs(path);
    for (int i = 0; i <= LETTER_PAIRS; i++) { /* last: all of them together */
        bool all = i == LETTER_PAIRS;
        must(all ? call_method(&result, "mediate",
                               "{\"model\":\"%s\",\"data\":\"%s\",\"prompt-field\":\"p\",\"corrupt-field\":\"c\","
                               "\"target\":\"s\",\"site\":[\"attn_out\"],\"values\":\"%s\"}",
                               folder, path, values_path)
                 : call_method(&result, "mediate",
                               "{\"model\":\"%s\",\"prompt\":\"%s\",\"corrupt\":\"%s\",\"target\":\"s\","
                               "\"site\":[\"attn_out\"],\"values\":\"%s\"}",
                               folder, letter_pairs[i].clean, letter_pairs[i].corrupt, values_path));
        result_free(result);
        must(tensor_files_open(&files, values_path));
        const Tensor *kept = tensor_files_find(files, "blocks.1.hook_attn_out");
        assert_non_null(kept);
        width = tensor_elements(kept);
        assert_true(width <= 512);
        for (int64_t k = 0; k < width; k++) {
            double value = (double)((const float *)kept->data)[k];
            sum[k] += all ? 0 : value / LETTER_PAIRS;
            assert_true(!all || fabs(value - sum[k]) <= 1e-5);
        }
        tensor_files_close(files);
    }
    snprintf(edit, sizeof edit, "blocks.1.hook_attn_out=erase:%s:blocks.1.hook_attn_out", values_path);
    must(call_method(&result, "run", "{\"model\":\"%s\",\"prompt\":\"a cab\",\"set\":[\"%s\"]}", folder, edit));
    result_free(result);
    unlink(path);
    remove_letters_model(folder);
}

static const char *const by_position = "\"target\":\"s\",\"metric\":\"logprob\",\"by\":\"position\"";

/* Each role's effect is the mean, over the pairs that have one, of what its position gives in the pair alone. */
static void positions_of_records_are_roles(void **state) {
    char folder[64], path[64];
    Result *all;
    double sums[8][ROLES] = {{0}};
    int counts[ROLES] = {0};
    make_letters_model(folder);
    snprintf(path, sizeof path, "/tmp/limn-mediate-%d.jsonl", (int)getpid());
    write_letter_pairs(path);
    must(call_method(&all, "mediate",
                     "{\"model\":\"%s\",\"data\":\"%s\",\"prompt-field\":\"p\",\"corrupt-field\":\"c\",%s}", folder,
                     path, by_position));
    const MatrixBlock *roles = matrix_of(all, "ie");
    assert_true(roles->n_columns == ROLES && roles->n_rows <= 8);
    for (int i = 0; i < LETTER_PAIRS; i++) {
        const LetterPair *pair = &letter_pairs[i];
        int n = (int)strlen(pair->clean), last = pair->last;
        const int at[] = {[BEFORE] = -1,
                          [FIRST_KEY] = pair->first < last ? pair->first : -1,
                          [MIDDLE] = -1,
                          [LAST_KEY] = last,
                          [NEXT] = last + 1 < n - 1 ? last + 1 : -1,
                          [FURTHER] = -1,
                          [ANSWER] = last < n - 1 ? n - 1 : -1};
        Result *one;
        must(call_method(&one, "mediate", "{\"model\":\"%s\",\"prompt\":\"%s\",\"corrupt\":\"%s\",%s}", folder,
                         pair->clean, pair->corrupt, by_position));
        const MatrixBlock *positions = matrix_of(one, "ie");
        assert_int_equal(positions->n_columns, n);
        for (int role = 0; role < ROLES; role++) {
            counts[role] += at[role] >= 0;
            for (int32_t layer = 0; at[role] >= 0 && layer < roles->n_rows; layer++) {
                sums[layer][role] += positions->values[layer * n + at[role]];
            }
        }
        result_free(one);
    }
    for (int32_t i = 0; i < roles->n_rows * ROLES; i++) {
        int role = i % ROLES;
        if (counts[role] > 0) {
            assert_true(fabs(roles->values[i] - sums[i / ROLES][role] / counts[role]) <= 1e-6);
        } else if (role == BEFORE) {
            assert_true(roles->values[i] == 0); /* nothing has differed yet */
        } else if (role == MIDDLE) {
            assert_true(isnan(roles->values[i]));
        }
    }
    const TableBlock *effects = table_of(all, "effects");
    for (int32_t i = 0; i < effects->n_rows; i++) {
        double te = table_cell(effects, i, 2)->number - table_cell(effects, i, 3)->number;
        assert_true(!(fabs(te - table_cell(effects, i, 5)->number - table_cell(effects, i, 8)->number) > 1e-12));
    }
    result_free(all);
    unlink(path);
    remove_letters_model(folder);
}

static double estimated(const Result *result, const char *what) {
    const TableBlock *table = table_of(result, "estimate");
    for (int32_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table_cell(table, i, 0)->text.bytes, what) == 0) {
            return table_cell(table, i, 1)->number;
        }
    }
    fail_msg("no row '%s'", what);
    return 0;
}

/* As many cells as records have, and no unit measured. */
static void a_data_set_is_estimated(void **state) {
    char folder[64], path[64];
    Result *result;
    make_letters_model(folder);
    snprintf(path, sizeof path, "/tmp/limn-mediate-%d.jsonl", (int)getpid());
    write_letter_pairs(path);
    must(
        call_method(&result, "mediate",
                    "{\"model\":\"%s\",\"data\":\"%s\",\"prompt-field\":\"p\",\"corrupt-field\":\"c\",\"target\":\"s\","
                    "\"site\":[\"mlp_out\"],\"layers\":\"0:2\",\"estimate\":true}",
                    folder, path));
    assert_true(estimated(result, "cells") == LETTER_PAIRS * 3.0); /* the spoilt run and two layers */
    assert_true(estimated(result, "time, about") > 0 && estimated(result, "memory at its peak, about") > 0);
    result_free(result);
    unlink(path);
    remove_letters_model(folder);
}

static void refused(const char *more, limn_status status, const char *says) {
    Result *result;
    limn_status found = call_method(&result, "mediate", "{\"model\":\"%s\",\"ids\":\"1,2,3,4,5\",%s}",
                                    golden_folder("llama-old"), more);
    assert_int_equal(found, status);
    if (strstr(error_message(), says) == NULL) {
        fail_msg("'%s' does not say '%s'", error_message(), says);
    }
}

static void bad_input_is_refused_by_name(void **state) {
    refused("\"target-id\":1", LIMN_USAGE, "what is spoilt?");
    refused("\"subject-span\":\"1:2\",\"corrupt-ids\":\"1,2,9,4,5\"", LIMN_USAGE, "key words and a corrupt prompt");
    refused("\"subject-span\":\"1:2\",\"limit\":3", LIMN_USAGE, "'limit' goes with --data");
    refused("\"subject-span\":\"1:2\",\"label-field\":\"y\"", LIMN_USAGE, "'label-field' goes with --data");
    refused("\"data\":\"x.jsonl\",\"subject-field\":\"s\"", LIMN_USAGE, "both a prompt and --data");
    refused("\"subject-span\":\"1:2\",\"noise\":0", LIMN_RANGE, "option 'noise': found 0");
    refused("\"subject-span\":\"1:9\"", LIMN_USAGE, "within the prompt's 5 tokens");
    refused("\"subject\":\"abc\"", LIMN_USAGE, "use --subject-span");
    refused("\"subject-span\":\"1:2\",\"window\":99", LIMN_RANGE, "found 99 layers");
    refused("\"subject-span\":\"1:2\",\"window\":2,\"onward\":true", LIMN_USAGE, "--onward");
    refused("\"subject-span\":\"1:2\",\"site\":[\"mlp\"]", LIMN_USAGE, "nearest: 'mlp_out'");
    refused("\"subject-span\":\"1:2\",\"by\":\"head\",\"site\":[\"mlp_out\"]", LIMN_USAGE, "has no heads");
    refused("\"subject-span\":\"1:2\",\"positions\":\"some\"", LIMN_USAGE, "expected all, keys");
    refused("\"subject-span\":\"1:2\",\"positions\":\"3:8\"", LIMN_RANGE, "has 5 tokens");
    refused("\"subject-span\":\"1:2\",\"layers\":\"1:99\"", LIMN_RANGE, "option 'layers'");
    refused("\"subject-span\":\"1:2\",\"tokens\":\"99999\"", LIMN_RANGE, "option 'tokens'");
    refused("\"corrupt-ids\":\"1,9,8,3,4,5\",\"positions\":\"keys\"", LIMN_USAGE, "counterpart");
    refused("\"subject-span\":\"1:3\",\"noise-values\":\"/nowhere.safetensors\"", LIMN_NOT_FOUND, "/nowhere");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(hooks_give_the_same),
    cmocka_unit_test(noise_has_the_tables_size),
    cmocka_unit_test(every_part_is_a_full_pass),
    cmocka_unit_test(effects_add_up),
    cmocka_unit_test(positions_of_records_are_roles),
    cmocka_unit_test(directions_of_records_are_means),
    cmocka_unit_test(a_data_set_is_estimated),
    cmocka_unit_test(records_are_units),
    cmocka_unit_test(bad_input_is_refused_by_name),
};

int main(void) {
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
