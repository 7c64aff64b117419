/* Text to tokens and back. */
#include <stdlib.h>
#include <string.h>

#include "ask/prompt.h"
#include "call/method.h"

typedef struct TokenizeParams {
    Text model;
    Text text;
    Text file;
    Text pair;
    ParamIds decode;
    bool no_special;
    bool plain;
} TokenizeParams;

static limn_status add_decoded(const MethodCall *call, Result *result, const Model *model, const ParamIds *ids) {

    char *text;
    size_t length;
    for (int32_t i = 0; i < ids->n; i++) {
        size_t bytes;
        if (tokenizer_piece(model->tokenizer, ids->ids[i], &bytes) == NULL) {
            return fail(LIMN_RANGE, "option 'decode': there is no token %d; the tokenizer has ids 0 to %d",
                        (int)ids->ids[i], (int)tokenizer_vocab_size(model->tokenizer) - 1);
        }
    }
    TRY(tokenizer_decode(&text, &length, model->tokenizer, ids->ids, ids->n, false));
    result_add_text(result, "text", SAY(call, "Text", "文本"), text, length, true);
    free(text);
    return result_status(result);
}

static limn_status add_tokens(MethodCall *call, Result *result, const Model *model, const Prompt *prompt) {
    static const TableColumn columns[] = {{TEXT("position"), COLUMN_INTEGER}, {TEXT("id"), COLUMN_INTEGER},
                                          {TEXT("token"), COLUMN_TOKEN},      {TEXT("piece"), COLUMN_TEXT},
                                          {TEXT("begin"), COLUMN_INTEGER},    {TEXT("end"), COLUMN_INTEGER},
                                          {TEXT("type"), COLUMN_INTEGER},     {TEXT("special"), COLUMN_FLAG}};
    result_headline(result, prompt->n == 1 ? SAY(call, "%d token", "%d 个词元") : SAY(call, "%d tokens", "%d 个词元"),
                    (int)prompt->n);
    TableBlock *table = result_add_table(result, "tokens", SAY(call, "Tokens", "词元"), columns, 8);
    result_block_note(result, "%s", SAY(call, "begin and end are bytes of the text", "begin 与 end 为文本的字节位置"));
    for (int32_t i = 0; i < prompt->n; i++) {
        const Token *token = &prompt->tokens[i];
        Text bytes = token_text(call, model, token->id);
        size_t length = 0;
        const char *piece = tokenizer_piece(model->tokenizer, token->id, &length);
        Value cells[] = {value_integer(i),
                         value_integer(token->id),
                         value_bytes(bytes.bytes, bytes.length),
                         piece != NULL ? value_bytes(piece, length) : value_null(),
                         value_integer(token->begin),
                         value_integer(token->end),
                         value_integer(token->type),
                         value_bool(token->special)};
        table_row(table, cells);
    }
    return result_status(result);
}

static limn_status run(MethodCall *call, Result *result) {
    const TokenizeParams *params = call->params;
    Model *model;
    TRY(method_model_config(call, params->model.bytes, &model));
    TRY(model_need_tokenizer(model, "there is nothing to cut text with"));
    int given = (params->text.bytes != NULL) + (params->file.bytes != NULL) + (params->decode.ids != NULL);
    if (given != 1) {
        return fail(LIMN_USAGE, "tokenize: %s, expected one of --text, --file and --decode",
                    given == 0 ? "nothing to read" : "several inputs");
    }
    if (params->decode.ids != NULL) {
        return add_decoded(call, result, model, &params->decode);
    }
    Prompt prompt;
    TRY(prompt_read_text(&prompt, call, model, params->text, params->file, params->pair,
                         (EncodeOptions){.bos = (BosMode)call->common.bos,
                                         .no_special = params->no_special,
                                         .plain_special_text = params->plain}));
    prompt_describe(result, call, model, &prompt);
    return add_tokens(call, result, model, &prompt);
}

static const limn_param rows[] = {
    MODEL_ROW(TokenizeParams, model),
    {"text", 't', LIMN_PARAM_TEXT, .metavar = "TEXT", .help = "the text to take apart",
     .field = offsetof(TokenizeParams, text)},
    {"file", 0, LIMN_PARAM_FILE, .metavar = "FILE", .help = "read the text from FILE",
     .field = offsetof(TokenizeParams, file)},
    {"pair", 0, LIMN_PARAM_TEXT, .metavar = "TEXT", .help = "the second text of a pair (BERT)",
     .field = offsetof(TokenizeParams, pair)},
    {"decode", 'd', LIMN_PARAM_IDS, .metavar = "N,N,...", .help = "token ids to turn into text",
     .field = offsetof(TokenizeParams, decode)},
    {"no-special", 0, LIMN_PARAM_FLAG, .help = "add no begin-of-text, [CLS] or [SEP]",
     .field = offsetof(TokenizeParams, no_special)},
    {"plain", 0, LIMN_PARAM_FLAG, .help = "read the spelling of a special token as ordinary text",
     .field = offsetof(TokenizeParams, plain)},
};

const Method method_tokenize = {
    .command = {.name = "tokenize",
                .summary = "text to token ids with byte offsets, or ids to text",
                .description = "Splits a text exactly as the model's own tokenizer does, special tokens included, or "
                               "joins ids into the text they stand for.",
                .examples = "limn tokenize MODEL --text 'The capital of France'\n"
                            "limn tokenize MODEL --decode 504,3575,282",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Tokens",
    .params_bytes = sizeof(TokenizeParams),
    .run = run,
};
