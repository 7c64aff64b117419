/* The names of every value inside a model that can be looked at, changed or differentiated. */
#include "call/method.h"
#include "edit/site_names.h"

typedef struct SitesParams {
    Text model;
    ParamTexts patterns;
} SitesParams;

static limn_status run(MethodCall *call, Result *result) {
    static const TableColumn columns[] = {
        {TEXT("site"), COLUMN_TEXT}, {TEXT("shape"), COLUMN_TEXT}, {TEXT("computed by"), COLUMN_TEXT}};
    const SitesParams *params = call->params;
    Model *model;
    TRY(method_model_config(call, params->model.bytes, &model));
    SiteMatches matches = {0};
    static const Text everything = TEXT("*");
    ParamTexts patterns = params->patterns.n > 0 ? params->patterns : (ParamTexts){&everything, 1};
    TRY(site_names_match_all(&matches, &model->graph, &patterns, call->arena));
    result_headline(result, SAY(call, "%d sites of %s", "%d 个位点（%s）"), (int)matches.n, model->path);
    TableBlock *table = result_add_table(result, "sites", SAY(call, "Sites", "位点"), columns, 3);
    result_block_note(result, "%s",
                      SAY(call, "T positions, S keys; saved tensors of [H, T, S] sites put the head first",
                          "T 为位置，S 为键；[H, T, S] 位点保存的张量以注意力头为首维"));
    for (int32_t i = 0; i < matches.n; i++) {
        const GraphNode *node = &model->graph.nodes[matches.items[i].node];
        char shape[48];
        Value cells[] = {value_text(matches.items[i].name), value_text(site_shape_text(node, shape)),
                         value_text(op_info(node->op.kind)->name)};
        table_row(table, cells);
    }
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(SitesParams, model),
    {"match", 'm', LIMN_PARAM_TEXT, .repeated = true, .positional = true, .metavar = "PATTERN",
     .help = "only sites that match: a name or a glob such as 'blocks.0.*'", .field = offsetof(SitesParams, patterns)},
};

const Method method_sites = {
    .command = {.name = "sites",
                .summary = "the names of a model's inner values, with their shapes",
                .description =
                    "Every value that --save, --grad and --set can name, as TransformerLens names it, in the "
                    "order it is computed.",
                .examples = "limn sites ~/models/gpt2\nlimn sites ~/models/gpt2 'blocks.0.*'",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Sites",
    .params_bytes = sizeof(SitesParams),
    .run = run,
};
