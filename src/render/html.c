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
    markup_string(h->out, options->language == NULL ? "en" : options->language);
    add(h, "\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    const Result *result = h->result;
    markup_text(h->out, result->headline.length > 0 ? result->headline : result->method_title, 0);
    add(h, " - limn</title>\n");
    add_style(h);
    add(h, "</head>\n");
}

/* ---- what stands at the top ---- */

static void add_check_value(const Html *h, const ResultCheck *check) {
    static const char *const signs[] = {"≤", "≥", "&lt;", "&gt;"};
    format_number(h->out, check->value);
    text_buffer_printf(h->out, ", needs %s ", signs[check->kind]);
    format_number(h->out, check->limit);
}

static void add_verdict(const Html *h) {
    const Result *result = h->result;
    int32_t failed = 0, open = 0;
    for (int32_t i = 0; i < result->n_checks; i++) {
        failed += result->checks[i].state == CHECK_FAIL ? 1 : 0;
        open += result->checks[i].state == CHECK_INCONCLUSIVE ? 1 : 0;
    }
    if (result->n_checks == 0) {
        return;
    }
    if (failed == 0 && open > 0) {
        text_buffer_printf(h->out, "<p class=\"verdict\"><a href=\"#checks\">? %d of %d checks inconclusive</a></p>\n",
                           open, result->n_checks);
    } else if (failed == 0) {
        text_buffer_printf(h->out, "<p class=\"verdict good\"><a href=\"#checks\">✓ %s%d check%s passed</a></p>\n",
                           result->n_checks == 1 ? "" : "All ", result->n_checks, result->n_checks == 1 ? "" : "s");
    } else {
        text_buffer_printf(h->out, "<p class=\"verdict bad\"><a href=\"#checks\">✗ %d of %d checks failed</a></p>\n",
                           failed, result->n_checks);
    }
}

static void add_alerts(const Html *h) {
    const Result *result = h->result;
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        if (check->state != CHECK_PASS) {
            add(h, check->state == CHECK_FAIL ? "<p class=\"alert bad\"><strong>✗ Failed: "
                                              : "<p class=\"alert warn\"><strong>? Inconclusive: ");
            markup_text(h->out, check->name, 0);
            add(h, "</strong> ");
            markup_text(h->out, check->meaning, 0);
            add(h, " (");
            add_check_value(h, check);
            add(h, ")</p>\n");
        }
    }
    for (int32_t i = 0; i < result->n_warnings; i++) {
        add(h, "<p class=\"alert warn\"><strong>! Warning</strong> ");
        markup_text(h->out, result->warnings[i], 0);
        add(h, "</p>\n");
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
    const Result *result = h->result;
    add(h, "<header>\n<p class=\"eyebrow\">limn · ");
    markup_text(h->out, result->method_title.length > 0 ? result->method_title : text_of(result->method), 0);
    add(h, "</p>\n<h1>");
    markup_text(h->out, result->headline.length > 0 ? result->headline : result->method_title, 0);
    add(h, "</h1>\n");
    add_verdict(h);
    add_alerts(h);
    Fact facts[FACTS_MAX];
    size_t n;
    h->status = result_facts(facts, &n, h->arena, result, 0);
    if (h->status == LIMN_OK) {
        add_list(h, facts, n);
    }
    add(h, "</header>\n");
}

/* ---- blocks, checks, provenance ---- */

static void add_block(Html *h, const Block *block) {
    static void (*const functions[])(Html *, const Block *) = {
#define BLOCK(kind, name, type, help) html_##name,
#include "result/blocks.def"
#undef BLOCK
    };
    add(h, "<section aria-labelledby=\"h-");
    markup_string(h->out, block->id);
    add(h, "\">\n<h2 id=\"h-");
    markup_string(h->out, block->id);
    add(h, "\">");
    markup_text(h->out, block->title.length > 0 ? block->title : text_of(block->id), 0);
    if (block->unit.length > 0) {
        add(h, " <span class=\"unit\">(");
        markup_text(h->out, block->unit, 0);
        add(h, ")</span>");
    }
    add(h, "</h2>\n");
    if (block->detail) {
        add(h, "<details><summary>Show</summary>\n");
    }
    functions[block->kind](h, block);
    if (block->note.length > 0) {
        add(h, "<p class=\"note\">");
        markup_text(h->out, block->note, 0);
        add(h, "</p>\n");
    }
    add(h, block->detail ? "</details>\n</section>\n" : "</section>\n");
}

/* Tables that follow each other stand side by side where there is room. */
static void add_blocks(Html *h, bool detail) {
    bool in_row = false;
    for (int32_t i = 0; i < h->result->n_blocks && h->status == LIMN_OK; i++) {
        const Block *block = &h->result->blocks[i];
        if (block->detail != detail) {
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

static void add_checks(const Html *h) {
    const Result *result = h->result;
    if (result->n_checks == 0) {
        return;
    }
    add(h, "<section aria-labelledby=\"checks\">\n<h2 id=\"checks\">Checks</h2>\n<div class=\"scroll\" tabindex=\"0\" "
           "role=\"region\" aria-labelledby=\"checks\"><table class=\"checks\">\n<thead><tr><th "
           "scope=\"col\">Outcome</th><th scope=\"col\">Check</th><th scope=\"col\" class=\"num\">Value</th>"
           "<th scope=\"col\">What it means</th></tr></thead>\n<tbody>\n");
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        static const char *const states[] = {"<tr><td class=\"good\">✓ pass</td><th scope=\"row\">",
                                             "<tr><td class=\"bad\">✗ FAIL</td><th scope=\"row\">",
                                             "<tr><td>? inconclusive</td><th scope=\"row\">"};
        add(h, states[check->state]);
        markup_text(h->out, check->name, 0);
        add(h, "</th><td class=\"num\">");
        add_check_value(h, check);
        add(h, "</td><td>");
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
    h->status = result_details(groups, h->arena, h->result, 0);
    add(h, "<footer>\n");
    for (size_t i = 0; h->status == LIMN_OK && i < FACT_GROUPS; i++) {
        if (groups[i].n > 0) {
            text_buffer_printf(h->out, "<details><summary>%s</summary>\n", groups[i].title);
            add_list(h, groups[i].facts, groups[i].n);
            add(h, "</details>\n");
        }
    }
    add(h, "<p class=\"note\">The complete result (limn.result/1) is part of this file, in the script element "
           "<code>limn-result</code>.</p>\n</footer>\n");
}

static void add_page(Html *h, const RenderOptions *options) {
    add_head(h, options);
    add(h, "<body>\n");
    add_header(h);
    add(h, "<main>\n");
    add_blocks(h, false);
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
    Html h = {.out = out, .arena = &arena, .result = result};
    add_page(&h, options);
    arena_free(&arena);
    return h.status;
}
