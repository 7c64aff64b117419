/* `diff` between a model and its copy whose tensors are multiplied by known factors: by f, a weight's relative change
 * is |f - 1|; scaled alone, one component's change is the whole difference. */
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
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char letters[64], copy[64];

static void copy_bytes(const char *name, const char *bytes, size_t length) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", copy, name);
    assert_int_equal(file_write_atomic(path, bytes, length), LIMN_OK);
}

static int set_up(void **state) {
    open_models();
    make_letters_model(letters);
    make_letters_model(copy); /* its files are written over */
    return 0;
}

static int tear_down(void **state) {
    remove_letters_model(letters);
    remove_letters_model(copy);
    close_models();
    return 0;
}

typedef struct Scaling {
    const char *tensor; /* the end of its name; NULL: no more */
    float factor;
    const char *component; /* what it changes */
    int layer;             /* -1: outside the layers */
} Scaling;

static bool ends_with(const char *text, const char *end) {
    return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

/* The folder's model with these tensors (F32) scaled, in `copy`. */
static void scale_model(const char *folder, const Scaling *scalings) {
    char path[1200], *bytes;
    size_t length;
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(file_read(&bytes, &length, path, (size_t)1 << 20), LIMN_OK);
    copy_bytes("config.json", bytes, length);
    free(bytes);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(file_read(&bytes, &length, path, (size_t)1 << 26), LIMN_OK);
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    json_t *tensors = json_loadb(bytes + 8, (size_t)header, 0, NULL), *tensor;
    const char *name;
    int scaled = 0, wanted = 0;
    for (; scalings[wanted].tensor != NULL; wanted++) {
        json_object_foreach(tensors, name, tensor) {
            if (ends_with(name, scalings[wanted].tensor)) {
                const json_t *offsets = json_object_get(tensor, "data_offsets");
                char *begin = bytes + 8 + header + json_integer_value(json_array_get(offsets, 0)),
                     *end = bytes + 8 + header + json_integer_value(json_array_get(offsets, 1));
                for (float value; begin < end; begin += sizeof value) {
                    memcpy(&value, begin, sizeof value);
                    value *= scalings[wanted].factor;
                    memcpy(begin, &value, sizeof value);
                }
                scaled++;
            }
        }
    }
    assert_int_equal(scaled, wanted); /* each names one */
    copy_bytes("model.safetensors", bytes, length);
    json_decref(tensors);
    free(bytes);
    close_models(); /* which hold what stood there before */
    open_models();
}

static Result *compared(const char *folder, const char *more) {
    char text[1600];
    snprintf(text, sizeof text, "'model': '%s', 'other': '%s'%s", folder, copy, more);
    return call_json("diff", json_of("", text));
}

static void near(const char *what, double found, double expected, double error) {
    if (!(fabs(found - expected) <= error * fmax(1.0, fabs(expected)))) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static double cell_of(const Result *result, const char *id, int layer, const char *column) {
    const MatrixBlock *matrix = matrix_of(result, id);
    for (int32_t i = 0; i < matrix->n_columns; i++) {
        if (strcmp(matrix->column_labels[i].bytes, column) == 0) {
            return matrix->values[layer * matrix->n_columns + i];
        }
    }
    fail_msg("no column '%s'", column);
    return (double)NAN;
}

/* ---- sizes ---- */

/* Each tensor by its own factor: what the component is called, and by how much it changed. */
static void every_weight_has_its_name(void **state) {
    static const struct {
        const char *model;
        Scaling scalings[20];
    } cases[] = {{"gpt2",
                  {{"wte.weight", 1.5F, "hook_embed", -1},
                   {"wpe.weight", 0.25F, "hook_pos_embed", -1},
                   {"h.1.ln_1.weight", 1.01F, "ln1", 1},
                   {"h.1.ln_1.bias", 1.02F, "ln1 bias", 1},
                   {"h.0.attn.c_proj.weight", 1.03F, "o", 0},
                   {"h.0.attn.c_proj.bias", 1.04F, "o bias", 0},
                   {"h.0.ln_2.weight", 1.05F, "ln2", 0},
                   {"h.0.ln_2.bias", 1.06F, "ln2 bias", 0},
                   {"h.1.mlp.c_fc.weight", 1.07F, "mlp in", 1},
                   {"h.1.mlp.c_fc.bias", 1.08F, "mlp in bias", 1},
                   {"h.0.mlp.c_proj.weight", 1.09F, "mlp out", 0},
                   {"h.0.mlp.c_proj.bias", 1.10F, "mlp out bias", 0},
                   {"ln_f.weight", 1.11F, "ln_final", -1},
                   {"ln_f.bias", 1.12F, "ln_final bias", -1}}},
                 {"gpt2",
                  {{"h.0.attn.c_attn.weight", 0.9F, "q", 0},
                   {"h.1.attn.c_attn.weight", 0.8F, "k", 1},
                   {"h.0.attn.c_attn.bias", 1.3F, "v bias", 0},
                   {"h.1.attn.c_attn.bias", 1.4F, "q bias", 1}}},
                 {"gemma2",
                  {{"layers.0.input_layernorm.weight", 1.01F, "ln1", 0},
                   {"layers.0.self_attn.q_proj.weight", 1.02F, "q", 0},
                   {"layers.0.self_attn.k_proj.weight", 1.03F, "k", 0},
                   {"layers.0.self_attn.v_proj.weight", 1.04F, "v", 0},
                   {"layers.0.self_attn.o_proj.weight", 1.05F, "o", 0},
                   {"layers.0.post_attention_layernorm.weight", 1.06F, "ln1_post", 0},
                   {"layers.1.pre_feedforward_layernorm.weight", 1.07F, "ln2", 1},
                   {"layers.1.mlp.gate_proj.weight", 1.08F, "mlp gate", 1},
                   {"layers.1.mlp.up_proj.weight", 1.09F, "mlp in", 1},
                   {"layers.1.mlp.down_proj.weight", 1.10F, "mlp out", 1},
                   {"layers.1.post_feedforward_layernorm.weight", 1.11F, "ln2_post", 1},
                   {"model.norm.weight", 1.12F, "ln_final", -1}}},
                 {"bert-mlm",
                  {{"layer.0.attention.self.query.bias", 1.01F, "q bias", 0},
                   {"1.attention.self.key.bias", 1.02F, "k bias", 1},
                   {"1.attention.output.dense.weight", 1.03F, "o", 1},
                   {"1.attention.output.dense.bias", 1.04F, "o bias", 1},
                   {"1.intermediate.dense.bias", 1.05F, "mlp in bias", 1},
                   {"layer.0.output.dense.weight", 1.06F, "mlp out", 0},
                   {"layer.0.output.dense.bias", 1.07F, "mlp out bias", 0},
                   {"cls.predictions.bias", 1.08F, "cls.predictions.bias", -1}}}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const Scaling *scalings = cases[c].scalings;
        scale_model(golden_folder(cases[c].model), scalings);
        Result *result = compared(golden_folder(cases[c].model), "");
        const TableBlock *weights = table_of(result, "weights");
        for (const Scaling *one = scalings; one->tensor != NULL; one++) {
            double expected = fabs((double)one->factor - 1);
            char name[64];
            if (one->layer >= 0) {
                near(one->tensor, cell_of(result, "norm", one->layer, one->component), expected, 1e-6);
                snprintf(name, sizeof name, "layer %d %s", one->layer, one->component);
            } else {
                snprintf(name, sizeof name, "%s", one->component);
            }
            int found = 0;
            for (int32_t row = 0; row < weights->n_rows; row++) {
                if (strcmp(table_cell(weights, row, 0)->text.bytes, name) == 0) {
                    near(name, table_cell(weights, row, 1)->number, expected, 1e-6);
                    found++;
                }
                assert_true(row == 0 || table_cell(weights, row, 1)->number <= table_cell(weights, row - 1, 1)->number);
            }
            assert_int_equal(found, 1);
        }
        result_free(result);
    }
}

/* The twenty that changed most are listed, of all that did. */
static void the_table_is_short(void **state) {
    Scaling scalings[24];
    char names[24][64];
    for (int i = 0; i < 23; i++) {
        static const char *const ends[] = {"ln_1.weight",     "ln_1.bias",          "ln_2.weight",
                                           "ln_2.bias",       "attn.c_proj.weight", "attn.c_proj.bias",
                                           "mlp.c_fc.weight", "mlp.c_fc.bias",      "mlp.c_proj.weight",
                                           "mlp.c_proj.bias", "attn.c_attn.weight"};
        snprintf(names[i], sizeof names[i], "h.%d.%s", i / 11 % 2, ends[i % 11]);
        scalings[i] = (Scaling){names[i], 1.5F, NULL, 0};
    }
    scalings[22] = (Scaling){NULL, 0, NULL, 0}; /* 20 and two of q, k and v */
    scale_model(golden_folder("gpt2"), scalings);
    Result *result = compared(golden_folder("gpt2"), "");
    assert_int_equal(table_of(result, "weights")->n_rows, 20);
    assert_non_null(strstr(result_find_block(result, "weights")->note.bytes, "20 of 26 changed weights"));
    result_free(result);
}

/* One head's value, or all of a layer's; what is not a head's own changes none. */
static void heads_change_by_their_weights(void **state) {
    static const struct {
        Scaling scalings[3];
        double heads[2]; /* of each layer; below 0: between the two factors */
    } cases[] = {{{{"h.1.attn.c_attn.weight", 1.25F, NULL, 0}}, {0, 0.25}},
                 {{{"h.0.attn.c_proj.weight", 0.5F, NULL, 0}}, {0.5, 0}},
                 {{{"h.0.attn.c_proj.bias", 3, NULL, 0}, {"h.1.attn.c_attn.bias", 3, NULL, 0}}, {0, 0}},
                 {{{"h.0.attn.c_attn.weight", 1.1F, NULL, 0}, {"h.0.attn.c_proj.weight", 1.4F, NULL, 0}}, {-1, 0}}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        scale_model(golden_folder("gpt2"), cases[c].scalings);
        Result *result = compared(golden_folder("gpt2"), "");
        const MatrixBlock *heads = matrix_of(result, "heads");
        assert_false(heads->is_signed);
        assert_string_equal(heads->column_labels[1].bytes, "1");
        assert_string_equal(heads->row_labels[1].bytes, "1");
        for (int i = 0; i < 2 * heads->n_columns; i++) {
            double expected = cases[c].heads[i / heads->n_columns], found = heads->values[i];
            if (expected < 0) {
                assert_true(found > 0.11 && found < 0.39);
            } else {
                near("head", found, expected, 1e-6);
            }
        }
        result_free(result);
    }
}

/* The energy of the largest direction, and of all; a vector has neither. */
static void spectra_follow_from_the_largest(void **state) {
    static const Scaling scalings[] = {{"layers.1.mlp.down_proj.weight", 1.5F, NULL, 0},
                                       {"layers.0.self_attn.q_proj.weight", 0.75F, NULL, 0},
                                       {"layers.0.input_layernorm.weight", 4, NULL, 0},
                                       {NULL, 0, NULL, 0}};
    scale_model(letters, scalings);
    static const char *const asked[] = {", 'top-k': 1", "", ", 'top-k': 1000000", ", 'no-spectrum': true"};
    double four[2] = {0, 0};
    for (int i = 0; i < 4; i++) {
        Result *result = compared(letters, asked[i]);
        const TableBlock *weights = table_of(result, "weights");
        assert_int_equal(weights->n_rows, 3);
        assert_string_equal(table_cell(weights, 0, 0)->text.bytes, "layer 0 ln1");
        assert_string_equal(table_cell(weights, 1, 0)->text.bytes, "layer 1 mlp out");
        assert_string_equal(table_cell(weights, 2, 0)->text.bytes, "layer 0 q");
        assert_non_null(strstr(result_find_block(result, "weights")->note.bytes, "3 of 3 changed weights"));
        assert_non_null(strstr(result_find_block(result, "weights")->note.bytes, i == 0   ? "share of the 1 largest"
                                                                                 : i == 1 ? "share of the 4 largest"
                                                                                          : "largest"));
        assert_string_equal(result->headline.bytes, "Changed most, by norm: layer 0 ln1 (300%)");
        assert_int_equal(table_cell(weights, 0, 3)->kind, VALUE_NULL); /* a vector has no directions */
        for (int row = 1; row < 3; row++) {
            double change = table_cell(weights, row, 2)->number, largest = table_cell(weights, row, 3)->number,
                   rank = table_cell(weights, row, 4)->number, energy = table_cell(weights, row, 5)->number;
            double share = largest * largest / (change * change);
            if (i == 3) {
                assert_int_equal(table_cell(weights, row, 3)->kind, VALUE_NULL);
                assert_int_equal(table_cell(weights, row, 4)->kind, VALUE_NULL);
                assert_int_equal(table_cell(weights, row, 5)->kind, VALUE_NULL);
                continue;
            }
            assert_true(rank > 5 && rank <= 32.0001 && share > 1.0 / 32);
            assert_true(i == 0 ? fabs(energy - share) < 1e-5 : i == 1 ? energy > 1.5 * share : energy > 0.99999);
            four[row - 1] = i == 1 ? energy : four[row - 1];
            assert_true(i != 1 || energy < 0.8);
        }
        assert_int_equal(result_find_block(result, "effective-rank") != NULL, i < 3);
        assert_int_equal(result_find_block(result, "energy") != NULL, i < 3);
        if (i < 3) {
            assert_true(result_find_block(result, "energy")->detail && !result_find_block(result, "norm")->detail);
            near("the matrix", cell_of(result, "energy", 1, "mlp out"), table_cell(weights, 1, 5)->number, 1e-9);
            near("the matrix", cell_of(result, "effective-rank", 0, "q"), table_cell(weights, 2, 4)->number, 1e-9);
            assert_true(isnan(cell_of(result, "effective-rank", 0, "mlp out"))); /* nothing changed there */
            assert_true(cell_of(result, "norm", 0, "mlp out") == 0.0);
        }
        result_free(result);
    }
}

/* Experts of a layer are one component: their shares of its size add up. */
static void experts_are_one_component(void **state) {
    double sum = 0;
    for (int expert = 0; expert < 5; expert++) {
        char tensor[64];
        snprintf(tensor, sizeof tensor, "layers.1.block_sparse_moe.experts.%d.w2.weight", expert);
        const Scaling scalings[] = {{tensor, 2, NULL, 0}, {NULL, 0, NULL, 0}};
        scale_model(golden_folder("mixtral"), scalings);
        Result *result = compared(golden_folder("mixtral"), "");
        const MatrixBlock *norms = matrix_of(result, "norm");
        int changed = 0;
        for (int i = 0; i < norms->n_rows * norms->n_columns; i++) {
            changed += norms->values[i] != 0;
            sum += norms->values[i] * norms->values[i];
        }
        assert_int_equal(changed, 1);
        near("an expert alone", table_cell(table_of(result, "weights"), 0, 1)->number, 1, 1e-6);
        assert_int_equal(table_cell(table_of(result, "weights"), 0, 3)->kind, VALUE_NULL); /* too many of them */
        result_free(result);
    }
    near("all experts", sum, 1, 1e-6);
}

/* ---- effects ---- */

static double answer_of(const Result *result, int side) {
    return table_cell(table_of(result, "answers"), side, 1)->number;
}

static double outside_of(const Result *result) {
    for (size_t i = 0; i < result->params.count; i++) {
        if (strcmp(result->params.items[i].name, "outside-layers") == 0) {
            return result->params.items[i].value.number;
        }
    }
    fail_msg("no 'outside-layers'");
    return (double)NAN;
}

/* A component that was scaled alone is all of the difference, taken out or put in; the head alone is none of theirs. */
static void one_component_is_the_difference(void **state) {
    static const struct {
        const char *model, *tensor, *component;
        int layer;
    } cases[] = {{"letters", "layers.0.mlp.down_proj.weight", "MLP", 0},
                 {"letters", "layers.1.mlp.up_proj.weight", "MLP", 1},
                 {"letters", "layers.0.self_attn.v_proj.weight", "attention", 0},
                 {"letters", "layers.1.self_attn.o_proj.weight", "attention", 1},
                 {"letters", "lm_head.weight", NULL, 0},
                 {"gpt2", "h.0.attn.c_proj.weight", "attention", 0},
                 {"gpt2", "h.1.mlp.c_fc.bias", "MLP", 1},
                 {"falcon-7b", "h.0.mlp.dense_4h_to_h.weight", "MLP", 0},
                 {"falcon-7b", "h.0.self_attention.dense.weight", "attention", 0}};
    for (size_t c = 0; c < 2 * sizeof cases / sizeof cases[0]; c++) {
        bool chinese = c % 2 == 1;
        const char *folder = strcmp(cases[c / 2].model, "letters") == 0 ? letters : golden_folder(cases[c / 2].model);
        const char *component = cases[c / 2].component;
        const Scaling scalings[] = {{cases[c / 2].tensor, 1.75F, NULL, 0}, {NULL, 0, NULL, 0}};
        char more[128], name[64];
        scale_model(folder, scalings);
        snprintf(more, sizeof more, ", 'ids': [3, 1, 4, 1, 5], 'language': '%s'", chinese ? "zh" : "en");
        Result *result = compared(folder, more);
        double moved = answer_of(result, 1) - answer_of(result, 0);
        near(cases[c / 2].tensor, outside_of(result), component == NULL ? fabs(moved) : 0, 1e-5);
        assert_true(fabs(moved) > 1e-3);
        if (chinese && component != NULL && strcmp(component, "attention") == 0) {
            component = "注意力";
        }
        for (int k = 0; k < 2; k++) {
            const MatrixBlock *matrix = matrix_of(result, k == 0 ? "effect-out" : "effect-in");
            for (int i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
                bool own = component != NULL && i / 2 == cases[c / 2].layer &&
                           strcmp(matrix->column_labels[i % 2].bytes, component) == 0;
                near(cases[c / 2].tensor, matrix->values[i], own ? moved : 0, 1e-5);
            }
        }
        const TableBlock *table = table_of(result, "effects");
        if (component != NULL) {
            snprintf(name, sizeof name, chinese ? "第 %d 层%s" : "layer %d %s", cases[c / 2].layer, component);
            assert_string_equal(table_cell(table, 0, 0)->text.bytes, name);
            near("lost", table_cell(table, 0, 1)->number, moved, 1e-5);
            near("gained", table_cell(table, 0, 3)->number, moved, 1e-5);
            assert_non_null(strstr(result->headline.bytes, name));
        }
        assert_int_equal(table->n_rows, 2 * matrix_of(result, "effect-out")->n_rows);
        assert_int_equal(table_cell(table, 0, 2)->kind, VALUE_NULL); /* one text has no error */
        assert_true(result_find_block(result, "effect-out")->note.bytes == NULL);
        result_free(result);
    }
}

static const Scaling several[] = {{"layers.0.mlp.down_proj.weight", 1.5F, NULL, 0},
                                  {"layers.0.self_attn.q_proj.weight", 2, NULL, 0},
                                  {"layers.1.self_attn.v_proj.weight", 0.25F, NULL, 0},
                                  {"layers.1.mlp.up_proj.weight", 1.25F, NULL, 0},
                                  {NULL, 0, NULL, 0}};
enum { CELLS = 4, HEADS = 8 };

/* Effects of the copy above: out and in, of layers or heads. */
typedef struct Effects {
    double cells[2][CELLS], heads[2][HEADS], answers[2];
} Effects;

static Effects effects_of(const char *more) {
    Result *result = compared(letters, more);
    assert_int_equal(table_of(result, "effects")->n_rows, strstr(more, "heads") != NULL ? CELLS + HEADS : CELLS);
    Effects effects = {.answers = {answer_of(result, 0), answer_of(result, 1)}};
    memcpy(effects.cells[0], matrix_of(result, "effect-out")->values, sizeof effects.cells[0]);
    memcpy(effects.cells[1], matrix_of(result, "effect-in")->values, sizeof effects.cells[1]);
    if (result_find_block(result, "heads-out") != NULL) {
        memcpy(effects.heads[0], matrix_of(result, "heads-out")->values, sizeof effects.heads[0]);
        memcpy(effects.heads[1], matrix_of(result, "heads-in")->values, sizeof effects.heads[1]);
    }
    result_free(result);
    return effects;
}

/* log P(two tokens) is the sum of both, a lead the difference of two. */
static void effects_add_up(void **state) {
    scale_model(letters, several);
    Effects two = effects_of(", 'prompt': 'abcab', 'target': 'de', 'heads': true"),
            d = effects_of(", 'prompt': 'abcab', 'target': 'd', 'heads': true"),
            e_after = effects_of(", 'prompt': 'abcabd', 'target': 'e', 'heads': true"),
            e = effects_of(", 'prompt': 'abcab', 'target': 'e'"),
            lead = effects_of(", 'prompt': 'abcab', 'target': 'd', 'contrast': 'e'");
    for (int side = 0; side < 2; side++) {
        near("both tokens", two.answers[side], d.answers[side] + e_after.answers[side], 1e-5);
        near("the lead", lead.answers[side], d.answers[side] - e.answers[side], 1e-5);
        for (int i = 0; i < CELLS; i++) {
            near("both tokens", two.cells[side][i], d.cells[side][i] + e_after.cells[side][i], 1e-5);
            near("the lead", lead.cells[side][i], d.cells[side][i] - e.cells[side][i], 1e-5);
            assert_true(fabs(d.cells[side][i]) > 1e-4);
        }
        for (int i = 0; i < HEADS; i++) {
            near("heads", two.heads[side][i], d.heads[side][i] + e_after.heads[side][i], 1e-5);
            assert_true(fabs(d.heads[side][i]) > 1e-5);
        }
    }
}

/* Components of a long text do not fit one batch; what stands before the text's last words has no part in a head's. */
static void long_texts_take_several_batches(void **state) {
    scale_model(letters, several);
    char text[160] = ", 'heads': true, 'target': 'd', 'prompt': '";
    for (int i = 0; i < 60; i++) {
        strcat(text, i % 3 == 0 ? "e" : i % 7 == 0 ? "k" : "a");
    }
    strcat(text, "'");
    Effects many = effects_of(text);
    for (int side = 0; side < 2; side++) {
        double sum = 0;
        for (int i = 0; i < HEADS; i++) {
            assert_true(fabs(many.heads[side][i]) > 1e-6);
            sum += i >= HEADS / 2 ? fabs(many.heads[side][i]) : 0;
            assert_true(fabs(many.heads[side][i] - many.cells[side][i % CELLS]) > 1e-6);
        }
        assert_true(sum > 1e-4);
    }
    /* a layer's only head is its attention */
    static const Scaling nothing[] = {{NULL, 0, NULL, 0}};
    scale_model(letters, nothing);
    Result *result = compared(letters, text);
    for (int i = 0; i < HEADS; i++) {
        near("no difference", matrix_of(result, "heads-in")->values[i], 0, 1e-6);
    }
    assert_string_equal(result->headline.bytes, "No weight differs");
    result_free(result);
}

static void write_lines(char path[64], const char *text) {
    snprintf(path, 64, "/tmp/limn-scaled-XXXXXX.jsonl");
    int descriptor = mkstemps(path, 6);
    assert_true(descriptor >= 0);
    close(descriptor);
    assert_int_equal(file_write_atomic(path, text, strlen(text)), LIMN_OK);
}

/* Means and standard errors over texts, those of largest effect first. */
static void texts_are_averaged(void **state) {
    static const char *const prompts[] = {"abcab", "dd", "fgh i"};
    char path[64], more[160];
    scale_model(letters, several);
    Effects each[3];
    for (int t = 0; t < 3; t++) {
        snprintf(more, sizeof more, ", 'prompt': '%s', 'target': 'd'", prompts[t]);
        each[t] = effects_of(more);
    }
    write_lines(path, "{\"text\": \"abcab\"}\n{\"text\": \"dd\"}\n{\"text\": \"fgh i\"}\n");
    snprintf(more, sizeof more, ", 'data': '%s', 'target': 'd'", path);
    Result *result = compared(letters, more);
    unlink(path);
    const TableBlock *table = table_of(result, "effects");
    static const char *const names[] = {"layer 0 attention", "layer 0 MLP", "layer 1 attention", "layer 1 MLP"};
    double last = INFINITY;
    for (int row = 0; row < CELLS; row++) {
        int i = 0;
        while (strcmp(table_cell(table, row, 0)->text.bytes, names[i]) != 0) {
            assert_true(++i < CELLS);
        }
        for (int k = 0; k < 2; k++) {
            double mean = 0, squares = 0;
            for (int t = 0; t < 3; t++) {
                mean += each[t].cells[k][i] / 3;
            }
            for (int t = 0; t < 3; t++) {
                squares += (each[t].cells[k][i] - mean) * (each[t].cells[k][i] - mean);
            }
            near(names[i], table_cell(table, row, 1 + 2 * k)->number, mean, 1e-6);
            near("its error", table_cell(table, row, 2 + 2 * k)->number, sqrt(squares / 2 / 3), 1e-6);
            near("in the matrix", matrix_of(result, k == 0 ? "effect-out" : "effect-in")->values[i], mean, 1e-6);
        }
        assert_true(fabs(table_cell(table, row, 1)->number) <= last);
        last = fabs(table_cell(table, row, 1)->number);
    }
    double moved = 0, base = 0;
    for (int t = 0; t < 3; t++) {
        moved += (each[t].answers[1] - each[t].answers[0]) / 3;
        base += each[t].answers[0] / 3;
    }
    near("the base", answer_of(result, 0), base, 1e-6);
    near("its share", table_cell(table_of(result, "answers"), 0, 2)->number, exp(base), 1e-6);
    near("moved", answer_of(result, 1) - answer_of(result, 0), moved, 1e-6);
    char said[160];
    snprintf(said, sizeof said, "by effect on the target: %s (%+.3g; the whole tuning %+.3g)",
             table_cell(table, 0, 0)->text.bytes, table_cell(table, 0, 1)->number, moved);
    assert_non_null(strstr(result->headline.bytes, said));
    assert_string_equal(result_find_block(result, "effect-in")->note.bytes, "means over 3 texts");
    assert_string_equal(result_find_block(result, "answers")->note.bytes, "log-probability: mean over texts");
    assert_string_equal(result_find_block(result, "effects")->unit.bytes, "change of the log-probability");
    result_free(result);
}

static int64_t texts_of(const char *lines, const char *more) {
    char path[64], text[256];
    write_lines(path, lines);
    snprintf(text, sizeof text, ", 'data': '%s', 'target': 'd'%s", path, more);
    Result *result = compared(letters, text);
    unlink(path);
    int64_t n = -1;
    for (size_t i = 0; i < result->params.count; i++) {
        n = strcmp(result->params.items[i].name, "texts") == 0 ? result->params.items[i].value.integer : n;
    }
    result_free(result);
    return n;
}

static void texts_are_counted(void **state) {
#define LINE "{\"text\": \"ab\", \"q\": \"\"}\n"
    scale_model(letters, several);
    const char *nine = LINE LINE LINE LINE LINE LINE LINE LINE LINE;
    assert_int_equal(texts_of(nine, ""), 8);
    assert_int_equal(texts_of(nine, ", 'limit': 2"), 2);
    assert_int_equal(texts_of(nine, ", 'limit': 100"), 9);
    assert_int_equal(texts_of(LINE "{\"text\": \"\"}\n" LINE, ", 'on-error': 'skip'"), 2);
    char path[64], text[256];
    write_lines(path, LINE "{\"text\": \"\"}\n");
    snprintf(text, sizeof text, "'model': '%s', 'other': '%s', 'data': '%s', 'target': 'd'", letters, copy, path);
    refuse_json("diff", json_of("", text), LIMN_USAGE, ": line 2");
    strcat(text, ", 'prompt-field': 'q', 'on-error': 'skip'");
    refuse_json("diff", json_of("", text), LIMN_NOT_FOUND, "no record to measure effects on");
    unlink(path);
}

/* ---- what is recorded and refused ---- */

static void the_other_model_is_recorded(void **state) {
    scale_model(letters, several);
    Result *result = compared(letters, ""), *own = call_json("run", json_of(copy, "'model': '%', 'ids': [1, 2]"));
    bool hash = false, name = false;
    for (size_t i = 0; i < result->params.count; i++) {
        const Field *field = &result->params.items[i];
        hash = hash ||
               (strcmp(field->name, "other-hash") == 0 && strcmp(field->value.text.bytes, own->model.hash.bytes) == 0);
        name = name ||
               (strcmp(field->name, "other-name") == 0 && strcmp(field->value.text.bytes, own->model.name.bytes) == 0);
    }
    assert_true(hash && name);
    result_free(own);
    result_free(result);
}

static void questions_are_refused(void **state) {
    static const struct {
        const char *model, *more;
        limn_status status;
        const char *said;
    } cases[] = {
        {"letters", "'prompt-field': 'q'", LIMN_USAGE, "option 'prompt-field' goes with --data"},
        {"letters", "'template': 'q'", LIMN_USAGE, "option 'template' goes with --data"},
        {"letters", "'messages-field': 'q'", LIMN_USAGE, "option 'messages-field' goes with --data"},
        {"letters", "'as-chat': true", LIMN_USAGE, "option 'as-chat' goes with --data"},
        {"letters", "'system': 'q'", LIMN_USAGE, "option 'system' goes with --data"},
        {"letters", "'where': 'q > 1'", LIMN_USAGE, "option 'where' goes with --data"},
        {"letters", "'ids': [1], 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"letters", "'file': 'none.txt', 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"letters", "'chat': 'a', 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"letters", "'messages': '[]', 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"letters", "'prompt': 'a', 'target': 'de', 'contrast': 'fg'", LIMN_UNSUPPORTED, "answers of one token each"},
        {"letters", "'prompt': 'a', 'target': 'de', 'contrast': 'f'", LIMN_UNSUPPORTED, "answers of one token each"},
        {"letters", "'limit': 0", LIMN_RANGE, "'limit'"},
        {"letters", "'top-k': 0", LIMN_RANGE, "'top-k'"},
        {"letters", "'top-k': 1000001", LIMN_RANGE, "'top-k'"},
        {"bert-mlm", "'ids': [1, 2]", LIMN_UNSUPPORTED, "effects are measured on language models"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *folder = strcmp(cases[i].model, "letters") == 0 ? letters : golden_folder(cases[i].model);
        char text[1200];
        snprintf(text, sizeof text, "'model': '%s', 'other': '%s', %s", folder, folder, cases[i].more);
        refuse_json("diff", json_of("", text), cases[i].status, cases[i].said);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_weight_has_its_name),
                                       cmocka_unit_test(the_table_is_short),
                                       cmocka_unit_test(heads_change_by_their_weights),
                                       cmocka_unit_test(spectra_follow_from_the_largest),
                                       cmocka_unit_test(experts_are_one_component),
                                       cmocka_unit_test(one_component_is_the_difference),
                                       cmocka_unit_test(effects_add_up),
                                       cmocka_unit_test(long_texts_take_several_batches),
                                       cmocka_unit_test(texts_are_averaged),
                                       cmocka_unit_test(texts_are_counted),
                                       cmocka_unit_test(the_other_model_is_recorded),
                                       cmocka_unit_test(questions_are_refused)};
    return cmocka_run_group_tests_name("diff, scaled", tests, set_up, tear_down);
}
