/* What the parts of `limn sensitive` share: the command (sensitive.c), its records (sensitive_records.c), shares of
 * attribution (sensitive_share.c), figures (sensitive_figures.c), independent groups (sensitive_groups.c), limits
 * (sensitive_limits.c) and what it says (sensitive_report.c). */
#ifndef LIMN_METHOD_FAIRNESS_SENSITIVE_H
#define LIMN_METHOD_FAIRNESS_SENSITIVE_H

#include "measure/choice_names.h"
#include "measure/choices.h"
#include "measure/limits.h"
#include "measure/metrics.h"
#include "measure/token_scores.h"
#include "method/fairness/swaps.h"
#include "statistics/proportions.h"

enum {
    SENSITIVE_GROUPS = 1000,
    SENSITIVE_ORDINARY_RECORDS = 100, /* of a category, in which ordinary words take the place */
    SENSITIVE_ORDINARY_MOST = 100,
    SENSITIVE_FLIPS = 9999,
    SENSITIVE_LEAST = 5,  /* records, for a figure of them */
    SENSITIVE_TURNED = 10 /* examples of turned decisions */
};

typedef struct SensitiveParams {
    Text model;
    DataParams data;
    ParamTexts choices;
    Text labels;
    Text target;
    Text words;
    ParamTexts categories;
    Text method;
    int64_t explain;
    int64_t ordinary;
    int64_t top;
    LimitParams limits;
} SensitiveParams;

/* One record as it is under one category, in all versions. */
typedef struct SwapCase {
    int32_t record; /* running number among those with a word of the lists */
    int32_t item;   /* of its window */
    int32_t category;
    int32_t side;   /* the record's own */
    int32_t *words; /* [n_words] of the lists, each once */
    int32_t n_words;
    uint64_t draw;
    double *leads;    /* [n_sides] of the target; NaN: there is no such version */
    int32_t *decided; /* [n_sides] choices; -1 */
    double *ordinary; /* [params->ordinary] leads with ordinary words; NULL: not taken */
} SwapCase;

/* A decision that a swap turned, kept while its lead moved most. */
typedef struct TurnedCase {
    double moved;
    Text id, prompt;
    int32_t word, other; /* of the lists */
    int32_t before, after;
    double lead_before, lead_after;
} TurnedCase;

/* Share of attribution on a category's words in one record. */
typedef struct ShareCase {
    int32_t category;
    double share, random; /* of as many other words of their kind; NaN: there are none */
} ShareCase;

typedef struct SensitiveGroup {
    Text name;
    Metrics metrics; /* without replicates */
} SensitiveGroup;

/* Two sides of a category against each other, over all records that have both versions. */
typedef struct Contrast {
    int32_t category, first, second;
    int64_t n;
    Interval shift;       /* mean lead with the first less the second; for all contrasts together */
    double p;             /* sign flips by record, max-T over the contrasts */
    double ordinary;      /* what two ordinary words differ by in that place; NaN: not known */
    double p_ordinary;    /* as far apart by chance among such words, Holm; NaN */
    int64_t gained, lost; /* decided for the target with the first only, with the second only */
    Interval change;      /* (gained - lost) / n */
    double p_decisions;   /* McNemar, Holm */
    bool raised;
} Contrast;

typedef struct PairFigure { /* one word for one other */
    int32_t word, other;
    int64_t n, gained, lost;
    Interval shift;
    double p; /* sign flips, max-T over the pairs */
} PairFigure;

typedef struct ShareFigure {
    int32_t category;
    int64_t n;
    Interval share, random, excess;
    double p; /* excess above 0: sign flips, max-T */
} ShareFigure;

typedef struct Sensitive {
    MethodCall *call;
    const SensitiveParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    DataSource *source;
    ChoiceNames names;
    int32_t target; /* of names */
    ProtectedLists lists;
    Ordinary *ordinary;
    ChoiceScorer *scorer;
    const Method *method; /* of attributions; NULL: none are asked for */
    const void *method_params;
    Limits limits;
    SwapCase *cases; /* [n_cases] */
    int32_t n_cases, cases_most;
    ShareCase *shares; /* [n_shares] */
    int32_t n_shares, shares_most;
    TurnedCase turned[SENSITIVE_TURNED]; /* [n_turned] the farthest moved first */
    int32_t n_turned;
    SensitiveGroup *groups; /* [n_groups] in the order they were met */
    int32_t n_groups;
    int32_t *taken;     /* [n_categories] records whose place ordinary words took */
    int32_t *explained; /* [n_categories] */
    int64_t *mixed;     /* [n_categories] records with words of several sides: left out */
    int64_t records;    /* read */
    int32_t touched;    /* of them with a word of the lists */
    int64_t unlabelled, unexplained, not_finite;
    double recheck;      /* largest difference of a version's scores to a plain pass; NaN: not made */
    Contrast *contrasts; /* [n_contrasts] with records */
    int32_t n_contrasts;
    PairFigure *pairs; /* [n_pairs] the largest first */
    int32_t n_pairs;
    ShareFigure *share_figures; /* [n_share_figures] */
    int32_t n_share_figures;
    double level; /* of each contrast's interval */
} Sensitive;

static inline const ProtectedCategory *sensitive_category(const Sensitive *work, int32_t category) {
    return &work->lists.categories[category];
}

/* One more behind *n items of a list that doubles, zeroed; NULL: no memory. */
void *sensitive_push(void **items, int32_t *n, int32_t *most, size_t size, Arena *arena);

limn_status sensitive_records(Sensitive *work);
void sensitive_forget_turned(Sensitive *work);

/* Adds the shares of a record's categories. against: the best other choice. */
limn_status sensitive_share(Sensitive *work, const DataItem *item, const ProtectedMatches *matches, int32_t against,
                            Arena *arena);

limn_status sensitive_figures(Sensitive *work);

/* Between independent groups, at 95%, of the target. */
typedef enum GroupGap { GAP_RATE, GAP_IMPACT, GAP_TPR, GAP_FPR, GAP_ODDS, GAP_KINDS } GroupGap;
limn_status sensitive_gap(Gap *gap, const Sensitive *work, GroupGap kind);
limn_status sensitive_report_groups(const Sensitive *work);

limn_status sensitive_read_limits(Sensitive *work);
limn_status sensitive_judge_limits(const Sensitive *work);

limn_status sensitive_report(Sensitive *work);
/* "immigrant for local", in the language of the call. */
const char *sensitive_contrast_name(const Sensitive *work, const Contrast *contrast);

#endif
