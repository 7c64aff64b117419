/* Folders whose weights are quantised in a form of their own: refused, and the form named. */
#include "model/folder.h"

#include <stdlib.h>
#include <string.h>

static void configurations_are_refused_by_name(void **state) {
    static const struct {
        const char *name, *key, *value, *word;
    } rows[] = {
        {"llama-old", "quantization_config", "{\"bits\": 4, \"quant_method\": \"gptq\", \"group_size\": 128}",
         "gptq, 4 bits: GPTQ"},
        {"llama-old", "quantization_config", "{\"bits\": 4, \"quant_method\": \"awq\", \"zero_point\": true}",
         "awq, 4 bits: AWQ"},
        {"gpt2", "quantization_config", "{\"load_in_8bit\": true}", "bitsandbytes: bitsandbytes"},
        {"llama3", "quantization_config", "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}",
         "fp8: blocks of FP8"},
        {"llama3", "quantization_config", "{\"quant_method\": \"compressed-tensors\"}", "compressed-tensors"},
        {"llama3", "compression_config", "{\"quant_method\": \"compressed-tensors\"}", "compressed-tensors"},
        {"llama3", "quantization_config", "{\"quant_method\": \"mxfp4\"}", "MXFP4"},
        {"llama3", "quantization_config", "{\"quant_algo\": \"NVFP4\"}", "ModelOpt"},
        {"bert-mlm", "quantization_config", "{\"quant_method\": \"squish\"}", "squish: not known to limn"},
        {"bert-mlm", "quantization_config", "{\"bits\": 4}", "(no quant_method), 4 bits"},
        {"bert-mlm", "quantization_config", "\"gptq\"", "(no quant_method)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case(rows[i].name);
        folder_set(rows[i].key, rows[i].value);
        assert_refused(LIMN_UNSUPPORTED, rows[i].key, rows[i].word, "config.json", "F32, F16 or BF16", "GGUF");
        folder_set(rows[i].key, "null");
        model_free(folder_open(NULL));
    }
}

/* ".weight" becomes the suffix of the context. */
static bool pack(Tensor *tensor, const char **extra, Arena *arena, const void *context) {
    static const char layer[] = "model.layers.0.self_attn.q_proj.";
    if (strncmp(tensor->name, layer, strlen(layer)) == 0) {
        tensor->name = arena_printf(arena, "%s%s", layer, (const char *)context);
    }
    return true;
}

/* Some folders hold such tensors and say nothing in config.json. */
static void tensors_are_refused_by_name(void **state) {
    static const char *const suffixes[] = {"qweight", "weight_packed"};
    for (size_t i = 0; i < 2; i++) {
        folder_from_case("llama-old");
        folder_edit(pack, suffixes[i]);
        assert_refused(LIMN_UNSUPPORTED, "model.layers.0.self_attn.q_proj.weight", suffixes[i], "GPTQ, AWQ",
                       "expected [32, 32]");
    }
    folder_from_case("llama-old");
    folder_edit(pack, "wight");
    assert_refused(LIMN_FORMAT, "model.layers.0.self_attn.q_proj.weight", "is missing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations_are_refused_by_name),
        cmocka_unit_test(tensors_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
