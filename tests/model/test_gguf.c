/* GGUF files of the Llama architecture, written here from a Hugging Face folder the way converters do (query and key
 * rows in rotary pairs), must give the same graph as the folder. */
#include "files/gguf.h"
#include "model/folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { U32 = 4, F32 = 6, STRING = 8 };
enum { GGUF_F32 = 0, GGUF_F16 = 1, GGUF_Q8_0 = 8 };

static void put(TextBuffer *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        text_buffer_add_char(out, (char)(value >> (8 * i)));
    }
}

static void put_text(TextBuffer *out, const char *text) {
    put(out, strlen(text), 8);
    text_buffer_add(out, text);
}

static void put_float(TextBuffer *out, float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put(out, bits, 4);
}

typedef struct Writer {
    TextBuffer pairs, tensors, data;
    uint64_t n_pairs, n_tensors;
    const char *skip_key, *skip_tensor; /* left out; NULL: nothing */
} Writer;

static void add_u32(Writer *writer, const char *key, uint32_t value) {
    if (writer->skip_key == NULL || strcmp(key, writer->skip_key) != 0) {
        put_text(&writer->pairs, key);
        put(&writer->pairs, U32, 4);
        put(&writer->pairs, value, 4);
        writer->n_pairs++;
    }
}

static void add_f32(Writer *writer, const char *key, float value) {
    put_text(&writer->pairs, key);
    put(&writer->pairs, F32, 4);
    put_float(&writer->pairs, value);
    writer->n_pairs++;
}

static void add_text(Writer *writer, const char *key, const char *value) {
    put_text(&writer->pairs, key);
    put(&writer->pairs, STRING, 4);
    put_text(&writer->pairs, value);
    writer->n_pairs++;
}

/* One block of 32 as Q8_0: an f16 scale and bytes. */
static void put_q8_0(TextBuffer *out, const float *values) {
    float largest = 0;
    for (int i = 0; i < 32; i++) {
        largest = fmaxf(largest, fabsf(values[i]));
    }
    uint16_t scale = f32_to_f16(largest / 127.0f);
    put(out, scale, 2);
    for (int i = 0; i < 32; i++) {
        put(out, (uint64_t)(int64_t)lrintf(values[i] / f16_to_f32(scale)), 1);
    }
}

static void add_tensor(Writer *writer, const char *name, int type, const float *values, int64_t rows, int64_t columns) {
    if (writer->skip_tensor != NULL && strcmp(name, writer->skip_tensor) == 0) {
        return;
    }
    put_text(&writer->tensors, name);
    put(&writer->tensors, columns == 1 ? 1 : 2, 4);
    if (columns != 1) {
        put(&writer->tensors, (uint64_t)columns, 8);
    }
    put(&writer->tensors, (uint64_t)rows, 8);
    put(&writer->tensors, (uint64_t)type, 4);
    put(&writer->tensors, writer->data.length, 8);
    for (int64_t i = 0; i < rows * columns; i += type == GGUF_Q8_0 ? 32 : 1) {
        if (type == GGUF_F32) {
            put_float(&writer->data, values[i]);
        } else if (type == GGUF_F16) {
            put(&writer->data, f32_to_f16(values[i]), 2);
        } else {
            put_q8_0(&writer->data, values + i);
        }
    }
    while (writer->data.length % 32 != 0) {
        text_buffer_add_char(&writer->data, '\0');
    }
    writer->n_tensors++;
}

/* Row h K + 2 i + j of the file is row h K + j K/2 + i of Hugging Face. */
static void pair_rows(float *out, const float *in, int64_t rows, int64_t columns, int64_t d_head) {
    for (int64_t row = 0; row < rows; row++) {
        int64_t within = row % d_head;
        int64_t from = row - within + within % 2 * (d_head / 2) + within / 2;
        memcpy(out + row * columns, in + from * columns, (size_t)columns * sizeof *out);
    }
}

static const char *gguf_name(const char *name, char out[96]) {
    static const char *const rows[][2] = {
        {"input_layernorm.", "attn_norm."}, {"post_attention_layernorm.", "ffn_norm."},
        {"self_attn.q_proj.", "attn_q."},   {"self_attn.k_proj.", "attn_k."},
        {"self_attn.v_proj.", "attn_v."},   {"self_attn.o_proj.", "attn_output."},
        {"mlp.gate_proj.", "ffn_gate."},    {"mlp.up_proj.", "ffn_up."},
        {"mlp.down_proj.", "ffn_down."},
    };
    int layer, length = 0;
    if (sscanf(name, "model.layers.%d.%n", &layer, &length) == 1 && length > 0) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if (strncmp(name + length, rows[i][0], strlen(rows[i][0])) == 0) {
                snprintf(out, 96, "blk.%d.%s%s", layer, rows[i][1], name + length + strlen(rows[i][0]));
                return out;
            }
        }
        return NULL; /* buffers */
    }
    return strcmp(name, "model.embed_tokens.weight") == 0 ? "token_embd.weight"
           : strcmp(name, "model.norm.weight") == 0       ? "output_norm.weight"
                                                          : "output.weight";
}

static void add_weights(Writer *writer, const char *name, int matrix_type, int64_t d_head) {
    TensorFiles *files;
    assert_int_equal(tensor_files_open(&files, case_path(name, "")), LIMN_OK);
    for (int32_t i = 0; i < tensor_files_count(files); i++) {
        const Tensor *tensor = tensor_files_at(files, i);
        char buffer[96];
        const char *to = gguf_name(tensor->name, buffer);
        int64_t n = tensor_elements(tensor), columns = tensor->rank == 2 ? tensor->shape[1] : 1;
        float *values = calloc((size_t)n * 2, sizeof *values);
        assert_non_null(values);
        assert_int_equal(tensor_read_f32(values, tensor, 0, n), LIMN_OK);
        float *stored = values;
        if (strstr(tensor->name, "q_proj") != NULL || strstr(tensor->name, "k_proj") != NULL) {
            stored = values + n;
            pair_rows(stored, values, n / columns, columns, d_head);
        }
        if (to != NULL) {
            bool blocks = columns % 32 == 0 || matrix_type != GGUF_Q8_0;
            add_tensor(writer, to, tensor->rank == 2 && blocks ? matrix_type : GGUF_F32, stored, n / columns, columns);
        }
        free(values);
    }
    tensor_files_close(files);
}

static void add_metadata(Writer *writer, const Model *model, float theta) {
    const ModelConfig *config = &model->config;
    add_text(writer, "general.architecture", "llama");
    add_u32(writer, "llama.embedding_length", (uint32_t)config->d_model);
    add_u32(writer, "llama.block_count", (uint32_t)config->n_layers);
    add_u32(writer, "llama.attention.head_count", (uint32_t)config->n_heads);
    add_u32(writer, "llama.attention.head_count_kv", (uint32_t)config->n_kv_heads);
    add_u32(writer, "llama.attention.key_length", (uint32_t)config->d_head);
    add_u32(writer, "llama.attention.value_length", (uint32_t)config->d_head);
    add_u32(writer, "llama.rope.dimension_count", (uint32_t)config->d_head);
    add_u32(writer, "llama.feed_forward_length", (uint32_t)config->d_mlp);
    add_u32(writer, "llama.context_length", (uint32_t)config->n_context);
    add_f32(writer, "llama.attention.layer_norm_rms_epsilon", 0.02f);
    add_f32(writer, "llama.rope.freq_base", theta);
}

/* Writes model.gguf and leaves nothing else in the folder. */
static void finish(Writer *writer) {
    TextBuffer out = TEXT_BUFFER_INIT;
    text_buffer_add(&out, "GGUF");
    put(&out, 3, 4);
    put(&out, writer->n_tensors, 8);
    put(&out, writer->n_pairs, 8);
    text_buffer_add_bytes(&out, writer->pairs.data, writer->pairs.length);
    text_buffer_add_bytes(&out, writer->tensors.data, writer->tensors.length);
    while (out.length % 32 != 0) {
        text_buffer_add_char(&out, '\0');
    }
    text_buffer_add_bytes(&out, writer->data.data, writer->data.length);
    assert_false(out.failed);
    folder_empty();
    folder_write("model.gguf", out.data, out.length);
    text_buffer_free(&out);
    text_buffer_free(&writer->pairs);
    text_buffer_free(&writer->tensors);
    text_buffer_free(&writer->data);
}

/* Largest difference of any weight of the graphs, over the largest weight. */
static double graphs_differ(const Model *one, const Model *other) {
    double worst = 0;
    assert_int_equal(one->graph.n_nodes, other->graph.n_nodes);
    for (NodeId node = 0; node < one->graph.n_nodes; node++) {
        const Op *a = &one->graph.nodes[node].op, *b = &other->graph.nodes[node].op;
        assert_int_equal(a->kind, b->kind);
        assert_true(a->attributes.epsilon == b->attributes.epsilon);
        assert_true(a->attributes.scale == b->attributes.scale);
        for (int32_t i = 0; i < a->attributes.rotary_dims / 2; i++) {
            double x = (double)a->attributes.inverse_freq[i], y = (double)b->attributes.inverse_freq[i];
            assert_true(fabs(x - y) <= 1e-6 * fabs(x));
        }
        for (int w = 0; w < OP_MAX_WEIGHTS; w++) {
            const Weight *x = &a->weights[w], *y = &b->weights[w];
            assert_int_equal(x->name == NULL, y->name == NULL);
            double largest = 0, difference = 0;
            for (int64_t i = 0; x->name != NULL && i < x->rows * x->columns; i++) {
                double value = (double)weight_at(x, i / x->columns, i % x->columns);
                largest = fmax(largest, fabs(value));
                difference = fmax(difference, fabs(value - (double)weight_at(y, i / y->columns, i % y->columns)));
            }
            worst = fmax(worst, largest > 0 ? difference / largest : 0);
        }
    }
    return worst;
}

static void files_give_the_graph_of_the_folder(void **state) {
    static const struct {
        const char *name;
        float theta;
        int type;
        double least, most; /* difference: quantised files differ, and must */
    } rows[] = {{"llama-old", 500.0f, GGUF_F32, 0, 0},
                {"llama-old", 500.0f, GGUF_F16, 1e-5, 5e-4},
                {"llama-old", 500.0f, GGUF_Q8_0, 1e-4, 5e-3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Model *folder = open_or_fail(case_path(rows[i].name, ""), NULL);
        Writer writer = {0};
        add_metadata(&writer, folder, rows[i].theta);
        add_weights(&writer, rows[i].name, rows[i].type, folder->config.d_head);
        finish(&writer);
        Model *file = folder_open(NULL); /* a folder with nothing but a GGUF file means that file */
        double difference = graphs_differ(folder, file);
        assert_true(difference >= rows[i].least && difference <= rows[i].most);
        assert_int_equal(file->n_warnings, 0);
        assert_int_equal(file->config.n_vocab, 61);
        model_free(file);
        model_free(folder);
    }
}

/* Biases (their rows are paired too), linear scaling, grouped queries. */
static void biases_and_linear_scaling(void **state) {
    Model *folder = open_or_fail(case_path("llama-bias", ""), NULL);
    Writer writer = {0};
    add_metadata(&writer, folder, 500.0f);
    add_text(&writer, "llama.rope.scaling.type", "linear");
    add_f32(&writer, "llama.rope.scaling.factor", 2.5f);
    add_weights(&writer, "llama-bias", GGUF_F32, folder->config.d_head);
    finish(&writer);
    Model *file = folder_open(NULL);
    for (NodeId node = 0; node < file->graph.n_nodes; node++) {
        if (file->graph.nodes[node].op.kind == OP_ACTIVATION) { /* GGUF has no word for it */
            assert_int_equal(file->graph.nodes[node].op.attributes.activation, ACTIVATION_SILU);
        }
    }
    assert_true(graphs_differ(folder, file) == 0);
    model_free(file);
    model_free(folder);
}

/* A factor below 1 packs positions further apart; none at all, or none that divides, is refused. */
static void linear_factors(void **state) {
    static const struct {
        float factor;
        bool taken;
    } rows[] = {{0.25f, true}, {4.0f, true}, {0.0f, false}, {-2.0f, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Model *folder = open_or_fail(case_path("llama-old", ""), NULL);
        Writer writer = {0};
        add_metadata(&writer, folder, 500.0f);
        add_text(&writer, "llama.rope.scaling.type", "linear");
        add_f32(&writer, "llama.rope.scaling.factor", rows[i].factor);
        add_weights(&writer, "llama-old", GGUF_F32, folder->config.d_head);
        finish(&writer);
        if (rows[i].taken) {
            Model *file = folder_open(NULL);
            NodeId turned = graph_find_site(&file->graph, "blocks.1.attn.hook_rot_q");
            const OpAttributes *scaled = &file->graph.nodes[turned].op.attributes;
            const OpAttributes *plain = &folder->graph.nodes[turned].op.attributes;
            for (int32_t k = 0; k < plain->rotary_dims / 2; k++) {
                double expected = (double)plain->inverse_freq[k] / (double)rows[i].factor;
                assert_true(fabs((double)scaled->inverse_freq[k] - expected) <= 1e-6 * expected);
            }
            model_free(file);
        } else {
            assert_refused(LIMN_FORMAT, "model.gguf", "llama.rope.scaling.factor");
        }
        model_free(folder);
    }
}

/* Heads of another width than D/H, a tied head, and the divisors that stand for llama3 scaling. */
static void frequency_divisors(void **state) {
    Model *folder = open_or_fail(case_path("llama3", ""), NULL);
    Writer writer = {0};
    add_metadata(&writer, folder, 50.0f);
    add_weights(&writer, "llama3", GGUF_F32, folder->config.d_head);
    float divisors[6];
    const Op *rope = &folder->graph.nodes[graph_find_site(&folder->graph, "blocks.0.attn.hook_rot_q")].op;
    for (int i = 0; i < 6; i++) {
        divisors[i] = powf(50.0f, -(float)(2 * i) / 12.0f) / rope->attributes.inverse_freq[i];
    }
    assert_true(divisors[5] > 2.0f); /* there is something to divide by */
    add_tensor(&writer, "rope_freqs.weight", GGUF_F32, divisors, 6, 1);
    finish(&writer);
    Model *file = folder_open(NULL);
    assert_true(graphs_differ(folder, file) == 0);
    assert_ptr_equal(file->graph.nodes[file->graph.logits].op.weights[0].data,
                     file->graph.nodes[file->graph.embed].op.weights[0].data);
    model_free(file);
    model_free(folder);
}

/* What turns positions is named where it cannot be. */
static void wrong_rotations_are_named(void **state) {
    static const struct {
        const char *type; /* or NULL */
        float divisor;
        limn_status status;
        const char *said;
    } rows[] = {{"dynamic", 1, LIMN_UNSUPPORTED, "none, linear, yarn or longrope"},
                {NULL, 0, LIMN_FORMAT, "holds 0, expected positive numbers"},
                {NULL, -2, LIMN_FORMAT, "holds -2, expected positive numbers"},
                {NULL, NAN, LIMN_FORMAT, "expected positive numbers"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Model *folder = open_or_fail(case_path("llama-old", ""), NULL);
        Writer writer = {0};
        float divisors[64];
        int64_t n = folder->config.d_head / 2;
        add_metadata(&writer, folder, 500.0f);
        if (rows[i].type != NULL) {
            add_text(&writer, "llama.rope.scaling.type", rows[i].type);
        }
        add_weights(&writer, "llama-old", GGUF_F32, folder->config.d_head);
        for (int64_t k = 0; k < n; k++) {
            divisors[k] = k == 1 ? rows[i].divisor : 1;
        }
        add_tensor(&writer, "rope_freqs.weight", GGUF_F32, divisors, n, 1);
        finish(&writer);
        assert_refused(rows[i].status, "model.gguf", rows[i].said);
        model_free(folder);
    }
}

static void write_bent(const char *skip_key, const char *skip_tensor, const char *extra_key, uint32_t extra) {
    Model *folder = open_or_fail(case_path("llama-old", ""), NULL);
    Writer writer = {.skip_key = skip_key, .skip_tensor = skip_tensor};
    add_metadata(&writer, folder, 500.0f);
    add_weights(&writer, "llama-old", GGUF_F32, folder->config.d_head);
    if (extra_key != NULL) {
        writer.skip_key = NULL;
        add_u32(&writer, extra_key, extra);
    }
    finish(&writer);
    model_free(folder);
}

static void bad_files_are_named(void **state) {
    write_bent("llama.block_count", NULL, NULL, 0);
    assert_refused(LIMN_FORMAT, "model.gguf", "llama.block_count");
    write_bent(NULL, "blk.1.ffn_up.weight", NULL, 0);
    assert_refused(LIMN_FORMAT, "model.gguf", "blk.1.ffn_up.weight", "expected [48, 32]");
    write_bent(NULL, NULL, "llama.expert_count", 8);
    assert_refused(LIMN_FORMAT, "model.gguf", "llama.expert_used_count");
    write_bent(NULL, NULL, "llama.expert_count", 0);
    model_free(folder_open(NULL));
    write_bent("llama.rope.dimension_count", NULL, "llama.rope.dimension_count", 5);
    assert_refused(LIMN_FORMAT, "llama.rope.dimension_count");

    Writer writer = {0};
    add_text(&writer, "general.architecture", "mamba");
    finish(&writer);
    assert_refused(LIMN_UNSUPPORTED, "model.gguf", "mamba", "llama");
    writer = (Writer){0};
    add_u32(&writer, "general.alignment", 32);
    finish(&writer);
    assert_refused(LIMN_FORMAT, "general.architecture");
}

static void add_texts(Writer *writer, const char *key, const char *const *values, uint64_t n) {
    put_text(&writer->pairs, key);
    put(&writer->pairs, 9, 4); /* an array */
    put(&writer->pairs, STRING, 4);
    put(&writer->pairs, n, 8);
    for (uint64_t i = 0; i < n; i++) {
        put_text(&writer->pairs, values[i]);
    }
    writer->n_pairs++;
}

static void a_missing_split_rule_is_said(void **state) {
    static const char *const tokens[] = {"a", "b", "ab"};
    static const char *const merges[] = {"a b"};
    for (int with = 0; with < 2; with++) {
        Model *folder = open_or_fail(case_path("llama-old", ""), NULL);
        Writer writer = {0};
        add_metadata(&writer, folder, 500.0f);
        add_weights(&writer, "llama-old", GGUF_F32, folder->config.d_head);
        add_text(&writer, "tokenizer.ggml.model", "gpt2");
        if (with == 1) {
            add_text(&writer, "tokenizer.ggml.pre", "smollm");
        }
        add_texts(&writer, "tokenizer.ggml.tokens", tokens, 3);
        add_texts(&writer, "tokenizer.ggml.merges", merges, 1);
        finish(&writer);
        model_free(folder);
        Model *file = folder_open(NULL);
        assert_int_equal(file->n_warnings, 1 - with);
        if (with == 0) {
            assert_non_null(strstr(file->warnings[0], "tokenizer.ggml.pre"));
        }
        model_free(file);
    }
}

/* An encoder as converters write it, with a pooling or (-1) without. */
static void write_encoder(int pooling) {
    static const struct {
        const char *key;
        uint32_t value;
    } rows[] = {{"bert.vocab_size", 61},
                {"bert.block_count", 2},
                {"bert.context_length", 24},
                {"bert.embedding_length", 32},
                {"bert.feed_forward_length", 48},
                {"bert.attention.head_count", 4},
                {"tokenizer.ggml.token_type_count", 2}};
    Gguf *from;
    Writer writer = {0};
    assert_int_equal(gguf_open(&from, case_path("gguf", "bert-bare.gguf")), LIMN_OK);
    add_text(&writer, "general.architecture", "bert");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        add_u32(&writer, rows[i].key, rows[i].value);
    }
    add_f32(&writer, "bert.attention.layer_norm_epsilon", 0.02f);
    if (pooling >= 0) {
        add_u32(&writer, "bert.pooling_type", (uint32_t)pooling);
    }
    for (int32_t i = 0; i < gguf_tensor_count(from); i++) {
        const Tensor *tensor = gguf_tensor_at(from, i);
        int64_t n = tensor_elements(tensor), columns = tensor->rank == 2 ? tensor->shape[1] : 1;
        float *values = calloc((size_t)n, sizeof *values);
        assert_non_null(values);
        assert_int_equal(tensor_read_f32(values, tensor, 0, n), LIMN_OK);
        add_tensor(&writer, tensor->name, GGUF_F32, values, n / columns, columns);
        free(values);
    }
    gguf_close(from);
    finish(&writer);
}

/* How the rows of a sentence become one, by llama.cpp's numbers. */
static void poolings_are_llama_cpps(void **state) {
    static const struct {
        int kind;
        PoolMode mode;
        bool said;
    } rows[] = {{-1, POOL_MEAN, false},
                {0, POOL_MEAN, false},
                {1, POOL_MEAN, true},
                {2, POOL_FIRST, true},
                {3, POOL_LAST, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_encoder(rows[i].kind);
        Model *file = folder_open(NULL);
        const Pooling *pooling = &file->config.pooling;
        assert_int_equal(pooling->n_modes, 1);
        assert_int_equal(pooling->modes[0], rows[i].mode);
        assert_int_equal(pooling->source != NULL, rows[i].said);
        assert_null(pooling->refused);
        model_free(file);
    }
    write_encoder(4); /* a ranker's */
    Model *file = folder_open(NULL);
    assert_non_null(strstr(file->config.pooling.refused, "bert.pooling_type"));
    model_free(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_give_the_graph_of_the_folder),
        cmocka_unit_test(biases_and_linear_scaling),
        cmocka_unit_test(linear_factors),
        cmocka_unit_test(frequency_divisors),
        cmocka_unit_test(wrong_rotations_are_named),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(a_missing_split_rule_is_said),
        cmocka_unit_test(poolings_are_llama_cpps),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
