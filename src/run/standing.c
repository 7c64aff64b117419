#include "run/standing.h"

#include <stdlib.h>

#include "run/edits.h"
#include "run/joins.h"

limn_status standing_check(const Graph *graph, const Edit *edits, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        const Edit *edit = &edits[i];
        if (edit->node < 0 || edit->node >= graph->n_nodes || graph->nodes[edit->node].site == NULL) {
            return fail(LIMN_NOT_FOUND, "a standing edit names no site of this model");
        }
        const RowShape *shape = &graph->nodes[edit->node].op.out;
        bool keyed = shape->n_dims == 2 && shape->dims[1] == DIM_KEYS;
        bool everywhere = edit->sequence == -1 && edit->row_begin == 0 && edit->row_end == -1 && edit->row_stride == 0;
        if (keyed || !everywhere) {
            return fail(LIMN_INTERNAL, "standing edit of %s: expected all rows of a site without keys",
                        graph->nodes[edit->node].site);
        }
    }
    return LIMN_OK;
}

static bool any_joins(const RunRequest *request) {
    for (int32_t s = 0; s < request->n_sequences; s++) {
        if (request->sequences[s].join.clean != NULL) {
            return true;
        }
    }
    return false;
}

static limn_status reserve(StandingEdits *standing, int64_t count) {
    if (count > INT32_MAX / 4) {
        return fail(LIMN_NO_MEMORY, "%lld edits in one run", (long long)count);
    }
    if (count > standing->capacity) {
        int32_t capacity = (int32_t)(count + count / 2 + 16);
        free(standing->together);
        standing->together = malloc((size_t)capacity * sizeof *standing->together);
        standing->capacity = standing->together == NULL ? 0 : capacity;
    }
    return standing->together != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%lld edits in one run", (long long)count);
}

/* Where sequences of the request at hand may join. */
typedef struct JoinNodes {
    const NodeId *nodes; /* [n] by place */
    int32_t n;
} JoinNodes;

/* A sequence's rows meet an edit behind its join. What a copy copies lies behind it too: clean_run_place sees to that.
 */
static bool meets(const SequenceInput *sequence, JoinNodes joins, const Edit *edit) {
    int32_t place = join_place(&sequence->join);
    bool joined = sequence->join.clean != NULL && place >= 0 && place < joins.n; /* other places are refused later */
    return !joined || edit->node > joins.nodes[place];
}

/* One edit for all sequences where none joins, else one for each that meets it. */
static int32_t add(Edit *edits, const Edit *standing, const RunRequest *request, JoinNodes joins, bool joined) {
    int32_t n = 0;
    if (!joined) {
        edits[n++] = *standing;
    }
    for (int32_t s = 0; joined && s < request->n_sequences; s++) {
        if (meets(&request->sequences[s], joins, standing)) {
            edits[n] = *standing;
            edits[n++].sequence = s;
        }
    }
    return n;
}

limn_status standing_request(StandingEdits *standing, const NodeId *joins, int32_t n_joins,
                             const RunRequest **request) {
    const RunRequest *asked = *request;
    if (standing->n == 0) {
        return LIMN_OK;
    }
    bool joined = any_joins(asked);
    TRY(reserve(standing, (int64_t)standing->n * (joined ? asked->n_sequences : 1) + asked->n_edits));
    int32_t n = 0;
    for (int32_t i = 0; i < standing->n; i++) {
        n += add(standing->together + n, &standing->edits[i], asked, (JoinNodes){joins, n_joins}, joined);
    }
    for (int32_t i = 0; i < asked->n_edits; i++) {
        standing->together[n++] = asked->edits[i];
    }
    standing->request = *asked;
    standing->request.edits = standing->together;
    standing->request.n_edits = n;
    *request = &standing->request;
    return LIMN_OK;
}

void standing_free(StandingEdits *standing) {
    free(standing->together);
    *standing = (StandingEdits){0};
}
