/* One report of any results, without a plan: their checks as its own, failed ones first, a section for each result in
 * the order given, and what is needed to repeat them. Nothing is run: it can be no better than the results are. It says
 * nothing of when it was made, so that the same results give the same file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/hash.h"
#include "method/record/report.h"

enum { RESULT_FILE_CAP = 1 << 30 };

/* ---- what comes first ---- */

static void count_checks(const Result *result, int32_t counts[3]) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (!result->checks[i].advisory) {
            counts[result->checks[i].state]++;
        }
    }
}

static void say_headline(const Report *report) {
    const ReportParams *params = report->call->params;
    int32_t counts[3] = {0, 0, 0};
    char what[160];
    for (int32_t i = 0; i < report->n; i++) {
        count_checks(report->sources[i].result, counts);
    }
    int all = counts[CHECK_PASS] + counts[CHECK_FAIL] + counts[CHECK_INCONCLUSIVE];
    if (params->title.length > 0) {
        snprintf(what, sizeof what, "%.*s", (int)(params->title.length > 150 ? 150 : params->title.length),
                 params->title.bytes);
    } else {
        snprintf(what, sizeof what,
                 report->n == 1 ? REPORT_SAYS(report, "Report of %d result", "%d 项结果的报告")
                                : REPORT_SAYS(report, "Report of %d results", "%d 项结果的报告"),
                 (int)report->n);
    }
    if (all == 0) {
        result_headline(report->result, REPORT_SAYS(report, "%s: nothing in it was checked", "%s：其中没有检验"), what);
    } else if (counts[CHECK_FAIL] + counts[CHECK_INCONCLUSIVE] == 0) {
        result_headline(report->result, REPORT_SAYS(report, "%s: all %d checks hold", "%s：%d 项检验全部通过"), what,
                        all);
    } else {
        result_headline(report->result,
                        REPORT_SAYS(report, "%s: of %d checks %d failed, %d are undecided",
                                    "%s：%d 项检验中 %d 项未通过，%d 项无定论"),
                        what, all, (int)counts[CHECK_FAIL], (int)counts[CHECK_INCONCLUSIVE]);
    }
}

/* Judged by its value and limit; what a file says of it besides was compared when it was read. */
static void copy_check(const Report *report, int32_t source, const ResultCheck *check) {
    char name[200];
    snprintf(name, sizeof name, "%d. %.*s", (int)source + 1, (int)(check->name.length > 180 ? 180 : check->name.length),
             check->name.bytes == NULL ? "" : check->name.bytes);
    const char *meaning = check->meaning.bytes == NULL ? "" : check->meaning.bytes;
    if (check->state == CHECK_INCONCLUSIVE) {
        result_check_inconclusive(report->result, name, check->value, check->kind, check->limit, "%s", meaning);
    } else {
        result_check(report->result, name, check->value, check->kind, check->limit, "%s", meaning);
    }
    if (check->advisory) {
        result_check_advisory(report->result);
    }
}

static void copy_checks(const Report *report) {
    static const CheckState order[] = {CHECK_FAIL, CHECK_INCONCLUSIVE, CHECK_PASS};
    for (int k = 0; k < 3; k++) {
        for (int32_t i = 0; i < report->n; i++) {
            const Result *result = report->sources[i].result;
            for (int32_t j = 0; j < result->n_checks; j++) {
                if (result->checks[j].state == order[k]) {
                    copy_check(report, i, &result->checks[j]);
                }
            }
        }
    }
}

static void copy_warnings(const Report *report) {
    for (int32_t i = 0; i < report->n; i++) {
        const Result *result = report->sources[i].result;
        for (int32_t j = 0; j < result->n_warnings; j++) {
            result_warn(report->result, "%d. %s", (int)i + 1, result->warnings[j].bytes);
        }
    }
}

/* "3 of 4"; "-": none. */
static void say_checks(char text[32], const Result *result) {
    int32_t counts[3] = {0, 0, 0};
    count_checks(result, counts);
    int all = counts[CHECK_PASS] + counts[CHECK_FAIL] + counts[CHECK_INCONCLUSIVE];
    snprintf(text, 32, all == 0 ? "-" : "%d / %d", (int)counts[CHECK_PASS], all);
}

static Text model_with_adapters(const Report *report, const Result *result) {
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_add_bytes(&text, result->model.name.bytes == NULL ? "" : result->model.name.bytes,
                          result->model.name.length);
    for (int32_t i = 0; i < result->provenance.n_adapters; i++) {
        const ResultAdapter *adapter = &result->provenance.adapters[i];
        text_buffer_printf(&text, " + %s", adapter->name.bytes == NULL ? "" : adapter->name.bytes);
    }
    char *kept = arena_strndup(report->call->arena, text.data == NULL ? "" : text.data, text.length);
    text_buffer_free(&text);
    return text_of(kept);
}

static void add_glance(const Report *report) {
    static const TableColumn columns[] = {{TEXT("number"), COLUMN_INTEGER},
                                          {TEXT("method"), COLUMN_TEXT},
                                          {TEXT("answer"), COLUMN_TEXT},
                                          {TEXT("model"), COLUMN_TEXT},
                                          {TEXT("checks held"), COLUMN_TEXT}};
    result_add_section(report->result, "glance", REPORT_SAYS(report, "In short", "概要"), 1);
    TableBlock *table = result_add_table(report->result, "results", REPORT_SAYS(report, "Results", "结果"), columns, 5);
    for (int32_t i = 0; i < report->n; i++) {
        const Result *result = report->sources[i].result;
        Text title = result->method_title.length > 0 ? result->method_title : text_of(result->method);
        Text model = model_with_adapters(report, result);
        char held[32];
        say_checks(held, result);
        const Value cells[] = {value_integer(i + 1), value_bytes(title.bytes, title.length),
                               value_bytes(result->headline.bytes, result->headline.length),
                               value_bytes(model.bytes, model.length), value_text(held)};
        table_row(table, cells);
    }
}

/* ---- reading ---- */

static limn_status read_source(ReportSource *source, const MethodCall *call, const char *path) {
    char *bytes;
    size_t length;
    source->path = path;
    TRY(file_read(&bytes, &length, path, RESULT_FILE_CAP));
    limn_status status = result_read_json(&source->result, bytes, length, path);
    free(bytes);
    if (status == LIMN_OK) {
        const HashFile file = {.path = path};
        status = hash_files(source->hash, &file, 1, false, call->team);
    }
    return status;
}

static bool says_chinese(const Result *result) {
    for (size_t i = 0; i < result->params.count; i++) {
        const Field *param = &result->params.items[i];
        if (strcmp(param->name, "language") == 0 && param->value.kind == VALUE_TEXT) {
            return strcmp(param->value.text.bytes, "zh") == 0;
        }
    }
    return false;
}

static limn_status write_report(Report *report) {
    const ReportParams *params = report->call->params;
    report->chinese =
        params->language < 0 ? says_chinese(report->sources[0].result) : params->language == (int32_t)LANGUAGE_ZH;
    result_param_text(report->result, "language", report->chinese ? "zh" : "en");
    say_headline(report);
    copy_checks(report);
    copy_warnings(report);
    add_glance(report);
    TRY(joined_sections(report));
    return joined_appendix(report);
}

static limn_status run(MethodCall *call, Result *result) {
    const ReportParams *params = call->params;
    if (params->results.n == 0) {
        return fail(LIMN_USAGE, "option 'result': found none, expected the results to be put together");
    }
    Redactor redactor = {0};
    Report report = {.redactor = &redactor, .call = call, .result = result, .n = params->results.n};
    report.sources = ARENA_ARRAY(call->arena, ReportSource, report.n + 1);
    if (report.sources == NULL) {
        return method_no_memory(call);
    }
    limn_status status = LIMN_OK;
    for (int32_t i = 0; i < report.n && status == LIMN_OK; i++) {
        status = read_source(&report.sources[i], call, params->results.items[i].bytes);
    }
    if (status == LIMN_OK && params->redact.bytes != NULL) {
        status = joined_redact(&report, params->redact.bytes);
    }
    status = status == LIMN_OK ? write_report(&report) : status;
    text_buffer_free(&redactor.commitments);
    for (int32_t i = 0; i < report.n; i++) {
        result_free(report.sources[i].result);
    }
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    {"result", 0, LIMN_PARAM_FILE, .repeated = true, .positional = true, .required = true, .metavar = "RESULT",
     .help = "results as .json, or as pages (.html, .pdf), which hold them; in the order of the report",
     .field = offsetof(ReportParams, results)},
    PARAM_ROW("title", 0, LIMN_PARAM_TEXT, "TEXT", "what the report is about", offsetof(ReportParams, title)),
    PARAM_ROW(
        "redact", 0, LIMN_PARAM_FILE, "KEY",
        "leave out what prompts and records say; a salted commitment by the key in KEY (made where it is not there) "
        "stands in the place of each text",
        offsetof(ReportParams, redact)),
    {"language", 0, LIMN_PARAM_CHOICE, .metavar = "LANGUAGE", .choices = "en|zh",
     .help = "of the report's own words; without it that of the first result",
     .field = offsetof(ReportParams, language)},
};

const Method method_report = {
    .command = {.name = "report",
                .summary = "one report of any results, their checks first",
                .description = "Puts results together as they are: their checks first, failed ones before all, then a "
                               "section for each with its figures, then files, hashes and the commands that give them "
                               "again. Runs nothing and dates nothing: the same results give the same bytes. The exit "
                               "code is that of the worst result.",
                .examples = "limn report why.json ig.json groups.html -o report.pdf\n"
                            "limn report *.json --title 'Bank run, spring release' --language zh -o report.html -o "
                            "report.md",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0],
                .from_record = true},
    .title = "Report",
    .params_bytes = sizeof(ReportParams),
    .run = run,
    .explains = true,
    .undated = true,
};
