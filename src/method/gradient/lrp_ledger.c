/* Relevance is value times (modified) gradient, summed as the gradients appear.
 *
 * Every linear map, gain and sum hands on what it is given but for bias . gradient; every norm, product and activation
 * function does under its rule; a softmax under the Taylor rule does not. So
 *
 *     output = tokens + answer + tables + biases + softmax
 *
 * holds exactly whatever the model is, and a rule that is not what it says breaks it. What a softmax lost in a layer is
 * (z . g_z - v . g_v) - (q . g_q + k . g_k): the pattern's share of the product less what queries and keys got. */
#include "method/gradient/lrp_ledger.h"

#include <stdio.h>
#include <string.h>

enum {
    AT_TOKENS = 1,
    AT_OUTPUT = 2,
    AT_TABLE = 4,
    GIVEN = 8,      /* counts for what softmaxes were given: z, weights of experts */
    HANDED_ON = 16, /* ... and for what they handed on: q, k, router logits; v, which the pattern did not get */
    BIASED = 32,
    STREAM = 64
};

typedef struct Watched {
    NodeId node;
    unsigned roles;
    float *bias; /* [n_bias] */
    int64_t n_bias;
    int32_t layer; /* of STREAM */
} Watched;

struct LrpLedger {
    MethodCall *call;
    const Model *model;
    int32_t n_tokens, n_parts;
    Watched *watched; /* [n] */
    int32_t n;
    NodeId *nodes;     /* [n] */
    int32_t *place;    /* [n_nodes] among them; -1: not watched */
    double *relevance; /* [n, n_parts] */
    double *absorbed;  /* [n, n_parts] */
    double *answer;    /* [n_parts] */
    double *tokens;    /* [n_parts, n_tokens]; after the end the first are sums over parts */
    double *streams;   /* [n_parts, n_layers + 1, n_tokens]; the same */
    LrpTotals totals;
    AnswerSink sink;
};

/* ---- what is watched ---- */

static void watch(LrpLedger *ledger, NodeId node, unsigned role, int32_t layer) {
    if (node == NODE_NONE) {
        return;
    }
    if (ledger->place[node] < 0) {
        ledger->place[node] = ledger->n;
        ledger->nodes[ledger->n] = node;
        ledger->watched[ledger->n++] = (Watched){.node = node};
    }
    Watched *watched = &ledger->watched[ledger->place[node]];
    watched->roles |= role;
    watched->layer = role == STREAM ? layer : watched->layer;
}

static const Weight *bias_of(const Op *op) {
    return op->kind == OP_LINEAR || op->kind == OP_GAIN ? &op->weights[1]
           : op->kind == OP_SUM_HEADS                   ? &op->weights[0]
                                                        : NULL;
}

/* The bias of an operation that has one, as floats. */
static limn_status watch_bias(LrpLedger *ledger, NodeId node) {
    const Weight *bias = bias_of(&ledger->model->graph.nodes[node].op);
    if (bias == NULL || bias->data == NULL) {
        return LIMN_OK;
    }
    watch(ledger, node, BIASED, 0);
    Watched *watched = &ledger->watched[ledger->place[node]];
    watched->n_bias = bias->rows;
    watched->bias = ARENA_ARRAY(ledger->call->arena, float, bias->rows + 1);
    if (watched->bias == NULL) {
        return method_no_memory(ledger->call);
    }
    for (int64_t e = 0; e < bias->rows; e++) {
        int64_t at = e * bias->row_stride;
        watched->bias[e] = bias->dtype == DTYPE_BF16 ? bf16_to_f32(((const uint16_t *)bias->data)[at])
                                                     : ((const float *)bias->data)[at];
    }
    return LIMN_OK;
}

static void watch_attention(LrpLedger *ledger, NodeId node) {
    const GraphNode *nodes = ledger->model->graph.nodes;
    NodeId pattern = nodes[node].inputs[0];
    NodeId scores = nodes[pattern].inputs[0];
    watch(ledger, node, GIVEN, 0);
    watch(ledger, nodes[node].inputs[1], HANDED_ON, 0);
    watch(ledger, nodes[scores].inputs[0], HANDED_ON, 0);
    watch(ledger, nodes[scores].inputs[1], HANDED_ON, 0);
}

static void watch_streams(LrpLedger *ledger) {
    const Graph *graph = &ledger->model->graph;
    char name[64];
    for (int32_t l = 0; l < graph->n_layers; l++) {
        snprintf(name, sizeof name, "blocks.%d.hook_resid_pre", (int)l);
        watch(ledger, graph_find_site(graph, name), STREAM, l);
    }
    snprintf(name, sizeof name, "blocks.%d.hook_resid_post", graph->n_layers - 1);
    watch(ledger, graph_find_site(graph, name), STREAM, graph->n_layers);
}

static limn_status watch_all(LrpLedger *ledger) {
    const Graph *graph = &ledger->model->graph;
    watch(ledger, graph->logits, AT_OUTPUT, 0);
    watch_streams(ledger);
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        OpKind kind = graph->nodes[node].op.kind;
        if (kind == OP_POSITION_EMBED || kind == OP_TYPE_EMBED) {
            watch(ledger, node, AT_TABLE, 0);
        } else if (kind == OP_ATTENTION_MIX) {
            watch_attention(ledger, node);
        } else if (kind == OP_SOFTMAX) {
            watch(ledger, node, GIVEN, 0);
            watch(ledger, graph->nodes[node].inputs[0], HANDED_ON, 0);
        }
        TRY(watch_bias(ledger, node));
    }
    return LIMN_OK;
}

/* ---- sums ---- */

static void begin(void *context, int64_t i) {
    (void)i;
    LrpLedger *ledger = context;
    size_t parts = (size_t)ledger->n_parts, tokens = (size_t)ledger->n_tokens;
    size_t layers = (size_t)ledger->model->graph.n_layers + 1;
    memset(ledger->relevance, 0, (size_t)ledger->n * parts * sizeof(double));
    memset(ledger->absorbed, 0, (size_t)ledger->n * parts * sizeof(double));
    memset(ledger->answer, 0, parts * sizeof(double));
    memset(ledger->tokens, 0, parts * tokens * sizeof(double));
    memset(ledger->streams, 0, ledger->n > 1 ? parts * layers * tokens * sizeof(double) : 0);
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t e = 0; e < n; e++) {
        sum += (double)a[e] * (double)b[e];
    }
    return sum;
}

static limn_status take(void *context, const AnswerRows *rows) {
    LrpLedger *ledger = context;
    int32_t place = ledger->place[rows->node];
    const Watched *watched = &ledger->watched[place];
    int64_t at = (int64_t)place * ledger->n_parts + rows->part, layers = ledger->model->graph.n_layers + 1;
    for (int32_t r = 0; r < rows->n; r++) {
        const float *gradient = rows->gradient + r * rows->width;
        double relevance = dot(rows->value + r * rows->width, gradient, rows->width);
        int32_t token = rows->row + r;
        bool prompt = token < ledger->n_tokens;
        ledger->relevance[at] += relevance;
        if ((watched->roles & AT_TOKENS) != 0) {
            double *to =
                prompt ? &ledger->tokens[(int64_t)rows->part * ledger->n_tokens + token] : &ledger->answer[rows->part];
            *to += relevance;
        }
        if ((watched->roles & STREAM) != 0 && prompt) {
            ledger->streams[(rows->part * layers + watched->layer) * ledger->n_tokens + token] += relevance;
        }
        for (int64_t e = 0; watched->bias != NULL && e < rows->width; e += watched->n_bias) {
            ledger->absorbed[at] += dot(watched->bias, gradient + e, watched->n_bias);
        }
    }
    return LIMN_OK;
}

static void close_part(LrpLedger *ledger, int32_t p, double slope) {
    for (int32_t i = 0; i < ledger->n; i++) {
        const Watched *watched = &ledger->watched[i];
        double relevance = slope * ledger->relevance[(int64_t)i * ledger->n_parts + p];
        ledger->totals.output += (watched->roles & AT_OUTPUT) != 0 ? relevance : 0.0;
        ledger->totals.tables += (watched->roles & AT_TABLE) != 0 ? relevance : 0.0;
        ledger->totals.softmax += (watched->roles & GIVEN) != 0 ? relevance : 0.0;
        ledger->totals.softmax -= (watched->roles & HANDED_ON) != 0 ? relevance : 0.0;
        ledger->totals.biases += slope * ledger->absorbed[(int64_t)i * ledger->n_parts + p];
    }
    ledger->totals.answer += slope * ledger->answer[p];
    int64_t cells = (int64_t)(ledger->model->graph.n_layers + 1) * ledger->n_tokens;
    for (int64_t t = 0; t < ledger->n_tokens; t++) {
        double *of = ledger->tokens + p * ledger->n_tokens;
        ledger->tokens[t] = (p == 0 ? 0.0 : ledger->tokens[t]) + slope * of[t];
    }
    for (int64_t c = 0; c < cells && ledger->n > 1; c++) {
        ledger->streams[c] = (p == 0 ? 0.0 : ledger->streams[c]) + slope * ledger->streams[p * cells + c];
    }
}

void lrp_ledger_close(LrpLedger *ledger, const AnswerValue *value) {
    ledger->totals = (LrpTotals){0};
    for (int32_t p = 0; p < ledger->n_parts; p++) {
        close_part(ledger, p, value->parts[p].slope);
    }
}

/* ---- the ledger ---- */

static limn_status allocate_sums(LrpLedger *ledger) {
    Arena *arena = ledger->call->arena;
    int64_t parts = ledger->n_parts, tokens = ledger->n_tokens;
    int64_t layers = ledger->n > 1 ? ledger->model->graph.n_layers + 1 : 0;
    ledger->relevance = ARENA_ARRAY(arena, double, ledger->n *parts + 1);
    ledger->absorbed = ARENA_ARRAY(arena, double, ledger->n *parts + 1);
    ledger->answer = ARENA_ARRAY(arena, double, parts + 1);
    ledger->tokens = ARENA_ARRAY(arena, double, parts *tokens + 1);
    ledger->streams = ARENA_ARRAY(arena, double, parts *layers *tokens + 1);
    bool made = ledger->relevance != NULL && ledger->absorbed != NULL && ledger->answer != NULL &&
                ledger->tokens != NULL && ledger->streams != NULL;
    return made ? LIMN_OK : method_no_memory(ledger->call);
}

limn_status lrp_ledger_new(LrpLedger **ledger, MethodCall *call, const Model *model, const Prompt *prompt,
                           int32_t n_parts, bool full) {
    const Graph *graph = &model->graph;
    LrpLedger *made = arena_zalloc(call->arena, sizeof *made);
    *ledger = made;
    if (made == NULL) {
        return method_no_memory(call);
    }
    *made = (LrpLedger){.call = call, .model = model, .n_tokens = prompt->n, .n_parts = n_parts};
    made->watched = ARENA_ARRAY(call->arena, Watched, graph->n_nodes + 1);
    made->nodes = ARENA_ARRAY(call->arena, NodeId, graph->n_nodes + 1);
    made->place = ARENA_ARRAY(call->arena, int32_t, graph->n_nodes + 1);
    if (made->watched == NULL || made->nodes == NULL || made->place == NULL) {
        return method_no_memory(call);
    }
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        made->place[node] = -1;
    }
    watch(made, graph->embed, AT_TOKENS, 0);
    TRY(full ? watch_all(made) : LIMN_OK);
    made->sink = (AnswerSink){
        .nodes = made->nodes, .n = made->n, .with_values = true, .begin = begin, .take = take, .context = made};
    return allocate_sums(made);
}

const AnswerSink *lrp_ledger_sink(const LrpLedger *ledger) {
    return &ledger->sink;
}

const double *lrp_ledger_tokens(const LrpLedger *ledger) {
    return ledger->tokens;
}

LrpTotals lrp_ledger_totals(const LrpLedger *ledger) {
    return ledger->totals;
}

const double *lrp_ledger_streams(const LrpLedger *ledger) {
    return ledger->streams;
}
