#include "model/bake.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "model/files.h"

enum { COPIED_FILE_CAP = 1 << 30 };

/* A stored tensor with its values changed. */
typedef struct Baked {
    const Tensor *tensor;
    float *values;    /* [elements] in the order they are stored */
    uint16_t *narrow; /* the same in its own dtype, once all changes are made; NULL: they stay f32 */
    struct Baked *next;
} Baked;

typedef struct Baking {
    const Model *model; /* with adapters */
    const Model *base;  /* without them: the same when it has none */
    Baked *baked;
    Arena *arena;
} Baking;

static limn_status no_memory(const Baking *baking) {
    return fail(LIMN_NO_MEMORY, "%s: no memory to bake it", baking->model->path);
}

limn_status model_bake_check(const Model *model, const char *folder) {
    struct stat there;
    if (model->files->tensors == NULL) {
        return fail(LIMN_USAGE,
                    "%s is a GGUF file, whose weights cannot be written again; expected a Hugging Face folder "
                    "(an edit file changes any model)",
                    model->path);
    }
    if (model->frame != FRAME_HF) {
        return fail(LIMN_USAGE, "%s: opened in the frame of TransformerLens, expected --frame hf to bake it",
                    model->path);
    }
    if (lstat(folder, &there) == 0) {
        return fail(LIMN_USAGE, "%s exists already, expected the name of a new folder", folder);
    }
    return LIMN_OK;
}

/* ---- values ---- */

static limn_status find_baked(Baked **found, Baking *baking, const Tensor *tensor) {
    for (Baked *one = baking->baked; one != NULL; one = one->next) {
        if (one->tensor == tensor) {
            *found = one;
            return LIMN_OK;
        }
    }
    Baked *made = ARENA_NEW(baking->arena, Baked);
    int64_t n = tensor_elements(tensor);
    if (made == NULL || (made->values = malloc(((size_t)n + 1) * sizeof *made->values)) == NULL) {
        return no_memory(baking);
    }
    made->tensor = tensor;
    made->next = baking->baked;
    baking->baked = made;
    *found = made;
    return tensor_read_f32(made->values, tensor, 0, n);
}

/* A view's values in the tensor they come from. */
typedef struct View {
    const Weight *weight;
    WeightPlace place;
    Baked *baked;
} View;

static limn_status open_view(View *view, Baking *baking, const Weight *weight) {
    view->weight = weight;
    if (!weights_locate(&view->place, baking->base->files->weights, weight)) {
        return fail(LIMN_UNSUPPORTED, "%s: %s is put together from several tensors; it cannot be baked",
                    baking->model->path, weight->name);
    }
    return find_baked(&view->baked, baking, view->place.tensor);
}

static float *at(const View *view, int64_t row, int64_t column) {
    const WeightPlace *place = &view->place;
    int64_t module_row = weight_place_row(place, place->first_row + row);
    int64_t columns = place->tensor->rank == 1 ? 1 : place->columns;
    return view->baked->values +
           (place->transposed ? column * place->rows + module_row : module_row * columns + column);
}

static int64_t inputs_of(const View *view) {
    return view->place.tensor->rank == 1 ? 1 : view->weight->columns;
}

/* ---- changes ---- */

static void scale(const View *view, const BakeChange *change) {
    int64_t rows = view->weight->rows, columns = inputs_of(view);
    bool inputs = change->kind == BAKE_INPUTS;
    int64_t end = change->end < (inputs ? columns : rows) ? change->end : (inputs ? columns : rows);
    for (int64_t i = change->begin; i < end; i++) {
        for (int64_t k = 0; k < (inputs ? rows : columns); k++) {
            float *value = inputs ? at(view, k, i) : at(view, i, k);
            double was = (double)*value + (change->plus_one ? 1 : 0);
            *value = (float)(was * (double)change->factor - (change->plus_one ? 1 : 0));
        }
    }
}

/* y - left (right y) of each column. */
static limn_status project(const Baking *baking, const View *view, const BakeChange *change) {
    int64_t rows = view->weight->rows, columns = inputs_of(view);
    double *parts = malloc(((size_t)change->rank + 1) * sizeof *parts);
    if (parts == NULL) {
        return no_memory(baking);
    }
    for (int64_t c = 0; c < columns; c++) {
        for (int32_t k = 0; k < change->rank; k++) {
            parts[k] = 0;
            for (int64_t r = 0; r < rows; r++) {
                parts[k] += (double)change->right[k * rows + r] * (double)*at(view, r, c);
            }
        }
        for (int64_t r = 0; r < rows; r++) {
            double less = 0;
            for (int32_t k = 0; k < change->rank; k++) {
                float left = change->left != NULL ? change->left[r * change->rank + k] : change->right[k * rows + r];
                less += (double)left * parts[k];
            }
            *at(view, r, c) = (float)((double)*at(view, r, c) - less);
        }
    }
    free(parts);
    return LIMN_OK;
}

static limn_status apply_change(Baking *baking, const BakeChange *change) {
    View view;
    TRY(open_view(&view, baking, change->weight));
    if (change->kind == BAKE_PROJECT) {
        return project(baking, &view, change);
    }
    scale(&view, change);
    return LIMN_OK;
}

/* y += b (a x), then y *= gain; or another tensor in the weight's place. */
static limn_status merge(Baking *baking, const WeightChange *change) {
    View view;
    const Op *op = &baking->model->graph.nodes[change->node].op;
    if (op_is_table(op->kind)) {
        return fail(LIMN_UNSUPPORTED, "%s: its adapter changes the table %s; merge it with PEFT before baking",
                    baking->model->path, change->before.name);
    }
    TRY(open_view(&view, baking, &change->before));
    int64_t rows = change->before.rows, columns = inputs_of(&view), rank = change->b.columns;
    for (int64_t r = 0; r < rows; r++) {
        double gain = change->gain != NULL ? (double)change->gain[r] : 1.0;
        for (int64_t c = 0; c < columns; c++) {
            double value = (double)*at(&view, r, c);
            if (change->after.name != NULL) {
                value = (double)weight_value(&change->after, r, c);
            }
            for (int64_t k = 0; change->after.name == NULL && k < rank; k++) {
                value += (double)weight_value(&change->b, r, k) * (double)weight_value(&change->a, k, c);
            }
            *at(&view, r, c) = (float)(gain * value);
        }
    }
    return LIMN_OK;
}

/* ---- the folder ---- */

/* Its own dtype where that holds every value exactly. */
static limn_status narrow(const Baking *baking, Baked *baked) {
    DType dtype = baked->tensor->dtype;
    int64_t n = tensor_elements(baked->tensor);
    if (dtype != DTYPE_BF16 && dtype != DTYPE_F16) {
        return LIMN_OK;
    }
    baked->narrow = malloc(((size_t)n + 1) * sizeof *baked->narrow);
    if (baked->narrow == NULL) {
        return no_memory(baking);
    }
    for (int64_t i = 0; i < n; i++) {
        float value = baked->values[i];
        baked->narrow[i] = dtype == DTYPE_BF16 ? f32_to_bf16(value) : f32_to_f16(value);
        float back = dtype == DTYPE_BF16 ? bf16_to_f32(baked->narrow[i]) : f16_to_f32(baked->narrow[i]);
        if (back != value) {
            free(baked->narrow);
            baked->narrow = NULL;
            return LIMN_OK;
        }
    }
    return LIMN_OK;
}

static limn_status write_tensors(Baking *baking, const char *folder) {
    const TensorFiles *files = baking->base->files->tensors;
    int32_t n = tensor_files_count(files);
    Tensor *tensors = ARENA_ARRAY(baking->arena, Tensor, n + 1);
    char *path = path_join(folder, "model.safetensors");
    if (tensors == NULL || path == NULL) {
        free(path);
        return no_memory(baking);
    }
    for (int32_t i = 0; i < n; i++) {
        const Tensor *stored = tensor_files_at(files, i);
        tensors[i] = *stored;
        for (Baked *one = baking->baked; one != NULL; one = one->next) {
            if (one->tensor == stored) {
                tensors[i].data = one->narrow != NULL ? (const void *)one->narrow : one->values;
                tensors[i].dtype = one->narrow != NULL ? stored->dtype : DTYPE_F32;
                tensors[i].bytes =
                    (size_t)tensor_elements(stored) * (one->narrow != NULL ? sizeof(uint16_t) : sizeof(float));
            }
        }
    }
    const TensorMetadata metadata[] = {{"format", "pt"}};
    limn_status status = safetensors_write(path, tensors, n, metadata, 1);
    free(path);
    return status;
}

/* Settings, tokenizer, templates; not weights in any form. */
static bool is_copied(const char *name) {
    static const char *const endings[] = {".json", ".txt", ".model", ".jinja", ".tiktoken"};
    size_t length = strlen(name);
    bool wanted = false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(endings[i]);
        wanted = wanted || (length > n && strcmp(name + length - n, endings[i]) == 0);
    }
    return wanted && strstr(name, ".safetensors.index.json") == NULL && strstr(name, ".bin.index.json") == NULL;
}

static limn_status copy_file(const char *from, const char *to, const char *name) {
    char *source = path_join(from, name), *target = path_join(to, name), *bytes = NULL;
    size_t length;
    limn_status status = source != NULL && target != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s: no memory", name);
    status = status == LIMN_OK ? file_read(&bytes, &length, source, COPIED_FILE_CAP) : status;
    status = status == LIMN_OK ? file_write_atomic(target, bytes, length) : status;
    free(bytes);
    free(source);
    free(target);
    return status;
}

static limn_status copy_rest(const Baking *baking, const char *folder) {
    DIR *listing = opendir(baking->model->path);
    if (listing == NULL) {
        return fail(LIMN_IO, "%s: its folder cannot be read", baking->model->path);
    }
    limn_status status = LIMN_OK;
    for (const struct dirent *entry; status == LIMN_OK && (entry = readdir(listing)) != NULL;) {
        status = is_copied(entry->d_name) ? copy_file(baking->model->path, folder, entry->d_name) : LIMN_OK;
    }
    closedir(listing);
    return status;
}

static void remove_folder(const char *folder) {
    DIR *listing = opendir(folder);
    for (const struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        char *path = path_join(folder, entry->d_name);
        if (path != NULL && entry->d_name[0] != '.') {
            unlink(path);
        }
        free(path);
    }
    if (listing != NULL) {
        closedir(listing);
    }
    rmdir(folder);
}

/* Under another name until it is whole. */
static limn_status write_folder(Baking *baking, const char *folder) {
    char *partial = arena_printf(baking->arena, "%s.partial-%d", folder, (int)getpid());
    if (partial == NULL) {
        return no_memory(baking);
    }
    if (mkdir(partial, 0777) != 0) {
        return fail(LIMN_IO, "%s: the folder cannot be made", partial);
    }
    limn_status status = copy_rest(baking, partial);
    status = status == LIMN_OK ? write_tensors(baking, partial) : status;
    if (status == LIMN_OK && rename(partial, folder) != 0) {
        status = fail(LIMN_IO, "%s: the folder cannot be renamed from %s", folder, partial);
    }
    if (status != LIMN_OK) {
        ErrorState error;
        error_save(&error);
        remove_folder(partial);
        return error_restore(&error);
    }
    return LIMN_OK;
}

static limn_status bake(Baking *baking, const char *folder, const BakeChange *changes, int32_t n, Team *team) {
    for (int32_t i = 0; i < baking->model->n_changes; i++) {
        TRY(team_tick(team, "bake", i, baking->model->n_changes + n));
        TRY(merge(baking, &baking->model->changes[i]));
    }
    for (int32_t i = 0; i < n; i++) {
        TRY(apply_change(baking, &changes[i]));
    }
    for (Baked *one = baking->baked; one != NULL; one = one->next) {
        TRY(narrow(baking, one));
    }
    return write_folder(baking, folder);
}

limn_status model_bake(Model *model, const char *folder, const BakeChange *changes, int32_t n, Team *team) {
    Arena arena;
    TRY(model_bake_check(model, folder));
    arena_init(&arena);
    Baking baking = {.model = model, .base = model->base != NULL ? model->base : model, .arena = &arena};
    limn_status status = bake(&baking, folder, changes, n, team);
    for (Baked *one = baking.baked; one != NULL; one = one->next) {
        free(one->values);
        free(one->narrow);
    }
    arena_free(&arena);
    return status;
}
