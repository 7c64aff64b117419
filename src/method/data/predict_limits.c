/* What limits may be put on `predict`: each measure is a row, of all records, of a group, or between groups. */
#include <math.h>
#include <string.h>

#include "method/data/predict.h"

typedef Interval (*MeasureOf)(const Metrics *metrics, int32_t choice);
typedef limn_status (*GapOf)(Gap *gap, const Predictor *predictor, int32_t choice);

static Interval accuracy(const Metrics *metrics, int32_t choice) {
    (void)choice;
    return metrics_accuracy(metrics);
}

static Interval macro_f1(const Metrics *metrics, int32_t choice) {
    (void)choice;
    return metrics_macro_f1(metrics);
}

static Interval ece(const Metrics *metrics, int32_t choice) {
    (void)choice;
    return metrics_ece(metrics);
}

static Interval brier(const Metrics *metrics, int32_t choice) {
    (void)choice;
    return metrics_brier(metrics);
}

static Interval log_loss(const Metrics *metrics, int32_t choice) {
    (void)choice;
    return metrics_log_loss(metrics);
}

enum { NEEDS_LABEL = 1, OF_CHOICE = 2, BY_BOOTSTRAP = 4 };

static const struct {
    const char *name;
    unsigned flags;
    MeasureOf of;
    GapOf gap; /* between groups */
} measures[] = {
    {"accuracy", NEEDS_LABEL, accuracy, NULL},
    {"precision", NEEDS_LABEL | OF_CHOICE, metrics_precision, NULL},
    {"recall", NEEDS_LABEL | OF_CHOICE, metrics_recall, NULL},
    {"fpr", NEEDS_LABEL | OF_CHOICE, metrics_false_positive_rate, NULL},
    {"f1", NEEDS_LABEL | OF_CHOICE | BY_BOOTSTRAP, metrics_f1, NULL},
    {"macro-f1", NEEDS_LABEL | BY_BOOTSTRAP, macro_f1, NULL},
    {"ece", NEEDS_LABEL | BY_BOOTSTRAP, ece, NULL},
    {"brier", NEEDS_LABEL | BY_BOOTSTRAP, brier, NULL},
    {"log-loss", NEEDS_LABEL | BY_BOOTSTRAP, log_loss, NULL},
    {"share", OF_CHOICE, metrics_share, NULL},
    {"share-gap", OF_CHOICE, NULL, predict_share_gap},
    {"impact-ratio", OF_CHOICE, NULL, predict_impact_ratio},
    {"tpr-gap", NEEDS_LABEL | OF_CHOICE, NULL, predict_tpr_gap},
    {"fpr-gap", NEEDS_LABEL | OF_CHOICE, NULL, predict_fpr_gap},
    {"odds-gap", NEEDS_LABEL | OF_CHOICE, NULL, predict_odds_gap},
    {"accuracy-gap", NEEDS_LABEL, NULL, predict_accuracy_gap},
};
enum { MEASURES = sizeof measures / sizeof measures[0] };

static limn_status find_measure(Limit *limit) {
    TextBuffer known = TEXT_BUFFER_INIT;
    for (limit->row = 0; limit->row < MEASURES; limit->row++) {
        if (strcmp(measures[limit->row].name, limit->measure.bytes) == 0) {
            text_buffer_free(&known);
            return LIMN_OK;
        }
        text_buffer_printf(&known, "%s%s%s", limit->row > 0 ? ", " : "", measures[limit->row].name,
                           (measures[limit->row].flags & OF_CHOICE) != 0 ? ":CHOICE" : "");
    }
    limn_status status = limit_unknown(limit, known.data != NULL ? known.data : "");
    text_buffer_free(&known);
    return status;
}

static limn_status find_choice(const Predictor *predictor, Limit *limit) {
    bool wanted = (measures[limit->row].flags & OF_CHOICE) != 0;
    if (wanted != (limit->choice.bytes != NULL)) {
        return wanted ? fail(LIMN_USAGE, "option '%s': %s is of one choice, as in %s:%.40s=%g", limit_option(limit),
                             limit->given, limit->measure.bytes, predictor->names[0].bytes, limit->limit)
                      : fail(LIMN_USAGE, "option '%s': %s is of all choices; found '%.60s'", limit_option(limit),
                             limit->measure.bytes, limit->given);
    }
    for (limit->place = 0; wanted && limit->place < predictor->n; limit->place++) {
        if (same_text(predictor->names[limit->place], limit->choice)) {
            return LIMN_OK;
        }
    }
    return wanted
               ? fail(LIMN_USAGE, "option '%s': there is no choice '%.60s'", limit_option(limit), limit->choice.bytes)
               : LIMN_OK;
}

static limn_status check_fields(const Predictor *predictor, const Limit *limit) {
    const DataParams *data = &predictor->params->data;
    bool gap = measures[limit->row].gap != NULL;
    if ((measures[limit->row].flags & NEEDS_LABEL) != 0 && data->label_field.bytes == NULL) {
        return fail(LIMN_USAGE, "option '%s': %s needs the right answers: --label-field", limit_option(limit),
                    limit->given);
    }
    if (gap && limit->group.bytes != NULL) {
        return fail(LIMN_USAGE, "option '%s': %s is between groups, not of one", limit_option(limit), limit->given);
    }
    if ((gap || limit->group.bytes != NULL) && data->group_field.bytes == NULL) {
        return fail(LIMN_USAGE, "option '%s': %s needs groups: --group-field", limit_option(limit), limit->given);
    }
    return LIMN_OK;
}

limn_status predict_read_limits(Predictor *predictor) {
    TRY(limits_parse(&predictor->limits, predictor->call, &predictor->params->limits));
    for (int32_t i = 0; i < predictor->limits.n; i++) {
        Limit *limit = &predictor->limits.items[i];
        TRY(find_measure(limit));
        TRY(find_choice(predictor, limit));
        TRY(check_fields(predictor, limit));
        bool drawn = (measures[limit->row].flags & BY_BOOTSTRAP) != 0 && limit->group.bytes != NULL;
        predictor->group_intervals = predictor->group_intervals || drawn;
    }
    return LIMN_OK;
}

/* ---- judging ---- */

static void judge_metrics(const Predictor *predictor, const Limit *limit, const char *name, const Metrics *metrics) {
    char about[64];
    bool labelled = (measures[limit->row].flags & NEEDS_LABEL) != 0;
    snprintf(about, sizeof about, SAY(predictor->call, "over %lld%s records", "%lld 条%s记录"),
             (long long)(labelled ? (int64_t)metrics->sums.n : metrics->decisions),
             labelled ? SAY(predictor->call, " labelled", "有标签的") : "");
    limit_judge(predictor->result, predictor->call, limit, name, measures[limit->row].of(metrics, limit->place), about);
}

static limn_status judge_groups(const Predictor *predictor, const Limit *limit) {
    bool any = false;
    for (int32_t i = 0; i < predictor->n_groups; i++) {
        const PredictGroup *group = &predictor->groups[i];
        if (limit->each || same_text(group->name, limit->group)) {
            const char *name =
                arena_printf(predictor->call->arena, "%.*s@%.60s",
                             (int)(strlen(limit->given) - limit->group.length - 1), limit->given, group->name.bytes);
            if (name == NULL) {
                return method_no_memory(predictor->call);
            }
            judge_metrics(predictor, limit, name, &group->metrics);
            any = true;
        }
    }
    if (!any) {
        Interval none = {(double)NAN, (double)NAN, (double)NAN};
        limit_judge(predictor->result, predictor->call, limit, limit->given, none,
                    SAY(predictor->call, "(no record has this group)", "（没有这一组的记录）"));
    }
    return LIMN_OK;
}

limn_status predict_judge_limits(const Predictor *predictor) {
    for (int32_t i = 0; i < predictor->limits.n; i++) {
        const Limit *limit = &predictor->limits.items[i];
        if (measures[limit->row].gap != NULL) {
            Gap gap;
            char about[96] = "";
            TRY(measures[limit->row].gap(&gap, predictor, limit->place));
            if (gap.highest >= 0) {
                snprintf(about, sizeof about, SAY(predictor->call, "between %.30s and %.30s", "%.30s 与 %.30s 之间"),
                         predictor->groups[gap.highest].name.bytes, predictor->groups[gap.lowest].name.bytes);
            }
            limit_judge(predictor->result, predictor->call, limit, limit->given, gap.interval, about);
        } else if (limit->group.bytes != NULL) {
            TRY(judge_groups(predictor, limit));
        } else {
            judge_metrics(predictor, limit, limit->given, &predictor->metrics);
        }
    }
    return LIMN_OK;
}
