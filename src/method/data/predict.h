/* What the parts of `limn predict` share: the command (predict.c), its records (predict_decide.c) and what it says
 * (predict_report.c). */
#ifndef LIMN_METHOD_DATA_PREDICT_H
#define LIMN_METHOD_DATA_PREDICT_H

#include "measure/choice_names.h"
#include "measure/choices.h"
#include "measure/limits.h"
#include "measure/metrics.h"
#include "method/data/predictions.h"

enum {
    PREDICT_GROUPS_MAX = 1000,
    PREDICT_GAP_CHOICES = 100,  /* of which the gaps are shown */
    PREDICT_INTERVALS_MAX = 200 /* groups with intervals by bootstrap: each takes memory */
};

typedef struct PredictParams {
    Text model;
    DataParams data;
    ParamTexts choices;
    Text labels;
    int64_t batch;
    int32_t truncate; /* Truncation */
    LimitParams limits;
    int64_t top;
    Text decisions;
} PredictParams;

typedef struct PredictGroup {
    Text name;
    Metrics metrics; /* without replicates, unless a limit asks for them */
} PredictGroup;

typedef struct Mistake { /* a wrong decision, kept while it is among the surest */
    double confidence;
    Text id, prompt;
    int32_t label, choice;
} Mistake;

typedef struct Predictor {
    MethodCall *call;
    const PredictParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    DataSource *source;
    Text *choices; /* [n] as scored; of a classifier the same as names */
    Text *names;   /* [n] as labels and the file say them */
    int32_t n;
    ChoiceScorer *scorer;
    PredictionFile *file; /* NULL: none */
    PredictionSettings settings;
    Metrics metrics;
    PredictGroup *groups; /* [n_groups] in the order they were met */
    int32_t n_groups;
    Limits limits;
    bool group_intervals; /* by bootstrap */
    Mistake *mistakes;    /* [n_mistakes], the surest first, of params->top */
    int32_t n_mistakes;
    int64_t resumed; /* records that were there already */
    int64_t joined;  /* prompts that a choice joins */
    int64_t n_cut;   /* prompts that were cut; the most tokens that one lost */
    int32_t most_cut;
    int64_t unlabelled;
    double least_mass; /* the smallest probability of all choices of a record together */
    double sum_mass;
    int64_t not_finite;
    double recheck; /* largest difference to a plain pass; NaN: not made */
} Predictor;

/* Its choices are labels that may hold together. */
bool predict_each(const Predictor *predictor);
/* plain: each prompt and choice in a pass of its own. */
ChoiceOptions predict_choice_options(const Predictor *predictor, bool plain);
/* Reads, scores, writes and counts all records. */
limn_status predict_decide(Predictor *predictor);
void predict_forget_mistakes(Predictor *predictor);

/* Which measures and choices the limits are about; before the first record. */
limn_status predict_read_limits(Predictor *predictor);
/* A check for each of them. */
limn_status predict_judge_limits(const Predictor *predictor);

/* Between groups, at 95%. */
limn_status predict_share_gap(Gap *gap, const Predictor *predictor, int32_t choice);
limn_status predict_impact_ratio(Gap *gap, const Predictor *predictor, int32_t choice);
limn_status predict_tpr_gap(Gap *gap, const Predictor *predictor, int32_t choice);
limn_status predict_fpr_gap(Gap *gap, const Predictor *predictor, int32_t choice);
limn_status predict_odds_gap(Gap *gap, const Predictor *predictor, int32_t choice); /* the larger of the last two */
limn_status predict_accuracy_gap(Gap *gap, const Predictor *predictor, int32_t choice);
limn_status predict_report_groups(const Predictor *predictor, bool labelled);

/* Adds headline, blocks, warnings and checks. */
limn_status predict_report(Predictor *predictor);

#endif
