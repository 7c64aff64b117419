/* A section for each result, and the appendix. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "call/command_line.h"
#include "method/record/report.h"

static Value value_of(Text text) {
    return text.bytes == NULL ? value_null() : value_bytes(text.bytes, text.length);
}

/* ---- what was asked ---- */

static void add_asked_text(TableBlock *table, const char *what, Text text) {
    if (text.length > 0) {
        const Value cells[] = {value_text(what), value_of(text)};
        table_row(table, cells);
    }
}

static void add_target(const Report *report, TableBlock *table, const char *what, const ResultTarget *target) {
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_add_bytes(&text, target->text.bytes == NULL ? "" : target->text.bytes, target->text.length);
    if (isfinite(target->log_probability)) {
        text_buffer_printf(&text, REPORT_SAYS(report, " (probability %.3g)", "（概率 %.3g）"),
                           exp(target->log_probability));
    }
    if (text.data != NULL) {
        add_asked_text(table, what, (Text){text.data, text.length});
    }
    text_buffer_free(&text);
}

static void add_asked(const Report *report, const ReportSource *source, const char *id) {
    static const TableColumn columns[] = {{TEXT("what"), COLUMN_TEXT}, {TEXT("value"), COLUMN_TEXT}};
    const Result *result = source->result;
    TableBlock *table =
        result_add_table(report->result, id, REPORT_SAYS(report, "What was asked", "所问为何"), columns, 2);
    add_asked_text(table, REPORT_SAYS(report, "model", "模型"), result->model.name);
    for (int32_t i = 0; i < result->provenance.n_adapters; i++) {
        add_asked_text(table, REPORT_SAYS(report, "adapter", "适配器"), result->provenance.adapters[i].name);
    }
    add_asked_text(table, REPORT_SAYS(report, "prompt", "提示"), result->input_text);
    if (result->has_target) {
        add_target(report, table, REPORT_SAYS(report, "target", "目标"), &result->target);
    }
    if (result->has_contrast) {
        add_target(report, table, REPORT_SAYS(report, "and not", "而不是"), &result->contrast);
    }
    add_asked_text(table, REPORT_SAYS(report, "file", "文件"), text_of(path_base(source->path)));
}

/* ---- sections ---- */

/* A section within the result's own. */
static void copy_inner_section(const Report *report, const Block *block, const char *id) {
    int32_t level = ((const SectionBlock *)block->content)->level + 1;
    result_copy_block(report->result, block, id);
    if (result_status(report->result) == LIMN_OK) {
        SectionBlock *made = report->result->blocks[report->result->n_blocks - 1].content;
        made->level = level > SECTION_LEVELS ? SECTION_LEVELS : level;
    }
}

static void add_section(const Report *report, int32_t i) {
    const Result *result = report->sources[i].result;
    Text title = result->method_title.length > 0 ? result->method_title : text_of(result->method);
    char id[96], name[200];
    snprintf(id, sizeof id, "r%d", (int)i + 1);
    snprintf(name, sizeof name, "%d. %.*s", (int)i + 1, (int)(title.length > 180 ? 180 : title.length), title.bytes);
    result_add_section(report->result, id, name, 1);
    snprintf(id, sizeof id, "r%d-said", (int)i + 1);
    if (result->headline.length > 0) {
        result_add_text(report->result, id, "", result->headline.bytes, result->headline.length, false);
    }
    snprintf(id, sizeof id, "r%d-asked", (int)i + 1);
    add_asked(report, &report->sources[i], id);
    for (int32_t k = 0; k < result->n_blocks; k++) {
        const Block *block = &result->blocks[k];
        snprintf(id, sizeof id, "r%d-b%d-%.60s", (int)i + 1, (int)k + 1, block->id);
        if (block->kind == BLOCK_SECTION) {
            copy_inner_section(report, block, id);
        } else {
            result_copy_block(report->result, block, id);
        }
    }
}

limn_status joined_sections(const Report *report) {
    for (int32_t i = 0; i < report->n; i++) {
        add_section(report, i);
    }
    return result_status(report->result);
}

/* ---- the appendix ---- */

static void add_files(const Report *report) {
    static const TableColumn columns[] = {{TEXT("number"), COLUMN_INTEGER},  {TEXT("file"), COLUMN_TEXT},
                                          {TEXT("hash"), COLUMN_TEXT},       {TEXT("limn"), COLUMN_TEXT},
                                          {TEXT("backend"), COLUMN_TEXT},    {TEXT("compute"), COLUMN_TEXT},
                                          {TEXT("threads"), COLUMN_INTEGER}, {TEXT("seed"), COLUMN_INTEGER}};
    TableBlock *table =
        result_add_table(report->result, "files", REPORT_SAYS(report, "Files of results", "结果文件"), columns, 8);
    for (int32_t i = 0; i < report->n; i++) {
        const ResultProvenance *provenance = &report->sources[i].result->provenance;
        const Value cells[] = {value_integer(i + 1),
                               value_text(path_base(report->sources[i].path)),
                               value_text(report->sources[i].hash),
                               value_of(provenance->version),
                               value_of(provenance->backend),
                               value_of(provenance->compute),
                               value_integer(provenance->threads),
                               value_integer((int64_t)provenance->seed)};
        table_row(table, cells);
    }
}

/* A model or an adapter, and which results are of it. */
typedef struct Named {
    bool adapter;
    Text name, hash;
} Named;

/* Part k of a result: its model, then its adapters. False: it has no more. */
static bool part_of(Named *named, const Result *result, int32_t k) {
    if (k == 0) {
        *named = (Named){false, result->model.name, result->model.hash};
        return true;
    }
    if (k > result->provenance.n_adapters) {
        return false;
    }
    *named = (Named){true, result->provenance.adapters[k - 1].name, result->provenance.adapters[k - 1].hash};
    return true;
}

/* The numbers of all results it is part of; false: one before `first` has it, where it was said. */
static bool say_where(const Report *report, const Named *named, int32_t first, TextBuffer *numbers) {
    for (int32_t i = 0; i < report->n; i++) {
        Named other;
        bool there = false;
        for (int32_t k = 0; part_of(&other, report->sources[i].result, k); k++) {
            there = there || (other.adapter == named->adapter && same_text(other.hash, named->hash));
        }
        if (there && i < first) {
            return false;
        }
        if (there) {
            text_buffer_printf(numbers, "%s%d", numbers->length > 0 ? ", " : "", (int)i + 1);
        }
    }
    return true;
}

static void add_models(const Report *report) {
    static const TableColumn columns[] = {{TEXT("what"), COLUMN_TEXT},
                                          {TEXT("name"), COLUMN_TEXT},
                                          {TEXT("hash"), COLUMN_TEXT},
                                          {TEXT("results"), COLUMN_TEXT}};
    TableBlock *table = result_add_table(report->result, "models",
                                         REPORT_SAYS(report, "Models and adapters", "模型与适配器"), columns, 4);
    for (int32_t i = 0; i < report->n; i++) {
        Named named;
        for (int32_t k = 0; part_of(&named, report->sources[i].result, k); k++) {
            TextBuffer numbers = TEXT_BUFFER_INIT;
            if (named.hash.length > 0 && say_where(report, &named, i, &numbers) && numbers.data != NULL) {
                const Value cells[] = {value_text(named.adapter ? REPORT_SAYS(report, "adapter", "适配器")
                                                                : REPORT_SAYS(report, "model", "模型")),
                                       value_of(named.name), value_of(named.hash), value_text(numbers.data)};
                table_row(table, cells);
            }
            text_buffer_free(&numbers);
        }
    }
}

static limn_status add_command(const Report *report, const ReportSource *source, TextBuffer *out) {
    char *json;
    json_error_t error;
    const Method *method =
        source->result->command == NULL ? NULL : registry_find(report->call->registry, source->result->command);
    if (method == NULL) {
        text_buffer_add(out, REPORT_SAYS(report, "(the result does not say)", "（结果中未注明）"));
        return text_buffer_status(out);
    }
    TRY(result_request_json(&json, source->result));
    json_t *params = json_loads(json, JSON_ALLOW_NUL, &error);
    free(json);
    limn_status status = params == NULL
                             ? fail(LIMN_FORMAT, "%s: the recorded parameters are broken: %s", source->path, error.text)
                             : command_line_of(out, &method->command, params);
    json_decref(params);
    return status;
}

static limn_status add_commands(const Report *report) {
    static const TableColumn columns[] = {
        {TEXT("number"), COLUMN_INTEGER}, {TEXT("given again by"), COLUMN_TEXT}, {TEXT("checked by"), COLUMN_TEXT}};
    TableBlock *table =
        result_add_table(report->result, "commands", REPORT_SAYS(report, "What repeats them", "如何重现"), columns, 3);
    for (int32_t i = 0; i < report->n; i++) {
        TextBuffer again = TEXT_BUFFER_INIT, check = TEXT_BUFFER_INIT;
        limn_status status = add_command(report, &report->sources[i], &again);
        text_buffer_add(&check, "limn verify ");
        status = status == LIMN_OK ? shell_word(&check, path_base(report->sources[i].path)) : status;
        if (status == LIMN_OK) {
            const Value cells[] = {value_integer(i + 1), value_text(again.data), value_text(check.data)};
            table_row(table, cells);
        }
        text_buffer_free(&again);
        text_buffer_free(&check);
        TRY(status);
    }
    return LIMN_OK;
}

limn_status joined_appendix(const Report *report) {
    result_add_section(report->result, "appendix", REPORT_SAYS(report, "Appendix: to repeat it", "附录：如何重现"), 1);
    result_block_detail(report->result);
    add_files(report);
    add_models(report);
    TRY(add_commands(report));
    redact_add_commitments(report->redactor, report->result, report->chinese);
    return result_status(report->result);
}
