/* What the parts of `limn surgery` share: the command (surgery.c), passes over the records (surgery_records.c), edits
 * as cuts with others of their kind (surgery_cuts.c, surgery_directions.c), many of them tried at once
 * (surgery_sweep.c), as weights (surgery_bake.c), what it says (surgery_report.c). */
#ifndef LIMN_METHOD_CAUSAL_SURGERY_H
#define LIMN_METHOD_CAUSAL_SURGERY_H

#include "ask/data_source.h"
#include "call/estimate.h"
#include "edit/edits.h"
#include "measure/choice_names.h"
#include "measure/choices.h"
#include "statistics/proportions.h"

/* Order of the choice "accuracy|loss|false-alarms|missed-alarms". */
typedef enum SurgeryAim { AIM_ACCURACY, AIM_LOSS, AIM_FALSE_ALARMS, AIM_MISSED_ALARMS, AIM_COUNT } SurgeryAim;

typedef struct SurgeryParams {
    Text model;
    DataParams data;
    ParamTexts choices;
    Text labels;
    ParamTexts set;
    int32_t choose; /* place in surgery_kinds; -1: the edit is given */
    int64_t count;
    Text choose_on;
    Text focus;
    int32_t aim; /* SurgeryAim */
    Text alarm;
    int64_t draws;
    bool no_controls;
    Text save_edit;
    Text note;
    Text bake;
    bool estimate;
} SurgeryParams;

/* Of what records a figure is. */
typedef enum SurgeryScope { SCOPE_ALL, SCOPE_FOCUS, SCOPE_REST, SCOPE_COUNT } SurgeryScope;

/* Which records a pass decides. */
typedef enum SurgeryHalf { HALF_CHOOSE, HALF_JUDGE, HALF_COUNT } SurgeryHalf;

/* One record, decided before and after. */
typedef struct SurgeryRecord {
    float loss[2]; /* -log p of the label among the choices; NaN: not decided */
    int16_t label, choice[2];
    uint8_t half;  /* SurgeryHalf */
    bool focus;    /* every record, where nothing is in focus */
    bool left_out; /* it cannot be used */
} SurgeryRecord;

/* Sums over the records of a scope that one pass decided. */
typedef struct SurgeryTally {
    int64_t n, correct;
    int64_t negatives, false_alarms; /* labelled otherwise than the alarm; of them decided for it */
    int64_t positives, missed;       /* labelled as the alarm; of them decided otherwise */
    double loss;
    int64_t not_finite; /* decisions that are no numbers, in no other figure */
} SurgeryTally;

typedef struct SurgeryTallies {
    SurgeryTally scopes[SCOPE_COUNT];
} SurgeryTallies;

/* What one edit does to the aim. Gains are better when larger, whichever way the aim counts. */
typedef struct SurgeryEffect {
    double gain;  /* of the aim, on the records in focus */
    double cost;  /* accuracy lost: on the others, without a focus on all */
    double score; /* gain - cost */
} SurgeryEffect;

/* What one site's change is, for others of its kind. */
typedef enum CutKind {
    CUT_FIXED,    /* nothing else is like it */
    CUT_BLOCK,    /* a whole site of a layer: other layers */
    CUT_UNIT,     /* a head or an expert: others of its layer */
    CUT_NEURON,   /* an element of a row: others of its layer */
    CUT_DIRECTION /* directions of a row: others as the site's values vary */
} CutKind;

typedef struct Cut {
    const SiteEdit *edit;
    CutKind kind;
    int32_t layer;
    int64_t n_others; /* CUT_UNIT, CUT_NEURON: units there are; CUT_BLOCK: layers */
} Cut;

/* A set of edits in the place of those that are judged, or one of those that are chosen among. */
typedef struct CutSet {
    const char *text; /* its edits, a space between two */
    Texts edits;      /* [n] */
    int32_t draw;     /* of directions: which; -1: none */
    SurgeryEffect effect;
    SurgeryTallies tallies;
} CutSet;

typedef struct CutSets {
    CutSet *items; /* [n] */
    int32_t n;
} CutSets;

/* Random directions for every CUT_DIRECTION: [draws][rank, n] of each. */
typedef struct Directions {
    float **drawn; /* [n_cuts] [draws, rank, n]; NULL: that cut is none of directions */
    int32_t draws;
} Directions;

typedef struct Surgery {
    MethodCall *call;
    const SurgeryParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    ChoiceNames names;
    int32_t alarm; /* which choice */
    EncodeOptions encode;
    SurgeryRecord *records; /* [n_records] in the order of the data */
    int64_t n_records;
    int64_t in_half[HALF_COUNT];
    int64_t in_focus;     /* of those judged */
    int64_t n_unscored;   /* left out as no choice could be scored behind them */
    const Edit *standing; /* [n_standing] the edit files' */
    int32_t n_standing;
    Texts edits; /* those that are judged */
    EditPlan plan;
    Cut *cuts; /* [plan.n] */
    CutSets candidates, controls;
    Directions directions;
    SurgeryTallies before[HALF_COUNT], after;
    SurgeryEffect effect;
    double most_changed;         /* largest difference of a judged record's loss */
    double plain_error;          /* of some decisions of sets from full passes; NaN: those were full passes */
    int64_t passes, passes_done; /* for progress */
} Surgery;

/* ---- records (surgery_records.c) ---- */

/* Reads all records once: labels, halves, focus. */
limn_status surgery_read_records(Surgery *surgery);

/* Decides the records of a half with these edits in force beside the standing ones. keep: where a record's decision is
 * noted, 0 before, 1 after; -1: nowhere. */
limn_status surgery_decide(SurgeryTallies *tallies, Surgery *surgery, const EditPlan *plan, SurgeryHalf half, int keep);

/* Calls use(context, items, ...) for the prompts of a half, a window at a time. */
typedef limn_status (*SurgeryPrompts)(void *context, const Text *prompts, const int64_t *records, int32_t n);
limn_status surgery_each_window(Surgery *surgery, SurgeryHalf half, SurgeryPrompts use, void *context);

/* One decision, from log p of each choice: into the tallies, and where keep says. */
void surgery_count(SurgeryTallies *tallies, Surgery *surgery, int64_t record, const double *logs, int keep);

double surgery_aim_of(const SurgeryTally *tally, SurgeryAim aim); /* NaN of nothing */
SurgeryEffect surgery_effect(const Surgery *surgery, const SurgeryTallies *before, const SurgeryTallies *after);
bool surgery_aim_is_rate(SurgeryAim aim);

/* ---- edits (surgery_cuts.c) ---- */

/* For the choice "mlp|attn|layer|head". */
#define SURGERY_KINDS "mlp|attn|layer|head"

/* Plans the edits that are judged and finds what each is. */
limn_status surgery_plan(Surgery *surgery);
/* Every edit of the kind that is chosen among. */
limn_status surgery_list_candidates(Surgery *surgery);
/* Every other block of the kind, or random sets of as many of them; directions are drawn beforehand. */
limn_status surgery_list_controls(Surgery *surgery);
/* The edits of a set, in an arena. */
limn_status surgery_plan_set(EditPlan *plan, const Surgery *surgery, const CutSet *set, Arena *arena);

limn_status surgery_draw_directions(Surgery *surgery);

/* ---- many at once (surgery_sweep.c, surgery_estimate.c) ---- */

/* Effects and tallies of every set, on the records of one half that the model has decided as it is. */
limn_status surgery_try_sets(Surgery *surgery, CutSets *sets, SurgeryHalf half);

/* What that takes. */
typedef struct SurgeryCost {
    double passes;         /* over the half */
    MemoryEstimate memory; /* beside a pass's */
} SurgeryCost;

limn_status surgery_cost(SurgeryCost *cost, Surgery *surgery, CutSets *sets, SurgeryHalf half);

/* What --estimate says. */
limn_status surgery_estimate(Surgery *surgery);

/* Lists the controls and draws their directions (surgery.c). */
limn_status surgery_prepare_controls(Surgery *surgery);

/* ---- as weights (surgery_bake.c) ---- */

/* A new model folder that has the edit in its weights; refuses edits that no weight can hold. write
 * false: nothing but that. */
limn_status surgery_bake(const Surgery *surgery, bool write);

/* ---- what it says (surgery_report.c) ---- */

/* "blocks.1.hook_mlp_out=zero blocks.2.hook_mlp_out=zero" */
const char *surgery_join(const Texts *edits, Arena *arena);
limn_status surgery_report(Surgery *surgery);
/* What an edit file says of it. */
const char *surgery_note(const Surgery *surgery);

#endif
