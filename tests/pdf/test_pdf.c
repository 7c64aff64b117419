/* PDF files as libqpdf reads them: their structure, and what must stand in them. */
#include "base/text_buffer.h"
#include "pdf/pdf.h"
#include "render/render.h"
#include "result/result.h"

#include <math.h>
#include <qpdf/qpdf-c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
static Result *document(const char *name) {
    char path[512];
    size_t length;
    snprintf(path, sizeof path, LIMN_TEST_SOURCE_DIR "/tests/result/golden/%s.json", name);
    char *json = read_file(path, &length);
    Result *result;
    if (result_read_json(&result, json, length, path) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    free(json);
    return result;
}

typedef struct Pdf {
    TextBuffer bytes;
    qpdf_data qpdf;
} Pdf;

static Pdf made(const Result *result, const char *language) {
    Pdf pdf = {.qpdf = qpdf_init()};
    if (pdf_document(&pdf.bytes, result, language) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    qpdf_silence_errors(pdf.qpdf);
    assert_int_equal(qpdf_read_memory(pdf.qpdf, "pdf", pdf.bytes.data, pdf.bytes.length, NULL), QPDF_SUCCESS);
    assert_int_equal(qpdf_check_pdf(pdf.qpdf), QPDF_SUCCESS);
    return pdf;
}

static void gone(Pdf *pdf) {
    qpdf_cleanup(&pdf->qpdf);
    text_buffer_free(&pdf->bytes);
}

static qpdf_oh at(const Pdf *pdf, qpdf_oh object, const char *key) {
    return qpdf_oh_get_key(pdf->qpdf, object, key);
}

/* ---- structure ---- */

static void add_text_of(const Pdf *pdf, TextBuffer *out, qpdf_oh element, const char *key) {
    if (qpdf_oh_has_key(pdf->qpdf, element, key)) {
        text_buffer_printf(out, " %s=%s", key + 1, qpdf_oh_get_utf8_value(pdf->qpdf, at(pdf, element, key)));
    }
}

static void add_element(const Pdf *pdf, TextBuffer *out, qpdf_oh element, int depth) {
    text_buffer_printf(out, "%*s%s", 2 * depth, "", qpdf_oh_get_name(pdf->qpdf, at(pdf, element, "/S")) + 1);
    add_text_of(pdf, out, element, "/Lang");
    add_text_of(pdf, out, element, "/Alt");
    if (qpdf_oh_has_key(pdf->qpdf, element, "/A")) {
        text_buffer_printf(out, " %s", qpdf_oh_get_name(pdf->qpdf, at(pdf, at(pdf, element, "/A"), "/Scope")) + 1);
    }
    text_buffer_add_char(out, '\n');
    qpdf_oh children = at(pdf, element, "/K");
    int n = qpdf_oh_is_array(pdf->qpdf, children) ? qpdf_oh_get_array_n_items(pdf->qpdf, children) : 0;
    for (int i = 0; i < n; i++) {
        qpdf_oh child = qpdf_oh_get_array_item(pdf->qpdf, children, i);
        if (qpdf_oh_is_dictionary(pdf->qpdf, child) && qpdf_oh_has_key(pdf->qpdf, child, "/S")) {
            add_element(pdf, out, child, depth + 1);
        }
    }
}

static void add_outline(const Pdf *pdf, TextBuffer *out, qpdf_oh item, int depth) {
    for (qpdf_oh entry = at(pdf, item, "/First"); qpdf_oh_is_dictionary(pdf->qpdf, entry);
         entry = at(pdf, entry, "/Next")) {
        text_buffer_printf(out, "%*s- %s\n", 2 * depth, "",
                           qpdf_oh_get_utf8_value(pdf->qpdf, at(pdf, entry, "/Title")));
        add_outline(pdf, out, entry, depth + 1);
    }
}

static char *described(const Pdf *pdf) {
    TextBuffer out = TEXT_BUFFER_INIT;
    qpdf_oh catalog = qpdf_get_root(pdf->qpdf), root = at(pdf, catalog, "/StructTreeRoot");
    text_buffer_printf(
        &out, "Lang %s, title %s, %d pages\n", qpdf_oh_get_utf8_value(pdf->qpdf, at(pdf, catalog, "/Lang")),
        qpdf_get_info_key(pdf->qpdf, "/Title") == NULL ? "(none)" : "given", qpdf_get_num_pages(pdf->qpdf));
    add_outline(pdf, &out, at(pdf, catalog, "/Outlines"), 0);
    add_element(pdf, &out, qpdf_oh_get_array_item(pdf->qpdf, at(pdf, root, "/K"), 0), 0);
    assert_int_equal(text_buffer_status(&out), LIMN_OK);
    return text_buffer_take(&out);
}

/* LIMN_UPDATE_GOLDEN=1 writes the files anew: look at them, and at the pages, before committing. */
static void test_structure(void **state) {
    static const char *const cases[][2] = {{"sample", "en"}, {"sample", "zh"}, {"report", "en"}, {"report", "zh"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result = document(cases[i][0]);
        Pdf pdf = made(result, cases[i][1]);
        char path[512], *found = described(&pdf);
        snprintf(path, sizeof path, LIMN_TEST_SOURCE_DIR "/tests/pdf/golden/%s_%s.txt", cases[i][0], cases[i][1]);
        if (getenv("LIMN_UPDATE_GOLDEN") != NULL) {
            FILE *file = fopen(path, "wb");
            assert_non_null(file);
            fputs(found, file);
            fclose(file);
        }
        size_t length;
        char *golden = read_file(path, &length);
        if (strcmp(found, golden) != 0) {
            fail_msg("%s differs; run with LIMN_UPDATE_GOLDEN=1 and look at the difference", path);
        }
        free(golden);
        free(found);
        gone(&pdf);
        result_free(result);
    }
}

/* ---- what must stand in it ---- */

/* Every mark of a page belongs to an element or is an artifact. */
static void check_page(const Pdf *pdf, qpdf_oh page) {
    unsigned char *content;
    size_t length;
    assert_int_equal(qpdf_oh_get_page_content_data(pdf->qpdf, page, &content, &length), QPDF_SUCCESS);
    char *text = calloc(length + 1, 1);
    assert_non_null(text);
    memcpy(text, content, length);
    assert_null(strstr(text, "NonStruct"));
    assert_null(strstr(text, "ActualText"));        /* readers of the structure lose what follows it in the paragraph */
    assert_non_null(strstr(text, "/Artifact BMC")); /* its foot */
    int open = 0, shown = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        size_t n = strlen(line);
        open += strcmp(line, "EMC") == 0
                    ? -1
                    : n > 4 && (strcmp(line + n - 4, " BDC") == 0 || strcmp(line + n - 4, " BMC") == 0);
        assert_in_range(open, 0, 3);
        bool text_shown = n > 2 && (strcmp(line + n - 2, "TJ") == 0 || strcmp(line + n - 2, "Tj") == 0);
        assert_false(text_shown && open == 0);
        shown += text_shown;
    }
    assert_int_equal(open, 0);
    assert_true(shown > 0);
    free(text);
    free(content);
}

static void check_fonts(const Pdf *pdf, qpdf_oh page) {
    qpdf_oh fonts = at(pdf, at(pdf, page, "/Resources"), "/Font");
    qpdf_oh_begin_dict_key_iter(pdf->qpdf, fonts);
    char names[64][64];
    int n = 0;
    while (qpdf_oh_dict_more_keys(pdf->qpdf) && n < 64) {
        snprintf(names[n++], sizeof names[0], "%s", qpdf_oh_dict_next_key(pdf->qpdf));
    }
    assert_in_range(n, 1, 63);
    for (int i = 0; i < n; i++) {
        qpdf_oh font = at(pdf, fonts, names[i]);
        const char *name = qpdf_oh_get_name(pdf->qpdf, at(pdf, font, "/BaseFont"));
        assert_true(strstr(name, "Noto") != NULL || strstr(name, "DejaVu") != NULL);
        assert_true(qpdf_oh_has_key(pdf->qpdf, font, "/ToUnicode")); /* its letters can be read back */
        qpdf_oh below = at(pdf, font, "/DescendantFonts");
        qpdf_oh real = qpdf_oh_is_array(pdf->qpdf, below) ? qpdf_oh_get_array_item(pdf->qpdf, below, 0) : font;
        qpdf_oh descriptor = at(pdf, real, "/FontDescriptor");
        assert_true(qpdf_oh_has_key(pdf->qpdf, descriptor, "/FontFile2") ||
                    qpdf_oh_has_key(pdf->qpdf, descriptor, "/FontFile3"));
    }
}

static void test_pages(void **state) {
    Result *result = document("report");
    Pdf pdf = made(result, "en");
    for (int i = 0; i < qpdf_get_num_pages(pdf.qpdf); i++) {
        qpdf_oh page = qpdf_get_page_n(pdf.qpdf, (size_t)i);
        check_page(&pdf, page);
        check_fonts(&pdf, page);
        assert_string_equal(qpdf_oh_get_name(pdf.qpdf, at(&pdf, page, "/Tabs")), "/S");
    }
    /* the contents lead to pages, and say where */
    qpdf_oh links = at(&pdf, qpdf_get_page_n(pdf.qpdf, 0), "/Annots");
    assert_int_equal(qpdf_oh_get_array_n_items(pdf.qpdf, links), 4);
    for (int i = 0; i < 4; i++) {
        qpdf_oh link = qpdf_oh_get_array_item(pdf.qpdf, links, i);
        assert_true(qpdf_oh_has_key(pdf.qpdf, link, "/Dest") || qpdf_oh_has_key(pdf.qpdf, link, "/A"));
        assert_true(strlen(qpdf_oh_get_utf8_value(pdf.qpdf, at(&pdf, link, "/Contents"))) > 0);
    }
    qpdf_oh catalog = qpdf_get_root(pdf.qpdf);
    assert_true(
        qpdf_oh_get_bool_value(pdf.qpdf, at(&pdf, at(&pdf, catalog, "/ViewerPreferences"), "/DisplayDocTitle")));
    assert_true(qpdf_oh_get_bool_value(pdf.qpdf, at(&pdf, at(&pdf, catalog, "/MarkInfo"), "/Marked")));
    assert_true(qpdf_oh_is_stream(pdf.qpdf, at(&pdf, catalog, "/Metadata")));
    assert_non_null(strstr(qpdf_get_info_key(pdf.qpdf, "/SetWith"), "Noto Sans CJK SC"));
    gone(&pdf);
    result_free(result);
}

/* The file holds its record, byte for byte; the date is the record's, without one there is none. */
static void test_record_and_date(void **state) {
    for (int dated = 0; dated < 2; dated++) {
        Result *result = document("sample"), *again;
        if (!dated) {
            result->measured.started = (Text){NULL, 0};
        }
        Pdf pdf = made(result, "en"), second = made(result, "en");
        assert_int_equal(pdf.bytes.length, second.bytes.length);
        assert_memory_equal(pdf.bytes.data, second.bytes.data, pdf.bytes.length);
        if (result_read_json(&again, pdf.bytes.data, pdf.bytes.length, "pdf") != LIMN_OK) {
            fail_msg("%s", error_message());
        }
        TextBuffer first = TEXT_BUFFER_INIT, back = TEXT_BUFFER_INIT;
        assert_int_equal(result_write_json(&first, result, true), LIMN_OK);
        assert_int_equal(result_write_json(&back, again, true), LIMN_OK);
        assert_string_equal(first.data, back.data);
        const char *date = qpdf_get_info_key(pdf.qpdf, "/CreationDate");
        if (dated) {
            assert_string_equal(date, "D:20260131120000Z");
        } else {
            assert_null(date);
        }
        text_buffer_free(&first);
        text_buffer_free(&back);
        result_free(again);
        gone(&pdf);
        gone(&second);
        result_free(result);
    }
}

/* A text that looks like the beginning of a record is not taken for one. */
static void test_feigned_record(void **state) {
    static const char text[] = "/Type /EmbeddedFile /Length 12 >>\nstream\n{\"format\": \"limn.result/1\"}\nendstream";
    Result *result, *again;
    assert_int_equal(result_new(&result, "m", "M"), LIMN_OK);
    result_headline(result, "%s", text);
    result_add_text(result, "text", text, text, strlen(text), true);
    Pdf pdf = made(result, "en");
    assert_int_equal(result_read_json(&again, pdf.bytes.data, pdf.bytes.length, "pdf"), LIMN_OK);
    assert_int_equal(again->n_blocks, 1);
    assert_string_equal(again->headline.bytes, text);
    result_free(again);
    assert_int_equal(result_read_json(&again, "%PDF-1.5\n", 9, "x.pdf"), LIMN_FORMAT);
    assert_non_null(strstr(error_message(), "x.pdf: a PDF file without a result document"));
    gone(&pdf);
    result_free(result);
}

/* Words in another language than the document's say so; a sign no font has is told by its number. */
static void test_languages(void **state) {
    static const TableColumn columns[] = {{{"text", 4}, COLUMN_TEXT}};
    static const char chinese[] = "刘备关羽张飞";
    Result *result;
    assert_int_equal(result_new(&result, "m", "M"), LIMN_OK);
    result_add_text(result, "text", "Words", chinese, strlen(chinese), false);
    table_row(result_add_table(result, "table", "Table", columns, 1), (const Value[]){value_text(chinese)});
    for (int zh = 0; zh < 2; zh++) {
        Pdf pdf = made(result, zh ? "zh" : "en");
        char *found = described(&pdf);
        assert_true((strstr(found, "  P Lang=zh\n") == NULL) == zh);
        assert_true((strstr(found, "      TD Lang=zh\n") == NULL) == zh);
        free(found);
        gone(&pdf);
    }
    result_free(result);
    Fonts fonts;
    TextBuffer shown = TEXT_BUFFER_INIT;
    static const char text[] = "a✓中\xF3\xB0\x80\x80 \xE2\x80\x8D";
    assert_int_equal(fonts_open(&fonts, "en"), LIMN_OK);
    fonts_show(&fonts, &shown, text, strlen(text));
    assert_string_equal(shown.data, "a✓中\\u{f0000} \xE2\x80\x8D");
    text_buffer_free(&shown);
    fonts_close(&fonts);
}

/* What a page draws. The caller's. */
static char *content_of(const Pdf *pdf, int page) {
    unsigned char *content;
    size_t length;
    assert_int_equal(
        qpdf_oh_get_page_content_data(pdf->qpdf, qpdf_get_page_n(pdf->qpdf, (size_t)page), &content, &length),
        QPDF_SUCCESS);
    char *text = calloc(length + 1, 1);
    assert_non_null(text);
    memcpy(text, content, length);
    free(content);
    return text;
}

static void test_sign_without_colour(void **state) {
    Result *result = document("sample");
    Pdf pdf = made(result, "en");
    char *page = content_of(&pdf, 0);
    assert_non_null(strstr(page, "[ 2.5 1.5] 0 d")); /* below words that speak against */
    free(page);
    gone(&pdf);
    result_free(result);
}

/* Artifacts of a page that show text. */
static int shown_artifacts(const Pdf *pdf, int page) {
    char *content = content_of(pdf, page);
    int n = 0;
    for (char *at = content; (at = strstr(at, "/Artifact BMC\n")) != NULL; at++) {
        char *end = strstr(at, "\nEMC"), *text = strstr(at, "BT\n");
        n += text != NULL && end != NULL && text < end;
    }
    free(content);
    return n;
}

/* Each heading of this tag on a page: size, first baseline, and from line to line (0: one line). */
typedef struct Heading {
    double size, baseline, leading;
} Heading;

static int headings_of(const char *content, const char *tag, Heading *found, int most) {
    char begin[16];
    int n = 0;
    snprintf(begin, sizeof begin, "/%s <<", tag);
    for (const char *at = content; (at = strstr(at, begin)) != NULL && n < most; at++) {
        const char *line = strstr(at, "BT\n"), *end = strstr(at, "\nEMC"), *next;
        double step;
        assert_true(line != NULL && end != NULL && line < end);
        Heading *one = &found[n++];
        *one = (Heading){0};
        assert_int_equal(sscanf(line + 3, "%lf 0 0 %*f 54 %lf Tm", &one->size, &one->baseline), 2);
        next = strstr(line, "\n0 -");
        if (next != NULL && next < end && sscanf(next, "\n0 %lf Td", &step) == 1) {
            one->leading = -step * one->size;
        }
    }
    return n;
}

static void near(const char *tag, double found, double expected) {
    if (!(fabs(found - expected) < 0.02)) {
        fail_msg("%s: found %g, expected %g", tag, found, expected);
    }
}

/* Sizes and leadings of headings go down by level; one below the other they keep what their style says apart. */
static void test_headings(void **state) {
    static const char lengthy[] =
        "A title that is so long that one line of the page cannot hold it, because it goes on "
        "and on until there is certainly a second line under the first";
    static const struct {
        const char *tag;
        double size, leading, apart; /* between the baselines of two of one line */
    } levels[] = {{"H1", 18, 25, 0},
                  {"H2", 13.5, 19, 19 + 5 + 16},
                  {"H3", 11, 16, 16 + 4 + 12},
                  {"H4", 9.5, 14, 14 + 3 + 10},
                  {"H5", 9.5, 14, 0}};
    Result *result;
    assert_int_equal(result_new(&result, "report", "Report"), LIMN_OK);
    result_headline(result, "%s", lengthy);
    for (int level = 1; level <= SECTION_LEVELS; level++) {
        for (int i = 0; i < 4; i++) { /* the contents may stand behind the first */
            char id[16];
            snprintf(id, sizeof id, "s%d.%d", level, i);
            result_add_section(result, id, i < 3 ? "short" : lengthy, level);
        }
    }
    result_add_text(result, "said", lengthy, "words", 5, false);
    assert_int_equal(result_status(result), LIMN_OK);
    Pdf pdf = made(result, "en");
    int seen[5] = {0};
    for (int page = 0; page < qpdf_get_num_pages(pdf.qpdf); page++) {
        char *content = content_of(&pdf, page);
        for (int k = 0; k < 5; k++) {
            Heading found[6];
            int n = headings_of(content, levels[k].tag, found, 6);
            for (int i = 0; i < n; i++) {
                near(levels[k].tag, found[i].size, levels[k].size);
                if (found[i].leading > 0) {
                    near(levels[k].tag, found[i].leading, levels[k].leading);
                    seen[k] |= 1;
                }
                if (i > 1 && levels[k].apart > 0 && found[i - 1].leading == 0) {
                    near(levels[k].tag, found[i].baseline - found[i - 1].baseline, levels[k].apart);
                    seen[k] |= 2;
                }
            }
        }
        free(content);
    }
    for (int k = 0; k < 5; k++) {
        if (seen[k] != (levels[k].apart > 0 ? 3 : 1)) {
            fail_msg("%s is not seen in all ways (%d)", levels[k].tag, seen[k]);
        }
    }
    gone(&pdf);
    result_free(result);
}

/* The numbers of the path (moves and lines alone, which `end` closes) that begins at `at`; n: how many points. */
static bool read_path(const char *at, const char *end, int n, double *x, double *y) {
    for (int i = 0; i < n; i++) {
        char *next, *last;
        x[i] = strtod(at, &next);
        y[i] = strtod(next, &last);
        last += strspn(last, " \n");
        if (next == at || last == next || *last != (i == 0 ? 'm' : 'l')) {
            return false;
        }
        at = last + 1;
    }
    at += strspn(at, " \n");
    return strncmp(at, end, strlen(end)) == 0;
}

static bool alike(double found, double expected) {
    return fabs(found - expected) < 0.02;
}

/* How often the page has a path through these points of the chart. */
static int paths_through(const char *content, const char *end, int n, const double *x, const double *y) {
    int times = 0;
    for (const char *at = content; *at != '\0'; at++) {
        double px[12], py[12];
        bool same = (at == content || at[-1] == '\n' || at[-1] == ' ') && read_path(at, end, n, px, py);
        for (int i = 0; same && i < n; i++) {
            same = alike(px[i], x[i]) && alike(py[i], y[i]);
        }
        times += same;
    }
    return times;
}

/* A chart of numbers from `least` to `most`, whose axis goes from `begin` to `end`: axes, grid, ticks, lines and a band
 * stand where their numbers are. */
static void check_chart(double least, double most, double begin, double end, double step) {
    const double span = most - least;
    static const double shares[4][4] = {
        {0, 0.25, 1, 0.5}, {0.25, 0.25, 0.375, 0.5}, {0.125, 0.25, 0.25, 0.375}, {0.375, 0.5, 0.5, 0.75}};
    static const double x[] = {0, 1, 3, 4};
    double values[4][4]; /* a line, another with its lower and upper ends */
    for (int i = 0; i < 16; i++) {
        values[i / 4][i % 4] = least + span * shares[i / 4][i % 4];
    }
    Result *result;
    assert_int_equal(result_new(&result, "ablate", "Ablation"), LIMN_OK);
    SeriesBlock *series = result_add_series(result, "curve", "Curve", x, 4, "taken out", "logit");
    series_line(series, "first", values[0], NULL, NULL);
    series_line(series, "second", values[1], values[2], values[3]);
    assert_int_equal(result_status(result), LIMN_OK);
    Pdf pdf = made(result, "en");
    char *content = content_of(&pdf, 0);
    const double left = 100, right = 531.276, height = 142; /* of what is drawn on */
    double top = -1, bottom = -1;
    for (const char *at = content; *at != '\0' && top < 0; at++) {
        double px[3], py[3];
        if (at[0] == '\n' && read_path(at + 1, "S", 3, px, py) && alike(px[0], left) && alike(px[1], left) &&
            alike(px[2], right) && alike(py[1], py[2])) {
            top = py[0];
            bottom = py[1];
        }
    }
    near("axes", bottom - top, height);
    double to_x[8], to_y[8];
    for (int line = 0; line < 2; line++) {
        for (int i = 0; i < 4; i++) {
            to_x[i] = left + x[i] / 4 * (right - left);
            to_y[i] = bottom - (values[line][i] - begin) / (end - begin) * height;
        }
        assert_int_equal(paths_through(content, "S", 4, to_x, to_y), 1);
    }
    for (int i = 0; i < 4; i++) {
        to_x[i] = to_x[7 - i] = left + x[i] / 4 * (right - left);
        to_y[i] = bottom - (values[3][i] - begin) / (end - begin) * height;
        to_y[7 - i] = bottom - (values[2][i] - begin) / (end - begin) * height;
    }
    assert_int_equal(paths_through(content, "h", 8, to_x, to_y), 1);
    int lines = 0;
    for (double value = begin; value <= end + 1e-9; value += step, lines++) {
        const double at = bottom - (value - begin) / (end - begin) * height, across[] = {left, right},
                     level[] = {at, at};
        assert_int_equal(paths_through(content, "S", 2, across, level), 1);
    }
    assert_true(fabs(begin + (lines - 1) * step - end) < 1e-9);
    for (int i = 0; i <= 4; i++) {
        const double tick = left + i * (right - left) / 4, at[] = {tick, tick}, down[] = {bottom, bottom + 3};
        assert_int_equal(paths_through(content, "S", 2, at, down), 1);
    }
    free(content);
    gone(&pdf);
    result_free(result);
}

/* The grid is of some five lines, one, two or five times a power of ten apart. */
static void test_chart(void **state) {
    check_chart(0, 40, 0, 40, 10);
    check_chart(0, 9, 0, 10, 2);
    check_chart(0, 12, 0, 15, 5);
    check_chart(0, 5, 0, 5, 1);
    check_chart(0, 0.5, 0, 0.5, 0.1);
    check_chart(3, 10, 0, 10, 2); /* from nought where that is near */
    check_chart(5.9, 10, 0, 10, 2);
    check_chart(6, 10, 6, 10, 1);
    check_chart(8, 10, 8, 10, 0.5);
    check_chart(-10, -2, -10, -2, 2);
}

/* Triangles on their base, with the point above, as the third line's marks are. */
static int triangles(const char *content) {
    int found = 0;
    for (const char *at = content; (at = strstr(at, " m")) != NULL; at += 2) {
        const char *begin = at;
        for (int n = 0; begin > content && n < 2; n += *begin == ' ' || *begin == '\n') {
            begin--;
        }
        double x[3], y[3];
        char close = 0;
        int n = sscanf(begin, "%lf %lf m %lf %lf l %lf %lf l %c", &x[0], &y[0], &x[1], &y[1], &x[2], &y[2], &close);
        found += n == 7 && close == 'h' && fabs(x[1] - x[0] - 2.6) < 0.02 && fabs(x[0] - x[2] - 2.6) < 0.02 &&
                 fabs(y[1] - y[2]) < 0.02 && fabs(fabs(y[0] - y[1]) - 4.7) < 0.02;
    }
    return found;
}

static void test_marks(void **state) {
    static const double x[] = {0, 1, 2, 3}, y[] = {1, 2, 3, 4};
    for (int lines = 2; lines <= 3; lines++) {
        Result *result;
        assert_int_equal(result_new(&result, "m", "Lines"), LIMN_OK);
        SeriesBlock *series = result_add_series(result, "series", "Series", x, 4, "x", "y");
        for (int i = 0; i < lines; i++) {
            series_line(series, i == 0 ? "one" : i == 1 ? "two" : "three", y, NULL, NULL);
        }
        Pdf pdf = made(result, "en");
        int found = 0;
        for (int page = 0; page < qpdf_get_num_pages(pdf.qpdf); page++) {
            char *content = content_of(&pdf, page);
            found += triangles(content);
            free(content);
        }
        assert_true(lines == 2 ? found == 0 : found >= 4);
        gone(&pdf);
        result_free(result);
    }
}

/* The next rectangle behind *at: x, y, width, height; how it is painted in *ink. */
static bool next_rectangle(const char **at, const char *content, double numbers[4], char *ink) {
    const char *found = strstr(*at, " re");
    if (found == NULL) {
        return false;
    }
    const char *begin = found;
    for (int n = 0; begin > content && n < 4; n += *begin == ' ' || *begin == '\n') {
        begin--;
    }
    char *next = (char *)(uintptr_t)begin;
    for (int i = 0; i < 4; i++) {
        numbers[i] = strtod(next, &next);
    }
    *ink = found[3 + strspn(found + 3, " \n")];
    *at = found + 3;
    return true;
}

/* How often the page has a rectangle that begins at x and is so wide; ink: 'f' filled, 'S' drawn. */
static int rectangles(const char *content, double x, double width, char ink) {
    double numbers[4];
    char own;
    int times = 0;
    for (const char *at = content; next_rectangle(&at, content, numbers, &own);) {
        times += alike(numbers[0], x) && alike(numbers[2], width) && own == ink;
    }
    return times;
}

/* Bars end where their column does, 4 points before the table; where one is below nought they begin in the middle. */
static void test_bars(void **state) {
    static const struct { double values[3], begin, whole; } cases[] = {{{8, 4, 2}, 44, 40}, {{8, -4, 2}, 24, 20}};
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TEXT}, {TEXT("effect"), COLUMN_BAR}};
    for (int k = 0; k < 2; k++) {
        Result *result;
        assert_int_equal(result_new(&result, "replace", "Replacement"), LIMN_OK);
        TableBlock *table = result_add_table(result, "words", "Words", columns, 2);
        for (int i = 0; i < 3; i++) {
            const Value cells[] = {value_text("cab"), value_number(cases[k].values[i])};
            table_row(table, cells);
        }
        Pdf pdf = made(result, "en");
        char *content = content_of(&pdf, 0);
        double right = 0, numbers[4];
        char ink;
        for (const char *at = content; right == 0 && next_rectangle(&at, content, numbers, &ink);) {
            right = alike(numbers[0], 54) && alike(fabs(numbers[3]), 0.5) ? 54 + numbers[2] : 0; /* a rule of rows */
        }
        for (int i = 0; i < 3; i++) {
            double part = cases[k].values[i] / 8 * cases[k].whole, zero = right - cases[k].begin;
            assert_int_equal(
                part > 0 ? rectangles(content, zero, part, 'f') : rectangles(content, zero + part, -part, 'S'), 1);
        }
        free(content);
        gone(&pdf);
        result_free(result);
    }
}

/* ---- what is long and wide ---- */

static int pages_of(const Result *result) {
    Pdf pdf = made(result, "en");
    int n = qpdf_get_num_pages(pdf.qpdf);
    for (int i = 0; i < n; i++) {
        check_page(&pdf, qpdf_get_page_n(pdf.qpdf, (size_t)i));
    }
    gone(&pdf);
    return n;
}

static void test_long_table(void **state) {
    enum { ROWS = 1200, LONG = 40000 };
    static const TableColumn columns[] = {{{"text", 4}, COLUMN_TEXT}, {{"share", 5}, COLUMN_SHARE}};
    char *words = malloc(LONG + 1);
    assert_non_null(words);
    memset(words, 'w', LONG);
    words[LONG] = '\0';
    Result *result;
    assert_int_equal(result_new(&result, "m", "Table"), LIMN_OK);
    TableBlock *table = result_add_table(result, "table", "Table", columns, 2);
    for (int i = 0; i < ROWS; i++) { /* one row is longer than a page */
        table_row(table, (const Value[]){value_text(i == 3 ? words : "words"), value_number(sin(i))});
    }
    assert_in_range(pages_of(result), 20, 60);
    Pdf pdf = made(result, "en");
    assert_int_equal(shown_artifacts(&pdf, 0), 1); /* the foot */
    assert_int_equal(shown_artifacts(&pdf, 1), 2); /* and the head of the table again */
    gone(&pdf);
    result_free(result);
    free(words);
}

static void test_wide_table(void **state) {
    enum { COLUMNS = 40 };
    TableColumn columns[COLUMNS];
    Value cells[COLUMNS];
    char names[COLUMNS][24];
    for (int i = 0; i < COLUMNS; i++) {
        snprintf(names[i], sizeof names[i], "column%d", i);
        columns[i] = (TableColumn){text_of(names[i]), COLUMN_NUMBER};
        cells[i] = value_number(1.0 / 3 + i);
    }
    Result *result;
    assert_int_equal(result_new(&result, "m", "Table"), LIMN_OK);
    table_row(result_add_table(result, "table", "Table", columns, COLUMNS), cells);
    assert_in_range(pages_of(result), 1, 2);
    result_free(result);
}

/* A large matrix is a picture of cells and the strongest of them; an empty one nothing. */
static void test_matrices(void **state) {
    for (int side = 1; side <= 400; side *= 20) {
        Result *result;
        assert_int_equal(result_new(&result, "m", "Matrix"), LIMN_OK);
        MatrixBlock *matrix = result_add_matrix(result, "matrix", "Matrix", side, side);
        for (int i = 0; i < side * side; i++) {
            matrix_set(matrix, i / side, i % side, i == 7 ? (double)NAN : sin(i));
        }
        result_add_matrix(result, "empty", "Empty", 0, 3);
        result_add_series(result, "points", "No points", NULL, 0, "x", "y");
        assert_in_range(pages_of(result), 1, 4);
        result_free(result);
    }
}

/* Tokens go on in the next line where a line ends, and what they stand on reaches no further than the text. */
static void test_strip_keeps_to_its_lines(void **state) {
    enum { TOKENS = 300 };
    Result *result;
    assert_int_equal(result_new(&result, "m", "Tokens"), LIMN_OK);
    TokensBlock *strip = result_add_tokens(result, "strip", "Tokens", TOKENS);
    for (int i = 0; i < TOKENS; i++) {
        char word[16];
        snprintf(word, sizeof word, " %.*s", 2 + i % 9, "extremely");
        tokens_set(strip, i, word, strlen(word), 1.0 + i % 3, TOKEN_SCORED);
    }
    Pdf pdf = made(result, "en");
    int filled = 0, n_lines = 0, apart = 0, close = 0, small = 0;
    double last = NAN, furthest = 0, end = 0;
    for (int i = 0, n = qpdf_get_num_pages(pdf.qpdf); i < n; i++) {
        unsigned char *content;
        size_t length;
        assert_int_equal(
            qpdf_oh_get_page_content_data(pdf.qpdf, qpdf_get_page_n(pdf.qpdf, (size_t)i), &content, &length),
            QPDF_SUCCESS);
        char *text = calloc(length + 1, 1), *rest = NULL;
        assert_non_null(text);
        memcpy(text, content, length);
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
            double x, y, width, height;
            const char *colour = strstr(line, " rg ");
            if (colour != NULL && sscanf(colour, " rg %lf %lf %lf %lf re", &x, &y, &width, &height) == 4) {
                filled++;
                n_lines += y != last;
                apart += y == last && fabs(x - end - 3) < 0.02; /* words stand apart */
                close += y == last && x - end < 2.9;
                end = x + width;
                last = y;
                furthest = fmax(furthest, x + width);
            }
            double size;
            small += sscanf(line, "%lf 0 0 %*f %*f %*f Tm", &size) == 1 && fabs(size - 6) < 1e-6;
        }
        free(text);
        free(content);
    }
    assert_true(filled > TOKENS - 10);
    assert_true(apart > TOKENS / 2 && close == 0);
    assert_true(small > TOKENS / 2); /* the numbers below the words */
    assert_in_range(n_lines, 5, TOKENS / 2);
    assert_true(furthest > 480 && furthest <= 595.28 - 54 + 0.1); /* A4 with its margins */
    gone(&pdf);
    result_free(result);
}

enum { SIDE = 400, STEP = 10 /* 40 x 40 cells are shown */ };

/* What is drawn of a large matrix whose strongest cells are in its first row, with one label written otherwise. */
static TextBuffer drawn_with(int32_t row, int32_t column) {
    Result *result;
    assert_int_equal(result_new(&result, "m", "Matrix"), LIMN_OK);
    MatrixBlock *matrix = result_add_matrix(result, "matrix", "Matrix", SIDE, SIDE);
    for (int32_t i = 0; i < SIDE; i++) {
        char label[16];
        snprintf(label, sizeof label, "%03d", i == row ? 888 : i);
        matrix_label_row(matrix, i, label, 3);
        snprintf(label, sizeof label, "%03d", i == column ? 888 : i);
        matrix_label_column(matrix, i, label, 3);
        for (int32_t j = 0; j < SIDE; j++) {
            matrix_set(matrix, i, j, i == 0 && j < 40 ? 40 - j : 0.5);
        }
    }
    Pdf pdf = made(result, "en");
    TextBuffer out = TEXT_BUFFER_INIT;
    for (int i = 0, n = qpdf_get_num_pages(pdf.qpdf); i < n; i++) {
        unsigned char *content;
        size_t length;
        assert_int_equal(
            qpdf_oh_get_page_content_data(pdf.qpdf, qpdf_get_page_n(pdf.qpdf, (size_t)i), &content, &length),
            QPDF_SUCCESS);
        text_buffer_add_bytes(&out, (char *)content, length);
        free(content);
    }
    gone(&pdf);
    result_free(result);
    return out;
}

/* Of rows that are pooled the first gives its label to all. */
static void test_labels_of_pooled_cells(void **state) {
    TextBuffer plain = drawn_with(-1, -1);
    static const struct {
        int32_t row, column;
        bool shown;
    } cases[] = {
        {SIDE - STEP, -1, true}, {7 * STEP + 1, -1, false}, {-1, SIDE - STEP, true}, {-1, 7 * STEP + 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TextBuffer other = drawn_with(cases[i].row, cases[i].column);
        bool same = plain.length == other.length && memcmp(plain.data, other.data, plain.length) == 0;
        assert_int_equal(!same, cases[i].shown);
        text_buffer_free(&other);
    }
    text_buffer_free(&plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_record_and_date),
        cmocka_unit_test(test_feigned_record),
        cmocka_unit_test(test_languages),
        cmocka_unit_test(test_sign_without_colour),
        cmocka_unit_test(test_long_table),
        cmocka_unit_test(test_wide_table),
        cmocka_unit_test(test_headings),
        cmocka_unit_test(test_chart),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_bars),
        cmocka_unit_test(test_matrices),
        cmocka_unit_test(test_labels_of_pooled_cells),
        cmocka_unit_test(test_strip_keeps_to_its_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
