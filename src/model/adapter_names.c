#include "model/adapter_names.h"

#include <stdio.h>
#include <string.h>

/* How the family calls a part of a GGUF name, of which `length` bytes count; ".weight" behind either is left away.
 * NULL: it has no such part. */
static const char *module_of(const Build *build, const char *name, size_t length) {
    for (int32_t i = 0; i < build->n_called; i++) {
        const char *gguf = build->called[i].gguf;
        if (length > 0 && strcspn(gguf, ".") == length && memcmp(gguf, name, length) == 0) {
            return build->called[i].folder;
        }
    }
    return NULL;
}

static int without_weight(const char *name) {
    const char *weight = strstr(name, ".weight");
    return (int)(weight != NULL ? (size_t)(weight - name) : strlen(name));
}

const char *adapter_without_prefix(const char *name) {
    static const char *const prefixes[] = {"model.",   "language_model.", "text_model.", "transformer.", "bert.",
                                           "roberta.", "distilbert.",     "gpt_neox.",   "base_model.",  "decoder."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) == 0) {
            return adapter_without_prefix(name + n);
        }
    }
    /* one tensor by two names: of versions (GPT-NeoX's head), or of a parameter that two modules share */
    static const char *const same[][2] = {{"embed_out.weight", "lm_head.weight"},
                                          {"cls.predictions.decoder.bias", "cls.predictions.bias"},
                                          {"lm_head.decoder.bias", "lm_head.bias"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        if (strcmp(name, same[i][0]) == 0) {
            return same[i][1];
        }
    }
    return name;
}

char *adapter_tensor_name(Build *build, const char *name) {
    Arena *arena = &build->model->arena;
    if (build->settings->gguf == NULL) {
        return arena_strdup(arena, adapter_without_prefix(name));
    }
    int layer = -1, begin = 0;
    bool inside = sscanf(name, "blk.%d.%n", &layer, &begin) == 1 && begin > 0;
    const char *inner = inside ? name + begin : name;
    size_t n = strcspn(inner, ".");
    const char *module = module_of(build, inner, n), *layers = module_of(build, "blk", 3);
    if (module == NULL || (inside && layers == NULL)) { /* names that build_tied gave are those of Hugging Face */
        return arena_strdup(arena, adapter_without_prefix(name));
    }
    int length = without_weight(module);
    return inside ? arena_printf(arena, "%s.%d.%.*s%s", layers, layer, length, module, inner + n)
                  : arena_printf(arena, "%.*s%s", length, module, inner + n);
}

bool adapter_is_grouped(const Build *build, const char *name) {
    return build->settings->gguf != NULL && build->grouped_qkv && strstr(name, "attn_qkv") != NULL;
}
