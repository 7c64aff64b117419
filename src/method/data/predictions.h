/* The file of predictions, JSONL: an object for each record, in the order of the data, appended as they are made. A
 * run that was cut short goes on where it stopped: what is there is checked against the data and the settings. */
#ifndef LIMN_METHOD_DATA_PREDICTIONS_H
#define LIMN_METHOD_DATA_PREDICTIONS_H

#include "ask/data_source.h"

typedef struct Prediction {
    int32_t choice;            /* the likeliest */
    int32_t label;             /* -1: none */
    double *log_probabilities; /* [C] of each choice, by itself */
    double *probabilities;     /* [C] normalised over the choices; of labels that may hold together each one's own */
    bool joined;               /* a choice joined the prompt's last token (choices.h) */
    int32_t cut;               /* tokens taken out of the prompt */
    const char *why;           /* the record cannot be decided on; NULL: it was */
    limn_status status;        /* then its failure */
    bool there;                /* the file had it already */
} Prediction;

/* The likeliest and what follows from log_probabilities; ties go to the first. each: labels that may hold together. */
void prediction_normalise(Prediction *prediction, int32_t n_choices, bool each);
/* log of the label's probability; NaN without a label */
double prediction_label_log(const Prediction *prediction, int32_t n_choices, bool each);

enum { SETTING_MODEL, SETTING_PROMPT, SETTING_CHOICES, SETTING_NUMBERS, SETTING_COUNT };

typedef struct PredictionSettings {
    char hash[SETTING_COUNT][17]; /* 16 hex digits: of what decides a line besides the record */
    const Text *names;            /* [n_choices] */
    int32_t n_choices;
    bool each; /* the choices are labels that may hold together */
} PredictionSettings;

typedef struct PredictionFile PredictionFile;

/* Opens or makes it; nothing is changed before the first append. path and settings are borrowed. */
limn_status prediction_file_open(PredictionFile **file, const char *path, const PredictionSettings *settings);

/* The next line that is there already, which must be about `item`; *done false: it is not yet. prediction's arrays
 * are the caller's, [n_choices]; a line about a record that was skipped says why, in the arena. A record that cannot be
 * used now has its `why` already, and keeps it. */
limn_status prediction_file_read(PredictionFile *file, const DataItem *item, Prediction *prediction, Arena *arena,
                                 bool *done);

/* Adds a line to what the next flush writes. */
limn_status prediction_file_add(PredictionFile *file, const DataItem *item, const Prediction *prediction);
limn_status prediction_file_flush(PredictionFile *file);

/* Refuses a file that holds more lines than the data has records; syncs; closes. */
limn_status prediction_file_finish(PredictionFile *file);
void prediction_file_close(PredictionFile *file); /* NULL is fine; a file that was made and holds nothing goes again */

#endif
