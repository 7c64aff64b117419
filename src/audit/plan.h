/* A plan: what an audit examines, by which steps, and what it demands. Read from YAML (yaml.h) and held against the
 * commands there are (call/registry.h) before any work: an unknown step, option, type, a missing file, a gate over a
 * figure that no step makes is refused with its line and column, and the nearest right name.
 *
 * Relative paths are those of the plan's folder. docs/audit.md describes the language. */
#ifndef LIMN_AUDIT_PLAN_H
#define LIMN_AUDIT_PLAN_H

#include "audit/yaml.h"
#include "call/registry.h"

#define PLAN_FORMAT "audit/1"

enum { PLAN_STEPS_MAX = 500, PLAN_GATES_MAX = 500, PLAN_NAMES_MAX = 100 };

typedef struct PlanModel {
    const char *name;
    const char *path;
    const char *const *adapters; /* [n_adapters] DIR or DIR:WEIGHT */
    int32_t n_adapters;
    const char *const *edits; /* [n_edits] edit files in force */
    int32_t n_edits;
    const YamlNode *node;
} PlanModel;

typedef struct PlanData {
    const char *name;
    const char *file;
    const char *cluster_field; /* records that belong together share it; NULL: each by itself */
    const char *const *groups; /* [n_groups] fields whose values are groups */
    int32_t n_groups;
    const char *id_field; /* NULL: the record's number */
    json_t *options;      /* the other settings, as options of commands that have them */
    const YamlNode *node;
} PlanData;

/* Which records a step sees: those that may suggest what to test, or those that test it. */
typedef enum PlanHalf { HALF_ALL, HALF_NOMINATE, HALF_CONFIRM } PlanHalf;

typedef struct PlanStep {
    const char *id;
    const char *title; /* NULL: the command's */
    const Method *method;
    int32_t model, data; /* places in the plan; -1: none */
    PlanHalf half;
    json_t *params; /* of the command, files resolved; "step:ID" where another step's decisions are meant */
    const YamlNode *node;
    bool added; /* by the audit itself, not by the plan's writer */
} PlanStep;

typedef enum GateAggregation {
    AGGREGATE_VALUE,
    AGGREGATE_EACH,
    AGGREGATE_MEAN,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_SUM,
    AGGREGATE_COUNT
} GateAggregation;

typedef struct PlanGate {
    const char *name;   /* shown; by default the metric with what is demanded */
    const char *metric; /* an expression over figures: "decisions.accuracy" */
    GateAggregation aggregation;
    CheckKind op;
    double value;
    const char *value_text; /* as written: "90%" */
    bool by_value;          /* judged by the figure itself, not by its interval */
    const YamlNode *node;
} PlanGate;

typedef struct PlanFact { /* of the system: "provider" */
    const char *name, *text;
} PlanFact;

typedef struct FindingRules {
    double level;            /* .05: of all confirmatory tests together */
    double floor;            /* .02: a smaller effect is no finding */
    int64_t most_candidates; /* words and places that are taken to the other half */
} FindingRules;

typedef struct PlanCases {
    int64_t count;      /* misjudged inputs shown one by one */
    const char *method; /* "why" */
} PlanCases;

typedef struct Plan {
    const char *name;   /* of the file, for messages */
    const char *folder; /* relative paths begin here; "" is the current one */
    const char *title;
    Language language;
    int64_t seed;
    const PlanFact *system; /* [n_system] in the order written */
    int32_t n_system;
    const char *const *regimes; /* [n_regimes] "eu-ai-act" */
    int32_t n_regimes;
    PlanModel *models; /* [n_models] */
    int32_t n_models;
    int32_t subject; /* the model the audit is about */
    PlanData *data;  /* [n_data] */
    int32_t n_data;
    PlanStep *steps; /* [n_steps]: a step stands behind those it needs */
    int32_t n_steps, steps_capacity;
    PlanGate *gates; /* [n_gates] */
    int32_t n_gates;
    FindingRules findings;
    PlanCases cases;
    PlanStep inside; /* what is asked of the words that were found, with a focus on them; method NULL: nothing */
    int32_t inside_count;
    double budget;    /* seconds; 0: none */
    const char *work; /* files in this folder are shown as in WORK; NULL: there is none yet */
    Arena *arena;
    const Registry *registry;
} Plan;

/* What a caller says beside the plan: where a model or data set lies ("NAME=PATH"), how many records at most. */
typedef struct PlanOverrides {
    const ParamTexts *models, *data;
    int64_t sample;       /* 0: as the plan says */
    double budget;        /* 0: as the plan says */
    const char *language; /* NULL: as the plan says */
} PlanOverrides;

/* Everything lies in the arena, but for JSON values: plan_free. */
limn_status plan_read(Plan *plan, const Registry *registry, const char *path, const PlanOverrides *overrides,
                      Arena *arena);
limn_status plan_read_text(Plan *plan, const Registry *registry, const char *path, const char *text, size_t length,
                           const PlanOverrides *overrides, Arena *arena);
void plan_free(Plan *plan);

/* ---- for the parts of the reader ---- */

/* "plan.yaml:12:5: ..." */
limn_status plan_fail(const Plan *plan, const YamlNode *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts line and column before the message of a failure. */
limn_status plan_fail_at(const Plan *plan, const YamlNode *node);
/* Refuses keys that are none of "a|b|c". what: "a step". */
limn_status plan_check_keys(const Plan *plan, const YamlNode *map, const char *what, const char *const *keys, size_t n);
/* The text behind a key. Absent: *text stays as it is. */
limn_status plan_take_text(const Plan *plan, const YamlNode *map, const char *key, const char **text);
limn_status plan_take_number(const Plan *plan, const YamlNode *map, const char *key, double low, double high,
                             double *number);
/* A text, or a list of them. */
limn_status plan_take_texts(const Plan *plan, const YamlNode *map, const char *key, const char *const **texts,
                            int32_t *n);
/* The path as it is from where the program runs; NULL: no memory. */
const char *plan_path(const Plan *plan, const char *path);
/* "20m", "90s", "2h" -> seconds */
limn_status plan_duration(double *seconds, const char *text);

limn_status plan_read_model(Plan *plan, const YamlPair *pair, const PlanOverrides *overrides); /* plan_parts.c */
limn_status plan_read_data(Plan *plan, const YamlPair *pair, const PlanOverrides *overrides);
limn_status plan_read_steps(Plan *plan, const YamlNode *root, const PlanOverrides *overrides); /* plan_steps.c */
limn_status plan_read_inside(Plan *plan, const YamlNode *root);                                /* plan_steps.c */
limn_status plan_read_gates(Plan *plan, const YamlNode *root);                                 /* plan_gates.c */
/* Refuses a command for `cases` that explains no single prompt (case_pages.c). */
limn_status case_pages_check(const Plan *plan, const YamlNode *node);
/* A step of the audit's own behind the others: its place; params is taken over, also on failure. */
limn_status plan_add_step(Plan *plan, const PlanStep *step, int32_t *place);
/* ---- parameters of commands (plan_params.c) ---- */

const limn_param *plan_own_option(const Method *method, const char *name); /* not one that all commands have */
/* The option that says which records are read at all: of some commands `where` says something else. */
const char *plan_filter(const Method *method);
limn_status plan_check_params(const Plan *plan, const Method *method, const json_t *params);
/* What model, data set, half and `with` come to, in step->params. */
limn_status plan_fill_params(const Plan *plan, const PlanStep *step);
/* The option of a method by its name; NULL: it has none. */
const limn_param *plan_option(const Method *method, const char *name);
int32_t plan_step_place(const Plan *plan, const char *id, size_t length); /* -1: none */
/* The step whose decisions a parameter means, "step:ID"; -1: none. */
int32_t plan_step_meant(const Plan *plan, const json_t *value);

/* Legal regimes by number (report_law.c); NULL: past the last. */
enum { REGIMES_MOST = 100 };
const char *regime_name(size_t index);
bool regime_is_known(const char *id);

/* "b" of "a,b,c", or of a list; NULL: there is no such one. */
const char *plan_choice(const Plan *plan, const json_t *choices, int32_t wanted);
/* The continuation that decisions call by this name; NULL: none is known (a classifier has its classes). */
const char *plan_choice_called(const Plan *plan, const PlanStep *of, const char *name);

#endif
