/* What a tensor of a file means to an edit.
 *
 * Of a site with rows [H, K] it may be a whole row ([H, K], or flat [H K]) or, where the edit names a head or an
 * element, that part of one ([K], [H], one number). Either stands alone, for all positions, or behind a dimension
 * of positions; dimensions of 1 in front (a batch) mean nothing. Scores and patterns are [H, T, S], as run saves them.
 * The number of elements decides nothing: 4 heads of 9 positions are not 12 rows of 3 heads. Where a shape can still
 * be read in two ways ([8, 8] for a head of 8 elements: 8 positions of the head, or 8 heads of one row), a row for
 * each position is what is meant if the number of positions fits. */
#include "edit/edit_values.h"

#include <math.h>
#include <string.h>

#include "base/text_buffer.h"
#include "files/tensor_files.h"

enum { READINGS_MAX = 12 };

/* One way to read a tensor: the dimensions that one row has in it. */
typedef struct Reading {
    int n_dims;
    int64_t dims[2];
    bool whole;       /* a row of the site, not only what the edit changes of it */
    bool heads_first; /* positions stand between the two dimensions: [H, T, S] */
    bool single;      /* never with positions */
    bool spare;       /* another spelling of a reading before it, not worth a word in a message */
    int64_t keys;     /* S, of sites over keys */
} Reading;

typedef struct Readings {
    Reading items[READINGS_MAX]; /* [n] the likelier first */
    int n;
} Readings;

bool edit_has_heads(const RowShape *shape) {
    return shape->n_dims == 2;
}

bool edit_over_keys(const RowShape *shape) {
    return shape->n_dims == 2 && shape->dims[1] == DIM_KEYS;
}

/* ---- ways to read ---- */

static void add_whole(Readings *readings, const RowShape *shape, int64_t keys) {
    Reading reading = {.n_dims = shape->n_dims, .dims = {shape->dims[0], shape->dims[1]}, .whole = true, .keys = keys};
    if (edit_over_keys(shape)) {
        reading.dims[1] = keys;
        reading.heads_first = true;
        readings->items[readings->n++] = reading;
        reading.heads_first = false;
        reading.single = reading.spare = true;
        readings->items[readings->n++] = reading;
        return;
    }
    readings->items[readings->n++] = reading;
    if (edit_has_heads(shape)) {
        readings->items[readings->n++] =
            (Reading){.n_dims = 1, .dims = {shape->dims[0] * shape->dims[1]}, .whole = true, .spare = true};
    }
}

/* The part that the edit changes: without its head, without its element, and with a 1 where they were. */
static void add_part(Readings *readings, const SiteEdit *edit, int64_t keys) {
    bool heads = edit_has_heads(edit->shape);
    bool one_head = !heads || edit->head != EDIT_ALL;
    bool one_element = edit->neuron != EDIT_ALL;
    int64_t width = keys > 0 ? keys : edit->shape->dims[edit->shape->n_dims - 1];
    Reading full = {.n_dims = edit->shape->n_dims, .spare = true, .keys = keys};
    Reading bare = {.keys = keys};
    if (heads) {
        full.dims[0] = one_head ? 1 : edit->shape->dims[0];
    }
    full.dims[full.n_dims - 1] = one_element ? 1 : width;
    if (!one_head) {
        bare.dims[bare.n_dims++] = edit->shape->dims[0];
    }
    if (!one_element) {
        bare.dims[bare.n_dims++] = width;
    }
    readings->items[readings->n++] = bare;
    if (bare.n_dims == 0 && heads) {
        readings->items[readings->n++] = (Reading){.n_dims = 1, .dims = {1}, .spare = true, .keys = keys};
    }
    readings->items[readings->n++] = full;
}

static void list_readings(Readings *readings, const SiteEdit *edit, EditRows rows) {
    readings->n = 0;
    bool part = edit->head != EDIT_ALL || edit->neuron != EDIT_ALL;
    bool keys = edit_over_keys(edit->shape);
    bool both = keys && rows.run != rows.prompt;
    for (int i = 0; i < (both ? 2 : 1); i++) {
        int32_t n_keys = i == 0 ? rows.prompt : rows.run;
        add_whole(readings, edit->shape, keys ? n_keys : 0);
    }
    for (int i = 0; i < (both ? 2 : 1) && part; i++) {
        int32_t n_keys = i == 0 ? rows.prompt : rows.run;
        add_part(readings, edit, keys ? n_keys : 0);
    }
}

/* Whether the tensor can be read so, and the number of rows it then has. */
static bool readable(int64_t *n_rows, const Tensor *tensor, const Reading *reading) {
    int front = tensor->rank - reading->n_dims;
    *n_rows = 1;
    if (reading->heads_first) {
        front--;
        if (front < 0 || tensor->shape[front] != reading->dims[0] || tensor->shape[front + 2] != reading->dims[1]) {
            return false;
        }
        *n_rows = tensor->shape[front + 1];
    } else {
        for (int i = 0; i < reading->n_dims; i++) {
            if (front < 0 || tensor->shape[front + i] != reading->dims[i]) {
                return false;
            }
        }
        if (front > 0 && !reading->single) {
            *n_rows = tensor->shape[--front];
        }
    }
    for (int i = 0; i < front; i++) {
        if (tensor->shape[i] != 1) {
            return false;
        }
    }
    return true;
}

/* Is that one row for each position: of the prompt, of the run, or of those the edit is about? */
static bool fits_positions(const SiteEdit *edit, int64_t n, EditRows rows) {
    int64_t to = n + edit->row_begin;
    bool open = edit->row_end == INT32_MAX;
    return n == rows.prompt || n == rows.run || (open ? to == rows.prompt || to == rows.run : to == edit->row_end);
}

static const Reading *choose(int64_t *n_rows, const Readings *readings, const SiteEdit *edit, const Tensor *tensor,
                             bool mean, EditRows rows) {
    for (int i = 0; i < readings->n; i++) {
        if (readable(n_rows, tensor, &readings->items[i]) && *n_rows > 1 && fits_positions(edit, *n_rows, rows)) {
            return &readings->items[i];
        }
    }
    for (int i = 0; i < readings->n; i++) {
        if (readable(n_rows, tensor, &readings->items[i]) && (*n_rows == 1 || mean)) {
            return &readings->items[i];
        }
    }
    return NULL;
}

/* ---- what else was expected ---- */

static void say_shape(TextBuffer *text, const Reading *reading, bool positions) {
    const char *before = "";
    text_buffer_printf(text, "[");
    if (positions && !reading->heads_first) {
        text_buffer_printf(text, "T");
        before = ", ";
    }
    for (int i = 0; i < reading->n_dims; i++) {
        text_buffer_printf(text, "%s%lld%s", before, (long long)reading->dims[i],
                           positions && reading->heads_first && i == 0 ? ", T" : "");
        before = ", ";
    }
    text_buffer_printf(text, "%s]", reading->n_dims == 0 && !positions ? "1" : "");
}

static limn_status misfit(const EditSpec *spec, const SiteEdit *edit, const Readings *readings, const Tensor *tensor,
                          EditRows rows) {
    TextBuffer text = TEXT_BUFFER_INIT;
    char shape[96];
    for (int i = 0; i < readings->n; i++) {
        if (readings->items[i].spare) {
            continue;
        }
        text_buffer_printf(&text, "%s", i > 0 ? ", or " : "");
        say_shape(&text, &readings->items[i], false);
        text_buffer_printf(&text, " or ");
        say_shape(&text, &readings->items[i], true);
    }
    if (spec->kind == EDIT_VALUE_MEAN) {
        text_buffer_printf(&text, " with any number T of positions");
    } else {
        int32_t end = edit->row_end == INT32_MAX ? rows.prompt : edit->row_end;
        int32_t own = end - edit->row_begin;
        text_buffer_printf(&text, " with T = ");
        if (own > 1 && own < rows.prompt) {
            text_buffer_printf(&text, "%d or ", (int)own);
        }
        text_buffer_printf(&text, "%d", (int)rows.prompt);
        if (rows.run != rows.prompt) {
            text_buffer_printf(&text, " or %d", (int)rows.run);
        }
        text_buffer_printf(&text, " positions");
    }
    limn_status status = fail(LIMN_USAGE, "edit '%s': tensor %s has shape %s; expected %s", spec->text, tensor->name,
                              tensor_shape_text(tensor, shape), text.data != NULL ? text.data : "another");
    text_buffer_free(&text);
    return status;
}

/* ---- values ---- */

/* in [H, T, S] -> out [T, H, S] */
static void swap_heads(float *out, const float *in, int64_t heads, int64_t rows, int64_t keys) {
    for (int64_t h = 0; h < heads; h++) {
        for (int64_t t = 0; t < rows; t++) {
            memcpy(out + (t * heads + h) * keys, in + (h * rows + t) * keys, (size_t)keys * sizeof *out);
        }
    }
}

static void mean_over_rows(float *out, const float *in, int64_t rows, int64_t width) {
    for (int64_t i = 0; i < width; i++) {
        double sum = 0;
        for (int64_t t = 0; t < rows; t++) {
            sum += (double)in[t * width + i];
        }
        out[i] = (float)(sum / (double)rows);
    }
}

/* Which of the values' rows are for the edit's positions; the edit ends where they do. */
static void place_rows(SiteEdit *edit, const float *values, int64_t n, EditRows rows) {
    edit->values = values;
    edit->n_value_rows = 1;
    if (n == 1) {
        return;
    }
    if (n == rows.prompt || n == rows.run) {
        edit->values += edit->row_begin * edit->value_width;
        edit->row_end = edit->row_end < n ? edit->row_end : (int32_t)n;
    } else {
        edit->row_end = edit->row_begin + (int32_t)n;
    }
    edit->n_value_rows = edit->row_end - edit->row_begin;
}

static limn_status fit_values(SiteEdit *edit, const EditSpec *spec, const Tensor *tensor, float *values, EditRows rows,
                              Arena *arena) {
    Readings readings;
    int64_t n;
    bool mean = spec->kind == EDIT_VALUE_MEAN;
    list_readings(&readings, edit, rows);
    const Reading *reading = choose(&n, &readings, edit, tensor, mean, rows);
    if (reading == NULL) {
        return misfit(spec, edit, &readings, tensor, rows);
    }
    int64_t width = 1;
    for (int i = 0; i < reading->n_dims; i++) {
        width *= reading->dims[i];
    }
    if (reading->heads_first && n > 1) {
        float *swapped = arena_alloc(arena, (size_t)(n * width) * sizeof *swapped);
        if (swapped == NULL) {
            return fail(LIMN_NO_MEMORY, "edit '%s': no memory for %s", spec->text, tensor->name);
        }
        swap_heads(swapped, values, reading->dims[0], n, reading->dims[1]);
        values = swapped;
    }
    if (mean) {
        mean_over_rows(values, values, n, width); /* row 0 is read before it is written */
        n = 1;
    }
    edit->whole_row = reading->whole;
    edit->value_width = width;
    edit->value_keys = reading->keys;
    place_rows(edit, values, n, rows);
    if (reading->keys > 0 && edit->row_end > reading->keys) { /* later rows have more keys than the values */
        edit->row_end = (int32_t)reading->keys;
    }
    return LIMN_OK;
}

limn_status edit_read_values(SiteEdit *edit, const EditSpec *spec, EditRows rows, Arena *arena) {
    TensorFiles *files;
    TRY(tensor_files_open(&files, spec->file));
    limn_status status = LIMN_OK;
    const Tensor *tensor = tensor_files_find(files, spec->tensor);
    if (tensor == NULL) {
        status = fail(LIMN_NOT_FOUND, "edit '%s': %s has no tensor '%s'", spec->text, spec->file, spec->tensor);
        goto done;
    }
    int64_t elements = tensor_elements(tensor);
    if (elements < 1) {
        status = fail(LIMN_USAGE, "edit '%s': tensor '%s' is empty", spec->text, spec->tensor);
        goto done;
    }
    float *values = arena_alloc(arena, (size_t)elements * sizeof *values);
    if (values == NULL) {
        status = fail(LIMN_NO_MEMORY, "edit '%s': no memory for %s", spec->text, spec->tensor);
        goto done;
    }
    status = tensor_read_f32(values, tensor, 0, elements);
    for (int64_t i = 0; status == LIMN_OK && i < elements; i++) {
        if (isnan(values[i])) {
            status = fail(LIMN_USAGE, "edit '%s': tensor '%s' holds NaN at element %lld", spec->text, spec->tensor,
                          (long long)i);
        }
    }
    if (status == LIMN_OK) {
        status = fit_values(edit, spec, tensor, values, rows, arena);
    }
done:
    tensor_files_close(files);
    return status;
}
