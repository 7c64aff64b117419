/* Building an unsealed graph again with something added behind some of its nodes. */
#ifndef LIMN_GRAPH_REWRITE_H
#define LIMN_GRAPH_REWRITE_H

#include "graph/graph.h"

/* Called for each node once it stands in the new graph, in order. May change the node's weights and add nodes; *node is
 * what takes its place: its readers read that one, and its names are that one's. site: its first name, or NULL. */
typedef limn_status (*GraphVisit)(void *context, Graph *graph, NodeId *node, const char *site);

/* Sites that `visit` names are kept. A graph whose rewriting failed can only be freed. */
limn_status graph_rewrite(Graph *graph, GraphVisit visit, void *context);

#endif
