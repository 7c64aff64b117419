/* An edit file: a permanent change of one model, written once and in force wherever the model is opened with it.
 *
 *     {"format": "limn.edits/1",
 *      "model": {"name": "SmolLM2-135M", "hash": "64 hex digits"},
 *      "frame": "hf",
 *      "adapters": [{"name": "adapter", "hash": "...", "weight": 1}],     what it was made on; nobody insists on it
 *      "edits": ["blocks.12.hook_mlp_out=zero", "blocks.3.hook_resid_post=erase:d.safetensors:direction"],
 *      "files": [{"name": "d.safetensors", "hash": "..."}],               those that the edits read
 *      "note": "why"}
 *
 * Edits are written as for --set (edits.h) and act in their order, on every row of every prompt: so pos, a row of
 * values for each position and sites over keys are refused. A file that an edit reads is found from the edit file's
 * folder on and known by its hash. Unknown keys are refused: a change that nobody reads must not look as if it were in
 * force. */
#ifndef LIMN_EDIT_EDIT_FILE_H
#define LIMN_EDIT_EDIT_FILE_H

#include "base/parallel.h"
#include "edit/edits.h"
#include "model/model.h"

/* An adapter that the model had, or a file that an edit reads. */
typedef struct EditFilePart {
    const char *name;
    const char *hash; /* 64 hex digits */
    double weight;    /* of an adapter */
} EditFilePart;

typedef struct EditFile {
    const char *path;       /* as given */
    const char *model_name; /* what it was made for */
    const char *model_hash; /* 64 hex digits */
    Frame frame;
    const EditFilePart *adapters; /* [n_adapters] */
    int32_t n_adapters;
    Texts edits;               /* as written */
    const EditFilePart *files; /* [n_files] names as the edits write them */
    int32_t n_files;
    const char *note; /* "" when there is none */
    char hash[65];    /* of the file and of those that its edits read */
} EditFile;

/* Reads and checks what can be checked without the model, hashes of the other files included. Lives in the arena. */
limn_status edit_file_read(EditFile *file, const char *path, Team *team, Arena *arena);

/* Its edits, added to the plan behind those of files before it (edit_plan_bind_all makes of it what an engine keeps);
 * refuses a file made for another model or frame. The plan lives in the arena. */
limn_status edit_file_bind(EditPlan *plan, const EditFile *file, const Model *model, const char *model_hash,
                           Arena *arena);

/* Refuses edits that no file can hold: of one position, or of sites over keys. */
limn_status edit_file_check(const Graph *graph, const Texts *edits, Arena *arena);

/* Writes one for this model, whole or not at all. The edits' files are named from the current folder on, as on a
 * command line; in the file they are named from its folder on where they lie in it, else by their whole path. */
limn_status edit_file_write(const char *path, Model *model, const Texts *edits, const char *note, Team *team,
                            Arena *arena);

#endif
