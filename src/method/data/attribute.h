/* What the parts of `limn attribute` share: the command (attribute.c), what may be exchanged in a record
 * (attribute_keys.c), which of it occurs often (attribute_words.c), who nominates (attribute_nominate.c), what
 * exchanging does (attribute_effects.c) and what is said of it (attribute_report.c). */
#ifndef LIMN_METHOD_DATA_ATTRIBUTE_H
#define LIMN_METHOD_DATA_ATTRIBUTE_H

#include "ask/decided_filter.h"
#include "base/map.h"
#include "measure/choice_names.h"
#include "measure/choices.h"
#include "measure/draws.h"
#include "measure/token_scores.h"
#include "method/data/record_log.h"
#include "statistics/statistics.h"

enum {
    EDGE_WORDS = 4,     /* of the places "first words" and "last words" */
    EDGE_TEXT_MOST = 5, /* words of an opening or ending that recurs word for word */
    ATTRIBUTE_WINDOW = 64
};

typedef struct AttributeParams {
    Text model;
    DataParams data; /* its `where` is --only */
    Text where;
    ParamTexts choices;
    Text labels;
    Text scorer;
    Text replacements;
    int64_t least;
    int64_t words;
    int64_t inputs;
    int64_t draws;
    int64_t flips;
    Text effects;
    int32_t truncate; /* Truncation */
} AttributeParams;

/* ---- what may be exchanged together ---- */

typedef enum PlaceKind {
    PLACE_WORD,    /* a word, wherever it stands */
    PLACE_OPENING, /* these words at the beginning of a field */
    PLACE_ENDING,  /* ... at its end */
    PLACE_FIRST,   /* the first words of a field, whatever they are */
    PLACE_LAST,
    PLACE_FIELD, /* all of a field */
    PLACE_KINDS
} PlaceKind;

typedef struct RecordKey {
    PlaceKind kind;
    Text key;       /* one for one thing in all records */
    Text text;      /* of words, in small letters */
    Text span;      /* the field's name; absent: of a word */
    Text shorter;   /* of an opening or ending: the key of the one with a word less; absent: it is the shortest */
    int32_t *units; /* [n] in order */
    int32_t n, capacity;
} RecordKey;

/* A record with its words and what of them may be exchanged. */
typedef struct RecordView {
    DataItem item;
    Prompt prompt;
    Target stay; /* for units and draws: what must not be drawn, and that all of the prompt may be */
    TokenRuns words;
    Units units;
    RecordKey *keys; /* [n_keys] */
    int32_t n_keys;
    int32_t cut; /* tokens that the model does not read; nothing here knows of them */
} RecordView;

/* ---- what recurs ---- */

/* A word or place, and what was found of it. */
typedef struct Suspect {
    PlaceKind kind;
    Text key, text, span, shorter;
    int64_t count; /* records of the half that tests, as counted; later as measured */
    bool nested;   /* a longer opening or ending stands wherever it stands */
    double sum;    /* of the sizes of its scores in records that nominate */
    double weight; /* that over the root of `count`: who is suspected most */
    int64_t scored;
    int32_t place;               /* among those tested, -1: it is not tested */
    double harm, low, high;      /* in log-probability */
    double gain, p;              /* in probability, and of none */
    double wrong, wrong_without; /* shares of the records it stands in */
} Suspect;

typedef struct Suspects {
    Map places; /* key to place */
    Suspect *items;
    int32_t n, capacity;
    uint32_t *sketch; /* [SKETCH] how often keys of a hash were met, while they are few */
    int64_t least;
} Suspects;

/* What one record says of a suspect. */
typedef struct Effect1 {
    uint64_t prompt; /* its hash: the same text said twice is one witness */
    int32_t place, label;
    float right_before, right_after; /* decided rightly, as it is and with others there (a share of the draws) */
    double value;                    /* log p(label | exchanged) - log p(label) */
    double gain;                     /* p(label | exchanged) - p(label) */
} Effect1;

typedef struct Attributor {
    MethodCall *call;
    const AttributeParams *params;
    DataParams data;
    Result *result;
    Engine *engine;
    const Model *model;
    DataSource *source; /* of the first pass; keeps what was skipped */
    ChoiceNames names;
    int32_t *stay_ids; /* [n_stay] tokens of all choices */
    int32_t n_stay;
    bool labelled;
    DecidedFilter *filter; /* NULL: every record nominates */
    NamedScorer scorer;
    size_t head, tail; /* bytes that all prompts begin and end with */
    DrawTexts file;    /* of --replacements */
    DrawTexts *drawn;  /* [n_drawn] words of each field */
    int32_t n_drawn;   /* 1: one for all */
    WordLists lists;   /* while it is measured */
    Suspects suspects;
    int32_t *tested; /* [n_tested] suspects */
    int32_t n_tested;
    int32_t family; /* of these, in enough records */
    ChoiceScorer *choices;
    RecordLog *log;   /* NULL: none */
    Effect1 *effects; /* [n_effects] */
    int64_t n_effects, effects_capacity;
    int64_t records, unlabelled, nominating, matched, measuring;
    int64_t wrong[2], decided[2]; /* of the half that nominates, of the records measured */
    int64_t resumed, n_cut;
    int32_t most_cut;
    double recheck; /* largest difference to a plain pass; NaN: not made */
} Attributor;

/* ---- records ---- */

/* Of a record: does it nominate, or is it measured? By its prompt and the seed alone: the same text never does both. */
bool attribute_nominates(const Attributor *attributor, const DataItem *item);
/* Source of another pass over the data. */
limn_status attribute_source(DataSource **source, Attributor *attributor);
/* The next record with its words, in the arena. *there false: no more. Records that cannot be used are passed over or
 * end the run, as was asked; first: it is the pass that says so. call: the record's own, whose arena and seed are set.
 */
limn_status attribute_next(RecordView *view, Attributor *attributor, DataSource *source, MethodCall *call, bool first,
                           bool *there);
/* A record that turned out to be of no use later: passed over, or the run's end. */
limn_status attribute_give_up(Attributor *attributor, const DataItem *item, limn_status status, const char *why);
limn_status attribute_log_error(Attributor *attributor, const DataItem *item, const char *why);
/* -1: none. */
limn_status attribute_label(int32_t *label, const Attributor *attributor, const DataItem *item);
limn_status attribute_tick(const Attributor *attributor, const char *stage, const DataItem *item);

/* ---- the passes ---- */

/* Reads all records: what they have in common, what recurs, what may be drawn. */
limn_status attribute_count(Attributor *attributor);
/* Which suspects are tested. */
limn_status attribute_nominate(Attributor *attributor);
limn_status attribute_measure(Attributor *attributor);
limn_status attribute_judge(Attributor *attributor);
limn_status attribute_report(Attributor *attributor);

/* log of the share that choice `label` has among all; logs: [C]. */
double attribute_share_log(const double *logs, int32_t n, int32_t label);
int32_t attribute_likeliest(const double *logs, int32_t n);

/* ---- suspects ---- */

limn_status suspects_init(Suspects *suspects, MethodCall *call, int64_t least);
void suspects_free(Suspects *suspects);
limn_status suspects_count(Suspects *suspects, MethodCall *call, const RecordKey *key);
Suspect *suspects_find(const Suspects *suspects, Text key); /* NULL: not there */

/* Fills view->keys. */
limn_status attribute_list_keys(RecordView *view, MethodCall *call);

#endif
