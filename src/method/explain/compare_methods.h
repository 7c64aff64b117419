/* Several methods on the same inputs: what is asked, and what comes of it record by record. */
#ifndef LIMN_METHOD_EXPLAIN_COMPARE_METHODS_H
#define LIMN_METHOD_EXPLAIN_COMPARE_METHODS_H

#include "ask/data_source.h"
#include "measure/token_scores.h"
#include "measure/yardstick_rows.h"

typedef struct CompareMethodsParams {
    Text model;
    ParamTexts methods;
    PromptParams prompt;
    TargetParams target;
    YardstickParams yardstick;
    DataParams data;
    Text target_field;
    Text rationale_field;
    Text rationale;
    int64_t draws;
    int64_t sets;
    int64_t seeds;
    int64_t versions;
} CompareMethodsParams;

/* One number of each record. */
typedef enum CompareFigure {
    FIGURE_REPLACEMENT,       /* rank correlation of scores and effects of replacement */
    FIGURE_SIZES,             /* the same of their sizes */
    FIGURE_CAUSE,             /* effect of the word named first, over the largest */
    FIGURE_COMPREHENSIVENESS, /* how far the answer falls when the highest are exchanged: mean over shares of words */
    FIGURE_SUFFICIENCY,       /* ... when all others are */
    FIGURE_INFIDELITY,        /* share of what exchanges of random sets do that the scores do not predict */
    FIGURE_SENSITIVITY, /* largest relative change of the scores of the other words when an idle word is exchanged */
    FIGURE_DEVIATION,   /* over seeds, of the largest score */
    FIGURE_FLIPS,       /* share of larger scores whose sign changes with the seed */
    FIGURE_RATIONALE,   /* mean precision for the words that people marked */
    FIGURE_AUPRC,       /* area under precision over recall for them */
    FIGURES,
    FIGURES_SHOWN = FIGURE_RATIONALE + 1 /* in the table of methods */
} CompareFigure;

typedef struct FigureList {
    double *values; /* [n] of records that have one */
    int32_t n, capacity;
} FigureList;

/* Shares of the words that are exchanged, or kept. */
enum { CURVE_POINTS = 5, COMPARE_DRAWS = 8 /* of each word */ };
extern const double curve_shares[CURVE_POINTS];

typedef struct Compared {
    const char *name;     /* as it was asked for: "lrp:rules=relp" */
    const Method *method; /* NULL: random orders, of which only curves are asked */
    const void *params;
    bool named; /* a person asked for it: what it cannot do is a failure */
    bool left_out;
    bool draws_nothing; /* another seed gave the first record's scores again */
    FigureList figures[FIGURES];
    double deletion[CURVE_POINTS], insertion[CURVE_POINTS]; /* sums over records */
    double *scores;                                         /* [words] of the record at hand; NaN: has none */
} Compared;

typedef struct PairFigures {
    double spearman, kendall, top; /* sums */
    int32_t n;
} PairFigures;

/* Words that people marked in one prompt, and each method's words from the highest score down. */
typedef struct MarkedWords {
    int32_t n;
    bool *marked;    /* [n] */
    int32_t *orders; /* [methods, n] */
} MarkedWords;

typedef struct Comparing {
    MethodCall *call;
    const CompareMethodsParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    Compared *methods; /* [n + 1]: behind them the random orders */
    int32_t n;
    PairFigures *pairs; /* [n, n] */
    int32_t records;
    int32_t no_rationale;        /* records whose rationale does not stand in the prompt */
    double clean, all_exchanged; /* sums over records */
    bool leads;                  /* curves are of the lead over a contrast, else of the probability */
    FigureList base_precision;   /* share of the words that people marked */
    MarkedWords *marked;         /* [base_precision.n] */
    int32_t marked_capacity;
    int64_t rows; /* words scored in all */
} Comparing;

/* One prompt, its answer and its words, in a call of its own. */
typedef struct CompareRecord {
    Comparing *comparing;
    MethodCall *call;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast;
    Text rationale;         /* absent: none; a text, or a list of texts as JSON */
    const TextSpan *fields; /* [n_fields] what of the prompt is the record's own; NULL: all */
    int32_t n_fields;
    TokenRuns words;
    Yardstick *yardstick;
    bool *counts;    /* [words.n] may be exchanged */
    double *effects; /* [words.n] NaN: not exchanged */
} CompareRecord;

bool compare_exchanges(const Comparing *comparing); /* false: --draws 0, no word is exchanged */
limn_status compare_add_figure(Comparing *comparing, FigureList *list, double value);
/* Scores of the record's words by one method. *scored false: the method cannot, and nobody named it. */
limn_status compare_scores(CompareRecord *record, Compared *method, const Prompt *prompt, const Target *target,
                           const Target *contrast, const TokenRuns *words, int64_t seed, double *scores, bool *scored);
/* Curves of all methods and of a random order, which give comprehensiveness and sufficiency; infidelity. */
limn_status compare_curves(CompareRecord *record);
limn_status compare_infidelity(CompareRecord *record);
/* How far the scores find what people marked. */
limn_status compare_rationale(CompareRecord *record);
/* Table "rationale", the methods in that order. */
limn_status compare_rationale_report(Comparing *comparing, const int32_t *order, int32_t n);
double compare_mean_figure(const Compared *method, CompareFigure figure); /* NaN: no record has one */
/* Everything about one record. */
limn_status compare_record(CompareRecord *record);
/* Deviation over seeds, and what an idle word's exchange does to the scores. */
limn_status compare_seeds(CompareRecord *record, Compared *method);
limn_status compare_sensitivity(CompareRecord *record, Compared *method);

limn_status compare_methods_report(Comparing *comparing, const CompareRecord *only);

#endif
