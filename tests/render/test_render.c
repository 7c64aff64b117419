#include "base/text_buffer.h"
#include "base/utf8.h"
#include "render/format.h"
#include "render/html.h"
#include "render/markup.h"
#include "render/palette.h"
#include "render/render.h"
#include "result/result.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- documents ---- */

static char *read_file(const char *path, size_t *length) {
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
    bytes[*length] = '\0';
    fclose(file);
    return bytes;
}

/* The documents that tests/result builds and pins. */
static Result *document(const char *path) {
    size_t length;
    char *json = read_file(path, &length);
    Result *result;
    if (result_read_json(&result, json, length, path) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    free(json);
    return result;
}

static Result *sample(void) {
    return document(LIMN_TEST_SOURCE_DIR "/tests/result/golden/sample.json");
}

static Result *report(void) {
    return document(LIMN_TEST_SOURCE_DIR "/tests/result/golden/report.json");
}

/* One text in every place that holds text. */
static Result *filled_with(const char *bytes, size_t length) {
    Result *result;
    assert_int_equal(result_new(&result, "m", bytes), LIMN_OK);
    Text text = {bytes, length};
    result_headline(result, "%s", bytes);
    result_model(result, &(ResultModel){text, text, text, text});
    result_input(result, bytes, length);
    result_input_token(result, &(InputToken){.bytes = text, .role = text});
    static const int32_t ids[] = {1};
    result_target(result, &(ResultTarget){.kind = text, .ids = ids, .n_ids = 1, .text = text});
    result_param(result, bytes, value_bytes(bytes, length));
    result_warn(result, "%s", bytes);
    result_check(result, bytes, 2, CHECK_AT_MOST, 1, "%s", bytes);
    result_check(result, bytes, 0, CHECK_AT_MOST, 1, "%s", bytes);
    TokensBlock *tokens = result_add_tokens(result, "tokens", bytes, 1);
    tokens_set(tokens, 0, bytes, length, -1, TOKEN_SCORED);
    tokens_add_grouping(tokens, "word", 1)[0] = (TokenGroup){0, 1, -1, 0.5};
    result_block_unit(result, bytes);
    result_block_note(result, "%s", bytes);
    MatrixBlock *matrix = result_add_matrix(result, "matrix", bytes, 1, 1);
    matrix_label_row(matrix, 0, bytes, length);
    matrix_label_column(matrix, 0, bytes, length);
    matrix_titles(matrix, bytes, bytes);
    matrix_set(matrix, 0, 0, 1);
    const double x = 1;
    series_line(result_add_series(result, "series", bytes, &x, 1, bytes, bytes), bytes, &x, &x, &x);
    char *names[] = {malloc(length + 2), malloc(length + 2)}; /* no two columns have one name */
    for (int i = 0; i < 2; i++) {
        assert_non_null(names[i]);
        memcpy(names[i], bytes, length);
        memcpy(names[i] + length, i == 0 ? "2" : "3", 2);
    }
    const TableColumn columns[] = {
        {text, COLUMN_TOKEN}, {{names[0], length + 1}, COLUMN_SHARE}, {{names[1], length + 1}, COLUMN_VALUE}};
    TableBlock *table = result_add_table(result, "table", bytes, columns, 3);
    table_row(table, (const Value[]){value_bytes(bytes, length), value_number(-1), value_bytes(bytes, length)});
    free(names[0]);
    free(names[1]);
    GraphBlock *graph = result_add_graph(result, "graph", bytes, 1, 1);
    graph_block_node(graph, 0, bytes, bytes, 1);
    graph_block_edge(graph, 0, 0, 0, 1);
    result_add_text(result, "text", bytes, bytes, length, false);
    result_add_text(result, "literal", bytes, bytes, length, true);
    const ResultAdapter adapter = {text, text, 0.5};
    const ResultEdits edits = {text, text, text};
    result_provenance(result, &(ResultProvenance){text, text, text, text, text, 1, 1, 1, &adapter, 1, &edits, 1});
    result_measured(result, &(ResultMeasured){text, 1, 1});
    assert_int_equal(result_status(result), LIMN_OK);
    return result;
}

static char *rendered(const Result *result, const char *format, const RenderOptions *options) {
    TextBuffer out = TEXT_BUFFER_INIT;
    if (render_result(&out, result, format, options) != LIMN_OK) {
        fail_msg("%s: %s", format, error_message());
    }
    char *text = text_buffer_take(&out);
    assert_non_null(text);
    return text;
}

/* ---- goldens ---- */

static const struct {
    const char *file;
    const char *format;
    RenderOptions options;
} goldens[] = {
    {"sample.txt", "terminal", {.width = 80}},
    {"sample_details.txt", "terminal", {.width = 100, .details = true}},
    {"sample_ascii.txt", "terminal", {.width = 60, .ascii = true}},
    {"sample_16.txt", "terminal", {.width = 80, .colour = RENDER_COLOUR_16}},
    {"sample_24bit.txt", "terminal", {.width = 80, .colour = RENDER_COLOUR_24BIT}},
    {"sample.html", "html", {0}},
    {"sample.svg", "svg", {0}},
    {"sample.md", "md", {0}},
    {"sample_zh.txt", "terminal", {.width = 80, .details = true, .language = "zh"}},
    {"sample_zh.html", "html", {.language = "zh"}},
    {"sample_zh.svg", "svg", {.language = "zh"}},
    {"sample_zh.md", "md", {.language = "zh"}},
    {"report.txt", "terminal", {.width = 80}},
    {"report_details.txt", "terminal", {.width = 80, .details = true}},
    {"report.html", "html", {0}},
    {"report.svg", "svg", {0}},
    {"report.md", "md", {0}},
    {"report_zh.html", "html", {.language = "zh"}},
};

/* LIMN_UPDATE_GOLDEN=1 writes the files anew: look at them before committing. */
static void test_goldens(void **state) {
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        Result *result = strncmp(goldens[i].file, "report", 6) == 0 ? report() : sample();
        char path[512];
        snprintf(path, sizeof path, LIMN_TEST_SOURCE_DIR "/tests/render/golden/%s", goldens[i].file);
        char *text = rendered(result, goldens[i].format, &goldens[i].options);
        if (getenv("LIMN_UPDATE_GOLDEN") != NULL) {
            FILE *file = fopen(path, "wb");
            assert_non_null(file);
            fputs(text, file);
            fclose(file);
        }
        size_t length;
        char *golden = read_file(path, &length);
        if (strcmp(text, golden) != 0) {
            fail_msg("%s differs; run with LIMN_UPDATE_GOLDEN=1 and look at the difference", goldens[i].file);
        }
        free(golden);
        char *again = rendered(result, goldens[i].format, &goldens[i].options);
        assert_string_equal(text, again);
        free(again);
        free(text);
        result_free(result);
    }
}

/* ---- hostile text ---- */

static const struct {
    const char *bytes;
    size_t length;
} hostile[] = {
#define HOSTILE(text)                                                                                                  \
    { text, sizeof(text) - 1 }
    HOSTILE("<script>alert(1)</script>"),
    HOSTILE("</script><!-- --><svg onload=alert(1)>"),
    HOSTILE("\" onmouseover=\"alert(1)"),
    HOSTILE("' onclick='x"),
    HOSTILE("a & b &lt; ]]> c"),
    HOSTILE("\x1b[2J\x1b]0;title\x07\x1bP"),
    HOSTILE("\xC2\x9B"
            "2J\xC2\x90"),
    HOSTILE("\r\n\t\x0b\x0c\x7f"),
    HOSTILE("\xE2\x80\xAE txt.exe \xE2\x81\xA6"),
    HOSTILE("\xFF\xFE\x80 \xED\xA0\x80 \xF4\x90\x80\x80 \xE4\xB8"),
    HOSTILE("\xEF\xBF\xBF \xEF\xBF\xBE \xEF\xBB\xBF"),
    HOSTILE("a\nb\n\n# c\n```\n</pre>"),
    HOSTILE("| a | b |\n|---|---|"),
    HOSTILE("[x](javascript:alert(1)) ![y](z) **b** _i_ `c` <http://a>"),
    HOSTILE(""),
    HOSTILE(" "),
    HOSTILE("%s%n%d"),
    HOSTILE("\xE5\x88\x98\xE5\xA4\x87\xE5\x85\xB3\xE7\xBE\xBD\xE5\xBC\xA0\xE9\xA3\x9E\xE6\xA1\x83\xE5\x9B\xAD"
            "\xE4\xB8\x89\xE7\xBB\x93\xE4\xB9\x89 \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 e\xCC\x81\xCC\x81"),
#undef HOSTILE
};

/* Valid UTF-8, no control or direction character but line breaks (and our own colours). */
static void assert_harmless(const char *text, bool colours) {
    size_t length = strlen(text);
    assert_true(utf8_is_valid(text, length));
    for (size_t i = 0; i < length;) {
        if (colours && text[i] == '\x1b') {
            assert_int_equal(text[i + 1], '[');
            i += 2 + strspn(text + i + 2, "0123456789;");
            assert_int_equal(text[i++], 'm');
            continue;
        }
        uint32_t c;
        bool valid;
        i += utf8_read(text + i, length - i, &c, &valid);
        bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
        bool turns = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F;
        if (control || turns || c == 0xFFFE || c == 0xFFFF) {
            fail_msg("character U+%04X got through", (unsigned)c);
        }
    }
}

/* Tags balance, attributes are quoted, & begins a known reference, no raw < in text. */
static void assert_well_formed(const char *text) {
    static const char *const alone[] = {"meta", "input", "br", "!doctype"};
    char open[64][32];
    int depth = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '&') {
            static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
            bool found = false;
            for (size_t i = 0; i < 5; i++) {
                found = found || strncmp(c, known[i], strlen(known[i])) == 0;
            }
            assert_true(found);
        }
        if (*c != '<') {
            continue;
        }
        bool closing = c[1] == '/';
        c += closing ? 2 : 1;
        char name[32];
        size_t n = strspn(c, "!abcdefghijklmnopqrstuvwxyz0123456789");
        assert_in_range(n, 1, 31);
        memcpy(name, c, n);
        name[n] = '\0';
        for (c += n; *c != '>'; c++) {
            assert_true(*c != '\0' && *c != '<' && *c != '\'');
            if (*c == '"') {
                for (c++; *c != '"'; c++) {
                    assert_true(*c != '\0' && *c != '<');
                }
            }
        }
        bool single = c[-1] == '/';
        for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
            single = single || strcmp(name, alone[i]) == 0;
        }
        if (closing) {
            assert_true(depth > 0);
            if (strcmp(open[--depth], name) != 0) {
                fail_msg("</%s> closes <%s>", name, open[depth]);
            }
        } else if (!single) {
            assert_in_range(depth, 0, 63);
            strcpy(open[depth++], name);
        }
        if (!closing && (strcmp(name, "script") == 0 || strcmp(name, "style") == 0)) {
            char end[40];
            snprintf(end, sizeof end, "</%s", name);
            const char *at = strstr(c, end);
            assert_non_null(at);
            c = at - 1;
        }
    }
    assert_int_equal(depth, 0);
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        n++;
    }
    return n;
}

/* Every row of a table has as many unescaped bars as its first. */
static void assert_markdown(const char *text) {
    int expected = 0;
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        int bars = 0;
        bool code = strncmp(line, "    ", 4) == 0;
        for (const char *c = line; c < end && !code; c++) {
            if (*c == '\\') {
                c++;
            } else {
                bars += *c == '|';
                assert_int_not_equal(*c, '<');
                assert_int_not_equal(*c, '`');
            }
        }
        assert_true(expected == 0 || bars == 0 || bars == expected);
        expected = bars;
        line = end + 1;
    }
}

static void assert_pdf(const Result *result) {
    TextBuffer pdf = TEXT_BUFFER_INIT, json = TEXT_BUFFER_INIT, back = TEXT_BUFFER_INIT;
    Result *again = NULL;
    if (render_result(&pdf, result, "pdf", NULL) != LIMN_OK ||
        result_read_json(&again, pdf.data, pdf.length, "pdf") != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    assert_memory_equal(pdf.data, "%PDF-", 5);
    assert_int_equal(result_write_json(&json, result, true), LIMN_OK);
    assert_int_equal(result_write_json(&back, again, true), LIMN_OK);
    assert_string_equal(json.data, back.data);
    text_buffer_free(&pdf);
    text_buffer_free(&json);
    text_buffer_free(&back);
    result_free(again);
}

static void test_hostile_text(void **state) {
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        Result *result = filled_with(hostile[i].bytes, hostile[i].length);
        for (int colour = RENDER_COLOUR_NONE; colour <= RENDER_COLOUR_24BIT; colour++) {
            RenderOptions options = {.width = 50, .colour = (RenderColour)colour, .details = true};
            char *text = rendered(result, "terminal", &options);
            assert_harmless(text, colour != RENDER_COLOUR_NONE);
            free(text);
            options.ascii = true;
            text = rendered(result, "terminal", &options);
            for (const char *c = text; *c != '\0'; c++) {
                assert_true((unsigned char)*c < 0x80);
            }
            free(text);
        }
        size_t n;
        const Renderer *rows = renderers(&n);
        for (size_t k = 0; k < n; k++) {
            if (strcmp(rows[k].name, "pdf") == 0) { /* goes through, and holds the document: more in tests/pdf */
                assert_pdf(result);
                continue;
            }
            if (strcmp(rows[k].name, "json") == 0) { /* the document itself: for programs, and compared elsewhere */
                continue;
            }
            char *text = rendered(result, rows[k].name, NULL);
            bool page = strcmp(rows[k].name, "html") == 0;
            assert_harmless(text, false);
            if (page || strcmp(rows[k].name, "svg") == 0) {
                assert_well_formed(text);
                assert_int_equal(count(text, "<script"), page);
            } else if (strcmp(rows[k].name, "md") == 0) {
                assert_markdown(text);
            }
            free(text);
        }
        result_free(result);
    }
}

/* ---- what a reader must find ---- */

/* Facts of the run stand as they are written, and on one line each. */
static void test_details_as_written(void **state) {
    static const char *const formats[] = {"md", "html", "terminal"};
    static const char value[] = "比特币\n# x";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        Result *result;
        assert_int_equal(result_new(&result, "m", "Title"), LIMN_OK);
        result_param(result, "prompt", value_text(value));
        result_provenance(result, &(ResultProvenance){.version = TEXT("北京\n# y")});
        const RenderOptions options = {.width = 80, .details = true};
        char *text = rendered(result, formats[i], &options);
        char *shown = strcmp(formats[i], "html") == 0 ? strstr(text, "<main>") : text;
        assert_non_null(strstr(shown, "比特币"));
        assert_non_null(strstr(shown, "北京"));
        assert_null(strstr(shown, "\n# x"));
        assert_null(strstr(shown, "\n# y"));
        free(text);
        result_free(result);
    }
}

static void test_document_inside_page(void **state) {
    Result *result = sample();
    char *html = rendered(result, "html", NULL), *json = rendered(result, "json", NULL);
    Result *again;
    assert_int_equal(result_read_json(&again, html, strlen(html), "page"), LIMN_OK);
    char *second = rendered(again, "json", NULL);
    assert_string_equal(json, second);
    free(second);
    result_free(again);
    free(json);
    free(html);
    result_free(result);
}

/* Nothing is fetched, nothing runs. */
static void test_page_stands_alone(void **state) {
    Result *result = sample();
    char *html = rendered(result, "html", NULL);
    static const char *const outside[] = {
        " src=", "url(", "@import", "<link", "<img", "<iframe", "http-equiv=\"refresh"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        assert_null(strstr(html, outside[i]));
    }
    assert_int_equal(count(html, "https://"), 0);
    assert_non_null(strstr(html, "<html lang=\"en\">"));
    assert_non_null(strstr(html, "default-src 'none'"));
    assert_int_equal(count(html, "<main>"), 1);
    assert_int_equal(count(html, "<h1>"), 1);
    assert_int_equal(count(html, "<svg"), count(html, "</svg></div>\n<details><summary>The same as a table"));
    free(html);
    result_free(result);
}

static void assert_order(const char *text, const char *first, const char *second) {
    const char *a = strstr(text, first), *b = strstr(text, second);
    if (a == NULL || b == NULL || a >= b) {
        fail_msg("\"%s\" does not stand before \"%s\"", first, second);
    }
}

/* Doubts come before figures, in every format for people. */
static void test_warnings_first(void **state) {
    Result *result = sample();
    static const char *const formats[] = {"terminal", "html", "svg", "md"};
    for (size_t i = 0; i < 4; i++) {
        char *text = rendered(result, formats[i], NULL);
        assert_order(text, i == 0 ? "warning" : "arning", "What each token did");
        assert_order(text, i == 0 ? "FAIL" : "ailed", "What each token did");
        free(text);
    }
    result_free(result);
}

static void test_sign_without_colour(void **state) {
    Result *result = sample();
    static const char *const formats[] = {"terminal", "html", "svg", "md"};
    for (size_t i = 0; i < 4; i++) {
        char *text = rendered(result, formats[i], NULL);
        assert_non_null(strstr(text, "+2.75"));
        assert_non_null(strstr(text, "-1.38"));
        free(text);
    }
    result_free(result);
}

static void test_width(void **state) {
    Result *documents[2] = {sample(), filled_with(hostile[17].bytes, hostile[17].length)};
    for (int i = 0; i < 2; i++) {
        for (int width = 58; width <= 130; width += 9) {
            char *text = rendered(documents[i], "terminal", &(RenderOptions){.width = width, .details = true});
            for (const char *line = text; *line != '\0';) {
                size_t length = strcspn(line, "\n");
                if (text_width(line, length) > width) {
                    fail_msg("width %d: \"%.*s\"", width, (int)length, line);
                }
                line += length + 1;
            }
            free(text);
        }
        result_free(documents[i]);
    }
}

/* ---- what came of the checks ---- */

static Result *checked(bool holds) {
    Result *result;
    assert_int_equal(result_new(&result, "m", "Method"), LIMN_OK);
    result_headline(result, "82.5%% right");
    result_check(result, "panel gaps", 0.02, CHECK_AT_MOST, 0.03, "sum of the gaps");
    result_check(result, "aside", 2, CHECK_AT_MOST, 1, "something that decides nothing here");
    result_check_advisory(result);
    result_check(result, "deletion", holds ? 0.5 : -0.5, CHECK_ABOVE, 0, "how much more the strongest words weigh");
    return result;
}

/* What was found stands first, then what was expected; what is measured reads the same whatever came of it. Where all
 * held, what was checked is named: nothing says that an answer was approved. */
static void test_outcomes(void **state) {
    static const char *const formats[] = {"terminal", "html", "md", "svg"};
    for (size_t i = 0; i < 4; i++) {
        for (int holds = 0; holds < 2; holds++) {
            Result *result = checked(holds == 1);
            char *text = rendered(result, formats[i], NULL);
            bool escaped = i == 1 || i == 3;
            const char *expected = escaped ? "expected &gt; 0" : i == 2 ? "expected \\> 0" : "expected > 0";
            assert_null(strstr(text, "passed"));
            assert_null(strstr(text, "needs"));
            if (i < 3 || holds == 0) { /* a picture shows only what did not hold */
                assert_order(text, holds == 1 ? "found 0.5" : "found -0.5", expected);
            }
            if (i == 1) {
                assert_int_equal(count(text, "Checked: panel gaps, deletion"), holds);
                assert_int_equal(count(text, "1 of 3 checks failed"), 1 - holds);
                assert_non_null(strstr(text, "✗ Failed: aside (advisory)"));
            }
            free(text);
            result_free(result);
        }
    }
}

/* ---- the prompt ---- */

static void test_prompt(void **state) {
    static const char *const formats[] = {"terminal", "html", "md", "svg"};
    for (int kind = 0; kind < 3; kind++) { /* a text; ids; a strip that shows it already */
        Result *result;
        assert_int_equal(result_new(&result, "run", "Run"), LIMN_OK);
        if (kind != 1) {
            result_input(result, "Is it Paris", 11);
        }
        static const char *const pieces[] = {"Is", " it", " Paris"};
        for (int i = 0; i < 3; i++) {
            result_input_token(result, &(InputToken){.id = i, .bytes = text_of(pieces[i])});
        }
        if (kind == 2) {
            result_add_tokens(result, "strip", "Strip", 3);
        }
        for (size_t i = 0; i < 4; i++) {
            char *text = rendered(result, formats[i], NULL);
            const char *shown = i == 2 ? "“Is it Paris” \\(3 tokens\\)" : "“Is it Paris” (3 tokens)";
            assert_int_equal(count(text, shown), kind < 2);
            free(text);
        }
        result_free(result);
    }
    char text[3000]; /* long: the head shows its beginning, the page holds all of it folded */
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 8, " the end", 8);
    Result *result;
    assert_int_equal(result_new(&result, "run", "Run"), LIMN_OK);
    result_input(result, text, sizeof text);
    char *page = rendered(result, "html", NULL), *terminal = rendered(result, "terminal", NULL);
    assert_non_null(strstr(page, " the end</pre>"));
    assert_null(strstr(terminal, "the end"));
    assert_non_null(strstr(terminal, "…”"));
    free(page);
    free(terminal);
    result_free(result);
}

/* ---- lines ---- */

/* Four people who are one sign. */
#define FAMILY "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7\xE2\x80\x8D\xF0\x9F\x91\xA6"

/* A picture's headline takes as many lines as it needs: put together they are the headline, cleaned. */
static void test_picture_headline(void **state) {
    static const char *const headlines[] = {
        "Why \"she\" (11.8%) & not \"he\" <b>: most for it \"The\" (+0.72), most against it \"that\" (-0.46)",
        "a\nb\nc\nd\ne\nf\ng \x1b[31m and \x1b[0m as many signs that take more room than bytes \x01\x02\x03 end",
        "为什么是“她”（11.8%）而不是“他”（2.4%）：最支持它的是“护士”（+0.72），最反对它的是“说”（-0."
        "46），还有一些别的词。",
        "one_word_that_is_longer_than_a_line_of_the_picture_can_be_and_goes_on_and_on_until_the_end_of_it",
        FAMILY FAMILY FAMILY FAMILY FAMILY FAMILY FAMILY FAMILY FAMILY FAMILY FAMILY FAMILY,
    };
    for (size_t i = 0; i < sizeof headlines / sizeof *headlines; i++) {
        Result *result;
        assert_int_equal(result_new(&result, "m", "M"), LIMN_OK);
        result_headline(result, "%s", headlines[i]);
        char *picture = rendered(result, "svg", NULL);
        TextBuffer lines = TEXT_BUFFER_INIT, whole = TEXT_BUFFER_INIT;
        markup_text(&whole, text_of(headlines[i]), 0);
        static const char mark[] = "<text class=\"title\"";
        int n = 0;
        for (const char *at = picture; (at = strstr(at, mark)) != NULL; n++) {
            at = strchr(at, '>') + 1;
            size_t length = strcspn(at, "<");
            if (whole.data[lines.length] == ' ') {
                text_buffer_add_char(&lines, ' '); /* the space a line is broken at */
            }
            text_buffer_add_bytes(&lines, at, length);
        }
        assert_string_equal(lines.data, whole.data);
        assert_true(n > 1);
        text_buffer_free(&lines);
        text_buffer_free(&whole);
        free(picture);
        result_free(result);
    }
}

/* What stands behind a line break of the text begins a line of its own, 50 lower, at the margin again. */
static void test_picture_lines(void **state) {
    static const struct {
        const char *between;
        bool breaks;
    } cases[] = {{"b", false}, {"\n", true}, {".\n", true}, {"\nb", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Result *result;
        assert_int_equal(result_new(&result, "m", "M"), LIMN_OK);
        TokensBlock *strip = result_add_tokens(result, "strip", "Strip", 3);
        const char *const texts[] = {"a", cases[i].between, "c"};
        for (int t = 0; t < 3; t++) {
            tokens_set(strip, t, texts[t], strlen(texts[t]), 0.5, TOKEN_SCORED);
        }
        char *picture = rendered(result, "svg", NULL);
        double x[3] = {0}, y[3] = {0};
        int n = 0;
        for (const char *at = picture; n < 3 && (at = strstr(at, "<g><rect x=")) != NULL; at++, n++) {
            assert_int_equal(sscanf(at, "<g><rect x=\"%lf\" y=\"%lf\"", &x[n], &y[n]), 2);
        }
        assert_int_equal(n, 3);
        assert_true(y[1] == y[0] && x[1] > x[0]);
        assert_true(cases[i].breaks ? y[2] == y[0] + 50 && x[2] == x[0] : y[2] == y[0] && x[2] > x[1]);
        free(picture);
        result_free(result);
    }
}

static void test_line_break(void **state) {
    static const struct {
        const char *text;
        int width;
        bool force;
        const char *line;
    } cases[] = {
        {"one two three", 8, true, "one two"},
        {"one two three", 7, true, "one two"},
        {"one two", 2, true, "on"},
        {"one two", 2, false, ""},
        {"one", 3, true, "one"},
        {"汉字很长", 5, true, "汉字"},
        {"汉字，很长", 5, true, "汉"},
        {"汉（字）很长", 5, true, "汉"},
        {"abc汉字", 4, true, "abc"},
        {"汉", 1, true, "汉"},
        {"汉", 1, false, ""},
        {"e\xCC\x81"
         "e\xCC\x81"
         "e",
         1, true, "e\xCC\x81"},
        {"👨‍👩‍👧 b", 3, true, "👨‍👩‍👧"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = line_break(cases[i].text, strlen(cases[i].text), cases[i].width, cases[i].force);
        if (n != strlen(cases[i].line) || memcmp(cases[i].text, cases[i].line, n) != 0) {
            fail_msg("\"%s\" in %d columns: found \"%.*s\"", cases[i].text, cases[i].width, (int)n, cases[i].text);
        }
    }
}

/* ---- words ---- */

/* Conversions of a text, one after another: "%d%s". */
static void conversions(char out[64], const char *text) {
    size_t n = 0;
    for (const char *at = text; (at = strchr(at, '%')) != NULL; at += 2) {
        out[n++] = at[1];
        assert_in_range(n, 1, 63);
    }
    out[n] = '\0';
}

static void test_words_agree(void **state) {
    Words english = words_in("en"), chinese = words_in("zh");
    for (int i = 0; i < WORD_COUNT; i++) {
        char first[64], second[64];
        assert_non_null(english[i]);
        assert_non_null(chinese[i]);
        conversions(first, english[i]);
        conversions(second, chinese[i]);
        assert_string_equal(first, second);
        assert_true(utf8_is_valid(chinese[i], strlen(chinese[i])));
    }
    assert_ptr_equal(words_in(NULL), english);
    assert_ptr_equal(words_in("xx"), english);
    for (int state_of = 0; state_of < TOKEN_STATE_COUNT; state_of++) {
        const char *name = token_state_name((TokenState)state_of), *help = token_state_help((TokenState)state_of);
        assert_string_not_equal(word_for_string(chinese, name), name);
        assert_string_not_equal(word_for_string(chinese, help), help);
        assert_string_equal(word_for_string(english, help), help);
    }
}

/* A document is shown in the language it was made in, unless another one is asked for. */
static void test_language(void **state) {
    Result *result = checked(false);
    result_param_text(result, "language", "zh");
    static const char *const formats[] = {"terminal", "html", "md", "svg"};
    for (size_t i = 0; i < 4; i++) {
        char *text = rendered(result, formats[i], NULL);
        assert_non_null(strstr(text, "实测 -0.5"));
        assert_null(strstr(text, "found"));
        free(text);
        text = rendered(result, formats[i], &(RenderOptions){.language = "en"});
        assert_non_null(strstr(text, "found -0.5"));
        free(text);
    }
    char *text = rendered(result, "terminal", &(RenderOptions){.ascii = true}); /* where it can be read */
    assert_non_null(strstr(text, "found -0.5"));
    free(text);
    result_free(result);
}

/* ---- phones ---- */

static Result *wide(void) {
    Result *result;
    assert_int_equal(result_new(&result, "m", "Wide"), LIMN_OK);
    const TableColumn columns[] = {
        {text_of("record"), COLUMN_INTEGER}, {text_of("decision"), COLUMN_TEXT}, {text_of("prompt"), COLUMN_TEXT}};
    table_row(result_add_table(result, "mistakes", "Mistakes", columns, 3),
              (const Value[]){value_integer(1), value_text("yes"),
                              value_text("a prompt of so many words that its column would be a sliver on a phone")});
    TableColumn numbers[9];
    Value cells[9];
    char names[9][24];
    for (int i = 0; i < 9; i++) {
        snprintf(names[i], sizeof names[i], "number %d", i);
        numbers[i] = (TableColumn){text_of(names[i]), COLUMN_NUMBER};
        cells[i] = value_number(0.12345);
    }
    table_row(result_add_table(result, "numbers", "Numbers", numbers, 9), cells);
    const TableColumn shares[] = {{text_of("word"), COLUMN_TOKEN}, {text_of("share"), COLUMN_SHARE}};
    table_row(result_add_table(result, "shares", "Shares", shares, 2),
              (const Value[]){value_text("the"), value_number(0.5)});
    return result;
}

/* Rows with long words become cards, what is wider than a phone says so, a bar stays with its number. */
static void test_phone(void **state) {
    Result *result = wide();
    char *page = rendered(result, "html", NULL);
    assert_int_equal(count(page, "<table class=\"stack\""), 1);
    assert_int_equal(count(page, "data-label=\"prompt\""), 1);
    assert_int_equal(count(page, "<p class=\"hint\">"), 1);
    assert_order(page, "<h2 id=\"h-numbers\">", "<p class=\"hint\">");
    assert_order(page, "<p class=\"hint\">", "<h2 id=\"h-shares\">");
    assert_non_null(strstr(page, "<td class=\"share\"><span class=\"part\">+50.0%</span> <span class=\"track\""));
    assert_non_null(strstr(page, "name=\"viewport\""));
    free(page);
    result_free(result);
}

/* ---- size ---- */

static Result *huge(void) {
    enum { N = 20000, SIDE = 1200, ROWS = 5000 };
    Result *result;
    assert_int_equal(result_new(&result, "m", "Huge"), LIMN_OK);
    TokensBlock *tokens = result_add_tokens(result, "tokens", "Tokens", N);
    TokenGroup *words = tokens_add_grouping(tokens, "word", N / 2);
    for (int32_t i = 0; i < N; i++) {
        tokens_set(tokens, i, i % 9 == 0 ? "\n" : " token", i % 9 == 0 ? 1 : 6, sin(i), TOKEN_SCORED);
        words[i / 2] = (TokenGroup){i / 2 * 2, i / 2 * 2 + 2, cos(i), 0};
    }
    MatrixBlock *matrix = result_add_matrix(result, "matrix", "Matrix", SIDE, SIDE);
    for (int32_t i = 0; i < SIDE * SIDE; i++) {
        matrix_set(matrix, i / SIDE, i % SIDE, sin(i));
    }
    matrix_set(matrix, 1199, 7, 99);
    const TableColumn columns[] = {{text_of("word"), COLUMN_TEXT}, {text_of("share"), COLUMN_SHARE}};
    TableBlock *table = result_add_table(result, "table", "Table", columns, 2);
    for (int32_t i = 0; i < ROWS; i++) {
        table_row(table, (const Value[]){value_text("word"), value_number(sin(i))});
    }
    assert_int_equal(result_status(result), LIMN_OK);
    return result;
}

static void test_huge(void **state) {
    Result *result = huge();
    static const struct {
        const char *format;
        size_t most;
    } limits[] = {{"terminal", 2 << 20}, {"svg", 8 << 20}, {"md", 4 << 20}};
    for (size_t i = 0; i < 3; i++) {
        char *text = rendered(result, limits[i].format, NULL);
        assert_in_range(strlen(text), 1000, limits[i].most);
        free(text);
    }
    char *html = rendered(result, "html", NULL), *json = rendered(result, "json", NULL);
    assert_in_range(strlen(html) - strlen(json), 1000, 16 << 20);
    assert_non_null(strstr(html, "+99.0</td>")); /* the strongest cell survives pooling */
    free(html);
    free(json);
    result_free(result);
}

/* What is counted has no decimals, unless something in the matrix was not counted. */
static void test_counts(void **state) {
    static const char *const many[] = {"83.0", "83.0</td>"}, *const one[] = {"1.00", "1.00</td>"};
    for (int row = 0; row < 4; row++) {
        bool whole = row % 2 == 1, few = row >= 2; /* a single record is a count too */
        Result *result;
        assert_int_equal(result_new(&result, "m", "Counts"), LIMN_OK);
        MatrixBlock *matrix = result_add_matrix(result, "confusion", "Confusion", 2, 1);
        matrix->is_signed = false;
        matrix_set(matrix, 0, 0, few ? 1 : 83);
        matrix_set(matrix, 1, 0, whole ? 0 : 0.5);
        static const char *const grids[] = {"terminal", "html", "svg", "md"};
        for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++) {
            char *text = rendered(result, grids[i], NULL);
            bool page = strcmp(grids[i], "html") == 0; /* holds the document as well */
            assert_true((strstr(text, (few ? one : many)[page]) == NULL) == whole);
            free(text);
        }
        result_free(result);
    }
}

static void test_long_series(void **state) {
    enum { N = 384 };
    double x[N];
    Result *result;
    assert_int_equal(result_new(&result, "m", "Series"), LIMN_OK);
    for (int i = 0; i < N; i++) {
        x[i] = i;
    }
    SeriesBlock *series = result_add_series(result, "embedding", "Embedding", x, N, "dimension", "value");
    series_line(series, "embedding", x, NULL, NULL);
    char *text = rendered(result, "terminal", NULL);
    size_t lines = 0;
    for (const char *c = text; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    assert_in_range(lines, 30, 60);
    assert_non_null(strstr(text, "of 384 points"));
    free(text);
    result_free(result);
}

/* Many columns of numbers beside short words: the words stay whole, and names longer than the numbers take several
 * lines. */
static void test_words_beside_numbers(void **state) {
    enum { COLUMNS = 10 };
    static const char *const names[COLUMNS] = {"",        "share a", "share b", "share c", "share d",
                                               "share e", "share f", "share g", "share h", "accuracy low"};
    TableColumn columns[COLUMNS] = {{text_of("group"), COLUMN_TEXT}};
    Value cells[COLUMNS] = {value_text("immigrant")};
    for (int i = 1; i < COLUMNS; i++) {
        columns[i] = (TableColumn){text_of(names[i]), COLUMN_NUMBER};
        cells[i] = value_number(0.12345);
    }
    Result *result;
    assert_int_equal(result_new(&result, "m", "Groups"), LIMN_OK);
    table_row(result_add_table(result, "groups", "Groups", columns, COLUMNS), cells);
    char *text = rendered(result, "terminal", &(RenderOptions){.width = 78});
    assert_non_null(strstr(text, "immigrant 0.1235"));
    const char *first = strstr(text, "group      share"), *second = strstr(text, "\n                 a");
    assert_non_null(first);
    assert_true(second > first && second < strstr(text, "immigrant") && strstr(second, "     low\n") != NULL);
    free(text);
    result_free(result);
}

/* Bars with intervals: the longest end is the scale, and columns of other names are none. */
static void test_bars(void **state) {
    const TableColumn columns[] = {{text_of("word"), COLUMN_TOKEN},
                                   {text_of("harm"), COLUMN_BAR},
                                   {text_of("low"), COLUMN_SIGNED},
                                   {text_of("high"), COLUMN_SIGNED}};
    TableColumn renamed[4];
    memcpy(renamed, columns, sizeof renamed);
    renamed[2].name = text_of("below");
    for (int names = 0; names < 2; names++) {
        Result *result;
        assert_int_equal(result_new(&result, "m", "Harm"), LIMN_OK);
        TableBlock *table = result_add_table(result, "words", "Words", names == 0 ? columns : renamed, 4);
        table_row(table, (const Value[]){value_text("a"), value_number(1), value_number(0.5), value_number(2)});
        table_row(table, (const Value[]){value_text("b"), value_number(-0.5), value_null(), value_null()});
        const Bars bars = table_bars(table, 1, 2);
        double low, high;
        assert_true(bars.scale == (names == 0 ? 2 : 1) && bars.two_sided);
        assert_true(bars_interval(&bars, table, 0, &low, &high) == (names == 0));
        assert_false(bars_interval(&bars, table, 1, &low, &high));
        char *page = rendered(result, "html", NULL), *picture = rendered(result, "svg", NULL);
        if (names == 0) { /* 0.5 of 2 on the right half: 62.5%, up to its end */
            assert_non_null(strstr(page, "<span class=\"reach\" style=\"left:62.5%;width:37.5%\">"));
            assert_non_null(strstr(page, "<span class=\"bar plus\" style=\"left:50.0%;width:25.0%\">"));
            assert_non_null(strstr(picture, "stroke=\"#1a1d21\" d=\"M"));
        } else {
            assert_null(strstr(page, "<span class=\"reach\""));
            assert_non_null(strstr(page, "<span class=\"bar minus\" style=\"left:25.0%;width:25.0%\">"));
            assert_null(strstr(picture, "stroke=\"#1a1d21\" d=\"M"));
        }
        assert_non_null(strstr(page, "+1"));
        free(page);
        free(picture);
        result_free(result);
    }
}

/* Words are not split, at any width: columns give way, then a row is written out as names and values. */
static void test_whole_words(void **state) {
    static const char *const words[] = {"severity", "group-error", "exchange-decisions,",
                                        "labelled", "records",     "points"};
    static const TableColumn columns[] = {
        {{"id", 2}, COLUMN_TEXT},    {{"severity", 8}, COLUMN_TEXT}, {{"kind", 4}, COLUMN_TEXT},
        {{"what", 4}, COLUMN_TOKEN}, {{"where", 5}, COLUMN_TEXT},    {{"effect", 6}, COLUMN_SIGNED},
        {{"low", 3}, COLUMN_SIGNED}, {{"high", 4}, COLUMN_SIGNED},   {{"p", 1}, COLUMN_NUMBER},
        {{"n", 1}, COLUMN_INTEGER},  {{"unit", 4}, COLUMN_TEXT}};
    Result *result;
    assert_int_equal(result_new(&result, "m", "Findings"), LIMN_OK);
    TableBlock *table = result_add_table(result, "findings", "Findings", columns, 11);
    const Value cells[] = {value_text("F-0123abcd"),
                           value_text("high"),
                           value_text("group-error"),
                           value_text("so says the lighthouse"),
                           value_text("exchange-decisions, records labelled no"),
                           value_number(0.5512),
                           value_number(0.4312),
                           value_number(0.6612),
                           value_number(0.00012345),
                           value_integer(58),
                           value_text("points")};
    table_row(table, cells);
    for (int width = 50; width <= 160; width += 5) {
        char *text = rendered(result, "terminal", &(RenderOptions){.width = width});
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (strstr(text, words[i]) == NULL) {
                fail_msg("width %d: '%s' is split:\n%s", width, words[i], text);
            }
        }
        free(text);
    }
    result_free(result);
}

static void test_empty(void **state) {
    Result *result;
    assert_int_equal(result_new(&result, "m", NULL), LIMN_OK);
    result_add_tokens(result, "tokens", "T", 0);
    result_add_matrix(result, "matrix", "M", 0, 0);
    result_add_series(result, "series", "S", NULL, 0, "", "");
    result_add_table(result, "table", "T", NULL, 0);
    result_add_graph(result, "graph", "G", 0, 0);
    result_add_text(result, "text", NULL, NULL, 0, false);
    size_t n;
    const Renderer *rows = renderers(&n);
    for (size_t i = 0; i < n; i++) {
        free(rendered(result, rows[i].name, NULL));
    }
    result_free(result);
}

/* ---- parts ---- */

static void test_palette(void **state) {
    for (int ground = GROUND_LIGHT; ground <= GROUND_UNKNOWN; ground++) {
        for (int step = -PALETTE_STEPS; step <= PALETTE_STEPS; step++) {
            if (step != 0) {
                Colour fill = palette_fill(step, (Ground)ground);
                assert_true(palette_contrast(fill, palette_text(fill)) >= 4.5);
                if (ground == GROUND_UNKNOWN) { /* the terminal always writes black on it */
                    assert_true(palette_contrast(fill, (Colour){0, 0, 0}) >= 4.5);
                }
            }
        }
    }
    assert_int_equal(palette_step(1, 1), PALETTE_STEPS);
    assert_int_equal(palette_step(-7, 1), -PALETTE_STEPS);
    assert_int_equal(palette_step(0.01, 1), 0);
    assert_int_equal(palette_step((double)NAN, 1), 0);
    assert_int_equal(palette_step(1, 0), 0);
}

static Colour colour_named(const char *style, const char *name) {
    char key[16];
    snprintf(key, sizeof key, "%s:#", name);
    const char *at = strstr(style, key);
    assert_non_null(at);
    char digits[7] = {0};
    memcpy(digits, at + strlen(key), 6);
    if (!isxdigit((unsigned char)digits[3])) { /* #abc */
        digits[5] = digits[4] = digits[2];
        digits[3] = digits[2] = digits[1];
        digits[1] = digits[0];
    }
    unsigned long value = strtoul(digits, NULL, 16);
    return (Colour){(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
}

static void test_page_contrast(void **state) {
    const char *const styles[] = {html_style[0], html_dark_style};
    static const char *const pairs[][2] = {
        {"--fg", "--bg"},     {"--soft", "--bg"},    {"--good", "--bg"}, {"--bad", "--bg"},     {"--c0", "--bg"},
        {"--c1", "--bg"},     {"--c2", "--bg"},      {"--c3", "--bg"},   {"--bad", "--bad-bg"}, {"--warn", "--warn-bg"},
        {"--fg", "--bad-bg"}, {"--fg", "--warn-bg"}, {"--fg", "--card"}};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof pairs / sizeof *pairs; j++) {
            double contrast =
                palette_contrast(colour_named(styles[i], pairs[j][0]), colour_named(styles[i], pairs[j][1]));
            if (contrast < 4.5) {
                fail_msg("%s on %s: %.2f", pairs[j][0], pairs[j][1], contrast);
            }
        }
    }
}

static void assert_number(void (*format)(TextBuffer *, double), double value, const char *expected) {
    TextBuffer text = TEXT_BUFFER_INIT;
    format(&text, value);
    assert_string_equal(text.data, expected);
    text_buffer_free(&text);
}

static void test_numbers(void **state) {
    assert_number(format_number, 0.0, "0");
    assert_number(format_number, 0.0297, "0.0297");
    assert_number(format_number, 12345.6, "12345.6");
    assert_number(format_number, 8192, "8192");
    assert_number(format_number, 1.5e-7, "1.5e-07");
    assert_number(format_number, (double)NAN, "-");
    assert_number(format_signed, 2, "+2");
    assert_number(format_signed, -2, "-2");
    assert_number(format_percent, 0.287, "28.7%");
    assert_number(format_percent, 0.99973, "99.97%");
    assert_number(format_percent, 0.000012, "0.0012%");
    assert_number(format_share, 0.394, "+39.4%");
    assert_number(format_share, 0.0001, "+0.0%");
    TextBuffer text = TEXT_BUFFER_INIT;
    format_score(&text, -0.0123456, 0.05, true);
    assert_string_equal(text.data, "-0.0123");
    text_buffer_free(&text);
}

static void test_clean(void **state) {
    static const struct {
        const char *text;
        unsigned flags;
        const char *clean;
    } cases[] = {{" a b ", CLEAN_SPACES, "␣a b␣"},
                 {" a", 0, " a"},
                 {"a\nb\t", 0, "a⏎b⇥"},
                 {"a\nb", CLEAN_LINES, "a\nb"},
                 {"\x1b[0m", 0, "\\x1b[0m"},
                 {"\xE4\xB8", 0, "\\xE4\\xB8"},
                 {"\xC3\xA9", CLEAN_ASCII, "\\u{e9}"},
                 {" x", CLEAN_ASCII | CLEAN_SPACES, "_x"},
                 {"\xE2\x80\xAE", 0, "\\u{202e}"},
                 {"   ", CLEAN_SPACES, "␣␣␣"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TextBuffer out = TEXT_BUFFER_INIT;
        clean_text(&out, text_of(cases[i].text), cases[i].flags);
        assert_string_equal(out.data, cases[i].clean);
        text_buffer_free(&out);
    }
    TextBuffer out = TEXT_BUFFER_INIT;
    clean_text_cut(&out, text_of("刘备关羽张飞"), 0, 7);
    assert_string_equal(out.data, "刘备关…");
    text_buffer_free(&out);
    clean_text_cut(&out, text_of("abcdefg"), 0, 7);
    assert_string_equal(out.data, "abcdefg");
    text_buffer_free(&out);
    clean_text_cut(&out, text_of("a👨‍👩‍👧bc"), 0, 4); /* one family, not half of it */
    assert_string_equal(out.data, "a…");
    text_buffer_free(&out);
    clean_text_cut(&out,
                   text_of("abce\xCC\x81"
                           "fgh"),
                   0, 5);
    assert_string_equal(out.data, "abce\xCC\x81…");
    text_buffer_free(&out);
    clean_text_cut(&out, text_of("abcdefgh"), CLEAN_ASCII, 7);
    assert_string_equal(out.data, "abcd...");
    text_buffer_free(&out);
}

static void test_rows(void **state) {
    size_t n;
    const Renderer *rows = renderers(&n);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(renderer_find(rows[i].name), &rows[i]);
        assert_non_null(strstr(renderer_names(), rows[i].name));
        /* tests/result/golden; tests/pdf */
        bool looked_at = strcmp(rows[i].name, "json") == 0 || strcmp(rows[i].name, "pdf") == 0;
        for (size_t k = 0; k < sizeof goldens / sizeof *goldens; k++) {
            looked_at = looked_at || strcmp(goldens[k].format, rows[i].name) == 0;
        }
        if (!looked_at) {
            fail_msg("the format %s has no row in goldens[]", rows[i].name);
        }
    }
    assert_null(renderer_find("docx"));
    Result *result = sample();
    TextBuffer out = TEXT_BUFFER_INIT;
    assert_int_equal(render_result(&out, result, "docx", NULL), LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), "docx"));
    assert_non_null(strstr(error_message(), "terminal|json"));
    text_buffer_free(&out);
    result_free(result);
}

/* Words may be broken into lines; a figure or a piece of model text may not. */
static void test_which_cells_wrap(void **state) {
    for (int kind = 0; kind < COLUMN_COUNT; kind++) {
        bool words = kind == COLUMN_TEXT || kind == COLUMN_NAME || kind == COLUMN_VALUE;
        assert_int_equal(column_kind_wraps((ColumnKind)kind), words);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_details_as_written),
        cmocka_unit_test(test_document_inside_page),
        cmocka_unit_test(test_page_stands_alone),
        cmocka_unit_test(test_warnings_first),
        cmocka_unit_test(test_sign_without_colour),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_picture_headline),
        cmocka_unit_test(test_line_break),
        cmocka_unit_test(test_words_agree),
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_phone),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_long_series),
        cmocka_unit_test(test_words_beside_numbers),
        cmocka_unit_test(test_bars),
        cmocka_unit_test(test_whole_words),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_palette),
        cmocka_unit_test(test_page_contrast),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_picture_lines),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_which_cells_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
