/* Groups that the model errs on more often than on the others.
 *
 * For each group field of the data set and each label the nominating half names the group whose error rate stands
 * farthest above that of the rest; the other half tests that one group by Fisher's exact test, with Newcombe's interval
 * of the difference. So a field costs as many tests as there are labels, however many groups it has.
 *
 * How it fails: a group may be hard for a reason of its own (its texts are longer, its cases rarer); the finding says
 * that the error is unequal, not why. */
#include <math.h>

#include "audit/detect.h"

typedef struct Tally {
    Share in, out; /* errors in the group and outside */
} Tally;

static void count(Tally *tally, const Cases *cases, int32_t field, int32_t group, int32_t label, bool nominates) {
    *tally = (Tally){{0, 0}, {0, 0}};
    for (int64_t i = 0; i < cases->n; i++) {
        const Case *item = &cases->items[i];
        if (item->label != label || item->group[field] < 0 || item->nominates != nominates) {
            continue;
        }
        Share *share = item->group[field] == group ? &tally->in : &tally->out;
        share->n++;
        share->count += case_is_wrong(item);
    }
}

/* Of the nominating half; -1: no two groups are large enough. */
static int32_t nominate(const Cases *cases, int32_t field, int32_t label) {
    int32_t best = -1;
    double most = -INFINITY;
    for (int32_t group = 0; group < cases->group_names[field].n; group++) {
        Tally tally;
        count(&tally, cases, field, group, label, true);
        double excess = share_value(tally.in) - share_value(tally.out);
        double z = excess / sqrt(0.25 / (double)(tally.in.n + 1) + 0.25 / (double)(tally.out.n + 1));
        if (tally.in.n >= 10 && tally.out.n >= 10 && z > most) {
            most = z;
            best = group;
        }
    }
    return best;
}

static limn_status confirm(Detection *detection, const Cases *cases, int32_t field, int32_t label, int32_t group) {
    Tally tally;
    count(&tally, cases, field, group, label, false);
    Share in = tally.in, out = tally.out;
    if (in.n < 10 || out.n < 10) {
        return LIMN_OK;
    }
    const char *id = detection->runner->plan->steps[cases->step].id;
    const char *what =
        arena_printf(detection->arena, "%s = %s", cases->data->groups[field], cases->group_names[field].items[group]);
    const char *where =
        arena_printf(detection->arena, TELL(detection, "%s, records labelled %s", "%s，标签为 %s 的记录"), id,
                     cases->names.items[label]);
    const char *evidence = arena_printf(detection->arena,
                                        TELL(detection, "wrong on %lld of %lld in the group, on %lld of %lld outside",
                                             "判错：组内 %lld / %lld 条，组外 %lld / %lld 条"),
                                        (long long)in.count, (long long)in.n, (long long)out.count, (long long)out.n);
    if (what == NULL || where == NULL || evidence == NULL) {
        return method_no_memory(detection->runner->call);
    }
    Interval effect = share_difference(in, out, 0.95);
    Hypothesis made = {.kind = "group-error",
                       .what = what,
                       .where = where,
                       .effect = effect,
                       .points = effect.value,
                       .unit = "points",
                       .p =
                           effect.value > 0 ? fisher_exact(in.count, in.n - in.count, out.count, out.n - out.count) : 1,
                       .n = in.n + out.n,
                       .evidence = evidence,
                       .null = TELL(detection, "Fisher's exact test on the half that did not name the group",
                                    "在未参与提名的一半记录上做 Fisher 精确检验"),
                       .step = cases->step,
                       .harmful = effect.value > 0};
    return findings_add(detection->findings, &made);
}

limn_status detect_groups(Detection *detection) {
    for (int32_t i = 0; i < detection->n_cases; i++) {
        const Cases *cases = &detection->cases[i];
        for (int32_t field = 0; field < cases->data->n_groups && field < CASE_GROUPS_MAX; field++) {
            for (int32_t label = 0; label < cases->names.n; label++) {
                int32_t group = nominate(cases, field, label);
                if (group >= 0) {
                    TRY(confirm(detection, cases, field, label, group));
                }
            }
        }
    }
    return LIMN_OK;
}
