/* Text as the model goes on, token by token (measure/decode.h).
 *
 * Greedy unless a temperature is given; then tokens are drawn (measure/sample.h). The same seed gives the same text.
 * Edits stay in force while decoding: those without a position at every row, those with one at rows of the prompt. */
#include "method/generation/generate.h"

#include <math.h>

#include "measure/decode.h"
#include "measure/overflow.h"

typedef struct Generation {
    MethodCall *call;
    Engine *engine;
    const Model *model;
    Prompt prompt;
    EditPlan edits;
    Decoded text;
} Generation;

static limn_status prepare(Generation *generation) {
    MethodCall *call = generation->call;
    const GenerateParams *params = call->params;
    TRY(method_engine(call, params->model.bytes, &generation->engine));
    generation->model = engine_model(generation->engine);
    TRY(decode_model(call, generation->model));
    TRY(prompt_read(&generation->prompt, call, generation->model, &params->prompt));
    return edit_plan(&generation->edits, &generation->model->graph, &params->set, generation->prompt.n,
                     generation->prompt.n, call->arena);
}

static limn_status go_on(Generation *generation) {
    MethodCall *call = generation->call;
    const GenerateParams *params = call->params;
    DecodeOptions options = {.max_tokens = params->max_tokens,
                             .sample = {.temperature = params->temperature, .top_p = params->top_p},
                             .seed = (uint64_t)call->common.seed,
                             .stop = &params->stop,
                             .edits = &generation->edits,
                             .text = call->text,
                             .text_context = call->text_context};
    return decode_text(&generation->text, call, generation->engine, &generation->prompt, &options);
}

static void describe(Result *result, Generation *generation) {
    static const TableColumn columns[] = {{TEXT("token"), COLUMN_TOKEN},
                                          {TEXT("id"), COLUMN_INTEGER},
                                          {TEXT("probability"), COLUMN_PROBABILITY},
                                          {TEXT("log-probability"), COLUMN_NUMBER},
                                          {TEXT("rank"), COLUMN_INTEGER}};
    static const char *const reasons[] = {"the limit of tokens was reached", "the model ended the text",
                                          "a stop string appeared", "the context is full"},
                             *const chinese[] = {"达到词元上限", "模型结束了文本", "出现停止字符串", "上下文已满"};
    MethodCall *call = generation->call;
    const Model *model = generation->model;
    const Decoded *text = &generation->text;
    prompt_describe(result, call, model, &generation->prompt);
    result_headline(result, SAY(call, "%d tokens; %s", "%d 个词元；%s"), (int)text->n,
                    SAY(call, reasons, chinese)[text->end]);
    result_add_text(result, "text", SAY(call, "Text", "文本"), text->text.bytes, text->text.length, true);
    TableBlock *table = result_add_table(result, "tokens", SAY(call, "Tokens", "词元"), columns, 5);
    result_block_detail(result);
    for (int32_t i = 0; i < text->n; i++) {
        Text token = token_text(call, model, text->ids[i]);
        Value cells[] = {value_bytes(token.bytes, token.length), value_integer(text->ids[i]),
                         value_number(exp(text->log_probabilities[i])), value_number(text->log_probabilities[i]),
                         value_integer(text->ranks[i])};
        table_row(table, cells);
    }
    edit_plan_describe(result, &generation->edits, SAY(generation->call, false, true));
    for (int32_t i = 0; i < text->notes.n_warnings; i++) {
        result_warn(result, "%s", text->notes.warnings[i]);
    }
}

/* With changes in force: whether they overflowed while the prompt was read, so that what was generated says nothing. */
static limn_status check_finite(Result *result, Generation *generation) {
    Overflow overflow = {0};
    if (generation->edits.n == 0) {
        return LIMN_OK;
    }
    if (generation->text.suspected) {
        SequenceInput sequence = prompt_sequence(&generation->prompt);
        TRY(overflow_find(&overflow, generation->call, generation->engine, &sequence, &generation->edits));
    }
    overflow_check(result, generation->call, &overflow, 0);
    return LIMN_OK;
}

limn_status generate_run(MethodCall *call, Result *result) {
    Generation generation = {.call = call};
    TRY(prepare(&generation));
    TRY(go_on(&generation));
    describe(result, &generation);
    TRY(check_finite(result, &generation));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(GenerateParams, model),
    PROMPT_ROWS(GenerateParams, prompt),
    {"max-tokens", 'm', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "64", .minimum = 1, .maximum = 1000000,
     .help = "stop after so many tokens", .field = offsetof(GenerateParams, max_tokens)},
    {"temperature", 't', LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "0", .minimum = 0, .maximum = 100,
     .help = "0: always the likeliest token; higher: more surprise", .field = offsetof(GenerateParams, temperature)},
    {"top-p", 0, LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "1", .minimum = 1e-9, .maximum = 1,
     .help = "draw only from the likeliest tokens that together reach X", .field = offsetof(GenerateParams, top_p)},
    {"stop", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "TEXT", .help = "end before this text",
     .field = offsetof(GenerateParams, stop)},
    {"set", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "EDIT", .help = EDIT_HELP,
     .field = offsetof(GenerateParams, set)},
};

const Method method_generate = {
    .command = {.name = "generate",
                .summary = "let the model go on with a text",
                .description =
                    "Streams the continuation. Greedy by default; --temperature and --top-p draw, repeatably "
                    "by --seed. Edits (--set) stay in force while decoding.",
                .examples = "limn generate MODEL -p 'Once upon a time'\n"
                            "limn generate MODEL -p 'Once upon a time' --temperature 0.8 --top-p 0.9 --seed 7\n"
                            "limn generate MODEL -p 'The nurse said that' --set 'blocks.12.hook_mlp_out=zero'",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Generation",
    .params_bytes = sizeof(GenerateParams),
    .run = generate_run,
    .explains = true,
};
