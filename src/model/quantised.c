/* Weights that a folder holds in a quantised form of its own are refused by the form's name. */
#include "model/quantised.h"

#include <stdio.h>
#include <string.h>

#include "files/json.h"

static const struct {
    const char *method; /* quantization_config.quant_method */
    const char *title;
} forms[] = {
    {"gptq", "GPTQ (qweight, qzeros, scales)"},
    {"awq", "AWQ (qweight, qzeros, scales)"},
    {"bitsandbytes", "bitsandbytes (LLM.int8 or NF4)"},
    {"fp8", "blocks of FP8 with scales"},
    {"fbgemm_fp8", "FP8 rows with scales (FBGEMM)"},
    {"compressed-tensors", "compressed-tensors (packed or FP8 weights with scales)"},
    {"modelopt", "ModelOpt (FP8 or FP4 with scales)"},
    {"mxfp4", "MXFP4 (blocks of FP4 with shared exponents)"},
    {"quanto", "Quanto"},
    {"torchao", "torchao"},
    {"hqq", "HQQ"},
    {"eetq", "EETQ (int8)"},
    {"aqlm", "AQLM (additive codebooks)"},
    {"exl2", "EXL2"},
    {"bitnet", "BitNet (packed ternary weights)"},
};

/* What to do about it: the same for every form. */
#define EXPECTED                                                                                                       \
    "expected weights as plain F32, F16 or BF16 (save the model dequantised), or a GGUF file of a type that limn "     \
    "reads"

static const char *title_of(const char *method) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(method, forms[i].method) == 0) {
            return forms[i].title;
        }
    }
    return "not known to limn";
}

limn_status quantised_refuse_config(const Settings *settings) {
    const char *const keys[] = {"quantization_config", "compression_config"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *config = settings_value(settings, keys[i]);
        if (config == NULL || json_is_null(config)) {
            continue;
        }
        const char *method = json_string_value(json_object_get(config, "quant_method"));
        const char *algorithm = json_string_value(json_object_get(config, "quant_algo"));
        bool bytes = json_is_true(json_object_get(config, "load_in_8bit")) ||
                     json_is_true(json_object_get(config, "load_in_4bit"));
        /* older files name no method: these keys are bitsandbytes's */
        method = method != NULL      ? method
                 : bytes             ? "bitsandbytes"
                 : algorithm != NULL ? "modelopt"
                                     : "(no quant_method)";
        const json_t *bits = json_object_get(config, "bits");
        char width[48] = "";
        if (json_is_integer(bits)) {
            snprintf(width, sizeof width, ", %lld bits", (long long)json_integer_value(bits));
        }
        return fail(LIMN_UNSUPPORTED, "%s: \"%s\" is %.60s%s: %s; its weights are not read, " EXPECTED, settings->path,
                    keys[i], method, width, title_of(method));
    }
    return LIMN_OK;
}

const char *quantised_suffix(const char *name, bool (*has)(const void *context, const char *name),
                             const void *context) {
    static const char weight[] = ".weight";
    static const char *const suffixes[] = {".qweight", ".weight_packed", ".weight_quantized"};
    size_t length = strlen(name), stem = length - (sizeof weight - 1);
    char other[512];
    if (length < sizeof weight || length > 400 || strcmp(name + stem, weight) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(other, sizeof other, "%.*s%s", (int)stem, name, suffixes[i]);
        if (has(context, other)) {
            return suffixes[i] + 1;
        }
    }
    return NULL;
}
