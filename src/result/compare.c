/* Two results side by side: the same bytes, or which parts differ and by how much.
 *
 * Works on the JSON of both, so that every part a document has is compared without being named here. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "result/json.h"

enum { PATH_MAX_BYTES = 512, SHOWN_MAX_BYTES = 120 };

typedef struct Walk {
    Comparison *comparison;
    Tolerance tolerance;
    char path[PATH_MAX_BYTES];
    bool environment; /* inside provenance */
    limn_status status;
} Walk;

static const char *shown(Walk *walk, const json_t *json) {
    if (json == NULL) {
        return "(absent)";
    }
    char number[NUMBER_TEXT_MAX];
    if (json_is_real(json)) {
        number_text(number, json_real_value(json));
        return arena_strdup(&walk->comparison->arena, number);
    }
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text == NULL) {
        return NULL;
    }
    size_t length = strlen(text);
    const char *copy = length <= SHOWN_MAX_BYTES ? arena_strndup(&walk->comparison->arena, text, length)
                                                 : arena_printf(&walk->comparison->arena, "%zu bytes of JSON", length);
    free(text);
    return copy;
}

static void differ(Walk *walk, const json_t *first, const json_t *second, double size, bool tolerated) {
    Comparison *comparison = walk->comparison;
    comparison->n_differences++;
    if (walk->environment) {
        comparison->same_environment = false;
    } else if (!tolerated) {
        comparison->within = false;
    }
    if (comparison->kept == COMPARISON_KEEPS) {
        return;
    }
    const char *path = arena_strdup(&comparison->arena, walk->path);
    const char *a = shown(walk, first), *b = shown(walk, second);
    if (path == NULL || a == NULL || b == NULL) {
        walk->status = fail(LIMN_NO_MEMORY, "no memory to list how two results differ");
        return;
    }
    comparison->differences[comparison->kept++] = (Difference){path, a, b, size, tolerated || walk->environment};
}

static double largest_number(const json_t *json) {
    double largest = 0;
    if (json_is_real(json)) {
        largest = fabs(json_real_value(json));
    } else if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++) {
            largest = fmax(largest, largest_number(json_array_get(json, i)));
        }
    }
    return largest;
}

static double score_of(const json_t *item) {
    const json_t *score = json_object_get(item, "score");
    return json_is_real(score) ? fabs(json_real_value(score)) : 0;
}

/* Small numbers of an array are judged against its largest: a token of no influence is noise in both. */
static double array_scale(const json_t *first, const json_t *second) {
    double scale = fmax(largest_number(first), largest_number(second));
    for (size_t i = 0; i < json_array_size(first); i++) {
        scale = fmax(scale, score_of(json_array_get(first, i)));
    }
    for (size_t i = 0; i < json_array_size(second); i++) {
        scale = fmax(scale, score_of(json_array_get(second, i)));
    }
    return scale;
}

static void walk_value(Walk *walk, const json_t *first, const json_t *second, double scale);

static void compare_numbers(Walk *walk, const json_t *first, const json_t *second, double scale) {
    double a = json_number_value(first), b = json_number_value(second);
    if (a == b) {
        return;
    }
    double whole = fmax(scale, fmax(fabs(a), fabs(b)));
    double size = fabs(a - b) / whole;
    bool real = json_is_real(first) && json_is_real(second);
    bool tolerated = real && (size <= walk->tolerance.relative || fabs(a - b) <= walk->tolerance.absolute);
    if (!walk->environment && size > walk->comparison->largest) {
        walk->comparison->largest = size;
        const char *path = arena_strdup(&walk->comparison->arena, walk->path);
        walk->comparison->largest_path = path;
    }
    differ(walk, first, second, size, tolerated);
}

static void walk_step(Walk *walk, const json_t *first, const json_t *second, double scale, const char *format,
                      const char *key, size_t index) {
    size_t length = strlen(walk->path);
    char step[PATH_MAX_BYTES];
    int n = key != NULL ? snprintf(step, sizeof step, format, length == 0 ? "" : ".", key)
                        : snprintf(step, sizeof step, "[%zu]", index);
    if (n > 0 && length + (size_t)n < sizeof walk->path) {
        memcpy(walk->path + length, step, (size_t)n + 1);
    }
    walk_value(walk, first, second, scale);
    walk->path[length] = '\0';
}

static void compare_objects(Walk *walk, const json_t *first, const json_t *second, double scale) {
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)first, key, item) {
        walk_step(walk, item, json_object_get(second, key), scale, "%s%s", key, 0);
    }
    json_object_foreach((json_t *)second, key, item) {
        if (json_object_get(first, key) == NULL) {
            walk_step(walk, NULL, item, scale, "%s%s", key, 0);
        }
    }
}

static void compare_arrays(Walk *walk, const json_t *first, const json_t *second) {
    size_t n = json_array_size(first), m = json_array_size(second);
    double scale = array_scale(first, second);
    for (size_t i = 0; i < n || i < m; i++) {
        walk_step(walk, i < n ? json_array_get(first, i) : NULL, i < m ? json_array_get(second, i) : NULL, scale, NULL,
                  NULL, i);
    }
}

static void walk_value(Walk *walk, const json_t *first, const json_t *second, double scale) {
    bool outside = walk->environment;
    if (strcmp(walk->path, "provenance") == 0) {
        walk->environment = true;
    } else if (strcmp(walk->path, "provenance.adapters") == 0 || strcmp(walk->path, "provenance.edits") == 0) {
        walk->environment = false; /* another adapter, another edit is another model */
    }
    if (json_is_object(first) && json_is_object(second)) {
        compare_objects(walk, first, second, scale);
    } else if (json_is_array(first) && json_is_array(second)) {
        compare_arrays(walk, first, second);
    } else if (json_is_number(first) && json_is_number(second)) {
        compare_numbers(walk, first, second, scale);
    } else if (!json_equal(first, second)) {
        differ(walk, first, second, (double)NAN, false);
    }
    walk->environment = outside;
}

static limn_status parse_again(json_t **json, const TextBuffer *text) {
    json_error_t error;
    *json = json_loadb(text->data, text->length, JSON_ALLOW_NUL, &error);
    return *json != NULL ? LIMN_OK : fail(LIMN_INTERNAL, "a result that does not read back: %s", error.text);
}

static limn_status compare_texts(Comparison *comparison, const TextBuffer *first, const TextBuffer *second,
                                 Tolerance tolerance) {
    comparison->same_bytes = first->length == second->length && memcmp(first->data, second->data, first->length) == 0;
    comparison->same_environment = true;
    comparison->within = true;
    if (comparison->same_bytes) {
        return LIMN_OK;
    }
    comparison->differences = ARENA_ARRAY(&comparison->arena, Difference, COMPARISON_KEEPS);
    Walk *walk = calloc(1, sizeof *walk);
    if (comparison->differences == NULL || walk == NULL) {
        free(walk);
        return fail(LIMN_NO_MEMORY, "no memory to compare two results");
    }
    json_t *a = NULL, *b = NULL;
    limn_status status = parse_again(&a, first);
    if (status == LIMN_OK) {
        status = parse_again(&b, second);
    }
    if (status == LIMN_OK) {
        *walk = (Walk){.comparison = comparison, .tolerance = tolerance};
        walk_value(walk, a, b, 0);
        status = walk->status;
    }
    json_decref(a);
    json_decref(b);
    free(walk);
    return status;
}

limn_status result_compare(Comparison *comparison, const Result *first, const Result *second, Tolerance tolerance) {
    *comparison = (Comparison){0};
    arena_init(&comparison->arena);
    TextBuffer a = TEXT_BUFFER_INIT, b = TEXT_BUFFER_INIT;
    limn_status status = result_write_json(&a, first, false);
    if (status == LIMN_OK) {
        status = result_write_json(&b, second, false);
    }
    if (status == LIMN_OK) {
        status = compare_texts(comparison, &a, &b, tolerance);
    }
    text_buffer_free(&a);
    text_buffer_free(&b);
    if (status != LIMN_OK) {
        comparison_free(comparison);
    }
    return status;
}

void comparison_free(Comparison *comparison) {
    arena_free(&comparison->arena);
    *comparison = (Comparison){0};
}
