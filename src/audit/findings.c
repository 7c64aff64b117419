#include "audit/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit/hash.h"

enum { ITEMS_MAX = 5000 };

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "audit: no memory for findings");
}

static void *grown(Arena *arena, const void *items, int32_t n, int32_t *capacity, size_t size) {
    int32_t wanted = *capacity > 0 ? 2 * *capacity : 32;
    char *made = arena_zalloc(arena, (size_t)wanted * size);
    if (made != NULL) {
        memcpy(made, items != NULL ? items : made, (size_t)n * size);
        *capacity = wanted;
    }
    return made;
}

limn_status findings_add(Findings *findings, const Hypothesis *hypothesis) {
    if (findings->n >= ITEMS_MAX) {
        return fail(LIMN_UNSUPPORTED, "audit: more than %d hypotheses", ITEMS_MAX);
    }
    if (findings->n == findings->capacity) {
        void *items = grown(findings->arena, findings->items, findings->n, &findings->capacity, sizeof *hypothesis);
        if (items == NULL) {
            return no_memory();
        }
        findings->items = items;
    }
    findings->items[findings->n++] = *hypothesis;
    return LIMN_OK;
}

limn_status findings_add_absent(Findings *findings, const NotFound *absent) {
    if (findings->n_absent == findings->absent_capacity) {
        void *items =
            grown(findings->arena, findings->absent, findings->n_absent, &findings->absent_capacity, sizeof *absent);
        if (items == NULL) {
            return no_memory();
        }
        findings->absent = items;
    }
    findings->absent[findings->n_absent++] = *absent;
    return LIMN_OK;
}

const char *severity_name(Severity severity) {
    static const char *const names[] = {"low", "medium", "high"};
    return names[severity];
}

/* Of shares: how many decisions it touches. Of other units only the test speaks. */
static Severity severity_of(const Hypothesis *item) {
    double size = fabs(item->points);
    if (!item->harmful) {
        return SEVERITY_LOW;
    }
    if (isnan(item->points)) {
        return SEVERITY_MEDIUM;
    }
    return size >= 0.20 ? SEVERITY_HIGH : size >= 0.05 ? SEVERITY_MEDIUM : SEVERITY_LOW;
}

/* The same thing found in another audit has the same id. */
static limn_status name_item(Hypothesis *item, Arena *arena) {
    char hex[HASH_HEX];
    char *whole = arena_printf(arena, "%s\n%s\n%s", item->kind, item->what, item->where);
    if (whole == NULL) {
        return no_memory();
    }
    sha256_hex(hex, whole, strlen(whole));
    item->id[0] = 'F';
    memcpy(item->id + 1, hex, 8);
    item->id[9] = '\0';
    return LIMN_OK;
}

static int by_weight(const void *a, const void *b) {
    const Hypothesis *first = a, *second = b;
    if (first->found != second->found) {
        return first->found ? -1 : 1;
    }
    if (first->found && first->severity != second->severity) {
        return first->severity > second->severity ? -1 : 1;
    }
    double left = fabs(first->points), right = fabs(second->points);
    if (first->found && left != right && !isnan(left) && !isnan(right)) {
        return left > right ? -1 : 1;
    }
    if (first->adjusted != second->adjusted && !isnan(first->adjusted) && !isnan(second->adjusted)) {
        return first->adjusted < second->adjusted ? -1 : 1;
    }
    int order = strcmp(first->kind, second->kind);
    order = order != 0 ? order : strcmp(first->what, second->what);
    return order != 0 ? order : strcmp(first->where, second->where);
}

static int32_t family_size(const Findings *findings, int32_t family, int32_t before) {
    int32_t n = 0;
    for (int32_t i = 0; i < before; i++) {
        n += !isnan(findings->items[i].p) && findings->items[i].family == family;
    }
    return n;
}

int32_t findings_tests(const Findings *findings) {
    int32_t tests = 0;
    for (int32_t i = 0; i < findings->n; i++) {
        const Hypothesis *item = &findings->items[i];
        tests += !isnan(item->p) && (item->family == 0 || family_size(findings, item->family, i) == 0);
    }
    return tests;
}

int64_t findings_burden(const Findings *findings, const Hypothesis *item) {
    int64_t own = item->family == 0 ? 1 : family_size(findings, item->family, findings->n);
    return own * findings_tests(findings);
}

limn_status findings_conclude(Findings *findings, const FindingRules *rules) {
    double *p = arena_alloc(findings->arena, ((size_t)findings->n + 1) * sizeof *p);
    int32_t *family = arena_alloc(findings->arena, ((size_t)findings->n + 1) * sizeof *family);
    if (p == NULL || family == NULL) {
        return no_memory();
    }
    findings->n_found = 0;
    for (int32_t i = 0; i < findings->n; i++) {
        int32_t first = 0; /* of its family: numbers from 1 to n */
        while (findings->items[first].family != findings->items[i].family) {
            first++;
        }
        p[i] = findings->items[i].p;
        family[i] = findings->items[i].family == 0 ? 0 : first + 1;
    }
    TRY(holm_adjust_families(p, p, family, findings->n));
    for (int32_t i = 0; i < findings->n; i++) {
        Hypothesis *item = &findings->items[i];
        item->adjusted = p[i];
        item->found = item->adjusted < rules->level && !(fabs(item->points) < rules->floor);
        item->severity = severity_of(item);
        findings->n_found += item->found;
        TRY(name_item(item, findings->arena));
    }
    if (findings->n > 1) {
        qsort(findings->items, (size_t)findings->n, sizeof *findings->items, by_weight);
    }
    return LIMN_OK;
}

int64_t findings_count(const Findings *findings, const char *what) {
    int64_t n = 0;
    for (int32_t i = 0; i < findings->n_found; i++) {
        const Hypothesis *item = &findings->items[i];
        n += strcmp(what, "total") == 0 || strcmp(what, severity_name(item->severity)) == 0 ||
             strcmp(what, item->kind) == 0;
    }
    return n;
}
