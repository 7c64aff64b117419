/* Files that are wrong: refused with the file's name and what is wrong, never worse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "text/support.h"

#include <cmocka.h> /* last: its fail() is not ours */

#define MODEL     "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"<unk>\":0,\"a\":1},\"unk_token\":\"<unk>\"}"
#define BPE(rest) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}," rest "}}"

static const struct Refusal {
    const char *json;
    limn_status status;
    const char *says;
} refusals[] = {
    {"{", LIMN_FORMAT, "line 1"},
    {"{}", LIMN_FORMAT, "model"},
    {"{\"model\":3}", LIMN_FORMAT, "model"},
    {"{\"model\":{\"type\":\"Neural\"}}", LIMN_UNSUPPORTED, "model of type 'Neural'"},
    {"{" MODEL ",\"normalizer\":{\"type\":\"Rot13\"}}", LIMN_UNSUPPORTED, "normalizer of type 'Rot13'"},
    {"{" MODEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Rot13\"}]}}",
     LIMN_UNSUPPORTED, "normalizer of type 'Rot13'"},
    {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Guess\"}}", LIMN_UNSUPPORTED, "pre_tokenizer of type 'Guess'"},
    {"{" MODEL ",\"post_processor\":{\"type\":\"Guess\"}}", LIMN_UNSUPPORTED, "post_processor of type 'Guess'"},
    {"{" MODEL ",\"decoder\":{\"type\":\"CTC\"}}", LIMN_UNSUPPORTED, "decoder of type 'CTC'"},
    {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}}",
     LIMN_UNSUPPORTED, "regular expression '('"},
    {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x\"},\"behavior\":\"Melted\"}}",
     LIMN_UNSUPPORTED, "split behavior 'Melted'"},
    {"{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA!\"}}", LIMN_FORMAT, "base64"},
    {"{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////w==\"}}", LIMN_FORMAT,
     "precompiled_charsmap"},
    {"{" MODEL ",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",77],\"cls\":[\"y\",0]}}", LIMN_FORMAT,
     "token 77"},
    {"{" MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],"
     "\"pair\":[],\"special_tokens\":{}}}",
     LIMN_FORMAT, "'<s>' is not among special_tokens"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":-1}}}", LIMN_FORMAT, "id -1"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":\"x\"}}}", LIMN_FORMAT, "expected an integer"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", LIMN_FORMAT, "empty"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", LIMN_FORMAT, "'[UNK]' is not in the vocabulary"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"b\"]]}}", LIMN_FORMAT, "element 1"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":4}}", LIMN_FORMAT, "unk_id is 4"},
    {BPE("\"merges\":[\"a b\",\"a c\"]"), LIMN_FORMAT, "merge 1 ('a' + 'c') names the piece 'c'"},
    {BPE("\"merges\":[\"b a\"]"), LIMN_FORMAT, "merge 0 makes the piece 'ba'"},
    {BPE("\"merges\":[\"ab\"]"), LIMN_FORMAT, "merge 0"},
    {BPE("\"merges\":[[\"a\",3]]"), LIMN_FORMAT, "merge 0"},
    {BPE("\"merges\":[],\"unk_token\":\"?\""), LIMN_FORMAT, "unk_token '?'"},
    {BPE("\"merges\":[],\"dropout\":0.1"), LIMN_UNSUPPORTED, "dropout"},
};

static void test_refused_by_name(void **state) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        char *path = temporary_file("tokenizer.json", refusals[i].json, strlen(refusals[i].json));
        Tokenizer *tokenizer = NULL;
        limn_status status = tokenizer_open_file(&tokenizer, path);
        if (status != refusals[i].status || tokenizer != NULL) {
            fail_msg("%s: status %s, expected %s", refusals[i].json, status_name(status),
                     status_name(refusals[i].status));
        }
        if (strstr(error_message(), path) == NULL || strstr(error_message(), refusals[i].says) == NULL) {
            fail_msg("%s: the message is '%s', expected the file and '%s'", refusals[i].json, error_message(),
                     refusals[i].says);
        }
        remove_temporary(path);
    }
}

/* Sequences within sequences are bounded. */
static void test_deep_sequence(void **state) {
    TextBuffer json = TEXT_BUFFER_INIT;
    text_buffer_add(&json, "{" MODEL ",\"normalizer\":");
    for (int i = 0; i < 100; i++) {
        text_buffer_add(&json, "{\"type\":\"Sequence\",\"normalizers\":[");
    }
    for (int i = 0; i < 100; i++) {
        text_buffer_add(&json, "]}");
    }
    text_buffer_add(&json, "}");
    char *path = temporary_file("tokenizer.json", json.data, json.length);
    Tokenizer *tokenizer;
    assert_int_equal(tokenizer_open_file(&tokenizer, path), LIMN_UNSUPPORTED);
    remove_temporary(path);
    text_buffer_free(&json);
}

/* A pattern that goes back and forth without end gives up with a message. */
static void test_runaway_pattern(void **state) {
    static const char json[] = "{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                               "\"(a|aa)+(a|aa)+(a|aa)+c\"},\"behavior\":\"Isolated\"}}";
    char *path = temporary_file("tokenizer.json", json, strlen(json));
    Opened opened = open_tokenizer(path);
    char text[200];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 2, "dc", 2);
    Encoding encoding;
    assert_int_equal(tokenizer_encode(&encoding, opened.tokenizer, text, sizeof text, NULL, 0, NULL), LIMN_RANGE);
    assert_null(encoding.tokens);
    assert_non_null(strstr(error_message(), "regular expression"));
    close_opened(&opened);
    remove_temporary(path);
}

static const char sample_text[] = "Hello the World's 12  caf\xC3\xA9 \xE4\xB8\x96\xE7\x95\x8C <s>\x00\xFF [MASK] ab";

/* Whatever opens must also work; how it ends does not matter. */
static void use(const char *path, bool is_gguf) {
    Tokenizer *tokenizer = NULL;
    Gguf *gguf = NULL;
    if (is_gguf) {
        if (gguf_open(&gguf, path) == LIMN_OK) {
            (void)!tokenizer_open_gguf(&tokenizer, gguf);
        }
    } else {
        (void)!tokenizer_open_file(&tokenizer, path);
    }
    Encoding encoding;
    if (tokenizer != NULL &&
        tokenizer_encode(&encoding, tokenizer, sample_text, sizeof sample_text - 1, "pair", 4, NULL) == LIMN_OK) {
        for (int32_t i = 0; i < encoding.n; i++) {
            assert_true(encoding.tokens[i].begin <= encoding.tokens[i].end);
            assert_true(encoding.tokens[i].end <= (int64_t)sizeof sample_text);
            char *text;
            size_t length;
            if (tokenizer_decode(&text, &length, tokenizer, &encoding.tokens[i].id, 1, false) == LIMN_OK) {
                free(text);
            }
        }
        encoding_free(&encoding);
    }
    tokenizer_free(tokenizer);
    gguf_close(gguf);
}

static void mutate(unsigned char *bytes, size_t *length, Random *random) {
    static const char *const pieces[] = {"-1", "999999999999", "\"\"", "null", "[]", "{}", "\\u0000", "Sequence"};
    switch (random_below(random, 5)) {
    case 0:
        bytes[random_below(random, *length)] ^= (unsigned char)(1u << random_below(random, 8));
        break;
    case 1:
        bytes[random_below(random, *length)] = (unsigned char)random_below(random, 256);
        break;
    case 2:
        *length = random_below(random, *length) + 1;
        break;
    case 3: { /* a stretch moves */
        size_t n = random_below(random, *length < 64 ? *length : 64), from = random_below(random, *length - n),
               to = random_below(random, *length - n);
        memmove(bytes + to, bytes + from, n);
        break;
    }
    default: {
        const char *piece = pieces[random_below(random, sizeof pieces / sizeof *pieces)];
        size_t n = strlen(piece) < *length ? strlen(piece) : *length;
        memcpy(bytes + random_below(random, *length - n + 1), piece, n);
    }
    }
}

static void mutate_file(const void *original, size_t original_length, bool is_gguf, int rounds, Random *random) {
    unsigned char *bytes = malloc(original_length + 1);
    assert_non_null(bytes);
    for (int round = 0; round < rounds; round++) {
        memcpy(bytes, original, original_length);
        size_t length = original_length;
        for (uint64_t n = random_below(random, 4) + 1; n > 0; n--) {
            mutate(bytes, &length, random);
        }
        char *path = temporary_file("mutated", bytes, length);
        use(path, is_gguf);
        remove_temporary(path);
    }
    free(bytes);
}

static void test_mutated_files(void **state) {
    Random random;
    random_seed(&random, 20);
    json_error_t error;
    json_t *goldens = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/text/golden/tokenizers.json", JSON_ALLOW_NUL, &error);
    assert_non_null(goldens);
    const json_t *cases = json_object_get(goldens, "cases");
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *golden = json_array_get(cases, c);
        const char *model = json_string_value(json_object_get(golden, "model"));
        if (model != NULL) {
            size_t length;
            unsigned char *bytes = from_base64(model, &length);
            mutate_file(bytes, length, false, 60, &random);
            free(bytes);
        } else {
            char *text = json_dumps(json_object_get(golden, "tokenizer"), JSON_COMPACT);
            mutate_file(text, strlen(text), false, 20, &random);
            free(text);
        }
    }
    json_decref(goldens);
}

static void test_mutated_gguf(void **state) {
    static const char *const models[] = {"gpt2", "llama", "bert", "t5"};
    static const char *const tokens[] = {"<unk>", "<s>",      "</s>",         "[UNK]",  "a",  "b",
                                         "ab",    "\xC4\xA0", "\xE2\x96\x81", "<0x41>", "the"};
    static const int32_t types[] = {2, 3, 3, 3, 1, 1, 1, 1, 1, 6, 4};
    static const float scores[] = {0, 0, 0, 0, -1, -2, -3, -4, -5, -6, -7};
    static const char *const merges[] = {"a b"};
    Random random;
    random_seed(&random, 21);
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        GgufBuilder builder = {{0}, 0};
        gguf_add_string(&builder, "tokenizer.ggml.model", models[m]);
        gguf_add_string(&builder, "tokenizer.ggml.pre", "llama-bpe");
        gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 11);
        gguf_add_i32s(&builder, "tokenizer.ggml.token_type", types, 11);
        gguf_add_f32s(&builder, "tokenizer.ggml.scores", scores, 11);
        gguf_add_strings(&builder, "tokenizer.ggml.merges", merges, 1);
        gguf_add_u32(&builder, "tokenizer.ggml.bos_token_id", 1);
        gguf_add_u32(&builder, "tokenizer.ggml.eos_token_id", 2);
        gguf_add_u32(&builder, "tokenizer.ggml.unknown_token_id", 0);
        size_t length;
        char *bytes = gguf_finish(&builder, &length);
        mutate_file(bytes, length, true, 300, &random);
        free(bytes);
    }
}

static void test_gguf_refusals(void **state) {
    static const char *const tokens[] = {"a"};
    static const struct {
        const char *model, *pre, *says;
    } cases[] = {{"rwkv", "default", "tokenizer.ggml.model 'rwkv'"},
                 {"gpt2", "newest", "split rule 'newest'"},
                 {"gpt2", "gpt-2", "tokenizer.ggml.merges is missing"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        GgufBuilder builder = {{0}, 0};
        gguf_add_string(&builder, "tokenizer.ggml.model", cases[i].model);
        gguf_add_string(&builder, "tokenizer.ggml.pre", cases[i].pre);
        gguf_add_strings(&builder, "tokenizer.ggml.tokens", tokens, 1);
        size_t length;
        char *bytes = gguf_finish(&builder, &length), *path = temporary_file("vocab.gguf", bytes, length);
        Gguf *gguf;
        Tokenizer *tokenizer;
        assert_int_equal(gguf_open(&gguf, path), LIMN_OK);
        assert_int_not_equal(tokenizer_open_gguf(&tokenizer, gguf), LIMN_OK);
        assert_null(tokenizer);
        assert_non_null(strstr(error_message(), path));
        assert_non_null(strstr(error_message(), cases[i].says));
        gguf_close(gguf);
        remove_temporary(path);
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_by_name), cmocka_unit_test(test_deep_sequence),
        cmocka_unit_test(test_runaway_pattern), cmocka_unit_test(test_mutated_files),
        cmocka_unit_test(test_mutated_gguf),    cmocka_unit_test(test_gguf_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
