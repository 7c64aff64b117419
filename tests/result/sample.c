#include "result/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s: cannot be opened", path);
    }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    *length = fread(bytes, 1, (size_t)size, file);
    assert_int_equal(*length, size);
    bytes[size] = '\0';
    fclose(file);
    return bytes;
}

static const struct {
    const char *bytes;
    double score;
    TokenState state;
} pieces[] = {
    {"<|im_start|>", 0, TOKEN_FIXED},    {"When", 0.125, TOKEN_SCORED},   {" Mary", 2.75, TOKEN_SCORED},
    {" and", -0.5, TOKEN_SCORED},        {" John", -1.375, TOKEN_SCORED}, {" <b>&", 0.1f, TOKEN_SCORED},
    {"\xE4\xB8", 1.0 / 3, TOKEN_SCORED}, {"\x8A", -1e-9, TOKEN_SCORED},   {" \x1b[31m", 0.02, TOKEN_SCORED},
    {" gave", 0.25, TOKEN_TARGET},       {"\n", 0, TOKEN_UNREACHED},
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

static void add_input(Result *result) {
    char text[128];
    size_t length = 0;
    for (int32_t i = 0; i < N_PIECES; i++) {
        size_t n = strlen(pieces[i].bytes);
        bool special = pieces[i].state == TOKEN_FIXED;
        size_t end = special ? length : length + n;
        if (!special) {
            memcpy(text + length, pieces[i].bytes, n);
        }
        InputToken token = {.id = 100 + i,
                            .bytes = text_of(pieces[i].bytes),
                            .begin = (int64_t)length,
                            .end = (int64_t)end,
                            .special = special};
        token.role = i == 1 ? text_of("user") : text_of(NULL);
        result_input_token(result, &token);
        length = end;
    }
    result_input(result, text, length);
}

static void add_tokens(Result *result) {
    TokensBlock *block = result_add_tokens(result, "attribution", "What each token did", N_PIECES);
    result_block_unit(result, "log-probability");
    for (int32_t i = 0; i < N_PIECES; i++) {
        tokens_set(block, i, NULL, 0, pieces[i].score, pieces[i].state);
    }
    tokens_set_spread(block, 2, 0.25);
    static const int32_t ends[] = {1, 2, 3, 4, 5, 6, 8, 9, 10, 11};
    TokenGroup *words = tokens_add_grouping(block, "word", 10);
    for (int32_t i = 0, begin = 0; words != NULL && i < 10; i++) {
        words[i] = (TokenGroup){begin, ends[i], 0, (double)NAN};
        for (int32_t j = begin; j < ends[i]; j++) {
            words[i].score += pieces[j].score;
        }
        begin = ends[i];
    }
    tokens_show(block, "word");
}

static void add_table(Result *result) {
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN},          {{"share", 5}, COLUMN_SHARE},
                                          {{"effect", 6}, COLUMN_SIGNED},       {{"uses", 4}, COLUMN_INTEGER},
                                          {{"p", 1}, COLUMN_PROBABILITY},       {{"kept", 4}, COLUMN_FLAG},
                                          {{"other | thing", 13}, COLUMN_VALUE}};
    TableBlock *block = result_add_table(result, "strongest", "The strongest words", columns, 7);
    const Value first[] = {value_text(" Mary"),
                           value_number(0.55),
                           value_number(2.75),
                           value_integer(3),
                           value_number(0.25),
                           value_bool(true),
                           value_text("<script>alert(1)</script>")};
    const Value second[] = {value_text(" John|`*"), value_number(-0.275), value_number(-1.375), value_integer(-12),
                            value_number(1e-6),     value_bool(false),    value_null()};
    table_row(block, first);
    table_row(block, second);
    result_block_note(result, "Shares are of the sum of %s effects.", "all");
}

static void add_matrix(Result *result) {
    MatrixBlock *block = result_add_matrix(result, "matrix", "Output by input", 2, 3);
    static const char *const rows[] = {" to", " Mary"}, *const columns[] = {"When", " \"Mary\"", " \xE7\x8E\x9B"};
    for (int32_t i = 0; i < 2; i++) {
        matrix_label_row(block, i, rows[i], strlen(rows[i]));
    }
    for (int32_t j = 0; j < 3; j++) {
        matrix_label_column(block, j, columns[j], strlen(columns[j]));
    }
    for (int32_t i = 0; i < 5; i++) {
        matrix_set(block, i / 3, i % 3, (i - 2) * 0.5);
    }
    matrix_titles(block, "output", "input");
    result_block_detail(result);
}

Result *sample_result(void) {
    Result *result;
    assert_int_equal(result_new(&result, "ig", "Integrated gradients"), LIMN_OK);
    result_headline(result, "%s is the likeliest next token.", "\" Mary\"");
    result_model(result, &(ResultModel){text_of("tiny"), text_of("LlamaForCausalLM"), text_of("F32"),
                                        text_of("00112233445566778899aabbccddeeff")});
    add_input(result);
    static const int32_t ids[] = {7, 8}, contrast_ids[] = {9};
    static const double each[] = {-0.25, -1.0};
    result_target(result,
                  &(ResultTarget){text_of("tokens"), ids, 2, text_of(" Mary!"), -1.25, (double)NAN, 1, each, true});
    result_contrast(result,
                    &(ResultTarget){text_of("token"), contrast_ids, 1, text_of(" John"), -3.5, 0.5, 2, NULL, false});
    result_param_text(result, "frame", "hf");
    result_param_text(result, "sign", "positive supports the target");
    result_param_number(result, "tolerance", 0.03);
    result_param_integer(result, "steps", 32);
    result_param_flag(result, "bos", false);
    result_param_ids(result, "baseline", ids, 2);
    result_warn(result, "the variant without a leading space is %d times likelier <&>", 12);
    result_check(result, "completeness", 0.0125, CHECK_AT_MOST, 0.03, "the sum of panel gaps");
    result_check(result, "deletion", 0.4, CHECK_ABOVE, 0.5, "top words matter more than random ones");
    result_check_inconclusive(result, "cause", 0.7, CHECK_AT_LEAST, 0.5, "too few draws to tell");
    result_check_advisory(result);
    add_tokens(result);
    add_table(result);
    add_matrix(result);
    static const double x[] = {0, 1, 2, 4}, top[] = {0.9, 0.5, 0.25, 0.1}, random[] = {0.9, 0.85, 0.8, 0.7},
                        low[] = {0.9, 0.8, 0.7, 0.5}, high[] = {0.9, 0.9, 0.88, 0.8};
    SeriesBlock *series = result_add_series(result, "deletion", "Removing words", x, 4, "words removed", "probability");
    series_line(series, "strongest first", top, NULL, NULL);
    series_line(series, "random", random, low, high);
    GraphBlock *graph = result_add_graph(result, "graph", "Path", 2, 1);
    graph_block_node(graph, 0, "a", "head 3.1", 0.5);
    graph_block_node(graph, 1, "b", "logit", 1);
    graph_block_edge(graph, 0, 0, 1, -0.25);
    static const char said[] = "It said:\n  <i>no</i> & \xFF";
    result_add_text(result, "said", "What it said", said, sizeof said - 1, true);
    result_request(result, "ig",
                   "{\"model\": \"tiny\", \"prompt\": \"When Mary\", \"steps\": 32, \"baseline\": [\"pad\"]}");
    result_provenance(result, &(ResultProvenance){text_of("0.1.0"), text_of("cpu"), text_of("f32"), text_of("AVX2"),
                                                  text_of("oneDNN 2.6.3"), 256, 2, 42, NULL, 0, NULL, 0});
    result_measured(result, &(ResultMeasured){text_of("2026-01-31T12:00:00Z"), 1.5, 1 << 20});
    assert_int_equal(result_status(result), LIMN_OK);
    return result;
}

static void copy_blocks(Result *report, const Result *from, const char *prefix, int32_t begin, int32_t end) {
    for (int32_t i = begin; i < end; i++) {
        char id[64];
        snprintf(id, sizeof id, "%s-%s", prefix, from->blocks[i].id);
        result_copy_block(report, &from->blocks[i], id);
    }
}

Result *sample_report(void) {
    Result *report, *sample = sample_result();
    assert_int_equal(result_new(&report, "audit", "Audit"), LIMN_OK);
    result_headline(report, "1 of 2 gates failed <&>");
    result_check(report, "accuracy", 0.8, CHECK_AT_LEAST, 0.9, "share of %s decisions", "right");
    static const char said[] = "A paragraph <of> plain words & no title.";
    result_add_section(report, "in-short", "In short <&>", 1);
    result_add_text(report, "words", NULL, said, sizeof said - 1, false);
    copy_blocks(report, sample, "front", 1, 2);
    result_add_section(report, "local", "Local", 1);
    result_block_note(report, "what %s", "single inputs show");
    result_block_detail(report);
    result_add_section(report, "case-1", "Case 1", 2);
    copy_blocks(report, sample, "case", 0, sample->n_blocks);
    result_add_section(report, "deeper", "Deeper", 3);
    result_add_text(report, "again", NULL, said, sizeof said - 1, false);
    result_add_section(report, "end", "The end", 1);
    result_add_text(report, "last", NULL, said, sizeof said - 1, false);
    result_provenance(report, &sample->provenance);
    assert_int_equal(result_status(report), LIMN_OK);
    result_free(sample);
    return report;
}
