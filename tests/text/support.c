#include "text/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#include <cmocka.h> /* last: its fail() is not ours */

char *temporary_file(const char *name, const void *bytes, size_t length) {
    char folder[] = "/tmp/limn-text-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, name);
    assert_non_null(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path;
}

void remove_temporary(char *path) {
    unlink(path);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    rmdir(path);
    free(path);
}

char *shared_file(const char *name) {
    const char *shared = getenv("LIMN_SHARED");
    TextBuffer path = TEXT_BUFFER_INIT;
    text_buffer_printf(&path, "%s/data/%s", shared != NULL ? shared : LIMN_TEST_SOURCE_DIR "/../shared", name);
    assert_int_equal(text_buffer_status(&path), LIMN_OK);
    if (!file_exists(path.data) && !folder_exists(path.data)) {
        text_buffer_free(&path);
        return NULL;
    }
    return text_buffer_take(&path);
}

char *need_shared_file(const char *name) {
    char *path = shared_file(name);
    if (path == NULL) {
        print_message("skipped: shared data file %s is not here (LIMN_SHARED)\n", name);
        skip();
    }
    return path;
}

unsigned char *from_hex(const char *hex, size_t *length) {
    *length = strlen(hex) / 2;
    unsigned char *bytes = malloc(*length + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *length; i++) {
        unsigned value;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (unsigned char)value;
    }
    bytes[*length] = '\0';
    return bytes;
}

unsigned char *from_base64(const char *text, size_t *length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char *bytes = malloc(strlen(text) + 1);
    assert_non_null(bytes);
    uint32_t bits = 0;
    int held = 0;
    *length = 0;
    for (; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        assert_non_null(digit);
        bits = bits << 6 | (uint32_t)(digit - digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[(*length)++] = (unsigned char)(bits >> held);
        }
    }
    return bytes;
}

/* ---- GGUF ---- */

enum { GGUF_U32 = 4, GGUF_I32 = 5, GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9 };

static void add_u32(TextBuffer *out, uint32_t value) {
    text_buffer_add_bytes(out, &value, 4);
}

static void add_u64(TextBuffer *out, uint64_t value) {
    text_buffer_add_bytes(out, &value, 8);
}

static void add_string(TextBuffer *out, const char *value) {
    add_u64(out, strlen(value));
    text_buffer_add(out, value);
}

static void add_key(GgufBuilder *builder, const char *key, uint32_t type) {
    add_string(&builder->pairs, key);
    add_u32(&builder->pairs, type);
    builder->count++;
}

static void add_array(GgufBuilder *builder, const char *key, uint32_t type, size_t count) {
    add_key(builder, key, GGUF_ARRAY);
    add_u32(&builder->pairs, type);
    add_u64(&builder->pairs, count);
}

void gguf_add_string(GgufBuilder *builder, const char *key, const char *value) {
    add_key(builder, key, GGUF_STRING);
    add_string(&builder->pairs, value);
}

void gguf_add_u32(GgufBuilder *builder, const char *key, uint32_t value) {
    add_key(builder, key, GGUF_U32);
    add_u32(&builder->pairs, value);
}

void gguf_add_bool(GgufBuilder *builder, const char *key, bool value) {
    add_key(builder, key, GGUF_BOOL);
    text_buffer_add_char(&builder->pairs, value ? 1 : 0);
}

void gguf_add_strings(GgufBuilder *builder, const char *key, const char *const *values, size_t count) {
    add_array(builder, key, GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) {
        add_string(&builder->pairs, values[i]);
    }
}

void gguf_add_i32s(GgufBuilder *builder, const char *key, const int32_t *values, size_t count) {
    add_array(builder, key, GGUF_I32, count);
    text_buffer_add_bytes(&builder->pairs, values, count * sizeof *values);
}

void gguf_add_f32s(GgufBuilder *builder, const char *key, const float *values, size_t count) {
    add_array(builder, key, GGUF_F32, count);
    text_buffer_add_bytes(&builder->pairs, values, count * sizeof *values);
}

char *gguf_finish(GgufBuilder *builder, size_t *length) {
    TextBuffer file = TEXT_BUFFER_INIT;
    text_buffer_add(&file, "GGUF");
    add_u32(&file, 3);
    add_u64(&file, 0); /* tensors */
    add_u64(&file, builder->count);
    text_buffer_add_bytes(&file, builder->pairs.data, builder->pairs.length);
    while (file.length % 32 != 0) {
        text_buffer_add_char(&file, '\0');
    }
    assert_int_equal(text_buffer_status(&file), LIMN_OK);
    text_buffer_free(&builder->pairs);
    *length = file.length;
    return text_buffer_take(&file);
}

/* ---- tokenizers ---- */

Opened open_tokenizer(const char *path) {
    Opened opened = {NULL, NULL};
    size_t length = strlen(path);
    limn_status status;
    if (length > 5 && strcmp(path + length - 5, ".gguf") == 0) {
        status = gguf_open(&opened.gguf, path);
        if (status == LIMN_OK) {
            status = tokenizer_open_gguf(&opened.tokenizer, opened.gguf);
        }
    } else if (folder_exists(path)) {
        status = tokenizer_open_folder(&opened.tokenizer, path);
    } else {
        status = tokenizer_open_file(&opened.tokenizer, path);
    }
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return opened;
}

void close_opened(Opened *opened) {
    tokenizer_free(opened->tokenizer);
    gguf_close(opened->gguf);
}

void check_ids(const Tokenizer *tokenizer, const char *text, const EncodeOptions *options, const int32_t *ids,
               int32_t n) {
    Encoding encoding;
    if (tokenizer_encode(&encoding, tokenizer, text, strlen(text), NULL, 0, options) != LIMN_OK) {
        fail_msg("'%s': %s", text, error_message());
    }
    for (int32_t i = 0; i < n && i < encoding.n; i++) {
        if (encoding.tokens[i].id != ids[i]) {
            fail_msg("'%.100s': token %d is %d, expected %d", text, (int)i, (int)encoding.tokens[i].id, (int)ids[i]);
        }
    }
    if (encoding.n != n) {
        fail_msg("'%.100s': %d tokens, expected %d", text, (int)encoding.n, (int)n);
    }
    encoding_free(&encoding);
}
