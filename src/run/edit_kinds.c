/* Sums are in double, in one order, whatever the chunk and the thread. */
#include "run/edit_kinds.h"

#include <string.h>

enum { LANES = 4 };

static double dot(const float *a, const double *b, int64_t n) {
    double sum[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            sum[lane] += (double)a[i + lane] * b[i + lane];
        }
    }
    for (; i < n; i++) {
        sum[0] += (double)a[i] * b[i];
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void add_times(double *sum, double factor, const float *vector, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        sum[i] += factor * (double)vector[i];
    }
}

static float value_at(const EditPart *part, int64_t i) {
    return part->values == NULL ? 0.0F : part->edit->scalar ? part->values[0] : part->values[i];
}

static void edit_set(const EditPart *part) {
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] = value_at(part, i);
    }
}

static void edit_set_gradient(const EditPart *part) {
    memset(part->x, 0, sizeof(float) * (size_t)part->n);
}

static void edit_add(const EditPart *part) {
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] += value_at(part, i);
    }
}

static void edit_add_gradient(const EditPart *part) {
    (void)part;
}

static void edit_multiply(const EditPart *part) {
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] *= value_at(part, i);
    }
}

static void edit_multiply_gradient(const EditPart *part) {
    edit_multiply(part);
}

/* Both ends are exact, and whatever stands in a value that is wholly replaced does not show. */
static void edit_blend(const EditPart *part) {
    float amount = part->edit->amount;
    for (int64_t i = 0; i < part->n; i++) {
        float v = value_at(part, i);
        part->x[i] = amount == 1.0F ? v : amount == 0.0F ? part->x[i] : (1.0F - amount) * part->x[i] + amount * v;
    }
}

static void edit_blend_gradient(const EditPart *part) {
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] *= 1.0F - part->edit->amount;
    }
}

static void edit_steer(const EditPart *part) {
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] += part->edit->amount * value_at(part, i);
    }
}

static void edit_steer_gradient(const EditPart *part) {
    (void)part;
}

static void edit_affine(const EditPart *part) {
    double *x = part->scratch; /* [n] */
    for (int64_t i = 0; i < part->n; i++) {
        x[i] = (double)part->x[i];
    }
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] = (float)(dot(part->edit->map + i * part->n, x, part->n) + (double)value_at(part, i));
    }
}

static void edit_affine_gradient(const EditPart *part) {
    double *sum = part->scratch; /* [n] */
    memset(sum, 0, sizeof(double) * (size_t)part->n);
    for (int64_t i = 0; i < part->n; i++) {
        add_times(sum, (double)part->x[i], part->edit->map + i * part->n, part->n);
    }
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] = (float)sum[i];
    }
}

/* Element [i, k] of the left factor; without one it is the right factor transposed. */
static double left_at(const Edit *edit, int64_t n, int64_t i, int64_t k) {
    return (double)(edit->left == NULL ? edit->right[k * n + i] : edit->left[i * edit->rank + k]);
}

/* x - left right (x - v) */
static void edit_project(const EditPart *part) {
    const Edit *edit = part->edit;
    double *centered = part->scratch, *inner = centered + part->n; /* [n], [rank] */
    for (int64_t i = 0; i < part->n; i++) {
        centered[i] = (double)part->x[i] - (double)value_at(part, i);
    }
    for (int64_t k = 0; k < edit->rank; k++) {
        inner[k] = dot(edit->right + k * part->n, centered, part->n);
    }
    for (int64_t i = 0; i < part->n; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < edit->rank; k++) {
            sum += left_at(edit, part->n, i, k) * inner[k];
        }
        part->x[i] = (float)((double)part->x[i] - sum);
    }
}

/* g - right^T left^T g */
static void edit_project_gradient(const EditPart *part) {
    const Edit *edit = part->edit;
    double *sum = part->scratch; /* [n] */
    memset(sum, 0, sizeof(double) * (size_t)part->n);
    for (int64_t k = 0; k < edit->rank; k++) {
        double inner = 0.0;
        for (int64_t i = 0; i < part->n; i++) {
            inner += left_at(edit, part->n, i, k) * (double)part->x[i];
        }
        add_times(sum, inner, edit->right + k * part->n, part->n);
    }
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] = (float)((double)part->x[i] - sum[i]);
    }
}

static void edit_copy(const EditPart *part) {
    memcpy(part->x, part->source, sizeof(float) * (size_t)part->n);
}

static void edit_copy_gradient(const EditPart *part) {
    for (int64_t i = 0; i < part->n && part->source != NULL; i++) {
        part->source[i] += part->x[i];
    }
    edit_set_gradient(part);
}

static void edit_stop(const EditPart *part) {
    (void)part;
}

static void edit_stop_gradient(const EditPart *part) {
    for (int64_t i = 0; i < part->n; i++) {
        part->x[i] = part->edit->amount == 0.0F ? 0.0F : part->x[i] * part->edit->amount;
    }
}

const EditInfo *edit_info(EditKind kind) {
    static const EditInfo rows[] = {
#define EDIT(name, function, needs, help, gradient_help)                                                               \
    {edit_##function, edit_##function##_gradient, EDIT_NEEDS_##needs, help},
#include "run/edits.def"
#undef EDIT
    };
    return &rows[kind];
}

int64_t edit_scratch_width(const Edit *edit, int64_t n) {
    switch (edit_info(edit->kind)->needs) {
    case EDIT_NEEDS_MAP:
        return n;
    case EDIT_NEEDS_FACTORS:
        return n + edit->rank;
    default:
        return 0;
    }
}

int64_t edit_work(const Edit *edit, int64_t n) {
    switch (edit_info(edit->kind)->needs) {
    case EDIT_NEEDS_MAP:
        return n * n;
    case EDIT_NEEDS_FACTORS:
        return 2 * n * edit->rank;
    default:
        return n;
    }
}
