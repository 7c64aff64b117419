#include "ask/baseline.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { IDS_FILE_CAP = 64 << 20 };

limn_status embed_ids(float *out, Engine *engine, const int32_t *ids, int32_t n, const Progress *progress) {
    NodeId embed = engine_model(engine)->graph.embed;
    SequenceInput sequence = {.ids = ids, .n = n};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .taps = &embed, .n_taps = 1};
    TRY(engine_run(engine, &request, progress));
    int32_t rows;
    int64_t width;
    const float *values = engine_tap(engine, embed, &rows, &width);
    memcpy(out, values, (size_t)rows * (size_t)width * sizeof *out);
    return LIMN_OK;
}

static void repeat_row(float *out, const float *row, int32_t n, int64_t width) {
    for (int32_t t = 0; t < n; t++) {
        memcpy(out + t * width, row, (size_t)width * sizeof *out);
    }
}

static limn_status fill_token(float *out, MethodCall *call, Engine *engine, int32_t id, int32_t n) {
    int64_t width = engine_model(engine)->config.d_embed;
    float *row = arena_alloc(call->arena, (size_t)width * sizeof *row);
    if (row == NULL) {
        return method_no_memory(call);
    }
    TRY(embed_ids(row, engine, &id, 1, call->progress));
    repeat_row(out, row, n, width);
    return LIMN_OK;
}

static limn_status named_token(const char **name, MethodCall *call, const Model *model, const char *what, int32_t id) {
    Text text = token_text(call, model, id);
    char *made = arena_printf(call->arena, SAY(call, "%s token '%.*s' (%d)", "%s词元“%.*s”（%d）"), what,
                              (int)text.length, text.bytes, id);
    *name = made;
    return made == NULL ? method_no_memory(call) : LIMN_OK;
}

static int32_t special_id(const Model *model, SpecialToken which) {
    int32_t id = model->tokenizer == NULL ? -1 : tokenizer_special(model->tokenizer, which);
    if (id < 0 && which == SPECIAL_PAD) {
        id = model->config.pad_id;
    }
    return id < model->config.n_vocab ? id : -1;
}

static const struct {
    SpecialToken token;
    const char *name, *chinese;
} automatic[] = {{SPECIAL_MASK, "mask", "掩码"},
                 {SPECIAL_PAD, "padding", "填充"},
                 {SPECIAL_UNK, "unknown", "未知"},
                 {SPECIAL_EOS, "end-of-text", "文末"}};

/* The mean of all rows of the embedding table, as the embedding op would give them. */
static limn_status fill_mean(float *out, MethodCall *call, const Model *model, int32_t n) {
    const Op *embed = &model->graph.nodes[model->graph.embed].op;
    const Weight *table = &embed->weights[0];
    double *sum = ARENA_ARRAY(call->arena, double, table->columns);
    if (sum == NULL) {
        return method_no_memory(call);
    }
    for (int64_t v = 0; v < table->rows; v++) {
        for (int64_t e = 0; e < table->columns; e++) {
            int64_t at = v * table->row_stride + e * table->column_stride;
            sum[e] += table->dtype == DTYPE_BF16 ? (double)bf16_to_f32(((const uint16_t *)table->data)[at])
                                                 : (double)((const float *)table->data)[at];
        }
    }
    for (int64_t e = 0; e < table->columns; e++) {
        out[e] = (float)(sum[e] / (double)table->rows * (double)embed->attributes.scale);
    }
    for (int32_t t = 1; t < n; t++) {
        memcpy(out + t * table->columns, out, (size_t)table->columns * sizeof *out);
    }
    return LIMN_OK;
}

/* The first of `automatic` that the model has, its id in *id; -1: none. */
static int first_automatic(int32_t *id, const Model *model) {
    for (size_t i = 0; i < sizeof automatic / sizeof automatic[0]; i++) {
        *id = special_id(model, automatic[i].token);
        if (*id >= 0) {
            return (int)i;
        }
    }
    return -1;
}

bool baseline_has_mask(const Model *model) {
    return special_id(model, SPECIAL_MASK) >= 0;
}

bool baseline_ends_text(const Model *model) {
    int32_t id;
    return first_automatic(&id, model) >= 0 && id == special_id(model, SPECIAL_EOS);
}

static limn_status fill_automatic(float *out, const char **name, MethodCall *call, Engine *engine, int32_t n) {
    const Model *model = engine_model(engine);
    int32_t id;
    int which = first_automatic(&id, model);
    if (which >= 0) {
        TRY(named_token(name, call, model, SAY(call, automatic[which].name, automatic[which].chinese), id));
        return fill_token(out, call, engine, id, n);
    }
    *name = SAY(call, "mean of all embeddings (the model names no mask, padding, unknown or end token)",
                "所有嵌入的均值（模型没有掩码、填充、未知或文末词元）");
    return fill_mean(out, call, model, n);
}

static limn_status fill_text_token(float *out, const char **name, MethodCall *call, Engine *engine, const char *text,
                                   int32_t n) {
    const Model *model = engine_model(engine);
    TRY(model_need_tokenizer(model, "for option 'baseline' use ids:FILE"));
    int32_t id = tokenizer_id(model->tokenizer, text, strlen(text));
    if (id < 0) {
        Token *tokens;
        int32_t count;
        Text written = {text, strlen(text)};
        EncodeOptions options = encode_alone(written);
        TRY(prompt_encode(&tokens, &count, call, model->tokenizer, written, &options));
        if (count != 1) {
            return fail(LIMN_USAGE, "option 'baseline': '%s' is %d tokens; expected one", text, count);
        }
        id = tokens[0].id;
    }
    TRY(named_token(name, call, model, SAY(call, "the", ""), id));
    return fill_token(out, call, engine, id, n);
}

/* Numbers separated by anything: a list in JSON, commas or lines. */
static limn_status read_ids(int32_t **ids, int32_t *count, MethodCall *call, const char *path, int32_t n_vocab) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, path, IDS_FILE_CAP));
    *count = 0;
    *ids = ARENA_ARRAY(call->arena, int32_t, length / 2 + 2);
    limn_status status = *ids == NULL ? method_no_memory(call) : LIMN_OK;
    for (char *at = bytes; status == LIMN_OK && at < bytes + length;) {
        if (*at < '0' || *at > '9') {
            if (strchr("[], \t\r\n", *at) == NULL || *at == '\0') {
                status = fail(LIMN_FORMAT, "%s: found '%c' at byte %zu, expected token ids", path, *at,
                              (size_t)(at - bytes));
            }
            at++;
            continue;
        }
        long long id = strtoll(at, &at, 10);
        status = id < n_vocab ? LIMN_OK
                              : fail(LIMN_RANGE, "%s: token id %lld; the model has 0 to %d", path, id, n_vocab - 1);
        (*ids)[(*count)++] = (int32_t)id;
    }
    free(bytes);
    return status;
}

static limn_status fill_ids(float *out, const char **name, MethodCall *call, Engine *engine, const char *path,
                            int32_t n) {
    const Model *model = engine_model(engine);
    int32_t *ids;
    int32_t count;
    TRY(read_ids(&ids, &count, call, path, model->config.n_vocab));
    if (count != 1 && count != n) {
        return fail(LIMN_USAGE, "%s: found %d token ids, expected 1 or %d (one for each token of the prompt)", path,
                    count, n);
    }
    *name = arena_printf(call->arena, SAY(call, "token ids of %s", "%s 中的词元编号"), path_base(path));
    if (*name == NULL) {
        return method_no_memory(call);
    }
    return count == 1 ? fill_token(out, call, engine, ids[0], n) : embed_ids(out, engine, ids, count, call->progress);
}

limn_status baseline_fill(float *out, const char **name, MethodCall *call, Engine *engine, const char *spec,
                          int32_t n_tokens) {
    const Model *model = engine_model(engine);
    if (strcmp(spec, "auto") == 0) {
        return fill_automatic(out, name, call, engine, n_tokens);
    }
    if (strcmp(spec, "pad") == 0) {
        int32_t id = special_id(model, SPECIAL_PAD);
        if (id < 0) {
            return fail(LIMN_NOT_FOUND, "option 'baseline': %s names no padding token; try auto or token:STR",
                        model->path);
        }
        TRY(named_token(name, call, model, SAY(call, "padding", "填充"), id));
        return fill_token(out, call, engine, id, n_tokens);
    }
    if (strcmp(spec, "mean") == 0) {
        *name = SAY(call, "mean of all embeddings", "所有嵌入的均值");
        return fill_mean(out, call, model, n_tokens);
    }
    if (strcmp(spec, "zero") == 0) {
        *name = SAY(call, "zero embedding", "零嵌入");
        memset(out, 0, (size_t)n_tokens * (size_t)model->config.d_embed * sizeof *out);
        return LIMN_OK;
    }
    if (strncmp(spec, "token:", 6) == 0) {
        return fill_text_token(out, name, call, engine, spec + 6, n_tokens);
    }
    if (strncmp(spec, "ids:", 4) == 0) {
        return fill_ids(out, name, call, engine, spec + 4, n_tokens);
    }
    return fail(LIMN_USAGE,
                "option 'baseline': found '%s', expected sampled, auto, pad, mean, zero, token:STR or ids:FILE", spec);
}
