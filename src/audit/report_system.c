/* Whose system it is, which models and data were examined. */
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"

static const struct {
    const char *name, *english, *chinese;
} facts[] = {{"name", "Name", "名称"},
             {"version", "Version", "版本"},
             {"provider", "Provider", "提供者"},
             {"contact", "Contact", "联系方式"},
             {"intended-use", "Intended use", "预期用途"},
             {"not-for", "Not for", "不适用于"},
             {"role", "Its part in the decision", "在决策中的作用"},
             {"oversight", "Human oversight", "人工监督"},
             {"instructions", "Instructions for use", "使用说明"},
             {"hardware", "Hardware and software", "硬件与软件"},
             {"interacts-with", "Interacts with", "交互系统"},
             {"development", "Development", "研发过程"},
             {"changes", "Changes foreseen", "预计变更"},
             {"logs", "Logs", "日志"},
             {"monitoring", "Monitoring", "监测"},
             {"security", "Security", "安全"},
             {"limits", "Known limits", "已知局限"}};
enum { FACTS = sizeof facts / sizeof facts[0] };

static const char *fact_of(const Audit *audit, const char *name) {
    for (int32_t i = 0; i < audit->plan.n_system; i++) {
        if (strcmp(audit->plan.system[i].name, name) == 0 && audit->plan.system[i].text[0] != '\0') {
            return audit->plan.system[i].text;
        }
    }
    return NULL;
}

static void add_facts(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("what"), COLUMN_TEXT}, {TEXT("value"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "system",
                                         AUDIT_SAYS(audit, "As its provider states it", "提供者的说明"), columns, 2);
    for (int i = 0; i < FACTS; i++) {
        const char *text = fact_of(audit, facts[i].name);
        const Value cells[] = {value_text(AUDIT_SAYS(audit, facts[i].english, facts[i].chinese)),
                               value_text(text != NULL ? text : AUDIT_SAYS(audit, "not stated", "未说明"))};
        table_row(table, cells);
    }
}

/* What a step's result says of the model it ran. */
static const Result *result_on(const Audit *audit, int32_t model) {
    for (int32_t i = 0; i < audit->runner.done; i++) {
        const Result *result = audit->runner.runs[i].result;
        if (audit->plan.steps[i].model == model && result != NULL && result->model.hash.bytes != NULL) {
            return result;
        }
    }
    return NULL;
}

static void add_models(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("name"), COLUMN_TEXT},         {TEXT("model"), COLUMN_TEXT},
                                          {TEXT("architecture"), COLUMN_TEXT}, {TEXT("dtype"), COLUMN_TEXT},
                                          {TEXT("model hash"), COLUMN_TEXT},   {TEXT("adapter"), COLUMN_TEXT},
                                          {TEXT("adapter hash"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "models", AUDIT_SAYS(audit, "Models", "模型"), columns, 7);
    for (int32_t i = 0; i < audit->plan.n_models; i++) {
        const Result *result = result_on(audit, i);
        if (result == NULL) {
            continue;
        }
        const ResultProvenance *provenance = &result->provenance;
        const ResultAdapter *adapter = provenance->n_adapters > 0 ? &provenance->adapters[0] : NULL;
        const ResultModel *model = &result->model;
        const Value cells[] = {
            value_text(audit->plan.models[i].name),
            value_bytes(model->name.bytes, model->name.length),
            value_bytes(model->architecture.bytes, model->architecture.length),
            value_bytes(model->dtype.bytes, model->dtype.length),
            value_bytes(model->hash.bytes, model->hash.length),
            adapter != NULL ? value_bytes(adapter->name.bytes, adapter->name.length) : value_text(""),
            adapter != NULL ? value_bytes(adapter->hash.bytes, adapter->hash.length) : value_text("")};
        table_row(table, cells);
    }
    result_block_note(
        audit->result, AUDIT_SAYS(audit, "The audit is about '%s'.", "本次审计的对象是 %s。"),
        audit->plan.subject >= 0 && audit->plan.n_models > 0 ? audit->plan.models[audit->plan.subject].name : "-");
}

static void add_data(const Audit *audit) {
    static const TableColumn columns[] = {{TEXT("name"), COLUMN_TEXT},
                                          {TEXT("file"), COLUMN_TEXT},
                                          {TEXT("hash"), COLUMN_TEXT},
                                          {TEXT("settings"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(audit->result, "data", AUDIT_SAYS(audit, "Data sets", "数据集"), columns, 4);
    for (int32_t i = 0; i < audit->plan.n_data; i++) {
        const PlanData *data = &audit->plan.data[i];
        const char *hash = "";
        for (int32_t k = 0; k < audit->runner.hashes.n; k++) {
            bool same = strcmp(audit->runner.hashes.items[k].path, data->file) == 0;
            hash = same ? audit->runner.hashes.items[k].hex : hash;
        }
        const char *name = strrchr(data->file, '/');
        char *settings = json_dumps(data->options, JSON_COMPACT | JSON_SORT_KEYS);
        const Value cells[] = {value_text(data->name), value_text(name != NULL ? name + 1 : data->file),
                               value_text(hash), value_text(settings != NULL ? settings : "")};
        table_row(table, cells);
        free(settings);
    }
}

limn_status report_system(Audit *audit) {
    result_add_section(audit->result, "examined", AUDIT_SAYS(audit, "What was examined", "审计对象"), 1);
    result_block_detail(audit->result);
    add_facts(audit);
    add_models(audit);
    add_data(audit);
    return result_status(audit->result);
}
