/* References of tests/golden/attention (made by tests/oracle/attention), by case: a folder of tests/golden, or a real
 * model that is fetched by scripts/models. */
#ifndef LIMN_TESTS_METHOD_REFERENCES_H
#define LIMN_TESTS_METHOD_REFERENCES_H

#include <jansson.h>

#include "call/call.h"

json_t *read_reference(const char *file); /* "rollout.json" */

/* The folder or file of a case; NULL, after saying so, where a real model is absent. */
const char *reference_model(const char *name, char path[1024]);

/* Model, ids and the target (or class) of a reference's entry: ids, at, target. */
json_t *reference_question(const char *name, const char *model, const json_t *entry);

/* Parameters, for a test to write short: ' stands for ", % for the folder. */
json_t *json_of(const char *folder, const char *text);

/* A method on a model, params taken. Fails the test when it fails. */
Result *call_json(const char *method, json_t *params);
/* The same that must be refused, with this in its line. */
void refuse_json(const char *method, json_t *params, limn_status status, const char *message);

/* Largest |value - reference| over the largest |reference|; null stands for none. NAN differs from numbers. */
double matrix_error(const MatrixBlock *matrix, const json_t *reference);
/* The matrix with this id; fails the test when there is none. */
const MatrixBlock *matrix_of(const Result *result, const char *id);
/* A parameter that is a number, by its name; NaN: there is none. */
double param_of(const Result *result, const char *name);
const TableBlock *table_of(const Result *result, const char *id);
const TokensBlock *tokens_of(const Result *result, const char *id);

void open_models(void);
void close_models(void);

#endif
