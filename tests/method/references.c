#include "method/references.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "call/open.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static ModelCache *models;

void open_models(void) {
    assert_int_equal(model_cache_new(&models), LIMN_OK);
}

void close_models(void) {
    model_cache_free(models);
    models = NULL;
}

json_t *read_reference(const char *file) {
    char path[1024];
    json_error_t error;
    snprintf(path, sizeof path, LIMN_TEST_SOURCE_DIR "/tests/golden/attention/%s", file);
    json_t *document = json_load_file(path, 0, &error);
    if (document == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return document;
}

/* Where scripts/models puts it, unless the environment says otherwise. */
static const char *cached_model(const char *name, const char *variable, const char *file, char path[1024]) {
    const char *given = getenv(variable), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (given != NULL) {
        snprintf(path, 1024, "%s", given);
    } else if (cache != NULL && cache[0] != '\0') {
        snprintf(path, 1024, "%s/limn/models/%s", cache, file);
    } else {
        snprintf(path, 1024, "%s/.cache/limn/models/%s", home == NULL ? "" : home, file);
    }
    FILE *found = fopen(path, "rb");
    if (found == NULL) {
        print_message("%s is absent (scripts/models %s fetches it): skipped\n", path, name);
        return NULL;
    }
    fclose(found);
    return path;
}

const char *reference_model(const char *name, char path[1024]) {
    if (strcmp(name, "smollm2") == 0) {
        return cached_model(name, "LIMN_TEST_SMOLLM2", "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", path);
    }
    if (strcmp(name, "minilm") == 0) {
        return cached_model(name, "LIMN_TEST_MINILM", "minilm", path);
    }
    snprintf(path, 1024, LIMN_TEST_SOURCE_DIR "/tests/golden/%s", name);
    return path;
}

json_t *json_of(const char *folder, const char *text) {
    TextBuffer json = TEXT_BUFFER_INIT;
    text_buffer_add(&json, "{");
    for (const char *c = text; *c != '\0'; c++) {
        text_buffer_printf(&json, *c == '%' ? "%s" : "%.1s", *c == '%' ? folder : *c == '\'' ? "\"" : c);
    }
    text_buffer_add(&json, "}");
    json_error_t error;
    json_t *params = json_loads(json.data, 0, &error);
    if (params == NULL) {
        fail_msg("%s: %s", json.data, error.text);
    }
    text_buffer_free(&json);
    return params;
}

Result *call_json(const char *method, json_t *params) {
    CallListeners none = {0};
    Result *result;
    limn_status status = method_call(&result, &test_registry, models, method, params, &none);
    if (status != LIMN_OK) {
        char *text = json_dumps(params, 0);
        fail_msg("%s %s: %s", method, text, error_message());
    }
    json_decref(params);
    return result;
}

void refuse_json(const char *method, json_t *params, limn_status status, const char *message) {
    CallListeners none = {0};
    Result *result;
    limn_status found = method_call(&result, &test_registry, models, method, params, &none);
    if (found != status || strstr(error_message(), message) == NULL) {
        fail_msg("%s: expected '%s', found '%s'", method, message, found == LIMN_OK ? "an answer" : error_message());
    }
    json_decref(params);
}

static const void *block_of(const Result *result, const char *id, BlockKind kind) {
    const Block *block = result_find_block(result, id);
    if (block == NULL || block->kind != kind) {
        fail_msg("the result has no %s '%s'", block_kind_name(kind), id);
        return NULL;
    }
    return block->content;
}

const MatrixBlock *matrix_of(const Result *result, const char *id) {
    return block_of(result, id, BLOCK_MATRIX);
}

const TableBlock *table_of(const Result *result, const char *id) {
    return block_of(result, id, BLOCK_TABLE);
}

const TokensBlock *tokens_of(const Result *result, const char *id) {
    return block_of(result, id, BLOCK_TOKENS);
}

double matrix_error(const MatrixBlock *matrix, const json_t *reference) {
    double largest = 0.0, scale = 0.0;
    assert_int_equal(matrix->n_rows, (int)json_array_size(reference));
    for (int32_t i = 0; i < matrix->n_rows; i++) {
        const json_t *row = json_array_get(reference, (size_t)i);
        assert_int_equal(matrix->n_columns, (int)json_array_size(row));
        for (int32_t j = 0; j < matrix->n_columns; j++) {
            const json_t *cell = json_array_get(row, (size_t)j);
            double found = matrix->values[i * matrix->n_columns + j];
            double expected = json_is_number(cell) ? json_number_value(cell) : (double)NAN;
            if (isnan(found) && isnan(expected)) {
                continue;
            }
            double difference = fabs(found - expected);
            largest = isnan(difference) ? INFINITY : fmax(largest, difference);
            scale = isnan(expected) ? scale : fmax(scale, fabs(expected));
        }
    }
    return largest / scale;
}

json_t *reference_question(const char *name, const char *model, const json_t *entry) {
    json_t *params = json_pack("{s:s, s:O}", "model", model, "ids", json_object_get(entry, "ids"));
    int target = (int)json_integer_value(json_object_get(entry, "target"));
    char text[32];
    if (strstr(name, "classifier") != NULL) {
        snprintf(text, sizeof text, "%d", target);
        json_object_set_new(params, "class", json_string(text));
        return params;
    }
    if (strstr(name, "bert") != NULL) {
        snprintf(text, sizeof text, "%d", (int)json_integer_value(json_object_get(entry, "at")));
        json_object_set_new(params, "at", json_string(text));
    }
    json_object_set_new(params, "target-id", json_integer(target));
    return params;
}

double param_of(const Result *result, const char *name) {
    for (size_t i = 0; i < result->params.count; i++) {
        if (strcmp(result->params.items[i].name, name) == 0) {
            const Value *value = &result->params.items[i].value;
            return value->kind == VALUE_INTEGER ? (double)value->integer : value->number;
        }
    }
    return (double)NAN;
}
