/* Findings that say the same thing, for the page that is read in a minute: phrases of which one holds the other ("so
 * says the lighthouse", "lighthouse"), and one comparison over several groups of records. The strongest stands for the
 * others. */
#include "audit/folding.h"

#include <string.h>

#include "audit/features.h"

static bool is_phrase(const Hypothesis *item) {
    return strcmp(item->kind, "word") == 0 || strcmp(item->kind, "place") == 0;
}

static bool is_difference(const Hypothesis *item) {
    return strcmp(item->kind, "difference") == 0;
}

static bool says_the_same(const Hypothesis *first, const Hypothesis *second) {
    if (is_phrase(first) && is_phrase(second)) {
        return word_find(first->what, second->what) != NULL || word_find(second->what, first->what) != NULL;
    }
    return is_difference(first) && is_difference(second) && strcmp(first->what, second->what) == 0;
}

/* Of one comparison over several groups of records: that of most of them. */
static int32_t of_most_records(const Findings *findings, int32_t index) {
    int32_t best = index;
    for (int32_t i = 0; i < findings->n_found; i++) {
        bool alike = says_the_same(&findings->items[i], &findings->items[index]);
        best = alike && findings->items[i].n > findings->items[best].n ? i : best;
    }
    return best;
}

int32_t finding_stands_for(const Findings *findings, int32_t index) {
    if (is_difference(&findings->items[index])) {
        return of_most_records(findings, index);
    }
    for (int32_t i = 0; i < index; i++) { /* the first of its like stands for itself, so no other need be asked */
        if (says_the_same(&findings->items[i], &findings->items[index])) {
            return finding_stands_for(findings, i);
        }
    }
    return index;
}
