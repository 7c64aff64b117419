#include "plan/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/text_buffer.h"
#include "plan/lower.h"

static limn_status choose_kernels(Plan *plan, const Backend *backend, BackendState *state, Team *team,
                                  int32_t chunk_rows) {
    Compute compute = plan->question->compute;
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        PlanNode *node = &plan->nodes[i];
        if (node->given) {
            continue;
        }
        node->kernel = backend_choose(backend, &node->op, compute);
        if (node->kernel->prepare != NULL) {
            KernelSizes sizes = {
                .compute = compute, .n_rows = chunk_rows, .threads = team_threads(team), .backward = node->needs_grad};
            TRY(node->kernel->prepare(state, team, &node->op, &sizes));
        }
    }
    return LIMN_OK;
}

/* The sites whose values are handed back, with room for where those values are. */
static limn_status copy_sites(Arena *arena, NodeId **nodes, ValueId **values, const NodeId *sites, int32_t n) {
    *nodes = ARENA_ARRAY(arena, NodeId, n + 1);
    *values = ARENA_ARRAY(arena, ValueId, n + 1);
    if (*nodes == NULL || *values == NULL) {
        return fail(LIMN_NO_MEMORY, "program with %d handed-back values", n);
    }
    for (int32_t i = 0; i < n; i++) {
        (*nodes)[i] = sites[i];
    }
    return LIMN_OK;
}

static limn_status build(Program *program, Arena *scratch, const Backend *backend, BackendState *state, Team *team,
                         const Question *question, int32_t chunk_rows) {
    TRY(copy_sites(&program->arena, &program->tap_nodes, &program->tap_values, question->taps, question->n_taps));
    TRY(copy_sites(&program->arena, &program->grad_nodes, &program->grad_values, question->grads, question->n_grads));
    program->seed_values = ARENA_ARRAY(&program->arena, ValueId, question->n_seeds + 1);
    if (program->seed_values == NULL) {
        return fail(LIMN_NO_MEMORY, "program with %d seeds", question->n_seeds);
    }
    program->n_seeds = question->n_seeds;
    program->n_taps = question->n_taps;
    program->n_grads = question->n_grads;
    Plan plan = {.arena = scratch, .graph = program->graph, .question = question};
    TRY(plan_lower(&plan));
    TRY(choose_kernels(&plan, backend, state, team, chunk_rows));
    TRY(plan_emit(program, &plan));
    return plan_allocate(program);
}

limn_status program_new(Program **program, const Graph *graph, const Backend *backend, BackendState *state, Team *team,
                        const Question *question, int32_t chunk_rows) {
    *program = calloc(1, sizeof **program);
    if (*program == NULL) {
        return fail(LIMN_NO_MEMORY, "program");
    }
    Program *made = *program;
    arena_init(&made->arena);
    made->graph = graph;
    made->compute = question->compute;
    made->keep = question->keep;
    made->n_stages = question->n_joins + 1;
    made->objective_value = VALUE_NONE;
    made->logits_value = VALUE_NONE;
    Arena scratch;
    arena_init(&scratch);
    limn_status status = build(made, &scratch, backend, state, team, question, chunk_rows);
    arena_free(&scratch);
    if (status != LIMN_OK) {
        program_free(made);
        *program = NULL;
    }
    return status;
}

void program_free(Program *program) {
    if (program == NULL) {
        return;
    }
    free(program->steps);
    free(program->values);
    arena_free(&program->arena);
    free(program);
}

static int32_t slot_rows(const Slot *slot, const ProgramSizes *sizes) {
    int32_t rows = sizes->rows[slot->domain];
    return slot->local && rows > sizes->chunk_rows ? sizes->chunk_rows : rows;
}

size_t program_slot_bytes(const Slot *slot, const ProgramSizes *sizes) {
    int64_t width = row_shape_width(&slot->shape, sizes->max_keys);
    size_t bytes = (size_t)slot_rows(slot, sizes) * (size_t)width * sizeof(float);
    return round_up_bytes(bytes, 64);
}

limn_status program_bytes(const Program *program, const ProgramSizes *sizes, size_t *bytes, size_t *scratch_bytes) {
    size_t total = 0;
    for (int32_t i = 0; i < program->n_slots; i++) {
        size_t slot = program_slot_bytes(&program->slots[i], sizes);
        if (__builtin_add_overflow(total, slot, &total)) {
            return fail(LIMN_NO_MEMORY, "%d rows are more than can be addressed", sizes->rows[DOMAIN_ALL]);
        }
    }
    size_t scratch = 0;
    for (int32_t s = 0; s < program->n_steps; s++) {
        const Step *step = &program->steps[s];
        if (step->kernel == NULL || step->kernel->scratch_bytes == NULL) {
            continue;
        }
        bool whole = op_info(step->op.kind)->reach != REACH_ROW;
        int32_t rows = sizes->rows[step->domain];
        if (!whole && rows > sizes->chunk_rows) {
            rows = sizes->chunk_rows;
        }
        if (whole && rows < sizes->rows[DOMAIN_ALL]) {
            rows = sizes->rows[DOMAIN_ALL];
        }
        KernelSizes kernel_sizes = {.compute = program->compute,
                                    .n_rows = rows,
                                    .max_keys = sizes->max_keys,
                                    .threads = sizes->threads,
                                    .backward = step->kind == STEP_BACKWARD};
        size_t needed = step->kernel->scratch_bytes(&step->op, &kernel_sizes);
        scratch = needed > scratch ? needed : scratch;
    }
    *scratch_bytes = scratch;
    *bytes = total + scratch;
    return LIMN_OK;
}

/* Elements of one expert's matrix. */
static double expert_size(const Op *op) {
    return (double)op->attributes.experts[0][0].rows * (double)op->attributes.experts[0][0].columns;
}

/* Multiply-adds of one step, times two. */
static double step_flops(const Step *step, const ProgramSizes *sizes) {
    double rows = program_rows(sizes, step->domain, step->stage);
    const Op *op = &step->op;
    double backward = step->kind == STEP_BACKWARD ? 2.0 : 1.0;
    switch (op->kind) {
    case OP_LINEAR:
    case OP_HEAD_LINEAR:
        return 2.0 * rows * (double)op->weights[0].rows * (double)op->weights[0].columns;
    case OP_ATTENTION:
        return 4.0 * backward * rows * sizes->max_keys * (double)row_shape_width(&op->out, 1);
    case OP_ATTENTION_SCORES:
        return 2.0 * backward * rows * sizes->max_keys * (double)row_shape_width(&op->in[0], 1);
    case OP_ATTENTION_MIX:
        return 2.0 * backward * rows * sizes->max_keys * (double)row_shape_width(&op->out, 1);
    case OP_EXPERT_LINEAR:
        return 2.0 * rows * op->attributes.top_k * expert_size(op);
    case OP_EXPERTS: /* three products; the backward pass does two of them again and three of its own */
        return (step->kind == STEP_BACKWARD ? 10.0 : 6.0) * rows * op->attributes.top_k * expert_size(op);
    default:
        return 0.0;
    }
}

double program_flops(const Program *program, const ProgramSizes *sizes) {
    double total = 0.0;
    for (int32_t s = 0; s < program->n_steps; s++) {
        const Step *step = &program->steps[s];
        if (step->kind == STEP_FORWARD || step->kind == STEP_BACKWARD) {
            total += step_flops(step, sizes);
        }
    }
    return total;
}

static bool is_kernel(const Step *step) {
    return step->kind == STEP_FORWARD || step->kind == STEP_BACKWARD;
}

/* Whether two steps read one weight in one direction. */
static bool same_weight(const Step *a, const Step *b) {
    return is_kernel(a) && is_kernel(b) && a->kind == b->kind && a->op.kind == b->op.kind &&
           a->op.weights[0].data == b->op.weights[0].data && a->op.attributes.experts[0] == b->op.attributes.experts[0];
}

/* How often the weight of a step is read in one run; 0: an earlier step reads it too, and stands for both. */
static int64_t weight_uses(const Program *program, const ProgramSizes *sizes, int32_t step) {
    int64_t uses = 0;
    for (int32_t b = 0; b < program->n_bands; b++) {
        const Band *band = &program->bands[b];
        int64_t rows = program_rows(sizes, band->domain, band->stage);
        int64_t calls = band->chunked ? blocks_of(rows, sizes->chunk_rows) : rows > 0;
        for (int32_t s = band->first_step; s < band->first_step + band->n_steps; s++) {
            if (same_weight(&program->steps[s], &program->steps[step])) {
                if (s < step) {
                    return 0;
                }
                uses += calls;
            }
        }
    }
    return uses;
}

size_t program_weight_bytes(const Program *program, const ProgramSizes *sizes, const Backend *backend,
                            BackendState *state, int64_t runs, size_t budget) {
    size_t total = 0;
    for (int32_t s = 0; s < program->n_steps && backend->weight_bytes != NULL; s++) {
        const Step *step = &program->steps[s];
        int64_t uses = is_kernel(step) ? weight_uses(program, sizes, s) * runs : 0;
        size_t bytes =
            uses == 0 ? 0
                      : backend->weight_bytes(state, &step->op, program->compute, step->kind == STEP_BACKWARD, uses);
        total += bytes <= budget - total ? bytes : 0;
    }
    return total;
}

/* A matrix product of a block, not attention: what grows with rows x layers. */
static bool is_block_product(const Op *op) {
    return op->layer >= 0 && op_info(op->kind)->reach == REACH_ROW;
}

double graph_block_flops(const Graph *graph) {
    const ProgramSizes one = {.rows = {1, 1}, .max_keys = 1, .chunk_rows = 1};
    double total = 0.0;
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        Step step = {.op = graph->nodes[i].op};
        total += is_block_product(&step.op) ? step_flops(&step, &one) : 0.0;
    }
    return total;
}

double program_block_flops(const Program *program, const ProgramSizes *sizes) {
    double total = 0.0;
    for (int32_t s = 0; s < program->n_steps; s++) {
        const Step *step = &program->steps[s];
        total += step->kind == STEP_FORWARD && is_block_product(&step->op) ? step_flops(step, sizes) : 0.0;
    }
    return total;
}

static const char *step_kind_name(StepKind kind) {
    static const char *const names[] = {"forward", "backward", "edit", "edit-grad", "seed",  "hand-over",
                                        "copy",    "add-into", "zero", "append",    "given", "join"};
    return names[kind];
}

/* "name=v12@3": value 12 in buffer 3; "L" when the buffer holds one chunk. */
static void describe_value(const Program *program, TextBuffer *out, const char *name, ValueId id) {
    if (id != VALUE_NONE) {
        const ProgramValue *value = &program->values[id];
        text_buffer_printf(out, " %s=v%d@%d%s", name, id, value->slot, value->local ? "L" : "");
    }
}

static void describe_step(const Program *program, TextBuffer *out, const Step *step) {
    static const char *const inputs[] = {"in0", "in1", "in2"};
    static const char *const gradients[] = {"grad0", "grad1", "grad2"};
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        describe_value(program, out, inputs[k], step->in[k]);
    }
    describe_value(program, out, "out", step->out);
    describe_value(program, out, "aux", step->aux);
    describe_value(program, out, "grad_out", step->grad_out);
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        describe_value(program, out, gradients[k], step->grad_in[k]);
        text_buffer_add(out, step->accumulate[k] ? "+" : "");
    }
    text_buffer_add_char(out, '\n');
}

limn_status program_describe(const Program *program, char **text) {
    TextBuffer out = TEXT_BUFFER_INIT;
    for (int32_t b = 0; b < program->n_bands; b++) {
        const Band *band = &program->bands[b];
        text_buffer_printf(&out, "band %d: %s rows%s", b, band->domain == DOMAIN_ALL ? "all" : "output",
                           band->chunked ? ", in chunks" : "");
        if (program->n_stages > 1) {
            text_buffer_printf(&out, ", behind %d of %d joins", band->stage, program->n_stages - 1);
        }
        text_buffer_add_char(&out, '\n');
        for (int32_t s = band->first_step; s < band->first_step + band->n_steps; s++) {
            const Step *step = &program->steps[s];
            const char *site = program->graph->nodes[step->node].site;
            text_buffer_printf(&out, "  %4d %-9s %-18s %-28s layer %d %s", s, step_kind_name(step->kind),
                               op_info(step->op.kind)->name, step->kernel == NULL ? "-" : step->kernel->name,
                               step->op.layer, site == NULL ? "" : site);
            describe_step(program, &out, step);
        }
    }
    TRY(text_buffer_status(&out));
    *text = text_buffer_take(&out);
    return *text == NULL ? fail(LIMN_NO_MEMORY, "program listing") : LIMN_OK;
}
