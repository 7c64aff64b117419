/* Calling methods from tests. */
#ifndef LIMN_TESTS_METHOD_CALLS_H
#define LIMN_TESTS_METHOD_CALLS_H

#include "call/call.h"

extern const Registry test_registry; /* every method, no renderer: what needs one is tested above */

/* Runs a method in a context of its own; params as JSON text (printf style). *result is the caller's on LIMN_OK. */
limn_status call_method(Result **result, const char *command, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first that the result lacks of these columns ("categories.shift", ...; NULL ends them), or NULL. Of what an audit
 * reads by name, since its own tests read invented tables. */
const char *missing_column(const Result *result, const char *const *columns);

/* "<source>/tests/golden/<name>" in a buffer of this file. */
const char *golden_folder(const char *name);

/* A copy of the golden model llama-old with a byte-level BPE tokenizer of its own: single letters and "bc" (merged
 * from b and c), in a new folder. folder: [64]. */
void make_letters_model(char *folder);
/* The same with SentencePiece's way of spaces: "a" to "z" are 1 to 26, with the space before them 27 to 52; a text gets
 * a space at its beginning that is not shown. */
void make_spaces_model(char *folder);
/* make_letters_model's with bytes of two Chinese characters from 28 on: E4, B8, AD (that is 中), E5, BD, F0, 9F. */
void make_bytes_model(char *folder);
/* The golden model gpt2-classifier with the first of its outputs alone: a number, which is that class's logit. */
void make_number_model(char *folder);
void remove_letters_model(const char *folder);

#endif
