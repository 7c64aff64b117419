#include "method/calls.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "method/open.h"

limn_status call_method(Result **result, const char *command, const char *format, ...) {
    char json[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(json, sizeof json, format, arguments);
    va_end(arguments);
    json_error_t error;
    json_t *params = json_loads(json, JSON_ALLOW_NUL, &error);
    if (params == NULL) {
        return fail(LIMN_INTERNAL, "the test's JSON is broken: %s", error.text);
    }
    ModelCache *models;
    limn_status status = model_cache_new(&models);
    if (status == LIMN_OK) {
        CallListeners listeners = {0};
        status = method_call(result, models, command, params, &listeners);
        model_cache_free(models);
    }
    json_decref(params);
    return status;
}

const char *golden_folder(const char *name) {
    static char folder[1024];
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", LIMN_TEST_SOURCE_DIR, name);
    return folder;
}

static const char tokenizer_head[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
    "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
    "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,\"vocab\":{\"\xC4\xA0\":0";

static void copy_file(const char *from, const char *folder, const char *name) {
    char *bytes;
    size_t length;
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", from, name);
    if (file_read(&bytes, &length, path, (size_t)1 << 30) == LIMN_OK) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
        file_write_atomic(path, bytes, length);
        free(bytes);
    }
}

void make_letters_model(char *folder) {
    snprintf(folder, 64, "/tmp/limn-letters-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return;
    }
    copy_file(golden_folder("llama-old"), folder, "config.json");
    copy_file(golden_folder("llama-old"), folder, "model.safetensors");
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_add(&text, tokenizer_head);
    for (int i = 0; i < 26; i++) {
        text_buffer_printf(&text, ",\"%c\":%d", 'a' + i, 1 + i);
    }
    text_buffer_add(&text, ",\"bc\":27},\"merges\":[\"b c\"]}}");
    char path[128];
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    file_write_atomic(path, text.data, text.length);
    text_buffer_free(&text);
}

void remove_letters_model(const char *folder) {
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
    char path[128];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}
