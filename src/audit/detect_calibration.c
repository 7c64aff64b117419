/* Is the model as sure as it is right? mean(confidence - right) over all labelled records: nothing is chosen by the
 * data, so no half is spent. Positive: too sure, which is the fault that is tested for (Student, one-sided); a model
 * that is less sure than it is right is no finding. */
#include <math.h>
#include <stdlib.h>

#include "audit/detect.h"

static limn_status judge(Detection *detection, const Cases *cases) {
    double *gap = malloc(((size_t)cases->n + 1) * sizeof *gap);
    int64_t n = 0, right = 0;
    if (gap == NULL) {
        return method_no_memory(detection->runner->call);
    }
    for (int64_t i = 0; i < cases->n; i++) {
        const Case *item = &cases->items[i];
        if (item->label >= 0 && !isnan(item->confidence)) {
            right += !case_is_wrong(item);
            gap[n++] = item->confidence - !case_is_wrong(item);
        }
    }
    Interval effect = mean_interval(gap, n, 0.95);
    double p = n < 2 ? (double)NAN : effect.value > 0 ? mean_p(gap, n) / 2 : 1;
    free(gap);
    if (n < 30) {
        return LIMN_OK;
    }
    const char *id = detection->runner->plan->steps[cases->step].id;
    double share = (double)right / (double)n;
    const char *evidence =
        arena_printf(detection->arena,
                     TELL(detection, "it gives its decisions %.1f%% on average, and %.1f%% of them are right",
                          "其判定的平均概率为 %.1f%%，实际判对 %.1f%%"),
                     100 * (share + effect.value), 100 * share);
    if (evidence == NULL) {
        return method_no_memory(detection->runner->call);
    }
    Hypothesis made = {.kind = "calibration",
                       .what = TELL(detection,
                                    effect.value >= 0 ? "too sure of its decisions" : "less sure than it is right",
                                    effect.value >= 0 ? "对自己的判定过于自信" : "自信程度低于实际正确率"),
                       .where = id,
                       .effect = effect,
                       .points = effect.value,
                       .unit = "points",
                       .p = p,
                       .n = n,
                       .evidence = evidence,
                       .null = TELL(detection, "Student's test of a mean of 0 over records, one-sided",
                                    "按记录对均值为 0 的学生检验（单侧）"),
                       .step = cases->step,
                       .harmful = effect.value > 0};
    return findings_add(detection->findings, &made);
}

limn_status detect_calibration(Detection *detection) {
    for (int32_t i = 0; i < detection->n_cases; i++) {
        if (detection->cases[i].labelled > 0) {
            TRY(judge(detection, &detection->cases[i]));
        }
    }
    return LIMN_OK;
}
