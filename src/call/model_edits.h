/* The edit files that a call's model is opened with (--edit): read, checked against the model and bound, once for each
 * context, as engines borrow them longer than a call lasts. */
#ifndef LIMN_CALL_MODEL_EDITS_H
#define LIMN_CALL_MODEL_EDITS_H

#include "call/method.h"
#include "edit/edit_file.h"

/* In force in the order of the files. */
typedef struct ModelEdits {
    const Model *model;
    const char *key; /* the files with their hashes */
    EditFile *files; /* [n_files] */
    int32_t n_files;
    EditPlan plan;
    Edit *edits; /* [n_edits] as EngineOptions.edits */
    int32_t n_edits;
    Arena arena;
} ModelEdits;

typedef struct ModelEditsCache {
    ModelEdits **items; /* [n] */
    size_t n;
} ModelEditsCache;

/* *edits is the cache's; NULL where the call names no file. */
limn_status model_edits_open(const ModelEdits **edits, ModelEditsCache *cache, MethodCall *call, Model *model);
void model_edits_free(ModelEditsCache *cache);

/* What the result says of them: provenance, and a warning where a file was made on other adapters. */
limn_status model_edits_describe(ResultProvenance *provenance, Result *result, MethodCall *call);

#endif
