/* Where a sequence may join a run: places 0 .. 2 L, of layer l the stream before it (2 l) and the stream between its
 * sublayers (2 l + 1, where the family has one); 2 L is the stream behind the last layer. */
#ifndef LIMN_RUN_JOINS_H
#define LIMN_RUN_JOINS_H

#include "run/engine.h"

static inline int32_t join_places(const Model *model) {
    return 2 * model->config.n_layers + 1;
}

static inline int32_t join_place(const Join *join) {
    return 2 * join->layer + (join->site == JOIN_RESID_MID ? 1 : 0);
}

static inline Join join_at(const CleanRun *clean, int32_t place) {
    return (Join){clean, place / 2, place % 2 == 1 ? JOIN_RESID_MID : JOIN_RESID_PRE};
}

/* The node whose value is the stream at each place, NODE_NONE where the family has none; [join_places], malloc'ed. */
limn_status joins_find(NodeId **nodes, const Model *model);

/* The last place at or before a node: a sequence that joins there computes the node. -1: there is none, the sequence
 * has to run from its tokens. */
int32_t joins_before(const NodeId *nodes, int32_t n_places, NodeId node);

#endif
