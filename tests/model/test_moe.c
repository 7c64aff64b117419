/* Opening folders with mixtures of experts: what is read under which name, what is refused and how it is said. */
#include "model/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Op *op_of(const Model *model, const char *site) {
    NodeId node = graph_find_site(&model->graph, site);
    if (node == NODE_NONE) {
        fail_msg("no site %s", site);
    }
    return &model->graph.nodes[node].op;
}

static void configuration_is_read(void **state) {
    Model *model = open_or_fail(case_path("qwen2-moe", ""), &(ModelOptions){.config_only = true});
    assert_int_equal(model->config.n_experts, 6);
    assert_int_equal(model->config.n_used, 3);
    assert_int_equal(model->config.d_expert, 20);
    assert_int_equal(op_of(model, "blocks.0.mlp.hook_expert_indices")->attributes.top_k, 3);
    assert_false(op_of(model, "blocks.0.mlp.hook_routing_weights")->attributes.sum_to_one);
    assert_int_equal(op_of(model, "blocks.1.mlp.hook_post")->out.dims[0], 48); /* the plain layer */
    assert_int_equal(op_of(model, "blocks.2.mlp.shared_expert.hook_post")->out.dims[0], 28);
    model_free(model);
    model = open_or_fail(case_path("mixtral", ""), &(ModelOptions){.config_only = true});
    assert_true(op_of(model, "blocks.0.mlp.hook_routing_weights")->attributes.sum_to_one);
    model_free(model);
    model = open_or_fail(case_path("qwen3-moe-stacked", ""), &(ModelOptions){.config_only = true});
    assert_int_equal(model->config.n_experts, 6); /* named num_local_experts there */
    assert_true(graph_find_site(&model->graph, "blocks.0.mlp.hook_router_logits") == NODE_NONE);
    model_free(model);
}

static void defaults_are_those_of_the_reference(void **state) {
    static const struct {
        const char *name, *key, *word;
    } rows[] = {
        {"mixtral", "num_local_experts", "expected [8, 32]"},
        {"mixtral", "intermediate_size", "expected [14336, 32]"},
        {"mixtral", "vocab_size", "expected [32000, 32]"},
        {"mixtral", "num_hidden_layers", "model.layers.2."},
        {"qwen2-moe", "num_experts", "expected [60, 32]"},
        {"qwen2-moe", "moe_intermediate_size", "expected [1408, 32]"},
        {"qwen2-moe", "shared_expert_intermediate_size", "expected [5632, 32]"},
        {"qwen2-moe", "intermediate_size", "expected [5632, 32]"},
        {"qwen2-moe", "mlp_only_layers", "model.layers.1.mlp.gate.weight is missing"},
        {"qwen2-moe", "vocab_size", "expected [151936, 32]"},
        {"qwen2-moe", "num_hidden_layers", "model.layers.3."},
        {"qwen2-moe-stacked", "qkv_bias", "q_proj.bias is missing"},
        {"qwen2-moe-stacked", "decoder_sparse_step", "model.layers.0.mlp.gate.weight is missing"},
        {"qwen3-moe", "num_experts", "expected [128, 32]"},
        {"qwen3-moe", "moe_intermediate_size", "expected [768, 32]"},
        {"qwen3-moe-stacked", "intermediate_size", "expected [6144, 32]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, NULL);
        assert_refused(LIMN_FORMAT, rows[i].word, folder_path());
    }
    static const struct {
        const char *name;
        int32_t used;
    } used[] = {{"mixtral-stacked", 2}, {"qwen2-moe", 4}, {"qwen3-moe", 6}}; /* eight, of the six that there are */
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++) {
        folder_from_case(used[i].name);
        folder_set("num_experts_per_tok", NULL);
        Model *model = folder_open(NULL);
        assert_int_equal(model->config.n_used, used[i].used);
        model_free(model);
    }
    folder_from_case("qwen3-moe");
    folder_set("norm_topk_prob", NULL);
    Model *model = folder_open(NULL);
    assert_false(op_of(model, "blocks.0.mlp.hook_routing_weights")->attributes.sum_to_one);
    model_free(model);
}

static void nonsense_settings_are_refused(void **state) {
    static const struct {
        const char *name, *key, *value, *word;
    } rows[] = {
        {"mixtral", "num_experts_per_tok", "6", "num_experts_per_tok"},
        {"mixtral", "num_experts_per_tok", "0", "num_experts_per_tok"},
        {"mixtral", "num_local_experts", "-1", "num_local_experts"},
        {"mixtral", "num_local_experts", "100000", "num_local_experts"},
        {"mixtral", "num_experts", "4", "num_experts"},
        {"qwen2-moe", "decoder_sparse_step", "0", "decoder_sparse_step"},
        {"qwen2-moe", "mlp_only_layers", "\"all\"", "mlp_only_layers"},
        {"qwen2-moe", "mlp_only_layers", "[1.5]", "mlp_only_layers"},
        {"qwen2-moe", "norm_topk_prob", "\"yes\"", "norm_topk_prob"},
        {"qwen2-moe", "shared_expert_intermediate_size", "0", "shared_expert_intermediate_size"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, rows[i].value);
        assert_refused(LIMN_FORMAT, rows[i].word, "config.json");
    }
}

/* A tensor is dropped (to NULL) or gets another shape of as many elements. */
typedef struct Bend {
    const char *tensor;
    int rank;
    int64_t shape[3];
} Bend;

static bool bend(Tensor *tensor, const char **extra, Arena *arena, const void *context) {
    (void)extra;
    (void)arena;
    const Bend *wanted = context;
    if (strcmp(tensor->name, wanted->tensor) != 0) {
        return true;
    }
    tensor->rank = wanted->rank;
    for (int i = 0; i < wanted->rank; i++) {
        tensor->shape[i] = wanted->shape[i];
    }
    return wanted->rank > 0;
}

static void tensors_that_do_not_fit_are_named(void **state) {
    static const struct {
        const char *name;
        Bend bend;
        const char *words[3];
    } rows[] = {
        {"mixtral",
         {"model.layers.1.block_sparse_moe.experts.3.w2.weight", 0, {0}},
         {"experts.3.w2.weight is missing", "expected [32, 20]"}},
        {"mixtral",
         {"model.layers.0.block_sparse_moe.experts.4.w1.weight", 2, {32, 20}},
         {"experts.4.w1.weight is [32, 20]", "expected [20, 32]"}},
        {"mixtral", {"model.layers.0.block_sparse_moe.gate.weight", 0, {0}}, {"gate.weight is missing"}},
        {"mixtral-stacked",
         {"model.layers.1.mlp.experts.gate_up_proj", 3, {5, 20, 64}},
         {"experts.gate_up_proj is [5, 20, 64]", "expected [5, 40, 32]"}},
        {"mixtral-stacked",
         {"model.layers.1.mlp.experts.down_proj", 2, {160, 20}},
         {"experts.down_proj is [160, 20]", "expected [5, 32, 20]"}},
        {"mixtral-stacked",
         {"model.layers.1.mlp.experts.down_proj", 0, {0}},
         {"experts.0.down_proj.weight is missing", "expected [32, 20]"}},
        {"qwen2-moe",
         {"model.layers.2.mlp.shared_expert_gate.weight", 1, {32}},
         {"shared_expert_gate.weight is [32]", "expected [1, 32]"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_edit(bend, &rows[i].bend);
        check_refused(NULL, LIMN_FORMAT, rows[i].words, __FILE__, __LINE__);
    }
}

/* An expert is a view of the tensor it is stacked in; every parameter is counted once. */
static void stacked_experts_are_views(void **state) {
    folder_from_case("mixtral-stacked");
    Model *model = folder_open(NULL);
    const Op *gate = op_of(model, "blocks.1.mlp.experts.hook_pre");
    const Op *up = op_of(model, "blocks.1.mlp.experts.hook_pre_linear");
    const Weight *first = gate->attributes.experts[0], *second = up->attributes.experts[0];
    assert_int_equal(gate->attributes.n_experts, 5);
    assert_int_equal(first[0].dtype, DTYPE_BF16);
    for (int e = 0; e < 5; e++) {
        assert_ptr_equal(first[e].data, (const char *)first[0].data + e * 2 * 20 * 32 * 2);
        assert_ptr_equal(second[e].data, (const char *)first[e].data + 20 * 32 * 2);
    }
    assert_int_equal(model->n_parameters,
                     2 * 61 * 32 + 32 + 2 * (2 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 5 * 32) + 2 * 5 * 3 * 20 * 32);
    model_free(model);
}

static void processed_frame_is_refused(void **state) {
    folder_from_case("mixtral");
    assert_refused_with(&(ModelOptions){.frame = FRAME_TRANSFORMERLENS}, LIMN_UNSUPPORTED, "transformerlens",
                        "experts");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_is_read),         cmocka_unit_test(defaults_are_those_of_the_reference),
        cmocka_unit_test(nonsense_settings_are_refused), cmocka_unit_test(tensors_that_do_not_fit_are_named),
        cmocka_unit_test(stacked_experts_are_views),     cmocka_unit_test(processed_frame_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
