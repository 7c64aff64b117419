#include "files/tensor_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/helpers.h"

/* Header text and `data` bytes of content, opened. */
static limn_status open_header(TensorFiles **files, const char *header, size_t data) {
    TextBuffer out = TEXT_BUFFER_INIT;
    size_t length = (strlen(header) + 7) / 8 * 8; /* as writers pad it, with spaces */
    put_u64(&out, length);
    text_buffer_add(&out, header);
    while (out.length < 8 + length) {
        text_buffer_add_char(&out, ' ');
    }
    for (size_t i = 0; i < data; i++) {
        text_buffer_add_char(&out, (char)i);
    }
    const char *path = scratch_path("bad.safetensors");
    write_file(path, out.data, out.length);
    text_buffer_free(&out);
    limn_status status = tensor_files_open(files, path);
    if (status != LIMN_OK) {
        assert_null(*files);
    }
    return status;
}

static void test_round_trip(void **state) {
    const float f32[6] = {1.0f, -2.5f, 3.0f, 4.0f, 5.0f, 6.0f};
    const uint8_t flags[3] = {1, 0, 1};
    const int64_t ids[2] = {-1, INT64_MAX};
    const uint16_t halves[1] = {0x3C00};
    const Tensor tensors[] = {
        {.name = "flags", .dtype = DTYPE_BOOL, .rank = 1, .shape = {3}, .data = flags, .bytes = 3},
        {.name = "weight \"quoted\" \xe4\xb8\xad",
         .dtype = DTYPE_F32,
         .rank = 2,
         .shape = {2, 3},
         .data = f32,
         .bytes = sizeof f32},
        {.name = "ids", .dtype = DTYPE_I64, .rank = 1, .shape = {2}, .data = ids, .bytes = sizeof ids},
        {.name = "empty", .dtype = DTYPE_F32, .rank = 2, .shape = {0, 7}, .data = NULL, .bytes = 0},
        {.name = "scalar", .dtype = DTYPE_BF16, .rank = 0, .data = halves, .bytes = 2},
    };
    const TensorMetadata metadata[] = {{"format", "pt"}, {"note", "line\nbreak"}};
    const char *path = scratch_path("good.safetensors");
    assert_ok(safetensors_write(path, tensors, 5, metadata, 2));
    TensorFiles *files;
    assert_ok(tensor_files_open(&files, path));
    assert_int_equal(tensor_files_count(files), 5);
    for (int32_t i = 0; i < 5; i++) {
        const Tensor *read = tensor_files_at(files, i);
        assert_string_equal(read->name, tensors[i].name); /* the given order */
        assert_int_equal(read->dtype, tensors[i].dtype);
        assert_int_equal(read->rank, tensors[i].rank);
        assert_memory_equal(read->shape, tensors[i].shape, sizeof read->shape);
        assert_int_equal(read->bytes, tensors[i].bytes);
        if (read->bytes > 0) {
            assert_memory_equal(read->data, tensors[i].data, read->bytes);
        }
        assert_ptr_equal(tensor_files_find(files, tensors[i].name), read);
        assert_string_equal(tensor_files_path_of(files, read), path);
    }
    assert_null(tensor_files_find(files, "absent"));
    tensor_files_close(files);
    assert_ok(safetensors_write(path, NULL, 0, NULL, 0));
    assert_ok(tensor_files_open(&files, path));
    assert_int_equal(tensor_files_count(files), 0);
    tensor_files_close(files);
}

static void test_what_the_writer_refuses(void **state) {
    const float value = 1.0f;
    Tensor twice[2] = {{.name = "a", .dtype = DTYPE_F32, .rank = 0, .data = &value, .bytes = 4},
                       {.name = "a", .dtype = DTYPE_F32, .rank = 0, .data = &value, .bytes = 4}};
    const char *path = scratch_path("refused.safetensors");
    assert_refused(safetensors_write(path, twice, 2, NULL, 0), LIMN_USAGE, "refused.safetensors", "'a' is given twice");
    twice[0].name = "__metadata__";
    assert_refused(safetensors_write(path, twice, 1, NULL, 0), LIMN_USAGE, "__metadata__");
    twice[0].name = "\xff";
    assert_refused(safetensors_write(path, twice, 1, NULL, 0), LIMN_FORMAT, "not UTF-8");
    const uint8_t block[34] = {0};
    const Tensor quantised = {.name = "q", .dtype = DTYPE_Q8_0, .rank = 1, .shape = {32}, .data = block, .bytes = 34};
    assert_refused(safetensors_write(path, &quantised, 1, NULL, 0), LIMN_UNSUPPORTED, "'q'", "Q8_0");
    assert_int_equal(access(path, F_OK), -1);
    const char *nowhere = scratch_path("no/such/folder/x.safetensors");
    twice[0].name = "a";
    assert_refused(safetensors_write(nowhere, twice, 1, NULL, 0), LIMN_NOT_FOUND, "x.safetensors");
}

static void test_broken_headers(void **state) {
    TensorFiles *files;
    const char *path = scratch_path("bad.safetensors");
    write_text(path, "short");
    assert_refused(tensor_files_open(&files, path), LIMN_FORMAT, "bad.safetensors", "not a safetensors file");
    write_text(path, "");
    assert_refused(tensor_files_open(&files, path), LIMN_FORMAT, "bad.safetensors", "not a safetensors file");
    unsigned char raw[16] = {0};
    raw[8] = '{';
    memset(raw, 0xFF, 8);
    write_file(path, raw, sizeof raw);
    assert_refused(tensor_files_open(&files, path), LIMN_FORMAT, "18446744073709551615", "at most 100000000");
    memset(raw, 0, 8);
    raw[0] = 200;
    write_file(path, raw, sizeof raw);
    assert_refused(tensor_files_open(&files, path), LIMN_FORMAT, "header has 200 bytes", "the file has 16");
    assert_refused(open_header(&files, "[1, 2]", 0), LIMN_FORMAT, "not a safetensors file");
    assert_refused(open_header(&files, "{\"a\": ", 0), LIMN_FORMAT, "bad.safetensors", "its header, byte");
    assert_refused(open_header(&files, "{\"a\": 3}", 0), LIMN_FORMAT, "'a'", "expected an object");
    assert_refused(open_header(&files, "{\"__metadata__\": 3}", 0), LIMN_FORMAT, "__metadata__");
    static const char *const broken[] = {"{]",
                                         "{\"a\"]",
                                         "{\"a\":]}",
                                         "{\"a\":}",
                                         "{\"a\":{},}",
                                         "{,}",
                                         "{1:{}}",
                                         "{{}:1}",
                                         "{\"a\" {}}",
                                         "{}}",
                                         "{} {}",
                                         "{\"__metadata__\":{\"a\":\"}\\\"\"}} x",
                                         "{\"a",
                                         "{\"__metadata__\":{},\"__metadata__\":{}}",
                                         "{\"\\u0000\":{}}",
                                         "{\"__metadata__\":{\"a\":1,\"a\":2}}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_refused(open_header(&files, broken[i], 0), LIMN_FORMAT, "bad.safetensors: ");
    }
    assert_ok(open_header(&files, "{ \"__metadata__\" :\n{\"a\\\"}\":\"{[\\\\\"}\t} ", 0));
    tensor_files_close(files);
    char *deep = malloc(100001);
    assert_non_null(deep);
    memset(deep, '[', 100000);
    memcpy(deep, "{\"a\":", 5);
    deep[100000] = '\0';
    assert_refused(open_header(&files, deep, 0), LIMN_FORMAT, "bad.safetensors", "an entry of 99995 bytes");
    free(deep);
}

static void test_broken_entries(void **state) {
    static const struct {
        const char *header;
        size_t data;
        limn_status status;
        const char *words;
    } cases[] = {
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, LIMN_FORMAT, "dtype is missing"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, LIMN_UNSUPPORTED, "F8_E4M3"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, LIMN_FORMAT, "shape is not an array"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, LIMN_FORMAT, "dimension 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, LIMN_FORMAT, "dimension 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, LIMN_FORMAT,
         "at most 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]}}", 4, LIMN_FORMAT,
         "more elements than"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, LIMN_FORMAT,
         "more bytes than"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, LIMN_FORMAT, "data_offsets are not"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, LIMN_FORMAT, "data_offsets are not"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, LIMN_FORMAT, "no range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, LIMN_FORMAT, "no range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, LIMN_FORMAT, "the file holds 7"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, LIMN_FORMAT, "F32 [2] needs 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, LIMN_FORMAT,
         "after the last tensor 'a'"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, LIMN_FORMAT, "before tensor 'a'"},
        {"{}", 6, LIMN_FORMAT, "after the last tensor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TensorFiles *files;
        assert_refused(open_header(&files, cases[i].header, cases[i].data), cases[i].status, "bad.safetensors",
                       cases[i].words);
    }
}

static void test_tensors_in_each_others_way(void **state) {
    TensorFiles *files;
    assert_refused(open_header(&files,
                               "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                               "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
                               6),
                   LIMN_FORMAT, "'a' and 'b' overlap");
    assert_refused(open_header(&files,
                               "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                               "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
                               8),
                   LIMN_FORMAT, "tensor 'a' appears twice");
    assert_refused(open_header(&files,
                               "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                               "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}  ",
                               5),
                   LIMN_FORMAT, "'b' is misaligned", "multiple of 4");
}

static void test_every_truncation(void **state) {
    const float value[2] = {1.0f, 2.0f};
    const Tensor tensor = {.name = "a", .dtype = DTYPE_F32, .rank = 1, .shape = {2}, .data = value, .bytes = 8};
    const char *path = scratch_path("whole.safetensors");
    assert_ok(safetensors_write(path, &tensor, 1, NULL, 0));
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    for (off_t size = info.st_size - 1; size >= 0; size--) {
        TensorFiles *files;
        assert_int_equal(truncate(path, size), 0);
        assert_refused(tensor_files_open(&files, path), LIMN_FORMAT, "whole.safetensors");
    }
}

/* A folder with two shards and this index. */
static limn_status open_index(TensorFiles **files, const char *index) {
    const float value[2] = {1.0f, 2.0f};
    const Tensor a = {.name = "a", .dtype = DTYPE_F32, .rank = 1, .shape = {2}, .data = value, .bytes = 8};
    const Tensor b = {.name = "b", .dtype = DTYPE_F32, .rank = 1, .shape = {1}, .data = value + 1, .bytes = 4};
    mkdir(scratch_path("sharded"), 0700);
    assert_ok(safetensors_write(scratch_path("sharded/1.safetensors"), &a, 1, NULL, 0));
    assert_ok(safetensors_write(scratch_path("sharded/2.safetensors"), &b, 1, NULL, 0));
    write_text(scratch_path("sharded/model.safetensors.index.json"), index);
    return tensor_files_open(files, scratch_path("sharded"));
}

static void test_shards(void **state) {
    TensorFiles *files;
    assert_ok(open_index(&files, "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"b\":\"2.safetensors\","
                                 "\"a\":\"1.safetensors\"}}"));
    assert_int_equal(tensor_files_count(files), 2);
    const Tensor *b = tensor_files_find(files, "b");
    assert_non_null(b);
    assert_non_null(strstr(tensor_files_path_of(files, b), "2.safetensors"));
    tensor_files_close(files);
    assert_refused(open_index(&files, "{\"weight_map\":{\"a\":\"3.safetensors\"}}"), LIMN_NOT_FOUND, "index.json",
                   "3.safetensors");
    assert_refused(open_index(&files, "{\"weight_map\":{\"a\":\"1.safetensors\",\"c\":\"1.safetensors\"}}"),
                   LIMN_FORMAT, "index.json", "'c' is not in '1.safetensors'");
    assert_refused(open_index(&files, "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}}"),
                   LIMN_FORMAT, "index.json", "tensor 'a' is in '1.safetensors', the index says '2.safetensors'");
    assert_refused(open_index(&files, "{\"weight_map\":{\"a\":\"../1.safetensors\"}}"), LIMN_FORMAT, "'a'",
                   "same folder");
    assert_refused(open_index(&files, "{\"weight_map\":{\"a\":7}}"), LIMN_FORMAT, "'a'", "the integer 7");
    assert_refused(open_index(&files, "{\"weight_map\":[]}"), LIMN_FORMAT, "index.json", "weight_map", "an array");
    assert_refused(open_index(&files, "{\n\"weight_map\":\n}"), LIMN_FORMAT, "index.json", "line 3");
    const float value = 1.0f;
    const Tensor a = {.name = "a", .dtype = DTYPE_F32, .rank = 0, .data = &value, .bytes = 4};
    assert_ok(safetensors_write(scratch_path("sharded/4.safetensors"), &a, 1, NULL, 0));
    assert_refused(open_index(&files, "{\"weight_map\":{\"a\":\"1.safetensors\",\"d\":\"4.safetensors\"}}"),
                   LIMN_FORMAT, "4.safetensors", "'a' is also in", "1.safetensors");
}

static void test_folders(void **state) {
    TensorFiles *files;
    mkdir(scratch_path("empty"), 0700);
    assert_refused(tensor_files_open(&files, scratch_path("empty")), LIMN_NOT_FOUND, "empty",
                   "neither model.safetensors nor");
    write_text(scratch_path("empty/pytorch_model.bin"), "");
    assert_refused(tensor_files_open(&files, scratch_path("empty")), LIMN_NOT_FOUND, "pickle");
    assert_refused(tensor_files_open(&files, scratch_path("nothing")), LIMN_NOT_FOUND, "nothing");
}

static void test_known_models(void **state) {
    static const char *const folders[] = {"nano-sort", "stories260K", "tiny-random-gpt2"};
    for (size_t i = 0; i < 3; i++) {
        char below[128];
        snprintf(below, sizeof below, "data/models/%s", folders[i]);
        const char *folder = shared_path(below);
        if (folder == NULL) {
            skip();
        }
        TensorFiles *files;
        assert_ok(tensor_files_open(&files, folder));
        assert_true(tensor_files_count(files) > 10);
        for (int32_t t = 0; t < tensor_files_count(files); t++) {
            int64_t index;
            assert_false(tensor_first_nonfinite(tensor_files_at(files, t), &index));
        }
        tensor_files_close(files);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_what_the_writer_refuses),
        cmocka_unit_test(test_broken_headers),
        cmocka_unit_test(test_broken_entries),
        cmocka_unit_test(test_tensors_in_each_others_way),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_known_models),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
