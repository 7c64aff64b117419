/* The tensors of a model as weights a graph can hold.
 *
 * A weight is used where it lies in the mapped file when its dtype and alignment allow; else it gets a place in
 * memory at once and is filled later, by weights_convert, when all requests are known and the memory they need has
 * been compared with what there is. Requests check names and shapes; every failure names file and tensor. */
#ifndef LIMN_MODEL_WEIGHTS_H
#define LIMN_MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/parallel.h"
#include "files/gguf.h"
#include "files/tensor_files.h"
#include "graph/graph.h"

typedef struct WeightStore WeightStore;

typedef struct WeightOptions {
    bool bf16;           /* matrices become bf16 */
    size_t memory_limit; /* bytes for copies; 0: what the machine has free */
} WeightOptions;

typedef enum WeightUse {
    USE_MATRIX, /* an operand of matrix products: f32, or bf16 when stored or asked for so */
    USE_TABLE,  /* rows are looked up: f32 or bf16 as stored */
    USE_VECTOR, /* a gain or bias: always f32 */
    USE_STACK   /* matrices of one shape in one tensor of rank 3: weights_get_stack */
} WeightUse;

/* One of files and gguf; both are borrowed. path names the model in messages. */
limn_status weights_new(WeightStore **store, const char *path, const TensorFiles *files, const Gguf *gguf,
                        const WeightOptions *options);
void weights_free(WeightStore *store);

bool weights_has(const WeightStore *store, const char *name);

/* The tensor `name` of shape [rows, columns] ([rows] for USE_VECTOR, whose columns is 1). Asking twice for one
 * name gives the same memory. Its values are there after weights_convert. */
limn_status weights_get(Weight *weight, WeightStore *store, WeightUse use, int64_t rows, int64_t columns,
                        const char *name);

/* The same for a query or key projection of a GGUF file, where the rows of each head are stored in pairs
 * (0, K/2, 1, K/2 + 1 ...): they are put back in the order of Hugging Face. */
limn_status weights_get_paired(Weight *weight, WeightStore *store, WeightUse use, int64_t rows, int64_t columns,
                               int64_t d_head, const char *name);

/* The tensor `name` of shape [n, rows, columns] as a matrix [n rows, columns]: weight_rows gives each. */
limn_status weights_get_stack(Weight *weight, WeightStore *store, int64_t n, int64_t rows, int64_t columns,
                              const char *name);

/* The same for a fused projection [groups (share + 2) d_head, columns] stored group by group: `share` query heads, a
 * key head, a value head (GPT-NeoX: share 1; Falcon). The weight has all query rows, then all key rows, then all
 * value rows. One group is in that order already and stays where it lies. */
limn_status weights_get_fused(Weight *weight, WeightStore *store, WeightUse use, int64_t groups, int64_t share,
                              int64_t d_head, int64_t columns, const char *name);

/* Tensors whose names end so are known not to matter: no warning about them. `suffix` is a constant. */
limn_status weights_ignore(WeightStore *store, const char *suffix);
/* The same for names that begin so. */
limn_status weights_ignore_prefix(WeightStore *store, const char *prefix);

/* True when both are in the file with the same shape and bytes. */
bool weights_same(const WeightStore *store, const char *one, const char *other);

/* Fills the copies in parallel and looks through every requested tensor for NaN and infinity. */
limn_status weights_convert(WeightStore *store, Team *team);

/* A vector or matrix of the model's own, f32, zeroed, [rows, columns]; freed with the store. */
limn_status weights_make(Weight *weight, float **values, WeightStore *store, int64_t rows, int64_t columns,
                         const char *name);

/* Where a view lies in the tensor it was cut from, as the module that owns the tensor sees it. */
typedef struct WeightPlace {
    const Tensor *tensor;
    bool transposed;               /* stored [in, out] */
    int64_t rows;                  /* outputs of the whole module */
    int64_t columns;               /* its inputs */
    int64_t groups, share, d_head; /* groups of queries, keys and values, put in another order; groups 0: as stored */
    int64_t first_row;             /* of the view among them */
} WeightPlace;

/* Which output of the module stands in a row of its (put in order) weight. */
int64_t weight_place_row(const WeightPlace *place, int64_t row);

/* False when the weight's values are no longer those of a stored tensor (folded, made). */
bool weights_locate(WeightPlace *place, const WeightStore *store, const Weight *view);

/* Names of tensors that nobody asked for and nobody ignores: `visit` for each. */
limn_status weights_visit_leftovers(const WeightStore *store, limn_status (*visit)(void *context, const Tensor *tensor),
                                    void *context);

int64_t weights_parameters(const WeightStore *store);   /* elements of the requested tensors, each counted once */
int64_t weights_stored_bytes(const WeightStore *store); /* their bytes in the file */
int64_t weights_copied_bytes(const WeightStore *store); /* memory of those that had to be converted */
DType weights_main_dtype(const WeightStore *store);     /* the dtype with most bytes among them */

/* Views. rows [begin, begin + n) of a weight; its transpose. */
Weight weight_rows(const Weight *weight, int64_t begin, int64_t n);
Weight weight_transposed(const Weight *weight);
float weight_value(const Weight *weight, int64_t row, int64_t column);

#endif
