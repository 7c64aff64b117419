/* What limits may be put on `sensitive`. Of versions and of attribution every category has a check of its own; all of
 * them hold together at 95%. */
#include <math.h>
#include <string.h>

#include "base/nearest.h"
#include "method/fairness/sensitive.h"

typedef enum Measured { LIMIT_SHARE, LIMIT_GAP, LIMIT_TURNED, LIMIT_GROUPS } Measured;

static const struct {
    const char *name;
    Measured measured;
    GroupGap gap;
    bool labelled;
} measures[] = {{"share", LIMIT_SHARE, GAP_RATE, false},           {"gap", LIMIT_GAP, GAP_RATE, false},
                {"turned", LIMIT_TURNED, GAP_RATE, false},         {"rate-gap", LIMIT_GROUPS, GAP_RATE, false},
                {"impact-ratio", LIMIT_GROUPS, GAP_IMPACT, false}, {"odds-gap", LIMIT_GROUPS, GAP_ODDS, true}};
enum { MEASURES = sizeof measures / sizeof measures[0] };

static limn_status find_measure(Limit *limit) {
    for (limit->row = 0; limit->row < MEASURES; limit->row++) {
        if (strcmp(measures[limit->row].name, limit->measure.bytes) == 0) {
            return LIMN_OK;
        }
    }
    return limit_unknown(limit, "share, gap, turned (each also share:CATEGORY), rate-gap, impact-ratio, odds-gap");
}

static const char *category_at(const void *context, size_t index) {
    return ((const ProtectedLists *)context)->categories[index].name.bytes;
}

/* place: the category, -1: all of them. */
static limn_status find_category(const Sensitive *work, Limit *limit) {
    limit->place = -1;
    if (limit->group.bytes != NULL || (limit->choice.bytes != NULL && measures[limit->row].measured == LIMIT_GROUPS)) {
        return fail(LIMN_USAGE, "option '%s': found '%.60s', expected %s=%g", limit_option(limit), limit->given,
                    limit->measure.bytes, limit->limit);
    }
    for (int32_t c = 0; c < work->lists.n_categories && limit->choice.bytes != NULL; c++) {
        bool same = same_text(sensitive_category(work, c)->name, limit->choice);
        limit->place = same && sensitive_category(work, c)->asked ? c : limit->place;
    }
    if (limit->choice.bytes != NULL && limit->place < 0) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, limit->choice.bytes, category_at, &work->lists,
                      (size_t)work->lists.n_categories);
        return fail(LIMN_USAGE, "option '%s': no category '%.60s' has a part; nearest: %s", limit_option(limit),
                    limit->choice.bytes, near);
    }
    return LIMN_OK;
}

limn_status sensitive_read_limits(Sensitive *work) {
    const DataParams *data = &work->params->data;
    TRY(limits_parse(&work->limits, work->call, &work->params->limits));
    for (int32_t i = 0; i < work->limits.n; i++) {
        Limit *limit = &work->limits.items[i];
        TRY(find_measure(limit));
        TRY(find_category(work, limit));
        if (measures[limit->row].measured == LIMIT_GROUPS && data->group_field.bytes == NULL) {
            return fail(LIMN_USAGE, "option '%s': %s needs groups: --groups FIELD", limit_option(limit), limit->given);
        }
        if (measures[limit->row].labelled && data->label_field.bytes == NULL) {
            return fail(LIMN_USAGE, "option '%s': %s needs the right answers: --label-field FIELD", limit_option(limit),
                        limit->given);
        }
        if (measures[limit->row].measured == LIMIT_SHARE && work->params->explain == 0) {
            return fail(LIMN_USAGE, "option '%s': %s needs explained records; --explain is 0", limit_option(limit),
                        limit->given);
        }
    }
    return LIMN_OK;
}

/* ---- judging ---- */

/* Of |x|, from an interval of x. */
static Interval size_of(Interval interval) {
    double low = fabs(interval.low), high = fabs(interval.high);
    bool crosses = interval.low <= 0 && interval.high >= 0;
    return (Interval){fabs(interval.value), crosses ? 0 : fmin(low, high),
                      isnan(interval.low) ? (double)NAN : fmax(low, high)};
}

static void judge(const Sensitive *work, const Limit *limit, Text category, const char *about, Interval interval) {
    char name[160];
    snprintf(name, sizeof name, "%s:%.80s", limit->measure.bytes, category.bytes);
    limit_judge(work->result, work->call, limit, name, interval, about);
}

static void judge_contrasts(const Sensitive *work, const Limit *limit, bool decisions, int32_t *n) {
    double level = work->level;
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        const Contrast *one = &work->contrasts[k];
        if (limit->place >= 0 && limit->place != one->category) {
            continue;
        }
        char about[160];
        snprintf(about, sizeof about, "(%.50s) over %lld records", sensitive_contrast_name(work, one),
                 (long long)one->n);
        Interval change = paired_difference(one->gained, one->lost, one->n, level);
        judge(work, limit, sensitive_category(work, one->category)->name, about,
              size_of(decisions ? change : one->shift));
        ++*n;
    }
}

static void judge_shares(const Sensitive *work, const Limit *limit, int32_t *n) {
    for (int32_t k = 0; k < work->n_share_figures; k++) {
        const ShareFigure *one = &work->share_figures[k];
        if (limit->place >= 0 && limit->place != one->category) {
            continue;
        }
        char about[64];
        snprintf(about, sizeof about, SAY(work->call, "over %lld records", "%lld 条记录"), (long long)one->n);
        judge(work, limit, sensitive_category(work, one->category)->name, about, one->share);
        ++*n;
    }
}

static limn_status judge_groups(const Sensitive *work, const Limit *limit) {
    Gap gap;
    char about[96] = "";
    TRY(sensitive_gap(&gap, work, measures[limit->row].gap));
    if (gap.highest >= 0) {
        snprintf(about, sizeof about, SAY(work->call, "between %.30s and %.30s", "%.30s 与 %.30s 之间"),
                 work->groups[gap.highest].name.bytes, work->groups[gap.lowest].name.bytes);
    }
    limit_judge(work->result, work->call, limit, limit->given, gap.interval, about);
    return LIMN_OK;
}

limn_status sensitive_judge_limits(const Sensitive *work) {
    for (int32_t i = 0; i < work->limits.n; i++) {
        const Limit *limit = &work->limits.items[i];
        Measured measured = measures[limit->row].measured;
        int32_t n = 0;
        if (measured == LIMIT_GROUPS) {
            TRY(judge_groups(work, limit));
            continue;
        }
        if (measured == LIMIT_SHARE) {
            judge_shares(work, limit, &n);
        } else {
            judge_contrasts(work, limit, measured == LIMIT_TURNED, &n);
        }
        if (n == 0) {
            Interval none = {(double)NAN, (double)NAN, (double)NAN};
            limit_judge(work->result, work->call, limit, limit->given, none,
                        SAY(work->call, "(no record has its words)", "（没有含其词的记录）"));
        }
    }
    return LIMN_OK;
}
