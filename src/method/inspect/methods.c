/* The registry itself: every method with its parameters, for people and for programs that make forms of it. */
#include "call/registry.h"

typedef struct MethodsParams {
    int unused;
} MethodsParams;

static const char *kind_name(limn_param_kind kind) {
    static const char *const names[] = {"text", "number", "integer", "flag", "choice",
                                        "ids",  "file",   "output",  "bytes"};
    return names[kind];
}

static void add_params(TableBlock *table, const char *method, const limn_param *params, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const limn_param *param = &params[i];
        Value cells[] = {value_text(method),
                         value_text(param->name),
                         value_text(kind_name(param->kind)),
                         value_bool(param->required),
                         param->default_text != NULL ? value_text(param->default_text) : value_null(),
                         param->choices != NULL ? value_text(param->choices) : value_null(),
                         value_text(param->help)};
        table_row(table, cells);
    }
}

static limn_status run(MethodCall *call, Result *result) {
    static const TableColumn method_columns[] = {{TEXT("method"), COLUMN_TEXT},
                                                 {TEXT("group"), COLUMN_TEXT},
                                                 {TEXT("what it does"), COLUMN_TEXT},
                                                 {TEXT("can be verified"), COLUMN_FLAG}};
    static const TableColumn param_columns[] = {{TEXT("method"), COLUMN_TEXT},  {TEXT("parameter"), COLUMN_TEXT},
                                                {TEXT("kind"), COLUMN_TEXT},    {TEXT("required"), COLUMN_FLAG},
                                                {TEXT("default"), COLUMN_TEXT}, {TEXT("choices"), COLUMN_TEXT},
                                                {TEXT("meaning"), COLUMN_TEXT}};
    const Registry *registry = call->registry;
    TableBlock *table = result_add_table(result, "methods", "Methods", method_columns, 4);
    for (size_t i = 0; i < registry->methods->n; i++) {
        const Method *method = registry->methods->items[i].method;
        Value cells[] = {value_text(method->command.name), value_text(group_title(registry->methods->items[i].group)),
                         value_text(method->command.summary), value_bool(method->explains)};
        table_row(table, cells);
    }
    table = result_add_table(result, "parameters", "Parameters", param_columns, 7);
    result_block_detail(result);
    for (size_t i = 0; i < registry->methods->n; i++) {
        const limn_command *command = &registry->methods->items[i].method->command;
        add_params(table, command->name, command->params, command->n_params);
    }
    add_params(table, "(all)", common_params, common_params_count);
    return result_status(result);
}

const Method method_methods = {
    .command = {.name = "methods",
                .summary = "list the methods and their parameters",
                .description = "The registry that the command line, help, completion, man page and JSON come from.",
                .examples = "limn methods\nlimn methods --json"},
    .title = "Methods",
    .params_bytes = sizeof(MethodsParams),
    .run = run,
};
