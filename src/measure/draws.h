/* What takes a word's place: distinct whole words of its kind, drawn from the first of these that has any for it:
 *
 *   file    lines of --replacements FILE: nothing else is asked then
 *   data    words of the same field of a data set, as often as they stand there
 *   model   the base model's proposals, its adapters off: drawn by how likely they are given the left, then by how well
 *           the text goes on behind them; never by the answer (skipped without a word head)
 *   lists   shipped lists (ask/word_lists.def), of the word's own category where it is known; for figures and codes,
 *           others made of as many digits and letters
 *
 * Never: the word itself in another case or with another ending, the target, the contrast, special or unknown tokens,
 * line breaks, halves of characters. Draws are without replacement and depend on the seed and the unit alone.
 *
 * A unit larger than a word has each of its words exchanged; lines of a file and values of a field take its place
 * whole. */
#ifndef LIMN_MEASURE_DRAWS_H
#define LIMN_MEASURE_DRAWS_H

#include "ask/word_lists.h"
#include "measure/proposals.h"

typedef enum DrawSource { DRAW_FILE, DRAW_DATA, DRAW_MODEL, DRAW_LISTS, DRAW_SOURCES } DrawSource;
const char *draw_source_name(DrawSource source);

typedef struct Draw {
    Text text;
    double fit; /* log-likelihood under the base model, left and right; NaN: not asked */
    Rewritten made;
} Draw;

typedef struct DrawList {
    Draw *items; /* [n] in the order drawn */
    int32_t n;
    DrawSource source;
    bool exhausted; /* there are no more */
} DrawList;

/* Texts a person or a data set gives, each once. */
typedef struct DrawTexts {
    Text *items;   /* [n] */
    double *count; /* [n] how often it stands there */
    int32_t n;
    const char *name; /* of the file */
} DrawTexts;

typedef struct DrawsAsked {
    const DrawTexts *file; /* NULL: none was given */
    const DrawTexts *data; /* [n_data] words of a field each, or with larger units its values; NULL: none */
    const TextSpan *spans; /* [n_data] where those fields stand in the prompt; NULL: one for all of it */
    int32_t n_data;
    Engine *base; /* the base model with its adapters off; NULL: it cannot propose */
    const Target *target;
    const Target *contrast; /* NULL or kind TARGET_NONE: none */
    const WordLists *lists; /* opened once for many prompts; NULL: they are opened for this one */
} DrawsAsked;

typedef struct Draws Draws;

/* words: as units_of_words makes them; units: those that are exchanged (may be the same). All are borrowed. */
limn_status draws_new(Draws **draws, const Rewriter *rewriter, const Units *words, const DrawsAsked *asked);
void draws_free(Draws *draws); /* NULL is fine */

/* Draws for each of the units until it has k, or all there are. What was drawn before stays and stands first. */
limn_status draws_take(Draws *draws, const int32_t *units, int32_t n_units, int32_t k);
const DrawList *draws_of(const Draws *draws, int32_t unit);

/* Lines of a file, without white space around them; empty ones passed over. */
limn_status draw_texts_of_file(DrawTexts *texts, MethodCall *call, const char *path);
/* Adds a text, or counts it where it is there. */
typedef struct DrawTextsBuilder DrawTextsBuilder;
limn_status draw_texts_builder_new(DrawTextsBuilder **builder, MethodCall *call);
limn_status draw_texts_add(DrawTextsBuilder *builder, Text text, bool words);
void draw_texts_finish(DrawTexts *texts, DrawTextsBuilder *builder, const char *name); /* frees the builder */

#endif
