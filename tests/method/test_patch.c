/* `patch`: every cell of every family, site, direction and window is what a full pass with that edit gives, and the
 * cell beside it is not; prompts of unequal length are aligned or refused; a planted circuit is found where it was put.
 */
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

#include "files/tensor_files.h"
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

#define TOLERANCE 1e-4
enum { TOKENS = 9, AT = 6, MUTANT = 20 };

typedef struct Case {
    const char *base;    /* a folder of tests/golden */
    const char *adapter; /* or NULL */
} Case;

static const Case cases[] = {
#define GOLDEN_CASE(name, has) {name, NULL},
#include "golden/cases.def"
#undef GOLDEN_CASE
    {"llama3", "adapters/patterns"},
    {"llama-bias", "adapters/dora"},
    {"gpt2", "adapters/dora-conv"},
    {"bert-mlm", "adapters/bert"},
    {"gemma2", "adapters/gemma2"},
    {"mixtral", "adapters/mixtral"},
    {"bert-classifier", "adapters/bert-classifier"},
    {"mistral", "adapters/mistral"},
};

static const char *const sites[] = {"resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "q", "k", "v", "z"};
static const char *const hooks[] = {"hook_resid_pre", "hook_resid_mid", "hook_resid_post",
                                    "hook_attn_out",  "hook_mlp_out",   "attn.hook_q",
                                    "attn.hook_k",    "attn.hook_v",    "attn.hook_z"};
enum { SITES = 9 };

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* ---- full passes, by nothing of the method's ---- */

typedef struct Full {
    Model *model;
    Engine *engine;
    int32_t clean[TOKENS], corrupt[TOKENS];
    int32_t target, contrast;
    OutputRow output;
} Full;

static void open_full(Full *full, const Case *one) {
    char folder[1024], adapter[1200];
    snprintf(folder, sizeof folder, "%s", golden_folder(one->base));
    AdapterUse use = {adapter, 1};
    if (one->adapter != NULL) {
        snprintf(adapter, sizeof adapter, "%s/1", golden_folder(one->adapter));
    }
    Team team = {0};
    must(
        model_open(&full->model, folder, &(ModelOptions){.adapters = &use, .n_adapters = one->adapter != NULL}, &team));
    must(engine_new(&full->engine, full->model, NULL));
    for (int i = 0; i < TOKENS; i++) {
        full->clean[i] = full->corrupt[i] = 7 + (i * 5) % 19;
    }
    full->corrupt[4] = 30;
    full->corrupt[7] = 31;
}

static void close_full(Full *full) {
    engine_free(full->engine);
    model_free(full->model);
}

static NodeId node_of(const Full *full, const char *hook, int32_t layer) {
    char name[96];
    snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, hook);
    return graph_find_site(&full->model->graph, name);
}

/* [n_layers][TOKENS, width] of one site in one pass; the caller's. */
static float **values_of(const Full *full, const int32_t *ids, const char *hook, int64_t *width) {
    SequenceInput input = {.ids = ids, .n = TOKENS};
    int32_t n_layers = full->model->config.n_layers;
    float **kept = calloc((size_t)n_layers, sizeof *kept);
    for (int32_t layer = 0; layer < n_layers; layer++) {
        NodeId node = node_of(full, hook, layer);
        RunRequest request = {.sequences = &input, .n_sequences = 1, .taps = &node, .n_taps = 1};
        must(engine_run(full->engine, &request, NULL));
        int32_t n_rows;
        const float *tap = engine_tap(full->engine, node, &n_rows, width);
        kept[layer] = malloc((size_t)n_rows * (size_t)*width * sizeof(float));
        memcpy(kept[layer], tap, (size_t)n_rows * (size_t)*width * sizeof(float));
    }
    return kept;
}

/* logit(target) - logit(contrast) of a pass with edits. */
static double full_pass(const Full *full, const int32_t *ids, const Edit *edits, int32_t n_edits) {
    SequenceInput input = {.ids = ids, .n = TOKENS};
    RunRequest request = {.sequences = &input,
                          .n_sequences = 1,
                          .outputs = &full->output,
                          .n_outputs = 1,
                          .edits = edits,
                          .n_edits = n_edits,
                          .logits = true};
    must(engine_run(full->engine, &request, NULL));
    const float *logits = engine_logits(full->engine);
    return (double)logits[full->target] - (full->contrast >= 0 ? (double)logits[full->contrast] : 0);
}

/* ---- one site of one model ---- */

typedef struct Trial {
    const Case *one;
    Full *full;
    const char *site, *hook;
    bool heads, reverse;
    int window;
} Trial;

static limn_status ask(Result **result, const Trial *trial) {
    const Case *one = trial->one;
    const ModelConfig *config = &trial->full->model->config;
    char clean[128] = "", corrupt[128] = "", folder[1024], adapter[1300] = "", what[64];
    for (int i = 0; i < TOKENS; i++) {
        sprintf(clean + strlen(clean), "%s%d", i > 0 ? "," : "", (int)trial->full->clean[i]);
        sprintf(corrupt + strlen(corrupt), "%s%d", i > 0 ? "," : "", (int)trial->full->corrupt[i]);
    }
    snprintf(folder, sizeof folder, "%s", golden_folder(one->base));
    if (one->adapter != NULL) {
        snprintf(adapter, sizeof adapter, ",\"adapter\":[\"%s/1\"]", golden_folder(one->adapter));
    }
    snprintf(what, sizeof what,
             config->task == TASK_CLASSIFIER  ? "\"class\":\"0\""
             : config->task == TASK_MASKED_LM ? "\"target-id\":11,\"at\":\"%d\""
                                              : "\"target-id\":11",
             AT);
    return call_method(result, "patch",
                       "{\"model\":\"%s\",\"ids\":\"%s\",\"corrupt-ids\":\"%s\",%s,\"site\":\"%s\",\"reverse\":%s,"
                       "\"window\":%d%s}",
                       folder, clean, corrupt, what, trial->site, trial->reverse ? "true" : "false", trial->window,
                       adapter);
}

/* The edits of a cell; `off` moves where values come from: a mutant. */
static int32_t cell_edits(const Trial *trial, float *const *values, int64_t width, int32_t layer, int32_t column,
                          int off, Edit *edits) {
    int32_t n_layers = trial->full->model->config.n_layers, n = 0;
    int32_t from = layer - trial->window / 2, to = from + trial->window;
    const RowShape *shape = &trial->full->model->graph.nodes[node_of(trial->full, trial->hook, 0)].op.out;
    int64_t head = trial->heads ? shape->dims[1] : 0;
    for (int32_t l = from < 0 ? 0 : from; l < to && l < n_layers; l++) {
        int32_t row = trial->heads ? 0 : column;
        int64_t begin = trial->heads ? column * head : 0, end = trial->heads ? begin + head : width;
        int32_t source = trial->heads ? row : (row + off) % TOKENS;
        const float *at = values[trial->heads ? (l + off) % n_layers : l] + source * width + begin;
        edits[n++] = (Edit){.node = node_of(trial->full, trial->hook, l),
                            .row_begin = row,
                            .row_end = trial->heads ? TOKENS : row + 1,
                            .element_begin = begin,
                            .element_end = end,
                            .values = at,
                            .row_stride = width};
    }
    return n;
}

static void compare_cells(const Trial *trial, const Result *result) {
    const Full *full = trial->full;
    const int32_t *base = trial->reverse ? full->clean : full->corrupt;
    int64_t width;
    float **values = values_of(full, trial->reverse ? full->corrupt : full->clean, trial->hook, &width);
    const MatrixBlock *effects = matrix_of(result, "effects"), *shares = matrix_of(result, "normalised");
    double own = full_pass(full, base, NULL, 0), worst = 0, mutant = 0;
    double clean = full_pass(full, full->clean, NULL, 0), corrupt = full_pass(full, full->corrupt, NULL, 0);
    assert_int_equal(effects->n_rows, full->model->config.n_layers);
    for (int32_t cell = 0; cell < effects->n_rows * effects->n_columns; cell++) {
        Edit edits[8];
        int32_t layer = cell / effects->n_columns, column = cell % effects->n_columns;
        int32_t n = cell_edits(trial, values, width, layer, column, 0, edits);
        double expected = full_pass(full, base, edits, n);
        worst = fmax(worst, fabs(effects->values[cell] - (expected - own)));
        double share = (expected - corrupt) / (clean - corrupt);
        if (!(fabs(shares->values[cell] - share) <= 1e-3 * fmax(1, fabs(share)) / fmin(1, fabs(clean - corrupt)))) {
            fail_msg("%s %s: normalised %g, expected %g", trial->one->base, trial->site, shares->values[cell], share);
        }
        n = cell_edits(trial, values, width, layer, column, 1, edits);
        mutant = fmax(mutant, fabs(effects->values[cell] - (full_pass(full, base, edits, n) - own)));
    }
    for (int32_t layer = 0; layer < effects->n_rows; layer++) {
        free(values[layer]);
    }
    free(values);
    if (!(worst <= TOLERANCE)) {
        fail_msg("%s %s%s, window %d: a cell is off by %g", trial->one->base, trial->site,
                 trial->reverse ? " in reverse" : "", trial->window, worst);
    }
    if (!(mutant > MUTANT * TOLERANCE)) {
        fail_msg("%s %s: values of another place are off by %g only", trial->one->base, trial->site, mutant);
    }
}

static void check_passed(const Result *result, const char *where) {
    assert_true(result->n_checks >= 2);
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (result->checks[i].state != CHECK_PASS) {
            fail_msg("%s: check %s found %g", where, result->checks[i].name.bytes, result->checks[i].value);
        }
    }
}

static bool try_site(Trial *trial) {
    Result *result;
    Full *full = trial->full;
    limn_status status = ask(&result, trial);
    if (node_of(full, trial->hook, 0) == NODE_NONE) {
        assert_int_equal(status, LIMN_NOT_FOUND);
        return false;
    }
    must(status);
    full->target = result->target.ids[0];
    full->contrast = result->has_contrast ? result->contrast.ids[0] : -1;
    const ModelConfig *config = &full->model->config;
    full->output = (OutputRow){.row = config->task == TASK_MASKED_LM ? AT : config->causal ? TOKENS - 1 : 0};
    compare_cells(trial, result);
    check_passed(result, trial->one->base);
    result_free(result);
    return true;
}

static void every_cell_is_a_full_pass(void **state) {
    int tried = 0;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        Full full;
        open_full(&full, &cases[c]);
        for (int s = 0; s < SITES; s++) {
            Trial trial = {&cases[c],
                           &full,
                           sites[s],
                           hooks[s],
                           s >= 5,
                           (c + (size_t)s) % 2 == 1,
                           (c + (size_t)s) % 3 == 1 ? 2 : 1};
            if (full.model->config.task == TASK_ENCODER) {
                Result *result;
                assert_int_equal(ask(&result, &trial), LIMN_UNSUPPORTED);
                break;
            }
            tried += try_site(&trial);
        }
        close_full(&full);
    }
    assert_true(tried > 300);
}

/* ---- TransformerLens (tests/oracle/causal/make_patching.py) ---- */

static void list_text(char *out, const json_t *list) {
    size_t i;
    const json_t *item;
    *out = '\0';
    json_array_foreach(list, i, item) {
        sprintf(out + strlen(out), "%s%d", i > 0 ? "," : "", (int)json_integer_value(item));
    }
}

/* Largest difference of limn's matrix from the helper's, less the base run's own value; `shift` columns off: a mutant.
 */
static double helper_error(const MatrixBlock *found, const json_t *expected, double base, int shift) {
    double worst = 0;
    assert_int_equal(found->n_rows, json_array_size(expected));
    for (int32_t l = 0; l < found->n_rows; l++) {
        const json_t *row = json_array_get(expected, (size_t)l);
        assert_int_equal(found->n_columns, json_array_size(row));
        for (int32_t c = 0; c < found->n_columns; c++) {
            const json_t *value = json_array_get(row, (size_t)((c + shift) % found->n_columns));
            worst = fmax(worst, fabs(found->values[l * found->n_columns + c] + base - json_number_value(value)));
        }
    }
    return worst;
}

static void transformer_lens_gives_the_same(void **state) {
    json_t *golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/causal/patching.json", 0, NULL);
    assert_non_null(golden);
    char clean[128], corrupt[128];
    list_text(clean, json_object_get(golden, "clean"));
    list_text(corrupt, json_object_get(golden, "corrupt"));
    const char *site;
    json_t *expected;
    json_object_foreach(json_object_get(golden, "sites"), site, expected) {
        for (int reverse = 0; reverse < 2; reverse++) {
            Result *result;
            must(call_method(&result, "patch",
                             "{\"model\":\"%s\",\"ids\":\"%s\",\"corrupt-ids\":\"%s\",\"target-id\":%d,"
                             "\"site\":\"%s\",\"reverse\":%s}",
                             golden_folder("gpt2"), clean, corrupt,
                             (int)json_integer_value(json_object_get(golden, "target")), site,
                             reverse ? "true" : "false"));
            assert_int_equal(result->contrast.ids[0], json_integer_value(json_object_get(golden, "contrast")));
            double base = json_number_value(json_object_get(golden, reverse ? "clean_value" : "corrupt_value"));
            const json_t *matrix = json_object_get(expected, reverse ? "noising" : "denoising");
            double error = helper_error(matrix_of(result, "effects"), matrix, base, 0);
            double mutant = helper_error(matrix_of(result, "effects"), matrix, base, 1);
            if (!(error <= TOLERANCE) || !(mutant > MUTANT * TOLERANCE)) {
                fail_msg("%s: off by %g, a column off by %g", site, error, mutant);
            }
            result_free(result);
        }
    }
    json_decref(golden);
}

/* ---- what is aligned, what is refused ---- */

static double cell(const Result *result, const char *id, int32_t layer, int32_t column) {
    const MatrixBlock *matrix = matrix_of(result, id);
    assert_true(layer < matrix->n_rows && column < matrix->n_columns);
    return matrix->values[layer * matrix->n_columns + column];
}

/* One token became two: what both begin with has not differed yet, what stands between belongs to nothing, and behind
 * it the last position of the clean run goes into the last of the corrupt one. */
static void unequal_prompts_are_aligned_at_both_ends(void **state) {
    Result *result;
    must(call_method(&result, "patch",
                     "{\"model\":\"%s\",\"ids\":\"1,2,3,4,5\",\"corrupt-ids\":\"1,2,9,8,4,5\",\"target-id\":7,"
                     "\"metric\":\"logit\"}",
                     golden_folder("llama-old")));
    assert_int_equal(matrix_of(result, "effects")->n_columns, 6);
    assert_true(result->n_warnings >= 1);
    const int32_t layers = matrix_of(result, "effects")->n_rows;
    for (int32_t layer = 0; layer < layers; layer++) {
        assert_true(cell(result, "effects", layer, 0) == 0 && cell(result, "effects", layer, 1) == 0);
        assert_true(isnan(cell(result, "effects", layer, 2)) && isnan(cell(result, "effects", layer, 3)));
        assert_true((cell(result, "effects", layer, 5) != 0) == (layer > 0)); /* rotary: tokens are the same anywhere */
    }
    Full full;
    open_full(&full, &(Case){"llama-old", NULL});
    static const int32_t corrupt[] = {1, 2, 9, 8, 4, 5}, clean[] = {1, 2, 3, 4, 5};
    SequenceInput inputs[] = {{.ids = clean, .n = 5}, {.ids = corrupt, .n = 6}};
    NodeId node = node_of(&full, "hook_resid_pre", 1);
    RunRequest request = {.sequences = &inputs[0], .n_sequences = 1, .taps = &node, .n_taps = 1};
    must(engine_run(full.engine, &request, NULL));
    int32_t n_rows;
    int64_t width;
    const float *tap = engine_tap(full.engine, node, &n_rows, &width);
    float *row = malloc((size_t)width * sizeof *row);
    memcpy(row, tap + 3 * width, (size_t)width * sizeof *row); /* the 4 of the clean prompt */
    Edit edit = {.node = node, .row_begin = 4, .row_end = 5, .element_end = -1, .values = row};
    OutputRow last = {.row = 5};
    double found[2];
    for (int i = 0; i < 2; i++) {
        request = (RunRequest){.sequences = &inputs[1],
                               .n_sequences = 1,
                               .outputs = &last,
                               .n_outputs = 1,
                               .edits = &edit,
                               .n_edits = i,
                               .logits = true};
        must(engine_run(full.engine, &request, NULL));
        found[i] = (double)engine_logits(full.engine)[7];
    }
    assert_true(fabs(cell(result, "effects", 1, 4) - (found[1] - found[0])) <= TOLERANCE);
    assert_true(fabs(found[1] - found[0]) > MUTANT * TOLERANCE);
    free(row);
    close_full(&full);
    result_free(result);
}

static void metrics_agree(void **state) {
    static const char *const metrics[] = {"logprob", "prob", "logit", "kl"};
    double corrupt[4], after[4];
    for (int i = 0; i < 4; i++) {
        Result *result;
        must(call_method(&result, "patch",
                         "{\"model\":\"%s\",\"ids\":\"1,2,3,4,5\",\"corrupt-ids\":\"1,2,9,4,5\",\"target-id\":7,"
                         "\"metric\":\"%s\",\"site\":\"resid_post\"}",
                         golden_folder("llama-old"), metrics[i]));
        int32_t top = matrix_of(result, "effects")->n_rows - 1;
        for (size_t f = 0; f < result->params.count; f++) {
            if (strcmp(result->params.items[f].name, "corrupt-value") == 0) {
                corrupt[i] = result->params.items[f].value.number;
            }
        }
        after[i] = cell(result, "effects", top, 4) + corrupt[i];
        /* the last layer's stream at the last position is the answer: what it says is what the clean run says */
        assert_true(fabs(cell(result, "normalised", top, 4) - 1) <= 1e-4);
        check_passed(result, metrics[i]);
        result_free(result);
    }
    assert_true(fabs(exp(corrupt[0]) - corrupt[1]) <= 1e-6 && fabs(exp(after[0]) - after[1]) <= 1e-6);
    assert_true(corrupt[3] > 1e-3 && fabs(after[3]) <= 1e-5);
}

static void several_tokens_are_summed(void **state) {
    Result *result;
    char folder[64];
    make_letters_model(folder);
    must(call_method(&result, "patch",
                     "{\"model\":\"%s\",\"prompt\":\"a cab\",\"corrupt\":\"a dab\",\"target\":\" bed\"}", folder));
    assert_int_equal(result->target.n_ids, 4);
    check_passed(result, "several tokens");
    double log_p = 0;
    for (size_t f = 0; f < result->params.count; f++) {
        if (strcmp(result->params.items[f].name, "clean") == 0) {
            log_p = result->params.items[f].value.number;
        }
    }
    assert_true(fabs(log_p - result->target.log_probability) <= TOLERANCE);
    result_free(result);
    remove_letters_model(folder);
}

static void files_hold_the_grids(void **state) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/limn-patch-%d.safetensors", (int)getpid());
    Result *result;
    must(call_method(&result, "patch",
                     "{\"model\":\"%s\",\"ids\":\"1,2,3,4,5\",\"corrupt-ids\":\"1,2,9,4,5\",\"target-id\":7,"
                     "\"values\":\"%s\"}",
                     golden_folder("gpt2"), path));
    TensorFiles *files;
    must(tensor_files_open(&files, path));
    const Tensor *tensor = tensor_files_find(files, "effects");
    assert_non_null(tensor);
    const MatrixBlock *matrix = matrix_of(result, "effects");
    assert_true(tensor->shape[0] == matrix->n_rows && tensor->shape[1] == matrix->n_columns);
    for (int32_t i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
        assert_true(((const float *)tensor->data)[i] == (float)matrix->values[i]);
    }
    tensor_files_close(files);
    unlink(path);
    result_free(result);
}

static void refused(const char *more, limn_status status, const char *says) {
    Result *result;
    limn_status found =
        call_method(&result, "patch", "{\"model\":\"%s\",\"ids\":\"1,2,3,4,5\",%s}", golden_folder("llama-old"), more);
    assert_int_equal(found, status);
    if (strstr(error_message(), says) == NULL) {
        fail_msg("'%s' does not say '%s'", error_message(), says);
    }
}

static void bad_input_is_refused_by_name(void **state) {
    refused("\"corrupt-ids\":\"1,2,3,4,5\"", LIMN_USAGE, "token for token");
    refused("\"corrupt-ids\":\"1,2,3,9\"", LIMN_USAGE, "do not end alike");
    refused("\"target-id\":1", LIMN_USAGE, "found 0 corrupt prompts");
    refused("\"corrupt-ids\":\"1,2,9,4,5\",\"corrupt\":\"a\"", LIMN_USAGE, "found 2 corrupt prompts");
    refused("\"corrupt-ids\":\"1,2,9,4,5\",\"site\":\"resid_per\"", LIMN_USAGE, "nearest: 'resid_pre'");
    refused("\"corrupt-ids\":\"1,2,9,4,5\",\"window\":99", LIMN_RANGE, "found 99 layers");
    refused("\"corrupt-ids\":\"1,2,9,4,5\",\"by\":\"head\"", LIMN_USAGE, "resid_pre has no heads");
    refused("\"corrupt-ids\":\"1,2,9999,4,5\"", LIMN_RANGE, "the corrupt prompt");
    refused("\"corrupt-ids\":\"1,8,9,4,5,5\",\"at\":\"2\"", LIMN_USAGE, "read at position 2");
}

/* An answer to compare with is for the one metric that compares. */
static void a_contrast_wants_its_metric(void **state) {
    static const char *const commands[] = {"patch", "causal-grad"}, *const metrics[] = {"prob", "logprob", "kl"};
    char folder[64];
    make_letters_model(folder);
    for (int i = 0; i < 6; i++) {
        Result *result;
        assert_int_equal(call_method(&result, commands[i % 2],
                                     "{\"model\":\"%s\",\"prompt\":\"a cab\",\"corrupt\":\"a dab\",\"target\":\"d\","
                                     "\"contrast\":\"e\",\"metric\":\"%s\"}",
                                     folder, metrics[i / 2]),
                         LIMN_USAGE);
        assert_non_null(strstr(error_message(), "'contrast' goes with --metric logit-diff"));
    }
    remove_letters_model(folder);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_cell_is_a_full_pass),
    cmocka_unit_test(transformer_lens_gives_the_same),
    cmocka_unit_test(unequal_prompts_are_aligned_at_both_ends),
    cmocka_unit_test(metrics_agree),
    cmocka_unit_test(several_tokens_are_summed),
    cmocka_unit_test(files_hold_the_grids),
    cmocka_unit_test(bad_input_is_refused_by_name),
    cmocka_unit_test(a_contrast_wants_its_metric),
};

int main(void) {
    return cmocka_run_group_tests(tests, NULL, NULL);
}
