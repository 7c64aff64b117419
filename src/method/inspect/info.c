/* What a model folder or file holds, from its configuration and headers alone: no weight is read. */
#include <stdio.h>

#include "call/model_edits.h"

typedef struct InfoParams {
    Text model;
} InfoParams;

static const char *task_name(const MethodCall *call, ModelTask task) {
    static const char *const english[] = {"causal language model", "masked language model", "classifier",
                                          "encoder without a head"};
    static const char *const chinese[] = {"因果语言模型", "掩码语言模型", "分类模型", "无输出头的编码器"};
    return SAY(call, english, chinese)[task];
}

static void row(TableBlock *table, const char *name, Value value) {
    Value cells[] = {value_text(name), value};
    table_row(table, cells);
}

static void add_model_rows(const MethodCall *call, TableBlock *table, const Model *model) {
    const ModelConfig *config = &model->config;
    row(table, "architecture", value_text(config->architecture));
    row(table, "model type", value_text(config->model_type));
    row(table, "task", value_text(task_name(call, config->task)));
    if (model->text_part) {
        row(table, "part", value_text(SAY(call, "text; images are not read", "文本；不读图像")));
    }
    row(table, "stored as", value_text(dtype_info(config->dtype)->name));
    row(table, "parameters", value_integer(model->n_parameters));
    row(table, "weight bytes", value_integer(model->weight_bytes));
    row(table, "layers (L)", value_integer(config->n_layers));
    row(table, "model width (D)", value_integer(config->d_model));
    if (config->d_embed != config->d_model) {
        row(table, "embedding width (E)", value_integer(config->d_embed));
    }
    row(table, "heads (H)", value_integer(config->n_heads));
    row(table, "key/value heads (G)", value_integer(config->n_kv_heads));
    row(table, "head width (K)", value_integer(config->d_head));
    row(table, "feed-forward width (F)", value_integer(config->d_mlp));
    if (config->n_experts > 0) {
        row(table, "experts (E)", value_integer(config->n_experts));
        row(table, "expert width", value_integer(config->d_expert));
        row(table, "experts in use by a token", value_integer(config->n_used));
    }
    row(table, "vocabulary (V)", value_integer(config->n_vocab));
    row(table, "context", value_integer(config->n_context));
    row(table, "sites", value_integer(model->graph.n_sites));
}

static limn_status add_adapter(MethodCall *call, Result *result, const Model *model, int32_t i) {
    static const TableColumn columns[] = {{TEXT("what"), COLUMN_NAME}, {TEXT("value"), COLUMN_VALUE}};
    const ModelAdapter *adapter = &model->adapters[i];
    char id[32], title[48], hash[65];
    snprintf(id, sizeof id, "adapter-%d", (int)i + 1);
    snprintf(title, sizeof title, SAY(call, "Adapter %d", "适配器 %d"), (int)i + 1);
    TRY(model_adapter_hash(model, i, call->team, false, hash));
    TableBlock *table = result_add_table(result, id, title, columns, 2);
    row(table, "folder", value_text(adapter->path));
    row(table, "made for",
        value_text(adapter->base_model[0] != '\0' ? adapter->base_model : SAY(call, "(not stated)", "（未说明）")));
    row(table, "kind",
        value_text(adapter->dora              ? adapter->rank_stabilised ? "rsLoRA with DoRA" : "DoRA"
                   : adapter->rank_stabilised ? "rsLoRA"
                                              : "LoRA"));
    row(table, "rank", value_integer(adapter->rank));
    row(table, "alpha", value_number(adapter->alpha));
    row(table, "weight", value_number(adapter->weight));
    row(table, "modules with a branch", value_integer(adapter->n_modules));
    row(table, "tensors in the place of the model's", value_integer(adapter->n_tensors));
    row(table, "parameters", value_integer(adapter->n_parameters));
    row(table, "hash", value_text(hash));
    return LIMN_OK;
}

static void add_edit_file(const MethodCall *call, Result *result, const EditFile *file, int32_t i) {
    static const TableColumn columns[] = {{TEXT("what"), COLUMN_NAME}, {TEXT("value"), COLUMN_VALUE}};
    char id[32], title[48];
    snprintf(id, sizeof id, "edits-%d", (int)i + 1);
    snprintf(title, sizeof title, SAY(call, "Edit file %d", "修改文件 %d"), (int)i + 1);
    TableBlock *table = result_add_table(result, id, title, columns, 2);
    row(table, "file", value_text(file->path));
    row(table, "made for", value_text(file->model_name));
    for (int32_t a = 0; a < file->n_adapters; a++) {
        row(table, "made on the adapter", value_text(file->adapters[a].name));
    }
    for (int32_t e = 0; e < file->edits.n; e++) {
        row(table, "edit", value_text(file->edits.items[e].bytes));
    }
    for (int32_t f = 0; f < file->n_files; f++) {
        row(table, "reads", value_text(file->files[f].name));
    }
    if (file->note[0] != '\0') {
        row(table, "note", value_text(file->note));
    }
    row(table, "hash", value_text(file->hash));
}

static void add_classes(const MethodCall *call, Result *result, const ModelConfig *config) {
    static const TableColumn columns[] = {{TEXT("id"), COLUMN_INTEGER}, {TEXT("class"), COLUMN_TEXT}};
    if (config->n_classes == 0) {
        return;
    }
    TableBlock *table = result_add_table(
        result, "classes",
        config->outputs == OUTPUT_EACH    ? SAY(call, "Labels, each of which may hold", "标签，可同时成立")
        : config->outputs == OUTPUT_VALUE ? SAY(call, "Outputs, numbers each", "输出，各为一个数")
                                          : SAY(call, "Classes", "类别"),
        columns, 2);
    for (int32_t i = 0; i < config->n_classes; i++) {
        Value cells[] = {value_integer(i), value_text(config->labels[i])};
        table_row(table, cells);
    }
}

static void add_tokenizer(const MethodCall *call, Result *result, const Tokenizer *tokenizer) {
    static const TableColumn columns[] = {{TEXT("token"), COLUMN_NAME}, {TEXT("value"), COLUMN_VALUE}};
    static const char *const names[SPECIAL_COUNT] = {
        [SPECIAL_BOS] = "begin of text", [SPECIAL_EOS] = "end of text", [SPECIAL_UNK] = "unknown",
        [SPECIAL_PAD] = "padding",       [SPECIAL_MASK] = "mask",       [SPECIAL_SEP] = "separator",
        [SPECIAL_CLS] = "class",         [SPECIAL_EOT] = "end of turn", [SPECIAL_EOM] = "end of message"};
    TableBlock *table = result_add_table(result, "tokenizer", SAY(call, "Tokenizer", "分词器"), columns, 2);
    row(table, "kind", value_text(tokenizer_kind(tokenizer)));
    row(table, "ids", value_integer(tokenizer_vocab_size(tokenizer)));
    for (int which = 0; which < SPECIAL_COUNT; which++) {
        int32_t id = tokenizer_special(tokenizer, (SpecialToken)which);
        size_t length;
        const char *piece = id >= 0 ? tokenizer_piece(tokenizer, id, &length) : NULL;
        if (piece != NULL) {
            char text[128];
            snprintf(text, sizeof text, "%.*s (%d)", (int)(length < 96 ? length : 96), piece, (int)id);
            row(table, names[which], value_text(text));
        }
    }
    row(table, "chat template", value_bool(tokenizer_chat_template(tokenizer) != NULL));
}

static limn_status run(MethodCall *call, Result *result) {
    static const TableColumn columns[] = {{TEXT("what"), COLUMN_NAME}, {TEXT("value"), COLUMN_VALUE}};
    const InfoParams *params = call->params;
    Model *model;
    TRY(method_model_config(call, params->model.bytes, &model));
    result_headline(result,
                    SAY(call, "%s: %s, %.4g million parameters, %d layers, stored as %s",
                        "%s：%s，%.4g 百万参数，%d 层，存储为 %s"),
                    model->path, model->config.architecture, (double)model->n_parameters / 1e6,
                    (int)model->config.n_layers, dtype_info(model->config.dtype)->name);
    add_model_rows(call, result_add_table(result, "model", SAY(call, "Model", "模型"), columns, 2), model);
    for (int32_t i = 0; i < model->n_adapters; i++) {
        TRY(add_adapter(call, result, model, i));
    }
    for (int32_t i = 0; call->edits != NULL && i < call->edits->n_files; i++) {
        add_edit_file(call, result, &call->edits->files[i], i);
    }
    add_classes(call, result, &model->config);
    if (model->tokenizer != NULL) {
        add_tokenizer(call, result, model->tokenizer);
    } else {
        result_warn(result, SAY(call, "%s; prompts can be given as --ids only", "%s；提示只能用 --ids 给出"),
                    model->no_tokenizer);
    }
    for (int32_t i = 0; i < model->n_warnings; i++) {
        result_warn(result, "%s", model->warnings[i]);
    }
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(InfoParams, model),
};

const Method method_info = {
    .command = {.name = "info",
                .summary = "what a model folder or file holds",
                .description =
                    "Architecture, sizes, number type, tokenizer and special tokens, from the configuration "
                    "and the files' headers. No weight is read: it takes less than a second. With --edit also what the "
                    "file changes, and whether it was made for this model.",
                .examples = "limn info SmolLM2-135M-Instruct.Q4_1.gguf\nlimn info ~/models/gpt2 --json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Model",
    .params_bytes = sizeof(InfoParams),
    .run = run,
};
