/* What must be known of a result even where it is not shown: lines for a log or standard error. */
#include "render/format.h"
#include "render/render.h"

static void add_check(TextBuffer *out, const ResultCheck *check) {
    text_buffer_add(out, "check '");
    clean_text(out, check->name, 0);
    text_buffer_add(out, check->state == CHECK_FAIL ? "' failed: " : "' is inconclusive: ");
    format_number(out, check->value);
    text_buffer_printf(out, ", expected %s ", check_kind_name(check->kind));
    format_number(out, check->limit);
    if (check->meaning.length > 0) {
        text_buffer_add(out, " (");
        clean_text(out, check->meaning, 0);
        text_buffer_add(out, ")");
    }
    text_buffer_add_char(out, '\n');
}

void render_alerts(TextBuffer *out, const Result *result, bool warnings) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (result->checks[i].state != CHECK_PASS) {
            add_check(out, &result->checks[i]);
        }
    }
    for (int32_t i = 0; i < result->n_warnings && warnings; i++) {
        text_buffer_add(out, "warning: ");
        clean_text(out, result->warnings[i], 0);
        text_buffer_add_char(out, '\n');
    }
}
