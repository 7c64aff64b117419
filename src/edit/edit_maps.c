/* affine:FILE:NAME   NAME [n, n]; or NAME.map [n, n] and, where it is there, NAME.offset [n]
 * erase:FILE:NAME    NAME [n] or [k, n], directions whose span is taken out; or the factors of x - left right (x -
 * mean): NAME.right [k, n], NAME.left [n, k] and, where it is there, NAME.mean [n]
 *
 * Directions are made orthonormal (modified Gram-Schmidt, twice, in double), so that what is erased is their span
 * whatever their lengths and angles; one that lies in the span of those before it adds nothing. */
#include "edit/edit_maps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "edit/edit_values.h"
#include "files/tensor_files.h"

/* One file while it is read. */
typedef struct Reader {
    SiteEdit *edit;
    const EditSpec *spec;
    TensorFiles *files;
    Arena *arena;
    int64_t n; /* the width of the maps */
} Reader;

/* NAME with an ending; NULL: the file has none. */
static const Tensor *find(const Reader *reader, const char *ending) {
    char name[256];
    int length = snprintf(name, sizeof name, "%s%s", reader->spec->tensor, ending);
    return length < (int)sizeof name ? tensor_files_find(reader->files, name) : NULL;
}

static limn_status misfit(const Reader *reader, const Tensor *tensor, const char *expected) {
    char shape[96];
    return fail(LIMN_USAGE, "edit '%s': tensor %s has shape %s; expected %s for %s", reader->spec->text, tensor->name,
                tensor_shape_text(tensor, shape), expected, reader->edit->site);
}

/* The values of a tensor of that shape; columns 0: a vector. */
static limn_status read(const Reader *reader, const Tensor *tensor, int64_t rows, int64_t columns,
                        const float **values) {
    char expected[64];
    bool vector = columns == 0;
    snprintf(expected, sizeof expected, vector ? "[%lld]" : "[%lld, %lld]", (long long)rows, (long long)columns);
    bool fits = vector ? tensor->rank == 1 && tensor->shape[0] == rows
                       : tensor->rank == 2 && tensor->shape[0] == rows && tensor->shape[1] == columns;
    if (!fits) {
        return misfit(reader, tensor, expected);
    }
    int64_t count = tensor_elements(tensor);
    float *read = arena_alloc(reader->arena, (size_t)count * sizeof *read);
    if (read == NULL) {
        return fail(LIMN_NO_MEMORY, "edit '%s': no memory for %s", reader->spec->text, tensor->name);
    }
    TRY(tensor_read_f32(read, tensor, 0, count));
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(read[i])) {
            return fail(LIMN_USAGE, "edit '%s': tensor '%s' holds %g at element %lld, expected finite numbers",
                        reader->spec->text, tensor->name, (double)read[i], (long long)i);
        }
    }
    *values = read;
    return LIMN_OK;
}

static limn_status read_vector(const Reader *reader, const char *ending) {
    const Tensor *tensor = find(reader, ending);
    return tensor == NULL ? LIMN_OK : read(reader, tensor, reader->n, 0, &reader->edit->values);
}

/* n: the last dimension, a row's width or a head's. */
static limn_status find_width(Reader *reader, const Tensor *tensor) {
    SiteEdit *edit = reader->edit;
    const RowShape *shape = edit->shape;
    if (edit_over_keys(shape) || edit->neuron != EDIT_ALL) {
        return fail(LIMN_USAGE, "edit '%s': a map takes rows or heads of %s, not single elements or keys",
                    reader->spec->text, edit->site);
    }
    int64_t row = row_shape_width(shape, 0), head = shape->dims[shape->n_dims - 1];
    int64_t last = tensor->rank < 1 ? 0 : tensor->shape[tensor->rank - 1];
    bool one_head = edit->head != EDIT_ALL;
    if (tensor->rank > 2 || (last != head && (last != row || one_head))) {
        char expected[96];
        snprintf(expected, sizeof expected, row == head || one_head ? "rows of %lld" : "rows of %lld or %lld",
                 (long long)head, (long long)row);
        return misfit(reader, tensor, expected);
    }
    reader->n = last;
    edit->map_per_head = last != row && !one_head;
    return LIMN_OK;
}

static limn_status read_affine(Reader *reader) {
    const Tensor *plain = find(reader, ""), *map = plain != NULL ? plain : find(reader, ".map");
    if (map == NULL) {
        return fail(LIMN_NOT_FOUND, "edit '%s': %s has no tensor '%s' or '%s.map'", reader->spec->text,
                    reader->spec->file, reader->spec->tensor, reader->spec->tensor);
    }
    TRY(find_width(reader, map));
    TRY(read(reader, map, reader->n, reader->n, &reader->edit->map));
    return plain != NULL ? LIMN_OK : read_vector(reader, ".offset");
}

/* Takes out of v its parts along the rows of the basis; twice, as the first time leaves rounding behind. */
static void clear_span(double *v, const double *basis, int32_t rank, int64_t n) {
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t k = 0; k < rank; k++) {
            double part = 0.0;
            for (int64_t i = 0; i < n; i++) {
                part += v[i] * basis[k * n + i];
            }
            for (int64_t i = 0; i < n; i++) {
                v[i] -= part * basis[k * n + i];
            }
        }
    }
}

static double length_of(const double *v, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += v[i] * v[i];
    }
    return sqrt(sum);
}

/* directions [k, n] -> edit->right [rank, n], orthonormal */
static limn_status span_of(const Reader *reader, const float *directions, int64_t k) {
    SiteEdit *edit = reader->edit;
    int64_t n = reader->n;
    double *basis = ARENA_ARRAY(reader->arena, double, k *n);
    float *right = ARENA_ARRAY(reader->arena, float, k *n);
    if (basis == NULL || right == NULL) {
        return fail(LIMN_NO_MEMORY, "edit '%s': no memory for %lld directions", reader->spec->text, (long long)k);
    }
    for (int64_t row = 0; row < k; row++) {
        double *v = basis + edit->rank * n;
        for (int64_t i = 0; i < n; i++) {
            v[i] = (double)directions[row * n + i];
        }
        double before = length_of(v, n);
        clear_span(v, basis, edit->rank, n);
        double after = length_of(v, n);
        if (after <= 1e-6 * before) {
            continue; /* 0, or within the span of those before */
        }
        for (int64_t i = 0; i < n; i++) {
            v[i] /= after;
            right[edit->rank * n + i] = (float)v[i];
        }
        edit->rank++;
    }
    edit->right = right;
    return edit->rank > 0
               ? LIMN_OK
               : fail(LIMN_USAGE, "edit '%s': the directions %s are all 0", reader->spec->text, reader->spec->tensor);
}

static limn_status read_eraser(Reader *reader) {
    SiteEdit *edit = reader->edit;
    const Tensor *directions = find(reader, ""), *right = find(reader, ".right"), *left = find(reader, ".left");
    if (directions != NULL) {
        const float *values;
        TRY(find_width(reader, directions));
        int64_t k = directions->rank == 1 ? 1 : directions->shape[0];
        TRY(read(reader, directions, directions->rank == 1 ? reader->n : k, directions->rank == 1 ? 0 : reader->n,
                 &values));
        return span_of(reader, values, k);
    }
    if (right == NULL || left == NULL || right->rank != 2 || right->shape[0] < 1 || right->shape[0] > INT32_MAX) {
        return fail(LIMN_NOT_FOUND, "edit '%s': %s has no tensor '%s', nor '%s.left' [n, k] and '%s.right' [k, n]",
                    reader->spec->text, reader->spec->file, reader->spec->tensor, reader->spec->tensor,
                    reader->spec->tensor);
    }
    TRY(find_width(reader, right));
    edit->rank = (int32_t)right->shape[0];
    TRY(read(reader, right, edit->rank, reader->n, &edit->right));
    TRY(read(reader, left, reader->n, edit->rank, &edit->left));
    return read_vector(reader, ".mean");
}

limn_status edit_read_map(SiteEdit *edit, const EditSpec *spec, Arena *arena) {
    Reader reader = {.edit = edit, .spec = spec, .arena = arena};
    TRY(tensor_files_open(&reader.files, spec->file));
    limn_status status = spec->change == EDIT_AFFINE ? read_affine(&reader) : read_eraser(&reader);
    tensor_files_close(reader.files);
    return status;
}
