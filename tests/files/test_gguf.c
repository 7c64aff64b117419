#include "files/gguf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/helpers.h"

enum { U8, I8, U16, I16, U32, I32, F32, BOOLEAN, STRING, ARRAY, U64, I64, F64 };

/* A file in pieces, so that each test can bend one of them. */
typedef struct Build {
    uint32_t version;
    uint64_t n_pairs, n_tensors; /* as the header says */
    TextBuffer pairs, tensors, data;
} Build;

static Build build_new(void) {
    return (Build){.version = 3, .pairs = TEXT_BUFFER_INIT, .tensors = TEXT_BUFFER_INIT, .data = TEXT_BUFFER_INIT};
}

static void add_key(Build *build, const char *key, uint32_t type) {
    build->n_pairs++;
    put_string(&build->pairs, key);
    put_u32(&build->pairs, type);
}

static void add_tensor(Build *build, const char *name, uint32_t type, uint64_t inner, uint64_t outer, uint64_t offset) {
    build->n_tensors++;
    put_string(&build->tensors, name);
    put_u32(&build->tensors, 2);
    put_u64(&build->tensors, inner);
    put_u64(&build->tensors, outer);
    put_u32(&build->tensors, type);
    put_u64(&build->tensors, offset);
}

static void add_data(Build *build, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        text_buffer_add_char(&build->data, (char)(i % 16));
    }
}

/* Writes it (the first `keep` bytes of it), opens it, frees the pieces. */
static limn_status open_cut(Gguf **gguf, Build *build, size_t keep) {
    TextBuffer out = TEXT_BUFFER_INIT;
    text_buffer_add(&out, "GGUF");
    put_u32(&out, build->version);
    put_u64(&out, build->n_tensors);
    put_u64(&out, build->n_pairs);
    text_buffer_add_bytes(&out, build->pairs.data, build->pairs.length);
    text_buffer_add_bytes(&out, build->tensors.data, build->tensors.length);
    while (out.length % 32 != 0) {
        text_buffer_add_char(&out, '\0');
    }
    text_buffer_add_bytes(&out, build->data.data, build->data.length);
    assert_false(out.failed);
    const char *path = scratch_path("model.gguf");
    write_file(path, out.data, keep < out.length ? keep : out.length);
    text_buffer_free(&out);
    text_buffer_free(&build->pairs);
    text_buffer_free(&build->tensors);
    text_buffer_free(&build->data);
    limn_status status = gguf_open(gguf, path);
    if (status != LIMN_OK) {
        assert_null(*gguf);
    }
    return status;
}

static limn_status open_built(Gguf **gguf, Build *build) {
    return open_cut(gguf, build, SIZE_MAX);
}

static void add_typical(Build *build) {
    add_key(build, "general.architecture", STRING);
    put_string(&build->pairs, "llama");
    add_key(build, "llama.block_count", U32);
    put_u32(&build->pairs, 30);
    add_key(build, "llama.epsilon", F32);
    put_u32(&build->pairs, 0x3F000000u);
    add_key(build, "flag", BOOLEAN);
    text_buffer_add_char(&build->pairs, 1);
    add_key(build, "negative", I8);
    text_buffer_add_char(&build->pairs, (char)-5);
    add_key(build, "huge", U64);
    put_u64(&build->pairs, UINT64_MAX);
    add_key(build, "tokens", ARRAY);
    put_u32(&build->pairs, STRING);
    put_u64(&build->pairs, 3);
    put_string(&build->pairs, "a");
    put_string(&build->pairs, "");
    put_string(&build->pairs, "ccc");
    add_key(build, "scores", ARRAY);
    put_u32(&build->pairs, F32);
    put_u64(&build->pairs, 2);
    put_u32(&build->pairs, 0x3F800000u);
    put_u32(&build->pairs, 0xC0000000u);
    add_key(build, "types", ARRAY);
    put_u32(&build->pairs, I32);
    put_u64(&build->pairs, 2);
    put_u32(&build->pairs, 7);
    put_u32(&build->pairs, (uint32_t)-7);
}

static void test_values_of_every_kind(void **state) {
    Build build = build_new();
    add_typical(&build);
    Gguf *gguf;
    assert_ok(open_built(&gguf, &build));
    const char *text;
    size_t length;
    int64_t integer;
    double real;
    bool flag = false;
    assert_true(gguf_get_string(gguf, "general.architecture", &text, &length));
    assert_int_equal(length, 5);
    assert_memory_equal(text, "llama", 5);
    assert_true(gguf_get_integer(gguf, "llama.block_count", &integer));
    assert_int_equal(integer, 30);
    assert_true(gguf_get_real(gguf, "llama.block_count", &real)); /* an integer is a real too */
    assert_true(real == 30.0);
    assert_true(gguf_get_real(gguf, "llama.epsilon", &real));
    assert_true(real == 0.5);
    assert_false(gguf_get_integer(gguf, "llama.epsilon", &integer));
    assert_true(gguf_get_bool(gguf, "flag", &flag));
    assert_true(flag);
    assert_false(gguf_get_bool(gguf, "negative", &flag));
    assert_true(gguf_get_integer(gguf, "negative", &integer));
    assert_int_equal(integer, -5);
    assert_false(gguf_get_integer(gguf, "huge", &integer)); /* does not fit */
    assert_false(gguf_get_integer(gguf, "absent", &integer));
    assert_false(gguf_get_string(gguf, "tokens", &text, &length));
    assert_true(gguf_get_array(gguf, "tokens", &integer));
    assert_int_equal(integer, 3);
    assert_true(gguf_array_string(gguf, "tokens", 2, &text, &length));
    assert_int_equal(length, 3);
    assert_memory_equal(text, "ccc", 3);
    assert_true(gguf_array_string(gguf, "tokens", 1, &text, &length));
    assert_int_equal(length, 0);
    assert_false(gguf_array_string(gguf, "tokens", 3, &text, &length));
    assert_false(gguf_array_string(gguf, "tokens", -1, &text, &length));
    assert_false(gguf_array_string(gguf, "scores", 0, &text, &length));
    assert_true(gguf_array_real(gguf, "scores", 1, &real));
    assert_true(real == -2.0);
    assert_false(gguf_array_integer(gguf, "scores", 0, &integer));
    assert_true(gguf_array_integer(gguf, "types", 1, &integer));
    assert_int_equal(integer, -7);
    assert_int_equal(gguf_key_count(gguf), 9);
    assert_memory_equal(gguf_key_at(gguf, 3, &length), "flag", 4);
    assert_int_equal(length, 4);
    gguf_close(gguf);
}

static void test_tensors_where_they_lie(void **state) {
    Build build = build_new();
    add_typical(&build);
    add_tensor(&build, "embed", 0, 4, 2, 0);
    add_tensor(&build, "weight", 8, 64, 3, 32); /* Q8_0: 6 blocks of 34 bytes */
    add_data(&build, 32 + 6 * 34);
    Gguf *gguf;
    assert_ok(open_built(&gguf, &build));
    assert_int_equal(gguf_tensor_count(gguf), 2);
    const Tensor *weight = gguf_tensor(gguf, "weight");
    assert_ptr_equal(weight, gguf_tensor_at(gguf, 1));
    assert_int_equal(weight->dtype, DTYPE_Q8_0);
    assert_int_equal(weight->rank, 2);
    assert_int_equal(weight->shape[0], 3); /* outermost first */
    assert_int_equal(weight->shape[1], 64);
    assert_int_equal(weight->bytes, 6 * 34);
    const Tensor *embed = gguf_tensor(gguf, "embed");
    assert_int_equal((const char *)weight->data - (const char *)embed->data, 32);
    assert_memory_equal(embed->data, "\0\1\2\3", 4);
    assert_null(gguf_tensor(gguf, "absent"));
    gguf_close(gguf);
}

/* Every prefix of a good file is refused: no read past its end (the sanitizers watch), no crash. */
static void test_every_truncation(void **state) {
    for (size_t keep = 0;; keep++) {
        Build build = build_new();
        add_typical(&build);
        add_tensor(&build, "embed", 0, 4, 2, 0);
        add_data(&build, 32);
        Gguf *gguf;
        limn_status status = open_cut(&gguf, &build, keep);
        if (status == LIMN_OK) {
            assert_true(keep > 200);
            gguf_close(gguf);
            return;
        }
        assert_refused(status, LIMN_FORMAT, "model.gguf");
    }
}

static void test_versions(void **state) {
    Build build = build_new();
    build.version = 2;
    Gguf *gguf;
    assert_ok(open_built(&gguf, &build));
    gguf_close(gguf);
    build = build_new();
    build.version = 1;
    assert_refused(open_built(&gguf, &build), LIMN_UNSUPPORTED, "model.gguf", "version 1", "expected 2 or 3");
    build = build_new();
    build.version = 0x03000000u;
    assert_refused(open_built(&gguf, &build), LIMN_UNSUPPORTED, "version 3", "big-endian");
    write_text(scratch_path("text.gguf"), "this is a text and not a model at all");
    assert_refused(gguf_open(&gguf, scratch_path("text.gguf")), LIMN_FORMAT, "text.gguf", "not a GGUF file");
    assert_refused(gguf_open(&gguf, scratch_path("none.gguf")), LIMN_NOT_FOUND, "none.gguf");
    assert_refused(gguf_open(&gguf, "/dev/null"), LIMN_IO, "/dev/null", "expected a regular file");
}

static void test_false_counts_take_no_memory(void **state) {
    Gguf *gguf;
    Build build = build_new();
    build.n_tensors = UINT64_MAX;
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "18446744073709551615 tensors");
    build = build_new();
    build.n_pairs = (uint64_t)1 << 60;
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "1152921504606846976 keys");
    build = build_new();
    add_key(&build, "tokens", ARRAY);
    put_u32(&build.pairs, STRING);
    put_u64(&build.pairs, (uint64_t)1 << 40);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'tokens'", "array of 1099511627776");
    build = build_new();
    add_key(&build, "scores", ARRAY);
    put_u32(&build.pairs, F64);
    put_u64(&build.pairs, ((uint64_t)1 << 61) + 1); /* times 8 wraps to 8 */
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'scores'");
    build = build_new();
    add_key(&build, "text", STRING);
    put_u64(&build.pairs, UINT64_MAX - 3);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "bytes long");
}

static void test_bad_keys(void **state) {
    Gguf *gguf;
    Build build = build_new();
    add_key(&build, "twice", U8);
    text_buffer_add_char(&build.pairs, 1);
    add_key(&build, "twice", U8);
    text_buffer_add_char(&build.pairs, 2);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'twice'", "appears twice");
    build = build_new();
    add_key(&build, "odd", 99);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'odd'", "type 99");
    build = build_new();
    add_key(&build, "nested", ARRAY);
    put_u32(&build.pairs, ARRAY);
    put_u64(&build.pairs, 1);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_UNSUPPORTED, "'nested'", "nested array");
    build = build_new();
    add_key(&build, "flag", BOOLEAN);
    text_buffer_add_char(&build.pairs, 2);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'flag'", "bool");
    char *key = calloc(1, 65537);
    assert_non_null(key);
    memset(key, 'k', 65536);
    build = build_new();
    add_key(&build, key, U8);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "key 0 has 65536 bytes", "65535");
    free(key);
    build = build_new();
    add_key(&build, "split.count", U16);
    text_buffer_add_bytes(&build.pairs, "\3\0", 2);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_UNSUPPORTED, "3 parts");
}

static void test_bad_tensors(void **state) {
    Gguf *gguf;
    Build build = build_new();
    add_tensor(&build, "a", 0, 4, 1, 0);
    add_tensor(&build, "a", 0, 4, 1, 32);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "tensor 'a' appears twice");
    build = build_new();
    add_tensor(&build, "long", 0, 16, 1, 0);
    add_tensor(&build, "inside", 0, 4, 1, 32);
    add_data(&build, 128);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'long' and 'inside' overlap");
    build = build_new();
    add_tensor(&build, "far", 0, 4, 1, 64);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'far'", "16 bytes at offset 64", "64 bytes of data");
    build = build_new();
    add_tensor(&build, "wrapped", 0, 4, 1, UINT64_MAX - 31);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'wrapped'");
    build = build_new();
    add_tensor(&build, "crooked", 0, 4, 1, 8);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'crooked'", "offset 8", "multiple of 32");
    build = build_new();
    add_tensor(&build, "vast", 0, (uint64_t)1 << 62, 4, 0);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'vast'", "[4, 4611686018427387904]");
    build = build_new();
    add_tensor(&build, "negative", 0, UINT64_MAX, 1, 0);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'negative'", "too large");
    build = build_new();
    add_tensor(&build, "blk.0.ffn_down.weight", 20, 32, 1, 0);
    add_data(&build, 144);
    assert_refused(open_built(&gguf, &build), LIMN_UNSUPPORTED, "blk.0.ffn_down.weight", "20 (IQ4_NL)");
    assert_non_null(strstr(error_message(), "Q4_K")); /* what it could be instead */
    build = build_new();
    add_tensor(&build, "strange", 4711, 4, 1, 0);
    assert_refused(open_built(&gguf, &build), LIMN_UNSUPPORTED, "'strange'", "4711 (unknown)");
    build = build_new();
    add_tensor(&build, "cut", 2, 33, 1, 0);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'cut'", "blocks of 32");
    build = build_new();
    build.n_tensors = 1;
    put_string(&build.tensors, "deep");
    put_u32(&build.tensors, 5);
    add_data(&build, 64);
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "'deep'", "5 dimensions");
}

static void test_alignment(void **state) {
    static const uint32_t bad[] = {0, 1, 4, 24, 33, 0x80000000u};
    Gguf *gguf;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Build build = build_new();
        add_key(&build, "general.alignment", U32);
        put_u32(&build.pairs, bad[i]);
        assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "general.alignment", "power of two");
    }
    Build build = build_new();
    add_key(&build, "general.alignment", STRING);
    put_string(&build.pairs, "32");
    assert_refused(open_built(&gguf, &build), LIMN_FORMAT, "general.alignment");
    build = build_new();
    add_key(&build, "general.alignment", U32);
    put_u32(&build.pairs, 16);
    add_tensor(&build, "a", 0, 4, 1, 0);
    add_tensor(&build, "b", 0, 4, 1, 16);
    add_data(&build, 32);
    assert_ok(open_built(&gguf, &build));
    assert_non_null(gguf_tensor(gguf, "b"));
    gguf_close(gguf);
}

static void test_known_vocabularies(void **state) {
    const char *folder = shared_path("data/tokenizers/llamacpp-vocabs");
    if (folder == NULL) {
        skip();
    }
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    int opened = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".gguf") != 0) {
            continue;
        }
        char path[1400];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        Gguf *gguf;
        assert_ok(gguf_open(&gguf, path));
        int64_t tokens;
        assert_true(gguf_get_array(gguf, "tokenizer.ggml.tokens", &tokens));
        assert_true(tokens > 1000);
        const char *text;
        size_t bytes;
        for (int64_t i = 0; i < tokens; i++) {
            assert_true(gguf_array_string(gguf, "tokenizer.ggml.tokens", i, &text, &bytes));
        }
        gguf_close(gguf);
        opened++;
    }
    closedir(entries);
    assert_true(opened > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_kind),
        cmocka_unit_test(test_tensors_where_they_lie),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_false_counts_take_no_memory),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_known_vocabularies),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
