/* Regular expressions as tokenizer files state them (Oniguruma's Ruby syntax), run by PCRE2 with UTF and UCP. */
#ifndef LIMN_TEXT_REGEX_H
#define LIMN_TEXT_REGEX_H

#include <stddef.h>

#include "base/error.h"

typedef struct Regex Regex; /* read-only once compiled: any number of threads, each with a RegexRun */
typedef struct RegexRun RegexRun;

/* `where` (file and component) begins the message when the pattern cannot be compiled. */
limn_status regex_compile(Regex **regex, const char *where, const char *pattern, size_t length);
/* The text itself as a pattern. */
limn_status regex_compile_literal(Regex **regex, const char *where, const char *text, size_t length);
void regex_free(Regex *regex);

/* Finds one match after another in one text (valid UTF-8, borrowed): regex_run_begin, then regex_run_next until
 * *found is 0. An empty match directly after another match is passed over. */
limn_status regex_run_new(RegexRun **run);
void regex_run_free(RegexRun *run);
void regex_run_begin(RegexRun *run, const Regex *regex, const char *text, size_t length);
limn_status regex_run_next(RegexRun *run, int *found, size_t *begin, size_t *end);

#endif
