/* The yardstick of explanations: what happens to the answer when a part of the prompt is exchanged for others that fit.
 *
 *     effect(u) = F(prompt) - mean over draws of F(prompt with unit u exchanged)
 *
 * F is the lead of the answer (answer.h), the draws are those of draws.h. All units are screened with few draws; the
 * leading ones get many, of which the first few are those of the screening. An interval is Student's over the draws, at
 * a level that holds for all units tried together (Bonferroni over every unit that was screened), so choosing which
 * units get many draws costs it nothing. It says how the mean would vary over other draws of the same kind; it does not
 * cover draws of another kind.
 *
 * How it lies: where a word matters only together with another, each alone shows little (see pairs); where nothing that
 * fits means something else, draws say the same again and the effect is small; a text that no longer makes sense may
 * move the answer by that alone. */
#ifndef LIMN_MEASURE_YARDSTICK_H
#define LIMN_MEASURE_YARDSTICK_H

#include "measure/answer.h"
#include "measure/draw_data.h"
#include "statistics/statistics.h"

#define YARDSTICK_FLOOR      0.05
#define YARDSTICK_FLOOR_TEXT "0.05"

enum { YARDSTICK_SCREEN = 2, YARDSTICK_LEADING = 5, YARDSTICK_DRAWS = 32, EXCHANGES_MAX = 8 };

typedef struct YardstickAsked {
    Engine *base; /* whose model proposes words; NULL: that of the engine, its adapters off */
    UnitKind by;
    ParamTexts fixed;
    Text replacements;      /* a file; absent: none */
    const DrawData *data;   /* NULL: none */
    const TextSpan *fields; /* [n_fields] without data: the rest of the prompt is its template's and stays */
    int32_t n_fields;
    const TextSpan *documents; /* [n_documents] of a chat */
    int32_t n_documents;
    int32_t screen, leading, draws; /* 0: the usual numbers */
    double floor;                   /* see yardstick_counts; usually YARDSTICK_FLOOR */
} YardstickAsked;

/* What one version of the prompt answers. */
typedef struct Answered {
    double lead;
    double probability; /* of the target */
    bool decided;       /* for the target */
    int32_t best;       /* see AnswerValue */
} Answered;

typedef struct Effect {
    double effect, low, high; /* NaN: not measured, or with too few draws for an interval */
    double p;                 /* of "no effect", corrected for the units tried */
    double mean_probability;  /* of the target, over draws; and its interval, corrected likewise */
    double low_probability, high_probability;
    int32_t n;                /* draws */
    int32_t fell;             /* those with a smaller lead than the prompt itself */
    const Answered *answered; /* [n] in the order of the draws */
} Effect;

typedef struct Yardstick Yardstick;

/* Prompt, target, contrast and words are borrowed. LIMN_USAGE: no unit may be exchanged. */
limn_status yardstick_new(Yardstick **yardstick, MethodCall *call, Engine *engine, const Prompt *prompt,
                          const Target *target, const Target *contrast, const TokenRuns *words,
                          const YardstickAsked *asked);
void yardstick_free(Yardstick *yardstick); /* NULL is fine */

/* All units with few draws. LIMN_USAGE: for none of them there is anything to draw. */
limn_status yardstick_screen(Yardstick *yardstick);
/* Many draws for these units. Without a screening before, they are all that was tried: chosen by other evidence. */
limn_status yardstick_confirm(Yardstick *yardstick, const int32_t *units, int32_t n);
/* At least k draws for these units, unanswered: for exchanges of several at once. */
limn_status yardstick_draw(Yardstick *yardstick, const int32_t *units, int32_t n, int32_t k);
/* The leading units by their effects so far: by size, at most two of those that speak against the target. *n at most
 * `leading`. units: [leading]. */
void yardstick_leading(const Yardstick *yardstick, int32_t *units, int32_t *n);
/* Screening, and many draws for the leading units and for `also`, -1: none. */
limn_status yardstick_run(Yardstick *yardstick, int32_t also);

/* Versions with several units exchanged at once. texts of exchanges that cannot stand as whole words: *good[i] false.
 */
typedef struct Exchanges {
    Exchange items[EXCHANGES_MAX]; /* [n] in the order of units */
    int32_t n;
} Exchanges;
limn_status yardstick_exchange(Yardstick *yardstick, const Exchanges *exchanges, int32_t n, Answered *answered,
                               bool *good, const char *stage);
/* The same with any number at once. */
typedef struct ExchangeList {
    const Exchange *items; /* [n] in the order of units */
    int32_t n;
} ExchangeList;
limn_status yardstick_exchange_many(Yardstick *yardstick, const ExchangeList *lists, int32_t n, Answered *answered,
                                    bool *good, const char *stage);
/* The prompt's tokens with these exchanged. *n 0: they cannot stand there. In the call's arena. */
limn_status yardstick_version(Yardstick *yardstick, const Exchanges *exchanges, const int32_t **ids, int32_t *n);
/* The strongest unit's last version in a pass of its own, nothing shared: how far its lead is off. NaN: the answer is
 * no plain continuation. */
limn_status yardstick_plain_error(Yardstick *yardstick, double *error);
/* The check of that, once for each result; an error that is NaN was not measured. */
void yardstick_check_plain(Result *result, const MethodCall *call, double error);

const Units *yardstick_units(const Yardstick *yardstick);
const Effect *yardstick_effect(const Yardstick *yardstick, int32_t unit);
const DrawList *yardstick_draws(const Yardstick *yardstick, int32_t unit);
Answered yardstick_clean(const Yardstick *yardstick);
int32_t yardstick_tried(const Yardstick *yardstick); /* units with an effect */
Text yardstick_text(const Yardstick *yardstick, int32_t unit);
/* Is the unit's effect told from 0 at the corrected level? */
bool effect_is_clear(const Effect *effect);
/* Is it clear, and large enough to be spoken of? Exchanging the unit must move the answer by the floor: its probability
 * (of several tokens the geometric mean of theirs), or its share of the two against a contrast. What makes an unlikely
 * answer a little less likely still is no cause of anything that was said. Only an answer that is given and so sure
 * that no unit moves it that far rests on whatever clearly lowers its lead. */
bool yardstick_counts(const Yardstick *yardstick, int32_t unit);

#endif
