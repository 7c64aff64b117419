/* Small inputs that failed once, each with the right answers beside it: ${LIMN_SHARED}/data/cases/NAME/case.json.
 *
 * A check has the arguments of the program, from the case's folder ({tmp}: a scratch folder), and what is expected:
 * ids, tensors (of golden.safetensors), classes, records (the first members of a prediction), refused (one of several
 * words in the one line of the refusal), any_of several of these. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "files/safetensors.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char shared[2048], scratch[64];
static int n_checks;

static json_t *array_of(const json_t *object, const char *key) {
    json_t *found = json_object_get(object, key);
    assert_true(json_is_array(found));
    return found;
}

static void add_quoted(char *line, size_t size, const char *word) {
    size_t n = strlen(line);
    for (n += (size_t)snprintf(line + n, size - n, " '"); *word != '\0'; word++) {
        n += (size_t)snprintf(line + n, size - n, *word == '\'' ? "'\\''" : "%c", *word);
    }
    snprintf(line + n, size - n, "'");
}

/* What the program writes, as JSON (NULL: nothing), its complaints in `said`; its exit code. */
static int run_program(json_t **out, char *said, size_t size, const char *folder, const json_t *args, bool values) {
    char line[8192], word[2048];
    size_t i;
    json_t *one;
    snprintf(line, sizeof line, "rm -f '%s'/*; cd '%s' && '%s'", scratch, folder, getenv("LIMN"));
    json_array_foreach(args, i, one) {
        const char *text = json_string_value(one), *place = strstr(text, "{tmp}");
        snprintf(word, sizeof word, "%.*s%s%s", place != NULL ? (int)(place - text) : (int)strlen(text), text,
                 place != NULL ? scratch : "", place != NULL ? place + strlen("{tmp}") : "");
        add_quoted(line, sizeof line, word);
    }
    size_t n = strlen(line);
    snprintf(line + n, sizeof line - n, " --json%s%s%s >'%s/stdout.json' 2>'%s/stderr'", values ? " --values '" : "",
             values ? scratch : "", values ? "/values.safetensors'" : "", scratch, scratch);
    int code = system(line); /* NOLINT(cert-env33-c): the shell changes the folder for the program */
    snprintf(word, sizeof word, "%s/stdout.json", scratch);
    *out = json_load_file(word, 0, NULL);
    snprintf(word, sizeof word, "%s/stderr", scratch);
    FILE *file = fopen(word, "r");
    assert_non_null(file);
    said[fread(said, 1, size - 1, file)] = '\0';
    fclose(file);
    return code;
}

static const json_t *block(const json_t *result, const char *id) {
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(result, "blocks"), i, one) {
        if (strcmp(json_string_value(json_object_get(one, "id")), id) == 0) {
            return one;
        }
    }
    return NULL;
}

/* ---- what is expected ---- */

static bool ids_are(const json_t *result, const json_t *expected) {
    json_t *tokens = json_object_get(json_object_get(result, "input"), "tokens");
    bool same = json_array_size(tokens) == json_array_size(expected);
    for (size_t i = 0; same && i < json_array_size(expected); i++) {
        same = json_equal(json_object_get(json_array_get(tokens, i), "id"), json_array_get(expected, i)) != 0;
    }
    return same;
}

static bool classes_are(const json_t *result, const json_t *expected) {
    const char *name;
    json_t *wanted;
    const json_t *rows = json_object_get(block(result, "top"), "rows");
    json_object_foreach((json_t *)expected, name, wanted) {
        bool found = false;
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            found = found || (strcmp(json_string_value(json_array_get(row, 0)), name) == 0 &&
                              fabs(json_number_value(json_array_get(row, 2)) - json_number_value(wanted)) < 1e-5);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool value_is(const json_t *found, const json_t *expected) {
    const char *key;
    json_t *value;
    if (json_is_object(expected)) {
        json_object_foreach((json_t *)expected, key, value) {
            if (!value_is(json_object_get(found, key), value)) {
                return false;
            }
        }
        return true;
    }
    return json_is_number(expected) ? fabs(json_number_value(found) - json_number_value(expected)) < 1e-5
                                    : json_equal(found, expected) != 0;
}

static bool records_are(const json_t *expected) {
    char path[128];
    snprintf(path, sizeof path, "%s/out.jsonl", scratch);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    bool same = true;
    for (size_t i = 0; i < json_array_size(expected); i++) {
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        same = same && value_is(line, json_array_get(expected, i));
        json_decref(line);
    }
    json_t *more = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL); /* as many records, no more */
    same = same && more == NULL;
    json_decref(more);
    fclose(file);
    return same;
}

static const Tensor *find_tensor(const Tensor *tensors, int32_t n, const char *name) {
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(tensors[i].name, name) == 0) {
            return &tensors[i];
        }
    }
    return NULL;
}

static bool alike(const Tensor *a, const Tensor *b) {
    bool same = a != NULL && b != NULL && a->bytes == b->bytes;
    for (size_t i = 0; same && i < a->bytes / sizeof(float); i++) {
        float x = ((const float *)a->data)[i], y = ((const float *)b->data)[i];
        same = fabsf(x - y) <= 1e-4F * (1.0F + fabsf(y));
    }
    return same;
}

static bool tensors_are(const char *folder, const json_t *expected) {
    char path[3072];
    const char *name;
    json_t *wanted;
    FileMap *maps[2];
    Tensor *tensors[2];
    int32_t n[2];
    Arena arena;
    arena_init(&arena);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s.safetensors", i == 0 ? scratch : folder, i == 0 ? "values" : "golden");
        if (file_map_open(&maps[i], path) != LIMN_OK) {
            return false;
        }
        assert_int_equal(safetensors_read(&tensors[i], &n[i], &arena, maps[i]), LIMN_OK);
    }
    bool same = true;
    json_object_foreach((json_t *)expected, name, wanted) {
        const Tensor *golden = find_tensor(tensors[1], n[1], json_string_value(wanted));
        const Tensor *found = find_tensor(tensors[0], n[0], name);
        assert_non_null(golden);
        same = same && alike(found, golden);
        for (int32_t i = 0; i < n[1]; i++) { /* another case's numbers are told from these */
            assert_true(&tensors[1][i] == golden || tensors[1][i].bytes != golden->bytes ||
                        !alike(found, &tensors[1][i]));
        }
    }
    file_map_close(maps[0]);
    file_map_close(maps[1]);
    arena_free(&arena);
    return same;
}

/* One of the words between the |. */
static bool says_one(const char *said, const char *words) {
    char copy[512];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *rest = copy, *word; (word = strsep(&rest, "|")) != NULL;) {
        if (strstr(said, word) != NULL) {
            return true;
        }
    }
    return false;
}

static bool holds(const json_t *expected, const char *folder, const json_t *result, int code, const char *said) {
    size_t i;
    const char *key;
    json_t *value;
    json_array_foreach(json_object_get(expected, "any_of"), i, value) {
        if (holds(value, folder, result, code, said)) {
            return true;
        }
    }
    bool good = json_object_get(expected, "any_of") == NULL;
    json_object_foreach((json_t *)expected, key, value) {
        if (strcmp(key, "refused") == 0) {
            good = good && code != 0 && result == NULL && says_one(said, json_string_value(value));
            continue;
        }
        good = good && result != NULL &&
               (strcmp(key, "ids") == 0       ? ids_are(result, value)
                : strcmp(key, "classes") == 0 ? classes_are(result, value)
                : strcmp(key, "records") == 0 ? records_are(value)
                                              : strcmp(key, "tensors") == 0 && tensors_are(folder, value));
    }
    return good;
}

/* ---- cases ---- */

static const char *const names[] = {
    "added-tokens-decoder",  "added-tokens-json", "big-integers",           "lora-tied-embedding-layers-saved",
    "qwen2-moe-window-zero", "several-labels",    "spm-text-after-special", "tokenizer-config-settings"};

static void right_answers(void **state) {
    (void)state;
    int failures = 0;
    for (size_t c = 0; c < sizeof names / sizeof names[0]; c++) {
        char folder[2560], path[2600], said[4096];
        snprintf(folder, sizeof folder, "%s/%s", shared, names[c]);
        snprintf(path, sizeof path, "%s/case.json", folder);
        json_t *file = json_load_file(path, 0, NULL);
        if (file == NULL) {
            print_message("skipped: %s is not here\n", path);
            continue;
        }
        size_t i;
        json_t *check;
        json_array_foreach(array_of(file, "checks"), i, check) {
            json_t *result;
            const json_t *expected = json_object_get(check, "expect");
            bool values = json_object_get(expected, "tensors") != NULL;
            int code = run_program(&result, said, sizeof said, folder, array_of(check, "args"), values);
            if (!holds(expected, folder, result, code, said)) {
                print_error("%s, check %zu: not what is right; exit status %d, said: %s\n", names[c], i, code, said);
                failures++;
            }
            /* another check's answer is not taken for this one's */
            const json_t *other = json_array_get(json_object_get(file, "checks"), i == 0 ? 1 : 0);
            const json_t *ids = json_object_get(json_object_get(other, "expect"), "ids");
            if (ids != NULL && !json_equal(ids, json_object_get(expected, "ids"))) {
                assert_false(ids_are(result, ids));
            }
            n_checks++;
            json_decref(result);
        }
        json_decref(file);
    }
    assert_int_equal(failures, 0);
}

int main(void) {
    const char *root = getenv("LIMN_SHARED"), *source = getenv("SOURCE");
    snprintf(shared, sizeof shared, "%s%s/data/cases", root != NULL ? root : source, root != NULL ? "" : "/../shared");
    if (access(shared, R_OK) != 0) {
        printf("skipped: %s is not here (set LIMN_SHARED to the folder with the test data)\n", shared);
        return 77;
    }
    snprintf(scratch, sizeof scratch, "/tmp/limn-cases-XXXXXX");
    if (mkdtemp(scratch) == NULL) {
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(right_answers)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char line[128];
    snprintf(line, sizeof line, "rm -r '%s'", scratch);
    return system(line) != 0 || failed != 0; /* NOLINT(cert-env33-c) */
}
