#include "edit/site_names.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

static const char *site_name_at(const void *context, size_t index) {
    return ((const Graph *)context)->site_list[index].name;
}

static bool already_there(const SiteMatches *matches, const char *name) {
    for (int32_t i = 0; i < matches->n; i++) {
        if (strcmp(matches->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Room for every site: matches never grow past the graph's list. */
static limn_status reserve(SiteMatches *matches, const Graph *graph, Arena *arena) {
    if (matches->items == NULL) {
        matches->items = ARENA_ARRAY(arena, SiteMatch, graph->n_sites + 1);
    }
    return matches->items != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory for a list of sites");
}

limn_status site_names_match(SiteMatches *matches, const Graph *graph, const char *pattern, Arena *arena) {
    TRY(reserve(matches, graph, arena));
    bool any = false;
    for (int32_t i = 0; i < graph->n_sites; i++) {
        const GraphSite *site = &graph->site_list[i];
        if (fnmatch(pattern, site->name, 0) != 0) {
            continue;
        }
        any = true;
        if (!already_there(matches, site->name)) {
            matches->items[matches->n++] = (SiteMatch){site->name, site->node};
        }
    }
    if (!any) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, pattern, site_name_at, graph, (size_t)graph->n_sites);
        return fail(LIMN_NOT_FOUND, "no site matches '%s'; nearest: %s", pattern, near);
    }
    return LIMN_OK;
}

limn_status site_names_match_all(SiteMatches *matches, const Graph *graph, const Texts *texts, Arena *arena) {
    for (int32_t i = 0; i < texts->n; i++) {
        const char *at = texts->items[i].bytes;
        while (at != NULL) {
            int depth = 0;
            size_t n = 0;
            for (; at[n] != '\0' && (at[n] != ',' || depth > 0); n++) {
                depth += at[n] == '[' ? 1 : at[n] == ']' ? -1 : 0;
            }
            char *pattern = arena_strndup(arena, at, n);
            if (pattern == NULL) {
                return fail(LIMN_NO_MEMORY, "no memory for a site pattern");
            }
            if (n > 0) {
                TRY(site_names_match(matches, graph, pattern, arena));
            }
            at = at[n] == ',' ? at + n + 1 : NULL;
        }
    }
    return LIMN_OK;
}

const char *site_shape_text(const GraphNode *node, char buffer[48]) {
    const RowShape *shape = &node->op.out;
    if (shape->n_dims == 2 && shape->dims[1] == DIM_KEYS) {
        snprintf(buffer, 48, "[%lld, T, S]", (long long)shape->dims[0]);
    } else if (shape->n_dims == 2) {
        snprintf(buffer, 48, "[T, %lld, %lld]", (long long)shape->dims[0], (long long)shape->dims[1]);
    } else {
        snprintf(buffer, 48, "[T, %lld]", (long long)shape->dims[0]);
    }
    return buffer;
}
