/* `predict` on models that are no causal language models: choices at the mask, classes; against transformers
 * (tests/oracle/predict/make_encoders.py). */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "files/json.h"
#include "method/calls.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const model_files[] = {"config.json", "model.safetensors"};
static const char *const word_files[] = {"vocab.txt", "tokenizer.json", "tokenizer_config.json"};

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const char *path_in(const char *folder, const char *name) {
    static char paths[2][1200];
    static int turn;
    turn = 1 - turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static void link_files(const char *folder, const char *from, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (file_exists(path_in(from, names[i]))) {
            assert_int_equal(symlink(path_in(from, names[i]), path_in(folder, names[i])), 0);
        }
    }
}

/* A golden model with the words that belong to it, in a new folder. */
static void make_folder(char folder[64], const char *model, const char *words) {
    char from[64];
    snprintf(folder, 64, "/tmp/limn-encoder-XXXXXX");
    assert_non_null(mkdtemp(folder));
    link_files(folder, golden_folder(model), model_files, 2);
    snprintf(from, sizeof from, "predict/%s", words);
    link_files(folder, golden_folder(from), word_files, 3);
}

static void remove_folder(const char *folder) {
    static const char *const made[] = {"data.jsonl", "out.jsonl"};
    for (size_t i = 0; i < 3; i++) {
        unlink(path_in(folder, word_files[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        unlink(path_in(folder, model_files[i]));
        unlink(path_in(folder, made[i]));
    }
    rmdir(folder);
}

static void write_data(const char *folder, const json_t *prompts) {
    TextBuffer data = TEXT_BUFFER_INIT;
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        json_t *record = json_pack("{s:O}", "prompt", json_array_get(prompts, i));
        char *line = json_dumps(record, JSON_COMPACT);
        text_buffer_printf(&data, "%s\n", line);
        free(line);
        json_decref(record);
    }
    must(file_write_atomic(path_in(folder, "data.jsonl"), data.data, data.length));
    text_buffer_free(&data);
}

static limn_status predict(const char *folder, const char *more) {
    Result *result = NULL;
    limn_status status = call_method(&result, "predict",
                                     "{\"model\": \"%s\", \"data\": \"%s/data.jsonl\", \"prompt-field\": \"prompt\", "
                                     "\"output\": \"%s/out.jsonl\"%s}",
                                     folder, folder, folder, more);
    if (status == LIMN_OK) {
        assert_true(result_passed(result));
        result_free(result);
    }
    return status;
}

static void check_case(const json_t *expected, const char *more) {
    char folder[64], options[256];
    const json_t *choices = json_object_get(expected, "choices"), *names = json_object_get(expected, "names");
    const json_t *logs = json_object_get(expected, "log_probabilities");
    make_folder(folder, json_string_value(json_object_get(expected, "model")),
                json_string_value(json_object_get(expected, "words")));
    write_data(folder, json_object_get(expected, "prompts"));
    char *list = json_is_array(choices) ? json_dumps(choices, 0) : NULL;
    snprintf(options, sizeof options, "%s%s%s", list != NULL ? ", \"choices\": " : "", list != NULL ? list : "", more);
    free(list);
    must(predict(folder, options));
    char *text;
    size_t length;
    must(file_read(&text, &length, path_in(folder, "out.jsonl"), 1 << 20));
    const char *at = text;
    for (size_t i = 0; i < json_array_size(logs); i++) {
        json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
        assert_non_null(line);
        for (size_t c = 0; c < json_array_size(names); c++) {
            const char *name = json_string_value(json_array_get(names, c));
            double found = json_number_value(json_object_get(json_object_get(line, "log_probabilities"), name));
            double wanted = json_number_value(json_array_get(json_array_get(logs, i), c));
            if (!(fabs(found - wanted) <= 2e-5)) {
                fail_msg("%s, prompt %zu, '%s': %.9g, expected %.9g", folder, i, name, found, wanted);
            }
        }
        json_decref(line);
        at = strchr(at, '\n') + 1;
    }
    assert_true(*at == '\0');
    free(text);
    remove_folder(folder);
}

static void answers_are_those_of_the_reference(void **state) {
    json_t *golden;
    must(json_file_load(&golden, path_in(golden_folder("predict"), "encoders.json"), 1 << 20));
    size_t i;
    json_t *expected;
    json_array_foreach(golden, i, expected) {
        check_case(expected, "");
        check_case(expected, ", \"batch\": 1, \"backend\": \"ref\"");
    }
    assert_int_equal(i, 4);
    json_decref(golden);
}

static void what_has_no_place_is_refused(void **state) {
    static const struct {
        const char *prompt, *more, *part;
        limn_status status;
    } cases[] = {
        {"a bank", "\"yes\", \"no\"", "line 2: the prompt has 0 mask tokens, expected one [MASK]", LIMN_USAGE},
        {"[MASK] bank [MASK]", "\"yes\", \"no\"", "line 2: the prompt has 2 mask tokens", LIMN_USAGE},
        {"[MASK]", "\"yes\", \"banks\"", "the choice 'banks' is 2 tokens, expected one", LIMN_USAGE},
        {"[MASK]", "\"yes\", \"perhaps\"", "the choice 'perhaps' is not in the vocabulary", LIMN_USAGE},
        {"[MASK]", "\"yes\", \"Yes\"", "the choices 'yes' and 'Yes' are the same token", LIMN_USAGE},
    };
    char folder[64], options[128];
    make_folder(folder, "bert-mlm", "bert");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *prompts = json_pack("[s, s]", "is it? [MASK]", cases[i].prompt);
        write_data(folder, prompts);
        json_decref(prompts);
        snprintf(options, sizeof options, ", \"choices\": [%s]", cases[i].more);
        limn_status status = predict(folder, options);
        if (status != cases[i].status || strstr(error_message(), cases[i].part) == NULL) {
            fail_msg("%s: %d %s", cases[i].prompt, (int)status, error_message());
        }
        unlink(path_in(folder, "out.jsonl"));
    }
    remove_folder(folder);
}

/* The probabilities of the only line. */
static void only_line(const char *folder, double *logs, int32_t *cut) {
    json_t *line = json_load_file(path_in(folder, "out.jsonl"), 0, NULL);
    assert_non_null(line);
    const char *name;
    json_t *value;
    int n = 0;
    json_object_foreach(json_object_get(line, "log_probabilities"), name, value) {
        logs[n++] = json_number_value(value);
    }
    *cut = (int32_t)json_integer_value(json_object_get(line, "cut"));
    json_decref(line);
    unlink(path_in(folder, "out.jsonl"));
}

/* 24 tokens are read, [CLS] and [SEP] among them, which stay: 22 words of 26. */
static void long_texts_are_cut_between_their_special_tokens(void **state) {
    static const char words[] =
        "is it a bank run my money no yes gone a bank is the run my a no gone yes it is the my bank run";
    static const struct {
        const char *way, *left;
    } cases[] = {
        {"left", "run my money no yes gone a bank is the run my a no gone yes it is the my bank run"},
        {"right", "is it a bank run my money no yes gone a bank is the run my a no gone yes it is"},
        {"middle", "is it a bank run my money no yes gone a my a no gone yes it is the my bank run"},
    };
    char folder[64], more[64];
    make_folder(folder, "bert-classifier", "bert");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double cut[8] = {0}, alone[8] = {0};
        int32_t n_cut, none;
        json_t *prompts = json_pack("[s]", words);
        write_data(folder, prompts);
        json_decref(prompts);
        assert_int_equal(predict(folder, ""), LIMN_RANGE);
        unlink(path_in(folder, "out.jsonl"));
        snprintf(more, sizeof more, ", \"truncate\": \"%s\"", cases[i].way);
        must(predict(folder, more));
        only_line(folder, cut, &n_cut);
        assert_int_equal(n_cut, 4);
        prompts = json_pack("[s]", cases[i].left);
        write_data(folder, prompts);
        json_decref(prompts);
        if (predict(folder, "") != LIMN_OK) {
            fail_msg("%s: %s", cases[i].way, error_message());
        }
        only_line(folder, alone, &none);
        for (int c = 0; c < 8; c++) {
            if (fabs(cut[c] - alone[c]) > 1e-6) {
                fail_msg("%s, class %d: %g, alone %g", cases[i].way, c, cut[c], alone[c]);
            }
        }
    }
    remove_folder(folder);
    /* a mask that was cut away is said */
    make_folder(folder, "bert-mlm", "bert");
    char masked[256];
    snprintf(masked, sizeof masked, "%s [MASK] my", words);
    json_t *prompts = json_pack("[s]", masked);
    write_data(folder, prompts);
    json_decref(prompts);
    must(predict(folder, ", \"choices\": [\"yes\", \"no\"], \"truncate\": \"left\""));
    unlink(path_in(folder, "out.jsonl"));
    assert_int_equal(predict(folder, ", \"choices\": [\"yes\", \"no\"], \"truncate\": \"right\""), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "the prompt has 0 mask tokens after it was cut, expected one [MASK]"));
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_the_reference),
        cmocka_unit_test(what_has_no_place_is_refused),
        cmocka_unit_test(long_texts_are_cut_between_their_special_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
