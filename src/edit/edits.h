/* Changes to a run, as written: SITE[pos=-1,head=3,neuron=7]=VALUE
 *
 *   SITE    a site's name or a glob (blocks.*.hook_mlp_out)
 *   pos     a position, or a range a:b (b left out), of the prompt; negative: from its end. Without pos: every
 *           position, those decoded later included
 *   head    one head of a site with heads
 *   expert  one expert of a site with something for each (mlp.hook_routing_weights[expert=3]=zero forces it off)
 *   neuron  one element of a row (of each head, or of the given head; a key position of scores and patterns)
 *   VALUE   zero; a number; mean:FILE:NAME (the mean over the rows of a tensor in a safetensors file);
 *           FILE:NAME (the tensor itself: one row for all positions, or a row for each): set to it. Or
 *           add:V, add:4*V      it is added, so many times: a direction
 *           times:V             multiplied by it
 *           blend:0.3*V         mixed: 0.7 of what is there, 0.3 of it
 *           affine:FILE:NAME    NAME x, or NAME.map x + NAME.offset, of a whole row or of each head by itself
 *           erase:FILE:NAME     without its part in the span of directions NAME [k, n]; or x - left right (x - mean)
 *                               with NAME.left [n, k], NAME.right [k, n] and, if it is there, NAME.mean [n]
 *           copy:SITE           what another site holds at the same positions; a * in its name is the layer's number
 *           stop, stop:0.5      as it is, but no gradient passes it, or so much of it
 *           A file of one of these names is written ./add:NAME.
 *
 * A row is the site's own, of which head, expert and neuron pick their part, or that part alone; of a tensor with a
 * row for each position of the prompt (or of the run, a target's tokens included), pos picks its rows. So what `run`
 * saves fits any edit of its site. The shape decides; where it can be read in two ways, a row for each position. */
#ifndef LIMN_EDIT_EDITS_H
#define LIMN_EDIT_EDITS_H

#include "base/arena.h"
#include "graph/graph.h"
#include "result/result.h"
#include "run/engine.h"

enum { EDIT_ALL = -1 };

/* For the help of a parameter that takes edits. */
#define EDIT_HELP                                                                                                      \
    "change a site: SITE[pos=-1,head=3,neuron=7]=V; V is zero, a number, FILE:NAME, mean:FILE:NAME, or what to do: "   \
    "add:4*V, times:V, blend:0.3*V, affine:FILE:MAP, erase:FILE:DIRECTIONS, copy:SITE, stop; NAME has the site's "     \
    "shape: one row for all positions or one for each, of which pos picks its own"

typedef enum EditValueKind {
    EDIT_VALUE_NUMBER,
    EDIT_VALUE_TENSOR,
    EDIT_VALUE_MEAN,
    EDIT_VALUE_MAP, /* of AFFINE and PROJECT */
    EDIT_VALUE_NONE /* COPY, STOP */
} EditValueKind;

/* One text, taken apart; says nothing of any model yet. */
typedef struct EditSpec {
    const char *text; /* as given, for messages */
    const char *pattern;
    bool has_position;
    int64_t position_begin, position_end; /* as written; end INT64_MAX: open */
    bool position_single;                 /* pos=5, not a range */
    int64_t head;                         /* EDIT_ALL: every head */
    int64_t neuron;                       /* EDIT_ALL: every element */
    int64_t expert;                       /* EDIT_ALL: every expert */
    EditKind change;
    float amount;
    const char *source; /* of COPY, as written */
    EditValueKind kind;
    float number;
    const char *file, *tensor; /* of TENSOR, MEAN and MAP */
    const char *value;         /* as given */
} EditSpec;

limn_status edit_parse(EditSpec *spec, const char *text, Arena *arena);

/* A spec applied to one site. Positions are absolute; row_end INT32_MAX: those decoded later too. */
typedef struct SiteEdit {
    const char *site;
    const char *value; /* as given */
    NodeId node;
    const RowShape *shape;
    int32_t row_begin, row_end;
    int64_t head, neuron; /* an expert is the head or the neuron, by the site's shape */
    int64_t expert;       /* as written */
    EditKind change;
    float amount;
    NodeId source; /* COPY */
    bool scalar;
    float number;
    const float *map;          /* AFFINE [n, n] */
    const float *left, *right; /* PROJECT [n, rank] or NULL, [rank, n] */
    int32_t rank;
    bool map_per_head; /* n is a head's width, and there are several */
    /* Of a map: what is added, or the mean, [n] or NULL. Else from row_begin on: [n_value_rows, elements of a row's
     * region, or all of the row]. */
    const float *values;
    int32_t n_value_rows;
    int64_t value_width; /* elements in a row of values */
    int64_t value_keys;  /* keys of a head in a row of values, of sites over keys */
    bool whole_row;      /* values hold the whole row of the site, not the region only */
} SiteEdit;

typedef struct EditPlan {
    SiteEdit *items; /* [n] */
    int32_t n;
} EditPlan;

/* Parses the texts, matches sites, checks ranges against a prompt of n_prompt tokens, reads the files. n_rows: rows of
 * the pass that reads the prompt, more than its tokens where a target's follow. */
limn_status edit_plan(EditPlan *plan, const Graph *graph, const Texts *texts, int32_t n_prompt, int32_t n_rows,
                      Arena *arena);

/* The same of one edit that was taken apart, added behind those that are there. */
limn_status edit_plan_add(EditPlan *plan, const Graph *graph, const EditSpec *spec, int32_t n_prompt, int32_t n_rows,
                          Arena *arena);

/* The edits of a run over absolute rows [row_offset, row_offset + n_rows) with n_keys keys. Lives in the arena. */
limn_status edit_plan_bind(Edit **edits, int32_t *n_edits, const EditPlan *plan, int32_t row_offset, int32_t n_rows,
                           int32_t n_keys, Arena *arena);

/* Those of every row of every run, as an engine keeps them (EngineOptions.edits): of a plan without positions. */
limn_status edit_plan_bind_all(Edit **edits, int32_t *n_edits, const EditPlan *plan, Arena *arena);

/* "blocks.0.hook_mlp_out: 3 positions" ... as a table of the result, in English or Chinese. */
void edit_plan_describe(Result *result, const EditPlan *plan, bool chinese);

#endif
