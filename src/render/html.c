/* One self-contained page: no script, nothing fetched, the document itself inside it. */
#include "render/html.h"

#include <math.h>
#include <string.h>

#include "render/palette.h"

static void add(const Html *h, const char *markup) {
    text_buffer_add(h->out, markup);
}

/* ---- style ---- */

static void add_steps(const Html *h, Ground ground) {
    for (int step = -PALETTE_STEPS; step <= PALETTE_STEPS; step++) {
        if (step == 0) {
            continue;
        }
        Colour fill = palette_fill(step, ground), text = palette_text(fill);
        text_buffer_printf(h->out, ".%c%d{background:#%02x%02x%02x;color:#%02x%02x%02x}", step < 0 ? 'n' : 'p',
                           step < 0 ? -step : step, fill.red, fill.green, fill.blue, text.red, text.green, text.blue);
    }
}

static void add_style(const Html *h) {
    add(h, "<style>\n");
    for (size_t i = 0; html_style[i] != NULL; i++) {
        add(h, html_style[i]);
    }
    add(h, chart_style);
    add_steps(h, GROUND_LIGHT);
    add(h, "\n@media screen and (prefers-color-scheme:dark){");
    add(h, html_dark_style);
    add_steps(h, GROUND_DARK);
    add(h, "}\n</style>\n");
}

static void add_head(const Html *h, const RenderOptions *options) {
    add(h, "<!doctype html>\n<html lang=\"");
    markup_string(h->out, options->language);
    add(h, "\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    markup_text(h->out, headline_of(h->result, h->words), 0);
    add(h, " - limn</title>\n");
    add_style(h);
    add(h, "</head>\n");
}

/* ---- what stands at the top ---- */

static void add_buffer(const Html *h, TextBuffer *text) {
    markup_clean(h->out, text->data == NULL ? "" : text->data, text->length);
    h->out->failed = h->out->failed || text->failed;
    text_buffer_free(text);
}

static void add_check_value(const Html *h, const ResultCheck *check) {
    TextBuffer text = TEXT_BUFFER_INIT;
    format_check(&text, check, h->words, 0);
    add_buffer(h, &text);
}

static void add_check_name(const Html *h, const ResultCheck *check) {
    TextBuffer text = TEXT_BUFFER_INIT;
    format_check_name(&text, check, h->words, 0);
    add_buffer(h, &text);
}

static const char *const outcome_classes[] = {"good", "bad", "warn"}, *const outcome_signs[] = {"✓", "✗", "?"};

static void add_verdict(Html *h) {
    Verdict verdict;
    h->status = checks_verdict(&verdict, h->arena, h->result, h->words, 0);
    if (h->status != LIMN_OK || verdict.text == NULL) {
        return;
    }
    CheckState outcome = verdict.failed > 0 ? CHECK_FAIL : verdict.open > 0 ? CHECK_INCONCLUSIVE : CHECK_PASS;
    text_buffer_printf(h->out, "<p class=\"verdict %s\"><a href=\"#checks\">%s ", outcome_classes[outcome],
                       outcome_signs[outcome]);
    markup_clean(h->out, verdict.text, strlen(verdict.text));
    add(h, "</a></p>\n");
}

static void add_failed(const Html *h, const ResultCheck *check, CheckState outcome) {
    text_buffer_printf(h->out, "<p class=\"alert %s\"><strong>%s %s%s", outcome_classes[outcome],
                       outcome_signs[outcome], h->words[outcome == CHECK_FAIL ? WORD_FAILED : WORD_INCONCLUSIVE],
                       h->words[WORD_COLON]);
    add_check_name(h, check);
    add(h, "</strong> ");
    add_check_value(h, check);
    if (check->meaning.length > 0) {
        add(h, h->words[WORD_COLON]);
        markup_text(h->out, check->meaning, 0);
    }
    add(h, "</p>\n");
}

static void add_alerts(const Html *h) {
    const Result *result = h->result;
    for (int32_t i = 0; i < result->n_checks; i++) {
        CheckState outcome = result->checks[i].state;
        if (outcome != CHECK_PASS) {
            add_failed(h, &result->checks[i], outcome);
        }
    }
    for (int32_t i = 0; i < result->n_warnings; i++) {
        text_buffer_printf(h->out, "<p class=\"alert warn\"><strong>! %s</strong> ", h->words[WORD_WARNING]);
        markup_text(h->out, result->warnings[i], 0);
        add(h, "</p>\n");
    }
}

/* The whole prompt, folded, where the head shows its beginning. */
static void add_whole_prompt(const Html *h) {
    if (prompt_is_cut(h->result)) {
        text_buffer_printf(h->out, "<details><summary>%s</summary>\n<pre>", h->words[WORD_PROMPT]);
        markup_text(h->out, h->result->input_text, CLEAN_LINES);
        add(h, "</pre>\n</details>\n");
    }
}

static void add_list(const Html *h, const Fact *facts, size_t n) {
    add(h, "<dl class=\"facts\">\n");
    for (size_t i = 0; i < n; i++) {
        add(h, "<dt>");
        markup_clean(h->out, facts[i].label, strlen(facts[i].label));
        add(h, "</dt><dd>");
        markup_clean(h->out, facts[i].text, strlen(facts[i].text));
        add(h, "</dd>\n");
    }
    add(h, "</dl>\n");
}

static void add_header(Html *h) {
    add(h, "<header>\n<p class=\"eyebrow\">limn · ");
    markup_text(h->out, method_name(h->result, h->words), 0);
    add(h, "</p>\n<h1>");
    markup_text(h->out, headline_of(h->result, h->words), 0);
    add(h, "</h1>\n");
    add_verdict(h);
    add_alerts(h);
    Fact facts[FACTS_MAX];
    size_t n;
    if (h->status == LIMN_OK) {
        h->status = result_facts(facts, &n, h->arena, h->result, h->words, 0);
    }
    if (h->status == LIMN_OK) {
        add_list(h, facts, n);
        add_whole_prompt(h);
    }
    add(h, "</header>\n");
}

/* ---- blocks, checks, provenance ---- */

static void add_heading(const Html *h, const Block *block) {
    text_buffer_printf(h->out, "<h%d id=\"h-", h->level + 2);
    markup_string(h->out, block->id);
    add(h, "\">");
    markup_text(h->out, word_for_block(h->words, block), 0);
    if (block->unit.length > 0) {
        add(h, " <span class=\"unit\">(");
        markup_text(h->out, block->unit, 0);
        add(h, ")</span>");
    }
    text_buffer_printf(h->out, "</h%d>\n", h->level + 2);
}

/* In a report words without a title of their own are a paragraph. */
static bool is_paragraph(const Html *h, const Block *block) {
    return h->level > 0 && block->kind == BLOCK_TEXT && block->title.length == 0 && !block->detail;
}

static void add_block(Html *h, const Block *block) {
    static void (*const functions[])(Html *, const Block *) = {
#define BLOCK(kind, name, type, help) html_##name,
#include "result/blocks.def"
#undef BLOCK
    };
    if (block->kind == BLOCK_SECTION || is_paragraph(h, block)) {
        functions[block->kind](h, block);
        return;
    }
    if (h->level > 0) { /* of a report's many parts the headings are enough: titles recur, and landmarks are few */
        add(h, "<section>\n");
    } else {
        add(h, "<section aria-labelledby=\"h-");
        markup_string(h->out, block->id);
        add(h, "\">\n");
    }
    add_heading(h, block);
    if (block->detail) {
        text_buffer_printf(h->out, "<details><summary>%s</summary>\n", h->words[WORD_SHOW]);
    }
    functions[block->kind](h, block);
    if (block->note.length > 0) {
        add(h, "<p class=\"note\">");
        markup_text(h->out, block->note, 0);
        add(h, "</p>\n");
    }
    add(h, block->detail ? "</details>\n</section>\n" : "</section>\n");
}

/* Tables that follow each other stand side by side where there is room. A report is read in its own order. */
static void add_blocks(Html *h, bool detail) {
    bool in_row = false, report = result_has_sections(h->result);
    for (int32_t i = 0; i < h->result->n_blocks && h->status == LIMN_OK && !(report && detail); i++) {
        const Block *block = &h->result->blocks[i];
        if (block->detail != detail && !report) {
            continue;
        }
        bool table = block->kind == BLOCK_TABLE;
        if (table != in_row) {
            add(h, table ? "<div class=\"row\">\n" : "</div>\n");
            in_row = table;
        }
        add_block(h, block);
    }
    add(h, in_row ? "</div>\n" : "");
}

/* Where each section of a report begins; the deepest level stays out. */
static void add_contents(const Html *h) {
    if (!result_has_sections(h->result)) {
        return;
    }
    text_buffer_printf(h->out,
                       "<nav class=\"contents\" aria-label=\"%s\">\n<details open><summary>%s</summary>\n<ul>\n",
                       h->words[WORD_CONTENTS], h->words[WORD_CONTENTS]);
    for (int32_t i = 0; i < h->result->n_blocks; i++) {
        const Block *block = &h->result->blocks[i];
        int32_t level = block->kind == BLOCK_SECTION ? ((const SectionBlock *)block->content)->level : SECTION_LEVELS;
        if (level < SECTION_LEVELS) {
            text_buffer_printf(h->out, "<li class=\"l%d\"><a href=\"#h-%s\">", level, block->id);
            markup_text(h->out, word_for_block(h->words, block), 0);
            add(h, "</a></li>\n");
        }
    }
    add(h, "</ul></details>\n</nav>\n");
}

static void add_checks_head(const Html *h) {
    const WordId columns[] = {WORD_OUTCOME, WORD_CHECK, WORD_CHECK_VALUE, WORD_CHECK_MEASURES};
    text_buffer_printf(h->out,
                       "<section aria-labelledby=\"checks\">\n<h2 id=\"checks\">%s</h2>\n<p class=\"note\">%s</p>\n"
                       "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"checks\">"
                       "<table class=\"checks stack\" role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">",
                       h->words[WORD_CHECKS], h->words[WORD_CHECKED_WHAT]);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        text_buffer_printf(h->out, "<th scope=\"col\" role=\"columnheader\">%s</th>", h->words[columns[i]]);
    }
    add(h, "</tr></thead>\n<tbody role=\"rowgroup\">\n");
}

static void add_checks(const Html *h) {
    const Result *result = h->result;
    if (result->n_checks == 0) {
        return;
    }
    add_checks_head(h);
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        CheckState outcome = check->state;
        text_buffer_printf(h->out, "<tr role=\"row\"><td role=\"cell\" class=\"%s\">", outcome_classes[outcome]);
        format_outcome(h->out, outcome, h->words, 0);
        add(h, "</td><th scope=\"row\" role=\"rowheader\">");
        add_check_name(h, check);
        add(h, "</th><td role=\"cell\">");
        add_check_value(h, check);
        add(h, "</td><td role=\"cell\">");
        markup_text(h->out, check->meaning, 0);
        add(h, "</td></tr>\n");
    }
    add(h, "</tbody>\n</table></div>\n</section>\n");
}

/* JSON inside a script element: '<' occurs in strings only, where \u003c means the same. */
static void add_document(Html *h) {
    TextBuffer json = TEXT_BUFFER_INIT;
    h->status = result_write_json(&json, h->result, true);
    add(h, RESULT_IN_PAGE "\n");
    size_t begin = 0;
    for (size_t i = 0; h->status == LIMN_OK && i < json.length; i++) {
        if (json.data[i] == '<') {
            text_buffer_add_bytes(h->out, json.data + begin, i - begin);
            add(h, "\\u003c");
            begin = i + 1;
        }
    }
    if (h->status == LIMN_OK) {
        text_buffer_add_bytes(h->out, json.data + begin, json.length - begin);
    }
    add(h, "</script>\n");
    text_buffer_free(&json);
}

static void add_footer(Html *h) {
    FactGroup groups[FACT_GROUPS];
    h->status = result_details(groups, h->arena, h->result, h->words, 0);
    add(h, "<footer>\n");
    for (size_t i = 0; h->status == LIMN_OK && i < FACT_GROUPS; i++) {
        if (groups[i].n > 0) {
            text_buffer_printf(h->out, "<details><summary>%s</summary>\n", groups[i].title);
            add_list(h, groups[i].facts, groups[i].n);
            add(h, "</details>\n");
        }
    }
    text_buffer_printf(h->out, "<p class=\"note\">%s <code>limn-result</code></p>\n</footer>\n",
                       h->words[WORD_WHOLE_DOCUMENT]);
}

static void add_page(Html *h, const RenderOptions *options) {
    add_head(h, options);
    add(h, "<body>\n");
    add_header(h);
    add(h, "<main>\n");
    add_contents(h);
    add_blocks(h, false);
    h->level = 0;
    add_checks(h);
    add_blocks(h, true);
    add(h, "</main>\n");
    if (h->status == LIMN_OK) {
        add_footer(h);
    }
    if (h->status == LIMN_OK) {
        add_document(h);
    }
    add(h, "</body>\n</html>\n");
}

limn_status render_html(TextBuffer *out, const Result *result, const RenderOptions *options) {
    Arena arena;
    arena_init(&arena);
    Html h = {.out = out, .arena = &arena, .result = result, .words = words_in(options->language)};
    add_page(&h, options);
    arena_free(&arena);
    return h.status;
}
