#include "run/seeds.h"

/* The ids of each row that is numbered lie within a row of the site. */
static limn_status check_ids(const IdSets *sets, int32_t n_rows, int64_t width, const char *site) {
    int32_t n = sets->begin == NULL ? sets->n : n_rows == 0 ? 0 : sets->begin[n_rows];
    for (int32_t i = 0; i < n && sets->ids != NULL; i++) {
        if (sets->ids[i] < 0 || sets->ids[i] >= width) {
            return fail(LIMN_RANGE, "objective at %s: id %d, expected 0 to %lld", site, sets->ids[i],
                        (long long)width - 1);
        }
    }
    return LIMN_OK;
}

limn_status seeds_check(const Graph *graph, const RunRequest *request, int32_t max_keys) {
    int32_t n_rows = request->seed_rows == NULL ? request->n_outputs : request->n_seed_rows;
    for (int32_t i = 0; request->seed_rows != NULL && i < request->n_outputs; i++) {
        if (request->seed_rows[i] < 0 || request->seed_rows[i] >= n_rows) {
            return fail(LIMN_INTERNAL, "output row %d is number %d of %d rows of the seeds", i, request->seed_rows[i],
                        n_rows);
        }
    }
    for (int32_t i = 0; i < request->n_seeds; i++) {
        const Seed *seed = &request->seeds[i];
        if (seed->node < 0 || seed->node >= graph->n_nodes || (int)seed->kind < 0 || seed->kind >= SEED_KIND_COUNT) {
            return fail(LIMN_NOT_FOUND, "an objective names no site of this model");
        }
        const GraphNode *node = &graph->nodes[seed->node];
        const char *site = node->site != NULL ? node->site : seed->node == graph->logits ? "logits" : "(unnamed)";
        SeedNeeds needs = seed_info(seed->kind)->needs;
        bool there = (needs != SEED_NEEDS_VALUES || seed->values != NULL) &&
                     (needs != SEED_NEEDS_CONTRASTS || seed->contrasts.ids != NULL) &&
                     (needs != SEED_NEEDS_FUNCTION || seed->function != NULL);
        if (!there) {
            return fail(LIMN_INTERNAL, "objective at %s: nothing is given for %s", site, seed_info(seed->kind)->name);
        }
        int64_t width = row_shape_width(&node->op.out, max_keys);
        TRY(check_ids(&seed->targets, n_rows, width, site));
        TRY(check_ids(&seed->contrasts, n_rows, width, site));
    }
    return LIMN_OK;
}

float seeds_weight(const Execution *execution, int32_t seed, int32_t row) {
    const float *own = seed < 0 ? NULL : execution->request->seeds[seed].weights;
    return own != NULL ? own[execution->rows->seed_row[row]] : execution->rows->buffers[DOMAIN_OUT].weights[row];
}

/* Over the rows that are there where the value is made. */
static double weighted_sum(const Execution *execution, ValueId value, int32_t seed) {
    const float *values = execution_value(execution, value);
    int32_t rows = program_rows(&execution->sizes, DOMAIN_OUT, execution->program->values[value].stage);
    double sum = 0.0;
    for (int32_t i = 0; i < rows; i++) {
        float weight = seeds_weight(execution, seed, i);
        sum += weight == 0.0F ? 0.0 : (double)weight * (double)values[i];
    }
    return sum;
}

double seeds_total(const Execution *execution) {
    const Program *program = execution->program;
    double total = 0.0;
    if (program->objective_value != VALUE_NONE) {
        total += weighted_sum(execution, program->objective_value, -1);
    }
    for (int32_t i = 0; i < program->n_seeds; i++) {
        total += weighted_sum(execution, program->seed_values[i], i);
    }
    return total;
}
