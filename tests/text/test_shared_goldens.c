/* Public vocabularies with their published tokenisations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/support.h"

#include <cmocka.h> /* last: its fail() is not ours */

enum { CAP = 64 << 20 };

static char *read_all(const char *path) {
    char *bytes;
    size_t length;
    assert_int_equal(file_read(&bytes, &length, path, CAP), LIMN_OK);
    return bytes;
}

/* One line of ids separated by spaces. */
static int32_t parse_ids(const char *line, const char *end, int32_t *ids, int32_t capacity) {
    int32_t n = 0;
    while (line < end) {
        char *after;
        long id = strtol(line, &after, 10);
        if (after == line || after > end) {
            break;
        }
        assert_true(n < capacity);
        ids[n++] = (int32_t)id;
        line = after;
    }
    return n;
}

/* llama.cpp's texts and the ids that the models' own tokenizers gave: no BOS, special tokens as plain text. */
static void check_llamacpp(const char *name, const char *tokenizer_name) {
    enum { IDS = 4096 };
    static const char separator[] = "\n__ggml_vocab_test__\n";
    TextBuffer file = TEXT_BUFFER_INIT;
    text_buffer_printf(&file, "tokenizers/llamacpp-vocabs/ggml-vocab-%s.gguf.inp", name);
    char *inputs_path = need_shared_file(file.data);
    text_buffer_clear(&file);
    text_buffer_printf(&file, "tokenizers/llamacpp-vocabs/ggml-vocab-%s.gguf.out", name);
    char *outputs_path = need_shared_file(file.data);
    char *tokenizer_path = need_shared_file(tokenizer_name);
    text_buffer_free(&file);
    char *inputs = read_all(inputs_path), *outputs = read_all(outputs_path);
    Opened opened = open_tokenizer(tokenizer_path);
    const EncodeOptions options = {.no_special = true, .plain_special_text = true};
    int cases = 0;
    char *text = inputs, *line = outputs;
    while (text != NULL && *line != '\0') {
        char *next = strstr(text, separator);
        if (next != NULL) {
            *next = '\0';
            next += sizeof separator - 1;
        }
        char *end = strchr(line, '\n');
        assert_non_null(end);
        int32_t ids[IDS];
        int32_t n = parse_ids(line, end, ids, IDS);
        check_ids(opened.tokenizer, text, &options, ids, n);
        cases++;
        text = next;
        line = end + 1;
    }
    assert_true(cases >= 40);
    close_opened(&opened);
    free(inputs);
    free(outputs);
    free(inputs_path);
    free(outputs_path);
    free(tokenizer_path);
}

#define VOCABULARY(name) "tokenizers/llamacpp-vocabs/ggml-vocab-" name ".gguf"
#define HUB(name)        "tokenizers/hf-tokenizer-json/" name "/tokenizer.json"

static const struct LlamacppCase {
    const char *name, *tokenizer;
} llamacpp_cases[] = {
    {"bert-bge", VOCABULARY("bert-bge")},
    {"deepseek-coder", VOCABULARY("deepseek-coder")},
    {"deepseek-llm", VOCABULARY("deepseek-llm")},
    {"falcon", VOCABULARY("falcon")},
    {"falcon", HUB("falcon-tokenizer")},
    {"gpt-2", VOCABULARY("gpt-2")},
    {"llama-spm", VOCABULARY("llama-spm")},
    {"llama-spm", "tokenizers/llama2/tokenizer.model"},
    {"mpt", VOCABULARY("mpt")},
    {"phi-3", VOCABULARY("phi-3")},
    {"phi-3", HUB("phi-3-mini")},
    {"refact", VOCABULARY("refact")},
    {"roberta-bpe", HUB("roberta-base")},
    {"starcoder", VOCABULARY("starcoder")},
};

static void test_llamacpp_vocabularies(void **state) {
    for (size_t i = 0; i < sizeof llamacpp_cases / sizeof *llamacpp_cases; i++) {
        check_llamacpp(llamacpp_cases[i].name, llamacpp_cases[i].tokenizer);
    }
}

static json_t *load_json(const char *path) {
    json_error_t error;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return json;
}

static int32_t json_ids(const json_t *list, int32_t *ids, int32_t capacity) {
    assert_true(json_array_size(list) <= (size_t)capacity);
    for (size_t i = 0; i < json_array_size(list); i++) {
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    return (int32_t)json_array_size(list);
}

/* 10,570 questions through BERT's uncased vocabulary. */
static void test_bert_questions(void **state) {
    enum { IDS = 512 };
    /* what may be absent alone is asked for first: a skip leaves nothing behind */
    char *questions_path = need_shared_file("tokenizers/gpt2-bert/question_tokens.json");
    char *vocabulary = need_shared_file("tokenizers/gpt2-bert/vocab.txt");
    char *ids_path = need_shared_file("tokenizers/gpt2-bert/tokenized_questions.json");
    json_t *questions = load_json(questions_path), *expected = load_json(ids_path);
    Opened opened = open_tokenizer(vocabulary);
    const EncodeOptions options = {.no_special = true};
    assert_true(json_array_size(questions) > 10000);
    for (size_t i = 0; i < json_array_size(questions); i++) {
        int32_t ids[IDS];
        int32_t n = json_ids(json_array_get(expected, i), ids, IDS);
        check_ids(opened.tokenizer, json_string_value(json_object_get(json_array_get(questions, i), "original")),
                  &options, ids, n);
    }
    close_opened(&opened);
    json_decref(questions);
    json_decref(expected);
    free(vocabulary);
    free(questions_path);
    free(ids_path);
}

/* French prose through GPT-2's vocabulary, from vocab.json and merges.txt. */
static void test_gpt2_prose(void **state) {
    enum { IDS = 1024 };
    char *golden_path = need_shared_file("tokenizers/gpt2-bert/encoded_tokens.json");
    char *vocabulary_path = need_shared_file("tokenizers/gpt2-bert/gpt2-vocab.json");
    char *merges_path = need_shared_file("tokenizers/gpt2-bert/gpt2-merges.txt");
    char *vocabulary = read_all(vocabulary_path), *merges = read_all(merges_path);
    char *copy = temporary_file("vocab.json", vocabulary, strlen(vocabulary));
    char *folder = strndup(copy, (size_t)(strrchr(copy, '/') - copy));
    char *merges_copy = path_join(folder, "merges.txt");
    assert_int_equal(file_write_atomic(merges_copy, merges, strlen(merges)), LIMN_OK);
    json_t *golden = load_json(golden_path);
    int32_t ids[IDS];
    int32_t n = json_ids(json_object_get(golden, "token_ids"), ids, IDS);
    Opened opened = open_tokenizer(folder);
    assert_string_equal(tokenizer_kind(opened.tokenizer), "byte-level BPE");
    check_ids(opened.tokenizer, json_string_value(json_object_get(golden, "text")), NULL, ids, n);
    close_opened(&opened);
    json_decref(golden);
    remove(merges_copy);
    remove_temporary(copy);
    free(merges_copy);
    free(folder);
    free(vocabulary);
    free(merges);
    free(golden_path);
    free(vocabulary_path);
    free(merges_path);
}

#define SPACE "\xE2\x96\x81"

static void append_ids(int32_t *all, int32_t *n, const Tokenizer *tokenizer, const char *text) {
    const EncodeOptions options = {.no_special = true, .plain_special_text = true};
    Encoding encoding;
    assert_int_equal(tokenizer_encode(&encoding, tokenizer, text, strlen(text), NULL, 0, &options), LIMN_OK);
    for (int32_t i = 0; i < encoding.n; i++) {
        all[(*n)++] = encoding.tokens[i].id;
    }
    encoding_free(&encoding);
}

/* Mistral's samples spell spaces as U+2581 and were encoded one stretch between control tokens at a time. */
static void append_stretch(int32_t *all, int32_t *n, const Tokenizer *tokenizer, const char *text, size_t length) {
    TextBuffer plain = TEXT_BUFFER_INIT;
    size_t at = length >= 3 && memcmp(text, SPACE, 3) == 0 ? 3 : length > 0 && text[0] == ' ' ? 1 : 0;
    while (at < length) {
        if (length - at >= 3 && memcmp(text + at, SPACE, 3) == 0) {
            text_buffer_add_char(&plain, ' ');
            at += 3;
        } else if (length - at >= 6 && memcmp(text + at, "<0x0A>", 6) == 0) {
            text_buffer_add_char(&plain, '\n');
            at += 6;
        } else {
            text_buffer_add_char(&plain, text[at++]);
        }
    }
    if (plain.length > 0) {
        append_ids(all, n, tokenizer, plain.data);
    }
    text_buffer_free(&plain);
}

static void check_mistral_sample(const Tokenizer *tokenizer, const char *sample, const char *version) {
    static const char *const controls[] = {"<s>",
                                           "</s>",
                                           "[INST]",
                                           "[/INST]",
                                           "[TOOL_CALLS]",
                                           "[AVAILABLE_TOOLS]",
                                           "[/AVAILABLE_TOOLS]",
                                           "[TOOL_RESULTS]",
                                           "[/TOOL_RESULTS]"};
    enum { IDS = 4096 };
    char name[160];
    snprintf(name, sizeof name, "tokenizers/mistral/samples/%s/text_%s.txt", sample, version);
    char *text_path = shared_file(name);
    if (text_path == NULL) {
        return; /* not every sample has every version */
    }
    snprintf(name, sizeof name, "tokenizers/mistral/samples/%s/tokens_%s.json", sample, version);
    char *ids_path = need_shared_file(name), *text = read_all(text_path);
    json_t *golden = load_json(ids_path);
    int32_t expected[IDS], found[IDS], n = json_ids(json_object_get(golden, "tokens"), expected, IDS), n_found = 0;
    size_t known = strcmp(version, "v1") == 0 ? 2 : sizeof controls / sizeof *controls, kept = 0, at = 0;
    while (text[at] != '\0') {
        size_t c = 0;
        while (c < known && strncmp(text + at, controls[c], strlen(controls[c])) != 0) {
            c++;
        }
        if (c == known) {
            at++;
            continue;
        }
        append_stretch(found, &n_found, tokenizer, text + kept, at - kept);
        found[n_found++] = tokenizer_id(tokenizer, controls[c], strlen(controls[c]));
        at += strlen(controls[c]);
        kept = at;
    }
    append_stretch(found, &n_found, tokenizer, text + kept, at - kept);
    assert_int_equal(n_found, n);
    assert_memory_equal(found, expected, (size_t)n * sizeof *found);
    json_decref(golden);
    free(text);
    free(text_path);
    free(ids_path);
}

static void test_mistral_samples(void **state) {
    static const char *const models[][2] = {{"tokenizers/mistral/tokenizer.model.v1", "v1"},
                                            {"tokenizers/mistral/mistral_instruct_tokenizer_240216.model.v2", "v2"},
                                            {"tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3", "v3"}};
    static const char *const samples[] = {"get_weather_full", "get_weather_no_history", "get_weather_no_system_prompt",
                                          "no_tools",         "parallel_calls",         "several_calls"};
    for (size_t m = 0; m < 3; m++) {
        char *path = need_shared_file(models[m][0]);
        Opened opened = open_tokenizer(path);
        for (size_t s = 0; s < sizeof samples / sizeof *samples; s++) {
            check_mistral_sample(opened.tokenizer, samples[s], models[m][1]);
        }
        close_opened(&opened);
        free(path);
    }
}

static bool has_option(const json_t *golden, const char *name) {
    const json_t *options = json_object_get(golden, "options");
    for (size_t i = 0; i < json_array_size(options); i++) {
        if (strcmp(json_string_value(json_array_get(options, i)), name) == 0) {
            return true;
        }
    }
    return false;
}

/* What the references make of the same texts (tests/oracle/tokenizers/make_shared.py), Mistral v1 to v7 among them. */
static void test_references(void **state) {
    enum { IDS = 1024 };
    json_t *file = load_json(LIMN_TEST_SOURCE_DIR "/tests/text/golden/shared.json");
    const json_t *texts = json_object_get(file, "texts"), *cases = json_object_get(file, "cases");
    assert_true(json_array_size(cases) >= 10);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *golden = json_array_get(cases, c), *all = json_object_get(golden, "ids");
        char *path = need_shared_file(json_string_value(json_object_get(golden, "tokenizer")));
        const EncodeOptions options = {.no_special = has_option(golden, "no-special"),
                                       .plain_special_text = has_option(golden, "plain")};
        Opened opened = open_tokenizer(path);
        for (size_t t = 0; t < json_array_size(texts); t++) {
            int32_t ids[IDS];
            int32_t n = json_ids(json_array_get(all, t), ids, IDS);
            const json_t *text = json_array_get(texts, t);
            if (strlen(json_string_value(text)) == json_string_length(text)) { /* check_ids takes C strings */
                check_ids(opened.tokenizer, json_string_value(text), &options, ids, n);
            }
        }
        close_opened(&opened);
        free(path);
    }
    json_decref(file);
}

static void test_stories(void **state) {
    char *folder = need_shared_file("models/stories260K");
    Opened opened = open_tokenizer(folder);
    const int32_t expected[] = {1, 403, 407, 261, 378};
    check_ids(opened.tokenizer, "Once upon a time", NULL, expected, 5);
    close_opened(&opened);
    free(folder);
}

/* This file's merges name pieces that its vocabulary lacks. */
static void test_broken_llama2_is_refused(void **state) {
    char *folder = need_shared_file("tokenizers/hf-tokenizer-json/llama2");
    Tokenizer *tokenizer;
    assert_int_equal(tokenizer_open_folder(&tokenizer, folder), LIMN_FORMAT);
    assert_null(tokenizer);
    assert_non_null(strstr(error_message(), "llama2/tokenizer.json"));
    assert_non_null(strstr(error_message(), "merge "));
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llamacpp_vocabularies),
        cmocka_unit_test(test_bert_questions),
        cmocka_unit_test(test_gpt2_prose),
        cmocka_unit_test(test_mistral_samples),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_broken_llama2_is_refused),
    };
    char *data = shared_file("tokenizers");
    if (data == NULL) {
        print_message("skipped: no shared data (LIMN_SHARED)\n");
        return 77;
    }
    free(data);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
