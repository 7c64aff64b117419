/* Which sites of a model a pattern names. Patterns are shell globs: "blocks.*.hook_resid_post". */
#ifndef LIMN_EDIT_SITE_NAMES_H
#define LIMN_EDIT_SITE_NAMES_H

#include "base/arena.h"
#include "graph/graph.h"
#include "result/result.h"

typedef struct SiteMatch {
    const char *name; /* as the graph spells it */
    NodeId node;
} SiteMatch;

typedef struct SiteMatches {
    SiteMatch *items; /* [n], in the order of the graph, each name once */
    int32_t n;
} SiteMatches;

/* Adds what `pattern` matches. A pattern that matches nothing is LIMN_NOT_FOUND, naming the nearest sites. */
limn_status site_names_match(SiteMatches *matches, const Graph *graph, const char *pattern, Arena *arena);

/* Each of the texts may hold several patterns with commas between (not inside brackets). */
limn_status site_names_match_all(SiteMatches *matches, const Graph *graph, const Texts *texts, Arena *arena);

/* "[T, H, K]", "[H, T, S]" for scores and patterns. Returns buffer. */
const char *site_shape_text(const GraphNode *node, char buffer[48]);

#endif
