#include "measure/overflow.h"

#include <math.h>
#include <string.h>

#include "edit/site_names.h"
#include "measure/distribution.h"

/* The mean of squares of such values overflows; what edits usually set is far below. */
static const double large = 1e15;

static bool any_large(const float *values, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs((double)values[i]) < large)) {
            return true;
        }
    }
    return false;
}

bool overflow_suspected(const EditPlan *edits, const float *logits, int32_t n) {
    for (int32_t i = 0; i < edits->n; i++) {
        const SiteEdit *edit = &edits->items[i];
        if (edit->scalar ? any_large(&edit->number, 1)
                         : any_large(edit->values, edit->n_value_rows * edit->value_width)) {
            return true;
        }
    }
    bool same = logits != NULL && n > 1;
    for (int32_t i = 1; i < n && same; i++) {
        same = logits[i] == logits[0];
    }
    return same || (logits != NULL && logit_count_not_finite(logits, n) > 0);
}

/* The scales of norms, in the order they are computed. */
static limn_status list_scales(SiteMatches *scales, const Graph *graph, Arena *arena) {
    static const char suffix[] = ".hook_scale";
    *scales = (SiteMatches){.items = ARENA_ARRAY(arena, SiteMatch, graph->n_nodes + 1)};
    if (scales->items == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for a list of sites");
    }
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        const char *site = graph->nodes[node].site;
        size_t length = site == NULL ? 0 : strlen(site), n = sizeof suffix - 1;
        if (length > n && strcmp(site + length - n, suffix) == 0) {
            scales->items[scales->n++] = (SiteMatch){site, node};
        }
    }
    return LIMN_OK;
}

limn_status overflow_find(Overflow *found, MethodCall *call, Engine *engine, const SequenceInput *sequence,
                          const EditPlan *edits) {
    *found = (Overflow){0};
    SiteMatches scales;
    TRY(list_scales(&scales, &engine_model(engine)->graph, call->arena));
    NodeId *taps = ARENA_ARRAY(call->arena, NodeId, scales.n + 1);
    if (taps == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < scales.n; i++) {
        taps[i] = scales.items[i].node;
    }
    if (scales.n == 0) {
        return LIMN_OK;
    }
    Edit *bound;
    RunRequest request = {.sequences = sequence, .n_sequences = 1, .taps = taps, .n_taps = scales.n};
    TRY(edit_plan_bind(&bound, &request.n_edits, edits, 0, sequence->n, sequence->n, call->arena));
    request.edits = bound;
    TRY(engine_run(engine, &request, call->progress));
    for (int32_t i = 0; i < scales.n; i++) {
        int32_t rows;
        int64_t width;
        const float *values = engine_tap(engine, taps[i], &rows, &width);
        for (int32_t row = 0; values != NULL && row < rows; row++) {
            float scale = values[row * width]; /* one over a root that is finite is neither 0 nor infinite */
            if (scale != 0 && isfinite(scale)) {
                continue;
            }
            if (found->rows++ == 0) {
                found->site = scales.items[i].name;
                found->row = row;
            }
        }
    }
    return LIMN_OK;
}

void overflow_check(Result *result, const MethodCall *call, const Overflow *found, int64_t outputs) {
    if (found->rows > 0) {
        result_check(result, "finite values", (double)(found->rows + outputs), CHECK_AT_MOST, 0,
                     SAY(call,
                         "outputs that are NaN or infinite, and rows of norms that overflowed (the first: %s at "
                         "position %d)",
                         "为 NaN 或无穷的输出个数，加上归一化溢出的行数（首先是 %s，位置 %d）"),
                     found->site, (int)found->row);
        return;
    }
    result_check(result, "finite values", (double)outputs, CHECK_AT_MOST, 0,
                 SAY(call, "outputs that are NaN or infinite, and rows of norms that overflowed",
                     "为 NaN 或无穷的输出个数，加上归一化溢出的行数"));
}
